//! What holds for any record, or for any text at all.

use csc_payload::finding::RuleId;
use csc_payload::{Fakes, Record};
use jiff::civil::date;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{RULES, sound, with, words};

#[test]
fn a_record_with_every_block_is_clean() {
    let checked = RULES.check(&sound().to_string());
    assert_eq!(checked.findings(), []);
    assert!(checked.is_clean());
}

#[test]
fn a_null_means_that_the_field_is_absent() {
    for place in [
        "/mis_child_id",
        "/child_details",
        "/child_details/disabilities",
        "/child_details/sex",
        "/health_and_wellbeing/sdq_assessments",
        "/social_care_episodes/0/adoption",
        "/social_care_episodes/0/referral_no_further_action_flag",
    ] {
        let checked = RULES.check(&with(place, Value::Null).to_string());
        assert_eq!(checked.findings(), [], "{place}");
    }
    let in_lists = with("/child_details/disabilities/-", Value::Null);
    assert!(RULES.check(&in_lists.to_string()).is_clean());
    let item = with("/social_care_episodes/-", Value::Null);
    assert!(RULES.check(&item.to_string()).is_clean());
}

#[test]
fn white_space_and_a_byte_order_mark_around_a_record_are_no_fault() {
    let payload = format!(" \u{feff}\r\n{}\r\n", sound());
    assert!(RULES.check(&payload).is_clean());
}

#[test]
fn escapes_are_read_before_a_text_is_judged() {
    let payload = sound().to_string().replace("\"WBRI\"", "\"WBR\\u0049\"");
    let payload = payload.replace("\"sex\"", "\"s\\u0065x\"");
    assert!(payload.contains("u0049") && payload.contains("u0065"));
    assert!(RULES.check(&payload).is_clean());
}

#[test]
fn an_array_of_a_hundred_thousand_wrong_items_is_counted_and_not_kept() {
    let many: Vec<u32> = (0..100_000).collect();
    let checked = RULES.check(&with("/child_details/disabilities", json!(many)).to_string());
    assert_eq!(checked.errors(), 100_001);
    assert_eq!(
        checked.findings().len(),
        csc_payload::finding::FINDINGS_KEPT
    );
}

#[test]
fn every_rule_that_a_record_can_break_has_a_record_here_that_breaks_it() {
    let here = concat!(include_str!("errors.rs"), include_str!("warnings.rs"));
    for rule in RuleId::ALL.iter().filter(|rule| **rule != RuleId::Schema) {
        assert!(here.contains(&format!("RuleId::{rule:?}")), "{rule}");
    }
}

#[test]
fn invented_children_are_clean_now_and_after_changes() {
    let rules = &*RULES;
    let fakes = Fakes::new(11, date(2026, 9, 1));
    for n in 0..300 {
        let mut child = fakes.child(n);
        for day in 0..5 {
            let checked = rules.check(&child.to_string());
            assert_eq!(checked.findings(), [], "child {n}, day {day}");
            child = fakes.changed(&child, day + 1);
        }
    }
    let test_record = csc_payload::test_record("123", date(2026, 9, 1));
    assert_eq!(rules.check(&test_record.to_string()).findings(), []);
}

/// A value of any kind; its texts and keys are often ones that rules know.
fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        3 => ".{0,12}",
        1 => prop::sample::select(vec!["2020-02-30", "2020-01-01", "M", "NONE", "SSD_SUI", "UN1"])
            .prop_map(str::to_owned),
    ];
    let key = prop_oneof![
        1 => ".{0,6}",
        4 => prop::sample::select(vec![
            "la_child_id", "mis_child_id", "purge", "child_details", "date_of_birth", "sex",
            "disabilities", "health_and_wellbeing", "sdq_assessments", "date", "score",
            "social_care_episodes", "social_care_episode_id", "referral_date", "closure_date",
            "child_in_need_plans", "child_in_need_plan_id", "start_date", "end_date",
            "$serde_json::private::Number", "$serde_json::private::RawValue",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The checker takes whatever a column may hold, and what it lets pass is a
    /// record for the sender as well.
    #[test]
    fn any_text_is_checked_and_without_errors_it_is_a_record(text in ".{0,80}") {
        let checked = RULES.check(&text);
        prop_assert!(checked.errors() > 0 || Record::parse(&text).is_ok());
    }

    #[test]
    fn any_json_is_checked_and_without_errors_it_is_a_record(value in any_value()) {
        let text = value.to_string();
        let checked = RULES.check(&text);
        prop_assert!(checked.errors() > 0 || Record::parse(&text).is_ok());
        let no_json = checked.findings().iter().any(|f| f.rule() == RuleId::NotJson);
        prop_assert_eq!(no_json && checked.findings().len() > 1, false);
    }

    #[test]
    fn a_record_cut_anywhere_is_no_json(cut in 0.0..1.0f64) {
        let text = sound().to_string();
        let mut at = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let checked = RULES.check(&text[..at]);
        prop_assert_eq!(checked.findings().len(), 1);
        prop_assert_eq!(checked.findings()[0].rule(), RuleId::NotJson);
    }

    /// Whatever a child is called, wherever the text stands: no finding shows it.
    #[test]
    fn no_finding_shows_a_text_of_the_record(
        canary in "[A-Za-z]{3,6}Canary![0-9A-Za-z \\-/~é]{0,8}",
        place in prop::sample::select(vec![
            "/la_child_id", "/mis_child_id", "/purge", "/child_details",
            "/child_details/date_of_birth", "/child_details/sex", "/child_details/ethnicity",
            "/child_details/postcode", "/child_details/unique_pupil_number",
            "/child_details/uasc_flag", "/child_details/disabilities",
            "/child_details/disabilities/0", "/health_and_wellbeing/sdq_assessments/0/score",
            "/social_care_episodes", "/social_care_episodes/0",
            "/social_care_episodes/0/closure_reason", "/social_care_episodes/0/adoption",
            "/social_care_episodes/0/referral_date", "/social_care_episodes/0/unheard_of",
        ]),
    ) {
        let checked = RULES.check(&with(place, json!(canary)).to_string());
        prop_assert!(!checked.is_clean());
        for finding in checked.findings() {
            prop_assert!(!words(finding).contains("Canary"), "{}", finding);
        }
    }
}
