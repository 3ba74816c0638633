//! What was scrambled, held against its source: child by child, field by field.
//!
//! It knows what may stand in a scrambled record, and takes nobody's word for it: every
//! value must be of the closed list for its field, no identifier, UPN, name, postcode or
//! date may be what it was, all dates must have moved by the same number of days, and no
//! identifier or UPN of any child of the source may stand in it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::OnceLock;

use jiff::Unit;
use serde_json::{Map, Value};

use super::fields::{Field, Fields};
use super::ids::{Ids, fold};
use super::record::{DAYS_EARLIER, NO_DATE, Scrambled, Source, date, name_words, text_of, words};
use super::upn;
use crate::fake::Codes;
use crate::fake::names::{FIRST_NAMES, SURNAMES};

/// What is the matter with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// It still is what it was, or has a word of it.
    AsItWas,
    /// It is none of the values that may stand there.
    NotInvented,
    /// An identifier or UPN of some child of the source stands in it.
    HoldsAnId,
    /// It is replaced by something else here than elsewhere.
    Inconsistent,
    /// It has moved by another number of days than the child's other dates, or too far.
    Moved,
    /// It is missing, or has another number of items.
    Incomplete,
    /// Nothing may stand there.
    Foreign,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::AsItWas => "still what it was",
            Doubt::NotInvented => "none of the values that may stand there",
            Doubt::HoldsAnId => "holds an identifier of the source",
            Doubt::Inconsistent => "replaced by something else than elsewhere",
            Doubt::Moved => "moved otherwise than the child's other dates",
            Doubt::Incomplete => "not complete",
            Doubt::Foreign => "not of the specification",
        })
    }
}

/// A field that is in doubt. Nothing in it is a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doubtful {
    /// What is the matter.
    pub doubt: Doubt,
    /// Where: the specification's path, or `(unknown)` for what it doesn't have.
    pub path: String,
}

/// The specification's code sets, read once.
fn codes() -> &'static Codes {
    static CODES: OnceLock<Codes> = OnceLock::new();
    CODES.get_or_init(Codes::embedded)
}

/// Everything that is in doubt; nothing where a row is as it should be.
pub fn check(source: &Source<'_>, made: &Scrambled, ids: &Ids) -> Vec<Doubtful> {
    let record = match serde_json::from_str(source.payload) {
        Ok(Value::Object(record)) => record,
        Ok(_) | Err(_) => Map::new(),
    };
    let mut checking = Checking {
        ids,
        codes: codes(),
        names: name_words(&record),
        days: None,
        doubts: Vec::new(),
    };
    checking.column("person_id", source.person_id, made.person_id.as_deref());
    checking.column("legacy_id", source.legacy_id, made.legacy_id.as_deref());
    match &made.payload {
        Value::Object(made) => checking.object("", Fields::of_record(), &record, made),
        _ => checking.doubt(Doubt::Foreign, "(unknown)"),
    }
    checking.doubts
}

struct Checking<'a> {
    ids: &'a Ids,
    codes: &'static Codes,
    names: BTreeSet<String>,
    /// How many days earlier the first of the child's dates has become.
    days: Option<i64>,
    doubts: Vec<Doubtful>,
}

