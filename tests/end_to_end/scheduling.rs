//! What `schedule print` prints, and that the shells do with it what it says.

use crate::place::Place;

fn printed(place: &Place, scheduler: &str, more: &[&str]) -> String {
    let mut arguments = vec!["schedule", "print", "--at", "02:00", "--for", scheduler];
    arguments.extend(more);
    let ran = place.run(&arguments);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    assert_eq!(ran.stderr, "");
    ran.stdout
}

macro_rules! printed_as {
    ($name:expr, $text:expr) => {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

#[test]
fn each_scheduler_has_its_own() {
    let place = Place::new(0, &[]);
    let windows = [
        "--program",
        r"C:\Program Files\csc-sender\csc-sender.exe",
        "--folder",
        r"C:\csc-sender",
        "--table",
        "ssd_api_data_staging",
        "--report",
        r"C:\csc-sender\reports",
    ];
    printed_as!(
        "schedule_task_scheduler",
        printed(&place, "task-scheduler", &windows)
    );
    printed_as!("schedule_sql_agent", printed(&place, "sql-agent", &windows));
    let unix = [
        "--program",
        "/opt/csc sender/csc-sender",
        "--folder",
        "/srv/csc",
    ];
    printed_as!("schedule_systemd", printed(&place, "systemd", &unix));
    printed_as!("schedule_cron", printed(&place, "cron", &unix));
}

#[test]
fn this_machines_own_is_the_default_with_this_program_and_folder() {
    let place = Place::new(0, &[]);
    let ran = place.run(&[
        "schedule",
        "print",
        "--at",
        "2:30",
        "--env-file",
        "other.env",
    ]);
    assert_eq!(ran.exit, 0, "{}", ran.both());
    let expected = if cfg!(windows) {
        "<Task "
    } else {
        "OnCalendar=*-*-* 02:30:00"
    };
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    assert!(
        ran.stdout.contains(env!("CARGO_BIN_EXE_csc-sender")),
        "{}",
        ran.stdout
    );
    let folder = std::fs::canonicalize(place.folder.path()).unwrap();
    let file = folder.join("other.env");
    assert!(
        ran.stdout.contains(file.to_str().unwrap()),
        "{}",
        ran.stdout
    );
    let wrong = place.run(&["schedule", "print", "--at", "25:00"]);
    assert_eq!(wrong.exit, 2);
    let odd = place.run(&[
        "schedule",
        "print",
        "--at",
        "2:00",
        "--for",
        "sql-agent",
        "--name",
        "a$(b)",
    ]);
    assert_eq!(odd.exit, 2, "{}", odd.both());
    assert!(odd.stderr.contains("CSC0290"), "{}", odd.stderr);
}

/// Runs the crontab's line as cron does, with a program that ends with each of these
/// codes in turn. Gives how often it ran, how often the line slept, and its exit code.
#[cfg(unix)]
fn as_cron(codes: &str) -> (usize, usize, i32) {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(0, &[]);
    let tools = place.file("it's a folder");
    std::fs::create_dir(&tools).unwrap();
    let script = |name: &str, text: String| {
        let path = tools.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let log = place.file("log");
    script(
        "sleep",
        format!("#!/bin/sh\necho slept $1 >> {}\n", log.display()),
    );
    let program = script(
        "csc-sender",
        format!(
            "#!/bin/sh\necho ran $* in $PWD >> {log}\nn=$(grep -c ran {log})\nset -- {codes}\n\
             shift $((n - 1))\nexit $1\n",
            log = log.display()
        ),
    );
    let text = printed(
        &place,
        "cron",
        &[
            "--program",
            program.to_str().unwrap(),
            "--folder",
            tools.to_str().unwrap(),
        ],
    );
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let command = line.splitn(6, ' ').nth(5).unwrap().replace(r"\%", "%");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let status = std::process::Command::new("sh")
        .args(["-c", &command])
        .env("PATH", path)
        .status()
        .unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("ran send --live in "), "{log}");
    assert!(
        !log.contains("slept") || log.contains("slept 1200"),
        "{log}"
    );
    (
        log.matches("ran ").count(),
        log.matches("slept ").count(),
        status.code().unwrap(),
    )
}

#[cfg(unix)]
#[test]
fn crons_line_tries_again_what_may_pass_and_nothing_else() {
    for (codes, expected) in [
        ("0", (1, 0, 0)),
        ("1", (1, 0, 1)),
        ("2", (1, 0, 2)),
        ("6", (1, 0, 6)),
        ("130", (1, 0, 130)),
        ("3 0", (2, 1, 0)),
        ("4 5 1", (3, 2, 1)),
        ("4 4 4", (3, 2, 4)),
        ("5 6", (2, 1, 6)),
    ] {
        assert_eq!(as_cron(codes), expected, "{codes}");
    }
}

#[test]
fn each_shell_has_its_completions_and_man_its_pages() {
    let place = Place::new(0, &[]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = place.run(&["completions", shell]);
        assert_eq!(ran.exit, 0, "{}", ran.both());
        for word in ["csc-sender", "validate", "test-record", "keep-secrets-in"] {
            assert!(ran.stdout.contains(word), "{shell} lacks {word}");
        }
        assert!(
            !ran.stdout.contains("client-secret"),
            "{shell}: no secret is a flag"
        );
    }
    let page = place.run(&["man"]);
    assert_eq!(page.exit, 0);
    assert!(page.stdout.contains(".TH csc-sender 1"), "{}", page.stdout);
    std::fs::create_dir(place.file("man")).unwrap();
    assert_eq!(place.run(&["man", "--dir", "man"]).exit, 0);
    assert!(place.file("man/csc-sender-send.1").exists());
    let nowhere = place.run(&["man", "--dir", "nowhere"]);
    assert_eq!(nowhere.exit, 2, "{}", nowhere.both());
    assert!(nowhere.stderr.contains("CSC0279"), "{}", nowhere.stderr);
}

/// bash takes its script, and completes with it.
#[cfg(unix)]
#[test]
fn bash_completes_commands_and_flags() {
    let place = Place::new(0, &[]);
    let script = place.run(&["completions", "bash"]).stdout;
    std::fs::write(place.file("completions"), script).unwrap();
    let completed = |words: &str, nth: u32| {
        let text = format!(
            ". ./completions; set -- $(complete -p csc-sender); while [ $1 != -F ]; do shift; done; \
             COMP_WORDS=({words}); COMP_CWORD={nth}; $2 csc-sender \"${{COMP_WORDS[{nth}]}}\" x; \
             echo \"${{COMPREPLY[@]}}\""
        );
        let output = std::process::Command::new("bash")
            .args(["-c", &text])
            .current_dir(place.folder.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(completed("csc-sender val", 1), "validate\n");
    assert_eq!(
        completed("csc-sender send --tes", 2).trim(),
        "--test-record --testing-mode"
    );
}

#[test]
fn the_version_says_which_commit_and_when() {
    let place = Place::new(0, &[]);
    let ran = place.run(&["--version"]);
    let form = regex::Regex::new(
        r"^csc-sender \d+\.\d+\.\d+ \(commit ([0-9a-f]{12}|unknown), built \d{4}-\d\d-\d\d\)\n$",
    )
    .unwrap();
    assert!(form.is_match(&ran.stdout), "{}", ran.stdout);
}
