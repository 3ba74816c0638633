//! `config show` and `config template`.

use csc_message::Exit;

use super::{Context, Outcome, warn_of_exposed};
use crate::arguments::ConfigCommand;
use crate::configuration::{Need, template};
use crate::console;

pub fn run(context: &Context<'_>, command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Template => {
            console::result(template().trim_end());
            Ok(Exit::Done)
        }
        ConfigCommand::Show { json } => {
            let config = context.load();
            if *json {
                console::result(&format!("{:#}", config.show_json()));
            } else {
                console::result(config.show().trim_end());
                for note in config.notes() {
                    console::note(&format!("note: {note}"));
                }
            }
            // What can't be read at all is a fault here too, after everything was shown.
            let settings = config.settings(Need::default())?;
            warn_of_exposed(&settings);
            Ok(Exit::Done)
        }
    }
}
