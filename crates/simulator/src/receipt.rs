//! The receipts of an accepted batch.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;
use uuid::Uuid;

use crate::exchange::Answer;
use crate::fault::Form;

/// A new receipt: `YYYY-MM-DD_HH:MM:SS.ff_<uuid>.json`, in UTC and hundredths of
/// a second.
pub(crate) fn receipt(now: Timestamp) -> String {
    let time = Offset::UTC.to_datetime(now);
    let hundredths = time.subsec_nanosecond() / 10_000_000;
    format!(
        "{}.{hundredths:02}_{}.json",
        time.strftime("%Y-%m-%d_%H:%M:%S"),
        Uuid::new_v4()
    )
}

/// The reply that carries them, in the order of the batch.
pub(crate) fn reply(receipts: Vec<String>, form: Form) -> Answer {
    match form {
        Form::Json => Answer::json(200, &Value::from(receipts)),
        Form::Text => Answer::text(200, receipts.join("\n")),
    }
}

/// A 200 that nobody can read: cut off, and not UTF-8.
pub(crate) fn garbage() -> Answer {
    Answer::new(
        200,
        "application/json",
        Bytes::from_static(b"[\"2026-01-0\xff\xfe\x00"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_has_the_time_to_the_hundredth_and_an_id_of_its_own() {
        let now: Timestamp = "2026-03-29T01:02:03.0789Z".parse().unwrap();
        let first = receipt(now);
        let id = first
            .strip_prefix("2026-03-29_01:02:03.07_")
            .and_then(|rest| rest.strip_suffix(".json"))
            .unwrap_or_else(|| panic!("{first}"));
        assert_eq!(id.parse::<Uuid>().unwrap().get_version_num(), 4);
        assert_ne!(receipt(now), first);
    }
}
