//! Places where a staging table lives: real databases, each test with its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use csc_staging::connection::{ConnectionTarget, parse};
use csc_staging::{StagingStore, TableName, connect};
use tokio::sync::Mutex;

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
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let schema = format!(
            "csc_test_{}_{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
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

    async fn make_table(&self) {
        if self.made.sql.is_empty() {
            self.store.create().await.unwrap();
        } else {
            self.execute(&self.made.sql.replace("{t}", &self.t())).await;
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
        }
    }

    /// One value, as text.
    pub async fn text(&self, expression: &str, id: i64) -> Option<String> {
        let sql = format!(
            "SELECT CAST({expression} AS TEXT) FROM {} WHERE id = {id}",
            self.t()
        );
        match &self.admin {
            Admin::Sqlite(connection) => connection
                .lock()
                .await
                .query_row(&sql, [], |row| row.get(0))
                .unwrap(),
            Admin::Postgres(client) => client.query_one(&sql, &[]).await.unwrap().get(0),
        }
    }

    /// A blob's literal.
    pub fn blob(&self, byte: u8) -> String {
        let hex = format!("{byte:02x}").repeat(32);
        match self.admin {
            Admin::Sqlite(_) => format!("x'{hex}'"),
            Admin::Postgres(_) => format!("'\\x{hex}'::bytea"),
        }
    }

    pub fn admin_client(&self) -> &tokio_postgres::Client {
        match &self.admin {
            Admin::Postgres(client) => client,
            Admin::Sqlite(_) => panic!("only PostgreSQL has sessions"),
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
        let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let sql = format!(
            "INSERT INTO {} (person_id, json_payload, current_hash, submission_status, row_state)
             VALUES ({}, {}, {}, {}, {}) RETURNING CAST(id AS BIGINT)",
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
        }
    }

    /// A pending, new row of a child of its own.
    pub async fn child(&self, n: u32) -> i64 {
        self.insert(Some(&format!("P{n}")), &payload(n), "Pending", "New")
            .await
    }

    pub async fn clean(self) {
        if let Admin::Postgres(client) = &self.admin {
            client
                .batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema))
                .await
                .unwrap();
        }
        drop(self.folder);
    }
}

/// A small record, spelled as JSONB spells it, so it reads the same everywhere.
pub fn payload(n: u32) -> String {
    format!("{{\"la_child_id\": \"C{n}\"}}")
}
