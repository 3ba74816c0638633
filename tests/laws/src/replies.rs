use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use csc_receiver::{
    Client, ClientOptions, Fault, Reply, Request, Submitted, TokenFault, Transport, Words,
    refused_records,
};
use futures_util::FutureExt;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;

use crate::first_line;

/// Our secrets. They have what secrets have and what is written otherwise in JSON, in a
/// form or in HTML.
const SECRETS: [&str; 4] = [
    "cl1ent+S3cret/\"&~<é",
    "PrimaryKey0Q7",
    "SecondaryKey0Q7",
    "t0ken.T0ken_T0ken-1",
];

/// Answers each request with the next reply, and keeps the requests' headers.
#[derive(Default)]
struct Replies {
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<Vec<(&'static str, String)>>>,
}

#[async_trait]
impl Transport for Replies {
    async fn send(&self, request: Request) -> Result<Reply, Fault> {
        let exposed = |(name, value): &(&'static str, _)| {
            let value: &secrecy::SecretString = value;
            (*name, value.expose_secret().to_string())
        };
        let headers = request.headers.iter().map(exposed).collect();
        self.requests.lock().unwrap().push(headers);
        let reply = self.replies.lock().unwrap().pop_front();
        Ok(reply.unwrap_or_default())
    }
}

fn client(replies: impl IntoIterator<Item = Reply>) -> (Client, Arc<Replies>) {
    let transport = Arc::new(Replies {
        replies: Mutex::new(replies.into_iter().collect()),
        ..Replies::default()
    });
    let options = ClientOptions {
        endpoint: "https://receiver.test/children-in-social-care-data-receiver-test/1".into(),
        token_endpoint: "https://login.test/tenant/oauth2/v2.0/token".into(),
        la_code: "845".into(),
        client_id: "client".into(),
        client_secret: SECRETS[0].into(),
        scope: "api://receiver/.default".into(),
        supplier_key: SECRETS[1].into(),
        supplier_key_secondary: Some(SECRETS[2].into()),
        user_agent: "csc-sender".into(),
        timeout: Duration::from_secs(30),
    };
    let client = Client::new(Arc::clone(&transport) as Arc<dyn Transport>, options);
    (client, transport)
}

/// The transport answers at once, so nothing is ever waited for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// A first line with a status, then a line with a header's value, then a body.
fn reply(text: &str) -> Reply {
    let (status, rest) = first_line(text);
    let (header, body) = first_line(rest);
    let names = [
        "retry-after",
        "content-type",
        "x-request-id",
        "proxy-authenticate",
        "location",
    ];
    Reply {
        status: status.trim().parse().unwrap_or(200),
        headers: names
            .map(|name| (name.to_string(), header.to_string()))
            .to_vec(),
        body: body.as_bytes().to_vec(),
    }
}

/// None of our secrets stands in a text, as it is or encoded as replies encode things.
fn hides_secrets(text: &str) {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    for shown in [text, &decoded, &unescaped(text), &unescaped(&decoded)] {
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} in {text}");
        }
    }
}

/// JSON's escapes undone.
fn unescaped(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let code = rest
            .strip_prefix("\\u")
            .and_then(|hex| u16::from_str_radix(hex.get(..4)?, 16).ok());
        if let Some(unit) = code {
            units.push(unit);
            rest = &rest[6..];
            continue;
        }
        let is_escape = first == '\\' && rest[1..].starts_with(['"', '\\', '/']);
        rest = &rest[if is_escape { 1 } else { 0 }..];
        let kept = rest.chars().next().unwrap();
        units.extend_from_slice(kept.encode_utf16(&mut [0; 2]));
        rest = &rest[kept.len_utf8()..];
    }
    String::from_utf16_lossy(&units)
}

