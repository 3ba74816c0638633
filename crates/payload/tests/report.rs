//! The report on a whole table, in each of its forms.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use csc_payload::report::{EXAMPLES, Format, GROUPS, Report};
use csc_payload::rules::Rules;
use serde_json::{Value, json};

fn report(payloads: &[Value]) -> Report {
    let rules = Rules::embedded();
    let mut report = Report::new();
    for (row, payload) in (100..).zip(payloads) {
        report.add(row, &rules.check(&payload.to_string()));
    }
    report
}

/// Ten records: a clean one, seven with a bad date (one of them with two), one
/// with a doubtful code and one that is a list.
fn table() -> Report {
    let mut payloads = vec![json!({"la_child_id": "1"})];
    for n in 0..7 {
        payloads.push(json!({
            "la_child_id": format!("c{n}"),
            "child_details": {"date_of_birth": "Canary"}
        }));
    }
    payloads[3]["social_care_episodes"] = json!([
        {"social_care_episode_id": "1", "closure_date": "Canary"},
        {"social_care_episode_id": "2", "closure_date": "Canary"}
    ]);
    payloads.push(json!({"la_child_id": "9", "child_details": {"sex": "Q"}}));
    payloads.push(json!(["Canary"]));
    report(&payloads)
}

fn written(report: &Report, format: Format) -> String {
    let mut out = Vec::new();
    report.write(format, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("Canary"), "{text}");
    text
}

#[test]
fn records_are_counted_by_their_worst_finding() {
    let report = table();
    assert_eq!(report.records(), 10);
    assert_eq!(report.with_errors(), 8);
    assert_eq!(report.with_warnings(), 1);
    assert_eq!(report.clean(), 1);
}

#[test]
fn the_text_says_what_it_means_and_what_to_do() {
    let expected = "\
10 records checked: 8 with errors, 1 with warnings only, 1 clean.

ERROR date: child_details.date_of_birth (item 8)
  7 records: rows 101, 102, 103, 104, 105 and 2 more
  what:  The text is no calendar date written YYYY-MM-DD; the receiver refuses the record.
  e.g.:  in row 101, /child_details/date_of_birth is a 6-character string, not a date
         YYYY-MM-DD
  to do: A real calendar date, YYYY-MM-DD in quotes, without a time: the day of birth. Leave
         it out for an unborn child, and give expected_date_of_birth.

ERROR wrong-type: the record itself
  1 record: row 109
  what:  The value is of another kind than the specification asks for, e.g. a number where
         text in quotes belongs; the receiver refuses the record.
  e.g.:  in row 109, the record is an array, where an object {...} belongs
  to do: Look at the query that makes the payload: an object is written {...}, a list [...],
         also when it has one item.

ERROR date: social_care_episodes[].closure_date (item 19)
  1 record, 2 findings: row 103
  what:  The text is no calendar date written YYYY-MM-DD; the receiver refuses the record.
  e.g.:  in row 103, /social_care_episodes/0/closure_date is a 6-character string, not a
         date YYYY-MM-DD
  to do: A real calendar date, YYYY-MM-DD in quotes, without a time: the day on which the
         case was closed. Leave it out while it is open.

WARNING unknown-code: child_details.sex (item 10)
  1 record: row 108
  what:  The code is not in its code set. The receiver may take it, the return that is made
         of it will not.
  e.g.:  in row 108, /child_details/sex is a 1-character string, which is not a code of the
         set sex
  to do: The set has M (male), F (female), U (unknown). M, F or U: one capital letter in
         quotes.
";
    assert_eq!(written(&table(), Format::Text), expected);
}

#[test]
fn a_table_without_findings_says_so_in_one_line() {
    let report = report(&[json!({"la_child_id": "1"})]);
    assert_eq!(
        written(&report, Format::Text),
        "1 record checked: 0 with errors, 0 with warnings only, 1 clean.\n"
    );
}

