use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::rules::Rules;
use crate::{Fakes, Record};

fn row(payload: &str) -> Source<'_> {
    Source {
        person_id: None,
        legacy_id: None,
        payload,
    }
}

fn ids_of(rows: &[Source<'_>]) -> Ids {
    let mut gathering = Gathering::new(Key::fresh().unwrap());
    for row in rows {
        gathering.add(row).unwrap();
    }
    gathering.settle().unwrap()
}

/// A child with every field, none of whose values is invented by the scrambler.
fn real() -> Value {
    let item = |id: &str, n: u32| json!({id: format!("44{n}"), "start_date": "2019-02-03", "end_date": "2019-05-06", "purge": false});
    json!({
        "la_child_id": "123456",
        "mis_child_id": "9b2d6f3e-0f5b-4e0c-8f52-5b1a4d0d3c11",
        "purge": false,
        "note": "Mary rang on 2019-02-03",
        "child_details": {
            "unique_pupil_number": "H801200001005",
            "former_unique_pupil_number": "X801200001009",
            "unique_pupil_number_unknown_reason": "UN5",
            "first_name": "Mary",
            "surname": "O'Brien-Smith",
            "date_of_birth": "2012-02-29",
            "expected_date_of_birth": "2012-03-01",
            "sex": "F",
            "ethnicity": "WIRI",
            "disabilities": ["HAND", "AUT", "LD"],
            "postcode": "SW1A 1AA",
            "uasc_flag": true,
            "uasc_end_date": "2018-01-01",
        },
        "health_and_wellbeing": {"sdq_assessments": [{"date": "2019-01-01", "score": 13}]},
        "social_care_episodes": [{
            "social_care_episode_id": "E-1",
            "referral_date": "2019-01-05",
            "referral_source": "1A",
            "closure_date": "2020-01-05",
            "closure_reason": "RC7",
            "referral_no_further_action_flag": false,
            "care_worker_details": [{"worker_id": "W77", "start_date": "2019-01-06", "end_date": "2019-02-01"}],
            "child_and_family_assessments": [{
                "child_and_family_assessment_id": "441", "start_date": "2019-01-07",
                "authorisation_date": "2019-01-09", "factors": ["1A", "2B"],
            }],
            "child_in_need_plans": [item("child_in_need_plan_id", 2)],
            "section_47_assessments": [item("section_47_assessment_id", 3)],
            "child_protection_plans": [item("child_protection_plan_id", 4)],
            "child_looked_after_placements": [{
                "child_looked_after_placement_id": "445", "start_date": "2019-01-07", "start_reason": "S",
                "postcode": "M1 1AE", "placement_type": "U1", "end_date": "2019-09-09",
                "end_reason": "X1", "change_reason": "CARPL",
            }],
            "adoption": {"initial_decision_date": "2019-06-01", "matched_date": "2019-07-01", "placed_date": "2019-08-01"},
            "care_leavers": {"contact_date": "2019-11-01", "activity": "F1", "accommodation": "B"},
        }],
    })
}

/// The places of all values, as JSON Pointers.
fn places(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| places(&format!("{at}/{key}"), value, found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, value)| places(&format!("{at}/{n}"), value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.push(at.to_owned());
        }
    }
}

/// Whether a value is of a code set: drawing one may give the very same.
fn is_drawn(place: &str) -> bool {
    let name = place
        .rsplit('/')
        .find(|part| part.parse::<usize>().is_err());
    let drawn = [
        "unique_pupil_number_unknown_reason",
        "sex",
        "ethnicity",
        "disabilities",
        "uasc_flag",
        "score",
        "referral_source",
        "closure_reason",
        "referral_no_further_action_flag",
        "factors",
        "start_reason",
        "placement_type",
        "end_reason",
        "change_reason",
        "activity",
        "accommodation",
        "purge",
    ];
    name.is_some_and(|name| drawn.contains(&name))
}

/// A scrambler that leaves one value as it was.
struct Leaving<'a>(&'a str);

impl Scramble for Leaving<'_> {
    fn scramble(&self, row: &Source<'_>, ids: &Ids) -> Result<Scrambled, Unfit> {
        let mut made = Scrambler::new().scramble(row, ids)?;
        let source: Value = serde_json::from_str(row.payload).unwrap();
        *made.payload.pointer_mut(self.0).unwrap() = source.pointer(self.0).unwrap().clone();
        Ok(made)
    }
}

