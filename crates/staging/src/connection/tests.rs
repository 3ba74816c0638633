//! Each form with its table: what is understood, shown by its redacted text, and what
//! is refused, by its code.

mod postgres;
mod secrets;
mod sql_server;

use secrecy::ExposeSecret;

use super::*;

fn shown(text: &str) -> String {
    match parse(text) {
        Ok(parsed) => parsed.target.redacted(),
        Err(faults) => panic!("{text}: {faults:?}"),
    }
}

fn password(target: &ConnectionTarget) -> Option<&str> {
    match target {
        ConnectionTarget::Sqlite { .. } => None,
        ConnectionTarget::Postgres(target) => target.password.as_ref().map(|p| p.expose_secret()),
        ConnectionTarget::SqlServer(target) => match &target.logon {
            SqlServerLogon::Windows => None,
            SqlServerLogon::Sql { user: _, password } => Some(password.expose_secret()),
        },
    }
}

fn codes(result: Result<Parsed, Vec<Message>>) -> Vec<u16> {
    match result {
        Ok(parsed) => panic!("understood as {}", parsed.target),
        Err(faults) => faults.iter().map(Message::code).collect(),
    }
}

#[test]
fn sqlite_is_read_with_paths_of_both_worlds() {
    for (text, expected) in [
        ("sqlite:staging.db", "sqlite:staging.db"),
        ("SQLite:./a b.db", "sqlite:./a b.db"),
        ("sqlite::memory:", "sqlite::memory:"),
        ("sqlite:///var/lib/staging.db", "sqlite:/var/lib/staging.db"),
        ("sqlite:/var/lib/staging.db", "sqlite:/var/lib/staging.db"),
        ("sqlite:C:\\data\\x.db", "sqlite:C:\\data\\x.db"),
        ("sqlite:///C:/data/x.db", "sqlite:C:/data/x.db"),
        ("sqlite:\\\\nas\\share\\x.db", "sqlite:\\\\nas\\share\\x.db"),
        (
            "Driver={SQLite3 ODBC Driver};Database=C:\\data\\x.db;",
            "sqlite:C:\\data\\x.db",
        ),
        (
            "driver=SQLite3 ODBC Driver; database=:memory:",
            "sqlite::memory:",
        ),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
    for (text, code) in [
        ("sqlite:", 222),
        ("sqlite://", 222),
        ("sqlite:file:x.db", 223),
        ("sqlite:x.db?mode=ro", 223),
        ("sqlite:x.db pwd=b", 223),
        ("Driver={SQLite3 ODBC Driver}", 222),
    ] {
        assert_eq!(codes(parse(text)), [code], "{text}");
    }
}

#[test]
fn a_server_and_a_database_are_enough() {
    let shown = |user, password: Option<&str>| {
        from_server_and_database("SQL01\\SSD", "HDM_Local", user, password.map(Into::into))
            .map(|parsed| parsed.target.redacted())
    };
    assert_eq!(
        shown(None, None).unwrap(),
        "Server=SQL01\\SSD;Database=HDM_Local;Trusted_Connection=yes;Encrypt=optional;"
    );
    assert_eq!(
        shown(Some("u"), Some("p")).unwrap(),
        "Server=SQL01\\SSD;Database=HDM_Local;UID=u;PWD=****;Encrypt=optional;"
    );
    let faults = shown(Some("u"), None).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert_eq!(
        faults[0].what(),
        "SERVER and DATABASE come with no password"
    );
    // A whole connection string in the place of a server's name.
    let faults =
        from_server_and_database("Server=h;Uid=u;Pwd=CANARY7", "d", None, None).unwrap_err();
    assert_eq!(
        faults[0].what(),
        "SERVER and DATABASE cannot be used: the value of SERVER goes on too far"
    );
    assert!(!format!("{faults:?}").contains("CANARY7"));
    let faults = from_server_and_database("h:1433", " ", None, None).unwrap_err();
    let what: Vec<&str> = faults.iter().map(Message::what).collect();
    assert_eq!(
        what,
        [
            "SERVER is not understood: \"h:1433\"",
            "SERVER and DATABASE come with no database"
        ]
    );
}

#[test]
fn a_logon_beside_the_string_fills_in_what_it_leaves_open() {
    let beside = Logon {
        user: Some("ana".to_string()),
        password: Some("beside".into()),
    };
    for (text, expected_user, expected_password) in [
        ("postgres://h/d", "ana@", Some("beside")),
        ("postgres://ANA@h/d", "ANA:", Some("beside")),
        ("postgres://ana:own@h/d", "ana:", Some("own")),
        // Somebody else's password isn't tried.
        ("postgres://ben@h/d", "ben@", None),
        ("Server=h;Database=d", "UID=ana", Some("beside")),
        ("Server=h;Database=d;UID=ana", "UID=ana", Some("beside")),
        (
            "Server=h;Database=d;Trusted_Connection=yes",
            "Trusted_Connection=yes",
            None,
        ),
    ] {
        let target = parse_with(text, &beside).unwrap().target;
        assert_eq!(password(&target), expected_password, "{text}");
        let user = expected_user.trim_end_matches(['@', ':']);
        assert!(target.redacted().contains(user), "{text}: {target}");
    }
    assert_eq!(
        codes(parse_with("Server=h;Database=d;UID=ben", &beside)),
        [222]
    );
    let only_password = Logon {
        user: None,
        password: Some("beside".into()),
    };
    let target = parse_with("postgres://ana@h/d", &only_password)
        .unwrap()
        .target;
    assert_eq!(password(&target), Some("beside"));
    let target = parse_with("Server=h;Database=d", &only_password)
        .unwrap()
        .target;
    assert!(!target.has_password());
}

#[test]
fn what_has_no_effect_is_named_in_a_warning() {
    for (text, expected) in [
        (
            "Driver={SQL Server};Server=h;Database=d;Colour=blue;AutoTranslate=no",
            vec![
                "The connection string's key Colour has no meaning for csc-sender and was left out",
            ],
        ),
        (
            "Driver={SQL Server};Server=a;Address=b;Database=d",
            vec![
                "Address is given twice in the connection string (once as Server); the first counts",
            ],
        ),
        // TCP by the name of its library, as older strings have it.
        ("Server=h;Database=d;Network Library=DBMSSOCN", Vec::new()),
        (
            "Server=a;Server=b;Database=d",
            vec!["Server is given twice in the connection string (the same key); the last counts"],
        ),
        (
            "Server=a;Database=d;UID=u;PWD=p;Trusted_Connection=yes",
            vec![
                "The connection string asks for the Windows logon, so the user and password have \
                 no effect",
            ],
        ),
        (
            "Driver={SQLite3 ODBC Driver};Database=x.db;Pwd=p",
            vec!["SQLite has no passwords; the one in the connection string has no effect"],
        ),
        (
            "postgres://u@h/d?sslcert=x",
            vec![
                "The connection string's key sslcert has no meaning for csc-sender and was left out",
            ],
        ),
    ] {
        assert_eq!(parse(text).unwrap().warnings, expected, "{text}");
    }
}

#[test]
fn messages_name_the_value_and_the_way_out() {
    let faults =
        parse("Driver={SQL Server};Server=np:sql01;Database=d;Encrypt=perhaps").unwrap_err();
    let text: Vec<String> = faults.iter().map(Message::to_string).collect();
    assert_eq!(
        text,
        [
            "CSC0226 Cannot connect to the server \"np:sql01\"\n  \
             why:  it asks for a named pipe, and csc-sender speaks TCP only\n  \
             next: name the server as HOST\\INSTANCE or host,port; the DBA can switch TCP/IP on \
             in SQL Server Configuration Manager",
            "CSC0223 The connection string's Encrypt is not understood: \"perhaps\"\n  \
             why:  it takes yes (mandatory), no (optional) or strict\n  \
             next: write one of these",
        ]
    );
}
