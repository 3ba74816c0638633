//! Invented children into an empty table.

use std::collections::BTreeMap;

use async_trait::async_trait;
use csc_digest::sha256;
use csc_payload::finding::RuleId;
use csc_payload::{Fakes, meaning_hash};
use csc_staging::{Earlier, Filled, Halt, NewRow, RowSource, StagingStore};
use serde_json::Value;

use crate::{Step, Watch, go_on, row_of};

/// How many children are made at a time.
const PIECE: u64 = 500;

/// One child in so many is made with a fault.
const ONE_FAULTY_IN: u64 = 10;

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// How many children.
    pub count: u64,
    /// Whether one in ten breaks a rule.
    pub with_faults: bool,
    /// What becomes of rows that are there.
    pub earlier: Earlier,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filling {
    /// Rows that went and came.
    pub rows: Filled,
    /// The children made with a fault, by the rule that they break.
    pub faulty: BTreeMap<RuleId, u64>,
}

/// Fills a table with invented children, in one transaction: all of them, or none.
///
/// # Errors
/// Where the table is not empty and its rows are kept, and whatever the database refuses.
pub async fn fill(
    store: &dyn StagingStore,
    fakes: &Fakes,
    order: Order,
    watch: &mut dyn Watch,
) -> Result<Filling, Halt> {
    let mut making = Making {
        fakes,
        order,
        made: 0,
        faulty: BTreeMap::new(),
        watch,
    };
    let rows = store.fill(&mut making, order.earlier).await?;
    Ok(Filling {
        rows,
        faulty: making.faulty,
    })
}

struct Making<'a> {
    fakes: &'a Fakes,
    order: Order,
    made: u64,
    faulty: BTreeMap<RuleId, u64>,
    watch: &'a mut dyn Watch,
}

#[async_trait]
impl RowSource for Making<'_> {
    async fn next(&mut self) -> Result<Vec<NewRow>, Halt> {
        go_on(&*self.watch)?;
        let first = self.made + 1;
        let last = self.order.count.min(self.made.saturating_add(PIECE));
        let rows = (first..=last).map(|n| self.row(n)).collect();
        self.made = last;
        self.watch.step(Step {
            what: "fake children made",
            done: last,
            of: self.order.count,
        });
        Ok(rows)
    }
}

impl Making<'_> {
    fn row(&mut self, n: u64) -> NewRow {
        if self.order.with_faults && n.is_multiple_of(ONE_FAULTY_IN) {
            let (rule, payload) = self.fakes.faulty(n, n / ONE_FAULTY_IN);
            *self.faulty.entry(rule).or_default() += 1;
            return NewRow {
                person_id: Fakes::la_child_id(n),
                legacy_id: Some(Fakes::mis_child_id(n)),
                hash: match serde_json::from_str::<Value>(&payload) {
                    Ok(payload) => meaning_hash(&payload),
                    // What is no JSON has no meaning; its text is hashed.
                    Err(_) => sha256(&payload),
                },
                payload,
            };
        }
        row_of(&self.fakes.child(n))
    }
}
