//! The way through the record: which part of the rules each value belongs to.

use super::{At, Walk};
use crate::finding::{RuleId, key_may_be_shown};
use crate::node::{Node as _, View};
use crate::record::JsonKind;
use crate::rules::leaf::wrong_type;
use crate::rules::tree::{Field, FieldSet, Holds, ObjectRules, Texts};
use crate::tree::{Object, Siblings, Tree};

/// What the rules have where the walk is.
#[derive(Clone, Copy)]
pub(super) enum Want<'r> {
    Object(&'r ObjectRules),
    Items(&'r Field, &'r ObjectRules),
    Texts(&'r Field, &'r Texts),
}

impl<'r> Walk<'r> {
    /// Walks through one object or list, and gives an item's id where that is a text.
    pub(super) fn container<'t>(
        &mut self,
        want: Want<'r>,
        value: View<'t, Tree<'t>>,
    ) -> Option<&'t str> {
        let kind = value.kind();
        match (want, value) {
            (Want::Object(object), View::Object(fields)) => return self.object(object, fields),
            (Want::Items(_, item), View::Array(items)) => self.items(item, items),
            (Want::Texts(field, texts), View::Array(items)) => self.texts(field, texts, items),
            (
                Want::Object(_) | Want::Items(..) | Want::Texts(..),
                View::Null
                | View::Bool(_)
                | View::Number(_)
                | View::Text(_)
                | View::Array(_)
                | View::Object(_),
            ) => self.wrong(want, kind),
        }
        None
    }

    fn wrong(&mut self, want: Want<'r>, kind: JsonKind) {
        let (at, wanted, advice) = match want {
            Want::Object(object) => {
                let at = At {
                    path: &object.path,
                    item: None,
                };
                (at, "an object {...}", RuleId::WrongType.advice())
            }
            Want::Items(field, _) => {
                let advice = RuleId::WrongType.advice();
                (At::field(field), "a list [...]", advice)
            }
            Want::Texts(field, _) => (At::field(field), "a list [...]", field.advice.as_str()),
        };
        let message = wrong_type(kind, wanted);
        self.found(RuleId::WrongType, &at, message, advice);
    }

    fn items(&mut self, item: &'r ObjectRules, items: Siblings<'_>) {
        let mut ids = Vec::new();
        for (index, value) in items.enumerate() {
            let value = value.view();
            if matches!(value, View::Null) {
                continue;
            }
            self.indices.push(index);
            let id = self.container(Want::Object(item), value);
            self.indices.pop();
            ids.extend(id.map(|id| (id, index)));
        }
        self.judge_ids(item, ids);
    }

    fn texts(&mut self, field: &'r Field, texts: &Texts, items: Siblings<'_>) {
        let mut count = 0;
        let mut lone = false;
        for (index, value) in items.enumerate() {
            self.indices.push(index);
            let at = At {
                path: &texts.item_path,
                item: field.item.as_deref(),
            };
            let value = value.view();
            match value {
                View::Null => {}
                View::Text(text) => {
                    count += 1;
                    lone |= texts.stands_alone.as_deref() == Some(text);
                    if let Err(fault) = texts.text.judge(text) {
                        self.found_fault(&at, fault, &field.advice);
                    }
                }
                View::Bool(_) | View::Number(_) | View::Array(_) | View::Object(_) => {
                    count += 1;
                    let message = wrong_type(value.kind(), "text in quotes");
                    self.found(RuleId::WrongType, &at, message, &field.advice);
                }
            }
            self.indices.pop();
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
    }

    fn object<'t>(&mut self, object: &'r ObjectRules, fields: Object<'t>) -> Option<&'t str> {
        let mut id = None;
        let mut seen = FieldSet::default();
        let mut present = FieldSet::default();
        let dates = self.dates.len();
        self.dates.resize(dates + object.date_slots, None);
        for field in fields.every() {
            let found = match field.name() {
                Some(name) => object.named(name),
                None => object.find(field.key()),
            };
            let Some(index) = found else {
                let key = field.key();
                self.judge_unknown_key(object, key_may_be_shown(key).then_some(key));
                continue;
            };
            if !seen.insert(index) {
                self.judge_repeated_key(object, index);
            }
            let value = field.view();
            if matches!(value, View::Null) {
                continue;
            }
            present.insert(index);
            let field = &object.fields[index];
            let want = match &field.holds {
                Holds::Leaf { leaf, slot, birth } => {
                    let day = self.judge_leaf(field, leaf, birth, &value);
                    if let Some(slot) = slot {
                        self.dates[dates + slot] = day;
                    }
                    if object.unique == Some(index)
                        && let View::Text(text) = value
                    {
                        id = Some(text);
                    }
                    continue;
                }
                Holds::Texts(texts) => Want::Texts(field, texts),
                Holds::Object(below) => Want::Object(below),
                Holds::Items(item) => Want::Items(field, item),
            };
            self.container(want, value);
        }
        self.judge_object(object, present, dates);
        self.dates.truncate(dates);
        id
    }
}
