//! The behaviours.

use csc_message::{Probe, Verdict};
use csc_staging::{
    Created, NewRow, Outcome, PageLimits, PageRequest, RowResult, Selection, StagedRow,
    StagingStore, StoreErrorKind, Superseded, TableName,
};

pub use crate::anon::*;
use crate::place::{Place, payload};

const ALL: PageLimits = PageLimits {
    rows: 1000,
    bytes: 64 * 1024 * 1024,
};

fn records(after: i64, limits: PageLimits) -> PageRequest {
    PageRequest {
        selection: Selection::Records,
        after,
        limits,
        with_previous: false,
    }
}

async fn read_deletions(place: &Place) -> Vec<StagedRow> {
    let request = PageRequest {
        selection: Selection::Deletions,
        with_previous: true,
        ..records(i64::MIN, ALL)
    };
    let rows = page(&*place.store, request).await;
    let count = count(&*place.store, Selection::Deletions).await;
    assert_eq!(count, rows.len() as u64, "the count agrees");
    rows
}

async fn page(store: &dyn StagingStore, request: PageRequest) -> Vec<StagedRow> {
    let superseded = store.superseded().await.unwrap();
    store.page(request, &superseded).await.unwrap()
}

async fn count(store: &dyn StagingStore, selection: Selection) -> u64 {
    let superseded = store.superseded().await.unwrap();
    store.count(selection, &superseded).await.unwrap()
}

async fn present(place: &Place) -> (bool, bool) {
    let present = place.store.present().await.unwrap();
    if let Some(counted) = present.records_counted {
        let all = Superseded::default();
        let counted_alone = place.store.count(Selection::Records, &all).await.unwrap();
        assert_eq!(counted, counted_alone);
    }
    (present.records, present.deletions)
}

pub async fn what_is_prepared_for_recording_changes_nothing(place: &Place) {
    place.insert(Some("A"), &payload(1), "pending", "new").await;
    place.store.expect_to_record(100).await.unwrap();
    place.store.expect_to_record(1).await.unwrap();
    assert_eq!(present(place).await, (true, false), "still pending");
    let rows = page(&*place.store, records(i64::MIN, ALL)).await;
    let recorded = place.store.record(&[accepted(&rows[0])]).await.unwrap();
    assert_eq!(recorded, [rows[0].key.id()]);
}

pub async fn what_is_present_is_told_without_the_table(place: &Place) {
    assert_eq!(present(place).await, (false, false));
    for (n, (status, state)) in [("sent", "unchanged"), ("Sent", "New"), ("", "")]
        .iter()
        .enumerate()
    {
        place
            .insert(Some(&format!("S{n}")), &payload(1), status, state)
            .await;
    }
    place.execute(&format!("INSERT INTO {} (person_id, json_payload, submission_status, row_state) VALUES ('N', '{{}}', NULL, NULL)", place.t())).await;
    assert_eq!(present(place).await, (false, false));
    place
        .insert(Some("D"), &payload(1), "sent", "DELETED")
        .await;
    assert_eq!(present(place).await, (false, true));
    place
        .insert(Some("P"), &payload(1), " Testing ", "Updated")
        .await;
    assert_eq!(present(place).await, (true, true));
    place
        .execute(&format!(
            "UPDATE {} SET submission_status = NULL WHERE person_id = 'D'",
            place.t()
        ))
        .await;
    assert_eq!(present(place).await, (true, true));
}

pub async fn read(store: &dyn StagingStore) -> Vec<StagedRow> {
    page(store, records(i64::MIN, ALL)).await
}

/// The ids of all pages.
async fn read_ids(place: &Place) -> Vec<i64> {
    let superseded = place.store.superseded().await.unwrap();
    let (mut request, mut ids) = (records(i64::MIN, ALL), Vec::new());
    loop {
        let page = place.store.page(request, &superseded).await.unwrap();
        let Some(last) = page.last() else { break };
        request.after = last.key.id();
        ids.extend(page.iter().map(|row| row.key.id()));
    }
    assert_eq!(
        count(&*place.store, Selection::Records).await,
        ids.len() as u64,
        "the count agrees"
    );
    ids
}

pub fn accepted(row: &StagedRow) -> Outcome {
    Outcome {
        key: row.key.clone(),
        result: RowResult::Accepted {
            receipt: "6f9619ff-8b86-d011-b42d-00c04fc964ff".into(),
            at: "2026-11-24T02:00:01.25".parse().unwrap(),
        },
    }
}

pub fn refused(row: &StagedRow, reason: &str) -> Outcome {
    Outcome {
        key: row.key.clone(),
        result: RowResult::Refused {
            reason: reason.into(),
        },
    }
}

/// Every column but the named ones, to see that nothing else moved.
async fn snapshot(place: &Place, id: i64, without: &[&str]) -> Vec<Option<String>> {
    let mut values = Vec::new();
    for column in [
        "person_id",
        "previous_json_payload",
        "json_payload",
        "partial_json_payload",
        "current_hash",
        "previous_hash",
        "submission_status",
        "submission_timestamp",
        "api_response",
        "row_state",
        "last_updated",
    ] {
        if !without.contains(&column) {
            values.push(place.text(column, id).await);
        }
    }
    values
}

