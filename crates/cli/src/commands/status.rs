//! `status`: the table in figures, for people and for monitoring.

use std::time::Duration;

use csc_message::{Exit, Message};
use csc_staging::{TableSummary, connect};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Context, Outcome, block_on};
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
    let Some(target) = &settings.database else {
        return Ok(Exit::Done);
    };
    let store = connect(target, &settings.table)
        .await
        .map_err(|e| vec![e.into()])?;
    let summary = store.summary().await.map_err(|e| vec![e.into()])?;
    let age = age(&summary, Timestamp::now());
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
                "last_submission_age_seconds": age.map(|age| age.as_secs()),
                "children_with_several_rows": summary.children_with_several_rows,
                "too_old": too_old,
            })
        ));
    } else {
        for line in lines(&store.place(), &summary) {
            console::result(&line);
        }
    }
    if let (true, Some(limit)) = (too_old, args.max_age) {
        return Err(vec![Message::new(
            101,
            match &summary.last_submission {
                Some(at) => format!("The last good run is too old: {at}"),
                None => "There was no good run yet".to_string(),
            },
            format!("--max-age allows {} hours", limit.as_secs() / 3600),
            "look at the last run's log, then run `csc-sender send`",
        )]);
    }
    Ok(Exit::Done)
}

/// How long ago the last submission was. The receipt's time zone is not published: it is
/// taken as UTC, so in summer the figure may be an hour off.
fn age(summary: &TableSummary, now: Timestamp) -> Option<Duration> {
    let at: DateTime = summary.last_submission.as_ref()?.parse().ok()?;
    let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let age: SignedDuration = now.duration_since(at);
    Some(Duration::try_from(age).unwrap_or_default())
}

fn lines(place: &str, summary: &TableSummary) -> Vec<String> {
    let mut lines = vec![place.to_string()];
    lines.push(format!(
        "  {:<18} {:<12} {:>9}",
        "submission_status", "row_state", "rows"
    ));
    for (status, state, count) in &summary.counts {
        lines.push(format!("  {status:<18} {state:<12} {count:>9}"));
    }
    if summary.counts.is_empty() {
        lines.push("  the table is empty".into());
    }
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    lines.push(format!("eligible for the next run: {}", summary.eligible));
    lines.push(format!(
        "oldest pending:            {}",
        or_none(&summary.oldest_pending)
    ));
    lines.push(format!(
        "last submission:           {}",
        or_none(&summary.last_submission)
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
    fn an_age_is_counted_from_the_last_submission() {
        let now: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let of = |at: Option<&str>| {
            age(
                &TableSummary {
                    last_submission: at.map(str::to_string),
                    ..TableSummary::default()
                },
                now,
            )
            .map(|age| age.as_secs())
        };
        assert_eq!(of(Some("2026-11-24 09:00:00")), Some(3600));
        assert_eq!(
            of(Some("2026-11-24 10:30:00")),
            Some(0),
            "a clock that is ahead is no age"
        );
        assert_eq!(of(None), None);
    }
}
