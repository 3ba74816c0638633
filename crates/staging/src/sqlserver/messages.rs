//! What a failure of SQL Server says to a person: the server's number and words, but
//! never a row's value, which several of its messages quote.

use csc_message::Message;
use mssql_tds::error::{Error, SqlErrorInfo};

use super::session::Failure;
use crate::connection::{SqlServerLogon, SqlServerTarget};
use crate::{StoreError, StoreErrorKind, patience};

const STATEMENT: u16 = 303;
const NO_ANSWER: u16 = 310;

/// At this severity the server closes the connection.
const FATAL: i32 = 20;

/// Deadlock: this statement was the victim.
pub(super) const DEADLOCK: u32 = 1205;
/// A lock was not given within LOCK_TIMEOUT.
pub(super) const LOCK_TIMEOUT: u32 = 1222;

/// The server and database, for every message.
pub(super) fn database_place(target: &SqlServerTarget) -> String {
    format!("SQL Server {}/{}", target.server(), target.database)
}

/// Server, database and logon, as a connection that failed is named.
pub(super) fn attempted(target: &SqlServerTarget) -> String {
    format!(
        "SQL Server {}, database {}, {}",
        target.server(),
        target.database,
        logon(target)
    )
}

/// Who logs on.
pub(super) fn logon(target: &SqlServerTarget) -> String {
    match &target.logon {
        SqlServerLogon::Sql { user, password: _ } => format!("with the SQL logon {user}"),
        SqlServerLogon::Windows => match windows_account() {
            Some(account) => format!("with the Windows logon of {account}"),
            None => "with the Windows logon (Kerberos) of the account that runs csc-sender".into(),
        },
    }
}

/// The name that the server knows who logs on by, where that is known here.
pub(super) fn account(target: &SqlServerTarget) -> Option<String> {
    match &target.logon {
        SqlServerLogon::Sql { user, password: _ } => Some(user.clone()),
        SqlServerLogon::Windows => windows_account(),
    }
}

fn windows_account() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
    Some(format!(
        "{}\\{}",
        variable("USERDOMAIN")?,
        variable("USERNAME")?
    ))
}

/// Messages that quote names, numbers and states only, never what a row holds.
const SHOWN_WHOLE: [u32; 35] = [
    156, 201, 207, 208, 229, 230, 262, 297, 300, 515, 596, 911, 916, 922, 924, 927, 942, 976, 978,
    983, 1105, 1205, 1222, 1934, 2760, 2812, 3906, 4060, 6005, 8152, 9002, 17142, 18401, 18456,
    18470,
];

/// The authority's own messages (RAISERROR, THROW) begin here. Any of their words may be
/// a row's.
const USER_DEFINED: u32 = 50_000;

/// A server's message without the values it may quote: what stands in quotation marks
/// or parentheses is left out.
pub(super) fn without_values(number: u32, message: &str) -> String {
    if SHOWN_WHOLE.contains(&number) {
        return message.trim().to_string();
    }
    // Babelfish gives one number, beyond all of SQL Server's, to what it has none for.
    if (USER_DEFINED..1_000_000).contains(&number) {
        return "a trigger or check of the database's own refused it; its words are not shown, \
                since they may hold what a row holds"
            .to_string();
    }
    let mut shown = String::new();
    let mut closing = None;
    for character in message.trim().chars() {
        match (closing, character) {
            (None, '\'' | '"') => {
                closing = Some(character);
                shown.push('…');
            }
            (None, '(') => {
                closing = Some(')');
                shown.push_str("(…)");
            }
            (None, other) => shown.push(other),
            (Some(mark), other) if mark == other => closing = None,
            (Some(_), _) => {}
        }
    }
    shown
}

/// An error of the server's in words.
pub(super) fn server_words(error: &SqlErrorInfo) -> String {
    format!(
        "{} (SQL Server error {}, state {})",
        without_values(error.number, &error.message),
        error.number,
        error.state
    )
}

/// Of several errors, the one that says why: the first.
pub(super) fn first(error: &Error) -> Option<&SqlErrorInfo> {
    match error {
        Error::SqlServerError { diagnostics } => diagnostics.errors.first(),
        _ => None,
    }
}

/// What happened to a statement.
pub(super) fn failure(error: &Error) -> Failure {
    if let Error::SqlServerError { diagnostics } = error {
        let fatal = diagnostics.errors.iter().find(|e| e.class >= FATAL);
        if let Some(fatal) = fatal {
            return Failure::Lost(server_words(fatal));
        }
        if let Some(first) = diagnostics.errors.first() {
            return Failure::Refused {
                number: first.number,
                words: server_words(first),
            };
        }
    }
    match error {
        Error::TimeoutError(_) | Error::OperationCancelledError(_) => Failure::Slow,
        // Whatever else went wrong, what the connection still holds is unknown.
        other => Failure::Lost(driver_words(other)),
    }
}

