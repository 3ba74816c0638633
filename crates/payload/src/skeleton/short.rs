//! A skeleton's text as it is kept: the names of the specification's fields, most of it,
//! each as two characters.

/// What stands before a name's letter. No JSON text has it: control characters are
/// escaped there.
const MARK: char = '\u{1}';

/// The names of `payload-fields.csv`, in order, each with its letter. Ledgers are full of
/// these letters: a new name gets one of its own, and none ever gets another.
const NAMES: [(&str, char); 58] = [
    ("accommodation", 'A'),
    ("activity", 'B'),
    ("adoption", 'C'),
    ("authorisation_date", 'D'),
    ("care_leavers", 'E'),
    ("care_worker_details", 'F'),
    ("change_reason", 'G'),
    ("child_and_family_assessment_id", 'H'),
    ("child_and_family_assessments", 'I'),
    ("child_details", 'J'),
    ("child_in_need_plan_id", 'K'),
    ("child_in_need_plans", 'L'),
    ("child_looked_after_placement_id", 'M'),
    ("child_looked_after_placements", 'N'),
    ("child_protection_plan_id", 'O'),
    ("child_protection_plans", 'P'),
    ("closure_date", 'Q'),
    ("closure_reason", 'R'),
    ("contact_date", 'S'),
    ("date", 'T'),
    ("date_of_birth", 'U'),
    ("disabilities", 'V'),
    ("end_date", 'W'),
    ("end_reason", 'X'),
    ("ethnicity", 'Y'),
    ("expected_date_of_birth", 'Z'),
    ("factors", 'a'),
    ("first_name", 'b'),
    ("former_unique_pupil_number", 'c'),
    ("health_and_wellbeing", 'd'),
    ("icpc_date", 'e'),
    ("icpc_required_flag", 'f'),
    ("initial_decision_date", 'g'),
    ("la_child_id", 'h'),
    ("matched_date", 'i'),
    ("mis_child_id", 'j'),
    ("placed_date", 'k'),
    ("placement_type", 'l'),
    ("postcode", 'm'),
    ("purge", 'n'),
    ("referral_date", 'o'),
    ("referral_no_further_action_flag", 'p'),
    ("referral_source", 'q'),
    ("score", 'r'),
    ("sdq_assessments", 's'),
    ("section_47_assessment_id", 't'),
    ("section_47_assessments", 'u'),
    ("sex", 'v'),
    ("social_care_episode_id", 'w'),
    ("social_care_episodes", 'x'),
    ("start_date", 'y'),
    ("start_reason", 'z'),
    ("surname", '0'),
    ("uasc_end_date", '1'),
    ("uasc_flag", '2'),
    ("unique_pupil_number", '3'),
    ("unique_pupil_number_unknown_reason", '4'),
    ("worker_id", '5'),
];

/// Writes a name: short, or else as `write_text` does.
pub(super) fn write_name(name: &str, out: &mut String, write_text: impl Fn(&str, &mut String)) {
    match NAMES.binary_search_by_key(&name, |(known, _)| known) {
        Ok(at) => out.extend([MARK, NAMES[at].1]),
        Err(_) => write_text(name, out),
    }
}

/// The JSON text. One that was damaged is no JSON either.
pub(super) fn lengthen(text: &str) -> String {
    let mut parts = text.split(MARK);
    let mut out = String::with_capacity(text.len() * 3);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let mut rest = part.chars();
        let letter = rest.next();
        match NAMES.iter().find(|(_, known)| Some(*known) == letter) {
            Some((name, _)) => {
                out.push('"');
                out.push_str(name);
                out.push('"');
            }
            None => out.push(MARK),
        }
        out.push_str(rest.as_str());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_specification_has_a_letter_of_its_own() {
        let mut letters = std::collections::HashSet::new();
        assert!(NAMES.iter().all(|(_, letter)| letters.insert(*letter)));
        assert!(NAMES.is_sorted(), "they are looked up by halves");
        let fields = include_str!("../../data/payload-fields.csv");
        for line in fields.lines().skip(1) {
            let path = line.split(',').nth(1).unwrap().replace("[]", "");
            for name in path.split('.') {
                let mut out = String::new();
                write_name(name, &mut out, |_, _| panic!("{name} has no letter"));
                assert_eq!(out.chars().count(), 2);
                assert_eq!(lengthen(&out), format!("\"{name}\""));
            }
        }
    }

    #[test]
    fn letters_are_as_they_were_in_the_first_ledger() {
        for known in [
            ("accommodation", 'A'),
            ("end_reason", 'X'),
            ("la_child_id", 'h'),
            ("worker_id", '5'),
        ] {
            assert!(NAMES.contains(&known), "{known:?}");
        }
    }

    #[test]
    fn a_letter_that_nobody_has_is_damage() {
        for damaged in ["{\u{1}~:0}", "{\u{1}", "{\u{1}\u{1}A:0}"] {
            let json = lengthen(damaged);
            let read = serde_json::from_str::<serde_json::Value>(&json);
            assert!(read.is_err(), "{json}");
        }
    }
}
