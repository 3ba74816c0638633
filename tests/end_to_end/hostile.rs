//! Whatever stands in the table, the program does not panic, and tells nothing of it.

use rusqlite::types::Value;

use crate::place::{Place, TABLE};

/// Payloads that somebody's SQL, or somebody's malice, may have put there. Each has a word
/// of its own that must not be told.
fn payloads() -> Vec<Value> {
    let deep = |open: &str, close: &str| {
        format!(
            r#"{{"la_child_id":"canary","x":{}"canary"{}}}"#,
            open.repeat(5000),
            close.repeat(5000)
        )
    };
    let mut payloads: Vec<Value> = [
        deep("[", "]"),
        deep(r#"{"a":"#, "}"),
        r#"{"la_child_id":"canary","child_details":{"date_of_birth":"9999-99-99canary"}}"#.into(),
        r#"{"la_child_id":"canary","child_details":{"date_of_birth":"-271821-04-20"}}"#.into(),
        r#"{"la_child_id":"canary","child_details":{"postcode":"\u0000canary\ud800"}}"#.into(),
        r#"{"la_child_id":"canary\ud83d\ude00","child_details":"canary"}"#.into(),
        r#"{"la_child_id":{"canary":1}}"#.into(),
        r#"{"la_child_id":1e999999999,"canary":1}"#.into(),
        r#"{"la_child_id":"canary","x":-0.00000000000000000000000000000001e-4000}"#.into(),
        format!(r#"{{"la_child_id":"canary","x":{}}}"#, "9".repeat(100_000)),
        format!(r#"{{"la_child_id":"{}"}}"#, "canary".repeat(50_000)),
        format!(r#"{{"{}":1}}"#, "canary".repeat(50_000)),
        r#"{"la_child_id":"canary","la_child_id":"canary2"}"#.into(),
        r#"{"la_child_id":"canary","purge":"canary","social_care_episodes":[null,1,"canary",[],{}]}"#
            .into(),
        r#"{"la_child_id":"canary","social_care_episodes":{"0":"canary"}}"#.into(),
        "\u{feff}{\"la_child_id\":\"canary\"}".into(),
        "\u{202e}canary\u{2066}".into(),
        "canary' ; DROP TABLE canary; --".into(),
        "\\".repeat(10_000) + "canary",
        "[\"canary\"]".into(),
        "\"canary\"".into(),
        "{}".into(),
        "null".into(),
        "\u{0}canary".into(),
    ]
    .map(Value::Text)
    .to_vec();
    payloads.push(Value::Blob(
        b"{\"la_child_id\":\"canary\xff\xfe\xed\xa0\x80\"}".to_vec(),
    ));
    payloads.push(Value::Integer(i64::MIN));
    payloads.push(Value::Real(f64::INFINITY));
    payloads
}

/// Ids of rows, and what stands in the other columns.
fn others() -> Vec<(i64, Value)> {
    vec![
        (i64::MIN, Value::Text("canary".repeat(10_000))),
        (-1, Value::Text("\u{0}canary".into())),
        (0, Value::Blob(b"canary\xff".to_vec())),
        (i64::MAX, Value::Real(f64::MAX)),
    ]
}

fn fill(place: &Place) {
    let connection = place.sql();
    for (n, payload) in payloads().into_iter().enumerate() {
        connection
            .execute(
                &format!("INSERT INTO {TABLE} (person_id, json_payload, previous_json_payload) VALUES (?1, ?2, ?2)"),
                (format!("canaryperson{n}"), payload),
            )
            .unwrap();
    }
    for (id, odd) in others() {
        connection
            .execute(
                &format!(
                    "INSERT INTO {TABLE} (id, person_id, json_payload, row_state, api_response,
                         submission_timestamp, previous_json_payload)
                     VALUES (?1, ?2, '{{\"la_child_id\":\"canary\"}}', ?2, ?2, ?2, ?2)"
                ),
                (id, odd),
            )
            .unwrap();
    }
}

#[test]
fn nothing_in_the_table_makes_the_program_panic_or_talk() {
    let commands: [&[&str]; 12] = [
        &["validate"],
        &["validate", "--format", "json"],
        &["validate", "--format", "csv"],
        &["send", "-vv"],
        &["send", "--mode", "deltas", "--no-validate", "-vv"],
        &["send", "--dry-run"],
        &["send", "--live", "--yes", "-vv"],
        &["send", "--live", "--yes", "--no-validate", "-vv"],
        &[
            "send",
            "--live",
            "--yes",
            "--mode",
            "deltas",
            "--no-validate",
            "--resync",
            "-vv",
        ],
        &["deltas", "prepare", "-vv"],
        &["status", "-vv"],
        &["journal", "--format", "json"],
    ];
    let place = Place::new(2, &[]);
    fill(&place);
    for command in commands {
        place.execute("UPDATE {t} SET submission_status = 'pending'");
        place.execute("UPDATE {t} SET row_state = 'deleted' WHERE id % 7 = 3");
        let ran = place.run(command);
        assert!(
            [0, 1, 3, 4].contains(&ran.exit) || ran.stderr.contains("CSC0602"),
            "{command:?}: {}",
            ran.both()
        );
        assert!(
            !ran.both().contains("CSC0619"),
            "{command:?}: {}",
            ran.both()
        );
        assert!(
            !ran.both().contains("panicked"),
            "{command:?}: {}",
            ran.both()
        );
        assert!(
            !ran.both().contains("canary"),
            "{command:?}: {}",
            ran.both()
        );
    }
}
