//! The way to the DfE: proxy, name, connection, TLS, certificate and token; and, where it
//! is asked for, one fake record.

use std::time::Duration;

use csc_message::{Message, Probe};
use csc_receiver::{Client, TokenFacts, TokenFault, examine_way};
use url::Url;

use super::not_tried;
use crate::arguments::SendArgs;
use crate::commands::send;
use crate::configuration::{Config, Examined, Key, Live, Settings};
use crate::safety::{self, Children, Intent};

/// A clock that is further off is pointed out. Entra ID itself forgives five minutes.
const CLOCK_OFF: i64 = 60;

/// In testing mode, where nobody asked for the receiver itself.
pub(super) fn simulated() -> Probe {
    Probe {
        next: Some(
            "to look at the DfE's receiver all the same, run `csc-sender check receiver`: it \
             connects and asks for a token, and sends no record"
                .to_string(),
        ),
        ..Probe::ok(
            "receiver",
            "simulated inside the program, since TESTING_MODE is on; nothing was connected to",
        )
    }
}

pub(super) async fn probes(config: &Config, examined: &Examined, post: bool) -> Vec<Probe> {
    let settings = &examined.settings;
    let (token, endpoint) = (
        config.address(Key::TokenEndpoint),
        config.address(Key::ApiEndpoint),
    );
    if examined.is_network_unknown {
        // By another way than was meant nothing is to be reached.
        return ["way", "token", "record"]
            .map(|subject| not_tried(subject, "the proxy's settings or CA_BUNDLE are wrong"))
            .to_vec();
    }
    let mut probes = Vec::new();
    let to_token = way(&mut probes, settings, token.as_ref(), "TOKEN_ENDPOINT").await;
    let is_same = token
        .as_ref()
        .zip(endpoint.as_ref())
        .is_some_and(|(token, endpoint)| token.origin() == endpoint.origin());
    let to_receiver = match is_same {
        true => to_token,
        false => way(&mut probes, settings, endpoint.as_ref(), "API_ENDPOINT").await,
    };
    let broken = match (&endpoint, &token) {
        (Some(endpoint), Some(token)) => {
            safety::check_addresses(endpoint, token, &settings.allowed_hosts)
        }
        (None, _) | (_, None) => Vec::new(),
    };
    let failed = |message| Probe::failed("safety", message);
    probes.extend(broken.iter().map(failed));
    let why_no_token = match (&settings.live, to_token, broken.is_empty()) {
        (None, _, _) => Some("settings are missing or wrong"),
        (Some(_), false, _) => Some("the token endpoint is not reached"),
        (Some(_), true, false) => Some("a safety rule keeps the credentials here"),
        (Some(_), true, true) => None,
    };
    let (Some(live), None) = (&settings.live, why_no_token) else {
        let why = why_no_token.unwrap_or("settings are missing or wrong");
        probes.push(not_tried("token", why));
        probes.push(not_tried("record", "there is no token"));
        return probes;
    };
    let client = match send::client(settings) {
        Ok(client) => client,
        Err(messages) => {
            let failed = |message| Probe::failed("token", message);
            probes.extend(messages.iter().map(failed));
            return probes;
        }
    };
    match client.examine_token().await {
        Ok(facts) => probes.extend(of_token(&facts, live)),
        Err(fault) => {
            probes.push(no_token(fault, live));
            probes.push(not_tried("record", "there is no token"));
            return probes;
        }
    }
    probes.push(if !to_receiver {
        not_tried("record", "the receiver is not reached")
    } else if post {
        posted(examined, live, &client).await
    } else {
        not_posted(settings)
    });
    probes
}

