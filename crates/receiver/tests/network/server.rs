//! A socket that does what a test says, and writes down what it was sent.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use csc_receiver::{CurlTransport, Fault, Method, NetworkOptions, Reply, Request, Transport};

/// What is done with each connection.
type Act = dyn Fn(&mut TcpStream, &str) + Send + Sync;

/// Listens until the test's process ends.
pub struct Server {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Reads a whole request on each connection, then does `act` with it.
    pub fn after_request(act: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Server {
        Server::start(true, Arc::new(act))
    }

    /// Does `act` as soon as a connection is made.
    pub fn at_once(act: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Server {
        Server::start(
            false,
            Arc::new(move |socket: &mut TcpStream, _: &str| act(socket)),
        )
    }

    fn start(reads: bool, act: Arc<Act>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (act, hears) = (Arc::clone(&act), Arc::clone(&hears));
                std::thread::spawn(move || {
                    let mut socket = socket.unwrap();
                    if !reads {
                        hears.lock().unwrap().push(String::new());
                        return act(&mut socket, "");
                    }
                    let mut reader = BufReader::new(socket.try_clone().unwrap());
                    while let Some(request) = request(&mut reader) {
                        hears.lock().unwrap().push(request.clone());
                        act(&mut socket, &request);
                    }
                });
            }
        });
        Server { port, heard }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/x", self.port)
    }

    /// The requests so far, or an empty text for each connection that was not read.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The same once there is one: who asked may have gone before it was taken up.
    pub fn heard_at_last(&self) -> Vec<String> {
        let begun = Instant::now();
        while self.heard().is_empty() {
            assert!(begun.elapsed().as_secs() < 60, "nobody asked");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.heard()
    }
}

/// Head and body of the next request; `None` where the other side has gone.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let (mut text, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        text.push_str(&line);
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    text.push_str(&String::from_utf8_lossy(&body));
    Some(text)
}

/// Writes as long as the other side listens.
pub fn write(socket: &mut TcpStream, bytes: &[u8]) -> bool {
    socket.write_all(bytes).is_ok()
}

pub const SECRETS: [&str; 3] = ["Bearer canary-token", "canary-key", "canary-payload"];

/// A post with a token, a key and a payload.
pub fn post(url: &str, timeout: Duration) -> Request {
    Request {
        method: Method::Post,
        url: url.to_string(),
        headers: vec![
            ("Authorization", SECRETS[0].to_string().into()),
            ("SupplierKey", SECRETS[1].to_string().into()),
            ("Content-Type", "application/json".to_string().into()),
        ],
        body: Bytes::from_static(SECRETS[2].as_bytes()),
        timeout,
    }
}

pub fn send(network: NetworkOptions, request: Request) -> Result<Reply, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let transport = CurlTransport::new(network, 1).unwrap();
    runtime.block_on(transport.send(request))
}

/// As a run sends it, with half a minute of patience.
pub fn sent(url: &str) -> Result<Reply, Fault> {
    let request = post(url, Duration::from_secs(30));
    send(NetworkOptions::default(), request)
}

/// With no patience at all.
pub fn sent_in_a_hurry(url: &str) -> Result<Reply, Fault> {
    let request = post(url, Duration::from_millis(700));
    send(NetworkOptions::default(), request)
}
