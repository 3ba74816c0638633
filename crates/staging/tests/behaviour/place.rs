//! Places where a staging table lives: real databases, each test with its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use csc_staging::connection::{ConnectionTarget, SqlServerLogon, parse};
use csc_staging::{StagingStore, StoreError, TableName, connect};
use mssql_tds::connection::tds_client::TdsClient;
use mssql_tds::datatypes::column_values::ColumnValues;
use tokio::sync::Mutex;

use crate::sqlserver;

/// How a table was made: by `init`, or by SQL that is not ours.
#[derive(Clone, Copy)]
pub struct Made {
    /// `{t}` stands for the table; empty for a table as `init` makes it.
    pub sql: &'static str,
    /// Whether the database keeps a child to one row.
    pub unique_person: bool,
    pub has_legacy_id: bool,
}

pub const SQLITE_CREATED: Made = Made {
    sql: "",
    unique_person: false,
    has_legacy_id: true,
};
pub const SQLITE_OTHERS: Made = Made {
    sql: "CREATE TABLE {t} (id INTEGER PRIMARY KEY AUTOINCREMENT, Person_ID NVARCHAR(48) COLLATE NOCASE,
            previous_json_payload TEXT, json_payload TEXT, partial_json_payload TEXT,
            current_hash BLOB, previous_hash BLOB, submission_status TEXT DEFAULT 'Pending',
            submission_timestamp TEXT DEFAULT CURRENT_TIMESTAMP, api_response TEXT,
            row_state TEXT COLLATE NOCASE DEFAULT 'New', last_updated TEXT DEFAULT CURRENT_TIMESTAMP,
            local_note TEXT)",
    unique_person: false,
    has_legacy_id: false,
};
pub const PG_CREATED: Made = Made {
    sql: "",
    unique_person: false,
    has_legacy_id: true,
};
pub const PG_SHORT: Made = Made {
    sql: "CREATE TABLE {t} (id SERIAL PRIMARY KEY, person_id VARCHAR(48), legacy_id VARCHAR(36),
            previous_json_payload TEXT, json_payload TEXT, partial_json_payload TEXT,
            current_hash BYTEA, previous_hash BYTEA, submission_status VARCHAR(50) DEFAULT 'Pending',
            submission_timestamp TIMESTAMP DEFAULT now(), api_response VARCHAR(500),
            row_state VARCHAR(10) DEFAULT 'New', last_updated TIMESTAMP DEFAULT now())",
    unique_person: false,
    has_legacy_id: true,
};
pub const PG_JSONB: Made = Made {
    sql: "CREATE TABLE {t} (local_note TEXT, id BIGSERIAL PRIMARY KEY, person_id VARCHAR(48), legacy_id VARCHAR(36),
            previous_json_payload JSONB, json_payload JSONB NOT NULL, partial_json_payload JSONB,
            current_hash BYTEA, previous_hash BYTEA, submission_status VARCHAR(50) DEFAULT 'Pending',
            submission_timestamp TIMESTAMPTZ DEFAULT now(), api_response TEXT,
            row_state VARCHAR(10) DEFAULT 'New', last_updated TIMESTAMPTZ DEFAULT now(),
            loaded_by NAME DEFAULT current_user)",
    unique_person: false,
    has_legacy_id: true,
};
pub const PG_MIXED: Made = Made {
    sql: "CREATE TABLE {t} (id BIGSERIAL PRIMARY KEY, person_id VARCHAR(48),
            previous_json_payload TEXT, json_payload JSONB NOT NULL, partial_json_payload JSONB,
            current_hash BYTEA, previous_hash BYTEA, submission_status VARCHAR(50) DEFAULT 'Pending',
            submission_timestamp TIMESTAMPTZ DEFAULT now(), api_response TEXT,
            row_state VARCHAR(10) DEFAULT 'New', last_updated TIMESTAMPTZ DEFAULT now())",
    unique_person: false,
    has_legacy_id: false,
};
pub const PG_UNIQUE: Made = Made {
    sql: "CREATE TABLE {t} (id BIGSERIAL PRIMARY KEY, person_id VARCHAR(48) UNIQUE, legacy_id VARCHAR(36),
            previous_json_payload TEXT, json_payload TEXT NOT NULL, partial_json_payload TEXT,
            current_hash BYTEA, previous_hash BYTEA, submission_status VARCHAR(50) DEFAULT 'Pending',
            submission_timestamp TIMESTAMPTZ DEFAULT now(), api_response TEXT,
            row_state VARCHAR(10) DEFAULT 'New', last_updated TIMESTAMPTZ DEFAULT now())",
    unique_person: true,
    has_legacy_id: true,
};

