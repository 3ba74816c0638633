use super::*;
use crate::Column;

const COLUMNS: [(&str, &str, Option<usize>); 8] = [
    ("Id", "int", None),
    ("Person_ID", "nvarchar", Some(48)),
    ("json_payload", "nvarchar", None),
    ("previous_json_payload", "nvarchar", None),
    ("submission_status", "nvarchar", Some(50)),
    ("submission_timestamp", "datetime", None),
    ("api_response", "nvarchar", Some(500)),
    ("row_state", "nvarchar", Some(10)),
];

fn statements(change: &[(&str, &str)], unique: bool) -> Statements {
    let mut columns: Vec<Column> = COLUMNS
        .into_iter()
        .map(|(name, kind, max_chars)| Column {
            name: name.to_string(),
            kind: kind.to_string(),
            max_chars,
        })
        .collect();
    for (name, kind) in change {
        let known = columns
            .iter_mut()
            .find(|c| c.name.eq_ignore_ascii_case(name));
        match known {
            Some(column) => column.kind = (*kind).to_string(),
            None => columns.push(Column {
                name: (*name).to_string(),
                kind: (*kind).to_string(),
                max_chars: None,
            }),
        }
    }
    let shape = TableShape::new(&"dbo.t".parse().unwrap(), columns, unique, "").unwrap();
    Statements::new(&shape, "[dbo].[T]".to_string())
}

fn every(statements: &Statements) -> Vec<String> {
    let selected = [
        Selection::Records,
        Selection::Deletions,
        Selection::Children,
    ];
    let mut all: Vec<String> = selected
        .into_iter()
        .map(|selection| statements.of(selection))
        .flat_map(|s| {
            [
                s.count.clone(),
                s.count_newest.clone(),
                s.lengths(false, 0),
                s.lengths(true, 16),
                s.page(false, 0),
                s.page(true, 16),
            ]
        })
        .collect();
    all.extend([
        statements.superseded.clone(),
        statements.record(2, 1, false),
        statements.record(2, 2, true),
        statements.write_partials(2),
        statements.stage(2),
        statements.counts.clone(),
        statements.times.clone(),
        statements.several.clone(),
        statements.count_all(),
        statements.remove_all(),
        statements.restage(2),
        statements.reset(4),
    ]);
    all.extend(statements.legacy_ids(2));
    all
}

#[test]
fn a_name_stands_as_the_catalogue_spells_it() {
    assert_eq!(bracketed("a]b"), "[a]]b]");
    for sql in every(&statements(&[], false)) {
        assert!(sql.contains("[dbo].[T]"), "{sql}");
        assert!(
            !sql.contains("[id]") && !sql.contains("[person_id]"),
            "{sql}"
        );
    }
}

#[test]
fn nothing_needs_a_newer_level_or_reads_what_others_have_locked() {
    let every = every(&statements(
        &[("current_hash", "binary"), ("previous_hash", "binary")],
        false,
    ));
    for word in [
        "OPENJSON",
        "STRING_SPLIT",
        "STRING_AGG",
        " TRIM(",
        "MERGE",
        "NOLOCK",
        "READPAST",
        "READUNCOMMITTED",
        "SNAPSHOT",
        "JSON_VALUE",
        "ISJSON",
    ] {
        assert!(every.iter().all(|sql| !sql.contains(word)), "{word}");
    }
}

#[test]
fn rows_are_one_parameter_and_each_fate_has_its_own_below_the_limit() {
    let statements = statements(&[], false);
    let many = statements.record(200, 200, false);
    assert!(many.contains("@P1201") && !many.contains("@P1202"));
    let usual = statements.record(100, 1, false);
    assert!(usual.contains("(0, @P202, @P203, @P204, @P205)") && !usual.contains("@P206"));
    assert!(
        usual.contains("(VALUES (1, @P2, @P3), (42, @P4, @P5)")
            && usual.contains("(4060, @P200, @P201)) AS v (place"),
        "{usual}"
    );
    let again = statements.record(1, 1, true);
    assert!(again.contains("UNION SELECT CAST(t.[Id] AS BIGINT)"));
    assert!(
        !again.contains("@P8"),
        "the second part has the same parameters"
    );
    assert!(!usual.contains("UNION"));
}

