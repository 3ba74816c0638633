//! `explain`: the page of troubleshooting, code by code, in the terminal.

use csc_message::{Exit, Message};

use super::Outcome;
use crate::arguments::ExplainArgs;
use crate::console;

const PAGE: &str = include_str!("../../../../docs/troubleshooting.md");

pub fn run(args: &ExplainArgs) -> Outcome {
    let Some(asked) = &args.code else {
        for line in list() {
            console::result(&line);
        }
        return Ok(Exit::Done);
    };
    let entry = code(asked).and_then(|code| entries().find(|entry| entry.code == code));
    match entry {
        Some(entry) => {
            console::result(&format!("{}\n\n{}", entry.code, plain(entry.text)));
            Ok(Exit::Done)
        }
        None => Err(vec![unknown(asked)]),
    }
}

/// `CSC0123` for `CSC0123`, `csc123`, `0123` and `123`.
fn code(asked: &str) -> Option<String> {
    let asked = asked.trim().trim_end_matches([':', '.', ',']);
    let prefixed = asked.get(..3).filter(|p| p.eq_ignore_ascii_case("csc"));
    let digits = prefixed.map_or(asked, |prefix| &asked[prefix.len()..]);
    let is_number = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("CSC{digits:0>4}"))
}

fn unknown(asked: &str) -> Message {
    // Whatever was typed may be anything.
    let shown: String = asked.chars().filter(|c| !c.is_control()).take(20).collect();
    Message::new(
        262,
        format!("There is no message {shown:?}"),
        format!(
            "csc-sender {} has none of that code; a code is CSC and four digits, e.g. CSC0201",
            env!("CARGO_PKG_VERSION")
        ),
        "`csc-sender explain` lists them all; a message of another version of the program is \
         explained by that version",
    )
}

/// What the page has for one code.
struct Entry {
    code: &'static str,
    /// The heading that it stands under.
    section: &'static str,
    /// All of it, below its own heading.
    text: &'static str,
}

impl Entry {
    /// What the message says, on one line.
    fn says(&self) -> String {
        let lines = self.text.trim_start().lines().map(str::trim);
        let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
        let paragraph = paragraph.join(" ");
        let says = paragraph.trim_start_matches("**Says:** ");
        plain(says.trim_end_matches('.'))
    }
}

fn entries() -> impl Iterator<Item = Entry> {
    // A checkout on Windows may have Windows' line ends.
    let sections = PAGE.split("\n## ").skip(1);
    sections.flat_map(|section| {
        let title = section.lines().next().unwrap_or_default().trim_end();
        section.split("\n### ").skip(1).filter_map(move |entry| {
            let (code, text) = entry.split_once('\n')?;
            Some(Entry {
                code: code.trim_end(),
                section: title,
                text,
            })
        })
    })
}

/// Every code with what it says, under the page's own headings.
fn list() -> Vec<String> {
    let mut lines = Vec::new();
    let mut section = "";
    for entry in entries() {
        if entry.section != section {
            section = entry.section;
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(section.to_string());
        }
        lines.push(format!("  {}  {}", entry.code, entry.says()));
    }
    lines
}

/// The page's text without Markdown's marks: bold words as they are, and a link as its
/// words with the page that it leads to.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, words, target, after)) = first_link(rest) {
        out.push_str(before);
        out.push_str(words);
        if let Some(page) = shown_target(target) {
            out.push_str(&format!(" ({page})"));
        }
        rest = after;
    }
    out.push_str(rest);
    // Between backticks nothing is a mark: a secret is shown as ****.
    let parts = out.split('`').enumerate().map(|(n, part)| match n % 2 {
        0 => part.replace("**", ""),
        _ => part.to_string(),
    });
    let out = parts.collect::<Vec<_>>().join("`").replace('\r', "");
    out.trim().to_string()
}

/// What stands before a link, its words, its target, and what stands after it.
fn first_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let middle = text.find("](")?;
    let open = text[..middle].rfind('[')?;
    let (target, after) = text[middle + 2..].split_once(')')?;
    Some((&text[..open], &text[open + 1..middle], target, after))
}

/// A page of ours as it stands in the repository; a place on this very page is none.
fn shown_target(target: &str) -> Option<String> {
    let page = target.split_once('#').map_or(target, |(page, _)| page);
    match page {
        "" => None,
        page if page.starts_with("https://") => Some(target.to_string()),
        page => Some(match page.strip_prefix("../") {
            Some(page) => page.to_string(),
            None => format!("docs/{page}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_understood_however_it_is_written() {
        for asked in ["CSC0201", "csc0201", "0201", "201", " CSC201: "] {
            assert_eq!(code(asked).as_deref(), Some("CSC0201"), "{asked}");
        }
        for asked in ["", "CSC", "CSC02011", "twelve", "CSé0201", "-201"] {
            assert_eq!(code(asked), None, "{asked}");
        }
    }

    #[test]
    fn every_entry_is_found_by_its_code_and_says_something() {
        let mut found = 0;
        for entry in entries() {
            assert_eq!(code(entry.code).as_deref(), Some(entry.code));
            assert!(entry.says().len() > 10, "{}", entry.code);
            assert!(!plain(entry.text).contains("]("), "{}", entry.code);
            found += 1;
        }
        assert!(found > 70, "{found}");
    }

    #[test]
    fn marks_are_left_out_and_links_keep_their_page() {
        assert_eq!(
            plain(
                "**Do:** see [order](configuration.md#where), [more](#x), [safe](../SECURITY.md)."
            ),
            "Do: see order (docs/configuration.md), more, safe (SECURITY.md)."
        );
        assert_eq!(plain("an [open bracket"), "an [open bracket");
        assert_eq!(plain("**Do:** look at `****`"), "Do: look at `****`");
    }
}
