//! The rules file says what the reference says: every field of
//! `payload-fields.csv` and every code of `code-sets.json`, and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;

use csc_payload::rules::Rules;
use serde_json::{Map, Value, json};

const FIELDS: &str = include_str!("../data/payload-fields.csv");
const CODE_SETS: &str = include_str!("../data/code-sets.json");

/// The columns of a line. A pattern with a comma stands unquoted in some lines, so
/// whatever is between the first four columns and the last two is the rule.
fn columns(line: &str) -> [String; 7] {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(line.as_bytes());
    let record = reader.records().next().unwrap().unwrap();
    let all: Vec<&str> = record.iter().collect();
    let (first, rest) = all.split_at(4);
    let (rule, last) = rest.split_at(rest.len() - 2);
    [
        first[0].into(),
        first[1].into(),
        first[2].into(),
        first[3].into(),
        rule.join(","),
        last[0].into(),
        last[1].into(),
    ]
}

/// What a rule in words demands, as the rules file writes it.
fn demands(path: &str, rule: &str) -> Map<String, Value> {
    let mut demands = Map::new();
    let mut put = |key: &str, value: Value| demands.insert(key.to_owned(), value);
    if let Some(end) = rule.find('$') {
        put("pattern", json!(rule[..=end]));
    }
    for part in rule.split(", ") {
        if let Some(count) = part.strip_suffix(" characters") {
            put(
                "max_length",
                json!(count.trim_start_matches("<=").parse::<u64>().unwrap()),
            );
        } else if part == "1 character" {
            put("min_length", json!(1));
            put("max_length", json!(1));
        } else if let Some(count) = part.strip_suffix(" items") {
            put(
                "max_items",
                json!(count.trim_start_matches("<=").parse::<u64>().unwrap()),
            );
        } else if part == "NONE stands alone" {
            put("stands_alone", json!("NONE"));
        } else if part == "0-40" {
            put("minimum", json!(0));
            put("maximum", json!(40));
        } else {
            let known = [
                "",
                "YYYY-MM-DD",
                "no limit is published",
                "only sensible where no UPN is given",
                "true deletes the child at the receiver",
                "e.g. AB12 3DE",
                "the case system's own id",
                "omitted where the authority has none",
            ];
            let pattern = part.starts_with('^');
            assert!(
                pattern || known.contains(&part),
                "{path}: what is '{part}'?"
            );
        }
    }
    demands
}

#[test]
fn every_field_of_the_specification_is_in_the_rules_file_with_the_same_meaning() {
    let file: Value = serde_json::from_str(Rules::EMBEDDED).unwrap();
    let mut entries: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for entry in file["fields"].as_array().unwrap() {
        let mut entry = entry.as_object().unwrap().clone();
        let path = entry.remove("path").unwrap().as_str().unwrap().to_owned();
        assert!(
            !entry.remove("advice").unwrap().as_str().unwrap().is_empty(),
            "{path}"
        );
        assert!(
            entries.insert(path.clone(), entry).is_none(),
            "{path} is there twice"
        );
    }
    let mut rows = 0;
    for line in FIELDS.lines().skip(1) {
        let [item, path, kind, mandatory, rule, code_set, returns] = columns(line);
        let mut expected = demands(&path, &rule);
        expected.insert("type".into(), json!(kind));
        if !item.is_empty() {
            expected.insert("item".into(), json!(item));
        }
        if mandatory == "yes" {
            expected.insert("mandatory".into(), json!(true));
        }
        if !code_set.is_empty() {
            expected.insert("code_set".into(), json!(code_set));
        }
        if !returns.is_empty() {
            let returns: Vec<&str> = returns.split(' ').collect();
            expected.insert("return".into(), json!(returns));
        }
        // What payload.md says beside the table.
        if path == "mis_child_id" {
            expected.insert("placeholders".into(), json!(["SSD_SUI"]));
        }
        if path.contains("[].") && path.ends_with("_id") && !path.ends_with(".worker_id") {
            expected.insert("unique".into(), json!(true));
        }
        if path == "purge" || path.ends_with(".purge") {
            expected.insert("purges".into(), json!(true));
        }
        assert_eq!(entries.remove(&path), Some(expected), "{path}");
        rows += 1;
    }
    assert!(rows > 60, "only {rows} rows were compared");
    assert_eq!(entries, BTreeMap::new(), "not in the specification");
}

#[test]
fn every_code_of_every_code_set_is_in_the_rules_file_with_the_same_meaning() {
    let file: Value = serde_json::from_str(Rules::EMBEDDED).unwrap();
    let reference: Value = serde_json::from_str(CODE_SETS).unwrap();
    let sets = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(sets(&file["code_sets"]), sets(&reference));
    for (name, set) in reference.as_object().unwrap() {
        let ours = &file["code_sets"][name];
        for key in ["source", "codes", "note"] {
            assert_eq!(ours.get(key), set.get(key), "{key} of {name}");
        }
    }
    let most = &reference["disabilities"]["max_items"];
    let disabilities = file["fields"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field["path"] == "child_details.disabilities")
        .unwrap();
    assert_eq!(&disabilities["max_items"], most);
}

#[test]
fn every_start_and_end_of_the_specification_is_a_pair_of_the_rules_file() {
    let file: Value = serde_json::from_str(Rules::EMBEDDED).unwrap();
    let orders = file["date_order"].as_array().unwrap();
    let has = |start: &str, end: &str| {
        orders
            .iter()
            .any(|order| order["start"] == *start && order["end"] == *end)
    };
    let mut pairs = 0;
    for line in FIELDS.lines().skip(1) {
        let [_, path, ..] = columns(line);
        for (end, start) in [
            ("end_date", "start_date"),
            ("closure_date", "referral_date"),
        ] {
            let suffix = format!(".{end}");
            // uasc_end_date has no start.
            if let Some(object) = path.strip_suffix(&suffix) {
                assert!(has(&format!("{object}.{start}"), &path), "{path}");
                pairs += 1;
            }
        }
    }
    assert_eq!(pairs, 6);
}

#[test]
fn every_date_of_the_specification_is_the_birth_or_cannot_lie_before_it() {
    let file: Value = serde_json::from_str(Rules::EMBEDDED).unwrap();
    let mut expected: Vec<String> = Vec::new();
    for line in FIELDS.lines().skip(1) {
        let [_, path, kind, ..] = columns(line);
        if kind == "date" && !path.ends_with("date_of_birth") {
            expected.push(path);
        }
    }
    let mut events: Vec<String> = file["not_before_birth"]["events"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["paths"].as_array().unwrap())
        .map(|path| path.as_str().unwrap().to_owned())
        .collect();
    expected.sort();
    events.sort();
    assert_eq!(events, expected);
}
