//! Invented children, for demonstrations, tests and benchmarks.
//!
//! They are valid by the rules and consistent in time, and nobody can take them
//! for real ones: identifiers begin with `FAKE`, the UPNs' authority is `000`,
//! and the postcodes are in `ZZ99`, which is never assigned.

mod change;
mod episode;
mod fault;
pub(crate) mod names;

use csc_digest::sha256;
use jiff::civil::Date;
use jiff::{Span, ToSpan as _, Unit};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use names::{FIRST_NAMES, SURNAMES};

use crate::ids::{PURGE, WHOLE_ARRAYS};

/// A source of invented children: the same seed and day give the same children.
#[derive(Clone, Debug)]
pub struct Fakes {
    seed: u64,
    today: Date,
    codes: Codes,
}

impl Fakes {
    /// Children as they would be recorded on the given day.
    pub fn new(seed: u64, today: Date) -> Fakes {
        Fakes {
            seed,
            today,
            codes: Codes::embedded(),
        }
    }

    /// The `n`th child's full record, independent of all others. Its
    /// `la_child_id` is `FAKE` and `n` in at least seven digits. About 2.3 KB of
    /// compact JSON on average.
    pub fn child(&self, n: u64) -> Value {
        let mut making = Making {
            rng: self.rng(&format!("child {n}")),
            today: self.today,
            codes: &self.codes,
        };
        let mut child = making.child(n);
        // Some systems write it everywhere. It means nothing where it is false.
        if self.rng(&format!("purge {n}")).random_ratio(1, 10) {
            say_not_purged(&mut child);
        }
        child
    }

    /// The `n`th child's `la_child_id`.
    pub fn la_child_id(n: u64) -> String {
        format!("FAKE{n:07}")
    }

    /// The `n`th child's `mis_child_id`, if it has one.
    pub fn mis_child_id(n: u64) -> String {
        format!("FAKE-MIS-{n:07}")
    }

    /// Which child has this `la_child_id`; `None` for one that is none of these.
    pub fn number_of(la_child_id: &str) -> Option<u64> {
        let n = la_child_id.strip_prefix("FAKE")?.parse().ok()?;
        (Fakes::la_child_id(n) == la_child_id).then_some(n)
    }

    /// The same child `day` days after the day given to [`Fakes::new`], with one
    /// to three plausible changes: a new assessment, a plan that ended, another
    /// postcode, an episode closed or reopened, something removed that had been
    /// entered by mistake. It never means the same as before. The result depends
    /// on the seed, the child as given and the day.
    pub fn changed(&self, child: &Value, day: u64) -> Value {
        let days = i64::try_from(day).unwrap_or(i64::MAX).min(100_000);
        let mut making = Making {
            rng: self.rng(&format!("day {day} {child}")),
            today: later(self.today, days),
            codes: &self.codes,
        };
        making.change(child)
    }

    /// A random source of its own for each purpose.
    fn rng(&self, purpose: &str) -> ChaCha8Rng {
        let source = [&self.seed.to_le_bytes(), purpose.as_bytes()].concat();
        ChaCha8Rng::from_seed(sha256(source))
    }
}

/// One small invented record for a first trial of a connection; its
/// `la_child_id` is `Fake1234` and the authority's code.
pub fn test_record(la_code: &str, today: Date) -> Value {
    let birth = earlier(today, 12 * 365 + 100);
    json!({
        "la_child_id": format!("Fake1234{la_code}"),
        "mis_child_id": "FAKE-MIS-1234",
        "child_details": {
            "unique_pupil_number": "A000123456789",
            "first_name": "Testina",
            "surname": "Fakechild",
            "date_of_birth": birth.to_string(),
            "sex": "F",
            "ethnicity": "WBRI",
            "disabilities": ["NONE"],
            "postcode": "ZZ99 9ZZ",
            "uasc_flag": false,
        },
        "social_care_episodes": [{
            "social_care_episode_id": "FAKE-EPISODE-1234",
            "referral_date": earlier(today, 30).to_string(),
            "referral_source": "1A",
            "referral_no_further_action_flag": false,
        }],
    })
}