pub async fn eligible_rows_are_read_in_order_of_id_whatever_the_case_of_their_words(place: &Place) {
    let mut expected = Vec::new();
    for (n, status) in [
        "Pending",
        "pending",
        "PENDING",
        "Error",
        "error",
        "Testing",
        " testing ",
    ]
    .into_iter()
    .enumerate()
    {
        let n = u32::try_from(n).unwrap();
        let state = ["New", "updated", "UNCHANGED"][(n % 3) as usize];
        expected.push(
            place
                .insert(Some(&format!("P{n}")), &payload(n), status, state)
                .await,
        );
    }
    assert_eq!(read_ids(place).await, expected);
    let rows = read(&*place.store).await;
    assert_eq!(rows[0].payload.as_deref(), Some(payload(0).as_str()));
    assert_eq!(rows[0].person_id.as_deref(), Some("P0"));
}

pub async fn rows_that_are_sent_deleted_or_blank_are_not_read(place: &Place) {
    place
        .insert(Some("A"), &payload(1), "Sent", "Unchanged")
        .await;
    place
        .insert(Some("B"), &payload(2), "Pending", "Deleted")
        .await;
    place
        .insert(Some("C"), &payload(3), "error", "DELETED")
        .await;
    place.insert(Some("D"), &payload(4), "queued", "New").await;
    if !place.is_jsonb() {
        place.insert(Some("E"), " \r\n\t", "Pending", "New").await;
        place.insert(Some("F"), "", "Pending", "New").await;
    }
    assert_eq!(read_ids(place).await, Vec::<i64>::new());
    let id = place.insert(Some("G"), &payload(5), "Pending", "New").await;
    place
        .execute(&format!(
            "UPDATE {} SET row_state = NULL WHERE id = {id}",
            place.t()
        ))
        .await;
    assert_eq!(
        read_ids(place).await,
        vec![id],
        "a state that is absent is not deleted"
    );
    if !place.is_jsonb() {
        // It may be counted: payloads are not read for that.
        let long = " \n".repeat(400);
        place.insert(Some("H"), &long, "Pending", "New").await;
        let rows = read(&*place.store).await;
        let ids: Vec<i64> = rows.iter().map(|row| row.key.id()).collect();
        assert_eq!(ids, vec![id], "long and blank");
    }
}

pub async fn only_the_newest_row_of_a_child_is_read(place: &Place) {
    if place.made.unique_person {
        place.child(1).await;
        assert!(place.store.shape().await.unwrap().unique_person());
        return;
    }
    place.insert(Some("A"), &payload(1), "error", "New").await;
    let newest_a = place
        .insert(Some("A"), &payload(2), "Pending", "Updated")
        .await;
    place.insert(Some("B"), &payload(3), "error", "New").await;
    place
        .insert(Some("B"), &payload(4), "Sent", "Unchanged")
        .await;
    place.insert(Some("C"), &payload(5), "Pending", "New").await;
    place
        .insert(Some("C"), &payload(6), "Pending", "Deleted")
        .await;
    let only_d = place.insert(Some("D"), &payload(7), "Pending", "New").await;
    assert_eq!(read_ids(place).await, vec![newest_a, only_d]);
    let after = page(&*place.store, records(newest_a, ALL)).await;
    assert_eq!(
        after.len(),
        1,
        "a later page judges the newest row in the same way"
    );
    assert!(!place.store.shape().await.unwrap().unique_person());
}

/// More rows than one statement is told to skip, so that a stretch without any row to read
/// comes before those with some.
pub async fn a_long_history_is_passed_over(place: &Place) {
    if place.made.unique_person {
        return;
    }
    let history: Vec<NewRow> = (0..2300)
        .map(|n| NewRow {
            person_id: if n % 1150 == 700 { "B" } else { "A" }.to_string(),
            legacy_id: None,
            payload: payload(n),
            hash: [1; 32],
        })
        .collect();
    place.store.stage(&history).await.unwrap();
    let newest_b = read_ids(place).await[0];
    let superseded = place.store.superseded().await.unwrap();
    assert_eq!(superseded.len(), 2298);
    assert!(!superseded.contains(newest_b));
    let mut request = records(i64::MIN, ALL);
    let mut read = Vec::new();
    while let [row, ..] = &place.store.page(request, &superseded).await.unwrap()[..] {
        read.push(row.person_id.clone().unwrap());
        request.after = row.key.id();
        if read.len() == 1 {
            // Staged since the look at the whole table: the newest of all comes last.
            place.insert(Some("A"), &payload(1), "Pending", "New").await;
        }
    }
    assert_eq!(read, ["B", "A", "A"]);
}

pub async fn every_row_without_a_person_is_read(place: &Place) {
    let mut expected = vec![
        place.insert(None, &payload(1), "Pending", "New").await,
        place.insert(None, &payload(2), "Pending", "New").await,
        place.insert(Some(" "), &payload(3), "Pending", "New").await,
    ];
    if !place.made.unique_person {
        expected.push(place.insert(Some(" "), &payload(4), "Pending", "New").await);
    }
    assert_eq!(read_ids(place).await, expected);
}

