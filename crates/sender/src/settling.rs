//! What the journal is told of a batch: that it departs, and what came of it, before the
//! table is.

use csc_message::Message;
use csc_payload::meaning_hash;
use csc_receiver::Receipt;
use csc_staging::{Outcome, PageLimits, PageRequest, RowKey, RowResult, Selection, Superseded};

use crate::Mode;
use crate::deliver::{Delivery, End};
use crate::departures::Unrecorded;
use crate::events::{ACCEPTED, Answered, NOT_POSTED, REFUSED, UNKNOWN};
use crate::figures::Post;
use crate::ledger::{Departed, Departure, Ledger, Settled, Settlement};
use crate::plan::{LeadsTo, Prepared, plan_again};
use crate::prepare::child_of;
use crate::recording::{ToRecord, accepted};

/// A part of a batch that the receiver has taken. Its receipts go into the journal
/// together with the departure of what goes next, or at once where nothing is ready to
/// go; only then into the table.
pub(crate) struct Accepted {
    /// Its number in the journal.
    pub(crate) batch: Option<i64>,
    pub(crate) part: Vec<Prepared>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) answered: LastAnswer,
}

/// A departure that the journal knows.
pub(crate) struct Written {
    /// Its number in the journal; `None` where no record may go.
    pub(crate) number: Option<i64>,
    pub(crate) going: Vec<Prepared>,
    /// Records that were planned by what the ledger has left behind since.
    pub(crate) stale: Vec<Prepared>,
    /// What was accepted before, which the journal knows now, and the table does not yet.
    pub(crate) accepted: Option<Accepted>,
}

/// What the journal says of an answer.
#[derive(Default)]
pub(crate) struct LastAnswer {
    pub(crate) what: String,
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<String>,
    pub(crate) post: Option<Post>,
}

impl LastAnswer {
    pub(crate) fn as_event(&self, answer: &'static str) -> Answered<'_> {
        Answered {
            answer,
            words: &self.what,
            status: self.status,
            request_id: self.request_id.as_deref(),
            post: self.post,
        }
    }
}

impl<'a> Delivery<'a> {
    /// The ledger that is written to: none in testing mode, where nothing is
    /// acknowledged.
    pub(crate) fn written_ledger(&self) -> Option<&'a Ledger> {
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
        let written = match self.write_departure(ledger, part) {
            Ok(written) => written,
            Err(full) => {
                if let Some(accepted) = self.state.accepted.take() {
                    self.record_at_last(accepted, full.clone()).await?;
                }
                return Err(full.into());
            }
        };
        let Written {
            number,
            mut going,
            stale,
            accepted,
        } = written;
        self.state.turn_to(number);
        // What came before is in the table, or on its way, and nothing is posted once it is known
        // to take no more.
        let told = match accepted {
            Some(accepted) => self.record_accepted(accepted).await,
            None if self.writes_ahead() => self.note_recorded().await,
            None => self.finish_recording().await,
        };
        let stale = match told.and_then(|()| plan_anew(ledger, stale)) {
            Ok(stale) => stale,
            Err(end) => {
                self.settle_not_accepted(&mut going, false)?;
                return Err(end);
            }
        };
        Ok((going, stale))
    }

    /// Writes down what was accepted last, where that is not yet, and what is about to be
    /// posted. Where it can't, what was accepted stays where it was.
    pub(crate) fn write_departure(
        &mut self,
        ledger: &Ledger,
        part: Vec<Prepared>,
    ) -> Result<Written, Message> {
        let in_doubt: Vec<_> = part.iter().map(Prepared::in_doubt_after).collect();
        let departures: Vec<Departure<'_>> = part
            .iter()
            .zip(&in_doubt)
            .map(|(record, in_doubt)| Departure {
                key: &record.key,
                kind: record.kind(),
                text: &record.form.text,
                sha256: record.form.sha256,
                again: record.goes_again(),
                child: &record.child,
                revision: record.revision,
                in_doubt,
                meaning: record.alone_in_doubt(),
            })
            .collect();
        let accepted = &self.state.accepted;
        let Departed { batch, revisions } = ledger.depart(
            &self.options.run_id,
            accepted.as_ref().and_then(Accepted::settled).as_ref(),
            &departures,
            &self.state.recorded,
        )?;
        self.state.recorded.clear();
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
        Ok(Written {
            number: batch,
            going,
            stale,
            accepted: self.state.accepted.take(),
        })
    }

    /// Names the records, about to be posted, that may have arrived before.
    pub(crate) fn tell_of_repeats(&mut self, part: &[Prepared]) {
        for record in part.iter().filter(|record| record.goes_again()) {
            tracing::warn!(
                row = record.key.id(),
                "sent again: it may have arrived before"
            );
            self.report.sent_again.add(record.key.id());
        }
    }

