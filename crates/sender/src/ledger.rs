//! What the receiver last acknowledged of each child: the base of every delta.
//!
//! It can't be read off the staging table alone, since the SQL that stages rows
//! overwrites `previous_json_payload` with whatever was staged before, sent or not. A
//! child's row here holds the hash of a record's meaning, its receipt, and its
//! skeleton: ids and field names, no values. After a purge nothing is left of it but
//! that fact.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use csc_message::Message;
use csc_payload::Skeleton;
use csc_staging::RowKey;
use jiff::Timestamp;
use jiff::civil::DateTime;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

use crate::RunOptions;
use crate::departures::{self, Leaving, Unrecorded};
use crate::events::{self, Answered, Ended, RunEntry, UnrecordedBatch};
use crate::journal::{BUSY_WAIT, refused};
use crate::plan::{FormKind, Payloads};
use crate::run_record::has_column;

/// What is known of what the receiver holds of one child.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Changes with every write: whoever planned by an older one must plan anew.
    pub(crate) revision: i64,
    /// What was last acknowledged.
    pub(crate) last: Acknowledged,
    /// The receipt of that, with its time.
    pub(crate) receipt: Option<(String, DateTime)>,
    /// What it may hold besides, since a reply was lost.
    pub(crate) in_doubt: Option<Skeleton>,
    /// Whether it may hold something that the ledger does not know of: the child was sent
    /// by somebody else, or before the ledger began. Only a purge ends that.
    pub(crate) may_have_remains: bool,
    /// The row whose record was last acknowledged, where that was written down.
    pub(crate) row: Option<i64>,
}

/// What was last acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Acknowledged {
    /// Nothing is held: never acknowledged, or purged.
    Nothing,
    /// A record.
    Record {
        /// SHA-256 of its meaning.
        meaning: [u8; 32],
        /// Its ids and field names, and those of anything that may have stayed beside it.
        skeleton: Skeleton,
    },
}

/// A record about to be posted.
pub(crate) struct Departure<'a> {
    pub(crate) key: &'a RowKey,
    pub(crate) kind: FormKind,
    pub(crate) text: &'a str,
    /// Its SHA-256, where that is known already.
    pub(crate) sha256: Option<[u8; 32]>,
    /// Whether it was sent before, and nobody knows whether it arrived.
    pub(crate) again: bool,
    pub(crate) child: &'a str,
    /// The revision by which it was planned; `None` where the ledger knew nothing.
    pub(crate) revision: Option<i64>,
    /// What the receiver may hold, beside what was acknowledged, if the reply is lost.
    pub(crate) in_doubt: &'a Skeleton,
    /// The hash of the meaning of a record, where what is in doubt is that record alone.
    pub(crate) meaning: Option<&'a [u8; 32]>,
}

/// What was written down before a post.
pub(crate) struct Departed {
    /// The batch's number in the journal; `None` where no record may go.
    pub(crate) batch: Option<i64>,
    /// Each record's new revision, or `None` where the ledger has moved on since it was
    /// planned: such a record must not be posted as it is.
    pub(crate) revisions: Vec<Option<i64>>,
}

/// What came of a batch.
pub(crate) struct Settled<'a> {
    /// Its number in the journal.
    pub(crate) batch: i64,
    pub(crate) answered: Answered<'a>,
    /// What that means for each of its children, in the order of its records, with the
    /// revision under which each departed. Where the ledger has moved on from that, another
    /// run has something of the child's on its way: what is in doubt stays so.
    pub(crate) settlements: Vec<(&'a str, Option<i64>, Settlement)>,
}

/// What came of a departure.
pub(crate) enum Settlement {
    /// The receiver holds this now.
    Record {
        meaning: [u8; 32],
        skeleton: Skeleton,
        receipt: (String, DateTime),
        may_have_remains: bool,
        /// The row that the record stands in.
        row: i64,
    },
    /// The receiver holds nothing of the child now.
    Purged { receipt: (String, DateTime) },
    /// The receiver has certainly not taken it: all is as it was before.
    NotTaken { in_doubt: Option<Skeleton> },
}

