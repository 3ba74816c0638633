//! What `/state` shows.

use csc_simulator::{CLIENT_SECRET, SUPPLIER_KEY, SUPPLIER_KEY_SECONDARY, Settings};
use serde_json::json;

use crate::asking::{AGENT, Client, LA, batch, reply};

#[test]
fn the_state_shows_children_arrivals_counts_and_requests() {
    let client = Client::new(&[]);
    client.post(&json!([{"la_child_id": "a", "n": 1.50}, {"la_child_id": "b"}]));
    client.post(&json!([{"la_child_id": "b", "purge": true}]));
    client.post(&json!([{}]));
    client.post_with("Authorization", None);
    let state = client.state();
    assert_eq!(
        state["children"],
        json!({LA: {"a": client.simulator.record(LA, "a").unwrap()}})
    );
    assert_eq!(state["arrivals"], json!({LA: {"a": 1, "b": 2}}));
    assert_eq!(
        state["receipts"],
        json!({LA: {"a": client.simulator.receipt(LA, "a").unwrap(),
            "b": client.simulator.receipt(LA, "b").unwrap()}})
    );
    let counts = json!({"posts": 4, "accepted_batches": 2, "accepted_records": 3, "purged": 1,
        "refused_batches": 1, "turned_away": 1, "tokens": 1, "children_held": 1});
    assert_eq!(state["counts"], counts);
    let requests = state["requests"].as_array().unwrap();
    let of = |name: &str| -> Vec<_> { requests.iter().map(|seen| seen[name].clone()).collect() };
    assert_eq!(
        of("purpose"),
        [
            "token",
            "submission",
            "submission",
            "submission",
            "submission"
        ]
    );
    assert_eq!(of("status"), [200, 200, 200, 400, 401]);
    let submission = &requests[1];
    assert_eq!(submission["at"], "2026-03-29T01:02:03.078Z");
    assert_eq!(submission["records"], 2);
    assert_eq!(submission["la_code"], LA);
    assert_eq!(submission["user_agent"], AGENT);
    assert_eq!(submission["supplier_key"], "primary");
}

#[test]
fn a_request_is_listed_with_the_id_of_its_reply_or_where_it_was_cut() {
    let client = Client::new(&["reset,times=1", "drop,times=1"]);
    client.submit(&batch(&["a"]));
    client.submit(&batch(&["a"]));
    let answer = reply(client.submit(&batch(&["a"])));
    let requests = client.state()["requests"].clone();
    assert_eq!(requests[1]["cut"], "before_accepting");
    assert_eq!(requests[2]["cut"], "after_accepting");
    assert!(requests[1]["status"].is_null() && requests[1]["request_id"].is_null());
    assert!(requests[3]["cut"].is_null());
    assert_eq!(
        requests[3]["request_id"],
        answer.header("x-request-id").unwrap()
    );
}

#[test]
fn no_secret_is_shown() {
    let client = Client::new(&[]);
    client.post_with("SupplierKey", Some(SUPPLIER_KEY_SECONDARY));
    client.post_with("SupplierKey", Some("a-wrong-key"));
    let state = client.state();
    assert_eq!(state["requests"][1]["supplier_key"], "secondary");
    assert!(state["requests"][2]["supplier_key"].is_null());
    let shown = state.to_string();
    let settings = format!("{:?}", Settings::default());
    for secret in [
        CLIENT_SECRET,
        SUPPLIER_KEY,
        SUPPLIER_KEY_SECONDARY,
        "a-wrong-key",
        &client.token,
    ] {
        assert!(!shown.contains(secret), "{secret}");
        assert!(!settings.contains(secret), "{secret}");
    }
}

#[test]
fn only_the_latest_requests_are_listed_and_only_the_beginning_of_an_agent() {
    let client = Client::with(Settings {
        requests_listed: 3,
        ..Settings::default()
    });
    for ids in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
        client.post(&batch(ids));
    }
    client.post_with("User-Agent", Some(&"ä".repeat(1000)));
    let requests = client.state()["requests"].clone();
    let records: Vec<_> = requests
        .as_array()
        .unwrap()
        .iter()
        .map(|seen| seen["records"].clone())
        .collect();
    assert_eq!(records, [2, 3, 1]);
    assert_eq!(requests[2]["user_agent"], "ä".repeat(200));
}
