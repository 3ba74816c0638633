//! The laws of deltas and skeletons, for two records out of one text.

#![no_main]

use csc_payload::finding::Severity;
use csc_payload::rules::Rules;
use csc_payload::{Record, Skeleton, apply, diff, meaning};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static RULES: LazyLock<Rules> = LazyLock::new(Rules::embedded);

/// What the sender sends: a record without errors, and no purge.
fn record(text: &str) -> Option<serde_json::Value> {
    let record = Record::parse(text).ok()?;
    let sound = RULES
        .check(text)
        .findings()
        .iter()
        .all(|finding| finding.severity() != Severity::Error);
    (sound && !text.contains("purge")).then(|| record.value())
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Some((a, b)) = text.split_once('\n') else {
        return;
    };
    let (Some(previous), Some(mut current)) = (record(a), record(b)) else {
        return;
    };
    // One child on two days.
    current["la_child_id"] = previous["la_child_id"].clone();
    assert!(diff(Some(&previous), &previous).is_none());
    let held = apply(None, &previous).expect("a record is no purge");
    let after = match diff(Some(&previous), &current) {
        Some(delta) => apply(Some(&held), &delta).expect("a delta is no purge"),
        None => held.clone(),
    };
    assert_eq!(meaning(&after), meaning(&current));
    let skeleton = Skeleton::of(&previous);
    let read = Skeleton::from_json(&skeleton.to_json()).expect("what was written can be read");
    assert_eq!(read, skeleton);
    let exact = apply(Some(&held), &skeleton.complete(&current)).expect("a record is no purge");
    assert_eq!(meaning(&exact), meaning(&current));
});
