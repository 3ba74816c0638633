//! The forms that texts must have.

use regex::Regex;

/// A regular expression. The one form that nearly all fields use, `^[…]{m,n}$`
/// over ASCII, is looked up in a table instead: it stands in the path of every
/// record, and a test holds the two to the same answers.
#[derive(Debug)]
pub(super) struct Pattern {
    /// As it stands in the rules file.
    pub(super) source: String,
    matcher: Matcher,
}

#[derive(Debug)]
enum Matcher {
    /// For each byte whether it is allowed, which only ASCII is, and how many of them.
    Class {
        allowed: Box<[bool; 256]>,
        min: usize,
        max: usize,
    },
    /// Anything else.
    Regex(Regex),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Why it can't be read, in the library's words: the last of its lines, the
    /// others draw the place.
    pub(super) fn new(source: &str) -> Result<Pattern, String> {
        let regex = Regex::new(source).map_err(|error| {
            let words = error.to_string();
            let last = words.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })?;
        Ok(Pattern {
            source: source.to_owned(),
            matcher: class(source).unwrap_or(Matcher::Regex(regex)),
        })
    }

    /// Whether a text matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Class { allowed, min, max } => {
                (*min..=*max).contains(&text.len())
                    && text.bytes().all(|byte| allowed[usize::from(byte)])
            }
            Matcher::Regex(regex) => regex.is_match(text),
        }
    }
}

/// The table for `^[…]{n}$` and `^[…]{m,n}$` with letters, digits, `_`, ranges of
/// them and a `-` at the end; None for any other pattern.
fn class(source: &str) -> Option<Matcher> {
    let (members, counts) = source
        .strip_prefix("^[")?
        .strip_suffix("}$")?
        .split_once("]{")?;
    let (min, max) = counts.split_once(',').unwrap_or((counts, counts));
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut allowed = Box::new([false; 256]);
    let mut rest = members.as_bytes();
    while !rest.is_empty() {
        let (from, to, after) = match rest {
            [from, b'-', to, after @ ..] if word(*from) && word(*to) && from <= to => {
                (*from, *to, after)
            }
            [b'-'] => (b'-', b'-', &[][..]),
            [one, after @ ..] if word(*one) => (*one, *one, after),
            _ => return None,
        };
        for byte in from..=to {
            allowed[usize::from(byte)] = true;
        }
        rest = after;
    }
    Some(Matcher::Class {
        allowed,
        min: min.parse().ok()?,
        max: max.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_of_one_class_are_looked_up_and_others_are_not() {
        for (source, is_class) in [
            ("^[A-Za-z0-9_-]{1,36}$", true),
            ("^[A-Za-z0-9]{13}$", true),
            ("^[A-Z]+$", false),
            ("^[^A-Z]{1,3}$", false),
            ("^[\\w]{1,3}$", false),
            ("^[a-zé]{1,3}$", false),
            ("^[A-Z]{1,3}[0-9]{1,3}$", false),
            ("[A-Z]{1,3}", false),
            ("^[A-Z]{3,}$", false),
        ] {
            let pattern = Pattern::new(source).unwrap();
            assert_eq!(
                matches!(pattern.matcher, Matcher::Class { .. }),
                is_class,
                "{source}"
            );
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_refused_with_the_reason() {
        assert!(Pattern::new("^[A-Z").unwrap_err().contains("unclosed"));
    }

    proptest! {
        #[test]
        fn a_table_matches_what_its_regular_expression_matches(
            source in "\\^\\[(A-Z|a-z|0-9|_|x|b-d){1,4}-?\\]\\{(0|1|2),(2|3|5)\\}\\$",
            text in "[A-Za-z0-9_é.\n-]{0,6}",
        ) {
            let pattern = Pattern::new(&source).unwrap();
            prop_assert!(matches!(pattern.matcher, Matcher::Class { .. }), "{}", source);
            prop_assert_eq!(pattern.matches(&text), Regex::new(&source).unwrap().is_match(&text));
        }
    }
}
