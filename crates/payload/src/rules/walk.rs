//! Goes through a payload that was read and the rules together, once.
//!
//! What several fields have to do with each other is gathered on the way: the
//! dates of the objects that are open, the ids of the lists that are open, the
//! day of birth. An event that is met before the birth waits for it, since the
//! order of keys means nothing.

mod visit;

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::leaf::{Leaf, LeafFault};
use super::tree::{BirthRole, Field, FieldSet, ObjectRules};
use crate::finding::{Checked, Finding, Found, RuleId};
use crate::node::{Node as _, View};
use crate::tree::Tree;
use visit::Want;

/// What a walk has found.
pub(super) struct Walked {
    /// The findings.
    pub(super) checked: Checked,
    /// A key stands twice.
    pub(super) repeated_key: bool,
}

/// Checks a payload.
pub(super) fn walk(record: &ObjectRules, payload: Tree<'_>) -> Walked {
    let mut walk = Walk::default();
    walk.container(Want::Object(record), payload.view());
    walk.judge_waiting();
    Walked {
        checked: walk.checked,
        repeated_key: walk.repeated_key,
    }
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
    repeated_key: bool,
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
    fn judge_leaf<'t>(
        &mut self,
        field: &'r Field,
        leaf: &Leaf,
        birth: &'r BirthRole,
        value: &View<'t, Tree<'t>>,
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
        self.repeated_key = true;
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
    fn judge_ids(&mut self, item: &ObjectRules, mut ids: Vec<(&str, usize)>) {
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
