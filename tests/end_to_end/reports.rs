//! Reports of runs, made by the built program.

use crate::place::{Place, payload};

fn page_of(place: &Place, folder: &str) -> String {
    let mut files: Vec<_> = std::fs::read_dir(place.file(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let file = files.remove(0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "for its owner alone");
    }
    std::fs::read_to_string(file).unwrap()
}

/// Twenty-five children: one whose date of birth is none, and one whom the receiver
/// refuses with words of its own.
fn place_with_refusals() -> Place {
    let mut payloads: Vec<String> = (1..=25).map(payload).collect();
    payloads[2] = payloads[2].replace("2015-03-04", "canary-date");
    Place::with_payloads(crate::place::TABLE, &payloads, &["refuse=C7"])
}

#[test]
fn a_live_runs_report_is_the_same_from_the_run_and_from_the_journal() {
    let place = place_with_refusals();
    assert_eq!(place.live(&["--limit", "2"]).exit, 0);
    let ran = place.live(&["--report", "reports"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert!(ran.stderr.contains("The report is in "), "{}", ran.stderr);
    let from_the_run = page_of(&place, "reports");
    let made = place.run(&["report", "--html", "later.html"]);
    assert_eq!(made.exit, 0, "{}", made.both());
    let from_the_journal = std::fs::read_to_string(place.file("later.html")).unwrap();
    for page in [&from_the_run, &from_the_journal] {
        assert!(page.contains("LIVE RUN"), "{page}");
        assert!(
            page.contains("date at <code>child_details.date_of_birth</code>"),
            "{page}"
        );
        assert!(page.contains("refused by the receiver"), "{page}");
        assert!(page.contains("row 7"), "{page}");
        assert!(page.contains("Size of each post"), "{page}");
        assert!(page.contains("Records by day"), "{page}");
        assert!(!page.contains("canary"), "no child's value");
        assert!(!page.contains(csc_simulator::CLIENT_SECRET), "no secret");
        assert!(!page.contains(csc_simulator::SUPPLIER_KEY), "no secret");
        assert!(page.contains("**** (set)"), "but whether it is set");
    }
    // Only when they were made, and to the millisecond what was rounded, may differ.
    let volatile =
        regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC|<dd>[0-9.]+ m?s</dd>").unwrap();
    let rough = |page: &str| {
        let page = volatile.replace_all(page, "").into_owned();
        let svg = regex::Regex::new(r"(?s)<svg.*?</svg>|\d+ ms|on average[^<]*").unwrap();
        svg.replace_all(&page, "").into_owned()
    };
    assert_eq!(rough(&from_the_run), rough(&from_the_journal));
}

#[test]
fn a_testing_run_has_a_report_that_says_so_and_leaves_nothing_in_the_journal() {
    let place = place_with_refusals();
    let ran = place.run(&["send", "--report", "reports"]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    let page = page_of(&place, "reports");
    assert!(page.contains("TESTING RUN"), "{page}");
    assert!(
        page.contains("24 records tried; nothing left the authority, 1 refused."),
        "{page}"
    );
    assert!(!page.contains("canary"));
    assert!(!place.file("state").exists());
    let empty = place.run(&["report", "--html", "none.html"]);
    assert_eq!(empty.exit, 0, "{}", empty.both());
    let empty = std::fs::read_to_string(place.file("none.html")).unwrap();
    assert!(empty.contains("No live run yet"), "{empty}");
}

#[test]
fn a_report_in_the_terminal_names_rules_and_rows() {
    let place = place_with_refusals();
    let none = place.run(&["report"]);
    assert!(
        none.stdout.starts_with("No live run yet"),
        "{}",
        none.both()
    );
    assert_eq!(place.live(&[]).exit, 1);
    let ran = place.run(&["report"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    for said in [
        "Live run ",
        "23 records sent, 2 refused.",
        "Refused: date at child_details.date_of_birth: 1 row",
        "row ids: 3",
        "exit code 1",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("canary"), "{}", ran.stdout);
    let unknown = place.run(&["report", "--run", "20200101T000000Z-00000000"]);
    assert_eq!(unknown.exit, 2);
    assert!(unknown.stderr.contains("CSC0271"), "{}", unknown.stderr);
}

#[test]
fn an_older_run_is_found_by_its_id() {
    let place = Place::new(5, &[]);
    assert_eq!(place.live(&[]).exit, 0);
    let first = place.run(&["report"]).stdout;
    let id = first.split_whitespace().nth(2).unwrap().to_string();
    assert_eq!(place.live(&[]).exit, 0);
    let again = place.run(&["report", "--run", &id]).stdout;
    assert!(again.contains("5 records sent"), "{again}");
    assert!(again.contains("The last 2 of 2 live runs"), "{again}");
    let newest = place.run(&["report"]).stdout;
    assert!(newest.contains("There was nothing to send."), "{newest}");
}

#[test]
fn a_run_whose_report_cannot_be_written_does_not_begin() {
    let place = Place::new(5, &[]);
    std::fs::write(place.file("reports"), "a file").unwrap();
    let ran = place.live(&["--report", "reports"]);
    assert_eq!(ran.exit, 2, "{}", ran.both());
    assert!(ran.stderr.contains("CSC0270"), "{}", ran.stderr);
    assert_eq!(place.simulator.counts().posts, 0);
    assert_eq!(place.statuses(), "pending 5");
}

#[test]
fn a_run_that_ends_early_says_why_in_its_report() {
    let place = Place::new(25, &["status=404"]);
    let ran = place.live(&["--report", "reports"]);
    assert_eq!(ran.exit, 4, "{}", ran.both());
    let page = page_of(&place, "reports");
    assert!(page.contains("Ended early: "), "{page}");
    assert!(page.contains("<code>CSC0"), "{page}");
    assert!(page.contains("What to do: "), "{page}");
}

/// A journal of the version before: without the columns and tables of reports.
#[test]
fn a_journal_of_an_earlier_version_is_reported_and_brought_up_to_date() {
    let place = Place::new(15, &[]);
    assert_eq!(place.live(&["--limit", "10"]).exit, 0);
    let journal = rusqlite::Connection::open(place.file("state/journal.db")).unwrap();
    journal
        .execute_batch(
            "DROP TABLE run_report; DROP TABLE refusal;
             ALTER TABLE batch DROP COLUMN bytes; ALTER TABLE batch DROP COLUMN took_ms;
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    drop(journal);
    let old = place.run(&["report"]);
    assert_eq!(old.exit, 0, "{}", old.both());
    assert!(
        old.stdout.contains("10 records have a receipt"),
        "{}",
        old.stdout
    );
    assert_eq!(place.live(&[]).exit, 0);
    let new = place.run(&["report", "--html", "page.html"]);
    assert_eq!(new.exit, 0, "{}", new.both());
    let page = std::fs::read_to_string(place.file("page.html")).unwrap();
    assert!(page.contains("5 records sent, none refused."), "{page}");
    assert!(
        page.contains("Of 1 run the journal does not know"),
        "{page}"
    );
}

#[test]
fn pruning_takes_what_reports_keep_along() {
    let place = place_with_refusals();
    assert_eq!(place.live(&[]).exit, 1);
    let journal = rusqlite::Connection::open(place.file("state/journal.db")).unwrap();
    journal
        .execute_batch("UPDATE run SET begun_at = '2020-01-01T00:00:00.000Z'")
        .unwrap();
    drop(journal);
    // The second run is now; the third counts back from it.
    for _ in 0..2 {
        assert_eq!(place.live(&[]).exit, 1);
    }
    let journal = rusqlite::Connection::open(place.file("state/journal.db")).unwrap();
    for table in ["run_report", "refusal"] {
        let runs: i64 = journal
            .query_row(
                &format!("SELECT count(DISTINCT run_id) FROM {table}"),
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(runs, 2, "{table}");
    }
}
