//! An invented child's episodes, and what was done in them.

use jiff::civil::Date;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Map, Value, json};

use super::{Everywhere, Making, days, earlier, later, put};

impl Making<'_> {
    /// Up to three episodes, one after the other, the last one usually open.
    pub(super) fn episodes(&mut self, since: Date, unborn: bool, everywhere: &Everywhere) -> Value {
        let room = days(since, self.today);
        let most = if unborn { 1 } else { (room / 120).clamp(1, 3) };
        let count = self.one_of_numbers(&[1, 2, 2, 3, 3]).min(most);
        let length = room / count;
        (0..count)
            .map(|n| {
                let start = later(since, n * length);
                let end = later(since, (n + 1) * length);
                let open = n + 1 == count && self.chance(80);
                self.episode(start, end, open, everywhere)
            })
            .collect()
    }

    pub(super) fn episode(
        &mut self,
        start: Date,
        end: Date,
        open: bool,
        everywhere: &Everywhere,
    ) -> Value {
        // An episode of some length, unless there is no time for one.
        let referral = self.day_between(start, start.max(earlier(end, days(start, end) / 2)));
        let until = if open {
            self.today
        } else {
            self.day_between(referral.max(earlier(end, 30)), end)
        };
        let mut episode = Map::new();
        put(&mut episode, "social_care_episode_id", self.id("EP"));
        put(&mut episode, "referral_date", referral.to_string());
        put(
            &mut episode,
            "referral_source",
            self.code("referral_source"),
        );
        if !open {
            put(&mut episode, "closure_date", until.to_string());
            put(&mut episode, "closure_reason", self.code("closure_reason"));
        }
        let no_further_action = !open && self.chance(15);
        put(
            &mut episode,
            "referral_no_further_action_flag",
            no_further_action,
        );
        if !no_further_action {
            self.work(&mut episode, referral, until, open);
        }
        put(&mut episode, "adoption", everywhere.adoption.clone());
        put(
            &mut episode,
            "care_leavers",
            everywhere.care_leavers.clone(),
        );
        Value::Object(episode)
    }

    /// What was done in an episode.
    fn work(&mut self, episode: &mut Map<String, Value>, from: Date, until: Date, open: bool) {
        if self.chance(75) {
            let workers = self.care_workers(from, until, open);
            put(episode, "care_worker_details", workers);
        }
        let count = self.rng.random_range(1..=3);
        let assessments: Value = (0..count)
            .map(|_| self.assessment(from, until, open))
            .collect();
        put(episode, "child_and_family_assessments", assessments);
        if self.chance(70) {
            let count = self.rng.random_range(1..=2);
            let plans: Value = (0..count)
                .map(|_| self.spell("CN", "child_in_need_plan_id", from, until, open))
                .collect();
            put(episode, "child_in_need_plans", plans);
        }
        if self.chance(55) {
            let count = self.rng.random_range(1..=2);
            let enquiries: Value = (0..count)
                .map(|_| self.section_47(from, until, open))
                .collect();
            put(episode, "section_47_assessments", enquiries);
        }
        if self.chance(35) {
            let plan = self.spell("CP", "child_protection_plan_id", from, until, open);
            put(episode, "child_protection_plans", json!([plan]));
        }
        if self.chance(50) {
            let placements = self.placements(from, until, open);
            put(episode, "child_looked_after_placements", placements);
        }
    }

    /// Workers one after the other, the newest first.
    pub(super) fn care_workers(&mut self, from: Date, until: Date, open: bool) -> Value {
        let count = self.rng.random_range(1..=2);
        let spells = self.consecutive(from, until, count);
        let last = spells.len() - 1;
        let workers = spells.into_iter().enumerate().map(|(n, (start, end))| {
            let mut worker = Map::new();
            let number = self.rng.random_range(0..1_000_000);
            put(&mut worker, "worker_id", format!("FSW{number:06}"));
            put(&mut worker, "start_date", start.to_string());
            if n < last || !open {
                put(&mut worker, "end_date", end.to_string());
            }
            Value::Object(worker)
        });
        let oldest_first: Vec<Value> = workers.collect();
        oldest_first.into_iter().rev().collect()
    }

    pub(super) fn assessment(&mut self, from: Date, until: Date, open: bool) -> Value {
        let start = self.day_between(from, until);
        let mut assessment = Map::new();
        let id = self.id("AS");
        put(&mut assessment, "child_and_family_assessment_id", id);
        put(&mut assessment, "start_date", start.to_string());
        if !open || self.chance(75) {
            let authorised = self.day_between(start, later(start, 45).min(until));
            put(
                &mut assessment,
                "authorisation_date",
                authorised.to_string(),
            );
            put(&mut assessment, "factors", self.factors());
        }
        Value::Object(assessment)
    }

    pub(super) fn factors(&mut self) -> Value {
        let codes = self.codes.of("factors");
        let count = self.rng.random_range(1..=4);
        let mut some: Vec<&str> = codes.sample(&mut self.rng, count).copied().collect();
        some.sort_unstable();
        json!(some)
    }

    /// Something with an id, a start and an end, such as a plan.
    fn spell(&mut self, kind: &str, id_field: &str, from: Date, until: Date, open: bool) -> Value {
        let start = self.day_between(from, until);
        let mut spell = Map::new();
        put(&mut spell, id_field, self.id(kind));
        put(&mut spell, "start_date", start.to_string());
        if !open || self.chance(40) {
            let end = self.day_between(start, until);
            put(&mut spell, "end_date", end.to_string());
        }
        Value::Object(spell)
    }

    fn section_47(&mut self, from: Date, until: Date, open: bool) -> Value {
        let start = self.day_between(from, until);
        let mut enquiry = Map::new();
        put(&mut enquiry, "section_47_assessment_id", self.id("S47"));
        put(&mut enquiry, "start_date", start.to_string());
        let conference = self.chance(50);
        put(&mut enquiry, "icpc_required_flag", conference);
        if !open || self.chance(70) {
            let end = self.day_between(start, later(start, 15).min(until));
            if conference {
                let held = self.day_between(start, end);
                put(&mut enquiry, "icpc_date", held.to_string());
            }
            put(&mut enquiry, "end_date", end.to_string());
        }
        Value::Object(enquiry)
    }

    /// Placements one after the other, the newest first.
    fn placements(&mut self, from: Date, until: Date, open: bool) -> Value {
        let count = self.rng.random_range(1..=3);
        let spells = self.consecutive(from, until, count);
        let last = spells.len() - 1;
        let placements = spells.into_iter().enumerate().map(|(n, (start, end))| {
            let mut placement = Map::new();
            let id = self.id("PL");
            put(&mut placement, "child_looked_after_placement_id", id);
            put(&mut placement, "start_date", start.to_string());
            let reason = if n == 0 {
                Some("S".to_owned())
            } else {
                self.one_of(&["L", "P", "T", "B", "U"])
            };
            put(&mut placement, "start_reason", reason);
            put(&mut placement, "postcode", self.postcode());
            put(
                &mut placement,
                "placement_type",
                self.code("placement_type"),
            );
            if n < last || !open {
                put(&mut placement, "end_date", end.to_string());
                let reason = if n < last {
                    Some("X1".to_owned())
                } else {
                    self.code("end_reason")
                };
                put(&mut placement, "end_reason", reason);
                put(&mut placement, "change_reason", self.code("change_reason"));
            }
            Value::Object(placement)
        });
        let oldest_first: Vec<Value> = placements.collect();
        oldest_first.into_iter().rev().collect()
    }

    /// Spells that follow one another without a gap, at least one.
    fn consecutive(&mut self, from: Date, until: Date, count: usize) -> Vec<(Date, Date)> {
        let mut turns: Vec<Date> = (0..=count).map(|_| self.day_between(from, until)).collect();
        turns.sort_unstable();
        turns.windows(2).map(|pair| (pair[0], pair[1])).collect()
    }
}
