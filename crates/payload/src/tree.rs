//! A record's text, read without a `Value`, for what only needs to be looked at: a list of
//! its values, places in that list, and places in the text.

mod read;

use serde_json::Value;

use crate::name::{COUNT, Known};
use crate::node::{Fields, Node, View};

/// What a text says, with the text.
#[derive(Default)]
pub(crate) struct Document<'t> {
    text: &'t str,
    values: Values,
}

/// What a text says. All its values are in one list, each before its parts: an object costs
/// no allocation, and is gone through without jumping about.
#[derive(Default)]
pub(crate) struct Values {
    entries: Vec<Entry>,
    /// The keys that are no names of the specification.
    others: Vec<Box<str>>,
    /// There is a null.
    has_null: bool,
    /// An object has a key twice.
    has_key_twice: bool,
    /// A field is called purge.
    has_purge: bool,
}

/// One value.
struct Entry {
    /// Its key; [`Key::NONE`] where it is not the value of a field.
    key: Key,
    /// Whether the key comes again in the same object, so that this value does not count.
    overridden: bool,
    held: Held,
}

/// A key: the number of a known name, or [`COUNT`] and a place among the others.
#[derive(Clone, Copy, PartialEq)]
struct Key(u32);

/// The kinds of value.
enum Held {
    Null,
    Bool(bool),
    /// As it is spelled.
    Number(Box<str>),
    /// As it stands there in the text: without an escape, nor anything that needs one.
    Text {
        at: usize,
        bytes: usize,
    },
    /// Had escapes in the text.
    Unescaped(Box<str>),
    /// So many behind it are its items and their parts.
    Array {
        parts: usize,
    },
    /// So many behind it are its fields and their parts.
    Object {
        parts: usize,
        /// All keys are known names, none is there twice, and the parts can be counted in
        /// 16 bits, as in any record that is one.
        ordinary: bool,
    },
}

impl<'t> Document<'t> {
    /// Reads a text; `None` where it is no JSON, or has a key that is serde_json's own.
    pub(crate) fn read(text: &'t str) -> Option<Document<'t>> {
        let values = read::read(text).ok()?;
        Some(Document { text, values })
    }

    /// What was read of this very text before.
    pub(crate) fn of(text: &'t str, values: Values) -> Document<'t> {
        Document { text, values }
    }

    /// What was read, without the text.
    pub(crate) fn into_values(self) -> Values {
        self.values
    }

    /// The value that has all others in it.
    pub(crate) fn root(&self) -> Tree<'_> {
        let (entry, parts) = self.values.entries.split_first().unwrap_or((&NULL, &[]));
        Tree {
            document: self,
            entry,
            parts,
        }
    }

    /// Whether the text can go as it is: no null, and no key twice in one object.
    pub(crate) fn is_sendable(&self) -> bool {
        !self.values.has_null && !self.values.has_key_twice
    }

    /// Whether there is neither a null nor anything that could be a purge flag.
    pub(crate) fn is_plain(&self) -> bool {
        !self.values.has_null && !self.values.has_purge
    }

    /// Whether something in it carries `purge: true`.
    pub(crate) fn has_purged(&self) -> bool {
        let is_set = |entry: &Entry| matches!(entry.held, Held::Bool(true));
        self.values.has_purge
            && self
                .values
                .entries
                .iter()
                .any(|entry| is_set(entry) && entry.key.known() == Some(Known::PURGE))
    }

    /// A part of the text.
    fn part(&self, at: usize, bytes: usize) -> &str {
        self.text.get(at..at + bytes).unwrap_or_default()
    }

    /// Whether a value of another document is the same, but for its parts.
    fn is_same(&self, one: &Held, other: &Document<'_>, two: &Held) -> bool {
        match (one, two) {
            (Held::Null, Held::Null) => true,
            (Held::Bool(one), Held::Bool(two)) => one == two,
            (Held::Number(one), Held::Number(two))
            | (Held::Unescaped(one), Held::Unescaped(two)) => one == two,
            (
                Held::Text { at, bytes },
                Held::Text {
                    at: place,
                    bytes: length,
                },
            ) => bytes == length && self.part(*at, *bytes) == other.part(*place, *length),
            (Held::Array { parts }, Held::Array { parts: others }) => parts == others,
            (
                Held::Object { parts, ordinary },
                Held::Object {
                    parts: others,
                    ordinary: is_ordinary,
                },
            ) => parts == others && ordinary == is_ordinary,
            (
                Held::Null
                | Held::Bool(_)
                | Held::Number(_)
                | Held::Text { .. }
                | Held::Unescaped(_)
                | Held::Array { .. }
                | Held::Object { .. },
                _,
            ) => false,
        }
    }
}

impl Values {
    fn text_of(&self, key: Key) -> &str {
        match key.known() {
            Some(known) => known.text(),
            None => {
                let other = self.others.get(key.0 as usize - COUNT);
                other.map_or("", Box::as_ref)
            }
        }
    }
}

/// What a document without values says.
static NULL: Entry = Entry {
    key: Key::NONE,
    overridden: false,
    held: Held::Null,
};

impl Held {
    /// How many values are parts of this one, or of its parts.
    fn parts(&self) -> usize {
        match self {
            Held::Array { parts } | Held::Object { parts, .. } => *parts,
            Held::Null
            | Held::Bool(_)
            | Held::Number(_)
            | Held::Text { .. }
            | Held::Unescaped(_) => 0,
        }
    }
}

impl Key {
    const NONE: Key = Key(u32::MAX);

