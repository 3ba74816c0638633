//! `fake`, `fake changes`, `scramble` and `reset`, on SQLite and PostgreSQL.

use csc_staging::connect;
use csc_staging::connection::parse;
use serde_json::{Value, json};

use crate::place::{Place, Ran, TABLE};
use crate::postgres::{Schema, url};

const REAL: &str = "ssd_api_data_staging";

macro_rules! printed {
    ($name:expr, $ran:expr, $place:expr) => {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $ran.shown($place));
        });
    };
}

/// Payloads in the order of their rows.
fn payloads(place: &Place, table: &str) -> Vec<String> {
    let sql = place.sql();
    let mut statement = sql
        .prepare(&format!("SELECT json_payload FROM {table} ORDER BY id"))
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn done(ran: Ran) -> Ran {
    assert_eq!(ran.exit, 0, "{}", ran.both());
    ran
}

#[test]
fn fake_children_are_made_validated_and_sent() {
    let place = Place::new(0, &[]);
    let made = place.run(&["fake", "--count", "700", "--seed", "5"]);
    printed!("fake", made, &place);
    assert_eq!(place.run(&["validate", "--strict"]).exit, 0);
    done(place.live(&["--batch-size", "100"]));
    assert_eq!(place.simulator.counts().children_held, 700);
    let first = payloads(&place, TABLE);
    printed!(
        "fake_into_a_table_with_rows",
        place.run(&["fake", "--count", "3"]),
        &place
    );
    assert_eq!(place.statuses(), "sent 700");
    let again = place.run(&["fake", "--count", "700", "--seed", "5", "--replace"]);
    printed!("fake_replacing", again, &place);
    assert_eq!(
        payloads(&place, TABLE),
        first,
        "the same seed, the same children"
    );
    done(place.run(&["fake", "--count", "700", "--seed", "6", "--replace"]));
    assert_ne!(payloads(&place, TABLE), first);
}

#[test]
fn a_tenth_of_the_children_is_wrong_where_that_is_asked_for() {
    let place = Place::new(0, &[]);
    let made = place.run(&["fake", "--count", "400", "--with-faults"]);
    printed!("fake_with_faults", made, &place);
    let found = place.run(&["validate", "--format", "json"]);
    assert_eq!(found.exit, 1, "{}", found.both());
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    let count = |key: &str| found[key].as_u64().unwrap();
    assert_eq!(count("records"), 400);
    assert_eq!(count("with_errors") + count("with_warnings"), 40);
}

#[test]
fn nothing_invented_or_scrambled_goes_into_a_table_of_real_children() {
    let place = Place::with_payloads(REAL, &["{}".into()], &[]);
    for command in [
        &["fake", "--count", "3", "--replace", "--table", REAL][..],
        &["fake", "changes", "--table", REAL],
        &["scramble", "--from", TABLE, "--to", REAL, "--replace"],
    ] {
        let refused = place.run(command);
        assert_eq!(refused.exit, 6, "{command:?}: {}", refused.both());
        assert!(refused.stderr.contains("CSC0621"), "{}", refused.stderr);
        assert_eq!(payloads(&place, REAL), ["{}"]);
    }
    printed!(
        "fake_into_real",
        place.run(&["fake", "--count", "3", "--table", REAL]),
        &place
    );
    printed!(
        "scramble_into_itself",
        place.run(&["scramble", "--from", "main.x_anon", "--to", "x_anon"]),
        &place
    );
}

#[test]
fn a_night_changes_the_table_and_deltas_bring_the_receiver_up_to_it() {
    let place = Place::new(0, &[]);
    done(place.run(&["fake", "--count", "400"]));
    done(place.live(&[]));
    let before = payloads(&place, TABLE);
    printed!(
        "fake_changes",
        place.run(&["fake", "changes", "--days", "2"]),
        &place
    );
    let sql = place.sql();
    let count = |condition: &str| -> i64 {
        let sql_text = format!("SELECT count(*) FROM {TABLE} WHERE {condition}");
        sql.query_row(&sql_text, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(
        count("row_state = 'deleted' AND submission_status = 'sent'"),
        4
    );
    assert_eq!(
        count("row_state = 'new' AND submission_status = 'pending'"),
        8
    );
    let updated = count(
        "row_state = 'updated' AND submission_status = 'pending' AND current_hash <> previous_hash
         AND previous_json_payload <> json_payload",
    );
    assert!((20..=40).contains(&updated), "{updated}");
    done(place.live(&["--mode", "deltas"]));
    for (child, state) in children(&place) {
        let id = child["la_child_id"].as_str().unwrap();
        let held = place.simulator.record("845", id);
        match state.as_str() {
            "deleted" => assert_eq!(held, None, "{id}"),
            _ => assert_eq!(
                held.map(|held| csc_payload::meaning(&held)),
                Some(csc_payload::meaning(&child)),
                "{id}"
            ),
        }
    }
    // The same table, seed and day give the same changes.
    let after = payloads(&place, TABLE);
    done(place.run(&["fake", "--count", "400", "--replace"]));
    assert_eq!(payloads(&place, TABLE), before);
    done(place.run(&["fake", "changes", "--days", "2"]));
    assert_eq!(payloads(&place, TABLE), after);
}

fn children(place: &Place) -> Vec<(Value, String)> {
    let sql = place.sql();
    let mut statement = sql
        .prepare(&format!("SELECT json_payload, row_state FROM {TABLE}"))
        .unwrap();
    let rows = statement.query_map([], |row| {
        let payload: String = row.get(0)?;
        Ok((serde_json::from_str(&payload).unwrap(), row.get(1)?))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// A child all of whose values are words of its own.
fn child(n: usize) -> Value {
    let first_names = ["Canaryforename", "É", "Testina canary"];
    json!({
        "la_child_id": format!("canary-child-{n}"),
        "mis_child_id": format!("{n}9b2d6f3e-0f5b-4e0c-8f52-5b1a4d0d3c1"),
        "sibling_id": format!("canary-child-{}", n % 40 + 1),
        "note": format!("canarynote: canary-child-{n} of Canaryford"),
        "child_details": {
            "unique_pupil_number": format!("H8012000{n:05}"),
            "first_name": first_names[n % 3],
            "surname": "O'Canary",
            "date_of_birth": format!("2009-01-{:02}", 1 + n % 28),
            "postcode": "CN1 9RY",
            "sex": "F",
            "ethnicity": "canaryethnicity",
        },
        "social_care_episodes": [{
            "social_care_episode_id": format!("47114711{n:03}"),
            "referral_date": format!("2010-03-{:02}", 1 + n % 28),
            "closure_date": if n.is_multiple_of(5) { "canary date".to_string() } else { "2011-01-01".to_string() },
            "care_worker_details": [{"worker_id": "canarywrk1", "start_date": "2010-04-01"}],
        }],
    })
}

const CANARIES: [&str; 6] = ["canary", "o'c", "h8012000", "9b2d6f3e", "47114711", "cn1"];

fn assert_silent(text: &str, about: &str) {
    let lower = text.to_lowercase();
    for word in CANARIES {
        assert!(!lower.contains(word), "{word:?} is in {about}: {text}");
    }
}

#[test]
fn a_scrambled_table_and_what_is_printed_hold_nothing_of_the_real_children() {
    let mut texts: Vec<String> = (1..=40).map(|n| child(n).to_string()).collect();
    texts[6].truncate(200);
    let place = Place::with_payloads(REAL, &texts, &[]);
    place.write_env("LOG_FILE=run.log");
    place
        .sql()
        .execute_batch(&format!(
            "UPDATE {REAL} SET person_id = 'canary-child-' || id, legacy_id = 'canarylegacy' || id,
                previous_json_payload = json_payload, api_response = 'canaryresponse'",
        ))
        .unwrap();
    done(place.run(&["init"]));
    for verbosity in ["-v", "-vv"] {
        let ran = place.run(&[
            "scramble",
            "--from",
            REAL,
            "--to",
            TABLE,
            "--replace",
            verbosity,
        ]);
        assert_eq!(ran.exit, 0, "{}", ran.both());
        assert_silent(&ran.both(), "the output");
        assert_silent(
            &std::fs::read_to_string(place.file(&place.newest_log("run", ".log"))).unwrap(),
            "the log",
        );
    }
    printed!(
        "scramble",
        place.run(&["scramble", "--from", REAL, "--to", TABLE, "--replace"]),
        &place
    );
    let all: Vec<String> = {
        let sql = place.sql();
        let mut statement = sql
            .prepare(&format!(
                "SELECT concat_ws(' ', person_id, legacy_id, json_payload, previous_json_payload, api_response)
                 FROM {TABLE}"
            ))
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(all.len(), 39, "the one that was cut off is left out");
    for row in &all {
        assert_silent(row, "the target");
    }
    assert_silent(
        &place.run(&["validate", "--format", "csv"]).both(),
        "a validation",
    );
    let still = payloads(&place, REAL);
    assert_eq!(still, texts, "the source is as it was");
    let scrambled: Vec<Value> = payloads(&place, TABLE)
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let worker = |child: &Value| {
        child["social_care_episodes"][0]["care_worker_details"][0]["worker_id"].clone()
    };
    assert!(
        scrambled
            .iter()
            .all(|child| worker(child) == worker(&scrambled[0]))
    );
    let kept = place.sql().query_row(
        &format!("SELECT count(*) FROM {TABLE} WHERE person_id = json_payload ->> 'la_child_id'"),
        [],
        |row| row.get::<_, i64>(0),
    );
    assert_eq!(kept.unwrap(), 39, "column and record name the child alike");
    done(place.live(&["--no-validate"]));
    assert_eq!(place.simulator.counts().children_held, 39);
}

#[test]
fn a_source_that_is_missing_leaves_the_target_alone() {
    let place = Place::new(2, &[]);
    let ran = place.run(&["scramble", "--from", "no_such", "--to", TABLE, "--replace"]);
    assert_eq!(ran.exit, 3, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0304"), "{}", ran.stderr);
    assert_eq!(place.statuses(), "pending 2");
}

#[test]
fn rows_go_back_to_pending() {
    let place = Place::new(20, &["refuse=C7"]);
    assert_eq!(place.live(&[]).exit, 1);
    place.execute(
        "UPDATE {t} SET submission_status = 'Testing' WHERE id > 15;
         UPDATE {t} SET row_state = 'Deleted' WHERE id = 1",
    );
    printed!(
        "reset_error",
        place.run(&["reset", "--status", "error"]),
        &place
    );
    assert_eq!(place.statuses(), "pending 1, sent 14, testing 5");
    printed!("reset", place.run(&["reset"]), &place);
    assert_eq!(place.statuses(), "pending 19, sent 1");
    printed!(
        "reset_nothing",
        place.run(&["reset", "--status", "error,testing"]),
        &place
    );
    assert!(
        !place.text("api_response", 2).is_empty(),
        "the receipt stays"
    );
    // What the receiver holds already is no delta.
    let posts = place.simulator.counts().accepted_batches;
    let ran = place.live(&["--mode", "deltas"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert_eq!(place.statuses(), "error 1, sent 19");
    assert!(place.simulator.counts().accepted_batches <= posts + 1);
}

#[test]
fn real_children_are_set_back_only_as_far_as_is_harmless_and_after_a_yes() {
    let payloads = [
        crate::place::payload(1),
        crate::place::payload(2),
        crate::place::payload(3),
    ];
    let place = Place::with_payloads(REAL, &payloads, &[]);
    let set = |status: &str, id: i64| {
        let sql = format!("UPDATE {REAL} SET submission_status = '{status}' WHERE id = {id}");
        place.sql().execute_batch(&sql).unwrap();
    };
    set("sent", 1);
    set("error", 2);
    set("testing", 3);
    let before = place.statuses_of(REAL);
    let all = place.run(&["reset", "--table", REAL, "--yes"]);
    printed!("reset_real_all", all, &place);
    let sent = place.run(&["reset", "--status", "sent,error", "--table", REAL, "--yes"]);
    assert_eq!(sent.exit, 6, "{}", sent.both());
    let asked = place.run(&["reset", "--status", "error", "--table", REAL]);
    printed!("reset_real_without_yes", asked, &place);
    assert_eq!(place.statuses_of(REAL), before);
    done(place.run(&[
        "reset",
        "--status",
        "error,testing",
        "--table",
        REAL,
        "--yes",
    ]));
    assert_eq!(place.statuses_of(REAL), "pending 2, sent 1");
}

#[test]
fn none_of_them_runs_beside_a_run() {
    let place = Place::new(3, &[]);
    let target = parse(&format!("sqlite:{}", place.file("children.db").display())).unwrap();
    let run = place.block_on(async {
        let store = connect(&target.target, &TABLE.parse().unwrap())
            .await
            .unwrap();
        store.lock().await.unwrap();
        store
    });
    for command in [
        &["reset"][..],
        &["fake", "--count", "3", "--replace"],
        &["fake", "changes"],
        &["scramble", "--from", "other", "--to", TABLE, "--replace"],
    ] {
        let refused = place.run(command);
        assert_eq!(refused.exit, 5, "{command:?}: {}", refused.both());
        assert!(refused.stderr.contains("CSC0501"), "{}", refused.stderr);
    }
    drop(run);
    done(place.run(&["reset"]));
    assert_eq!(place.statuses(), "pending 3");
}

#[test]
fn all_of_it_on_postgresql() {
    let schema = Schema::new("fakes");
    let place = Place::new(0, &[]);
    place.write_env(&format!(
        "DB_CONNECTION_STRING={}\nTABLE_NAME={}.{TABLE}",
        url(),
        schema.name
    ));
    let (real, anon) = (
        format!("{}.{REAL}", schema.name),
        format!("{}.{TABLE}", schema.name),
    );
    let run = |arguments: &[&str]| {
        schema.until_free();
        place.run(arguments)
    };
    let live = |more: &[&str]| run(&[&["send", "--live", "--yes"], more].concat());
    done(run(&["init"]));
    done(run(&["fake", "--count", "1200"]));
    done(run(&["validate", "--strict"]));
    done(live(&["--batch-size", "100"]));
    done(run(&["fake", "changes"]));
    done(live(&["--mode", "deltas"]));
    assert_eq!(place.simulator.counts().children_held, 1200 - 6 + 12);
    let back = done(run(&["reset", "--status", "sent"]));
    assert!(back.stdout.contains("sent 1206"), "{}", back.stdout);
    for n in 1..=12 {
        let text = child(n).to_string().replace('\'', "''");
        schema.execute(&format!(
            "INSERT INTO {real} (person_id, legacy_id, json_payload)
             VALUES ('canary-child-{n}', 'canarylegacy{n}', '{text}')"
        ));
    }
    let scramble = ["scramble", "--from", &real, "--to", &anon];
    let refused = run(&scramble);
    assert_eq!(refused.exit, 6, "{}", refused.both());
    assert!(refused.stderr.contains("CSC0622"), "{}", refused.stderr);
    let ran = done(run(&[&scramble[..], &["--replace", "-vv"]].concat()));
    assert_silent(&ran.both().replace(&schema.name, ""), "the output");
    let rows = schema.rows(&format!(
        "SELECT concat_ws(' ', person_id, legacy_id, json_payload, previous_json_payload) FROM {anon}"
    ));
    assert_eq!(rows.len(), 12);
    for text in rows.into_iter().flatten().flatten() {
        assert_silent(&text, "the target");
    }
}
