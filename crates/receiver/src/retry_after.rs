//! `Retry-After`, in seconds or as an HTTP date (RFC 9110, 10.2.3).

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// How long the receiver asks to wait, counted from `now`. A date in the past is no
/// wait; what can't be read is `None`. More seconds than can be counted are the most that
/// can be.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = http_date(value)?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// A date as HTTP writes it (RFC 9110, 5.6.7); what can't be read is `None`.
pub(crate) fn http_date(value: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(value.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let now: Timestamp = "2026-11-24T07:28:00Z".parse().unwrap();
        let table = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("18446744073709551616", Some(u64::MAX)),
            ("Tue, 24 Nov 2026 07:28:30 GMT", Some(30)),
            ("Tue, 24 Nov 2026 07:27:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("+5", None),
            ("", None),
        ];
        for (value, seconds) in table {
            assert_eq!(
                retry_after(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }
}
