//! The parts of `scheme://user:password@host:port/path?parameters`.
//!
//! Read here and not by a URL library, because such libraries refuse or rewrite what
//! database URLs have in them (`host\instance`, a folder as host, an `@` in a
//! password), and name the text they refuse in their errors.

use super::findings::Findings;
use super::pairs::Pair;

/// A URL after its `scheme://`, percent-decoded. Blank parts are left out.
pub(super) struct Url {
    pub(super) user: Option<Pair>,
    pub(super) password: Option<Pair>,
    pub(super) host: Option<Pair>,
    pub(super) port: Option<Pair>,
    pub(super) path: Option<Pair>,
    pub(super) parameters: Vec<Pair>,
}

impl Url {
    /// `None` where the text cannot be taken apart without guessing.
    pub(super) fn read(rest: &str, findings: &mut Findings) -> Option<Url> {
        let (before_query, query) = match rest.split_once('?') {
            Some((before, query)) => (before, query),
            None => (rest, ""),
        };
        let (authority, path) = match before_query.split_once('/') {
            Some((authority, path)) => (authority, path),
            None => (before_query, ""),
        };
        // The last @, since a host has none and a password that is not encoded may.
        let (logon, address) = match authority.rsplit_once('@') {
            Some((logon, address)) => (logon, address),
            None => ("", authority),
        };
        let (host, port) = host_and_port(address);
        // `user:pa/ss@host` and `user:pa?ss@host`: the password ends the authority early.
        if path.contains('@') || query.contains('@') {
            findings.not_readable(
                "an @ stands after the host",
                "a / or ? in the user or password ends them too early, and an @ in a parameter \
                 looks the same",
                "write these characters percent-encoded: / as %2F, ? as %3F, @ as %40, % as %25",
            );
            return None;
        }
        let (user, password) = match logon.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (logon, None),
        };
        let mut part = |name: &str, text: Option<&str>| {
            let text = text.filter(|text| !text.is_empty())?;
            Some(Pair::new(name, decoded(name, text, findings)?).hidden())
        };
        let mut url = Url {
            user: part("user", Some(user)),
            password: part("password", password),
            host: part("host", Some(host)),
            port: part("port", port),
            path: part("database", Some(path)),
            parameters: Vec::new(),
        };
        for (at, parameter) in query.split('&').filter(|p| !p.is_empty()).enumerate() {
            let name = format!("parameter {}", at + 1);
            match parameter.split_once('=') {
                Some((key, value)) => {
                    if let (Some(key), Some(value)) = (
                        decoded(&name, key, findings),
                        decoded(&name, value, findings),
                    ) {
                        url.parameters.push(Pair::new(&key, value));
                    }
                }
                None => findings.not_readable(
                    &format!("its {name} has no ="),
                    "after the ? it is made of key=value parts with & between them",
                    "write & within a value as %26, and a ? within a password as %3F",
                ),
            }
        }
        Some(url)
    }

    /// All its parts as pairs under the given keys, parameters last.
    pub(super) fn into_pairs(self) -> Vec<Pair> {
        [self.user, self.password, self.host, self.port, self.path]
            .into_iter()
            .flatten()
            .chain(self.parameters)
            .collect()
    }
}

/// `host`, `host:port`, `[::1]`, `[::1]:port`.
fn host_and_port(address: &str) -> (&str, Option<&str>) {
    if let Some((host, after)) = address
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        return (host, after.strip_prefix(':'));
    }
    match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    }
}

/// Percent-decoded. A `+` stays one, as in libpq.
fn decoded(part: &str, text: &str, findings: &mut Findings) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = rest.split_at_checked(2).and_then(|(hex, after)| {
            rest = after;
            let hex = std::str::from_utf8(hex).ok()?;
            let is_hex = hex.chars().all(|c| c.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(hex, 16).ok()).flatten()
        });
        match hex {
            Some(byte) => bytes.push(byte),
            None => {
                not_encoded(part, findings);
                return None;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Some(text),
        Ok(_) | Err(_) => {
            not_encoded(part, findings);
            None
        }
    }
}

fn not_encoded(part: &str, findings: &mut Findings) {
    findings.not_readable(
        &format!("the percent-encoding of its {part} is broken"),
        "after a % two hexadecimal digits are expected, and the whole must be UTF-8",
        "write a % that belongs to a value as %25",
    );
}
