//! What PostgreSQL says of itself and of the table.

use super::PostgresStore;
use crate::StoreError;
use crate::ddl::Dialect;
use crate::examine::{Encryption, Examined, ExaminedTable, Grantee};
use crate::shape::Sought;

const WHAT: &str = "look at the database";

pub(super) async fn examine(store: &PostgresStore) -> Result<Examined, StoreError> {
    let rows = store
        .read(
            WHAT,
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int4,
                    current_database()::text, current_user::text, quote_ident(current_user),
                    coalesce(host(inet_client_addr()) = host(inet_server_addr()), true),
                    s.version::text, s.cipher::text
             FROM (SELECT pg_backend_pid() AS pid) AS p
             LEFT JOIN pg_stat_ssl AS s ON s.pid = p.pid AND s.ssl",
            &[],
            |row| row,
        )
        .await?;
    let Some(row) = rows.first() else {
        return Err(store.no_answer(WHAT));
    };
    let (version, number): (String, i32) = (row.get(0), row.get(1));
    let same_machine: bool = row.get(5);
    let tls: Option<String> = row.get(6);
    let encryption = match (tls, row.get::<_, Option<String>>(7)) {
        (Some(version), cipher) => Encryption {
            words: format!("{version}, {}", cipher.unwrap_or_default()),
            in_the_clear: false,
            advice: "",
        },
        (None, _) => Encryption {
            words: if same_machine {
                "none; the server is on this machine".to_string()
            } else {
                "none: the records cross the network in the clear".to_string()
            },
            in_the_clear: !same_machine,
            advice: "write sslmode=verify-full in the connection string",
        },
    };
    Ok(Examined {
        dialect: Dialect::Postgres,
        server: format!(
            "PostgreSQL {version} at {}:{}",
            store.target.host, store.target.port
        ),
        too_old: (number < 110_000).then_some("its payloads to be compared (11 or later)"),
        level: None,
        database: row.get(2),
        logon: row.get(3),
        grantee: Some(Grantee {
            name: row.get(4),
            is_to_be_made: false,
        }),
        encryption: Some(encryption),
        table: table(store).await?,
    })
}

async fn table(store: &PostgresStore) -> Result<Sought<ExaminedTable>, StoreError> {
    let (oid, name) = match store.catalogue().find().await? {
        Sought::Here(found) => found,
        Sought::Elsewhere(elsewhere) => return Ok(Sought::Elsewhere(elsewhere)),
    };
    let rows = store
        .read(
            WHAT,
            "SELECT has_table_privilege($1::oid, 'SELECT'), has_table_privilege($1::oid, 'UPDATE'),
                    EXISTS (SELECT 1 FROM pg_index AS i
                            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                            WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL
                              AND lower(a.attname) = 'submission_status')",
            &[&oid],
            |row| row,
        )
        .await?;
    let Some(row) = rows.first() else {
        return Err(store.no_answer(WHAT));
    };
    Ok(Sought::Here(ExaminedTable {
        name,
        columns: store.catalogue().columns(oid).await?,
        may_read: row.get(0),
        may_write: row.get(1),
        status_is_indexed: row.get(2),
        unique_person: store.catalogue().unique_person(oid).await?,
    }))
}
