//! A skeleton's text as it is kept: the names of the specification's fields, most of it,
//! each as two characters, which are all there is to a field whose value is plain.

use std::borrow::Cow;

use crate::meaning::write_text;
use crate::name::{FIELD, Known, NAME};

/// Writes a name: short, or else as JSON.
pub(crate) fn write_name(name: &str, out: &mut String) {
    match Known::of(name) {
        Some(known) => out.extend([NAME, known.letter()]),
        None => write_text(name, out),
    }
}

/// Writes a field's key. Whether it is a known one: a plain value goes without saying then,
/// and so does the comma behind it.
pub(super) fn write_key(key: &str, out: &mut String) -> bool {
    let known = Known::of(key);
    match known {
        Some(known) => out.push_str(known.short()),
        None => {
            write_text(key, out);
            out.push(':');
        }
    }
    known.is_some()
}

/// Puts a bracket in the place of the last comma, where there is one.
pub(crate) fn end(text: &mut String, bracket: &str) {
    if text.ends_with(',') {
        text.truncate(text.len() - 1);
    }
    text.push_str(bracket);
}

/// The JSON text. One that was damaged is no JSON either.
pub(super) fn lengthen(text: &str) -> String {
    let mut fields = text.split(FIELD);
    let mut out = String::with_capacity(text.len() * 5);
    lengthen_names(fields.next().unwrap_or_default(), &mut out);
    for field in fields {
        let rest = match lettered(field) {
            Some((name, rest)) => {
                out.push_str(name.json());
                out.push_str(match rest.as_bytes().first() {
                    Some(b'{' | b'[') => "",
                    Some(b'}') => "0",
                    Some(_) | None => "0,",
                });
                rest
            }
            None => {
                out.push(FIELD);
                field
            }
        };
        lengthen_names(rest, &mut out);
    }
    out
}

fn lengthen_names(text: &str, out: &mut String) {
    let mut parts = text.split(NAME);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        match lettered(part) {
            Some((name, rest)) => {
                out.push('"');
                out.push_str(name.text());
                out.push('"');
                out.push_str(rest);
            }
            None => {
                out.push(NAME);
                out.push_str(part);
            }
        }
    }
}

/// The name whose letter comes first, and what comes after it.
fn lettered(text: &str) -> Option<(Known, &str)> {
    let mut rest = text.chars();
    let name = rest.next().and_then(Known::lettered)?;
    Some((name, rest.as_str()))
}

/// The text that this version writes, of one in which a field is still [`NAME`], a letter, a
/// colon and its value. Of any text it leaves what [`lengthen`] makes of it as it is.
pub(super) fn renewed(text: &str) -> Cow<'_, str> {
    let is_old = |part: &str| part.as_bytes().get(1) == Some(&b':');
    if !text.split(NAME).skip(1).any(is_old) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(NAME);
    let mut out = String::with_capacity(text.len());
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let field = lettered(part).and_then(|(name, rest)| Some((name, renewed_value(rest)?)));
        match field {
            Some((name, value)) => {
                out.push_str(name.short());
                out.push_str(value);
            }
            None => {
                out.push(NAME);
                out.push_str(part);
            }
        }
    }
    Cow::Owned(out)
}

/// What comes after a field's letter now; `None` where that was no field, or was damaged.
fn renewed_value(after: &str) -> Option<&str> {
    let value = after.strip_prefix(':')?;
    match value.as_bytes() {
        [b'{' | b'[', ..] => Some(value),
        [b'0', b'}', ..] => value.strip_prefix('0'),
        [b'0', b','] | [b'0', b',', b'"', ..] => value.strip_prefix("0,"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_shortened_and_read_back() {
        for (name, short) in [("postcode", "\u{1}m"), ("visits", "\"visits\"")] {
            let mut out = String::new();
            write_name(name, &mut out);
            assert_eq!(out, short);
            assert_eq!(lengthen(&out), format!("\"{name}\""));
        }
    }

    #[test]
    fn of_a_field_whose_value_is_plain_the_letter_is_all_there_is() {
        for (short, json) in [
            ("{\u{2}m}", r#"{"postcode":0}"#),
            ("{\u{2}m\u{2}v}", r#"{"postcode":0,"sex":0}"#),
            (
                "{\u{2}m\"visits\":0,\u{2}z}",
                r#"{"postcode":0,"visits":0,"start_reason":0}"#,
            ),
            ("{\u{2}J{\u{2}m}}", r#"{"child_details":{"postcode":0}}"#),
            (
                "{\u{2}F[\u{1}5,\"W1\",{\u{2}5}],\u{2}m}",
                r#"{"care_worker_details":["worker_id","W1",{"worker_id":0}],"postcode":0}"#,
            ),
        ] {
            assert_eq!(lengthen(short), json);
        }
    }

    #[test]
    fn a_letter_that_nobody_has_is_damage() {
        for damaged in [
            "{\u{1}~:0}",
            "{\u{1}",
            "{\u{1}\u{1}A:0}",
            "{\u{2}~}",
            "{\u{2}",
            "{\u{2}\u{2}A}",
            "{\u{2}A",
            "{\u{1}A}",
            "{\u{2}A:0}",
            "{\u{2}A,\u{2}B}",
        ] {
            let json = lengthen(damaged);
            let read = serde_json::from_str::<serde_json::Value>(&json);
            assert!(read.is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn a_text_that_is_renewed_says_the_same(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "\u{1}A:0,", "\u{1}B:0}", "\u{1}C:{", "\u{1}D:[", "\u{1}E,", "\u{1}", "\u{2}F",
                    "\u{2}", "A", ":", "0", ",", "{", "}", "[", "]", "\"", "~", "é", "",
                ]),
                0..12,
            ),
        ) {
            let text = parts.concat();
            let new = renewed(&text);
            prop_assert_eq!(lengthen(&new), lengthen(&text));
            prop_assert_eq!(&renewed(&new), &new);
        }
    }
}
