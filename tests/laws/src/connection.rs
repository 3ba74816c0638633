use std::fmt::Write;

use csc_message::Message;
use csc_staging::connection::{
    ApplicationIntent, ConnectionTarget, Logon, Parsed, PostgresTarget, SqlServerForm,
    SqlServerLogon, SqlServerTarget, SqlitePath, from_server_and_database, may_hold_password,
    parse, parse_with,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;

use crate::first_line;

/// What must not be shown, and is nobody's word.
const CANARY: &str = "CANARY7Q";

/// A first line that is a connection string, then a password.
///
/// - A string that is understood, written again in each of its database's forms (libpq,
///   URL, ODBC, ADO.NET, JDBC), means the same.
/// - What is said of it does not depend on its password.
/// - Any password comes out of each form as it went in, if it is quoted as the form asks.
/// - One that is not is never shown, as long as it names no key of its own.
pub fn connection(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (text, password) = first_line(text);
    match parse(text) {
        Ok(parsed) => {
            written_again(&parsed.target);
            shown_whatever_the_password(text, &parsed);
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "a refusal says why");
            assert!(faults.iter().all(|f| (220..=228).contains(&f.code())));
        }
    }
    quoted(password);
    let (before, after) = password.split_once(CANARY).unwrap_or((password, ""));
    unquoted(before, after);
    apart(text, password);
}

/// All that can be said of a string, with the user's own words and without.
fn everything_said(result: &Result<Parsed, Vec<Message>>) -> String {
    match result {
        Ok(parsed) => format!("{} {parsed:?}", parsed.target),
        Err(faults) => {
            let texts: Vec<String> = faults.iter().map(Message::to_string).collect();
            format!("{texts:?} {faults:?}")
        }
    }
}

fn password(target: &ConnectionTarget) -> Option<&str> {
    match target {
        ConnectionTarget::Sqlite { path: _ } => None,
        ConnectionTarget::Postgres(target) => target.password.as_ref().map(|p| p.expose_secret()),
        ConnectionTarget::SqlServer(target) => match &target.logon {
            SqlServerLogon::Windows => None,
            SqlServerLogon::Sql { user: _, password } => Some(password.expose_secret()),
        },
    }
}

/// What a target comes to, its password included, whatever form it was written in.
fn meaning(target: &ConnectionTarget) -> String {
    let of_no_form = match target {
        ConnectionTarget::SqlServer(target) => ConnectionTarget::SqlServer(SqlServerTarget {
            form: SqlServerForm::Odbc,
            driver: None,
            encrypt: Some(target.encryption()),
            ..target.clone()
        }),
        other @ (ConnectionTarget::Sqlite { .. } | ConnectionTarget::Postgres(_)) => other.clone(),
    };
    format!("{of_no_form:?} {:?}", password(target))
}

fn written_again(target: &ConnectionTarget) {
    let forms = match target {
        ConnectionTarget::Sqlite { path } => match path {
            SqlitePath::Memory => vec!["sqlite::memory:".to_string()],
            SqlitePath::File(file) => {
                let path = file.to_str().unwrap();
                let odbc = format!("Driver={{SQLite3 ODBC Driver}};Database={}", odbc(path));
                // A path that begins with // is written as one that is absolute.
                let leading = if path.starts_with("//") { "//" } else { "" };
                vec![format!("sqlite:{leading}{path}"), odbc]
            }
        },
        ConnectionTarget::Postgres(target) => of_postgres(target),
        ConnectionTarget::SqlServer(target) => of_sql_server(target),
    };
    let meant = meaning(target);
    // No URL can hold a NUL.
    if meant.contains("\\0") {
        return;
    }
    for form in forms {
        match parse(&form) {
            Ok(again) => assert_eq!(meaning(&again.target), meant, "{form}"),
            Err(faults) => panic!("{form}: {faults:?}"),
        }
    }
}

fn odbc(value: &str) -> String {
    format!("{{{}}}", value.replace('}', "}}"))
}

