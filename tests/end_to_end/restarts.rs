//! The database goes away in the middle of a run: a PostgreSQL of the test's own is stopped;
//! to a SQL Server (`CSC_TEST_MSSQL`), the way is shut.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::gate::Gate;
use crate::kills::{nothing_is_marked_that_did_not_arrive, record};
use crate::own_postgres::OwnPostgres;
use crate::place::{Place, Ran, interrupt, until};
use crate::postgres::Schema;
use crate::sql_server::OwnTable;
use crate::table::Table;
use crate::two_runs::through;
use crate::watched::Watched;

const CHILDREN: u64 = 60;
const LIVE: [&str; 3] = ["send", "--live", "--yes"];

/// What is said of a database that is gone, whatever the verbosity.
const GONE: &str = "the database is gone: ";

/// The server with the table.
enum Server {
    Postgres(OwnPostgres, Box<Schema>),
    SqlServer(Gate, Box<OwnTable>),
}

impl Server {
    fn postgres() -> Server {
        let server = OwnPostgres::start();
        let schema = Box::new(Schema::at(&server.url(), "restarts"));
        Server::Postgres(server, schema)
    }

    /// None where there is none.
    fn sql_server(name: &str) -> Option<Server> {
        let table = OwnTable::create(name)?;
        let way = Gate::to(table.server());
        Some(Server::SqlServer(way, Box::new(table)))
    }

    fn settings(&self) -> String {
        match self {
            Server::Postgres(server, schema) => format!(
                "DB_CONNECTION_STRING={}\nTABLE_NAME={}\n",
                server.url(),
                name_in(schema)
            ),
            Server::SqlServer(way, table) => table.settings_through(way),
        }
    }

    fn table(&self) -> Table<'_> {
        match self {
            Server::Postgres(_, schema) => Table::Postgres(schema, name_in(schema)),
            Server::SqlServer(_, table) => Table::SqlServer(table),
        }
    }

    fn product(&self) -> &'static str {
        match self {
            Server::Postgres(..) => "PostgreSQL",
            Server::SqlServer(..) => "SQL Server",
        }
    }

    fn goes(&self) {
        match self {
            Server::Postgres(server, _) => server.stop(),
            Server::SqlServer(way, _) => way.shut(),
        }
    }

    fn is_back(&mut self) {
        match self {
            Server::Postgres(server, schema) => {
                server.again();
                schema.reconnect(&server.url());
            }
            Server::SqlServer(way, _) => way.open(),
        }
    }
}

fn name_in(schema: &Schema) -> String {
    format!("{}.ssd_api_data_staging_anon", schema.name)
}

/// A table, and a gate on the way to the receiver.
struct Scene {
    server: Server,
    place: Place,
    gate: Gate,
    version: u64,
}

impl Scene {
    fn new(server: Server) -> Scene {
        let place = Place::new(0, &["slow=100"]);
        let gate = Gate::to(place.running.address());
        let scene = Scene {
            server,
            place,
            gate,
            version: 0,
        };
        let settings = scene.server.settings();
        scene.place.write_env(&format!(
            "{}{settings}LOG_FILE=run.log\nLOG_ROTATION=never",
            through(&scene.gate)
        ));
        assert_eq!(scene.place.run(&["init"]).exit, 0);
        scene.place.simulator.keep_log();
        for child in 0..CHILDREN {
            scene.table().enter(child, &record(child, 0));
        }
        scene
    }

    fn table(&self) -> Table<'_> {
        self.server.table()
    }

    fn change_all(&mut self) {
        self.version += 1;
        self.table().until_free();
        for child in 0..CHILDREN {
            self.table().change(child, &record(child, self.version));
        }
    }

    fn posts(&self) -> u64 {
        self.place.simulator.counts().posts
    }

    /// Begins a run, and takes the database away while a reply is on its way back: it is
    /// accepted, and cannot be recorded.
    fn database_gone_in_mid_run(&self) -> Watched {
        let (simulator, before) = (self.place.simulator.clone(), self.posts());
        self.gate
            .hold_when(move || simulator.counts().posts > before);
        let run = Watched::start(&self.place, &LIVE);
        self.gate.until_held();
        self.server.goes();
        self.gate.open();
        run.until_said(GONE);
        run
    }

    /// Every row is sent, and each version of it arrived just once.
    fn all_is_sent_once(&self, ran: &Ran) {
        nothing_is_marked_that_did_not_arrive(&self.place, &self.table(), &ran.both());
        for (person, _, state, status) in self.table().rows() {
            let is = (state.as_str(), status.as_str());
            assert_eq!(is, ("unchanged", "sent"), "{person}: {}", ran.both());
        }
        let mut arrived: Vec<Value> = self.place.simulator.log();
        arrived.sort_by_key(Value::to_string);
        let all = arrived.len();
        arrived.dedup();
        assert_eq!(
            arrived.len(),
            all,
            "something arrived twice: {}",
            ran.both()
        );
        assert_eq!(all as u64, CHILDREN * (self.version + 1), "{}", ran.both());
        assert!(!ran.both().contains("sent again"), "{}", ran.both());
    }
}

