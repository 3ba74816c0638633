//! One batch to its end: posted, tried again where that helps, taken apart where one
//! record would cost the others, recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use csc_message::Message;
use csc_payload::{meaning_hash, purge};
use csc_receiver::{Answer, Client, Receipt, Submitted, TokenFault, Trouble, Words, body_of};
use csc_staging::{
    Outcome, PageLimits, PageRequest, RowKey, RowResult, Selection, StagingStore, Superseded,
};

use crate::events::{ACCEPTED, Answered, REFUSED, UNKNOWN, Unrecorded};
use crate::figures::Post;
use crate::ledger::{Departed, Departure, Ledger, Settled, Settlement};
use crate::pacing::Pacer;
use crate::plan::{Form, FormKind, LeadsTo, Prepared, plan_again};
use crate::prepare::child_of;
use crate::recording::{Recording, UnderWay};
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
    pub(crate) store: Arc<dyn StagingStore>,
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
    /// What was accepted last, as long as the journal does not know it.
    accepted: Option<Accepted>,
    /// What is being recorded while the next batch is posted.
    pub(crate) recording: Option<UnderWay>,
}

/// A part of a batch that the receiver has taken. Its receipts go into the journal
/// together with the departure of what goes next, or at once where nothing is ready to
/// go; only then into the table.
struct Accepted {
    /// Its number in the journal.
    batch: Option<i64>,
    part: Vec<Prepared>,
    receipts: Vec<Receipt>,
    answered: LastAnswer,
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

impl State {
    /// The batch under way in the journal.
    pub(crate) fn batch(&self) -> Option<i64> {
        self.batch
    }

    /// Turns to another batch, of which nothing was answered yet.
    pub(crate) fn turn_to(&mut self, batch: Option<i64>) {
        self.batch = batch;
        self.answered = LastAnswer::default();
        self.told_again = false;
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
            accepted: None,
            recording: None,
        }
    }
}

