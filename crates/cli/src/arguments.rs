//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use csc_simulator::FaultOrder;

use crate::configuration::{ConfigArgs, Key};

const ABOUT: &str = "Submits an authority's children's social care records to the DfE, from its \
                     own Standard Safeguarding Dataset.\n\n\
                     Testing mode is the default: nothing leaves the authority until a run is \
                     asked to be live.";

const EXIT_CODES: &str = "Exit codes:\n  \
    0    done (also when there was nothing to do)\n  \
    1    some records were refused, or a check failed\n  \
    2    usage or configuration\n  \
    3    the database\n  \
    4    the receiver or its token endpoint: not reachable or not allowed\n  \
    5    another run is active on this table\n  \
    6    stopped by a safety rule\n  \
    130  interrupted (Ctrl-C)";

const CHECK_HELP: &str = "Nothing is changed. Exit code 1 where a probe says FAIL.";

/// csc-sender's arguments.
#[derive(Parser)]
#[command(name = "csc-sender", version = crate::version::LONG, about = "Submits children's social care records to the DfE",
          long_about = ABOUT, after_help = EXIT_CODES, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say more: -v what is done, -vv every request (never a child's values)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Plain lines for screen readers and logs: no progress bar, no columns, no colour
    #[arg(long, global = true)]
    pub plain: bool,
    /// Where settings come from.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Send what is eligible in the staging table, and record what came of it
    #[command(alias = "run", after_help = EXIT_CODES)]
    Send(SendArgs),
    /// Check every child's record against the payload rules; nothing is changed
    #[command(after_help = "Exit code 1 where a record has errors.")]
    Validate(ValidateArgs),
    /// Work with deltas
    #[command(subcommand)]
    Deltas(DeltasCommand),
    /// Check what a run needs, and say what is missing and what mends it
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// The pilot's name for `check database`
    #[command(hide = true, after_help = CHECK_HELP)]
    TestDbConnection(CheckHow),
    /// The pilot's name for `check table`
    #[command(hide = true, after_help = CHECK_HELP)]
    TestSchema(CheckHow),
    /// The pilot's name for `check receiver`
    #[command(hide = true, after_help = CHECK_HELP)]
    TestEndpoint(CheckHow),
    /// The pilot's name for `check`
    #[command(hide = true, alias = "run-smoke", after_help = CHECK_HELP)]
    Smoke(CheckHow),
    /// Say more about a message, by the code that it begins with
    Explain(ExplainArgs),
    /// Create both staging tables where they are missing
    Init(InitArgs),
    /// Show what is in the staging table
    #[command(after_help = "Exit code 1 where --max-age is given and the last good run is older.")]
    Status(StatusArgs),
    /// Show what left, when, to where, and what came back
    #[command(after_help = "Live runs only: a testing run sends nothing.")]
    Journal(JournalArgs),
    /// Show a run, what came of it and what to do, in the terminal or as a web page
    #[command(after_help = "Live runs only. send --report DIR also writes one of a testing run.")]
    Report(ReportArgs),
    /// Print the nightly run for a scheduler; nothing on this machine is changed
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// A receiver of our own on this machine, to try things out
    #[command(after_help = csc_simulator::fault_help())]
    Simulator(SimulatorArgs),
    /// Show the whole way with fake children: table, simulator, live run, comparison
    Demo(DemoArgs),
    /// Fill the _anon table with fake children, or change those that are there
    #[command(after_help = "Only into a table whose name ends in _anon: exit code 6 for another.")]
    Fake(FakeArgs),
    /// Make real children unrecognisable in the _anon table, and check that they are
    ///
    /// Identifiers, names, dates, postcodes, pupil numbers and codes are replaced; what the
    /// specification does not have is left out. Nothing is written unless every child has
    /// passed the check. The key is made anew each time and never stored.
    Scramble(ScrambleArgs),
    /// Set rows back to pending
    #[command(
        after_help = "Rows of deleted children are left alone. In a table whose name does not \
                            end in _anon only --status testing and error, after a yes."
    )]
    Reset(ResetArgs),
    /// Look at the settings, or take over those of the pilot
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Keep secrets in the system's own store
    ///
    /// Windows Credential Manager, or on Linux the Secret Service or the kernel's keyring.
    /// What is there is found where no environment variable and no file gives the secret.
    /// Each account has a store of its own.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Print what a shell needs to complete this program's commands
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands into a folder
    Man {
        /// A folder that exists
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Whole records or deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PayloadMode {
    /// Whole records
    Full,
    /// Deltas where the baseline is certain, whole records elsewhere
    #[value(alias = "delta")]
    Deltas,
}

/// `send`.
#[derive(Args, Clone, Default)]
pub struct SendArgs {
    /// Send to the receiver (TESTING_MODE=false). Without it nothing leaves the authority
    #[arg(long)]
    pub live: bool,
    /// Whole records or deltas (USE_PARTIAL_PAYLOAD)
    #[arg(long, visible_alias = "phase")]
    pub mode: Option<PayloadMode>,
    /// Read at most so many rows
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Send one fake record named for the authority instead of the table, to test receivers only
    #[arg(long, conflicts_with_all = ["mode", "limit", "no_validate", "resync", "allow_purges"])]
    pub test_record: bool,
    /// Show what would go, and where to; nothing is sent or written
    #[arg(long)]
    pub dry_run: bool,
    /// The summary as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Say yes to the question that the first live run to an endpoint asks
    #[arg(long)]
    pub yes: bool,
    /// Send records that break the payload rules too
    #[arg(long)]
    pub no_validate: bool,
    /// Purge and send anew the children of whom something may have stayed at the receiver
    #[arg(long)]
    pub resync: bool,
    /// Let so many purges of deleted children pass, where their ceiling stops the run
    #[arg(long, value_name = "N")]
    pub allow_purges: Option<u64>,
    /// Write a report of the run into this folder, as a web page
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dry_run", "test_record"])]
    pub report: Option<PathBuf>,
}

/// The forms of a validation's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
    /// For code scanners
    Sarif,
}

