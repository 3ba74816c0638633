//! A staged payload, read once: is it a record, whose is it, and what goes on
//! the wire.
//!
//! The text that goes on the wire is the staged text, byte for byte. It is
//! rebuilt only where it must be: the sender sends no nulls (`payload.md`), and
//! an object that names a key twice means one thing to one reader and another to
//! the next. Rebuilding copies keys, strings and numbers as they are spelled, so
//! `1.10` stays `1.10` and an escape stays an escape.

mod fault;
mod rebuild;
mod walk;

use std::fmt;

use serde_json::{Value, json};

pub use fault::{JsonKind, Missing, NotJson, RecordFault};
use rebuild::rebuild;
use walk::{LA_CHILD_ID, MIS_CHILD_ID, Met, Scan, scan_text};

use crate::delta::{diff_of_texts, purge};
use crate::essence::{self, Essence};
use crate::ids::{PURGE, is_purge};
use crate::node::{Fields as _, Node, View};
use crate::shape;
use crate::tree::{Document, Values};

/// A staged payload that can be a child's record: a JSON object with a
/// `la_child_id`. Whether the rest of it is right is for the rules to say.
///
/// Its `Debug` shows a length, nothing of the child.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    text: String,
    la_child_id: String,
    mis_child_id: Option<String>,
    purge: bool,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// A staged payload that was read once, for whatever is asked of it.
pub struct Reading<'t> {
    text: &'t str,
    /// The text without what stands around it.
    trimmed: &'t str,
    /// `None` where it is no JSON, or a key in it is serde_json's own.
    document: Option<Document<'t>>,
}

impl<'t> Reading<'t> {
    /// Reads a staged payload.
    pub fn of(text: &'t str) -> Reading<'t> {
        let trimmed = trimmed(text);
        Reading {
            text,
            trimmed,
            document: Document::read(trimmed),
        }
    }

    /// The payload as it was staged.
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// What was read, where the record goes as it was read.
    pub fn into_parsed(self) -> Option<Parsed> {
        let document = self.document.filter(Document::is_sendable)?;
        Some(Parsed {
            values: document.into_values(),
            bytes: self.trimmed.len(),
        })
    }

    /// What was read.
    pub(crate) fn document(&self) -> Option<&Document<'t>> {
        self.document.as_ref()
    }

    /// As [`Record::parse`] and [`Record::essence`].
    ///
    /// # Errors
    /// As [`Record::parse`].
    pub fn record(&self) -> Result<(Record, Essence), RecordFault> {
        let (record, essence) = self.record_without_text()?;
        Ok((record.with(self.text.to_owned()), essence))
    }

    /// The same for whoever gives up the staged text: nothing is copied where that is what
    /// goes on the wire.
    ///
    /// # Errors
    /// As [`Record::parse`].
    pub fn record_without_text(&self) -> Result<(WithoutText, Essence), RecordFault> {
        if let Some(document) = &self.document
            && let Some(mut record) = Record::of_document(document)
        {
            let is_as_staged = self.trimmed.len() == self.text.len();
            if !is_as_staged {
                self.trimmed.clone_into(&mut record.text);
            }
            let record = WithoutText {
                record,
                is_as_staged,
            };
            return Ok((record, Essence::of(document)));
        }
        // Whatever is out of the ordinary.
        let record = Record::parse(self.text)?;
        let essence = record.essence();
        let record = WithoutText {
            record,
            is_as_staged: false,
        };
        Ok((record, essence))
    }
}

/// What was read of a record's text, without the text: for whoever reads it in one place and
/// compares it in another.
pub struct Parsed {
    values: Values,
    /// The length of the text.
    bytes: usize,
}

/// What was last staged of a child before its record: `previous_json_payload`.
pub struct Previous {
    text: String,
    /// Once it was read: its values and the hash of its meaning, where it is a JSON object.
    parsed: Option<(Values, [u8; 32])>,
}

impl Previous {
    /// A text that is not read yet.
    pub fn of(text: String) -> Previous {
        Previous { text, parsed: None }
    }

