//! A table of real children, scrambled into one of fake children.
//!
//! The source is gone through twice. First its identifiers are gathered, of every row,
//! older and deleted ones included. Then every child's newest row is scrambled, checked
//! and handed to the target, which takes all rows in one transaction. So what is written
//! has passed the check, and where one row does not pass, or the source has got an
//! identifier that was not met the first time, nothing is written at all.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use csc_message::Message;
use csc_payload::meaning_hash;
use csc_payload::scramble::{
    Crowded, Doubtful, Gathering, Ids, Key, Scramble, Scrambled, Source, Unfit, check,
};
use csc_staging::{
    Earlier, Filled, Halt, NewRow, PageLimits, PageRequest, RowSource, Selection, StagedRow,
    StagingStore, Superseded,
};

use crate::{Step, Watch, go_on};

const PAGE: PageLimits = PageLimits {
    rows: 500,
    bytes: 4 * 1024 * 1024,
};

/// What scrambling came to: counts, and nothing of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Rows that went from the target, and came.
    pub rows: Filled,
    /// Rows of the source that were looked at for identifiers.
    pub looked_at: u64,
    /// Different identifiers and UPNs of the source.
    pub identifiers: u64,
    /// Children whose payload is no JSON object: left out.
    pub no_record: u64,
}

/// Scrambles the newest row of each child that is not deleted. The target's rows are new
/// and pending; of the source's status, previous payload and receipts nothing is taken.
///
/// # Errors
/// Where the work does not pass its own check (CSC0623), the source changes meanwhile
/// (CSC0624), its identifiers can't be replaced (CSC0625), the target is not empty and
/// its rows are kept, or a database refuses something. Nothing is written then.
pub async fn scramble(
    source: &dyn StagingStore,
    target: &dyn StagingStore,
    scrambler: &dyn Scramble,
    earlier: Earlier,
    watch: &mut dyn Watch,
) -> Result<Report, Halt> {
    let (ids, looked_at) = gather(source, watch).await?;
    let superseded = source.superseded().await?;
    let mut feed = Feed {
        source,
        of: source.count(Selection::Children, &superseded).await?,
        superseded,
        after: i64::MIN,
        ids: &ids,
        scrambler,
        watch,
        done: 0,
        no_record: 0,
    };
    let rows = target.fill(&mut feed, earlier).await?;
    Ok(Report {
        rows,
        looked_at,
        identifiers: ids.len() as u64,
        no_record: feed.no_record,
    })
}

/// A row with its `legacy_id`.
struct Whole {
    row: StagedRow,
    legacy_id: Option<String>,
}

impl Whole {
    fn source(&self) -> Source<'_> {
        Source {
            person_id: self.row.person_id.as_deref(),
            legacy_id: self.legacy_id.as_deref(),
            payload: self.row.payload.as_deref().unwrap_or_default(),
        }
    }
}

async fn page(
    store: &dyn StagingStore,
    request: PageRequest,
    superseded: &Superseded,
) -> Result<Vec<Whole>, Halt> {
    let page = store.page(request, superseded).await?;
    let ids: Vec<i64> = page.iter().map(|row| row.key.id()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let legacy_ids = store.legacy_ids(&ids).await?;
    let mut legacy_ids: HashMap<i64, Option<String>> = legacy_ids.into_iter().collect();
    let whole = page.into_iter().map(|row| Whole {
        legacy_id: legacy_ids.remove(&row.key.id()).flatten(),
        row,
    });
    Ok(whole.collect())
}

/// The identifiers of every row, and how many rows there are.
async fn gather(source: &dyn StagingStore, watch: &mut dyn Watch) -> Result<(Ids, u64), Halt> {
    let key = Key::fresh().map_err(|why| {
        Message::new(
            284,
            "Cannot make a key to scramble with",
            why,
            "ask your IT team why this system has no random numbers to give",
        )
    })?;
    let crowded = |fault: Crowded| {
        Message::new(
            625,
            format!("Cannot scramble {}", source.place()),
            fault.to_string(),
            "scramble a part of it: copy some of its children to another table first",
        )
    };
    let mut gathering = Gathering::new(key);
    let mut looked_at = 0;
    // With none superseded older rows are counted and read too.
    let all = Superseded::default();
    let mut of = source.count(Selection::Children, &all).await?;
    of += source.count(Selection::Deletions, &all).await?;
    for selection in [Selection::Children, Selection::Deletions] {
        let mut after = i64::MIN;
        loop {
            go_on(&*watch)?;
            let request = PageRequest {
                selection,
                after,
                limits: PAGE,
                with_previous: true,
            };
            let rows = page(source, request, &all).await?;
            let Some(last) = rows.last() else { break };
            after = last.row.key.id();
            for whole in &rows {
                gathering.add(&whole.source()).map_err(crowded)?;
                if let Some(previous) = &whole.row.previous {
                    let previous = Source {
                        person_id: None,
                        legacy_id: None,
                        payload: previous,
                    };
                    gathering.add(&previous).map_err(crowded)?;
                }
            }
            looked_at += rows.len() as u64;
            watch.step(Step {
                what: "rows looked at for identifiers",
                done: looked_at,
                of: of.max(looked_at),
            });
        }
    }
    let ids = gathering.settle().map_err(crowded)?;
    Ok((ids, looked_at))
}

/// Rows for the target, each scrambled and checked.
struct Feed<'a> {
    source: &'a dyn StagingStore,
    superseded: Superseded,
    after: i64,
    ids: &'a Ids,
    scrambler: &'a dyn Scramble,
    watch: &'a mut dyn Watch,
    done: u64,
    of: u64,
    no_record: u64,
}