/// `validate`.
#[derive(Args)]
pub struct ValidateArgs {
    /// The form of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
}

/// `deltas`.
#[derive(Subcommand)]
pub enum DeltasCommand {
    /// Fill partial_json_payload with what would go, without sending
    Prepare,
}

/// The databases that `init --print` writes SQL for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrintDialect {
    /// SQLite
    Sqlite,
    /// PostgreSQL
    Postgres,
    /// SQL Server
    Sqlserver,
}

/// What `check` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckPart {
    /// Settings: what is set, what is missing, who may read the files
    Config,
    /// Server, logon, encryption, table, columns, rights and indexes
    Database,
    /// The table: columns, rights really tried, indexes, counts, samples of its records
    Table,
    /// The way to the DfE: proxy, DNS, TLS, certificate, token. Connects, whatever the mode
    Receiver,
    /// All of it; in testing mode without connecting to the receiver
    All,
}

/// `check`.
#[derive(Args)]
pub struct CheckArgs {
    /// What to look at
    #[arg(value_enum, default_value_t = CheckPart::All)]
    pub part: CheckPart,
    /// How.
    #[command(flatten)]
    pub how: CheckHow,
}

/// How `check` looks, and what it prints.
#[derive(Args)]
pub struct CheckHow {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Post one fake record named for the authority too, in live mode and to a test receiver
    /// only
    #[arg(long)]
    pub post: bool,
}

/// `explain`.
#[derive(Args)]
pub struct ExplainArgs {
    /// The code, e.g. CSC0201; without one, all codes are listed
    pub code: Option<String>,
}

/// `init`.
#[derive(Args)]
pub struct InitArgs {
    /// Print the SQL for a DBA to run, instead of running it; without a name, for the
    /// configured database
    #[arg(long, value_enum, num_args = 0..=1, value_name = "DATABASE")]
    pub print: Option<Option<PrintDialect>>,
}

/// `status`.
#[derive(Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Fail (exit code 1) where the last good run is older, e.g. 26h, 90m, 2d
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub max_age: Option<std::time::Duration>,
}

/// The forms of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum JournalFormat {
    /// For people: runs and batches, and with --row that row
    Text,
    /// For programs: an object on each line
    Json,
    /// For spreadsheets: a line for each row that left
    Csv,
}

