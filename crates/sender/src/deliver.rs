//! One batch to its end: posted, tried again where that helps, taken apart where one
//! record would cost the others, recorded.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use csc_message::Message;
use csc_receiver::{Client, Receipt};
use csc_staging::StagingStore;

use crate::counting::Counting;
use crate::ledger::Ledger;
use crate::pacing::Pacer;
use crate::plan::{Fallbacks, Form, FormKind, LeadsTo, Prepared};
use crate::posting::{FirstAnswer, Posted, body_length, status_words, with_words};
use crate::recorder::Recorder;
use crate::recording::{ToRecord, UnderWay};
use crate::report::{Event, RunReport, Watch};
use crate::settling::{Accepted, LastAnswer};
use crate::{Reason, RunOptions, Stop};

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
    pub(crate) largest: usize,
    /// Batches and records in a row that were refused for no reason of their own.
    unexplained_batches: u32,
    unexplained_records: usize,
    /// The batch under way in the journal, what its last post was answered with, and
    /// whether its rows are reported as sent again.
    pub(crate) batch: Option<i64>,
    pub(crate) answered: LastAnswer,
    pub(crate) told_again: bool,
    /// Batches that the table has, and the journal does not know of yet.
    pub(crate) recorded: Vec<i64>,
    /// What was accepted last, as long as the journal does not know it.
    pub(crate) accepted: Option<Accepted>,
    /// What is being recorded while the next batch is posted.
    pub(crate) recorder: Recorder<UnderWay>,
    /// How many records there are, as long as that is not known.
    pub(crate) counting: Option<Counting>,
    /// What is to be recorded once there is room: what came of two batches, at most.
    pub(crate) to_record: VecDeque<ToRecord>,
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

impl State {
    pub(crate) fn new(store: Arc<dyn StagingStore>) -> Self {
        State {
            largest: usize::MAX,
            unexplained_batches: 0,
            unexplained_records: 0,
            batch: None,
            answered: LastAnswer::default(),
            told_again: false,
            recorded: Vec::new(),
            accepted: None,
            recorder: Recorder::new(store),
            counting: None,
            to_record: VecDeque::new(),
        }
    }
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
                    self.tell_of_repeats(&part);
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
        let batch = self.state.batch;
        let answered = std::mem::take(&mut self.state.answered);
        let settled = self.settle_accepted().await;
        // Also where what was accepted before could not be recorded: this one was accepted
        // all the same, and the end of the run writes it down.
        self.state.accepted = Some(Accepted {
            batch,
            part,
            receipts,
            answered,
        });
        settled
    }

    /// The receiver does accept something.
    pub(crate) fn note_success(&mut self) {
        self.state.unexplained_batches = 0;
        self.state.unexplained_records = 0;
    }

    /// Stops a run in which batch after batch is refused for no reason of its own,
    /// instead of marking the whole table.
    fn judge(&mut self, accepted: bool, unexplained: bool, records: usize) -> Result<(), End> {
        if accepted {
            self.note_success();
        } else if unexplained {
            self.state.unexplained_batches += 1;
            self.state.unexplained_records += records;
        }
        let state = &self.state;
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
                        sha256: None,
                        beside: None,
                    },
                    fallbacks: Fallbacks::None,
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
        if purges.is_empty() {
            // Each of the children has gone on since this was planned.
            return Ok(());
        }
        self.tell_of_repeats(&purges);
        let (posted, in_doubt) = self.post(&purges, None).await;
        match posted {
            Ok(Posted::Accepted(receipts)) => {
                self.report.resynced += purges.len() as u64;
                self.settle_purges(&purges, &receipts)?;
                // The table is not told of it: the records follow.
                self.state.recorded.extend(self.state.batch);
                let purged: HashSet<&str> = purges.iter().map(|p| p.child.as_str()).collect();
                for record in batch.iter_mut() {
                    if purged.contains(record.child.as_str()) {
                        record.purge_first = None;
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
            match record.fallbacks.take_next() {
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

/// The first half ends on top, so the parts go in their order.
fn push_halves(parts: &mut Vec<Vec<Prepared>>, mut part: Vec<Prepared>) {
    let second = part.split_off(part.len().div_ceil(2));
    parts.push(second);
    parts.push(part);
}
