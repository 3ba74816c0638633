//! Which records of a batch a 400 or 422 names, and what it says of each.
//!
//! The detail names the failing records by index, zero-based, in paths such as
//! `body[3].child_details.sex` or `[3].social_care_episodes[0]`: only the FIRST
//! index of a path is the record, a later one stands inside it. Seen as text, as
//! JSON text, as JSON lists with a `loc`, and as JSON objects keyed by path.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::words::Words;

/// Arrays inside a record: an index after one of these names is not a record's.
const INNER_ARRAYS: [&str; 10] = [
    "social_care_episodes",
    "child_and_family_assessments",
    "child_in_need_plans",
    "section_47_assessments",
    "child_protection_plans",
    "child_looked_after_placements",
    "care_worker_details",
    "sdq_assessments",
    "disabilities",
    "factors",
];

/// The records that a reply names, by their place in the batch, with its words about
/// each. Empty where it names none, and where the indices make no sense, which is
/// when one of them is not in a batch of `records`.
pub fn refused_records(body: &[u8], records: usize) -> BTreeMap<usize, Words> {
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    match serde_json::from_slice::<Value>(body) {
        Ok(json) => collect(&json, &mut found),
        Err(_) => scan(&String::from_utf8_lossy(body), &mut found),
    }
    if found.keys().any(|index| *index >= records) {
        return BTreeMap::new();
    }
    found
        .into_iter()
        .map(|(index, text)| (index, Words::from_text(&text)))
        .collect()
}

fn add(found: &mut BTreeMap<usize, String>, index: usize, text: &str) {
    let words = found.entry(index).or_default();
    if !words.is_empty() {
        words.push_str("; ");
    }
    words.push_str(text);
}

