//! What was acknowledged, without a value of it.
//!
//! A skeleton holds the ids and the names of the fields of a record. That is
//! enough to make a later full record exact for a receiver that merges and never
//! forgets (`payload.md`, "Full records, and what is no longer in them"): what
//! was there and is gone gets a stub or a null.

pub(crate) mod short;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use self::short::{end, lengthen, renewed, write_key, write_name};
use crate::delta::{is_null, purged, value_without_nulls, without_nulls};
use crate::ids::{Id, PURGE, Purged, is_purge, is_purge_flag, keyed, says_nothing};
use crate::meaning::{Fields, Form, Normal, write_text};
use crate::node::{self, View};
use crate::part::{Part, Parts};

/// The ids and field names of what the receiver acknowledged of one child.
///
/// The default is the skeleton of nothing. It is kept as its text, about a fifth of the
/// record's size, since most skeletons are only written down; a clone shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skeleton {
    /// As [`Skeleton::to_json`] describes, names and ids in order and the former short:
    /// equal for equal skeletons.
    text: Arc<str>,
}

impl Default for Skeleton {
    fn default() -> Self {
        Skeleton::from(&Names::new())
    }
}

impl From<&Names<'_>> for Skeleton {
    fn from(names: &Names<'_>) -> Self {
        let mut text = String::new();
        write_names(names, &mut text);
        Skeleton { text: text.into() }
    }
}

/// A skeleton's text can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkeletonFault {
    /// It is not JSON.
    #[error("the skeleton is not JSON")]
    NotJson,
    /// It is JSON of another shape.
    #[error("the skeleton is JSON, but not a skeleton's")]
    NotASkeleton,
}

/// Field names, each with what it may hold.
type Names<'a> = BTreeMap<Cow<'a, str>, Node<'a>>;

/// What a field may hold. After a lost reply there are two possible states, so
/// there may be more than one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node<'a> {
    /// A plain value or an array without ids.
    plain: bool,
    /// An object with these fields.
    object: Option<Names<'a>>,
    /// An array with ids: by the name of its id field, the fields of each item.
    items: BTreeMap<Cow<'a, str>, BTreeMap<Id<'a>, Names<'a>>>,
}

impl Skeleton {
    /// The skeleton of what the receiver holds after it has acknowledged this
    /// full record. What says nothing, and what carries `purge: true`, is not in
    /// it.
    pub fn of(record: &Value) -> Skeleton {
        match Normal::of("", record, Purged::Dropped).map(|normal| normal.form) {
            Some(Form::Object(fields)) => Skeleton::from(&names_of(&fields)),
            Some(
                Form::Bool(_) | Form::Number(_) | Form::Text(_) | Form::List(_) | Form::Items(_),
            )
            | None => Skeleton::default(),
        }
    }

    /// What [`Skeleton::to_kept`] gave and was kept since. A text that was damaged
    /// meanwhile is the skeleton of nothing to whatever it is completed or merged with.
    ///
    /// What an earlier version kept is brought to the text of this one: skeletons are
    /// compared by their texts.
    pub fn kept(text: &str) -> Skeleton {
        Skeleton::written(&renewed(text))
    }

    /// A text that this version wrote.
    pub(crate) fn written(text: &str) -> Skeleton {
        Skeleton { text: text.into() }
    }

    /// The text that [`Skeleton::kept`] takes: no JSON, and a fifth of its length.
    pub fn to_kept(&self) -> &str {
        &self.text
    }

