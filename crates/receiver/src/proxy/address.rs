//! A proxy's address, as PROXY and the environment write it.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

/// Where a proxy is, and the credentials that its address holds. No `Debug`: they may be
/// secret.
#[derive(Clone)]
pub struct ProxyAddress {
    scheme: &'static str,
    host: Host<String>,
    port: u16,
    user: Option<String>,
    password: Option<SecretString>,
}

/// Why a proxy's address can't be used. It never quotes the address, which may hold a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// It begins with something else.
    #[error(
        "a proxy's address begins with http:// (or https://, socks5h://, socks5://, socks4a://, socks4://)"
    )]
    Scheme,
    /// It is no address at all.
    #[error(
        "it is no address of a proxy; a / @ : # or ? in a password is written %2F %40 %3A %23 %3F, or the password goes into PROXY_PASSWORD"
    )]
    Malformed,
    /// No port: curl would take 1080, others 80, nobody's proxy listens there.
    #[error("it names no port; proxies listen on a port of their own, often 8080 or 3128")]
    NoPort,
    /// Something follows the port.
    #[error(
        "nothing may follow the port; the address of a configuration script (PAC) is not one of a proxy"
    )]
    Path,
}

/// What libcurl speaks to a proxy; an address without one means the first.
const SCHEMES: [&str; 6] = ["http", "https", "socks5h", "socks5", "socks4a", "socks4"];

impl ProxyAddress {
    /// Reads `http://host:port`, `host:port`, or either with `user:password@` in it.
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (
                *SCHEMES
                    .iter()
                    .find(|known| known.eq_ignore_ascii_case(scheme))
                    .ok_or(AddressFault::Scheme)?,
                rest,
            ),
            None => (SCHEMES[0], text),
        };
        // Under its own scheme the port 80 would look like none.
        let url = Url::parse(&format!("proxy://{rest}")).map_err(|_| AddressFault::Malformed)?;
        let host = url.host_str().unwrap_or_default();
        let host = Host::parse(host).map_err(|_| AddressFault::Malformed)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressFault::Path);
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Ok(ProxyAddress {
            scheme,
            host,
            port: url.port().ok_or(AddressFault::NoPort)?,
            user: Some(decoded(url.username())).filter(|user| !user.is_empty()),
            password: url.password().map(|password| decoded(password).into()),
        })
    }

    /// Whether the proxy is on this machine.
    pub(super) fn is_own(&self) -> bool {
        super::is_own(Some(self.host.clone()))
    }

    /// Its host and port, as a connection is made to them.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        (self.host.to_string(), self.port)
    }

    /// The user in the address.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password in the address.
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }
}

/// Without credentials.
impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}
