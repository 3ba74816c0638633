//! What a proxy sees and what becomes of its odder answers.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use csc_message::Verdict;
use csc_receiver::proxy::{NamedProxy, Proxies, ProxyAddress, SystemLookup, SystemProxies};
use csc_receiver::{
    CurlTransport, Fault, FaultKind, NetworkOptions, Reply, Transport, Way, examine_way,
};
use csc_windows::proxy::{Answer, Fault as ScriptFault, Script, Settings};
use tokio::net::TcpSocket;

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

/// A system whose settings name these proxies and this script, which gives no answer.
struct System(Option<String>, Option<String>);

impl SystemLookup for System {
    fn settings(&self) -> Vec<(&'static str, Settings)> {
        let settings = Settings {
            proxies: self.0.clone(),
            script: self.1.clone(),
            ..Settings::default()
        };
        vec![("the system's settings", settings)]
    }

    fn ask(&self, _: &Script, _: &str) -> Result<Answer, ScriptFault> {
        Err(ScriptFault::TooLong(15))
    }
}

fn of_system(proxies: Option<String>, script: Option<&str>) -> NetworkOptions {
    let system = System(proxies, script.map(Into::into));
    NetworkOptions {
        proxies: Proxies {
            system: Some(SystemProxies::new(Arc::new(system))),
            ..Proxies::default()
        },
        ca_bundle: None,
    }
}

/// A port of this machine on which nobody listens. It is taken as long as the tests run, so that
/// no server of another test gets it.
fn nobodys_port() -> u16 {
    static TAKEN: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    TAKEN.lock().unwrap().push(socket);
    port
}

fn ok(body: &'static str) -> Server {
    Server::after_request(move |socket, _| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        write(socket, head.as_bytes());
        write(socket, body.as_bytes());
    })
}

#[test]
fn the_next_proxy_is_taken_where_the_first_cannot_be_reached_and_kept_to() {
    let (second, third) = (ok("second"), ok("third"));
    let proxies = format!(
        "127.0.0.1:{};127.0.0.1:{};127.0.0.1:{}",
        nobodys_port(),
        second.port,
        third.port
    );
    let transport = CurlTransport::new(of_system(Some(proxies), None), 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for _ in 0..2 {
        let request = post("http://receiver.test/x", Duration::from_secs(30));
        let reply = runtime.block_on(transport.send(request)).unwrap();
        assert_eq!(reply.body, b"second");
    }
    assert_eq!(second.heard().len(), 2);
    assert_eq!(third.heard().len(), 0);
}

/// What `check` finds on the way to a receiver that is reached through these proxies.
fn examined(proxies: &[u16]) -> Way {
    let list: Vec<String> = proxies.iter().map(|p| format!("127.0.0.1:{p}")).collect();
    let network = of_system(Some(list.join(";")), None);
    let url = "https://receiver.test/x".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(examine_way(&url, &network, Duration::from_secs(30)))
}

#[test]
fn a_check_names_all_proxies_and_the_one_that_is_used() {
    let (first, second, third) = (nobodys_port(), ok("second"), ok("third"));
    let way = examined(&[first, second.port, third.port]);
    let found: Vec<(Verdict, &str, &str)> = way
        .probes
        .iter()
        .map(|probe| (probe.verdict, probe.subject, &*probe.found))
        .collect();
    let named = format!(
        "receiver.test: through the proxy http://127.0.0.1:{first} (the system's settings), or where \
         that can't be reached http://127.0.0.1:{}, or where that can't be reached \
         http://127.0.0.1:{}",
        second.port, third.port
    );
    assert_eq!(found[0], (Verdict::Ok, "proxy", &*named));
    let (verdict, subject, passed_over) = found[2];
    assert_eq!((verdict, subject), (Verdict::Warn, "tcp"), "{found:?}");
    let next = format!("the next one is tried, the proxy 127.0.0.1:{}", second.port);
    assert!(passed_over.ends_with(&next), "{passed_over}");
    let (verdict, subject, used) = found[4];
    assert_eq!((verdict, subject), (Verdict::Ok, "tcp"), "{found:?}");
    let is_used = format!("the proxy 127.0.0.1:{}: connected", second.port);
    assert!(used.starts_with(&is_used), "{used}");
    assert_eq!(third.heard().len(), 0, "it is not needed");
    let way = examined(&[first, nobodys_port()]);
    let verdicts: Vec<Verdict> = way.probes.iter().map(|probe| probe.verdict).collect();
    let expected = [
        Verdict::Ok,
        Verdict::Ok,
        Verdict::Warn,
        Verdict::Ok,
        Verdict::Fail,
    ];
    assert_eq!(verdicts, expected, "none is reached");
    assert!(!way.is_open);
}

#[test]
fn a_proxy_that_was_reached_is_the_last_one_asked_whatever_it_answers() {
    let silent = Server::after_request(|_, _| {});
    let spare = ok("spare");
    let proxies = format!("127.0.0.1:{};127.0.0.1:{}", silent.port, spare.port);
    let request = post("http://receiver.test/x", Duration::from_secs(2));
    let fault = send(of_system(Some(proxies), None), request).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout, "{fault}");
    assert_eq!(silent.heard_at_last().len(), 1);
    assert_eq!(spare.heard().len(), 0);
}

#[test]
fn of_several_proxies_that_cannot_be_reached_the_last_is_told() {
    let (first, second) = (nobodys_port(), nobodys_port());
    let proxies = format!("127.0.0.1:{first};127.0.0.1:{second}");
    let request = post("http://receiver.test/x", Duration::from_secs(30));
    let fault = send(of_system(Some(proxies), None), request).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Proxy);
    assert!(
        fault.words.contains(&format!("127.0.0.1:{second}")),
        "{fault}"
    );
    assert!(fault.words.contains("the system's settings"), "{fault}");
}

#[test]
fn a_script_without_an_answer_is_told_where_the_receiver_cannot_be_reached() {
    let network = of_system(None, Some("http://wpad.test/proxy.pac"));
    let request = post("http://receiver.invalid/x", Duration::from_secs(30));
    let fault = send(network, request).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Dns);
    assert!(
        fault.words.ends_with(
            "without a proxy: the PAC file at http://wpad.test/proxy.pac gives no answer: no \
             answer within 15 seconds"
        ),
        "{fault}"
    );
}
