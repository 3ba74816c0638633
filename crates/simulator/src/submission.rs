//! A submission's body: an array of 1 to 100 child records.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::refusal::{Complaint, Step};

/// The most records that one submission may hold.
pub(crate) const MOST_RECORDS: usize = 100;

/// What was read of a body.
pub(crate) struct Reading<'a> {
    /// How many records it has, where it is an array.
    pub count: Option<usize>,
    /// The records in order, or all that is wrong with them.
    pub records: Result<Vec<Record<'a>>, Vec<Complaint>>,
}

/// One child's record.
pub(crate) struct Record<'a> {
    /// The child, by the authority's id.
    pub la_child_id: String,
    /// Whether it deletes the child.
    pub purges: bool,
    /// The whole record, where records are held.
    pub whole: Option<Value>,
    json: &'a RawValue,
}

impl Record<'_> {
    /// What the record has under that key; null where it has nothing.
    pub fn field(&self, name: &str) -> Value {
        serde_json::from_str::<Value>(self.json.get())
            .ok()
            .and_then(|mut record| record.get_mut(name).map(Value::take))
            .unwrap_or_default()
    }
}

/// Reads a body; `whole`: with the whole of each record.
pub(crate) fn read(body: &[u8], whole: bool) -> Reading<'_> {
    let wrong = |kind, words: String| Reading {
        count: None,
        records: Err(vec![Complaint::body(kind, words)]),
    };
    if body.starts_with(b"\xef\xbb\xbf") {
        return wrong("json_invalid", "Unexpected UTF-8 BOM".to_owned());
    }
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            return wrong("json_invalid", format!("Not UTF-8 from byte {at} on"));
        }
    };
    let rows: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(rows) => rows,
        Err(error) if error.is_data() => {
            return wrong("list_type", "Input should be a valid list".to_owned());
        }
        Err(error) => {
            let place = format!("line {} column {}", error.line(), error.column());
            return wrong("json_invalid", format!("JSON decode error at {place}"));
        }
    };
    Reading {
        count: Some(rows.len()),
        records: records(&rows, whole),
    }
}

fn records<'a>(rows: &[&'a RawValue], whole: bool) -> Result<Vec<Record<'a>>, Vec<Complaint>> {
    if rows.is_empty() {
        let words = "List should have at least 1 item after validation, not 0";
        return Err(vec![Complaint::body("too_short", words)]);
    }
    if rows.len() > MOST_RECORDS {
        let words = format!(
            "List should have at most {MOST_RECORDS} items after validation, not {}",
            rows.len()
        );
        return Err(vec![Complaint::body("too_long", words)]);
    }
    let mut records = Vec::with_capacity(rows.len());
    let mut complaints = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        match record(index, row, whole) {
            Ok(record) => records.push(record),
            Err(complaint) => complaints.push(complaint),
        }
    }
    if complaints.is_empty() {
        Ok(records)
    } else {
        Err(complaints)
    }
}

/// What decides where a record goes.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    la_child_id: Value,
    #[serde(default)]
    purge: Value,
}

fn record(index: usize, json: &RawValue, whole: bool) -> Result<Record<'_>, Complaint> {
    let text = json.get();
    // serde would take an array for the fields in turn.
    if !text.starts_with('{') {
        let words = "Input should be a valid dictionary";
        return Err(Complaint::record(index, "dict_type", words));
    }
    // Not the error's own words: they can quote a value.
    let unreadable = |_| Complaint::record(index, "json_invalid", "JSON decode error");
    let head: Head = serde_json::from_str(text).map_err(unreadable)?;
    let about_id =
        |kind, words| Complaint::record(index, kind, words).at(&[Step::Field("la_child_id")]);
    let la_child_id = match head.la_child_id {
        Value::Null => return Err(about_id("missing", "Field required")),
        Value::String(id) => id,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            return Err(about_id("string_type", "Input should be a valid string"));
        }
    };
    if !is_id(&la_child_id) {
        let words = "String should match pattern '^[A-Za-z0-9_-]{1,36}$'";
        return Err(about_id("string_pattern_mismatch", words));
    }
    let whole = if whole {
        Some(serde_json::from_str(text).map_err(unreadable)?)
    } else {
        None
    };
    Ok(Record {
        la_child_id,
        purges: head.purge == Value::Bool(true),
        whole,
        json,
    })
}

