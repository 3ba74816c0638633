//! What the journal keeps of a run for its report: figures, refusals, the settings in
//! force. It holds nothing of a child but row ids.

use std::time::Duration;

use csc_message::Message;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};

use crate::departures;
use crate::events::{ACCEPTED, NOT_POSTED, RUN, RunEntry, run_entry};
use crate::figures::{Figures, Post};
use crate::{Failure, Refusal, RunReport};

pub(crate) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS run_report (
         run_id      TEXT NOT NULL PRIMARY KEY,
         settings    TEXT NOT NULL,
         exit_code   INTEGER,
         eligible    INTEGER,
         accepted    INTEGER,
         unchanged   INTEGER,
         purged      INTEGER,
         refused     INTEGER,
         changed     INTEGER,
         not_reached INTEGER,
         posts       INTEGER,
         took_ms     INTEGER,
         ended_by    TEXT
     ) WITHOUT ROWID;
     CREATE TABLE IF NOT EXISTS refusal (
         run_id    TEXT NOT NULL,
         position  INTEGER NOT NULL,
         reason    TEXT NOT NULL,
         rule      TEXT,
         item      TEXT,
         path      TEXT NOT NULL,
         message   TEXT NOT NULL,
         advice    TEXT NOT NULL,
         row_count INTEGER NOT NULL,
         row_ids   TEXT NOT NULL,
         PRIMARY KEY (run_id, position)
     ) WITHOUT ROWID";

/// Columns of `batch` that journals of earlier versions do not have.
const BATCH_COLUMNS: [&str; 2] = ["bytes", "took_ms"];

/// Brings a journal of an earlier version up to date.
pub(crate) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    for column in BATCH_COLUMNS {
        if !has_column(connection, "batch", column)? {
            connection.execute_batch(&format!("ALTER TABLE batch ADD COLUMN {column} INTEGER"))?;
        }
    }
    Ok(())
}

/// Whether a table is there, and has a column.
pub(crate) fn has_column(
    connection: &Connection,
    table: &str,
    column: &str,
) -> rusqlite::Result<bool> {
    connection
        .query_row(
            "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2",
            (table, column),
            |_| Ok(()),
        )
        .optional()
        .map(|found| found.is_some())
}

/// A setting in force, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value; of a secret, only whether it is set.
    pub value: String,
    /// Where it came from.
    pub source: String,
}

/// What ended a run before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBy {
    /// `CSC` and four digits.
    pub code: String,
    /// What failed.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do next.
    pub next: String,
}

impl From<&Message> for EndedBy {
    fn from(message: &Message) -> Self {
        EndedBy {
            code: format!("CSC{:04}", message.code()),
            what: message.what().to_string(),
            why: message.why().to_string(),
            next: message.next().to_string(),
        }
    }
}

/// A run's counts at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// The exit code.
    pub exit_code: u8,
    /// Rows that were eligible at the start.
    pub eligible: u64,
    /// Rows that the receiver accepted, and the table has as such.
    pub accepted: u64,
    /// Rows that needed no post, since the receiver holds just that.
    pub unchanged: u64,
    /// Of the accepted ones, purges of deleted children.
    pub purged: u64,
    /// Rows that became `error`.
    pub refused: u64,
    /// Rows that changed while they were under way.
    pub changed: u64,
    /// Rows that were not reached.
    pub not_reached: u64,
    /// Posts, retries counted in.
    pub posts: u64,
    /// From the first look at the table to the end.
    pub took: Duration,
    /// What ended it before its time.
    pub ended_by: Option<EndedBy>,
}

impl From<&RunReport> for RunCounts {
    fn from(report: &RunReport) -> Self {
        RunCounts {
            exit_code: report.exit().code(),
            eligible: report.eligible,
            accepted: report.accepted,
            unchanged: report.unchanged,
            purged: report.purged,
            refused: report.refused_count(),
            changed: report.changed.count,
            not_reached: report.left(),
            posts: report.posts,
            took: report.took,
            ended_by: report.ended_by.as_ref().map(EndedBy::from),
        }
    }
}

/// A run as its report tells it.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Who, when, from where, to where.
    pub run: RunEntry,
    /// Its counts; `None` where it has not ended, was ended by force, or was a run of a
    /// version that kept none.
    pub counts: Option<RunCounts>,
    /// Rows with a receipt, whatever else is known.
    pub receipts: u64,
    /// Sizes and latencies.
    pub figures: Figures,
    /// The posts that failed: the first hundred.
    pub failures: Vec<Failure>,
    /// Refusals by rule.
    pub refusals: Vec<Refusal>,
    /// The settings that were in force.
    pub settings: Vec<Setting>,
}

