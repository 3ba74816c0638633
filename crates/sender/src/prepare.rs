//! From a staged row to a record that can go, or the reason why it cannot.

use csc_payload::Record;
use csc_staging::{RowKey, StagedRow};

/// A record that can go.
pub struct Prepared {
    pub(crate) key: RowKey,
    pub(crate) text: String,
}

/// Why a row became `error`, in words that hold nothing of a child: reports group by
/// it. The row's own `api_response` says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `person_id` is blank.
    BlankPerson,
    /// The payload is no text, no JSON object, or has no `la_child_id`.
    BadPayload,
    /// The receiver refused the record (400 or 422).
    RefusedByReceiver,
    /// The record alone is larger than the receiver takes (413).
    TooLarge,
    /// The receiver took nothing (204).
    NothingTaken,
    /// The receiver accepted the batch, but its receipts can't be used.
    UnreadableReceipts,
    /// No answer, 403, 429 or 5xx until the retries were spent.
    RetriesSpent,
}

impl Reason {
    /// For reports.
    pub fn words(self) -> &'static str {
        match self {
            Reason::BlankPerson => "person_id is blank",
            Reason::BadPayload => "the payload is not a child's record",
            Reason::RefusedByReceiver => "refused by the receiver",
            Reason::TooLarge => "too large for the receiver",
            Reason::NothingTaken => "the receiver took nothing (204)",
            Reason::UnreadableReceipts => "the receiver's receipts can't be read",
            Reason::RetriesSpent => "no success until the retries were spent",
        }
    }
}

/// A row that cannot go, with the text for its `api_response`.
pub(crate) struct Unfit {
    pub(crate) key: RowKey,
    pub(crate) reason: Reason,
    pub(crate) words: String,
}

/// Checks a row and takes its record.
pub(crate) fn prepare(row: StagedRow) -> Result<Prepared, Unfit> {
    let unfit = |key, reason, words: String| Unfit { key, reason, words };
    if row
        .person_id
        .as_deref()
        .is_none_or(|id| id.trim().is_empty())
    {
        return Err(unfit(
            row.key,
            Reason::BlankPerson,
            "not sent: person_id is blank, so nobody can tell whose record this is".into(),
        ));
    }
    let Some(text) = row.payload else {
        return Err(unfit(
            row.key,
            Reason::BadPayload,
            "not sent: json_payload is not valid UTF-8 text".into(),
        ));
    };
    match Record::parse(&text) {
        // It would remove the child at the receiver, and the table does not say so.
        Ok(record) if record.is_purge() => Err(unfit(
            row.key,
            Reason::BadPayload,
            "not sent: the payload is a purge, and the row is not marked deleted".into(),
        )),
        Ok(record) => Ok(Prepared {
            key: row.key,
            text: record.into_text(),
        }),
        Err(fault) => Err(unfit(
            row.key,
            Reason::BadPayload,
            format!("not sent: {fault}"),
        )),
    }
}
