//! What was replaced, or is no longer wanted, is deleted last, and users before what they use.

use std::collections::BTreeSet;

use super::{
    decide::{Decided, Decision, names_certificate},
    findings::other_users,
    sequence::{Sequence, consequence_of},
    shrinking,
};
use crate::{
    config::Config,
    diff::{self, Change},
    observed::Observed,
    plan::{Action, Consequence, Stage, Step, StepId},
    resource::{Address, Kind, Ref},
    state::State,
};

/// Why a certificate is not deleted that the stack made.
const NAMED: &str = "the configuration names it outright, so it is not the stack's any more";
/// Why what was replaced is deleted.
pub(super) const SUCCEEDED: &str = "its successor has taken over";
/// Why everything is deleted. Visitors have been led back by then.
pub(super) const DESTROYED: &str = "the stack is destroyed";

/// One step of the cleaning up.
pub(super) struct Removal {
    pub(super) address: Address,
    pub(super) action: Action,
    pub(super) changes: Vec<Change>,
    pub(super) reason: String,
}

impl Removal {
    /// Takes an object out of the state only.
    pub(super) fn forget(address: &Address, id: &str, reason: impl Into<String>) -> Self {
        Self {
            address: address.clone(),
            action: Action::Forget { id: id.to_owned() },
            changes: Vec::new(),
            reason: reason.into(),
        }
    }

    /// Deletes an object.
    pub(super) fn delete(
        address: &Address,
        id: Ref,
        observed: &crate::resource::Spec,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            address: address.clone(),
            action: Action::Delete {
                id,
                observed: observed.clone(),
            },
            // A hundred attributes that nobody set say nothing.
            changes: diff::deletion(observed)
                .into_iter()
                .filter(|change| !change.path.starts_with("attributes."))
                .collect(),
            reason: reason.into(),
        }
    }

    fn consequence(&self) -> Consequence {
        match self.action {
            Action::Delete { .. } if ![SUCCEEDED, DESTROYED].contains(&self.reason.as_str()) => {
                consequence_of(self.address.kind(), Decision::Delete)
            }
            _ => Consequence::None,
        }
    }
}

/// Adds the steps in an order in which nothing is deleted that something else uses.
pub(super) fn push(removals: Vec<Removal>, sequence: &mut Sequence) {
    push_in(Stage::Cleanup, removals, sequence);
}

/// The same in another stage.
pub(super) fn push_in(stage: Stage, mut removals: Vec<Removal>, sequence: &mut Sequence) {
    removals.sort_by(|left, right| right.address.cmp(&left.address));
    let mut previous: BTreeSet<usize> = BTreeSet::new();
    for removal in removals {
        let step = Step {
            id: StepId(0),
            consequence: removal.consequence(),
            address: removal.address,
            action: removal.action,
            changes: removal.changes,
            stage,
            reason: removal.reason,
            after: Vec::new(),
        };
        let index = sequence.push(step, previous.clone());
        previous = BTreeSet::from([index]);
    }
}

/// Adds what is left over after everything else.
pub(super) fn clean_up(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    sequence: &mut Sequence,
) {
    let mut removals: Vec<Removal> = Vec::new();
    for (address, item) in decided.iter() {
        removals.extend(of_item(state, decided, address, item));
        removals.extend(item.given_up.as_ref().map(|given_up| {
            let id = Ref::Known(given_up.id.clone());
            Removal::delete(address, id, &given_up.spec, SUCCEEDED)
        }));
    }
    let comes_back = |id: &str| {
        decided
            .iter()
            .any(|(_, item)| item.actual.as_ref().is_some_and(|actual| actual.id == id) && item.desired.is_some())
    };
    for retired in state.retired.iter().filter(|retired| !comes_back(&retired.id)) {
        removals.push(
            if retired.address.kind() == Kind::Certificate && names_certificate(config, &retired.id) {
                Removal::forget(&retired.address, &retired.id, NAMED)
            } else {
                let id = Ref::Known(retired.id.clone());
                Removal::delete(&retired.address, id, &retired.spec, SUCCEEDED)
            },
        );
    }
    for (address, id) in &decided.forgotten {
        let reason = match address.kind() {
            Kind::ValidationRecord => "the configuration no longer asks for it; it stays in DNS",
            Kind::AliasRecord => "the configuration no longer asks for it; what stands in DNS stays",
            Kind::Certificate if names_certificate(config, id) => NAMED,
            _ => "it is gone from AWS and no longer wanted",
        };
        removals.push(Removal::forget(address, id, reason));
    }
    // To ask for the deletion of what others use is to wait in vain.
    removals.retain(|removal| {
        !matches!(&removal.action, Action::Delete { id: Ref::Known(id), .. }
            if !other_users(observed, state, decided, id).is_empty())
    });
    push(removals, sequence);
}

fn of_item(state: &State, decided: &Decided, address: &Address, item: &super::decide::Item) -> Option<Removal> {
    if item.temporary {
        let id = match &item.actual {
            Some(actual) => Ref::Known(actual.id.clone()),
            None => Ref::id_of(address),
        };
        let spec = item.desired.as_ref()?;
        return Some(Removal::delete(address, id, spec, "the proof is over"));
    }
    let actual = item.actual.as_ref()?;
    let id = || Ref::Known(actual.id.clone());
    match item.decision {
        Decision::Replace => Some(Removal::delete(address, id(), &actual.spec, SUCCEEDED)),
        Decision::Delete => Some(Removal::delete(address, id(), &actual.spec, item.reason.clone())),
        _ => {
            let wider = shrinking::first_step(state, decided, item)?;
            let desired = item.desired.as_ref()?;
            Some(Removal {
                address: address.clone(),
                changes: diff::changes(&wider, desired),
                action: Action::Update {
                    id: actual.id.clone(),
                    observed: wider,
                    desired: desired.clone(),
                },
                reason: "what needed these rules is gone".to_owned(),
            })
        }
    }
}