#[test]
fn the_json_has_the_counts_and_the_groups() {
    let value: Value = serde_json::from_str(&written(&table(), Format::Json)).unwrap();
    assert_eq!(value["records"], 10);
    assert_eq!(value["with_errors"], 8);
    assert_eq!(value["errors"], 10);
    assert_eq!(value["warnings"], 1);
    assert_eq!(value["not_listed"], 0);
    let first = &value["groups"][0];
    assert_eq!(first["rule"], "date");
    assert_eq!(first["item"], "8");
    assert_eq!(first["records"], 7);
    assert_eq!(first["examples"].as_array().unwrap().len(), EXAMPLES);
    assert_eq!(first["examples"][0]["row"], 101);
    assert_eq!(
        first["examples"][0]["pointer"],
        "/child_details/date_of_birth"
    );
    assert_eq!(value["groups"][1]["item"], Value::Null);
}

#[test]
fn the_csv_has_a_line_per_group_that_a_spreadsheet_can_read() {
    let text = written(&table(), Format::Csv);
    assert!(text.lines().all(|line| !line.is_empty()));
    assert_eq!(text.matches("\r\n").count(), 5);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(&reader.headers().unwrap()[6], "example_rows");
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(&rows[0][1], "date");
    assert_eq!(&rows[0][6], "101 102 103 104 105");
    assert_eq!(&rows[3][0], "warning");
    // A cell that begins with one of these is a formula to a spreadsheet.
    let cells = rows.iter().flatten();
    assert!(
        !cells
            .into_iter()
            .any(|cell| cell.starts_with(['=', '+', '-', '@']))
    );
}

#[test]
fn the_sarif_has_one_result_per_group_and_describes_the_rules_it_uses() {
    let value: Value = serde_json::from_str(&written(&table(), Format::Sarif)).unwrap();
    assert_eq!(value["version"], "2.1.0");
    let run = &value["runs"][0];
    let rules: Vec<&str> = run["tool"]["driver"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["wrong-type", "date", "unknown-code"]);
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    assert_eq!(results[0]["ruleId"], "date");
    assert_eq!(results[0]["level"], "error");
    assert_eq!(results[0]["occurrenceCount"], 7);
    assert_eq!(
        results[0]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
        "row 101/child_details/date_of_birth"
    );
    assert_eq!(results[3]["level"], "warning");
}

#[test]
fn strict_findings_are_reported_as_errors() {
    let rules = Rules::embedded();
    let checked = rules
        .check(r#"{"la_child_id":"1","nickname":"x"}"#)
        .strict();
    let mut report = Report::new();
    report.add(1, &checked);
    assert_eq!((report.with_errors(), report.with_warnings()), (1, 0));
    assert!(written(&report, Format::Text).contains("ERROR unknown-key: nickname"));
}

#[test]
fn findings_that_a_record_has_too_many_of_are_counted_as_not_listed() {
    let wrong = vec![json!(1); 60];
    let report = report(&[json!({"la_child_id": "1", "child_details": {"disabilities": wrong}})]);
    // 60 wrong types and one list that is too long, of which 50 are kept.
    assert!(written(&report, Format::Text).contains("11 more findings not listed"));
}

#[test]
fn a_report_does_not_grow_with_keys_that_nobody_knows() {
    let key = |n: usize| {
        let letters: String = format!("{n:05}")
            .bytes()
            .map(|digit| char::from(digit - b'0' + b'a'))
            .collect();
        format!("key_{letters}")
    };
    let payloads: Vec<Value> = (0..GROUPS + 20)
        .map(|n| json!({"la_child_id": "1", key(n): 1}))
        .collect();
    let value: Value = serde_json::from_str(&written(&report(&payloads), Format::Json)).unwrap();
    assert_eq!(value["groups"].as_array().unwrap().len(), GROUPS);
    assert_eq!(value["not_listed"], 20);
    assert_eq!(value["with_warnings"], GROUPS + 20);
}
