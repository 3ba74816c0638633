//! The report as SARIF 2.1.0 (OASIS), the form in which tools hand on findings.
//!
//! One result per group, with `occurrenceCount` for its findings. A staging table
//! has no files, so a place is a logical location: the row and the JSON Pointer.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Group, Key, Report};
use crate::finding::RuleId;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let used: BTreeSet<RuleId> = report.groups.keys().map(|key| key.rule).collect();
    let rules: Vec<Value> = used.iter().map(|rule| describe(*rule)).collect();
    let results: Vec<Value> = report
        .ranked()
        .into_iter()
        .map(|(key, group)| result(key, group))
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "csc-sender",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
            "properties": {
                "records": report.records,
                "recordsWithErrors": report.with_errors,
                "recordsWithWarnings": report.with_warnings,
                "findingsNotListed": report.not_listed,
            },
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

fn describe(rule: RuleId) -> Value {
    json!({
        "id": rule.name(),
        "shortDescription": {"text": rule.meaning()},
        "help": {"text": rule.advice()},
        "defaultConfiguration": {"level": rule.severity().name()},
    })
}

fn result(key: &Key, group: &Group) -> Value {
    let locations: Vec<Value> = group
        .examples
        .iter()
        .map(|example| {
            json!({"logicalLocations": [{
                "name": key.place(),
                "fullyQualifiedName": format!("row {}{}", example.row, example.pointer),
                "kind": "property",
            }]})
        })
        .collect();
    let mut properties = json!({"path": key.path, "records": group.records});
    if let Some(item) = &group.item {
        properties["item"] = json!(item);
    }
    json!({
        "ruleId": key.rule.name(),
        "level": key.severity.name(),
        "message": {"text": format!("{} {}. {}", key.place(), group.message, group.advice)},
        "occurrenceCount": group.findings,
        "locations": locations,
        "properties": properties,
    })
}
