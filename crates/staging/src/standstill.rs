//! What a store waits for in the middle of its work, told to whoever watches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Work that stands still: something is tried again and again, until it helps or there
/// have been enough tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standstill {
    /// What is wrong, without any value of a statement.
    pub why: String,
    /// The pauses before the tries that are left, together: it takes longer where the tries
    /// themselves take their time.
    pub patience: Duration,
}

/// Where a store's connections tell of it. Only the first one's words count: the other is
/// waiting for the same server.
#[derive(Clone, Default)]
pub(crate) struct Standstills(Arc<watch::Sender<Option<Standstill>>>);

/// The run lock went with its connection, and is not given on the new one.
pub(crate) fn lock_is_held() -> String {
    "the run lock was lost with its connection, and the server has not let go of it yet, or another \
     run has taken it"
        .to_string()
}

impl Standstills {
    pub(crate) fn begins(&self, why: impl FnOnce() -> String, patience: Duration) {
        self.0.send_if_modified(|now| {
            let begins = now.is_none();
            now.get_or_insert_with(|| Standstill {
                why: why(),
                patience,
            });
            begins
        });
    }

    pub(crate) fn ends(&self) {
        self.0.send_if_modified(|now| now.take().is_some());
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Standstill>> {
        self.0.subscribe()
    }
}
