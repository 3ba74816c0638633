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

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use csc_message::{Message, Probe};
use csc_payload::meaning;
use csc_sender_run::{Event, Gap, Payloads, Run, Stop, Watch};
use csc_simulator::Simulator;
use csc_staging::connection::{ConnectionTarget, parse};
use csc_staging::{
    Created, Earlier, Filled, Halt, NewRow, Outcome, PageRequest, Present, Restaged, RowKey,
    RowSource, Selection, StagedRow, StagingStore, StoreError, StoreErrorKind, Stretch,
    SubmissionStatus, Superseded, TableShape, TableSummary, connect,
};
use futures_util::FutureExt;
use place::{Bench, Told, send};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::sync::Mutex;

/// How many runs are interfered with: 1,000 over all four tests.
const RUNS_ON_SQLITE: u64 = 400;
const RUNS_ON_POSTGRESQL: u64 = 100;

/// The table as others see it, and a way to it that is not the run's.
enum Table {
    Sqlite(std::path::PathBuf),
    Postgres {
        client: tokio_postgres::Client,
        target: Box<ConnectionTarget>,
        schema: String,
    },
}

const NAME: &str = "ssd_api_data_staging_anon";

impl Table {
    /// The table of the bench.
    fn in_sqlite(bench: &Bench) -> Table {
        Table::Sqlite(bench.folder.path().join("children.db"))
    }

    /// A schema of its own in the tests' PostgreSQL, with the children of the bench.
    async fn in_postgresql(name: &str, children: u32) -> Table {
        let url = std::env::var("CSC_TEST_POSTGRES")
            .unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_string());
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .expect("the tests need a PostgreSQL: see README");
        tokio::spawn(connection);
        let table = Table::Postgres {
            client,
            target: Box::new(parse(&url).unwrap().target),
            schema: format!("csc_meddled_{}_{name}", std::process::id()),
        };
        table.execute("DROP SCHEMA IF EXISTS {s} CASCADE").await;
        table.execute("CREATE SCHEMA {s}").await;
        let store = table.store().await;
        store.create().await.unwrap();
        let rows: Vec<NewRow> = (1..=children)
            .map(|n| NewRow {
                person_id: format!("P{n}"),
                legacy_id: None,
                payload: place::payload(n),
                hash: [1; 32],
            })
            .collect();
        store.stage(&rows).await.unwrap();
        table
    }

    async fn store(&self) -> Arc<dyn StagingStore> {
        let (target, name) = match self {
            Table::Sqlite(file) => {
                let target = parse(&format!("sqlite:{}", file.display())).unwrap().target;
                (target, NAME.to_string())
            }
            Table::Postgres { target, schema, .. } => {
                ((**target).clone(), format!("{schema}.{NAME}"))
            }
        };
        connect(&target, &name.parse().unwrap()).await.unwrap()
    }

    /// `{t}` stands for the table, `{s}` for its schema.
    async fn execute(&self, sql: &str) {
        match self {
            Table::Sqlite(file) => {
                let connection = rusqlite::Connection::open(file).unwrap();
                connection
                    .busy_timeout(std::time::Duration::from_secs(30))
                    .unwrap();
                connection.execute_batch(&sql.replace("{t}", NAME)).unwrap();
            }
            Table::Postgres { client, schema, .. } => {
                let table = format!("{schema}.{NAME}");
                let sql = sql.replace("{t}", &table).replace("{s}", schema);
                client.batch_execute(&sql).await.unwrap();
            }
        }
    }

    /// id, payload and state of the rows that are marked sent and not deleted.
    async fn marked(&self) -> Vec<(i64, Value, String)> {
        let sql = "SELECT CAST(id AS BIGINT), json_payload, lower(row_state) FROM {t}
                   WHERE lower(submission_status) = 'sent' AND lower(row_state) <> 'deleted'";
        let rows: Vec<(i64, String, String)> = match self {
            Table::Sqlite(file) => rusqlite::Connection::open(file)
                .unwrap()
                .prepare(&sql.replace("{t}", NAME))
                .unwrap()
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap(),
            Table::Postgres { client, schema, .. } => client
                .query(&sql.replace("{t}", &format!("{schema}.{NAME}")), &[])
                .await
                .unwrap()
                .iter()
                .map(|row| (row.get(0), row.get(1), row.get(2)))
                .collect(),
        };
        rows.into_iter()
            .map(|(id, payload, state)| (id, serde_json::from_str(&payload).unwrap(), state))
            .collect()
    }

    async fn clean(&self) {
        if let Table::Postgres { .. } = self {
            self.execute("DROP SCHEMA {s} CASCADE").await;
        }
    }

    /// What another program may do to a row.
    fn meddling(&self, what: u32, id: u32, version: u32) -> String {
        let is_sqlite = matches!(self, Table::Sqlite(_));
        match what {
            // As the staging SQL stages a change.
            0..3 => {
                let payload = if is_sqlite {
                    format!("json_set(json_payload, '$.child_details.first_name', 'v{version}')")
                } else {
                    format!("jsonb_set(json_payload::jsonb, '{{child_details,first_name}}', '\"v{version}\"')::text")
                };
                format!(
                    "UPDATE {{t}} SET previous_json_payload = json_payload, json_payload = {payload},
                         row_state = 'Updated', submission_status = 'Pending' WHERE id = {id}"
                )
            }
            3 => format!("UPDATE {{t}} SET row_state = 'Deleted' WHERE id = {id}"),
            4 => format!("DELETE FROM {{t}} WHERE id = {id}"),
            5 => format!(
                "DELETE FROM {{t}} WHERE id = {id};
                 INSERT INTO {{t}} (id, person_id, json_payload)
                 VALUES ({id}, 'P{id}', '{{\"la_child_id\":\"C{id}\",\"child_details\":{{\"first_name\":\"v{version}\"}}}}')"
            ),
            // Touched, and as it was.
            _ => format!("UPDATE {{t}} SET last_updated = CURRENT_TIMESTAMP WHERE id = {id}"),
        }
    }
}

