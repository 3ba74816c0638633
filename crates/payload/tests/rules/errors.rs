//! What keeps a record from being sent.

use csc_payload::finding::{Finding, RuleId};
use serde_json::{Value, json};

use crate::{EPISODE, RULES, breaks, with, without, words};

#[test]
fn a_value_of_another_type_is_an_error() {
    let rule = RuleId::WrongType;
    for (place, value, item) in [
        ("/la_child_id", json!(777_001), Some("2")),
        ("/purge", json!("Canary"), None),
        ("/child_details", json!(["Canary"]), None),
        ("/child_details", json!("Canary"), None),
        ("/child_details", json!(777_001), None),
        ("/child_details", json!(true), None),
        ("/child_details/surname", json!({"Canary": 1}), Some("7")),
        ("/child_details/date_of_birth", json!(777_001), Some("8")),
        ("/child_details/uasc_flag", json!("Canary"), Some("14")),
        ("/child_details/uasc_flag", json!(1), Some("14")),
        ("/child_details/disabilities", json!("Canary"), Some("12")),
        (
            "/child_details/disabilities",
            json!({"Canary": 1}),
            Some("12"),
        ),
        ("/child_details/disabilities", json!(777_001), Some("12")),
        ("/child_details/disabilities/0", json!(777_001), Some("12")),
        (
            "/child_details/disabilities/1",
            json!(["Canary"]),
            Some("12"),
        ),
        (
            "/health_and_wellbeing/sdq_assessments/0/score",
            json!("Canary"),
            Some("46"),
        ),
        (
            "/health_and_wellbeing/sdq_assessments/0/score",
            json!(7.770_01),
            Some("46"),
        ),
        ("/social_care_episodes", json!({"Canary": 1}), None),
        ("/social_care_episodes", json!({}), None),
        ("/social_care_episodes/1", json!("Canary"), None),
        ("/social_care_episodes/1", json!([777_001]), None),
        ("/social_care_episodes/1", json!(777_001), None),
    ] {
        breaks(&with(place, value.clone()), rule, item, place, "Canary");
        breaks(&with(place, value), rule, item, place, "777");
    }
}

#[test]
fn what_is_not_an_object_is_no_record() {
    for (payload, rule) in [
        ("[]", RuleId::WrongType),
        ("[{\"la_child_id\":\"Canary\"}]", RuleId::WrongType),
        ("\"Canary\"", RuleId::WrongType),
        ("777001", RuleId::WrongType),
        ("null", RuleId::WrongType),
        ("true", RuleId::WrongType),
        ("", RuleId::NotJson),
        (" \n", RuleId::NotJson),
        ("{\"la_child_id\":\"Canary\"", RuleId::NotJson),
        ("{\"la_child_id\":\"Canary\"}}", RuleId::NotJson),
        ("{\"la_child_id\":Canary}", RuleId::NotJson),
        ("{'la_child_id':'Canary'}", RuleId::NotJson),
        ("{\"la_child_id\":\"Canary\\ud800\"}", RuleId::NotJson),
        (
            "{\"la_child_id\":\"1\",\"x\":\"Canary\\ud800\"}",
            RuleId::NotJson,
        ),
        (
            "{\"la_child_id\":\"1\",\"purge\":7,\"x\":Canary}",
            RuleId::NotJson,
        ),
        (
            "{\"la_child_id\":\"1\",\"x\":{\"$serde_json::private::Number\":\"Canary\"}}",
            RuleId::NotJson,
        ),
    ] {
        let checked = RULES.check(payload);
        let rules: Vec<RuleId> = checked.findings().iter().map(Finding::rule).collect();
        assert_eq!(rules, [rule], "{payload}");
        let words = words(&checked.findings()[0]);
        assert!(
            !words.contains("Canary") && !words.contains("777"),
            "{words}"
        );
    }
}

#[test]
fn a_mandatory_field_that_is_absent_or_null_is_an_error() {
    for (place, item) in [
        ("/la_child_id", "2"),
        ("/social_care_episodes/1/social_care_episode_id", "16"),
        (
            "/social_care_episodes/0/care_worker_details/1/worker_id",
            "53",
        ),
        (
            "/social_care_episodes/0/child_and_family_assessments/0/child_and_family_assessment_id",
            "22",
        ),
        (
            "/social_care_episodes/0/child_in_need_plans/0/child_in_need_plan_id",
            "26",
        ),
        (
            "/social_care_episodes/0/section_47_assessments/0/section_47_assessment_id",
            "29",
        ),
        (
            "/social_care_episodes/0/child_protection_plans/0/child_protection_plan_id",
            "34",
        ),
        (
            "/social_care_episodes/0/child_looked_after_placements/0/child_looked_after_placement_id",
            "37",
        ),
    ] {
        breaks(&without(place), RuleId::Missing, Some(item), place, "");
        breaks(
            &with(place, Value::Null),
            RuleId::Missing,
            Some(item),
            place,
            "",
        );
    }
}

#[test]
fn an_id_of_another_form_is_an_error() {
    for (place, item) in [
        ("/la_child_id", Some("2")),
        ("/mis_child_id", None),
        ("/child_details/unique_pupil_number", Some("3")),
        ("/child_details/former_unique_pupil_number", Some("4")),
        ("/social_care_episodes/0/social_care_episode_id", Some("16")),
        (
            "/social_care_episodes/0/care_worker_details/0/worker_id",
            Some("53"),
        ),
    ] {
        let long = "Canary7".repeat(6);
        for value in ["Canary 7", "Canaryé", "", &long, "Canary7\n"] {
            breaks(
                &with(place, json!(value)),
                RuleId::Pattern,
                item,
                place,
                "Canary",
            );
        }
    }
    let longest = "a".repeat(36);
    assert!(
        RULES
            .check(&with("/la_child_id", json!(longest)).to_string())
            .is_clean()
    );
}

