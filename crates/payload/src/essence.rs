//! What a record comes to: the hash of its meaning, and its skeleton.
//!
//! Both are written in one walk through what was read, straight into the two texts: every
//! record of a run goes through here. A value that turns out to say nothing is taken back.
//! [`crate::meaning()`] and [`Skeleton::of`] are the same by definition, and tests hold the
//! walk to them.

use sha2::{Digest, Sha256};

use crate::ids::{Keyed, PURGE, Purged, is_purge, keyed};
use crate::meaning::{canonical_number, write_text};
use crate::node::{Node as _, View};
use crate::skeleton::{Skeleton, short, write_id};
use crate::tree::{Document, Object, Siblings, Tree};

/// What a record comes to for whoever keeps account of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Essence {
    /// As [`crate::meaning_hash`] of the record.
    pub meaning: [u8; 32],
    /// Its ids and field names.
    pub skeleton: Skeleton,
    /// Whether it has neither a null nor a purge flag anywhere: what is known to have
    /// the same skeleton has nothing beside it.
    pub is_plain: bool,
}

impl Essence {
    pub(crate) fn of(document: &Document<'_>) -> Essence {
        let is_plain = document.is_plain();
        let texts = Texts::of(document, Purged::Kept);
        let skeleton = if is_plain {
            texts.skeleton
        } else {
            Texts::of(document, Purged::Dropped).skeleton
        };
        Essence {
            meaning: Sha256::digest(texts.meaning).into(),
            skeleton: Skeleton::kept(&skeleton),
            is_plain,
        }
    }
}

/// The hash of what a payload means.
pub(crate) fn hash(document: &Document<'_>) -> [u8; 32] {
    Sha256::digest(Texts::of(document, Purged::Kept).meaning).into()
}

/// The two texts, as far as they are written.
struct Texts {
    /// Of the normal form.
    meaning: String,
    /// Of the skeleton. Where purges are kept it is right only if there is none.
    skeleton: String,
    purged: Purged,
}

/// How long the two texts were.
#[derive(Clone, Copy)]
struct Lengths {
    meaning: usize,
    skeleton: usize,
}

impl Texts {
    fn of(document: &Document<'_>, purged: Purged) -> Texts {
        let mut texts = Texts {
            meaning: String::with_capacity(4096),
            skeleton: String::with_capacity(1024),
            purged,
        };
        let root = document.root();
        let says_something = texts.value("", root);
        let (nothing, is_object) = match root.view() {
            View::Object(_) => ("{}", true),
            View::Array(_) => ("[]", false),
            View::Null | View::Bool(_) | View::Number(_) | View::Text(_) => ("null", false),
        };
        // A payload that says nothing stays what it is.
        if !says_something {
            texts.meaning.push_str(nothing);
        }
        if !says_something || !is_object {
            "{}".clone_into(&mut texts.skeleton);
        }
        texts
    }

    fn lengths(&self) -> Lengths {
        Lengths {
            meaning: self.meaning.len(),
            skeleton: self.skeleton.len(),
        }
    }

    fn back_to(&mut self, lengths: Lengths) {
        self.meaning.truncate(lengths.meaning);
        self.skeleton.truncate(lengths.skeleton);
    }

    /// Writes the value of a field; false, and nothing written, where it says nothing.
    fn value(&mut self, name: &str, value: Tree<'_>) -> bool {
        match value.view() {
            View::Null => return false,
            View::Bool(value) => self.meaning.push_str(if value { "true" } else { "false" }),
            View::Number(number) => self.meaning.push_str(&canonical_number(number)),
            View::Text(text) if value.is_verbatim() => {
                self.meaning.push('"');
                self.meaning.push_str(text);
                self.meaning.push('"');
            }
            View::Text(text) => write_text(text, &mut self.meaning),
            View::Array(items) => {
                return match keyed(name, items, self.purged) {
                    Some(keyed) => self.items(keyed),
                    None => self.list(items),
                };
            }
            View::Object(fields) => {
                return !(self.purged == Purged::Dropped && is_purge(fields))
                    && self.fields(fields);
            }
        }
        self.skeleton.push('0');
        true
    }

    fn fields(&mut self, fields: Object<'_>) -> bool {
        let start = self.lengths();
        self.meaning.push('{');
        self.skeleton.push('{');
        let mut first = true;
        for field in fields.in_order() {
            let before = self.lengths();
            let key = self.key(field, first);
            let says_something = !(key == PURGE && matches!(field.view(), View::Bool(false)))
                && self.value(key, field);
            if says_something {
                first = false;
            } else {
                self.back_to(before);
            }
        }
        if first {
            self.back_to(start);
            return false;
        }
        self.meaning.push('}');
        self.skeleton.push('}');
        true
    }

    /// Writes a field's key.
    fn key<'d>(&mut self, field: Tree<'d>, first: bool) -> &'d str {
        let comma = usize::from(first);
        match field.name() {
            Some(name) => {
                self.meaning.push_str(&name.json()[comma..]);
                self.skeleton.push_str(&name.short()[comma..]);
                name.text()
            }
            None => {
                let key = field.key();
                for text in [&mut self.meaning, &mut self.skeleton] {
                    text.push_str(&","[comma..]);
                    write_text(key, text);
                    text.push(':');
                }
                key
            }
        }
    }

    fn items(&mut self, mut keyed: Keyed<'_, Object<'_>>) -> bool {
        if keyed.items.is_empty() {
            return false;
        }
        keyed.items.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.skeleton.push('[');
        short::write_name(keyed.id_field, &mut self.skeleton);
        let mut before = '[';
        for (id, fields) in keyed.items {
            self.meaning.push(std::mem::replace(&mut before, ','));
            self.skeleton.push(',');
            write_id(&id, &mut self.skeleton);
            self.skeleton.push(',');
            // An item has its id, if nothing else.
            self.fields(fields);
        }
        self.meaning.push(']');
        self.skeleton.push(']');
        true
    }

    fn list(&mut self, items: Siblings<'_>) -> bool {
        let start = self.lengths();
        let mut before = '[';
        for item in items {
            let length = self.meaning.len();
            self.meaning.push(before);
            if self.value("", item) {
                before = ',';
            } else {
                self.meaning.truncate(length);
            }
        }
        // Whatever its items are, to a skeleton it is one plain value.
        self.skeleton.truncate(start.skeleton);
        if before == '[' {
            return false;
        }
        self.meaning.push(']');
        self.skeleton.push('0');
        true
    }
}
