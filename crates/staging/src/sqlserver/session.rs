//! One connection, and what is done when a statement fails on it.
//!
//! A connection that was left in the middle of an answer (a failure, a timeout, or a
//! caller that stopped waiting) is never used again: it is closed, whereupon the server
//! ends what it was doing, and the next statement gets a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mssql_tds::connection::tds_client::{
    ExecuteOptions, PreparedStatement, ResultSet, StatementResult, TdsClient,
};
use mssql_tds::error::Error;

use super::connect::{self, LOCK_WAIT, Negotiated};
use super::fault::Fault;
use super::messages::{DEADLOCK, LOCK_TIMEOUT, database_place, failure, statement_failed};
use super::values::{Row, Value};
use crate::connection::SqlServerTarget;
use crate::standstill::Standstills;
use crate::{StoreError, patience};

/// How long is waited, and how often something is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest that one statement may take.
    pub(super) statement: Duration,
    /// The pauses before a statement that lost a deadlock, or was not given a lock, is
    /// tried again.
    pub(super) blocked: &'static [Duration],
    /// The pauses before a new connection is tried where one was lost. A server that is
    /// started again is back within a minute or two.
    pub(super) lost: &'static [Duration],
    /// How long the run lock is waited for on a new connection. The server may take a
    /// while to notice that the old one, which holds it, is gone.
    pub(super) lock_again: Duration,
}

impl Patience {
    /// What holds for every run.
    pub(super) const USUAL: Patience = Patience {
        statement: Duration::from_secs(600),
        blocked: patience::BLOCKED,
        lost: patience::LOST,
        lock_again: patience::LOCK_AGAIN,
    };
}

/// What the driver needs for telling the server to stop, beyond the statement's limit.
const GRACE: Duration = Duration::from_secs(15);

/// Why a statement has no answer.
pub(super) enum Failure {
    /// The connection broke while the statement was under way: whether the server did
    /// what it was told is not known.
    Lost(String),
    /// There was no connection, and none could be made.
    Unconnected(Box<Fault>),
    /// No answer in time.
    Slow,
    /// The server refused the statement, and did nothing of it.
    Refused {
        /// SQL Server's number.
        number: u32,
        /// Number and words.
        words: String,
    },
    /// The answer is of another kind than was asked for.
    Unreadable,
}

impl Failure {
    /// Whether the server is gone, and may come back.
    fn is_away(&self) -> bool {
        match self {
            Failure::Lost(_) => true,
            Failure::Unconnected(fault) => fault.passing,
            Failure::Slow | Failure::Refused { .. } | Failure::Unreadable => false,
        }
    }

    /// Whether the server waited for a lock as long as it was told to, and in vain.
    fn is_locked(&self) -> bool {
        match self {
            Failure::Refused { number, .. } => *number == LOCK_TIMEOUT,
            Failure::Lost(_) | Failure::Unconnected(_) | Failure::Slow | Failure::Unreadable => {
                false
            }
        }
    }
}

/// How often a statement was tried, by why it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tries {
    blocked: usize,
    lost: usize,
}

/// The pauses after which a statement that failed is tried again, as many as are left.
/// Every statement of a store may be: reading changes nothing, and writing only touches
/// rows that still are as they were read.
fn pauses_left(failure: &Failure, tries: &mut Tries, patience: &Patience) -> &'static [Duration] {
    let (pauses, tried) = match failure {
        away if away.is_away() => (patience.lost, &mut tries.lost),
        Failure::Refused { number, .. } if [DEADLOCK, LOCK_TIMEOUT].contains(number) => {
            (patience.blocked, &mut tries.blocked)
        }
        Failure::Lost(_)
        | Failure::Unconnected(_)
        | Failure::Refused { .. }
        | Failure::Slow
        | Failure::Unreadable => return &[],
    };
    let left = pauses.get(*tried..).unwrap_or_default();
    *tried += 1;
    left
}

/// A statement and its values, @P1 first.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub(super) fn new(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Statement {
            sql: sql.into(),
            values,
        }
    }
}

/// A statement that is asked again and again, as the UPDATE of each full batch, is
/// prepared the second time it comes: its text, which is long, crosses the wire and is
/// read by the server but once more.
#[derive(Default)]
struct Repeated {
    last: String,
    /// On a new connection the driver prepares it anew.
    prepared: Option<PreparedStatement>,
}

