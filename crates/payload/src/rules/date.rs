//! Calendar dates as the specification writes them.

use jiff::civil::Date;

/// Reads `YYYY-MM-DD`: ten characters, a day that the calendar has, from the year
/// 1 on (common date types know no year 0).
pub(super) fn read(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else {
        return None;
    };
    let year = number(&[y1, y2, y3, y4])?;
    let month = i8::try_from(number(&[m1, m2])?).ok()?;
    let day = i8::try_from(number(&[d1, d2])?).ok()?;
    if year == 0 {
        return None;
    }
    Date::new(year, month, day).ok()
}

fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0i16, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i16::from(digit - b'0'))
    })
}

/// What a text that is no date looks like, for the advice; nothing of the text.
pub(super) fn looks_like(text: &str) -> Option<&'static str> {
    let start = text.get(..10);
    let digits = |range: std::ops::Range<usize>| {
        text.as_bytes()
            .get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    if text.len() > 10 && start.is_some_and(|start| read(start).is_some()) {
        return Some("it looks like a date with a time behind it");
    }
    if text.trim() != text && read(text.trim()).is_some() {
        return Some("it looks like a date with blanks around it");
    }
    if text.len() == 8 && digits(0..8) {
        return Some("it looks like a date without its dashes");
    }
    if text.len() == 10 && digits(0..2) && digits(3..5) && digits(6..10) {
        return Some("it looks like a date that begins with the day");
    }
    if text.len() == 10 && digits(0..4) && digits(5..7) && digits(8..10) {
        return Some(match text.as_bytes()[4] {
            b'-' => "it looks like a date that the calendar does not have",
            _ => "it looks like a date with other signs than dashes",
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_ten_characters_that_the_calendar_has() {
        for (text, is_date) in [
            ("2024-02-29", true),
            ("2000-02-29", true),
            ("0001-01-01", true),
            ("9999-12-31", true),
            ("2023-02-29", false),
            ("1900-02-29", false),
            ("2023-04-31", false),
            ("2023-00-10", false),
            ("2023-13-10", false),
            ("2023-01-00", false),
            ("0000-01-01", false),
            ("2023-1-10", false),
            ("2023-01-10 ", false),
            ("+023-01-10", false),
            ("2023/01/10", false),
            ("10-01-2023", false),
            ("20230110", false),
            ("２０23-01-1", false),
            ("", false),
        ] {
            assert_eq!(read(text).is_some(), is_date, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_described_without_being_quoted() {
        for (text, part) in [
            ("2023-01-10T00:00:00", Some("time behind")),
            ("2023-01-10 00:00", Some("time behind")),
            (" 2023-01-10", Some("blanks around")),
            ("20230110", Some("without its dashes")),
            ("10/01/2023", Some("begins with the day")),
            ("2023/01/10", Some("other signs")),
            ("2023-02-30", Some("the calendar does not have")),
            ("yesterday!", None),
            ("é023-01-1", None),
            ("", None),
        ] {
            match (looks_like(text), part) {
                (Some(words), Some(part)) => assert!(words.contains(part), "{text}: {words}"),
                (words, part) => assert_eq!(words, part, "{text}"),
            }
        }
    }
}
