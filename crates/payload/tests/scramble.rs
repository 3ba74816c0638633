//! Scrambling hostile records: whatever they hold, the scrambler's work passes the check,
//! and none of their values is found in it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use csc_payload::scramble::{Gathering, Key, Scramble, Scrambler, Source, Unfit, check};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// The children's ids: few, so that they refer to each other.
const CHILDREN: [&str; 5] = [
    "CHILD-1",
    "CHILD-2",
    "canary0000000003",
    "9b2d6f3e-0f5b-4e0c-8f52-5b1a4d0d3c11",
    "Child 5/É",
];

fn id() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(&CHILDREN[..]).prop_map(Value::from),
        1 => select(vec![json!(4711), json!(""), json!("  "), json!(null), json!({"x_id": "CHILD-1"})]),
        1 => "[ -~]{1,40}".prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
    ]
}

fn name() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec![
            "A",
            "O'Brien",
            "Testina",
            "Placeholder-Smythe",
            "X Æ",
            "李",
            "",
            "mary CHILD-2 jones"
        ])
        .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!(["Mary"])),
        Just(json!(12)),
    ]
}

fn date() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (1995i16..2027, 1i8..=12, 1i8..=28)
            .prop_map(|(y, m, d)| json!(format!("{y:04}-{m:02}-{d:02}"))),
        1 => select(vec!["01/02/2015", "2015-02-01T03:04:05", "9999-12-31", "0001-01-01", "20150201", "", "CHILD-1"])
            .prop_map(Value::from),
        1 => select(vec![json!(null), json!(20150201), json!({}), json!(false)]),
    ]
}

fn other() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec![
            "F",
            "WBRI",
            "NONE",
            "UN1",
            "ZZ99 9ZZ",
            "SW1A 1AA",
            "H801200001005",
            "canarytext"
        ])
        .prop_map(Value::from),
        select(vec![
            json!(true),
            json!(3),
            json!(["MOB", "AUT"]),
            json!([1, {"a": "canarytext"}]),
            json!(null)
        ]),
    ]
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let named = |names: &'static [&'static str]| select(names).prop_map(str::to_owned);
    prop_oneof![
        (
            named(&[
                "la_child_id",
                "mis_child_id",
                "social_care_episode_id",
                "worker_id",
                "sibling_id",
                "child_in_need_plan_id",
                "unique_pupil_number",
                "former_unique_pupil_number"
            ]),
            id()
        ),
        (named(&["first_name", "surname"]), name()),
        (
            named(&[
                "date_of_birth",
                "expected_date_of_birth",
                "referral_date",
                "closure_date",
                "start_date",
                "end_date",
                "date",
                "contact_date"
            ]),
            date()
        ),
        (
            named(&[
                "sex",
                "ethnicity",
                "disabilities",
                "postcode",
                "uasc_flag",
                "score",
                "factors",
                "purge",
                "note",
                "activity"
            ]),
            other()
        ),
        ("[ -~]{0,12}", name()),
    ]
}

fn object(most: usize) -> impl Strategy<Value = Value> {
    vec(field(), 0..most).prop_map(|fields| fields.into_iter().collect())
}

fn record() -> impl Strategy<Value = Value> {
    let items = |name: &'static str| {
        prop_oneof![
            5 => vec(object(5), 0..3).prop_map(Value::Array),
            1 => other(),
        ]
        .prop_map(move |items| (name.to_owned(), items))
    };
    let episode = (
        object(8),
        items("child_in_need_plans"),
        items("care_worker_details"),
        object(4),
    );
    let episode = episode.prop_map(|(mut episode, plans, workers, leavers)| {
        episode[plans.0] = plans.1;
        episode[workers.0] = workers.1;
        episode["care_leavers"] = leavers;
        episode
    });
    (
        object(5),
        object(14),
        vec(episode, 0..3),
        items("sdq_assessments"),
    )
        .prop_map(|(mut record, details, episodes, scores)| {
            record["child_details"] = details;
            record["social_care_episodes"] = episodes.into();
            record["health_and_wellbeing"] = json!({scores.0: scores.1});
            record
        })
}

/// A staged payload: a record, perhaps cut off, or anything.
fn payload() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => record().prop_map(|record| record.to_string()),
        1 => (record(), 0.0..1.0).prop_map(|(record, at)| {
            let text = record.to_string();
            let mut end = (text.len() as f64 * at) as usize;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text[..end].to_owned()
        }),
        1 => any::<String>(),
    ]
}

type Row = (Option<String>, Option<String>, String);

fn row() -> impl Strategy<Value = Row> {
    let column = || {
        proptest::option::weighted(
            0.8,
            prop_oneof![
                select(&CHILDREN[..]).prop_map(str::to_owned),
                any::<String>()
            ],
        )
    };
    (column(), column(), payload())
}

/// Every text of a value.
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_is_scrambled_passes_the_check_and_holds_nothing_of_its_source(
        rows in vec(row(), 1..8)
    ) {
        let sources: Vec<Source<'_>> = rows
            .iter()
            .map(|(person_id, legacy_id, payload)| Source {
                person_id: person_id.as_deref(),
                legacy_id: legacy_id.as_deref(),
                payload,
            })
            .collect();
        let mut gathering = Gathering::new(Key::fresh().unwrap());
        for source in &sources {
            gathering.add(source).unwrap();
        }
        let ids = gathering.settle().unwrap();
        let scrambler = Scrambler::new();
        for source in &sources {
            prop_assert!(ids.know(source));
            let parsed = serde_json::from_str::<Value>(source.payload);
            let made = match (scrambler.scramble(source, &ids), &parsed) {
                (Ok(made), Ok(Value::Object(_))) => made,
                (Err(Unfit::NoRecord), Ok(_) | Err(_)) => {
                    prop_assert!(!matches!(parsed, Ok(Value::Object(_))));
                    continue;
                }
                (other, _) => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!(check(source, &made, &ids), []);
            // Again gives the same: it is told apart by nothing but the key.
            prop_assert_eq!(&scrambler.scramble(source, &ids).unwrap(), &made);
            let whole = made.payload.to_string()
                + made.person_id.as_deref().unwrap_or_default()
                + made.legacy_id.as_deref().unwrap_or_default();
            let lower = whole.to_lowercase();
            for child in CHILDREN {
                prop_assert!(!lower.contains(&child.to_lowercase()), "{}", child);
            }
            prop_assert!(!lower.contains("canary"), "{}", whole);
            let mut made_texts = Vec::new();
            texts(&made.payload, &mut made_texts);
            let details = |value: &Value, key: &str| value["child_details"][key].as_str().map(str::to_owned);
            for key in ["first_name", "surname", "postcode", "date_of_birth"] {
                if let Some(text) = details(parsed.as_ref().unwrap(), key).filter(|t| !t.trim().is_empty()) {
                    prop_assert_ne!(details(&made.payload, key), Some(text));
                }
            }
            let text = |value: &Value| value.as_str().map(str::to_owned);
            for column in [source.person_id, source.legacy_id].into_iter().flatten() {
                // A shorter one may be a code.
                if column.trim().chars().count() > 6 {
                    prop_assert!(!made_texts.contains(&column.trim()));
                }
            }
            if let (Some(id), Some(person)) = (text(&parsed.as_ref().unwrap()["la_child_id"]), source.person_id)
                && id.trim() == person.trim()
            {
                prop_assert_eq!(text(&made.payload["la_child_id"]), made.person_id);
            }
        }
    }
}