/// The driver's own words for what did not come from the server. Those of a
/// conversion may quote a value.
pub(super) fn driver_words(error: &Error) -> String {
    match error {
        Error::Io(e) => e.to_string(),
        Error::ConnectionError(words)
        | Error::ProtocolError(words)
        | Error::ConnectionClosed(words) => words.clone(),
        Error::TlsHandshakeError { source, .. } => causes(source),
        Error::TlsError(source) => causes(source),
        Error::Security(source) => source.to_string(),
        Error::TypeConversionError(_) => "a value could not be converted".to_string(),
        Error::SqlServerError { diagnostics } => diagnostics
            .errors
            .first()
            .map_or_else(|| "the server gave no reason".to_string(), server_words),
        other => other.to_string(),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        source = cause.source();
    }
    words
}

/// What a statement's failure says.
pub(super) fn statement_failed(
    target: &SqlServerTarget,
    what: &str,
    failure: Failure,
) -> StoreError {
    let place = database_place(target);
    let made = |kind, code, why: String, next: &str| {
        StoreError::new(
            kind,
            Message::new(code, format!("Cannot {what} ({place})"), why, next),
        )
    };
    match failure {
        Failure::Unconnected(fault) => fault.error,
        Failure::Lost(words) => {
            patience::lost(&place, what, format!("the connection was lost: {words}"))
        }
        Failure::Slow => made(
            StoreErrorKind::Connection,
            NO_ANSWER,
            "the server gave no answer in time".to_string(),
            "ask your DBA whether the server is up and what blocks it, then start again",
        ),
        Failure::Unreadable => made(
            StoreErrorKind::Statement,
            STATEMENT,
            "the server's answer is not of the kind that was asked for".to_string(),
            "show this message to your DBA: something between here and the server changes \
             answers, or the table's columns have types that a staging table's never have",
        ),
        Failure::Refused { number, words } => made(
            StoreErrorKind::Statement,
            STATEMENT,
            words,
            next_for(number),
        ),
    }
}

fn next_for(number: u32) -> &'static str {
    match number {
        229 | 230 | 262 | 297 | 300 => {
            "ask your DBA to grant SELECT and UPDATE on the table to this logon: \
             GRANT SELECT, UPDATE ON schema.table TO [logon]"
        }
        DEADLOCK | LOCK_TIMEOUT => {
            "another session holds the rows: ask your DBA what blocks them, then start again"
        }
        3906 => {
            "the database is read-only or a replica: name the server that takes writes, without \
             ApplicationIntent=ReadOnly"
        }
        1105 | 9002 => "ask your DBA to make room in the database's files or its log",
        _ => "show this message to your DBA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_message_is_shown_without_a_rows_values() {
        for (number, message, expected) in [
            (
                2627,
                "Violation of UNIQUE KEY constraint 'ux'. Cannot insert duplicate key in object \
                 'dbo.t'. The duplicate key value is (P-4711).",
                "Violation of UNIQUE KEY constraint …. Cannot insert duplicate key in object …. \
                 The duplicate key value is (…).",
            ),
            (
                2628,
                "String or binary data would be truncated in table 't', column 'c'. Truncated \
                 value: 'Zoë O'.",
                "String or binary data would be truncated in table …, column …. Truncated value: ….",
            ),
            (
                245,
                "Conversion failed when converting the nvarchar value 'Zoë' to data type int.",
                "Conversion failed when converting the nvarchar value … to data type int.",
            ),
            (
                33_557_097,
                "invalid input syntax for type integer: \"Zoë\"",
                "invalid input syntax for type integer: …",
            ),
            (
                208,
                "Invalid object name 'dbo.ssd_api_data_staging'.",
                "Invalid object name 'dbo.ssd_api_data_staging'.",
            ),
            (9999, "An unclosed 'mark Zoë", "An unclosed …"),
        ] {
            assert_eq!(without_values(number, message), expected);
        }
        let own = without_values(50_000, "Zoë may not be changed");
        assert!(!own.contains("Zoë"), "{own}");
    }

    #[test]
    fn the_numbers_that_are_shown_whole_stand_in_order() {
        assert!(SHOWN_WHOLE.is_sorted_by(|a, b| a < b));
    }

    fn server_error(number: u32, class: i32) -> Error {
        Error::from_sql_error(SqlErrorInfo {
            message: "words".into(),
            state: 1,
            class,
            number,
            server_name: None,
            proc_name: None,
            line_number: None,
        })
    }

    #[test]
    fn an_error_is_a_refusal_unless_the_connection_ends_with_it() {
        for (error, expected) in [
            (server_error(DEADLOCK, 13), "refused 1205"),
            (server_error(229, 14), "refused 229"),
            (server_error(596, 21), "lost"),
            (
                Error::Io(std::io::ErrorKind::ConnectionReset.into()),
                "lost",
            ),
            (Error::ConnectionClosed("gone".into()), "lost"),
            (Error::ProtocolError("odd".into()), "lost"),
            (
                Error::TimeoutError(mssql_tds::error::TimeoutErrorType::String("slow".into())),
                "slow",
            ),
        ] {
            let seen = match failure(&error) {
                Failure::Refused { number, words } => {
                    assert!(words.contains(&number.to_string()), "{words}");
                    format!("refused {number}")
                }
                Failure::Lost(_) => "lost".to_string(),
                Failure::Slow => "slow".to_string(),
                Failure::Unreadable => "unreadable".to_string(),
                Failure::Unconnected(_) => "unconnected".to_string(),
            };
            assert_eq!(seen, expected, "{error}");
        }
    }
}
