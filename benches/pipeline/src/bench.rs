//! The benchmark itself: for each size a table, and on it csc-sender and the limit in
//! turn, round by round.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use csc_staging::TableSummary;

use crate::alone::{ANSWER, Alone, AloneLine, AloneMeasured, GAP, WITHOUT_INDEX};
use crate::figures::{Measured, Round, Size, Taken};
use crate::limit::DATABASE;
use crate::measure::{cost, measured};
use crate::mix::{Children, Fate, new_rows};
use crate::place::{Change, Database, Place};
use crate::receiver::{Post, Receiver};
use crate::sender::{Sender, submission_url};

/// The benchmark's arguments.
#[derive(Args)]
pub struct BenchArgs {
    /// Rows of the table, about 2.5 KB each; several sizes with commas between them
    #[arg(long, value_delimiter = ',', default_value = "10000",
          value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    rows: Vec<u64>,
    /// The database
    #[arg(long, value_enum, default_value = "postgres")]
    database: Database,
    /// What there is to send
    #[arg(long, value_enum, default_value = "full")]
    mode: Task,
    /// Have the table keep one row for each child (a unique index on person_id)
    #[arg(long)]
    unique: bool,
    /// How often each is run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure this csc-sender instead of the one that is built from the sources
    #[arg(long, value_name = "PROGRAM")]
    sender: Option<PathBuf>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Task {
    /// Whole records of a table that was never sent
    Full,
    /// The changes of a night
    Deltas,
    /// Whole records, to a receiver that takes 300 ms for each post, 400 ms apart
    Paced,
    /// A table of which every row is sent, with its index and without
    Nothing,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Every row is new, and goes as a whole record.
    Full,
    /// Of the rows 55 % are sent and unchanged, 25 % updated, 10 % new, 5 % deleted and
    /// 5 % refused before.
    Deltas,
}

/// Rows are staged in pieces, so that memory does not grow with the table.
const PIECE: usize = 500;

/// Measures, and prints what `docs/performance.md` is made of.
pub fn run(args: &BenchArgs) -> Result<()> {
    if cfg!(debug_assertions) {
        bail!("a program that was built without --release is not worth measuring");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    let sender = Sender::find(args.sender.as_deref(), folder.path())?;
    let receiver = Receiver::start()?;
    let (mode, task) = match args.mode {
        Task::Full => (Mode::Full, None),
        Task::Deltas => (Mode::Deltas, None),
        Task::Paced => (Mode::Full, Some(Alone::Paced)),
        Task::Nothing => (Mode::Full, Some(Alone::Nothing)),
    };
    let bench_of = |rows| Bench {
        args,
        mode,
        rows,
        folder: folder.path(),
        sender: &sender,
        receiver: &receiver,
    };
    if let Some(task) = task {
        let mut lines = Vec::new();
        for rows in &args.rows {
            lines.extend(runtime.block_on(bench_of(*rows).run_alone(task))?);
        }
        println!(
            "{}",
            AloneMeasured {
                database: args.database,
                task,
                lines
            }
        );
        return Ok(());
    }
    let measured = runtime.block_on(async {
        let mut sizes = Vec::new();
        for rows in &args.rows {
            sizes.push(bench_of(*rows).run().await?);
        }
        anyhow::Ok(Measured {
            database: args.database,
            mode,
            unique: args.unique,
            sizes,
        })
    })?;
    println!("{measured}");
    Ok(())
}

/// One size.
struct Bench<'a> {
    args: &'a BenchArgs,
    mode: Mode,
    rows: u64,
    folder: &'a Path,
    sender: &'a Sender,
    receiver: &'a Receiver,
}

impl Bench<'_> {
    async fn run(&self) -> Result<Size> {
        let mut place = Place::create(self.args.database, self.folder).await?;
        let measured = self.measure(&mut place).await;
        // Also where it failed: nothing is to stay behind in the database.
        let removed = place.remove().await;
        let size = measured?;
        removed?;
        Ok(size)
    }

    async fn measure(&self, place: &mut Place) -> Result<Size> {
        eprintln!("{} rows: making the table", self.rows);
        self.sender.forget()?;
        match self.mode {
            Mode::Full => self.stage(place, 1..=self.rows).await?,
            Mode::Deltas => self.stage_a_night(place).await?,
        }
        if self.args.unique {
            place.keep_one_row_for_each_child().await?;
        }
        place.keep().await?;
        self.sender.keep_state()?;
        let (mut rounds, mut loads) = (Vec::new(), Vec::new());
        let mut sent_rows = 0;
        for round in 1..=self.args.rounds {
            loads.extend(load());
            let (sender, posts, summary) = self.send(place).await?;
            sent_rows = posts.iter().map(|post| post.records as u64).sum();
            let limit = self.limit(place, &posts, &summary).await?;
            eprintln!("  round {round}: csc-sender {sender}; limit {limit}");
            rounds.push(Round { sender, limit });
        }
        loads.extend(load());
        Ok(Size {
            rows: self.rows,
            sent_rows,
            rounds,
            loads,
        })
    }

    /// What has no limit beside it.
    async fn run_alone(&self, task: Alone) -> Result<Vec<AloneLine>> {
        let mut place = Place::create(self.args.database, self.folder).await?;
        let measured = self.measure_alone(&mut place, task).await;
        let removed = place.remove().await;
        let lines = measured?;
        removed?;
        Ok(lines)
    }