#[test]
fn a_text_that_is_too_long_or_too_short_is_an_error() {
    let placement = format!("{EPISODE}/child_looked_after_placements/0");
    for (place, value, item) in [
        ("/child_details/sex".to_owned(), "Canary", "10"),
        ("/child_details/sex".to_owned(), "", "10"),
        ("/child_details/ethnicity".to_owned(), "Canary", "11"),
        ("/child_details/postcode".to_owned(), "Canary 99", "13"),
        (format!("{EPISODE}/referral_source"), "Canary", "18"),
        (format!("{EPISODE}/closure_reason"), "Canary", "20"),
        (format!("{placement}/postcode"), "Canary 99", "40"),
        (format!("{placement}/placement_type"), "U1x", "41"),
        (format!("{placement}/end_reason"), "Canary", "43"),
        (format!("{placement}/change_reason"), "Canary99", "44"),
        (format!("{EPISODE}/care_leavers/activity"), "Canary", "51"),
        (
            format!("{EPISODE}/care_leavers/accommodation"),
            "Canary",
            "52",
        ),
    ] {
        breaks(
            &with(&place, json!(value)),
            RuleId::Length,
            Some(item),
            &place,
            "Canary",
        );
    }
}

#[test]
fn a_text_that_is_no_calendar_date_is_an_error() {
    for (place, item) in [
        ("/child_details/date_of_birth", "8"),
        ("/social_care_episodes/0/referral_date", "17"),
        ("/health_and_wellbeing/sdq_assessments/0/date", "45"),
        ("/social_care_episodes/0/adoption/placed_date", "49"),
    ] {
        for value in [
            "2023-02-30",
            "30/06/2023",
            "2023-06-30T00:00:00",
            "20230630",
            "Canary",
            "",
        ] {
            let record = with(place, json!(value));
            breaks(&record, RuleId::Date, Some(item), place, value);
        }
    }
}

#[test]
fn a_score_outside_0_to_40_is_an_error() {
    let place = "/health_and_wellbeing/sdq_assessments/0/score";
    for value in [-1i64, 41, 777_001] {
        breaks(
            &with(place, json!(value)),
            RuleId::Range,
            Some("46"),
            place,
            "777",
        );
    }
}

#[test]
fn more_than_12_disabilities_are_an_error() {
    let all = [
        "MOB", "HAND", "PC", "INC", "COMM", "LD", "HEAR", "VIS", "BEH", "CON", "AUT", "DDA",
    ];
    let place = "/child_details/disabilities";
    assert!(RULES.check(&with(place, json!(all)).to_string()).is_clean());
    let more: Vec<&str> = all.iter().copied().chain(["MOB"]).collect();
    breaks(
        &with(place, json!(more)),
        RuleId::MaxItems,
        Some("12"),
        place,
        "",
    );
}

#[test]
fn two_items_with_one_id_are_an_error_and_the_later_one_is_named() {
    for (list, id, item) in [
        ("/social_care_episodes", "social_care_episode_id", "16"),
        (
            "/social_care_episodes/0/child_and_family_assessments",
            "child_and_family_assessment_id",
            "22",
        ),
        (
            "/social_care_episodes/0/child_in_need_plans",
            "child_in_need_plan_id",
            "26",
        ),
        (
            "/social_care_episodes/0/section_47_assessments",
            "section_47_assessment_id",
            "29",
        ),
        (
            "/social_care_episodes/0/child_protection_plans",
            "child_protection_plan_id",
            "34",
        ),
        (
            "/social_care_episodes/0/child_looked_after_placements",
            "child_looked_after_placement_id",
            "37",
        ),
    ] {
        let record = with(
            list,
            json!([{id: "a"}, {id: "Canary"}, {id: "b"}, {id: "Canary"}]),
        );
        let pointer = format!("{list}/3/{id}");
        breaks(&record, RuleId::RepeatedId, Some(item), &pointer, "Canary");
    }
}

#[test]
fn an_id_that_stands_twice_in_its_item_is_an_error() {
    let payload = r#"{"la_child_id":"1","social_care_episodes":[
        {"social_care_episode_id":"a","social_care_episode_id":"b"}]}"#;
    let checked = RULES.check(payload);
    assert_eq!(checked.errors(), 1);
    assert_eq!(checked.findings()[0].rule(), RuleId::RepeatedId);
}

#[test]
fn two_child_ids_are_an_error() {
    let checked = RULES.check(r#"{"la_child_id":"Canary1","la_child_id":"Canary2"}"#);
    let rules: Vec<RuleId> = checked.findings().iter().map(Finding::rule).collect();
    assert_eq!(rules, [RuleId::RepeatedKey, RuleId::RepeatedId]);
    assert!(
        checked
            .findings()
            .iter()
            .all(|finding| !words(finding).contains("Canary"))
    );
}

#[test]
fn a_payload_that_is_no_json_is_told_why_and_where() {
    for (payload, message) in [
        ("", "is blank"),
        (
            "{\n\"la_child_id\": \"Canary",
            "is not JSON: it ends too early, as if it had been cut (line 2, column 22)",
        ),
    ] {
        assert_eq!(RULES.check(payload).findings()[0].message(), message);
    }
}
