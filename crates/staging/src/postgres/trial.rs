//! An UPDATE that is really tried, and rolled back.

use super::PostgresStore;
use crate::StoreError;
use crate::shape::Sought;
use crate::store::TRY_WRITING;

/// How long the trial waits for a row that somebody else is writing to.
const LOCK_WAIT: &str = "10s";

pub(super) async fn try_writing(store: &PostgresStore) -> Result<u64, StoreError> {
    let shape = &store.found().await?.shape;
    let Sought::Here((_, table)) = store.catalogue().find().await? else {
        return Err(store.no_answer(TRY_WRITING));
    };
    let same: Vec<String> = shape
        .written()
        .into_iter()
        .map(|column| column.to_ascii_lowercase())
        .map(|column| format!("{column} = {column}"))
        .collect();
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = '{LOCK_WAIT}';
         UPDATE {table} SET {} WHERE id = (SELECT min(id) FROM {table})",
        same.join(", ")
    );
    store.writer.try_out(TRY_WRITING, &sql).await
}
