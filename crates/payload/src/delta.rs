//! What has changed in a record, and what the receiver does with that
//! (`payload.md`, "Deltas" and "Full records").
//!
//! The law: for a record without duplicate ids, items without their id, and
//! purges of its own, `apply(previous, diff(previous, current))` means
//! `current`. Where `diff` is None, nothing need be sent.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::essence;
use crate::ids::{Id, Keyed, PURGE, Purged, is_purge, keyed};
use crate::meaning::{Fields, Form, Item, Items, Normal, field};
use crate::node::{Fields as _, Node, View};
use crate::skeleton;
use crate::tree::Document;

const LA_CHILD_ID: &str = "la_child_id";
const MIS_CHILD_ID: &str = "mis_child_id";
const CHILD_DETAILS: &str = "child_details";

/// What the receiver holds of a child after it has accepted a record, a delta or
/// a purge; None where it then holds nothing.
///
/// Under the strict reading: objects are merged field by field, arrays with ids
/// by id, other arrays are replaced, a field that is null is dropped, and what
/// carries `purge: true` is removed, be it the child. What comes back is a state:
/// it has no nulls and no purges. An `incoming` that is not an object changes
/// nothing, as the receiver would refuse it.
pub fn apply(held: Option<&Value>, incoming: &Value) -> Option<Value> {
    let Value::Object(incoming) = incoming else {
        return held.and_then(settled);
    };
    if is_purge(incoming) {
        return None;
    }
    let held = match held {
        Some(Value::Object(held)) if !is_purge(held) => held,
        Some(_) | None => &Map::new(),
    };
    Some(Value::Object(merged(held, incoming)))
}

/// The delta that leads from what the receiver last acknowledged to the current
/// record; None where they mean the same.
///
/// - Without a baseline (none, a purge, or another child's record): the full
///   record, without its nulls.
/// - `la_child_id`, `mis_child_id` (null where the child no longer has one) and
///   `child_details` whole, its gone fields null.
/// - Of an array with ids, new and changed items with `purge: false`, gone ones as
///   `{id, purge: true}`; any other array whole where it differs; a gone object
///   `{"purge": true}`; any other gone field null.
/// - For a current record that carries `purge: true`: [`purge`], where anything
///   is held.
///
/// Values that are not objects have no delta.
pub fn diff(previous: Option<&Value>, current: &Value) -> Option<Value> {
    difference(previous, current)
}

/// As [`diff`], of two texts: `None` also where the previous one is not a JSON object that
/// has this meaning. It costs half of what reading them as values first does.
pub(crate) fn diff_of_texts(previous: &str, meaning: &[u8; 32], current: &str) -> Option<Value> {
    let previous = Document::read(previous)?;
    if !matches!(previous.root().view(), View::Object(_)) || essence::hash(&previous) != *meaning {
        return None;
    }
    let current = Document::read(current)?;
    difference(Some(previous.root()), current.root())
}

fn difference<'a, N: Node<'a>>(previous: Option<N>, current: N) -> Option<Value> {
    let View::Object(fields_now) = current.view() else {
        return None;
    };
    let previous =
        previous.filter(|held| matches!(held.view(), View::Object(fields) if !is_purge(fields)));
    if is_purge(fields_now) {
        return previous.map(|_| purge(&current.to_value()));
    }
    let full = || Some(value_without_nulls(&current.to_value()));
    let Some(previous) = previous else {
        return full();
    };
    let before = top_level(previous);
    let now = top_level(current);
    if before == now {
        return None;
    }
    if field(&before, LA_CHILD_ID) != field(&now, LA_CHILD_ID) {
        return full();
    }

    let mut delta = Map::new();
    let both = |key| (field(&before, key), field(&now, key));
    for key in [LA_CHILD_ID, MIS_CHILD_ID] {
        match both(key) {
            (_, Some(id)) => insert(&mut delta, key, id.source.to_value()),
            (Some(_), None) => insert(&mut delta, key, Value::Null),
            (None, None) => {}
        }
    }
    match both(CHILD_DETAILS) {
        (None, Some(details)) => insert(
            &mut delta,
            CHILD_DETAILS,
            value_without_nulls(&details.source.to_value()),
        ),
        (Some(old), Some(details)) => insert(
            &mut delta,
            CHILD_DETAILS,
            skeleton::exact(CHILD_DETAILS, old, &details.source.to_value()),
        ),
        (Some(old), None) => insert(&mut delta, CHILD_DETAILS, gone(old)),
        (None, None) => {}
    }
    for (key, value) in changes(&before, &now) {
        if ![LA_CHILD_ID, MIS_CHILD_ID, CHILD_DETAILS].contains(&key) {
            insert(&mut delta, key, value);
        }
    }
    Some(Value::Object(delta))
}

