//! The log: a file for each day, and the run's id in every place where a run is named.

use serde_json::Value;

use crate::place::Place;

/// The only run of the journal.
fn run_id(place: &Place) -> String {
    let journal = place.run(&["journal", "--format", "json"]);
    let first: Value = serde_json::from_str(journal.stdout.lines().next().unwrap()).unwrap();
    first["run_id"].as_str().unwrap().to_string()
}

#[test]
fn a_run_has_one_id_in_log_journal_summary_report_and_user_agent() {
    let place = Place::new(12, &[]);
    place.write_env("LOG_FILE=run.log\nUSER_AGENT=an-authority/1");
    let ran = place.live(&["--json", "--report", "reports", "-v"]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let id = run_id(&place);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(summary["run_id"], id.as_str());
    let log = place.newest_log("run", ".log");
    let log = std::fs::read_to_string(place.file(&log)).unwrap();
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        assert!(line.contains(&format!("Z run={id} ")), "{line}");
    }
    assert!(ran.stderr.contains(&format!("run={id} ")), "{}", ran.stderr);
    let report = std::fs::read_to_string(place.file(&format!("reports/{id}.html"))).unwrap();
    assert!(report.contains(&id));
    let state = place.state();
    let requests = state["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 3, "a token and two posts");
    for request in requests {
        assert_eq!(
            request["user_agent"],
            format!("an-authority/1 (run {id})"),
            "{request}"
        );
    }
}

#[test]
fn a_log_as_json_has_an_object_on_each_line() {
    let place = Place::new(12, &["refuse=C7", "status=503,after=1,times=1"]);
    place.write_env("LOG_FILE=logs.json\nLOG_FORMAT=json\nLOG_ROTATION=never");
    assert_eq!(place.live(&[]).exit, 1);
    let id = run_id(&place);
    let log = std::fs::read_to_string(place.file("logs.json")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines.iter().all(|line| line["run_id"] == id.as_str()),
        "{log}"
    );
    let refused = lines.iter().find(|line| line["row"] == 7).unwrap();
    assert_eq!(refused["level"], "WARN");
    assert_eq!(refused["message"], "refused: refused by the receiver");
}

#[test]
fn a_run_deletes_the_logs_of_days_that_are_not_kept() {
    let place = Place::new(1, &[]);
    place.write_env("LOG_FILE=run.log\nLOG_KEEP=2");
    for day in ["2026-01-01", "2026-01-02"] {
        std::fs::write(place.file(&format!("run.{day}.log")), "old").unwrap();
    }
    assert_eq!(place.run(&["send"]).exit, 0);
    assert!(!place.file("run.2026-01-01.log").exists());
    assert!(place.file("run.2026-01-02.log").exists());
    assert_ne!(place.newest_log("run", ".log"), "run.2026-01-02.log");
}

#[test]
fn words_that_mean_nothing_are_faults_told_together() {
    let place = Place::new(1, &[]);
    place.write_env("LOG_FORMAT=xml\nLOG_ROTATION=hourly\nLOG_KEEP=-1");
    let ran = place.run(&["send"]);
    assert_eq!(ran.exit, 2, "{}", ran.both());
    for what in [
        "LOG_FORMAT is \"xml\"",
        "LOG_ROTATION is \"hourly\"",
        "LOG_KEEP is \"-1\"",
    ] {
        assert!(ran.stderr.contains(what), "{}", ran.stderr);
    }
}

#[test]
fn plain_output_has_no_columns_and_no_colour() {
    let place = Place::new(3, &[]);
    let status = place.run(&["status", "--plain"]);
    assert!(
        status
            .stdout
            .contains("rows with submission_status pending and row_state new: 3"),
        "{}",
        status.stdout
    );
    for arguments in [
        &["status", "--plain"][..],
        &["config", "show", "--plain"],
        &["secret", "list", "--plain"],
        &["send", "--plain"],
        &["report", "--plain"],
    ] {
        let ran = place.run(arguments);
        for line in ran.both().lines() {
            assert!(!line.trim_start().contains("  "), "{arguments:?}: {line:?}");
            assert!(!line.contains('\u{1b}'), "{arguments:?}: {line:?}");
        }
    }
    let shown = place.run(&["config", "show", "--plain"]).stdout;
    assert!(shown.contains("BATCH_SIZE is 10, from "), "{shown}");
}

/// A terminal of its own, as `script` makes one.
#[cfg(unix)]
#[test]
fn a_message_is_coloured_on_a_terminal_unless_that_is_not_wanted() {
    let place = Place::new(1, &[]);
    let failing = |environment: &[(&str, &str)], more: &str| {
        let mut command = std::process::Command::new("script");
        command
            .args(["-qec"])
            .arg(format!(
                "{} send --table missing_anon {more}",
                env!("CARGO_BIN_EXE_csc-sender")
            ))
            .arg("/dev/null")
            .current_dir(place.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", place.folder.path())
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .env("TERM", "xterm")
            .envs(environment.iter().copied())
            .stdin(std::process::Stdio::null());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("CSC0304"), "{text}");
        text.contains('\u{1b}')
    };
    assert!(failing(&[], ""));
    assert!(!failing(&[("NO_COLOR", "1")], ""));
    assert!(!failing(&[("TERM", "dumb")], ""));
    assert!(!failing(&[], "--plain"));
    let piped = place.run(&["send", "--table", "missing_anon"]);
    assert!(!piped.stderr.contains('\u{1b}'), "{}", piped.stderr);
}