/// What a first post was answered.
pub(crate) type FirstAnswer = Result<Answer, TokenFault>;

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
    pub(crate) fn tell(&mut self, event: Event) {
        self.watch.event(event);
    }

    /// Posts a batch and records what came of it. The parts of a batch that was taken
    /// apart go first to last; what has to go in another form goes after them.
    pub(crate) async fn deliver(&mut self, mut batch: Vec<Prepared>) -> Result<(), End> {
        self.purge_before(&mut batch).await?;
        let records = batch.len();
        self.work_off(vec![batch], None, records).await
    }

    /// Works off the parts of a batch, the last one first; before them one that has been
    /// posted once already, with the answer.
    pub(crate) async fn work_off(
        &mut self,
        mut parts: Vec<Vec<Prepared>>,
        mut posted_once: Option<(Vec<Prepared>, FirstAnswer)>,
        records: usize,
    ) -> Result<(), End> {
        let (mut accepted, mut unexplained) = (false, false);
        loop {
            let (mut part, first) = match posted_once.take() {
                Some((part, first)) => (part, Some(first)),
                None => {
                    let Some(part) = parts.pop() else { break };
                    if part.len() > 1 && self.is_too_large(&part) {
                        push_halves(&mut parts, part);
                        continue;
                    }
                    let (part, stale) = self.depart(part).await?;
                    if !stale.is_empty() {
                        parts.push(stale);
                    }
                    if part.is_empty() {
                        continue;
                    }
                    (part, None)
                }
            };
            let (posted, in_doubt) = self.post(&part, first).await;
            if !matches!(posted, Ok(Posted::Accepted(_))) {
                self.settle_not_accepted(&mut part, in_doubt)?;
            }
            match posted? {
                Posted::Accepted(receipts) => {
                    accepted = true;
                    self.note_accepted(part, receipts).await?;
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

    /// Whether the receiver is known to refuse a body of that size.
    pub(crate) fn is_too_large(&self, part: &[Prepared]) -> bool {
        body_length(part) > self.state.largest
    }

    /// A part that has just been accepted.
    pub(crate) async fn note_accepted(
        &mut self,
        part: Vec<Prepared>,
        receipts: Vec<Receipt>,
    ) -> Result<(), End> {
        self.settle_accepted().await?;
        self.state.accepted = Some(Accepted {
            batch: self.state.batch,
            part,
            receipts,
            answered: std::mem::take(&mut self.state.answered),
        });
        Ok(())
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
    pub(crate) async fn purge_before(&mut self, batch: &mut [Prepared]) -> Result<(), End> {
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
        let (mut purges, _) = self.depart(purges).await?;
        let (posted, in_doubt) = self.post(&purges, None).await;
        match posted {
            Ok(Posted::Accepted(receipts)) => {
                self.report.resynced += purges.len() as u64;
                self.settle_purges(&purges, &receipts)?;
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
    fn written_ledger(&self) -> Option<&'a Ledger> {
        match self.options.mode {
            Mode::Live => self.ledger,
            Mode::Testing => None,
        }
    }

    /// Writes down what was accepted last and what is about to be posted, in one step, and
    /// has the former recorded meanwhile. Records that were planned by what the ledger has
    /// left behind since are planned anew, and come back apart.
    pub(crate) async fn depart(
        &mut self,
        part: Vec<Prepared>,
    ) -> Result<(Vec<Prepared>, Vec<Prepared>), End> {
        let Some(ledger) = self.written_ledger() else {
            self.settle_accepted().await?;
            return Ok((part, Vec::new()));
        };
        // Nothing departs once the table takes no more.
        if let Err(end) = self.finish_recording().await {
            self.leave_to_next_run()?;
            return Err(end);
        }
        let in_doubt: Vec<_> = part.iter().map(Prepared::in_doubt_after).collect();
        let departures: Vec<Departure<'_>> = part
            .iter()
            .zip(&in_doubt)
            .map(|(record, in_doubt)| Departure {
                key: &record.key,
                kind: record.kind(),
                text: &record.form.text,
                again: record.goes_again(),
                child: &record.child,
                revision: record.revision,
                in_doubt,
            })
            .collect();
        let accepted = self.state.accepted.take();
        let departed = ledger.depart(
            &self.options.run_id,
            accepted.as_ref().and_then(Accepted::settled).as_ref(),
            &departures,
            &self.state.recorded,
        );
        let Departed { batch, revisions } = match departed {
            Ok(departed) => departed,
            Err(full) => {
                if let Some(accepted) = accepted {
                    self.record_at_last(accepted, full.clone()).await?;
                }
                return Err(full.into());
            }
        };
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
        self.state.turn_to(batch);
        self.state.recorded.clear();
        if let Some(accepted) = accepted {
            self.record_accepted(accepted).await?;
        }
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
    pub(crate) fn settle_not_accepted(
        &self,
        part: &mut [Prepared],
        in_doubt: bool,
    ) -> Result<(), End> {
        let (Some(ledger), Some(batch)) = (self.written_ledger(), self.state.batch) else {
            return Ok(());
        };
        if in_doubt {
            ledger.note_unknown(batch, &self.state.answered.as_event(UNKNOWN))?;
            for record in part {
                record.in_doubt = Some(record.in_doubt_after());
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
        ledger.settle(&Settled {
            batch,
            answered,
            settlements,
        })?;
        let children: Vec<&str> = part.iter().map(|r| r.child.as_str()).collect();
        let known = ledger.look_up(&children)?;
        for record in part {
            record.revision = known.get(&record.child).map(|held| held.revision);
        }
        Ok(())
    }

    /// Writes down the receipts of purges that went before their records.
    fn settle_purges(&self, purges: &[Prepared], receipts: &[Receipt]) -> Result<(), End> {
        let (Some(ledger), Some(batch)) = (self.written_ledger(), self.state.batch) else {
            return Ok(());
        };
        Ok(ledger.settle(&Settled {
            batch,
            answered: self.state.answered.as_event(ACCEPTED),
            settlements: accepted_settlements(purges, receipts),
        })?)
    }

    /// Writes down what was accepted last, and has it recorded.
    pub(crate) async fn settle_accepted(&mut self) -> Result<(), End> {
        let Some(accepted) = self.state.accepted.take() else {
            return Ok(());
        };
        let settled = match (self.written_ledger(), accepted.settled()) {
            (Some(ledger), Some(settled)) => ledger.settle(&settled),
            (Some(_) | None, _) => Ok(()),
        };
        match settled {
            Ok(()) => self.record_accepted(accepted).await,
            Err(full) => self.record_at_last(accepted, full).await,
        }
    }

    /// Where the table takes no more, the journal still does: the next run records it.
    fn leave_to_next_run(&mut self) -> Result<(), End> {
        let Some(accepted) = self.state.accepted.take() else {
            return Ok(());
        };
        let ids: Vec<i64> = accepted.part.iter().map(|record| record.key.id()).collect();
        self.note_unrecorded(&ids);
        if let (Some(ledger), Some(settled)) = (self.written_ledger(), accepted.settled()) {
            ledger.settle(&settled)?;
        }
        Ok(())
    }

    /// Where the journal takes no more, the table still does: the run ends after that.
    async fn record_at_last(&mut self, accepted: Accepted, full: Message) -> Result<(), End> {
        let begun = self
            .record_accepted(Accepted {
                batch: None,
                ..accepted
            })
            .await;
        let recorded = match begun {
            Ok(()) => self.finish_recording().await,
            Err(end) => Err(end),
        };
        if let Err(End::Because(message)) = recorded {
            tracing::error!("{message}");
        }
        Err(End::Because(full))
    }

    /// Brings what was accepted into the table, also where the run ends for another reason.
    pub(crate) async fn close(&mut self) -> Result<(), End> {
        let settled = self.settle_accepted().await;
        let recorded = self.finish_recording().await;
        settled.and(recorded)
    }

    async fn record_accepted(&mut self, accepted: Accepted) -> Result<(), End> {
        let Accepted {
            batch,
            part,
            receipts,
            ..
        } = accepted;
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
        let outcomes = part
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
        let what = Recording::Accepted {
            batch,
            purges: purges as u64,
        };
        self.record(outcomes, what).await
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
    /// `first` is the answer of a post that was made before.
    async fn post(
        &mut self,
        part: &[Prepared],
        first: Option<FirstAnswer>,
    ) -> (Result<Posted, End>, bool) {
        let mut in_doubt = false;
        let posted = self.post_until_answered(part, first, &mut in_doubt).await;
        (posted, in_doubt)
    }

    async fn post_until_answered(
        &mut self,
        part: &[Prepared],
        mut first: Option<FirstAnswer>,
        in_doubt: &mut bool,
    ) -> Result<Posted, End> {
        let mut body = None;
        let (mut failed, mut no_token) = (0, 0);
        loop {
            let answer = match first.take() {
                Some(answer) => answer,
                None => {
                    if !self.pacer.turn(&mut self.stop).await {
                        return Err(End::Interrupted);
                    }
                    // What is in the table by now is told of, and what kept it out ends the
                    // run before more is posted.
                    if self.state.recording.as_ref().is_some_and(UnderWay::is_done) {
                        self.finish_recording().await?;
                    }
                    let body = body.get_or_insert_with(|| bytes_of(part)).clone();
                    self.client.submit(body, part.len()).await
                }
            };
            let answer = match answer {
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
            self.note_answer(&answer, part);
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
                    *in_doubt |= may_have_arrived(kind);
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

    pub(crate) fn note_answer(&mut self, answer: &Answer, part: &[Prepared]) {
        self.report.posts += 1;
        self.note_failure(answer);
        let figure = Post {
            bytes: body_length(part) as u64,
            took: answer.took,
            accepted: matches!(answer.submitted, Submitted::Accepted(_)),
        };
        self.report.figures.add(&figure);
        self.state.answered = LastAnswer {
            post: Some(figure),
            what: in_our_words(&answer.submitted),
            status: answer.status,
            request_id: answer.request_id.clone(),
        };
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
}

impl Accepted {
    /// For the journal, where it knows of the part's departure.
    fn settled(&self) -> Option<Settled<'_>> {
        Some(Settled {
            batch: self.batch?,
            answered: self.answered.as_event(ACCEPTED),
            settlements: accepted_settlements(&self.part, &self.receipts),
        })
    }
}

/// What the receiver holds now that it has taken these.
fn accepted_settlements<'a>(
    part: &'a [Prepared],
    receipts: &[Receipt],
) -> Vec<(&'a str, Settlement)> {
    part.iter()
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
        .collect()
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

/// Whether the receiver may have taken a batch that it did not confirm.
pub(crate) fn may_have_arrived(trouble: Trouble) -> bool {
    match trouble {
        Trouble::NoAnswer | Trouble::Server => true,
        Trouble::Forbidden | Trouble::RateLimited | Trouble::Proxy => false,
    }
}

/// The body that carries these records.
pub(crate) fn bytes_of(part: &[Prepared]) -> Bytes {
    body_of(part.iter().map(|record| record.form.text.as_str()))
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
