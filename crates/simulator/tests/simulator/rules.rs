//! What is taken, and what is refused.

use csc_payload::meaning::meaning;
use csc_simulator::{IncomingRequest, SUPPLIER_KEY, SUPPLIER_KEY_SECONDARY, Settings};
use serde_json::{Value, json};

use crate::asking::{AGENT, Client, LA, batch, body, children_path, reply};

#[test]
fn an_accepted_batch_gets_one_receipt_per_record_in_order() {
    let client = Client::new(&[]);
    let answer = client.post(&batch(&["a", "b", "c"]));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let receipts = body(&answer);
    let receipts: Vec<&str> = receipts
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| receipt.as_str().unwrap())
        .collect();
    assert_eq!(receipts.len(), 3);
    for (receipt, child) in receipts.iter().zip(["a", "b", "c"]) {
        assert!(
            receipt.starts_with("2026-03-29_01:02:03.07_") && receipt.ends_with(".json"),
            "{receipt}"
        );
        assert_eq!(
            client.simulator.receipt(LA, child).as_deref(),
            Some(*receipt)
        );
    }
}

#[test]
fn without_the_right_header_a_submission_is_not_taken() {
    let bearer_basic = "Basic dXNlcjpwYXNz";
    for (name, value, status) in [
        ("Authorization", None, 401),
        ("Authorization", Some("Bearer 0123456789abcdef"), 401),
        ("Authorization", Some("Bearer "), 401),
        ("Authorization", Some(bearer_basic), 401),
        ("SupplierKey", None, 401),
        ("SupplierKey", Some("another-key"), 401),
        ("SupplierKey", Some(""), 401),
        ("SupplierKey", Some(SUPPLIER_KEY_SECONDARY), 200),
        ("Content-Type", None, 415),
        ("Content-Type", Some("text/plain"), 415),
        (
            "Content-Type",
            Some("application/json; charset=utf-16"),
            415,
        ),
        ("Content-Type", Some("application/json; charset=UTF-8"), 200),
        ("Accept", None, 200),
        ("Accept", Some("*/*"), 200),
        ("Accept", Some("text/html, application/json;q=0.9"), 200),
        ("Accept", Some("text/html"), 406),
        ("User-Agent", None, 403),
        ("User-Agent", Some(" "), 403),
        ("User-Agent", Some("curl/8.14.1"), 403),
        ("User-Agent", Some("python-requests/2.32.3"), 403),
        ("User-Agent", Some("Python-urllib/3.12"), 403),
        ("User-Agent", Some("Go-http-client/1.1"), 403),
        ("User-Agent", Some("an-authoritys-agent"), 200),
    ] {
        let client = Client::new(&[]);
        let answer = client.post_with(name, value);
        assert_eq!(answer.status, status, "{name}: {value:?}");
        let taken = u64::from(status == 200);
        assert_eq!(client.simulator.counts().accepted_records, taken);
        assert_eq!(client.simulator.records(LA).len() as u64, taken);
    }
}

#[test]
fn a_wrong_key_and_a_wrong_token_say_which_of_the_two_is_wrong() {
    let client = Client::new(&[]);
    let message = |name, value| {
        let answer = client.post_with(name, value);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        body(&answer)["message"].as_str().unwrap().to_owned()
    };
    assert!(message("SupplierKey", None).contains("missing subscription key"));
    assert!(message("SupplierKey", Some("x")).contains("invalid subscription key"));
    assert!(message("Authorization", None).contains("Access token"));
}

#[test]
fn a_simulator_without_a_secondary_key_takes_the_primary_alone() {
    let client = Client::with(Settings {
        supplier_key_secondary: None,
        ..Settings::default()
    });
    let status = |key| client.post_with("SupplierKey", Some(key)).status;
    assert_eq!(status(SUPPLIER_KEY), 200);
    assert_eq!(status(SUPPLIER_KEY_SECONDARY), 401);
}

