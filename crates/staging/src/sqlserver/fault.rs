//! Why a connection to SQL Server could not be made, and what to do about it.

use csc_message::Message;
use mssql_tds::error::Error;
use mssql_tds::security::SecurityError;

use super::browser::NoPort;
use super::connect::wait;
use super::messages::{account, attempted, driver_words, first, server_words};
use super::statements::bracketed;
use crate::connection::{Encrypt, SqlServerLogon, SqlServerTarget};
use crate::{StoreError, StoreErrorKind};

const UNREACHED: u16 = 308;
const NO_PORT: u16 = 320;
const LOGON_REFUSED: u16 = 321;
const NOT_ENCRYPTED: u16 = 322;
const NO_WINDOWS_LOGON: u16 = 323;
const NO_DATABASE: u16 = 324;

/// A connection that could not be made.
pub(super) struct Fault {
    /// What a person is told.
    pub(super) error: StoreError,
    /// Whether it may pass by itself: a server that starts again refuses for a while.
    pub(super) passing: bool,
}

impl Fault {
    fn new(
        code: u16,
        target: &SqlServerTarget,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        let what = format!("Cannot connect to {}", attempted(target));
        Fault {
            error: StoreError::new(
                StoreErrorKind::Connection,
                Message::new(code, what, why, next),
            ),
            passing: false,
        }
    }

    fn passing(self) -> Self {
        Fault {
            passing: true,
            ..self
        }
    }
}

pub(super) fn no_port(target: &SqlServerTarget, instance: &str, none: NoPort) -> Fault {
    let host = &target.host;
    match none {
        NoPort::UnknownHost(words) => Fault::new(
            UNREACHED,
            target,
            format!("the host {host} was not found: {words}"),
            "check the server's name in DB_CONNECTION_STRING (or SERVER)",
        )
        .passing(),
        NoPort::Silent => Fault::new(
            NO_PORT,
            target,
            format!(
                "SQL Server Browser on {host} (UDP 1434) did not say at which port the instance \
                 {instance} listens: the service is not running, a firewall keeps UDP 1434 out, \
                 or it knows no such instance"
            ),
            "ask your DBA for the instance's port and write it in the instance's place, as \
             host,port (e.g. Server=sql01,1500), or have SQL Server Browser started and UDP 1434 \
             let through",
        )
        .passing(),
        NoPort::NoTcp => Fault::new(
            NO_PORT,
            target,
            format!(
                "SQL Server Browser on {host} says that the instance {instance} has no TCP port"
            ),
            "ask your DBA to switch TCP/IP on for it in SQL Server Configuration Manager",
        ),
    }
}

/// Numbers with which a server that is starting, or moving a database, refuses for a
/// while: not yet upgraded, shutting down, paused, recovering, in an availability
/// group's change of roles, or out of workers.
const PASSING: [u32; 16] = [
    233, 904, 921, 922, 927, 976, 978, 983, 6005, 10928, 10929, 17142, 17187, 18401, 40501, 40613,
];

/// Windows' word for a service that the domain does not know.
const SEC_E_TARGET_UNKNOWN: u32 = 0x8009_0303;

const DATABASE_NOT_OPENED: [u32; 4] = [911, 916, 4060, 4064];

/// Why the connection failed, and what to do about it.
pub(super) fn fault(
    target: &SqlServerTarget,
    port: u16,
    error: &Error,
    spn: Option<&str>,
) -> Fault {
    if let Error::SqlServerError { diagnostics } = error {
        let numbers: Vec<u32> = diagnostics.errors.iter().map(|e| e.number).collect();
        let words = first(error).map_or_else(|| driver_words(error), server_words);
        let passing = numbers.iter().any(|number| PASSING.contains(number));
        // A database that cannot be opened is followed by a logon that failed.
        if numbers.iter().any(|n| DATABASE_NOT_OPENED.contains(n)) {
            return Fault {
                // While the server recovers a database, it says the same of it.
                passing: true,
                ..Fault::new(NO_DATABASE, target, words, next_for_database(target))
            };
        }
        if passing {
            return Fault::new(
                UNREACHED,
                target,
                words,
                "wait until the server has started, or ask your DBA, then start again",
            )
            .passing();
        }
        return Fault::new(
            LOGON_REFUSED,
            target,
            with_spn(words, spn),
            next_for_logon(&numbers, target),
        );
    }
    if is_about_encryption(error) {
        return encryption_fault(target, error);
    }
    match error {
        Error::Security(source) => Fault::new(
            NO_WINDOWS_LOGON,
            target,
            with_spn(source.to_string(), spn),
            next_for_ticket(source),
        ),
        Error::TimeoutError(_) => no_answer(target, port),
        other => Fault::new(
            UNREACHED,
            target,
            driver_words(other),
            next_for_network(target, port),
        )
        .passing(),
    }
}

