//! The SQL for one table, made once from its shape. Names come from the catalogue,
//! quoted by the server itself; every value is a parameter.

mod anon;

use self::anon::AnonStatements;
use crate::store::eligible_words;
use crate::{RowState, Selection, SubmissionStatus, TableShape};

/// How much of `api_response` is read back: a receipt's uuid and a little more.
const RESPONSE_READ: usize = 64;

/// The statements for one table.
pub(super) struct Statements {
    records: Selected,
    deletions: Selected,
    children: Selected,
    pub(super) pairs: String,
    pub(super) superseded: String,
    pub(super) record: String,
    /// The same where it was sent before over a connection that was lost before the answer
    /// came. An accepted row that carries this very receipt was recorded then.
    pub(super) record_again: String,
    pub(super) write_partials: String,
    pub(super) stage: String,
    pub(super) counts: String,
    pub(super) times: String,
    pub(super) several: String,
    pub(super) anon: AnonStatements,
}

/// The statements for one selection of rows.
pub(super) struct Selected {
    /// Of all such rows.
    pub(super) count: String,
    /// Without those that have a newer one of the same child.
    pub(super) count_newest: String,
    pub(super) page: String,
    pub(super) page_with_previous: String,
}

impl Statements {
    /// `full_name` is quoted already; `indexed_pairs` says whether an index begins with
    /// submission_status and row_state.
    pub(super) fn new(shape: &TableShape, full_name: &str, indexed_pairs: bool) -> Self {
        let made = Made { shape, full_name };
        Statements {
            records: made.selected(Selection::Records),
            deletions: made.selected(Selection::Deletions),
            children: made.selected(Selection::Children),
            pairs: if indexed_pairs {
                made.pairs_of_index()
            } else {
                made.pairs_of_table()
            },
            superseded: made.superseded(),
            record: made.record(),
            record_again: made.record_again(),
            write_partials: made.write_partials(),
            stage: made.stage(),
            counts: made.counts(),
            times: made.times(),
            several: made.several(),
            anon: AnonStatements::of(&made),
        }
    }

    pub(super) fn of(&self, selection: Selection) -> &Selected {
        match selection {
            Selection::Records => &self.records,
            Selection::Deletions => &self.deletions,
            Selection::Children => &self.children,
        }
    }
}

struct Made<'a> {
    shape: &'a TableShape,
    full_name: &'a str,
}

/// Whether a row still is the one that was read. The same xmin is the same row
/// version. A row that somebody touched without changing its payload or state has
/// another one; its whole payload is then compared, by its SHA-256.
const SAME_ROW: &str = "t.id = v.id
               AND t.row_state::text IS NOT DISTINCT FROM v.row_state
               AND (t.xmin::text = v.version
                    OR sha256(convert_to(coalesce(t.json_payload::text, ''), 'UTF8')) = v.digest)";

