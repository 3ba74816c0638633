//! SQL Server Agent: a job in T-SQL that can be run again and again.

use super::quote::{fits, t_sql};
use super::task_xml::power_shell_loop;
use super::{CODES, NEEDS, Task, Unfit};

/// The script. It makes the job where it is missing, and brings it up to date where it is
/// there: its history, and whom it notifies, stay.
pub fn sql_agent(task: &Task) -> Result<String, Unfit> {
    const PLACE: &str = "SQL Server Agent";
    for text in std::iter::once(&task.name)
        .chain([&task.program, &task.folder])
        .chain(&task.arguments)
        .chain(&task.account)
    {
        fits(text, PLACE, &[])?;
        // The Agent puts its tokens in there.
        if text.contains("$(") {
            return Err(Unfit {
                text: text.clone(),
                what: "$(",
                place: PLACE,
            });
        }
    }
    // Refused records are a success to the Agent: its step knows one code for that.
    let command = format!(
        "powershell.exe -NoProfile -NonInteractive -Command \"Set-Location -LiteralPath {}; {}; \
         if ($LASTEXITCODE -eq 1) {{ exit 0 }}; exit $LASTEXITCODE\"",
        super::quote::power_shell(&task.folder)?,
        power_shell_loop(task)?
    );
    let comment: Vec<String> = [
        "Run this as a member of sysadmin. Look at @command and @proxy below first.",
        "It can be run again: it brings the job up to date. SQL Server Express has no Agent.",
        "",
    ]
    .iter()
    .chain(&NEEDS)
    .chain(&[
        "The step runs under the Agent's own service account. For another account make a proxy for",
        "CmdExec (msdb.dbo.sp_add_proxy) and set @proxy below.",
        "",
    ])
    .chain(&CODES)
    .chain(&[
        "The Agent itself sees 0 for 1, since a step knows one code of success: look for refusals",
        "in the job's history, or with csc-sender report.",
    ])
    .map(|line| format!("-- {line}").trim_end().to_string())
    .collect();
    let proxy = task
        .account
        .as_deref()
        .map_or_else(|| "NULL".to_string(), t_sql);
    Ok(format!(
        r"{comment}

USE msdb;
SET NOCOUNT ON;
SET XACT_ABORT ON;

DECLARE @job sysname = {name};
DECLARE @proxy sysname = {proxy};
DECLARE @command nvarchar(max) = {command};
DECLARE @start int = {start}; -- hhmmss
DECLARE @schedule int;

BEGIN TRANSACTION;

IF NOT EXISTS (SELECT 1 FROM dbo.sysjobs WHERE name = @job)
BEGIN
    EXEC dbo.sp_add_job @job_name = @job, @enabled = 1, @notify_level_eventlog = 2,
        @description = N'Sends children''s social care records to the DfE with csc-sender';
    EXEC dbo.sp_add_jobserver @job_name = @job, @server_name = N'(local)';
END;

IF NOT EXISTS (SELECT 1 FROM dbo.sysjobsteps AS s JOIN dbo.sysjobs AS j ON j.job_id = s.job_id
               WHERE j.name = @job AND s.step_id = 1)
    EXEC dbo.sp_add_jobstep @job_name = @job, @step_id = 1, @step_name = N'send',
        @subsystem = N'CmdExec', @command = @command, @cmdexec_success_code = 0,
        @on_success_action = 1, @on_fail_action = 2, @retry_attempts = 0, @flags = 32,
        @proxy_name = @proxy;
ELSE
    EXEC dbo.sp_update_jobstep @job_name = @job, @step_id = 1, @step_name = N'send',
        @subsystem = N'CmdExec', @command = @command, @cmdexec_success_code = 0,
        @on_success_action = 1, @on_fail_action = 2, @retry_attempts = 0, @flags = 32,
        @proxy_name = @proxy;

SELECT @schedule = MIN(s.schedule_id)
FROM dbo.sysjobschedules AS js
JOIN dbo.sysjobs AS j ON j.job_id = js.job_id
JOIN dbo.sysschedules AS s ON s.schedule_id = js.schedule_id
WHERE j.name = @job AND s.name = @job;

IF @schedule IS NULL
BEGIN
    EXEC dbo.sp_add_schedule @schedule_name = @job, @enabled = 1, @freq_type = 4,
        @freq_interval = 1, @active_start_time = @start, @schedule_id = @schedule OUTPUT;
    EXEC dbo.sp_attach_schedule @job_name = @job, @schedule_id = @schedule;
END
ELSE
    EXEC dbo.sp_update_schedule @schedule_id = @schedule, @enabled = 1, @freq_type = 4,
        @freq_interval = 1, @active_start_time = @start;

COMMIT TRANSACTION;
",
        comment = comment.join("\n"),
        name = t_sql(&task.name),
        command = t_sql(&command),
        start = i32::from(task.at.hour()) * 10_000 + i32::from(task.at.minute()) * 100,
    ))
}
