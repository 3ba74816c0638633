//! What is found in a connection string: its faults as messages, and what in it has
//! no effect. None of it holds more of the string than a value that is known to be
//! neither a password nor a part of one.

use csc_message::Message;

use super::pairs::Pair;
use super::{ConnectionTarget, Parsed, may_hold_password};

const UNKNOWN_FORM: u16 = 220;
const NOT_READABLE: u16 = 221;
const MISSING: u16 = 222;
const VALUE: u16 = 223;
const DATA_SOURCE_NAME: u16 = 224;
const DRIVER: u16 = 225;
const PROTOCOL: u16 = 226;
const ENTRA: u16 = 227;
const SEVERAL_HOSTS: u16 = 228;

/// The longest value that is shown, in characters.
const LONGEST_SHOWN: usize = 60;

/// Collects while a string is read, so that all is reported at once.
#[derive(Default)]
pub(super) struct Findings {
    subject: Subject,
    faults: Vec<Message>,
    warnings: Vec<String>,
}

/// What is being read.
#[derive(Clone, Copy, Default)]
enum Subject {
    #[default]
    ConnectionString,
    /// The settings SERVER and DATABASE.
    ServerAndDatabase,
}

impl Findings {
    /// For the settings SERVER and DATABASE, which stand in no connection string.
    pub(super) fn of_server_and_database() -> Self {
        Findings {
            subject: Subject::ServerAndDatabase,
            ..Findings::default()
        }
    }

    /// A key, as the beginning of a sentence.
    fn key(&self, pair: &Pair) -> String {
        match self.subject {
            Subject::ConnectionString => format!("The connection string's {}", pair.written),
            Subject::ServerAndDatabase => pair.written.clone(),
        }
    }

    /// The target, unless something was wrong with it.
    pub(super) fn settle(self, target: Option<ConnectionTarget>) -> Result<Parsed, Vec<Message>> {
        match target {
            Some(target) if self.faults.is_empty() => Ok(Parsed {
                target,
                warnings: self.warnings,
            }),
            Some(_) | None => Err(self.faults),
        }
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    pub(super) fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }

    fn fault(&mut self, code: u16, what: impl Into<String>, why: &str, next: &str) {
        self.faults.push(Message::new(code, what, why, next));
    }

    pub(super) fn unknown_form(&mut self, blank: bool) {
        let why = if blank {
            "it is blank"
        } else {
            "it is in none of the forms that csc-sender reads"
        };
        self.fault(
            UNKNOWN_FORM,
            "The connection string does not name a database",
            why,
            "write it as Driver={ODBC Driver 17 for SQL Server};Server=HOST\\INSTANCE;\
             Database=HDM_Local;Trusted_Connection=yes; or postgres://user@host/database \
             or sqlite:PATH",
        );
    }

    pub(super) fn unknown_scheme(&mut self, scheme: &str) {
        self.fault(
            UNKNOWN_FORM,
            format!("The connection string begins with {scheme}://"),
            "csc-sender reads no such address",
            "use mssql://, jdbc:sqlserver:// or postgres://, sqlite:PATH, or an ODBC string \
             that begins with Driver={…}",
        );
    }

    pub(super) fn data_source_name(&mut self) {
        self.fault(
            DATA_SOURCE_NAME,
            "The connection string names an ODBC data source (DSN)",
            "csc-sender needs no ODBC driver, so it cannot look up what Windows has stored \
             under that name",
            "open the data source in Windows' ODBC Data Source Administrator and write its \
             server and database out: Driver={ODBC Driver 17 for SQL Server};Server=…;\
             Database=…;Trusted_Connection=yes;",
        );
    }

    pub(super) fn unknown_driver(&mut self, driver: &Pair) {
        self.fault(
            DRIVER,
            format!("The connection string names the driver {}", shown(driver)),
            "csc-sender talks to SQL Server, PostgreSQL and SQLite only",
            "name a driver of one of these, e.g. Driver={ODBC Driver 17 for SQL Server}, \
             Driver={PostgreSQL Unicode} or Driver={SQLite3 ODBC Driver}",
        );
    }

    /// The string's grammar is broken; `part` says where without quoting it.
    pub(super) fn not_readable(&mut self, part: &str, why: &str, next: &str) {
        let what = match self.subject {
            Subject::ConnectionString => format!("The connection string cannot be read: {part}"),
            Subject::ServerAndDatabase => format!("SERVER and DATABASE cannot be used: {part}"),
        };
        self.fault(NOT_READABLE, what, why, next);
    }

    pub(super) fn missing(&mut self, what: &str, why: &str, next: &str) {
        let what = match self.subject {
            Subject::ConnectionString => format!("The connection string names no {what}"),
            Subject::ServerAndDatabase => format!("SERVER and DATABASE come with no {what}"),
        };
        self.fault(MISSING, what, why, next);
    }

    /// A value that goes on over what seems to be the password's key.
    pub(super) fn swallowed_password(&mut self, pair: &Pair) {
        let part = format!("the value of {} goes on too far", pair.written);
        self.not_readable(
            &part,
            "the key of a password is within it, so a closing mark is missing or in the wrong \
             place",
            "check the braces or quotation marks of that value",
        );
    }

    /// A value that its key does not take.
    pub(super) fn value(&mut self, pair: &Pair, why: &str, next: &str) {
        let what = format!("{} is not understood: {}", self.key(pair), shown(pair));
        self.fault(VALUE, what, why, next);
    }

    pub(super) fn protocol(&mut self, server: &Pair, why: &str, next: &str) {
        let what = format!("Cannot connect to the server {}", shown(server));
        self.fault(PROTOCOL, what, why, next);
    }

    pub(super) fn entra_logon(&mut self, authentication: &Pair) {
        self.fault(
            ENTRA,
            format!(
                "The connection string asks for the logon {}={}",
                authentication.written,
                shown(authentication)
            ),
            "logons through Microsoft Entra ID (Azure Active Directory) are not supported",
            "use the Windows logon (Trusted_Connection=yes) or a SQL logon (UID=…;PWD=…), \
             and take Authentication out",
        );
    }

    pub(super) fn several_hosts(&mut self) {
        self.fault(
            SEVERAL_HOSTS,
            "The connection string names several hosts",
            "csc-sender connects to one server",
            "name the one that takes writes, or the address that always leads to it",
        );
    }
}

/// A value as a message may hold it.
fn shown(pair: &Pair) -> String {
    // A whole connection string may stand in a value's place by mistake.
    if pair.hidden || pair.value.contains('@') || may_hold_password(&pair.value) {
        return "(a value that is not shown, since it may be part of a password)".to_string();
    }
    let mut value: String = pair.value.chars().take(LONGEST_SHOWN).collect();
    if value.len() < pair.value.len() {
        value.push('…');
    }
    format!("{value:?}")
}
