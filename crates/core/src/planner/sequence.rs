//! Puts what happens in order, with the waits between.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    clean_up,
    decide::{self, Decided, Decision, Item},
    left_open, live, names, shrinking, waits,
};
use crate::{
    config::Config,
    diff,
    observed::Observed,
    plan::{Action, Condition, Consequence, Stage, Step, StepId},
    resource::{Address, Kind, Ref, Spec},
    state::State,
    value::Seconds,
};

/// The steps of a plan.
pub(super) fn sequence(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    now: Timestamp,
) -> Vec<Step> {
    let mut sequence = Sequence::new();
    let strays = left_open::Strays::find(config, observed, state, decided);
    strays.take_in(state, decided, &mut sequence);
    // A listener that stands is changed when what takes over from it stands: certificates for names that its own loses,
    // rules for names that it stops to forward. And a rule gives up names when others have taken them over.
    let later = |(address, item): &(&Address, &Item)| {
        (address.kind() == Kind::Listener && item.decision == Decision::Update)
            || live::gives_way(config, decided, address, item)
    };
    let first = decided
        .iter()
        .filter(|entry| entry.0.kind() <= Kind::ListenerRule && !later(entry));
    let second = decided
        .iter()
        .filter(|entry| entry.0.kind() <= Kind::ListenerRule && later(entry));
    let third = decided.iter().filter(|entry| entry.0.kind() > Kind::ListenerRule);
    for (address, item) in first.chain(second) {
        // The certificate is waited for before the first thing that uses it.
        if matches!(address.kind(), Kind::Listener | Kind::ListenerCertificate) {
            waits::certificate_waits(config, decided, &mut sequence);
        }
        steps(config, observed, state, decided, address, item, &mut sequence);
        if address.kind() == Kind::Certificate {
            waits::validation_wait(config, address, item, &mut sequence);
        }
    }
    clean_up::give_way(config, state, decided, &mut sequence);
    for (address, item) in third {
        steps(config, observed, state, decided, address, item, &mut sequence);
    }
    waits::certificate_waits(config, decided, &mut sequence);
    for (name, site) in &config.sites {
        waits::prove(config, observed, state, decided, name, site, &mut sequence);
    }
    waits::in_sync_waits(config, state, decided, &mut sequence);
    waits::drain(config, observed, state, decided, now, &mut sequence);
    waits::moved_for_visitors(config, observed, decided, &mut sequence);
    waits::verify(config, observed, decided, &mut sequence);
    clean_up::clean_up(config, observed, state, decided, &strays, &mut sequence);
    left_open::close(observed, state, decided, now, &mut sequence);
    sequence.finish()
}

/// The steps that bring a resource to what is wanted.
fn steps(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    address: &Address,
    item: &Item,
    sequence: &mut Sequence,
) {
    if let Some(found) = found_in_place(config, observed, state, decided, address, item) {
        resource_step(config, state, decided, address, &found, sequence);
    }
    if let Some((before, after)) = live::two_steps(item) {
        resource_step(config, state, decided, address, &before, sequence);
        if let Some(after) = after {
            resource_step(config, state, decided, address, &after, sequence);
        }
    } else {
        resource_step(config, state, decided, address, item, sequence);
    }
}

/// What the state does not know and what is written down before it changes: records that lead to a load balancer of the
/// stack, as what they say is not what stood there before the stack came, and what changes only when others are gone, as the
/// steps until then look for it in the state.
fn found_in_place(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    address: &Address,
    item: &Item,
) -> Option<Item> {
    let actual = item.actual.as_ref()?;
    let is_found = match &actual.spec {
        Spec::AliasRecord(standing) => {
            state.id(address).is_none()
                && !state.saved.contains_key(address)
                && names::lead_to_stack(config, observed, state, standing)
        }
        spec => {
            item.given_up.is_none()
                && shrinking::first_step(state, decided, item)
                    .is_some_and(|first_step| diff::changes(spec, &first_step).is_empty())
        }
    };
    let reason = decide::unrecorded(state, address, &actual.id)?;
    (is_found && item.decision == Decision::Update).then(|| Item {
        decision: Decision::Record,
        changes: Vec::new(),
        reason: reason.to_owned(),
        ..item.clone()
    })
}

