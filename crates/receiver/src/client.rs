//! The client: one submission at a time, its token, and what came back.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use csc_message::Message;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::meaning::{Meaning, RunEnd, Trouble, meaning};
use crate::proxy::offered_schemes;
use crate::receipt::{Receipt, receipts};
use crate::refusal::refused_records;
use crate::retry_after::{http_date, retry_after};
use crate::struck_out::struck_out;
use crate::token::{Denied, Token, TokenFault, form, granted};
use crate::transport::{Fault, FaultKind, Method, Reply, Request, Transport};
use crate::words::{Words, folded};

/// Where to submit, and as whom. No `Debug`: it holds secrets.
pub struct ClientOptions {
    /// API_ENDPOINT, without the path of the submission.
    pub endpoint: String,
    /// TOKEN_ENDPOINT.
    pub token_endpoint: String,
    /// The authority's three digits.
    pub la_code: String,
    /// CLIENT_ID.
    pub client_id: String,
    /// CLIENT_SECRET.
    pub client_secret: SecretString,
    /// SCOPE.
    pub scope: String,
    /// SUPPLIER_KEY.
    pub supplier_key: SecretString,
    /// SUPPLIER_KEY_SECONDARY.
    pub supplier_key_secondary: Option<SecretString>,
    /// USER_AGENT.
    pub user_agent: String,
    /// API_TIMEOUT: the longest that one request may take.
    pub timeout: Duration,
}

/// What came of one post.
pub struct Answer {
    /// What it means.
    pub submitted: Submitted,
    /// The HTTP status, where there was a reply.
    pub status: Option<u16>,
    /// `x-request-id`, `request-id` or `x-correlation-id`: what the DfE asks for when
    /// it is told of a failure.
    pub request_id: Option<String>,
    /// From the post to the end of the reply.
    pub took: Duration,
}

/// What one post means.
pub enum Submitted {
    /// One receipt per record, in the order sent.
    Accepted(Vec<Receipt>),
    /// A reply of success whose receipts can't be used.
    Unreadable {
        /// Why, e.g. how many receipts came for how many records.
        why: String,
        /// What was seen.
        words: Words,
    },
    /// 204: nothing was taken.
    NothingTaken,
    /// 400 or 422.
    Malformed {
        /// The records named, by place in the batch, with the receiver's words about
        /// each; empty where it names none, or where its indices make no sense.
        named: std::collections::BTreeMap<usize, Words>,
        /// The whole of its words.
        words: Words,
    },
    /// 401.
    Unauthorised,
    /// 413.
    TooLarge {
        /// The receiver's words.
        words: Words,
    },
    /// Trouble that a later try may not meet.
    Trouble {
        /// The kind, which decides how long to wait.
        kind: Trouble,
        /// What happened: the status, or the transport's words.
        what: String,
        /// The receiver's words, where there was a reply.
        words: Words,
        /// How long the receiver asked to wait.
        retry_after: Option<Duration>,
    },
    /// Final for the run.
    RunEnds(Message),
}

/// The receiver, as one run sees it.
pub struct Client {
    transport: Arc<dyn Transport>,
    options: ClientOptions,
    access: Mutex<Access>,
}

struct Access {
    token: Option<Arc<Token>>,
    secondary: bool,
    /// How many 401s have come in a row.
    refused: u32,
}

impl Client {
    /// A client that has fetched nothing yet.
    pub fn new(transport: Arc<dyn Transport>, options: ClientOptions) -> Self {
        Client {
            transport,
            options,
            access: Mutex::new(Access {
                token: None,
                secondary: false,
                refused: 0,
            }),
        }
    }

    /// Where a batch is posted to.
    pub fn submission_url(&self) -> String {
        submission_url(&self.options.endpoint, &self.options.la_code)
    }

    /// Makes sure that there is a token which is good for the next post.
    pub async fn ready(&self) -> Result<(), TokenFault> {
        self.token().await.map(|_| ())
    }

