//! `journal`: what left, when, to where, and what came back.

use std::io::{self, Write};

use csc_message::{Exit, Message};
use csc_sender_run::{Asked, BatchEntry, Journal, Reader, RowEntry, RunEntry};
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use serde_json::json;

use super::{Context, Outcome};
use crate::arguments::{JournalArgs, JournalFormat};
use crate::configuration::Need;

pub fn run(context: &Context<'_>, args: &JournalArgs) -> Outcome {
    let settings = context.load().settings(Need::default())?;
    context.start_log(&settings)?;
    let journal = Journal::open_to_read(&settings.journal).map_err(|e| vec![e])?;
    let Some(journal) = journal else {
        return Err(vec![Message::new(
            283,
            format!("There is no journal {}", settings.journal.display()),
            "no live run has begun on this machine with these settings; testing runs send nothing, \
             so they are not in it",
            "name the file in JOURNAL, or its folder in STATE_DIR",
        )]);
    };
    let asked = Asked {
        since: args.since,
        row: args.row,
    };
    let out = io::BufWriter::new(io::stdout().lock());
    match args.format {
        JournalFormat::Text => {
            let mut text = Text {
                out,
                rows: args.row.is_some(),
                found: false,
            };
            journal.read(&asked, &mut text).map_err(|e| vec![e])?;
            if !text.found {
                let _ = writeln!(text.out, "The journal has nothing of that.");
            }
        }
        JournalFormat::Csv => {
            let mut csv = Csv { out };
            let _ = csv.line(&HEADER);
            journal.read(&asked, &mut csv).map_err(|e| vec![e])?;
        }
        JournalFormat::Json => {
            let mut lines = Json { out };
            journal.read(&asked, &mut lines).map_err(|e| vec![e])?;
        }
    }
    Ok(Exit::Done)
}

/// A date, or a date with a time, in this machine's time zone; or a time with a zone.
pub fn since(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|date| date.at(0, 0, 0, 0)))
        .map_err(|_| format!("{text:?} is no date: write e.g. 2026-11-24 or 2026-11-24T02:00"))?;
    local
        .to_zoned(TimeZone::system())
        .map(|at| at.timestamp())
        .map_err(|e| e.to_string())
}

/// For people: a line for a run, one for each batch, and one for each row that is asked
/// for.
struct Text<W> {
    out: W,
    rows: bool,
    found: bool,
}

fn came_of(batch: &BatchEntry) -> String {
    let status = batch
        .status
        .map_or(String::new(), |status| format!(" with status {status}"));
    let words = batch
        .words
        .as_ref()
        .map_or(String::new(), |words| format!(": {words}"));
    let id = batch
        .request_id
        .as_ref()
        .map_or(String::new(), |id| format!(", request id {id}"));
    let recorded = match (
        batch.answer.as_deref(),
        &batch.recorded_at,
        &batch.recorded_by,
    ) {
        (Some("accepted"), Some(_), Some(run)) => format!(", recorded by run {run}"),
        (Some("accepted"), Some(_), None) => ", recorded".to_string(),
        (Some("accepted"), None, _) => ", NOT yet recorded in the table".to_string(),
        (_, _, _) => String::new(),
    };
    match (&batch.answer, &batch.answered_at) {
        (Some(answer), Some(at)) => format!("{answer}{status} at {at}{words}{id}{recorded}"),
        (_, _) => "no answer is known".to_string(),
    }
}

impl<W: Write> Reader for Text<W> {
    fn run(&mut self, run: &RunEntry) -> io::Result<()> {
        self.found = true;
        let end = match (&run.ended_at, &run.ending) {
            (Some(at), Some(ending)) => format!("ended {at}: {ending}"),
            (_, _) => "has not ended, or was ended by force".to_string(),
        };
        writeln!(
            self.out,
            "run {} by {} on {} (process {}, {}), {} records of authority {}\n  from {}\n  to {}\n  \
             begun {}, {end}",
            run.run_id,
            run.user,
            run.host,
            run.process,
            run.program,
            run.payloads,
            run.la_code,
            run.place,
            run.endpoint,
            run.begun_at,
        )
    }

    fn batch(&mut self, _: &RunEntry, batch: &BatchEntry) -> io::Result<()> {
        let posts = match batch.posts {
            1 => String::new(),
            posts => format!(", posted {posts} times since an answer was missing"),
        };
        writeln!(
            self.out,
            "  batch {}: {} records at {}{posts} -> {}",
            batch.batch_id,
            batch.records,
            batch.departed_at,
            came_of(batch)
        )
    }

