//! Tells the program which commit it was built from, and when, for `--version`.
//!
//! `git` is not asked, and need not be there: what it keeps of the commit is a line in a
//! file. Only this crate is built anew when that line changes. A build from an archive
//! names the commit in `CSC_SENDER_COMMIT`, and one that must come out the same again its
//! time in `SOURCE_DATE_EPOCH`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CSC_SENDER_COMMIT");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let given = std::env::var("CSC_SENDER_COMMIT").ok();
    let commit = given
        .filter(|commit| is_commit(commit))
        .or_else(commit_of_this_folder)
        .map_or("unknown".to_string(), |commit| commit[..12].to_string());
    println!("cargo:rustc-env=CSC_SENDER_COMMIT={commit}");
    println!("cargo:rustc-env=CSC_SENDER_BUILT={}", day(built_at()));
}

fn is_commit(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn commit_of_this_folder() -> Option<String> {
    // As it is now, not as it was when this script was compiled: a target folder may be shared.
    let crate_folder = std::env::var_os("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&crate_folder).join("../..");
    let (own, common) = git_folders(&root.join(".git"))?;
    let head = watched(&own.join("HEAD"))?;
    // A line more with each commit, also where the branch itself is in packed-refs.
    let _ = watched(&own.join("logs/HEAD"));
    let Some(branch) = head.strip_prefix("ref: ") else {
        return Some(head).filter(|commit| is_commit(commit));
    };
    watched(&common.join(branch))
        .or_else(|| {
            let packed = watched(&common.join("packed-refs"))?;
            let name = format!(" {branch}");
            let line = packed.lines().find(|line| line.ends_with(&name))?;
            line.split_whitespace().next().map(str::to_string)
        })
        .filter(|commit| is_commit(commit))
}

/// The folder of this checkout, and that of its repository: two in a worktree.
fn git_folders(git: &Path) -> Option<(PathBuf, PathBuf)> {
    if git.is_dir() {
        return Some((git.to_path_buf(), git.to_path_buf()));
    }
    let text = fs::read_to_string(git).ok()?;
    let own = git.parent()?.join(text.trim().strip_prefix("gitdir: ")?);
    let common = fs::read_to_string(own.join("commondir")).ok()?;
    let common = own.join(common.trim());
    Some((own, common))
}

/// A file's text. Cargo looks whether it has changed; one that is not there yet would have
/// the script run each time, so it is not named then.
fn watched(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text.trim().to_string())
}

fn built_at() -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    given.and_then(|at| at.parse().ok()).unwrap_or_else(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    })
}

/// The date of so many seconds after 1970 began, in UTC: counted from 1 March of year 0,
/// so that a leap day is a year's last.
fn day(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..=9 => (year + era * 400, month + 3),
        _ => (year + era * 400 + 1, month - 9),
    };
    format!("{year:04}-{month:02}-{date:02}")
}
