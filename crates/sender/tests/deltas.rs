//! What goes for a row by what is known of what the receiver holds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    missing_docs
)]

mod place;

use csc_message::Exit;
use csc_payload::meaning;
use csc_sender_run::{Event, Mode, Payloads, Stop, Watch};
use serde_json::{Value, json};

use place::{Bench, Told};

/// One child in the table, in deltas mode.
async fn bench(faults: &[&str]) -> Bench {
    let mut bench = Bench::new(1, faults).await;
    bench.options.payloads = Payloads::Deltas;
    bench
}

/// A record with so much in it: a sex, and an episode per letter.
fn record(sex: Option<&str>, episodes: &str) -> Value {
    let mut child =
        json!({"la_child_id": "C1", "mis_child_id": "M1", "child_details": {"ethnicity": "WBRI"}});
    if let Some(sex) = sex {
        child["child_details"]["sex"] = sex.into();
    }
    let episodes: Vec<Value> = episodes
        .chars()
        .map(|id| json!({"social_care_episode_id": id.to_string(), "referral_date": "2026-01-01"}))
        .collect();
    if !episodes.is_empty() {
        child["social_care_episodes"] = episodes.into();
    }
    child
}

/// Stages as the pilot's SQL does: the last staged payload becomes the previous one.
fn stage(bench: &Bench, record: &Value) {
    bench.execute(&format!(
        "UPDATE {{t}} SET previous_json_payload = json_payload, json_payload = '{record}',
                          submission_status = 'Pending', row_state = 'Updated'"
    ));
}

/// The bodies that went, by what the simulator holds: it must mean the record.
fn holds(bench: &Bench, record: &Value) {
    let held = bench
        .simulator
        .record("201", "C1")
        .expect("the child is held");
    assert_eq!(meaning(&held), meaning(record));
}

/// What the next run would send for the only row, as `deltas prepare` writes it.
async fn would_send(bench: &Bench) -> Value {
    bench.a_run().await.prepare_deltas().await.unwrap();
    let text: Option<String> = bench
        .sql()
        .query_row(
            "SELECT partial_json_payload FROM ssd_api_data_staging_anon",
            [],
            |row| row.get(0),
        )
        .unwrap();
    text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn a_new_row_goes_whole_and_its_changes_as_deltas() {
    let bench = bench(&[]).await;
    let first = record(Some("M"), "ab");
    stage(&bench, &first);
    assert_eq!(would_send(&bench).await, first);
    assert_eq!(bench.run().await.accepted, 1);
    let second = record(None, "bc");
    stage(&bench, &second);
    let delta = would_send(&bench).await;
    assert_eq!(
        delta["social_care_episodes"],
        json!([
            {"social_care_episode_id": "a", "purge": true},
            {"social_care_episode_id": "c", "referral_date": "2026-01-01", "purge": false}
        ]),
        "{delta}"
    );
    assert_eq!(
        delta["child_details"],
        json!({"ethnicity": "WBRI", "sex": null})
    );
    assert_eq!(delta["mis_child_id"], "M1");
    assert_eq!(bench.run().await.accepted, 1);
    holds(&bench, &second);
}

#[tokio::test]
async fn a_baseline_that_was_staged_and_never_sent_is_not_trusted() {
    let bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "abc"));
    assert_eq!(bench.run().await.accepted, 1);
    // Two changes before the next run: the first is never sent, and becomes `previous`.
    stage(&bench, &record(Some("F"), "ab"));
    let last = record(None, "b");
    stage(&bench, &last);
    let sent = would_send(&bench).await;
    assert_eq!(
        sent["social_care_episodes"][0]["referral_date"], "2026-01-01",
        "whole: {sent}"
    );
    assert_eq!(bench.run().await.accepted, 1);
    holds(&bench, &last);
}

