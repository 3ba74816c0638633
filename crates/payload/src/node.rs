//! A JSON value that was read, whoever owns its parts: what meaning, skeleton and
//! ids are worked out from, alike for a `Value` and for a tree that borrows from a
//! record's text.

use std::fmt::Debug;

use serde_json::{Map, Value};

/// A JSON value.
pub(crate) trait Node: Sized + Debug {
    /// The fields of an object.
    type Object: Fields<Node = Self> + Debug;

    /// What it is.
    fn view(&self) -> View<'_, Self>;
}

/// The kinds of value.
#[derive(Debug)]
pub(crate) enum View<'a, N: Node> {
    /// `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// A number as it is spelled.
    Number(&'a str),
    /// Text.
    Text(&'a str),
    /// An array.
    Array(&'a [N]),
    /// An object.
    Object(&'a N::Object),
}

/// An object's fields, no key twice.
pub(crate) trait Fields {
    /// Their values.
    type Node;

    /// Looks a field up.
    fn get(&self, key: &str) -> Option<&Self::Node>;

    /// All of them, in any order.
    fn each(&self) -> impl Iterator<Item = (&str, &Self::Node)>;
}

impl Node for Value {
    type Object = Map<String, Value>;

    fn view(&self) -> View<'_, Value> {
        match self {
            Value::Null => View::Null,
            Value::Bool(value) => View::Bool(*value),
            Value::Number(number) => View::Number(number.as_str()),
            Value::String(text) => View::Text(text),
            Value::Array(items) => View::Array(items),
            Value::Object(fields) => View::Object(fields),
        }
    }
}

impl Fields for Map<String, Value> {
    type Node = Value;

    fn get(&self, key: &str) -> Option<&Value> {
        Map::get(self, key)
    }

    fn each(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.iter().map(|(key, value)| (key.as_str(), value))
    }
}
