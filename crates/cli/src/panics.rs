//! What is said when the program itself is at fault.
//!
//! A panic's own words may quote whatever was at hand: a child's record, a password. So
//! they are never shown, in no build and whatever `RUST_BACKTRACE` says: the place in the
//! program is told, which is what a report of the fault needs. The program ends there, on
//! whichever of its threads it was: a run that goes on with a part of it gone could take
//! the part that is left for the whole. What was sent is in the journal, as after a power
//! cut.

use std::panic::Location;

use csc_message::{Exit, Message};

use crate::console;

/// From now on a panic says where it was and what to do, and ends the program.
pub fn install() {
    std::panic::set_hook(Box::new(|panic| {
        console::failure(&message(panic.location()));
        std::process::exit(Exit::Safety.code().into());
    }));
}

fn message(location: Option<&Location<'_>>) -> Message {
    let place = location.map_or_else(
        || "a place that is not known".to_string(),
        |at| format!("{}:{}:{}", short(at.file()), at.line(), at.column()),
    );
    Message::new(
        619,
        format!(
            "csc-sender {} has a fault at {place}",
            env!("CARGO_PKG_VERSION")
        ),
        "the program met what its authors held to be impossible, and has stopped; more is not \
         shown, since it may hold a child's data",
        "report this line with the command that you gave, and no record; then start again: what \
         was sent is in the journal, and the next run goes on from it",
    )
}

/// How many parts of a file's path are told: enough to find it, and nothing of whoever
/// built the program.
const PARTS: usize = 4;

fn short(file: &str) -> String {
    let parts: Vec<&str> = file.split(['/', '\\']).collect();
    let last = parts.len().saturating_sub(PARTS);
    parts.get(last..).unwrap_or_default().join("/")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CANARY: &str = "Canarysurname canarypassword 2009-01-11";

    /// The ways in which a program panics.
    const WAYS: [&str; 8] = [
        "panic", "unwrap", "expect", "any", "index", "thread", "task", "blocking",
    ];

    fn failed() -> Result<(), &'static str> {
        Err(CANARY)
    }

    /// Not a test of its own: the next one starts it as a program.
    #[test]
    #[ignore = "ends the process on purpose"]
    fn panics_on_purpose() {
        let way = std::env::var("CSC_TEST_PANIC").unwrap();
        install();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        match way.as_str() {
            "panic" => panic!("{CANARY}"),
            "unwrap" => failed().unwrap(),
            "expect" => failed().expect(CANARY),
            "any" => std::panic::panic_any(CANARY.to_string()),
            "index" => assert_eq!(&CANARY[..CANARY.len() + way.len()], ""),
            "thread" => {
                let thread = std::thread::spawn(|| panic!("{CANARY}"));
                assert!(thread.join().is_err());
            }
            "task" => {
                let task = runtime.spawn(async { panic!("{CANARY}") });
                assert!(runtime.block_on(task).is_err());
            }
            "blocking" => {
                let work = runtime.spawn_blocking(|| panic!("{CANARY}"));
                assert!(runtime.block_on(work).is_err());
            }
            other => unreachable!("{other}"),
        }
    }

    #[test]
    fn a_panic_says_where_it_was_and_what_to_do_and_nothing_of_what_was_at_hand() {
        for way in WAYS {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "panics::tests::panics_on_purpose"])
                .args(["--ignored", "--nocapture"])
                .env("CSC_TEST_PANIC", way)
                .env("RUST_BACKTRACE", "full")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let all = said.clone() + &String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(6), "{way}: {all}");
            assert!(said.contains("CSC0619"), "{way}: {all}");
            assert!(said.contains("cli/src/panics.rs:"), "{way}: {all}");
            assert!(said.contains("next: report this line"), "{way}: {all}");
            for word in CANARY.split(' ') {
                assert!(!all.contains(word), "{way}: {all}");
            }
        }
    }

    #[test]
    fn nothing_of_whoever_built_the_program_is_told() {
        for (file, told) in [
            (
                "/home/jo/.cargo/registry/src/index.crates.io-1949cf8c/tokio-1.54.1/src/task.rs",
                "index.crates.io-1949cf8c/tokio-1.54.1/src/task.rs",
            ),
            (r"crates\cli\src\main.rs", "crates/cli/src/main.rs"),
            ("main.rs", "main.rs"),
        ] {
            assert_eq!(short(file), told);
        }
    }

    /// Where a sum overflows, a build without this check would go on with a wrong number.
    #[test]
    fn a_release_meets_the_same_faults_as_a_build_for_tests() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
        let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
        let profiles = manifest["profile"].as_table().unwrap();
        assert_eq!(
            profiles["release"]["overflow-checks"].as_bool(),
            Some(true),
            "{profiles:?}"
        );
        for (name, profile) in profiles {
            assert!(profile.get("panic").is_none(), "{name}: {profile}");
            assert_ne!(
                profile
                    .get("overflow-checks")
                    .and_then(toml::Value::as_bool),
                Some(false),
                "{name}: {profile}"
            );
        }
    }
}
