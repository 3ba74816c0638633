//! A small double of a TDS server (MS-TDS 7.4, without TLS): it answers each statement
//! as a script says, and can break off, fall silent or refuse where a real server
//! cannot be made to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A statement as it came in.
pub(super) struct Asked {
    /// Which connection it came on, counted from 1.
    pub(super) connection: usize,
    message: Vec<u8>,
}

impl Asked {
    /// Whether the message holds these words, in its SQL or in a value.
    pub(super) fn has(&self, words: &str) -> bool {
        let wanted = utf16(words);
        self.message.windows(wanted.len()).any(|at| at == wanted)
    }
}

/// One value of a row; its kind is its column's.
#[derive(Clone)]
pub(super) enum Cell {
    Number(Option<i64>),
    Text(Option<Vec<u8>>),
    Bytes(Vec<u8>),
}

pub(super) fn text(words: &str) -> Cell {
    Cell::Text(Some(utf16(words)))
}

/// What the double does about a statement.
#[derive(Clone)]
pub(super) enum Answer {
    Rows(Vec<Vec<Cell>>),
    Nothing,
    /// Number, severity, words.
    Error(u32, u8, &'static str),
    /// The first half of an answer, then the connection ends.
    Cut,
    /// No answer at all; the connection stays.
    Silence,
}

/// What it says at the logon.
#[derive(Clone, Copy)]
pub(super) enum Door {
    Open,
    Refused(u32, &'static str),
    Silent,
}

type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

pub(super) struct Double {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Double {
    pub(super) async fn start(
        door: Door,
        script: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Double {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::spawn({
            let (asked, connections) = (Arc::clone(&asked), Arc::clone(&connections));
            async move {
                let mut served = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                    let (asked, script) = (Arc::clone(&asked), Arc::clone(&script));
                    // A client that hangs up ends its own conversation.
                    served.spawn(async move {
                        let _ = serve(stream, number, door, &*script, &asked).await;
                    });
                }
            }
        });
        Double {
            address,
            asked,
            connections,
            task,
        }
    }

    /// How often somebody connected.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The connections on which a statement with these words came.
    pub(super) fn heard(&self, words: &str) -> Vec<usize> {
        let asked = self.asked.lock().unwrap();
        let of = asked.iter().filter(|asked| asked.has(words));
        of.map(|asked| asked.connection).collect()
    }

