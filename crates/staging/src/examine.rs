//! What a check of the database finds: server, logon, encryption, table, rights; and what
//! is missing, with the statement that mends it.

use csc_message::Probe;

use crate::ddl::{Dialect, add_column_sql, create_sql, quoted, status_index_sql, widen_column_sql};
use crate::shape::{NEEDED, Sought, set_table_name, told_elsewhere};
use crate::{Column, TableName};

/// How records are protected on their way to the database.
pub(crate) struct Encryption {
    /// What was agreed on.
    pub(crate) words: String,
    /// Whether records cross a network in the clear.
    pub(crate) in_the_clear: bool,
    /// What to write into the connection string.
    pub(crate) advice: &'static str,
}

/// What a database says of itself and of the table.
pub(crate) struct Examined {
    pub(crate) dialect: Dialect,
    /// Product, version and address.
    pub(crate) server: String,
    /// What the product is too old for, where it is.
    pub(crate) too_old: Option<&'static str>,
    /// SQL Server's compatibility level, and whether reading waits for writers.
    pub(crate) level: Option<(i64, bool)>,
    pub(crate) database: String,
    /// Who is logged on.
    pub(crate) logon: String,
    /// Whom rights are granted to; `None` where there are no rights, or this logon has all.
    pub(crate) grantee: Option<Grantee>,
    /// `None` where nothing crosses a network.
    pub(crate) encryption: Option<Encryption>,
    pub(crate) table: Sought<ExaminedTable>,
}

/// A user of the database.
pub(crate) struct Grantee {
    /// Quoted.
    pub(crate) name: String,
    /// Whether there is no such user yet: the logon is in the database as everybody's
    /// guest, or as one of a group.
    pub(crate) is_to_be_made: bool,
}

/// What the catalogue says of the table.
pub(crate) struct ExaminedTable {
    /// As it is written in a statement.
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) may_read: bool,
    pub(crate) may_write: bool,
    pub(crate) status_is_indexed: bool,
    pub(crate) unique_person: bool,
}

impl Examined {
    /// A probe for each thing, in the order in which they are mended.
    pub(crate) fn probes(&self, table: &TableName) -> Vec<Probe> {
        let mut probes = vec![match self.too_old {
            None => Probe::ok("server", &self.server),
            Some(for_what) => Probe::fail(
                "server",
                format!("{}: too old for {for_what}", self.server),
                "ask your DBA for a newer server",
            ),
        }];
        probes.extend(self.level());
        probes.push(Probe::ok("database", &self.database));
        probes.push(Probe::ok("logon", &self.logon));
        if let Some(encryption) = &self.encryption {
            probes.push(if encryption.in_the_clear {
                Probe::warn("encryption", &encryption.words, encryption.advice)
            } else {
                Probe::ok("encryption", &encryption.words)
            });
        }
        match &self.table {
            Sought::Elsewhere(elsewhere) => probes.push(self.no_table(table, elsewhere)),
            Sought::Here(found) => {
                probes.push(Probe::ok("table", &found.name));
                probes.push(self.columns(found));
                probes.push(self.rights(found));
                probes.push(self.index(found, table));
                probes.push(Probe::ok(
                    "children",
                    if found.unique_person {
                        "the database keeps each child to one row"
                    } else {
                        "a child may have several rows; the newest is sent"
                    },
                ));
            }
        }
        probes
    }

    fn level(&self) -> Vec<Probe> {
        let Some((level, snapshot)) = self.level else {
            return Vec::new();
        };
        let compatible = if level < 120 {
            Probe::warn(
                "compatibility",
                format!("level {level}, which this program was not made for"),
                "ask your DBA whether the database can have level 120 or more",
            )
            .mended_by("ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = 120;")
        } else {
            Probe::ok("compatibility", format!("level {level}"))
        };
        let reading = if snapshot {
            "takes no locks (READ_COMMITTED_SNAPSHOT is on)"
        } else {
            "a page at a time: whoever fills the table may wait a fraction of a second"
        };
        vec![compatible, Probe::ok("reading", reading)]
    }