    /// Reads it, where that was not done before.
    #[must_use]
    pub fn read(self) -> Previous {
        let Previous { text, parsed: None } = self else {
            return self;
        };
        let document = Document::read(&text);
        let object = document.filter(|read| matches!(read.root().view(), View::Object(_)));
        let parsed = object.map(|object| {
            let meaning = essence::hash(&object);
            (object.into_values(), meaning)
        });
        Previous { text, parsed }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A record that lacks its text, where that is the staged one.
pub struct WithoutText {
    record: Record,
    is_as_staged: bool,
}

impl WithoutText {
    /// Whether the text that goes on the wire is the staged one, to the last byte.
    pub fn is_as_staged(&self) -> bool {
        self.is_as_staged
    }

    /// As [`Record::is_purge`].
    pub fn is_purge(&self) -> bool {
        self.record.purge
    }

    /// The record, of the text that was read.
    pub fn with(self, staged: String) -> Record {
        if self.is_as_staged {
            Record {
                text: staged,
                ..self.record
            }
        } else {
            self.record
        }
    }
}

/// Its `Debug` shows a length, nothing of the child.
impl fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// White space around a payload and a byte-order mark in front of it are no part of it.
fn trimmed(text: &str) -> &str {
    let trimmed = text.trim();
    trimmed.strip_prefix('\u{feff}').unwrap_or(trimmed).trim()
}

impl Record {
    /// Reads a staged payload. White space around it and a byte-order mark in
    /// front of it are not part of it.
    ///
    /// This is for what was staged. A delta, or a record that a skeleton made
    /// exact, has nulls that say something, and does not go through here.
    ///
    /// # Errors
    /// A [`RecordFault`]; whatever it says, it says without quoting the payload.
    pub fn parse(text: &str) -> Result<Record, RecordFault> {
        let trimmed = trimmed(text);
        if trimmed.is_empty() {
            return Err(RecordFault::Blank);
        }
        let mut scan = Scan::default();
        let found = scan_text(trimmed, &mut scan)
            .map_err(|error| fault::not_json(text, trimmed, &error))?;
        if found != JsonKind::Object {
            return Err(RecordFault::NotAnObject { found });
        }
        let la_child_id = match scan.la_child_id {
            None => Err(RecordFault::NoChildId(Missing::Absent)),
            Some(Met::Null) => Err(RecordFault::NoChildId(Missing::Null)),
            Some(Met::Text(id)) if id.trim().is_empty() => {
                Err(RecordFault::NoChildId(Missing::Blank))
            }
            Some(Met::Text(_)) if scan.two_child_ids => Err(RecordFault::TwoChildIds),
            Some(Met::Text(id)) => Ok(id.into_owned()),
            Some(met @ (Met::Bool(_) | Met::Number | Met::Array | Met::Object)) => {
                Err(RecordFault::ChildIdNotText { found: met.kind() })
            }
        }?;
        let mis_child_id = match scan.mis_child_id {
            Some(Met::Text(id)) => Some(id.into_owned()),
            Some(Met::Null | Met::Bool(_) | Met::Number | Met::Array | Met::Object) | None => None,
        };
        let purge = scan.purge;
        let text = if scan.rebuild {
            let mut rebuilt = String::with_capacity(trimmed.len());
            rebuild(trimmed, &mut rebuilt)
                .map_err(|error| fault::not_json(text, trimmed, &error))?;
            rebuilt
        } else {
            trimmed.to_owned()
        };
        Ok(Record {
            text,
            la_child_id,
            mis_child_id,
            purge,
        })
    }

    /// The child's identifier at the authority (specification item 2), as given.
    pub fn la_child_id(&self) -> &str {
        &self.la_child_id
    }

    /// The case system's own identifier, where the record has one that is text.
    pub fn mis_child_id(&self) -> Option<&str> {
        self.mis_child_id.as_deref()
    }

    /// Whether the record says `purge: true` about the whole child: whoever sends
    /// it deletes the child at the receiver.
    pub fn is_purge(&self) -> bool {
        self.purge
    }

    /// What goes on the wire: the staged text byte for byte, except that a text
    /// with nulls, or with a key twice in one object, is rebuilt without the
    /// nulls and with the last of the two.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As [`Record::text`], giving up the record.
    pub fn into_text(self) -> String {
        self.text
    }

    /// The record as a value, for `diff`, `meaning` and the rules. Numbers keep
    /// their digits (only `E` becomes `e`) and keys their order.
    #[expect(clippy::expect_used, reason = "proved below")]
    pub fn value(&self) -> Value {
        // `parse` has walked through this text with the same deserializer and the
        // same limit of depth, and has refused the only keys that a `Value`
        // treats otherwise than the walk does.
        serde_json::from_str(&self.text).expect("a record's text is JSON")
    }

    /// The record that deletes the child at the receiver: [`purge`](crate::purge) of this one.
    pub fn purge(&self) -> Value {
        match &self.mis_child_id {
            Some(mis_child_id) => json!({
                LA_CHILD_ID: self.la_child_id,
                MIS_CHILD_ID: mis_child_id,
                PURGE: true,
            }),
            // It may have one that is no text.
            None => purge(&self.value()),
        }
    }

    /// The text of the delta that leads to this record from a previous payload, as
    /// [`diff`](crate::diff) makes it; `None` where that payload is not a JSON object with this meaning, and where
    /// nothing need be sent. `parsed` is what was read of this record before.
    pub fn delta_from(
        &self,
        previous: Previous,
        meaning: &[u8; 32],
        parsed: Option<Parsed>,
    ) -> Option<String> {
        let Previous { text, parsed: held } = previous.read();
        let (held, held_meaning) = held?;
        if held_meaning != *meaning {
            return None;
        }
        let parsed = parsed.filter(|parsed| parsed.bytes == self.text.len());
        let current = match parsed {
            Some(Parsed { values, .. }) => Document::of(&self.text, values),
            None => Document::read(&self.text)?,
        };
        diff_of_texts(&Document::of(&text, held), &current)
    }

    /// What it comes to.
    pub fn essence(&self) -> Essence {
        // `parse` has refused whatever a document cannot be read from.
        Essence::of(&Document::read(&self.text).unwrap_or_default())
    }

    /// The record of a text that can go as it is, without the text.
    fn of_document(document: &Document<'_>) -> Option<Record> {
        let View::Object(fields) = document.root().view() else {
            return None;
        };
        if !document.is_sendable() {
            return None;
        }
        let text_of = |key| match fields.get(key).map(Node::view) {
            Some(View::Text(text)) => Some(text.to_owned()),
            Some(
                View::Null | View::Bool(_) | View::Number(_) | View::Array(_) | View::Object(_),
            )
            | None => None,
        };
        let la_child_id = text_of(LA_CHILD_ID).filter(|id| !id.trim().is_empty())?;
        Some(Record {
            text: String::new(),
            la_child_id,
            mis_child_id: text_of(MIS_CHILD_ID),
            purge: is_purge(fields),
        })
    }

    /// The record's structure without any value: kinds, lengths in characters and
    /// counts, nested fields indented by two blanks, of an array's items the
    /// first. It can be shown to anybody who may know that the record exists.
    pub fn shape(&self) -> String {
        shape::of(&self.value())
    }
}

#[cfg(test)]
mod tests;
