//! What holds when runs have come to their end.

use std::collections::{BTreeMap, BTreeSet};

use reconcile_core::{
    naming,
    plan::{Action, Plan, StepId},
    resource::{Address, Kind, Spec, Tags},
};

use crate::{
    sim::Sim,
    world::{World, known},
};

fn is_tagged(tags: &Tags) -> bool {
    tags.contains_key(naming::STACK_TAG)
}

/// Everything of the stack in the cloud, by id, with the kind.
fn of_the_stack(world: &World) -> BTreeMap<String, Kind> {
    let tagged = |id: &str| {
        world
            .objects
            .get(id)
            .is_some_and(|object| is_tagged(&object.actual.tags))
    };
    let mut all = BTreeMap::new();
    for (id, spec) in world.specs() {
        let is_ours = match spec {
            Spec::Target(target) => tagged(known(&target.target_group)),
            Spec::ListenerCertificate(listed) => tagged(known(&listed.listener)),
            _ => tagged(id),
        };
        if is_ours {
            all.insert(id.to_owned(), spec.kind());
        }
    }
    for facts in world.groups.values() {
        let ours = facts.ingress.iter().filter(|(_, rule)| is_tagged(&rule.tags));
        all.extend(ours.map(|(id, _)| (id.clone(), Kind::InstanceIngress)));
    }
    for set in world.records.iter().filter(|set| set.alias.is_some()) {
        all.insert(format!("{}/{}", set.zone, set.name), Kind::AliasRecord);
    }
    all
}

/// What is not the stack's, in words that can be compared.
pub(crate) fn of_others(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for (id, spec) in world.specs() {
        let of = match spec {
            Spec::Target(target) => known(&target.target_group),
            Spec::ListenerCertificate(listed) => known(&listed.listener),
            _ => id,
        };
        if !world
            .objects
            .get(of)
            .is_some_and(|object| is_tagged(&object.actual.tags))
        {
            all.push(format!("{id} {:?}", spec.settings()));
        }
    }
    for (group, facts) in &world.groups {
        for (id, rule) in &facts.ingress {
            let is_web = rule.rule.is_world_open() && !rule.rule.admits_tcp(22);
            if !is_web && !is_tagged(&rule.tags) {
                all.push(format!("{group} {id} {}", rule.rule));
            }
        }
    }
    let ours = |name: &str| {
        name.starts_with("_x.") || SITES.iter().any(|site| name.starts_with(site)) || name.starts_with('n')
    };
    all.extend(
        world
            .records
            .iter()
            .filter(|set| !ours(set.name.as_str()))
            .map(|set| format!("{set:?}")),
    );
    all
}

/// What the names of sites begin with.
const SITES: [&str; 5] = ["www.", "shop.", "blog.", "moved.", "*."];

impl Sim {
    /// After a run that ended without an error: what it did is stored, and no call is open.
    pub(crate) fn check_recorded(&self, plan: &Plan, done: &[StepId]) {
        let stored = self.stored.borrow();
        let mut last: BTreeMap<&Address, &Action> = BTreeMap::new();
        let stores = |action: &Action| action.is_mutating() || matches!(action, Action::Forget { .. });
        for step in plan
            .steps
            .iter()
            .filter(|step| done.contains(&step.id) && stores(&step.action))
        {
            last.insert(&step.address, &step.action);
        }
        for (address, action) in last {
            if stored.intents.contains_key(address) {
                self.violate(format!(
                    "the step of {address} is done, and its intent is open in the stored state"
                ));
            }
            let is_recorded = stored.resources.contains_key(address);
            if !matches!(action, Action::Delete { .. } | Action::Forget { .. }) && !is_recorded {
                self.violate(format!(
                    "the step of {address} is done, and the stored state does not have it"
                ));
            }
        }
    }

    /// Things of others are as they were.
    pub(crate) fn check_others(&self, before: &[String]) {
        let now = of_others(&self.world.borrow());
        for gone in before.iter().filter(|thing| !now.contains(thing)) {
            self.violate(format!("a thing of others is gone or changed: {gone}"));
        }
    }

    /// Nothing is left to do: the state lists exactly what is there.
    pub(crate) fn check_settled(&self) {
        let (world, stored) = (self.world.borrow(), self.stored.borrow());
        if !stored.intents.is_empty() {
            self.violate(format!("calls are open: {:?}", stored.intents));
        }
        if !stored.retired.is_empty() {
            self.violate(format!("on their way out still: {:?}", stored.retired));
        }
        let all = of_the_stack(&world);
        let recorded: BTreeSet<&str> = stored.resources.values().map(|entry| entry.id.as_str()).collect();
        for (id, kind) in &all {
            if !recorded.contains(id.as_str()) {
                self.violate(format!("an orphan: {kind} {id}"));
            }
        }
        for (address, entry) in &stored.resources {
            let is_there = match address.kind() {
                Kind::PortClosure => true,
                Kind::ValidationRecord => world
                    .records
                    .iter()
                    .any(|set| entry.id == format!("{}/{}/CNAME", set.zone, set.name)),
                Kind::AliasRecord => world
                    .records
                    .iter()
                    .any(|set| entry.id == format!("{}/{}", set.zone, set.name)),
                Kind::InstanceIngress => world.groups.values().any(|facts| facts.ingress.contains_key(&entry.id)),
                _ => world.objects.contains_key(&entry.id),
            };
            if !is_there {
                self.violate(format!("the state has {address} {}, and the cloud does not", entry.id));
            }
        }
        let mut at: BTreeMap<String, &str> = BTreeMap::new();
        for object in world.objects.values() {
            if let Some(resource) = object
                .actual
                .tags
                .get(naming::RESOURCE_TAG)
                .filter(|_| is_tagged(&object.actual.tags))
                && let Some(other) = at.insert(resource.clone(), &object.actual.id)
            {
                self.violate(format!("{resource} exists twice: {other} and {}", object.actual.id));
            }
        }
    }

    /// Nothing of the stack is left.
    pub(crate) fn check_gone(&self) {
        let (world, stored) = (self.world.borrow(), self.stored.borrow());
        for (id, kind) in of_the_stack(&world) {
            self.violate(format!("left after the end: {kind} {id}"));
        }
        if !stored.resources.is_empty() || !stored.retired.is_empty() || !stored.intents.is_empty() {
            self.violate(format!(
                "left in the state: {:?} {:?} {:?}",
                stored.resources, stored.retired, stored.intents
            ));
        }
    }
}
