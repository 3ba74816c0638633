//! The staging table in PostgreSQL (Eclipse).
//!
//! Two connections: one reads pages, the other records and holds the run lock.
//! Every statement is a transaction of its own, so no snapshot is held while the
//! receiver is waited for, reading blocks no writer, and writing locks only the
//! rows of one batch for the length of one statement.

mod anon;
mod connect;
mod examine;
mod statements;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use csc_message::{Message, Probe};
use futures_util::TryStreamExt;
use tokio::sync::OnceCell;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use self::statements::Statements;
use crate::connection::PostgresTarget;
use crate::ddl::{Dialect, create_sql};
use crate::store::no_partial_column;
use crate::{
    Column, Created, Earlier, Filled, Halt, NewRow, Outcome, PageRequest, Restaged, RowKey,
    RowSource, Selection, StagedRow, StagingStore, StoreError, StoreErrorKind, Stretch,
    SubmissionStatus, Superseded, TableName, TableShape, TableSummary,
};

/// The longest that one statement may take before it is given up. The server's own
/// limit (`statement_timeout`) is a little shorter, so it usually answers first.
const STATEMENT_WAIT: Duration = Duration::from_secs(630);

const LOOK_UP: &str = "look up the table";

/// Keeps our advisory locks apart from other programs': "csc" and a digit.
const LOCK_CLASS: i32 = 0x6373_6331;

/// A staging table in PostgreSQL.
pub(crate) struct PostgresStore {
    host: String,
    database: String,
    table: TableName,
    reader: Client,
    writer: Client,
    found: OnceCell<Found>,
}

/// The table as the catalogue has it, and the statements made for it.
struct Found {
    shape: Arc<TableShape>,
    oid: u32,
    statements: Statements,
}

impl PostgresStore {
    pub(crate) async fn connect(
        target: &PostgresTarget,
        table: &TableName,
    ) -> Result<Self, StoreError> {
        Ok(PostgresStore {
            host: format!("{}:{}", target.host, target.port),
            database: target.database.clone(),
            table: table.clone(),
            reader: connect::connect(target).await?,
            writer: connect::connect(target).await?,
            found: OnceCell::new(),
        })
    }

    fn database_place(&self) -> String {
        format!("PostgreSQL {}/{}", self.host, self.database)
    }

    async fn found(&self) -> Result<&Found, StoreError> {
        self.found.get_or_try_init(|| self.look_up()).await
    }

    /// The table's number and its quoted name, whatever the case of its name, preferring
    /// the exact one.
    async fn find(&self) -> Result<Option<(u32, String)>, StoreError> {
        let visible = if self.table.schema().is_some() {
            "(n.nspname = $1 OR lower(n.nspname) = lower($1))"
        } else {
            "$1::text IS NULL AND pg_table_is_visible(c.oid)"
        };
        let table = self
            .ask(
                &self.reader,
                LOOK_UP,
                &format!(
                    "SELECT c.oid::int8, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
                     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                     WHERE {visible} AND (c.relname = $2 OR lower(c.relname) = lower($2))
                       AND c.relkind IN ('r', 'p')
                     ORDER BY (n.nspname = $1) DESC NULLS LAST, (c.relname = $2) DESC LIMIT 1"
                ),
                &[&self.table.schema(), &self.table.name()],
            )
            .await?;
        Ok(table.first().map(|row| {
            let oid: i64 = row.get(0);
            (u32::try_from(oid).unwrap_or_default(), row.get(1))
        }))
    }

    async fn columns(&self, oid: u32) -> Result<Vec<Column>, StoreError> {
        let columns = self
            .ask(
                &self.reader,
                LOOK_UP,
                "SELECT a.attname::text, format_type(a.atttypid, NULL),
                        CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype)
                                  AND a.atttypmod > 4 THEN a.atttypmod - 4 END
                 FROM pg_attribute AS a
                 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
                 ORDER BY a.attnum",
                &[&oid],
            )
            .await?
            .iter()
            .map(|row| Column {
                name: row.get(0),
                kind: row.get(1),
                max_chars: row
                    .get::<_, Option<i32>>(2)
                    .and_then(|n| usize::try_from(n).ok()),
            })
            .collect();
        Ok(columns)
    }

    /// Whether an index keeps each child to one row.
    async fn unique_person(&self, oid: u32) -> Result<bool, StoreError> {
        let unique = self
            .ask(
                &self.reader,
                LOOK_UP,
                "SELECT 1 FROM pg_index AS i
                 JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                   AND i.indnkeyatts = 1 AND lower(a.attname) = 'person_id' LIMIT 1",
                &[&oid],
            )
            .await?;
        Ok(!unique.is_empty())
    }

    async fn look_up(&self) -> Result<Found, StoreError> {
        let create_command = "csc-sender init --print postgres";
        let Some((oid, full_name)) = self.find().await? else {
            // No column: the shape says that there is no such table.
            return Err(
                match TableShape::new(&self.table, Vec::new(), false, create_command) {
                    Err(missing) => missing,
                    Ok(_) => self.lost(LOOK_UP),
                },
            );
        };
        let columns = self.columns(oid).await?;
        let unique = self.unique_person(oid).await?;
        let shape = TableShape::new(&self.table, columns, unique, create_command)?;
        Ok(Found {
            statements: Statements::new(&shape, &full_name),
            shape: Arc::new(shape),
            oid,
        })
    }

    /// Runs a statement and waits for its rows, up to the limit.
    async fn ask(
        &self,
        client: &Client,
        what: &str,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        self.wait(what, client.query(sql, values)).await
    }

    async fn wait<T>(
        &self,
        what: &str,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(STATEMENT_WAIT, statement).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(connect::statement_refused(
                &self.database_place(),
                what,
                &error,
            )),
            Err(_) => Err(self.lost(what)),
        }
    }

    fn lost(&self, what: &str) -> StoreError {
        StoreError::new(
            StoreErrorKind::Connection,
            Message::new(
                310,
                format!("Cannot {what} ({})", self.database_place()),
                format!("no answer within {} s", STATEMENT_WAIT.as_secs()),
                "ask your DBA whether the server is up and what blocks it, then start again",
            ),
        )
    }
}

