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
}
