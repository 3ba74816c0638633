//! What the simulator holds: children's records per authority, and counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use csc_payload::delta::apply;

use crate::receipt::receipt;
use crate::submission::Record;

/// What was counted since the simulator was made. `posts` is the sum of
/// `accepted_batches`, `refused_batches` and `turned_away`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Submissions that arrived.
    pub posts: u64,
    /// Submissions accepted, also those whose reply was lost.
    pub accepted_batches: u64,
    /// Records in them.
    pub accepted_records: u64,
    /// Those of them that were purges.
    pub purged: u64,
    /// Submissions refused for what they carry: 400, 406, 413 by a body's size, 415.
    pub refused_batches: u64,
    /// Submissions not taken for any other reason: keys, tokens, addresses, faults.
    pub turned_away: u64,
    /// Tokens issued.
    pub tokens: u64,
    /// Children held now; 0 where records are not held.
    pub children_held: u64,
}

/// Children by authority and `la_child_id`.
#[derive(Default)]
pub(crate) struct Children {
    by_authority: BTreeMap<String, BTreeMap<String, Child>>,
    /// Every record that was accepted, in order, where that is asked for.
    log: Option<Vec<Value>>,
}

struct Child {
    /// Its record; `None` after a purge.
    record: Option<Text>,
    /// How often a record of it was accepted.
    arrivals: u64,
    /// The receipt of the latest.
    receipt: String,
}

/// A record as JSON text, a quarter of the memory that its tree would take.
struct Text(Box<str>);

impl Text {
    fn new(record: &Value) -> Self {
        Text(record.to_string().into_boxed_str())
    }

    fn tree(&self) -> Value {
        // The text was printed from a tree that had been read within serde_json's
        // limit of depth, and `apply` nests nothing deeper than what came in.
        #[allow(clippy::expect_used)]
        serde_json::from_str(&self.0).expect("what was printed as JSON can be read as JSON")
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0)
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl Children {
    /// Takes a batch in, in order, and gives its receipts in that order. Records
    /// that were not read whole are only counted.
    pub fn accept(
        &mut self,
        la_code: &str,
        records: Vec<Record<'_>>,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Vec<String> {
        counts.accepted_batches += 1;
        let mut receipts = Vec::with_capacity(records.len());
        if let Some(log) = &mut self.log {
            log.extend(records.iter().filter_map(|record| record.whole.clone()));
        }
        for record in records {
            let receipt = receipt(now);
            counts.accepted_records += 1;
            counts.purged += u64::from(record.purges);
            if let Some(whole) = &record.whole {
                let authority = self.by_authority.entry(la_code.to_owned()).or_default();
                let child = authority.entry(record.la_child_id).or_insert(Child {
                    record: None,
                    arrivals: 0,
                    receipt: String::new(),
                });
                let before = child.record.as_ref().map(Text::tree);
                let after = apply(before.as_ref(), whole);
                counts.children_held += u64::from(before.is_none() && after.is_some());
                counts.children_held -= u64::from(before.is_some() && after.is_none());
                child.record = after.as_ref().map(Text::new);
                child.arrivals += 1;
                child.receipt.clone_from(&receipt);
            }
            receipts.push(receipt);
        }
        receipts
    }

    /// Keeps every record that is accepted from now on.
    pub fn keep_log(&mut self) {
        self.log.get_or_insert_default();
    }

    /// What was kept, in the order of arrival.
    pub fn log(&self) -> Vec<Value> {
        self.log.clone().unwrap_or_default()
    }

    /// A child's record.
    pub fn record(&self, la_code: &str, la_child_id: &str) -> Option<Value> {
        self.child(la_code, la_child_id)?
            .record
            .as_ref()
            .map(Text::tree)
    }

    /// How often a record of the child was accepted.
    pub fn arrivals(&self, la_code: &str, la_child_id: &str) -> u64 {
        self.child(la_code, la_child_id)
            .map_or(0, |child| child.arrivals)
    }

    /// The receipt of the latest accepted record of the child.
    pub fn receipt(&self, la_code: &str, la_child_id: &str) -> Option<String> {
        self.child(la_code, la_child_id)
            .map(|child| child.receipt.clone())
    }

    /// All records of an authority.
    pub fn of(&self, la_code: &str) -> BTreeMap<String, Value> {
        let children = self.by_authority.get(la_code).into_iter().flatten();
        children
            .filter_map(|(id, child)| Some((id.clone(), child.record.as_ref()?.tree())))
            .collect()
    }

    fn child(&self, la_code: &str, la_child_id: &str) -> Option<&Child> {
        self.by_authority.get(la_code)?.get(la_child_id)
    }

    /// All of it, for `/state`.
    pub fn shown(&self) -> Shown<'_> {
        Shown {
            children: self.each(|child| child.record.as_ref()),
            arrivals: self.each(|child| Some(child.arrivals)),
            receipts: self.each(|child| Some(child.receipt.as_str())),
        }
    }

    fn each<'a, T>(&'a self, thing: impl Fn(&'a Child) -> Option<T>) -> ByChild<'a, T> {
        self.by_authority
            .iter()
            .map(|(la_code, children)| {
                let things = children
                    .iter()
                    .filter_map(|(id, child)| Some((id.as_str(), thing(child)?)))
                    .collect();
                (la_code.as_str(), things)
            })
            .collect()
    }
}

/// Children as `/state` shows them.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    children: ByChild<'a, &'a Text>,
    arrivals: ByChild<'a, u64>,
    receipts: ByChild<'a, &'a str>,
}

/// Things by authority and `la_child_id`.
type ByChild<'a, T> = BTreeMap<&'a str, BTreeMap<&'a str, T>>;