#[async_trait]
impl StagingStore for PostgresStore {
    fn place(&self) -> String {
        format!("{}, table {}", self.database_place(), self.table)
    }

    async fn shape(&self) -> Result<Arc<TableShape>, StoreError> {
        Ok(Arc::clone(&self.found().await?.shape))
    }

    async fn create(&self) -> Result<Created, StoreError> {
        match self.look_up().await {
            Ok(_) => Ok(Created::AlreadyThere),
            // A table that lacks a column is somebody's table: not touched either.
            Err(e) if e.message.code() == 305 => Ok(Created::AlreadyThere),
            Err(e) if e.message.code() == 304 => {
                self.wait(
                    "create the table",
                    self.writer
                        .batch_execute(&create_sql(Dialect::Postgres, &self.table)),
                )
                .await?;
                Ok(Created::Now)
            }
            Err(e) => Err(e),
        }
    }

    async fn examine(&self) -> Result<Vec<Probe>, StoreError> {
        Ok(examine::examine(self).await?.probes(&self.table))
    }

    async fn lock(&self) -> Result<(), StoreError> {
        let found = self.found().await?;
        let key = i32::from_ne_bytes(found.oid.to_ne_bytes());
        let taken = self
            .ask(
                &self.writer,
                "take the run lock",
                "SELECT pg_try_advisory_lock($1, $2)",
                &[&LOCK_CLASS, &key],
            )
            .await?;
        if taken.first().is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        let holder = self
            .ask(
                &self.reader,
                "see who holds the run lock",
                "SELECT a.pid, a.usename::text, a.client_addr::text,
                        to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
                 FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                   AND l.classid = $1 AND l.objid = $2
                   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 LIMIT 1",
                &[&u32::from_ne_bytes(LOCK_CLASS.to_ne_bytes()), &found.oid],
            )
            .await?;
        let holder = holder.first().map_or_else(
            || "another csc-sender, which the server does not name".to_string(),
            |row| {
                let or = |column: usize, word: &str| {
                    row.get::<_, Option<String>>(column)
                        .unwrap_or_else(|| word.to_string())
                };
                format!(
                    "database process {} of user {} from {}, connected since {}",
                    row.get::<_, i32>(0),
                    or(1, "unknown"),
                    or(2, "this machine"),
                    or(3, "an unknown time"),
                )
            },
        );
        Err(StoreError::new(
            StoreErrorKind::Busy,
            Message::new(
                501,
                format!("Another run is active on {}", self.place()),
                format!("it is held by {holder}"),
                "wait until that run has ended, then start again; nothing was sent by this one",
            ),
        ))
    }

    async fn count(&self, selection: Selection) -> Result<u64, StoreError> {
        let found = self.found().await?;
        let rows = self
            .ask(
                &self.reader,
                "count the rows to send",
                &found.statements.of(selection).count,
                &[],
            )
            .await?;
        Ok(first_count(&rows))
    }

    async fn superseded(&self) -> Result<Superseded, StoreError> {
        let found = self.found().await?;
        if found.shape.unique_person() {
            return Ok(Superseded::default());
        }
        self.wait("look for children with several rows", async {
            let none: [i64; 0] = [];
            let rows = self
                .reader
                .query_raw(&found.statements.superseded, none)
                .await?;
            let mut rows = std::pin::pin!(rows);
            let mut ids = Superseded::default();
            while let Some(row) = rows.try_next().await? {
                ids.insert(row.get(0));
            }
            Ok(ids)
        })
        .await
    }

