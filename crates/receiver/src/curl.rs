//! libcurl as the transport, because the users' proxies speak NTLM and Negotiate.
//!
//! A thread owns one libcurl handle, so its connection is kept between posts; there are as
//! many as posts are made at the same time. It never follows a redirect, never retries, and always checks certificates, against the
//! system's own trust store and CA_BUNDLE. What it reads of a reply is limited, after
//! decompression, and so is the time: one limit for all of an exchange, however slowly its
//! parts come, and a shorter one until the connection stands (name, TCP, proxy, TLS).

mod threads;
mod tunnel;

use std::io::SeekFrom;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use curl::easy::{Auth, Easy2, Handler, List, ReadError, SeekResult, SslVersion, WriteError};
use secrecy::ExposeSecret;
use tokio::sync::oneshot;
use url::Url;

use crate::proxy::{
    AuthScheme, Direct, NamedProxy, Proxies, ProxyLogon, Route, logon_wanted, offered_schemes,
    tunnel_refused,
};
use crate::transport::{Fault, FaultKind, Method, Reply, Request, Transport};
use crate::trust::CaBundle;

use threads::Threads;
pub(crate) use tunnel::{Tunnel, connect};

/// The most that is read of a reply's body: a hundred receipts are 7 kB.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// The most that is read of a reply's headers.
const LARGEST_HEADERS: usize = 256 * 1024;

/// The longest until the connection stands, where an exchange may take longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How the network is used. No `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct NetworkOptions {
    /// Which proxy is used for which address.
    pub proxies: Proxies,
    /// CA_BUNDLE.
    pub ca_bundle: Option<CaBundle>,
}

/// libcurl on a thread of its own.
pub struct CurlTransport {
    jobs: SyncSender<Job>,
    /// Dropped after the jobs: without them each of the threads ends.
    _threads: Threads,
}

struct Job {
    request: Request,
    answer: oneshot::Sender<Result<Reply, Fault>>,
}

impl CurlTransport {
    /// Starts the threads. They end with the transport.
    pub fn new(network: NetworkOptions, connections: usize) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(1);
        let queue = Arc::new(Mutex::new(queue));
        let threads = Threads::start(connections.max(1), |abandoned| {
            let (queue, network) = (Arc::clone(&queue), network.clone());
            move || work(&queue, &network, &abandoned)
        })?;
        Ok(CurlTransport {
            jobs,
            _threads: threads,
        })
    }
}

#[async_trait]
impl Transport for CurlTransport {
    async fn send(&self, request: Request) -> Result<Reply, Fault> {
        let gone = || Fault::new(FaultKind::Other, "the program's HTTP thread has ended");
        let (answer, reply) = oneshot::channel();
        // The queue holds one request; a second one waits without blocking the runtime.
        match self.jobs.try_send(Job { request, answer }) {
            Ok(()) => {}
            Err(TrySendError::Disconnected(_)) => return Err(gone()),
            Err(TrySendError::Full(job)) => {
                let jobs = self.jobs.clone();
                tokio::task::spawn_blocking(move || jobs.send(job))
                    .await
                    .map_err(|_| gone())?
                    .map_err(|_| gone())?;
            }
        }
        reply.await.map_err(|_| gone())?
    }
}

fn work(queue: &Mutex<Receiver<Job>>, network: &NetworkOptions, abandoned: &Arc<AtomicBool>) {
    let mut easy = Easy2::new(Exchange::default());
    let mut reached = None;
    loop {
        // The lock is let go before the exchange begins.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let result = exchange(
            &mut easy,
            &job.request,
            network,
            &mut reached,
            &mut |easy, _| {
                easy.get_mut().abandoned = Arc::clone(abandoned);
                easy.progress(true)
            },
        );
        // Whoever asked may have gone away meanwhile.
        let _ = job.answer.send(result);
    }
}

/// What more is to be set; it is told whether a proxy is used.
type More<'a> = dyn FnMut(&mut Easy2<Exchange>, bool) -> Result<(), curl::Error> + 'a;

