//! What each fault does, and what it leaves behind.

use std::time::Duration;

use csc_simulator::{Action, SUPPLIER_KEY_SECONDARY};
use serde_json::{Value, json};

use crate::asking::{Client, LA, batch, body, cut, reply, text};

/// Whether the child of the only submission was taken.
fn taken(client: &Client) -> bool {
    let held = client.simulator.record(LA, "c-1").is_some();
    let counts = client.simulator.counts();
    assert_eq!(counts.posts, 1);
    assert_eq!(
        (counts.accepted_batches, counts.accepted_records),
        (u64::from(held), u64::from(held))
    );
    assert_eq!(
        counts.refused_batches + counts.turned_away,
        u64::from(!held)
    );
    held
}

#[test]
fn a_fault_in_front_of_the_receiver_answers_in_its_place() {
    for (fault, status, header) in [
        ("status=500", 500, None),
        ("status=200", 200, None),
        ("status=204", 204, None),
        ("status=304", 304, None),
        ("status=503,retry-after=7", 503, Some(("retry-after", "7"))),
        ("status=407", 407, Some(("proxy-authenticate", "NTLM"))),
        ("429", 429, None),
        ("429=30", 429, Some(("retry-after", "30"))),
        (
            "429=http-date:30",
            429,
            // 01:02:03.078 and 30 s, in whole seconds and not too early.
            Some(("retry-after", "Sun, 29 Mar 2026 01:02:34 GMT")),
        ),
        ("forbid", 403, Some(("content-type", "text/html"))),
        ("html", 200, Some(("content-type", "text/html"))),
        ("no-content", 204, None),
        (
            "redirect",
            302,
            Some(("location", "https://elsewhere.invalid/login")),
        ),
        (
            "redirect=http://127.0.0.1:9/x",
            302,
            Some(("location", "http://127.0.0.1:9/x")),
        ),
        ("max-bytes=10", 413, None),
    ] {
        let client = Client::new(&[fault]);
        let answer = client.post(&batch(&["c-1"]));
        assert_eq!(answer.status, status, "{fault}");
        if let Some((name, value)) = header {
            assert_eq!(answer.header(name), Some(value), "{fault}");
        } else {
            assert_eq!(answer.header("retry-after"), None, "{fault}");
        }
        assert_eq!(
            answer.body.is_empty(),
            [204, 304].contains(&status),
            "{fault}"
        );
        assert!(!taken(&client), "{fault}");
    }
}

#[test]
fn a_size_limit_lets_smaller_bodies_pass() {
    let one = batch(&["c-1"]);
    let limit = one.to_string().len();
    let client = Client::new(&[&format!("max-bytes={limit},every=2")]);
    // Bodies within the limit are no occasion: the second larger one is struck.
    for (sent, status) in [
        (&one, 200),
        (&batch(&["c-1", "c-2"]), 200),
        (&one, 200),
        (&batch(&["c-1", "c-2"]), 413),
    ] {
        assert_eq!(client.post(sent).status, status);
    }
    assert_eq!(client.simulator.counts().refused_batches, 1);
}

#[test]
fn a_reset_takes_nothing_and_a_drop_takes_all() {
    let client = Client::new(&["reset"]);
    assert_eq!(client.submit(&batch(&["c-1"])), cut(false));
    assert!(!taken(&client));
    let client = Client::new(&["drop"]);
    assert_eq!(client.submit(&batch(&["c-1"])), cut(true));
    assert!(taken(&client));
}

#[test]
fn a_batch_that_is_refused_anyway_is_no_occasion_for_a_drop() {
    let client = Client::new(&["drop,times=1"]);
    assert_eq!(client.post(&json!([{}])).status, 400);
    assert_eq!(client.statuses(2), [0, 200]);
}

#[test]
fn a_slow_reply_comes_late_whatever_it_is() {
    let late = Duration::from_millis(250);
    let client = Client::new(&["slow=250,times=1"]);
    assert_eq!(client.post(&batch(&["c-1"])).delay, late);
    assert_eq!(client.post(&batch(&["c-1"])).delay, Duration::ZERO);
    let client = Client::new(&["slow=250", "status=503"]);
    let answer = client.post(&batch(&["c-1"]));
    assert_eq!((answer.status, answer.delay), (503, late));
    let client = Client::new(&["slow=250", "drop"]);
    assert_eq!(
        client.submit(&batch(&["c-1"])),
        Action::DropConnection {
            after_accepting: true,
            delay: late
        }
    );
}

