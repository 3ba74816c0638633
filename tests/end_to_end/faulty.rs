//! A server that goes wrong on purpose, byte by byte, where no well-behaved HTTP library
//! would: it stands where the receiver, its token endpoint or a proxy would be.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// All faulty servers of the tests live on these threads.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
});

/// A request as it came.
pub struct Seen {
    /// The request line and the headers.
    pub head: String,
    pub body: Vec<u8>,
    /// An address that nobody may be sent on to.
    pub elsewhere: String,
}

impl Seen {
    /// How many records were posted.
    fn records(&self) -> usize {
        serde_json::from_slice::<Vec<serde_json::Value>>(&self.body).map_or(0, |list| list.len())
    }

    /// So many receipts, in the form of a JSON array.
    pub fn receipts_of(&self, count: usize) -> String {
        let receipts: Vec<String> = (0..count)
            .map(|n| format!("\"2026-11-24_02:00:00.{n:02}_{}.json\"", uuid(n)))
            .collect();
        format!("[{}]", receipts.join(","))
    }

    /// One receipt per record.
    pub fn receipts(&self) -> String {
        self.receipts_of(self.records())
    }

    /// Everything that was received, as a careless server quotes it.
    pub fn echo(&self) -> String {
        format!("{} {}", self.head, String::from_utf8_lossy(&self.body))
    }
}

fn uuid(n: usize) -> String {
    format!("6f9619ff-8b86-4011-b42d-{n:012}")
}

/// What the server does with its side of the connection. After the last step it closes.
pub enum Step {
    Send(Vec<u8>),
    /// One byte a second, for ever.
    Drip(u8),
    /// The same bytes, as fast as they are taken, for ever.
    Endless(&'static [u8]),
    /// Nothing, until the other side leaves.
    Silence,
    /// The connection is reset.
    Reset,
}

/// What a request is answered with.
pub type Answer = fn(&Seen) -> Vec<Step>;

/// A whole reply. The connection ends with it.
pub fn reply(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

/// A reply with a body of JSON.
pub fn json(status: &str, body: impl AsRef<[u8]>) -> Vec<Step> {
    reply(status, "content-type: application/json\r\n", body)
}

/// A reply with nothing in it but its status.
pub fn bare(status: &str) -> Vec<Step> {
    reply(status, "", "")
}

/// What comes first, then these steps.
pub fn then(mut first: Vec<Step>, more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    first.extend(more);
    first
}

pub fn send(bytes: &str) -> Vec<Step> {
    vec![Step::Send(bytes.as_bytes().to_vec())]
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As the receiver would answer.
pub fn accepted(seen: &Seen) -> Vec<Step> {
    json("200 OK", seen.receipts())
}

/// As the token endpoint would answer.
pub fn granted(_: &Seen) -> Vec<Step> {
    json(
        "200 OK",
        r#"{"access_token":"canaryaccesstoken","token_type":"Bearer","expires_in":3599}"#,
    )
}

/// How the server's side of TLS is.
#[derive(Clone, Copy, Debug)]
pub enum Tls {
    /// None at all: plain HTTP.
    None,
    /// As it should be.
    Good,
    /// The certificate is another host's.
    WrongName,
    Expired,
    NotYetValid,
    /// Signed by an authority that nobody has heard of.
    UnknownIssuer,
    SelfSigned,
    /// It speaks TLS 1.1 only.
    TooOld,
    /// It speaks HTTP where TLS is expected.
    Plain,
    /// The connection is reset in the middle of the handshake.
    ResetInHandshake,
    CloseInHandshake,
    /// It never answers the client's hello.
    SilentHandshake,
}

/// What a server does.
pub struct Script {
    pub tls: Tls,
    /// Connections are reset before a byte is read.
    pub reset_at_accept: bool,
    /// So many requests are answered well first.
    pub after: usize,
    /// Then so many badly, and again well.
    pub times: usize,
    pub good: Answer,
    pub bad: Answer,
    pub elsewhere: String,
}

impl Script {
    /// Nothing goes wrong yet.
    pub fn good(good: Answer) -> Script {
        Script {
            tls: Tls::None,
            reset_at_accept: false,
            after: 0,
            times: 0,
            good,
            bad: good,
            elsewhere: String::new(),
        }
    }
}

/// A server on a port of 127.0.0.1. Dropped, it stops.
pub struct Faulty {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Faulty {
    pub fn start(script: Script) -> Faulty {
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let script = Arc::new(script);
        let requests = Arc::new(AtomicUsize::new(0));
        let task = RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(converse(stream, Arc::clone(&script), Arc::clone(&requests)));
            }
        });
        Faulty {
            address,
            connections,
            task,
        }
    }

    /// How often somebody has connected.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port of 127.0.0.1 on which nobody listens. It is taken as long as the tests run: what knocks
/// there is not to come to a server of another test.
pub fn dead_port() -> u16 {
    static TAKEN: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    TAKEN.lock().unwrap().push(socket);
    port
}

async fn converse(mut stream: TcpStream, script: Arc<Script>, requests: Arc<AtomicUsize>) {
    if script.reset_at_accept {
        stream.set_zero_linger().unwrap();
        return;
    }
    match script.tls {
        Tls::None => serve(stream, &script, &requests).await,
        Tls::ResetInHandshake => {
            let _ = stream.read(&mut [0; 4096]).await;
            stream.set_zero_linger().unwrap();
        }
        Tls::CloseInHandshake => {
            let _ = stream.read(&mut [0; 4096]).await;
        }
        Tls::Plain => {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            until_gone(&mut stream).await;
        }
        Tls::SilentHandshake => until_gone(&mut stream).await,
        Tls::TooOld => {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&hello_of_tls_1_1()).await;
            until_gone(&mut stream).await;
        }
        tls @ (Tls::Good
        | Tls::WrongName
        | Tls::Expired
        | Tls::NotYetValid
        | Tls::UnknownIssuer
        | Tls::SelfSigned) => {
            if let Ok(stream) = acceptor(tls).accept(stream).await {
                serve(stream, &script, &requests).await;
            }
        }
    }
}

/// Sockets that can be reset, plain or within TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn reset(&self);
}

