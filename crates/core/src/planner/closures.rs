//! The web ports that stand open to the world in the instances' groups, which are closed when visitors have moved.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    addresses::closure_address,
    decide::{Decided, Decision, Item},
    desired::closed,
    foundation::is_shared,
};
use crate::{
    config::{Config, defaults},
    diff,
    observed::{Actual, Observed, Status},
    resource::{Outputs, PortClosure, Rule, Spec},
    state::State,
    value::{InstanceId, SecurityGroupId},
};

/// The web ports that are open to the world in the instances' own groups.
///
/// Where a run died before it recorded that it had closed them, nothing stands open and only that is recorded.
pub(super) fn close_ports(config: &Config, observed: &Observed, state: &State, decided: &mut Decided) {
    if !config.lockdown.enabled {
        return;
    }
    for (group, ports, instances) in groups(config, observed) {
        let open = exact_world_rules(observed, &group, &ports);
        let owned = observed
            .security_groups
            .get(&group)
            .is_some_and(|facts| facts.owner == observed.identity.account);
        let address = closure_address(&group);
        let is_closed = open.is_empty();
        let is_begun = state.intents.contains_key(&address);
        if (is_closed && !is_begun) || !owned || is_shared(observed, &group, &instances.iter().collect()) {
            continue;
        }
        let actual = Spec::PortClosure(PortClosure {
            group: group.clone(),
            descriptions: descriptions(observed, &group, &open),
            open,
        });
        let desired = closed(&group);
        let item = Item {
            changes: diff::changes(&actual, &desired),
            actual: Some(Actual {
                id: group.to_string(),
                spec: actual,
                outputs: Outputs::new(),
                status: Status::Exists,
                tags: BTreeMap::new(),
            }),
            desired: Some(desired),
            decision: if is_closed { Decision::Record } else { Decision::Update },
            reason: if is_closed {
                "an earlier run closed them and could not record it".to_owned()
            } else {
                "visitors come through the load balancer".to_owned()
            },
            temporary: false,
            given_up: None,
            takes_over: false,
            successor: None,
        };
        decided.insert(address, item);
    }
}

/// The groups of the sites' instances, with the web ports of the sites they serve and those instances.
pub(super) fn groups(
    config: &Config,
    observed: &Observed,
) -> Vec<(SecurityGroupId, BTreeSet<u16>, BTreeSet<InstanceId>)> {
    let mut groups: BTreeMap<SecurityGroupId, (BTreeSet<u16>, BTreeSet<InstanceId>)> = BTreeMap::new();
    for site in config.sites.values() {
        for id in &site.instances {
            let Some(instance) = observed.instances.get(id) else {
                continue;
            };
            for group in &instance.security_groups {
                let (ports, instances) = groups.entry(group.clone()).or_default();
                ports.extend([defaults::HTTP_PORT, defaults::LISTEN_PORT]);
                ports.extend(super::desired::backend_ports(site));
                instances.insert(id.clone());
            }
        }
    }
    groups
        .into_iter()
        .map(|(group, (ports, instances))| (group, ports, instances))
        .collect()
}

fn exact_world_rules(observed: &Observed, group: &SecurityGroupId, ports: &BTreeSet<u16>) -> BTreeMap<String, Rule> {
    observed
        .security_groups
        .get(group)
        .into_iter()
        .flat_map(|facts| &facts.ingress)
        .filter(|(_, rule)| {
            rule.rule.is_world_open() && rule.rule.exact_tcp_port().is_some_and(|port| ports.contains(&port))
        })
        .map(|(id, rule)| (id.clone(), rule.rule.clone()))
        .collect()
}

/// The descriptions of rules, to be remembered with them.
pub(super) fn descriptions(
    observed: &Observed,
    group: &SecurityGroupId,
    rules: &BTreeMap<String, Rule>,
) -> BTreeMap<String, String> {
    observed
        .security_groups
        .get(group)
        .into_iter()
        .flat_map(|facts| &facts.ingress)
        .filter(|(id, _)| rules.contains_key(*id))
        .filter_map(|(id, rule)| Some((id.clone(), rule.description.clone()?)))
        .collect()
}
