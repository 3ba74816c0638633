//! The rules of a child's record: the specification's fields, their types and
//! code sets, and what must fit together (`payload-fields.csv`,
//! `code-sets.json`).
//!
//! The rules are a file, `data/rules.json`, which the program carries with it and
//! an authority can replace; it explains itself under `about`. It becomes a tree
//! once, and each record that was read is then walked through along that tree. What
//! a rule is called and how heavy it weighs is code ([`crate::finding::RuleId`]),
//! because the sending goes by it.

mod date;
mod file;
mod leaf;
mod pattern;
mod tree;
mod walk;

use crate::finding::{Checked, Finding, Found, RuleId};
use crate::record::{Reading, Record, RecordFault};

pub use file::{Fault, RulesFault};

/// The rules, ready to check records. They do not change: one value serves all
/// threads.
#[derive(Debug)]
pub struct Rules {
    record: tree::ObjectRules,
}

impl Rules {
    /// The rules file that the program carries, for somebody who wants to change a
    /// copy of it.
    pub const EMBEDDED: &'static str = include_str!("../data/rules.json");

    /// The rules that the program carries: those of the receiver's specification
    /// v0.9.0.
    #[expect(clippy::expect_used, reason = "proved below")]
    pub fn embedded() -> Rules {
        // The file is part of the program, and a test reads it.
        Rules::from_json(Rules::EMBEDDED).expect("the embedded rules are sound")
    }

    /// Reads a rules file, in the form of [`Rules::EMBEDDED`]. A byte-order mark in
    /// front of it is ignored.
    ///
    /// # Errors
    /// A [`RulesFault`] with everything that is wrong in the file, each with its
    /// place.
    pub fn from_json(text: &str) -> Result<Rules, RulesFault> {
        let record = file::read(text.strip_prefix('\u{feff}').unwrap_or(text))?;
        Ok(Rules { record })
    }

    /// Checks one payload, staged as a full record. A null means that the field is
    /// absent. Where the payload is no JSON, that is the only finding.
    ///
    /// A payload without an error is always a [`Record`].
    pub fn check(&self, payload: &str) -> Checked {
        self.check_read(&Reading::of(payload))
    }

    /// As [`Rules::check`], of a payload that was read.
    pub fn check_read(&self, payload: &Reading<'_>) -> Checked {
        let Some(document) = payload.document() else {
            return second_look(payload.text(), None);
        };
        let walked = walk::walk(&self.record, document.root());
        if walked.repeated_key {
            return second_look(payload.text(), Some(walked.checked));
        }
        walked.checked
    }
}

/// Reading does not say why a text is no JSON, nor the walk what a key that stands twice
/// means for the child. Both are rare, and `Record` does, so it has the last word on them.
fn second_look(payload: &str, walked: Option<Checked>) -> Checked {
    let (rule, message, mut checked) = match (walked, Record::parse(payload)) {
        // What is wrong has been found, with its place and item number.
        (
            Some(checked),
            Ok(_)
            | Err(
                RecordFault::NotAnObject { .. }
                | RecordFault::NoChildId(_)
                | RecordFault::ChildIdNotText { .. },
            ),
        ) => return checked,
        (Some(checked), Err(fault @ RecordFault::TwoChildIds)) => {
            (RuleId::RepeatedId, fault.to_string(), checked)
        }
        (
            Some(_),
            Err(
                fault @ (RecordFault::Blank
                | RecordFault::NotJson { .. }
                | RecordFault::ReservedKey),
            ),
        )
        | (None, Err(fault)) => (RuleId::NotJson, fault.to_string(), Checked::default()),
        (None, Ok(_)) => {
            let message = "the payload cannot be read".to_owned();
            (RuleId::NotJson, message, Checked::default())
        }
    };
    checked.add(rule.severity(), || of_record(rule, message));
    checked
}

/// A finding about the record as a whole. A fault names the payload, a finding's
/// message only what is the matter with its place.
fn of_record(rule: RuleId, message: String) -> Finding {
    let message = match message.strip_prefix("the payload ") {
        Some(rest) => rest.to_owned(),
        None => message,
    };
    Finding::from(Found {
        rule,
        item: None,
        path: String::new(),
        pointer: String::new(),
        message,
        advice: rule.advice().to_owned(),
    })
}
