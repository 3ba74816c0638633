//! `csc-sender`: submits an authority's children's social care records to the DfE.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arguments;
mod commands;
mod configuration;
mod console;
mod logging;
mod panics;
mod progress;
mod safety;
mod secret_store;
mod steps;
mod summary;

use std::process::ExitCode;

use clap::Parser;
use csc_message::{Exit, Message};

use crate::arguments::Arguments;
use crate::configuration::World;

fn main() -> ExitCode {
    panics::install();
    let arguments = Arguments::parse();
    let exit = match commands::run(arguments, &World::real()) {
        Ok(exit) => exit,
        Err(messages) => fail(&messages),
    };
    console::point_to_explanation();
    ExitCode::from(exit.code())
}

/// Tells every message. The first one's exit code stands for all of them.
fn fail(messages: &[Message]) -> Exit {
    for message in messages {
        console::failure(message);
    }
    messages.first().map_or(Exit::Configuration, Message::exit)
}
