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

use std::fmt;

use url::{Host, Url};

pub use address::{AddressFault, ProxyAddress};
pub use logon::{AuthScheme, HAS_NEGOTIATE, ProxyAuth, ProxyLogon};
pub use no_proxy::NoProxy;
pub(crate) use refusal::{logon_wanted, offered_schemes, tunnel_refused};

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

/// All that is known of proxies. A further source (a system's own settings) is one more
/// field here and one more step in [`Proxies::route`]. No `Debug`: it holds secrets.
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
    /// PROXY_USER, PROXY_PASSWORD and PROXY_AUTH.
    pub logon: ProxyLogon,
}

/// How an address is reached.
pub enum Route<'a> {
    /// Without a proxy, and why.
    Direct(Direct<'a>),
    /// Through this one.
    Through(&'a NamedProxy),
}

/// Why no proxy is used.
pub enum Direct<'a> {
    /// Nobody names one.
    NoneNamed,
    /// The address is this machine's own.
    ThisMachine,
    /// NO_PROXY has this entry, and who gives it.
    Excepted(&'a str, &'a str),
}

impl fmt::Display for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Direct(Direct::NoneNamed) => f.write_str("no proxy: none is named"),
            Route::Direct(Direct::ThisMachine) => {
                f.write_str("no proxy: it is this machine's own address")
            }
            Route::Direct(Direct::Excepted(entry, by)) => {
                write!(f, "no proxy: {entry} stands in {by}")
            }
            Route::Through(proxy) => write!(f, "through the proxy {proxy}"),
        }
    }
}

impl Proxies {
    /// How `url` is reached: PROXY goes before the environment, NO_PROXY before both.
    ///
    /// This machine's own addresses are never reached through the environment's proxy,
    /// and through PROXY only where that is on this machine too: a proxy elsewhere would
    /// take the address for its own, and be sent what was meant for nobody else.
    pub fn route(&self, url: &Url) -> Route<'_> {
        let own = is_own(url.host());
        let named = match (&self.setting, own) {
            (Some(proxy), true) if proxy.address.is_own() => Some(proxy),
            (_, true) => return Route::Direct(Direct::ThisMachine),
            (Some(proxy), false) => Some(proxy),
            (None, false) if url.scheme() == "https" => self.for_https.as_ref(),
            (None, false) => self.for_http.as_ref(),
        };
        let Some(proxy) = named else {
            return Route::Direct(Direct::NoneNamed);
        };
        let excepted = self
            .no_proxy
            .as_ref()
            .zip(url.host())
            .and_then(|((list, by), host)| Some((list.entry_for(&host)?, by.as_str())));
        match excepted {
            Some((entry, by)) => Route::Direct(Direct::Excepted(entry, by)),
            None => Route::Through(proxy),
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