#[test]
fn an_address_must_be_right_to_the_letter() {
    let client = Client::new(&[]);
    for (method, path, status) in [
        ("POST", children_path(LA), 200),
        (
            "POST",
            "/children_social_care_data/001/children".into(),
            200,
        ),
        (
            "POST",
            "/any/base/children_social_care_data/845/children".into(),
            200,
        ),
        ("POST", children_path("84"), 404),
        ("POST", children_path("8450"), 404),
        ("POST", children_path("84a"), 404),
        ("POST", children_path("٨٤٥"), 404),
        ("POST", children_path(""), 404),
        ("POST", format!("{}/", children_path(LA)), 404),
        ("POST", format!("/{}", children_path(LA)), 404),
        (
            "POST",
            "/base//children_social_care_data/845/children".into(),
            404,
        ),
        (
            "POST",
            "/base/children_social_care_data/children".into(),
            404,
        ),
        ("POST", "/".into(), 404),
        ("POST", "".into(), 404),
        ("GET", children_path(LA), 405),
        ("PUT", children_path(LA), 405),
        ("GET", "/t/oauth2/v2.0/token".into(), 405),
        ("POST", "/oauth2/v2.0/token".into(), 404),
        ("POST", "/state".into(), 405),
        ("GET", "/base/state".into(), 404),
    ] {
        let request = IncomingRequest {
            method: method.to_owned(),
            path: path.clone(),
            ..client.request(&batch(&["c-1"]))
        };
        let answer = reply(client.simulator.answer(request));
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), status == 405);
    }
}

#[test]
fn another_authority_is_not_allowed_where_one_is_set() {
    let client = Client::with(Settings {
        la_code: Some(LA.to_owned()),
        ..Settings::default()
    });
    let mut request = client.request(&batch(&["c-1"]));
    request.path = children_path("846");
    assert_eq!(reply(client.simulator.answer(request)).status, 403);
    assert_eq!(client.post(&batch(&["c-1"])).status, 200);
}

#[test]
fn a_refusal_names_every_failing_record_and_takes_none() {
    let client = Client::new(&[]);
    let answer = client.post(&json!([{"la_child_id": "a"}, {}, {"la_child_id": 7}]));
    assert_eq!(answer.status, 400);
    let expected = json!({"detail": [
        {"type": "missing", "loc": ["body", 1, "la_child_id"], "msg": "Field required"},
        {"type": "string_type", "loc": ["body", 2, "la_child_id"],
         "msg": "Input should be a valid string"},
    ]});
    assert_eq!(body(&answer), expected);
    assert!(client.simulator.records(LA).is_empty());
    assert_eq!(client.simulator.counts().refused_batches, 1);
}

#[test]
fn a_body_that_is_no_batch_is_refused_without_an_index() {
    let client = Client::new(&[]);
    let ids: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let too_many: Vec<&str> = ids.iter().map(String::as_str).collect();
    for sent in [
        batch(&["a"]).to_string().replacen('[', "\u{feff}[", 1),
        batch(&["a"])[0].to_string(),
        "[]".to_owned(),
        "[{\"la_child_id\": \"a\"".to_owned(),
        batch(&too_many).to_string(),
    ] {
        let mut request = client.request(&Value::Null);
        request.body = sent.into();
        let answer = reply(client.simulator.answer(request));
        assert_eq!(answer.status, 400);
        assert_eq!(body(&answer)["detail"][0]["loc"], json!(["body"]));
    }
    assert_eq!(client.post(&batch(&too_many[..100])).status, 200);
}

#[test]
fn a_body_above_the_limit_is_too_large() {
    let client = Client::new(&[]);
    for (excess, status) in [(0, 200), (1, 413)] {
        let mut text = batch(&["a"]).to_string();
        text += &" ".repeat(IncomingRequest::BODY_LIMIT + excess - text.len());
        let mut request = client.request(&Value::Null);
        request.body = text.into();
        assert_eq!(reply(client.simulator.answer(request)).status, status);
    }
    assert_eq!(client.simulator.counts().refused_batches, 1);
}