impl Repeated {
    /// This text will come again and again.
    fn expect(&mut self, sql: &str) {
        self.last.clear();
        self.last.push_str(sql);
    }

    /// The statement to execute where this text is, or is worth being, prepared.
    fn prepared(&mut self, sql: &str) -> Option<&mut PreparedStatement> {
        let is = |prepared: &PreparedStatement| prepared.sql() == sql;
        if !self.prepared.as_ref().is_some_and(is) {
            if self.last != sql {
                self.expect(sql);
                return None;
            }
            self.prepared = Some(PreparedStatement::new(sql));
        }
        self.prepared.as_mut()
    }
}

/// One connection to the server, made anew where it was lost.
pub(super) struct Session {
    target: Arc<SqlServerTarget>,
    patience: Patience,
    standstills: Standstills,
    client: Option<TdsClient>,
    repeated: Repeated,
    /// How many connections there were, this one counted.
    connections: u32,
}

impl Session {
    /// Connects. A first connection that fails is not tried again: whoever starts the
    /// program is told at once.
    pub(super) async fn connect(
        target: Arc<SqlServerTarget>,
        patience: Patience,
        standstills: Standstills,
    ) -> Result<Self, StoreError> {
        let client = connect::connect(&target)
            .await
            .map_err(|fault| fault.error)?;
        Ok(Session {
            target,
            patience,
            standstills,
            client: Some(client),
            repeated: Repeated::default(),
            connections: 1,
        })
    }

    /// Which connection this is, counted from 1.
    pub(super) fn connection(&self) -> u32 {
        self.connections
    }

    pub(super) fn target(&self) -> &SqlServerTarget {
        &self.target
    }

