//! A plan in a file: what was shown to somebody, to be carried out later if nothing moved since.
//!
//! The file is a consent, not a list of orders. Who applies it looks again and makes the plan anew, and carries that one
//! out if it does what the saved one does. So a file that was tampered with can do no more than be refused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Finding, Goal, Moved, Plan, Seen, WorldMoved};
use crate::{
    config::{Fingerprint, StackName},
    observed::Identity,
    state::State,
    value::{AccountId, Region},
};

/// The version of the file that this program writes.
pub const FILE_FORMAT_VERSION: u32 = 1;
/// The largest file that is read, in bytes: a plan of a hundred sites is well below a tenth of it.
pub const LARGEST_FILE: usize = 64 << 20;

/// A saved plan with all that it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// Version of the form.
    pub format_version: u32,
    /// The version of `reconcile` that made it.
    pub reconcile_version: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The stack.
    pub stack: StackName,
    /// Whose AWS it is about.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// What was asked for.
    pub goal: Goal,
    /// What the configuration said.
    pub configuration: Fingerprint,
    /// Which state it was made from; none if there was none yet.
    pub state: Option<StateMark>,
    /// What was observed.
    pub observed: Seen,
    /// The plan.
    pub plan: Plan,
}

/// Which state it was: every write raises the serial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateMark {
    /// Tells the state from all others.
    pub lineage: String,
    /// How often it had been written.
    pub serial: u64,
}

impl StateMark {
    /// The mark of a state; none if it was never written.
    pub fn of(state: &State) -> Option<Self> {
        (state.serial > 0).then(|| Self {
            lineage: state.lineage.clone(),
            serial: state.serial,
        })
    }
}

/// Why a file is no plan that this program can use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanFileError {
    /// It is not JSON of the right form.
    #[error("it is damaged, or no saved plan, at line {line}, column {column}: {message}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// Another version of this program wrote it, in a form that this one does not know.
    #[error("it has format version {found}, this version of reconcile knows {FILE_FORMAT_VERSION}")]
    OtherVersion {
        /// The version found.
        found: u32,
    },
    /// It is far larger than any plan.
    #[error("it is larger than {} MiB, which no plan is", LARGEST_FILE >> 20)]
    TooLarge,
    /// Its parts are of different stacks or purposes.
    #[error("it contradicts itself: {what}")]
    Contradiction {
        /// What does not fit.
        what: String,
    },
}

impl PlanFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no saved plan, or one of another version.
    pub fn read(text: &str) -> Result<Self, PlanFileError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        if text.len() > LARGEST_FILE {
            return Err(PlanFileError::TooLarge);
        }
        let damaged = |error: serde_json::Error| PlanFileError::Damaged {
            line: error.line(),
            column: error.column(),
            message: crate::state::without_position(&error),
        };
        let Version { format_version } = serde_json::from_str(text).map_err(damaged)?;
        if format_version != FILE_FORMAT_VERSION {
            return Err(PlanFileError::OtherVersion { found: format_version });
        }
        let file: Self = serde_json::from_str(text).map_err(damaged)?;
        file.agree()?;
        Ok(file)
    }

    /// The parts say the same of what they both say.
    fn agree(&self) -> Result<(), PlanFileError> {
        let contradiction = |what: &str| Err(PlanFileError::Contradiction { what: what.to_owned() });
        if self.plan.stack != self.stack {
            return contradiction("the plan is of another stack than the file");
        }
        if self.plan.purpose != self.goal.purpose() {
            return contradiction("the plan is for something else than the file");
        }
        if self.plan.format_version != super::FORMAT_VERSION {
            return contradiction("the plan has another version than the file");
        }
        Ok(())
    }

    /// The file as text.
    ///
    /// # Errors
    /// Never for a plan that this program can build; the serialiser's error otherwise.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Checks that the configuration is the one that the plan was made from.
    ///
    /// # Errors
    /// If it is of another stack or says something else.
    pub fn check_configuration(&self, stack: &StackName, configuration: &Fingerprint) -> Result<(), Moved> {
        if self.stack != *stack {
            return Err(Moved::OtherStack {
                found: self.stack.clone(),
                expected: stack.clone(),
            });
        }
        if self.configuration.sha256 != configuration.sha256 {
            return Err(Moved::Configuration {
                differences: self.configuration.differences(configuration),
            });
        }
        Ok(())
    }

    /// Checks that the state is the one that the plan was made from.
    ///
    /// # Errors
    /// If it is another, or was written since.
    pub fn check_state(&self, state: &State) -> Result<(), Moved> {
        let now = StateMark::of(state);
        if self.state == now {
            return Ok(());
        }
        Err(Moved::State {
            saved: self.state.clone(),
            now,
        })
    }

    /// Checks that the credentials are of the account and region that the plan was made for.
    ///
    /// # Errors
    /// If they are of another.
    pub fn check_identity(&self, identity: &Identity) -> Result<(), Moved> {
        if self.account == identity.account && self.region == identity.region {
            return Ok(());
        }
        Err(Moved::OtherAccount {
            plan_account: self.account.clone(),
            plan_region: self.region.clone(),
            account: identity.account.clone(),
            region: identity.region.clone(),
        })
    }

    /// Checks that the plan that is made now does what the saved one does, and warns of nothing that the saved one did not
    /// warn of. Waits do not count: they change nothing, and what they wait for may have come about meanwhile.
    ///
    /// `findings` are what the planner tells, without what was asked of the sites.
    ///
    /// # Errors
    /// If it does something else; with what moved.
    pub fn check_world(&self, now: &Plan, findings: &[Finding], seen: &Seen) -> Result<(), Moved> {
        let moved = WorldMoved::between(self, now, findings, seen);
        if moved.does_the_same() {
            Ok(())
        } else {
            Err(Moved::World(Box::new(moved)))
        }
    }
}
