//! No password comes out of here, however it was written.

use proptest::prelude::*;

use super::*;

const CANARY: &str = "CANARY7";

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

#[test]
fn a_driver_within_a_quoted_password_is_part_of_the_password() {
    for text in [
        "host=h user=u password='a;driver=b' dbname=d",
        "Data Source=h;Initial Catalog=d;User ID=u;Password=\"a;driver=b\"",
        "Server=h;Database=d;UID=u;PWD='a;driver=b'",
    ] {
        let parsed = parse(text).unwrap();
        assert_eq!(password(&parsed.target), Some("a;driver=b"), "{text}");
    }
}

#[test]
fn a_semicolon_in_quotes_is_part_of_a_libpq_value() {
    let text = "host='/run/a;b' user='u;\\'v' dbname=d";
    assert!(shown(text).starts_with("postgres://u;'v@/run/a;b:5432/d"));
    assert!(shown("User='a;b';Server=h;Password=p;Database=d").contains("UID=a;b;"));
}

#[test]
fn what_stands_in_the_place_of_a_jdbc_server_is_not_shown_where_it_may_be_a_logon() {
    for text in [
        "jdbc:sqlserver://u:CANARY7];y@h;databaseName=d",
        "jdbc:sqlserver://u:CANARY7:1;y@h;databaseName=d",
        "jdbc:sqlserver://u:CANARY7;y@h;databaseName=d",
    ] {
        let said = everything_said(&parse(text));
        assert!(!said.contains(CANARY), "{said}");
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
