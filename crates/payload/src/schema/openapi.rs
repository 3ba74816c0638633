//! Where an OpenAPI description has the schema of a child's record, and that
//! schema as plain JSON Schema.

use serde_json::{Map, Value, json};

use super::SchemaFault;

/// The versions that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Schemas in a dialect of its own.
    V3_0,
    /// Schemas in JSON Schema 2020-12.
    V3_1,
}

/// The schema of a child's record.
#[derive(Debug)]
pub(super) struct ChildSchema {
    /// The description's version.
    pub(super) version: Version,
    /// The schema, with the description's parts that it may refer to.
    pub(super) document: Value,
}

/// How many references are followed one after the other.
const LONGEST_CHAIN: usize = 16;

/// Finds the schema of a child's record.
///
/// # Errors
/// Where the file is no OpenAPI 3.0 or 3.1, or has no such schema.
pub(super) fn child_schema(file: &Value) -> Result<ChildSchema, SchemaFault> {
    let stated = file.get("openapi").and_then(Value::as_str);
    let version = match stated {
        Some(version) if version.starts_with("3.0") => Version::V3_0,
        Some(version) if version.starts_with("3.1") => Version::V3_1,
        Some(_) | None => return Err(SchemaFault::NotOpenApi(stated.map(str::to_owned))),
    };
    let child = posted(file)
        .or_else(|| component(file))
        .and_then(|pointer| file.pointer(&pointer))
        .ok_or(SchemaFault::NoChild)?;
    let mut document = Map::new();
    // It refers to other parts by their places in the file, so they keep them.
    for key in ["paths", "components"] {
        if let Some(part) = file.get(key) {
            document.insert(key.to_owned(), part.clone());
        }
    }
    document.insert("allOf".to_owned(), json!([child]));
    let mut document = Value::Object(document);
    drop_null_alternatives(&mut document);
    Ok(ChildSchema { version, document })
}

/// The pointer to the items of the array that is posted to `…/children`.
fn posted(file: &Value) -> Option<String> {
    let paths = file.get("paths")?.as_object()?;
    paths
        .keys()
        .filter(|path| path.trim_end_matches('/').ends_with("/children"))
        .find_map(|path| {
            let body = resolve(file, format!("/paths/{}/post/requestBody", escaped(path)))?;
            let contents = file.pointer(&body)?.get("content")?.as_object()?;
            let kind = contents.keys().find(|kind| kind.contains("json"))?;
            let schema = format!("{body}/content/{}/schema", escaped(kind));
            items(file, &schema, LONGEST_CHAIN)
        })
}

/// The items of an array's schema, also where it is one of several alternatives.
fn items(file: &Value, pointer: &str, steps: usize) -> Option<String> {
    let steps = steps.checked_sub(1)?;
    let pointer = resolve(file, pointer.to_owned())?;
    let schema = file.pointer(&pointer)?.as_object()?;
    if schema.contains_key("items") {
        return Some(format!("{pointer}/items"));
    }
    ["allOf", "anyOf", "oneOf"].into_iter().find_map(|key| {
        let parts = schema.get(key)?.as_array()?;
        (0..parts.len()).find_map(|part| items(file, &format!("{pointer}/{key}/{part}"), steps))
    })
}

/// The pointer to the component that has a `la_child_id`.
fn component(file: &Value) -> Option<String> {
    let schemas = file.get("components")?.get("schemas")?.as_object()?;
    schemas.iter().find_map(|(name, schema)| {
        let has_id = |schema: &Value| {
            schema
                .get("properties")
                .is_some_and(|properties| properties.get("la_child_id").is_some())
        };
        let in_a_part = || {
            let parts = schema.get("allOf").and_then(Value::as_array);
            parts.is_some_and(|parts| parts.iter().any(has_id))
        };
        (has_id(schema) || in_a_part()).then(|| format!("/components/schemas/{}", escaped(name)))
    })
}

/// The pointer to what a place refers to, or the place itself; None where there is
/// nothing.
fn resolve(file: &Value, mut pointer: String) -> Option<String> {
    for _ in 0..LONGEST_CHAIN {
        match file.pointer(&pointer)?.get("$ref").and_then(Value::as_str) {
            Some(reference) => pointer = reference.strip_prefix('#')?.to_owned(),
            None => return Some(pointer),
        }
    }
    None
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A record comes here without nulls, so an alternative that is null takes no part;
/// and where one alternative is left, it is the schema. Without this, whatever is
/// wrong with a field that may be null would only be known as "none of these".
fn drop_null_alternatives(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for key in ["anyOf", "oneOf"] {
                let Some(Value::Array(alternatives)) = fields.get_mut(key) else {
                    continue;
                };
                alternatives.retain(|schema| schema.get("type") != Some(&json!("null")));
                if alternatives.len() == 1 {
                    let mut only = std::mem::take(alternatives);
                    fields.remove(key);
                    match fields.get_mut("allOf") {
                        Some(Value::Array(all)) => all.append(&mut only),
                        Some(_) | None => {
                            fields.insert("allOf".to_owned(), Value::Array(only));
                        }
                    }
                }
            }
            fields.values_mut().for_each(drop_null_alternatives);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_null_alternatives),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