/// The ledger of one authority at one endpoint.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) path: PathBuf,
    pub(crate) connection: Arc<Mutex<Connection>>,
    pub(crate) endpoint: String,
    pub(crate) la_code: String,
    /// The number of that pair, once it has one.
    pub(crate) account: Arc<OnceLock<i64>>,
    /// Whether it says which row a record stood in: one of an earlier version that may only be
    /// read does not.
    pub(crate) knows_rows: Arc<OnceLock<bool>>,
}

/// A child's row lies where it was first written, beside those of its batch: the table is
/// ordered by no key, so that a batch touches few pages. What is looked up is in the index.
///
/// A child's first record is written whole before it is posted, with room for its receipt,
/// so that the row need not grow when that is here: until then `in_doubt` is X'', and the
/// other columns tell what is in doubt, of which nothing is acknowledged.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS account (
         account_id INTEGER PRIMARY KEY,
         endpoint   TEXT NOT NULL,
         la_code    TEXT NOT NULL,
         UNIQUE (endpoint, la_code)
     );
     CREATE TABLE IF NOT EXISTS held_child (
         account_id  INTEGER NOT NULL,
         la_child_id TEXT NOT NULL,
         revision    INTEGER NOT NULL,
         meaning     BLOB,
         skeleton    TEXT,
         receipt     TEXT,
         receipt_at  TEXT,
         in_doubt    TEXT,
         remains     INTEGER NOT NULL DEFAULT 0,
         row_id      INTEGER,
         UNIQUE (account_id, la_child_id)
     )";

/// The column that a ledger of an earlier version lacks.
const ROW_ID: &str = "row_id";

/// A ledger as it was kept before: ordered by child, with the endpoint in every row.
const FROM_ORDERED: &str = "INSERT OR IGNORE INTO account (endpoint, la_code)
         SELECT DISTINCT endpoint, la_code FROM held_child_ordered;
     INSERT INTO held_child (account_id, la_child_id, revision, meaning, skeleton, receipt,
                             receipt_at, in_doubt, remains)
         SELECT account_id, la_child_id, revision, meaning, skeleton, receipt, receipt_at, in_doubt,
                remains
         FROM held_child_ordered JOIN account USING (endpoint, la_code);
     DROP TABLE held_child_ordered";

/// Makes the ledger's tables, or brings those of an earlier version to this one's.
pub(crate) fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let ordered = has_column(connection, "held_child", "endpoint")?;
    if ordered {
        connection.execute_batch("ALTER TABLE held_child RENAME TO held_child_ordered")?;
    }
    connection.execute_batch(SCHEMA)?;
    if ordered {
        connection.execute_batch(FROM_ORDERED)?;
    }
    if !has_column(connection, "held_child", ROW_ID)? {
        connection.execute_batch("ALTER TABLE held_child ADD COLUMN row_id INTEGER")?;
    }
    Ok(())
}

/// The revision of a child's row when it was just made.
const FIRST: i64 = 1;

/// As long as a receipt's uuid, and as its time.
const ROOM_FOR_RECEIPT: &str = "                                    ";
const ROOM_FOR_TIME: &str = "                             ";

/// A child's first record, on its way. The revision by which a record was planned is the
/// one that is there, or nothing is written.
const DEPART_FIRST: &str = "INSERT INTO held_child
         (account_id, la_child_id, revision, meaning, skeleton, receipt, receipt_at, in_doubt, row_id)
     VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, X'', ?7) ON CONFLICT DO NOTHING";
const DEPART_UNKNOWN: &str = "INSERT INTO held_child (account_id, la_child_id, revision, in_doubt)
     VALUES (?1, ?2, 1, ?3) ON CONFLICT DO NOTHING";
