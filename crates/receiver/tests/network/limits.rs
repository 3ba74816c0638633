//! Replies are read to a limit, also after decompression, and every phase has an end.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

use csc_receiver::{CurlTransport, FaultKind, NetworkOptions, Transport};

use crate::server::{Server, post, sent, sent_in_a_hurry, write};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
const MIB: usize = 1024 * 1024;

/// So that a test which fails does so, and does not hang.
const PATIENCE: u32 = 600;

fn kind(result: Result<csc_receiver::Reply, csc_receiver::Fault>) -> FaultKind {
    match result {
        Ok(reply) => panic!("a reply of {} bytes", reply.body.len()),
        Err(fault) => fault.kind,
    }
}

/// Sends the same over and over, until nobody listens.
fn endlessly(socket: &mut TcpStream, piece: &[u8], gap: Duration) {
    for _ in 0..PATIENCE {
        if !write(socket, piece) {
            return;
        }
        sleep(gap);
    }
}

#[test]
fn a_body_is_read_to_four_mebibytes() {
    let body = |length: usize| {
        Server::after_request(move |socket, _| {
            write(socket, OK);
            write(
                socket,
                format!("Content-Length: {length}\r\n\r\n").as_bytes(),
            );
            write(socket, &vec![b' '; length]);
        })
    };
    let most = body(4 * MIB);
    assert_eq!(sent(&most.url()).unwrap().body.len(), 4 * MIB);
    let more = body(4 * MIB + 1);
    assert_eq!(kind(sent(&more.url())), FaultKind::TooMuch);
}

#[test]
fn an_endless_body_is_left() {
    let server = Server::after_request(|socket, _| {
        write(socket, OK);
        write(socket, b"\r\n");
        endlessly(socket, &[b' '; 64 * 1024], Duration::ZERO);
    });
    assert_eq!(kind(sent(&server.url())), FaultKind::TooMuch);
}

#[test]
fn endless_headers_are_left() {
    let server = Server::after_request(|socket, _| {
        write(socket, OK);
        let line = format!("X-More: {}\r\n", "x".repeat(8000));
        endlessly(socket, line.as_bytes(), Duration::ZERO);
    });
    // libcurl may be the first to have enough of them.
    let kind = kind(sent(&server.url()));
    assert!(
        matches!(
            kind,
            FaultKind::TooMuch | FaultKind::Interrupted | FaultKind::Other
        ),
        "{kind:?}"
    );
}

/// Zeros as gzip has them, a thousandth of their size.
#[cfg(unix)]
fn gzip_of_zeros(mebibytes: usize) -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut gzip = Command::new("gzip")
        .arg("-9")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut into = gzip.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..mebibytes {
            into.write_all(&vec![0; MIB]).unwrap();
        }
    });
    let output = gzip.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[cfg(unix)]
#[test]
fn a_body_is_read_to_the_same_limit_after_decompression() {
    let zipped = |mebibytes: usize| {
        let bytes = gzip_of_zeros(mebibytes);
        assert!(bytes.len() < MIB);
        Server::after_request(move |socket, request| {
            assert!(request.contains("Accept-Encoding: gzip"));
            let head = format!(
                "Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                bytes.len()
            );
            write(socket, OK);
            write(socket, head.as_bytes());
            write(socket, &bytes);
        })
    };
    assert_eq!(sent(&zipped(3).url()).unwrap().body.len(), 3 * MIB);
    assert_eq!(kind(sent(&zipped(100).url())), FaultKind::TooMuch);
}

#[test]
fn a_name_that_is_not_there_is_told() {
    assert_eq!(kind(sent("http://nowhere.invalid/x")), FaultKind::Dns);
}

#[cfg(target_os = "linux")]
#[test]
fn connecting_has_an_end() {
    // A queue that is full answers no further connection.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(socket);
        assert!(waiting.len() < 100_000, "its queue never fills");
    }
    assert_eq!(
        kind(sent_in_a_hurry(&format!("http://{address}/x"))),
        FaultKind::Timeout
    );
}

#[test]
fn tls_headers_and_bodies_have_an_end_however_slowly_they_come() {
    let silent = |socket: &mut TcpStream| endlessly(socket, b"", Duration::from_millis(100));
    let tls = Server::at_once(silent);
    let url = format!("https://127.0.0.1:{}/x", tls.port);
    assert_eq!(kind(sent_in_a_hurry(&url)), FaultKind::Timeout);
    assert_eq!(tls.heard_at_last().len(), 1);
    let no_headers = Server::after_request(move |socket, _| silent(socket));
    assert_eq!(kind(sent_in_a_hurry(&no_headers.url())), FaultKind::Timeout);
    let dripping = |head: &'static [u8], drop: &'static [u8]| {
        Server::after_request(move |socket, _| {
            write(socket, head);
            endlessly(socket, drop, Duration::from_millis(50));
        })
    };
    let headers = dripping(OK, b"X: y\r\n");
    assert_eq!(kind(sent_in_a_hurry(&headers.url())), FaultKind::Timeout);
    let body = dripping(b"HTTP/1.1 200 OK\r\n\r\n", b" ");
    assert_eq!(kind(sent_in_a_hurry(&body.url())), FaultKind::Timeout);
}

#[test]
fn an_exchange_that_nobody_waits_for_any_more_is_left() {
    let (arrived, has_arrived) = tokio::sync::oneshot::channel();
    let (left, is_left) = channel();
    let arrived = Mutex::new(Some(arrived));
    let server = Server::after_request(move |socket, _| {
        let arrived = arrived.lock().unwrap().take();
        arrived.unwrap().send(()).unwrap();
        let end = socket.read(&mut [0]);
        left.send(end.is_err() || matches!(end, Ok(0))).unwrap();
    });
    let transport = CurlTransport::new(NetworkOptions::default(), 1).unwrap();
    let request = post(&server.url(), Duration::from_secs(300));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        tokio::select! {
            _ = transport.send(request) => panic!("it has no answer"),
            arrived = has_arrived => arrived.unwrap(),
        }
    });
    drop(transport);
    // Long before the exchange's own limit.
    assert!(is_left.recv_timeout(Duration::from_secs(30)).unwrap());
}