    /// The server is gone: nobody listens, and every connection ends.
    pub(super) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

const PRELOGIN: u8 = 0x12;
const LOGIN: u8 = 0x10;
const RPC: u8 = 0x03;
const BATCH: u8 = 0x01;

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    door: Door,
    script: &Script,
    asked: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    loop {
        let (kind, message) = receive(&mut stream).await?;
        let (tokens, cut) = match kind {
            PRELOGIN => (prelogin(), false),
            LOGIN => match door {
                Door::Open => (logged_on(), false),
                Door::Refused(number, words) => (error(number, 14, words), false),
                Door::Silent => std::future::pending().await,
            },
            RPC | BATCH => {
                let statement = Asked {
                    connection,
                    message,
                };
                let answer = script(&statement);
                asked.lock().unwrap().push(statement);
                match answer {
                    Answer::Rows(rows) => (result(&rows), false),
                    Answer::Nothing => (done(0), false),
                    Answer::Error(number, class, words) => (error(number, class, words), false),
                    Answer::Cut => (result(&[vec![text("half an answer")]]), true),
                    Answer::Silence => std::future::pending().await,
                }
            }
            _ => return Ok(()),
        };
        send(&mut stream, &tokens, cut).await?;
        if cut {
            return Ok(());
        }
    }
}

/// A whole message: its packets up to the one that is marked as the last.
async fn receive(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut message = Vec::new();
    loop {
        let mut header = [0u8; 8];
        stream.read_exact(&mut header).await?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut body = vec![0u8; length - header.len()];
        stream.read_exact(&mut body).await?;
        message.extend_from_slice(&body);
        if header[1] & 1 == 1 {
            return Ok((header[0], message));
        }
    }
}

async fn send(stream: &mut TcpStream, tokens: &[u8], cut: bool) -> std::io::Result<()> {
    let mut packets = Vec::new();
    let bodies: Vec<&[u8]> = tokens.chunks(4000).collect();
    for (at, body) in bodies.iter().enumerate() {
        let last = u8::from(at + 1 == bodies.len());
        packets.extend_from_slice(&[0x04, last]);
        packets.extend_from_slice(&u16::try_from(body.len() + 8).unwrap().to_be_bytes());
        packets.extend_from_slice(&[0, 0, 1, 0]);
        packets.extend_from_slice(body);
    }
    let end = if cut {
        packets.len() / 2
    } else {
        packets.len()
    };
    stream.write_all(&packets[..end]).await?;
    stream.flush().await
}

fn utf16(words: &str) -> Vec<u8> {
    words.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A text after the number of its characters in one byte.
fn short(words: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(words.encode_utf16().count()).unwrap()];
    bytes.extend(utf16(words));
    bytes
}

/// A token whose length stands in two bytes after its type.
fn token(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Version 16, and no encryption to be had.
fn prelogin() -> Vec<u8> {
    let mut bytes = vec![0x00, 0, 11, 0, 6, 0x01, 0, 17, 0, 1, 0xFF];
    bytes.extend_from_slice(&[16, 0, 0x03, 0xE8, 0, 0]);
    bytes.push(0x02);
    bytes
}

fn logged_on() -> Vec<u8> {
    let change = |kind: u8, new: &str, old: &str| {
        token(0xE3, &[vec![kind], short(new), short(old)].concat())
    };
    let mut bytes = change(1, "HDM_Local", "master");
    bytes.extend(change(4, "4096", "4096"));
    // Latin1_General_CI_AS.
    bytes.extend(token(0xE3, &[7, 5, 0x09, 0x04, 0xD0, 0x00, 0x34, 0]));
    let version = [0x74, 0, 0, 0x04];
    let acknowledged = [
        vec![1],
        version.to_vec(),
        short("Double"),
        vec![16, 0, 3, 0xE8],
    ]
    .concat();
    bytes.extend(token(0xAD, &acknowledged));
    bytes.extend(done(0));
    bytes
}

fn done(status: u16) -> Vec<u8> {
    let mut bytes = vec![0xFD];
    bytes.extend_from_slice(&status.to_le_bytes());
    bytes.extend_from_slice(&[0; 10]);
    bytes
}

fn error(number: u32, class: u8, words: &str) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.extend_from_slice(&[1, class]);
    body.extend_from_slice(
        &u16::try_from(words.encode_utf16().count())
            .unwrap()
            .to_le_bytes(),
    );
    body.extend(utf16(words));
    body.extend(short("DOUBLE"));
    body.extend(short(""));
    body.extend_from_slice(&1u32.to_le_bytes());
    let mut bytes = token(0xAA, &body);
    bytes.extend(done(0x02));
    bytes
}

/// A set of rows. Texts are NVARCHAR(MAX), numbers BIGINT, bytes VARBINARY(8000).
fn result(rows: &[Vec<Cell>]) -> Vec<u8> {
    let kinds = rows
        .first()
        .cloned()
        .unwrap_or_else(|| vec![Cell::Number(None)]);
    let mut bytes = vec![0x81];
    bytes.extend_from_slice(&u16::try_from(kinds.len()).unwrap().to_le_bytes());
    for kind in &kinds {
        bytes.extend_from_slice(&[0, 0, 0, 0, 9, 0]);
        match kind {
            Cell::Number(_) => bytes.extend_from_slice(&[0x26, 8]),
            Cell::Text(_) => {
                bytes.extend_from_slice(&[0xE7, 0xFF, 0xFF, 0x09, 0x04, 0xD0, 0x00, 0x34]);
            }
            Cell::Bytes(_) => bytes.extend_from_slice(&[0xA5, 0x40, 0x1F]),
        }
        bytes.extend(short("c"));
    }
    for row in rows {
        bytes.push(0xD1);
        for cell in row {
            match cell {
                Cell::Number(None) => bytes.push(0),
                Cell::Number(Some(number)) => {
                    bytes.push(8);
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
                Cell::Text(None) => bytes.extend_from_slice(&[0xFF; 8]),
                Cell::Text(Some(text)) => {
                    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
                    if !text.is_empty() {
                        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
                        bytes.extend_from_slice(text);
                    }
                    bytes.extend_from_slice(&[0; 4]);
                }
                Cell::Bytes(value) => {
                    bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_le_bytes());
                    bytes.extend_from_slice(value);
                }
            }
        }
    }
    bytes.extend(done(0x10));
    bytes
}
