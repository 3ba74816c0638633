//! What is doubtful.

use csc_payload::finding::RuleId;
use serde_json::json;

use crate::{EPISODE, RULES, breaks, with, without};

#[test]
fn a_key_that_stands_twice_is_a_warning_and_both_values_are_checked() {
    let payload = r#"{"la_child_id":"1","child_details":{"sex":"M","sex":true}}"#;
    let checked = RULES.check(payload);
    let found: Vec<_> = checked
        .findings()
        .iter()
        .map(|f| (f.rule(), f.pointer()))
        .collect();
    assert_eq!(
        found,
        [
            (RuleId::RepeatedKey, "/child_details/sex"),
            (RuleId::WrongType, "/child_details/sex"),
        ]
    );
}

#[test]
fn a_code_outside_its_set_is_a_warning() {
    let assessment = format!("{EPISODE}/child_and_family_assessments/0");
    let placement = format!("{EPISODE}/child_looked_after_placements/0");
    for (place, value, item) in [
        ("/child_details/sex".to_owned(), "Q", "10"),
        ("/child_details/sex".to_owned(), "m", "10"),
        ("/child_details/ethnicity".to_owned(), "QQQQ", "11"),
        ("/child_details/disabilities/1".to_owned(), "Canary", "12"),
        (format!("{EPISODE}/referral_source"), "QQ", "18"),
        (format!("{EPISODE}/closure_reason"), "AMY", "20"),
        (format!("{assessment}/factors/1"), "Canary", "25"),
        (format!("{placement}/start_reason"), "Q", "39"),
        (format!("{placement}/placement_type"), "QQ", "41"),
        (format!("{placement}/end_reason"), "QQQ", "43"),
        (format!("{placement}/change_reason"), "QQQQ", "44"),
        (format!("{EPISODE}/care_leavers/activity"), "QQ", "51"),
        (format!("{EPISODE}/care_leavers/accommodation"), "Q", "52"),
    ] {
        let record = with(&place, json!(value));
        let canary = if value.len() > 1 { value } else { "" };
        breaks(&record, RuleId::UnknownCode, Some(item), &place, canary);
    }
}

#[test]
fn a_code_of_the_process_is_shown_and_one_about_the_child_is_not() {
    let message = |place: &str, value: &str| {
        let checked = RULES.check(&with(place, json!(value)).to_string());
        checked.findings()[0].message().to_owned()
    };
    assert!(message("/social_care_episodes/0/referral_source", "1F").contains("is 1F,"));
    assert!(!message("/child_details/ethnicity", "9Z").contains("9Z"));
}

#[test]
fn an_end_before_its_start_is_a_warning_at_the_end() {
    for (end, item) in [
        ("closure_date", "19"),
        ("care_worker_details/0/end_date", "55"),
        ("child_and_family_assessments/0/authorisation_date", "24"),
        ("child_in_need_plans/0/end_date", "28"),
        ("section_47_assessments/0/end_date", "33"),
        ("child_protection_plans/0/end_date", "36"),
        ("child_looked_after_placements/0/end_date", "42"),
    ] {
        let place = format!("{EPISODE}/{end}");
        let record = with(&place, json!("2022-02-02"));
        breaks(
            &record,
            RuleId::EndBeforeStart,
            Some(item),
            &place,
            "2022-02-02",
        );
        let same_day = with(&place, json!("2022-02-03"));
        assert!(RULES.check(&same_day.to_string()).is_clean(), "{end}");
    }
}

#[test]
fn dates_of_one_object_are_not_compared_with_those_of_the_next() {
    let plans = json!([
        {"child_in_need_plan_id": "a", "start_date": "2022-06-01"},
        {"child_in_need_plan_id": "b", "end_date": "2022-05-01"}
    ]);
    let record = with("/social_care_episodes/0/child_in_need_plans", plans);
    assert!(RULES.check(&record.to_string()).is_clean());
}

/// Born 2011-12-13; 280 days before that was 2011-03-08.
#[test]
fn work_for_an_unborn_child_may_begin_280_days_before_the_birth() {
    let place = "/social_care_episodes/0/referral_date";
    let first = with(place, json!("2011-03-08"));
    assert!(RULES.check(&first.to_string()).is_clean());
    let record = with(place, json!("2011-03-07"));
    breaks(
        &record,
        RuleId::BeforeBirth,
        Some("17"),
        place,
        "2011-03-07",
    );
}

