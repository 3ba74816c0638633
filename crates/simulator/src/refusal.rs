//! Why a batch is refused, in the receiver's words.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::exchange::Answer;
use crate::fault::Form;

/// One thing that is wrong with a body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Complaint {
    /// Where, from the body on.
    pub path: Vec<Step>,
    /// What is wrong.
    pub words: String,
    /// The kind of fault, e.g. `missing`.
    pub kind: &'static str,
    /// What was sent there. The DfE's framework quotes it, children's values
    /// included; here only refusals that were ordered do.
    pub input: Option<Box<Value>>,
}

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into an array.
    Index(usize),
    /// Into an object.
    Field(&'static str),
}

impl Complaint {
    /// About the body as a whole.
    pub fn body(kind: &'static str, words: impl Into<String>) -> Self {
        Complaint {
            path: Vec::new(),
            words: words.into(),
            kind,
            input: None,
        }
    }

    /// About a record.
    pub fn record(index: usize, kind: &'static str, words: impl Into<String>) -> Self {
        let path = vec![Step::Index(index)];
        Complaint {
            path,
            ..Complaint::body(kind, words)
        }
    }

    /// The same, further inside.
    pub fn at(mut self, steps: &[Step]) -> Self {
        self.path.extend_from_slice(steps);
        self
    }

    /// The same, with what was sent there.
    pub fn quoting(mut self, input: Value) -> Self {
        self.input = Some(Box::new(input));
        self
    }

    /// As FastAPI lists it.
    fn listed(&self) -> Value {
        let steps = self.path.iter().map(|step| match step {
            Step::Index(index) => json!(index),
            Step::Field(name) => json!(name),
        });
        let mut listed = Map::new();
        listed.insert("type".into(), self.kind.into());
        let loc: Vec<Value> = std::iter::once(json!("body")).chain(steps).collect();
        listed.insert("loc".into(), loc.into());
        listed.insert("msg".into(), self.words.as_str().into());
        if let Some(input) = &self.input {
            listed.insert("input".into(), Value::clone(input));
        }
        listed.into()
    }

    /// As a line. Both spellings have been seen: `body[3].child_details.sex`, and
    /// `[3].social_care_episodes[0]` where the path goes through a second array.
    fn line(&self) -> String {
        let indices = self
            .path
            .iter()
            .filter(|step| matches!(step, Step::Index(_)))
            .count();
        let mut line = String::from(if indices < 2 { "body" } else { "" });
        for step in &self.path {
            // Writing to a String does not fail.
            let _ = match step {
                Step::Index(index) => write!(line, "[{index}]"),
                Step::Field(name) => write!(line, ".{name}"),
            };
        }
        line += ": ";
        line += &self.words;
        if let Some(input) = &self.input {
            let _ = write!(line, " [input: {input}]");
        }
        line
    }
}

/// The 400 that lists complaints.
pub(crate) fn listing(complaints: &[Complaint], form: Form) -> Answer {
    match form {
        Form::Json => {
            let all: Vec<Value> = complaints.iter().map(Complaint::listed).collect();
            Answer::json(400, &json!({ "detail": all }))
        }
        Form::Text => {
            let all: Vec<String> = complaints.iter().map(Complaint::line).collect();
            Answer::text(400, all.join("\n"))
        }
    }
}

/// A refusal in one sentence, which names no record.
pub(crate) fn sentence(status: u16, words: &str, form: Form) -> Answer {
    match form {
        Form::Json => Answer::json(status, &json!({ "detail": words })),
        Form::Text => Answer::text(status, words.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_the_receiver_does() {
        let record = || Complaint::record(3, "value_error", "wrong");
        for (complaint, loc, line) in [
            (
                Complaint::body("x", "wrong"),
                json!(["body"]),
                "body: wrong",
            ),
            (record(), json!(["body", 3]), "body[3]: wrong"),
            (
                record().at(&[Step::Field("child_details"), Step::Field("sex")]),
                json!(["body", 3, "child_details", "sex"]),
                "body[3].child_details.sex: wrong",
            ),
            (
                record().at(&[Step::Field("social_care_episodes"), Step::Index(0)]),
                json!(["body", 3, "social_care_episodes", 0]),
                "[3].social_care_episodes[0]: wrong",
            ),
            (
                record().quoting(json!({"a": 1})),
                json!(["body", 3]),
                "body[3]: wrong [input: {\"a\":1}]",
            ),
        ] {
            assert_eq!(complaint.listed()["loc"], loc);
            assert_eq!(complaint.line(), line);
        }
    }
}