    /// Posts one batch, once. `records` is how many the body holds.
    pub async fn submit(&self, body: Bytes, records: usize) -> Result<Answer, TokenFault> {
        let token = self.token().await?;
        let key = {
            let access = self.access();
            match (&self.options.supplier_key_secondary, access.secondary) {
                (Some(key), true) => key.clone(),
                (Some(_) | None, _) => self.options.supplier_key.clone(),
            }
        };
        let bearer: SecretString = format!("Bearer {}", token.value.expose_secret()).into();
        let request = Request {
            method: Method::Post,
            url: self.submission_url(),
            headers: vec![
                ("Authorization", bearer),
                ("SupplierKey", key),
                ("Content-Type", "application/json".to_string().into()),
                ("Accept", "application/json".to_string().into()),
                ("User-Agent", self.options.user_agent.clone().into()),
            ],
            body,
            timeout: self.options.timeout,
        };
        let begun = Instant::now();
        let reply = self.transport.send(request).await;
        let took = begun.elapsed();
        let (status, request_id) = match &reply {
            Ok(reply) => (Some(reply.status), self.request_id(reply)),
            Err(_) => (None, None),
        };
        let submitted = match reply {
            Ok(reply) => self.read(&reply, records),
            Err(fault) => self.no_answer(&fault),
        };
        if !matches!(submitted, Submitted::Unauthorised) {
            self.access().refused = 0;
        }
        Ok(Answer {
            submitted,
            status,
            request_id,
            took,
        })
    }

    /// After a 401: what to try next. `true` says that another post is worth it,
    /// first with a fresh token, then with the secondary supplier key; `false` that
    /// everything was tried.
    pub fn escalate(&self) -> bool {
        let mut access = self.access();
        access.refused += 1;
        match access.refused {
            1 => {
                access.token = None;
                true
            }
            2 if self.options.supplier_key_secondary.is_some() && !access.secondary => {
                access.secondary = true;
                true
            }
            _ => false,
        }
    }

    /// What to tell a person when everything was tried and 401 came all the same.
    pub fn unauthorised(&self) -> Message {
        let tried = match (
            &self.options.supplier_key_secondary,
            self.access().secondary,
        ) {
            (Some(_), true) => "a fresh token and the secondary supplier key were tried too",
            (Some(_), false) => "a fresh token was tried too, and the primary supplier key before",
            (None, _) => "a fresh token was tried too; there is no SUPPLIER_KEY_SECONDARY to try",
        };
        Message::new(
            405,
            format!(
                "The receiver does not accept our credentials (401 from {})",
                self.submission_url()
            ),
            tried,
            "compare SUPPLIER_KEY, CLIENT_ID, CLIENT_SECRET and SCOPE with the DfE API portal, or \
             have them reset there; no row was changed, they go with the next run",
        )
    }

