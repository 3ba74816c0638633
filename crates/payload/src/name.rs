//! The names of the specification's fields, told by a look at four bytes of them: a key is
//! looked up once, where it is read, and is a small number from there on.

/// What is known of a name.
struct Entry {
    text: &'static str,
    /// `"name":`
    json: &'static str,
    /// The same as it is kept in a skeleton: [`FIELD`] and a letter.
    short: &'static str,
    letter: char,
}

/// What stands before the letter of a name in a skeleton's text. No JSON text has it:
/// control characters are escaped there.
pub(crate) const NAME: char = '\u{1}';

/// What stands before the letter of a field's name there. If no bracket comes next, its
/// value is plain.
pub(crate) const FIELD: char = '\u{2}';

macro_rules! names {
    ($($name:literal $letter:literal)*) => {
        [$(Entry {
            text: $name,
            json: concat!("\"", $name, "\":"),
            short: concat!("\u{2}", $letter),
            letter: $letter,
        }),*]
    };
}

/// How many they are.
pub(crate) const COUNT: usize = 58;

/// The names of `payload-fields.csv`, in the order of their bytes, each with its letter.
/// Ledgers are full of these letters: a new name gets one of its own, and none ever gets
/// another.
const NAMES: [Entry; COUNT] = names! {
    "accommodation" 'A'
    "activity" 'B'
    "adoption" 'C'
    "authorisation_date" 'D'
    "care_leavers" 'E'
    "care_worker_details" 'F'
    "change_reason" 'G'
    "child_and_family_assessment_id" 'H'
    "child_and_family_assessments" 'I'
    "child_details" 'J'
    "child_in_need_plan_id" 'K'
    "child_in_need_plans" 'L'
    "child_looked_after_placement_id" 'M'
    "child_looked_after_placements" 'N'
    "child_protection_plan_id" 'O'
    "child_protection_plans" 'P'
    "closure_date" 'Q'
    "closure_reason" 'R'
    "contact_date" 'S'
    "date" 'T'
    "date_of_birth" 'U'
    "disabilities" 'V'
    "end_date" 'W'
    "end_reason" 'X'
    "ethnicity" 'Y'
    "expected_date_of_birth" 'Z'
    "factors" 'a'
    "first_name" 'b'
    "former_unique_pupil_number" 'c'
    "health_and_wellbeing" 'd'
    "icpc_date" 'e'
    "icpc_required_flag" 'f'
    "initial_decision_date" 'g'
    "la_child_id" 'h'
    "matched_date" 'i'
    "mis_child_id" 'j'
    "placed_date" 'k'
    "placement_type" 'l'
    "postcode" 'm'
    "purge" 'n'
    "referral_date" 'o'
    "referral_no_further_action_flag" 'p'
    "referral_source" 'q'
    "score" 'r'
    "sdq_assessments" 's'
    "section_47_assessment_id" 't'
    "section_47_assessments" 'u'
    "sex" 'v'
    "social_care_episode_id" 'w'
    "social_care_episodes" 'x'
    "start_date" 'y'
    "start_reason" 'z'
    "surname" '0'
    "uasc_end_date" '1'
    "uasc_flag" '2'
    "unique_pupil_number" '3'
    "unique_pupil_number_unknown_reason" '4'
    "worker_id" '5'
};

/// A name of the specification; they are ordered as their texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Known(u8);

/// Where nothing is known.
const NONE: u8 = u8::MAX;

/// By [`sign`], the one name that can be there. The program is not built where two names
/// would be in one place.
const BY_SIGN: [u8; 256] = {
    let mut places = [NONE; 256];
    let mut at = 0;
    while at < COUNT {
        let place = match sign(NAMES[at].text.as_bytes()) {
            Some(sign) => sign as usize,
            None => panic!("a name is empty"),
        };
        assert!(places[place] == NONE, "two names have one sign");
        places[place] = at as u8;
        at += 1;
    }
    places
};

/// A number that tells the names apart.
const fn sign(name: &[u8]) -> Option<u8> {
    let (Some(first), Some(last)) = (name.first(), name.last()) else {
        return None;
    };
    let middle = name[name.len() / 2];
    Some(
        (name.len() as u8)
            .wrapping_add(middle.wrapping_mul(19))
            .wrapping_add(first.wrapping_mul(2))
            .wrapping_add(*last),
    )
}

