use serde_json::json;

use super::*;
use crate::meaning;

mod definition;

/// The delta, checked against the law on the way.
fn delta(previous: &Value, current: &Value) -> Option<Value> {
    let delta = diff(Some(previous), current);
    let held = match &delta {
        Some(delta) => apply(Some(previous), delta),
        None => Some(previous.clone()),
    };
    assert_eq!(held.as_ref().map(meaning), Some(meaning(current)));
    delta
}

/// A child with one episode, and what to put into the two.
fn child(top: Value, episode: Value) -> Value {
    let mut child = json!({
        "la_child_id": "1",
        "mis_child_id": "M1",
        "child_details": {"surname": "O'Brien", "sex": "F"},
        "social_care_episodes": [{"social_care_episode_id": "E1", "referral_date": "2026-01-01"}],
    });
    for (key, value) in top.as_object().unwrap() {
        child[key] = value.clone();
    }
    for (key, value) in episode.as_object().unwrap() {
        child["social_care_episodes"][0][key] = value.clone();
    }
    child
}

/// The delta that carries one changed episode.
fn episode_delta(fields: Value) -> Option<Value> {
    let mut delta = child(json!({}), fields);
    let episode = delta["social_care_episodes"][0].as_object_mut().unwrap();
    episode.shift_remove("referral_date");
    episode.insert("purge".to_owned(), json!(false));
    Some(delta)
}

fn plain() -> Value {
    child(json!({}), json!({}))
}

#[test]
fn what_means_the_same_has_no_delta() {
    let previous = child(json!({"health_and_wellbeing": {"n": 1}}), json!({}));
    let mut current = child(
        json!({"health_and_wellbeing": {"n": 1.0, "purge": false}, "x": null}),
        json!({"factors": [], "adoption": {}}),
    );
    current.as_object_mut().unwrap().sort_keys();
    assert_eq!(delta(&previous, &current), None);
}

#[test]
fn without_a_baseline_the_full_record_goes() {
    let current = child(json!({"x": null, "empty": []}), json!({"n": [1, null]}));
    let full = child(json!({"empty": []}), json!({"n": [1]}));
    assert_eq!(diff(None, &current), Some(full.clone()));
    let purged = json!({"la_child_id": "1", "purge": true});
    assert_eq!(diff(Some(&purged), &current), Some(full.clone()));
    let another = child(json!({"la_child_id": "2"}), json!({}));
    assert_eq!(diff(Some(&another), &current), Some(full.clone()));
    assert_eq!(diff(Some(&json!([])), &current), Some(full));
}

#[test]
fn a_deleted_child_is_its_ids_and_purge_and_nothing_else() {
    let both = json!({"la_child_id": "1", "mis_child_id": "M1", "purge": true});
    assert_eq!(purge(&plain()), both);
    let one = json!({"la_child_id": "1", "purge": true});
    let without = child(json!({"mis_child_id": null}), json!({}));
    assert_eq!(purge(&without), one);
    assert_eq!(apply(Some(&plain()), &both), None);
    assert_eq!(apply(None, &both), None);

    let leaving = child(json!({"purge": true}), json!({}));
    assert_eq!(diff(Some(&plain()), &leaving), Some(both));
    assert_eq!(diff(None, &leaving), None);
    assert_eq!(diff(Some(&one), &leaving), None);
}

#[test]
fn a_delta_always_carries_the_ids_and_child_details_whole() {
    let current = child(
        json!({"health_and_wellbeing": {"sdq_assessments": [{"score": 3}]}}),
        json!({}),
    );
    assert_eq!(
        delta(&plain(), &current),
        Some(json!({
            "la_child_id": "1",
            "mis_child_id": "M1",
            "child_details": {"surname": "O'Brien", "sex": "F"},
            "health_and_wellbeing": {"sdq_assessments": [{"score": 3}]},
        }))
    );
}

