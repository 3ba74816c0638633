//! `scramble`: real children made unrecognisable in the `_anon` table.

use csc_anon::scramble;
use csc_message::{Exit, Message};
use csc_payload::scramble::Scrambler;
use csc_staging::TableName;

use super::fake::{earlier, halted, removed};
use super::{Context, Outcome, block_on, open_table, stop_on_interrupt};
use crate::arguments::ScrambleArgs;
use crate::configuration::{Need, Settings};
use crate::console;
use crate::steps::Steps;

pub fn run(context: &Context<'_>, args: &ScrambleArgs) -> Outcome {
    let settings = context.load().settings(Need {
        database: true,
        ..Need::default()
    })?;
    context.start_log(&settings)?;
    let (from, to) = tables(args)?;
    block_on(make(&settings, &from, &to, args.replace))?
}

/// Both tables, where they may be what they are to be.
fn tables(args: &ScrambleArgs) -> Result<(TableName, TableName), Vec<Message>> {
    let mut faults = Vec::new();
    let mut read = |name: &str| {
        TableName::parse(name)
            .map_err(|fault| faults.push(fault.message(name)))
            .ok()
    };
    let (from, to) = (read(&args.from), read(&args.to));
    let (Some(from), Some(to)) = (from, to) else {
        return Err(faults);
    };
    to.must_be_anon().map_err(|error| vec![error.into()])?;
    if may_be_one(&from, &to) {
        return Err(vec![Message::new(
            626,
            format!("{from} and {to} may be the same table"),
            "a table is scrambled into another one, and is itself only read",
            "name the table of real children with --from; if these are two tables in two schemas, \
             name both schemas",
        )]);
    }
    Ok((from, to))
}

/// Whether two names may name one table: a name without a schema may be in any.
fn may_be_one(one: &TableName, other: &TableName) -> bool {
    let same_schema = match (one.schema(), other.schema()) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (Some(_) | None, _) => true,
    };
    same_schema && one.name().eq_ignore_ascii_case(other.name())
}

async fn make(settings: &Settings, from: &TableName, to: &TableName, replace: bool) -> Outcome {
    let Some(database) = &settings.database else {
        return Ok(Exit::Configuration);
    };
    let source = open_table(database, from).await?;
    let target = open_table(database, to).await?;
    target.lock().await.map_err(|e| vec![e.into()])?;
    console::result(&format!("from {}\nto   {}", source.place(), target.place()));
    let mut steps = Steps::new(stop_on_interrupt());
    let scrambler = Scrambler::new();
    let made = scramble(&*source, &*target, &scrambler, earlier(replace), &mut steps).await;
    steps.finish();
    let report = match made {
        Ok(report) => report,
        Err(halt) => return halted(halt, "nothing was written"),
    };
    console::result(&format!(
        "{} children scrambled{}",
        report.rows.written,
        removed(report.rows.removed)
    ));
    if report.no_record > 0 {
        console::result(&format!(
            "{} left out, whose payload is no JSON object",
            report.no_record
        ));
    }
    console::result(&format!(
        "checked, child by child and field by field: no identifier, name, postcode, date or pupil \
         number is what it was; none of the {} identifiers and pupil numbers of {} rows stands \
         anywhere; the order and distances of each child's dates are kept",
        report.identifiers, report.looked_at
    ));
    console::result("the key was never stored, and is gone");
    console::result("next: csc-sender validate, then csc-sender send");
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_name_one_table_are_told() {
        for (one, other, expected) in [
            ("t_anon", "t_anon", true),
            ("T_anon", "dbo.t_ANON", true),
            ("a.t_anon", "A.t_anon", true),
            ("a.t_anon", "b.t_anon", false),
            ("t", "t_anon", false),
        ] {
            let parse = |name| TableName::parse(name).unwrap();
            assert_eq!(
                may_be_one(&parse(one), &parse(other)),
                expected,
                "{one} {other}"
            );
        }
    }
}