const DEPART_KNOWN: &str = "UPDATE held_child SET revision = revision + 1, in_doubt = ?3,
         meaning = CASE WHEN in_doubt = X'' THEN NULL ELSE meaning END,
         skeleton = CASE WHEN in_doubt = X'' THEN NULL ELSE skeleton END,
         receipt = CASE WHEN in_doubt = X'' THEN NULL ELSE receipt END,
         receipt_at = CASE WHEN in_doubt = X'' THEN NULL ELSE receipt_at END
     WHERE account_id = ?1 AND la_child_id = ?2 AND revision = ?4";

/// The row of a first record stays as long as it was, and where it lies.
const SETTLE_FIRST: &str = "UPDATE held_child SET revision = revision + 1, in_doubt = NULL,
         receipt = ?3, receipt_at = ?4, remains = ?5
     WHERE account_id = ?1 AND la_child_id = ?2 AND revision = ?6 AND in_doubt = X''";
const SETTLE_RECORD: &str = "UPDATE held_child SET revision = revision + 1,
         in_doubt = CASE WHEN revision = ?8 THEN NULL
             WHEN in_doubt = X'' THEN skeleton ELSE in_doubt END,
         meaning = ?3, skeleton = ?4, receipt = ?5, receipt_at = ?6, remains = ?7, row_id = ?9
     WHERE account_id = ?1 AND la_child_id = ?2";
const SETTLE_PURGED: &str = "UPDATE held_child SET revision = revision + 1,
         in_doubt = CASE WHEN revision = ?5 THEN NULL
             WHEN in_doubt = X'' THEN skeleton ELSE in_doubt END,
         meaning = NULL, skeleton = NULL, receipt = ?3, receipt_at = ?4, remains = 0, row_id = NULL
     WHERE account_id = ?1 AND la_child_id = ?2";
const SETTLE_NOT_TAKEN: &str = "UPDATE held_child SET revision = revision + 1,
         in_doubt = CASE WHEN revision = ?4 THEN ?3 ELSE in_doubt END
     WHERE account_id = ?1 AND la_child_id = ?2 AND in_doubt IS NOT X''";
/// A child of which nothing was ever acknowledged, and nothing is in doubt any more, is not
/// known again.
const FORGET: &str = "DELETE FROM held_child WHERE account_id = ?1 AND la_child_id = ?2
     AND revision = ?3 AND (in_doubt = X'' OR meaning IS NULL AND receipt IS NULL)";

/// The number of no account: SQLite counts from 1.
const NO_ACCOUNT: i64 = 0;

impl Ledger {
    /// The number under which its children are kept, where any ever was.
    fn account(&self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        if let Some(known) = self.account.get() {
            return Ok(Some(*known));
        }
        let found = connection
            .prepare_cached("SELECT account_id FROM account WHERE endpoint = ?1 AND la_code = ?2")?
            .query_row((&self.endpoint, &self.la_code), |row| row.get(0))
            .optional()?;
        Ok(found.map(|account| *self.account.get_or_init(|| account)))
    }

    fn knows_rows(&self, connection: &Connection) -> rusqlite::Result<bool> {
        if let Some(known) = self.knows_rows.get() {
            return Ok(*known);
        }
        let found = has_column(connection, "held_child", ROW_ID)?;
        Ok(*self.knows_rows.get_or_init(|| found))
    }

