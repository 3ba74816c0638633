//! PostgreSQL's forms.

use std::time::Duration;

use super::*;

fn postgres(text: &str) -> PostgresTarget {
    match parse(text).unwrap().target {
        ConnectionTarget::Postgres(target) => target,
        other => panic!("{text} was taken for {other}"),
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
