//! A folder with a database, settings and a simulator on a real port, and the built
//! program to run in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use csc_simulator::{Running, Settings, Simulator, serve};
use csc_staging::connection::parse;
use csc_staging::{NewRow, TableName, connect_creating};

pub const TABLE: &str = "ssd_api_data_staging_anon";

pub struct Place {
    pub folder: tempfile::TempDir,
    pub simulator: Simulator,
    pub running: Running,
    runtime: tokio::runtime::Runtime,
}

/// What a run of the program came to.
pub struct Ran {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// What was printed, with everything that differs from run to run taken out.
    pub fn shown(&self, place: &Place) -> String {
        format!(
            "exit: {}\n--- stdout\n{}--- stderr\n{}",
            self.exit,
            place.redacted(&self.stdout),
            place.redacted(&self.stderr)
        )
    }
}

/// MIN_GAP_MS of the tests' runs: none, or what `CSC_TEST_MIN_GAP_MS` says.
pub fn min_gap() -> String {
    std::env::var("CSC_TEST_MIN_GAP_MS").unwrap_or_else(|_| "0".to_string())
}

impl Place {
    /// Children 1 to `children` with small records, and these faults at the receiver.
    pub fn new(children: u32, faults: &[&str]) -> Place {
        let payloads: Vec<String> = (1..=children).map(payload).collect();
        Place::with_payloads(TABLE, &payloads, faults)
    }

