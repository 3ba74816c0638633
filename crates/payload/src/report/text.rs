//! The report for a person at a terminal.

use std::io::{self, Write};

use super::{Group, Key, Report};

/// Lines are no longer than this where words allow it.
const WIDTH: usize = 92;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} checked: {} with errors, {} with warnings only, {} clean.",
        counted(report.records, "record"),
        report.with_errors,
        report.with_warnings,
        report.clean(),
    )?;
    for (key, group) in report.ranked() {
        writeln!(out)?;
        write_group(key, group, out)?;
    }
    if report.not_listed > 0 {
        writeln!(out)?;
        let more = format!(
            "{} not listed, in records that have very many or under very many different keys. \
             Mend what is listed and check again.",
            counted(report.not_listed, "more finding"),
        );
        wrapped("", "", &more, out)?;
    }
    Ok(())
}

fn write_group(key: &Key, group: &Group, out: &mut dyn Write) -> io::Result<()> {
    let item = match &group.item {
        Some(item) => format!(" (item {item})"),
        None => String::new(),
    };
    writeln!(
        out,
        "{} {}: {}{item}",
        key.severity.name().to_uppercase(),
        key.rule,
        key.place()
    )?;
    let more = match group.records - group.examples.len() as u64 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let times = match group.findings == group.records {
        true => String::new(),
        false => format!(", {}", counted(group.findings, "finding")),
    };
    let rows = if group.records == 1 { "row" } else { "rows" };
    writeln!(
        out,
        "  {}{times}: {rows} {}{more}",
        counted(group.records, "record"),
        group.rows(", "),
    )?;
    wrapped("  what:  ", "         ", key.rule.meaning(), out)?;
    if let Some(example) = group.examples.first() {
        let pointer = match example.pointer.as_str() {
            "" => "the record",
            pointer => pointer,
        };
        let found = format!("in row {}, {pointer} {}", example.row, group.message);
        wrapped("  e.g.:  ", "         ", &found, out)?;
    }
    wrapped("  to do: ", "         ", &group.advice, out)
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Writes words with one indent before the first line and another before the
/// following ones.
fn wrapped(first: &str, next: &str, words: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line = next.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(out, "{line}")
}