#[test]
fn a_refused_child_is_named_by_the_index_that_comes_first() {
    let sent = json!([{"la_child_id": "a"}, {"la_child_id": "b"},
        {"la_child_id": "c-1", "child_details": {"surname": "Quoted"}}]);
    let client = Client::new(&["refuse=c-1"]);
    let answer = client.post(&sent);
    assert_eq!(answer.status, 400);
    let detail = body(&answer)["detail"].clone();
    assert_eq!(detail[0]["loc"], json!(["body", 2, "child_details", "sex"]));
    assert_eq!(detail[0]["input"], json!({"surname": "Quoted"}));
    assert_eq!(
        detail[1]["loc"],
        json!(["body", 2, "social_care_episodes", 0, "closure_date"])
    );
    assert!(!taken(&client));
    assert_eq!(client.post(&batch(&["a", "b"])).status, 200);
    assert_eq!(client.post(&batch(&["c-1"])).status, 400);

    let client = Client::new(&["refuse=c-1", "detail=text"]);
    let answer = client.post(&sent);
    let lines: Vec<&str> = text(&answer).lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("body[2].child_details.sex: "));
    assert!(lines[0].ends_with(r#"[input: {"surname":"Quoted"}]"#));
    assert!(lines[1].starts_with("[2].social_care_episodes[0].closure_date: "));
}

#[test]
fn a_child_refused_without_its_index_is_not_to_be_found_in_the_words() {
    for fault in ["refuse-unnamed=c-1", "refuse-all"] {
        for form in ["json", "text"] {
            let client = Client::new(&[fault, &format!("detail={form}")]);
            let answer = client.post(&batch(&["a", "c-1"]));
            assert_eq!(answer.status, 400);
            let words = text(&answer);
            assert!(!words.contains(['[', '0', '1']), "{words}");
            assert!(!taken(&client));
        }
    }
    let others = Client::new(&["refuse-unnamed=c-2"]);
    assert_eq!(others.post(&batch(&["c-1"])).status, 200);
}

#[test]
fn a_child_refused_with_nonsense_names_indices_beyond_the_batch() {
    let client = Client::new(&["refuse-nonsense=c-1"]);
    let answer = client.post(&batch(&["a", "c-1"]));
    assert_eq!(answer.status, 400);
    let detail = body(&answer)["detail"].clone();
    let indices: Vec<u64> = detail
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["loc"][1].as_u64().unwrap())
        .collect();
    assert_eq!(indices, [2, 102, 4_294_967_296]);
    assert!(!taken(&client));
}

#[test]
fn the_detail_of_a_malformed_batch_takes_the_form_ordered() {
    let client = Client::new(&["detail=text,every=2"]);
    let sent = json!([{"la_child_id": "a"}, {}]);
    assert!(body(&client.post(&sent))["detail"].is_array());
    assert_eq!(
        text(&client.post(&sent)),
        "body[1].la_child_id: Field required"
    );
}

#[test]
fn receipts_come_in_the_form_ordered_and_one_too_few() {
    let three = batch(&["a", "b", "c"]);
    let client = Client::new(&["receipts=text"]);
    let answer = client.post(&three);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let receipts: Vec<&str> = text(&answer).split_whitespace().collect();
    assert_eq!(receipts.len(), 3);
    assert_eq!(
        client.simulator.receipt(LA, "c").as_deref(),
        Some(receipts[2])
    );

    let client = Client::new(&["receipts-short,times=1", "receipts=text,after=1"]);
    assert_eq!(body(&client.post(&three)).as_array().unwrap().len(), 2);
    assert_eq!(text(&client.post(&three)).split_whitespace().count(), 3);
    assert_eq!(client.simulator.counts().accepted_records, 6);
}

#[test]
fn a_garbled_reply_is_no_text_and_the_batch_is_taken() {
    let client = Client::new(&["garbage"]);
    let answer = client.post(&batch(&["c-1"]));
    assert_eq!(answer.status, 200);
    assert!(std::str::from_utf8(&answer.body).is_err());
    assert!(taken(&client));
}

#[test]
fn a_revoked_primary_key_leaves_the_secondary() {
    let client = Client::new(&["revoke-primary-key,after=2"]);
    assert_eq!(client.statuses(4), [200, 200, 401, 401]);
    let secondary = client.post_with("SupplierKey", Some(SUPPLIER_KEY_SECONDARY));
    assert_eq!(secondary.status, 200);
    let said = client.post(&batch(&["a"]));
    let said: Value = body(&said);
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .contains("invalid subscription key")
    );
}

#[test]
fn every_times_and_after_choose_the_submissions() {
    for (faults, statuses) in [
        (&["status=503,every=3"][..], [200, 200, 503, 200, 200, 503]),
        (&["status=503,times=2"], [503, 503, 200, 200, 200, 200]),
        (&["status=503,after=4"], [200, 200, 200, 200, 503, 503]),
        (&["drop,every=2,times=1"], [200, 0, 200, 200, 200, 200]),
        // The second order counts what the first let pass.
        (
            &["status=503,every=2", "status=500,every=2"],
            [200, 503, 500, 503, 200, 503],
        ),
        // The gateway comes first, in whatever order they were given.
        (
            &["refuse=c-1", "reset,times=1"],
            [0, 400, 400, 400, 400, 400],
        ),
    ] {
        assert_eq!(Client::new(faults).statuses(6), statuses, "{faults:?}");
    }
}

#[test]
fn orders_can_be_given_and_withdrawn_while_it_runs() {
    let client = Client::new(&["status=503"]);
    client.simulator.withdraw_orders();
    assert_eq!(client.statuses(1), [200]);
    client
        .simulator
        .order("status=500,times=1".parse().unwrap());
    assert_eq!(client.statuses(2), [500, 200]);
    client.simulator.order("drop".parse().unwrap());
    let action = client.submit(&batch(&["a"]));
    assert_eq!(action, cut(true));
}

#[test]
fn faults_of_submissions_leave_the_token_endpoint_and_the_state_alone() {
    let mut client = Client::new(&["status=503", "reset", "slow=1000"]);
    let answer = client.fetch_token();
    assert_eq!((answer.status, answer.delay), (200, Duration::ZERO));
    assert_eq!(client.state()["counts"]["tokens"], 2);
    assert_eq!(reply(client.submit(&batch(&["a"]))).status, 503);
}
