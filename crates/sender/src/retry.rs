//! What is tried again, how often and for how long.

use std::time::Duration;

use csc_receiver::Trouble;

/// What is tried again: no answer at all, 408, 429, 5xx and 403, for the same batch,
/// at most `max_retries` times. Every wait grows from `base` by doubling, half of it at
/// random, up to 30 s (403: 120 s). A `Retry-After` is obeyed to the second instead, up to
/// `max_wait`; a longer one ends the run. Nothing else is ever retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// MAX_RETRIES: tries after the first, of one batch.
    pub max_retries: u32,
    /// RETRY_BASE_MS: the first wait, before it is made uneven.
    pub base: Duration,
    /// MAX_WAIT: the longest `Retry-After` that is obeyed.
    pub max_wait: Duration,
}

/// The longest wait of our own making.
const CAP: Duration = Duration::from_secs(30);
/// The same after a 403, which may be the firewall throttling.
const CAP_FORBIDDEN: Duration = Duration::from_secs(120);

/// What to do after trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextTry {
    /// Try again after so long.
    After(Duration),
    /// The retries are spent.
    Spent,
    /// The receiver asks for a longer wait than is allowed.
    TooLong(Duration),
}

impl RetryPolicy {
    /// What to do after `failed` tries of one batch have failed, the last with this
    /// trouble. `uneven` is a number from 0 to 1, drawn at random by the caller.
    pub fn next(
        &self,
        trouble: Trouble,
        failed: u32,
        retry_after: Option<Duration>,
        uneven: f64,
    ) -> NextTry {
        if let Some(wait) = retry_after
            && wait > self.max_wait
        {
            return NextTry::TooLong(wait);
        }
        if failed > self.max_retries {
            return NextTry::Spent;
        }
        if let Some(wait) = retry_after {
            return NextTry::After(wait);
        }
        let cap = match trouble {
            Trouble::Forbidden => CAP_FORBIDDEN,
            Trouble::RateLimited | Trouble::Server | Trouble::NoAnswer | Trouble::Proxy => CAP,
        };
        let doublings = failed.saturating_sub(1).min(20);
        let wait = self.base.saturating_mul(1 << doublings).min(cap);
        NextTry::After(wait.mul_f64(0.5 + uneven.clamp(0.0, 1.0) / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_retries: 3,
        base: Duration::from_secs(1),
        max_wait: Duration::from_secs(300),
    };

    #[test]
    fn waits_double_up_to_their_cap() {
        let patient = RetryPolicy {
            max_retries: 100,
            ..POLICY
        };
        let secs = |trouble, failed| patient.next(trouble, failed, None, 1.0);
        for (failed, seconds) in [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (90, 30)] {
            for trouble in [Trouble::Server, Trouble::NoAnswer, Trouble::RateLimited] {
                assert_eq!(
                    secs(trouble, failed),
                    NextTry::After(Duration::from_secs(seconds))
                );
            }
        }
        for (failed, seconds) in [(1, 1), (6, 32), (7, 64), (8, 120), (90, 120)] {
            assert_eq!(
                secs(Trouble::Forbidden, failed),
                NextTry::After(Duration::from_secs(seconds))
            );
        }
    }

    #[test]
    fn half_of_a_wait_is_left_to_chance() {
        assert_eq!(
            POLICY.next(Trouble::Server, 2, None, 0.0),
            NextTry::After(Duration::from_secs(1))
        );
        assert_eq!(
            POLICY.next(Trouble::Server, 2, None, 0.5),
            NextTry::After(Duration::from_millis(1500))
        );
    }

    #[test]
    fn retries_are_spent_after_max_retries() {
        assert!(matches!(
            POLICY.next(Trouble::Server, 3, None, 0.0),
            NextTry::After(_)
        ));
        assert_eq!(POLICY.next(Trouble::Server, 4, None, 0.0), NextTry::Spent);
        let never = RetryPolicy {
            max_retries: 0,
            ..POLICY
        };
        assert_eq!(never.next(Trouble::NoAnswer, 1, None, 0.0), NextTry::Spent);
    }

    #[test]
    fn a_retry_after_is_obeyed_up_to_max_wait() {
        let asked = |seconds| {
            POLICY.next(
                Trouble::RateLimited,
                1,
                Some(Duration::from_secs(seconds)),
                0.3,
            )
        };
        assert_eq!(asked(0), NextTry::After(Duration::ZERO));
        assert_eq!(asked(300), NextTry::After(Duration::from_secs(300)));
        assert_eq!(asked(301), NextTry::TooLong(Duration::from_secs(301)));
    }
}