impl Stream for TcpStream {
    fn reset(&self) {
        self.set_zero_linger().unwrap();
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

async fn serve(mut stream: impl Stream, script: &Script, requests: &AtomicUsize) {
    let Some((head, body)) = request(&mut stream).await else {
        return;
    };
    let seen = Seen {
        head,
        body,
        elsewhere: script.elsewhere.clone(),
    };
    let before = requests.fetch_add(1, Ordering::SeqCst);
    let struck = before >= script.after && before - script.after < script.times;
    let answer = if struck { script.bad } else { script.good };
    for step in answer(&seen) {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            Step::Drip(byte) => {
                while stream.write_all(&[byte]).await.is_ok() && stream.flush().await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Step::Endless(bytes) => while stream.write_all(bytes).await.is_ok() {},
            Step::Silence => until_gone(&mut stream).await,
            Step::Reset => {
                // What was sent has to arrive before the reset overtakes it.
                tokio::time::sleep(Duration::from_millis(100)).await;
                stream.reset();
                return;
            }
        }
    }
    let _ = stream.shutdown().await;
    // A socket that is closed with unread bytes is reset, and the reply with it.
    until_gone(&mut stream).await;
}

async fn until_gone(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = [0; 4096];
    while matches!(stream.read(&mut rest).await, Ok(read) if read > 0) {}
}

/// Reads one request; `None` where it ends early.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap());
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}

/// A ServerHello that chooses TLS 1.1 (RFC 4346, 7.4.1.3): no library of today sends one.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]); // random
    hello.push(0); // no session id
    hello.extend([0xc0, 0x13, 0]); // ECDHE-RSA-AES128-SHA, no compression
    let mut message = vec![2, 0, 0, u8::try_from(hello.len()).unwrap()];
    message.append(&mut hello);
    let mut record = vec![22, 0x03, 0x02, 0, u8::try_from(message.len()).unwrap()];
    record.append(&mut message);
    record
}

/// The certificate authority that the tests trust.
struct Authority(CertifiedIssuer<'static, KeyPair>);

static TRUSTED: LazyLock<Authority> = LazyLock::new(|| Authority::new("A test's authority"));

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Authority(CertifiedIssuer::self_signed(params, key).unwrap())
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params
}

/// The trusted authority's certificate, as PEM.
pub fn trusted() -> String {
    TRUSTED.0.pem()
}

fn acceptor(tls: Tls) -> TlsAcceptor {
    let host = match tls {
        Tls::WrongName => "another-host.example",
        _ => "127.0.0.1",
    };
    let mut params = CertificateParams::new([host.to_string()]).unwrap();
    match tls {
        Tls::Expired => {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        Tls::NotYetValid => params.not_before = date_time_ymd(4000, 1, 1),
        _ => {}
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match tls {
        Tls::SelfSigned => params.self_signed(&key),
        Tls::UnknownIssuer => params.signed_by(&key, &Authority::new("Nobody's authority").0),
        _ => params.signed_by(&key, &TRUSTED.0),
    }
    .unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
