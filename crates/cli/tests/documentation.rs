//! The pages of documentation say what the program says: every message's code, every
//! setting, every payload rule and every exit code has its place, and no page speaks of
//! one that is gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use csc_message::Exit;
use csc_payload::finding::{RuleId, Severity};
use regex::Regex;

const PAGES: &[&str] = &[
    "README.md",
    "docs/commands.md",
    "docs/configuration.md",
    "docs/deltas.md",
    "docs/exit-codes.md",
    "docs/fake-data.md",
    "docs/faults.md",
    "docs/first-morning.md",
    "docs/governance.md",
    "docs/journal.md",
    "docs/logs.md",
    "docs/moving-over.md",
    "docs/payload-rules.md",
    "docs/reports.md",
    "docs/running.md",
    "docs/scheduling.md",
    "docs/secrets.md",
    "docs/sql-server.md",
    "docs/troubleshooting.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(path: &str) -> String {
    let text = fs::read_to_string(root().join(path));
    text.unwrap_or_else(|e| panic!("{path}: {e}"))
        .replace("\r\n", "\n")
}

/// Every source file of every crate, without what only its tests are made of.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("src"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
                let end = text.find("#[cfg(test)]\nmod tests {");
                found.push((path, text[..end.unwrap_or(text.len())].to_string()));
            }
        }
    }
    assert!(found.len() > 50, "the crates' sources were not found");
    found
}

/// The codes of all messages: numbers that stand in a `Message::new`, and the constants
/// of a file that passes one on.
fn codes_of_sources() -> BTreeSet<u16> {
    let made = Regex::new(r"Message::new\(\s*(?:(\d+)|[^\s\d)])").unwrap();
    let constant = Regex::new(r"(?m)^const [A-Z_]+: u16 = (\d+);$").unwrap();
    let mut codes = BTreeSet::new();
    for (path, text) in sources() {
        for new in made.captures_iter(&text) {
            if let Some(number) = new.get(1) {
                codes.insert(number.as_str().parse().unwrap());
                continue;
            }
            let mut constants = constant
                .captures_iter(&text)
                .map(|found| found[1].parse::<u16>().unwrap())
                .peekable();
            assert!(
                constants.peek().is_some(),
                "{} makes a message whose code this test cannot find",
                path.display()
            );
            codes.extend(constants);
        }
    }
    codes
}

/// The codes that the page has entries for, in its order.
fn codes_of_page() -> Vec<u16> {
    let heading = Regex::new(r"(?m)^### CSC(\d{4})$").unwrap();
    heading
        .captures_iter(&page("docs/troubleshooting.md"))
        .map(|found| found[1].parse().unwrap())
        .collect()
}

#[test]
fn every_message_has_its_entry_in_troubleshooting_and_every_entry_its_message() {
    let sources = codes_of_sources();
    let entries: BTreeSet<u16> = codes_of_page().into_iter().collect();
    let without_entry: Vec<_> = sources.difference(&entries).collect();
    let without_message: Vec<_> = entries.difference(&sources).collect();
    assert!(
        without_entry.is_empty() && without_message.is_empty(),
        "codes without an entry in docs/troubleshooting.md: {without_entry:?}; \
         entries of codes that no source has: {without_message:?}"
    );
}

#[test]
fn troubleshooting_has_each_code_once_in_order_with_what_to_do() {
    let codes = codes_of_page();
    assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    let text = page("docs/troubleshooting.md");
    for entry in text.split("\n### ").skip(1) {
        let code = entry.lines().next().unwrap_or_default();
        assert!(entry.contains("**Says:**"), "{code} does not say what");
        let advised = ["**Do:**", "**Why and do:**"].map(|word| entry.contains(word));
        assert!(advised.contains(&true), "{code} does not say what to do");
    }
}

#[test]
fn every_setting_of_the_template_is_explained() {
    let template = Command::new(env!("CARGO_BIN_EXE_csc-sender"))
        .args(["config", "template"])
        .output()
        .unwrap();
    let template = String::from_utf8(template.stdout).unwrap();
    let setting = Regex::new(r"(?m)^#?([A-Z_]+)=").unwrap();
    let settings: BTreeSet<String> = setting
        .captures_iter(&template)
        .map(|found| found[1].to_string())
        .collect();
    assert!(settings.len() > 30, "{template}");
    let row = Regex::new(r"(?m)^\| `([A-Z_]+)` \|").unwrap();
    let explained: BTreeSet<String> = row
        .captures_iter(&page("docs/configuration.md"))
        .map(|found| found[1].to_string())
        .collect();
    assert_eq!(explained, settings);
}