    async fn measure_alone(&self, place: &mut Place, task: Alone) -> Result<Vec<AloneLine>> {
        eprintln!("{} rows: making the table", self.rows);
        self.sender.forget()?;
        self.stage(place, 1..=self.rows).await?;
        match task {
            Alone::Paced => {}
            Alone::Nothing => place.mark_sent().await?,
        }
        place.keep().await?;
        self.sender.keep_state()?;
        let mut lines = Vec::new();
        for what in task.variants() {
            if *what == WITHOUT_INDEX {
                place.drop_status_index().await?;
            }
            let mut taken = Vec::new();
            let mut posts = 0;
            for round in 1..=self.args.rounds {
                place.restore().await?;
                self.sender.restore_state()?;
                self.receiver.take_posts();
                let pace = (task == Alone::Paced).then_some(GAP);
                self.receiver.take_for_each(pace.map(|_| ANSWER));
                let (cost, _) = self.sender.send(place, self.receiver, self.mode, pace)?;
                posts = self.receiver.take_posts().len();
                eprintln!("  round {round}: {:.3} s", cost.seconds);
                taken.push(cost);
            }
            lines.push(AloneLine {
                rows: self.rows,
                what,
                posts,
                taken,
            });
        }
        Ok(lines)
    }

    /// Stages children by their numbers, which become the rows' ids.
    async fn stage(&self, place: &Place, numbers: std::ops::RangeInclusive<u64>) -> Result<()> {
        let (children, store) = (Children::new(), place.store().await?);
        let mut numbers = numbers.peekable();
        while numbers.peek().is_some() {
            let piece = numbers.by_ref().take(PIECE);
            let rows: Vec<_> = piece.map(|n| children.first(n)).collect();
            store.stage(&rows).await?;
        }
        Ok(())
    }

    /// A table that was sent the night before, and what the staging SQL made of it since.
    async fn stage_a_night(&self, place: &mut Place) -> Result<()> {
        let before = self.rows - new_rows(self.rows);
        self.stage(place, 1..=before).await?;
        let (_, sent) = self.sender.send(place, self.receiver, Mode::Full, None)?;
        ensure!(sent == before, "the night before sent {sent} of {before}");
        let children = Children::new();
        let (mut changes, mut deleted) = (Vec::new(), Vec::new());
        for n in 1..=before {
            let refusal = match Fate::of(n) {
                Fate::Unchanged => continue,
                Fate::Deleted => {
                    deleted.push(i64::try_from(n)?);
                    continue;
                }
                Fate::Updated => None,
                Fate::Refused => Some("status 400: child_details.sex is not one of M, F, U"),
            };
            changes.push(Change {
                id: i64::try_from(n)?,
                now: children.changed(n),
                refusal,
            });
            if changes.len() == PIECE {
                place.change(&changes).await?;
                changes.clear();
            }
        }
        place.change(&changes).await?;
        place.mark_deleted(&deleted).await?;
        self.stage(place, before + 1..=self.rows).await
    }

    async fn send(&self, place: &Place) -> Result<(Taken, Vec<Post>, TableSummary)> {
        place.restore().await?;
        self.sender.restore_state()?;
        self.receiver.take_posts();
        let begun = Instant::now();
        let (cost, sent) = self.sender.send(place, self.receiver, self.mode, None)?;
        let posts = self.receiver.take_posts();
        let records: usize = posts.iter().map(|post| post.records).sum();
        ensure!(
            records as u64 == sent,
            "{sent} rows were sent, and {records} records came in"
        );
        let summary = place.summary().await?;
        ensure!(summary.eligible == 0, "some rows are still to be sent");
        let taken = Taken {
            cost,
            to_first_post: to_first_post(begun, &posts)?,
        };
        Ok((taken, posts, summary))
    }

    /// The limit has to post what csc-sender did, and leave the table as it did.
    async fn limit(&self, place: &Place, posts: &[Post], summary: &TableSummary) -> Result<Taken> {
        place.restore().await?;
        self.receiver.take_posts();
        let sizes: Vec<(usize, usize)> = posts.iter().map(|p| (p.records, p.bytes)).collect();
        let posts_file = self.folder.join("posts.json");
        std::fs::write(&posts_file, serde_json::to_vec(&sizes)?)?;
        let to = self.folder.join("limit.json");
        let url = submission_url(self.receiver);
        let (posts_path, mode) = (
            posts_file.to_string_lossy(),
            match self.mode {
                Mode::Full => "full",
                Mode::Deltas => "deltas",
            },
        );
        let arguments = [
            "limit",
            "--table",
            place.table(),
            "--url",
            &url,
            "--mode",
            mode,
            "--posts",
            &posts_path,
        ];
        let begun = Instant::now();
        let status = measured(&std::env::current_exe()?, &arguments, &to)?
            .env(DATABASE, place.connection())
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "the limit failed ({status})");
        let posted = self.receiver.take_posts();
        let posted_sizes: Vec<_> = posted.iter().map(|p| (p.records, p.bytes)).collect();
        ensure!(posted_sizes == sizes, "the limit posted something else");
        let counts = place.summary().await?.counts;
        ensure!(
            counts == summary.counts,
            "the limit left another table behind: {counts:?} instead of {:?}",
            summary.counts
        );
        Ok(Taken {
            cost: cost(&to)?,
            to_first_post: to_first_post(begun, &posted)?,
        })
    }
}

fn to_first_post(begun: Instant, posts: &[Post]) -> Result<Duration> {
    let first = posts.first().context("nothing was posted")?;
    Ok(first.at.saturating_duration_since(begun))
}

/// How many processes wanted a core in the last minute, where the system says so.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
