//! Connecting to SQL Server: what the connection string says in the driver's terms, and
//! the session's settings.

use std::time::Duration;

use mssql_tds::connection::client_context::{
    ClientContext, TdsAuthenticationMethod, VectorVersion,
};
use mssql_tds::connection::tds_client::TdsClient;
use mssql_tds::connection_provider::tds_connection_provider::TdsConnectionProvider;
use mssql_tds::core::{EncryptionOptions, EncryptionSetting};
use mssql_tds::error::Error;
use mssql_tds::message::login_options;
use mssql_tds::security::make_spn_canonicalized;
use secrecy::ExposeSecret;

use super::browser;
use super::fault::{Fault, fault, no_answer, no_port};
use super::messages::logon;
use crate::connection::{ApplicationIntent, Encrypt, SqlServerLogon, SqlServerTarget};

/// What every session is told, whatever the server's and the logon's defaults are:
/// - the settings without which a table with a filtered index cannot be written,
/// - no text is cut (TEXTSIZE), and a statement is a transaction of its own,
/// - in a deadlock it is this session that gives way: its statements can be repeated,
///   an authority's nightly job perhaps not.
const SESSION: &str = "SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, \
    CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER, NOCOUNT, XACT_ABORT ON; \
    SET NUMERIC_ROUNDABORT, IMPLICIT_TRANSACTIONS OFF; \
    SET TEXTSIZE 2147483647; \
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET DEADLOCK_PRIORITY LOW";

/// How long the server waits for a lock before it refuses the statement, which is then
/// asked for again.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Where the default instance listens.
const DEFAULT_PORT: u16 = 1433;

/// How long SQL Server Browser is given for an answer, three times.
const BROWSER_WAIT: Duration = Duration::from_secs(2);

/// What is waited for the end of a logon beyond its own limit, in which the driver
/// gives up by itself.
const GRACE: Duration = Duration::from_secs(5);

/// The longest wait for a connection: 15 s where the string gives none, as the drivers.
pub(super) fn wait(target: &SqlServerTarget) -> Duration {
    target.connect_timeout.unwrap_or(Duration::from_secs(15))
}

/// Connects and prepares the session.
pub(super) async fn connect(target: &SqlServerTarget) -> Result<TdsClient, Fault> {
    let port = port(target).await?;
    let spn = match target.logon {
        SqlServerLogon::Windows => Some(spn(target, port).await),
        SqlServerLogon::Sql { .. } => None,
    };
    let context = context(target, port, spn.as_deref());
    // The port after a comma makes it TCP, and an IPv6 address needs no brackets.
    let address = format!("{},{port}", target.host);
    let limit = wait(target) + GRACE;
    let connected = tokio::time::timeout(limit, async {
        let mut client = TdsConnectionProvider
            .create_client(context, &address, None)
            .await?;
        let settings = format!("{SESSION}; SET LOCK_TIMEOUT {}", LOCK_WAIT.as_millis());
        client.execute(settings, ()).await?;
        client.close_query().await?;
        Ok::<_, Error>(client)
    })
    .await;
    match connected {
        Ok(Ok(client)) => {
            tell(target, port, &client);
            Ok(client)
        }
        Ok(Err(error)) => Err(fault(target, port, &error, spn.as_deref())),
        Err(_) => Err(no_answer(target, port)),
    }
}

/// What was negotiated with the server.
pub(super) struct Negotiated {
    pub(super) version: String,
    pub(super) encryption: &'static str,
    /// Whether more than the logon is encrypted.
    pub(super) encrypted: bool,
}

pub(super) fn negotiated(target: &SqlServerTarget, client: &TdsClient) -> Negotiated {
    let version = client.server_version().map_or_else(
        || "of an unknown version".to_string(),
        |v| format!("{}.{}.{}", v.major, v.minor, v.build),
    );
    let encrypted = client.is_encrypted();
    let encryption = match (
        encrypted,
        target.encryption(),
        target.trust_server_certificate,
    ) {
        (false, _, _) => "no more than the logon (Encrypt=yes encrypts the records too)",
        (true, Encrypt::Strict, _) => "everything (strict: TDS 8)",
        (true, Encrypt::Mandatory, true) => "everything, certificate not checked",
        (true, Encrypt::Mandatory, false) => "everything, certificate checked",
        (true, Encrypt::Optional, _) => "everything, as the server asks; certificate not checked",
    };
    Negotiated {
        version,
        encryption,
        encrypted,
    }
}

/// What was negotiated, for `-v`.
fn tell(target: &SqlServerTarget, port: u16, client: &TdsClient) {
    let Negotiated {
        version,
        encryption,
        ..
    } = negotiated(target, client);
    tracing::info!(
        "connected to SQL Server {version} at {},{port} {}, database {}; encrypted: {encryption}",
        target.host,
        logon(target),
        client.database(),
    );
}

