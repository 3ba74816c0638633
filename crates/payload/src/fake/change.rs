//! What can change in a child's record from one day to the next.

use jiff::civil::Date;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

use super::names::SURNAMES;
use super::{Making, earlier, put};
use crate::ids::ID_ARRAYS;
use crate::meaning;

type Fields = Map<String, Value>;

/// A kind of change; it leaves the child alone where it can't be made.
type Change = fn(&mut Making<'_>, &mut Fields);

const CHANGES: [Change; 14] = [
    move_house,
    correct_surname,
    change_disabilities,
    obtain_upn,
    score_sdq,
    add_assessment,
    finish_something,
    remove_item,
    change_worker,
    close_episode,
    reopen_episode,
    add_episode,
    remove_episode,
    change_outcome,
];

impl Making<'_> {
    /// One to three changes of the child, at least one of which shows.
    pub(super) fn change(&mut self, child: &Value) -> Value {
        let Value::Object(before) = child else {
            return child.clone();
        };
        let mut after = before.clone();
        for _ in 0..self.rng.random_range(1..=3) {
            if let Some(change) = CHANGES.choose(&mut self.rng) {
                change(self, &mut after);
            }
        }
        let changed = Value::Object(after);
        if meaning(&changed) != meaning(child) {
            return changed;
        }
        // Nothing came of it. A new episode always shows.
        let mut after = before.clone();
        add_episode(self, &mut after);
        Value::Object(after)
    }

    /// A day in the last week that is not before the given one.
    fn lately(&mut self, not_before: Option<Date>) -> Date {
        let week_ago = earlier(self.today, 7);
        let first = not_before.map_or(week_ago, |date| date.max(week_ago));
        self.day_between(first.min(self.today), self.today)
    }

    /// One of the child's episodes of which something holds.
    fn an_episode<'c>(
        &mut self,
        child: &'c mut Fields,
        which: impl Fn(&Fields) -> bool,
    ) -> Option<&'c mut Fields> {
        let mut fitting: Vec<&mut Fields> = child
            .get_mut("social_care_episodes")?
            .as_array_mut()?
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .filter(|episode| which(episode))
            .collect();
        let at = (!fitting.is_empty()).then(|| self.rng.random_range(0..fitting.len()))?;
        Some(fitting.swap_remove(at))
    }
}

fn details(child: &mut Fields) -> Option<&mut Fields> {
    child.get_mut("child_details")?.as_object_mut()
}

pub(super) fn date_of(fields: &Fields, key: &str) -> Option<Date> {
    fields.get(key)?.as_str()?.parse().ok()
}

fn is_open(episode: &Fields) -> bool {
    !episode.contains_key("closure_date")
}

fn is_born(child: &Fields) -> bool {
    let details = child.get("child_details").and_then(Value::as_object);
    details.is_some_and(|details| details.contains_key("date_of_birth"))
}

fn move_house(making: &mut Making<'_>, child: &mut Fields) {
    if let Some(details) = details(child) {
        put(details, "postcode", making.postcode());
    }
}

fn correct_surname(making: &mut Making<'_>, child: &mut Fields) {
    if let Some(details) = details(child) {
        put(details, "surname", making.one_of(SURNAMES));
    }
}

fn change_disabilities(making: &mut Making<'_>, child: &mut Fields) {
    if let Some(details) = details(child) {
        if making.chance(30) {
            details.shift_remove("disabilities");
        } else {
            put(details, "disabilities", making.disabilities());
        }
    }
}

fn obtain_upn(making: &mut Making<'_>, child: &mut Fields) {
    let Some(details) = details(child) else {
        return;
    };
    let reason = details.get("unique_pupil_number_unknown_reason");
    // UN1: too young for one.
    if reason.is_some_and(|reason| reason != "UN1") {
        details.shift_remove("unique_pupil_number_unknown_reason");
        put(details, "unique_pupil_number", making.upn());
    } else {
        details.shift_remove("former_unique_pupil_number");
    }
}

fn score_sdq(making: &mut Making<'_>, child: &mut Fields) {
    if making.chance(25) {
        child.shift_remove("health_and_wellbeing");
        return;
    }
    let scores = child
        .get_mut("health_and_wellbeing")
        .and_then(|block| block.get_mut("sdq_assessments"))
        .and_then(Value::as_array_mut);
    if let Some(scores) = scores {
        let date = making.today.to_string();
        let score = making.rng.random_range(0..=40);
        scores.insert(0, json!({"date": date, "score": score}));
        scores.truncate(6);
    }
}

fn add_assessment(making: &mut Making<'_>, child: &mut Fields) {
    let Some(episode) = making.an_episode(child, is_open) else {
        return;
    };
    let start = making.lately(date_of(episode, "referral_date"));
    let assessment = making.assessment(start, making.today, true);
    let assessments = episode
        .entry("child_and_family_assessments")
        .or_insert_with(|| json!([]));
    if let Value::Array(assessments) = assessments {
        assessments.insert(0, assessment);
    }
}

/// Ends something that has begun: a plan, an enquiry, a placement.
fn finish_something(making: &mut Making<'_>, child: &mut Fields) {
    let Some(episode) = making.an_episode(child, is_open) else {
        return;
    };
    for (array, _) in ID_ARRAYS {
        let items = episode.get_mut(array).and_then(Value::as_array_mut);
        let unfinished = items
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
            .find(|item| {
                !item.contains_key("end_date") && !item.contains_key("authorisation_date")
            });
        if let Some(item) = unfinished {
            let end = making.lately(date_of(item, "start_date"));
            finish(making, array, item, end);
            return;
        }
    }
}

