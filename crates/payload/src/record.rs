//! A staged payload, read once: is it a record, whose is it, and what goes on
//! the wire.
//!
//! The text that goes on the wire is the staged text, byte for byte. It is
//! rebuilt only where it must be: the sender sends no nulls (`payload.md`), and
//! an object that names a key twice means one thing to one reader and another to
//! the next. Rebuilding copies keys, strings and numbers as they are spelled, so
//! `1.10` stays `1.10` and an escape stays an escape.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

use crate::shape;

/// The keys that name a child.
const LA_CHILD_ID: &str = "la_child_id";
const MIS_CHILD_ID: &str = "mis_child_id";
const PURGE: &str = "purge";

/// serde_json carries numbers and raw text through keys of its own; an object in
/// a payload with such a key would be taken for one of them and change its
/// meaning without a word.
const RESERVED: &str = "$serde_json::private::";
const NUMBER: &str = "$serde_json::private::Number";

/// From here on an object's keys are looked up in a set instead of one by one.
const MANY_KEYS: usize = 32;

/// A staged payload that can be a child's record: a JSON object with a
/// `la_child_id`. Whether the rest of it is right is for the rules to say.
///
/// Its `Debug` shows a length, nothing of the child.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    text: String,
    la_child_id: String,
    mis_child_id: Option<String>,
    purge: bool,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// Why a staged payload is no record, in words for an analyst. No variant holds
/// anything of the payload's text, so all of them may be logged and stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// There is nothing but white space.
    #[error("the payload is blank")]
    Blank,
    /// The text is not JSON.
    #[error("the payload is not JSON: {reason} (line {line}, column {column})")]
    NotJson {
        /// Line in the staged text, from 1.
        line: usize,
        /// Column in that line in characters, from 1; 0 before the first.
        column: usize,
        /// What is wrong there.
        reason: NotJson,
    },
    /// JSON, but no object.
    #[error("the payload is {found}, where one child's record, a JSON object, belongs")]
    NotAnObject {
        /// What it is instead.
        found: JsonKind,
    },
    /// No `la_child_id` (specification item 2, mandatory).
    #[error("the payload's la_child_id is {0}")]
    NoChildId(Missing),
    /// `la_child_id` is not a string (specification item 2).
    #[error("the payload's la_child_id is {found}, where text in quotes belongs")]
    ChildIdNotText {
        /// What it is instead.
        found: JsonKind,
    },
    /// `la_child_id` is there twice with two values: the receiver might file the
    /// record under the other one.
    #[error("the payload has la_child_id twice, with different values")]
    TwoChildIds,
    /// A key that the JSON library keeps for itself.
    #[error("the payload has a key that begins with `$serde_json::private::`, which is reserved")]
    ReservedKey,
}

/// What keeps a text from being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotJson {
    /// It ends too early, as a text does that a column has cut.
    EndsEarly,
    /// More text follows the record.
    GoesOn,
    /// A raw line break, tab or other control character inside a string.
    ControlCharacter,
    /// A backslash with something after it that JSON does not know, or half of a
    /// pair of surrogates.
    Escape,
    /// Nested more than 127 levels deep.
    TooDeep,
    /// Anything else: a comma, a colon or a quote missing or too many.
    Syntax,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotJson::EndsEarly => "it ends too early, as if it had been cut",
            NotJson::GoesOn => "more text follows after the record",
            NotJson::ControlCharacter => {
                "a line break, tab or other control character stands unescaped in a text"
            }
            NotJson::Escape => "a backslash is followed by something that JSON does not know",
            NotJson::TooDeep => "it is nested too deeply for a child's record",
            NotJson::Syntax => "a comma, colon, quote or bracket is missing or out of place",
        })
    }
}

/// How an identifier can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The key is not there.
    Absent,
    /// It is null.
    Null,
    /// It is text without a visible character.
    Blank,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::Absent => "absent",
            Missing::Null => "null",
            Missing::Blank => "blank",
        })
    }
}

/// The kinds of value that JSON has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JsonKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// Text in quotes.
    Text,
    /// A list in `[]`.
    Array,
    /// An object in `{}`.
    Object,
}

