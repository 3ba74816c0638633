//! The second way into SQL Server: the driver itself, with SQL as somebody else writes it.

use std::io::Write;
use std::sync::Once;

use mssql_tds::connection::client_context::ClientContext;
use mssql_tds::connection::tds_client::{ResultSet, StatementResult, TdsClient};
use mssql_tds::connection_provider::tds_connection_provider::TdsConnectionProvider;
use mssql_tds::core::EncryptionSetting;
use mssql_tds::datatypes::column_values::ColumnValues;

use csc_staging::connection::{ConnectionTarget, SqlServerLogon, SqlServerTarget, parse};
use secrecy::ExposeSecret;

use crate::place::Made;

pub const CREATED: Made = Made {
    sql: "",
    unique_person: false,
    has_legacy_id: true,
};
/// An older table: short columns, a payload that may be NULL, no legacy_id, names in
/// mixed case, a column of the authority's own.
pub const OLD: Made = Made {
    sql: "CREATE TABLE {t} (local_note NVARCHAR(100), Id INT IDENTITY(1,1) NOT NULL PRIMARY KEY,
            Person_ID NVARCHAR(20) NULL, previous_json_payload NVARCHAR(MAX) NULL,
            JSON_payload NVARCHAR(MAX) NULL, partial_json_payload NVARCHAR(MAX) NULL,
            current_hash BINARY(32) NULL, previous_hash BINARY(32) NULL,
            Submission_Status NVARCHAR(50) DEFAULT 'Pending',
            submission_timestamp DATETIME DEFAULT GETDATE(), api_response NVARCHAR(500) NULL,
            row_state NVARCHAR(10) DEFAULT 'New', last_updated DATETIME DEFAULT GETDATE())",
    unique_person: false,
    has_legacy_id: false,
};
/// BIGINT, collations that tell case apart, an index on person_id, and a trigger, which
/// forbids OUTPUT without INTO and brings an answer of its own.
pub const CASE_SENSITIVE: Made = Made {
    sql: "CREATE TABLE {t} (id BIGINT IDENTITY(1,1) NOT NULL PRIMARY KEY,
            person_id NVARCHAR(48) COLLATE Latin1_General_CS_AS NULL, legacy_id NVARCHAR(36) NULL,
            previous_json_payload NVARCHAR(MAX) COLLATE Latin1_General_CS_AS NULL,
            json_payload NVARCHAR(MAX) COLLATE Latin1_General_CS_AS NOT NULL,
            partial_json_payload NVARCHAR(MAX) NULL,
            current_hash BINARY(32) NULL, previous_hash BINARY(32) NULL,
            submission_status NVARCHAR(50) COLLATE Latin1_General_CS_AS DEFAULT 'Pending',
            submission_timestamp DATETIME DEFAULT GETDATE(), api_response NVARCHAR(MAX) NULL,
            row_state NVARCHAR(10) COLLATE Latin1_General_CS_AS DEFAULT 'New',
            last_updated DATETIME DEFAULT GETDATE())
GO
CREATE INDEX ix_person ON {t} (person_id, id)
GO
CREATE TRIGGER {s}.touched ON {t} AFTER UPDATE AS BEGIN SELECT 42 AS noise END",
    unique_person: false,
    has_legacy_id: true,
};
/// Collations that do not tell case apart, and one row a child. Times with more
/// decimals, and texts of one byte a character.
pub const UNIQUE: Made = Made {
    sql: "CREATE TABLE {t} (id INT IDENTITY(1,1) NOT NULL PRIMARY KEY,
            person_id NVARCHAR(48) COLLATE Latin1_General_CI_AS NULL, legacy_id NVARCHAR(36) NULL,
            previous_json_payload NVARCHAR(MAX) NULL, json_payload NVARCHAR(MAX) NOT NULL,
            partial_json_payload NVARCHAR(MAX) NULL,
            current_hash BINARY(32) NULL, previous_hash BINARY(32) NULL,
            submission_status VARCHAR(50) COLLATE Latin1_General_CI_AS DEFAULT 'Pending',
            submission_timestamp DATETIME2 DEFAULT SYSDATETIME(), api_response VARCHAR(500) NULL,
            row_state VARCHAR(10) COLLATE Latin1_General_CI_AS DEFAULT 'New',
            last_updated DATETIME2 DEFAULT SYSDATETIME())
GO
CREATE UNIQUE INDEX ux_person ON {t} (person_id) WHERE person_id IS NOT NULL",
    unique_person: true,
    has_legacy_id: true,
};

/// How the tests' SQL Server is reached, where there is one.
pub fn connection_string() -> Option<String> {
    static TOLD: Once = Once::new();
    let text = std::env::var("CSC_TEST_MSSQL")
        .ok()
        .filter(|text| !text.is_empty());
    if text.is_none() {
        TOLD.call_once(|| {
            // Past the test runner, which keeps what a passing test prints to itself.
            let _ = writeln!(
                std::io::stderr(),
                "CSC_TEST_MSSQL is not set: what needs a SQL Server is left out"
            );
        });
    }
    text
}

pub fn target() -> Option<ConnectionTarget> {
    Some(parse(&connection_string()?).unwrap().target)
}

fn of(target: &ConnectionTarget) -> &SqlServerTarget {
    match target {
        ConnectionTarget::SqlServer(target) => target,
        other => panic!("CSC_TEST_MSSQL names no SQL Server: {other}"),
    }
}

pub async fn connect(target: &ConnectionTarget) -> TdsClient {
    let target = of(target);
    let mut context = ClientContext::with_data_source("");
    context.database.clone_from(&target.database);
    let SqlServerLogon::Sql { user, password } = &target.logon else {
        panic!("CSC_TEST_MSSQL needs a SQL logon");
    };
    context.user_name.clone_from(user);
    context.password = password.expose_secret().to_string();
    context.encryption_options.mode = EncryptionSetting::PreferOff;
    context.encryption_options.trust_server_certificate = true;
    let address = format!("{},{}", target.host, target.port.unwrap_or(1433));
    TdsConnectionProvider
        .create_client(context, &address, None)
        .await
        .expect("the tests' SQL Server does not answer")
}

/// Runs a script whose batches are separated by GO.
pub async fn execute(client: &mut TdsClient, script: &str) {
    for batch in script.split("\nGO\n") {
        client.execute(batch.to_string(), ()).await.unwrap();
        client.close_query().await.unwrap();
    }
}

/// The first value of the first row.
pub async fn value(client: &mut TdsClient, sql: &str) -> Option<ColumnValues> {
    let result = client.execute(sql.to_string(), ()).await.unwrap();
    assert!(matches!(result, StatementResult::Rows), "{sql}");
    let row = client.next_row().await.unwrap();
    client.close_query().await.unwrap();
    row.and_then(|row| row.into_iter().next())
}
