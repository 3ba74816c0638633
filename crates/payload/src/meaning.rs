//! What a payload means, whatever its spelling (`payload.md`, "Meaning and hash").
//!
//! Two payloads mean the same when they are equal after dropping nulls, empty
//! arrays, objects left empty and `purge: false`, and ignoring the order of keys
//! and of id-arrays, the spelling of numbers (`1`, `1.0`, `1e0`) and white space.
//! Dropping goes from the inside out: an object left empty by it is dropped in
//! turn. The order of an array without ids does mean something.

use std::borrow::Cow;
use std::fmt::Write as _;

use csc_digest::sha256;
use serde_json::{Map, Number, Value};

use crate::essence;
use crate::ids::{Id, PURGE, Purged, is_purge, keyed};
use crate::node::{Fields as _, Node, View};
use crate::tree::Document;

/// The normal form: equal for two payloads exactly where they mean the same.
///
/// Keys are in the order of their bytes, id-arrays in that of their ids. A
/// number is written as an integer where it is one of up to 40 digits, otherwise
/// as an integer that doesn't end in 0, `e`, and the power of ten (`1.10` is
/// `11e-1`). What the whole payload is, object or array, it stays, even empty.
pub fn meaning(payload: &Value) -> Value {
    match Normal::of("", payload, Purged::Kept) {
        Some(normal) => normal.to_value(),
        None => match payload {
            Value::Object(_) => Value::Object(Map::new()),
            Value::Array(_) => Value::Array(Vec::new()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
        },
    }
}

/// The SHA-256 of the normal form as compact JSON in UTF-8, in which only `"`,
/// `\` and control characters are escaped: of `meaning(payload).to_string()`, but that the
/// library writes `1e+40` where this is the hash of `1e40`.
pub fn meaning_hash(payload: &Value) -> [u8; 32] {
    match Document::read(&payload.to_string()) {
        Some(document) => essence::hash(&document),
        // Nested deeper than any text that is read, or with a key of serde_json's own.
        None => sha256(meaning(payload).to_string()),
    }
}

/// The normal form of a value, borrowed from it.
pub(crate) struct Normal<'a, N: Node<'a> = &'a Value> {
    /// The value itself, for its spelling.
    pub(crate) source: N,
    /// What of it counts.
    pub(crate) form: Form<'a, N>,
}

/// Equal by what counts, whatever the spelling.
impl<'a, N: Node<'a>> PartialEq for Normal<'a, N> {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
    }
}

/// The kinds of normal form.
pub(crate) enum Form<'a, N: Node<'a> = &'a Value> {
    /// True or false.
    Bool(bool),
    /// A number, canonically spelled.
    Number(Cow<'a, str>),
    /// Text.
    Text(&'a str),
    /// An array without ids, in its order.
    List(Vec<Normal<'a, N>>),
    /// An array with ids, in the order of the ids.
    Items(Items<'a, N>),
    /// An object's fields, in the order of the keys.
    Object(Fields<'a, N>),
}

/// An object's fields in the order of their keys.
pub(crate) type Fields<'a, N = &'a Value> = Vec<(&'a str, Normal<'a, N>)>;

/// An array with ids.
pub(crate) struct Items<'a, N: Node<'a> = &'a Value> {
    /// The field that holds the id.
    pub(crate) id_field: &'a str,
    /// Ids and fields, in the order of the ids.
    pub(crate) items: Vec<Item<'a, N>>,
}

/// One item of an array with ids.
pub(crate) struct Item<'a, N: Node<'a> = &'a Value> {
    /// Its id.
    pub(crate) id: Id<'a>,
    /// All its fields, the id among them.
    pub(crate) fields: Fields<'a, N>,
}

/// Equal by what counts; the id is one of the fields.
impl<'a, N: Node<'a>> PartialEq for Item<'a, N> {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl<'a, N: Node<'a>> PartialEq for Items<'a, N> {
    fn eq(&self, other: &Self) -> bool {
        self.id_field == other.id_field && self.items == other.items
    }
}

impl<'a, N: Node<'a>> PartialEq for Form<'a, N> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Form::Bool(one), Form::Bool(two)) => one == two,
            (Form::Number(one), Form::Number(two)) => one == two,
            (Form::Text(one), Form::Text(two)) => one == two,
            (Form::List(one), Form::List(two)) => one == two,
            (Form::Items(one), Form::Items(two)) => one == two,
            (Form::Object(one), Form::Object(two)) => one == two,
            (
                Form::Bool(_)
                | Form::Number(_)
                | Form::Text(_)
                | Form::List(_)
                | Form::Items(_)
                | Form::Object(_),
                _,
            ) => false,
        }
    }
}

