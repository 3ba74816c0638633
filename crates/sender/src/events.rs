//! What left, when, to where, and what came back: the events of live runs, in the
//! journal's file.
//!
//! Each event is on the disk before the next step relies on it, in this order: the run
//! has begun; a batch is about to be posted (row ids and hashes of what is sent, no
//! payload); its receipts are here; they are in the table. The last of these is written
//! together with whatever comes next: where it is lost, the receipts are written into the
//! table once more at the next start, which touches only rows that still are as they were
//! sent.

use data_encoding::HEXLOWER;
use jiff::{Span, Timestamp};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::Serialize;

use crate::Refusal;
use crate::departures::{self, Leaving};
use crate::figures::Post;
use crate::run_record::{self, RunCounts, Setting, millis};

/// Tables of the events, in the file that also holds the ledger.
pub(crate) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS run (
         run_id   TEXT NOT NULL PRIMARY KEY,
         begun_at TEXT NOT NULL,
         ended_at TEXT,
         ending   TEXT,
         user     TEXT NOT NULL,
         host     TEXT NOT NULL,
         process  INTEGER NOT NULL,
         program  TEXT NOT NULL,
         payloads TEXT NOT NULL,
         place    TEXT NOT NULL,
         endpoint TEXT NOT NULL,
         la_code  TEXT NOT NULL
     );
     CREATE TABLE IF NOT EXISTS batch (
         batch_id    INTEGER PRIMARY KEY AUTOINCREMENT,
         run_id      TEXT NOT NULL,
         departed_at TEXT NOT NULL,
         records     INTEGER NOT NULL,
         posts       INTEGER NOT NULL DEFAULT 1,
         answered_at TEXT,
         answer      TEXT,
         words       TEXT,
         status      INTEGER,
         request_id  TEXT,
         recorded_at TEXT,
         recorded_by TEXT
     );
     CREATE INDEX IF NOT EXISTS ix_batch_run ON batch (run_id);
     CREATE INDEX IF NOT EXISTS ix_batch_unrecorded ON batch (answer)
         WHERE answer = 'accepted' AND recorded_at IS NULL";

/// Who runs the program, and with which settings, as the journal names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The account.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The program with its version.
    pub program: String,
    /// The settings in force, without secrets.
    pub settings: Vec<Setting>,
}

/// A run, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunEntry {
    /// The run's id, as it stands in the log.
    pub run_id: String,
    /// When it began, UTC.
    pub begun_at: String,
    /// When it ended; `None` where it is under way, or the program was ended by force.
    pub ended_at: Option<String>,
    /// How it ended.
    pub ending: Option<String>,
    /// The account that ran it.
    pub user: String,
    /// The machine that it ran on.
    pub host: String,
    /// The process's number.
    pub process: i64,
    /// The program with its version.
    pub program: String,
    /// Whole records or deltas.
    pub payloads: String,
    /// Database and table.
    pub place: String,
    /// Where to.
    pub endpoint: String,
    /// The authority.
    pub la_code: String,
}

/// A batch, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BatchEntry {
    /// Its number in the journal.
    pub batch_id: i64,
    /// When it was about to be posted, UTC.
    pub departed_at: String,
    /// How many records.
    pub records: i64,
    /// How often it was posted; more than once only where an answer was missing.
    pub posts: i64,
    /// When the answer was here.
    pub answered_at: Option<String>,
    /// `accepted`, `refused`, `unknown`; `None` where the program ended before.
    pub answer: Option<String>,
    /// What it was refused for, in our words.
    pub words: Option<String>,
    /// The HTTP status.
    pub status: Option<i64>,
    /// The receiver's id of the request.
    pub request_id: Option<String>,
    /// When the table had it.
    pub recorded_at: Option<String>,
    /// The run that wrote it into the table, where it was a later one.
    pub recorded_by: Option<String>,
}