    fn no_table(&self, table: &TableName, elsewhere: &[String]) -> Probe {
        let grant = self.grant("SELECT, UPDATE", &quoted(self.dialect, table));
        let create = match grant {
            Some(_) => {
                "where there is none yet, or no right to it, have your DBA run this (or make it \
                 with `csc-sender init`)"
            }
            None => "where there is none yet, run `csc-sender init` or have your DBA run this",
        };
        let probe = match elsewhere.first() {
            Some(first) => Probe::fail(
                "table",
                format!("there is no table {table}: {}", told_elsewhere(elsewhere)),
                set_table_name(table, first, create),
            ),
            None => Probe::fail(
                "table",
                format!("there is no table {table}, or this logon may not see it"),
                format!("check TABLE_NAME and the database's name; {create}"),
            ),
        };
        if table.schema().is_none() && !elsewhere.is_empty() {
            return probe;
        }
        let mut statement = create_sql(self.dialect, table);
        statement.extend(grant);
        probe.mended_by(statement.trim_end())
    }

    /// The statement that grants these rights; `None` where nobody needs to be granted any.
    fn grant(&self, rights: &str, table: &str) -> Option<String> {
        let Grantee {
            name,
            is_to_be_made,
        } = self.grantee.as_ref()?;
        let user = match is_to_be_made {
            true => format!("CREATE USER {name};\n"),
            false => String::new(),
        };
        Some(format!("{user}GRANT {rights} ON {table} TO {name};"))
    }

    fn columns(&self, table: &ExaminedTable) -> Probe {
        let has = |name: &str| {
            let mut columns = table.columns.iter();
            columns.any(|column| column.name.eq_ignore_ascii_case(name))
        };
        let add = |names: &[&str]| {
            let statements: Vec<String> = names
                .iter()
                .filter_map(|name| add_column_sql(self.dialect, &table.name, name))
                .collect();
            statements.join("\n")
        };
        let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !has(name)).collect();
        if missing.contains(&"id") {
            return Probe::fail(
                "columns",
                "there is no column id: this is no staging table",
                "check TABLE_NAME",
            );
        }
        if !missing.is_empty() {
            return Probe::fail(
                "columns",
                format!("missing: {}", missing.join(", ")),
                "ask your DBA to run this",
            )
            .mended_by(add(&missing));
        }
        let short: Vec<(&Column, usize)> = table
            .columns
            .iter()
            .filter(|column| column.name.to_ascii_lowercase().ends_with("json_payload"))
            .filter_map(|column| Some((column, column.max_chars?)))
            .collect();
        if !short.is_empty() {
            let found = short
                .iter()
                .map(|(column, most)| format!("{} takes {most} characters only", column.name));
            let widen = short.iter().filter_map(|(column, _)| {
                widen_column_sql(self.dialect, &table.name, &column.name)
            });
            return Probe::fail(
                "columns",
                found.collect::<Vec<_>>().join("; "),
                "a record may have several megabytes: ask your DBA to run this (with NOT NULL at \
                 the end in SQL Server, where the column has that now)",
            )
            .mended_by(widen.collect::<Vec<_>>().join("\n"));
        }
        let kinds: Vec<String> = table
            .columns
            .iter()
            .map(|column| match column.max_chars {
                Some(most) => format!("{} {}({most})", column.name, column.kind),
                None => format!("{} {}", column.name, column.kind),
            })
            .collect();
        let kinds = kinds.join(", ");
        let deltas = "partial_json_payload";
        if has(deltas) {
            return Probe::ok("columns", kinds);
        }
        Probe::warn(
            "columns",
            format!("{kinds}; no {deltas}, so `deltas prepare` cannot write there"),
            "where you want it to, ask your DBA to run this",
        )
        .mended_by(add(&[deltas]))
    }

    fn rights(&self, table: &ExaminedTable) -> Probe {
        let missing: Vec<&str> = [("SELECT", table.may_read), ("UPDATE", table.may_write)]
            .into_iter()
            .filter_map(|(right, given)| (!given).then_some(right))
            .collect();
        if missing.is_empty() {
            return Probe::ok("rights", "SELECT and UPDATE, which is all that a run needs");
        }
        let missing = missing.join(", ");
        match self.grant(&missing, &table.name) {
            Some(grant) => Probe::fail(
                "rights",
                format!("this logon has no right to {missing}"),
                "ask your DBA to run this",
            )
            .mended_by(grant),
            None => Probe::fail(
                "rights",
                "the file cannot be written",
                "let this account write to the file and its folder",
            ),
        }
    }

    fn index(&self, table: &ExaminedTable, name: &TableName) -> Probe {
        if table.status_is_indexed {
            return Probe::ok("index", "submission_status is indexed");
        }
        Probe::warn(
            "index",
            "submission_status is not indexed: a run with little to do still looks at every row",
            "ask your DBA to run this",
        )
        .mended_by(status_index_sql(self.dialect, &table.name, name.name()))
    }
}
