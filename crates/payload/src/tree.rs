//! A record read into a tree that borrows from its text: a third of the cost of a
//! `Value`, for what only needs to be looked at.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::ids::PURGE;
use crate::node::{Fields, Node, View};

/// serde_json carries numbers and raw text through keys of its own.
const RESERVED: &str = "$serde_json::private::";

/// A JSON value.
#[derive(Debug)]
pub(crate) enum Tree<'t> {
    Null,
    Bool(bool),
    /// As it is spelled.
    Number(Cow<'t, str>),
    Text(Cow<'t, str>),
    Array(Vec<Tree<'t>>),
    Object(Sorted<'t>),
}

/// An object's fields in the order of their keys; of a key that was there twice the
/// last one, as in a `Value`.
#[derive(Debug)]
pub(crate) struct Sorted<'t> {
    fields: Vec<(Cow<'t, str>, Tree<'t>)>,
    /// Whether a key was there twice.
    repeated: bool,
}

impl<'t> Tree<'t> {
    /// Reads a text; `None` where it is no JSON, or has a key that is serde_json's own.
    pub(crate) fn read(text: &'t str) -> Option<Tree<'t>> {
        serde_json::from_str(text).ok()
    }

    /// Whether there is neither a null nor anything that could be a purge flag.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Tree::Null => false,
            Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => true,
            Tree::Array(items) => items.iter().all(Tree::is_plain),
            Tree::Object(object) => object
                .fields
                .iter()
                .all(|(key, value)| key != PURGE && value.is_plain()),
        }
    }

    /// Whether the text can go as it is: no null, and no key twice in one object.
    pub(crate) fn is_sendable(&self) -> bool {
        match self {
            Tree::Null => false,
            Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => true,
            Tree::Array(items) => items.iter().all(Tree::is_sendable),
            Tree::Object(object) => {
                !object.repeated && object.fields.iter().all(|(_, value)| value.is_sendable())
            }
        }
    }
}

impl<'t> Node for Tree<'t> {
    type Object = Sorted<'t>;

    fn view(&self) -> View<'_, Tree<'t>> {
        match self {
            Tree::Null => View::Null,
            Tree::Bool(value) => View::Bool(*value),
            Tree::Number(number) => View::Number(number),
            Tree::Text(text) => View::Text(text),
            Tree::Array(items) => View::Array(items),
            Tree::Object(fields) => View::Object(fields),
        }
    }
}

impl<'t> Fields for Sorted<'t> {
    type Node = Tree<'t>;

    fn get(&self, key: &str) -> Option<&Tree<'t>> {
        let at = self
            .fields
            .binary_search_by(|(known, _)| (**known).cmp(key));
        self.fields.get(at.ok()?).map(|(_, value)| value)
    }

    fn each(&self) -> impl Iterator<Item = (&str, &Tree<'t>)> {
        self.fields.iter().map(|(key, value)| (&**key, value))
    }
}

impl<'t> Deserialize<'t> for Tree<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Tree<'t>, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'t> Visitor<'t> for Reading {
    type Value = Tree<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree<'t>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'t>, E> {
        Ok(Tree::Bool(value))
    }

    // Integers of up to 64 bits come as these, other numbers as a map.
    fn visit_u64<E>(self, number: u64) -> Result<Tree<'t>, E> {
        Ok(Tree::Number(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree<'t>, E> {
        Ok(Tree::Number(Cow::Owned(number.to_string())))
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Tree<'t>, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree<'t>, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut from: A) -> Result<Tree<'t>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut from: A) -> Result<Tree<'t>, A::Error> {
        let mut fields: Vec<(Cow<'t, str>, Tree<'t>)> = Vec::new();
        while let Some(Key(key)) = from.next_key()? {
            if key.starts_with(RESERVED) {
                let Digits(number) = from.next_value()?;
                return Ok(Tree::Number(Cow::Owned(number)));
            }
            fields.push((key, from.next_value()?));
        }
        // Stable, so that of equal keys the last stays last.
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        let repeated = fields.windows(2).any(|two| two[0].0 == two[1].0);
        if repeated {
            fields.reverse();
            fields.dedup_by(|(a, _), (b, _)| a == b);
            fields.reverse();
        }
        Ok(Tree::Object(Sorted { fields, repeated }))
    }
}

/// A key, borrowed from the text where it has no escapes.
struct Key<'t>(Cow<'t, str>);

impl<'t> Deserialize<'t> for Key<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Key<'t>, D::Error> {
        struct Reading;
        impl<'t> Visitor<'t> for Reading {
            type Value = Key<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'t str) -> Result<Key<'t>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'t>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(Reading)
    }
}

/// A number's digits. They arrive as an owned `String`; a string that stands in the text
/// does not, so an object that only looks like a number is refused.
struct Digits(String);

impl<'t> Deserialize<'t> for Digits {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Digits, D::Error> {
        struct Reading;
        impl Visitor<'_> for Reading {
            type Value = Digits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_str<E: de::Error>(self, _text: &str) -> Result<Digits, E> {
                Err(E::custom("reserved key"))
            }

            fn visit_string<E>(self, digits: String) -> Result<Digits, E> {
                Ok(Digits(digits))
            }
        }
        deserializer.deserialize_any(Reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_key_that_stands_twice_the_last_counts() {
        let tree = Tree::read(r#"{"b":1,"a":2,"b":3,"\u0062":4,"a":5}"#).unwrap();
        let View::Object(fields) = tree.view() else {
            panic!("no object");
        };
        let seen: Vec<_> = fields
            .each()
            .map(|(key, value)| (key, format!("{:?}", value.view())))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", "Number(\"5\")".to_string()),
                ("b", "Number(\"4\")".to_string())
            ]
        );
        assert!(fields.get("a").is_some() && fields.get("c").is_none());
    }

    #[test]
    fn an_object_that_looks_like_a_number_is_refused() {
        assert!(Tree::read(r#"{"a":{"$serde_json::private::Number":"1"}}"#).is_none());
        assert!(Tree::read(r#"{"$serde_json::private::RawValue":"1"}"#).is_none());
    }

    #[test]
    fn a_tree_is_plain_where_nothing_is_null_or_called_purge() {
        let plain = |text| Tree::read(text).unwrap().is_plain();
        assert!(plain(r#"{"a":[1,{"b":"purge"}],"c":{}}"#));
        for text in [
            r#"{"a":null}"#,
            r#"[[null]]"#,
            r#"{"a":[{"purge":false}]}"#,
            r#"{"\u0070urge":1}"#,
        ] {
            assert!(!plain(text), "{text}");
        }
    }
}
