//! The token endpoint, and how long a token lasts.

use std::time::Duration;

use csc_simulator::{Settings, TOKEN_PATH};
use serde_json::json;

use crate::asking::{Client, batch, body, form};

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn right_credentials_get_a_random_bearer_token() {
    let mut client = Client::new(&[]);
    let first = client.fetch_token();
    assert_eq!(first.status, 200);
    assert_eq!(first.header("cache-control"), Some("no-store, no-cache"));
    let reply = body(&first);
    assert_eq!(reply["token_type"], "Bearer");
    assert_eq!(reply["expires_in"], json!(3599));
    let second = body(&client.fetch_token());
    assert_ne!(reply["access_token"], second["access_token"]);
    let again = client.ask_token("/other/tenant/oauth2/v2.0/token", FORM, &form(("", "")));
    assert_eq!(again.status, 200);
}

#[test]
fn wrong_credentials_get_the_error_that_entra_id_gives() {
    let client = Client::new(&[]);
    for (changed, status, error, code) in [
        (("client_id", ""), 400, "invalid_request", 900_144),
        (("client_secret", ""), 400, "invalid_request", 900_144),
        (("scope", ""), 400, "invalid_request", 900_144),
        (("grant_type", ""), 400, "invalid_request", 900_144),
        (
            ("grant_type", "password"),
            400,
            "unsupported_grant_type",
            70003,
        ),
        (("client_id", "nobody"), 400, "unauthorized_client", 700_016),
        (("client_secret", "guess"), 401, "invalid_client", 7_000_215),
        (("scope", "api://receiver"), 400, "invalid_scope", 1_002_012),
        (
            ("scope", "a/.default b/.default"),
            400,
            "invalid_scope",
            1_002_012,
        ),
    ] {
        let answer = client.ask_token(TOKEN_PATH, FORM, &form(changed));
        let reply = body(&answer);
        assert_eq!(answer.status, status, "{changed:?}");
        assert_eq!(reply["error"], error);
        assert_eq!(reply["error_codes"], json!([code]));
        let description = reply["error_description"].as_str().unwrap();
        assert!(
            description.starts_with(&format!("AADSTS{code}: ")),
            "{description}"
        );
        assert!(!description.contains("guess"), "{description}");
        assert!(description.ends_with("Timestamp: 2026-03-29 01:02:03Z"));
        assert!(reply.get("access_token").is_none());
    }
    assert_eq!(client.simulator.counts().tokens, 1);
}

#[test]
fn a_token_request_that_is_no_form_lacks_its_parameters() {
    let client = Client::new(&[]);
    for content_type in ["application/json", ""] {
        let answer = client.ask_token(TOKEN_PATH, content_type, &form(("", "")));
        assert_eq!(body(&answer)["error"], "invalid_request");
    }
}

#[test]
fn a_token_lasts_as_long_as_it_says() {
    let mut client = Client::with(Settings {
        token_lifetime: Duration::from_secs(60),
        ..Settings::default()
    });
    client.wait(59);
    assert_eq!(client.post(&batch(&["a"])).status, 200);
    client.wait(1);
    assert_eq!(client.post(&batch(&["a"])).status, 401);
    client.fetch_token();
    assert_eq!(client.post(&batch(&["a"])).status, 200);
    client.wait(-86_400);
    assert_eq!(client.post(&batch(&["a"])).status, 200);
}

#[test]
fn an_ordered_expiry_ends_a_token_after_so_many_submissions_or_seconds() {
    let mut client = Client::new(&["expire-tokens=2,times=1,after=1", "expire-tokens=5s"]);
    // The first token is the second order's: the first lets one pass.
    assert_eq!(client.statuses(3), [200, 200, 200]);
    client.wait(5);
    assert_eq!(client.statuses(1), [401]);
    let second = body(&client.fetch_token());
    assert_eq!(second["expires_in"], json!(3599));
    assert_eq!(client.statuses(4), [200, 200, 401, 401]);
    let third = body(&client.fetch_token());
    assert_eq!(third["expires_in"], json!(5));
    assert_eq!(client.statuses(3), [200, 200, 200]);
}

#[test]
fn a_token_that_ends_at_once_lets_nothing_in() {
    for fault in ["expire-tokens=0", "expire-tokens=0s"] {
        assert_eq!(Client::new(&[fault]).statuses(1), [401], "{fault}");
    }
}

#[test]
fn the_token_endpoint_fails_with_the_status_ordered() {
    for (status, error) in [
        (400, "invalid_client"),
        (401, "invalid_client"),
        (500, "temporarily_unavailable"),
        (503, "temporarily_unavailable"),
    ] {
        let mut client = Client::new(&[&format!("token-status={status},after=1,times=2")]);
        for expected in [status, status, 200] {
            let answer = client.fetch_token();
            assert_eq!(answer.status, expected);
            let reply = body(&answer);
            assert_eq!(reply["access_token"].is_string(), expected == 200);
            if expected != 200 {
                assert_eq!(reply["error"], error);
            }
        }
    }
    let mut silent = Client::new(&["token-status=204"]);
    let answer = silent.ask_token(TOKEN_PATH, FORM, &form(("", "")));
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    silent.simulator.withdraw_orders();
    assert_eq!(silent.fetch_token().status, 200);
}