#[tokio::test]
async fn a_row_that_means_what_was_acknowledged_is_marked_without_a_post() {
    let bench = bench(&[]).await;
    let first = record(Some("M"), "ab");
    stage(&bench, &first);
    assert_eq!(bench.run().await.posts, 1);
    let receipt = bench.response(1);
    // The same meaning in another spelling.
    stage(
        &bench,
        &json!({"child_details": {"sex": "M", "ethnicity": "WBRI", "postcode": null},
        "social_care_episodes": [
            {"referral_date": "2026-01-01", "social_care_episode_id": "b"},
            {"social_care_episode_id": "a", "referral_date": "2026-01-01", "purge": false}],
        "mis_child_id": "M1", "la_child_id": "C1"}),
    );
    assert_eq!(would_send(&bench).await, Value::Null);
    let report = bench.run().await;
    assert_eq!(
        (report.unchanged, report.posts, report.exit()),
        (1, 0, Exit::Done)
    );
    assert_eq!(bench.response(1), receipt);
    assert_eq!(bench.statuses(), place::counts(&[("sent", 1)]));
    assert_eq!(bench.simulator.arrivals("201", "C1"), 1);
}

#[tokio::test]
async fn a_lost_ledger_costs_one_full_send_and_says_what_may_remain() {
    let bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "ab"));
    assert_eq!(bench.run().await.accepted, 1);
    std::fs::remove_dir_all(bench.folder.path().join("state")).unwrap();
    let second = record(Some("M"), "b");
    stage(&bench, &second);
    assert_eq!(
        would_send(&bench).await,
        second,
        "the full record, and no wrong delta"
    );
    let report = bench.run().await;
    assert_eq!((report.accepted, report.may_leave_remains.count), (1, 1));
    let held = bench.simulator.record("201", "C1").unwrap();
    assert_eq!(
        held["social_care_episodes"].as_array().unwrap().len(),
        2,
        "as was said"
    );
    let third = record(Some("F"), "b");
    stage(&bench, &third);
    assert!(
        would_send(&bench)
            .await
            .get("social_care_episodes")
            .is_none(),
        "deltas go on from there"
    );
}

#[tokio::test]
async fn a_resync_purges_first_and_leaves_nothing_behind() {
    let mut bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "ab"));
    assert_eq!(bench.run().await.accepted, 1);
    std::fs::remove_dir_all(bench.folder.path().join("state")).unwrap();
    let second = record(Some("M"), "b");
    stage(&bench, &second);
    bench.options.resync = true;
    let report = bench.run().await;
    assert_eq!((report.accepted, report.resynced, report.posts), (1, 1, 2));
    assert_eq!(report.may_leave_remains.count, 0);
    holds(&bench, &second);
}

#[tokio::test]
async fn a_resync_comes_in_time_after_the_run_that_advised_it() {
    let mut bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "ab"));
    assert_eq!(bench.run().await.accepted, 1);
    std::fs::remove_dir_all(bench.folder.path().join("state")).unwrap();
    let second = record(Some("M"), "b");
    stage(&bench, &second);
    let found = bench.a_run().await.preview().await.unwrap();
    assert_eq!(found.may_leave_remains.examples, [1], "a dry run warns");
    assert_eq!(bench.run().await.may_leave_remains.count, 1);
    assert_eq!(bench.statuses(), place::counts(&[("sent", 1)]));
    bench.options.resync = true;
    let report = bench.run().await;
    assert_eq!((report.resynced, report.accepted, report.left()), (1, 1, 0));
    holds(&bench, &second);
    let again = bench.run().await;
    assert_eq!((again.resynced, again.posts), (0, 0), "once is enough");
}

#[tokio::test]
async fn a_resync_of_two_rows_of_one_la_child_id_purges_once_and_posts_nothing_empty() {
    for batch_size in [1, 10] {
        let mut bench = bench(&[]).await;
        stage(&bench, &record(Some("M"), "ab"));
        assert_eq!(bench.run().await.accepted, 1);
        std::fs::remove_dir_all(bench.folder.path().join("state")).unwrap();
        stage(&bench, &record(Some("M"), "b"));
        let other = record(Some("F"), "d");
        bench.execute(&format!(
            "INSERT INTO {{t}} (person_id, json_payload, api_response)
             VALUES ('another', '{other}', '6f9619ff-8b86-d011-b42d-00c04fc964ff')"
        ));
        bench.options.resync = true;
        bench.options.batch_size = batch_size;
        let report = bench.run().await;
        assert_eq!((report.accepted, report.resynced), (2, 1), "{report:?}");
        let counts = bench.simulator.counts();
        assert_eq!(
            (counts.purged, counts.refused_batches),
            (1, 0),
            "{counts:?}"
        );
        assert_eq!(counts.posts, 4, "one before the resync: {counts:?}");
    }
}