    pub fn with_payloads(table: &str, payloads: &[String], faults: &[&str]) -> Place {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let simulator = Simulator::new(Settings {
            faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
            ..Settings::default()
        });
        let running = runtime.block_on(serve(simulator.clone(), 0)).unwrap();
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
            simulator,
            running,
            runtime,
        };
        let target = parse(&format!("sqlite:{}", place.file("children.db").display())).unwrap();
        let table: TableName = table.parse().unwrap();
        let rows: Vec<NewRow> = payloads
            .iter()
            .enumerate()
            .map(|(n, payload)| NewRow {
                person_id: format!("P{}", n + 1),
                legacy_id: None,
                payload: payload.clone(),
                hash: [1; 32],
            })
            .collect();
        place.runtime.block_on(async {
            let store = connect_creating(&target.target, &table).await.unwrap();
            store.create().await.unwrap();
            store.stage(&rows).await.unwrap();
        });
        place.write_env("");
        place
    }

    /// The receiver goes down, with every connection to it. Gives the port that it had, which
    /// somebody else may be given unless it is a `free_port`.
    pub fn receiver_goes_down(&mut self) -> u16 {
        let port = self.running.address().port();
        let elsewhere = self
            .runtime
            .block_on(serve(self.simulator.clone(), 0))
            .unwrap();
        drop(std::mem::replace(&mut self.running, elsewhere));
        until(
            || std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
            "the receiver to go down",
        );
        port
    }

    /// It comes back at that port.
    pub fn receiver_comes_back(&mut self, port: u16) {
        let again = serve(self.simulator.clone(), port);
        self.running = self.runtime.block_on(again).unwrap();
    }

    /// What the simulator says of itself, with the requests that it saw.
    pub fn state(&self) -> serde_json::Value {
        use std::io::Read;
        let address = self.running.address();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let request =
            format!("GET /state HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (_, body) = reply.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The usual settings; what is added comes after them, so it wins.
    pub fn write_env(&self, more: &str) {
        let text = format!(
            "API_ENDPOINT={}\nTOKEN_ENDPOINT={}\nCLIENT_ID={}\nCLIENT_SECRET={}\nSCOPE={}\n\
             SUPPLIER_KEY={}\nSUPPLIER_KEY_SECONDARY={}\nLA_CODE=845\nTABLE_NAME={TABLE}\n\
             DB_CONNECTION_STRING=sqlite:children.db\nSTATE_DIR=state\nMIN_GAP_MS={}\n\
             RETRY_BASE_MS=1\nBATCH_SIZE=10\n{more}\n",
            self.running.api_endpoint(),
            self.running.token_endpoint(),
            csc_simulator::CLIENT_ID,
            csc_simulator::CLIENT_SECRET,
            csc_simulator::SCOPE,
            csc_simulator::SUPPLIER_KEY,
            csc_simulator::SUPPLIER_KEY_SECONDARY,
            min_gap(),
        );
        // As the docs ask for: otherwise every run warns.
        let mut file = csc_staging::owner_only()
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.file(".env"))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The name of the newest log: each day has a file of its own.
    pub fn newest_log(&self, stem: &str, extension: &str) -> String {
        let begin = format!("{stem}.");
        let day = |name: &str| -> Option<jiff::civil::Date> {
            let name = name.strip_prefix(&begin)?.strip_suffix(extension)?;
            name.parse().ok()
        };
        std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| day(name).is_some())
            .max()
            .unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_csc-sender"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            // Not the desktop's own store of whoever runs the tests.
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().unwrap())
    }

    /// `send --live --yes`, and more.
    pub fn live(&self, more: &[&str]) -> Ran {
        let mut arguments = vec!["send", "--live", "--yes"];
        arguments.extend(more);
        self.run(&arguments)
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub fn sql(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.file("children.db")).unwrap();
        connection
            .busy_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        connection
    }

    pub fn execute(&self, sql: &str) {
        self.sql()
            .execute_batch(&sql.replace("{t}", TABLE))
            .unwrap();
    }

    /// Rows by status, e.g. `error 10, pending 20`.
    pub fn statuses(&self) -> String {
        self.statuses_of(TABLE)
    }

    pub fn statuses_of(&self, table: &str) -> String {
        let counts: BTreeMap<String, i64> = self
            .sql()
            .prepare(&format!(
                "SELECT lower(submission_status), count(*) FROM {table} GROUP BY 1"
            ))
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        counts
            .iter()
            .map(|(status, count)| format!("{status} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub fn text(&self, expression: &str, id: i64) -> String {
        self.sql()
            .query_row(
                &format!("SELECT coalesce({expression}, '') FROM {TABLE} WHERE id = {id}"),
                [],
                |row| row.get(0),
            )
            .unwrap()
    }

    fn redacted(&self, text: &str) -> String {
        let folder = std::fs::canonicalize(self.folder.path()).unwrap();
        let text = text
            .replace(&self.folder.path().display().to_string(), "[DIR]")
            .replace(&folder.display().to_string(), "[DIR]");
        let patterns = [
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
            (r"in \d+\.\d s", "in [SECONDS] s"),
            (r"again in \d+\.\d s", "again in [SECONDS] s"),
            (r#""seconds": [0-9.]+"#, r#""seconds": [SECONDS]"#),
            (
                r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                "[UUID]",
            ),
            (r"\d{8}T\d{6}Z-[0-9a-f]{8}", "[RUN]"),
            (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", "[TIME]"),
        ];
        patterns.iter().fold(text, |text, (pattern, with)| {
            regex::Regex::new(pattern)
                .unwrap()
                .replace_all(&text, *with)
                .into_owned()
        })
    }
}

pub fn ran(output: Output) -> Ran {
    Ran {
        exit: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A small record that has nothing to find fault with.
pub fn payload(n: u32) -> String {
    format!(
        r#"{{"la_child_id":"C{n}","child_details":{{"sex":"M","date_of_birth":"2015-03-0{}"}}}}"#,
        1 + n % 9
    )
}

/// Ports that no system gives out by itself.
const PORTS: std::ops::Range<u16> = 21_000..29_000;

/// A port on which nobody listens, and that nobody else is given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let port = rand::random_range(PORTS);
    let is_new = GIVEN.lock().unwrap().insert(port);
    if is_new && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
        port
    } else {
        free_port()
    }
}

/// Tells a program that a person has pressed Ctrl-C, once it has an ear for that: whoever starts
/// the tests may have had the signal ignored, and it ends a program that has no handler yet.
#[cfg(unix)]
pub fn interrupt(child: &Child) {
    #[cfg(target_os = "linux")]
    until(|| handles_interrupts(child), "the program to handle Ctrl-C");
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
}

#[cfg(target_os = "linux")]
fn handles_interrupts(child: &Child) -> bool {
    const SIGINT: u64 = 2;
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
    caught & (1 << (SIGINT - 1)) != 0
}

/// Waits until something is so.
pub fn until(mut so: impl FnMut() -> bool, what: &str) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(
            begun.elapsed().as_secs() < 60,
            "waited too long for: {what}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
