//! Records for the laws: every block of the specification, few ids and few
//! values, so that two records drawn one after the other have much in common;
//! and other spellings of a record that mean the same.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rand::SeedableRng as _;
use rand::seq::{IndexedRandom as _, IteratorRandom as _, SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// The arrays with ids; `visits` is none of the specification's.
const ID_ARRAYS: [(&str, &str); 6] = [
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
    ("visits", "visit_id"),
];

fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(vec!["2026-01-01", "2026-02-02", "F", "null", ""]).prop_map(Value::from),
        1 => select(vec!["O'Brien", "Siân \u{1f600}", "\"\\/\u{8}\u{c}\n\r\t\u{1}", "李", "ﷺ"])
            .prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
    ]
}

fn plain() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => text(),
        1 => any::<bool>().prop_map(Value::from),
        2 => select(vec!["0", "-0", "1", "1.0", "1e0", "1.10", "11e-1", "9007199254740993",
            "9007199254740992", "18446744073709551616", "1.8446744073709551616e19", "-5", "1e400"])
            .prop_map(number),
        1 => any::<i64>().prop_map(Value::from),
    ]
}

/// A value, or something that says nothing.
fn or_nothing(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => value,
        1 => select(vec![json!(null), json!([]), json!({}), json!({"x": null}), json!([null, {}])]),
    ]
}

/// Any JSON, with names in it that mean something elsewhere.
fn anything() -> impl Strategy<Value = Value> {
    let names = || {
        select(vec![
            "a",
            "b",
            "a_id",
            "visit_id",
            "worker_id",
            "visits",
            "factors",
            "social_care_episodes",
            "social_care_episode_id",
            "adoption",
        ])
        .prop_map(str::to_owned)
    };
    or_nothing(plain()).prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            (btree_map(names(), inner, 0..4), any::<bool>()).prop_map(|(fields, purge)| {
                let purge = purge.then(|| ("purge".to_owned(), json!(false)));
                fields.into_iter().chain(purge).collect()
            }),
        ]
    })
}

/// An object with some of these fields, and perhaps `purge: false`.
fn object(fields: &'static [&'static str]) -> impl Strategy<Value = Map<String, Value>> {
    let some = subsequence(fields, 0..=fields.len());
    (
        some.prop_shuffle(),
        vec(or_nothing(plain()), fields.len()),
        any::<bool>(),
    )
        .prop_map(|(names, values, purge)| {
            let purge = purge.then(|| ("purge".to_owned(), json!(false)));
            let fields = names.into_iter().map(str::to_owned).zip(values);
            fields.chain(purge).collect()
        })
}

fn with(
    fields: impl Strategy<Value = Map<String, Value>>,
    more: Vec<BoxedStrategy<(String, Value)>>,
) -> impl Strategy<Value = Map<String, Value>> {
    let more: Vec<_> = more
        .into_iter()
        .map(|block| proptest::option::weighted(0.4, block))
        .collect();
    (fields, more).prop_map(|(mut fields, more)| {
        fields.extend(more.into_iter().flatten());
        fields
    })
}