    fn access(&self) -> std::sync::MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, reply: &Reply, records: usize) -> Submitted {
        let said = || self.scrubbed(&String::from_utf8_lossy(&reply.body));
        let words = || Words::from_text(&said());
        match meaning(reply.status) {
            Meaning::Accepted => match receipts(&reply.body, records) {
                Ok(receipts) => Submitted::Accepted(receipts),
                Err(fault) => Submitted::Unreadable {
                    why: format!("status {}, but {fault}", reply.status),
                    words: words(),
                },
            },
            Meaning::NothingTaken => Submitted::NothingTaken,
            Meaning::Malformed => Submitted::Malformed {
                named: refused_records(said().as_bytes(), records),
                words: words(),
            },
            Meaning::Unauthorised => Submitted::Unauthorised,
            Meaning::TooLarge => Submitted::TooLarge { words: words() },
            Meaning::Trouble(kind) => Submitted::Trouble {
                kind,
                what: format!("status {}", reply.status),
                words: words(),
                retry_after: asked_wait(reply),
            },
            Meaning::RunEnds(end) => {
                Submitted::RunEnds(self.run_ends(end, reply, &self.submission_url()))
            }
        }
    }

    fn no_answer(&self, fault: &Fault) -> Submitted {
        if let Some(message) = &fault.last_word {
            return Submitted::RunEnds(message.clone());
        }
        match fault.kind {
            FaultKind::Tls => Submitted::RunEnds(tls_message(&self.submission_url(), fault)),
            FaultKind::Proxy => Submitted::Trouble {
                kind: Trouble::Proxy,
                what: self.scrubbed(&fault.words),
                words: Words::from_text(""),
                retry_after: None,
            },
            FaultKind::Dns
            | FaultKind::Connect
            | FaultKind::Timeout
            | FaultKind::Interrupted
            | FaultKind::TooMuch
            | FaultKind::Other => Submitted::Trouble {
                kind: Trouble::NoAnswer,
                what: format!("no answer: {}", self.scrubbed(&fault.words)),
                words: Words::from_text(""),
                retry_after: None,
            },
        }
    }

    async fn token(&self) -> Result<Arc<Token>, TokenFault> {
        if let Some(token) = &self.access().token
            && token.good_until > Instant::now()
        {
            return Ok(Arc::clone(token));
        }
        let (token, _) = self.fetch_token().await?;
        Ok(self.keep(token))
    }

    /// Keeps a token for the posts to come.
    pub(crate) fn keep(&self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        self.access().token = Some(Arc::clone(&token));
        token
    }

    /// A new token, and the reply that granted it.
    pub(crate) async fn fetch_token(&self) -> Result<(Token, Reply), TokenFault> {
        let url = &self.options.token_endpoint;
        let form = form(&[
            ("client_id", &self.options.client_id),
            ("client_secret", self.options.client_secret.expose_secret()),
            ("scope", &self.options.scope),
            ("grant_type", "client_credentials"),
        ]);
        let request = Request {
            method: Method::Post,
            url: url.clone(),
            headers: vec![
                (
                    "Content-Type",
                    "application/x-www-form-urlencoded".to_string().into(),
                ),
                ("Accept", "application/json".to_string().into()),
                ("User-Agent", self.options.user_agent.clone().into()),
            ],
            body: Bytes::from(form),
            timeout: self.options.timeout,
        };
        let asked = Instant::now();
        let reply = match self.transport.send(request).await {
            Ok(reply) => reply,
            Err(Fault {
                last_word: Some(message),
                ..
            }) => return Err(TokenFault::Final(message)),
            Err(fault) if fault.kind == FaultKind::Tls => {
                return Err(TokenFault::Final(tls_message(url, &fault)));
            }
            Err(fault) if fault.kind == FaultKind::Proxy => {
                return Err(TokenFault::Trouble {
                    kind: Trouble::Proxy,
                    words: self.scrubbed(&fault.words),
                    retry_after: None,
                });
            }
            Err(fault) => {
                return Err(TokenFault::Trouble {
                    kind: Trouble::NoAnswer,
                    words: format!("no answer: {}", self.scrubbed(&fault.words)),
                    retry_after: None,
                });
            }
        };
        match meaning(reply.status) {
            Meaning::Accepted => match granted(&reply.body, asked) {
                Some(token) => Ok((token, reply)),
                None => Err(TokenFault::Final(Message::new(
                    402,
                    format!("The reply of the token endpoint {url} can't be read"),
                    format!(
                        "status {}, but no usable access_token in its {} bytes of {}",
                        reply.status,
                        reply.body.len(),
                        self.media_type(&reply).as_deref().unwrap_or("unnamed type"),
                    ),
                    "check TOKEN_ENDPOINT: it ends in /oauth2/v2.0/token; a page of HTML points to a proxy",
                ))),
            },
            Meaning::Trouble(kind @ (Trouble::RateLimited | Trouble::Server)) => {
                Err(TokenFault::Trouble {
                    kind,
                    words: format!("status {}", reply.status),
                    retry_after: asked_wait(&reply),
                })
            }
            Meaning::RunEnds(end @ (RunEnd::ProxyLogon | RunEnd::Redirect)) => {
                Err(TokenFault::Final(self.run_ends(end, &reply, url)))
            }
            Meaning::NothingTaken
            | Meaning::Malformed
            | Meaning::Unauthorised
            | Meaning::TooLarge
            | Meaning::Trouble(_)
            | Meaning::RunEnds(_) => Err(TokenFault::Final(self.denied(&reply))),
        }
    }

    fn denied(&self, reply: &Reply) -> Message {
        let denied: Denied = serde_json::from_slice(&reply.body).unwrap_or_default();
        let said = match (denied.error.as_str(), denied.error_description.as_str()) {
            ("", "") => "it gives no reason".to_string(),
            (error, "") => error.to_string(),
            ("", description) => description.to_string(),
            (error, description) => format!("{error}: {description}"),
        };
        Message::new(
            401,
            format!(
                "The token endpoint {} refuses our credentials (status {})",
                self.options.token_endpoint, reply.status
            ),
            folded(&self.scrubbed(&said), 1000),
            "compare TOKEN_ENDPOINT, CLIENT_ID, CLIENT_SECRET and SCOPE (it ends in /.default) with \
             the DfE API portal; no row was changed, they go with the next run",
        )
    }

    fn run_ends(&self, end: RunEnd, reply: &Reply, url: &str) -> Message {
        let id = self
            .request_id(reply)
            .map_or(String::new(), |id| format!(", request id {id}"));
        match end {
            RunEnd::Redirect => Message::new(
                406,
                format!(
                    "{url} answers with a redirect (status {}{id})",
                    reply.status
                ),
                "records are never sent on to another address",
                "check API_ENDPOINT and TOKEN_ENDPOINT (https, host, path) with the DfE API portal; \
                 a logon page of a proxy redirects too: ask IT. The rows stay as they were",
            ),
            RunEnd::WrongAddress => Message::new(
                407,
                format!(
                    "{url} does not take submissions (status {}{id})",
                    reply.status
                ),
                "the base address or the authority code is wrong",
                "check API_ENDPOINT and LA_CODE with the DfE API portal; the rows stay as they were",
            ),
            RunEnd::ProxyLogon => Message::new(
                408,
                format!("{url} answers that a proxy wants a logon (407{id})"),
                match offered_schemes(&reply.headers).join(", ").as_str() {
                    "" => "it does not say which kind".to_string(),
                    schemes => format!("it offers {}", self.scrubbed(schemes)),
                },
                "no proxy is set here, so one stands in between unseen: ask IT for its address (PROXY), \
                 or to let this account through to *.education.gov.uk and login.microsoftonline.com; \
                 the rows stay as they were",
            ),
            RunEnd::Unexpected => Message::new(
                409,
                format!(
                    "{url} answers with status {}{id}, which is not one of the receiver's",
                    reply.status
                ),
                "something between here and the receiver may have answered in its place",
                "check API_ENDPOINT; if it is right, give the request id to the DfE. The rows stay as they were",
            ),
        }
    }

    fn request_id(&self, reply: &Reply) -> Option<String> {
        ["x-request-id", "request-id", "x-correlation-id"]
            .into_iter()
            .find_map(|name| reply.header(name))
            .and_then(|id| one_word(id, |c| "-_.:/+=|~".contains(c)))
            .map(|id| self.scrubbed(&id))
    }

    /// The content type without its parameters.
    fn media_type(&self, reply: &Reply) -> Option<String> {
        let value = reply.header("content-type")?.split(';').next()?;
        one_word(value, |c| "/+-._".contains(c)).map(|kind| self.scrubbed(&kind))
    }

    /// A text in which none of our secrets stands, whoever wrote it.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        let token = self.access().token.clone();
        let secrets = [
            Some(&self.options.client_secret),
            Some(&self.options.supplier_key),
            self.options.supplier_key_secondary.as_ref(),
            token.as_ref().map(|token| &token.value),
        ];
        let exposed = secrets.into_iter().flatten().map(|s| s.expose_secret());
        struck_out(text, exposed)
    }
}

