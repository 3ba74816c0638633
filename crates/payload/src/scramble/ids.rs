//! Identifiers: every one of a table's, by its keyed hash, and what replaces it.
//!
//! What is kept in memory is bounded: no identifier itself, but 17 bytes for each
//! different one, and 8 more (in a hash set) for knowing it again wherever it may stand.
//! With what the vectors and sets need to grow, and while replacements are given out, it
//! is 80 bytes at most. A child has some 15, so 100,000 children take about 100 MB, and
//! [`MOST_IDS`] about 640 MB.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashSet};
use std::hash::BuildHasher as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::TryRng as _;
use rand::rngs::SysRng;
use regex::Regex;
use serde_json::Value;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::record::Source;
use super::upn;

/// The most different identifiers that a table may have: half a million children's.
pub const MOST_IDS: usize = 8_000_000;

/// The longest text that replaces an identifier, in characters. The specification's
/// longest has 36.
const LONGEST: usize = 64;

/// From this length on an identifier is looked for inside other words too. A shorter one
/// is in any long word by chance.
const FOUND_INSIDE_FROM: usize = 13;

/// How many texts of one length are tried before a longer one is.
const TURNS_A_LENGTH: u8 = 32;

/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The key of one scrambling. It is made anew each time and never leaves memory, which it
/// is wiped from: without it nobody can tell which identifier became which.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// From the system's source of randomness.
    ///
    /// # Errors
    /// Where the system has none to give, in its own words.
    pub fn fresh() -> Result<Key, String> {
        let mut key = Zeroizing::new([0; 32]);
        SysRng
            .try_fill_bytes(&mut key[..])
            .map_err(|error| error.to_string())?;
        Ok(Key(key))
    }

    /// HMAC-SHA256 of a text, for one purpose.
    pub(super) fn digest(&self, purpose: Purpose, text: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("a key of 32 bytes");
        mac.update(&[purpose as u8]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

/// What a keyed hash is for: the same text has another one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Purpose {
    /// An identifier.
    Id,
    /// A unique pupil number.
    Upn,
    /// What replaces either.
    Replacement,
    /// A child's own random numbers.
    Child,
}

/// One identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: [u8; 15],
    /// Of its replacement; 0 for that of a UPN.
    length: u8,
    /// Which replacement it is given, where others are taken.
    turn: u8,
}

impl Entry {
    fn new(key: &Key, purpose: Purpose, id: &str) -> Entry {
        let digest = key.digest(purpose, id.as_bytes());
        let mut hash = [0; 15];
        hash.copy_from_slice(&digest[..15]);
        let length = match purpose {
            Purpose::Upn => 0,
            Purpose::Id | Purpose::Replacement | Purpose::Child => {
                u8::try_from(id.chars().count().min(LONGEST)).unwrap_or(u8::MAX)
            }
        };
        Entry {
            hash,
            length,
            turn: 0,
        }
    }

    /// The text that replaces it.
    fn replacement(&self, key: &Key) -> String {
        let digest = |part: u8| {
            let mut text = self.hash.to_vec();
            text.extend([self.length, self.turn, part]);
            key.digest(Purpose::Replacement, &text)
        };
        if self.length == 0 {
            let mut digits = [0; 12];
            for (digit, byte) in digits.iter_mut().zip(digest(0)).skip(1) {
                *digit = byte % 10;
            }
            return upn::with_digits(digits);
        }
        let length = usize::from(self.length + self.turn / TURNS_A_LENGTH);
        (0..=u8::MAX)
            .flat_map(digest)
            .take(length)
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
            .collect()
    }
}

/// Why a table can't be scrambled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// More identifiers than memory is set aside for.
    #[error("it has more than {MOST_IDS} different identifiers")]
    TooMany,
    /// No text is left that could replace one.
    #[error("its identifiers are so many and so short that no texts are left to replace them by")]
    NoneLeft,
}

