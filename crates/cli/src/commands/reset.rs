//! `reset`: rows back to pending.

use csc_message::{Exit, Message};
use csc_staging::SubmissionStatus;

use super::{Context, Outcome, block_on, open_store};
use crate::arguments::{ResetArgs, ResetStatus};
use crate::configuration::{Need, Settings};
use crate::console;

pub fn run(context: &Context<'_>, args: &ResetArgs) -> Outcome {
    let settings = context.load().settings(Need {
        database: true,
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    if !settings.table.is_anon()
        && (args.status.is_empty() || args.status.contains(&ResetStatus::Sent))
    {
        return Err(vec![Message::new(
            627,
            format!("{} is not reset like that", settings.table),
            "its name does not end in _anon, so it counts as a table of real children: what was \
             sent stays sent, and which of the others are meant has to be said",
            "name --status testing, --status error, or both with a comma between; for fake \
             children, name the _anon table with --table",
        )]);
    }
    block_on(reset(&settings, args))?
}

async fn reset(settings: &Settings, args: &ResetArgs) -> Outcome {
    let from = if args.status.is_empty() {
        vec![
            SubmissionStatus::Sent,
            SubmissionStatus::Error,
            SubmissionStatus::Testing,
        ]
    } else {
        args.status.iter().copied().map(status).collect()
    };
    let words: Vec<&str> = from.iter().map(|status| status.word()).collect();
    let words = words.join(", ");
    let store = open_store(settings).await?;
    if !settings.table.is_anon() {
        confirm(&store.place(), &words, args.yes)?;
    }
    store.lock().await.map_err(|error| vec![error.into()])?;
    let counts = store
        .reset(&from)
        .await
        .map_err(|error| vec![error.into()])?;
    if counts.is_empty() {
        console::result(&format!(
            "{}: no row is {}, nothing to do",
            store.place(),
            words.replace(", ", " or ")
        ));
        return Ok(Exit::Done);
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(status, count)| format!("{} {count}", status.word()))
        .collect();
    console::result(&format!(
        "{}: back to pending: {}",
        store.place(),
        counts.join(", ")
    ));
    console::result("next: csc-sender status, then csc-sender send");
    Ok(Exit::Done)
}

fn status(named: ResetStatus) -> SubmissionStatus {
    match named {
        ResetStatus::Error => SubmissionStatus::Error,
        ResetStatus::Testing => SubmissionStatus::Testing,
        ResetStatus::Sent => SubmissionStatus::Sent,
    }
}

/// Real children are set back only after a yes.
fn confirm(place: &str, words: &str, yes: bool) -> Result<(), Vec<Message>> {
    if yes {
        return Ok(());
    }
    let why = if console::can_ask() {
        let question = format!("This sets every row of {place} that is {words} back to pending.");
        if console::ask_yes(&question) {
            return Ok(());
        }
        "the answer was not yes"
    } else {
        "there is no terminal to ask on"
    };
    Err(vec![Message::new(
        628,
        format!("No yes was given to setting back rows of {place}"),
        format!(
            "{why}, and its name does not end in _anon, so it counts as a table of real children"
        ),
        "look at `csc-sender status`, then start again with --yes",
    )])
}