    /// Before a post is repeated whose answer was missing: the journal knows that it may
    /// arrive twice.
    pub(crate) fn note_again(&mut self, part: &[Prepared]) -> Result<(), End> {
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
        let settlements: Vec<(&str, Option<i64>, Settlement)> = part
            .iter()
            .map(|record| {
                let in_doubt = record.in_doubt.clone();
                let settlement = Settlement::NotTaken { in_doubt };
                (record.child.as_str(), record.revision, settlement)
            })
            .collect();
        let mut answered = self.state.answered.as_event(REFUSED);
        if answered.words.is_empty() {
            answered.words = NOT_POSTED;
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
    pub(crate) fn settle_purges(
        &self,
        purges: &[Prepared],
        receipts: &[Receipt],
    ) -> Result<(), End> {
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
        match self.write_receipts(&accepted) {
            Ok(()) => self.record_accepted(accepted).await,
            Err(full) => self.record_at_last(accepted, full).await,
        }
    }

    /// Writes down what was accepted last, and leaves it to be recorded. Where the journal
    /// takes no more, it stays where it was.
    pub(crate) fn settle_in_journal(&mut self) -> Result<(), Message> {
        let Some(accepted) = self.state.accepted.take() else {
            return Ok(());
        };
        let written = self.write_receipts(&accepted);
        match written {
            Ok(()) => {
                let next = self.outcomes_of(accepted);
                self.state.to_record.push_back(next);
            }
            Err(_) => self.state.accepted = Some(accepted),
        }
        written
    }

    fn write_receipts(&self, accepted: &Accepted) -> Result<(), Message> {
        match (self.written_ledger(), accepted.settled()) {
            (Some(ledger), Some(settled)) => ledger.settle(&settled),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Where the journal takes no more, the table still does: the run ends after that.
    pub(crate) async fn record_at_last(
        &mut self,
        accepted: Accepted,
        full: Message,
    ) -> Result<(), End> {
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
        let left = self.record_in_turn().await;
        let settled = self.settle_accepted().await;
        if let Some(ledger) = self
            .written_ledger()
            .filter(|_| !self.state.recorder.is_idle())
        {
            // While the table is told the last.
            ledger.copy_into_file();
        }
        let counted = self.finish_counting().await;
        let recorded = self.finish_recording().await;
        self.state.recorder.end().await;
        left.and(settled).and(recorded).and(counted)
    }

    /// Has what was accepted recorded, once those before are in the table; where batches are
    /// written down ahead, once there is room for it beside them.
    pub(crate) async fn record_accepted(&mut self, taken: Accepted) -> Result<(), End> {
        let next = self.outcomes_of(taken);
        if !self.writes_ahead() {
            return self.record(next).await;
        }
        self.state.to_record.push_back(next);
        self.record_in_turn().await
    }

    /// What was accepted, for the table.
    pub(crate) fn outcomes_of(&mut self, taken: Accepted) -> ToRecord {
        let Accepted {
            batch,
            part,
            receipts,
            ..
        } = taken;
        for record in part.iter().filter(|record| record.may_leave_remains) {
            self.report.may_leave_remains.add(record.key.id());
        }
        accepted(batch, part, receipts, self.options.mode)
    }

    /// Records what an earlier run sent and could not record, from the journal.
    pub(crate) async fn catch_up(&mut self) -> Result<(), End> {
        let Some(ledger) = self.written_ledger().cloned() else {
            return Ok(());
        };
        for batch in ledger.unrecorded_batches(&self.store.place())? {
            let rows = ledger.unrecorded_rows(batch.number)?;
            let (all, mut outcomes) = (rows.len(), Vec::new());
            for row in rows {
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
            // A row that changed since keeps what it has now: that is another payload. One
            // that is as it was sent was sent, whatever its table is called.
            let recorded = match outcomes.is_empty() {
                true => Vec::new(),
                false => self.store.record(&outcomes).await.map_err(Message::from)?,
            };
            for id in &recorded {
                tracing::info!(
                    row = id,
                    "recorded from the journal: an earlier run sent it"
                );
                self.report.caught_up.add(*id);
            }
            // The other table may still have to be told.
            if batch.is_from_here || recorded.len() == all {
                ledger.note_recorded(&self.options.run_id, batch.number)?;
            }
        }
        Ok(())
    }

    /// A deleted row that still is as it was when its purge was sent, with the purge.
    pub(crate) async fn deleted_row(
        &self,
        key: &RowKey,
    ) -> Result<Option<(RowKey, String, [u8; 32])>, End> {
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
            let purge = child.purge();
            Some((key, purge.to_string(), meaning_hash(&purge)))
        }))
    }
}

impl Accepted {
    /// For the journal, where it knows of the part's departure.
    pub(crate) fn settled(&self) -> Option<Settled<'_>> {
        Some(Settled {
            batch: self.batch?,
            answered: self.answered.as_event(ACCEPTED),
            settlements: accepted_settlements(&self.part, &self.receipts),
        })
    }
}

/// Plans records by what the ledger holds now.
pub(crate) fn plan_anew(ledger: &Ledger, stale: Vec<Prepared>) -> Result<Vec<Prepared>, End> {
    if stale.is_empty() {
        return Ok(stale);
    }
    let children: Vec<&str> = stale.iter().map(|r| r.child.as_str()).collect();
    let known = ledger.look_up(&children)?;
    let anew = stale.into_iter().map(|record| {
        let held = known.get(&record.child);
        plan_again(record, held)
    });
    Ok(anew.collect())
}

/// What the receiver holds now that it has taken these.
pub(crate) fn accepted_settlements<'a>(
    part: &'a [Prepared],
    receipts: &[Receipt],
) -> Vec<(&'a str, Option<i64>, Settlement)> {
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
                    row: record.key.id(),
                },
                LeadsTo::Nothing { .. } => Settlement::Purged { receipt },
            };
            (record.child.as_str(), record.revision, settlement)
        })
        .collect()
}
