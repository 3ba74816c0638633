//! What the program remembers between runs: an SQLite file in one state folder per
//! machine, created for the owner alone.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use csc_message::Message;
use csc_staging::{create_folder_for_owner, owner_only};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use crate::events::{self, Asked, ReadFault, Reader, RunEntry};
use crate::ledger::Ledger;
use crate::run_record::{self, RunBrief, RunRecord};

/// The file.
pub struct Journal {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

/// So many pages are kept beside the file before they are copied into it: what is kept is
/// emptied or deleted at the end, and some disks take a while to give back its room.
const CHECKPOINT_PAGES: u32 = 500;

/// How long another program's lock on the file is waited for.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(10);

/// A journal that was opened.
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// Where a damaged one was put that stood in its place.
    pub set_aside: Option<PathBuf>,
}

impl Journal {
    /// Opens the journal, creating it and its folder where they are missing. One that is
    /// damaged is set aside under another name, and a new one is begun: what was
    /// acknowledged is then not known, and everything goes once more in full.
    pub fn open(path: &Path) -> Result<Opened, Message> {
        let unusable = |why: String| {
            Message::new(
                202,
                format!("Cannot use the journal {}", path.display()),
                why,
                "name a file in JOURNAL, or a folder in STATE_DIR, that this account may write to, \
                 on a local disk",
            )
        };
        if is_on_a_network(path) {
            return Err(unusable(
                "it is on a network share, where SQLite's locks do not hold".into(),
            ));
        }
        let open = || -> rusqlite::Result<Connection> {
            // SQLite would delete what stands beside an empty file. In this order: whoever makes
            // a new one fills the file first.
            if !is_empty(&beside(path, "-wal")) && is_empty(path) {
                return Err(damaged("it is empty, and what belongs to it is not".into()));
            }
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_WAIT)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            // What a purge removes is overwritten, not just unlinked.
            connection.pragma_update(None, "secure_delete", "ON")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.set_prepared_statement_cache_capacity(32);
            // Two programs may open it at the same moment: one makes what is missing, the
            // other waits.
            let making = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            crate::ledger::migrate(&making)?;
            making.execute_batch(events::SCHEMA)?;
            crate::departures::migrate(&making)?;
            run_record::migrate(&making)?;
            making.execute_batch(
                "CREATE TABLE IF NOT EXISTS confirmed_endpoint (
                     endpoint     TEXT NOT NULL,
                     la_code      TEXT NOT NULL,
                     confirmed_at TEXT NOT NULL,
                     PRIMARY KEY (endpoint, la_code)
                 );
                 CREATE TABLE IF NOT EXISTS good_run (
                     place TEXT NOT NULL PRIMARY KEY,
                     at    TEXT NOT NULL
                 )",
            )?;
            making.commit()?;
            // Damage in a page that is not needed yet would end every run at the same place,
            // or pass for something that is not known. Two years' events take a second or two.
            let found: String =
                connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
            match found.as_str() {
                "ok" => Ok(connection),
                _ => Err(damaged(found)),
            }
        };
        let failed = |e: std::io::Error| match e.kind() {
            ErrorKind::PermissionDenied => of_another(path, &e),
            _ => unusable(e.to_string()),
        };
        let create = || create_for_owner(path).map_err(failed);
        // SQLite itself does not wait where another program is changing the kind of journal.
        let begun = Instant::now();
        let open = || loop {
            match open() {
                Err(error) if is_busy(&error) && begun.elapsed() < BUSY_WAIT => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                opened => return opened,
            }
        };
        create_folder_of(path).map_err(failed)?;
        // Whoever finds damage must be alone: otherwise another one who found it too would set
        // aside the new journal, or miss the file between the two.
        let alone = owner_only()
            .write(true)
            .create(true)
            .truncate(false)
            .open(beside(path, ".lock"))
            .and_then(|lock| lock_soon(&lock).map(|()| lock))
            .map_err(|e| match e.kind() {
                ErrorKind::PermissionDenied => of_another(path, &e),
                _ => unusable(format!("its lock: {e}")),
            })?;
        create()?;
        let (connection, set_aside) = match open() {
            Ok(connection) => (connection, None),
            Err(error) if is_damage(&error) => {
                let aside = set_aside(path).map_err(|e| {
                    unusable(format!(
                        "it is damaged ({error}), and cannot be set aside: {e}"
                    ))
                })?;
                create()?;
                (open().map_err(|e| unusable(e.to_string()))?, Some(aside))
            }
            Err(error) if is_full(&error) => return Err(full(path, &error)),
            Err(error) => return Err(unusable(error.to_string())),
        };
        drop(alone);
        Ok(Opened {
            journal: Journal {
                path: path.to_path_buf(),
                connection: Arc::new(Mutex::new(connection)),
            },
            set_aside,
        })
    }

    /// Removes the events of runs that began more than so many days ago; the ledger stays.
    /// Gives how many runs went. Counted from the last run, where the clock says more: a
    /// clock that is wrong for a night must not cost a year's events.
    pub fn prune(&self, keep_days: u32) -> Result<usize, Message> {
        events::prune(&mut self.connection(), keep_days).map_err(|e| refused(&self.path, &e))
    }

    /// The runs from this place that have begun here and not ended, the newest first: one
    /// of them may hold the table, the others were ended by force.
    pub fn open_runs(&self, place: &str) -> Result<Vec<RunEntry>, Message> {
        events::open_runs(&self.connection(), place).map_err(|e| refused(&self.path, &e))
    }

    /// Tells what left, when, to where, and what came back.
    pub fn read(&self, asked: &Asked, reader: &mut dyn Reader) -> Result<(), Message> {
        events::read(&self.connection(), asked, reader).map_err(|fault| match fault {
            ReadFault::Journal(error) => refused(&self.path, &error),
            ReadFault::Reader(error) => Message::new(
                281,
                "Cannot write out the journal",
                error.to_string(),
                "make room on the disk, or write to another place",
            ),
        })
    }

    /// What there is to report of a run: that of the id, or the newest one.
    pub fn run_record(&self, run_id: Option<&str>) -> Result<Option<RunRecord>, Message> {
        run_record::read(&self.connection(), run_id).map_err(|e| refused(&self.path, &e))
    }

    /// The runs from the same place to the same endpoint as this one, the oldest first: the
    /// newest five hundred.
    pub fn history(&self, run: &RunEntry) -> Result<Vec<RunBrief>, Message> {
        run_record::history(&self.connection(), run).map_err(|e| refused(&self.path, &e))
    }

    /// Opens a journal to read what it knows, and changes nothing: for whoever may not
    /// write to it. `None` where there is none.
    pub fn open_to_read(path: &Path) -> Result<Option<Self>, Message> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => {}
            // One that may not be looked at may be there.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => return Err(of_another(path, &e)),
            Ok(_) | Err(_) => return Ok(None),
        }
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )?;
            connection.busy_timeout(BUSY_WAIT)?;
            connection.query_row("SELECT count(*) FROM held_child", [], |_| Ok(()))?;
            Ok(connection)
        };
        let connection = open().map_err(|error| {
            Message::new(
                217,
                format!("Cannot read the journal {}", path.display()),
                error.to_string(),
                if is_damage(&error) {
                    SET_ASIDE_NEXT
                } else {
                    "let this account read it and its folder, or name another with JOURNAL"
                },
            )
        })?;
        Ok(Some(Journal {
            path: path.to_path_buf(),
            connection: Arc::new(Mutex::new(connection)),
        }))
    }

    /// Writes down that a live run from this place (a database and table) has ended well,
    /// also where there was nothing to do.
    pub fn note_good_run(&self, place: &str) -> Result<(), Message> {
        self.connection()
            .execute(
                "INSERT INTO good_run VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = excluded.at",
                (place, Timestamp::now().to_string()),
            )
            .map(|_| ())
            .map_err(|e| refused(&self.path, &e))
    }

    /// When the last live run from this place ended well.
    pub fn last_good_run(&self, place: &str) -> Result<Option<Timestamp>, Message> {
        self.connection()
            .query_row("SELECT at FROM good_run WHERE place = ?1", [place], |row| {
                row.get::<_, String>(0)
            })
            .optional()
            .map(|at| at.and_then(|at| at.parse().ok()))
            .map_err(|e| refused(&self.path, &e))
    }

    /// The ledger of one authority at one endpoint.
    pub fn ledger(&self, endpoint: &str, la_code: &str) -> Ledger {
        Ledger {
            path: self.path.clone(),
            connection: Arc::clone(&self.connection),
            endpoint: endpoint.trim_end_matches('/').to_string(),
            la_code: la_code.to_string(),
            account: Arc::default(),
            knows_rows: Arc::default(),
        }
    }

    /// Whether somebody has said yes to a live run of this authority to this endpoint.
    pub fn is_confirmed(&self, endpoint: &str, la_code: &str) -> Result<bool, Message> {
        self.connection()
            .query_row(
                "SELECT 1 FROM confirmed_endpoint WHERE endpoint = ?1 AND la_code = ?2",
                (endpoint, la_code),
                |_| Ok(()),
            )
            .optional()
            .map(|found| found.is_some())
            .map_err(|e| refused(&self.path, &e))
    }

    /// Remembers the yes.
    pub fn confirm(&self, endpoint: &str, la_code: &str) -> Result<(), Message> {
        self.connection()
            .execute(
                "INSERT OR IGNORE INTO confirmed_endpoint VALUES (?1, ?2, ?3)",
                (endpoint, la_code, Timestamp::now().to_string()),
            )
            .map(|_| ())
            .map_err(|e| refused(&self.path, &e))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn refused(path: &Path, error: &rusqlite::Error) -> Message {
    if is_full(error) {
        return full(path, error);
    }
    Message::new(
        202,
        format!("Cannot use the journal {}", path.display()),
        error.to_string(),
        if is_damage(error) {
            SET_ASIDE_NEXT
        } else {
            "close whatever else has the file open and make room on the disk, then start again"
        },
    )
}

/// What to do about damage that somebody meets who does not open the journal to send.
const SET_ASIDE_NEXT: &str = "start a live run: it keeps the damaged file under another name and \
                              begins a new one; look at the disk's health";

/// Whether there is no room for what is to be written: the disk is full, or so is what this
/// account may use of it, which the system says in another way.
fn is_full(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi;
    let Some(error) = error.sqlite_error() else {
        return false;
    };
    error.code == rusqlite::ErrorCode::DiskFull
        || [
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_SHMSIZE,
        ]
        .contains(&error.extended_code)
}

/// A safety rule: what cannot be written down does not go.
fn full(path: &Path, error: &rusqlite::Error) -> Message {
    Message::new(
        617,
        format!("Cannot write to the journal {}", path.display()),
        format!(
            "{error}: the disk that holds it is full, or what this account may use of it. Nothing \
             is sent that cannot be written down first"
        ),
        "make room on that disk, then start again. Do not delete the journal: the next run finds in \
         it what was sent",
    )
}

fn damaged(found: String) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some(found),
    )
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

