//! What has changed in a record, and what the receiver does with that
//! (`payload.md`, "Deltas" and "Full records").
//!
//! The law: for a record without duplicate ids, items without their id, and
//! purges of its own, `apply(previous, diff(previous, current))` means
//! `current`. Where `diff` is None, nothing need be sent.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::iter;

use serde_json::{Map, Value};

use crate::ids::{Id, Keyed, PURGE, Purged, is_purge, is_purge_flag, keyed, says_nothing};
use crate::meaning::Normal;
use crate::node::{Fields, Node, View};
use crate::part::{Part, Parts};
use crate::skeleton;
use crate::tree::Document;

const LA_CHILD_ID: &str = "la_child_id";
const MIS_CHILD_ID: &str = "mis_child_id";
const CHILD_DETAILS: &str = "child_details";

/// What every delta has whole.
const ALWAYS: [&str; 3] = [LA_CHILD_ID, MIS_CHILD_ID, CHILD_DETAILS];

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
        return held.and_then(settled).map(Part::into_value);
    };
    if is_purge(incoming) {
        return None;
    }
    let held = match held {
        Some(Value::Object(held)) if !is_purge(held) => held,
        Some(_) | None => &Map::new(),
    };
    Some(Part::Object(merged(held, incoming)).into_value())
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
    difference(previous, current).map(Part::into_value)
}

/// The text of [`diff`] of two texts, both read.
pub(crate) fn diff_of_texts(previous: &Document<'_>, current: &Document<'_>) -> Option<String> {
    let delta = difference(Some(previous.root()), current.root())?;
    let mut text = String::with_capacity(2048);
    delta.write(&mut text);
    Some(text)
}

fn difference<'a, N: Node<'a>>(previous: Option<N>, current: N) -> Option<Part<'a, N>> {
    let View::Object(now) = current.view() else {
        return None;
    };
    let before = previous.and_then(|held| match held.view() {
        View::Object(fields) if !is_purge(fields) => Some(fields),
        View::Object(_)
        | View::Null
        | View::Bool(_)
        | View::Number(_)
        | View::Text(_)
        | View::Array(_) => None,
    });
    if is_purge(now) {
        return before.map(|_| Part::Own(purge(&current.to_value())));
    }
    let both = |key| (before.and_then(|fields| said(fields, key)), said(now, key));
    let Some(before) = before.filter(|_| mean_the_same(LA_CHILD_ID, both(LA_CHILD_ID))) else {
        return Some(value_without_nulls(current));
    };
    let others = pairs(before, now).filter(|(key, ..)| !ALWAYS.contains(key));
    let changes = changes(others);
    if changes.is_empty() && ALWAYS.iter().all(|key| mean_the_same(key, both(key))) {
        return None;
    }

    let mut delta = Vec::with_capacity(ALWAYS.len() + changes.len());
    for key in ALWAYS {
        delta.extend(whole(key, both(key)).map(|value| (key.into(), value)));
    }
    delta.extend(changes);
    Some(Part::Object(delta))
}

/// A field that a delta always has, by what it says on both sides.
fn whole<'a, N: Node<'a>>(key: &str, both: (Option<N>, Option<N>)) -> Option<Part<'a, N>> {
    match both {
        (old, Some(details)) if key == CHILD_DETAILS => Some(skeleton::exact(key, old, details)),
        (Some(old), None) if key == CHILD_DETAILS => Some(gone(key, old)),
        (_, Some(id)) => Some(Part::Read(id)),
        (Some(_), None) => Some(Part::Own(Value::Null)),
        (None, None) => None,
    }
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

/// What a field says, if anything.
fn said<'a, F: Fields<'a>>(fields: F, key: &str) -> Option<F::Node> {
    telling(key, fields.get(key))
}

/// A field's value, where it says something.
fn telling<'a, N: Node<'a>>(key: &str, value: Option<N>) -> Option<N> {
    value.filter(|value| !is_purge_flag(key, *value) && !says_nothing(*value))
}

