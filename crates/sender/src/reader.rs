//! Rows become batches while the batch before is under way.

use std::collections::HashSet;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use csc_message::Message;
use csc_staging::{PageLimits, PageRequest, RowKey, StagedRow, Superseded};
use jiff::civil::DateTime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::plan::{Payloads, Plan, Prepared};
use crate::prepare::{OpenedRows, Pass, Ready, Unfit, open, plan};
use crate::{Run, RunOptions};

/// One page: large enough that a table is read in few queries, small enough that
/// memory stays flat whatever the size of a record. The next one is read while one is
/// prepared.
const PAGE: PageLimits = PageLimits {
    rows: 500,
    bytes: 1024 * 1024,
};

/// The rows of the first page: the first batch need not wait for a whole one. Each of the
/// next ones has twice as many, so that no batch after it has to wait for long either.
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

    /// Drops the other records.
    pub(crate) fn keep_only(&mut self, wanted: impl Fn(&Prepared) -> bool) {
        self.records.retain(wanted);
    }

    /// Whether no record can be added: it need not wait for one that cannot.
    fn is_full(&self, options: &RunOptions) -> bool {
        self.records.len() >= options.batch_size
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

/// The batches of a pass, on their way.
pub(crate) struct Batches {
    channel: mpsc::Receiver<Result<Batch, Message>>,
    /// Those that make them.
    tasks: Vec<JoinHandle<()>>,
    /// Closed once all rows are read, or none is read any more.
    reading: oneshot::Receiver<()>,
}

impl Batches {
    /// Those that are made already.
    pub(crate) fn of(made: Vec<Batch>) -> Batches {
        let (sender, channel) = mpsc::channel(made.len().max(1));
        for batch in made {
            // There is room for each, and somebody who listens.
            let _ = sender.try_send(Ok(batch));
        }
        Batches {
            channel,
            tasks: Vec::new(),
            reading: oneshot::channel().1,
        }
    }

    /// The end of reading, to be waited for once, while the batches are taken.
    pub(crate) fn end_of_reading(&mut self) -> impl Future<Output = ()> + use<> {
        let reading = std::mem::replace(&mut self.reading, oneshot::channel().1);
        async { drop(reading.await) }
    }

    /// The next one, once it is made; `None` after the last one. It may be given up, and
    /// waited for again.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, Message> {
        if let Some(batch) = self.channel.recv().await {
            return batch.map(Some);
        }
        // A task that broke off leaves a channel that looks like the end of the rows.
        while let Some(task) = self.tasks.last_mut() {
            let ended = task.await;
            self.tasks.pop();
            ended.map_err(|_| broken_off())?;
        }
        Ok(None)
    }

    /// The next one, if it is made within that time.
    pub(crate) async fn within(&mut self, time: Duration) -> Result<Option<Batch>, Message> {
        let next = tokio::time::timeout(time, self.next()).await;
        next.unwrap_or(Ok(None))
    }

    /// The next one, if it is made already.
    pub(crate) fn ready(&mut self) -> Result<Option<Batch>, Message> {
        self.channel.try_recv().ok().transpose()
    }
}

fn broken_off() -> Message {
    Message::new(
        619,
        "Reading the rows broke off",
        "a part of csc-sender has a fault, and stopped before the table's end",
        "start again: what was sent is in the journal, and the next run goes on from it; if it \
         happens twice, report it with the program's version, and no record",
    )
}

/// Purges that go while the records behind them are read and planned. A record of one of
/// their children is planned only once they are through: what the ledger holds of it
/// changes with the purge.
pub(crate) struct Purging {
    children: HashSet<String>,
    done: oneshot::Receiver<()>,
}

impl Purging {
    /// With the end that is told once they are through.
    pub(crate) fn of(batches: &[Batch]) -> (oneshot::Sender<()>, Purging) {
        let (through, done) = oneshot::channel();
        let records = batches.iter().flat_map(|batch| &batch.records);
        let children = records.map(|record| record.child.clone()).collect();
        (through, Purging { children, done })
    }

    fn concerns(&self, rows: &OpenedRows) -> bool {
        rows.children().any(|child| self.children.contains(child))
    }
}

/// What a pass waits for before any of its rows is planned.
struct Go {
    superseded: Arc<Superseded>,
    purging: Option<Purging>,
}

