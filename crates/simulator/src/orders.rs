//! The faults that are ordered, and how often each has had its occasion.

use crate::fault::{FaultOrder, Trouble};

/// The orders in force.
pub(crate) struct Orders(Vec<Standing>);

struct Standing {
    order: FaultOrder,
    occasions: u64,
    strikes: u64,
}

impl Standing {
    /// Counts an occasion and says whether this one is struck.
    fn strikes_now(&mut self) -> bool {
        let when = self.order.when;
        self.occasions += 1;
        let past = self.occasions.saturating_sub(when.after);
        let due = past > 0
            && past % when.every == 0
            && when.times.is_none_or(|times| self.strikes < times);
        self.strikes += u64::from(due);
        due
    }
}

impl Orders {
    pub fn new(orders: &[FaultOrder]) -> Self {
        let mut all = Orders(Vec::new());
        for order in orders {
            all.add(order.clone());
        }
        all
    }

    pub fn add(&mut self, order: FaultOrder) {
        self.0.push(Standing {
            order,
            occasions: 0,
            strikes: 0,
        });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Asks the orders in turn; the first that is concerned and due strikes.
    /// `concerned` gives what it strikes with, or `None` where this is no
    /// occasion of it.
    pub fn strike<T>(&mut self, concerned: impl Fn(&Trouble) -> Option<T>) -> Option<T> {
        self.0.iter_mut().find_map(|standing| {
            let blow = concerned(&standing.order.trouble)?;
            standing.strikes_now().then_some(blow)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the first ten occasions are struck.
    fn struck(words: &str) -> Vec<u32> {
        let mut orders = Orders::new(&[words.parse().unwrap()]);
        (1..=10)
            .filter(|_| orders.strike(|_| Some(())).is_some())
            .collect()
    }

    #[test]
    fn options_choose_the_occasions() {
        for (words, expected) in [
            ("drop", (1..=10).collect()),
            ("drop,every=3", vec![3, 6, 9]),
            ("drop,times=2", vec![1, 2]),
            ("drop,after=8", vec![9, 10]),
            ("drop,every=2,after=3", vec![5, 7, 9]),
            ("drop,every=3,times=2,after=1", vec![4, 7]),
            ("drop,after=10", vec![]),
        ] {
            assert_eq!(struck(words), expected, "{words}");
        }
    }

    #[test]
    fn an_order_behind_one_that_strikes_counts_no_occasion() {
        let mut orders = Orders::new(&[
            "status=503,every=2".parse().unwrap(),
            "status=500,every=2".parse().unwrap(),
        ]);
        let mut strike = || orders.strike(|trouble| Some(trouble.clone()));
        let status = |words: &str| Some(words.parse::<FaultOrder>().unwrap().trouble);
        assert_eq!(strike(), None);
        assert_eq!(strike(), status("status=503"));
        assert_eq!(strike(), status("status=500"));
        assert_eq!(strike(), status("status=503"));
        assert_eq!(strike(), None);
    }

    #[test]
    fn an_order_that_is_not_concerned_counts_no_occasion() {
        let mut orders = Orders::new(&["drop,every=2".parse().unwrap()]);
        assert_eq!(orders.strike(|_| None::<()>), None);
        assert_eq!(orders.strike(|_| Some(())), None);
        assert_eq!(orders.strike(|_| Some(())), Some(()));
    }
}
