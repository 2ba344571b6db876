//! What goes wrong when a plan is carried out.

use std::{fmt, time::Duration};

use reconcile_core::{
    diff::Change,
    plan::{Action, Step, StepId},
    resource::{Address, Unresolved},
    state::StateError,
    value::{Seconds, SecurityGroupId},
};
use thiserror::Error;

use crate::{CloudError, StoreError, Warning};

/// Why a run failed.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The state is about something else than the plan. Nothing was changed.
    #[error("the state does not fit the plan; nothing was changed")]
    State(#[source] StateError),
    /// The state cannot be stored. Nothing was changed.
    #[error("the state cannot be written; nothing was changed")]
    Unwritable(#[source] StoreError),
    /// A step failed, or several that ran at the same time.
    #[error(transparent)]
    Steps(Box<FailedRun>),
    /// Steps wait for each other, or for steps of later stages.
    #[error("the plan has no order: steps {} wait for each other", numbers(left))]
    Order {
        /// Steps that are done.
        done: Vec<StepId>,
        /// Steps that are left.
        left: Vec<StepId>,
    },
}

/// A run in which steps failed. The source of the error is what the first of them met.
#[derive(Debug)]
pub struct FailedRun {
    /// The step that failed first.
    pub first: Failure,
    /// Steps that ran at the same time and failed too.
    pub others: Vec<Failure>,
    /// Steps that are done, in the order in which they were.
    pub done: Vec<StepId>,
    /// Steps that are not done, failed ones included, in the plan's order.
    pub left: Vec<StepId>,
    /// The same in words.
    pub left_titles: Vec<String>,
    /// What the user should know besides.
    pub warnings: Vec<Warning>,
    /// Whether the state that is stored holds all that the run found and did.
    pub is_saved: bool,
}

impl fmt::Display for FailedRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(formatter)?;
        for other in &self.others {
            write!(formatter, ", {other}")?;
        }
        let (done, all) = (self.done.len(), self.done.len() + self.left.len());
        write!(
            formatter,
            "; {done} of {all} steps are done, left: {}",
            self.left_titles.join(", ")
        )
    }
}

impl std::error::Error for FailedRun {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.first.error)
    }
}

/// A step that failed.
#[derive(Debug, Error)]
#[error("cannot {verb} `{address}` (step {})", step.0)]
pub struct Failure {
    /// The step.
    pub step: StepId,
    /// Its resource.
    pub address: Address,
    /// What it should have done: `create`, `update`, ...
    pub verb: &'static str,
    /// Why it could not.
    #[source]
    pub error: StepError,
}

/// Why a step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// AWS refused, or could not be reached.
    #[error(transparent)]
    Cloud(#[from] CloudError),
    /// The state could not be stored; what happened is found again by the next run.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value that another resource should supply is missing.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// The state has no object for a resource that is waited for.
    #[error("the state knows no object for `{address}`")]
    NotRecorded {
        /// The resource.
        address: Address,
    },
    /// Something stands where the object should be made and is not the stack's.
    #[error("`{id}` stands in the way and does not carry the stack's tags")]
    Foreign {
        /// Its id.
        id: String,
    },
    /// What AWS holds is no longer what the plan was made from.
    #[error("`{id}` changed since the plan was made: {}", describe(changes))]
    Moved {
        /// The object.
        id: String,
        /// How it differs from what is wanted.
        changes: Vec<Change>,
    },
    /// An object that was to be made exists with settings that cannot be changed.
    #[error("`{id}` exists with settings that AWS cannot change in place: {}", describe(changes))]
    Immutable {
        /// The object.
        id: String,
        /// The settings.
        changes: Vec<Change>,
    },
    /// AWS accepted an object and does not know it.
    #[error("AWS accepted `{id}` and still does not know it after {}", seconds(*waited))]
    Unknown {
        /// The object.
        id: String,
        /// How long was waited.
        waited: Duration,
    },
    /// AWS accepted a change and shows something else.
    #[error("AWS accepted the settings of `{id}` and still shows others after {}: {}", seconds(*waited), describe(changes))]
    Unsettled {
        /// The object.
        id: String,
        /// How long was waited.
        waited: Duration,
        /// What differs.
        changes: Vec<Change>,
    },
    /// A condition did not hold in time.
    #[error("not there after {deadline}, last seen: {said}; the next run carries on from here")]
    Deadline {
        /// How long was waited.
        deadline: Seconds,
        /// What AWS or the site last said.
        said: String,
    },
    /// A condition will never hold without somebody's help.
    #[error("{reason}")]
    Never {
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Ports should be closed to the world, and the load balancer would not be let in by then.
    #[error(
        "the rule `{id}`, which lets the load balancer in to {group}, is gone: closed now, the instance would answer nobody"
    )]
    NotAdmitted {
        /// The rule.
        id: String,
        /// The instance's group.
        group: SecurityGroupId,
    },
    /// An object should be deleted that the state does not know as the stack's.
    #[error("`{id}` is not deleted: the state does not know it as this stack's")]
    NotOurs {
        /// The object.
        id: String,
    },
}

