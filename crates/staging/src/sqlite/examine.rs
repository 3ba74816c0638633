//! What SQLite says of itself and of the table.

use rusqlite::Connection;

use super::Inner;
use crate::StoreError;
use crate::connection::SqlitePath;
use crate::ddl::Dialect;
use crate::examine::{Examined, ExaminedTable};
use crate::shape::Sought;

pub(super) fn examine(inner: &Inner, connection: &Connection) -> Result<Examined, StoreError> {
    let columns = inner.columns(connection)?;
    let read_only = connection
        .is_readonly("main")
        .map_err(|e| inner.refused("look at the database", &e))?;
    let table = if columns.is_empty() {
        Sought::Elsewhere(Vec::new())
    } else {
        Sought::Here(ExaminedTable {
            name: inner.full_name(),
            columns,
            may_read: true,
            may_write: !read_only,
            status_is_indexed: status_is_indexed(inner, connection)?,
            unique_person: inner.unique_person(connection)?,
        })
    };
    Ok(Examined {
        dialect: Dialect::Sqlite,
        server: format!("SQLite {}, inside this program", rusqlite::version()),
        too_old: None,
        level: None,
        database: match &inner.path {
            SqlitePath::Memory => "in memory".to_string(),
            SqlitePath::File(path) => path.display().to_string(),
        },
        logon: "none: whoever may read the file".to_string(),
        grantee: None,
        encryption: None,
        table,
    })
}

fn status_is_indexed(inner: &Inner, connection: &Connection) -> Result<bool, StoreError> {
    connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1, ?2) AS l
                            JOIN pragma_index_info(l.name, ?2) AS i
                            WHERE l.partial = 0 AND i.seqno = 0
                              AND lower(i.name) = 'submission_status')",
            (inner.table.name(), inner.table.schema().unwrap_or("main")),
            |row| row.get(0),
        )
        .map_err(|e| inner.refused("read the table's indexes", &e))
}
