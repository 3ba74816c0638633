//! The pipeline benchmark: how long a whole run takes, what it costs, and how far it is
//! from the limit, which is the same reads, posts and updates with nothing around them.
//!
//! `cargo run --release -p pipeline` makes a table of fake children, starts a receiver
//! that answers at once, and runs the built `csc-sender send --live` and the limit in
//! turn, each in a process of its own. What it prints is what `docs/performance.md` is
//! made of. It measures on Linux alone: the kernel's figures of an ended process are
//! read as Linux gives them.

// A benchmark's output is its result.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod alone;
mod bench;
mod figures;
mod limit;
mod measure;
mod mix;
mod place;
mod receiver;
mod sender;
mod sqlserver;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The benchmark's arguments.
#[derive(Parser)]
#[command(
    name = "pipeline",
    about = "Measures whole runs of csc-sender beside the limit",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    bench: bench::BenchArgs,
}

/// What the benchmark starts in processes of their own.
#[derive(Subcommand)]
enum Part {
    /// The limit.
    #[command(hide = true)]
    Limit(limit::LimitArgs),
    /// Runs a program and writes down what it cost.
    #[command(hide = true)]
    Measure(measure::MeasureArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.part {
        Some(Part::Measure(args)) => measure::run(&args),
        Some(Part::Limit(args)) => limit::run(&args).map(|()| ExitCode::SUCCESS),
        None => bench::run(&arguments.bench).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("pipeline: {error:#}");
        ExitCode::FAILURE
    })
}
