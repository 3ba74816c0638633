//! Which proxy an address is reached through, who names it, and how the program logs on
//! to it.
//!
//! The rules are curl's (<https://everything.curl.dev/usingcurl/proxies/env.html>), but
//! they are applied here and libcurl is told the outcome, so that the program can say
//! which proxy it uses and why. Three things differ from curl: a proxy's port must be
//! written, this machine's own addresses are kept from proxies elsewhere, and
//! `no_proxy` counts after the setting.

mod address;
mod logon;
mod no_proxy;
mod refusal;
mod system;

use std::fmt;

use url::{Host, Url};

pub use address::{AddressFault, ProxyAddress};
pub use logon::{AuthScheme, HAS_NEGOTIATE, ProxyAuth, ProxyLogon};
pub use no_proxy::NoProxy;
pub(crate) use refusal::{logon_wanted, offered_schemes, tunnel_refused};
pub use system::{SystemLookup, SystemProxies};

/// A proxy, and who names it.
#[derive(Clone)]
pub struct NamedProxy {
    /// Where it is.
    pub address: ProxyAddress,
    /// Who names it, e.g. `PROXY in .env, line 3` or `the environment's https_proxy`.
    pub by: String,
}

/// Without its credentials.
impl fmt::Display for NamedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.address, self.by)
    }
}

/// All that is known of proxies. No `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Proxies {
    /// PROXY.
    pub setting: Option<NamedProxy>,
    /// `https_proxy` or its kin.
    pub for_https: Option<NamedProxy>,
    /// `http_proxy` or its kin.
    pub for_http: Option<NamedProxy>,
    /// NO_PROXY, and who gives it.
    pub no_proxy: Option<(NoProxy, String)>,
    /// The system's own settings.
    pub system: Option<SystemProxies>,
    /// PROXY_USER, PROXY_PASSWORD and PROXY_AUTH.
    pub logon: ProxyLogon,
}

/// How an address is reached.
#[derive(Clone)]
pub enum Route {
    /// Without a proxy, and why.
    Direct(Direct),
    /// Through one of these.
    Through(Ways),
}

/// Proxies for one address.
#[derive(Clone)]
pub struct Ways {
    /// The one to take.
    pub first: NamedProxy,
    /// Those to take, in this order, where it can't be reached.
    pub then: Vec<NamedProxy>,
}

/// Why no proxy is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direct {
    /// Nobody names one.
    NoneNamed,
    /// The address is this machine's own.
    ThisMachine,
    /// This entry stands in a list, and whose list it is.
    Excepted(String, String),
    /// These settings, or this script, say so.
    Said(String),
    /// The system names some, and why none can be used.
    Unusable(String),
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Direct(Direct::NoneNamed) => f.write_str("no proxy: none is named"),
            Route::Direct(Direct::ThisMachine) => {
                f.write_str("no proxy: it is this machine's own address")
            }
            Route::Direct(Direct::Excepted(entry, by)) => {
                write!(f, "no proxy: {entry} stands in {by}")
            }
            Route::Direct(Direct::Said(by)) => write!(f, "no proxy, by {by}"),
            Route::Direct(Direct::Unusable(why)) => write!(f, "no proxy: {why}"),
            Route::Through(ways) => {
                write!(f, "through the proxy {}", ways.first)?;
                for next in &ways.then {
                    write!(f, ", or where that can't be reached {}", next.address)?;
                }
                Ok(())
            }
        }
    }
}

impl Proxies {
    /// How `url` is reached: PROXY goes before the environment, the environment before
    /// the system's settings, NO_PROXY before all. Where the system is asked, that may
    /// take some seconds.
    ///
    /// This machine's own addresses are never reached through a proxy of the
    /// environment's or the system's, and through PROXY only where that is on this machine
    /// too: a proxy elsewhere would take the address for its own, and be sent what was
    /// meant for nobody else.
    pub fn route(&self, url: &Url) -> Route {
        let own = is_own(url.host());
        let named = match (&self.setting, own) {
            (Some(proxy), true) if proxy.address.is_own() => Some(proxy),
            (_, true) => return Route::Direct(Direct::ThisMachine),
            (Some(proxy), false) => Some(proxy),
            (None, false) if url.scheme() == "https" => self.for_https.as_ref(),
            (None, false) => self.for_http.as_ref(),
        };
        if named.is_none() && self.system.is_none() {
            return Route::Direct(Direct::NoneNamed);
        }
        let excepted = self
            .no_proxy
            .as_ref()
            .zip(url.host())
            .and_then(|((list, by), host)| Some((list.entry_for(&host)?, by)));
        if let Some((entry, by)) = excepted {
            return Route::Direct(Direct::Excepted(entry.to_string(), by.clone()));
        }
        match (named, &self.system) {
            (Some(proxy), _) => Route::Through(Ways {
                first: proxy.clone(),
                then: Vec::new(),
            }),
            (None, Some(system)) => system.route(url),
            (None, None) => Route::Direct(Direct::NoneNamed),
        }
    }
}

/// Whether a host is this machine.
pub(crate) fn is_own<S: AsRef<str>>(host: Option<Host<S>>) -> bool {
    match host {
        Some(Host::Domain(name)) => name
            .as_ref()
            .trim_end_matches('.')
            .eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