/// Whether a field says the same on both sides.
fn mean_the_same<'a, N: Node<'a>>(key: &str, (old, new): (Option<N>, Option<N>)) -> bool {
    let normal = |value: Option<N>| Normal::of(key, value?, Purged::Dropped);
    normal(old) == normal(new)
}

/// A field's key, and its value on either side.
type Pair<'a, N> = (&'a str, Option<N>, Option<N>);

/// The fields of two objects side by side, in the order of the keys.
fn pairs<'a, F: Fields<'a>>(before: F, now: F) -> impl Iterator<Item = Pair<'a, F::Node>> {
    let mut olds = before.in_order().peekable();
    let mut news = now.in_order().peekable();
    iter::from_fn(move || {
        let order = match (olds.peek(), news.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let old = olds.next_if(|_| order.is_le());
        let new = news.next_if(|_| order.is_ge());
        let (key, _) = old.or(new)?;
        Some((key, old.map(|(_, old)| old), new.map(|(_, new)| new)))
    })
}

/// The fields in which two objects differ, each with what leads from the one to the other:
/// what is gone or changed before what is new. What is spelled the same means the same, and
/// that is nearly everything.
fn changes<'a, N: Node<'a>>(pairs: impl Iterator<Item = Pair<'a, N>>) -> Parts<'a, N> {
    let mut changes = Vec::new();
    let mut added = Vec::new();
    for (key, old, new) in pairs {
        if let (Some(old), Some(new)) = (old, new)
            && old.is_spelled_as(new)
        {
            continue;
        }
        match (telling(key, old), telling(key, new)) {
            (Some(old), Some(new)) => {
                changes.extend(change(key, old, new).map(|value| (key.into(), value)));
            }
            (Some(old), None) => changes.push((key.into(), gone(key, old))),
            (None, Some(new)) => added.push((key.into(), marked(key, new))),
            (None, None) => {}
        }
    }
    changes.append(&mut added);
    changes
}

/// What leads from one value of a field to another, both of which say something; `None` where
/// they mean the same.
fn change<'a, N: Node<'a>>(key: &str, old: N, new: N) -> Option<Part<'a, N>> {
    if let (View::Object(old), View::Object(new)) = (old.view(), new.view()) {
        let changes = changes(pairs(old, new));
        return (!changes.is_empty()).then_some(Part::Object(changes));
    }
    if let (Some(old), Some(new)) = (in_order_of_ids(key, old), in_order_of_ids(key, new))
        && old.id_field == new.id_field
    {
        let changes = item_changes(&old, &new);
        return (!changes.is_empty()).then_some(Part::Array(changes));
    }
    (!mean_the_same(key, (Some(old), Some(new)))).then(|| marked(key, new))
}

/// A value as an array with ids, if it is one, its items in the order of these.
fn in_order_of_ids<'a, N: Node<'a>>(key: &str, value: N) -> Option<Keyed<'a, N::Fields>> {
    let View::Array(items) = value.view() else {
        return None;
    };
    let mut keyed = keyed(key, items, Purged::Dropped)?;
    keyed.items.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Some(keyed)
}