pub async fn pages_end_at_their_bounds_and_miss_nothing(place: &Place) {
    let mut expected = Vec::new();
    for n in 0..25 {
        expected.push(place.child(n).await);
    }
    let one = payload(10).len() as u64;
    for limits in [
        PageLimits {
            rows: 4,
            bytes: 1 << 20,
        },
        PageLimits {
            rows: 1000,
            bytes: one * 3,
        },
        PageLimits { rows: 1, bytes: 1 },
        PageLimits {
            rows: 25,
            bytes: 1 << 20,
        },
    ] {
        let (mut after, mut ids) = (i64::MIN, Vec::new());
        loop {
            let page = page(&*place.store, records(after, limits)).await;
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limits.rows as usize, "{limits:?}");
            let bytes: u64 = page
                .iter()
                .map(|r| r.payload.as_ref().unwrap().len() as u64)
                .sum();
            let last_bytes = last.payload.as_ref().unwrap().len() as u64;
            assert!(bytes - last_bytes < limits.bytes, "{limits:?}");
            after = last.key.id();
            ids.extend(page.iter().map(|row| row.key.id()));
        }
        assert_eq!(ids, expected, "{limits:?}");
    }
}

pub async fn a_page_always_holds_a_row_however_large(place: &Place) {
    let large = format!(
        "{{\"la_child_id\": \"C1\", \"x\": \"{}\"}}",
        "é".repeat(2_000_000)
    );
    let id = place.insert(Some("A"), &large, "Pending", "New").await;
    place.child(2).await;
    let limits = PageLimits {
        rows: 10,
        bytes: 1000,
    };
    let page = page(&*place.store, records(i64::MIN, limits)).await;
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].key.id(), id);
    let read = page[0].payload.as_deref().unwrap();
    assert!(read == large || (place.is_jsonb() && read.len() == large.len()));
    assert_eq!(
        place.store.record(&[accepted(&page[0])]).await.unwrap(),
        vec![id]
    );
}

pub async fn text_is_carried_byte_for_byte(place: &Place) {
    let tricky = "{\"la_child_id\": \"C1\", \"x\": \"O'Brien \\\"\\\\ \\t Zoë 日本 😀\", \
                  \"n\": 9223372036854775807, \"d\": 1.10}";
    let id = place
        .insert(Some("O'Brien é 😀"), tricky, "Pending", "New")
        .await;
    let rows = read(&*place.store).await;
    let stored = place.text("json_payload", id).await;
    assert_eq!(rows[0].payload, stored);
    assert_eq!(rows[0].person_id.as_deref(), Some("O'Brien é 😀"));
    assert!(stored.unwrap().contains("9223372036854775807"));
    place.store.record(&[accepted(&rows[0])]).await.unwrap();
    assert_eq!(
        place.text("previous_json_payload", id).await,
        rows[0].payload
    );
}

pub async fn an_accepted_row_is_recorded_in_all_its_columns(place: &Place) {
    let id = place.child(1).await;
    let other = place.child(2).await;
    let untouched = snapshot(place, other, &[]).await;
    let kept = [
        "person_id",
        "json_payload",
        "partial_json_payload",
        "current_hash",
        "last_updated",
    ];
    let all_but_kept = [
        "previous_json_payload",
        "previous_hash",
        "submission_status",
        "submission_timestamp",
        "api_response",
        "row_state",
    ];
    let before = snapshot(place, id, &all_but_kept).await;
    assert_eq!(before.len(), kept.len());
    let rows = read(&*place.store).await;
    assert_eq!(
        place.store.record(&[accepted(&rows[0])]).await.unwrap(),
        vec![id]
    );
    assert_eq!(
        place.text("submission_status", id).await.as_deref(),
        Some("sent")
    );
    assert_eq!(
        place.text("row_state", id).await.as_deref(),
        Some("unchanged")
    );
    assert_eq!(
        place.text("api_response", id).await.as_deref(),
        Some("6f9619ff-8b86-d011-b42d-00c04fc964ff")
    );
    assert_eq!(
        place.text("previous_json_payload", id).await,
        rows[0].payload
    );
    assert_eq!(
        place.text("previous_hash", id).await,
        place.text("current_hash", id).await
    );
    let at = if place.made.sql.contains("submission_timestamp TIMESTAMPTZ")
        || (place.made.sql.is_empty() && place.is_postgres())
    {
        place
            .text("submission_timestamp AT TIME ZONE 'UTC'", id)
            .await
    } else {
        place.text("submission_timestamp", id).await
    };
    assert_eq!(at.as_deref(), Some("2026-11-24 02:00:01.25"));
    assert_eq!(snapshot(place, id, &all_but_kept).await, before);
    assert_eq!(snapshot(place, other, &[]).await, untouched);
    assert_eq!(read_ids(place).await, vec![other]);
}

