//! What a proxy sees and what becomes of its odder answers.

use std::io::Read;
use std::time::Duration;

use csc_receiver::proxy::{NamedProxy, Proxies, ProxyAddress};
use csc_receiver::{Fault, FaultKind, NetworkOptions, Reply};

use crate::server::{SECRETS, Server, post, send, write};

fn through(proxy: &Server, url: &str) -> Result<Reply, Fault> {
    through_a("http", proxy, url)
}

fn through_a(scheme: &str, proxy: &Server, url: &str) -> Result<Reply, Fault> {
    let address = format!("{scheme}://127.0.0.1:{}", proxy.port);
    let network = NetworkOptions {
        proxies: Proxies {
            setting: Some(NamedProxy {
                address: ProxyAddress::parse(&address).unwrap(),
                by: "PROXY".into(),
            }),
            ..Proxies::default()
        },
        ca_bundle: None,
    };
    send(network, post(url, Duration::from_secs(30)))
}

#[test]
fn a_proxy_sees_neither_token_nor_key_nor_payload_of_a_tunnel() {
    let proxy = Server::after_request(|socket, _| {
        write(socket, b"HTTP/1.1 200 Connection established\r\n\r\n");
        // Nobody speaks TLS here.
        write(socket, b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let fault = through(&proxy, "https://receiver.test/x").unwrap_err();
    assert!(fault.words.contains("through the proxy"), "{fault}");
    let heard = proxy.heard();
    assert!(heard[0].starts_with("CONNECT receiver.test:443 HTTP/1.1"));
    for secret in SECRETS {
        assert!(!heard.concat().contains(secret), "{heard:?}");
    }
}

#[test]
fn a_proxy_that_redirects_a_tunnel_is_not_followed() {
    let elsewhere = Server::after_request(|socket, _| {
        write(socket, b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let target = elsewhere.url();
    let proxy = Server::after_request(move |socket, _| {
        let reply =
            format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
        write(socket, reply.as_bytes());
    });
    let fault = through(&proxy, "https://receiver.test/x").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Proxy);
    let message = fault.last_word.unwrap();
    assert_eq!(message.code(), 432);
    assert!(message.why().contains("it redirects"), "{message}");
    assert!(elsewhere.heard().is_empty());
}

#[test]
fn a_proxy_that_is_busy_may_be_asked_again() {
    for status in [429, 502, 503, 504] {
        let proxy = Server::after_request(move |socket, _| {
            let reply = format!("HTTP/1.1 {status} Busy\r\nContent-Length: 0\r\n\r\n");
            write(socket, reply.as_bytes());
        });
        let fault = through(&proxy, "https://receiver.test/x").unwrap_err();
        assert_eq!(fault.kind, FaultKind::Proxy, "{status}");
        assert_eq!(fault.last_word, None, "{status}");
        assert!(
            fault.words.contains("gets no connection to receiver.test"),
            "{fault}"
        );
    }
}

#[test]
fn what_a_407_offers_is_named_however_it_is_written() {
    for (headers, offer) in [
        ("", "it does not say which kinds of logon it takes"),
        (
            "Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n",
            "it offers Negotiate and NTLM;",
        ),
        (
            "proxy-authenticate: Basic realm=\"a, b\", NTLM, Digest realm=\"x\", nonce=\"y\"\r\n",
            "it offers Basic, NTLM and Digest;",
        ),
        (
            "Proxy-Authenticate: Basic realm=\"x\"\r\nProxy-Authenticate: BASIC\r\n",
            "it offers Basic;",
        ),
        ("Proxy-Authenticate: Hawk id=\"7\"\r\n", "it offers Hawk"),
    ] {
        let proxy = Server::after_request(move |socket, _| {
            let reply = format!("HTTP/1.1 407 No\r\n{headers}Content-Length: 0\r\n\r\n");
            write(socket, reply.as_bytes());
        });
        for url in ["https://receiver.test/x", "http://receiver.test/x"] {
            let message = through(&proxy, url).unwrap_err().last_word.unwrap();
            assert_eq!(message.code(), 408);
            assert!(message.why().starts_with(offer), "{message}");
        }
    }
}

/// SOCKS 5 (RFC 1928) as far as one connection needs it, with this answer.
fn socks(answer: u8) -> Server {
    Server::at_once(move |socket| {
        let mut head = [0; 2];
        socket.read_exact(&mut head).unwrap();
        socket.read_exact(&mut vec![0; head[1].into()]).unwrap();
        write(socket, &[5, 0]);
        let mut request = [0; 5];
        socket.read_exact(&mut request).unwrap();
        let mut name = vec![0; usize::from(request[4]) + 2];
        socket.read_exact(&mut name).unwrap();
        assert_eq!(name, b"receiver.test\x00\x50", "the name, and port 80");
        write(socket, &[5, answer, 0, 1, 0, 0, 0, 0, 0, 0]);
        if answer == 0 {
            // The whole of the small request comes at once.
            let _ = socket.read(&mut [0; 4096]).unwrap();
            write(socket, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
        }
    })
}

#[test]
fn a_socks_proxy_is_given_the_hosts_name() {
    let reply = through_a("socks5h", &socks(0), "http://receiver.test/x").unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"[]"[..]));
    let fault = through_a("socks5h", &socks(5), "http://receiver.test/x").unwrap_err();
    assert_eq!(fault.kind, FaultKind::Proxy, "{fault}");
    assert!(fault.words.contains("socks5h://127.0.0.1"), "{fault}");
}
