//! What is done to tables of fake children: filling, changing, setting back.

use async_trait::async_trait;
use csc_message::Message;
use csc_staging::{
    Earlier, Filled, Halt, NewRow, Restaged, RowSource, Selection, StagedRow, SubmissionStatus,
    Superseded,
};

use crate::place::{Place, payload};
use crate::suite::{accepted, read, refused};

/// Pieces of rows, and perhaps a failure after them.
struct Pieces {
    left: Vec<Vec<NewRow>>,
    failure: Option<Halt>,
}

#[async_trait]
impl RowSource for Pieces {
    async fn next(&mut self) -> Result<Vec<NewRow>, Halt> {
        if !self.left.is_empty() {
            return Ok(self.left.remove(0));
        }
        self.failure.take().map_or(Ok(Vec::new()), Err)
    }
}

fn row(n: u32) -> NewRow {
    NewRow {
        person_id: format!("P{n}"),
        legacy_id: Some(format!("L{n}")),
        payload: payload(n),
        hash: [0x62; 32],
    }
}

fn pieces(sizes: &[u32]) -> Pieces {
    let mut n = 0;
    let left = sizes.iter().map(|size| {
        n += size;
        (n - size..n).map(row).collect()
    });
    Pieces {
        left: left.collect(),
        failure: None,
    }
}

fn failed(filled: Result<Filled, Halt>) -> Message {
    match filled {
        Err(Halt::Failed(message)) => message,
        other => panic!("{other:?}"),
    }
}

async fn rows(place: &Place) -> u64 {
    place
        .store
        .count(Selection::Children, &Superseded::default())
        .await
        .unwrap()
}

pub async fn a_filling_is_all_or_nothing(place: &Place) {
    let mut failing = pieces(&[3, 250]);
    failing.failure = Some(Halt::Stopped);
    let filled = place.store.fill(&mut failing, Earlier::Kept).await;
    assert_eq!(filled, Err(Halt::Stopped));
    assert_eq!(rows(place).await, 0, "what was written before is gone");
    let mut all = pieces(&[3, 250, 1]);
    let filled = place.store.fill(&mut all, Earlier::Kept);
    let expected = Filled {
        removed: 0,
        written: 254,
    };
    assert_eq!(filled.await.unwrap(), expected);
    let read = read(&*place.store).await;
    assert_eq!(read.len(), 254, "all are new and pending");
    assert_eq!(read[253].payload, Some(payload(253)));
    let id = read[0].key.id();
    let text = async |column| place.text(column, id).await.unwrap();
    assert_eq!(text("person_id").await, "P0");
    assert_eq!(text("submission_status").await, "pending");
    assert_eq!(text("row_state").await, "new");
    assert_eq!(
        text("current_hash").await,
        text_of_hash(place, 0x62, id).await
    );
    if place.made.has_legacy_id {
        assert_eq!(text("legacy_id").await, "L0");
    }
}

/// A hash as this database shows it.
async fn text_of_hash(place: &Place, byte: u8, id: i64) -> String {
    place
        .execute(&format!(
            "UPDATE {} SET previous_hash = {} WHERE id = {id}",
            place.t(),
            place.blob(byte)
        ))
        .await;
    place.text("previous_hash", id).await.unwrap()
}

pub async fn earlier_rows_go_only_where_that_is_asked_for(place: &Place) {
    place.child(1).await;
    place.child(2).await;
    let mut failing = pieces(&[5]);
    let error = failed(place.store.fill(&mut failing, Earlier::Kept).await);
    assert_eq!(error.code(), 622, "{error}");
    assert!(error.what().contains("2 rows"), "{error}");
    let no_more = Message::new(299, "no more", "a test", "go on");
    failing.failure = Some(no_more.clone().into());
    let replacing = place.store.fill(&mut failing, Earlier::Replaced).await;
    assert_eq!(failed(replacing), no_more);
    assert_eq!(rows(place).await, 2, "the earlier rows are back");
    let mut all = pieces(&[5]);
    let filled = place.store.fill(&mut all, Earlier::Replaced);
    let expected = Filled {
        removed: 2,
        written: 5,
    };
    assert_eq!(filled.await.unwrap(), expected);
    assert_eq!(rows(place).await, 5);
}

pub async fn only_a_table_of_fake_children_is_filled_or_changed(place: &Place) {
    let store = place.store_on(place.beside("ssd_api_data_staging")).await;
    store.create().await.unwrap();
    let filled = store.fill(&mut pieces(&[1]), Earlier::Replaced).await;
    assert_eq!(failed(filled).code(), 621);
    place.child(1).await;
    let key = read(&*place.store).await[0].key.clone();
    let error = store.restage(&[(key, Restaged::Gone)]).await.unwrap_err();
    assert_eq!(error.message.code(), 621);
    assert_eq!(
        store
            .count(Selection::Children, &Superseded::default())
            .await
            .unwrap(),
        0
    );
}

fn updated(row: &StagedRow, n: u32) -> (csc_staging::RowKey, Restaged) {
    let update = Restaged::Updated {
        payload: payload(n),
        hash: [0x62; 32],
    };
    (row.key.clone(), update)
}

