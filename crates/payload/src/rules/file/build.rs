//! From a file's entries to the tree: every path finds its place, and what
//! concerns several fields is put on the object that they share.

use std::collections::{HashMap, HashSet};

use super::Faults;
use super::entries::{BirthRow, Contents, ExclusiveRow, OrderRow, Row, RowKind};
use crate::ids::ID_ARRAYS;
use crate::rules::leaf::Leaf;
use crate::rules::tree::{
    BirthRole, DateOrder, Exclusive, FIELDS_PER_OBJECT, Field, FieldSet, Holds, ObjectRules, Texts,
};

/// How many keys a path can have; the specification's longest has 3.
const KEYS_PER_PATH: usize = 16;
const LONGEST_KEY: usize = 40;

/// For each path, whether it is a date.
type Paths = HashMap<String, bool>;

/// Builds the tree. It is whole only where no fault was added.
pub(super) fn build(contents: Contents<'_>, faults: &mut Faults) -> ObjectRules {
    let paths: Paths = contents
        .rows
        .iter()
        .map(|row| {
            let is_date = matches!(row.kind, RowKind::Leaf(Leaf::Date));
            (row.path.clone(), is_date)
        })
        .collect();
    let across = Across {
        orders: checked_orders(contents.orders, &paths, faults),
        birth: contents.birth.as_ref().map(|row| row.birth.to_owned()),
        events: checked_events(contents.birth, &paths, faults),
        exclusive: checked_exclusive(contents.exclusive, &paths, faults),
    };
    needs_child_id(&contents.rows, faults);
    let mut draft = Draft::default();
    for row in contents.rows {
        draft.insert(row, faults);
    }
    draft.finish(String::new(), &across, faults)
}

/// Without it the sender can't tell whose record it has, so no file can drop it.
fn needs_child_id(rows: &[Row], faults: &mut Faults) {
    if !rows
        .iter()
        .any(|row| row.path == "la_child_id" && row.mandatory)
    {
        faults.add("/fields", "has no mandatory la_child_id");
    }
}

/// The object that a field is in.
fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn key(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, key)| key)
}

/// What concerns several fields, each entry sound.
struct Across {
    /// Start, end, advice.
    orders: Vec<(String, String, String)>,
    birth: Option<String>,
    /// Days and advice by path.
    events: HashMap<String, (i32, String)>,
    /// Paths, advice.
    exclusive: Vec<(Vec<String>, String)>,
}

fn checked_orders(
    rows: Vec<OrderRow<'_>>,
    paths: &Paths,
    faults: &mut Faults,
) -> Vec<(String, String, String)> {
    for row in &rows {
        let start = needs_date(&row.place, row.start, paths, faults);
        let end = needs_date(&row.place, row.end, paths, faults);
        if start && end && parent(row.start) != parent(row.end) {
            faults.add(&row.place, "start and end are not in the same object");
        }
    }
    rows.into_iter()
        .map(|row| (row.start.into(), row.end.into(), row.advice.into()))
        .collect()
}

fn checked_events(
    row: Option<BirthRow<'_>>,
    paths: &Paths,
    faults: &mut Faults,
) -> HashMap<String, (i32, String)> {
    let Some(row) = row else {
        return HashMap::new();
    };
    let place = format!("{}/birth", row.place);
    needs_date(&place, row.birth, paths, faults);
    if row.birth.contains("[]") {
        faults.add(&place, format!("{} is in a list", row.birth));
    }
    let mut events = HashMap::new();
    for (place, path, days, advice) in row.events {
        needs_date(&place, path, paths, faults);
        if path == row.birth {
            faults.add(&place, format!("{path} is the birth itself"));
        }
        if events
            .insert(path.to_owned(), (days, advice.to_owned()))
            .is_some()
        {
            faults.add(&place, format!("{path} is there twice"));
        }
    }
    events
}

