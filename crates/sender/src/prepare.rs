//! From staged rows to what is to be done for each, or the reason why a row cannot go.

use csc_message::Message;
use csc_payload::finding::{Finding, Severity};
use csc_payload::rules::Rules;
use csc_payload::schema::Schema;
use csc_payload::{Essence, Parsed, Previous, Reading, Record};
use csc_staging::{RowKey, Selection, StagedRow, Superseded};

use crate::RunOptions;
use crate::ledger::Ledger;
use crate::plan::{Payloads, Plan, Sources, plan_deletion, plan_record};

/// Why a row became `error`, in words that hold nothing of a child: reports group by
/// it. The row's own `api_response` says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `person_id` is blank.
    BlankPerson,
    /// The payload is no text, no JSON object, or has no `la_child_id`.
    BadPayload,
    /// The record breaks rules that the receiver would refuse it for.
    BrokenRules,
    /// The receiver refused the record (400 or 422).
    RefusedByReceiver,
    /// The record alone is larger than the receiver takes (413).
    TooLarge,
    /// The receiver took nothing (204).
    NothingTaken,
    /// The receiver accepted the batch, but its receipts can't be used.
    UnreadableReceipts,
    /// No answer, 403, 429 or 5xx until the retries were spent.
    RetriesSpent,
}

impl Reason {
    /// For reports.
    pub fn words(self) -> &'static str {
        match self {
            Reason::BlankPerson => "person_id is blank",
            Reason::BadPayload => "the payload is not a child's record",
            Reason::BrokenRules => "the record breaks the payload rules",
            Reason::RefusedByReceiver => "refused by the receiver",
            Reason::TooLarge => "too large for the receiver",
            Reason::NothingTaken => "the receiver took nothing (204)",
            Reason::UnreadableReceipts => "the receiver's receipts can't be read",
            Reason::RetriesSpent => "no success until the retries were spent",
        }
    }

    /// What to do, where the row itself breaks no payload rule.
    pub fn advice(self) -> &'static str {
        match self {
            Reason::BlankPerson => {
                "Fill in person_id where the staging rows are made: nobody can tell whose record \
                 this is."
            }
            Reason::BadPayload => {
                "Look at how json_payload is made: it must be a JSON object with a la_child_id, and \
                 must not say purge."
            }
            Reason::BrokenRules => "Run csc-sender validate: it says which rules, and where.",
            Reason::RefusedByReceiver => {
                "Read api_response of these rows: the receiver says there what it does not take."
            }
            Reason::TooLarge => {
                "Look at what makes these records so large; ask the DfE what their receiver takes."
            }
            Reason::NothingTaken => "Run it again; if it lasts, give the request ids to the DfE.",
            Reason::UnreadableReceipts => {
                "The next run sends these again. If it lasts, give the request ids to the DfE."
            }
            Reason::RetriesSpent => {
                "The next run sends these again. If it lasts, look at the network and at the failed \
                 posts' request ids."
            }
        }
    }
}

/// The payload rules that a record is held to before it goes.
pub struct Checks {
    /// Ours, or the authority's own file.
    pub rules: Rules,
    /// The DfE's own schema, where it is given: applied beside the rules.
    pub schema: Option<Schema>,
    /// STRICT: warnings are errors.
    pub strict: bool,
}

impl Checks {
    /// What there is to say about a payload.
    pub fn check(&self, payload: &str) -> csc_payload::finding::Checked {
        self.check_read(&Reading::of(payload))
    }

    fn check_read(&self, payload: &Reading<'_>) -> csc_payload::finding::Checked {
        let mut checked = self.rules.check_read(payload);
        if let Some(schema) = &self.schema {
            checked = checked.and(schema.check(payload.text()));
        }
        if self.strict {
            checked.strict()
        } else {
            checked
        }
    }

