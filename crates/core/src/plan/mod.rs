//! The plan: data that says everything that will happen, in order, and why.
//!
//! A plan is printed, saved and carried out by others; nothing here formats or calls. It holds every decision: who carries
//! it out resolves references, calls, waits and records.

mod condition;
mod file;
mod goal;
mod moved;
mod seen;

use serde::{Deserialize, Serialize};

pub use condition::{Condition, DirectPath, Progress, SiteRequest, Through};
pub use file::{FILE_FORMAT_VERSION, LARGEST_FILE, PlanFile, PlanFileError, StateMark};
pub use goal::Goal;
pub use moved::{Moved, WorldMoved};
pub use seen::{Seen, seen};

use crate::{
    config::StackName,
    diff::Change,
    resource::{Address, Ref, Spec},
    value::Seconds,
};

/// The version of the plan's serialised form.
pub const FORMAT_VERSION: u32 = 1;

/// What will happen to one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the form.
    pub format_version: u32,
    /// What it is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// The stack.
    pub stack: StackName,
    /// The steps in the order of their stages; within a stage by `after`.
    pub steps: Vec<Step>,
    /// Resources that are as they should be.
    pub unchanged: Vec<Address>,
    /// What the user should know and the plan does not change.
    pub findings: Vec<Finding>,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// What is wanted is brought about.
    #[default]
    Apply,
    /// Visitors are led back to the instances.
    Rollback,
    /// The stack is taken away.
    Destroy,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Number of the step in its plan, from 1.
    pub id: StepId,
    /// The resource.
    pub address: Address,
    /// What is done.
    pub action: Action,
    /// What differs, for the reader; the action says what is done.
    pub changes: Vec<Change>,
    /// When it is done.
    pub stage: Stage,
    /// What people notice of it.
    pub consequence: Consequence,
    /// Why, for the reader; nothing is decided by it.
    pub reason: String,
    /// Steps that have to be done before it. Steps of earlier stages always have.
    pub after: Vec<StepId>,
}

/// Number of a step in its plan, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Makes an object.
    Create {
        /// Its settings, with references to what is not there yet.
        desired: Spec,
    },
    /// Makes the successor of an object; the old one is retired and deleted by a later step of the plan or of a later
    /// plan.
    Replace {
        /// The id of the old object.
        retire: String,
        /// The old object's settings.
        observed: Spec,
        /// Settings of the new one.
        desired: Spec,
    },
    /// Changes an object in place.
    Update {
        /// Its id.
        id: String,
        /// The settings as they are: what is compared and swapped.
        observed: Spec,
        /// The settings as they will be.
        desired: Spec,
    },
    /// Deletes an object that the state knows as the stack's, or as retired.
    Delete {
        /// Its id; a reference where the object is made by an earlier step of the same plan.
        id: Ref,
        /// Its settings.
        observed: Spec,
    },
    /// Records an object in the state that is already as it should be; AWS is not changed.
    Record {
        /// Its id.
        id: String,
    },
    /// Puts an object back that was on its way out, because its successor is given up: that one is retired in its place.
    /// AWS is not changed.
    Reinstate {
        /// The id of the object that comes back.
        id: String,
        /// The id of the one that is given up.
        retire: String,
        /// Its settings.
        observed: Spec,
    },
    /// Forgets an object that the state knows and AWS does not; AWS is not changed.
    Forget {
        /// Its id.
        id: String,
    },
    /// Waits until a condition holds.
    Wait {
        /// The condition.
        condition: Condition,
        /// How long this run waits at most.
        deadline: Seconds,
    },
}

/// When a step is done. Each stage is a natural place to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Builds the new path beside the old one.
    Prepare,
    /// Proves the new path.
    Prove,
    /// Moves the name.
    Cutover,
    /// Waits until the old address is forgotten.
    Drain,
    /// Closes the instance to all but the load balancer.
    Lockdown,
    /// Proves all of it from outside.
    Verify,
    /// Deletes what was replaced.
    Cleanup,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Self; 7] = [
        Self::Prepare,
        Self::Prove,
        Self::Cutover,
        Self::Drain,
        Self::Lockdown,
        Self::Verify,
        Self::Cleanup,
    ];

    /// The name that is shown and written after `--until`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Prove => "prove",
            Self::Cutover => "cutover",
            Self::Drain => "drain",
            Self::Lockdown => "lockdown",
            Self::Verify => "verify",
            Self::Cleanup => "cleanup",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What people notice of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// Nobody notices.
    None,
    /// A short disturbance is possible.
    Brief,
    /// Visitors notice or are moved.
    VisitorsNotice,
    /// Cannot simply be undone.
    HardToUndo,
}

/// Something the user should know and the plan does not change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: a resource's address or an AWS id.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Defeats the purpose or will break something.
    Warning,
    /// Good to know.
    Note,
}

/// How many resources a plan adds, changes and destroys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Objects that are made, successors included.
    pub add: usize,
    /// Objects that are changed in place.
    pub change: usize,
    /// Objects that are deleted.
    pub destroy: usize,
}

impl Plan {
    /// Whether nothing is left to do, in AWS or in the state.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many resources the plan adds, changes and destroys.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for step in &self.steps {
            match step.action {
                Action::Create { .. } | Action::Replace { .. } => counts.add += 1,
                Action::Update { .. } => counts.change += 1,
                Action::Delete { .. } => counts.destroy += 1,
                Action::Record { .. } | Action::Reinstate { .. } | Action::Forget { .. } | Action::Wait { .. } => {}
            }
        }
        counts
    }

    /// The plan without the steps of stages after `stage`, and without proofs for what is left out.
    #[must_use]
    pub fn until(mut self, stage: Stage) -> Self {
        self.steps.retain(|step| step.stage <= stage);
        let waits_only = self.steps.iter().all(|step| matches!(step.action, Action::Wait { .. }));
        if stage > Stage::Prove && waits_only {
            // What was proven was the way to the step that is cut off; a change that is under way still has to arrive.
            self.steps.retain(|step| {
                matches!(
                    &step.action,
                    Action::Wait {
                        condition: Condition::RecordInSync { .. },
                        ..
                    }
                )
            });
        }
        self
    }
}

impl Action {
    /// What it does, as a verb: the name in the serialised form.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Replace { .. } => "replace",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
            Self::Record { .. } => "record",
            Self::Reinstate { .. } => "reinstate",
            Self::Forget { .. } => "forget",
            Self::Wait { .. } => "wait",
        }
    }

    /// Whether carrying it out changes something in AWS.
    pub fn is_mutating(&self) -> bool {
        !matches!(
            self,
            Self::Record { .. } | Self::Reinstate { .. } | Self::Forget { .. } | Self::Wait { .. }
        )
    }
}
