//! `completions` and `man`: what a shell and `man` need, made from the command line itself.

use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use csc_message::{Exit, Message};

use super::Outcome;
use crate::arguments::Arguments;

/// The script for a shell.
pub fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    let mut command = without_hidden(&Arguments::command()).version(crate::version::LONG);
    clap_complete::generate(shell, &mut command, "csc-sender", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        // clap_complete 4.6.11 has two names for a command whose program has a hyphen, so
        // bash would find none.
        script = script.replace("csc__subcmd__sender", "csc__sender");
    }
    // A closed pipe (`| head`) is no failure of ours.
    let _ = io::stdout().write_all(script.as_bytes());
    Ok(Exit::Done)
}

/// The command without what help does not show: a shell must not offer the flags that are
/// there to refuse a secret.
fn without_hidden(command: &Command) -> Command {
    let arguments = command.get_arguments();
    let commands = command.get_subcommands();
    let aliases = command.get_visible_aliases().map(str::to_string);
    let copy = Command::new(command.get_name().to_string())
        .args(
            arguments
                .filter(|argument| !argument.is_hide_set())
                .cloned(),
        )
        .subcommands(
            commands
                .filter(|command| !command.is_hide_set())
                .map(without_hidden),
        )
        .visible_aliases(aliases.collect::<Vec<_>>());
    match command.get_about() {
        Some(about) => copy.about(about.clone()),
        None => copy,
    }
}

/// The manual page, or one for each command in a folder.
pub fn man(folder: Option<&Path>) -> Outcome {
    let command = Arguments::command();
    match folder {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|e| vec![cannot_write(Path::new("standard output"), &e)])?;
            let _ = io::stdout().write_all(&page);
        }
        Some(folder) => {
            clap_mangen::generate_to(command, folder).map_err(|e| vec![cannot_write(folder, &e)])?
        }
    }
    Ok(Exit::Done)
}

fn cannot_write(place: &Path, error: &io::Error) -> Message {
    Message::new(
        279,
        format!("Cannot write the manual to {}", place.display()),
        error.to_string(),
        "name a folder with --dir that exists and that this account may write to",
    )
}
