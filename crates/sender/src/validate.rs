//! The whole table held against the payload rules.

use csc_message::Message;
use csc_payload::report::Report;
use csc_staging::{PageLimits, PageRequest, Selection, StagingStore};

use crate::{Checks, Stop};

/// One page; the next one is read while it is checked.
const PAGE: PageLimits = PageLimits {
    rows: 2000,
    bytes: 8 * 1024 * 1024,
};

/// Checks the newest row of each child that is not deleted, whatever its status. A stop
/// ends it early, with what was found until then.
pub async fn validate(
    store: &dyn StagingStore,
    checks: &Checks,
    mut stop: Stop,
) -> Result<Report, Message> {
    store.shape().await?;
    let mut report = Report::new();
    let superseded = store.superseded().await?;
    let read = |after| {
        let request = PageRequest {
            selection: Selection::Children,
            after,
            limits: PAGE,
            with_previous: false,
        };
        store.page(request, &superseded)
    };
    let mut page = read(i64::MIN).await?;
    while let Some(last) = page.last() {
        let after = last.key.id();
        let check = async {
            for row in &page {
                let payload = row.payload.as_deref().unwrap_or_default();
                report.add(row.key.id(), &checks.check(payload));
            }
        };
        let next = tokio::select! {
            biased;
            () = stop.wait() => break,
            (next, ()) = async { tokio::join!(read(after), check) } => next?,
        };
        page = next;
    }
    Ok(report)
}
