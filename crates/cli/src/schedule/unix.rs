//! systemd's timers, and cron.

use super::quote::{exec_argument, exec_program, fits, shell};
use super::{CODES, MINUTES_BETWEEN, NEEDS, TRIES, Task, Unfit};

/// A service and its timer.
pub fn systemd(task: &Task) -> Result<String, Unfit> {
    const PLACE: &str = "a systemd unit";
    let account = task.account.as_deref().unwrap_or("csc-sender");
    fits(account, PLACE, &[(' ', "a blank")])?;
    fits(&task.folder, PLACE, &[])?;
    let unit = unit_name(&task.name);
    let mut command = exec_program(&task.program)?;
    for argument in &task.arguments {
        command.push(' ');
        command.push_str(&exec_argument(argument)?);
    }
    let comment = commented(
        &[
            &format!("Two files for /etc/systemd/system: {unit}.service and {unit}.timer. Then:"),
            "  systemctl daemon-reload",
            &format!("  systemctl enable --now {unit}.timer"),
            &format!("  systemctl start {unit}.service    (once, to see it work)"),
            &format!("  journalctl -u {unit}"),
            "",
        ],
        &["It needs systemd 244 or newer (a oneshot service that is started again)."],
    );
    Ok(format!(
        "{comment}

# ---- {unit}.service ----
[Unit]
Description=Send children's social care records to the DfE
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=12h
StartLimitBurst={TRIES}

[Service]
Type=oneshot
User={account}
WorkingDirectory={folder}
ExecStart={command}
SuccessExitStatus=1
Restart=on-failure
RestartPreventExitStatus=2 6 130
RestartSec={MINUTES_BETWEEN}min
TimeoutStartSec=12h
TimeoutStopSec=5min
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes

# ---- {unit}.timer ----
[Unit]
Description=Send children's social care records to the DfE every night

[Timer]
OnCalendar=*-*-* {at}
Persistent=true

[Install]
WantedBy=timers.target
",
        folder = task.folder.replace('%', "%%"),
        at = task.at.strftime("%H:%M:%S"),
    ))
}

/// A unit's name: what is not a letter or digit becomes a hyphen.
fn unit_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    name.trim_matches('-').to_string()
}

/// A line for a crontab.
pub fn cron(task: &Task) -> Result<String, Unfit> {
    let mut command = shell(&task.program)?;
    for argument in &task.arguments {
        command.push(' ');
        command.push_str(&shell(argument)?);
    }
    let account = task.account.as_deref().unwrap_or("csc-sender");
    let comment = commented(
        &[
            &format!("A line for the crontab of the account ({account}): crontab -u {account} -e"),
            "cron mails what it prints to the account, or to MAILTO; it starts nothing that was missed",
            "while the machine was off.",
            "",
        ],
        &["cron itself does not look at exit codes: the line does."],
    );
    let line = format!(
        "{} {} * * * umask 077; cd {} && for try in {}; do {command}; code=$?; case $code in 3|4|5) \
         [ $try = {TRIES} ] || sleep {};; *) break;; esac; done; exit $code",
        task.at.minute(),
        task.at.hour(),
        shell(&task.folder)?,
        (1..=TRIES)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" "),
        MINUTES_BETWEEN * 60,
    );
    // A % is a line break to cron.
    Ok(format!("{comment}\n{}\n", line.replace('%', r"\%")))
}

fn commented(first: &[&str], last: &[&str]) -> String {
    let lines: Vec<String> = first
        .iter()
        .chain(&NEEDS)
        .chain(&[""])
        .chain(&CODES)
        .chain(last)
        .map(|line| format!("# {line}").trim_end().to_string())
        .collect();
    lines.join("\n")
}
