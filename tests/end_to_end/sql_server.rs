//! The same path on SQL Server, where `CSC_TEST_MSSQL` says how one is reached: see
//! `docs/sql-server.md`.

use csc_staging::connection::parse;
use csc_staging::{NewRow, TableName, connect};

use crate::place::{Place, payload};

/// The place with a table of its own in that server's test database, and the settings that
/// name it; or none without one.
pub fn at(name: &str, children: u32, faults: &[&str]) -> Option<(Place, String)> {
    let address = std::env::var("CSC_TEST_MSSQL")
        .ok()
        .filter(|text| !text.is_empty())?;
    let place = Place::new(0, faults);
    let table = format!("dbo.csc_e2e_{}_{name}_anon", std::process::id());
    let settings = format!("DB_CONNECTION_STRING={address}\nTABLE_NAME={table}");
    place.write_env(&settings);
    let rows: Vec<NewRow> = (1..=children)
        .map(|n| NewRow {
            person_id: format!("P{n}"),
            legacy_id: None,
            payload: payload(n),
            hash: [1; 32],
        })
        .collect();
    let table: TableName = table.parse().unwrap();
    let target = parse(&address).unwrap().target;
    place.block_on(async {
        let store = connect(&target, &table).await.unwrap();
        store.create().await.unwrap();
        store.stage(&rows).await.unwrap();
    });
    Some((place, settings))
}

#[test]
fn the_main_job_on_sql_server() {
    let Some((place, _)) = at("main", 55, &["refuse-unnamed=C17"]) else {
        return;
    };
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert!(
        ran.stdout.contains("54 records sent, 1 refused"),
        "{}",
        ran.both()
    );
    let held = place.simulator.record("845", "C3").unwrap();
    assert_eq!(held.to_string(), payload(3));
    let again = place.live(&["--mode", "deltas"]);
    assert_eq!(again.exit, 1, "{}", again.both());
    assert!(again.stdout.contains("of 1 eligible"), "{}", again.both());
    let status = place.run(&["status"]);
    for line in ["sent               unchanged           54", "error"] {
        assert!(status.stdout.contains(line), "{}", status.stdout);
    }
    let checked = place.run(&["check", "database"]);
    assert_eq!(checked.exit, 0, "{}", checked.both());
    let validated = place.run(&["validate"]);
    assert_eq!(validated.exit, 0, "{}", validated.both());
    let testing = place.run(&["send"]);
    assert_eq!(testing.exit, 0, "{}", testing.both());
    assert!(
        testing.stdout.contains("1 record tried"),
        "{}",
        testing.both()
    );
}

#[test]
fn a_second_run_is_told_who_has_the_table() {
    let Some((place, _)) = at("busy", 30, &["slow=3000"]) else {
        return;
    };
    let first = place.start(&["send", "--live", "--yes"]);
    crate::place::until(
        || place.simulator.counts().posts > 0,
        "the first run's first post",
    );
    let second = place.live(&[]);
    assert_eq!(second.exit, 5, "{}", second.both());
    let run = format!("(process {})", first.id());
    assert!(second.stderr.contains(&run), "{}", second.both());
    let first = crate::place::ran(first.wait_with_output().unwrap());
    assert_eq!(first.exit, 0, "{}", first.both());
}
