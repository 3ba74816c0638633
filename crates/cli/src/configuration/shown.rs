//! Values as a person may see them, in `config show` and in messages alike.

use csc_receiver::proxy::{AddressFault, ProxyAddress};
use csc_staging::connection::{Logon, may_hold_password, parse_with};
use secrecy::SecretString;

use super::{Config, Found, Key, is_placeholder};

/// A value without what is or may be a secret: a connection string or an address with
/// credentials may stand in any setting's place by mistake. `None` where nothing of it
/// may be shown.
pub fn open_text(key: Key, value: &str) -> Option<String> {
    let value = value.trim();
    if key.info().secret || key == Key::DbConnectionString {
        return None;
    }
    if key == Key::Proxy {
        // What is no address may be a password, or have one anywhere.
        return match ProxyAddress::parse(value) {
            Err(AddressFault::Malformed) => None,
            Ok(_) | Err(_) => Some(without_credentials(value)),
        };
    }
    if may_hold_password(value) {
        return None;
    }
    // An address's parameters may be a key (`?subscription-key=…`).
    match value.split_once('?') {
        Some((address, _)) if matches!(key, Key::ApiEndpoint | Key::TokenEndpoint) => {
            Some(format!("{address}?****"))
        }
        Some(_) | None => Some(value.to_string()),
    }
}

/// `http://user:password@host` without what stands before the host.
fn without_credentials(proxy: &str) -> String {
    let (scheme, rest) = match proxy.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), proxy),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}****@{host}"),
        None => proxy.to_string(),
    }
}

impl Config {
    /// A value as it may be shown.
    pub(super) fn shown(&self, key: Key, found: &Found) -> String {
        self.shown_with(key, found, || self.logon())
    }

    /// The same, without asking the system's store for a password that a connection string
    /// leaves open.
    pub(super) fn shown_unasked(&self, key: Key, found: &Found) -> String {
        self.shown_with(key, found, || {
            let mut logon = self.given_logon();
            // What it is does not matter: it is not shown.
            logon.password.get_or_insert_with(|| "-".into());
            logon
        })
    }

    fn shown_with(&self, key: Key, found: &Found, logon: impl FnOnce() -> Logon) -> String {
        let value = found.value.trim();
        if value.is_empty() {
            return "(empty)".to_string();
        }
        if is_placeholder(key, value) {
            return "(not filled in)".to_string();
        }
        if key == Key::DbConnectionString {
            // What is not understood may hold a password anywhere.
            return parse_with(value, &logon()).map_or_else(
                |_| "(not understood, so not shown)".to_string(),
                |parsed| parsed.target.redacted(),
            );
        }
        open_text(key, value).unwrap_or_else(|| "**** (set)".to_string())
    }

    /// DB_USER and DB_PASSWORD, for what a connection string leaves open. The system's
    /// store is not asked.
    pub(super) fn given_logon(&self) -> Logon {
        let given = |key| self.given(key).map(|found| found.value.trim().to_string());
        Logon {
            user: given(Key::DbUser),
            password: given(Key::DbPassword).map(SecretString::from),
        }
    }

    /// The same with what the system's store keeps.
    fn logon(&self) -> Logon {
        let password = self.filled(Key::DbPassword);
        Logon {
            password: password.map(|found| found.value.trim().into()),
            ..self.given_logon()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_may_be_a_secret_is_shown() {
        for (key, value, expected) in [
            (Key::Scope, "api://x/.default", Some("api://x/.default")),
            (Key::ClientSecret, "x", None),
            (Key::Server, "Server=a;Pwd=b", None),
            (Key::ApiEndpoint, "https://u:p@h/x", None),
            (
                Key::TokenEndpoint,
                "https://h/x?key=b",
                Some("https://h/x?****"),
            ),
            (Key::DbUser, "ana@server", Some("ana@server")),
            (Key::Proxy, "http://u:p@h:1", Some("http://****@h:1")),
            (Key::Proxy, "u:p@w@h:1", Some("****@h:1")),
            (Key::Proxy, "http://h:1", Some("http://h:1")),
            (Key::Proxy, "http://h", Some("http://h")),
            (Key::Proxy, "u:secret", None),
        ] {
            assert_eq!(open_text(key, value).as_deref(), expected, "{value}");
        }
    }
}