    /// What the receiver may hold when it holds one of two states and nobody
    /// knows which, since a reply was lost.
    #[must_use]
    pub fn merge(self, other: Skeleton) -> Skeleton {
        if self.is_empty() || self == other {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let (one, two) = (self.to_value(), other.to_value());
        let mut merged = names_from(&one).unwrap_or_default();
        merge_names(&mut merged, names_from(&two).unwrap_or_default());
        Skeleton::from(&merged)
    }

    /// The full record made exact: with a stub for every item and object that was
    /// acknowledged and is gone, and null for every other field that was and is.
    /// A state that has this skeleton, or one of the two that it was merged from,
    /// means the record once this is applied to it.
    ///
    /// The record's own nulls are left out, its own purges are kept. A record
    /// that is a purge itself, or not an object, comes back as it is.
    pub fn complete(&self, record: &Value) -> Value {
        match record {
            Value::Object(fields) if !is_purge(fields) => {
                let known = self.to_value();
                let names = names_from(&known).unwrap_or_default();
                Part::Object(complete_fields(&names, fields)).into_value()
            }
            Value::Object(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => record.clone(),
        }
    }

    /// Whether nothing was acknowledged.
    pub fn is_empty(&self) -> bool {
        &*self.text == "{}"
    }

    /// The skeleton as compact JSON: a plain field is `0`, an object its fields,
    /// an array with ids `["the id's field", id, {fields}, id, {fields}, …]`. A
    /// field with several answers is `[null, answer, answer, …]`.
    pub fn to_json(&self) -> String {
        lengthen(&self.text)
    }

    /// Reads what [`Skeleton::to_json`] wrote.
    ///
    /// # Errors
    /// A [`SkeletonFault`] where it didn't.
    pub fn from_json(text: &str) -> Result<Skeleton, SkeletonFault> {
        let value: Value = serde_json::from_str(text).map_err(|_| SkeletonFault::NotJson)?;
        let names = names_from(&value).ok_or(SkeletonFault::NotASkeleton)?;
        Ok(Skeleton::from(&names))
    }

    /// The text, read. It is always this module's own.
    fn to_value(&self) -> Value {
        serde_json::from_str(&self.to_json()).unwrap_or_default()
    }
}

/// A value made exact for a field that said something before, or did not.
pub(crate) fn exact<'a, N: node::Node<'a>>(name: &str, before: Option<N>, now: N) -> Part<'a, N> {
    let before = before.and_then(|before| Normal::of(name, before, Purged::Dropped));
    let known = before.as_ref().map(Node::of).unwrap_or_default();
    complete_value(&known, name, now)
}

impl<'a> Node<'a> {
    fn of<N: node::Node<'a>>(normal: &Normal<'a, N>) -> Node<'a> {
        let mut node = Node::default();
        match &normal.form {
            Form::Bool(_) | Form::Number(_) | Form::Text(_) | Form::List(_) => node.plain = true,
            Form::Object(fields) => node.object = Some(names_of(fields)),
            Form::Items(items) => {
                let by_id = items
                    .items
                    .iter()
                    .map(|item| (item.id.clone(), names_of(&item.fields)))
                    .collect();
                node.items.insert(Cow::Borrowed(items.id_field), by_id);
            }
        }
        node
    }

    /// Whether there is no other answer than a plain value.
    fn is_plain_alone(&self) -> bool {
        self.plain && self.object.is_none() && self.items.is_empty()
    }

    /// What removes whatever this may be: null drops anything, and is used where
    /// there is more than one answer.
    fn gone(&self) -> Value {
        let mut answers = self.items.iter();
        match (self.plain, &self.object, answers.next(), answers.next()) {
            (false, Some(_), None, None) => Value::Object(purged()),
            (false, None, Some((id_field, items)), None) => {
                Value::Array(items.keys().map(|id| stub(id_field, id)).collect())
            }
            (true | false, Some(_) | None, Some(_) | None, Some(_) | None) => Value::Null,
        }
    }
}

