//! What a connection string means, as typed values, and how it may be shown.
//!
//! A password is a `SecretString`, which has no Display and whose Debug hides it, so
//! these types can be shown and logged as a whole.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How a password is shown.
const HIDDEN: &str = "****";

/// The database that a connection string names.
#[derive(Clone, Debug)]
pub enum ConnectionTarget {
    /// The embedded database.
    Sqlite {
        /// The file, or memory.
        path: SqlitePath,
    },
    /// PostgreSQL.
    Postgres(PostgresTarget),
    /// SQL Server.
    SqlServer(SqlServerTarget),
}

/// Where an SQLite database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlitePath {
    /// In memory: it disappears with the program.
    Memory,
    /// In a file.
    File(PathBuf),
}

/// A PostgreSQL database. The words are libpq's (its chapter "Database Connection
/// Control Functions").
#[derive(Clone, Debug)]
pub struct PostgresTarget {
    /// Host name, address, or (not on Windows) the folder of a Unix socket.
    pub host: String,
    /// Port, 5432 where none was given.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role that logs on.
    pub user: String,
    /// Its password, where one was given.
    pub password: Option<SecretString>,
    /// How far TLS is asked for.
    pub sslmode: SslMode,
    /// A file of root certificates (PEM) to check the server's against.
    pub sslrootcert: Option<PathBuf>,
    /// The longest wait for a connection; `None` where none was given, or 0.
    pub connect_timeout: Option<Duration>,
    /// The name that the server shows for the session.
    pub application_name: Option<String>,
    /// Settings of the session, in the words of the server's command line
    /// (`-c search_path=ssd`). A search path that was given is among them.
    pub options: Option<String>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS only where the server insists.
    Allow,
    /// TLS where the server can, without checking its certificate; libpq's default.
    #[default]
    Prefer,
    /// TLS or nothing; the certificate is checked only where `sslrootcert` is given.
    Require,
    /// TLS, and the certificate comes from a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and it is made out to this host.
    VerifyFull,
}

impl SslMode {
    /// Every mode, weakest first.
    pub const ALL: [SslMode; 6] = [
        SslMode::Disable,
        SslMode::Allow,
        SslMode::Prefer,
        SslMode::Require,
        SslMode::VerifyCa,
        SslMode::VerifyFull,
    ];

    /// libpq's word for it.
    pub fn word(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// A SQL Server database.
#[derive(Clone, Debug)]
pub struct SqlServerTarget {
    /// Which kind of connection string it was, which decides what is left unsaid.
    pub form: SqlServerForm,
    /// The ODBC driver or OLE DB provider that was named.
    pub driver: Option<String>,
    /// Host name or address; `localhost` for `.` and `(local)`.
    pub host: String,
    /// The port, where one was given. It goes before the instance.
    pub port: Option<u16>,
    /// The named instance, found through SQL Server Browser where no port is given.
    /// `None` for the default instance.
    pub instance: Option<String>,
    /// The database.
    pub database: String,
    /// Who logs on.
    pub logon: SqlServerLogon,
    /// What the string says about encryption; see [`SqlServerTarget::encryption`].
    pub encrypt: Option<Encrypt>,
    /// Take the server's certificate unchecked.
    pub trust_server_certificate: bool,
    /// The name that the certificate is made out to, where it is not the host.
    pub host_name_in_certificate: Option<String>,
    /// Whether a replica that can only be read will do.
    pub application_intent: ApplicationIntent,
    /// Try all addresses of an availability group's listener at once.
    pub multi_subnet_failover: bool,
    /// The server's mirror.
    pub failover_partner: Option<String>,
    /// The service principal name for a Windows logon, where it is not the usual one.
    pub server_spn: Option<String>,
    /// The longest wait for a connection; `None` where none was given, or 0.
    pub connect_timeout: Option<Duration>,
    /// The program's name that the server shows.
    pub app: Option<String>,
    /// The workstation's name that the server shows.
    pub wsid: Option<String>,
}

/// The kinds of connection string for SQL Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlServerForm {
    /// `Driver={…};Server=…`
    Odbc,
    /// `Provider=…;Data Source=…`
    OleDb,
    /// `Data Source=…;Initial Catalog=…`
    AdoNet,
    /// `jdbc:sqlserver://…`
    Jdbc,
    /// `mssql://…`
    Url,
    /// The settings SERVER and DATABASE.
    ServerAndDatabase,
}

/// Who logs on to SQL Server.
#[derive(Clone, Debug)]
pub enum SqlServerLogon {
    /// The Windows account that runs the program.
    Windows,
    /// A logon of SQL Server's own.
    Sql {
        /// Its name.
        user: String,
        /// Its password.
        password: SecretString,
    },
}

/// SQL Server's `Encrypt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypt {
    /// `no`, `optional`: only where the server insists. The logon is encrypted anyway.
    Optional,
    /// `yes`, `mandatory`.
    Mandatory,
    /// `strict`: TDS 8, TLS before anything else (SQL Server 2022 and later).
    Strict,
}

impl Encrypt {
    /// The ODBC driver's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Encrypt::Optional => "optional",
            Encrypt::Mandatory => "mandatory",
            Encrypt::Strict => "strict",
        }
    }
}

/// SQL Server's `ApplicationIntent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ApplicationIntent {
    /// Reads and writes.
    #[default]
    ReadWrite,
    /// Only reads: an availability group may answer from a replica.
    ReadOnly,
}

