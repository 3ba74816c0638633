//! The staging table in PostgreSQL (Eclipse).
//!
//! Two connections: one reads pages, the other records and holds the run lock.
//! Every statement is a transaction of its own, so no snapshot is held while the
//! receiver is waited for, reading blocks no writer, and writing locks only the
//! rows of one batch for the length of one statement.

mod connect;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use csc_message::Message;
use tokio::sync::OnceCell;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::connection::PostgresTarget;
use crate::ddl::{Dialect, create_sql};
use crate::store::eligible_words;
use crate::{
    Column, Created, NewRow, Outcome, PageLimits, RowKey, RowState, StagedRow, StagingStore,
    StoreError, StoreErrorKind, SubmissionStatus, TableName, TableShape, TableSummary,
};

/// The longest that one statement may take before it is given up. The server's own
/// limit (`statement_timeout`) is a little shorter, so it usually answers first.
const STATEMENT_WAIT: Duration = Duration::from_secs(630);

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
    count: String,
    page: String,
    record: String,
    summary: Summary,
    full_name: String,
}

struct Summary {
    counts: String,
    times: String,
    several: String,
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

    /// Finds the table, whatever the case of its name, preferring the exact one.
    async fn look_up(&self) -> Result<Found, StoreError> {
        let what = "look up the table";
        let visible = if self.table.schema().is_some() {
            "(n.nspname = $1 OR lower(n.nspname) = lower($1))"
        } else {
            "$1::text IS NULL AND pg_table_is_visible(c.oid)"
        };
        let table = self
            .ask(
                &self.reader,
                what,
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
        let create_command = "csc-sender init --print postgres";
        let Some(table) = table.first() else {
            // No column: the shape says that there is no such table.
            return Err(
                match TableShape::new(&self.table, Vec::new(), false, create_command) {
                    Err(missing) => missing,
                    Ok(_) => self.lost(what),
                },
            );
        };
        let (oid, full_name): (i64, String) = (table.get(0), table.get(1));
        let oid = u32::try_from(oid).unwrap_or_default();
        let columns = self
            .ask(
                &self.reader,
                what,
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
        let unique = self
            .ask(
                &self.reader,
                what,
                "SELECT 1 FROM pg_index AS i
                 JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                   AND i.indnkeyatts = 1 AND lower(a.attname) = 'person_id' LIMIT 1",
                &[&oid],
            )
            .await?;
        let shape = TableShape::new(&self.table, columns, !unique.is_empty(), create_command)?;
        Ok(Found::new(shape, oid, full_name))
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

    async fn count(&self) -> Result<u64, StoreError> {
        let found = self.found().await?;
        let rows = self
            .ask(
                &self.reader,
                "count the rows to send",
                &found.count,
                &[&i64::MIN],
            )
            .await?;
        Ok(rows
            .first()
            .map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    async fn page(&self, after: i64, limits: PageLimits) -> Result<Vec<StagedRow>, StoreError> {
        let found = self.found().await?;
        let rows_limit = i64::from(limits.rows.max(1));
        let bytes_limit = i64::try_from(limits.bytes.max(1)).unwrap_or(i64::MAX);
        let rows = self
            .ask(
                &self.reader,
                "read the rows to send",
                &found.page,
                &[&after, &rows_limit, &bytes_limit],
            )
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let payload: String = row.get(4);
                StagedRow {
                    key: RowKey::new(row.get(0), row.get(2), payload.as_bytes(), row.get(3)),
                    person_id: row.get(1),
                    payload: Some(payload),
                }
            })
            .collect())
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<i64>, StoreError> {
        let found = self.found().await?;
        let limit = found.shape.response_limit();
        let of = |part: fn(&Outcome) -> Option<&str>| -> Vec<Option<&str>> {
            outcomes.iter().map(part).collect()
        };
        let ids: Vec<i64> = outcomes.iter().map(|o| o.key.id).collect();
        let states = of(|o| o.key.row_state.as_deref());
        let versions = of(|o| o.key.version.as_deref());
        let digests: Vec<&[u8]> = outcomes.iter().map(|o| &o.key.digest[..]).collect();
        let statuses: Vec<&str> = outcomes.iter().map(|o| o.result.status().word()).collect();
        // PostgreSQL's text takes every character but NUL.
        let responses: Vec<String> = outcomes
            .iter()
            .map(|o| o.result.response(limit).replace('\0', " "))
            .collect();
        let times: Vec<Option<String>> = outcomes.iter().map(|o| o.result.timestamp()).collect();
        let rows = self
            .ask(
                &self.writer,
                "record the outcome of a batch",
                &found.record,
                &[
                    &ids, &states, &versions, &digests, &statuses, &responses, &times,
                ],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn summary(&self) -> Result<TableSummary, StoreError> {
        let found = self.found().await?;
        let what = "count the rows";
        let counts = self
            .ask(&self.reader, what, &found.summary.counts, &[])
            .await?
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get::<_, i64>(2).unsigned_abs()))
            .collect();
        let times = self
            .ask(&self.reader, what, &found.summary.times, &[])
            .await?;
        let several = self
            .ask(&self.reader, what, &found.summary.several, &[])
            .await?;
        Ok(TableSummary {
            counts,
            eligible: self.count().await?,
            oldest_pending: times.first().and_then(|row| row.get(0)),
            last_submission: times.first().and_then(|row| row.get(1)),
            children_with_several_rows: several
                .first()
                .map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()),
        })
    }

    async fn stage(&self, rows: &[NewRow]) -> Result<(), StoreError> {
        let found = self.found().await?;
        let payload_kind = found
            .shape
            .column("json_payload")
            .map_or("text", |c| c.kind.as_str());
        let persons: Vec<&str> = rows.iter().map(|r| r.person_id.as_str()).collect();
        let legacy: Vec<Option<&str>> = rows.iter().map(|r| r.legacy_id.as_deref()).collect();
        let payloads: Vec<&str> = rows.iter().map(|r| r.payload.as_str()).collect();
        let hashes: Vec<&[u8]> = rows.iter().map(|r| &r.hash[..]).collect();
        let with_legacy = found.shape.column("legacy_id").is_some();
        let (column, value) = if with_legacy {
            ("legacy_id, ", "v.legacy_id, ")
        } else {
            ("", "")
        };
        let sql = format!(
            "INSERT INTO {} (person_id, {column}json_payload, current_hash, submission_status, row_state)
             SELECT v.person_id, {value}v.payload::{payload_kind}, v.hash, '{}', '{}'
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])
                  AS v(person_id, legacy_id, payload, hash)",
            found.full_name,
            SubmissionStatus::Pending.word(),
            RowState::New.word(),
        );
        self.ask(
            &self.writer,
            "stage rows",
            &sql,
            &[&persons, &legacy, &payloads, &hashes],
        )
        .await?;
        Ok(())
    }
}

