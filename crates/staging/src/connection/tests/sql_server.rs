//! SQL Server's forms.

use super::*;

fn sql_server(text: &str) -> SqlServerTarget {
    match parse(text).unwrap().target {
        ConnectionTarget::SqlServer(target) => target,
        other => panic!("{text} was taken for {other}"),
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
        ("Server=h;Trusted_Connection=no", vec![222]),
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
