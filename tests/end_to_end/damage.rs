//! The journal is damaged, wherever in it: it is kept under another name, whoever runs the
//! program is told, and everything goes once more.

use std::path::PathBuf;

use crate::kills::{nothing_is_marked_that_did_not_arrive, record};
use crate::place::Place;
use crate::table::Table;

const CHILDREN: u64 = 60;
const LIVE: [&str; 3] = ["send", "--live", "--yes"];

/// A place whose journal knows of two runs, and that journal.
fn with_a_journal() -> (Place, Vec<u8>) {
    let place = Place::new(0, &[]);
    place.simulator.order("refuse=C7".parse().unwrap());
    let table = Table::Sqlite(&place);
    for child in 0..CHILDREN {
        table.enter(child, &record(child, 0));
    }
    for version in 1..=2 {
        for child in 0..CHILDREN {
            table.change(child, &record(child, version));
        }
        assert_eq!(place.run(&LIVE).exit, 1, "one is refused");
    }
    place.simulator.withdraw_orders();
    let journal = std::fs::read(place.file("state/journal.db")).unwrap();
    (place, journal)
}

/// The root page of every table and index, with its name.
fn roots(place: &Place) -> (usize, Vec<(String, usize)>) {
    let journal = rusqlite::Connection::open(place.file("state/journal.db")).unwrap();
    let page: i64 = journal
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .unwrap();
    let roots = journal
        .prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))
        .unwrap()
        .map(|root| root.map(|(name, at)| (name, usize::try_from(at).unwrap())))
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    (usize::try_from(page).unwrap(), roots)
}

/// Files beside the journal.
fn kept(place: &Place) -> Vec<PathBuf> {
    let files = std::fs::read_dir(place.file("state")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|file| file.to_string_lossy().contains(".damaged-"))
        .collect()
}

/// A run with that journal.
fn is_set_aside(place: &Place, damaged: &[u8], about: &str) {
    std::fs::remove_dir_all(place.file("state")).unwrap();
    std::fs::create_dir(place.file("state")).unwrap();
    std::fs::write(place.file("state/journal.db"), damaged).unwrap();
    place.execute("UPDATE {t} SET submission_status = 'pending'");
    // Whoever only looks is told what happens next.
    let looked = place.run(&["journal"]);
    if looked.exit != 0 {
        let next = "start a live run: it keeps the damaged file under another name";
        assert!(looked.stderr.contains(next), "{about}: {}", looked.both());
    }
    let ran = place.run(&LIVE);
    assert_eq!(ran.exit, 0, "{about}: {}", ran.both());
    assert!(ran.stderr.contains("CSC0282"), "{about}: {}", ran.both());
    let kept = kept(place);
    assert_eq!(kept.len(), 1, "{about}: {kept:?}");
    let name = kept[0].to_string_lossy().into_owned();
    assert!(ran.stderr.contains(&name), "{about}: {}", ran.both());
    assert!(std::fs::read(&kept[0]).unwrap() == damaged, "{about}");
    assert_eq!(place.statuses(), format!("sent {CHILDREN}"), "{about}");
    nothing_is_marked_that_did_not_arrive(place, &Table::Sqlite(place), about);
    // The new one is in order.
    let idle = place.run(&LIVE);
    assert!(idle.stdout.contains("with 0 posts"), "{}", idle.both());
    assert!(!idle.stderr.contains("CSC0282"), "{}", idle.both());
}

#[test]
fn a_journal_that_is_damaged_anywhere_is_set_aside_and_everything_goes_once_more() {
    let (place, journal) = with_a_journal();
    let (page, roots) = roots(&place);
    assert!(roots.len() > 10, "{roots:?}");
    for (name, root) in roots {
        let mut damaged = journal.clone();
        damaged[(root - 1) * page..root * page].fill(0xA5);
        is_set_aside(&place, &damaged, &name);
    }
}

#[test]
fn a_journal_that_is_cut_short_or_something_else_is_set_aside() {
    let (place, journal) = with_a_journal();
    let half = &journal[..journal.len() / 2];
    let mut headless = journal.clone();
    headless[..16].fill(0);
    for (about, damaged) in [
        ("half", half),
        ("its first bytes", &journal[..100]),
        ("without its head", &headless),
        ("a text", b"This is no journal, whoever put it here.\n"),
    ] {
        is_set_aside(&place, damaged, about);
    }
}

/// SQLite takes an empty file for a new one, and deletes the changes beside it.
#[test]
fn a_journal_that_was_emptied_keeps_what_stands_beside_it() {
    let (place, journal) = with_a_journal();
    std::fs::write(place.file("state/journal.db"), "").unwrap();
    std::fs::write(place.file("state/journal.db-wal"), &journal).unwrap();
    place.execute("UPDATE {t} SET submission_status = 'pending'");
    let ran = place.run(&LIVE);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0282"), "{}", ran.both());
    let kept = kept(&place);
    let changes = kept
        .iter()
        .find(|path| path.to_string_lossy().ends_with("-wal"));
    assert!(
        std::fs::read(changes.unwrap()).unwrap() == journal,
        "{kept:?}"
    );
    assert_eq!(place.statuses(), format!("sent {CHILDREN}"));
}
