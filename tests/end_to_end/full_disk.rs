//! The disk fills in the middle of a run: a small file system of the test's own, in name
//! spaces of its own, so that no right is needed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::kills::{nothing_is_marked_that_did_not_arrive, record, what_arrived_twice_is_named};
use crate::place::{Place, Ran, ran};
use crate::table::Table;

const CHILDREN: u64 = 200;
const LIVE: [&str; 3] = ["send", "--live", "--yes"];

/// A small disk at `small` in the place's folder, seen by those who are let in.
struct SmallDisk<'a> {
    place: &'a Place,
    holder: Child,
}

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Place, kibibytes: u32) -> SmallDisk<'a> {
        std::fs::create_dir(place.file("small")).unwrap();
        // Holds the name spaces for as long as its standard input is open.
        let script = format!(
            "mount -t tmpfs -o size={kibibytes}k,mode=700 none '{}' && echo ready && read -r end",
            place.file("small").display()
        );
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test needs unshare of util-linux");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        assert_eq!(said, "ready\n", "a name space is needed: see scripts/test");
        SmallDisk { place, holder }
    }

    /// Runs a program where the disk is seen.
    fn inside(&self, program: &Command) -> Ran {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.holder.id().to_string()])
            .args(["--user", "--mount", "--preserve-credentials"])
            .args(["sh", "-c", r#"cd "$0" && exec "$@""#])
            .arg(self.place.folder.path())
            .arg(program.get_program())
            .args(program.get_args())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.place.folder.path())
            .stdin(Stdio::null());
        ran(command.output().unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.inside(&self.place.command(arguments))
    }

    fn sh(&self, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let ran = self.inside(&command);
        assert_eq!(ran.exit, 0, "{script}: {}", ran.both());
        ran.stdout
    }

    /// Leaves only so much.
    fn fill_but(&self, kibibytes: u32) {
        self.sh(&format!(
            "free=$(df --output=avail -k small | tail -n 1); \
             head -c $(( (free - {kibibytes}) * 1024 )) /dev/zero > small/ballast"
        ));
    }

    fn make_room(&self) {
        self.sh("rm small/ballast");
    }

    /// Copies what stands on the disk to where the test sees it.
    fn copy_out(&self, file: &str) -> PathBuf {
        let seen = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let folder = self.place.file("small").join(file);
        let from = seen.join(folder.strip_prefix("/").unwrap());
        let to = self.place.file("copied.db");
        std::fs::copy(from, &to).unwrap();
        to
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

fn enter_all(place: &Place) {
    for child in 0..CHILDREN {
        Table::Sqlite(place).enter(child, &record(child, 0));
    }
    place.simulator.keep_log();
}

/// The journal of a place whose state is on the small disk, where the test can read it.
fn bring_out_the_journal(disk: &SmallDisk<'_>) {
    // Whoever closes it last leaves all of it in the one file.
    assert_eq!(disk.run(&["journal", "--row", "1"]).exit, 0);
    disk.sh("test ! -s small/state/journal.db-wal");
    let copied = disk.copy_out("state/journal.db");
    std::fs::create_dir_all(disk.place.file("state")).unwrap();
    std::fs::rename(copied, disk.place.file("state/journal.db")).unwrap();
}

#[test]
fn a_disk_that_fills_under_the_journal_stops_the_run_before_the_next_post() {
    let side_by_side = [1, 3].iter();
    for (room, together) in side_by_side.flat_map(|n| [40, 60, 90, 120, 160].map(|room| (room, n)))
    {
        let place = Place::new(0, &[]);
        enter_all(&place);
        place.write_env(&format!("STATE_DIR=small/state\nCONCURRENCY={together}"));
        let disk = SmallDisk::mount(&place, 8192);
        // The journal is made while there is room.
        assert_eq!(disk.run(&[&LIVE[..], &["--limit", "1"]].concat()).exit, 0);
        disk.fill_but(room);
        let stopped = disk.run(&LIVE);
        assert_eq!(stopped.exit, 6, "{room} {together}: {}", stopped.both());
        for words in [
            "CSC0617",
            "small/state/journal.db",
            "full",
            "make room on that disk",
        ] {
            assert!(
                stopped.stderr.contains(words),
                "{words}: {}",
                stopped.both()
            );
        }
        let table = Table::Sqlite(&place);
        let arrived_is_recorded = |ran: &Ran| {
            let about = format!("{room} KiB: {}", ran.both());
            nothing_is_marked_that_did_not_arrive(&place, &table, &about);
            let rows = table.rows();
            let sent = rows.iter().filter(|row| row.3 == "sent").count();
            assert!(sent < rows.len(), "{about}");
            assert_eq!(place.simulator.log().len(), sent, "{about}");
        };
        arrived_is_recorded(&stopped);
        // Still full: the little room that closing the journal has made takes nobody far.
        let still = disk.run(&LIVE);
        assert_eq!(still.exit, 6, "{}", still.both());
        arrived_is_recorded(&still);
        disk.make_room();
        let next = disk.run(&LIVE);
        assert_eq!(next.exit, 0, "{}", next.both());
        for (person, _, state, status) in table.rows() {
            let is = (state.as_str(), status.as_str());
            assert_eq!(is, ("unchanged", "sent"), "{person}: {}", next.both());
        }
        bring_out_the_journal(&disk);
        nothing_is_marked_that_did_not_arrive(&place, &table, &next.both());
        what_arrived_twice_is_named(&place, &table);
        assert_eq!(
            place.simulator.log().len() as u64,
            CHILDREN,
            "nothing twice"
        );
    }
}

#[test]
fn a_disk_that_fills_under_the_table_stops_the_run_and_nothing_goes_twice() {
    let place = Place::new(0, &[]);
    place.write_env("DB_CONNECTION_STRING=sqlite:small/children.db");
    enter_all(&place);
    let disk = SmallDisk::mount(&place, 2048);
    disk.sh("cp children.db small/children.db");
    disk.fill_but(40);
    let stopped = disk.run(&LIVE);
    assert_eq!(stopped.exit, 3, "{}", stopped.both());
    for words in [
        "CSC0303",
        "small/children.db",
        "full",
        "make room on the disk that holds",
    ] {
        assert!(
            stopped.stderr.contains(words),
            "{words}: {}",
            stopped.both()
        );
    }
    // The batch that is being recorded, and perhaps those that were posted meanwhile.
    let lost = [10, 20, 30, 40, 50].map(|records| {
        format!("{records} records accepted by the receiver but not recorded in the table")
    });
    let told = lost.iter().any(|lost| stopped.stdout.contains(lost));
    assert!(told, "{}", stopped.both());
    let arrived = place.simulator.log().len() as u64;
    assert!(arrived < CHILDREN, "{}", stopped.both());
    disk.make_room();
    let next = disk.run(&LIVE);
    assert_eq!(next.exit, 0, "{}", next.both());
    assert!(next.stdout.contains("recorded first"), "{}", next.both());
    assert_eq!(
        place.simulator.log().len() as u64,
        CHILDREN,
        "{}",
        next.both()
    );
    let copied = disk.copy_out("children.db");
    std::fs::rename(copied, place.file("children.db")).unwrap();
    let table = Table::Sqlite(&place);
    nothing_is_marked_that_did_not_arrive(&place, &table, &next.both());
    assert!(
        table.rows().iter().all(|row| row.3 == "sent"),
        "{}",
        next.both()
    );
}