impl Made<'_> {
    fn kind(&self, column: &str) -> &str {
        self.shape
            .column(column)
            .map_or("text", |c| c.kind.as_str())
    }

    /// The cast that takes a value of one column into another.
    fn cast(&self, from: &str, to: &str) -> String {
        if self.kind(from) == self.kind(to) {
            String::new()
        } else {
            format!("::{}", self.kind(to))
        }
    }

    fn has_zone(&self) -> bool {
        self.kind("submission_timestamp") == "timestamp with time zone"
    }

    fn pairs_of_table(&self) -> String {
        format!(
            "SELECT DISTINCT submission_status::text, row_state::text FROM {}",
            self.full_name
        )
    }

    /// The words that occur, each found from the one before by one look into the index:
    /// the server itself would read the whole index for a DISTINCT. Each status comes with
    /// no state, too, whether there is such a row or not.
    fn pairs_of_index(&self) -> String {
        let least = |column: &str, condition: &str| {
            format!(
                "SELECT min(t.{column}) FROM {} AS t WHERE {condition}",
                self.full_name
            )
        };
        format!(
            "WITH RECURSIVE status (word) AS (
                 ({first_status})
                 UNION ALL
                 SELECT ({next_status}) FROM status AS s WHERE s.word IS NOT NULL
             ), pair (word, state) AS (
                 SELECT s.word, ({first_state}) FROM status AS s WHERE s.word IS NOT NULL
                 UNION ALL
                 SELECT s.word, ({next_state}) FROM pair AS s WHERE s.state IS NOT NULL
             ), blank (state) AS (
                 ({first_blank})
                 UNION ALL
                 SELECT ({next_blank}) FROM blank AS s WHERE s.state IS NOT NULL
             )
             SELECT word::text, state::text FROM pair
             UNION SELECT NULL, state::text FROM blank",
            first_status = least("submission_status", "true"),
            next_status = least("submission_status", "t.submission_status > s.word"),
            first_state = least("row_state", "t.submission_status = s.word"),
            next_state = least(
                "row_state",
                "t.submission_status = s.word AND t.row_state > s.state"
            ),
            first_blank = least("row_state", "t.submission_status IS NULL"),
            next_blank = least(
                "row_state",
                "t.submission_status IS NULL AND t.row_state > s.state"
            ),
        )
    }

    /// The newest row of each child that has several. A join, and no subquery in a
    /// condition: that would be run once per row wherever the planner cannot hash it.
    fn of_several(&self) -> String {
        format!(
            "SELECT m.person_id, max(m.id) AS id FROM {} AS m
             WHERE btrim(m.person_id::text) <> '' GROUP BY m.person_id HAVING count(*) > 1",
            self.full_name
        )
    }

    fn superseded(&self) -> String {
        format!(
            "SELECT t.id::int8 FROM ({several}) AS newest
             JOIN {table} AS t ON t.person_id = newest.person_id WHERE t.id < newest.id",
            several = self.of_several(),
            table = self.full_name
        )
    }

    /// What a row itself must be like.
    fn wanted(&self, selection: Selection) -> String {
        let deleted = RowState::Deleted.word();
        match selection {
            Selection::Records => {
                // A JSON value is never blank; asking a JSONB column would mean writing it out.
                let not_blank = if self.kind("json_payload").starts_with("json") {
                    "t.json_payload IS NOT NULL"
                } else {
                    // The length is known without fetching and decompressing a payload. One
                    // that is long and blank all the same is left out once it was read.
                    "(octet_length(t.json_payload) > 64 OR t.json_payload ~ '[^[:space:]]')"
                };
                format!(
                    "lower(btrim(t.submission_status::text)) IN ({words})
                     AND lower(btrim(coalesce(t.row_state::text, ''))) <> '{deleted}'
                     AND {not_blank}",
                    words = eligible_words(),
                )
            }
            Selection::Deletions => format!("lower(btrim(t.row_state::text)) = '{deleted}'"),
            Selection::Children => {
                format!("lower(btrim(coalesce(t.row_state::text, ''))) <> '{deleted}'")
            }
        }
    }

    fn selected(&self, selection: Selection) -> Selected {
        let wanted = self.wanted(selection);
        Selected {
            count: format!(
                "SELECT count(*) FROM {} AS t WHERE {wanted}",
                self.full_name
            ),
            count_newest: self.count_newest(&wanted),
            page: self.page(&wanted, "NULL::text"),
            page_with_previous: self.page(&wanted, "t.previous_json_payload::text"),
        }
    }

    fn count_newest(&self, wanted: &str) -> String {
        let table = self.full_name;
        format!(
            "SELECT count(*) FROM {table} AS t
             LEFT JOIN ({several}) AS newest ON newest.person_id = t.person_id
             WHERE {wanted} AND (newest.id IS NULL OR newest.id = t.id)",
            several = self.of_several()
        )
    }

    /// A page ends with the row that takes it to $3 bytes: the server counts, so no more
    /// than that crosses the wire. An id may be INT or BIGINT: the parameters are cast, so
    /// that they are not taken for the column's own type.
    fn page(&self, wanted: &str, previous: &str) -> String {
        format!(
            "SELECT p.id, p.person_id, p.row_state, p.version, p.payload, p.previous, p.response
             FROM (
                 SELECT r.*, sum(coalesce(octet_length(r.payload), 0) + coalesce(octet_length(r.previous), 0))
                        OVER (ORDER BY r.id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
                 FROM (SELECT t.id::int8 AS id, t.person_id::text AS person_id,
                              t.row_state::text AS row_state, t.xmin::text AS version,
                              t.json_payload::text AS payload, {previous} AS previous,
                              left(t.api_response::text, {RESPONSE_READ}) AS response
                       FROM {table} AS t
                       WHERE t.id > $1::int8 AND t.id <= $4::int8 AND {wanted}
                         AND t.id NOT IN (SELECT unnest($5::int8[]))
                       ORDER BY t.id LIMIT $2::int8) AS r
             ) AS p WHERE coalesce(p.before, 0) < $3::int8 ORDER BY p.id",
            table = self.full_name
        )
    }

    fn record(&self) -> String {
        let previous = self.kind("previous_json_payload");
        let previous_hash = if self.shape.column("previous_hash").is_some()
            && self.shape.column("current_hash").is_some()
        {
            format!(
                ", previous_hash = CASE WHEN v.at IS NULL THEN t.previous_hash
                     WHEN v.purge IS NOT NULL THEN v.purge_hash
                     ELSE t.current_hash{} END",
                self.cast("current_hash", "previous_hash")
            )
        } else {
            String::new()
        };
        format!(
            "UPDATE {table} AS t SET
                 submission_status = v.status,
                 api_response = v.response,
                 submission_timestamp = CASE WHEN v.at IS NULL THEN t.submission_timestamp
                     ELSE (v.at{zone})::{timestamp} END,
                 row_state = CASE WHEN v.at IS NULL OR v.purge IS NOT NULL THEN t.row_state
                     ELSE '{unchanged}' END,
                 previous_json_payload = CASE WHEN v.at IS NULL THEN t.previous_json_payload
                     WHEN v.purge IS NOT NULL THEN v.purge::{previous}
                     ELSE t.json_payload{previous_cast} END
                 {previous_hash}
             FROM unnest($1::int8[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[],
                         $7::text[], $8::text[], $9::bytea[])
                  AS v(id, row_state, version, digest, status, response, at, purge, purge_hash)
             WHERE {SAME_ROW}
             RETURNING t.id::int8 AS id",
            table = self.full_name,
            zone = if self.has_zone() { " || '+00'" } else { "" },
            timestamp = self.kind("submission_timestamp"),
            unchanged = RowState::Unchanged.word(),
            previous_cast = self.cast("json_payload", "previous_json_payload"),
        )
    }

    fn record_again(&self) -> String {
        format!(
            "WITH recorded AS ({record})
             SELECT id FROM recorded
             UNION SELECT v.id
             FROM unnest($1::int8[], $6::text[], $7::text[]) AS v(id, response, at)
             JOIN {table} AS t ON t.id = v.id
             WHERE v.at IS NOT NULL AND t.api_response::text = v.response",
            record = self.record(),
            table = self.full_name,
        )
    }

    fn write_partials(&self) -> String {
        format!(
            "UPDATE {table} AS t SET partial_json_payload = v.partial::{kind}
             FROM unnest($1::int8[], $2::text[], $3::text[], $4::bytea[], $5::text[])
                  AS v(id, row_state, version, digest, partial)
             WHERE {SAME_ROW}
             RETURNING t.id::int8",
            table = self.full_name,
            kind = self.kind("partial_json_payload"),
        )
    }

    fn stage(&self) -> String {
        let (column, value) = match self.shape.column("legacy_id") {
            Some(_) => ("legacy_id, ", "v.legacy_id, "),
            None => ("", ""),
        };
        format!(
            "INSERT INTO {table} (person_id, {column}json_payload, current_hash,
                                  submission_status, row_state)
             SELECT v.person_id, {value}v.payload::{kind}, v.hash, '{pending}', '{new}'
             FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])
                  AS v(person_id, legacy_id, payload, hash)",
            table = self.full_name,
            kind = self.kind("json_payload"),
            pending = SubmissionStatus::Pending.word(),
            new = RowState::New.word(),
        )
    }

    fn counts(&self) -> String {
        format!(
            "SELECT coalesce(nullif(lower(btrim(submission_status::text)), ''), '(blank)'),
                    coalesce(nullif(lower(btrim(row_state::text)), ''), '(blank)'), count(*)
             FROM {} GROUP BY 1, 2 ORDER BY 1, 2",
            self.full_name
        )
    }

    fn times(&self) -> String {
        let changed = if self.shape.column("last_updated").is_some() {
            "coalesce(last_updated, submission_timestamp)"
        } else {
            "submission_timestamp"
        };
        let submitted = if self.has_zone() {
            "(submission_timestamp AT TIME ZONE 'UTC')"
        } else {
            "submission_timestamp"
        };
        format!(
            "SELECT to_char(min({changed}) FILTER (
                        WHERE lower(btrim(submission_status::text)) = '{pending}'),
                        'YYYY-MM-DD HH24:MI:SS'),
                    to_char(max({submitted}) FILTER (
                        WHERE lower(btrim(submission_status::text)) = '{sent}'
                           OR api_response ~ '^[0-9A-Fa-f]{{8}}(-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}$'),
                        'YYYY-MM-DD HH24:MI:SS')
             FROM {table}",
            table = self.full_name,
            pending = SubmissionStatus::Pending.word(),
            sent = SubmissionStatus::Sent.word(),
        )
    }

    fn several(&self) -> String {
        format!(
            "SELECT count(*) FROM (SELECT 1 FROM {}
             WHERE btrim(person_id::text) <> '' GROUP BY person_id HAVING count(*) > 1) AS s",
            self.full_name
        )
    }
}
