//! The face on a port, met with a bare socket.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use csc_simulator::{FaultOrder, IncomingRequest, Running, Simulator, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::asking::{Client, LA, batch};

/// A simulator on a port, and a client that makes its requests.
async fn started(faults: &[&str]) -> (Client, Running) {
    let mut client = Client::new(&[]);
    // The clock of the face on a port is the system's.
    client.now = jiff::Timestamp::now();
    client.fetch_token();
    for fault in faults {
        let order: FaultOrder = fault.parse().unwrap();
        client.simulator.order(order);
    }
    let running = serve(client.simulator.clone(), 0).await.unwrap();
    (client, running)
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address()).await.unwrap()
}

/// The request as bytes, its body framed as told.
fn wire(request: &IncomingRequest, framing: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        request.method, request.path
    );
    for (name, value) in &request.headers {
        bytes += &format!("{name}: {value}\r\n");
    }
    bytes += &format!("{framing}\r\n\r\n");
    [bytes.as_bytes(), body].concat()
}

fn with_length(request: &IncomingRequest) -> Vec<u8> {
    let framing = format!("Content-Length: {}", request.body.len());
    wire(request, &framing, &request.body)
}

/// One reply: its status and its body. Reads no further than its end.
async fn read_reply(stream: &mut TcpStream) -> (u16, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (status, body)
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let (client, running) = started(&[]).await;
    let mut stream = connect(&running).await;
    for _ in 0..3 {
        let bytes = with_length(&client.request(&batch(&["a", "b"])));
        stream.write_all(&bytes).await.unwrap();
        let (status, body) = read_reply(&mut stream).await;
        assert_eq!(status, 200);
        let receipts: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(receipts.as_array().unwrap().len(), 2);
    }
    assert_eq!(client.simulator.arrivals(LA, "a"), 3);
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let (client, running) = started(&[]).await;
    let mut stream = connect(&running).await;
    let request = client.request(&batch(&["chunked"]));
    let (front, back) = request.body.split_at(7);
    let mut chunks = Vec::new();
    for piece in [front, back, b""] {
        chunks.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunks.extend(piece);
        chunks.extend(b"\r\n");
    }
    let bytes = wire(&request, "Transfer-Encoding: chunked", &chunks);
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.0, 200);
    assert_eq!(client.simulator.arrivals(LA, "chunked"), 1);
}

#[tokio::test]
async fn a_client_that_asks_before_a_large_body_is_told_to_go_on() {
    let (client, running) = started(&[]).await;
    let mut stream = connect(&running).await;
    let request = client.request(&batch(&["a"]));
    let framing = format!(
        "Content-Length: {}\r\nExpect: 100-continue",
        request.body.len()
    );
    let head = wire(&request, &framing, b"");
    stream.write_all(&head).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.0, 100);
    stream.write_all(&request.body).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.0, 200);
}

#[tokio::test]
async fn a_drop_closes_the_connection_without_a_byte_after_taking_the_batch() {
    let (client, running) = started(&["drop"]).await;
    let mut stream = connect(&running).await;
    let bytes = with_length(&client.request(&batch(&["a"])));
    stream.write_all(&bytes).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(reply, b"");
    assert_eq!(client.simulator.arrivals(LA, "a"), 1);
}

#[tokio::test]
async fn a_reset_resets_the_connection_and_takes_nothing() {
    let (client, running) = started(&["reset"]).await;
    let mut stream = connect(&running).await;
    let bytes = with_length(&client.request(&batch(&["a"])));
    stream.write_all(&bytes).await.unwrap();
    let mut reply = Vec::new();
    let error = stream.read_to_end(&mut reply).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(reply, b"");
    assert_eq!(client.simulator.arrivals(LA, "a"), 0);
    assert_eq!(client.simulator.counts().turned_away, 1);
}

#[tokio::test]
async fn a_slow_reply_comes_no_sooner_than_ordered() {
    let (client, running) = started(&["slow=120"]).await;
    let mut stream = connect(&running).await;
    let bytes = with_length(&client.request(&batch(&["a"])));
    let begun = Instant::now();
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn a_request_that_breaks_off_changes_nothing() {
    let (client, running) = started(&[]).await;
    let mut stream = connect(&running).await;
    let bytes = with_length(&client.request(&batch(&["a"])));
    stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(client.simulator.counts().posts, 0);
}

#[tokio::test]
async fn a_body_without_end_is_refused_at_the_limit() {
    let (client, running) = started(&[]).await;
    let mut stream = connect(&running).await;
    let request = client.request(&json!([]));
    let head = wire(&request, "Transfer-Encoding: chunked", b"");
    stream.write_all(&head).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let mib = [b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n"].concat();
    let mut reply = Vec::new();
    tokio::select! {
        _ = reading.read_buf(&mut reply) => {}
        () = async { while writing.write_all(&mib).await.is_ok() {} } => {
            // Closed with our bytes unread: what it said before may be gone.
        }
    }
    assert_eq!(client.simulator.counts().refused_batches, 1);
    assert!(reply.is_empty() || reply.starts_with(b"HTTP/1.1 413 "));
}

#[tokio::test]
async fn it_listens_on_loopback_and_its_addresses_are_those_to_configure() {
    let (_, running) = started(&[]).await;
    assert!(running.address().ip().is_loopback());
    let port = running.address().port();
    assert_eq!(
        running.api_endpoint(),
        format!("http://127.0.0.1:{port}/children-in-social-care-data-receiver-test/1")
    );
    assert_eq!(
        running.token_endpoint(),
        format!("http://127.0.0.1:{port}/simulated-tenant/oauth2/v2.0/token")
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let (client, running) = started(&[]).await;
    let port = running.address().port();
    let error = serve(client.simulator.clone(), port).await.unwrap_err();
    assert_eq!(error.port, port);
    let words = error.to_string();
    assert!(words.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")));
}

#[tokio::test]
async fn the_state_is_shown_to_this_machines_names_only() {
    let (_client, running) = started(&[]).await;
    for (host, status) in [
        ("127.0.0.1:1234", 200),
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("rebound.example", 421),
        ("127.0.0.1.rebound.example:80", 421),
    ] {
        let mut stream = connect(&running).await;
        let request = format!("GET /state HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (replied, body) = read_reply(&mut stream).await;
        assert_eq!(replied, status, "{host}");
        let shown = body.windows(8).any(|bytes| bytes == b"children");
        assert_eq!(shown, status == 200);
    }
}

#[tokio::test]
async fn a_stop_finishes_the_reply_under_way_and_the_port_can_be_served_again() {
    let (client, running) = started(&["slow=150,times=1"]).await;
    let port = running.address().port();
    let mut idle = connect(&running).await;
    let mut busy = connect(&running).await;
    let bytes = with_length(&client.request(&batch(&["a"])));
    busy.write_all(&bytes).await.unwrap();
    while client.simulator.counts().posts == 0 {
        tokio::task::yield_now().await;
    }
    running.stop().await;
    assert_eq!(read_reply(&mut busy).await.0, 200);
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());

    let again = serve(client.simulator.clone(), port).await.unwrap();
    let mut stream = connect(&again).await;
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.0, 200);
    assert_eq!(client.simulator.arrivals(LA, "a"), 2);
}

#[tokio::test]
async fn a_simulator_that_is_let_go_closes_its_connections() {
    let simulator = Simulator::new(Default::default());
    let running = serve(simulator, 0).await.unwrap();
    let mut stream = connect(&running).await;
    // Taken, not only queued: one exchange.
    stream
        .write_all(b"GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_reply(&mut stream).await.0, 200);
    drop(running);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
