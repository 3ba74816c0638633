//! What holds whatever is read: files that people write, and replies from outside.
//!
//! Each function takes any bytes and panics where a law is broken. The fuzz targets in
//! `fuzz/` call them with what a fuzzer invents, the tests of this crate with the seeds
//! of the fuzz targets and with many variations of them, the same at every run.

// A law that is broken is a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod connection;
mod env_file;
mod receipts;
mod replies;
mod retry_after;

pub use connection::connection;
pub use env_file::env_file;
pub use receipts::receipts;
pub use replies::{refusal, token};
pub use retry_after::retry_after;

/// The first line, and the rest.
fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}
