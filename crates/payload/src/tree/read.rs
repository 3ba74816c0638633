//! Reads a text into [`Values`].

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{Entry, Held, Key, Values};
use crate::name::{COUNT, Known};

/// serde_json carries numbers and raw text through keys of its own.
const RESERVED: &str = "$serde_json::private::";

/// Stands for the purge flag among the keys of an object.
const PURGE_BIT: u64 = 1 << Known::PURGE.number();

/// Reads a whole text.
pub(super) fn read(text: &str) -> Result<Values, serde_json::Error> {
    let mut values = Values {
        // A record has fewer values than this, a text of another kind may have more.
        entries: Vec::with_capacity((text.len() / 16).min(1024)),
        others: Vec::new(),
        has_null: false,
        has_key_twice: false,
        has_purge: false,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    ValueOf {
        text,
        key: Key::NONE,
        values: &mut values,
    }
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(values)
}

/// The value of a key, put at the end of all values.
struct ValueOf<'r, 't> {
    text: &'t str,
    key: Key,
    values: &'r mut Values,
}

impl ValueOf<'_, '_> {
    fn is(self, held: Held) {
        self.values.entries.push(Entry {
            key: self.key,
            overridden: false,
            held,
        });
    }
}

impl<'t> DeserializeSeed<'t> for ValueOf<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for ValueOf<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.values.has_null = true;
        self.is(Held::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.is(Held::Bool(value));
        Ok(())
    }

    // Integers of up to 64 bits come as these, other numbers as a map.
    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.is(Held::Number(number.to_string().into()));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.is(Held::Number(number.to_string().into()));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<(), E> {
        // It is a part of the text.
        let at = text.as_ptr().addr() - self.text.as_ptr().addr();
        let bytes = text.len();
        self.is(Held::Text { at, bytes });
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.is(Held::Unescaped(text.into()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut from: A) -> Result<(), A::Error> {
        let ValueOf { text, key, values } = self;
        let at = values.entries.len();
        ValueOf { text, key, values }.is(Held::Array { parts: 0 });
        while from
            .next_element_seed(ValueOf {
                text,
                key: Key::NONE,
                values,
            })?
            .is_some()
        {}
        values.entries[at].held = Held::Array {
            parts: values.entries.len() - at - 1,
        };
        Ok(())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut from: A) -> Result<(), A::Error> {
        let ValueOf { text, key, values } = self;
        let at = values.entries.len();
        let fields = Held::Object {
            parts: 0,
            ordinary: false,
        };
        ValueOf { text, key, values }.is(fields);
        let mut seen = 0;
        let mut twice = false;
        let mut others = 0;
        while let Some(found) = from.next_key_seed(KeyIn(values))? {
            let Some(key) = found else {
                let Digits(digits) = from.next_value()?;
                values.entries.truncate(at);
                ValueOf {
                    text,
                    key: self.key,
                    values,
                }
                .is(Held::Number(digits.into()));
                return Ok(());
            };
            match key.known() {
                Some(known) => {
                    let bit = 1u64 << known.number();
                    twice |= seen & bit != 0;
                    seen |= bit;
                }
                None => others += 1,
            }
            from.next_value_seed(ValueOf { text, key, values })?;
        }
        let parts = values.entries.len() - at - 1;
        values.entries[at].held = Held::Object {
            parts,
            ordinary: others == 0 && !twice && parts <= usize::from(u16::MAX),
        };
        values.has_purge |= seen & PURGE_BIT != 0;
        if twice || others > 1 {
            values.override_fields(at);
        }
        Ok(())
    }
}

impl Values {
    /// Finds the values in the last object that do not count, since their key comes again.
    fn override_fields(&mut self, object: usize) {
        let mut places = Vec::new();
        let mut at = object + 1;
        while let Some(entry) = self.entries.get(at) {
            places.push(at);
            at += 1 + entry.held.parts();
        }
        let text = |at: &usize| self.text_of(self.entries[*at].key);
        // Sorting keeps the order of those that are equal.
        places.sort_by(|one, two| text(one).cmp(text(two)));
        let overridden: Vec<usize> = places
            .windows(2)
            .filter(|two| text(&two[0]) == text(&two[1]))
            .map(|two| two[0])
            .collect();
        for at in overridden {
            self.entries[at].overridden = true;
            self.has_key_twice = true;
        }
    }
}

/// A key; `None` where it is serde_json's own. One that is no known name is kept.
struct KeyIn<'r>(&'r mut Values);

impl<'t> DeserializeSeed<'t> for KeyIn<'_> {
    type Value = Option<Key>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Option<Key>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIn<'_> {
    type Value = Option<Key>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Option<Key>, E> {
        if let Some(known) = Known::of(key) {
            return Ok(Some(known.into()));
        }
        if key.starts_with(RESERVED) {
            return Ok(None);
        }
        let others = &mut self.0.others;
        let number = u32::try_from(COUNT + others.len());
        let number = number.map_err(|_| E::custom("more keys than can be counted"))?;
        others.push(key.into());
        Ok(Some(Key(number)))
    }
}

/// A number's digits. They arrive as an owned `String`; a string that stands in the text
/// does not, so an object that only looks like a number is refused.
struct Digits(String);

impl<'t> de::Deserialize<'t> for Digits {
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
