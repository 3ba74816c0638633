//! `fake`: invented children in the `_anon` table, and what a night changes in them.

use csc_anon::{Filling, Order, age, fill};
use csc_message::Exit;
use csc_payload::Fakes;
use csc_staging::{Earlier, Halt};
use jiff::ToSpan as _;

use super::{Context, Outcome, block_on, open_store, stop_on_interrupt};
use crate::arguments::{FakeArgs, FakeCommand, WhichFakes};
use crate::configuration::{Need, Settings};
use crate::console;
use crate::steps::Steps;

pub fn run(context: &Context<'_>, args: &FakeArgs) -> Outcome {
    let settings = context.load().settings(Need {
        database: true,
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    settings
        .table
        .must_be_anon()
        .map_err(|error| vec![error.into()])?;
    match (&args.command, args.count) {
        (Some(FakeCommand::Changes { days, which }), _) => {
            block_on(changes(&settings, *days, *which))?
        }
        (None, count) => {
            let order = Order {
                count: count.unwrap_or_default(),
                with_faults: args.with_faults,
                earlier: earlier(args.replace),
            };
            block_on(make(&settings, order, args.which))?
        }
    }
}

/// What `--replace` says.
pub fn earlier(replace: bool) -> Earlier {
    if replace {
        Earlier::Replaced
    } else {
        Earlier::Kept
    }
}

/// What is printed of rows that were there before.
pub fn removed(rows: u64) -> String {
    match rows {
        0 => String::new(),
        1 => "; 1 earlier row was removed".to_string(),
        rows => format!("; {rows} earlier rows were removed"),
    }
}

/// An outcome for what was not carried to its end. `left` is what became of the table.
pub fn halted(halt: Halt, left: &str) -> Outcome {
    match halt {
        Halt::Failed(message) => Err(vec![message]),
        Halt::Stopped => {
            console::note(&format!("Stopped by Ctrl-C: {left}."));
            Ok(Exit::Interrupted)
        }
    }
}

async fn make(settings: &Settings, order: Order, which: WhichFakes) -> Outcome {
    let store = open_store(settings).await?;
    store.lock().await.map_err(|error| vec![error.into()])?;
    let fakes = Fakes::new(which.seed, which.as_of);
    let mut steps = Steps::new(stop_on_interrupt());
    let filled = fill(&*store, &fakes, order, &mut steps).await;
    steps.finish();
    let Filling { rows, faulty } = match filled {
        Ok(filling) => filling,
        Err(halt) => return halted(halt, "the table is as it was"),
    };
    console::result(&format!(
        "{}: {} fake children (seed {}, as of {}){}",
        store.place(),
        rows.written,
        which.seed,
        which.as_of,
        removed(rows.removed),
    ));
    if !faulty.is_empty() {
        let by_rule: Vec<String> = faulty
            .iter()
            .map(|(rule, count)| format!("{} {count}", rule.name()))
            .collect();
        console::result(&format!(
            "{} of them break a payload rule on purpose: {}",
            faulty.values().sum::<u64>(),
            by_rule.join(", ")
        ));
    }
    console::result("next: csc-sender validate, then csc-sender send");
    Ok(Exit::Done)
}

async fn changes(settings: &Settings, days: u64, which: WhichFakes) -> Outcome {
    let store = open_store(settings).await?;
    store.lock().await.map_err(|error| vec![error.into()])?;
    let fakes = Fakes::new(which.seed, which.as_of);
    let stop = stop_on_interrupt();
    console::result(&format!("{}:", store.place()));
    for day in 1..=days {
        let mut steps = Steps::new(stop.clone());
        let aged = age(&*store, &fakes, which.seed, day, &mut steps).await;
        steps.finish();
        let aged = match aged {
            Ok(aged) => aged,
            Err(halt) => return halted(halt, "what was changed until then stays"),
        };
        let date =
            i64::try_from(day).map_or(which.as_of, |day| which.as_of.saturating_add(day.days()));
        let left_alone = match aged.left_alone {
            0 => String::new(),
            rows => format!("; {rows} left alone (no record, or changed by somebody else)"),
        };
        console::result(&format!(
            "  {date}: {} updated, {} gone, {} added{left_alone}",
            aged.updated, aged.gone, aged.added
        ));
    }
    console::result("next: csc-sender send, then fake changes again with --as-of a day later");
    Ok(Exit::Done)
}
