//! A bench for runs: a real SQLite table and the simulated receiver.

#![allow(dead_code)] // each test file uses its part of it

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use csc_message::Exit;
use csc_receiver::{Client, ClientOptions};
use csc_sender_run::{
    Author, Event, Gap, Journal, Mode, Payloads, RetryPolicy, Run, RunOptions, RunReport, Stop,
    Watch, new_run_id,
};
use csc_simulator::{InProcess, Settings, Simulator};
use csc_staging::connection::parse;
use csc_staging::{NewRow, StagingStore, connect_creating};

/// A table, a simulated receiver, and what a run is asked.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub simulator: Simulator,
    pub options: RunOptions,
}

/// Counts what a run tells.
#[derive(Default)]
pub struct Told {
    pub waits: Vec<Duration>,
    pub events: usize,
}

impl Watch for Told {
    fn event(&mut self, event: Event) {
        self.events += 1;
        if let Event::Waiting { wait, .. } = event {
            self.waits.push(wait);
        }
    }
}

impl Bench {
    pub async fn new(children: u32, faults: &[&str]) -> Bench {
        let bench = Bench {
            folder: tempfile::tempdir().unwrap(),
            simulator: Simulator::new(Settings {
                faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
                ..Settings::default()
            }),
            options: RunOptions {
                mode: Mode::Live,
                payloads: Payloads::Full { exact: true },
                checks: None,
                resync: false,
                allow_purges: None,
                batch_size: 10,
                concurrency: 1,
                max_batch_bytes: 1 << 20,
                limit: None,
                gap: Gap::from_millis(
                    std::env::var("CSC_TEST_MIN_GAP_MS").map_or(0, |gap| gap.parse().unwrap()),
                ),
                retry: RetryPolicy {
                    max_retries: 3,
                    base: Duration::from_millis(1),
                    max_wait: Duration::from_secs(300),
                },
                run_id: String::new(),
                author: Author::default(),
            },
        };
        let rows: Vec<NewRow> = (1..=children)
            .map(|n| NewRow {
                person_id: format!("P{n}"),
                legacy_id: None,
                payload: payload(n),
                hash: [1; 32],
            })
            .collect();
        let store = bench.store().await;
        store.create().await.unwrap();
        store.stage(&rows).await.unwrap();
        bench
    }

    pub async fn store(&self) -> Arc<dyn StagingStore> {
        let file = self.folder.path().join("children.db");
        let target = parse(&format!("sqlite:{}", file.display())).unwrap().target;
        let table = "ssd_api_data_staging_anon".parse().unwrap();
        connect_creating(&target, &table).await.unwrap()
    }

    pub fn client(&self) -> Client {
        Client::new(
            Arc::new(InProcess::new(self.simulator.clone())),
            self.client_options(),
        )
    }

    pub fn client_options(&self) -> ClientOptions {
        ClientOptions {
            endpoint: format!("http://simulated{}", csc_simulator::API_PATH),
            token_endpoint: format!("http://simulated{}", csc_simulator::TOKEN_PATH),
            la_code: "201".into(),
            client_id: csc_simulator::CLIENT_ID.into(),
            client_secret: csc_simulator::CLIENT_SECRET.to_string().into(),
            scope: csc_simulator::SCOPE.into(),
            supplier_key: csc_simulator::SUPPLIER_KEY.to_string().into(),
            supplier_key_secondary: Some(csc_simulator::SUPPLIER_KEY_SECONDARY.to_string().into()),
            user_agent: "csc-sender/test".into(),
            timeout: Duration::from_secs(5),
        }
    }

    pub async fn a_run(&self) -> Run {
        let journal = Journal::open(&self.folder.path().join("state/journal.db"))
            .unwrap()
            .journal;
        Run {
            store: self.store().await,
            ledger: Some(journal.ledger("http://simulated/1/", "201")),
            options: RunOptions {
                run_id: new_run_id(),
                ..self.options.clone()
            },
        }
    }

    pub async fn run(&self) -> RunReport {
        self.run_told(&mut Told::default()).await
    }

    pub async fn run_told(&self, told: &mut Told) -> RunReport {
        let report = send(&self.a_run().await, &self.client(), told).await;
        assert!(told.events > 0);
        report
    }

    pub fn sql(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("children.db")).unwrap()
    }

    pub fn execute(&self, sql: &str) {
        self.sql()
            .execute_batch(&sql.replace("{t}", "ssd_api_data_staging_anon"))
            .unwrap();
    }

    fn journal(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("state/journal.db")).unwrap()
    }

    pub fn execute_journal(&self, sql: &str) {
        self.journal().execute_batch(sql).unwrap();
    }

    /// What left, in order: the row, how often its batch was posted, whether it went again.
    pub fn journal_rows(&self) -> Vec<(i64, i64, bool)> {
        self.journal()
            .prepare(
                "SELECT row_id, posts, again FROM departure JOIN batch USING (batch_id)
                 ORDER BY batch_id, position",
            )
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    /// The hashes of what left, in order.
    pub fn journal_hashes(&self) -> Vec<String> {
        self.journal()
            .prepare("SELECT sha256 FROM departure ORDER BY batch_id, position")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    /// Of how many records the journal has the receipt.
    pub fn journal_receipts(&self) -> usize {
        self.journal()
            .query_row("SELECT count(receipt) FROM departure", [], |row| {
                row.get::<_, i64>(0)
            })
            .unwrap()
            .try_into()
            .unwrap()
    }

    /// Rows by status, in lower case.
    pub fn statuses(&self) -> BTreeMap<String, u64> {
        self.sql()
            .prepare("SELECT lower(submission_status), count(*) FROM ssd_api_data_staging_anon GROUP BY 1")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    pub fn response(&self, id: i64) -> String {
        self.sql()
            .query_row(
                "SELECT coalesce(api_response, '') FROM ssd_api_data_staging_anon WHERE id = ?1",
                [id],
                |row| row.get(0),
            )
            .unwrap()
    }
}

/// Sends once the run lock is free, which may last a moment longer than the run that had it.
pub async fn send(run: &Run, client: &Client, told: &mut Told) -> RunReport {
    let begun = Instant::now();
    loop {
        let (_stopper, stop) = Stop::new();
        let report = run.send(client, stop, told).await;
        let is_kept_out = report.exit() == Exit::Busy && told.events == 0;
        if !is_kept_out || begun.elapsed() > Duration::from_secs(30) {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn payload(n: u32) -> String {
    format!(r#"{{"la_child_id":"C{n}","child_details":{{"sex":"M"}}}}"#)
}

pub fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs
        .iter()
        .map(|(word, n)| (word.to_string(), *n))
        .collect()
}
