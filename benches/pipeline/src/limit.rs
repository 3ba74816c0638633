//! The limit: what a run cannot be faster than. The same rows read with the same
//! statements, as many bytes posted in as many requests over the same transport, and
//! the outcomes recorded with the same statements. Nothing is parsed, checked, looked
//! up or written down around it, nothing is counted beforehand, and no reply is read
//! beyond its status. Reading, posting and recording overlap.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use clap::Args;
use csc_receiver::{CurlTransport, Method, NetworkOptions, Request, Transport, body_of};
use csc_staging::{
    Outcome, PageLimits, PageRequest, RowResult, Selection, StagedRow, StagingStore, connect,
};
use jiff::civil::{DateTime, date};
use tokio::sync::mpsc;

use crate::bench::Mode;
use crate::place;

/// The environment variable that names the database: it may hold a password, which no
/// list of processes may show.
pub const DATABASE: &str = "DB_CONNECTION_STRING";

/// Larger pages than a run's (`csc-sender-run`, its reader), so that reading costs less.
const PAGE: PageLimits = PageLimits {
    rows: 3000,
    bytes: 8 * 1024 * 1024,
};

/// `limit`.
#[derive(Args)]
pub struct LimitArgs {
    /// The staging table.
    #[arg(long)]
    pub table: String,
    /// Where to post.
    #[arg(long)]
    pub url: String,
    /// What is read, and how it is recorded.
    #[arg(long)]
    pub mode: Mode,
    /// A file with the requests to make: a JSON list of [records, bytes].
    #[arg(long)]
    pub posts: PathBuf,
}

/// Does it all, in a process of its own.
pub fn run(args: &LimitArgs) -> Result<()> {
    // As many threads as csc-sender has.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(pass(args))
}

async fn pass(args: &LimitArgs) -> Result<()> {
    let database = std::env::var(DATABASE).with_context(|| format!("{DATABASE} is not set"))?;
    let posts: Vec<(usize, usize)> = serde_json::from_slice(&std::fs::read(&args.posts)?)?;
    let store = connect(&place::target(&database)?, &place::table(&args.table)?).await?;
    let (pages_out, pages_in) = mpsc::channel(1);
    let (taken_out, taken_in) = mpsc::channel(1);
    let reading = tokio::spawn(read(Arc::clone(&store), args.mode, pages_out));
    let posting = tokio::spawn(post(args.url.clone(), posts, pages_in, taken_out));
    let recording = tokio::spawn(record(store, taken_in));
    reading.await??;
    posting.await??;
    recording.await?
}

type Page = (Selection, Vec<StagedRow>);

/// Reads every page, in a run's order.
async fn read(store: Arc<dyn StagingStore>, mode: Mode, pages: mpsc::Sender<Page>) -> Result<()> {
    let (selections, with_previous): (&[Selection], bool) = match mode {
        Mode::Full => (&[Selection::Records], false),
        Mode::Deltas => (&[Selection::Deletions, Selection::Records], true),
    };
    for selection in selections {
        let superseded = store.superseded().await?;
        let mut after = i64::MIN;
        loop {
            let request = PageRequest {
                selection: *selection,
                after,
                limits: PAGE,
                with_previous,
            };
            let page = store.page(request, &superseded).await?;
            let Some(last) = page.last() else { break };
            after = last.key.id();
            if pages.send((*selection, page)).await.is_err() {
                return Ok(()); // posting has ended, and says why
            }
        }
    }
    Ok(())
}

/// Makes the requests, and hands on the outcomes of each.
async fn post(
    url: String,
    posts: Vec<(usize, usize)>,
    mut pages: mpsc::Receiver<Page>,
    taken: mpsc::Sender<Vec<Outcome>>,
) -> Result<()> {
    let transport = CurlTransport::new(NetworkOptions::default(), 1)?;
    let (mut selection, mut page) = (Selection::Records, Vec::new().into_iter());
    for (records, bytes) in posts {
        let mut rows = Vec::with_capacity(records);
        while rows.len() < records {
            match page.next() {
                Some(row) => rows.push((selection, row)),
                None => {
                    let Some((next, rows)) = pages.recv().await else {
                        bail!("the table has fewer rows than the posts have records");
                    };
                    (selection, page) = (next, rows.into_iter());
                }
            }
        }
        let payloads: Vec<&str> = rows
            .iter()
            .map(|(_, row)| row.payload.as_deref().unwrap_or_default())
            .collect();
        let body = body(&payloads, bytes);
        send(&transport, &url, body).await?;
        let outcomes = rows.into_iter().map(outcome).collect();
        if taken.send(outcomes).await.is_err() {
            return Ok(()); // recording has ended, and says why
        }
    }
    let left = page.next().is_some() || pages.recv().await.is_some();
    ensure!(!left, "the table has more rows than the posts have records");
    Ok(())
}

