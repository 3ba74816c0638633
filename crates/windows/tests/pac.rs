//! A configuration script that a server on this machine hands out, asked through WinHTTP.

#![cfg(windows)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use csc_windows::proxy::{Answer, Fault, Script, ask, machine_settings, user_settings};

const SCRIPT: &str = r#"
function FindProxyForURL(url, host) {
    if (url != "https://" + host + "/") return "PROXY url-was-not-as-expected.test:1";
    if (shExpMatch(host, "*.direct.test")) return "DIRECT";
    if (host == "two.test") return "PROXY a.test:8080; PROXY b.test:3128; DIRECT";
    return "PROXY p.test:8080";
}
"#;

/// One question is under way at a time in a process, so one test is.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers every request with this status and body. Where a gate is given, it waits for a
/// word through it first.
fn serve(status: &'static str, body: &'static str, gate: Option<Receiver<()>>) -> Script {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            if let Some(gate) = &gate {
                let _ = gate.recv();
            }
            let _ = write!(
                socket,
                "HTTP/1.1 {status}\r\nContent-Type: application/x-ns-proxy-autoconfig\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Script::At(format!("http://127.0.0.1:{port}/proxy.pac"))
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_script_names_the_proxy_of_each_address() {
    let _alone = alone();
    let script = serve("200 OK", SCRIPT, None);
    let through = |proxies: &str| {
        Ok(Answer::Through {
            proxies: proxies.into(),
            bypass: None,
        })
    };
    assert_eq!(
        ask(&script, "https://receiver.test/", LONG),
        through("p.test:8080")
    );
    assert_eq!(
        ask(&script, "https://a.direct.test/", LONG),
        Ok(Answer::Direct)
    );
    let two = ask(&script, "https://two.test/", LONG).unwrap();
    let Answer::Through { proxies, .. } = two else {
        panic!("{two:?}");
    };
    assert!(proxies.contains("a.test:8080"), "{proxies}");
}

#[test]
fn a_script_that_is_not_there_or_is_faulty_is_a_fault() {
    let _alone = alone();
    for script in [
        serve("404 Not Found", "", None),
        serve(
            "200 OK",
            "function FindProxyForURL(url, host) { return",
            None,
        ),
        Script::At("http://127.0.0.1:1/proxy.pac".into()),
        Script::At("no address".into()),
    ] {
        let answer = ask(&script, "https://receiver.test/", LONG);
        assert!(
            matches!(answer, Err(Fault::Code(_))),
            "{script:?}: {answer:?}"
        );
    }
}

#[test]
fn a_server_that_keeps_silent_is_waited_for_no_longer_than_the_limit() {
    let _alone = alone();
    let (open, gate): (Sender<()>, _) = channel();
    let script = serve("200 OK", SCRIPT, Some(gate));
    let url = "https://receiver.test/";
    let limit = Duration::from_secs(1);
    assert_eq!(ask(&script, url, limit), Err(Fault::TooLong(1)));
    assert_eq!(ask(&script, url, limit), Err(Fault::StillAsking));
    // From now on the server answers at once; the question under way ends, and the next
    // one is heard.
    drop(open);
    let answer = loop {
        match ask(&script, url, LONG) {
            Err(Fault::StillAsking) => std::thread::yield_now(),
            answer => break answer,
        }
    };
    assert!(matches!(answer, Ok(Answer::Through { .. })), "{answer:?}");
}

#[test]
fn the_settings_can_be_read() {
    let user = user_settings().unwrap();
    assert_ne!(user.proxies.as_deref(), Some(""));
    let machine = machine_settings().unwrap();
    assert_eq!(machine.script, None);
}
