//! The laws that records, deltas and skeletons obey (`payload.md`), held against
//! generated records. `PROPTEST_CASES` sets how many.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod generated;

use csc_payload::{
    Fakes, Previous, Reading, Record, Skeleton, apply, diff, meaning, meaning_hash, purge,
};
use generated::{mutated, record, respelled, spaced, tangled};
use jiff::civil::date;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What is held, or would be, after a message that may be none.
fn after(held: &Value, message: Option<&Value>) -> Value {
    match message {
        Some(message) => apply(Some(held), message).unwrap_or_default(),
        None => held.clone(),
    }
}

/// A normal form as it is hashed. The library writes 1e+400 where the canonical spelling is
/// 1e400; in all else it is what `to_string` gives.
fn compact(normal: &Value) -> String {
    match normal {
        Value::Number(number) => number.to_string().replace("e+", "e"),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(compact).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let field =
                |(key, value): (&String, &Value)| format!("{}:{}", json!(key), compact(value));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => normal.to_string(),
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

proptest! {
    #[test]
    fn applying_a_delta_gives_what_the_current_record_means(
        previous in record(), current in record(),
    ) {
        let delta = diff(Some(&previous), &current);
        let held = after(&previous, delta.as_ref());
        prop_assert_eq!(meaning(&held), meaning(&current));
        prop_assert_eq!(delta.is_none(), meaning(&previous) == meaning(&current));
        // A delta that is sent once more, since its reply was lost, does no harm.
        prop_assert_eq!(meaning(&after(&held, delta.as_ref())), meaning(&current));
        // It is read as it was written.
        if let Some(delta) = delta {
            let read: Value = serde_json::from_str(&delta.to_string()).unwrap();
            prop_assert_eq!(meaning(&after(&previous, Some(&read))), meaning(&current));
        }
    }

    #[test]
    fn one_reading_of_a_records_text_gives_what_its_value_gives(
        value in record(), other in record(),
    ) {
        let text = value.to_string();
        let parsed = Record::parse(&text);
        prop_assert_eq!(
            Reading::of(&text).record(),
            parsed.clone().map(|record| (record.clone(), record.essence()))
        );
        if let Ok(record) = parsed {
            let (essence, value) = (record.essence(), record.value());
            prop_assert_eq!(essence.meaning, meaning_hash(&value));
            prop_assert_eq!(&essence.skeleton, &Skeleton::of(&value));
            // What was written down is read back as it was.
            let kept = Skeleton::kept(essence.skeleton.to_kept());
            prop_assert_eq!(&Skeleton::from_json(&kept.to_json()).unwrap(), &essence.skeleton);
            // What need not be made exact.
            if essence.is_plain {
                for known in [&essence.skeleton, &Skeleton::default()] {
                    // What says nothing, as an empty array among items, may be left out.
                    let exact = known.complete(&value);
                    prop_assert!(!has_null(&exact));
                    prop_assert_eq!(meaning(&exact), meaning(&value));
                }
            }
            let merged = kept.merge(Skeleton::of(&other));
            prop_assert_eq!(merged, essence.skeleton.merge(Skeleton::of(&other)));
        }
    }

    #[test]
    fn hash_and_skeleton_of_any_text_are_those_of_its_value_by_definition(
        record in record(), seed in any::<u64>(),
    ) {
        let text = tangled(&record, seed);
        let value: Value = serde_json::from_str(&text).unwrap();
        let hash: [u8; 32] = Sha256::digest(compact(&meaning(&value))).into();
        prop_assert_eq!(meaning_hash(&value), hash);
        let parsed = Record::parse(&text);
        prop_assert_eq!(
            Reading::of(&text).record(),
            parsed.clone().map(|record| (record.clone(), record.essence()))
        );
        if let Ok(record) = parsed {
            let essence = record.essence();
            prop_assert_eq!(essence.meaning, hash);
            prop_assert_eq!(essence.skeleton, Skeleton::of(&value));
            let has_purge = record.text().contains("purge") || record.text().contains("\\u00");
            prop_assert!(essence.is_plain || has_purge);
        }
    }

    #[test]
    fn a_delta_from_a_text_is_the_delta_from_its_value(
        previous in record(), current in record(), seed in any::<u64>(),
    ) {
        let texts = [
            previous.to_string(), spaced(&current, seed), tangled(&previous, seed), current.to_string(),
            mutated(&current, seed).to_string(),
        ];
        for (text, current) in texts.iter().zip(texts.iter().cycle().skip(1)) {
            let Ok(record) = Record::parse(current) else { continue };
            let previous: Value = serde_json::from_str(text).unwrap();
            let hash = meaning_hash(&previous);
            let expected = diff(Some(&previous), &record.value()).map(|delta| delta.to_string());
            let other = meaning_hash(&json!({"la_child_id": "another"}));
            // Read before, or then; what is given may be of another text, and is not used.
            for parsed in [current, "{}", ""].map(|text| Reading::of(text).into_parsed()) {
                let previous = Previous::of(text.clone());
                let previous = if parsed.is_some() { previous.read() } else { previous };
                prop_assert_eq!(previous.text(), text);
                prop_assert_eq!(record.delta_from(previous, &hash, parsed), expected.clone());
            }
            let previous = Previous::of(text.clone()).read();
            prop_assert_eq!(record.delta_from(previous, &other, None), None);
            let list = Previous::of(format!("[{text}]"));
            prop_assert_eq!(record.delta_from(list, &hash, None), None);
        }
    }

    #[test]
    fn a_damaged_skeleton_is_that_of_nothing(value in record(), cut in 0usize..200) {
        let whole = Skeleton::of(&value);
        let text = whole.to_kept();
        let damaged: String = text.chars().take(cut.min(text.chars().count() - 1)).collect();
        let kept = Skeleton::kept(&damaged);
        prop_assert_eq!(kept.complete(&value), Skeleton::default().complete(&value));
        prop_assert_eq!(kept.merge(whole.clone()), whole);
    }

    #[test]
    fn a_delta_carries_the_ids_and_child_details_whole(previous in record(), current in record()) {
        if let Some(delta) = diff(Some(&previous), &current) {
            prop_assert_eq!(&delta["la_child_id"], &current["la_child_id"]);
            prop_assert_eq!(&delta["mis_child_id"], &current["mis_child_id"]);
            let mut held = apply(None, &delta).unwrap_or_default();
            let held = held["child_details"].take();
            prop_assert_eq!(
                meaning(&json!({"child_details": held})),
                meaning(&json!({"child_details": current["child_details"]}))
            );
        }
    }

    #[test]
    fn without_a_baseline_the_delta_is_the_record(current in record()) {
        let delta = diff(None, &current).unwrap();
        prop_assert!(!has_null(&delta));
        prop_assert_eq!(meaning(&delta), meaning(&current));
        prop_assert_eq!(apply(None, &delta).map(|held| meaning(&held)), Some(meaning(&current)));
    }

    #[test]
    fn a_record_has_no_delta_against_itself_however_it_is_spelled(
        record in record(), seed in any::<u64>(),
    ) {
        prop_assert_eq!(diff(Some(&record), &record), None);
        let other = respelled(&record, seed);
        prop_assert_eq!(diff(Some(&record), &other), None);
        prop_assert_eq!(diff(Some(&other), &record), None);
    }

    #[test]
    fn a_respelled_baseline_makes_a_delta_that_does_the_same(
        previous in record(), current in record(), seed in any::<u64>(),
    ) {
        let delta = diff(Some(&respelled(&previous, seed)), &current);
        prop_assert_eq!(meaning(&after(&previous, delta.as_ref())), meaning(&current));
        let delta = diff(Some(&previous), &respelled(&current, seed));
        prop_assert_eq!(meaning(&after(&previous, delta.as_ref())), meaning(&current));
    }

    #[test]
    fn a_purge_leaves_nothing_of_a_child(held in record()) {
        prop_assert_eq!(apply(Some(&held), &purge(&held)), None);
    }

    #[test]
    fn a_record_made_exact_by_a_states_skeleton_means_itself_once_applied(
        state in record(), current in record(), seed in any::<u64>(),
    ) {
        let skeleton = Skeleton::of(&state);
        prop_assert_eq!(Skeleton::from_json(&skeleton.to_json()), Ok(skeleton.clone()));
        let complete = skeleton.complete(&current);
        let held = after(&state, Some(&complete));
        prop_assert_eq!(meaning(&held), meaning(&current));
        prop_assert_eq!(meaning(&after(&held, Some(&complete))), meaning(&current));
        let otherwise = Skeleton::of(&respelled(&state, seed)).complete(&current);
        prop_assert_eq!(meaning(&after(&state, Some(&otherwise))), meaning(&current));
    }

    #[test]
    fn a_merged_skeleton_makes_a_record_exact_for_either_state(
        one in record(), two in record(), current in record(),
    ) {
        let merged = Skeleton::of(&one).merge(Skeleton::of(&two));
        prop_assert_eq!(Skeleton::from_json(&merged.to_json()), Ok(merged.clone()));
        let complete = merged.complete(&current);
        for state in [one, two] {
            prop_assert_eq!(meaning(&after(&state, Some(&complete))), meaning(&current));
        }
        // Nor does it harm where nothing is held.
        prop_assert_eq!(
            apply(None, &complete).map(|held| meaning(&held)), Some(meaning(&current))
        );
    }

    #[test]
    fn the_order_of_keys_and_white_space_change_nothing_in_the_hash(
        record in record(), seed in any::<u64>(),
    ) {
        let other = respelled(&record, seed);
        prop_assert_eq!(meaning(&other), meaning(&record));
        prop_assert_eq!(meaning_hash(&other), meaning_hash(&record));
        let read: Value = serde_json::from_str(&spaced(&other, seed)).unwrap();
        prop_assert_eq!(meaning_hash(&read), meaning_hash(&record));
        prop_assert_eq!(meaning(&meaning(&record)), meaning(&record));
        prop_assert_eq!(meaning_hash(&meaning(&record)), meaning_hash(&record));
    }

    #[test]
    fn hashes_are_equal_exactly_where_meanings_are(one in record(), two in record()) {
        prop_assert_eq!(meaning_hash(&one) == meaning_hash(&two), meaning(&one) == meaning(&two));
    }

    #[test]
    fn a_record_goes_out_as_it_was_staged_or_without_its_nulls(
        record in record(), seed in any::<u64>(),
    ) {
        let staged = spaced(&record, seed);
        let sent = Record::parse(&staged).unwrap();
        prop_assert_eq!(sent.la_child_id(), record["la_child_id"].as_str().unwrap());
        prop_assert_eq!(sent.mis_child_id(), record["mis_child_id"].as_str());
        prop_assert_eq!(meaning(&sent.value()), meaning(&record));
        if has_null(&record) {
            prop_assert!(!has_null(&sent.value()));
            let again = Record::parse(sent.text()).unwrap();
            prop_assert_eq!(again.text(), sent.text());
        } else {
            prop_assert_eq!(sent.text(), staged.trim());
            prop_assert_eq!(sent.value(), record);
        }
    }

    #[test]
    fn a_text_is_a_record_exactly_where_the_json_library_says_so(
        record in record(), seed in any::<u64>(), at in any::<prop::sample::Index>(),
        put in "[\\[\\]{},:\"\\\\a0. \u{0}-\u{1f}-]{0,2}", cut in 0..3_usize,
    ) {
        let staged = spaced(&record, seed);
        let mut characters: Vec<char> = staged.chars().collect();
        let from = at.index(characters.len());
        let to = (from + cut).min(characters.len());
        characters.splice(from..to, put.chars());
        let damaged: String = characters.into_iter().collect();
        let read: Option<Value> = serde_json::from_str(damaged.trim()).ok();
        let id = read.as_ref().and_then(|value| value.as_object()?.get("la_child_id")?.as_str());
        match Record::parse(&damaged) {
            Ok(record) => {
                prop_assert_eq!(Some(record.la_child_id()), id);
                prop_assert_eq!(meaning(&record.value()), meaning(&read.unwrap()));
            }
            Err(_) => prop_assert!(id.is_none_or(|id| id.trim().is_empty())),
        }
    }

    #[test]
    fn any_text_can_be_parsed_and_any_shape_shown(text in any::<String>(), record in record()) {
        if let Ok(record) = Record::parse(&text) {
            record.shape();
        }
        let shape = Record::parse(&record.to_string()).unwrap().shape();
        prop_assert!(!shape.contains("2026-") && !shape.contains("O'Brien"));
    }
}

proptest! {
    // A month of one child is many cases in one.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 16, ..ProptestConfig::default() })]

    #[test]
    fn a_month_of_changes_can_be_followed_by_deltas_and_by_exact_records(
        seed in any::<u64>(), n in any::<u64>(),
    ) {
        let fakes = Fakes::new(seed, date(2026, 9, 1));
        let mut record = fakes.child(n);
        let mut held = apply(None, &record).unwrap();
        for day in 1..=30 {
            let current = fakes.changed(&record, day);
            let delta = diff(Some(&record), &current).unwrap();
            let by_delta = after(&held, Some(&delta));
            prop_assert_eq!(meaning(&by_delta), meaning(&current));
            let exact = Skeleton::of(&record).complete(&current);
            let by_record = after(&held, Some(&exact));
            prop_assert_eq!(meaning(&by_record), meaning(&current));
            held = by_delta;
            record = current;
        }
    }
}
