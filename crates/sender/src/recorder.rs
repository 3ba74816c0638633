//! Tells the table what came of batches, one after the other, while others are posted.

use std::collections::VecDeque;
use std::sync::Arc;

use csc_staging::{Outcome, StagingStore, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How many may wait for the one that the table is being told.
const WAITING: usize = 1;

/// The rows that the table has of some outcomes.
pub(crate) type Recorded = Result<Vec<i64>, StoreError>;

/// Outcomes on their way into the table, each with what they are of.
pub(crate) struct Recorder<T> {
    store: Arc<dyn StagingStore>,
    under_way: VecDeque<T>,
    worker: Option<Worker>,
    /// The table's answer for the first of them, once it was waited for.
    answer: Option<Recorded>,
}

/// Works until the table has refused something, or nobody asks any more.
struct Worker {
    outcomes: mpsc::Sender<Vec<Outcome>>,
    answers: mpsc::Receiver<Recorded>,
    task: JoinHandle<()>,
}

impl Worker {
    fn start(store: Arc<dyn StagingStore>) -> Worker {
        let (outcomes, mut to_record) = mpsc::channel::<Vec<Outcome>>(WAITING + 1);
        let (answering, answers) = mpsc::channel(WAITING + 1);
        let task = tokio::spawn(async move {
            while let Some(outcomes) = to_record.recv().await {
                let recorded = store.record(&outcomes).await;
                let is_last = recorded.is_err();
                if answering.send(recorded).await.is_err() || is_last {
                    break;
                }
            }
        });
        Worker {
            outcomes,
            answers,
            task,
        }
    }
}

impl<T> Recorder<T> {
    pub(crate) fn new(store: Arc<dyn StagingStore>) -> Self {
        Recorder {
            store,
            under_way: VecDeque::new(),
            worker: None,
            answer: None,
        }
    }

    /// Whether more can be handed over.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() <= WAITING
    }

    /// Hands over outcomes, where there is room.
    pub(crate) fn hand_over(&mut self, outcomes: Vec<Outcome>, what: T) {
        let worker = self
            .worker
            .get_or_insert_with(|| Worker::start(Arc::clone(&self.store)));
        self.under_way.push_back(what);
        // A worker that has ended says why where it is waited for.
        let _ = worker.outcomes.try_send(outcomes);
    }

    /// Whether anything is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Whether the table has answered for the first.
    pub(crate) fn has_answered(&mut self) -> bool {
        if let (None, Some(worker)) = (&self.answer, &mut self.worker) {
            self.answer = worker.answers.try_recv().ok();
        }
        self.answer.is_some()
    }

    /// Waits for that, where anything is on its way. It may be given up, and waited for again.
    pub(crate) async fn answered(&mut self) {
        if let (None, false, Some(worker)) =
            (&self.answer, self.under_way.is_empty(), &mut self.worker)
        {
            match worker.answers.recv().await {
                Some(answer) => self.answer = Some(answer),
                None => {
                    if let Err(error) = (&mut worker.task).await
                        && let Ok(panic) = error.try_into_panic()
                    {
                        std::panic::resume_unwind(panic)
                    }
                }
            }
        }
    }

    /// The first, with the table's answer where that is there.
    pub(crate) fn take_first(&mut self) -> Option<(T, Option<Recorded>)> {
        self.under_way
            .pop_front()
            .map(|what| (what, self.answer.take()))
    }

    /// Lets go of the store, once nothing is on its way: the table's run lock lasts as long as
    /// anybody has that.
    pub(crate) async fn end(&mut self) {
        if let Some(Worker { outcomes, task, .. }) = self.worker.take() {
            drop(outcomes);
            // It has told of every outcome, and of its own end where that came before.
            let _ = task.await;
        }
    }

    /// Gives up whatever is on its way; gives what was.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = T> {
        if let Some(worker) = self.worker.take() {
            worker.task.abort();
        }
        self.answer = None;
        self.under_way.drain(..)
    }
}
