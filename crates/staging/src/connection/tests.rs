//! Each form with its table: what is understood, shown by its redacted text, and what
//! is refused, by its code.

use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

const CANARY: &str = "CANARY7";

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

fn sql_server(text: &str) -> SqlServerTarget {
    match parse(text).unwrap().target {
        ConnectionTarget::SqlServer(target) => target,
        other => panic!("{text} was taken for {other}"),
    }
}

fn postgres(text: &str) -> PostgresTarget {
    match parse(text).unwrap().target {
        ConnectionTarget::Postgres(target) => target,
        other => panic!("{text} was taken for {other}"),
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
        ("Driver={SQLite3 ODBC Driver}", 222),
    ] {
        assert_eq!(codes(parse(text)), [code], "{text}");
    }
}

#[test]
fn postgresql_is_read_from_urls_libpq_and_odbc() {
    for (text, expected) in [
        (
            "postgres://ana@db.example/HDM_Local",
            "postgres://ana@db.example:5432/HDM_Local?sslmode=prefer",
        ),
        (
            "PostgreSQL://ana:pw@db.example:6432/ssd?sslmode=verify-full&sslrootcert=ca.pem",
            "postgres://ana:****@db.example:6432/ssd?sslmode=verify-full&sslrootcert=ca.pem",
        ),
        (
            "postgres://a%40b:p%2Fw@[::1]:5433/my%20db",
            "postgres://a@b:****@[::1]:5433/my db?sslmode=prefer",
        ),
        // An @ in a password that was not encoded.
        (
            "postgres://ana:p@ss@host/db",
            "postgres://ana:****@host:5432/db?sslmode=prefer",
        ),
        (
            "postgres:///db?host=/var/run/postgresql&user=ana",
            "postgres://ana@/var/run/postgresql:5432/db?sslmode=prefer",
        ),
        (
            "postgres://ana@h/d?sslrootcert=system",
            "postgres://ana@h:5432/d?sslmode=verify-full",
        ),
        (
            "postgres://ana@h/d?search_path=ssd_development, public&connect_timeout=7",
            "postgres://ana@h:5432/d?sslmode=prefer&connect_timeout=7&options=-c \
             search_path=ssd_development,\\ public",
        ),
        (
            "postgres://ana@h/d?options=-c%20role%3Dssd&currentSchema=x&application_name=n",
            "postgres://ana@h:5432/d?sslmode=prefer&application_name=n&options=-c role=ssd \
             -c search_path=x",
        ),
        (
            "host=localhost dbname=HDM_Local user=ana password='p w\\'x' sslmode=require",
            "postgres://ana:****@localhost:5432/HDM_Local?sslmode=require",
        ),
        (
            "  dbname = 'my db'  user = a\\ b  hostaddr=10.0.0.1 port=5433 connect_timeout=0",
            "postgres://a b@10.0.0.1:5433/my db?sslmode=prefer",
        ),
        // Without a host: libpq's default.
        (
            "user=ana dbname=d",
            "postgres://ana@localhost:5432/d?sslmode=prefer",
        ),
        // In libpq the last of two counts.
        (
            "host=a user=u dbname=one dbname=two",
            "postgres://u@a:5432/two?sslmode=prefer",
        ),
        (
            "password=a;b host=h user=u dbname=d",
            "postgres://u:****@h:5432/d?sslmode=prefer",
        ),
        (
            "Driver={PostgreSQL Unicode};Server=h;Port=5433;Database=d;Uid=ana;Pwd={p;w}}x}",
            "postgres://ana:****@h:5433/d?sslmode=prefer",
        ),
        (
            "driver={PostgreSQL ANSI(x64)}; SERVERNAME = h; database=d; User ID=ana; \
             Password=pw; SSLmode=Verify-CA; BI=0",
            "postgres://ana:****@h:5432/d?sslmode=verify-ca",
        ),
        (
            "Driver=psqlODBC;Server=h;Database=d;Username=ana",
            "postgres://ana@h:5432/d?sslmode=prefer",
        ),
        // In ODBC the first of two counts, wherever the driver stands.
        (
            "Port=1;Server=h;Port=2;Database=d;Uid=u;Driver={PostgreSQL}",
            "postgres://u@h:1/d?sslmode=prefer",
        ),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn postgresql_passwords_are_taken_out_of_their_quoting() {
    for (text, expected) in [
        ("postgres://u:p%2Fw%25+@h/d", "p/w%+"),
        ("postgres://u:p@s:s@h/d", "p@s:s"),
        ("postgres://u@h/d?password=a%26b", "a&b"),
        ("host=h user=u dbname=d password='p w\\'x\\\\'", "p w'x\\"),
        ("host=h user=u dbname=d password=p\\ w'x", "p w'x"),
        (
            "Driver={PostgreSQL Unicode};Server=h;Database=d;Uid=u;Pwd={p;w}}x}",
            "p;w}x",
        ),
        (
            "Driver={PostgreSQL Unicode};Server=h;Database=d;Uid=u;Pwd= a{b}=c ;",
            "a{b}=c",
        ),
    ] {
        let parsed = parse(text).unwrap();
        assert_eq!(password(&parsed.target), Some(expected), "{text}");
        assert!(parsed.target.has_password());
    }
}

#[test]
fn postgresql_details_are_typed() {
    let target = postgres("postgres://u@h/d?connect_timeout=9&sslrootcert=C%3A%5Cca.pem");
    assert_eq!(target.connect_timeout, Some(Duration::from_secs(9)));
    assert_eq!(target.sslrootcert, Some("C:\\ca.pem".into()));
    for mode in SslMode::ALL {
        let text = format!("postgres://u@h/d?sslmode={}", mode.word().to_uppercase());
        assert_eq!(postgres(&text).sslmode, mode);
    }
}

#[test]
fn what_is_wrong_with_a_postgresql_string_is_said_all_at_once() {
    for (text, expected) in [
        ("postgres://", vec![222, 222]),
        ("postgres://u@h", vec![222]),
        ("postgres://h/d", vec![222]),
        (
            "postgres://u@h:port/d?sslmode=yes&connect_timeout=x",
            vec![223, 223, 223],
        ),
        ("postgres://u@h:0/d", vec![223]),
        ("postgres://u@h1,h2/d", vec![228]),
        ("postgres://u@h1:1,h2:2/d", vec![228]),
        ("host=a,b user=u dbname=d", vec![228]),
        ("postgres://u:%zz@h/d", vec![221]),
        ("postgres://u:%ff@h/d", vec![221]),
        ("postgres://u:%+1@h/d", vec![221]),
        ("postgres://u:p/w@h/d", vec![221]),
        ("postgres://u:p?w@h/d", vec![221]),
        ("postgres://u@h/d?sslmode", vec![221]),
        ("host=h user=u dbname=d password='open", vec![221]),
        ("host=h user=u dbname=d password=two words", vec![221]),
        ("host=h user=u dbname='x password=p", vec![221, 221, 222]),
        ("service=ssd user=u dbname=d", vec![223]),
        ("host=h:5432 user=u dbname=d", vec![223]),
        (
            "Driver={PostgreSQL Unicode};Server=h;Port=x;SSLmode=y",
            vec![223, 222, 222, 223],
        ),
        (
            "Driver={PostgreSQL Unicode};Server=h;Database=d;Uid=u;Pwd={open",
            vec![221],
        ),
        (
            "Driver={PostgreSQL Unicode};Server=h;Database=d;Uid=u;Pwd={a}b;",
            vec![221],
        ),
        (
            "Driver={PostgreSQL Unicode};Server=h;Database={d;Uid=u;Pwd=p}",
            vec![221, 222, 222],
        ),
    ] {
        assert_eq!(codes(parse(text)), expected, "{text}");
    }
}

#[test]
fn sql_server_is_read_from_every_form() {
    let windows_17 = "Driver={ODBC Driver 17 for SQL Server};Server=SERVER\\INSTANCE;\
                      Database=HDM_Local;Trusted_Connection=yes;Encrypt=optional;";
    for (text, expected) in [
        // The line of the reference, as it stands there.
        (
            "Driver={ODBC Driver 17 for SQL Server};Server=SERVER\\INSTANCE;Database=HDM_Local;\
             Trusted_Connection=yes;",
            windows_17,
        ),
        (
            "DRIVER=ODBC Driver 17 for SQL Server ; SERVER = SERVER\\INSTANCE ; DATABASE = \
             HDM_Local ; TRUSTED_CONNECTION = Yes",
            windows_17,
        ),
        // In quotation marks, as a Windows command file leaves it.
        (
            "\"Driver={ODBC Driver 17 for SQL Server};Server=SERVER\\INSTANCE;\
             Database=HDM_Local;Trusted_Connection=yes;\"",
            windows_17,
        ),
        (
            "Driver={ODBC Driver 18 for SQL Server};Server=tcp:h,1433;Database=d;UID=u;\
             PWD={p;w};TrustServerCertificate=yes;Connection Timeout=30;",
            "Driver={ODBC Driver 18 for SQL Server};Server=h,1433;Database=d;UID=u;PWD=****;\
             Encrypt=mandatory;TrustServerCertificate=yes;Connection Timeout=30;",
        ),
        (
            "Driver={SQL Server};Server=(local);Database=d;Trusted_Connection=yes;\
             Encrypt=strict;HostNameInCertificate=h.example;ApplicationIntent=ReadOnly;\
             MultiSubnetFailover=Yes;APP=csc;WSID=pc1;Failover_Partner=m;ServerSPN=MSSQLSvc/h",
            "Driver={SQL Server};Server=localhost;Database=d;Trusted_Connection=yes;\
             Encrypt=strict;HostNameInCertificate=h.example;ApplicationIntent=ReadOnly;\
             MultiSubnetFailover=yes;Failover_Partner=m;ServerSPN=MSSQLSvc/h;APP=csc;WSID=pc1;",
        ),
        (
            "Driver=FreeTDS;Server=h;Port=1433;Database=d;UID=u;PWD=p;TDS_Version=7.4",
            "Driver={FreeTDS};Server=h,1433;Database=d;UID=u;PWD=****;Encrypt=optional;",
        ),
        // Nobody is named: the Windows logon.
        (
            "Driver={SQL Server Native Client 11.0};Server=.;Database=d",
            "Driver={SQL Server Native Client 11.0};Server=localhost;Database=d;\
             Trusted_Connection=yes;Encrypt=optional;",
        ),
        (
            "Data Source=h\\i;Initial Catalog=d;Integrated Security=SSPI",
            "Server=h\\i;Database=d;Trusted_Connection=yes;Encrypt=optional;",
        ),
        (
            "Server=h;Database=d;User ID=u;Password=\"a;\"\"b\";Encrypt=Mandatory;\
             Trust Server Certificate=True;Connect Timeout=5;Pooling=false;\
             MultipleActiveResultSets=True;Application Name=x",
            "Server=h;Database=d;UID=u;PWD=****;Encrypt=mandatory;\
             TrustServerCertificate=yes;Connection Timeout=5;APP=x;",
        ),
        (
            "Password=a;Server=h;Database=d;User=u",
            "Server=h;Database=d;UID=u;PWD=****;Encrypt=optional;",
        ),
        (
            "Provider=MSOLEDBSQL19;Data Source=h;Initial Catalog=d;Integrated Security=SSPI;\
             Persist Security Info=False",
            "Provider=MSOLEDBSQL19;Server=h;Database=d;Trusted_Connection=yes;\
             Encrypt=mandatory;",
        ),
        (
            "Provider=SQLOLEDB.1;Data Source=h;Initial Catalog=d;User ID=u;Password=p;\
             Use Encryption for Data=True",
            "Provider=SQLOLEDB.1;Server=h;Database=d;UID=u;PWD=****;Encrypt=mandatory;",
        ),
        (
            "jdbc:sqlserver://h\\i:1433;databaseName=d;integratedSecurity=true",
            "Server=h\\i,1433;Database=d;Trusted_Connection=yes;Encrypt=mandatory;",
        ),
        (
            "jdbc:sqlserver://;serverName=h;portNumber=1500;instanceName=i;database=d;\
             userName=u;password={p;}}};encrypt=false;loginTimeout=4;sendTimeAsDatetime=false",
            "Server=h\\i,1500;Database=d;UID=u;PWD=****;Encrypt=optional;Connection Timeout=4;",
        ),
        (
            "JDBC:sqlserver://[::1]:1433;databaseName=d;integratedSecurity=true;encrypt=strict",
            "Server=::1,1433;Database=d;Trusted_Connection=yes;Encrypt=strict;",
        ),
        (
            "mssql://u:p%40w@h:1433/d",
            "Server=h,1433;Database=d;UID=u;PWD=****;Encrypt=mandatory;",
        ),
        (
            "mssql://h%5Ci/d?encrypt=no&trustServerCertificate=yes",
            "Server=h\\i;Database=d;Trusted_Connection=yes;Encrypt=optional;\
             TrustServerCertificate=yes;",
        ),
        (
            "mssql://h\\i/d",
            "Server=h\\i;Database=d;Trusted_Connection=yes;Encrypt=mandatory;",
        ),
        (
            "Driver={SQL Server};Server=h;Database=d;UID=u;PWD=p;Authentication=SqlPassword",
            "Driver={SQL Server};Server=h;Database=d;UID=u;PWD=****;Encrypt=optional;",
        ),
    ] {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn sql_server_passwords_are_taken_out_of_their_quoting() {
    for (text, expected) in [
        (
            "Driver={SQL Server};Server=h;Database=d;UID=u;PWD=ab#c",
            "ab#c",
        ),
        (
            "Driver={SQL Server};Server=h;Database=d;UID=u;PWD={a;}}b}",
            "a;}b",
        ),
        (
            "Driver={SQL Server};Server=h;Database=d;UID=u;PWD=\"q\"",
            "\"q\"",
        ),
        ("Server=h;Database=d;UID=u;PWD='a;''b'", "a;'b"),
        ("Server=h;Database=d;UID=u;PWD={a}", "{a}"),
        ("Server=h;Database=d;UID=u;PWD=a=b", "a=b"),
        (
            "jdbc:sqlserver://h;databaseName=d;user=u;password={a;b}",
            "a;b",
        ),
        ("mssql://u:a%3Bb@h/d", "a;b"),
    ] {
        assert_eq!(
            password(&parse(text).unwrap().target),
            Some(expected),
            "{text}"
        );
    }
}

#[test]
fn encryption_left_unsaid_is_what_the_driver_named_does() {
    for (start, expected) in [
        (
            "Driver={ODBC Driver 18 for SQL Server};Server=h",
            Encrypt::Mandatory,
        ),
        (
            "Driver={ODBC Driver 17 for SQL Server};Server=h",
            Encrypt::Optional,
        ),
        (
            "Driver={ODBC Driver 13.1 for SQL Server};Server=h",
            Encrypt::Optional,
        ),
        (
            "Driver=/opt/lib/libmsodbcsql-18.3.so;Server=h",
            Encrypt::Mandatory,
        ),
        (
            "Driver={SQL Server Native Client 11.0};Server=h",
            Encrypt::Optional,
        ),
        ("Driver={SQL Server};Server=h", Encrypt::Optional),
        ("Provider=SQLNCLI11;Server=h", Encrypt::Optional),
        ("Provider=MSOLEDBSQL;Server=h", Encrypt::Optional),
        ("Provider=MSOLEDBSQL19;Server=h", Encrypt::Mandatory),
        ("Server=h", Encrypt::Optional),
        ("jdbc:sqlserver://h", Encrypt::Mandatory),
    ] {
        let target = sql_server(&format!("{start};Database=d"));
        assert_eq!(target.encrypt, None, "{start}");
        assert_eq!(target.encryption(), expected, "{start}");
    }
    for (word, expected) in [
        ("yes", Encrypt::Mandatory),
        ("True", Encrypt::Mandatory),
        ("mandatory", Encrypt::Mandatory),
        ("no", Encrypt::Optional),
        ("false", Encrypt::Optional),
        ("Optional", Encrypt::Optional),
        ("STRICT", Encrypt::Strict),
    ] {
        let text = format!("Driver={{SQL Server}};Server=h;Database=d;Encrypt={word}");
        assert_eq!(sql_server(&text).encryption(), expected, "{word}");
    }
}

#[test]
fn what_is_wrong_with_a_sql_server_string_is_said_all_at_once() {
    let base = "Driver={ODBC Driver 17 for SQL Server};Database=d;";
    for (rest, expected) in [
        ("", vec![222]),
        ("Server=np:h", vec![226]),
        ("Server=lpc:h", vec![226]),
        ("Server=\\\\h\\pipe\\sql\\query", vec![226]),
        ("Server=(localdb)\\MSSQLLocalDB", vec![226]),
        ("Server=h:1433", vec![223]),
        ("Server=h;UID=u", vec![222]),
        ("Server=h;PWD=p", vec![222]),
        ("Server=h;Authentication=SqlPassword", vec![222]),
        (
            "Server=h;Authentication=ActiveDirectoryInteractive",
            vec![227],
        ),
        (
            "Server=h;Authentication=Active Directory Password;UID=u;PWD=p",
            vec![227],
        ),
        ("Server=h;Authentication=Kerberos", vec![223]),
        ("Server=h;Trusted_Connection=maybe", vec![223]),
        (
            "Server=h,x;Encrypt=perhaps;TrustServerCertificate=2;ApplicationIntent=Write;\
             Connection Timeout=soon;MultiSubnetFailover=x",
            vec![223, 223, 223, 223, 223, 223],
        ),
        ("Server=h;nonsense", vec![221]),
    ] {
        let text = format!("{base}{rest}");
        assert_eq!(codes(parse(&text)), expected, "{text}");
    }
    for (text, expected) in [
        ("Driver={ODBC Driver 17 for SQL Server};Server=h", vec![222]),
        ("Server=h;UID=u;PWD='open", vec![221, 222, 222]),
        ("jdbc:sqlserver://u:secret@h;databaseName=d", vec![221]),
        ("jdbc:sqlserver://h:x;databaseName=d", vec![223]),
        ("mssql://u:secret", vec![223, 222]),
        (
            "Provider=Microsoft.ACE.OLEDB.12.0;Data Source=x.accdb",
            vec![225],
        ),
        ("Driver={MySQL ODBC 8.0 Driver};Server=h", vec![225]),
        ("DSN=ssd;UID=u;PWD=p", vec![224]),
        ("FileDSN=C:\\x.dsn", vec![224]),
        ("mysql://u@h/d", vec![220]),
        ("jdbc:postgresql://h/d", vec![220]),
        ("C:\\data\\x.db", vec![220]),
        ("Host=h;Username=u;Database=d", vec![220]),
        ("", vec![220]),
        ("  ", vec![220]),
    ] {
        assert_eq!(codes(parse(text)), expected, "{text}");
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

#[test]
fn what_may_hold_a_password_is_judged_by_its_looks() {
    for (text, expected) in [
        ("postgres://u:p@h/d", true),
        ("mssql://u:p/w@h/d", true),
        ("Server=h;PWD=p", true),
        ("host=h password=p", true),
        ("Driver={x;Pass word=;pwd", true),
        ("postgres://u@h:5432/d", false),
        ("sqlite:x.db", false),
        (
            "Driver={ODBC Driver 17 for SQL Server};Server=h;Database=d;Trusted_Connection=yes",
            false,
        ),
    ] {
        assert_eq!(may_hold_password(text), expected, "{text}");
    }
}

/// Everything that is said about a string, however it ends.
fn everything_said(result: &Result<Parsed, Vec<Message>>) -> String {
    match result {
        Ok(parsed) => format!(
            "{} {:?} {}",
            parsed.target,
            parsed,
            parsed.target.redacted()
        ),
        Err(faults) => {
            let texts: Vec<String> = faults.iter().map(Message::to_string).collect();
            format!("{texts:?} {faults:?}")
        }
    }
}

/// What each form looks like with a password that nobody put in quotes.
const UNQUOTED: [&str; 12] = [
    "postgres://u:{}@h:5432/d?sslmode=require",
    "postgres://u:{}@",
    "postgres://u:{}@h/d?sslmode=x",
    "host=h user=u password={} dbname=d",
    "password={} host=h user=u dbname=d",
    "Driver={PostgreSQL Unicode};Server=h;Database=d;Uid=u;Pwd={}",
    "Driver={ODBC Driver 17 for SQL Server};Server=h;UID=u;PWD={};Database=d",
    "Driver={ODBC Driver 17 for SQL Server;Server=h;UID=u;PWD={};APP={x};Server=h;Database=d",
    "Data Source=h;Initial Catalog=d;User ID=u;Password={};Encrypt=x",
    "jdbc:sqlserver://h:1;databaseName=d;user=u;password={};encrypt=true",
    "jdbc:sqlserver://u:{}@h;databaseName=d",
    "mssql://u:{}@h/d",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), form in prop::sample::select(&UNQUOTED[..])) {
        let _ = parse(&text);
        let _ = parse(&form.replace("{}", &text));
        let _ = from_server_and_database(&text, &text, Some(&text), None);
    }

    #[test]
    fn a_password_is_never_shown_however_it_is_written(
        form in prop::sample::select(&UNQUOTED[..]),
        before in "[a-z0-9;=@/?&{}'\"\\\\%,: #]{0,12}",
        after in "[a-z0-9;=@/?&{}'\"\\\\%,: #]{0,12}",
    ) {
        let text = form.replace("{}", &format!("{before}{CANARY}{after}"));
        let said = everything_said(&parse(&text));
        prop_assert!(!said.contains(CANARY), "{said}");
    }
}
