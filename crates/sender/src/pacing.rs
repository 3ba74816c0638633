//! The gap between posts: the gateway is a firewall in front of an API manager, and
//! small steady gaps keep it from answering 403 and 429.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use crate::Stop;

/// The least time from the start of one post to the start of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap(Duration);

/// What is added to a gap at random, in milliseconds (the pilot's figures).
const JITTER_MS: std::ops::RangeInclusive<u64> = 25..=150;

impl Gap {
    /// MIN_GAP_MS; 0 switches gap and jitter off.
    pub fn from_millis(millis: u64) -> Self {
        Gap(Duration::from_millis(millis))
    }

    /// Whether there is none.
    pub(crate) fn is_none(self) -> bool {
        self.0.is_zero()
    }

    /// This gap's length, jitter included.
    fn length(self) -> Duration {
        if self.is_none() {
            return Duration::ZERO;
        }
        self.0 + Duration::from_millis(rand::rng().random_range(JITTER_MS))
    }
}

/// Keeps the gap.
pub(crate) struct Pacer {
    gap: Gap,
    next: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new(gap: Gap) -> Self {
        Pacer { gap, next: None }
    }

    /// Waits until the next post may begin; `false` where a stop came first.
    pub(crate) async fn turn(&mut self, stop: &mut Stop) -> bool {
        let wait = self.reserve().saturating_duration_since(Instant::now());
        stop.sleep(wait).await
    }

    /// When the next post may begin; the one after it begins a gap later.
    pub(crate) fn reserve(&mut self) -> Instant {
        let now = Instant::now();
        let start = self.next.map_or(now, |next| next.max(now));
        self.next = Some(start + self.gap.length());
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn posts_keep_their_gap_from_start_to_start() {
        let (_stopper, mut stop) = Stop::new();
        let mut pacer = Pacer::new(Gap::from_millis(400));
        let begun = Instant::now();
        assert!(pacer.turn(&mut stop).await);
        assert_eq!(
            begun.elapsed(),
            Duration::ZERO,
            "the first post waits for nothing"
        );
        tokio::time::sleep(Duration::from_millis(300)).await; // the post itself
        assert!(pacer.turn(&mut stop).await);
        let gap = begun.elapsed();
        assert!(
            (425..=551).contains(&gap.as_millis()),
            "{gap:?} from start to start"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_of_zero_switches_the_jitter_off_too() {
        let (_stopper, mut stop) = Stop::new();
        let mut pacer = Pacer::new(Gap::from_millis(0));
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(pacer.turn(&mut stop).await);
        }
        assert!(begun.elapsed() < Duration::from_millis(25));
    }
}
