//! A request to stop early.

use std::{future::Future, pin::pin};

use futures_util::future::{Either, select};
use tokio::sync::watch;

/// Asks a run to stop: by a signal of the user, or of a part of the run to the others.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Tells a run that it should stop.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

/// A stopper with its signal.
pub fn stop_signal() -> (Stopper, StopSignal) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), StopSignal(receiver))
}

impl Stopper {
    /// Raises the signal, for good.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl StopSignal {
    /// A signal that is never raised.
    pub fn never() -> Self {
        stop_signal().1
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is raised.
    pub async fn raised(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|raised| *raised).await.is_err() {
            // Nobody is left who could raise it.
            std::future::pending::<()>().await;
        }
    }

    /// What `future` gives; `None` if the signal is raised before. The future is dropped then.
    pub(crate) async fn unless<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(future), pin!(self.raised())).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }
}
