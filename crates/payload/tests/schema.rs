//! The DfE's own schema beside our rules, with descriptions written for this test.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use csc_payload::finding::{RuleId, Severity};
use csc_payload::schema::{Schema, SchemaFault};
use serde_json::{Value, json};

const V3_1: &str = include_str!("openapi/3.1.json");
const V3_0: &str = include_str!("openapi/3.0.json");

fn found(schema: &Schema, record: &Value) -> Vec<(String, String)> {
    let checked = schema.check(&record.to_string());
    for finding in checked.findings() {
        assert_eq!(finding.rule(), RuleId::Schema);
        assert_eq!(finding.severity(), Severity::Error);
        let words = format!("{finding} {} {}", finding.path(), finding.pointer());
        assert!(!words.contains("Canary"), "{words}");
    }
    checked
        .findings()
        .iter()
        .map(|finding| (finding.pointer().to_owned(), finding.message().to_owned()))
        .collect()
}

#[track_caller]
fn finds(schema: &Schema, record: &Value, pointer: &str, message: &str) {
    assert_eq!(
        found(schema, record),
        [(pointer.to_owned(), message.to_owned())]
    );
}

#[test]
fn a_record_that_fits_has_no_findings() {
    let schema = Schema::from_openapi(V3_1).unwrap();
    let record = json!({
        "la_child_id": "1",
        "mis_child_id": "2",
        "child_details": {"date_of_birth": "2011-12-13", "sex": "M", "surname": "Canary"},
        "social_care_episodes": [{"social_care_episode_id": "E1"}]
    });
    assert_eq!(found(&schema, &record), []);
}

#[test]
fn nulls_count_as_absent() {
    let schema = Schema::from_openapi(V3_1).unwrap();
    let record = json!({
        "la_child_id": "1",
        "purge": null,
        "unheard_of": null,
        "social_care_episodes": [null, {"social_care_episode_id": "E1", "x": null}]
    });
    assert_eq!(found(&schema, &record), []);
    finds(
        &schema,
        &json!({"la_child_id": null}),
        "/la_child_id",
        "is not there, and the schema requires it",
    );
}

#[test]
fn a_finding_says_where_and_what_the_schema_asks_for_without_the_value() {
    let schema = Schema::from_openapi(V3_1).unwrap();
    let long = "Canary".repeat(7);
    for (record, pointer, message) in [
        (
            json!({"la_child_id": long}),
            "/la_child_id",
            "is a 42-character string, and the schema asks for maxLength 36",
        ),
        (
            json!({"la_child_id": "Canary!"}),
            "/la_child_id",
            "is a 7-character string, and the schema asks for pattern \"^[A-Za-z0-9_-]+$\"",
        ),
        (
            json!({"la_child_id": 777}),
            "/la_child_id",
            "is a number, and the schema asks for type \"string\"",
        ),
        (
            json!({"la_child_id": "1", "mis_child_id": long}),
            "/mis_child_id",
            "is a 42-character string, and the schema asks for maxLength 36",
        ),
        (
            json!({"la_child_id": "1", "child_details": {"date_of_birth": "2011-02-30"}}),
            "/child_details/date_of_birth",
            "is a 10-character string, and the schema asks for format \"date\"",
        ),
        (
            json!({"la_child_id": "1", "child_details": {"sex": "Canary"}}),
            "/child_details/sex",
            "is a 6-character string, and the schema asks for enum [\"M\",\"F\",\"U\"]",
        ),
        (
            json!({"la_child_id": "1", "child_details": {"surname": long}}),
            "/child_details/surname",
            "is a 42-character string, and the schema asks for maxLength 20",
        ),
        (
            json!({"la_child_id": "1", "social_care_episodes": [
                {"social_care_episode_id": "E1"}, {"x": "Canary"}]}),
            "/social_care_episodes/1/social_care_episode_id",
            "is not there, and the schema requires it",
        ),
        (
            json!({"la_child_id": "1", "social_care_episodes": "Canary"}),
            "/social_care_episodes",
            "is a 6-character string, and the schema asks for type \"array\"",
        ),
        (
            json!({"la_child_id": "1", "middle_name": "Canary"}),
            "",
            "has middle_name, which the schema does not allow",
        ),
        (
            json!({"la_child_id": "1", "Canary Smith": 1}),
            "",
            "has a key that the schema does not allow, and that may not be shown",
        ),
    ] {
        finds(&schema, &record, pointer, message);
    }
}

