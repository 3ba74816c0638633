//! What the program prints, as a whole: a worse message shows up in review.

use crate::place::Place;

macro_rules! printed {
    ($name:expr, $ran:expr, $place:expr) => {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $ran.shown($place));
        });
    };
}

#[test]
fn a_testing_run() {
    let place = Place::new(25, &[]);
    printed!("testing_run", place.run(&["send"]), &place);
    printed!("status_after_testing", place.run(&["status"]), &place);
}

#[test]
fn a_live_run_with_refusals() {
    let place = Place::new(25, &["refuse=C7", "status=503,after=1,times=1"]);
    place.execute(
        "UPDATE {t} SET json_payload = '[]' WHERE id = 3; UPDATE {t} SET person_id = NULL WHERE id = 4",
    );
    printed!("live_run_with_refusals", place.live(&[]), &place);
    printed!("live_run_as_json", place.live(&["--json"]), &place);
    let empty = Place::new(0, &[]);
    printed!("nothing_to_send", empty.live(&[]), &empty);
}

#[test]
fn a_dry_run() {
    let place = Place::new(25, &[]);
    printed!("dry_run", place.live(&["--dry-run"]), &place);
}

#[test]
fn a_run_that_the_receiver_ends() {
    let place = Place::new(25, &["status=404"]);
    printed!("run_ended_by_404", place.live(&[]), &place);
    let place = Place::new(25, &["refuse-all"]);
    printed!(
        "run_stopped_unexplained",
        place.live(&["--batch-size", "5"]),
        &place
    );
}

#[test]
fn settings_and_their_faults() {
    let place = Place::new(1, &[]);
    printed!("config_show", place.run(&["config", "show"]), &place);
    printed!(
        "config_template",
        place.run(&["config", "template"]),
        &place
    );
    std::fs::write(
        place.file(".env"),
        "API_ENDPOINT=...\nLA_CODE=000\nBATCH_SIZE=500\nSUPPLIER_KEY=SUBSCRIPTION_PRIMARY_KEY_CODE\noops\n",
    )
    .unwrap();
    printed!("config_faults", place.run(&["send", "--live"]), &place);
    printed!(
        "secret_as_flag",
        place.run(&["send", "--client-secret", "x"]),
        &place
    );
}

#[test]
fn sql_for_a_dba() {
    let place = Place::new(1, &[]);
    for dialect in ["sqlite", "postgres", "sqlserver"] {
        printed!(
            format!("init_print_{dialect}"),
            place.run(&["init", "--print", dialect]),
            &place
        );
    }
}

#[test]
fn help() {
    let place = Place::new(0, &[]);
    printed!("help", place.run(&["--help"]), &place);
    printed!(
        "help_simulator",
        place.run(&["simulator", "--help"]),
        &place
    );
}

#[test]
fn the_demo() {
    let place = Place::new(0, &[]);
    printed!(
        "demo",
        place.run(&["demo", "--children", "120", "--dir", "demo"]),
        &place
    );
}