pub async fn a_refused_row_keeps_everything_but_status_and_response(place: &Place) {
    let id = place
        .insert(Some("A"), &payload(1), "Pending", "Updated")
        .await;
    let written = ["submission_status", "api_response"];
    let before = snapshot(place, id, &written).await;
    let rows = read(&*place.store).await;
    let reason = "status 400: [0].child_details.sex 'x' é";
    assert_eq!(
        place
            .store
            .record(&[refused(&rows[0], reason)])
            .await
            .unwrap(),
        vec![id]
    );
    assert_eq!(
        place.text("submission_status", id).await.as_deref(),
        Some("error")
    );
    assert_eq!(
        place.text("api_response", id).await.as_deref(),
        Some(reason)
    );
    assert_eq!(snapshot(place, id, &written).await, before);
    assert_eq!(read_ids(place).await, vec![id], "it stays eligible");
}

pub async fn a_tested_row_keeps_everything_but_status_and_response(place: &Place) {
    let id = place
        .insert(Some("A"), &payload(1), "Pending", "Updated")
        .await;
    let written = ["submission_status", "api_response"];
    let before = snapshot(place, id, &written).await;
    let rows = read(&*place.store).await;
    let tested = Outcome {
        key: rows[0].key.clone(),
        result: RowResult::Tested {
            receipt: "simulated 1".into(),
        },
    };
    assert_eq!(place.store.record(&[tested]).await.unwrap(), vec![id]);
    assert_eq!(
        place.text("submission_status", id).await.as_deref(),
        Some("testing")
    );
    assert_eq!(
        place.text("api_response", id).await.as_deref(),
        Some("simulated 1")
    );
    assert_eq!(snapshot(place, id, &written).await, before);
    assert_eq!(read_ids(place).await, vec![id], "it stays eligible");
}

pub async fn a_row_whose_payload_changed_meanwhile_is_left_alone(place: &Place) {
    let (changed, same) = (place.child(1).await, place.child(2).await);
    let rows = read(&*place.store).await;
    place
        .execute(&format!(
            "UPDATE {} SET json_payload = '{}', submission_status = 'Pending', row_state = 'New' WHERE id = {changed}",
            place.t(),
            payload(7)
        ))
        .await;
    let before = snapshot(place, changed, &[]).await;
    let outcomes = [accepted(&rows[0]), accepted(&rows[1])];
    assert_eq!(place.store.record(&outcomes).await.unwrap(), vec![same]);
    assert_eq!(
        place
            .store
            .record(&[refused(&rows[0], "late")])
            .await
            .unwrap(),
        Vec::<i64>::new()
    );
    assert_eq!(snapshot(place, changed, &[]).await, before);
    assert_eq!(read_ids(place).await, vec![changed]);
}

pub async fn a_row_whose_state_changed_meanwhile_is_left_alone(place: &Place) {
    let deleted = place.child(1).await;
    let recased = place.child(2).await;
    let rows = read(&*place.store).await;
    for (id, state) in [(deleted, "'deleted'"), (recased, "'NEW'")] {
        place
            .execute(&format!(
                "UPDATE {} SET row_state = {state} WHERE id = {id}",
                place.t()
            ))
            .await;
    }
    let outcomes = [accepted(&rows[0]), accepted(&rows[1])];
    assert_eq!(
        place.store.record(&outcomes).await.unwrap(),
        Vec::<i64>::new()
    );
    assert_eq!(
        place.text("submission_status", deleted).await.as_deref(),
        Some("Pending")
    );
    assert_eq!(
        place.text("row_state", deleted).await.as_deref(),
        Some("deleted")
    );
}

pub async fn a_row_that_was_only_touched_is_still_recorded(place: &Place) {
    let id = place.child(1).await;
    let rows = read(&*place.store).await;
    place
        .execute(&format!(
            "UPDATE {} SET last_updated = '2020-01-01 00:00:00', current_hash = {} WHERE id = {id}",
            place.t(),
            place.blob(0x62)
        ))
        .await;
    assert_eq!(
        place.store.record(&[accepted(&rows[0])]).await.unwrap(),
        vec![id]
    );
    assert_eq!(
        place.text("submission_status", id).await.as_deref(),
        Some("sent")
    );
}

pub async fn a_row_that_is_gone_or_became_another_childs_is_left_alone(place: &Place) {
    let (gone, reused) = (place.child(1).await, place.child(2).await);
    let rows = read(&*place.store).await;
    place.execute(&format!("DELETE FROM {}", place.t())).await;
    place.insert_as(reused, "Q", &payload(99)).await;
    let outcomes = [accepted(&rows[0]), accepted(&rows[1])];
    assert_eq!(
        place.store.record(&outcomes).await.unwrap(),
        Vec::<i64>::new()
    );
    assert_eq!(
        place.text("submission_status", reused).await.as_deref(),
        Some("Pending")
    );
    assert_ne!(gone, reused);
}

