//! Runs over a real SQLite table against the simulated receiver: what each reply does
//! to the rows, to the rest of the table and to the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    missing_docs
)]

mod place;

use std::time::Duration;

use csc_message::Exit;
use csc_sender_run::{Event, Mode, Reason, Stop, Watch};
use sha2::{Digest as _, Sha256};

use place::{Bench, Told, counts, payload};

#[tokio::test]
async fn every_eligible_row_arrives_and_is_marked_with_its_receipt() {
    for faults in [&["receipts=json"][..], &["receipts=text"][..]] {
        let bench = Bench::new(25, faults).await;
        let report = bench.run().await;
        assert_eq!((report.accepted, report.posts, report.left()), (25, 3, 0));
        assert_eq!(report.exit(), Exit::Done);
        assert_eq!(bench.statuses(), counts(&[("sent", 25)]));
        for n in 1..=25 {
            let held = bench.simulator.record("201", &format!("C{n}")).unwrap();
            assert_eq!(held.to_string(), payload(n));
            let receipt = bench.simulator.receipt("201", &format!("C{n}")).unwrap();
            let uuid = bench.response(n.into());
            assert!(
                receipt.contains(&uuid) && uuid.len() == 36,
                "{receipt} {uuid}"
            );
        }
        let again = bench.run().await;
        assert_eq!((again.eligible, again.posts), (0, 0));
        assert_eq!(again.exit(), Exit::Done);
    }
}

