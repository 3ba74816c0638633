//! The same path on PostgreSQL.

use crate::place::{Place, until};

/// A schema of its own in the tests' PostgreSQL.
pub struct Schema {
    client: postgres_client::Client,
    pub name: String,
}

mod postgres_client {
    pub struct Client {
        pub runtime: tokio::runtime::Runtime,
        pub client: tokio_postgres::Client,
    }
}

pub fn url() -> String {
    std::env::var("CSC_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_string())
}

fn connect(url: &str) -> postgres_client::Client {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let client = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .expect("the tests need a PostgreSQL: see README");
        tokio::spawn(connection);
        client
    });
    postgres_client::Client { runtime, client }
}

impl Schema {
    pub fn new(name: &str) -> Schema {
        Schema::at(&url(), name)
    }

    /// In another PostgreSQL than the tests' own.
    pub fn at(url: &str, name: &str) -> Schema {
        let name = format!("csc_e2e_{}_{name}", std::process::id());
        let schema = Schema {
            client: connect(url),
            name,
        };
        schema.execute(&format!(
            "DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}",
            schema.name
        ));
        schema
    }

    /// After the server was started again.
    #[cfg(unix)]
    pub fn reconnect(&mut self, url: &str) {
        self.client = connect(url);
    }

    pub fn execute(&self, sql: &str) {
        self.client
            .runtime
            .block_on(self.client.client.batch_execute(sql))
            .unwrap();
    }

    /// Waits until no run has a table in it: PostgreSQL notices that one has ended a moment after
    /// everybody else.
    pub fn until_free(&self) {
        let holders = format!(
            "SELECT lock.pid::text FROM pg_locks AS lock JOIN pg_class AS held ON held.oid = lock.objid
             WHERE lock.locktype = 'advisory' AND lock.granted
               AND held.relnamespace = '{}'::regnamespace",
            self.name
        );
        until(|| self.rows(&holders).is_empty(), "the run lock to be free");
    }

    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.client
            .runtime
            .block_on(self.client.client.query(sql, &[]))
            .unwrap()
            .iter()
            .map(|row| (0..row.len()).map(|n| row.get(n)).collect())
            .collect()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        let _ = self
            .client
            .runtime
            .block_on(self.client.client.batch_execute(&sql));
    }
}

#[test]
fn the_main_job_on_postgresql() {
    let schema = Schema::new("main");
    let place = Place::new(0, &["refuse-unnamed=C17"]);
    place.write_env(&format!(
        "DB_CONNECTION_STRING={}\nTABLE_NAME={}.ssd_api_data_staging_anon",
        url(),
        schema.name
    ));
    let created = place.run(&["init"]);
    assert_eq!(created.exit, 0, "{}", created.both());
    let table = format!("{}.ssd_api_data_staging_anon", schema.name);
    schema.execute(&format!(
        "INSERT INTO {table} (person_id, json_payload)
         SELECT 'P' || n, '{{\"la_child_id\":\"C' || n || '\",\"child_details\":{{\"surname\":\"O''Brien\"}}}}'
         FROM generate_series(1, 55) AS n"
    ));
    let ran = place.live(&[]);
    assert_eq!(ran.exit, 1, "{}", ran.both());
    let counts = schema.rows(&format!(
        "SELECT submission_status, row_state, count(*)::text FROM {table} GROUP BY 1, 2 ORDER BY 1"
    ));
    let text = |t: &str| Some(t.to_string());
    assert_eq!(
        counts,
        [
            vec![text("error"), text("New"), text("1")],
            vec![text("sent"), text("unchanged"), text("54")]
        ]
    );
    let held = place.simulator.record("845", "C1").unwrap();
    assert_eq!(held["child_details"]["surname"], "O'Brien");
    schema.until_free();
    let testing = place.run(&["send"]);
    assert_eq!(testing.exit, 0, "{}", testing.both());
    let status = place.run(&["status"]);
    assert!(status.stdout.contains("testing"), "{}", status.stdout);
}