#[test]
fn changes_and_resets_answer_through_a_table_variable_because_of_triggers() {
    let statements = statements(&[("last_updated", "datetime")], false);
    let restage = statements.restage(200);
    assert!(restage.contains("@P1000") && !restage.contains("@P1001"));
    assert!(restage.contains("OUTPUT inserted.[Id] INTO @recorded"));
    assert!(restage.contains("[last_updated] = GETDATE()"));
    let reset = statements.reset(1);
    assert!(reset.ends_with("SELECT status, number FROM @was"));
    assert!(reset.contains("IN (@P1)"), "{reset}");
}

#[test]
fn a_column_that_is_absent_is_in_no_statement() {
    for sql in every(&statements(&[], false)) {
        for column in [
            "previous_hash]",
            "current_hash]",
            "legacy_id]",
            "last_updated]",
        ] {
            assert!(!sql.contains(column), "{sql}");
        }
    }
    let all = statements(
        &[
            ("previous_hash", "binary"),
            ("current_hash", "binary"),
            ("legacy_id", "nvarchar"),
        ],
        false,
    );
    assert!(all.record(1, 1, false).contains("[previous_hash] = CASE"));
    assert!(all.stage(1).contains("[legacy_id], ") && all.stage(1).contains("v.digest"));
}

#[test]
fn the_newest_row_is_looked_for_only_where_it_is_asked_for() {
    let made = statements(&[], false);
    let selected = made.of(Selection::Records);
    assert!(!selected.count.contains("JOIN"), "{}", selected.count);
    let newest = &selected.count_newest;
    assert!(newest.contains("LEFT OUTER HASH JOIN"), "{newest}");
}

#[test]
fn ids_to_skip_are_parameters_of_few_different_statements() {
    let made = statements(&[], false);
    let page = made.of(Selection::Records);
    assert!(!page.page(false, 0).contains("NOT IN"));
    assert!(page.page(false, 2).contains("AND t.[Id] NOT IN (@P3, @P4)"));
    let lengths = page.lengths(false, 2);
    assert!(lengths.contains("TOP (@P3)") && lengths.contains("AND t.[Id] NOT IN (@P4, @P5)"));
    assert_eq!(padded(&[]), Vec::<i64>::new());
    assert_eq!(padded(&[7, 9]).len(), 16);
    assert!(padded(&[7, 9])[1..].iter().all(|id| *id == 9));
    assert_eq!(padded(&[3; 1000]).len(), 1024);
}

#[test]
fn an_id_is_compared_in_the_columns_own_type() {
    let int = statements(&[], false);
    let page = int.of(Selection::Records).page(false, 0);
    assert!(page.contains("> CAST(@P1 AS INT)") && page.contains("<= CAST(@P2 AS INT)"));
    assert_eq!(int.within_ids(i64::MIN), i64::from(i32::MIN));
    assert_eq!(int.within_ids(i64::MAX), i64::from(i32::MAX));
    let bigint = statements(&[("Id", "bigint")], false);
    let page = bigint.of(Selection::Records).page(false, 0);
    assert!(page.contains("[Id] > @P1 AND t.[Id] <= @P2"));
    assert_eq!(bigint.within_ids(i64::MIN), i64::MIN);
}

#[test]
fn a_column_of_another_type_gets_its_value_by_a_cast() {
    let odd = statements(
        &[
            ("api_response", "varchar"),
            ("submission_timestamp", "datetimeoffset"),
        ],
        false,
    );
    let sql = odd.record(1, 1, false);
    assert!(
        sql.contains("[api_response] = CAST(v.response AS varchar(500))"),
        "{sql}"
    );
    assert!(sql.contains("126) AS datetimeoffset) END"), "{sql}");
    let usual = statements(&[], false).record(1, 1, false);
    assert!(usual.contains("[api_response] = v.response,"), "{usual}");
}
