//! Rows become batches while the batch before is under way.

use std::sync::Arc;

use csc_message::Message;
use csc_staging::{PageLimits, PageRequest, RowKey, StagedRow, Superseded};
use jiff::civil::DateTime;
use tokio::sync::mpsc;

use crate::plan::{Plan, Prepared};
use crate::prepare::{Pass, Ready, Unfit, prepare};
use crate::{Run, RunOptions};

/// One page: large enough that a table is read in few queries, small enough that
/// memory stays flat whatever the size of a record. The next one is read while one is
/// prepared.
const PAGE: PageLimits = PageLimits {
    rows: 1000,
    bytes: 3 * 1024 * 1024,
};

/// The rows of the first page: the first batch need not wait for a whole one.
const FIRST_PAGE: u32 = 100;

/// What one step of the run works on.
#[derive(Default)]
pub(crate) struct Batch {
    /// Records to post, in order of id.
    pub(crate) records: Vec<Prepared>,
    /// Rows met on the way that cannot go.
    pub(crate) unfit: Vec<Unfit>,
    /// Rows of which the receiver holds just what they say, with its receipt.
    pub(crate) unchanged: Vec<(RowKey, String, DateTime)>,
    /// Deleted rows of whose children nothing is held.
    pub(crate) nothing_held: Vec<RowKey>,
    bytes: usize,
}

impl Batch {
    /// The size of the body: brackets, records, commas.
    fn has_room(&self, record: &Prepared, options: &RunOptions) -> bool {
        self.records.is_empty()
            || (self.records.len() < options.batch_size
                && self.bytes + record.form.text.len() + 2 <= options.max_batch_bytes)
    }

    fn push(&mut self, record: Prepared) {
        self.bytes += record.form.text.len() + 1;
        self.records.push(record);
    }

    /// Rows that need no post must not pile up.
    fn is_full_without_posts(&self, options: &RunOptions) -> bool {
        self.unfit.len() + self.unchanged.len() + self.nothing_held.len() >= options.batch_size
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.unfit.is_empty()
            && self.unchanged.is_empty()
            && self.nothing_held.is_empty()
    }
}

type Sender = mpsc::Sender<Result<Batch, Message>>;

/// Reads the rows of a pass in order of id, `limit` at most, and hands on batches.
/// At most as many wait as are posted at the same time, one is being made, and two pages
/// are held.
pub(crate) fn start(
    run: Run,
    pass: Pass,
    limit: Option<u64>,
    superseded: Arc<Superseded>,
) -> mpsc::Receiver<Result<Batch, Message>> {
    let (sender, batches) = mpsc::channel(run.options.concurrency);
    let (pages_out, pages) = mpsc::channel(1);
    let reading = run.clone();
    tokio::spawn(async move {
        if let Err(error) = read(&reading, pass, limit, &superseded, &pages_out).await {
            // Nobody listens any more when the run has ended.
            let _ = pages_out.send(Err(error)).await;
        }
    });
    tokio::spawn(async move {
        if let Err(error) = make_batches(&run, pass, pages, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    batches
}

type Page = Result<Vec<StagedRow>, Message>;

async fn read(
    run: &Run,
    pass: Pass,
    limit: Option<u64>,
    superseded: &Superseded,
    pages: &mpsc::Sender<Page>,
) -> Result<(), Message> {
    let mut after = i64::MIN;
    let mut left = limit.unwrap_or(u64::MAX);
    let mut rows = FIRST_PAGE;
    while left > 0 {
        // Not before there is room for it: no more pages are held than that.
        let Ok(room) = pages.reserve().await else {
            return Ok(());
        };
        let request = PageRequest {
            selection: pass.selection(),
            after,
            limits: PageLimits {
                rows: rows.min(u32::try_from(left).unwrap_or(u32::MAX)),
                ..PAGE
            },
            with_previous: pass != Pass::Records || run.options.needs_previous(),
        };
        let page = run.store.page(request, superseded).await?;
        let Some(last) = page.last() else { break };
        after = last.key.id();
        left -= page.len() as u64;
        rows = PAGE.rows;
        room.send(Ok(page));
    }
    Ok(())
}

async fn make_batches(
    run: &Run,
    pass: Pass,
    mut pages: mpsc::Receiver<Page>,
    sender: &Sender,
) -> Result<(), Message> {
    let mut batch = Batch::default();
    while let Some(page) = pages.recv().await {
        let mut page = page?;
        while !page.is_empty() {
            let rest = page.split_off(run.options.batch_size.min(page.len()));
            let chunk = std::mem::replace(&mut page, rest);
            for ready in prepare(chunk, pass, run.ledger.as_ref(), &run.options)? {
                let full = match ready {
                    Ready::Plan(Plan::Post(record)) => {
                        let full = !batch.has_room(&record, &run.options);
                        let done = full.then(|| std::mem::take(&mut batch));
                        batch.push(*record);
                        done
                    }
                    Ready::Plan(Plan::Unchanged { key, receipt, at }) => {
                        batch.unchanged.push((key, receipt, at));
                        take_if_full(&mut batch, &run.options)
                    }
                    Ready::Plan(Plan::NothingHeld { key }) => {
                        batch.nothing_held.push(key);
                        take_if_full(&mut batch, &run.options)
                    }
                    Ready::Unfit(unfit) => {
                        batch.unfit.push(unfit);
                        take_if_full(&mut batch, &run.options)
                    }
                };
                if let Some(full) = full
                    && sender.send(Ok(full)).await.is_err()
                {
                    return Ok(());
                }
            }
        }
    }
    if !batch.is_empty() {
        let _ = sender.send(Ok(batch)).await;
    }
    Ok(())
}

fn take_if_full(batch: &mut Batch, options: &RunOptions) -> Option<Batch> {
    batch
        .is_full_without_posts(options)
        .then(|| std::mem::take(batch))
}