#[test]
fn records_are_kept_per_child_with_deltas_applied_and_purges_removed() {
    let client = Client::new(&[]);
    let full = json!({"la_child_id": "a", "child_details": {"first_name": "Zoë", "sex": "F"},
        "social_care_episodes": [
            {"social_care_episode_id": "e1", "referral_date": "2025-01-01"},
            {"social_care_episode_id": "e2", "closure_date": "2025-06-01"}]});
    let delta = json!({"la_child_id": "a", "child_details": {"first_name": "Zoë", "sex": null},
        "social_care_episodes": [
            {"social_care_episode_id": "e1", "purge": true},
            {"social_care_episode_id": "e3", "purge": false}]});
    let merged = json!({"la_child_id": "a", "child_details": {"first_name": "Zoë"},
        "social_care_episodes": [
            {"social_care_episode_id": "e2", "closure_date": "2025-06-01"},
            {"social_care_episode_id": "e3"}]});
    assert_eq!(client.post(&json!([full])).status, 200);
    assert_eq!(client.simulator.record(LA, "a"), Some(full));
    assert_eq!(client.post(&json!([delta])).status, 200);
    let held = client.simulator.record(LA, "a").unwrap();
    assert_eq!(meaning(&held), meaning(&merged));
    let purge = json!([{"la_child_id": "a", "purge": true}]);
    for _ in 0..2 {
        assert_eq!(client.post(&purge).status, 200);
        assert_eq!(client.simulator.record(LA, "a"), None);
    }
    assert_eq!(client.simulator.arrivals(LA, "a"), 4);
    let counts = client.simulator.counts();
    assert_eq!((counts.purged, counts.children_held), (2, 0));
}

#[test]
fn one_child_twice_in_a_batch_is_taken_in_order() {
    let client = Client::new(&[]);
    let twice = json!([{"la_child_id": "a", "purge": true},
        {"la_child_id": "a", "mis_child_id": "m"}]);
    assert_eq!(client.post(&twice).status, 200);
    assert_eq!(
        client.simulator.record(LA, "a"),
        Some(json!({"la_child_id": "a", "mis_child_id": "m"}))
    );
    assert_eq!(client.simulator.arrivals(LA, "a"), 2);
}

#[test]
fn the_same_id_at_two_authorities_is_two_children() {
    let client = Client::new(&[]);
    client.post(&json!([{"la_child_id": "a", "mis_child_id": "here"}]));
    let mut request = client.request(&json!([{"la_child_id": "a", "mis_child_id": "there"}]));
    request.path = children_path("002");
    assert_eq!(reply(client.simulator.answer(request)).status, 200);
    let mis = |la| client.simulator.record(la, "a").unwrap()["mis_child_id"].clone();
    assert_eq!((mis(LA), mis("002")), (json!("here"), json!("there")));
    assert_eq!(client.simulator.counts().children_held, 2);
}

#[test]
fn text_and_numbers_are_held_as_they_came() {
    let client = Client::new(&[]);
    let sent = r#"[{"la_child_id":"a","n":[1.50,12345678901234567890123,-0.0],"t":"O'Br\u0069en 😀 \"\\ \u0000"}]"#;
    let mut request = client.request(&Value::Null);
    request.body = sent.into();
    assert_eq!(reply(client.simulator.answer(request)).status, 200);
    let held = client.simulator.record(LA, "a").unwrap();
    assert_eq!(held["n"].to_string(), "[1.50,12345678901234567890123,-0.0]");
    assert_eq!(held["t"], "O'Brien 😀 \"\\ \u{0}");
}

#[test]
fn a_simulator_that_forgets_counts_and_holds_nothing() {
    let client = Client::with(Settings {
        hold_records: false,
        ..Settings::default()
    });
    let sent = json!([{"la_child_id": "a"}, {"la_child_id": "b", "purge": true}]);
    let answer = client.post(&sent);
    assert_eq!(
        (answer.status, body(&answer).as_array().unwrap().len()),
        (200, 2)
    );
    assert_eq!(client.post(&json!([{}])).status, 400);
    let counts = client.simulator.counts();
    assert_eq!((counts.accepted_records, counts.purged), (2, 1));
    assert_eq!(counts.children_held, 0);
    assert_eq!(client.simulator.record(LA, "a"), None);
    let state = client.state();
    assert_eq!(state["holds_records"], false);
    assert_eq!(
        (&state["children"], &state["arrivals"]),
        (&json!({}), &json!({}))
    );
    assert_eq!(state["requests"][1]["user_agent"], AGENT);
}
