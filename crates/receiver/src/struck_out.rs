//! Our secrets, struck out of what others say.
//!
//! A reply quotes a secret as it pleases: a login service in JSON (where .NET writes a `+`
//! as `\u002B`), a gateway in a page of HTML, a proxy as it stood in the form. So a secret
//! is found character by character, each in any of the ways in which it may be written.

/// What stands in a secret's place.
const STRUCK_OUT: &str = "****";

/// The most backslashes in a row that escape one character: JSON within JSON within JSON.
const BACKSLASHES: usize = 4;

/// `&#x0010FFFF;` without its `&`.
const LONGEST_ENTITY: usize = 11;

/// The text with each place where one of the secrets stands struck out.
pub(crate) fn struck_out<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut text = text.to_string();
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        let mut kept = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let length = length_of(secret, rest);
            match length {
                Some(_) => kept.push_str(STRUCK_OUT),
                None => kept.push(first),
            }
            rest = &rest[length.unwrap_or(first.len_utf8())..];
        }
        text = kept;
    }
    text
}

/// How much of the text's beginning is the secret, if it is.
fn length_of(secret: &str, text: &str) -> Option<usize> {
    // At most places already its first character is not there.
    lengths_of(secret.chars().next()?, text).next()?;
    // A `%` may be one, or begin three characters that stand for another one.
    let mut ends = vec![0];
    for c in secret.chars() {
        let mut next: Vec<usize> = ends
            .iter()
            .flat_map(|end| lengths_of(c, &text[*end..]).map(move |length| end + length))
            .collect();
        next.sort_unstable();
        next.dedup();
        ends = next;
        if ends.is_empty() {
            return None;
        }
    }
    ends.last().copied()
}

/// How long the character is at the text's beginning, for each way in which it may be
/// written there.
fn lengths_of(c: char, text: &str) -> impl Iterator<Item = usize> {
    let plain = text.starts_with(c).then_some(c.len_utf8());
    let may_be_escaped = text.starts_with(['\\', '%', '&', '+']);
    let escaped = may_be_escaped
        .then(|| {
            let in_form = (c == ' ' && text.starts_with('+')).then_some(1);
            [in_form, in_url(c, text), in_html(c, text)]
                .into_iter()
                .chain(in_json(c, text))
        })
        .into_iter()
        .flatten();
    std::iter::once(plain).chain(escaped).flatten()
}

/// `%2B`, by the bytes of its UTF-8.
fn in_url(c: char, text: &str) -> Option<usize> {
    let mut rest = text;
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let hex = rest.strip_prefix('%')?.get(..2)?;
        if u8::from_str_radix(hex, 16) != Ok(byte) {
            return None;
        }
        rest = &rest[3..];
    }
    Some(text.len() - rest.len())
}

/// `&amp;`, `&#43;`, `&#x2B;`.
fn in_html(c: char, text: &str) -> Option<usize> {
    let rest = text.strip_prefix('&')?;
    // No further than the longest: a text of nothing but `&` is read once.
    let end = rest.bytes().take(LONGEST_ENTITY).position(|b| b == b';')?;
    let name = &rest[..end];
    let is_it = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code == Ok(u32::from(c))
        }
        None => matches!(
            (name, c),
            ("amp", '&') | ("lt", '<') | ("gt", '>') | ("quot", '"') | ("apos", '\'')
        ),
    };
    is_it.then_some(name.len() + 2)
}

/// `\"`, `\u002B`, and both with the backslashes of further quotations.
fn in_json(c: char, text: &str) -> impl Iterator<Item = Option<usize>> {
    (1..=BACKSLASHES).map(move |most| {
        let mut rest = text;
        for _ in 0..most {
            rest = rest.strip_prefix('\\')?;
        }
        let by_itself = rest.strip_prefix(c);
        let rest = by_itself.or_else(|| in_utf_16(c, rest, most))?;
        Some(text.len() - rest.len())
    })
}

/// `u002B`, and for a character of two units the second as well: what follows it.
fn in_utf_16(c: char, text: &str, backslashes: usize) -> Option<&str> {
    let mut rest = text;
    for (n, unit) in c.encode_utf16(&mut [0; 2]).iter().enumerate() {
        for _ in 0..if n == 0 { 0 } else { backslashes } {
            rest = rest.strip_prefix('\\')?;
        }
        let hex = rest.strip_prefix('u')?.get(..4)?;
        if u16::from_str_radix(hex, 16) != Ok(*unit) {
            return None;
        }
        rest = &rest[5..];
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str, secrets: &[&str]) -> String {
        struck_out(text, secrets.iter().copied())
    }

    #[test]
    fn a_secret_is_struck_out_however_it_is_written() {
        let secret = "a+b/\"&<é😀 %2B\\";
        for written in [
            secret,
            "a%2Bb%2F%22%26%3C%C3%A9%F0%9F%98%80%20%252B%5C",
            "a%2bb%2f%22%26%3c%c3%a9%f0%9f%98%80+%252B%5c",
            r#"a\u002Bb\/\"&<é😀 %2B\\"#,
            r#"\u0061\u002bb/\u0022\u0026\u003C\u00e9\uD83D\ude00 %2B\u005C"#,
            r#"a\\u002Bb\\/\\\"&<\\u00E9\\uD83D\\uDE00 %2B\\\\"#,
            r"a&#43;b&#x2F;&quot;&amp;&lt;&#233;&#128512; %2B\",
        ] {
            assert_eq!(
                without(&format!("é{written}. {written}"), &["zz", secret, ""]),
                "é****. ****",
                "{written}"
            );
        }
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for text in [
            "",
            "key1",
            "%6b%65%79%3",
            r"\u006",
            r"\\\\\\key12",
            "&#107",
            "&key12",
            "KEY12",
            "%é",
            r"\ué",
        ] {
            assert_eq!(without(text, &["key2", "%7a", "key11"]), text);
        }
        assert_eq!(without("%25", &["%25"]), "****");
        assert_eq!(without("%2525", &["%25"]), "****");
    }
}
