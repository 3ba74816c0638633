//! A way from the program to a server that can be held, so that what is on it arrives
//! nowhere until it is opened again, as on a network that drops; or shut, which ends every
//! connection and lets none begin, as where the server has gone.

use std::net::SocketAddr;
use std::sync::LazyLock;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
});

#[derive(Clone, Copy, Default)]
struct State {
    held: bool,
    shut: bool,
    /// How often it was shut: no connection outlives that.
    times_shut: u32,
}

pub struct Gate {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open way to that address.
    pub fn to(server: SocketAddr) -> Gate {
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (state, states) = watch::channel(State::default());
        let task = RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if states.borrow().shut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, states.clone()));
                tokio::spawn(pass(from_server, to_client, states.clone()));
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
            state.shut = false;
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut states: watch::Receiver<State>,
) {
    let begun = states.borrow().times_shut;
    let mut ended = states.clone();
    let passing = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut bytes).await.unwrap_or(0);
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
