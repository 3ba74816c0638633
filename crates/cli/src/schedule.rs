//! A nightly run as four schedulers have it written.
//!
//! All four do the same with the exit codes: 0 and 1 end the night (1: some records were
//! refused, an analyst looks); 3, 4 and 5 may pass, so the run is tried again twice, 20
//! minutes apart; 2 and 6 need a person, and nothing is tried again.

mod agent;
mod quote;
mod task_xml;
mod unix;

pub use agent::sql_agent;
pub use task_xml::task_scheduler;
pub use unix::{cron, systemd};

use jiff::civil::Time;

/// What is to be done every night.
pub struct Task {
    /// When, in the machine's own time.
    pub at: Time,
    /// The task's name.
    pub name: String,
    /// The account that runs it; `None` where whoever sets it up names it.
    pub account: Option<String>,
    /// The program's path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The folder that it starts in: `.env` is looked for there.
    pub folder: String,
}

/// A text that a scheduler has no way to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The text.
    pub text: String,
    /// What in it.
    pub what: &'static str,
    /// Where.
    pub place: &'static str,
}

/// How often a run is tried in one night.
const TRIES: u32 = 3;
/// Minutes between two tries.
const MINUTES_BETWEEN: u32 = 20;

/// What the account needs, whichever scheduler starts the run.
const NEEDS: [&str; 7] = [
    "What the account needs:",
    "- to read the program's folder and the settings (.env), and nobody else should read those",
    "- to write to STATE_DIR (the journal) and to the folders of LOG_FILE and --report",
    "- to log on to the database, and to read and update the staging table",
    "- to reach the receiver and the token endpoint, where need be through the proxy",
    "- the secrets: those in the system's store are kept for each account by itself",
    "- one first run by hand, under this account, that the question is answered with yes",
];

/// What the exit codes mean to it.
const CODES: [&str; 6] = [
    "What the exit codes mean to it:",
    "- 0: done, also where there was nothing to do",
    "- 1: done; some records were refused, and an analyst should look (csc-sender report)",
    "- 2, 6: not tried again: a person must look at the settings, or at what stopped the run",
    "- 3, 4: database or receiver: tried again twice, 20 minutes apart",
    "- 5: another run is active on the table: tried again in the same way",
];

#[cfg(test)]
mod tests;
