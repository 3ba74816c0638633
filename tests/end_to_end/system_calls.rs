//! What the program asks of the system, watched with strace: testing mode opens no
//! socket but the database's, and nothing listens beyond this machine.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::canary::{COMMANDS, NO_FAULT, exit_of, prepared};
use crate::fault_matrix::{Stage, in_parallel};
use crate::place::{Place, Ran, interrupt, ran};
use crate::postgres::{Schema, url};

/// Everything that tells or leads to anybody outside the process.
const WATCHED: &str = "trace=%network,execve,execveat,fork,vfork,clone,clone3,\
                       open,openat,openat2,creat,mkdir,mkdirat";

/// Runs the program under strace; gives what it did, a call a line.
fn traced(place: &Place, arguments: &[&str]) -> (Ran, Vec<String>) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let plain = place.command(arguments);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-s", "256", "-e", WATCHED, "-o"])
        .arg(trace.path())
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(place.folder.path())
        .env_clear()
        .env("HOME", place.folder.path())
        .env("TMPDIR", place.file("tmp"))
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null());
    let output = command
        .output()
        .expect("the test needs strace: scripts/test installs it");
    let calls = std::fs::read_to_string(trace.path()).unwrap();
    assert!(calls.contains("execve("), "strace saw nothing: {calls}");
    (ran(output), calls.lines().map(str::to_string).collect())
}

/// The calls of that name, also where another thread interrupted them.
fn calls<'a>(trace: &'a [String], name: &str) -> Vec<&'a str> {
    let called = format!(" {name}(");
    trace
        .iter()
        .filter(|line| line.contains(&called))
        .map(String::as_str)
        .collect()
}

/// Every address of the internet that a call names.
fn addresses(trace: &[String]) -> Vec<SocketAddr> {
    let v4 = r#"sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)"#;
    let v6 = r#"sin6_port=htons\((\d+)\),.* inet_pton\(AF_INET6, "([^"]+)""#;
    let mut found = Vec::new();
    for pattern in [v4, v6] {
        let pattern = regex::Regex::new(pattern).unwrap();
        for line in trace {
            for part in pattern.captures_iter(line) {
                found.push(SocketAddr::new(
                    part[2].parse().unwrap(),
                    part[1].parse().unwrap(),
                ));
            }
        }
    }
    found
}

/// What sends nothing to the receiver.
const QUIET: [&[&str]; 13] = [
    &["send"],
    &["send", "--mode", "deltas"],
    &["send", "--dry-run"],
    &["send", "--live", "--dry-run"],
    &["send", "--test-record"],
    &["validate"],
    &["status"],
    &["check"],
    &["check", "database"],
    &["deltas", "prepare"],
    &["init"],
    &["config", "show"],
    &["config", "template"],
];

#[test]
fn testing_mode_with_sqlite_opens_no_network_socket() {
    for arguments in QUIET {
        let place = Place::new(3, &[]);
        let (ran, trace) = traced(&place, arguments);
        assert_eq!(ran.exit, 0, "{arguments:?}: {}", ran.both());
        // The desktop's keyring is asked over a socket that has a file's name.
        for call in ["socket", "connect", "bind"] {
            for found in calls(&trace, call) {
                assert!(found.contains("AF_UNIX"), "{arguments:?}: {found}");
            }
        }
        assert_eq!(addresses(&trace), [], "{arguments:?}");
        assert_eq!(place.simulator.counts().tokens, 0);
    }
}

#[test]
fn testing_mode_with_postgresql_talks_to_the_database_only() {
    let schema = Schema::new("calls");
    let server = url::Url::parse(&url()).unwrap();
    let host = server.host_str().unwrap();
    let database: Vec<SocketAddr> = (host, server.port().unwrap_or(5432))
        .to_socket_addrs()
        .unwrap()
        .collect();
    for arguments in QUIET {
        let place = Place::new(0, &[]);
        let table = format!("{}.ssd_api_data_staging_anon", schema.name);
        place.write_env(&format!(
            "DB_CONNECTION_STRING={server}\nTABLE_NAME={table}"
        ));
        assert_eq!(place.run(&["init"]).exit, 0);
        schema.execute(&format!(
            "INSERT INTO {table} (person_id, json_payload) VALUES ('P1', '{{\"la_child_id\":\"C1\"}}')"
        ));
        schema.until_free();
        let (ran, trace) = traced(&place, arguments);
        assert_eq!(ran.exit, 0, "{arguments:?}: {}", ran.both());
        for address in addresses(&trace) {
            assert!(database.contains(&address), "{arguments:?}: {address}");
        }
        let asks = !matches!(arguments, ["config", _] | ["send", "--test-record"]);
        assert_eq!(
            !addresses(&trace).is_empty(),
            asks,
            "{arguments:?}: the database is asked over a socket"
        );
        schema.execute(&format!("DELETE FROM {table}"));
    }
}

