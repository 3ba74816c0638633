//! Each event is on the disk before the next step relies on it: watched with strace, and
//! with a disk that refuses what is to be kept on it, at one moment after the other.

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::fault_matrix::in_parallel;
use crate::kills::{nothing_is_marked_that_did_not_arrive, record, what_arrived_twice_is_named};
use crate::place::{Place, Ran, ran};
use crate::table::Table;

const CHILDREN: u64 = 40;
const LIVE: [&str; 3] = ["send", "--live", "--yes"];

fn with_children(orders: &[&str]) -> Place {
    let place = Place::new(0, &[]);
    for child in 0..CHILDREN {
        Table::Sqlite(&place).enter(child, &record(child, 0));
    }
    place.simulator.keep_log();
    for order in orders {
        place.simulator.order(order.parse().unwrap());
    }
    place
}

/// A live run under strace with these options; gives what it did, a call a line.
fn traced(place: &Place, options: &[&str]) -> (Ran, Vec<String>) {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let plain = place.command(&LIVE);
    let output = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "40", "-o"])
        .arg(trace.path())
        .args(options)
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(place.folder.path())
        .env_clear()
        .env("HOME", place.folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("the test needs strace: scripts/test installs it");
    let calls = std::fs::read_to_string(trace.path()).unwrap();
    (ran(output), calls.lines().map(str::to_string).collect())
}

/// What a run did that matters here, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    JournalWritten,
    JournalOnDisk,
    Post,
    TableWritten,
    /// The rollback journal of the table's file is gone: the change stands.
    TableDone,
    FolderOnDisk,
}

fn steps(place: &Place, calls: &[String]) -> Vec<Step> {
    let folder = std::fs::canonicalize(place.folder.path()).unwrap();
    let file = |name: &str| format!("<{}/{name}>", folder.display());
    let (journal, table) = (file("state/journal.db-wal"), file("children.db-journal"));
    let folder = format!("<{}>", folder.display());
    let mut under_way: HashMap<&str, Step> = HashMap::new();
    let mut steps = Vec::new();
    for call in calls {
        let (thread, call) = call.split_once(' ').unwrap();
        let call = call.trim_start();
        let step = if call.starts_with("pwrite64(") && call.contains(&journal) {
            Step::JournalWritten
        } else if call.contains("sync(") && call.contains(&journal) {
            Step::JournalOnDisk
        } else if call.contains("sync(") && call.contains(&folder) {
            Step::FolderOnDisk
        } else if call.starts_with("pwrite64(") && call.contains(&table) {
            Step::TableWritten
        } else if call.starts_with("unlink(") && call.contains("children.db-journal") {
            Step::TableDone
        } else if call.contains("\"POST /children-") {
            Step::Post
        } else if call.contains("sync resumed>") {
            steps.extend(under_way.remove(thread));
            continue;
        } else {
            continue;
        };
        match step {
            // On the disk once the call has come back.
            Step::JournalOnDisk | Step::FolderOnDisk if call.ends_with("<unfinished ...>") => {
                under_way.insert(thread, step);
            }
            step => steps.push(step),
        }
    }
    // A change is many writes.
    steps.dedup_by(|next, before| {
        next == before && matches!(next, Step::JournalWritten | Step::TableWritten)
    });
    steps
}

/// The journal when a post left.
#[derive(Clone, Copy, Debug)]
struct AtPost {
    /// How often something new had come to the disk.
    on_disk: usize,
    /// Whether something was written to it that had not.
    waiting: bool,
}

fn journal_at_posts(steps: &[Step]) -> Vec<AtPost> {
    let (mut on_disk, mut waiting, mut at_posts) = (0, false, Vec::new());
    for step in steps {
        match step {
            Step::JournalWritten => waiting = true,
            Step::JournalOnDisk => {
                on_disk += usize::from(waiting);
                waiting = false;
            }
            Step::Post => at_posts.push(AtPost { on_disk, waiting }),
            Step::TableWritten | Step::TableDone | Step::FolderOnDisk => {}
        }
    }
    at_posts
}

