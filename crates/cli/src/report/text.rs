//! The report in a terminal: plain lines, no columns.

use csc_sender_run::Mode;

use super::page::{example, meaning, place};
use super::words::{counted, moment, number, size, time};
use super::{Report, RunView};

/// So many of the last runs are told.
const RUNS: usize = 7;
/// So many row ids stand in a line.
const ROW_IDS: usize = 20;

/// The report as lines.
pub fn lines(report: &Report) -> Vec<String> {
    let Some(run) = &report.run else {
        return vec![
            "No live run yet: the journal on this machine knows of none.".to_string(),
            "Testing runs are not in it: csc-sender send --report DIR writes a report of one."
                .to_string(),
        ];
    };
    let mut lines = run_lines(run);
    if report.history.len() > 1 {
        let shown = report.history.len().min(RUNS);
        lines.push(format!(
            "The last {shown} of {} from this table to this receiver:",
            counted(report.history.len() as u64, "live run", "live runs")
        ));
        for brief in report.history.iter().rev().take(RUNS) {
            let refused = brief
                .refused
                .map_or("an unknown number".to_string(), number);
            let exit = brief
                .exit_code
                .map_or(String::new(), |code| format!(", exit code {code}"));
            lines.push(format!(
                "  {}: {} sent, {refused} refused{exit}",
                moment(&brief.begun_at),
                number(brief.accepted)
            ));
        }
    }
    lines
}

fn run_lines(run: &RunView) -> Vec<String> {
    let kind = match run.mode {
        Mode::Live => "Live run",
        Mode::Testing => "Testing run",
    };
    let mut lines = vec![
        format!("{kind} {} of {}", run.run_id, moment(&run.begun_at)),
        format!("  {}", run.verdict()),
        format!("  from {}", run.place),
    ];
    if let Some(endpoint) = &run.endpoint {
        lines.push(format!("  to {endpoint}"));
    }
    if let Some(who) = &run.who {
        lines.push(format!(
            "  by {} on {}, {}",
            who.user, who.host, who.program
        ));
    }
    if let Some(counts) = &run.counts {
        lines.push(format!(
            "  exit code {}, after {}",
            counts.exit_code,
            time(counts.took)
        ));
        if let Some(ended) = &counts.ended_by {
            lines.push(format!("  ended early: {} {}", ended.code, ended.what));
            lines.push(format!("    why:  {}", ended.why));
            lines.push(format!("    next: {}", ended.next));
        }
    }
    if let Some(total) = run.figures.total() {
        lines.push(format!(
            "  {}: {} and {} each on average, the slowest {}; {} not accepted",
            counted(total.posts, "post", "posts"),
            size(total.mean_bytes()),
            time(total.mean_took()),
            time(total.slowest),
            number(total.failed)
        ));
    }
    for refusal in &run.refusals {
        let what = match &refusal.rule {
            Some(rule) => format!("{rule} at {}", place(&refusal.path)),
            None => refusal.reason.clone(),
        };
        lines.push(format!(
            "Refused: {what}: {}",
            counted(refusal.rows, "row", "rows")
        ));
        lines.extend(meaning(refusal).map(|meaning| format!("  {meaning}")));
        lines.extend(example(refusal).map(|example| format!("  {example}")));
        lines.push(format!("  To do: {}", refusal.advice));
        let ids: Vec<String> = refusal
            .row_ids
            .iter()
            .take(ROW_IDS)
            .map(i64::to_string)
            .collect();
        let more = if refusal.rows > ids.len() as u64 {
            ", …"
        } else {
            ""
        };
        lines.push(format!("  row ids: {}{more}", ids.join(", ")));
    }
    lines
}