/// One exchange, without a proxy or through the first that can be reached. `reached` is
/// the proxy that was, the last time: it is tried first. `more` has more to set before an
/// attempt begins.
fn exchange(
    easy: &mut Easy2<Exchange>,
    request: &Request,
    network: &NetworkOptions,
    reached: &mut Option<String>,
    more: &mut More<'_>,
) -> Result<Reply, Fault> {
    let url = Url::parse(&request.url)
        .map_err(|e| Fault::new(FaultKind::Other, format!("{}: {e}", request.url)))?;
    for (name, value) in &request.headers {
        // What follows it would be a header of its own.
        if value.expose_secret().chars().any(char::is_control) {
            let words = format!("there is a line break or control character in {name}");
            return Err(Fault::new(FaultKind::Other, words));
        }
    }
    let mut proxies = match network.proxies.route(&url) {
        Route::Direct(why) => {
            let tried = attempt(
                easy,
                request,
                network,
                None,
                &url,
                Limits::of(request),
                more,
            );
            return tried.result.map_err(|fault| explained(fault, &why));
        }
        Route::Through(ways) => {
            let mut proxies = ways.then;
            proxies.insert(0, ways.first);
            proxies
        }
    };
    let is_reached = |proxy: &NamedProxy| Some(proxy.address.to_string()) == *reached;
    if let Some(at) = proxies.iter().position(is_reached) {
        proxies[..=at].rotate_right(1);
    }
    let begun = Instant::now();
    let mut untried = proxies.len() as u32;
    loop {
        // There is one at least, and the last one ends the loop.
        let proxy = &proxies[proxies.len() - untried as usize];
        let limits = Limits::for_one_of(untried, request.timeout.saturating_sub(begun.elapsed()));
        let tried = attempt(easy, request, network, Some(proxy), &url, limits, more);
        untried -= 1;
        if !tried.is_unreached {
            *reached = Some(proxy.address.to_string());
        }
        match tried.result {
            Err(fault) if tried.is_unreached && untried > 0 => tracing::debug!("{fault}"),
            result => return result,
        }
    }
}

/// How long an attempt may take.
#[derive(Clone, Copy)]
struct Limits {
    whole: Duration,
    until_connected: Duration,
}

impl Limits {
    fn of(request: &Request) -> Limits {
        Limits::for_one_of(1, request.timeout)
    }

    /// Leaves time for the others, where this one can't be reached.
    fn for_one_of(several: u32, left: Duration) -> Limits {
        // To libcurl nothing is no limit.
        let whole = left.max(Duration::from_millis(1));
        Limits {
            whole,
            until_connected: (whole / several).clamp(Duration::from_millis(1), CONNECT_TIMEOUT),
        }
    }
}

/// What came of an attempt.
struct Tried {
    result: Result<Reply, Fault>,
    /// No connection to the proxy was made, so nothing was sent.
    is_unreached: bool,
}

fn attempt(
    easy: &mut Easy2<Exchange>,
    request: &Request,
    network: &NetworkOptions,
    proxy: Option<&NamedProxy>,
    url: &Url,
    limits: Limits,
    more: &mut More<'_>,
) -> Tried {
    *easy.get_mut() = Exchange {
        body: request.body.clone(),
        ..Exchange::default()
    };
    easy.reset(); // keeps live connections and the DNS cache
    let performed = configure(easy, request, network, proxy, limits)
        .and_then(|()| more(easy, proxy.is_some()))
        .and_then(|()| easy.perform());
    let tunnel_status = easy.http_connectcode().unwrap_or(0);
    let connected = easy.connect_time().is_ok_and(|time| !time.is_zero());
    let mut exchange = std::mem::take(easy.get_mut());
    let status = performed.and_then(|()| easy.response_code());
    let wants_logon = tunnel_status == 407 || matches!(status, Ok(407));
    let is_unreached = proxy.is_some()
        && !connected
        && exchange.sent == 0
        && status.as_ref().is_err_and(|error| {
            error.is_couldnt_connect()
                || error.is_couldnt_resolve_proxy()
                || error.is_operation_timedout()
        });
    let result = match (status, proxy) {
        (_, Some(proxy)) if wants_logon => Err(Fault {
            kind: FaultKind::Proxy,
            words: format!("407 from the proxy {proxy}"),
            last_word: Some(logon_wanted(
                proxy,
                &network.proxies.logon,
                &offered_schemes(&exchange.headers),
                &place(url),
            )),
        }),
        (Ok(status), _) => Ok(Reply {
            status: u16::try_from(status).unwrap_or(0),
            headers: std::mem::take(&mut exchange.headers),
            body: std::mem::take(&mut exchange.reply),
        }),
        (Err(error), Some(proxy)) => {
            Err(fault_behind(&error, &exchange, proxy, tunnel_status, url))
        }
        (Err(error), None) => Err(fault(&error, &exchange)),
    };
    Tried {
        result,
        is_unreached,
    }
}