/// Records of which the first are read while it is not known yet which rows are superseded.
pub(crate) struct Begun {
    batches: Batches,
    looked: oneshot::Receiver<Result<Arc<Superseded>, Message>>,
    go: oneshot::Sender<Go>,
}

impl Begun {
    /// Which rows are superseded: looked for once the first records are read.
    pub(crate) async fn superseded(&mut self) -> Result<Arc<Superseded>, Message> {
        match (&mut self.looked).await {
            Ok(looked) => looked,
            Err(_) => Err(broken_off()),
        }
    }

    /// Ends what was begun: no record is sent now.
    pub(crate) async fn give_up(self) {
        let Begun { batches, go, .. } = self;
        drop(go);
        let Batches { channel, tasks, .. } = batches;
        drop(channel);
        for task in tasks {
            // It hands on nothing more, whatever it met.
            let _ = task.await;
        }
    }

    /// The batches of those that are not, behind purges that go.
    pub(crate) fn go(self, superseded: Arc<Superseded>, purging: Option<Purging>) -> Batches {
        // Whoever plans the records may have ended, and says why.
        let _ = self.go.send(Go {
            superseded,
            purging,
        });
        self.batches
    }
}

/// Reads the rows of a pass in order of id, `limit` at most, and hands on batches.
/// At most as many wait as are posted at the same time, one is being made, and two pages
/// are held; with deltas the records of two more are read.
pub(crate) fn start(
    run: Run,
    pass: Pass,
    limit: Option<u64>,
    superseded: Arc<Superseded>,
) -> Batches {
    let reader = run.clone();
    batches_of(run, pass, None, async move |pages| {
        let mut cursor = Cursor::of(&reader, pass, limit);
        if let Err(error) = cursor.read_on(&superseded, &pages).await {
            // Nobody listens any more when the run has ended.
            let _ = pages.send(Err(error)).await;
        }
    })
}

/// Begins to read the records, and then looks which rows are superseded: what is read of
/// those is left out.
pub(crate) fn begin(run: Run) -> Begun {
    let (told, looked) = oneshot::channel();
    let (go, gate) = oneshot::channel();
    let reader = run.clone();
    let batches = batches_of(run, Pass::Records, Some(gate), async move |pages| {
        let mut cursor = Cursor::of(&reader, Pass::Records, None);
        let first = async {
            cursor.next(&Superseded::default(), &pages).await?;
            Ok(Arc::new(reader.store.superseded().await?))
        };
        let superseded = match first.await {
            Ok(superseded) => superseded,
            Err(error) => {
                let _ = told.send(Err(error));
                return;
            }
        };
        let _ = told.send(Ok(Arc::clone(&superseded)));
        if let Err(error) = cursor.read_on(&superseded, &pages).await {
            let _ = pages.send(Err(error)).await;
        }
    });
    Begun {
        batches,
        looked,
        go,
    }
}

fn batches_of<F: Future<Output = ()> + Send + 'static>(
    run: Run,
    pass: Pass,
    gate: Option<oneshot::Receiver<Go>>,
    read: impl FnOnce(mpsc::Sender<Page>) -> F,
) -> Batches {
    let (sender, channel) = mpsc::channel(run.options.concurrency);
    let (pages_out, pages) = mpsc::channel(1);
    let opener = run.clone();
    let (until_read, reading) = oneshot::channel();
    let read = read(pages_out);
    let read = tokio::spawn(async move {
        let _until_read: oneshot::Sender<()> = until_read;
        read.await;
    });
    let mut tasks = vec![read];
    let mut opened: Box<dyn Iterator<Item = OpenedBatch> + Send> =
        Box::new(opened_of(opener, pass, pages));
    // Threads of their own: tasks that wake each other share one, however much they compute.
    if run.options.payloads == Payloads::Deltas {
        // To plan takes as long as to read then.
        let (opened_out, mut opened_in) = mpsc::channel(1);
        tasks.push(spawn_blocking(move || {
            // Nobody listens any more when the run has ended.
            opened.all(|rows| opened_out.blocking_send(rows).is_ok());
        }));
        opened = Box::new(iter::from_fn(move || opened_in.blocking_recv()));
    }
    tasks.push(spawn_blocking(move || {
        if let Err(error) = make_batches(&run, pass, gate, opened, &sender) {
            let _ = sender.blocking_send(Err(error));
        }
    }));
    Batches {
        channel,
        tasks,
        reading,
    }
}

