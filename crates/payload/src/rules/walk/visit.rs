//! The way through the text: which part of the tree each value belongs to.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{At, Walk};
use crate::finding::{RuleId, key_may_be_shown};
use crate::record::JsonKind;
use crate::rules::leaf::{Scalar, wrong_type};
use crate::rules::tree::{Field, FieldSet, Holds, ObjectRules, Texts};

/// The key under which serde_json hands a number with a fraction, or one that is
/// too large for its integers, to a visitor. A test holds this to what the library
/// does: such a number where an object belongs.
const NUMBER: &str = "$serde_json::private::Number";

/// What the tree has where the walk is.
#[derive(Clone, Copy)]
pub(super) enum Want<'r> {
    Object(&'r ObjectRules),
    Items(&'r Field, &'r ObjectRules),
    Texts(&'r Field, &'r Texts),
}

impl Want<'_> {
    fn at(&self) -> At<'_> {
        match self {
            Want::Object(object) => At {
                path: &object.path,
                item: None,
            },
            Want::Items(field, _) | Want::Texts(field, _) => At::field(field),
        }
    }

    fn advice(&self) -> &str {
        match self {
            Want::Object(_) | Want::Items(..) => RuleId::WrongType.advice(),
            Want::Texts(field, _) => &field.advice,
        }
    }
}

/// Whether a null means that something is absent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Null {
    Absent,
    Refused,
}

/// What a walk through an object or a list leaves.
pub(super) enum Left<'t> {
    /// It was null.
    Absent,
    /// It was there; of a list's item, its id where that is a text.
    Present(Option<Cow<'t, str>>),
}

/// Walks through one object or list.
pub(super) struct Container<'w, 'r> {
    /// What has been gathered.
    pub(super) walk: &'w mut Walk<'r>,
    /// What belongs here.
    pub(super) want: Want<'r>,
    /// What a null means here.
    pub(super) null: Null,
}

