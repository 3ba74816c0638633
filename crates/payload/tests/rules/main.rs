//! Each rule, by a record that breaks it and no other.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod errors;
mod warnings;
mod whole;

use std::sync::LazyLock;

use csc_payload::finding::{Finding, RuleId};
use csc_payload::rules::Rules;
use serde_json::{Value, json};

pub(crate) static RULES: LazyLock<Rules> = LazyLock::new(Rules::embedded);

/// A record with every block, in which nothing is wrong. Its texts that could
/// name a child are words that stand nowhere else.
pub(crate) fn sound() -> Value {
    json!({
        "la_child_id": "Child-1",
        "mis_child_id": "Mis_1",
        "purge": false,
        "child_details": {
            "unique_pupil_number": "A123456789012",
            "former_unique_pupil_number": "B123456789012",
            "first_name": "Quintessa",
            "surname": "O'Hagan \u{1F600}",
            "date_of_birth": "2011-12-13",
            "sex": "F",
            "ethnicity": "WBRI",
            "disabilities": ["MOB", "AUT"],
            "postcode": "ZZ99 3WZ",
            "uasc_flag": true,
            "uasc_end_date": "2022-01-02",
            "purge": false
        },
        "health_and_wellbeing": {
            "sdq_assessments": [{"date": "2023-01-02", "score": 40}],
            "purge": false
        },
        "social_care_episodes": [
            {
                "social_care_episode_id": "E1",
                "referral_date": "2022-02-03",
                "referral_source": "1A",
                "closure_date": "2023-02-03",
                "closure_reason": "RC1",
                "referral_no_further_action_flag": false,
                "care_worker_details": [
                    {"worker_id": "W1", "start_date": "2022-02-03", "end_date": "2022-02-04"},
                    {"worker_id": "W1", "start_date": "2022-03-03"}
                ],
                "child_and_family_assessments": [{
                    "child_and_family_assessment_id": "A1",
                    "start_date": "2022-02-03",
                    "authorisation_date": "2022-02-03",
                    "factors": ["1A", "24A"],
                    "purge": false
                }],
                "child_in_need_plans": [{
                    "child_in_need_plan_id": "P1",
                    "start_date": "2022-02-03",
                    "end_date": "2022-02-04"
                }],
                "section_47_assessments": [{
                    "section_47_assessment_id": "S1",
                    "start_date": "2022-02-03",
                    "icpc_required_flag": true,
                    "icpc_date": "2022-02-10",
                    "end_date": "2022-02-11"
                }],
                "child_protection_plans": [{
                    "child_protection_plan_id": "C1",
                    "start_date": "2022-02-03",
                    "end_date": null
                }],
                "child_looked_after_placements": [{
                    "child_looked_after_placement_id": "L1",
                    "start_date": "2022-02-03",
                    "start_reason": "S",
                    "postcode": "ZZ99 4WZ",
                    "placement_type": "U1",
                    "end_date": "2022-06-03",
                    "end_reason": "E4A",
                    "change_reason": "CARPL"
                }],
                "adoption": {
                    "initial_decision_date": "2022-02-03",
                    "matched_date": "2022-03-03",
                    "placed_date": "2022-04-03"
                },
                "care_leavers": {
                    "contact_date": "2022-02-03",
                    "activity": "F2",
                    "accommodation": "B"
                }
            },
            {"social_care_episode_id": "E2", "purge": false}
        ]
    })
}

/// The sound record with another value at a place; a place that ends in `/-` is a
/// further item of a list.
pub(crate) fn with(place: &str, value: Value) -> Value {
    let mut record = sound();
    let (object, key) = place.rsplit_once('/').unwrap();
    match record.pointer_mut(object).unwrap() {
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        Value::Object(fields) => {
            fields.insert(key.to_owned(), value);
        }
        other => panic!("{other} has no places"),
    }
    record
}

pub(crate) fn without(place: &str) -> Value {
    let mut record = sound();
    let (object, key) = place.rsplit_once('/').unwrap();
    let fields = record.pointer_mut(object).unwrap().as_object_mut().unwrap();
    fields.remove(key).unwrap();
    record
}

/// Everything that a finding can show.
pub(crate) fn words(finding: &Finding) -> String {
    format!("{finding} {} {}", finding.path(), finding.pointer())
}

/// The record breaks this rule at this place, and nothing else; no finding shows
/// what a record says of a child.
#[track_caller]
pub(crate) fn breaks(
    record: &Value,
    rule: RuleId,
    item: Option<&str>,
    pointer: &str,
    canary: &str,
) {
    let checked = RULES.check(&record.to_string());
    let found: Vec<_> = checked
        .findings()
        .iter()
        .map(|f| (f.rule(), f.item(), f.pointer()))
        .collect();
    assert_eq!(found, [(rule, item, pointer)]);
    let finding = &checked.findings()[0];
    assert_eq!(finding.severity(), rule.severity());
    assert!(!finding.advice().is_empty());
    let personal = [
        "Quintessa",
        "O'Hagan",
        "2011-12-13",
        "ZZ99",
        "A123456789012",
        "Child-1",
    ];
    for value in personal.iter().chain([&canary]).filter(|v| !v.is_empty()) {
        assert!(!words(finding).contains(value), "{value} in {finding:?}");
    }
}

pub(crate) const EPISODE: &str = "/social_care_episodes/0";
