//! The built program is killed at random moments, again and again, while the receiver
//! fails on its own. Nothing is lost, nothing is marked that did not arrive, and what
//! arrived twice is named.
//!
//! `CSC_KILLS` says how often in all: 300 without it, over the four tests together.

use std::collections::BTreeMap;
use std::time::Duration;

use csc_payload::meaning;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::place::Place;
use crate::postgres::{Schema, url};
use crate::table::Table;

const CHILDREN: u64 = 60;

fn kills() -> u64 {
    let all: u64 = std::env::var("CSC_KILLS").map_or(300, |n| n.parse().unwrap());
    all.div_ceil(4)
}

/// A child's record, of which every version differs in a field that every delta carries.
pub fn record(child: u64, version: u64) -> Value {
    json!({
        "la_child_id": format!("C{child}"),
        "child_details": {"sex": "M", "first_name": format!("version {version}")},
    })
}

fn version(record: &Value) -> &Value {
    &record["child_details"]["first_name"]
}

/// The table as an authority's own SQL would change it in a night.
struct Night<'a> {
    table: &'a Table<'a>,
    rng: ChaCha8Rng,
    version: u64,
    children: u64,
    deleted: Vec<u64>,
}

impl Night<'_> {
    fn change(&mut self) {
        for _ in 0..self.rng.random_range(0..15) {
            let child = self.rng.random_range(0..self.children);
            if !self.deleted.contains(&child) {
                self.version += 1;
                self.table.change(child, &record(child, self.version));
            }
        }
        if self.rng.random_bool(0.2) {
            let child = self.rng.random_range(0..self.children);
            if !self.deleted.contains(&child) {
                self.table.delete(child);
                self.deleted.push(child);
            }
        }
        if self.rng.random_bool(0.1) && !self.deleted.is_empty() {
            let child = self.deleted.remove(0);
            self.version += 1;
            self.table.change(child, &record(child, self.version));
        }
        if self.rng.random_bool(0.1) {
            self.version += 1;
            self.table
                .enter(self.children, &record(self.children, self.version));
            self.children += 1;
        }
    }

    fn fault(&mut self) -> Option<&'static str> {
        match self.rng.random_range(0..8) {
            0 => Some("status=503,every=3"),
            1 => Some("drop,every=3"),
            2 => Some("garbage,times=1"),
            3 => Some("slow=20"),
            _ => None,
        }
    }
}

/// A row that is marked sent is at the receiver as it stands in the table.
pub fn nothing_is_marked_that_did_not_arrive(place: &Place, table: &Table<'_>, when: &str) {
    let held = place.simulator.records("845");
    for (person, payload, state, status) in table.rows() {
        let child = payload["la_child_id"].as_str().unwrap();
        if status != "sent" {
            continue;
        }
        match state.as_str() {
            "unchanged" => assert_eq!(
                meaning(&held[child]),
                meaning(&payload),
                "row of {person}, {when}"
            ),
            // Deleted in the table; that its purge has arrived shows at the end.
            "deleted" => {}
            other => panic!("row of {person}, {when}: sent and {other}"),
        }
    }
}

/// How often each version of each child left, beyond once, by the journal's own words.
fn named_as_sent_again(place: &Place, table: &Table<'_>) -> BTreeMap<String, i64> {
    let journal = rusqlite::Connection::open(place.file("state/journal.db")).unwrap();
    let check: String = journal
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let mut again = BTreeMap::new();
    let children = table.children_by_row();
    let mut rows = journal
        .prepare("SELECT row_id, again, posts FROM departure JOIN batch USING (batch_id)")
        .unwrap();
    let mut rows = rows.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (id, goes_again, posts): (i64, i64, i64) = (
            row.get(0).unwrap(),
            row.get(1).unwrap(),
            row.get(2).unwrap(),
        );
        *again.entry(children[&id].clone()).or_insert(0) += goes_again + posts - 1;
    }
    again
}

