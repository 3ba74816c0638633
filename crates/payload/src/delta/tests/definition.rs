//! What a delta is by definition: told from the normal forms at every step, nothing passed over.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::super::*;
use crate::meaning::{Form, Items};
use crate::skeleton::Skeleton;
use generated::{mutated, record, respelled, spaced, tangled};

#[path = "../../../tests/generated/mod.rs"]
mod generated;

fn delta_by_definition(before: &Value, now: &Value) -> Option<Value> {
    let (before, now) = (before.as_object().unwrap(), now.as_object().unwrap());
    let purged = [before, now].map(is_purge);
    if purged[1] {
        return (!purged[0]).then(|| purge(&Value::Object(now.clone())));
    }
    let mut changes = changes_by_definition(before, now);
    if purged[0] || changes.contains_key(LA_CHILD_ID) {
        return Some(value_without_nulls(&Value::Object(now.clone())).into_value());
    }
    if changes.is_empty() {
        return None;
    }
    let mut delta = Map::new();
    for key in ALWAYS {
        let value = match (normal(before, key), normal(now, key)) {
            (old, Some(new)) if key == CHILD_DETAILS => {
                let [old, new] = [old.map(|old| old.source.clone()), Some(new.source.clone())]
                    .map(|details| json!({CHILD_DETAILS: details}));
                Skeleton::of(&old).complete(&new)[CHILD_DETAILS].take()
            }
            (_, Some(new)) => new.source.clone(),
            (Some(old), None) if key == CHILD_DETAILS => gone_by_definition(&old),
            (Some(_), None) => Value::Null,
            (None, None) => continue,
        };
        changes.shift_remove(key);
        delta.insert(key.to_owned(), value);
    }
    delta.extend(changes);
    Some(Value::Object(delta))
}

fn normal<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<Normal<'a>> {
    let value = fields.get(key)?;
    if key == PURGE && *value == json!(false) {
        return None;
    }
    Normal::of(key, value, Purged::Dropped)
}

fn changes_by_definition(
    before: &Map<String, Value>,
    now: &Map<String, Value>,
) -> Map<String, Value> {
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let both = |key: &str| (normal(before, key), normal(now, key));
    let mut out = Map::new();
    for key in &keys {
        match both(key) {
            (Some(old), Some(new)) if old != new => {
                out.insert((*key).clone(), change_by_definition(key, &old, &new));
            }
            (Some(old), None) => {
                out.insert((*key).clone(), gone_by_definition(&old));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
    }
    for key in &keys {
        if let (None, Some(new)) = both(key) {
            out.insert((*key).clone(), marked(key, new.source).into_value());
        }
    }
    out
}

fn change_by_definition(key: &str, old: &Normal<'_>, new: &Normal<'_>) -> Value {
    match (&old.form, &new.form) {
        (Form::Object(_), Form::Object(_)) => {
            let [old, new] = [old, new].map(|side| side.source.as_object().unwrap());
            Value::Object(changes_by_definition(old, new))
        }
        (Form::Items(olds), Form::Items(news)) if olds.id_field == news.id_field => {
            item_changes_by_definition(&sources(old, olds), &sources(new, news), olds.id_field)
        }
        _ => marked(key, new.source).into_value(),
    }
}

type Sources<'a> = Vec<(Id<'a>, &'a Map<String, Value>)>;

/// The items in the order of their ids, as they stand in the record.
fn sources<'a>(array: &Normal<'a>, items: &Items<'a>) -> Sources<'a> {
    let all = array.source.as_array().unwrap().iter();
    let all: Vec<_> = all.filter_map(Value::as_object).collect();
    let found = |id: &Id<'_>| {
        let is = |item: &&&Map<String, Value>| {
            !is_purge(**item) && item.get(items.id_field).and_then(Id::of).as_ref() == Some(id)
        };
        *all.iter().find(is).unwrap()
    };
    let ids = items.items.iter().map(|item| item.id.clone());
    ids.map(|id| (id.clone(), found(&id))).collect()
}

fn item_changes_by_definition(olds: &Sources<'_>, news: &Sources<'_>, id_field: &str) -> Value {
    let mut out = Vec::new();
    for (id, old) in olds {
        let Some((_, new)) = news.iter().find(|(other, _)| other == id) else {
            out.push(json!({id_field: old[id_field], PURGE: true}));
            continue;
        };
        let changes = changes_by_definition(old, new);
        if !changes.is_empty() {
            let mut delta = Map::from_iter([(id_field.to_owned(), new[id_field].clone())]);
            delta.extend(changes);
            if delta.get(PURGE).is_none_or(Value::is_null) {
                delta.insert(PURGE.to_owned(), json!(false));
            }
            out.push(Value::Object(delta));
        }
    }
    for (id, new) in news {
        if olds.iter().all(|(other, _)| other != id) {
            out.push(marked_item(*new).into_value());
        }
    }
    Value::Array(out)
}

fn gone_by_definition(old: &Normal<'_>) -> Value {
    match &old.form {
        Form::Object(_) => json!({PURGE: true}),
        Form::Items(items) => {
            item_changes_by_definition(&sources(old, items), &vec![], items.id_field)
        }
        Form::Bool(_) | Form::Number(_) | Form::Text(_) | Form::List(_) => Value::Null,
    }
}

proptest! {
    #[test]
    fn a_delta_is_what_the_definition_says(
        one in record(), other in record(), seed in any::<u64>(),
    ) {
        let changed = mutated(&one, seed);
        let texts = [
            one.to_string(),
            spaced(&changed, seed),
            tangled(&changed, !seed),
            mutated(&changed, !seed).to_string(),
            respelled(&changed, seed).to_string(),
            other.to_string(),
        ];
        for (before, now) in texts.iter().flat_map(|one| texts.iter().map(move |two| (one, two))) {
            let values: [Value; 2] = [before, now].map(|text| serde_json::from_str(text).unwrap());
            let expected = delta_by_definition(&values[0], &values[1]).map(|delta| delta.to_string());
            let delta = diff(Some(&values[0]), &values[1]).map(|delta| delta.to_string());
            prop_assert_eq!(&delta, &expected, "{} -> {}", before, now);
            let now = values[1].to_string();
            let read = |text| Document::read(text).unwrap();
            let delta = diff_of_texts(&read(before), &read(&now));
            prop_assert_eq!(&delta, &expected, "{} -> {}", before, now);
        }
    }
}
