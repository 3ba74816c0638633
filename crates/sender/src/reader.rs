//! Rows become batches while the batch before is under way.

use csc_message::Message;
use csc_staging::{PageLimits, PageRequest, RowKey};
use jiff::civil::DateTime;
use tokio::sync::mpsc;

use crate::plan::{Plan, Prepared};
use crate::prepare::{Pass, Ready, Unfit, prepare};
use crate::{Run, RunOptions};

/// One page: large enough that a table is read in few queries, small enough that
/// memory stays flat whatever the size of a record.
const PAGE: PageLimits = PageLimits {
    rows: 3000,
    bytes: 8 * 1024 * 1024,
};

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
/// At most one waits, one is being made, and one page is held.
pub(crate) fn start(
    run: Run,
    pass: Pass,
    limit: Option<u64>,
) -> mpsc::Receiver<Result<Batch, Message>> {
    let (sender, batches) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(error) = read(&run, pass, limit, &sender).await {
            // Nobody listens any more when the run has ended.
            let _ = sender.send(Err(error)).await;
        }
    });
    batches
}

async fn read(run: &Run, pass: Pass, limit: Option<u64>, sender: &Sender) -> Result<(), Message> {
    let superseded = run.store.superseded().await?;
    let mut after = i64::MIN;
    let mut left = limit.unwrap_or(u64::MAX);
    let mut batch = Batch::default();
    while left > 0 {
        let rows = PAGE.rows.min(u32::try_from(left).unwrap_or(u32::MAX));
        let request = PageRequest {
            selection: pass.selection(),
            after,
            limits: PageLimits { rows, ..PAGE },
            with_previous: pass != Pass::Records || run.options.needs_previous(),
        };
        let mut page = run.store.page(request, &superseded).await?;
        let Some(last) = page.last() else { break };
        after = last.key.id();
        left -= page.len() as u64;
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
