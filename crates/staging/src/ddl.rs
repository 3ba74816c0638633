//! The SQL that creates a staging table, for the program itself (`init`) and for a
//! DBA to read and run (`init --print`). Types and defaults are those of the
//! reference's `staging-table.md`.

use crate::TableName;

/// A database's way of writing SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The embedded database.
    Sqlite,
    /// PostgreSQL 11 and later (Eclipse).
    Postgres,
    /// SQL Server 2016 and later, compatibility level 120 and up (SystemC, Mosaic).
    SqlServer,
}

/// The statements that create the table where it is missing. Running them again
/// does no harm; a table that exists is not touched.
pub fn create_sql(dialect: Dialect, table: &TableName) -> String {
    match dialect {
        Dialect::Sqlite => sqlite(table),
        Dialect::Postgres => postgres(table),
        Dialect::SqlServer => sql_server(table),
    }
}

/// The name as this dialect quotes it. A checked identifier holds no quote character.
pub(crate) fn quoted(dialect: Dialect, table: &TableName) -> String {
    let quote = |part: &str| match dialect {
        Dialect::Sqlite | Dialect::Postgres => format!("\"{part}\""),
        Dialect::SqlServer => format!("[{part}]"),
    };
    match table.schema() {
        Some(schema) => format!("{}.{}", quote(schema), quote(table.name())),
        None => quote(table.name()),
    }
}

/// The columns, with their types in SQLite, PostgreSQL and SQL Server.
const COLUMNS: [(&str, [&str; 3]); 13] = [
    (
        "id",
        [
            "INTEGER PRIMARY KEY AUTOINCREMENT",
            "BIGSERIAL PRIMARY KEY",
            "INT IDENTITY(1,1) NOT NULL PRIMARY KEY",
        ],
    ),
    (
        "person_id",
        ["TEXT NULL", "VARCHAR(48) NULL", "NVARCHAR(48) NULL"],
    ),
    (
        "legacy_id",
        ["TEXT NULL", "VARCHAR(48) NULL", "NVARCHAR(48) NULL"],
    ),
    (
        "previous_json_payload",
        ["TEXT NULL", "TEXT NULL", "NVARCHAR(MAX) NULL"],
    ),
    (
        "json_payload",
        ["TEXT NOT NULL", "TEXT NOT NULL", "NVARCHAR(MAX) NOT NULL"],
    ),
    (
        "partial_json_payload",
        ["TEXT NULL", "TEXT NULL", "NVARCHAR(MAX) NULL"],
    ),
    (
        "previous_hash",
        ["BLOB NULL", "BYTEA NULL", "BINARY(32) NULL"],
    ),
    (
        "current_hash",
        ["BLOB NULL", "BYTEA NULL", "BINARY(32) NULL"],
    ),
    (
        "row_state",
        [
            "TEXT DEFAULT 'New'",
            "VARCHAR(10) DEFAULT 'New'",
            "NVARCHAR(10) DEFAULT 'New'",
        ],
    ),
    (
        "last_updated",
        [
            "TEXT DEFAULT CURRENT_TIMESTAMP",
            "TIMESTAMPTZ DEFAULT now()",
            "DATETIME DEFAULT GETDATE()",
        ],
    ),
    (
        "submission_status",
        [
            "TEXT DEFAULT 'Pending'",
            "VARCHAR(50) DEFAULT 'Pending'",
            "NVARCHAR(50) DEFAULT 'Pending'",
        ],
    ),
    (
        "submission_timestamp",
        [
            "TEXT DEFAULT CURRENT_TIMESTAMP",
            "TIMESTAMPTZ DEFAULT now()",
            "DATETIME DEFAULT GETDATE()",
        ],
    ),
    (
        "api_response",
        ["TEXT NULL", "TEXT NULL", "NVARCHAR(MAX) NULL"],
    ),
];

impl Dialect {
    fn of<'a>(self, [sqlite, postgres, sql_server]: &[&'a str; 3]) -> &'a str {
        match self {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
            Dialect::SqlServer => sql_server,
        }
    }
}

/// The columns of a new table, a line each.
fn columns(dialect: Dialect) -> String {
    let lines: Vec<String> = COLUMNS
        .iter()
        .map(|(name, kinds)| format!("    {name:<21} {}", dialect.of(kinds)))
        .collect();
    lines.join(",\n")
}

/// The statement that gives a table a column that it lacks. Rows that are there get NULL
/// in it. `table` is quoted already; a column that is none of ours has no statement.
pub(crate) fn add_column_sql(dialect: Dialect, table: &str, column: &str) -> Option<String> {
    let (name, kinds) = COLUMNS.iter().find(|(name, _)| *name == column)?;
    let kind = dialect.of(kinds).replace("NOT NULL", "NULL");
    let kind = kind.split(" DEFAULT").next()?;
    let add = match dialect {
        Dialect::Sqlite | Dialect::Postgres => "ADD COLUMN",
        Dialect::SqlServer => "ADD",
    };
    Some(format!("ALTER TABLE {table} {add} {name} {kind};"))
}

