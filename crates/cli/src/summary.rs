//! A run's summary, for a person and as JSON. It holds row ids, never a child's values.

use std::collections::BTreeMap;

use csc_sender_run::{Failure, Mode, Preview, Reason, RowList, RunReport};
use serde_json::{Value, json};

use crate::logging;

/// The summary as lines.
pub fn lines(report: &RunReport, place: &str, table: &str) -> Vec<String> {
    let verb = match report.mode {
        Mode::Testing => "tried (nothing left the authority)",
        Mode::Live => "sent",
    };
    let mut lines = vec![format!(
        "{}: {} {verb}, {} refused, {} left of {} eligible, in {:.1} s with {}",
        if report.ended_by.is_some() || report.interrupted {
            "Stopped"
        } else {
            "Done"
        },
        records(report.accepted),
        report.refused_count(),
        report.left(),
        report.eligible,
        report.took.as_secs_f64(),
        counted(report.posts, "post"),
    )];
    if report.eligible == 0 && report.ended_by.is_none() {
        lines.push("There was nothing to send.".into());
    }
    if report.unchanged > 0 {
        lines.push(format!(
            "  {} unchanged since they were acknowledged: marked sent without a post.",
            records(report.unchanged)
        ));
    }
    if report.purged > 0 {
        lines.push(format!(
            "  {} of them purges of deleted children.",
            report.purged
        ));
    }
    if report.resynced > 0 {
        lines.push(format!(
            "  {} children were purged first and sent anew (--resync).",
            report.resynced
        ));
    }
    if report.fell_back > 0 {
        lines.push(format!(
            "  {} went in another form after theirs was refused (a delta as the full record, a \
             full record with stubs as the plain one).",
            records(report.fell_back)
        ));
    }
    lines.extend(refused_lines(&report.refused));
    if report.refused_count() > 0 {
        lines.push(format!(
            "  Each of these rows says why in api_response ({place}); they go again with the next run."
        ));
    }
    if report.changed.count > 0 {
        lines.push(format!(
            "  {} changed while under way ({}): kept as they are now, they go with the next run.",
            records(report.changed.count),
            rows(&report.changed)
        ));
    }
    if report.may_leave_remains.count > 0 {
        lines.push(remains_line(&report.may_leave_remains));
    }
    if report.nothing_held.count > 0 {
        lines.push(format!(
            "  {} of deleted children of whom the receiver holds nothing ({}). A child who is back \
             with the same payload stays deleted in the staging SQL; to send it again: \
             UPDATE {table} SET row_state = 'New', submission_status = 'Pending' WHERE id = …",
            rows_word(report.nothing_held.count),
            rows(&report.nothing_held)
        ));
    }
    if report.unrecorded.count > 0 {
        lines.push(format!(
            "  {} accepted by the receiver but not recorded in the table ({}): the next run records \
             them first, from the journal.",
            records(report.unrecorded.count),
            rows(&report.unrecorded)
        ));
    }
    if report.caught_up.count > 0 {
        lines.push(format!(
            "  {} that an earlier run sent and could not record: recorded first ({}).",
            records(report.caught_up.count),
            rows(&report.caught_up)
        ));
    }
    if report.sent_again.count > 0 {
        lines.push(format!(
            "  {} sent again, since nobody knows whether they had arrived before ({}).",
            records(report.sent_again.count),
            rows(&report.sent_again)
        ));
    }
    for failure in report.failures.iter().take(10) {
        lines.push(format!("  failed post: {}", failure_words(failure)));
    }
    if report.failures.len() > 10 {
        lines.push(format!(
            "  and {} more failed posts (--json lists them)",
            report.failures.len() - 10
        ));
    }
    if report.interrupted && report.unrecorded.count > 0 {
        lines.push(
            "Interrupted: the batch under way was ended, and the database was not waited for any \
             longer; the rest goes with the next run."
                .into(),
        );
    } else if report.interrupted {
        lines.push(
            "Interrupted: the batch under way was ended and recorded; the rest goes with the next run."
                .into(),
        );
    }
    lines
}

