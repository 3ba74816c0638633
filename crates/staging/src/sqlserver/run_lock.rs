//! One run at a time on a table: an application lock of the session that writes. It
//! needs no right, and the server takes it away with the session.

use std::time::Duration;

use csc_digest::sha256;
use csc_message::Message;

use super::session::{Session, Statement};
use super::values::Value;
use crate::{StoreError, StoreErrorKind};

/// The connection that writes, and the run lock that its session holds.
pub(super) struct Writer {
    pub(super) session: Session,
    held: Option<Held>,
}

/// The run lock, and the connection that it was taken on.
struct Held {
    name: String,
    connection: u32,
}

/// The run lock's name: of the table, in its database, whichever session asks. The
/// server shows its first 32 characters to those who look for the holder, and compares
/// it byte for byte whatever the collation.
pub(super) fn lock_name(schema: &str, table: &str) -> String {
    let digest = sha256(format!("{schema}.{table}"));
    let hex: String = digest.iter().take(10).map(|b| format!("{b:02x}")).collect();
    format!("csc_sender {hex}")
}

impl Writer {
    pub(super) fn new(session: Session) -> Self {
        Writer {
            session,
            held: None,
        }
    }

    /// Whether the lock was taken, on this connection or on one that is gone.
    pub(super) fn holds_lock(&self) -> bool {
        self.held.is_some()
    }

    /// Asks for the lock and tells whether it was given.
    pub(super) async fn take_lock(
        &mut self,
        name: &str,
        wait: Duration,
    ) -> Result<bool, StoreError> {
        let sql = format!(
            "DECLARE @given INT;
             EXEC @given = sp_getapplock @Resource = @P1, @LockMode = N'Exclusive',
                  @LockOwner = N'Session', @LockTimeout = {};
             SELECT @given",
            wait.as_millis()
        );
        let given = self
            .session
            .ask(
                "take the run lock",
                |_| Statement::new(sql.clone(), vec![Value::Word(Some(name.to_string()))]),
                |mut row| row.number(0),
            )
            .await?;
        // 0: at once; 1: after others let it go; -1: not in time; else something failed.
        match given.first() {
            Some(0 | 1) => {
                self.held = Some(Held {
                    name: name.to_string(),
                    connection: self.session.connection(),
                });
                Ok(true)
            }
            Some(-1) => Ok(false),
            other => Err(StoreError::new(
                StoreErrorKind::Statement,
                Message::new(
                    326,
                    "Cannot take the run lock on the staging table",
                    format!(
                        "sp_getapplock gave {}",
                        other.map_or("nothing".to_string(), i64::to_string)
                    ),
                    "ask your DBA whether the role public may execute sys.sp_getapplock",
                ),
            )),
        }
    }

    /// Takes the lock again where the connection that held it is gone. `false` where
    /// another run has it.
    pub(super) async fn keep_lock(&mut self, wait: Duration) -> Result<bool, StoreError> {
        match &self.held {
            Some(held) if held.connection != self.session.connection() => {
                let name = held.name.clone();
                self.take_lock(&name, wait).await
            }
            Some(_) | None => Ok(true),
        }
    }
}

/// Who holds the run lock, as far as this logon may see.
pub(super) async fn holder(session: &mut Session, lock_name: &str) -> String {
    let mut read = |mut row: super::values::Row| {
        let process = row
            .number(0)
            .map_or("of an unknown number".to_string(), |id| id.to_string());
        let mut or = |column, word: &str| row.text(column).unwrap_or_else(|| word.to_string());
        Some(format!(
            "process {process} on {}, logged on as {}, connected since {} (the server's time)",
            or(1, "an unknown machine"),
            or(2, "an unknown logon"),
            or(3, "an unknown time"),
        ))
    };
    let statement = Statement::new(
        "SELECT TOP (1) CAST(s.host_process_id AS INT), CAST(s.host_name AS NVARCHAR(128)),
                CAST(s.login_name AS NVARCHAR(128)), CONVERT(NVARCHAR(19), s.login_time, 120)
         FROM sys.dm_tran_locks AS l
         JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id
         WHERE l.resource_type = N'APPLICATION' AND l.request_status = N'GRANT'
           AND l.resource_database_id = DB_ID()
           AND CHARINDEX(@P1, l.resource_description) > 0",
        vec![Value::Word(Some(lock_name.to_string()))],
    );
    // Once, and whatever comes of it: without the right there is no answer.
    let seen = session.ask_once(statement, &mut read).await;
    seen.ok()
        .and_then(|rows| rows.into_iter().next())
        .unwrap_or_else(|| {
            "another csc-sender process, which the server names only to logons that may VIEW \
             SERVER STATE"
                .to_string()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_a_name_of_its_own_for_each_table_that_the_server_shows_whole() {
        let real = lock_name("dbo", "ssd_api_data_staging");
        let fake = lock_name("dbo", "ssd_api_data_staging_anon");
        assert_eq!(real, lock_name("dbo", "ssd_api_data_staging"));
        assert_ne!(real, fake);
        assert_ne!(real, lock_name("ssd", "ssd_api_data_staging"));
        assert!(
            real.starts_with("csc_sender ") && real.len() <= 32,
            "{real}"
        );
    }
}
