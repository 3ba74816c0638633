//! What a run is asked to do.

use crate::{Gap, RetryPolicy};

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
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Whether anything leaves the authority.
    pub mode: Mode,
    /// BATCH_SIZE: the most records of one batch, 1 to 100.
    pub batch_size: usize,
    /// MAX_BATCH_BYTES: the largest body of one batch. A single record that is larger
    /// goes alone: whether it is too large is for the receiver to say.
    pub max_batch_bytes: usize,
    /// The most rows that are read.
    pub limit: Option<u64>,
    /// MIN_GAP_MS and its jitter.
    pub gap: Gap,
    /// What is tried again, how often and for how long.
    pub retry: RetryPolicy,
}
