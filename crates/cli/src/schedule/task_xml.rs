//! Windows Task Scheduler: a task's definition, for `schtasks /create /xml`.

use super::quote::{fits, power_shell, xml};
use super::{CODES, MINUTES_BETWEEN, NEEDS, TRIES, Task, Unfit};

/// The definition. It says nothing of its encoding and is plain ASCII: PowerShell's `>`
/// makes UTF-16 of it, cmd's makes nothing of it, and the Task Scheduler reads both.
///
/// The Task Scheduler does not start a task again because of its exit code, so the
/// action is a loop that does.
pub fn task_scheduler(task: &Task) -> Result<String, Unfit> {
    const PLACE: &str = "the Task Scheduler";
    for text in [&task.program, &task.folder, &task.name] {
        fits(text, PLACE, &[('"', "\"")])?;
    }
    // It puts variables in there.
    for text in std::iter::once(&task.program)
        .chain([&task.folder])
        .chain(&task.arguments)
    {
        fits(text, PLACE, &[('%', "%")])?;
        if text.contains("$(") {
            return Err(Unfit {
                text: text.clone(),
                what: "$(",
                place: PLACE,
            });
        }
    }
    let comment = comment(task);
    let principal = match &task.account {
        Some(account) => format!("\n      <UserId>{}</UserId>", xml(account)),
        None => String::new(),
    };
    Ok(format!(
        r#"<?xml version="1.0"?>
<!--
{comment}
-->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{description}</Description>
    <URI>\{name}</URI>
  </RegistrationInfo>
  <Triggers>
    <CalendarTrigger>
      <StartBoundary>2026-01-01T{at}</StartBoundary>
      <ScheduleByDay>
        <DaysInterval>1</DaysInterval>
      </ScheduleByDay>
    </CalendarTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">{principal}
      <LogonType>Password</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>true</RunOnlyIfNetworkAvailable>
    <Enabled>true</Enabled>
    <ExecutionTimeLimit>PT12H</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT20M</Interval>
      <Count>2</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe</Command>
      <Arguments>{arguments}</Arguments>
      <WorkingDirectory>{folder}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"#,
        description = "Sends children's social care records to the DfE with csc-sender",
        name = xml(&task.name),
        at = task.at.strftime("%H:%M:%S"),
        arguments = xml(&format!(
            "-NoProfile -NonInteractive -Command \"{}; exit $LASTEXITCODE\"",
            power_shell_loop(task)?
        )),
        folder = xml(&task.folder),
    ))
}

/// Runs the program, again where that helps, and leaves its exit code in
/// `$LASTEXITCODE`. There is none where the program is missing: PowerShell alone would
/// make a success of that.
pub fn power_shell_loop(task: &Task) -> Result<String, Unfit> {
    let mut command = format!("& {}", power_shell(&task.program)?);
    for argument in &task.arguments {
        command.push(' ');
        command.push_str(&if is_plain(argument) {
            argument.clone()
        } else {
            power_shell(argument)?
        });
    }
    Ok(format!(
        "foreach ($try in 1..{TRIES}) {{ {command}; if ($try -eq {TRIES} -or \
         $LASTEXITCODE -notin 3,4,5) {{ break }}; Start-Sleep -Seconds {} }}; \
         if ($null -eq $LASTEXITCODE) {{ exit 2 }}",
        MINUTES_BETWEEN * 60
    ))
}

fn is_plain(argument: &str) -> bool {
    argument
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A comment cannot name a character: one that is not ASCII is left open.
fn ascii(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect()
}

fn comment(task: &Task) -> String {
    let create = match &task.account {
        Some(_) => "/rp *",
        None => "/ru DOMAIN\\svc-csc /rp *",
    };
    let mut lines = vec![
        "In a command prompt of an administrator, or of whoever may create tasks:".to_string(),
        format!(
            "  schtasks /create /tn \"{}\" /xml task.xml {create}",
            task.name
        ),
        "It asks for the account's password, and keeps it for the task alone.".to_string(),
        "The account also needs the right \"Log on as a batch job\".".to_string(),
        String::new(),
    ];
    lines.extend(NEEDS.map(str::to_string));
    lines.push(String::new());
    lines.extend(CODES.map(str::to_string));
    lines.push("\"Last Run Result\" is the last try's exit code (0x1 is 1).".to_string());
    // Two hyphens would end the comment.
    let lines: Vec<String> = lines
        .iter()
        .map(|line| ascii(&line.replace("--", "- -")))
        .collect();
    lines.join("\n")
}