#[test]
fn child_details_name_their_gone_fields_as_null() {
    let previous = child(
        json!({"child_details": {
            "surname": "A", "postcode": "ZZ99 1AA", "disabilities": ["AUT"], "x": {"a": 1, "b": 2},
        }}),
        json!({}),
    );
    let current = child(
        json!({"child_details": {"surname": "B", "x": {"a": 1}}}),
        json!({}),
    );
    assert_eq!(
        delta(&previous, &current),
        Some(json!({
            "la_child_id": "1",
            "mis_child_id": "M1",
            "child_details": {
                "surname": "B", "x": {"a": 1, "b": null}, "postcode": null, "disabilities": null,
            },
        }))
    );
}

#[test]
fn child_details_that_are_gone_are_purged() {
    let mut current = plain();
    current
        .as_object_mut()
        .unwrap()
        .shift_remove("child_details");
    let expected =
        json!({"la_child_id": "1", "mis_child_id": "M1", "child_details": {"purge": true}});
    assert_eq!(delta(&plain(), &current), Some(expected));
    assert_eq!(
        delta(&current, &plain()),
        Some(json!({
            "la_child_id": "1", "mis_child_id": "M1",
            "child_details": {"surname": "O'Brien", "sex": "F"},
        }))
    );
}

#[test]
fn a_mis_child_id_that_is_gone_is_null_and_one_that_changed_is_the_new_one() {
    let details = json!({"surname": "O'Brien", "sex": "F"});
    let without = child(json!({"mis_child_id": null}), json!({}));
    assert_eq!(
        delta(&plain(), &without),
        Some(json!({"la_child_id": "1", "mis_child_id": null, "child_details": details}))
    );
    let other = child(json!({"mis_child_id": "M2"}), json!({}));
    assert_eq!(
        delta(&plain(), &other),
        Some(json!({"la_child_id": "1", "mis_child_id": "M2", "child_details": details}))
    );
}

#[test]
fn a_new_item_goes_whole_and_a_gone_one_as_a_stub() {
    let plan = json!({"child_in_need_plan_id": "P1", "start_date": "2026-02-01"});
    let with = child(json!({}), json!({"child_in_need_plans": [plan]}));
    let mut marked = plan.clone();
    marked["purge"] = json!(false);
    assert_eq!(
        delta(&plain(), &with),
        episode_delta(json!({"child_in_need_plans": [marked]}))
    );
    let stub = json!({"child_in_need_plan_id": "P1", "purge": true});
    let gone = episode_delta(json!({"child_in_need_plans": [stub]}));
    assert_eq!(delta(&with, &plain()), gone);
    let emptied = child(json!({}), json!({"child_in_need_plans": []}));
    assert_eq!(delta(&with, &emptied), gone);
}

#[test]
fn a_changed_item_carries_its_id_and_its_changed_fields_and_gone_ones_as_null() {
    let plan = |id: &str, start: &str, end: Option<&str>| json!({"child_in_need_plan_id": id, "start_date": start, "end_date": end});
    let plans = |plans: Value| child(json!({}), json!({"child_in_need_plans": plans}));
    let previous = plans(json!([
        plan("A", "1", Some("2")),
        plan("B", "1", None),
        plan("C", "1", None)
    ]));
    let current = plans(json!([
        plan("C", "1", None),
        plan("A", "1", None),
        plan("B", "3", Some("4"))
    ]));
    assert_eq!(
        delta(&previous, &current),
        episode_delta(json!({"child_in_need_plans": [
            {"child_in_need_plan_id": "A", "end_date": null, "purge": false},
            {"child_in_need_plan_id": "B", "start_date": "3", "end_date": "4", "purge": false},
        ]}))
    );
}

#[test]
fn a_new_episode_has_purge_false_on_every_item_with_an_id() {
    let mut current = plain();
    current["social_care_episodes"]
        .as_array_mut()
        .unwrap()
        .push(json!({
            "social_care_episode_id": "E2",
            "child_and_family_assessments": [
                {"child_and_family_assessment_id": "A", "factors": ["1A"], "start_date": null},
            ],
            "care_worker_details": [{"worker_id": "W"}],
            "purge": false,
        }));
    let delta = delta(&plain(), &current).unwrap();
    assert_eq!(
        delta["social_care_episodes"],
        json!([{
            "social_care_episode_id": "E2",
            "child_and_family_assessments": [
                {"child_and_family_assessment_id": "A", "factors": ["1A"], "purge": false},
            ],
            "care_worker_details": [{"worker_id": "W"}],
            "purge": false,
        }])
    );
}