/// A row that left, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowEntry {
    /// The row's id in the table; `None` for the test record, which is in no table.
    pub row_id: Option<i64>,
    /// `full`, `delta` or `purge`.
    pub kind: String,
    /// SHA-256 of the text that was sent, in hexadecimal.
    pub sha256: String,
    /// Whether it was sent before, and nobody knows whether it arrived.
    pub again: bool,
    /// The receipt's uuid.
    pub receipt: Option<String>,
    /// The receipt's time.
    pub receipt_at: Option<String>,
}

/// Takes what the journal has, in the order of time: a run, its batches, each one's rows.
pub trait Reader {
    /// A run.
    fn run(&mut self, run: &RunEntry) -> std::io::Result<()>;
    /// A batch of the run before.
    fn batch(&mut self, run: &RunEntry, batch: &BatchEntry) -> std::io::Result<()>;
    /// A row of the batch before.
    fn row(&mut self, run: &RunEntry, batch: &BatchEntry, row: &RowEntry) -> std::io::Result<()>;
}

/// What is asked of the journal.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Runs that began then or later.
    pub since: Option<Timestamp>,
    /// Batches with that row alone, and of them that row.
    pub row: Option<i64>,
}

/// Why the journal could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// The file.
    #[error(transparent)]
    Journal(#[from] rusqlite::Error),
    /// Whoever takes it.
    #[error(transparent)]
    Reader(#[from] std::io::Error),
}

/// What came of a post.
pub(crate) struct Answered<'a> {
    pub(crate) answer: &'static str,
    pub(crate) words: &'a str,
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<&'a str>,
    /// Its size and how long the answer took; `None` where nothing was posted.
    pub(crate) post: Option<Post>,
}

/// How a run ended.
pub(crate) struct Ended<'a> {
    /// In words.
    pub(crate) ending: &'a str,
    /// In numbers.
    pub(crate) counts: &'a RunCounts,
    /// What was refused, and why.
    pub(crate) refusals: &'a [Refusal],
}

pub(crate) const ACCEPTED: &str = "accepted";
pub(crate) const REFUSED: &str = "refused";
/// Why a batch is called refused that never left.
pub(crate) const NOT_POSTED: &str = "not posted";
pub(crate) const UNKNOWN: &str = "unknown";

/// UTC, to the millisecond: in the order of their text too.
pub(crate) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn now() -> String {
    stamp(Timestamp::now())
}

pub(crate) fn begin_run(
    connection: &mut Connection,
    run: &RunEntry,
    settings: &[Setting],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute(
        "INSERT INTO run VALUES (?1, ?2, NULL, NULL, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        (
            &run.run_id,
            &run.begun_at,
            &run.user,
            &run.host,
            run.process,
            &run.program,
            &run.payloads,
            &run.place,
            &run.endpoint,
            &run.la_code,
        ),
    )?;
    run_record::begin(&transaction, &run.run_id, settings)?;
    transaction.commit()
}

pub(crate) fn end_run(
    connection: &mut Connection,
    run_id: &str,
    ended: &Ended<'_>,
    recorded: &[i64],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    note_recorded(&transaction, run_id, recorded)?;
    transaction.execute(
        "UPDATE run SET ended_at = ?2, ending = ?3 WHERE run_id = ?1",
        (run_id, now(), ended.ending),
    )?;
    run_record::end(&transaction, run_id, ended.counts, ended.refusals)?;
    transaction.commit()
}

/// Writes down what is about to be posted; gives the batch's number.
pub(crate) fn depart(
    transaction: &Transaction<'_>,
    run_id: &str,
    leaving: &[Leaving<'_>],
) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("INSERT INTO batch (run_id, departed_at, records) VALUES (?1, ?2, ?3)")?
        .execute((
            run_id,
            now(),
            i64::try_from(leaving.len()).unwrap_or(i64::MAX),
        ))?;
    let batch = transaction.last_insert_rowid();
    departures::write(transaction, batch, leaving)?;
    Ok(batch)
}

/// A batch is about to be posted once more, since its answer was missing.
pub(crate) fn post_again(connection: &Connection, batch: i64) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE batch SET posts = posts + 1 WHERE batch_id = ?1",
            [batch],
        )
        .map(|_| ())
}

