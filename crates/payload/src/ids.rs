//! Which arrays are told apart by the ids of their items, and what in a record
//! says nothing.
//!
//! The arrays of the specification are a table (a test holds it to
//! `payload-fields.csv`). For an array that the specification doesn't have, the
//! rule is `payload.md`'s own: its items have an id. That is, every item is an
//! object with exactly one field whose name ends in `_id`, `worker_id` apart,
//! the same in all of them, whose value is text or a number that no other item
//! has. Any other array is replaced whole. So an array that a later version of
//! the specification brings is treated as the receiver treats its neighbours.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::meaning::canonical_number;
use crate::node::{Fields, Node, View};

/// The arrays with ids, and the field that holds it.
pub(crate) const ID_ARRAYS: [(&str, &str); 6] = [
    ("social_care_episodes", "social_care_episode_id"),
    (
        "child_and_family_assessments",
        "child_and_family_assessment_id",
    ),
    ("child_in_need_plans", "child_in_need_plan_id"),
    ("section_47_assessments", "section_47_assessment_id"),
    ("child_protection_plans", "child_protection_plan_id"),
    (
        "child_looked_after_placements",
        "child_looked_after_placement_id",
    ),
];

/// The arrays without ids, which are always whole.
pub(crate) const WHOLE_ARRAYS: [&str; 4] = [
    "care_worker_details",
    "sdq_assessments",
    "disabilities",
    "factors",
];

/// The key that removes what carries it.
pub(crate) const PURGE: &str = "purge";

/// An item's id. Numbers are compared by their value, not their spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Id<'a> {
    /// Text, as it is.
    Text(Cow<'a, str>),
    /// A number in its canonical spelling.
    Number(Cow<'a, str>),
}

impl<'a> Id<'a> {
    /// The id that a value is, where it can be one.
    pub(crate) fn of<N: Node<'a>>(value: N) -> Option<Id<'a>> {
        match value.view() {
            View::Text(text) => Some(Id::Text(Cow::Borrowed(text))),
            View::Number(number) => Some(Id::Number(canonical_number(number))),
            View::Null | View::Bool(_) | View::Array(_) | View::Object(_) => None,
        }
    }
}

/// An array whose items are told apart by an id.
pub(crate) struct Keyed<'a, F> {
    /// The field that holds it.
    pub(crate) id_field: &'a str,
    /// The items' fields, in their order; those that say nothing are left out.
    pub(crate) items: Vec<(Id<'a>, F)>,
}

/// Whether items that carry `purge: true` are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purged {
    /// They are: what is at hand is a message to the receiver, and they are part
    /// of what it says.
    Kept,
    /// They are not: what is at hand is a state, in which they have no place.
    Dropped,
}

/// Reads an array as one with ids, if it is one. Duplicate ids and items without
/// their id are errors that keep a record from being sent; an array with such is
/// none with ids here, and is replaced whole.
pub(crate) fn keyed<'a, N: Node<'a>>(
    name: &str,
    items: impl Iterator<Item = N>,
    purged: Purged,
) -> Option<Keyed<'a, N::Fields>> {
    if WHOLE_ARRAYS.contains(&name) {
        return None;
    }
    let mut id_field = ID_ARRAYS
        .iter()
        .find(|(array, _)| *array == name)
        .map(|(_, id_field)| *id_field);
    let known = id_field;
    let mut keyed = Vec::new();
    for item in items {
        let View::Object(fields) = item.view() else {
            if says_nothing(item) {
                continue;
            }
            return None;
        };
        if purged == Purged::Dropped && is_purge(fields) {
            continue;
        }
        let found = match known {
            Some(id_field) => fields.get(id_field).map(|value| (id_field, value)),
            None => only_id(fields),
        };
        let Some((field, id)) = found.and_then(|(field, value)| Some((field, Id::of(value)?)))
        else {
            if fields
                .each()
                .all(|(key, value)| is_purge_flag(key, value) || says_nothing(value))
            {
                continue;
            }
            return None;
        };
        if *id_field.get_or_insert(field) != field {
            return None;
        }
        keyed.push((id, fields));
    }
    let id_field = id_field?;
    has_no_id_twice(&keyed).then_some(())?;
    Some(Keyed {
        id_field,
        items: keyed,
    })
}

/// From here on ids are looked up in a set instead of one by one.
const MANY_IDS: usize = 16;

