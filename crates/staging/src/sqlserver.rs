//! The staging table in SQL Server (SystemC, Mosaic): 2016 and later, at compatibility
//! level 120 and up, with no more rights than SELECT and UPDATE on the table.
//!
//! Two connections: one reads pages, the other records and holds the run lock.
//!
//! Reading does not block writers for longer than one short statement. Every page is a
//! statement and a transaction of its own at READ COMMITTED, bounded in rows and bytes
//! and read to its end at once, so no lock of it outlives it, and none is held while the
//! receiver is waited for. Where the database has READ_COMMITTED_SNAPSHOT on, it takes
//! no locks at all. Nothing more is asked for: NOLOCK reads what may be rolled back and
//! may miss a row that moves, and READPAST passes over a row that is locked, which for
//! the newest row of a child would mean that an older one is sent in its place. SNAPSHOT
//! has to be allowed by the database's owner. So where somebody else's statement holds
//! rows for long, it is this program that waits, half a minute at a time, three times.
//!
//! Writing locks the rows of one batch, found by their ids, for the length of one
//! statement. What is written goes only to rows that still are as they were read, so a
//! statement whose answer was lost with its connection can be sent again.

mod anon;
mod browser;
mod catalogue;
mod connect;
mod examine;
mod fault;
mod hashed;
mod messages;
mod run_lock;
mod session;
mod statements;
#[cfg(test)]
mod tests;
mod trial;
mod values;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use csc_message::{Message, Probe};
use tokio::sync::{Mutex, OnceCell, watch};

use self::catalogue::Found;
use self::messages::database_place;
use self::run_lock::Writer;
use self::session::{Patience, Session, Statement};
use self::statements::Statements;
use self::values::{Row, Value, cut, from_utf16};
use crate::connection::SqlServerTarget;
use crate::ddl::{Dialect, create_sql};
use crate::standstill::{Standstills, lock_is_held};
use crate::store::{no_partial_column, taken_over};
use crate::{
    Created, Earlier, Filled, Halt, NewRow, Outcome, PageRequest, Present, Restaged, RowKey,
    RowSource, Selection, StagedRow, StagingStore, Standstill, StoreError, StoreErrorKind, Stretch,
    SubmissionStatus, Superseded, TableName, TableShape, TableSummary,
};

/// Rows that one statement writes: six parameters each at most, and 2,100 is SQL Server's
/// limit. A batch has a hundred at most, so it is one statement.
const ROWS_A_STATEMENT: usize = 200;
const _: () =
    assert!(ROWS_A_STATEMENT * (statements::OWN_VALUES + statements::FATE_VALUES) + 1 < 2100);
/// The number of a row's fate is one byte.
const _: () = assert!(ROWS_A_STATEMENT <= 256);

/// How long a run waits for another's lock: not at all, but a server of the tests takes
/// no 0 for that.
const LOCK_WAIT: Duration = Duration::from_millis(100);

/// A staging table in SQL Server.
pub(crate) struct SqlServerStore {
    target: Arc<SqlServerTarget>,
    table: TableName,
    reader: Mutex<Session>,
    writer: Mutex<Writer>,
    standstills: Standstills,
    found: OnceCell<Found>,
}

impl SqlServerStore {
    pub(crate) async fn connect(
        target: &SqlServerTarget,
        table: &TableName,
    ) -> Result<Self, StoreError> {
        Self::connect_with(target, table, Patience::USUAL).await
    }

    async fn connect_with(
        target: &SqlServerTarget,
        table: &TableName,
        patience: Patience,
    ) -> Result<Self, StoreError> {
        let target = Arc::new(target.clone());
        let standstills = Standstills::default();
        let connect = || Session::connect(Arc::clone(&target), patience, standstills.clone());
        // One after the other: a password that is wrong is counted by the server.
        let (reader, writer) = (connect().await?, connect().await?);
        Ok(SqlServerStore {
            target,
            table: table.clone(),
            reader: Mutex::new(reader),
            writer: Mutex::new(Writer::new(writer)),
            standstills,
            found: OnceCell::new(),
        })
    }

    async fn found(&self) -> Result<&Found, StoreError> {
        self.found.get_or_try_init(|| self.look_up()).await
    }

    async fn look_up(&self) -> Result<Found, StoreError> {
        let mut reader = self.reader.lock().await;
        catalogue::look_up(&mut reader, &self.table).await
    }