    /// The errors, and the same in words for `api_response`; `None` where there are none.
    /// Findings hold no values.
    fn errors(&self, payload: &Reading<'_>) -> Option<(Vec<Finding>, String)> {
        let checked = self.check_read(payload);
        if checked.errors() == 0 {
            return None;
        }
        let errors: Vec<Finding> = checked
            .findings()
            .iter()
            .filter(|finding| finding.severity() == Severity::Error)
            .cloned()
            .collect();
        let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Some((errors, format!("not sent: {}", words.join("; "))))
    }
}

/// A row that cannot go, with the text for its `api_response`.
pub(crate) struct Unfit {
    pub(crate) key: RowKey,
    pub(crate) reason: Reason,
    pub(crate) words: String,
    /// The payload rules that it breaks, where they are why.
    pub(crate) findings: Vec<Finding>,
}

/// A run goes over the table twice, and once more before that with `--resync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Deleted children, for purges.
    Deletions,
    /// Everything else that may be sent.
    Records,
    /// Children of whom something may have stayed at the receiver, whatever their status.
    Resync,
}

impl Pass {
    pub(crate) fn selection(self) -> Selection {
        match self {
            Pass::Deletions => Selection::Deletions,
            Pass::Records => Selection::Records,
            Pass::Resync => Selection::Children,
        }
    }
}

/// What is to be done for a row.
pub(crate) enum Ready {
    Plan(Plan),
    Unfit(Unfit),
}

/// A row whose record was read.
struct Opened {
    key: RowKey,
    record: Record,
    /// `None` for a deleted row, of which only the ids matter.
    essence: Option<Essence>,
    /// What was read of the record, where deltas are made of it.
    parsed: Option<Parsed>,
    previous: Option<Previous>,
    response: Option<String>,
    /// The SHA-256 of the record's text, where the row's key has it.
    sha256: Option<[u8; 32]>,
}

/// Rows of one pass, read but not yet planned, in their order. `None` is a row of which
/// nothing is said.
pub(crate) struct OpenedRows(Vec<Result<Opened, Option<Box<Unfit>>>>);

impl OpenedRows {
    /// Leaves out those that have a newer row of the same child.
    pub(crate) fn leave_out(&mut self, superseded: &Superseded) {
        if superseded.is_empty() {
            return;
        }
        self.0.retain(|row| match row {
            Ok(row) => !superseded.contains(row.key.id()),
            Err(Some(unfit)) => !superseded.contains(unfit.key.id()),
            Err(None) => false,
        });
    }

    /// The children of those that can be planned.
    pub(crate) fn children(&self) -> impl Iterator<Item = &str> {
        let rows = self.0.iter().filter_map(|row| row.as_ref().ok());
        rows.map(|row| row.record.la_child_id())
    }
}

/// Reads rows of one pass.
pub(crate) fn open(rows: Vec<StagedRow>, pass: Pass, options: &RunOptions) -> OpenedRows {
    let opened = rows.into_iter().map(|row| match pass {
        Pass::Records => open_record(row, options).map_err(Some),
        Pass::Deletions => open_deletion(row).ok_or(None),
        // A row that cannot go is told of when its turn comes.
        Pass::Resync => open_record(row, options).map_err(|_| None),
    });
    OpenedRows(opened.collect())
}

/// Plans rows of one pass by what the ledger holds now.
pub(crate) fn plan(
    opened: OpenedRows,
    pass: Pass,
    ledger: Option<&Ledger>,
    options: &RunOptions,
) -> Result<Vec<Ready>, Message> {
    let children: Vec<&str> = opened.children().collect();
    let known = match ledger {
        Some(ledger) => ledger.look_up(&children)?,
        None => Default::default(),
    };
    Ok(opened
        .0
        .into_iter()
        .filter_map(|row| match row {
            Ok(row) => {
                let held = known.get(row.record.la_child_id());
                let plan = match pass {
                    Pass::Records | Pass::Resync => Some(plan_record(
                        Sources {
                            key: row.key,
                            essence: row.essence.unwrap_or_else(|| row.record.essence()),
                            record: row.record,
                            parsed: row.parsed,
                            previous: row.previous,
                            response: row.response.as_deref(),
                            held,
                            sha256: row.sha256,
                        },
                        options.payloads,
                        options.resync,
                    )),
                    Pass::Deletions => plan_deletion(
                        row.key,
                        &row.record,
                        row.previous.as_ref().map(Previous::text),
                        row.response.as_deref(),
                        held,
                    ),
                };
                plan.map(Ready::Plan)
            }
            Err(Some(unfit)) => Some(Ready::Unfit(*unfit)),
            // A deleted row whose child nobody can name.
            Err(None) => None,
        })
        .filter(|ready| pass != Pass::Resync || needs_resync(ready))
        .collect())
}