impl Known {
    /// [`crate::ids::PURGE`].
    pub(crate) const PURGE: Known = Known(39);

    /// The name that a key is.
    pub(crate) fn of(key: &str) -> Option<Known> {
        let at = BY_SIGN[usize::from(sign(key.as_bytes())?)];
        (NAMES.get(usize::from(at))?.text == key).then_some(Known(at))
    }

    /// The name with this number.
    pub(crate) fn numbered(number: usize) -> Option<Known> {
        (number < COUNT).then_some(Known(number as u8))
    }

    /// The name with this letter.
    pub(crate) fn lettered(letter: char) -> Option<Known> {
        let at = NAMES.iter().position(|name| name.letter == letter)?;
        Known::numbered(at)
    }

    /// Its number, less than [`COUNT`], in the order of the names.
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }

    /// The name itself.
    pub(crate) fn text(self) -> &'static str {
        NAMES[self.number()].text
    }

    /// Its letter.
    pub(crate) fn letter(self) -> char {
        NAMES[self.number()].letter
    }

    /// The name as an object's key, with its colon.
    pub(crate) fn json(self) -> &'static str {
        NAMES[self.number()].json
    }

    /// The same as it is kept in a skeleton: the colon and a plain value go without saying.
    pub(crate) fn short(self) -> &'static str {
        NAMES[self.number()].short
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn all() -> impl Iterator<Item = Known> {
        (0..COUNT).filter_map(Known::numbered)
    }

    #[test]
    fn every_name_of_the_specification_is_known_and_has_a_letter_of_its_own() {
        let fields = include_str!("../data/payload-fields.csv");
        let mut named = HashSet::from(["purge"]);
        for line in fields.lines().skip(1) {
            let path = line.split(',').nth(1).unwrap();
            named.extend(path.split('.').map(|name| name.trim_end_matches("[]")));
        }
        let known: HashSet<&str> = all().map(Known::text).collect();
        assert_eq!(known, named);
        let letters: HashSet<char> = all().map(Known::letter).collect();
        assert_eq!(letters.len(), COUNT);
        assert!(Known::numbered(COUNT).is_none());
    }

    #[test]
    fn letters_are_as_they_were_in_the_first_ledger() {
        let letters: String = all().map(Known::letter).collect();
        assert_eq!(
            letters,
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz012345"
        );
        assert_eq!(Known::of("accommodation").map(Known::letter), Some('A'));
        assert_eq!(Known::of("end_reason").map(Known::letter), Some('X'));
        assert_eq!(Known::of("la_child_id").map(Known::letter), Some('h'));
        assert_eq!(Known::of("worker_id").map(Known::letter), Some('5'));
    }

    #[test]
    fn the_purge_flag_has_its_number() {
        assert_eq!(Known::of(crate::ids::PURGE), Some(Known::PURGE));
    }

    #[test]
    fn names_are_numbered_in_their_order_and_found_by_text_and_letter() {
        assert!(all().map(Known::text).is_sorted_by(|one, next| one < next));
        for name in all() {
            assert_eq!(Known::of(name.text()), Some(name));
            assert_eq!(Known::lettered(name.letter()), Some(name));
            assert_eq!(name.json(), format!("\"{}\":", name.text()));
            assert_eq!(name.short(), format!("{FIELD}{}", name.letter()));
        }
    }

    proptest! {
        #[test]
        fn a_key_is_known_exactly_where_it_is_a_name(
            number in 0..COUNT, at in any::<prop::sample::Index>(), put in "[a-z_é]{0,2}", cut in 0..3_usize,
        ) {
            let mut key: Vec<char> = Known::numbered(number).unwrap().text().chars().collect();
            let from = at.index(key.len());
            key.splice(from..(from + cut).min(key.len()), put.chars());
            let key: String = key.into_iter().collect();
            let expected = all().find(|name| name.text() == key);
            prop_assert_eq!(Known::of(&key), expected);
        }
    }
}