fn collect(json: &Value, found: &mut BTreeMap<usize, String>) {
    match json {
        Value::String(text) => scan(text, found),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(object) => {
            if let Some((index, words)) = located(object) {
                add(found, index, &words);
                return;
            }
            for (key, value) in object {
                match first_index(key) {
                    Some(index) => add(found, index, &format!("{key}: {}", plain(value))),
                    None => collect(value, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `{"loc": ["body", 3, "child_details", "sex"], "msg": "…"}`: the first number of
/// `loc` is the record, unless it follows the name of an array inside a record.
fn located(object: &serde_json::Map<String, Value>) -> Option<(usize, String)> {
    let loc = object.get("loc")?.as_array()?;
    let place = loc.iter().position(Value::is_number)?;
    let before = place
        .checked_sub(1)
        .and_then(|n| loc.get(n))
        .and_then(Value::as_str);
    if before.is_some_and(|name| INNER_ARRAYS.contains(&name)) {
        return None;
    }
    // A number that counts nothing is a record's of no batch.
    let index = loc.get(place)?.as_u64().map(usize::try_from);
    let index = index.and_then(Result::ok).unwrap_or(usize::MAX);
    let path: Vec<String> = loc.iter().skip(place + 1).map(plain).collect();
    let message = object.get("msg").or_else(|| object.get("message"));
    Some((
        index,
        format!(
            "{}: {}",
            path.join("."),
            message.map_or(String::new(), plain)
        ),
    ))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Finds the paths in a text; each one's words reach to the next.
fn scan(text: &str, found: &mut BTreeMap<usize, String>) {
    let paths = paths(text);
    for (n, path) in paths.iter().enumerate() {
        if let Some(index) = path.index {
            let end = paths.get(n + 1).map_or(text.len(), |next| next.start);
            let words = text[path.start..end].trim_matches(|c: char| {
                c.is_whitespace() || matches!(c, ',' | ';' | '|' | '"' | '\'' | '{' | '}')
            });
            add(found, index, words);
        }
    }
}

struct Path {
    start: usize,
    index: Option<usize>,
}

/// Every run of path characters that holds an index, in the order of the text.
fn paths(text: &str) -> Vec<Path> {
    let is_path =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '$' | '-' | '/');
    let mut paths = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_path(c)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                if let Some(index) = indices(&text[from..at]) {
                    paths.push(Path { start: from, index });
                }
                start = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    paths
}

/// `Some(Some(n))` for a path that names a record, `Some(None)` for one that has an
/// index, but not a record's, `None` for a word without an index.
fn indices(word: &str) -> Option<Option<usize>> {
    let mut rest = word;
    while let Some(open) = rest.find('[') {
        let inside = &rest[open + 1..];
        let close = inside.find(']')?;
        if let Some(index) = index(&inside[..close]) {
            let before = &rest[..open];
            let name = before
                .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .next()
                .unwrap_or(before);
            return Some((!INNER_ARRAYS.contains(&name)).then_some(index));
        }
        rest = &inside[close..];
    }
    None
}

/// An index that is too large to count is one of no batch, and no reason to take the next
/// one of its path for the record's.
fn index(digits: &str) -> Option<usize> {
    let is_index = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_index.then(|| digits.parse().unwrap_or(usize::MAX))
}

fn first_index(key: &str) -> Option<usize> {
    indices(key).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &str, records: usize) -> Vec<(usize, String)> {
        refused_records(body.as_bytes(), records)
            .into_iter()
            .map(|(index, words)| (index, words.for_response().to_string()))
            .collect()
    }

    #[test]
    fn only_the_first_index_of_a_path_is_the_record() {
        let table: &[(&str, &[(usize, &str)])] = &[
            (
                "body[3].child_details.sex: not a code",
                &[(3, "body[3].child_details.sex: not a code")],
            ),
            (
                "[3].social_care_episodes[0].referral_date is no date",
                &[(3, "[3].social_care_episodes[0].referral_date is no date")],
            ),
            (
                "[0].a: x, [12].b[4].c: y",
                &[(0, "[0].a: x"), (12, "[12].b[4].c: y")],
            ),
            ("[3].a: x; [3].b: y", &[(3, "[3].a: x; [3].b: y")]),
            (
                r#"{"detail":[{"loc":["body",3,"child_details","sex"],"msg":"too long","type":"t"}]}"#,
                &[(3, "child_details.sex: too long")],
            ),
            (
                r#"{"detail":[{"loc":["body",7,"social_care_episodes",0,"x"],"msg":"m"}]}"#,
                &[(7, "social_care_episodes.0.x: m")],
            ),
            (
                r#"{"detail":"body[5].la_child_id: missing"}"#,
                &[(5, "body[5].la_child_id: missing")],
            ),
            (
                r#"{"title":"bad","errors":{"[2].child_details.sex":["too long","odd"],"$[4].x":["y"]}}"#,
                &[
                    (2, "[2].child_details.sex: too long, odd"),
                    (4, "$[4].x: y"),
                ],
            ),
            (r#"["[1].a wrong"]"#, &[(1, "[1].a wrong")]),
            ("children[9].sex", &[(9, "children[9].sex")]),
            ("social_care_episodes[0].referral_date", &[]),
            (r#"{"detail":[{"loc":["factors",0],"msg":"m"}]}"#, &[]),
            ("Bad request", &[]),
            ("error [abc] in [", &[]),
            ("", &[]),
        ];
        for (body, expected) in table {
            let expected: Vec<(usize, String)> =
                expected.iter().map(|(n, w)| (*n, w.to_string())).collect();
            assert_eq!(read(body, 100), expected, "{body}");
        }
    }

    #[test]
    fn an_index_outside_the_batch_makes_all_of_them_worthless() {
        assert!(read("[0].a: x, [5].b: y", 5).is_empty());
        assert_eq!(read("[0].a: x, [4].b: y", 5).len(), 2);
        for body in [
            "[99999999999999999999999].a",
            "[99999999999999999999999].plans[1].x",
            "[18446744073709551615].a",
            r#"{"detail":[{"loc":["body",-1,"plans",2],"msg":"[3].x"}]}"#,
            r#"{"detail":[{"loc":["body",1e30,"plans",2],"msg":"[3].x"}]}"#,
        ] {
            assert!(read(body, 5).is_empty(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            refused_records(&body, 3);
        }

        #[test]
        fn no_text_with_brackets_makes_it_panic(body in "[a-z\\[\\]0-9.,é\" ]{0,60}") {
            refused_records(body.as_bytes(), 3);
        }
    }
}
