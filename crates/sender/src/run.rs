//! The run itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use csc_message::Message;
use csc_payload::Record;
use csc_receiver::{Client, Receipt, Submitted, TokenFault, Trouble, body_of};
use csc_staging::{RowKey, Selection, StagingStore, Superseded};

use crate::ahead::RECEIPTS_WAIT;
use crate::counting::Counting;
use crate::deliver::{Delivery, End, State};
use crate::events::{ACCEPTED, Answered, Ended, UNKNOWN};
use crate::ledger::Ledger;
use crate::pacing::Pacer;
use crate::plan::{FormKind, Prepared};
use crate::posting::no_way_through;
use crate::prepare::Pass;
use crate::purges::{FewPurges, Looked, Purges};
use crate::reader::{Batch, Batches, Begun, Purging};
use crate::report::{Preview, RunReport, Watch};
use crate::together::Lane;
use crate::{EndedBy, Mode, RunCounts, RunOptions, Stop, reader};

/// How long batches wait for another one that could be posted beside them: less than a post
/// takes.
const MOMENT: Duration = Duration::from_millis(100);

/// What a run works with.
#[derive(Clone)]
pub struct Run {
    /// The staging table.
    pub store: Arc<dyn StagingStore>,
    /// What was acknowledged so far. Live runs need one; a testing run reads it where
    /// there is one, and writes nothing to it.
    pub ledger: Option<Ledger>,
    /// What is asked.
    pub options: RunOptions,
}

/// What there is to do.
struct Eligible {
    purges: u64,
    /// Whether there are records, as far as that is known yet.
    records: bool,
    /// Rows that have a newer one of the same child.
    superseded: Arc<Superseded>,
    /// The records, where the first of them are read already.
    begun: Option<Begun>,
    /// The purges themselves, as long as they are few.
    kept: Option<Vec<Batch>>,
}

impl Run {
    /// Sends what is eligible and records what came of it. Takes the table's run lock,
    /// and keeps it until the store is dropped. An error that keeps the run from
    /// beginning, or ends it, is in the report with what was done until then.
    pub async fn send(&self, client: &Client, stop: Stop, watch: &mut dyn Watch) -> RunReport {
        let begun = Instant::now();
        let mut delivery = Delivery {
            store: Arc::clone(&self.store),
            ledger: self.ledger.as_ref(),
            client,
            options: &self.options,
            stop: stop.clone(),
            watch,
            pacer: Pacer::new(self.options.gap),
            report: RunReport::new(self.options.mode),
            state: State::new(Arc::clone(&self.store)),
        };
        let end = self.send_all(&mut delivery, stop).await;
        let closed = delivery.close().await;
        let recorded = std::mem::take(&mut delivery.state.recorded);
        let mut report = delivery.report;
        match end.and(closed) {
            Ok(()) => {}
            Err(End::Interrupted) => report.interrupted = true,
            Err(End::Because(message)) => report.ended_by = Some(message),
        }
        report.took = begun.elapsed();
        if let (Mode::Live, Some(ledger)) = (self.options.mode, &self.ledger) {
            let ended = Ended {
                ending: &ending(&report),
                counts: &RunCounts::from(&report),
                refusals: &report.refusals.ranked(),
            };
            if let Err(message) = ledger.end_run(&self.options.run_id, &ended, &recorded) {
                // What ended the run before goes before what kept it from being written down.
                report.ended_by.get_or_insert(message);
            }
        }
        report
    }

    async fn send_all(&self, delivery: &mut Delivery<'_>, stop: Stop) -> Result<(), End> {
        // Nothing is under way yet, so a stop is not kept waiting by a database that is gone.
        let mut stopped = stop.clone();
        let ready = tokio::select! {
            biased;
            () = stopped.wait() => return Err(End::Interrupted),
            ready = self.get_ready(delivery) => ready?,
        };
        let Some(Eligible {
            purges,
            records,
            mut superseded,
            begun,
            kept,
        }) = ready
        else {
            delivery.expect(0);
            return Ok(());
        };
        if self.options.resync {
            self.deliver_all(
                delivery,
                Pass::Resync,
                self.options.limit,
                &superseded,
                &stop,
            )
            .await?;
            let resynced = delivery.report.done();
            superseded = self.superseded().await?;
            let records = self.count(Selection::Records, &superseded).await?;
            delivery.expect(resynced + records + purges);
        }
        if let Some(kept) = kept {
            let (through, purging) = Purging::of(&kept);
            let behind = begun.map(|begun| begun.go(superseded, Some(purging)));
            self.deliver_batches(delivery, Batches::of(kept), &stop)
                .await?;
            let Some(records) = behind else {
                return Ok(());
            };
            // Whoever plans the records may have ended, and says why.
            let _ = through.send(());
            return self.deliver_batches(delivery, records, &stop).await;
        }
        // Purges first: where a child has moved to another row, its record comes after.
        if purges > 0 {
            self.deliver_all(
                delivery,
                Pass::Deletions,
                self.options.limit,
                &superseded,
                &stop,
            )
            .await?;
            // A child that was deleted since has had its purge: an older row of its is not
            // to follow.
            superseded = self.superseded().await?;
        }
        let left = self.options.limit.map(|limit| limit.saturating_sub(purges));
        if !records && !self.options.resync {
            return Ok(());
        }
        if let Some(begun) = begun {
            let batches = begun.go(superseded, None);
            return self.deliver_batches(delivery, batches, &stop).await;
        }
        self.deliver_all(delivery, Pass::Records, left, &superseded, &stop)
            .await
    }

