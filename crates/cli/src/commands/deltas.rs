//! `deltas prepare`: what would go, into `partial_json_payload`.

use csc_message::Exit;
use csc_sender_run::{Run, RunOptions};

use super::{Context, Outcome, block_on, open_store, send};
use crate::arguments::{DeltasCommand, PayloadMode, SendArgs};
use crate::configuration::{Need, Settings};
use crate::console;

pub fn run(context: &Context<'_>, command: &DeltasCommand) -> Outcome {
    let settings = context.load().settings(Need {
        database: true,
        la_code: true,
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    match command {
        DeltasCommand::Prepare => block_on(prepare(settings))?,
    }
}

async fn prepare(settings: Settings) -> Outcome {
    let store = open_store(&settings).await?;
    let place = store.place();
    let journal = send::read_journal(&settings);
    if journal.is_none() || settings.endpoint.is_none() {
        console::note(
            "Nothing is known of what the receiver holds (no journal, or no API_ENDPOINT), so every \
             record is whole.",
        );
    }
    let options: RunOptions = send::options(
        &settings,
        &SendArgs {
            mode: Some(PayloadMode::Deltas),
            ..SendArgs::default()
        },
    )?;
    let run = Run {
        store,
        ledger: send::ledger(&settings, journal.as_ref()),
        options,
    };
    let done = run.prepare_deltas().await.map_err(|e| vec![e])?;
    console::result(&format!(
        "Prepared in {place}: {} deltas, {} full records, {} purges; {} unchanged; {} rows that can't \
         go and {} that changed meanwhile were left alone. Nothing was sent.",
        done.deltas, done.full, done.purges, done.unchanged, done.unfit, done.changed
    ));
    Ok(if done.unfit > 0 {
        Exit::Refused
    } else {
        Exit::Done
    })
}