impl SqlServerTarget {
    /// How far encryption is asked for: what the string says, else what the driver
    /// does that it was written for.
    ///
    /// ODBC Driver 18 and OLE DB Driver 19 require encryption, older ones don't. An
    /// ADO.NET string, and SERVER with DATABASE, are what Windows PowerShell's scripts
    /// use, whose System.Data.SqlClient doesn't. JDBC does since its version 10.2, and
    /// `mssql://`, which has no past, does.
    pub fn encryption(&self) -> Encrypt {
        if let Some(encrypt) = self.encrypt {
            return encrypt;
        }
        let version = self.driver.as_deref().and_then(driver_version);
        let required = match self.form {
            SqlServerForm::Odbc => version.is_some_and(|version| version >= 18),
            SqlServerForm::OleDb => version.is_some_and(|version| version >= 19),
            SqlServerForm::AdoNet | SqlServerForm::ServerAndDatabase => false,
            SqlServerForm::Jdbc | SqlServerForm::Url => true,
        };
        if required {
            Encrypt::Mandatory
        } else {
            Encrypt::Optional
        }
    }

    /// The server as SQL Server's own tools write it: `host\instance,port`.
    pub fn server(&self) -> String {
        let mut server = self.host.clone();
        if let Some(instance) = &self.instance {
            server.push('\\');
            server.push_str(instance);
        }
        if let Some(port) = self.port {
            server.push(',');
            server.push_str(&port.to_string());
        }
        server
    }
}

/// The first number in a driver's name: 17 in `ODBC Driver 17 for SQL Server`.
fn driver_version(driver: &str) -> Option<u32> {
    let from = driver.find(|c: char| c.is_ascii_digit())?;
    let digits = &driver[from..];
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

impl ConnectionTarget {
    /// Whether a password is part of it.
    pub fn has_password(&self) -> bool {
        match self {
            ConnectionTarget::Sqlite { .. } => false,
            ConnectionTarget::Postgres(target) => target.password.is_some(),
            ConnectionTarget::SqlServer(target) => match &target.logon {
                SqlServerLogon::Windows => false,
                SqlServerLogon::Sql { .. } => true,
            },
        }
    }

    /// How it may be shown: as a connection string of its kind, in one spelling, with
    /// `****` for the password. It is made of the parts that were understood, so
    /// nothing that was not understood can be shown by it.
    pub fn redacted(&self) -> String {
        match self {
            ConnectionTarget::Sqlite { path } => match path {
                SqlitePath::Memory => "sqlite::memory:".to_string(),
                SqlitePath::File(file) => format!("sqlite:{}", file.display()),
            },
            ConnectionTarget::Postgres(target) => target.redacted(),
            ConnectionTarget::SqlServer(target) => target.redacted(),
        }
    }
}

impl fmt::Display for ConnectionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl PostgresTarget {
    fn redacted(&self) -> String {
        let password = match self.password {
            Some(_) => format!(":{HIDDEN}"),
            None => String::new(),
        };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let mut shown = format!(
            "postgres://{}{password}@{host}:{}/{}?sslmode={}",
            self.user,
            self.port,
            self.database,
            self.sslmode.word()
        );
        // Writing to a String cannot fail.
        let mut parameter = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = write!(shown, "&{name}={value}");
            }
        };
        parameter(
            "sslrootcert",
            self.sslrootcert.as_ref().map(|p| p.display().to_string()),
        );
        parameter("connect_timeout", seconds(self.connect_timeout));
        parameter("application_name", self.application_name.clone());
        parameter("options", self.options.clone());
        shown
    }
}

impl SqlServerTarget {
    fn redacted(&self) -> String {
        let mut shown = String::new();
        // Writing to a String cannot fail.
        let mut pair = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = write!(shown, "{name}={value};");
            }
        };
        match self.form {
            SqlServerForm::OleDb => pair("Provider", self.driver.clone()),
            SqlServerForm::Odbc
            | SqlServerForm::AdoNet
            | SqlServerForm::Jdbc
            | SqlServerForm::Url
            | SqlServerForm::ServerAndDatabase => {
                pair("Driver", self.driver.as_ref().map(|d| format!("{{{d}}}")));
            }
        }
        pair("Server", Some(self.server()));
        pair("Database", Some(self.database.clone()));
        match &self.logon {
            SqlServerLogon::Windows => pair("Trusted_Connection", Some("yes".to_string())),
            SqlServerLogon::Sql { user, password: _ } => {
                pair("UID", Some(user.clone()));
                pair("PWD", Some(HIDDEN.to_string()));
            }
        }
        pair("Encrypt", Some(self.encryption().word().to_string()));
        let yes = |is: bool| is.then(|| "yes".to_string());
        pair("TrustServerCertificate", yes(self.trust_server_certificate));
        pair(
            "HostNameInCertificate",
            self.host_name_in_certificate.clone(),
        );
        match self.application_intent {
            ApplicationIntent::ReadWrite => {}
            ApplicationIntent::ReadOnly => {
                pair("ApplicationIntent", Some("ReadOnly".to_string()));
            }
        }
        pair("MultiSubnetFailover", yes(self.multi_subnet_failover));
        pair("Failover_Partner", self.failover_partner.clone());
        pair("ServerSPN", self.server_spn.clone());
        pair("Connection Timeout", seconds(self.connect_timeout));
        pair("APP", self.app.clone());
        pair("WSID", self.wsid.clone());
        shown
    }
}

fn seconds(time: Option<Duration>) -> Option<String> {
    time.map(|time| time.as_secs().to_string())
}
