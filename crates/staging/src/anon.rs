//! What is done to a table besides sending it: filling one with fake children, changing
//! them as the staging SQL would, and setting rows back to pending.
//!
//! Only a table whose name ends in `_anon` is filled or changed: every store refuses
//! another by itself, whoever asks.

use async_trait::async_trait;
use csc_message::Message;

use crate::{NewRow, StoreError, StoreErrorKind, SubmissionStatus, TableName};

/// Gives the rows that a table is filled with, a piece at a time.
#[async_trait]
pub trait RowSource: Send {
    /// The next rows; none is the end. A halt ends the filling, and nothing of it stays.
    async fn next(&mut self) -> Result<Vec<NewRow>, Halt>;
}

/// Why something was not carried to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It failed.
    Failed(Message),
    /// Somebody has asked to stop (Ctrl-C).
    Stopped,
}

impl From<Message> for Halt {
    fn from(message: Message) -> Halt {
        Halt::Failed(message)
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Halt {
        Halt::Failed(error.message)
    }
}

/// What becomes of rows that a table holds before it is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// A table that holds rows is not filled.
    Kept,
    /// They go when the new ones come, in the same transaction.
    Replaced,
}

/// What a filling came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Rows that went.
    pub removed: u64,
    /// Rows that came.
    pub written: u64,
}

/// A change as the staging SQL stages it.
#[derive(Clone, PartialEq, Eq)]
pub enum Restaged {
    /// The payload that is there becomes the previous one, sent or not, with its hash;
    /// the row becomes `updated` and `pending`.
    Updated {
        /// The new record, as JSON text.
        payload: String,
        /// SHA-256 of its meaning.
        hash: [u8; 32],
    },
    /// The child left the cohort: `deleted`. The status stays, as in the pilot.
    Gone,
}

impl Restaged {
    /// The new payload and its hash; `None` where the child is gone.
    pub(crate) fn update(&self) -> Option<(&str, &[u8; 32])> {
        match self {
            Restaged::Updated { payload, hash } => Some((payload, hash)),
            Restaged::Gone => None,
        }
    }
}

impl TableName {
    /// An error for a table that is not one of fake children.
    pub fn must_be_anon(&self) -> Result<(), StoreError> {
        if self.is_anon() {
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::Table,
            Message::new(
                621,
                format!("Nothing invented or scrambled goes into {self}"),
                "its name does not end in _anon, so it counts as a table of real children",
                "name the table of fake children, e.g. ssd_api_data_staging_anon",
            ),
        ))
    }
}

/// A table that is to be filled holds rows already.
pub(crate) fn not_empty(table: &TableName, rows: u64) -> StoreError {
    StoreError::new(
        StoreErrorKind::Table,
        Message::new(
            622,
            format!("{table} holds {rows} rows already"),
            "rows that are there are removed only where that is asked for",
            "look at them with `csc-sender status`; if they may go, start again with --replace",
        ),
    )
}

/// How many rows had each status, from the words in the column.
pub(crate) fn by_status(
    counts: impl IntoIterator<Item = (String, u64)>,
) -> Vec<(SubmissionStatus, u64)> {
    let mut found: Vec<(SubmissionStatus, u64)> = counts
        .into_iter()
        .filter_map(|(word, count)| {
            let status = SubmissionStatus::ALL
                .into_iter()
                .find(|status| status.word() == word)?;
            Some((status, count))
        })
        .collect();
    found.sort_unstable();
    found
}

/// These statuses as a list of SQL literals: constants, never a user's value.
pub(crate) fn words_of(statuses: &[SubmissionStatus]) -> String {
    let words: Vec<String> = statuses
        .iter()
        .map(|status| format!("'{}'", status.word()))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_table_of_fake_children_may_be_filled() {
        let table = |name: &str| TableName::parse(name).unwrap();
        assert!(
            table("dbo.ssd_api_data_staging_anon")
                .must_be_anon()
                .is_ok()
        );
        let error = table("ssd_api_data_staging").must_be_anon().unwrap_err();
        assert_eq!(error.message.code(), 621);
        assert!(error.message.what().ends_with(" ssd_api_data_staging"));
    }

    #[test]
    fn counts_are_told_by_status_and_in_its_order() {
        let words = |pairs: &[(&str, u64)]| {
            by_status(pairs.iter().map(|(word, n)| ((*word).to_string(), *n)))
        };
        assert_eq!(
            words(&[("testing", 1), ("error", 2), ("queued", 9)]),
            [(SubmissionStatus::Error, 2), (SubmissionStatus::Testing, 1)]
        );
    }
}
