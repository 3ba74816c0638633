//! One value of a record, and whether a field's rules allow it. Pure functions:
//! a value goes in, what is wrong with it comes out.

use jiff::civil::Date;

use super::date;
use super::pattern::Pattern;
use crate::finding::{RuleId, code_may_be_shown, shape_of};
use crate::node::View;
use crate::record::JsonKind;
use crate::tree::Tree;

/// What a field without parts may hold.
#[derive(Debug)]
pub(super) enum Leaf {
    /// Text in quotes.
    Text(TextRules),
    /// A calendar date.
    Date,
    /// True or false; `purges` where true removes something at the receiver.
    Flag {
        /// True removes what it stands in.
        purges: bool,
    },
    /// A whole number, both ends included.
    Integer {
        /// The least.
        minimum: i64,
        /// The greatest.
        maximum: i64,
    },
}

/// What a text must be.
#[derive(Debug, Default)]
pub(super) struct TextRules {
    /// The least length in characters.
    pub(super) min_length: usize,
    /// The greatest length in characters.
    pub(super) max_length: Option<usize>,
    /// The form.
    pub(super) pattern: Option<Pattern>,
    /// The code set that it is from.
    pub(super) codes: Option<Codes>,
    /// Texts that stand for "none".
    pub(super) placeholders: Vec<String>,
}

/// A code set.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// Its name in the rules file.
    pub(super) name: String,
    /// Its codes.
    pub(super) codes: CodeList,
    /// Whether a code that is not in it says nothing about the child.
    pub(super) shown: bool,
    /// All codes with what they mean, for the advice.
    pub(super) listing: String,
}

/// The codes of a set, to look a code up. Nearly all codes are short, and are kept as
/// numbers, which are compared faster than texts: every record has dozens of codes.
#[derive(Clone, Debug)]
pub(super) struct CodeList {
    /// Of short codes the numbers, sorted.
    short: Vec<u64>,
    /// The others, sorted.
    long: Vec<Box<str>>,
}

impl CodeList {
    /// The list of these.
    pub(super) fn of<'c>(codes: impl Iterator<Item = &'c str>) -> CodeList {
        let mut list = CodeList {
            short: Vec::new(),
            long: Vec::new(),
        };
        for code in codes {
            match number(code) {
                Some(number) => list.short.push(number),
                None => list.long.push(code.into()),
            }
        }
        list.short.sort_unstable();
        list.long.sort_unstable();
        list
    }

    /// Whether a code is in it.
    pub(super) fn has(&self, code: &str) -> bool {
        match number(code) {
            Some(number) => self.short.binary_search(&number),
            None => self.long.binary_search_by(|known| (**known).cmp(code)),
        }
        .is_ok()
    }
}

/// A number that no other text has: the text's length and its bytes, where they fit.
fn number(text: &str) -> Option<u64> {
    let with = |number, byte| number << 8 | u64::from(byte);
    (text.len() < 8).then(|| text.bytes().fold(text.len() as u64, with))
}

/// What is wrong with a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeafFault {
    /// The rule that it breaks.
    pub(super) rule: RuleId,
    /// What is there and what belongs there, without the value.
    pub(super) message: String,
    /// What helps here in particular, ahead of the field's own advice.
    pub(super) hint: Option<String>,
}

impl LeafFault {
    fn new(rule: RuleId, message: String) -> LeafFault {
        LeafFault {
            rule,
            message,
            hint: None,
        }
    }
}

impl Leaf {
    /// The kind of value that belongs in the field, with its article.
    pub(super) fn wanted(&self) -> &'static str {
        match self {
            Leaf::Text(_) => "text in quotes",
            Leaf::Date => "a date in quotes",
            Leaf::Flag { .. } => "true or false without quotes",
            Leaf::Integer { .. } => "a whole number without quotes",
        }
    }

    /// Whether the value, which is not null, is allowed; of a date, the day that it
    /// names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn judge<'t>(&self, value: &View<'t, Tree<'t>>) -> Result<Option<Date>, LeafFault> {
        match (self, value) {
            (Leaf::Text(rules), View::Text(text)) => rules.judge(text).map(|()| None),
            (Leaf::Date, View::Text(text)) => match date::read(text) {
                Some(day) => Ok(Some(day)),
                None => Err(not_a_date(text)),
            },
            (Leaf::Flag { purges: true }, View::Bool(true)) => Err(LeafFault::new(
                RuleId::Purge,
                "is true in a record that was staged to be kept".to_owned(),
            )),
            (Leaf::Flag { .. }, View::Bool(_)) => Ok(None),
            (Leaf::Integer { minimum, maximum }, View::Number(spelling)) => {
                judge_integer(*minimum, *maximum, spelling).map(|()| None)
            }
            (
                Leaf::Text(_) | Leaf::Date | Leaf::Flag { .. } | Leaf::Integer { .. },
                View::Null
                | View::Bool(_)
                | View::Number(_)
                | View::Text(_)
                | View::Array(_)
                | View::Object(_),
            ) => Err(LeafFault::new(
                RuleId::WrongType,
                wrong_type(value.kind(), self.wanted()),
            )),
        }
    }
}

