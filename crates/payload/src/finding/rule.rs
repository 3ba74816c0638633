//! The rules that a record can break: their names, their weight and what they mean.

use std::fmt;

/// How heavy a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The receiver would refuse the record: it is not sent.
    Error,
    /// Doubtful: the record is sent, somebody should look.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The rules that a record can break. Their names are stable: reports and
/// people's own scripts go by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleId {
    /// The payload is no JSON.
    NotJson,
    /// A value of another type than the specification's.
    WrongType,
    /// A mandatory field is absent or null; of an item, its id.
    Missing,
    /// A text does not match the field's pattern.
    Pattern,
    /// A text is too long or too short.
    Length,
    /// A text is no calendar date `YYYY-MM-DD`.
    Date,
    /// A number is out of its range.
    Range,
    /// An array has too many items.
    MaxItems,
    /// Two items of one array have the same id, or a record has its id twice.
    RepeatedId,
    /// The DfE's own schema refuses the record.
    Schema,
    /// A code is not in its code set.
    UnknownCode,
    /// Something ends before it starts.
    EndBeforeStart,
    /// Something happened too long before the birth.
    BeforeBirth,
    /// Fields that make no sense together.
    NotTogether,
    /// A code that must be alone has company.
    NotAlone,
    /// A key that the specification does not have.
    UnknownKey,
    /// A key stands twice in one object.
    RepeatedKey,
    /// A constant that stands for "none" where an id of its own belongs.
    Placeholder,
    /// `purge: true` in a record that was staged as a record.
    Purge,
}

impl RuleId {
    /// Every rule, errors first.
    pub const ALL: [RuleId; 19] = [
        RuleId::NotJson,
        RuleId::WrongType,
        RuleId::Missing,
        RuleId::Pattern,
        RuleId::Length,
        RuleId::Date,
        RuleId::Range,
        RuleId::MaxItems,
        RuleId::RepeatedId,
        RuleId::Schema,
        RuleId::UnknownCode,
        RuleId::EndBeforeStart,
        RuleId::BeforeBirth,
        RuleId::NotTogether,
        RuleId::NotAlone,
        RuleId::UnknownKey,
        RuleId::RepeatedKey,
        RuleId::Placeholder,
        RuleId::Purge,
    ];

