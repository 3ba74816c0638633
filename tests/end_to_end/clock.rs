//! This machine's clock jumps, a day ahead and back, while a run is under way: what
//! decides goes by time that has passed, not by what the clock says.
//!
//! The program runs under libfaketime, which changes what it is told of the time of day
//! and leaves the time that passes as it is.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::gate::Gate;
use crate::place::{Place, Ran, ran};
use crate::table::Table;
use crate::two_runs::through;
use crate::watched::Watched;

const LIVE: [&str; 3] = ["send", "--live", "--yes"];

/// A clock that is right until it is set.
struct Clock<'a> {
    place: &'a Place,
}

impl Clock<'_> {
    fn of(place: &Place) -> Clock<'_> {
        let clock = Clock { place };
        clock.set("+0");
        clock
    }

    /// So much from the true time, as libfaketime writes it: `+1d`.
    fn set(&self, offset: &str) {
        // Renamed into place: nobody reads half a file.
        std::fs::write(self.place.file("clock.new"), offset).unwrap();
        std::fs::rename(self.place.file("clock.new"), self.place.file("clock")).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let library = library();
        assert!(
            Path::new(&library).exists(),
            "the test needs libfaketime: scripts/test installs it"
        );
        let mut command = self.place.command(arguments);
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", self.place.file("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        command
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().unwrap())
    }
}

fn library() -> String {
    format!(
        "/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1",
        std::env::consts::ARCH
    )
}

/// When the journal says that its runs began, in the order in which they did.
fn begun(place: &Place) -> Vec<jiff::Timestamp> {
    let journal = rusqlite::Connection::open(place.file("state/journal.db")).unwrap();
    let mut runs = journal
        .prepare("SELECT begun_at FROM run ORDER BY rowid")
        .unwrap();
    let begun = runs.query_map([], |row| row.get::<_, String>(0)).unwrap();
    begun.map(|at| at.unwrap().parse().unwrap()).collect()
}

fn hours_ahead(at: jiff::Timestamp) -> i64 {
    let ahead = at.duration_since(jiff::Timestamp::now());
    (ahead.as_secs() + 1800).div_euclid(3600)
}

#[test]
fn a_clock_that_jumps_a_day_and_back_changes_nothing_of_a_run() {
    let place = Place::new(60, &[]);
    let gate = Gate::to(place.running.address());
    place.write_env(&format!("{}MIN_GAP_MS=100", through(&gate)));
    let clock = Clock::of(&place);
    let hold_reply = |to_post| {
        let simulator = place.simulator.clone();
        gate.hold_when(move || simulator.counts().posts >= to_post);
    };
    let started = Instant::now();
    hold_reply(1);
    let run = Watched::of(clock.start(&LIVE));
    for (next, offset) in [(2, "+1d"), (3, "-1d"), (4, "+1d"), (5, "+0")] {
        gate.until_held();
        clock.set(offset);
        hold_reply(next);
    }
    gate.open();
    let ran = run.wait();
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(ran.stdout.contains("60 records sent"), "{}", ran.both());
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{}",
        ran.both()
    );
    assert_eq!(place.simulator.counts().tokens, 1, "the token stays good");
    assert_eq!(place.simulator.counts().posts, 6);
    for n in 1..=60 {
        assert_eq!(place.simulator.arrivals("845", &format!("C{n}")), 1);
    }
    // The journal tells in the order in which it happened, whatever the times say.
    let json = place.run(&["journal", "--format", "json"]).stdout;
    let lines: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let batches: Vec<i64> = lines
        .iter()
        .filter(|line| !line["row_id"].is_i64())
        .filter_map(|line| line["batch_id"].as_i64())
        .collect();
    assert_eq!(batches, [1, 2, 3, 4, 5, 6], "{json}");
    let left: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["departed_at"].as_str())
        .collect();
    assert!(!left.is_sorted(), "the clock did jump: {left:?}");
    assert!(!json.contains(r#""recorded_at":null"#), "{json}");
}

#[test]
fn a_time_to_wait_until_is_by_the_receivers_clock() {
    for offset in ["+1d", "-1d"] {
        let place = Place::new(3, &["429=http-date:2,times=1"]);
        let clock = Clock::of(&place);
        clock.set(offset);
        let ran = clock.run(&LIVE);
        assert_eq!(ran.exit, 0, "{offset}: {}", ran.both());
        // HTTP's dates are in whole seconds.
        let waited = [1, 2, 3].map(|seconds| format!("trying again in {seconds}.0 s"));
        assert!(
            waited.iter().any(|words| ran.stderr.contains(words)),
            "{offset}: {}",
            ran.both()
        );
    }
}

#[test]
fn a_run_that_begins_before_the_one_that_went_before_is_the_later_one_all_the_same() {
    let place = Place::new(5, &[]);
    let clock = Clock::of(&place);
    clock.set("+1d");
    assert_eq!(clock.run(&LIVE).exit, 0);
    clock.set("+0");
    place.simulator.order("drop,times=1".parse().unwrap());
    Table::Sqlite(&place).execute("UPDATE {t} SET submission_status = 'pending'");
    let ran = clock.run(&LIVE);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(
        ran.stdout.contains("5 records sent again"),
        "{}",
        ran.both()
    );
    assert_eq!(
        begun(&place)
            .into_iter()
            .map(hours_ahead)
            .collect::<Vec<_>>(),
        [24, 0]
    );
    // Who watches is not told of a good run that is still to come.
    let journal = rusqlite::Connection::open(place.file("state/journal.db")).unwrap();
    journal
        .execute("UPDATE good_run SET at = '2999-01-01T00:00:00Z'", [])
        .unwrap();
    place.execute("UPDATE {t} SET submission_timestamp = '2999-01-01 00:00:00'");
    let status = place.run(&["status", "--max-age", "26h"]);
    assert_eq!(status.exit, 1, "{}", status.both());
    assert!(status.stderr.contains("2999-01-01"), "{}", status.stderr);
}

#[test]
fn a_clock_that_is_years_ahead_for_a_night_costs_no_events() {
    let place = Place::new(5, &[]);
    place.write_env("JOURNAL_KEEP_DAYS=30");
    let clock = Clock::of(&place);
    let kept = || {
        begun(&place)
            .into_iter()
            .map(hours_ahead)
            .collect::<Vec<_>>()
    };
    assert_eq!(clock.run(&LIVE).exit, 0);
    clock.set("+1000d");
    assert_eq!(clock.run(&LIVE).exit, 0);
    assert_eq!(kept(), [0, 24_000]);
    clock.set("+0");
    assert_eq!(clock.run(&LIVE).exit, 0);
    assert_eq!(kept(), [0, 24_000, 0]);
    // What is old goes all the same, and the ledger stays.
    clock.set("+40d");
    assert_eq!(clock.run(&LIVE).exit, 0);
    clock.set("+41d");
    let ran = clock.run(&[&LIVE[..], &["--mode", "deltas", "-v"]].concat());
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(kept(), [24_000, 40 * 24, 41 * 24]);
    place.execute("UPDATE {t} SET submission_status = 'pending'");
    let known = clock.run(&[&LIVE[..], &["--mode", "deltas"]].concat());
    assert!(known.stdout.contains("with 0 posts"), "{}", known.both());
}
