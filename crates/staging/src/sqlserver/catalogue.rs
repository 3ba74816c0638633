//! The table as the catalogue has it.

use std::sync::Arc;

use super::hashed::{HashedAs, hashed_as};
use super::run_lock::lock_name;
use super::session::{Session, Statement};
use super::statements::{Statements, bracketed};
use super::values::Value;
use crate::shape::{Sought, no_table};
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
    /// How near it is to the one that is asked for, the least the nearest; `None` for
    /// another. `schema`: the one that was named, or else the logon's own.
    fn rank(&self, table: &TableName, schema: &str) -> Option<(bool, bool)> {
        let is_there = self.schema == schema;
        let may_be = match table.schema() {
            Some(_) => self.schema.to_lowercase() == schema.to_lowercase(),
            None => self.schema == "dbo",
        };
        (is_there || may_be).then_some((!is_there, self.name != table.name()))
    }

    /// As it is written in a statement.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", bracketed(&self.schema), bracketed(&self.name))
    }
}

/// Finds the table, whatever the case of its name, preferring the exact one.
pub(super) async fn look_up(session: &mut Session, table: &TableName) -> Result<Found, StoreError> {
    let spelled = match find(session, table).await? {
        Sought::Here(spelled) => spelled,
        Sought::Elsewhere(elsewhere) => return Err(no_table(table, &elsewhere, CREATE_COMMAND)),
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
) -> Result<Sought<Spelled>, StoreError> {
    let schema = match table.schema() {
        Some(_) => "@P2",
        None => "SCHEMA_NAME()",
    };
    let found = session
        .ask(
            WHAT,
            |_| {
                Statement::new(
                    format!(
                        "SELECT CAST(t.object_id AS BIGINT), CAST(s.name AS NVARCHAR(128)),
                                CAST(t.name AS NVARCHAR(128)), CAST({schema} AS NVARCHAR(128))
                         FROM sys.tables AS t JOIN sys.schemas AS s ON s.schema_id = t.schema_id
                         WHERE LOWER(t.name) = LOWER(@P1)"
                    ),
                    [Some(table.name()), table.schema()]
                        .into_iter()
                        .flatten()
                        .map(|name| Value::Word(Some(name.to_string())))
                        .collect(),
                )
            },
            |mut row| {
                let spelled = Spelled {
                    id: row.number(0)?,
                    schema: row.text(1)?,
                    name: row.text(2)?,
                };
                Some((spelled, row.text(3).unwrap_or_default()))
            },
        )
        .await?;
    Ok(nearest(table, found))
}

/// `found`: tables of that name, each with the schema that is looked in first.
fn nearest(table: &TableName, found: Vec<(Spelled, String)>) -> Sought<Spelled> {
    let dotted = |(spelled, _): &(Spelled, String)| format!("{}.{}", spelled.schema, spelled.name);
    let elsewhere = found.iter().map(dotted).collect();
    let ranked = found
        .into_iter()
        .filter_map(|(spelled, schema)| Some((spelled.rank(table, &schema)?, spelled)));
    match ranked.min_by_key(|(rank, _)| *rank) {
        Some((_, found)) => Sought::Here(found),
        None => Sought::Elsewhere(elsewhere),
    }
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
    let columns = session
        .ask(
            WHAT,
            |_| {
                Statement::new(
                    "SELECT CAST(i.index_id AS INT), CAST(k.key_ordinal AS INT),
                            CAST(COL_NAME(k.object_id, k.column_id) AS NVARCHAR(128)),
                            CAST(i.filter_definition AS NVARCHAR(4000))
                     FROM sys.indexes AS i
                     JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
                     WHERE i.object_id = @P1 AND i.type IN (1, 2) AND i.is_disabled = 0
                       AND i.is_unique = 1",
                    vec![Value::Number(spelled.id)],
                )
            },
            |mut row| {
                Some(IndexColumn {
                    index: row.number(0)?,
                    place: row.number(1)?,
                    column: row.text(2)?,
                    filter: row.text(3),
                })
            },
        )
        .await?;
    Ok(is_one_row_a_person(&columns))
}

/// A column of a unique index, as it is kept in it.
struct IndexColumn {
    index: i64,
    /// Its place in the key, counted from 1; 0 for one that is only stored there.
    place: i64,
    column: String,
    filter: Option<String>,
}

fn is_one_row_a_person(columns: &[IndexColumn]) -> bool {
    columns.iter().any(|person| {
        let is_whole_key = !columns
            .iter()
            .any(|other| other.index == person.index && other.place > 1);
        let present = format!("([{}] IS NOT NULL)", person.column);
        person.place == 1
            && person.column.eq_ignore_ascii_case("person_id")
            && is_whole_key
            && person
                .filter
                .as_ref()
                .is_none_or(|filter| *filter == present)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_table_is_the_one_that_is_spelled_so_in_its_own_schema() {
        let spelled = |schema: &str, name: &str| Spelled {
            id: 1,
            schema: schema.to_string(),
            name: name.to_string(),
        };
        let named: TableName = "Ssd.t_anon".parse().unwrap();
        let bare: TableName = "t_anon".parse().unwrap();
        for (table, schema, found, expected) in [
            (
                &named,
                "Ssd",
                spelled("Ssd", "t_anon"),
                Some((false, false)),
            ),
            (&named, "Ssd", spelled("Ssd", "T_Anon"), Some((false, true))),
            (&named, "Ssd", spelled("ssd", "t_anon"), Some((true, false))),
            (&named, "Ssd", spelled("dbo", "t_anon"), None),
            (&bare, "own", spelled("own", "t_anon"), Some((false, false))),
            (&bare, "own", spelled("dbo", "t_anon"), Some((true, false))),
            (&bare, "own", spelled("ssd", "t_anon"), None),
        ] {
            let is = found.full_name();
            assert_eq!(found.rank(table, schema), expected, "{table}: {is}");
        }
    }

    #[test]
    fn tables_of_that_name_in_other_schemas_are_named_where_none_is_here() {
        let there = |schema: &str| {
            let spelled = Spelled {
                id: 1,
                schema: schema.to_string(),
                name: "T_anon".to_string(),
            };
            (spelled, "dbo".to_string())
        };
        let bare: TableName = "t_anon".parse().unwrap();
        for (schemas, expected) in [
            (vec!["ssd_development", "dbo"], Ok("[dbo].[T_anon]")),
            (
                vec!["ssd_development", "old"],
                Err(vec!["ssd_development.T_anon", "old.T_anon"]),
            ),
            (Vec::new(), Err(Vec::new())),
        ] {
            let found = schemas.into_iter().map(there).collect();
            match (nearest(&bare, found), expected) {
                (Sought::Here(found), Ok(name)) => assert_eq!(found.full_name(), name),
                (Sought::Elsewhere(found), Err(names)) => assert_eq!(found, names),
                (Sought::Here(found), Err(_)) => panic!("{}", found.full_name()),
                (Sought::Elsewhere(found), Ok(_)) => panic!("{found:?}"),
            }
        }
    }

    #[test]
    fn only_an_index_of_the_person_alone_keeps_one_row() {
        let column = |place, column: &str, filter: Option<&str>| IndexColumn {
            index: 2,
            place,
            column: column.to_string(),
            filter: filter.map(str::to_string),
        };
        let present = Some("([Person_ID] IS NOT NULL)");
        for (columns, expected) in [
            (vec![column(1, "person_id", None)], true),
            (vec![column(1, "Person_ID", present)], true),
            (vec![column(1, "person_id", Some("([id] > (7))"))], false),
            (
                vec![column(1, "person_id", None), column(0, "id", None)],
                true,
            ),
            (
                vec![column(1, "person_id", None), column(2, "id", None)],
                false,
            ),
            (
                vec![column(1, "id", None), column(2, "person_id", None)],
                false,
            ),
            (vec![column(1, "id", None)], false),
            (Vec::new(), false),
        ] {
            let shown: Vec<_> = columns.iter().map(|c| (c.place, &c.column)).collect();
            assert_eq!(is_one_row_a_person(&columns), expected, "{shown:?}");
        }
        let mut other = column(2, "id", None);
        other.index = 3;
        assert!(is_one_row_a_person(&[column(1, "person_id", None), other]));
    }
}
