//! The threads that own libcurl's handles.

use std::convert::Infallible;
use std::io::Result as IoResult;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long they are waited for once they are not needed any more. One that is in the middle
/// of an exchange notices within a second.
const ENDING: Duration = Duration::from_secs(3);

/// Threads that are told when nobody waits for an answer any more, and waited for.
pub(super) struct Threads {
    abandoned: Arc<AtomicBool>,
    handles: Vec<JoinHandle<()>>,
    /// Closed once each of them has ended.
    ended: Mutex<Receiver<Infallible>>,
}

impl Threads {
    /// Starts so many. What `work` makes for each is told whether nobody waits any more.
    pub(super) fn start<W: FnOnce() + Send + 'static>(
        count: usize,
        work: impl Fn(Arc<AtomicBool>) -> W,
    ) -> IoResult<Threads> {
        let abandoned = Arc::new(AtomicBool::new(false));
        let (until_ended, ended) = sync_channel(0);
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            let (work, until_ended) = (work(Arc::clone(&abandoned)), until_ended.clone());
            let thread = std::thread::Builder::new().name("receiver".into());
            handles.push(thread.spawn(move || {
                let _until_ended: SyncSender<Infallible> = until_ended;
                work();
            })?);
        }
        Ok(Threads {
            abandoned,
            handles,
            ended: Mutex::new(ended),
        })
    }
}

impl Drop for Threads {
    /// Waits until they have ended. A program that ends takes down what OpenSSL has in common:
    /// a thread that closes its connection at that moment would crash it, and a good run would
    /// end with a signal instead of its exit code.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Disconnected) = ended.recv_timeout(ENDING) {
            for handle in self.handles.drain(..) {
                // One that broke off has told so.
                let _ = handle.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CurlTransport, NetworkOptions};
    use super::*;

    #[test]
    fn none_outlives_its_transport() {
        for _ in 0..50 {
            let transport = CurlTransport::new(NetworkOptions::default(), 4).unwrap();
            // Each of them has it, too.
            let abandoned = Arc::clone(&transport._threads.abandoned);
            drop(transport);
            assert_eq!(Arc::strong_count(&abandoned), 1);
        }
    }
}
