//! `check`, `explain` and the pilot's names, against real databases, real proxies and a
//! receiver behind TLS that is as it should be or is not.

use crate::faulty::{Faulty, Script, Tls, dead_port, granted, json, trusted};
use crate::place::{Place, Ran};
use crate::postgres::{Schema, url};
#[cfg(unix)]
use crate::proxies::Behind;
#[cfg(unix)]
use crate::squid::{PASSWORD, Squid, USER};
use crate::tls_front::{Authority, TlsFront};
use crate::trust::behind_tls;

/// What differs from machine to machine and from run to run.
const FILTERS: [(&str, &str); 11] = [
    (r"in \d+ ms", "in [N] ms"),
    (r"\.\d{4}-\d\d-\d\d\.log", ".[DATE].log"),
    (r"(localhost|receiver\.test):\d+", "$1:[PORT]"),
    (r"(?m)^(\s*OK +dns +localhost: ).*$", "${1}[ADDRESSES]"),
    (
        r"(csc-sender \d+\.\d+\.\d+) on [^\n]+, \[TIME\] UTC",
        "$1 on [SYSTEM], [TIME] UTC",
    ),
    (r"SQLite \d+\.\d+\.\d+", "SQLite [VERSION]"),
    (r"(?m)(PostgreSQL )\d[^\n]*$", "${1}[VERSION]"),
    (r"csc_e2e_\d+_check", "[SCHEMA]"),
    (
        r"failed to lookup address information: [^\n]*",
        "[NOT FOUND]",
    ),
    // The tests' PostgreSQL is somebody's, with TLS or without.
    (
        r"(?m)^ *(OK|WARN) +encryption [^\n]*\n( +next: [^\n]*\n)?",
        "",
    ),
    (r"postgres://\w+@\S*|(?m)(logon +)\S+$", "${1}[LOGON]"),
];

macro_rules! printed {
    ($name:expr, $ran:expr, $place:expr) => {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true, filters => FILTERS.to_vec() }, {
            insta::assert_snapshot!($name, $ran.shown($place));
        });
    };
}

/// The settings' secrets, as they stand in `.env`.
const SECRETS: [&str; 4] = [
    csc_simulator::CLIENT_SECRET,
    csc_simulator::SUPPLIER_KEY,
    csc_simulator::SUPPLIER_KEY_SECONDARY,
    "canarypassword",
];

fn says_no_secret(ran: &Ran) {
    for secret in SECRETS {
        assert!(!ran.both().contains(secret), "{secret}: {}", ran.both());
    }
}

/// The verdict and the words of a probe, the first one of that subject.
fn probe<'a>(ran: &'a Ran, subject: &str) -> (&'a str, &'a str) {
    let lines = ran.stdout.lines();
    let mut found = lines.filter_map(|line| {
        let (verdict, rest) = line.split_once(' ')?;
        let rest = rest.trim_start().strip_prefix(subject)?;
        rest.starts_with("  ").then(|| (verdict, rest.trim_start()))
    });
    found
        .next()
        .unwrap_or_else(|| panic!("no {subject}: {}", ran.both()))
}

/// A place whose receiver is behind TLS, with an authority of the authority's own.
fn behind(place: &Place) -> TlsFront {
    let authority = Authority::new("our own");
    let front = TlsFront::start(&authority, &["localhost"], place.running.address());
    std::fs::write(place.file("ca.pem"), authority.pem()).unwrap();
    let env = behind_tls(place, "localhost", front.port);
    place.write_env(&format!("{env}CA_BUNDLE=ca.pem"));
    front
}