fn ado_net(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

fn libpq(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

fn url(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// `key=value` parts, with what stands between them, each value in its form's quotes.
fn pairs(
    parts: &[(&str, Option<String>)],
    between: &str,
    quoted: impl Fn(&str) -> String,
) -> String {
    let mut text = String::new();
    for (key, value) in parts {
        if let Some(value) = value {
            write!(text, "{key}={}{between}", quoted(value)).unwrap();
        }
    }
    text
}

fn host_of_url(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        url(host)
    }
}

fn of_postgres(target: &PostgresTarget) -> Vec<String> {
    let password = target.password.as_ref().map(|p| p.expose_secret());
    let rest = [
        ("sslmode", Some(target.sslmode.word().to_string())),
        (
            "sslrootcert",
            target
                .sslrootcert
                .as_ref()
                .map(|file| file.to_str().unwrap().to_string()),
        ),
        (
            "connect_timeout",
            target
                .connect_timeout
                .map(|time| time.as_secs().to_string()),
        ),
        ("application_name", target.application_name.clone()),
        ("options", target.options.clone()),
    ];
    let whole: Vec<(&str, Option<String>)> = [
        ("host", Some(target.host.clone())),
        ("port", Some(target.port.to_string())),
        ("dbname", Some(target.database.clone())),
        ("user", Some(target.user.clone())),
        ("password", password.map(str::to_string)),
    ]
    .into_iter()
    .chain(rest.clone())
    .collect();
    vec![
        pairs(&whole, " ", libpq),
        format!("Driver={{PostgreSQL Unicode}};{}", pairs(&whole, ";", odbc)),
        format!(
            "postgres://{}{}@{}:{}/{}?{}",
            url(&target.user),
            password.map_or(String::new(), |p| format!(":{}", url(p))),
            host_of_url(&target.host),
            target.port,
            url(&target.database),
            pairs(&rest, "&", url)
        ),
    ]
}

fn of_sql_server(target: &SqlServerTarget) -> Vec<String> {
    let (user, password, windows) = match &target.logon {
        SqlServerLogon::Windows => (None, None, Some("yes".to_string())),
        SqlServerLogon::Sql { user, password } => (
            Some(user.clone()),
            Some(password.expose_secret().to_string()),
            None,
        ),
    };
    let yes = |is: bool| is.then(|| "yes".to_string());
    let rest = [
        ("Encrypt", Some(target.encryption().word().to_string())),
        (
            "TrustServerCertificate",
            yes(target.trust_server_certificate),
        ),
        (
            "HostNameInCertificate",
            target.host_name_in_certificate.clone(),
        ),
        (
            "ApplicationIntent",
            Some(
                match target.application_intent {
                    ApplicationIntent::ReadWrite => "ReadWrite",
                    ApplicationIntent::ReadOnly => "ReadOnly",
                }
                .to_string(),
            ),
        ),
        ("MultiSubnetFailover", yes(target.multi_subnet_failover)),
        ("FailoverPartner", target.failover_partner.clone()),
        ("ServerSpn", target.server_spn.clone()),
        (
            "ConnectTimeout",
            target
                .connect_timeout
                .map(|time| time.as_secs().to_string()),
        ),
        ("ApplicationName", target.app.clone()),
        ("WorkstationID", target.wsid.clone()),
        ("IntegratedSecurity", windows),
    ];
    let with = |first: Vec<(&'static str, Option<String>)>| -> Vec<(&'static str, Option<String>)> {
        first.into_iter().chain(rest.clone()).collect()
    };
    let server = target.server();
    let whole = with(vec![
        ("Server", Some(server)),
        ("Database", Some(target.database.clone())),
        ("User", user.clone()),
        ("Password", password.clone()),
    ]);
    let beside_server = |database: Option<String>, user, password| {
        with(vec![
            ("Database", database),
            ("InstanceName", target.instance.clone()),
            ("PortNumber", target.port.map(|port| port.to_string())),
            ("User", user),
            ("Password", password),
        ])
    };
    let host = if target.host.contains(':') {
        format!("[{}]", target.host)
    } else {
        target.host.clone()
    };
    let logon = match (&user, &password) {
        (Some(user), Some(password)) => format!("{}:{}@", url(user), url(password)),
        (_, _) => String::new(),
    };
    vec![
        format!("Driver={{SQL Server}};{}", pairs(&whole, ";", odbc)),
        pairs(&whole, ";", ado_net),
        format!(
            "jdbc:sqlserver://{host};{}",
            pairs(
                &beside_server(Some(target.database.clone()), user, password),
                ";",
                odbc
            )
        ),
        format!(
            "mssql://{logon}{}/{}?{}",
            host_of_url(&target.host),
            url(&target.database),
            pairs(&beside_server(None, None, None), "&", url)
        ),
    ]
}

/// Another password in the place of the same characters changes nothing that is said.
fn shown_whatever_the_password(text: &str, parsed: &Parsed) {
    let Some(password) = password(&parsed.target) else {
        return;
    };
    // What is written in another way, or twice, can't be told apart here.
    let is_plain = password.len() >= 4
        && password.bytes().all(|b| b.is_ascii_alphanumeric())
        && text.matches(password).count() == 1;
    if !is_plain {
        return;
    }
    let other = parse(&text.replace(password, CANARY));
    let Ok(other) = &other else {
        panic!("{text} is understood with one password and not with another");
    };
    assert_eq!(self::password(&other.target), Some(CANARY));
    assert_eq!(
        everything_said(&Ok(other.clone())),
        everything_said(&Ok(parsed.clone()))
    );
}

/// Every form with a password as the form asks for it.
fn quoted(password: &str) {
    if password.trim().is_empty() || password.contains('\0') {
        return;
    }
    let forms = |password: &str| {
        [
            format!("host=h user=u password={} dbname=d", libpq(password)),
            format!("user=u password={} host=h dbname=d", libpq(password)),
            format!("postgresql://u:{}@h/d?sslmode=require", url(password)),
            format!(
                "Driver={{PostgreSQL Unicode(x64)}};Server=h;Database=d;Uid=u;Pwd={}",
                odbc(password)
            ),
            format!(
                "Driver={{ODBC Driver 18 for SQL Server}};Server=h\\i;UID=u;PWD={};Database=d;",
                odbc(password)
            ),
            format!(
                "Server=h;UID=u;PWD={};Database=d;Driver={{SQL Server}}",
                odbc(password)
            ),
            format!(
                "Data Source=h,1433;Initial Catalog=d;User ID=u;Password={};Encrypt=yes",
                ado_net(password)
            ),
            format!(
                "Provider=MSOLEDBSQL;Data Source=h;Initial Catalog=d;User ID=u;Password={}",
                ado_net(password)
            ),
            format!(
                "jdbc:sqlserver://h:1433;databaseName=d;user=u;password={};encrypt=true",
                odbc(password)
            ),
            format!("mssql://u:{}@h:1433/d", url(password)),
        ]
    };
    for (text, other) in forms(password).into_iter().zip(forms(CANARY)) {
        let parsed = parse(&text);
        match &parsed {
            Ok(parsed) => assert_eq!(self::password(&parsed.target), Some(password), "{text}"),
            Err(faults) => panic!("{text}: {faults:?}"),
        }
        assert_eq!(
            everything_said(&parsed),
            everything_said(&parse(&other)),
            "{text}"
        );
    }
}

/// Every form with a password that nobody put in quotes.
fn unquoted(before: &str, after: &str) {
    // With a key in it, it is not known where the password ends; what stands once more
    // behind it may be another key's.
    if before.contains('=') || after.contains(CANARY) {
        return;
    }
    let password = format!("{before}{CANARY}{after}");
    for text in [
        format!("postgres://u:{password}@h:5432/d?sslmode=require"),
        format!("postgres://u:{password}@"),
        format!("postgres://u:{password}@h/d?sslmode=x"),
        format!("host=h user=u password={password} dbname=d"),
        format!("password={password} host=h user=u dbname=d"),
        format!("Driver={{PostgreSQL Unicode}};Server=h;Database=d;Uid=u;Pwd={password}"),
        format!(
            "Driver={{ODBC Driver 17 for SQL Server}};Server=h;UID=u;PWD={password};Database=d"
        ),
        format!(
            "Driver={{ODBC Driver 17 for SQL Server;Server=h;UID=u;PWD={password};APP={{x}};\
             Server=h;Database=d"
        ),
        format!("Data Source=h;Initial Catalog=d;User ID=u;Password={password};Encrypt=x"),
        format!("jdbc:sqlserver://h:1;databaseName=d;user=u;password={password};encrypt=true"),
        format!("jdbc:sqlserver://u:{password}@h;databaseName=d"),
        format!("mssql://u:{password}@h/d"),
    ] {
        let said = everything_said(&parse(&text));
        assert!(!said.contains(CANARY), "{text}: {said}");
        assert!(may_hold_password(&text), "{text}");
    }
}

/// A password apart from the string is used or not, and never shown.
fn apart(text: &str, user: &str) {
    if text.contains(CANARY) || user.contains(CANARY) {
        return;
    }
    let logon = Logon {
        user: Some(user.to_string()).filter(|user| !user.is_empty()),
        password: Some(CANARY.into()),
    };
    for result in [
        parse_with(text, &logon),
        from_server_and_database(text, user, Some(user), Some(CANARY.into())),
        from_server_and_database("h", text, None, Some(CANARY.into())),
    ] {
        assert!(!everything_said(&result).contains(CANARY));
    }
}