type Page = Result<Vec<StagedRow>, Message>;

/// Where the reading of a pass is.
struct Cursor<'a> {
    run: &'a Run,
    pass: Pass,
    after: i64,
    /// How many rows are still to be read, at most.
    left: u64,
    /// How many rows the next page may have.
    rows: u32,
}

impl Cursor<'_> {
    fn of(run: &Run, pass: Pass, limit: Option<u64>) -> Cursor<'_> {
        Cursor {
            run,
            pass,
            after: i64::MIN,
            left: limit.unwrap_or(u64::MAX),
            rows: match pass {
                // They are few, and looked through to the end before the first one goes.
                Pass::Deletions => PAGE.rows,
                Pass::Records | Pass::Resync => FIRST_PAGE,
            },
        }
    }

    async fn read_on(
        &mut self,
        superseded: &Superseded,
        pages: &mpsc::Sender<Page>,
    ) -> Result<(), Message> {
        while self.next(superseded, pages).await? {}
        Ok(())
    }

    /// Reads a page and hands it on. Tells whether there may be more.
    async fn next(
        &mut self,
        superseded: &Superseded,
        pages: &mpsc::Sender<Page>,
    ) -> Result<bool, Message> {
        if self.left == 0 {
            return Ok(false);
        }
        // Not before there is room for it: no more pages are held than that.
        let Ok(room) = pages.reserve().await else {
            return Ok(false);
        };
        let request = PageRequest {
            selection: self.pass.selection(),
            after: self.after,
            limits: PageLimits {
                rows: self.rows.min(u32::try_from(self.left).unwrap_or(u32::MAX)),
                ..PAGE
            },
            with_previous: self.pass != Pass::Records || self.run.options.needs_previous(),
        };
        let page = self.run.store.page(request, superseded).await?;
        let Some(last) = page.last() else {
            return Ok(false);
        };
        self.after = last.key.id();
        self.left -= page.len() as u64;
        self.rows = (self.rows * 2).min(PAGE.rows);
        room.send(Ok(page));
        Ok(true)
    }
}

type OpenedBatch = Result<OpenedRows, Message>;

/// The rows of the pages with their records read, a batch's at a time.
fn opened_of(
    run: Run,
    pass: Pass,
    mut pages: mpsc::Receiver<Page>,
) -> impl Iterator<Item = OpenedBatch> + Send {
    let mut page = Vec::new();
    iter::from_fn(move || {
        while page.is_empty() {
            match pages.blocking_recv()? {
                Ok(next) => page = next,
                Err(error) => return Some(Err(error)),
            }
        }
        let rest = page.split_off(run.options.batch_size.min(page.len()));
        let chunk = std::mem::replace(&mut page, rest);
        Some(Ok(open(chunk, pass, &run.options)))
    })
}

