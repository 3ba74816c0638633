//! The same path on SQL Server, where `CSC_TEST_MSSQL` says how one is reached: see
//! `docs/sql-server.md`.

#[cfg(unix)]
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Mutex;

use csc_staging::connection::{ConnectionTarget, SqlServerLogon, SqlServerTarget, parse};
use csc_staging::{NewRow, TableName, connect};
use mssql_tds::connection::client_context::ClientContext;
use mssql_tds::connection::tds_client::{ResultSet, StatementResult, TdsClient};
use mssql_tds::connection_provider::tds_connection_provider::TdsConnectionProvider;
use mssql_tds::core::EncryptionSetting;
use mssql_tds::datatypes::column_values::ColumnValues;
use secrecy::ExposeSecret;
use tokio::runtime::Runtime;

#[cfg(unix)]
use crate::gate::Gate;
use crate::place::{Place, payload};

/// A table of a test's own in that server, and a second way into it.
pub struct OwnTable {
    name: String,
    address: String,
    target: SqlServerTarget,
    runtime: Runtime,
    client: Mutex<TdsClient>,
}

impl OwnTable {
    /// Empty; or none without a server.
    pub fn create(name: &str) -> Option<OwnTable> {
        let address = std::env::var("CSC_TEST_MSSQL")
            .ok()
            .filter(|text| !text.is_empty())?;
        let ConnectionTarget::SqlServer(target) = parse(&address).unwrap().target else {
            panic!("CSC_TEST_MSSQL names no SQL Server");
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let table = OwnTable {
            name: format!("dbo.csc_e2e_{}_{name}_anon", std::process::id()),
            client: Mutex::new(runtime.block_on(second_way(&target))),
            address,
            target,
            runtime,
        };
        table.stage(&[]);
        Some(table)
    }

    fn stage(&self, rows: &[NewRow]) {
        let target = ConnectionTarget::SqlServer(self.target.clone());
        let name: TableName = self.name.parse().unwrap();
        self.runtime.block_on(async {
            let store = connect(&target, &name).await.unwrap();
            store.create().await.unwrap();
            store.stage(rows).await.unwrap();
        });
    }

    /// The settings that name it.
    pub fn settings(&self) -> String {
        self.settings_at(&self.address)
    }

    /// The same, by way of a gate.
    #[cfg(unix)]
    pub fn settings_through(&self, gate: &Gate) -> String {
        let (host, port) = (gate.address.ip(), gate.address.port());
        let parts = self.address.split(';').map(|part| {
            let is_server = part.trim().to_ascii_lowercase().starts_with("server=");
            if is_server {
                format!("Server={host},{port}")
            } else {
                part.to_string()
            }
        });
        self.settings_at(&parts.collect::<Vec<_>>().join(";"))
    }

    fn settings_at(&self, address: &str) -> String {
        format!("DB_CONNECTION_STRING={address}\nTABLE_NAME={}\n", self.name)
    }

    /// Where the server listens.
    #[cfg(unix)]
    pub fn server(&self) -> SocketAddr {
        let port = self.target.port.unwrap_or(1433);
        let mut addresses = (self.target.host.as_str(), port).to_socket_addrs().unwrap();
        addresses.next().unwrap()
    }

    pub fn execute(&self, sql: &str) {
        self.rows(sql);
    }

    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let sql = sql.replace("{t}", &self.name);
        let mut client = self.client.lock().unwrap();
        self.runtime.block_on(async {
            let mut rows = Vec::new();
            if let StatementResult::Rows = client.execute(sql, ()).await.unwrap() {
                while let Some(row) = client.next_row().await.unwrap() {
                    rows.push(row.into_iter().map(text).collect());
                }
            }
            client.close_query().await.unwrap();
            rows
        })
    }
}

impl Drop for OwnTable {
    fn drop(&mut self) {
        if let Ok(client) = self.client.get_mut() {
            let dropped = client.execute(format!("DROP TABLE {}", self.name), ());
            let _ = self.runtime.block_on(dropped);
        }
    }
}

async fn second_way(target: &SqlServerTarget) -> TdsClient {
    let SqlServerLogon::Sql { user, password } = &target.logon else {
        panic!("CSC_TEST_MSSQL needs a SQL logon");
    };
    let mut context = ClientContext::with_data_source("");
    context.database.clone_from(&target.database);
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

fn text(value: ColumnValues) -> Option<String> {
    match value {
        ColumnValues::Null => None,
        ColumnValues::String(text) => Some(text.to_utf8_string()),
        other => panic!("no text: {other:?}"),
    }
}

/// The place with such a table of so many children, and these faults at the receiver; or
/// none without a server.
pub fn at(name: &str, children: u32, faults: &[&str]) -> Option<(Place, OwnTable)> {
    let table = OwnTable::create(name)?;
    let place = Place::new(0, faults);
    place.write_env(&table.settings());
    let rows: Vec<NewRow> = (1..=children)
        .map(|n| NewRow {
            person_id: format!("P{n}"),
            legacy_id: None,
            payload: payload(n),
            hash: [1; 32],
        })
        .collect();
    table.stage(&rows);
    Some((place, table))
}

#[test]
fn the_main_job_on_sql_server() {
    let Some((place, _table)) = at("main", 55, &["refuse-unnamed=C17"]) else {
        return;
    };
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    assert!(
        ran.stdout.contains("54 records sent, 1 refused"),
        "{}",
        ran.both()
    );
    let held = place.simulator.record("845", "C3").unwrap();
    assert_eq!(held.to_string(), payload(3));
    let again = place.live(&["--mode", "deltas"]);
    assert_eq!(again.exit, 1, "{}", again.both());
    assert!(again.stdout.contains("of 1 eligible"), "{}", again.both());
    let status = place.run(&["status"]);
    for line in ["sent               unchanged           54", "error"] {
        assert!(status.stdout.contains(line), "{}", status.stdout);
    }
    let checked = place.run(&["check", "database"]);
    assert_eq!(checked.exit, 0, "{}", checked.both());
    let validated = place.run(&["validate"]);
    assert_eq!(validated.exit, 0, "{}", validated.both());
    let testing = place.run(&["send"]);
    assert_eq!(testing.exit, 0, "{}", testing.both());
    assert!(
        testing.stdout.contains("1 record tried"),
        "{}",
        testing.both()
    );
}

#[test]
fn a_second_run_is_told_who_has_the_table() {
    let Some((place, _table)) = at("busy", 30, &["slow=3000"]) else {
        return;
    };
    let first = place.start(&["send", "--live", "--yes"]);
    crate::place::until(
        || place.simulator.counts().posts > 0,
        "the first run's first post",
    );
    let second = place.live(&[]);
    assert_eq!(second.exit, 5, "{}", second.both());
    let run = format!("(process {})", first.id());
    assert!(second.stderr.contains(&run), "{}", second.both());
    let first = crate::place::ran(first.wait_with_output().unwrap());
    assert_eq!(first.exit, 0, "{}", first.both());
}