    /// Takes the table, records what an earlier run could not, and gives what there is to
    /// do; `None` where that is nothing.
    async fn get_ready(&self, delivery: &mut Delivery<'_>) -> Result<Option<Eligible>, End> {
        self.store.shape().await.map_err(Message::from)?;
        self.store.lock().await.map_err(Message::from)?;
        // The journal's disk and the table are waited for at the same time.
        let begun = async {
            self.begin()?;
            delivery.catch_up().await
        };
        let (present, begun) = tokio::join!(self.store.present(), begun);
        begun?;
        let present = match delivery.report.caught_up.count {
            0 => present,
            _ => self.store.present().await,
        };
        let present = present.map_err(Message::from)?;
        if !present.records && !present.deletions && !self.options.resync {
            return Ok(None);
        }
        self.expect_to_record();
        let is_counted_beside = present.records
            && present.records_counted.is_none()
            && !self.options.resync
            && self.store.counts_beside();
        if is_counted_beside {
            delivery.count(Counting::of_all(&self.store));
        }
        let (
            few,
            Looked {
                superseded,
                mut begun,
            },
        ) = match present.deletions {
            true => self.find_few_purges(present.records).await?,
            false => (
                Some(FewPurges::default()),
                self.look(present.records).await?,
            ),
        };
        let Purges {
            count: purges,
            nothing_held,
            kept,
        } = match few {
            Some(few) => few.newest(&superseded),
            None => {
                // The records are read once the purges are through.
                give_up(&mut begun).await;
                self.count_purges(&superseded).await?
            }
        };
        delivery.report.nothing_held = nothing_held;
        let records = if is_counted_beside {
            delivery.count_on(&superseded, purges);
            true
        } else {
            let records = match present.records_counted.filter(|_| superseded.is_empty()) {
                _ if !present.records => 0,
                Some(counted) => counted,
                None => self.count(Selection::Records, &superseded).await?,
            };
            delivery.expect(records + purges);
            records > 0
        };
        let allowed = self.check_purges(purges);
        if allowed.is_err() || !records {
            give_up(&mut begun).await;
        }
        allowed?;
        Ok(Some(Eligible {
            purges,
            records,
            superseded,
            begun,
            kept,
        }))
    }

    /// Lets the database prepare for what it is told of every batch, while it is read.
    fn expect_to_record(&self) {
        let (store, rows) = (Arc::clone(&self.store), self.options.batch_size);
        tokio::spawn(async move {
            if let Err(error) = store.expect_to_record(rows).await {
                // The first batch that is recorded meets the same.
                tracing::debug!("{}", error.message);
            }
        });
    }

    /// Writes down that the run begins: before anything is sent, and only once it has the
    /// table to itself.
    fn begin(&self) -> Result<(), Message> {
        let (Mode::Live, Some(ledger)) = (self.options.mode, &self.ledger) else {
            return Ok(());
        };
        ledger.begin_run(&self.options, self.store.place())
    }

    async fn deliver_all(
        &self,
        delivery: &mut Delivery<'_>,
        pass: Pass,
        limit: Option<u64>,
        superseded: &Arc<Superseded>,
        stop: &Stop,
    ) -> Result<(), End> {
        let batches = reader::start(self.clone(), pass, limit, Arc::clone(superseded));
        self.deliver_batches(delivery, batches, stop).await?;
        delivery.close().await
    }