#[tokio::test]
async fn what_somebody_else_sent_in_between_makes_the_baseline_unknown() {
    let bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "ab"));
    assert_eq!(bench.run().await.accepted, 1);
    let second = record(Some("F"), "b");
    stage(&bench, &second);
    bench.execute("UPDATE {t} SET api_response = '6f9619ff-8b86-d011-b42d-00c04fc964ff'");
    let sent = would_send(&bench).await;
    assert_eq!(
        sent["child_details"],
        json!({"ethnicity": "WBRI", "sex": "F"})
    );
    let report = bench.run().await;
    assert_eq!(report.may_leave_remains.count, 1);
    holds(&bench, &second);
}

#[tokio::test]
async fn after_a_lost_reply_both_versions_count_until_one_is_acknowledged() {
    let bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "ab"));
    assert_eq!(bench.run().await.accepted, 1);
    // The second version arrives, and its reply is lost until the retries are spent.
    bench.simulator.order("drop".parse().unwrap());
    stage(&bench, &record(Some("M"), "bc"));
    assert_eq!(bench.run().await.exit(), Exit::Receiver);
    bench.simulator.withdraw_orders();
    let third = record(Some("M"), "d");
    stage(&bench, &third);
    let sent = would_send(&bench).await;
    for gone in ["a", "b", "c"] {
        let stub = json!({"social_care_episode_id": gone, "purge": true});
        assert!(
            sent["social_care_episodes"]
                .as_array()
                .unwrap()
                .contains(&stub),
            "{gone}: {sent}"
        );
    }
    assert_eq!(bench.run().await.accepted, 1);
    holds(&bench, &third);
}

#[tokio::test]
async fn a_refused_delta_is_followed_by_the_full_record_and_that_by_the_plain_one() {
    let bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "ab"));
    assert_eq!(bench.run().await.accepted, 1);
    bench.simulator.order("refuse=C1,times=2".parse().unwrap());
    stage(&bench, &record(Some("M"), "b"));
    let report = bench.run().await;
    assert_eq!((report.posts, report.fell_back, report.accepted), (3, 2, 1));
    assert_eq!(report.exit(), Exit::Done);
    // The plain record has left episode a behind; the ledger has not forgotten it.
    let next = record(Some("F"), "b");
    stage(&bench, &next);
    bench.execute("UPDATE {t} SET previous_json_payload = NULL");
    assert_eq!(bench.run().await.accepted, 1);
    holds(&bench, &next);
    bench.simulator.order("refuse=C1".parse().unwrap());
    stage(&bench, &record(Some("M"), "b"));
    let report = bench.run().await;
    assert_eq!(report.exit(), Exit::Refused, "at last the row is refused");
    assert_eq!(bench.statuses(), place::counts(&[("error", 1)]));
}

#[tokio::test]
async fn full_records_carry_the_same_stubs_unless_they_are_switched_off() {
    for exact in [true, false] {
        let mut bench = bench(&[]).await;
        bench.options.payloads = Payloads::Full { exact };
        stage(&bench, &record(Some("M"), "ab"));
        assert_eq!(bench.run().await.accepted, 1);
        stage(&bench, &record(None, "b"));
        assert_eq!(bench.run().await.accepted, 1);
        let held = bench.simulator.record("201", "C1").unwrap();
        let episodes = held["social_care_episodes"].as_array().unwrap().len();
        assert_eq!(
            (episodes, held["child_details"].get("sex").is_some()),
            if exact { (1, false) } else { (2, true) }
        );
        // Switched off or not, a later exact record still knows what is there.
        bench.options.payloads = Payloads::Full { exact: true };
        let last = record(None, "c");
        stage(&bench, &last);
        assert_eq!(bench.run().await.accepted, 1);
        holds(&bench, &last);
    }
}

