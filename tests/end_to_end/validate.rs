//! `validate`: the whole table against the payload rules.

use serde_json::Value;

use crate::place::{Place, TABLE};

fn place() -> Place {
    let payloads: Vec<String> = [
        r#"{"la_child_id":"C1","child_details":{"sex":"M","date_of_birth":"2015-01-01"}}"#,
        r#"{"la_child_id":"C2","child_details":{"sex":"Q"}}"#,
        r#"{"la_child_id":"C3","child_details":{"surname":"canaryname","date_of_birth":"canarydate","postcode":"canarypostcode"}}"#,
        r#"{"la_child_id":"C4","social_care_episodes":[{"social_care_episode_id":"e"},{"social_care_episode_id":"e"}]}"#,
        "canary is no JSON",
    ]
    .map(str::to_string)
    .into();
    Place::with_payloads(TABLE, &payloads, &[])
}

#[test]
fn every_form_of_the_report_names_rules_and_rows_and_no_values() {
    let place = place();
    place.execute("UPDATE {t} SET submission_status = 'sent' WHERE id = 3");
    for format in ["text", "json", "csv", "sarif"] {
        let ran = place.run(&["validate", "--format", format]);
        assert_eq!(ran.exit, 1, "{}", ran.both());
        assert!(!ran.both().contains("canary"), "{}", ran.both());
        for rule in ["unknown-code", "date", "length", "repeated-id", "not-json"] {
            assert!(ran.stdout.contains(rule), "{format} {rule}: {}", ran.stdout);
        }
    }
    let json: Value =
        serde_json::from_str(&place.run(&["validate", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["records"], 5);
    assert_eq!(json["with_errors"], 3);
    assert_eq!(json["with_warnings"], 1);
    assert_eq!(place.statuses(), "pending 4, sent 1", "nothing is changed");
}

#[test]
fn warnings_are_errors_where_strict_is_asked_for() {
    let place = place();
    place.execute("DELETE FROM {t} WHERE id > 2");
    assert_eq!(place.run(&["validate"]).exit, 0);
    assert_eq!(place.run(&["validate", "--strict"]).exit, 1);
    assert_eq!(place.live(&["--strict"]).exit, 1);
    assert_eq!(place.statuses(), "error 1, sent 1");
    assert_eq!(place.live(&[]).exit, 0, "without it a warning goes");
    assert_eq!(place.statuses(), "sent 2");
}

#[test]
fn rows_that_are_never_sent_are_not_checked() {
    let place = place();
    place.execute(
        "UPDATE {t} SET row_state = 'Deleted' WHERE id = 3;
         UPDATE {t} SET person_id = 'P1' WHERE id = 4;
         INSERT INTO {t} (person_id, json_payload) VALUES ('P1', '{\"la_child_id\":\"C1\"}');
         DELETE FROM {t} WHERE id = 5",
    );
    let ran = place.run(&["validate"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
}

#[test]
fn an_authoritys_own_rules_and_the_dfes_schema_are_applied() {
    let place = place();
    place.execute("DELETE FROM {t} WHERE id > 2");
    let rules = include_str!("../../crates/payload/data/rules.json");
    std::fs::write(place.file("rules.json"), rules).unwrap();
    assert_eq!(place.run(&["validate", "--rules", "rules.json"]).exit, 0);
    std::fs::write(
        place.file("rules.json"),
        rules.replace("\"date\"", "\"dote\""),
    )
    .unwrap();
    let faulty = place.run(&["validate", "--rules", "rules.json", "--schema", "none.json"]);
    assert_eq!(faulty.exit, 2);
    assert_eq!(
        faulty.stderr.matches("CSC0214").count(),
        2,
        "{}",
        faulty.stderr
    );
    std::fs::write(
        place.file("openapi.json"),
        r##"{"openapi":"3.0.0","info":{"title":"t","version":"1"},
            "paths":{"/children_social_care_data/{la_code}/children":{"post":{"requestBody":{"content":{
              "application/json":{"schema":{"type":"array","items":{"$ref":"#/components/schemas/Child"}}}}},
              "responses":{}}}},
            "components":{"schemas":{"Child":{"type":"object","required":["la_child_id","child_details"],
              "properties":{"la_child_id":{"type":"string"},
                "child_details":{"type":"object","properties":{"sex":{"enum":["M","F","U"]}}}}}}}}"##,
    )
    .unwrap();
    let ran = place.run(&["validate", "--schema", "openapi.json"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert!(ran.stdout.contains("schema"), "{}", ran.stdout);
    assert!(ran.stdout.contains("row 2"), "{}", ran.stdout);
    let sent = place.live(&["--schema", "openapi.json"]);
    assert_eq!(sent.exit, 1);
    assert_eq!(place.statuses(), "error 1, sent 1");
}

#[test]
fn a_delta_run_checks_and_prepares_too() {
    let place = place();
    let ran = place.run(&["deltas", "prepare"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert!(
        ran.stdout.contains("2 full records") && ran.stdout.contains("3 rows that can't go"),
        "{}",
        ran.stdout
    );
    assert!(place.text("partial_json_payload", 1).contains("C1"));
    assert_eq!(place.text("partial_json_payload", 3), "");
    assert_eq!(place.statuses(), "pending 5");
}
