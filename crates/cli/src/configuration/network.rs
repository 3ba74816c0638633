//! PROXY and its kin, USER_AGENT and CA_BUNDLE.

use csc_message::Message;
use csc_receiver::proxy::{
    HAS_NEGOTIATE, NamedProxy, NoProxy, Proxies, ProxyAddress, ProxyAuth, ProxyLogon,
};
use csc_receiver::{CaBundle, CaBundleFault, NetworkOptions};
use secrecy::SecretString;
use url::Url;

use super::settings::Read;
use super::{Config, Key, World};

/// The environment's variables for proxies, as curl knows them, the stronger one first.
/// `HTTP_PROXY` is not among them: whoever calls a CGI program can set it (CVE-2016-5385).
const HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const HTTP: [&str; 3] = ["http_proxy", "all_proxy", "ALL_PROXY"];
/// `NO_PROXY` itself is a setting.
const NO_PROXY: &str = "no_proxy";

/// Those of them that are set.
pub(super) fn of_environment(world: &World<'_>) -> Vec<(&'static str, String)> {
    HTTPS
        .into_iter()
        .chain(HTTP.into_iter().take(1))
        .chain([NO_PROXY])
        .filter_map(|name| Some((name, (world.environment)(name)?)))
        .filter(|(_, value)| !value.trim().is_empty())
        .collect()
}

impl Config {
    /// For each address that is filled in: its host, and how it is reached.
    pub(super) fn routes(&self) -> Vec<(Key, String, String)> {
        let proxies = Read::of(self).network(true).proxies;
        [Key::ApiEndpoint, Key::TokenEndpoint]
            .into_iter()
            .filter_map(|key| {
                let url = Url::parse(self.filled(key)?.value.trim()).ok()?;
                let host = url.host_str()?.to_string();
                Some((key, host, proxies.route(&url).to_string()))
            })
            .collect()
    }

    fn environment_proxy(&self, names: &[&str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| {
            self.environment_proxies
                .iter()
                .find(|(known, _)| known == name)
                .map(|(name, value)| (*name, value.as_str()))
        })
    }
}

