//! Why a staged payload is no record.

use std::fmt;

use serde_json::Value;

/// Why a staged payload is no record, in words for an analyst. No variant holds
/// anything of the payload's text, so all of them may be logged and stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// There is nothing but white space.
    #[error("the payload is blank")]
    Blank,
    /// The text is not JSON.
    #[error("the payload is not JSON: {reason} (line {line}, column {column})")]
    NotJson {
        /// Line in the staged text, from 1.
        line: usize,
        /// Column in that line in characters, from 1; 0 before the first.
        column: usize,
        /// What is wrong there.
        reason: NotJson,
    },
    /// JSON, but no object.
    #[error("the payload is {found}, where one child's record, a JSON object, belongs")]
    NotAnObject {
        /// What it is instead.
        found: JsonKind,
    },
    /// No `la_child_id` (specification item 2, mandatory).
    #[error("the payload's la_child_id is {0}")]
    NoChildId(Missing),
    /// `la_child_id` is not a string (specification item 2).
    #[error("the payload's la_child_id is {found}, where text in quotes belongs")]
    ChildIdNotText {
        /// What it is instead.
        found: JsonKind,
    },
    /// `la_child_id` is there twice with two values: the receiver might file the
    /// record under the other one.
    #[error("the payload has la_child_id twice, with different values")]
    TwoChildIds,
    /// A key that the JSON library keeps for itself.
    #[error("the payload has a key that begins with `$serde_json::private::`, which is reserved")]
    ReservedKey,
}

/// What keeps a text from being JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotJson {
    /// It ends too early, as a text does that a column has cut.
    EndsEarly,
    /// More text follows the record.
    GoesOn,
    /// A raw line break, tab or other control character inside a string.
    ControlCharacter,
    /// A backslash with something after it that JSON does not know, or half of a
    /// pair of surrogates.
    Escape,
    /// Nested more than 127 levels deep.
    TooDeep,
    /// Anything else: a comma, a colon or a quote missing or too many.
    Syntax,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotJson::EndsEarly => "it ends too early, as if it had been cut",
            NotJson::GoesOn => "more text follows after the record",
            NotJson::ControlCharacter => {
                "a line break, tab or other control character stands unescaped in a text"
            }
            NotJson::Escape => "a backslash is followed by something that JSON does not know",
            NotJson::TooDeep => "it is nested too deeply for a child's record",
            NotJson::Syntax => "a comma, colon, quote or bracket is missing or out of place",
        })
    }
}

/// How an identifier can be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The key is not there.
    Absent,
    /// It is null.
    Null,
    /// It is text without a visible character.
    Blank,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::Absent => "absent",
            Missing::Null => "null",
            Missing::Blank => "blank",
        })
    }
}

/// The kinds of value that JSON has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JsonKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// Text in quotes.
    Text,
    /// A list in `[]`.
    Array,
    /// An object in `{}`.
    Object,
}

impl JsonKind {
    /// The kind of a value.
    pub fn of(value: &Value) -> JsonKind {
        match value {
            Value::Null => JsonKind::Null,
            Value::Bool(_) => JsonKind::Boolean,
            Value::Number(_) => JsonKind::Number,
            Value::String(_) => JsonKind::Text,
            Value::Array(_) => JsonKind::Array,
            Value::Object(_) => JsonKind::Object,
        }
    }
}

impl fmt::Display for JsonKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JsonKind::Null => "null",
            JsonKind::Boolean => "true or false",
            JsonKind::Number => "a number",
            JsonKind::Text => "a text",
            JsonKind::Array => "an array",
            JsonKind::Object => "an object",
        })
    }
}

/// Says where and why a text is no JSON, in terms of the staged text. Of the
/// library's words only fixed ones are looked at, and none are passed on.
pub(super) fn not_json(staged: &str, trimmed: &str, error: &serde_json::Error) -> RecordFault {
    let reason = match error.classify() {
        // Only the walk itself raises these, for a reserved key.
        serde_json::error::Category::Data => return RecordFault::ReservedKey,
        serde_json::error::Category::Eof => NotJson::EndsEarly,
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => {
            let words = error.to_string();
            let says = |start: &str| words.starts_with(start);
            if says("control character") {
                NotJson::ControlCharacter
            } else if says("trailing characters") {
                NotJson::GoesOn
            } else if says("recursion limit") {
                NotJson::TooDeep
            } else if says("invalid escape")
                || says("lone leading surrogate")
                || says("unexpected end of hex escape")
                || says("invalid unicode")
            {
                NotJson::Escape
            } else {
                NotJson::Syntax
            }
        }
    };
    // The library counts bytes of the trimmed text; a person's editor counts
    // characters of the staged one.
    let start = trimmed.as_ptr().addr() - staged.as_ptr().addr();
    let line_start: usize = trimmed
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = (start + line_start + error.column()).min(staged.len());
    let before = String::from_utf8_lossy(&staged.as_bytes()[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default();
    RecordFault::NotJson {
        line,
        column: column.chars().count(),
        reason,
    }
}
