use super::*;
use crate::ledger::{Acknowledged, Held};

#[test]
fn first_departures_that_come_together_all_depart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(Journal::open(&path).unwrap());
    let start = std::sync::Barrier::new(4);
    let of_a_run = |run: i64| {
        let journal = Journal::open(&path).unwrap().journal;
        let key = csc_staging::RowKey::remembered(run, None, [0; 32]);
        let departed = (201..231).map(|la_code| {
            let ledger = journal.ledger("https://a", &la_code.to_string());
            start.wait();
            let departure = crate::ledger::Departure {
                key: &key,
                kind: crate::plan::FormKind::Full,
                text: "{}",
                sha256: None,
                again: false,
                child: &run.to_string(),
                revision: None,
                in_doubt: &csc_payload::Skeleton::default(),
                meaning: Some(&[7; 32]),
            };
            let departed = ledger.depart("run", None, &[departure], &[]);
            departed.map(|departed| departed.revisions)
        });
        departed.collect::<Vec<_>>()
    };
    let departed = std::thread::scope(|scope| {
        let runs = [0, 1, 2, 3].map(|run| scope.spawn(move || of_a_run(run)));
        runs.map(|run| run.join().unwrap())
    });
    for departed in departed.into_iter().flatten() {
        assert_eq!(departed.unwrap(), [Some(1)]);
    }
}

/// Two tables may hold the same child; a lock keeps runs apart on one table only.
#[test]
fn what_one_run_was_told_does_not_end_the_doubt_that_another_one_began() {
    use crate::events::{ACCEPTED, Answered};
    use crate::ledger::{Departure, Settled, Settlement};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let accepted = || Settlement::Record {
        meaning: [1; 32],
        skeleton: csc_payload::Skeleton::default(),
        receipt: ("r".into(), jiff::civil::date(2026, 11, 24).at(2, 0, 0, 0)),
        may_have_remains: false,
        row: 1,
    };
    let not_taken = || Settlement::NotTaken { in_doubt: None };
    for (first, second) in [
        (accepted(), accepted()),
        (not_taken(), not_taken()),
        (accepted(), not_taken()),
        (not_taken(), accepted()),
    ] {
        let journal = Journal::open(&path).unwrap().journal;
        let child = "C1";
        let depart = |ledger: &Ledger| {
            let key = csc_staging::RowKey::remembered(1, None, [0; 32]);
            let known = ledger.look_up(&[child]).unwrap();
            let departure = Departure {
                key: &key,
                kind: crate::plan::FormKind::Full,
                text: "{}",
                sha256: None,
                again: false,
                child,
                revision: known.get(child).map(|held| held.revision),
                in_doubt: &csc_payload::Skeleton::default(),
                meaning: Some(&[7; 32]),
            };
            let departed = ledger.depart("run", None, &[departure], &[]).unwrap();
            (departed.batch.unwrap(), departed.revisions[0])
        };
        let [one, other] = [(); 2].map(|()| journal.ledger("https://a", "201"));
        let (first_batch, first_revision) = depart(&one);
        let (second_batch, second_revision) = depart(&other);
        let settle = |ledger: &Ledger, batch, revision, settlement| {
            let answered = Answered {
                answer: ACCEPTED,
                words: "",
                status: None,
                request_id: None,
                post: None,
            };
            let settled = Settled {
                batch,
                answered,
                settlements: vec![(child, revision, settlement)],
            };
            ledger.settle(&settled).unwrap();
            ledger.look_up(&[child]).unwrap().remove(child)
        };
        let held = settle(&one, first_batch, first_revision, first).unwrap();
        assert!(held.in_doubt.is_some(), "the other one is on its way");
        let held = settle(&other, second_batch, second_revision, second).unwrap();
        assert!(held.in_doubt.is_some(), "nobody knows which came last");
        // One that is alone ends it.
        let (batch, revision) = depart(&one);
        let held = settle(&one, batch, revision, accepted()).unwrap();
        assert!(held.in_doubt.is_none());
    }
}

