//! The log's file: one for each day, so many kept, for its owner alone.
//!
//! A day's file has the day in its name. Nothing is renamed: Windows does not rename a
//! file that somebody has open.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use csc_staging::owner_only;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object on each line.
    Json,
}

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// LOG_FILE.
    pub path: PathBuf,
    /// LOG_FORMAT.
    pub format: LogFormat,
    /// LOG_ROTATION: whether each day has a file of its own.
    pub daily: bool,
    /// LOG_KEEP: how many days' files are kept; 0 keeps all.
    pub keep: usize,
}

/// So many other names are tried where a program that is not ours keeps the day's file to
/// itself.
const OTHER_NAMES: u32 = 9;

impl LogFile {
    /// The file that is written to today, in UTC like the times in it.
    pub fn today(&self) -> PathBuf {
        self.of_day(today(), 0)
    }

    /// A device or a pipe (`/dev/null`) is one for all days.
    fn is_daily(&self) -> bool {
        self.daily && (self.path.is_file() || !self.path.exists())
    }

    fn of_day(&self, day: Date, other: u32) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_os_string();
        if self.is_daily() {
            name.push(format!(".{day}"));
        }
        if other > 0 {
            name.push(format!(".{other}"));
        }
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }

    /// The day of a file that this log has made.
    fn day_of(&self, name: &OsString) -> Option<Date> {
        let name = name.to_str()?;
        let rest = name.strip_prefix(self.path.file_stem()?.to_str()?)?;
        let rest = match self.path.extension() {
            Some(extension) => rest.strip_suffix(extension.to_str()?)?.strip_suffix('.')?,
            None => rest,
        };
        let (day, other) = rest.strip_prefix('.')?.split_at_checked(10)?;
        let is_ours = match other.strip_prefix('.') {
            Some(other) => other.len() == 1 && other != "0" && other.parse::<u32>().is_ok(),
            None => other.is_empty(),
        };
        is_ours.then(|| day.parse().ok()).flatten()
    }

    /// Opens a day's file. Another program may have it for itself (a spreadsheet, a virus
    /// scanner), so other names are tried: a night's run does not wait for them.
    fn open(&self, day: Date) -> io::Result<File> {
        self.open_with(day, &mut |path| {
            owner_only().create(true).append(true).open(path)
        })
    }

    fn open_with(
        &self,
        day: Date,
        open: &mut dyn FnMut(&Path) -> io::Result<File>,
    ) -> io::Result<File> {
        let mut opened = open(&self.of_day(day, 0));
        for other in 1..=OTHER_NAMES {
            match &opened {
                Err(error) if is_held_by_another(error) => opened = open(&self.of_day(day, other)),
                Ok(_) | Err(_) => break,
            }
        }
        opened
    }

    /// Deletes the files of days beyond the newest ones that are kept. What cannot be
    /// deleted, since somebody has it open, goes another day.
    fn prune(&self) {
        if self.keep == 0 || !self.is_daily() {
            return;
        }
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        let mut files: Vec<(Date, PathBuf)> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
            .filter_map(|entry| Some((self.day_of(&entry.file_name())?, entry.path())))
            .collect();
        files.sort();
        let mut days: Vec<Date> = files.iter().map(|(day, _)| *day).collect();
        days.dedup();
        let Some(oldest_kept) = days.iter().rev().nth(self.keep - 1) else {
            return;
        };
        for (day, path) in &files {
            if day < oldest_kept {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// `ERROR_SHARING_VIOLATION` and `ERROR_LOCK_VIOLATION`.
fn is_held_by_another(error: &io::Error) -> bool {
    cfg!(any(windows, test)) && matches!(error.raw_os_error(), Some(32 | 33))
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

/// Writes to the day's file.
pub struct Writer {
    log: LogFile,
    day: Date,
    file: File,
}

impl Writer {
    /// Opens today's file, and deletes what is not kept any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(log: LogFile) -> io::Result<Self> {
        let day = today();
        let file = log.open(day)?;
        log.prune();
        Ok(Writer { log, day, file })
    }

    /// At midnight the next day's file is begun. Where that can't be, the log goes on in
    /// the one it has.
    fn turn_to(&mut self, day: Date) {
        if day == self.day {
            return;
        }
        self.day = day;
        if self.log.is_daily()
            && let Ok(file) = self.log.open(day)
        {
            self.file = file;
            self.log.prune();
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn_to(today());
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(folder: &Path, name: &str, keep: usize) -> LogFile {
        LogFile {
            path: folder.join(name),
            format: LogFormat::Text,
            daily: true,
            keep,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_day_stands_before_the_extension() {
        let day: Date = "2026-11-24".parse().unwrap();
        for (name, expected) in [
            ("csc.log", "csc.2026-11-24.log"),
            ("a.b.log", "a.b.2026-11-24.log"),
            ("it's a log", "it's a log.2026-11-24"),
        ] {
            let log = log(Path::new("here"), name, 3);
            assert_eq!(log.of_day(day, 0), Path::new("here").join(expected));
            let name = OsString::from(expected);
            assert_eq!(log.day_of(&name), Some(day), "{name:?}");
        }
    }

    #[test]
    fn only_the_logs_own_files_are_its_own() {
        let log = log(Path::new(""), "csc.log", 3);
        for name in [
            "csc.log",
            "csc.2026-11-24.log.bak",
            "csc.2026-13-24.log",
            "csc.2026-11-24x.log",
            "csc.2026-11-24.10.log",
            "csc.2026-11-24.0.log",
            "csc2.2026-11-24.log",
            "csc.journal.log",
        ] {
            assert_eq!(log.day_of(&OsString::from(name)), None, "{name}");
        }
        assert!(
            log.day_of(&OsString::from("csc.2026-11-24.7.log"))
                .is_some()
        );
    }

    #[test]
    fn so_many_days_are_kept_and_nothing_else_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "csc.2026-01-01.log",
            "csc.2026-01-02.log",
            "csc.2026-01-02.1.log",
            "csc.2026-01-03.log",
            "other.2026-01-01.log",
            "csc.log",
        ] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let writer = Writer::open(log(folder.path(), "csc.log", 3)).unwrap();
        let today = format!("csc.{}.log", writer.day);
        drop(writer);
        assert_eq!(
            names(folder.path()),
            [
                "csc.2026-01-02.1.log",
                "csc.2026-01-02.log",
                "csc.2026-01-03.log",
                &today,
                "csc.log",
                "other.2026-01-01.log",
            ]
        );
        Writer::open(log(folder.path(), "csc.log", 0)).unwrap();
        assert_eq!(names(folder.path()).len(), 6, "0 keeps all");
    }

    #[test]
    fn at_midnight_the_next_days_file_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(log(folder.path(), "csc.log", 1)).unwrap();
        let first = writer.log.of_day(writer.day, 0);
        let tomorrow = writer.day.tomorrow().unwrap();
        writer.turn_to(tomorrow);
        writer.file.write_all(b"a line").unwrap();
        let next = writer.log.of_day(tomorrow, 0);
        assert_eq!(std::fs::read_to_string(&next).unwrap(), "a line");
        assert!(!first.exists(), "one day is kept");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&next).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[test]
    fn a_file_that_another_program_keeps_to_itself_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), "csc.log", 1);
        let day: Date = "2026-11-24".parse().unwrap();
        let mut asked = Vec::new();
        log.open_with(day, &mut |path| {
            asked.push(path.file_name().unwrap().to_str().unwrap().to_string());
            match asked.len() {
                1 => Err(io::Error::from_raw_os_error(32)),
                _ => owner_only().create(true).append(true).open(path),
            }
        })
        .unwrap();
        assert_eq!(asked, ["csc.2026-11-24.log", "csc.2026-11-24.1.log"]);
        let mut asked = 0;
        let refused = log.open_with(day, &mut |_| {
            asked += 1;
            Err(io::ErrorKind::PermissionDenied.into())
        });
        assert!(refused.is_err());
        assert_eq!(asked, 1, "another name would not help");
    }

    #[test]
    fn a_log_that_is_not_daily_is_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile {
            daily: false,
            ..log(folder.path(), "csc.log", 1)
        };
        assert_eq!(log.today(), folder.path().join("csc.log"));
        Writer::open(log).unwrap();
        assert_eq!(names(folder.path()), ["csc.log"]);
        #[cfg(unix)]
        {
            let device = super::tests::log(Path::new("/dev"), "null", 1);
            assert_eq!(device.today(), Path::new("/dev/null"));
        }
    }
}
