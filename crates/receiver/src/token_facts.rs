//! What a token endpoint says beside the token: how long it lives, for what, and what time
//! it is there.

use std::time::{Duration, Instant};

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::client::Client;
use crate::token::{TokenFault, seconds_of};
use crate::transport::Reply;
use crate::words::folded;

/// What was said of a token. The token itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// How long the endpoint says that it lives; `None` where it does not say.
    pub lifetime: Option<Duration>,
    /// The scope that the reply names, at most 200 characters of it; Entra ID names none.
    pub scope: Option<String>,
    /// How far the endpoint's clock, by its `Date` header, is ahead of this machine's, to
    /// the second; negative where it is behind, `None` where it tells no time.
    pub clock_ahead: Option<SignedDuration>,
    /// From the request to the end of the reply.
    pub took: Duration,
}

#[derive(Deserialize, Default)]
struct Said {
    #[serde(default)]
    expires_in: serde_json::Value,
    #[serde(default)]
    scope: serde_json::Value,
}

impl Client {
    /// Asks for a token, which is kept for the posts to come, and tells what was said of it.
    pub async fn examine_token(&self) -> Result<TokenFacts, TokenFault> {
        let (asked, begun) = (Timestamp::now(), Instant::now());
        let (token, reply) = self.fetch_token().await?;
        let took = begun.elapsed();
        self.keep(token);
        let said: Said = serde_json::from_slice(&reply.body).unwrap_or_default();
        Ok(TokenFacts {
            lifetime: seconds_of(&said.expires_in)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            scope: said
                .scope
                .as_str()
                .map(|scope| folded(&self.scrubbed(scope), 200)),
            clock_ahead: clock_ahead(&reply, asked, took),
            took,
        })
    }
}

/// The reply was made somewhere between the request and its own arrival, and `Date` has
/// whole seconds.
fn clock_ahead(reply: &Reply, asked: Timestamp, took: Duration) -> Option<SignedDuration> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    let there = PARSER.parse_timestamp(reply.header("date")?.trim()).ok()?;
    let took = SignedDuration::try_from(took).ok()?;
    let (earliest, latest) = (asked.as_second(), asked.checked_add(took).ok()?.as_second());
    let there = there.as_second();
    let seconds = if there < earliest {
        there - earliest
    } else if there > latest {
        there - latest
    } else {
        0
    };
    Some(SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_only_where_the_replys_own_time_does_not_explain_it() {
        let asked: Timestamp = "2026-11-24T07:28:00.9Z".parse().unwrap();
        for (date, seconds) in [
            ("Tue, 24 Nov 2026 07:28:00 GMT", Some(0)),
            ("Tue, 24 Nov 2026 07:28:03 GMT", Some(0)),
            ("Tue, 24 Nov 2026 07:28:05 GMT", Some(2)),
            ("Tue, 24 Nov 2026 07:18:00 GMT", Some(-600)),
            ("yesterday", None),
        ] {
            let reply = Reply {
                headers: vec![("date".to_string(), date.to_string())],
                ..Reply::default()
            };
            assert_eq!(
                clock_ahead(&reply, asked, Duration::from_millis(2500)),
                seconds.map(SignedDuration::from_secs),
                "{date}"
            );
        }
        assert_eq!(clock_ahead(&Reply::default(), asked, Duration::ZERO), None);
    }
}