/// The port that the string gives, that SQL Server Browser gives, or the default one.
async fn port(target: &SqlServerTarget) -> Result<u16, Fault> {
    let Some(instance) = target.instance.as_deref().filter(|_| target.port.is_none()) else {
        return Ok(target.port.unwrap_or(DEFAULT_PORT));
    };
    let wait = BROWSER_WAIT.min(wait(target));
    match browser::port_of(&target.host, instance, browser::PORT, wait).await {
        Ok(port) => {
            tracing::debug!("instance {instance} on {} is at port {port}", target.host);
            Ok(port)
        }
        Err(none) => Err(no_port(target, instance, none)),
    }
}

/// The connection string in the driver's terms.
fn context(target: &SqlServerTarget, port: u16, spn: Option<&str>) -> ClientContext {
    let mut context = ClientContext::with_data_source(&format!("{},{port}", target.host));
    context.database.clone_from(&target.database);
    match &target.logon {
        SqlServerLogon::Windows => {
            context.tds_authentication_method = TdsAuthenticationMethod::SSPI;
            context.server_spn = if cfg!(windows) {
                target.server_spn.clone()
            } else {
                spn.map(gssapi_name)
            };
        }
        SqlServerLogon::Sql { user, password } => {
            context.user_name.clone_from(user);
            context.password = password.expose_secret().to_string();
        }
    }
    context.encryption_options = encryption(target);
    context.application_intent = match target.application_intent {
        ApplicationIntent::ReadWrite => login_options::ApplicationIntent::ReadWrite,
        ApplicationIntent::ReadOnly => login_options::ApplicationIntent::ReadOnly,
    };
    // Without it the driver tries all addresses at once as well, where there are several.
    context.multi_subnet_failover = target.multi_subnet_failover.then_some(true);
    context.application_name = target
        .app
        .clone()
        .unwrap_or_else(|| "csc-sender".to_string());
    context.library_name = "csc-sender".to_string();
    if let Some(wsid) = &target.wsid {
        context.workstation_id.clone_from(wsid);
    }
    context.vector_version = VectorVersion::Off;
    let seconds = u32::try_from(wait(target).as_secs().max(1)).unwrap_or(u32::MAX);
    context.connect_timeout = seconds;
    context.login_timeout = Some(seconds);
    // The driver would open a new session by itself, without the run lock that the old
    // one held. A lost connection is dealt with where the lock is known.
    context.connect_retry_count = 0;
    context
}

/// How far the string, or the driver that it was written for, asks for encryption.
/// Never the driver's own default, which is `Strict`.
fn encryption(target: &SqlServerTarget) -> EncryptionOptions {
    let encrypt = target.encryption();
    EncryptionOptions {
        mode: match encrypt {
            Encrypt::Optional => EncryptionSetting::PreferOff,
            Encrypt::Mandatory => EncryptionSetting::On,
            Encrypt::Strict => EncryptionSetting::Strict,
        },
        // Where encryption was not asked for and the server insists on it, the drivers
        // do not check its certificate, which nearly always is one of its own making.
        trust_server_certificate: match encrypt {
            Encrypt::Optional => true,
            Encrypt::Mandatory | Encrypt::Strict => target.trust_server_certificate,
        },
        host_name_in_cert: target.host_name_in_certificate.clone().or_else(|| {
            // The driver calls this very machine `localhost`, whatever its name.
            (!target.host.contains('.')).then(|| target.host.clone())
        }),
        server_certificate: None,
    }
}

/// A service's name as GSSAPI takes it, `service@host:port`: the realm is found out there.
/// The driver hands on what it is given. Of a name that it makes itself it leaves the port
/// out, so that Kerberos would be asked for the default instance, whichever is meant.
fn gssapi_name(spn: &str) -> String {
    match spn.split_once('/') {
        Some((service, rest)) => {
            let host = rest.split_once('@').map_or(rest, |(host, _)| host);
            format!("{service}@{host}")
        }
        None => spn.to_string(),
    }
}

