//! The program that is measured.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bench::Mode;
use crate::limit::DATABASE;
use crate::measure::{Cost, cost, measured};
use crate::place::Place;
use crate::receiver::{API_PATH, Receiver, TOKEN_PATH};

const LA_CODE: &str = "845";

/// Where the limit posts to: where csc-sender does.
pub fn submission_url(receiver: &Receiver) -> String {
    format!(
        "{}{API_PATH}/children_social_care_data/{LA_CODE}/children",
        receiver.base()
    )
}

/// The built csc-sender, with the folder that it keeps its journal in.
pub struct Sender {
    program: PathBuf,
    folder: PathBuf,
}

impl Sender {
    /// The one that was named; otherwise that which lies beside the benchmark, built anew
    /// where it is missing or older than its sources.
    pub fn find(named: Option<&Path>, folder: &Path) -> Result<Sender> {
        let program = match named {
            Some(program) => program.canonicalize(),
            None => build(),
        };
        Ok(Sender {
            program: program.context("no csc-sender to measure")?,
            folder: folder.to_path_buf(),
        })
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn kept_state(&self) -> PathBuf {
        self.folder.join("state.kept")
    }

    /// Keeps what csc-sender remembers now.
    pub fn keep_state(&self) -> Result<()> {
        remove_folder(&self.kept_state())?;
        copy_folder(&self.state(), &self.kept_state())
    }

    /// Takes csc-sender back to what it remembered when that was kept.
    pub fn restore_state(&self) -> Result<()> {
        remove_folder(&self.state())?;
        copy_folder(&self.kept_state(), &self.state())
    }

    /// Makes csc-sender forget everything.
    pub fn forget(&self) -> Result<()> {
        for folder in [self.state(), self.kept_state()] {
            remove_folder(&folder)?;
            std::fs::create_dir(&folder)?;
        }
        Ok(())
    }

    /// Runs `csc-sender send --live`; gives what it cost, and how many rows it says it
    /// has sent. A run in which anything was refused is no measurement.
    /// `gap` is MIN_GAP_MS.
    pub fn send(
        &self,
        place: &Place,
        receiver: &Receiver,
        mode: Mode,
        gap: Option<Duration>,
    ) -> Result<(Cost, u64)> {
        let to = self.folder.join("send.json");
        let mode = match mode {
            Mode::Full => "full",
            Mode::Deltas => "deltas",
        };
        // One child in twenty is deleted: more than the ceiling for purges lets pass.
        let purges = u64::MAX.to_string();
        let arguments = [
            "send",
            "--live",
            "--yes",
            "--json",
            "--mode",
            mode,
            "--allow-purges",
            &purges,
        ];
        let base = receiver.base();
        let output = measured(&self.program, &arguments, &to)?
            .current_dir(&self.folder)
            .env("API_ENDPOINT", format!("{base}{API_PATH}"))
            .env("TOKEN_ENDPOINT", format!("{base}{TOKEN_PATH}"))
            .env("SUPPLIER_KEY", "benchmark-key")
            .env("CLIENT_ID", "benchmark-client")
            .env("CLIENT_SECRET", "benchmark-secret")
            .env("SCOPE", "api://benchmark/.default")
            .env("LA_CODE", LA_CODE)
            .env(DATABASE, place.connection())
            .env("TABLE_NAME", place.table())
            .env("STATE_DIR", self.state())
            .env(
                "MIN_GAP_MS",
                gap.unwrap_or_default().as_millis().to_string(),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()?;
        if !output.status.success() {
            bail!(
                "csc-sender failed ({}):\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let summary: Value = serde_json::from_slice(&output.stdout)?;
        let figure = |key: &str| summary.get(key).and_then(Value::as_u64);
        ensure!(
            figure("refused") == Some(0) && figure("left") == Some(0),
            "not every row was sent: {summary}"
        );
        let sent = figure("sent").context("csc-sender does not say how many were sent")?;
        Ok((cost(&to)?, sent))
    }
}

/// Builds csc-sender with this benchmark's profile into this benchmark's target folder;
/// that takes a moment where it is there already.
fn build() -> std::io::Result<PathBuf> {
    let benchmark = std::env::current_exe()?;
    let profile_folder = benchmark.parent().unwrap_or(Path::new("."));
    let target_folder = profile_folder.parent().unwrap_or(Path::new("."));
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--release", "--package", "csc-sender"])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .arg("--target-dir")
        .arg(target_folder)
        .status()?;
    if !status.success() {
        return Err(std::io::Error::other("csc-sender could not be built"));
    }
    let name = format!("csc-sender{}", std::env::consts::EXE_SUFFIX);
    profile_folder.join(name).canonicalize()
}

fn remove_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// The files of a folder that has no folders in it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        std::fs::copy(entry.path(), &copy)?;
        std::fs::File::open(copy)?.sync_all()?;
    }
    Ok(())
}
