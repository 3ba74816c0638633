//! One row of the staging table: what is read of it, and what may be written to it.

use csc_digest::sha256;
use jiff::civil::DateTime;

/// What the table says of a row's submission. Read in any case, written in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubmissionStatus {
    /// Waiting to be sent.
    Pending,
    /// The receiver has acknowledged it.
    Sent,
    /// Refused, or its retries were spent.
    Error,
    /// Tried in testing mode: it never left the authority.
    Testing,
}

impl SubmissionStatus {
    /// Every status.
    pub const ALL: [SubmissionStatus; 4] = [
        SubmissionStatus::Pending,
        SubmissionStatus::Sent,
        SubmissionStatus::Error,
        SubmissionStatus::Testing,
    ];

    /// The statuses with which a row may be sent.
    pub const ELIGIBLE: [SubmissionStatus; 3] = [
        SubmissionStatus::Pending,
        SubmissionStatus::Error,
        SubmissionStatus::Testing,
    ];

    /// The word in the column.
    pub fn word(self) -> &'static str {
        match self {
            SubmissionStatus::Pending => "pending",
            SubmissionStatus::Sent => "sent",
            SubmissionStatus::Error => "error",
            SubmissionStatus::Testing => "testing",
        }
    }
}

/// What the staging SQL says of a child's record. Read in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowState {
    /// First staged.
    New,
    /// The payload changed since it was staged before.
    Updated,
    /// The child left the cohort.
    Deleted,
    /// As acknowledged.
    Unchanged,
}

impl RowState {
    /// The word in the column.
    pub fn word(self) -> &'static str {
        match self {
            RowState::New => "new",
            RowState::Updated => "updated",
            RowState::Deleted => "deleted",
            RowState::Unchanged => "unchanged",
        }
    }
}

/// What identifies a row as the one that was read: its id, its state, and its
/// whole payload byte for byte (as a SHA-256, which the database computes anew
/// when the outcome is recorded, or the database's own row version).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    pub(crate) id: i64,
    pub(crate) row_state: Option<String>,
    pub(crate) digest: [u8; 32],
    /// Whether the digest is that of the payload in UTF-8.
    pub(crate) of_text: bool,
    pub(crate) version: Option<String>,
}

impl RowKey {
    /// `payload` is in UTF-8.
    pub(crate) fn new(
        id: i64,
        row_state: Option<String>,
        payload: &[u8],
        version: Option<String>,
    ) -> Self {
        RowKey {
            id,
            row_state,
            digest: sha256(payload),
            of_text: true,
            version,
        }
    }

    /// A row whose database hashes another encoding than UTF-8.
    pub(crate) fn of_bytes(id: i64, row_state: Option<String>, payload: &[u8]) -> Self {
        RowKey {
            of_text: false,
            ..RowKey::new(id, row_state, payload, None)
        }
    }

    /// A row as it was read by a program that has ended since: told by its state and the
    /// SHA-256 of its payload alone.
    pub fn remembered(id: i64, row_state: Option<String>, digest: [u8; 32]) -> Self {
        RowKey {
            id,
            row_state,
            digest,
            of_text: false,
            version: None,
        }
    }

    /// The row's identity in the table. The only thing of a row that a log may show.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// `row_state` as it was read.
    pub fn row_state(&self) -> Option<&str> {
        self.row_state.as_deref()
    }

    /// SHA-256 of the whole payload, in the encoding in which this database hashes.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// SHA-256 of the whole payload in UTF-8, where that is what the database hashes.
    pub fn digest_of_text(&self) -> Option<&[u8; 32]> {
        self.of_text.then_some(&self.digest)
    }

    /// Whether both are the same row with the same state and payload.
    pub fn is_as(&self, other: &RowKey) -> bool {
        (self.id, &self.row_state, &self.digest) == (other.id, &other.row_state, &other.digest)
    }
}