pub(super) fn no_answer(target: &SqlServerTarget, port: u16) -> Fault {
    Fault::new(
        UNREACHED,
        target,
        format!("no answer within {} s", wait(target).as_secs()),
        next_for_network(target, port),
    )
    .passing()
}

fn next_for_database(target: &SqlServerTarget) -> String {
    let check = "check the database's name in DB_CONNECTION_STRING (or DATABASE); if it is right, \
                 ask your DBA";
    match account(target) {
        Some(account) => format!(
            "{check} to run USE {}; CREATE USER {}; and to grant it SELECT and UPDATE on the table",
            bracketed(&target.database),
            bracketed(&account)
        ),
        None => format!(
            "{check} for a user for this logon in {}, and SELECT and UPDATE on the table",
            target.database
        ),
    }
}

fn next_for_network(target: &SqlServerTarget, port: u16) -> String {
    let partner = match &target.failover_partner {
        Some(partner) => format!("; if the mirror {partner} has taken over, name it as the server"),
        None => String::new(),
    };
    format!(
        "check the server's name and port, that SQL Server runs and has TCP/IP switched on, and \
         that a firewall lets this machine through to TCP port {port}{partner}"
    )
}

/// What to do where there is no ticket for the service.
fn next_for_ticket(why: &SecurityError) -> &'static str {
    let is_unknown = match why {
        SecurityError::TargetUnknown(_) => true,
        SecurityError::InitContextFailed { code, message } => {
            *code == SEC_E_TARGET_UNKNOWN || message.contains("not found in Kerberos database")
        }
        _ => false,
    };
    if is_unknown {
        "ask your DBA whether that SPN is registered (setspn -Q), or to have it registered \
         (setspn -S); where another one is, write it as ServerSPN=… in the connection string"
    } else if cfg!(windows) {
        "check that this machine is in the domain and that the account that runs csc-sender is \
         a domain account; or use a SQL logon (UID and PWD)"
    } else {
        "get a Kerberos ticket first (kinit user@REALM, or a keytab), and see that \
         libgssapi_krb5 is installed; or use a SQL logon (UID and PWD)"
    }
}

fn with_spn(words: String, spn: Option<&str>) -> String {
    match spn {
        Some(spn) => format!("{words}; the service's name (SPN) that was tried is {spn}"),
        None => words,
    }
}

fn next_for_logon(numbers: &[u32], target: &SqlServerTarget) -> String {
    let has = |wanted: &[u32]| numbers.iter().any(|number| wanted.contains(number));
    if has(&[18486]) {
        return "ask your DBA to unlock the logon".to_string();
    }
    if has(&[18487, 18488]) {
        return "the password has expired: set a new one, e.g. in SQL Server Management Studio"
            .to_string();
    }
    if has(&[18470]) {
        return "ask your DBA to enable the logon".to_string();
    }
    match &target.logon {
        SqlServerLogon::Sql { .. } => {
            "check the user and password in DB_CONNECTION_STRING (or DB_USER and DB_PASSWORD); \
             the DBA finds the cause in the server's error log, and SQL logons must be allowed \
             there (mixed mode)"
                .to_string()
        }
        SqlServerLogon::Windows => {
            "ask your DBA for a logon for this account, and whether that SPN is registered \
             (setspn -L); a scheduled task runs under the account that it names, not yours"
                .to_string()
        }
    }
}

/// Whether TLS or the agreement on it failed. The driver has no kind of its own for
/// some of these.
fn is_about_encryption(error: &Error) -> bool {
    match error {
        Error::TlsError(_)
        | Error::TlsHandshakeError { .. }
        | Error::CertificateExpired
        | Error::CertificateMismatch
        | Error::NoServerCertificate => true,
        Error::ProtocolError(words) => words.contains("encryption"),
        // Schannel's states.
        Error::Io(e) => {
            let words = e.to_string();
            words.contains("SEC_E_") || words.contains("SEC_I_") || words.contains("TLS")
        }
        _ => false,
    }
}

fn encryption_fault(target: &SqlServerTarget, error: &Error) -> Fault {
    let next = match target.encryption() {
        Encrypt::Strict => {
            "Encrypt=strict needs SQL Server 2022 or later with a certificate that this machine \
             trusts; older servers take Encrypt=yes"
        }
        Encrypt::Mandatory => {
            "have the DBA give the server a certificate that this machine trusts; \
             HostNameInCertificate names the host that it is made out to, where it is not the \
             server's name here. TrustServerCertificate=yes takes any certificate, and so cannot \
             tell the server from an impostor"
        }
        Encrypt::Optional => {
            "ask your DBA which TLS versions the server takes; csc-sender needs TLS 1.2 or later"
        }
    };
    Fault::new(
        NOT_ENCRYPTED,
        target,
        format!(
            "the connection could not be encrypted (Encrypt={}): {}",
            target.encryption().word(),
            driver_words(error)
        ),
        next,
    )
}