impl<'a, N: Node<'a>> Normal<'a, N> {
    /// The normal form of a field's value; None where it says nothing. With
    /// [`Purged::Dropped`], what carries `purge: true` says nothing either.
    pub(crate) fn of(name: &str, source: N, purged: Purged) -> Option<Normal<'a, N>> {
        let form = match source.view() {
            View::Null => return None,
            View::Bool(value) => Form::Bool(value),
            View::Number(number) => Form::Number(canonical_number(number)),
            View::Text(text) => Form::Text(text),
            View::Array(values) => match keyed(name, values.clone(), purged) {
                Some(keyed) => {
                    let mut items: Vec<Item<'a, N>> = keyed
                        .items
                        .into_iter()
                        .map(|(id, item)| Item {
                            id,
                            fields: fields::<N>(item, purged),
                        })
                        .collect();
                    if items.is_empty() {
                        return None;
                    }
                    items.sort_unstable_by(|a, b| a.id.cmp(&b.id));
                    Form::Items(Items {
                        id_field: keyed.id_field,
                        items,
                    })
                }
                None => {
                    let list: Vec<Normal<'a, N>> = values
                        .filter_map(|value| Normal::of("", value, purged))
                        .collect();
                    if list.is_empty() {
                        return None;
                    }
                    Form::List(list)
                }
            },
            View::Object(map) => {
                if purged == Purged::Dropped && is_purge(map) {
                    return None;
                }
                let fields = fields::<N>(map, purged);
                if fields.is_empty() {
                    return None;
                }
                Form::Object(fields)
            }
        };
        Some(Normal { source, form })
    }
}

impl Normal<'_> {
    /// The normal form as a value of its own.
    fn to_value(&self) -> Value {
        match &self.form {
            Form::Bool(value) => Value::Bool(*value),
            // A canonical number is a JSON number; were one not, its own spelling
            // would do.
            Form::Number(number) => number
                .parse::<Number>()
                .map_or_else(|_| self.source.clone(), Value::Number),
            Form::Text(text) => Value::String((*text).to_owned()),
            Form::List(list) => Value::Array(list.iter().map(Normal::to_value).collect()),
            Form::Items(items) => Value::Array(
                items
                    .items
                    .iter()
                    .map(|item| fields_to_value(&item.fields))
                    .collect(),
            ),
            Form::Object(fields) => fields_to_value(fields),
        }
    }
}

/// The fields of an object that say something, in the order of their keys.
fn fields<'a, N: Node<'a>>(map: N::Fields, purged: Purged) -> Fields<'a, N> {
    let each = map.in_order();
    let mut fields: Fields<'_, N> = Vec::with_capacity(each.size_hint().0);
    fields.extend(
        each.filter(|(key, value)| !(*key == PURGE && matches!(value.view(), View::Bool(false))))
            .filter_map(|(key, value)| Some((key, Normal::of(key, value, purged)?))),
    );
    fields
}

fn fields_to_value(fields: &Fields<'_>) -> Value {
    fields
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.to_value()))
        .collect()
}

/// A JSON string.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    if needs_escape(text.as_bytes()) {
        write_escaped(text, out);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

/// Whether there is a control character, a quote or a backslash. All bytes are looked at
/// without a branch, so many at once.
fn needs_escape(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| {
        found | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\')
    })
}

fn write_escaped(text: &str, out: &mut String) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            0x0c => "\\f",
            b'\r' => "\\r",
            0x00..0x20 => "",
            0x20..=0xff => continue,
        };
        // Every byte that is escaped is a character of its own.
        out.push_str(&text[plain..at]);
        plain = at + 1;
        if escape.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
}

/// Integers of up to this many digits are written out.
const LONGEST_INTEGER: usize = 40;

