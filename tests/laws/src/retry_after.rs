use std::time::Duration;

use csc_receiver::Trouble;
use csc_sender_run::{NextTry, RetryPolicy};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

const POLICY: RetryPolicy = RetryPolicy {
    max_retries: 3,
    base: Duration::from_secs(1),
    max_wait: Duration::from_secs(300),
};
/// The longest wait of our own making, which is the one after a 403.
const LONGEST: Duration = Duration::from_secs(120);

/// Any text as a `Retry-After`.
///
/// - What consists of digits is a wait.
/// - Written again, as seconds and as a date, it is the same wait.
/// - No wait is longer than MAX_WAIT, whatever is asked for, nor longer than two minutes
///   where nothing is; what is asked for beyond it ends the run.
pub fn retry_after(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let now: Timestamp = "2026-11-24T07:28:00Z".parse().unwrap();
    let asked = csc_receiver::retry_after(text, now);
    let digits = text.trim();
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        assert!(asked.is_some());
    }
    if let Some(wait) = asked {
        let seconds = wait.as_secs();
        let again = csc_receiver::retry_after(&format!(" {seconds} "), now);
        assert_eq!(again, Some(Duration::from_secs(seconds)));
        let date = SignedDuration::try_from(Duration::from_secs(seconds))
            .ok()
            .and_then(|wait| now.checked_add(wait).ok())
            .and_then(|at| DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok());
        if let Some(date) = date {
            let again = csc_receiver::retry_after(&date, now);
            assert_eq!(again, Some(Duration::from_secs(seconds)), "{date}");
        }
    }
    for trouble in [
        Trouble::Forbidden,
        Trouble::RateLimited,
        Trouble::Server,
        Trouble::NoAnswer,
        Trouble::Proxy,
    ] {
        for failed in 1..=POLICY.max_retries + 1 {
            match (POLICY.next(trouble, failed, asked, 1.0), asked) {
                (NextTry::After(wait), Some(asked)) => {
                    assert_eq!(wait, asked);
                    assert!(wait <= POLICY.max_wait);
                }
                (NextTry::After(wait), None) => assert!(wait <= LONGEST),
                (NextTry::TooLong(wait), asked) => {
                    assert_eq!(Some(wait), asked);
                    assert!(wait > POLICY.max_wait);
                }
                (NextTry::Spent, _) => assert!(failed > POLICY.max_retries),
            }
        }
    }
}