/// The words for a value of another kind than wanted.
pub(super) fn wrong_type(found: JsonKind, wanted: &str) -> String {
    format!("is {found}, where {wanted} belongs")
}

fn not_a_date(text: &str) -> LeafFault {
    LeafFault {
        rule: RuleId::Date,
        message: format!("is {}, not a date YYYY-MM-DD", shape_of(text)),
        hint: date::looks_like(text).map(|words| format!("({words})")),
    }
}

/// A number may be spelled 12, 12.0 or 1.2e1: they mean the same.
fn judge_integer(minimum: i64, maximum: i64, spelling: &str) -> Result<(), LeafFault> {
    let whole = match spelling.parse::<i64>() {
        Ok(whole) => Some(whole),
        // What is too large for i64 becomes its greatest or least: out of range
        // either way.
        Err(_) => match spelling.parse::<f64>() {
            Ok(real) if real.fract() == 0.0 || real.is_infinite() => Some(real as i64),
            Ok(_) | Err(_) => None,
        },
    };
    match whole {
        Some(whole) if (minimum..=maximum).contains(&whole) => Ok(()),
        Some(_) => Err(LeafFault::new(
            RuleId::Range,
            format!("is a number outside {minimum} to {maximum}"),
        )),
        None => Err(LeafFault::new(
            RuleId::WrongType,
            "is a number with a fraction, where a whole number belongs".to_owned(),
        )),
    }
}

impl TextRules {
    /// Judges a text by its length, then its form, then its code, then whether it
    /// is a constant.
    ///
    /// # Errors
    /// The first of these that is wrong.
    pub(super) fn judge(&self, text: &str) -> Result<(), LeafFault> {
        self.judge_length(text)?;
        if let Some(pattern) = &self.pattern
            && !pattern.matches(text)
        {
            return Err(LeafFault::new(
                RuleId::Pattern,
                format!(
                    "is {} that does not match {}",
                    shape_of(text),
                    pattern.source
                ),
            ));
        }
        if let Some(codes) = &self.codes
            && !codes.codes.has(text)
        {
            return Err(unknown_code(codes, text));
        }
        if let Some(constant) = self.placeholders.iter().find(|constant| *constant == text) {
            // The constant is the rules file's, not the child's.
            return Err(LeafFault::new(
                RuleId::Placeholder,
                format!("is the constant {constant}, the same for every child"),
            ));
        }
        Ok(())
    }

    fn judge_length(&self, text: &str) -> Result<(), LeafFault> {
        let max = self.max_length.unwrap_or(usize::MAX);
        // A text has at most one character per byte, so counting them, which is
        // slower, is seldom needed: it has at least one where it has any.
        if text.len() <= max && (self.min_length == 0 || self.min_length == 1 && !text.is_empty()) {
            return Ok(());
        }
        let count = text.chars().count();
        let message = if count > max {
            format!("is {}, longer than the {max} allowed", shape_of(text))
        } else if count < self.min_length {
            let min = self.min_length;
            format!("is {}, shorter than the {min} needed", shape_of(text))
        } else {
            return Ok(());
        };
        Err(LeafFault::new(RuleId::Length, message))
    }
}

