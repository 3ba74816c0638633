//! The token endpoint, as Microsoft Entra ID's v2 answers a client's credentials
//! (client_credentials flow), and the tokens it has issued.
//!
//! The words and numbers of its errors are those of Microsoft's published list of
//! AADSTS codes.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use crate::exchange::{Answer, IncomingRequest};
use crate::settings::Settings;

/// A refusal by the token endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    status: u16,
    error: &'static str,
    code: u32,
    words: String,
}

impl Refused {
    fn new(status: u16, error: &'static str, code: u32, words: String) -> Self {
        Refused {
            status,
            error,
            code,
            words,
        }
    }

    /// A failure that was ordered. Statuses from 500 on are the endpoint's own
    /// trouble, those below are about the client.
    pub fn ordered(status: u16) -> Self {
        if status >= 500 {
            Refused::new(
                status,
                "temporarily_unavailable",
                90033,
                "A transient error has occurred. Please try again.".to_owned(),
            )
        } else {
            Refused::new(
                status,
                "invalid_client",
                7_000_222,
                "The provided client secret keys are expired.".to_owned(),
            )
        }
    }

    /// The reply, with its ids and the time.
    pub fn answer(&self, now: Timestamp) -> Answer {
        if matches!(self.status, 204 | 304) {
            return Answer::empty(self.status);
        }
        let trace = Uuid::new_v4().to_string();
        let correlation = Uuid::new_v4().to_string();
        let time = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let Refused {
            status,
            error,
            code,
            words,
        } = self;
        let description = format!(
            "AADSTS{code}: {words} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {time}"
        );
        uncached(Answer::json(
            *status,
            &json!({
                "error": error,
                "error_description": description,
                "error_codes": [code],
                "timestamp": time,
                "trace_id": trace,
                "correlation_id": correlation,
                "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
            }),
        ))
    }
}

fn uncached(answer: Answer) -> Answer {
    answer.with("cache-control", "no-store, no-cache")
}

/// Whether the form's credentials and scope are right.
pub(crate) fn check(
    request: &IncomingRequest,
    tenant: &str,
    settings: &Settings,
) -> Result<(), Refused> {
    let is_form = request.media_type().as_deref() == Some("application/x-www-form-urlencoded");
    let fields: Vec<(String, String)> = if is_form {
        form_urlencoded::parse(&request.body).into_owned().collect()
    } else {
        Vec::new()
    };
    let field = |name: &str| {
        fields
            .iter()
            .find(|(field, value)| field == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| {
                Refused::new(
                    400,
                    "invalid_request",
                    900_144,
                    format!("The request body must contain the following parameter: '{name}'."),
                )
            })
    };
    let grant_type = field("grant_type")?;
    if grant_type != "client_credentials" {
        return Err(Refused::new(
            400,
            "unsupported_grant_type",
            70003,
            format!("The app requested an unsupported grant type '{grant_type}'."),
        ));
    }
    let client_id = field("client_id")?;
    let scope = field("scope")?;
    let secret = field("client_secret")?;
    if !scope.ends_with("/.default") || scope.contains(char::is_whitespace) {
        return Err(Refused::new(
            400,
            "invalid_scope",
            1_002_012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must \
                 have a scope value with /.default suffixed to the resource identifier \
                 (application ID URI)."
            ),
        ));
    }
    if client_id != settings.client_id {
        return Err(Refused::new(
            400,
            "unauthorized_client",
            700_016,
            format!(
                "Application with identifier '{client_id}' was not found in the directory \
                 '{tenant}'."
            ),
        ));
    }
    if secret != settings.client_secret.expose_secret() {
        return Err(Refused::new(
            401,
            "invalid_client",
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is \
                 the client secret value, not the client secret ID, for a secret added to app \
                 '{client_id}'."
            ),
        ));
    }
    Ok(())
}

/// The tokens that were issued and may still be used.
#[derive(Default)]
pub(crate) struct Tokens(VecDeque<Issued>);

struct Issued {
    token: String,
    at: Timestamp,
    lifetime: Duration,
    /// How many submissions it is still good for; `None`: as many as its time allows.
    submissions: Option<u64>,
}

impl Tokens {
    /// More are never needed at once by whoever tests against a simulator; the
    /// oldest goes.
    const KEPT: usize = 1024;

    /// Issues one, and gives the reply that carries it.
    pub fn issue(
        &mut self,
        now: Timestamp,
        lifetime: Duration,
        submissions: Option<u64>,
    ) -> Answer {
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let seconds = lifetime.as_secs();
        let answer = uncached(Answer::json(
            200,
            &json!({
                "token_type": "Bearer",
                "expires_in": seconds,
                "ext_expires_in": seconds,
                "access_token": token,
            }),
        ));
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Issued {
            token,
            at: now,
            lifetime,
            submissions,
        });
        answer
    }

    /// Whether a submission with that token is let in now. It is one of those
    /// that the token is good for.
    pub fn admit(&mut self, token: &str, now: Timestamp) -> bool {
        let Some(issued) = self.0.iter_mut().rev().find(|known| known.token == token) else {
            return false;
        };
        let age = now.duration_since(issued.at);
        let lifetime = SignedDuration::try_from(issued.lifetime).unwrap_or(SignedDuration::MAX);
        if age >= lifetime || issued.submissions == Some(0) {
            return false;
        }
        issued.submissions = issued.submissions.map(|left| left - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(answer: &Answer) -> String {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    #[test]
    fn only_the_latest_tokens_are_remembered() {
        let mut tokens = Tokens::default();
        let now = Timestamp::UNIX_EPOCH;
        let mut issue = || token(&tokens.issue(now, Duration::from_secs(60), None));
        let first = issue();
        let second = issue();
        let later: Vec<String> = (0..Tokens::KEPT - 1).map(|_| issue()).collect();
        assert!(!tokens.admit(&first, now));
        assert!(tokens.admit(&second, now));
        assert!(tokens.admit(&later[Tokens::KEPT - 2], now));
    }
}
