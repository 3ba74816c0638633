//! PostgreSQL: URLs and libpq's text (its "Connection Strings"), and psqlODBC's strings.

use super::findings::Findings;
use super::pairs::{self, Fields, Keep, Meaning, Pair};
use super::url::Url;
use super::{ConnectionTarget, Credentials, Logon, PostgresTarget, SslMode};

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Host,
    HostAddress,
    Port,
    Database,
    User,
    Password,
    SslMode,
    SslRootCert,
    ConnectTimeout,
    ApplicationName,
    Options,
    SearchPath,
    Service,
}

/// libpq's and psqlODBC's keys. They don't contradict each other, so that what was
/// learnt from the one may be used in the other.
fn meaning(key: &str) -> Meaning<Field> {
    let field = match key {
        "host" | "server" | "servername" => Field::Host,
        "hostaddr" => Field::HostAddress,
        "port" => Field::Port,
        "dbname" | "database" => Field::Database,
        "user" | "username" | "uid" | "userid" => Field::User,
        "password" | "pwd" => Field::Password,
        "sslmode" => Field::SslMode,
        "sslrootcert" => Field::SslRootCert,
        "connecttimeout" | "connectiontimeout" | "logintimeout" => Field::ConnectTimeout,
        "applicationname" => Field::ApplicationName,
        "options" => Field::Options,
        "searchpath" | "currentschema" => Field::SearchPath,
        "service" => Field::Service,
        // Of libpq.
        "fallbackapplicationname" | "clientencoding" | "keepalives" | "keepalivesidle"
        | "keepalivesinterval" | "keepalivescount" | "tcpusertimeout" | "gssencmode"
        | "krbsrvname" | "sslcompression" | "sslsni" | "targetsessionattrs"
        | "loadbalancehosts" | "channelbinding" | "sslnegotiation"
        // Of psqlODBC.
        | "driver" | "description" | "protocol" | "readonly" | "fakeoidindex"
        | "showoidcolumn" | "rowversioning" | "showsystemtables" | "fetch"
        | "unknownsizes" | "maxvarcharsize" | "maxlongvarcharsize" | "debug" | "commlog"
        | "usedeclarefetch" | "textaslongvarchar" | "unknownsaslongvarchar"
        | "boolsaschar" | "parse" | "lfconversion" | "updatablecursors" | "trueisminus1"
        | "bi" | "byteaaslongvarbinary" | "useserversideprepare" | "lowercaseidentifier"
        | "gssauthusegss" | "xaopt" => return Meaning::NoMatter,
        _ => return Meaning::Unknown,
    };
    Meaning::Field(field)
}

/// Whether a key, in lower case, can begin a libpq text.
pub(super) fn is_libpq_key(key: &str) -> bool {
    matches!(
        key,
        "host"
            | "hostaddr"
            | "port"
            | "dbname"
            | "user"
            | "password"
            | "passfile"
            | "service"
            | "sslmode"
            | "sslrootcert"
            | "connect_timeout"
            | "application_name"
            | "client_encoding"
            | "options"
            | "target_session_attrs"
    )
}

pub(super) fn from_url(
    rest: &str,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let pairs = Url::read(rest, findings)?.into_pairs();
    target(pairs, Keep::Last, logon, findings)
}

pub(super) fn from_libpq(
    text: &str,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let pairs = pairs::libpq(text, findings);
    target(pairs, Keep::Last, logon, findings)
}

pub(super) fn from_odbc(
    pairs: Vec<Pair>,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    target(pairs, Keep::First, logon, findings)
}

