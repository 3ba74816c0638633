//! Reads a rules file. Everything that is wrong in it is gathered before it is
//! told: an authority that changes the file should not have to mend it one fault
//! at a time.

mod build;
mod entries;

use std::fmt;

use serde_json::{Map, Value};

use super::tree::ObjectRules;
use crate::record::JsonKind;

/// What is wrong with a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesFault {
    faults: Vec<Fault>,
}

/// One thing that is wrong in a rules file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON Pointer into the file, e.g. `/fields/3/pattern`, or the line
    /// and column where the file is no JSON.
    pub place: String,
    /// What is wrong there, with the file's value.
    pub what: String,
}

impl RulesFault {
    /// Everything that is wrong, at least one thing, in the order of the file's
    /// sections.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for RulesFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len();
        let things = if count == 1 { "fault" } else { "faults" };
        write!(f, "the rules file has {count} {things}:")?;
        for fault in &self.faults {
            write!(f, "\n  {}: {}", fault.place, fault.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for RulesFault {}

/// Reads a rules file into the tree of a record.
pub(super) fn read(text: &str) -> Result<ObjectRules, RulesFault> {
    let file: Value = serde_json::from_str(text).map_err(|error| RulesFault {
        faults: vec![Fault {
            place: format!("line {}, column {}", error.line(), error.column()),
            what: format!("it is not JSON: {error}"),
        }],
    })?;
    let mut faults = Faults::default();
    let record = entries::read_file(&file, &mut faults);
    match record {
        Some(record) if faults.0.is_empty() => Ok(record),
        Some(_) | None => Err(RulesFault { faults: faults.0 }),
    }
}

/// The faults so far.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, place: &str, what: impl Into<String>) {
        self.0.push(Fault {
            place: match place {
                "" => "the file".to_owned(),
                place => place.to_owned(),
            },
            what: what.into(),
        });
    }
}

/// One object of the file, and where it is.
struct Entry<'f> {
    map: &'f Map<String, Value>,
    place: String,
}

impl<'f> Entry<'f> {
    /// The object at a place, with no other keys than these.
    fn open(
        value: &'f Value,
        place: String,
        known: &[&str],
        faults: &mut Faults,
    ) -> Option<Entry<'f>> {
        let Value::Object(map) = value else {
            faults.add(
                &place,
                format!("is {}, where an object belongs", JsonKind::of(value)),
            );
            return None;
        };
        let entry = Entry { map, place };
        entry.only(known, faults);
        Some(entry)
    }

    /// Faults every key that is none of these.
    fn only(&self, known: &[&str], faults: &mut Faults) {
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let known = known.join(", ");
            faults.add(
                &self.at(key),
                format!("is not known here; known are {known}"),
            );
        }
    }

    fn at(&self, key: &str) -> String {
        format!(
            "{}/{}",
            self.place,
            key.replace('~', "~0").replace('/', "~1")
        )
    }

    /// The value under a key, read by `read`; a fault where it is of another kind.
    fn get<T>(
        &self,
        key: &str,
        wanted: &str,
        faults: &mut Faults,
        read: impl FnOnce(&'f Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.map.get(key)?;
        let read = read(value);
        if read.is_none() {
            faults.add(
                &self.at(key),
                format!("is {}, where {wanted} belongs", JsonKind::of(value)),
            );
        }
        read
    }

    fn text(&self, key: &str, faults: &mut Faults) -> Option<&'f str> {
        self.get(key, "text", faults, Value::as_str)
    }

    /// A text that must be there.
    fn needed_text(&self, key: &str, faults: &mut Faults) -> Option<&'f str> {
        self.needed(key, faults);
        self.text(key, faults)
    }

    fn flag(&self, key: &str, faults: &mut Faults) -> bool {
        self.get(key, "true or false", faults, Value::as_bool)
            .unwrap_or(false)
    }

    fn count(&self, key: &str, faults: &mut Faults) -> Option<usize> {
        self.get(key, "a whole number from 0 on", faults, |value| {
            usize::try_from(value.as_u64()?).ok()
        })
    }

    fn whole(&self, key: &str, faults: &mut Faults) -> Option<i64> {
        self.get(key, "a whole number", faults, Value::as_i64)
    }

    fn texts(&self, key: &str, faults: &mut Faults) -> Vec<&'f str> {
        self.get(key, "a list of texts", faults, |value| {
            value.as_array()?.iter().map(Value::as_str).collect()
        })
        .unwrap_or_default()
    }

    /// A list's items with their places; none where it is absent.
    fn list(&self, key: &str, faults: &mut Faults) -> Vec<(&'f Value, String)> {
        let place = self.at(key);
        self.get(key, "a list", faults, Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, value)| (value, format!("{place}/{index}")))
            .collect()
    }

    fn needed(&self, key: &str, faults: &mut Faults) {
        if !self.map.contains_key(key) {
            faults.add(&self.place, format!("has no {key}"));
        }
    }
}
