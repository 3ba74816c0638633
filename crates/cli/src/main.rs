//! `csc-sender`: submits an authority's children's social care records to the DfE.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arguments;
mod commands;
mod configuration;
mod console;
mod logging;
mod panics;
mod pilot;
mod progress;
mod report;
mod safety;
mod schedule;
mod secret_store;
mod steps;
mod summary;
mod version;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches};
use csc_message::{Exit, Message};

use crate::arguments::Arguments;
use crate::configuration::World;

fn main() -> ExitCode {
    panics::install();
    let arguments = arguments();
    console::plain(arguments.plain);
    let exit = match commands::run(arguments, &World::real()) {
        Ok(exit) => exit,
        Err(messages) => fail(&messages),
    };
    console::point_to_explanation();
    ExitCode::from(exit.code())
}

/// The command line. Help and its faults are without colour too where that is asked for;
/// otherwise `NO_COLOR` and where they go decide.
fn arguments() -> Arguments {
    let mut command = Arguments::command();
    if std::env::args_os().any(|argument| argument == "--plain") {
        command = command.color(ColorChoice::Never);
    }
    let matches = command.get_matches();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Tells every message. The first one's exit code stands for all of them.
fn fail(messages: &[Message]) -> Exit {
    for message in messages {
        console::failure(message);
    }
    messages.first().map_or(Exit::Configuration, Message::exit)
}
