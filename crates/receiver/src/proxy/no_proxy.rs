//! NO_PROXY: the hosts that are reached without a proxy, as curl reads the list.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Host;

/// A list of host names, suffixes, IP addresses and networks, with commas between. `*`
/// alone is every host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoProxy {
    entries: Vec<String>,
}

impl NoProxy {
    /// Reads the list. A blank separates too, as it did for older curls: such lists are
    /// still about.
    pub fn parse(text: &str) -> Self {
        NoProxy {
            entries: text
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|entry| !entry.is_empty())
                .map(str::to_string)
                .collect(),
        }
    }

    /// The entry that a host falls under.
    pub fn entry_for(&self, host: &Host<&str>) -> Option<&str> {
        if let [only] = self.entries.as_slice()
            && only == "*"
        {
            return Some(only);
        }
        self.entries
            .iter()
            .map(String::as_str)
            .find(|entry| match host {
                Host::Domain(name) => is_under(name, entry),
                Host::Ipv4(ip) => is_in_v4(*ip, entry),
                Host::Ipv6(ip) => is_in_v6(*ip, entry),
            })
    }
}

/// `example.org` and `.example.org` are both the host itself and all below it.
fn is_under(name: &str, entry: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let Some(at) = name.len().checked_sub(entry.len()) else {
        return false;
    };
    let (before, end) = match (name.get(..at), name.get(at..)) {
        (Some(before), Some(end)) => (before, end),
        (None, _) | (_, None) => return false,
    };
    end.eq_ignore_ascii_case(entry)
        && (before.is_empty() || (before.ends_with('.') && !entry.is_empty()))
}

fn is_in_v4(ip: Ipv4Addr, entry: &str) -> bool {
    let Some((network, bits)) = network::<Ipv4Addr>(entry, 32) else {
        return false;
    };
    let differ = ip.to_bits() ^ network.to_bits();
    differ >> (32 - bits) == 0
}

fn is_in_v6(ip: Ipv6Addr, entry: &str) -> bool {
    let Some((network, bits)) = network::<Ipv6Addr>(entry, 128) else {
        return false;
    };
    let differ = ip.to_bits() ^ network.to_bits();
    differ >> (128 - bits) == 0
}

/// `address` or `address/bits`, of 1 to `width` bits. As in curl, `/0` is the address
/// alone.
fn network<Ip: std::str::FromStr>(entry: &str, width: u32) -> Option<(Ip, u32)> {
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) if bits.bytes().all(|b| b.is_ascii_digit()) => {
            (address, bits.parse().ok()?)
        }
        Some(_) => return None,
        None => (entry, width),
    };
    let bits = if bits == 0 { width } else { bits };
    let address = address.parse().ok()?;
    (bits <= width).then_some((address, bits))
}
