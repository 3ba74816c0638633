//! A receiver written for speed: it takes everything, reads nothing of it, and answers
//! at once. It runs on threads of the benchmark's own process, which does nothing else
//! while something is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use memchr::memmem;

/// The token endpoint's path.
pub const TOKEN_PATH: &str = "/oauth2/v2.0/token";
/// The base of the submission's path: a test receiver's, by the DfE's names.
pub const API_PATH: &str = "/children-in-social-care-data-receiver-test/1";

/// Stands once in every record, whole, delta or purge.
pub const RECORD_MARK: &[u8] = b"\"la_child_id\"";

/// A submission as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Post {
    /// Records in its body.
    pub records: usize,
    /// The body's length.
    pub bytes: usize,
    /// When it had come in.
    pub at: Instant,
}

/// The receiver. It listens until the program ends.
pub struct Receiver {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
    /// Milliseconds that each post takes.
    takes: Arc<AtomicU64>,
}

impl Receiver {
    /// Starts it on a free port of this machine.
    pub fn start() -> Result<Receiver> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let receiver = Receiver {
            address: listener.local_addr()?,
            posts: Arc::default(),
            takes: Arc::default(),
        };
        let (posts, takes) = (Arc::clone(&receiver.posts), Arc::clone(&receiver.takes));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (posts, takes) = (Arc::clone(&posts), Arc::clone(&takes));
                // A connection that breaks off is told by whoever is on its other side.
                std::thread::spawn(move || serve(stream, &posts, &takes));
            }
        });
        Ok(receiver)
    }

    /// `http://127.0.0.1:port`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has it take so long for each post from now on.
    pub fn take_for_each(&self, time: Option<Duration>) {
        let millis = time.unwrap_or_default().as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.takes.store(millis, Ordering::Relaxed);
    }

    /// The submissions since it was asked last.
    pub fn take_posts(&self) -> Vec<Post> {
        std::mem::take(&mut self.posts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers one connection's requests until it is closed.
fn serve(
    mut stream: TcpStream,
    posts: &Mutex<Vec<Post>>,
    takes: &AtomicU64,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut receipts = Receipts::new(stream.peer_addr()?.port());
    while let Some(body_at) = read_request(&mut stream, &mut request)? {
        let (head, body) = request.split_at(body_at);
        let reply = if memmem::find(head, TOKEN_PATH.as_bytes()).is_some() {
            r#"{"access_token":"benchmark","token_type":"Bearer","expires_in":3599}"#.to_string()
        } else {
            let post = Post {
                records: memmem::find_iter(body, RECORD_MARK).count(),
                bytes: body.len(),
                at: Instant::now(),
            };
            std::thread::sleep(Duration::from_millis(takes.load(Ordering::Relaxed)));
            let mut posts = posts.lock().unwrap_or_else(PoisonError::into_inner);
            posts.push(post);
            receipts.of(post.records)
        };
        let length = reply.len();
        stream.write_all(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{reply}"
            )
            .as_bytes(),
        )?;
    }
    Ok(())
}

/// Reads one request, head and body, and gives where its body begins; `None` where the
/// connection was closed instead.
fn read_request(stream: &mut TcpStream, request: &mut Vec<u8>) -> std::io::Result<Option<usize>> {
    const PIECE: usize = 64 * 1024;
    request.clear();
    let (body_at, length) = loop {
        let filled = request.len();
        request.resize(filled + PIECE, 0);
        let read = stream.read(&mut request[filled..])?;
        request.truncate(filled + read);
        if read == 0 {
            return Ok(None);
        }
        if let Some(end) = memmem::find(request, b"\r\n\r\n") {
            break (end + 4, body_length(&request[..end]));
        }
    };
    let filled = request.len();
    request.resize(body_at + length, 0);
    if let Some(rest) = request.get_mut(filled..) {
        stream.read_exact(rest)?;
    }
    Ok(Some(body_at))
}

fn body_length(head: &[u8]) -> usize {
    String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

/// Makes receipts, no two of them the same.
struct Receipts {
    connection: u16,
    next: u64,
}

impl Receipts {
    fn new(connection: u16) -> Self {
        Receipts {
            connection,
            next: 0,
        }
    }

    /// A JSON list of receipts in the DfE's form (`receiver-api.md`, Replies).
    fn of(&mut self, records: usize) -> String {
        let receipts: Vec<String> = (0..records)
            .map(|_| {
                self.next += 1;
                format!(
                    "\"2026-11-24_02:00:01.250000_{:08x}-0000-4000-8000-{:012x}.json\"",
                    self.connection, self.next
                )
            })
            .collect();
        format!("[{}]", receipts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use csc_receiver::{
        CurlTransport, Method, NetworkOptions, Reply, Request, Transport, body_of, receipts,
    };

    async fn post(transport: &CurlTransport, url: String, records: &[&str]) -> Reply {
        let request = Request {
            method: Method::Post,
            url,
            headers: Vec::new(),
            body: body_of(records.iter().copied()),
            timeout: Duration::from_secs(10),
        };
        transport.send(request).await.unwrap()
    }

    #[tokio::test]
    async fn every_record_of_every_post_gets_a_receipt_of_its_own() {
        let receiver = Receiver::start().unwrap();
        let transport = CurlTransport::new(NetworkOptions::default(), 1).unwrap();
        let url = format!("{}{API_PATH}/children", receiver.base());
        // One that comes in one piece and one that does not.
        let long = format!(
            "{{\"la_child_id\":\"1\",\"x\":\"{}\"}}",
            "y".repeat(300_000)
        );
        let short = r#"{"la_child_id":"2","purge":true}"#;
        let mut seen = std::collections::HashSet::new();
        for records in [&[short][..], &[short, &long, short], &[&long]] {
            let reply = post(&transport, url.clone(), records).await;
            assert_eq!(reply.status, 200);
            for receipt in receipts(&reply.body, records.len()).unwrap() {
                assert!(seen.insert(receipt.uuid), "a receipt came twice");
            }
        }
        let posts = receiver.take_posts();
        let counted: Vec<usize> = posts.iter().map(|post| post.records).collect();
        assert_eq!(counted, [1, 3, 1]);
        assert_eq!(posts[0].bytes, short.len() + 2);
        assert_eq!(posts[1].bytes, 2 * short.len() + long.len() + 4);
        assert!(receiver.take_posts().is_empty());
    }

    #[tokio::test]
    async fn a_token_is_no_submission() {
        let receiver = Receiver::start().unwrap();
        let transport = CurlTransport::new(NetworkOptions::default(), 1).unwrap();
        let url = format!("{}{TOKEN_PATH}", receiver.base());
        let reply = post(&transport, url, &["x"]).await;
        let token: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(token["access_token"], "benchmark");
        assert!(receiver.take_posts().is_empty());
    }
}
