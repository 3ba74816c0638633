//! Thirty days of changes, deletions, returns, failures and refusals: at the end the
//! receiver holds exactly what the table says.

use std::collections::BTreeMap;

use csc_payload::{Fakes, meaning};
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::place::Place;
use crate::postgres::{Schema, url};
use crate::table::Table;

const CHILDREN: u64 = 300;
const DAYS: u64 = 30;

/// The faults of a day: most days have one, some have none.
fn faults(rng: &mut impl RngExt, some_child: &str) -> Vec<String> {
    match rng.random_range(0..10) {
        0 => vec!["status=503,every=2,times=4".into()],
        1 => vec!["drop,every=2,times=3".into()],
        2 => vec!["status=500".into()],
        3 => vec![format!("refuse={some_child}")],
        4 => vec![
            format!("refuse-unnamed={some_child}"),
            "expire-tokens=2".into(),
        ],
        5 => vec!["garbage,times=1".into()],
        6 => vec!["drop".into()],
        7 => vec!["receipts=text".into(), "429=0,every=3".into()],
        _ => vec![],
    }
}

fn a_month(place: &Place, table: &Table<'_>, seed: u64) {
    let today = "2026-11-24".parse().unwrap();
    let fakes = Fakes::new(seed, today);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut children: BTreeMap<u64, Value> = BTreeMap::new();
    let mut gone: Vec<u64> = Vec::new();
    for n in 0..CHILDREN {
        children.insert(n, fakes.child(n));
        table.enter(n, &children[&n]);
    }
    for day in 1..=DAYS {
        for _ in 0..rng.random_range(5..40) {
            let n = rng.random_range(0..children.len() as u64);
            if gone.contains(&n) {
                continue;
            }
            let changed = fakes.changed(&children[&n], day);
            table.change(n, &changed);
            children.insert(n, changed);
        }
        for _ in 0..rng.random_range(0..3) {
            let n = rng.random_range(0..children.len() as u64);
            if !gone.contains(&n) {
                table.delete(n);
                gone.push(n);
            }
        }
        if !gone.is_empty() && rng.random_bool(0.3) {
            table.come_back(gone.remove(0));
        }
        let n = children.len() as u64;
        children.insert(n, fakes.child(n));
        table.enter(n, &children[&n]);
        let some_child = children[&rng.random_range(0..n)]["la_child_id"]
            .as_str()
            .unwrap()
            .to_string();
        for fault in faults(&mut rng, &some_child) {
            place.simulator.order(fault.parse().unwrap());
        }
        let mode = if rng.random_bool(0.2) {
            "full"
        } else {
            "deltas"
        };
        table.until_free();
        let ran = place.live(&["--mode", mode]);
        assert!(
            [0, 1, 4].contains(&ran.exit),
            "day {day}, seed {seed}: {}",
            ran.both()
        );
        place.simulator.withdraw_orders();
    }
    table.until_free();
    let ran = place.live(&["--mode", "deltas"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let held = place.simulator.records("845");
    let mut expected = 0;
    for (person, payload, state, status) in table.rows() {
        let id = payload["la_child_id"].as_str().unwrap();
        if state == "deleted" {
            assert!(
                !held.contains_key(id),
                "row of {person}: deleted and still held"
            );
            continue;
        }
        assert_eq!(status, "sent", "row of {person}");
        assert_eq!(meaning(&held[id]), meaning(&payload), "row of {person}");
        expected += 1;
    }
    assert_eq!(held.len(), expected, "nobody else is held");
    table.until_free();
    let idle = place.live(&["--mode", "deltas"]);
    assert!(idle.stdout.contains("with 0 posts"), "{}", idle.stdout);
}

#[test]
fn on_sqlite() {
    let place = Place::new(0, &[]);
    a_month(&place, &Table::Sqlite(&place), 1);
}

#[test]
fn on_postgresql() {
    let schema = Schema::new("month");
    let place = Place::new(0, &[]);
    let name = format!("{}.ssd_api_data_staging_anon", schema.name);
    place.write_env(&format!(
        "DB_CONNECTION_STRING={}\nTABLE_NAME={name}",
        url()
    ));
    assert_eq!(place.run(&["init"]).exit, 0);
    // As Eclipse has it.
    schema.execute(&format!(
        "ALTER TABLE {name} ALTER COLUMN json_payload TYPE JSONB USING json_payload::jsonb,
                            ALTER COLUMN previous_json_payload TYPE JSONB USING previous_json_payload::jsonb"
    ));
    a_month(&place, &Table::Postgres(&schema, name), 2);
}
