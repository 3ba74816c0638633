//! What a check has found, in words that may be shown, stored and logged.
//!
//! A finding says where it is, which rule is broken and what to do. It never
//! holds a value of the payload: a text is named by its length, and a key or a
//! code is shown only where it can't be about a person ([`key_may_be_shown`],
//! [`code_may_be_shown`]). What a rule is called, how heavy it weighs and what
//! it means in general stands here; what its parameters are, in the rules file.

use std::fmt;

/// How many findings of one record are kept; the rest is counted. A record with
/// more is wrong in one way many times over, and memory must not grow with it.
pub const FINDINGS_KEPT: usize = 50;

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

/// One thing that is wrong with a record.
///
/// Nothing in it is a value of the payload, so all of it may be stored and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    severity: Severity,
    rule: RuleId,
    item: Option<String>,
    path: String,
    pointer: String,
    message: String,
    advice: String,
}

/// What a finding is made of; every text is free of the payload's values.
#[derive(Debug)]
pub(crate) struct Found {
    /// The rule that is broken.
    pub(crate) rule: RuleId,
    /// The specification's item number.
    pub(crate) item: Option<String>,
    /// The place without indices, e.g. `social_care_episodes[].closure_date`.
    pub(crate) path: String,
    /// The place as a JSON Pointer.
    pub(crate) pointer: String,
    /// What is there.
    pub(crate) message: String,
    /// What to do.
    pub(crate) advice: String,
}

impl From<Found> for Finding {
    fn from(found: Found) -> Finding {
        Finding {
            severity: found.rule.severity(),
            rule: found.rule,
            item: found.item,
            path: found.path,
            pointer: found.pointer,
            message: found.message,
            advice: found.advice,
        }
    }
}

impl Finding {
    /// How heavy it weighs: the rule's own severity, or error where
    /// [`Checked::strict`] has raised it.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The rule that is broken.
    pub fn rule(&self) -> RuleId {
        self.rule
    }

    /// The specification's item number, where the field has one.
    pub fn item(&self) -> Option<&str> {
        self.item.as_deref()
    }

    /// The place without indices: keys joined by dots, `[]` behind an array; empty
    /// for the record itself. The same for every record that breaks the rule at
    /// this field, so findings are grouped by it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The place as a JSON Pointer (RFC 6901); empty for the record itself.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is there and what belongs there, without the value.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

/// One line: place, rule, item, what, what to do. Short enough for the column
/// that takes a receiver's reply.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.pointer.as_str() {
            "" => "the record",
            pointer => pointer,
        };
        write!(f, "{} {} at {place}", self.severity, self.rule)?;
        if let Some(item) = &self.item {
            write!(f, " (item {item})")?;
        }
        write!(f, ": {}. {}", self.message, self.advice)
    }
}

/// What a check of one record has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    findings: Vec<Finding>,
    errors: usize,
    warnings: usize,
}

impl Checked {
    /// How many errors there are, kept or not.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are, kept or not.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Nothing was found.
    pub fn is_clean(&self) -> bool {
        self.errors == 0 && self.warnings == 0
    }

    /// The findings that were kept, in the order in which they were met: at most
    /// [`FINDINGS_KEPT`], and no warning is kept at the cost of an error.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many findings were counted but not kept.
    pub fn left_out(&self) -> usize {
        self.errors + self.warnings - self.findings.len()
    }

    /// `STRICT=true`: every warning becomes an error.
    #[must_use]
    pub fn strict(mut self) -> Checked {
        for finding in &mut self.findings {
            finding.severity = Severity::Error;
        }
        self.errors += self.warnings;
        self.warnings = 0;
        self
    }

    /// These findings and another check's of the same record, e.g. those of our
    /// rules and those of the DfE's schema.
    #[must_use]
    pub fn and(mut self, other: Checked) -> Checked {
        let left_out_errors = other.errors - count(&other.findings, Severity::Error);
        let left_out_warnings = other.warnings - count(&other.findings, Severity::Warning);
        for finding in other.findings {
            self.add(finding.severity, || finding);
        }
        self.errors += left_out_errors;
        self.warnings += left_out_warnings;
        self
    }

    /// Counts a finding, and makes and keeps it where there is room.
    pub(crate) fn add(&mut self, severity: Severity, make: impl FnOnce() -> Finding) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.findings.len() < FINDINGS_KEPT {
            self.findings.push(make());
            return;
        }
        if severity == Severity::Error
            && let Some(last) = self
                .findings
                .iter()
                .rposition(|kept| kept.severity == Severity::Warning)
        {
            self.findings.remove(last);
            self.findings.push(make());
        }
    }
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .count()
}