/// A JSON number's one spelling: exact, whatever its size, and the same for all
/// spellings of one value. Where the exponent itself doesn't fit 128 bits, the
/// number stays as it is spelled.
pub(crate) fn canonical_number(text: &str) -> Cow<'_, str> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if unsigned.bytes().all(|b| b.is_ascii_digit())
        && unsigned.len() <= LONGEST_INTEGER
        && unsigned != "0"
    {
        return Cow::Borrowed(text);
    }
    let (decimal, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], &unsigned[at + 1..]),
        None => (unsigned, "0"),
    };
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    let mantissa = digits.trim_end_matches('0');
    if mantissa.is_empty() {
        return Cow::Borrowed("0");
    }
    let shift = (digits.len() - mantissa.len()) as i128 - fraction.len() as i128;
    let Some(power) = exponent
        .parse::<i128>()
        .ok()
        .and_then(|exponent| exponent.checked_add(shift))
    else {
        return Cow::Borrowed(text);
    };
    let sign = if negative { "-" } else { "" };
    match usize::try_from(power) {
        Ok(zeros) if zeros <= LONGEST_INTEGER && mantissa.len() + zeros <= LONGEST_INTEGER => {
            Cow::Owned(format!("{sign}{mantissa}{:0<zeros$}", ""))
        }
        Ok(_) | Err(_) => Cow::Owned(format!("{sign}{mantissa}e{power}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    proptest! {
        #[test]
        fn a_text_is_escaped_as_the_library_does(
            text in prop::collection::vec(
                prop_oneof![any::<char>(), prop::char::range('\0', '\u{80}'), Just('a')], 0..40),
        ) {
            let text: String = text.into_iter().collect();
            let mut written = String::new();
            write_text(&text, &mut written);
            prop_assert_eq!(written, Value::String(text).to_string());
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        let forty = "1".repeat(40);
        let forty_one = "1".repeat(41);
        for (spellings, canonical) in [
            (
                vec!["1", "1.0", "1e0", "1E+0", "10e-1", "0.1e1", "100E-2"],
                "1",
            ),
            (vec!["0", "-0", "0.0", "-0.00", "0e99", "0E-5"], "0"),
            (vec!["100", "1e2", "1.00e+2"], "100"),
            (vec!["-100", "-1e2"], "-100"),
            (vec!["1.1", "1.10", "11e-1", "0.11e1"], "11e-1"),
            (vec!["-0.5", "-5e-1"], "-5e-1"),
            (
                vec!["9007199254740993", "9007199254740993.0"],
                "9007199254740993",
            ),
            (vec!["18446744073709551616"], "18446744073709551616"),
            (vec!["1e400", "10e399"], "1e400"),
            (vec!["1e-400"], "1e-400"),
            (vec![forty.as_str()], forty.as_str()),
            (vec!["1e39"], "1000000000000000000000000000000000000000"),
            (
                vec!["1e40", "10000000000000000000000000000000000000000"],
                "1e40",
            ),
        ] {
            for spelling in spellings {
                assert_eq!(canonical_number(spelling), canonical, "{spelling}");
            }
        }
        assert_eq!(canonical_number(&forty_one), format!("{forty_one}e0"));
        assert_ne!(
            canonical_number("9007199254740993"),
            canonical_number("9007199254740992")
        );
        let beyond = format!("1e{}", "9".repeat(60));
        assert_eq!(canonical_number(&beyond), beyond);
        let edge = format!("10e{}", i128::MAX);
        assert_eq!(canonical_number(&edge), edge);
    }

    #[test]
    fn what_says_nothing_is_dropped_from_the_inside_out() {
        let record = json!({
            "la_child_id": "1",
            "purge": false,
            "health_and_wellbeing": {"sdq_assessments": [], "purge": false},
            "child_details": {"disabilities": [], "sex": null, "surname": "", "uasc_flag": false},
            "social_care_episodes": [
                {"social_care_episode_id": "E", "adoption": {"matched_date": null}, "x": [null, {}]},
                null,
            ],
        });
        assert_eq!(
            meaning(&record),
            json!({
                "la_child_id": "1",
                "child_details": {"surname": "", "uasc_flag": false},
                "social_care_episodes": [{"social_care_episode_id": "E"}],
            })
        );
    }

    #[test]
    fn purge_true_is_not_dropped() {
        let gone = json!({"la_child_id": "1", "purge": true});
        assert_eq!(meaning(&gone), gone);
        assert_ne!(
            meaning_hash(&gone),
            meaning_hash(&json!({"la_child_id": "1"}))
        );
    }

    #[test]
    fn a_payload_left_empty_stays_what_it_is() {
        assert_eq!(meaning(&json!({"a": null})), json!({}));
        assert_eq!(meaning(&json!([null])), json!([]));
        assert_eq!(meaning(&Value::Null), Value::Null);
    }

    #[test]
    fn order_counts_only_where_items_have_no_id() {
        let plans = |a: &str, b: &str| {
            json!({"child_in_need_plans": [
                {"child_in_need_plan_id": a}, {"child_in_need_plan_id": b},
            ]})
        };
        assert_eq!(
            meaning_hash(&plans("1", "2")),
            meaning_hash(&plans("2", "1"))
        );
        let workers =
            |a: &str, b: &str| json!({"care_worker_details": [{"worker_id": a}, {"worker_id": b}]});
        assert_ne!(
            meaning_hash(&workers("1", "2")),
            meaning_hash(&workers("2", "1"))
        );
        assert_ne!(
            meaning_hash(&json!({"factors": ["1A", "2B"]})),
            meaning_hash(&json!({"factors": ["2B", "1A"]}))
        );
    }

    #[test]
    fn text_and_numbers_are_not_the_same() {
        assert_ne!(meaning(&json!({"a": "1"})), meaning(&json!({"a": 1})));
        assert_ne!(meaning(&json!({"a": false})), meaning(&json!({})));
    }

    #[test]
    fn the_hash_is_of_the_normal_forms_compact_json() {
        for text in [
            r#"{"b":1.0,"a":"\u0001\b\f\n\r\t\"\\/é\u007f😀","c":[{"x_id":2},{"x_id":1}],"é":true}"#,
            "{}",
            "[]",
            "null",
            "[[1,[2.50]]]",
        ] {
            let value = parsed(text);
            let expected = sha256(meaning(&value).to_string());
            assert_eq!(meaning_hash(&value), expected, "{text}");
        }
        // What others would compute: of {"a":1}.
        let hex: String = meaning_hash(&parsed(r#" {"z":null, "a" : 1.0} "#))
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
        );
    }
}
