use serde_json::json;

use super::*;
use crate::{apply, meaning};

fn acknowledged() -> Value {
    json!({
        "la_child_id": "1",
        "mis_child_id": "Mary",
        "purge": false,
        "child_details": {"surname": "O'Brien", "postcode": "ZZ99 1AA", "disabilities": ["AUT"]},
        "health_and_wellbeing": {"sdq_assessments": [{"date": "2026-01-01", "score": 39}]},
        "visits": [{"visit_id": 7, "note": "x"}],
        "empty": [],
        "social_care_episodes": [
            {
                "social_care_episode_id": "E1",
                "closure_date": "2026-02-02",
                "adoption": {"matched_date": "2026-03-03"},
                "care_worker_details": [{"worker_id": "W1"}],
                "child_in_need_plans": [{"child_in_need_plan_id": "P1", "end_date": "2026-04-04"}],
            },
            {"social_care_episode_id": "E2", "purge": false},
        ],
    })
}

#[test]
fn a_skeleton_has_ids_and_names_and_no_other_value() {
    assert_eq!(
        Skeleton::of(&acknowledged()).to_json(),
        concat!(
            r#"{"child_details":{"disabilities":0,"postcode":0,"surname":0},"#,
            r#""health_and_wellbeing":{"sdq_assessments":0},"la_child_id":0,"mis_child_id":0,"#,
            r#""social_care_episodes":["social_care_episode_id","#,
            r#""E1",{"adoption":{"matched_date":0},"care_worker_details":0,"#,
            r#""child_in_need_plans":["child_in_need_plan_id","#,
            r#""P1",{"child_in_need_plan_id":0,"end_date":0}],"#,
            r#""closure_date":0,"social_care_episode_id":0},"#,
            r#""E2",{"social_care_episode_id":0}],"#,
            r#""visits":["visit_id",7,{"note":0,"visit_id":0}]}"#,
        )
    );
}

#[test]
fn everything_that_was_acknowledged_and_is_gone_is_named() {
    let skeleton = Skeleton::of(&acknowledged());
    let record = json!({
        "la_child_id": "1",
        "child_details": {"surname": "O'Brien"},
        "social_care_episodes": [{"social_care_episode_id": "E1", "n": null}],
    });
    let complete = skeleton.complete(&record);
    assert_eq!(
        complete,
        json!({
            "la_child_id": "1",
            "mis_child_id": null,
            "child_details": {"surname": "O'Brien", "postcode": null, "disabilities": null},
            "health_and_wellbeing": {"purge": true},
            "visits": [{"visit_id": 7, "purge": true}],
            "social_care_episodes": [
                {
                    "social_care_episode_id": "E1",
                    "closure_date": null,
                    "adoption": {"purge": true},
                    "care_worker_details": null,
                    "child_in_need_plans": [{"child_in_need_plan_id": "P1", "purge": true}],
                },
                {"social_care_episode_id": "E2", "purge": true},
            ],
        })
    );
    let held = apply(Some(&acknowledged()), &complete).unwrap();
    assert_eq!(meaning(&held), meaning(&record));
    // A child that has lost everything.
    let bare = json!({"la_child_id": "1"});
    let held = apply(Some(&acknowledged()), &skeleton.complete(&bare)).unwrap();
    assert_eq!(meaning(&held), bare);
}

#[test]
fn a_record_that_has_lost_nothing_is_complete_as_it_is() {
    let record = acknowledged();
    assert_eq!(
        Skeleton::of(&record).complete(&record).to_string(),
        record.to_string()
    );
    assert_eq!(Skeleton::default().complete(&record), record);
}

#[test]
fn what_is_there_but_empty_is_gone() {
    let skeleton = Skeleton::of(&acknowledged());
    let record = json!({"health_and_wellbeing": {}, "visits": [], "social_care_episodes": [{}]});
    let complete = skeleton.complete(&record);
    assert_eq!(complete["health_and_wellbeing"], json!({"purge": true}));
    assert_eq!(complete["visits"], json!([{"visit_id": 7, "purge": true}]));
    assert_eq!(
        complete["social_care_episodes"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn the_records_own_purges_are_kept() {
    let skeleton = Skeleton::of(&acknowledged());
    let record = json!({
        "la_child_id": "1",
        "visits": [{"visit_id": 8, "purge": true}],
        "other": {"purge": true},
    });
    let complete = skeleton.complete(&record);
    assert_eq!(
        complete["visits"],
        json!([{"visit_id": 8, "purge": true}, {"visit_id": 7, "purge": true}])
    );
    assert_eq!(complete["other"], json!({"purge": true}));
    let purge = json!({"la_child_id": "1", "purge": true});
    assert_eq!(skeleton.complete(&purge), purge);
    assert_eq!(skeleton.complete(&json!([1])), json!([1]));
    assert_eq!(Skeleton::of(&purge), Skeleton::default());
    assert!(Skeleton::of(&json!([1])).is_empty());
}

#[test]
fn merged_skeletons_cover_both_states() {
    let one = json!({
        "la_child_id": "1", "a": 1, "kind": {"x": 1}, "list": [{"x_id": 1, "p": 1}, {"x_id": 2}],
    });
    let two = json!({
        "la_child_id": "1", "b": {"c": 1}, "kind": "plain", "list": [{"x_id": 1, "q": 1}, {"x_id": 3}],
    });
    let merged = Skeleton::of(&one).merge(Skeleton::of(&two));
    assert_eq!(merged, Skeleton::of(&two).merge(Skeleton::of(&one)));
    assert_eq!(merged.clone().merge(Skeleton::of(&one)), merged);
    let record = json!({"la_child_id": "1", "list": [{"x_id": 1}]});
    let complete = merged.complete(&record);
    assert_eq!(
        complete,
        json!({
            "la_child_id": "1", "a": null, "b": {"purge": true}, "kind": null,
            "list": [
                {"x_id": 1, "p": null, "q": null},
                {"x_id": 2, "purge": true}, {"x_id": 3, "purge": true},
            ],
        })
    );
    for state in [one, two] {
        assert_eq!(
            apply(Some(&state), &complete).as_ref().map(meaning),
            Some(meaning(&record))
        );
    }
}

#[test]
fn a_skeleton_is_read_back_as_it_was_written() {
    let one = Skeleton::of(&acknowledged());
    let two = Skeleton::of(
        &json!({"visits": "x", "child_details": [{"a_id": "1"}], "n": [{"b_id": 1.50}]}),
    );
    for skeleton in [
        one.clone(),
        two.clone(),
        one.merge(two),
        Skeleton::default(),
    ] {
        assert_eq!(Skeleton::from_json(&skeleton.to_json()), Ok(skeleton));
    }
}

#[test]
fn what_is_no_skeleton_is_refused() {
    for (text, expected) in [
        ("", SkeletonFault::NotJson),
        ("{", SkeletonFault::NotJson),
        ("[]", SkeletonFault::NotASkeleton),
        (r#"{"a":1}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":"x"}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":null}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":[]}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":["x_id","1"]}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":["x_id",null,{}]}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":["x_id","1",0]}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":[5,"1",{}]}"#, SkeletonFault::NotASkeleton),
        (r#"{"a":[null,null]}"#, SkeletonFault::NotASkeleton),
    ] {
        assert_eq!(Skeleton::from_json(text), Err(expected), "{text}");
    }
}
