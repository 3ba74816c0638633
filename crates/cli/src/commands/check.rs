//! `check`: looks at what a run needs, and says what is missing and what mends it.

use csc_message::{Exit, Probe, Verdict};
use serde_json::json;

use super::{Context, Outcome, block_on, open_store};
use crate::arguments::CheckCommand;
use crate::configuration::{Need, Settings};
use crate::console;

pub fn run(context: &Context<'_>, command: &CheckCommand) -> Outcome {
    let CheckCommand::Database { json } = command;
    let settings = context.load().settings(Need {
        database: true,
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    block_on(check_database(&settings, *json))?
}

async fn check_database(settings: &Settings, as_json: bool) -> Outcome {
    let store = open_store(settings).await?;
    let probes = store.examine().await.map_err(|e| vec![e.into()])?;
    if as_json {
        console::result(&format!("{:#}", to_json(&probes)));
    } else {
        for line in probes.iter().flat_map(lines) {
            console::result(&line);
        }
    }
    Ok(exit(&probes))
}

fn exit(probes: &[Probe]) -> Exit {
    let worst = probes.iter().map(|probe| probe.verdict).max();
    match worst {
        Some(Verdict::Fail) => Exit::Refused,
        Some(Verdict::Ok | Verdict::Warn) | None => Exit::Done,
    }
}

/// A line for the probe, and below it what to do.
fn lines(probe: &Probe) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<5} {:<14} {}",
        probe.verdict.word(),
        probe.subject,
        probe.found
    )];
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

fn to_json(probes: &[Probe]) -> serde_json::Value {
    probes
        .iter()
        .map(|probe| {
            json!({
                "probe": probe.subject,
                "verdict": probe.verdict.word(),
                "found": probe.found,
                "next": probe.next,
                "statement": probe.statement,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_a_line_and_what_mends_it_stands_below() {
        let probe = Probe::fail("rights", "no right to UPDATE", "ask your DBA to run this")
            .mended_by("GRANT UPDATE\nON t TO u;");
        assert_eq!(
            lines(&probe),
            [
                "FAIL  rights         no right to UPDATE",
                "                     next: ask your DBA to run this:",
                "                       GRANT UPDATE",
                "                       ON t TO u;",
            ]
        );
        assert_eq!(exit(std::slice::from_ref(&probe)), Exit::Refused);
        assert_eq!(exit(&[Probe::warn("index", "none", "add one")]), Exit::Done);
    }
}