/// A database of its own, a store on its table, and a second way in for the test.
pub struct Place {
    pub made: Made,
    pub target: ConnectionTarget,
    pub table: TableName,
    pub store: Arc<dyn StagingStore>,
    admin: Admin,
    folder: Option<tempfile::TempDir>,
    schema: String,
}

enum Admin {
    Sqlite(Mutex<rusqlite::Connection>),
    Postgres(tokio_postgres::Client),
    SqlServer(Box<Mutex<TdsClient>>),
}

/// Where the tests' PostgreSQL listens. The test command starts one where none runs.
pub fn postgres_url() -> String {
    std::env::var("CSC_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_string())
}

impl Place {
    pub async fn sqlite(made: Made) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("children.db");
        let admin = rusqlite::Connection::open(&file).unwrap();
        admin
            .busy_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        let target = parse(&format!("sqlite:{}", file.display())).unwrap().target;
        let table: TableName = "ssd_api_data_staging_anon".parse().unwrap();
        let place = Place {
            made,
            store: connect(&target, &table).await.unwrap(),
            target,
            table,
            admin: Admin::Sqlite(Mutex::new(admin)),
            folder: Some(folder),
            schema: "main".into(),
        };
        place.make_table().await;
        place
    }

    /// A schema of its own in the tests' database: the table's name is qualified.
    pub async fn postgres(made: Made) -> Place {
        let schema = own_schema();
        let (admin, connection) = tokio_postgres::connect(&postgres_url(), tokio_postgres::NoTls)
            .await
            .expect("the tests need a PostgreSQL: see README");
        tokio::spawn(connection);
        admin
            .batch_execute(&format!(
                "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"
            ))
            .await
            .unwrap();
        let target = parse(&postgres_url()).unwrap().target;
        let table: TableName = format!("{schema}.ssd_api_data_staging_anon")
            .parse()
            .unwrap();
        let place = Place {
            made,
            store: connect(&target, &table).await.unwrap(),
            target,
            table,
            admin: Admin::Postgres(admin),
            folder: None,
            schema,
        };
        place.make_table().await;
        place
    }

    /// A schema of its own in the tests' SQL Server; none where there is no such server.
    pub async fn sqlserver(made: Made) -> Option<Place> {
        let target = sqlserver::target()?;
        let mut admin = sqlserver::connect(&target).await;
        let schema = own_schema();
        sqlserver::execute(&mut admin, &format!("CREATE SCHEMA {schema}")).await;
        let table: TableName = format!("{schema}.ssd_api_data_staging_anon")
            .parse()
            .unwrap();
        let place = Place {
            made,
            store: connect(&target, &table).await.unwrap(),
            target,
            table,
            admin: Admin::SqlServer(Box::new(Mutex::new(admin))),
            folder: None,
            schema,
        };
        place.make_table().await;
        Some(place)
    }

    async fn make_table(&self) {
        if self.made.sql.is_empty() {
            self.store.create().await.unwrap();
        } else {
            let sql = self.made.sql.replace("{t}", &self.t());
            self.execute(&sql.replace("{s}", &self.schema)).await;
        }
    }

    /// The table's full name.
    pub fn t(&self) -> String {
        format!("{}.{}", self.schema, self.table.name())
    }

    /// Another store on the same table: a second run.
    pub async fn another_store(&self) -> Arc<dyn StagingStore> {
        self.store_on(self.table.clone()).await
    }

    pub async fn store_on(&self, table: TableName) -> Arc<dyn StagingStore> {
        connect(&self.target, &table).await.unwrap()
    }

    /// The same table, with another logon of SQL Server's own.
    pub async fn store_as(
        &self,
        user: &str,
        password: &str,
    ) -> Result<Arc<dyn StagingStore>, StoreError> {
        let ConnectionTarget::SqlServer(mut target) = self.target.clone() else {
            panic!("not SQL Server");
        };
        target.logon = SqlServerLogon::Sql {
            user: user.to_string(),
            password: password.to_string().into(),
        };
        connect(&ConnectionTarget::SqlServer(target), &self.table).await
    }

    /// The schema that the table is in.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The same table, as another user of PostgreSQL's.
    pub async fn store_of(&self, user: &str) -> Arc<dyn StagingStore> {
        let ConnectionTarget::Postgres(mut target) = self.target.clone() else {
            panic!("not PostgreSQL");
        };
        target.user = user.to_string();
        let target = ConnectionTarget::Postgres(target);
        connect(&target, &self.table).await.unwrap()
    }

    /// The same table, with more in the connection string. Where a key stands in it
    /// twice, an ODBC driver takes the first.
    pub async fn connected_with(&self, more: &str) -> Result<Arc<dyn StagingStore>, StoreError> {
        let text = format!("{more};{}", sqlserver::connection_string().unwrap());
        let target = parse(&text).unwrap().target;
        connect(&target, &self.table).await
    }

    /// A server keeps a logon for as long as a session of it lasts, which may be a
    /// little longer than its connection.
    pub async fn drop_logon(&self, logon: &str) {
        let Admin::SqlServer(client) = &self.admin else {
            panic!("not SQL Server");
        };
        let client = &mut *client.lock().await;
        sqlserver::execute(client, &format!("DROP USER {logon}")).await;
        let mut tries = 0;
        while client
            .execute(format!("DROP LOGIN {logon}"), ())
            .await
            .is_err()
        {
            tries += 1;
            assert!(tries < 200, "the session outlived its store");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        client.close_query().await.unwrap();
    }

    /// A name beside the table's, in the same schema.
    pub fn beside(&self, name: &str) -> TableName {
        match self.table.schema() {
            Some(schema) => format!("{schema}.{name}").parse().unwrap(),
            None => name.parse().unwrap(),
        }
    }

    pub fn is_jsonb(&self) -> bool {
        self.made.sql.contains("json_payload JSONB NOT NULL")
    }

    pub fn has_note(&self) -> bool {
        self.made.sql.contains("local_note")
    }

    pub async fn execute(&self, sql: &str) {
        match &self.admin {
            Admin::Sqlite(connection) => connection.lock().await.execute_batch(sql).unwrap(),
            Admin::Postgres(client) => client.batch_execute(sql).await.unwrap(),
            Admin::SqlServer(client) => sqlserver::execute(&mut *client.lock().await, sql).await,
        }
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self.admin, Admin::Postgres(_))
    }

    pub fn is_sqlserver(&self) -> bool {
        matches!(self.admin, Admin::SqlServer(_))
    }

    /// Adds a column that nobody knows.
    pub async fn add_note(&self) {
        let column = match self.admin {
            Admin::Sqlite(_) | Admin::Postgres(_) => "COLUMN local_note TEXT",
            Admin::SqlServer(_) => "local_note NVARCHAR(100)",
        };
        self.execute(&format!("ALTER TABLE {} ADD {column}", self.t()))
            .await;
    }

    pub async fn rename(&self, column: &str, to: &str) {
        let t = self.t();
        self.execute(&match self.admin {
            Admin::Sqlite(_) | Admin::Postgres(_) => {
                format!("ALTER TABLE {t} RENAME COLUMN {column} TO {to}")
            }
            Admin::SqlServer(_) => format!("EXEC sp_rename '{t}.{column}', '{to}', 'COLUMN'"),
        })
        .await;
    }

    /// Another child's row under an id that was used before.
    pub async fn insert_as(&self, id: i64, person: &str, payload: &str) {
        let t = self.t();
        let insert = format!(
            "INSERT INTO {t} (id, person_id, json_payload, submission_status, row_state)
             VALUES ({id}, '{person}', '{payload}', 'Pending', 'New')"
        );
        self.execute(&match self.admin {
            Admin::Sqlite(_) | Admin::Postgres(_) => insert,
            Admin::SqlServer(_) => {
                format!("SET IDENTITY_INSERT {t} ON; {insert}; SET IDENTITY_INSERT {t} OFF")
            }
        })
        .await;
    }

    /// One value, as text.
    pub async fn text(&self, expression: &str, id: i64) -> Option<String> {
        let from = format!("FROM {} WHERE id = {id}", self.t());
        let sql = format!("SELECT CAST({expression} AS TEXT) {from}");
        match &self.admin {
            Admin::Sqlite(connection) => connection
                .lock()
                .await
                .query_row(&sql, [], |row| row.get(0))
                .unwrap(),
            Admin::Postgres(client) => client.query_one(&sql, &[]).await.unwrap().get(0),
            Admin::SqlServer(client) => {
                let (text, is_time) = match expression {
                    "submission_timestamp" | "last_updated" => {
                        (format!("CONVERT(NVARCHAR(30), {expression}, 121)"), true)
                    }
                    "current_hash" | "previous_hash" => {
                        (format!("CAST({expression} AS VARCHAR(32))"), false)
                    }
                    _ => (format!("CAST({expression} AS NVARCHAR(MAX))"), false),
                };
                let sql = format!("SELECT {text} {from}");
                match sqlserver::value(&mut *client.lock().await, &sql)
                    .await
                    .unwrap()
                {
                    ColumnValues::String(text) if is_time => {
                        Some(text.to_utf8_string().trim_end_matches('0').to_string())
                    }
                    ColumnValues::String(text) => Some(text.to_utf8_string()),
                    ColumnValues::Null => None,
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// A blob's literal.
    pub fn blob(&self, byte: u8) -> String {
        let hex = format!("{byte:02x}").repeat(32);
        match self.admin {
            Admin::Sqlite(_) => format!("x'{hex}'"),
            Admin::Postgres(_) => format!("'\\x{hex}'::bytea"),
            Admin::SqlServer(_) => format!("0x{hex}"),
        }
    }

    pub fn admin_client(&self) -> &tokio_postgres::Client {
        match &self.admin {
            Admin::Postgres(client) => client,
            Admin::Sqlite(_) | Admin::SqlServer(_) => panic!("not PostgreSQL"),
        }
    }

    /// Inserts a row as somebody else's SQL would, and gives its id.
    pub async fn insert(
        &self,
        person: Option<&str>,
        payload: &str,
        status: &str,
        state: &str,
    ) -> i64 {
        let mark = if self.is_sqlserver() { "N" } else { "" };
        let literal = |text: &str| format!("{mark}'{}'", text.replace('\'', "''"));
        let (output, returning) = if self.is_sqlserver() {
            ("OUTPUT inserted.id", "")
        } else {
            ("", "RETURNING CAST(id AS BIGINT)")
        };
        let sql = format!(
            "INSERT INTO {} (person_id, json_payload, current_hash, submission_status, row_state)
             {output} VALUES ({}, {}, {}, {}, {}) {returning}",
            self.t(),
            person.map_or("NULL".to_string(), literal),
            literal(payload),
            self.blob(0x61),
            literal(status),
            literal(state),
        );
        match &self.admin {
            Admin::Sqlite(connection) => connection
                .lock()
                .await
                .query_row(&sql, [], |row| row.get(0))
                .unwrap(),
            Admin::Postgres(client) => client.query_one(&sql, &[]).await.unwrap().get(0),
            Admin::SqlServer(client) => {
                match sqlserver::value(&mut *client.lock().await, &sql).await {
                    Some(ColumnValues::BigInt(id)) => id,
                    Some(ColumnValues::Int(id)) => id.into(),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// A pending, new row of a child of its own.
    pub async fn child(&self, n: u32) -> i64 {
        self.insert(Some(&format!("P{n}")), &payload(n), "Pending", "New")
            .await
    }

    pub async fn clean(self) {
        match &self.admin {
            Admin::Sqlite(_) => {}
            Admin::Postgres(client) => client
                .batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema))
                .await
                .unwrap(),
            Admin::SqlServer(client) => {
                // A schema goes only when it is empty.
                let script = format!(
                    "DROP TABLE IF EXISTS {s}.ssd_api_data_staging_anon
GO
DROP TABLE IF EXISTS {s}.ssd_api_data_staging
GO
DROP SCHEMA {s}",
                    s = self.schema
                );
                sqlserver::execute(&mut *client.lock().await, &script).await;
            }
        }
        drop(self.folder);
    }
}

/// A name that no other test of any run has now.
fn own_schema() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!(
        "csc_test_{}_{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

/// A small record, spelled as JSONB spells it, so it reads the same everywhere.
pub fn payload(n: u32) -> String {
    format!("{{\"la_child_id\": \"C{n}\"}}")
}