    async fn page_within(
        &self,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError> {
        let found = self.found().await?;
        let selected = found.statements.of(request.selection);
        let sql = if request.with_previous {
            &selected.page_with_previous
        } else {
            &selected.page
        };
        let rows_limit = i64::from(request.limits.rows.max(1));
        let bytes_limit = i64::try_from(request.limits.bytes.max(1)).unwrap_or(i64::MAX);
        let rows = self
            .ask(
                &self.reader,
                "read the rows to send",
                sql,
                &[
                    &request.after,
                    &rows_limit,
                    &bytes_limit,
                    &stretch.last,
                    &stretch.skip,
                ],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let payload: Option<String> = row.get(4);
                let bytes = payload.as_deref().unwrap_or_default().as_bytes();
                StagedRow {
                    key: RowKey::new(row.get(0), row.get(2), bytes, row.get(3)),
                    person_id: row.get(1),
                    payload,
                    previous: row.get(5),
                    response: row.get(6),
                }
            })
            .collect())
    }

    async fn write_partials(
        &self,
        partials: &[(RowKey, Option<String>)],
    ) -> Result<Vec<i64>, StoreError> {
        let found = self.found().await?;
        if found.shape.column("partial_json_payload").is_none() {
            return Err(no_partial_column(&self.table));
        }
        let keys = Keys::of(partials.iter().map(|(key, _)| key));
        let texts: Vec<Option<&str>> = partials.iter().map(|(_, text)| text.as_deref()).collect();
        let rows = self
            .ask(
                &self.writer,
                "write the deltas",
                &found.statements.write_partials,
                &[
                    &keys.ids,
                    &keys.states,
                    &keys.versions,
                    &keys.digests,
                    &texts,
                ],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<i64>, StoreError> {
        let found = self.found().await?;
        let limit = found.shape.response_limit();
        let keys = Keys::of(outcomes.iter().map(|o| &o.key));
        let statuses: Vec<&str> = outcomes.iter().map(|o| o.result.status().word()).collect();
        // PostgreSQL's text takes every character but NUL.
        let responses: Vec<String> = outcomes
            .iter()
            .map(|o| o.result.response(limit).replace('\0', " "))
            .collect();
        let times: Vec<Option<String>> = outcomes.iter().map(|o| o.result.timestamp()).collect();
        let purges = outcomes.iter().map(|o| o.result.purge());
        let records: Vec<Option<&str>> = purges.clone().map(|p| p.map(|(text, _)| text)).collect();
        let hashes: Vec<Option<&[u8]>> = purges.map(|p| p.map(|(_, hash)| &hash[..])).collect();
        let rows = self
            .ask(
                &self.writer,
                "record the outcome of a batch",
                &found.statements.record,
                &[
                    &keys.ids,
                    &keys.states,
                    &keys.versions,
                    &keys.digests,
                    &statuses,
                    &responses,
                    &times,
                    &records,
                    &hashes,
                ],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn summary(&self) -> Result<TableSummary, StoreError> {
        let statements = &self.found().await?.statements;
        let ask = |sql| self.ask(&self.reader, "count the rows", sql, &[]);
        let counts = ask(&statements.counts)
            .await?
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get::<_, i64>(2).unsigned_abs()))
            .collect();
        let times = ask(&statements.times).await?;
        let several = ask(&statements.several).await?;
        Ok(TableSummary {
            counts,
            eligible: self.count(Selection::Records).await?,
            oldest_pending: times.first().and_then(|row| row.get(0)),
            last_submission: times.first().and_then(|row| row.get(1)),
            children_with_several_rows: first_count(&several),
        })
    }

    async fn stage(&self, rows: &[NewRow]) -> Result<(), StoreError> {
        let found = self.found().await?;
        let persons: Vec<&str> = rows.iter().map(|r| r.person_id.as_str()).collect();
        let legacy: Vec<Option<&str>> = rows.iter().map(|r| r.legacy_id.as_deref()).collect();
        let payloads: Vec<&str> = rows.iter().map(|r| r.payload.as_str()).collect();
        let hashes: Vec<&[u8]> = rows.iter().map(|r| &r.hash[..]).collect();
        self.ask(
            &self.writer,
            "stage rows",
            &found.statements.stage,
            &[&persons, &legacy, &payloads, &hashes],
        )
        .await?;
        Ok(())
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

/// The rows as they were read, column by column, as the statements take them.
struct Keys<'a> {
    ids: Vec<i64>,
    states: Vec<Option<&'a str>>,
    versions: Vec<Option<&'a str>>,
    digests: Vec<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn of(keys: impl Iterator<Item = &'a RowKey> + Clone) -> Self {
        Keys {
            ids: keys.clone().map(|key| key.id).collect(),
            states: keys.clone().map(|key| key.row_state.as_deref()).collect(),
            versions: keys.clone().map(|key| key.version.as_deref()).collect(),
            digests: keys.map(|key| &key.digest[..]).collect(),
        }
    }
}

/// The count that a one-row answer holds.
fn first_count(rows: &[Row]) -> u64 {
    rows.first()
        .map_or(0, |row| row.get::<_, i64>(0).unsigned_abs())
}
