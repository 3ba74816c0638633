//! Batches in turn where no gap lies between posts (MIN_GAP_MS=0): the next one is written
//! down while one is posted, so that the receiver need not wait for the journal's disk.
//!
//! For each batch the order stays: its departure in the journal, its post, its receipts in
//! the journal, its rows in the table. After a crash two batches are in doubt, where it would
//! be one with a gap. Whatever is not accepted at its first post takes back what was written
//! ahead, and is worked off alone.

use std::time::Duration;

use csc_receiver::{Answer, Submitted};
use tokio::sync::oneshot;

use crate::deliver::{Delivery, End};
use crate::plan::Prepared;
use crate::posting::bytes_of;
use crate::reader::{Batch, Batches};
use crate::recording::{refusals, unchanged};
use crate::settling::{Written, plan_anew};
use crate::together::Lane;

/// How long receipts wait for a slow table, and for the next departure with which they are
/// written down, before they are written down alone.
pub(crate) const RECEIPTS_WAIT: Duration = Duration::from_millis(20);

impl Delivery<'_> {
    /// Whether batches are written down ahead.
    pub(crate) fn writes_ahead(&self) -> bool {
        self.written_ledger().is_some()
            && self.options.gap.is_none()
            && self.options.concurrency == 1
            && !self.options.resync
    }

    /// Writes a batch down as departing.
    pub(crate) async fn begin_lane(&mut self, records: Vec<Prepared>) -> Result<Lane, End> {
        if self.is_too_large(&records) {
            return Ok(Lane::not_departed(records));
        }
        let (part, stale) = self.depart(records).await?;
        Ok(Lane {
            number: self.state.batch(),
            part,
            stale,
        })
    }

    /// Posts a batch that has departed, and works off whatever comes of it. Gives the next
    /// one where that could be written down meanwhile.
    pub(crate) async fn deliver_lane(
        &mut self,
        mut lane: Lane,
        batches: &mut Batches,
    ) -> Result<Option<Lane>, End> {
        if lane.part.is_empty() {
            self.deliver(lane.stale).await?;
            return Ok(None);
        }
        if let Err(end) = self.may_post().await {
            self.take_back(&mut lane)?;
            return Err(end);
        }
        self.tell_of_repeats(&lane.part);
        let client = self.client;
        let (body, records) = (bytes_of(&lane.part), lane.part.len());
        let (answered, is_answered) = oneshot::channel::<()>();
        let post = async move {
            let answer = client.submit(body, records).await;
            drop(answered);
            answer
        };
        let (answer, ahead) = tokio::join!(post, self.write_ahead(batches, is_answered));
        let (mut next, mut end) = match ahead {
            Ok(next) => (next, Ok(())),
            Err(end) => (None, Err(end)),
        };
        let is_accepted = matches!(
            &answer,
            Ok(Answer {
                submitted: Submitted::Accepted(_),
                ..
            })
        );
        if !is_accepted {
            // It may be long until there is more to write down, or to post.
            if let Some(lane) = next.take() {
                match self.put_off(lane) {
                    Ok(lane) => next = Some(lane),
                    Err(full) => end = end.and(Err(full)),
                }
            }
            end = end.and(self.record_in_turn().await);
        }
        self.state.turn_to(lane.number);
        let done = match end {
            Ok(()) => self.conclude(lane, answer).await,
            Err(_) => self.settle_lane(lane.part, answer).await,
        };
        let recorded = self.record_behind().await;
        // What ended the run first is what it ends with.
        match end.and(done).and(recorded) {
            Ok(()) => Ok(next),
            Err(end) => {
                if let Some(mut lane) = next {
                    self.take_back(&mut lane)?;
                }
                Err(end)
            }
        }
    }

    /// Whether nothing keeps the next post: no stop, and no table that takes no more.
    async fn may_post(&mut self) -> Result<(), End> {
        self.note_recorded().await?;
        if self.pacer.turn(&mut self.stop).await {
            Ok(())
        } else {
            Err(End::Interrupted)
        }
    }

    /// Writes down the next batch and what was accepted before this one, and has the latter
    /// recorded; gives up what would take longer than the answer.
    async fn write_ahead(
        &mut self,
        batches: &mut Batches,
        mut answered: oneshot::Receiver<()>,
    ) -> Result<Option<Lane>, End> {
        let next = match batches.ready()? {
            Some(batch) => Some(batch),
            None => {
                // Nothing departs now: what was accepted does not wait for it.
                self.settle_in_journal()?;
                self.record_until(&mut answered, Some(batches)).await?
            }
        };
        let Some(batch) = next.filter(|_| !self.stop.asked()) else {
            return Ok(None);
        };
        let mut lane = self.write_down(batch)?;
        match self.record_until(&mut answered, None).await {
            Ok(_) => Ok(Some(lane)),
            Err(end) => {
                self.take_back(&mut lane)?;
                Err(end)
            }
        }
    }

    /// Writes a batch down as departing, with what was accepted before; leaves to be recorded
    /// what there is.
    fn write_down(&mut self, batch: Batch) -> Result<Lane, End> {
        let Batch {
            records,
            unfit,
            unchanged: same,
            ..
        } = batch;
        let ledger = self
            .written_ledger()
            .filter(|_| !records.is_empty() && !self.is_too_large(&records));
        let lane = match ledger {
            Some(ledger) => {
                let Written {
                    number,
                    going,
                    stale,
                    accepted,
                } = self.write_departure(ledger, records)?;
                if let Some(accepted) = accepted {
                    let next = self.outcomes_of(accepted);
                    self.state.to_record.push_back(next);
                }
                let mut lane = Lane {
                    number,
                    part: going,
                    stale: Vec::new(),
                };
                match plan_anew(ledger, stale) {
                    Ok(stale) => lane.stale = stale,
                    Err(end) => {
                        self.take_back(&mut lane)?;
                        return Err(end);
                    }
                }
                lane
            }
            None => {
                self.settle_in_journal()?;
                Lane::not_departed(records)
            }
        };
        if !unfit.is_empty() {
            self.state.to_record.push_back(refusals(unfit));
        }
        if !same.is_empty() {
            let same = unchanged(same, self.options.mode);
            self.state.to_record.push_back(same);
        }
        Ok(lane)
    }

    /// Records what is to be recorded until there is an answer, or else a batch where one is
    /// waited for, or nothing more to record where none is.
    async fn record_until(
        &mut self,
        answered: &mut oneshot::Receiver<()>,
        mut batches: Option<&mut Batches>,
    ) -> Result<Option<Batch>, End> {
        loop {
            self.record_what_fits();
            let is_recorded = self.state.to_record.is_empty();
            if is_recorded && batches.is_none() {
                return Ok(None);
            }
            tokio::select! {
                biased;
                _ = &mut *answered => return Ok(None),
                next = next_of(&mut batches), if batches.is_some() => match next? {
                    Some(batch) => return Ok(Some(batch)),
                    None => batches = None,
                },
                () = self.state.recorder.answered(), if !is_recorded => self.note_recorded().await?,
            }
        }
    }

    /// Records what a slow table has kept back. Receipts that the journal does not know yet
    /// do not wait for that.
    async fn record_behind(&mut self) -> Result<(), End> {
        self.record_what_fits();
        if self.state.to_record.is_empty() {
            return Ok(());
        }
        let answered = self.state.recorder.answered();
        let waited = tokio::time::timeout(RECEIPTS_WAIT, answered).await;
        let settled = match waited {
            Ok(()) => Ok(()),
            Err(_) => self.settle_in_journal(),
        };
        let recorded = self.record_in_turn().await;
        Ok(settled?).and(recorded)
    }

    /// A batch that was written down goes later, and is written down anew.
    fn put_off(&mut self, mut lane: Lane) -> Result<Lane, End> {
        self.take_back(&mut lane)?;
        let mut records = lane.part;
        records.append(&mut lane.stale);
        Ok(Lane::not_departed(records))
    }
}

async fn next_of(batches: &mut Option<&mut Batches>) -> Result<Option<Batch>, End> {
    match batches {
        Some(batches) => Ok(batches.next().await?),
        None => Ok(None),
    }
}