/// The record that deletes a child at the receiver: `la_child_id`,
/// `mis_child_id` where it has one, `purge: true`, nothing else.
pub fn purge(child: &Value) -> Value {
    let ids = [LA_CHILD_ID, MIS_CHILD_ID].into_iter().filter_map(|key| {
        let id = child.get(key).filter(|id| !id.is_null())?;
        Some((key.to_owned(), id.clone()))
    });
    ids.chain([(PURGE.to_owned(), Value::Bool(true))]).collect()
}

/// The fields of a record that say something.
fn top_level<'a, N: Node<'a>>(record: N) -> Fields<'a, N> {
    match Normal::of("", record, Purged::Dropped).map(|normal| normal.form) {
        Some(Form::Object(fields)) => fields,
        Some(Form::Bool(_) | Form::Number(_) | Form::Text(_) | Form::List(_) | Form::Items(_))
        | None => Fields::new(),
    }
}

fn insert(into: &mut Map<String, Value>, key: &str, value: Value) {
    into.insert(key.to_owned(), value);
}

/// The fields in which two objects differ, each with what leads from the one to
/// the other.
fn changes<'a, N: Node<'a>>(before: &Fields<'a, N>, now: &Fields<'a, N>) -> Vec<(&'a str, Value)> {
    let gone_or_changed = before
        .iter()
        .filter_map(|(key, old)| match field(now, key) {
            None => Some((*key, gone(old))),
            Some(new) if old == new => None,
            Some(new) => Some((*key, change(key, old, new))),
        });
    let new = now
        .iter()
        .filter(|(key, _)| field(before, key).is_none())
        .map(|(key, new)| (*key, marked(key, &new.source.to_value())));
    gone_or_changed.chain(new).collect()
}

/// What leads from one value of a field to another that means something else.
fn change<'a, N: Node<'a>>(key: &str, old: &Normal<'a, N>, new: &Normal<'a, N>) -> Value {
    match (&old.form, &new.form) {
        (Form::Object(old), Form::Object(new)) => changes(old, new)
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        (Form::Items(old), Form::Items(new)) if old.id_field == new.id_field => {
            Value::Array(item_changes(old, new))
        }
        (
            Form::Bool(_)
            | Form::Number(_)
            | Form::Text(_)
            | Form::List(_)
            | Form::Items(_)
            | Form::Object(_),
            _,
        ) => marked(key, &new.source.to_value()),
    }
}

/// Gone items as stubs, new ones whole, changed ones with their changed fields.
fn item_changes<'a, N: Node<'a>>(before: &Items<'a, N>, now: &Items<'a, N>) -> Vec<Value> {
    let find = |items: &Items<'a, N>, id: &Id<'a>| {
        items.items.binary_search_by(|item| item.id.cmp(id)).ok()
    };
    let mut out = Vec::new();
    for old in &before.items {
        match find(now, &old.id).and_then(|at| now.items.get(at)) {
            None => out.push(stub(before.id_field, old)),
            Some(new) if old.fields == new.fields => {}
            Some(new) => {
                let mut delta = Map::new();
                if let Some(id) = new.source.get(now.id_field) {
                    insert(&mut delta, now.id_field, id.to_value());
                }
                for (key, value) in changes(&old.fields, &new.fields) {
                    insert(&mut delta, key, value);
                }
                mark(&mut delta);
                out.push(Value::Object(delta));
            }
        }
    }
    for new in &now.items {
        if find(before, &new.id).is_none() {
            out.push(marked_item(&new.source.to_map()));
        }
    }
    out
}

/// What removes a value that was there.
fn gone<'a, N: Node<'a>>(old: &Normal<'a, N>) -> Value {
    match &old.form {
        Form::Object(_) => Value::Object(purged()),
        Form::Items(items) => Value::Array(
            items
                .items
                .iter()
                .map(|item| stub(items.id_field, item))
                .collect(),
        ),
        Form::Bool(_) | Form::Number(_) | Form::Text(_) | Form::List(_) => Value::Null,
    }
}

/// `{"purge": true}`.
pub(crate) fn purged() -> Map<String, Value> {
    Map::from_iter([(PURGE.to_owned(), Value::Bool(true))])
}

