//! One run: rows are read, prepared, put into batches, submitted, and what came back
//! is recorded. It knows neither which database nor which HTTP library is used.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod ahead;
mod counting;
mod deliver;
mod departures;
mod events;
mod figures;
mod journal;
mod ledger;
mod options;
mod pacing;
mod plan;
mod posting;
mod prepare;
mod purges;
mod reader;
mod recorder;
mod recording;
mod refusals;
mod report;
mod retry;
mod run;
mod run_record;
mod settling;
mod stop;
mod together;
mod validate;

pub use events::{Asked, Author, BatchEntry, ReadFault, Reader, RowEntry, RunEntry};
pub use figures::{Figure, Figures, Post};
pub use journal::{Journal, Opened};
pub use ledger::{Held, Ledger};
pub use options::{Mode, RunOptions, new_run_id};
pub use pacing::Gap;
pub use plan::Payloads;
pub use prepare::{Checks, Reason};
pub use refusals::{Refusal, Refusals};
pub use report::{Event, Failure, Preview, RowList, RunReport, Watch};
pub use retry::{NextTry, RetryPolicy};
pub use run::{PreparedDeltas, Run, send_one};
pub use run_record::{EndedBy, RunBrief, RunCounts, RunRecord, Setting};
pub use stop::{Stop, Stopper};
pub use validate::validate;