#[async_trait]
impl RowSource for Feed<'_> {
    async fn next(&mut self) -> Result<Vec<NewRow>, Halt> {
        loop {
            go_on(&*self.watch)?;
            let request = PageRequest {
                selection: Selection::Children,
                after: self.after,
                limits: PAGE,
                with_previous: false,
            };
            let rows = page(self.source, request, &self.superseded).await?;
            let Some(last) = rows.last() else {
                return Ok(Vec::new());
            };
            self.after = last.row.key.id();
            let mut made = Vec::with_capacity(rows.len());
            for whole in &rows {
                made.extend(self.row(whole)?);
            }
            self.done += rows.len() as u64;
            self.watch.step(Step {
                what: "children scrambled and checked",
                done: self.done,
                of: self.of.max(self.done),
            });
            if !made.is_empty() {
                return Ok(made);
            }
        }
    }
}

impl Feed<'_> {
    fn row(&mut self, whole: &Whole) -> Result<Option<NewRow>, Message> {
        let source = whole.source();
        if !self.ids.know(&source) {
            return Err(self.changed_meanwhile());
        }
        let made = match self.scrambler.scramble(&source, self.ids) {
            Ok(made) => made,
            Err(Unfit::NoRecord) => {
                self.no_record += 1;
                return Ok(None);
            }
            Err(Unfit::UnknownId) => return Err(self.changed_meanwhile()),
        };
        let doubts = check(&source, &made, self.ids);
        if !doubts.is_empty() {
            return Err(in_doubt(whole.row.key.id(), &doubts));
        }
        let Scrambled {
            person_id,
            legacy_id,
            payload,
        } = made;
        Ok(Some(NewRow {
            person_id: person_id.unwrap_or_default(),
            legacy_id,
            hash: meaning_hash(&payload),
            payload: payload.to_string(),
        }))
    }

    fn changed_meanwhile(&self) -> Message {
        Message::new(
            624,
            format!("{} changed while it was scrambled", self.source.place()),
            "a row has an identifier that was in no row when the table was looked through, so it \
             cannot be ruled out that it stands somewhere; nothing was written",
            "start again when your staging SQL is not running",
        )
    }
}

fn in_doubt(row: i64, doubts: &[Doubtful]) -> Message {
    let mut counts: BTreeMap<&Doubtful, usize> = BTreeMap::new();
    for doubtful in doubts {
        *counts.entry(doubtful).or_default() += 1;
    }
    let found: Vec<String> = counts
        .iter()
        .map(|(doubtful, count)| format!("{} {} ({count})", doubtful.path, doubtful.doubt))
        .collect();
    Message::new(
        623,
        format!("What was made of row {row} did not pass the check; nothing was written"),
        found.join("; "),
        "start again: every scrambling has a key of its own, and chance may have been against this \
         one. If it happens twice, report it with this message, which holds no value",
    )
}
