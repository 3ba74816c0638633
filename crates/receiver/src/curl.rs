//! libcurl as the transport, because the users' proxies speak NTLM and Negotiate.
//!
//! One thread owns one libcurl handle, so the connection is kept between posts. It
//! never follows a redirect, never retries, and checks certificates against the
//! system's own trust store.

use std::io::SeekFrom;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use curl::easy::{Auth, Easy2, Handler, List, ReadError, SeekResult, SslVersion, WriteError};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;

use crate::transport::{Fault, FaultKind, Method, Reply, Request, Transport};

/// The most that is read of a reply's body: a hundred receipts are 7 kB.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// The most that is read of a reply's headers.
const LARGEST_HEADERS: usize = 256 * 1024;

/// Which proxy to use, if not the one that the environment names
/// (`https_proxy`, `no_proxy` and their kin, as libcurl reads them).
#[derive(Clone, Default)]
pub struct ProxyOptions {
    /// `http://host:port`; it may hold credentials.
    pub url: Option<SecretString>,
}

/// libcurl on a thread of its own.
pub struct CurlTransport {
    jobs: SyncSender<Job>,
}

struct Job {
    request: Request,
    answer: oneshot::Sender<Result<Reply, Fault>>,
}

impl CurlTransport {
    /// Starts the thread. It ends when the transport is dropped.
    pub fn new(proxy: ProxyOptions) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(1);
        std::thread::Builder::new()
            .name("receiver".into())
            .spawn(move || work(&queue, &proxy))?;
        Ok(CurlTransport { jobs })
    }
}

#[async_trait]
impl Transport for CurlTransport {
    async fn send(&self, request: Request) -> Result<Reply, Fault> {
        let gone = || Fault {
            kind: FaultKind::Other,
            words: "the program's HTTP thread has ended".into(),
        };
        let (answer, reply) = oneshot::channel();
        let jobs = self.jobs.clone();
        // The queue holds one request; a second one waits here without blocking the runtime.
        tokio::task::spawn_blocking(move || jobs.send(Job { request, answer }))
            .await
            .map_err(|_| gone())?
            .map_err(|_| gone())?;
        reply.await.map_err(|_| gone())?
    }
}

fn work(queue: &Receiver<Job>, proxy: &ProxyOptions) {
    let mut easy = Easy2::new(Exchange::default());
    for job in queue {
        let result = exchange(&mut easy, job.request, proxy);
        // Whoever asked may have gone away meanwhile.
        let _ = job.answer.send(result);
    }
}

fn exchange(
    easy: &mut Easy2<Exchange>,
    request: Request,
    proxy: &ProxyOptions,
) -> Result<Reply, Fault> {
    *easy.get_mut() = Exchange {
        body: request.body.clone(),
        ..Exchange::default()
    };
    easy.reset(); // keeps live connections and the DNS cache
    let performed = configure(easy, &request, proxy).and_then(|()| easy.perform());
    let connect_code = easy.http_connectcode().unwrap_or(0);
    let exchange = std::mem::take(easy.get_mut());
    if let Err(error) = performed {
        // A proxy that refuses the tunnel gives no reply, only its status.
        if connect_code == 407 {
            return Ok(Reply {
                status: 407,
                headers: exchange.headers,
                body: Vec::new(),
            });
        }
        return Err(fault(&error, exchange.too_much, connect_code));
    }
    let status = easy
        .response_code()
        .map_err(|error| fault(&error, false, connect_code))?;
    Ok(Reply {
        status: u16::try_from(status).unwrap_or(0),
        headers: exchange.headers,
        body: exchange.reply,
    })
}

fn configure(
    easy: &mut Easy2<Exchange>,
    request: &Request,
    proxy: &ProxyOptions,
) -> Result<(), curl::Error> {
    easy.url(&request.url)?;
    easy.follow_location(false)?;
    easy.timeout(request.timeout)?;
    easy.connect_timeout(request.timeout.min(Duration::from_secs(30)))?;
    easy.ssl_min_max_version(SslVersion::Tlsv12, SslVersion::Tlsv13)?;
    easy.accept_encoding("gzip")?;
    if is_loopback(&request.url) {
        easy.noproxy("*")?;
    } else if let Some(url) = &proxy.url {
        easy.proxy(url.expose_secret())?;
    }
    // The logon's own credentials where the proxy wants them and none were given.
    let mut auth = Auth::new();
    auth.basic(true).ntlm(true).gssnegotiate(cfg!(windows));
    easy.proxy_auth(&auth)?;
    if cfg!(windows) {
        easy.proxy_username("")?;
        easy.proxy_password("")?;
    }
    let mut headers = List::new();
    for (name, value) in &request.headers {
        headers.append(&format!("{name}: {}", value.expose_secret()))?;
    }
    // Without this libcurl asks for leave before a body of over 1 MiB, and waits a
    // second for firewalls that never answer.
    headers.append("Expect:")?;
    match request.method {
        Method::Get => easy.get(true)?,
        Method::Post => {
            easy.post(true)?;
            easy.post_field_size(request.body.len() as u64)?;
        }
    }
    easy.http_headers(headers)
}

