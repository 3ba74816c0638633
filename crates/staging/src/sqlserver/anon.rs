//! Staging, filling, changing and setting back, in SQL Server.

use super::messages::statement_failed;
use super::session::Statement;
use super::values::{Row, Value};
use super::{ROWS_A_STATEMENT, SqlServerStore, statements};
use crate::anon::{by_status, not_empty};
use crate::{
    Earlier, Filled, Halt, NewRow, Restaged, RowKey, RowSource, StoreError, SubmissionStatus,
};

const STAGE: &str = "stage rows";
const FILL: &str = "fill the table";

/// All of them or none, in one transaction as with [`fill`].
pub(super) async fn stage(store: &SqlServerStore, rows: &[NewRow]) -> Result<(), StoreError> {
    store.found().await?;
    run(store, STAGE, "BEGIN TRANSACTION", Vec::new()).await?;
    insert(store, STAGE, rows).await?;
    run(store, STAGE, "COMMIT TRANSACTION", Vec::new()).await?;
    Ok(())
}

/// One transaction on the connection that writes. Nothing in it is tried again: where the
/// connection is lost, the server has undone what went before.
pub(super) async fn fill(
    store: &SqlServerStore,
    rows: &mut dyn RowSource,
    earlier: Earlier,
) -> Result<Filled, Halt> {
    store.table.must_be_anon()?;
    store.found().await?;
    run(store, FILL, "BEGIN TRANSACTION", Vec::new()).await?;
    let filled = fill_within(store, rows, earlier).await;
    match &filled {
        Ok(_) => {
            run(store, FILL, "COMMIT TRANSACTION", Vec::new()).await?;
        }
        // The server undoes what is not committed when the connection ends, and the run
        // lock is let go with it: nothing is written after this.
        Err(_) => store.writer.lock().await.session.drop_connection(),
    }
    filled
}

/// Runs a statement of the transaction once, and gives the number that it gives.
async fn run(
    store: &SqlServerStore,
    what: &str,
    sql: impl Into<String>,
    values: Vec<Value>,
) -> Result<Option<i64>, StoreError> {
    let mut writer = store.writer.lock().await;
    let mut number = |mut row: Row| row.number(0);
    let done = writer
        .session
        .ask_once(Statement::new(sql, values), &mut number)
        .await;
    if done.is_err() {
        writer.session.drop_connection();
    }
    done.map(|numbers| numbers.first().copied())
        .map_err(|failure| statement_failed(&store.target, what, failure))
}

async fn fill_within(
    store: &SqlServerStore,
    rows: &mut dyn RowSource,
    earlier: Earlier,
) -> Result<Filled, Halt> {
    let statements = &store.found().await?.statements;
    let counted = run(store, FILL, statements.count_all(), Vec::new()).await?;
    let removed = counted.unwrap_or_default().unsigned_abs();
    if removed > 0 {
        if earlier == Earlier::Kept {
            return Err(not_empty(&store.table, removed).into());
        }
        run(store, FILL, statements.remove_all(), Vec::new()).await?;
    }
    let mut written = 0;
    loop {
        let rows = rows.next().await?;
        if rows.is_empty() {
            return Ok(Filled { removed, written });
        }
        written += rows.len() as u64;
        insert(store, FILL, &rows).await?;
    }
}

async fn insert(store: &SqlServerStore, what: &str, rows: &[NewRow]) -> Result<(), StoreError> {
    let statements = &store.found().await?.statements;
    for piece in rows.chunks(ROWS_A_STATEMENT) {
        let values = piece.iter().flat_map(|row| {
            let values: [Value; statements::STAGE_VALUES] = [
                Value::Word(Some(row.person_id.clone())),
                Value::Word(row.legacy_id.clone()),
                Value::Text(Some(row.payload.clone())),
                Value::Digest(Some(row.hash)),
            ];
            values
        });
        run(store, what, statements.stage(piece.len()), values.collect()).await?;
    }
    Ok(())
}

pub(super) async fn restage(
    store: &SqlServerStore,
    changes: &[(RowKey, Restaged)],
) -> Result<Vec<i64>, StoreError> {
    store.table.must_be_anon()?;
    let found = store.found().await?;
    store
        .write_in_pieces("stage changes", changes, |piece, _| {
            let values = piece.iter().flat_map(|(key, change)| {
                let update = change.update();
                let values: [Value; statements::RESTAGE_VALUES] = [
                    Value::Number(key.id),
                    Value::Word(key.row_state.clone()),
                    Value::Digest(Some(key.digest)),
                    Value::Text(update.map(|(payload, _)| payload.to_string())),
                    Value::Digest(update.map(|(_, hash)| *hash)),
                ];
                values
            });
            Statement::new(found.statements.restage(piece.len()), values.collect())
        })
        .await
}

pub(super) async fn legacy_ids(
    store: &SqlServerStore,
    ids: &[i64],
) -> Result<Vec<(i64, Option<String>)>, StoreError> {
    let found = store.found().await?;
    let mut read = Vec::with_capacity(ids.len());
    for piece in ids.chunks(ROWS_A_STATEMENT) {
        let ids = statements::padded(piece);
        let Some(sql) = found.statements.legacy_ids(ids.len()) else {
            return Ok(Vec::new());
        };
        let statement = || {
            let values = ids.iter().copied().map(Value::Number);
            Statement::new(sql.clone(), values.collect())
        };
        let rows = store
            .read("read the rows' legacy_id", statement, |mut row| {
                Some((row.number(0)?, row.text(1)))
            })
            .await?;
        read.extend(rows);
    }
    Ok(read)
}

pub(super) async fn reset(
    store: &SqlServerStore,
    from: &[SubmissionStatus],
) -> Result<Vec<(SubmissionStatus, u64)>, StoreError> {
    let sql = store.found().await?.statements.reset(from.len());
    let words = || {
        from.iter()
            .map(|status| Value::Word(Some(status.word().to_string())))
    };
    let counts = store
        .write(
            "set rows back to pending",
            |_| Statement::new(sql.clone(), words().collect()),
            |mut row| Some((row.text(0)?, row.number(1)?.unsigned_abs())),
        )
        .await?;
    Ok(by_status(counts))
}
