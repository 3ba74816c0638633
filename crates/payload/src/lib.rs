//! The child record: what it is, what it means, and what has changed in it.
//!
//! - [`Record`]: a staged payload that is one child's record, and its text on the
//!   wire.
//! - [`fn@meaning`], [`meaning_hash`]: when two payloads say the same.
//! - [`diff`], [`apply`], [`purge`]: the delta between what the receiver holds
//!   and what it should hold, and what a delta does.
//! - [`Skeleton`]: what was acknowledged, without a value of it, and the full
//!   record made exact by it.
//! - [`Fakes`]: invented children for demonstrations, tests and benchmarks.
//! - [`mod@scramble`]: real records made unrecognisable.
//!
//! It knows nothing of databases, networks and clocks.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod delta;
mod essence;
pub mod fake;
pub mod finding;
mod ids;
pub mod meaning;
mod name;
mod node;
mod part;
pub mod record;
pub mod report;
pub mod rules;
pub mod schema;
pub mod scramble;
mod shape;
pub mod skeleton;
mod tree;

pub use delta::{apply, diff, purge};
pub use essence::Essence;
pub use fake::{Fakes, test_record};
pub use meaning::{meaning, meaning_hash};
pub use record::{Parsed, Previous, Reading, Record, RecordFault, WithoutText};
pub use skeleton::Skeleton;
