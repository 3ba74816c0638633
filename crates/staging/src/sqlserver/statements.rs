//! The SQL for one table, made once from its shape. Names come from the catalogue as it
//! spells them (a database may tell case apart in names too) and stand in brackets;
//! every value is a parameter.
//!
//! Words are compared in the collation `Latin1_General_BIN2`, whatever the column's:
//! so `LOWER` makes an i of an I also where Turkish is spoken, and a row's state is the
//! one that was read only if it is spelled the same.

mod anon;

use crate::store::eligible_words;
use crate::{RowState, Selection, SubmissionStatus, TableShape};

/// How much of `api_response` is read back: a receipt's uuid and a little more.
const RESPONSE_READ: usize = 64;

const BINARY: &str = "COLLATE Latin1_General_BIN2";

/// The statements for one table.
pub(super) struct Statements {
    records: Selected,
    deletions: Selected,
    children: Selected,
    made: Made,
    pub(super) pairs: String,
    pub(super) superseded: String,
    pub(super) counts: String,
    pub(super) times: String,
    pub(super) several: String,
}

/// The statements for one selection of rows.
pub(super) struct Selected {
    /// Of all such rows.
    pub(super) count: String,
    /// Without those that have a newer one of the same child.
    pub(super) count_newest: String,
    page: Page,
    page_with_previous: Page,
}

/// A page, around the condition that leaves out superseded rows. @P1: the id that its rows
/// follow, @P2: how many rows, @P3: how many bytes, @P4: the last id.
struct Page {
    before: String,
    id: String,
    after: String,
}

impl Selected {
    /// A page for which so many ids to skip are given, from @P5 on; see [`skipped`].
    pub(super) fn page(&self, with_previous: bool, skipped: usize) -> String {
        let page = if with_previous {
            &self.page_with_previous
        } else {
            &self.page
        };
        let skip = match skipped {
            0 => String::new(),
            n => {
                let ids: Vec<String> = (0..n).map(|i| format!("@P{}", i + 5)).collect();
                format!("AND t.{} NOT IN ({})", page.id, ids.join(", "))
            }
        };
        format!("{} {skip} {}", page.before, page.after)
    }
}

/// As many ids as the next larger statement takes, the last one several times, so that
/// there are few different statements for the server to keep.
pub(super) fn padded(skip: &[i64]) -> Vec<i64> {
    let mut skip = skip.to_vec();
    if let Some(last) = skip.last().copied() {
        let size = skip.len().next_power_of_two().max(16);
        skip.resize(size, last);
    }
    skip
}

impl Statements {
    /// `table`: its name, as it is written in a statement.
    pub(super) fn new(shape: &TableShape, table: String) -> Self {
        let made = Made::new(shape, table);
        Statements {
            records: made.selected(Selection::Records),
            deletions: made.selected(Selection::Deletions),
            children: made.selected(Selection::Children),
            superseded: made.superseded(),
            pairs: format!(
                "SELECT DISTINCT CAST({} AS NVARCHAR(4000)), CAST({} AS NVARCHAR(4000)) FROM {}",
                made.status, made.state, made.table
            ),
            counts: made.counts(),
            times: made.times(),
            several: made.several(),
            made,
        }
    }

    pub(super) fn of(&self, selection: Selection) -> &Selected {
        match selection {
            Selection::Records => &self.records,
            Selection::Deletions => &self.deletions,
            Selection::Children => &self.children,
        }
    }

    /// Records so many outcomes. Each has [`RECORD_VALUES`] parameters, in this order:
    /// id, row_state, digest, status, response, sent_at, purge, purge_hash.
    ///
    /// `repeated`: it was sent before over a connection that was lost before the answer
    /// came. An accepted row that carries this very receipt was recorded then.
    pub(super) fn record(&self, rows: usize, repeated: bool) -> String {
        self.made.record(rows, repeated)
    }

