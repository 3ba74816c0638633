//! Writing: outcomes, the run lock, the table itself.

use super::*;

/// The answers to a page, then to `record`, in order; then the last for ever.
async fn recording(first: &'static [Recorded]) -> Double {
    let times = AtomicUsize::new(0);
    Double::start(Door::Open, move |asked| {
        if asked.has("@recorded") {
            let at = times.fetch_add(1, Ordering::SeqCst).min(first.len() - 1);
            return match first[at] {
                Recorded::Cut => Answer::Cut,
                Recorded::Ids(recorded) => ids(recorded),
            };
        }
        usual(asked).unwrap_or_else(a_row)
    })
    .await
}

#[derive(Clone, Copy)]
enum Recorded {
    Cut,
    Ids(&'static [i64]),
}

#[tokio::test]
async fn an_outcome_whose_answer_was_lost_is_sent_again_and_knows_its_own_receipt() {
    let double = recording(&[Recorded::Cut, Recorded::Ids(&[1])]).await;
    let store = store(&double).await;
    store.lock().await.unwrap();
    let page = store.page(a_page(), &Superseded::default()).await.unwrap();
    assert_eq!(store.record(&[accepted(&page[0])]).await.unwrap(), [1]);
    assert_eq!(
        double.heard("UPDATE [dbo].[ssd_api_data_staging_anon]"),
        [2, 3]
    );
    assert_eq!(
        double.heard("UNION SELECT CAST"),
        [3],
        "only what was sent before may have been recorded before"
    );
    assert_eq!(double.heard(RECEIPT), [2, 3]);
    assert_eq!(
        double.heard("sp_getapplock"),
        [2, 3],
        "the run lock is taken again"
    );
    store.record(&[accepted(&page[0])]).await.unwrap();
    assert_eq!(double.heard("sp_getapplock"), [2, 3], "and only once");
    assert_eq!(double.heard("UNION SELECT CAST"), [3]);
}

#[tokio::test]
async fn a_filling_whose_connection_is_cut_says_that_nothing_is_half_written() {
    let double = Double::start(Door::Open, |asked| {
        if asked.has("INSERT INTO [dbo]") {
            return Answer::Cut;
        }
        usual(asked).unwrap_or(Answer::Nothing)
    })
    .await;
    let row = NewRow {
        person_id: "P1".into(),
        legacy_id: None,
        payload: "{}".into(),
        hash: [1; 32],
    };
    let error = store(&double).await.stage(&[row]).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Connection, 303)
    );
    assert!(error.message.why().contains("was lost"), "{error}");
    assert!(
        error.message.next().contains("all of it or nothing"),
        "{error}"
    );
    assert_eq!(double.heard("INSERT INTO [dbo]"), [2], "and never again");
}

#[tokio::test]
async fn a_hundred_outcomes_are_one_statement() {
    let double = Double::start(Door::Open, |asked| {
        if asked.has("@recorded") {
            return ids(&(1..=100).collect::<Vec<_>>());
        }
        usual(asked)
            .unwrap_or_else(|| Answer::Rows((1..=100).map(|id| row(id, text("{}"))).collect()))
    })
    .await;
    let store = store(&double).await;
    let mut request = a_page();
    request.limits.rows = 100;
    let page = store.page(request, &Superseded::default()).await.unwrap();
    let outcomes: Vec<Outcome> = page.iter().map(accepted).collect();
    assert_eq!(store.record(&outcomes).await.unwrap().len(), 100);
    assert_eq!(double.heard("UPDATE [dbo]"), [2]);
}

#[tokio::test]
async fn a_run_lock_that_another_run_took_meanwhile_ends_the_run_after_recording() {
    let double = Double::start(Door::Open, |asked| {
        if asked.has("@recorded") && asked.connection == 2 {
            return Answer::Cut;
        }
        if asked.has("@recorded") {
            return ids(&[1]);
        }
        if asked.has("sp_getapplock") && asked.connection > 2 {
            return ids(&[-1]);
        }
        usual(asked).unwrap_or_else(a_row)
    })
    .await;
    let store = store(&double).await;
    store.lock().await.unwrap();
    let page = store.page(a_page(), &Superseded::default()).await.unwrap();
    let standstill = store.standstill();
    let error = store.record(&[accepted(&page[0])]).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Busy, 501)
    );
    assert!(
        error.message.why().contains("what was sent is recorded"),
        "{error}"
    );
    let waited = standstill.borrow().clone().unwrap();
    assert!(waited.why.contains("run lock"), "{waited:?}");
    assert_eq!(waited.patience, QUICK.lock_again);
    assert_eq!(double.heard("UPDATE [dbo]"), [2, 3]);
}

