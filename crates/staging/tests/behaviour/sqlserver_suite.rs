//! The behaviours that only SQL Server has.

use csc_message::Verdict;
use csc_staging::{
    Created, Dialect, Outcome, RowResult, Selection, StoreErrorKind, Superseded, create_sql,
};

use crate::place::{Place, payload};
use crate::suite::{accepted, read, refused};

pub async fn a_change_under_way_wins(place: &Place) {
    let id = place.child(1).await;
    let rows = read(&*place.store).await;
    place
        .execute(&format!(
            "BEGIN TRANSACTION; UPDATE {} SET json_payload = '{}' WHERE id = {id}",
            place.t(),
            payload(2)
        ))
        .await;
    // The row is locked before the outcome is sent, and let go while it waits, or after.
    let outcomes = [accepted(&rows[0])];
    let (recorded, ()) = tokio::join!(
        place.store.record(&outcomes),
        place.execute("COMMIT TRANSACTION")
    );
    assert_eq!(recorded.unwrap(), Vec::<i64>::new());
    assert_eq!(
        place.text("submission_status", id).await.as_deref(),
        Some("Pending")
    );
    assert_eq!(place.text("previous_json_payload", id).await, None);
}

/// NVARCHAR(500) counts the two halves of a pair.
pub async fn a_response_is_never_cut_inside_a_pair(place: &Place) {
    let id = place.child(2).await;
    let rows = read(&*place.store).await;
    let row = rows.iter().find(|row| row.key.id() == id).unwrap();
    let reason = format!("x{}", "😀".repeat(400));
    place.store.record(&[refused(row, &reason)]).await.unwrap();
    assert_eq!(
        place.text("api_response", id).await.unwrap(),
        format!("x{}", "😀".repeat(249))
    );
}

pub async fn receipts_times_are_kept(place: &Place) {
    for (n, hundredths) in [0, 1, 5, 33, 37, 99].into_iter().enumerate() {
        let id = place.child(u32::try_from(n).unwrap()).await;
        let rows = read(&*place.store).await;
        let outcome = Outcome {
            key: rows[0].key.clone(),
            result: RowResult::Accepted {
                receipt: "6f9619ff-8b86-d011-b42d-00c04fc964ff".into(),
                at: format!("2026-03-29T01:30:59.{hundredths:02}")
                    .parse()
                    .unwrap(),
            },
        };
        assert_eq!(place.store.record(&[outcome]).await.unwrap(), vec![id]);
        let kept = place.text("submission_timestamp", id).await.unwrap();
        let expected = format!("2026-03-29 01:30:59.{hundredths:02}");
        assert_eq!(kept, expected.trim_end_matches('0'));
    }
}

pub async fn the_script_runs_twice(place: &Place) {
    let table = place.beside("ssd_api_data_staging");
    let script = create_sql(Dialect::SqlServer, &table);
    place.execute(&script).await;
    place
        .execute(&format!(
            "INSERT INTO {table} (json_payload) VALUES ('{{}}')"
        ))
        .await;
    place.execute(&script).await;
    let options = script.replace("\n-- ", "\n");
    let (_, options) = options.split_once("sqlcmd begin without:\n").unwrap();
    for _ in 0..2 {
        place.execute(options).await;
    }
    let store = place.store_on(table).await;
    assert!(store.shape().await.unwrap().unique_person());
    assert_eq!(store.create().await.unwrap(), Created::AlreadyThere);
    assert_eq!(
        store
            .count(Selection::Records, &Superseded::default())
            .await
            .unwrap(),
        1
    );
}

/// A logon without any right does not see the table either: what it is told makes none where
/// there is one, and lets it in.
pub async fn what_check_says_to_a_logon_without_rights_lets_it_in(place: &Place) {
    let logon = format!("csc_shut_out_{}", std::process::id());
    let made = format!(
        "CREATE LOGIN {logon} WITH PASSWORD = 'Csc-Test-1'\nGO\nCREATE USER {logon} FOR LOGIN {logon}"
    );
    place.execute(&made).await;
    let store = place.store_as(&logon, "Csc-Test-1").await.unwrap();
    let mend = async || {
        let probes = store.examine().await.unwrap();
        let mut failed = probes.into_iter().filter(|p| p.verdict == Verdict::Fail);
        failed.next().and_then(|probe| probe.statement)
    };
    let statement = mend().await.unwrap();
    place.execute(&statement).await;
    assert_eq!(mend().await, None);
    place.child(1).await;
    assert_eq!(read(&*store).await.len(), 1);
    drop(store);
    place
        .execute(&format!(
            "REVOKE SELECT, UPDATE ON {} FROM {logon}",
            place.t()
        ))
        .await;
    place.drop_logon(&logon).await;
}

pub async fn select_and_update_suffice(place: &Place) {
    let id = place.child(1).await;
    let logon = format!("csc_logon_{}", std::process::id());
    place
        .execute(&format!(
            "CREATE LOGIN {logon} WITH PASSWORD = 'Csc-Test-1'
GO
CREATE USER {logon} FOR LOGIN {logon}
GO
GRANT SELECT, UPDATE ON {} TO {logon}",
            place.t()
        ))
        .await;
    let store = place.store_as(&logon, "Csc-Test-1").await.unwrap();
    store.lock().await.unwrap();
    assert_eq!(
        store
            .count(Selection::Records, &Superseded::default())
            .await
            .unwrap(),
        1
    );
    let rows = read(&*store).await;
    let partials = [(rows[0].key.clone(), Some(payload(1)))];
    assert_eq!(store.write_partials(&partials).await.unwrap(), vec![id]);
    assert_eq!(store.record(&[accepted(&rows[0])]).await.unwrap(), vec![id]);
    store.summary().await.unwrap();
    place
        .execute(&format!("REVOKE UPDATE ON {} FROM {logon}", place.t()))
        .await;
    let error = store.record(&[refused(&rows[0], "no")]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Statement, "{error}");
    assert_eq!(error.message.code(), 303);
    drop(store);
    place
        .execute(&format!("REVOKE SELECT ON {} FROM {logon}", place.t()))
        .await;
    place.drop_logon(&logon).await;
}

pub async fn logon_and_certificate_are_checked(place: &Place) {
    let error = place.store_as("csc_nobody", "wrong").await.err().unwrap();
    assert_eq!(error.kind, StoreErrorKind::Connection);
    assert_eq!(error.message.code(), 321, "{error}");
    assert!(error.message.what().contains("csc_nobody"), "{error}");
    // The tests' server has a certificate that nobody vouches for.
    for (more, code) in [
        ("Encrypt=yes", Some(322)),
        ("Encrypt=yes;TrustServerCertificate=yes", None),
        ("Encrypt=no", None),
    ] {
        let seen = place.connected_with(more).await.err();
        assert_eq!(seen.map(|error| error.message.code()), code, "{more}");
    }
}
