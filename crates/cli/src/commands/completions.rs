//! `completions` and `man`: what a shell and `man` need, made from the command line itself.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use csc_message::{Exit, Message};

use super::Outcome;
use crate::arguments::Arguments;

/// The script for a shell.
pub fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(shell, &mut command, "csc-sender", &mut script);
    // A closed pipe (`| head`) is no failure of ours.
    let _ = io::stdout().write_all(&script);
    Ok(Exit::Done)
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
        Some(folder) => clap_mangen::generate_to(command, folder)
            .map_err(|e| vec![cannot_write(folder, &e)])?,
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
