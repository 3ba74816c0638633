//! One batch to its end: posted, tried again where that helps, taken apart where one
//! record would cost the others, recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use csc_message::Message;
use csc_receiver::{Answer, Client, Receipt, Submitted, TokenFault, Trouble, Words, body_of};
use csc_staging::{Outcome, RowKey, RowResult, StagingStore};

use crate::pacing::Pacer;
use crate::prepare::{Prepared, Unfit};
use crate::report::{Event, Failure, RunReport, Watch};
use crate::{Mode, NextTry, Reason, RunOptions, Stop};

/// Why a run ends before its time.
pub(crate) enum End {
    /// Ctrl-C.
    Interrupted,
    /// Anything else, with its message.
    Because(Message),
}

/// The most failed posts that a report lists.
const FAILURES: usize = 100;

/// A batch in which everything was refused for reasons that no record explains may be
/// chance; after so many in a row the cause is not in the records.
const UNEXPLAINED_BATCHES: u32 = 3;
/// The same with very small batches, where one bad record is the whole batch.
const UNEXPLAINED_RECORDS: usize = 10;

/// One run's way to the receiver and back into the table.
pub(crate) struct Delivery<'a> {
    store: &'a dyn StagingStore,
    client: &'a Client,
    options: &'a RunOptions,
    stop: Stop,
    watch: &'a mut dyn Watch,
    pacer: Pacer,
    pub(crate) report: RunReport,
    /// The largest body that the receiver is known to take, once it refused one.
    largest: usize,
    unexplained: Unexplained,
}

#[derive(Default)]
struct Unexplained {
    batches: u32,
    records: usize,
}

/// What came of a part of a batch, retries included.
enum Posted {
    Accepted(Vec<Receipt>),
    Malformed {
        named: BTreeMap<usize, Words>,
        words: Words,
        status: Option<u16>,
    },
    TooLarge(Words),
    /// Refused as a whole.
    Whole {
        reason: Reason,
        words: String,
    },
    /// Retries are spent: the rows say why, and the run ends.
    Spent {
        words: String,
        message: Message,
    },
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(
        store: &'a dyn StagingStore,
        client: &'a Client,
        options: &'a RunOptions,
        stop: Stop,
        watch: &'a mut dyn Watch,
        report: RunReport,
    ) -> Self {
        Delivery {
            store,
            client,
            options,
            stop,
            watch,
            pacer: Pacer::new(options.gap),
            report,
            largest: usize::MAX,
            unexplained: Unexplained::default(),
        }
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.watch.event(event);
    }

    /// Records rows that cannot go.
    pub(crate) async fn refuse_unfit(&mut self, unfit: Vec<Unfit>) -> Result<(), End> {
        let refused = unfit
            .into_iter()
            .map(|row| (row.key, row.reason, row.words))
            .collect();
        self.record_refused(refused).await
    }