#[test]
fn an_array_without_ids_is_whole_where_it_differs_and_null_where_it_is_gone() {
    let workers = |ids: &[&str]| {
        let workers: Value = ids.iter().map(|id| json!({"worker_id": id})).collect();
        json!({"care_worker_details": workers})
    };
    let one = child(json!({}), workers(&["1"]));
    let two = child(json!({}), workers(&["1", "2"]));
    let turned = child(json!({}), workers(&["2", "1"]));
    assert_eq!(delta(&one, &two), episode_delta(workers(&["1", "2"])));
    assert_eq!(delta(&two, &one), episode_delta(workers(&["1"])));
    assert_eq!(delta(&two, &turned), episode_delta(workers(&["2", "1"])));
    assert_eq!(
        delta(&two, &plain()),
        episode_delta(json!({"care_worker_details": null}))
    );
}

#[test]
fn a_gone_object_is_purged_and_a_changed_one_carries_what_changed() {
    let adoption = |value: Value| child(json!({}), json!({"adoption": value}));
    let previous = adoption(json!({"matched_date": "1", "placed_date": "2"}));
    let gone = episode_delta(json!({"adoption": {"purge": true}}));
    assert_eq!(delta(&previous, &plain()), gone);
    assert_eq!(delta(&previous, &adoption(json!({}))), gone);
    assert_eq!(
        delta(&previous, &adoption(json!({"matched_date": "3"}))),
        episode_delta(json!({"adoption": {"matched_date": "3", "placed_date": null}}))
    );
    let sdq = json!({"health_and_wellbeing": {"sdq_assessments": [{"score": 1}]}});
    let delta = delta(&child(sdq, json!({})), &plain()).unwrap();
    assert_eq!(delta["health_and_wellbeing"], json!({"purge": true}));
}

#[test]
fn an_episode_that_is_gone_is_one_stub_and_one_that_is_reopened_loses_its_closure() {
    let mut current = plain();
    current["social_care_episodes"] = json!([]);
    let gone = delta(&plain(), &current).unwrap();
    assert_eq!(
        gone["social_care_episodes"],
        json!([{"social_care_episode_id": "E1", "purge": true}])
    );
    let closed = child(
        json!({}),
        json!({"closure_date": "2026-03-01", "closure_reason": "RC7"}),
    );
    assert_eq!(
        delta(&closed, &plain()),
        episode_delta(json!({"closure_date": null, "closure_reason": null}))
    );
}

#[test]
fn unknown_keys_are_treated_by_what_they_are() {
    let previous = child(
        json!({
            "gone": 1, "gone_object": {"a": {"b": 1}}, "kept": "x",
            "visits": [{"visit_id": 1, "a": 1}, {"visit_id": 2}],
            "turned": [{"visit_id": 1}],
        }),
        json!({}),
    );
    let current = child(
        json!({
            "kept": "x", "new": {"a": [1.10]},
            "visits": [{"visit_id": 1.0, "b": 1}, {"visit_id": 3}],
            "turned": ["plain"],
        }),
        json!({}),
    );
    let delta = delta(&previous, &current).unwrap();
    for (key, expected) in [
        ("gone", json!(null)),
        ("gone_object", json!({"purge": true})),
        ("new", json!({"a": [1.10]})),
        (
            "visits",
            json!([
                {"visit_id": 1.0, "a": null, "b": 1, "purge": false},
                {"visit_id": 2, "purge": true},
                {"visit_id": 3, "purge": false},
            ]),
        ),
        ("turned", json!(["plain"])),
    ] {
        assert_eq!(delta[key], expected, "{key}");
    }
    assert_eq!(delta.get("kept"), None);
}