impl Read<'_> {
    /// How the network is used. What only a live run meets (the environment, the
    /// system's settings, the file of CA_BUNDLE) is looked at where one is wanted.
    pub(super) fn network(&mut self, live: bool) -> NetworkOptions {
        let setting = self.proxy();
        let past_setting = live && setting.is_none() && self.config.filled(Key::Proxy).is_none();
        let mut of_environment = |names| match past_setting {
            true => self.proxy_of_environment(names),
            false => None,
        };
        let (for_https, for_http) = (of_environment(&HTTPS), of_environment(&HTTP));
        let named_with_user = [&setting, &for_https, &for_http]
            .into_iter()
            .flatten()
            .any(|proxy| proxy.address.user().is_some());
        NetworkOptions {
            proxies: Proxies {
                no_proxy: self.no_proxy(),
                system: self.config.system_proxies.clone().filter(|_| past_setting),
                logon: self.proxy_logon(named_with_user),
                setting,
                for_https,
                for_http,
            },
            ca_bundle: live.then(|| self.ca_bundle()).flatten(),
        }
    }

    fn proxy(&mut self) -> Option<NamedProxy> {
        let found = self.config.filled(Key::Proxy)?;
        match ProxyAddress::parse(&found.value) {
            Ok(address) => Some(NamedProxy {
                address,
                by: format!("PROXY from {}", found.source),
            }),
            Err(why) => {
                self.wrong(Key::Proxy, found, why);
                None
            }
        }
    }

    fn proxy_of_environment(&mut self, names: &[&str]) -> Option<NamedProxy> {
        let (name, value) = self.config.environment_proxy(names)?;
        match ProxyAddress::parse(value) {
            Ok(address) => Some(NamedProxy {
                address,
                by: format!("the environment's {name}"),
            }),
            Err(why) => {
                let message = Message::new(
                    232,
                    format!("The environment's {name} can't be used"),
                    why.to_string(),
                    format!(
                        "correct it, or name the proxy in PROXY, which goes before it; NO_PROXY=* \
                         does without any. {name} is not shown, since it may hold a password"
                    ),
                );
                if !self.faults.contains(&message) {
                    self.faults.push(message);
                }
                None
            }
        }
    }

    fn no_proxy(&self) -> Option<(NoProxy, String)> {
        if let Some(found) = self.config.filled(Key::NoProxy) {
            let by = format!("NO_PROXY from {}", found.source);
            return Some((NoProxy::parse(&found.value), by));
        }
        let (name, value) = self.config.environment_proxy(&[NO_PROXY])?;
        Some((NoProxy::parse(value), format!("the environment's {name}")))
    }

    fn proxy_logon(&mut self, named_with_user: bool) -> ProxyLogon {
        let auth = match self.config.filled(Key::ProxyAuth) {
            None => ProxyAuth::default(),
            Some(found) => found.value.parse().unwrap_or_else(|why| {
                self.wrong(Key::ProxyAuth, found, why);
                ProxyAuth::default()
            }),
        };
        for key in [Key::ProxyUser, Key::ProxyPassword] {
            if let Some(found) = self.config.given(key)
                && found.value.trim().chars().any(char::is_control)
            {
                self.wrong(
                    key,
                    found,
                    "there is a line break or control character in it",
                );
            }
        }
        let user = self.text(Key::ProxyUser);
        // The system's store is asked only where there is somebody to log on.
        let password = match (&user, self.config.given(Key::ProxyPassword)) {
            (Some(_), None) => self.config.filled(Key::ProxyPassword),
            (_, given) => given,
        }
        .map(|found| SecretString::from(found.value.trim().to_string()));
        if auth == ProxyAuth::Negotiate && !HAS_NEGOTIATE {
            self.faults.push(Message::new(
                231,
                "PROXY_AUTH=negotiate cannot be used with this program",
                "it was built without Kerberos",
                "build it with `cargo build --release --features kerberos` (Debian: libkrb5-dev is \
                 needed for that), or use the program on Windows; or set PROXY_AUTH=auto with \
                 PROXY_USER and PROXY_PASSWORD, where the proxy takes NTLM or Basic",
            ));
        }
        let own_logon = auth == ProxyAuth::Negotiate || (auth == ProxyAuth::Ntlm && cfg!(windows));
        let has_user = user.is_some() || named_with_user;
        if !has_user && (password.is_some() || !(own_logon || auth == ProxyAuth::Auto)) {
            self.missing(Key::ProxyUser);
        } else if user.is_some() && password.is_none() && auth != ProxyAuth::Negotiate {
            self.missing(Key::ProxyPassword);
        }
        ProxyLogon {
            user,
            password,
            auth,
        }
    }

    /// USER_AGENT: it goes into a header, where a line break would begin another one.
    pub(super) fn user_agent(&mut self) -> String {
        let own = concat!("csc-sender/", env!("CARGO_PKG_VERSION")).to_string();
        let Some(found) = self.config.filled(Key::UserAgent) else {
            return own;
        };
        let value = found.value.trim();
        if value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return value.to_string();
        }
        let why = "only letters, digits, blanks and marks of ASCII go into a header";
        self.wrong(Key::UserAgent, found, why);
        own
    }

    fn ca_bundle(&mut self) -> Option<CaBundle> {
        let path = self.path(Key::CaBundle)?;
        CaBundle::read(&path)
            .map_err(|fault| {
                let next = match fault {
                    CaBundleFault::Unreadable(_) => {
                        "correct CA_BUNDLE, or let this account read the file"
                    }
                    CaBundleFault::NoCertificate | CaBundleFault::Damaged(_) => {
                        "ask IT for the CA as a PEM file (Windows calls it Base-64 encoded X.509, \
                         .CER); several may follow each other in it"
                    }
                };
                self.faults.push(Message::new(
                    230,
                    format!("Cannot use {} as CA_BUNDLE", path.display()),
                    fault.to_string(),
                    next,
                ));
            })
            .ok()
    }
}
