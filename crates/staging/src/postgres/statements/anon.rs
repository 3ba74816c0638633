//! The SQL for filling, changing and setting back.

use super::{Made, SAME_ROW};
use crate::{RowState, SubmissionStatus};

/// The statements for one table.
pub(in crate::postgres) struct AnonStatements {
    pub(in crate::postgres) count: String,
    pub(in crate::postgres) remove: String,
    pub(in crate::postgres) restage: String,
    /// `None` where the table has no such column.
    pub(in crate::postgres) legacy_ids: Option<String>,
    pub(in crate::postgres) reset: String,
}

impl AnonStatements {
    pub(super) fn of(made: &Made<'_>) -> Self {
        let table = made.full_name;
        AnonStatements {
            count: format!("SELECT count(*) FROM {table}"),
            remove: format!("DELETE FROM {table}"),
            restage: restage(made),
            legacy_ids: made.shape.column("legacy_id").map(|_| {
                format!("SELECT id::int8, legacy_id::text FROM {table} WHERE id = ANY ($1::int8[])")
            }),
            reset: reset(table),
        }
    }
}

fn restage(made: &Made<'_>) -> String {
    let has = |column: &str| made.shape.column(column).is_some();
    let mut set = String::new();
    if has("previous_hash") && has("current_hash") {
        set += &format!(
            ", previous_hash = CASE WHEN v.payload IS NULL THEN t.previous_hash
                 ELSE t.current_hash{} END",
            made.cast("current_hash", "previous_hash")
        );
    }
    if has("current_hash") {
        set += ", current_hash = coalesce(v.hash, t.current_hash)";
    }
    if has("last_updated") {
        set += ", last_updated = now()";
    }
    format!(
        "UPDATE {table} AS t SET
             previous_json_payload = CASE WHEN v.payload IS NULL THEN t.previous_json_payload
                 ELSE t.json_payload{cast} END,
             json_payload = coalesce(v.payload::{kind}, t.json_payload),
             row_state = CASE WHEN v.payload IS NULL THEN '{deleted}' ELSE '{updated}' END,
             submission_status = CASE WHEN v.payload IS NULL THEN t.submission_status
                 ELSE '{pending}' END
             {set}
         FROM unnest($1::int8[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bytea[])
              AS v(id, row_state, version, digest, payload, hash)
         WHERE {SAME_ROW}
         RETURNING t.id::int8",
        table = made.full_name,
        cast = made.cast("json_payload", "previous_json_payload"),
        kind = made.kind("json_payload"),
        deleted = RowState::Deleted.word(),
        updated = RowState::Updated.word(),
        pending = SubmissionStatus::Pending.word(),
    )
}

/// The old status comes from the row as it was locked, since RETURNING gives the new one.
fn reset(table: &str) -> String {
    format!(
        "WITH was AS (
             SELECT id, lower(btrim(submission_status::text)) AS status FROM {table}
             WHERE lower(btrim(submission_status::text)) = ANY ($1::text[])
               AND lower(btrim(coalesce(row_state::text, ''))) <> '{deleted}'
             FOR UPDATE),
         done AS (
             UPDATE {table} AS t SET submission_status = '{pending}'
             FROM was WHERE t.id = was.id RETURNING was.status)
         SELECT status, count(*) FROM done GROUP BY status",
        deleted = RowState::Deleted.word(),
        pending = SubmissionStatus::Pending.word(),
    )
}