    /// What is known of these children; one that is missing is not known.
    pub(crate) fn look_up(&self, children: &[&str]) -> Result<HashMap<String, Held>, Message> {
        self.with(|connection| {
            // One look at the file for all of them.
            let transaction = connection.transaction()?;
            let mut known = HashMap::new();
            let Some(account) = self.account(&transaction)? else {
                return Ok(known);
            };
            let row = match self.knows_rows(&transaction)? {
                true => ROW_ID,
                false => "NULL",
            };
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT revision, meaning, skeleton, receipt, receipt_at, in_doubt, remains, {row}
                 FROM held_child WHERE account_id = ?1 AND la_child_id = ?2",
            ))?;
            for child in children {
                let held = statement
                    .query_row((account, child), read_held)
                    .optional()?;
                if let Some(held) = held {
                    known.insert((*child).to_string(), held);
                }
            }
            Ok(known)
        })
    }

    /// How many children the receiver holds.
    pub fn count_held(&self) -> Result<u64, Message> {
        self.with(|connection| {
            connection.query_row(
                "SELECT count(*) FROM held_child
                 WHERE account_id = ?1 AND meaning IS NOT NULL AND in_doubt IS NOT X''",
                [self.account(connection)?.unwrap_or(NO_ACCOUNT)],
                |row| row.get::<_, i64>(0).map(i64::unsigned_abs),
            )
        })
    }

    /// Writes down what came of the batch before, what is about to be posted, before it is,
    /// and which batches the table has since the last time: all in one transaction.
    pub(crate) fn depart(
        &self,
        run_id: &str,
        settled: Option<&Settled<'_>>,
        departures: &[Departure<'_>],
        recorded: &[i64],
    ) -> Result<Departed, Message> {
        self.with(|connection| {
            // It reads before it writes: another run must not write in between.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if let Some(settled) = settled {
                self.settle_within(&transaction, settled)?;
            }
            let account = match self.account(&transaction)? {
                Some(account) => account,
                None => {
                    transaction.execute(
                        "INSERT INTO account (endpoint, la_code) VALUES (?1, ?2)",
                        (&self.endpoint, &self.la_code),
                    )?;
                    transaction.last_insert_rowid()
                }
            };
            let mut revisions = Vec::with_capacity(departures.len());
            {
                let mut first = transaction.prepare_cached(DEPART_FIRST)?;
                let mut unknown = transaction.prepare_cached(DEPART_UNKNOWN)?;
                let mut known = transaction.prepare_cached(DEPART_KNOWN)?;
                for departure in departures {
                    let (child, doubt) = (departure.child, kept(departure.in_doubt));
                    let written = match (departure.revision, departure.meaning) {
                        (None, Some(meaning)) => first.execute((
                            account,
                            child,
                            &meaning[..],
                            doubt,
                            ROOM_FOR_RECEIPT,
                            ROOM_FOR_TIME,
                            departure.key.id(),
                        ))?,
                        (None, None) => unknown.execute((account, child, doubt))?,
                        (Some(revision), _) => known.execute((account, child, doubt, revision))?,
                    };
                    let revision = departure.revision.unwrap_or_default() + 1;
                    revisions.push((written == 1).then_some(revision));
                }
            }
            let going: Vec<Leaving<'_>> = departures
                .iter()
                .zip(&revisions)
                .filter(|(_, revision)| revision.is_some())
                .map(|(departure, _)| Leaving {
                    key: Some(departure.key),
                    kind: departure.kind,
                    text: departure.text,
                    sha256: departure.sha256,
                    again: departure.again,
                })
                .collect();
            let batch = if going.is_empty() {
                None
            } else {
                Some(events::depart(&transaction, run_id, &going)?)
            };
            events::note_recorded(&transaction, run_id, recorded)?;
            transaction.commit()?;
            self.account.get_or_init(|| account);
            Ok(Departed { batch, revisions })
        })
    }

    /// Writes down what came of a batch.
    pub(crate) fn settle(&self, settled: &Settled<'_>) -> Result<(), Message> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            self.settle_within(&transaction, settled)?;
            transaction.commit()
        })
    }

    fn settle_within(
        &self,
        transaction: &Transaction<'_>,
        settled: &Settled<'_>,
    ) -> rusqlite::Result<()> {
        let Settled {
            batch,
            answered,
            settlements,
        } = settled;
        let batch = *batch;
        events::answer(transaction, batch, answered)?;
        let receipts = settlements
            .iter()
            .filter_map(|(_, _, settlement)| match settlement {
                Settlement::Record { receipt, .. } | Settlement::Purged { receipt } => {
                    Some((receipt.0.as_str(), receipt.1))
                }
                Settlement::NotTaken { .. } => None,
            });
        departures::write_receipts(transaction, batch, receipts)?;
        // Nothing is settled that has not departed.
        let account = self.account(transaction)?.unwrap_or(NO_ACCOUNT);
        for (child, departed, settlement) in settlements {
            settle_child(transaction, (account, child), *departed, settlement)?;
        }
        Ok(())
    }

    /// A run that begins now.
    fn new_run(&self, options: &RunOptions, place: String) -> RunEntry {
        RunEntry {
            run_id: options.run_id.clone(),
            begun_at: events::stamp(Timestamp::now()),
            ended_at: None,
            ending: None,
            user: options.author.user.clone(),
            host: options.author.host.clone(),
            process: std::process::id().into(),
            program: options.author.program.clone(),
            payloads: match options.payloads {
                Payloads::Full { .. } => "full",
                Payloads::Deltas => "deltas",
            }
            .to_string(),
            place,
            endpoint: self.endpoint.clone(),
            la_code: self.la_code.clone(),
        }
    }

    /// Writes down that a run of this authority to this endpoint begins.
    pub(crate) fn begin_run(&self, options: &RunOptions, place: String) -> Result<(), Message> {
        let run = self.new_run(options, place);
        self.with(|connection| events::begin_run(connection, &run, &options.author.settings))
    }

    /// Writes down how a run ended, and which batches the table has since the last time.
    pub(crate) fn end_run(
        &self,
        run_id: &str,
        ended: &Ended<'_>,
        recorded: &[i64],
    ) -> Result<(), Message> {
        self.with(|connection| events::end_run(connection, run_id, ended, recorded))
    }

    /// Copies what was written down so far into the file itself, and empties what lies beside
    /// it, as far as nobody reads there. It would be done when the journal is closed, too;
    /// nothing is lost where it can't be.
    pub(crate) fn copy_into_file(&self) {
        let copied = self.with(|connection| {
            // Readers are not waited for.
            connection.busy_timeout(Duration::ZERO)?;
            let copied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            connection.busy_timeout(BUSY_WAIT)?;
            copied
        });
        if let Err(message) = copied {
            tracing::debug!("{message}");
        }
    }

    /// Writes down that a batch is posted once more, since its answer was missing.
    pub(crate) fn post_again(&self, batch: i64) -> Result<(), Message> {
        self.with(|connection| events::post_again(connection, batch))
    }

    /// Writes down that nobody knows what came of a batch.
    pub(crate) fn note_unknown(&self, batch: i64, answered: &Answered<'_>) -> Result<(), Message> {
        self.with(|connection| events::answer(connection, batch, answered))
    }

    /// The batches whose receipts may not be in the table.
    pub(crate) fn unrecorded_batches(&self, place: &str) -> Result<Vec<UnrecordedBatch>, Message> {
        self.with(|connection| {
            events::unrecorded_batches(connection, place, &self.endpoint, &self.la_code)
        })
    }

    /// The rows of such a batch.
    pub(crate) fn unrecorded_rows(&self, batch: i64) -> Result<Vec<Unrecorded>, Message> {
        self.with(|connection| departures::unrecorded_rows(connection, batch))
    }

    /// Writes down that the table has what came of a batch.
    pub(crate) fn note_recorded(&self, run_id: &str, batch: i64) -> Result<(), Message> {
        self.with(|connection| events::note_recorded(connection, run_id, &[batch]))
    }

    /// Writes down that a record which is in no table is about to be posted.
    pub(crate) fn depart_alone(&self, run_id: &str, text: &str) -> Result<i64, Message> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let alone = Leaving {
                key: None,
                kind: FormKind::Full,
                text,
                sha256: None,
                again: false,
            };
            let batch = events::depart(&transaction, run_id, &[alone])?;
            transaction.commit()?;
            Ok(batch)
        })
    }

    /// Writes down what came of it, with its receipt.
    pub(crate) fn settle_alone(
        &self,
        batch: i64,
        answered: &Answered<'_>,
        receipt: Option<(&str, DateTime)>,
    ) -> Result<(), Message> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            events::answer(&transaction, batch, answered)?;
            departures::write_receipts(&transaction, batch, receipt.into_iter())?;
            transaction.commit()
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Message> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut connection).map_err(|error| refused(&self.path, &error))
    }
}

