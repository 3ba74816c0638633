//! What the program asks of a staging table, whichever database it lives in.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use csc_message::{Message, Probe};
use tokio::sync::watch;

use crate::connection::ConnectionTarget;
use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;
use crate::sqlserver::SqlServerStore;
use crate::{
    Earlier, Filled, Halt, NewRow, Outcome, Restaged, RowKey, RowSource, RowState, StagedRow,
    Standstill, StoreError, StoreErrorKind, Stretch, SubmissionStatus, Superseded, TableName,
    TableShape,
};

/// How much one page may hold: whichever bound is met first ends it. A page with
/// a row that is larger than `bytes` holds just that row or ends with it.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// Rows, at least 1.
    pub rows: u32,
    /// Bytes of payload, as UTF-8.
    pub bytes: u64,
}

/// Which rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// What may be sent: status pending, error or testing, state not deleted (both in
    /// any case), payload not blank, and the newest row of its child.
    Records,
    /// State deleted, whatever the status, and the newest row of its child.
    Deletions,
    /// The newest row of each child that is not deleted, whatever its status and payload:
    /// what was sent or will be.
    Children,
}

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// Which rows.
    pub selection: Selection,
    /// Only rows with a greater id.
    pub after: i64,
    /// How much the page may hold.
    pub limits: PageLimits,
    /// Whether `previous_json_payload` is read too.
    pub with_previous: bool,
}

/// Which selections may have rows at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// [`Selection::Records`].
    pub records: bool,
    /// [`Selection::Deletions`].
    pub deletions: bool,
    /// How many [`Selection::Records`] has, also of those with a newer row of the same
    /// child, where it was seen on the way.
    pub records_counted: Option<u64>,
}

impl Present {
    /// By the pairs of submission_status and row_state that occur, as they are spelled in
    /// the table.
    pub(crate) fn of(pairs: impl IntoIterator<Item = (Option<String>, Option<String>)>) -> Self {
        let pairs = pairs.into_iter().map(|(status, state)| (status, state, 0));
        Present {
            records_counted: None,
            ..Present::counted(pairs)
        }
    }

    /// The same with how many rows there are of each pair that have a payload.
    pub(crate) fn counted(
        pairs: impl IntoIterator<Item = (Option<String>, Option<String>, u64)>,
    ) -> Self {
        let is = |spelled: &Option<String>, word: &str| {
            let spelled = spelled.as_deref().unwrap_or_default();
            spelled.trim_matches(' ').to_lowercase() == word
        };
        let (mut present, mut counted) = (Present::default(), 0);
        for (status, state, rows) in pairs {
            let deleted = is(&state, RowState::Deleted.word());
            let mut eligible = SubmissionStatus::ELIGIBLE.into_iter();
            present.deletions |= deleted;
            if !deleted && eligible.any(|word| is(&status, word.word())) {
                present.records = true;
                counted += rows;
            }
        }
        Present {
            records_counted: Some(counted),
            ..present
        }
    }
}

/// How many ids to skip one statement is told: rounded up to a power of two, well within the
/// 2,100 parameters that SQL Server takes.
const SKIPPED_AT_ONCE: usize = 1000;

/// The subject of the first probe of an examination that is about the table.
pub const TABLE_PROBE: &str = "table";

/// What the trial of writing is called in a message.
pub(crate) const TRY_WRITING: &str = "write to a row, which was to be rolled back at once";

/// Whether `create` had something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The table was made.
    Now,
    /// It was there, and was not touched.
    AlreadyThere,
}

/// The table in figures, for `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSummary {
    /// Rows by (submission_status, row_state), both in lower case, blank as `(blank)`.
    pub counts: Vec<(String, String, u64)>,
    /// Rows that the next run would read.
    pub eligible: u64,
    /// When the oldest pending row last changed, in the database's words.
    pub oldest_pending: Option<String>,
    /// The newest `submission_timestamp` of a row that was ever acknowledged, as
    /// `YYYY-MM-DD HH:MM:SS`. Rows that were never sent have a timestamp too (the
    /// time of their insertion), which is ignored.
    pub last_submission: Option<String>,
    /// Children with more than one row.
    pub children_with_several_rows: u64,
}

/// A staging table. One store is one table; its methods may be called from several
/// tasks. All work is done in sets: a page is one query, a batch's outcomes one
/// statement.
#[async_trait]
pub trait StagingStore: Send + Sync {
    /// The database and table in words, without a password, e.g.
    /// `PostgreSQL db.example:5432/HDM_Local, table ssd_api_data_staging_anon`.
    fn place(&self) -> String;

