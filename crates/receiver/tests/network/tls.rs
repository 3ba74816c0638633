//! TLS 1.2 at least: what the program offers, as a server sees it.

use std::io::Read;
use std::sync::mpsc::channel;

use crate::server::{Server, sent_in_a_hurry};

/// The versions in a ClientHello's extension `supported_versions` (RFC 8446, 4.2.1).
fn versions_offered(hello: &[u8]) -> Vec<u16> {
    let number = |at: usize| u16::from_be_bytes([hello[at], hello[at + 1]]);
    assert_eq!(hello[0], 22, "a handshake");
    assert_eq!(hello[5], 1, "a ClientHello");
    // Record and message heads, version, random.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]); // session
    at += 2 + usize::from(number(at)); // cipher suites
    at += 1 + usize::from(hello[at]); // compression
    let end = at + 2 + usize::from(number(at));
    at += 2;
    while at < end {
        let (kind, length) = (number(at), usize::from(number(at + 2)));
        at += 4;
        if kind == 43 {
            return (at + 1..at + length).step_by(2).map(number).collect();
        }
        at += length;
    }
    panic!("no supported_versions");
}

#[test]
fn nothing_older_than_tls_1_2_is_offered() {
    let (hello, heard) = channel();
    let server = Server::at_once(move |socket| {
        let mut bytes = vec![0; 16 * 1024];
        let mut length = 0;
        // A record's head says how long it is.
        while length < 5 || length < 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]])) {
            length += socket.read(&mut bytes[length..]).unwrap();
        }
        hello.send(bytes[..length].to_vec()).unwrap();
    });
    let url = format!("https://localhost:{}/x", server.port);
    assert!(sent_in_a_hurry(&url).is_err());
    let versions = versions_offered(&heard.recv().unwrap());
    assert_eq!(versions, [0x0304, 0x0303], "TLS 1.3 and TLS 1.2");
}
