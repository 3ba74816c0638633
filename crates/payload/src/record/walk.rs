//! One walk through a text, which builds nothing.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::JsonKind;

/// The keys that name a child.
pub(super) const LA_CHILD_ID: &str = "la_child_id";
pub(super) const MIS_CHILD_ID: &str = "mis_child_id";
const PURGE: &str = "purge";

/// serde_json carries numbers and raw text through keys of its own; an object in
/// a payload with such a key would be taken for one of them and change its
/// meaning without a word.
const RESERVED: &str = "$serde_json::private::";
const NUMBER: &str = "$serde_json::private::Number";

/// From here on an object's keys are looked up in a set instead of one by one.
const MANY_KEYS: usize = 32;

/// What one walk through a text finds out.
#[derive(Default)]
pub(super) struct Scan<'t> {
    pub(super) la_child_id: Option<Met<'t>>,
    pub(super) mis_child_id: Option<Met<'t>>,
    pub(super) two_child_ids: bool,
    pub(super) purge: bool,
    /// There is a null, or a key twice in one object.
    pub(super) rebuild: bool,
    /// The keys of the objects that are open, innermost last: one vector for all
    /// of them, so that an object costs no allocation.
    keys: Vec<Cow<'t, str>>,
}

impl<'t> Scan<'t> {
    /// Notes a field of the record itself; of a key that is there twice, the last
    /// counts, as it does in a `Value`.
    fn note(&mut self, key: &str, met: Met<'t>) {
        match key {
            LA_CHILD_ID => {
                if let (Some(Met::Text(first)), Met::Text(second)) = (&self.la_child_id, &met) {
                    self.two_child_ids |= first != second;
                }
                self.la_child_id = Some(met);
            }
            MIS_CHILD_ID => self.mis_child_id = Some(met),
            PURGE => self.purge = matches!(met, Met::Bool(true)),
            _ => {}
        }
    }
}

/// A value that the walk has met: its kind, and its text where it is one.
pub(super) enum Met<'t> {
    Null,
    Bool(bool),
    Number,
    Text(Cow<'t, str>),
    Array,
    Object,
}

impl Met<'_> {
    pub(super) fn kind(&self) -> JsonKind {
        match self {
            Met::Null => JsonKind::Null,
            Met::Bool(_) => JsonKind::Boolean,
            Met::Number => JsonKind::Number,
            Met::Text(_) => JsonKind::Text,
            Met::Array => JsonKind::Array,
            Met::Object => JsonKind::Object,
        }
    }
}

/// Walks through a whole text.
pub(super) fn scan_text<'t>(
    text: &'t str,
    scan: &mut Scan<'t>,
) -> Result<JsonKind, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let met = Walk { scan, top: true }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(met.kind())
}

/// Walks through one value without building it.
struct Walk<'s, 't> {
    scan: &'s mut Scan<'t>,
    top: bool,
}

impl<'t> DeserializeSeed<'t> for Walk<'_, 't> {
    type Value = Met<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Met<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Walk<'_, 't> {
    type Value = Met<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Met<'t>, E> {
        self.scan.rebuild = true;
        Ok(Met::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Met<'t>, E> {
        Ok(Met::Bool(value))
    }

    // Integers of up to 64 bits come as these, other numbers as a map.
    fn visit_u64<E>(self, _number: u64) -> Result<Met<'t>, E> {
        Ok(Met::Number)
    }

    fn visit_i64<E>(self, _number: i64) -> Result<Met<'t>, E> {
        Ok(Met::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Met<'t>, E> {
        Ok(Met::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Met<'t>, E> {
        Ok(Met::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut items: A) -> Result<Met<'t>, A::Error> {
        while items
            .next_element_seed(Walk {
                scan: &mut *self.scan,
                top: false,
            })?
            .is_some()
        {}
        Ok(Met::Array)
    }

    fn visit_map<A: MapAccess<'t>>(self, mut fields: A) -> Result<Met<'t>, A::Error> {
        let scan = self.scan;
        let start = scan.keys.len();
        let mut many: Option<HashSet<Cow<'t, str>>> = None;
        while let Some(key) = fields.next_key_seed(Key)? {
            if key.starts_with(RESERVED) {
                if key == NUMBER && scan.keys.len() == start {
                    fields.next_value_seed(NumberText)?;
                    return Ok(Met::Number);
                }
                return Err(de::Error::custom("reserved key"));
            }
            let twice = match &mut many {
                Some(seen) => !seen.insert(key.clone()),
                None => {
                    let open = &scan.keys[start..];
                    let twice = open.contains(&key);
                    if open.len() == MANY_KEYS {
                        let mut seen: HashSet<_> = open.iter().cloned().collect();
                        seen.insert(key.clone());
                        many = Some(seen);
                    }
                    twice
                }
            };
            scan.rebuild |= twice;
            scan.keys.push(key);
            let at = scan.keys.len() - 1;
            let met = fields.next_value_seed(Walk {
                scan: &mut *scan,
                top: false,
            })?;
            if self.top {
                let key = scan.keys[at].clone();
                scan.note(&key, met);
            }
        }
        scan.keys.truncate(start);
        Ok(Met::Object)
    }
}

/// A key, borrowed from the text where it has no escapes.
struct Key;

impl<'t> DeserializeSeed<'t> for Key {
    type Value = Cow<'t, str>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Cow<'t, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Key {
    type Value = Cow<'t, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'t str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'t, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

/// The value behind serde_json's own key for a number. Such a number's digits
/// arrive as an owned `String`; a string that stands in the text does not, so an object
/// that only looks like a number is refused here, and a test holds that.
struct NumberText;

impl<'t> DeserializeSeed<'t> for NumberText {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for NumberText {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_str<E: de::Error>(self, _text: &str) -> Result<(), E> {
        Err(E::custom("reserved key"))
    }

    fn visit_string<E>(self, _digits: String) -> Result<(), E> {
        Ok(())
    }
}