/// The identifiers of a table, while its rows are gone through.
pub struct Gathering {
    key: Key,
    entries: Vec<Entry>,
    /// How many of them are sorted, and different.
    sorted: usize,
    words: Words,
    pattern: Pattern,
}

impl Gathering {
    /// Of no row yet.
    pub fn new(key: Key) -> Gathering {
        Gathering {
            key,
            entries: Vec::new(),
            sorted: 0,
            words: Words::default(),
            pattern: Pattern::new(),
        }
    }

    /// Takes the identifiers of a row: its own, and those in its payload wherever they
    /// stand, also where the payload is no JSON.
    ///
    /// # Errors
    /// [`Crowded::TooMany`].
    pub fn add(&mut self, row: &Source<'_>) -> Result<(), Crowded> {
        let (key, entries, words) = (&self.key, &mut self.entries, &mut self.words);
        self.pattern.each_id(row, &mut |purpose, id| {
            entries.push(Entry::new(key, purpose, id));
            words.insert(id);
        });
        if self.entries.len() > 2 * self.sorted + (1 << 16) {
            self.sort();
            if self.sorted > MOST_IDS {
                return Err(Crowded::TooMany);
            }
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.entries.sort_unstable();
        self.entries.dedup();
        self.sorted = self.entries.len();
    }

    /// Gives each identifier its replacement: one that no other has, and that is itself
    /// no identifier of the table.
    ///
    /// # Errors
    /// A [`Crowded`].
    pub fn settle(mut self) -> Result<Ids, Crowded> {
        self.sort();
        if self.sorted > MOST_IDS {
            return Err(Crowded::TooMany);
        }
        self.entries.shrink_to_fit();
        let mut taken: HashSet<u64> = HashSet::with_capacity(self.entries.len());
        for entry in &mut self.entries {
            loop {
                let word = self.words.number(&entry.replacement(&self.key));
                if !self.words.numbers.contains(&word) && taken.insert(word) {
                    break;
                }
                entry.turn = entry.turn.checked_add(1).ok_or(Crowded::NoneLeft)?;
            }
        }
        Ok(Ids {
            key: self.key,
            entries: self.entries,
            words: self.words,
            pattern: self.pattern,
        })
    }
}

/// The identifiers of a table, and what replaces each.
pub struct Ids {
    key: Key,
    entries: Vec<Entry>,
    words: Words,
    pattern: Pattern,
}

impl Ids {
    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What replaces an identifier; `None` for one that was not met before. A blank one
    /// stays blank.
    pub(super) fn id(&self, id: &str) -> Option<String> {
        self.replacement(Purpose::Id, id)
    }

    /// What replaces a unique pupil number.
    pub(super) fn upn(&self, upn: &str) -> Option<String> {
        self.replacement(Purpose::Upn, upn)
    }

    fn replacement(&self, purpose: Purpose, id: &str) -> Option<String> {
        let id = id.trim();
        if id.is_empty() {
            return Some(String::new());
        }
        Some(self.find(purpose, id)?.replacement(&self.key))
    }

    fn find(&self, purpose: Purpose, id: &str) -> Option<&Entry> {
        let sought = Entry::new(&self.key, purpose, id);
        let at = self
            .entries
            .binary_search_by(|entry| (entry.hash, entry.length).cmp(&(sought.hash, sought.length)))
            .ok()?;
        self.entries.get(at)
    }

    /// Whether all identifiers of a row were met before.
    pub fn know(&self, row: &Source<'_>) -> bool {
        let mut all = true;
        self.pattern.each_id(row, &mut |purpose, id| {
            all = all && self.find(purpose, id).is_some();
        });
        all
    }

