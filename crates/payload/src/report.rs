//! What is wrong with a whole table, in a form that a person can work through.
//!
//! The checks come in record by record and are gathered by rule and field, so the
//! report takes as much memory for a million records as for ten. It shows row
//! ids, places and counts; a finding has no values to show.

mod sarif;
mod text;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;

use crate::finding::{Checked, Finding, RuleId, Severity};

/// How many rows a group names; the rest is counted.
pub const EXAMPLES: usize = 5;

/// How many groups are kept. The specification's fields and rules make a few
/// hundred at most; only keys that nobody knows can make more.
pub const GROUPS: usize = 1_000;

/// The findings of many records, grouped.
#[derive(Clone, Debug, Default)]
pub struct Report {
    records: u64,
    with_errors: u64,
    with_warnings: u64,
    errors: u64,
    warnings: u64,
    not_listed: u64,
    groups: BTreeMap<Key, Group>,
}

/// What findings have in common that stand in one group. Errors come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    severity: Severity,
    rule: RuleId,
    path: String,
}

/// The findings that break one rule at one field.
#[derive(Clone, Debug)]
struct Group {
    item: Option<String>,
    records: u64,
    findings: u64,
    last_row: i64,
    examples: Vec<Example>,
    message: String,
    advice: String,
}

/// A row that is in a group, and the first place in it.
#[derive(Clone, Debug)]
struct Example {
    row: i64,
    pointer: String,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    Text,
    /// One JSON object: the counts, and a list of groups.
    Json,
    /// One line per group, for a spreadsheet.
    Csv,
    /// SARIF 2.1.0, for tools that gather findings: one result per group.
    Sarif,
}

impl Report {
    /// An empty report.
    pub fn new() -> Report {
        Report::default()
    }

    /// Takes one record's findings: `row` is the id of its row in the staging
    /// table. Each row comes once.
    pub fn add(&mut self, row: i64, checked: &Checked) {
        self.records += 1;
        if checked.errors() > 0 {
            self.with_errors += 1;
        } else if checked.warnings() > 0 {
            self.with_warnings += 1;
        }
        self.errors += checked.errors() as u64;
        self.warnings += checked.warnings() as u64;
        self.not_listed += checked.left_out() as u64;
        for finding in checked.findings() {
            self.add_finding(row, finding);
        }
    }

    fn add_finding(&mut self, row: i64, finding: &Finding) {
        let key = Key {
            severity: finding.severity(),
            rule: finding.rule(),
            path: finding.path().to_owned(),
        };
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
            self.not_listed += 1;
            return;
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            item: finding.item().map(str::to_owned),
            records: 0,
            findings: 0,
            last_row: row,
            examples: Vec::new(),
            message: finding.message().to_owned(),
            advice: finding.advice().to_owned(),
        });
        group.findings += 1;
        if group.records == 0 || group.last_row != row {
            group.records += 1;
            group.last_row = row;
            if group.examples.len() < EXAMPLES {
                group.examples.push(Example {
                    row,
                    pointer: finding.pointer().to_owned(),
                });
            }
        }
    }

    /// How many records were checked.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many records have errors. Where there are any, `validate` exits 1.
    pub fn with_errors(&self) -> u64 {
        self.with_errors
    }

    /// How many records have warnings but no errors.
    pub fn with_warnings(&self) -> u64 {
        self.with_warnings
    }

    /// How many records have nothing to find fault with.
    pub fn clean(&self) -> u64 {
        self.records - self.with_errors - self.with_warnings
    }

    /// Writes the report: errors before warnings, and within them what concerns
    /// most records first.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Text => text::write(self, out),
            Format::Json => self.write_json(out),
            Format::Csv => self.write_csv(out),
            Format::Sarif => sarif::write(self, out),
        }
    }

    /// The groups in the order in which they are shown.
    fn ranked(&self) -> Vec<(&Key, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        // Stable, so that equal ones stay in the order of rule and field.
        groups.sort_by_key(|(key, group)| (key.severity, std::cmp::Reverse(group.records)));
        groups
    }

    fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let groups: Vec<_> = self
            .ranked()
            .into_iter()
            .map(|(key, group)| {
                json!({
                    "severity": key.severity.name(),
                    "rule": key.rule.name(),
                    "item": group.item,
                    "path": key.path,
                    "records": group.records,
                    "findings": group.findings,
                    "examples": group.examples.iter().map(|example| json!({
                        "row": example.row,
                        "pointer": example.pointer,
                    })).collect::<Vec<_>>(),
                    "meaning": key.rule.meaning(),
                    "message": group.message,
                    "advice": group.advice,
                })
            })
            .collect();
        let report = json!({
            "records": self.records,
            "with_errors": self.with_errors,
            "with_warnings": self.with_warnings,
            "clean": self.clean(),
            "errors": self.errors,
            "warnings": self.warnings,
            "not_listed": self.not_listed,
            "groups": groups,
        });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)
    }

    fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        // Spreadsheets on Windows expect its line ends.
        let mut table = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .from_writer(out);
        table.write_record([
            "severity",
            "rule",
            "item",
            "path",
            "records",
            "findings",
            "example_rows",
            "meaning",
            "message",
            "advice",
        ])?;
        for (key, group) in self.ranked() {
            table.write_record([
                key.severity.name(),
                key.rule.name(),
                group.item.as_deref().unwrap_or_default(),
                &key.path,
                &group.records.to_string(),
                &group.findings.to_string(),
                &group.rows(" "),
                key.rule.meaning(),
                &group.message,
                &group.advice,
            ])?;
        }
        table.flush()
    }
}

impl Key {
    /// The field in words: the record itself has no path.
    fn place(&self) -> &str {
        match self.path.as_str() {
            "" => "the record itself",
            path => path,
        }
    }
}

impl Group {
    /// The ids of the rows that it names.
    fn rows(&self, between: &str) -> String {
        let rows: Vec<String> = self
            .examples
            .iter()
            .map(|example| example.row.to_string())
            .collect();
        rows.join(between)
    }
}