#[test]
fn a_ledger_that_does_not_say_which_row_a_record_stood_in_is_read_and_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let before = Journal::open(&path).unwrap().journal;
    before
        .connection()
        .execute_batch(
            "ALTER TABLE held_child DROP COLUMN row_id;
             INSERT INTO account VALUES (1, 'https://a', '201');
             INSERT INTO held_child (account_id, la_child_id, revision, meaning, skeleton)
             VALUES (1, 'one', 4, zeroblob(32), '{}')",
        )
        .unwrap();
    drop(before);
    let known = |journal: Journal| {
        let known = journal.ledger("https://a", "201").look_up(&["one"]);
        let held = known.unwrap().remove("one").unwrap();
        (held.revision, held.row)
    };
    let reading = Journal::open_to_read(&path).unwrap().unwrap();
    assert_eq!(known(reading), (4, None));
    let journal = Journal::open(&path).unwrap().journal;
    journal
        .connection()
        .execute_batch("UPDATE held_child SET row_id = 7")
        .unwrap();
    assert_eq!(known(journal), (4, Some(7)));
}

#[test]
fn a_ledger_of_an_earlier_version_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let before = Connection::open(&path).unwrap();
    before
        .execute_batch(
            "CREATE TABLE held_child (
                 endpoint TEXT NOT NULL, la_code TEXT NOT NULL, la_child_id TEXT NOT NULL,
                 revision INTEGER NOT NULL, meaning BLOB, skeleton TEXT, receipt TEXT,
                 receipt_at TEXT, in_doubt TEXT, remains INTEGER NOT NULL DEFAULT 0,
                 PRIMARY KEY (endpoint, la_code, la_child_id)
             ) WITHOUT ROWID;
             INSERT INTO held_child VALUES
                 ('https://a', '201', 'one', 4, zeroblob(32), '{\"la_child_id\":0,\"x\":0}', 'r', NULL, NULL, 1),
                 ('https://a', '202', 'one', 1, NULL, NULL, NULL, NULL, '{}', 0),
                 ('https://b', '201', 'two', 1, zeroblob(32), '{}', NULL, NULL, NULL, 0)",
        )
        .unwrap();
    drop(before);
    for _ in 0..2 {
        let journal = Journal::open(&path).unwrap().journal;
        let ledger = journal.ledger("https://a/", "201");
        let known = ledger.look_up(&["one", "two"]).unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(
            (known["one"].revision, known["one"].may_have_remains),
            (4, true)
        );
        let Acknowledged::Record { skeleton, .. } = &known["one"].last else {
            panic!("nothing acknowledged");
        };
        let record = serde_json::json!({"la_child_id": "one", "x": 1});
        assert_eq!(*skeleton, csc_payload::Skeleton::of(&record));
        assert_eq!(ledger.count_held().unwrap(), 1);
        let other = journal.ledger("https://a", "202");
        assert!(other.look_up(&["one"]).unwrap()["one"].in_doubt.is_some());
        assert_eq!(journal.ledger("https://b", "201").count_held().unwrap(), 1);
        assert_eq!(journal.ledger("https://c", "201").count_held().unwrap(), 0);
    }
}

/// Everything that the journal tells.
#[derive(Default)]
struct Told(Vec<String>);

impl Reader for Told {
    fn run(&mut self, run: &RunEntry) -> std::io::Result<()> {
        self.0.push(format!("run {}", run.run_id));
        Ok(())
    }

    fn batch(&mut self, _: &RunEntry, batch: &crate::BatchEntry) -> std::io::Result<()> {
        self.0.push(format!("batch {}", batch.batch_id));
        Ok(())
    }

    fn row(
        &mut self,
        _: &RunEntry,
        _: &crate::BatchEntry,
        row: &crate::RowEntry,
    ) -> std::io::Result<()> {
        self.0.push(format!("{row:?}"));
        Ok(())
    }
}

