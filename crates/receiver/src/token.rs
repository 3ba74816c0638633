//! The OAuth token: fetched once, kept until shortly before it expires
//! (`receiver-api.md`, Token).

use std::time::{Duration, Instant};

use csc_message::Message;
use secrecy::SecretString;
use serde::Deserialize;

use crate::meaning::Trouble;

/// A token and when it must not be used any more.
pub(crate) struct Token {
    pub(crate) value: SecretString,
    pub(crate) good_until: Instant,
}

/// Why there is no token.
pub enum TokenFault {
    /// A later try may succeed; the words are the transport's or the status.
    Trouble {
        /// The kind, which decides how long to wait.
        kind: Trouble,
        /// What happened, without a secret.
        words: String,
        /// How long the endpoint asked to wait.
        retry_after: Option<Duration>,
    },
    /// No try will succeed until somebody mends something.
    Final(Message),
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    /// A number; some endpoints write it as a text.
    #[serde(default)]
    expires_in: serde_json::Value,
}

/// What is said of a refusal: Entra ID's `error` and `error_description`.
#[derive(Deserialize, Default)]
pub(crate) struct Denied {
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) error_description: String,
}

/// A token is not used in its last minute, or in the last half of a very short life.
const MARGIN: Duration = Duration::from_secs(60);
/// Where the reply does not say how long it lives.
const USUAL_LIFE: Duration = Duration::from_secs(3599);
/// No token is kept longer than this, whatever the reply says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Reads a granted token; `None` where the body holds none.
pub(crate) fn granted(body: &[u8], now: Instant) -> Option<Token> {
    use secrecy::ExposeSecret;
    let granted: Granted = serde_json::from_slice(body).ok()?;
    // It becomes a header's value: a line break in it would be a header of its own.
    let token = granted.access_token.expose_secret();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let life = seconds_of(&granted.expires_in).map_or(USUAL_LIFE, |seconds| {
        Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_LIFE.as_secs_f64()))
            .unwrap_or(USUAL_LIFE)
    });
    Some(Token {
        value: granted.access_token,
        good_until: now + (life - MARGIN.min(life / 2)),
    })
}

/// The seconds of `expires_in`.
pub(crate) fn seconds_of(expires_in: &serde_json::Value) -> Option<f64> {
    match expires_in {
        serde_json::Value::String(text) => text.trim().parse::<f64>().ok(),
        number => number.as_f64(),
    }
}

/// A text as a form carries it.
fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

/// The form fields of a client-credentials request, percent-encoded.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(body: &str) -> Option<u64> {
        let now = Instant::now();
        granted(body.as_bytes(), now).map(|token| (token.good_until - now).as_secs())
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_it_expires() {
        assert_eq!(
            life(r#"{"access_token":"t","expires_in":3599}"#),
            Some(3539)
        );
        assert_eq!(
            life(r#"{"access_token":"t","expires_in":"3599"}"#),
            Some(3539)
        );
        assert_eq!(life(r#"{"access_token":"t"}"#), Some(3539));
        assert_eq!(life(r#"{"access_token":"t","expires_in":10}"#), Some(5));
        assert_eq!(life(r#"{"access_token":"t","expires_in":0}"#), Some(0));
        assert_eq!(
            life(r#"{"access_token":"t","expires_in":18446744073709551615}"#),
            Some(86340)
        );
        for odd in ["\"soon\"", "null", "[]", "\"NaN\""] {
            let body = format!(r#"{{"access_token":"t","expires_in":{odd}}}"#);
            assert_eq!(life(&body), Some(3539), "{odd}");
        }
        for (odd, seconds) in [
            ("-1", 0),
            ("100.5", 50),
            ("\" 200 \"", 140),
            ("1e300", 86340),
        ] {
            let body = format!(r#"{{"access_token":"t","expires_in":{odd}}}"#);
            assert_eq!(life(&body), Some(seconds), "{odd}");
        }
    }

    #[test]
    fn a_reply_without_a_token_is_none() {
        for body in [
            "{}",
            "",
            "<html>",
            r#"{"access_token":""}"#,
            r#"{"access_token":7}"#,
            r#"{"access_token":"a\r\nX-Injected: b"}"#,
            r#"{"access_token":"a b"}"#,
        ] {
            assert_eq!(life(body), None, "{body}");
        }
    }

    #[test]
    fn form_fields_are_percent_encoded() {
        assert_eq!(
            form(&[("client_secret", "a+b/c=&~é"), ("scope", "x y/.default")]),
            "client_secret=a%2Bb%2Fc%3D%26~%C3%A9&scope=x%20y%2F.default"
        );
    }
}
