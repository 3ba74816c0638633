//! The face on a loopback port.
//!
//! hyper without a framework on top, since a dropped connection has to be dropped:
//! when a service fails, hyper closes the connection without a byte, and hands
//! the socket back, so that it can be reset.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::exchange::{Action, Answer, IncomingRequest};
use crate::settings::{API_PATH, TOKEN_PATH};
use crate::simulator::Simulator;

/// The port could not be taken.
#[derive(Debug, Error)]
#[error("cannot listen on 127.0.0.1:{port}: {source}")]
pub struct ServeError {
    /// The port that was asked for; 0 for any.
    pub port: u16,
    /// What the system says.
    pub source: io::Error,
}

/// A simulator that listens. Dropped, it stops at once.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// How long [`Running::stop`] waits for replies under way.
const GRACE: Duration = Duration::from_secs(2);

/// Puts a simulator on a port of 127.0.0.1, and of no other address; 0 takes any
/// free one. Several ports may be served by one simulator, also one after another.
///
/// # Errors
/// The port is taken, or not allowed.
pub async fn serve(simulator: Simulator, port: u16) -> Result<Running, ServeError> {
    let failed = |source| ServeError { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (stop, stopping) = watch::channel(false);
    let accepting = tokio::spawn(accept(listener, simulator, stopping));
    Ok(Running {
        address,
        stop,
        accepting,
    })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address to configure as `API_ENDPOINT`. Its path is the DfE's test
    /// receiver's, so it is known for a test receiver.
    pub fn api_endpoint(&self) -> String {
        format!("http://{}{API_PATH}", self.address)
    }

    /// The address to configure as `TOKEN_ENDPOINT`.
    pub fn token_endpoint(&self) -> String {
        format!("http://{}{TOKEN_PATH}", self.address)
    }

    /// Takes no more connections, finishes the replies under way (2 s at most)
    /// and closes the rest.
    pub async fn stop(mut self) {
        // Fails only when the accepting task is gone already.
        let _ = self.stop.send(true);
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The connections are the task's own and end with it.
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, simulator: Simulator, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopping.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, simulator.clone(), stopping.clone()));
                }
                Err(error) => {
                    // Out of file handles, most likely: give others time to free some.
                    tracing::warn!(%error, "the simulator could not take a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

/// A connection has to be cut.
#[derive(Debug)]
enum Cut {
    /// Closed, as by a server that goes down.
    Close,
    /// Reset, as by a firewall.
    Reset,
    /// The request's body ended early: there is nobody to reply to.
    NoRequest,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

async fn converse(stream: TcpStream, simulator: Simulator, mut stopping: watch::Receiver<bool>) {
    // Without it small replies wait for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(&simulator, request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut leaving = false;
    let end = loop {
        tokio::select! {
            end = &mut connection => break end,
            _ = stopping.changed(), if !leaving => {
                leaving = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let Err(error) = end else { return };
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(Cut::Reset) => {
            let stream = connection.into_parts().io.into_inner();
            if let Err(error) = stream.set_zero_linger() {
                tracing::warn!(%error, "a connection is closed instead of reset");
            }
        }
        Some(Cut::Close | Cut::NoRequest) => {}
        None => tracing::debug!(%error, "a connection to the simulator ended"),
    }
}

async fn respond(
    simulator: &Simulator,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = read(body).await.ok_or(Cut::NoRequest)?;
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let request = IncomingRequest {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        headers,
        body,
        now: Timestamp::now(),
    };
    let action = if request.path == "/state" && !is_own_host(&request) {
        let words = "the state is shown at 127.0.0.1 and localhost only";
        Action::Reply(Answer::text(421, words))
    } else {
        simulator.answer(request)
    };
    match action {
        Action::Reply(answer) => {
            sleep(answer.delay).await;
            Ok(response(answer))
        }
        Action::DropConnection {
            after_accepting,
            delay,
        } => {
            sleep(delay).await;
            Err(if after_accepting {
                Cut::Close
            } else {
                Cut::Reset
            })
        }
    }
}

/// The whole body, or its beginning where it is larger than the simulator takes;
/// `None` where it broke off.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.ok()?.into_data() {
            whole.extend_from_slice(&piece);
        }
        if whole.len() > IncomingRequest::BODY_LIMIT {
            break;
        }
    }
    Some(whole.freeze())
}

/// Whether the request is meant for this machine. A page in a browser could get
/// at `/state`, with the children in it, by giving its own host name the address
/// 127.0.0.1; the browser then names that host.
fn is_own_host(request: &IncomingRequest) -> bool {
    let Some(host) = request.header("host") else {
        // HTTP/1.0, which no browser speaks.
        return true;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response
        .body(Full::new(answer.body))
        .unwrap_or_else(|error| {
            let words = Bytes::from(format!("the reply can't be put in HTTP: {error}"));
            let mut failed = Response::new(Full::new(words));
            *failed.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            failed
        })
}