/// The service's name that Kerberos is asked for. Finding it out asks the DNS, which
/// may take a while.
async fn spn(target: &SqlServerTarget, port: u16) -> String {
    if let Some(spn) = &target.server_spn {
        return spn.clone();
    }
    let host = target.host.clone();
    let found = tokio::task::spawn_blocking(move || make_spn_canonicalized(&host, None, port));
    match tokio::time::timeout(GRACE, found).await {
        Ok(Ok(spn)) => spn,
        Ok(Err(_)) | Err(_) => format!("MSSQLSvc/{}:{port}", target.host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{ConnectionTarget, parse};

    fn target(text: &str) -> SqlServerTarget {
        match parse(text).unwrap().target {
            ConnectionTarget::SqlServer(target) => target,
            other => panic!("{other}"),
        }
    }

    const ODBC: &str = "Driver={ODBC Driver 17 for SQL Server};Server=sql01;Database=HDM_Local;";

    fn options(more: &str) -> (EncryptionSetting, bool, Option<String>) {
        let options = encryption(&target(&format!("{ODBC}Trusted_Connection=yes;{more}")));
        (
            options.mode,
            options.trust_server_certificate,
            options.host_name_in_cert,
        )
    }

    #[test]
    fn encryption_is_what_the_string_means_and_never_the_drivers_default() {
        use EncryptionSetting::{On, PreferOff, Strict};
        let host = || Some("sql01".to_string());
        for (more, expected) in [
            ("", (PreferOff, true, host())),
            ("Encrypt=no", (PreferOff, true, host())),
            ("Encrypt=optional", (PreferOff, true, host())),
            ("Encrypt=yes", (On, false, host())),
            (
                "Encrypt=mandatory;TrustServerCertificate=yes",
                (On, true, host()),
            ),
            ("Encrypt=strict", (Strict, false, host())),
            (
                "Encrypt=yes;HostNameInCertificate=c.example",
                (On, false, Some("c.example".to_string())),
            ),
        ] {
            assert_eq!(options(more), expected, "{more}");
        }
        let eighteen = target(
            "Driver={ODBC Driver 18 for SQL Server};Server=s.example;Database=d;UID=u;PWD=p;",
        );
        assert_eq!(encryption(&eighteen).mode, On);
        assert_eq!(encryption(&eighteen).host_name_in_cert, None);
    }

    #[test]
    fn the_drivers_terms_are_those_of_the_string() {
        let context = context(
            &target(&format!(
                "{ODBC}UID=csc;PWD=hunter2;ApplicationIntent=ReadOnly;MultiSubnetFailover=yes;\
                 APP=Nightly;WSID=PC7;Connection Timeout=42;"
            )),
            1500,
            None,
        );
        assert_eq!(context.data_source, "sql01,1500");
        assert_eq!(context.database, "HDM_Local");
        assert_eq!(context.user_name, "csc");
        assert_eq!(context.password, "hunter2");
        assert_eq!(
            context.tds_authentication_method,
            TdsAuthenticationMethod::Password
        );
        assert!(context.application_intent == login_options::ApplicationIntent::ReadOnly);
        assert_eq!(context.multi_subnet_failover, Some(true));
        assert_eq!(context.application_name, "Nightly");
        assert_eq!(context.workstation_id, "PC7");
        assert_eq!(
            (context.connect_timeout, context.login_timeout),
            (42, Some(42))
        );
        assert_eq!(context.connect_retry_count, 0);
    }

    #[test]
    fn what_the_string_leaves_open_is_settled() {
        let context = context(
            &target(&format!(
                "{ODBC}Trusted_Connection=yes;ServerSPN=MSSQLSvc/x:1;"
            )),
            1433,
            Some("MSSQLSvc/x:1"),
        );
        assert_eq!(
            context.tds_authentication_method,
            TdsAuthenticationMethod::SSPI
        );
        let spn = if cfg!(windows) {
            "MSSQLSvc/x:1"
        } else {
            "MSSQLSvc@x:1"
        };
        assert_eq!(context.server_spn.as_deref(), Some(spn));
        assert_eq!(context.application_name, "csc-sender");
        assert_eq!(context.multi_subnet_failover, None);
        assert_eq!(context.connect_timeout, 15);
    }

    #[tokio::test]
    async fn a_port_goes_before_the_instance_and_the_default_before_nothing() {
        for (server, expected) in [
            ("sql01", 1433),
            ("sql01,1500", 1500),
            ("sql01\\SSD,1501", 1501),
        ] {
            let target = target(&format!(
                "Driver={{SQL Server}};Server={server};Database=d;Trusted_Connection=yes;"
            ));
            let found = port(&target).await.ok();
            assert_eq!(found, Some(expected), "{server}");
        }
    }

    #[test]
    fn kerberos_is_asked_for_the_service_with_its_port() {
        for (spn, expected) in [
            ("MSSQLSvc/sql01.example:1500", "MSSQLSvc@sql01.example:1500"),
            ("MSSQLSvc/sql01:SSD@LA.EXAMPLE", "MSSQLSvc@sql01:SSD"),
            ("MSSQLSvc@sql01", "MSSQLSvc@sql01"),
        ] {
            assert_eq!(gssapi_name(spn), expected);
        }
    }

    #[tokio::test]
    async fn the_services_name_is_the_strings_or_that_of_the_port() {
        let own = target(&format!(
            "{ODBC}Trusted_Connection=yes;ServerSPN=MSSQLSvc/x:1;"
        ));
        assert_eq!(spn(&own, 1433).await, "MSSQLSvc/x:1");
        let local =
            target("Driver={SQL Server};Server=localhost;Database=d;Trusted_Connection=yes;");
        assert_eq!(spn(&local, 1500).await, "MSSQLSvc/localhost:1500");
    }
}