    /// Whether an identifier of the table stands in a text: as the whole of it, as a word
    /// of it, or, where it is long, anywhere.
    pub(super) fn stand_in(&self, text: &str) -> bool {
        let text = fold(text);
        let has = |part: &str| !part.is_empty() && self.words.has(part);
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        has(&text)
            || text.split(|c| !word(c)).any(has)
            || text.split(|c: char| !c.is_alphanumeric()).any(has)
            || self.words.long.iter().any(|length| {
                let starts = text.char_indices().map(|(at, _)| at);
                let ends = text.char_indices().map(|(at, _)| at).skip(*length);
                starts
                    .zip(ends.chain([text.len()]))
                    .any(|(start, end)| has(&text[start..end]))
            })
    }

    /// A random source's seed for a child, from the key and whatever is the child's own.
    pub(super) fn seed(&self, of: &[u8]) -> [u8; 32] {
        self.key.digest(Purpose::Child, of)
    }
}

/// Texts as they are compared: without blanks around them, whatever their case.
pub(super) fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

/// Identifiers as words that are known again.
#[derive(Default)]
struct Words {
    numbers: HashSet<u64>,
    /// SipHash with a key of its own.
    hasher: RandomState,
    /// The lengths of the long ones, in characters.
    long: BTreeSet<usize>,
}

impl Words {
    fn number(&self, folded: &str) -> u64 {
        self.hasher.hash_one(folded)
    }

    fn insert(&mut self, id: &str) {
        let id = fold(id);
        self.numbers.insert(self.number(&id));
        let length = id.chars().count();
        if length >= FOUND_INSIDE_FROM {
            self.long.insert(length);
        }
    }

    fn has(&self, folded: &str) -> bool {
        self.numbers.contains(&self.number(folded))
    }
}

/// Finds identifiers in a payload.
struct Pattern(Regex);

impl Pattern {
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant that a test reads"
    )]
    fn new() -> Pattern {
        let pattern =
            r#""([^"\\]*(?:_id|unique_pupil_number))"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|([-+.0-9eE]+))"#;
        Pattern(Regex::new(pattern).expect("a constant pattern"))
    }

    /// Every identifier of a row: in the columns, and wherever a key in the payload says
    /// that its value is one; each once. Blanks around it are not part of it; a blank one
    /// is none.
    fn each_id(&self, row: &Source<'_>, take: &mut impl FnMut(Purpose, &str)) {
        let mut met = HashSet::new();
        let mut take = |purpose, id: &str| {
            let id = id.trim();
            if !id.is_empty() && met.insert((purpose, id.to_owned())) {
                take(purpose, id);
            }
        };
        for id in [row.person_id, row.legacy_id].into_iter().flatten() {
            take(Purpose::Id, id);
        }
        // The text itself, since a reader keeps the last of two equal keys, and nothing of
        // what is no JSON.
        for found in self.0.captures_iter(row.payload) {
            let purpose = purpose_of(&found[1]);
            let quoted = found.get(2).map(|text| text.as_str());
            let text = quoted.or_else(|| found.get(3).map(|number| number.as_str()));
            let Some(text) = text else { continue };
            match serde_json::from_str::<String>(&format!("\"{text}\"")) {
                Ok(plain) => take(purpose, &plain),
                Err(_) => take(purpose, text),
            }
        }
        // What it is for a reader, since keys can be written with escapes.
        if let Ok(payload) = serde_json::from_str::<Value>(row.payload) {
            ids_in(&payload, &mut take);
        }
    }
}

fn purpose_of(key: &str) -> Purpose {
    if key.ends_with("unique_pupil_number") {
        Purpose::Upn
    } else {
        Purpose::Id
    }
}

fn ids_in(value: &Value, take: &mut impl FnMut(Purpose, &str)) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                if key.ends_with("_id") || key.ends_with("unique_pupil_number") {
                    match field {
                        Value::String(text) => take(purpose_of(key), text),
                        Value::Number(number) => take(purpose_of(key), number.as_str()),
                        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
                    }
                }
                ids_in(field, take);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| ids_in(item, take)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
