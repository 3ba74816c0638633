//! The DfE's own `openapi.json`, applied beside our rules (`--schema FILE`).
//!
//! The file is behind the DfE's portal and not part of this program, so it is
//! looked for where an API description has it: the items of the array that is
//! posted to `…/children`, else the component that has a `la_child_id`. Nothing
//! is fetched: a file that refers to another one is refused.
//!
//! The library's own words quote the record, so they are not used: a finding
//! names the schema's keyword and what it asks for, both of which stand in the
//! schema.

mod openapi;

use std::fmt;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

use crate::finding::{Checked, Finding, Found, RuleId, key_may_be_shown, shape_of};
use crate::record::JsonKind;

/// A schema for one child's record.
#[derive(Debug)]
pub struct Schema {
    /// What the validator was made of, to look up what a keyword asks for.
    document: Value,
    validator: Validator,
}

/// Why a file is no schema for a child's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaFault {
    /// The file is not JSON.
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It says neither `openapi` 3.0 nor 3.1; with what it says instead.
    NotOpenApi(Option<String>),
    /// It has neither a posted array of children nor a schema with `la_child_id`.
    NoChild,
    /// The schema itself is wrong, or refers to something that is not in the file;
    /// in the library's words about the schema.
    Unusable(String),
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaFault::NotJson { line, column } => {
                write!(f, "it is not JSON (line {line}, column {column})")
            }
            SchemaFault::NotOpenApi(None) => f.write_str(
                "it has no \"openapi\": \"3.0…\" or \"3.1…\", so it is not an API description",
            ),
            SchemaFault::NotOpenApi(Some(version)) => write!(
                f,
                "it is OpenAPI {version}, and this program reads 3.0 and 3.1"
            ),
            SchemaFault::NoChild => f.write_str(
                "it has no POST …/children with an array in its body, and no schema with la_child_id",
            ),
            SchemaFault::Unusable(why) => write!(f, "its schema cannot be used: {why}"),
        }
    }
}

impl std::error::Error for SchemaFault {}

impl Schema {
    /// Finds the schema of a child's record in an OpenAPI 3.0 or 3.1 description
    /// (JSON; a byte-order mark in front of it is ignored).
    ///
    /// # Errors
    /// A [`SchemaFault`].
    pub fn from_openapi(text: &str) -> Result<Schema, SchemaFault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: Value = serde_json::from_str(text).map_err(|error| SchemaFault::NotJson {
            line: error.line(),
            column: error.column(),
        })?;
        let found = openapi::child_schema(&file)?;
        let draft = match found.version {
            // OpenAPI 3.0's schemas are draft 4's, `exclusiveMinimum: true` among
            // them; its own `nullable` says nothing about a record without nulls.
            openapi::Version::V3_0 => Draft::Draft4,
            openapi::Version::V3_1 => Draft::Draft202012,
        };
        let validator = jsonschema::options()
            .with_draft(draft)
            .offline()
            // `format: date` is meant, though JSON Schema only takes it for a hint.
            .should_validate_formats(true)
            .build(&found.document)
            .map_err(|error| SchemaFault::Unusable(error.to_string()))?;
        Ok(Schema {
            document: found.document,
            validator,
        })
    }

    /// Checks one payload. Nulls count as absent, since the sender sends none; a
    /// payload that is no JSON has no findings here, [`crate::rules::Rules::check`]
    /// has them.
    pub fn check(&self, payload: &str) -> Checked {
        let mut checked = Checked::default();
        let text = payload.trim();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return checked;
        };
        drop_nulls(&mut value);
        for error in self.validator.iter_errors(&value) {
            checked.add(RuleId::Schema.severity(), || self.finding(&error));
        }
        checked
    }

    fn finding(&self, error: &ValidationError<'_>) -> Finding {
        let (mut path, mut pointer) = place(error.instance_path());
        let message = match error.kind() {
            ValidationErrorKind::Required { property } => {
                // The key is the schema's.
                let key = property.as_str().unwrap_or_default();
                push_key(key, &mut path, &mut pointer);
                "is not there, and the schema requires it".to_owned()
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => unexpected_keys(unexpected),
            kind => self.message(error.instance(), kind.keyword(), error.schema_path()),
        };
        Finding::from(Found {
            rule: RuleId::Schema,
            item: None,
            path,
            pointer,
            message,
            advice: RuleId::Schema.advice().to_owned(),
        })
    }

    /// What is there, by its shape, and what the schema asks for.
    fn message(&self, instance: &Value, keyword: &str, schema_path: &Location) -> String {
        let found = match instance {
            Value::String(text) => shape_of(text),
            other => JsonKind::of(other).to_string(),
        };
        let asked = self.document.pointer(schema_path.as_str());
        match asked.map(Value::to_string) {
            Some(asked) if asked.len() <= LONGEST_ASKED => {
                format!("is {found}, and the schema asks for {keyword} {asked}")
            }
            Some(_) | None => format!("is {found}, and does not fit the schema's {keyword}"),
        }
    }
}

fn unexpected_keys(unexpected: &[String]) -> String {
    let shown: Vec<&str> = unexpected
        .iter()
        .map(String::as_str)
        .filter(|key| key_may_be_shown(key))
        .take(KEYS_SHOWN)
        .collect();
    match shown.as_slice() {
        [] => "has a key that the schema does not allow, and that may not be shown".to_owned(),
        keys => format!("has {}, which the schema does not allow", keys.join(", ")),
    }
}

/// How many keys that a schema does not allow are named.
const KEYS_SHOWN: usize = 5;

/// What a schema asks for is shown up to this many bytes: `maxLength 4` and a
/// pattern are, a whole `anyOf` is not.
const LONGEST_ASKED: usize = 120;

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A place as a path without indices and as a JSON Pointer. It ends at the first
/// key that may be somebody's data.
fn place(location: &Location) -> (String, String) {
    let mut path = String::new();
    let mut pointer = String::new();
    for segment in location.segments() {
        match segment {
            LocationSegment::Index(index) => {
                path.push_str("[]");
                pointer.push_str(&format!("/{index}"));
            }
            LocationSegment::Property(key) if key_may_be_shown(&key) => {
                push_key(&key, &mut path, &mut pointer);
            }
            LocationSegment::Property(_) => break,
        }
    }
    (path, pointer)
}

fn push_key(key: &str, path: &mut String, pointer: &mut String) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}