/// Writes down what came of a batch.
pub(crate) fn answer(
    connection: &Connection,
    batch: i64,
    answered: &Answered<'_>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE batch SET answered_at = ?2, answer = ?3, words = nullif(?4, ''), status = ?5,
                 request_id = ?6, bytes = ?7, took_ms = ?8 WHERE batch_id = ?1",
        )?
        .execute((
            batch,
            now(),
            answered.answer,
            answered.words,
            answered.status,
            answered.request_id,
            answered.post.map(|post| run_record::whole(post.bytes)),
            answered.post.map(|post| millis(post.took)),
        ))
        .map(|_| ())
}

/// Writes down that the table has what came of these batches.
pub(crate) fn note_recorded(
    connection: &Connection,
    run_id: &str,
    batches: &[i64],
) -> rusqlite::Result<()> {
    let mut write = connection.prepare_cached(
        "UPDATE batch SET recorded_at = ?2, recorded_by = CASE WHEN run_id <> ?3 THEN ?3 END
         WHERE batch_id = ?1",
    )?;
    let at = now();
    for batch in batches {
        write.execute((batch, &at, run_id))?;
    }
    Ok(())
}

/// A batch whose receipts may not be in its table.
pub(crate) struct UnrecordedBatch {
    pub(crate) number: i64,
    /// Whether its place is called as this run's.
    pub(crate) is_from_here: bool,
}

/// The batches to this endpoint whose receipts may not be in the table. Those from a place
/// of another name are among them: the same table may be called otherwise now.
pub(crate) fn unrecorded_batches(
    connection: &Connection,
    place: &str,
    endpoint: &str,
    la_code: &str,
) -> rusqlite::Result<Vec<UnrecordedBatch>> {
    connection
        .prepare_cached(
            "SELECT b.batch_id, r.place = ?1 FROM batch AS b JOIN run AS r ON r.run_id = b.run_id
             WHERE b.answer = 'accepted' AND b.recorded_at IS NULL
               AND r.endpoint = ?2 AND r.la_code = ?3
             ORDER BY b.batch_id",
        )?
        .query_map((place, endpoint, la_code), |row| {
            Ok(UnrecordedBatch {
                number: row.get(0)?,
                is_from_here: row.get(1)?,
            })
        })?
        .collect()
}

/// The runs from this place that have begun and not ended, the newest first.
pub(crate) fn open_runs(connection: &Connection, place: &str) -> rusqlite::Result<Vec<RunEntry>> {
    connection
        .prepare_cached(&format!(
            "SELECT {RUN} FROM run WHERE place = ?1 AND ended_at IS NULL ORDER BY rowid DESC LIMIT 3"
        ))?
        .query_map([place], run_entry)?
        .collect()
}

/// Removes the events of runs that began more than so many days ago, but none of a batch
/// whose receipts may not be in the table yet. Counted from the last run, where that is
/// earlier than the clock says.
pub(crate) fn prune(connection: &mut Connection, keep_days: u32) -> rusqlite::Result<usize> {
    let last: Option<String> = connection
        .query_row(
            "SELECT begun_at FROM run ORDER BY rowid DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let last = last.and_then(|at| at.parse::<Timestamp>().ok());
    let now = Timestamp::now();
    let oldest = last
        .map_or(now, |last| last.min(now))
        .checked_sub(Span::new().hours(i64::from(keep_days) * 24))
        .unwrap_or(Timestamp::MIN);
    let oldest = stamp(oldest);
    let old = "SELECT r.run_id FROM run AS r WHERE r.begun_at < ?1 AND NOT EXISTS (
                   SELECT 1 FROM batch AS b WHERE b.run_id = r.run_id
                     AND b.answer = 'accepted' AND b.recorded_at IS NULL)";
    let transaction = connection.transaction()?;
    let batches = format!("SELECT batch_id FROM batch WHERE run_id IN ({old})");
    departures::prune(&transaction, &batches, &oldest)?;
    // The runs go last: they say which batches are old.
    let kept = format!("CREATE TEMP TABLE old_run AS {old}");
    transaction.execute(&kept, [&oldest])?;
    transaction.execute(
        "DELETE FROM batch WHERE run_id IN (SELECT run_id FROM old_run)",
        [],
    )?;
    let pruned = transaction.execute(
        "DELETE FROM run WHERE run_id IN (SELECT run_id FROM old_run)",
        [],
    )?;
    transaction.execute("DROP TABLE old_run", [])?;
    run_record::prune(&transaction)?;
    transaction.commit()?;
    Ok(pruned)
}