    /// Posts a batch and records what came of it. The parts of a batch that was taken
    /// apart go first to last.
    pub(crate) async fn deliver(&mut self, batch: Vec<Prepared>) -> Result<(), End> {
        let records = batch.len();
        let mut parts = vec![batch];
        let (mut accepted, mut unexplained) = (false, false);
        while let Some(part) = parts.pop() {
            if part.len() > 1 && body_length(&part) > self.largest {
                push_halves(&mut parts, part);
                continue;
            }
            match self.post(&part).await? {
                Posted::Accepted(receipts) => {
                    accepted = true;
                    self.record_accepted(part, receipts).await?;
                }
                Posted::Malformed { named, .. } if !named.is_empty() => {
                    let mut rest = Vec::with_capacity(part.len());
                    let mut refused = Vec::with_capacity(named.len());
                    for (index, record) in part.into_iter().enumerate() {
                        match named.get(&index) {
                            Some(words) => refused.push((
                                record.key,
                                Reason::RefusedByReceiver,
                                words.for_response().to_string(),
                            )),
                            None => rest.push(record),
                        }
                    }
                    self.record_refused(refused).await?;
                    if !rest.is_empty() {
                        parts.push(rest);
                    }
                }
                Posted::Malformed { words, status, .. } => {
                    if part.len() > 1 {
                        push_halves(&mut parts, part);
                    } else {
                        unexplained = true;
                        let words = with_words(&status_words(status), &words);
                        self.refuse_all(part, Reason::RefusedByReceiver, &words)
                            .await?;
                    }
                }
                Posted::TooLarge(words) => {
                    if part.len() > 1 {
                        self.largest = self.largest.min(body_length(&part) - 1);
                        push_halves(&mut parts, part);
                    } else {
                        let words = with_words("status 413: the record alone is too large", &words);
                        self.refuse_all(part, Reason::TooLarge, &words).await?;
                    }
                }
                Posted::Whole { reason, words } => {
                    unexplained = true;
                    self.refuse_all(part, reason, &words).await?;
                }
                Posted::Spent { words, message } => {
                    self.refuse_all(part, Reason::RetriesSpent, &words).await?;
                    return Err(End::Because(message));
                }
            }
        }
        self.judge(accepted, unexplained, records)
    }

    /// Stops a run in which batch after batch is refused for no reason of its own,
    /// instead of marking the whole table.
    fn judge(&mut self, accepted: bool, unexplained: bool, records: usize) -> Result<(), End> {
        if accepted {
            self.unexplained = Unexplained::default();
        } else if unexplained {
            self.unexplained.batches += 1;
            self.unexplained.records += records;
        }
        let Unexplained { batches, records } = self.unexplained;
        if batches < UNEXPLAINED_BATCHES || records < UNEXPLAINED_RECORDS {
            return Ok(());
        }
        Err(End::Because(Message::new(
            601,
            format!("The last {batches} batches were refused as a whole ({records} records)"),
            "the receiver accepts nothing and names no record, so the cause is not in the records",
            "read api_response of the rows that are `error` now, check API_ENDPOINT, LA_CODE and the \
             specification's version with the DfE; the remaining rows stay as they were",
        )))
    }

    /// Posts a part, and again where that helps.
    async fn post(&mut self, part: &[Prepared]) -> Result<Posted, End> {
        let body = body_of(part.iter().map(|record| record.text.as_str()));
        let (mut failed, mut no_token) = (0, 0);
        loop {
            if !self.pacer.turn(&mut self.stop).await {
                return Err(End::Interrupted);
            }
            let answer = match self.client.submit(body.clone(), part.len()).await {
                Ok(answer) => answer,
                Err(TokenFault::Final(message)) => return Err(End::Because(message)),
                Err(TokenFault::Trouble {
                    kind,
                    words,
                    retry_after,
                }) => {
                    no_token += 1;
                    self.wait_for_token(kind, no_token, &words, retry_after)
                        .await?;
                    continue;
                }
            };
            self.report.posts += 1;
            self.note_failure(&answer);
            let status = answer.status;
            match answer.submitted {
                Submitted::Accepted(receipts) => return Ok(Posted::Accepted(receipts)),
                Submitted::Unreadable { why, words } => {
                    return Ok(Posted::Whole {
                        reason: Reason::UnreadableReceipts,
                        words: with_words(&why, &words),
                    });
                }
                Submitted::NothingTaken => {
                    return Ok(Posted::Whole {
                        reason: Reason::NothingTaken,
                        words: "status 204: the receiver took nothing of this batch".into(),
                    });
                }
                Submitted::Malformed { named, words } => {
                    return Ok(Posted::Malformed {
                        named,
                        words,
                        status,
                    });
                }
                Submitted::TooLarge { words } => return Ok(Posted::TooLarge(words)),
                Submitted::Unauthorised => {
                    if !self.client.escalate() {
                        return Err(End::Because(self.client.unauthorised()));
                    }
                    tracing::info!("401: trying again with other credentials");
                }
                Submitted::RunEnds(message) => return Err(End::Because(message)),
                Submitted::Trouble {
                    kind,
                    what,
                    words,
                    retry_after,
                } => {
                    failed += 1;
                    match self.next_try(kind, failed, retry_after) {
                        NextTry::After(wait) => self.pause(what, wait).await?,
                        NextTry::Spent => {
                            let said = with_words(&what, &words);
                            return Ok(Posted::Spent {
                                words: format!("not accepted after {failed} tries: {said}"),
                                message: spent(self.client, kind, failed, &what),
                            });
                        }
                        NextTry::TooLong(wait) => {
                            return Ok(Posted::Spent {
                                words: format!(
                                    "{what}: the receiver asks to wait {} s",
                                    wait.as_secs()
                                ),
                                message: too_long(wait, self.options.retry.max_wait),
                            });
                        }
                    }
                }
            }
        }
    }

