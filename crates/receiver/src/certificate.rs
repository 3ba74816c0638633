//! What the other side of a secure connection shows of itself, whoever trusts it or not.
//!
//! libcurl, which carries the records, decides whether a certificate is good, and says
//! little of one that is not; through Windows' own TLS it says nothing at all. So a second
//! connection is made over the same way, with rustls, which lets everything be looked at.
//! Nothing is ever sent over it.

use std::io::{Error, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion,
    RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::trust::CaBundle;
use crate::words::folded;

/// The longest that is shown of a name in a certificate.
const LONGEST_NAME: usize = 120;
/// How many of a certificate's names are shown.
const NAMES: usize = 3;

/// What was seen.
pub(crate) struct Seen {
    /// The newest version of TLS that both this program and the other side know.
    pub(crate) version: &'static str,
    pub(crate) certificate: Certificate,
}

/// A server's certificate.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// Who it is for.
    pub(crate) subject: String,
    /// The hosts that it is good for, the first few.
    pub(crate) names: String,
    /// Who issued it.
    pub(crate) issuer: String,
    /// Whether it is good for the host that was asked for.
    pub(crate) is_for_host: bool,
    /// From and until when it is good, in seconds since 1970.
    pub(crate) valid: (i64, i64),
    pub(crate) issued_by: IssuedBy,
}

/// Where the authority that issued a certificate is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IssuedBy {
    /// Itself, and nobody trusts it.
    Itself,
    /// An authority that all the world trusts.
    Public,
    /// One that only CA_BUNDLE names.
    Bundle,
    /// One that this machine's trust store has, and the world has not.
    System,
    /// One that nothing here knows.
    Unknown,
}

/// Looks at the other side of `stream`, which is closed afterwards.
pub(crate) fn look(
    stream: &mut (impl Read + Write),
    host: &str,
    bundle: Option<&CaBundle>,
) -> Result<Seen, Error> {
    let provider = Arc::new(ring::default_provider());
    // The address of an IPv6 host stands in brackets in a URL.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(name.to_string()).map_err(Error::other)?;
    let looker = Arc::new(Looker {
        provider: Arc::clone(&provider),
        chain: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&looker) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut tls = ClientConnection::new(Arc::new(config), name.clone()).map_err(Error::other)?;
    let shaken = tls.complete_io(stream).map(|_| ());
    tls.send_close_notify();
    // Whoever has gone away need not be told.
    let _ = tls.write_tls(stream);
    let chain = std::mem::take(&mut *looker.chain.lock().unwrap_or_else(PoisonError::into_inner));
    let (Some(version), false) = (tls.protocol_version(), chain.is_empty()) else {
        shaken?;
        return Err(Error::other("it showed no certificate"));
    };
    Ok(Seen {
        version: version_name(version),
        certificate: read(&chain, &name, bundle, &provider)?,
    })
}

fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        other => other.as_str().unwrap_or("an unknown version of TLS"),
    }
}

fn read(
    chain: &[CertificateDer<'static>],
    host: &ServerName<'_>,
    bundle: Option<&CaBundle>,
    provider: &Arc<CryptoProvider>,
) -> Result<Certificate, Error> {
    let own = chain
        .first()
        .ok_or_else(|| Error::other("no certificate"))?;
    let (_, certificate) =
        X509Certificate::from_der(own).map_err(|_| Error::other("its certificate is damaged"))?;
    let valid = (
        certificate.validity().not_before.timestamp(),
        certificate.validity().not_after.timestamp(),
    );
    let is_for_host = ParsedCertificate::try_from(own)
        .and_then(|parsed| rustls::client::verify_server_name(&parsed, host))
        .is_ok();
    // When it is good: whether it has expired is another question than who issued it.
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
    let when = now.clamp(valid.0, valid.1.max(valid.0));
    let chains_to = |roots: RootCertStore| trusts(roots, chain, host, when, provider);
    let issued_by = if chains_to(public()) {
        IssuedBy::Public
    } else if bundle.is_some_and(|bundle| chains_to(store(bundle.own().to_vec()))) {
        IssuedBy::Bundle
    } else if chains_to(store(rustls_native_certs::load_native_certs().certs)) {
        IssuedBy::System
    } else if certificate.subject().as_raw() == certificate.issuer().as_raw() {
        IssuedBy::Itself
    } else {
        IssuedBy::Unknown
    };
    Ok(Certificate {
        subject: shown(&certificate.subject().to_string()),
        names: names(&certificate),
        issuer: shown(&certificate.issuer().to_string()),
        is_for_host,
        valid,
        issued_by,
    })
}

/// Whoever wrote a certificate may have written anything into it.
fn shown(name: &str) -> String {
    match folded(name, LONGEST_NAME) {
        empty if empty.is_empty() => "nobody".to_string(),
        name => name,
    }
}

fn names(certificate: &X509Certificate<'_>) -> String {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return "no host".to_string();
    };
    let names: Vec<String> = alternatives
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(shown(name)),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    match names.len().checked_sub(NAMES) {
        None | Some(0) if names.is_empty() => "no host".to_string(),
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMES].join(", ")),
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => Some(std::net::Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
        16 => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        _ => None,
    }
}

fn public() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

fn store(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    store
}

/// Whether these roots vouch for the chain at that time, whatever host it is for.
fn trusts(
    roots: RootCertStore,
    chain: &[CertificateDer<'static>],
    host: &ServerName<'_>,
    when: i64,
    provider: &Arc<CryptoProvider>,
) -> bool {
    let Some((own, between)) = chain.split_first() else {
        return false;
    };
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    // No verifier is made of no roots at all.
    let Ok(verifier) = verifier else {
        return false;
    };
    let when = Duration::from_secs(u64::try_from(when).unwrap_or_default());
    let when = UnixTime::since_unix_epoch(when);
    match verifier.verify_server_cert(own, between, host, &[], when) {
        Ok(_)
        | Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => true,
        Err(_) => false,
    }
}

/// Takes every certificate and remembers it. What is trusted is not its business: no byte
/// of anybody's goes over a connection that it was asked about.
#[derive(Debug)]
struct Looker {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = chain
            .map(|certificate| certificate.clone().into_owned())
            .collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_into_a_name_is_shown_on_one_line() {
        assert_eq!(shown("CN=a\r\nOK    token"), "CN=a OK token");
        assert_eq!(shown(&"x".repeat(500)).len(), LONGEST_NAME);
        assert_eq!(shown(""), "nobody");
    }

    #[test]
    fn the_worlds_list_of_authorities_is_not_empty() {
        assert!(public().len() > 100);
    }
}
