//! Several batches posted at the same time, for receivers that allow it (CONCURRENCY).
//!
//! Each has its own departure in the journal before any of them is posted. What was
//! accepted is in the journal before anything else is waited for. The rest is worked off
//! in order; whatever needs more than its first post is posted alone.

use csc_receiver::{Answer, Submitted};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::deliver::{Delivery, End};
use crate::plan::Prepared;
use crate::posting::{FirstAnswer, bytes_of, may_have_arrived};

/// A batch that has departed.
pub(crate) struct Lane {
    /// Its number in the journal.
    pub(crate) number: Option<i64>,
    pub(crate) part: Vec<Prepared>,
    /// What was planned anew, and goes after it.
    pub(crate) stale: Vec<Prepared>,
}

impl Lane {
    /// A batch that the journal does not know.
    pub(crate) fn not_departed(records: Vec<Prepared>) -> Lane {
        Lane {
            number: None,
            part: Vec::new(),
            stale: records,
        }
    }
}

impl Delivery<'_> {
    /// Posts batches side by side, and records what came of each.
    pub(crate) async fn deliver_together(
        &mut self,
        batches: Vec<Vec<Prepared>>,
    ) -> Result<(), End> {
        let mut going = Vec::with_capacity(batches.len());
        for mut batch in batches {
            self.purge_before(&mut batch).await?;
            if self.is_too_large(&batch) {
                let records = batch.len();
                self.work_off(vec![batch], None, records).await?;
            } else {
                going.push(batch);
            }
        }
        let mut lanes: Vec<Lane> = Vec::with_capacity(going.len());
        for batch in going {
            let (part, stale) = match self.depart(batch).await {
                Ok(departed) => departed,
                Err(end) => {
                    // Those before it are not posted either.
                    for mut lane in lanes {
                        self.take_back(&mut lane)?;
                    }
                    return Err(end);
                }
            };
            let number = self.state.batch();
            lanes.push(Lane {
                number,
                part,
                stale,
            });
        }
        for lane in &lanes {
            self.tell_of_repeats(&lane.part);
        }
        let answers = self.post_side_by_side(&lanes).await;
        let mut end = Ok(());
        let mut others = Vec::new();
        for (mut lane, answer) in lanes.into_iter().zip(answers) {
            match answer {
                Some(Ok(answer)) if matches!(answer.submitted, Submitted::Accepted(_)) => {
                    self.state.turn_to(lane.number);
                    let part = std::mem::take(&mut lane.part);
                    end = end.and(self.settle_lane(part, Ok(answer)).await);
                    self.note_success();
                    if !lane.stale.is_empty() {
                        others.push((lane, None));
                    }
                }
                answer => others.push((lane, answer)),
            }
        }
        if !others.is_empty() {
            // They may have to wait for long.
            end = end.and(self.settle_accepted().await);
        }
        for (lane, answer) in others {
            self.state.turn_to(lane.number);
            let done = match answer {
                Some(answer) if end.is_ok() => self.conclude(lane, answer).await,
                Some(answer) => self.settle_lane(lane.part, answer).await,
                None if lane.part.is_empty() => match end {
                    Ok(()) => self.deliver(lane.stale).await,
                    Err(_) => Ok(()),
                },
                None => self.leave(lane),
            };
            // What ended the run first is what it ends with.
            end = end.and(done);
        }
        end
    }

    /// The answer to each lane's post; `None` where a stop came before it, or where there
    /// was nothing to post.
    async fn post_side_by_side(&mut self, lanes: &[Lane]) -> Vec<Option<FirstAnswer>> {
        let client = self.client;
        let posts: Vec<_> = lanes
            .iter()
            .map(|lane| {
                let start = (!lane.part.is_empty()).then(|| self.pacer.reserve());
                let mut stop = self.stop.clone();
                let (body, records) = (bytes_of(&lane.part), lane.part.len());
                async move {
                    let wait = start?.saturating_duration_since(Instant::now());
                    if !stop.sleep(wait).await {
                        return None;
                    }
                    Some(client.submit(body, records).await)
                }
            })
            .collect();
        join_all(posts).await
    }

    pub(crate) async fn conclude(&mut self, lane: Lane, answer: FirstAnswer) -> Result<(), End> {
        let records = lane.part.len() + lane.stale.len();
        let parts = if lane.stale.is_empty() {
            Vec::new()
        } else {
            vec![lane.stale]
        };
        self.work_off(parts, Some((lane.part, answer)), records)
            .await
    }

    /// Nothing of this lane is posted again, since it was accepted, or since the run ends
    /// for another lane's sake: what came of it is written down.
    pub(crate) async fn settle_lane(
        &mut self,
        mut part: Vec<Prepared>,
        answer: FirstAnswer,
    ) -> Result<(), End> {
        let Ok(answer) = answer else {
            return self.settle_not_accepted(&mut part, false);
        };
        self.note_answer(&answer, &part);
        let Answer { submitted, .. } = answer;
        let in_doubt = match submitted {
            Submitted::Accepted(receipts) => {
                return self.note_accepted(part, receipts).await;
            }
            Submitted::Unreadable { .. } => true,
            Submitted::Trouble { kind, .. } => may_have_arrived(kind),
            Submitted::NothingTaken
            | Submitted::Malformed { .. }
            | Submitted::TooLarge { .. }
            | Submitted::Unauthorised
            | Submitted::RunEnds(_) => false,
        };
        self.settle_not_accepted(&mut part, in_doubt)
    }

    /// A lane that was not posted.
    fn leave(&mut self, mut lane: Lane) -> Result<(), End> {
        self.take_back(&mut lane)?;
        Err(End::Interrupted)
    }

    pub(crate) fn take_back(&mut self, lane: &mut Lane) -> Result<(), End> {
        self.state.turn_to(lane.number);
        if lane.part.is_empty() {
            return Ok(());
        }
        self.settle_not_accepted(&mut lane.part, false)
    }
}
