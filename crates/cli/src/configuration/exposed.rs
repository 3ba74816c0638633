//! Files of the program's that others on this machine may read: a warning, with the
//! command that mends it.
//!
//! On Unix mode bits are looked at, on Windows access lists.

#[cfg(any(windows, test))]
mod windows;

use std::path::{Path, PathBuf};

#[cfg(windows)]
pub use windows::{journal_folder, state_folder};

/// `.env` or `csc-sender.toml`.
pub fn settings_file(path: &Path) -> Option<String> {
    files(&[path.to_path_buf()], "it holds or may hold secrets")
}

/// The journal, on Unix with the files that SQLite puts beside it.
pub fn journal(path: &Path) -> Option<String> {
    files(&with_those_beside(path), "it holds children's ids")
}

#[cfg(unix)]
fn with_those_beside(path: &Path) -> Vec<PathBuf> {
    ["", "-wal", "-shm"]
        .map(|suffix| {
            let mut name = path.as_os_str().to_os_string();
            name.push(suffix);
            PathBuf::from(name)
        })
        .into()
}

/// There they have the folder's access list, at which [`journal_folder`] looks.
#[cfg(windows)]
fn with_those_beside(path: &Path) -> Vec<PathBuf> {
    vec![path.to_path_buf()]
}

/// The journal's folder: nothing in it has its rights.
#[cfg(unix)]
pub fn journal_folder(_journal: &Path, _state_folder: &Path) -> Option<String> {
    None
}

/// The log.
pub fn log(path: &Path) -> Option<String> {
    files(&[path.to_path_buf()], "it tells what was sent, and when")
}

/// One warning, about the first of these files that is exposed, with a command for all.
#[cfg(unix)]
fn files(paths: &[PathBuf], why: &str) -> Option<String> {
    let exposed: Vec<(&Path, Exposure)> = paths
        .iter()
        .filter_map(|path| Some((path.as_path(), Exposure::of(path, false)?)))
        .collect();
    let (first, exposure) = exposed.first()?;
    let paths: Vec<&Path> = exposed.iter().map(|(path, _)| *path).collect();
    Some(format!(
        "others on this machine may {} {} (mode {:03o}), and {why}; {}",
        exposure.verb,
        first.display(),
        exposure.mode,
        exposure.mend("600", &paths)
    ))
}

/// The state folder.
#[cfg(unix)]
pub fn state_folder(path: &Path) -> Option<String> {
    let found = Exposure::of(path, true)?;
    Some(format!(
        "others on this machine may {} the state folder {} (mode {:03o}); if it is csc-sender's \
         alone, {}; if not, name another in STATE_DIR",
        found.verb,
        path.display(),
        found.mode,
        found.mend("700", &[path])
    ))
}

#[cfg(windows)]
fn files(paths: &[PathBuf], why: &str) -> Option<String> {
    paths.iter().find_map(|path| windows::file(path, why))
}

/// What others may do.
#[cfg(unix)]
struct Exposure {
    mode: u32,
    is_ours: bool,
    verb: &'static str,
}

#[cfg(unix)]
impl Exposure {
    /// `None` where others may do nothing, or nothing is there.
    fn of(path: &Path, is_folder: bool) -> Option<Exposure> {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(path).ok()?;
        // A device, such as /dev/null for a log, is none of ours.
        let is_what_we_mean = if is_folder {
            found.is_dir()
        } else {
            found.is_file()
        };
        if !is_what_we_mean {
            return None;
        }
        let mode = found.mode() & 0o777;
        let is_ours = found.uid() == rustix::process::geteuid().as_raw();
        Some(Exposure {
            mode,
            is_ours,
            verb: what_others_may(mode, is_ours)?,
        })
    }

    /// The command, quoted for a shell. It leaves another owner's group as it is: it may
    /// be the way in for the account that runs the program.
    fn mend(&self, mode: &str, paths: &[&Path]) -> String {
        let quoted: Vec<String> = paths
            .iter()
            .map(|path| {
                let path = path.to_string_lossy();
                // No path has the one character that cannot be quoted, NUL.
                let quoted = shlex::try_quote(&path).unwrap_or_else(|_| path.clone());
                quoted.into_owned()
            })
            .collect();
        let paths = quoted.join(" ");
        if self.is_ours {
            format!("mend it: chmod {mode} {paths}")
        } else {
            format!("mend it as its owner: chmod o= {paths}")
        }
    }
}

/// What a file's mode lets others do. The group of another owner's file does not count:
/// root's file that the program's group may read is no accident.
#[cfg(unix)]
fn what_others_may(mode: u32, is_ours: bool) -> Option<&'static str> {
    let others = if is_ours { mode | mode >> 3 } else { mode };
    match (others & 0o4 != 0, others & 0o2 != 0) {
        (true, true) => Some("read and change"),
        (true, false) => Some("read"),
        (false, true) => Some("change"),
        (false, false) => None,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_as_others_for_our_own_files_only() {
        for (mode, ours, of_another) in [
            (0o600, None, None),
            (0o711, None, None),
            (0o640, Some("read"), None),
            (0o620, Some("change"), None),
            (0o644, Some("read"), Some("read")),
            (0o602, Some("change"), Some("change")),
            (0o666, Some("read and change"), Some("read and change")),
        ] {
            assert_eq!(what_others_may(mode, true), ours, "{mode:o}");
            assert_eq!(what_others_may(mode, false), of_another, "{mode:o}");
        }
    }

    #[test]
    fn a_device_or_a_missing_file_is_not_told() {
        assert_eq!(log(Path::new("/dev/null")), None);
        assert_eq!(journal(Path::new("/nowhere/journal.db")), None);
    }
}