impl Checking<'_> {
    fn doubt(&mut self, doubt: Doubt, path: &str) {
        self.doubts.push(Doubtful {
            doubt,
            path: path.to_owned(),
        });
    }

    fn column(&mut self, name: &str, source: Option<&str>, made: Option<&str>) {
        match (source, made) {
            (None, None) => {}
            (Some(source), Some(made)) => self.id(name, source, made),
            (Some(_), None) => self.doubt(Doubt::Incomplete, name),
            (None, Some(_)) => self.doubt(Doubt::Foreign, name),
        }
    }

    fn id(&mut self, path: &str, source: &str, made: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric();
        if source.trim().is_empty() {
            if !made.is_empty() {
                self.doubt(Doubt::Foreign, path);
            }
        } else if fold(source) == fold(made) {
            self.doubt(Doubt::AsItWas, path);
        } else if made.is_empty() || !made.chars().all(plain) {
            self.doubt(Doubt::NotInvented, path);
        } else if self.ids.stand_in(made) {
            self.doubt(Doubt::HoldsAnId, path);
        } else if self.ids.id(source).as_deref() != Some(made) {
            self.doubt(Doubt::Inconsistent, path);
        }
    }

    fn object(
        &mut self,
        path: &str,
        fields: &Fields,
        source: &Map<String, Value>,
        made: &Map<String, Value>,
    ) {
        for name in made.keys() {
            if fields.get(name).is_none() {
                self.doubt(Doubt::Foreign, "(unknown)");
            }
        }
        for (name, field) in fields.iter() {
            let path = match path {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            match (source.get(name), made.get(name)) {
                (None, None) => {}
                (Some(source), None) if may_be_left_out(field, source) => {}
                (Some(_), None) => self.doubt(Doubt::Incomplete, &path),
                (None, Some(_)) => self.doubt(Doubt::Foreign, &path),
                (Some(source), Some(made)) => self.field(&path, field, source, made),
            }
        }
    }

    fn field(&mut self, path: &str, field: &Field, source: &Value, made: &Value) {
        if source.is_null() || made.is_null() {
            if source != made {
                self.doubt(Doubt::Incomplete, path);
            }
            return;
        }
        match (field, made) {
            (Field::Block(fields), Value::Object(made)) => match source {
                Value::Object(source) => self.object(path, fields, source, made),
                _ => self.doubt(Doubt::Foreign, path),
            },
            (Field::Items(fields), Value::Array(made)) => self.items(path, fields, source, made),
            (Field::Codes(set), Value::Array(made)) => self.list(path, set, source, made),
            (Field::Flag, Value::Bool(_)) => {}
            (Field::Purge, Value::Bool(_)) => {
                if source != made {
                    self.doubt(Doubt::NotInvented, path);
                }
            }
            (Field::Score, Value::Number(score)) => {
                if score.as_u64().is_none_or(|score| score > 40) {
                    self.doubt(Doubt::NotInvented, path);
                }
            }
            (_, Value::String(made)) => {
                // What is no text becomes one that has nothing of it.
                let source = text_of(source).unwrap_or_else(|| "(no text)".to_owned());
                self.text(path, field, &source, made);
            }
            (_, _) => self.doubt(Doubt::NotInvented, path),
        }
    }

    fn items(&mut self, path: &str, fields: &Fields, source: &Value, made: &[Value]) {
        let source: Vec<&Map<String, Value>> = source
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .collect();
        if source.len() != made.len() {
            self.doubt(Doubt::Incomplete, path);
        }
        let path = format!("{path}[]");
        for (source, made) in source.into_iter().zip(made) {
            match made {
                Value::Object(made) => self.object(&path, fields, source, made),
                _ => self.doubt(Doubt::NotInvented, &path),
            }
        }
    }

    fn list(&mut self, path: &str, set: &str, source: &Value, made: &[Value]) {
        let codes = self.codes.of(set);
        let all_known = made
            .iter()
            .all(|code| code.as_str().is_some_and(|code| codes.contains(&code)));
        let asked = source.as_array().map_or(1, Vec::len);
        let most = codes.len() - usize::from(codes.contains(&"NONE") && asked > 1);
        if !all_known {
            self.doubt(Doubt::NotInvented, path);
        } else if made.len() != asked.min(most) {
            self.doubt(Doubt::Incomplete, path);
        }
    }

    fn text(&mut self, path: &str, field: &Field, source: &str, made: &str) {
        if source.trim().is_empty() {
            if !made.is_empty() {
                self.doubt(Doubt::Foreign, path);
            }
            return;
        }
        match field {
            Field::Id => self.id(path, source, made),
            Field::Upn => {
                if fold(source) == fold(made) {
                    self.doubt(Doubt::AsItWas, path);
                } else if !upn::is_of_nobody(made) {
                    self.doubt(Doubt::NotInvented, path);
                } else if self.ids.stand_in(made) {
                    self.doubt(Doubt::HoldsAnId, path);
                } else if self.ids.upn(source).as_deref() != Some(made) {
                    self.doubt(Doubt::Inconsistent, path);
                }
            }
            Field::FirstName => self.name(path, FIRST_NAMES, made),
            Field::Surname => self.name(path, SURNAMES, made),
            Field::Postcode => {
                if fold(source) == fold(made) {
                    self.doubt(Doubt::AsItWas, path);
                } else if !is_nowhere(made) {
                    self.doubt(Doubt::NotInvented, path);
                }
            }
            Field::Date => self.date(path, source, made),
            Field::Code(set) => {
                if !self.codes.of(set).contains(&made) {
                    self.doubt(Doubt::NotInvented, path);
                }
            }
            Field::Codes(_)
            | Field::Flag
            | Field::Purge
            | Field::Score
            | Field::Block(_)
            | Field::Items(_) => self.doubt(Doubt::NotInvented, path),
        }
    }

    fn name(&mut self, path: &str, invented: &[&str], made: &str) {
        let letters = made.strip_prefix("Fake").unwrap_or_default();
        let no_name = letters.len() == 12 && letters.bytes().all(|b| b.is_ascii_lowercase());
        if words(made).any(|word| self.names.contains(&word)) {
            self.doubt(Doubt::AsItWas, path);
        } else if !invented.contains(&made) && !no_name {
            self.doubt(Doubt::NotInvented, path);
        } else if self.ids.stand_in(made) {
            self.doubt(Doubt::HoldsAnId, path);
        }
    }

    fn date(&mut self, path: &str, source: &str, made: &str) {
        let (source, made) = match (date(source), made) {
            (None, NO_DATE) => return,
            (None, _) => return self.doubt(Doubt::NotInvented, path),
            (Some(source), made) => match made.parse::<jiff::civil::Date>() {
                Ok(date) if date.to_string() == made => (source, date),
                Ok(_) | Err(_) => return self.doubt(Doubt::NotInvented, path),
            },
        };
        let days = made.until((Unit::Day, source));
        let days = days.map_or(0, |span| i64::from(span.get_days()));
        if days == 0 {
            self.doubt(Doubt::AsItWas, path);
        } else if !DAYS_EARLIER.contains(&days) || *self.days.get_or_insert(days) != days {
            self.doubt(Doubt::Moved, path);
        }
    }
}

/// Whether a field may be missing though its source has something: something of another
/// kind, of which nothing can be kept.
fn may_be_left_out(field: &Field, source: &Value) -> bool {
    match field {
        Field::Id | Field::Upn => text_of(source).is_none() && !source.is_null(),
        Field::Purge => !source.is_boolean() && !source.is_null(),
        Field::Block(_) => !source.is_object() && !source.is_null(),
        Field::Items(_) => !source.is_array() && !source.is_null(),
        Field::FirstName
        | Field::Surname
        | Field::Date
        | Field::Postcode
        | Field::Code(_)
        | Field::Codes(_)
        | Field::Flag
        | Field::Score => false,
    }
}

/// Whether a postcode is one of `ZZ99`, which is never assigned.
fn is_nowhere(postcode: &str) -> bool {
    match postcode.strip_prefix("ZZ99 ").map(str::as_bytes) {
        Some([digit, letters @ ..]) => {
            digit.is_ascii_digit()
                && letters.len() == 2
                && letters.iter().all(u8::is_ascii_uppercase)
        }
        Some([]) | None => false,
    }
}