/// Writes down what came of one departure.
fn settle_child(
    connection: &Connection,
    (account, child): (i64, &str),
    departed: Option<i64>,
    settlement: &Settlement,
) -> rusqlite::Result<()> {
    match settlement {
        Settlement::Record {
            meaning,
            skeleton,
            receipt: (receipt, at),
            may_have_remains: remains,
            row,
        } => {
            // As long as the room that was left for it.
            let at = format!("{at:.9}");
            if departed == Some(FIRST)
                && connection
                    .prepare_cached(SETTLE_FIRST)?
                    .execute((account, child, receipt, &at, remains, FIRST))?
                    == 1
            {
                return Ok(());
            }
            connection.prepare_cached(SETTLE_RECORD)?.execute((
                account,
                child,
                &meaning[..],
                kept(skeleton),
                receipt,
                &at,
                remains,
                departed,
                row,
            ))?;
        }
        Settlement::Purged {
            receipt: (receipt, at),
        } => {
            connection.prepare_cached(SETTLE_PURGED)?.execute((
                account,
                child,
                receipt,
                at.to_string(),
                departed,
            ))?;
        }
        Settlement::NotTaken { in_doubt } => {
            if in_doubt.is_none()
                && connection
                    .prepare_cached(FORGET)?
                    .execute((account, child, departed))?
                    == 1
            {
                return Ok(());
            }
            let in_doubt = in_doubt.as_ref().map(kept);
            connection
                .prepare_cached(SETTLE_NOT_TAKEN)?
                .execute((account, child, in_doubt, departed))?;
        }
    }
    Ok(())
}