#[test]
fn an_unknown_array_that_goes_by_another_id_is_replaced() {
    let visits = child(
        json!({"visits": [{"visit_id": 1, "a": 1}, {"visit_id": 2}]}),
        json!({}),
    );
    let stays = child(json!({"visits": [{"stay_id": 1, "a": 1}]}), json!({}));
    let delta = delta(&visits, &stays).unwrap();
    assert_eq!(
        delta["visits"],
        json!([{"stay_id": 1, "a": 1, "purge": false}])
    );
}

#[test]
fn a_number_in_a_delta_is_spelled_as_in_the_record() {
    let with = |number: &str| -> Value {
        serde_json::from_str(&format!(r#"{{"la_child_id":"1","n":{number}}}"#)).unwrap()
    };
    let delta = delta(&with("1"), &with("1.10")).unwrap();
    assert_eq!(delta.to_string(), r#"{"la_child_id":"1","n":1.10}"#);
    assert_eq!(diff(Some(&with("1.1")), &with("1.10")), None);
    let big = "9007199254740993";
    let delta = diff(Some(&with("9007199254740992")), &with(big)).unwrap();
    assert!(delta.to_string().contains(big));
}

#[test]
fn the_records_own_purges_are_no_part_of_a_state() {
    let stub = json!({"child_in_need_plan_id": "P", "purge": true});
    let with_stub = child(
        json!({"health_and_wellbeing": {"purge": true}}),
        json!({"child_in_need_plans": [stub]}),
    );
    assert_eq!(diff(Some(&with_stub), &plain()), None);
    assert_eq!(diff(Some(&plain()), &with_stub), None);
    let held = apply(None, &with_stub).unwrap();
    assert_eq!(meaning(&held), meaning(&plain()));
    let with_plan = child(
        json!({}),
        json!({"child_in_need_plans": [{"child_in_need_plan_id": "P"}]}),
    );
    assert_eq!(
        diff(Some(&with_plan), &with_stub),
        episode_delta(json!({"child_in_need_plans": [stub]}))
    );
}

#[test]
fn applying_drops_nulls_merges_objects_and_items_and_replaces_the_rest() {
    let held = json!({
        "la_child_id": "1", "a": 1, "b": {"c": 1, "d": 2}, "list": [1, 2],
        "child_in_need_plans": [
            {"child_in_need_plan_id": "1", "x": 1}, {"child_in_need_plan_id": "2", "x": 1},
            {"child_in_need_plan_id": "3", "x": 1},
        ],
    });
    let incoming = json!({
        "a": null, "b": {"c": null, "e": {"f": null, "g": 1}}, "list": [3],
        "nothing": {"purge": true},
        "child_in_need_plans": [
            {"child_in_need_plan_id": "2", "x": null, "y": 2},
            {"child_in_need_plan_id": "3", "purge": true},
            {"child_in_need_plan_id": "4", "x": 4},
            {"child_in_need_plan_id": "5", "purge": true},
        ],
    });
    assert_eq!(
        apply(Some(&held), &incoming),
        Some(json!({
            "la_child_id": "1", "b": {"d": 2, "e": {"g": 1}}, "list": [3],
            "child_in_need_plans": [
                {"child_in_need_plan_id": "1", "x": 1}, {"child_in_need_plan_id": "2", "y": 2},
                {"child_in_need_plan_id": "4", "x": 4},
            ],
        }))
    );
}

#[test]
fn what_is_not_an_object_changes_nothing_and_has_no_delta() {
    for value in [json!(null), json!(1), json!("x"), json!([1])] {
        assert_eq!(apply(Some(&plain()), &value), Some(plain()));
        assert_eq!(apply(None, &value), None);
        assert_eq!(diff(Some(&plain()), &value), None);
    }
}

#[test]
fn an_array_with_duplicate_ids_is_replaced_whole() {
    let plans = |ids: &[&str]| {
        let plans: Value = ids
            .iter()
            .map(|id| json!({"child_in_need_plan_id": id}))
            .collect();
        child(json!({}), json!({"child_in_need_plans": plans}))
    };
    assert!(delta(&plans(&["1", "2"]), &plans(&["1", "1"])).is_some());
    assert!(delta(&plans(&["1", "1"]), &plans(&["1", "2"])).is_some());
    assert!(delta(&plans(&["1", "1"]), &plain()).is_some());
}
