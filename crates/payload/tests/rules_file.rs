//! A rules file that an authority has changed.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use csc_payload::finding::RuleId;
use csc_payload::rules::Rules;
use proptest::prelude::*;
use serde_json::{Value, json};

fn embedded() -> Value {
    serde_json::from_str(Rules::EMBEDDED).unwrap()
}

/// The places and words of everything that is wrong in a file.
fn faults(file: &Value) -> Vec<String> {
    match Rules::from_json(&file.to_string()) {
        Ok(_) => Vec::new(),
        Err(fault) => fault
            .faults()
            .iter()
            .map(|fault| format!("{}: {}", fault.place, fault.what))
            .collect(),
    }
}

fn with(pointer: &str, value: Value) -> Value {
    let mut file = embedded();
    let (object, key) = pointer.rsplit_once('/').unwrap();
    match file.pointer_mut(object).unwrap() {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        other => panic!("{other} has no places"),
    }
    file
}

fn index_of(path: &str) -> usize {
    embedded()["fields"]
        .as_array()
        .unwrap()
        .iter()
        .position(|field| field["path"] == path)
        .unwrap()
}

#[test]
fn the_embedded_file_is_sound() {
    assert_eq!(faults(&embedded()), Vec::<String>::new());
    Rules::from_json(&format!("\u{feff}{}", Rules::EMBEDDED)).unwrap();
}