fn needs_resync(ready: &Ready) -> bool {
    match ready {
        Ready::Plan(Plan::Post(record)) => record.purge_first.is_some(),
        Ready::Plan(Plan::Unchanged { .. } | Plan::NothingHeld { .. }) | Ready::Unfit(_) => false,
    }
}

fn open_record(row: StagedRow, options: &RunOptions) -> Result<Opened, Box<Unfit>> {
    let unfit = |key, reason, words: String| {
        Box::new(Unfit {
            key,
            reason,
            words,
            findings: Vec::new(),
        })
    };
    if row
        .person_id
        .as_deref()
        .is_none_or(|id| id.trim().is_empty())
    {
        return Err(unfit(
            row.key,
            Reason::BlankPerson,
            "not sent: person_id is blank, so nobody can tell whose record this is".into(),
        ));
    }
    let Some(text) = row.payload else {
        return Err(unfit(
            row.key,
            Reason::BadPayload,
            "not sent: json_payload is not valid UTF-8 text".into(),
        ));
    };
    let reading = Reading::of(&text);
    let (record, essence) = match reading.record_without_text() {
        Ok(read) => read,
        Err(fault) => {
            let words = format!("not sent: {fault}");
            return Err(unfit(row.key, Reason::BadPayload, words));
        }
    };
    // It would remove the child at the receiver, and the table does not say so.
    if record.is_purge() {
        return Err(unfit(
            row.key,
            Reason::BadPayload,
            "not sent: the payload is a purge, and the row is not marked deleted".into(),
        ));
    }
    if let Some((findings, words)) = options
        .checks
        .as_ref()
        .and_then(|checks| checks.errors(&reading))
    {
        return Err(Box::new(Unfit {
            key: row.key,
            reason: Reason::BrokenRules,
            words,
            findings,
        }));
    }
    let as_staged = row.key.digest_of_text().filter(|_| record.is_as_staged());
    // Where the two are the same there is no delta.
    let is_changed = row
        .previous
        .as_ref()
        .is_some_and(|previous| *previous != text);
    let (previous, parsed) = match options.payloads {
        Payloads::Deltas if is_changed => {
            let previous = row.previous.map(|text| Previous::of(text).read());
            (previous, reading.into_parsed())
        }
        Payloads::Deltas | Payloads::Full { .. } => (row.previous.map(Previous::of), None),
    };
    Ok(Opened {
        sha256: as_staged.copied(),
        key: row.key,
        record: record.with(text),
        essence: Some(essence),
        parsed,
        previous,
        response: row.response,
    })
}

/// The child of a deleted row is named by its payload, or by the one before.
fn open_deletion(row: StagedRow) -> Option<Opened> {
    let record = record_of_deleted(&row);
    if record.is_none() {
        tracing::warn!(
            row = row.key.id(),
            "deleted, but no payload names its child"
        );
    }
    Some(Opened {
        key: row.key,
        record: record?,
        essence: None,
        sha256: None,
        parsed: None,
        previous: row.previous.map(Previous::of),
        response: row.response,
    })
}

fn record_of_deleted(row: &StagedRow) -> Option<Record> {
    let texts = [row.payload.as_deref(), row.previous.as_deref()];
    let mut texts = texts.into_iter().flatten();
    texts.find_map(|text| Record::parse(text).ok())
}

/// A deleted row, and the record that names its child.
pub(crate) fn child_of(row: StagedRow) -> Option<(RowKey, Record)> {
    let record = record_of_deleted(&row)?;
    Some((row.key, record))
}