pub(crate) const RUN: &str = "run_id, begun_at, ended_at, ending, user, host, process, program, payloads, \
                   place, endpoint, la_code";

pub(crate) fn run_entry(row: &Row<'_>) -> rusqlite::Result<RunEntry> {
    Ok(RunEntry {
        run_id: row.get(0)?,
        begun_at: row.get(1)?,
        ended_at: row.get(2)?,
        ending: row.get(3)?,
        user: row.get(4)?,
        host: row.get(5)?,
        process: row.get(6)?,
        program: row.get(7)?,
        payloads: row.get(8)?,
        place: row.get(9)?,
        endpoint: row.get(10)?,
        la_code: row.get(11)?,
    })
}

fn batch_entry(row: &Row<'_>) -> rusqlite::Result<BatchEntry> {
    Ok(BatchEntry {
        batch_id: row.get(0)?,
        departed_at: row.get(1)?,
        records: row.get(2)?,
        posts: row.get(3)?,
        answered_at: row.get(4)?,
        answer: row.get(5)?,
        words: row.get(6)?,
        status: row.get(7)?,
        request_id: row.get(8)?,
        recorded_at: row.get(9)?,
        recorded_by: row.get(10)?,
    })
}

fn row_entry(row: &Row<'_>) -> rusqlite::Result<RowEntry> {
    let sha256 = match row.get_ref(2)? {
        // As it was kept before.
        ValueRef::Blob(bytes) => HEXLOWER.encode(bytes),
        hex => hex.as_str()?.to_string(),
    };
    Ok(RowEntry {
        row_id: row.get(0)?,
        kind: row.get(1)?,
        sha256,
        again: row.get(3)?,
        receipt: row.get(4)?,
        receipt_at: row.get(5)?,
    })
}

/// Tells what is asked, row by row: nothing is gathered.
pub(crate) fn read(
    connection: &Connection,
    asked: &Asked,
    reader: &mut dyn Reader,
) -> Result<(), ReadFault> {
    let since = asked.since.map(stamp).unwrap_or_default();
    let of_row = departures::batches_of_row(connection)?;
    let mut runs = connection.prepare(&format!(
        "SELECT {RUN} FROM run WHERE begun_at >= ?1
           AND (?2 IS NULL OR run_id IN (
                SELECT run_id FROM batch WHERE batch_id IN ({of_row})))
         ORDER BY rowid"
    ))?;
    let mut batches = connection.prepare(&format!(
        "SELECT batch_id, departed_at, records, posts, answered_at, answer, words, status,
                request_id, recorded_at, recorded_by FROM batch
         WHERE run_id = ?1
           AND (?2 IS NULL OR batch_id IN ({of_row}))
         ORDER BY batch_id",
    ))?;
    let mut rows = connection.prepare(
        "SELECT row_id, kind, sha256, again, receipt, receipt_at FROM departure
         WHERE batch_id = ?1 AND (?2 IS NULL OR row_id = ?2) ORDER BY position",
    )?;
    let mut found = runs.query((&since, asked.row))?;
    while let Some(run) = found.next()? {
        let run = run_entry(run)?;
        reader.run(&run)?;
        let mut found = batches.query((&run.run_id, asked.row))?;
        while let Some(batch) = found.next()? {
            let batch = batch_entry(batch)?;
            reader.batch(&run, &batch)?;
            let mut found = rows.query((batch.batch_id, asked.row))?;
            while let Some(row) = found.next()? {
                reader.row(&run, &batch, &row_entry(row)?)?;
            }
        }
    }
    Ok(())
}
