//! What runs that were cut off began and did not see end: their intents are in the state, and what came of them is not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    Refusal,
    clean_up::Removal,
    decide::{Decided, Decision, FRESH, Item},
    matching,
    sequence::Sequence,
};
use crate::{
    config::Config,
    naming,
    observed::{Actual, Observed},
    plan::{Action, Consequence, Stage, Step, StepId},
    resource::{Address, Kind, Ref, Rule, Spec, Tags},
    state::{Intent, Operation, State},
};

/// Why an object is recorded before it is deleted: only what the state knows is.
pub(super) const UNRECORDED: &str = "a run made it and could not record it";
/// Why something is recorded that is as it should be.
const SUCCEEDED: &str = "a run was cut off here, and what it began is done";
/// Why an address is forgotten.
const NOTHING: &str = "a run was cut off here, and nothing came of it that is still wanted";

/// What runs that were killed have made and could not record: the intent says that it is the stack's, and so do its tags;
/// of an object without tags the intent says which it is.
pub(super) fn made(config: &Config, observed: &Observed, state: &State) -> Vec<(Address, String, Spec)> {
    let is_known = |id: &str| {
        state.resources.values().any(|entry| entry.id == id) || state.retired.iter().any(|retired| retired.id == id)
    };
    let mut made = Vec::new();
    for (address, intent) in creations(state) {
        let is_its = |tags: &Tags| naming::is_owned(tags, &config.name, address);
        if address.kind() == Kind::InstanceIngress {
            let rules = observed.security_groups.values().flat_map(|group| &group.ingress);
            made.extend(
                rules
                    .filter(|(id, rule)| is_its(&rule.tags) && !is_known(id))
                    .filter_map(|(id, _)| {
                        Some((address.clone(), id.clone(), matching::rule_by_id(observed, id)?.spec))
                    }),
            );
        } else {
            let objects = observed
                .found
                .iter()
                .filter(|actual| actual.spec.kind() == address.kind() && !is_known(&actual.id));
            made.extend(
                objects
                    .filter(|actual| is_its(&actual.tags) || intent.id.as_ref() == Some(&actual.id))
                    .map(|actual| (address.clone(), actual.id.clone(), actual.spec.clone())),
            );
        }
    }
    made
}

/// The object without tags that a run made in the place of which another one is wanted now. What has tags is found by them.
pub(super) fn begun<'a>(observed: &'a Observed, state: &State, address: &Address) -> Option<&'a Actual> {
    let intent = state.intents.get(address).filter(|_| state.id(address).is_none())?;
    let id = intent.id.as_ref().filter(|_| intent.operation == Operation::Create)?;
    let of_kind = observed.object(address.kind(), id)?;
    let is_known = state.resources.values().any(|entry| entry.id == *id);
    (!is_known).then_some(of_kind)
}

/// What was begun to be made, and the result is not recorded.
fn creations(state: &State) -> impl Iterator<Item = (&Address, &Intent)> {
    let intents = state.intents.iter();
    intents.filter(|(_, intent)| intent.operation == Operation::Create)
}

/// Whether an object of this kind was begun to be made, so that it is looked for.
pub(super) fn is_begun(state: &State, kind: Kind) -> bool {
    creations(state).any(|(address, _)| address.kind() == kind)
}

/// What was made and is no part of the stack as it is wanted now: another configuration has come meanwhile.
pub(super) struct Strays(Vec<(Address, String, Spec)>);

impl Strays {
    pub(super) fn find(config: &Config, observed: &Observed, state: &State, decided: &Decided) -> Self {
        let mut made = made(config, observed, state);
        made.retain(|(address, id, _)| {
            let used = decided.get(address).is_some_and(|item| {
                let objects = item.actual.iter().chain(&item.successor).chain(&item.given_up);
                objects.map(|actual| &actual.id).any(|used| used == id)
            });
            // One that is about to be made may turn out to be this one.
            let is_made = decided.get(address).is_some() && standing(state, decided, address).is_none();
            !used && !is_made
        });
        // Without an object in its place there is room for one; the next plan finds the others.
        let mut seen = BTreeSet::new();
        made.retain(|(address, ..)| standing(state, decided, address).is_some() || seen.insert(address.clone()));
        Self(made)
    }

    /// Takes them into the state: beside the object that stays as on their way out, else in the place that is free.
    pub(super) fn take_in(&self, state: &State, decided: &Decided, sequence: &mut Sequence) {
        for (address, id, spec) in &self.0 {
            let action = match standing(state, decided, address) {
                Some(current) => Action::Reinstate {
                    id: current.to_owned(),
                    retire: id.clone(),
                    observed: spec.clone(),
                },
                None => Action::Record { id: id.clone() },
            };
            let after = sequence.last.get(address).copied().into_iter().collect();
            sequence.push(step(address, action, UNRECORDED), after);
        }
    }

