//! No redirect carries a token, a key or a payload anywhere.

use std::time::Duration;

use csc_receiver::{FaultKind, NetworkOptions};

use crate::server::{SECRETS, Server, post, send, sent, write};

#[test]
fn a_redirect_is_handed_back_and_not_followed() {
    let elsewhere = Server::after_request(|socket, _| {
        write(socket, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
    });
    for status in [301, 302, 303, 307, 308] {
        let target = elsewhere.url();
        let server = Server::after_request(move |socket, _| {
            let reply = format!(
                "HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nRefresh: 0; url={target}\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            write(socket, reply.as_bytes());
        });
        let reply = sent(&server.url()).unwrap();
        assert_eq!(reply.status, status);
        assert_eq!(server.heard().len(), 1, "sent once");
        for secret in SECRETS {
            assert!(server.heard()[0].contains(secret), "{:?}", server.heard());
        }
    }
    assert!(elsewhere.heard().is_empty(), "{:?}", elsewhere.heard());
}

#[test]
fn a_header_with_a_line_break_is_not_sent() {
    let server = Server::after_request(|socket, _| {
        write(socket, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
    });
    let mut request = post(&server.url(), Duration::from_secs(30));
    let agent = "x\r\nX-Injected: y".to_string().into();
    request.headers.push(("User-Agent", agent));
    let fault = send(NetworkOptions::default(), request).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Other);
    assert!(fault.words.ends_with("in User-Agent"), "{fault}");
    assert!(server.heard().is_empty());
}