    /// The rule's stable name in kebab case.
    pub fn name(self) -> &'static str {
        match self {
            RuleId::NotJson => "not-json",
            RuleId::WrongType => "wrong-type",
            RuleId::Missing => "missing",
            RuleId::Pattern => "pattern",
            RuleId::Length => "length",
            RuleId::Date => "date",
            RuleId::Range => "range",
            RuleId::MaxItems => "max-items",
            RuleId::RepeatedId => "repeated-id",
            RuleId::Schema => "schema",
            RuleId::UnknownCode => "unknown-code",
            RuleId::EndBeforeStart => "end-before-start",
            RuleId::BeforeBirth => "before-birth",
            RuleId::NotTogether => "not-together",
            RuleId::NotAlone => "not-alone",
            RuleId::UnknownKey => "unknown-key",
            RuleId::RepeatedKey => "repeated-key",
            RuleId::Placeholder => "placeholder",
            RuleId::Purge => "purge",
        }
    }

    /// An error is what the receiver would refuse, or what would leave a delta to
    /// guess; everything else is a warning.
    pub fn severity(self) -> Severity {
        match self {
            RuleId::NotJson
            | RuleId::WrongType
            | RuleId::Missing
            | RuleId::Pattern
            | RuleId::Length
            | RuleId::Date
            | RuleId::Range
            | RuleId::MaxItems
            | RuleId::RepeatedId
            | RuleId::Schema => Severity::Error,
            RuleId::UnknownCode
            | RuleId::EndBeforeStart
            | RuleId::BeforeBirth
            | RuleId::NotTogether
            | RuleId::NotAlone
            | RuleId::UnknownKey
            | RuleId::RepeatedKey
            | RuleId::Placeholder
            | RuleId::Purge => Severity::Warning,
        }
    }

    /// What it means when a record breaks the rule, in one sentence for an
    /// analyst.
    pub fn meaning(self) -> &'static str {
        match self {
            RuleId::NotJson => "The payload cannot be read as JSON, so nothing of it can be sent.",
            RuleId::WrongType => {
                "The value is of another kind than the specification asks for, e.g. a number \
                 where text in quotes belongs; the receiver refuses the record."
            }
            RuleId::Missing => {
                "A field that must be there is absent or null; the receiver cannot tell what \
                 the record, or the item of it, is about."
            }
            RuleId::Pattern => {
                "The text has a form that the specification does not allow; the receiver \
                 refuses the record."
            }
            RuleId::Length => {
                "The text is longer or shorter than the specification allows; the receiver \
                 refuses the record."
            }
            RuleId::Date => {
                "The text is no calendar date written YYYY-MM-DD; the receiver refuses the record."
            }
            RuleId::Range => {
                "The number is outside the specification's range; the receiver refuses the record."
            }
            RuleId::MaxItems => {
                "The list is longer than the specification allows; the receiver refuses the record."
            }
            RuleId::RepeatedId => {
                "Two things have the same id, so nobody can tell which of them a change is about."
            }
            RuleId::Schema => {
                "The DfE's own schema, which you named with --schema, does not allow the record."
            }
            RuleId::UnknownCode => {
                "The code is not in its code set. The receiver may take it, the return that is \
                 made of it will not."
            }
            RuleId::EndBeforeStart => "Something ends before it starts: one of two dates is wrong.",
            RuleId::BeforeBirth => {
                "Something happened before the child was born, or, where it is done for unborn \
                 children, longer before than a pregnancy lasts."
            }
            RuleId::NotTogether => "Fields are filled of which only one makes sense.",
            RuleId::NotAlone => "A code that says \"none\" stands beside others.",
            RuleId::UnknownKey => {
                "The specification has no such field here. It is kept and sent, but the receiver \
                 may refuse or ignore it."
            }
            RuleId::RepeatedKey => {
                "One field stands twice in the same place; only the last one is sent."
            }
            RuleId::Placeholder => {
                "A constant that stands for \"none\" is filled in where each child has its own value."
            }
            RuleId::Purge => {
                "The record tells the receiver to remove something, though it was staged as a \
                 record, not as a removal."
            }
        }
    }

    /// What to do about it, where the field itself has nothing more exact to say.
    pub fn advice(self) -> &'static str {
        match self {
            RuleId::NotJson => {
                "Look at how the payload is made: a text that a column cut off, or quotes that \
                 were not escaped, are the usual causes."
            }
            RuleId::WrongType => {
                "Look at the query that makes the payload: an object is written {...}, a list \
                 [...], also when it has one item."
            }
            RuleId::Missing => "Fill it in.",
            RuleId::Pattern | RuleId::Length => "Correct the text in the case system.",
            RuleId::Date => "Write a calendar date as YYYY-MM-DD, without a time.",
            RuleId::Range => "Correct the number in the case system.",
            RuleId::MaxItems => "Take out items until the list is short enough.",
            RuleId::RepeatedId => {
                "Look at the query that makes the payload: a join often brings the same thing \
                 twice. Each id may stand once in a list."
            }
            RuleId::Schema => {
                "Compare the field with the schema. If the schema is right and these rules are \
                 not, please tell the makers of this program."
            }
            RuleId::UnknownCode => "Use a code of the set.",
            RuleId::EndBeforeStart | RuleId::BeforeBirth => "Correct the date that is wrong.",
            RuleId::NotTogether => "Take out the one that is wrong.",
            RuleId::NotAlone => "Leave it alone in the list, or take it out.",
            RuleId::UnknownKey => {
                "Compare its spelling and its place with the specification; take it out if \
                 nobody asked for it."
            }
            RuleId::RepeatedKey => {
                "Look at the query that makes the payload and leave one of the two."
            }
            RuleId::Placeholder => "Leave the field out where there is nothing to fill in.",
            RuleId::Purge => "Leave it out, or false; the program removes what is gone by itself.",
        }
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rule_names_are_kebab_case_and_each_its_own() {
        let names: HashSet<&str> = RuleId::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), RuleId::ALL.len());
        for name in names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
    }
}