/// The specification's item 2: `^[A-Za-z0-9_-]{1,36}$`.
fn is_id(id: &str) -> bool {
    (1..=36).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints(body: &[u8]) -> Vec<Complaint> {
        let mut found = Vec::new();
        for whole in [true, false] {
            found.push(match read(body, whole).records {
                Ok(_) => panic!("taken: {}", String::from_utf8_lossy(body)),
                Err(complaints) => complaints,
            });
        }
        assert_eq!(found[0], found[1]);
        found.remove(0)
    }

    fn ids(count: usize) -> Vec<u8> {
        let records: Vec<Value> = (0..count)
            .map(|n| json!({ "la_child_id": format!("c-{n}") }))
            .collect();
        Value::from(records).to_string().into_bytes()
    }

    #[test]
    fn a_body_that_is_no_list_of_records_is_refused_as_a_whole() {
        for (body, kind) in [
            (&b""[..], "json_invalid"),
            (b"[{\"la_child_id\":\"1\"}", "json_invalid"),
            (b"[{\"la_child_id\":\"1\"}] x", "json_invalid"),
            (b"[{\"la_child_id\":\"\xff\"}]", "json_invalid"),
            (b"\xef\xbb\xbf[{\"la_child_id\":\"1\"}]", "json_invalid"),
            (b"{\"la_child_id\":\"1\"}", "list_type"),
            (b"null", "list_type"),
            (b"[]", "too_short"),
            (&ids(101), "too_long"),
        ] {
            let complaints = complaints(body);
            assert_eq!(complaints.len(), 1);
            assert_eq!(complaints[0].path, [], "{kind}");
            assert_eq!(complaints[0].kind, kind);
        }
    }

    #[test]
    fn every_record_without_a_usable_id_is_named_by_its_index() {
        let body = json!([
            {"la_child_id": "good-1_A"},
            {},
            {"la_child_id": null},
            {"la_child_id": 7},
            {"la_child_id": ""},
            {"la_child_id": "a b"},
            {"la_child_id": "a".repeat(37)},
            ["la_child_id"],
            null,
            {"la_child_id": "a".repeat(36)},
        ]);
        let id = Step::Field("la_child_id");
        let found: Vec<_> = complaints(body.to_string().as_bytes())
            .into_iter()
            .map(|complaint| (complaint.path, complaint.kind))
            .collect();
        assert_eq!(
            found,
            [
                (vec![Step::Index(1), id], "missing"),
                (vec![Step::Index(2), id], "missing"),
                (vec![Step::Index(3), id], "string_type"),
                (vec![Step::Index(4), id], "string_pattern_mismatch"),
                (vec![Step::Index(5), id], "string_pattern_mismatch"),
                (vec![Step::Index(6), id], "string_pattern_mismatch"),
                (vec![Step::Index(7)], "dict_type"),
                (vec![Step::Index(8)], "dict_type"),
            ]
        );
    }

    #[test]
    fn one_to_a_hundred_records_are_read() {
        for count in [1, 100] {
            let body = ids(count);
            let reading = read(&body, true);
            assert_eq!(reading.count, Some(count));
            let records = reading.records.ok().unwrap();
            assert_eq!(records.len(), count);
            assert_eq!(records[count - 1].la_child_id, format!("c-{}", count - 1));
            assert!(records[0].whole.is_some());
        }
    }

    #[test]
    fn only_the_word_true_purges() {
        let body = br#"[{"la_child_id":"1","purge":true},{"la_child_id":"2","purge":false},
            {"la_child_id":"3","purge":"true"},{"la_child_id":"4","purge":null}]"#;
        let records = read(body, false).records.ok().unwrap();
        let purges: Vec<bool> = records.iter().map(|record| record.purges).collect();
        assert_eq!(purges, [true, false, false, false]);
        assert!(records[0].whole.is_none());
    }
}
