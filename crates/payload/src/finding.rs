//! What a check has found, in words that may be shown, stored and logged.
//!
//! A finding says where it is, which rule is broken and what to do. It never
//! holds a value of the payload: a text is named by its length, and a key or a
//! code is shown only where it can't be about a person (`key_may_be_shown`,
//! `code_may_be_shown`). What a rule is called, how heavy it weighs and what
//! it means in general stands here; what its parameters are, in the rules file.

mod rule;

use std::fmt;

pub use rule::{RuleId, Severity};

/// How many findings of one record are kept; the rest is counted. A record with
/// more is wrong in one way many times over, and memory must not grow with it.
pub const FINDINGS_KEPT: usize = 50;

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
