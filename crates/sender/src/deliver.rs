//! One batch to its end: posted, tried again where that helps, taken apart where one
//! record would cost the others, recorded.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use csc_message::Message;
use csc_payload::finding::Finding;
use csc_payload::{meaning_hash, purge};
use csc_receiver::{Answer, Client, Receipt, Submitted, TokenFault, Trouble, Words, body_of};
use csc_staging::{
    Outcome, PageLimits, PageRequest, RowKey, RowResult, Selection, StagingStore, Superseded,
};
use jiff::civil::DateTime;

use crate::events::{ACCEPTED, Answered, REFUSED, UNKNOWN, Unrecorded};
use crate::figures::Post;
use crate::ledger::{Departed, Departure, Ledger, Settlement};
use crate::pacing::Pacer;
use crate::plan::{Form, FormKind, LeadsTo, Prepared, plan_again};
use crate::prepare::{Unfit, child_of};
use crate::report::{Event, Failure, RunReport, Watch};
use crate::{Mode, NextTry, Reason, RunOptions, Stop};

/// Why a run ends before its time.
pub(crate) enum End {
    /// Ctrl-C.
    Interrupted,
    /// Anything else, with its message.
    Because(Message),
}

impl From<Message> for End {
    fn from(message: Message) -> Self {
        End::Because(message)
    }
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
    pub(crate) store: &'a dyn StagingStore,
    /// What was acknowledged; written to in live mode only.
    pub(crate) ledger: Option<&'a Ledger>,
    pub(crate) client: &'a Client,
    pub(crate) options: &'a RunOptions,
    pub(crate) stop: Stop,
    pub(crate) watch: &'a mut dyn Watch,
    pub(crate) pacer: Pacer,
    pub(crate) report: RunReport,
    pub(crate) state: State,
}

/// What a run learns on its way.
pub(crate) struct State {
    /// The largest body that the receiver is known to take, once it refused one.
    largest: usize,
    /// Batches and records in a row that were refused for no reason of their own.
    unexplained_batches: u32,
    unexplained_records: usize,
    /// The batch under way in the journal, what its last post was answered with, and
    /// whether its rows are reported as sent again.
    batch: Option<i64>,
    answered: LastAnswer,
    told_again: bool,
    /// Batches that the table has, and the journal does not know of yet.
    pub(crate) recorded: Vec<i64>,
    /// What is wrong with the rows that are about to be refused.
    findings: HashMap<i64, Vec<Finding>>,
}

/// What the journal says of an answer.
#[derive(Default)]
struct LastAnswer {
    what: String,
    status: Option<u16>,
    request_id: Option<String>,
    post: Option<Post>,
}