/// A skeleton as it is written: as bytes, so that a program which knew it as JSON alone
/// takes it for nothing else.
fn kept(skeleton: &Skeleton) -> &[u8] {
    skeleton.to_kept().as_bytes()
}

/// A skeleton as it was written, also by such a program. What is damaged is not JSON.
fn read_skeleton(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Skeleton>> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    Ok(match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Some(Skeleton::kept(text(bytes))),
        ValueRef::Text(json) => {
            let json = text(json);
            Some(Skeleton::from_json(json).unwrap_or_else(|_| Skeleton::kept(json)))
        }
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    })
}

fn read_held(row: &Row<'_>) -> rusqlite::Result<Held> {
    let meaning: Option<Vec<u8>> = row.get(1)?;
    let receipt: Option<String> = row.get(3)?;
    let at: Option<String> = row.get(4)?;
    let last = meaning.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if row.get_ref(5)? == ValueRef::Blob(&[]) {
        return Ok(Held {
            revision: row.get(0)?,
            last: Acknowledged::Nothing,
            receipt: None,
            in_doubt: Some(read_skeleton(row, 2)?.unwrap_or_default()),
            may_have_remains: false,
            row: None,
        });
    }
    Ok(Held {
        revision: row.get(0)?,
        last: match last {
            Some(meaning) => Acknowledged::Record {
                meaning,
                skeleton: read_skeleton(row, 2)?.unwrap_or_default(),
            },
            None => Acknowledged::Nothing,
        },
        receipt: receipt.zip(at.and_then(|at| at.parse().ok())),
        in_doubt: read_skeleton(row, 5)?,
        may_have_remains: row.get(6)?,
        row: row.get(7)?,
    })
}
