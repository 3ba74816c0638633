//! Somebody else changes the table while a run is under way: payloads, rows that come and
//! go, rows that are marked. Whatever the moment, no payload is marked sent that did not
//! arrive.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    missing_docs
)]

mod place;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use csc_message::Probe;
use csc_payload::meaning;
use csc_sender_run::{Payloads, Run, Stop};
use csc_staging::{
    Created, Earlier, Filled, Halt, NewRow, Outcome, PageRequest, Restaged, RowKey, RowSource,
    Selection, StagedRow, StagingStore, StoreError, Stretch, SubmissionStatus, Superseded,
    TableShape, TableSummary,
};
use place::{Bench, Told};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const TABLE: &str = "ssd_api_data_staging_anon";

/// How many runs each test interferes with: 1,000 over both.
const RUNS: u64 = 500;

/// What another program does to the table, at moments of its own.
struct Meddler {
    file: std::path::PathBuf,
    rng: Mutex<ChaCha8Rng>,
}

impl Meddler {
    fn meddle(&self) {
        let mut rng = self.rng.lock().unwrap();
        for _ in 0..rng.random_range(0..3) {
            let id = rng.random_range(1..=14);
            let version = rng.random_range(0..1_000_000);
            let sql = match rng.random_range(0..7) {
                // As the staging SQL stages a change.
                0..3 => format!(
                    "UPDATE {TABLE} SET previous_json_payload = json_payload,
                         json_payload = json_set(json_payload, '$.child_details.first_name', 'v{version}'),
                         row_state = 'Updated', submission_status = 'Pending' WHERE id = {id}"
                ),
                3 => format!("UPDATE {TABLE} SET row_state = 'Deleted' WHERE id = {id}"),
                4 => format!("DELETE FROM {TABLE} WHERE id = {id}"),
                5 => format!(
                    "INSERT OR REPLACE INTO {TABLE} (id, person_id, json_payload)
                     VALUES ({id}, 'P{id}', '{{\"la_child_id\":\"C{id}\",\"child_details\":{{\"first_name\":\"v{version}\"}}}}')"
                ),
                // Touched, and as it was.
                _ => format!("UPDATE {TABLE} SET last_updated = 'now' WHERE id = {id}"),
            };
            let connection = rusqlite::Connection::open(&self.file).unwrap();
            connection
                .busy_timeout(std::time::Duration::from_secs(30))
                .unwrap();
            connection.execute_batch(&sql).unwrap();
        }
    }
}

/// A table that is meddled with before and after whatever a run asks of it.
struct Meddled {
    store: Arc<dyn StagingStore>,
    meddler: Meddler,
}

#[async_trait]
impl StagingStore for Meddled {
    fn place(&self) -> String {
        self.store.place()
    }

    async fn shape(&self) -> Result<Arc<TableShape>, StoreError> {
        self.store.shape().await
    }

    async fn create(&self) -> Result<Created, StoreError> {
        self.store.create().await
    }

    async fn examine(&self) -> Result<Vec<Probe>, StoreError> {
        self.store.examine().await
    }

    async fn lock(&self) -> Result<(), StoreError> {
        self.store.lock().await
    }

    async fn count(&self, selection: Selection) -> Result<u64, StoreError> {
        let count = self.store.count(selection).await;
        self.meddler.meddle();
        count
    }

    async fn superseded(&self) -> Result<Superseded, StoreError> {
        let superseded = self.store.superseded().await;
        self.meddler.meddle();
        superseded
    }

    async fn page_within(
        &self,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError> {
        let page = self.store.page_within(request, stretch).await;
        self.meddler.meddle();
        page
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<i64>, StoreError> {
        self.meddler.meddle();
        let recorded = self.store.record(outcomes).await;
        self.meddler.meddle();
        recorded
    }

    async fn write_partials(
        &self,
        partials: &[(RowKey, Option<String>)],
    ) -> Result<Vec<i64>, StoreError> {
        self.meddler.meddle();
        self.store.write_partials(partials).await
    }

    async fn summary(&self) -> Result<TableSummary, StoreError> {
        self.store.summary().await
    }

    async fn stage(&self, rows: &[NewRow]) -> Result<(), StoreError> {
        self.store.stage(rows).await
    }

    async fn fill(&self, rows: &mut dyn RowSource, earlier: Earlier) -> Result<Filled, Halt> {
        self.store.fill(rows, earlier).await
    }

    async fn restage(&self, changes: &[(RowKey, Restaged)]) -> Result<Vec<i64>, StoreError> {
        self.store.restage(changes).await
    }

    async fn legacy_ids(&self, ids: &[i64]) -> Result<Vec<(i64, Option<String>)>, StoreError> {
        self.store.legacy_ids(ids).await
    }

    async fn reset(
        &self,
        from: &[SubmissionStatus],
    ) -> Result<Vec<(SubmissionStatus, u64)>, StoreError> {
        self.store.reset(from).await
    }
}

fn what_is_marked_has_arrived(bench: &Bench, when: &str) {
    let connection = bench.sql();
    let mut rows = connection
        .prepare(&format!(
            "SELECT id, json_payload, lower(row_state) FROM {TABLE}
             WHERE lower(submission_status) = 'sent' AND lower(row_state) <> 'deleted'"
        ))
        .unwrap();
    let mut rows = rows.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (id, payload, state): (i64, String, String) = (
            row.get(0).unwrap(),
            row.get(1).unwrap(),
            row.get(2).unwrap(),
        );
        assert_eq!(state, "unchanged", "row {id}, {when}");
        let payload: Value = serde_json::from_str(&payload).unwrap();
        let child = payload["la_child_id"].as_str().unwrap();
        let held = bench.simulator.record("201", child);
        assert_eq!(
            held.as_ref().map(meaning),
            Some(meaning(&payload)),
            "row {id}, {when}"
        );
    }
}

async fn meddled_with(payloads: Payloads, seed: u64) {
    let mut bench = Bench::new(12, &[]).await;
    bench.options.batch_size = 4;
    bench.options.payloads = payloads;
    bench.options.allow_purges = Some(1000);
    let (mut changed, mut sent) = (0, 0);
    for n in 0..RUNS {
        let run = bench.a_run().await;
        let meddled = Meddled {
            store: run.store,
            meddler: Meddler {
                file: bench.folder.path().join("children.db"),
                rng: Mutex::new(ChaCha8Rng::seed_from_u64(seed * 10_000 + n)),
            },
        };
        let run = Run {
            store: Arc::new(meddled),
            ..run
        };
        let (_stopper, stop) = Stop::new();
        let report = run.send(&bench.client(), stop, &mut Told::default()).await;
        let when = format!("run {n}, seed {seed}");
        assert!(report.ended_by.is_none(), "{when}: {report:?}");
        changed += report.changed.count;
        sent += report.accepted;
        what_is_marked_has_arrived(&bench, &when);
    }
    assert!(changed > RUNS / 10, "the meddling was felt: {changed}");
    assert!(sent > RUNS, "the runs did something: {sent}");
    let last = bench.run().await;
    assert!(last.ended_by.is_none(), "{last:?}");
    what_is_marked_has_arrived(&bench, "at the end");
    assert_eq!(bench.run().await.posts, 0, "nothing is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_newer_payload_is_marked_sent_in_full_mode() {
    meddled_with(Payloads::Full { exact: true }, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_newer_payload_is_marked_sent_with_deltas() {
    meddled_with(Payloads::Deltas, 2).await;
}
