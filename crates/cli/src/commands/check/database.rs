//! The database and the table.

use std::collections::BTreeMap;

use csc_message::{Probe, Verdict};
use csc_payload::finding::Severity;
use csc_sender_run::Checks;
use csc_staging::{PageLimits, PageRequest, Selection, StagingStore, TABLE_PROBE, TableSummary};

use super::{Section, not_tried};
use crate::arguments::CheckPart;
use crate::commands::{open_table, send};
use crate::configuration::{Examined, Settings};

/// How many records are held against the rules: `validate` looks at all of them.
const SAMPLES: PageLimits = PageLimits {
    rows: 100,
    bytes: 8 * 1024 * 1024,
};
/// How many rows are named for each rule.
const ROWS_NAMED: usize = 5;

/// The sections that the part asks for. `database` alone tells what the catalogue says of
/// the table as well; `all` has that under `table`.
pub(super) async fn sections(examined: &Examined, part: CheckPart) -> Vec<Section> {
    let (mut of_database, mut of_table) = (Vec::new(), Vec::new());
    let settings = &examined.settings;
    match &settings.database {
        None => {
            of_database.push(not_tried("connection", "the settings name no database"));
            of_table.push(not_tried(TABLE_PROBE, "there is no connection"));
        }
        Some(target) => match open_table(target, &settings.table).await {
            Err(errors) => {
                let failed = |error| Probe::failed("connection", error);
                of_database.extend(errors.iter().map(failed));
                of_table.push(not_tried(TABLE_PROBE, "there is no connection"));
            }
            Ok(store) => match store.examine().await {
                Err(error) => {
                    of_database.push(Probe::failed("examination", &error.message));
                    of_table.push(not_tried(TABLE_PROBE, "the database told nothing of it"));
                }
                Ok(probes) => {
                    let (table, database): (Vec<Probe>, Vec<Probe>) = split(probes);
                    of_database = database;
                    of_table = if examined.is_table_unknown {
                        vec![not_tried(TABLE_PROBE, "TABLE_NAME is no table's name")]
                    } else {
                        table
                    };
                    if part != CheckPart::Database && !examined.is_table_unknown {
                        of_table.extend(of_contents(&*store, settings, &of_table).await);
                    }
                }
            },
        },
    }
    match part {
        CheckPart::Table => {
            // Without a connection the reason is all there is to tell.
            of_database.retain(|probe| probe.verdict == Verdict::Fail);
            of_database.extend(of_table);
            vec![Section {
                title: "table",
                probes: of_database,
            }]
        }
        CheckPart::Database => {
            of_database.extend(of_table);
            vec![Section {
                title: "database",
                probes: of_database,
            }]
        }
        CheckPart::Config | CheckPart::Receiver | CheckPart::All => vec![
            Section {
                title: "database",
                probes: of_database,
            },
            Section {
                title: "table",
                probes: of_table,
            },
        ],
    }
}

/// The table's probes, and the others.
fn split(mut probes: Vec<Probe>) -> (Vec<Probe>, Vec<Probe>) {
    let begins = |probe: &Probe| probe.subject == TABLE_PROBE;
    let at = probes.iter().position(begins).unwrap_or(probes.len());
    let table = probes.split_off(at);
    (table, probes)
}

/// What only asking the table itself tells.
async fn of_contents(
    store: &dyn StagingStore,
    settings: &Settings,
    catalogue: &[Probe],
) -> Vec<Probe> {
    let lacks = |probe: &Probe| {
        probe.verdict == Verdict::Fail && [TABLE_PROBE, "columns"].contains(&probe.subject)
    };
    if catalogue.iter().any(lacks) {
        let why = "the table or a column is missing";
        return ["writing", "rows", "samples"]
            .map(|subject| not_tried(subject, why))
            .to_vec();
    }
    let mut probes = vec![match store.try_writing().await {
        Ok(0) => Probe::ok(
            "writing",
            "the table is empty, so an UPDATE met no row; the right to it is there",
        ),
        Ok(_) => Probe::ok(
            "writing",
            "an UPDATE of what a run writes was tried on one row, and rolled back",
        ),
        Err(error) => Probe::failed("writing", &error.message),
    }];
    match store.summary().await {
        Ok(summary) => probes.extend(rows(&summary)),
        Err(error) => probes.push(Probe::failed("rows", &error.message)),
    }
    probes.push(match send::checks(settings) {
        Ok(checks) => samples(store, &checks).await,
        Err(_) => not_tried("samples", "the payload rules cannot be read"),
    });
    probes
}