    /// Asks on the connection that reads. Where that had to be made anew, the server was
    /// gone, and the run lock with it: it is looked after at once, not only when there
    /// is something to write.
    async fn read<T>(
        &self,
        what: &str,
        make: impl Fn() -> Statement,
        row: impl FnMut(Row) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let (rows, anew) = {
            let mut reader = self.reader.lock().await;
            let before = reader.connection();
            let rows = reader.ask(what, |_| make(), row).await?;
            (rows, reader.connection() != before)
        };
        if anew {
            self.look_after_lock().await?;
        }
        Ok(rows)
    }

    async fn look_after_lock(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        if writer.holds_lock() {
            let ask = |_| Statement::new("SELECT 1", Vec::new());
            let what = "see whether the run lock is still held";
            writer.session.ask(what, ask, |_| Some(())).await?;
            self.keep_lock(&mut writer).await?;
        }
        Ok(())
    }

    /// Writes on the other connection. Where that had to be made anew, the run lock is
    /// taken again afterwards: what was sent is recorded in any case.
    async fn write<T>(
        &self,
        what: &str,
        make: impl FnMut(bool) -> Statement,
        row: impl FnMut(Row) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut writer = self.writer.lock().await;
        let rows = writer.session.ask(what, make, row).await?;
        self.keep_lock(&mut writer).await?;
        Ok(rows)
    }

    /// An error where another run has the lock that was lost with its connection.
    async fn keep_lock(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let wait = writer.session.patience().lock_again;
        if writer.keep_lock(LOCK_WAIT).await? {
            return Ok(());
        }
        self.standstills.begins(lock_is_held, wait);
        if writer.keep_lock(wait).await? {
            self.standstills.ends();
            return Ok(());
        }
        Err(taken_over(&self.place(), wait))
    }

    /// The ids that an UPDATE in pieces wrote. `make` is given a piece and whether it may
    /// have been carried out before.
    async fn write_in_pieces<P>(
        &self,
        what: &str,
        rows: &[P],
        make: impl Fn(&[P], bool) -> Statement,
    ) -> Result<Vec<i64>, StoreError> {
        let mut written = Vec::with_capacity(rows.len());
        for piece in rows.chunks(ROWS_A_STATEMENT) {
            let ids = self
                .write(
                    what,
                    |repeated| make(piece, repeated),
                    |mut row| row.number(0),
                )
                .await?;
            written.extend(ids);
        }
        Ok(written)
    }
}

/// A time as T-SQL reads it whatever the session's language; DATETIME2 takes seven
/// decimals.
fn iso_time(outcome: &Outcome) -> Option<String> {
    let time = outcome.result.timestamp()?.replace(' ', "T");
    let longest = time.find('.').map_or(time.len(), |point| point + 8);
    Some(time.chars().take(longest).collect())
}

/// What a row has to itself, in the order of the statement.
fn own(outcome: &Outcome, limit: Option<usize>) -> [Value; statements::OWN_VALUES] {
    [
        Value::Text(Some(cut(outcome.result.response(None), limit).to_string())),
        Value::Word(iso_time(outcome)),
    ]
}

/// What many rows were, and became, alike, in the order of the statement.
fn fate(outcome: &Outcome) -> [Value; statements::FATE_VALUES] {
    let purge = outcome.result.purge();
    [
        Value::Word(outcome.key.row_state.clone()),
        Value::Word(Some(outcome.result.status().word().to_string())),
        Value::Text(purge.map(|(record, _)| record.to_string())),
        Value::Digest(purge.map(|(_, hash)| *hash)),
    ]
}

/// How many rows the statement for so many is made for: few different ones are to be read
/// and planned by the server, and kept.
fn made_for(rows: usize) -> usize {
    let sizes = [1, 10, 100, ROWS_A_STATEMENT];
    let enough = sizes.into_iter().find(|size| *size >= rows);
    enough.unwrap_or(rows)
}

/// As many fates as most batches have at most, and how many more others are made for.
const FATES: usize = 4;

/// The statement that records these outcomes, each fate once. Rows that only make it as
/// long as others have a digest that no text has. `rows`: how many it is made for at least.
fn record_statement(
    statements: &Statements,
    outcomes: &[Outcome],
    rows: usize,
    limit: Option<usize>,
    repeated: bool,
) -> Statement {
    let mut fates = Vec::new();
    let mut packed = Vec::with_capacity(outcomes.len() * statements::PACKED_ROW);
    for outcome in outcomes {
        let fate = fate(outcome);
        let number = fates.iter().position(|known| *known == fate);
        let number = number.unwrap_or_else(|| {
            fates.push(fate);
            fates.len() - 1
        });
        packed.extend(outcome.key.id.to_be_bytes());
        packed.extend(outcome.key.digest);
        packed.push(number as u8);
    }
    let rows = made_for(rows.max(outcomes.len()));
    if !packed.is_empty() {
        packed.resize(rows * statements::PACKED_ROW, 0);
    }
    let no_rows = (outcomes.len()..rows).flat_map(|_| [Value::Text(None), Value::Word(None)]);
    let no_fate = [
        Value::Word(None),
        Value::Word(None),
        Value::Text(None),
        Value::Digest(None),
    ];
    fates.resize(fates.len().max(1).next_multiple_of(FATES), no_fate);
    let sql = statements.record(rows, fates.len(), repeated);
    let values = std::iter::once(Value::Packed(packed))
        .chain(outcomes.iter().flat_map(|outcome| own(outcome, limit)))
        .chain(no_rows)
        .chain(fates.into_iter().flatten());
    Statement::new(sql, values.collect())
}

