//! The table as the server's catalogue has it.

use std::sync::Arc;

use tokio_postgres::Row;

use super::session::{Session, Values};
use super::statements::Statements;
use crate::shape::{Sought, no_table};
use crate::{Column, StoreError, TableName, TableShape};

const LOOK_UP: &str = "look up the table";

/// A table, and the statements made for it.
pub(super) struct Found {
    pub(super) shape: Arc<TableShape>,
    pub(super) oid: u32,
    pub(super) statements: Statements,
}

/// What the catalogue is asked about, and over which connection.
pub(super) struct Catalogue<'a> {
    pub(super) session: &'a Session,
    pub(super) table: &'a TableName,
}

impl Catalogue<'_> {
    /// The table and its statements.
    pub(super) async fn look_up(&self) -> Result<Found, StoreError> {
        let create_command = "csc-sender init --print postgres";
        let (oid, full_name) = match self.find().await? {
            Sought::Here(found) => found,
            Sought::Elsewhere(elsewhere) => {
                return Err(no_table(self.table, &elsewhere, create_command));
            }
        };
        let (columns, unique, indexed_pairs) = tokio::try_join!(
            self.columns(oid),
            self.unique_person(oid),
            self.indexed_pairs(oid)
        )?;
        let shape = TableShape::new(self.table, columns, unique, create_command)?;
        Ok(Found {
            statements: Statements::new(&shape, &full_name, indexed_pairs),
            shape: Arc::new(shape),
            oid,
        })
    }

    /// The table's number and its quoted name, whatever the case of its name, preferring
    /// the exact one.
    pub(super) async fn find(&self) -> Result<Sought<(u32, String)>, StoreError> {
        let visible = if self.table.schema().is_some() {
            "(n.nspname = $1 OR lower(n.nspname) = lower($1))"
        } else {
            "$1::text IS NULL AND pg_table_is_visible(c.oid)"
        };
        let table = self
            .read(
                LOOK_UP,
                &format!(
                    "SELECT c.oid::int8, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
                     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                     WHERE {visible} AND (c.relname = $2 OR lower(c.relname) = lower($2))
                       AND c.relkind IN ('r', 'p')
                     ORDER BY (n.nspname = $1) DESC NULLS LAST, (c.relname = $2) DESC LIMIT 1"
                ),
                &[&self.table.schema(), &self.table.name()],
                |row| {
                    let oid: i64 = row.get(0);
                    (u32::try_from(oid).unwrap_or_default(), row.get(1))
                },
            )
            .await?;
        if let Some(found) = table.into_iter().next() {
            return Ok(Sought::Here(found));
        }
        let elsewhere = self
            .read(
                LOOK_UP,
                "SELECT n.nspname || '.' || c.relname
                 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                 WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r', 'p')
                   AND has_schema_privilege(n.oid, 'USAGE') ORDER BY 1",
                &[&self.table.name()],
                |row| row.get(0),
            )
            .await?;
        Ok(Sought::Elsewhere(elsewhere))
    }

    pub(super) async fn columns(&self, oid: u32) -> Result<Vec<Column>, StoreError> {
        self.read(
            LOOK_UP,
            "SELECT a.attname::text, format_type(a.atttypid, NULL),
                    CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype)
                              AND a.atttypmod > 4 THEN a.atttypmod - 4 END
             FROM pg_attribute AS a
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum",
            &[&oid],
            |row| Column {
                name: row.get(0),
                kind: row.get(1),
                max_chars: row
                    .get::<_, Option<i32>>(2)
                    .and_then(|n| usize::try_from(n).ok()),
            },
        )
        .await
    }

    /// Whether an index keeps each child to one row.
    pub(super) async fn unique_person(&self, oid: u32) -> Result<bool, StoreError> {
        let unique = self
            .read(
                LOOK_UP,
                "SELECT 1 FROM pg_index AS i
                 JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                   AND i.indnkeyatts = 1 AND lower(a.attname) = 'person_id' LIMIT 1",
                &[&oid],
                |_| (),
            )
            .await?;
        Ok(!unique.is_empty())
    }

    /// Whether an index on submission_status and row_state answers which of them occur.
    async fn indexed_pairs(&self, oid: u32) -> Result<bool, StoreError> {
        let indexes = self
            .read(
                LOOK_UP,
                "SELECT 1 FROM pg_index AS i
                 JOIN pg_class AS c ON c.oid = i.indexrelid
                 JOIN pg_am AS m ON m.oid = c.relam AND m.amname = 'btree'
                 JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                 JOIN pg_attribute AS b ON b.attrelid = i.indrelid AND b.attnum = i.indkey[1]
                 WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL
                   AND lower(a.attname) = 'submission_status' AND lower(b.attname) = 'row_state'
                   AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
                   AND b.atttypid IN ('text'::regtype, 'varchar'::regtype) LIMIT 1",
                &[&oid],
                |_| (),
            )
            .await?;
        Ok(!indexes.is_empty())
    }

    async fn read<T>(
        &self,
        what: &str,
        sql: &str,
        values: Values<'_>,
        row: impl FnMut(Row) -> T,
    ) -> Result<Vec<T>, StoreError> {
        let (rows, _) = self.session.ask(what, |_| sql, values, row).await?;
        Ok(rows)
    }
}