#[test]
fn everything_is_looked_at_in_testing_mode_and_the_receiver_left_alone() {
    let place = Place::new(25, &[]);
    place.execute("UPDATE {t} SET json_payload = '{\"la_child_id\":\"C3\",\"child_details\":{\"date_of_birth\":\"canary\"}}' WHERE id = 3");
    let ran = place.run(&["check"]);
    printed!("check_all", ran, &place);
    assert!(!ran.both().contains("canary"), "{}", ran.both());
    says_no_secret(&ran);
    assert_eq!(place.simulator.counts().tokens, 0);
    assert_eq!(place.statuses(), "pending 25");
    assert!(!place.file("state").exists(), "nothing is written");
}

#[test]
fn an_empty_folder_is_told_all_that_is_missing_at_once() {
    let place = Place::new(0, &[]);
    std::fs::remove_file(place.file(".env")).unwrap();
    let ran = place.run(&["check"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    printed!("check_empty_folder", ran, &place);
}

#[test]
fn faults_of_the_settings_are_probes_and_the_others_run_all_the_same() {
    let place = Place::new(2, &[]);
    place.write_env(
        "BATCH_SIZE=500\nLA_CODE=000\nSUPPLIER_KEY=SUBSCRIPTION_PRIMARY_KEY_CODE\n\
         TESTING_MODE=perhaps\nLOG_FILE=nowhere/at/all.log\nFORIEGN_KEY=1\noops",
    );
    let ran = place.run(&["check"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    printed!("check_faulty_settings", ran, &place);
    assert_eq!(probe(&ran, "rows").0, "OK", "the table is looked at");
    says_no_secret(&ran);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_read_is_named_with_the_command_that_closes_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(1, &[]);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.file(".env"), open).unwrap();
    let ran = place.run(&["check", "config"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(probe(&ran, "files").0, "WARN");
    assert!(
        ran.stdout.contains("next: mend it: chmod 600"),
        "{}",
        ran.stdout
    );
    assert_eq!(probe(&ran, "secrets").0, "OK");
    assert!(ran.stdout.contains("CLIENT_SECRET in "), "{}", ran.stdout);
    says_no_secret(&ran);
}

#[test]
fn a_database_that_is_not_there_keeps_only_its_own_probes_back() {
    let place = Place::new(1, &[]);
    place.write_env("DB_CONNECTION_STRING=sqlite:nowhere.db");
    let ran = place.run(&["check", "database"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    printed!("check_no_database", ran, &place);
    let ran = place.run(&["check", "all"]);
    assert_eq!(probe(&ran, "table").0, "WARN", "{}", ran.both());
    assert_eq!(probe(&ran, "receiver").0, "OK", "{}", ran.both());
    assert!(!place.file("nowhere.db").exists());
}

#[test]
fn a_table_that_lacks_a_column_gets_the_sql_that_adds_it() {
    let place = Place::new(3, &[]);
    place.execute("ALTER TABLE {t} RENAME COLUMN api_response TO answer");
    let ran = place.run(&["check", "table"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    printed!("check_table_without_column", ran, &place);
}

#[test]
fn a_trigger_that_refuses_what_is_written_is_found_without_its_words() {
    let place = Place::new(3, &[]);
    place.execute(
        "CREATE TRIGGER no BEFORE UPDATE ON {t} BEGIN SELECT RAISE(ABORT, 'canary of a row'); END",
    );
    let ran = place.run(&["check", "table"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert_eq!(probe(&ran, "rights").0, "OK", "what the catalogue says");
    assert_eq!(probe(&ran, "writing").0, "FAIL", "what is really so");
    assert!(!ran.both().contains("canary"), "{}", ran.both());
}

#[test]
fn children_with_several_rows_are_counted() {
    let place = Place::new(3, &[]);
    place.execute("UPDATE {t} SET person_id = 'P1' WHERE id = 2");
    let ran = place.run(&["check", "table"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let (verdict, words) = probe(&ran, "several rows");
    assert_eq!(verdict, "WARN");
    assert!(
        words.starts_with("children with more than one row: 1;"),
        "{words}"
    );
}

#[test]
fn postgresql_is_looked_at_as_a_whole() {
    let schema = Schema::new("check");
    let place = Place::new(0, &[]);
    let table = format!("{}.ssd_api_data_staging_anon", schema.name);
    place.write_env(&format!(
        "DB_CONNECTION_STRING={}\nTABLE_NAME={table}",
        url()
    ));
    let missing = place.run(&["check", "table"]);
    assert_eq!(missing.exit, 1, "{}", missing.both());
    assert!(
        missing.stdout.contains("CREATE TABLE"),
        "{}",
        missing.stdout
    );
    assert_eq!(place.run(&["init"]).exit, 0);
    let empty = place.run(&["check", "table"]);
    assert_eq!(empty.exit, 0, "{}", empty.both());
    assert_eq!(probe(&empty, "rows").0, "WARN");
    schema.execute(&format!(
        "INSERT INTO {table} (person_id, json_payload) VALUES ('P1', '{{\"la_child_id\":\"C1\"}}'),
             ('P2', '{{\"la_child_id\":7,\"note\":\"canary\"}}')"
    ));
    let ran = place.run(&["check"]);
    assert!(!ran.both().contains("canary"), "{}", ran.both());
    printed!("check_postgres", ran, &place);
    let rows = schema.rows(&format!("SELECT lower(submission_status) FROM {table}"));
    assert!(rows.iter().all(|row| row[0].as_deref() == Some("pending")));
}

#[test]
fn the_way_to_a_receiver_behind_tls_is_looked_at_step_by_step() {
    let place = Place::new(1, &[]);
    let _front = behind(&place);
    let ran = place.run(&["check", "receiver"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    printed!("check_receiver", ran, &place);
    says_no_secret(&ran);
    assert_eq!(place.simulator.counts().tokens, 1);
    assert_eq!(place.simulator.counts().posts, 0);
}

#[test]
fn one_fake_record_is_posted_where_it_is_asked_for_and_written_down() {
    let place = Place::new(1, &[]);
    let _front = behind(&place);
    let refused = place.run(&["check", "receiver", "--post"]);
    assert_eq!(refused.exit, 1, "{}", refused.both());
    assert_eq!(probe(&refused, "record").0, "FAIL");
    assert_eq!(place.simulator.counts().posts, 0, "in testing mode");
    let live = ["check", "receiver", "--post", "--testing-mode", "false"];
    let ran = place.run(&live);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let (_, words) = probe(&ran, "record");
    assert!(
        words.starts_with("Fake1234845 was accepted, receipt "),
        "{words}"
    );
    assert!(place.simulator.record("845", "Fake1234845").is_some());
    let journal = place.run(&["journal"]);
    assert!(
        journal.stdout.contains("1 records at"),
        "{}",
        journal.both()
    );
    assert_eq!(place.statuses(), "pending 1");
}

#[test]
fn no_fake_record_goes_to_a_live_receiver() {
    let place = Place::new(1, &[]);
    let live = place
        .running
        .api_endpoint()
        .replace("-receiver-test/", "-receiver/");
    place.write_env(&format!("API_ENDPOINT={live}\nTESTING_MODE=false"));
    let ran = place.run(&["check", "receiver", "--post"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert!(
        probe(&ran, "record").1.starts_with("CSC0614"),
        "{}",
        ran.both()
    );
    assert_eq!(place.simulator.counts().posts, 0);
}

#[test]
fn post_has_no_place_where_the_receiver_is_not_looked_at() {
    let place = Place::new(1, &[]);
    let ran = place.run(&["check", "table", "--post"]);
    assert_eq!(ran.exit, 2, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0267"), "{}", ran.both());
}

/// A server that is wrong in this way, and what `check receiver` says of it.
fn wrong(tls: Tls, more: &str) -> (Place, Ran) {
    let place = Place::new(1, &[]);
    std::fs::write(place.file("ca.pem"), trusted()).unwrap();
    let server = Faulty::start(Script {
        tls,
        ..Script::good(granted)
    });
    let at = format!("https://{}", server.address);
    place.write_env(&format!(
        "API_ENDPOINT={at}/children-in-social-care-data-receiver-test/1\n\
         TOKEN_ENDPOINT={at}/x/oauth2/v2.0/token\nCA_BUNDLE=ca.pem\n{more}"
    ));
    let ran = place.run(&["check", "receiver"]);
    says_no_secret(&ran);
    (place, ran)
}

#[test]
fn a_certificate_that_is_refused_is_shown_with_the_reason() {
    for (tls, name, words) in [
        (Tls::Expired, "check_expired", "it has expired"),
        (
            Tls::NotYetValid,
            "check_not_yet",
            "good from 4000-01-01 only",
        ),
        (
            Tls::WrongName,
            "check_wrong_name",
            "it is not for 127.0.0.1",
        ),
        (
            Tls::UnknownIssuer,
            "check_unknown_issuer",
            "its issuer is not known here",
        ),
        (
            Tls::SelfSigned,
            "check_self_signed",
            "it vouches for itself",
        ),
    ] {
        let (place, ran) = wrong(tls, "");
        assert_eq!(ran.exit, 1, "{tls:?}: {}", ran.both());
        let (verdict, found) = probe(&ran, "certificate");
        assert_eq!(verdict, "FAIL", "{tls:?}: {}", ran.both());
        assert!(found.ends_with(words), "{tls:?}: {found}");
        assert_eq!(probe(&ran, "tls").0, "FAIL", "{tls:?}");
        assert_eq!(probe(&ran, "token").0, "WARN", "no secret goes there");
        printed!(name, ran, &place);
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_told() {
    for tls in [Tls::Plain, Tls::ResetInHandshake, Tls::CloseInHandshake] {
        let (_, ran) = wrong(tls, "");
        assert_eq!(ran.exit, 1, "{tls:?}: {}", ran.both());
        assert_eq!(probe(&ran, "tcp").0, "OK", "{tls:?}");
        assert_eq!(probe(&ran, "tls").0, "FAIL", "{tls:?}");
    }
}

#[test]
fn a_name_that_is_not_found_and_a_port_that_nobody_listens_on_are_told() {
    let place = Place::new(1, &[]);
    let port = dead_port();
    place.write_env(&format!(
        "API_ENDPOINT=https://127.0.0.1:{port}/children-in-social-care-data-receiver-test/1\n\
         TOKEN_ENDPOINT=https://nowhere.invalid/x/oauth2/v2.0/token\n\
         ALLOWED_HOSTS=nowhere.invalid"
    ));
    let ran = place.run(&["check", "receiver"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert_eq!(probe(&ran, "dns").0, "FAIL");
    assert_eq!(
        probe(&ran, "tcp").0,
        "FAIL",
        "the other host is looked at too"
    );
    printed!("check_unreachable", ran, &place);
}

#[test]
fn a_wrong_secret_is_refused_by_the_token_endpoint() {
    let place = Place::new(1, &[]);
    place.write_env("CLIENT_SECRET=canarypassword");
    let ran = place.run(&["check", "receiver"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    printed!("check_wrong_secret", ran, &place);
    says_no_secret(&ran);
}

#[test]
fn a_clock_that_is_off_and_a_scope_that_is_named_are_told() {
    let place = Place::new(1, &[]);
    let server = Faulty::start(Script::good(|_| {
        crate::faulty::reply(
            "200 OK",
            "content-type: application/json\r\ndate: Tue, 24 Nov 2020 02:00:00 GMT\r\n",
            r#"{"access_token":"canarypassword","expires_in":"1800","scope":"api://given\nOK    canary"}"#,
        )
    }));
    place.write_env(&format!(
        "TOKEN_ENDPOINT=http://{}/x/oauth2/v2.0/token",
        server.address
    ));
    let ran = place.run(&["check", "receiver"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let (verdict, words) = probe(&ran, "clock");
    assert_eq!(verdict, "WARN", "{}", ran.both());
    assert!(words.contains("min ahead of 127.0.0.1's"), "{words}");
    let (_, words) = probe(&ran, "token");
    assert!(
        words.contains("good for 30 min, scope api://given OK canary"),
        "{words}"
    );
    says_no_secret(&ran);
}

#[test]
fn credentials_stay_here_where_a_safety_rule_is_broken() {
    let place = Place::new(1, &[]);
    let server = Faulty::start(Script::good(|_| json("200 OK", "{}")));
    let port = server.address.port();
    place.write_env(&format!(
        "TOKEN_ENDPOINT=http://localhost.example.org:{port}/token\nAPI_TIMEOUT=5"
    ));
    let ran = place.run(&["check", "receiver"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert_eq!(probe(&ran, "safety").0, "FAIL", "{}", ran.both());
    assert_eq!(probe(&ran, "token").0, "WARN");
}

#[cfg(unix)]
#[test]
fn a_proxy_is_named_and_whoever_opens_the_connection_is_pointed_out() {
    let squid = Squid::open();
    let receiver = Behind::new("receiver.test");
    let ran = receiver.checked(&format!("PROXY={}", squid.url()));
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let (verdict, words) = probe(&ran, "certificate");
    assert_eq!(verdict, "WARN", "{}", ran.both());
    assert!(words.contains("CA_BUNDLE knows its issuer"), "{words}");
    printed!("check_through_squid", ran, &receiver.place);
    squid.logged("CONNECT receiver.test");
    says_no_secret(&ran);
}

/// OpenSSL and this program take SSL_CERT_FILE for the system's trust store.
#[cfg(target_os = "linux")]
#[test]
fn an_issuer_that_only_the_machine_knows_is_pointed_out_too() {
    let squid = Squid::open();
    let receiver = Behind::new("receiver.test");
    let without_bundle = receiver.env.replace("CA_BUNDLE=ca.pem\n", "");
    receiver
        .place
        .write_env(&format!("{without_bundle}PROXY={}", squid.url()));
    let mut command = receiver.place.command(&["check", "receiver"]);
    command.env("SSL_CERT_FILE", receiver.place.file("ca.pem"));
    let ran = crate::place::ran(command.output().unwrap());
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let (verdict, words) = probe(&ran, "certificate");
    assert_eq!(verdict, "WARN", "{}", ran.both());
    assert!(
        words.contains("only this machine knows its issuer"),
        "{words}"
    );
}

#[cfg(unix)]
#[test]
fn a_proxy_that_wants_a_logon_or_is_not_there_is_told() {
    let squid = Squid::basic();
    let receiver = Behind::new("receiver.test");
    let ran = receiver.checked(&format!("PROXY={}", squid.url()));
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert!(ran.stdout.contains("FAIL  proxy"), "{}", ran.both());
    assert!(ran.stdout.contains("PROXY_USER"), "{}", ran.both());
    let nobody = format!("PROXY=http://127.0.0.1:{}", dead_port());
    let ran = receiver.checked(&nobody);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    let (verdict, words) = probe(&ran, "tcp");
    assert_eq!(verdict, "FAIL", "{}", ran.both());
    assert!(words.starts_with("the proxy 127.0.0.1"), "{words}");
    // A way that was not meant is not tried.
    let ran = receiver.checked("PROXY=ftp://proxy:1");
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert_eq!(probe(&ran, "way").0, "WARN", "{}", ran.both());
    assert_eq!(receiver.place.simulator.counts().tokens, 0);
}

/// The certificate is looked at over a tunnel that takes the same logon as a run's.
#[cfg(unix)]
#[test]
fn the_way_through_a_proxy_with_a_logon_is_looked_at_to_its_end() {
    for squid in [Squid::basic(), Squid::ntlm()] {
        let receiver = Behind::new("receiver.test");
        let ran = receiver.checked(&format!(
            "PROXY={}\nPROXY_USER={USER}\nPROXY_PASSWORD={PASSWORD}",
            squid.url()
        ));
        assert_eq!(ran.exit, 0, "{}", ran.both());
        assert!(
            probe(&ran, "certificate").1.contains("CN=our own"),
            "{}",
            ran.both()
        );
        assert_eq!(probe(&ran, "token").0, "OK", "{}", ran.both());
        assert!(!ran.both().contains("wörd"), "{}", ran.both());
    }
}

#[test]
fn the_pilots_names_do_the_same() {
    let place = Place::new(3, &[]);
    for (theirs, ours) in [
        ("test-db-connection", "database"),
        ("test-schema", "table"),
        ("test-endpoint", "receiver"),
        ("run-smoke", "all"),
        ("smoke", "all"),
    ] {
        let ran = place.run(&[theirs]);
        assert_eq!(ran.exit, 0, "{theirs}: {}", ran.both());
        let line = format!("check {ours}: ");
        assert!(ran.stdout.contains(&line), "{theirs}: {}", ran.stdout);
        let json = place.run(&[theirs, "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["check"], ours, "{theirs}");
    }
}

#[test]
fn json_has_every_probe_and_no_secret() {
    let place = Place::new(3, &[]);
    let ran = place.run(&["check", "--json"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    says_no_secret(&ran);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let probes = json["probes"].as_array().unwrap();
    for part in ["config", "database", "table", "receiver"] {
        assert!(probes.iter().any(|probe| probe["part"] == part), "{part}");
    }
    let worst = ["FAIL", "WARN", "OK"]
        .into_iter()
        .find(|verdict| probes.iter().any(|probe| probe["verdict"] == *verdict));
    assert_eq!(json["verdict"].as_str(), worst);
    assert_eq!(json["settings"]["CLIENT_SECRET"]["value"], "**** (set)");
    assert_eq!(json["settings"]["LA_CODE"]["value"], "845");
}

/// A terminal is made by `script`, which scripts/test installs.
#[cfg(target_os = "linux")]
#[test]
fn a_person_at_a_terminal_is_told_of_explain_and_a_log_is_not() {
    let place = Place::new(1, &[]);
    place.write_env("BATCH_SIZE=0");
    let ran = place.run(&["send"]);
    assert_eq!(ran.exit, 2);
    assert!(!ran.both().contains("csc-sender explain"), "{}", ran.both());
    let program = env!("CARGO_BIN_EXE_csc-sender");
    let mut command = std::process::Command::new("/usr/bin/script");
    command
        .args(["-qec", &format!("'{program}' send"), "/dev/null"])
        .current_dir(place.folder.path())
        .env_clear()
        .env("HOME", place.folder.path())
        .stdin(std::process::Stdio::null());
    let typed = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(
        typed
            .trim_end()
            .ends_with("More: csc-sender explain CSC0208"),
        "{typed}"
    );
}

#[test]
fn the_test_record_takes_no_flags_of_a_table() {
    let place = Place::new(1, &[]);
    for more in [&["--limit", "1"][..], &["--resync"], &["--mode", "deltas"]] {
        let arguments = [&["send", "--test-record"], more].concat();
        assert_eq!(place.run(&arguments).exit, 2, "{more:?}");
    }
    // No table, and no database, is asked for.
    place.write_env("DB_CONNECTION_STRING=\nTABLE_NAME=");
    for arguments in [
        &["send", "--test-record"][..],
        &["send", "--live", "--yes", "--test-record"],
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.exit, 0, "{arguments:?}: {}", ran.both());
        assert!(ran.stdout.contains("Accepted: test record Fake1234845"));
    }
    assert_eq!(place.simulator.counts().posts, 1, "the live one only");
    let dry = place.run(&["send", "--test-record", "--dry-run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(json["la_child_id"], "Fake1234845");
}
