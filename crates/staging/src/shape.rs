//! The table as it is: which columns it has, and what they take.

use csc_message::Message;

use crate::{StoreError, StoreErrorKind, TableName};

/// A column of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the database spells it.
    pub name: String,
    /// Its type in the database's words, lower case, e.g. `jsonb`, `character varying`.
    pub kind: String,
    /// The longest text it takes, in characters; `None` where there is no limit.
    pub max_chars: Option<usize>,
}

/// The table as it is.
#[derive(Clone, Debug)]
pub struct TableShape {
    columns: Vec<Column>,
    unique_person: bool,
}

/// Columns without which no row can be sent or recorded (`staging-table.md`).
/// `legacy_id`, the hashes, `partial_json_payload` and `last_updated` are used where
/// they are there.
pub(crate) const NEEDED: [&str; 8] = [
    "id",
    "person_id",
    "json_payload",
    "previous_json_payload",
    "submission_status",
    "submission_timestamp",
    "api_response",
    "row_state",
];

/// Those of them that a run writes; `previous_hash` is another where both hashes are there.
const WRITTEN: [&str; 5] = [
    "submission_status",
    "api_response",
    "submission_timestamp",
    "row_state",
    "previous_json_payload",
];

/// What was looked for by the table's name.
pub(crate) enum Sought<T> {
    /// The table.
    Here(T),
    /// There is none where it is looked for. In other schemas, tables of that name are
    /// called so, in full.
    Elsewhere(Vec<String>),
}

/// Nothing is where the table is looked for. `elsewhere`: see [`Sought`].
pub(crate) fn no_table(
    table: &TableName,
    elsewhere: &[String],
    create_command: &str,
) -> StoreError {
    let create = format!(
        "to create both staging tables, run `csc-sender init` or give your DBA the SQL of \
         `{create_command}`"
    );
    let (why, next) = match elsewhere.first() {
        Some(first) => (
            told_elsewhere(elsewhere),
            set_table_name(table, first, &create),
        ),
        None => (
            "it does not exist there, or this logon may not see it".to_string(),
            format!("check TABLE_NAME and the database's name; {create}"),
        ),
    };
    let what = format!("The database has no table {table}");
    StoreError::new(StoreErrorKind::Table, Message::new(304, what, why, next))
}

/// That tables of that name are in other schemas.
pub(crate) fn told_elsewhere(elsewhere: &[String]) -> String {
    format!(
        "in the schema where it is looked for there is none; elsewhere there is {}",
        elsewhere.join(", ")
    )
}

/// What to do about it. Whoever named no schema most likely forgot it, and a second table
/// would stay empty beside the one that is filled: how to make one is told to others only.
pub(crate) fn set_table_name(table: &TableName, first: &str, create: &str) -> String {
    let set = format!("if that is the one, set TABLE_NAME={first}");
    match table.schema() {
        Some(_) => format!("{set}; {create}"),
        None => set,
    }
}

impl TableShape {
    /// Checks that the columns that are needed are there.
    pub(crate) fn new(
        table: &TableName,
        columns: Vec<Column>,
        unique_person: bool,
        create_command: &str,
    ) -> Result<Self, StoreError> {
        if columns.is_empty() {
            return Err(no_table(table, &[], create_command));
        }
        let shape = TableShape {
            columns,
            unique_person,
        };
        let missing: Vec<&str> = NEEDED
            .into_iter()
            .filter(|name| shape.column(name).is_none())
            .collect();
        if missing.is_empty() {
            return Ok(shape);
        }
        Err(StoreError::new(
            StoreErrorKind::Table,
            Message::new(
                305,
                format!("Table {table} lacks the column(s) {}", missing.join(", ")),
                "a staging table needs them, and this one was made without",
                format!(
                    "ask your DBA to add them with ALTER TABLE; `{create_command}` shows each with its type"
                ),
            ),
        ))
    }

    /// The column of that name, whatever its case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// All columns, in the table's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Whether the database itself keeps a child to one row.
    pub fn unique_person(&self) -> bool {
        self.unique_person
    }

    /// The columns that a run writes, as the database spells them.
    pub(crate) fn written(&self) -> Vec<&str> {
        let hashes = ["previous_hash", "current_hash"];
        let has_hashes = hashes.iter().all(|name| self.column(name).is_some());
        WRITTEN
            .into_iter()
            .chain(has_hashes.then_some("previous_hash"))
            .filter_map(|name| Some(self.column(name)?.name.as_str()))
            .collect()
    }

    /// The longest `api_response`, in characters.
    pub(crate) fn response_limit(&self) -> Option<usize> {
        self.column("api_response").and_then(|c| c.max_chars)
    }
}