#[test]
fn a_journal_with_a_row_for_each_departure_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = Journal::open(&path).unwrap().journal;
    journal
        .connection()
        .execute_batch(
            "DROP VIEW departure; DROP TABLE batch_rows; DROP TABLE batch_receipts;
             CREATE TABLE departure (
                 batch_id INTEGER NOT NULL, position INTEGER NOT NULL, row_id INTEGER,
                 row_state TEXT, row_sha256 BLOB, kind TEXT NOT NULL, sha256 BLOB NOT NULL,
                 again INTEGER NOT NULL, receipt TEXT, receipt_at TEXT,
                 PRIMARY KEY (batch_id, position)
             ) WITHOUT ROWID;
             CREATE INDEX ix_departure_row ON departure (row_id);
             INSERT INTO run VALUES
                 ('R', '2026-11-24', NULL, NULL, 'u', 'h', 1, 'p', 'full', 'here', 'https://a', '201'),
                 ('S', '2026-11-25', NULL, NULL, 'u', 'h', 1, 'p', 'full', 'here', 'https://a', '201');
             INSERT INTO batch (batch_id, run_id, departed_at, records, answer)
                 VALUES (1, 'R', '2026-11-24', 2, 'accepted'), (2, 'S', '2026-11-25', 1, NULL),
                        (3, 'S', '2026-11-25', 1, NULL);
             INSERT INTO departure VALUES
                 (1, 1, 8, 'New', randomblob(32), 'purge', randomblob(32), 1, 'r1', '2026-11-24T02:00:00.5'),
                 (1, 0, 5, NULL, randomblob(32), 'full', randomblob(32), 0, 'r0', '2026-11-24T02:00:00'),
                 (2, 0, 8, '\"', randomblob(32), 'delta', randomblob(32), 0, NULL, NULL),
                 (3, 0, NULL, NULL, NULL, 'full', randomblob(32), 0, NULL, NULL)",
        )
        .unwrap();
    drop(journal);
    let told = |journal: &Journal, row| {
        let mut told = Told::default();
        journal
            .read(&Asked { since: None, row }, &mut told)
            .unwrap();
        let receipts = journal.run_record(Some("R")).unwrap().unwrap().receipts;
        (told.0, receipts)
    };
    let before = Journal::open_to_read(&path).unwrap().unwrap();
    let before = [None, Some(8), Some(5), Some(6)].map(|row| told(&before, row));
    assert_eq!(before[0].1, 2);
    assert_eq!(before.each_ref().map(|(told, _)| told.len()), [9, 6, 3, 0]);
    for _ in 0..2 {
        let journal = Journal::open(&path).unwrap().journal;
        let after = [None, Some(8), Some(5), Some(6)].map(|row| told(&journal, row));
        assert_eq!(before, after);
        let ledger = journal.ledger("https://a", "201");
        let rows = ledger.unrecorded_rows(1).unwrap();
        let found: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.key.id(),
                    row.key.row_state(),
                    row.is_purge,
                    &*row.receipt,
                )
            })
            .collect();
        assert_eq!(
            found,
            [(5, None, false, "r0"), (8, Some("New"), true, "r1")]
        );
        assert_eq!(
            rows[1].at,
            jiff::civil::date(2026, 11, 24).at(2, 0, 0, 500_000_000)
        );
        let digest: String = rows[0]
            .key
            .digest()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let kept: String = journal
            .connection()
            .query_row(
                "SELECT row_sha256 FROM departure WHERE batch_id = 1 AND row_id = 5",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(digest, kept);
    }
}

/// As it was before a record's hash could be that of its row.
const VIEW_BEFORE: &str = "CREATE VIEW IF NOT EXISTS departure AS
         SELECT b.batch_id AS batch_id, r.key AS position,
                r.value ->> 0 AS row_id, r.value ->> 1 AS row_state, r.value ->> 2 AS row_sha256,
                r.value ->> 3 AS kind, r.value ->> 4 AS sha256, r.value ->> 5 AS again,
                CASE WHEN json_valid(c.receipts)
                     THEN c.receipts ->> ('$[' || r.key || '][0]') END AS receipt,
                CASE WHEN json_valid(c.receipts)
                     THEN c.receipts ->> ('$[' || r.key || '][1]') END AS receipt_at
         FROM batch_rows AS b
         JOIN json_each(CASE WHEN json_valid(b.departed) THEN b.departed ELSE '[]' END) AS r
         LEFT JOIN batch_receipts AS c ON c.batch_id = b.batch_id";

