//! Receipts: `YYYY-MM-DD_HH:MM:SS.ff_<uuid>.json`, one per record in the order sent,
//! as a JSON array of strings or as white-space-separated text.

use jiff::civil::DateTime;

/// The receiver's acknowledgement of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The uuid, in lower case with hyphens.
    pub uuid: String,
    /// When the receiver took it; its time zone is not published.
    pub at: DateTime,
}

/// Why a reply's receipts can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptFault {
    /// The number of receipts is not the number of records.
    #[error("{found} receipts came back for {expected} records")]
    Count {
        /// Records sent.
        expected: usize,
        /// Receipts found.
        found: usize,
    },
    /// A receipt has another form.
    #[error("receipt {ordinal} of the reply has not the form date_time_uuid.json")]
    Form {
        /// Its place in the reply, from 1.
        ordinal: usize,
    },
}

/// Reads the receipts of an accepted batch of `expected` records.
pub fn receipts(body: &[u8], expected: usize) -> Result<Vec<Receipt>, ReceiptFault> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}');
    let list: Vec<String> = serde_json::from_str::<Vec<String>>(text)
        .or_else(|_| {
            // A JSON string that holds the text form.
            serde_json::from_str::<String>(text).map(|inner| words(&inner))
        })
        .unwrap_or_else(|_| words(text));
    if list.len() != expected {
        return Err(ReceiptFault::Count {
            expected,
            found: list.len(),
        });
    }
    list.iter()
        .enumerate()
        .map(|(n, receipt)| parse(receipt).ok_or(ReceiptFault::Form { ordinal: n + 1 }))
        .collect()
}

/// The text form. Brackets, quotes and commas around a receipt are forgiven.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| word.trim_matches(['[', ']', '"', '\'', ',']))
        .filter(|word| !word.is_empty())
        .map(str::to_string)
        .collect()
}

fn parse(receipt: &str) -> Option<Receipt> {
    let name = receipt.trim();
    let name = name.strip_suffix(".json").unwrap_or(name);
    let (stamp, uuid) = name.rsplit_once('_')?;
    let (date, time) = stamp.split_once('_')?;
    let at = format!("{date}T{time}").parse::<DateTime>().ok()?;
    let is_receipt = is_uuid(uuid) && at.year() >= EARLIEST;
    is_receipt.then(|| Receipt {
        uuid: uuid.to_ascii_lowercase(),
        at,
    })
}

/// No receipt is older than the receiver, and a DATETIME of SQL Server holds nothing from
/// before 1753: such a receipt could never be recorded.
const EARLIEST: i16 = 2000;

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const ONE: &str = "2026-11-24_02:00:01.25_6F9619FF-8B86-D011-B42D-00C04FC964FF.json";
    const TWO: &str = "2026-11-24_02:00:01.250317_00000000-0000-4000-8000-000000000002.json";

    #[test]
    fn a_list_and_a_text_are_read_alike() {
        let bodies = [
            format!("[\"{ONE}\",\"{TWO}\"]"),
            format!("{ONE} {TWO}"),
            format!("{ONE}\r\n{TWO}\r\n"),
            format!("\"{ONE}\\n{TWO}\""),
            format!("\u{feff}[ \"{ONE}\",\n \"{TWO}\" ]"),
            format!("['{ONE}', '{TWO}']"),
        ];
        for body in bodies {
            let read = receipts(body.as_bytes(), 2).unwrap();
            assert_eq!(read[0].uuid, "6f9619ff-8b86-d011-b42d-00c04fc964ff");
            assert_eq!(
                read[0].at,
                date(2026, 11, 24).at(2, 0, 1, 250_000_000),
                "{body}"
            );
            assert_eq!(read[1].at, date(2026, 11, 24).at(2, 0, 1, 250_317_000));
        }
    }

    #[test]
    fn a_wrong_count_is_a_fault() {
        let count = |body: &str, expected| receipts(body.as_bytes(), expected).unwrap_err();
        assert_eq!(
            count(ONE, 2),
            ReceiptFault::Count {
                expected: 2,
                found: 1
            }
        );
        assert_eq!(
            count("[]", 1),
            ReceiptFault::Count {
                expected: 1,
                found: 0
            }
        );
        assert_eq!(
            count("", 1),
            ReceiptFault::Count {
                expected: 1,
                found: 0
            }
        );
    }

    #[test]
    fn another_form_is_a_fault_that_quotes_nothing() {
        for body in [
            "Anna",
            "2026-11-24_02:00:01.25_nouuid.json",
            "0026-11-24_02:00:01_6F9619FF-8B86-D011-B42D-00C04FC964FF.json",
            "-002026-11-24_02:00:01_6F9619FF-8B86-D011-B42D-00C04FC964FF.json",
            "2026-13-24_02:00:01_6F9619FF-8B86-D011-B42D-00C04FC964FF.json",
            "6F9619FF-8B86-D011-B42D-00C04FC964FF.json",
        ] {
            let fault = receipts(body.as_bytes(), 1).unwrap_err();
            assert_eq!(fault, ReceiptFault::Form { ordinal: 1 }, "{body}");
            assert!(!fault.to_string().contains("Anna"));
        }
    }
}
