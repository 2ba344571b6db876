//! What was replaced, or is no longer wanted, is deleted last, and users before what they use.

use std::collections::BTreeSet;

use super::{
    decide::{Decided, Decision, names_certificate},
    findings::other_users,
    left_open::Strays,
    live,
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
/// Why an object is not deleted that has the same content as one that is wanted.
const WANTED: &str = "another part of the stack has the same object";
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

    /// Takes an object into the state, to be deleted then.
    pub(super) fn record(address: &Address, id: &str, reason: impl Into<String>) -> Self {
        Self {
            address: address.clone(),
            action: Action::Record { id: id.to_owned() },
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

    fn step(self, stage: Stage, consequence: Consequence) -> Step {
        Step {
            id: StepId(0),
            consequence,
            address: self.address,
            action: self.action,
            changes: self.changes,
            stage,
            reason: self.reason,
            after: Vec::new(),
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

/// Deletions come in the reverse of this order. A rule goes before the targets that it leads to: who still comes by it is
/// led on by the next one.
fn order(address: &Address) -> (Kind, u8, &Address) {
    match address.kind() {
        Kind::Target => (Kind::ListenerRule, 0, address),
        kind => (kind, 1, address),
    }
}

/// The same in another stage.
pub(super) fn push_in(stage: Stage, mut removals: Vec<Removal>, sequence: &mut Sequence) {
    removals.sort_by(|left, right| order(&right.address).cmp(&order(&left.address)));
    let mut previous: BTreeSet<usize> = BTreeSet::new();
    for removal in removals {
        let consequence = removal.consequence();
        let index = sequence.push(removal.step(stage, consequence), previous.clone());
        previous = BTreeSet::from([index]);
    }
}

/// Adds what is left over after everything else.
pub(super) fn clean_up(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    strays: &Strays,
    sequence: &mut Sequence,
) {
    let mut removals: Vec<Removal> = strays.removals().collect();
    for (address, item) in decided.iter() {
        if !live::gives_way(config, decided, address, item) {
            removals.extend(of_item(state, decided, address, item));
        }
        removals.extend(item.given_up.as_ref().map(|given_up| {
            let id = Ref::Known(given_up.id.clone());
            Removal::delete(address, id, &given_up.spec, SUCCEEDED)
        }));
    }
    for retired in &state.retired {
        let id = Ref::Known(retired.id.clone());
        removals.push(Removal::delete(&retired.address, id, &retired.spec, SUCCEEDED));
    }
    for removal in &mut removals {
        let Action::Delete { id: Ref::Known(id), .. } = &removal.action else {
            continue;
        };
        let kind = removal.address.kind();
        if kind == Kind::Certificate && names_certificate(config, id) {
            *removal = Removal::forget(&removal.address, id, NAMED);
        } else if decided.keeps(kind, id) {
            *removal = Removal::forget(&removal.address, id, WANTED);
        }
    }
    // What is wanted again is recorded, which takes it off the list of what is on its way out.
    removals.retain(|removal| {
        !matches!(&removal.action, Action::Forget { id }
            if decided.get(&removal.address).is_some_and(|item| item.keeps(id)))
    });
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

/// Takes away rules in the stage in which visitors move, when what takes over from them stands.
pub(super) fn give_way(config: &Config, state: &State, decided: &Decided, sequence: &mut Sequence) {
    let giving = decided
        .iter()
        .filter(|(address, item)| live::gives_way(config, decided, address, item));
    for removal in giving.filter_map(|(address, item)| of_item(state, decided, address, item)) {
        let after = sequence.steps_about(&[Kind::Listener, Kind::ListenerCertificate, Kind::ListenerRule]);
        sequence.push(removal.step(Stage::Cutover, Consequence::None), after);
    }
}

fn of_item(state: &State, decided: &Decided, address: &Address, item: &super::decide::Item) -> Option<Removal> {
    if item.temporary {
        let id = match &item.actual {
            Some(actual) => Ref::Known(actual.id.clone()),
            None => Ref::id_of(address),
        };
        let spec = item.desired.as_ref()?;
        let reason = match address.kind() {
            Kind::InstanceIngress => shrinking::LEFT,
            _ => "the proof is over",
        };
        return Some(Removal::delete(address, id, spec, reason));
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
                reason: "what needed it as it was is gone".to_owned(),
            })
        }
    }
}