fn rows(summary: &TableSummary) -> Vec<Probe> {
    let counts: Vec<String> = summary
        .counts
        .iter()
        .map(|(status, state, count)| format!("{status}/{state} {count}"))
        .collect();
    let mut probes = vec![if counts.is_empty() {
        Probe::warn(
            "rows",
            "the table is empty",
            "fill it with your staging SQL, or with fake children, then check again",
        )
    } else {
        Probe::ok(
            "rows",
            format!(
                "{} (submission_status/row_state); {} eligible for the next run",
                counts.join(", "),
                summary.eligible
            ),
        )
    }];
    if summary.children_with_several_rows > 0 {
        probes.push(Probe::warn(
            "several rows",
            format!(
                "children with more than one row: {}; only the newest of each is ever sent",
                summary.children_with_several_rows
            ),
            "if that is not meant, ask whoever wrote the staging SQL",
        ));
    }
    probes
}

/// Row ids and rules only: never a value.
async fn samples(store: &dyn StagingStore, checks: &Checks) -> Probe {
    let page = async {
        let superseded = store.superseded().await?;
        let request = PageRequest {
            selection: Selection::Children,
            after: i64::MIN,
            limits: SAMPLES,
            with_previous: false,
        };
        store.page(request, &superseded).await
    };
    let page = match page.await {
        Ok(page) => page,
        Err(error) => return Probe::failed("samples", &error.message),
    };
    if page.is_empty() {
        return Probe::ok("samples", "no child's record is there to be looked at");
    }
    let mut broken: BTreeMap<&'static str, Vec<i64>> = BTreeMap::new();
    let mut with_errors = 0;
    for row in &page {
        let checked = checks.check(row.payload.as_deref().unwrap_or_default());
        with_errors += u64::from(checked.errors() > 0);
        for finding in checked.findings() {
            if finding.severity() == Severity::Error {
                let rows = broken.entry(finding.rule().name()).or_default();
                if rows.last() != Some(&row.key.id()) {
                    rows.push(row.key.id());
                }
            }
        }
    }
    let looked_at = format!(
        "of the first {}",
        counted(page.len() as u64, "record", "records")
    );
    if with_errors == 0 {
        return Probe::ok(
            "samples",
            format!("{looked_at}, none breaks a payload rule"),
        );
    }
    let rules: Vec<String> = broken
        .iter()
        .map(|(rule, rows)| format!("{rule} ({})", named(rows)))
        .collect();
    Probe::warn(
        "samples",
        format!(
            "{looked_at}, {with_errors} would be refused: {}",
            rules.join(", ")
        ),
        "`csc-sender validate` looks at the whole table and says what mends each",
    )
}

fn named(rows: &[i64]) -> String {
    let shown: Vec<String> = rows.iter().take(ROWS_NAMED).map(i64::to_string).collect();
    let shown = shown.join(", ");
    match rows.len() {
        1 => format!("row {shown}"),
        n if n <= ROWS_NAMED => format!("rows {shown}"),
        n => format!("rows {shown} and {} more", n - ROWS_NAMED),
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_up_to_five() {
        assert_eq!(named(&[3]), "row 3");
        assert_eq!(named(&[3, 4]), "rows 3, 4");
        assert_eq!(
            named(&[1, 2, 3, 4, 5, 6, 7]),
            "rows 1, 2, 3, 4, 5 and 2 more"
        );
    }

    #[test]
    fn the_tables_probes_begin_with_the_table() {
        let probes = ["server", "logon", TABLE_PROBE, "columns"].map(|s| Probe::ok(s, ""));
        let (table, database) = split(Vec::from(probes));
        assert_eq!(table[0].subject, TABLE_PROBE);
        assert_eq!((table.len(), database.len()), (2, 2));
    }
}
