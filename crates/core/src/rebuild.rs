//! A new state for a stack whose state is lost: from what a plan with an empty state finds.

use jiff::Timestamp;

use crate::{
    config::{Config, StackName},
    naming,
    observed::{Actual, Observed},
    plan::{Action, Plan, Step},
    resource::{Address, Kind, Output, Outputs, Tags},
    state::{Cutover, Entry, Origin, State},
};

/// A state as it was found, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The new state.
    pub state: State,
    /// What it has, in the order of addresses.
    pub found: Vec<Found>,
    /// What the configuration asks for and was not found, or is not the stack's yet.
    pub missing: Vec<Address>,
    /// What carries the stack's tags and has no place in it.
    pub strays: Vec<Stray>,
}

/// An object that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub address: Address,
    /// Its ARN or id; for kinds without one, what identifies it.
    pub id: String,
    /// How it was found.
    pub by: By,
}

/// How an object was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It carries the stack's tags.
    Tags,
    /// The configuration adopts it.
    Adoption,
    /// It stands where, and is what, one of the stack's would be.
    Content,
}

/// An object with the stack's tags that the stack does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its kind.
    pub kind: Kind,
    /// Its ARN or id.
    pub id: String,
    /// The address that its tags name, if they do.
    pub resource: Option<String>,
}

/// The state of which `plan`, made from `observed` with an empty state, would be the next one.
///
/// Nothing that only looks like a part of the stack is taken in: a record that does not lead to the load balancer, or a rule
/// that is to be closed, is not the stack's.
pub fn rebuild(config: &Config, observed: &Observed, plan: &Plan, lineage: String, now: Timestamp) -> Rebuilt {
    let mut state = State::empty(config.name.clone(), lineage);
    state.account = Some(observed.identity.account.clone());
    state.region = Some(observed.identity.region.clone());
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for step in &plan.steps {
        let Some(id) = id_of(&config.name, step) else {
            let closes = step.address.kind() == Kind::PortClosure;
            if step.action.is_mutating() && !closes {
                missing.push(step.address.clone());
            }
            continue;
        };
        let by = found_by(config, observed, &step.address, id);
        let object = object(observed, step.address.kind(), id);
        let entry = Entry {
            id: id.to_owned(),
            outputs: object.map(|actual| outputs(&actual.outputs)).unwrap_or_default(),
            origin: match by {
                By::Tags => Origin::FoundByTags,
                By::Adoption | By::Content => Origin::Adopted,
            },
            recorded_at: now,
        };
        if step.address.kind() == Kind::AliasRecord {
            state.cutovers.insert(step.address.clone(), Cutover::found(now));
        }
        state.resources.insert(step.address.clone(), entry);
        found.push(Found {
            address: step.address.clone(),
            id: id.to_owned(),
            by,
        });
    }
    found.sort_by(|one, other| one.address.cmp(&other.address));
    missing.sort();
    missing.dedup();
    let strays = strays(config, observed, &found);
    Rebuilt {
        state,
        found,
        missing,
        strays,
    }
}

/// The id of the stack's object that a step is about.
fn id_of<'a>(stack: &StackName, step: &'a Step) -> Option<&'a str> {
    match &step.action {
        Action::Record { id } | Action::Reinstate { id, .. } => Some(id),
        Action::Update { id, observed, .. }
        | Action::Replace {
            retire: id, observed, ..
        } => match step.address.kind() {
            // Taking what stands there for the stack's would let it be changed unasked.
            Kind::AliasRecord | Kind::ValidationRecord | Kind::PortClosure => None,
            Kind::InstanceIngress => observed
                .tags()
                .is_some_and(|tags| naming::is_owned(tags, stack, &step.address))
                .then_some(id),
            Kind::Certificate
            | Kind::SecurityGroup
            | Kind::TargetGroup
            | Kind::LoadBalancer
            | Kind::Listener
            | Kind::ListenerCertificate
            | Kind::ListenerRule
            | Kind::WebAclAssociation
            | Kind::Target => Some(id),
        },
        Action::Create { .. } | Action::Delete { .. } | Action::Forget { .. } | Action::Wait { .. } => None,
    }
}

fn object<'a>(observed: &'a Observed, kind: Kind, id: &str) -> Option<&'a Actual> {
    let of_kind = |actual: &&Actual| actual.id == id && actual.spec.kind() == kind;
    observed.found.iter().find(of_kind)
}

fn outputs(outputs: &Outputs) -> Outputs {
    let mut outputs = outputs.clone();
    // The entry has it.
    outputs.remove(&Output::Id);
    outputs
}

fn found_by(config: &Config, observed: &Observed, address: &Address, id: &str) -> By {
    let rules = observed.security_groups.values().flat_map(|group| &group.ingress);
    let of_rule = || {
        let mut rules = rules;
        rules.find(|(rule, _)| *rule == id).map(|(_, rule)| &rule.tags)
    };
    let tags: Option<&Tags> = match address.kind() {
        Kind::InstanceIngress => of_rule(),
        kind => object(observed, kind, id).map(|actual| &actual.tags),
    };
    if tags.is_some_and(|tags| naming::is_owned(tags, &config.name, address)) {
        By::Tags
    } else if config.adopt.iter().any(|adoption| adoption.id == id) {
        By::Adoption
    } else {
        By::Content
    }
}

fn strays(config: &Config, observed: &Observed, found: &[Found]) -> Vec<Stray> {
    let is_used = |id: &str| found.iter().any(|found| found.id == id);
    let is_ours = |tags: &Tags| {
        tags.get(naming::STACK_TAG)
            .is_some_and(|stack| stack == config.name.as_str())
    };
    let objects = observed
        .found
        .iter()
        .filter(|actual| actual.spec.kind() != Kind::Target)
        .map(|actual| (actual.spec.kind(), &actual.id, &actual.tags));
    let rules = observed
        .security_groups
        .values()
        .flat_map(|group| &group.ingress)
        .map(|(id, rule)| (Kind::InstanceIngress, id, &rule.tags));
    objects
        .chain(rules)
        .filter(|(_, id, tags)| is_ours(tags) && !is_used(id))
        .map(|(kind, id, tags)| Stray {
            kind,
            id: id.clone(),
            resource: tags.get(naming::RESOURCE_TAG).cloned(),
        })
        .collect()
}
