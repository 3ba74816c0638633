//! `init`: both staging tables, or the SQL for them.

use csc_message::Exit;
use csc_staging::{ConnectionTarget, Created, Dialect, TableName, connect_creating, create_sql};

use super::{Context, Outcome, block_on, tell_of_standstills};
use crate::arguments::{InitArgs, PrintDialect};
use crate::configuration::{Need, Settings};
use crate::console;

pub fn run(context: &Context<'_>, args: &InitArgs) -> Outcome {
    let config = context.load();
    let settings = config.settings(Need {
        database: !matches!(args.print, Some(Some(_))),
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    let tables = tables(&settings);
    match args.print {
        Some(asked) => {
            let dialect = match (asked, &settings.database) {
                (Some(PrintDialect::Sqlite), _) => Dialect::Sqlite,
                (Some(PrintDialect::Postgres), _) => Dialect::Postgres,
                (Some(PrintDialect::Sqlserver), _) => Dialect::SqlServer,
                (None, Some(ConnectionTarget::Postgres(_))) => Dialect::Postgres,
                (None, Some(ConnectionTarget::SqlServer(_))) => Dialect::SqlServer,
                (None, Some(ConnectionTarget::Sqlite { .. }) | None) => Dialect::Sqlite,
            };
            for table in &tables {
                console::result(create_sql(dialect, table).trim_end());
            }
            Ok(Exit::Done)
        }
        None => block_on(create(&settings, &tables))?,
    }
}

async fn create(settings: &Settings, tables: &[TableName]) -> Outcome {
    let Some(target) = &settings.database else {
        return Ok(Exit::Done);
    };
    for table in tables {
        let store = connect_creating(target, table)
            .await
            .map_err(|e| vec![e.into()])?;
        tell_of_standstills(&*store);
        let created = store.create().await.map_err(|e| vec![e.into()])?;
        let words = match created {
            Created::Now => "created",
            Created::AlreadyThere => "is there already and was not touched",
        };
        console::result(&format!("{}: {words}", store.place()));
    }
    Ok(Exit::Done)
}

/// Both tables, under the schema of TABLE_NAME where it has one.
fn tables(settings: &Settings) -> Vec<TableName> {
    let schema = settings.table.schema();
    ["ssd_api_data_staging", "ssd_api_data_staging_anon"]
        .into_iter()
        .filter_map(|name| {
            let full = schema.map_or_else(|| name.to_string(), |schema| format!("{schema}.{name}"));
            TableName::parse(&full).ok()
        })
        .collect()
}
