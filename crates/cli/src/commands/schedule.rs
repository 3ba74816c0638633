//! `schedule print`: the run as a nightly task, for four schedulers. It prints, and
//! changes nothing on this machine.

use std::path::{Path, PathBuf};

use csc_message::{Exit, Message};

use super::{Context, Outcome};
use crate::arguments::{ScheduleCommand, SchedulePrintArgs, Scheduler};
use crate::console;
use crate::schedule::{Task, Unfit, cron, sql_agent, systemd, task_scheduler};

pub fn run(context: &Context<'_>, command: &ScheduleCommand) -> Outcome {
    let ScheduleCommand::Print(args) = command;
    let task = task(context, args).map_err(|e| vec![e])?;
    let printed = match args.scheduler.unwrap_or_default() {
        Scheduler::Windows => task_scheduler(&task),
        Scheduler::SqlAgent => sql_agent(&task),
        Scheduler::Systemd => systemd(&task),
        Scheduler::Cron => cron(&task),
    };
    let text = printed.map_err(|unfit| vec![cannot_stand(&unfit)])?;
    console::result(text.trim_end());
    Ok(Exit::Done)
}

fn task(context: &Context<'_>, args: &SchedulePrintArgs) -> Result<Task, Message> {
    let program = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(|e| {
            Message::new(
                293,
                "Cannot tell where this program is",
                e.to_string(),
                "name it with --program PATH",
            )
        })?,
    };
    let folder = absolute(context, args.folder.as_deref().unwrap_or(Path::new("")));
    let mut arguments = vec!["send".to_string(), "--live".to_string()];
    // What this command was told of the settings' files holds for the task too.
    for (flag, file) in [
        ("--env-file", &context.config.env_file),
        ("--config", &context.config.config),
    ] {
        if let Some(file) = file {
            arguments.push(flag.to_string());
            arguments.push(absolute(context, file).display().to_string());
        }
    }
    if let Some(table) = &context.config.table {
        arguments.extend(["--table".to_string(), table.clone()]);
    }
    if let Some(folder) = &args.report {
        arguments.push("--report".to_string());
        arguments.push(absolute(context, folder).display().to_string());
    }
    Ok(Task {
        at: args.at,
        name: args.name.clone(),
        account: args.account.clone(),
        program: absolute(context, &program).display().to_string(),
        arguments,
        folder: folder.display().to_string(),
    })
}

/// A path as it is from everywhere. Windows' own paths are as good on another machine:
/// whoever prints on one for the other names them whole.
fn absolute(context: &Context<'_>, path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    let is_of_windows = text.starts_with(r"\\")
        || text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic();
    if is_of_windows || path.is_absolute() {
        return path.to_path_buf();
    }
    if path.as_os_str().is_empty() {
        return context.world.working_dir.clone();
    }
    context.world.working_dir.join(path)
}

fn cannot_stand(unfit: &Unfit) -> Message {
    Message::new(
        290,
        format!("{:?} cannot stand in what is printed", unfit.text),
        format!("{} has no way to write {}", unfit.place, unfit.what),
        "use a path or name without it",
    )
}
