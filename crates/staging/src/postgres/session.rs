//! One connection, made anew where it was lost, and what is done when a statement fails
//! on it.
//!
//! Every statement of a store may be sent again: reading changes nothing, and writing only
//! touches rows that still are as they were read. Staging rows and creating the table are
//! no part of a run, and are not.

use std::iter::empty;
use std::sync::Arc;
use std::time::{Duration, Instant};

use csc_message::Message;
use futures_util::TryStreamExt;
use tokio::sync::Mutex;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, SimpleQueryMessage, Statement};

use super::connect::{self, Unconnected, database_place, statement_refused, words};
use crate::connection::PostgresTarget;
use crate::standstill::Standstills;
use crate::{StoreError, StoreErrorKind, patience};

/// A statement's values, $1 first.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How long is waited, and how often something is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest that one statement may take before it is given up. The server's own
    /// limit (`statement_timeout`) is a little shorter, so it usually answers first.
    pub(super) statement: Duration,
    /// The pauses before a statement that lost a deadlock is tried again.
    pub(super) blocked: &'static [Duration],
    /// The pauses before a new connection is tried where one was lost.
    pub(super) lost: &'static [Duration],
    /// How long the run lock is waited for on a new connection.
    pub(super) lock_again: Duration,
}

impl Patience {
    /// What holds for every run.
    pub(super) const USUAL: Patience = Patience {
        statement: Duration::from_secs(630),
        blocked: patience::BLOCKED,
        lost: patience::LOST,
        lock_again: patience::LOCK_AGAIN,
    };
}

/// Why a statement has no answer.
enum Failure {
    /// The connection broke while the statement was under way: whether the server did what
    /// it was told is not known.
    Lost(Error),
    /// There was no connection, and none could be made.
    Unconnected(Unconnected),
    /// No answer in time.
    Slow,
    /// The server refused the statement, and did nothing of it.
    Refused(Error),
}

/// What the server does with one of two sessions that wait for each other, and asks to be
/// told again: `deadlock_detected` and `serialization_failure`.
const BLOCKED_STATES: [&str; 2] = ["40P01", "40001"];

impl Failure {
    fn of(error: Error, client: &Client) -> Failure {
        let state = error.code().map(|state| state.code());
        let ended = match state {
            Some(state) => connect::is_passing(state),
            None => error.is_closed() || client.is_closed(),
        };
        if ended {
            Failure::Lost(error)
        } else {
            Failure::Refused(error)
        }
    }

    /// The pauses after which this may be tried again.
    fn pauses(&self, patience: &Patience) -> &'static [Duration] {
        match self {
            Failure::Lost(_) => patience.lost,
            Failure::Unconnected(Unconnected { passing: true, .. }) => patience.lost,
            Failure::Refused(error)
                if error
                    .code()
                    .is_some_and(|state| BLOCKED_STATES.contains(&state.code())) =>
            {
                patience.blocked
            }
            Failure::Unconnected(_) | Failure::Slow | Failure::Refused(_) => &[],
        }
    }
}

/// How often a statement was tried, by why it failed.
#[derive(Default)]
struct Tries {
    blocked: usize,
    lost: usize,
}

/// How a statement finds its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the server thinks best.
    Any,
    /// By an index, in its order.
    InOrder,
}

impl Way {
    /// What the session is told. The disabled ways are still taken where there is no other;
    /// they cost so much by then that the server would compile the statement first.
    fn settings(self) -> &'static str {
        match self {
            Way::Any => {
                "RESET enable_seqscan; RESET enable_bitmapscan; RESET enable_sort; RESET jit"
            }
            Way::InOrder => {
                "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
                 SET jit = off"
            }
        }
    }
}

/// One connection to the server, made anew where it was lost.
pub(super) struct Session {
    target: Arc<PostgresTarget>,
    patience: Patience,
    standstills: Standstills,
    /// Whether a statement that is asked again and again, as the UPDATE of each batch, is
    /// prepared once. Not for reading: a plan that was made without the values may be a bad
    /// one for some of them.
    keeps_statement: bool,
    link: Mutex<Link>,
}