    /// What the store is waiting for just now, as that changes. Nothing, where no connection
    /// can be lost.
    fn standstill(&self) -> watch::Receiver<Option<Standstill>> {
        watch::Sender::default().subscribe()
    }

    /// The table as it is. An error where it is missing or lacks a needed column.
    async fn shape(&self) -> Result<Arc<TableShape>, StoreError>;

    /// Creates the table where it is missing; one that exists is not touched.
    async fn create(&self) -> Result<Created, StoreError>;

    /// Looks at the server, the logon and the table, with what is missing; nothing is
    /// changed, and the table may be missing or lack columns. The probe whose subject is
    /// [`TABLE_PROBE`] and those after it are about the table, those before it are not.
    async fn examine(&self) -> Result<Vec<Probe>, StoreError>;

    /// Really tries what the catalogue promises: writes a row's own values back into every
    /// column that a run writes, in a transaction that is rolled back. Gives how many rows
    /// were tried: one, or none where the table is empty (the rights are asked for all the
    /// same). A trigger of the table's runs too, and is rolled back with it.
    async fn try_writing(&self) -> Result<u64, StoreError>;

    /// Takes the table's run lock, which disappears with the store or the process.
    /// An error of kind `Busy` where another run has it.
    async fn lock(&self) -> Result<(), StoreError>;

    /// Whether there may be anything to do. Where an index has both submission_status and
    /// row_state, the table itself is not looked at; no payload is in any case.
    async fn present(&self) -> Result<Present, StoreError>;

    /// How many rows there are of that selection now that are not superseded. Where no row
    /// is, that is a plain count. Payloads are not read for it: one that is long and nothing
    /// but blanks may be counted, although no page has it.
    async fn count(&self, selection: Selection, superseded: &Superseded)
    -> Result<u64, StoreError>;

    /// Which rows have a newer one of the same child: found once, for all pages of a pass.
    async fn superseded(&self) -> Result<Superseded, StoreError>;

    /// Whether rows can be counted while pages are read.
    fn counts_beside(&self) -> bool {
        false
    }

    /// The rows that are asked for and are not superseded, in order of id. An empty page
    /// is the end.
    async fn page(
        &self,
        request: PageRequest,
        superseded: &Superseded,
    ) -> Result<Vec<StagedRow>, StoreError> {
        let mut request = request;
        loop {
            let stretch = superseded.stretch(request.after, SKIPPED_AT_ONCE);
            let page = self.page_within(request, &stretch).await?;
            if !page.is_empty() || stretch.is_last() {
                return Ok(page);
            }
            request.after = stretch.last;
        }
    }

    /// The rows that are asked for within a stretch of ids, in order of id.
    async fn page_within(
        &self,
        request: PageRequest,
        stretch: &Stretch,
    ) -> Result<Vec<StagedRow>, StoreError>;

    /// Records what became of rows, all in one statement and transaction, each only
    /// where the row still is the one that was read. Gives the ids that were recorded;
    /// a row that is missing there changed meanwhile and was left as it is.
    async fn record(&self, outcomes: &[Outcome]) -> Result<Vec<i64>, StoreError>;

    /// Prepares for [`StagingStore::record`] of so many rows at a time, where the server
    /// takes its time over that. It changes nothing, and may be left out.
    async fn expect_to_record(&self, rows: usize) -> Result<(), StoreError> {
        let _ = rows;
        Ok(())
    }

    /// Writes `partial_json_payload` (`None` empties it) of rows that still are the ones
    /// that were read, in one statement. Gives the ids that were written.
    async fn write_partials(
        &self,
        partials: &[(RowKey, Option<String>)],
    ) -> Result<Vec<i64>, StoreError>;

    /// The table in figures.
    async fn summary(&self) -> Result<TableSummary, StoreError>;

    /// Stages rows as the pilot's SQL does: pending, new.
    async fn stage(&self, rows: &[NewRow]) -> Result<(), StoreError>;

    /// Stages all rows that a source gives, pending and new, in one transaction: all of
    /// them, or nothing. Only in a table whose name ends in `_anon`.
    async fn fill(&self, rows: &mut dyn RowSource, earlier: Earlier) -> Result<Filled, Halt>;

    /// Stages changes as the pilot's SQL does, in one statement, each only where the row
    /// still is the one that was read. Gives the ids that were changed. Only in a table
    /// whose name ends in `_anon`.
    async fn restage(&self, changes: &[(RowKey, Restaged)]) -> Result<Vec<i64>, StoreError>;