#[test]
fn a_code_that_an_authority_adds_is_known_and_a_limit_it_changes_holds() {
    let file = with("/code_sets/sex/codes/X", json!("not recorded"));
    let rules = Rules::from_json(&file.to_string()).unwrap();
    let payload = r#"{"la_child_id":"1","child_details":{"sex":"X"}}"#;
    assert!(rules.check(payload).is_clean());
    assert_eq!(Rules::embedded().check(payload).warnings(), 1);

    let place = format!("/fields/{}/max_length", index_of("child_details.surname"));
    let rules = Rules::from_json(&with(&place, json!(3)).to_string()).unwrap();
    let checked = rules.check(r#"{"la_child_id":"1","child_details":{"surname":"Abcd"}}"#);
    assert_eq!(checked.findings()[0].rule(), RuleId::Length);
}

#[test]
fn a_field_that_an_authority_adds_is_checked_at_its_place() {
    let field = json!({"path": "local[].visits[].score", "item": "L1", "type": "integer",
        "maximum": 5, "mandatory": true, "advice": "0 to 5."});
    let rules = Rules::from_json(&with("/fields/-", field).to_string()).unwrap();
    let payload = r#"{"la_child_id":"1","local":[{},{"visits":[{"score":5},{"score":6},{}]}]}"#;
    let found: Vec<_> = rules
        .check(payload)
        .findings()
        .iter()
        .map(|f| {
            (
                f.rule(),
                f.item().map(str::to_owned),
                f.pointer().to_owned(),
            )
        })
        .collect();
    let item = || Some("L1".to_owned());
    assert_eq!(
        found,
        [
            (RuleId::Range, item(), "/local/1/visits/1/score".to_owned()),
            (
                RuleId::Missing,
                item(),
                "/local/1/visits/2/score".to_owned()
            ),
        ]
    );
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    let sdq = index_of("health_and_wellbeing.sdq_assessments[].score");
    let worker = index_of("social_care_episodes[].care_worker_details[].worker_id");
    let details = "social_care_episodes[].adoption";
    let cases: Vec<(Value, String)> = vec![
        (
            with("/fields/0/pattern", json!("^[A-Z")),
            "/fields/0/pattern: cannot be read".into(),
        ),
        (
            with("/fields/0/pattern", json!(7)),
            "/fields/0/pattern: is a number".into(),
        ),
        (
            with("/fields/0/patern", json!("a")),
            "/fields/0/patern: is not known here".into(),
        ),
        (
            with("/fields/0/minimum", json!(1)),
            "/fields/0/minimum: is not known here".into(),
        ),
        (
            with("/fields/0/mandatory", json!("yes")),
            "/fields/0/mandatory: is a text".into(),
        ),
        (
            with("/fields/0/mandatory", json!(false)),
            "/fields: has no mandatory la_child_id".into(),
        ),
        (
            with("/fields/0/type", json!("text")),
            "/fields/0/type: is none of string".into(),
        ),
        (
            with("/fields/0/min_length", json!(-1)),
            "/fields/0/min_length: is a number".into(),
        ),
        (
            with("/fields/0/max_length", json!(1.5)),
            "/fields/0/max_length: is a number".into(),
        ),
        (
            with("/fields/0/code_set", json!("six")),
            "/fields/0/code_set: six is none".into(),
        ),
        (
            with("/fields/0/unique", json!(true)),
            "/fields/0/unique: la_child_id is not in a".into(),
        ),
        (
            with("/fields/-", json!("x")),
            "is a text, where an object belongs".into(),
        ),
        (with("/fields/-", json!({})), "has no path".into()),
        (
            with("/fields/1/path", json!("la_child_id")),
            "/fields/1/path: la_child_id is there".into(),
        ),
        (
            with("/fields/1/path", json!("a b")),
            "/fields/1/path: 'a b' is not a key".into(),
        ),
        (
            with("/fields/1/path", json!("")),
            "/fields/1/path: '' is not a key".into(),
        ),
        (
            with("/fields/1/path", json!("a..b")),
            "/fields/1/path: '' is not a key".into(),
        ),
        (
            with("/fields/1/path", json!("x[]")),
            "/fields/1/path: 'x[]' is not a key".into(),
        ),
        (
            with("/fields/1/path", json!("child_details[].x")),
            "/fields/3/path: child_details is something else".into(),
        ),
        (
            with("/fields/1/path", json!("la_child_id.x")),
            "/fields/1/path: la_child_id is something else".into(),
        ),
        (
            with("/fields/1/path", json!("a.".repeat(16) + "a")),
            "/fields/1/path: has more than 16 keys".into(),
        ),
        (
            with(&format!("/fields/{sdq}/maximum"), json!(-1)),
            format!("/fields/{sdq}/maximum: is less than minimum"),
        ),
        (
            with(&format!("/fields/{worker}/unique"), json!(7)),
            format!("/fields/{worker}/unique: is a number"),
        ),
        (
            with(
                &format!(
                    "/fields/{}/stands_alone",
                    index_of("child_details.disabilities")
                ),
                json!("NO"),
            ),
            "stands_alone: NO is not a code of disabilities".into(),
        ),
        (
            with("/code_sets/sex/codes", json!({})),
            "/code_sets/sex/codes: has no codes".into(),
        ),
        (
            with("/code_sets/sex/codes/M", json!(1)),
            "/code_sets/sex/codes: is an object, where an".into(),
        ),
        (
            with("/code_sets/sex/codex", json!(1)),
            "/code_sets/sex/codex: is not known".into(),
        ),
        (
            with("/date_order/0/end", json!("purge")),
            "/date_order/0: purge is not a date".into(),
        ),
        (
            with("/date_order/0/end", json!("nothing")),
            "/date_order/0: nothing is none of".into(),
        ),
        (
            with("/date_order/0/end", json!(format!("{details}.placed_date"))),
            "/date_order/0: start and end are not in the same object".into(),
        ),
        (
            with("/date_order/0/begin", json!("a")),
            "/date_order/0/begin: is not known".into(),
        ),
        (
            with(
                "/not_before_birth/birth",
                json!("social_care_episodes[].referral_date"),
            ),
            "/not_before_birth/birth: social_care_episodes[].referral_date is in a list".into(),
        ),
        (
            with("/not_before_birth/events/0/days", json!(-1)),
            "/not_before_birth/events/0/days: is a number".into(),
        ),
        (
            with(
                "/not_before_birth/events/0/paths/0",
                json!("child_details.date_of_birth"),
            ),
            "/not_before_birth/events/0/paths/0: child_details.date_of_birth is the birth".into(),
        ),
        (
            with(
                "/not_before_birth/events/1/paths/0",
                json!(format!("{details}.placed_date")),
            ),
            format!("{details}.placed_date is there twice"),
        ),
        (
            with("/not_together/0/paths", json!(["purge"])),
            "/not_together/0: needs two or more different paths".into(),
        ),
        (
            with(
                "/not_together/0/paths",
                json!(["purge", "child_details.purge"]),
            ),
            "/not_together/0: the paths are not in the same object".into(),
        ),
        (
            with("/not_together/0/paths", json!(["purge", "x"])),
            "/not_together/0: x is none of fields".into(),
        ),
        (
            with("/field", json!([])),
            "/field: is not known here".into(),
        ),
        (with("/about", json!("x")), "/about: is a text".into()),
        (json!({}), "the file: has no fields".into()),
        (json!([]), "the file: is an array".into()),
    ];
    for (file, expected) in cases {
        let faults = faults(&file);
        assert!(
            faults.iter().any(|fault| fault.contains(&expected)),
            "{expected} is not among {faults:#?}"
        );
    }
}

#[test]
fn several_faults_are_told_at_once() {
    let mut file = with("/fields/0/pattern", json!("^[A-Z"));
    file["fields"][7]["tipe"] = json!("date");
    file["code_sets"]["sex"]["codes"] = json!([]);
    file["date_order"][2]["start"] = json!("nothing");
    let told = faults(&file);
    assert_eq!(told.len(), 4, "{told:#?}");
    let shown = Rules::from_json(&file.to_string()).unwrap_err().to_string();
    assert!(
        shown.starts_with("the rules file has 4 faults:\n  "),
        "{shown}"
    );
}

#[test]
fn a_file_that_is_no_json_is_told_line_and_column() {
    let fault = Rules::from_json("{\n  \"fields\": [,]\n}").unwrap_err();
    assert_eq!(fault.faults().len(), 1);
    assert_eq!(fault.faults()[0].place, "line 2, column 14");
}

#[test]
fn no_file_can_leave_a_list_that_deltas_go_by_without_its_id() {
    let id = index_of("social_care_episodes[].child_in_need_plans[].child_in_need_plan_id");
    for key in ["unique", "mandatory"] {
        let told = faults(&with(&format!("/fields/{id}/{key}"), json!(false)));
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].contains("child_in_need_plan_id must be there, mandatory and unique"));
    }
}

