//! How many rows there are to send: counted while the first ones are read and posted, where
//! the table can be asked for both.

use std::sync::Arc;
use std::time::Duration;

use csc_message::Message;
use csc_staging::{Selection, StagingStore, StoreError, Superseded};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::deliver::{Delivery, End};
use crate::report::Event;

/// How long after Ctrl-C the table may still take to count: where nothing is to be recorded,
/// nothing depends on it.
const COUNTING_GRACE: Duration = Duration::from_secs(1);

/// A count under way.
pub(crate) struct Counting {
    task: JoinHandle<Result<u64, StoreError>>,
    /// Closed once it is over.
    over: oneshot::Receiver<()>,
    /// What is to be sent beside the rows that are counted.
    beside: u64,
}

impl Counting {
    /// Begins to count records, whether they are superseded or not.
    pub(crate) fn of_all(store: &Arc<dyn StagingStore>) -> Counting {
        Counting::of(Arc::clone(store), Arc::default(), None)
    }

    fn of(
        store: Arc<dyn StagingStore>,
        superseded: Arc<Superseded>,
        before: Option<Counting>,
    ) -> Counting {
        let (until_over, over) = oneshot::channel();
        let task = tokio::spawn(async move {
            let _until_over: oneshot::Sender<()> = until_over;
            if let Some(before) = before {
                // One at a time, and nothing is missed where this one failed: the next is asked
                // the same.
                let _ = before.task.await;
            }
            store.count(Selection::Records, &superseded).await
        });
        Counting {
            task,
            over,
            beside: 0,
        }
    }

    /// Counts anew without those that are superseded, where any are.
    fn without(self, store: &Arc<dyn StagingStore>, superseded: &Arc<Superseded>) -> Counting {
        if superseded.is_empty() {
            return self;
        }
        Counting::of(Arc::clone(store), Arc::clone(superseded), Some(self))
    }
}

impl Delivery<'_> {
    /// Has the records counted, which are told of once that is done. Nothing is recorded
    /// before: what was sent would not be counted.
    pub(crate) fn count(&mut self, counting: Counting) {
        self.state.counting = Some(counting);
    }

    /// The same, once it is known which rows are superseded and what goes beside the records.
    pub(crate) fn count_on(&mut self, superseded: &Arc<Superseded>, beside: u64) {
        if let Some(counting) = self.state.counting.take() {
            let mut counting = counting.without(&self.store, superseded);
            counting.beside = beside;
            let over = std::mem::replace(&mut counting.over, oneshot::channel().1);
            self.state.recorder.begin_after(over);
            self.state.counting = Some(counting);
        }
    }

    /// Tells how many rows there are to send.
    pub(crate) fn expect(&mut self, rows: u64) {
        let eligible = rows.min(self.options.limit.unwrap_or(u64::MAX));
        self.report.eligible = eligible;
        self.tell(Event::Begun { eligible });
    }

    /// Waits until that is known.
    pub(crate) async fn finish_counting(&mut self) -> Result<(), End> {
        let Some(Counting {
            mut task, beside, ..
        }) = self.state.counting.take()
        else {
            return Ok(());
        };
        match self.stop.finish(COUNTING_GRACE, &mut task).await {
            Some(Ok(Ok(counted))) => {
                self.expect(counted + beside);
                Ok(())
            }
            Some(Ok(Err(error))) => Err(Message::from(error).into()),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => {
                task.abort();
                Err(End::Interrupted)
            }
        }
    }

    /// Counts no longer.
    pub(crate) fn give_up_counting(&mut self) {
        if let Some(counting) = self.state.counting.take() {
            counting.task.abort();
        }
    }
}
