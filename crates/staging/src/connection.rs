//! Connection strings: from the many spellings that authorities have in their files
//! to one typed value.
//!
//! What is read: `sqlite:PATH`; PostgreSQL as a URL, as libpq's `key=value` text and
//! as an ODBC string; SQL Server as an ODBC, OLE DB, ADO.NET or JDBC string, as
//! `mssql://…`, and from a server's and a database's name.
//!
//! A connection string may hold a password, and a password that is not quoted as its
//! form asks spills into what follows it. So no message ever holds the string, nor a
//! part of it that was not understood, nor a key or value that stands right after a
//! password.

mod findings;
mod pairs;
mod postgres;
mod server_address;
mod sql_server;
mod sqlite;
mod target;
#[cfg(test)]
mod tests;
mod url;

use csc_message::Message;
use secrecy::SecretString;

use findings::Findings;
use pairs::Pair;

pub use target::{
    ApplicationIntent, ConnectionTarget, Encrypt, PostgresTarget, SqlServerForm, SqlServerLogon,
    SqlServerTarget, SqlitePath, SslMode,
};

/// A connection string that was understood.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it means.
    pub target: ConnectionTarget,
    /// What in it has no effect here, a sentence each.
    pub warnings: Vec<String>,
}

/// A logon that was given apart from the connection string (DB_USER, DB_PASSWORD).
/// It fills in what the string leaves open and never goes before what it says.
#[derive(Clone, Debug, Default)]
pub struct Logon {
    /// The user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

/// Reads a connection string in any of the forms.
///
/// # Errors
/// All its faults at once, as messages CSC0220 to CSC0228, none of which holds a
/// password or the string as a whole.
pub fn parse(text: &str) -> Result<Parsed, Vec<Message>> {
    parse_with(text, &Logon::default())
}

/// As [`parse`], with a logon for what the string leaves open.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(text: &str, logon: &Logon) -> Result<Parsed, Vec<Message>> {
    let mut findings = Findings::default();
    let text = without_quotes(text.trim());
    let target = match Form::of(text) {
        Form::Sqlite(path) => sqlite::from_path(path, &mut findings),
        Form::PostgresUrl(rest) => postgres::from_url(rest, logon, &mut findings),
        Form::Libpq(text) => postgres::from_libpq(text, logon, &mut findings),
        Form::Jdbc(rest) => sql_server::from_jdbc(rest, logon, &mut findings),
        Form::SqlServerUrl(rest) => sql_server::from_url(rest, logon, &mut findings),
        Form::AdoNet(text) => sql_server::from_ado_net(text, logon, &mut findings),
        Form::Odbc(text) => from_odbc(text, logon, &mut findings),
        Form::DataSourceName => {
            findings.data_source_name();
            None
        }
        Form::OtherScheme(scheme) => {
            findings.unknown_scheme(scheme);
            None
        }
        Form::Unknown => {
            findings.unknown_form(text.is_empty());
            None
        }
    };
    findings.settle(target)
}

/// A SQL Server target from a server's name (`HOST\INSTANCE`, `host,port`, …) and a
/// database's, as the pilot's PowerShell script takes them: with the Windows logon,
/// or with a SQL logon where a user is given.
///
/// # Errors
/// All faults at once, as in [`parse`].
pub fn from_server_and_database(
    server: &str,
    database: &str,
    user: Option<&str>,
    password: Option<SecretString>,
) -> Result<Parsed, Vec<Message>> {
    let mut findings = Findings::of_server_and_database();
    let logon = Logon {
        user: user.map(str::to_string),
        password,
    };
    let target = sql_server::from_server_and_database(server, database, &logon, &mut findings);
    findings.settle(target)
}

/// Whether a text may hold a password, judged by its looks alone, so that a text that
/// cannot be understood is judged as well. Where in doubt, it may.
pub fn may_hold_password(text: &str) -> bool {
    let lower = text.to_lowercase();
    let has_url_password = lower
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .is_some_and(|(before, _)| before.contains(':'));
    has_url_password || lower.contains("pwd") || lower.contains("password")
}

/// `set NAME="value"` in a Windows command file makes the quotation marks part of the
/// value. No form begins and ends with one.
fn without_quotes(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|mark| text.strip_prefix(mark)?.strip_suffix(mark))
        .unwrap_or(text)
        .trim()
}