/// `journal`.
#[derive(Args)]
pub struct JournalArgs {
    /// Runs since then, e.g. 2026-11-24 or 2026-11-24T02:00
    #[arg(long, value_name = "DATE", value_parser = crate::commands::since)]
    pub since: Option<jiff::Timestamp>,
    /// What became of one row, by its id in the staging table
    #[arg(long, value_name = "ID")]
    pub row: Option<i64>,
    /// The form
    #[arg(long, value_enum, default_value_t = JournalFormat::Text)]
    pub format: JournalFormat,
}

/// `report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Write it as a web page that needs nothing else; a file of that name is replaced
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Which run, by its id; without it, the newest one
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `schedule`.
#[derive(Subcommand)]
pub enum ScheduleCommand {
    /// Print a nightly task: what it is, what its account needs, what exit codes mean to it
    Print(SchedulePrintArgs),
}

/// The schedulers that a task is printed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scheduler {
    /// Windows Task Scheduler: XML for schtasks /create /xml
    #[value(name = "task-scheduler")]
    Windows,
    /// SQL Server Agent: a job in T-SQL
    SqlAgent,
    /// systemd: a service and a timer
    Systemd,
    /// cron: a line for a crontab
    Cron,
}

impl Default for Scheduler {
    /// The one that this machine has.
    fn default() -> Self {
        if cfg!(windows) {
            Scheduler::Windows
        } else if cfg!(target_os = "linux") {
            Scheduler::Systemd
        } else {
            Scheduler::Cron
        }
    }
}

/// `schedule print`.
#[derive(Args)]
pub struct SchedulePrintArgs {
    /// When it starts, in the machine's own time: after the staging SQL has ended
    #[arg(long, value_name = "HH:MM", value_parser = time_of_day)]
    pub at: jiff::civil::Time,
    /// The scheduler; without it, this machine's own
    #[arg(long = "for", value_enum, value_name = "SCHEDULER")]
    pub scheduler: Option<Scheduler>,
    /// The task's name
    #[arg(long, value_name = "NAME", default_value = "csc-sender nightly")]
    pub name: String,
    /// The account that runs it (for sql-agent: the proxy)
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The program, where it is not this one
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// The folder that it starts in, where it is not this one; .env is looked for there
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Have each run write a report into this folder
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}

fn time_of_day(text: &str) -> Result<jiff::civil::Time, String> {
    let wrong = || format!("{text:?} is no time of day: write e.g. 02:00 or 23:30");
    let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
    let part = |part: &str| match part.len() {
        1 | 2 if part.bytes().all(|b| b.is_ascii_digit()) => part.parse::<i8>().ok(),
        _ => None,
    };
    let (hour, minute) = part(hour).zip(part(minute)).ok_or_else(wrong)?;
    jiff::civil::Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

/// Where a secret goes that `config import` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeepSecretsIn {
    /// The system's own store
    Store,
    /// The .env that is written
    Env,
    /// Nowhere: they are left
    No,
}

/// `config import`.
#[derive(Args)]
pub struct ImportArgs {
    /// The pilot's api_payload_sender.ps1, filled in, or its .env
    pub file: PathBuf,
    /// The file that is written
    #[arg(long, value_name = "FILE", default_value = ".env")]
    pub output: PathBuf,
    /// Replace that file where it is there
    #[arg(long)]
    pub force: bool,
    /// Where secrets go; without it you are asked, and where nobody can be asked they are left
    #[arg(long, value_enum, value_name = "WHERE")]
    pub keep_secrets_in: Option<KeepSecretsIn>,
}

/// `simulator`.
#[derive(Args)]
pub struct SimulatorArgs {
    /// The port on 127.0.0.1; 0 for any that is free
    #[arg(long, default_value_t = 18080)]
    pub port: u16,
    /// Other addresses than this machine's own are refused, and the message says why
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS", hide = true)]
    pub host: String,
    /// A fault to order; may be given several times (see below)
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<FaultOrder>,
    /// Keep no records, only counts: memory stays flat
    #[arg(long)]
    pub forget: bool,
}

