//! What goes to the receiver for one row: nothing, its record, a delta, a purge.
//!
//! A delta is safe only against what the receiver certainly holds, so it is made only
//! where `previous_json_payload` means what the ledger says was last acknowledged.
//! Everywhere else the full record goes, made exact by the ledger's skeleton: with
//! stubs and nulls for what was acknowledged before and is gone now (the reference's
//! `payload.md`, "Full records, and what is no longer in them").

use csc_payload::{Essence, Parsed, Previous, Record, Skeleton, meaning_hash};
use csc_staging::RowKey;
use jiff::civil::DateTime;
use serde_json::Value;

use crate::ledger::{Acknowledged, Held};

/// Which shape an existing child's changes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payloads {
    /// Whole records.
    Full {
        /// Whether they carry stubs for what is gone (FULL_PURGES).
        exact: bool,
    },
    /// Deltas where the baseline is certain.
    Deltas,
}

/// What a text that goes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormKind {
    Full,
    Delta,
    Purge,
}

/// One text that may go for a row.
#[derive(Clone, PartialEq)]
pub(crate) struct Form {
    pub(crate) kind: FormKind,
    pub(crate) text: String,
    /// Its SHA-256, where that is known already.
    pub(crate) sha256: Option<[u8; 32]>,
    /// What may stay at the receiver beside what the text says, when it is accepted.
    pub(crate) beside: Option<Skeleton>,
}

/// What goes instead where a form is refused.
#[derive(Clone, PartialEq)]
pub(crate) enum Fallbacks {
    /// Nothing.
    None,
    /// The record as it stands in the row.
    Plain(Form),
    /// The whole record of this text, exact, then plain. It is made only once it is needed:
    /// a delta is hardly ever refused.
    Whole { text: String, known: Skeleton },
}

impl Fallbacks {
    /// Takes the next one.
    pub(crate) fn take_next(&mut self) -> Option<Form> {
        match std::mem::replace(self, Fallbacks::None) {
            Fallbacks::None => None,
            Fallbacks::Plain(form) => Some(form),
            Fallbacks::Whole { text, known } => {
                let (form, next) = forms_of_text(text, &known);
                *self = next;
                Some(form)
            }
        }
    }

    /// The text of the record as it stands in the row.
    fn plain_text(&self) -> Option<&str> {
        match self {
            Fallbacks::None => None,
            Fallbacks::Plain(form) => Some(&form.text),
            Fallbacks::Whole { text, .. } => Some(text),
        }
    }
}

/// What the receiver holds once any of the forms is accepted.
#[derive(Clone, PartialEq)]
pub(crate) enum LeadsTo {
    Record {
        meaning: [u8; 32],
        skeleton: Skeleton,
    },
    /// Nothing: the text of the purge, and the hash of its meaning, become the row's
    /// previous payload.
    Nothing { record: String, hash: [u8; 32] },
}

/// A row that is ready to go.
#[derive(Clone, PartialEq)]
pub(crate) struct Prepared {
    pub(crate) key: RowKey,
    pub(crate) child: String,
    pub(crate) form: Form,
    pub(crate) fallbacks: Fallbacks,
    pub(crate) leads_to: LeadsTo,
    /// The ledger's revision by which it was planned.
    pub(crate) revision: Option<i64>,
    /// What was in doubt before it was posted.
    pub(crate) in_doubt: Option<Skeleton>,
    /// Posted before the record itself (`--resync`).
    pub(crate) purge_first: Option<String>,
    /// Whether something may stay at the receiver that the ledger does not know of, unless
    /// a purge goes first.
    pub(crate) may_leave_remains: bool,
}

impl Prepared {
    /// What the receiver holds, at most, if the form arrives and its reply is lost.
    pub(crate) fn may_become(&self) -> Skeleton {
        let record = match &self.leads_to {
            LeadsTo::Record { skeleton, .. } => skeleton.clone(),
            LeadsTo::Nothing { .. } => Skeleton::default(),
        };
        match &self.form.beside {
            Some(beside) => record.merge(beside.clone()),
            None => record,
        }
    }

    /// What is in doubt once it is posted, until a reply is there.
    pub(crate) fn in_doubt_after(&self) -> Skeleton {
        match &self.in_doubt {
            Some(before) => before.clone().merge(self.may_become()),
            None => self.may_become(),
        }
    }

    /// The hash of the record's meaning, where nothing else is in doubt once it is posted.
    pub(crate) fn alone_in_doubt(&self) -> Option<&[u8; 32]> {
        match (&self.leads_to, &self.in_doubt, &self.form.beside) {
            (LeadsTo::Record { meaning, .. }, None, None) => Some(meaning),
            (LeadsTo::Record { .. } | LeadsTo::Nothing { .. }, _, _) => None,
        }
    }