fn has_no_id_twice<T>(keyed: &[(Id<'_>, T)]) -> bool {
    if keyed.len() < MANY_IDS {
        return keyed
            .iter()
            .enumerate()
            .all(|(at, (id, _))| keyed[..at].iter().all(|(other, _)| other != id));
    }
    let mut seen = HashSet::with_capacity(keyed.len());
    keyed.iter().all(|(id, _)| seen.insert(id))
}

/// The one field of an unknown array's item that is an id by its name.
fn only_id<'a, F: Fields<'a>>(fields: F) -> Option<(&'a str, F::Node)> {
    let mut ids = fields.each().filter(|(key, value)| {
        key.ends_with("_id") && *key != "worker_id" && !says_nothing(*value)
    });
    match (ids.next(), ids.next()) {
        (Some(id), None) => Some(id),
        (None, _) | (_, Some(_)) => None,
    }
}

/// Whether an object carries `purge: true`, which removes it and all in it.
pub(crate) fn is_purge<'a, F: Fields<'a>>(fields: F) -> bool {
    fields
        .get(PURGE)
        .is_some_and(|value| matches!(value.view(), View::Bool(true)))
}

/// Whether a field is the purge flag, set or not.
pub(crate) fn is_purge_flag<'a, N: Node<'a>>(key: &str, value: N) -> bool {
    key == PURGE && matches!(value.view(), View::Bool(_))
}

/// Whether a state is the same with and without this value: null, an empty
/// array, an object left empty, or something that carries `purge: true`.
pub(crate) fn says_nothing<'a, N: Node<'a>>(value: N) -> bool {
    match value.view() {
        View::Null => true,
        View::Bool(_) | View::Number(_) | View::Text(_) => false,
        View::Array(mut items) => items.all(says_nothing),
        View::Object(fields) => {
            is_purge(fields)
                || fields
                    .each()
                    .all(|(key, value)| is_purge_flag(key, value) || says_nothing(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_table_of_id_arrays_is_that_of_the_specification() {
        let fields = include_str!("../data/payload-fields.csv");
        let paths: Vec<&str> = fields
            .lines()
            .skip(1)
            .filter_map(|line| line.split(',').nth(1))
            .collect();
        let mut with_ids = Vec::new();
        let mut whole = Vec::new();
        for path in &paths {
            let parts: Vec<&str> = path.split('.').collect();
            for (at, part) in parts.iter().enumerate() {
                let Some(array) = part.strip_suffix("[]") else {
                    continue;
                };
                let here = parts[..=at].join(".");
                let id = paths.iter().find_map(|other| {
                    let field = other.strip_prefix(&format!("{here}."))?;
                    (field.ends_with("_id") && field != "worker_id" && !field.contains('.'))
                        .then_some(field)
                });
                match id {
                    Some(id) => with_ids.push((array, id)),
                    None => whole.push(array),
                }
            }
        }
        let lists = fields
            .lines()
            .filter(|line| line.contains("array of string"))
            .filter_map(|line| line.split(',').nth(1)?.rsplit('.').next());
        whole.extend(lists);
        whole.sort_unstable();
        whole.dedup();
        with_ids.sort_unstable();
        with_ids.dedup();
        let mut expected = ID_ARRAYS.to_vec();
        expected.sort_unstable();
        assert_eq!(with_ids, expected);
        let mut expected = WHOLE_ARRAYS.to_vec();
        expected.sort_unstable();
        assert_eq!(whole, expected);
    }

    fn id_field(name: &str, items: &Value) -> Option<String> {
        keyed(name, items.as_array().unwrap().iter(), Purged::Dropped)
            .map(|k| k.id_field.to_owned())
    }

    #[test]
    fn an_unknown_array_has_ids_where_every_item_has_exactly_one_and_they_differ() {
        for (items, expected) in [
            (
                json!([{"visit_id": 1, "a": 2}, {"visit_id": 2}]),
                Some("visit_id"),
            ),
            (
                json!([{"visit_id": "1", "worker_id": "W"}]),
                Some("visit_id"),
            ),
            (
                json!([{"visit_id": "1", "other_id": null}]),
                Some("visit_id"),
            ),
            (json!([{"visit_id": "1"}, null, {}]), Some("visit_id")),
            (
                json!([{"visit_id": 1}, {"visit_id": "1"}]),
                Some("visit_id"),
            ),
            (json!([{"visit_id": 1}, {"visit_id": 1.0}]), None),
            (json!([{"visit_id": "1"}, {"visit_id": "1"}]), None),
            (json!([{"visit_id": "1", "other_id": "2"}]), None),
            (json!([{"visit_id": "1"}, {"other_id": "2"}]), None),
            (json!([{"visit_id": "1"}, {"a": "2"}]), None),
            (json!([{"visit_id": true}]), None),
            (json!([{"worker_id": "W"}]), None),
            (json!(["a"]), None),
            (json!([]), None),
        ] {
            assert_eq!(id_field("visits", &items).as_deref(), expected, "{items}");
        }
    }

    #[test]
    fn a_known_array_has_its_own_id_whatever_else_its_items_have() {
        let items = json!([{"child_in_need_plan_id": "1", "other_id": "x"}]);
        assert_eq!(
            id_field("child_in_need_plans", &items).as_deref(),
            Some("child_in_need_plan_id")
        );
        assert_eq!(
            id_field("child_in_need_plans", &json!([{"other_id": "x"}])),
            None
        );
        assert_eq!(id_field("sdq_assessments", &json!([{"sdq_id": "x"}])), None);
    }
}
