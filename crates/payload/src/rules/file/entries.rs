//! The entries of a rules file, each read by itself.

use std::collections::HashMap;

use serde_json::Value;

use super::{Entry, Faults, build};
use crate::rules::leaf::{CodeList, Codes, Leaf, TextRules};
use crate::rules::pattern::Pattern;
use crate::rules::tree::ObjectRules;

/// One entry of `fields`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: String,
    pub(super) path: String,
    pub(super) item: Option<String>,
    pub(super) advice: String,
    pub(super) mandatory: bool,
    pub(super) unique: bool,
    pub(super) kind: RowKind,
}

/// What the field of a row holds.
#[derive(Debug)]
pub(super) enum RowKind {
    Leaf(Leaf),
    Texts {
        text: TextRules,
        max_items: Option<usize>,
        stands_alone: Option<String>,
    },
}

/// An entry of `date_order`.
pub(super) struct OrderRow<'f> {
    pub(super) place: String,
    pub(super) start: &'f str,
    pub(super) end: &'f str,
    pub(super) advice: &'f str,
}

/// `not_before_birth`.
pub(super) struct BirthRow<'f> {
    pub(super) place: String,
    pub(super) birth: &'f str,
    /// Place of the path, path, days, advice.
    pub(super) events: Vec<(String, &'f str, i32, &'f str)>,
}

/// An entry of `not_together`.
pub(super) struct ExclusiveRow<'f> {
    pub(super) place: String,
    pub(super) paths: Vec<&'f str>,
    pub(super) advice: &'f str,
}

/// What the file says, each entry sound in itself.
pub(super) struct Contents<'f> {
    pub(super) rows: Vec<Row>,
    pub(super) orders: Vec<OrderRow<'f>>,
    pub(super) birth: Option<BirthRow<'f>>,
    pub(super) exclusive: Vec<ExclusiveRow<'f>>,
}

/// Reads the whole file. It is whole only where no fault was added.
pub(super) fn read_file(value: &Value, faults: &mut Faults) -> Option<ObjectRules> {
    let sections = [
        "about",
        "specification",
        "fields",
        "date_order",
        "not_before_birth",
        "not_together",
        "code_sets",
    ];
    let file = Entry::open(value, String::new(), &sections, faults)?;
    file.texts("about", faults);
    file.text("specification", faults);
    file.needed("fields", faults);
    let codes = read_code_sets(&file, faults);
    let mut rows = Vec::new();
    for (value, place) in file.list("fields", faults) {
        rows.extend(read_row(value, place, &codes, faults));
    }
    let contents = Contents {
        rows,
        orders: read_orders(&file, faults),
        birth: read_birth(&file, faults),
        exclusive: read_exclusive(&file, faults),
    };
    Some(build::build(contents, faults))
}

fn read_code_sets<'f>(file: &Entry<'f>, faults: &mut Faults) -> HashMap<&'f str, Codes> {
    let place = file.at("code_sets");
    let sets = file.get("code_sets", "an object", faults, Value::as_object);
    let mut read = HashMap::new();
    for (name, value) in sets.into_iter().flatten() {
        let known = ["source", "shown", "note", "codes"];
        let Some(entry) = Entry::open(value, format!("{place}/{name}"), &known, faults) else {
            continue;
        };
        entry.text("source", faults);
        entry.text("note", faults);
        let shown = entry.flag("shown", faults);
        entry.needed("codes", faults);
        let meanings: Option<Vec<(&str, &str)>> =
            entry.get("codes", "an object of texts", faults, |value| {
                let codes = value.as_object()?.iter();
                codes
                    .map(|(code, meaning)| Some((code.as_str(), meaning.as_str()?)))
                    .collect()
            });
        if meanings.as_ref().is_some_and(Vec::is_empty) {
            faults.add(&entry.at("codes"), "has no codes");
        }
        let meanings = meanings.unwrap_or_default();
        let listing: Vec<String> = meanings
            .iter()
            .map(|(code, meaning)| match *meaning {
                "" => (*code).to_owned(),
                meaning => format!("{code} ({meaning})"),
            })
            .collect();
        read.insert(
            name.as_str(),
            Codes {
                name: name.clone(),
                codes: CodeList::of(meanings.iter().map(|(code, _)| *code)),
                shown,
                listing: listing.join(", "),
            },
        );
    }
    read
}

fn read_row(
    value: &Value,
    place: String,
    codes: &HashMap<&str, Codes>,
    faults: &mut Faults,
) -> Option<Row> {
    // Which keys an entry may have depends on its type, so it is opened twice.
    let kind = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let own: &[&str] = match kind {
        "string" => &[
            "pattern",
            "min_length",
            "max_length",
            "code_set",
            "placeholders",
            "unique",
        ],
        "boolean" => &["purges"],
        "integer" => &["minimum", "maximum"],
        "array of string" => &[
            "pattern",
            "min_length",
            "max_length",
            "code_set",
            "max_items",
            "stands_alone",
        ],
        _ => &[],
    };
    let common = ["path", "item", "type", "mandatory", "return", "advice"];
    let known: Vec<&str> = common.iter().chain(own).copied().collect();
    let entry = Entry::open(value, place, &known, faults)?;
    entry.needed("type", faults);
    entry.texts("return", faults);
    let path = entry.needed_text("path", faults)?;
    let kind = match kind {
        "string" => RowKind::Leaf(Leaf::Text(read_text(&entry, codes, faults))),
        "date" => RowKind::Leaf(Leaf::Date),
        "boolean" => RowKind::Leaf(Leaf::Flag {
            purges: entry.flag("purges", faults),
        }),
        "integer" => RowKind::Leaf(read_integer(&entry, faults)),
        "array of string" => read_texts(&entry, codes, faults),
        _ => {
            faults.add(
                &entry.at("type"),
                "is none of string, date, boolean, integer and array of string",
            );
            return None;
        }
    };
    Some(Row {
        path: path.to_owned(),
        item: entry.text("item", faults).map(str::to_owned),
        advice: entry
            .needed_text("advice", faults)
            .unwrap_or_default()
            .to_owned(),
        mandatory: entry.flag("mandatory", faults),
        unique: entry.flag("unique", faults),
        kind,
        place: entry.place,
    })
}

