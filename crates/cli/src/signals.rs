//! Signals that ask to end.
//!
//! The first one lets the call in flight come to its end. A second Ctrl-C ends at once. SIGTERM and SIGHUP come from
//! machines that lose patience, so they set a limit: a call that hangs is left, with its intent in the state.

use std::{fs, io, time::Duration};

use reconcile_engine::Stopper;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::output;

/// A run that ends sooner than this needs no explanation.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a run may take to end after SIGTERM or SIGHUP. With what the end itself takes it is less than two seconds:
/// that is promised, and shorter than what init systems and pipelines grant.
const LIMIT: Duration = Duration::from_millis(1200);

/// The signals that ask to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
}

/// What a signal asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: the machine, the service manager or the pipeline ends the program.
    Terminate,
    /// SIGHUP: the terminal is gone.
    HangUp,
}

impl Asked {
    /// The signal's number, the same on all systems.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
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
            hang_up: heeds_hang_up().then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Raises `stopper` at the first signal and returns when the program has to end at once.
    pub(crate) async fn watch(mut self, stopper: Stopper) -> Asked {
        let first = self.next().await;
        output::end_line();
        stopper.stop();
        let begun = Instant::now();
        let mut limit = limit_of(first, begun);
        let mut explained = false;
        loop {
            let end = async {
                match limit {
                    Some((_, end)) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                next = self.next() => match next {
                    Asked::Interrupt => return next,
                    _ => limit = limit.or_else(|| limit_of(next, Instant::now())),
                },
                () = sleep_until(begun + PATIENCE), if !explained => {
                    explained = true;
                    output::note(match limit {
                        None => "stopping as soon as the call in flight has ended; once more to end at once\n",
                        Some(_) => "stopping: the call in flight has a second to end\n",
                    });
                }
                () = end => return limit.map_or(first, |(asked, _)| asked),
            }
        }
    }

    async fn next(&mut self) -> Asked {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Interrupt,
            _ = self.terminate.recv() => Asked::Terminate,
            _ = hang_up => Asked::HangUp,
        }
    }
}

/// When a run has to have ended that was asked now; somebody at the keyboard can ask again.
fn limit_of(asked: Asked, now: Instant) -> Option<(Asked, Instant)> {
    (asked != Asked::Interrupt).then(|| (asked, now + LIMIT))
}

/// Whether the end of the terminal is the end of the program: not under `nohup`, which lets the signal be ignored. Where
/// that cannot be found out, the system does with the signal what it was told to; to be ended by it is as safe as any
/// other end.
fn heeds_hang_up() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores_hang_up(&status))
}

fn ignores_hang_up(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal number 1 is the lowest bit. Without a mask it is left alone.
    mask.is_none_or(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_respected() {
        assert!(ignores_hang_up("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hang_up("Name:\tx\nSigIgn:\t0000000000001000\n"));
        assert!(ignores_hang_up("Name:\tx\n"), "what is not known is not touched");
    }

    #[test]
    fn exit_codes_are_those_that_shells_report() {
        let codes = [Asked::Interrupt, Asked::Terminate, Asked::HangUp];
        assert_eq!(
            codes.map(|asked| crate::error::Ended::AtOnce(asked).exit_code()),
            [130, 143, 129]
        );
    }
}