/// A run among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunBrief {
    /// Its id.
    pub run_id: String,
    /// When it began, UTC.
    pub begun_at: String,
    /// How it ended, in words; `None` where it has not, or was ended by force.
    pub ending: Option<String>,
    /// Rows with a receipt.
    pub accepted: u64,
    /// Rows that became `error`; `None` where the journal does not know.
    pub refused: Option<u64>,
    /// The exit code, where the journal knows it.
    pub exit_code: Option<u8>,
}

/// Writes down with which settings a run begins.
pub(crate) fn begin(
    connection: &Connection,
    run_id: &str,
    settings: &[Setting],
) -> rusqlite::Result<()> {
    connection
        .execute(
            "INSERT INTO run_report (run_id, settings) VALUES (?1, ?2)",
            (run_id, to_json(settings)),
        )
        .map(|_| ())
}

/// Writes down a run's counts and refusals.
pub(crate) fn end(
    transaction: &Transaction<'_>,
    run_id: &str,
    counts: &RunCounts,
    refusals: &[Refusal],
) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE run_report SET exit_code = ?2, eligible = ?3, accepted = ?4, unchanged = ?5,
             purged = ?6, refused = ?7, changed = ?8, not_reached = ?9, posts = ?10, took_ms = ?11,
             ended_by = ?12 WHERE run_id = ?1",
        (
            run_id,
            counts.exit_code,
            whole(counts.eligible),
            whole(counts.accepted),
            whole(counts.unchanged),
            whole(counts.purged),
            whole(counts.refused),
            whole(counts.changed),
            whole(counts.not_reached),
            whole(counts.posts),
            millis(counts.took),
            counts.ended_by.as_ref().map(to_json),
        ),
    )?;
    let mut write = transaction
        .prepare("INSERT INTO refusal VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    for (position, refusal) in (0i64..).zip(refusals) {
        write.execute((
            run_id,
            position,
            &refusal.reason,
            &refusal.rule,
            &refusal.item,
            &refusal.path,
            &refusal.message,
            &refusal.advice,
            whole(refusal.rows),
            to_json(&refusal.row_ids),
        ))?;
    }
    Ok(())
}

/// Removes what is kept of runs that are no longer in the journal.
pub(crate) fn prune(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in ["run_report", "refusal"] {
        transaction.execute(
            &format!("DELETE FROM {table} WHERE run_id NOT IN (SELECT run_id FROM run)"),
            [],
        )?;
    }
    Ok(())
}

/// One run: that of the id, or the newest one.
pub(crate) fn read(
    connection: &Connection,
    run_id: Option<&str>,
) -> rusqlite::Result<Option<RunRecord>> {
    let run = connection
        .query_row(
            &format!(
                "SELECT {RUN} FROM run WHERE ?1 IS NULL OR run_id = ?1 ORDER BY rowid DESC LIMIT 1"
            ),
            [run_id],
            run_entry,
        )
        .optional()?;
    let Some(run) = run else { return Ok(None) };
    let receipts = departures::count_receipts(connection, &run.run_id)?;
    let mut record = RunRecord {
        counts: None,
        receipts,
        figures: Figures::default(),
        failures: failures(connection, &run.run_id)?,
        refusals: Vec::new(),
        settings: Vec::new(),
        run,
    };
    // A journal that is only read may be of an earlier version.
    if has_column(connection, "batch", "bytes")? {
        record.figures = figures(connection, &record.run.run_id)?;
    }
    if has_column(connection, "run_report", "run_id")? {
        read_report(connection, &mut record)?;
    }
    Ok(Some(record))
}

