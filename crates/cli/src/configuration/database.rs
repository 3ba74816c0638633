//! Which database: DB_CONNECTION_STRING, or SERVER with DATABASE.

use csc_message::Message;
use csc_staging::connection::{self, ConnectionTarget, Logon, Parsed, SqlitePath};

use super::settings::Read;
use super::stored::Stored;
use super::{Found, Key, Source};

impl Read<'_> {
    pub(super) fn database(&mut self) -> Option<ConnectionTarget> {
        let config = self.config;
        let filled = |key| config.filled(key);
        let is_flag =
            |found: Option<&Found>| found.is_some_and(|found| found.source == Source::Flag);
        let (string, server, database) = (
            filled(Key::DbConnectionString),
            filled(Key::Server),
            filled(Key::Database),
        );
        // SERVER and DATABASE go before a connection string as flags only: their names
        // are used by other programs in the environment. One flag alone must not be
        // left out in silence, or the run would read another database than was asked.
        let by_flag = is_flag(server) || is_flag(database);
        if by_flag && is_flag(string) {
            self.faults.push(two_databases(
                "--db-connection-string and --server or --database are given",
            ));
            return None;
        }
        if by_flag && string.is_some() && (server.is_none() || database.is_none()) {
            self.faults.push(two_databases(
                "one of --server and --database is given, and DB_CONNECTION_STRING as well",
            ));
            return None;
        }
        let string = string.filter(|_| !by_flag);
        let source = match (string, server, database) {
            (Some(found), _, _) => &found.source,
            (None, Some(server), Some(_)) => &server.source,
            (None, Some(_), None) => {
                self.missing(Key::Database);
                return None;
            }
            (None, None, Some(_)) => {
                self.missing(Key::Server);
                return None;
            }
            (None, None, None) => {
                self.missing(Key::DbConnectionString);
                return None;
            }
        };
        let trim = |found: Option<&Found>| found.map_or("", |found| found.value.trim()).to_string();
        let parse = |logon: &Logon| match string {
            Some(found) => connection::parse_with(&found.value, logon),
            None => connection::from_server_and_database(
                &trim(server),
                &trim(database),
                logon.user.as_deref(),
                logon.password.clone(),
            ),
        };
        let mut logon = config.given_logon();
        let mut unknown = None;
        if takes_a_password(&parse, &logon) {
            match config.stored(Key::DbPassword) {
                Stored::Kept(found) => logon.password = Some(found.value.trim().into()),
                Stored::Absent => {}
                Stored::Unknown(why) => unknown = Some(why),
            }
        }
        let parsed = parse(&logon);
        if let Some(why) = unknown {
            // PostgreSQL may let this account in without one.
            if parsed.is_ok() {
                self.warnings.push(format!(
                    "DB_PASSWORD could not be looked up in the system's store, so the database \
                     is asked without one: {why}"
                ));
            } else {
                self.faults.push(Message::new(
                    254,
                    "DB_PASSWORD could not be looked up in the system's store",
                    why,
                    "let the store answer (docs/secrets.md), or put DB_PASSWORD into .env or the \
                     environment",
                ));
            }
        }
        match parsed {
            Ok(parsed) => {
                let warnings = parsed.warnings.into_iter();
                self.warnings
                    .extend(warnings.map(|warning| format!("database ({source}): {warning}")));
                Some(match parsed.target {
                    ConnectionTarget::Sqlite {
                        path: SqlitePath::File(file),
                    } => ConnectionTarget::Sqlite {
                        path: SqlitePath::File(source.base().join(file)),
                    },
                    target => target,
                })
            }
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|fault| {
                    let what = format!("{} (from {source})", fault.what());
                    fault.with_what(what)
                }));
                None
            }
        }
    }
}

/// Whether the logon lacks a password that the database would be given: then, and only
/// then, the system's store is asked for one.
fn takes_a_password(parse: &dyn Fn(&Logon) -> Result<Parsed, Vec<Message>>, logon: &Logon) -> bool {
    let has_password =
        |logon: &Logon| parse(logon).is_ok_and(|parsed| parsed.target.has_password());
    let with_any = Logon {
        password: Some("-".into()),
        ..logon.clone()
    };
    !has_password(logon) && has_password(&with_any)
}

/// Which database is meant would be a guess, and a wrong guess sends other children.
fn two_databases(what: &str) -> Message {
    Message::new(
        216,
        format!("Two databases are named: {what}"),
        "which one is meant would be a guess, and a part of a connection string is not replaced",
        "give --server and --database together, or DB_CONNECTION_STRING alone",
    )
}
