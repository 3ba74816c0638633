//! Filling, changing and setting back, in PostgreSQL.

use tokio_postgres::Row;

use super::{Keys, PostgresStore, count_of};
use crate::anon::{by_status, not_empty};
use crate::{
    Earlier, Filled, Halt, Restaged, RowKey, RowSource, StagingStore, StoreError, SubmissionStatus,
};

pub(super) async fn fill(
    store: &PostgresStore,
    rows: &mut dyn RowSource,
    earlier: Earlier,
) -> Result<Filled, Halt> {
    store.table.must_be_anon()?;
    // Looked up before the transaction begins.
    store.found().await?;
    let writer = &store.writer;
    writer.begin("begin to fill the table").await?;
    let filled = fill_within(store, rows, earlier).await;
    match &filled {
        Ok(_) => writer.end("end filling the table", "COMMIT").await?,
        // What failed is what is told; a connection that is lost undoes it too.
        Err(_) => drop(writer.end("undo the filling", "ROLLBACK").await),
    }
    filled
}

async fn fill_within(
    store: &PostgresStore,
    rows: &mut dyn RowSource,
    earlier: Earlier,
) -> Result<Filled, Halt> {
    let statements = &store.found().await?.statements.anon;
    let writer = &store.writer;
    let (counted, _) = writer
        .ask("count the rows", |_| &statements.count, &[], count_of)
        .await?;
    let removed = counted.first().copied().unwrap_or(0);
    if removed > 0 {
        if earlier == Earlier::Kept {
            return Err(not_empty(&store.table, removed).into());
        }
        let what = "remove the earlier rows";
        writer.ask_once_only(what, &statements.remove, &[]).await?;
    }
    let mut written = 0;
    loop {
        let piece = rows.next().await?;
        if piece.is_empty() {
            return Ok(Filled { removed, written });
        }
        // On the connection that has the transaction.
        store.stage(&piece).await?;
        written += piece.len() as u64;
    }
}

pub(super) async fn restage(
    store: &PostgresStore,
    changes: &[(RowKey, Restaged)],
) -> Result<Vec<i64>, StoreError> {
    store.table.must_be_anon()?;
    let found = store.found().await?;
    let keys = Keys::of(changes.iter().map(|(key, _)| key));
    let updates = changes.iter().map(|(_, change)| change.update());
    let payloads: Vec<Option<&str>> = updates.clone().map(|u| u.map(|(text, _)| text)).collect();
    let hashes: Vec<Option<&[u8]>> = updates.map(|u| u.map(|(_, hash)| &hash[..])).collect();
    store
        .write(
            "stage changes",
            |_| &found.statements.anon.restage,
            &[
                &keys.ids,
                &keys.states,
                &keys.versions,
                &keys.digests,
                &payloads,
                &hashes,
            ],
        )
        .await
}

pub(super) async fn legacy_ids(
    store: &PostgresStore,
    ids: &[i64],
) -> Result<Vec<(i64, Option<String>)>, StoreError> {
    let Some(sql) = &store.found().await?.statements.anon.legacy_ids else {
        return Ok(Vec::new());
    };
    store
        .read("read the rows' legacy_id", sql, &[&ids], |row| {
            (row.get(0), row.get(1))
        })
        .await
}

pub(super) async fn reset(
    store: &PostgresStore,
    from: &[SubmissionStatus],
) -> Result<Vec<(SubmissionStatus, u64)>, StoreError> {
    let statements = &store.found().await?.statements.anon;
    let words: Vec<&str> = from.iter().map(|status| status.word()).collect();
    let counted = |row: Row| (row.get(0), row.get::<_, i64>(1).unsigned_abs());
    let (rows, _) = store
        .writer
        .ask(
            "set rows back to pending",
            |_| &statements.reset,
            &[&words],
            counted,
        )
        .await?;
    Ok(by_status(rows))
}