    async fn deliver_batches(
        &self,
        delivery: &mut Delivery<'_>,
        mut batches: Batches,
        stop: &Stop,
    ) -> Result<(), End> {
        let mut stop = stop.clone();
        let mut ahead: Option<Lane> = None;
        loop {
            if stop.asked() {
                if let Some(mut lane) = ahead {
                    delivery.take_back(&mut lane)?;
                }
                return Err(End::Interrupted);
            }
            if let Some(lane) = ahead.take() {
                ahead = delivery.deliver_lane(lane, &mut batches).await?;
                continue;
            }
            let batch = match batches.ready()? {
                Some(batch) => Some(batch),
                None if delivery.writes_ahead()
                    && let Some(batch) = batches.within(RECEIPTS_WAIT).await? =>
                {
                    Some(batch)
                }
                None => {
                    // Nothing departs now: what was accepted does not wait for it.
                    delivery.settle_accepted().await?;
                    // A stop between two batches is not kept waiting by a slow query.
                    tokio::select! {
                        biased;
                        () = stop.wait() => return Err(End::Interrupted),
                        batch = batches.next() => batch?,
                    }
                }
            };
            let Some(batch) = batch else {
                return Ok(());
            };
            delivery.refuse_unfit(batch.unfit).await?;
            delivery.record_unchanged(batch.unchanged).await?;
            if batch.records.is_empty() {
                continue;
            }
            let mut together = vec![batch.records];
            while together.len() < self.options.concurrency
                && let Some(batch) = batches.within(MOMENT).await?
            {
                delivery.refuse_unfit(batch.unfit).await?;
                delivery.record_unchanged(batch.unchanged).await?;
                if !batch.records.is_empty() {
                    together.push(batch.records);
                }
            }
            match together.len() {
                1 if delivery.writes_ahead() => {
                    ahead = Some(delivery.begin_lane(together.remove(0)).await?);
                }
                1 => delivery.deliver(together.remove(0)).await?,
                _ => delivery.deliver_together(together).await?,
            }
        }
    }

    async fn count(&self, selection: Selection, superseded: &Superseded) -> Result<u64, Message> {
        Ok(self.store.count(selection, superseded).await?)
    }

    pub(crate) async fn superseded(&self) -> Result<Arc<Superseded>, Message> {
        Ok(Arc::new(self.store.superseded().await?))
    }

    /// Reads and prepares as a run would, and posts and writes nothing.
    pub async fn preview(&self) -> Result<Preview, Message> {
        self.store.shape().await?;
        let mut preview = Preview::default();
        for pass in [Pass::Deletions, Pass::Records] {
            let limit = self
                .options
                .limit
                .map(|limit| limit.saturating_sub(preview.purges));
            let superseded = self.superseded().await?;
            let mut batches = reader::start(self.clone(), pass, limit, superseded);
            while let Some(batch) = batches.next().await? {
                preview.add(batch, pass);
            }
        }
        Ok(preview)
    }

    /// Fills `partial_json_payload` of every row that would go, with what would go for
    /// it, and sends nothing. Gives how many rows were written, and how many changed
    /// meanwhile.
    pub async fn prepare_deltas(&self) -> Result<PreparedDeltas, Message> {
        self.store.shape().await?;
        self.store.lock().await?;
        let mut done = PreparedDeltas::default();
        for pass in [Pass::Deletions, Pass::Records] {
            let superseded = self.superseded().await?;
            let limit = self.options.limit;
            let mut batches = reader::start(self.clone(), pass, limit, superseded);
            while let Some(batch) = batches.next().await? {
                done.unfit += batch.unfit.len() as u64;
                done.unchanged += batch.unchanged.len() as u64;
                let posted = batch.records.into_iter().map(|record| {
                    done.count(&record);
                    (record.key, Some(record.form.text))
                });
                let mut partials: Vec<(RowKey, Option<String>)> = posted.collect();
                let silent = batch.unchanged.into_iter().map(|(key, _, _)| key);
                partials.extend(silent.map(|key| (key, None)));
                for chunk in partials.chunks(self.options.batch_size) {
                    let written = self.store.write_partials(chunk).await?;
                    done.changed += (chunk.len() - written.len()) as u64;
                }
            }
        }
        Ok(done)
    }
}

/// What `deltas prepare` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreparedDeltas {
    /// Rows that got a full record: new ones, and those whose baseline is not certain.
    pub full: u64,
    /// Rows that got a delta.
    pub deltas: u64,
    /// Rows that got a purge.
    pub purges: u64,
    /// Rows of which the receiver holds just what they say: emptied.
    pub unchanged: u64,
    /// Rows that cannot go: not written.
    pub unfit: u64,
    /// Rows that changed meanwhile: not written.
    pub changed: u64,
}

impl PreparedDeltas {
    fn count(&mut self, record: &Prepared) {
        match record.kind() {
            FormKind::Delta => self.deltas += 1,
            FormKind::Purge => self.purges += 1,
            FormKind::Full => self.full += 1,
        }
    }
}