impl LastAnswer {
    fn as_event(&self, answer: &'static str) -> Answered<'_> {
        Answered {
            answer,
            words: &self.what,
            status: self.status,
            request_id: self.request_id.as_deref(),
            post: self.post,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        State {
            largest: usize::MAX,
            unexplained_batches: 0,
            unexplained_records: 0,
            batch: None,
            answered: LastAnswer::default(),
            told_again: false,
            recorded: Vec::new(),
            findings: HashMap::new(),
        }
    }
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

impl Delivery<'_> {
    pub(crate) fn tell(&mut self, event: Event) {
        self.watch.event(event);
    }

    /// Records rows that cannot go.
    pub(crate) async fn refuse_unfit(&mut self, unfit: Vec<Unfit>) -> Result<(), End> {
        let mut refused = Vec::with_capacity(unfit.len());
        for row in unfit {
            if !row.findings.is_empty() {
                self.state.findings.insert(row.key.id(), row.findings);
            }
            refused.push((row.key, row.reason, row.words));
        }
        let recorded = self.record_refused(refused).await;
        self.state.findings.clear();
        recorded
    }

    /// Records rows of which the receiver holds just what they say.
    pub(crate) async fn record_unchanged(
        &mut self,
        rows: Vec<(RowKey, String, DateTime)>,
    ) -> Result<(), End> {
        let outcomes: Vec<Outcome> = rows
            .into_iter()
            .map(|(key, receipt, at)| Outcome {
                key,
                result: match self.options.mode {
                    Mode::Live => RowResult::Accepted { receipt, at },
                    Mode::Testing => RowResult::Tested {
                        receipt: "simulated: unchanged, nothing to send".into(),
                    },
                },
            })
            .collect();
        let recorded = self.record(&outcomes).await?;
        self.report.unchanged += recorded.len() as u64;
        self.tell_recorded();
        Ok(())
    }

    /// Posts a batch and records what came of it. The parts of a batch that was taken
    /// apart go first to last; what has to go in another form goes after them.
    pub(crate) async fn deliver(&mut self, mut batch: Vec<Prepared>) -> Result<(), End> {
        self.purge_before(&mut batch).await?;
        let records = batch.len();
        let mut parts = vec![batch];
        let (mut accepted, mut unexplained) = (false, false);
        while let Some(part) = parts.pop() {
            if part.len() > 1 && body_length(&part) > self.state.largest {
                push_halves(&mut parts, part);
                continue;
            }
            let (mut part, stale) = self.depart(part)?;
            if !stale.is_empty() {
                parts.push(stale);
            }
            if part.is_empty() {
                continue;
            }
            let (posted, in_doubt) = self.post(&part).await;
            if !matches!(posted, Ok(Posted::Accepted(_))) {
                self.settle_not_accepted(&mut part, in_doubt)?;
            }
            match posted? {
                Posted::Accepted(receipts) => {
                    accepted = true;
                    self.record_accepted(part, receipts).await?;
                }
                Posted::Malformed { named, .. } if !named.is_empty() => {
                    let mut rest = Vec::with_capacity(part.len());
                    let mut refused = Vec::with_capacity(named.len());
                    for (index, record) in part.into_iter().enumerate() {
                        match named.get(&index) {
                            Some(words) => {
                                refused.push((record, words.for_response().to_string()));
                            }
                            None => rest.push(record),
                        }
                    }
                    if !rest.is_empty() {
                        parts.push(rest);
                    }
                    self.fall_back_or_refuse(&mut parts, refused).await?;
                }
                Posted::Malformed { words, status, .. } => {
                    if part.len() > 1 {
                        push_halves(&mut parts, part);
                    } else {
                        let words = with_words(&status_words(status), &words);
                        let refused = part.into_iter().map(|r| (r, words.clone())).collect();
                        unexplained |= self.fall_back_or_refuse(&mut parts, refused).await? > 0;
                    }
                }
                Posted::TooLarge(words) => {
                    if part.len() > 1 {
                        self.state.largest = self.state.largest.min(body_length(&part) - 1);
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
        let state = &mut self.state;
        if accepted {
            (state.unexplained_batches, state.unexplained_records) = (0, 0);
        } else if unexplained {
            state.unexplained_batches += 1;
            state.unexplained_records += records;
        }
        let (batches, records) = (state.unexplained_batches, state.unexplained_records);
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

    /// `--resync`: purges first, in a batch of their own, the children of whom something
    /// may have stayed. Their rows are not marked: the records follow.
    async fn purge_before(&mut self, batch: &mut [Prepared]) -> Result<(), End> {
        let purges: Vec<Prepared> = batch
            .iter()
            .filter_map(|record| {
                let text = record.purge_first.clone()?;
                Some(Prepared {
                    form: Form {
                        kind: FormKind::Purge,
                        text: text.clone(),
                        beside: None,
                    },
                    fallbacks: Vec::new(),
                    leads_to: LeadsTo::Nothing {
                        record: text,
                        hash: [0; 32],
                    },
                    purge_first: None,
                    ..record.clone()
                })
            })
            .collect();
        if purges.is_empty() {
            return Ok(());
        }
        let (mut purges, _) = self.depart(purges)?;
        let (posted, in_doubt) = self.post(&purges).await;
        match posted {
            Ok(Posted::Accepted(receipts)) => {
                self.report.resynced += purges.len() as u64;
                self.settle_accepted(&purges, &receipts)?;
                // The table is not told of it: the records follow.
                self.state.recorded.extend(self.state.batch);
                for record in batch.iter_mut() {
                    if record.purge_first.take().is_some() {
                        record.may_leave_remains = false;
                    }
                }
                Ok(())
            }
            Ok(Posted::Malformed { .. } | Posted::TooLarge(_) | Posted::Whole { .. }) => {
                // The record goes all the same; what it may leave behind is reported.
                self.settle_not_accepted(&mut purges, in_doubt)
            }
            Ok(Posted::Spent { message, .. }) => {
                self.settle_not_accepted(&mut purges, in_doubt)?;
                Err(End::Because(message))
            }
            Err(end) => {
                self.settle_not_accepted(&mut purges, in_doubt)?;
                Err(end)
            }
        }
    }

    /// The ledger that is written to: none in testing mode, where nothing is
    /// acknowledged.
    fn written_ledger(&self) -> Option<&Ledger> {
        match self.options.mode {
            Mode::Live => self.ledger,
            Mode::Testing => None,
        }
    }

    /// Writes down what is about to be posted. Records that were planned by what the
    /// ledger has left behind since are planned anew, and come back apart.
    fn depart(&mut self, part: Vec<Prepared>) -> Result<(Vec<Prepared>, Vec<Prepared>), End> {
        let Some(ledger) = self.written_ledger() else {
            return Ok((part, Vec::new()));
        };
        let may_become: Vec<_> = part.iter().map(Prepared::may_become).collect();
        let departures: Vec<Departure<'_>> = part
            .iter()
            .zip(&may_become)
            .map(|(record, may_become)| Departure {
                key: &record.key,
                kind: record.kind(),
                text: &record.form.text,
                again: record.goes_again(),
                child: &record.child,
                revision: record.revision,
                may_become,
            })
            .collect();
        let Departed { batch, revisions } =
            ledger.depart(&self.options.run_id, &departures, &self.state.recorded)?;
        let (mut going, mut stale) = (Vec::with_capacity(part.len()), Vec::new());
        for (mut record, revision) in part.into_iter().zip(revisions) {
            match revision {
                Some(revision) => {
                    record.revision = Some(revision);
                    going.push(record);
                }
                None => stale.push(record),
            }
        }
        if !stale.is_empty() {
            let children: Vec<&str> = stale.iter().map(|r| r.child.as_str()).collect();
            let known = ledger.look_up(&children)?;
            stale = stale
                .into_iter()
                .map(|record| {
                    let held = known.get(&record.child);
                    plan_again(record, held)
                })
                .collect();
        }
        self.state.batch = batch;
        self.state.recorded.clear();
        self.state.answered = LastAnswer::default();
        self.state.told_again = false;
        for record in going.iter().filter(|record| record.goes_again()) {
            tracing::warn!(
                row = record.key.id(),
                "sent again: it may have arrived before"
            );
            self.report.sent_again.add(record.key.id());
        }
        Ok((going, stale))
    }

    /// Before a post is repeated whose answer was missing: the journal knows that it may
    /// arrive twice.
    fn note_again(&mut self, part: &[Prepared]) -> Result<(), End> {
        if let (Some(ledger), Some(batch)) = (self.written_ledger(), self.state.batch) {
            ledger.post_again(batch)?;
        }
        if !self.state.told_again {
            self.state.told_again = true;
            // Those that went again anyway are told of already.
            for record in part.iter().filter(|record| !record.goes_again()) {
                tracing::warn!(
                    row = record.key.id(),
                    "sent again: it may have arrived before"
                );
                self.report.sent_again.add(record.key.id());
            }
        }
        Ok(())
    }

    /// After a post that was not accepted: the ledger is as it was before, unless the
    /// receiver may have taken it all the same.
    fn settle_not_accepted(&self, part: &mut [Prepared], in_doubt: bool) -> Result<(), End> {
        let (Some(ledger), Some(batch)) = (self.written_ledger(), self.state.batch) else {
            return Ok(());
        };
        if in_doubt {
            ledger.note_unknown(batch, &self.state.answered.as_event(UNKNOWN))?;
            for record in part {
                let before = record.in_doubt.take().unwrap_or_default();
                record.in_doubt = Some(before.merge(record.may_become()));
            }
            return Ok(());
        }
        let settlements: Vec<(&str, Settlement)> = part
            .iter()
            .map(|record| {
                let in_doubt = record.in_doubt.clone();
                (record.child.as_str(), Settlement::NotTaken { in_doubt })
            })
            .collect();
        let mut answered = self.state.answered.as_event(REFUSED);
        if answered.words.is_empty() {
            answered.words = "not posted";
        }
        ledger.settle(batch, &answered, &settlements)?;
        let children: Vec<&str> = part.iter().map(|r| r.child.as_str()).collect();
        let known = ledger.look_up(&children)?;
        for record in part {
            record.revision = known.get(&record.child).map(|held| held.revision);
        }
        Ok(())
    }

    fn settle_accepted(&self, part: &[Prepared], receipts: &[Receipt]) -> Result<(), End> {
        let (Some(ledger), Some(batch)) = (self.written_ledger(), self.state.batch) else {
            return Ok(());
        };
        let settlements: Vec<(&str, Settlement)> = part
            .iter()
            .zip(receipts)
            .map(|(record, receipt)| {
                let receipt = (receipt.uuid.clone(), receipt.at);
                let settlement = match &record.leads_to {
                    LeadsTo::Record { meaning, .. } => Settlement::Record {
                        meaning: *meaning,
                        skeleton: record.may_become(),
                        receipt,
                        may_have_remains: record.may_leave_remains,
                    },
                    LeadsTo::Nothing { .. } => Settlement::Purged { receipt },
                };
                (record.child.as_str(), settlement)
            })
            .collect();
        Ok(ledger.settle(batch, &self.state.answered.as_event(ACCEPTED), &settlements)?)
    }

    /// Records what an earlier run sent and could not record, from the journal.
    pub(crate) async fn catch_up(&mut self) -> Result<(), End> {
        let Some(ledger) = self.written_ledger().cloned() else {
            return Ok(());
        };
        for batch in ledger.unrecorded_batches(&self.store.place())? {
            let mut outcomes = Vec::new();
            for row in ledger.unrecorded_rows(batch)? {
                let Unrecorded {
                    key,
                    is_purge,
                    receipt,
                    at,
                } = row;
                if !is_purge {
                    let result = RowResult::Accepted { receipt, at };
                    outcomes.push(Outcome { key, result });
                } else if let Some((key, record, hash)) = self.deleted_row(&key).await? {
                    let result = RowResult::Purged {
                        receipt,
                        at,
                        record,
                        hash,
                    };
                    outcomes.push(Outcome { key, result });
                }
            }
            // A row that changed since keeps what it has now: that is another payload.
            let recorded = match outcomes.is_empty() {
                true => Vec::new(),
                false => self.store.record(&outcomes).await.map_err(Message::from)?,
            };
            for id in recorded {
                tracing::info!(
                    row = id,
                    "recorded from the journal: an earlier run sent it"
                );
                self.report.caught_up.add(id);
            }
            ledger.note_recorded(&self.options.run_id, batch)?;
        }
        Ok(())
    }

    /// A deleted row that still is as it was when its purge was sent, with the purge.
    async fn deleted_row(&self, key: &RowKey) -> Result<Option<(RowKey, String, [u8; 32])>, End> {
        let request = PageRequest {
            selection: Selection::Deletions,
            after: key.id().saturating_sub(1),
            limits: PageLimits { rows: 1, bytes: 1 },
            with_previous: true,
        };
        let all = Superseded::default();
        let page = self
            .store
            .page(request, &all)
            .await
            .map_err(Message::from)?;
        let row = page.into_iter().next().filter(|row| row.key.is_as(key));
        Ok(row.and_then(|row| {
            let (key, child) = child_of(row)?;
            let purge = purge(&child.value());
            Some((key, purge.to_string(), meaning_hash(&purge)))
        }))
    }

    /// Posts a part, and again where that helps. Also says whether the receiver may have
    /// taken it although no reply says so.
    async fn post(&mut self, part: &[Prepared]) -> (Result<Posted, End>, bool) {
        let mut in_doubt = false;
        let posted = self.post_until_answered(part, &mut in_doubt).await;
        (posted, in_doubt)
    }

    async fn post_until_answered(
        &mut self,
        part: &[Prepared],
        in_doubt: &mut bool,
    ) -> Result<Posted, End> {
        let body = body_of(part.iter().map(|record| record.form.text.as_str()));
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
            let figure = Post {
                bytes: body.len() as u64,
                took: answer.took,
                accepted: matches!(answer.submitted, Submitted::Accepted(_)),
            };
            self.report.figures.add(&figure);
            self.state.answered = LastAnswer {
                what: in_our_words(&answer.submitted),
                status: answer.status,
                request_id: answer.request_id.clone(),
                post: Some(figure),
            };
            let status = answer.status;
            match answer.submitted {
                Submitted::Accepted(receipts) => return Ok(Posted::Accepted(receipts)),
                Submitted::Unreadable { why, words } => {
                    *in_doubt = true;
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
                    *in_doubt |= match kind {
                        Trouble::NoAnswer | Trouble::Server => true,
                        Trouble::Forbidden | Trouble::RateLimited | Trouble::Proxy => false,
                    };
                    failed += 1;
                    match self.next_try(kind, failed, retry_after) {
                        NextTry::After(wait) => {
                            self.pause(what, wait).await?;
                            if *in_doubt {
                                self.note_again(part)?;
                            }
                        }
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
            NextTry::Spent if kind == Trouble::Proxy => Err(End::Because(no_way_through(
                &format!("{words} ({failed} tries)"),
                "No row of this batch was posted, they stay as they were",
            ))),
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
        self.settle_accepted(&part, &receipts)?;
        let live = self.options.mode == Mode::Live;
        for record in &part {
            if record.may_leave_remains {
                self.report.may_leave_remains.add(record.key.id());
            }
        }
        let purges = part
            .iter()
            .filter(|record| record.kind() == FormKind::Purge)
            .count();
        let outcomes: Vec<Outcome> = part
            .into_iter()
            .zip(receipts)
            .map(|(record, Receipt { uuid, at })| Outcome {
                key: record.key,
                result: match record.leads_to {
                    _ if !live => RowResult::Tested {
                        receipt: format!("simulated {uuid}"),
                    },
                    LeadsTo::Record { .. } => RowResult::Accepted { receipt: uuid, at },
                    LeadsTo::Nothing { record, hash } => RowResult::Purged {
                        receipt: uuid,
                        at,
                        record,
                        hash,
                    },
                },
            })
            .collect();
        match self.record(&outcomes).await {
            Ok(recorded) => {
                self.state.recorded.extend(self.state.batch);
                self.report.accepted += recorded.len() as u64;
                self.report.purged += purges as u64;
                self.tell_recorded();
                Ok(())
            }
            Err(end) => {
                for outcome in &outcomes {
                    self.report.unrecorded.add(outcome.key.id());
                }
                tracing::error!(
                    rows = ?outcomes.iter().map(|o| o.key.id()).collect::<Vec<_>>(),
                    "accepted by the receiver, but not recorded in the table"
                );
                Err(end)
            }
        }
    }

    /// A refused record goes again in its next form, where it has one (a delta as the
    /// full record, that as the plain one); otherwise its row is refused. Gives how many
    /// rows were refused.
    async fn fall_back_or_refuse(
        &mut self,
        parts: &mut Vec<Vec<Prepared>>,
        refused: Vec<(Prepared, String)>,
    ) -> Result<usize, End> {
        let (mut again, mut finally) = (Vec::new(), Vec::new());
        for (mut record, words) in refused {
            match record.fallbacks.pop() {
                Some(form) => {
                    record.form = form;
                    again.push(record);
                }
                None => finally.push((record.key, Reason::RefusedByReceiver, words)),
            }
        }
        if !again.is_empty() {
            self.report.fell_back += again.len() as u64;
            // Below the others: what has not been tried yet goes first.
            parts.insert(0, again);
        }
        let count = finally.len();
        self.record_refused(finally).await?;
        Ok(count)
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
        for id in self.record(&outcomes).await? {
            if let Some(reason) = reasons.get(&id) {
                tracing::warn!(row = id, "refused: {}", reason.words());
                self.report.refused.entry(*reason).or_default().add(id);
                let findings = self.state.findings.get(&id).map_or(&[][..], Vec::as_slice);
                self.report.refusals.add(id, *reason, findings);
            }
        }
        self.tell_recorded();
        Ok(())
    }

    /// Records outcomes, and notes the rows that changed meanwhile.
    async fn record(&mut self, outcomes: &[Outcome]) -> Result<Vec<i64>, End> {
        if outcomes.is_empty() {
            return Ok(Vec::new());
        }
        let recorded = self.store.record(outcomes).await.map_err(Message::from)?;
        if recorded.len() < outcomes.len() {
            let found: std::collections::HashSet<i64> = recorded.iter().copied().collect();
            for outcome in outcomes {
                let id = outcome.key.id();
                if !found.contains(&id) {
                    tracing::info!(row = id, "changed while it was under way");
                    self.report.changed.add(id);
                }
            }
        }
        Ok(recorded)
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

/// What the journal says of an answer: no word of the receiver's, which may quote a child.
fn in_our_words(submitted: &Submitted) -> String {
    match submitted {
        Submitted::Accepted(_) => String::new(),
        Submitted::Unreadable { why, .. } => why.clone(),
        Submitted::NothingTaken => "it took nothing".to_string(),
        Submitted::Malformed { named, .. } if named.is_empty() => {
            "malformed; no record is named".to_string()
        }
        Submitted::Malformed { named, .. } => format!("malformed; {} records named", named.len()),
        Submitted::TooLarge { .. } => "too large".to_string(),
        Submitted::Unauthorised => "not authorised".to_string(),
        Submitted::RunEnds(message) => message.what().to_string(),
        Submitted::Trouble { what, .. } => what.clone(),
    }
}

fn body_length(part: &[Prepared]) -> usize {
    part.iter()
        .map(|record| record.form.text.len() + 1)
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

/// The proxy can't be reached, or reaches nobody itself, also at the last try.
pub(crate) fn no_way_through(words: &str, rows: &str) -> Message {
    Message::new(
        431,
        "No way through the proxy",
        words,
        format!(
            "check the proxy's name and port (`csc-sender config show` says who names it) and \
             whether this machine reaches it, or ask IT; then start again. {rows}"
        ),
    )
}

fn spent(client: &Client, kind: Trouble, failed: u32, what: &str) -> Message {
    let next = match kind {
        Trouble::Proxy => {
            return no_way_through(
                &format!("{what} ({failed} tries)"),
                "That batch's rows are `error` and go again, the rest stay as they were",
            );
        }
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