#[test]
fn a_postgresql_that_starts_again_in_mid_run_costs_nothing() {
    starts_again_in_mid_run(Scene::new(Server::postgres()));
}

#[test]
fn a_sql_server_that_comes_back_in_mid_run_costs_nothing() {
    if let Some(server) = Server::sql_server("comes_back") {
        starts_again_in_mid_run(Scene::new(server));
    }
}

fn starts_again_in_mid_run(mut scene: Scene) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    // While a batch is under way.
    let run = scene.database_gone_in_mid_run();
    scene.server.is_back();
    let ran = run.wait();
    assert_eq!(ran.exit, 0, "{}", ran.both());
    scene.all_is_sent_once(&ran);
    let said = &ran.stderr;
    let product = scene.server.product();
    assert!(said.contains(&format!("Waiting for {product}")), "{said}");
    assert!(said.contains(&format!("Going on: {product}")), "{said}");
    let log = std::fs::read_to_string(scene.place.file("run.log")).unwrap();
    assert!(log.contains("; trying again in 1000 ms: "), "{log}");
    // Whenever.
    for mode in ["full", "deltas"] {
        scene.change_all();
        let before = scene.posts();
        let mut run = Watched::start(&scene.place, &[&LIVE[..], &["--mode", mode]].concat());
        until(|| scene.posts() > before, "the first post");
        std::thread::sleep(Duration::from_millis(rng.random_range(0..400)));
        scene.server.goes();
        until(
            || run.said().contains(GONE) || run.has_ended(),
            "the outage to be noticed",
        );
        scene.server.is_back();
        let ran = run.wait();
        assert_eq!(ran.exit, 0, "{}", ran.both());
        scene.all_is_sent_once(&ran);
    }
    // A person does not wait for it.
    scene.change_all();
    let run = scene.database_gone_in_mid_run();
    let begun = Instant::now();
    interrupt(&run.child);
    let ran = run.wait();
    assert_eq!(ran.exit, 130, "{}", ran.both());
    assert!(begun.elapsed() < Duration::from_secs(40), "{}", ran.both());
    scene.server.is_back();
    healed_by_the_next_run(&scene, &ran);
}

#[test]
fn a_postgresql_that_does_not_come_back_ends_the_run_and_the_next_one_heals_it() {
    does_not_come_back(Scene::new(Server::postgres()));
}

#[test]
fn a_sql_server_that_does_not_come_back_ends_the_run_and_the_next_one_heals_it() {
    if let Some(server) = Server::sql_server("stays_away") {
        does_not_come_back(Scene::new(server));
    }
}

fn does_not_come_back(mut scene: Scene) {
    let run = scene.database_gone_in_mid_run();
    let begun = Instant::now();
    until_ended(run.child.id());
    let ran = run.wait();
    assert_eq!(ran.exit, 3, "{}", ran.both());
    assert!(begun.elapsed() > Duration::from_secs(90), "{}", ran.both());
    let message = ran.stderr.rsplit("CSC0340").next().unwrap();
    assert!(ran.stderr.contains("CSC0340"), "{}", ran.stderr);
    for words in [
        "tries in",
        "did not bring it back",
        "check that the server is up",
    ] {
        assert!(message.contains(words), "{words}: {}", ran.stderr);
    }
    scene.server.is_back();
    healed_by_the_next_run(&scene, &ran);
}

/// `ran` left a batch that was accepted and not recorded, and rows that it did not reach.
fn healed_by_the_next_run(scene: &Scene, ran: &Ran) {
    // The batch that is being recorded, and those that were posted meanwhile: up to four, since
    // there is no gap.
    let lost = [10, 20, 30, 40, 50].map(|records| {
        format!("{records} records accepted by the receiver but not recorded in the table")
    });
    let told = lost.iter().any(|lost| ran.stdout.contains(lost));
    assert!(told, "{}", ran.both());
    nothing_is_marked_that_did_not_arrive(&scene.place, &scene.table(), &ran.both());
    let rows = scene.table().rows();
    assert!(rows.iter().all(|row| row.3 == "pending"), "{}", ran.both());
    let next = scene.place.run(&LIVE);
    assert_eq!(next.exit, 0, "{}", next.both());
    assert!(next.stdout.contains("recorded first"), "{}", next.both());
    scene.all_is_sent_once(&next);
}

/// Longer than other waits of these tests.
fn until_ended(process: u32) {
    let begun = Instant::now();
    let status = format!("/proc/{process}/status");
    // A process that has ended stays as a zombie until it is waited for.
    while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
        assert!(begun.elapsed() < Duration::from_secs(300), "it goes on");
        std::thread::sleep(Duration::from_millis(200));
    }
}