/// Says `purge: false` of everything that can be purged.
fn say_not_purged(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                // Their items have no purge of their own.
                if !WHOLE_ARRAYS.contains(&key.as_str()) {
                    say_not_purged(field);
                }
            }
            put(fields, PURGE, false);
        }
        Value::Array(items) => items.iter_mut().for_each(say_not_purged),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The code sets, as they are embedded for the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Codes(Map<String, Value>);

impl Codes {
    pub(crate) fn embedded() -> Codes {
        let sets = serde_json::from_str(include_str!("../data/code-sets.json"));
        Codes(sets.unwrap_or_default())
    }

    /// The codes of a set, none where there is no such set.
    pub(crate) fn of(&self, set: &str) -> Vec<&str> {
        let codes = self.0.get(set).and_then(|set| set.get("codes"));
        match codes.and_then(Value::as_object) {
            Some(codes) => codes.keys().map(String::as_str).collect(),
            None => Vec::new(),
        }
    }
}

/// What is needed while a child is made.
struct Making<'f> {
    rng: ChaCha8Rng,
    today: Date,
    codes: &'f Codes,
}

/// Blocks that are the child's own and stand in every one of its episodes.
#[derive(Default)]
struct Everywhere {
    adoption: Option<Value>,
    care_leavers: Option<Value>,
}

