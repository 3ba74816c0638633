//! Any rules file is read or refused, and one that is read checks any record.

#![no_main]

use csc_payload::rules::Rules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Rules::from_json(text) {
        Ok(rules) => {
            rules.check(r#"{"la_child_id":"C1","child_details":{"sex":"M"},"social_care_episodes":[{"social_care_episode_id":"e","referral_date":"2026-01-32"}]}"#);
        }
        Err(fault) => assert!(!fault.faults().is_empty(), "a refusal says why"),
    }
});
