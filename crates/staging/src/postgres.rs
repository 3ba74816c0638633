//! The staging table in PostgreSQL (Eclipse).
//!
//! Two connections: one reads pages, the other records and holds the run lock.
//! Every statement is a transaction of its own, so no snapshot is held while the
//! receiver is waited for, reading blocks no writer, and writing locks only the
//! rows of a batch or two for the length of one statement. What is written goes only to
//! rows that still are as they were read, so a statement whose answer was lost with
//! its connection can be sent again, over a new one.

mod anon;
mod buffered;
mod catalogue;
mod connect;
mod examine;
mod run_lock;
mod session;
mod statements;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::Arc;

use async_trait::async_trait;
use csc_message::{Message, Probe};
use tokio::sync::{OnceCell, watch};
use tokio_postgres::Row;

use self::catalogue::{Catalogue, Found};
use self::connect::database_place;
use self::run_lock::RunLock;
use self::session::{Patience, Session, Values, no_answer};
use crate::connection::PostgresTarget;
use crate::ddl::{Dialect, create_sql};
use crate::standstill::Standstills;
use crate::store::{no_partial_column, taken_over};
use crate::{
    Created, Earlier, Filled, Halt, NewRow, Outcome, PageRequest, Present, Restaged, RowKey,
    RowSource, Selection, StagedRow, StagingStore, Standstill, StoreError, StoreErrorKind, Stretch,
    SubmissionStatus, Superseded, TableName, TableShape, TableSummary,
};

/// A staging table in PostgreSQL.
pub(crate) struct PostgresStore {
    target: Arc<PostgresTarget>,
    table: TableName,
    reader: Session,
    writer: Session,
    run_lock: RunLock,
    standstills: Standstills,
    found: OnceCell<Found>,
}

impl PostgresStore {
    pub(crate) async fn connect(
        target: &PostgresTarget,
        table: &TableName,
    ) -> Result<Self, StoreError> {
        Self::connect_with(target, table, Patience::USUAL).await
    }

    async fn connect_with(
        target: &PostgresTarget,
        table: &TableName,
        patience: Patience,
    ) -> Result<Self, StoreError> {
        let target = Arc::new(target.clone());
        let standstills = Standstills::default();
        let connect = || Session::connect(Arc::clone(&target), patience, standstills.clone());
        // One after the other: a password that is wrong counts as one failed logon.
        let reader = connect().await?;
        let catalogue = Catalogue {
            session: &reader,
            table,
        };
        let (writer, found) = tokio::join!(connect(), catalogue.look_up());
        let writer = writer?;
        Ok(PostgresStore {
            table: table.clone(),
            reader,
            writer: writer.keeping_its_statement(),
            target,
            run_lock: RunLock::default(),
            standstills,
            // Whoever asks for a table that is not there is told why.
            found: OnceCell::new_with(found.ok()),
        })
    }

    async fn found(&self) -> Result<&Found, StoreError> {
        self.found.get_or_try_init(|| self.look_up()).await
    }

    fn catalogue(&self) -> Catalogue<'_> {
        Catalogue {
            session: &self.reader,
            table: &self.table,
        }
    }

    async fn look_up(&self) -> Result<Found, StoreError> {
        let before = self.reader.connection().await;
        let found = self.catalogue().look_up().await?;
        let now = self.reader.connection().await;
        self.look_after_lock(before, (found, now)).await
    }

    /// Asks on the connection that reads. Where that had to be made anew, the server was
    /// gone, and the run lock with it: it is looked after at once, not only when there is
    /// something to write.
    async fn read<T>(
        &self,
        what: &str,
        sql: &str,
        values: Values<'_>,
        row: impl FnMut(Row) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let before = self.reader.connection().await;
        let read = self.reader.ask(what, |_| sql, values, row).await?;
        self.look_after_lock(before, read).await
    }

    /// What was read, once it is seen to that the run lock outlived a lost connection.
    async fn look_after_lock<T>(
        &self,
        before: u32,
        (read, connection): (T, u32),
    ) -> Result<T, StoreError> {
        if connection != before {
            let kept = self.run_lock.look_after(&self.writer).await?;
            self.unless_taken_over(kept)?;
        }
        Ok(read)
    }

    /// Asks on the connection that writes, and gives the numbers that it answers: the ids that
    /// were written. Where the
    /// connection had to be made anew, the run lock is taken again afterwards: what was
    /// sent is recorded in any case.
    async fn write<'a>(
        &self,
        what: &str,
        sql: impl Fn(bool) -> &'a str,
        values: Values<'_>,
    ) -> Result<Vec<i64>, StoreError> {
        let (ids, _) = self.writer.ask(what, sql, values, |row| row.get(0)).await?;
        let kept = self.run_lock.keep(&self.writer).await?;
        self.unless_taken_over(kept)?;
        Ok(ids)
    }

    /// A page as the server gives it: with payloads that are long and blank.
    async fn read_page(
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
        let before = self.reader.connection().await;
        let values: Values<'_> = &[
            &request.after,
            &rows_limit,
            &bytes_limit,
            &stretch.last,
            &stretch.skip,
        ];
        let staged = |row: Row| {
            let payload: Option<String> = row.get(4);
            let bytes = payload.as_deref().unwrap_or_default().as_bytes();
            StagedRow {
                key: RowKey::new(row.get(0), row.get(2), bytes, row.get(3)),
                person_id: row.get(1),
                payload,
                previous: row.get(5),
                response: row.get(6),
            }
        };
        let read = self
            .reader
            .ask_in_order("read the rows to send", sql, values, staged)
            .await?;
        self.look_after_lock(before, read).await
    }

    fn unless_taken_over(&self, kept: bool) -> Result<(), StoreError> {
        if kept {
            return Ok(());
        }
        Err(taken_over(&self.place(), self.writer.patience().lock_again))
    }

    fn no_answer(&self, what: &str) -> StoreError {
        let waited = self.reader.patience().statement;
        no_answer(&database_place(&self.target), what, waited)
    }
}

