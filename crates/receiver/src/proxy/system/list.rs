//! Windows' lists of proxies and of hosts that are reached without them.
//!
//! The writing is that of WINHTTP_PROXY_INFO (Microsoft's page on it): proxies are
//! `[scheme=][scheme://]host[:port]`, with semicolons or blanks between. A script's own
//! words (`PROXY host:port; DIRECT`) are understood too.

use url::{Host, Url};

use crate::proxy::{AddressFault, ProxyAddress};

/// One way to an address.
pub(super) enum Way {
    /// Without a proxy.
    Direct,
    /// Through this one.
    Through(ProxyAddress),
}

struct Entry {
    /// The addresses that it is for; all where it names none.
    scheme: Option<String>,
    way: Result<Way, AddressFault>,
}

/// The ways to addresses of this scheme, in their order. None at all: the list has only
/// others. An entry that can't be read is left out, unless there is no other.
pub(super) fn ways(list: &str, scheme: &str) -> Result<Vec<Way>, AddressFault> {
    let mut own = Vec::new();
    let mut for_all = Vec::new();
    let mut socks = Vec::new();
    for entry in entries(list) {
        match entry.scheme.as_deref() {
            None => for_all.push(entry.way),
            Some(named) if named == scheme => own.push(entry.way),
            Some("socks") => socks.push(entry.way),
            Some(_) => {}
        }
    }
    let chosen = [own, for_all, socks]
        .into_iter()
        .find(|ways| !ways.is_empty())
        .unwrap_or_default();
    let mut fault = None;
    let ways: Vec<Way> = chosen
        .into_iter()
        .filter_map(|way| way.map_err(|why| fault = Some(why)).ok())
        .collect();
    match fault {
        Some(why) if ways.is_empty() => Err(why),
        Some(_) | None => Ok(ways),
    }
}

fn entries(list: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for part in list.split(';') {
        let mut words = part.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let kind = match word.to_ascii_uppercase().as_str() {
                "DIRECT" => {
                    entries.push(Entry {
                        scheme: None,
                        way: Ok(Way::Direct),
                    });
                    continue;
                }
                "PROXY" | "HTTP" => Some("http"),
                "HTTPS" => Some("https"),
                "SOCKS" | "SOCKS4" => Some("socks4"),
                "SOCKS5" => Some("socks5"),
                _ => None,
            };
            // A host may be called `proxy`: only before another word it is a script's.
            entries.push(match (kind, words.peek().copied()) {
                (Some(kind), Some(host)) => {
                    words.next();
                    Entry {
                        scheme: None,
                        way: through(kind, host),
                    }
                }
                (Some(_), None) | (None, _) => of_settings(word),
            });
        }
    }
    entries
}

/// `[scheme=][scheme://]host[:port]`.
fn of_settings(word: &str) -> Entry {
    let (scheme, rest) = match word.split_once('=') {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, word),
    };
    let (spoken, host) = match rest.split_once("://") {
        Some((spoken, host)) => (spoken.to_ascii_lowercase(), host),
        // In Windows' settings SOCKS is version 4.
        None if scheme.as_deref() == Some("socks") => ("socks4".to_string(), rest),
        None => ("http".to_string(), rest),
    };
    let spoken = if spoken == "socks" { "socks4" } else { &spoken };
    Entry {
        way: through(spoken, host),
        scheme,
    }
}

/// Windows, unlike curl, takes a proxy without a port, and has a usual one for it.
fn through(spoken: &str, host: &str) -> Result<Way, AddressFault> {
    let host = host.trim_end_matches('/');
    let name_end = host.rfind(']').map_or(0, |at| at + 1);
    let address = match (host[name_end..].contains(':'), spoken) {
        (true, _) => format!("{spoken}://{host}"),
        (false, "https") => format!("{spoken}://{host}:443"),
        (false, "http") => format!("{spoken}://{host}:80"),
        (false, _) => format!("{spoken}://{host}:1080"),
    };
    ProxyAddress::parse(&address).map(Way::Through)
}

/// The entry under which an address is reached without a proxy.
pub(super) fn bypassing<'a>(list: &'a str, url: &Url) -> Option<&'a str> {
    list.split(|c: char| c == ';' || c.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .find(|entry| is_bypassed(entry, url))
}

/// `<local>` is every name without a dot. Else it is `[scheme://]host[:port]`, with `*`
/// for any letters, dots among them.
fn is_bypassed(entry: &str, url: &Url) -> bool {
    let Some(host) = url.host() else {
        return false;
    };
    if entry.eq_ignore_ascii_case("<local>") {
        return matches!(host, Host::Domain(name) if !name.contains('.'));
    }
    let entry = entry.to_ascii_lowercase();
    let (scheme, rest) = match entry.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, entry.as_str()),
    };
    let name_end = rest.rfind(']').map_or(0, |at| at + 1);
    let (pattern, port) = match rest[name_end..].rsplit_once(':') {
        Some((_, port)) => (&rest[..rest.len() - port.len() - 1], Some(port)),
        None => (rest, None),
    };
    scheme.is_none_or(|scheme| scheme == url.scheme())
        && port.is_none_or(|port| port.parse().ok() == url.port_or_known_default())
        && matches(pattern, &host.to_string())
}

