//! Filling, changing and setting back, in SQLite.

use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior, params_from_iter};

use super::{Inner, SAME_ROW, SqliteStore};
use crate::anon::{by_status, not_empty, words_of};
use crate::{
    Earlier, Filled, Halt, NewRow, Restaged, RowKey, RowSource, RowState, StoreError,
    SubmissionStatus,
};

/// Where rows wait until all are there. A transaction that is open for long would lock
/// the file against whoever reads it, and the rows may come from another table of the
/// same file. SQLite keeps a temporary table in a file of its own, which nobody else can
/// open, and removes it.
const WAITING: &str = "temp.csc_waiting";

/// Changes in one statement: five parameters each, of the 32,766 that SQLite takes.
const CHANGES_A_STATEMENT: usize = 500;

pub(super) async fn fill(
    store: &SqliteStore,
    rows: &mut dyn RowSource,
    earlier: Earlier,
) -> Result<Filled, Halt> {
    store.inner.table.must_be_anon()?;
    store
        .run(move |inner, connection| inner.begin_filling(connection, earlier))
        .await?;
    let filled = gather_and_move(store, rows, earlier).await;
    let ended = store
        .run(|inner, connection| inner.end_filling(connection))
        .await;
    let filled = filled?;
    ended?;
    Ok(filled)
}

async fn gather_and_move(
    store: &SqliteStore,
    rows: &mut dyn RowSource,
    earlier: Earlier,
) -> Result<Filled, Halt> {
    loop {
        let piece = rows.next().await?;
        if piece.is_empty() {
            break;
        }
        store
            .run(move |inner, connection| inner.wait_with(connection, piece))
            .await?;
    }
    let filled = store
        .run(move |inner, connection| inner.move_in(connection, earlier))
        .await?;
    Ok(filled)
}

pub(super) async fn restage(
    store: &SqliteStore,
    changes: &[(RowKey, Restaged)],
) -> Result<Vec<i64>, StoreError> {
    store.inner.table.must_be_anon()?;
    let changes = changes.to_vec();
    store
        .run(move |inner, connection| {
            let mut changed = Vec::with_capacity(changes.len());
            for piece in changes.chunks(CHANGES_A_STATEMENT) {
                changed.extend(inner.restage(connection, piece)?);
            }
            Ok(changed)
        })
        .await
}

pub(super) async fn legacy_ids(
    store: &SqliteStore,
    ids: &[i64],
) -> Result<Vec<(i64, Option<String>)>, StoreError> {
    let list: Vec<String> = ids.iter().map(i64::to_string).collect();
    let list = format!("[{}]", list.join(","));
    store
        .run(move |inner, connection| inner.legacy_ids(connection, &list))
        .await
}

pub(super) async fn reset(
    store: &SqliteStore,
    from: &[SubmissionStatus],
) -> Result<Vec<(SubmissionStatus, u64)>, StoreError> {
    let words = words_of(from);
    store
        .run(move |inner, connection| inner.reset(connection, &words))
        .await
}

impl Inner {
    fn begin_filling(&self, connection: &Connection, earlier: Earlier) -> Result<(), StoreError> {
        self.shape(connection)?;
        let rows = self
            .rows(connection)
            .map_err(|e| self.refused("count the rows", &e))?;
        if earlier == Earlier::Kept && rows > 0 {
            return Err(not_empty(&self.table, rows));
        }
        connection
            .execute_batch(&format!(
                "DROP TABLE IF EXISTS {WAITING};
                 CREATE TABLE {WAITING} (place INTEGER PRIMARY KEY, person_id TEXT,
                                         legacy_id TEXT, payload TEXT, hash BLOB)"
            ))
            .map_err(|e| self.refused("make a temporary table", &e))
    }

    fn end_filling(&self, connection: &Connection) -> Result<(), StoreError> {
        connection
            .execute_batch(&format!("DROP TABLE IF EXISTS {WAITING}"))
            .map_err(|e| self.refused("remove a temporary table", &e))
    }

    fn rows(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", self.full_name());
        connection
            .query_row(&sql, [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    }

    fn wait_with(&self, connection: &mut Connection, rows: Vec<NewRow>) -> Result<(), StoreError> {
        let mut write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached(&format!(
                    "INSERT INTO {WAITING} (person_id, legacy_id, payload, hash)
                     VALUES (?1, ?2, ?3, ?4)"
                ))?;
                for row in &rows {
                    statement.execute((
                        &row.person_id,
                        &row.legacy_id,
                        &row.payload,
                        &row.hash[..],
                    ))?;
                }
            }
            transaction.commit()
        };
        write().map_err(|e| self.refused("write to a temporary table", &e))
    }