impl Found {
    fn new(shape: TableShape, oid: u32, full_name: String) -> Self {
        let kind = |name: &str| shape.column(name).map_or("text", |c| c.kind.as_str());
        let newest = if shape.unique_person() {
            String::new()
        } else {
            format!(
                "AND (t.person_id IS NULL OR btrim(t.person_id::text) = '' OR NOT EXISTS (
                     SELECT 1 FROM {full_name} AS n
                     WHERE n.person_id = t.person_id AND n.id > t.id))"
            )
        };
        // A JSON value is never blank; asking a JSONB column would mean writing it out.
        let not_blank = if kind("json_payload").starts_with("json") {
            "t.json_payload IS NOT NULL"
        } else {
            "t.json_payload ~ '[^[:space:]]'"
        };
        let eligible = format!(
            "t.id > $1::int8
             AND lower(btrim(t.submission_status::text)) IN ({words})
             AND lower(btrim(coalesce(t.row_state::text, ''))) <> '{deleted}'
             AND {not_blank} {newest}",
            words = eligible_words(),
            deleted = RowState::Deleted.word(),
        );
        // A page ends with the row that takes it to $3 bytes: the server counts, so no
        // more than that crosses the wire.
        let page = format!(
            "SELECT p.id, p.person_id, p.row_state, p.version, p.payload FROM (
                 SELECT r.*, sum(octet_length(r.payload)) OVER (ORDER BY r.id
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
                 FROM (SELECT t.id::int8 AS id, t.person_id::text AS person_id,
                              t.row_state::text AS row_state, t.xmin::text AS version,
                              t.json_payload::text AS payload
                       FROM {full_name} AS t WHERE {eligible} ORDER BY t.id LIMIT $2::int8) AS r
             ) AS p WHERE coalesce(p.before, 0) < $3::int8 ORDER BY p.id"
        );
        let cast = |from: &str, to: &str| {
            if kind(from) == kind(to) {
                String::new()
            } else {
                format!("::{}", kind(to))
            }
        };
        let zone = if kind("submission_timestamp") == "timestamp with time zone" {
            " || '+00'"
        } else {
            ""
        };
        let previous_hash =
            if shape.column("previous_hash").is_some() && shape.column("current_hash").is_some() {
                format!(
                    ", previous_hash = CASE WHEN v.at IS NULL THEN t.previous_hash \
                     ELSE t.current_hash{} END",
                    cast("current_hash", "previous_hash")
                )
            } else {
                String::new()
            };
        // The same xmin is the same row version. A row that somebody touched without
        // changing its payload or state has another one; its payload is then compared.
        let record = format!(
            "UPDATE {full_name} AS t SET
                 submission_status = v.status,
                 api_response = v.response,
                 submission_timestamp = CASE WHEN v.at IS NULL THEN t.submission_timestamp
                     ELSE (v.at{zone})::{timestamp} END,
                 row_state = CASE WHEN v.at IS NULL THEN t.row_state ELSE '{unchanged}' END,
                 previous_json_payload = CASE WHEN v.at IS NULL THEN t.previous_json_payload
                     ELSE t.json_payload{previous_cast} END
                 {previous_hash}
             FROM unnest($1::int8[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[],
                         $7::text[])
                  AS v(id, row_state, version, digest, status, response, at)
             WHERE t.id = v.id
               AND t.row_state::text IS NOT DISTINCT FROM v.row_state
               AND (t.xmin::text = v.version
                    OR sha256(convert_to(t.json_payload::text, 'UTF8')) = v.digest)
             RETURNING t.id::int8",
            timestamp = kind("submission_timestamp"),
            unchanged = RowState::Unchanged.word(),
            previous_cast = cast("json_payload", "previous_json_payload"),
        );
        let changed = if shape.column("last_updated").is_some() {
            "coalesce(last_updated, submission_timestamp)"
        } else {
            "submission_timestamp"
        };
        let as_utc = |column: &str| {
            if zone.is_empty() {
                column.to_string()
            } else {
                format!("({column}) AT TIME ZONE 'UTC'")
            }
        };
        let summary = Summary {
            counts: format!(
                "SELECT coalesce(nullif(lower(btrim(submission_status::text)), ''), '(blank)'),
                        coalesce(nullif(lower(btrim(row_state::text)), ''), '(blank)'), count(*)
                 FROM {full_name} GROUP BY 1, 2 ORDER BY 1, 2"
            ),
            times: format!(
                "SELECT to_char(min({changed}) FILTER (
                            WHERE lower(btrim(submission_status::text)) = '{pending}'),
                            'YYYY-MM-DD HH24:MI:SS'),
                        to_char(max({submitted}) FILTER (
                            WHERE lower(btrim(submission_status::text)) = '{sent}'
                               OR api_response ~ '^[0-9A-Fa-f]{{8}}(-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}$'),
                            'YYYY-MM-DD HH24:MI:SS')
                 FROM {full_name}",
                pending = SubmissionStatus::Pending.word(),
                sent = SubmissionStatus::Sent.word(),
                submitted = as_utc("submission_timestamp"),
            ),
            several: format!(
                "SELECT count(*) FROM (SELECT 1 FROM {full_name}
                 WHERE btrim(person_id::text) <> '' GROUP BY person_id HAVING count(*) > 1) AS s"
            ),
        };
        Found {
            count: format!("SELECT count(*) FROM {full_name} AS t WHERE {eligible}"),
            shape: Arc::new(shape),
            oid,
            page,
            record,
            summary,
            full_name,
        }
    }
}
