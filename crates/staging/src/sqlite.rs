//! The staging table in SQLite: the embedded default, and what the demo runs on.
//!
//! Every statement runs on one connection, on a thread that may block. A page is
//! read to its end before anything else is done, so no read lock is held while
//! the receiver is waited for.

mod anon;
mod examine;
mod trial;

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use csc_digest::sha256;
use csc_message::{Message, Probe};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};

use crate::connection::SqlitePath;
use crate::ddl::{Dialect, create_sql, quoted};
use crate::owner::owner_only;
use crate::store::{eligible_words, no_partial_column};
use crate::{
    Column, Created, Earlier, Filled, Halt, NewRow, Outcome, PageRequest, Present, Restaged,
    RowKey, RowSource, RowState, Selection, StagedRow, StagingStore, StoreError, StoreErrorKind,
    Stretch, SubmissionStatus, Superseded, TableName, TableShape, TableSummary,
};

/// How long a statement waits for another program's lock on the database.
const BUSY_WAIT: Duration = Duration::from_secs(30);

/// How often, and at which distance, the name of whoever holds the run lock is looked for.
const HOLDER_TRIES: u32 = 40;
const HOLDER_EVERY: Duration = Duration::from_millis(50);

/// How much of `api_response` is read back: a receipt's uuid and a little more.
const RESPONSE_READ: usize = 64;

/// Whether a row still is the one that was read: its id, its state, and its whole
/// payload byte for byte.
const SAME_ROW: &str = "t.id = v.id AND t.row_state IS v.row_state COLLATE BINARY
               AND csc_sha256(t.json_payload) = v.digest";

/// A staging table in an SQLite file.
pub(crate) struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: SqlitePath,
    table: TableName,
    connection: Mutex<Connection>,
    shape: OnceLock<Arc<TableShape>>,
    /// Held for as long as the store lives.
    run_lock: Mutex<Option<File>>,
}

impl SqliteStore {
    pub(crate) async fn open(
        path: &SqlitePath,
        table: &TableName,
        create: bool,
    ) -> Result<Self, StoreError> {
        let (path, table) = (path.clone(), table.clone());
        blocking(move || {
            let connection = open_connection(&path, create)?;
            Ok(SqliteStore {
                inner: Arc::new(Inner {
                    path,
                    table,
                    connection: Mutex::new(connection),
                    shape: OnceLock::new(),
                    run_lock: Mutex::new(None),
                }),
            })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner, &mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let mut connection = inner
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            work(&inner, &mut connection)
        })
        .await
    }
}

#[async_trait]
impl StagingStore for SqliteStore {
    fn place(&self) -> String {
        self.inner.place()
    }

    async fn shape(&self) -> Result<Arc<TableShape>, StoreError> {
        self.run(|inner, connection| inner.shape(connection)).await
    }

    async fn create(&self) -> Result<Created, StoreError> {
        self.run(|inner, connection| {
            if !inner.columns(connection)?.is_empty() {
                return Ok(Created::AlreadyThere);
            }
            connection
                .execute_batch(&create_sql(Dialect::Sqlite, &inner.table))
                .map_err(|e| inner.refused("create the table", &e))?;
            Ok(Created::Now)
        })
        .await
    }

    async fn examine(&self) -> Result<Vec<Probe>, StoreError> {
        self.run(|inner, connection| Ok(examine::examine(inner, connection)?.probes(&inner.table)))
            .await
    }

    async fn try_writing(&self) -> Result<u64, StoreError> {
        self.run(trial::try_writing).await
    }