/// Whether the way to an address is open.
async fn way(
    probes: &mut Vec<Probe>,
    settings: &Settings,
    url: Option<&Url>,
    key: &'static str,
) -> bool {
    let Some(url) = url else {
        probes.push(not_tried("way", &format!("{key} is no address")));
        return false;
    };
    let way = examine_way(url, &settings.network, settings.api_timeout).await;
    probes.extend(way.probes);
    way.is_open
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn of_token(facts: &TokenFacts, live: &Live) -> Vec<Probe> {
    let lifetime = facts.lifetime.map_or_else(
        || "it does not say for how long".to_string(),
        |lifetime| format!("good for {}", words(lifetime)),
    );
    let scope = match &facts.scope {
        Some(granted) => format!("scope {granted}"),
        None => format!("scope {} (as asked for; none is named)", live.scope),
    };
    let mut probes = vec![Probe::ok(
        "token",
        format!(
            "granted in {} ms, {lifetime}, {scope}",
            facts.took.as_millis()
        ),
    )];
    let there = host(&live.token_endpoint);
    probes.push(match facts.clock_ahead.map(|ahead| ahead.as_secs()) {
        None => Probe::ok("clock", format!("{there} does not tell the time")),
        Some(off) if off.abs() <= CLOCK_OFF => {
            Probe::ok("clock", format!("as {there}'s, to the minute"))
        }
        Some(off) => Probe::warn(
            "clock",
            format!(
                "this machine's is {} {} {there}'s",
                words(Duration::from_secs(off.unsigned_abs())),
                if off > 0 { "behind" } else { "ahead of" }
            ),
            "have the clock set (Windows: `w32tm /resync`, or ask IT): certificates and tokens are \
             good by the clock",
        ),
    });
    probes
}

fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

fn no_token(fault: TokenFault, live: &Live) -> Probe {
    match fault {
        TokenFault::Final(message) => Probe::failed("token", &message),
        TokenFault::Trouble { words, .. } => Probe::fail(
            "token",
            format!("{}: {words}", host(&live.token_endpoint)),
            "try again in a few minutes; if it stays so, ask IT or the DfE",
        ),
    }
}

fn not_posted(settings: &Settings) -> Probe {
    let child = settings.la_code.as_ref().map_or_else(
        || "Fake1234 and the authority's code".to_string(),
        |code| format!("Fake1234{}", code.as_str()),
    );
    Probe {
        next: Some(format!(
            "to post one fake record ({child}) to a test receiver, run `csc-sender check receiver \
             --post --testing-mode false`"
        )),
        ..Probe::ok(
            "record",
            "none was posted, so SUPPLIER_KEY and LA_CODE have not been tried",
        )
    }
}

/// One fake record, in live mode and to a test receiver only: in testing mode no record
/// leaves, not even a fake one.
async fn posted(examined: &Examined, live: &Live, client: &Client) -> Probe {
    let settings = &examined.settings;
    if examined.is_testing {
        return Probe::fail(
            "record",
            "not posted: TESTING_MODE is on, and then no record leaves, not even a fake one",
            "say `--testing-mode false` with it; only a test receiver is posted to",
        );
    }
    if !examined.faults.is_empty() {
        return not_tried("record", "settings are missing or wrong");
    }
    let kind = safety::check(&Intent {
        endpoint: &live.endpoint,
        token_endpoint: &live.token_endpoint,
        stated_kind: settings.endpoint_kind,
        allowed_hosts: &settings.allowed_hosts,
        children: Children::TestRecord,
    });
    if let Err(messages) = kind {
        let of = |message: &Message| Probe::failed("record", message);
        return messages
            .first()
            .map_or_else(|| not_tried("record", "a safety rule stops it"), of);
    }
    let args = SendArgs::default();
    let posted = async {
        let journal = send::open_journal(settings, &args)?;
        send::post_test_record(settings, &args, client, journal.as_ref()).await
    };
    match posted.await {
        Ok((child, receipt)) => Probe::ok(
            "record",
            format!("{child} was accepted, receipt {}", receipt.uuid),
        ),
        Err(messages) => messages.first().map_or_else(
            || not_tried("record", "nothing says why"),
            |message| Probe::failed("record", message),
        ),
    }
}
