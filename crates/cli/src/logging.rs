//! The log: to standard error with `-v`, to LOG_FILE where one is named.
//!
//! Only our own crates are heard. A database driver at its debug level writes the
//! values of a statement's parameters, which are children's records.

mod daily;
mod lines;

use std::sync::{Mutex, OnceLock};

use csc_message::Message;
use csc_sender_run::new_run_id;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use daily::Writer;
pub use daily::{LogFile, LogFormat};
use lines::{JsonLines, Stamp};

/// Our crates, as their modules are called.
const OURS: [&str; 6] = [
    "csc_payload",
    "csc_staging",
    "csc_receiver",
    "csc_simulator",
    "csc_sender_run",
    "csc_sender",
];

/// The run's id: the same in the log, the journal, the report and the `User-Agent`. One
/// process is one run.
pub fn run_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(new_run_id)
}

/// Starts the log. `verbose` is how often `-v` was given (DEBUG counts as twice).
pub fn start(verbose: u8, file: Option<&LogFile>) -> Result<(), Message> {
    let level = match verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let screen = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_timer(Stamp)
        .with_ansi(false)
        .with_filter(ours(level));
    let file_level = ours(level.max(LevelFilter::INFO));
    let file = match file {
        None => None,
        Some(file) => {
            let writer = Writer::open(file.clone()).map_err(|e| cannot_write(file, &e))?;
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(Mutex::new(writer))
                .with_ansi(false);
            Some(match file.format {
                LogFormat::Text => layer.with_timer(Stamp).with_filter(file_level).boxed(),
                LogFormat::Json => layer
                    .event_format(JsonLines)
                    .with_filter(file_level)
                    .boxed(),
            })
        }
    };
    // A log that was started already (by a test, or the demo) goes on.
    let _ = tracing_subscriber::registry()
        .with(screen)
        .with(file)
        .try_init();
    Ok(())
}

fn ours(level: LevelFilter) -> Targets {
    Targets::new().with_targets(OURS.map(|name| (name, level)))
}

fn cannot_write(file: &LogFile, error: &std::io::Error) -> Message {
    Message::new(
        203,
        format!("Cannot write the log {}", file.today().display()),
        error.to_string(),
        "name a file in LOG_FILE, in a folder that exists and that this account may write to",
    )
}