#[tokio::test]
async fn a_run_lock_that_went_with_the_server_is_taken_again_as_soon_as_that_is_seen() {
    let times = AtomicUsize::new(0);
    let double = Double::start(Door::Open, move |asked| {
        // The server ends both connections; reading is the first to notice.
        if asked.has("SELECT 1") && asked.connection == 2 && !asked.has("FROM") {
            return Answer::Cut;
        }
        if asked.has("SELECT 1") && !asked.has("FROM") {
            return ids(&[1]);
        }
        usual(asked).unwrap_or_else(|| after(&times, &[Answer::Cut], a_row()))
    })
    .await;
    let store = store(&double).await;
    store.lock().await.unwrap();
    store.page(a_page(), &Superseded::default()).await.unwrap();
    assert_eq!(double.connections(), 4);
    assert_eq!(double.heard("sp_getapplock"), [2, 4]);
    store.page(a_page(), &Superseded::default()).await.unwrap();
    assert_eq!(double.heard("sp_getapplock"), [2, 4], "and only then");
}

#[tokio::test]
async fn a_run_lock_whose_connection_stands_is_not_asked_for_again() {
    let times = AtomicUsize::new(0);
    let double = Double::start(Door::Open, move |asked| {
        if asked.has("SELECT 1") && !asked.has("FROM") {
            return ids(&[1]);
        }
        usual(asked).unwrap_or_else(|| after(&times, &[Answer::Cut], a_row()))
    })
    .await;
    let store = store(&double).await;
    store.lock().await.unwrap();
    store.page(a_page(), &Superseded::default()).await.unwrap();
    assert_eq!(double.connections(), 3);
    assert_eq!(double.heard("sp_getapplock"), [2]);
}

#[tokio::test]
async fn a_lock_that_is_taken_names_its_holder_as_far_as_it_may_be_seen() {
    for (seen, expected) in [
        (
            Answer::Rows(vec![vec![
                Cell::Number(Some(4711)),
                text("SRV-REPORTS"),
                text("LA\\svc-ssd"),
                text("2026-11-24 02:00:01"),
            ]]),
            "process 4711 on SRV-REPORTS, logged on as LA\\svc-ssd, connected since 2026-11-24",
        ),
        (
            Answer::Error(300, 14, "VIEW SERVER STATE permission was denied"),
            "another csc-sender process, which the server names only to logons that may VIEW SERVER",
        ),
    ] {
        let double = Double::start(Door::Open, move |asked| {
            if asked.has("sp_getapplock") {
                return ids(&[-1]);
            }
            if asked.has("dm_tran_locks") {
                return seen.clone();
            }
            usual(asked).unwrap()
        })
        .await;
        let error = store(&double).await.lock().await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.code()),
            (StoreErrorKind::Busy, 501)
        );
        assert!(error.message.why().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_lock_that_fails_for_another_reason_is_no_other_run() {
    let double = Double::start(Door::Open, |asked| {
        if asked.has("sp_getapplock") {
            return ids(&[-999]);
        }
        usual(asked).unwrap()
    })
    .await;
    let error = store(&double).await.lock().await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Statement, 326)
    );
}

#[test]
fn a_receipts_time_is_written_so_that_no_language_misreads_it() {
    for (at, expected) in [
        ("2026-11-24T02:00:01", "2026-11-24T02:00:01"),
        ("2026-11-24T02:00:01.25", "2026-11-24T02:00:01.25"),
        (
            "2026-11-24T02:00:01.123456789",
            "2026-11-24T02:00:01.1234567",
        ),
    ] {
        let outcome = Outcome {
            key: HashedAs::Utf16.key(1, None, b""),
            result: RowResult::Accepted {
                receipt: RECEIPT.into(),
                at: at.parse().unwrap(),
            },
        };
        assert_eq!(iso_time(&outcome).as_deref(), Some(expected));
    }
}

#[test]
fn the_printed_script_is_run_batch_by_batch_without_ssmss_word() {
    let script = create_sql(Dialect::SqlServer, &"ssd.t_anon".parse().unwrap());
    assert!(script.contains("\nGO\n"));
    let batches = batches(&script);
    assert_eq!(batches.len(), 2, "{batches:?}");
    assert!(batches[0].contains("CREATE TABLE [ssd].[t_anon]"));
    assert!(batches[1].contains("CREATE INDEX"));
    assert!(batches.iter().all(|batch| !batch.contains("GO\n")));
}