fn make_batches(
    run: &Run,
    pass: Pass,
    mut gate: Option<oneshot::Receiver<Go>>,
    opened: impl Iterator<Item = OpenedBatch>,
    sender: &Sender,
) -> Result<(), Message> {
    let (mut batch, mut superseded, mut purging) = (Batch::default(), Arc::default(), None);
    for rows in opened {
        let mut rows = rows?;
        if let Some(gate) = gate.take() {
            let Ok(go) = gate.blocking_recv() else {
                // The run has ended before.
                return Ok(());
            };
            (superseded, purging) = (go.superseded, go.purging);
        }
        rows.leave_out(&superseded);
        if let Some(purges) = purging.take_if(|purges| purges.concerns(&rows))
            && purges.done.blocking_recv().is_err()
        {
            // The run has ended with the purges.
            return Ok(());
        }
        for ready in plan(rows, pass, run.ledger.as_ref(), &run.options)? {
            let full = match ready {
                Ready::Plan(Plan::Post(record)) => {
                    if !batch.has_room(&record, &run.options)
                        && sender
                            .blocking_send(Ok(std::mem::take(&mut batch)))
                            .is_err()
                    {
                        return Ok(());
                    }
                    batch.push(*record);
                    batch.is_full(&run.options)
                }
                Ready::Plan(Plan::Unchanged { key, receipt, at }) => {
                    batch.unchanged.push((key, receipt, at));
                    batch.is_full_without_posts(&run.options)
                }
                Ready::Plan(Plan::NothingHeld { key }) => {
                    batch.nothing_held.push(key);
                    batch.is_full_without_posts(&run.options)
                }
                Ready::Unfit(unfit) => {
                    batch.unfit.push(unfit);
                    batch.is_full_without_posts(&run.options)
                }
            };
            if full
                && sender
                    .blocking_send(Ok(std::mem::take(&mut batch)))
                    .is_err()
            {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        let _ = sender.blocking_send(Ok(batch));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use csc_staging::connection::parse;
    use csc_staging::{NewRow, connect_creating};

    use super::*;
    use crate::{Author, Gap, Mode, Payloads, RetryPolicy};

    /// Reads three rows of a table of its own, three to a batch.
    async fn three_rows(folder: &std::path::Path) -> (Run, Vec<StagedRow>) {
        let target = parse(&format!("sqlite:{}", folder.join("children.db").display()));
        let table = "ssd_api_data_staging_anon".parse().unwrap();
        let store = connect_creating(&target.unwrap().target, &table).await;
        let store = store.unwrap();
        store.create().await.unwrap();
        let rows: Vec<NewRow> = (1..=3)
            .map(|n| NewRow {
                person_id: format!("P{n}"),
                legacy_id: None,
                payload: format!(r#"{{"la_child_id":"C{n}"}}"#),
                hash: [1; 32],
            })
            .collect();
        store.stage(&rows).await.unwrap();
        let request = PageRequest {
            selection: Pass::Records.selection(),
            after: i64::MIN,
            limits: PAGE,
            with_previous: false,
        };
        let page = store.page(request, &Superseded::default()).await.unwrap();
        let options = RunOptions {
            mode: Mode::Testing,
            payloads: Payloads::Full { exact: true },
            checks: None,
            resync: false,
            allow_purges: None,
            batch_size: 3,
            max_batch_bytes: 1 << 20,
            concurrency: 1,
            limit: None,
            gap: Gap::from_millis(0),
            retry: RetryPolicy {
                max_retries: 0,
                base: Duration::ZERO,
                max_wait: Duration::ZERO,
            },
            run_id: String::new(),
            author: Author::default(),
        };
        let run = Run {
            store,
            ledger: None,
            options,
        };
        (run, page)
    }

    #[tokio::test]
    async fn a_full_batch_does_not_wait_for_the_rows_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let (run, page) = three_rows(folder.path()).await;
        let (pages_out, pages) = mpsc::channel(1);
        let (sender, mut batches) = mpsc::channel(1);
        pages_out.send(Ok(page)).await.unwrap();
        let making = spawn_blocking(move || {
            let opened = opened_of(run.clone(), Pass::Records, pages);
            make_batches(&run, Pass::Records, None, opened, &sender)
        });
        let first = tokio::time::timeout(Duration::from_secs(10), batches.recv()).await;
        let first = first.expect("the next page is not there yet");
        assert_eq!(first.unwrap().unwrap().records.len(), 3);
        drop(pages_out);
        assert!(batches.recv().await.is_none(), "no batch is empty");
        making.await.unwrap().unwrap();
    }

    /// One batch, and then whatever becomes of the task.
    async fn of(task: JoinHandle<()>) -> (bool, Result<Option<Batch>, Message>) {
        let (sender, channel) = mpsc::channel(1);
        sender.send(Ok(Batch::default())).await.unwrap();
        drop(sender);
        let mut batches = Batches {
            channel,
            tasks: vec![tokio::spawn(async {}), task],
            reading: oneshot::channel().1,
        };
        (
            batches.next().await.unwrap().is_some(),
            batches.next().await,
        )
    }

    #[tokio::test]
    async fn a_task_that_broke_off_is_not_the_end_of_the_rows() {
        let (first, then) = of(tokio::spawn(async {})).await;
        assert!(first && then.unwrap().is_none());
        let (first, then) = of(tokio::spawn(async { panic!("on purpose") })).await;
        assert!(first);
        assert_eq!(then.err().unwrap().code(), 619);
    }
}
