//! Ctrl-C: the batch under way is ended and recorded, nothing new is begun.

use std::time::Duration;

use tokio::sync::watch;

/// Asks a run to stop. Dropping it asks nothing.
#[derive(Clone)]
pub struct Stopper(watch::Sender<bool>);

/// What a run looks at before every step that takes time.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// A pair: whoever holds the first can stop whoever looks at the second.
    pub fn new() -> (Stopper, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Stop(receiver))
    }

    /// Whether a stop was asked for.
    pub fn asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when a stop is asked for, and never otherwise.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }

    /// Does work that is not broken off by a stop, unless it takes longer than `grace` after
    /// it; `None` where it was given up.
    pub async fn finish<T>(&mut self, grace: Duration, work: impl Future<Output = T>) -> Option<T> {
        let given_up = async {
            self.wait().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = given_up => None,
        }
    }

    /// Waits so long; `false` where a stop came first.
    pub async fn sleep(&mut self, time: Duration) -> bool {
        if self.asked() {
            return false;
        }
        // A timer would take until the next full millisecond for that.
        if time.is_zero() {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.wait() => false,
        }
    }
}

impl Stopper {
    /// Asks for the stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_stop_ends_a_wait() {
        let (stopper, mut stop) = Stop::new();
        let waiting = tokio::spawn(async move { stop.sleep(Duration::from_secs(3600)).await });
        stopper.stop();
        assert!(!waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn work_under_way_is_finished_after_a_stop_and_given_up_where_it_takes_too_long() {
        let (stopper, mut stop) = Stop::new();
        let work = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        let grace = Duration::from_secs(15);
        assert!(stop.finish(grace, work(1000)).await.is_some());
        stopper.stop();
        assert!(stop.finish(grace, work(14)).await.is_some());
        assert!(stop.finish(grace, work(16)).await.is_none());
    }

    /// By the real clock: a paused one stands at a full millisecond.
    #[tokio::test]
    async fn no_time_is_over_at_once() {
        let (stopper, mut stop) = Stop::new();
        assert_eq!(stop.sleep(Duration::ZERO).now_or_never(), Some(true));
        stopper.stop();
        assert_eq!(stop.sleep(Duration::ZERO).now_or_never(), Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_by_itself_when_nobody_can_stop_it() {
        let (stopper, mut stop) = Stop::new();
        drop(stopper);
        assert!(stop.sleep(Duration::from_secs(3600)).await);
    }
}
