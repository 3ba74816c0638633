//! A table scrambled into another one: all of it, checked, or nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use csc_anon::{Report, Step, Watch, scramble};
use csc_payload::scramble::{Ids, Scramble, Scrambled, Scrambler, Source, Unfit};
use csc_payload::{Fakes, meaning_hash};
use csc_staging::connection::{ConnectionTarget, SqlitePath};
use csc_staging::{
    Earlier, Filled, Halt, NewRow, Selection, StagingStore, Superseded, connect_creating,
};
use serde_json::Value;

const REAL: &str = "ssd_api_data_staging";
const ANON: &str = "ssd_api_data_staging_anon";

/// Says nothing, and stops after a step of that name.
struct Quiet {
    stop_at: &'static str,
    stopped: bool,
}

impl Watch for Quiet {
    fn step(&mut self, step: Step) {
        self.stopped = step.what == self.stop_at;
    }

    fn stopped(&self) -> bool {
        self.stopped
    }
}

fn quiet() -> Quiet {
    Quiet {
        stop_at: "never",
        stopped: false,
    }
}

struct Place {
    folder: tempfile::TempDir,
    source: Arc<dyn StagingStore>,
    target: Arc<dyn StagingStore>,
}

impl Place {
    /// Children in the source, one with rows of every kind; the target is empty.
    async fn new(children: u64) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let target = ConnectionTarget::Sqlite {
            path: SqlitePath::File(folder.path().join("children.db")),
        };
        let store = async |table: &str| {
            let store = connect_creating(&target, &table.parse().unwrap())
                .await
                .unwrap();
            store.create().await.unwrap();
            store
        };
        let (source, target) = (store(REAL).await, store(ANON).await);
        let fakes = Fakes::new(1, "2026-09-14".parse().unwrap());
        let row = |n| {
            let child = fakes.child(n);
            NewRow {
                person_id: Fakes::la_child_id(n),
                legacy_id: Some(Fakes::mis_child_id(n)),
                hash: meaning_hash(&child),
                payload: child.to_string(),
            }
        };
        let rows: Vec<NewRow> = (1..=children).map(row).collect();
        source.stage(&rows).await.unwrap();
        Place {
            folder,
            source,
            target,
        }
    }

    fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("children.db")).unwrap()
    }

    fn execute(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap();
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let connection = self.sql();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Option<String>>(0));
        rows.unwrap()
            .map(|text| text.unwrap().unwrap_or_default())
            .collect()
    }

    async fn scramble(&self, scrambler: &dyn Scramble) -> Result<Report, Halt> {
        scramble(
            &*self.source,
            &*self.target,
            scrambler,
            Earlier::Kept,
            &mut quiet(),
        )
        .await
    }

    async fn written(&self) -> u64 {
        self.target
            .count(Selection::Children, &Superseded::default())
            .await
            .unwrap()
    }
}

fn code(halt: Halt) -> u16 {
    match halt {
        Halt::Failed(message) => message.code(),
        Halt::Stopped => 0,
    }
}

#[tokio::test]
async fn the_newest_row_of_each_child_is_scrambled_and_nothing_else_is_taken() {
    let place = Place::new(540).await;
    place.execute(&format!(
        "UPDATE {REAL} SET submission_status = 'sent', api_response = 'canary', previous_json_payload = json_payload;
         UPDATE {REAL} SET json_payload = 'canary {{' WHERE id = 7;
         UPDATE {REAL} SET row_state = 'Deleted' WHERE id IN (8, 9);
         UPDATE {REAL} SET person_id = 'FAKE0000010' WHERE id = 11;
         UPDATE {REAL} SET person_id = NULL, legacy_id = NULL WHERE id = 12"
    ));
    let report = place.scramble(&Scrambler::new()).await.unwrap();
    assert_eq!(report.looked_at, 540);
    assert_eq!(report.no_record, 1);
    assert!(report.identifiers > 5_400, "{report:?}");
    // One cut off, two deleted, one older.
    let expected = Filled {
        removed: 0,
        written: 536,
    };
    assert_eq!(report.rows, expected);
    let summary = place.target.summary().await.unwrap();
    assert_eq!(summary.counts, [("pending".into(), "new".into(), 536)]);
    assert_eq!(summary.children_with_several_rows, 0);
    let all = place
        .texts(&format!(
            "SELECT concat_ws('|', person_id, legacy_id, json_payload, api_response, previous_json_payload) FROM {ANON}"
        ))
        .join("\n");
    for word in ["FAKE", "canary"] {
        assert!(!all.contains(word), "{word}");
    }
    let same = place.texts(&format!(
        "SELECT person_id FROM {ANON} WHERE person_id = json_payload ->> 'la_child_id'"
    ));
    assert_eq!(
        same.len(),
        534,
        "the column and the record agree where they did"
    );
}