#[test]
fn a_path_has_no_indices() {
    let schema = Schema::from_openapi(V3_1).unwrap();
    let record = json!({"la_child_id": "1", "social_care_episodes": [{}]});
    let checked = schema.check(&record.to_string());
    assert_eq!(
        checked.findings()[0].path(),
        "social_care_episodes[].social_care_episode_id"
    );
}

#[test]
fn openapi_3_0_is_read_through_references_and_alternatives() {
    let schema = Schema::from_openapi(&format!("\u{feff}{V3_0}")).unwrap();
    assert_eq!(
        found(
            &schema,
            &json!({"la_child_id": "1", "mis_child_id": null, "score": 1})
        ),
        []
    );
    let record = json!({"la_child_id": "1", "score": 0});
    assert_eq!(found(&schema, &record).len(), 1);
    finds(
        &schema,
        &json!({"mis_child_id": "2"}),
        "/la_child_id",
        "is not there, and the schema requires it",
    );
}

#[test]
fn without_a_path_to_children_the_component_with_la_child_id_is_taken() {
    for parts in [
        json!({"Odd": {"type": "object"}, "Record": {
            "type": "object",
            "properties": {"la_child_id": {"type": "string", "maxLength": 3}}
        }}),
        json!({"Record": {"allOf": [{"type": "object"}, {
            "properties": {"la_child_id": {"type": "string", "maxLength": 3}}
        }]}}),
    ] {
        let file = json!({"openapi": "3.1.0", "components": {"schemas": parts}});
        let schema = Schema::from_openapi(&file.to_string()).unwrap();
        assert_eq!(found(&schema, &json!({"la_child_id": "1234"})).len(), 1);
        assert_eq!(found(&schema, &json!({"la_child_id": "123"})), []);
    }
}

#[test]
fn a_schema_that_refers_to_itself_is_used_and_a_circle_of_references_is_none() {
    let deep = json!({"openapi": "3.1.0", "components": {"schemas": {"Child": {
        "properties": {
            "la_child_id": {"type": "string"},
            "twin": {"$ref": "#/components/schemas/Child"}
        }
    }}}});
    let schema = Schema::from_openapi(&deep.to_string()).unwrap();
    let record = json!({"twin": {"twin": {"la_child_id": 1}}});
    assert_eq!(found(&schema, &record)[0].0, "/twin/twin/la_child_id");

    let circle = json!({"openapi": "3.1.0",
    "paths": {"/children": {"post": {"requestBody": {"content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/A"}}}}}}},
    "components": {"schemas": {
        "A": {"$ref": "#/components/schemas/B"},
        "B": {"$ref": "#/components/schemas/A"}
    }}});
    assert_eq!(
        Schema::from_openapi(&circle.to_string()).unwrap_err(),
        SchemaFault::NoChild
    );
}

#[test]
fn a_file_that_is_no_schema_is_told_why() {
    let fault = |text: &str| Schema::from_openapi(text).unwrap_err();
    assert_eq!(fault("{\n]"), SchemaFault::NotJson { line: 2, column: 1 });
    assert_eq!(fault("{}"), SchemaFault::NotOpenApi(None));
    assert_eq!(
        fault(r#"{"openapi": "2.0"}"#),
        SchemaFault::NotOpenApi(Some("2.0".to_owned()))
    );
    assert_eq!(fault(r#"{"openapi": "3.1.0"}"#), SchemaFault::NoChild);
}

#[test]
fn nothing_is_fetched_for_a_schema_that_refers_to_another_file() {
    for reference in [
        "https://example.test/child.json",
        "other.json#/Child",
        "#/nowhere",
    ] {
        let file = json!({"openapi": "3.1.0", "components": {"schemas": {"Child": {
            "properties": {"la_child_id": {"$ref": reference}}
        }}}});
        let fault = Schema::from_openapi(&file.to_string()).unwrap_err();
        assert!(matches!(fault, SchemaFault::Unusable(_)), "{fault}");
    }
}

#[test]
fn what_is_no_json_has_no_findings_here() {
    let schema = Schema::from_openapi(V3_1).unwrap();
    assert!(schema.check("{\"la_child_id\":").is_clean());
}
