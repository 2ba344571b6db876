//! What a run tells while it works.

use jiff::Timestamp;
use reconcile_core::plan::Step;

use crate::StepError;

/// Is told what happens, as it happens. Steps run at the same time, so their events interleave.
pub trait Report {
    /// Something happened to `step` at this time.
    fn event(&self, step: &Step, at: Timestamp, event: Event<'_>);
}

/// What happens to a step.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// It begins.
    Started,
    /// It waits.
    Waiting {
        /// What AWS or the site last said.
        said: &'a str,
        /// How long is waited at most.
        until: Timestamp,
    },
    /// Something the user should know; the step goes on.
    Warning {
        /// What.
        text: &'a str,
    },
    /// It is done.
    Finished,
    /// It ended without an error and is left for a later run.
    Left {
        /// Why.
        why: &'a str,
    },
    /// It failed.
    Failed {
        /// Why.
        error: &'a StepError,
    },
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Report for Silent {
    fn event(&self, _: &Step, _: Timestamp, _: Event<'_>) {}
}
