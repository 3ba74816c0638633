//! A night's changes in a table of fake children.

use csc_digest::sha256;
use csc_payload::{Fakes, Record, meaning_hash};
use csc_staging::{
    Halt, PageLimits, PageRequest, Restaged, RowKey, Selection, StagedRow, StagingStore,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{Step, Watch, go_on, row_of};

/// One page; its changes are written together.
const PAGE: PageLimits = PageLimits {
    rows: 1000,
    bytes: 8 * 1024 * 1024,
};

/// One child in so many is changed in a night, goes, or comes; at least one of each,
/// where there are children.
const ONE_CHANGED_IN: u64 = 20;
const ONE_GONE_IN: u64 = 200;
const ONE_ADDED_IN: u64 = 100;

/// What changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aged {
    /// Children whose payload changed.
    pub updated: u64,
    /// Children who left the cohort.
    pub gone: u64,
    /// Children who came.
    pub added: u64,
    /// Rows that were to change and whose payload is no record, or that somebody else
    /// changed meanwhile: left alone.
    pub left_alone: u64,
}

/// Makes yesterday's table today's: payloads change, children go and come, as the staging
/// SQL would stage it. `day` counts from 1: what is new is dated so many days after the
/// day of `fakes`. The same seed, table and day give the same changes.
///
/// # Errors
/// Whatever the database refuses. What was written until then stays.
pub async fn age(
    store: &dyn StagingStore,
    fakes: &Fakes,
    seed: u64,
    day: u64,
    watch: &mut dyn Watch,
) -> Result<Aged, Halt> {
    let superseded = store.superseded().await?;
    let children = store.count(Selection::Children, &superseded).await?;
    let mut newest = highest(store, Selection::Deletions, watch).await?;
    let mut drawing = Drawing::new(seed, day, children);
    let mut aged = Aged::default();
    let (mut after, mut seen) = (i64::MIN, 0);
    loop {
        go_on(&*watch)?;
        let page = store.page(request(Selection::Children, after), &superseded);
        let page = page.await?;
        let Some(last) = page.last() else { break };
        after = last.key.id();
        seen += page.len() as u64;
        newest = newest.max(highest_of(&page));
        let changes: Vec<(RowKey, Restaged)> = page
            .into_iter()
            .filter_map(|row| {
                let drawn = drawing.next();
                let change = change(fakes, &row, drawn?, day);
                aged.left_alone += u64::from(change.is_none());
                Some((row.key, change?))
            })
            .collect();
        write(store, &changes, &mut aged).await?;
        watch.step(Step {
            what: "children gone through",
            done: seen,
            of: children,
        });
    }
    let added = (children / ONE_ADDED_IN).max(1);
    let numbers: Vec<u64> = (newest + 1..=newest.saturating_add(added)).collect();
    for piece in numbers.chunks(500) {
        go_on(&*watch)?;
        // As the day finds them, which their own changes lead to.
        let children = piece.iter().map(|n| fakes.changed(&fakes.child(*n), day));
        let rows: Vec<_> = children.map(|child| row_of(&child)).collect();
        store.stage(&rows).await?;
        aged.added += rows.len() as u64;
    }
    Ok(aged)
}

async fn write(
    store: &dyn StagingStore,
    changes: &[(RowKey, Restaged)],
    aged: &mut Aged,
) -> Result<(), Halt> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut written = store.restage(changes).await?;
    written.sort_unstable();
    for (key, change) in changes {
        let count = match (written.binary_search(&key.id()).is_ok(), change) {
            (false, _) => &mut aged.left_alone,
            (true, Restaged::Updated { .. }) => &mut aged.updated,
            (true, Restaged::Gone) => &mut aged.gone,
        };
        *count += 1;
    }
    Ok(())
}

fn request(selection: Selection, after: i64) -> PageRequest {
    PageRequest {
        selection,
        after,
        limits: PAGE,
        with_previous: false,
    }
}

/// The highest number of an invented child among these rows, gone ones included: a new
/// child gets one that no other had.
async fn highest(
    store: &dyn StagingStore,
    selection: Selection,
    watch: &dyn Watch,
) -> Result<u64, Halt> {
    let (superseded, mut after, mut highest) = (store.superseded().await?, i64::MIN, 0);
    loop {
        go_on(watch)?;
        let page = store.page(request(selection, after), &superseded).await?;
        let Some(last) = page.last() else {
            return Ok(highest);
        };
        after = last.key.id();
        highest = highest.max(highest_of(&page));
    }
}

fn highest_of(rows: &[StagedRow]) -> u64 {
    let numbers = rows
        .iter()
        .filter_map(|row| Fakes::number_of(row.person_id.as_deref()?.trim()));
    numbers.max().unwrap_or_default()
}

/// What becomes of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    Updated,
    Gone,
}

/// Draws an exact share of the children, one after the other.
struct Drawing {
    rng: ChaCha8Rng,
    left: u64,
    updates: u64,
    goings: u64,
}

impl Drawing {
    fn new(seed: u64, day: u64, children: u64) -> Self {
        let night = [b"night", &seed.to_le_bytes()[..], &day.to_le_bytes()].concat();
        let share = |one_in: u64| (children / one_in).max(1);
        let updates = share(ONE_CHANGED_IN).min(children);
        Drawing {
            rng: ChaCha8Rng::from_seed(sha256(night)),
            left: children,
            updates,
            goings: share(ONE_GONE_IN).min(children - updates),
        }
    }

    /// The next child's lot: as many lots as children, each child the same chance.
    fn next(&mut self) -> Option<Drawn> {
        let lot = self.rng.random_range(0..self.left.max(1));
        self.left = self.left.saturating_sub(1);
        if lot < self.updates {
            self.updates -= 1;
            Some(Drawn::Updated)
        } else if lot < self.updates + self.goings {
            self.goings -= 1;
            Some(Drawn::Gone)
        } else {
            None
        }
    }
}

/// The change; `None` where there is no record to change.
fn change(fakes: &Fakes, row: &StagedRow, drawn: Drawn, day: u64) -> Option<Restaged> {
    match drawn {
        Drawn::Gone => Some(Restaged::Gone),
        Drawn::Updated => {
            let record = Record::parse(row.payload.as_deref()?).ok()?;
            let changed = fakes.changed(&record.value(), day);
            Some(Restaged::Updated {
                hash: meaning_hash(&changed),
                payload: changed.to_string(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_drawn_is_exact() {
        for (children, updated, gone) in [
            (0, 0, 0),
            (1, 1, 0),
            (2, 1, 1),
            (100, 5, 1),
            (4000, 200, 20),
        ] {
            let mut drawing = Drawing::new(1, 1, children);
            let lots: Vec<_> = (0..children).filter_map(|_| drawing.next()).collect();
            let count = |drawn| lots.iter().filter(|lot| **lot == drawn).count();
            assert_eq!(
                (count(Drawn::Updated), count(Drawn::Gone)),
                (updated, gone),
                "{children}"
            );
        }
    }

    #[test]
    fn another_day_draws_others() {
        let lots = |seed, day| {
            let mut drawing = Drawing::new(seed, day, 200);
            (0..200).map(|_| drawing.next()).collect::<Vec<_>>()
        };
        assert_eq!(lots(1, 1), lots(1, 1));
        assert_ne!(lots(1, 1), lots(1, 2));
        assert_ne!(lots(1, 1), lots(2, 1));
    }
}
