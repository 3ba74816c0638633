//! The log: to standard error with `-v`, to LOG_FILE where one is named.
//!
//! Only our own crates are heard. A database driver at its debug level writes the
//! values of a statement's parameters, which are children's records.

use std::fs::File;
use std::path::Path;

use csc_message::Message;
use csc_staging::owner_only;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Our crates, as their modules are called.
const OURS: [&str; 6] = [
    "csc_payload",
    "csc_staging",
    "csc_receiver",
    "csc_simulator",
    "csc_sender_run",
    "csc_sender",
];

/// Starts the log. `verbose` is how often `-v` was given (DEBUG counts as twice).
pub fn start(verbose: u8, file: Option<&Path>) -> Result<(), Message> {
    let level = match verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let screen = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_filter(ours(level));
    let file = match file {
        None => None,
        Some(path) => Some(
            tracing_subscriber::fmt::layer()
                .with_writer(std::sync::Mutex::new(open(path)?))
                .with_ansi(false)
                .with_filter(ours(level.max(LevelFilter::INFO))),
        ),
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

/// The log is for its owner alone.
fn open(path: &Path) -> Result<File, Message> {
    owner_only().create(true).append(true).open(path).map_err(|e| {
        Message::new(
            203,
            format!("Cannot write the log {}", path.display()),
            e.to_string(),
            "name a file in LOG_FILE, in a folder that exists and that this account may write to",
        )
    })
}
