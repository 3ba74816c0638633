//! The four grammars of `key=value` text, and the meaning of their keys.
//!
//! The grammars differ in how a value is quoted and in which of two equal keys counts,
//! and in nothing else, so what follows a grammar is one code for all.

use super::findings::Findings;

/// A key and its value, as a string gives them. No Debug: the value may be a password.
pub(super) struct Pair {
    /// In lower case, without white space and underscores: `trustedconnection`.
    pub(super) key: String,
    /// As it was written.
    pub(super) written: String,
    pub(super) value: String,
    /// Whether it may be part of a password, and so must not be shown.
    pub(super) hidden: bool,
}

impl Pair {
    pub(super) fn new(written: &str, value: impl Into<String>) -> Self {
        let written = written.trim();
        Pair {
            key: written
                .chars()
                .filter(|c| !c.is_whitespace() && *c != '_')
                .flat_map(char::to_lowercase)
                .collect(),
            written: written.to_string(),
            value: value.into(),
            hidden: false,
        }
    }

    pub(super) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
}

/// What a key means to a driver.
pub(super) enum Meaning<F> {
    /// One of the values that are read.
    Field(F),
    /// Known to the driver, and of no consequence here.
    NoMatter,
    /// Not known.
    Unknown,
}

/// Which of two equal keys counts: the first in ODBC, the last everywhere else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    First,
    Last,
}

/// The fields of a string, each at most once.
pub(super) struct Fields<F> {
    fields: Vec<(F, Pair)>,
}

impl<F: Copy + PartialEq> Fields<F> {
    /// Sorts pairs by their meaning. Warns of keys that are unknown or repeated. A
    /// blank value counts as none.
    ///
    /// A password with an unquoted separator spills into the pairs after it, so what
    /// follows a password is not shown, up to and including the next key that is known.
    pub(super) fn collect(
        pairs: Vec<Pair>,
        keep: Keep,
        password: F,
        meaning: impl Fn(&str) -> Meaning<F>,
        findings: &mut Findings,
    ) -> Self {
        let mut fields: Vec<(F, Pair)> = Vec::new();
        let mut after_password = false;
        for mut pair in pairs {
            pair.hidden |= after_password;
            let field = match meaning(&pair.key) {
                Meaning::Field(field) => field,
                Meaning::NoMatter => {
                    after_password = false;
                    continue;
                }
                Meaning::Unknown => {
                    findings.warn(unknown_key(&pair));
                    continue;
                }
            };
            after_password = field == password;
            if pair.value.trim().is_empty() {
                continue;
            }
            if field != password && holds_password_key(&pair.value) {
                findings.swallowed_password(&pair);
                continue;
            }
            match fields.iter_mut().find(|(known, _)| *known == field) {
                None => fields.push((field, pair)),
                Some((_, earlier)) => {
                    findings.warn(format!(
                        "{} is given twice in the connection string ({}); the {} counts",
                        pair.written,
                        if pair.key == earlier.key {
                            "the same key".to_string()
                        } else {
                            format!("once as {}", earlier.written)
                        },
                        match keep {
                            Keep::First => "first",
                            Keep::Last => "last",
                        }
                    ));
                    if keep == Keep::Last {
                        *earlier = pair;
                    }
                }
            }
        }
        Fields { fields }
    }

    /// Takes a field's pair out.
    pub(super) fn take(&mut self, field: F) -> Option<Pair> {
        let at = self.fields.iter().position(|(known, _)| *known == field)?;
        Some(self.fields.swap_remove(at).1)
    }

    /// Takes a field's value out.
    pub(super) fn take_value(&mut self, field: F) -> Option<String> {
        self.take(field).map(|pair| pair.value)
    }
}

/// A value whose closing brace or mark is missing takes in what follows, and would
/// show it.
pub(super) fn holds_password_key(value: &str) -> bool {
    let packed: String = value.split_whitespace().collect();
    let packed = packed.to_lowercase();
    packed.contains("pwd=") || packed.contains("password=")
}

fn unknown_key(pair: &Pair) -> String {
    if pair.hidden {
        return "A key right after the password in the connection string is not known and was \
                left out; if it is part of the password, put the password in quotes as the \
                string's form asks"
            .to_string();
    }
    format!(
        "The connection string's key {} has no meaning for csc-sender and was left out",
        pair.written
    )
}

/// ODBC: `key=value;`, where a value that begins with `{` ends with `}`, and a `}`
/// inside it is doubled (ODBC's "Connection Strings" in SQLDriverConnect).
pub(super) fn odbc(text: &str, findings: &mut Findings) -> Vec<Pair> {
    separated(text, findings, |rest, part, findings| {
        if !rest.starts_with('{') {
            return plain(rest);
        }
        match quoted(&rest[1..], '}') {
            Some(quoted) => quoted,
            None => {
                findings.not_readable(
                    &format!("its part {part} has a {{ that is not closed"),
                    "a value that begins with { goes on until a } that is not doubled",
                    "close it with }, and write a } inside it twice",
                );
                (String::new(), "")
            }
        }
    })
}

