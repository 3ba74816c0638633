//! The receiver goes away and comes back; the network drops for longer than it is tried.

use serde_json::Value;

use crate::gate::Gate;
use crate::kills::{nothing_is_marked_that_did_not_arrive, record, what_arrived_twice_is_named};
use crate::place::{Place, free_port, until};
use crate::table::Table;
use crate::two_runs::through;
use crate::watched::Watched;

const CHILDREN: u64 = 60;
const LIVE: [&str; 3] = ["send", "--live", "--yes"];

fn change_all(place: &Place, version: u64) {
    for child in 0..CHILDREN {
        Table::Sqlite(place).change(child, &record(child, version));
    }
}

fn with_children(faults: &[&str]) -> Place {
    let place = Place::new(0, faults);
    for child in 0..CHILDREN {
        Table::Sqlite(&place).enter(child, &record(child, 0));
    }
    place.simulator.keep_log();
    place
}

fn all_arrived_and_what_came_twice_is_named(place: &Place, about: &str) {
    let table = Table::Sqlite(place);
    nothing_is_marked_that_did_not_arrive(place, &table, about);
    what_arrived_twice_is_named(place, &table);
    for (person, _, state, status) in table.rows() {
        let is = (state.as_str(), status.as_str());
        assert_eq!(is, ("unchanged", "sent"), "{person}: {about}");
    }
}

#[test]
fn a_receiver_that_starts_again_in_mid_run_costs_nothing() {
    let mut place = with_children(&[]);
    // Its port is nobody else's while it is down.
    place.receiver_comes_back(free_port());
    place.write_env("RETRY_BASE_MS=100\nMAX_RETRIES=30");
    for (round, mode) in ["full", "deltas", "full"].into_iter().enumerate() {
        if round > 0 {
            change_all(&place, round as u64);
        }
        let before = place.simulator.counts().posts;
        place
            .simulator
            .order("slow=60000,after=2,times=1".parse().unwrap());
        let run = Watched::start(&place, &[&LIVE[..], &["--mode", mode]].concat());
        let posts = || place.simulator.counts().posts - before;
        until(|| posts() >= 3, "the post that is not answered");
        let port = place.receiver_goes_down();
        run.until_said("trying again in");
        place.receiver_comes_back(port);
        let ran = run.wait();
        assert_eq!(ran.exit, 0, "{mode}: {}", ran.both());
        assert!(ran.stdout.contains("60 records sent"), "{}", ran.both());
        all_arrived_and_what_came_twice_is_named(&place, &ran.both());
    }
}

#[test]
fn a_network_that_drops_for_longer_than_all_tries_costs_one_batch_until_the_next_run() {
    let place = with_children(&[]);
    let gate = Gate::to(place.running.address());
    place.write_env(&format!("{}API_TIMEOUT=5\nMAX_RETRIES=1", through(&gate)));
    let simulator = place.simulator.clone();
    gate.hold_when(move || simulator.counts().posts >= 2);
    let ran = place.run(&LIVE);
    assert_eq!(ran.exit, 4, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0410"), "{}", ran.stderr);
    assert!(ran.stderr.contains("after 2 tries"), "{}", ran.stderr);
    let status_is = |wanted: &str| {
        let rows = Table::Sqlite(&place).rows();
        rows.into_iter().filter(|row| row.3 == wanted).count()
    };
    let failed = |rows: &[(String, Value, String, String)]| -> Vec<String> {
        let failed = rows.iter().filter(|row| row.3 == "error");
        failed
            .map(|row| row.1["la_child_id"].as_str().unwrap().to_string())
            .collect()
    };
    assert_eq!(status_is("error"), 10, "one batch: {}", ran.both());
    assert_eq!(
        status_is("sent") + status_is("pending"),
        50,
        "the others are as they were: {}",
        ran.both()
    );
    assert!(status_is("pending") >= 40, "{}", ran.both());
    let table = Table::Sqlite(&place);
    nothing_is_marked_that_did_not_arrive(&place, &table, "while the network is down");
    let lost = failed(&table.rows());
    // What was on its way may arrive late, when nobody waits for it any more.
    gate.open();
    let next = place.run(&LIVE);
    assert_eq!(next.exit, 0, "{}", next.both());
    assert!(
        next.stdout.contains("10 records sent again"),
        "{}",
        next.both()
    );
    all_arrived_and_what_came_twice_is_named(&place, &next.both());
    for child in lost {
        assert!(place.simulator.arrivals("845", &child) >= 2, "{child}");
    }
    let idle = place.run(&LIVE);
    assert!(idle.stdout.contains("with 0 posts"), "{}", idle.both());
}
