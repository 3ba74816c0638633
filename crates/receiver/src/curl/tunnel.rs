//! A connection without a request in it, for whoever looks at the way only.

use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use curl::easy::Easy2;
use url::Url;

use super::{Exchange, NetworkOptions, exchange};
use crate::transport::{Fault, Method, Request};

/// How long libcurl's socket, which it keeps to itself, is left alone where it has nothing
/// yet. The whole of a tunnel's life has a limit.
const LEFT_ALONE: Duration = Duration::from_millis(5);

/// Makes the connection that a request to `url` would go over, by proxy, logon and TLS with
/// its certificate checked as always, and ends it without sending anything.
pub(crate) fn connect(url: &Url, network: &NetworkOptions, timeout: Duration) -> Result<(), Fault> {
    let mut easy = Easy2::new(Exchange::default());
    let request = nothing(url, timeout);
    exchange(&mut easy, &request, network, &mut None, &mut |easy, _| {
        easy.connect_only(true)
    })
    .map(|_| ())
}

/// The same way to the same host and port, without TLS: what is in it is the caller's.
pub(crate) struct Tunnel {
    easy: Easy2<Exchange>,
    until: Instant,
}

impl Tunnel {
    pub(crate) fn open(
        url: &Url,
        network: &NetworkOptions,
        timeout: Duration,
    ) -> Result<Tunnel, Fault> {
        let until = Instant::now() + timeout;
        let mut easy = Easy2::new(Exchange::default());
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(443);
        exchange(
            &mut easy,
            &nothing(url, timeout),
            network,
            &mut None,
            &mut |easy, through_proxy| {
                easy.url(&format!("http://{host}:{port}/"))?;
                easy.http_proxy_tunnel(through_proxy)?;
                easy.connect_only(true)
            },
        )?;
        Ok(Tunnel { easy, until })
    }

    fn when_ready(
        &mut self,
        mut step: impl FnMut(&mut Easy2<Exchange>) -> Result<usize, curl::Error>,
    ) -> IoResult<usize> {
        loop {
            match step(&mut self.easy) {
                Err(error) if error.is_again() => {
                    if Instant::now() >= self.until {
                        return Err(Error::new(ErrorKind::TimedOut, "no answer in time"));
                    }
                    std::thread::sleep(LEFT_ALONE);
                }
                other => return other.map_err(Error::other),
            }
        }
    }
}

impl Read for Tunnel {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        self.when_ready(|easy| easy.recv(buffer))
    }
}

impl Write for Tunnel {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.when_ready(|easy| easy.send(bytes))
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

fn nothing(url: &Url, timeout: Duration) -> Request {
    Request {
        method: Method::Get,
        url: url.to_string(),
        headers: Vec::new(),
        body: Bytes::new(),
        timeout,
    }
}
