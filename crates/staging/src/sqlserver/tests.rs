//! Faults, against a double of the server.

mod double;
mod reading;
mod writing;

use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use super::hashed::HashedAs;
use super::*;
use crate::connection::{ConnectionTarget, parse};
use crate::{PageLimits, RowResult};
use double::{Answer, Asked, Cell, Door, Double, text};

const QUICK: Patience = Patience {
    statement: Duration::from_secs(30),
    blocked: &[Duration::from_millis(1), Duration::from_millis(1)],
    lost: &[Duration::from_millis(1); 4],
    lock_again: Duration::from_millis(10),
};

const RECEIPT: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

/// What a healthy server says of a healthy table. `None` where it is asked for rows, or
/// to write some.
fn usual(asked: &Asked) -> Option<Answer> {
    if asked.has("SET ANSI_NULLS") {
        return Some(Answer::Nothing);
    }
    if asked.has("sys.tables") {
        let names = vec![
            Cell::Number(Some(7)),
            text("dbo"),
            text("ssd_api_data_staging_anon"),
            text("dbo"),
        ];
        return Some(Answer::Rows(vec![names]));
    }
    if asked.has("INFORMATION_SCHEMA") {
        let column = |name: &str, kind: &str, length: Option<i64>| {
            vec![text(name), text(kind), Cell::Number(length)]
        };
        return Some(Answer::Rows(vec![
            column("id", "int", None),
            column("person_id", "nvarchar", Some(48)),
            column("json_payload", "nvarchar", Some(-1)),
            column("previous_json_payload", "nvarchar", Some(-1)),
            column("submission_status", "nvarchar", Some(50)),
            column("submission_timestamp", "datetime", None),
            column("api_response", "nvarchar", Some(500)),
            column("row_state", "nvarchar", Some(10)),
        ]));
    }
    if asked.has("sys.indexes") {
        return Some(Answer::Rows(Vec::new()));
    }
    if asked.has("SELECT HASHBYTES") {
        let known: Vec<u8> = HashedAs::known_text()
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let hash = Cell::Bytes(Sha256::digest(known).to_vec());
        return Some(Answer::Rows(vec![vec![hash]]));
    }
    if asked.has("sp_getapplock") {
        return Some(Answer::Rows(vec![vec![Cell::Number(Some(0))]]));
    }
    None
}

fn row(id: i64, payload: Cell) -> Vec<Cell> {
    vec![
        Cell::Number(Some(id)),
        text("P1"),
        text("New"),
        payload,
        Cell::Text(None),
        Cell::Text(None),
    ]
}

fn a_row() -> Answer {
    Answer::Rows(vec![row(1, text("{\"la_child_id\": \"C1\"}"))])
}

fn ids(ids: &[i64]) -> Answer {
    Answer::Rows(ids.iter().map(|id| vec![Cell::Number(Some(*id))]).collect())
}

fn target(double: &Double, more: &str) -> SqlServerTarget {
    let string = format!(
        "Driver={{ODBC Driver 17 for SQL Server}};Server=127.0.0.1,{};Database=HDM_Local;UID=csc;\
         PWD=hunter2;Connection Timeout=30;{more}",
        double.address.port()
    );
    match parse(&string).unwrap().target {
        ConnectionTarget::SqlServer(target) => target,
        other => panic!("{other}"),
    }
}

async fn store_on(target: &SqlServerTarget) -> Result<SqlServerStore, StoreError> {
    patient_store_on(target, QUICK).await
}

async fn patient_store_on(
    target: &SqlServerTarget,
    patience: Patience,
) -> Result<SqlServerStore, StoreError> {
    let table = "ssd_api_data_staging_anon".parse().unwrap();
    SqlServerStore::connect_with(target, &table, patience).await
}

async fn store(double: &Double) -> SqlServerStore {
    store_on(&target(double, "")).await.unwrap()
}