pub async fn a_hundred_outcomes_of_all_kinds_are_one_call(place: &Place) {
    for n in 0..100 {
        place.child(n).await;
    }
    let rows = read(&*place.store).await;
    let outcomes: Vec<Outcome> = rows
        .iter()
        .enumerate()
        .map(|(n, row)| match n % 3 {
            0 => accepted(row),
            1 => refused(row, &format!("reason {n}")),
            _ => Outcome {
                key: row.key.clone(),
                result: RowResult::Tested {
                    receipt: format!("simulated {n}"),
                },
            },
        })
        .collect();
    let mut recorded = place.store.record(&outcomes).await.unwrap();
    recorded.sort_unstable();
    assert_eq!(
        recorded,
        rows.iter().map(|row| row.key.id()).collect::<Vec<_>>()
    );
    assert_eq!(
        place
            .text("api_response", rows[1].key.id())
            .await
            .as_deref(),
        Some("reason 1")
    );
    assert_eq!(
        place
            .text("api_response", rows[2].key.id())
            .await
            .as_deref(),
        Some("simulated 2")
    );
    assert_eq!(read_ids(place).await.len(), 66);
    assert_eq!(place.store.record(&[]).await.unwrap(), Vec::<i64>::new());
}

pub async fn columns_that_we_do_not_know_survive(place: &Place) {
    let id = place.child(1).await;
    if !place.has_note() {
        place.add_note().await;
    }
    place
        .execute(&format!(
            "UPDATE {} SET local_note = 'ours' WHERE id = {id}",
            place.t()
        ))
        .await;
    let store = place.another_store().await;
    assert!(store.shape().await.unwrap().column("LOCAL_NOTE").is_some());
    assert_eq!(
        store.shape().await.unwrap().column("legacy_id").is_some(),
        place.made.has_legacy_id
    );
    let rows = read(&*store).await;
    store.record(&[accepted(&rows[0])]).await.unwrap();
    assert_eq!(place.text("local_note", id).await.as_deref(), Some("ours"));
}

pub async fn a_second_run_is_kept_out_until_the_first_has_ended(place: &Place) {
    let (first, second) = (place.another_store().await, place.another_store().await);
    first.lock().await.unwrap();
    let busy = second.lock().await.unwrap_err();
    assert_eq!(busy.kind, StoreErrorKind::Busy);
    assert_eq!(busy.message.code(), 501);
    assert!(busy.message.why().contains("process"), "{}", busy.message);
    drop(first);
    // The server frees a session's locks when it notices that the session is gone.
    let mut tries = 0;
    while second.lock().await.is_err() {
        tries += 1;
        assert!(tries < 1000, "the lock outlived its store");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

pub async fn creating_leaves_a_table_that_exists_alone(place: &Place) {
    let id = place.child(1).await;
    let before = place.store.shape().await.unwrap().columns().to_vec();
    assert_eq!(place.store.create().await.unwrap(), Created::AlreadyThere);
    let store = place.another_store().await;
    assert_eq!(store.shape().await.unwrap().columns(), before);
    assert_eq!(read_ids(place).await, vec![id]);
    let new = place.store_on(place.beside("ssd_api_data_staging")).await;
    assert_eq!(new.create().await.unwrap(), Created::Now);
    assert_eq!(new.create().await.unwrap(), Created::AlreadyThere);
    assert_eq!(count(&*new, Selection::Records).await, 0);
}

pub async fn the_summary_counts_what_is_there(place: &Place) {
    place.insert(Some("A"), &payload(1), "PENDING", "New").await;
    place.insert(Some("B"), &payload(2), "pending", "new").await;
    place
        .insert(Some("C"), &payload(3), "Sent", "Unchanged")
        .await;
    place.insert(Some("D"), &payload(4), "", "Deleted").await;
    if !place.made.unique_person {
        place
            .insert(Some("D"), &payload(5), "error", "Updated")
            .await;
    }
    place
        .execute(&format!(
            "UPDATE {} SET last_updated = '2026-01-02 03:04:05' WHERE person_id = 'B'",
            place.t()
        ))
        .await;
    let summary = place.store.summary().await.unwrap();
    let mut expected = vec![
        ("(blank)".to_string(), "deleted".to_string(), 1),
        ("pending".to_string(), "new".to_string(), 2),
        ("sent".to_string(), "unchanged".to_string(), 1),
    ];
    if !place.made.unique_person {
        expected.insert(1, ("error".to_string(), "updated".to_string(), 1));
    }
    let mut counts = summary.counts.clone();
    counts.sort();
    assert_eq!(counts, expected);
    assert_eq!(
        summary.oldest_pending.as_deref(),
        Some("2026-01-02 03:04:05")
    );
    assert_eq!(
        summary.children_with_several_rows,
        u64::from(!place.made.unique_person)
    );
    assert_eq!(
        summary.eligible,
        count(&*place.store, Selection::Records).await
    );
}

pub async fn rows_that_were_never_sent_are_no_last_submission(place: &Place) {
    let id = place.child(1).await;
    assert_eq!(place.store.summary().await.unwrap().last_submission, None);
    let rows = read(&*place.store).await;
    place
        .store
        .record(&[refused(&rows[0], "no")])
        .await
        .unwrap();
    assert_eq!(place.store.summary().await.unwrap().last_submission, None);
    let rows = read(&*place.store).await;
    place.store.record(&[accepted(&rows[0])]).await.unwrap();
    let last = place
        .store
        .summary()
        .await
        .unwrap()
        .last_submission
        .unwrap();
    assert!(last.starts_with("2026-11-24 02:00:01"), "{last}");
    place
        .execute(&format!(
            "UPDATE {} SET submission_status = 'Pending' WHERE id = {id}",
            place.t()
        ))
        .await;
    assert!(
        place
            .store
            .summary()
            .await
            .unwrap()
            .last_submission
            .is_some(),
        "a row that changed since it was sent was sent all the same"
    );
}

pub async fn staged_rows_are_new_and_pending(place: &Place) {
    let rows: Vec<NewRow> = (0..3)
        .map(|n| NewRow {
            person_id: format!("P{n}"),
            legacy_id: (n == 1).then(|| "L1".to_string()),
            payload: payload(n),
            hash: [7; 32],
        })
        .collect();
    place.store.stage(&rows).await.unwrap();
    let read = read(&*place.store).await;
    assert_eq!(read.len(), 3);
    let id = read[1].key.id();
    assert_eq!(read[1].payload.as_deref(), Some(payload(1).as_str()));
    assert_eq!(
        place.text("submission_status", id).await.as_deref(),
        Some("pending")
    );
    assert_eq!(place.text("row_state", id).await.as_deref(), Some("new"));
    assert!(place.text("current_hash", id).await.is_some());
    if place.made.has_legacy_id {
        assert_eq!(place.text("legacy_id", id).await.as_deref(), Some("L1"));
    }
}

pub async fn a_table_that_is_missing_or_lacks_a_column_is_named(place: &Place) {
    let missing = place.store_on(place.beside("no_such_table_anon")).await;
    let error = missing.shape().await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Table, 304)
    );
    assert!(
        error.message.what().contains("no_such_table_anon"),
        "{error}"
    );
    place.rename("api_response", "answer").await;
    place.rename("row_state", "state").await;
    let error = place.another_store().await.shape().await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.code()),
        (StoreErrorKind::Table, 305)
    );
    assert!(
        error.message.what().ends_with("api_response, row_state"),
        "{error}"
    );
}