fn checked_exclusive(
    rows: Vec<ExclusiveRow<'_>>,
    paths: &Paths,
    faults: &mut Faults,
) -> Vec<(Vec<String>, String)> {
    for row in &rows {
        for path in row.paths.iter().filter(|path| !paths.contains_key(**path)) {
            faults.add(&row.place, format!("{path} is none of fields"));
        }
        // Two different ones are needed, and one named twice is a slip.
        let distinct: HashSet<&&str> = row.paths.iter().collect();
        if distinct.len() < 2 || distinct.len() < row.paths.len() {
            faults.add(&row.place, "needs two or more different paths");
        }
        if row
            .paths
            .windows(2)
            .any(|two| parent(two[0]) != parent(two[1]))
        {
            faults.add(&row.place, "the paths are not in the same object");
        }
    }
    rows.into_iter()
        .map(|row| {
            let paths = row.paths.into_iter().map(str::to_owned).collect();
            (paths, row.advice.to_owned())
        })
        .collect()
}

/// Whether a path is a date's; a fault where it is not.
fn needs_date(place: &str, path: &str, paths: &Paths, faults: &mut Faults) -> bool {
    match paths.get(path) {
        Some(true) => return true,
        Some(false) => faults.add(place, format!("{path} is not a date")),
        None => faults.add(place, format!("{path} is none of fields")),
    }
    false
}

/// An object that is being put together.
#[derive(Default)]
struct Draft {
    fields: Vec<(String, DraftHolds)>,
}

enum DraftHolds {
    Row(Box<Row>),
    Object(Draft),
    Items(Draft),
}

impl Draft {
    /// Puts a row at its path, and the objects on the way.
    fn insert(&mut self, row: Row, faults: &mut Faults) {
        let place = format!("{}/path", row.place);
        let path = row.path.clone();
        let keys: Vec<&str> = path.split('.').collect();
        let Some((last, way)) = keys.split_last() else {
            return;
        };
        if way.len() >= KEYS_PER_PATH {
            faults.add(&place, format!("has more than {KEYS_PER_PATH} keys"));
            return;
        }
        let mut draft = self;
        for step in way {
            let (name, is_list) = match step.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (*step, false),
            };
            if !is_key(name) {
                faults.add(&place, not_a_key(name));
                return;
            }
            draft = match draft.step(name, is_list) {
                Some(next) => next,
                None => {
                    faults.add(
                        &place,
                        format!("{name} is something else in another path of this file"),
                    );
                    return;
                }
            };
        }
        if !is_key(last) {
            faults.add(&place, not_a_key(last));
        } else if draft.fields.iter().any(|(name, _)| name == last) {
            faults.add(&place, format!("{path} is there already"));
        } else {
            draft
                .fields
                .push(((*last).to_owned(), DraftHolds::Row(Box::new(row))));
        }
    }

    /// The object or the items of the list under a key, made where it is not there
    /// yet; None where it is of the other kind, or a value.
    fn step(&mut self, name: &str, is_list: bool) -> Option<&mut Draft> {
        let index = match self.fields.iter().position(|(known, _)| known == name) {
            Some(index) => index,
            None => {
                let holds = match is_list {
                    true => DraftHolds::Items(Draft::default()),
                    false => DraftHolds::Object(Draft::default()),
                };
                self.fields.push((name.to_owned(), holds));
                self.fields.len() - 1
            }
        };
        match (&mut self.fields[index].1, is_list) {
            (DraftHolds::Items(draft), true) | (DraftHolds::Object(draft), false) => Some(draft),
            (DraftHolds::Row(_) | DraftHolds::Items(_) | DraftHolds::Object(_), _) => None,
        }
    }

    /// The finished object at a path.
    fn finish(self, path: String, across: &Across, faults: &mut Faults) -> ObjectRules {
        if self.fields.len() > FIELDS_PER_OBJECT {
            let name = if path.is_empty() { "the record" } else { &path };
            faults.add(
                "/fields",
                format!("{name} has more than {FIELDS_PER_OBJECT} fields"),
            );
            return ObjectRules::default();
        }
        let mut object = ObjectRules {
            path,
            ..ObjectRules::default()
        };
        for (index, (name, holds)) in self.fields.into_iter().enumerate() {
            let below = match object.path.as_str() {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            let field = match holds {
                DraftHolds::Row(row) => object.take_row(index, name, *row, across, faults),
                DraftHolds::Object(draft) => Field {
                    name,
                    holds: Holds::Object(draft.finish(below.clone(), across, faults)),
                    path: below,
                    item: None,
                    advice: String::new(),
                },
                DraftHolds::Items(draft) => {
                    let item = draft.finish(format!("{below}[]"), across, faults);
                    item.needs_id(&name, faults);
                    Field {
                        name,
                        holds: Holds::Items(item),
                        path: below,
                        item: None,
                        advice: String::new(),
                    }
                }
            };
            object.push(field);
        }
        object.set_orders(across);
        object.set_exclusive(across);
        object
    }
}