async fn refused(double: &Double, more: &str) -> StoreError {
    let error = store_on(&target(double, more)).await.err().unwrap();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    error
}

fn a_page() -> PageRequest {
    PageRequest {
        selection: Selection::Records,
        after: i64::MIN,
        limits: PageLimits {
            rows: 10,
            bytes: 1 << 20,
        },
        with_previous: false,
    }
}

fn accepted(row: &StagedRow) -> Outcome {
    Outcome {
        key: row.key.clone(),
        result: RowResult::Accepted {
            receipt: RECEIPT.into(),
            at: "2026-11-24T02:00:01.25".parse().unwrap(),
        },
    }
}

/// The n-th time that the double is asked for it, it does something else.
fn after(counter: &AtomicUsize, first: &[Answer], then: Answer) -> Answer {
    let at = counter.fetch_add(1, Ordering::SeqCst);
    first.get(at).cloned().unwrap_or(then)
}

#[tokio::test]
async fn a_logon_that_is_refused_names_database_and_logon() {
    let door = Door::Refused(18456, "Login failed for user 'csc'.");
    let double = Double::start(door, |_| Answer::Nothing).await;
    let error = refused(&double, "").await;
    assert_eq!(error.kind, StoreErrorKind::Connection);
    assert_eq!(error.message.code(), 321);
    for words in ["HDM_Local", "SQL logon csc", "18456", "DB_PASSWORD"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(
        double.connections(),
        1,
        "a wrong password is not tried twice"
    );
}

/// On Windows the account that runs the tests may well have a logon to offer.
#[cfg(not(windows))]
#[tokio::test]
async fn a_windows_logon_without_a_ticket_names_the_services_name_that_was_tried() {
    let double = Double::start(Door::Open, |asked| usual(asked).unwrap()).await;
    let port = double.address.port();
    let string = format!(
        "Driver={{SQL Server}};Server=127.0.0.1,{port};Database=HDM_Local;Trusted_Connection=yes;"
    );
    let ConnectionTarget::SqlServer(target) = parse(&string).unwrap().target else {
        panic!("{string}");
    };
    let error = store_on(&target).await.err().unwrap();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Connection, 323)
    );
    let spn = format!("MSSQLSvc/127.0.0.1:{port}");
    assert!(error.message.why().contains(&spn), "{error}");
    assert!(error.message.next().contains("kinit"), "{error}");
}

#[tokio::test]
async fn a_server_without_encryption_is_refused_where_it_is_asked_for() {
    let double = Double::start(Door::Open, |asked| usual(asked).unwrap()).await;
    for more in ["Encrypt=yes", "Encrypt=yes;TrustServerCertificate=yes"] {
        let error = refused(&double, more).await;
        assert_eq!(error.kind, StoreErrorKind::Connection);
        assert_eq!(error.message.code(), 322, "{error}");
        assert!(error.message.why().contains("Encrypt=mandatory"), "{error}");
    }
    assert!(
        double.heard("SET ANSI_NULLS").is_empty(),
        "nobody logged on"
    );
    assert!(store_on(&target(&double, "Encrypt=no")).await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_not_there_or_silent_is_told_in_words() {
    let gone = Double::start(Door::Open, |_| Answer::Nothing).await;
    let nobody = target(&gone, "");
    gone.stop().await;
    let error = store_on(&nobody).await.err().unwrap();
    assert_eq!(error.message.code(), 308, "{error}");
    assert!(error.message.next().contains("TCP port"), "{error}");
    let silent = Double::start(Door::Silent, |_| Answer::Nothing).await;
    let hurried = SqlServerTarget {
        connect_timeout: Some(Duration::from_secs(1)),
        ..target(&silent, "")
    };
    let error = store_on(&hurried).await.err().unwrap();
    assert_eq!(error.message.code(), 308, "{error}");
    assert!(
        error.message.why().contains("no answer within 1 s"),
        "{error}"
    );
}