#[tokio::test]
async fn testing_mode_marks_rows_and_leaves_them_eligible() {
    let mut bench = Bench::new(12, &[]).await;
    bench.options.mode = Mode::Testing;
    let report = bench.run().await;
    assert_eq!(report.accepted, 12);
    assert_eq!(bench.statuses(), counts(&[("testing", 12)]));
    assert!(bench.response(1).starts_with("simulated "));
    let kept: i64 = bench
        .sql()
        .query_row(
            "SELECT count(*) FROM ssd_api_data_staging_anon
             WHERE previous_json_payload IS NULL AND previous_hash IS NULL AND row_state = 'new'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(kept, 12);
    bench.options.mode = Mode::Live;
    assert_eq!(bench.run().await.accepted, 12);
}

#[tokio::test]
async fn rows_that_cannot_go_are_refused_with_their_reason_and_the_run_goes_on() {
    let bench = Bench::new(25, &[]).await;
    bench.execute(
        "UPDATE {t} SET json_payload = 'not json' WHERE id = 3;
         UPDATE {t} SET json_payload = '[1]' WHERE id = 4;
         UPDATE {t} SET json_payload = '{\"la_child_id\":\" \"}' WHERE id = 5;
         UPDATE {t} SET person_id = ' ' WHERE id = 6;
         UPDATE {t} SET json_payload = CAST(x'7bff7d' AS TEXT) WHERE id = 7;
         UPDATE {t} SET json_payload = '{\"la_child_id\":\"C8\",\"purge\":true}' WHERE id = 8",
    );
    let report = bench.run().await;
    assert_eq!(report.accepted, 19);
    assert_eq!(
        report.refused[&Reason::BadPayload].examples,
        [3, 4, 5, 7, 8]
    );
    assert_eq!(report.refused[&Reason::BlankPerson].examples, [6]);
    assert_eq!(report.exit(), Exit::Refused);
    assert_eq!(bench.statuses(), counts(&[("error", 6), ("sent", 19)]));
    assert!(
        bench.response(3).contains("not JSON"),
        "{}",
        bench.response(3)
    );
    assert!(
        bench.response(5).contains("la_child_id"),
        "{}",
        bench.response(5)
    );
}

#[tokio::test]
async fn a_table_of_nothing_but_faulty_rows_is_worked_through() {
    let bench = Bench::new(2500, &[]).await;
    bench.execute("UPDATE {t} SET json_payload = 'x'");
    let report = bench.run().await;
    assert_eq!(
        (report.refused_count(), report.posts, report.left()),
        (2500, 0, 0)
    );
    assert_eq!(report.exit(), Exit::Refused);
}

#[tokio::test]
async fn named_records_are_taken_out_and_the_rest_goes_again_at_once() {
    for fault in ["detail=json", "detail=text"] {
        let bench = Bench::new(20, &["refuse=C3", "refuse=C14", fault]).await;
        let report = bench.run().await;
        assert_eq!((report.accepted, report.posts), (18, 4), "{fault}");
        assert_eq!(report.refused[&Reason::RefusedByReceiver].examples, [3, 14]);
        assert_eq!(bench.statuses(), counts(&[("error", 2), ("sent", 18)]));
        assert!(!bench.response(3).is_empty());
    }
}

#[tokio::test]
async fn an_unnamed_bad_record_is_found_by_halves() {
    for kind in ["refuse-unnamed", "refuse-nonsense"] {
        let mut bench = Bench::new(100, &[&format!("{kind}=C77")]).await;
        bench.options.batch_size = 100;
        let report = bench.run().await;
        assert_eq!(report.accepted, 99, "{kind}");
        assert_eq!(report.refused[&Reason::RefusedByReceiver].examples, [77]);
        let most = 1 + (2.0 * 100f64.log2() + 1.0) as u64;
        assert!(
            report.posts <= most,
            "{} posts for one bad record",
            report.posts
        );
        assert_eq!(report.exit(), Exit::Refused);
        assert_eq!(
            bench.simulator.arrivals("201", "C1"),
            1,
            "no good record goes twice"
        );
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_stops_the_run_after_three_batches() {
    for (fault, words) in [
        ("refuse-all", "400"),
        ("no-content", "204"),
        ("html", "receipt"),
    ] {
        let bench = Bench::new(100, &[fault]).await;
        let report = bench.run().await;
        assert_eq!(report.exit(), Exit::Safety, "{fault}");
        assert_eq!(report.ended_by.as_ref().unwrap().code(), 601);
        assert_eq!(
            bench.statuses(),
            counts(&[("error", 30), ("pending", 70)]),
            "{fault}"
        );
        assert!(bench.response(1).contains(words), "{}", bench.response(1));
        assert_eq!(report.left(), 70);
    }
}

#[tokio::test]
async fn one_refused_batch_among_good_ones_stops_nothing() {
    let bench = Bench::new(100, &["no-content,every=2"]).await;
    let report = bench.run().await;
    assert_eq!(
        (report.accepted, report.refused[&Reason::NothingTaken].count),
        (50, 50)
    );
    assert_eq!(report.exit(), Exit::Refused);
}

#[tokio::test]
async fn trouble_is_tried_again_and_then_ends_the_run_with_one_batch_marked() {
    for (fault, words) in [
        ("status=503", "503"),
        ("status=408", "408"),
        ("status=429", "429"),
        ("forbid", "403"),
        ("reset", "no answer"),
        ("drop", "no answer"),
    ] {
        let bench = Bench::new(30, &[&format!("{fault},after=1")]).await;
        let mut told = Told::default();
        let report = bench.run_told(&mut told).await;
        assert_eq!(report.exit(), Exit::Receiver, "{fault}");
        assert_eq!((report.posts, told.waits.len()), (5, 3), "{fault}");
        assert_eq!(
            bench.statuses(),
            counts(&[("error", 10), ("pending", 10), ("sent", 10)]),
            "{fault}"
        );
        assert!(bench.response(11).contains(words), "{}", bench.response(11));
        assert_eq!(report.refused[&Reason::RetriesSpent].count, 10);
        assert_eq!(report.left(), 10);
    }
}

#[tokio::test]
async fn trouble_that_passes_costs_nothing() {
    for fault in ["status=500", "reset", "drop", "429=0"] {
        let bench = Bench::new(30, &[&format!("{fault},times=2")]).await;
        let report = bench.run().await;
        assert_eq!((report.accepted, report.posts), (30, 5), "{fault}");
        assert_eq!(report.exit(), Exit::Done);
        assert_eq!(report.failures.len(), 2);
    }
}

#[tokio::test]
async fn a_retry_after_above_max_wait_ends_the_run() {
    for fault in ["429=301", "429=http-date:400", "status=503,retry-after=301"] {
        let bench = Bench::new(30, &[fault]).await;
        let report = bench.run().await;
        assert_eq!(report.ended_by.unwrap().code(), 411, "{fault}");
        assert_eq!(report.posts, 1);
        assert_eq!(bench.statuses(), counts(&[("error", 10), ("pending", 20)]));
    }
}

#[tokio::test]
async fn a_reply_that_is_final_for_the_run_leaves_every_row_pending() {
    for (status, code) in [
        (301, 406),
        (302, 406),
        (307, 406),
        (404, 407),
        (405, 407),
        (407, 408),
        (409, 409),
        (415, 409),
    ] {
        let bench = Bench::new(30, &[&format!("status={status},after=1")]).await;
        let report = bench.run().await;
        assert_eq!(report.ended_by.as_ref().unwrap().code(), code, "{status}");
        assert_eq!(report.exit(), Exit::Receiver);
        assert_eq!(
            bench.statuses(),
            counts(&[("pending", 20), ("sent", 10)]),
            "{status}"
        );
        assert_eq!((report.posts, report.left()), (2, 20));
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_halved_and_the_size_remembered() {
    let one = payload(10).len() + 1;
    let bench = Bench::new(40, &[&format!("max-bytes={}", one * 5 + 1)]).await;
    let report = bench.run().await;
    assert_eq!(report.accepted, 40);
    // 10 is refused once; 5 goes, and every later batch is halved before it is posted.
    assert_eq!(report.posts, 1 + 8);
    let bench = Bench::new(1, &["max-bytes=10"]).await;
    let report = bench.run().await;
    assert_eq!(report.refused[&Reason::TooLarge].examples, [1]);
    assert!(bench.response(1).contains("413"));
}

#[tokio::test]
async fn an_expired_token_is_fetched_anew() {
    let bench = Bench::new(50, &["expire-tokens=2"]).await;
    let report = bench.run().await;
    assert_eq!(report.accepted, 50);
    assert_eq!(report.posts, 5 + 2, "each expiry costs one post");
    assert_eq!(report.exit(), Exit::Done);
}

#[tokio::test]
async fn a_revoked_primary_key_is_replaced_by_the_secondary_one() {
    let bench = Bench::new(30, &["revoke-primary-key"]).await;
    let report = bench.run().await;
    assert_eq!(report.accepted, 30);
    assert_eq!(
        report.posts,
        3 + 2,
        "fresh token, then the other key, once for the run"
    );
}

#[tokio::test]
async fn credentials_that_are_never_accepted_end_the_run() {
    let bench = Bench::new(30, &["status=401"]).await;
    let report = bench.run().await;
    assert_eq!(report.ended_by.as_ref().unwrap().code(), 405);
    assert_eq!(report.posts, 3);
    assert_eq!(bench.statuses(), counts(&[("pending", 30)]));
}

#[tokio::test]
async fn without_a_token_nothing_is_posted() {
    for (fault, code, waits) in [
        ("token-status=401", 401, 0),
        ("token-status=400", 401, 0),
        ("token-status=503", 404, 3),
    ] {
        let bench = Bench::new(30, &[fault]).await;
        let mut told = Told::default();
        let report = bench.run_told(&mut told).await;
        assert_eq!(report.ended_by.as_ref().unwrap().code(), code, "{fault}");
        assert_eq!((report.posts, told.waits.len()), (0, waits), "{fault}");
        assert_eq!(bench.statuses(), counts(&[("pending", 30)]));
    }
}

#[tokio::test]
async fn receipts_that_do_not_match_mark_the_batch() {
    for fault in ["receipts-short", "garbage"] {
        let bench = Bench::new(20, &[&format!("{fault},times=1")]).await;
        let report = bench.run().await;
        assert_eq!(
            report.refused[&Reason::UnreadableReceipts].count,
            10,
            "{fault}"
        );
        assert_eq!(bench.statuses(), counts(&[("error", 10), ("sent", 10)]));
        assert!(
            bench.response(1).contains("status 200"),
            "{}",
            bench.response(1)
        );
    }
}

#[tokio::test]
async fn a_limit_is_kept() {
    let mut bench = Bench::new(30, &[]).await;
    bench.options.limit = Some(13);
    let report = bench.run().await;
    assert_eq!(
        (report.eligible, report.accepted, report.posts),
        (13, 13, 2)
    );
    assert_eq!(bench.statuses(), counts(&[("pending", 17), ("sent", 13)]));
}

#[tokio::test]
async fn batches_keep_to_their_bytes() {
    let mut bench = Bench::new(20, &[]).await;
    bench.options.max_batch_bytes = (payload(10).len() + 1) * 4 + 1;
    let report = bench.run().await;
    assert_eq!((report.accepted, report.posts), (20, 5));
    bench.execute("UPDATE {t} SET submission_status = 'pending'");
    bench.options.max_batch_bytes = 1;
    assert_eq!(bench.run().await.posts, 20, "a large record goes alone");
}

#[tokio::test]
async fn a_preview_counts_and_changes_nothing() {
    let bench = Bench::new(25, &[]).await;
    bench.execute("UPDATE {t} SET json_payload = 'x' WHERE id = 2");
    let found = bench.a_run().await.preview().await.unwrap();
    assert_eq!((found.records, found.batches), (24, 3));
    assert_eq!(found.refused[&Reason::BadPayload].examples, [2]);
    let shape = found.first_shape.unwrap();
    assert!(
        shape.contains("la_child_id") && !shape.contains("C1"),
        "{shape}"
    );
    assert_eq!(bench.statuses(), counts(&[("pending", 25)]));
    assert_eq!(bench.simulator.counts().posts, 0);
}

/// Stops the run after its first batch.
struct StopAfterFirst(csc_sender_run::Stopper);

impl Watch for StopAfterFirst {
    fn event(&mut self, event: Event) {
        match event {
            Event::Recorded { .. } | Event::Waiting { .. } => self.0.stop(),
            Event::Begun { .. } => {}
        }
    }
}

#[tokio::test]
async fn a_stop_records_what_is_under_way_and_begins_nothing_new() {
    let bench = Bench::new(60, &[]).await;
    let (stopper, stop) = Stop::new();
    let mut watch = StopAfterFirst(stopper);
    let report = bench
        .a_run()
        .await
        .send(&bench.client(), stop, &mut watch)
        .await;
    assert_eq!(report.exit(), Exit::Interrupted);
    // While the first batch is recorded, the second may be on its way, and without a gap up to
    // three more.
    assert!((1..=5).contains(&report.posts), "{} posts", report.posts);
    assert_eq!(report.accepted, report.posts * 10);
    assert_eq!(report.left(), 60 - report.accepted);
    let statuses = counts(&[("pending", report.left()), ("sent", report.accepted)]);
    assert_eq!(bench.statuses(), statuses);
}

#[tokio::test]
async fn a_stop_ends_a_long_wait_and_leaves_the_rows_as_they_were() {
    let mut bench = Bench::new(30, &["429=200"]).await;
    bench.options.retry.max_wait = Duration::from_secs(300);
    let (stopper, stop) = Stop::new();
    let mut watch = StopAfterFirst(stopper);
    let report = bench
        .a_run()
        .await
        .send(&bench.client(), stop, &mut watch)
        .await;
    assert_eq!(report.exit(), Exit::Interrupted);
    assert_eq!(bench.statuses(), counts(&[("pending", 30)]));
}

#[tokio::test]
async fn a_second_run_leaves_with_busy() {
    let bench = Bench::new(3, &[]).await;
    let other = bench.store().await;
    other.lock().await.unwrap();
    let (_stopper, stop) = Stop::new();
    let report = bench
        .a_run()
        .await
        .send(&bench.client(), stop, &mut Told::default())
        .await;
    assert_eq!(report.exit(), Exit::Busy);
    assert_eq!(bench.statuses(), counts(&[("pending", 3)]));
}

/// Changes a row while its batch is under way: the table's owner refreshes it.
struct ChangeWhileSending<'a>(&'a Bench);

impl Watch for ChangeWhileSending<'_> {
    fn event(&mut self, event: Event) {
        // The first post waits for its retry: the batch was read, and is not recorded yet.
        if let Event::Waiting { .. } = event {
            self.0.execute(
                "UPDATE {t} SET json_payload = '{\"la_child_id\":\"C2\",\"new\":1}',
                                submission_status = 'Pending', row_state = 'Updated' WHERE id = 2",
            );
        }
    }
}

#[tokio::test]
async fn a_row_refreshed_while_under_way_stays_pending_and_goes_with_the_next_run() {
    let bench = Bench::new(5, &["status=503,times=1"]).await;
    let (_stopper, stop) = Stop::new();
    let mut watch = ChangeWhileSending(&bench);
    let report = bench
        .a_run()
        .await
        .send(&bench.client(), stop, &mut watch)
        .await;
    assert_eq!(
        (report.accepted, report.changed.examples.as_slice()),
        (4, &[2][..])
    );
    assert_eq!(bench.statuses(), counts(&[("pending", 1), ("sent", 4)]));
    assert_eq!(report.exit(), Exit::Done);
    assert_eq!(bench.run().await.accepted, 1);
    let held = bench.simulator.record("201", "C2").unwrap();
    assert_eq!(held["new"].to_string(), "1");
}

/// A store that loses its database between the receipts and the table, as often as told.
mod recording {
    use super::*;

    #[tokio::test]
    async fn what_was_accepted_and_not_recorded_is_recorded_first_and_not_sent_again() {
        let bench = Bench::new(25, &[]).await;
        bench.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON {t} WHEN NEW.id = 15
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        );
        let first = bench.run().await;
        assert_eq!(first.ended_by.as_ref().unwrap().code(), 303);
        assert_eq!(first.accepted, 10);
        // While the second batch is recorded, the third may be on its way.
        let unrecorded = first.unrecorded.count;
        assert!([10, 15].contains(&unrecorded), "{unrecorded} rows");
        let held = bench.simulator.counts().accepted_records;
        assert_eq!(held, 10 + unrecorded);
        bench.execute("DROP TRIGGER full; UPDATE {t} SET json_payload = '{\"la_child_id\":\"C12\",\"x\":1}' WHERE id = 12");
        let second = bench.run().await;
        let caught_up = unrecorded - 1;
        assert_eq!(
            second.caught_up.count, caught_up,
            "row 12 changed since: it goes"
        );
        let left = 25 - held + 1;
        assert_eq!(second.accepted, left);
        assert_eq!(second.sent_again.count, 0);
        assert_eq!(bench.simulator.counts().accepted_records, held + left);
        assert_eq!(bench.statuses()["sent"], 25);
        assert_eq!(bench.response(15).len(), 36, "its receipt");
    }

    #[tokio::test]
    async fn what_was_about_to_go_when_the_table_took_no_more_is_not_called_sent_again() {
        let bench = Bench::new(100, &[]).await;
        // It takes so long to fail that several more have departed by then.
        bench.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON {t} WHEN NEW.id = 15 BEGIN
                 SELECT max(n) FROM (WITH RECURSIVE slow(n) AS
                     (SELECT 1 UNION ALL SELECT n + 1 FROM slow WHERE n < 3000000)
                     SELECT n FROM slow);
                 SELECT RAISE(ABORT, 'the disk is full');
             END",
        );
        let first = bench.run().await;
        assert_eq!(first.ended_by.as_ref().unwrap().code(), 303);
        let held = bench.simulator.counts().accepted_records;
        assert_eq!(held, 10 + first.unrecorded.count);
        assert!(held < 100, "{held} records left");
        bench.execute("DROP TRIGGER full");
        let second = bench.run().await;
        assert_eq!(second.caught_up.count, held - 10);
        assert_eq!((second.accepted, second.sent_again.count), (100 - held, 0));
        assert_eq!(bench.simulator.counts().accepted_records, 100);
        assert_eq!(bench.statuses()["sent"], 100);
    }

    #[tokio::test]
    async fn what_was_accepted_is_recorded_also_where_the_table_is_called_otherwise_since() {
        let bench = Bench::new(25, &[]).await;
        bench.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON {t} WHEN NEW.id = 15
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        );
        let first = bench.run().await;
        let (unrecorded, held) = (
            first.unrecorded.count,
            bench.simulator.counts().accepted_records,
        );
        bench.execute("DROP TRIGGER full");
        // The same file under another name; another table's rows are not taken for these.
        let other = Bench::new(25, &[]).await;
        other.execute("UPDATE {t} SET json_payload = '{\"la_child_id\":\"X' || id || '\"}'");
        std::fs::create_dir(other.folder.path().join("state")).unwrap();
        for name in ["journal.db", "journal.db-wal"] {
            let name = std::path::Path::new("state").join(name);
            if bench.folder.path().join(&name).exists() {
                std::fs::copy(
                    bench.folder.path().join(&name),
                    other.folder.path().join(&name),
                )
                .unwrap();
            }
        }
        let elsewhere = other.run().await;
        assert_eq!((elsewhere.caught_up.count, elsewhere.accepted), (0, 25));
        std::fs::copy(
            bench.folder.path().join("children.db"),
            other.folder.path().join("children.db"),
        )
        .unwrap();
        let next = other.run().await;
        assert_eq!(next.caught_up.count, unrecorded, "{next:?}");
        assert_eq!((next.accepted, next.sent_again.count), (25 - held, 0));
        assert_eq!(other.statuses(), counts(&[("sent", 25)]));
        assert_eq!(other.run().await.caught_up.count, 0, "once is enough");
    }

    #[tokio::test]
    async fn a_purge_that_was_accepted_and_not_recorded_is_recorded_first_too() {
        let bench = Bench::new(5, &[]).await;
        bench.run().await;
        bench.execute(
            "UPDATE {t} SET row_state = 'Deleted', submission_status = 'Pending' WHERE id = 3",
        );
        bench.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON {t} BEGIN SELECT RAISE(ABORT, 'no'); END",
        );
        let first = bench.run().await;
        assert_eq!(first.unrecorded.count, 1);
        bench.execute("DROP TRIGGER full");
        let second = bench.run().await;
        assert_eq!(
            (second.caught_up.count, second.accepted, second.posts),
            (1, 0, 0)
        );
        let purged: String = bench
            .sql()
            .query_row(
                "SELECT previous_json_payload FROM ssd_api_data_staging_anon WHERE id = 3",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(purged, r#"{"la_child_id":"C3","purge":true}"#);
        assert_eq!(bench.statuses()["sent"], 5);
    }

    /// Whatever stands in the row: as it is sent, with blanks around it, with a null in it.
    #[tokio::test]
    async fn the_journal_has_the_hash_of_what_was_sent() {
        let bench = Bench::new(3, &[]).await;
        bench.execute("UPDATE {t} SET json_payload = ' ' || json_payload || char(10) WHERE id = 2");
        bench.execute(
            "UPDATE {t} SET json_payload = json_set(json_payload, '$.mis_child_id', NULL) WHERE id = 3",
        );
        bench.simulator.keep_log();
        assert_eq!(bench.run().await.accepted, 3);
        let sent = bench.simulator.log();
        let expected: Vec<String> = sent
            .iter()
            .map(|record| {
                let digest = Sha256::digest(record.to_string());
                digest.iter().map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        assert_eq!(bench.journal_hashes(), expected);
    }

    #[tokio::test]
    async fn a_post_whose_answer_was_missing_is_named_as_sent_again() {
        let bench = Bench::new(20, &["drop,every=2"]).await;
        let report = bench.run().await;
        assert_eq!(report.accepted, 20);
        assert!(report.sent_again.count >= 10, "{report:?}");
        let twice = bench.journal_rows();
        assert!(twice.iter().any(|(_, posts, _)| *posts > 1));
    }

    #[tokio::test]
    async fn a_run_that_ended_by_force_leaves_its_rows_to_be_sent_again_by_name() {
        let bench = Bench::new(10, &[]).await;
        bench.run().await;
        bench.execute("UPDATE {t} SET submission_status = 'Pending', row_state = 'Updated', json_payload = replace(json_payload, '\"M\"', '\"F\"')");
        // As after a kill between the post and the receipts.
        bench.execute_journal(
            "UPDATE held_child SET in_doubt = skeleton;
             UPDATE run SET ended_at = NULL; UPDATE batch SET answer = NULL, recorded_at = NULL",
        );
        let report = bench.run().await;
        assert_eq!((report.accepted, report.sent_again.count), (10, 10));
        let rows = bench.journal_rows();
        assert!(rows.iter().rev().take(10).all(|(_, _, again)| *again));
    }
}

/// CONCURRENCY: batches side by side.
mod together {
    use super::*;

    async fn side_by_side(rows: u32, faults: &[&str]) -> Bench {
        let mut bench = Bench::new(rows, faults).await;
        bench.options.concurrency = 4;
        bench
    }

    #[tokio::test]
    async fn every_record_arrives_once_whatever_some_of_the_posts_come_to() {
        let mut bench = side_by_side(125, &["status=503,times=3", "429=0,times=1"]).await;
        // One batch may meet all of them.
        bench.options.retry.max_retries = 10;
        let report = bench.run().await;
        assert_eq!(report.exit(), Exit::Done);
        assert_eq!((report.accepted, report.left()), (125, 0));
        assert_eq!(bench.statuses(), counts(&[("sent", 125)]));
        assert_eq!(bench.simulator.counts().accepted_records, 125);
        // Every row left by the journal, and those of the 503s are said to have gone again.
        let rows = bench.journal_rows();
        let again = rows.iter().filter(|(_, posts, _)| *posts > 1).count() as u64;
        assert_eq!((rows.len(), again), (125, report.sent_again.count));
        assert!((10..=30).contains(&again), "{again}");
    }

    #[tokio::test]
    async fn a_batch_that_is_taken_apart_costs_the_others_nothing() {
        let bench = side_by_side(60, &["refuse=C25"]).await;
        let report = bench.run().await;
        assert_eq!((report.accepted, report.refused_count()), (59, 1));
        assert_eq!(bench.statuses(), counts(&[("error", 1), ("sent", 59)]));
    }

    #[tokio::test]
    async fn what_was_accepted_beside_a_post_that_ends_the_run_is_recorded() {
        let bench = side_by_side(40, &["status=404,after=1,times=1"]).await;
        let report = bench.run().await;
        assert!(report.ended_by.is_some());
        let accepted = bench.simulator.counts().accepted_records;
        assert!(accepted >= 10, "the others arrived");
        assert_eq!(report.accepted, accepted);
        assert_eq!(bench.statuses()["sent"], accepted);
        assert_eq!(bench.run().await.sent_again.count, 0);
        assert_eq!(bench.simulator.counts().accepted_records, 40);
    }

    #[tokio::test]
    async fn what_was_accepted_beside_a_batch_that_the_table_does_not_take_is_not_sent_again() {
        let bench = side_by_side(40, &[]).await;
        bench.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON {t} WHEN NEW.id = 5
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        );
        let first = bench.run().await;
        assert_eq!(first.ended_by.as_ref().unwrap().code(), 303);
        let held = bench.simulator.counts().accepted_records;
        assert!(held >= 10, "the batch itself was accepted");
        assert_eq!(first.accepted + first.unrecorded.count, held, "{first:?}");
        bench.execute("DROP TRIGGER full");
        let second = bench.run().await;
        assert_eq!(
            (second.caught_up.count, second.sent_again.count),
            (first.unrecorded.count, 0),
            "{second:?}"
        );
        assert_eq!(bench.simulator.counts().accepted_records, 40);
        assert_eq!(bench.statuses(), counts(&[("sent", 40)]));
    }

    /// Whenever a run waits: the receipts in the journal, and the records that were accepted.
    struct Waits<'a>(&'a Bench, Vec<(u64, u64)>);

    impl Watch for Waits<'_> {
        fn event(&mut self, event: Event) {
            if let Event::Waiting { .. } = event {
                self.1.push((
                    self.0.journal_receipts() as u64,
                    self.0.simulator.counts().accepted_records,
                ));
            }
        }
    }

    #[tokio::test]
    async fn what_was_accepted_is_in_the_journal_while_another_batch_waits() {
        for fault in ["429=0,times=1", "status=503,times=1"] {
            let bench = side_by_side(40, &[fault]).await;
            let (_stopper, stop) = Stop::new();
            let mut waits = Waits(&bench, Vec::new());
            let run = bench.a_run().await;
            let report = run.send(&bench.client(), stop, &mut waits).await;
            assert_eq!(report.exit(), Exit::Done, "{report:?}");
            // As many as were posted side by side, but the one.
            let Waits(_, waits) = waits;
            assert!(
                matches!(waits[..], [(receipts, accepted)] if receipts == accepted),
                "{waits:?}"
            );
        }
    }
}
