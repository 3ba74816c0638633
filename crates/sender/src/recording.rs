//! Outcomes on their way into the table: one batch's while the next one is posted, in
//! order.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use csc_message::Message;
use csc_payload::finding::Finding;
use csc_receiver::Receipt;
use csc_staging::{Outcome, RowKey, RowResult};
use jiff::civil::DateTime;

use crate::deliver::{Delivery, End};
use crate::plan::{FormKind, LeadsTo, Prepared};
use crate::prepare::Unfit;
use crate::report::Event;
use crate::{Mode, Reason};

/// How long after Ctrl-C the database may take to record the batch under way. A database
/// that is gone is not waited for: what was sent is in the journal.
const RECORDING_GRACE: Duration = Duration::from_secs(15);

/// What the outcomes are of.
pub(crate) enum Recording {
    /// A batch that was accepted, with its number in the journal and how many of its
    /// records were purges.
    Accepted { batch: Option<i64>, purges: u64 },
    /// Rows of which the receiver holds just what they say.
    Unchanged,
    /// Rows that cannot go or were refused, each for its reason.
    Refused(BTreeMap<i64, Refusal>),
}

/// Why a row is refused.
pub(crate) struct Refusal {
    reason: Reason,
    /// The payload rules that it breaks.
    findings: Vec<Finding>,
}

/// Outcomes that the table has to be told.
pub(crate) struct ToRecord {
    outcomes: Vec<Outcome>,
    what: Recording,
}

/// Outcomes that the table is being told.
pub(crate) struct UnderWay {
    ids: Vec<i64>,
    what: Recording,
}

impl ToRecord {
    fn into_parts(self) -> (Vec<Outcome>, UnderWay) {
        let ids = self
            .outcomes
            .iter()
            .map(|outcome| outcome.key.id())
            .collect();
        (
            self.outcomes,
            UnderWay {
                ids,
                what: self.what,
            },
        )
    }
}

impl Recording {
    fn is_accepted(&self) -> bool {
        match self {
            Recording::Accepted { .. } => true,
            Recording::Unchanged | Recording::Refused(_) => false,
        }
    }
}

