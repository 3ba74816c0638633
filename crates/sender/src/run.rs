//! The run itself.

use std::sync::Arc;
use std::time::Instant;

use csc_message::Message;
use csc_payload::Record;
use csc_receiver::{Client, Receipt, Submitted, TokenFault, body_of};
use csc_staging::{Selection, StagingStore, StoreError};

use crate::deliver::{Delivery, End};
use crate::report::{Event, Preview, RunReport, Watch};
use crate::{RunOptions, Stop, reader};

/// Sends what is eligible and records what came of it. Takes the table's run lock, and
/// keeps it until the store is dropped. An error that keeps the run from beginning, or
/// ends it, is in the report with what was done until then.
pub async fn run(
    store: Arc<dyn StagingStore>,
    client: &Client,
    options: &RunOptions,
    stop: Stop,
    watch: &mut dyn Watch,
) -> RunReport {
    let begun = Instant::now();
    let mut report = RunReport::new(options.mode);
    match begin(&*store, options).await {
        Ok(eligible) => report.eligible = eligible,
        Err(error) => {
            report.ended_by = Some(error.into());
            report.took = begun.elapsed();
            return report;
        }
    }
    let mut delivery = Delivery::new(&*store, client, options, stop.clone(), watch, report);
    let eligible = delivery.report.eligible;
    delivery.tell(Event::Begun { eligible });
    let end = deliver_all(&mut delivery, Arc::clone(&store), options, stop).await;
    let mut report = delivery.report;
    match end {
        Ok(()) => {}
        Err(End::Interrupted) => report.interrupted = true,
        Err(End::Because(message)) => report.ended_by = Some(message),
    }
    report.took = begun.elapsed();
    report
}

async fn begin(store: &dyn StagingStore, options: &RunOptions) -> Result<u64, StoreError> {
    store.shape().await?;
    store.lock().await?;
    let eligible = store.count(Selection::Records).await?;
    Ok(options.limit.map_or(eligible, |limit| eligible.min(limit)))
}

async fn deliver_all(
    delivery: &mut Delivery<'_>,
    store: Arc<dyn StagingStore>,
    options: &RunOptions,
    mut stop: Stop,
) -> Result<(), End> {
    let mut batches = reader::start(store, options.clone());
    loop {
        // A stop between two batches is not kept waiting by a slow query.
        let batch = tokio::select! {
            biased;
            () = stop.wait() => return Err(End::Interrupted),
            batch = batches.recv() => batch,
        };
        let Some(batch) = batch else { return Ok(()) };
        let batch = batch.map_err(|error| End::Because(error.into()))?;
        delivery.refuse_unfit(batch.unfit).await?;
        if !batch.records.is_empty() {
            delivery.deliver(batch.records).await?;
        }
    }
}

/// Reads and prepares as a run would, and posts and writes nothing.
pub async fn preview(
    store: Arc<dyn StagingStore>,
    options: &RunOptions,
) -> Result<Preview, StoreError> {
    store.shape().await?;
    let mut preview = Preview::default();
    let mut batches = reader::start(store, options.clone());
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        for row in batch.unfit {
            preview
                .refused
                .entry(row.reason)
                .or_default()
                .add(row.key.id());
        }
        if batch.records.is_empty() {
            continue;
        }
        if preview.first_shape.is_none() {
            preview.first_shape = batch
                .records
                .first()
                .and_then(|first| Record::parse(&first.text).ok())
                .map(|record| record.shape());
        }
        preview.batches += 1;
        preview.records += batch.records.len() as u64;
        let texts = batch.records.iter().map(|record| record.text.as_str());
        preview.bytes += body_of(texts).len() as u64;
    }
    Ok(preview)
}

/// Sends one record that stands in no table, once, with no retries: whoever asks for it
/// is sitting in front of the screen.
pub async fn send_one(client: &Client, record: &Record) -> Result<Receipt, Message> {
    loop {
        let answer = match client.submit(body_of([record.text()]), 1).await {
            Ok(answer) => answer,
            Err(TokenFault::Final(message)) => return Err(message),
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