    fn known(self) -> Option<Known> {
        Known::numbered(self.0 as usize)
    }
}

impl From<Known> for Key {
    fn from(known: Known) -> Key {
        Key(known.number() as u32)
    }
}

/// A value in its document.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'d> {
    document: &'d Document<'d>,
    entry: &'d Entry,
    parts: &'d [Entry],
}

impl<'d> Tree<'d> {
    /// The name that its key is, where it is the value of a field.
    pub(crate) fn name(self) -> Option<Known> {
        self.entry.key.known()
    }

    /// Its key; empty where it is not the value of a field.
    pub(crate) fn key(self) -> &'d str {
        self.document.values.text_of(self.entry.key)
    }

    /// Whether it is a text that stands in JSON as it is, without escapes.
    pub(crate) fn is_verbatim(self) -> bool {
        matches!(self.entry.held, Held::Text { .. })
    }

    fn parts(self) -> Siblings<'d> {
        Siblings {
            document: self.document,
            rest: self.parts,
        }
    }
}

impl<'d> Node<'d> for Tree<'d> {
    type Fields = Object<'d>;
    type Items = Siblings<'d>;

    fn view(self) -> View<'d, Tree<'d>> {
        let parts = self.parts();
        match &self.entry.held {
            Held::Null => View::Null,
            Held::Bool(value) => View::Bool(*value),
            Held::Number(number) => View::Number(number),
            Held::Text { at, bytes } => View::Text(self.document.part(*at, *bytes)),
            Held::Unescaped(text) => View::Text(text),
            Held::Array { .. } => View::Array(parts),
            Held::Object { ordinary, .. } => View::Object(Object {
                fields: parts,
                ordinary: *ordinary,
            }),
        }
    }

    fn to_value(self) -> Value {
        match self.view() {
            View::Null => Value::Null,
            View::Bool(value) => value.into(),
            // It was a number when it was read.
            View::Number(number) => number.parse().map_or(Value::Null, Value::Number),
            View::Text(text) => text.into(),
            View::Array(items) => items.map(Node::to_value).collect(),
            View::Object(fields) => Value::Object(fields.to_map()),
        }
    }

    fn is_spelled_as(self, other: Tree<'d>) -> bool {
        let document = self.document;
        document.is_same(&self.entry.held, other.document, &other.entry.held)
            && self.parts().are_spelled_as(other.parts())
    }
}

/// Values that stand side by side: an array's items, or the values of an object's fields.
#[derive(Clone, Copy)]
pub(crate) struct Siblings<'d> {
    document: &'d Document<'d>,
    rest: &'d [Entry],
}

impl Siblings<'_> {
    /// Whether others are the same, with all their parts. Which of them count is told by the
    /// keys.
    fn are_spelled_as(self, other: Siblings<'_>) -> bool {
        let has_key = |one: Key, two: Key| {
            if one.known().is_some() || two.known().is_some() {
                return one == two;
            }
            // What has no key is beside what has none, as the kinds of what it is in are one.
            self.document.values.text_of(one) == other.document.values.text_of(two)
        };
        let is_same =
            |one: &Entry, two: &Entry| self.document.is_same(&one.held, other.document, &two.held);
        self.rest.len() == other.rest.len()
            && self
                .rest
                .iter()
                .zip(other.rest)
                .all(|(one, two)| is_same(one, two) && has_key(one.key, two.key))
    }
}