/// The names of all fields but the purge flag.
fn names_of<'a, N: node::Node<'a>>(fields: &Fields<'a, N>) -> Names<'a> {
    fields
        .iter()
        .filter(|(key, value)| !is_purge_flag(key, value.source))
        .map(|(key, value)| (Cow::Borrowed(*key), Node::of(value)))
        .collect()
}

fn stub(id_field: &str, id: &Id<'_>) -> Value {
    [
        (id_field.to_owned(), id_to_value(id)),
        (PURGE.to_owned(), Value::Bool(true)),
    ]
    .into_iter()
    .collect()
}

fn complete_fields<'a, F: node::Fields<'a>>(names: &Names<'_>, fields: F) -> Parts<'a, F::Node> {
    let mut out = Vec::with_capacity(names.len());
    for (key, value) in fields.each() {
        let now = match names.get(key) {
            Some(node) if says_nothing(value) && !has_stubs(value) => Part::Own(node.gone()),
            Some(node) => complete_value(node, key, value),
            None if is_null(value) => continue,
            None => value_without_nulls(value),
        };
        out.push((key.into(), now));
    }
    for (key, node) in names {
        if fields.get(key).is_none() {
            let key = key.clone().into_owned();
            out.push((key.into(), Part::Own(node.gone())));
        }
    }
    out
}

/// Whether a value is an array with stubs of the record's own.
fn has_stubs<'a, N: node::Node<'a>>(value: N) -> bool {
    match value.view() {
        View::Array(mut items) => {
            items.any(|item| matches!(item.view(), View::Object(fields) if is_purge(fields)))
        }
        View::Null | View::Bool(_) | View::Number(_) | View::Text(_) | View::Object(_) => false,
    }
}

fn complete_value<'a, N: node::Node<'a>>(node: &Node<'_>, name: &str, value: N) -> Part<'a, N> {
    match value.view() {
        View::Object(fields) => match &node.object {
            Some(names) => Part::Object(complete_fields(names, fields)),
            None => value_without_nulls(value),
        },
        View::Array(items) => {
            let now = keyed(name, items, Purged::Kept);
            match now.and_then(|now| Some((node.items.get(now.id_field)?, now))) {
                Some((before, now)) => {
                    let kept = now.items.iter().map(|(id, fields)| {
                        Part::Object(match before.get(id) {
                            Some(names) if !is_purge(*fields) => complete_fields(names, *fields),
                            Some(_) | None => without_nulls(*fields),
                        })
                    });
                    let ids: HashSet<_> = now.items.iter().map(|(id, _)| id).collect();
                    let gone = before
                        .keys()
                        .filter(|id| !ids.contains(id))
                        .map(|id| Part::Own(stub(now.id_field, id)));
                    Part::Array(kept.chain(gone).collect())
                }
                None => value_without_nulls(value),
            }
        }
        View::Null | View::Bool(_) | View::Number(_) | View::Text(_) => Part::Read(value),
    }
}

fn merge_names<'a>(into: &mut Names<'a>, other: Names<'a>) {
    for (key, node) in other {
        let merged = into.entry(key).or_default();
        merged.plain |= node.plain;
        if let Some(names) = node.object {
            merge_names(merged.object.get_or_insert_default(), names);
        }
        for (id_field, items) in node.items {
            let by_id = merged.items.entry(id_field).or_default();
            for (id, names) in items {
                merge_names(by_id.entry(id).or_default(), names);
            }
        }
    }
}

fn id_to_value(id: &Id<'_>) -> Value {
    match id {
        Id::Text(text) => Value::String(text.clone().into_owned()),
        // A canonical number is a JSON number; were one not, text would do.
        Id::Number(number) => number.parse::<serde_json::Number>().map_or_else(
            |_| Value::String(number.clone().into_owned()),
            Value::Number,
        ),
    }
}

pub(crate) fn write_id(id: &Id<'_>, out: &mut String) {
    match id {
        Id::Text(text) => write_text(text, out),
        Id::Number(number) => out.push_str(number),
    }
}

fn write_names(names: &Names<'_>, out: &mut String) {
    out.push('{');
    for (key, node) in names {
        let is_known = write_key(key, out);
        if !(is_known && node.is_plain_alone()) {
            write_node(node, out);
            out.push(',');
        }
    }
    end(out, "}");
}

fn write_node(node: &Node<'_>, out: &mut String) {
    let answers = usize::from(node.plain) + usize::from(node.object.is_some()) + node.items.len();
    if answers != 1 {
        out.push_str("[null");
    }
    let next = |out: &mut String| {
        if answers != 1 {
            out.push(',');
        }
    };
    if node.plain {
        next(out);
        out.push('0');
    }
    if let Some(names) = &node.object {
        next(out);
        write_names(names, out);
    }
    for (id_field, items) in &node.items {
        next(out);
        out.push('[');
        write_name(id_field, out);
        for (id, names) in items {
            out.push(',');
            write_id(id, out);
            out.push(',');
            write_names(names, out);
        }
        out.push(']');
    }
    if answers != 1 {
        out.push(']');
    }
}

fn names_from(value: &Value) -> Option<Names<'_>> {
    value
        .as_object()?
        .iter()
        .map(|(key, value)| Some((Cow::Borrowed(key.as_str()), node_from(value)?)))
        .collect()
}

fn node_from(value: &Value) -> Option<Node<'_>> {
    let mut node = Node::default();
    match value {
        Value::Array(answers) if matches!(answers.first(), Some(Value::Null)) => {
            for answer in answers.iter().skip(1) {
                answer_from(answer, &mut node)?;
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => answer_from(value, &mut node)?,
    }
    Some(node)
}

fn answer_from<'a>(value: &'a Value, node: &mut Node<'a>) -> Option<()> {
    match value {
        Value::Number(number) if number.as_u64() == Some(0) => node.plain = true,
        Value::Object(_) => node.object = Some(names_from(value)?),
        Value::Array(parts) => {
            let (id_field, rest) = parts.split_first()?;
            let (pairs, []) = rest.as_chunks::<2>() else {
                return None;
            };
            let mut by_id = BTreeMap::new();
            for [id, names] in pairs {
                by_id.insert(Id::of(id)?, names_from(names)?);
            }
            node.items.insert(Cow::Borrowed(id_field.as_str()?), by_id);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests;
