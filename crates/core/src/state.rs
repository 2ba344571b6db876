//! The state document: identity and memory, never a cache of configuration.
//!
//! It says which objects in AWS are the stack's, what is under way, and what stood there before, so that a run that was
//! interrupted at any instant can be carried on and a cutover can be undone. It holds no secret.

mod edit;

use std::collections::{BTreeMap, BTreeSet};

pub use edit::{EditError, Forgotten};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    config::StackName,
    limits,
    observed::Identity,
    resource::{Address, Outputs, Spec},
    value::{AccountId, Region, Seconds},
};

/// The version of the document that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// The state of one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of the form.
    pub format_version: u32,
    /// Tells this state from all others, also of stacks of the same name.
    pub lineage: String,
    /// Raised by one at every write.
    pub serial: u64,
    /// The stack.
    pub stack: StackName,
    /// Whose AWS it is about; set before the first change.
    pub account: Option<AccountId>,
    /// The region; set before the first change.
    pub region: Option<Region>,
    /// The objects by address.
    pub resources: BTreeMap<Address, Entry>,
    /// Objects whose successors have taken over, to be deleted.
    pub retired: Vec<Retired>,
    /// Calls that were begun and whose result is not recorded.
    pub intents: BTreeMap<Address, Intent>,
    /// Cutovers by the address of the record.
    pub cutovers: BTreeMap<Address, Cutover>,
    /// What stood there before, for going back.
    pub saved: BTreeMap<Address, Saved>,
}

/// One object that is the stack's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// ARN or id; for kinds without one, what identifies the object.
    pub id: String,
    /// What it supplies to others; only what a later step of the same run needs is trusted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: Outputs,
    /// Who made it.
    pub origin: Origin,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// Who made an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// This tool.
    Created,
    /// It carried the stack's tags when the state did not know it.
    FoundByTags,
    /// Somebody else, and it was taken over.
    Adopted,
}

/// An object whose successor has taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// The address that it had.
    pub address: Address,
    /// Its id.
    pub id: String,
    /// Its settings when it was retired.
    pub spec: Spec,
    /// When it was retired.
    pub retired_at: Timestamp,
}

/// A call that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What was begun.
    pub operation: Operation,
    /// The idempotency token of a creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What identifies the object that is made, where that is known before. Without tags there is nothing else to know it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// What sort of call an intent is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A creation.
    Create,
    /// A change.
    Update,
    /// A deletion.
    Delete,
}

/// The move of a name to the load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutover {
    /// The DNS change, as long as it is not known to have reached all servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_change: Option<String>,
    /// How long resolvers may remember the old answer.
    pub old_ttl: Seconds,
    /// When the change had reached all of Route 53's servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_sync_at: Option<Timestamp>,
    /// The load balancer's record had been there before this state knew it; when that was is not known.
    #[serde(default)]
    pub found: bool,
}

impl Cutover {
    /// That of a record that was found in place: when visitors moved is not known, so they have.
    pub fn found(now: Timestamp) -> Self {
        Self {
            dns_change: None,
            old_ttl: Seconds::default(),
            in_sync_at: Some(now),
            found: true,
        }
    }

    /// When the old address is forgotten: `margin` after the old time to live has passed; `None` while the change is
    /// still on its way.
    pub fn drained_at(&self, margin: Seconds) -> Option<Timestamp> {
        let wait = self.old_ttl.duration().checked_add(margin.duration())?;
        self.in_sync_at?.checked_add(wait).ok()
    }
}

/// What stood in AWS before this tool changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The settings as they were. For rules of an instance's group: the union of all that were revoked.
    pub spec: Spec,
    /// When they were saved.
    pub saved_at: Timestamp,
}

/// Why a state document cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// It is not JSON of the right form.
    #[error("the state is damaged at line {line}, column {column}: {message}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// It was written by a newer version of this program.
    #[error("the state has format version {found}, this version of reconcile knows up to {FORMAT_VERSION}")]
    TooNew {
        /// The version found.
        found: u32,
    },
    /// It belongs to another stack.
    #[error("the state is of the stack `{found}`, the configuration is of `{expected}`")]
    OtherStack {
        /// The stack of the state.
        found: StackName,
        /// The stack of the configuration.
        expected: StackName,
    },
    /// It belongs to another account or region.
    #[error("the state is of account {state_account} in {state_region}, this run is for account {account} in {region}")]
    OtherAccount {
        /// Account of the state.
        state_account: AccountId,
        /// Region of the state.
        state_region: Region,
        /// Account of the credentials.
        account: AccountId,
        /// Region of this run.
        region: Region,
    },
}

/// The serialiser's message without the position that it ends in.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).map_or(message.clone(), str::to_owned)
}

impl State {
    /// The state of a stack of which nothing exists yet.
    pub fn empty(stack: StackName, lineage: String) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            lineage,
            serial: 0,
            stack,
            account: None,
            region: None,
            resources: BTreeMap::new(),
            retired: Vec::new(),
            intents: BTreeMap::new(),
            cutovers: BTreeMap::new(),
            saved: BTreeMap::new(),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// If it is damaged or of a newer version.
    pub fn read(text: &str) -> Result<Self, StateError> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let damaged = |error: serde_json::Error| StateError::Damaged {
            // Of a text without anything the serialiser says 0.
            line: error.line().max(1),
            column: error.column().max(1),
            message: without_position(&error),
        };
        if text.len() > limits::STATE_BYTES {
            return Err(StateError::Damaged {
                line: 1,
                column: 1,
                message: format!("it is longer than {} bytes, which no state is", limits::STATE_BYTES),
            });
        }
        let Version { format_version } = serde_json::from_str(text).map_err(damaged)?;
        match format_version {
            0 => Err(StateError::Damaged {
                line: 1,
                column: 1,
                message: "there is no format version 0".to_owned(),
            }),
            1..=FORMAT_VERSION => serde_json::from_str(text).map_err(damaged),
            found => Err(StateError::TooNew { found }),
        }
    }

    /// The document as text.
    ///
    /// # Errors
    /// Never for a state that this program can build; the serialiser's error otherwise.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Checks that the state is about this stack in this account and region.
    ///
    /// # Errors
    /// If it is about another.
    pub fn check(&self, stack: &StackName, identity: &Identity) -> Result<(), StateError> {
        if self.stack != *stack {
            return Err(StateError::OtherStack {
                found: self.stack.clone(),
                expected: stack.clone(),
            });
        }
        // One of the two alone binds as well.
        let account = self.account.as_ref().unwrap_or(&identity.account);
        let region = self.region.as_ref().unwrap_or(&identity.region);
        if *account == identity.account && *region == identity.region {
            return Ok(());
        }
        Err(StateError::OtherAccount {
            state_account: account.clone(),
            state_region: region.clone(),
            account: identity.account.clone(),
            region: identity.region.clone(),
        })
    }

    /// The id recorded for `address`.
    pub fn id(&self, address: &Address) -> Option<&str> {
        self.resources.get(address).map(|entry| entry.id.as_str())
    }

    /// Every id that the state knows by address, retired ones included.
    pub fn recorded(&self) -> BTreeMap<Address, BTreeSet<String>> {
        let mut recorded: BTreeMap<Address, BTreeSet<String>> = BTreeMap::new();
        let current = self.resources.iter().map(|(address, entry)| (address, &entry.id));
        let retired = self.retired.iter().map(|retired| (&retired.address, &retired.id));
        for (address, id) in current.chain(retired) {
            recorded.entry(address.clone()).or_default().insert(id.clone());
        }
        recorded
    }
}