/// How far a page goes: up to the row that takes it to so many bytes. The server counts
/// UTF-16 units, of which each is a byte of UTF-8 or more, so that no page ends too early;
/// whoever reads it ends it exactly. `None` where there are no rows.
fn last_within(lengths: &[(i64, u64)], bytes: u64) -> Option<i64> {
    let mut units = 0;
    let full = lengths.iter().find(|(_, length)| {
        units += length / 2;
        units >= bytes
    });
    full.or(lengths.last()).map(|(id, _)| *id)
}

#[async_trait]
impl StagingStore for SqlServerStore {
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
                for batch in batches(&create_sql(Dialect::SqlServer, &self.table)) {
                    self.write(
                        "create the table",
                        |_| Statement::new(batch.clone(), Vec::new()),
                        |_| Some(()),
                    )
                    .await?;
                }
                Ok(Created::Now)
            }
            Err(e) => Err(e),
        }
    }

    async fn examine(&self) -> Result<Vec<Probe>, StoreError> {
        let mut reader = self.reader.lock().await;
        let found = examine::examine(&mut reader, &self.table).await?;
        Ok(found.probes(&self.table))
    }

    async fn try_writing(&self) -> Result<u64, StoreError> {
        trial::try_writing(self).await
    }

    async fn lock(&self) -> Result<(), StoreError> {
        let found = self.found().await?;
        let mut writer = self.writer.lock().await;
        if writer.take_lock(&found.lock_name, LOCK_WAIT).await? {
            return Ok(());
        }
        let mut reader = self.reader.lock().await;
        let holder = run_lock::holder(&mut reader, &found.lock_name);
        Err(StoreError::new(
            StoreErrorKind::Busy,
            Message::new(
                501,
                format!("Another run is active on {}", self.place()),
                format!("it is held by {}", holder.await),
                "wait until that run has ended, then start again; nothing was sent by this one",
            ),
        ))
    }

    async fn present(&self) -> Result<Present, StoreError> {
        let statements = &self.found().await?.statements;
        let pairs = self
            .read(
                "look for rows to send",
                || Statement::new(statements.pairs.clone(), Vec::new()),
                |mut row| {
                    let payloads = row.number(2)?.unsigned_abs();
                    Some((row.text(0), row.text(1), payloads))
                },
            )
            .await?;
        Ok(Present::counted(pairs))
    }

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
        let rows = self
            .read(
                "count the rows to send",
                || Statement::new(sql.clone(), Vec::new()),
                |mut row| row.number(0),
            )
            .await?;
        Ok(rows.first().map_or(0, |count| count.unsigned_abs()))
    }

    async fn superseded(&self) -> Result<Superseded, StoreError> {
        let found = self.found().await?;
        if found.shape.unique_person() {
            return Ok(Superseded::default());
        }
        let mut ids = Superseded::default();
        self.read(
            "look for children with several rows",
            || Statement::new(found.statements.superseded.clone(), Vec::new()),
            |mut row| {
                ids.insert(row.number(0)?);
                Some(())
            },
        )
        .await?;
        Ok(ids)
    }

    async fn page_within(
        &self,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError> {
        let found = self.found().await?;
        let (statements, limits) = (&found.statements, request.limits);
        let skip = statements::padded(&stretch.skip);
        let selected = statements.of(request.selection);
        let with_skipped = |numbers: &[i64]| {
            let values = numbers.iter().chain(&skip).copied().map(Value::Number);
            values.collect::<Vec<_>>()
        };
        let last = statements.within_ids(stretch.last);
        let bytes = limits.bytes.max(1);
        let mut after = statements.within_ids(request.after);
        loop {
            let sql = selected.lengths(request.with_previous, skip.len());
            let rows = i64::from(limits.rows.max(1));
            let lengths = self
                .read(
                    "look for the rows to send",
                    || Statement::new(sql.clone(), with_skipped(&[after, last, rows])),
                    |mut row| {
                        let id = row.number(0)?;
                        let of = |column| row.number(column).map_or(0, i64::unsigned_abs);
                        Some((id, [1, 2].map(of).iter().sum()))
                    },
                )
                .await?;
            let Some(end) = last_within(&lengths, bytes) else {
                return Ok(Vec::new());
            };
            let sql = selected.page(request.with_previous, skip.len());
            let mut page = self
                .read(
                    "read the rows to send",
                    || Statement::new(sql.clone(), with_skipped(&[after, end])),
                    |mut row| {
                        let id = row.number(0)?;
                        let person_id = row.text(1);
                        let row_state = row.text(2);
                        let payload = row.utf16(3);
                        let bytes = payload.as_deref().unwrap_or_default();
                        Some(StagedRow {
                            key: found.hashed_as.key(id, row_state, bytes),
                            person_id,
                            payload: payload.as_deref().and_then(from_utf16),
                            previous: row.text(4),
                            response: row.text(5),
                        })
                    },
                )
                .await?;
            // Others may have become wanted since they were counted.
            page.truncate(usize::try_from(limits.rows.max(1)).unwrap_or(usize::MAX));
            end_at(&mut page, bytes);
            if !page.is_empty() {
                return Ok(page);
            }
            // None of them is wanted any more, and that is not the end.
            after = end;
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
        self.write_in_pieces("write the deltas", partials, |piece, _| {
            let values = piece.iter().flat_map(|(key, partial)| {
                let values: [Value; statements::PARTIAL_VALUES] = [
                    Value::Number(key.id),
                    Value::Word(key.row_state.clone()),
                    Value::Digest(Some(key.digest)),
                    Value::Text(partial.clone()),
                ];
                values
            });
            Statement::new(
                found.statements.write_partials(piece.len()),
                values.collect(),
            )
        })
        .await
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<i64>, StoreError> {
        let found = self.found().await?;
        let limit = found.shape.response_limit();
        self.write_in_pieces(
            "record the outcome of a batch",
            outcomes,
            |piece, repeated| record_statement(&found.statements, piece, 0, limit, repeated),
        )
        .await
    }

    async fn expect_to_record(&self, rows: usize) -> Result<(), StoreError> {
        let found = self.found().await?;
        let mut writer = self.writer.lock().await;
        let rows = rows.min(ROWS_A_STATEMENT);
        let make = || record_statement(&found.statements, &[], rows, None, false);
        let what = "prepare for recording";
        writer.session.ask_for_the_first_time(what, make).await
    }

    async fn summary(&self) -> Result<TableSummary, StoreError> {
        let statements = &self.found().await?.statements;
        let what = "count the rows";
        let counts = self
            .read(
                what,
                || Statement::new(statements.counts.clone(), Vec::new()),
                |mut row| Some((row.text(0)?, row.text(1)?, row.number(2)?.unsigned_abs())),
            )
            .await?;
        let times = self
            .read(
                what,
                || Statement::new(statements.times.clone(), Vec::new()),
                |mut row| Some((row.text(0), row.text(1))),
            )
            .await?;
        let several = self
            .read(
                what,
                || Statement::new(statements.several.clone(), Vec::new()),
                |mut row| row.number(0),
            )
            .await?;
        let superseded = self.superseded().await?;
        let eligible = self.count(Selection::Records, &superseded).await?;
        let (oldest_pending, last_submission) = times.into_iter().next().unwrap_or_default();
        Ok(TableSummary {
            counts,
            eligible,
            oldest_pending,
            last_submission,
            children_with_several_rows: several.first().map_or(0, |count| count.unsigned_abs()),
        })
    }

    async fn stage(&self, rows: &[NewRow]) -> Result<(), StoreError> {
        anon::stage(self, rows).await
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

/// Ends a page with the row that takes it to so many bytes of UTF-8.
fn end_at(page: &mut Vec<StagedRow>, bytes: u64) {
    let mut sum = 0u64;
    let full = page.iter().position(|row| {
        let of = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() as u64);
        sum += of(&row.payload) + of(&row.previous);
        sum >= bytes
    });
    if let Some(last) = full {
        page.truncate(last + 1);
    }
}

/// The batches of a script: GO, alone on a line, is a word of SSMS's, not of T-SQL's.
fn batches(script: &str) -> Vec<String> {
    let mut batches = vec![String::new()];
    for line in script.lines() {
        if line.trim().eq_ignore_ascii_case("go") {
            batches.push(String::new());
        } else if let Some(batch) = batches.last_mut() {
            batch.push_str(line);
            batch.push('\n');
        }
    }
    let is_sql = |batch: &String| {
        batch
            .lines()
            .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
    };
    batches.into_iter().filter(is_sql).collect()
}