    /// Whether it was posted before, and nobody knows whether it arrived.
    pub(crate) fn goes_again(&self) -> bool {
        self.in_doubt.is_some()
    }

    pub(crate) fn kind(&self) -> FormKind {
        self.form.kind
    }
}

/// What is to be done for a row.
#[derive(Clone, PartialEq)]
pub(crate) enum Plan {
    /// Post it.
    Post(Box<Prepared>),
    /// The receiver holds just this: no post.
    Unchanged {
        key: RowKey,
        receipt: String,
        at: DateTime,
    },
    /// A deleted child of whom the receiver holds nothing.
    NothingHeld { key: RowKey },
}

/// What a plan for a record is made of.
pub(crate) struct Sources<'a> {
    pub(crate) key: RowKey,
    pub(crate) record: Record,
    pub(crate) essence: Essence,
    /// What was read of the record before.
    pub(crate) parsed: Option<Parsed>,
    /// `previous_json_payload`: read only where the plan depends on it, or was read before.
    pub(crate) previous: Option<Previous>,
    /// `api_response`.
    pub(crate) response: Option<&'a str>,
    pub(crate) held: Option<&'a Held>,
    /// The SHA-256 of the record's text, where that is known already.
    pub(crate) sha256: Option<[u8; 32]>,
}

/// Plans a record.
pub(crate) fn plan_record(sources: Sources<'_>, payloads: Payloads, resync: bool) -> Plan {
    let Sources {
        key,
        record,
        essence,
        parsed,
        previous,
        response,
        held,
        sha256,
    } = sources;
    let child = record.la_child_id().to_string();
    let for_purge = resync.then(|| record.clone());
    let plain = |record: Record| Form {
        sha256,
        ..plain_form(record.into_text())
    };
    let foreign = is_foreign(response, held);
    let remains = foreign || held.is_some_and(|held| held.may_have_remains);
    let was_sent = || {
        let text = previous.as_ref().map(Previous::text);
        is_uuid(response) || object(text).is_some_and(|previous| !says_purge(&previous))
    };
    let ((form, fallbacks), may_leave_remains) = match held {
        None => ((plain(record), Fallbacks::None), was_sent()),
        Some(held) => match (&held.last, &held.in_doubt) {
            (
                Acknowledged::Record {
                    meaning: last,
                    skeleton: known,
                },
                None,
            ) if !foreign => {
                if payloads == Payloads::Deltas {
                    if *last == essence.meaning
                        && !(resync && remains)
                        && let Some((receipt, at)) = &held.receipt
                    {
                        return Plan::Unchanged {
                            key,
                            receipt: receipt.clone(),
                            at: *at,
                        };
                    }
                    let delta =
                        previous.and_then(|previous| record.delta_from(previous, last, parsed));
                    let forms = match delta {
                        Some(delta) => (
                            Form {
                                kind: FormKind::Delta,
                                text: delta,
                                sha256: None,
                                beside: None,
                            },
                            Fallbacks::Whole {
                                text: record.into_text(),
                                known: known.clone(),
                            },
                        ),
                        None => full_forms(record, &essence, sha256, known, true),
                    };
                    (forms, remains)
                } else {
                    let exact = exact(payloads);
                    (full_forms(record, &essence, sha256, known, exact), false)
                }
            }
            (Acknowledged::Nothing, None) => ((plain(record), Fallbacks::None), remains),
            (last, in_doubt) => {
                let known = match last {
                    Acknowledged::Record { skeleton, .. } => skeleton.clone(),
                    Acknowledged::Nothing => Skeleton::default(),
                };
                let known = known.merge(in_doubt.clone().unwrap_or_default());
                (
                    full_forms(record, &essence, sha256, &known, exact(payloads)),
                    remains,
                )
            }
        },
    };
    Plan::Post(Box::new(Prepared {
        key,
        child,
        form,
        fallbacks,
        leads_to: LeadsTo::Record {
            meaning: essence.meaning,
            skeleton: essence.skeleton,
        },
        revision: held.map(|held| held.revision),
        in_doubt: held.and_then(|held| held.in_doubt.clone()),
        purge_first: for_purge
            .filter(|_| may_leave_remains)
            .map(|record| record.purge().to_string()),
        may_leave_remains,
    }))
}

/// Plans a record anew after the ledger has moved on: whole, exact by all that is known.
pub(crate) fn plan_again(mut prepared: Prepared, held: Option<&Held>) -> Prepared {
    prepared.revision = held.map(|held| held.revision);
    prepared.in_doubt = held.and_then(|held| held.in_doubt.clone());
    let LeadsTo::Record { .. } = &prepared.leads_to else {
        return prepared;
    };
    let plain = prepared.fallbacks.plain_text();
    let plain = plain.unwrap_or(&prepared.form.text).to_string();
    let mut known = match held.map(|held| &held.last) {
        Some(Acknowledged::Record { skeleton, .. }) => skeleton.clone(),
        Some(Acknowledged::Nothing) | None => Skeleton::default(),
    };
    if let Some(doubt) = &prepared.in_doubt {
        known = known.merge(doubt.clone());
    }
    (prepared.form, prepared.fallbacks) = forms_of_text(plain, &known);
    prepared
}