/// In a schema of a test's own, where a name without one does not lead.
pub async fn a_table_in_another_schema_is_named_where_there_is_none_here(place: &Place) {
    let name = format!("csc_only_here_{}_anon", std::process::id());
    let table = place.beside(&name);
    let store = place.store_on(table.clone()).await;
    store.create().await.unwrap();
    let bare = place.store_on(name.parse().unwrap()).await;
    let error = bare.shape().await.unwrap_err();
    assert_eq!(error.message.code(), 304);
    let there = table.to_string();
    assert!(error.message.why().contains(&there), "{error}");
    let next = format!("set TABLE_NAME={there}");
    assert!(error.message.next().contains(&next), "{error}");
    let probes = bare.examine().await.unwrap();
    let table = probe(&probes, "table");
    assert_eq!(table.verdict, Verdict::Fail);
    assert!(table.found.contains(&there), "{table:?}");
    assert_eq!(table.statement, None, "a second one is not to be made");
    let named: TableName = format!("another_schema.{name}").parse().unwrap();
    let probes = place.store_on(named).await.examine().await.unwrap();
    let table = probe(&probes, "table");
    assert!(table.found.contains(&there), "{table:?}");
    assert!(table.statement.is_some(), "but where its schema is named");
    place.execute(&format!("DROP TABLE {there}")).await;
}

fn probe<'a>(probes: &'a [Probe], subject: &str) -> &'a Probe {
    probes.iter().find(|p| p.subject == subject).unwrap()
}

/// What is missing is named with the statement that mends it, and that statement does.
pub async fn an_examination_names_what_is_missing_and_what_mends_it(place: &Place) {
    let probes = place.store.examine().await.unwrap();
    for subject in ["server", "database", "logon", "table", "rights", "children"] {
        assert_eq!(probe(&probes, subject).verdict, Verdict::Ok, "{probes:?}");
    }
    let columns = probe(&probes, "columns");
    assert!(
        columns.found.to_lowercase().contains("json_payload "),
        "{probes:?}"
    );

    place.rename("api_response", "answer").await;
    let probes = place.another_store().await.examine().await.unwrap();
    let columns = probe(&probes, "columns");
    assert_eq!(
        (columns.verdict, columns.found.as_str()),
        (Verdict::Fail, "missing: api_response")
    );
    place.execute(columns.statement.as_deref().unwrap()).await;
    let store = place.another_store().await;
    let probes = store.examine().await.unwrap();
    assert_ne!(probe(&probes, "columns").verdict, Verdict::Fail);
    store.shape().await.unwrap();

    let index = probe(&probes, "index");
    if let Some(statement) = &index.statement {
        assert_eq!(index.verdict, Verdict::Warn);
        place.execute(statement).await;
        let probes = store.examine().await.unwrap();
        assert_eq!(probe(&probes, "index").verdict, Verdict::Ok, "{probes:?}");
    }

    let missing = place.store_on(place.beside("no_such_table_anon")).await;
    let probes = missing.examine().await.unwrap();
    let table = probe(&probes, "table");
    assert_eq!(table.verdict, Verdict::Fail);
    assert!(table.statement.as_deref().unwrap().contains("CREATE TABLE"));
    assert!(probes.iter().all(|p| p.subject != "columns"));
}

