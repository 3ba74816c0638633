//! A JSON value that was read, whoever owns its parts: what meaning, skeleton, ids and
//! deltas are worked out from, alike for a `Value` and for a record's text that was read
//! without one.

use serde_json::{Map, Value};

use crate::record::JsonKind;

/// A JSON value, borrowed.
pub(crate) trait Node<'a>: Copy {
    /// The fields of an object.
    type Fields: Fields<'a, Node = Self>;
    /// The items of an array.
    type Items: Iterator<Item = Self> + Clone;

    /// What it is.
    fn view(self) -> View<'a, Self>;

    /// A copy of it.
    fn to_value(self) -> Value;

    /// Whether another value has the same parts in the same order, spelled the same. As the
    /// value of one field the two then mean the same; where it is false they still may.
    fn is_spelled_as(self, other: Self) -> bool;
}

/// The kinds of value.
pub(crate) enum View<'a, N: Node<'a>> {
    /// `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// A number as it is spelled.
    Number(&'a str),
    /// Text.
    Text(&'a str),
    /// An array.
    Array(N::Items),
    /// An object.
    Object(N::Fields),
}

impl<'a, N: Node<'a>> View<'a, N> {
    /// Its kind.
    pub(crate) fn kind(&self) -> JsonKind {
        match self {
            View::Null => JsonKind::Null,
            View::Bool(_) => JsonKind::Boolean,
            View::Number(_) => JsonKind::Number,
            View::Text(_) => JsonKind::Text,
            View::Array(_) => JsonKind::Array,
            View::Object(_) => JsonKind::Object,
        }
    }
}

/// An object's fields, no key twice.
pub(crate) trait Fields<'a>: Copy {
    /// Their values.
    type Node: Node<'a>;

    /// Looks a field up.
    fn get(self, key: &str) -> Option<Self::Node>;

    /// All of them, in any order.
    fn each(self) -> impl Iterator<Item = (&'a str, Self::Node)>;

    /// All of them, in the order of their keys.
    fn in_order(self) -> impl Iterator<Item = (&'a str, Self::Node)>;

    /// As [`Node::is_spelled_as`], of the objects.
    fn are_spelled_as(self, other: Self) -> bool;

    /// A copy of them.
    fn to_map(self) -> Map<String, Value> {
        self.each()
            .map(|(key, value)| (key.to_owned(), value.to_value()))
            .collect()
    }
}

impl<'a> Node<'a> for &'a Value {
    type Fields = &'a Map<String, Value>;
    type Items = std::slice::Iter<'a, Value>;

    fn view(self) -> View<'a, &'a Value> {
        match self {
            Value::Null => View::Null,
            Value::Bool(value) => View::Bool(*value),
            Value::Number(number) => View::Number(number.as_str()),
            Value::String(text) => View::Text(text),
            Value::Array(items) => View::Array(items.iter()),
            Value::Object(fields) => View::Object(fields),
        }
    }

    fn to_value(self) -> Value {
        self.clone()
    }

    fn is_spelled_as(self, other: &'a Value) -> bool {
        match (self, other) {
            (Value::Object(one), Value::Object(two)) => one.are_spelled_as(two),
            (Value::Array(one), Value::Array(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(a, b)| a.is_spelled_as(b))
            }
            (
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_),
                _,
            ) => self == other,
        }
    }
}

impl<'a> Fields<'a> for &'a Map<String, Value> {
    type Node = &'a Value;

    fn get(self, key: &str) -> Option<&'a Value> {
        Map::get(self, key)
    }

    fn each(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.iter().map(|(key, value)| (key.as_str(), value))
    }

    fn in_order(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let mut fields: Vec<_> = self.each().collect();
        fields.sort_unstable_by_key(|(key, _)| *key);
        fields.into_iter()
    }

    fn are_spelled_as(self, other: &'a Map<String, Value>) -> bool {
        let mut both = self.iter().zip(other);
        self.len() == other.len()
            && both.all(|((key, one), (other, two))| key == other && one.is_spelled_as(two))
    }
}