    /// Writes so many deltas. Each has [`PARTIAL_VALUES`] parameters: id, row_state,
    /// digest, delta.
    pub(super) fn write_partials(&self, rows: usize) -> String {
        self.made.write_partials(rows)
    }

    /// Inserts so many rows. Each has [`STAGE_VALUES`] parameters: person_id, legacy_id,
    /// payload, digest.
    pub(super) fn stage(&self, rows: usize) -> String {
        self.made.stage(rows)
    }

    /// An id within what the column's type takes.
    pub(super) fn within_ids(&self, id: i64) -> i64 {
        if self.made.id_is_int {
            id.clamp(i32::MIN.into(), i32::MAX.into())
        } else {
            id
        }
    }
}

pub(super) const RECORD_VALUES: usize = 8;
pub(super) const PARTIAL_VALUES: usize = 4;
pub(super) const STAGE_VALUES: usize = 4;
pub(super) use self::anon::RESTAGE_VALUES;

struct Made {
    table: String,
    id_is_int: bool,
    id: String,
    person_id: String,
    legacy_id: Option<String>,
    payload: String,
    previous: String,
    partial: Option<String>,
    current_hash: Option<String>,
    previous_hash: Option<String>,
    status: String,
    at: String,
    at_kind: String,
    response: String,
    /// What the response is cast to, where it is no NVARCHAR.
    response_cast: Option<String>,
    state: String,
    last_updated: Option<String>,
}

/// A name as it stands in a statement.
pub(super) fn bracketed(name: &str) -> String {
    format!("[{}]", name.replace(']', "]]"))
}

/// A column's word, in lower case and without the spaces around it.
fn word(column: &str) -> String {
    format!("LOWER(LTRIM(RTRIM({column})) {BINARY})")
}

/// The SHA-256 of a payload, over its characters in the encoding that this server hashes.
fn hashed(payload: &str) -> String {
    format!("HASHBYTES('SHA2_256', COALESCE(CAST({payload} AS NVARCHAR(MAX)), N''))")
}

