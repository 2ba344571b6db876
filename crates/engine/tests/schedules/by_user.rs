//! What the user of the tool does by hand, as the tool tells it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use reconcile_core::{
    config::{Config, Site},
    resource::Output,
    value::DomainName,
};

use crate::{
    drift::ELSEWHERE,
    world::{World, alias_name},
};

/// Leads names that lead to a load balancer which others have deleted to their instances.
pub(crate) fn lead_back_by_hand(world: &mut World, config: &Config, now: Timestamp) {
    let balancers: BTreeSet<String> = world
        .objects
        .values()
        .filter_map(|object| object.actual.outputs.get(&Output::DnsName).cloned())
        .collect();
    for (name, site) in config
        .sites
        .values()
        .flat_map(|site| site.names().map(move |name| (name, site)))
    {
        let mut sets = world.records.iter().filter(|set| set.name == *name);
        if sets.any(|set| alias_name(set).is_some_and(|target| !balancers.contains(&target))) {
            let address = world.instances[site.instances.first().unwrap()]
                .public_address
                .unwrap()
                .to_string();
            world.point_by_hand(name, &address, now);
        }
    }
}

/// Opens the port that visitors come to in the groups of all instances.
pub(crate) fn open_by_hand(world: &mut World, config: &Config, now: Timestamp) {
    let instances = config.sites.values().flat_map(|site| &site.instances);
    let groups: BTreeSet<_> = instances
        .flat_map(|id| world.instances[id].security_groups.iter().cloned())
        .collect();
    for group in groups {
        world.open_by_hand(&group, "tcp 443 0.0.0.0/0".parse().unwrap(), now);
    }
}

/// Leads the names that a configuration brings to their instances, and those that it does not have away from the load
/// balancer.
pub(crate) fn lead_by_hand(world: &mut World, config: &Config, now: Timestamp) {
    for site in config.sites.values() {
        let addresses: Vec<String> = site
            .instances
            .iter()
            .filter_map(|id| world.instances[id].public_address.map(|address| address.to_string()))
            .collect();
        for name in site.names() {
            let leads_there = world.records.iter().any(|set| {
                set.name == *name && set.record_type == "A" && set.values.iter().all(|value| addresses.contains(value))
            });
            if !world.is_aliased(name) && !leads_there {
                world.point_by_hand(name, &addresses[0], now);
            }
        }
    }
    let has = |name: &DomainName| config.sites.values().flat_map(Site::names).any(|other| other == name);
    let leaving: Vec<DomainName> = world
        .records
        .iter()
        .filter(|set| set.alias.is_some() && !has(&set.name))
        .map(|set| set.name.clone())
        .collect();
    for name in leaving {
        world.point_by_hand(&name, ELSEWHERE, now);
    }
}