/// Gone items as stubs, new ones whole, changed ones with their changed fields.
fn item_changes<'a, F: Fields<'a>>(
    before: &Keyed<'a, F>,
    now: &Keyed<'a, F>,
) -> Vec<Part<'a, F::Node>> {
    let find = |items: &[(Id<'a>, F)], id: &Id<'a>| {
        let at = items.binary_search_by(|(other, _)| other.cmp(id)).ok()?;
        items.get(at).map(|(_, item)| *item)
    };
    let mut out = Vec::new();
    for (id, old) in &before.items {
        match find(&now.items, id) {
            None => out.push(stub(before.id_field, *old)),
            Some(new) => out.extend(item_change(now.id_field, *old, new)),
        }
    }
    for (id, new) in &now.items {
        if find(&before.items, id).is_none() {
            out.push(marked_item(*new));
        }
    }
    out
}

/// What leads from one state of an item to another; `None` where they mean the same.
fn item_change<'a, F: Fields<'a>>(id_field: &'a str, old: F, new: F) -> Option<Part<'a, F::Node>> {
    if old.are_spelled_as(new) {
        return None;
    }
    let changes = changes(pairs(old, new));
    if changes.is_empty() {
        return None;
    }
    let mut delta = Vec::with_capacity(changes.len() + 2);
    if let Some(id) = new.get(id_field) {
        delta.push((id_field.into(), Part::Read(id)));
    }
    delta.extend(changes);
    mark(&mut delta);
    Some(Part::Object(delta))
}

/// What removes a value that was there.
fn gone<'a, N: Node<'a>>(key: &str, old: N) -> Part<'a, N> {
    if let View::Object(_) = old.view() {
        return Part::Own(Value::Object(purged()));
    }
    match in_order_of_ids(key, old) {
        Some(Keyed { id_field, items }) => {
            let stubs = items.into_iter().map(|(_, item)| stub(id_field, item));
            Part::Array(stubs.collect())
        }
        None => Part::Own(Value::Null),
    }
}

/// `{"purge": true}`.
pub(crate) fn purged() -> Map<String, Value> {
    Map::from_iter([(PURGE.to_owned(), Value::Bool(true))])
}

fn stub<'a, F: Fields<'a>>(id_field: &'a str, item: F) -> Part<'a, F::Node> {
    let id = item
        .get(id_field)
        .map_or(Part::Own(Value::Null), Part::Read);
    Part::Object(vec![
        (id_field.into(), id),
        (PURGE.into(), Part::Own(Value::Bool(true))),
    ])
}

/// Gives an item of a delta its `purge: false`, in the place of a null that it may have.
fn mark<'a, N: Node<'a>>(item: &mut Parts<'a, N>) {
    let unset = Part::Own(Value::Bool(false));
    match item.iter_mut().find(|(key, _)| key == PURGE) {
        Some((_, flag @ Part::Own(Value::Null))) => *flag = unset,
        Some(_) => {}
        None => item.push((PURGE.into(), unset)),
    }
}

/// A new value as a delta carries it: settled, every item that has an id with its
/// `purge: false`.
fn marked<'a, N: Node<'a>>(name: &str, value: N) -> Part<'a, N> {
    match value.view() {
        View::Object(fields) => Part::Object(marked_fields(fields)),
        View::Array(items) => match keyed(name, items, Purged::Dropped) {
            Some(keyed) => {
                let items = keyed.items.into_iter();
                Part::Array(items.map(|(_, fields)| marked_item(fields)).collect())
            }
            None => settled(value).unwrap_or(Part::Own(Value::Null)),
        },
        View::Null | View::Bool(_) | View::Number(_) | View::Text(_) => Part::Read(value),
    }
}

fn marked_item<'a, F: Fields<'a>>(fields: F) -> Part<'a, F::Node> {
    let mut item = marked_fields(fields);
    mark(&mut item);
    Part::Object(item)
}

fn marked_fields<'a, F: Fields<'a>>(fields: F) -> Parts<'a, F::Node> {
    let kept = fields.each().filter(|(_, value)| !removes(*value));
    kept.map(|(key, value)| (key.into(), marked(key, value)))
        .collect()
}

/// Whether a value, applied to a field, leaves nothing of it.
fn removes<'a, N: Node<'a>>(value: N) -> bool {
    match value.view() {
        View::Null => true,
        View::Object(fields) => is_purge(fields),
        View::Bool(_) | View::Number(_) | View::Text(_) | View::Array(_) => false,
    }
}

/// A value as the receiver holds it: without nulls and without what carries
/// `purge: true`. None where that is all of it.
fn settled<'a, N: Node<'a>>(value: N) -> Option<Part<'a, N>> {
    if removes(value) {
        return None;
    }
    Some(match value.view() {
        View::Object(fields) => Part::Object(settled_fields(fields)),
        View::Array(items) => Part::Array(items.filter_map(settled).collect()),
        View::Null | View::Bool(_) | View::Number(_) | View::Text(_) => Part::Read(value),
    })
}