/// Whether an address is this machine's own, where no proxy has a place.
fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or(host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host.split(':').next().unwrap_or(host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// libcurl's own limit of headers (CURLE_TOO_LARGE), which its Rust names lack.
const TOO_LARGE: i64 = 100;

/// What libcurl says where the connection ended in the middle of the TLS handshake. Its
/// code is then the same as where no common protocol is found.
const LOST_IN_HANDSHAKE: [&str; 5] = [
    "Recv failure",
    "Send failure",
    "unexpected eof",
    "SSL_ERROR_SYSCALL",
    "failed to receive handshake",
];

fn is_lost_in_handshake(error: &curl::Error) -> bool {
    let said = error.extra_description().unwrap_or_default();
    error.is_ssl_connect_error() && LOST_IN_HANDSHAKE.iter().any(|words| said.contains(words))
}

fn fault(error: &curl::Error, too_much: bool, connect_code: u32) -> Fault {
    let too_much = too_much || i64::from(error.code()) == TOO_LARGE;
    let kind = if too_much {
        FaultKind::TooMuch
    } else if error.is_couldnt_resolve_host() {
        FaultKind::Dns
    } else if error.is_couldnt_resolve_proxy() || connect_code >= 300 {
        FaultKind::Proxy
    } else if error.is_couldnt_connect() {
        FaultKind::Connect
    } else if error.is_operation_timedout() {
        FaultKind::Timeout
    } else if is_lost_in_handshake(error) {
        FaultKind::Interrupted
    } else if error.is_ssl_connect_error()
        || error.is_peer_failed_verification()
        || error.is_ssl_cacert()
        || error.is_ssl_certproblem()
        || error.is_ssl_cacert_badfile()
        || error.is_ssl_issuer_error()
        || error.is_ssl_cipher()
    {
        FaultKind::Tls
    } else if error.is_got_nothing()
        || error.is_recv_error()
        || error.is_send_error()
        || error.is_partial_file()
        || error.is_send_fail_rewind()
    {
        FaultKind::Interrupted
    } else {
        FaultKind::Other
    };
    let words = match error.extra_description() {
        _ if too_much => format!(
            "the reply is larger than is read ({} KiB of headers, {} MiB of body)",
            LARGEST_HEADERS / 1024,
            LARGEST_BODY / 1024 / 1024
        ),
        Some(more) => format!("{} ({more})", error.description()),
        None => error.description().to_string(),
    };
    Fault { kind, words }
}

/// One exchange under way.
#[derive(Default)]
struct Exchange {
    body: Bytes,
    sent: usize,
    reply: Vec<u8>,
    headers: Vec<(String, String)>,
    header_bytes: usize,
    too_much: bool,
}

impl Handler for Exchange {
    fn read(&mut self, data: &mut [u8]) -> Result<usize, ReadError> {
        let rest = self.body.get(self.sent..).unwrap_or_default();
        let length = rest.len().min(data.len());
        data[..length].copy_from_slice(&rest[..length]);
        self.sent += length;
        Ok(length)
    }

    /// libcurl rewinds to send a body again on a new connection when a kept one turns
    /// out to be dead. Whether the receiver had taken the batch by then is unknown, so
    /// it may not do that on its own: what is sent twice is for the run to decide and
    /// to write down.
    fn seek(&mut self, whence: SeekFrom) -> SeekResult {
        match whence {
            SeekFrom::Start(0) if self.sent == 0 => SeekResult::Ok,
            SeekFrom::Start(_) | SeekFrom::End(_) | SeekFrom::Current(_) => SeekResult::Fail,
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        if self.reply.len() + data.len() > LARGEST_BODY {
            self.too_much = true;
            return Ok(0);
        }
        self.reply.extend_from_slice(data);
        Ok(data.len())
    }

    fn header(&mut self, data: &[u8]) -> bool {
        self.header_bytes += data.len();
        if self.header_bytes > LARGEST_HEADERS {
            self.too_much = true;
            return false;
        }
        let line = String::from_utf8_lossy(data);
        if line.starts_with("HTTP/") {
            // A reply after a proxy's, or after 100 Continue: the last one counts.
            self.headers.clear();
        } else if let Some((name, value)) = line.split_once(':') {
            self.headers
                .push((name.trim().to_ascii_lowercase(), value.trim().to_string()));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_other_hosts() {
        for url in [
            "http://localhost:80/x",
            "http://127.0.0.1/",
            "http://127.9.9.9:1",
            "http://[::1]:8/x",
            "http://LOCALHOST",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "https://pp-api.education.gov.uk/x",
            "http://localhost.example/",
            "http://10.0.0.1",
            "https://127.0.0.1.example/",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn this_libcurl_speaks_ntlm() {
        assert!(curl::Version::get().feature_ntlm());
    }
}
