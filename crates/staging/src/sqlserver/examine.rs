//! What SQL Server says of itself and of the table, with no more rights than a run needs.

use super::catalogue::{Spelled, columns, find, keeps_one_row};
use super::connect::Negotiated;
use super::hashed::hashed_as;
use super::messages::{logon, statement_failed};
use super::session::{Failure, Session, Statement};
use super::statements::bracketed;
use super::values::Value;
use crate::ddl::Dialect;
use crate::examine::{Encryption, Examined, ExaminedTable, Grantee};
use crate::shape::Sought;
use crate::{StoreError, StoreErrorKind, TableName};

const WHAT: &str = "look at the database";

/// What the database says of itself.
struct Own {
    level: i64,
    snapshot: bool,
    database: String,
    logon: String,
    user: String,
    /// Whether the database has a user of that name: one of a group needs none.
    is_user: bool,
}

pub(super) async fn examine(
    session: &mut Session,
    table: &TableName,
) -> Result<Examined, StoreError> {
    let own = own(session).await?;
    // By what it can do, not by its number: other servers speak the same language.
    let too_old = match hashed_as(session).await {
        Ok(_) => false,
        Err(error) if error.kind == StoreErrorKind::Statement => true,
        Err(error) => return Err(error),
    };
    let negotiated = session
        .negotiated()
        .ok_or_else(|| statement_failed(session.target(), WHAT, Failure::Unreadable))?;
    let table = match find(session, table).await? {
        Sought::Here(spelled) => Sought::Here(examine_table(session, spelled).await?),
        Sought::Elsewhere(elsewhere) => Sought::Elsewhere(elsewhere),
    };
    // What guest is given, everybody has.
    let is_guest = own.user.eq_ignore_ascii_case("guest");
    let grantee = (own.user != "dbo").then(|| Grantee {
        name: bracketed(if is_guest { &own.logon } else { &own.user }),
        is_to_be_made: is_guest || !own.is_user,
    });
    let target = session.target();
    let Negotiated {
        version,
        encryption,
        encrypted,
    } = negotiated;
    Ok(Examined {
        dialect: Dialect::SqlServer,
        server: format!("SQL Server {version} at {}", target.server()),
        too_old: too_old.then_some("its payloads to be compared (2016 or later)"),
        level: Some((own.level, own.snapshot)),
        database: own.database,
        logon: format!("{}, which the server knows as {}", logon(target), own.logon),
        grantee,
        encryption: Some(Encryption {
            words: encryption.to_string(),
            in_the_clear: !encrypted,
            advice: "where the records leave this machine's room, write Encrypt=yes; the server \
                     needs a certificate that this machine trusts",
        }),
        table,
    })
}

async fn own(session: &mut Session) -> Result<Own, StoreError> {
    let found = session
        .ask(
            WHAT,
            |_| {
                Statement::new(
                    "SELECT CAST(d.compatibility_level AS INT),
                            CAST(COALESCE(d.is_read_committed_snapshot_on, 0) AS INT),
                            CAST(DB_NAME() AS NVARCHAR(128)),
                            CAST(SUSER_SNAME() AS NVARCHAR(128)),
                            CAST(USER_NAME() AS NVARCHAR(128)),
                            CAST(CASE WHEN EXISTS (
                                SELECT 1 FROM sys.database_principals AS p WHERE p.name = USER_NAME()
                            ) THEN 1 ELSE 0 END AS INT)
                     FROM sys.databases AS d WHERE d.name = DB_NAME()",
                    Vec::new(),
                )
            },
            |mut row| {
                Some(Own {
                    level: row.number(0)?,
                    snapshot: row.number(1)? != 0,
                    database: row.text(2)?,
                    logon: row.text(3)?,
                    user: row.text(4)?,
                    is_user: row.number(5)? != 0,
                })
            },
        )
        .await?;
    let own = found.into_iter().next();
    own.ok_or_else(|| statement_failed(session.target(), WHAT, Failure::Unreadable))
}

async fn examine_table(
    session: &mut Session,
    spelled: Spelled,
) -> Result<ExaminedTable, StoreError> {
    let name = spelled.full_name();
    let found = session
        .ask(
            WHAT,
            |_| {
                Statement::new(
                    "SELECT CAST(HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'SELECT') AS INT),
                            CAST(HAS_PERMS_BY_NAME(@P1, N'OBJECT', N'UPDATE') AS INT),
                            CAST(CASE WHEN EXISTS (
                                SELECT 1 FROM sys.indexes AS i
                                JOIN sys.index_columns AS k
                                    ON k.object_id = i.object_id AND k.index_id = i.index_id
                                WHERE i.object_id = @P2 AND i.is_disabled = 0 AND i.has_filter = 0
                                  AND k.key_ordinal = 1
                                  AND LOWER(COL_NAME(k.object_id, k.column_id)) = N'submission_status'
                            ) THEN 1 ELSE 0 END AS INT)",
                    vec![
                        Value::Word(Some(name.clone())),
                        Value::Number(spelled.id),
                    ],
                )
            },
            |mut row| Some((row.number(0), row.number(1), row.number(2)?)),
        )
        .await?;
    let (may_read, may_write, indexed) = found
        .into_iter()
        .next()
        .ok_or_else(|| statement_failed(session.target(), WHAT, Failure::Unreadable))?;
    Ok(ExaminedTable {
        columns: columns(session, &spelled).await?,
        may_read: may_read == Some(1),
        may_write: may_write == Some(1),
        status_is_indexed: indexed == 1,
        unique_person: keeps_one_row(session, &spelled).await?,
        name,
    })
}
