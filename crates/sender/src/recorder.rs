//! Tells the table what came of batches, in order, while others are posted.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use csc_staging::{Outcome, StagingStore, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// How many may wait for the one that the table is being told.
const WAITING: usize = 2;

/// How many rows the table is told of at once, where that is more than one batch: as many as
/// SQL Server is told of in one statement, which takes all of them or none.
const AT_ONCE: usize = 200;

/// The rows that the table has of some outcomes.
pub(crate) type Recorded = Result<Vec<i64>, StoreError>;

/// Outcomes on their way into the table, each with what they are of.
pub(crate) struct Recorder<T> {
    store: Arc<dyn StagingStore>,
    under_way: VecDeque<T>,
    /// Closed once the table may be told.
    first: Option<oneshot::Receiver<()>>,
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
    fn start(store: Arc<dyn StagingStore>, first: Option<oneshot::Receiver<()>>) -> Worker {
        let (outcomes, mut to_record) = mpsc::channel::<Vec<Outcome>>(WAITING + 1);
        let (answering, answers) = mpsc::channel(WAITING + 1);
        let task = tokio::spawn(async move {
            if let Some(first) = first {
                let _ = first.await;
            }
            let mut next = to_record.recv().await;
            while let Some(first) = next {
                let together = Together::of(first, &mut to_record);
                let recorded = store.record(&together.outcomes).await;
                for answer in together.answers(recorded) {
                    let is_last = answer.is_err();
                    if answering.send(answer).await.is_err() || is_last {
                        return;
                    }
                }
                next = match together.left {
                    Some(left) => Some(left),
                    None => to_record.recv().await,
                };
            }
        });
        Worker {
            outcomes,
            answers,
            task,
        }
    }
}

/// Outcomes that the table is told at once, which takes it less time than one after the other.
struct Together {
    outcomes: Vec<Outcome>,
    /// Where those of each batch end.
    ends: Vec<usize>,
    /// What comes after them.
    left: Option<Vec<Outcome>>,
}

impl Together {
    /// Those that wait already, as long as they are few enough, and each is of another row: one
    /// that has changed since it was sent may come twice.
    fn of(first: Vec<Outcome>, waiting: &mut mpsc::Receiver<Vec<Outcome>>) -> Together {
        let mut together = Together {
            ends: vec![first.len()],
            outcomes: first,
            left: None,
        };
        while let Ok(next) = waiting.try_recv() {
            let ids: HashSet<i64> = ids_of(&together.outcomes).collect();
            let is_too_much = together.outcomes.len() + next.len() > AT_ONCE;
            if is_too_much || ids_of(&next).any(|id| ids.contains(&id)) {
                together.left = Some(next);
                break;
            }
            together.outcomes.extend(next);
            together.ends.push(together.outcomes.len());
        }
        together
    }

    /// What the table has of each batch. Where it took nothing, the first is told why.
    fn answers(&self, recorded: Recorded) -> Vec<Recorded> {
        let recorded = match recorded {
            Ok(recorded) if self.ends.len() > 1 => recorded,
            one => return vec![one],
        };
        let recorded: HashSet<i64> = recorded.into_iter().collect();
        let mut begin = 0;
        let part = |end: &usize| {
            let ids = ids_of(&self.outcomes[begin..*end]);
            begin = *end;
            Ok(ids.filter(|id| recorded.contains(id)).collect())
        };
        self.ends.iter().map(part).collect()
    }
}

fn ids_of(outcomes: &[Outcome]) -> impl Iterator<Item = i64> {
    outcomes.iter().map(|outcome| outcome.key.id())
}

impl<T> Recorder<T> {
    pub(crate) fn new(store: Arc<dyn StagingStore>) -> Self {
        Recorder {
            store,
            under_way: VecDeque::new(),
            first: None,
            worker: None,
            answer: None,
        }
    }

    /// Nothing is recorded before that is closed.
    pub(crate) fn begin_after(&mut self, first: oneshot::Receiver<()>) {
        self.first = Some(first);
    }

    /// Whether more can be handed over.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() <= WAITING
    }

    /// Hands over outcomes, where there is room.
    pub(crate) fn hand_over(&mut self, outcomes: Vec<Outcome>, what: T) {
        let worker = self
            .worker
            .get_or_insert_with(|| Worker::start(Arc::clone(&self.store), self.first.take()));
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

#[cfg(test)]
mod tests {
    use csc_message::Message;
    use csc_staging::{RowKey, RowResult, StoreErrorKind};

    use super::*;

    fn outcomes(ids: std::ops::RangeInclusive<i64>) -> Vec<Outcome> {
        let of = |id| Outcome {
            key: RowKey::remembered(id, None, [1; 32]),
            result: RowResult::Refused {
                reason: "a test".into(),
            },
        };
        ids.map(of).collect()
    }

    /// What is told at once of batches that wait.
    fn together<const N: usize>(waiting: [std::ops::RangeInclusive<i64>; N]) -> Together {
        let (sender, mut batches) = mpsc::channel(N);
        for ids in waiting {
            sender.try_send(outcomes(ids)).unwrap();
        }
        let first = batches.try_recv().unwrap();
        Together::of(first, &mut batches)
    }

    #[test]
    fn each_is_told_what_the_table_has_of_its_own_rows() {
        let together = together([1..=2, 3..=5, 6..=6]);
        assert!(together.left.is_none());
        let answers = together.answers(Ok(vec![5, 1, 3, 4]));
        let ids: Vec<Vec<i64>> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(ids, [vec![1], vec![3, 4, 5], vec![]]);
    }

    #[test]
    fn no_row_is_told_of_twice_at_once() {
        let together = together([1..=2, 3..=4, 4..=6, 7..=7]);
        assert_eq!(ids_of(&together.outcomes).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let left = together.left.unwrap();
        assert_eq!(ids_of(&left).collect::<Vec<_>>(), [4, 5, 6]);
    }

    #[test]
    fn no_more_are_told_of_at_once_than_one_statement_takes() {
        let together = together([1..=100, 101..=200, 201..=201]);
        assert_eq!(together.ends, [100, 200]);
        assert_eq!(together.left.unwrap().len(), 1);
        let alone = Together::of(outcomes(1..=300), &mut mpsc::channel(1).1);
        assert_eq!(alone.ends, [300]);
    }

    #[test]
    fn where_the_table_takes_nothing_one_answer_says_so() {
        let full = || {
            let message = Message::new(303, "The table takes nothing", "it is full", "make room");
            let kind = StoreErrorKind::Statement;
            Err(StoreError { kind, message })
        };
        for together in [together([1..=3]), together([1..=3, 4..=5])] {
            let answers = together.answers(full());
            assert!(matches!(&answers[..], [Err(_)]), "{answers:?}");
        }
    }
}