/// Steps while they are collected. Ids are given at the end, when the stages are known to be in order.
pub(super) struct Sequence {
    pub(super) steps: Vec<(Step, BTreeSet<usize>)>,
    /// The last step about each address: what depends on it waits for that one.
    pub(super) last: BTreeMap<Address, usize>,
}

impl Sequence {
    pub(super) fn new() -> Self {
        Self {
            steps: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    pub(super) fn push(&mut self, step: Step, after: BTreeSet<usize>) -> usize {
        let index = self.steps.len();
        self.last.insert(step.address.clone(), index);
        self.steps.push((step, after));
        index
    }

    /// The steps that change resources of these kinds.
    pub(super) fn steps_about(&self, kinds: &[Kind]) -> BTreeSet<usize> {
        (0..)
            .zip(&self.steps)
            .filter(|(_, (step, _))| step.action.is_mutating() && kinds.contains(&step.address.kind()))
            .map(|(index, _)| index)
            .collect()
    }

    /// Whether something is waited for at an address.
    pub(super) fn waits_for(&self, address: &Address) -> bool {
        self.last
            .get(address)
            .and_then(|index| self.steps.get(*index))
            .is_some_and(|(step, _)| matches!(step.action, Action::Wait { .. }))
    }

    pub(super) fn wait(&mut self, wait: Wait<'_>) {
        let Wait {
            address,
            stage,
            condition,
            deadline,
            reason,
            also_after,
        } = wait;
        let after = also_after
            .iter()
            .chain([address])
            .filter_map(|address| self.last.get(address).copied())
            .collect();
        let step = Step {
            id: StepId(0),
            address: address.clone(),
            action: Action::Wait { condition, deadline },
            changes: Vec::new(),
            stage,
            consequence: Consequence::None,
            reason: reason.to_owned(),
            after: Vec::new(),
        };
        self.push(step, after);
    }

    /// The steps in order. What stands in a later stage cannot be waited for: it is about the same resource, and comes
    /// when it has proven itself.
    pub(super) fn finish(self) -> Vec<Step> {
        let stages: Vec<Stage> = self.steps.iter().map(|(step, _)| step.stage).collect();
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        order.sort_by_key(|index| self.steps.get(*index).map(|(step, _)| step.stage));
        let ids: BTreeMap<usize, StepId> = order
            .iter()
            .zip(1..)
            .map(|(index, number)| (*index, StepId(number)))
            .collect();
        let mut steps: Vec<Step> = self
            .steps
            .into_iter()
            .enumerate()
            .filter_map(|(index, (step, after))| {
                let after = after
                    .iter()
                    .filter(|before| stages.get(**before).is_some_and(|stage| *stage <= step.stage))
                    .filter_map(|index| ids.get(index).copied())
                    .collect();
                Some(Step {
                    id: *ids.get(&index)?,
                    after,
                    ..step
                })
            })
            .collect();
        steps.sort_by_key(|step| step.id);
        steps
    }
}

/// What is waited for.
pub(super) struct Wait<'a> {
    pub(super) address: &'a Address,
    pub(super) stage: Stage,
    pub(super) condition: Condition,
    pub(super) deadline: Seconds,
    pub(super) reason: &'a str,
    /// It begins after the last steps about its own address and about these.
    pub(super) also_after: &'a [Address],
}

fn stage_of(kind: Kind) -> Stage {
    match kind {
        Kind::Certificate
        | Kind::ValidationRecord
        | Kind::SecurityGroup
        | Kind::InstanceIngress
        | Kind::TargetGroup
        | Kind::LoadBalancer
        | Kind::Listener
        | Kind::ListenerCertificate
        | Kind::ListenerRule
        | Kind::WebAclAssociation
        | Kind::Target => Stage::Prepare,
        Kind::AliasRecord => Stage::Cutover,
        Kind::PortClosure => Stage::Lockdown,
    }
}

/// The stage of what happens to a resource.
fn stage(address: &Address, item: &Item) -> Stage {
    match item.decision {
        // What is only written down changes nothing for anybody and needs no proof before it.
        Decision::Record => Stage::Prepare,
        _ if live::is_move(item) => Stage::Cutover,
        _ => stage_of(address.kind()),
    }
}

pub(super) fn consequence_of(kind: Kind, decision: Decision) -> Consequence {
    match (kind, decision) {
        (_, Decision::Record | Decision::Unchanged) => Consequence::None,
        (Kind::AliasRecord | Kind::PortClosure, _) | (Kind::Listener, Decision::Delete) => Consequence::VisitorsNotice,
        (Kind::SecurityGroup | Kind::LoadBalancer | Kind::Listener, Decision::Update) => Consequence::Brief,
        (_, Decision::Create | Decision::Replace | Decision::Update | Decision::Delete) => Consequence::None,
    }
}

fn resource_step(
    config: &Config,
    state: &State,
    decided: &Decided,
    address: &Address,
    item: &Item,
    sequence: &mut Sequence,
) {
    let (Some(desired), actual) = (&item.desired, &item.actual) else {
        return;
    };
    let wider = shrinking::first_step(state, decided, item);
    let desired = wider.as_ref().unwrap_or(desired);
    let changes = match (&wider, actual) {
        (Some(wider), Some(actual)) => diff::changes(&actual.spec, wider),
        _ => item.changes.clone(),
    };
    if let (Some(given_up), Some(actual)) = (&item.given_up, actual) {
        let step = Step {
            id: StepId(0),
            address: address.clone(),
            action: Action::Reinstate {
                id: actual.id.clone(),
                retire: given_up.id.clone(),
                observed: given_up.spec.clone(),
            },
            changes: Vec::new(),
            stage: Stage::Prepare,
            consequence: Consequence::None,
            reason: "what was to replace it is given up".to_owned(),
            after: Vec::new(),
        };
        sequence.push(step, BTreeSet::new());
        if item.decision == Decision::Record {
            return;
        }
    }
    if wider.is_some() && changes.is_empty() {
        return;
    }
    let action = match (item.decision, actual) {
        (Decision::Create, _) => Action::Create {
            desired: desired.clone(),
        },
        (Decision::Replace, Some(actual)) => Action::Replace {
            retire: actual.id.clone(),
            observed: actual.spec.clone(),
            desired: desired.clone(),
        },
        (Decision::Update, Some(actual)) => Action::Update {
            id: actual.id.clone(),
            observed: actual.spec.clone(),
            desired: desired.clone(),
        },
        (Decision::Record, Some(actual)) => Action::Record { id: actual.id.clone() },
        _ => return,
    };
    // What a value comes from may still be waited for when the value itself is known already.
    let supplier = |reference: &Ref| match reference {
        Ref::Of(address, _) => Some(address.clone()),
        Ref::Known(value) => decided.supplier(value).cloned(),
    };
    let mut after: BTreeSet<usize> = desired
        .references()
        .iter()
        .filter_map(supplier)
        .filter_map(|address| sequence.last.get(&address).copied())
        .collect();
    // What is done about the resource itself is done in order.
    after.extend(sequence.last.get(address));
    if address.kind() == Kind::Target {
        // The load balancer is admitted to the instances before anything depends on it.
        after.extend(sequence.steps_about(&[Kind::InstanceIngress]));
    }
    let gives_way = live::gives_way(config, decided, address, item);
    if (address.kind() == Kind::Listener && item.decision == Decision::Update) || gives_way {
        after.extend(sequence.steps_about(&[Kind::Listener, Kind::ListenerCertificate, Kind::ListenerRule]));
    }
    if address.kind() == Kind::TargetGroup && item.decision == Decision::Update {
        // Health checks may go to another port.
        after.extend(sequence.steps_about(&[Kind::SecurityGroup, Kind::InstanceIngress]));
    }
    if address.kind() == Kind::AliasRecord {
        // Visitors are sent to the load balancer when it sends them to the right place.
        after.extend(
            (0..)
                .zip(&sequence.steps)
                .filter(|(_, (step, _))| step.stage == Stage::Cutover && step.address.kind() != Kind::AliasRecord)
                .map(|(index, _)| index),
        );
    }
    let step = Step {
        id: StepId(0),
        address: address.clone(),
        action,
        changes,
        stage: if gives_way {
            Stage::Cutover
        } else {
            stage(address, item)
        },
        consequence: if live::is_move(item) {
            // What they are sent to has proven itself.
            Consequence::None
        } else {
            consequence_of(address.kind(), item.decision)
        },
        reason: item.reason.clone(),
        after: Vec::new(),
    };
    sequence.push(step, after);
}
