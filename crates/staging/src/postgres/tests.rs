//! What becomes of a store whose connection is lost: a real PostgreSQL, by a way that can
//! be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use jiff::civil::date;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::PostgresStore;
use super::session::Patience;
use crate::connection::{ConnectionTarget, PostgresTarget, SslMode, parse};
use crate::{
    NewRow, Outcome, PageLimits, PageRequest, RowResult, Selection, StagedRow, StagingStore,
    StoreErrorKind, Stretch, TableName,
};

const SHORT: Patience = Patience {
    statement: Duration::from_secs(20),
    blocked: &[Duration::from_millis(10), Duration::from_millis(10)],
    lost: &[
        Duration::ZERO,
        Duration::from_millis(50),
        Duration::from_millis(100),
    ],
    lock_again: Duration::from_secs(20),
};

/// As short, and as often as a server needs that is back at some time.
const LONG: Patience = Patience {
    lost: &[
        Duration::ZERO,
        Duration::from_millis(50),
        Duration::from_secs(1),
        Duration::from_secs(20),
    ],
    ..SHORT
};

fn url() -> String {
    std::env::var("CSC_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_string())
}

fn server() -> PostgresTarget {
    match parse(&url()).unwrap().target {
        ConnectionTarget::Postgres(target) => target,
        other => panic!("{other}"),
    }
}

/// A way to the server. Cut, it ends every connection at once.
struct Way {
    address: SocketAddr,
    cuts: watch::Sender<u32>,
    /// The next answer of some length is not passed on: the connection ends instead.
    swallow: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

impl Way {
    async fn new() -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let way = Way {
            address: listener.local_addr().unwrap(),
            cuts: watch::channel(0).0,
            swallow: Arc::default(),
            closed: Arc::default(),
        };
        let (cuts, swallow, closed) = (
            way.cuts.subscribe(),
            Arc::clone(&way.swallow),
            Arc::clone(&way.closed),
        );
        tokio::spawn(async move {
            let target = server();
            while let Ok((client, _)) = listener.accept().await {
                if closed.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect((target.host.as_str(), target.port))
                    .await
                    .unwrap();
                tokio::spawn(pass(client, server, cuts.clone(), Arc::clone(&swallow)));
            }
        });
        way
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    async fn store(&self, table: &TableName, options: Option<&str>) -> PostgresStore {
        self.patient_store(table, options, SHORT).await
    }

    async fn patient_store(
        &self,
        table: &TableName,
        options: Option<&str>,
        patience: Patience,
    ) -> PostgresStore {
        let target = PostgresTarget {
            host: self.address.ip().to_string(),
            port: self.address.port(),
            options: options.map(str::to_string),
            // Its answers are looked into.
            sslmode: SslMode::Disable,
            ..server()
        };
        PostgresStore::connect_with(&target, table, patience)
            .await
            .unwrap()
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    mut cuts: watch::Receiver<u32>,
    swallow: Arc<AtomicBool>,
) {
    cuts.mark_unchanged();
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            _ = cuts.changed() => return,
            read = client.read(&mut up) => match read {
                Ok(read) if read > 0 => server.write_all(&up[..read]).await.unwrap(),
                Ok(_) | Err(_) => return,
            },
            read = server.read(&mut down) => match read {
                Ok(read) if read > 0 => {
                    // The answer that tells of a statement's end (CommandComplete) is lost.
                    let told = [b"UPDATE ", b"SELECT ", b"INSERT "];
                    let ends = down[..read].windows(7).any(|seven| told.iter().any(|told| seven == *told));
                    if ends && swallow.swap(false, Ordering::SeqCst) {
                        return;
                    }
                    if client.write_all(&down[..read]).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => return,
            },
        }
    }
}

/// A table of a test's own, and a connection beside the store's.
struct Scene {
    way: Way,
    table: TableName,
    schema: String,
    admin: tokio_postgres::Client,
}

static SCENES: AtomicU32 = AtomicU32::new(0);

impl Scene {
    async fn new() -> Scene {
        let number = SCENES.fetch_add(1, Ordering::SeqCst);
        let schema = format!("csc_lost_{}_{number}", std::process::id());
        let (admin, connection) = tokio_postgres::connect(&url(), tokio_postgres::NoTls)
            .await
            .expect("the tests need a PostgreSQL: see README");
        tokio::spawn(connection);
        admin
            .batch_execute(&format!(
                "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"
            ))
            .await
            .unwrap();
        let scene = Scene {
            way: Way::new().await,
            table: format!("{schema}.ssd_api_data_staging_anon")
                .parse()
                .unwrap(),
            schema,
            admin,
        };
        let store = scene.way.store(&scene.table, None).await;
        store.create().await.unwrap();
        let rows: Vec<NewRow> = (1..=3)
            .map(|n| NewRow {
                person_id: format!("P{n}"),
                legacy_id: None,
                payload: format!(r#"{{"la_child_id":"C{n}"}}"#),
                hash: [1; 32],
            })
            .collect();
        store.stage(&rows).await.unwrap();
        scene
    }

    async fn store(&self) -> PostgresStore {
        self.way.store(&self.table, None).await
    }

    /// Waits until no session has the table's run lock.
    async fn unlocked(&self) {
        let held = format!(
            "SELECT 1 FROM pg_locks
             WHERE locktype = 'advisory' AND granted AND objid = '{}'::regclass",
            self.table
        );
        let begun = std::time::Instant::now();
        while !self.admin.query(&held, &[]).await.unwrap().is_empty() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it is never free"
            );
        }
    }

    async fn clean(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.admin.batch_execute(&sql).await.unwrap();
    }
}

async fn read(store: &PostgresStore) -> Vec<StagedRow> {
    let request = PageRequest {
        selection: Selection::Records,
        after: i64::MIN,
        limits: PageLimits {
            rows: 100,
            bytes: 1 << 20,
        },
        with_previous: false,
    };
    let all = Stretch {
        skip: Vec::new(),
        last: i64::MAX,
    };
    store.page_within(request, &all).await.unwrap()
}

fn outcomes(rows: Vec<StagedRow>) -> Vec<Outcome> {
    let at = date(2026, 11, 24).at(9, 0, 0, 0);
    let result = |n: i64| match n {
        1 => RowResult::Refused {
            reason: "a reason".into(),
        },
        _ => RowResult::Accepted {
            receipt: format!("0000000{n}-0000-0000-0000-000000000000"),
            at,
        },
    };
    rows.into_iter()
        .map(|row| Outcome {
            result: result(row.key.id()),
            key: row.key,
        })
        .collect()
}

/// The ids that were recorded, in order.
async fn record(store: &PostgresStore, rows: Vec<StagedRow>) -> Vec<i64> {
    let mut ids = store.record(&outcomes(rows)).await.unwrap();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_made_anew_for_reading_and_for_writing() {
    let scene = Scene::new().await;
    let store = scene.store().await;
    store.lock().await.unwrap();
    assert_eq!(read(&store).await.len(), 3);
    scene.way.cut();
    let rows = read(&store).await;
    assert_eq!(rows.len(), 3);
    scene.way.cut();
    // The server takes a moment to notice that the session which had the lock is gone.
    scene.unlocked().await;
    let standstill = store.standstill();
    assert_eq!(record(&store, rows).await, [1, 2, 3]);
    assert_eq!(read(&store).await.len(), 1, "the refused one goes again");
    assert!(
        !standstill.has_changed().unwrap(),
        "what is back at once is worth no word"
    );
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_recorded_before_the_answer_was_lost_counts_as_recorded() {
    let scene = Scene::new().await;
    let store = scene.store().await;
    let rows = read(&store).await;
    scene.way.swallow.store(true, Ordering::SeqCst);
    let recorded = record(&store, rows).await;
    assert!(
        !scene.way.swallow.load(Ordering::SeqCst),
        "an answer was lost"
    );
    assert_eq!(recorded, [1, 2, 3]);
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staging_whose_connection_was_lost_says_that_nothing_is_half_written() {
    let scene = Scene::new().await;
    let store = scene.store().await;
    let row = NewRow {
        person_id: "P9".into(),
        legacy_id: None,
        payload: "{}".into(),
        hash: [1; 32],
    };
    store.shape().await.unwrap();
    scene.way.swallow.store(true, Ordering::SeqCst);
    let lost = store.stage(&[row]).await.unwrap_err();
    assert_eq!(
        (lost.kind, lost.message.code()),
        (StoreErrorKind::Connection, 303)
    );
    let next = lost.message.next();
    assert!(next.contains("all of it or nothing"), "{lost}");
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_changed_while_the_connection_was_lost_is_left_alone() {
    let scene = Scene::new().await;
    let store = scene.store().await;
    let rows = read(&store).await;
    scene.way.cut();
    let sql = format!(
        "UPDATE {} SET json_payload = '{{}}' WHERE id = 2",
        scene.table
    );
    scene.admin.batch_execute(&sql).await.unwrap();
    assert_eq!(record(&store, rows).await, [1, 3]);
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_run_lock_is_taken_again_on_a_new_connection() {
    let scene = Scene::new().await;
    let (store, other) = (scene.store().await, scene.store().await);
    store.lock().await.unwrap();
    scene.way.cut();
    read(&store).await;
    let refused = other.lock().await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy, "{refused}");
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_lock_another_took_meanwhile_ends() {
    const HURRIED: Patience = Patience {
        lock_again: Duration::from_secs(2),
        ..SHORT
    };
    let scene = Scene::new().await;
    let store = scene.way.patient_store(&scene.table, None, HURRIED).await;
    let other = scene.store().await;
    store.lock().await.unwrap();
    let rows = read(&store).await;
    scene.way.cut();
    // The server takes a moment to notice that the first one is gone.
    let begun = std::time::Instant::now();
    while other.lock().await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "it is never free"
        );
    }
    let standstill = store.standstill();
    let ended = store.record(&outcomes(rows)).await.unwrap_err();
    assert_eq!(ended.kind, StoreErrorKind::Busy, "{ended}");
    let waited = standstill.borrow().clone().unwrap();
    assert!(waited.why.contains("run lock"), "{waited:?}");
    assert_eq!(waited.patience, HURRIED.lock_again);
    assert!(ended.message.what().contains("has taken over"), "{ended}");
    assert_eq!(read(&other).await.len(), 1, "what was sent is recorded");
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_away_is_told_with_how_long_it_was_tried() {
    let scene = Scene::new().await;
    let store = scene.store().await;
    let rows = read(&store).await;
    scene.way.close();
    let gone = store.record(&outcomes(rows)).await.unwrap_err();
    assert_eq!(gone.kind, StoreErrorKind::Connection);
    assert_eq!(gone.message.code(), 340, "{gone}");
    assert!(gone.message.why().contains("4 tries in"), "{gone}");
    assert!(gone.message.next().contains("journal"), "{gone}");
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_is_told_that_the_server_is_waited_for_and_when_it_is_back() {
    let scene = Scene::new().await;
    let store = scene.way.patient_store(&scene.table, None, LONG).await;
    let mut standstill = store.standstill();
    assert_eq!(*standstill.borrow_and_update(), None);
    scene.way.close();
    let reading = tokio::spawn(async move { read(&store).await.len() });
    standstill.changed().await.unwrap();
    let waits = standstill.borrow_and_update().clone().unwrap();
    assert!(waits.why.starts_with("the database is gone: "), "{waits:?}");
    assert_eq!(waits.patience, Duration::from_millis(21_050));
    scene.way.open();
    standstill.changed().await.unwrap();
    assert_eq!(*standstill.borrow_and_update(), None);
    assert_eq!(reading.await.unwrap(), 3);
    scene.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_loses_a_deadlock_is_tried_again() {
    let scene = Scene::new().await;
    // Ours looks for deadlocks first, and so is the one that loses.
    let options = Some("-c deadlock_timeout=3s");
    let store = scene.way.store(&scene.table, options).await;
    let rows = read(&store).await;
    let execute = async |sql: &str| scene.admin.batch_execute(sql).await.unwrap();
    let touch = |id| {
        format!(
            "UPDATE {} SET api_response = 'theirs' WHERE id = {id}",
            scene.table
        )
    };
    execute("SET deadlock_timeout = '60s'; BEGIN").await;
    execute(&touch(3)).await;
    let writing = tokio::spawn(async move { record(&store, rows).await });
    let waits =
        "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))";
    while scene.admin.query(waits, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    execute(&touch(1)).await;
    execute("COMMIT").await;
    assert_eq!(writing.await.unwrap(), [1, 2, 3]);
    scene.clean().await;
}

/// How the reader's connection is told to find rows.
async fn may_read_whole_tables(store: &PostgresStore, in_order: bool) -> String {
    let (sql, what) = ("SELECT current_setting('enable_seqscan')", "look");
    let setting = |row: tokio_postgres::Row| row.get::<_, String>(0);
    let asked = match in_order {
        true => store.reader.ask_in_order(what, sql, &[], setting).await,
        false => store.reader.ask(what, |_| sql, &[], setting).await,
    };
    asked.unwrap().0.remove(0)
}

#[tokio::test]
async fn pages_are_read_by_the_index_and_nothing_else_is() {
    let scene = Scene::new().await;
    let store = scene.store().await;
    for _ in 0..2 {
        assert_eq!(may_read_whole_tables(&store, true).await, "off");
        assert_eq!(may_read_whole_tables(&store, true).await, "off");
        assert_eq!(may_read_whole_tables(&store, false).await, "on");
        assert_eq!(may_read_whole_tables(&store, true).await, "off");
        scene.way.cut();
    }
    assert_eq!(may_read_whole_tables(&store, false).await, "on");
    // Only what is asked in order is kept on that connection: here it is the page.
    assert_eq!(read(&store).await.len(), 3);
    let sql = "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%json_payload%'";
    let kept = store
        .reader
        .ask("look", |_| sql, &[], |row| row.get::<_, String>(0))
        .await;
    assert_eq!(kept.unwrap().0.len(), 1);
    drop(store);
    scene.clean().await;
}
