//! The simulator itself: one state behind one lock, and which endpoint a request
//! is for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::exchange::{Action, Answer, IncomingRequest};
use crate::fault::{Expiry, FaultOrder, Trouble};
use crate::held::{Children, Counts, Shown};
use crate::judge::{judge, key_ordinal, not_found};
use crate::orders::Orders;
use crate::seen::{Purpose, Requests, Seen};
use crate::settings::Settings;
use crate::submission;
use crate::token::{self, Refused, Tokens};

/// A receiver with its token endpoint. Clones share one state; each request is
/// answered as a whole before the next, from however many threads they come.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    settings: Settings,
    holdings: Mutex<Holdings>,
}

/// All that changes.
pub(crate) struct Holdings {
    pub orders: Orders,
    pub tokens: Tokens,
    pub children: Children,
    pub counts: Counts,
    pub requests: Requests,
}

/// What an address stands for.
enum Endpoint<'a> {
    Token { tenant: &'a str },
    Children { la_code: &'a str },
    State,
    Unknown,
}

impl<'a> Endpoint<'a> {
    fn of(path: &'a str) -> Self {
        // Joining a base that ends in a slash makes an empty step: the DfE's
        // gateway knows no such address.
        let Some(steps) = path.strip_prefix('/') else {
            return Endpoint::Unknown;
        };
        let steps: Vec<&str> = steps.split('/').collect();
        if steps.contains(&"") {
            return Endpoint::Unknown;
        }
        match steps.as_slice() {
            [.., tenant, "oauth2", "v2.0", "token"] => Endpoint::Token { tenant },
            [.., "children_social_care_data", la_code, "children"] => {
                Endpoint::Children { la_code }
            }
            ["state"] => Endpoint::State,
            _ => Endpoint::Unknown,
        }
    }
}

impl Simulator {
    /// A simulator that holds nothing yet.
    pub fn new(settings: Settings) -> Self {
        let holdings = Holdings {
            orders: Orders::new(&settings.faults),
            tokens: Tokens::default(),
            children: Children::default(),
            counts: Counts::default(),
            requests: Requests::default(),
        };
        Simulator(Arc::new(Inner {
            settings,
            holdings: Mutex::new(holdings),
        }))
    }

    /// Answers one request: the whole of the simulator's behaviour.
    ///
    /// `GET /state` gives this JSON; what goes by child is grouped by authority,
    /// then by `la_child_id`:
    /// ```json
    /// {
    ///   "holds_records": true,
    ///   "counts": {"posts": 1, "accepted_batches": 1, "accepted_records": 1, "purged": 0,
    ///              "refused_batches": 0, "turned_away": 0, "tokens": 1, "children_held": 1},
    ///   "children": {"845": {"child-1": {"la_child_id": "child-1"}}},
    ///   "arrivals": {"845": {"child-1": 1}},
    ///   "receipts": {"845": {"child-1": "2026-01-31_09:15:00.00_<uuid>.json"}},
    ///   "requests": [{"at": "2026-01-31T09:15:00.000Z", "purpose": "submission", "status": 200,
    ///                 "cut": null, "request_id": "<uuid>", "records": 1, "la_code": "845",
    ///                 "supplier_key": "primary", "user_agent": "csc-sender/1", "bytes": 29}]
    /// }
    /// ```
    /// A purged child leaves `children`; its `arrivals` and latest receipt stay.
    /// `purpose` is `submission` or `token`; `cut` is `before_accepting` or
    /// `after_accepting` where the connection was dropped, with no status then;
    /// `supplier_key` is `primary`, `secondary` or null. `requests` are the
    /// latest, oldest first, as many as [`Settings::requests_listed`].
    pub fn answer(&self, request: IncomingRequest) -> Action {
        let method = request.method.as_str();
        match (Endpoint::of(&request.path), method) {
            (Endpoint::Token { tenant }, "POST") => self.token(&request, tenant),
            (Endpoint::Children { la_code }, "POST") => self.submission(&request, la_code),
            (Endpoint::State, "GET") => self.state(),
            (Endpoint::Token { .. } | Endpoint::Children { .. }, _) => not_allowed("POST"),
            (Endpoint::State, _) => not_allowed("GET"),
            (Endpoint::Unknown, _) => Action::Reply(not_found()),
        }
    }

    /// Adds an order to those in force, after them.
    pub fn order(&self, fault: FaultOrder) {
        self.holdings().orders.add(fault);
    }

    /// Withdraws all orders.
    pub fn withdraw_orders(&self) {
        self.holdings().orders.clear();
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.holdings().counts
    }

    /// The record held of a child; `None` when none is.
    pub fn record(&self, la_code: &str, la_child_id: &str) -> Option<Value> {
        self.holdings().children.record(la_code, la_child_id)
    }

    /// All records held of an authority's children, by `la_child_id`.
    pub fn records(&self, la_code: &str) -> BTreeMap<String, Value> {
        self.holdings().children.of(la_code)
    }

    /// How often a record of a child was accepted.
    pub fn arrivals(&self, la_code: &str, la_child_id: &str) -> u64 {
        self.holdings().children.arrivals(la_code, la_child_id)
    }

    /// The receipt of a child's latest accepted record, also when it was lost on
    /// the way back.
    pub fn receipt(&self, la_code: &str, la_child_id: &str) -> Option<String> {
        self.holdings().children.receipt(la_code, la_child_id)
    }

    /// Keeps every record that is accepted from now on, so memory grows with them.
    pub fn keep_log(&self) {
        self.holdings().children.keep_log();
    }

    /// The records that were accepted since [`Simulator::keep_log`], in the order of their
    /// arrival, also those whose reply was lost.
    pub fn log(&self) -> Vec<Value> {
        self.holdings().children.log()
    }

    fn holdings(&self) -> MutexGuard<'_, Holdings> {
        // A thread that panicked while it held the lock has failed its own test;
        // the others may go on.
        let holdings = self.0.holdings.lock();
        holdings.unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, request: &IncomingRequest, tenant: &str) -> Action {
        let settings = &self.0.settings;
        let mut holdings = self.holdings();
        let ordered = holdings.orders.strike(|trouble| {
            if let Trouble::TokenStatus(status) = trouble {
                Some(Refused::ordered(*status))
            } else {
                None
            }
        });
        let allowed = match ordered {
            Some(refused) => Err(refused),
            None => token::check(request, tenant, settings),
        };
        let answer = match allowed {
            Ok(()) => {
                let expiry = holdings.orders.strike(|trouble| {
                    if let Trouble::TokenExpiry(expiry) = trouble {
                        Some(*expiry)
                    } else {
                        None
                    }
                });
                let (lifetime, submissions) = match expiry {
                    None => (settings.token_lifetime, None),
                    Some(Expiry::Submissions(most)) => (settings.token_lifetime, Some(most)),
                    Some(Expiry::Seconds(seconds)) => (Duration::from_secs(seconds.into()), None),
                };
                holdings.counts.tokens += 1;
                holdings.tokens.issue(request.now, lifetime, submissions)
            }
            Err(refused) => refused.answer(request.now),
        };
        let action = Action::Reply(answer);
        tracing::debug!(end = %End(&action), "a token request to the simulator");
        let seen = Seen::new(Purpose::Token, request, &action);
        holdings.requests.add(seen, settings.requests_listed);
        action
    }

    fn submission(&self, request: &IncomingRequest, la_code: &str) -> Action {
        let settings = &self.0.settings;
        // Before the lock: reading is most of the work. An oversized body is
        // refused for its size, and was not kept whole.
        let body: &[u8] = match request.body.len() {
            0..=IncomingRequest::BODY_LIMIT => &request.body,
            _ => b"",
        };
        let reading = submission::read(body, settings.hold_records);
        let records = reading.count;
        let mut holdings = self.holdings();
        let action = judge(&mut holdings, settings, request, la_code, reading);
        tracing::debug!(la_code, records, end = %End(&action), "a submission to the simulator");
        let mut seen = Seen::new(Purpose::Submission, request, &action).for_authority(la_code);
        seen.records = records;
        seen.supplier_key = key_ordinal(settings, request);
        holdings.requests.add(seen, settings.requests_listed);
        action
    }

    fn state(&self) -> Action {
        #[derive(Serialize)]
        struct State<'a> {
            holds_records: bool,
            counts: Counts,
            #[serde(flatten)]
            children: Shown<'a>,
            requests: &'a Requests,
        }
        let holdings = self.holdings();
        let body = serde_json::to_vec(&State {
            holds_records: self.0.settings.hold_records,
            counts: holdings.counts,
            children: holdings.children.shown(),
            requests: &holdings.requests,
        });
        Action::Reply(match body {
            Ok(body) => {
                Answer::new(200, "application/json", body).with("cache-control", "no-store")
            }
            Err(error) => {
                let words = format!("the state can't be shown: {error}");
                Answer::json(500, &json!({ "statusCode": 500, "message": words }))
            }
        })
    }
}

fn not_allowed(allowed: &'static str) -> Action {
    let body = json!({ "statusCode": 405, "message": "Method not allowed" });
    Action::Reply(Answer::json(405, &body).with("allow", allowed))
}

/// How an exchange ends, in a word for the log.
struct End<'a>(&'a Action);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Action::Reply(answer) => write!(f, "{}", answer.status),
            Action::DropConnection {
                after_accepting: true,
                ..
            } => f.write_str("dropped after accepting"),
            Action::DropConnection {
                after_accepting: false,
                ..
            } => f.write_str("reset before accepting"),
        }
    }
}