/// A row that may be sent, as it was read. It holds a child's record: no `Debug`.
pub struct StagedRow {
    /// The row as it was read, for recording its outcome.
    pub key: RowKey,
    /// The child; blank or absent in a faulty row.
    pub person_id: Option<String>,
    /// `json_payload` as it was read; `None` where it is absent or no UTF-8 text.
    pub payload: Option<String>,
    /// `previous_json_payload`, where it was asked for and is there.
    pub previous: Option<String>,
    /// The first characters of `api_response`: enough for a receipt's uuid.
    pub response: Option<String>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowResult {
    /// The receiver acknowledged it: `sent`, `unchanged`, and the payload that was
    /// sent becomes the previous one.
    Accepted {
        /// The receipt's uuid, for `api_response`.
        receipt: String,
        /// The receipt's time, for `submission_timestamp`. Its zone is not published:
        /// kept as it is in a column without a zone, taken as UTC in one with.
        at: DateTime,
    },
    /// The receiver acknowledged the purge of a deleted child: `sent`, the state stays
    /// deleted, and the purge becomes the previous payload, so it is known that nothing
    /// is held.
    Purged {
        /// The receipt's uuid, for `api_response`.
        receipt: String,
        /// As for `Accepted`.
        at: DateTime,
        /// The purge record, as JSON text.
        record: String,
        /// SHA-256 of its meaning.
        hash: [u8; 32],
    },
    /// Refused, or its retries were spent: `error` and the reason, nothing else.
    Refused {
        /// For `api_response`; cut on a character boundary to what the column takes.
        reason: String,
    },
    /// Tried in testing mode: `testing` and the simulated receipt, nothing else.
    Tested {
        /// For `api_response`.
        receipt: String,
    },
}

impl RowResult {
    /// The status that the row gets.
    pub fn status(&self) -> SubmissionStatus {
        match self {
            RowResult::Accepted { .. } | RowResult::Purged { .. } => SubmissionStatus::Sent,
            RowResult::Refused { .. } => SubmissionStatus::Error,
            RowResult::Tested { .. } => SubmissionStatus::Testing,
        }
    }

    /// The text for `api_response`, cut to `limit` characters where there is a limit.
    pub(crate) fn response(&self, limit: Option<usize>) -> &str {
        let text = match self {
            RowResult::Accepted { receipt, .. }
            | RowResult::Purged { receipt, .. }
            | RowResult::Tested { receipt } => receipt,
            RowResult::Refused { reason } => reason,
        };
        match limit.and_then(|limit| text.char_indices().nth(limit)) {
            Some((end, _)) => &text[..end],
            None => text,
        }
    }

    /// The time for `submission_timestamp`, as `YYYY-MM-DD HH:MM:SS[.f…]`.
    pub(crate) fn timestamp(&self) -> Option<String> {
        match self {
            RowResult::Accepted { at, .. } | RowResult::Purged { at, .. } => {
                Some(at.to_string().replace('T', " "))
            }
            RowResult::Refused { .. } | RowResult::Tested { .. } => None,
        }
    }
}

impl RowResult {
    /// The purge record and the hash of its meaning.
    pub(crate) fn purge(&self) -> Option<(&str, &[u8; 32])> {
        match self {
            RowResult::Purged { record, hash, .. } => Some((record, hash)),
            RowResult::Accepted { .. } | RowResult::Refused { .. } | RowResult::Tested { .. } => {
                None
            }
        }
    }
}

/// A row and what became of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The row as it was read.
    pub key: RowKey,
    /// What became of it.
    pub result: RowResult,
}

/// A row to be staged: fake children and tests. Staged as the pilot's SQL does,
/// `pending` and `new`.
pub struct NewRow {
    /// The child.
    pub person_id: String,
    /// The case system's id.
    pub legacy_id: Option<String>,
    /// The full record, as JSON text.
    pub payload: String,
    /// SHA-256 of the payload's meaning.
    pub hash: [u8; 32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_cut_on_a_character_boundary() {
        let refused = RowResult::Refused {
            reason: "añ€😀z".into(),
        };
        assert_eq!(refused.response(Some(3)), "añ€");
        assert_eq!(refused.response(Some(4)), "añ€😀");
        assert_eq!(refused.response(Some(5)), "añ€😀z");
        assert_eq!(refused.response(Some(50)), "añ€😀z");
        assert_eq!(refused.response(None), "añ€😀z");
    }
}