/// A text by its length alone.
pub(crate) fn shape_of(text: &str) -> String {
    match text.chars().count() {
        0 => "an empty string".to_owned(),
        count => format!("a {count}-character string"),
    }
}

/// Whether a key that the specification does not have may be shown. A key can be
/// somebody's data in the wrong place, so it must look like a field's name: 1 to
/// 40 ASCII letters, digits and `_`; and where it has digits, as postcodes and
/// pupil numbers do, at most three of them and a `_` as well.
pub(crate) fn key_may_be_shown(key: &str) -> bool {
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    (1..=40).contains(&key.len())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && (digits == 0 || digits <= 3 && key.contains('_'))
}

/// Whether a code that is not in its set may be shown, where the set says nothing
/// about the child: 1 to 3 ASCII capitals and digits with a digit among them. A
/// name has no digit, and no postcode, date or pupil number is as short.
pub(crate) fn code_may_be_shown(code: &str) -> bool {
    (1..=3).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && code.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn finding(rule: RuleId) -> Finding {
        Finding::from(Found {
            rule,
            item: None,
            path: "a".to_owned(),
            pointer: "/a".to_owned(),
            message: "is wrong".to_owned(),
            advice: "mend it".to_owned(),
        })
    }

    fn checked(rules: &[RuleId]) -> Checked {
        let mut checked = Checked::default();
        for rule in rules {
            checked.add(rule.severity(), || finding(*rule));
        }
        checked
    }

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

    #[test]
    fn no_more_than_the_limit_is_kept_and_all_are_counted() {
        let checked = checked(&[RuleId::Date; FINDINGS_KEPT + 7]);
        assert_eq!(checked.findings().len(), FINDINGS_KEPT);
        assert_eq!(checked.errors(), FINDINGS_KEPT + 7);
        assert_eq!(checked.left_out(), 7);
    }

    #[test]
    fn an_error_takes_the_place_of_a_warning_when_there_is_no_room() {
        let mut rules = vec![RuleId::UnknownKey; FINDINGS_KEPT];
        rules.push(RuleId::Date);
        rules.push(RuleId::UnknownKey);
        let checked = checked(&rules);
        assert_eq!(checked.findings().len(), FINDINGS_KEPT);
        assert_eq!(count(checked.findings(), Severity::Error), 1);
        assert_eq!((checked.errors(), checked.warnings()), (1, 51));
    }

    #[test]
    fn strict_makes_every_warning_an_error() {
        let strict = checked(&[RuleId::Date, RuleId::UnknownKey]).strict();
        assert_eq!((strict.errors(), strict.warnings()), (2, 0));
        assert_eq!(count(strict.findings(), Severity::Error), 2);
    }

    #[test]
    fn two_checks_of_a_record_add_up_with_what_neither_kept() {
        let many = checked(&[RuleId::UnknownKey; FINDINGS_KEPT + 5]);
        let both = many.and(checked(&[RuleId::Schema; 3]));
        assert_eq!((both.errors(), both.warnings()), (3, FINDINGS_KEPT + 5));
        assert_eq!(count(both.findings(), Severity::Error), 3);
        assert_eq!(both.left_out(), 8);
    }

    #[test]
    fn a_finding_is_one_line_that_says_where_what_and_what_to_do() {
        assert_eq!(
            finding(RuleId::Date).to_string(),
            "error date at /a: is wrong. mend it"
        );
    }

    #[test]
    fn a_key_is_shown_only_where_it_looks_like_a_fields_name() {
        for shown in ["middle_name", "childDetails", "section_47_visits"] {
            assert!(key_may_be_shown(shown), "{shown}");
        }
        let long = "a".repeat(41);
        for hidden in [
            "",
            "Zoë",
            "John Smith",
            "A123456789012",
            "AB12CD",
            "2010_05_06",
            "a/b",
            &long,
        ] {
            assert!(!key_may_be_shown(hidden), "{hidden}");
        }
    }

    #[test]
    fn a_code_is_shown_only_where_it_is_too_short_to_be_anything_else() {
        for shown in ["1F", "9", "E4C"] {
            assert!(code_may_be_shown(shown), "{shown}");
        }
        for hidden in ["", "AMY", "E4AB", "e4a", "É1"] {
            assert!(!code_may_be_shown(hidden), "{hidden}");
        }
    }
}