#[test]
fn what_needs_a_child_that_is_born_cannot_lie_before_the_birth() {
    for (place, item) in [
        ("/health_and_wellbeing/sdq_assessments/0/date", "45"),
        ("/child_details/uasc_end_date", "15"),
        ("/social_care_episodes/0/care_leavers/contact_date", "50"),
        ("/social_care_episodes/0/adoption/placed_date", "49"),
        (
            "/social_care_episodes/0/child_looked_after_placements/0/start_date",
            "38",
        ),
    ] {
        let record = with(place, json!("2011-12-12"));
        breaks(
            &record,
            RuleId::BeforeBirth,
            Some(item),
            place,
            "2011-12-12",
        );
        let birthday = with(place, json!("2011-12-13"));
        assert!(RULES.check(&birthday.to_string()).is_clean(), "{place}");
    }
}

#[test]
fn an_event_that_stands_before_the_birth_in_the_text_is_compared_with_it_too() {
    let payload = r#"{"la_child_id":"1",
        "health_and_wellbeing":{"sdq_assessments":[{"score":1},{"date":"2010-01-01"}]},
        "child_details":{"date_of_birth":"2011-12-13"}}"#;
    let checked = RULES.check(payload);
    let found: Vec<_> = checked
        .findings()
        .iter()
        .map(|f| (f.rule(), f.pointer()))
        .collect();
    assert_eq!(
        found,
        [(
            RuleId::BeforeBirth,
            "/health_and_wellbeing/sdq_assessments/1/date"
        )]
    );
}

#[test]
fn without_a_date_of_birth_no_event_lies_before_it() {
    assert!(
        RULES
            .check(&without("/child_details/date_of_birth").to_string())
            .is_clean()
    );
}

#[test]
fn a_pupil_number_beside_a_reason_for_having_none_is_a_warning() {
    let place = "/child_details/unique_pupil_number_unknown_reason";
    breaks(
        &with(place, json!("UN4")),
        RuleId::NotTogether,
        Some("5"),
        place,
        "",
    );
}

#[test]
fn no_disability_beside_others_is_a_warning() {
    let place = "/child_details/disabilities";
    breaks(
        &with(place, json!(["NONE", "MOB"])),
        RuleId::NotAlone,
        Some("12"),
        place,
        "",
    );
    assert!(
        RULES
            .check(&with(place, json!(["NONE"])).to_string())
            .is_clean()
    );
}

#[test]
fn an_unknown_key_is_a_warning_wherever_it_is() {
    for object in [
        "",
        "/child_details",
        "/social_care_episodes/0",
        "/social_care_episodes/0/adoption",
    ] {
        let place = format!("{object}/middle_name");
        let record = with(&place, json!({"a": ["Canary", 777_001]}));
        breaks(&record, RuleId::UnknownKey, None, &place, "Canary");
    }
}

#[test]
fn a_key_that_could_be_somebodys_data_is_not_shown() {
    for key in [
        "Canary Smith",
        "Canary/~",
        "Canaryé",
        "A123456789012",
        "CANARY12",
        "",
    ] {
        let record = with(&format!("/child_details/{}", "x"), json!(1));
        let mut record = record;
        let details = record["child_details"].as_object_mut().unwrap();
        details.remove("x");
        details.insert(key.to_owned(), json!(1));
        let canary = if key.is_empty() { "" } else { &key[..6] };
        breaks(&record, RuleId::UnknownKey, None, "/child_details", canary);
    }
}

#[test]
fn a_key_that_is_spelled_otherwise_is_told_the_right_spelling() {
    let checked = RULES.check(&with("/child_details/firstName", json!("x")).to_string());
    assert!(checked.findings()[0].advice().contains("first_name"));
}

#[test]
fn the_constant_that_some_scripts_fill_in_for_mis_child_id_is_a_warning() {
    breaks(
        &with("/mis_child_id", json!("SSD_SUI")),
        RuleId::Placeholder,
        None,
        "/mis_child_id",
        "",
    );
}

#[test]
fn a_purge_in_a_record_is_a_warning_wherever_it_is() {
    for object in [
        "",
        "/child_details",
        "/health_and_wellbeing",
        "/social_care_episodes/0",
        "/social_care_episodes/0/child_protection_plans/0",
        "/social_care_episodes/0/care_leavers",
    ] {
        let place = format!("{object}/purge");
        breaks(&with(&place, json!(true)), RuleId::Purge, None, &place, "");
    }
}