/// Where the system names proxies and none can be used, that may be why the receiver
/// can't be reached.
fn explained(fault: Fault, why: &Direct) -> Fault {
    let may_be_why = matches!(
        fault.kind,
        FaultKind::Dns | FaultKind::Connect | FaultKind::Timeout
    );
    match why {
        Direct::Unusable(why) if may_be_why => Fault {
            words: format!("{}, without a proxy: {why}", fault.words),
            ..fault
        },
        Direct::NoneNamed
        | Direct::ThisMachine
        | Direct::Excepted(..)
        | Direct::Said(_)
        | Direct::Unusable(_) => fault,
    }
}

fn configure(
    easy: &mut Easy2<Exchange>,
    request: &Request,
    network: &NetworkOptions,
    proxy: Option<&NamedProxy>,
    limits: Limits,
) -> Result<(), curl::Error> {
    easy.url(&request.url)?;
    easy.follow_location(false)?;
    easy.timeout(limits.whole)?;
    easy.connect_timeout(limits.until_connected)?;
    easy.ssl_verify_peer(true)?;
    easy.ssl_verify_host(true)?;
    // That or later. With a latest version named, libcurl refuses every connection on a
    // Windows that lacks it: TLS 1.3 begins with Windows 11 and Server 2022.
    easy.ssl_version(SslVersion::Tlsv12)?;
    if let Some(bundle) = &network.ca_bundle {
        easy.ssl_cainfo_blob(bundle.pem())?;
    }
    easy.accept_encoding("gzip")?;
    match proxy {
        // Said outright: libcurl would read the environment itself.
        None => easy.proxy("")?,
        Some(proxy) => {
            easy.proxy(&proxy.address.to_string())?;
            easy.noproxy("")?;
            easy.proxy_ssl_version(SslVersion::Tlsv12)?;
            if let Some(bundle) = &network.ca_bundle {
                easy.proxy_ssl_cainfo_blob(bundle.pem())?;
            }
            log_on(easy, &network.proxies.logon, proxy)?;
        }
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

fn log_on(
    easy: &mut Easy2<Exchange>,
    logon: &ProxyLogon,
    proxy: &NamedProxy,
) -> Result<(), curl::Error> {
    let credentials = logon.credentials(&proxy.address);
    let schemes = logon.schemes(credentials.is_some());
    if schemes.is_empty() {
        return Ok(());
    }
    let mut auth = Auth::new();
    for scheme in schemes {
        match scheme {
            AuthScheme::Basic => auth.basic(true),
            AuthScheme::Digest => auth.digest(true),
            AuthScheme::Ntlm => auth.ntlm(true),
            AuthScheme::Negotiate => auth.gssnegotiate(true),
        };
    }
    easy.proxy_auth(&auth)?;
    match credentials {
        Some(credentials) => {
            easy.proxy_username(credentials.user)?;
            easy.proxy_password(credentials.password.map_or("", |p| p.expose_secret()))
        }
        // libcurl asks the system for the account's own logon where a user is set, but
        // blank.
        None => {
            easy.proxy_username("")?;
            easy.proxy_password("")
        }
    }
}

/// The host and port of an address, as a person knows them.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    }
}

/// What went wrong on the way through a proxy.
fn fault_behind(
    error: &curl::Error,
    exchange: &Exchange,
    proxy: &NamedProxy,
    tunnel_status: u32,
    url: &Url,
) -> Fault {
    match tunnel_status {
        // Busy, or without an answer from the host itself: that may pass.
        408 | 429 | 500.. => {
            return Fault::new(
                FaultKind::Proxy,
                format!(
                    "the proxy {proxy} gets no connection to {} (status {tunnel_status})",
                    place(url)
                ),
            );
        }
        300.. => {
            return Fault {
                kind: FaultKind::Proxy,
                words: format!("status {tunnel_status} from the proxy {proxy}"),
                last_word: Some(tunnel_refused(proxy, tunnel_status, &place(url))),
            };
        }
        _ => {}
    }
    // With a proxy libcurl connects to nothing else.
    let unreached = error.is_couldnt_connect() || error.is_couldnt_resolve_proxy();
    if unreached || error.code() == FAILED_AT_PROXY {
        let words = error.extra_description().unwrap_or(error.description());
        return Fault::new(
            FaultKind::Proxy,
            format!("the proxy {proxy} can't be reached: {words}"),
        );
    }
    let fault = fault(error, exchange);
    Fault::new(
        fault.kind,
        format!("{}, on the way through the proxy {proxy}", fault.words),
    )
}

/// `CURLE_PROXY`, which the crate has no name for: a SOCKS proxy said no.
const FAILED_AT_PROXY: u32 = 97;

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

fn fault(error: &curl::Error, exchange: &Exchange) -> Fault {
    let too_much = exchange.too_much || i64::from(error.code()) == TOO_LARGE;
    let kind = if too_much {
        FaultKind::TooMuch
    } else if error.is_couldnt_resolve_host() {
        FaultKind::Dns
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
    if too_much {
        let words = format!(
            "the reply is larger than is read ({} KiB of headers, {} MiB of body)",
            LARGEST_HEADERS / 1024,
            LARGEST_BODY / 1024 / 1024
        );
        return Fault::new(kind, words);
    }
    Fault::new(kind, words(error))
}

fn words(error: &curl::Error) -> String {
    match error.extra_description() {
        Some(more) => format!("{} ({more})", error.description()),
        None => error.description().to_string(),
    }
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
    /// A proxy wants a logon first, so the receiver has seen nothing of the body.
    held_up: bool,
    /// Whether nobody waits for it any more.
    abandoned: Arc<AtomicBool>,
}

impl Handler for Exchange {
    /// libcurl asks now and then, and once a second where nothing comes.
    fn progress(&mut self, _: f64, _: f64, _: f64, _: f64) -> bool {
        !self.abandoned.load(Ordering::Relaxed)
    }

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
    /// to write down. After a proxy's 407 it is known: nothing was passed on.
    fn seek(&mut self, whence: SeekFrom) -> SeekResult {
        match whence {
            SeekFrom::Start(0) if self.sent == 0 || self.held_up => {
                self.sent = 0;
                self.held_up = false;
                SeekResult::Ok
            }
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
            self.held_up = line.split_whitespace().nth(1) == Some("407");
        } else if let Some((name, value)) = line.split_once(':') {
            self.headers
                .push((name.trim().to_ascii_lowercase(), value.trim().to_string()));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_looked_up_beside_the_thread_that_counts_the_time() {
        assert!(curl::Version::get().feature_async_dns());
    }

    #[test]
    fn this_libcurl_speaks_ntlm_and_negotiate_where_the_build_says_so() {
        let version = curl::Version::get();
        assert!(version.feature_ntlm());
        assert!(version.feature_ssl());
        let negotiates = version.feature_spnego() || version.feature_sspi();
        assert_eq!(negotiates, crate::proxy::HAS_NEGOTIATE);
    }
}
