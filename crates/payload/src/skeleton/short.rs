//! A skeleton's text as it is kept: the names of the specification's fields, most of it,
//! each as two characters.

use crate::meaning::write_text;
use crate::name::{Known, MARK};

/// Writes a name: short, or else as JSON.
pub(crate) fn write_name(name: &str, out: &mut String) {
    match Known::of(name) {
        Some(known) => out.extend([MARK, known.letter()]),
        None => write_text(name, out),
    }
}

/// The JSON text. One that was damaged is no JSON either.
pub(super) fn lengthen(text: &str) -> String {
    let mut parts = text.split(MARK);
    let mut out = String::with_capacity(text.len() * 3);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let mut rest = part.chars();
        match rest.next().and_then(Known::lettered) {
            Some(name) => {
                out.push('"');
                out.push_str(name.text());
                out.push('"');
            }
            None => out.push(MARK),
        }
        out.push_str(rest.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
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
    fn a_letter_that_nobody_has_is_damage() {
        for damaged in ["{\u{1}~:0}", "{\u{1}", "{\u{1}\u{1}A:0}"] {
            let json = lengthen(damaged);
            let read = serde_json::from_str::<serde_json::Value>(&json);
            assert!(read.is_err(), "{json}");
        }
    }
}
