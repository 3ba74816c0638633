//! Runs as people and schedulers start them.

use crate::gate::Gate;
use crate::place::{Place, payload};
use crate::two_runs::through;
use crate::watched::Watched;

#[test]
fn testing_mode_needs_only_the_database_and_the_code() {
    let place = Place::new(25, &[]);
    std::fs::write(
        place.file(".env"),
        "LA_CODE=845\r\nDB_CONNECTION_STRING=\"sqlite:children.db\"\r\n",
    )
    .unwrap();
    let ran = place.run(&["run"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(
        ran.stdout
            .starts_with("TESTING: nothing leaves the authority")
    );
    assert_eq!(place.statuses(), "testing 25");
    assert!(place.text("api_response", 1).starts_with("simulated "));
    assert_eq!(place.text("previous_json_payload", 1), "");
    assert_eq!(place.simulator.counts().posts, 0);
    assert!(
        !place.file("state").exists(),
        "nothing is remembered of a testing run"
    );
    assert_eq!(place.run(&["send"]).exit, 0, "the rows stay eligible");
}

#[test]
fn a_live_run_writes_every_column_of_the_life_table() {
    let place = Place::new(3, &[]);
    place.execute("UPDATE {t} SET submission_timestamp = '2001-01-01 00:00:00'");
    assert_eq!(place.live(&[]).exit, 0);
    assert_eq!(place.text("submission_status", 2), "sent");
    assert_eq!(place.text("row_state", 2), "unchanged");
    assert_eq!(place.text("previous_json_payload", 2), payload(2));
    assert_eq!(place.text("hex(previous_hash)", 2), "01".repeat(32));
    let receipt = place.simulator.receipt("845", "C2").unwrap();
    assert!(
        receipt.contains(&place.text("api_response", 2)),
        "{receipt}"
    );
    let (date, time) = receipt.split_at(10);
    let at = place.text("submission_timestamp", 2);
    assert!(
        at.starts_with(&format!("{date} {}", &time[1..9])),
        "{at} {receipt}"
    );
}

#[test]
fn a_dry_run_sends_and_writes_nothing() {
    let place = Place::new(25, &[]);
    let ran = place.run(&["send", "--live", "--dry-run"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(
        ran.stdout.contains("25 records would go in 3 batches"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains(&place.running.api_endpoint()));
    assert!(ran.stdout.contains("la_child_id: ") && !ran.stdout.contains("C1"));
    assert_eq!(place.statuses(), "pending 25");
    assert_eq!(place.simulator.counts().tokens, 0);
    assert!(!place.file("state").exists());
}

#[test]
fn the_test_record_goes_through_the_whole_path_without_a_table() {
    let place = Place::new(3, &[]);
    let ran = place.live(&["--test-record"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(ran.stdout.contains("Fake1234845"), "{}", ran.stdout);
    assert!(place.simulator.record("845", "Fake1234845").is_some());
    assert_eq!(place.statuses(), "pending 3");
    let testing = place.run(&["send", "--test-record"]);
    assert_eq!(testing.exit, 0);
    assert_eq!(place.simulator.counts().posts, 1);
}

#[test]
fn a_summary_as_json_is_one_object_and_nothing_else() {
    let place = Place::new(25, &["refuse=C7"]);
    let ran = place.live(&["--json", "--batch-size", "5", "--limit", "20"]);
    assert_eq!(ran.exit, 1);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["sent"], 19);
    assert_eq!(json["refused"], 1);
    assert_eq!(json["refused_by_reason"][0]["example_rows"][0], 7);
    assert_eq!(json["left"], 0);
    assert_eq!(json["exit_code"], 1);
    assert_eq!(json["mode"], "live");
    assert_eq!(place.statuses(), "error 1, pending 5, sent 19");
}

#[test]
fn a_bad_record_is_checked_before_it_goes_and_costs_nobody_else() {
    let place = Place::new(12, &[]);
    place.execute(
        "UPDATE {t} SET json_payload = '{\"la_child_id\":\"C3\",\"child_details\":{\"date_of_birth\":\"canary\"}}' WHERE id = 3",
    );
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert_eq!(place.statuses(), "error 1, sent 11");
    let said = place.text("api_response", 3);
    assert!(
        said.contains("date_of_birth") && !said.contains("canary"),
        "{said}"
    );
    let sent = place.live(&["--no-validate"]);
    assert_eq!(sent.exit, 0, "{}", sent.both());
    assert_eq!(place.statuses(), "sent 12");
}

fn hold_first_reply(place: &Place, gate: &Gate) {
    let simulator = place.simulator.clone();
    gate.hold_when(move || simulator.counts().posts > 0);
}

#[test]
fn a_run_that_is_under_way_keeps_another_one_out() {
    let place = Place::new(10, &[]);
    let gate = Gate::to(place.running.address());
    place.write_env(&through(&gate));
    hold_first_reply(&place, &gate);
    let first = Watched::start(&place, &["send", "--live", "--yes"]);
    gate.until_held();
    let second = place.live(&[]);
    assert_eq!(second.exit, 5, "{}", second.both());
    assert!(second.stderr.contains("CSC0501"));
    gate.open();
    assert_eq!(first.wait().exit, 0);
    assert_eq!(place.simulator.counts().posts, 1);
    assert_eq!(place.statuses(), "sent 10");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_batch_under_way_records_it_and_leaves() {
    let place = Place::new(30, &[]);
    let gate = Gate::to(place.running.address());
    // The gap gives it a minute to heed what it has heard.
    place.write_env(&format!("{}MIN_GAP_MS=60000", through(&gate)));
    hold_first_reply(&place, &gate);
    let run = Watched::start(&place, &["send", "--live", "--yes"]);
    gate.until_held();
    crate::place::interrupt(&run.child);
    run.until_said("Stopping:");
    gate.open();
    let ran = run.wait();
    assert_eq!(ran.exit, 130, "{}", ran.both());
    assert_eq!(place.statuses(), "pending 20, sent 10");
    assert_eq!(place.simulator.counts().accepted_records, 10);
    assert!(ran.stdout.contains("Interrupted"), "{}", ran.both());
}

#[test]
fn secrets_are_not_taken_as_flags_and_not_repeated() {
    let place = Place::new(1, &[]);
    for flag in [
        "--client-secret",
        "--supplier-key",
        "--supplier-key-secondary",
        "--db-password",
    ] {
        let ran = place.run(&["send", flag, "canaryvalue"]);
        assert_eq!(ran.exit, 2);
        assert!(ran.stderr.contains("CSC0204"), "{}", ran.stderr);
        assert!(ran.stderr.contains(".env"), "{}", ran.stderr);
        assert!(!ran.both().contains("canaryvalue"));
    }
    let ran = place.run(&[
        "send",
        "--db-connection-string",
        "postgres://u:canaryvalue@h/d",
    ]);
    assert_eq!(ran.exit, 2);
    assert!(!ran.both().contains("canaryvalue"));
}

#[test]
fn a_sql_server_that_does_not_answer_is_named() {
    let place = Place::new(1, &[]);
    place.write_env(
        r"DB_CONNECTION_STRING=Driver={ODBC Driver 17 for SQL Server};Server=127.0.0.1,1;Database=HDM_Local;Trusted_Connection=yes;",
    );
    let ran = place.run(&["send"]);
    assert_eq!(ran.exit, 3, "{}", ran.both());
    assert!(ran.stderr.contains("127.0.0.1"), "{}", ran.stderr);
}

#[test]
fn status_watches_the_last_good_run() {
    let place = Place::new(3, &[]);
    let never = place.run(&["status", "--max-age", "26h"]);
    assert_eq!(never.exit, 1);
    assert_eq!(place.live(&[]).exit, 0);
    assert_eq!(place.run(&["status", "--max-age", "26h"]).exit, 0);
    place.execute("UPDATE {t} SET submission_timestamp = '2020-01-01 00:00:00'");
    assert_eq!(
        place.run(&["status", "--max-age", "26h"]).exit,
        0,
        "a run that had nothing to do is a good one too"
    );
    std::fs::remove_dir_all(place.file("state")).unwrap();
    let old = place.run(&["status", "--max-age", "26h", "--json"]);
    assert_eq!(old.exit, 1);
    let json: serde_json::Value = serde_json::from_str(&old.stdout).unwrap();
    assert_eq!(json["too_old"], true);
}

#[test]
fn init_creates_both_tables_once() {
    let place = Place::new(1, &[]);
    place.write_env("DB_CONNECTION_STRING=sqlite:new.db");
    let first = place.run(&["init"]);
    assert_eq!(first.exit, 0, "{}", first.both());
    assert_eq!(first.stdout.matches("created").count(), 2);
    let second = place.run(&["init"]);
    assert_eq!(second.stdout.matches("not touched").count(), 2);
    assert_eq!(place.run(&["send"]).exit, 0);
}

#[test]
fn a_table_or_database_that_is_missing_is_exit_3() {
    let place = Place::new(1, &[]);
    let table = place.run(&["send", "--table", "elsewhere_anon"]);
    assert_eq!(table.exit, 3);
    assert!(table.stderr.contains("CSC0304") && table.stderr.contains("init"));
    place.write_env("DB_CONNECTION_STRING=sqlite:nowhere.db");
    let database = place.run(&["send"]);
    assert_eq!(database.exit, 3);
    assert!(database.stderr.contains("CSC0301"));
    assert!(!place.file("nowhere.db").exists(), "send makes no database");
}

#[test]
fn the_simulator_says_so_when_it_is_asked_to_listen_elsewhere() {
    let place = Place::new(0, &[]);
    for host in ["0.0.0.0", "::", "192.0.2.7", "simulator.example.gov.uk"] {
        let ran = place.run(&["simulator", "--port", "0", "--host", host]);
        assert_eq!(ran.exit, 2, "{}", ran.both());
        assert!(ran.stderr.contains("CSC0261"), "{}", ran.stderr);
        assert!(ran.stderr.contains("127.0.0.1 only"), "{}", ran.stderr);
    }
}
