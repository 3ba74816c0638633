//! SQLite: `sqlite:PATH`, `sqlite::memory:`, and the ODBC driver's strings.

use std::path::PathBuf;

use super::findings::Findings;
use super::pairs::{self, Fields, Keep, Meaning, Pair};
use super::{ConnectionTarget, SqlitePath, may_hold_password};

/// `path` is what follows `sqlite:`. After `//` an absolute path is expected, as
/// `sqlite:///data/x.db` and `sqlite:///C:/data/x.db`.
pub(super) fn from_path(path: &str, findings: &mut Findings) -> Option<ConnectionTarget> {
    let path = match path.strip_prefix("//") {
        None => path,
        Some(absolute) => match absolute.strip_prefix('/') {
            Some(drive) if begins_with_drive(drive) => drive,
            Some(_) | None => absolute,
        },
    };
    target(&Pair::new("path", path), findings)
}

pub(super) fn from_odbc(pairs: Vec<Pair>, findings: &mut Findings) -> Option<ConnectionTarget> {
    #[derive(Clone, Copy, PartialEq)]
    enum Field {
        Database,
        Password,
    }
    let meaning = |key: &str| match key {
        "database" => Meaning::Field(Field::Database),
        "pwd" | "password" => Meaning::Field(Field::Password),
        "driver" | "description" | "timeout" | "busytimeout" | "stepapi" | "notxn"
        | "syncpragma" | "longnames" | "shortnames" | "nocreat" | "fksupport" | "journalmode"
        | "oemcp" => Meaning::NoMatter,
        _ => Meaning::Unknown,
    };
    let mut fields = Fields::collect(pairs, Keep::First, Field::Password, meaning, findings);
    if fields.take(Field::Password).is_some() {
        findings.warn("SQLite has no passwords; the one in the connection string has no effect");
    }
    match fields.take(Field::Database) {
        Some(database) => target(&database, findings),
        None => target(&Pair::new("Database", ""), findings),
    }
}

fn target(path: &Pair, findings: &mut Findings) -> Option<ConnectionTarget> {
    let text = path.value.trim();
    if text.is_empty() {
        findings.missing(
            "file",
            "SQLite keeps a database in a file, and none was given",
            "write sqlite:PATH, e.g. sqlite:C:\\data\\staging.db",
        );
        return None;
    }
    if text == ":memory:" {
        return Some(ConnectionTarget::Sqlite {
            path: SqlitePath::Memory,
        });
    }
    let looks_like_uri = text.starts_with("file:") || text.contains('?');
    // A path is shown; a password that was put behind it must not be.
    let looks_like_pairs =
        pairs::holds_password_key(text) || text.contains(';') && may_hold_password(text);
    if looks_like_uri || looks_like_pairs || text.contains('\0') {
        findings.value(
            path,
            "it takes a plain path, without file: and without parameters after a ? or a ;",
            "write the path of the file as the operating system does",
        );
        return None;
    }
    Some(ConnectionTarget::Sqlite {
        path: SqlitePath::File(PathBuf::from(text)),
    })
}

/// `C:/…` or `C:\…`.
fn begins_with_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
}
