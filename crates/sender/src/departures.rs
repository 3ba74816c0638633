//! Which rows left in each batch, and their receipts: two documents a batch, each written
//! once. A row of a table for every record would be written twice, and found its way into
//! an index besides.
//!
//! The view `departure` shows them record by record, to whoever looks into the file.

use csc_digest::sha256;
use csc_staging::RowKey;
use data_encoding::HEXLOWER;
use jiff::civil::DateTime;
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::plan::FormKind;

/// Of each record in `departed`: row_id, row_state, row_sha256, kind, sha256, again. There
/// sha256 is null where it is the row's, as it is of most records. Of each one in `receipts`,
/// in the same order: the receipt's uuid and time.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS batch_rows (
         batch_id  INTEGER PRIMARY KEY,
         first_row INTEGER,
         last_row  INTEGER,
         departed  TEXT NOT NULL
     );
     CREATE INDEX IF NOT EXISTS ix_batch_rows ON batch_rows (first_row, last_row);
     CREATE TABLE IF NOT EXISTS batch_receipts (
         batch_id INTEGER PRIMARY KEY,
         receipts TEXT NOT NULL
     )";

/// What is read of both. A document that was damaged is one of no records. Its text is held
/// against the one that a journal has, which SQLite keeps as it is from the name on.
const VIEW: &str = "CREATE VIEW departure AS
         SELECT b.batch_id AS batch_id, r.key AS position,
                r.value ->> 0 AS row_id, r.value ->> 1 AS row_state, r.value ->> 2 AS row_sha256,
                r.value ->> 3 AS kind, coalesce(r.value ->> 4, r.value ->> 2) AS sha256,
                r.value ->> 5 AS again,
                CASE WHEN json_valid(c.receipts)
                     THEN c.receipts ->> ('$[' || r.key || '][0]') END AS receipt,
                CASE WHEN json_valid(c.receipts)
                     THEN c.receipts ->> ('$[' || r.key || '][1]') END AS receipt_at
         FROM batch_rows AS b
         JOIN json_each(CASE WHEN json_valid(b.departed) THEN b.departed ELSE '[]' END) AS r
         LEFT JOIN batch_receipts AS c ON c.batch_id = b.batch_id";

/// A journal as it was kept before: `departure` was a table.
const FROM_ROWS: &str = "INSERT INTO batch_rows
         SELECT batch_id, min(row_id), max(row_id),
                json_group_array(json_array(row_id, row_state, lower(hex(row_sha256)), kind,
                    lower(hex(sha256)), again) ORDER BY position)
         FROM departure_rows GROUP BY batch_id;
     INSERT INTO batch_receipts
         SELECT batch_id, json_group_array(json_array(receipt, receipt_at) ORDER BY position)
         FROM departure_rows GROUP BY batch_id HAVING count(receipt) > 0;
     DROP TABLE departure_rows";

/// Makes the tables, or brings those of an earlier version to this one's.
pub(crate) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let of_rows = are_rows(connection)?;
    if of_rows {
        connection.execute_batch("ALTER TABLE departure RENAME TO departure_rows")?;
    }
    connection.execute_batch(SCHEMA)?;
    let view: Option<String> = connection
        .query_row(
            "SELECT sql FROM sqlite_master WHERE name = 'departure' AND type = 'view'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    if view.as_deref() != Some(VIEW) {
        connection.execute_batch("DROP VIEW IF EXISTS departure")?;
        connection.execute_batch(VIEW)?;
    }
    if of_rows {
        connection.execute_batch(FROM_ROWS)?;
    }
    Ok(())
}

/// Whether this is such a journal still: one that may only be read is not changed.
fn are_rows(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .query_row(
            "SELECT 1 FROM sqlite_master WHERE name = 'departure' AND type = 'table'",
            [],
            |_| Ok(()),
        )
        .optional()
        .map(|found| found.is_some())
}

/// The query for the batches in which the row `?2` left.
pub(crate) fn batches_of_row(connection: &Connection) -> rusqlite::Result<&'static str> {
    Ok(if are_rows(connection)? {
        "SELECT batch_id FROM departure WHERE row_id = ?2"
    } else {
        "SELECT b.batch_id FROM batch_rows AS b WHERE b.first_row <= ?2 AND b.last_row >= ?2
           AND EXISTS (SELECT 1 FROM departure AS d WHERE d.batch_id = b.batch_id AND d.row_id = ?2)"
    })
}