/// The address that an authority's batches are posted to.
fn submission_url(endpoint: &str, la_code: &str) -> String {
    format!(
        "{}/children_social_care_data/{la_code}/children",
        endpoint.trim_end_matches('/')
    )
}

/// A batch's body: a JSON array of the records' texts, as they are.
pub fn body_of<'a>(records: impl IntoIterator<Item = &'a str> + Clone) -> Bytes {
    let length: usize = records.clone().into_iter().map(|r| r.len() + 1).sum();
    let mut body = BytesMut::with_capacity(length + 2);
    body.put_u8(b'[');
    for (n, record) in records.into_iter().enumerate() {
        if n > 0 {
            body.put_u8(b',');
        }
        body.put_slice(record.as_bytes());
    }
    body.put_u8(b']');
    body.freeze()
}

/// How long the receiver asks to wait. A date is counted from the reply's own: both are of
/// the receiver's clock, whatever this machine's says.
fn asked_wait(reply: &Reply) -> Option<Duration> {
    let now = reply
        .header("date")
        .and_then(http_date)
        .unwrap_or_else(Timestamp::now);
    retry_after(reply.header("retry-after")?, now)
}

/// A header's value where it is one word of the kind that is asked for. Anything else may
/// be somebody's quotation of what we sent.
fn one_word(value: &str, is_part: impl Fn(char) -> bool) -> Option<String> {
    let word = value.trim();
    let fits = !word.is_empty()
        && word.len() <= 100
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || is_part(c));
    fits.then(|| word.to_string())
}

fn tls_message(url: &str, fault: &Fault) -> Message {
    Message::new(
        403,
        format!("No secure connection to {url}"),
        fault.words.clone(),
        "if a proxy of the authority opens TLS, the certificate of its authority (CA) must be in \
         this machine's trust store, or in the file of CA_BUNDLE: ask IT; check the machine's clock \
         as well. Nothing was sent",
    )
}
