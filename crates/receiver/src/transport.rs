//! One HTTP exchange, whoever carries it out: libcurl, or a receiver simulated
//! inside the process, which is how testing mode opens no socket.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use csc_message::Message;
use secrecy::SecretString;

/// The two methods that the receiver and its token endpoint know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Submits.
    Post,
}

/// A request. Its header values may be secrets, so it has no `Debug`.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute address.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(&'static str, SecretString)>,
    /// The body; empty for `Get`.
    pub body: Bytes,
    /// The longest that the whole exchange may take.
    pub timeout: Duration,
}

/// What came back, whatever its status. It may quote a child's values or a secret: its
/// `Debug` shows neither headers' values nor the body.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header names (lower case) and values, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, read up to the transport's limit.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of that name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("headers", &names)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The host's name could not be resolved.
    Dns,
    /// The connection could not be made.
    Connect,
    /// The certificate was refused, or no common protocol was found.
    Tls,
    /// There was no way through the proxy: nothing was passed on to the host.
    Proxy,
    /// Time ran out.
    Timeout,
    /// The connection ended before the whole reply was there.
    Interrupted,
    /// The reply is larger than is read.
    TooMuch,
    /// Anything else.
    Other,
}

/// No reply: the kind, and the words of whoever noticed, without a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// The words, e.g. libcurl's.
    pub words: String,
    /// What to tell a person, where no later try will meet anything else: the proxy's
    /// refusals, of which nobody else knows enough.
    pub last_word: Option<Message>,
}

impl Fault {
    /// A fault that a later try may not meet, as far as the transport can tell.
    pub fn new(kind: FaultKind, words: impl Into<String>) -> Self {
        Fault {
            kind,
            words: words.into(),
            last_word: None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Fault {}

/// Carries out one exchange. Never follows a redirect, never retries.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends the request and waits for the whole reply.
    async fn send(&self, request: Request) -> Result<Reply, Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_shown_without_what_it_may_quote() {
        let reply = Reply {
            status: 400,
            headers: vec![("location".into(), "quoted".into())],
            body: b"quoted".to_vec(),
        };
        assert_eq!(
            format!("{reply:?}"),
            r#"Reply { status: 400, headers: ["location"], bytes: 6 }"#
        );
    }
}