fn target(
    pairs: Vec<Pair>,
    keep: Keep,
    logon: &Logon,
    findings: &mut Findings,
) -> Option<ConnectionTarget> {
    let mut fields = Fields::collect(pairs, keep, Field::Password, meaning, findings);
    let host = fields
        .take(Field::Host)
        .or_else(|| fields.take(Field::HostAddress));
    let host = match host {
        Some(pair) => checked_host(&pair, findings),
        // libpq's own default where there are no Unix sockets.
        None => Some("localhost".to_string()),
    };
    let port = match fields.take(Field::Port) {
        Some(pair) if pair.value.contains(',') => {
            findings.several_hosts();
            None
        }
        Some(pair) => pairs::port(&pair, findings),
        None => Some(5432),
    };
    let database = fields.take_value(Field::Database);
    if database.is_none() {
        findings.missing(
            "database",
            "the staging table is in one database of the server, and none was given",
            "add it: postgres://user@host/DATABASE, dbname=DATABASE or Database=DATABASE",
        );
    }
    let Credentials { user, password } = Credentials::settle(
        fields.take(Field::User),
        fields.take(Field::Password),
        logon,
    );
    if user.is_none() {
        findings.missing(
            "user",
            "PostgreSQL needs one, and csc-sender doesn't guess it from the Windows account",
            "add it: postgres://USER@host/database, user=USER or Uid=USER, or set DB_USER",
        );
    }
    if let Some(service) = fields.take(Field::Service) {
        findings.value(
            &service,
            "csc-sender doesn't read PostgreSQL's file of services",
            "write out the host, database and user of that service",
        );
    }
    // `system` means the operating system's certificates, and asks for the whole check.
    let root_certificates = fields.take_value(Field::SslRootCert);
    let of_the_system = root_certificates.as_deref() == Some("system");
    let sslmode = match fields.take(Field::SslMode) {
        Some(pair) => sslmode(&pair, findings),
        None if of_the_system => Some(SslMode::VerifyFull),
        None => Some(SslMode::default()),
    };
    let connect_timeout = fields
        .take(Field::ConnectTimeout)
        .and_then(|pair| pairs::seconds(&pair, findings));
    let search_path = fields.take_value(Field::SearchPath);
    Some(ConnectionTarget::Postgres(PostgresTarget {
        host: host?,
        port: port?,
        database: database?,
        user: user?,
        password,
        sslmode: sslmode?,
        sslrootcert: root_certificates.filter(|_| !of_the_system).map(Into::into),
        connect_timeout,
        application_name: fields.take_value(Field::ApplicationName),
        options: options(fields.take_value(Field::Options), search_path),
    }))
}

/// A name, an address, or the folder of a Unix socket.
fn checked_host(pair: &Pair, findings: &mut Findings) -> Option<String> {
    let host = pair.value.trim();
    if host.contains(',') {
        findings.several_hosts();
        return None;
    }
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let is_name = |host: &str| {
        host.chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    if host.starts_with('/') || inner.parse::<std::net::Ipv6Addr>().is_ok() || is_name(host) {
        return Some(inner.to_string());
    }
    findings.value(
        pair,
        "it is neither a host's name nor an address",
        "give the name or address alone; the port has a place of its own",
    );
    None
}

fn sslmode(pair: &Pair, findings: &mut Findings) -> Option<SslMode> {
    let word = pair.value.trim().to_lowercase();
    let mode = SslMode::ALL.into_iter().find(|mode| mode.word() == word);
    if mode.is_none() {
        let words: Vec<&str> = SslMode::ALL.into_iter().map(SslMode::word).collect();
        findings.value(
            pair,
            &format!("it takes one of {}", words.join(", ")),
            "write one of them; verify-full is the safest",
        );
    }
    mode
}

/// A search path as one of the session's options, where a blank or backslash in a
/// value has a backslash before it (libpq's `options`).
fn options(options: Option<String>, search_path: Option<String>) -> Option<String> {
    let search_path = search_path.map(|path| {
        let escaped: String = path
            .chars()
            .flat_map(|c| {
                let escape = (c.is_whitespace() || c == '\\').then_some('\\');
                escape.into_iter().chain([c])
            })
            .collect();
        format!("-c search_path={escaped}")
    });
    match (options, search_path) {
        (Some(options), Some(path)) => Some(format!("{options} {path}")),
        (options, path) => options.or(path),
    }
}
