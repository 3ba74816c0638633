//! Rows become batches while the batch before is under way.

use std::sync::Arc;

use csc_staging::{PageLimits, PageRequest, Selection, StagingStore, StoreError};
use tokio::sync::mpsc;

use crate::RunOptions;
use crate::prepare::{Prepared, Unfit, prepare};

/// One page: large enough that a table is read in few queries, small enough that
/// memory stays flat whatever the size of a record.
const PAGE: PageLimits = PageLimits {
    rows: 1000,
    bytes: 8 * 1024 * 1024,
};

/// What one step of the run works on.
#[derive(Default)]
pub(crate) struct Batch {
    /// Records to post, in order of id.
    pub(crate) records: Vec<Prepared>,
    /// Rows met on the way that cannot go.
    pub(crate) unfit: Vec<Unfit>,
    bytes: usize,
}

impl Batch {
    /// The size of the body: brackets, records, commas.
    fn has_room(&self, record: &Prepared, options: &RunOptions) -> bool {
        self.records.is_empty()
            || (self.records.len() < options.batch_size
                && self.bytes + record.text.len() + 2 <= options.max_batch_bytes)
    }

    fn push(&mut self, record: Prepared) {
        self.bytes += record.text.len() + 1;
        self.records.push(record);
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.unfit.is_empty()
    }
}

/// Reads the eligible rows in order of id and hands on batches. At most one waits, one
/// is being made, and one page is held.
pub(crate) fn start(
    store: Arc<dyn StagingStore>,
    options: RunOptions,
) -> mpsc::Receiver<Result<Batch, StoreError>> {
    let (sender, batches) = mpsc::channel(1);
    tokio::spawn(async move {
        if let Err(error) = read(&*store, &options, &sender).await {
            // Nobody listens any more when the run has ended.
            let _ = sender.send(Err(error)).await;
        }
    });
    batches
}

async fn read(
    store: &dyn StagingStore,
    options: &RunOptions,
    sender: &mpsc::Sender<Result<Batch, StoreError>>,
) -> Result<(), StoreError> {
    let mut after = i64::MIN;
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut batch = Batch::default();
    while left > 0 {
        let rows = PAGE.rows.min(u32::try_from(left).unwrap_or(u32::MAX));
        let page = store
            .page(PageRequest {
                selection: Selection::Records,
                after,
                limits: PageLimits { rows, ..PAGE },
                with_previous: false,
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = last.key.id();
        left -= page.len() as u64;
        for row in page {
            match prepare(row) {
                Ok(record) => {
                    if !batch.has_room(&record, options) {
                        let full = std::mem::take(&mut batch);
                        if sender.send(Ok(full)).await.is_err() {
                            return Ok(());
                        }
                    }
                    batch.push(record);
                }
                Err(unfit) => {
                    batch.unfit.push(unfit);
                    // A table of nothing but faulty rows must not pile up here.
                    if batch.unfit.len() >= options.batch_size {
                        let full = std::mem::take(&mut batch);
                        if sender.send(Ok(full)).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
    if !batch.is_empty() {
        let _ = sender.send(Ok(batch)).await;
    }
    Ok(())
}
