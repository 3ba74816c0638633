//! The table of fake children (`ssd_api_data_staging_anon`): invented ones ([`fill()`]),
//! what a night changes in them ([`age()`]), and real ones made unrecognisable
//! ([`scramble()`]).
//!
//! Everything goes through a store, which refuses a table whose name does not end in
//! `_anon`. Memory does not grow with the number of children, but for the identifiers of
//! a table that is scrambled (see [`csc_payload::scramble::Ids`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod age;
mod fill;
mod scramble;

use csc_payload::meaning_hash;
use csc_staging::{Halt, NewRow};
use serde_json::Value;

pub use age::{Aged, age};
pub use fill::{Filling, Order, fill};
pub use scramble::{Report, scramble};

/// How far something has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done, e.g. `fake children made`.
    pub what: &'static str,
    /// So many.
    pub done: u64,
    /// Of so many.
    pub of: u64,
}

/// Is told how far it has got, and says whether to go on.
pub trait Watch: Send {
    /// After each piece of work.
    fn step(&mut self, step: Step);
    /// Whether somebody has asked to stop.
    fn stopped(&self) -> bool;
}

/// Ends what is under way where somebody has asked for it.
fn go_on(watch: &dyn Watch) -> Result<(), Halt> {
    if watch.stopped() {
        Err(Halt::Stopped)
    } else {
        Ok(())
    }
}

/// An invented child's row, as it is first staged.
fn row_of(child: &Value) -> NewRow {
    let text = |key: &str| child.get(key).and_then(Value::as_str).map(str::to_string);
    NewRow {
        person_id: text("la_child_id").unwrap_or_default(),
        legacy_id: text("mis_child_id"),
        hash: meaning_hash(child),
        payload: child.to_string(),
    }
}
