use serde_json::json;

use super::*;

/// A value that stands for a child's, and must not be seen anywhere.
const SECRET: &str = "Zsófia";

fn fault(text: &str) -> RecordFault {
    let fault = Record::parse(text).unwrap_err();
    let shown = format!("{fault} {fault:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("W1A"), "{shown}");
    fault
}

#[test]
fn a_text_without_nulls_is_carried_byte_for_byte() {
    for text in [
        r#"{"la_child_id":"1"}"#,
        r#"{ "la_child_id" : "1" , "n":[1.10,1.0,-0,1E+5,1e400,18446744073709551616,9007199254740993]}"#,
        r#"{"la_child_id":"O'Brien-\u00e9-é-😀-\ud83d\ude00-\/","null":"null","x":"a null b"}"#,
        "{\r\n\t\"la_child_id\": \"1\",\r\n\t\"empty\": [], \"more\": {}, \"t\": \"\", \"p\": false\r\n}",
    ] {
        let record = Record::parse(text).unwrap();
        assert_eq!(record.text(), text);
        let staged = format!("\u{feff} \r\n{text}\r\n ");
        assert_eq!(Record::parse(&staged).unwrap().text(), text);
        let staged = format!("\n\u{feff}{text}");
        assert_eq!(Record::parse(&staged).unwrap().into_text(), text);
    }
}

#[test]
fn a_text_with_nulls_is_rebuilt_without_them_and_with_every_spelling_kept() {
    for (staged, wire) in [
        (
            r#"{ "la_child_id" : "\u0031", "x": null, "n": [1.10, null, 1E+5, 18446744073709551616] }"#,
            r#"{"la_child_id":"\u0031","n":[1.10,1E+5,18446744073709551616]}"#,
        ),
        (
            r#"{"b":{"é\n":null,"k\u0065y":[{"z": null},[null],"O'Brien \ud83d\ude00 😀 \/"]},"la_child_id":"1"}"#,
            r#"{"b":{"k\u0065y":[{},[],"O'Brien \ud83d\ude00 😀 \/"]},"la_child_id":"1"}"#,
        ),
        (
            r#"{"la_child_id":"1","mis_child_id":null,"t":"null","e":{},"l":[]}"#,
            r#"{"la_child_id":"1","t":"null","e":{},"l":[]}"#,
        ),
    ] {
        let record = Record::parse(staged).unwrap();
        assert_eq!(record.text(), wire);
        assert_eq!(record.mis_child_id(), None);
    }
}

#[test]
fn of_a_key_that_is_there_twice_the_last_is_sent_and_only_that() {
    for (staged, wire) in [
        (
            r#"{"la_child_id":"1","a":1,"b":2,"a":3}"#,
            r#"{"la_child_id":"1","a":3,"b":2}"#,
        ),
        (
            r#"{"la_child_id":"1","a":1,"a":null}"#,
            r#"{"la_child_id":"1"}"#,
        ),
        (
            r#"{"a":null,"la_child_id":"1","a":1}"#,
            r#"{"a":1,"la_child_id":"1"}"#,
        ),
        (
            r#"{"la_child_id":"1","x":[{"a":1,"\u0061":2}]}"#,
            r#"{"la_child_id":"1","x":[{"a":2}]}"#,
        ),
        (
            r#"{"la_child_id":"1","la_child_id":"1"}"#,
            r#"{"la_child_id":"1"}"#,
        ),
        (
            r#"{"la_child_id":null,"la_child_id":"1"}"#,
            r#"{"la_child_id":"1"}"#,
        ),
    ] {
        let record = Record::parse(staged).unwrap();
        assert_eq!(record.text(), wire);
        let seen: Value = serde_json::from_str(staged).unwrap();
        assert_eq!(crate::meaning(&record.value()), crate::meaning(&seen));
    }
    // The same key in two objects is not twice in one.
    let text = r#"{"la_child_id":"1","a":{"a":{"a":1}},"b":{"a":1}}"#;
    assert_eq!(Record::parse(text).unwrap().text(), text);
}

#[test]
fn a_key_twice_is_found_among_many() {
    let fields: Vec<String> = (0..100).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let text = format!(r#"{{"la_child_id":"1",{}}}"#, fields.join(","));
    assert_eq!(Record::parse(&text).unwrap().text(), text);
    for again in [0, 30, 31, 32, 33, 99] {
        let twice = text.replace('}', &format!(r#","k{again}":-1}}"#));
        let sent = Record::parse(&twice).unwrap().into_text();
        let expected = text.replace(
            &format!(r#""k{again}":{again}"#),
            &format!(r#""k{again}":-1"#),
        );
        assert_eq!(sent, expected);
    }
}

#[test]
fn the_record_knows_whose_it_is() {
    let text =
        r#"{"x":{"la_child_id":"no"},"la_child_id":"é\u0031","mis_child_id":"M","purge":false}"#;
    let record = Record::parse(text).unwrap();
    assert_eq!(record.la_child_id(), "é1");
    assert_eq!(record.mis_child_id(), Some("M"));
    assert!(!record.is_purge());
    let record = Record::parse(r#"{"la_child_id":"1","mis_child_id":5,"purge":true}"#).unwrap();
    assert_eq!(record.mis_child_id(), None);
    assert!(record.is_purge());
    let record = Record::parse(r#"{"la_child_id":"1","a":{"purge":true},"purge":"true"}"#).unwrap();
    assert!(!record.is_purge());
}

#[test]
fn a_records_purge_is_that_of_its_value() {
    for text in [
        r#"{"x":[1,2],"la_child_id":"é\u0031","mis_child_id":"M"}"#,
        r#"{"mis_child_id":" ","la_child_id":"1","purge":true}"#,
        r#"{"la_child_id":"1","mis_child_id":5.0}"#,
        r#"{"la_child_id":"1","mis_child_id":null}"#,
        r#"{"la_child_id":"1"}"#,
    ] {
        let record = Record::parse(text).unwrap();
        let expected = crate::purge(&record.value());
        assert_eq!(record.purge().to_string(), expected.to_string());
    }
}

#[test]
fn what_is_no_record_is_named_without_quoting_it() {
    use JsonKind::*;
    for (text, expected) in [
        ("", RecordFault::Blank),
        (" \u{feff}\r\n", RecordFault::Blank),
        ("null", RecordFault::NotAnObject { found: Null }),
        ("\"Zsófia\"", RecordFault::NotAnObject { found: Text }),
        (
            r#"[{"la_child_id":"1"}]"#,
            RecordFault::NotAnObject { found: Array },
        ),
        ("5", RecordFault::NotAnObject { found: Number }),
        ("5.50", RecordFault::NotAnObject { found: Number }),
        ("-5", RecordFault::NotAnObject { found: Number }),
        ("true", RecordFault::NotAnObject { found: Boolean }),
        ("{}", RecordFault::NoChildId(Missing::Absent)),
        (
            r#"{"child_details":{"la_child_id":"1"}}"#,
            RecordFault::NoChildId(Missing::Absent),
        ),
        (
            r#"{"la_child_id":"1","la_child_id":null}"#,
            RecordFault::NoChildId(Missing::Null),
        ),
        (
            r#"{"la_child_id":" \t"}"#,
            RecordFault::NoChildId(Missing::Blank),
        ),
        (
            r#"{"la_child_id":5}"#,
            RecordFault::ChildIdNotText { found: Number },
        ),
        (
            r#"{"la_child_id":5.5}"#,
            RecordFault::ChildIdNotText { found: Number },
        ),
        (
            r#"{"la_child_id":["Zsófia"]}"#,
            RecordFault::ChildIdNotText { found: Array },
        ),
        (
            r#"{"la_child_id":{}}"#,
            RecordFault::ChildIdNotText { found: Object },
        ),
        (
            r#"{"la_child_id":false}"#,
            RecordFault::ChildIdNotText { found: Boolean },
        ),
        (
            r#"{"la_child_id":"Zsófia","x":1,"la_child_id":"1"}"#,
            RecordFault::TwoChildIds,
        ),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn a_text_that_is_not_json_is_placed_by_line_and_column_as_an_editor_counts() {
    let no_json = |line, column, reason| RecordFault::NotJson {
        line,
        column,
        reason,
    };
    let deep = format!(r#"{{"la_child_id":"1","a":{}"#, "[".repeat(200));
    for (text, expected) in [
        (
            r#"{"la_child_id":"Zsófia"#,
            no_json(1, 22, NotJson::EndsEarly),
        ),
        (r#"{"la_child_id":"1"} {"#, no_json(1, 21, NotJson::GoesOn)),
        (
            "{\"Zsófia\":\"W1A\n1AA\"}",
            no_json(2, 0, NotJson::ControlCharacter),
        ),
        (
            "\u{feff}\r\n {\"Zsófia\":W1A}",
            no_json(2, 12, NotJson::Syntax),
        ),
        (
            "{\r\n\"Zsófia\":1,\r\n\"a\":1,}",
            no_json(3, 7, NotJson::Syntax),
        ),
        (r#"{"Zsófia":"\x"}"#, no_json(1, 13, NotJson::Escape)),
        (r#"{"Zsófia":"\ud800"}"#, no_json(1, 18, NotJson::Escape)),
        ("{'Zsófia':1}", no_json(1, 2, NotJson::Syntax)),
        ("{\"a\":01}", no_json(1, 7, NotJson::Syntax)),
        ("{\"a\":NaN}", no_json(1, 6, NotJson::Syntax)),
        (deep.as_str(), no_json(1, 150, NotJson::TooDeep)),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}

#[test]
fn a_key_that_the_library_would_take_for_its_own_is_refused() {
    for text in [
        r#"{"la_child_id":"1","a":{"$serde_json::private::Number":"5"}}"#,
        r#"{"la_child_id":"1","a":{"\u0024serde_json::private::Number":"5"}}"#,
        r#"{"la_child_id":"1","a":{"$serde_json::private::Number":"Zs\u00f3fia"}}"#,
        r#"{"la_child_id":"1","a":{"$serde_json::private::Number":5}}"#,
        r#"{"la_child_id":"1","a":{"$serde_json::private::Number":5.5}}"#,
        r#"{"la_child_id":"1","a":{"$serde_json::private::Number":{"Zsófia":1}}}"#,
        r#"{"la_child_id":"1","a":{"b":null,"$serde_json::private::Number":"5"}}"#,
        r#"{"la_child_id":"1","a":[{"$serde_json::private::RawValue":"5"}]}"#,
        r#"{"$serde_json::private::RawValue":"{\"la_child_id\":\"1\"}"}"#,
    ] {
        assert_eq!(fault(text), RecordFault::ReservedKey, "{text}");
    }
}

#[test]
fn a_records_value_keeps_its_numbers_and_the_order_of_its_keys() {
    let text = r#"{"z":1.10,"la_child_id":"1","a":[18446744073709551616,-0,-0.0,1e+5,0,-7]}"#;
    assert_eq!(Record::parse(text).unwrap().value().to_string(), text);
}

#[test]
fn nothing_of_the_child_is_in_a_records_debug_output() {
    let record = Record::parse(r#"{"la_child_id":"Zsófia","mis_child_id":"Zsófia"}"#).unwrap();
    assert_eq!(format!("{record:?}"), "Record { bytes: 50, .. }");
}

#[test]
fn a_shape_shows_structure_and_no_value() {
    let record = json!({
        "la_child_id": "FAKE00000001",
        "child_details": {"first_name": SECRET, "uasc_flag": true, "disabilities": ["NONE"]},
        "social_care_episodes": [
            {"social_care_episode_id": "1", "factors": [], "adoption": {}, "n": 5.50},
            {"social_care_episode_id": "2"},
        ],
        SECRET: {"Zsófia O'Brien": [[1]]},
    });
    let record = Record::parse(&record.to_string()).unwrap();
    assert_eq!(
        record.shape(),
        "\
la_child_id: 12-character string
child_details: 3 fields
  first_name: 6-character string
  uasc_flag: true or false
  disabilities: 1 item
    first item: 4-character string
social_care_episodes: 2 items
  first item: 4 fields
    social_care_episode_id: 1-character string
    factors: 0 items
    adoption: 0 fields
    n: number
(a 6-character key): 1 field
  (a 14-character key): 1 item
    first item: 1 item
      first item: number
"
    );
}