#[tokio::test]
async fn a_deleted_child_is_purged_once_and_may_come_back() {
    for payloads in [Payloads::Deltas, Payloads::Full { exact: true }] {
        let mut bench = bench(&[]).await;
        bench.options.payloads = payloads;
        let first = record(Some("M"), "ab");
        stage(&bench, &first);
        assert_eq!(bench.run().await.accepted, 1);
        bench.execute("UPDATE {t} SET row_state = 'Deleted'");
        assert_eq!(
            would_send(&bench).await,
            json!({"la_child_id": "C1", "mis_child_id": "M1", "purge": true})
        );
        let report = bench.run().await;
        assert_eq!((report.purged, report.exit()), (1, Exit::Done));
        assert!(bench.simulator.record("201", "C1").is_none());
        assert_eq!(bench.statuses(), place::counts(&[("sent", 1)]));
        let again = bench.run().await;
        assert_eq!((again.posts, again.nothing_held.count), (0, 1));
        // The receiver forgot the child, so everything is new again.
        bench.execute("UPDATE {t} SET row_state = 'New', submission_status = 'Pending'");
        assert_eq!(would_send(&bench).await, first);
        assert_eq!(bench.run().await.may_leave_remains.count, 0);
        holds(&bench, &first);
        let ledger = std::fs::read(bench.folder.path().join("state/journal.db")).unwrap();
        assert!(
            !String::from_utf8_lossy(&ledger).contains("2026-01-01"),
            "no values are kept"
        );
    }
}

#[tokio::test]
async fn a_deleted_child_that_was_never_sent_is_not_purged() {
    let bench = bench(&[]).await;
    bench.execute("UPDATE {t} SET row_state = 'Deleted', submission_status = 'Pending'");
    let report = bench.run().await;
    assert_eq!((report.posts, report.purged), (0, 0));
    // Without a ledger's word, a previous payload is taken for a sign.
    bench.execute("UPDATE {t} SET previous_json_payload = json_payload");
    assert_eq!(bench.run().await.purged, 1);
}

