//! The specification's fields by what is to become of them, read from
//! `payload-fields.csv`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What a field holds.
#[derive(Debug)]
pub(super) enum Field {
    /// An identifier.
    Id,
    /// A unique pupil number.
    Upn,
    /// A first name.
    FirstName,
    /// A surname.
    Surname,
    /// A date.
    Date,
    /// A postcode.
    Postcode,
    /// A code of this set.
    Code(String),
    /// A list of codes of this set.
    Codes(String),
    /// True or false.
    Flag,
    /// `purge`: a word to the receiver, not about the child.
    Purge,
    /// A score from 0 to 40.
    Score,
    /// An object.
    Block(Fields),
    /// A list of objects.
    Items(Fields),
}

/// The fields of an object, by name.
#[derive(Debug, Default)]
pub(super) struct Fields(BTreeMap<String, Field>);

impl Fields {
    /// A record's fields.
    pub(super) fn of_record() -> &'static Fields {
        static FIELDS: OnceLock<Fields> = OnceLock::new();
        FIELDS.get_or_init(|| {
            let mut record = Fields::default();
            for line in include_str!("../../data/payload-fields.csv")
                .lines()
                .skip(1)
            {
                record.read(line);
            }
            record
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Field> {
        self.0.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.0.iter().map(|(name, field)| (name.as_str(), field))
    }

    /// A line: number, path, type, mandatory, rule, code set, return. Only the rule has
    /// commas in it. A line that says nothing known adds no field: what it is about is
    /// left out of what is scrambled.
    fn read(&mut self, line: &str) {
        let mut cells = line.splitn(4, ',');
        let (path, kind) = (cells.nth(1), cells.next());
        let set = line.rsplit(',').nth(1);
        let (Some(path), Some(kind), Some(set)) = (path, kind, set) else {
            return;
        };
        let (block, name) = path.rsplit_once('.').unwrap_or(("", path));
        if let Some(field) = Field::of(name, kind, set) {
            let block = self.block(block);
            block.0.insert(name.to_owned(), field);
        }
    }

    /// The object at a path, made where it is not there yet.
    fn block(&mut self, path: &str) -> &mut Fields {
        let mut at = self;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let (name, new) = match part.strip_suffix("[]") {
                Some(name) => (name, Field::Items(Fields::default())),
                None => (part, Field::Block(Fields::default())),
            };
            let field = at.0.entry(name.to_owned()).or_insert(new);
            at = match field {
                Field::Block(fields) | Field::Items(fields) => fields,
                _ => unreachable!("a field of the specification is a block or a value"),
            };
        }
        at
    }
}

impl Field {
    fn of(name: &str, kind: &str, set: &str) -> Option<Field> {
        Some(match kind {
            "boolean" if name == "purge" => Field::Purge,
            "boolean" => Field::Flag,
            "integer" => Field::Score,
            "date" => Field::Date,
            "array of string" => Field::Codes(set.to_owned()),
            "string" if name.ends_with("_id") => Field::Id,
            "string" if name.ends_with("unique_pupil_number") => Field::Upn,
            "string" if name == "first_name" => Field::FirstName,
            "string" if name == "surname" => Field::Surname,
            "string" if name == "postcode" => Field::Postcode,
            "string" if !set.is_empty() && !set.contains(['}', '"', ' ']) => {
                Field::Code(set.to_owned())
            }
            _ => return None,
        })
    }
}