pub async fn changes_are_staged_as_the_pilots_sql_stages_them(place: &Place) {
    let ids = [
        place.child(1).await,
        place.child(2).await,
        place.child(3).await,
    ];
    let rows = read(&*place.store).await;
    place
        .store
        .record(&[accepted(&rows[0]), accepted(&rows[1])])
        .await
        .unwrap();
    let other = place.text("json_payload", ids[2]).await;
    place
        .execute(&format!(
            "UPDATE {} SET json_payload = '{}' WHERE id = {}",
            place.t(),
            payload(9),
            ids[2]
        ))
        .await;
    let accepted = place.store.page(all(), &no_history()).await.unwrap();
    let gone = (accepted[1].key.clone(), Restaged::Gone);
    let changed = place
        .store
        .restage(&[updated(&accepted[0], 7), gone, updated(&rows[2], 8)])
        .await
        .unwrap();
    let mut changed = changed;
    changed.sort_unstable();
    assert_eq!(
        changed,
        ids[..2],
        "a row that changed meanwhile is left alone"
    );
    let text = async |column, id| place.text(column, id).await;
    let some = |text: &str| Some(text.to_string());
    assert_eq!(text("json_payload", ids[0]).await, Some(payload(7)));
    assert_eq!(
        text("previous_json_payload", ids[0]).await,
        Some(payload(1))
    );
    assert_eq!(text("row_state", ids[0]).await, some("updated"));
    assert_eq!(text("submission_status", ids[0]).await, some("pending"));
    assert!(
        text("api_response", ids[0]).await.is_some(),
        "the receipt stays"
    );
    let hashes = [
        text("current_hash", ids[0]).await,
        text("previous_hash", ids[0]).await,
    ];
    assert_ne!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], Some(text_of_hash(place, 0x62, ids[0]).await));
    assert_eq!(hashes[1], Some(text_of_hash(place, 0x61, ids[0]).await));
    assert_eq!(text("json_payload", ids[1]).await, Some(payload(2)));
    assert_eq!(text("row_state", ids[1]).await, some("deleted"));
    assert_eq!(text("submission_status", ids[1]).await, some("sent"));
    assert_eq!(text("json_payload", ids[2]).await, Some(payload(9)));
    assert_ne!(other, Some(payload(9)));
}

fn all() -> csc_staging::PageRequest {
    csc_staging::PageRequest {
        selection: Selection::Children,
        after: i64::MIN,
        limits: csc_staging::PageLimits {
            rows: 1000,
            bytes: 1 << 20,
        },
        with_previous: false,
    }
}

fn no_history() -> csc_staging::Superseded {
    csc_staging::Superseded::default()
}

pub async fn legacy_ids_are_read_by_row(place: &Place) {
    let mut rows = pieces(&[300]);
    place.store.fill(&mut rows, Earlier::Kept).await.unwrap();
    let ids: Vec<i64> = read(&*place.store)
        .await
        .iter()
        .map(|row| row.key.id())
        .collect();
    let mut found = place.store.legacy_ids(&ids[1..]).await.unwrap();
    if !place.made.has_legacy_id {
        assert_eq!(found, []);
        return;
    }
    found.sort_unstable();
    assert_eq!(found.len(), 299);
    assert_eq!(found[0], (ids[1], Some("L1".to_string())));
    assert_eq!(found[298], (ids[299], Some("L299".to_string())));
}

pub async fn rows_are_set_back_by_their_status_and_counted(place: &Place) {
    let insert = async |n: u32, status: &str, state: &str| {
        place
            .insert(Some(&format!("P{n}")), &payload(n), status, state)
            .await
    };
    let error = insert(1, " ERROR ", "Updated").await;
    let testing = insert(2, "Testing", "New").await;
    let sent = insert(3, "sent", "Unchanged").await;
    let gone = insert(4, "error", "Deleted").await;
    let odd = insert(5, "queued", "New").await;
    let rows = read(&*place.store).await;
    let row = rows.iter().find(|row| row.key.id() == testing).unwrap();
    place.store.record(&[refused(row, "no")]).await.unwrap();
    place
        .execute(&format!(
            "UPDATE {} SET submission_status = 'testing' WHERE id = {testing}",
            place.t()
        ))
        .await;
    let before = place.text("submission_timestamp", testing).await;
    let from = [SubmissionStatus::Testing, SubmissionStatus::Error];
    let counts = place.store.reset(&from).await.unwrap();
    assert_eq!(
        counts,
        [(SubmissionStatus::Error, 1), (SubmissionStatus::Testing, 1)]
    );
    let status = async |id| place.text("submission_status", id).await.unwrap();
    assert_eq!(status(error).await, "pending");
    assert_eq!(status(testing).await, "pending");
    assert_eq!(status(sent).await, "sent");
    assert_eq!(status(gone).await, "error");
    assert_eq!(status(odd).await, "queued");
    assert_eq!(place.text("row_state", error).await.unwrap(), "Updated");
    assert_eq!(place.text("api_response", testing).await.unwrap(), "no");
    assert_eq!(place.text("submission_timestamp", testing).await, before);
    assert_eq!(place.store.reset(&from).await.unwrap(), []);
    let counts = place.store.reset(&[SubmissionStatus::Sent]).await.unwrap();
    assert_eq!(counts, [(SubmissionStatus::Sent, 1)]);
    assert_eq!(status(sent).await, "pending");
}
