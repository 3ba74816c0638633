//! One row scrambled.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use jiff::civil::Date;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

use super::fields::{Field, Fields};
use super::ids::{Ids, fold};
use crate::fake::Codes;
use crate::fake::names::{FIRST_NAMES, SURNAMES};

/// A row of the table that is scrambled: a real child's. No `Debug`.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The column of that name.
    pub person_id: Option<&'a str>,
    /// The column of that name.
    pub legacy_id: Option<&'a str>,
    /// The payload, which may be anything.
    pub payload: &'a str,
}

/// What was made of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Scrambled {
    /// For the column of that name.
    pub person_id: Option<String>,
    /// For the column of that name.
    pub legacy_id: Option<String>,
    /// The record.
    pub payload: Value,
}

/// Why a row is not scrambled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its payload is no JSON object.
    NoRecord,
    /// It has an identifier that was not met when the table was gone through.
    UnknownId,
}

/// Whoever scrambles rows. What is made is checked, whoever makes it.
pub trait Scramble: Send + Sync {
    /// Scrambles a row.
    ///
    /// # Errors
    /// An [`Unfit`].
    fn scramble(&self, row: &Source<'_>, ids: &Ids) -> Result<Scrambled, Unfit>;
}

/// How many days earlier a child's dates become, at least and at most: about a month to
/// three years. Never later, so that nothing lies in the future that did not before.
pub(super) const DAYS_EARLIER: std::ops::RangeInclusive<i64> = 31..=1125;

/// What a date becomes that is none, or lies in no century that a child's record is about.
pub(super) const NO_DATE: &str = "unreadable";

/// The calendar's years in which a date is taken for one.
const YEARS: std::ops::RangeInclusive<i16> = 1900..=2199;

/// The program's own scrambler.
///
/// | field | becomes |
/// | --- | --- |
/// | identifier | what [`Ids`] has for it |
/// | UPN | the same, with a right check letter and an authority that there is not |
/// | date | some days earlier, as many for all of the child's; [`NO_DATE`] if it is none |
/// | first name, surname | an invented one |
/// | postcode | one in `ZZ99`, which is never assigned; the same for the same |
/// | code, list of codes | others of its code set, as many |
/// | flag | drawn; true where a date beside it needs it |
/// | score | drawn from 0 to 40 |
/// | `purge` | stays |
/// | null, or a blank text | stays |
/// | a block or list of another kind, and all that the specification does not have | is left out |
pub struct Scrambler {
    codes: Codes,
}

impl Scrambler {
    /// With the specification's code sets.
    pub fn new() -> Scrambler {
        Scrambler {
            codes: Codes::embedded(),
        }
    }
}

impl Default for Scrambler {
    fn default() -> Self {
        Scrambler::new()
    }
}

impl Scramble for Scrambler {
    fn scramble(&self, row: &Source<'_>, ids: &Ids) -> Result<Scrambled, Unfit> {
        let Ok(Value::Object(record)) = serde_json::from_str(row.payload) else {
            return Err(Unfit::NoRecord);
        };
        let mut rng = ChaCha8Rng::from_seed(ids.seed(row.payload.as_bytes()));
        let mut child = Child {
            days: rng.random_range(DAYS_EARLIER),
            rng,
            codes: &self.codes,
            ids,
            names: name_words(&record),
            postcodes: Vec::new(),
        };
        let payload = child.object(Fields::of_record(), &record)?;
        let column = |id: Option<&str>| id.map(|id| child.id(id)).transpose();
        Ok(Scrambled {
            person_id: column(row.person_id)?,
            legacy_id: column(row.legacy_id)?,
            payload,
        })
    }
}

/// One child while it is scrambled.
struct Child<'a> {
    rng: ChaCha8Rng,
    codes: &'a Codes,
    ids: &'a Ids,
    days: i64,
    /// The words of its names, which no name of its new ones has.
    names: BTreeSet<String>,
    /// Its postcodes, and what they became.
    postcodes: Vec<(String, String)>,
}