/// `shorten`: the SQL that has partial_json_payload take 4,000 characters.
pub async fn a_payload_column_with_a_limit_is_named_with_what_lifts_it(
    place: &Place,
    shorten: &str,
) {
    let shorten = shorten.replace("{t}", &place.t());
    place.execute(&shorten).await;
    let probes = place.another_store().await.examine().await.unwrap();
    let columns = probe(&probes, "columns");
    assert_eq!(
        (columns.verdict, columns.found.as_str()),
        (
            Verdict::Fail,
            "partial_json_payload takes 4000 characters only"
        )
    );
    place.execute(columns.statement.as_deref().unwrap()).await;
    let probes = place.another_store().await.examine().await.unwrap();
    let columns = probe(&probes, "columns");
    assert_eq!(columns.verdict, Verdict::Ok, "{probes:?}");
}

/// Triggers of the table's run too, and are undone with it.
pub async fn a_trial_of_writing_leaves_nothing_behind(place: &Place) {
    let store = &place.store;
    assert_eq!(store.try_writing().await.unwrap(), 0, "an empty table");
    let (id, other) = (place.child(1).await, place.child(2).await);
    let rows = read(&**store).await;
    assert_eq!(store.try_writing().await.unwrap(), 1);
    assert_eq!(read(&**store).await.len(), 2);
    for row in [id, other] {
        assert_eq!(
            place.text("lower(submission_status)", row).await.as_deref(),
            Some("pending")
        );
    }
    // The connection is as it was: what is recorded on it stays.
    store.record(&[accepted(&rows[0])]).await.unwrap();
    assert_eq!(
        place.text("lower(submission_status)", id).await.as_deref(),
        Some("sent")
    );
    let written = place.text("lower(submission_status)", id).await;
    place.rename("api_response", "answer").await;
    let lacking = place.another_store().await.try_writing().await;
    assert_eq!(lacking.unwrap_err().message.code(), 305);
    assert_eq!(place.text("lower(submission_status)", id).await, written);
}

/// What is written is refused where a right is missing for one column only, which the
/// catalogue does not say.
pub async fn a_trial_of_writing_finds_a_right_that_is_missing_for_a_column(place: &Place) {
    let id = place.child(1).await;
    let (admin, logon) = (
        place.admin_client(),
        format!("csc_trial_{}", place.schema()),
    );
    admin
        .batch_execute(&format!(
            "CREATE ROLE {logon} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {logon};
             GRANT SELECT, UPDATE (submission_status, submission_timestamp, row_state) ON {t} TO {logon}",
            schema = place.schema(),
            t = place.t(),
        ))
        .await
        .unwrap();
    let store = place.store_of(&logon).await;
    let refused = store.try_writing().await.unwrap_err();
    assert!(
        refused.message.why().contains("permission denied"),
        "{refused}"
    );
    admin
        .batch_execute(&format!("GRANT UPDATE ON {} TO {logon}", place.t()))
        .await
        .unwrap();
    assert_eq!(store.try_writing().await.unwrap(), 1);
    drop(store);
    assert_eq!(
        place.text("lower(submission_status)", id).await.as_deref(),
        Some("pending")
    );
    admin
        .batch_execute(&format!("DROP OWNED BY {logon}; DROP ROLE {logon}"))
        .await
        .unwrap();
}

pub async fn a_change_under_way_wins(place: &Place) {
    let id = place.child(1).await;
    let rows = read(&*place.store).await;
    let admin = place.admin_client();
    admin
        .batch_execute(&format!(
            "BEGIN; UPDATE {} SET json_payload = '{}' WHERE id = {id}",
            place.t(),
            payload(2)
        ))
        .await
        .unwrap();
    let outcomes = [accepted(&rows[0])];
    let recording = place.store.record(&outcomes);
    tokio::pin!(recording);
    // The statement waits for the row's lock; it is let go when the server says so.
    loop {
        tokio::select! {
            biased;
            done = &mut recording => panic!("recorded under a lock: {done:?}"),
            waiting = admin.query_one(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'
                   AND transactionid = pg_current_xact_id()::xid", &[]) => {
                if waiting.unwrap().get::<_, i64>(0) > 0 { break; }
            }
        }
    }
    admin.batch_execute("COMMIT").await.unwrap();
    assert_eq!(recording.await.unwrap(), Vec::<i64>::new());
    assert_eq!(
        place.text("submission_status", id).await.as_deref(),
        Some("Pending")
    );
    assert_eq!(place.text("previous_json_payload", id).await, None);
}

pub async fn a_response_is_cut(place: &Place) {
    let id = place.child(1).await;
    let rows = read(&*place.store).await;
    let reason = "é".repeat(700);
    place
        .store
        .record(&[refused(&rows[0], &reason)])
        .await
        .unwrap();
    assert_eq!(
        place.text("api_response", id).await.unwrap(),
        "é".repeat(500)
    );
}

pub async fn found_in_upper_case(place: &Place) {
    let id = place.child(1).await;
    let table = place.table.to_string().to_uppercase().parse().unwrap();
    let store = place.store_on(table).await;
    assert_eq!(read(&*store).await[0].key.id(), id);
}

