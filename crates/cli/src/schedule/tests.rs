use super::{Task, cron, sql_agent, systemd, task_scheduler};

fn task(program: &str, folder: &str) -> Task {
    Task {
        at: jiff::civil::time(2, 5, 0, 0),
        name: "csc-sender nightly".into(),
        account: None,
        program: program.into(),
        arguments: vec![
            "send".into(),
            "--live".into(),
            "--table".into(),
            "a.b c".into(),
        ],
        folder: folder.into(),
    }
}

const PROGRAM: &str = r"C:\Program Files\O'Neil & Söhne\csc-sender.exe";

/// The elements of a task's definition that we write, with those that may stand in each:
/// from the Task Scheduler's schema (MS-TSCH, 2.5), in its order where it has one.
const SCHEMA: [(&str, &[&str]); 12] = [
    (
        "Task",
        &[
            "RegistrationInfo",
            "Triggers",
            "Principals",
            "Settings",
            "Actions",
        ],
    ),
    ("RegistrationInfo", &["Description", "URI"]),
    ("Triggers", &["CalendarTrigger"]),
    (
        "CalendarTrigger",
        &[
            "Enabled",
            "StartBoundary",
            "EndBoundary",
            "RandomDelay",
            "ScheduleByDay",
        ],
    ),
    ("ScheduleByDay", &["DaysInterval"]),
    ("Principals", &["Principal"]),
    (
        "Principal",
        &["UserId", "LogonType", "GroupId", "DisplayName", "RunLevel"],
    ),
    (
        "Settings",
        &[
            "MultipleInstancesPolicy",
            "DisallowStartIfOnBatteries",
            "StopIfGoingOnBatteries",
            "StartWhenAvailable",
            "RunOnlyIfNetworkAvailable",
            "Enabled",
            "ExecutionTimeLimit",
            "RestartOnFailure",
        ],
    ),
    ("RestartOnFailure", &["Interval", "Count"]),
    ("Actions", &["Exec"]),
    ("Exec", &["Command", "Arguments", "WorkingDirectory"]),
    ("end", &[]),
];

fn text_of<'a>(document: &'a roxmltree::Document<'_>, name: &str) -> &'a str {
    document
        .descendants()
        .find(|node| node.has_tag_name((NAMESPACE, name)))
        .and_then(|node| node.text())
        .unwrap_or_else(|| panic!("no {name}"))
}

const NAMESPACE: &str = "http://schemas.microsoft.com/windows/2004/02/mit/task";

#[test]
fn the_xml_is_as_the_task_schedulers_schema_wants_it() {
    let mut task = task(PROGRAM, r"C:\csc");
    for account in [None, Some(r"CONTOSO\svc-<csc>".to_string())] {
        task.account.clone_from(&account);
        let xml = task_scheduler(&task).unwrap();
        assert!(xml.is_ascii(), "whatever the console makes of it");
        let document = roxmltree::Document::parse(&xml).unwrap();
        let root = document.root_element();
        assert_eq!(root.tag_name().namespace(), Some(NAMESPACE));
        assert_eq!(root.attribute("version"), Some("1.2"));
        for element in document.descendants().filter(roxmltree::Node::is_element) {
            let name = element.tag_name().name();
            let children: Vec<&str> = element
                .children()
                .filter(roxmltree::Node::is_element)
                .map(|child| child.tag_name().name())
                .collect();
            if children.is_empty() {
                assert!(
                    element.text().is_some_and(|t| !t.trim().is_empty()),
                    "{name}"
                );
                continue;
            }
            let (_, allowed) = SCHEMA.iter().find(|(parent, _)| *parent == name).unwrap();
            let places: Vec<usize> = children
                .iter()
                .map(|child| {
                    let place = allowed.iter().position(|allowed| allowed == child);
                    place.unwrap_or_else(|| panic!("{child} in {name}"))
                })
                .collect();
            assert!(places.is_sorted_by(|a, b| a < b), "{name}: {children:?}");
        }
        assert_eq!(text_of(&document, "StartBoundary"), "2026-01-01T02:05:00");
        for duration in ["ExecutionTimeLimit", "Interval"] {
            let text = text_of(&document, duration);
            assert!(text.parse::<jiff::Span>().is_ok(), "{duration} {text}");
        }
        let principal = document
            .descendants()
            .find(|node| node.has_tag_name((NAMESPACE, "Principal")))
            .unwrap();
        let actions = document
            .descendants()
            .find(|node| node.has_tag_name((NAMESPACE, "Actions")))
            .unwrap();
        assert_eq!(principal.attribute("id"), actions.attribute("Context"));
        let arguments = text_of(&document, "Arguments");
        let call =
            r"& 'C:\Program Files\O''Neil & Söhne\csc-sender.exe' send --live --table 'a.b c'";
        assert!(arguments.contains(call), "{arguments}");
        assert!(
            arguments.contains("if ($null -eq $LASTEXITCODE) { exit 2 }"),
            "a program that is missing is no success: {arguments}"
        );
        assert_eq!(arguments.matches('"').count(), 2, "{arguments}");
        if let Some(account) = account {
            assert_eq!(text_of(&document, "UserId"), account);
        }
    }
}

