use serde_json::json;

use super::*;
use crate::name::{Known, NAME};
use crate::{Fakes, Record, apply, meaning};

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
fn what_an_earlier_version_kept_is_the_same_skeleton() {
    let kept = Skeleton::kept(concat!(
        "{\u{1}J:{\u{1}V:0,\u{1}m:0,\u{1}0:0},\u{1}d:{\u{1}s:0},\u{1}h:0,\u{1}j:0,",
        "\u{1}x:[\u{1}w,\"E1\",{\u{1}C:{\u{1}i:0},\u{1}F:0,\u{1}L:[\u{1}K,\"P1\",{\u{1}K:0,\u{1}W:0}],",
        "\u{1}Q:0,\u{1}w:0},\"E2\",{\u{1}w:0}],\"visits\":[\"visit_id\",7,{\"note\":0,\"visit_id\":0}]}",
    ));
    let now = Skeleton::of(&acknowledged());
    assert_eq!(kept.to_json(), now.to_json());
    assert_eq!(kept, now);
    assert_eq!(
        now.to_kept(),
        concat!(
            "{\u{2}J{\u{2}V\u{2}m\u{2}0},\u{2}d{\u{2}s},\u{2}h\u{2}j",
            "\u{2}x[\u{1}w,\"E1\",{\u{2}C{\u{2}i},\u{2}F\u{2}L[\u{1}K,\"P1\",{\u{2}K\u{2}W}],",
            "\u{2}Q\u{2}w},\"E2\",{\u{2}w}],\"visits\":[\"visit_id\",7,{\"note\":0,\"visit_id\":0}]}",
        )
    );
    // With two answers, and nothing but a known name in an array's head.
    let merged = Skeleton::of(&json!({"sex": "F", "x": [{"child_in_need_plan_id": "\u{1}m:0,"}]}))
        .merge(Skeleton::of(&json!({"sex": {"score": 1}, "uasc_flag": 0})));
    let kept = "{\u{1}v:[null,0,{\u{1}r:0}],\u{1}2:0,\"x\":[\u{1}K,\"\\u0001m:0,\",{\u{1}K:0}]}";
    assert_eq!(Skeleton::kept(kept), merged);
}

/// As the earlier version wrote it.
fn write_before(value: &Value, out: &mut String) {
    let write_name = |name: &str, out: &mut String| match Known::of(name) {
        Some(known) => out.extend([NAME, known.letter()]),
        None => write_text(name, out),
    };
    match value {
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, value)) in fields.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write_name(key, out);
                out.push(':');
                write_before(value, out);
            }
            out.push('}');
        }
        Value::Array(parts) => {
            out.push('[');
            for (at, part) in parts.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                match part {
                    Value::String(id_field) if at == 0 => write_name(id_field, out),
                    part => write_before(part, out),
                }
            }
            out.push(']');
        }
        Value::String(id) => write_text(id, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

#[test]
fn what_an_earlier_version_kept_of_any_record_is_the_same_skeleton_or_damage() {
    let fakes = Fakes::new(5, jiff::civil::date(2026, 9, 1));
    for n in 0..50 {
        let record = fakes.child(n);
        let now = Record::parse(&record.to_string())
            .unwrap()
            .essence()
            .skeleton;
        let mut before = String::new();
        write_before(&serde_json::from_str(&now.to_json()).unwrap(), &mut before);
        assert_eq!(Skeleton::kept(&before), now);
        assert_eq!(Skeleton::kept(now.to_kept()), now);
        for cut in 0..before.len() {
            let damaged = Skeleton::kept(&before[..cut]);
            assert_eq!(Skeleton::from_json(&damaged.to_json()).ok(), None);
        }
    }
}

#[test]
fn no_id_and_no_name_is_taken_for_a_mark() {
    let record = json!({
        "\u{1}m": 1, "\u{2}m": {"\u{2}": 1}, "a": [{"b_id": "\u{2}m\u{1}m:0"}, {"b_id": "postcode"}],
        "c": [{"\u{2}m_id": 1}],
    });
    let skeleton = Skeleton::of(&record);
    assert!(!skeleton.to_kept().contains(['\u{1}', '\u{2}']));
    let read = Record::parse(&json!({"la_child_id": "\u{2}", "x": record}).to_string()).unwrap();
    assert_eq!(read.essence().skeleton, Skeleton::of(&read.value()));
    let kept = Skeleton::kept(skeleton.to_kept());
    assert_eq!(Skeleton::from_json(&kept.to_json()), Ok(skeleton));
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