    /// `legacy_id` of these rows, by their ids; nothing where the table has no such
    /// column.
    async fn legacy_ids(&self, ids: &[i64]) -> Result<Vec<(i64, Option<String>)>, StoreError>;

    /// Makes every row with one of these statuses `pending`, in one statement, and gives
    /// how many had each. Rows of deleted children are left alone: they go by what the
    /// receiver holds, whatever their status. Nothing but the status is written: a receipt
    /// and its time are what tells that a row was acknowledged before.
    async fn reset(
        &self,
        from: &[SubmissionStatus],
    ) -> Result<Vec<(SubmissionStatus, u64)>, StoreError>;
}

/// Connects to the database that the target names. An SQLite file must exist.
pub async fn connect(
    target: &ConnectionTarget,
    table: &TableName,
) -> Result<Arc<dyn StagingStore>, StoreError> {
    open(target, table, false).await
}

/// Connects, creating an SQLite file that does not exist yet, for the owner alone.
pub async fn connect_creating(
    target: &ConnectionTarget,
    table: &TableName,
) -> Result<Arc<dyn StagingStore>, StoreError> {
    open(target, table, true).await
}

async fn open(
    target: &ConnectionTarget,
    table: &TableName,
    create: bool,
) -> Result<Arc<dyn StagingStore>, StoreError> {
    match target {
        ConnectionTarget::Sqlite { path } => {
            Ok(Arc::new(SqliteStore::open(path, table, create).await?))
        }
        ConnectionTarget::Postgres(target) => {
            Ok(Arc::new(PostgresStore::connect(target, table).await?))
        }
        ConnectionTarget::SqlServer(target) => {
            Ok(Arc::new(SqlServerStore::connect(target, table).await?))
        }
    }
}

/// What is said where deltas are to be written and there is no column for them.
pub(crate) fn no_partial_column(table: &TableName) -> StoreError {
    StoreError::new(
        StoreErrorKind::Table,
        Message::new(
            305,
            format!("Table {table} lacks the column(s) partial_json_payload"),
            "deltas are written there, and this table was made without",
            "ask your DBA to add it with ALTER TABLE, or send deltas without preparing them: \
             `csc-sender send --mode deltas` needs no such column",
        ),
    )
}

/// What is said where a run lost its connection, and with it the run lock, to another run.
pub(crate) fn taken_over(place: &str, waited: Duration) -> StoreError {
    StoreError::new(
        StoreErrorKind::Busy,
        Message::new(
            501,
            format!("Another run has taken over {place}"),
            format!(
                "the connection that held the run lock was lost, and the new one was not given it \
                 within {} s; what was sent is recorded",
                waited.as_secs()
            ),
            "wait until that run has ended, then start again for what is left",
        ),
    )
}

/// The words of `ELIGIBLE` as a list of SQL literals: constants, never a user's value.
pub(crate) fn eligible_words() -> String {
    let words: Vec<String> = crate::SubmissionStatus::ELIGIBLE
        .into_iter()
        .map(|status| format!("'{}'", status.word()))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_present_is_told_by_the_words_in_any_case_and_between_blanks() {
        let present = |pairs: &[(&str, &str)]| {
            let word = |word: &str| (word != "-").then(|| word.to_string());
            let found = Present::of(pairs.iter().map(|(a, b)| (word(a), word(b))));
            (found.records, found.deletions)
        };
        assert_eq!(present(&[]), (false, false));
        assert_eq!(
            present(&[("sent", "unchanged"), ("-", "-")]),
            (false, false)
        );
        assert_eq!(present(&[("sent", "x"), (" PENDING ", "-")]), (true, false));
        assert_eq!(present(&[("Error", " DELETED")]), (false, true));
        assert_eq!(
            present(&[("-", "deleted"), ("Testing", "New")]),
            (true, true)
        );
        assert_eq!(present(&[("pendin", "delete")]), (false, false));
    }

    #[test]
    fn the_rows_that_are_counted_are_those_of_records() {
        let pairs = [
            ("pending", "new", 3),
            (" ERROR", "x", 4),
            ("pending", "deleted", 5),
            ("sent", "new", 6),
        ];
        let pairs = pairs.map(|(a, b, rows)| (Some(a.to_string()), Some(b.to_string()), rows));
        let found = Present::counted(pairs.clone());
        assert_eq!(found.records_counted, Some(7));
        let found = Present::of(pairs.map(|(a, b, _)| (a, b)));
        assert_eq!((found.records, found.records_counted), (true, None));
    }
}