fn read_report(connection: &Connection, record: &mut RunRecord) -> rusqlite::Result<()> {
    let id = &record.run.run_id;
    let found = connection
        .query_row(
            "SELECT settings, exit_code, eligible, accepted, unchanged, purged, refused, changed,
                    not_reached, posts, took_ms, ended_by FROM run_report WHERE run_id = ?1",
            [id],
            |row| Ok((row.get::<_, String>(0)?, counts(row)?)),
        )
        .optional()?;
    if let Some((settings, counts)) = found {
        record.settings = from_json(&settings).unwrap_or_default();
        record.counts = counts;
    }
    record.refusals = connection
        .prepare(
            "SELECT reason, rule, item, path, message, advice, row_count, row_ids FROM refusal
             WHERE run_id = ?1 ORDER BY position",
        )?
        .query_map([id], |row| {
            Ok(Refusal {
                reason: row.get(0)?,
                rule: row.get(1)?,
                item: row.get(2)?,
                path: row.get(3)?,
                message: row.get(4)?,
                advice: row.get(5)?,
                rows: row.get::<_, i64>(6)?.unsigned_abs(),
                row_ids: from_json(&row.get::<_, String>(7)?).unwrap_or_default(),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(())
}

fn counts(row: &Row<'_>) -> rusqlite::Result<Option<RunCounts>> {
    let Some(exit_code) = row.get::<_, Option<u8>>(1)? else {
        return Ok(None);
    };
    let number = |column| {
        row.get::<_, Option<i64>>(column)
            .map(|n| n.unwrap_or(0).unsigned_abs())
    };
    let ended_by: Option<String> = row.get(11)?;
    Ok(Some(RunCounts {
        exit_code,
        eligible: number(2)?,
        accepted: number(3)?,
        unchanged: number(4)?,
        purged: number(5)?,
        refused: number(6)?,
        changed: number(7)?,
        not_reached: number(8)?,
        posts: number(9)?,
        took: Duration::from_millis(number(10)?),
        ended_by: ended_by.and_then(|text| from_json(&text)),
    }))
}

fn figures(connection: &Connection, run_id: &str) -> rusqlite::Result<Figures> {
    let mut figures = Figures::default();
    let mut statement = connection.prepare(
        "SELECT bytes, took_ms, answer FROM batch WHERE run_id = ?1 AND bytes IS NOT NULL
           AND took_ms IS NOT NULL ORDER BY batch_id",
    )?;
    let mut rows = statement.query([run_id])?;
    while let Some(row) = rows.next()? {
        figures.add(&Post {
            bytes: row.get::<_, i64>(0)?.unsigned_abs(),
            took: Duration::from_millis(row.get::<_, i64>(1)?.unsigned_abs()),
            accepted: row.get::<_, Option<String>>(2)?.as_deref() == Some(ACCEPTED),
        });
    }
    Ok(figures)
}

fn failures(connection: &Connection, run_id: &str) -> rusqlite::Result<Vec<Failure>> {
    connection
        .prepare(
            "SELECT status, request_id FROM batch WHERE run_id = ?1 AND answer <> ?2
               AND words IS NOT ?3 ORDER BY batch_id LIMIT 100",
        )?
        .query_map((run_id, ACCEPTED, NOT_POSTED), |row| {
            Ok(Failure {
                status: row.get(0)?,
                request_id: row.get(1)?,
            })
        })?
        .collect()
}

/// The runs from the same place to the same endpoint, the oldest first.
pub(crate) fn history(connection: &Connection, run: &RunEntry) -> rusqlite::Result<Vec<RunBrief>> {
    let (columns, join) = if has_column(connection, "run_report", "run_id")? {
        (
            "o.accepted, o.refused, o.exit_code",
            "LEFT JOIN run_report AS o ON o.run_id = r.run_id",
        )
    } else {
        ("NULL, NULL, NULL", "")
    };
    let mut briefs: Vec<RunBrief> = connection
        .prepare(&format!(
            "SELECT r.run_id, r.begun_at, r.ending, {columns} FROM run AS r {join}
             WHERE r.place = ?1 AND r.endpoint = ?2 AND r.la_code = ?3
             ORDER BY r.rowid DESC LIMIT {RUNS}"
        ))?
        .query_map((&run.place, &run.endpoint, &run.la_code), |row| {
            let run_id: String = row.get(0)?;
            let accepted = match row.get::<_, Option<i64>>(3)? {
                Some(accepted) => accepted.unsigned_abs(),
                None => departures::count_receipts(connection, &run_id)?,
            };
            Ok(RunBrief {
                run_id,
                begun_at: row.get(1)?,
                ending: row.get(2)?,
                accepted,
                refused: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
                exit_code: row.get(5)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    briefs.reverse();
    Ok(briefs)
}

/// The most runs that a report looks back on: more than a year of nights.
const RUNS: u32 = 500;

pub(crate) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn millis(took: Duration) -> i64 {
    i64::try_from(took.as_millis()).unwrap_or(i64::MAX)
}

/// Texts and numbers: they always can be written.
fn to_json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn from_json<T: for<'a> Deserialize<'a>>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}