#[test]
fn what_a_scheduler_would_replace_is_refused() {
    for program in [r"C:\%TEMP%\x.exe", r"C:\$(Arg0)\x.exe", "C:\\a\"b\\x.exe"] {
        assert!(task_scheduler(&task(program, "C:\\")).is_err(), "{program}");
    }
    for program in [r"C:\$(ESCAPE_NONE(JOBID))\x.exe", "C:\\a\"b\\x.exe", "a\nb"] {
        assert!(sql_agent(&task(program, "C:\\")).is_err(), "{program}");
    }
    assert!(systemd(&task("/a\nb", "/")).is_err());
    assert!(cron(&task("/a\nb", "/")).is_err());
}

/// A script's literals, unquoted, and what is left of it without them and its comments.
fn t_sql_parts(script: &str) -> (Vec<String>, String) {
    let (mut literals, mut rest) = (Vec::new(), String::new());
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '-' if chars.peek() == Some(&'-') => {
                chars.by_ref().find(|c| *c == '\n');
                rest.push('\n');
            }
            '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next().expect("the literal ends") {
                        '\'' if chars.peek() == Some(&'\'') => {
                            chars.next();
                            literal.push('\'');
                        }
                        '\'' => break,
                        c => literal.push(c),
                    }
                }
                literals.push(literal);
            }
            c => rest.push(c),
        }
    }
    (literals, rest)
}

#[test]
fn the_agents_job_is_made_once_and_brought_up_to_date_after_that() {
    let script = sql_agent(&task(PROGRAM, r"C:\O'Neil")).unwrap();
    assert!(script.is_ascii(), "whatever the console makes of it");
    let (literals, rest) = t_sql_parts(&script.replace("' + NCHAR(246) + N'", "ö"));
    assert!(!rest.contains('"'), "{rest}");
    let command = literals
        .iter()
        .find(|literal| literal.starts_with("powershell.exe"))
        .unwrap();
    assert!(
        command.contains(r"& 'C:\Program Files\O''Neil & Söhne\csc-sender.exe' send --live"),
        "{command}"
    );
    assert!(
        command.contains(r"Set-Location -LiteralPath 'C:\O''Neil'"),
        "{command}"
    );
    assert!(
        command.contains("if ($LASTEXITCODE -eq 1) { exit 0 }"),
        "{command}"
    );
    for (makes, needs) in [
        ("sp_add_job ", "IF NOT EXISTS"),
        ("sp_add_jobstep ", "sp_update_jobstep "),
        ("sp_add_schedule ", "sp_update_schedule "),
    ] {
        assert_eq!(rest.matches(makes).count(), 1, "{makes}");
        assert!(rest.contains(needs), "{needs}");
    }
    assert!(!rest.contains("sp_delete"), "its history stays");
    assert!(rest.contains("DECLARE @start int = 20500;"), "{rest}");
    assert_eq!(
        rest.matches("BEGIN\n").count(),
        rest.matches("\nEND").count()
    );
}

#[test]
fn a_unit_has_its_paths_quoted() {
    let units = systemd(&task("/opt/a $b %c/csc-sender", "/srv/%d")).unwrap();
    assert!(
        units.contains(r#"ExecStart="/opt/a $b %%c/csc-sender" "send" "--live""#),
        "{units}"
    );
    assert!(units.contains("WorkingDirectory=/srv/%%d\n"), "{units}");
    assert!(units.contains("OnCalendar=*-*-* 02:05:00\n"));
    assert!(units.contains("# ---- csc-sender-nightly.timer ----"));
}

#[test]
fn a_crontab_line_is_one_line_without_bare_percent_signs() {
    let text = cron(&task("/opt/it's 5%/csc-sender", "/srv")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(lines[0].starts_with("5 2 * * * "), "{text}");
    assert!(
        lines[0].contains(r"'/opt/it'\''s 5\%/csc-sender'"),
        "{text}"
    );
}