/// A reply of the token endpoint: a line with its status, one with a header, its body.
///
/// - A token goes into one header, of which it is the only word; nothing else of the
///   reply is ever sent anywhere.
/// - No message about a reply shows a secret of ours, however the reply quotes it.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (client, transport) = client([reply(&text), granted(3599)]);
    match at_once(client.ready()) {
        Ok(()) => {
            // One that has no life left is fetched anew; that is the second reply.
            at_once(client.submit(Bytes::from_static(b"[]"), 1))
                .ok()
                .unwrap();
            let requests = transport.requests.lock().unwrap();
            let headers = requests.last().unwrap();
            let bearer: Vec<&str> = headers
                .iter()
                .filter(|(name, _)| *name == "Authorization")
                .map(|(_, value)| value.strip_prefix("Bearer ").unwrap())
                .collect();
            assert_eq!(bearer.len(), 1);
            assert!(!bearer[0].is_empty());
            assert!(bearer[0].bytes().all(|b| b.is_ascii_graphic()));
            let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
            assert_eq!(
                names,
                [
                    "Authorization",
                    "SupplierKey",
                    "Content-Type",
                    "Accept",
                    "User-Agent"
                ]
            );
        }
        Err(TokenFault::Final(message)) => {
            assert!((401..=409).contains(&message.code()), "{message}");
            hides_secrets(&message.to_string());
        }
        Err(TokenFault::Trouble { words, .. }) => hides_secrets(&words),
    }
}

fn granted(seconds: u32) -> Reply {
    Reply {
        status: 200,
        headers: Vec::new(),
        body: format!(
            r#"{{"access_token":"{}","expires_in":{seconds}}}"#,
            SECRETS[3]
        )
        .into_bytes(),
    }
}

/// A reply of the receiver that is no acceptance: a line with its status, one with a
/// header (its first number is how many records were sent), its body.
///
/// - An index that is named is within the batch, and its words are one line of at most
///   4,000 characters.
/// - The first index of a path is the record, whatever follows it, unless the reply
///   names a record that was not sent.
/// - What is kept of a reply shows no secret of ours.
pub fn refusal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let reply = reply(&text);
    let digits = |c: char| c.is_ascii_digit();
    let records = reply.headers[0]
        .1
        .split(|c| !digits(c))
        .find_map(|number| number.parse::<usize>().ok())
        .map_or(100, |number| number.clamp(1, 100));
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    for (index, words) in refused_records(body.as_bytes(), records) {
        assert!(index < records);
        is_one_line(&words);
    }
    first_index(&body, records);
    let (client, _) = client([granted(3599), reply]);
    let answer = at_once(client.submit(Bytes::from_static(b"[]"), records))
        .ok()
        .unwrap();
    hides_secrets(answer.request_id.as_deref().unwrap_or_default());
    let hides = |words: &Words| {
        is_one_line(words);
        hides_secrets(words.for_response());
    };
    match answer.submitted {
        Submitted::Accepted(receipts) => assert_eq!(receipts.len(), records),
        Submitted::Unreadable { why, words } => {
            hides_secrets(&why);
            hides(&words);
        }
        Submitted::Malformed { named, words } => {
            hides(&words);
            for (index, words) in named {
                assert!(index < records);
                hides(&words);
            }
        }
        Submitted::TooLarge { words } => hides(&words),
        Submitted::Trouble { what, words, .. } => {
            hides_secrets(&what);
            hides(&words);
        }
        Submitted::RunEnds(message) => hides_secrets(&message.to_string()),
        Submitted::NothingTaken | Submitted::Unauthorised => {}
    }
}

fn is_one_line(words: &Words) {
    let text = words.for_response();
    assert!(text.chars().count() <= 4000);
    assert!(!text.contains(char::is_control));
}

/// A path that names record 3, with any text behind it.
fn first_index(rest: &str, records: usize) {
    let quoted = serde_json::Value::from(format!("body[3].{rest}")).to_string();
    for body in [
        format!("body[3].{rest}"),
        format!("[3]{rest}"),
        format!("{{\"detail\":{quoted}}}"),
        format!("{{\"errors\":{{{quoted}:[\"too long\"]}}}}"),
        format!("{{\"detail\":[{{\"loc\":[\"body\",3,{quoted},0,-1],\"msg\":{quoted}}}]}}"),
    ] {
        let named = refused_records(body.as_bytes(), records);
        assert!(named.is_empty() || named.contains_key(&3), "{body}");
        if records <= 3 {
            assert!(named.is_empty(), "{body}");
        }
    }
}
