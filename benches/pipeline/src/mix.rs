//! Which children a table holds, and what becomes of them between two nights.

use csc_payload::{Fakes, meaning_hash};
use csc_staging::NewRow;
use jiff::civil::{Date, date};
use serde_json::Value;

/// The children are the same on every machine and every day.
const SEED: u64 = 2026;
const TODAY: Date = date(2026, 11, 24);

/// What became of a child since the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent, and as it was.
    Unchanged,
    /// The record changed: pending.
    Updated,
    /// The child left the cohort.
    Deleted,
    /// The record changed, and an earlier try to send it was refused.
    Refused,
}

impl Fate {
    /// The fate of the `n`th child of those that were sent before. Of a table's rows
    /// 10 % are new; of the other 90 % these are 55 (unchanged), 25 (updated), 5
    /// (deleted) and 5 (refused), spread evenly through the table.
    pub fn of(n: u64) -> Fate {
        match n % 18 {
            0..=10 => Fate::Unchanged,
            11..=15 => Fate::Updated,
            16 => Fate::Deleted,
            _ => Fate::Refused,
        }
    }
}

/// How many of a table's rows are new in a night.
pub fn new_rows(rows: u64) -> u64 {
    rows / 10
}

/// The invented children.
pub struct Children(Fakes);

impl Children {
    pub fn new() -> Self {
        Children(Fakes::new(SEED, TODAY))
    }

    /// The `n`th child as it is first staged.
    pub fn first(&self, n: u64) -> NewRow {
        staged(&self.0.child(n))
    }

    /// The `n`th child a day later, changed.
    pub fn changed(&self, n: u64) -> NewRow {
        staged(&self.0.changed(&self.0.child(n), 1))
    }
}

fn staged(child: &Value) -> NewRow {
    let text = |key: &str| child.get(key).and_then(Value::as_str).map(str::to_string);
    NewRow {
        person_id: text("la_child_id").unwrap_or_default(),
        legacy_id: text("mis_child_id"),
        hash: meaning_hash(child),
        payload: child.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_has_the_mix_that_it_says() {
        let rows = 10_000;
        let sent_before = rows - new_rows(rows);
        let count = |fate| (1..=sent_before).filter(|n| Fate::of(*n) == fate).count();
        assert_eq!(new_rows(rows), 1000);
        assert_eq!(count(Fate::Unchanged), 5500);
        assert_eq!(count(Fate::Updated), 2500);
        assert_eq!(count(Fate::Deleted), 500);
        assert_eq!(count(Fate::Refused), 500);
    }

    #[test]
    fn payloads_are_about_as_large_as_the_benchmark_says() {
        let children = Children::new();
        let bytes: usize = (1..=500).map(|n| children.first(n).payload.len()).sum();
        let average = bytes / 500;
        assert!((2200..=2700).contains(&average), "{average} bytes");
    }

    #[test]
    fn a_changed_child_is_the_same_child_with_another_meaning() {
        let children = Children::new();
        for n in 1..=50 {
            let (before, after) = (children.first(n), children.changed(n));
            assert_eq!(before.person_id, after.person_id);
            assert_ne!(before.hash, after.hash);
        }
    }
}
