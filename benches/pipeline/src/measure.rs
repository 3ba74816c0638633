//! What a program costs: seconds, CPU seconds, peak memory.
//!
//! A small process of its own starts the program, because the kernel counts the memory
//! of whoever starts it towards its peak.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

/// `measure`.
#[derive(Args)]
pub struct MeasureArgs {
    /// The file that the cost is written to, as JSON.
    #[arg(long)]
    to: PathBuf,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

/// What a program cost from its start to its end.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Cost {
    /// On the clock.
    pub seconds: f64,
    /// User and system time, of all its threads.
    pub cpu_seconds: f64,
    /// The most memory it ever had resident.
    pub peak_bytes: u64,
}

/// Runs the program; its output and exit code are passed on.
pub fn run(args: &MeasureArgs) -> Result<ExitCode> {
    let Some((program, arguments)) = args.program.split_first() else {
        bail!("there is no program to measure");
    };
    let begun = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    let seconds = begun.elapsed().as_secs_f64();
    let (cpu_seconds, peak_bytes) = ended_children()?;
    let cost = Cost {
        seconds,
        cpu_seconds,
        peak_bytes,
    };
    std::fs::write(&args.to, serde_json::to_string(&cost)?)
        .with_context(|| format!("cannot write {}", args.to.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// CPU seconds and peak bytes of the one child that this process had.
#[cfg(target_os = "linux")]
fn ended_children() -> Result<(f64, u64)> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeVal;

    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| {
        std::time::Duration::from_secs(time.tv_sec().unsigned_abs())
            + std::time::Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    // Linux counts the peak in KiB (getrusage(2)).
    Ok((cpu.as_secs_f64(), usage.max_rss().unsigned_abs() * 1024))
}

#[cfg(not(target_os = "linux"))]
fn ended_children() -> Result<(f64, u64)> {
    bail!("this benchmark measures on Linux alone")
}

/// A command that runs the program through `measure`; add its environment to it.
pub fn measured(program: &Path, arguments: &[&str], to: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("measure")
        .arg("--to")
        .arg(to)
        .arg("--")
        .arg(program)
        .args(arguments)
        // No setting of this machine's may reach what is measured.
        .env_clear()
        .stdin(Stdio::null());
    Ok(command)
}

/// What `measure` wrote down.
pub fn cost(from: &Path) -> Result<Cost> {
    let text = std::fs::read_to_string(from)
        .with_context(|| format!("no cost was written to {}", from.display()))?;
    Ok(serde_json::from_str(&text)?)
}