fn stub<'a, N: Node<'a>>(id_field: &str, item: &Item<'a, N>) -> Value {
    let id = item.source.get(id_field).map(Node::to_value);
    let id = id.unwrap_or_default();
    [
        (id_field.to_owned(), id),
        (PURGE.to_owned(), Value::Bool(true)),
    ]
    .into_iter()
    .collect()
}

/// Gives an item of a delta its `purge: false`.
fn mark(item: &mut Map<String, Value>) {
    if item.get(PURGE).is_none_or(Value::is_null) {
        insert(item, PURGE, Value::Bool(false));
    }
}

/// A new value as a delta carries it: settled, every item that has an id with its
/// `purge: false`.
fn marked(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(marked_fields(fields)),
        Value::Array(items) => match keyed(name, items.iter(), Purged::Dropped) {
            Some(keyed) => Value::Array(
                keyed
                    .items
                    .iter()
                    .map(|(_, fields)| marked_item(fields))
                    .collect(),
            ),
            None => settled(value).unwrap_or_default(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn marked_item(fields: &Map<String, Value>) -> Value {
    let mut item = marked_fields(fields);
    mark(&mut item);
    Value::Object(item)
}

fn marked_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(_, value)| !removes(value))
        .map(|(key, value)| (key.clone(), marked(key, value)))
        .collect()
}

/// Whether a value, applied to a field, leaves nothing of it.
fn removes(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => is_purge(fields),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
    }
}

/// A value as the receiver holds it: without nulls and without what carries
/// `purge: true`. None where that is all of it.
fn settled(value: &Value) -> Option<Value> {
    if removes(value) {
        return None;
    }
    Some(match value {
        Value::Object(fields) => Value::Object(settled_fields(fields)),
        Value::Array(items) => Value::Array(items.iter().filter_map(settled).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    })
}

fn settled_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), settled(value)?)))
        .collect()
}

/// An object without the nulls in it; purges stay, since they are a message to
/// the receiver.
pub(crate) fn without_nulls(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key.clone(), value_without_nulls(value)))
        .collect()
}

/// As [`without_nulls`], for any value.
pub(crate) fn value_without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_nulls(fields)),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .filter(|item| !item.is_null())
                .map(value_without_nulls)
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Merges objects field by field.
fn merged(held: &Map<String, Value>, incoming: &Map<String, Value>) -> Map<String, Value> {
    let kept = held.iter().filter_map(|(key, old)| {
        let value = match incoming.get(key) {
            Some(new) => merged_field(key, Some(old), new),
            None => settled(old),
        };
        Some((key.clone(), value?))
    });
    let added = incoming
        .iter()
        .filter(|(key, _)| !held.contains_key(*key))
        .filter_map(|(key, new)| Some((key.clone(), merged_field(key, None, new)?)));
    kept.chain(added).collect()
}

/// One field after a record has been applied; None where it is removed.
fn merged_field(name: &str, held: Option<&Value>, incoming: &Value) -> Option<Value> {
    if removes(incoming) {
        return None;
    }
    match (held, incoming) {
        (Some(Value::Object(held)), Value::Object(incoming)) if !is_purge(held) => {
            Some(Value::Object(merged(held, incoming)))
        }
        (Some(Value::Array(held)), Value::Array(items)) => {
            let pair = keyed(name, held.iter(), Purged::Dropped).zip(keyed(
                name,
                items.iter(),
                Purged::Kept,
            ));
            match pair {
                Some((held, incoming)) if held.id_field == incoming.id_field => {
                    Some(Value::Array(merged_items(&held, &incoming)))
                }
                Some(_) | None => settled(incoming),
            }
        }
        (Some(_) | None, _) => settled(incoming),
    }
}

/// Merges arrays by id.
fn merged_items(
    held: &Keyed<'_, &Map<String, Value>>,
    incoming: &Keyed<'_, &Map<String, Value>>,
) -> Vec<Value> {
    let news: HashMap<_, _> = incoming.items.iter().map(|(id, new)| (id, *new)).collect();
    let olds: HashSet<_> = held.items.iter().map(|(id, _)| id).collect();
    let kept = held
        .items
        .iter()
        .filter_map(|(id, old)| match news.get(id) {
            None => Some(settled_fields(old)),
            Some(new) => (!is_purge(*new)).then(|| merged(old, new)),
        });
    let added = incoming
        .items
        .iter()
        .filter(|(id, new)| !is_purge(*new) && !olds.contains(id))
        .map(|(_, new)| settled_fields(new));
    kept.chain(added).map(Value::Object).collect()
}

#[cfg(test)]
mod tests;
