//! `config show` and `config template`; `config import` has a file of its own.

use csc_message::Exit;

use super::{Context, Outcome, import, warn_of_exposed};
use crate::arguments::ConfigCommand;
use crate::configuration::{Need, template};
use crate::console;

pub fn run(context: &Context<'_>, command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Template => {
            console::result(template().trim_end());
            Ok(Exit::Done)
        }
        ConfigCommand::Import(args) => import::run(context, args),
        ConfigCommand::Show { json } => {
            let config = context.load();
            if *json {
                console::result(&format!("{:#}", config.show_json()));
            } else {
                let shown = match console::is_plain() {
                    true => config.show_plain(),
                    false => config.show(),
                };
                console::result(shown.trim_end());
                for note in config.notes() {
                    console::note(&format!("note: {note}"));
                }
            }
            // What can't be read at all is a fault here too, after everything was shown.
            let need = Need {
                network: true,
                ..Need::default()
            };
            let settings = config.settings(need)?;
            warn_of_exposed(&settings);
            Ok(Exit::Done)
        }
    }
}
