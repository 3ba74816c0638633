//! Records that break a rule on purpose.

use serde_json::{Map, Value, json};

use super::{Fakes, earlier, put};
use crate::finding::RuleId;

/// What is done to a sound record so that it breaks one rule.
enum Break {
    /// Something in it.
    Fields(fn(&Fakes, &mut Map<String, Value>)),
    /// Something about its text.
    Text(fn(&mut String)),
}

/// One for each rule but the DfE's own schema, which holds for what they say.
const BREAKS: [(RuleId, Break); 18] = [
    (RuleId::NotJson, Break::Text(cut)),
    (RuleId::WrongType, Break::Fields(wrong_type)),
    (RuleId::Missing, Break::Fields(missing)),
    (RuleId::Pattern, Break::Fields(pattern)),
    (RuleId::Length, Break::Fields(length)),
    (RuleId::Date, Break::Fields(date)),
    (RuleId::Range, Break::Fields(range)),
    (RuleId::MaxItems, Break::Fields(max_items)),
    (RuleId::RepeatedId, Break::Fields(repeated_id)),
    (RuleId::UnknownCode, Break::Fields(unknown_code)),
    (RuleId::EndBeforeStart, Break::Fields(end_before_start)),
    (RuleId::BeforeBirth, Break::Fields(before_birth)),
    (RuleId::NotTogether, Break::Fields(not_together)),
    (RuleId::NotAlone, Break::Fields(not_alone)),
    (RuleId::UnknownKey, Break::Fields(unknown_key)),
    (RuleId::RepeatedKey, Break::Text(repeated_key)),
    (RuleId::Placeholder, Break::Fields(placeholder)),
    (RuleId::Purge, Break::Fields(purge)),
];

impl Fakes {
    /// The `n`th child's record with one fault, as text, and the rule that it breaks:
    /// every rule in its turn, but [`RuleId::Schema`].
    pub fn faulty(&self, n: u64, turn: u64) -> (RuleId, String) {
        let mut child = self.child(n);
        // Less than the list's length, whatever the machine's numbers.
        let (rule, fault) = &BREAKS[(turn % BREAKS.len() as u64) as usize];
        if let (Break::Fields(break_it), Some(fields)) = (fault, child.as_object_mut()) {
            break_it(self, fields);
        }
        let mut text = child.to_string();
        if let Break::Text(break_it) = fault {
            break_it(&mut text);
        }
        (*rule, text)
    }
}

/// As a column does that is too short.
fn cut(text: &mut String) {
    let mut end = text.len() - text.len() / 10;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

fn repeated_key(text: &mut String) {
    text.insert_str(1, r#""purge":false,"purge":false,"#);
}

fn details(child: &mut Map<String, Value>) -> &mut Map<String, Value> {
    object(child.entry("child_details"))
}

/// The field's object, made where there is none.
fn object(entry: serde_json::map::Entry<'_>) -> &mut Map<String, Value> {
    let value = entry.or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made one"),
    }
}

fn first_episode(child: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    child
        .get_mut("social_care_episodes")?
        .as_array_mut()?
        .first_mut()?
        .as_object_mut()
}

fn wrong_type(_: &Fakes, child: &mut Map<String, Value>) {
    put(details(child), "uasc_flag", "no");
}

fn missing(_: &Fakes, child: &mut Map<String, Value>) {
    if let Some(episode) = first_episode(child) {
        episode.shift_remove("social_care_episode_id");
    }
}

fn pattern(_: &Fakes, child: &mut Map<String, Value>) {
    let details = details(child);
    details.shift_remove("unique_pupil_number_unknown_reason");
    put(details, "unique_pupil_number", "A00012345678");
}

fn length(_: &Fakes, child: &mut Map<String, Value>) {
    put(details(child), "postcode", "ZZ99 9ZZ (old)");
}

fn date(_: &Fakes, child: &mut Map<String, Value>) {
    let details = details(child);
    details.shift_remove("expected_date_of_birth");
    put(details, "date_of_birth", "31/02/2015");
}

fn range(_: &Fakes, child: &mut Map<String, Value>) {
    let scores = json!({"sdq_assessments": [{"score": 41}]});
    put(child, "health_and_wellbeing", scores);
}

fn max_items(fakes: &Fakes, child: &mut Map<String, Value>) {
    let mut codes = fakes.codes.of("disabilities");
    codes.retain(|code| *code != "NONE");
    let once_more = codes.first().copied();
    codes.extend(once_more);
    put(details(child), "disabilities", codes);
}

fn repeated_id(_: &Fakes, child: &mut Map<String, Value>) {
    let episodes = child.get_mut("social_care_episodes");
    if let Some(Value::Array(episodes)) = episodes {
        let first = episodes.first().cloned();
        episodes.extend(first);
    }
}

fn unknown_code(_: &Fakes, child: &mut Map<String, Value>) {
    put(details(child), "ethnicity", "FAKE");
}

fn end_before_start(_: &Fakes, child: &mut Map<String, Value>) {
    if let Some(episode) = first_episode(child)
        && let Some(referral) = super::change::date_of(episode, "referral_date")
    {
        put(episode, "closure_date", earlier(referral, 1).to_string());
        put(episode, "closure_reason", "RC8");
    }
}

fn before_birth(fakes: &Fakes, child: &mut Map<String, Value>) {
    let details = details(child);
    let born = super::change::date_of(details, "date_of_birth");
    let born = born.unwrap_or_else(|| earlier(fakes.today, 3650));
    details.shift_remove("expected_date_of_birth");
    put(details, "date_of_birth", born.to_string());
    put(details, "uasc_end_date", earlier(born, 400).to_string());
}

fn not_together(_: &Fakes, child: &mut Map<String, Value>) {
    let details = details(child);
    put(details, "unique_pupil_number", "A000123456789");
    put(details, "unique_pupil_number_unknown_reason", "UN4");
}

fn not_alone(_: &Fakes, child: &mut Map<String, Value>) {
    put(details(child), "disabilities", json!(["NONE", "MOB"]));
}

fn unknown_key(_: &Fakes, child: &mut Map<String, Value>) {
    put(child, "fake_field", true);
}

fn placeholder(_: &Fakes, child: &mut Map<String, Value>) {
    put(child, "mis_child_id", "SSD_SUI");
}

fn purge(_: &Fakes, child: &mut Map<String, Value>) {
    if let Some(episode) = first_episode(child) {
        put(episode, "purge", true);
    }
}
