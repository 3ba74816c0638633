//! An UPDATE that is really tried, and rolled back.

use super::session::{Failure, Statement};
use super::statements::bracketed;
use super::{SqlServerStore, catalogue, messages};
use crate::shape::Sought;
use crate::store::TRY_WRITING;
use crate::{StoreError, TableShape};

/// The row count is asked for in the same batch: what a trigger counts is not told there.
fn statement(shape: &TableShape, table: &str) -> String {
    let id = shape.column("id").map_or("id", |column| &column.name);
    let same: Vec<String> = shape
        .written()
        .into_iter()
        .map(bracketed)
        .map(|column| format!("{column} = {column}"))
        .collect();
    format!(
        "UPDATE {table} SET {same} WHERE {id} = (SELECT MIN({id}) FROM {table});
         SELECT CAST(@@ROWCOUNT AS BIGINT)",
        same = same.join(", "),
        id = bracketed(id),
    )
}

pub(super) async fn try_writing(store: &SqlServerStore) -> Result<u64, StoreError> {
    let shape = &store.found().await?.shape;
    let mut writer = store.writer.lock().await;
    let session = &mut writer.session;
    let Sought::Here(spelled) = catalogue::find(session, &store.table).await? else {
        let gone = Failure::Unreadable;
        return Err(messages::statement_failed(&store.target, TRY_WRITING, gone));
    };
    let steps = [
        "BEGIN TRANSACTION".to_string(),
        statement(shape, &spelled.full_name()),
        "ROLLBACK TRANSACTION".to_string(),
    ];
    let mut tried = 0;
    for step in steps {
        let rows = session
            .ask_once(Statement::new(step, Vec::new()), &mut |mut row| {
                row.number(0)
            })
            .await;
        match rows {
            Ok(rows) => tried += rows.first().map_or(0, |rows| rows.unsigned_abs()),
            Err(failure) => {
                // The server undoes what is not committed when the connection ends.
                session.drop_connection();
                return Err(messages::statement_failed(
                    &store.target,
                    TRY_WRITING,
                    failure,
                ));
            }
        }
    }
    Ok(tried)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    #[test]
    fn every_column_that_a_run_writes_is_tried_as_the_database_spells_it() {
        let names = [
            "ID",
            "person_id",
            "json_payload",
            "Previous_Json_Payload",
            "submission_status",
            "submission_timestamp",
            "api]response",
            "api_response",
            "row_state",
            "current_hash",
            "previous_hash",
        ];
        let columns = names.map(|name| Column {
            name: name.to_string(),
            kind: "nvarchar".to_string(),
            max_chars: None,
        });
        let table = "dbo.t".parse().unwrap();
        let shape = TableShape::new(&table, columns.to_vec(), false, "").unwrap();
        assert_eq!(
            statement(&shape, "[dbo].[t]"),
            "UPDATE [dbo].[t] SET [submission_status] = [submission_status], [api_response] = \
             [api_response], [submission_timestamp] = [submission_timestamp], [row_state] = \
             [row_state], [Previous_Json_Payload] = [Previous_Json_Payload], [previous_hash] = \
             [previous_hash] WHERE [ID] = (SELECT MIN([ID]) FROM [dbo].[t]);\n         \
             SELECT CAST(@@ROWCOUNT AS BIGINT)"
        );
    }
}