#[test]
fn a_scrambler_that_leaves_one_value_is_caught_whichever_it_is() {
    let text = real().to_string();
    let row = row(&text);
    let ids = ids_of(&[row]);
    let whole = Scrambler::new().scramble(&row, &ids).unwrap();
    assert_eq!(check(&row, &whole, &ids), []);
    let mut all = Vec::new();
    places("", &whole.payload, &mut all);
    let mut tried = 0;
    for place in all.iter().filter(|place| !is_drawn(place)) {
        let made = Leaving(place).scramble(&row, &ids).unwrap();
        let found = check(&row, &made, &ids);
        assert!(!found.is_empty(), "{place}");
        tried += 1;
    }
    assert_eq!(tried, 37, "{all:?}");
}

#[test]
fn whatever_else_is_wrong_is_caught_and_named() {
    let text = real().to_string();
    let row = Source {
        person_id: Some("123456"),
        legacy_id: Some("LEG-1"),
        payload: &text,
    };
    let other = json!({"la_child_id": "OTHERCHILD-0001"}).to_string();
    let ids = ids_of(&[row, super::tests::row(&other)]);
    let episode = "/social_care_episodes/0";
    type Spoil<'a> = &'a dyn Fn(&mut Scrambled);
    let set = |made: &mut Scrambled, place: &str, value: Value| {
        *made.payload.pointer_mut(place).unwrap() = value;
    };
    let cases: [(Doubt, Spoil<'_>); 14] = [
        (Doubt::AsItWas, &|made| {
            made.person_id = Some("123456".into())
        }),
        (Doubt::AsItWas, &|made| {
            made.legacy_id = Some(" leg-1".into())
        }),
        (Doubt::Incomplete, &|made| made.person_id = None),
        (Doubt::Foreign, &|made| made.payload["note"] = "Mary".into()),
        (Doubt::HoldsAnId, &|made| {
            set(made, "/mis_child_id", "441".into())
        }),
        (Doubt::NotInvented, &|made| {
            set(made, "/la_child_id", "OTHERCHILD-0001".into())
        }),
        (Doubt::Inconsistent, &|made| {
            set(made, "/mis_child_id", "zzzz".into())
        }),
        (Doubt::AsItWas, &|made| {
            set(made, "/child_details/surname", "Brien".into())
        }),
        (Doubt::NotInvented, &|made| {
            set(made, "/child_details/surname", "Jones".into())
        }),
        (Doubt::NotInvented, &|made| {
            set(made, "/child_details/postcode", "M1 1AE".into())
        }),
        (Doubt::NotInvented, &|made| {
            set(made, "/child_details/sex", "Mary".into())
        }),
        (Doubt::Moved, &|made| {
            let place = &format!("{episode}/closure_date");
            set(made, place, "2019-01-09".into());
            set(made, "/child_details/date_of_birth", "2011-12-30".into());
        }),
        (Doubt::Incomplete, &|made| {
            set(made, &format!("{episode}/child_in_need_plans"), json!([]))
        }),
        (Doubt::Incomplete, &|made| {
            made.payload
                .as_object_mut()
                .unwrap()
                .remove("health_and_wellbeing");
        }),
    ];
    for (doubt, spoil) in cases {
        let mut made = Scrambler::new().scramble(&row, &ids).unwrap();
        assert_eq!(check(&row, &made, &ids), []);
        spoil(&mut made);
        let found = check(&row, &made, &ids);
        assert!(
            found.iter().any(|found| found.doubt == doubt),
            "{doubt:?}: {found:?}"
        );
    }
}

#[test]
fn scrambled_children_keep_to_the_rules_and_to_their_structure() {
    let rules = Rules::embedded();
    let fakes = Fakes::new(3, "2026-09-14".parse().unwrap());
    let texts: Vec<String> = (1..=150).map(|n| fakes.child(n).to_string()).collect();
    let rows: Vec<Source<'_>> = texts.iter().map(|text| row(text)).collect();
    let ids = ids_of(&rows);
    let scrambler = Scrambler::new();
    for source in &rows {
        let made = scrambler.scramble(source, &ids).unwrap();
        assert_eq!(check(source, &made, &ids), []);
        let text = made.payload.to_string();
        let checked = rules.check(&text);
        assert!(checked.is_clean(), "{:?}", checked.findings());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        places(
            "",
            &serde_json::from_str(source.payload).unwrap(),
            &mut before,
        );
        places("", &made.payload, &mut after);
        assert_eq!(before, after, "every field has its place");
        assert!(!text.contains("FAKE"), "{text}");
        assert!(Record::parse(&text).is_ok());
    }
}

#[test]
fn an_identifier_is_replaced_by_the_same_text_wherever_it_stands() {
    let texts = [
        json!({"la_child_id": "A1", "mis_child_id": "B22"}).to_string(),
        json!({"la_child_id": "B22", "mis_child_id": " A1 "}).to_string(),
    ];
    let columns = Source {
        person_id: Some("A1"),
        legacy_id: Some("B22"),
        payload: &texts[0],
    };
    let ids = ids_of(&[columns, row(&texts[1])]);
    let scrambler = Scrambler::new();
    let first = scrambler.scramble(&columns, &ids).unwrap();
    let second = scrambler.scramble(&row(&texts[1]), &ids).unwrap();
    let (a, b) = (
        &first.payload["la_child_id"],
        &first.payload["mis_child_id"],
    );
    assert_eq!(first.person_id.as_deref(), a.as_str());
    assert_eq!(first.legacy_id.as_deref(), b.as_str());
    assert_eq!(second.payload, json!({"la_child_id": b, "mis_child_id": a}));
    assert_eq!(
        (a.as_str().unwrap().len(), b.as_str().unwrap().len()),
        (2, 3)
    );
    let elsewhere = json!({"la_child_id": "C3"}).to_string();
    assert!(!ids.know(&row(&elsewhere)));
    let unknown = scrambler.scramble(&row(&elsewhere), &ids);
    assert_eq!(unknown, Err(Unfit::UnknownId));
}

#[test]
fn different_identifiers_stay_different_however_short_they_are() {
    let short = |n: u32| char::from_u32(0x4e00 + n).unwrap().to_string();
    for texts in [
        (0..1000).map(|n| format!("{n:03}")).collect::<Vec<_>>(),
        (0..300).map(short).collect(),
        (0..20).map(|n| n.to_string()).collect(),
    ] {
        let payloads: Vec<String> = texts
            .iter()
            .map(|id| json!({"la_child_id": id}).to_string())
            .collect();
        let rows: Vec<Source<'_>> = payloads.iter().map(|text| row(text)).collect();
        let ids = ids_of(&rows);
        assert_eq!(ids.len(), texts.len());
        let made: BTreeSet<String> = texts.iter().map(|id| ids.id(id).unwrap()).collect();
        assert_eq!(made.len(), texts.len());
        assert!(texts.iter().all(|id| !made.contains(id)));
    }
}

#[test]
fn every_scrambling_has_a_key_of_its_own() {
    let text = real().to_string();
    let row = row(&text);
    let made: Vec<Scrambled> = (0..2)
        .map(|_| Scrambler::new().scramble(&row, &ids_of(&[row])).unwrap())
        .collect();
    for place in ["/mis_child_id", "/child_details/unique_pupil_number"] {
        assert_ne!(
            made[0].payload.pointer(place),
            made[1].payload.pointer(place)
        );
    }
}

#[test]
fn a_date_in_another_form_is_not_carried_over() {
    for text in [
        "01/02/2015",
        "2015-02-01T00:00:00",
        "20150201",
        " 2015-02-01",
        "2015-2-1",
        "2015-02-30",
        "0001-01-01",
        "9999-12-31",
        "Sunday",
    ] {
        let payload = json!({"child_details": {"date_of_birth": text}}).to_string();
        let source = row(&payload);
        let ids = ids_of(&[source]);
        let made = Scrambler::new().scramble(&source, &ids).unwrap();
        assert_eq!(
            made.payload["child_details"]["date_of_birth"], "unreadable",
            "{text}"
        );
        assert_eq!(check(&source, &made, &ids), []);
    }
}

#[test]
fn what_is_no_record_is_not_scrambled_but_its_identifiers_are_known() {
    let cut =
        r#"{"la_child_id": "CUT-OFF-CHILD-1", "child_details": {"unique_pupil_number": "H801200"#;
    for text in [cut, "", "[]", "7", "\"text\"", "{\"la_child_id\":\"A\"}}"] {
        let ids = ids_of(&[row(text)]);
        let made = Scrambler::new().scramble(&row(text), &ids);
        assert_eq!(made, Err(Unfit::NoRecord), "{text}");
    }
    let twice = r#"{"la_child_id":"FIRST-ONE","la_child_id":"SECOND","la_\u0063hild_id":"THIRD"}"#;
    let ids = ids_of(&[row(cut), row(twice)]);
    for id in [
        "CUT-OFF-CHILD-1",
        "first-one",
        "a SECOND one",
        "THIRD",
        "xCUT-OFF-CHILD-1x",
    ] {
        assert!(ids.stand_in(id), "{id}");
    }
    assert!(!ids.stand_in("nobody"));
}
