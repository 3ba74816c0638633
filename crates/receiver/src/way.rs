//! The way to an address, looked at step by step: proxy, name, connection, TLS and
//! certificate. No request is sent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use csc_message::Probe;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::net::{TcpStream, lookup_host};
use url::{Host, Url};

use crate::certificate::{self, Certificate, IssuedBy, Seen};
use crate::curl::{NetworkOptions, Tunnel, connect};
use crate::proxy::{Direct, Route, is_own};
use crate::transport::{Fault, FaultKind};

/// How many of a name's addresses are shown and tried.
const ADDRESSES: usize = 4;
/// A certificate that ends sooner is pointed out.
const SOON: i64 = 14 * 24 * 3600;

/// What there is to say of the way to an address.
pub struct Way {
    /// A probe for each step that could be tried.
    pub probes: Vec<Probe>,
    /// Whether a request would get through.
    pub is_open: bool,
}

/// Looks at the way that a request to `url` takes. Each step may take as long as `timeout`.
pub async fn examine_way(url: &Url, network: &NetworkOptions, timeout: Duration) -> Way {
    let place = place(url);
    let route = network.proxies.route(url);
    let mut probes = vec![Probe::ok("proxy", format!("{place}: {route}"))];
    let mut hops = hops(url, &route).into_iter().peekable();
    while let Some(hop) = hops.next() {
        match (hop.reach(timeout, &mut probes).await, hops.peek()) {
            (Ok(()), _) => break,
            (Err(probe), Some(next)) => probes.push(passed_over(probe, next)),
            (Err(probe), None) => return shut(probes, probe),
        }
    }
    if url.scheme() != "https" {
        probes.push(plain(url, &place));
        return Way {
            probes,
            is_open: true,
        };
    }
    let (secured, seen) = {
        let (url, network) = (url.clone(), network.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let secured = connect(&url, &network, timeout);
            (secured, look(&url, &network, timeout))
        });
        match looked.await {
            Ok(looked) => looked,
            Err(_) => {
                let gone = || Fault::new(FaultKind::Other, "the program's thread has ended");
                (Err(gone()), Err(gone().words))
            }
        }
    };
    let is_open = secured.is_ok();
    probes.push(tls(&place, &secured, seen.as_ref().ok()));
    match seen {
        Ok(seen) => probes.push(judge(
            &seen.certificate,
            url,
            is_open,
            Timestamp::now().as_second(),
        )),
        // The reason is the same one, and has been told.
        Err(_) if !is_open => {}
        Err(why) => probes.push(Probe::warn(
            "certificate",
            format!("{place}: it could not be looked at: {why}"),
            "nothing, if all else is well: the connection that records take was checked",
        )),
    }
    Way { probes, is_open }
}

fn shut(mut probes: Vec<Probe>, probe: Probe) -> Way {
    probes.push(probe);
    Way {
        probes,
        is_open: false,
    }
}

/// What this machine connects to: the address itself, or the proxies in the order in which
/// they are tried.
fn hops(url: &Url, route: &Route) -> Vec<Hop> {
    match route {
        Route::Through(ways) => std::iter::once(&ways.first)
            .chain(&ways.then)
            .map(|proxy| {
                let (host, port) = proxy.address.host_and_port();
                Hop {
                    host,
                    port,
                    is_proxy: true,
                    may_need_proxy: false,
                }
            })
            .collect(),
        Route::Direct(why) => vec![Hop {
            host: url.host_str().unwrap_or_default().to_string(),
            port: url.port_or_known_default().unwrap_or(443),
            is_proxy: false,
            may_need_proxy: matches!(why, Direct::NoneNamed),
        }],
    }
}

/// A proxy that is not reached, with another one behind it.
fn passed_over(probe: Probe, next: &Hop) -> Probe {
    Probe::warn(
        probe.subject,
        format!("{}; the next one is tried, {}", probe.found, next.place()),
        "ask IT whether that proxy is still meant, and to take it out of the list or let this \
         machine connect to it; records go through the next one",
    )
}

/// A host and port as a person knows them.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    }
}

/// What this machine itself connects to.
struct Hop {
    host: String,
    port: u16,
    is_proxy: bool,
    may_need_proxy: bool,
}

impl Hop {
    fn name(&self) -> String {
        let what = if self.is_proxy { "the proxy " } else { "" };
        format!("{what}{}", self.host)
    }

    fn place(&self) -> String {
        format!("{}:{}", self.name(), self.port)
    }

    /// Whether it can be connected to; what was found on the way there, and the reason
    /// where it can't.
    async fn reach(&self, timeout: Duration, probes: &mut Vec<Probe>) -> Result<(), Probe> {
        let (probe, addresses) = self.look_up(timeout).await?;
        probes.push(probe);
        probes.push(self.connect(&addresses, timeout).await?);
        Ok(())
    }

    fn ask_it(&self, otherwise: &str) -> String {
        if self.is_proxy {
            "check PROXY, or the environment's own variable, and ask IT for the proxy's address"
                .to_string()
        } else if self.may_need_proxy {
            format!("{otherwise}; where the authority has a proxy, name it in PROXY")
        } else {
            otherwise.to_string()
        }
    }