/// How many records of a run have their receipt.
pub(crate) fn count_receipts(connection: &Connection, run_id: &str) -> rusqlite::Result<u64> {
    let sql = if are_rows(connection)? {
        "SELECT count(d.receipt) FROM departure AS d JOIN batch AS b ON b.batch_id = d.batch_id
         WHERE b.run_id = ?1"
    } else {
        "SELECT coalesce(sum(json_array_length(c.receipts)), 0)
         FROM batch_receipts AS c JOIN batch AS b ON b.batch_id = c.batch_id
         WHERE b.run_id = ?1 AND json_valid(c.receipts)"
    };
    connection
        .prepare_cached(sql)?
        .query_row([run_id], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Removes what is kept of the batches that a query names.
pub(crate) fn prune(
    transaction: &Transaction<'_>,
    batches: &str,
    oldest: &str,
) -> rusqlite::Result<()> {
    for table in ["batch_rows", "batch_receipts"] {
        let sql = format!("DELETE FROM {table} WHERE batch_id IN ({batches})");
        transaction.execute(&sql, [oldest])?;
    }
    Ok(())
}

/// A record about to be posted.
pub(crate) struct Leaving<'a> {
    /// The row; `None` for the test record.
    pub(crate) key: Option<&'a RowKey>,
    pub(crate) kind: FormKind,
    pub(crate) text: &'a str,
    /// Its SHA-256, where that is known already.
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) again: bool,
}

fn kind_word(kind: FormKind) -> &'static str {
    match kind {
        FormKind::Full => "full",
        FormKind::Delta => "delta",
        FormKind::Purge => "purge",
    }
}

/// Writes down what leaves in a batch.
pub(crate) fn write(
    connection: &Connection,
    batch: i64,
    leaving: &[Leaving<'_>],
) -> rusqlite::Result<()> {
    let ids = leaving
        .iter()
        .filter_map(|record| record.key.map(RowKey::id));
    let departed: Vec<_> = leaving
        .iter()
        .map(|record| {
            let hash = record.sha256.unwrap_or_else(|| sha256(record.text));
            let is_the_rows = record.key.is_some_and(|key| *key.digest() == hash);
            (
                record.key.map(RowKey::id),
                record.key.and_then(RowKey::row_state),
                record.key.map(|key| HEXLOWER.encode(key.digest())),
                kind_word(record.kind),
                (!is_the_rows).then(|| HEXLOWER.encode(&hash)),
                u8::from(record.again),
            )
        })
        .collect();
    connection
        .prepare_cached("INSERT INTO batch_rows VALUES (?1, ?2, ?3, ?4)")?
        .execute((batch, ids.clone().min(), ids.max(), document(&departed)?))
        .map(|_| ())
}

/// Writes down the receipts of a batch, in the order of its records.
pub(crate) fn write_receipts<'a>(
    connection: &Connection,
    batch: i64,
    receipts: impl Iterator<Item = (&'a str, DateTime)>,
) -> rusqlite::Result<()> {
    let receipts: Vec<_> = receipts.map(|(uuid, at)| (uuid, at.to_string())).collect();
    if receipts.is_empty() {
        return Ok(());
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO batch_receipts VALUES (?1, ?2)")?
        .execute((batch, document(&receipts)?))
        .map(|_| ())
}

fn document(of: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(of).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

/// A row whose receipt never came to its table.
pub(crate) struct Unrecorded {
    pub(crate) key: RowKey,
    pub(crate) is_purge: bool,
    pub(crate) receipt: String,
    pub(crate) at: DateTime,
}

/// The rows of a batch whose receipts may not be in its table.
pub(crate) fn unrecorded_rows(
    connection: &Connection,
    batch: i64,
) -> rusqlite::Result<Vec<Unrecorded>> {
    let rows: Vec<Option<Unrecorded>> = connection
        .prepare_cached(
            "SELECT row_id, row_state, row_sha256, kind, receipt, receipt_at FROM departure
             WHERE batch_id = ?1 AND row_id IS NOT NULL ORDER BY position",
        )?
        .query_map([batch], |row| {
            let digest: Option<String> = row.get(2)?;
            let digest = digest.and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
            let digest = digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            let receipt: Option<String> = row.get(4)?;
            let at: Option<String> = row.get(5)?;
            let at = at.and_then(|at| at.parse().ok());
            let (id, state) = (row.get(0)?, row.get(1)?);
            let is_purge = row.get::<_, String>(3)? == kind_word(FormKind::Purge);
            Ok(digest
                .zip(receipt)
                .zip(at)
                .map(|((digest, receipt), at)| Unrecorded {
                    key: RowKey::remembered(id, state, digest),
                    is_purge,
                    receipt,
                    at,
                }))
        })?
        .collect::<Result<_, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}
