//! What a check prints: a line for each probe, and at the end a block for a support ticket.

use csc_message::Probe;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Section, worst};
use crate::arguments::CheckPart;
use crate::configuration::Config;

const BEGIN: &str = "----- csc-sender, for a support ticket: from here -----";
const END: &str = "----- csc-sender, for a support ticket: to here -----";

/// For people: a line for each probe, and below it what to do.
pub(super) fn lines(sections: &[Section]) -> Vec<String> {
    let mut lines = Vec::new();
    for section in sections {
        lines.push(format!("{}:", section.title));
        lines.extend(section.probes.iter().flat_map(probe_lines));
    }
    lines
}

fn probe_lines(probe: &Probe) -> Vec<String> {
    let mut lines = vec![probe_line(probe)];
    let below = |text: &str| format!("{:20} {text}", "");
    if let Some(next) = &probe.next {
        let colon = if probe.statement.is_some() { ":" } else { "" };
        lines.push(below(&format!("next: {next}{colon}")));
    }
    if let Some(statement) = &probe.statement {
        lines.extend(statement.lines().map(|line| below(&format!("  {line}"))));
    }
    lines
}

fn probe_line(probe: &Probe) -> String {
    format!(
        "{:<5} {:<14} {}",
        probe.verdict.word(),
        probe.subject,
        probe.found
    )
}

/// The block between two marker lines. What is in it may be shown to anybody who helps:
/// no secret, no child's value; names of hosts, accounts and folders are.
pub(super) fn support_block(config: &Config, part: CheckPart, sections: &[Section]) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        BEGIN.to_string(),
        format!("{} on {}, {}", program(), system(), now()),
        format!("check {}: {}", word(part), worst(sections).word()),
        "settings (secrets are not shown):".to_string(),
    ];
    lines.extend(
        config
            .all_given()
            .iter()
            .map(|given| format!("  {}={} from {}", given.name, given.shown, given.source)),
    );
    for section in sections {
        lines.push(format!("{}:", section.title));
        let probes = section.probes.iter();
        lines.extend(probes.map(|probe| format!("  {}", probe_line(probe))));
    }
    lines.push(END.to_string());
    lines
}

/// For programs: all of it.
pub(super) fn json(config: &Config, part: CheckPart, sections: &[Section]) -> Value {
    let settings: serde_json::Map<String, Value> = config
        .all_given()
        .into_iter()
        .map(|given| {
            let value = json!({ "value": given.shown, "source": given.source.to_string() });
            (given.name.to_string(), value)
        })
        .collect();
    let probes: Vec<Value> = sections
        .iter()
        .flat_map(|section| section.probes.iter().map(|probe| (section.title, probe)))
        .map(|(title, probe)| {
            json!({
                "part": title,
                "probe": probe.subject,
                "verdict": probe.verdict.word(),
                "found": probe.found,
                "next": probe.next,
                "statement": probe.statement,
            })
        })
        .collect();
    json!({
        "program": program(),
        "system": system(),
        "at": now(),
        "check": word(part),
        "verdict": worst(sections).word(),
        "probes": probes,
        "settings": settings,
    })
}

fn program() -> &'static str {
    concat!("csc-sender ", env!("CARGO_PKG_VERSION"))
}

fn system() -> String {
    let name = whoami::distro().unwrap_or_else(|_| std::env::consts::OS.to_string());
    format!("{name} ({})", std::env::consts::ARCH)
}

fn now() -> String {
    Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

fn word(part: CheckPart) -> &'static str {
    match part {
        CheckPart::Config => "config",
        CheckPart::Database => "database",
        CheckPart::Table => "table",
        CheckPart::Receiver => "receiver",
        CheckPart::All => "all",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_a_line_and_what_mends_it_stands_below() {
        let probe = Probe::fail("rights", "no right to UPDATE", "ask your DBA to run this")
            .mended_by("GRANT UPDATE\nON t TO u;");
        assert_eq!(
            probe_lines(&probe),
            [
                "FAIL  rights         no right to UPDATE",
                "                     next: ask your DBA to run this:",
                "                       GRANT UPDATE",
                "                       ON t TO u;",
            ]
        );
    }
}
