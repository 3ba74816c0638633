//! What to tell a person whom a proxy does not let through.

use csc_message::Message;

use super::{AuthScheme, HAS_NEGOTIATE, NamedProxy, ProxyLogon};

/// The schemes that `Proxy-Authenticate` offers, as it spells them. Several may stand in
/// one header (RFC 9110, 11.6.1).
pub(crate) fn offered_schemes(headers: &[(String, String)]) -> Vec<String> {
    let mut offered: Vec<String> = Vec::new();
    for (_, value) in headers
        .iter()
        .filter(|(name, _)| name == "proxy-authenticate")
    {
        for part in value.split(',') {
            let name = part.split_whitespace().next().unwrap_or_default();
            // A parameter has a `=`, the rest of a quoted one has a quotation mark.
            let is_name = (1..=20).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if is_name && !offered.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                offered.push(name.to_string());
            }
        }
    }
    offered
}

/// After a 407 on the way to `host`.
pub(crate) fn logon_wanted(
    proxy: &NamedProxy,
    logon: &ProxyLogon,
    offered: &[String],
    host: &str,
) -> Message {
    let credentials = logon.credentials(&proxy.address);
    let allowed = logon.schemes(credentials.is_some());
    let known: Vec<AuthScheme> = offered
        .iter()
        .filter_map(|name| AuthScheme::named(name))
        .collect();
    let usable = known.iter().any(|scheme| allowed.contains(scheme));
    let offer = match offered {
        [] => "it does not say which kinds of logon it takes".to_string(),
        [only] => format!("it offers {only}"),
        [first @ .., last] => format!("it offers {} and {last}", first.join(", ")),
    };
    let ask_it = "ask IT to let this account through to *.education.gov.uk and \
                  login.microsoftonline.com without a logon";
    let has_user = credentials.is_some();
    if let Some(credentials) = credentials.filter(|_| usable) {
        return Message::new(
            430,
            format!(
                "The proxy {proxy} does not accept the user {} (407 on the way to {host})",
                credentials.user
            ),
            format!(
                "{offer}; the user is the one of {}, PROXY_AUTH is {}",
                credentials.by, logon.auth
            ),
            "check PROXY_USER (with NTLM often DOMAIN\\user) and PROXY_PASSWORD, and whether the \
             password has expired or the account is locked: every try counts. The rows stay as \
             they were",
        );
    }
    let (why, next) = if known.is_empty() {
        (
            offer,
            format!("{ask_it}, or to say which proxy to name in PROXY"),
        )
    } else if has_user {
        (
            format!(
                "{offer}; PROXY_AUTH={} allows none of these here",
                logon.auth
            ),
            match known.as_slice() {
                [AuthScheme::Negotiate] => negotiate_advice(),
                _ => "set PROXY_AUTH=auto".to_string(),
            },
        )
    } else if usable {
        // The account's own logon was tried.
        (
            format!("{offer}; the logon of the account that runs this program was not accepted"),
            if cfg!(windows) {
                format!("{ask_it}, or set PROXY_USER and PROXY_PASSWORD")
            } else {
                "get a Kerberos ticket for this account (kinit, or a keytab for a scheduled run), \
                 and name the proxy by its full host name; or set PROXY_USER and PROXY_PASSWORD \
                 where it offers more than Negotiate"
                    .to_string()
            },
        )
    } else {
        (
            format!("{offer}; no user is set"),
            match known.as_slice() {
                [AuthScheme::Negotiate] => negotiate_advice(),
                _ => format!(
                    "set PROXY_USER and PROXY_PASSWORD (for NTLM write DOMAIN\\user), or {ask_it}"
                ),
            },
        )
    };
    Message::new(
        408,
        format!("The proxy {proxy} wants a logon (407 on the way to {host})"),
        why,
        format!("{next}. The rows stay as they were"),
    )
}

fn negotiate_advice() -> String {
    if HAS_NEGOTIATE {
        "take PROXY_USER out and set PROXY_AUTH=negotiate: the ticket of this account (kinit, or a \
         keytab) is the logon"
            .to_string()
    } else {
        "Negotiate (Kerberos) needs a program built with `cargo build --release --features \
         kerberos`, or one on Windows; or ask IT for a proxy that takes NTLM or Basic, or that \
         needs no logon"
            .to_string()
    }
}

/// A proxy that answers CONNECT with a status which no later try will change.
pub(crate) fn tunnel_refused(proxy: &NamedProxy, status: u32, host: &str) -> Message {
    let why = match status {
        300..=399 => "it redirects, most often to a page to log on or to agree to something; \
                      records are never sent on to another address"
            .to_string(),
        _ => {
            "its rules do not allow that host, that port, this machine or this account".to_string()
        }
    };
    Message::new(
        432,
        format!("The proxy {proxy} refuses to pass on to {host} (status {status} to CONNECT)"),
        why,
        "ask IT to allow *.education.gov.uk and login.microsoftonline.com on port 443 for this \
         machine and account, or which proxy to name in PROXY. The rows stay as they were",
    )
}
