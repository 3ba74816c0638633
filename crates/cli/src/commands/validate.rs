//! `validate`: the whole table held against the payload rules.

use std::io::Write;

use csc_message::Exit;
use csc_payload::report::Format;
use csc_sender_run::{Checks, validate};

use super::{Context, Outcome, block_on, open_store, send, stop_on_interrupt};
use crate::arguments::{ReportFormat, ValidateArgs};
use crate::configuration::{Need, Settings};
use crate::console;

pub fn run(context: &Context<'_>, args: &ValidateArgs) -> Outcome {
    let settings = context.load().settings(Need {
        database: true,
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    let checks = send::checks(&settings)?;
    block_on(check(&settings, &checks, args.format))?
}

async fn check(settings: &Settings, checks: &Checks, format: ReportFormat) -> Outcome {
    let store = open_store(settings).await?;
    let stop = stop_on_interrupt();
    let report = validate(&*store, checks, stop.clone())
        .await
        .map_err(|e| vec![e])?;
    let format = match format {
        ReportFormat::Text => {
            console::result(&format!("{}:", store.place()));
            Format::Text
        }
        ReportFormat::Json => Format::Json,
        ReportFormat::Csv => Format::Csv,
        ReportFormat::Sarif => Format::Sarif,
    };
    let mut out = std::io::stdout().lock();
    // A closed pipe (`| head`) is no failure of ours.
    let _ = report.write(format, &mut out).and_then(|()| out.flush());
    Ok(if stop.asked() {
        Exit::Interrupted
    } else if report.with_errors() > 0 {
        Exit::Refused
    } else {
        Exit::Done
    })
}