async fn send(transport: &CurlTransport, url: &str, body: Bytes) -> Result<()> {
    let header = |value: &str| value.to_string().into();
    let request = Request {
        method: Method::Post,
        url: url.to_string(),
        headers: vec![
            ("Authorization", header("Bearer benchmark")),
            ("SupplierKey", header("benchmark")),
            ("Content-Type", header("application/json")),
            ("Accept", header("application/json")),
            ("User-Agent", header("csc-sender benchmark")),
        ],
        body,
        timeout: Duration::from_secs(30),
    };
    let reply = transport.send(request).await?;
    ensure!(
        reply.status == 200,
        "the receiver answered {}",
        reply.status
    );
    Ok(())
}

/// A body of just so many bytes for these rows: their payloads where that is what they
/// come to, as in full mode; otherwise the beginnings of the payloads, in place of the
/// deltas and purges that a run would have to work out.
fn body(payloads: &[&str], bytes: usize) -> Bytes {
    let whole: usize = payloads.iter().map(|payload| payload.len() + 1).sum();
    if whole + 1 == bytes {
        return body_of(payloads.iter().copied());
    }
    let mut body = BytesMut::with_capacity(bytes);
    body.put_u8(b'[');
    for (n, payload) in payloads.iter().enumerate() {
        if n > 0 {
            body.put_u8(b',');
        }
        let (left, commas) = (payloads.len() - n, payloads.len() - n - 1);
        let room = bytes.saturating_sub(body.len() + 1 + commas);
        let length = (room / left).min(payload.len());
        body.put_slice(&payload.as_bytes()[..length]);
    }
    // Where a payload was shorter than its share.
    body.resize(bytes.saturating_sub(1).max(body.len()), b' ');
    body.put_u8(b']');
    body.freeze()
}

/// An outcome like that of a run, made of nothing.
fn outcome((selection, row): (Selection, StagedRow)) -> Outcome {
    const AT: DateTime = date(2026, 11, 24).at(2, 0, 1, 250_000_000);
    let receipt = "00000000-0000-4000-8000-000000000000".to_string();
    let result = match selection {
        Selection::Records | Selection::Children => RowResult::Accepted { receipt, at: AT },
        Selection::Deletions => RowResult::Purged {
            receipt,
            at: AT,
            record: r#"{"la_child_id":"FAKE0000000","purge":true}"#.into(),
            hash: [0; 32],
        },
    };
    Outcome {
        key: row.key,
        result,
    }
}

/// Records the outcomes of each request, in order.
async fn record(
    store: Arc<dyn StagingStore>,
    mut taken: mpsc::Receiver<Vec<Outcome>>,
) -> Result<()> {
    while let Some(outcomes) = taken.recv().await {
        let recorded = store.record(&outcomes).await?;
        ensure!(
            recorded.len() == outcomes.len(),
            "{} of {} rows were recorded",
            recorded.len(),
            outcomes.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::RECORD_MARK;
    use memchr::memmem;

    #[test]
    fn a_body_has_the_bytes_and_the_records_that_are_asked_for() {
        let long = format!("{{\"la_child_id\":\"1\",\"x\":\"{}\"}}", "é".repeat(1000));
        let short = r#"{"la_child_id":"2","purge":true}"#;
        let payloads = [long.as_str(), short, &long, short];
        let whole = 2 * (long.len() + short.len()) + 5;
        for bytes in [whole, whole - 1, whole + 7, 900, 100] {
            let body = body(&payloads, bytes);
            assert_eq!(body.len(), bytes);
            let records = memmem::find_iter(&body, RECORD_MARK).count();
            assert_eq!(records, payloads.len(), "{bytes} bytes");
        }
    }

    #[test]
    fn whole_payloads_are_posted_as_they_are() {
        let payloads = [r#"{"la_child_id":"1"}"#, r#"{"la_child_id":"22"}"#];
        let expected = r#"[{"la_child_id":"1"},{"la_child_id":"22"}]"#;
        assert_eq!(body(&payloads, expected.len()), expected);
    }
}