#[test]
fn the_page_on_secrets_names_them_all() {
    let help = Command::new(env!("CARGO_BIN_EXE_csc-sender"))
        .args(["secret", "set", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, names) = help.split_once("One of ").unwrap();
    let names: Vec<&str> = names.lines().next().unwrap().split(", ").collect();
    assert!(names.len() >= 4, "{help}");
    let first = page("docs/secrets.md");
    let (first, _) = first.split_once("\n## ").unwrap();
    for name in names {
        assert!(first.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_payload_rule_is_explained_under_its_severity() {
    let text = page("docs/payload-rules.md");
    let (_, rest) = text.split_once("\n## Errors\n").unwrap();
    let (errors, rest) = rest.split_once("\n## Warnings\n").unwrap();
    let (warnings, _) = rest.split_once("\n## ").unwrap();
    let rule = Regex::new(r"(?m)^### `([a-z-]+)`$").unwrap();
    for (severity, section) in [(Severity::Error, errors), (Severity::Warning, warnings)] {
        let explained: BTreeSet<&str> = rule
            .captures_iter(section)
            .map(|found| found.get(1).unwrap().as_str())
            .collect();
        let rules: BTreeSet<&str> = RuleId::ALL
            .iter()
            .filter(|rule| rule.severity() == severity)
            .map(|rule| rule.name())
            .collect();
        assert_eq!(explained, rules, "{severity}");
    }
}

#[test]
fn exit_codes_are_told_as_help_tells_them() {
    for path in ["README.md", "docs/exit-codes.md", "docs/running.md"] {
        let text = page(path);
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(text.contains(&row), "{path} lacks {row}");
        }
    }
}

/// What the program prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_csc-sender"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .replace("\r\n", "\n")
}

/// The commands that a `--help` lists.
fn commands_of(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let list = list.split("\n\n").next().unwrap_or_default();
    let command = Regex::new(r"(?m)^  ([a-z][a-z-]*)\b").unwrap();
    command
        .captures_iter(list)
        .map(|found| found[1].to_string())
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn every_command_is_on_its_page_and_every_command_of_the_page_is_there() {
    let mut commands = BTreeSet::new();
    for command in commands_of(&printed(&["--help"])) {
        let below = commands_of(&printed(&[&command, "--help"]));
        if below.is_empty() {
            commands.insert(command);
        } else {
            commands.extend(below.iter().map(|below| format!("{command} {below}")));
        }
    }
    assert!(commands.len() > 12, "{commands:?}");
    let text = page("docs/commands.md");
    let (list, rest) = text.split_once("\n## check").unwrap();
    let row = Regex::new(r"(?m)^\| `([a-z -]+)` \|").unwrap();
    let told: BTreeSet<String> = row
        .captures_iter(list)
        .map(|found| found[1].to_string())
        .collect();
    assert_eq!(told, commands);
    let (_, pilots) = rest.split_once("\n## The pilot's names").unwrap();
    let name = Regex::new(r"`([a-z-]+)`").unwrap();
    let names = pilots.lines().filter(|line| line.starts_with("| `"));
    let mut count = 0;
    for line in names {
        let theirs = line.split('|').nth(1).unwrap();
        for found in name.captures_iter(theirs) {
            assert!(printed(&[&found[1], "--help"]).contains("Usage:"));
            count += 1;
        }
    }
    assert_eq!(count, 6);
}

#[test]
fn every_code_is_explained_in_the_terminal_with_the_pages_words() {
    let text = page("docs/troubleshooting.md");
    let list = printed(&["explain"]);
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    for code in codes_of_page() {
        let code = format!("CSC{code:04}");
        let said = printed(&["explain", &code]);
        let (_, entry) = text.split_once(&format!("\n### {code}\n")).unwrap();
        let entry = entry.split("\n### ").next().unwrap();
        let entry = entry.split("\n## ").next().unwrap();
        // Without Markdown's marks: the words of each line are there, in their order.
        let words = link.replace_all(entry, "$1").replace("**", "");
        let said = said.replace("**", "");
        let mut rest = said.as_str();
        for word in words.split_whitespace() {
            let word = word.trim_matches(['(', ')', '.', ',', ';', ':']);
            let at = rest.find(word);
            assert!(at.is_some(), "explain {code} lacks {word:?}: {said}");
            rest = &rest[at.unwrap() + word.len()..];
        }
        assert!(
            list.contains(&format!("  {code}  ")),
            "{code} is not listed"
        );
    }
    let unknown = Command::new(env!("CARGO_BIN_EXE_csc-sender"))
        .args(["explain", "CSC0999"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("CSC0262"));
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c => c.is_alphanumeric().then_some(c),
        })
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if !in_code && line.starts_with('#') {
            found.insert(anchor(line.trim_start_matches('#')));
        }
    }
    found
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut links = 0;
    for path in PAGES {
        let text = page(path);
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.starts_with("https://") {
                continue;
            }
            links += 1;
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let here = Path::new(path);
            let there = match file {
                "" => here.to_path_buf(),
                file => here.parent().unwrap_or(Path::new("")).join(file),
            };
            let there = root().join(there);
            assert!(there.exists(), "{path} links to {target}");
            if !place.is_empty() {
                let text = fs::read_to_string(&there).unwrap();
                assert!(anchors(&text).contains(place), "{path} links to {target}");
            }
        }
    }
    assert!(links > 50, "the links were not found");
}
