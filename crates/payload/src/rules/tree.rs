//! The rules in the shape of a record: an object of fields, each of which is an
//! object, a list or a value. A walk goes down the record and the tree together.

use super::leaf::{Leaf, TextRules};
use crate::name::{COUNT, Known};

/// How many fields one object can have in a rules file; the specification's
/// largest has 16. A walk keeps what it has seen of an object in the bits of one
/// number.
pub(super) const FIELDS_PER_OBJECT: usize = 64;

/// What is known of one object: the record itself, a block of it, or an item of a
/// list.
#[derive(Debug, Default)]
pub(super) struct ObjectRules {
    /// Where it is: keys joined by dots, `[]` behind a list; empty for the record.
    pub(super) path: String,
    /// Its fields in the file's order, at most [`FIELDS_PER_OBJECT`].
    pub(super) fields: Vec<Field>,
    /// Which of them has a name of the specification.
    pub(super) by_name: ByName,
    /// The fields that must be there.
    pub(super) mandatory: FieldSet,
    /// The field that no two items of a list may have in common.
    pub(super) unique: Option<usize>,
    /// How many of its dates are compared with each other.
    pub(super) date_slots: usize,
    /// Which dates cannot lie before which.
    pub(super) orders: Vec<DateOrder>,
    /// Which fields make no sense together.
    pub(super) exclusive: Vec<Exclusive>,
}

/// For each name of the specification, the field that has it.
#[derive(Debug)]
pub(super) struct ByName([Option<u8>; COUNT]);

impl Default for ByName {
    fn default() -> Self {
        ByName([None; COUNT])
    }
}

/// One field of an object.
#[derive(Debug)]
pub(super) struct Field {
    /// Its key.
    pub(super) name: String,
    /// Its whole path.
    pub(super) path: String,
    /// The specification's item number.
    pub(super) item: Option<String>,
    /// What a person should know about it; empty where the file has no entry for
    /// it, since it has fields of its own.
    pub(super) advice: String,
    /// What it holds.
    pub(super) holds: Holds,
}

/// What a field holds.
#[derive(Debug)]
pub(super) enum Holds {
    /// One value.
    Leaf {
        /// Which values.
        leaf: Leaf,
        /// Which of its object's dates that are compared with each other it is.
        slot: Option<usize>,
        /// What it has to do with the birth.
        birth: BirthRole,
    },
    /// A list of texts.
    Texts(Texts),
    /// An object.
    Object(ObjectRules),
    /// A list of objects.
    Items(ObjectRules),
}

/// A list of texts.
#[derive(Debug)]
pub(super) struct Texts {
    /// The path of its items.
    pub(super) item_path: String,
    /// What each of them must be.
    pub(super) text: TextRules,
    /// How many it may have.
    pub(super) max_items: Option<usize>,
    /// The code that must be its only one.
    pub(super) stands_alone: Option<String>,
}

/// What a date has to do with the birth.
#[derive(Debug, Default)]
pub(super) enum BirthRole {
    /// Nothing.
    #[default]
    None,
    /// It is the birth.
    Birth,
    /// It is something that cannot lie long before it.
    Event {
        /// How many days before the birth it can lie.
        days: i32,
        /// What to do where it lies before that.
        advice: String,
    },
}

/// An end that cannot lie before its start.
#[derive(Debug)]
pub(super) struct DateOrder {
    /// The slot of the start.
    pub(super) start: usize,
    /// The slot of the end.
    pub(super) end: usize,
    /// The field of the start.
    pub(super) start_field: usize,
    /// The field of the end.
    pub(super) end_field: usize,
    /// What to do.
    pub(super) advice: String,
}

/// Fields that make no sense together.
#[derive(Debug)]
pub(super) struct Exclusive {
    /// Which.
    pub(super) fields: FieldSet,
    /// What to do.
    pub(super) advice: String,
}

/// Some of an object's fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet(u64);

impl FieldSet {
    /// Adds a field; false where it was in already.
    pub(super) fn insert(&mut self, field: usize) -> bool {
        let bit = 1 << field;
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Whether all of the other set's fields are in this one.
    pub(super) fn has_all(self, other: FieldSet) -> bool {
        self.0 & other.0 == other.0
    }

    /// The fields of this set that are not in the other, in order.
    pub(super) fn without(self, other: FieldSet) -> impl Iterator<Item = usize> {
        let mut left = self.0 & !other.0;
        std::iter::from_fn(move || {
            let lowest = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (lowest < FIELDS_PER_OBJECT).then_some(lowest)
        })
    }

    /// The fields, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        self.without(FieldSet::default())
    }
}

impl ObjectRules {
    /// Adds a field behind the others.
    pub(super) fn push(&mut self, field: Field) {
        if let Some(name) = Known::of(&field.name) {
            // There are no more than [`FIELDS_PER_OBJECT`].
            self.by_name.0[name.number()] = u8::try_from(self.fields.len()).ok();
        }
        self.fields.push(field);
    }

    /// The field with a name of the specification.
    pub(super) fn named(&self, name: Known) -> Option<usize> {
        self.by_name.0[name.number()].map(usize::from)
    }

    /// The field with this key, be it the specification's or the file's own.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == key)
    }

    /// The field whose key is this one but for capitals and underscores: what
    /// somebody probably meant.
    pub(super) fn resembling(&self, key: &str) -> Option<&Field> {
        let bare = |key: &str| key.replace('_', "").to_ascii_lowercase();
        let wanted = bare(key);
        self.fields.iter().find(|field| bare(&field.name) == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_name_as_by_its_key() {
        let mut object = ObjectRules::default();
        for name in ["visits", "date", "score", "visit_id", "purge"] {
            object.push(Field {
                name: name.to_owned(),
                path: name.to_owned(),
                item: None,
                advice: String::new(),
                holds: Holds::Object(ObjectRules::default()),
            });
        }
        for name in (0..COUNT).filter_map(Known::numbered) {
            assert_eq!(object.named(name), object.find(name.text()));
        }
        assert_eq!(object.find("visit_id"), Some(3));
        assert_eq!(object.find("score"), Some(2));
        assert_eq!(object.find("visit"), None);
    }

    #[test]
    fn a_set_of_fields_knows_what_it_lacks() {
        let mut needed = FieldSet::default();
        assert!(needed.insert(0));
        assert!(needed.insert(63));
        assert!(!needed.insert(0));
        let mut there = FieldSet::default();
        there.insert(63);
        assert!(needed.has_all(there));
        assert!(!there.has_all(needed));
        assert_eq!(needed.without(there).collect::<Vec<_>>(), [0]);
        assert_eq!(needed.iter().collect::<Vec<_>>(), [0, 63]);
    }
}