#[test]
fn a_live_run_talks_to_the_two_endpoints_only() {
    let place = Place::new(3, &[]);
    let (ran, trace) = traced(&place, &["send", "--live", "--yes"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let found = addresses(&trace);
    assert!(found.contains(&place.running.address()), "{found:?}");
    // Its own end of the connection has an address too.
    let theirs = |address: &&SocketAddr| **address != place.running.address();
    for call in calls(&trace, "connect") {
        let found = addresses(&[call.to_string()]);
        assert_eq!(found.iter().find(theirs), None, "{call}");
    }
}

/// Whose names begin so is the program's own, or asked for by a command.
const OWN: [&str; 8] = [
    "children.db",
    "state",
    "run",
    "reports",
    "left.env",
    "taken.env",
    "demo",
    "tmp/csc-sender",
];

/// The files that were written to, but for those.
fn strange_files(place: &Place, trace: &[String]) -> Vec<String> {
    let folder = std::fs::canonicalize(place.folder.path()).unwrap();
    let quoted = regex::Regex::new(r#""([^"]*)""#).unwrap();
    let writes = |line: &&String| {
        ["O_WRONLY", "O_RDWR", "O_CREAT", " creat(", " mkdir"]
            .iter()
            .any(|how| line.contains(how))
    };
    let is_own = |path: &Path| {
        let path = folder.join(path);
        OWN.iter().any(|own| {
            let own = folder.join(own).display().to_string();
            path.display().to_string().starts_with(&own)
        })
    };
    trace
        .iter()
        .filter(writes)
        .filter_map(|line| Some(quoted.captures(line)?[1].to_string()))
        .filter(|path| !is_own(Path::new(path)))
        .collect()
}

/// So no child's `cmdline` or `environ` can hold anything, since there is no child; and no
/// temporary file, since there is none.
#[test]
fn no_command_starts_another_program_or_writes_to_any_file_but_its_own() {
    in_parallel(COMMANDS, |command| {
        let stage = Stage::of(NO_FAULT);
        let (place, _) = prepared(command, &stage, "");
        for verbosity in ["-v", "-vv"] {
            let (ran, trace) = traced(&place, &[*command, &[verbosity]].concat());
            let about = format!("{command:?} {verbosity}: {}", ran.both());
            let expected = match (verbosity, command[0]) {
                ("-vv", "demo") => 2, // its folder is there
                _ => exit_of(command),
            };
            assert_eq!(ran.exit, expected, "{about}");
            assert_eq!(calls(&trace, "execve").len(), 1, "itself: {about}");
            assert_starts_nothing(&trace);
            assert_eq!(strange_files(&place, &trace), [""; 0], "{about}");
        }
    });
}

#[test]
fn a_run_that_meets_a_fault_starts_no_program_and_writes_to_its_own_files_only() {
    let place = Place::new(3, &["status=503,times=1"]);
    place.write_env("LOG_FILE=run.log");
    let (ran, trace) = traced(&place, &["send", "--live", "--yes", "-vv"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(calls(&trace, "execve").len(), 1, "the program itself");
    assert_starts_nothing(&trace);
    assert_eq!(strange_files(&place, &trace), [""; 0]);
}

/// Those that `COMMANDS` leaves out: their secrets and what they are sent stay in them too.
#[test]
fn what_keeps_a_secret_or_serves_a_receiver_starts_no_program_either() {
    let place = Place::new(1, &[]);
    let strace = "strace -f -qq -e trace=execve,execveat,fork,vfork,clone,clone3";
    let text = format!(
        r#"
        echo "$THE_KEY" | {strace} -o set.txt "$CSC" secret set SUPPLIER_KEY
        {strace} -o delete.txt "$CSC" secret delete SUPPLIER_KEY
        {strace} -o serve.txt "$CSC" simulator --port 0 >served.out &
        until grep "listens on" served.out; do sleep 0.05; done
        read process _ <serve.txt
        kill -TERM $process
        wait
        "#
    );
    let ran = crate::secrets::run(&place, &text);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    for told in ["Kept SUPPLIER_KEY", "Deleted SUPPLIER_KEY", "listens on"] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.both());
    }
    for file in ["set.txt", "delete.txt", "serve.txt"] {
        let trace = std::fs::read_to_string(place.file(file)).unwrap();
        let trace: Vec<String> = trace.lines().map(str::to_string).collect();
        assert_eq!(calls(&trace, "execve").len(), 1, "{file}: {trace:?}");
        assert_starts_nothing(&trace);
    }
}

fn assert_starts_nothing(trace: &[String]) {
    for call in ["execveat", "fork", "vfork"] {
        assert!(calls(trace, call).is_empty(), "{call}");
    }
    for call in [calls(trace, "clone"), calls(trace, "clone3")].concat() {
        assert!(call.contains("CLONE_THREAD"), "{call}");
    }
}

/// The addresses that somebody listens on at that port, as Linux tells them.
fn listening(port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .flat_map(|text| text.lines().map(str::to_string).collect::<Vec<_>>())
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (local, state) = (words.next()?.to_string(), words.nth(1)?.to_string());
            let address = local.strip_suffix(&port)?.to_string();
            (state == "0A").then_some(address)
        })
        .collect()
}

#[test]
fn the_simulator_listens_on_loopback_only() {
    let place = Place::new(0, &[]);
    let mut child = place.start(&["simulator", "--port", "0"]);
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let port = regex::Regex::new(r"127\.0\.0\.1:(\d+)").unwrap();
    let port: u16 = port.captures(&first).expect(&first)[1].parse().unwrap();
    let found = listening(port);
    interrupt(&child);
    child.wait().unwrap();
    // 127.0.0.1, as the kernel writes it on a machine that counts from the low end.
    assert_eq!(
        found,
        [format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]))]
    );
}
