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

fn sqlite(table: &TableName) -> String {
    let full = quoted(Dialect::Sqlite, table);
    let name = table.name();
    let index = match table.schema() {
        Some(schema) => format!("\"{schema}\".\"ix_{name}_submission_status\""),
        None => format!("\"ix_{name}_submission_status\""),
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {full} (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    person_id             TEXT NULL,
    legacy_id             TEXT NULL,
    previous_json_payload TEXT NULL,
    json_payload          TEXT NOT NULL,
    partial_json_payload  TEXT NULL,
    previous_hash         BLOB NULL,
    current_hash          BLOB NULL,
    row_state             TEXT DEFAULT 'New',
    last_updated          TEXT DEFAULT CURRENT_TIMESTAMP,
    submission_status     TEXT DEFAULT 'Pending',
    submission_timestamp  TEXT DEFAULT CURRENT_TIMESTAMP,
    api_response          TEXT NULL
);
CREATE INDEX IF NOT EXISTS {index} ON \"{name}\" (submission_status);
"
    )
}

fn postgres(table: &TableName) -> String {
    let full = quoted(Dialect::Postgres, table);
    let name = table.name();
    format!(
        "CREATE TABLE IF NOT EXISTS {full} (
    id                    BIGSERIAL PRIMARY KEY,
    person_id             VARCHAR(48) NULL,
    legacy_id             VARCHAR(48) NULL,
    previous_json_payload TEXT NULL,
    json_payload          TEXT NOT NULL,
    partial_json_payload  TEXT NULL,
    previous_hash         BYTEA NULL,
    current_hash          BYTEA NULL,
    row_state             VARCHAR(10) DEFAULT 'New',
    last_updated          TIMESTAMPTZ DEFAULT now(),
    submission_status     VARCHAR(50) DEFAULT 'Pending',
    submission_timestamp  TIMESTAMPTZ DEFAULT now(),
    api_response          TEXT NULL
);
CREATE INDEX IF NOT EXISTS \"ix_{name}_submission_status\" ON {full} (submission_status);
-- Optional, where a child never has more than one row:
-- CREATE UNIQUE INDEX IF NOT EXISTS \"ux_{name}_person_id\" ON {full} (person_id);
"
    )
}

fn sql_server(table: &TableName) -> String {
    let full = quoted(Dialect::SqlServer, table);
    let name = table.name();
    format!(
        "IF OBJECT_ID(N'{full}', N'U') IS NULL
CREATE TABLE {full} (
    id                    INT IDENTITY(1,1) NOT NULL PRIMARY KEY,
    person_id             NVARCHAR(48) NULL,
    legacy_id             NVARCHAR(48) NULL,
    previous_json_payload NVARCHAR(MAX) NULL,
    json_payload          NVARCHAR(MAX) NOT NULL,
    partial_json_payload  NVARCHAR(MAX) NULL,
    previous_hash         BINARY(32) NULL,
    current_hash          BINARY(32) NULL,
    row_state             NVARCHAR(10) DEFAULT 'New',
    last_updated          DATETIME DEFAULT GETDATE(),
    submission_status     NVARCHAR(50) DEFAULT 'Pending',
    submission_timestamp  DATETIME DEFAULT GETDATE(),
    api_response          NVARCHAR(MAX) NULL
);
GO
IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE name = N'ix_{name}_submission_status' AND object_id = OBJECT_ID(N'{full}'))
CREATE INDEX [ix_{name}_submission_status] ON {full} (submission_status);
GO
-- Optional, where a child never has more than one row:
-- IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE name = N'ux_{name}_person_id' AND object_id = OBJECT_ID(N'{full}'))
-- CREATE UNIQUE INDEX [ux_{name}_person_id] ON {full} (person_id) WHERE person_id IS NOT NULL;
-- GO
"
    )
}
