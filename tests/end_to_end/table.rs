//! The staging table as whoever fills it sees it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::place::Place;
use crate::postgres::Schema;
#[cfg(unix)]
use crate::sql_server::OwnTable;

/// The staging table as somebody else's SQL sees it.
pub enum Table<'a> {
    Sqlite(&'a Place),
    Postgres(&'a Schema, String),
    #[cfg(unix)]
    SqlServer(&'a OwnTable),
}

impl Table<'_> {
    pub fn execute(&self, sql: &str) {
        match self {
            Table::Sqlite(place) => place.execute(sql),
            Table::Postgres(schema, name) => schema.execute(&sql.replace("{t}", name)),
            #[cfg(unix)]
            Table::SqlServer(table) => table.execute(sql),
        }
    }

    /// Waits until the run that had it is gone for its database too.
    pub fn until_free(&self) {
        if let Table::Postgres(schema, _) = self {
            schema.until_free();
        }
    }

    fn texts(&self, sql: &str, columns: usize) -> Vec<Vec<Option<String>>> {
        match self {
            Table::Sqlite(place) => place
                .sql()
                .prepare(&sql.replace("{t}", crate::place::TABLE))
                .unwrap()
                .query_map([], |row| (0..columns).map(|n| row.get(n)).collect())
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap(),
            Table::Postgres(schema, name) => schema.rows(&sql.replace("{t}", name)),
            #[cfg(unix)]
            Table::SqlServer(table) => table.rows(&sql.replace("AS TEXT", "AS NVARCHAR(MAX)")),
        }
    }

    /// person_id, json_payload, row_state, submission_status.
    pub fn rows(&self) -> Vec<(String, Value, String, String)> {
        const SQL: &str = "SELECT person_id, CAST(json_payload AS TEXT), lower(row_state), lower(submission_status) FROM {t}";
        self.texts(SQL, 4)
            .into_iter()
            .map(|row| {
                let mut row = row.into_iter().map(Option::unwrap);
                let person = row.next().unwrap();
                let payload = serde_json::from_str(&row.next().unwrap()).unwrap();
                (person, payload, row.next().unwrap(), row.next().unwrap())
            })
            .collect()
    }

    /// The child of each row, by the row's id.
    pub fn children_by_row(&self) -> BTreeMap<i64, String> {
        const SQL: &str = "SELECT CAST(id AS TEXT), CAST(json_payload AS TEXT) FROM {t}";
        self.texts(SQL, 2)
            .into_iter()
            .map(|row| {
                let mut row = row.into_iter().map(Option::unwrap);
                let id = row.next().unwrap().parse().unwrap();
                let payload: Value = serde_json::from_str(&row.next().unwrap()).unwrap();
                (id, payload["la_child_id"].as_str().unwrap().to_string())
            })
            .collect()
    }

    /// A child's first row, as the staging SQL makes it.
    pub fn enter(&self, person: u64, child: &Value) {
        self.execute(&format!(
            "INSERT INTO {{t}} (person_id, json_payload) VALUES ('{person}', {})",
            literal(child)
        ));
    }

    /// A change, as the staging SQL stages it: what was staged before becomes the previous
    /// payload, sent or not.
    pub fn change(&self, person: u64, child: &Value) {
        self.execute(&format!(
            "UPDATE {{t}} SET previous_json_payload = json_payload, json_payload = {}, row_state = 'Updated',
                    submission_status = 'Pending' WHERE person_id = '{person}'",
            literal(child)
        ));
    }

    pub fn delete(&self, person: u64) {
        self.execute(&format!(
            "UPDATE {{t}} SET row_state = 'Deleted' WHERE person_id = '{person}'"
        ));
    }

    pub fn come_back(&self, person: u64) {
        self.execute(&format!(
            "UPDATE {{t}} SET row_state = 'New', submission_status = 'Pending' WHERE person_id = '{person}'"
        ));
    }
}

fn literal(child: &Value) -> String {
    format!("'{}'", child.to_string().replace('\'', "''"))
}
