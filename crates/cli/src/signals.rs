//! Ctrl-C and SIGTERM: the first one lets the call in flight come to its end, the second ends at once.

use std::{io, time::Duration};

use reconcile_engine::Stopper;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output;

/// A run that ends sooner than this needs no explanation.
const PATIENCE: Duration = Duration::from_millis(300);

/// The signals that ask to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from the system, which would end the process in the middle of a call.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Raises `stopper` at the first signal and returns at the second.
    pub(crate) async fn watch(mut self, stopper: Stopper) {
        self.next().await;
        output::end_line();
        stopper.stop();
        tokio::select! {
            () = self.next() => return,
            () = tokio::time::sleep(PATIENCE) => {}
        }
        output::note("stopping as soon as the call in flight has ended; once more to end at once\n");
        self.next().await;
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