fn read_text(entry: &Entry<'_>, codes: &HashMap<&str, Codes>, faults: &mut Faults) -> TextRules {
    let pattern = entry.text("pattern", faults).and_then(|source| {
        Pattern::new(source)
            .map_err(|why| faults.add(&entry.at("pattern"), format!("cannot be read: {why}")))
            .ok()
    });
    let code_set = entry.text("code_set", faults).and_then(|name| {
        let set = codes.get(name);
        if set.is_none() {
            faults.add(
                &entry.at("code_set"),
                format!("{name} is none of code_sets"),
            );
        }
        set.cloned()
    });
    let min_length = entry.count("min_length", faults).unwrap_or(0);
    let max_length = entry.count("max_length", faults);
    if max_length.is_some_and(|max| max < min_length) {
        faults.add(&entry.at("max_length"), "is less than min_length");
    }
    TextRules {
        min_length,
        max_length,
        pattern,
        codes: code_set,
        placeholders: entry
            .texts("placeholders", faults)
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }
}

fn read_integer(entry: &Entry<'_>, faults: &mut Faults) -> Leaf {
    let minimum = entry.whole("minimum", faults).unwrap_or(i64::MIN);
    let maximum = entry.whole("maximum", faults).unwrap_or(i64::MAX);
    if maximum < minimum {
        faults.add(&entry.at("maximum"), "is less than minimum");
    }
    Leaf::Integer { minimum, maximum }
}

fn read_texts(entry: &Entry<'_>, codes: &HashMap<&str, Codes>, faults: &mut Faults) -> RowKind {
    let text = read_text(entry, codes, faults);
    let stands_alone = entry.text("stands_alone", faults);
    if let (Some(code), Some(set)) = (stands_alone, &text.codes)
        && !set.codes.has(code)
    {
        faults.add(
            &entry.at("stands_alone"),
            format!("{code} is not a code of {}", set.name),
        );
    }
    RowKind::Texts {
        text,
        max_items: entry.count("max_items", faults),
        stands_alone: stands_alone.map(str::to_owned),
    }
}

fn read_orders<'f>(file: &Entry<'f>, faults: &mut Faults) -> Vec<OrderRow<'f>> {
    let mut orders = Vec::new();
    for (value, place) in file.list("date_order", faults) {
        let known = ["start", "end", "advice"];
        let Some(entry) = Entry::open(value, place, &known, faults) else {
            continue;
        };
        let start = entry.needed_text("start", faults);
        let end = entry.needed_text("end", faults);
        let advice = entry.needed_text("advice", faults);
        if let (Some(start), Some(end), Some(advice)) = (start, end, advice) {
            orders.push(OrderRow {
                place: entry.place,
                start,
                end,
                advice,
            });
        }
    }
    orders
}

fn read_birth<'f>(file: &Entry<'f>, faults: &mut Faults) -> Option<BirthRow<'f>> {
    let value = file.map.get("not_before_birth")?;
    let place = file.at("not_before_birth");
    let entry = Entry::open(value, place, &["birth", "events"], faults)?;
    let birth = entry.needed_text("birth", faults)?;
    let mut events = Vec::new();
    for (value, place) in entry.list("events", faults) {
        let known = ["days", "advice", "paths"];
        let Some(group) = Entry::open(value, place, &known, faults) else {
            continue;
        };
        group.needed("days", faults);
        // No more than a century: further back, dates run out.
        let days = group.get("days", "a whole number from 0 to 36500", faults, |days| {
            let days = i32::try_from(days.as_i64()?).ok()?;
            (0..=36500).contains(&days).then_some(days)
        });
        let advice = group.needed_text("advice", faults);
        group.needed("paths", faults);
        let paths = group.texts("paths", faults);
        if let (Some(days), Some(advice)) = (days, advice) {
            let place = group.at("paths");
            events.extend(
                paths
                    .into_iter()
                    .enumerate()
                    .map(|(index, path)| (format!("{place}/{index}"), path, days, advice)),
            );
        }
    }
    Some(BirthRow {
        place: entry.place,
        birth,
        events,
    })
}

fn read_exclusive<'f>(file: &Entry<'f>, faults: &mut Faults) -> Vec<ExclusiveRow<'f>> {
    let mut exclusive = Vec::new();
    for (value, place) in file.list("not_together", faults) {
        let Some(entry) = Entry::open(value, place, &["paths", "advice"], faults) else {
            continue;
        };
        let paths = entry.texts("paths", faults);
        if let Some(advice) = entry.needed_text("advice", faults) {
            exclusive.push(ExclusiveRow {
                place: entry.place,
                paths,
                advice,
            });
        }
    }
    exclusive
}
