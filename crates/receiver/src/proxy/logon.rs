//! How the program logs on to a proxy.

use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;

use super::ProxyAddress;

/// Whether this build can log on with Negotiate (Kerberos): always on Windows, elsewhere
/// with the feature `kerberos`, which links the system's library.
pub const HAS_NEGOTIATE: bool = cfg!(any(windows, feature = "kerberos"));

/// A scheme of a proxy's logon (RFC 7617, RFC 7616, MS-NTHT, RFC 4559).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// User and password in the clear.
    Basic,
    /// User and a digest of the password.
    Digest,
    /// NT LAN Manager.
    Ntlm,
    /// Kerberos, on Windows also NTLM in its place.
    Negotiate,
}

impl AuthScheme {
    /// The scheme of that name in `Proxy-Authenticate`.
    pub fn named(name: &str) -> Option<Self> {
        [
            AuthScheme::Basic,
            AuthScheme::Digest,
            AuthScheme::Ntlm,
            AuthScheme::Negotiate,
        ]
        .into_iter()
        .find(|scheme| scheme.to_string().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for AuthScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthScheme::Basic => "Basic",
            AuthScheme::Digest => "Digest",
            AuthScheme::Ntlm => "NTLM",
            AuthScheme::Negotiate => "Negotiate",
        })
    }
}

/// PROXY_AUTH: which schemes may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyAuth {
    /// Whatever the proxy offers and this machine can answer.
    #[default]
    Auto,
    /// Basic alone.
    Basic,
    /// NTLM alone.
    Ntlm,
    /// Negotiate alone.
    Negotiate,
}

impl FromStr for ProxyAuth {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" => Ok(ProxyAuth::Auto),
            "basic" => Ok(ProxyAuth::Basic),
            "ntlm" => Ok(ProxyAuth::Ntlm),
            "negotiate" | "kerberos" => Ok(ProxyAuth::Negotiate),
            _ => Err("only auto, basic, ntlm and negotiate are understood"),
        }
    }
}

impl fmt::Display for ProxyAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyAuth::Auto => "auto",
            ProxyAuth::Basic => "basic",
            ProxyAuth::Ntlm => "ntlm",
            ProxyAuth::Negotiate => "negotiate",
        })
    }
}

/// PROXY_USER, PROXY_PASSWORD and PROXY_AUTH. No `Debug`: it holds a secret.
#[derive(Clone, Default)]
pub struct ProxyLogon {
    /// PROXY_USER; where there is none, the user in the proxy's address counts.
    pub user: Option<String>,
    /// PROXY_PASSWORD.
    pub password: Option<SecretString>,
    /// PROXY_AUTH.
    pub auth: ProxyAuth,
}

/// The user and the password for one proxy.
pub(crate) struct Credentials<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: Option<&'a SecretString>,
    /// Where the user was named.
    pub(crate) by: &'static str,
}

impl ProxyLogon {
    /// Who to log on as at this proxy; `None` is the account that runs the program.
    pub(crate) fn credentials<'a>(&'a self, proxy: &'a ProxyAddress) -> Option<Credentials<'a>> {
        match (&self.user, proxy.user()) {
            (Some(user), _) => Some(Credentials {
                user,
                password: self.password.as_ref(),
                by: "PROXY_USER",
            }),
            (None, Some(user)) => Some(Credentials {
                user,
                password: self.password.as_ref().or(proxy.password()),
                by: "the proxy's address",
            }),
            (None, None) => None,
        }
    }

    /// The schemes that may be used, with or without a user of our own. Without one only
    /// the account's own logon can answer.
    pub(crate) fn schemes(&self, has_user: bool) -> Vec<AuthScheme> {
        let possible: &[AuthScheme] = match has_user {
            true if cfg!(windows) => &[
                AuthScheme::Negotiate,
                AuthScheme::Ntlm,
                AuthScheme::Digest,
                AuthScheme::Basic,
            ],
            // Kerberos takes a ticket here, not a user and password.
            true => &[AuthScheme::Ntlm, AuthScheme::Digest, AuthScheme::Basic],
            false if cfg!(windows) => &[AuthScheme::Negotiate, AuthScheme::Ntlm],
            false if HAS_NEGOTIATE => &[AuthScheme::Negotiate],
            false => &[],
        };
        match self.auth {
            ProxyAuth::Auto => possible.to_vec(),
            ProxyAuth::Basic => vec![AuthScheme::Basic],
            ProxyAuth::Ntlm => vec![AuthScheme::Ntlm],
            ProxyAuth::Negotiate => vec![AuthScheme::Negotiate],
        }
    }
}