impl<'t> DeserializeSeed<'t> for Container<'_, '_> {
    type Value = Left<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Left<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'w, 'r> Container<'w, 'r> {
    fn wrong<'t>(self, kind: JsonKind) -> Left<'t> {
        let wanted = match self.want {
            Want::Object(_) => "an object {...}",
            Want::Items(..) | Want::Texts(..) => "a list [...]",
        };
        let (at, advice) = (self.want.at(), self.want.advice());
        let message = wrong_type(kind, wanted);
        self.walk.found(RuleId::WrongType, &at, message, advice);
        Left::Present(None)
    }
}

impl<'t> Visitor<'t> for Container<'_, '_> {
    type Value = Left<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Left<'t>, E> {
        Ok(match self.null {
            Null::Absent => Left::Absent,
            Null::Refused => self.wrong(JsonKind::Null),
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Left<'t>, E> {
        Ok(self.wrong(JsonKind::Boolean))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Left<'t>, E> {
        Ok(self.wrong(JsonKind::Number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Left<'t>, E> {
        Ok(self.wrong(JsonKind::Number))
    }

    fn visit_str<E>(self, _: &str) -> Result<Left<'t>, E> {
        Ok(self.wrong(JsonKind::Text))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Left<'t>, A::Error> {
        match self.want {
            Want::Object(_) => {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(self.wrong(JsonKind::Array))
            }
            Want::Items(_, item) => self.walk.items(item, list),
            Want::Texts(field, texts) => self.walk.texts(field, texts, list),
        }
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Left<'t>, A::Error> {
        match self.want {
            Want::Object(object) => self.object(object, map),
            Want::Items(..) | Want::Texts(..) => {
                let is_number = map.next_key_seed(IsNumber)?;
                if is_number.is_some() {
                    map.next_value::<IgnoredAny>()?;
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(self.wrong(match is_number {
                    Some(true) => JsonKind::Number,
                    Some(false) | None => JsonKind::Object,
                }))
            }
        }
    }
}

impl<'r> Walk<'r> {
    fn items<'t, A: SeqAccess<'t>>(
        &mut self,
        item: &'r ObjectRules,
        mut list: A,
    ) -> Result<Left<'t>, A::Error> {
        let mut ids = Vec::new();
        let mut index = 0;
        loop {
            self.indices.push(index);
            let left = list.next_element_seed(Container {
                walk: &mut *self,
                want: Want::Object(item),
                null: Null::Absent,
            })?;
            self.indices.pop();
            match left {
                Some(Left::Present(Some(id))) => ids.push((id, index)),
                Some(Left::Present(None) | Left::Absent) => {}
                None => break,
            }
            index += 1;
        }
        self.judge_ids(item, ids);
        Ok(Left::Present(None))
    }

    fn texts<'t, A: SeqAccess<'t>>(
        &mut self,
        field: &'r Field,
        texts: &Texts,
        mut list: A,
    ) -> Result<Left<'t>, A::Error> {
        let mut index = 0;
        let mut count = 0;
        let mut lone = false;
        while let Some(raw) = list.next_element::<&RawValue>()? {
            let value = Scalar::read(raw.get()).map_err(A::Error::custom)?;
            self.indices.push(index);
            let at = At {
                path: &texts.item_path,
                item: field.item.as_deref(),
            };
            match &value {
                Scalar::Null => {}
                Scalar::Text(text) => {
                    count += 1;
                    lone |= texts.stands_alone.as_deref() == Some(text);
                    if let Err(fault) = texts.text.judge(text) {
                        self.found_fault(&at, fault, &field.advice);
                    }
                }
                Scalar::Bool(_) | Scalar::Number(_) | Scalar::Array | Scalar::Object => {
                    count += 1;
                    let message = wrong_type(value.kind(), "text in quotes");
                    self.found(RuleId::WrongType, &at, message, &field.advice);
                }
            }
            self.indices.pop();
            index += 1;
        }
        if let Some(max) = texts.max_items.filter(|max| count > *max) {
            let message = format!("has {count} items, more than the {max} allowed");
            self.found(RuleId::MaxItems, &At::field(field), message, &field.advice);
        }
        if let Some(code) = texts.stands_alone.as_deref().filter(|_| lone && count > 1) {
            // The code is the rules file's.
            let message = format!("has {code} beside others");
            self.found(RuleId::NotAlone, &At::field(field), message, &field.advice);
        }
        Ok(Left::Present(None))
    }
}

impl<'w, 'r> Container<'w, 'r> {
    fn object<'t, A: MapAccess<'t>>(
        self,
        object: &'r ObjectRules,
        mut map: A,
    ) -> Result<Left<'t>, A::Error> {
        let mut id = None;
        let mut seen = FieldSet::default();
        let mut present = FieldSet::default();
        let dates = self.walk.dates.len();
        self.walk.dates.resize(dates + object.date_slots, None);
        let mut likely = 0;
        let mut first = true;
        while let Some(key) = map.next_key_seed(FieldKey { object, likely })? {
            let index = match key {
                Key::Known(index) => index,
                Key::Number if first => {
                    map.next_value::<IgnoredAny>()?;
                    self.walk.dates.truncate(dates);
                    return Ok(self.wrong(JsonKind::Number));
                }
                Key::Number => {
                    map.next_value::<IgnoredAny>()?;
                    self.walk.judge_unknown_key(object, None);
                    continue;
                }
                Key::Unknown(shown) => {
                    first = false;
                    map.next_value::<IgnoredAny>()?;
                    self.walk.judge_unknown_key(object, shown.as_deref());
                    continue;
                }
            };
            first = false;
            likely = index + 1;
            if !seen.insert(index) {
                self.walk.judge_repeated_key(object, index);
            }
            let field = &object.fields[index];
            let want = match &field.holds {
                Holds::Leaf { leaf, slot, birth } => {
                    let raw: &RawValue = map.next_value()?;
                    let value = Scalar::read(raw.get()).map_err(A::Error::custom)?;
                    if matches!(value, Scalar::Null) {
                        continue;
                    }
                    present.insert(index);
                    let day = self.walk.judge_leaf(field, leaf, birth, &value);
                    if let Some(slot) = slot {
                        self.walk.dates[dates + slot] = day;
                    }
                    if object.unique == Some(index)
                        && let Scalar::Text(text) = value
                    {
                        id = Some(text);
                    }
                    continue;
                }
                Holds::Texts(texts) => Want::Texts(field, texts),
                Holds::Object(below) => Want::Object(below),
                Holds::Items(item) => Want::Items(field, item),
            };
            let left = map.next_value_seed(Container {
                walk: &mut *self.walk,
                want,
                null: Null::Absent,
            })?;
            match left {
                Left::Absent => {}
                Left::Present(_) => {
                    present.insert(index);
                }
            }
        }
        self.walk.judge_object(object, present, dates);
        self.walk.dates.truncate(dates);
        Ok(Left::Present(id))
    }
}

/// A key, and which field of the object it is.
enum Key {
    Known(usize),
    /// serde_json's own key for a number.
    Number,
    /// None of the object's; its name, where that may be shown.
    Unknown(Option<String>),
}

/// Looks up a key while it is read, so that it need not be kept.
struct FieldKey<'r> {
    object: &'r ObjectRules,
    likely: usize,
}

impl<'t> DeserializeSeed<'t> for FieldKey<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldKey<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match self.object.find(key, self.likely) {
            Some(index) => Key::Known(index),
            None if key == NUMBER => Key::Number,
            None => Key::Unknown(key_may_be_shown(key).then(|| key.to_owned())),
        })
    }
}

/// Whether a key is serde_json's own for a number.
struct IsNumber;

impl<'t> DeserializeSeed<'t> for IsNumber {
    type Value = bool;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsNumber {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == NUMBER)
    }
}
