//! What must never happen by mistake: real children to a test receiver, fake ones to
//! a live one, anything to a place that is not the DfE's. Exit 6.

use csc_message::Message;
use csc_staging::TableName;
use url::{Host, Url};

/// Which children an endpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointKind {
    /// Fake children only.
    Test,
    /// Real children.
    Live,
}

impl EndpointKind {
    fn word(self) -> &'static str {
        match self {
            EndpointKind::Test => "a test receiver (fake children only)",
            EndpointKind::Live => "a live receiver (real children)",
        }
    }

    /// What the address itself tells: the DfE's paths (`receiver-api.md`, Submission).
    fn of_address(endpoint: &Url) -> Option<EndpointKind> {
        endpoint.path_segments()?.find_map(|segment| {
            let segment = segment.to_ascii_lowercase();
            if segment.ends_with("-receiver-test") {
                Some(EndpointKind::Test)
            } else if segment.ends_with("-receiver") {
                Some(EndpointKind::Live)
            } else {
                None
            }
        })
    }
}

/// What a live run would do.
pub struct Intent<'a> {
    /// API_ENDPOINT.
    pub endpoint: &'a Url,
    /// TOKEN_ENDPOINT.
    pub token_endpoint: &'a Url,
    /// What ENDPOINT_KIND states.
    pub stated_kind: Option<EndpointKind>,
    /// ALLOWED_HOSTS.
    pub allowed_hosts: &'a [String],
    /// Whether the children are real ones; any table whose name doesn't end in `_anon`
    /// holds real children.
    pub children: Children<'a>,
}

/// Whose records would go.
pub enum Children<'a> {
    /// Those of a table.
    Table(&'a TableName),
    /// The one fake test record.
    TestRecord,
}

/// Every rule that is broken, all at once; nothing where all is well. Gives the kind of
/// the endpoint, for the run's first line.
pub fn check(intent: &Intent<'_>) -> Result<EndpointKind, Vec<Message>> {
    let mut broken = check_addresses(intent.endpoint, intent.token_endpoint, intent.allowed_hosts);
    match (kind(intent), &intent.children) {
        (Err(message), _) => broken.push(message),
        (Ok(EndpointKind::Test), Children::Table(table)) if !table.is_anon() => {
            broken.push(Message::new(
                612,
                format!("Table {table} may not go to {}", intent.endpoint),
                "any table whose name does not end in _anon counts as real children, and this is \
                 a test receiver, which takes fake children only",
                "name the _anon table (TABLE_NAME or --table), or the DfE's other address in API_ENDPOINT",
            ));
        }
        (Ok(EndpointKind::Live), Children::Table(table)) if table.is_anon() => {
            broken.push(Message::new(
                613,
                format!("Table {table} may not go to {}", intent.endpoint),
                "its children are fake, and this is no test receiver",
                "name the DfE's test receiver in API_ENDPOINT (…-receiver-test/…), or the table of \
                 real children (TABLE_NAME or --table)",
            ));
        }
        (Ok(EndpointKind::Live), Children::TestRecord) => broken.push(Message::new(
            614,
            format!("The test record may not go to {}", intent.endpoint),
            "it is a fake child, and this is no test receiver",
            "name the DfE's test receiver in API_ENDPOINT (…-receiver-test/…)",
        )),
        (Ok(kind), Children::Table(_) | Children::TestRecord) if broken.is_empty() => {
            return Ok(kind);
        }
        (Ok(_), Children::Table(_) | Children::TestRecord) => {}
    }
    Err(broken)
}

/// The rules that an address breaks to which records and credentials would go.
pub fn check_addresses(
    endpoint: &Url,
    token_endpoint: &Url,
    allowed_hosts: &[String],
) -> Vec<Message> {
    [
        ("API_ENDPOINT", endpoint),
        ("TOKEN_ENDPOINT", token_endpoint),
    ]
    .into_iter()
    .flat_map(|(key, url)| check_address(key, url, allowed_hosts))
    .collect()
}

fn kind(intent: &Intent<'_>) -> Result<EndpointKind, Message> {
    match (
        EndpointKind::of_address(intent.endpoint),
        intent.stated_kind,
    ) {
        (Some(told), Some(stated)) if told != stated => Err(Message::new(
            611,
            format!(
                "ENDPOINT_KIND says that {} is {}",
                intent.endpoint,
                stated.word()
            ),
            format!("its address says that it is {}", told.word()),
            "correct API_ENDPOINT, or take ENDPOINT_KIND away: it is for addresses that do not tell",
        )),
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        (None, None) => Err(Message::new(
            611,
            format!(
                "Nothing tells whether {} is a test receiver",
                intent.endpoint
            ),
            "its path is not one of the DfE's (…-receiver-test/… or …-receiver/…)",
            "correct API_ENDPOINT, or state it with ENDPOINT_KIND=test or ENDPOINT_KIND=live",
        )),
    }
}