    async fn lock(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.lock()).await
    }

    async fn present(&self) -> Result<Present, StoreError> {
        self.run(|inner, connection| inner.present(connection))
            .await
    }

    async fn count(
        &self,
        selection: Selection,
        superseded: &Superseded,
    ) -> Result<u64, StoreError> {
        let newest = !superseded.is_empty();
        self.run(move |inner, connection| inner.count(connection, selection, newest))
            .await
    }

    async fn superseded(&self) -> Result<Superseded, StoreError> {
        self.run(|inner, connection| inner.superseded(connection))
            .await
    }

    async fn page_within(
        &self,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError> {
        let stretch = stretch.clone();
        self.run(move |inner, connection| inner.page(connection, request, &stretch))
            .await
    }

    async fn write_partials(
        &self,
        partials: &[(RowKey, Option<String>)],
    ) -> Result<Vec<i64>, StoreError> {
        if partials.is_empty() {
            return Ok(Vec::new());
        }
        let partials = partials.to_vec();
        self.run(move |inner, connection| inner.write_partials(connection, partials))
            .await
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<i64>, StoreError> {
        if outcomes.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = outcomes.to_vec();
        self.run(move |inner, connection| inner.record(connection, &outcomes))
            .await
    }

    async fn summary(&self) -> Result<TableSummary, StoreError> {
        self.run(|inner, connection| inner.summary(connection))
            .await
    }

    async fn stage(&self, rows: &[NewRow]) -> Result<(), StoreError> {
        let values: Vec<[Value; 4]> = rows
            .iter()
            .map(|row| {
                [
                    Value::Text(row.person_id.clone()),
                    row.legacy_id.clone().map_or(Value::Null, Value::Text),
                    Value::Text(row.payload.clone()),
                    Value::Blob(row.hash.to_vec()),
                ]
            })
            .collect();
        self.run(move |inner, connection| inner.stage(connection, &values))
            .await
    }

    async fn fill(&self, rows: &mut dyn RowSource, earlier: Earlier) -> Result<Filled, Halt> {
        anon::fill(self, rows, earlier).await
    }

    async fn restage(&self, changes: &[(RowKey, Restaged)]) -> Result<Vec<i64>, StoreError> {
        anon::restage(self, changes).await
    }

    async fn legacy_ids(&self, ids: &[i64]) -> Result<Vec<(i64, Option<String>)>, StoreError> {
        anon::legacy_ids(self, ids).await
    }

    async fn reset(
        &self,
        from: &[SubmissionStatus],
    ) -> Result<Vec<(SubmissionStatus, u64)>, StoreError> {
        anon::reset(self, from).await
    }
}

impl Inner {
    fn place(&self) -> String {
        match &self.path {
            SqlitePath::Memory => format!("SQLite in memory, table {}", self.table),
            SqlitePath::File(path) => format!("SQLite {}, table {}", path.display(), self.table),
        }
    }

    fn full_name(&self) -> String {
        quoted(Dialect::Sqlite, &self.table)
    }

    fn refused(&self, what: &str, error: &rusqlite::Error) -> StoreError {
        statement_refused(&self.place(), what, error)
    }

    fn columns(&self, connection: &Connection) -> Result<Vec<Column>, StoreError> {
        let mut statement = connection
            .prepare_cached("SELECT name, lower(type) FROM pragma_table_info(?1, ?2)")
            .map_err(|e| self.refused("read the table's columns", &e))?;
        statement
            .query_map(
                (self.table.name(), self.table.schema().unwrap_or("main")),
                |row| {
                    Ok(Column {
                        name: row.get(0)?,
                        kind: row.get(1)?,
                        // SQLite takes any length, whatever the declared type says.
                        max_chars: None,
                    })
                },
            )
            .and_then(Iterator::collect)
            .map_err(|e| self.refused("read the table's columns", &e))
    }

    /// Whether an index keeps each child to one row.
    fn unique_person(&self, connection: &Connection) -> Result<bool, StoreError> {
        let unique = connection
            .query_row(
                "SELECT 1 FROM pragma_index_list(?1, ?2) AS l
                 WHERE l.\"unique\" = 1 AND l.partial = 0
                   AND (SELECT group_concat(lower(i.name)) FROM pragma_index_info(l.name, ?2) AS i)
                       = 'person_id'",
                (self.table.name(), self.table.schema().unwrap_or("main")),
                |_| Ok(()),
            )
            .optional()
            .map_err(|e| self.refused("read the table's indexes", &e))?;
        Ok(unique.is_some())
    }

    fn shape(&self, connection: &Connection) -> Result<Arc<TableShape>, StoreError> {
        if let Some(shape) = self.shape.get() {
            return Ok(Arc::clone(shape));
        }
        let columns = self.columns(connection)?;
        let unique = self.unique_person(connection)?;
        let shape = Arc::new(TableShape::new(
            &self.table,
            columns,
            unique,
            "csc-sender init --print sqlite",
        )?);
        Ok(Arc::clone(self.shape.get_or_init(|| shape)))
    }

    /// The newest row of each child that has several.
    fn of_several(&self) -> String {
        format!(
            "SELECT m.person_id, max(m.id) AS id FROM {} AS m
             WHERE trim(m.person_id) <> '' GROUP BY m.person_id HAVING count(*) > 1",
            self.full_name()
        )
    }

    fn superseded(&self, connection: &Connection) -> Result<Superseded, StoreError> {
        if self.shape(connection)?.unique_person() {
            return Ok(Superseded::default());
        }
        let sql = format!(
            "WITH newest AS MATERIALIZED ({several})
             SELECT t.id FROM newest CROSS JOIN {table} AS t
             WHERE t.person_id = newest.person_id AND t.id < newest.id",
            several = self.of_several(),
            table = self.full_name(),
        );
        let read = || -> rusqlite::Result<Superseded> {
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|e| self.refused("look for children with several rows", &e))
    }

    /// What a row itself must be like.
    fn wanted(selection: Selection) -> String {
        let deleted = RowState::Deleted.word();
        match selection {
            Selection::Records => format!(
                "lower(trim(t.submission_status)) IN ({eligible})
                 AND lower(trim(coalesce(t.row_state, ''))) <> '{deleted}'
                 AND trim(t.json_payload, char(32, 9, 10, 13)) <> ''",
                eligible = eligible_words(),
            ),
            Selection::Deletions => format!("lower(trim(t.row_state)) = '{deleted}'"),
            Selection::Children => {
                format!("lower(trim(coalesce(t.row_state, ''))) <> '{deleted}'")
            }
        }
    }

    /// An index on both columns holds all that is asked for.
    fn present(&self, connection: &Connection) -> Result<Present, StoreError> {
        self.shape(connection)?;
        let sql = format!(
            "SELECT DISTINCT submission_status, row_state FROM {}",
            self.full_name()
        );
        let read = || -> rusqlite::Result<Present> {
            let mut statement = connection.prepare_cached(&sql)?;
            let pairs: Vec<_> = statement
                .query_map([], |row| {
                    Ok((text_of(row.get_ref(0)?), text_of(row.get_ref(1)?)))
                })?
                .collect::<Result<_, _>>()?;
            Ok(Present::of(pairs))
        };
        read().map_err(|e| self.refused("look for rows to send", &e))
    }

    /// `newest` leaves out the rows that have a newer one of the same child.
    fn count(
        &self,
        connection: &Connection,
        selection: Selection,
        newest: bool,
    ) -> Result<u64, StoreError> {
        self.shape(connection)?;
        let (table, wanted) = (self.full_name(), Self::wanted(selection));
        let sql = if !newest {
            format!("SELECT count(*) FROM {table} AS t WHERE {wanted}")
        } else {
            format!(
                "WITH newest AS MATERIALIZED ({several})
                 SELECT count(*) FROM {table} AS t WHERE {wanted}
                   AND t.id = coalesce(
                       (SELECT id FROM newest WHERE newest.person_id = t.person_id), t.id)",
                several = self.of_several()
            )
        };
        connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .map_err(|e| self.refused("count the rows to send", &e))
    }

    fn page(
        &self,
        connection: &Connection,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError> {
        self.shape(connection)?;
        let previous = if request.with_previous {
            "t.previous_json_payload"
        } else {
            "NULL"
        };
        let sql = format!(
            "SELECT t.id, t.person_id, t.row_state, t.json_payload, {previous},
                    substr(t.api_response, 1, {RESPONSE_READ})
             FROM {} AS t WHERE t.id > ?1 AND t.id <= ?3 AND {}
               AND t.id NOT IN (SELECT value FROM json_each(?4))
             ORDER BY t.id LIMIT ?2",
            self.full_name(),
            Self::wanted(request.selection)
        );
        let limits = request.limits;
        let skip: Vec<String> = stretch.skip.iter().map(i64::to_string).collect();
        let skip = format!("[{}]", skip.join(","));
        let read = || -> rusqlite::Result<Vec<StagedRow>> {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows =
                statement.query((request.after, limits.rows.max(1), stretch.last, skip))?;
            let (mut page, mut bytes) = (Vec::new(), 0u64);
            while bytes < limits.bytes.max(1) {
                let Some(row) = rows.next()? else { break };
                let payload = bytes_of(row.get_ref(3)?);
                let previous = text_of(row.get_ref(4)?);
                bytes += (payload.len() + previous.as_ref().map_or(0, String::len)) as u64;
                page.push(StagedRow {
                    key: RowKey::new(row.get(0)?, text_of(row.get_ref(2)?), &payload, None),
                    person_id: text_of(row.get_ref(1)?),
                    payload: String::from_utf8(payload).ok(),
                    previous,
                    response: text_of(row.get_ref(5)?),
                });
            }
            Ok(page)
        };
        read().map_err(|e| self.refused("read the rows to send", &e))
    }

    fn write_partials(
        &self,
        connection: &Connection,
        partials: Vec<(RowKey, Option<String>)>,
    ) -> Result<Vec<i64>, StoreError> {
        if self
            .shape(connection)?
            .column("partial_json_payload")
            .is_none()
        {
            return Err(no_partial_column(&self.table));
        }
        let rows = vec!["(?, ?, ?, ?)"; partials.len()].join(", ");
        let sql = format!(
            "UPDATE {table} AS t SET partial_json_payload = v.partial
             FROM (SELECT column1 AS id, column2 AS row_state, column3 AS digest, column4 AS partial
                   FROM (VALUES {rows})) AS v
             WHERE {SAME_ROW} RETURNING id",
            table = self.full_name(),
        );
        let values = partials.into_iter().flat_map(|(key, partial)| {
            [
                Value::Integer(key.id),
                key.row_state.map_or(Value::Null, Value::Text),
                Value::Blob(key.digest.to_vec()),
                partial.map_or(Value::Null, Value::Text),
            ]
        });
        self.write(connection, "write the deltas", &sql, values)
    }

    /// Runs an UPDATE that gives back ids.
    fn write(
        &self,
        connection: &Connection,
        what: &str,
        sql: &str,
        values: impl Iterator<Item = Value>,
    ) -> Result<Vec<i64>, StoreError> {
        let write = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = connection.prepare_cached(sql)?;
            statement
                .query_map(params_from_iter(values), |row| row.get(0))?
                .collect()
        };
        write().map_err(|e| self.refused(what, &e))
    }

    fn record(
        &self,
        connection: &Connection,
        outcomes: &[Outcome],
    ) -> Result<Vec<i64>, StoreError> {
        let shape = self.shape(connection)?;
        let previous_hash =
            if shape.column("previous_hash").is_some() && shape.column("current_hash").is_some() {
                ", previous_hash = CASE WHEN v.at IS NULL THEN t.previous_hash
                     WHEN v.purge IS NOT NULL THEN v.purge_hash ELSE t.current_hash END"
            } else {
                ""
            };
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?)"; outcomes.len()].join(", ");
        let sql = format!(
            "UPDATE {table} AS t SET
                 submission_status = v.status,
                 api_response = v.response,
                 submission_timestamp = coalesce(v.at, t.submission_timestamp),
                 row_state = CASE WHEN v.at IS NULL OR v.purge IS NOT NULL
                     THEN t.row_state ELSE '{unchanged}' END,
                 previous_json_payload = CASE WHEN v.at IS NULL THEN t.previous_json_payload
                     WHEN v.purge IS NOT NULL THEN v.purge ELSE t.json_payload END
                 {previous_hash}
             FROM (SELECT column1 AS id, column2 AS row_state, column3 AS digest,
                          column4 AS status, column5 AS response, column6 AS at,
                          column7 AS purge, column8 AS purge_hash
                   FROM (VALUES {rows})) AS v
             WHERE {SAME_ROW} RETURNING id",
            table = self.full_name(),
            unchanged = RowState::Unchanged.word(),
        );
        let values = outcomes.iter().flat_map(|outcome| {
            let purge = outcome.result.purge();
            [
                Value::Integer(outcome.key.id),
                outcome
                    .key
                    .row_state
                    .clone()
                    .map_or(Value::Null, Value::Text),
                Value::Blob(outcome.key.digest.to_vec()),
                Value::Text(outcome.result.status().word().into()),
                Value::Text(outcome.result.response(shape.response_limit()).into()),
                outcome.result.timestamp().map_or(Value::Null, Value::Text),
                purge.map_or(Value::Null, |(record, _)| Value::Text(record.into())),
                purge.map_or(Value::Null, |(_, hash)| Value::Blob(hash.to_vec())),
            ]
        });
        self.write(connection, "record the outcome of a batch", &sql, values)
    }

    fn summary(&self, connection: &Connection) -> Result<TableSummary, StoreError> {
        let shape = self.shape(connection)?;
        let table = self.full_name();
        let changed = if shape.column("last_updated").is_some() {
            "coalesce(last_updated, submission_timestamp)"
        } else {
            "submission_timestamp"
        };
        let read = || -> rusqlite::Result<TableSummary> {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT coalesce(nullif(lower(trim(submission_status)), ''), '(blank)'),
                        coalesce(nullif(lower(trim(row_state)), ''), '(blank)'), count(*)
                 FROM {table} GROUP BY 1, 2 ORDER BY 1, 2"
            ))?;
            let counts = statement
                .query_map([], |row| {
                    Ok((
                        row.get(0)?,
                        row.get(1)?,
                        row.get::<_, i64>(2)?.unsigned_abs(),
                    ))
                })?
                .collect::<Result<_, _>>()?;
            let (oldest_pending, last_submission) = connection.query_row(
                &format!(
                    "SELECT min(CASE WHEN lower(trim(submission_status)) = '{pending}' THEN {changed} END),
                            max(CASE WHEN lower(trim(submission_status)) = '{sent}'
                                       OR api_response GLOB '{uuid}' THEN submission_timestamp END)
                     FROM {table}",
                    pending = SubmissionStatus::Pending.word(),
                    sent = SubmissionStatus::Sent.word(),
                    uuid = "????????-????-????-????-????????????",
                ),
                [],
                |row| Ok((text_of(row.get_ref(0)?), text_of(row.get_ref(1)?))),
            )?;
            let several = connection.query_row(
                &format!(
                    "SELECT count(*) FROM (SELECT 1 FROM {table}
                     WHERE trim(person_id) <> '' GROUP BY person_id HAVING count(*) > 1)"
                ),
                [],
                |row| row.get::<_, i64>(0),
            )?;
            Ok(TableSummary {
                counts,
                eligible: 0,
                oldest_pending,
                last_submission: last_submission.map(|at| at.replace('T', " ")),
                children_with_several_rows: several.unsigned_abs(),
            })
        };
        let summary = read().map_err(|e| self.refused("count the rows", &e))?;
        Ok(TableSummary {
            eligible: self.count(connection, Selection::Records, true)?,
            ..summary
        })
    }

    fn stage(&self, connection: &mut Connection, rows: &[[Value; 4]]) -> Result<(), StoreError> {
        let (column, value) = match self.shape(connection)?.column("legacy_id") {
            Some(_) => ("legacy_id, ", "?2, "),
            None => ("", ""),
        };
        let sql = format!(
            "INSERT INTO {} (person_id, {column}json_payload, current_hash, submission_status, row_state)
             VALUES (?1, {value}?3, ?4, '{}', '{}')",
            self.full_name(),
            SubmissionStatus::Pending.word(),
            RowState::New.word()
        );
        let mut write = || -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            {
                let mut statement = transaction.prepare_cached(&sql)?;
                for row in rows {
                    statement.execute(row.clone())?;
                }
            }
            transaction.commit()
        };
        write().map_err(|e| self.refused("stage rows", &e))
    }

    fn lock(&self) -> Result<(), StoreError> {
        let SqlitePath::File(path) = &self.path else {
            return Ok(()); // nobody else can open a database in memory
        };
        let lock_path = lock_path(path, &self.table);
        let unusable = |why: String| {
            StoreError::new(
                StoreErrorKind::Connection,
                Message::new(
                    307,
                    format!("Cannot use the run lock {}", lock_path.display()),
                    why,
                    "let the account that runs csc-sender write to the database's folder",
                ),
            )
        };
        let mut file = owner_only()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(|e| unusable(e.to_string()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder_of(&mut file);
                return Err(StoreError::new(
                    StoreErrorKind::Busy,
                    Message::new(
                        501,
                        format!("Another run is active on {}", self.place()),
                        format!("it is held by {holder}"),
                        "wait until that run has ended, then start again; nothing was sent by this one",
                    ),
                ));
            }
            Err(TryLockError::Error(e)) => return Err(unusable(e.to_string())),
        }
        let holder = format!(
            "process {} since {}",
            std::process::id(),
            jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S %Z")
        );
        file.set_len(0)
            .and_then(|()| file.write_all(holder.as_bytes()))
            .and_then(|()| file.flush())
            .map_err(|e| unusable(e.to_string()))?;
        *self.run_lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

impl Drop for Inner {
    /// Whoever meets the lock next must not read our name in it.
    fn drop(&mut self) {
        let lock = self
            .run_lock
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = lock {
            // What cannot be emptied is overwritten by whoever takes the lock.
            let _ = file.set_len(0);
        }
    }
}

/// Who holds the lock, by what stands in its file. A run writes it down just after it has
/// taken the lock, so it is waited for a little.
fn holder_of(file: &mut File) -> String {
    let mut holder = String::new();
    for _ in 0..HOLDER_TRIES {
        // On Windows a locked file cannot be read; the message then does without.
        if file.read_to_string(&mut holder).is_err() || !holder.trim().is_empty() {
            break;
        }
        std::thread::sleep(HOLDER_EVERY);
    }
    match holder.trim() {
        "" => "another csc-sender".to_string(),
        holder => holder.to_string(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(StoreError::new(
            StoreErrorKind::Statement,
            Message::new(
                309,
                "SQLite's thread ended before its work was done",
                if e.is_panic() {
                    "a fault in csc-sender"
                } else {
                    "the program is shutting down"
                },
                "start the run again; if it happens twice, report it with this code",
            ),
        )),
    }
}

fn open_connection(path: &SqlitePath, create: bool) -> Result<Connection, StoreError> {
    let opened = match path {
        SqlitePath::Memory => Connection::open_in_memory(),
        SqlitePath::File(file) => {
            if !create && !file.is_file() {
                return Err(StoreError::new(
                    StoreErrorKind::Connection,
                    Message::new(
                        301,
                        format!("There is no SQLite database {}", file.display()),
                        "the file does not exist, or this account may not see it",
                        "correct the path in DB_CONNECTION_STRING (a relative one starts at the \
                         working directory), or run `csc-sender init` to create it",
                    ),
                ));
            }
            if create && !file.exists() {
                create_for_owner(file)?;
            }
            Connection::open_with_flags(
                file,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )
        }
    };
    let place = match path {
        SqlitePath::Memory => "SQLite in memory".to_string(),
        SqlitePath::File(file) => format!("SQLite {}", file.display()),
    };
    let prepare = |connection: Connection| -> rusqlite::Result<Connection> {
        connection.busy_timeout(BUSY_WAIT)?;
        connection.create_scalar_function(
            "csc_sha256",
            1,
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
            |context| Ok(sha256(bytes_of(context.get_raw(0))).to_vec()),
        )?;
        // The first statement finds out whether the file is a database at all.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        // What is recorded is on the disk with its folder: otherwise a power cut could take it
        // back after the journal has called it recorded.
        connection.pragma_update(None, "synchronous", "EXTRA")?;
        Ok(connection)
    };
    opened
        .and_then(prepare)
        .map_err(|e| statement_refused(&place, "open the database", &e))
}

fn create_for_owner(file: &Path) -> Result<(), StoreError> {
    owner_only()
        .write(true)
        .create_new(true)
        .open(file)
        .map(|_| ())
        .map_err(|e| {
            StoreError::new(
                StoreErrorKind::Connection,
                Message::new(
                    302,
                    format!("Cannot create the SQLite database {}", file.display()),
                    e.to_string(),
                    "create its folder, or choose another path in DB_CONNECTION_STRING",
                ),
            )
        })
}

/// Beside the file itself, whichever way leads to it.
fn lock_path(database: &Path, table: &TableName) -> PathBuf {
    let itself = std::fs::canonicalize(database).unwrap_or_else(|_| database.to_path_buf());
    let mut name = itself.into_os_string();
    name.push(format!(".{}.lock", table.name().to_ascii_lowercase()));
    PathBuf::from(name)
}

fn statement_refused(place: &str, what: &str, error: &rusqlite::Error) -> StoreError {
    let (kind, next) = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => (
            StoreErrorKind::Statement,
            "close the program that holds the database, then start again",
        ),
        Some(rusqlite::ErrorCode::NotADatabase) => (
            StoreErrorKind::Connection,
            "check the path in DB_CONNECTION_STRING: the file is something else",
        ),
        Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => (
            StoreErrorKind::Connection,
            "let the account that runs csc-sender read and write the file and its folder",
        ),
        Some(rusqlite::ErrorCode::DiskFull) => (
            StoreErrorKind::Statement,
            "make room on the disk that holds the database, then start again: what was sent and \
             could not be recorded is in the journal, and the next run records it first",
        ),
        _ => (
            StoreErrorKind::Statement,
            "show this message to whoever looks after the database",
        ),
    };
    StoreError::new(
        kind,
        Message::new(303, format!("Cannot {what} ({place})"), words(error), next),
    )
}

/// SQLite's words, but not a trigger's own (`RAISE`), which may quote a row.
fn words(error: &rusqlite::Error) -> String {
    let code = error.sqlite_error().map(|error| error.extended_code);
    if code == Some(rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER) {
        "a trigger does not take what is written; its words are left out, since they may quote a row"
            .to_string()
    } else {
        error.to_string()
    }
}

/// A value's bytes as they are stored; a number's as SQLite writes it.
fn bytes_of(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Null => Vec::new(),
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Real(number) => number.to_string().into_bytes(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
    }
}

fn text_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        other => Some(String::from_utf8_lossy(&bytes_of(other)).into_owned()),
    }
}
