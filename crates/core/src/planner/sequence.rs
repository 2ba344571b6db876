//! Puts what happens in order, with the waits between.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    decide::{Decided, Decision, Item, names_certificate},
    findings::other_users,
    waits,
};
use crate::{
    config::Config,
    diff,
    observed::Observed,
    plan::{Action, Condition, Consequence, Stage, Step, StepId},
    resource::{Address, Kind, Ref},
    state::State,
    value::Seconds,
};

/// Why a certificate is not deleted that the stack made.
const NAMED: &str = "the configuration names it outright, so it is not the stack's any more";

/// The steps of a plan.
pub(super) fn sequence(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    now: Timestamp,
) -> Vec<Step> {
    let mut sequence = Sequence {
        steps: Vec::new(),
        last: BTreeMap::new(),
    };
    for (address, item) in decided.iter() {
        // The certificate is waited for before the first thing that uses it.
        if address.kind() == Kind::Listener {
            waits::certificate_waits(config, decided, &mut sequence);
        }
        resource_step(decided, address, item, &mut sequence);
        if address.kind() == Kind::Certificate {
            waits::validation_wait(config, address, item, &mut sequence);
        }
    }
    waits::certificate_waits(config, decided, &mut sequence);
    for (name, site) in &config.sites {
        waits::prove(config, observed, decided, name, site, &mut sequence);
    }
    waits::in_sync_waits(config, state, decided, &mut sequence);
    waits::drain_waits(config, state, decided, now, &mut sequence);
    waits::moved_for_visitors(config, observed, decided, &mut sequence);
    waits::verify(config, decided, &mut sequence);
    clean_up(config, observed, state, decided, &mut sequence);
    sequence.finish()
}

/// Steps while they are collected. Ids are given at the end, when the stages are known to be in order.
pub(super) struct Sequence {
    pub(super) steps: Vec<(Step, BTreeSet<usize>)>,
    /// The last step about each address: what depends on it waits for that one.
    pub(super) last: BTreeMap<Address, usize>,
}

impl Sequence {
    fn push(&mut self, step: Step, after: BTreeSet<usize>) -> usize {
        let index = self.steps.len();
        self.last.insert(step.address.clone(), index);
        self.steps.push((step, after));
        index
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

    fn finish(self) -> Vec<Step> {
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
                let after = after.iter().filter_map(|index| ids.get(index).copied()).collect();
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

fn consequence_of(kind: Kind, decision: Decision) -> Consequence {
    match (kind, decision) {
        (_, Decision::Record | Decision::Forget | Decision::Unchanged) => Consequence::None,
        (Kind::AliasRecord | Kind::PortClosure, _)
        | (Kind::Listener | Kind::Target | Kind::InstanceIngress, Decision::Delete) => Consequence::VisitorsNotice,
        (Kind::SecurityGroup | Kind::LoadBalancer | Kind::Listener, Decision::Update) => Consequence::Brief,
        (_, Decision::Create | Decision::Replace | Decision::Update | Decision::Delete) => Consequence::None,
    }
}

fn resource_step(decided: &Decided, address: &Address, item: &Item, sequence: &mut Sequence) {
    let (Some(desired), actual) = (&item.desired, &item.actual) else {
        return;
    };
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
    if address.kind() == Kind::Target {
        // The load balancer is admitted to the instances before anything depends on it.
        after.extend(
            sequence
                .last
                .iter()
                .filter(|(other, _)| other.kind() == Kind::InstanceIngress)
                .map(|(_, index)| *index),
        );
    }
    let stage = stage_of(address.kind());
    // What is only written down changes nothing for anybody and needs no proof before it.
    let stage = if item.decision == Decision::Record {
        Stage::Prepare
    } else {
        stage
    };
    let step = Step {
        id: StepId(0),
        address: address.clone(),
        action,
        changes: item.changes.clone(),
        stage,
        consequence: consequence_of(address.kind(), item.decision),
        reason: item.reason.clone(),
        after: Vec::new(),
    };
    sequence.push(step, after);
}

/// What was replaced, or is no longer wanted, is deleted last, and users before what they use.
fn clean_up(config: &Config, observed: &Observed, state: &State, decided: &Decided, sequence: &mut Sequence) {
    let mut old: Vec<(Address, Action, Vec<diff::Change>, String)> = Vec::new();
    for (address, item) in decided.iter() {
        let Some(actual) = &item.actual else { continue };
        let reason = match item.decision {
            Decision::Replace => "its successor has taken over",
            Decision::Delete => item.reason.as_str(),
            _ => continue,
        };
        let action = Action::Delete {
            id: Ref::Known(actual.id.clone()),
            observed: actual.spec.clone(),
        };
        old.push((address.clone(), action, diff::deletion(&actual.spec), reason.to_owned()));
    }
    for retired in &state.retired {
        if retired.address.kind() == Kind::Certificate && names_certificate(config, &retired.id) {
            let action = Action::Forget { id: retired.id.clone() };
            old.push((retired.address.clone(), action, Vec::new(), NAMED.to_owned()));
            continue;
        }
        let action = Action::Delete {
            id: Ref::Known(retired.id.clone()),
            observed: retired.spec.clone(),
        };
        old.push((
            retired.address.clone(),
            action,
            diff::deletion(&retired.spec),
            "its successor has taken over".to_owned(),
        ));
    }
    for (address, id) in &decided.forgotten {
        let reason = match address.kind() {
            Kind::ValidationRecord | Kind::AliasRecord => "the configuration no longer asks for it; it stays in DNS",
            Kind::Certificate if names_certificate(config, id) => NAMED,
            _ => "it is gone from AWS and no longer wanted",
        };
        old.push((
            address.clone(),
            Action::Forget { id: id.clone() },
            Vec::new(),
            reason.to_owned(),
        ));
    }
    // To ask for the deletion of what others use is to wait in vain.
    old.retain(|(_, action, ..)| {
        !matches!(action, Action::Delete { id: Ref::Known(id), .. } if !other_users(observed, state, decided, id).is_empty())
    });
    old.sort_by(|left, right| right.0.cmp(&left.0));
    let mut previous: BTreeSet<usize> = BTreeSet::new();
    for (address, action, changes, reason) in old {
        let decision = if matches!(action, Action::Forget { .. }) {
            Decision::Forget
        } else {
            Decision::Delete
        };
        let step = Step {
            id: StepId(0),
            consequence: if reason.starts_with("its successor") {
                Consequence::None
            } else {
                consequence_of(address.kind(), decision)
            },
            address,
            action,
            changes,
            stage: Stage::Cleanup,
            reason,
            after: Vec::new(),
        };
        let index = sequence.push(step, previous.clone());
        previous = BTreeSet::from([index]);
    }
}