/// The summary as one JSON object.
pub fn json(report: &RunReport, place: &str, endpoint: Option<&str>) -> Value {
    json!({
        "run_id": logging::run_id(),
        "mode": report.mode.word(),
        "table": place,
        "endpoint": endpoint,
        "eligible": report.eligible,
        "sent": if report.mode == Mode::Live { report.accepted } else { 0 },
        "tested": if report.mode == Mode::Testing { report.accepted } else { 0 },
        "refused": report.refused_count(),
        "refused_by_reason": reasons_json(&report.refused),
        "purged": report.purged,
        "unchanged": report.unchanged,
        "fell_back": report.fell_back,
        "resynced": report.resynced,
        "may_leave_remains": rows_json(&report.may_leave_remains),
        "nothing_held": rows_json(&report.nothing_held),
        "changed_meanwhile": rows_json(&report.changed),
        "unrecorded": rows_json(&report.unrecorded),
        "recorded_from_journal": rows_json(&report.caught_up),
        "sent_again": rows_json(&report.sent_again),
        "left": report.left(),
        "posts": report.posts,
        "seconds": (report.took.as_secs_f64() * 1000.0).round() / 1000.0,
        "failed_posts": report.failures.iter().map(|f| json!({
            "status": f.status, "request_id": f.request_id,
        })).collect::<Vec<_>>(),
        "interrupted": report.interrupted,
        "ended_by": report.ended_by.as_ref().map(message_json),
        "exit_code": report.exit().code(),
    })
}

/// A message as JSON.
pub fn message_json(message: &csc_message::Message) -> Value {
    json!({
        "code": format!("CSC{:04}", message.code()),
        "what": message.what(),
        "why": message.why(),
        "next": message.next(),
    })
}

/// What a dry run found, as lines.
pub fn preview_lines(preview: &Preview) -> Vec<String> {
    let mut lines = vec![format!(
        "Dry run: {} would go in {} ({} bytes). Nothing was sent, nothing was written.",
        records(preview.records),
        if preview.batches == 1 {
            "1 batch".to_string()
        } else {
            format!("{} batches", preview.batches)
        },
        preview.bytes
    )];
    if preview.deltas + preview.purges + preview.unchanged > 0 {
        lines.push(format!(
            "  {} deltas, {} purges of deleted children; {} unchanged rows need no post",
            preview.deltas, preview.purges, preview.unchanged
        ));
    }
    if preview.may_leave_remains.count > 0 {
        lines.push(remains_line(&preview.may_leave_remains));
    }
    lines.extend(refused_lines(&preview.refused));
    if let Some(shape) = &preview.first_shape {
        lines.push("The first record's shape, without its values:".into());
        lines.extend(shape.lines().map(|line| format!("  {line}")));
    }
    lines
}

/// What a dry run found, as JSON.
pub fn preview_json(preview: &Preview, place: &str, endpoint: Option<&str>) -> Value {
    json!({
        "dry_run": true,
        "table": place,
        "endpoint": endpoint,
        "records": preview.records,
        "deltas": preview.deltas,
        "purges": preview.purges,
        "unchanged": preview.unchanged,
        "may_leave_remains": rows_json(&preview.may_leave_remains),
        "batches": preview.batches,
        "bytes": preview.bytes,
        "refused_by_reason": reasons_json(&preview.refused),
        "first_shape": preview.first_shape,
    })
}

fn refused_lines(refused: &BTreeMap<Reason, RowList>) -> Vec<String> {
    refused
        .iter()
        .map(|(reason, found)| {
            format!(
                "  {} error: {} ({})",
                found.count,
                reason.words(),
                rows(found)
            )
        })
        .collect()
}

fn rows(found: &RowList) -> String {
    let ids: Vec<String> = found.examples.iter().map(i64::to_string).collect();
    let more = if found.count > found.examples.len() as u64 {
        ", …"
    } else {
        ""
    };
    let word = if found.count == 1 { "row" } else { "rows" };
    format!("{word} {}{more}", ids.join(", "))
}

fn rows_json(found: &RowList) -> Value {
    json!({ "count": found.count, "example_rows": found.examples })
}

fn reasons_json(refused: &BTreeMap<Reason, RowList>) -> Value {
    refused
        .iter()
        .map(|(reason, found)| {
            json!({ "reason": reason.words(), "count": found.count, "example_rows": found.examples })
        })
        .collect()
}

fn failure_words(failure: &Failure) -> String {
    let status = failure
        .status
        .map_or_else(|| "no answer".to_string(), |s| format!("status {s}"));
    match &failure.request_id {
        Some(id) => format!("{status}, request id {id}"),
        None => status,
    }
}

fn remains_line(found: &RowList) -> String {
    format!(
        "  {} of children who were sent before, by somebody else or before this program kept its \
         ledger ({}): what was removed since may have stayed at the receiver. \
         `send --resync` purges and sends them anew.",
        records(found.count),
        rows(found)
    )
}

fn rows_word(count: u64) -> String {
    counted(count, "row")
}

fn records(count: u64) -> String {
    counted(count, "record")
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