impl JsonKind {
    /// The kind of a value.
    pub fn of(value: &Value) -> JsonKind {
        match value {
            Value::Null => JsonKind::Null,
            Value::Bool(_) => JsonKind::Boolean,
            Value::Number(_) => JsonKind::Number,
            Value::String(_) => JsonKind::Text,
            Value::Array(_) => JsonKind::Array,
            Value::Object(_) => JsonKind::Object,
        }
    }
}

impl fmt::Display for JsonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JsonKind::Null => "null",
            JsonKind::Boolean => "true or false",
            JsonKind::Number => "a number",
            JsonKind::Text => "a text",
            JsonKind::Array => "an array",
            JsonKind::Object => "an object",
        })
    }
}

impl Record {
    /// Reads a staged payload. White space around it and a byte-order mark in
    /// front of it are not part of it.
    ///
    /// # Errors
    /// A [`RecordFault`]; whatever it says, it says without quoting the payload.
    pub fn parse(text: &str) -> Result<Record, RecordFault> {
        let trimmed = text.trim();
        let trimmed = trimmed.strip_prefix('\u{feff}').unwrap_or(trimmed).trim();
        if trimmed.is_empty() {
            return Err(RecordFault::Blank);
        }
        let mut scan = Scan::default();
        let found =
            scan_text(trimmed, &mut scan).map_err(|error| not_json(text, trimmed, &error))?;
        if found != JsonKind::Object {
            return Err(RecordFault::NotAnObject { found });
        }
        let la_child_id = match scan.la_child_id {
            None => Err(RecordFault::NoChildId(Missing::Absent)),
            Some(Met::Null) => Err(RecordFault::NoChildId(Missing::Null)),
            Some(Met::Text(id)) if id.trim().is_empty() => {
                Err(RecordFault::NoChildId(Missing::Blank))
            }
            Some(Met::Text(_)) if scan.two_child_ids => Err(RecordFault::TwoChildIds),
            Some(Met::Text(id)) => Ok(id.into_owned()),
            Some(met @ (Met::Bool(_) | Met::Number | Met::Array | Met::Object)) => {
                Err(RecordFault::ChildIdNotText { found: met.kind() })
            }
        }?;
        let mis_child_id = match scan.mis_child_id {
            Some(Met::Text(id)) => Some(id.into_owned()),
            Some(Met::Null | Met::Bool(_) | Met::Number | Met::Array | Met::Object) | None => None,
        };
        let purge = scan.purge;
        let text = if scan.rebuild {
            let mut rebuilt = String::with_capacity(trimmed.len());
            rebuild(trimmed, &mut rebuilt).map_err(|error| not_json(text, trimmed, &error))?;
            rebuilt
        } else {
            trimmed.to_owned()
        };
        Ok(Record {
            text,
            la_child_id,
            mis_child_id,
            purge,
        })
    }

    /// The child's identifier at the authority (specification item 2), as given.
    pub fn la_child_id(&self) -> &str {
        &self.la_child_id
    }

    /// The case system's own identifier, where the record has one that is text.
    pub fn mis_child_id(&self) -> Option<&str> {
        self.mis_child_id.as_deref()
    }

    /// Whether the record says `purge: true` about the whole child: whoever sends
    /// it deletes the child at the receiver.
    pub fn is_purge(&self) -> bool {
        self.purge
    }

    /// What goes on the wire: the staged text byte for byte, except that a text
    /// with nulls, or with a key twice in one object, is rebuilt without the
    /// nulls and with the last of the two.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As [`Record::text`], giving up the record.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The record as a value, for `diff`, `meaning` and the rules. Numbers keep
    /// their digits (only `E` becomes `e`) and keys their order.
    #[expect(clippy::expect_used, reason = "proved below")]
    pub fn value(&self) -> Value {
        // `parse` has walked through this text with the same deserializer and the
        // same limit of depth, and has refused the only keys that a `Value`
        // treats otherwise than the walk does.
        serde_json::from_str(&self.text).expect("a record's text is JSON")
    }

