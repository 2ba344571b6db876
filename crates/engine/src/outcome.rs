//! How a run ended.

use jiff::Timestamp;
use reconcile_core::plan::StepId;

/// How a run ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Steps that are done, in the order in which they were.
    pub done: Vec<StepId>,
    /// Steps that are left for a later run, in the plan's order.
    pub left: Vec<StepId>,
    /// Why it ended.
    pub kind: OutcomeKind,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// Why a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// Every step is done.
    Complete,
    /// The next step has to wait longer than this run does.
    Later {
        /// When a next run can carry on.
        not_before: Timestamp,
    },
    /// AWS still counts something as in use that should be deleted; the warnings say what. The next run deletes it.
    StillInUse,
    /// It was asked to stop.
    Interrupted,
}

/// Something the user should know that does not stop a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The step that it is about.
    pub step: StepId,
    /// What it is.
    pub text: String,
}