/// Whether there is nothing in a file, or no file.
fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |found| found.len() == 0)
}

/// The file of that name with this at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Renames the file, and what SQLite keeps beside it.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let named = |end: &str| beside(path, end);
    let mut at = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    // A clock that was set back must not have one that was kept before overwritten.
    while named(&format!(".damaged-{at}")).exists() {
        at.push('x');
    }
    let aside = named(&format!(".damaged-{at}"));
    std::fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match std::fs::rename(named(end), named(&format!(".damaged-{at}{end}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(aside)
}

/// SQLite's locks do not hold on a network share, and a ledger that two machines write
/// to is worth nothing.
fn is_on_a_network(path: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        // The magic numbers of NFS, SMB, SMB2, CIFS, 9p, AFS, Coda and Ceph (statfs(2)).
        const NETWORKED: [u32; 8] = [
            0x6969,
            0x517B,
            0xFE53_4D42,
            0xFF53_4D42,
            0x0102_1997,
            0x5346_414F,
            0x7375_7245,
            0x00C3_6400,
        ];
        path.ancestors()
            .map(|folder| {
                if folder.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    folder
                }
            })
            .find_map(|folder| rustix::fs::statfs(folder).ok())
            .is_some_and(|found| {
                u32::try_from(found.f_type & 0xFFFF_FFFF)
                    .is_ok_and(|kind| NETWORKED.contains(&kind))
            })
    }
    #[cfg(not(target_os = "linux"))]
    {
        // A mapped drive shows its share's name once it is resolved.
        let resolved = path
            .ancestors()
            .find_map(|folder| std::fs::canonicalize(folder).ok())
            .unwrap_or_else(|| path.to_path_buf());
        let resolved = resolved.to_string_lossy();
        resolved.starts_with(r"\\?\UNC\")
            || (resolved.starts_with(r"\\") && !resolved.starts_with(r"\\?\"))
    }
}

/// The journal is for the account that made it.
fn of_another(path: &Path, error: &std::io::Error) -> Message {
    Message::new(
        255,
        format!("This account may not use the journal {}", path.display()),
        format!(
            "{error}; it is for the account that ran csc-sender here first, which may be that of \
             the scheduled task"
        ),
        format!(
            "run csc-sender as that account, or have it or an administrator let this one in: {}. \
             Do not begin a second journal for the same table: it does not know what was sent",
            let_in(path)
        ),
    )
}

/// The command that lets this account in.
#[cfg(windows)]
fn let_in(path: &Path) -> String {
    let us = csc_windows::access::current_account();
    let us = us.map_or_else(|_| "DOMAIN\\account".to_string(), |us| us.shown().into());
    let folder = path.parent().unwrap_or(Path::new("."));
    format!(
        "icacls \"{}\" /grant \"{us}:(OI)(CI)M\" /T",
        folder.display()
    )
}

/// Where the right to do so may come from.
#[cfg(unix)]
fn let_in(path: &Path) -> String {
    let folder = path.parent().unwrap_or(Path::new("."));
    format!("by the owner and mode of {}", folder.display())
}

/// Whether this account may write to it: SQLite would not say why it can't.
#[cfg(windows)]
fn may_be_opened(path: &Path) -> std::io::Result<()> {
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    opened.map(|_| ())
}

/// Closing a file here would let go of every lock that SQLite has on it in this process
/// (fcntl(2)), so it is left to SQLite.
#[cfg(unix)]
fn may_be_opened(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Waits for a lock that others hold for a moment only.
fn lock_soon(file: &File) -> std::io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < BUSY_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(std::io::Error::new(
                    ErrorKind::TimedOut,
                    "another program holds it",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

fn create_folder_of(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => create_folder_for_owner(folder),
        Some(_) | None => Ok(()),
    }
}

fn create_for_owner(path: &Path) -> std::io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => return may_be_opened(path),
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        Ok(_) | Err(_) => {}
    }
    create_folder_of(path)?;
    match owner_only().write(true).create_new(true).open(path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