impl Making<'_> {
    fn child(&mut self, n: u64) -> Value {
        let mut child = Map::new();
        put(&mut child, "la_child_id", Fakes::la_child_id(n));
        if self.chance(90) {
            put(&mut child, "mis_child_id", Fakes::mis_child_id(n));
        }
        let unborn = self.chance(3);
        let born = earlier(self.today, self.rng.random_range(10..22 * 365));
        // Nothing that is told goes back more than three years.
        let since = earlier(self.today, 3 * 365).max(born);
        let since = if unborn {
            earlier(self.today, 150)
        } else {
            since
        };
        let age = if unborn {
            0
        } else {
            days(born, self.today) / 365
        };
        let details = self.child_details((!unborn).then_some(born), age);
        put(&mut child, "child_details", details);
        if (4..=17).contains(&age) && self.chance(45) {
            let scores = self.sdq_assessments(since.max(later(born, 4 * 365)));
            let block = json!({"sdq_assessments": scores});
            put(&mut child, "health_and_wellbeing", block);
        }
        let everywhere = Everywhere {
            adoption: (!unborn && age < 8 && self.chance(15)).then(|| self.adoption(since)),
            care_leavers: (age >= 16 && self.chance(70))
                .then(|| self.care_leavers(since.max(later(born, 16 * 365)))),
        };
        let episodes = self.episodes(since, unborn, &everywhere);
        put(&mut child, "social_care_episodes", episodes);
        Value::Object(child)
    }

    fn child_details(&mut self, born: Option<Date>, age: i64) -> Value {
        let mut details = Map::new();
        let has_upn = age > 5 && self.chance(85);
        if has_upn {
            put(&mut details, "unique_pupil_number", self.upn());
            if self.chance(8) {
                put(&mut details, "former_unique_pupil_number", self.upn());
            }
        } else {
            let reasons: &[&str] = if age > 5 {
                &["UN2", "UN3", "UN4", "UN5"]
            } else {
                &["UN1"]
            };
            let reason = self.one_of(reasons);
            put(&mut details, "unique_pupil_number_unknown_reason", reason);
        }
        if born.is_some() || self.chance(20) {
            put(&mut details, "first_name", self.one_of(FIRST_NAMES));
        }
        put(&mut details, "surname", self.one_of(SURNAMES));
        match born {
            Some(born) => put(&mut details, "date_of_birth", born.to_string()),
            None => {
                let due = later(self.today, self.rng.random_range(1..120));
                put(&mut details, "expected_date_of_birth", due.to_string());
            }
        }
        let sex = match born {
            Some(_) => self.one_of(&["M", "F", "M", "F", "M", "F", "U"]),
            None => Some("U".to_owned()),
        };
        put(&mut details, "sex", sex);
        put(&mut details, "ethnicity", self.code("ethnicity"));
        put(&mut details, "disabilities", self.disabilities());
        put(&mut details, "postcode", self.postcode());
        let uasc = age >= 12 && self.chance(8);
        put(&mut details, "uasc_flag", uasc);
        if uasc && self.chance(50) {
            let end = self.day_between(earlier(self.today, 400), self.today);
            put(&mut details, "uasc_end_date", end.to_string());
        }
        Value::Object(details)
    }

    /// Codes other than NONE, which stands alone, and NONE for most children.
    fn disabilities(&mut self) -> Value {
        if self.chance(75) {
            return json!(["NONE"]);
        }
        let codes: Vec<&str> = self
            .codes
            .of("disabilities")
            .into_iter()
            .filter(|code| *code != "NONE")
            .collect();
        let count = self.rng.random_range(1..=3);
        let mut some: Vec<&str> = codes.sample(&mut self.rng, count).copied().collect();
        some.sort_unstable();
        json!(some)
    }

    fn sdq_assessments(&mut self, since: Date) -> Value {
        let count = self.rng.random_range(1..=3);
        let mut dates: Vec<Date> = (0..count)
            .map(|_| self.day_between(since, self.today))
            .collect();
        dates.sort_unstable();
        let newest_first = dates.into_iter().rev();
        newest_first
            .map(|date| json!({"date": date.to_string(), "score": self.rng.random_range(0..=40)}))
            .collect()
    }

    fn adoption(&mut self, since: Date) -> Value {
        let decided = self.day_between(since, self.today);
        let mut adoption = Map::new();
        put(&mut adoption, "initial_decision_date", decided.to_string());
        if self.chance(60) {
            let matched = self.day_between(decided, self.today);
            put(&mut adoption, "matched_date", matched.to_string());
            if self.chance(60) {
                let placed = self.day_between(matched, self.today);
                put(&mut adoption, "placed_date", placed.to_string());
            }
        }
        Value::Object(adoption)
    }

    fn care_leavers(&mut self, since: Date) -> Value {
        let contact = self.day_between(since, self.today);
        let mut leaver = Map::new();
        put(&mut leaver, "contact_date", contact.to_string());
        put(&mut leaver, "activity", self.code("activity"));
        put(&mut leaver, "accommodation", self.code("accommodation"));
        Value::Object(leaver)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    fn one_of(&mut self, from: &[&str]) -> Option<String> {
        from.choose(&mut self.rng).map(|one| (*one).to_owned())
    }

    fn one_of_numbers(&mut self, from: &[i64]) -> i64 {
        from.choose(&mut self.rng).copied().unwrap_or_default()
    }

    fn code(&mut self, set: &str) -> Option<String> {
        let codes = self.codes.of(set);
        self.one_of(&codes)
    }

    fn upn(&mut self) -> String {
        format!("A000{:09}", self.rng.random_range(0..1_000_000_000))
    }

    fn postcode(&mut self) -> String {
        let digit = self.rng.random_range(0..10);
        let letters = ["AB", "DE", "FG", "HJ", "LN", "PQ", "RS", "TU", "WX", "YZ"];
        let letters = self.one_of(&letters).unwrap_or_default();
        format!("ZZ99 {digit}{letters}")
    }

    fn id(&mut self, kind: &str) -> String {
        format!("{kind}-{:012x}", self.rng.random::<u64>() >> 16)
    }

    /// A day of a span, its first and last included.
    fn day_between(&mut self, first: Date, last: Date) -> Date {
        let room = days(first, last).max(0);
        later(first, self.rng.random_range(0..=room))
    }
}

/// Sets a field, unless there is no value for it.
fn put(fields: &mut Map<String, Value>, key: &str, value: impl Into<Maybe>) {
    if let Some(value) = value.into().0 {
        fields.insert(key.to_owned(), value);
    }
}

/// A value for a field, or none.
struct Maybe(Option<Value>);

impl<T: Into<Value>> From<T> for Maybe {
    fn from(value: T) -> Maybe {
        // None turns into a null, and there are no nulls in a record.
        Maybe(Some(value.into()).filter(|value| !value.is_null()))
    }
}

fn later(date: Date, days: i64) -> Date {
    date.saturating_add(days.days())
}

fn earlier(date: Date, days: i64) -> Date {
    date.saturating_sub(days.days())
}

/// Days from one date to another; negative where the second is the earlier.
fn days(from: Date, to: Date) -> i64 {
    let span = from.until((Unit::Day, to));
    span.unwrap_or_else(|_| Span::new()).get_days().into()
}

#[cfg(test)]
mod tests;
