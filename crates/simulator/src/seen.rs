//! The latest requests, without what is secret in them.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;

use crate::exchange::{Action, IncomingRequest};

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// A token.
    Token,
    /// A batch.
    Submission,
}

/// Which of the subscription's keys a request carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyOrdinal {
    /// The primary.
    Primary,
    /// The secondary.
    Secondary,
}

/// When a connection was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Cut {
    BeforeAccepting,
    AfterAccepting,
}

/// One request, as `/state` lists it.
#[derive(Serialize)]
pub(crate) struct Seen {
    /// When it arrived (RFC 3339).
    at: String,
    purpose: Purpose,
    /// The reply's status; null where there was none.
    status: Option<u16>,
    /// Where the connection was cut in a reply's place.
    cut: Option<Cut>,
    /// The reply's `x-request-id`.
    request_id: Option<String>,
    /// How many records the body had; null where it is no array.
    pub records: Option<usize>,
    /// The authority in the address.
    pub la_code: Option<String>,
    /// The key it came with; null for none and for a wrong one.
    pub supplier_key: Option<KeyOrdinal>,
    user_agent: Option<String>,
    /// The body's size.
    bytes: usize,
}

/// More of a header or path than this is not kept, in characters.
const KEPT: usize = 200;

fn cut(text: &str) -> String {
    text.chars().take(KEPT).collect()
}

impl Seen {
    /// What can be told from the request and its end alone.
    pub fn new(purpose: Purpose, request: &IncomingRequest, action: &Action) -> Self {
        let (status, cut_when, request_id) = match action {
            Action::Reply(answer) => {
                let id = answer.header("x-request-id").map(str::to_owned);
                (Some(answer.status), None, id)
            }
            Action::DropConnection {
                after_accepting: true,
                ..
            } => (None, Some(Cut::AfterAccepting), None),
            Action::DropConnection {
                after_accepting: false,
                ..
            } => (None, Some(Cut::BeforeAccepting), None),
        };
        Seen {
            at: shown(request.now),
            purpose,
            status,
            cut: cut_when,
            request_id,
            records: None,
            la_code: None,
            supplier_key: None,
            user_agent: request.header("user-agent").map(cut),
            bytes: request.body.len(),
        }
    }

    /// The same with the authority in the address.
    pub fn for_authority(mut self, la_code: &str) -> Self {
        self.la_code = Some(cut(la_code));
        self
    }
}

fn shown(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// The latest of them, oldest first.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Requests(VecDeque<Seen>);

impl Requests {
    /// Adds one and keeps no more than `most`.
    pub fn add(&mut self, seen: Seen, most: usize) {
        self.0.push_back(seen);
        while self.0.len() > most {
            self.0.pop_front();
        }
    }
}
