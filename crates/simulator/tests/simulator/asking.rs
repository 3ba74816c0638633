//! A client of the core, with a clock of its own.

use std::time::Duration;

use csc_simulator::{
    API_PATH, Action, Answer, CLIENT_ID, CLIENT_SECRET, IncomingRequest, SCOPE, SUPPLIER_KEY,
    Settings, Simulator, TOKEN_PATH,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

pub const LA: &str = "845";
pub const AGENT: &str = "csc-sender/0.1 (tests)";

/// The address that a batch of that authority goes to.
pub fn children_path(la_code: &str) -> String {
    format!("{API_PATH}/children_social_care_data/{la_code}/children")
}

/// A right token request's form, with one field replaced or (with "") left out.
pub fn form(changed: (&str, &str)) -> String {
    [
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", SCOPE),
        ("grant_type", "client_credentials"),
    ]
    .into_iter()
    .map(|(name, value)| (name, if name == changed.0 { changed.1 } else { value }))
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| format!("{name}={}", value.replace('/', "%2F").replace(':', "%3A")))
    .collect::<Vec<_>>()
    .join("&")
}

/// A batch of records that have nothing but their ids.
pub fn batch(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({ "la_child_id": id })).collect()
}

/// A client that does all as it should, unless told otherwise.
pub struct Client {
    pub simulator: Simulator,
    pub now: Timestamp,
    pub token: String,
}

impl Client {
    /// With a token, and a simulator of those faults.
    pub fn new(faults: &[&str]) -> Self {
        Client::with(Settings {
            faults: faults.iter().map(|words| words.parse().unwrap()).collect(),
            ..Settings::default()
        })
    }

    pub fn with(settings: Settings) -> Self {
        let mut client = Client {
            simulator: Simulator::new(settings),
            now: "2026-03-29T01:02:03.078Z".parse().unwrap(),
            token: String::new(),
        };
        client.fetch_token();
        client
    }

    pub fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// A token request's answer.
    pub fn ask_token(&self, path: &str, content_type: &str, body: &str) -> Answer {
        reply(self.simulator.answer(IncomingRequest {
            method: "POST".to_owned(),
            path: path.to_owned(),
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.to_owned().into(),
            now: self.now,
        }))
    }

    /// Fetches the token that is used from here on.
    pub fn fetch_token(&mut self) -> Answer {
        let answer = self.ask_token(
            TOKEN_PATH,
            "application/x-www-form-urlencoded",
            &form(("", "")),
        );
        if answer.status == 200 {
            let token = &body(&answer)["access_token"];
            self.token = token.as_str().unwrap().to_owned();
        }
        answer
    }

    /// A submission as it should be.
    pub fn request(&self, batch: &Value) -> IncomingRequest {
        let headers = [
            ("Authorization", format!("Bearer {}", self.token)),
            ("SupplierKey", SUPPLIER_KEY.to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json".to_owned()),
            ("User-Agent", AGENT.to_owned()),
        ];
        IncomingRequest {
            method: "POST".to_owned(),
            path: children_path(LA),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: batch.to_string().into(),
            now: self.now,
        }
    }

    /// Submits, and gives what is done about it.
    pub fn submit(&self, batch: &Value) -> Action {
        self.simulator.answer(self.request(batch))
    }

    /// Submits, and gives the reply.
    pub fn post(&self, batch: &Value) -> Answer {
        reply(self.submit(batch))
    }

    /// Submits with one header replaced, or (with `None`) left out.
    pub fn post_with(&self, name: &str, value: Option<&str>) -> Answer {
        let mut request = self.request(&batch(&["c-1"]));
        request.headers.retain(|(n, _)| n != name);
        if let Some(value) = value {
            request.headers.push((name.to_owned(), value.to_owned()));
        }
        reply(self.simulator.answer(request))
    }

    /// The statuses that so many submissions get; 0 where the connection is cut.
    pub fn statuses(&self, posts: usize) -> Vec<u16> {
        (0..posts)
            .map(|_| match self.submit(&batch(&["c-1"])) {
                Action::Reply(answer) => answer.status,
                Action::DropConnection { .. } => 0,
            })
            .collect()
    }

    /// What `/state` shows.
    pub fn state(&self) -> Value {
        body(&reply(self.simulator.answer(IncomingRequest {
            method: "GET".to_owned(),
            path: "/state".to_owned(),
            headers: Vec::new(),
            body: Default::default(),
            now: self.now,
        })))
    }
}

/// The reply, where there is one; each has its request id.
pub fn reply(action: Action) -> Answer {
    match action {
        Action::Reply(answer) => {
            let id = answer.header("x-request-id").unwrap();
            assert_eq!(id.len(), 36, "{id}");
            answer
        }
        Action::DropConnection { .. } => panic!("the connection is dropped"),
    }
}

/// The reply's JSON.
pub fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&answer.body)))
}

/// The reply's text.
pub fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// A cut connection.
pub fn cut(after_accepting: bool) -> Action {
    Action::DropConnection {
        after_accepting,
        delay: Duration::ZERO,
    }
}