/// Plans a deleted child's row. Its status may be anything. `None` where the row is an old one
/// of a child who lives in another row: nothing is to be said of it.
pub(crate) fn plan_deletion(
    key: RowKey,
    child: &Record,
    previous: Option<&str>,
    response: Option<&str>,
    held: Option<&Held>,
) -> Option<Plan> {
    if held.is_some_and(|held| stands_elsewhere(&key, previous, held)) {
        return None;
    }
    let holds = match held {
        Some(held) => {
            held.last != Acknowledged::Nothing
                || held.in_doubt.is_some()
                || is_foreign(response, Some(held))
        }
        None => object(previous).is_some_and(|previous| !says_purge(&previous)),
    };
    if !holds {
        return Some(Plan::NothingHeld { key });
    }
    let record = child.purge();
    let text = record.to_string();
    Some(Plan::Post(Box::new(Prepared {
        key,
        child: child.la_child_id().to_string(),
        form: Form {
            kind: FormKind::Purge,
            text: text.clone(),
            sha256: None,
            beside: None,
        },
        fallbacks: Fallbacks::None,
        leads_to: LeadsTo::Nothing {
            hash: meaning_hash(&record),
            record: text,
        },
        revision: held.map(|held| held.revision),
        in_doubt: held.and_then(|held| held.in_doubt.clone()),
        purge_first: None,
        may_leave_remains: false,
    })))
}

/// Whether a deleted row has had its purge, and the child's record was sent since from another
/// row: the child lives there.
fn stands_elsewhere(key: &RowKey, previous: Option<&str>, held: &Held) -> bool {
    held.last != Acknowledged::Nothing
        && held.row.is_some_and(|row| row != key.id())
        && object(previous).is_some_and(|previous| says_purge(&previous))
}

fn plain_form(text: String) -> Form {
    Form {
        kind: FormKind::Full,
        text,
        sha256: None,
        beside: None,
    }
}

/// The full record of a text that was read before.
fn forms_of_text(text: String, known: &Skeleton) -> (Form, Fallbacks) {
    match Record::parse(&text) {
        Ok(record) => {
            let essence = record.essence();
            full_forms(record, &essence, None, known, true)
        }
        Err(_) => (plain_form(text), Fallbacks::None),
    }
}

/// The full record: exact, and the plain one behind it. What was known may stay beside
/// the plain one.
fn full_forms(
    record: Record,
    essence: &Essence,
    sha256: Option<[u8; 32]>,
    known: &Skeleton,
    exact: bool,
) -> (Form, Fallbacks) {
    let nothing_beside = essence.is_plain && (known.is_empty() || *known == essence.skeleton);
    let completed = (!nothing_beside)
        .then(|| record.value())
        .and_then(|current| Some(known.complete(&current)).filter(|exact| *exact != current));
    let plain = Form {
        sha256,
        ..plain_form(record.into_text())
    };
    let Some(completed) = completed else {
        return (plain, Fallbacks::None);
    };
    let plain = Form {
        beside: Some(known.clone()),
        ..plain
    };
    if !exact {
        return (plain, Fallbacks::None);
    }
    let completed = Form {
        kind: FormKind::Full,
        text: completed.to_string(),
        sha256: None,
        beside: None,
    };
    (completed, Fallbacks::Plain(plain))
}

fn exact(payloads: Payloads) -> bool {
    match payloads {
        Payloads::Full { exact } => exact,
        Payloads::Deltas => true,
    }
}

/// Whether the row's `api_response` is a receipt and not the ledger's: somebody else
/// has sent in between.
fn is_foreign(response: Option<&str>, held: Option<&Held>) -> bool {
    let ours = held.and_then(|held| held.receipt.as_ref());
    is_uuid(response)
        && !ours.is_some_and(|(ours, _)| {
            response.is_some_and(|response| response.trim().eq_ignore_ascii_case(ours))
        })
}

/// Whether an `api_response` is a receipt's uuid.
fn is_uuid(response: Option<&str>) -> bool {
    response.is_some_and(|response| {
        let response = response.trim();
        let lengths: Vec<usize> = response.split('-').map(str::len).collect();
        lengths == [8, 4, 4, 4, 12] && response.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
    })
}

/// A text as a JSON object, where it is one.
fn object(text: Option<&str>) -> Option<Value> {
    serde_json::from_str::<Value>(text?)
        .ok()
        .filter(Value::is_object)
}

/// Whether a previous payload is itself a purge.
fn says_purge(previous: &Value) -> bool {
    previous.get("purge").and_then(Value::as_bool) == Some(true)
}