#[test]
fn a_text_that_went_as_it_was_staged_has_its_rows_hash_also_where_the_view_was_another() {
    use crate::departures::{Leaving, write};
    use crate::plan::FormKind;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = Journal::open(&path).unwrap().journal;
    let (row, sent) = ("ab".repeat(32), "cd".repeat(32));
    journal
        .connection()
        .execute_batch(&format!(
            "DROP VIEW departure; {VIEW_BEFORE};
             INSERT INTO run VALUES
                 ('R', '2026-11-24', NULL, NULL, 'u', 'h', 1, 'p', 'full', 'here', 'https://a', '201');
             INSERT INTO batch (batch_id, run_id, departed_at, records)
                 VALUES (1, 'R', '2026-11-24', 2), (2, 'R', '2026-11-24', 3);
             INSERT INTO batch_rows VALUES (1, 5, 6,
                 '[[5,null,\"{row}\",\"full\",\"{row}\",0],[6,null,\"{row}\",\"delta\",\"{sent}\",0]]')"
        ))
        .unwrap();
    drop(journal);
    let version = |journal: &Journal| -> i64 {
        journal
            .connection()
            .query_row("PRAGMA schema_version", [], |row| row.get(0))
            .unwrap()
    };
    let journal = Journal::open(&path).unwrap().journal;
    let keys = [7, 8].map(|id| csc_staging::RowKey::remembered(id, None, [0xab; 32]));
    let leaving = |key, kind, sha256| Leaving {
        key,
        kind,
        text: "{}",
        sha256: Some([sha256; 32]),
        again: false,
    };
    let batch = [
        leaving(Some(&keys[0]), FormKind::Full, 0xab),
        leaving(Some(&keys[1]), FormKind::Delta, 0xcd),
        leaving(None, FormKind::Full, 0xab),
    ];
    write(&journal.connection(), 2, &batch).unwrap();
    let kept: String = journal
        .connection()
        .query_row(
            "SELECT departed FROM batch_rows WHERE batch_id = 2",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(
        kept,
        format!(
            "[[7,null,\"{row}\",\"full\",null,0],[8,null,\"{row}\",\"delta\",\"{sent}\",0],\
             [null,null,null,\"full\",\"{row}\",0]]"
        )
    );
    let before = version(&journal);
    drop(journal);
    let journal = Journal::open(&path).unwrap().journal;
    assert_eq!(version(&journal), before, "the view is made anew once");
    let hashes: Vec<(Option<i64>, Option<String>, String)> = journal
        .connection()
        .prepare("SELECT row_id, row_sha256, sha256 FROM departure ORDER BY batch_id, position")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        hashes,
        [
            (Some(5), Some(row.clone()), row.clone()),
            (Some(6), Some(row.clone()), sent.clone()),
            (Some(7), Some(row.clone()), row.clone()),
            (Some(8), Some(row.clone()), sent),
            (None, None, row),
        ]
    );
    let mut told = Told::default();
    journal.read(&Asked::default(), &mut told).unwrap();
    let told: Vec<_> = told
        .0
        .iter()
        .filter(|line| line.starts_with("Row"))
        .collect();
    assert_eq!(told.len(), hashes.len());
    for (told, (_, _, sha256)) in told.iter().zip(&hashes) {
        assert!(told.contains(sha256.as_str()), "{told}");
    }
}