    async fn wait_for_token(
        &mut self,
        kind: Trouble,
        failed: u32,
        words: &str,
        retry_after: Option<Duration>,
    ) -> Result<(), End> {
        match self.next_try(kind, failed, retry_after) {
            NextTry::After(wait) => self.pause(format!("no token: {words}"), wait).await,
            NextTry::TooLong(wait) => {
                Err(End::Because(too_long(wait, self.options.retry.max_wait)))
            }
            NextTry::Spent => Err(End::Because(Message::new(
                404,
                format!("No token after {failed} tries"),
                format!("the token endpoint: {words}"),
                "check TOKEN_ENDPOINT, PROXY and the network, then start again; no row of this \
                 batch was posted, they stay as they were",
            ))),
        }
    }

    fn next_try(&self, kind: Trouble, failed: u32, retry_after: Option<Duration>) -> NextTry {
        self.options
            .retry
            .next(kind, failed, retry_after, rand::random::<f64>())
    }

    async fn pause(&mut self, why: String, wait: Duration) -> Result<(), End> {
        tracing::warn!("{why}: trying again in {:.1} s", wait.as_secs_f64());
        self.tell(Event::Waiting { why, wait });
        if self.stop.sleep(wait).await {
            Ok(())
        } else {
            Err(End::Interrupted)
        }
    }

    fn note_failure(&mut self, answer: &Answer) {
        tracing::debug!(
            status = answer.status,
            request_id = answer.request_id,
            "post took {} ms",
            answer.took.as_millis()
        );
        if !matches!(answer.submitted, Submitted::Accepted(_))
            && self.report.failures.len() < FAILURES
        {
            self.report.failures.push(Failure {
                status: answer.status,
                request_id: answer.request_id.clone(),
            });
        }
    }

    async fn record_accepted(
        &mut self,
        part: Vec<Prepared>,
        receipts: Vec<Receipt>,
    ) -> Result<(), End> {
        let outcomes: Vec<Outcome> = part
            .into_iter()
            .zip(receipts)
            .map(|(record, receipt)| Outcome {
                key: record.key,
                result: match self.options.mode {
                    Mode::Live => RowResult::Accepted {
                        receipt: receipt.uuid,
                        at: receipt.at,
                    },
                    Mode::Testing => RowResult::Tested {
                        receipt: format!("simulated {}", receipt.uuid),
                    },
                },
            })
            .collect();
        match self.store.record(&outcomes).await {
            Ok(recorded) => {
                self.note_changed(outcomes.iter().map(|o| &o.key), &recorded);
                self.report.accepted += recorded.len() as u64;
                self.tell_recorded();
                Ok(())
            }
            Err(error) => {
                for outcome in &outcomes {
                    self.report.unrecorded.add(outcome.key.id());
                }
                tracing::error!(
                    rows = ?outcomes.iter().map(|o| o.key.id()).collect::<Vec<_>>(),
                    "accepted by the receiver, but not recorded in the table"
                );
                Err(End::Because(error.into()))
            }
        }
    }

