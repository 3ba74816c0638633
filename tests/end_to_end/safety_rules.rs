//! One test per safety rule: exit 6, the rule's message, and nothing touched.

use crate::place::{Place, TABLE, payload};

fn stopped(env: &str, more: &[&str], code: &str) {
    let place = Place::new(3, &[]);
    place.write_env(env);
    let ran = place.live(more);
    assert_eq!(ran.exit, 6, "{}", ran.both());
    assert!(ran.stderr.contains(code), "{}", ran.both());
    assert_eq!(place.statuses(), "pending 3");
    assert_eq!(place.simulator.counts().tokens, 0, "nothing was asked for");
}

#[test]
fn the_live_table_never_goes_to_a_test_receiver() {
    stopped("", &["--table", "ssd_api_data_staging"], "CSC0612");
}

#[test]
fn any_table_that_is_not_anon_counts_as_real() {
    stopped("", &["--table", "my_copy_anon_2"], "CSC0612");
}

#[test]
fn the_anon_table_never_goes_to_a_live_receiver() {
    stopped(
        "API_ENDPOINT=https://pp-api.education.gov.uk/children-in-social-care-data-receiver/1",
        &[],
        "CSC0613",
    );
}

#[test]
fn the_test_record_never_goes_to_a_live_receiver() {
    stopped(
        "API_ENDPOINT=https://pp-api.education.gov.uk/children-in-social-care-data-receiver/1",
        &["--test-record"],
        "CSC0614",
    );
}

#[test]
fn an_address_that_does_not_tell_its_kind_needs_it_stated() {
    stopped("API_ENDPOINT=http://127.0.0.1:9/elsewhere", &[], "CSC0611");
    stopped("ENDPOINT_KIND=live", &[], "CSC0611");
}

#[test]
fn only_loopback_may_do_without_https() {
    stopped(
        "API_ENDPOINT=http://pp-api.education.gov.uk/children-in-social-care-data-receiver-test/1",
        &[],
        "CSC0615",
    );
    stopped(
        "TOKEN_ENDPOINT=http://login.microsoftonline.com/x/oauth2/v2.0/token",
        &[],
        "CSC0615",
    );
}

#[test]
fn other_hosts_must_be_named() {
    stopped(
        "API_ENDPOINT=https://example.org/children-in-social-care-data-receiver-test/1",
        &[],
        "CSC0616",
    );
    stopped("TOKEN_ENDPOINT=https://example.org/token", &[], "CSC0616");
}

#[test]
fn the_first_live_run_to_an_endpoint_needs_a_yes_and_the_next_does_not() {
    let place = Place::new(3, &[]);
    let ran = place.run(&["send", "--live"]);
    assert_eq!(ran.exit, 6);
    assert!(ran.stderr.contains("CSC0620"), "{}", ran.stderr);
    assert_eq!(place.statuses(), "pending 3");
    assert_eq!(place.live(&[]).exit, 0);
    place.execute("UPDATE {t} SET submission_status = 'pending'");
    assert_eq!(place.run(&["send", "--live"]).exit, 0);
    place.write_env("LA_CODE=846");
    assert_eq!(
        place.run(&["send", "--live"]).exit,
        6,
        "another authority is another first run"
    );
}

#[test]
fn a_failed_load_that_marks_everyone_deleted_purges_nobody() {
    let payloads: Vec<String> = (1..=40).map(payload).collect();
    let place = Place::with_payloads(TABLE, &payloads, &[]);
    assert_eq!(place.live(&[]).exit, 0);
    place.execute("UPDATE {t} SET row_state = 'Deleted' WHERE id <= 11");
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 6);
    assert!(ran.stderr.contains("CSC0602"), "{}", ran.stderr);
    assert_eq!(place.simulator.counts().children_held, 40);
    assert_eq!(place.live(&["--allow-purges", "10"]).exit, 6);
    let ran = place.live(&["--allow-purges", "11"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(place.simulator.counts().children_held, 29);
    let again = place.live(&[]);
    assert_eq!(again.exit, 0);
    assert!(
        again.stdout.contains("0 posts"),
        "a purge goes once: {}",
        again.stdout
    );
    assert_eq!(place.text("row_state", 1), "Deleted");
    assert!(
        place
            .text("previous_json_payload", 1)
            .contains("\"purge\":true")
    );
}
