//! What a run may be told.

use std::time::Duration;

use reconcile_core::{observed::Identity, value::Seconds};

use crate::StopSignal;

/// What a run may be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often is asked.
    pub poll: PollIntervals,
    /// Stops the run early.
    pub stop: StopSignal,
    /// How long the run waits at most for resolvers to forget; if it takes longer the run ends and says when to come
    /// back.
    pub drain_wait: Seconds,
    /// How long AWS may take to let go of what is deleted.
    pub release: Seconds,
    /// Whose AWS the plan was made for.
    pub identity: Identity,
}

/// How often is asked, and how long for what takes only moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollIntervals {
    /// The first pause of a wait.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// How long AWS may take to show what it accepted, and to let go of what is no longer used (`aws-facts.md` 7.1).
    pub patience: Duration,
}

impl Default for PollIntervals {
    /// From two to fifteen seconds, which keeps to the budgets of `aws-facts.md` 7.3, and two minutes of patience.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            most: Duration::from_secs(15),
            patience: Duration::from_mins(2),
        }
    }
}

/// Pauses that become longer by half each time.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn new(poll: PollIntervals) -> Self {
        Self {
            next: poll.first.min(poll.most),
            most: poll.most,
        }
    }

    /// The next pause, no longer than `left`.
    pub(crate) fn pause(&mut self, left: Duration) -> Duration {
        let pause = self.next.min(left);
        self.next = (self.next.saturating_mul(3) / 2).min(self.most);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let mut backoff = Backoff::new(PollIntervals {
            first: Duration::from_secs(4),
            most: Duration::from_secs(10),
            patience: Duration::ZERO,
        });
        let pauses: Vec<u64> = (0..5).map(|_| backoff.pause(Duration::MAX).as_secs()).collect();
        assert_eq!(pauses, [4, 6, 9, 10, 10]);
        assert_eq!(backoff.pause(Duration::from_secs(3)).as_secs(), 3);
    }
}