pub fn what_arrived_twice_is_named(place: &Place, table: &Table<'_>) {
    let mut arrived: BTreeMap<(String, String), i64> = BTreeMap::new();
    for record in place.simulator.log() {
        let child = record["la_child_id"].as_str().unwrap().to_string();
        // Purges of one child have no version; a child is not purged twice unless it was
        // sent in between, which the versions show.
        if record["purge"] != true {
            *arrived
                .entry((child, version(&record).to_string()))
                .or_default() += 1;
        }
    }
    let again = named_as_sent_again(place, table);
    let mut twice: BTreeMap<String, i64> = BTreeMap::new();
    for ((child, _), times) in arrived {
        *twice.entry(child).or_default() += times - 1;
    }
    for (child, times) in twice {
        let named = again.get(&child).copied().unwrap_or(0);
        assert!(
            named >= times,
            "{child} arrived {times} times too often, the journal names {named}"
        );
    }
}

fn killed_again_and_again(place: &Place, table: &Table<'_>, mode: &str, seed: u64) {
    let mut night = Night {
        table,
        rng: ChaCha8Rng::seed_from_u64(seed),
        version: 0,
        children: CHILDREN,
        deleted: Vec::new(),
    };
    place.simulator.keep_log();
    for child in 0..CHILDREN {
        table.enter(child, &record(child, 0));
    }
    let arguments = [
        "send",
        "--live",
        "--yes",
        "--mode",
        mode,
        "--allow-purges",
        "1000",
        // Batches one after the other, and side by side.
        "--concurrency",
        if seed.is_multiple_of(2) { "3" } else { "1" },
    ];
    // As long as a whole run takes here, so that the moments fall all over it.
    let begun = std::time::Instant::now();
    assert_eq!(place.run(&arguments).exit, 0);
    let mut whole = begun.elapsed().max(Duration::from_millis(50));
    let (mut killed, mut missed) = (0, 0);
    while killed < kills() {
        night.change();
        if let Some(fault) = night.fault() {
            place.simulator.order(fault.parse().unwrap());
        }
        let mut program = place.start(&arguments);
        let moment = whole.mul_f64(night.rng.random_range(0.05..1.3));
        std::thread::sleep(moment);
        if program.try_wait().unwrap().is_none() {
            program.kill().unwrap();
            (killed, missed) = (killed + 1, 0);
        } else {
            missed += 1;
        }
        // The first run may have been slower, on a machine that others used then: hardly a kill
        // would meet one any more.
        if missed == 5 {
            (whole, missed) = (whole.mul_f64(0.7), 0);
        }
        program.wait().unwrap();
        place.simulator.withdraw_orders();
        let when = format!("after kill {killed}, {mode}, seed {seed}");
        nothing_is_marked_that_did_not_arrive(place, table, &when);
    }
    table.until_free();
    let last = place.run(&arguments);
    assert_eq!(last.exit, 0, "{}", last.both());
    nothing_is_marked_that_did_not_arrive(place, table, "at the end");
    let held = place.simulator.records("845");
    for (person, payload, state, status) in table.rows() {
        let child = payload["la_child_id"].as_str().unwrap();
        if state == "deleted" {
            assert!(!held.contains_key(child), "row of {person} is still held");
        } else {
            assert_eq!(status, "sent", "row of {person}: {}", last.both());
            assert_eq!(meaning(&held[child]), meaning(&payload), "row of {person}");
        }
    }
    what_arrived_twice_is_named(place, table);
    table.until_free();
    let idle = place.run(&arguments);
    assert!(idle.stdout.contains("with 0 posts"), "{}", idle.both());
}

fn on_sqlite(mode: &str, seed: u64) {
    let place = Place::new(0, &[]);
    killed_again_and_again(&place, &Table::Sqlite(&place), mode, seed);
}

fn on_postgresql(mode: &str, seed: u64) {
    let schema = Schema::new(&format!("kills_{mode}"));
    let place = Place::new(0, &[]);
    let name = format!("{}.ssd_api_data_staging_anon", schema.name);
    place.write_env(&format!(
        "DB_CONNECTION_STRING={}\nTABLE_NAME={name}",
        url()
    ));
    assert_eq!(place.run(&["init"]).exit, 0);
    killed_again_and_again(&place, &Table::Postgres(&schema, name), mode, seed);
}

#[test]
fn full_records_on_sqlite() {
    on_sqlite("full", 11);
}

#[test]
fn deltas_on_sqlite() {
    on_sqlite("deltas", 12);
}

#[test]
fn full_records_on_postgresql() {
    on_postgresql("full", 13);
}

#[test]
fn deltas_on_postgresql() {
    on_postgresql("deltas", 14);
}