/// Which form a connection string has, with the part of it that the form's reader takes.
enum Form<'a> {
    Sqlite(&'a str),
    PostgresUrl(&'a str),
    Libpq(&'a str),
    Jdbc(&'a str),
    SqlServerUrl(&'a str),
    AdoNet(&'a str),
    Odbc(&'a str),
    DataSourceName,
    OtherScheme(&'a str),
    Unknown,
}

impl<'a> Form<'a> {
    fn of(text: &'a str) -> Form<'a> {
        let after = |prefix: &str| strip_prefix_ignoring_case(text, prefix);
        if let Some(path) = after("sqlite:") {
            return Form::Sqlite(path);
        }
        if let Some(rest) = after("postgres://").or_else(|| after("postgresql://")) {
            return Form::PostgresUrl(rest);
        }
        if let Some(rest) = after("jdbc:sqlserver://") {
            return Form::Jdbc(rest);
        }
        if let Some(rest) = after("mssql://") {
            return Form::SqlServerUrl(rest);
        }
        if let Some(scheme) = scheme(text) {
            return Form::OtherScheme(scheme);
        }
        if !text.contains('=') {
            return Form::Unknown;
        }
        Form::of_pairs(text)
    }

    /// `Driver=` makes it ODBC wherever it stands, except within a value that another form
    /// has in quotes. Otherwise the first key decides.
    fn of_pairs(text: &'a str) -> Form<'a> {
        let key = text.split('=').next().unwrap_or_default();
        let first = key.split_whitespace().collect::<String>().to_lowercase();
        let libpq =
            postgres::is_libpq_key(&first) && !Form::is_separated_by_semicolons(text, &first);
        let ado_net = sql_server::is_ado_net_key(&first);
        if libpq && Form::names_no_driver(text, pairs::libpq) {
            return Form::Libpq(text);
        }
        if !libpq && ado_net && Form::names_no_driver(text, pairs::ado_net) {
            return Form::AdoNet(text);
        }
        let as_odbc = pairs::odbc(text, &mut Findings::default());
        let has = |key: &str| as_odbc.iter().any(|pair| pair.key == key);
        if has("driver") {
            Form::Odbc(text)
        } else if has("dsn") || has("filedsn") {
            Form::DataSourceName
        } else if libpq {
            Form::Libpq(text)
        } else if ado_net {
            Form::AdoNet(text)
        } else {
            Form::Unknown
        }
    }

    /// Whether a text is flawless in a form and names neither a driver nor a data source.
    fn names_no_driver(text: &str, form: fn(&str, &mut Findings) -> Vec<Pair>) -> bool {
        let mut findings = Findings::default();
        let pairs = form(text, &mut findings);
        let is_odbc = |pair: &Pair| matches!(pair.key.as_str(), "driver" | "dsn" | "filedsn");
        !findings.has_faults() && !pairs.iter().any(is_odbc)
    }

    /// `user`, `port` and `password` can begin a libpq text and an ADO.NET string; a
    /// password may have a `;` in it in both.
    fn is_separated_by_semicolons(text: &str, first: &str) -> bool {
        if first == "password" {
            return sql_server::names_server(text);
        }
        let value = text
            .split_once('=')
            .map_or("", |(_, rest)| rest.trim_start());
        if value.starts_with('\'') {
            // One in quotes may be the value of either; what follows it tells.
            let (_, after) = pairs::libpq_value(value, 1, &mut Findings::default());
            return after.trim_start().starts_with(';');
        }
        let first_word = value.split(char::is_whitespace).next();
        first_word.is_some_and(|word| word.contains(';'))
    }
}

/// The scheme of a URL of a kind that is not known. Only letters, digits and `+-.:`
/// (`jdbc:mysql`), so that it cannot be part of a password.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let fits = scheme.len() <= 30
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c));
    (fits && !scheme.is_empty()).then_some(scheme)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

/// An ODBC string belongs to the database that its driver is for.
fn from_odbc(text: &str, logon: &Logon, findings: &mut Findings) -> Option<ConnectionTarget> {
    let pairs = pairs::odbc(text, findings);
    let driver = pairs.iter().find(|pair| pair.key == "driver")?;
    let name = driver.value.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if any(&["postgresql", "psqlodbc"]) {
        postgres::from_odbc(pairs, logon, findings)
    } else if any(&["sqlite"]) {
        sqlite::from_odbc(pairs, findings)
    } else if any(&[
        "sql server",
        "native client",
        "freetds",
        "msodbcsql",
        "tdsodbc",
    ]) {
        sql_server::from_odbc(pairs, logon, findings)
    } else {
        findings.unknown_driver(driver);
        None
    }
}

/// A user and password that a string and the logon beside it come to.
struct Credentials {
    user: Option<String>,
    password: Option<SecretString>,
}

impl Credentials {
    /// The string's own user goes first. A password from beside it belongs to the user
    /// beside it, so it isn't used for another one.
    fn settle(user: Option<Pair>, password: Option<Pair>, beside: &Logon) -> Credentials {
        let own_user = user.map(|pair| pair.value);
        let own_password = password.map(|pair| SecretString::from(pair.value));
        let same_user = match (&own_user, &beside.user) {
            (Some(own), Some(beside)) => own.eq_ignore_ascii_case(beside),
            (Some(_), None) | (None, Some(_)) | (None, None) => true,
        };
        Credentials {
            password: own_password.or_else(|| beside.password.clone().filter(|_| same_user)),
            user: own_user.or_else(|| beside.user.clone()),
        }
    }
}