/// What another program does to the table, at moments of its own.
struct Meddler {
    table: Arc<Table>,
    meddling: Meddling,
}

enum Meddling {
    /// So many changes at one moment, at most.
    AtRandom {
        rng: Box<Mutex<ChaCha8Rng>>,
        changes: u32,
    },
    /// One, after so many moments.
    Once { left: AtomicU32, sql: &'static str },
}

impl Meddling {
    fn at_random(seed: u64, changes: u32) -> Meddling {
        Meddling::AtRandom {
            rng: Box::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))),
            changes,
        }
    }
}

impl Meddler {
    async fn meddle(&self) {
        match &self.meddling {
            Meddling::AtRandom { rng, changes } => {
                let mut rng = rng.lock().await;
                for _ in 0..rng.random_range(0..=*changes) {
                    let id = rng.random_range(1..=14);
                    let version = rng.random_range(0..1_000_000);
                    let sql = self.table.meddling(rng.random_range(0..7), id, version);
                    self.table.execute(&sql).await;
                }
            }
            Meddling::Once { left, sql } => {
                if left.fetch_sub(1, Ordering::SeqCst) == 0 {
                    self.table.execute(sql).await;
                }
            }
        }
    }
}

/// A table that is meddled with before and after whatever a run asks of it.
struct Meddled {
    store: Arc<dyn StagingStore>,
    meddler: Meddler,
    /// How many pages are read, and how many batches recorded, until the program meets a
    /// fault of its own.
    pages: AtomicU32,
    records: AtomicU32,
    /// Nothing is recorded before so many posts have arrived.
    slow_until: Option<(Simulator, u64)>,
    /// Whether the rows are counted where it is looked whether there are any.
    counts: bool,
    /// Whether they are counted while they are read, and nothing before so many posts have
    /// arrived.
    counts_late: Option<(Simulator, u64)>,
    /// Whether the table then does not let itself be counted.
    refuses_to_count: bool,
    /// Whether it does not say which rows are superseded.
    refuses_to_look: bool,
}

fn refused(what: &str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Statement,
        message: Message::new(303, what, "a test", "ask again"),
    }
}

