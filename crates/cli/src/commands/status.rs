//! `status`: the table in figures, for people and for monitoring.

use std::time::Duration;

use csc_message::{Exit, Message};
use csc_staging::TableSummary;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Context, Outcome, block_on, open_store, send};
use crate::arguments::StatusArgs;
use crate::configuration::{Need, Settings};
use crate::console;

pub fn run(context: &Context<'_>, args: &StatusArgs) -> Outcome {
    let settings = context.load().settings(Need {
        database: true,
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    block_on(show(&settings, args))?
}

async fn show(settings: &Settings, args: &StatusArgs) -> Outcome {
    let store = open_store(settings).await?;
    let summary = store.summary().await.map_err(|e| vec![e.into()])?;
    let journal = send::read_journal(settings);
    let run = match &journal {
        Some(journal) => journal.last_good_run(&store.place()).map_err(|e| vec![e])?,
        None => None,
    };
    let now = Timestamp::now();
    let (last_good, to_come) = last_believable([run, submitted(&summary)], now);
    let age = last_good.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
    let too_old = args
        .max_age
        .is_some_and(|limit| age.is_none_or(|age| age > limit));
    if args.json {
        console::result(&format!(
            "{:#}",
            json!({
                "table": store.place(),
                "rows": summary.counts.iter().map(|(status, state, count)| json!({
                    "submission_status": status, "row_state": state, "count": count,
                })).collect::<Vec<_>>(),
                "eligible": summary.eligible,
                "oldest_pending": summary.oldest_pending,
                "last_submission": summary.last_submission,
                "last_good_run": last_good.map(|at| at.to_string()),
                "last_good_run_age_seconds": age.map(|age| age.as_secs()),
                "children_with_several_rows": summary.children_with_several_rows,
                "too_old": too_old,
            })
        ));
    } else {
        for line in lines(&store.place(), &summary, last_good) {
            console::result(&line);
        }
    }
    if let Some(at) = to_come {
        console::note(&format!(
            "note: a run or receipt of {} does not count, since that is still to come: check this \
             machine's clock, which was or is wrong",
            shown(at)
        ));
    }
    if let (true, Some(limit)) = (too_old, args.max_age) {
        return Err(vec![Message::new(
            101,
            match last_good {
                Some(at) => format!("The last good run is too old: {}", shown(at)),
                None => "There was no good run yet".to_string(),
            },
            format!("--max-age allows {} minutes", limit.as_secs() / 60),
            "look at the last run's log, then run `csc-sender send`",
        )]);
    }
    Ok(Exit::Done)
}

/// How far in the future a time may be: a receipt's may be an hour off in summer, and two
/// machines' clocks differ.
const AHEAD: SignedDuration = SignedDuration::from_hours(2);

/// The latest of these times that has come, and the latest that is still to come. A clock
/// that was wrong for one run must not make every later look find a fresh one.
fn last_believable(
    times: [Option<Timestamp>; 2],
    now: Timestamp,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let (come, to_come): (Vec<_>, Vec<_>) = times
        .into_iter()
        .flatten()
        .partition(|at| at.duration_since(now) <= AHEAD);
    (come.into_iter().max(), to_come.into_iter().max())
}

/// When the table was last submitted from. The receipt's time zone is not published: it is
/// taken as UTC, so in summer the figure may be an hour off.
fn submitted(summary: &TableSummary) -> Option<Timestamp> {
    let at: DateTime = summary.last_submission.as_ref()?.parse().ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn lines(place: &str, summary: &TableSummary, last_good: Option<Timestamp>) -> Vec<String> {
    let mut lines = vec![place.to_string()];
    if console::is_plain() {
        for (status, state, count) in &summary.counts {
            lines.push(format!(
                "rows with submission_status {status} and row_state {state}: {count}"
            ));
        }
    } else {
        lines.push(format!(
            "  {:<18} {:<12} {:>9}",
            "submission_status", "row_state", "rows"
        ));
        for (status, state, count) in &summary.counts {
            lines.push(format!("  {status:<18} {state:<12} {count:>9}"));
        }
    }
    if summary.counts.is_empty() {
        lines.push("  the table is empty".into());
    }
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    // One below the other, unless plain lines are asked for.
    let label = |words: &str| match console::is_plain() {
        true => format!("{words} "),
        false => format!("{words:<27}"),
    };
    lines.push(format!("eligible for the next run: {}", summary.eligible));
    lines.push(format!(
        "{}{}",
        label("oldest pending:"),
        or_none(&summary.oldest_pending)
    ));
    lines.push(format!(
        "{}{}",
        label("last submission:"),
        or_none(&summary.last_submission)
    ));
    lines.push(format!(
        "{}{}",
        label("last good run:"),
        or_none(&last_good.map(shown))
    ));
    lines.push(format!(
        "children with several rows: {}{}",
        summary.children_with_several_rows,
        if summary.children_with_several_rows > 0 {
            " (only the newest row of each is ever sent)"
        } else {
            ""
        }
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_still_to_come_does_not_count() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-24T09:00:00Z");
        let (old, soon) = (at("2026-11-20T09:00:00Z"), at("2026-11-24T10:00:00Z"));
        let far = at("2027-11-24T09:00:00Z");
        for (times, last, to_come) in [
            ([None, None], None, None),
            ([Some(old), Some(soon)], Some(soon), None),
            ([Some(far), Some(old)], Some(old), Some(far)),
            ([Some(far), None], None, Some(far)),
        ] {
            assert_eq!(last_believable(times, now), (last, to_come));
        }
    }

    #[test]
    fn the_last_submission_is_taken_as_utc() {
        let of = |at: Option<&str>| {
            submitted(&TableSummary {
                last_submission: at.map(str::to_string),
                ..TableSummary::default()
            })
            .map(|at| at.to_string())
        };
        assert_eq!(
            of(Some("2026-11-24 09:00:00.5")).as_deref(),
            Some("2026-11-24T09:00:00.5Z")
        );
        assert_eq!(of(Some("some day")), None);
        assert_eq!(of(None), None);
    }
}
