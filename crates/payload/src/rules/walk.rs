//! Goes through a payload's text and the rules' tree together, once, and builds
//! nothing of the payload.
//!
//! What several fields have to do with each other is gathered on the way: the
//! dates of the objects that are open, the ids of the lists that are open, the
//! day of birth. An event that is met before the birth waits for it, since the
//! order of keys means nothing.

use std::borrow::Cow;
use std::fmt;

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::leaf::{Leaf, LeafFault, Scalar, wrong_type};
use super::tree::{BirthRole, Field, FieldSet, Holds, ObjectRules, Texts};
use crate::finding::{Checked, Finding, Found, RuleId, key_may_be_shown};
use crate::record::JsonKind;

/// The key under which serde_json hands a number to a visitor. A test holds this
/// to what the library does: a number where an object belongs.
const NUMBER: &str = "$serde_json::private::Number";

/// What a walk has found.
pub(super) struct Walked {
    /// The findings.
    pub(super) checked: Checked,
    /// There was something that a walk passes over: an unknown key, under which
    /// anything may be, or a key that stands twice.
    pub(super) second_look: bool,
}

/// Checks a payload.
///
/// # Errors
/// Where the text is no JSON.
pub(super) fn walk(record: &ObjectRules, text: &str) -> Result<Walked, serde_json::Error> {
    let mut walk = Walk::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let root = Container {
        walk: &mut walk,
        want: Want::Object(record),
        null: Null::Refused,
    };
    root.deserialize(&mut deserializer)?;
    deserializer.end()?;
    walk.judge_waiting();
    Ok(Walked {
        checked: walk.checked,
        second_look: walk.second_look,
    })
}

/// What a walk has gathered so far.
#[derive(Default)]
struct Walk<'r> {
    checked: Checked,
    /// The index in each list that is open, outermost first.
    indices: Vec<usize>,
    /// The dates that are compared with each other in the objects that are open,
    /// innermost last: one vector, so that an object costs no allocation.
    dates: Vec<Option<Date>>,
    birth: Option<Date>,
    waiting: Vec<Event<'r>>,
    second_look: bool,
}

/// An event that was met before the day of birth.
struct Event<'r> {
    field: &'r Field,
    day: Date,
    days: i32,
    advice: &'r str,
    indices: Vec<usize>,
}

/// A place in the record, for a finding.
struct At<'a> {
    path: &'a str,
    item: Option<&'a str>,
}

impl<'a> At<'a> {
    fn field(field: &'a Field) -> At<'a> {
        At {
            path: &field.path,
            item: field.item.as_deref(),
        }
    }
}

/// A path with its indices filled in, as a JSON Pointer. Keys of the rules file
/// need no escapes.
fn pointer(path: &str, indices: &[usize]) -> String {
    let mut pointer = String::with_capacity(path.len() + 8);
    let mut indices = indices.iter();
    for key in path.split('.').filter(|key| !key.is_empty()) {
        pointer.push('/');
        match key.strip_suffix("[]") {
            Some(name) => {
                pointer.push_str(name);
                if let Some(index) = indices.next() {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                }
            }
            None => pointer.push_str(key),
        }
    }
    pointer
}

impl<'r> Walk<'r> {
    fn found(&mut self, rule: RuleId, at: &At<'_>, message: impl Into<String>, advice: &str) {
        let indices = &self.indices;
        self.checked.add(rule.severity(), || {
            Finding::from(Found {
                rule,
                item: at.item.map(str::to_owned),
                path: at.path.to_owned(),
                pointer: pointer(at.path, indices),
                message: message.into(),
                advice: advice.to_owned(),
            })
        });
    }

    /// A fault of one value: what helps here in particular comes before what the
    /// field is about.
    fn found_fault(&mut self, at: &At<'_>, fault: LeafFault, advice: &str) {
        let advice = match fault.hint {
            Some(hint) => format!("{hint} {advice}"),
            None => advice.to_owned(),
        };
        self.found(fault.rule, at, fault.message, &advice);
    }

    /// Judges the value of a field that has no parts; what it says about the birth
    /// is kept or compared.
    fn judge_leaf(
        &mut self,
        field: &'r Field,
        leaf: &Leaf,
        birth: &'r BirthRole,
        value: &Scalar<'_>,
    ) -> Option<Date> {
        let day = match leaf.judge(value) {
            Ok(day) => day?,
            Err(fault) => {
                self.found_fault(&At::field(field), fault, &field.advice);
                return None;
            }
        };
        match birth {
            BirthRole::None => {}
            BirthRole::Birth => self.birth = Some(day),
            BirthRole::Event { days, advice } => match self.birth {
                Some(birth) => self.judge_event(field, day, birth, *days, advice),
                None => self.waiting.push(Event {
                    field,
                    day,
                    days: *days,
                    advice,
                    indices: self.indices.clone(),
                }),
            },
        }
        Some(day)
    }

