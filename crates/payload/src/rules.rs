//! The rules of a child's record: the specification's fields, their types and
//! code sets, and what must fit together (`payload-fields.csv`,
//! `code-sets.json`).
//!
//! The rules are a file, `data/rules.json`, which the program carries with it and
//! an authority can replace; it explains itself under `about`. It becomes a tree
//! once, and each record is then walked through along that tree: one pass over
//! the text, without building anything of it, so a check costs about as much as
//! reading the JSON. What a rule is called and how heavy it weighs is code
//! ([`crate::finding::RuleId`]), because the sending goes by it.

mod date;
mod file;
mod leaf;
mod tree;
mod walk;

use crate::finding::{Checked, Finding, Found, RuleId};
use crate::record::{Record, RecordFault};

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
        // The same as `Record::parse` takes off.
        let text = payload.trim();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match walk::walk(&self.record, text) {
            Ok(walked) if walked.second_look => second_look(payload, walked.checked),
            Ok(walked) => walked.checked,
            Err(_) => second_look(payload, Checked::default()),
        }
    }
}

/// The walk does not look into what it doesn't know, nor say why a text is no
/// JSON. Both are rare, and `Record` does, so it has the last word on them.
fn second_look(payload: &str, mut checked: Checked) -> Checked {
    match Record::parse(payload) {
        Err(
            fault @ (RecordFault::Blank | RecordFault::NotJson { .. } | RecordFault::ReservedKey),
        ) => {
            let mut alone = Checked::default();
            alone.add(RuleId::NotJson.severity(), || {
                of_record(RuleId::NotJson, fault.to_string())
            });
            alone
        }
        Err(RecordFault::TwoChildIds) => {
            checked.add(RuleId::RepeatedId.severity(), || {
                of_record(RuleId::RepeatedId, RecordFault::TwoChildIds.to_string())
            });
            checked
        }
        // The walk has found these, with their place and item number.
        Err(
            RecordFault::NotAnObject { .. }
            | RecordFault::NoChildId(_)
            | RecordFault::ChildIdNotText { .. },
        )
        | Ok(_) => checked,
    }
}

/// A finding about the record as a whole.
fn of_record(rule: RuleId, message: String) -> Finding {
    Finding::from(Found {
        rule,
        item: None,
        path: String::new(),
        pointer: String::new(),
        message,
        advice: rule.advice().to_owned(),
    })
}