    /// Deletes them.
    pub(super) fn removals(&self) -> impl Iterator<Item = Removal> + '_ {
        self.0
            .iter()
            .map(|(address, id, spec)| Removal::delete(address, Ref::Known(id.clone()), spec, UNRECORDED))
    }
}

/// The object that stays at an address, or is recorded there by this plan.
fn standing<'a>(state: &'a State, decided: &'a Decided, address: &Address) -> Option<&'a str> {
    let recorded = || {
        let item = decided.get(address)?;
        let stays = matches!(item.decision, Decision::Update | Decision::Record);
        item.actual.as_ref().filter(|_| stays).map(|actual| actual.id.as_str())
    };
    state.id(address).or_else(recorded)
}

/// Closes the calls that no step of the plan is about. What is as it should be is closed with the first step of a plan; if
/// there is no other step, by one of its own.
pub(super) fn close(observed: &Observed, state: &State, decided: &Decided, now: Timestamp, sequence: &mut Sequence) {
    let touched: BTreeSet<Address> = sequence
        .steps
        .iter()
        .filter(|(step, _)| !matches!(step.action, Action::Wait { .. }))
        .map(|(step, _)| step.address.clone())
        .collect();
    let open: Vec<&Address> = state
        .intents
        .keys()
        .filter(|address| !touched.contains(*address))
        .collect();
    let mut as_wanted: BTreeMap<&Address, String> = BTreeMap::new();
    for address in open {
        match decided.get(address) {
            Some(item) if item.decision == Decision::Unchanged => {
                as_wanted.extend(item.actual.as_ref().map(|actual| (address, actual.id.clone())));
            }
            Some(_) => {}
            None if address.kind() == Kind::PortClosure && is_closed(observed, state, address) => {
                let id = address.key().to_owned();
                sequence.push(step(address, Action::Record { id }, SUCCEEDED), BTreeSet::new());
            }
            // It may have been made, and not be shown yet: the intent is how it is found then.
            None if is_fresh(state, address, now) => {}
            None => {
                let id = state.id(address).unwrap_or(address.key()).to_owned();
                sequence.push(step(address, Action::Forget { id }, NOTHING), BTreeSet::new());
            }
        }
    }
    if sequence.steps.is_empty() {
        for (address, id) in as_wanted {
            sequence.push(step(address, Action::Record { id }, SUCCEEDED), BTreeSet::new());
        }
    }
}

/// Why a certificate is not made in the place of one that was begun with other settings a moment ago: ACM's list may not
/// show that one yet (`aws-facts.md` 1.2), and nothing would say that it is the stack's once its intent is overwritten.
pub(super) fn unseen(state: &State, address: &Address, item: &Item, now: Timestamp) -> Option<Refusal> {
    let intent = state.intents.get(address)?;
    let (token, desired) = (intent.token.as_ref()?, item.desired.as_ref()?);
    let is_made = matches!(item.decision, Decision::Create | Decision::Replace) && item.successor.is_none();
    let is_other = !token.starts_with(&naming::token_head(&state.lineage, address, desired));
    (address.kind() == Kind::Certificate && is_made && is_other && is_fresh(state, address, now)).then(|| {
        Refusal::new(
            address.to_string(),
            format!(
                "a run began to request it with other settings at {:.0} and was cut off; if there is one, AWS does not \
                 show it yet",
                intent.begun_at
            ),
            "run again in two minutes: what came of it is found and deleted then",
        )
    })
}

/// Whether something was begun so short a while ago that AWS may not show it yet.
fn is_fresh(state: &State, address: &Address, now: Timestamp) -> bool {
    state.intents.get(address).is_some_and(|intent| {
        let until = intent.begun_at.checked_add(FRESH.duration());
        intent.operation == Operation::Create && until.is_ok_and(|until| now < until)
    })
}

/// Whether rules that were to be revoked are: what is remembered of them is needed for the way back then.
fn is_closed(observed: &Observed, state: &State, address: &Address) -> bool {
    let Some(Spec::PortClosure(saved)) = state.saved.get(address).map(|saved| &saved.spec) else {
        return state.resources.contains_key(address);
    };
    let stands = |rule: &Rule| {
        let facts = observed.security_groups.get(&saved.group);
        facts.is_some_and(|facts| facts.ingress.values().any(|found| found.rule == *rule))
    };
    state.resources.contains_key(address) || !saved.open.values().all(stands)
}

fn step(address: &Address, action: Action, reason: &str) -> Step {
    Step {
        id: StepId(0),
        address: address.clone(),
        action,
        changes: Vec::new(),
        stage: Stage::Prepare,
        consequence: Consequence::None,
        reason: reason.to_owned(),
        after: Vec::new(),
    }
}
