//! Connecting to PostgreSQL: TLS as libpq's sslmode means it, and what an error
//! says to a person.

use std::sync::Arc;
use std::time::Duration;

use csc_message::Message;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use secrecy::ExposeSecret;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::buffered::Buffered;
use crate::connection::{PostgresTarget, SslMode};
use crate::{StoreError, StoreErrorKind};

/// What every session is told: a lock is not waited for longer than a minute, a
/// statement not longer than ten.
const SESSION: &str = "SET lock_timeout = '60s'; SET statement_timeout = '600s'; \
                       SET idle_in_transaction_session_timeout = '60s'";

/// A connection that could not be made.
pub(super) struct Unconnected {
    /// What a person is told.
    pub(super) error: StoreError,
    /// Whether it may pass by itself: a server that starts again refuses for a while.
    pub(super) passing: bool,
}

/// SQLSTATEs that may pass by themselves: the connection broke (class 08), the server is
/// shut down, has crashed or is starting (57P01 to 57P03), or has no free connection.
pub(super) fn is_passing(state: &str) -> bool {
    state.starts_with("08") || ["57P01", "57P02", "57P03", "53300"].contains(&state)
}

pub(super) async fn connect(target: &PostgresTarget) -> Result<Client, Unconnected> {
    let client = match target.sslmode {
        SslMode::Disable => plain(target).await?,
        // libpq tries these two without TLS first and last; a server that speaks TLS
        // is always better met with it.
        SslMode::Allow | SslMode::Prefer => match with_tls(target).await {
            Ok(client) => client,
            Err(Failed::Config(none)) => return Err(*none),
            Err(Failed::Connect(error)) if error.as_db_error().is_some() => {
                return Err(cannot_connect(target, &error));
            }
            Err(Failed::Connect(_) | Failed::Slow) => plain(target).await?,
        },
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            with_tls(target).await.map_err(|failed| match failed {
                Failed::Config(none) => *none,
                Failed::Connect(error) => cannot_connect(target, &error),
                Failed::Slow => too_slow(target),
            })?
        }
    };
    client
        .batch_execute(SESSION)
        .await
        .map_err(|error| cannot_connect(target, &error))?;
    Ok(client)
}

enum Failed {
    Config(Box<Unconnected>),
    Connect(tokio_postgres::Error),
    Slow,
}

fn config(target: &PostgresTarget, mode: tokio_postgres::config::SslMode) -> Config {
    let mut config = Config::new();
    config
        .host(&target.host)
        .port(target.port)
        .dbname(&target.database)
        .user(&target.user)
        .application_name(target.application_name.as_deref().unwrap_or("csc-sender"))
        .ssl_mode(mode)
        .connect_timeout(wait(target))
        .keepalives_idle(Duration::from_secs(60));
    #[cfg(target_os = "linux")]
    config.tcp_user_timeout(Duration::from_secs(120));
    if let Some(password) = &target.password {
        config.password(password.expose_secret());
    }
    if let Some(options) = &target.options {
        config.options(options);
    }
    config
}

fn wait(target: &PostgresTarget) -> Duration {
    target.connect_timeout.unwrap_or(Duration::from_secs(15))
}

async fn plain(target: &PostgresTarget) -> Result<Client, Unconnected> {
    match open(target, tokio_postgres::config::SslMode::Disable, NoTls).await {
        Ok(client) => Ok(client),
        Err(Failed::Config(none)) => Err(*none),
        Err(Failed::Connect(error)) => Err(cannot_connect(target, &error)),
        Err(Failed::Slow) => Err(too_slow(target)),
    }
}

async fn with_tls(target: &PostgresTarget) -> Result<Client, Failed> {
    let config = tls_config(target).map_err(|e| Failed::Config(Box::new(e)))?;
    let tls = Buffered(MakeRustlsConnect::new(config));
    open(target, tokio_postgres::config::SslMode::Require, tls).await
}

/// The connection's own task ends when the client is dropped.
async fn open<T>(
    target: &PostgresTarget,
    mode: tokio_postgres::config::SslMode,
    tls: T,
) -> Result<Client, Failed>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let config = config(target, mode);
    // The driver's own limit covers the TCP connection only, not the logon.
    let (client, connection) =
        match tokio::time::timeout(wait(target) * 2, config.connect(tls)).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return Err(Failed::Connect(error)),
            Err(_) => return Err(Failed::Slow),
        };
    tokio::spawn(async move {
        // Whoever uses the client is told of the failure by their own statement.
        if let Err(error) = connection.await {
            tracing::debug!("the PostgreSQL connection ended: {}", words(&error));
        }
    });
    Ok(client)
}