#[test]
fn a_first_record_is_in_doubt_until_it_is_settled_and_its_row_does_not_grow() {
    use crate::events::{ACCEPTED, Answered};
    use crate::ledger::{Departure, Settled, Settlement};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = Journal::open(&path).unwrap().journal;
    let ledger = journal.ledger("https://a", "201");
    let key = csc_staging::RowKey::remembered(1, None, [0; 32]);
    let record = serde_json::json!({"la_child_id": "C1", "x": 1});
    let skeleton = csc_payload::Skeleton::of(&record);
    let depart = |revision, again: &csc_payload::Skeleton, meaning| {
        let departure = Departure {
            key: &key,
            kind: crate::plan::FormKind::Full,
            text: "{}",
            sha256: None,
            again: false,
            child: "C1",
            revision,
            in_doubt: again,
            meaning,
        };
        let departed = ledger.depart("run", None, &[departure], &[]).unwrap();
        (departed.batch.unwrap(), departed.revisions[0])
    };
    let settle = |(batch, revision), settlement| {
        let answered = Answered {
            answer: ACCEPTED,
            words: "",
            status: None,
            request_id: None,
            post: None,
        };
        let settlements = vec![("C1", revision, settlement)];
        let settled = Settled {
            batch,
            answered,
            settlements,
        };
        ledger.settle(&settled).unwrap();
    };
    let held = || ledger.look_up(&["C1"]).unwrap().remove("C1");
    let length = || -> i64 {
        let sql = "SELECT length(meaning) + length(skeleton) + length(receipt)
                       + length(receipt_at) + coalesce(length(in_doubt), 0) FROM held_child";
        let connection = journal.connection();
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let accepted = || Settlement::Record {
        meaning: [7; 32],
        skeleton: skeleton.clone(),
        receipt: (
            "00000000-0000-4000-8000-000000000001".into(),
            jiff::civil::date(2026, 11, 24).at(2, 0, 1, 250_000_000),
        ),
        may_have_remains: true,
        row: 1,
    };
    // Refused: as if it had never been.
    let departed = depart(None, &skeleton, Some(&[7; 32]));
    settle(departed, Settlement::NotTaken { in_doubt: None });
    assert!(held().is_none());
    // Its answer is missing, and it goes again.
    let (_, revision) = depart(None, &skeleton, Some(&[7; 32]));
    let doubtful = held().unwrap();
    assert_eq!(doubtful.last, Acknowledged::Nothing);
    assert_eq!(doubtful.in_doubt, Some(skeleton.clone()));
    assert_eq!(doubtful.receipt, None);
    assert_eq!(ledger.count_held().unwrap(), 0);
    let departed = depart(revision, &skeleton, None);
    assert_eq!(held().unwrap().last, Acknowledged::Nothing);
    assert_eq!(held().unwrap().in_doubt, Some(skeleton.clone()));
    settle(departed, accepted());
    let told_late = held().unwrap();
    settle(
        depart(Some(told_late.revision), &skeleton, Some(&[7; 32])),
        Settlement::Purged {
            receipt: ("r".into(), jiff::civil::date(2026, 11, 24).at(2, 0, 2, 0)),
        },
    );
    assert_eq!(held().unwrap().last, Acknowledged::Nothing);
    journal
        .connection()
        .execute_batch("DELETE FROM held_child")
        .unwrap();
    // Accepted at once.
    let departed = depart(None, &skeleton, Some(&[7; 32]));
    let before = length();
    settle(departed, accepted());
    let told = held().unwrap();
    assert_eq!(length(), before);
    assert_eq!(ledger.count_held().unwrap(), 1);
    let known = |held: Held| {
        (
            held.last,
            held.receipt,
            held.in_doubt,
            held.may_have_remains,
        )
    };
    assert_eq!(known(told), known(told_late));
}

#[test]
fn those_who_find_the_same_damage_set_aside_the_one_journal_and_no_new_one() {
    for round in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        std::fs::write(&path, "no journal").unwrap();
        let start = std::sync::Barrier::new(4);
        let opened = std::thread::scope(|scope| {
            let open = || {
                start.wait();
                Journal::open(&path).unwrap()
            };
            [(); 4]
                .map(|()| scope.spawn(open))
                .map(|thread| thread.join().unwrap())
        });
        let set_aside: Vec<_> = opened.iter().filter_map(|o| o.set_aside.as_ref()).collect();
        assert_eq!(set_aside.len(), 1, "round {round}: {set_aside:?}");
        assert_eq!(std::fs::read(set_aside[0]).unwrap(), b"no journal");
        opened[0].journal.confirm("https://a", "201").unwrap();
        for one in &opened {
            assert!(one.journal.is_confirmed("https://a", "201").unwrap());
        }
    }
}

#[test]
fn a_yes_is_remembered_for_its_endpoint_and_authority() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/journal.db");
    let journal = Journal::open(&path).unwrap().journal;
    assert!(!journal.is_confirmed("https://a", "201").unwrap());
    journal.confirm("https://a", "201").unwrap();
    drop(journal);
    let journal = Journal::open(&path).unwrap().journal;
    assert!(journal.is_confirmed("https://a", "201").unwrap());
    assert!(!journal.is_confirmed("https://b", "201").unwrap());
    assert!(!journal.is_confirmed("https://a", "202").unwrap());
    assert_eq!(journal.last_good_run("here").unwrap(), None);
    journal.note_good_run("here").unwrap();
    let reading = Journal::open_to_read(&path).unwrap().unwrap();
    assert!(reading.last_good_run("here").unwrap().is_some());
    assert_eq!(reading.last_good_run("there").unwrap(), None);
    assert!(reading.note_good_run("here").is_err());
    assert!(
        Journal::open_to_read(&folder.path().join("none.db"))
            .unwrap()
            .is_none()
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