    /// The record's structure without any value: kinds, lengths in characters and
    /// counts, nested fields indented by two blanks, of an array's items the
    /// first. It can be shown to anybody who may know that the record exists.
    pub fn shape(&self) -> String {
        shape::of(&self.value())
    }
}

/// Says where and why a text is no JSON, in terms of the staged text. Of the
/// library's words only fixed ones are looked at, and none are passed on.
fn not_json(staged: &str, trimmed: &str, error: &serde_json::Error) -> RecordFault {
    let reason = match error.classify() {
        // Only the walk itself raises these, for a reserved key.
        serde_json::error::Category::Data => return RecordFault::ReservedKey,
        serde_json::error::Category::Eof => NotJson::EndsEarly,
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            let words = error.to_string();
            let says = |start: &str| words.starts_with(start);
            if says("control character") {
                NotJson::ControlCharacter
            } else if says("trailing characters") {
                NotJson::GoesOn
            } else if says("recursion limit") {
                NotJson::TooDeep
            } else if says("invalid escape")
                || says("lone leading surrogate")
                || says("unexpected end of hex escape")
                || says("invalid unicode")
            {
                NotJson::Escape
            } else {
                NotJson::Syntax
            }
        }
    };
    // The library counts bytes of the trimmed text; a person's editor counts
    // characters of the staged one.
    let start = trimmed.as_ptr().addr() - staged.as_ptr().addr();
    let line_start: usize = trimmed
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = (start + line_start + error.column()).min(staged.len());
    let before = String::from_utf8_lossy(&staged.as_bytes()[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    RecordFault::NotJson {
        line,
        column: column.chars().count(),
        reason,
    }
}

/// What one walk through a text finds out.
#[derive(Default)]
struct Scan<'t> {
    la_child_id: Option<Met<'t>>,
    mis_child_id: Option<Met<'t>>,
    two_child_ids: bool,
    purge: bool,
    /// There is a null, or a key twice in one object.
    rebuild: bool,
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
enum Met<'t> {
    Null,
    Bool(bool),
    Number,
    Text(Cow<'t, str>),
    Array,
    Object,
}

impl Met<'_> {
    fn kind(&self) -> JsonKind {
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

fn scan_text<'t>(text: &'t str, scan: &mut Scan<'t>) -> Result<JsonKind, serde_json::Error> {
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

/// Writes a value that has been walked through without its nulls, and with the
/// last of several equal keys.
fn rebuild(raw: &str, out: &mut String) -> Result<(), serde_json::Error> {
    match raw.as_bytes().first() {
        Some(b'{') => {
            out.push('{');
            let fields: RawFields<'_> = serde_json::from_str(raw)?;
            let mut first = true;
            for (key, value) in fields.0 {
                if value.get() == "null" {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                out.push_str(key.get());
                out.push(':');
                rebuild(value.get(), out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            out.push('[');
            let items: Vec<&RawValue> = serde_json::from_str(raw)?;
            let mut first = true;
            for item in items.into_iter().filter(|item| item.get() != "null") {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                rebuild(item.get(), out)?;
            }
            out.push(']');
        }
        Some(_) | None => out.push_str(raw),
    }
    Ok(())
}

/// An object's keys and values as they are spelled, each key once.
struct RawFields<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'t> de::Deserialize<'t> for RawFields<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'t> Visitor<'t> for Fields {
            type Value = RawFields<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<RawFields<'t>, A::Error> {
                let mut fields: Vec<(&RawValue, &RawValue)> = Vec::new();
                let mut places: HashMap<String, usize> = HashMap::new();
                while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
                    // Two spellings of one key are one key.
                    let name: String =
                        serde_json::from_str(key.get()).map_err(de::Error::custom)?;
                    match places.entry(name) {
                        std::collections::hash_map::Entry::Occupied(place) => {
                            fields[*place.get()].1 = value;
                        }
                        std::collections::hash_map::Entry::Vacant(place) => {
                            place.insert(fields.len());
                            fields.push((key, value));
                        }
                    }
                }
                Ok(RawFields(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests;
