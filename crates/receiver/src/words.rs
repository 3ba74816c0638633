//! The receiver's own words. They may quote a child's values, so they go to the
//! row's `api_response` and nowhere else: no `Debug`, no `Display`.

/// Text from the receiver, for `api_response` alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(String);

/// The longest text kept of one reply, in characters: enough for any message, and
/// short enough that a page of HTML does not fill the table.
const LONGEST: usize = 4000;

impl Words {
    /// Keeps a reply's text: white space folded, control characters dropped, cut to
    /// 4,000 characters.
    pub fn of(bytes: &[u8]) -> Self {
        Words::from_text(&String::from_utf8_lossy(bytes))
    }

    /// As `of`, from text.
    pub fn from_text(text: &str) -> Self {
        Words(folded(text, LONGEST))
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, for `api_response` alone.
    pub fn for_response(&self) -> &str {
        &self.0
    }
}

/// A text on one line, without control characters, of at most so many characters.
pub(crate) fn folded(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > longest * 4 {
            break;
        }
    }
    match out.char_indices().nth(longest) {
        Some((end, _)) => out[..end].to_string(),
        None => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded_to_one_line_and_cut() {
        assert_eq!(
            Words::of(b" a\r\n\tb\x00c\xff ").for_response(),
            "a b c\u{fffd}"
        );
        let long = "é".repeat(5000);
        assert_eq!(Words::from_text(&long).for_response().chars().count(), 4000);
        assert!(Words::of(b" \n").is_empty());
    }
}