#[test]
fn an_object_can_have_64_fields_and_no_more() {
    let wide = |count: usize| {
        let fields: Vec<Value> = (0..count)
            .map(|n| json!({"path": format!("wide.f{n}"), "type": "date", "advice": "x"}))
            .chain([
                json!({"path": "la_child_id", "type": "string", "mandatory": true, "advice": "x"}),
            ])
            .collect();
        json!({"fields": fields})
    };
    let rules = Rules::from_json(&wide(64).to_string()).unwrap();
    let checked = rules.check(r#"{"la_child_id":"1","wide":{"f63":"x","f63":"x"}}"#);
    assert_eq!((checked.errors(), checked.warnings()), (2, 1));
    assert_eq!(faults(&wide(65)), ["/fields: wide has more than 64 fields"]);
}

proptest! {
    #[test]
    fn any_text_is_a_rules_file_or_is_told_what_is_wrong(text in ".{0,60}") {
        if let Err(fault) = Rules::from_json(&text) {
            prop_assert!(!fault.faults().is_empty());
        }
    }

    /// A file in which one value is another: it is sound or it is told what is
    /// wrong, and where it is sound it checks records.
    #[test]
    fn a_file_with_any_one_value_changed_is_sound_or_told_what_is_wrong(
        which in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(Value::Null), Just(json!(true)), Just(json!(-1)), Just(json!(1e300)),
            Just(json!([])), Just(json!({})), Just(json!("")), Just(json!("[].[]")),
            Just(json!("^(")), Just(json!("a[].b")), Just(json!([[]])),
        ],
    ) {
        let mut file = embedded();
        let places = places(&file, String::new());
        *file.pointer_mut(&places[which.index(places.len())]).unwrap() = value;
        match Rules::from_json(&file.to_string()) {
            Ok(rules) => {
                rules.check(r#"{"la_child_id":"1","child_details":{"sex":"M"}}"#);
            }
            Err(fault) => prop_assert!(!fault.faults().is_empty()),
        }
    }
}

fn places(value: &Value, place: String) -> Vec<String> {
    let mut all: Vec<String> = match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| places(value, format!("{place}/{key}")))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, value)| places(value, format!("{place}/{index}")))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    all.push(place);
    all
}
