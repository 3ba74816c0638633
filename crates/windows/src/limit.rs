//! A limit for calls that have none of their own.

use std::sync::mpsc::channel;
use std::time::Duration;

/// What a call answers, or `None` where it takes longer. Windows has no way to end such
/// a call, so its thread is left to itself.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, answer) = channel();
    std::thread::Builder::new()
        .name("windows".into())
        .spawn(move || {
            // Whoever asked may have gone away meanwhile.
            let _ = sender.send(call());
        })
        .ok()?;
    answer.recv_timeout(limit).ok()
}
