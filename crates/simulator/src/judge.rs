//! What becomes of a submission: the gateway first, then keys and token, then
//! what it carries.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::exchange::{Action, Answer, IncomingRequest};
use crate::fault::{Form, Gateway, Lost, Naming, Refuse, RetryAfter, Trouble};
use crate::receipt;
use crate::refusal::{Complaint, Step, listing, sentence};
use crate::seen::KeyOrdinal;
use crate::settings::Settings;
use crate::simulator::Holdings;
use crate::submission::{MOST_RECORDS, Reading, Record};

/// Why a submission is not taken, and what is done instead.
struct Rejection {
    /// Whether it is for what the submission carries.
    refused: bool,
    action: Action,
}

fn turned_away(answer: Answer) -> Rejection {
    Rejection {
        refused: false,
        action: Action::Reply(answer),
    }
}

fn refused(answer: Answer) -> Rejection {
    Rejection {
        refused: true,
        action: Action::Reply(answer),
    }
}

/// Judges a submission, changes what is held, and counts.
pub(crate) fn judge(
    holdings: &mut Holdings,
    settings: &Settings,
    request: &IncomingRequest,
    la_code: &str,
    reading: Reading<'_>,
) -> Action {
    holdings.counts.posts += 1;
    let late = holdings.orders.strike(|trouble| {
        if let Trouble::Slow(wait) = trouble {
            Some(*wait)
        } else {
            None
        }
    });
    let mut action = match check(holdings, settings, request, la_code, reading) {
        Ok(records) => {
            let counts = &mut holdings.counts;
            let receipts = holdings
                .children
                .accept(la_code, records, request.now, counts);
            confirm(holdings, receipts)
        }
        Err(rejection) => {
            let count = if rejection.refused {
                &mut holdings.counts.refused_batches
            } else {
                &mut holdings.counts.turned_away
            };
            *count += 1;
            rejection.action
        }
    };
    let delay = match &mut action {
        Action::Reply(answer) => &mut answer.delay,
        Action::DropConnection { delay, .. } => delay,
    };
    *delay = late.unwrap_or_default();
    action
}

/// The records, when nothing speaks against them.
fn check<'a>(
    holdings: &mut Holdings,
    settings: &Settings,
    request: &IncomingRequest,
    la_code: &str,
    reading: Reading<'a>,
) -> Result<Vec<Record<'a>>, Rejection> {
    agent(request)?;
    gateway(holdings, request)?;
    if request.body.len() > IncomingRequest::BODY_LIMIT {
        return Err(refused(too_large()));
    }
    if la_code.len() != 3 || !la_code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(turned_away(not_found()));
    }
    keys(holdings, settings, request)?;
    if settings.la_code.as_ref().is_some_and(|own| own != la_code) {
        let words = format!("Not allowed for the authority {la_code}");
        return Err(turned_away(sentence(403, &words, Form::Json)));
    }
    media(request)?;
    let records = reading
        .records
        .map_err(|complaints| refused(listing(&complaints, detail_form(holdings))))?;
    refusals(holdings, &records)?;
    Ok(records)
}

/// Agents that libraries send when nobody has named the program.
const LIBRARY_AGENTS: &[&str] = &[
    "apache-httpclient/",
    "axios/",
    "curl/",
    "go-http-client/",
    "java/",
    "libcurl/",
    "libwww-perl/",
    "node",
    "okhttp/",
    "python-",
    "python/",
    "reqwest/",
    "ureq/",
    "wget/",
];

fn agent(request: &IncomingRequest) -> Result<(), Rejection> {
    let agent = request.header("user-agent").unwrap_or_default().trim();
    let agent = agent.to_ascii_lowercase();
    let anonymous = agent.is_empty()
        || LIBRARY_AGENTS
            .iter()
            .any(|library| agent.starts_with(library));
    if anonymous {
        Err(turned_away(forbidden()))
    } else {
        Ok(())
    }
}

