//! `report`: a run, what came of it and what to do, as a page or as lines.

use std::io::Write;
use std::path::{Path, PathBuf};

use csc_message::{Exit, Message};
use csc_sender_run::{Mode, RunReport};
use csc_staging::owner_only;
use jiff::{SignedDuration, Timestamp};

use super::{Context, Outcome, send};
use crate::arguments::ReportArgs;
use crate::configuration::{Need, Settings};
use crate::report::{Report, RunView, Surroundings, Who, html, lines};
use crate::{console, logging};

pub fn run(context: &Context<'_>, args: &ReportArgs) -> Outcome {
    let settings = context.load().settings(Need::default())?;
    context.start_log(&settings)?;
    let report = from_journal(&settings, args.run.as_deref()).map_err(|e| vec![e])?;
    match &args.html {
        None => {
            for line in lines(&report) {
                console::result(&line);
            }
        }
        Some(path) => {
            let mut file = owner_only()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)
                .map_err(|e| vec![cannot_write(path, &e)])?;
            file.write_all(html(&report).as_bytes())
                .map_err(|e| vec![cannot_write(path, &e)])?;
            console::result(&format!("Wrote {}.", path.display()));
        }
    }
    Ok(Exit::Done)
}

fn from_journal(settings: &Settings, run_id: Option<&str>) -> Result<Report, Message> {
    let journal = csc_sender_run::Journal::open_to_read(&settings.journal)?;
    let record = match &journal {
        Some(journal) => journal.run_record(run_id)?,
        None => None,
    };
    if let (None, Some(id)) = (&record, run_id) {
        return Err(Message::new(
            271,
            format!("The journal has no run {id}"),
            format!(
                "{} knows live runs only, and not those that it no longer keeps",
                settings.journal.display()
            ),
            "look for the run with `csc-sender journal`, or leave --run away for the newest one",
        ));
    }
    let history = match (&journal, &record) {
        (Some(journal), Some(record)) => journal.history(&record.run)?,
        (_, _) => Vec::new(),
    };
    Ok(Report {
        made_at: Timestamp::now(),
        run: record.map(RunView::from),
        history,
    })
}

/// The file for a run's report, made before the run begins: a run whose report cannot be
/// written does not begin.
pub struct ReportFile {
    path: PathBuf,
    file: std::fs::File,
}

impl ReportFile {
    /// Makes the file in a folder, and the folder where it is missing, for their owner
    /// alone.
    pub fn create(folder: &Path, mode: Mode) -> Result<Self, Message> {
        let name = match mode {
            Mode::Live => format!("{}.html", logging::run_id()),
            Mode::Testing => format!("{}-testing.html", logging::run_id()),
        };
        let path = folder.join(name);
        let mut builder = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .recursive(true)
            .create(folder)
            .and_then(|()| owner_only().write(true).create_new(true).open(&path))
            .map(|file| ReportFile {
                path: path.clone(),
                file,
            })
            .map_err(|e| cannot_write(&path, &e))
    }

    /// Writes the report of a run that is just over, and says where it is.
    pub fn write(
        mut self,
        settings: &Settings,
        place: &str,
        deltas: bool,
        report: &RunReport,
    ) -> Result<(), Message> {
        let page = html(&just_over(settings, place, deltas, report));
        self.file
            .write_all(page.as_bytes())
            .map_err(|e| cannot_write(&self.path, &e))?;
        console::note(&format!("The report is in {}.", self.path.display()));
        Ok(())
    }
}

fn just_over(settings: &Settings, place: &str, deltas: bool, report: &RunReport) -> Report {
    let now = Timestamp::now();
    let took = SignedDuration::try_from(report.took).unwrap_or_default();
    let who = match report.mode {
        Mode::Live => {
            let author = send::author(settings);
            Some(Who {
                user: author.user,
                host: author.host,
                program: author.program,
            })
        }
        Mode::Testing => None,
    };
    let around = Surroundings {
        run_id: logging::run_id().to_string(),
        begun_at: now.checked_sub(took).unwrap_or(now),
        who,
        place: place.to_string(),
        endpoint: settings.live.as_ref().map(|live| live.endpoint.to_string()),
        la_code: settings
            .la_code
            .as_ref()
            .map_or(String::new(), |code| code.as_str().to_string()),
        payloads: if deltas { "deltas" } else { "full" },
        settings: settings.shown.clone(),
    };
    Report {
        made_at: now,
        run: Some(RunView::of(report, around)),
        history: history(settings, report.mode),
    }
}

/// The runs that the journal has beside this one, where it can be read.
fn history(settings: &Settings, mode: Mode) -> Vec<csc_sender_run::RunBrief> {
    if mode == Mode::Testing {
        return Vec::new();
    }
    let Some(journal) = send::read_journal(settings) else {
        return Vec::new();
    };
    let found = journal
        .run_record(Some(logging::run_id()))
        .and_then(|record| match record {
            Some(record) => journal.history(&record.run),
            None => Ok(Vec::new()),
        });
    found.unwrap_or_else(|message| {
        console::note(&format!("note: {message}"));
        Vec::new()
    })
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Message {
    Message::new(
        270,
        format!("Cannot write the report {}", path.display()),
        error.to_string(),
        "name a place that this account may write to, and close the file where it is open",
    )
}
