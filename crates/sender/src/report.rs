//! What a run tells: while it goes, and at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use csc_message::{Exit, Message};
use csc_payload::Record;
use csc_receiver::body_of;

use crate::figures::Figures;
use crate::plan::FormKind;
use crate::prepare::Pass;
use crate::reader::Batch;
use crate::refusals::Refusals;
use crate::{Mode, Reason};

/// What happens while a run goes. No event holds anything of a child.
#[derive(Clone, Debug)]
pub enum Event {
    /// So many rows are eligible (the limit counted in). It is told before anything is recorded,
    /// though the first may be on their way, and once more after what `--resync` sends first.
    Begun {
        /// Rows.
        eligible: u64,
    },
    /// A batch's outcomes are in the table.
    Recorded {
        /// Posts so far.
        posts: u64,
        /// Rows dealt with so far, whatever became of them.
        done: u64,
        /// Of these, accepted.
        accepted: u64,
        /// Of these, refused.
        refused: u64,
    },
    /// Something went wrong that a later try may not meet.
    Waiting {
        /// What happened.
        why: String,
        /// How long is waited.
        wait: Duration,
    },
}

/// Whoever watches a run: a progress bar, plain lines, a test.
pub trait Watch: Send {
    /// Is told of each event, in order.
    fn event(&mut self, event: Event);
}

/// Rows that have something in common.
#[derive(Clone, Debug, Default)]
pub struct RowList {
    /// How many.
    pub count: u64,
    /// The first few of their ids.
    pub examples: Vec<i64>,
}

/// How many row ids a report names for one reason.
const EXAMPLES: usize = 10;

impl RowList {
    pub(crate) fn add(&mut self, id: i64) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(id);
        }
    }
}

/// A post that failed: what the DfE asks for when it is told of it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The HTTP status, where there was a reply.
    pub status: Option<u16>,
    /// The receiver's or gateway's id of the request.
    pub request_id: Option<String>,
}

/// What a dry run found.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Records that would go, purges counted in.
    pub records: u64,
    /// Of these, deltas.
    pub deltas: u64,
    /// Of these, purges of deleted children.
    pub purges: u64,
    /// Rows that need no post, since the receiver holds just what they say.
    pub unchanged: u64,
    /// In so many batches.
    pub batches: u64,
    /// Bytes of all bodies together.
    pub bytes: u64,
    /// Records of children of whom something may stay at the receiver.
    pub may_leave_remains: RowList,
    /// Rows that would become `error` instead, by reason.
    pub refused: BTreeMap<Reason, RowList>,
    /// The first record's structure without any of its values.
    pub first_shape: Option<String>,
}

impl Preview {
    pub(crate) fn add(&mut self, batch: Batch, pass: Pass) {
        self.unchanged += batch.unchanged.len() as u64;
        for row in batch.unfit {
            self.refused
                .entry(row.reason)
                .or_default()
                .add(row.key.id());
        }
        if batch.records.is_empty() {
            return;
        }
        if self.first_shape.is_none() && pass == Pass::Records {
            self.first_shape = batch
                .records
                .first()
                .and_then(|first| Record::parse(&first.form.text).ok())
                .map(|record| record.shape());
        }
        self.batches += 1;
        self.records += batch.records.len() as u64;
        for record in &batch.records {
            if record.may_leave_remains {
                self.may_leave_remains.add(record.key.id());
            }
            match record.kind() {
                FormKind::Delta => self.deltas += 1,
                FormKind::Purge => self.purges += 1,
                FormKind::Full => {}
            }
        }
        let texts = batch.records.iter().map(|record| record.form.text.as_str());
        self.bytes += body_of(texts).len() as u64;
    }
}

/// A run at its end.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Whether anything left the authority.
    pub mode: Mode,
    /// Rows that were eligible at the start (the limit counted in).
    pub eligible: u64,
    /// Rows recorded as `sent`, or in testing mode as `testing`.
    pub accepted: u64,
    /// Of these, purges of deleted children.
    pub purged: u64,
    /// Rows recorded as `sent` without a post, since the receiver holds just that.
    pub unchanged: u64,
    /// Records that went in another form after theirs was refused: a delta as the full
    /// record, a full record with stubs as the plain one.
    pub fell_back: u64,
    /// Children that were purged before they were sent anew (`--resync`).
    pub resynced: u64,
    /// Rows of children of whom something may have stayed at the receiver, sent by
    /// somebody else or before the ledger began.
    pub may_leave_remains: RowList,
    /// Deleted rows of whose children the receiver holds nothing.
    pub nothing_held: RowList,
    /// Rows recorded as `error`, by reason.
    pub refused: BTreeMap<Reason, RowList>,
    /// The same by payload rule and field, with what to do.
    pub refusals: Refusals,
    /// Rows that changed while they were under way: they keep what they have now and
    /// go with the next run.
    pub changed: RowList,
    /// Rows that the receiver accepted and the database could not record: they go
    /// again with the next run, which does no harm.
    pub unrecorded: RowList,
    /// Rows that were sent again, since nobody knows whether they had arrived before.
    pub sent_again: RowList,
    /// Rows that an earlier run sent and could not record: recorded by this one, from the
    /// journal, before anything was sent.
    pub caught_up: RowList,
    /// Posts, retries counted in.
    pub posts: u64,
    /// Sizes and latencies of the posts.
    pub figures: Figures,
    /// The posts that failed: the first hundred.
    pub failures: Vec<Failure>,
    /// From the first look at the table to the end.
    pub took: Duration,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
    /// What ended it before its time.
    pub ended_by: Option<Message>,
}

impl RunReport {
    pub(crate) fn new(mode: Mode) -> Self {
        RunReport {
            mode,
            eligible: 0,
            accepted: 0,
            purged: 0,
            unchanged: 0,
            fell_back: 0,
            resynced: 0,
            may_leave_remains: RowList::default(),
            nothing_held: RowList::default(),
            refused: BTreeMap::new(),
            refusals: Refusals::default(),
            changed: RowList::default(),
            unrecorded: RowList::default(),
            sent_again: RowList::default(),
            caught_up: RowList::default(),
            posts: 0,
            figures: Figures::default(),
            failures: Vec::new(),
            took: Duration::ZERO,
            interrupted: false,
            ended_by: None,
        }
    }

    /// All rows that became `error`.
    pub fn refused_count(&self) -> u64 {
        self.refused.values().map(|rows| rows.count).sum()
    }

    /// Rows that this run dealt with, whatever became of them.
    pub fn done(&self) -> u64 {
        self.accepted
            + self.unchanged
            + self.refused_count()
            + self.changed.count
            + self.unrecorded.count
    }

    /// Rows that were eligible and were not reached.
    pub fn left(&self) -> u64 {
        self.eligible.saturating_sub(self.done())
    }

    /// The exit code of the run.
    pub fn exit(&self) -> Exit {
        match &self.ended_by {
            Some(message) => message.exit(),
            None if self.interrupted => Exit::Interrupted,
            None if self.refused_count() > 0 => Exit::Refused,
            None => Exit::Done,
        }
    }
}