fn tls_config(target: &PostgresTarget) -> Result<ClientConfig, Unconnected> {
    let provider = Arc::new(ring::default_provider());
    let unusable = |why: String| Unconnected {
        passing: false,
        error: StoreError::new(
            StoreErrorKind::Connection,
            Message::new(
                311,
                format!(
                    "Cannot prepare TLS for PostgreSQL {}:{}",
                    target.host, target.port
                ),
                why,
                "name the authority's CA certificate (PEM) with sslrootcert in DB_CONNECTION_STRING",
            ),
        ),
    };
    let mut roots = RootCertStore::empty();
    if let Some(file) = &target.sslrootcert {
        let certificates = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| unusable(format!("{}: {e}", file.display())))?;
        roots.add_parsable_certificates(certificates);
    }
    // As libpq: `require` checks the chain only where a root certificate is named.
    let check = match target.sslmode {
        SslMode::VerifyFull => Check::ChainAndName,
        SslMode::VerifyCa => Check::Chain,
        SslMode::Require if target.sslrootcert.is_some() => Check::Chain,
        SslMode::Require | SslMode::Prefer | SslMode::Allow | SslMode::Disable => Check::Nothing,
    };
    // Reading the system's takes a moment: not where nothing is checked by them.
    if check != Check::Nothing && target.sslrootcert.is_none() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| unusable(e.to_string()))?;
    let verifier = match check {
        Check::Nothing => None,
        Check::Chain | Check::ChainAndName => Some(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|e| unusable(e.to_string()))?,
        ),
    };
    let verifier = SslModeVerifier {
        check,
        verifier,
        provider,
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    ChainAndName,
}

/// Checks a server's certificate as far as the sslmode asks for it.
#[derive(Debug)]
struct SslModeVerifier {
    check: Check,
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for SslModeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(verifier) = &self.verifier else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified =
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        match (self.check, verified) {
            (
                Check::Chain,
                Err(rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )),
            ) => Ok(ServerCertVerified::assertion()),
            (Check::Nothing | Check::Chain | Check::ChainAndName, verified) => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn cannot_connect(target: &PostgresTarget, error: &tokio_postgres::Error) -> Unconnected {
    let state = error.code().map(|state| state.code());
    let next = match state {
        Some("28P01" | "28000") => {
            "check the user and password in DB_CONNECTION_STRING (or DB_USER and DB_PASSWORD)"
        }
        Some("3D000") => "check the database's name in DB_CONNECTION_STRING",
        Some("53300") => "the server has no free connection: try again later or ask your DBA",
        Some("57P01" | "57P02" | "57P03") => {
            "the server is starting or stopping: wait until it is up, or ask your DBA, then start \
             again"
        }
        Some(_) => "show this message to your DBA",
        None => {
            "check host and port, that the server is up, that a firewall lets this machine \
             through, and sslmode"
        }
    };
    Unconnected {
        passing: state.is_none_or(is_passing),
        error: StoreError::new(
            StoreErrorKind::Connection,
            Message::new(
                308,
                format!(
                    "Cannot connect to PostgreSQL {}:{}, database {}, as user {}",
                    target.host, target.port, target.database, target.user
                ),
                without_password(words(error), target),
                next,
            ),
        ),
    }
}

/// A server, or a pooler in front of it, may quote what it was given.
fn without_password(words: String, target: &PostgresTarget) -> String {
    match &target.password {
        Some(password) if !password.expose_secret().is_empty() => {
            words.replace(password.expose_secret(), "****")
        }
        Some(_) | None => words,
    }
}

fn too_slow(target: &PostgresTarget) -> Unconnected {
    Unconnected {
        passing: true,
        error: StoreError::new(
            StoreErrorKind::Connection,
            Message::new(
                308,
                format!(
                    "Cannot connect to PostgreSQL {}:{}, database {}, as user {}",
                    target.host, target.port, target.database, target.user
                ),
                format!("no answer within {} s", (wait(target) * 2).as_secs()),
                "check host and port, and that a firewall lets this machine through",
            ),
        ),
    }
}

/// Host, port and database, as messages name them.
pub(super) fn database_place(target: &PostgresTarget) -> String {
    format!(
        "PostgreSQL {}:{}/{}",
        target.host, target.port, target.database
    )
}

/// What a statement's failure says.
pub(super) fn statement_refused(
    place: &str,
    what: &str,
    error: &tokio_postgres::Error,
) -> StoreError {
    let next = match error.code().map(|state| state.code()) {
        Some("42501") => "ask your DBA to grant SELECT and UPDATE on the table to this user",
        Some("55P03" | "57014" | "40P01" | "40001") => {
            "another session holds the rows: ask your DBA what blocks them, then start again"
        }
        Some("53100") => {
            "ask your DBA to make room on the database server's disk, then start again"
        }
        Some("25006") => {
            "the database is read-only or a standby: name the server that takes writes"
        }
        Some(_) | None => "show this message to your DBA",
    };
    StoreError::new(
        StoreErrorKind::Statement,
        Message::new(
            303,
            format!("Cannot {what} ({place})"),
            words_of_statement(error),
            next,
        ),
    )
}

/// What a statement's failure says, without what may be a row's value: a data exception
/// (class 22) quotes the value, and a trigger of the authority's own may quote anything.
pub(super) fn words_of_statement(error: &tokio_postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        let state = server.code().code();
        let raised = state.starts_with("P0") || server.routine() == Some("exec_stmt_raise");
        if raised || state.starts_with("22") {
            let who = if raised { "a trigger" } else { "the database" };
            return format!(
                "{who} does not take what is written (SQLSTATE {state}); its words are left out, \
                 since they may quote a row, and stand in the server's log"
            );
        }
    }
    words(error)
}

/// The server's own words without its DETAIL, which may quote a row's values.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", server.message(), server.code().code());
    }
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        source = cause.source();
    }
    words
}