impl<'d> Iterator for Siblings<'d> {
    type Item = Tree<'d>;

    fn next(&mut self) -> Option<Tree<'d>> {
        let (entry, after) = self.rest.split_first()?;
        let (parts, rest) = after.split_at(entry.held.parts());
        self.rest = rest;
        Some(Tree {
            document: self.document,
            entry,
            parts,
        })
    }
}

/// An object's fields; of a key that is there twice the last one counts, as in a `Value`.
#[derive(Clone, Copy)]
pub(crate) struct Object<'d> {
    fields: Siblings<'d>,
    ordinary: bool,
}

impl<'d> Object<'d> {
    /// The values of all fields in the text's order, also of those that do not count since
    /// their key comes again.
    pub(crate) fn every(self) -> impl Iterator<Item = Tree<'d>> {
        self.fields
    }

    fn counting(self) -> impl Iterator<Item = Tree<'d>> {
        self.fields.filter(|field| !field.entry.overridden)
    }

    /// The values of the fields that count, in the order of their keys.
    pub(crate) fn ordered(self) -> InOrder<'d> {
        if !self.ordinary {
            let mut fields: Vec<Tree<'d>> = self.counting().collect();
            fields.sort_unstable_by_key(|field| field.key());
            return InOrder::Any(fields.into_iter());
        }
        let mut places = [0; COUNT];
        let mut left = 0;
        let mut fields = self.fields;
        let all = fields.rest;
        loop {
            let at = all.len() - fields.rest.len();
            let Some(field) = fields.next() else { break };
            let number = field.entry.key.0;
            places[number as usize] = at as u16;
            left |= 1 << number;
        }
        InOrder::Ordinary {
            fields: self.fields,
            places,
            left,
        }
    }
}

/// The values of an object's fields in the order of the keys.
pub(crate) enum InOrder<'d> {
    /// Of an object whose keys are known names, each once.
    Ordinary {
        fields: Siblings<'d>,
        /// Where among them the name with this number is.
        places: [u16; COUNT],
        /// A bit for each name that is still to come.
        left: u64,
    },
    /// Of any other.
    Any(std::vec::IntoIter<Tree<'d>>),
}

impl<'d> Iterator for InOrder<'d> {
    type Item = Tree<'d>;

    fn next(&mut self) -> Option<Tree<'d>> {
        match self {
            InOrder::Ordinary {
                fields: Siblings { document, rest },
                places,
                left,
            } => {
                let at = usize::from(*places.get(left.trailing_zeros() as usize)?);
                *left &= left.wrapping_sub(1);
                let rest = rest.get(at..)?;
                Siblings { document, rest }.next()
            }
            InOrder::Any(fields) => fields.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self {
            InOrder::Ordinary { left, .. } => left.count_ones() as usize,
            InOrder::Any(fields) => fields.len(),
        };
        (left, Some(left))
    }
}