/// ADO.NET and OLE DB: `key=value;`, where a value that begins with a quotation mark
/// ends with the same, and one inside it is doubled.
pub(super) fn ado_net(text: &str, findings: &mut Findings) -> Vec<Pair> {
    separated(text, findings, |rest, part, findings| {
        let Some(quote @ ('"' | '\'')) = rest.chars().next() else {
            return plain(rest);
        };
        match quoted(&rest[1..], quote) {
            Some(quoted) => quoted,
            None => {
                findings.not_readable(
                    &format!("its part {part} has a quotation mark that is not closed"),
                    "a value that begins with a quotation mark goes on until the same mark",
                    "close it, and write such a mark inside it twice",
                );
                (String::new(), "")
            }
        }
    })
}

/// What ODBC and ADO.NET share: parts separated by `;`. `value` reads a value and
/// gives it with the text after it.
fn separated<'a>(
    text: &'a str,
    findings: &mut Findings,
    value: impl Fn(&'a str, usize, &mut Findings) -> (String, &'a str),
) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut rest = text;
    for part in 1.. {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        if rest.is_empty() {
            break;
        }
        let end = rest.find(';').unwrap_or(rest.len());
        let Some(equals) = rest[..end].find('=') else {
            findings.not_readable(
                &format!("its part {part} has no ="),
                "it is made of key=value parts with a ; between them",
                "if that part belongs to a value with a ; in it (a password?), put the value in \
                 braces in an ODBC string, PWD={a;b}, and in quotation marks in an ADO.NET \
                 string, Password=\"a;b\"",
            );
            rest = &rest[end..];
            continue;
        };
        let key = &rest[..equals];
        let (read, after) = value(rest[equals + 1..].trim_start(), part, findings);
        pairs.push(Pair::new(key, read));
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with(';') {
            findings.not_readable(
                &format!("something stands between the value of its part {part} and the next ;"),
                "a value in braces or quotation marks ends with them",
                "write a closing mark that belongs to the value twice, and put a ; after the last",
            );
            let end = rest.find(';').unwrap_or(rest.len());
            rest = &rest[end..];
        }
    }
    pairs
}

/// An unquoted value: up to the next `;`, without white space around it.
fn plain(rest: &str) -> (String, &str) {
    let end = rest.find(';').unwrap_or(rest.len());
    (rest[..end].trim_end().to_string(), &rest[end..])
}

/// A value up to its closing mark, and what follows. A doubled mark is one of the value.
fn quoted(rest: &str, closing: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let ends = c == closing && chars.next_if(|(_, next)| *next == closing).is_none();
        if ends {
            return Some((value, &rest[at + closing.len_utf8()..]));
        }
        value.push(c);
    }
    None
}

/// libpq: `key = value` separated by white space; a value with white space stands in
/// `'…'`, and `\` takes the next character as it is ("Keyword/Value Connection Strings").
pub(super) fn libpq(text: &str, findings: &mut Findings) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    for part in 1.. {
        if rest.is_empty() {
            break;
        }
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let (key, after) = (&rest[..end], rest[end..].trim_start());
        let Some(after) = after.strip_prefix('=') else {
            findings.not_readable(
                &format!("its word {part} has no ="),
                "it is made of key=value parts with spaces between them",
                "if that word belongs to a value with a space in it (a password?), put the value \
                 in '…'",
            );
            rest = after;
            continue;
        };
        let (value, after) = libpq_value(after.trim_start(), part, findings);
        pairs.push(Pair::new(key, value));
        rest = after.trim_start();
    }
    pairs
}

pub(super) fn libpq_value<'a>(
    text: &'a str,
    part: usize,
    findings: &mut Findings,
) -> (String, &'a str) {
    let (text, in_quotes) = match text.strip_prefix('\'') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if in_quotes => return (value, &text[at + 1..]),
            c if c.is_whitespace() && !in_quotes => return (value, &text[at..]),
            c => value.push(c),
        }
    }
    if in_quotes {
        findings.not_readable(
            &format!("its word {part} has a ' that is not closed"),
            "a value that begins with ' goes on until the next ' without a \\ before it",
            "close it with ', and write a ' inside it as \\'",
        );
    }
    (value, "")
}

/// `yes`, `no` and their like.
pub(super) fn yes_or_no(pair: &Pair, findings: &mut Findings) -> Option<bool> {
    match pair.value.trim().to_lowercase().as_str() {
        "yes" | "true" | "1" | "on" => Some(true),
        "no" | "false" | "0" | "off" => Some(false),
        _ => {
            findings.value(pair, "it takes yes or no", "write yes or no");
            None
        }
    }
}

/// A port, 1..=65535.
pub(super) fn port(pair: &Pair, findings: &mut Findings) -> Option<u16> {
    match pair.value.trim().parse() {
        Ok(0) | Err(_) => {
            findings.value(
                pair,
                "a port is a number from 1 to 65535",
                "correct the number, or leave it out for the usual port",
            );
            None
        }
        Ok(port) => Some(port),
    }
}

/// Seconds; 0 means no limit of its own.
pub(super) fn seconds(pair: &Pair, findings: &mut Findings) -> Option<std::time::Duration> {
    match pair.value.trim().parse::<u16>() {
        Ok(0) => None,
        Ok(seconds) => Some(std::time::Duration::from_secs(seconds.into())),
        Err(_) => {
            findings.value(
                pair,
                "it is a number of seconds, 0 to 65535",
                "write a whole number, e.g. 15",
            );
            None
        }
    }
}
