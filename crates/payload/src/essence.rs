//! What a record comes to: the hash of its meaning, and its skeleton.
//!
//! Both are written in one walk through what was read, straight into the two texts: every
//! record of a run goes through here. A value that turns out to say nothing is taken back.
//! [`crate::meaning()`] and [`Skeleton::of`] are the same by definition, and tests hold the
//! walk to them.

use csc_digest::sha256;

use crate::ids::{Keyed, Purged, is_purge, keyed};
use crate::meaning::{canonical_number, write_text};
use crate::name::Known;
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
        let texts = Texts::of(document, Purged::Kept);
        let skeleton = if document.has_purged() {
            Texts::of(document, Purged::Dropped).skeleton
        } else {
            texts.skeleton
        };
        Essence {
            meaning: sha256(texts.meaning),
            skeleton: Skeleton::written(&skeleton),
            is_plain: document.is_plain(),
        }
    }
}

/// The hash of what a payload means.
pub(crate) fn hash(document: &Document<'_>) -> [u8; 32] {
    sha256(Texts::of(document, Purged::Kept).meaning)
}

/// The two texts, as far as they are written.
struct Texts {
    /// Of the normal form.
    meaning: String,
    /// Of the skeleton. Where what is purged is kept, it is right only if nothing is.
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
        let says_something = texts.value(root);
        let (nothing, is_object) = match root.view() {
            View::Object(_) => ("{}", true),
            View::Array(_) => ("[]", false),
            View::Null | View::Bool(_) | View::Number(_) | View::Text(_) => ("null", false),
        };
        if says_something {
            texts.meaning.pop();
            texts.skeleton.pop();
        } else {
            // A payload that says nothing stays what it is.
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

    /// Writes a value and a comma; false, and nothing written, where it says nothing.
    fn value(&mut self, value: Tree<'_>) -> bool {
        match value.view() {
            View::Null => return false,
            View::Bool(false) if value.name() == Some(Known::PURGE) => return false,
            View::Bool(false) => self.meaning.push_str("false,"),
            View::Bool(true) => self.meaning.push_str("true,"),
            View::Number(number) => {
                self.meaning.push_str(&canonical_number(number));
                self.meaning.push(',');
            }
            View::Text(text) if value.is_verbatim() => {
                self.meaning.push('"');
                self.meaning.push_str(text);
                self.meaning.push_str("\",");
            }
            View::Text(text) => {
                write_text(text, &mut self.meaning);
                self.meaning.push(',');
            }
            View::Array(items) => {
                return match keyed(value.key(), items, self.purged) {
                    Some(keyed) => self.items(keyed),
                    None => self.list(value, items),
                };
            }
            View::Object(fields) => {
                return !(self.purged == Purged::Dropped && is_purge(fields))
                    && self.fields(fields);
            }
        }
        self.plain(value);
        true
    }

    /// Writes a plain value into the skeleton. That of a field with a known name goes
    /// without saying.
    fn plain(&mut self, value: Tree<'_>) {
        if value.name().is_none() {
            self.skeleton.push_str("0,");
        }
    }

    fn fields(&mut self, fields: Object<'_>) -> bool {
        let start = self.lengths();
        self.meaning.push('{');
        self.skeleton.push('{');
        for field in fields.ordered() {
            let before = self.lengths();
            self.key(field);
            if !self.value(field) {
                self.back_to(before);
            }
        }
        if self.meaning.len() == start.meaning + 1 {
            self.back_to(start);
            return false;
        }
        end(&mut self.meaning, "},");
        short::end(&mut self.skeleton, "},");
        true
    }

    /// Writes a field's key.
    fn key(&mut self, field: Tree<'_>) {
        match field.name() {
            Some(name) => {
                self.meaning.push_str(name.json());
                self.skeleton.push_str(name.short());
            }
            None => {
                for text in [&mut self.meaning, &mut self.skeleton] {
                    write_text(field.key(), text);
                    text.push(':');
                }
            }
        }
    }

    fn items(&mut self, mut keyed: Keyed<'_, Object<'_>>) -> bool {
        if keyed.items.is_empty() {
            return false;
        }
        keyed.items.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.meaning.push('[');
        self.skeleton.push('[');
        short::write_name(keyed.id_field, &mut self.skeleton);
        self.skeleton.push(',');
        for (id, fields) in keyed.items {
            write_id(&id, &mut self.skeleton);
            self.skeleton.push(',');
            // An item has its id, if nothing else.
            self.fields(fields);
        }
        end(&mut self.meaning, "],");
        short::end(&mut self.skeleton, "],");
        true
    }

    fn list(&mut self, value: Tree<'_>, items: Siblings<'_>) -> bool {
        let start = self.lengths();
        self.meaning.push('[');
        for item in items {
            self.value(item);
        }
        if self.meaning.len() == start.meaning + 1 {
            self.back_to(start);
            return false;
        }
        end(&mut self.meaning, "],");
        // Whatever its items are, to a skeleton it is one plain value.
        self.skeleton.truncate(start.skeleton);
        self.plain(value);
        true
    }
}

/// Puts a bracket with its comma in the place of the last comma.
fn end(text: &mut String, bracket: &str) {
    text.truncate(text.len() - 1);
    text.push_str(bracket);
}