fn unknown_code(codes: &Codes, text: &str) -> LeafFault {
    let what = if codes.shown && code_may_be_shown(text) {
        format!("is {text}")
    } else {
        format!("is {}", shape_of(text))
    };
    let trimmed = text.trim().to_uppercase();
    let nearly = codes
        .codes
        .has(&trimmed)
        .then_some("It would be one in capital letters and without blanks around it; the set has ");
    LeafFault {
        rule: RuleId::UnknownCode,
        message: format!("{what}, which is not a code of the set {}", codes.name),
        hint: Some(format!(
            "{}{}.",
            nearly.unwrap_or("The set has "),
            codes.listing
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::Node as _;
    use crate::tree::Document;

    proptest! {
        #[test]
        fn a_code_is_in_a_list_exactly_where_it_was_put_there(
            codes in prop::collection::vec("[ab\0é]{0,4}|[ab]{6,9}", 0..40), code in "[ab\0é]{0,4}|[ab]{6,9}",
        ) {
            let list = CodeList::of(codes.iter().map(String::as_str));
            prop_assert!(codes.iter().all(|code| list.has(code)));
            prop_assert_eq!(list.has(&code), codes.contains(&code));
        }
    }

    fn fault(leaf: &Leaf, raw: &str) -> Option<RuleId> {
        leaf.judge(&Document::read(raw).unwrap().root().view())
            .err()
            .map(|fault| fault.rule)
    }

    fn text(rules: TextRules) -> Leaf {
        Leaf::Text(rules)
    }

    fn coded() -> Codes {
        Codes {
            name: "sex".to_owned(),
            codes: CodeList::of(["F", "M"].into_iter()),
            shown: false,
            listing: "F, M".to_owned(),
        }
    }

    #[test]
    fn each_kind_of_field_takes_its_kind_of_value() {
        let kinds = [
            (text(TextRules::default()), "\"a\""),
            (Leaf::Date, "\"2020-01-01\""),
            (Leaf::Flag { purges: false }, "true"),
            (
                Leaf::Integer {
                    minimum: 0,
                    maximum: 40,
                },
                "7",
            ),
        ];
        for (row, (leaf, fits)) in kinds.iter().enumerate() {
            assert_eq!(fault(leaf, fits), None, "{leaf:?} takes {fits}");
            for other in ["[]", "{}", "false", "8", "\"2021-01-01\""] {
                let same_kind = match row {
                    0 | 1 => other.starts_with('"'),
                    2 => other == "false",
                    _ => other == "8",
                };
                let expected = (!same_kind).then_some(RuleId::WrongType);
                assert_eq!(fault(leaf, other), expected, "{leaf:?} with {other}");
            }
        }
    }

    #[test]
    fn a_whole_number_may_be_spelled_as_it_likes() {
        let score = Leaf::Integer {
            minimum: 0,
            maximum: 40,
        };
        for (spelling, expected) in [
            ("0", None),
            ("40", None),
            ("12.0", None),
            ("1.2e1", None),
            ("-0", None),
            ("-1", Some(RuleId::Range)),
            ("41", Some(RuleId::Range)),
            ("99999999999999999999", Some(RuleId::Range)),
            ("1e400", Some(RuleId::Range)),
            ("12.5", Some(RuleId::WrongType)),
        ] {
            assert_eq!(fault(&score, spelling), expected, "{spelling}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters_and_both_ends_are_allowed() {
        let leaf = text(TextRules {
            min_length: 2,
            max_length: Some(4),
            ..TextRules::default()
        });
        for (raw, expected) in [
            ("\"é\"", Some(RuleId::Length)),
            ("\"éé\"", None),
            ("\"éééé\"", None),
            ("\"ééééé\"", Some(RuleId::Length)),
            ("\"\\u00e9\\u00e9\"", None),
            ("\"\"", Some(RuleId::Length)),
        ] {
            assert_eq!(fault(&leaf, raw), expected, "{raw}");
        }
    }

    #[test]
    fn only_the_first_thing_that_is_wrong_with_a_text_is_told() {
        let leaf = text(TextRules {
            max_length: Some(3),
            pattern: Some(Pattern::new("^[A-Z]{1,3}$").unwrap()),
            codes: Some(coded()),
            ..TextRules::default()
        });
        for (raw, expected) in [
            ("\"12345\"", RuleId::Length),
            ("\"12\"", RuleId::Pattern),
            ("\"AB\"", RuleId::UnknownCode),
        ] {
            assert_eq!(fault(&leaf, raw), Some(expected), "{raw}");
        }
    }

    #[test]
    fn a_code_outside_its_set_is_shown_only_where_the_set_allows_it() {
        let message = |shown: bool, text: &str| {
            let codes = Codes { shown, ..coded() };
            unknown_code(&codes, text).message
        };
        assert!(message(true, "9Z").contains("9Z"));
        assert!(!message(false, "9Z").contains("9Z"));
        assert!(!message(true, "AMY").contains("AMY"));
    }

    #[test]
    fn a_code_in_small_letters_is_told_what_it_lacks() {
        let hint = |text: &str| unknown_code(&coded(), text).hint.unwrap();
        assert!(hint(" m").contains("capital letters"));
        assert!(!hint("x").contains("capital letters"));
    }
}