    fn move_in(&self, connection: &mut Connection, earlier: Earlier) -> Result<Filled, StoreError> {
        let shape = self.shape(connection)?;
        let both = |column: &str, value: &str| match shape.column(column) {
            Some(_) => (format!(", {column}"), format!(", {value}")),
            None => (String::new(), String::new()),
        };
        let (legacy_column, legacy) = both("legacy_id", "legacy_id");
        let (hash_column, hash) = both("current_hash", "hash");
        let table = self.full_name();
        let insert = format!(
            "INSERT INTO {table} (person_id, json_payload, submission_status, row_state
                                  {legacy_column}{hash_column})
             SELECT person_id, payload, '{pending}', '{new}'{legacy}{hash}
             FROM {WAITING} ORDER BY place",
            pending = SubmissionStatus::Pending.word(),
            new = RowState::New.word(),
        );
        let mut write = || -> rusqlite::Result<Result<Filled, StoreError>> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let removed = self.rows(&transaction)?;
            if removed > 0 {
                if earlier == Earlier::Kept {
                    return Ok(Err(not_empty(&self.table, removed)));
                }
                transaction.execute(&format!("DELETE FROM {table}"), [])?;
            }
            let written = transaction.execute(&insert, [])? as u64;
            transaction.commit()?;
            Ok(Ok(Filled { removed, written }))
        };
        write().map_err(|e| self.refused("fill the table", &e))?
    }

    fn restage(
        &self,
        connection: &Connection,
        changes: &[(RowKey, Restaged)],
    ) -> Result<Vec<i64>, StoreError> {
        let shape = self.shape(connection)?;
        let has = |column: &str| shape.column(column).is_some();
        let mut set = String::new();
        if has("previous_hash") && has("current_hash") {
            set += ", previous_hash = CASE WHEN v.payload IS NULL THEN t.previous_hash
                         ELSE t.current_hash END";
        }
        if has("current_hash") {
            set += ", current_hash = coalesce(v.hash, t.current_hash)";
        }
        if has("last_updated") {
            set += ", last_updated = CURRENT_TIMESTAMP";
        }
        let rows = vec!["(?, ?, ?, ?, ?)"; changes.len()].join(", ");
        let sql = format!(
            "UPDATE {table} AS t SET
                 previous_json_payload = CASE WHEN v.payload IS NULL THEN t.previous_json_payload
                     ELSE t.json_payload END,
                 json_payload = coalesce(v.payload, t.json_payload),
                 row_state = CASE WHEN v.payload IS NULL THEN '{deleted}' ELSE '{updated}' END,
                 submission_status = CASE WHEN v.payload IS NULL THEN t.submission_status
                     ELSE '{pending}' END
                 {set}
             FROM (SELECT column1 AS id, column2 AS row_state, column3 AS digest,
                          column4 AS payload, column5 AS hash
                   FROM (VALUES {rows})) AS v
             WHERE {SAME_ROW} RETURNING id",
            table = self.full_name(),
            deleted = RowState::Deleted.word(),
            updated = RowState::Updated.word(),
            pending = SubmissionStatus::Pending.word(),
        );
        let values = changes.iter().flat_map(|(key, change)| {
            let update = change.update();
            [
                Value::Integer(key.id),
                key.row_state.clone().map_or(Value::Null, Value::Text),
                Value::Blob(key.digest.to_vec()),
                update.map_or(Value::Null, |(payload, _)| Value::Text(payload.into())),
                update.map_or(Value::Null, |(_, hash)| Value::Blob(hash.to_vec())),
            ]
        });
        let write = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = connection.prepare_cached(&sql)?;
            statement
                .query_map(params_from_iter(values), |row| row.get(0))?
                .collect()
        };
        write().map_err(|e| self.refused("stage changes", &e))
    }

    fn legacy_ids(
        &self,
        connection: &Connection,
        ids: &str,
    ) -> Result<Vec<(i64, Option<String>)>, StoreError> {
        if self.shape(connection)?.column("legacy_id").is_none() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT id, legacy_id FROM {} WHERE id IN (SELECT value FROM json_each(?1))",
            self.full_name()
        );
        let read = || -> rusqlite::Result<Vec<(i64, Option<String>)>> {
            let mut statement = connection.prepare_cached(&sql)?;
            statement
                .query_map([ids], |row| {
                    Ok((row.get(0)?, super::text_of(row.get_ref(1)?)))
                })?
                .collect()
        };
        read().map_err(|e| self.refused("read the rows' legacy_id", &e))
    }

    fn reset(
        &self,
        connection: &mut Connection,
        words: &str,
    ) -> Result<Vec<(SubmissionStatus, u64)>, StoreError> {
        self.shape(connection)?;
        let wanted = format!(
            "WHERE lower(trim(submission_status)) IN ({words})
               AND lower(trim(coalesce(row_state, ''))) <> '{}'",
            RowState::Deleted.word()
        );
        let table = self.full_name();
        let mut write = || -> rusqlite::Result<Vec<(String, u64)>> {
            // RETURNING gives what is written, not what was there: counted first, with the
            // table locked.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let counts = transaction
                .prepare(&format!(
                    "SELECT lower(trim(submission_status)), count(*) FROM {table} {wanted} GROUP BY 1"
                ))?
                .query_map([], |row| {
                    Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
                })?
                .collect::<rusqlite::Result<_>>()?;
            transaction.execute(
                &format!(
                    "UPDATE {table} SET submission_status = '{}' {wanted}",
                    SubmissionStatus::Pending.word(),
                ),
                [],
            )?;
            transaction.commit()?;
            Ok(counts)
        };
        write()
            .map(by_status)
            .map_err(|e| self.refused("set rows back to pending", &e))
    }
}