pub async fn deleted_rows_are_read_apart_whatever_their_status(place: &Place) {
    place.child(1).await;
    let sent = place
        .insert(Some("A"), &payload(2), "Sent", "Deleted")
        .await;
    let error = place
        .insert(Some("B"), &payload(3), "error", "DELETED")
        .await;
    place
        .execute(&format!(
            "UPDATE {} SET previous_json_payload = '{}', api_response = 'abc' WHERE id = {sent}",
            place.t(),
            payload(9)
        ))
        .await;
    if !place.made.unique_person {
        place
            .insert(Some("C"), &payload(4), "Sent", "Deleted")
            .await;
        place
            .insert(Some("C"), &payload(5), "Sent", "Unchanged")
            .await;
    }
    let rows = read_deletions(place).await;
    let ids: Vec<i64> = rows.iter().map(|row| row.key.id()).collect();
    assert_eq!(
        ids,
        [sent, error],
        "a live row keeps an old deleted one back"
    );
    assert_eq!(rows[0].previous, Some(payload(9)));
    assert_eq!(rows[0].response.as_deref(), Some("abc"));
    assert_eq!(rows[1].previous, None);
}

pub async fn a_purge_is_recorded_and_the_row_stays_deleted(place: &Place) {
    let id = place
        .insert(Some("A"), &payload(1), "Sent", "Deleted")
        .await;
    let before = snapshot(
        place,
        id,
        &[
            "previous_json_payload",
            "previous_hash",
            "submission_timestamp",
            "api_response",
            "submission_status",
        ],
    )
    .await;
    let rows = read_deletions(place).await;
    let record = "{\"purge\": true, \"la_child_id\": \"C1\"}";
    let purged = Outcome {
        key: rows[0].key.clone(),
        result: RowResult::Purged {
            receipt: "6f9619ff-8b86-d011-b42d-00c04fc964ff".into(),
            at: "2026-11-24T02:00:01.25".parse().unwrap(),
            record: record.into(),
            hash: [0x63; 32],
        },
    };
    assert_eq!(place.store.record(&[purged]).await.unwrap(), vec![id]);
    let text = async |column| place.text(column, id).await;
    assert_eq!(text("submission_status").await.as_deref(), Some("sent"));
    assert_eq!(text("row_state").await.as_deref(), Some("Deleted"));
    assert_eq!(text("previous_json_payload").await.as_deref(), Some(record));
    let hash = text("previous_hash").await.unwrap();
    assert!(
        hash == "c".repeat(32) || hash == format!("\\x{}", "63".repeat(32)),
        "{hash}"
    );
    assert!(
        text("submission_timestamp")
            .await
            .unwrap()
            .contains("2026-11-24")
    );
    assert_eq!(
        snapshot(
            place,
            id,
            &[
                "previous_json_payload",
                "previous_hash",
                "submission_timestamp",
                "api_response",
                "submission_status",
            ],
        )
        .await,
        before
    );
}

pub async fn deltas_are_written_only_to_rows_that_are_as_they_were_read(place: &Place) {
    let (same, changed) = (place.child(1).await, place.child(2).await);
    let rows = read(&*place.store).await;
    place
        .execute(&format!(
            "UPDATE {} SET json_payload = '{}' WHERE id = {changed}",
            place.t(),
            payload(7)
        ))
        .await;
    let delta = payload(1);
    let partials: Vec<_> = rows
        .iter()
        .map(|row| (row.key.clone(), Some(delta.clone())))
        .collect();
    let written = place.store.write_partials(&partials).await.unwrap();
    assert_eq!(written, vec![same]);
    assert_eq!(place.text("partial_json_payload", same).await, Some(delta));
    assert_eq!(place.text("partial_json_payload", changed).await, None);
    assert_eq!(
        place.text("submission_status", same).await.as_deref(),
        Some("Pending")
    );
    let rows = read(&*place.store).await;
    let emptied = [(rows[0].key.clone(), None)];
    assert_eq!(
        place.store.write_partials(&emptied).await.unwrap(),
        vec![same]
    );
    assert_eq!(place.text("partial_json_payload", same).await, None);
}

pub async fn every_child_that_is_not_deleted_is_read_for_a_check(place: &Place) {
    let sent = place
        .insert(Some("A"), &payload(1), "Sent", "Unchanged")
        .await;
    let odd = place.insert(Some("B"), &payload(2), "queued", "").await;
    place
        .insert(Some("C"), &payload(3), "Pending", "deleted")
        .await;
    let mut expected = vec![sent, odd];
    if !place.made.unique_person {
        place.insert(Some("D"), &payload(4), "Pending", "New").await;
        expected.push(place.insert(Some("D"), &payload(5), "Sent", "New").await);
    }
    let request = PageRequest {
        selection: Selection::Children,
        ..records(i64::MIN, ALL)
    };
    let rows = page(&*place.store, request).await;
    let ids: Vec<i64> = rows.iter().map(|row| row.key.id()).collect();
    assert_eq!(ids, expected);
    assert_eq!(
        count(&*place.store, Selection::Children).await,
        ids.len() as u64
    );
}
