//! A way from the program to a server that can be held: what is on it arrives nowhere
//! until it is opened again, as on a network that drops.

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

pub struct Gate {
    pub address: SocketAddr,
    held: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open way to that address.
    pub fn to(server: SocketAddr) -> Gate {
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (held, holds) = watch::channel(false);
        let task = RUNTIME.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, holds.clone()));
                tokio::spawn(pass(from_server, to_client, holds.clone()));
            }
        });
        Gate {
            address,
            held,
            task,
        }
    }

    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn open(&self) {
        self.held.send_replace(false);
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
    mut held: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        if held.wait_for(|held| !held).await.is_err()
            || read == 0
            || to.write_all(&bytes[..read]).await.is_err()
        {
            let _ = to.shutdown().await;
            return;
        }
    }
}