/// Ends the reading of records that was begun, where it was.
async fn give_up(begun: &mut Option<Begun>) {
    if let Some(begun) = begun.take() {
        begun.give_up().await;
    }
}

/// How a run ended, for the journal.
fn ending(report: &RunReport) -> String {
    match &report.ended_by {
        Some(message) => format!("CSC{:04} {}", message.code(), message.what()),
        None if report.interrupted => "interrupted".to_string(),
        None => format!(
            "{} accepted, {} unchanged, {} refused, {} left",
            report.accepted,
            report.unchanged,
            report.refused_count(),
            report.left()
        ),
    }
}

/// Where the test record comes from, for the journal.
const NO_TABLE: &str = "no table: the one fake test record";

/// Sends one record that stands in no table, once, with no retries: whoever asks for it
/// is sitting in front of the screen. In live mode it is written down in the journal.
pub async fn send_one(
    client: &Client,
    record: &Record,
    ledger: Option<&Ledger>,
    options: &RunOptions,
) -> Result<Receipt, Message> {
    let Some(ledger) = ledger.filter(|_| options.mode == Mode::Live) else {
        return post_one(client, record).await;
    };
    let begun = Instant::now();
    ledger.begin_run(options, NO_TABLE.to_string())?;
    let batch = ledger.depart_alone(&options.run_id, record.text())?;
    let sent = post_one(client, record).await;
    let (answer, words, receipt) = match &sent {
        Ok(receipt) => (ACCEPTED, String::new(), Some((&*receipt.uuid, receipt.at))),
        Err(message) => (UNKNOWN, message.what().to_string(), None),
    };
    let answered = Answered {
        answer,
        words: &words,
        status: None,
        request_id: None,
        post: None,
    };
    ledger.settle_alone(batch, &answered, receipt)?;
    let recorded: &[i64] = if sent.is_ok() { &[batch] } else { &[] };
    let counts = RunCounts {
        eligible: 1,
        accepted: u64::from(sent.is_ok()),
        not_reached: u64::from(sent.is_err()),
        posts: 1,
        took: begun.elapsed(),
        exit_code: match &sent {
            Ok(_) => 0,
            Err(message) => message.exit().code(),
        },
        ended_by: sent.as_ref().err().map(EndedBy::from),
        ..RunCounts::default()
    };
    let ended = Ended {
        ending: answer,
        counts: &counts,
        refusals: &[],
    };
    ledger.end_run(&options.run_id, &ended, recorded)?;
    sent
}

async fn post_one(client: &Client, record: &Record) -> Result<Receipt, Message> {
    loop {
        let answer = match client.submit(body_of([record.text()]), 1).await {
            Ok(answer) => answer,
            Err(TokenFault::Final(message)) => return Err(message),
            Err(TokenFault::Trouble {
                kind: Trouble::Proxy,
                words,
                ..
            }) => return Err(no_way_through(&words, "Nothing was sent")),
            Err(TokenFault::Trouble { words, .. }) => {
                return Err(Message::new(
                    404,
                    "No token for the test record",
                    format!("the token endpoint: {words}"),
                    "check TOKEN_ENDPOINT, PROXY and the network, then try again",
                ));
            }
        };
        let id = answer
            .request_id
            .map_or(String::new(), |id| format!(" (request id {id})"));
        let (why, words) = match answer.submitted {
            Submitted::Accepted(mut receipts) => match receipts.pop() {
                Some(receipt) => return Ok(receipt),
                None => ("it gave no receipt".to_string(), None),
            },
            Submitted::Unauthorised if client.escalate() => continue,
            Submitted::Unauthorised => return Err(client.unauthorised()),
            Submitted::RunEnds(message) => return Err(message),
            Submitted::Unreadable { why, words } => (why, Some(words)),
            Submitted::NothingTaken => ("status 204: it took nothing".to_string(), None),
            Submitted::Malformed { words, .. } => ("it is malformed".to_string(), Some(words)),
            Submitted::TooLarge { words } => ("it is too large".to_string(), Some(words)),
            Submitted::Trouble {
                kind: Trouble::Proxy,
                what,
                ..
            } => return Err(no_way_through(&what, "Nothing was sent")),
            Submitted::Trouble { what, words, .. } => (what, Some(words)),
        };
        // The test record is no child's: its words may be shown.
        let said = match words {
            Some(words) if !words.is_empty() => format!("{why}: {}", words.for_response()),
            Some(_) | None => why,
        };
        return Err(Message::new(
            412,
            format!("The receiver did not take the test record{id}"),
            said,
            "try again; if it lasts, give the request id to the DfE",
        ));
    }
}