/// Waits until so many posts have arrived.
async fn until_posted((simulator, posts): &(Simulator, u64)) {
    let begun = Instant::now();
    while simulator.counts().posts < *posts {
        assert!(begun.elapsed().as_secs() < 30, "too few posts arrive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Meddled {
    async fn new(table: &Arc<Table>, meddling: Meddling) -> Meddled {
        Meddled {
            store: table.store().await,
            meddler: Meddler {
                table: Arc::clone(table),
                meddling,
            },
            pages: AtomicU32::new(u32::MAX),
            records: AtomicU32::new(u32::MAX),
            slow_until: None,
            counts: false,
            counts_late: None,
            refuses_to_count: false,
            refuses_to_look: false,
        }
    }
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

    async fn try_writing(&self) -> Result<u64, StoreError> {
        self.store.try_writing().await
    }

    async fn lock(&self) -> Result<(), StoreError> {
        self.store.lock().await
    }

    async fn present(&self) -> Result<Present, StoreError> {
        let mut present = self.store.present().await?;
        if self.counts {
            let all = Superseded::default();
            present.records_counted = Some(self.store.count(Selection::Records, &all).await?);
        }
        if self.counts_late.is_some() {
            present.records_counted = None;
        }
        self.meddler.meddle().await;
        Ok(present)
    }

    fn counts_beside(&self) -> bool {
        self.counts_late.is_some() || self.store.counts_beside()
    }

    async fn count(
        &self,
        selection: Selection,
        superseded: &Superseded,
    ) -> Result<u64, StoreError> {
        if let Some(late) = &self.counts_late {
            until_posted(late).await;
        }
        if self.refuses_to_count {
            return Err(refused("The table is not counted"));
        }
        let count = self.store.count(selection, superseded).await;
        self.meddler.meddle().await;
        count
    }

    async fn superseded(&self) -> Result<Superseded, StoreError> {
        if self.refuses_to_look {
            return Err(refused("The table is not looked through"));
        }
        let superseded = self.store.superseded().await;
        self.meddler.meddle().await;
        superseded
    }

    async fn page_within(
        &self,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError> {
        let pages = self.pages.fetch_sub(1, Ordering::SeqCst);
        assert!(pages > 0, "a fault on purpose");
        let page = self.store.page_within(request, stretch).await;
        self.meddler.meddle().await;
        page
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<i64>, StoreError> {
        let records = self.records.fetch_sub(1, Ordering::SeqCst);
        assert!(records > 0, "a fault on purpose");
        if let Some(late) = &self.slow_until {
            until_posted(late).await;
        }
        self.meddler.meddle().await;
        let recorded = self.store.record(outcomes).await;
        self.meddler.meddle().await;
        recorded
    }

    async fn write_partials(
        &self,
        partials: &[(RowKey, Option<String>)],
    ) -> Result<Vec<i64>, StoreError> {
        self.meddler.meddle().await;
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

async fn what_is_marked_has_arrived(bench: &Bench, table: &Table, when: &str) {
    for (id, payload, state) in table.marked().await {
        assert_eq!(state, "unchanged", "row {id}, {when}");
        let child = payload["la_child_id"].as_str().unwrap();
        let held = bench.simulator.record("201", child);
        assert_eq!(
            held.as_ref().map(meaning),
            Some(meaning(&payload)),
            "row {id}, {when}"
        );
    }
}

const CHILDREN: u32 = 12;

async fn bench(payloads: Payloads) -> Bench {
    let mut bench = Bench::new(CHILDREN, &[]).await;
    bench.options.batch_size = 4;
    bench.options.payloads = payloads;
    bench.options.allow_purges = Some(1000);
    // One batch after the other, and side by side.
    bench.options.concurrency = match payloads {
        Payloads::Full { .. } => 3,
        Payloads::Deltas => 1,
    };
    bench
}

async fn meddled_with(bench: Bench, table: Table, runs: u64, seed: u64) {
    let table = Arc::new(table);
    let (mut changed, mut sent) = (0, 0);
    for n in 0..runs {
        let meddled = Meddled::new(&table, Meddling::at_random(seed * 10_000 + n, 2)).await;
        let run = Run {
            store: Arc::new(meddled),
            ..bench.a_run().await
        };
        let report = send(&run, &bench.client(), &mut Told::default()).await;
        let when = format!("run {n}, seed {seed}");
        assert!(report.ended_by.is_none(), "{when}: {report:?}");
        changed += report.changed.count;
        sent += report.accepted;
        what_is_marked_has_arrived(&bench, &table, &when).await;
    }
    assert!(changed > runs / 10, "the meddling was felt: {changed}");
    assert!(sent > runs, "the runs did something: {sent}");
    for posts in [None, Some(0)] {
        let run = Run {
            store: table.store().await,
            ..bench.a_run().await
        };
        let last = send(&run, &bench.client(), &mut Told::default()).await;
        assert!(last.ended_by.is_none(), "{last:?}");
        what_is_marked_has_arrived(&bench, &table, "at the end").await;
        assert!(
            posts.is_none_or(|posts| posts == last.posts),
            "nothing is left: {last:?}"
        );
    }
    table.clean().await;
}

async fn on_sqlite(payloads: Payloads, seed: u64) {
    let bench = bench(payloads).await;
    let table = Table::in_sqlite(&bench);
    meddled_with(bench, table, RUNS_ON_SQLITE, seed).await;
}

async fn on_postgresql(name: &str, payloads: Payloads, seed: u64) {
    let table = Table::in_postgresql(name, CHILDREN).await;
    meddled_with(bench(payloads).await, table, RUNS_ON_POSTGRESQL, seed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_newer_payload_is_marked_sent_in_full_mode_on_sqlite() {
    on_sqlite(Payloads::Full { exact: true }, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_newer_payload_is_marked_sent_with_deltas_on_sqlite() {
    on_sqlite(Payloads::Deltas, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_newer_payload_is_marked_sent_in_full_mode_on_postgresql() {
    on_postgresql("full", Payloads::Full { exact: true }, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_newer_payload_is_marked_sent_with_deltas_on_postgresql() {
    on_postgresql("deltas", Payloads::Deltas, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_the_program_while_it_reads_ends_the_run_and_is_not_the_end_of_the_rows() {
    let bench = Bench::new(150, &[]).await;
    let table = Arc::new(Table::in_sqlite(&bench));
    let broken = Meddled {
        pages: AtomicU32::new(1),
        ..Meddled::new(&table, Meddling::at_random(5, 2)).await
    };
    let run = Run {
        store: Arc::new(broken),
        ..bench.a_run().await
    };
    let report = send(&run, &bench.client(), &mut Told::default()).await;
    let ended_by = report.ended_by.as_ref().unwrap();
    assert_eq!(ended_by.code(), 619, "{ended_by}");
    assert!(report.left() >= 50, "{report:?}");
    what_is_marked_has_arrived(&bench, &table, "after the fault").await;
    // It has the table for itself as long as it is there.
    drop(run);
    let next = bench.run().await;
    assert!(next.ended_by.is_none(), "{next:?}");
    assert_eq!(next.left(), 0, "{next:?}");
    what_is_marked_has_arrived(&bench, &table, "at the end").await;
}

/// The program ends there (`panics.rs` of the cli), so this is what the next run finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_recorded_after_a_fault_of_the_program_while_it_records() {
    for batches_before in 0..3 {
        // The table is told of three batches at once, at most: of seven, three times at least.
        let bench = Bench::new(70, &[]).await;
        let table = Arc::new(Table::in_sqlite(&bench));
        // Whatever arrives twice was posted twice.
        let untouched = || Meddling::at_random(6, 0);
        let broken = Meddled {
            records: AtomicU32::new(batches_before),
            ..Meddled::new(&table, untouched()).await
        };
        let run = Run {
            store: Arc::new(broken),
            ..bench.a_run().await
        };
        let client = bench.client();
        let (_stopper, stop) = Stop::new();
        let mut told = Told::default();
        let ended = AssertUnwindSafe(run.send(&client, stop, &mut told)).catch_unwind();
        assert!(ended.await.is_err(), "it ends as it did");
        drop(run);
        let accepted = bench.simulator.counts().accepted_records;
        let written = bench.journal_receipts() as u64;
        let in_the_table = bench.statuses().get("sent").copied().unwrap_or(0);
        assert!(in_the_table >= u64::from(batches_before) * 10);
        // The batch that could not be recorded, and perhaps those behind it.
        assert!(written > in_the_table, "{written}");
        let counting = Meddled {
            counts: true,
            ..Meddled::new(&table, untouched()).await
        };
        let run = Run {
            store: Arc::new(counting),
            ..bench.a_run().await
        };
        let next = send(&run, &client, &mut Told::default()).await;
        assert!(next.ended_by.is_none(), "{next:?}");
        assert_eq!(next.left(), 0, "{next:?}");
        assert_eq!(next.caught_up.count, written - in_the_table, "{next:?}");
        assert_eq!(next.eligible, 70 - written, "{next:?}");
        // What was on its way, or about to be, has no receipt in the journal: it goes again,
        // and is named. Without a gap that is two batches.
        let twice = bench.simulator.counts().accepted_records - 70;
        assert_eq!(twice, accepted - written, "{next:?}");
        assert!((twice..=20).contains(&next.sent_again.count), "{next:?}");
        what_is_marked_has_arrived(&bench, &table, "at the end").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_wait_for_a_slow_table_go_into_it_together() {
    let mut bench = Bench::new(60, &[]).await;
    bench.options.gap = Gap::from_millis(0);
    let table = Arc::new(Table::in_sqlite(&bench));
    let meddling = Meddling::Once {
        // At the first recording: all rows are read by then.
        left: AtomicU32::new(4),
        sql: "UPDATE {t} SET json_payload = '{\"la_child_id\":\"C15\"}' WHERE id = 15",
    };
    let slow = Arc::new(Meddled {
        // As many as are posted while the first batch is recorded: two more wait by then.
        slow_until: Some((bench.simulator.clone(), 5)),
        ..Meddled::new(&table, meddling).await
    });
    let run = Run {
        store: Arc::clone(&slow) as Arc<dyn StagingStore>,
        ..bench.a_run().await
    };
    let report = send(&run, &bench.client(), &mut Told::default()).await;
    assert!(report.ended_by.is_none(), "{report:?}");
    let recordings = u32::MAX - slow.records.load(Ordering::SeqCst);
    assert!((2..6).contains(&recordings), "{recordings} for six batches");
    // What changed meanwhile is told of, and nothing else is taken for it.
    assert_eq!(
        (report.accepted, report.changed.count),
        (59, 1),
        "{report:?}"
    );
    assert_eq!(report.changed.examples, [15]);
    what_is_marked_has_arrived(&bench, &table, "after the slow run").await;
    // They have the table for themselves as long as they are there.
    drop((run, slow));
    let next = bench.run().await;
    assert_eq!((next.accepted, next.caught_up.count), (1, 0), "{next:?}");
    what_is_marked_has_arrived(&bench, &table, "at the end").await;
}

/// Whether a run says how many rows there are before it says that any are recorded.
#[derive(Default)]
struct Counted {
    eligible: Option<u64>,
    recorded: bool,
}

impl Watch for Counted {
    fn event(&mut self, event: Event) {
        match event {
            Event::Begun { eligible } => {
                assert!(!self.recorded);
                assert_eq!(self.eligible.replace(eligible), None, "once");
            }
            Event::Recorded { .. } => self.recorded = true,
            Event::Waiting { .. } => {}
        }
    }
}

/// A bench whose rows are counted once two posts have arrived.
async fn counted_late(refuses_to_count: bool, gap: u64) -> (Bench, Arc<Table>, Run) {
    let mut bench = Bench::new(60, &[]).await;
    bench.options.gap = Gap::from_millis(gap);
    let table = Arc::new(Table::in_sqlite(&bench));
    let meddled = Meddled {
        counts_late: Some((bench.simulator.clone(), 2)),
        refuses_to_count,
        ..Meddled::new(&table, Meddling::at_random(6, 0)).await
    };
    let run = Run {
        store: Arc::new(meddled),
        ..bench.a_run().await
    };
    (bench, table, run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_counted_while_the_first_are_posted_and_before_any_is_recorded() {
    for (superseded, eligible) in [
        ("", 60),
        ("UPDATE {t} SET person_id = 'x' WHERE id < 3", 59),
    ] {
        for gap in [0, 1] {
            let (bench, table, run) = counted_late(false, gap).await;
            if !superseded.is_empty() {
                bench.execute(superseded);
            }
            let (_stopper, stop) = Stop::new();
            let mut counted = Counted::default();
            let report = run.send(&bench.client(), stop, &mut counted).await;
            assert!(report.ended_by.is_none(), "{report:?}");
            assert_eq!(counted.eligible, Some(eligible), "gap {gap}");
            assert_eq!((report.eligible, report.accepted), (eligible, eligible));
            what_is_marked_has_arrived(&bench, &table, "at the end").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_rows_cannot_be_counted_ends_and_what_it_sent_is_not_sent_again() {
    for gap in [0, 1] {
        let (bench, table, run) = counted_late(true, gap).await;
        let report = send(&run, &bench.client(), &mut Told::default()).await;
        let message = report.ended_by.clone().unwrap();
        assert_eq!(message.what(), "The table is not counted", "gap {gap}");
        assert!((2..6).contains(&report.posts), "{report:?}");
        what_is_marked_has_arrived(&bench, &table, "after the run").await;
        drop(run);
        let next = bench.run().await;
        assert!(next.ended_by.is_none(), "{next:?}");
        assert_eq!(next.left(), 0, "{next:?}");
        assert_eq!(bench.simulator.counts().accepted_records, 60, "gap {gap}");
        what_is_marked_has_arrived(&bench, &table, "at the end").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_rows_are_left_alone_whether_they_could_go_or_not() {
    for payloads in [Payloads::Full { exact: true }, Payloads::Deltas] {
        let bench = bench(payloads).await;
        bench.execute(
            "UPDATE {t} SET json_payload = '{\"la_child_id\":' WHERE id = 1;
             INSERT INTO {t} (id, person_id, json_payload) VALUES
             (98, 'P1', '{\"la_child_id\":\"C1\",\"child_details\":{}}'),
             (99, 'P2', '{\"la_child_id\":\"C2\",\"child_details\":{\"first_name\":\"new\"}}')",
        );
        let report = bench.run().await;
        assert_eq!(report.accepted, u64::from(CHILDREN), "{report:?}");
        assert_eq!(
            (report.eligible, report.refused_count()),
            (report.accepted, 0)
        );
        let left: Vec<(i64, String)> = bench
            .sql()
            .prepare(&format!(
                "SELECT id, lower(submission_status) FROM {NAME} WHERE submission_status <> 'sent'"
            ))
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let pending = |id| (id, "pending".to_string());
        assert_eq!(left, [pending(1), pending(2)]);
        let held = bench.simulator.record("201", "C2").unwrap();
        assert_eq!(held["child_details"]["first_name"], "new");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_cannot_tell_older_rows_from_newer_ones_sends_nothing() {
    for payloads in [Payloads::Full { exact: true }, Payloads::Deltas] {
        let bench = bench(payloads).await;
        bench.execute("UPDATE {t} SET row_state = 'deleted' WHERE id = 1");
        let table = Arc::new(Table::in_sqlite(&bench));
        let meddled = Meddled {
            refuses_to_look: true,
            ..Meddled::new(&table, Meddling::at_random(6, 0)).await
        };
        let run = Run {
            store: Arc::new(meddled),
            ..bench.a_run().await
        };
        let report = send(&run, &bench.client(), &mut Told::default()).await;
        let message = report.ended_by.clone().unwrap();
        assert_eq!(message.what(), "The table is not looked through");
        assert_eq!(bench.simulator.counts().posts, 0, "{report:?}");
    }
}

/// Children that were sent, then changed; and a run at one moment of which they are changed
/// once more. Gives the bench, the table, and whether that moment came.
async fn changed_once(
    moment: u32,
    before: &str,
    meanwhile: &'static str,
) -> (Bench, Arc<Table>, bool) {
    let bench = bench(Payloads::Full { exact: true }).await;
    let first = bench.run().await;
    assert_eq!(first.accepted, u64::from(CHILDREN), "{first:?}");
    bench.execute(before);
    let table = Arc::new(Table::in_sqlite(&bench));
    let meddling = Meddling::Once {
        left: AtomicU32::new(moment),
        sql: meanwhile,
    };
    let meddled = Arc::new(Meddled::new(&table, meddling).await);
    let run = Run {
        store: Arc::clone(&meddled) as Arc<dyn StagingStore>,
        ..bench.a_run().await
    };
    let report = send(&run, &bench.client(), &mut Told::default()).await;
    assert!(report.ended_by.is_none(), "moment {moment}: {report:?}");
    let Meddling::Once { left, .. } = &meddled.meddler.meddling else {
        unreachable!("it was made above");
    };
    // Wrapped around, once it came.
    let came = left.load(Ordering::SeqCst) > moment;
    (bench, table, came)
}

const NEW_PAYLOAD: &str = r#"{"la_child_id":"C1","child_details":{"first_name":"new"}}"#;

/// Before a run has ended: at fewer moments a table is hardly asked anything.
const MOMENTS: u32 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_older_row_follows_the_purge_of_a_child_that_was_deleted_a_moment_ago() {
    let mut moment = 0;
    let mut purged = 0;
    loop {
        let (bench, _, came) = changed_once(
            moment,
            "UPDATE {t} SET json_payload = '{\"la_child_id\":\"C1\",\"child_details\":{}}',
                 row_state = 'updated', submission_status = 'pending' WHERE id = 1;
             UPDATE {t} SET row_state = 'deleted' WHERE id = 2",
            "INSERT INTO {t} (id, person_id, json_payload, row_state)
             VALUES (99, 'P1', '{\"la_child_id\":\"C1\"}', 'deleted')",
        )
        .await;
        if !came {
            break;
        }
        let status: String = bench
            .sql()
            .query_row(
                &format!("SELECT submission_status FROM {NAME} WHERE id = 99"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        if status == "sent" {
            purged += 1;
            let held = bench.simulator.record("201", "C1");
            assert_eq!(held, None, "moment {moment}: purged, and sent again");
        }
        let next = bench.run().await;
        assert!(next.ended_by.is_none(), "{next:?}");
        let held = bench.simulator.record("201", "C1");
        assert_eq!(held, None, "moment {moment}: the newest row is deleted");
        moment += 1;
    }
    assert!(moment >= MOMENTS && purged > 0, "{moment}, {purged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_comes_back_while_its_purge_is_looked_for_ends_as_its_new_row_says() {
    let mut moment = 0;
    loop {
        let (bench, table, came) = changed_once(
            moment,
            "UPDATE {t} SET row_state = 'deleted' WHERE id = 1;
             UPDATE {t} SET json_payload = '{\"la_child_id\":\"C2\",\"child_details\":{}}',
                 row_state = 'updated', submission_status = 'pending' WHERE id = 2",
            "INSERT INTO {t} (id, person_id, json_payload, row_state) VALUES
             (99, 'P1', '{\"la_child_id\":\"C1\",\"child_details\":{\"first_name\":\"new\"}}', 'new')",
        )
        .await;
        if !came {
            break;
        }
        what_is_marked_has_arrived(&bench, &table, &format!("moment {moment}")).await;
        let next = bench.run().await;
        assert!(next.ended_by.is_none(), "{next:?}");
        let held = bench.simulator.record("201", "C1");
        let new: Value = serde_json::from_str(NEW_PAYLOAD).unwrap();
        let held = held.as_ref().map(meaning);
        assert_eq!(held, Some(meaning(&new)), "moment {moment}");
        moment += 1;
    }
    assert!(moment >= MOMENTS, "{moment}");
}
