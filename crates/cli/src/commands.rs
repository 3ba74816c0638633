//! One file per command.

mod check;
mod completions;
mod config;
mod deltas;
mod demo;
mod explain;
mod fake;
mod import;
mod init;
mod journal;
mod report;
mod reset;
mod schedule;
mod scramble;
mod secret;
mod send;
mod simulator;
mod status;
mod validate;

pub use journal::since;

use std::future::Future;
use std::sync::Arc;

use csc_message::{Exit, Message};
use csc_sender_run::{Stop, Stopper};
use csc_staging::{ConnectionTarget, StagingStore, Standstill, TableName, connect};

use crate::arguments::{Arguments, CheckPart, Command};
use crate::configuration::{Config, ConfigArgs, Settings, World};
use crate::{console, logging};

/// What a command comes to: an exit code, or what kept it from its work.
pub type Outcome = Result<Exit, Vec<Message>>;

/// Does what the arguments ask for.
pub fn run(arguments: Arguments, world: &World<'_>) -> Outcome {
    let context = Context {
        verbose: arguments.verbose,
        config: arguments.config,
        world,
    };
    match arguments.command {
        Command::Send(args) => send::run(&context, &args),
        Command::Validate(args) => validate::run(&context, &args),
        Command::Deltas(command) => deltas::run(&context, &command),
        Command::Check(args) => check::run(&context, args.part, &args.how),
        Command::TestDbConnection(how) => check::run(&context, CheckPart::Database, &how),
        Command::TestSchema(how) => check::run(&context, CheckPart::Table, &how),
        Command::TestEndpoint(how) => check::run(&context, CheckPart::Receiver, &how),
        Command::Smoke(how) => check::run(&context, CheckPart::All, &how),
        Command::Explain(args) => explain::run(&args),
        Command::Init(args) => init::run(&context, &args),
        Command::Status(args) => status::run(&context, &args),
        Command::Journal(args) => journal::run(&context, &args),
        Command::Report(args) => report::run(&context, &args),
        Command::Schedule(command) => schedule::run(&context, &command),
        Command::Simulator(args) => simulator::run(&context, &args),
        Command::Demo(args) => demo::run(&context, &args),
        Command::Fake(args) => fake::run(&context, &args),
        Command::Scramble(args) => scramble::run(&context, &args),
        Command::Reset(args) => reset::run(&context, &args),
        Command::Config(command) => config::run(&context, &command),
        Command::Secret(command) => secret::run(&context, command),
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { dir } => completions::man(dir.as_deref()),
    }
}

/// What every command starts from.
pub struct Context<'a> {
    verbose: u8,
    config: ConfigArgs,
    world: &'a World<'a>,
}

impl Context<'_> {
    fn load(&self) -> Config {
        Config::load(&self.config, self.world)
    }

    fn start_log(&self, settings: &Settings) -> Result<(), Vec<Message>> {
        let verbose = if settings.debug { 2 } else { self.verbose };
        logging::start(verbose, settings.log_file.as_ref()).map_err(|e| vec![e])?;
        for warning in &settings.warnings {
            console::note(&format!("note: {warning}"));
        }
        warn_of_exposed(settings);
        Ok(())
    }
}

/// Warns of files of ours that others on this machine may read.
fn warn_of_exposed(settings: &Settings) {
    for warning in &settings.exposed {
        console::warning(warning);
    }
}

/// Runs a command's asynchronous part. Two threads: one reads and prepares while the
/// other posts and records.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Vec<Message>> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(work))
        .map_err(|e| vec![no_threads(&e)])
}

fn no_threads(error: &std::io::Error) -> Message {
    Message::new(
        210,
        "Cannot start the program's threads",
        error.to_string(),
        "close other programs, then start again",
    )
}

/// The staging table that the settings name.
async fn open_store(settings: &Settings) -> Result<Arc<dyn StagingStore>, Vec<Message>> {
    let Some(target) = &settings.database else {
        return Err(vec![Message::new(
            218,
            "No database is named",
            "this command was started without reading which one to use",
            "set DB_CONNECTION_STRING; if it is set, report this with the program's version",
        )]);
    };
    open_table(target, &settings.table).await
}

/// A table of a database, which says from now on what it waits for.
async fn open_table(
    target: &ConnectionTarget,
    table: &TableName,
) -> Result<Arc<dyn StagingStore>, Vec<Message>> {
    let store = connect(target, table)
        .await
        .map_err(|error| vec![Message::from(error)])?;
    tell_of_standstills(&*store);
    Ok(store)
}

/// Says what a store waits for in the middle of its work, for as long as there is one.
fn tell_of_standstills(store: &dyn StagingStore) {
    let (place, mut standstill) = (store.place(), store.standstill());
    tokio::spawn(async move {
        while standstill.changed().await.is_ok() {
            let line = match &*standstill.borrow_and_update() {
                Some(Standstill { why, patience }) => format!(
                    "Waiting for {place}: {why}. It is tried again for {} s at least, and the work \
                     goes on when that helps.",
                    patience.as_secs()
                ),
                None => format!("Going on: {place} answers again."),
            };
            console::note(&line);
        }
    });
}

/// The first Ctrl-C (or a service's stop) ends the batch under way and leaves; a second
/// one leaves at once.
fn stop_on_interrupt() -> Stop {
    let (stopper, stop) = Stop::new();
    tokio::spawn(watch_for_interrupts(stopper));
    stop
}

async fn watch_for_interrupts(stopper: Stopper) {
    interrupt().await;
    console::note(
        "Stopping: the batch under way is ended and recorded first (Ctrl-C again leaves at once).",
    );
    stopper.stop();
    interrupt().await;
    console::note(
        "Left at once: what became of the batch under way is not recorded; its rows go again.",
    );
    std::process::exit(Exit::Interrupted.code().into());
}

async fn interrupt() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Where no handler can be set, Ctrl-C ends the program as it always did.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
