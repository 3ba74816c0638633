//! An UPDATE that is really tried, and rolled back.

use rusqlite::{Connection, TransactionBehavior};

use super::Inner;
use crate::StoreError;
use crate::store::TRY_WRITING;

pub(super) fn try_writing(inner: &Inner, connection: &mut Connection) -> Result<u64, StoreError> {
    let table = inner.full_name();
    let shape = inner.shape(connection)?;
    let same: Vec<String> = shape
        .written()
        .into_iter()
        .map(|column| format!("{column} = {column}"))
        .collect();
    let sql = format!(
        "UPDATE {table} SET {} WHERE id = (SELECT min(id) FROM {table})",
        same.join(", ")
    );
    let mut attempt = || -> rusqlite::Result<usize> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let rows = transaction.execute(&sql, [])?;
        transaction.rollback()?;
        Ok(rows)
    };
    attempt()
        .map(|rows| rows as u64)
        .map_err(|e| inner.refused(TRY_WRITING, &e))
}
