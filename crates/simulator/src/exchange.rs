//! One exchange as the simulator sees it: the request, and what to do about it.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// A request as it arrived. It carries a token, a key and children's records, so
/// it has no `Debug`.
pub struct IncomingRequest {
    /// The method, upper case.
    pub method: String,
    /// The path of the address, without the query.
    pub path: String,
    /// Header names, in any case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body. Above [`IncomingRequest::BODY_LIMIT`] it is refused.
    pub body: Bytes,
    /// When it arrived: tokens, receipts and `Retry-After` dates go by it.
    pub now: Timestamp,
}

impl IncomingRequest {
    /// The largest body that is read, in bytes; a larger one gets a 413. Well
    /// above 100 large records, so that only the fault `max-bytes` is met in
    /// practice.
    pub const BODY_LIMIT: usize = 32 * 1024 * 1024;

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The media type of the body, lower case, where it is given in a form that
    /// means UTF-8 (no `charset`, or that one).
    pub(crate) fn media_type(&self) -> Option<String> {
        let value = self.header("content-type")?.to_ascii_lowercase();
        let mut parts = value.split(';').map(str::trim);
        let media_type = parts.next()?.to_owned();
        let foreign = parts
            .filter_map(|part| part.strip_prefix("charset="))
            .any(|charset| !matches!(charset.trim_matches('"'), "utf-8" | "utf8"));
        (!foreign).then_some(media_type)
    }
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Reply.
    Reply(Answer),
    /// Cut the connection without a byte of a reply.
    DropConnection {
        /// Whether the batch was taken before: the sender can't tell.
        after_accepting: bool,
        /// How long to wait first.
        delay: Duration,
    },
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names, lower case, and values; without those of the framing.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// How long to wait before replying. What the request changed is changed
    /// already.
    pub delay: Duration,
}

impl Answer {
    /// A reply with that body, and an `x-request-id` of its own.
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Answer {
            status,
            headers: vec![
                ("x-request-id", Uuid::new_v4().to_string()),
                ("content-type", content_type.to_owned()),
            ],
            body: body.into(),
            delay: Duration::ZERO,
        }
    }

    /// A reply in JSON.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Answer::new(status, "application/json", body.to_string())
    }

    /// A reply in plain text.
    pub(crate) fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Answer::new(status, "text/plain; charset=utf-8", body)
    }

    /// A page, as gateways and portals serve them.
    pub(crate) fn page(status: u16, title: &str, words: &str) -> Self {
        Answer::new(
            status,
            "text/html",
            format!(
                "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n\
                 <center><h1>{title}</h1></center>\r\n<hr><center>{words}</center>\r\n\
                 </body>\r\n</html>\r\n"
            ),
        )
    }

    /// A reply without a body.
    pub(crate) fn empty(status: u16) -> Self {
        let mut answer = Answer::text(status, Bytes::new());
        answer.headers.retain(|(name, _)| *name != "content-type");
        answer
    }

    /// The same with one header more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The first header of that name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.as_str())
    }
}