/// The statement that takes the limit off a column of text. `table` is quoted already,
/// `column` is as the database spells it. None for SQLite, which knows no limits.
pub(crate) fn widen_column_sql(dialect: Dialect, table: &str, column: &str) -> Option<String> {
    match dialect {
        Dialect::Sqlite => None,
        Dialect::Postgres => Some(format!(
            "ALTER TABLE {table} ALTER COLUMN \"{}\" TYPE TEXT;",
            column.replace('"', "\"\"")
        )),
        Dialect::SqlServer => Some(format!(
            "ALTER TABLE {table} ALTER COLUMN [{}] NVARCHAR(MAX);",
            column.replace(']', "]]")
        )),
    }
}

/// The statement for the index that a run with little to do is quick by. `table` is quoted
/// already, `name` is its name alone.
pub(crate) fn status_index_sql(dialect: Dialect, table: &str, name: &str) -> String {
    match dialect {
        Dialect::Sqlite => {
            let (schema, table) = match table.split_once('.') {
                Some((schema, table)) => (format!("{schema}."), table),
                None => (String::new(), table),
            };
            format!(
                "CREATE INDEX IF NOT EXISTS {schema}\"ix_{name}_submission_status\" ON {table} (submission_status, row_state);"
            )
        }
        Dialect::Postgres => format!(
            "CREATE INDEX IF NOT EXISTS \"ix_{name}_submission_status\" ON {table} (submission_status, row_state);"
        ),
        Dialect::SqlServer => format!(
            "{}
CREATE INDEX [ix_{name}_submission_status] ON {table} (submission_status, row_state);",
            where_no_index(table, "submission_status", "i.has_filter = 0")
        ),
    }
}

/// The condition that no such index of SQL Server's begins with this column, whatever it
/// is called: one by another name is as good, and Babelfish calls each otherwise.
fn where_no_index(table: &str, column: &str, such: &str) -> String {
    format!(
        "IF NOT EXISTS (SELECT 1 FROM sys.indexes AS i
    JOIN sys.index_columns AS k ON k.object_id = i.object_id AND k.index_id = i.index_id
    WHERE i.object_id = OBJECT_ID(N'{table}') AND i.is_disabled = 0 AND {such}
      AND k.key_ordinal = 1 AND COL_NAME(k.object_id, k.column_id) = N'{column}')"
    )
}

fn commented(sql: &str) -> String {
    let lines: Vec<String> = sql.lines().map(|line| format!("-- {line}")).collect();
    lines.join("\n")
}

fn sqlite(table: &TableName) -> String {
    let full = quoted(Dialect::Sqlite, table);
    format!(
        "CREATE TABLE IF NOT EXISTS {full} (
{columns}
);
{index}
",
        columns = columns(Dialect::Sqlite),
        index = status_index_sql(Dialect::Sqlite, &full, table.name()),
    )
}

fn postgres(table: &TableName) -> String {
    let full = quoted(Dialect::Postgres, table);
    let name = table.name();
    format!(
        "CREATE TABLE IF NOT EXISTS {full} (
{columns}
);
{index}
-- Optional, where a child never has more than one row:
-- CREATE UNIQUE INDEX IF NOT EXISTS \"ux_{name}_person_id\" ON {full} (person_id);
",
        columns = columns(Dialect::Postgres),
        index = status_index_sql(Dialect::Postgres, &full, name),
    )
}

fn sql_server(table: &TableName) -> String {
    let full = quoted(Dialect::SqlServer, table);
    let name = table.name();
    format!(
        "IF OBJECT_ID(N'{full}', N'U') IS NULL
CREATE TABLE {full} (
{columns}
);
GO
{index}
GO
-- Optional, where a child never has more than one row. Whatever else writes to the table
-- needs SET QUOTED_IDENTIFIER ON then, which jobs of SQL Server Agent and sqlcmd begin without:
{no_unique_index}
-- CREATE UNIQUE INDEX [ux_{name}_person_id] ON {full} (person_id) WHERE person_id IS NOT NULL;
-- GO
",
        columns = columns(Dialect::SqlServer),
        index = status_index_sql(Dialect::SqlServer, &full, name),
        no_unique_index = commented(&where_no_index(&full, "person_id", "i.is_unique = 1")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_missing_is_added_without_a_value_for_the_rows_that_are_there() {
        assert_eq!(
            add_column_sql(Dialect::SqlServer, "[dbo].[t]", "json_payload").as_deref(),
            Some("ALTER TABLE [dbo].[t] ADD json_payload NVARCHAR(MAX) NULL;")
        );
        assert_eq!(
            add_column_sql(Dialect::Sqlite, "\"t\"", "last_updated").as_deref(),
            Some("ALTER TABLE \"t\" ADD COLUMN last_updated TEXT;")
        );
        assert_eq!(add_column_sql(Dialect::Postgres, "t", "other"), None);
    }
}
