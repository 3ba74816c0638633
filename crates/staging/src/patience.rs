//! How long a database that has gone away is waited for.

use std::time::Duration;

use csc_message::Message;

use crate::{StoreError, StoreErrorKind};

/// The pauses before a new connection is tried where one was lost: some hundred seconds
/// together. A server that is started again is back within a minute or two.
pub(crate) const LOST: &[Duration] = &[
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_secs(30),
];

/// The pauses before a statement that lost a deadlock, or was not given a lock, is tried
/// again.
pub(crate) const BLOCKED: &[Duration] = &[Duration::from_millis(250), Duration::from_secs(1)];

/// How long the run lock is waited for on a new connection. The server may take a while to
/// notice that the old one, which holds it, is gone.
pub(crate) const LOCK_AGAIN: Duration = Duration::from_secs(60);

/// What is said where the connection was lost under something that is not tried again: what
/// is begun there is a transaction, which ends with its connection.
pub(crate) fn lost(place: &str, what: &str, why: String) -> StoreError {
    StoreError::new(
        StoreErrorKind::Connection,
        Message::new(
            303,
            format!("Cannot {what} ({place})"),
            why,
            "check that the server is up and the network lets the connection stand, then start \
             again: all of it or nothing is written, since the server undoes what was only begun",
        ),
    )
}

/// What is said where a database has not come back after so many tries. `why`: of the last.
pub(crate) fn stayed_away(
    place: &str,
    what: &str,
    tries: usize,
    waited: Duration,
    why: &str,
) -> StoreError {
    StoreError::new(
        StoreErrorKind::Connection,
        Message::new(
            340,
            format!("Cannot {what} ({place})"),
            format!(
                "the database is gone, and {tries} tries in {} s did not bring it back: {why}",
                waited.as_secs()
            ),
            "check that the server is up and the network lets the connection stand, then \
             start again: what a run sent and could not record is in the journal, and the \
             next run records it first",
        ),
    )
}