/// That each post leaves with all that was written on the disk, and something since the one
/// before. Gives how often something had come there.
fn each_post_is_written_down(steps: &[Step]) -> Vec<usize> {
    let mut last = 0;
    journal_at_posts(steps)
        .into_iter()
        .map(|AtPost { on_disk, waiting }| {
            assert!(!waiting, "a post leaves before the disk has it: {steps:?}");
            assert!(
                on_disk > last,
                "a post leaves that is not written down: {steps:?}"
            );
            last = on_disk;
            on_disk
        })
        .collect()
}

/// The same where a batch is written down while the one before is posted: `first` is how often
/// something had come to the disk before the first post.
fn each_departure_is_on_the_disk(steps: &[Step], first: usize) {
    let at_posts = journal_at_posts(steps);
    assert_eq!(at_posts.len(), 4, "{steps:?}");
    for (post, AtPost { on_disk, .. }) in at_posts.iter().enumerate() {
        assert!(
            *on_disk >= first + post,
            "post {post} leaves that is not written down: {steps:?}"
        );
    }
}

/// That no receipt is written to the table before the journal has it on the disk.
fn receipts_are_on_the_disk_before_the_table_is_written(place: &Place, calls: &[String]) {
    let uuid = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    let folder = std::fs::canonicalize(place.folder.path()).unwrap();
    let file = |name: &str| format!("<{}/{name}>", folder.display());
    let (journal, table) = (file("state/journal.db-wal"), file("children.db"));
    let (mut written, mut on_disk, mut in_table) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut syncing: Option<(&str, HashSet<&str>)> = None;
    for line in calls {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let found = || uuid.find_iter(call).map(|found| found.as_str());
        if call.starts_with("pwrite64(") && call.contains(&journal) {
            written.extend(found());
        } else if call.contains("sync(") && call.contains(&journal) {
            if call.ends_with("<unfinished ...>") {
                syncing = Some((thread, written.clone()));
            } else {
                on_disk.extend(written.iter().copied());
            }
        } else if call.contains("sync resumed>")
            && let Some((_, receipts)) = syncing.take_if(|(syncing, _)| *syncing == thread)
        {
            on_disk.extend(receipts);
        } else if call.starts_with("pwrite64(") && call.contains(&table) {
            for receipt in found() {
                assert!(
                    on_disk.contains(receipt),
                    "a receipt in the table before it is on the disk"
                );
                in_table.insert(receipt);
            }
        }
    }
    assert_eq!(in_table.len() as u64, CHILDREN);
}

/// With so much of each write as shows a page of either file.
const WATCHED: [&str; 4] = [
    "-e",
    "trace=pwrite64,fsync,fdatasync,sendto,unlink",
    "-s",
    "9000",
];

#[test]
fn a_post_is_on_the_disk_before_it_leaves_and_its_receipts_before_the_table_is_written() {
    let place = with_children(&[]);
    place.write_env("MIN_GAP_MS=1");
    let (ran, calls) = traced(&place, &WATCHED);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    receipts_are_on_the_disk_before_the_table_is_written(&place, &calls);
    let steps = steps(&place, &calls);
    let at_posts = each_post_is_written_down(&steps);
    assert_eq!(at_posts.len(), 4, "{steps:?}");
    let (mut on_disk, mut waiting, mut tables) = (0, false, 0);
    for step in &steps {
        match step {
            Step::JournalWritten => waiting = true,
            Step::JournalOnDisk => {
                on_disk += usize::from(waiting);
                waiting = false;
            }
            Step::TableWritten => {
                let at_post = at_posts[tables];
                assert!(
                    at_post < on_disk,
                    "receipts in the table before they are on the disk: {steps:?}"
                );
            }
            Step::TableDone => tables += 1,
            Step::Post | Step::FolderOnDisk => {}
        }
    }
    assert_eq!(tables, 4, "{steps:?}");
    // What the journal calls recorded must not come back after a power cut.
    let of_the_table: Vec<Step> = steps
        .into_iter()
        .filter(|step| {
            matches!(
                step,
                Step::TableDone | Step::TableWritten | Step::FolderOnDisk
            )
        })
        .collect();
    for (at, step) in of_the_table.iter().enumerate() {
        let next = of_the_table.get(at + 1);
        assert!(
            *step != Step::TableDone || next == Some(&Step::FolderOnDisk),
            "{of_the_table:?}"
        );
    }
}

