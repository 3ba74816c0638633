//! A run's report: what it was, what came of it, what to do. It holds row ids, and
//! nothing else of a child.

mod charts;
mod page;
mod text;
mod words;

use csc_sender_run::{
    Failure, Figures, Mode, Refusal, RunBrief, RunCounts, RunRecord, RunReport, Setting,
};
use jiff::Timestamp;

pub use page::html;
pub use text::lines;

/// A run, as its report tells it.
pub struct RunView {
    /// Its id.
    pub run_id: String,
    /// Whether anything left the authority.
    pub mode: Mode,
    /// When it began, UTC.
    pub begun_at: String,
    /// When it ended, UTC; `None` where it has not, or was ended by force.
    pub ended_at: Option<String>,
    /// Who ran it, and where: of live runs only.
    pub who: Option<Who>,
    /// Database and table.
    pub place: String,
    /// Where to; `None` in testing mode.
    pub endpoint: Option<String>,
    /// The authority.
    pub la_code: String,
    /// `full` or `deltas`.
    pub payloads: String,
    /// Its counts; `None` where they are not known.
    pub counts: Option<RunCounts>,
    /// Rows with a receipt, whatever else is known.
    pub receipts: u64,
    /// Sizes and latencies.
    pub figures: Figures,
    /// The posts that failed: the first hundred.
    pub failures: Vec<Failure>,
    /// Refusals by rule.
    pub refusals: Vec<Refusal>,
    /// The settings that were in force.
    pub settings: Vec<Setting>,
}

/// Who ran a run.
pub struct Who {
    /// The account.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The program with its version.
    pub program: String,
}

/// What a report is made of.
pub struct Report {
    /// When it is made.
    pub made_at: Timestamp,
    /// The run; `None` where there was none yet.
    pub run: Option<RunView>,
    /// The live runs of the same table to the same endpoint, the oldest first.
    pub history: Vec<RunBrief>,
}

impl From<RunRecord> for RunView {
    fn from(record: RunRecord) -> Self {
        let run = record.run;
        RunView {
            run_id: run.run_id,
            mode: Mode::Live,
            begun_at: run.begun_at,
            ended_at: run.ended_at,
            who: Some(Who {
                user: run.user,
                host: run.host,
                program: run.program,
            }),
            place: run.place,
            endpoint: Some(run.endpoint),
            la_code: run.la_code,
            payloads: run.payloads,
            counts: record.counts,
            receipts: record.receipts,
            figures: record.figures,
            failures: record.failures,
            refusals: record.refusals,
            settings: record.settings,
        }
    }
}

/// What a run that is just over knows of itself and its own report does not.
pub struct Surroundings {
    /// Its id.
    pub run_id: String,
    /// When it began.
    pub begun_at: Timestamp,
    /// Who ran it; `None` in testing mode.
    pub who: Option<Who>,
    /// Database and table.
    pub place: String,
    /// Where to; `None` in testing mode.
    pub endpoint: Option<String>,
    /// The authority.
    pub la_code: String,
    /// `full` or `deltas`.
    pub payloads: &'static str,
    /// The settings in force.
    pub settings: Vec<Setting>,
}

impl RunView {
    /// A run that is just over. The journal has testing runs not at all.
    pub fn of(report: &RunReport, around: Surroundings) -> Self {
        let stamp = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        RunView {
            run_id: around.run_id,
            mode: report.mode,
            begun_at: stamp(around.begun_at),
            ended_at: Some(stamp(Timestamp::now())),
            who: around.who,
            place: around.place,
            endpoint: around.endpoint,
            la_code: around.la_code,
            payloads: around.payloads.to_string(),
            counts: Some(RunCounts::from(report)),
            receipts: report.accepted,
            figures: report.figures.clone(),
            failures: report.failures.clone(),
            refusals: report.refusals.ranked(),
            settings: around.settings,
        }
    }

    /// What came of it, in a sentence.
    fn verdict(&self) -> String {
        let sent = match self.mode {
            Mode::Live => "sent",
            Mode::Testing => "tried; nothing left the authority",
        };
        let Some(counts) = &self.counts else {
            let how = match self.ended_at {
                Some(_) => "Its counts were not kept",
                None => "It has not ended, or was ended by force",
            };
            return format!(
                "{how}. {} so far.",
                words::counted(self.receipts, "record has", "records have") + " a receipt"
            );
        };
        let mut parts = vec![format!(
            "{} {sent}",
            words::counted(counts.accepted, "record", "records")
        )];
        if counts.unchanged > 0 {
            parts.push(format!("{} unchanged", words::number(counts.unchanged)));
        }
        parts.push(match counts.refused {
            0 => "none refused".to_string(),
            refused => format!("{} refused", words::number(refused)),
        });
        if counts.not_reached > 0 {
            parts.push(format!("{} not reached", words::number(counts.not_reached)));
        }
        if counts.eligible == 0 && counts.ended_by.is_none() {
            return "There was nothing to send.".to_string();
        }
        format!("{}.", parts.join(", "))
    }
}

#[cfg(test)]
mod tests;
