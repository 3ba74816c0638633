//! The face without a socket, for testing mode.

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use tokio::time::{sleep, timeout};

use csc_receiver::{Fault, FaultKind, Method, Reply, Request, Transport};

use crate::exchange::{Action, IncomingRequest};
use crate::simulator::Simulator;

/// A [`Transport`] that asks a simulator in this process. Only the path of an
/// address counts: scheme and host may be anything, nothing is resolved.
#[derive(Clone)]
pub struct InProcess(Simulator);

impl InProcess {
    /// A transport to that simulator.
    pub fn new(simulator: Simulator) -> Self {
        InProcess(simulator)
    }
}

/// The path of an address, without query and fragment.
fn path(url: &str) -> &str {
    let beyond_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let beyond_host = match beyond_scheme.find('/') {
        Some(at) => &beyond_scheme[at..],
        None => "/",
    };
    beyond_host.split(['?', '#']).next().unwrap_or("/")
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request) -> Result<Reply, Fault> {
        let method = match request.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.expose_secret().to_owned()))
            .collect();
        let action = self.0.answer(IncomingRequest {
            method: method.to_owned(),
            path: path(&request.url).to_owned(),
            headers,
            body: request.body,
            now: Timestamp::now(),
        });
        let delay = match &action {
            Action::Reply(answer) => answer.delay,
            Action::DropConnection { delay, .. } => *delay,
        };
        timeout(request.timeout, sleep(delay)).await.map_err(|_| {
            let words = format!(
                "no reply from the simulator within {} s",
                request.timeout.as_secs_f64()
            );
            Fault::new(FaultKind::Timeout, words)
        })?;
        match action {
            Action::Reply(answer) => Ok(Reply {
                status: answer.status,
                headers: answer
                    .headers
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
                body: answer.body.into(),
            }),
            Action::DropConnection { .. } => Err(Fault::new(
                FaultKind::Interrupted,
                "the simulator dropped the connection",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn the_path_is_what_follows_the_host() {
        for (url, expected) in [
            ("https://example.org/a/1/b", "/a/1/b"),
            ("https://example.org:8443/a?b=/c#d", "/a"),
            ("http://127.0.0.1:80", "/"),
            ("http://[::1]:80//a/", "//a/"),
            ("/a/b", "/a/b"),
        ] {
            assert_eq!(path(url), expected, "{url}");
        }
    }
}
