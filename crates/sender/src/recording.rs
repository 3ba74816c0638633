//! Outcomes on their way into the table: one batch's while the next one is posted, in
//! order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use csc_message::Message;
use csc_payload::finding::Finding;
use csc_staging::{Outcome, RowKey, RowResult, StoreError};
use jiff::civil::DateTime;
use tokio::task::JoinHandle;

use crate::deliver::{Delivery, End};
use crate::plan::Prepared;
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

/// Outcomes that the table is being told.
pub(crate) struct UnderWay {
    ids: Vec<i64>,
    what: Recording,
    task: JoinHandle<Result<Vec<i64>, StoreError>>,
}

impl Recording {
    fn is_accepted(&self) -> bool {
        match self {
            Recording::Accepted { .. } => true,
            Recording::Unchanged | Recording::Refused(_) => false,
        }
    }
}

impl UnderWay {
    /// Whether the table has answered.
    pub(crate) fn is_done(&self) -> bool {
        self.task.is_finished()
    }
}

impl Delivery<'_> {
    /// Records rows that cannot go.
    pub(crate) async fn refuse_unfit(&mut self, unfit: Vec<Unfit>) -> Result<(), End> {
        if unfit.is_empty() {
            return Ok(());
        }
        self.settle_accepted().await?;
        self.record_refusals(unfit).await
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
        let outcomes = rows
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
        self.record(outcomes, Recording::Unchanged).await
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
        self.record_refusals(refused.collect()).await
    }

    async fn record_refusals(&mut self, rows: Vec<Unfit>) -> Result<(), End> {
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
        self.record(outcomes, Recording::Refused(refusals)).await
    }

    /// Begins to record outcomes, once those before are in the table.
    pub(crate) async fn record(
        &mut self,
        outcomes: Vec<Outcome>,
        what: Recording,
    ) -> Result<(), End> {
        let ids: Vec<i64> = outcomes.iter().map(|outcome| outcome.key.id()).collect();
        if let Err(end) = self.finish_recording().await {
            if what.is_accepted() {
                self.note_unrecorded(&ids);
            }
            return Err(end);
        }
        let store = Arc::clone(&self.store);
        let task = tokio::spawn(async move { store.record(&outcomes).await });
        self.state.recording = Some(UnderWay { ids, what, task });
        Ok(())
    }

    /// Waits until the table has what it is being told, and notes the rows that changed
    /// meanwhile.
    pub(crate) async fn finish_recording(&mut self) -> Result<(), End> {
        let Some(UnderWay {
            ids,
            what,
            mut task,
        }) = self.state.recording.take()
        else {
            return Ok(());
        };
        let done = match self.stop.finish(RECORDING_GRACE, &mut task).await {
            Some(Ok(done)) => done,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the whole program takes a task away.
                Err(_) => return Err(End::Interrupted),
            },
            None => {
                task.abort();
                if what.is_accepted() {
                    self.note_unrecorded(&ids);
                }
                return Err(End::Interrupted);
            }
        };
        let recorded = done.map_err(|error| {
            if what.is_accepted() {
                self.note_unrecorded(&ids);
            }
            End::Because(Message::from(error))
        })?;
        if recorded.len() < ids.len() {
            let found: std::collections::HashSet<i64> = recorded.iter().copied().collect();
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