fn settled_fields<'a, F: Fields<'a>>(fields: F) -> Parts<'a, F::Node> {
    fields
        .each()
        .filter_map(|(key, value)| Some((key.into(), settled(value)?)))
        .collect()
}

/// An object without the nulls in it; purges stay, since they are a message to
/// the receiver.
pub(crate) fn without_nulls<'a, F: Fields<'a>>(fields: F) -> Parts<'a, F::Node> {
    let kept = fields.each().filter(|(_, value)| !is_null(*value));
    kept.map(|(key, value)| (key.into(), value_without_nulls(value)))
        .collect()
}

/// As [`without_nulls`], for any value.
pub(crate) fn value_without_nulls<'a, N: Node<'a>>(value: N) -> Part<'a, N> {
    match value.view() {
        View::Object(fields) => Part::Object(without_nulls(fields)),
        View::Array(items) => {
            let kept = items.filter(|item| !is_null(*item));
            Part::Array(kept.map(value_without_nulls).collect())
        }
        View::Null | View::Bool(_) | View::Number(_) | View::Text(_) => Part::Read(value),
    }
}

/// Whether a value is null.
pub(crate) fn is_null<'a, N: Node<'a>>(value: N) -> bool {
    matches!(value.view(), View::Null)
}

/// Merges objects field by field.
fn merged<'a>(
    held: &'a Map<String, Value>,
    incoming: &'a Map<String, Value>,
) -> Parts<'a, &'a Value> {
    let kept = held.iter().filter_map(|(key, old)| {
        let value = match incoming.get(key) {
            Some(new) => merged_field(key, Some(old), new),
            None => settled(old),
        };
        Some((key.into(), value?))
    });
    let added = incoming
        .iter()
        .filter(|(key, _)| !held.contains_key(*key))
        .filter_map(|(key, new)| Some((key.into(), merged_field(key, None, new)?)));
    kept.chain(added).collect()
}

/// One field after a record has been applied; None where it is removed.
fn merged_field<'a>(
    name: &str,
    held: Option<&'a Value>,
    incoming: &'a Value,
) -> Option<Part<'a, &'a Value>> {
    if removes(incoming) {
        return None;
    }
    match (held, incoming) {
        (Some(Value::Object(held)), Value::Object(incoming)) if !is_purge(held) => {
            Some(Part::Object(merged(held, incoming)))
        }
        (Some(Value::Array(held)), Value::Array(items)) => {
            let pair = keyed(name, held.iter(), Purged::Dropped).zip(keyed(
                name,
                items.iter(),
                Purged::Kept,
            ));
            match pair {
                Some((held, incoming)) if held.id_field == incoming.id_field => {
                    Some(Part::Array(merged_items(&held, &incoming)))
                }
                Some(_) | None => settled(incoming),
            }
        }
        (Some(_) | None, _) => settled(incoming),
    }
}

/// Merges arrays by id.
fn merged_items<'a>(
    held: &Keyed<'a, &'a Map<String, Value>>,
    incoming: &Keyed<'a, &'a Map<String, Value>>,
) -> Vec<Part<'a, &'a Value>> {
    let news: HashMap<_, _> = incoming.items.iter().map(|(id, new)| (id, *new)).collect();
    let olds: HashSet<_> = held.items.iter().map(|(id, _)| id).collect();
    let kept = held
        .items
        .iter()
        .filter_map(|(id, old)| match news.get(id) {
            None => Some(settled_fields(*old)),
            Some(new) => (!is_purge(*new)).then(|| merged(old, new)),
        });
    let added = incoming
        .items
        .iter()
        .filter(|(id, new)| !is_purge(*new) && !olds.contains(id))
        .map(|(_, new)| settled_fields(*new));
    kept.chain(added).map(Part::Object).collect()
}

#[cfg(test)]
mod tests;