fn named(
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<(String, Value)> {
    value
        .prop_map(move |value| (name.to_owned(), value))
        .boxed()
}

/// An array with some of three ids, in any order.
fn items(
    id_field: &'static str,
    item: impl Strategy<Value = Map<String, Value>> + 'static,
) -> impl Strategy<Value = Value> {
    let ids = vec![json!("A"), json!("3"), json!(3)];
    let some = subsequence(ids, 0..=3).prop_shuffle();
    (some, vec(item, 3)).prop_map(move |(ids, items)| {
        ids.into_iter()
            .zip(items)
            .map(|(id, mut fields)| {
                fields.insert(id_field.to_owned(), id);
                Value::Object(fields)
            })
            .collect()
    })
}

/// An array without ids, duplicates and all.
fn list(item: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec(item, 0..4).prop_map(Value::Array)
}

fn objects(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
    object(fields).prop_map(Value::Object)
}

fn episode() -> impl Strategy<Value = Map<String, Value>> {
    let mut blocks = vec![
        named(
            "care_worker_details",
            list(objects(&["worker_id", "start_date"])),
        ),
        named("adoption", objects(&["matched_date", "placed_date"])),
        named("care_leavers", objects(&["contact_date", "activity"])),
        named("unknown", anything()),
    ];
    for (array, id_field) in ID_ARRAYS {
        let item = with(
            object(&["start_date", "end_date", "note"]),
            vec![named("factors", list(text())), named("more", anything())],
        );
        blocks.push(named(array, items(id_field, item)));
    }
    with(
        object(&["referral_date", "closure_date", "closure_reason"]),
        blocks,
    )
}

/// A child's record; always the same child.
pub fn record() -> impl Strategy<Value = Value> {
    let details = with(
        object(&["first_name", "surname", "postcode", "uasc_flag"]),
        vec![
            named("disabilities", list(text())),
            named("unknown", anything()),
        ],
    );
    let blocks = vec![
        named(
            "mis_child_id",
            select(vec![json!("M1"), json!("M2"), json!(null)]),
        ),
        named("child_details", details.prop_map(Value::Object)),
        named(
            "health_and_wellbeing",
            with(
                object(&["n"]),
                vec![named("sdq_assessments", list(objects(&["date", "score"])))],
            )
            .prop_map(Value::Object),
        ),
        named(
            "social_care_episodes",
            items("social_care_episode_id", episode()),
        ),
        named("unknown", anything()),
        named("visits", anything()),
        named("purge", Just(json!(false))),
    ];
    let id = Just(Map::from_iter([("la_child_id".to_owned(), json!("L'1 é"))]));
    with(id, blocks).prop_map(Value::Object)
}

/// The same record otherwise spelled: keys and id-arrays in another order, other
/// spellings of its numbers, and things in it that say nothing.
pub fn respelled(value: &Value, seed: u64) -> Value {
    Respelling(ChaCha8Rng::seed_from_u64(seed)).value("", value)
}

/// The record's text with white space and escapes wherever they may be.
pub fn spaced(value: &Value, seed: u64) -> String {
    let mut out = String::new();
    let mut respelling = Respelling(ChaCha8Rng::seed_from_u64(seed));
    respelling.write(value, &mut out);
    out
}

/// A text as anybody may have staged it: spaced, fields that stand twice in an object, and
/// purge flags of any kind.
pub fn tangled(value: &Value, seed: u64) -> String {
    let mut out = String::new();
    let mut respelling = Respelling(ChaCha8Rng::seed_from_u64(seed));
    respelling.write_tangled(value, &mut out);
    out
}

/// The record after a few mishaps, whatever they make of it: fields and items that are gone, say
/// nothing, come twice or elsewhere, carry a purge flag or another's value.
pub fn mutated(value: &Value, seed: u64) -> Value {
    let mut mutation = Respelling(ChaCha8Rng::seed_from_u64(seed));
    let rarity = *[6, 30, 100].choose(&mut mutation.0).unwrap();
    mutation.mutated(value, rarity)
}

/// Gives an item's id another name.
fn renamed_id(item: &mut Value) {
    if let Some(fields) = item.as_object_mut()
        && let Some(id) = fields.shift_remove("visit_id")
    {
        fields.insert("a_id".to_owned(), id);
    }
}

struct Respelling(ChaCha8Rng);

impl Respelling {
    fn nothing(&mut self) -> Value {
        let nothings = [json!(null), json!([]), json!({}), json!({"y": {"z": null}})];
        nothings.choose(&mut self.0).unwrap().clone()
    }

    fn value(&mut self, name: &str, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<(String, Value)> = fields
                    .iter()
                    .map(|(key, value)| (key.clone(), self.value(key, value)))
                    .collect();
                if self.0.random_ratio(1, 4) {
                    fields.push(("says_nothing".to_owned(), self.nothing()));
                }
                if self.0.random_ratio(1, 4) {
                    fields.push(("purge".to_owned(), json!(false)));
                }
                fields.shuffle(&mut self.0);
                fields.into_iter().collect()
            }
            Value::Array(items) => {
                let id_field = ID_ARRAYS
                    .iter()
                    .chain(&[("social_care_episodes", "social_care_episode_id")])
                    .find(|(array, _)| *array == name)
                    .map(|(_, id_field)| id_field);
                let mut ids: Vec<String> = items
                    .iter()
                    .filter_map(|item| Some(item.get(id_field?)?.to_string()))
                    .collect();
                ids.sort();
                ids.dedup();
                let mut items: Vec<Value> = items.iter().map(|item| self.value("", item)).collect();
                if ids.len() == items.len() {
                    items.shuffle(&mut self.0);
                }
                if self.0.random_ratio(1, 4) {
                    let at = self.0.random_range(0..=items.len());
                    items.insert(at, self.nothing());
                }
                Value::Array(items)
            }
            Value::Number(digits) => number(&self.digits(digits.as_str())),
            _ => value.clone(),
        }
    }

    /// One value in so many is changed.
    fn mutated(&mut self, value: &Value, rarity: u32) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter();
                let mut fields: Vec<(String, Value)> = fields
                    .map(|(key, value)| (key.clone(), self.mutated(value, rarity)))
                    .collect();
                if self.0.random_ratio(1, rarity) {
                    self.mutate_fields(&mut fields);
                }
                fields.into_iter().collect()
            }
            Value::Array(items) => {
                let items = items.iter();
                let mut items: Vec<Value> = items.map(|item| self.mutated(item, rarity)).collect();
                if self.0.random_ratio(1, rarity) {
                    self.mutate_items(&mut items);
                }
                Value::Array(items)
            }
            _ if self.0.random_ratio(1, 4 * rarity) => {
                let others = [
                    json!(null),
                    json!("M2"),
                    json!(3),
                    json!(3.0),
                    json!({"a": 1}),
                ];
                others.choose(&mut self.0).unwrap().clone()
            }
            Value::Number(digits) if self.0.random_ratio(1, rarity) => {
                number(&self.digits(digits.as_str()))
            }
            _ => value.clone(),
        }
    }

    fn mutate_fields(&mut self, fields: &mut Vec<(String, Value)>) {
        let flags = [json!(true), json!(false), json!(null), json!("x")];
        let nothing = self.nothing();
        let other = fields.choose(&mut self.0).map(|(_, value)| value.clone());
        let Some(at) = (0..fields.len()).choose(&mut self.0) else {
            return;
        };
        let name = *["end_date", "start_date", "a", "b"]
            .choose(&mut self.0)
            .unwrap();
        match self.0.random_range(0..8) {
            0 => drop(fields.remove(at)),
            1 => fields[at].1 = nothing,
            2 => fields.push(("a_id".to_owned(), nothing)),
            3 => fields.push(("b_id".to_owned(), json!(at))),
            4 => fields[at].1 = other.unwrap_or_default(),
            5 => fields.shuffle(&mut self.0),
            6 if fields.iter().all(|(key, _)| key != name) => fields[at].0 = name.to_owned(),
            _ => {
                let flag = flags.choose(&mut self.0).unwrap().clone();
                fields.insert(at, ("purge".to_owned(), flag));
            }
        }
    }

    fn mutate_items(&mut self, items: &mut Vec<Value>) {
        let nothing = self.nothing();
        let other = items.choose(&mut self.0).cloned();
        let at = self.0.random_range(0..=items.len());
        match self.0.random_range(0..5) {
            0 if at < items.len() => drop(items.remove(at)),
            1 => items.insert(at, nothing),
            2 => items.insert(at, other.unwrap_or_default()),
            3 => items.iter_mut().for_each(renamed_id),
            _ => items.shuffle(&mut self.0),
        }
    }

    /// Another spelling of a number.
    fn digits(&mut self, text: &str) -> String {
        if text.contains(['e', 'E']) {
            return text.to_uppercase();
        }
        let decimal = if text.contains('.') { "" } else { "." };
        match self.0.random_range(0..4) {
            0 => text.to_owned(),
            1 => format!("{text}e0"),
            2 => format!("{text}{decimal}00"),
            _ => format!("{text}{decimal}0E+00"),
        }
    }

    fn space(&mut self, out: &mut String) {
        out.push_str(
            ["", "", "", " ", "\n", "\r\n\t"]
                .choose(&mut self.0)
                .unwrap(),
        );
    }

    fn write(&mut self, value: &Value, out: &mut String) {
        self.space(out);
        match value {
            Value::Object(fields) => {
                out.push('{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.space(out);
                    self.write_text(key, out);
                    self.space(out);
                    out.push(':');
                    self.write(value, out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.write(item, out);
                }
                out.push(']');
            }
            Value::String(text) => self.write_text(text, out),
            Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        }
        self.space(out);
    }

    fn write_tangled(&mut self, value: &Value, out: &mut String) {
        match value {
            Value::Object(fields) => {
                let mut fields: Vec<(&str, &Value)> = fields
                    .iter()
                    .map(|(key, value)| (key.as_str(), value))
                    .collect();
                let flags = [json!(true), json!(false), json!(null), json!("x")];
                if self.0.random_ratio(1, 8) {
                    fields.push(("purge", flags.choose(&mut self.0).unwrap()));
                }
                if let Some((key, _)) = fields.choose(&mut self.0).copied()
                    && self.0.random_ratio(1, 8)
                {
                    let (_, other) = *fields.choose(&mut self.0).unwrap();
                    fields.push((key, other));
                }
                fields.shuffle(&mut self.0);
                out.push('{');
                for (at, (key, value)) in fields.into_iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.write_text(key, out);
                    out.push(':');
                    self.write_tangled(value, out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    self.write_tangled(item, out);
                }
                out.push(']');
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.write(value, out);
            }
        }
    }

    fn write_text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            if self.0.random_ratio(1, 8) {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            } else {
                let quoted = Value::from(character.to_string()).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        out.push('"');
    }
}
