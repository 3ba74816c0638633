//! The system's own proxy settings and configuration script (PAC).
//!
//! Windows' order is kept: a script that the network announces, a script that is named,
//! proxies that are named; first the account's settings, then the machine's, which are
//! meant for services. Where a script gives no answer the next of them counts, as in a
//! browser. It is a plain choice here; Windows' own calls are in `csc-windows`.

mod list;
#[cfg(windows)]
mod windows;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use csc_windows::proxy::{Answer, Fault, Script, Settings};
use url::Url;

use super::{Direct, NamedProxy, ProxyAddress, Route, Ways};
use list::Way;

/// How long an answer holds: a script may say something else by day than by night, and a
/// laptop meets another network.
const KEPT: Duration = Duration::from_secs(600);
/// How long it holds where none came.
const KEPT_WITHOUT_ANSWER: Duration = Duration::from_secs(60);

/// Who knows the system's settings.
pub trait SystemLookup: Send + Sync {
    /// Whose they are, and what they say; the stronger ones first.
    fn settings(&self) -> Vec<(&'static str, Settings)>;

    /// What a script says of an address. It answers within a limit.
    fn ask(&self, script: &Script, url: &str) -> Result<Answer, Fault>;
}

/// The system's proxies, and what was last found for each host.
#[derive(Clone)]
pub struct SystemProxies {
    lookup: Arc<dyn SystemLookup>,
    known: Arc<Mutex<HashMap<String, Known>>>,
}

struct Known {
    at: Instant,
    route: Route,
}

impl SystemProxies {
    /// Those that this lookup tells of.
    pub fn new(lookup: Arc<dyn SystemLookup>) -> Self {
        SystemProxies {
            lookup,
            known: Arc::default(),
        }
    }

    /// Those of this system, where it has settings of the kind: on Windows.
    pub fn of_this_system() -> Option<Self> {
        #[cfg(windows)]
        return Some(SystemProxies::new(Arc::new(windows::Windows)));
        #[cfg(not(windows))]
        None
    }

    /// How an address is reached. It may take as long as the lookup does.
    pub(super) fn route(&self, url: &Url) -> Route {
        self.route_at(url, Instant::now())
    }

    fn route_at(&self, url: &Url, now: Instant) -> Route {
        // The lock is held while asking, so that nobody asks the same meanwhile.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = origin(url);
        if let Some(found) = known.get(&origin) {
            let kept = match found.route {
                Route::Direct(Direct::Unusable(_)) => KEPT_WITHOUT_ANSWER,
                Route::Direct(_) | Route::Through(_) => KEPT,
            };
            if now.saturating_duration_since(found.at) < kept {
                return found.route.clone();
            }
        }
        let route = self.look_up(url, &origin);
        let found = Known {
            at: now,
            route: route.clone(),
        };
        known.insert(origin, found);
        route
    }

    fn look_up(&self, url: &Url, origin: &str) -> Route {
        let mut unusable = Vec::new();
        for (whose, settings) in self.lookup.settings() {
            let announced = settings.detects.then_some(Script::Announced);
            let named = settings.script.map(Script::At);
            for script in announced.into_iter().chain(named) {
                let by = script_words(&script);
                match self.lookup.ask(&script, origin) {
                    Ok(Answer::Direct) => return Route::Direct(Direct::Said(by)),
                    Ok(Answer::Through { proxies, bypass }) => {
                        match chosen(&proxies, bypass.as_deref(), url, &by) {
                            Ok(route) => return route,
                            Err(why) => unusable.push(why),
                        }
                    }
                    Err(fault) if fault.is_none_announced() => {}
                    Err(fault) => unusable.push(format!("{by} gives no answer: {fault}")),
                }
            }
            if let Some(proxies) = &settings.proxies {
                match chosen(proxies, settings.bypass.as_deref(), url, whose) {
                    Ok(route) => return route,
                    Err(why) => unusable.push(why),
                }
            }
        }
        Route::Direct(if unusable.is_empty() {
            Direct::NoneNamed
        } else {
            Direct::Unusable(unusable.join("; "))
        })
    }
}

/// The part of an address that a script is told: not its path.
fn origin(url: &Url) -> String {
    format!("{}/", url.origin().ascii_serialization())
}

/// A script, as a person knows it: without a user or a query, which may be secret.
fn script_words(script: &Script) -> String {
    match script {
        Script::Announced => "the PAC file that this network announces".to_string(),
        Script::At(address) => match Url::parse(address) {
            Ok(url) if url.has_host() => format!(
                "the PAC file at {}{}",
                url.origin().ascii_serialization(),
                url.path()
            ),
            Ok(_) | Err(_) => "the PAC file of Windows' proxy settings".to_string(),
        },
    }
}

/// What a list means for an address, or why it means nothing.
fn chosen(list: &str, bypass: Option<&str>, url: &Url, by: &str) -> Result<Route, String> {
    if let Some(entry) = bypass.and_then(|bypass| list::bypassing(bypass, url)) {
        let (entry, by) = (entry.to_string(), by.to_string());
        return Ok(Route::Direct(Direct::Excepted(entry, by)));
    }
    let ways = list::ways(list, url.scheme())
        .map_err(|why| format!("{by}: the proxy can't be used: {why}"))?;
    let mut proxies = Vec::new();
    for way in ways {
        match way {
            Way::Through(address) => proxies.push(named(address, by)),
            // What follows is for programs that may go past a proxy which is down. This
            // one doesn't: whoever runs the proxy means it to be passed.
            Way::Direct => break,
        }
    }
    let mut proxies = proxies.into_iter();
    Ok(match proxies.next() {
        Some(first) => Route::Through(Ways {
            first,
            then: proxies.collect(),
        }),
        None => Route::Direct(Direct::Said(by.to_string())),
    })
}

fn named(address: ProxyAddress, by: &str) -> NamedProxy {
    NamedProxy {
        address,
        by: by.to_string(),
    }
}

#[cfg(test)]
mod tests;