#[test]
fn a_batch_that_is_written_down_while_another_is_posted_is_on_the_disk_before_it_leaves() {
    let traced_with = |gap: &str| {
        let place = with_children(&[]);
        place.write_env(gap);
        let (ran, calls) = traced(&place, &WATCHED);
        assert_eq!(ran.exit, 0, "{}", ran.both());
        (steps(&place, &calls), place, calls)
    };
    let (with_gap, ..) = traced_with("MIN_GAP_MS=1");
    let (without, place, calls) = traced_with("MIN_GAP_MS=0");
    each_departure_is_on_the_disk(&without, each_post_is_written_down(&with_gap)[0]);
    receipts_are_on_the_disk_before_the_table_is_written(&place, &calls);
}

#[test]
fn a_post_that_is_repeated_is_on_the_disk_before_it_leaves_again() {
    let place = with_children(&["drop,every=2"]);
    place.write_env("MIN_GAP_MS=1");
    let (ran, calls) = traced(&place, &WATCHED);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let at_posts = each_post_is_written_down(&steps(&place, &calls));
    assert!(at_posts.len() > 4, "{at_posts:?}");
    what_arrived_twice_is_named(&place, &Table::Sqlite(&place));
}

/// The n-th call of that name on that file fails, alone or with all that follow.
fn refusals() -> Vec<(&'static str, &'static str, String)> {
    let mut refusals = Vec::new();
    for n in 1..=14 {
        for more in ["", "+"] {
            for (file, call, errors) in [
                ("state/journal.db-wal", "fsync", "EIO"),
                ("state/journal.db-wal", "pwrite64", "ENOSPC"),
                ("children.db-journal", "fsync", "EIO"),
                ("children.db", "pwrite64", "EDQUOT"),
            ] {
                // There are many more writes to the journal: they are met here and there.
                let n = if errors == "ENOSPC" { n * n } else { n };
                let how = format!("inject={call}:error={errors}:when={n}{more}");
                refusals.push((file, call, how));
            }
        }
    }
    refusals
}

#[test]
fn whenever_the_disk_refuses_the_run_stops_and_the_next_one_loses_nothing() {
    let exits = Mutex::new(Vec::new());
    in_parallel(&refusals(), |(file, call, how)| {
        for together in [1, 3] {
            let place = with_children(&["drop,every=3"]);
            place.write_env(&format!("CONCURRENCY={together}"));
            let path = place.folder.path().canonicalize().unwrap().join(file);
            let options = [
                "-P",
                path.to_str().unwrap(),
                "-e",
                &format!("trace={call}"),
                "-e",
                how,
            ];
            let (first, calls) = traced(&place, &options);
            let about = format!("{file} {how} {together}: {}", first.both());
            let struck = calls.iter().any(|call| call.contains("(INJECTED)"));
            let expected: &[i32] = match *file {
                _ if !struck => &[0],
                // What SQLite copies into the file at the end may wait.
                "state/journal.db-wal" => &[0, 6],
                _ => &[0, 3],
            };
            assert!(expected.contains(&first.exit), "{about}");
            let table = Table::Sqlite(&place);
            nothing_is_marked_that_did_not_arrive(&place, &table, &about);
            place.simulator.withdraw_orders();
            let next = place.run(&LIVE);
            let about = format!("{about}\n{}", next.both());
            assert_eq!(next.exit, 0, "{about}");
            assert_eq!(place.statuses(), format!("sent {CHILDREN}"), "{about}");
            nothing_is_marked_that_did_not_arrive(&place, &table, &about);
            what_arrived_twice_is_named(&place, &table);
            if first.exit == 6 {
                assert!(first.stderr.contains("CSC0617"), "{about}");
            }
            exits.lock().unwrap().push(first.exit);
        }
    });
    // The disk did refuse, under the journal and under the table.
    let exits = exits.into_inner().unwrap();
    for exit in [6, 3] {
        let times = exits.iter().filter(|found| **found == exit).count();
        assert!(times > 10, "{exit} came {times} times: {exits:?}");
    }
}