fn is_key(name: &str) -> bool {
    (1..=LONGEST_KEY).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn not_a_key(name: &str) -> String {
    format!("'{name}' is not a key of 1 to {LONGEST_KEY} letters, digits and _")
}

impl ObjectRules {
    /// The field that a row describes, and what it says about its object.
    fn take_row(
        &mut self,
        index: usize,
        name: String,
        row: Row,
        across: &Across,
        faults: &mut Faults,
    ) -> Field {
        if row.mandatory {
            self.mandatory.insert(index);
        }
        if row.unique {
            let place = format!("{}/unique", row.place);
            if !self.path.ends_with("[]") {
                faults.add(&place, format!("{} is not in a list's items", row.path));
            }
            if self.unique.replace(index).is_some() {
                faults.add(&place, "another field of the same items is unique as well");
            }
        }
        let holds = match row.kind {
            RowKind::Leaf(leaf) => {
                let birth = match across.events.get(&row.path) {
                    Some((days, advice)) => BirthRole::Event {
                        days: *days,
                        advice: advice.clone(),
                    },
                    None if across.birth.as_ref() == Some(&row.path) => BirthRole::Birth,
                    None => BirthRole::None,
                };
                Holds::Leaf {
                    leaf,
                    slot: None,
                    birth,
                }
            }
            RowKind::Texts {
                text,
                max_items,
                stands_alone,
            } => Holds::Texts(Texts {
                item_path: format!("{}[]", row.path),
                text,
                max_items,
                stands_alone,
            }),
        };
        Field {
            name,
            path: row.path,
            item: row.item,
            advice: row.advice,
            holds,
        }
    }

    /// What the sender tells apart by an id must have one, and each its own: deltas
    /// go by it, whatever a file says.
    fn needs_id(&self, array: &str, faults: &mut Faults) {
        for (_, id) in ID_ARRAYS.iter().filter(|(name, _)| *name == array) {
            let place = self.fields.iter().position(|field| field.name == *id);
            let sound = place.is_some_and(|index| {
                let mut only = FieldSet::default();
                only.insert(index);
                self.unique == Some(index) && self.mandatory.has_all(only)
            });
            if !sound {
                faults.add(
                    "/fields",
                    format!(
                        "{}.{id} must be there, mandatory and unique: deltas go by it",
                        self.path
                    ),
                );
            }
        }
    }

    fn index_of(&self, path: &str) -> Option<usize> {
        (parent(path) == self.path)
            .then(|| self.find(key(path)))
            .flatten()
    }

    fn set_orders(&mut self, across: &Across) {
        for (start, end, advice) in &across.orders {
            let (Some(start_field), Some(end_field)) = (self.index_of(start), self.index_of(end))
            else {
                continue;
            };
            let (Some(start), Some(end)) = (self.slot_of(start_field), self.slot_of(end_field))
            else {
                continue;
            };
            self.orders.push(DateOrder {
                start,
                end,
                start_field,
                end_field,
                advice: advice.clone(),
            });
        }
    }

    /// The slot of a date that is compared with another, given where it has none.
    fn slot_of(&mut self, field: usize) -> Option<usize> {
        let Holds::Leaf { slot, .. } = &mut self.fields[field].holds else {
            return None;
        };
        if slot.is_none() {
            *slot = Some(self.date_slots);
            self.date_slots += 1;
        }
        *slot
    }

    fn set_exclusive(&mut self, across: &Across) {
        for (paths, advice) in &across.exclusive {
            let indices: Option<Vec<usize>> =
                paths.iter().map(|path| self.index_of(path)).collect();
            let Some(indices) = indices else { continue };
            let mut fields = FieldSet::default();
            for index in indices {
                fields.insert(index);
            }
            self.exclusive.push(Exclusive {
                fields,
                advice: advice.clone(),
            });
        }
    }
}