    fn row(&mut self, _: &RunEntry, _: &BatchEntry, row: &RowEntry) -> io::Result<()> {
        if !self.rows {
            return Ok(());
        }
        let receipt = match (&row.receipt, &row.receipt_at) {
            (Some(receipt), Some(at)) => format!("receipt {receipt} of {at}"),
            (_, _) => "no receipt".to_string(),
        };
        writeln!(
            self.out,
            "    row {}: {}{}, SHA-256 {}, {receipt}",
            row.row_id.map_or("(none)".to_string(), |id| id.to_string()),
            row.kind,
            if row.again { ", sent again" } else { "" },
            row.sha256,
        )
    }
}

const HEADER: [&str; 20] = [
    "run_id",
    "user",
    "host",
    "program",
    "place",
    "endpoint",
    "la_code",
    "batch_id",
    "departed_at",
    "posts",
    "answered_at",
    "answer",
    "status",
    "request_id",
    "recorded_at",
    "row_id",
    "kind",
    "sha256",
    "again",
    "receipt",
];

/// For spreadsheets: a line for each row that left.
struct Csv<W> {
    out: W,
}

impl<W: Write> Csv<W> {
    fn line(&mut self, cells: &[impl AsRef<str>]) -> io::Result<()> {
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell.as_ref())).collect();
        write!(self.out, "{}\r\n", cells.join(","))
    }
}

/// RFC 4180; a cell that a spreadsheet would take for a formula is made text.
fn quoted(cell: &str) -> String {
    let cell = match cell.chars().next() {
        Some('=' | '+' | '-' | '@') => format!("'{cell}"),
        Some(_) | None => cell.to_string(),
    };
    if cell.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

impl<W: Write> Reader for Csv<W> {
    fn run(&mut self, _: &RunEntry) -> io::Result<()> {
        Ok(())
    }

    fn batch(&mut self, _: &RunEntry, _: &BatchEntry) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, run: &RunEntry, batch: &BatchEntry, row: &RowEntry) -> io::Result<()> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let number = |value: Option<i64>| value.map_or(String::new(), |n| n.to_string());
        self.line(&[
            run.run_id.clone(),
            run.user.clone(),
            run.host.clone(),
            run.program.clone(),
            run.place.clone(),
            run.endpoint.clone(),
            run.la_code.clone(),
            batch.batch_id.to_string(),
            batch.departed_at.clone(),
            batch.posts.to_string(),
            text(&batch.answered_at),
            text(&batch.answer),
            number(batch.status),
            text(&batch.request_id),
            text(&batch.recorded_at),
            number(row.row_id),
            row.kind.clone(),
            row.sha256.clone(),
            row.again.to_string(),
            text(&row.receipt),
        ])
    }
}

/// For programs: an object on each line, a run, a batch or a row, each with its run's and
/// batch's number.
struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    fn object(&mut self, event: &str, mut object: serde_json::Value) -> io::Result<()> {
        if let Some(fields) = object.as_object_mut() {
            fields.insert("event".into(), event.into());
        }
        writeln!(self.out, "{object}")
    }
}

impl<W: Write> Reader for Json<W> {
    fn run(&mut self, run: &RunEntry) -> io::Result<()> {
        self.object("run", json!(run))
    }

    fn batch(&mut self, run: &RunEntry, batch: &BatchEntry) -> io::Result<()> {
        let mut object = json!(batch);
        object["run_id"] = run.run_id.clone().into();
        self.object("batch", object)
    }

    fn row(&mut self, run: &RunEntry, batch: &BatchEntry, row: &RowEntry) -> io::Result<()> {
        let mut object = json!(row);
        object["run_id"] = run.run_id.clone().into();
        object["batch_id"] = batch.batch_id.into();
        self.object("row", object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula() {
        assert_eq!(quoted("=cmd()"), "'=cmd()");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("plain"), "plain");
    }

    #[test]
    fn a_date_is_the_beginning_of_its_day() {
        assert_eq!(
            since("2026-11-24T02:00:00Z").unwrap().to_string(),
            "2026-11-24T02:00:00Z"
        );
        let day = since("2026-11-24").unwrap();
        assert_eq!(since("2026-11-24T00:00").unwrap(), day);
        assert!(since("yesterday").is_err());
    }
}