struct Link {
    client: Arc<Client>,
    /// How many connections there were, this one counted.
    number: u32,
    /// Whether the server has said that it ends it.
    lost: bool,
    /// Whether a transaction is open that goes over several statements: it is undone where
    /// the connection is lost, and nothing is to be done over a new one.
    pinned: bool,
    /// The statement that was asked last, where it is kept.
    prepared: Option<(String, Statement)>,
    /// What it was told last of how to find rows.
    way: Way,
}

impl Session {
    /// Connects. A first connection that fails is not tried again: whoever starts the
    /// program is told at once.
    pub(super) async fn connect(
        target: Arc<PostgresTarget>,
        patience: Patience,
        standstills: Standstills,
    ) -> Result<Self, StoreError> {
        let client = connect::connect(&target).await.map_err(|none| none.error)?;
        Ok(Session {
            target,
            patience,
            standstills,
            keeps_statement: false,
            link: Mutex::new(Link {
                client: Arc::new(client),
                number: 1,
                lost: false,
                pinned: false,
                prepared: None,
                way: Way::Any,
            }),
        })
    }

    /// For writing.
    pub(super) fn keeping_its_statement(self) -> Self {
        Session {
            keeps_statement: true,
            ..self
        }
    }

    pub(super) fn patience(&self) -> Patience {
        self.patience
    }

    pub(super) fn standstills(&self) -> &Standstills {
        &self.standstills
    }

    /// Which connection this is, counted from 1.
    pub(super) async fn connection(&self) -> u32 {
        self.link.lock().await.number
    }

    /// The connection and its number, made anew where it is gone.
    async fn link(&self) -> Result<(Arc<Client>, u32), Unconnected> {
        let mut link = self.link.lock().await;
        if link.lost || link.client.is_closed() {
            if link.pinned {
                return Err(Unconnected {
                    error: patience::lost(
                        &database_place(&self.target),
                        "go on with what was begun",
                        "the connection was lost, and the transaction with it".to_string(),
                    ),
                    passing: false,
                });
            }
            link.client = Arc::new(connect::connect(&self.target).await?);
            link.number += 1;
            link.lost = false;
            link.prepared = None;
            link.way = Way::Any;
        }
        Ok((Arc::clone(&link.client), link.number))
    }

    /// Begins a transaction, and keeps to its connection until [`Session::end`].
    pub(super) async fn begin(&self, what: &str) -> Result<(), StoreError> {
        self.execute(what, "BEGIN").await?;
        self.link.lock().await.pinned = true;
        Ok(())
    }

    /// Ends the transaction, by COMMIT or ROLLBACK.
    pub(super) async fn end(&self, what: &str, how: &str) -> Result<(), StoreError> {
        let ended = self.execute(what, how).await;
        self.link.lock().await.pinned = false;
        ended
    }

    /// Has that connection find rows this way, and asks meanwhile: the server does one after
    /// the other.
    async fn turn_to<T>(
        &self,
        way: Way,
        client: &Client,
        number: u32,
        then: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.link.lock().await.way == way {
            return then.await;
        }
        let (turned, done) = tokio::join!(biased; client.batch_execute(way.settings()), then);
        turned?;
        let mut link = self.link.lock().await;
        if link.number == number {
            link.way = way;
        }
        done
    }

    /// The statement on that connection.
    async fn prepared(
        &self,
        client: &Client,
        number: u32,
        sql: &str,
        way: Way,
    ) -> Result<Statement, Error> {
        let is_kept = self.keeps_statement || way == Way::InOrder;
        if is_kept
            && let Some((text, statement)) = &self.link.lock().await.prepared
            && text == sql
        {
            return Ok(statement.clone());
        }
        let statement = client.prepare(sql).await?;
        let mut link = self.link.lock().await;
        if is_kept && link.number == number {
            link.prepared = Some((sql.to_string(), statement.clone()));
        }
        Ok(statement)
    }

