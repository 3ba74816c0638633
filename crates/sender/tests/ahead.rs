//! Batches that are written down while the one before is posted (MIN_GAP_MS=0), against a
//! receiver that looks into the journal before it answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    missing_docs
)]

mod place;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use csc_message::Exit;
use csc_receiver::{Client, Fault, Reply, Request, Transport};
use csc_sender_run::{Gap, RunReport, Stop, Stopper};
use csc_simulator::InProcess;

use place::{Bench, Told, counts};

/// What the journal says while a batch is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// Batches that were written down.
    departed: i64,
    /// Those of them whose receipts are there.
    accepted: i64,
}

impl Seen {
    fn in_journal(file: &Path) -> Seen {
        rusqlite::Connection::open(file)
            .unwrap()
            .query_row(
                "SELECT count(*), count(*) FILTER (WHERE answer = 'accepted') FROM batch",
                [],
                |row| {
                    Ok(Seen {
                        departed: row.get(0)?,
                        accepted: row.get(1)?,
                    })
                },
            )
            .unwrap()
    }
}

/// A receiver that answers once the journal has what is awaited.
struct Slow {
    receiver: InProcess,
    journal: PathBuf,
    /// At each post; later ones are answered at once.
    awaited: Vec<Seen>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Asked to stop while the first batch is posted.
    stopper: Option<Stopper>,
}

/// How long that is awaited.
const PATIENCE: Duration = Duration::from_secs(30);

#[async_trait]
impl Transport for Slow {
    async fn send(&self, request: Request) -> Result<Reply, Fault> {
        if !request.url.ends_with(csc_simulator::TOKEN_PATH) {
            let post = self.seen.lock().unwrap().len();
            let begun = Instant::now();
            // Whatever else is written down has some time for it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let seen = loop {
                let seen = Seen::in_journal(&self.journal);
                let awaited = self.awaited.get(post).unwrap_or(&seen);
                if *awaited == seen || begun.elapsed() > PATIENCE {
                    break seen;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            self.seen.lock().unwrap().push(seen);
            if let Some(stopper) = &self.stopper {
                stopper.stop();
            }
        }
        self.receiver.send(request).await
    }
}

/// Of each post: batches that were written down, and those of them that were accepted.
fn seen<const N: usize>(each: [(i64, i64); N]) -> Vec<Seen> {
    each.map(|(departed, accepted)| Seen { departed, accepted })
        .into()
}

/// Runs against the slow receiver; gives what it saw at each post.
async fn run_slowly(bench: &Bench, awaited: Vec<Seen>, stops: bool) -> (RunReport, Vec<Seen>) {
    let (stopper, stop) = Stop::new();
    let seen = Arc::default();
    let slow = Slow {
        receiver: InProcess::new(bench.simulator.clone()),
        journal: bench.folder.path().join("state/journal.db"),
        awaited,
        seen: Arc::clone(&seen),
        stopper: stops.then_some(stopper.clone()),
    };
    let client = Client::new(Arc::new(slow), bench.client_options());
    let run = bench.a_run().await;
    let report = run.send(&client, stop, &mut Told::default()).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (report, seen)
}

async fn without_gap(children: u32, faults: &[&str]) -> Bench {
    let mut bench = Bench::new(children, faults).await;
    bench.options.gap = Gap::from_millis(0);
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_batch_is_written_down_while_one_is_posted() {
    let bench = without_gap(40, &[]).await;
    let awaited = seen([(2, 0), (3, 1), (4, 2), (4, 3)]);
    let (report, found) = run_slowly(&bench, awaited.clone(), false).await;
    assert_eq!((report.accepted, report.exit()), (40, Exit::Done));
    assert_eq!(found, awaited);
    assert_eq!(bench.journal_receipts(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_gap_a_batch_is_written_down_after_the_one_before() {
    let mut bench = Bench::new(30, &[]).await;
    bench.options.gap = Gap::from_millis(1);
    let (report, found) = run_slowly(&bench, Vec::new(), false).await;
    assert_eq!((report.accepted, report.exit()), (30, Exit::Done));
    assert_eq!(found, seen([(1, 0), (2, 1), (3, 2)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_ahead_of_a_post_that_is_refused_goes_once() {
    for fault in ["refuse=C3", "status=503,times=1", "status=401,times=1"] {
        let bench = without_gap(30, &[fault]).await;
        let (report, found) = run_slowly(&bench, seen([(2, 0)]), false).await;
        let arrived = bench.simulator.counts().accepted_records;
        assert_eq!((report.accepted, report.left()), (arrived, 0), "{fault}");
        assert_eq!(arrived + report.refused_count(), 30, "{fault}");
        // What has to go again is the first batch, and no other.
        let again = if fault.starts_with("status=503") {
            10
        } else {
            0
        };
        assert_eq!(report.sent_again.count, again, "{fault}");
        assert_eq!(found[0].departed, 2, "{fault}");
        assert_eq!(found[1].accepted, 0, "{fault}");
        let second = bench.run().await;
        assert_eq!(second.sent_again.count, 0, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_ahead_of_a_stop_goes_with_the_next_run() {
    let bench = without_gap(30, &[]).await;
    let (report, _) = run_slowly(&bench, seen([(2, 0)]), true).await;
    assert!(report.interrupted);
    assert_eq!(bench.statuses(), counts(&[("pending", 20), ("sent", 10)]));
    let second = bench.run().await;
    assert_eq!((second.accepted, second.sent_again.count), (20, 0));
    assert_eq!(bench.simulator.counts().accepted_records, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_does_not_take_is_recorded_by_the_next_run() {
    for row in [5, 15, 35] {
        let bench = without_gap(100, &[]).await;
        bench.execute(&format!(
            "CREATE TRIGGER full BEFORE UPDATE ON {{t}} WHEN NEW.id = {row}
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        ));
        let (first, _) = run_slowly(&bench, Vec::new(), false).await;
        assert_eq!(first.ended_by.as_ref().unwrap().code(), 303);
        let arrived = bench.simulator.counts().accepted_records;
        assert_eq!(
            first.accepted + first.unrecorded.count,
            arrived,
            "{first:?}"
        );
        // Up to four batches after the one that is not taken, which is the fourth at most.
        assert!(arrived < 100, "it goes on although the table takes no more");
        bench.execute("DROP TRIGGER full");
        let second = bench.run().await;
        assert_eq!(
            (second.caught_up.count, second.sent_again.count),
            (first.unrecorded.count, 0),
            "{second:?}"
        );
        assert_eq!(bench.simulator.counts().accepted_records, 100);
        assert_eq!(bench.statuses(), counts(&[("sent", 100)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_go_are_refused_beside_the_posts() {
    let bench = without_gap(50, &[]).await;
    bench.execute("UPDATE {t} SET json_payload = 'not json' WHERE id % 7 = 0");
    let awaited = seen([(2, 0), (3, 1)]);
    let (report, found) = run_slowly(&bench, awaited.clone(), false).await;
    assert_eq!((report.accepted, report.refused_count()), (43, 7));
    assert_eq!(found[..2], awaited);
    assert_eq!(bench.statuses(), counts(&[("error", 7), ("sent", 43)]));
}