fn gateway(holdings: &mut Holdings, request: &IncomingRequest) -> Result<(), Rejection> {
    let fits = |gateway: &Gateway| matches!(gateway, Gateway::MaxBytes(most) if request.body.len() <= *most);
    let struck = holdings.orders.strike(|trouble| {
        if let Trouble::Gateway(gateway) = trouble {
            (!fits(gateway)).then(|| gateway.clone())
        } else {
            None
        }
    });
    let Some(struck) = struck else {
        return Ok(());
    };
    Err(match struck {
        Gateway::Status(status, wait) => turned_away(ordered_status(status, wait, request.now)),
        Gateway::Reset => Rejection {
            refused: false,
            action: Action::DropConnection {
                after_accepting: false,
                delay: Duration::ZERO,
            },
        },
        Gateway::Forbid => turned_away(forbidden()),
        Gateway::Redirect(to) => {
            turned_away(Answer::page(302, "302 Found", "Application Gateway").with("location", to))
        }
        Gateway::Html => turned_away(Answer::page(200, "Sign in", "Please sign in to continue")),
        Gateway::NoContent => turned_away(Answer::empty(204)),
        Gateway::MaxBytes(_) => refused(too_large()),
    })
}

fn ordered_status(status: u16, wait: Option<RetryAfter>, now: Timestamp) -> Answer {
    let answer = match status {
        204 | 304 => Answer::empty(status),
        407 => sentence(407, "Proxy authentication required", Form::Json)
            .with("proxy-authenticate", "NTLM")
            .with("proxy-authenticate", "Basic realm=\"simulated proxy\""),
        _ => {
            let words = format!("The simulator was ordered to reply {status}");
            Answer::json(status, &json!({ "statusCode": status, "message": words }))
        }
    };
    match wait {
        Some(wait) => answer.with("retry-after", wait.header(now)),
        None => answer,
    }
}

impl RetryAfter {
    /// The header's value. A date, which has whole seconds, is never too early.
    fn header(self, now: Timestamp) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::HttpDate(seconds) => {
                let partial = i64::from(now.subsec_nanosecond() > 0);
                let wait = SignedDuration::from_secs(i64::from(seconds) + partial);
                now.checked_add(wait)
                    .and_then(|then| DateTimePrinter::new().timestamp_to_rfc9110_string(&then))
                    .unwrap_or_else(|_| seconds.to_string())
            }
        }
    }
}

fn too_large() -> Answer {
    Answer::page(413, "413 Request Entity Too Large", "Application Gateway")
}

fn forbidden() -> Answer {
    Answer::page(403, "403 Forbidden", "Application Gateway")
}

pub(crate) fn not_found() -> Answer {
    let words = "Resource not found";
    Answer::json(404, &json!({ "statusCode": 404, "message": words }))
}

/// Which of the keys the request carries.
pub(crate) fn key_ordinal(settings: &Settings, request: &IncomingRequest) -> Option<KeyOrdinal> {
    let given = request.header("supplierkey")?;
    let is = |key: &SecretString| key.expose_secret() == given;
    if is(&settings.supplier_key) {
        Some(KeyOrdinal::Primary)
    } else if settings.supplier_key_secondary.as_ref().is_some_and(is) {
        Some(KeyOrdinal::Secondary)
    } else {
        None
    }
}

fn keys(
    holdings: &mut Holdings,
    settings: &Settings,
    request: &IncomingRequest,
) -> Result<(), Rejection> {
    let Some(ordinal) = key_ordinal(settings, request) else {
        return Err(unauthorised(if request.header("supplierkey").is_some() {
            WRONG_KEY
        } else {
            NO_KEY
        }));
    };
    let revoked = match ordinal {
        KeyOrdinal::Primary => holdings
            .orders
            .strike(|trouble| (*trouble == Trouble::RevokedPrimaryKey).then_some(())),
        KeyOrdinal::Secondary => None,
    };
    if revoked.is_some() {
        return Err(unauthorised(WRONG_KEY));
    }
    let token = request
        .header("authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    match token {
        Some(token) if holdings.tokens.admit(token, request.now) => Ok(()),
        Some(_) | None => Err(unauthorised(NO_TOKEN)),
    }
}