#[cfg(test)]
mod tests {
    use mssql_tds::error::SqlErrorInfo;

    use super::*;
    use crate::connection::{ConnectionTarget, parse};

    fn target(text: &str) -> SqlServerTarget {
        match parse(text).unwrap().target {
            ConnectionTarget::SqlServer(target) => target,
            other => panic!("{other}"),
        }
    }

    const ODBC: &str = "Driver={ODBC Driver 17 for SQL Server};Server=sql01;Database=HDM_Local;";

    fn server_error(numbers: &[u32]) -> Error {
        Error::from_sql_errors(
            numbers
                .iter()
                .map(|number| SqlErrorInfo {
                    message: format!("words of {number}"),
                    state: 1,
                    class: 14,
                    number: *number,
                    server_name: None,
                    proc_name: None,
                    line_number: None,
                })
                .collect(),
        )
    }

    #[test]
    fn a_refusal_is_told_by_its_cause() {
        let sql = target(&format!("{ODBC}UID=csc;PWD=hunter2;"));
        let windows = target(&format!("{ODBC}Trusted_Connection=yes;"));
        let strict = target(&format!("{ODBC}UID=csc;PWD=hunter2;Encrypt=strict"));
        let io = |kind: std::io::ErrorKind| Error::Io(kind.into());
        let security = SecurityError::NoCredentials;
        let unregistered = SecurityError::InitContextFailed {
            code: 0xD_0000,
            message: "Server MSSQLSvc/a.example:1433@R not found in Kerberos database".into(),
        };
        for (target, error, code, passing, next) in [
            (&sql, server_error(&[18456]), 321, false, "DB_PASSWORD"),
            (&windows, server_error(&[18456]), 321, false, "setspn"),
            (&windows, server_error(&[18452]), 321, false, "setspn"),
            (&sql, server_error(&[18486]), 321, false, "unlock"),
            (&sql, server_error(&[18488]), 321, false, "expired"),
            (
                &sql,
                server_error(&[4060, 18456]),
                324,
                true,
                "USE [HDM_Local]; CREATE USER [csc];",
            ),
            (&sql, server_error(&[911]), 324, true, "DATABASE"),
            (&sql, server_error(&[18401]), 308, true, "has started"),
            (
                &sql,
                io(std::io::ErrorKind::ConnectionRefused),
                308,
                true,
                "port 1433",
            ),
            (
                &sql,
                Error::ConnectionClosed("cut".into()),
                308,
                true,
                "TCP/IP",
            ),
            (&windows, Error::Security(security), 323, false, "SQL logon"),
            (
                &windows,
                Error::Security(unregistered),
                323,
                false,
                "setspn -S",
            ),
            (
                &sql,
                Error::Io(std::io::Error::other("TLS handshake: SEC_E_UNTRUSTED_ROOT")),
                322,
                false,
                "TLS 1.2",
            ),
            (
                &strict,
                Error::CertificateExpired,
                322,
                false,
                "SQL Server 2022",
            ),
        ] {
            let spn =
                (target.encryption() == Encrypt::Optional).then_some("MSSQLSvc/a.example:1433");
            let fault = fault(
                target,
                1433,
                &error,
                spn.filter(|_| matches!(target.logon, SqlServerLogon::Windows)),
            );
            let message = fault.error.message;
            assert_eq!(message.code(), code, "{message}");
            assert_eq!(fault.passing, passing, "{message}");
            assert_eq!(fault.error.kind, StoreErrorKind::Connection);
            assert!(message.next().contains(next), "{message}");
            assert!(message.what().contains("database HDM_Local"), "{message}");
            assert!(!message.to_string().contains("hunter2"), "{message}");
            if matches!(target.logon, SqlServerLogon::Windows) {
                assert!(
                    message.why().contains("MSSQLSvc/a.example:1433"),
                    "{message}"
                );
                assert!(message.what().contains("Windows logon"), "{message}");
            } else {
                assert!(message.what().contains("SQL logon csc"), "{message}");
            }
        }
    }

    #[test]
    fn a_browser_that_is_silent_names_its_port_and_the_other_form() {
        let named = target(
            "Driver={ODBC Driver 17 for SQL Server};Server=sql01\\SSD;Database=d;Trusted_Connection=yes;",
        );
        let message = no_port(&named, "SSD", NoPort::Silent).error.message;
        assert_eq!(message.code(), 320);
        for words in ["UDP 1434", "host,port", "SSD"] {
            assert!(message.to_string().contains(words), "{message}");
        }
    }
}