/// `(@P1, @P2), (@P3, @P4)`
fn rows_of_parameters(rows: usize, width: usize) -> String {
    let row = |n: usize| {
        let values: Vec<String> = (1..=width)
            .map(|i| format!("@P{}", n * width + i))
            .collect();
        format!("({})", values.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

impl Made {
    fn new(shape: &TableShape, table: String) -> Self {
        let column = |name: &str| shape.column(name).map(|c| bracketed(&c.name));
        // The shape holds every column that is needed.
        let needed = |name: &str| column(name).unwrap_or_else(|| bracketed(name));
        let is = |name: &str, kind: &str| shape.column(name).is_some_and(|c| c.kind == kind);
        let response = shape.column("api_response");
        Made {
            table,
            id_is_int: is("id", "int"),
            id: needed("id"),
            person_id: needed("person_id"),
            legacy_id: column("legacy_id"),
            payload: needed("json_payload"),
            previous: needed("previous_json_payload"),
            partial: column("partial_json_payload"),
            current_hash: column("current_hash"),
            previous_hash: column("previous_hash"),
            status: needed("submission_status"),
            at: needed("submission_timestamp"),
            at_kind: shape
                .column("submission_timestamp")
                .map_or("datetime".to_string(), |c| c.kind.clone()),
            response: needed("api_response"),
            response_cast: response.filter(|c| c.kind != "nvarchar").map(|c| {
                let length = c.max_chars.map_or("MAX".to_string(), |n| n.to_string());
                format!("{}({length})", c.kind)
            }),
            state: needed("row_state"),
            last_updated: column("last_updated"),
        }
    }

    /// An id that is given, as the column's own type, so that its index is used.
    fn as_id(&self, value: &str) -> String {
        if self.id_is_int {
            format!("CAST({value} AS INT)")
        } else {
            value.to_string()
        }
    }

    /// What a row itself must be like.
    fn wanted(&self, selection: Selection) -> String {
        let deleted = RowState::Deleted.word();
        let state = word(&format!("t.{}", self.state));
        match selection {
            Selection::Records => format!(
                "{status} IN ({words})
                 AND COALESCE({state}, N'') <> N'{deleted}'
                 AND t.{payload} LIKE N'%[^' + NCHAR(32) + NCHAR(9) + NCHAR(10) + NCHAR(13) + N']%' {BINARY}",
                status = word(&format!("t.{}", self.status)),
                words = eligible_words(),
                payload = self.payload,
            ),
            Selection::Deletions => format!("{state} = N'{deleted}'"),
            Selection::Children => format!("COALESCE({state}, N'') <> N'{deleted}'"),
        }
    }

    /// The newest row of each child that has several. Rows without a person are no child's,
    /// so none of them is newer than another.
    fn of_several(&self) -> String {
        let (id, person, table) = (&self.id, &self.person_id, &self.table);
        format!(
            "SELECT n.{person} AS person_id, MAX(n.{id}) AS id FROM {table} AS n
             WHERE LTRIM(RTRIM(n.{person})) <> N''
             GROUP BY n.{person} HAVING COUNT_BIG(*) > 1"
        )
    }

    /// All rows are hashed once, and never looked through for each row: the server might
    /// think that a good plan for a table that was empty when it made it.
    fn superseded(&self) -> String {
        format!(
            "SELECT CAST(t.{id} AS BIGINT) FROM {table} AS t
             INNER HASH JOIN ({several}) AS m ON m.person_id = t.{person} AND m.id > t.{id}",
            id = self.id,
            person = self.person_id,
            table = self.table,
            several = self.of_several(),
        )
    }

    fn count_newest(&self, wanted: &str) -> String {
        let table = &self.table;
        format!(
            "SELECT COUNT_BIG(*) FROM {table} AS t
             LEFT OUTER HASH JOIN ({several}) AS m ON m.person_id = t.{person} AND m.id > t.{id}
             WHERE {wanted} AND m.id IS NULL",
            id = self.id,
            person = self.person_id,
            several = self.of_several(),
        )
    }

    fn selected(&self, selection: Selection) -> Selected {
        let wanted = self.wanted(selection);
        let previous = format!("CAST(t.{} AS NVARCHAR(MAX))", self.previous);
        Selected {
            count: format!(
                "SELECT COUNT_BIG(*) FROM {} AS t WHERE {wanted}",
                self.table
            ),
            count_newest: self.count_newest(&wanted),
            page: self.page(&wanted, "CAST(NULL AS NVARCHAR(MAX))"),
            page_with_previous: self.page(&wanted, &previous),
        }
    }

    /// The ids come first, and then their rows one by one, so that no payload goes through
    /// a join or is sorted. A row that changes in between is asked once more whether it
    /// is wanted.
    ///
    /// A page ends with the row that takes it to @P3 bytes. The server counts UTF-16
    /// units, of which each is a byte of UTF-8 or more, so it never ends a page too
    /// early; whoever reads the page ends it exactly.
    fn page(&self, wanted: &str, previous: &str) -> Page {
        let before = format!(
            "SELECT p.id, p.person_id, p.row_state, p.payload, p.previous, p.response
             FROM (
                 SELECT r.id, r.person_id, r.row_state, r.payload, r.previous, r.response,
                        SUM(COALESCE(DATALENGTH(r.payload), 0) / 2 + COALESCE(DATALENGTH(r.previous), 0) / 2)
                        OVER (ORDER BY r.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS units_before
                 FROM (SELECT CAST(t.{id} AS BIGINT) AS id,
                              CAST(t.{person} AS NVARCHAR(4000)) AS person_id,
                              CAST(t.{state} AS NVARCHAR(4000)) AS row_state,
                              CAST(t.{payload} AS NVARCHAR(MAX)) AS payload,
                              {previous} AS previous,
                              CAST(LEFT(t.{response}, {RESPONSE_READ}) AS NVARCHAR(4000)) AS response
                       FROM (SELECT TOP (@P2) t.{id} AS id FROM {table} AS t
                             WHERE t.{id} > {first} AND t.{id} <= {last} AND {wanted}",
            id = self.id,
            person = self.person_id,
            state = self.state,
            payload = self.payload,
            response = self.response,
            table = self.table,
            first = self.as_id("@P1"),
            last = self.as_id("@P4"),
        );
        let after = format!(
            "ORDER BY t.{id}) AS w
                       INNER LOOP JOIN {table} AS t ON t.{id} = w.id WHERE {wanted}) AS r
             ) AS p WHERE COALESCE(p.units_before, 0) < @P3 ORDER BY p.id",
            id = self.id,
            table = self.table,
        );
        Page {
            before,
            id: self.id.clone(),
            after,
        }
    }

    /// Whether a row still is the one that was read: its id, its state, and its whole
    /// payload.
    fn same_row(&self) -> String {
        format!(
            "{id} = {v_id}
               AND ({state} = v.row_state {BINARY} OR ({state} IS NULL AND v.row_state IS NULL))
               AND {hash} = v.digest",
            id = self.own(&self.id),
            v_id = self.as_id("v.id"),
            state = self.own(&self.state),
            hash = hashed(&self.own(&self.payload)),
        )
    }

    /// A column of the row that is updated.
    fn own(&self, column: &str) -> String {
        format!("{}.{column}", self.table)
    }

    /// An UPDATE of the rows in `v`, which gives the ids that it wrote.
    ///
    /// The rows are looked up by their ids, one by one, so that no other is locked. A
    /// table with triggers forbids OUTPUT alone: it goes into a table variable, and a
    /// trigger's own answers come before ours. The table has no alias, since a server of
    /// the tests takes OUTPUT with none. Without XACT_ABORT a part that fails might let the
    /// rest go on, and look like no row at all.
    fn update(&self, set: &str, values: &str, rows: &str, more: &str) -> String {
        format!(
            "SET NOCOUNT ON;
             SET XACT_ABORT ON;
             DECLARE @recorded TABLE (id BIGINT NOT NULL);
             UPDATE {table} SET {set}
             OUTPUT inserted.{id} INTO @recorded (id)
             FROM (VALUES {rows}) AS v ({values})
             WHERE {same}
             OPTION (LOOP JOIN);
             SELECT id FROM @recorded {more}",
            id = self.id,
            table = self.table,
            same = self.same_row(),
        )
    }

    fn record(&self, rows: usize, repeated: bool) -> String {
        let previous_hash = match (&self.previous_hash, &self.current_hash) {
            (Some(previous_hash), Some(current_hash)) => format!(
                ",
                 {previous_hash} = CASE WHEN v.sent_at IS NULL THEN {own_previous_hash}
                     WHEN v.purge IS NOT NULL THEN v.purge_hash
                     ELSE {own_current_hash} END",
                own_previous_hash = self.own(previous_hash),
                own_current_hash = self.own(current_hash),
            ),
            (Some(_) | None, Some(_) | None) => String::new(),
        };
        let response = match &self.response_cast {
            // A CAST cuts what is too long in the column's encoding; an assignment
            // would be refused, and the whole batch with it.
            Some(kind) => format!("CAST(v.response AS {kind})"),
            None => "v.response".to_string(),
        };
        let set = format!(
            "{status} = v.status,
                 {response_column} = {response},
                 {at} = CASE WHEN v.sent_at IS NULL THEN {own_at}
                     ELSE CAST(CONVERT(DATETIME2, v.sent_at, 126) AS {at_kind}) END,
                 {state} = CASE WHEN v.sent_at IS NULL OR v.purge IS NOT NULL THEN {own_state}
                     ELSE N'{unchanged}' END,
                 {previous} = CASE WHEN v.sent_at IS NULL THEN {own_previous}
                     WHEN v.purge IS NOT NULL THEN v.purge
                     ELSE {own_payload} END{previous_hash}",
            status = self.status,
            response_column = self.response,
            at = self.at,
            own_at = self.own(&self.at),
            at_kind = self.at_kind,
            state = self.state,
            own_state = self.own(&self.state),
            unchanged = RowState::Unchanged.word(),
            previous = self.previous,
            own_previous = self.own(&self.previous),
            own_payload = self.own(&self.payload),
        );
        let values = "id, row_state, digest, status, response, sent_at, purge, purge_hash";
        let rows = rows_of_parameters(rows, RECORD_VALUES);
        let more = if repeated {
            format!(
                "UNION SELECT v.id FROM (VALUES {rows}) AS v ({values})
                 INNER JOIN {table} AS t ON t.{id} = {v_id}
                 WHERE v.sent_at IS NOT NULL AND t.{column} = {response} {BINARY}
                 OPTION (LOOP JOIN)",
                table = self.table,
                id = self.id,
                v_id = self.as_id("v.id"),
                column = self.response,
            )
        } else {
            String::new()
        };
        self.update(&set, values, &rows, &more)
    }

    fn write_partials(&self, rows: usize) -> String {
        let partial = self.partial.as_deref().unwrap_or("[partial_json_payload]");
        self.update(
            &format!("{partial} = v.delta"),
            "id, row_state, digest, delta",
            &rows_of_parameters(rows, PARTIAL_VALUES),
            "",
        )
    }

    fn stage(&self, rows: usize) -> String {
        let both = |column: &Option<String>, value: &str| match column {
            Some(column) => (format!("{column}, "), format!("{value}, ")),
            None => (String::new(), String::new()),
        };
        let (legacy_column, legacy) = both(&self.legacy_id, "v.legacy_id");
        let (hash_column, hash) = both(&self.current_hash, "v.digest");
        format!(
            "INSERT INTO {table} ({person}, {legacy_column}{payload}, {hash_column}{status}, {state})
             SELECT v.person_id, {legacy}v.payload, {hash}N'{pending}', N'{new}'
             FROM (VALUES {rows}) AS v (person_id, legacy_id, payload, digest)",
            table = self.table,
            person = self.person_id,
            payload = self.payload,
            status = self.status,
            state = self.state,
            pending = SubmissionStatus::Pending.word(),
            new = RowState::New.word(),
            rows = rows_of_parameters(rows, STAGE_VALUES),
        )
    }

    fn counts(&self) -> String {
        let shown = |column: &str| {
            format!(
                "CAST(COALESCE(NULLIF({}, N''), N'(blank)') AS NVARCHAR(4000))",
                word(column)
            )
        };
        let (status, state) = (shown(&self.status), shown(&self.state));
        format!(
            "SELECT s.status, s.state, COUNT_BIG(*)
             FROM (SELECT {status} AS status, {state} AS state FROM {table}) AS s
             GROUP BY s.status, s.state ORDER BY s.status, s.state",
            table = self.table,
        )
    }

    fn times(&self) -> String {
        let at = &self.at;
        let changed = match &self.last_updated {
            Some(last_updated) => format!("COALESCE({last_updated}, {at})"),
            None => at.clone(),
        };
        let status = word(&self.status);
        format!(
            "SELECT CONVERT(NVARCHAR(19), MIN(CASE WHEN {status} = N'{pending}' THEN {changed} END), 120),
                    CONVERT(NVARCHAR(19), MAX(CASE WHEN {status} = N'{sent}'
                        OR {response} LIKE N'{uuid}' THEN {at} END), 120)
             FROM {table}",
            pending = SubmissionStatus::Pending.word(),
            sent = SubmissionStatus::Sent.word(),
            response = self.response,
            uuid = "________-____-____-____-____________",
            table = self.table,
        )
    }

    fn several(&self) -> String {
        format!(
            "SELECT COUNT_BIG(*) FROM (
                 SELECT {person} FROM {table} WHERE LTRIM(RTRIM({person})) <> N''
                 GROUP BY {person} HAVING COUNT_BIG(*) > 1) AS s",
            person = self.person_id,
            table = self.table,
        )
    }
}

#[cfg(test)]
mod tests;