const NO_KEY: &str = "Access denied due to missing subscription key. Make sure to include \
                      subscription key when making requests to an API.";
const WRONG_KEY: &str = "Access denied due to invalid subscription key. Make sure to provide a \
                         valid key for an active subscription.";
const NO_TOKEN: &str = "Unauthorized. Access token is missing, invalid or expired.";

fn unauthorised(words: &str) -> Rejection {
    let body = json!({ "statusCode": 401, "message": words });
    turned_away(Answer::json(401, &body).with("www-authenticate", "Bearer"))
}

fn media(request: &IncomingRequest) -> Result<(), Rejection> {
    if request.media_type().as_deref() != Some("application/json") {
        let words = "Content-Type should be application/json, in UTF-8";
        return Err(refused(sentence(415, words, Form::Json)));
    }
    // Absent, it means anything.
    let accept = request.header("accept").unwrap_or("*/*");
    let takes_json = accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ["application/json", "application/*", "*/*"]
            .iter()
            .any(|json| range.eq_ignore_ascii_case(json))
    });
    if takes_json {
        Ok(())
    } else {
        let words = "Accept should allow application/json";
        Err(refused(sentence(406, words, Form::Json)))
    }
}

fn detail_form(holdings: &mut Holdings) -> Form {
    let form = holdings.orders.strike(|trouble| {
        if let Trouble::Detail(form) = trouble {
            Some(*form)
        } else {
            None
        }
    });
    form.unwrap_or(Form::Json)
}

/// Refusals that were ordered.
fn refusals(holdings: &mut Holdings, records: &[Record<'_>]) -> Result<(), Rejection> {
    let index_of = |child: &str| {
        records
            .iter()
            .position(|record| record.la_child_id == child)
    };
    let struck = holdings.orders.strike(|trouble| {
        let Trouble::Refuse(refuse) = trouble else {
            return None;
        };
        match refuse {
            Refuse::Child(child, naming) => Some((index_of(child)?, *naming)),
            Refuse::All => Some((0, Naming::None)),
        }
    });
    let Some((index, naming)) = struck else {
        return Ok(());
    };
    let form = detail_form(holdings);
    Err(refused(match naming {
        Naming::Index => listing(&about(index, &records[index]), form),
        Naming::None => sentence(400, "The submission could not be processed", form),
        Naming::Nonsense => {
            let beyond = [records.len(), records.len() + MOST_RECORDS, 4_294_967_296];
            let complaints = beyond.map(|index| Complaint::record(index, "value_error", ORDERED));
            listing(&complaints, form)
        }
    }))
}

const ORDERED: &str = "Value error, this refusal was ordered of the simulator";

/// What is said against one record: once with the child's details quoted, as the
/// DfE's framework does, once with the index of an episode, which is no record's.
fn about(index: usize, record: &Record<'_>) -> [Complaint; 2] {
    let complaint = || Complaint::record(index, "value_error", ORDERED);
    [
        complaint()
            .at(&[Step::Field("child_details"), Step::Field("sex")])
            .quoting(record.field("child_details")),
        complaint().at(&[
            Step::Field("social_care_episodes"),
            Step::Index(0),
            Step::Field("closure_date"),
        ]),
    ]
}

/// The end of an accepted batch.
fn confirm(holdings: &mut Holdings, mut receipts: Vec<String>) -> Action {
    let lost = holdings.orders.strike(|trouble| {
        if let Trouble::Lost(lost) = trouble {
            Some(*lost)
        } else {
            None
        }
    });
    let form = holdings.orders.strike(|trouble| {
        if let Trouble::Receipts(form) = trouble {
            Some(*form)
        } else {
            None
        }
    });
    let form = form.unwrap_or(Form::Json);
    match lost {
        None => Action::Reply(receipt::reply(receipts, form)),
        Some(Lost::Drop) => Action::DropConnection {
            after_accepting: true,
            delay: Duration::ZERO,
        },
        Some(Lost::Garbage) => Action::Reply(receipt::garbage()),
        Some(Lost::ReceiptShort) => {
            receipts.pop();
            Action::Reply(receipt::reply(receipts, form))
        }
    }
}
