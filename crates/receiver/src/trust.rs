//! Which certificate authorities are trusted: the system's, and an authority's own.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// CA_BUNDLE added to the system's trust store, for libcurl. Its TLS (OpenSSL, and
/// Schannel on Windows) takes such a list only in the place of the system's store, so the
/// list has both.
#[derive(Clone, Debug)]
pub struct CaBundle {
    pem: Arc<str>,
    own: Arc<[CertificateDer<'static>]>,
}

/// Why a file can't be CA_BUNDLE.
#[derive(Debug, thiserror::Error)]
pub enum CaBundleFault {
    /// It is not there, or may not be read.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// There is no certificate in it, or it is in another form.
    #[error("there is no certificate in it that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// One of them is damaged.
    #[error("certificate {0} in it is damaged")]
    Damaged(usize),
}

impl CaBundle {
    /// Reads the certificates of a PEM file and those of the system's store. Anything else
    /// that the file holds (a key, a text) is left where it is.
    pub fn read(path: &Path) -> Result<Self, CaBundleFault> {
        let bytes = std::fs::read(path).map_err(CaBundleFault::Unreadable)?;
        let mut own = Vec::new();
        let mut check = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&bytes) {
            let number = own.len() + 1;
            let certificate = match certificate {
                Ok(certificate) => certificate,
                Err(pem::Error::NoItemsFound) => break,
                Err(_) => return Err(CaBundleFault::Damaged(number)),
            };
            check
                .add(certificate.clone())
                .map_err(|_| CaBundleFault::Damaged(number))?;
            own.push(certificate);
        }
        if own.is_empty() {
            return Err(CaBundleFault::NoCertificate);
        }
        // What the system's store has and can't read, it could not use either.
        let system = rustls_native_certs::load_native_certs().certs;
        let pem = own
            .iter()
            .chain(&system)
            .map(|certificate| ::pem::Pem::new("CERTIFICATE", certificate.as_ref()))
            .map(|certificate| ::pem::encode(&certificate))
            .collect::<String>();
        Ok(CaBundle {
            pem: pem.into(),
            own: own.into(),
        })
    }

    /// How many certificates the file has.
    pub fn certificates(&self) -> usize {
        self.own.len()
    }

    pub(crate) fn own(&self) -> &[CertificateDer<'static>] {
        &self.own
    }

    pub(crate) fn pem(&self) -> &[u8] {
        self.pem.as_bytes()
    }
}