    /// What was negotiated for this connection; `None` where there is none just now.
    pub(super) fn negotiated(&self) -> Option<Negotiated> {
        let client = self.client.as_ref()?;
        Some(connect::negotiated(&self.target, client))
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    /// Closes the connection, and with it what its session holds.
    pub(super) fn drop_connection(&mut self) {
        self.client = None;
    }

    /// Runs a statement and reads its rows, trying again where that can help. `make` is
    /// told whether an earlier try may have been carried out though no answer came.
    pub(super) async fn ask<T>(
        &mut self,
        what: &str,
        mut make: impl FnMut(bool) -> Statement,
        mut read: impl FnMut(Row) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let begun = Instant::now();
        let mut tries = Tries::default();
        let mut repeated = false;
        loop {
            let failure = match self.ask_once(make(repeated), &mut read).await {
                Ok(rows) => {
                    if tries != Tries::default() {
                        self.standstills.ends();
                    }
                    tracing::debug!("{what}: {} ms", begun.elapsed().as_millis());
                    return Ok(rows);
                }
                Err(failure) => failure,
            };
            repeated |= matches!(failure, Failure::Lost(_));
            let left = pauses_left(&failure, &mut tries, &self.patience);
            let (is_away, is_locked) = (failure.is_away(), failure.is_locked());
            let failed = statement_failed(&self.target, what, failure);
            let why = failed.message.why();
            let Some(pause) = left.first().copied() else {
                if is_away {
                    let place = database_place(&self.target);
                    let waited = begun.elapsed();
                    return Err(patience::stayed_away(&place, what, tries.lost, waited, why));
                }
                return Err(failed);
            };
            // A connection that is back at once is worth no word, and neither is a deadlock,
            // which is over when it is told of.
            if is_away && !pause.is_zero() {
                let why = || format!("the database is gone: {why}");
                self.standstills.begins(why, left.iter().sum());
            } else if is_locked {
                let why = || format!("another session holds what is asked for: {why}");
                let waits = LOCK_WAIT * u32::try_from(left.len()).unwrap_or(u32::MAX);
                self.standstills
                    .begins(why, left.iter().sum::<Duration>() + waits);
            }
            tracing::warn!(
                "cannot {what}; trying again in {} ms: {why}",
                pause.as_millis()
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// Runs a statement that will come again and again, for the first time.
    pub(super) async fn ask_for_the_first_time(
        &mut self,
        what: &str,
        make: impl Fn() -> Statement,
    ) -> Result<(), StoreError> {
        self.repeated.expect(&make().sql);
        self.ask(what, |_| make(), |_| Some(())).await.map(|_| ())
    }

    /// Runs a statement once.
    pub(super) async fn ask_once<T>(
        &mut self,
        statement: Statement,
        read: &mut impl FnMut(Row) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        // Out of its place for as long as the answer is not read to its end.
        let mut client = match self.client.take() {
            Some(client) => client,
            None => {
                let client = connect::connect(&self.target)
                    .await
                    .map_err(|fault| Failure::Unconnected(Box::new(fault)))?;
                self.connections += 1;
                client
            }
        };
        let limit = self.patience.statement;
        let running = run(&mut client, &mut self.repeated, statement, limit, read);
        let failure = match tokio::time::timeout(limit + GRACE, running).await {
            Ok(Ok(Some(rows))) => {
                self.client = Some(client);
                return Ok(rows);
            }
            Ok(Ok(None)) => Failure::Unreadable,
            Ok(Err(error)) => failure(&error),
            Err(_) => Failure::Slow,
        };
        if let Failure::Refused { .. } = &failure
            && !client.is_connection_dead()
            && client.close_query().await.is_ok()
        {
            self.client = Some(client);
        }
        Err(failure)
    }
}

/// Sends the statement and reads the last set of rows of its answer: a trigger may have
/// brought others before it. `None` where a row could not be read.
async fn run<T>(
    client: &mut TdsClient,
    repeated: &mut Repeated,
    statement: Statement,
    limit: Duration,
    read: &mut impl FnMut(Row) -> Option<T>,
) -> Result<Option<Vec<T>>, Error> {
    let seconds = u32::try_from(limit.as_secs().max(1)).unwrap_or(u32::MAX);
    let options = ExecuteOptions {
        timeout: Some(seconds),
        ..ExecuteOptions::default()
    };
    let mut result = if statement.values.is_empty() {
        client.execute(statement.sql, options).await?
    } else {
        let values = statement.values.into_iter().enumerate();
        let parameters = values.map(|(at, value)| value.parameter(at + 1)).collect();
        match repeated.prepared(&statement.sql) {
            Some(prepared) => {
                client
                    .execute_prepared(prepared, parameters, &mut None, options)
                    .await?
            }
            None => {
                client
                    .execute_sp_executesql(statement.sql, parameters, options)
                    .await?
            }
        }
    };
    let mut rows = Some(Vec::new());
    loop {
        match result {
            StatementResult::Rows => {
                let mut set = Some(Vec::new());
                while let Some(values) = client.next_row().await? {
                    set = set.and_then(|mut set| {
                        set.push(read(Row::new(values))?);
                        Some(set)
                    });
                }
                rows = set;
            }
            StatementResult::NoRows { .. } => {}
            StatementResult::End => break,
        }
        result = client.advance().await?;
    }
    client.close_query().await?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_prepared_when_it_comes_again_and_stays_so() {
        let mut repeated = Repeated::default();
        let mut comes = |sql: &str| repeated.prepared(sql).map(|p| p.sql().to_string());
        assert_eq!(comes("full"), None);
        assert_eq!(comes("full").as_deref(), Some("full"));
        assert_eq!(comes("short"), None);
        assert_eq!(comes("full").as_deref(), Some("full"));
        assert_eq!(comes("short").as_deref(), Some("short"));
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_each_in_its_measure() {
        let refused = |number| Failure::Refused {
            number,
            words: String::new(),
        };
        let lost = || Failure::Lost(String::new());
        let patience = Patience::USUAL;
        for (failure, expected) in [
            (refused(DEADLOCK), patience.blocked),
            (refused(LOCK_TIMEOUT), patience.blocked),
            (lost(), patience.lost),
            (refused(229), &[][..]),
            (refused(2627), &[]),
            (Failure::Slow, &[]),
            (Failure::Unreadable, &[]),
        ] {
            let mut tries = Tries::default();
            let mut pauses = Vec::new();
            while let Some(pause) = pauses_left(&failure, &mut tries, &patience).first() {
                pauses.push(*pause);
            }
            assert_eq!(pauses, expected);
        }
        let mut tries = Tries::default();
        pauses_left(&refused(DEADLOCK), &mut tries, &patience);
        pauses_left(&lost(), &mut tries, &patience);
        assert_eq!(
            tries,
            Tries {
                blocked: 1,
                lost: 1
            }
        );
    }
}