impl Delivery<'_> {
    /// Records rows that cannot go.
    pub(crate) async fn refuse_unfit(&mut self, unfit: Vec<Unfit>) -> Result<(), End> {
        if unfit.is_empty() {
            return Ok(());
        }
        self.settle_accepted().await?;
        self.record(refusals(unfit)).await
    }

    /// Records rows of which the receiver holds just what they say.
    pub(crate) async fn record_unchanged(
        &mut self,
        rows: Vec<(RowKey, String, DateTime)>,
    ) -> Result<(), End> {
        if rows.is_empty() {
            return Ok(());
        }
        self.settle_accepted().await?;
        self.record(unchanged(rows, self.options.mode)).await
    }

    pub(crate) async fn refuse_all(
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

    pub(crate) async fn record_refused(
        &mut self,
        rows: Vec<(RowKey, Reason, String)>,
    ) -> Result<(), End> {
        if rows.is_empty() {
            return Ok(());
        }
        let refused = rows.into_iter().map(|(key, reason, words)| Unfit {
            key,
            reason,
            words,
            findings: Vec::new(),
        });
        self.record(refusals(refused.collect())).await
    }

    /// Begins to record outcomes, once those before are in the table.
    pub(crate) async fn record(&mut self, next: ToRecord) -> Result<(), End> {
        if let Err(end) = self.finish_recording().await {
            self.give_up(&next.into_parts().1);
            return Err(end);
        }
        self.hand_over(next);
        Ok(())
    }

    /// Begins to record what is to be recorded, each once there is room for it.
    pub(crate) async fn record_in_turn(&mut self) -> Result<(), End> {
        let mut ended = self.note_recorded().await;
        while let Some(next) = self.state.to_record.pop_front() {
            if ended.is_ok() && !self.state.recorder.has_room() {
                ended = self.finish_one().await;
            }
            match ended {
                Ok(()) => self.hand_over(next),
                Err(_) => self.give_up(&next.into_parts().1),
            }
        }
        ended
    }

    fn hand_over(&mut self, next: ToRecord) {
        let (outcomes, under_way) = next.into_parts();
        self.state.recorder.hand_over(outcomes, under_way);
    }

    /// Hands over what there is room for.
    pub(crate) fn record_what_fits(&mut self) {
        while self.state.recorder.has_room()
            && let Some(next) = self.state.to_record.pop_front()
        {
            self.hand_over(next);
        }
    }

    /// Notes what the table has answered by now.
    pub(crate) async fn note_recorded(&mut self) -> Result<(), End> {
        while self.state.recorder.has_answered() {
            self.finish_one().await?;
        }
        Ok(())
    }

    /// Waits until the table has what it is being told, and notes the rows that changed
    /// meanwhile.
    pub(crate) async fn finish_recording(&mut self) -> Result<(), End> {
        while !self.state.recorder.is_idle() {
            self.finish_one().await?;
        }
        Ok(())
    }

    /// The same of the first only. Where the table does not take it, nothing else is recorded.
    async fn finish_one(&mut self) -> Result<(), End> {
        let recorder = &mut self.state.recorder;
        match self.stop.finish(RECORDING_GRACE, recorder.answered()).await {
            Some(()) => self.finish_counting().await?,
            None => self.give_up_counting(),
        }
        let recorder = &mut self.state.recorder;
        let Some((UnderWay { ids, what }, answer)) = recorder.take_first() else {
            return Ok(());
        };
        let recorded = match answer {
            Some(Ok(recorded)) => recorded,
            failed => {
                let others: Vec<UnderWay> = recorder.give_up().collect();
                for lost in [UnderWay { ids, what }].iter().chain(&others) {
                    self.give_up(lost);
                }
                return Err(match failed {
                    Some(Err(error)) => End::Because(Message::from(error)),
                    // It took too long after a stop.
                    Some(Ok(_)) | None => End::Interrupted,
                });
            }
        };
        if recorded.len() < ids.len() {
            let found: HashSet<i64> = recorded.iter().copied().collect();
            for id in ids.iter().filter(|id| !found.contains(id)) {
                tracing::info!(row = id, "changed while it was under way");
                self.report.changed.add(*id);
            }
        }
        match what {
            Recording::Accepted { batch, purges } => {
                self.state.recorded.extend(batch);
                self.report.accepted += recorded.len() as u64;
                self.report.purged += purges;
            }
            Recording::Unchanged => self.report.unchanged += recorded.len() as u64,
            Recording::Refused(refusals) => {
                for id in recorded {
                    if let Some(Refusal { reason, findings }) = refusals.get(&id) {
                        tracing::warn!(row = id, "refused: {}", reason.words());
                        self.report.refused.entry(*reason).or_default().add(id);
                        self.report.refusals.add(id, *reason, findings);
                    }
                }
            }
        }
        let event = Event::Recorded {
            posts: self.report.posts,
            done: self.report.done(),
            accepted: self.report.accepted,
            refused: self.report.refused_count(),
        };
        self.tell(event);
        Ok(())
    }

    /// What does not come into the table. What was accepted is told of.
    fn give_up(&mut self, lost: &UnderWay) {
        if lost.what.is_accepted() {
            self.note_unrecorded(&lost.ids);
        }
    }

    /// Rows that the receiver has and the table does not know of: the next run records them
    /// from the journal.
    pub(crate) fn note_unrecorded(&mut self, ids: &[i64]) {
        for id in ids {
            self.report.unrecorded.add(*id);
        }
        tracing::error!(
            rows = ?ids,
            "accepted by the receiver, but not recorded in the table"
        );
    }
}

/// Rows that cannot go.
pub(crate) fn refusals(rows: Vec<Unfit>) -> ToRecord {
    let mut refusals = BTreeMap::new();
    let outcomes = rows
        .into_iter()
        .map(|row| {
            let Unfit {
                key,
                reason,
                words,
                findings,
            } = row;
            refusals.insert(key.id(), Refusal { reason, findings });
            Outcome {
                key,
                result: RowResult::Refused { reason: words },
            }
        })
        .collect();
    ToRecord {
        outcomes,
        what: Recording::Refused(refusals),
    }
}

/// Rows of which the receiver holds just what they say.
pub(crate) fn unchanged(rows: Vec<(RowKey, String, DateTime)>, mode: Mode) -> ToRecord {
    let outcomes = rows
        .into_iter()
        .map(|(key, receipt, at)| Outcome {
            key,
            result: match mode {
                Mode::Live => RowResult::Accepted { receipt, at },
                Mode::Testing => RowResult::Tested {
                    receipt: "simulated: unchanged, nothing to send".into(),
                },
            },
        })
        .collect();
    ToRecord {
        outcomes,
        what: Recording::Unchanged,
    }
}

/// What a batch that was accepted leads to, with its number in the journal.
pub(crate) fn accepted(
    batch: Option<i64>,
    part: Vec<Prepared>,
    receipts: Vec<Receipt>,
    mode: Mode,
) -> ToRecord {
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
                _ if mode == Mode::Testing => RowResult::Tested {
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
    ToRecord {
        outcomes,
        what: Recording::Accepted {
            batch,
            purges: purges as u64,
        },
    }
}