impl StepError {
    /// What to do.
    pub fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Cloud(error) => return error.remedy.clone(),
            Self::Store(_) => {
                "make room or mend the permissions there, then run again: what was made is found again by its tags"
            }
            Self::Unresolved(_) | Self::NotRecorded { .. } => "run again: a new plan starts from what is there now",
            Self::Foreign { .. } => {
                "rename or delete that object, or choose another `name` for the stack, then run again"
            }
            Self::Moved { .. } => "look at what changed it, then run again: a new plan shows the difference",
            Self::Immutable { .. } => "run again: a new plan replaces the object",
            Self::Unknown { .. } => "look for it in the console, then run again in some minutes: it is not made twice",
            Self::Unsettled { .. } => {
                "check that nothing else changes the object at the same time, then run again: a new plan shows the difference"
            }
            Self::Deadline { .. } => "run again to wait on, or raise the deadline in `[prove]`",
            Self::Never { remedy, .. } => remedy,
            Self::NotAdmitted { .. } => "find out who removed it, then run again: a new plan makes it again first",
            Self::NotOurs { .. } => "delete it by hand if it is not needed",
        };
        Some(remedy.to_owned())
    }
}

impl ApplyError {
    /// What to do.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::State(_) => Some("choose the state file and the credentials of this stack".to_owned()),
            Self::Unwritable(_) => Some("make room or mend the permissions there, then run again".to_owned()),
            Self::Steps(run) => run.first.error.remedy(),
            Self::Order { .. } => Some("make a new plan; a plan that this program made is never like this".to_owned()),
        }
    }
}

/// A step in words, for example ``create `target_group.www` ``.
pub fn title_of(step: &Step) -> String {
    format!("{} `{}`", verb(&step.action), step.address)
}

/// What an action does, as a verb.
pub(crate) fn verb(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "create",
        Action::Replace { .. } => "replace",
        Action::Update { .. } => "update",
        Action::Delete { .. } => "delete",
        Action::Record { .. } => "record",
        Action::Reinstate { .. } => "reinstate",
        Action::Forget { .. } => "forget",
        Action::Wait { .. } => "wait for",
    }
}

fn describe(changes: &[Change]) -> String {
    let value =
        |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let parts: Vec<String> = changes
        .iter()
        .map(|change| {
            format!(
                "{} is {}, expected {}",
                change.path,
                value(&change.before),
                value(&change.after)
            )
        })
        .collect();
    parts.join("; ")
}

fn numbers(steps: &[StepId]) -> String {
    let numbers: Vec<String> = steps.iter().map(|step| step.0.to_string()).collect();
    numbers.join(", ")
}

fn seconds(duration: Duration) -> Seconds {
    Seconds::new(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
}