    /// Runs a statement and reads its rows, trying again where that can help. `sql` is
    /// told whether an earlier try may have been carried out though no answer came. Gives
    /// the number of the connection that answered, too.
    pub(super) async fn ask<'a, T>(
        &self,
        what: &str,
        sql: impl Fn(bool) -> &'a str,
        values: Values<'_>,
        read: impl FnMut(Row) -> T,
    ) -> Result<(Vec<T>, u32), StoreError> {
        self.ask_by(Way::Any, what, sql, values, read).await
    }

    /// The same of a statement that reads the first rows of an order of which there is an
    /// index. The server cannot tell how many rows the conditions leave, takes them for few,
    /// and would go through the whole table for each page. The plan is kept: it is the same
    /// whatever the values.
    pub(super) async fn ask_in_order<T>(
        &self,
        what: &str,
        sql: &str,
        values: Values<'_>,
        read: impl FnMut(Row) -> T,
    ) -> Result<(Vec<T>, u32), StoreError> {
        self.ask_by(Way::InOrder, what, |_| sql, values, read).await
    }

    async fn ask_by<'a, T>(
        &self,
        way: Way,
        what: &str,
        sql: impl Fn(bool) -> &'a str,
        values: Values<'_>,
        mut read: impl FnMut(Row) -> T,
    ) -> Result<(Vec<T>, u32), StoreError> {
        let begun = Instant::now();
        let mut tries = Tries::default();
        let mut repeated = false;
        loop {
            let failure = match self.ask_once(way, sql(repeated), values, &mut read).await {
                Ok(done) => {
                    if tries.lost > 0 {
                        self.standstills.ends();
                    }
                    return Ok(done);
                }
                Err(failure) => failure,
            };
            repeated |= matches!(failure, Failure::Lost(_));
            let pauses = failure.pauses(&self.patience);
            let tried = match failure {
                Failure::Refused(_) => &mut tries.blocked,
                Failure::Lost(_) | Failure::Unconnected(_) | Failure::Slow => &mut tries.lost,
            };
            let left = pauses.get(*tried..).unwrap_or_default();
            *tried += 1;
            let Some(pause) = left.first().copied() else {
                return Err(self.failed(what, failure, tries.lost, begun));
            };
            let is_gone = matches!(failure, Failure::Lost(_) | Failure::Unconnected(_));
            // A connection that is back at once is worth no word.
            if is_gone && !pause.is_zero() {
                let why = || format!("the database is gone: {}", self.why(&failure));
                self.standstills.begins(why, left.iter().sum());
            }
            tracing::warn!(
                "cannot {what}; trying again in {} ms: {}",
                pause.as_millis(),
                self.why(&failure)
            );
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask_once<T>(
        &self,
        way: Way,
        sql: &str,
        values: Values<'_>,
        read: &mut impl FnMut(Row) -> T,
    ) -> Result<(Vec<T>, u32), Failure> {
        let (client, number) = self.link().await.map_err(Failure::Unconnected)?;
        let answer = async {
            let rows = if values.is_empty() {
                // With no types to ask for, it takes one turn and not two.
                let rows = client.query_typed_raw(sql, empty::<(&str, Type)>());
                self.turn_to(way, &client, number, rows).await?
            } else {
                let statement = self.prepared(&client, number, sql, way);
                let statement = self.turn_to(way, &client, number, statement).await?;
                client.query_raw(&statement, values.iter().copied()).await?
            };
            let mut rows = std::pin::pin!(rows);
            let mut done = Vec::new();
            while let Some(row) = rows.try_next().await? {
                done.push(read(row));
            }
            Ok(done)
        };
        match tokio::time::timeout(self.patience.statement, answer).await {
            Ok(Ok(done)) => Ok((done, number)),
            Ok(Err(error)) => {
                let failure = Failure::of(error, &client);
                let mut link = self.link.lock().await;
                // Somebody else may have made a new one meanwhile.
                link.lost |= link.number == number && matches!(failure, Failure::Lost(_));
                Err(failure)
            }
            Err(_) => Err(Failure::Slow),
        }
    }

    /// Runs a statement of no run's, once.
    pub(super) async fn ask_once_only(
        &self,
        what: &str,
        sql: &str,
        values: Values<'_>,
    ) -> Result<(), StoreError> {
        let done = self.ask_once(Way::Any, sql, values, &mut |_| ()).await;
        done.map(|_| ())
            .map_err(|failure| self.failed_once(what, failure))
    }

    /// Runs statements without values, once.
    pub(super) async fn execute(&self, what: &str, sql: &str) -> Result<(), StoreError> {
        let done = match self.link().await {
            Err(none) => Err(Failure::Unconnected(none)),
            Ok((client, _)) => {
                let done = client.batch_execute(sql);
                match tokio::time::timeout(self.patience.statement, done).await {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(Failure::of(error, &client)),
                    Err(_) => Err(Failure::Slow),
                }
            }
        };
        done.map_err(|failure| self.failed_once(what, failure))
    }

    /// Runs statements that begin a transaction, and rolls it back whatever came of them.
    /// Gives how many rows the last one wrote.
    pub(super) async fn try_out(&self, what: &str, sql: &str) -> Result<u64, StoreError> {
        let tried = match self.link().await {
            Err(none) => Err(Failure::Unconnected(none)),
            Ok((client, _)) => {
                let trial = async {
                    let tried = client.simple_query(sql).await;
                    let undone = client.batch_execute("ROLLBACK").await;
                    let messages = tried?;
                    undone.map(|()| messages)
                };
                match tokio::time::timeout(self.patience.statement, trial).await {
                    Ok(Ok(messages)) => Ok(messages),
                    Ok(Err(error)) => Err(Failure::of(error, &client)),
                    Err(_) => Err(Failure::Slow),
                }
            }
        };
        let messages = tried.map_err(|failure| self.failed_once(what, failure))?;
        let written = messages
            .into_iter()
            .rev()
            .find_map(|message| match message {
                SimpleQueryMessage::CommandComplete(rows) => Some(rows),
                _ => None,
            });
        Ok(written.unwrap_or_default())
    }

    fn why(&self, failure: &Failure) -> String {
        match failure {
            Failure::Lost(error) => format!("the connection was lost: {}", words(error)),
            Failure::Unconnected(none) => none.error.message.why().to_string(),
            Failure::Slow => format!("no answer within {} s", self.patience.statement.as_secs()),
            Failure::Refused(error) => connect::words_of_statement(error),
        }
    }

    /// What was tried again as often as it may be.
    fn failed(&self, what: &str, failure: Failure, tries: usize, begun: Instant) -> StoreError {
        let is_away = match &failure {
            Failure::Lost(_) => true,
            Failure::Unconnected(none) => none.passing,
            Failure::Slow | Failure::Refused(_) => false,
        };
        if !is_away {
            return self.failed_once(what, failure);
        }
        let place = database_place(&self.target);
        patience::stayed_away(&place, what, tries, begun.elapsed(), &self.why(&failure))
    }

    /// What is not tried again.
    fn failed_once(&self, what: &str, failure: Failure) -> StoreError {
        let place = database_place(&self.target);
        match failure {
            Failure::Refused(error) => statement_refused(&place, what, &error),
            Failure::Slow => no_answer(&place, what, self.patience.statement),
            Failure::Unconnected(none) => none.error,
            Failure::Lost(_) => patience::lost(&place, what, self.why(&failure)),
        }
    }
}

pub(super) fn no_answer(place: &str, what: &str, waited: Duration) -> StoreError {
    StoreError::new(
        StoreErrorKind::Connection,
        Message::new(
            310,
            format!("Cannot {what} ({place})"),
            format!("no answer within {} s", waited.as_secs()),
            "ask your DBA whether the server is up and what blocks it, then start again",
        ),
    )
}