    fn judge_event(&mut self, field: &Field, day: Date, birth: Date, days: i32, advice: &str) {
        // A date so late that adding the days leaves the calendar is no problem.
        let too_early = day < birth
            && day
                .checked_add(days.days())
                .is_ok_and(|latest| latest < birth);
        if too_early {
            let message = match days {
                0 => "is before the date of birth".to_owned(),
                days => format!("is more than {days} days before the date of birth"),
            };
            self.found(RuleId::BeforeBirth, &At::field(field), message, advice);
        }
    }

    fn judge_waiting(&mut self) {
        let Some(birth) = self.birth else { return };
        for event in std::mem::take(&mut self.waiting) {
            self.indices = event.indices;
            self.judge_event(event.field, event.day, birth, event.days, event.advice);
        }
    }

    fn judge_repeated_key(&mut self, object: &ObjectRules, index: usize) {
        self.second_look = true;
        let field = &object.fields[index];
        let rule = if object.unique == Some(index) {
            RuleId::RepeatedId
        } else {
            RuleId::RepeatedKey
        };
        let message = "stands twice in the same object";
        self.found(rule, &At::field(field), message, rule.advice());
    }

    fn judge_unknown_key(&mut self, object: &ObjectRules, key: Option<&str>) {
        self.second_look = true;
        let rule = RuleId::UnknownKey;
        let Some(key) = key else {
            let at = At {
                path: &object.path,
                item: None,
            };
            let message =
                "has a key that the specification does not have, and that may not be shown";
            self.found(rule, &at, message, rule.advice());
            return;
        };
        let path = match object.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let advice = match object.resembling(key) {
            Some(field) => format!("It may be meant to be {}. {}", field.name, rule.advice()),
            None => rule.advice().to_owned(),
        };
        let at = At {
            path: &path,
            item: None,
        };
        self.found(rule, &at, "is not in the specification", &advice);
    }

    /// Judges what the fields of an object have to do with each other.
    fn judge_object(&mut self, object: &ObjectRules, present: FieldSet, dates: usize) {
        for index in object.mandatory.without(present) {
            let field = &object.fields[index];
            let at = At::field(field);
            self.found(RuleId::Missing, &at, "is not there", &field.advice);
        }
        for order in &object.orders {
            let start = self.dates[dates + order.start];
            let end = self.dates[dates + order.end];
            if end < start && end.is_some() {
                let message = format!("is before {}", object.fields[order.start_field].name);
                let at = At::field(&object.fields[order.end_field]);
                self.found(RuleId::EndBeforeStart, &at, message, &order.advice);
            }
        }
        for exclusive in &object.exclusive {
            if !present.has_all(exclusive.fields) {
                continue;
            }
            let fields: Vec<&Field> = exclusive
                .fields
                .iter()
                .map(|index| &object.fields[index])
                .collect();
            if let [others @ .., last] = fields.as_slice() {
                let others: Vec<&str> = others.iter().map(|field| field.name.as_str()).collect();
                let message = format!("is there although {} is", others.join(" and "));
                let at = At::field(last);
                self.found(RuleId::NotTogether, &at, message, &exclusive.advice);
            }
        }
    }

    /// Judges the ids of a list's items, each with its index.
    fn judge_ids(&mut self, item: &ObjectRules, mut ids: Vec<(Cow<'_, str>, usize)>) {
        let Some(unique) = item.unique else { return };
        ids.sort_unstable();
        for two in ids.windows(2) {
            let [(first, first_index), (second, second_index)] = two else {
                continue;
            };
            if first == second {
                self.indices.push(*second_index);
                let message = format!("is the same as that of item {first_index} of this list");
                let at = At::field(&item.fields[unique]);
                let advice = RuleId::RepeatedId.advice();
                self.found(RuleId::RepeatedId, &at, message, advice);
                self.indices.pop();
            }
        }
    }
}

/// What the tree has where the walk is.
#[derive(Clone, Copy)]
enum Want<'r> {
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
enum Null {
    Absent,
    Refused,
}

/// What a walk through an object or a list leaves.
enum Left<'t> {
    /// It was null.
    Absent,
    /// It was there; of a list's item, its id where that is a text.
    Present(Option<Cow<'t, str>>),
}

/// Walks through one object or list.
struct Container<'w, 'r> {
    walk: &'w mut Walk<'r>,
    want: Want<'r>,
    null: Null,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_json_pointer_with_the_indices_of_its_lists() {
        for (path, indices, expected) in [
            ("", &[][..], ""),
            ("la_child_id", &[], "/la_child_id"),
            ("a[].b[].c", &[3, 14], "/a/3/b/14/c"),
            ("a[].b[]", &[3, 14], "/a/3/b/14"),
            ("a[].b", &[3], "/a/3/b"),
        ] {
            assert_eq!(pointer(path, indices), expected);
        }
    }
}
