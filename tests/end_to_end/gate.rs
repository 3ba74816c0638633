//! A way from the program to a server that can be held, so that what is on it arrives
//! nowhere until it is opened again, as on a network that drops; or shut, which ends every
//! connection and lets none begin, as where the server has gone.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::place::until;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
});

#[derive(Clone, Default)]
struct State {
    held: bool,
    /// What it is held for, once the server says something.
    hold_when: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    shut: bool,
    /// How often it was shut: no connection outlives that.
    times_shut: u32,
}

pub struct Gate {
    pub address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open way to that address.
    pub fn to(server: SocketAddr) -> Gate {
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(State::default()));
        let shared = Arc::clone(&state);
        let task = RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.borrow().shut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let up = pass(from_client, to_server, shared.subscribe(), || ());
                let state = Arc::clone(&shared);
                let down = pass(from_server, to_client, shared.subscribe(), move || {
                    hold_where_told(&state);
                });
                tokio::spawn(up);
                tokio::spawn(down);
            }
        });
        Gate {
            address,
            state,
            task,
        }
    }

    pub fn hold(&self) {
        self.state.send_modify(|state| state.held = true);
    }

    /// Open until the server says something while that is so: these words are held back, and
    /// whatever comes after them. What a server does before it replies is never missed so.
    pub fn hold_when(&self, is_so: impl Fn() -> bool + Send + Sync + 'static) {
        self.state.send_modify(|state| {
            state.held = false;
            state.hold_when = Some(Arc::new(is_so));
        });
    }

    pub fn until_held(&self) {
        until(|| self.state.borrow().held, "the gate to be held");
    }

    #[cfg(unix)]
    pub fn shut(&self) {
        self.state.send_modify(|state| {
            state.shut = true;
            state.times_shut += 1;
        });
    }

    pub fn open(&self) {
        self.state.send_modify(|state| {
            state.held = false;
            state.hold_when = None;
            state.shut = false;
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn hold_where_told(state: &watch::Sender<State>) {
    let hold_when = state.borrow().hold_when.clone();
    if hold_when.is_some_and(|is_so| is_so()) {
        state.send_modify(|state| state.held = true);
    }
}

/// Passes on what is read, after `heard`.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut states: watch::Receiver<State>,
    heard: impl Fn(),
) {
    let begun = states.borrow().times_shut;
    let mut ended = states.clone();
    let passing = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut bytes).await.unwrap_or(0);
            heard();
            if states.wait_for(|state| !state.held).await.is_err()
                || read == 0
                || to.write_all(&bytes[..read]).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = passing => {}
        _ = ended.wait_for(|state| state.times_shut != begun) => {}
    }
    let _ = to.shutdown().await;
}
