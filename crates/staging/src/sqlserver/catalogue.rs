//! The table as the catalogue has it.

use std::sync::Arc;

use super::hashed::{HashedAs, hashed_as};
use super::messages::statement_failed;
use super::run_lock::lock_name;
use super::session::{Failure, Session, Statement};
use super::statements::{Statements, bracketed};
use super::values::Value;
use crate::{Column, StoreError, TableName, TableShape};

const WHAT: &str = "look up the table";
const CREATE_COMMAND: &str = "csc-sender init --print sqlserver";

/// What is known of the table, and the statements made for it.
pub(super) struct Found {
    pub(super) shape: Arc<TableShape>,
    pub(super) lock_name: String,
    pub(super) hashed_as: HashedAs,
    pub(super) statements: Statements,
}

/// A table as the catalogue spells it.
pub(super) struct Spelled {
    pub(super) id: i64,
    schema: String,
    name: String,
}

impl Spelled {
    /// As it is written in a statement.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", bracketed(&self.schema), bracketed(&self.name))
    }
}

/// Finds the table, whatever the case of its name, preferring the exact one.
pub(super) async fn look_up(session: &mut Session, table: &TableName) -> Result<Found, StoreError> {
    let Some(spelled) = find(session, table).await? else {
        // No column: the shape says that there is no such table.
        let missing = TableShape::new(table, Vec::new(), false, CREATE_COMMAND).err();
        return Err(missing
            .unwrap_or_else(|| statement_failed(session.target(), WHAT, Failure::Unreadable)));
    };
    let columns = columns(session, &spelled).await?;
    let unique_person = keeps_one_row(session, &spelled).await?;
    let shape = TableShape::new(table, columns, unique_person, CREATE_COMMAND)?;
    let statements = Statements::new(&shape, spelled.full_name());
    Ok(Found {
        shape: Arc::new(shape),
        lock_name: lock_name(&spelled.schema, &spelled.name),
        hashed_as: hashed_as(session).await?,
        statements,
    })
}

/// Without a schema, the logon's own is looked in first, then dbo, as the server does.
pub(super) async fn find(
    session: &mut Session,
    table: &TableName,
) -> Result<Option<Spelled>, StoreError> {
    let schema = match table.schema() {
        Some(_) => "LOWER(s.name) = LOWER(@P2)",
        None => "(s.name = SCHEMA_NAME() OR s.name = N'dbo') AND @P2 IS NULL",
    };
    let sql = format!(
        "SELECT TOP (1) CAST(o.object_id AS BIGINT), CAST(s.name AS NVARCHAR(128)),
                CAST(o.name AS NVARCHAR(128))
         FROM sys.objects AS o JOIN sys.schemas AS s ON s.schema_id = o.schema_id
         WHERE o.type = 'U' AND LOWER(o.name) = LOWER(@P1) AND {schema}
         ORDER BY CASE WHEN s.name = @P2 COLLATE Latin1_General_BIN2
                       OR (@P2 IS NULL AND s.name = SCHEMA_NAME()) THEN 0 ELSE 1 END,
                  CASE WHEN o.name = @P1 COLLATE Latin1_General_BIN2 THEN 0 ELSE 1 END"
    );
    let found = session
        .ask(
            WHAT,
            |_| {
                Statement::new(
                    sql.clone(),
                    vec![
                        Value::Word(Some(table.name().to_string())),
                        Value::Word(table.schema().map(str::to_string)),
                    ],
                )
            },
            |mut row| {
                Some(Spelled {
                    id: row.number(0)?,
                    schema: row.text(1)?,
                    name: row.text(2)?,
                })
            },
        )
        .await?;
    Ok(found.into_iter().next())
}

pub(super) async fn columns(
    session: &mut Session,
    spelled: &Spelled,
) -> Result<Vec<Column>, StoreError> {
    session
        .ask(
            WHAT,
            |_| {
                Statement::new(
                    "SELECT CAST(COLUMN_NAME AS NVARCHAR(128)),
                            LOWER(CAST(DATA_TYPE AS NVARCHAR(128))),
                            CAST(CHARACTER_MAXIMUM_LENGTH AS INT)
                     FROM INFORMATION_SCHEMA.COLUMNS
                     WHERE TABLE_SCHEMA = @P1 AND TABLE_NAME = @P2 ORDER BY ORDINAL_POSITION",
                    vec![
                        Value::Word(Some(spelled.schema.clone())),
                        Value::Word(Some(spelled.name.clone())),
                    ],
                )
            },
            |mut row| {
                Some(Column {
                    name: row.text(0)?,
                    kind: row.text(1)?,
                    // -1 is MAX.
                    max_chars: row.number(2).and_then(|n| usize::try_from(n).ok()),
                })
            },
        )
        .await
}

/// Whether an index keeps each child to one row. One that leaves out rows without a person
/// is as good.
pub(super) async fn keeps_one_row(
    session: &mut Session,
    spelled: &Spelled,
) -> Result<bool, StoreError> {
    let indexes = session
        .ask(
            WHAT,
            |_| {
                Statement::new(
                    "SELECT CAST(i.index_id AS INT)
                     FROM sys.indexes AS i
                     JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
                     WHERE i.object_id = @P1 AND i.type IN (1, 2) AND i.is_disabled = 0
                       AND i.is_unique = 1
                       AND (i.has_filter = 0 OR i.filter_definition
                            = N'([' + COL_NAME(k.object_id, k.column_id) + N'] IS NOT NULL)')
                       AND k.key_ordinal = 1
                       AND LOWER(COL_NAME(k.object_id, k.column_id)) = N'person_id'
                       AND NOT EXISTS (
                           SELECT 1 FROM sys.index_columns AS m
                           WHERE m.object_id = k.object_id AND m.index_id = k.index_id
                             AND m.key_ordinal > 1)",
                    vec![Value::Number(spelled.id)],
                )
            },
            |mut row| row.number(0),
        )
        .await?;
    Ok(!indexes.is_empty())
}
