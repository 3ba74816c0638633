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

/// More bytes than a blank payload is expected to have.
const LONG: usize = 128;

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
    lengths: Page,
    lengths_with_previous: Page,
    page: Page,
    page_with_previous: Page,
}

/// A statement about rows in order of id, around the condition that leaves out superseded
/// ones. @P1: the id that its rows follow, @P2: the last id.
struct Page {
    before: String,
    id: String,
    after: String,
}

impl Page {
    /// With so many ids to skip, from @P{first} on; see [`padded`].
    fn skipping(&self, skipped: usize, first: usize) -> String {
        let skip = match skipped {
            0 => String::new(),
            n => format!("AND t.{} NOT IN ({}) ", self.id, parameters(first, n)),
        };
        format!("{} {skip}{}", self.before, self.after)
    }
}

impl Selected {
    /// The ids of a page's rows, and how long what is read of each is. @P3: how many rows;
    /// from @P4 on the ids to skip.
    pub(super) fn lengths(&self, with_previous: bool, skipped: usize) -> String {
        let lengths = if with_previous {
            &self.lengths_with_previous
        } else {
            &self.lengths
        };
        lengths.skipping(skipped, 4)
    }

    /// The rows of a page. From @P3 on the ids to skip.
    pub(super) fn page(&self, with_previous: bool, skipped: usize) -> String {
        let page = if with_previous {
            &self.page_with_previous
        } else {
            &self.page
        };
        page.skipping(skipped, 3)
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
            pairs: made.pairs(),
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

    /// Records the outcomes of so many rows, which have so many different fates. Does
    /// nothing, and no trigger sees it, where @P1 is empty.
    ///
    /// @P1 is all rows, packed: [`PACKED_ROW`] bytes each, which are the id (8, the high
    /// byte first), the digest (32), and the number of its fate (1). Each row then has
    /// [`OWN_VALUES`] parameters, from @P2 on: response, sent_at. Each fate has
    /// [`FATE_VALUES`] after those: row_state, status, purge, purge_hash. Most batches have
    /// one or two; a parameter for each value of each row would be 800 of them, for the
    /// server to bind in every batch.
    ///
    /// `repeated`: it was sent before over a connection that was lost before the answer
    /// came. An accepted row that carries this very receipt was recorded then.
    pub(super) fn record(&self, rows: usize, fates: usize, repeated: bool) -> String {
        self.made.record(rows, fates, repeated)
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

pub(super) const PACKED_ROW: usize = 41;
pub(super) const OWN_VALUES: usize = 2;
pub(super) const FATE_VALUES: usize = 4;
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

/// Whether a column's word is one of these, in whatever spelling. It nearly always is
/// spelled so, which is seen in a fraction of the time.
fn is_one_of(column: &str, words: &str) -> String {
    format!(
        "({column} {BINARY} IN ({words}) OR {} IN ({words}))",
        word(column)
    )
}

/// The SHA-256 of a payload, over its characters in the encoding that this server hashes.
fn hashed(payload: &str) -> String {
    format!("HASHBYTES('SHA2_256', COALESCE(CAST({payload} AS NVARCHAR(MAX)), N''))")
}

/// `@P3, @P4`
fn parameters(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|n| format!("@P{n}")).collect();
    names.join(", ")
}

/// `(@P1, @P2), (@P3, @P4)`
fn rows_of_parameters(rows: usize, width: usize) -> String {
    let row = |n: usize| format!("({})", parameters(n * width + 1, width));
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// What a row was when it was read, in terms of an UPDATE's `from`.
struct Read {
    id: String,
    state: String,
    digest: String,
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

    /// What a row itself must be like. With `exactly` not said, a row whose payload is
    /// long and blank may be among them: no payload is read to see that it is not.
    fn wanted(&self, selection: Selection, exactly: bool) -> String {
        let deleted = RowState::Deleted.word();
        let state = format!("t.{}", self.state);
        let others = [RowState::New, RowState::Updated, RowState::Unchanged]
            .map(|state| format!("N'{}'", state.word()));
        let stays = format!(
            "({state} IS NULL OR {state} {BINARY} IN ({others}) OR {word} <> N'{deleted}')",
            others = others.join(", "),
            word = word(&state),
        );
        match selection {
            Selection::Records => {
                let not_blank = match exactly {
                    true => self.not_blank(),
                    false => self.perhaps_not_blank(),
                };
                format!(
                    "{} AND {stays} AND {not_blank}",
                    is_one_of(&format!("t.{}", self.status), &eligible_words()),
                )
            }
            Selection::Deletions => is_one_of(&state, &format!("N'{deleted}'")),
            Selection::Children => stays,
        }
    }

    fn not_blank(&self) -> String {
        format!("t.{} LIKE N'%[^ \t\n\r]%' {BINARY}", self.payload)
    }

    fn perhaps_not_blank(&self) -> String {
        let (payload, not_blank) = (&self.payload, self.not_blank());
        format!("(DATALENGTH(t.{payload}) > {LONG} OR {not_blank})")
    }

    /// Which pairs of submission_status and row_state occur, and with how many payloads.
    fn pairs(&self) -> String {
        format!(
            "SELECT CAST(t.{status} AS NVARCHAR(4000)), CAST(t.{state} AS NVARCHAR(4000)),
                    COUNT_BIG(CASE WHEN {is_one} THEN 1 END)
             FROM {table} AS t GROUP BY t.{status}, t.{state}",
            status = self.status,
            state = self.state,
            is_one = self.perhaps_not_blank(),
            table = self.table,
        )
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

    /// All rows are looked at once, and never for each row: there is no join that the
    /// server might plan so for a table that was empty when it made its plan.
    fn superseded(&self) -> String {
        format!(
            "SELECT s.id
             FROM (SELECT CAST(t.{id} AS BIGINT) AS id,
                          LEAD(t.{id}) OVER (PARTITION BY t.{person} ORDER BY t.{id}) AS newer
                   FROM {table} AS t WHERE t.{person} <> N'') AS s
             WHERE s.newer IS NOT NULL",
            id = self.id,
            person = self.person_id,
            table = self.table,
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
        let wanted = self.wanted(selection, false);
        let exactly = self.wanted(selection, true);
        let previous = format!("CAST(t.{} AS NVARCHAR(MAX))", self.previous);
        Selected {
            count: format!(
                "SELECT COUNT_BIG(*) FROM {} AS t WHERE {wanted}",
                self.table
            ),
            count_newest: self.count_newest(&wanted),
            lengths: self.lengths(&wanted, ""),
            lengths_with_previous: self
                .lengths(&wanted, &format!(", DATALENGTH(t.{})", self.previous)),
            page: self.page(&exactly, "CAST(NULL AS NVARCHAR(MAX))"),
            page_with_previous: self.page(&exactly, &previous),
        }
    }

    /// A page is asked for in two statements, so that no payload goes through a join, a
    /// window or a sort: here which rows there are and how long they are, and then up to
    /// which id they are read.
    fn lengths(&self, wanted: &str, previous: &str) -> Page {
        self.by_id(
            &format!(
                "SELECT TOP (@P3) CAST(t.{id} AS BIGINT), DATALENGTH(t.{payload}){previous}",
                id = self.id,
                payload = self.payload,
            ),
            wanted,
        )
    }

    fn page(&self, wanted: &str, previous: &str) -> Page {
        self.by_id(
            &format!(
                "SELECT CAST(t.{id} AS BIGINT), CAST(t.{person} AS NVARCHAR(4000)),
                        CAST(t.{state} AS NVARCHAR(4000)), CAST(t.{payload} AS NVARCHAR(MAX)),
                        {previous}, CAST(LEFT(t.{response}, {RESPONSE_READ}) AS NVARCHAR(4000))",
                id = self.id,
                person = self.person_id,
                state = self.state,
                payload = self.payload,
                response = self.response,
            ),
            wanted,
        )
    }

    fn by_id(&self, select: &str, wanted: &str) -> Page {
        Page {
            before: format!(
                "{select}
                 FROM {table} AS t
                 WHERE t.{id} > {after} AND t.{id} <= {last} AND {wanted}",
                table = self.table,
                id = self.id,
                after = self.as_id("@P1"),
                last = self.as_id("@P2"),
            ),
            id: self.id.clone(),
            after: format!("ORDER BY t.{}", self.id),
        }
    }

    /// Whether a row still is the one that was read: its id, its state, and its whole
    /// payload.
    fn same_row(&self, read: &Read) -> String {
        format!(
            "{id} = {read_id}
               AND ({state} = {read_state} {BINARY} OR ({state} IS NULL AND {read_state} IS NULL))
               AND {hash} = {digest}",
            id = self.own(&self.id),
            read_id = self.as_id(&read.id),
            state = self.own(&self.state),
            read_state = read.state,
            hash = hashed(&self.own(&self.payload)),
            digest = read.digest,
        )
    }

    /// A column of the row that is updated.
    fn own(&self, column: &str) -> String {
        format!("{}.{column}", self.table)
    }

    /// An UPDATE of the rows that `from` lists, which gives the ids that it wrote.
    ///
    /// The rows are looked up by their ids, one by one, so that no other is locked. A
    /// table with triggers forbids OUTPUT alone: it goes into a table variable, and a
    /// trigger's own answers come before ours. The table has no alias, since a server of
    /// the tests takes OUTPUT with none. Without XACT_ABORT a part that fails might let the
    /// rest go on, and look like no row at all. `guard`: what makes it conditional.
    fn update(&self, guard: &str, set: &str, from: &str, read: &Read, more: &str) -> String {
        format!(
            "SET NOCOUNT ON;
             SET XACT_ABORT ON;
             DECLARE @recorded TABLE (id BIGINT NOT NULL);
             {guard}UPDATE {table} SET {set}
             OUTPUT inserted.{id} INTO @recorded (id)
             FROM {from}
             WHERE {same}
             OPTION (LOOP JOIN);
             SELECT id FROM @recorded {more}",
            id = self.id,
            table = self.table,
            same = self.same_row(read),
        )
    }

    /// An UPDATE of rows that have parameters each: the first three are id, row_state and
    /// digest.
    fn update_each(&self, set: &str, rows: usize, names: &str, width: usize) -> String {
        let read = Read {
            id: "v.id".to_string(),
            state: "v.row_state".to_string(),
            digest: "v.digest".to_string(),
        };
        let from = format!(
            "(VALUES {rows}) AS v ({names})",
            rows = rows_of_parameters(rows, width)
        );
        self.update("", set, &from, &read, "")
    }

    fn record(&self, rows: usize, fates: usize, repeated: bool) -> String {
        let previous_hash = match (&self.previous_hash, &self.current_hash) {
            (Some(previous_hash), Some(current_hash)) => format!(
                ",
                 {previous_hash} = CASE WHEN v.sent_at IS NULL THEN {own_previous_hash}
                     WHEN f.purge IS NOT NULL THEN f.purge_hash
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
            "{status} = f.status,
                 {response_column} = {response},
                 {at} = CASE WHEN v.sent_at IS NULL THEN {own_at}
                     ELSE CAST(CONVERT(DATETIME2, v.sent_at, 126) AS {at_kind}) END,
                 {state} = CASE WHEN v.sent_at IS NULL OR f.purge IS NOT NULL THEN {own_state}
                     ELSE N'{unchanged}' END,
                 {previous} = CASE WHEN v.sent_at IS NULL THEN {own_previous}
                     WHEN f.purge IS NOT NULL THEN f.purge
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
        let each: Vec<String> = (0..rows)
            .map(|row| {
                let own = parameters(row * OWN_VALUES + 2, OWN_VALUES);
                format!("({}, {own})", row * PACKED_ROW + 1)
            })
            .collect();
        let first = rows * OWN_VALUES + 2;
        let fates: Vec<String> = (0..fates)
            .map(|fate| {
                let values = parameters(fate * FATE_VALUES + first, FATE_VALUES);
                format!("({fate}, {values})")
            })
            .collect();
        let from = format!(
            "(VALUES {each}) AS v (place, response, sent_at)
             INNER JOIN (VALUES {fates}) AS f (n, row_state, status, purge, purge_hash)
                 ON f.n = CAST(SUBSTRING(@P1, v.place + 40, 1) AS INT)",
            each = each.join(", "),
            fates = fates.join(", "),
        );
        let read = Read {
            id: "CAST(SUBSTRING(@P1, v.place, 8) AS BIGINT)".to_string(),
            state: "f.row_state".to_string(),
            digest: "SUBSTRING(@P1, v.place + 8, 32)".to_string(),
        };
        let more = if repeated {
            format!(
                "UNION SELECT CAST(t.{id} AS BIGINT) FROM {from}
                 INNER JOIN {table} AS t ON t.{id} = {read_id}
                 WHERE v.sent_at IS NOT NULL AND t.{column} = {response} {BINARY}
                 OPTION (LOOP JOIN)",
                table = self.table,
                id = self.id,
                read_id = self.as_id(&read.id),
                column = self.response,
            )
        } else {
            String::new()
        };
        self.update("IF DATALENGTH(@P1) > 0 ", &set, &from, &read, &more)
    }

    fn write_partials(&self, rows: usize) -> String {
        let partial = self.partial.as_deref().unwrap_or("[partial_json_payload]");
        self.update_each(
            &format!("{partial} = v.delta"),
            rows,
            "id, row_state, digest, delta",
            PARTIAL_VALUES,
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