#[async_trait]
impl StagingStore for PostgresStore {
    fn place(&self) -> String {
        format!("{}, table {}", database_place(&self.target), self.table)
    }

    fn standstill(&self) -> watch::Receiver<Option<Standstill>> {
        self.standstills.watch()
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
                let sql = create_sql(Dialect::Postgres, &self.table);
                self.writer.execute("create the table", &sql).await?;
                Ok(Created::Now)
            }
            Err(e) => Err(e),
        }
    }

    async fn examine(&self) -> Result<Vec<Probe>, StoreError> {
        Ok(examine::examine(self).await?.probes(&self.table))
    }

    async fn try_writing(&self) -> Result<u64, StoreError> {
        trial::try_writing(self).await
    }

    async fn lock(&self) -> Result<(), StoreError> {
        let found = self.found().await?;
        if self.run_lock.take(&self.writer, found.oid).await? {
            return Ok(());
        }
        let holder = run_lock::holder(&self.reader, found.oid).await?;
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

    async fn present(&self) -> Result<Present, StoreError> {
        let found = self.found().await?;
        let pairs = self
            .read(
                "look for rows to send",
                &found.statements.pairs,
                &[],
                |row| (row.get(0), row.get(1)),
            )
            .await?;
        Ok(Present::of(pairs))
    }

    /// On the connection that writes, which nothing else needs as long as nothing was sent.
    async fn count(
        &self,
        selection: Selection,
        superseded: &Superseded,
    ) -> Result<u64, StoreError> {
        let selected = self.found().await?.statements.of(selection);
        let sql = if superseded.is_empty() {
            &selected.count
        } else {
            &selected.count_newest
        };
        let counts = self.write("count the rows to send", |_| sql, &[]).await?;
        Ok(counts.first().map_or(0, |count| count.unsigned_abs()))
    }

    async fn superseded(&self) -> Result<Superseded, StoreError> {
        let found = self.found().await?;
        if found.shape.unique_person() {
            return Ok(Superseded::default());
        }
        let mut ids = Superseded::default();
        self.read(
            "look for children with several rows",
            &found.statements.superseded,
            &[],
            |row| ids.insert(row.get(0)),
        )
        .await?;
        Ok(ids)
    }

    fn counts_beside(&self) -> bool {
        true
    }

    async fn page_within(
        &self,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError> {
        let mut request = request;
        loop {
            let mut page = self.read_page(request, stretch).await?;
            let Some(last) = page.last().map(|row| row.key.id()) else {
                return Ok(page);
            };
            if request.selection == Selection::Records {
                page.retain(|row| !row.payload.as_deref().is_some_and(is_blank));
            }
            if !page.is_empty() {
                return Ok(page);
            }
            request.after = last;
        }
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
        self.write(
            "write the deltas",
            |_| &found.statements.write_partials,
            &[
                &keys.ids,
                &keys.states,
                &keys.versions,
                &keys.digests,
                &texts,
            ],
        )
        .await
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
        self.write(
            "record the outcome of a batch",
            |repeated| match repeated {
                false => &found.statements.record,
                true => &found.statements.record_again,
            },
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
        .await
    }

    async fn summary(&self) -> Result<TableSummary, StoreError> {
        let statements = &self.found().await?.statements;
        let what = "count the rows";
        let counts = self
            .read(what, &statements.counts, &[], |row| {
                (row.get(0), row.get(1), row.get::<_, i64>(2).unsigned_abs())
            })
            .await?;
        let times = self
            .read(what, &statements.times, &[], |row| (row.get(0), row.get(1)))
            .await?;
        let several = self.read(what, &statements.several, &[], count_of).await?;
        let superseded = self.superseded().await?;
        let eligible = self.count(Selection::Records, &superseded).await?;
        let (oldest_pending, last_submission) = times.into_iter().next().unwrap_or_default();
        Ok(TableSummary {
            counts,
            eligible,
            oldest_pending,
            last_submission,
            children_with_several_rows: several.first().copied().unwrap_or(0),
        })
    }

    async fn stage(&self, rows: &[NewRow]) -> Result<(), StoreError> {
        let found = self.found().await?;
        let persons: Vec<&str> = rows.iter().map(|r| r.person_id.as_str()).collect();
        let legacy: Vec<Option<&str>> = rows.iter().map(|r| r.legacy_id.as_deref()).collect();
        let payloads: Vec<&str> = rows.iter().map(|r| r.payload.as_str()).collect();
        let hashes: Vec<&[u8]> = rows.iter().map(|r| &r.hash[..]).collect();
        self.writer
            .ask_once_only(
                "stage rows",
                &found.statements.stage,
                &[&persons, &legacy, &payloads, &hashes],
            )
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

/// Whether a payload is nothing but what the server's `[[:space:]]` takes for a blank.
fn is_blank(payload: &str) -> bool {
    payload.chars().all(char::is_whitespace)
}

/// The count that a one-row answer holds.
fn count_of(row: Row) -> u64 {
    row.get::<_, i64>(0).unsigned_abs()
}
