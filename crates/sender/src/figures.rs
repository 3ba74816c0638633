//! Sizes and latencies of posts, in memory that does not grow with their number.

use std::time::Duration;

/// One post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post {
    /// Its body, in bytes.
    pub bytes: u64,
    /// From the post to the end of the reply.
    pub took: Duration,
    /// Whether the receiver took it.
    pub accepted: bool,
}

/// A post, or several that followed each other, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// How many posts.
    pub posts: u64,
    /// Of these, not accepted.
    pub failed: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The time that all of them took.
    pub took: Duration,
    /// The time that the slowest of them took.
    pub slowest: Duration,
}

impl Figure {
    fn of(post: &Post) -> Self {
        Figure {
            posts: 1,
            failed: u64::from(!post.accepted),
            bytes: post.bytes,
            took: post.took,
            slowest: post.took,
        }
    }

    fn and(self, other: Figure) -> Self {
        Figure {
            posts: self.posts + other.posts,
            failed: self.failed + other.failed,
            bytes: self.bytes + other.bytes,
            took: self.took + other.took,
            slowest: self.slowest.max(other.slowest),
        }
    }

    /// Bytes of one post, on average.
    pub fn mean_bytes(&self) -> u64 {
        self.bytes / self.posts.max(1)
    }

    /// The time that one post took, on average.
    pub fn mean_took(&self) -> Duration {
        self.took / u32::try_from(self.posts.max(1)).unwrap_or(u32::MAX)
    }
}

/// How many figures are kept: 25,600 records in batches of a hundred have a figure each.
const KEPT: usize = 256;

/// The figures of a run's posts, in their order. Where there are too many, neighbours are
/// taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    kept: Vec<Figure>,
    /// How many posts a whole figure stands for; 0 before the first one.
    posts_each: u64,
}

impl Figures {
    /// Takes the next post.
    pub fn add(&mut self, post: &Post) {
        self.posts_each = self.posts_each.max(1);
        let next = Figure::of(post);
        match self.kept.last_mut() {
            Some(last) if last.posts < self.posts_each => *last = last.and(next),
            Some(_) | None => self.kept.push(next),
        }
        if self.kept.len() > KEPT {
            self.posts_each *= 2;
            self.kept = self
                .kept
                .chunks(2)
                .map(|pair| pair[1..].iter().fold(pair[0], |a, b| a.and(*b)))
                .collect();
        }
    }

    /// The figures, in the order of the posts.
    pub fn all(&self) -> &[Figure] {
        &self.kept
    }

    /// How many posts each figure stands for (the last one for as many or fewer).
    pub fn posts_each(&self) -> u64 {
        self.posts_each
    }

    /// All posts together; `None` where there was none.
    pub fn total(&self) -> Option<Figure> {
        self.kept.iter().copied().reduce(Figure::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(posts: u64) -> Figures {
        let mut figures = Figures::default();
        for n in 0..posts {
            figures.add(&Post {
                bytes: n,
                took: Duration::from_millis(n),
                accepted: n % 10 != 3,
            });
        }
        figures
    }

    #[test]
    fn a_few_posts_have_a_figure_each() {
        let few = figures(4);
        assert_eq!(few.all().len(), 4);
        assert_eq!(few.posts_each(), 1);
        assert_eq!(few.all()[3].bytes, 3);
        assert_eq!(few.all()[3].failed, 1);
        assert_eq!(Figures::default().total(), None);
    }

    #[test]
    fn many_posts_take_no_more_memory_and_lose_nothing_of_their_sums() {
        for posts in [256, 257, 1000, 100_000] {
            let many = figures(posts);
            assert!(many.all().len() <= KEPT, "{posts}");
            let total = many.total().unwrap();
            assert_eq!(total.posts, posts);
            assert_eq!(total.bytes, posts * (posts - 1) / 2);
            assert_eq!(total.slowest, Duration::from_millis(posts - 1));
            let (last, whole) = many.all().split_last().unwrap();
            assert!(whole.iter().all(|f| f.posts == many.posts_each()));
            assert!(last.posts <= many.posts_each());
            assert!(whole.is_sorted_by_key(|f| f.slowest), "in their order");
        }
        assert_eq!(figures(257).posts_each(), 2);
    }
}
