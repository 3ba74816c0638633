//! The rows that a run refused, grouped by what is wrong with them.

use std::collections::BTreeMap;

use csc_payload::finding::{Finding, RuleId, Severity};
use serde::{Deserialize, Serialize};

use crate::Reason;

/// How many row ids a group names; the rest is counted.
const ROW_IDS: usize = 100;
/// How many groups are kept. Only keys that nobody knows can make more.
const GROUPS: usize = 500;

/// Rows with the same thing wrong. It holds nothing of a child: no value of a payload,
/// and no word of the receiver's, which may quote one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why they were refused, in a few words.
    pub reason: String,
    /// The payload rule that they break, where it is one.
    pub rule: Option<String>,
    /// The specification's item number.
    pub item: Option<String>,
    /// The field, without indices; empty for the record itself.
    pub path: String,
    /// What is there, without the value.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// How many rows.
    pub rows: u64,
    /// The ids of the first hundred.
    pub row_ids: Vec<i64>,
}

type Key = (Reason, Option<RuleId>, String);

/// The refusals of one run, grouped.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    groups: BTreeMap<Key, Group>,
}

#[derive(Clone, Debug)]
struct Group {
    refusal: Refusal,
    last_row: Option<i64>,
}

impl Refusals {
    /// Takes a row that became `error`. `findings` are those of the payload rules, where
    /// they are why.
    pub(crate) fn add(&mut self, id: i64, reason: Reason, findings: &[Finding]) {
        let mut broken = findings
            .iter()
            .filter(|finding| finding.severity() == Severity::Error)
            .peekable();
        if broken.peek().is_none() {
            let key = (reason, None, String::new());
            self.note(id, key, || Refusal {
                reason: reason.words().to_string(),
                rule: None,
                item: None,
                path: String::new(),
                message: String::new(),
                advice: reason.advice().to_string(),
                rows: 0,
                row_ids: Vec::new(),
            });
        }
        for finding in broken {
            let rule = finding.rule();
            let key = (reason, Some(rule), finding.path().to_string());
            self.note(id, key, || Refusal {
                reason: reason.words().to_string(),
                rule: Some(rule.name().to_string()),
                item: finding.item().map(str::to_string),
                path: finding.path().to_string(),
                message: finding.message().to_string(),
                advice: finding.advice().to_string(),
                rows: 0,
                row_ids: Vec::new(),
            });
        }
    }

    fn note(&mut self, id: i64, key: Key, make: impl FnOnce() -> Refusal) {
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
            return;
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            refusal: make(),
            last_row: None,
        });
        // A record that breaks a rule at several items of one list is one row.
        if group.last_row.replace(id) == Some(id) {
            return;
        }
        group.refusal.rows += 1;
        if group.refusal.row_ids.len() < ROW_IDS {
            group.refusal.row_ids.push(id);
        }
    }

    /// The groups: what concerns most rows first.
    pub fn ranked(&self) -> Vec<Refusal> {
        let groups = self.groups.values();
        let mut groups: Vec<Refusal> = groups.map(|group| group.refusal.clone()).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.rows));
        groups
    }
}

#[cfg(test)]
mod tests {
    use csc_payload::rules::Rules;

    use super::*;

    #[test]
    fn rows_are_grouped_by_rule_and_field_and_each_counts_once() {
        let rules = Rules::embedded();
        let wrong = rules.check(
            r#"{"la_child_id":"C1","child_details":{"date_of_birth":"canary","sex":5,
                "disabilities":[]},"health_and_wellbeing":{}}"#,
        );
        let mut refusals = Refusals::default();
        for id in 1..=150 {
            refusals.add(id, Reason::BrokenRules, wrong.findings());
        }
        refusals.add(7, Reason::RefusedByReceiver, &[]);
        let ranked = refusals.ranked();
        let date = ranked
            .iter()
            .find(|group| group.path == "child_details.date_of_birth")
            .unwrap();
        assert_eq!(date.rule.as_deref(), Some("date"));
        assert_eq!((date.rows, date.row_ids.len()), (150, ROW_IDS));
        let last = ranked.last().unwrap();
        assert_eq!(last.reason, "refused by the receiver");
        assert_eq!(last.row_ids, [7]);
        assert!(!format!("{ranked:?}").contains("canary"));
    }

    #[test]
    fn a_rule_broken_at_several_items_of_a_list_is_one_row() {
        let rules = Rules::embedded();
        let twice = rules.check(
            r#"{"la_child_id":"C1","social_care_episodes":[
                {"social_care_episode_id":"E1","referral_date":"x"},
                {"social_care_episode_id":"E2","referral_date":"y"}]}"#,
        );
        let mut refusals = Refusals::default();
        refusals.add(3, Reason::BrokenRules, twice.findings());
        refusals.add(4, Reason::BrokenRules, twice.findings());
        let dates = refusals
            .ranked()
            .into_iter()
            .find(|group| group.path == "social_care_episodes[].referral_date")
            .unwrap();
        assert_eq!((dates.rows, dates.row_ids), (2, vec![3, 4]));
    }
}