#[tokio::test]
async fn of_a_child_with_a_newer_row_no_deleted_one_is_told_of() {
    let bench = Bench::new(2, &[]).await;
    bench.execute(
        "UPDATE {t} SET row_state = 'Deleted';
         INSERT INTO {t} (person_id, json_payload)
         SELECT person_id, json_payload FROM {t} WHERE id = 1",
    );
    let report = bench.run().await;
    assert_eq!((report.purged, report.accepted), (0, 1));
    assert_eq!(report.nothing_held.examples, [2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_of_a_child_that_moved_to_another_row_is_planned_after_its_purge() {
    let mut bench = Bench::new(30, &[]).await;
    bench.options.payloads = Payloads::Deltas;
    bench.options.allow_purges = Some(30);
    assert_eq!(bench.run().await.accepted, 30);
    // Just what the receiver holds, as long as nothing is purged.
    bench.execute(
        "UPDATE {t} SET row_state = 'Deleted';
         INSERT INTO {t} (person_id, json_payload)
         SELECT 'moved ' || person_id, json_payload FROM {t}",
    );
    let report = bench.run().await;
    assert_eq!(
        (report.purged, report.accepted, report.unchanged),
        (30, 60, 0)
    );
    assert_eq!(report.posts, 6, "each is planned once");
    assert_eq!(bench.simulator.records("201").len(), 30);
    // The rows that they left stay deleted, and are not purged for a second time.
    for payloads in [Payloads::Deltas, Payloads::Full { exact: true }] {
        bench.options.payloads = payloads;
        let next = bench.run().await;
        assert_eq!((next.purged, next.posts), (0, 0), "{next:?}");
        assert_eq!(next.nothing_held.count, 0, "the children are held");
        assert_eq!(bench.simulator.records("201").len(), 30);
    }
}

#[tokio::test]
async fn a_row_that_was_sent_after_its_purge_and_not_recorded_is_purged_again() {
    let bench = Bench::new(2, &[]).await;
    assert_eq!(bench.run().await.accepted, 2);
    bench.execute("UPDATE {t} SET row_state = 'Deleted' WHERE id = 1");
    assert_eq!(bench.run().await.purged, 1);
    bench.execute(
        "UPDATE {t} SET row_state = 'Updated', submission_status = 'Pending' WHERE id = 1",
    );
    assert_eq!(bench.run().await.accepted, 1);
    assert_eq!(bench.simulator.records("201").len(), 2);
    bench.execute(
        "UPDATE {t} SET row_state = 'Deleted',
             previous_json_payload = '{\"la_child_id\":\"C1\",\"purge\":true}' WHERE id = 1",
    );
    assert_eq!(bench.run().await.purged, 1);
    assert_eq!(bench.simulator.records("201").len(), 1);
}

/// Has more rows deleted once the run has said how much there is to do.
struct Late<'a>(&'a Bench);

impl Watch for Late<'_> {
    fn event(&mut self, event: Event) {
        if let Event::Begun { .. } = event {
            self.0.execute("UPDATE {t} SET row_state = 'Deleted'");
        }
    }
}

#[tokio::test]
async fn what_is_deleted_after_the_purges_were_counted_waits_for_the_next_run() {
    let mut bench = Bench::new(30, &[]).await;
    bench.options.payloads = Payloads::Deltas;
    assert_eq!(bench.run().await.accepted, 30);
    bench.execute("UPDATE {t} SET row_state = 'Deleted' WHERE id <= 3");
    let (_stopper, stop) = Stop::new();
    let run = bench.a_run().await;
    let report = run.send(&bench.client(), stop, &mut Late(&bench)).await;
    assert_eq!(
        (report.purged, report.exit()),
        (3, Exit::Done),
        "more than ten were never looked at"
    );
    drop(run);
    let (_stopper, stop) = Stop::new();
    let run = bench.a_run().await;
    let next = run.send(&bench.client(), stop, &mut Told::default()).await;
    assert_eq!(next.ended_by.unwrap().code(), 602);
}

#[tokio::test]
async fn purges_that_are_too_many_to_be_kept_go_all_the_same() {
    let mut bench = Bench::new(1_050, &[]).await;
    bench.options.payloads = Payloads::Deltas;
    bench.options.batch_size = 100;
    bench.options.allow_purges = Some(1_040);
    assert_eq!(bench.run().await.accepted, 1_050);
    bench.execute(
        "UPDATE {t} SET row_state = 'Deleted' WHERE id <= 1040;
         UPDATE {t} SET submission_status = 'pending', row_state = 'Updated',
                        json_payload = replace(json_payload, '\"M\"', '\"F\"')
         WHERE id > 1040",
    );
    let report = bench.run().await;
    assert_eq!((report.purged, report.accepted), (1_040, 1_050));
    assert_eq!(bench.simulator.records("201").len(), 10);
}

#[tokio::test]
async fn two_rows_of_one_la_child_id_never_make_a_wrong_delta() {
    let bench = bench(&[]).await;
    stage(&bench, &record(Some("M"), "ab"));
    assert_eq!(bench.run().await.accepted, 1);
    stage(&bench, &record(Some("M"), "bc"));
    let other = record(Some("F"), "d");
    bench.execute(&format!(
        "INSERT INTO {{t}} (person_id, json_payload) VALUES ('another', '{other}')"
    ));
    let report = bench.run().await;
    assert_eq!(report.accepted, 2);
    holds(&bench, &other);
}

#[tokio::test]
async fn testing_mode_leaves_every_record_of_what_was_acknowledged_alone() {
    let mut bench = bench(&[]).await;
    let first = record(Some("M"), "ab");
    stage(&bench, &first);
    assert_eq!(bench.run().await.accepted, 1);
    let second = record(Some("F"), "b");
    stage(&bench, &second);
    let delta = would_send(&bench).await;
    bench.options.mode = Mode::Testing;
    assert_eq!(bench.run().await.accepted, 1);
    assert_eq!(bench.statuses(), place::counts(&[("testing", 1)]));
    assert_eq!(would_send(&bench).await, delta, "the baseline is as it was");
}
