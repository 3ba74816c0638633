//! Two runs that are started at the same moment: one works, the other leaves with 5 and
//! names who has the table. Nothing is posted twice.

use std::time::{Duration, Instant};

use crate::gate::Gate;
use crate::place::{Place, Ran, until};
use crate::postgres::{Schema, url};
use crate::watched::Watched;

const CHILDREN: u64 = 30;

/// The endpoints, by way of a gate.
pub fn through(gate: &Gate) -> String {
    format!(
        "API_ENDPOINT=http://{0}{1}\nTOKEN_ENDPOINT=http://{0}{2}\n",
        gate.address,
        csc_simulator::API_PATH,
        csc_simulator::TOKEN_PATH
    )
}

/// How long a run at least looks for the name of the one that has the table.
const LOOKS: Duration = Duration::from_secs(1);

/// Starts both while nothing gets through; whoever has the table waits then. Gives the one
/// that left, the one that worked, and the process that this one was. Where one looked in vain
/// for the other's name, since that was late to write itself down, the next one finds it.
fn both(place: &Place, gate: &Gate) -> (Ran, Ran, u32) {
    gate.hold();
    let arguments = ["send", "--live", "--yes"];
    let begun = Instant::now();
    let mut runs = [(); 2].map(|()| Watched::start(place, &arguments));
    let mut left = None;
    until(
        || {
            left = runs.iter_mut().position(Watched::has_ended);
            left.is_some()
        },
        "one of two runs to leave",
    );
    let [first, second] = runs;
    let (left, works) = match left {
        Some(0) => (first, second),
        _ => (second, first),
    };
    let (mut left, took) = (left.wait(), begun.elapsed());
    let process = works.child.id();
    let is_named = |left: &Ran| left.stderr.contains(&named(process));
    if !is_named(&left) {
        assert!(took >= LOOKS, "{took:?}: {}", left.both());
        until(
            || {
                left = place.run(&arguments);
                is_named(&left)
            },
            "the run that has the table to be named",
        );
    }
    gate.open();
    (left, works.wait(), process)
}

fn named(process: u32) -> String {
    format!("(process {process})")
}

/// In the second round, what the first has left behind does not mislead.
fn one_works_and_the_other_leaves(place: &Place, gate: &Gate, rounds: u64, again: impl Fn()) {
    for round in 1..=rounds {
        if round > 1 {
            again();
        }
        let posts = place.simulator.counts().posts;
        let (left, works, process) = both(place, gate);
        assert_eq!(left.exit, 5, "{}", left.both());
        assert_eq!(works.exit, 0, "{}", works.both());
        assert!(left.stderr.contains("CSC0501"), "{}", left.stderr);
        let named = named(process);
        assert!(left.stderr.contains(&named), "{named}: {}", left.stderr);
        assert!(left.stdout.contains("0 records sent"), "{}", left.both());
        let sent = format!("{CHILDREN} records sent");
        assert!(works.stdout.contains(&sent), "{}", works.both());
        assert_eq!(place.simulator.counts().posts - posts, CHILDREN / 10);
        for n in 1..=CHILDREN {
            let arrivals = place.simulator.arrivals("845", &format!("C{n}"));
            assert_eq!(arrivals, round, "C{n} in round {round}");
        }
        let journal = place.run(&["journal"]);
        let runs = journal.stdout.matches("\nrun ").count() + 1;
        assert_eq!(runs as u64, round, "{}", journal.stdout);
    }
}

const AGAIN: &str = "UPDATE {t} SET submission_status = 'pending'";

#[test]
fn of_two_runs_that_begin_together_one_works_on_sqlite() {
    let place = Place::new(u32::try_from(CHILDREN).unwrap(), &[]);
    let gate = Gate::to(place.running.address());
    place.write_env(&through(&gate));
    one_works_and_the_other_leaves(&place, &gate, 2, || place.execute(AGAIN));
}

#[test]
fn of_two_runs_that_begin_together_one_works_on_postgresql() {
    let schema = Schema::new("two_runs");
    let place = Place::new(0, &[]);
    let gate = Gate::to(place.running.address());
    let table = format!("{}.ssd_api_data_staging_anon", schema.name);
    place.write_env(&format!(
        "{}DB_CONNECTION_STRING={}\nTABLE_NAME={table}",
        through(&gate),
        url()
    ));
    assert_eq!(place.run(&["init"]).exit, 0);
    schema.execute(&format!(
        "INSERT INTO {table} (person_id, json_payload)
         SELECT 'P' || n, '{{\"la_child_id\":\"C' || n || '\",\"child_details\":{{\"sex\":\"M\"}}}}'
         FROM generate_series(1, {CHILDREN}) AS n"
    ));
    one_works_and_the_other_leaves(&place, &gate, 2, || {
        schema.until_free();
        schema.execute(&AGAIN.replace("{t}", &table));
    });
}

/// A lock that goes by the file's name is no lock where the file has two.
#[cfg(unix)]
#[test]
fn a_table_is_the_same_one_whichever_way_leads_to_it() {
    let place = Place::new(10, &[]);
    let gate = Gate::to(place.running.address());
    place.write_env(&through(&gate));
    std::os::unix::fs::symlink("children.db", place.file("link.db")).unwrap();
    gate.hold();
    let run = Watched::start(&place, &["send", "--live", "--yes"]);
    let lock = place.file(&format!("children.db.{}.lock", crate::place::TABLE));
    until(
        || std::fs::read(&lock).is_ok_and(|holder| !holder.is_empty()),
        "the run to have the table",
    );
    place.write_env(&format!(
        "{}DB_CONNECTION_STRING=sqlite:link.db",
        through(&gate)
    ));
    let other = place.run(&["send", "--live", "--yes"]);
    assert_eq!(other.exit, 5, "{}", other.both());
    gate.open();
    let ran = run.wait();
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(place.simulator.counts().posts, 1);
}

/// On the server that `CSC_TEST_MSSQL` names, as in `sql_server.rs`.
#[test]
fn of_two_runs_that_begin_together_one_works_on_sql_server() {
    let Some((place, table)) =
        crate::sql_server::at("two_runs", u32::try_from(CHILDREN).unwrap(), &[])
    else {
        return;
    };
    let gate = Gate::to(place.running.address());
    place.write_env(&format!("{}{}", through(&gate), table.settings()));
    one_works_and_the_other_leaves(&place, &gate, 2, || table.execute(AGAIN));
}