/// Whether a text is of this pattern, in which `*` stands for any letters or none.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    // A split has a first part always.
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(list: &str, scheme: &str) -> String {
        match ways(list, scheme) {
            Err(why) => format!("unusable: {why}"),
            Ok(ways) => ways
                .iter()
                .map(|way| match way {
                    Way::Direct => "direct".to_string(),
                    Way::Through(address) => address.to_string(),
                })
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    #[test]
    fn proxies_are_read_as_windows_and_scripts_write_them() {
        for (list, https, http) in [
            ("p.test:8080", "http://p.test:8080", "http://p.test:8080"),
            ("p.test", "http://p.test:80", "http://p.test:80"),
            (
                "http=a.test:80;https=b.test:443",
                "http://b.test:443",
                "http://a.test:80",
            ),
            (
                "HTTPS=http://b.test:3128/ ; c.test:1",
                "http://b.test:3128",
                "http://c.test:1",
            ),
            ("http=a.test:80", "", "http://a.test:80"),
            (
                "ftp=f.test:21;socks=s.test",
                "socks4://s.test:1080",
                "socks4://s.test:1080",
            ),
            (
                "a.test:1;b.test:2 c.test:3",
                "http://a.test:1, http://b.test:2, http://c.test:3",
                "http://a.test:1, http://b.test:2, http://c.test:3",
            ),
            ("https=https://s.test", "https://s.test:443", ""),
            ("[::1]:3128", "http://[::1]:3128", "http://[::1]:3128"),
            ("[fd00::1]", "http://[fd00::1]:80", "http://[fd00::1]:80"),
            ("proxy", "http://proxy:80", "http://proxy:80"),
            (
                "PROXY a.test:8080; DIRECT",
                "http://a.test:8080, direct",
                "http://a.test:8080, direct",
            ),
            (
                "proxy a.test:8080;HTTPS b.test;SOCKS5 c.test",
                "http://a.test:8080, https://b.test:443, socks5://c.test:1080",
                "http://a.test:8080, https://b.test:443, socks5://c.test:1080",
            ),
            ("DIRECT", "direct", "direct"),
            ("", "", ""),
            (" ; ;", "", ""),
            (
                "bad port:x;ok.test:1",
                "http://bad:80, http://ok.test:1",
                "http://bad:80, http://ok.test:1",
            ),
        ] {
            assert_eq!(shown(list, "https"), https, "{list}");
            assert_eq!(shown(list, "http"), http, "{list}");
        }
    }

    #[test]
    fn a_list_of_nothing_that_can_be_read_is_a_fault_which_does_not_quote_it() {
        for list in ["https=ana:secret@p.test:x", "gopher://secret:1"] {
            let words = shown(list, "https");
            assert!(words.starts_with("unusable: "), "{words}");
            assert!(!words.contains("secret"), "{words}");
        }
    }

    #[test]
    fn hosts_are_bypassed_as_in_windows() {
        for (list, url, expected) in [
            ("<local>", "https://intranet/", Some("<local>")),
            ("<LOCAL>", "https://intranet:8443/x", Some("<LOCAL>")),
            ("<local>", "https://a.test/", None),
            ("<local>", "https://10.0.0.1/", None),
            ("<local>", "https://[fd00::1]/", None),
            ("a.test;*.b.test", "https://a.test/", Some("a.test")),
            ("a.test;*.b.test", "https://x.a.test/", None),
            ("a.test;*.b.test", "https://x.y.b.test/", Some("*.b.test")),
            ("a.test *.b.test", "https://b.test/", None),
            ("*b.test", "https://b.test/", Some("*b.test")),
            ("10.*;192.168.*.1", "https://10.9.8.7/", Some("10.*")),
            (
                "10.*;192.168.*.1",
                "https://192.168.7.1/",
                Some("192.168.*.1"),
            ),
            ("192.168.*.1", "https://192.168.7.12/", None),
            ("http://a.test", "https://a.test/", None),
            (
                "https://A.test:443",
                "https://a.test/",
                Some("https://A.test:443"),
            ),
            ("a.test:8443", "https://a.test/", None),
            ("a.test:port", "https://a.test/", None),
            ("[fd00::*]:443", "https://[fd00::9]/", Some("[fd00::*]:443")),
            ("*", "https://a.test/", Some("*")),
            ("a*a.test", "https://a.test/", None),
            ("*.*.test", "https://a.test/", None),
            ("<-loopback>", "https://a.test/", None),
            ("", "https://a.test/", None),
        ] {
            let url = Url::parse(url).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(bypassing(list, &url), expected, "{list} {url}");
        }
    }
}