fn check_address(key: &str, url: &Url, allowed: &[String]) -> Vec<Message> {
    let mut broken = Vec::new();
    let loopback = is_loopback(url);
    if !loopback && url.scheme() != "https" {
        broken.push(Message::new(
            615,
            format!("{key} is not https: {url}"),
            "records and credentials would cross the network in the clear",
            format!("write the address with https:// in {key}"),
        ));
    }
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let known = loopback
        || host.eq_ignore_ascii_case("login.microsoftonline.com")
        || host.to_ascii_lowercase().ends_with(".education.gov.uk")
        || allowed
            .iter()
            .any(|allowed| host.eq_ignore_ascii_case(allowed));
    if !known {
        broken.push(Message::new(
            616,
            format!("{key} points to {host}"),
            "records and credentials go to *.education.gov.uk, login.microsoftonline.com and this \
             machine only",
            format!("correct {key}; if the host is right, name it in ALLOWED_HOSTS"),
        ));
    }
    broken
}

/// Whether an address is this machine's own.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str =
        "https://pp-api.education.gov.uk/children-in-social-care-data-receiver-test/1";
    const LIVE: &str = "https://pp-api.education.gov.uk/children-in-social-care-data-receiver/1";
    const TOKEN: &str = "https://login.microsoftonline.com/x/oauth2/v2.0/token";

    fn codes(
        endpoint: &str,
        token: &str,
        table: Option<&str>,
        stated: Option<EndpointKind>,
        allowed: &[&str],
    ) -> Vec<u16> {
        let (endpoint, token) = (Url::parse(endpoint).unwrap(), Url::parse(token).unwrap());
        let allowed: Vec<String> = allowed.iter().map(|host| host.to_string()).collect();
        let table = table.map(|table| TableName::parse(table).unwrap());
        let intent = Intent {
            endpoint: &endpoint,
            token_endpoint: &token,
            stated_kind: stated,
            allowed_hosts: &allowed,
            children: table.as_ref().map_or(Children::TestRecord, Children::Table),
        };
        match check(&intent) {
            Ok(_) => Vec::new(),
            Err(broken) => broken.iter().map(Message::code).collect(),
        }
    }

    #[test]
    fn children_go_only_where_they_belong() {
        use EndpointKind::{Live, Test};
        let real = Some("ssd_api_data_staging");
        let anon = Some("s.SSD_api_data_staging_ANON");
        let odd = "https://pp-api.education.gov.uk/elsewhere/1";
        type Case<'a> = (&'a str, Option<&'a str>, Option<EndpointKind>, &'a [u16]);
        let table: &[Case<'_>] = &[
            (TEST, anon, None, &[]),
            (LIVE, real, None, &[]),
            (TEST, real, None, &[612]),
            (TEST, Some("my_children"), None, &[612]),
            (LIVE, anon, None, &[613]),
            (TEST, None, None, &[]),
            (LIVE, None, None, &[614]),
            (odd, anon, None, &[611]),
            (odd, real, None, &[611]),
            (odd, anon, Some(Test), &[]),
            (odd, real, Some(Live), &[]),
            (odd, real, Some(Test), &[612]),
            (odd, anon, Some(Live), &[613]),
            (TEST, real, Some(Live), &[611]),
            (LIVE, anon, Some(Test), &[611]),
            (TEST, anon, Some(Test), &[]),
        ];
        for (endpoint, children, stated, expected) in table {
            assert_eq!(
                codes(endpoint, TOKEN, *children, *stated, &[]),
                *expected,
                "{endpoint} {children:?} {stated:?}"
            );
        }
    }

    #[test]
    fn addresses_are_secure_and_known() {
        let anon = Some("x_anon");
        let path = "children-in-social-care-data-receiver-test/1";
        let table: &[(&str, &[&str], &[u16])] = &[
            ("https://api.education.gov.uk", &[], &[]),
            ("http://127.0.0.1:8080", &[], &[]),
            ("http://localhost:1", &[], &[]),
            ("http://[::1]:1", &[], &[]),
            ("http://api.education.gov.uk", &[], &[615]),
            ("https://api.education.gov.uk.example.org", &[], &[616]),
            ("https://education.gov.uk@example.org", &[], &[616]),
            ("https://xeducation.gov.uk", &[], &[616]),
            ("https://localhost.example.org", &[], &[616]),
            ("http://10.0.0.1", &[], &[615, 616]),
            ("https://gateway.example.org", &["Gateway.example.org"], &[]),
            (
                "http://gateway.example.org",
                &["gateway.example.org"],
                &[615],
            ),
        ];
        for (base, allowed, expected) in table {
            let endpoint = format!("{base}/{path}");
            assert_eq!(
                codes(&endpoint, TOKEN, anon, None, allowed),
                *expected,
                "{base}"
            );
            let token = format!("{base}/oauth2/v2.0/token");
            assert_eq!(
                codes(TEST, &token, anon, None, allowed),
                *expected,
                "{base}"
            );
        }
    }

    #[test]
    fn all_broken_rules_are_told_at_once() {
        assert_eq!(
            codes(
                "http://a.example/x-receiver-test/1",
                "http://b.example",
                Some("t"),
                None,
                &[]
            ),
            [615, 616, 615, 616, 612]
        );
    }
}
