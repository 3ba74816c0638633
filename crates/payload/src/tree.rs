//! A record read into a tree that borrows from its text: a third of the cost of a
//! `Value`, for what only needs to be looked at.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::ids::PURGE;
use crate::node::{Fields, Node, View};
use crate::record::JsonKind;

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
    Object(Object<'t>),
}

/// An object's fields; of a key that is there twice the last one counts, as in a `Value`.
#[derive(Debug)]
pub(crate) struct Object<'t> {
    /// All of them, in the text's order.
    fields: Vec<(Cow<'t, str>, Tree<'t>)>,
    /// Where a key is there twice: the places of the fields that count, in order.
    counting: Option<Box<[usize]>>,
}

/// Fewer fields than these are told apart by a look at each other.
const FEW: usize = 24;

impl<'t> Object<'t> {
    fn of(fields: Vec<(Cow<'t, str>, Tree<'t>)>) -> Object<'t> {
        let counting = has_key_twice(&fields).then(|| {
            let last: HashMap<&str, usize> = fields
                .iter()
                .enumerate()
                .map(|(at, (key, _))| (&**key, at))
                .collect();
            let mut places: Vec<usize> = last.into_values().collect();
            places.sort_unstable();
            places.into_boxed_slice()
        });
        Object { fields, counting }
    }

    /// All fields in the text's order, also those that do not count since their key comes
    /// again.
    pub(crate) fn every(&self) -> impl Iterator<Item = (&str, &Tree<'t>)> {
        self.fields.iter().map(|(key, value)| (&**key, value))
    }

    fn has_key_twice(&self) -> bool {
        self.counting.is_some()
    }
}

fn has_key_twice(fields: &[(Cow<'_, str>, Tree<'_>)]) -> bool {
    if fields.len() > FEW {
        let keys: HashSet<&str> = fields.iter().map(|(key, _)| &**key).collect();
        return keys.len() < fields.len();
    }
    // Keys that differ in these are different: only the others are compared.
    let mut seen = 0u64;
    fields.iter().enumerate().any(|(at, (key, _))| {
        let bytes = key.as_bytes();
        let sign = bytes.len()
            ^ bytes.first().map_or(0, |first| usize::from(*first) << 2)
            ^ bytes.last().map_or(0, |last| usize::from(*last) << 1)
            ^ bytes
                .get(bytes.len() / 2)
                .map_or(0, |middle| usize::from(*middle) << 3);
        let bit = 1 << (sign % 64);
        let maybe = seen & bit != 0;
        seen |= bit;
        maybe && fields[..at].iter().any(|(before, _)| before == key)
    })
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
                .each()
                .all(|(key, value)| key != PURGE && value.is_plain()),
        }
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> JsonKind {
        match self {
            Tree::Null => JsonKind::Null,
            Tree::Bool(_) => JsonKind::Boolean,
            Tree::Number(_) => JsonKind::Number,
            Tree::Text(_) => JsonKind::Text,
            Tree::Array(_) => JsonKind::Array,
            Tree::Object(_) => JsonKind::Object,
        }
    }

    /// Whether the text can go as it is: no null, and no key twice in one object.
    pub(crate) fn is_sendable(&self) -> bool {
        match self {
            Tree::Null => false,
            Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => true,
            Tree::Array(items) => items.iter().all(Tree::is_sendable),
            Tree::Object(object) => {
                !object.has_key_twice()
                    && object.fields.iter().all(|(_, value)| value.is_sendable())
            }
        }
    }
}

impl<'t> Node for Tree<'t> {
    type Object = Object<'t>;

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

impl<'t> Fields for Object<'t> {
    type Node = Tree<'t>;

    fn get(&self, key: &str) -> Option<&Tree<'t>> {
        let mut from_the_end = self.fields.iter().rev();
        from_the_end
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    fn each(&self) -> impl Iterator<Item = (&str, &Tree<'t>)> {
        let counting = self.counting.as_deref();
        let counts = move |at| counting.is_none_or(|places| places.binary_search(&at).is_ok());
        self.every()
            .enumerate()
            .filter(move |(at, _)| counts(*at))
            .map(|(_, field)| field)
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
        // The specification's largest object has 16.
        let mut fields: Vec<(Cow<'t, str>, Tree<'t>)> = Vec::with_capacity(16);
        while let Some(Key(key)) = from.next_key()? {
            if key.starts_with(RESERVED) {
                let Digits(number) = from.next_value()?;
                return Ok(Tree::Number(Cow::Owned(number)));
            }
            fields.push((key, from.next_value()?));
        }
        Ok(Tree::Object(Object::of(fields)))
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
    use std::collections::BTreeSet;

    use proptest::prelude::*;

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
                ("b", "Number(\"4\")".to_string()),
                ("a", "Number(\"5\")".to_string())
            ]
        );
        assert!(matches!(fields.get("b"), Some(Tree::Number(four)) if four == "4"));
        assert!(fields.get("c").is_none());
        let every: Vec<_> = fields.every().map(|(key, _)| key).collect();
        assert_eq!(every, ["b", "a", "b", "b", "a"]);
    }

    proptest! {
        #[test]
        fn a_key_that_stands_twice_is_found_among_few_and_many(
            keys in prop::collection::vec("[ab_]{0,4}", 0..40),
        ) {
            let fields = keys.iter().map(|key| (Cow::Borrowed(key.as_str()), Tree::Null));
            let object = Object::of(fields.collect());
            let different: BTreeSet<&String> = keys.iter().collect();
            prop_assert_eq!(object.has_key_twice(), different.len() < keys.len());
            prop_assert_eq!(object.each().count(), different.len());
        }
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