/// Writes the end of something that has begun.
fn finish(making: &mut Making<'_>, array: &str, item: &mut Fields, end: Date) {
    match array {
        "child_and_family_assessments" => {
            put(item, "authorisation_date", end.to_string());
            put(item, "factors", making.factors());
        }
        "child_looked_after_placements" => {
            put(item, "end_date", end.to_string());
            put(item, "end_reason", making.code("end_reason"));
            put(item, "change_reason", making.code("change_reason"));
        }
        _ => put(item, "end_date", end.to_string()),
    }
}

/// Something had been entered by mistake.
fn remove_item(making: &mut Making<'_>, child: &mut Fields) {
    let has = |episode: &Fields| {
        ID_ARRAYS
            .iter()
            .any(|(array, _)| episode.contains_key(*array))
    };
    let Some(episode) = making.an_episode(child, has) else {
        return;
    };
    let arrays: Vec<&str> = ID_ARRAYS
        .iter()
        .map(|(array, _)| *array)
        .filter(|array| episode.contains_key(*array))
        .collect();
    let Some(array) = arrays.choose(&mut making.rng).copied() else {
        return;
    };
    if let Some(Value::Array(items)) = episode.get_mut(array) {
        if items.len() > 1 {
            items.remove(making.rng.random_range(0..items.len()));
        } else {
            episode.shift_remove(array);
        }
    }
}

fn change_worker(making: &mut Making<'_>, child: &mut Fields) {
    let Some(episode) = making.an_episode(child, is_open) else {
        return;
    };
    let referral = date_of(episode, "referral_date");
    let Some(Value::Array(workers)) = episode.get_mut("care_worker_details") else {
        let workers = making.care_workers(making.today, making.today, true);
        put(episode, "care_worker_details", workers);
        return;
    };
    let current = workers.first_mut().and_then(Value::as_object_mut);
    let begun = current
        .as_ref()
        .and_then(|worker| date_of(worker, "start_date"))
        .max(referral);
    let handover = making.lately(begun);
    if let Some(worker) = current {
        put(worker, "end_date", handover.to_string());
    }
    if let Value::Array(new) = making.care_workers(handover, handover, true) {
        workers.splice(0..0, new);
        workers.truncate(4);
    }
}

/// Closes an episode and everything in it that is still going on.
fn close_episode(making: &mut Making<'_>, child: &mut Fields) {
    let Some(episode) = making.an_episode(child, is_open) else {
        return;
    };
    let closure = making.today;
    for (array, _) in ID_ARRAYS {
        let items = episode.get_mut(array).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
            if !item.contains_key("end_date") && !item.contains_key("authorisation_date") {
                finish(making, array, item, closure);
            }
        }
    }
    let workers = episode.get_mut("care_worker_details");
    let workers = workers.and_then(Value::as_array_mut).into_iter().flatten();
    for worker in workers.filter_map(Value::as_object_mut) {
        if !worker.contains_key("end_date") {
            put(worker, "end_date", closure.to_string());
        }
    }
    put(episode, "closure_date", closure.to_string());
    put(episode, "closure_reason", making.code("closure_reason"));
}

fn reopen_episode(making: &mut Making<'_>, child: &mut Fields) {
    if let Some(episode) = making.an_episode(child, |episode| !is_open(episode)) {
        episode.shift_remove("closure_date");
        episode.shift_remove("closure_reason");
        put(episode, "referral_no_further_action_flag", false);
    }
}

fn add_episode(making: &mut Making<'_>, child: &mut Fields) {
    let start = making.lately(
        child
            .get("child_details")
            .and_then(Value::as_object)
            .and_then(|details| date_of(details, "date_of_birth")),
    );
    let episode = making.episode(start, making.today, true, &super::Everywhere::default());
    let episodes = child
        .entry("social_care_episodes")
        .or_insert_with(|| json!([]));
    if let Value::Array(episodes) = episodes {
        episodes.push(episode);
    }
}

fn remove_episode(making: &mut Making<'_>, child: &mut Fields) {
    if let Some(Value::Array(episodes)) = child.get_mut("social_care_episodes")
        && episodes.len() > 1
    {
        episodes.remove(making.rng.random_range(0..episodes.len()));
    }
}

/// Adoption given up or taken up, a care leaver's latest contact: in every episode
/// alike.
fn change_outcome(making: &mut Making<'_>, child: &mut Fields) {
    if !is_born(child) {
        return;
    }
    let Some(Value::Array(episodes)) = child.get("social_care_episodes") else {
        return;
    };
    let has = |key: &str| episodes.iter().any(|episode| episode.get(key).is_some());
    let (key, block) = if has("adoption") {
        ("adoption", None)
    } else if has("care_leavers") {
        let since = earlier(making.today, 7);
        ("care_leavers", Some(making.care_leavers(since)))
    } else {
        return;
    };
    let episodes = child
        .get_mut("social_care_episodes")
        .and_then(Value::as_array_mut);
    let episodes = episodes.into_iter().flatten();
    for episode in episodes.filter_map(Value::as_object_mut) {
        match &block {
            Some(block) => put(episode, key, block.clone()),
            None => {
                episode.shift_remove(key);
            }
        }
    }
}
