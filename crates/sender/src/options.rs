//! What a run is asked to do.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{Author, Checks, Gap, Payloads, RetryPolicy};

/// Whether anything leaves the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing leaves: the receiver is simulated inside the process, rows end as
    /// `testing` and stay eligible.
    Testing,
    /// Records are posted to the receiver.
    Live,
}

impl Mode {
    /// The word for reports.
    pub fn word(self) -> &'static str {
        match self {
            Mode::Testing => "testing",
            Mode::Live => "live",
        }
    }
}

/// What a run is asked to do.
#[derive(Clone)]
pub struct RunOptions {
    /// Whether anything leaves the authority.
    pub mode: Mode,
    /// Whole records or deltas.
    pub payloads: Payloads,
    /// The payload rules; `None` sends everything (`--no-validate`).
    pub checks: Option<Arc<Checks>>,
    /// Purge and send anew the children of whom something may have stayed at the
    /// receiver that the ledger does not know of (`--resync`).
    pub resync: bool,
    /// How many purges may pass where the ceiling would stop the run.
    pub allow_purges: Option<u64>,
    /// BATCH_SIZE: the most records of one batch, 1 to 100.
    pub batch_size: usize,
    /// MAX_BATCH_BYTES: the largest body of one batch. A single record that is larger
    /// goes alone: whether it is too large is for the receiver to say.
    pub max_batch_bytes: usize,
    /// CONCURRENCY: how many batches are posted at the same time, 1 to 4.
    pub concurrency: usize,
    /// The most rows that are read.
    pub limit: Option<u64>,
    /// MIN_GAP_MS and its jitter.
    pub gap: Gap,
    /// What is tried again, how often and for how long.
    pub retry: RetryPolicy,
    /// The run's id, in logs and in the journal: see [`new_run_id`].
    pub run_id: String,
    /// Who runs it, for the journal.
    pub author: Author,
}

/// An id for a run: the time in UTC, and eight digits that tell apart runs of one second.
pub fn new_run_id() -> String {
    format!(
        "{}-{:08x}",
        Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
        rand::random::<u32>()
    )
}

impl RunOptions {
    /// Whether `previous_json_payload` is worth reading: for a delta's baseline, and to
    /// know whom a resync is for.
    pub(crate) fn needs_previous(&self) -> bool {
        self.resync || self.payloads == Payloads::Deltas
    }
}