/// `demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// How many fake children
    #[arg(long, default_value_t = 1000)]
    pub children: u32,
    /// A folder that does not exist yet, or is empty
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `fake`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct FakeArgs {
    /// Something else than filling the table.
    #[command(subcommand)]
    pub command: Option<FakeCommand>,
    /// How many fake children
    #[arg(long, value_name = "N", required = true, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub count: Option<u64>,
    /// Which ones.
    #[command(flatten)]
    pub which: WhichFakes,
    /// One in ten breaks a payload rule, each rule in its turn
    #[arg(long)]
    pub with_faults: bool,
    /// Remove the rows that are in the table
    #[arg(long)]
    pub replace: bool,
}

/// What gives the same fake children again.
#[derive(Args, Clone, Copy)]
pub struct WhichFakes {
    /// Another number gives other children; the same one, the same
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The day on which the children are as they are
    #[arg(long, value_name = "DATE", default_value = "2026-09-01")]
    pub as_of: jiff::civil::Date,
}

/// `fake changes`.
#[derive(Subcommand)]
pub enum FakeCommand {
    /// Make yesterday's table today's: payloads change, children go and come
    Changes {
        /// So many nights, one after the other
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=366))]
        days: u64,
        /// Which changes; the first night is that after --as-of.
        #[command(flatten)]
        which: WhichFakes,
    },
}

/// `scramble`.
#[derive(Args)]
pub struct ScrambleArgs {
    /// The table with real children; it is only read
    #[arg(long, value_name = "TABLE")]
    pub from: String,
    /// The table for the scrambled ones; its name ends in _anon
    #[arg(long, value_name = "TABLE")]
    pub to: String,
    /// Remove the rows that are in the table
    #[arg(long)]
    pub replace: bool,
}

/// The statuses that can be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResetStatus {
    /// Refused, or its retries were spent
    Error,
    /// Tried in testing mode
    Testing,
    /// Acknowledged by the receiver; in an _anon table only
    Sent,
}

/// `reset`.
#[derive(Args)]
pub struct ResetArgs {
    /// Only rows with this status; several with commas between. Without it all three
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub status: Vec<ResetStatus>,
    /// Say yes to the question that is asked for a table of real children
    #[arg(long)]
    pub yes: bool,
}

/// `config`.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Print every setting: its value, where it came from, what it overrides
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a commented .env to fill in
    Template,
    /// Write a .env from the pilot's PowerShell script, or from its .env
    Import(ImportArgs),
}

/// `secret`.
#[derive(Subcommand)]
pub enum SecretCommand {
    /// Keep a secret: its value is asked for, or read from standard input
    Set {
        /// Which one.
        #[arg(help = secret_names())]
        name: String,
        // Taken so that it can be refused without being repeated.
        #[arg(hide = true, num_args = 0.., allow_hyphen_values = true)]
        value: Vec<String>,
    },
    /// Show which secrets are kept, without their values
    List,
    /// Delete a secret from the system's store
    Delete {
        /// Which one.
        #[arg(help = secret_names())]
        name: String,
    },
}

fn secret_names() -> String {
    let names: Vec<&str> = Key::secrets().map(Key::name).collect();
    format!("One of {}", names.join(", "))
}

fn age(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("{text:?} is no age: write e.g. 26h, 90m or 2d");
    let (number, unit) = text
        .trim()
        .split_at_checked(text.trim().len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .map(std::time::Duration::from_secs)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use csc_message::Exit;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_names_every_exit_code() {
        for exit in Exit::ALL {
            let line = format!("{:<5}{}", exit.code(), exit.meaning());
            assert!(EXIT_CODES.contains(&line), "{line}");
        }
    }

    #[test]
    fn times_of_day_are_read() {
        assert_eq!(time_of_day("02:00").unwrap().to_string(), "02:00:00");
        assert_eq!(time_of_day("2:05").unwrap().to_string(), "02:05:00");
        for wrong in ["", "2", "24:00", "02:60", "-1:00", "2pm", "02:00:00"] {
            assert!(time_of_day(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages_are_read() {
        assert_eq!(age("26h").unwrap().as_secs(), 26 * 3600);
        assert_eq!(age("2d").unwrap().as_secs(), 172_800);
        for wrong in ["", "h", "26", "1w", "-1h", "é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
