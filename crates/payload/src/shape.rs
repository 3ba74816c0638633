//! A record's structure, without its values.

use std::fmt::Write as _;

use serde_json::Value;

/// Keys longer than this, or with anything but letters, digits and `_-.$`, might
/// be somebody's data in the wrong place: their length is shown instead.
const LONGEST_KEY: usize = 64;

/// One line per field of a record that is an object; see [`crate::Record::shape`].
pub(crate) fn of(value: &Value) -> String {
    let mut out = String::new();
    below(value, 0, &mut out);
    out
}

/// The lines for what is inside a value.
fn below(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                line(&key_shown(key), field, depth, out);
            }
        }
        Value::Array(items) => {
            if let Some(first) = items.first() {
                line("first item", first, depth, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn line(name: &str, value: &Value, depth: usize, out: &mut String) {
    // Writing to a String does not fail.
    let _ = writeln!(out, "{:1$}{name}: {2}", "", depth * 2, kind(value));
    below(value, depth + 1, out);
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "true or false".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("{}-character string", text.chars().count()),
        Value::Array(items) => counted(items.len(), "item"),
        Value::Object(fields) => counted(fields.len(), "field"),
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn key_shown(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$');
    if !key.is_empty() && key.len() <= LONGEST_KEY && key.chars().all(plain) {
        key.to_owned()
    } else {
        format!("(a {}-character key)", key.chars().count())
    }
}
