//! Why the database could not do what was asked.

use csc_message::Message;

/// What a caller may want to tell apart; the message says it to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Another run holds the table.
    Busy,
    /// The connection is gone or was never there.
    Connection,
    /// The table is missing or lacks something.
    Table,
    /// The database refused a statement.
    Statement,
}

/// A failure of the database, with its message to a person.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// The kind.
    pub kind: StoreErrorKind,
    /// What failed, why, what to do next.
    pub message: Message,
}

impl StoreError {
    pub(crate) fn new(kind: StoreErrorKind, message: Message) -> Self {
        StoreError { kind, message }
    }
}

impl From<StoreError> for Message {
    fn from(error: StoreError) -> Message {
        error.message
    }
}
