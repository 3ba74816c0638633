//! Which purges would go, found before anything does.

use std::sync::Arc;

use csc_message::Message;
use csc_staging::{RowKey, Superseded};

use crate::prepare::Pass;
use crate::reader::{self, Batch, Batches, Begun};
use crate::report::RowList;
use crate::run::Run;

/// The most purges that are kept: a few hundred bytes each.
const KEPT_PURGES: u64 = 1000;

/// The most deleted rows of whose children nothing is held that are kept beside them, by
/// their ids: they pile up over the years, and take 8 bytes each.
const KEPT_IDS: usize = 100_000;

/// A failed load marks everyone deleted. A run that would purge more than this share of
/// the children held, in percent, and more than this number, stops before it begins.
const PURGE_CEILING_PERCENT: u64 = 2;
const PURGE_CEILING: u64 = 10;

/// What there is to purge.
pub(crate) struct Purges {
    pub(crate) count: u64,
    /// The deleted rows of whose children nothing is held.
    pub(crate) nothing_held: RowList,
    /// The purges, where they are few enough to be kept: they are not read twice then.
    pub(crate) kept: Option<Vec<Batch>>,
}

/// Purges that are few enough to be kept, among them those of rows that have a newer one of
/// the same child.
#[derive(Default)]
pub(crate) struct FewPurges {
    batches: Vec<Batch>,
    /// The deleted rows of whose children nothing is held.
    nothing_held: Vec<i64>,
}

/// Which rows are superseded, and the records of which the first were read before.
pub(crate) struct Looked {
    pub(crate) superseded: Arc<Superseded>,
    pub(crate) begun: Option<Begun>,
}

impl FewPurges {
    /// Those of their children's newest rows.
    pub(crate) fn newest(self, superseded: &Superseded) -> Purges {
        let mut purges = Purges {
            count: 0,
            nothing_held: RowList::default(),
            kept: None,
        };
        for id in self.nothing_held {
            if !superseded.contains(id) {
                purges.nothing_held.add(id);
            }
        }
        let mut kept = Vec::with_capacity(self.batches.len());
        for mut batch in self.batches {
            batch.keep_only(|record| !superseded.contains(record.key.id()));
            if !batch.records.is_empty() {
                purges.count += batch.records.len() as u64;
                kept.push(batch);
            }
        }
        purges.kept = (purges.count > 0).then_some(kept);
        purges
    }
}

impl Run {
    /// Looks which purges would go, whichever row of their children is the newest, and then
    /// which rows are superseded: so that is seen of what supersedes a deleted row, and of an
    /// older row of a child that was deleted just now. No purges are given where they are too
    /// many to be kept, and where they are to be read when their turn comes: where only some of
    /// them go, or the ledger moves on before.
    pub(crate) async fn find_few_purges(
        &self,
        records: bool,
    ) -> Result<(Option<FewPurges>, Looked), Message> {
        if self.options.limit.is_some() || self.options.resync {
            return Ok((None, self.look(records).await?));
        }
        let all = Arc::new(Superseded::default());
        let mut batches = reader::start(self.clone(), Pass::Deletions, None, all);
        let read = batches.end_of_reading();
        // The rows are planned meanwhile.
        let looked = async {
            read.await;
            self.look(records).await
        };
        tokio::try_join!(keep_few(batches), looked)
    }

    /// Looks which rows are superseded, and reads the first of the records before, where there
    /// are any and all of them go: they are opened meanwhile. The deleted rows were looked for
    /// by then: one that is read as a record was not marked.
    pub(crate) async fn look(&self, records: bool) -> Result<Looked, Message> {
        if !records || self.options.limit.is_some() || self.options.resync {
            return Ok(Looked {
                superseded: self.superseded().await?,
                begun: None,
            });
        }
        let mut begun = reader::begin(self.clone());
        Ok(Looked {
            superseded: begun.superseded().await?,
            begun: Some(begun),
        })
    }

    /// Counts the purges that would go.
    pub(crate) async fn count_purges(
        &self,
        superseded: &Arc<Superseded>,
    ) -> Result<Purges, Message> {
        let (mut count, mut nothing_held) = (0, RowList::default());
        let mut batches =
            reader::start(self.clone(), Pass::Deletions, None, Arc::clone(superseded));
        while let Some(batch) = batches.next().await? {
            count += batch.records.len() as u64;
            for key in batch.nothing_held {
                nothing_held.add(key.id());
            }
        }
        Ok(Purges {
            count,
            nothing_held,
            kept: None,
        })
    }

    /// Whether so many may go.
    pub(crate) fn check_purges(&self, purges: u64) -> Result<(), Message> {
        if purges <= self.options.allow_purges.unwrap_or(PURGE_CEILING) {
            return Ok(());
        }
        let held = match &self.ledger {
            Some(ledger) => ledger.count_held()?,
            None => 0,
        };
        if self.options.allow_purges.is_none() && purges * 100 <= held * PURGE_CEILING_PERCENT {
            return Ok(());
        }
        Err(Message::new(
            602,
            format!("{purges} deleted children would be purged at the receiver"),
            match self.options.allow_purges {
                Some(allowed) => format!("--allow-purges lets {allowed} pass. Nothing was sent"),
                None => format!(
                    "the receiver is known to hold {held} children of this authority, and more than \
                     {PURGE_CEILING} purges that are more than {PURGE_CEILING_PERCENT} % of them stop \
                     a run: a failed load marks everyone deleted. Nothing was sent"
                ),
            },
            format!(
                "check the rows whose row_state is deleted; where they are right, start again with \
                 --allow-purges {purges}"
            ),
        ))
    }
}

/// All purges, if they are few enough to be kept.
async fn keep_few(mut batches: Batches) -> Result<Option<FewPurges>, Message> {
    let (mut few, mut count) = (FewPurges::default(), 0);
    while let Some(mut batch) = batches.next().await? {
        count += batch.records.len() as u64;
        let nothing_held = std::mem::take(&mut batch.nothing_held);
        few.nothing_held.extend(nothing_held.iter().map(RowKey::id));
        if count > KEPT_PURGES || few.nothing_held.len() > KEPT_IDS {
            return Ok(None);
        }
        few.batches.push(batch);
    }
    Ok(Some(few))
}