    async fn look_up(&self, timeout: Duration) -> Result<(Probe, Vec<SocketAddr>), Probe> {
        let fail = |why: &str| {
            let next = self.ask_it(
                "check the spelling in API_ENDPOINT and TOKEN_ENDPOINT, and ask IT whether this \
                 machine may look up names outside",
            );
            Probe::fail("dns", format!("{}: {why}", self.name()), next)
        };
        let literal = match Host::parse(&self.host) {
            Ok(Host::Ipv4(ip)) => Some(ip.into()),
            Ok(Host::Ipv6(ip)) => Some(std::net::IpAddr::from(ip)),
            Ok(Host::Domain(_)) | Err(_) => None,
        };
        if let Some(ip) = literal {
            let probe = Probe::ok("dns", format!("{}: an address, no name", self.name()));
            return Ok((probe, vec![SocketAddr::new(ip, self.port)]));
        }
        let found = tokio::time::timeout(timeout, lookup_host((self.host.as_str(), self.port)));
        let addresses: Vec<SocketAddr> = match found.await {
            Ok(Ok(addresses)) => addresses.take(ADDRESSES).collect(),
            Ok(Err(error)) => return Err(fail(&error.to_string())),
            Err(_) => {
                return Err(fail(&format!("no answer within {} s", timeout.as_secs())));
            }
        };
        if addresses.is_empty() {
            return Err(fail("the name has no address"));
        }
        let shown: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
        let found = format!("{}: {}", self.name(), shown.join(", "));
        Ok((Probe::ok("dns", found), addresses))
    }

    async fn connect(&self, addresses: &[SocketAddr], timeout: Duration) -> Result<Probe, Probe> {
        let place = self.place();
        let mut why = String::new();
        for address in addresses {
            let begun = Instant::now();
            match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(Ok(_)) => {
                    let took = begun.elapsed().as_millis();
                    return Ok(Probe::ok("tcp", format!("{place}: connected in {took} ms")));
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = format!("no answer within {} s", timeout.as_secs()),
            }
        }
        let next = self.ask_it(
            "ask IT to let this machine connect to that host and port; check the port in the \
             address",
        );
        Err(Probe::fail("tcp", format!("{place}: {why}"), next))
    }
}

/// Without TLS, nothing else is there to look at.
fn plain(url: &Url, place: &str) -> Probe {
    if is_own(url.host()) {
        Probe::ok("tls", format!("{place}: none, it is this machine"))
    } else {
        Probe::fail(
            "tls",
            format!("{place}: none: records and credentials would cross the network in the clear"),
            "write the address with https://",
        )
    }
}

fn look(url: &Url, network: &NetworkOptions, timeout: Duration) -> Result<Seen, String> {
    let mut tunnel = Tunnel::open(url, network, timeout).map_err(|fault| fault.words)?;
    let host = url.host_str().unwrap_or_default();
    certificate::look(&mut tunnel, host, network.ca_bundle.as_ref()).map_err(|e| e.to_string())
}

/// What libcurl says, which carries the records, with the version that was seen.
fn tls(place: &str, secured: &Result<(), Fault>, seen: Option<&Seen>) -> Probe {
    match secured {
        Ok(()) => {
            let version = seen.map_or(String::new(), |seen| {
                format!("; the other side takes {}", seen.version)
            });
            Probe::ok("tls", format!("{place}: a secure connection{version}"))
        }
        Err(Fault {
            last_word: Some(message),
            ..
        }) => Probe::fail(
            "proxy",
            format!("{}: {}", message.what(), message.why()),
            message.next(),
        ),
        Err(fault) => {
            let (subject, next) = match fault.kind {
                FaultKind::Proxy => (
                    "proxy",
                    "ask IT whether the proxy lets this machine through to that host",
                ),
                FaultKind::Dns | FaultKind::Connect | FaultKind::Timeout => (
                    "tls",
                    "try again; if it stays so, ask IT whether something between here and there \
                     holds the connection up",
                ),
                FaultKind::Tls | FaultKind::Interrupted | FaultKind::TooMuch | FaultKind::Other => {
                    (
                        "tls",
                        "look at the certificate below, where there is one; if a proxy of the \
                     authority opens TLS, name its CA in CA_BUNDLE; check the machine's clock",
                    )
                }
            };
            Probe::fail(subject, format!("{place}: {}", fault.words), next)
        }
    }
}

