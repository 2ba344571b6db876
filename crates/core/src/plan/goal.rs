//! What a plan is asked for.

use serde::{Deserialize, Serialize};

use super::{Purpose, Stage};
use crate::{config::SiteName, planner::DestroyOptions};

/// What a plan is made for, with all that was asked: who has it can make the plan again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case", deny_unknown_fields)]
pub enum Goal {
    /// What the configuration asks for.
    Apply {
        /// The stage after which the plan is cut off.
        #[serde(default)]
        until: Option<Stage>,
    },
    /// The way back.
    Rollback {
        /// Of this site only.
        #[serde(default)]
        site: Option<SiteName>,
    },
    /// Nothing of the stack.
    Destroy {
        /// What is asked for beside the usual.
        options: DestroyOptions,
    },
}

impl Goal {
    /// What the plan is for.
    pub fn purpose(&self) -> Purpose {
        match self {
            Self::Apply { .. } => Purpose::Apply,
            Self::Rollback { .. } => Purpose::Rollback,
            Self::Destroy { .. } => Purpose::Destroy,
        }
    }

    /// The stage after which the plan is cut off.
    pub fn until(&self) -> Option<Stage> {
        match self {
            Self::Apply { until } => *until,
            Self::Rollback { .. } | Self::Destroy { .. } => None,
        }
    }
}
