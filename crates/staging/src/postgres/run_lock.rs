//! One run at a time on a table: an advisory lock of the session that writes. The server
//! takes it away with the session.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::session::Session;
use crate::StoreError;
use crate::standstill::lock_is_held;

/// Keeps our advisory locks apart from other programs': "csc" and a digit.
const LOCK_CLASS: i32 = 0x6373_6331;

/// How often a lock that another session has is asked for.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// The run lock, as far as this store has it.
#[derive(Default)]
pub(super) struct RunLock(Mutex<Option<Held>>);

/// The lock of a table, and the connection that it was taken on.
#[derive(Clone, Copy)]
struct Held {
    table: u32,
    connection: u32,
}

impl RunLock {
    /// Asks for a table's lock, once, and tells whether it was given.
    pub(super) async fn take(&self, writer: &Session, table: u32) -> Result<bool, StoreError> {
        let mut held = self.0.lock().await;
        *held = try_once(writer, table).await?;
        Ok(held.is_some())
    }

    /// Takes the lock again where the connection that held it is gone. `false` where
    /// another run has it.
    pub(super) async fn keep(&self, writer: &Session) -> Result<bool, StoreError> {
        let mut held = self.0.lock().await;
        let Some(before) = *held else {
            return Ok(true);
        };
        if before.connection == writer.connection().await {
            return Ok(true);
        }
        let patience = writer.patience().lock_again;
        let end = Instant::now() + patience;
        loop {
            if let Some(again) = try_once(writer, before.table).await? {
                *held = Some(again);
                writer.standstills().ends();
                return Ok(true);
            }
            writer.standstills().begins(lock_is_held, patience);
            if Instant::now() >= end {
                return Ok(false);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// The same where nothing was written for a while: the connection is tried first.
    pub(super) async fn look_after(&self, writer: &Session) -> Result<bool, StoreError> {
        if self.0.lock().await.is_none() {
            return Ok(true);
        }
        let what = "see whether the run lock is still held";
        writer.ask(what, |_| "SELECT 1", &[], |_| ()).await?;
        self.keep(writer).await
    }
}

async fn try_once(writer: &Session, table: u32) -> Result<Option<Held>, StoreError> {
    let key = i32::from_ne_bytes(table.to_ne_bytes());
    let sql = "SELECT pg_try_advisory_lock($1, $2)";
    let (given, connection) = writer
        .ask(
            "take the run lock",
            |_| sql,
            &[&LOCK_CLASS, &key],
            |row| row.get::<_, bool>(0),
        )
        .await?;
    Ok(given.contains(&true).then_some(Held { table, connection }))
}

/// Who holds a table's lock, as far as this user may see.
pub(super) async fn holder(reader: &Session, table: u32) -> Result<String, StoreError> {
    let class = u32::from_ne_bytes(LOCK_CLASS.to_ne_bytes());
    let (holders, _) = reader
        .ask(
            "see who holds the run lock",
            |_| {
                "SELECT a.pid, a.usename::text, a.client_addr::text,
                        to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
                 FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
                 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
                   AND l.classid = $1 AND l.objid = $2
                   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 LIMIT 1"
            },
            &[&class, &table],
            |row| {
                let or = |column: usize, word: &str| {
                    row.get::<_, Option<String>>(column)
                        .unwrap_or_else(|| word.to_string())
                };
                format!(
                    "database process {} of user {} from {}, connected since {}",
                    row.get::<_, i32>(0),
                    or(1, "unknown"),
                    or(2, "this machine"),
                    or(3, "an unknown time"),
                )
            },
        )
        .await?;
    Ok(holders
        .into_iter()
        .next()
        .unwrap_or_else(|| "another csc-sender, which the server does not name".to_string()))
}