/// What is wrong with a certificate, worst first; an interception that is allowed is told.
fn judge(certificate: &Certificate, url: &Url, is_trusted: bool, now: i64) -> Probe {
    let host = url.host_str().unwrap_or_default();
    let (from, until) = certificate.valid;
    let is_own = is_own(url.host());
    let facts = format!(
        "{}: for {} ({}), issued by {}, good until {}",
        place(url),
        certificate.subject,
        certificate.names,
        certificate.issuer,
        day(until)
    );
    let fail =
        |why: String, next: &str| Probe::fail("certificate", format!("{facts}; {why}"), next);
    let clock = "check this machine's clock; if it is right, tell whoever runs that host (IT, where \
                 a proxy of the authority opens TLS, else the DfE)";
    if now > until {
        return fail("it has expired".to_string(), clock);
    }
    if now < from {
        return fail(format!("it is good from {} only", day(from)), clock);
    }
    if !certificate.is_for_host {
        return fail(
            format!("it is not for {host}"),
            "check the host in API_ENDPOINT and TOKEN_ENDPOINT; if it is right, something else \
             answers in its place: ask IT",
        );
    }
    let opened = |from: &str| {
        format!(
            "{from} knows its issuer, the world does not: a proxy of the authority opens the \
             connection, and whoever runs it can read what is sent"
        )
    };
    let agreed = "make sure with IT and information governance that this is meant; IT can except \
                  *.education.gov.uk and login.microsoftonline.com from it";
    match certificate.issued_by {
        IssuedBy::Itself if !is_trusted => fail(
            "it vouches for itself".to_string(),
            "ask IT what answers there; the DfE's hosts have certificates of public authorities",
        ),
        IssuedBy::Unknown if !is_trusted => fail(
            "its issuer is not known here".to_string(),
            "ask IT whether that issuer is the authority's proxy: its CA then belongs into the \
             machine's trust store, or as a PEM file into CA_BUNDLE",
        ),
        IssuedBy::Bundle if !is_own => Probe::warn(
            "certificate",
            format!("{facts}; {}", opened("CA_BUNDLE")),
            agreed,
        ),
        IssuedBy::System if !is_own => Probe::warn(
            "certificate",
            format!("{facts}; {}", opened("only this machine")),
            agreed,
        ),
        IssuedBy::Itself | IssuedBy::Unknown if !is_own => Probe::warn(
            "certificate",
            format!("{facts}; it is trusted here, but who vouches for its issuer was not found"),
            agreed,
        ),
        IssuedBy::Public
        | IssuedBy::Bundle
        | IssuedBy::System
        | IssuedBy::Itself
        | IssuedBy::Unknown => {
            if until - now < SOON {
                return Probe::warn(
                    "certificate",
                    format!("{facts}; that is in {} days", (until - now) / 86_400),
                    "ask whoever runs that host to renew it",
                );
            }
            Probe::ok("certificate", facts)
        }
    }
}

fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| "a day beyond all calendars".to_string(),
        |at| at.to_zoned(TimeZone::UTC).date().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use csc_message::Verdict;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn certificate(issued_by: IssuedBy) -> Certificate {
        Certificate {
            subject: "CN=x".to_string(),
            names: "x.test".to_string(),
            issuer: "CN=y".to_string(),
            is_for_host: true,
            valid: (NOW - 1000, NOW + 10_000_000),
            issued_by,
        }
    }

    fn judged(certificate: &Certificate, host: &str, is_trusted: bool) -> (Verdict, String) {
        let url = Url::parse(&format!("https://{host}/")).unwrap();
        let probe = judge(certificate, &url, is_trusted, NOW);
        (probe.verdict, probe.found)
    }

    #[test]
    fn an_issuer_that_the_world_does_not_know_is_pointed_out() {
        use IssuedBy::{Bundle, Itself, Public, System, Unknown};
        use Verdict::{Fail, Ok, Warn};
        for (issued_by, host, is_trusted, expected, words) in [
            (Public, "x.test", true, Ok, "good until"),
            (Bundle, "x.test", true, Warn, "CA_BUNDLE knows its issuer"),
            (System, "x.test", true, Warn, "only this machine knows"),
            (Unknown, "x.test", true, Warn, "was not found"),
            (Unknown, "x.test", false, Fail, "not known here"),
            (Itself, "x.test", false, Fail, "vouches for itself"),
            (Bundle, "127.0.0.1:1", true, Ok, "good until"),
            (Unknown, "localhost", false, Fail, "not known here"),
        ] {
            let (verdict, found) = judged(&certificate(issued_by), host, is_trusted);
            assert_eq!(verdict, expected, "{issued_by:?} {host}: {found}");
            assert!(found.contains(words), "{found}");
        }
    }

    #[test]
    fn time_and_name_are_told_before_the_issuer() {
        let expired = Certificate {
            valid: (NOW - 1000, NOW - 1),
            ..certificate(IssuedBy::Unknown)
        };
        assert!(
            judged(&expired, "x.test", false)
                .1
                .contains("it has expired")
        );
        let early = Certificate {
            valid: (NOW + 1, NOW + 2),
            ..certificate(IssuedBy::Public)
        };
        assert!(
            judged(&early, "x.test", false)
                .1
                .contains("2027-01-15 only")
        );
        let other = Certificate {
            is_for_host: false,
            ..certificate(IssuedBy::Public)
        };
        assert!(judged(&other, "y.test", false).1.contains("not for y.test"));
        let soon = Certificate {
            valid: (NOW - 1000, NOW + 3 * 86_400),
            ..certificate(IssuedBy::Public)
        };
        let (verdict, found) = judged(&soon, "x.test", true);
        assert_eq!(verdict, Verdict::Warn);
        assert!(found.ends_with("in 3 days"), "{found}");
    }
}