impl<'d> Fields<'d> for Object<'d> {
    type Node = Tree<'d>;

    fn get(self, key: &str) -> Option<Tree<'d>> {
        let known = Known::of(key);
        // Asked of every object, and hardly any document has one.
        if known == Some(Known::PURGE) && !self.fields.document.values.has_purge {
            return None;
        }
        self.counting()
            .find(|field| field.name() == known && (known.is_some() || field.key() == key))
    }

    fn each(self) -> impl Iterator<Item = (&'d str, Tree<'d>)> {
        self.counting().map(|field| (field.key(), field))
    }

    fn in_order(self) -> impl Iterator<Item = (&'d str, Tree<'d>)> {
        self.ordered().map(|field| (field.key(), field))
    }

    fn are_spelled_as(self, other: Object<'d>) -> bool {
        self.fields.are_spelled_as(other.fields)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Document<'_> {
        Document::read(text).unwrap()
    }

    #[test]
    fn what_is_read_is_what_a_value_has() {
        for text in [
            r#"{"a":[1,-2.50,"x\n\u00e9",[],{}],"purge":{"b":null,"score":[true,false]},"c":1e400}"#,
            "[[[]],[{}],0]",
            "\"\"",
            " null ",
            "18446744073709551616",
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text).root().to_value(), expected, "{text}");
        }
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_counts() {
        let document = read(r#"{"b":1,"a":[2,2],"b":3,"\u0062":4,"a":5,"date":6,"date":7}"#);
        let View::Object(fields) = document.root().view() else {
            panic!("no object");
        };
        let seen: Vec<_> = fields
            .each()
            .map(|(key, field)| (key, field.to_value()))
            .collect();
        assert_eq!(seen, [("b", 4.into()), ("a", 5.into()), ("date", 7.into())]);
        assert_eq!(fields.get("b").map(Node::to_value), Some(4.into()));
        assert_eq!(fields.get("date").map(Node::to_value), Some(7.into()));
        assert!(fields.get("c").is_none() && fields.get("end_date").is_none());
        let every: Vec<_> = fields.every().map(Tree::key).collect();
        assert_eq!(every, ["b", "a", "b", "b", "a", "date", "date"]);
        assert!(!document.is_sendable());
    }

    proptest! {
        #[test]
        fn the_fields_that_count_come_in_the_order_of_their_keys(
            keys in prop::collection::vec(
                "[ab_]{0,3}|date|score|sex|purge|la_child_id|(start|end)_(date|reason)", 0..12),
            times in 1..3_usize,
        ) {
            let fields: Vec<(String, usize)> = vec![keys; times].concat().into_iter().zip(0..).collect();
            let text: Vec<String> = fields.iter().map(|(key, at)| format!("\"{key}\":{at}")).collect();
            let text = format!("{{{}}}", text.join(","));
            let document = read(&text);
            let View::Object(object) = document.root().view() else {
                panic!("no object");
            };
            let different: BTreeMap<String, usize> = fields.iter().cloned().collect();
            let found: Vec<(String, Value)> = object
                .ordered()
                .map(|field| (field.key().to_owned(), field.to_value()))
                .collect();
            let expected: Vec<(String, Value)> = different
                .iter()
                .map(|(key, at)| (key.clone(), (*at).into()))
                .collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(document.is_sendable(), different.len() == fields.len());
            prop_assert_eq!(object.each().count(), different.len());
            prop_assert_eq!(object.every().count(), fields.len());
        }
    }

    #[test]
    fn what_is_spelled_otherwise_is_not_taken_for_the_same() {
        let texts = [
            "null",
            "false",
            "true",
            "0",
            "1",
            "1.0",
            r#""""#,
            r#""a""#,
            r#""b""#,
            r#""\u0061""#,
            r#""\u0062""#,
            "[]",
            "{}",
            "[[]]",
            "[{}]",
            "[[1],2]",
            "[[1,2]]",
            "[1,[2]]",
            r#"{"a":{"b":1},"c":2}"#,
            r#"{"a":{"b":1,"c":2}}"#,
            r#"{"a":{"b":1},"d":2}"#,
            r#"{"sex":{"date":1},"purge":2}"#,
            r#"{"sex":{"date":1,"purge":2}}"#,
            r#"{"sex":1,"sex":2}"#,
            r#"{"sex":1,"date":2}"#,
        ];
        for (n, one) in texts.iter().enumerate() {
            for (m, other) in texts.iter().enumerate() {
                let other = format!(" {other} ");
                let (one, other) = (read(one), read(&other));
                let is_same = one.root().is_spelled_as(other.root());
                assert_eq!(is_same, n == m, "{} {}", texts[n], texts[m]);
            }
        }
    }

    #[test]
    fn an_object_of_very_many_parts_has_its_order_too() {
        let text = format!(
            r#"{{"sex":[{}0],"purge":1,"date":2}}"#,
            "0,".repeat(usize::from(u16::MAX))
        );
        let document = read(&text);
        let View::Object(object) = document.root().view() else {
            panic!("no object");
        };
        let keys: Vec<_> = object.ordered().map(Tree::key).collect();
        assert_eq!(keys, ["date", "purge", "sex"]);
    }

    #[test]
    fn an_object_that_looks_like_a_number_is_refused() {
        for text in [
            r#"{"a":{"$serde_json::private::Number":"1"}}"#,
            r#"{"$serde_json::private::RawValue":"1"}"#,
            r#"{"a":1,"$serde_json::private::Number":"1"}"#,
            r#"{"a":1,"$serde_json::private::Number":1.5}"#,
        ] {
            assert!(Document::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_text_is_plain_where_nothing_is_null_or_called_purge() {
        assert!(read(r#"{"a":[1,{"b":"purge"}],"c":{}}"#).is_plain());
        for text in [
            r#"{"a":null}"#,
            r#"[[null]]"#,
            r#"{"a":[{"purge":false}]}"#,
            r#"{"\u0070urge":1}"#,
        ] {
            assert!(!read(text).is_plain(), "{text}");
        }
    }
}
