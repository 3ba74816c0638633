//! The table that is measured on, and how it is put back between two runs: always from
//! the same copy, so that no run meets what another one left behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use csc_staging::connection::{ConnectionTarget, parse};
use mssql_tds::connection::tds_client::TdsClient;
use tokio::sync::Mutex;

use crate::sqlserver;
use csc_staging::{NewRow, StagingStore, TableName, TableSummary, connect, connect_creating};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Database {
    /// PostgreSQL, at the address in CSC_TEST_POSTGRES.
    Postgres,
    /// SQLite, in a file in the folder for temporary files.
    Sqlite,
    /// SQL Server, at the address in CSC_TEST_MSSQL.
    Sqlserver,
}

impl Database {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Database::Postgres => "PostgreSQL",
            Database::Sqlite => "SQLite",
            Database::Sqlserver => "SQL Server",
        }
    }
}

const TABLE: &str = "ssd_api_data_staging_anon";
/// The copy that the table is put back from.
const KEPT: &str = "kept";

/// A row that the staging SQL of the next night writes over.
pub struct Change {
    /// The row.
    pub id: i64,
    /// The child as it is now.
    pub now: NewRow,
    /// `api_response`, where a try to send it was refused meanwhile.
    pub refusal: Option<&'static str>,
}

/// What a connection string means.
pub fn target(connection: &str) -> Result<ConnectionTarget> {
    parse(connection)
        .map(|parsed| parsed.target)
        .map_err(|faults| anyhow!(faults.iter().map(|f| format!("{f}\n")).collect::<String>()))
}

/// A table's name.
pub fn table(name: &str) -> Result<TableName> {
    TableName::parse(name).map_err(|fault| anyhow!("{}", fault.message(name)))
}

/// A staging table of the benchmark's own.
pub struct Place {
    connection: String,
    table: String,
    home: Home,
}

enum Home {
    Postgres {
        client: tokio_postgres::Client,
        schema: String,
    },
    Sqlite {
        file: PathBuf,
    },
    SqlServer {
        client: Box<Mutex<TdsClient>>,
        schema: String,
    },
}