    async fn refuse_all(
        &mut self,
        part: Vec<Prepared>,
        reason: Reason,
        words: &str,
    ) -> Result<(), End> {
        let refused = part
            .into_iter()
            .map(|record| (record.key, reason, words.to_string()))
            .collect();
        self.record_refused(refused).await
    }

    async fn record_refused(&mut self, rows: Vec<(RowKey, Reason, String)>) -> Result<(), End> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut reasons = BTreeMap::new();
        let outcomes: Vec<Outcome> = rows
            .into_iter()
            .map(|(key, reason, words)| {
                reasons.insert(key.id(), reason);
                Outcome {
                    key,
                    result: RowResult::Refused { reason: words },
                }
            })
            .collect();
        let recorded = self
            .store
            .record(&outcomes)
            .await
            .map_err(|error| End::Because(error.into()))?;
        self.note_changed(outcomes.iter().map(|o| &o.key), &recorded);
        for id in recorded {
            if let Some(reason) = reasons.get(&id) {
                tracing::warn!(row = id, "refused: {}", reason.words());
                self.report.refused.entry(*reason).or_default().add(id);
            }
        }
        self.tell_recorded();
        Ok(())
    }

    fn note_changed<'k>(&mut self, keys: impl Iterator<Item = &'k RowKey>, recorded: &[i64]) {
        let recorded: std::collections::HashSet<i64> = recorded.iter().copied().collect();
        for key in keys {
            if !recorded.contains(&key.id()) {
                tracing::info!(row = key.id(), "changed while it was under way");
                self.report.changed.add(key.id());
            }
        }
    }

    fn tell_recorded(&mut self) {
        let event = Event::Recorded {
            posts: self.report.posts,
            done: self.report.done(),
            accepted: self.report.accepted,
            refused: self.report.refused_count(),
        };
        self.tell(event);
    }
}

fn body_length(part: &[Prepared]) -> usize {
    part.iter()
        .map(|record| record.text.len() + 1)
        .sum::<usize>()
        + 1
}

/// The first half ends on top, so the parts go in their order.
fn push_halves(parts: &mut Vec<Vec<Prepared>>, mut part: Vec<Prepared>) {
    let second = part.split_off(part.len().div_ceil(2));
    parts.push(second);
    parts.push(part);
}

fn status_words(status: Option<u16>) -> String {
    status.map_or_else(String::new, |status| format!("status {status}"))
}

/// Our words with the receiver's behind them: for `api_response` alone.
fn with_words(what: &str, words: &Words) -> String {
    if words.is_empty() {
        what.to_string()
    } else {
        format!("{what}: {}", words.for_response())
    }
}

fn too_long(wait: Duration, max_wait: Duration) -> Message {
    Message::new(
        411,
        format!("The receiver asks to wait {} s", wait.as_secs()),
        format!("that is longer than MAX_WAIT ({} s)", max_wait.as_secs()),
        "start again later, or raise MAX_WAIT; the rows that were not reached stay as they were",
    )
}

fn spent(client: &Client, kind: Trouble, failed: u32, what: &str) -> Message {
    let next = match kind {
        Trouble::Forbidden => {
            "check with the DfE that this authority's LA_CODE and SCOPE are allowed; if it worked \
             before, the firewall may be throttling: raise MIN_GAP_MS"
        }
        Trouble::RateLimited => "start again later, or raise MIN_GAP_MS",
        Trouble::Server => "start again later; if it lasts, give the request ids to the DfE",
        Trouble::NoAnswer => "check the network, PROXY and API_ENDPOINT, then start again",
    };
    Message::new(
        410,
        format!(
            "No success after {failed} tries at {}",
            client.submission_url()
        ),
        what,
        format!("{next}. That batch's rows are `error` and go again, the rest stay as they were"),
    )
}