/// A scrambler that leaves a child's surname in the last row.
struct Faulty(u64, AtomicBool);

impl Scramble for Faulty {
    fn scramble(&self, row: &Source<'_>, ids: &Ids) -> Result<Scrambled, Unfit> {
        let mut made = Scrambler::new().scramble(row, ids)?;
        let source: Value = serde_json::from_str(row.payload).unwrap();
        if source["la_child_id"] == Fakes::la_child_id(self.0) {
            made.payload["child_details"]["surname"] = source["child_details"]["surname"].clone();
            self.1.store(true, Ordering::Relaxed);
        }
        Ok(made)
    }
}

#[tokio::test]
async fn one_value_left_in_the_last_of_many_children_keeps_all_from_being_written() {
    let place = Place::new(540).await;
    let faulty = Faulty(540, AtomicBool::new(false));
    let halt = place.scramble(&faulty).await.unwrap_err();
    assert!(faulty.1.load(Ordering::Relaxed), "it came to the last");
    let Halt::Failed(message) = halt else {
        panic!("{halt:?}")
    };
    assert_eq!(message.code(), 623);
    assert_eq!(message.why(), "child_details.surname still what it was (1)");
    assert!(message.what().contains("row 540"), "{message}");
    assert_eq!(place.written().await, 0);
}

/// Adds a child to the source while it is scrambled.
struct Meddling<'a>(&'a Place, AtomicBool);

impl Scramble for Meddling<'_> {
    fn scramble(&self, row: &Source<'_>, ids: &Ids) -> Result<Scrambled, Unfit> {
        if !self.1.swap(true, Ordering::Relaxed) {
            self.0.execute(&format!(
                "INSERT INTO {REAL} (person_id, json_payload) VALUES ('N1', '{{\"la_child_id\": \"N1\"}}')"
            ));
        }
        Scrambler::new().scramble(row, ids)
    }
}

#[tokio::test]
async fn a_child_that_comes_meanwhile_ends_it_and_nothing_is_written() {
    let place = Place::new(60).await;
    let meddling = Meddling(&place, AtomicBool::new(false));
    assert_eq!(code(place.scramble(&meddling).await.unwrap_err()), 624);
    assert_eq!(place.written().await, 0);
    assert_eq!(
        place
            .scramble(&Scrambler::new())
            .await
            .unwrap()
            .rows
            .written,
        61
    );
}

#[tokio::test]
async fn a_stop_leaves_the_target_as_it_was() {
    let place = Place::new(60).await;
    place.execute(&format!(
        "INSERT INTO {ANON} (json_payload) VALUES ('{{}}')"
    ));
    let halt = place.scramble(&Scrambler::new()).await.unwrap_err();
    assert_eq!(
        code(halt),
        622,
        "rows that are there stay unless they may go"
    );
    let replace = async |watch: &mut Quiet| {
        let (source, target) = (&*place.source, &*place.target);
        scramble(source, target, &Scrambler::new(), Earlier::Replaced, watch).await
    };
    for stop_at in [
        "rows looked at for identifiers",
        "children scrambled and checked",
    ] {
        let mut watch = Quiet {
            stop_at,
            stopped: false,
        };
        assert_eq!(replace(&mut watch).await, Err(Halt::Stopped));
        assert_eq!(place.written().await, 1);
    }
    let expected = Filled {
        removed: 1,
        written: 60,
    };
    assert_eq!(replace(&mut quiet()).await.unwrap().rows, expected);
}