impl Child<'_> {
    fn object(&mut self, fields: &Fields, source: &Map<String, Value>) -> Result<Value, Unfit> {
        let mut made = Map::new();
        for (name, value) in source {
            let Some(field) = fields.get(name) else {
                continue;
            };
            if let Some(value) = self.field(name, field, value, source)? {
                made.insert(name.clone(), value);
            }
        }
        Ok(Value::Object(made))
    }

    fn field(
        &mut self,
        name: &str,
        field: &Field,
        value: &Value,
        beside: &Map<String, Value>,
    ) -> Result<Option<Value>, Unfit> {
        if value.is_null() {
            return Ok(Some(Value::Null));
        }
        let text = text_of(value);
        if is_one_value(field) && text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            return Ok(Some("".into()));
        }
        let text = text.unwrap_or_default();
        let made: Value = match field {
            Field::Id if text.is_empty() => return Ok(None),
            Field::Id => self.id(&text)?.into(),
            Field::Upn if text.is_empty() => return Ok(None),
            Field::Upn => self.ids.upn(&text).ok_or(Unfit::UnknownId)?.into(),
            Field::FirstName => self.name(FIRST_NAMES).into(),
            Field::Surname => self.name(SURNAMES).into(),
            Field::Date => match date(&text) {
                Some(date) => earlier(date, self.days).to_string().into(),
                None => NO_DATE.into(),
            },
            Field::Postcode => self.postcode(&text).into(),
            Field::Code(set) => self.some_codes(set, 1).pop().into(),
            Field::Codes(set) => {
                let count = value.as_array().map_or(1, Vec::len);
                self.some_codes(set, count).into()
            }
            Field::Flag => {
                let needed = match name {
                    "uasc_flag" => "uasc_end_date",
                    "icpc_required_flag" => "icpc_date",
                    _ => "",
                };
                (beside.contains_key(needed) || self.rng.random()).into()
            }
            Field::Purge => match value {
                Value::Bool(purge) => (*purge).into(),
                _ => return Ok(None),
            },
            Field::Score => self.rng.random_range(0..=40).into(),
            Field::Block(fields) => match value {
                Value::Object(source) => self.object(fields, source)?,
                _ => return Ok(None),
            },
            Field::Items(fields) => match value {
                Value::Array(items) => items
                    .iter()
                    .filter_map(Value::as_object)
                    .map(|source| self.object(fields, source))
                    .collect::<Result<_, _>>()?,
                _ => return Ok(None),
            },
        };
        Ok(Some(made))
    }

    fn id(&self, id: &str) -> Result<String, Unfit> {
        self.ids.id(id).ok_or(Unfit::UnknownId)
    }

    /// One of these names that has no word of the child's own, and is no identifier;
    /// letters that are no name where they all have.
    fn name(&mut self, from: &[&str]) -> String {
        let fits = |name: &str| {
            words(name).all(|word| !self.names.contains(&word)) && !self.ids.stand_in(name)
        };
        let mut names = from.to_vec();
        names.shuffle(&mut self.rng);
        match names.into_iter().find(|name| fits(name)) {
            Some(name) => name.to_owned(),
            None => {
                let letters = (0..12).map(|_| char::from(self.rng.random_range(b'a'..=b'z')));
                format!("Fake{}", letters.collect::<String>())
            }
        }
    }

    fn postcode(&mut self, postcode: &str) -> String {
        let postcode = fold(postcode);
        if let Some((_, made)) = self
            .postcodes
            .iter()
            .find(|(source, _)| *source == postcode)
        {
            return made.clone();
        }
        loop {
            let mut letter = || char::from(self.rng.random_range(b'A'..=b'Z'));
            let letters = [letter(), letter()];
            let digit = self.rng.random_range(0..10);
            let made = format!("ZZ99 {digit}{}{}", letters[0], letters[1]);
            if fold(&made) != postcode {
                self.postcodes.push((postcode, made.clone()));
                return made;
            }
        }
    }

    /// So many different codes of a set, or all that it has; NONE only alone.
    fn some_codes(&mut self, set: &str, count: usize) -> Vec<String> {
        let mut codes = self.codes.of(set);
        if count > 1 {
            codes.retain(|code| *code != "NONE");
        }
        let some = codes.sample(&mut self.rng, count);
        some.map(|code| (*code).to_owned()).collect()
    }
}

/// Whether a field holds one value, which may be blank.
fn is_one_value(field: &Field) -> bool {
    match field {
        Field::Id
        | Field::Upn
        | Field::FirstName
        | Field::Surname
        | Field::Date
        | Field::Postcode
        | Field::Code(_) => true,
        Field::Codes(_)
        | Field::Flag
        | Field::Purge
        | Field::Score
        | Field::Block(_)
        | Field::Items(_) => false,
    }
}

/// A text, or a number as it is spelled; `None` for anything else.
pub(super) fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.as_str().to_owned()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A date as the specification writes it, in years that a record may be about.
pub(super) fn date(text: &str) -> Option<Date> {
    let date: Date = text.parse().ok()?;
    (YEARS.contains(&date.year()) && date.to_string() == text).then_some(date)
}

fn earlier(date: Date, days: i64) -> Date {
    date.saturating_sub(days.days())
}

/// The words of a text, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// The words of a record's names.
pub(super) fn name_words(record: &Map<String, Value>) -> BTreeSet<String> {
    let details = record.get("child_details").and_then(Value::as_object);
    let names = details.into_iter().flat_map(|details| {
        ["first_name", "surname"]
            .into_iter()
            .filter_map(|name| text_of(details.get(name)?))
    });
    names
        .flat_map(|name| words(&name).collect::<Vec<_>>())
        .collect()
}
