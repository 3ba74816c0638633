//! The SQL for filling, changing and setting back.

use super::{Statements, parameters, word};
use crate::{RowState, SubmissionStatus};

pub(in crate::sqlserver) const RESTAGE_VALUES: usize = 5;

impl Statements {
    /// How many rows there are.
    pub(in crate::sqlserver) fn count_all(&self) -> String {
        format!("SELECT COUNT_BIG(*) FROM {}", self.made.table)
    }

    /// Removes every row. Not TRUNCATE, which asks for the right to alter the table.
    pub(in crate::sqlserver) fn remove_all(&self) -> String {
        format!("DELETE FROM {}", self.made.table)
    }

    /// Stages so many changes. Each has [`RESTAGE_VALUES`] parameters: id, row_state,
    /// digest, payload, hash.
    pub(in crate::sqlserver) fn restage(&self, rows: usize) -> String {
        let made = &self.made;
        let mut set = format!(
            "{previous} = CASE WHEN v.payload IS NULL THEN {own_previous} ELSE {own_payload} END,
                 {payload} = COALESCE(v.payload, {own_payload}),
                 {state} = CASE WHEN v.payload IS NULL THEN N'{deleted}' ELSE N'{updated}' END,
                 {status} = CASE WHEN v.payload IS NULL THEN {own_status} ELSE N'{pending}' END",
            previous = made.previous,
            own_previous = made.own(&made.previous),
            payload = made.payload,
            own_payload = made.own(&made.payload),
            state = made.state,
            status = made.status,
            own_status = made.own(&made.status),
            deleted = RowState::Deleted.word(),
            updated = RowState::Updated.word(),
            pending = SubmissionStatus::Pending.word(),
        );
        if let (Some(previous_hash), Some(current_hash)) = (&made.previous_hash, &made.current_hash)
        {
            set += &format!(
                ",
                 {previous_hash} = CASE WHEN v.payload IS NULL THEN {} ELSE {} END",
                made.own(previous_hash),
                made.own(current_hash),
            );
        }
        if let Some(current_hash) = &made.current_hash {
            set += &format!(
                ",
                 {current_hash} = CASE WHEN v.payload IS NULL THEN {} ELSE v.hash END",
                made.own(current_hash),
            );
        }
        if let Some(last_updated) = &made.last_updated {
            set += &format!(
                ",
                 {last_updated} = GETDATE()"
            );
        }
        made.update_each(
            &set,
            rows,
            "id, row_state, digest, payload, hash",
            RESTAGE_VALUES,
        )
    }

    /// `legacy_id` of so many rows, whose ids are the parameters; `None` where the table
    /// has no such column.
    pub(in crate::sqlserver) fn legacy_ids(&self, rows: usize) -> Option<String> {
        let made = &self.made;
        let legacy_id = made.legacy_id.as_ref()?;
        let ids: Vec<String> = (1..=rows).map(|n| made.as_id(&format!("@P{n}"))).collect();
        Some(format!(
            "SELECT CAST({id} AS BIGINT), CAST({legacy_id} AS NVARCHAR(4000)) FROM {table}
             WHERE {id} IN ({ids})",
            id = made.id,
            table = made.table,
            ids = ids.join(", "),
        ))
    }

    /// Makes every row with one of these statuses pending, and counts what they had: before,
    /// and with the rows locked, since a server of the tests has no OUTPUT of the values
    /// before. What fails undoes all of it. The statuses are its parameters.
    pub(in crate::sqlserver) fn reset(&self, statuses: usize) -> String {
        let made = &self.made;
        let set_back = format!(
            "{status} IN ({words}) AND COALESCE({state}, N'') <> N'{deleted}'",
            status = word(&made.status),
            words = parameters(1, statuses),
            state = word(&made.state),
            deleted = RowState::Deleted.word(),
        );
        format!(
            "SET NOCOUNT ON;
             SET XACT_ABORT ON;
             DECLARE @was TABLE (status NVARCHAR(4000), number BIGINT);
             BEGIN TRANSACTION;
             INSERT INTO @was (status, number)
             SELECT w.status, COUNT_BIG(*)
             FROM (SELECT CAST({was} AS NVARCHAR(4000)) AS status
                   FROM {table} WITH (UPDLOCK) WHERE {set_back}) AS w
             GROUP BY w.status;
             UPDATE {table} SET {status} = N'{pending}' WHERE {set_back};
             COMMIT TRANSACTION;
             SELECT status, number FROM @was",
            table = made.table,
            status = made.status,
            was = word(&made.status),
            pending = SubmissionStatus::Pending.word(),
        )
    }
}