impl Place {
    /// Makes an empty table as `init` does: in a schema of its own, or in a file in the
    /// folder.
    pub async fn create(database: Database, folder: &Path) -> Result<Place> {
        let place = match database {
            Database::Postgres => {
                let connection = std::env::var("CSC_TEST_POSTGRES")
                    .unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_string());
                let (client, driver) = tokio_postgres::connect(&connection, tokio_postgres::NoTls)
                    .await
                    .context("no PostgreSQL (CSC_TEST_POSTGRES names it)")?;
                tokio::spawn(driver);
                let schema = format!("csc_bench_{}", std::process::id());
                client
                    .batch_execute(&format!(
                        "DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"
                    ))
                    .await?;
                Place {
                    connection,
                    table: format!("{schema}.{TABLE}"),
                    home: Home::Postgres { client, schema },
                }
            }
            Database::Sqlite => {
                let file = folder.join("children.db");
                Place {
                    connection: format!("sqlite:{}", file.display()),
                    table: TABLE.to_string(),
                    home: Home::Sqlite { file },
                }
            }
            Database::Sqlserver => {
                let connection = std::env::var("CSC_TEST_MSSQL")
                    .context("CSC_TEST_MSSQL does not say where a SQL Server is")?;
                let mut client = sqlserver::connect(&target(&connection)?).await?;
                let schema = format!("csc_bench_{}", std::process::id());
                sqlserver::execute(&mut client, format!("CREATE SCHEMA {schema}")).await?;
                Place {
                    connection,
                    table: format!("{schema}.{TABLE}"),
                    home: Home::SqlServer {
                        client: Box::new(Mutex::new(client)),
                        schema,
                    },
                }
            }
        };
        let (target, table) = (target(&place.connection)?, table(&place.table)?);
        connect_creating(&target, &table).await?.create().await?;
        Ok(place)
    }

    /// DB_CONNECTION_STRING.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// TABLE_NAME.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The table as the program itself sees it.
    pub async fn store(&self) -> Result<Arc<dyn StagingStore>> {
        Ok(connect(&target(&self.connection)?, &table(&self.table)?).await?)
    }

    /// The table in figures.
    pub async fn summary(&self) -> Result<TableSummary> {
        Ok(self.store().await?.summary().await?)
    }

    /// Writes over rows as the pilot's staging SQL does when payloads changed.
    pub async fn change(&mut self, changes: &[Change]) -> Result<()> {
        let status = |change: &Change| match change.refusal {
            Some(_) => "error",
            None => "pending",
        };
        let changed = match &mut self.home {
            Home::Postgres { client, .. } => {
                let ids: Vec<i64> = changes.iter().map(|c| c.id).collect();
                let payloads: Vec<&str> = changes.iter().map(|c| c.now.payload.as_str()).collect();
                let hashes: Vec<&[u8]> = changes.iter().map(|c| &c.now.hash[..]).collect();
                let statuses: Vec<&str> = changes.iter().map(status).collect();
                let refusals: Vec<Option<&str>> = changes.iter().map(|c| c.refusal).collect();
                let sql = format!(
                    "UPDATE {} AS t SET json_payload = v.payload, current_hash = v.hash,
                         row_state = 'updated', submission_status = v.status, last_updated = now(),
                         api_response = coalesce(v.refusal, t.api_response)
                     FROM unnest($1::int8[], $2::text[], $3::bytea[], $4::text[], $5::text[])
                          AS v(id, payload, hash, status, refusal)
                     WHERE t.id = v.id",
                    self.table
                );
                client
                    .execute(&sql, &[&ids, &payloads, &hashes, &statuses, &refusals])
                    .await?
            }
            Home::Sqlite { file } => {
                let mut connection = rusqlite::Connection::open(file)?;
                let transaction = connection.transaction()?;
                let sql = format!(
                    "UPDATE {TABLE} SET json_payload = ?2, current_hash = ?3,
                         row_state = 'updated', submission_status = ?4,
                         last_updated = CURRENT_TIMESTAMP,
                         api_response = coalesce(?5, api_response)
                     WHERE id = ?1"
                );
                let mut changed = 0;
                for change in changes {
                    let now = &change.now;
                    changed += transaction.prepare_cached(&sql)?.execute((
                        change.id,
                        &now.payload,
                        &now.hash[..],
                        status(change),
                        change.refusal,
                    ))?;
                }
                transaction.commit()?;
                changed as u64
            }
            Home::SqlServer { client, .. } => {
                let client = client.get_mut();
                for piece in changes.chunks(50) {
                    let statements: String = piece
                        .iter()
                        .map(|change| {
                            let refusal = change
                                .refusal
                                .map_or("api_response".to_string(), sqlserver::literal);
                            format!(
                                "UPDATE {} SET json_payload = {}, row_state = N'updated',
                                     submission_status = N'{}', last_updated = GETDATE(),
                                     api_response = {refusal} WHERE id = {};",
                                self.table,
                                sqlserver::literal(&change.now.payload),
                                status(change),
                                change.id
                            )
                        })
                        .collect();
                    sqlserver::execute(client, statements).await?;
                }
                changes.len() as u64
            }
        };
        ensure!(changed == changes.len() as u64, "not every row was there");
        Ok(())
    }

    /// Marks rows deleted as the pilot's staging SQL does: nothing else is written.
    pub async fn mark_deleted(&mut self, ids: &[i64]) -> Result<()> {
        match &mut self.home {
            Home::Postgres { client, .. } => {
                let sql = format!(
                    "UPDATE {} SET row_state = 'deleted' WHERE id = ANY($1)",
                    self.table
                );
                client.execute(&sql, &[&ids]).await?;
            }
            Home::Sqlite { file } => {
                let mut connection = rusqlite::Connection::open(file)?;
                let transaction = connection.transaction()?;
                let sql = format!("UPDATE {TABLE} SET row_state = 'deleted' WHERE id = ?1");
                for id in ids {
                    transaction.prepare_cached(&sql)?.execute([id])?;
                }
                transaction.commit()?;
            }
            Home::SqlServer { client, .. } => {
                for piece in ids.chunks(500) {
                    let ids: Vec<String> = piece.iter().map(i64::to_string).collect();
                    let sql = format!(
                        "UPDATE {} SET row_state = N'deleted' WHERE id IN ({})",
                        self.table,
                        ids.join(", ")
                    );
                    sqlserver::execute(client.get_mut(), sql).await?;
                }
            }
        }
        Ok(())
    }

    /// Marks every row sent, as a run does.
    pub async fn mark_sent(&mut self) -> Result<()> {
        self.execute(&format!(
            "UPDATE {} SET submission_status = 'sent', row_state = 'unchanged'",
            self.table
        ))
        .await
    }

    /// Makes the unique index that `init` leaves to the DBA.
    pub async fn keep_one_row_for_each_child(&mut self) -> Result<()> {
        let condition = match &self.home {
            Home::Postgres { .. } | Home::Sqlite { .. } => "",
            Home::SqlServer { .. } => " WHERE person_id IS NOT NULL",
        };
        self.execute(&format!(
            "CREATE UNIQUE INDEX ux_{TABLE}_person_id ON {} (person_id){condition}",
            self.table
        ))
        .await
    }

    /// Drops the index on submission_status and row_state.
    pub async fn drop_status_index(&mut self) -> Result<()> {
        let index = format!("ix_{TABLE}_submission_status");
        let sql = match &self.home {
            Home::Postgres { schema, .. } => format!("DROP INDEX {schema}.{index}"),
            Home::Sqlite { .. } => format!("DROP INDEX {index}"),
            Home::SqlServer { .. } => format!("DROP INDEX {index} ON {}", self.table),
        };
        self.execute(&sql).await?;
        // A file is put back from its copy, index and all.
        self.keep().await
    }

    async fn execute(&mut self, sql: &str) -> Result<()> {
        match &mut self.home {
            Home::Postgres { client, .. } => client.batch_execute(sql).await?,
            Home::Sqlite { file } => rusqlite::Connection::open(file)?.execute_batch(sql)?,
            Home::SqlServer { client, .. } => {
                sqlserver::execute(client.get_mut(), sql.to_string()).await?;
            }
        }
        Ok(())
    }

    /// Keeps the table as it is now.
    pub async fn keep(&self) -> Result<()> {
        match &self.home {
            Home::Postgres { client, schema } => {
                let sql = format!(
                    "DROP TABLE IF EXISTS {schema}.{KEPT};
                     CREATE UNLOGGED TABLE {schema}.{KEPT} AS TABLE {}",
                    self.table
                );
                client.batch_execute(&sql).await?;
            }
            Home::Sqlite { file } => {
                std::fs::copy(file, file.with_extension(KEPT))?;
            }
            Home::SqlServer { client, schema } => {
                let client = &mut *client.lock().await;
                for sql in [
                    format!("DROP TABLE IF EXISTS {schema}.{KEPT}"),
                    format!("SELECT * INTO {schema}.{KEPT} FROM {}", self.table),
                ] {
                    sqlserver::execute(client, sql).await?;
                }
            }
        }
        Ok(())
    }

    /// Puts the table back as it was kept, and waits until it is on the disk: what the
    /// putting back costs is not to fall on the run that follows.
    pub async fn restore(&self) -> Result<()> {
        match &self.home {
            Home::Postgres { client, schema } => {
                let table = &self.table;
                client
                    .batch_execute(&format!(
                        "TRUNCATE {table};
                         INSERT INTO {table} SELECT * FROM {schema}.{KEPT} ORDER BY id"
                    ))
                    .await?;
                client
                    .batch_execute(&format!("VACUUM (ANALYZE) {table}"))
                    .await?;
                // Not every user may; the figures are then a little less steady.
                if let Err(error) = client.batch_execute("CHECKPOINT").await
                    && error.as_db_error().is_none()
                {
                    bail!(error);
                }
            }
            Home::Sqlite { file } => {
                std::fs::copy(file.with_extension(KEPT), file)?;
                std::fs::File::open(file)?.sync_all()?;
            }
            Home::SqlServer { client, schema } => {
                let (client, table) = (&mut *client.lock().await, &self.table);
                let columns = "id, person_id, legacy_id, previous_json_payload, json_payload,
                               partial_json_payload, previous_hash, current_hash, row_state,
                               last_updated, submission_status, submission_timestamp, api_response";
                for sql in [
                    format!("TRUNCATE TABLE {table}"),
                    format!("SET IDENTITY_INSERT {table} ON"),
                    format!(
                        "INSERT INTO {table} ({columns}) SELECT {columns} FROM {schema}.{KEPT}
                         ORDER BY id"
                    ),
                    format!("SET IDENTITY_INSERT {table} OFF"),
                ] {
                    sqlserver::execute(client, sql).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes everything away again.
    pub async fn remove(self) -> Result<()> {
        match self.home {
            Home::Postgres { client, schema } => {
                client
                    .batch_execute(&format!("DROP SCHEMA {schema} CASCADE"))
                    .await?;
            }
            Home::Sqlite { file } => {
                std::fs::remove_file(file.with_extension(KEPT))?;
                std::fs::remove_file(file)?;
            }
            Home::SqlServer { client, schema } => {
                let client = &mut *client.lock().await;
                for table in [TABLE, KEPT] {
                    sqlserver::execute(client, format!("DROP TABLE {schema}.{table}")).await?;
                }
                sqlserver::execute(client, format!("DROP SCHEMA {schema}")).await?;
            }
        }
        Ok(())
    }
}
