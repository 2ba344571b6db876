//! The subnets of the load balancer.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Refusal, addresses::load_balancer_address, matching};
use crate::{
    config::{Config, IpAddressType, Scheme},
    observed::{Instance, Observed, Subnet},
    resource::Spec,
    state::State,
    value::{InstanceId, Region, SubnetId, VpcId},
};

/// The least number of availability zones of a load balancer (`aws-facts.md` 3).
const MIN_ZONES: usize = 2;
/// The least number of free addresses in a subnet (`aws-facts.md` 3).
const MIN_FREE_ADDRESSES: u32 = 8;
/// The longest IPv4 prefix of a subnet (`aws-facts.md` 3).
const MAX_PREFIX_LENGTH: u8 = 27;
/// The subnets that the configuration names, or else one of each of two availability zones: those that the load balancer
/// has, as far as they will do, so that it is not moved because somebody made a subnet or addresses became few.
pub(super) fn choose(
    config: &Config,
    observed: &Observed,
    state: &State,
    vpc: &VpcId,
    instances: &BTreeMap<&InstanceId, &Instance>,
    refusals: &mut Vec<Refusal>,
) -> Option<BTreeSet<SubnetId>> {
    let needed: BTreeSet<&str> = instances
        .values()
        .map(|instance| instance.availability_zone.as_str())
        .collect();
    let public_needed = config.load_balancer.scheme == Scheme::InternetFacing;
    let needs_ipv6 = config.load_balancer.ip_address_type == IpAddressType::Dualstack;
    let present = present(config, observed, state);
    let in_vpc = || observed.subnets.iter().filter(|subnet| subnet.vpc == *vpc);
    if let Some(wanted) = &config.load_balancer.subnets {
        let mut by_zone: BTreeMap<&str, &Subnet> = BTreeMap::new();
        let before = refusals.len();
        for id in wanted {
            let Some(subnet) = in_vpc().find(|subnet| subnet.id == *id) else {
                refusals.push(Refusal::new(
                    id.as_str(),
                    format!("the subnet is not in the instance's VPC `{vpc}`"),
                    "name subnets of that VPC in `load_balancer.subnets`, or leave the setting out",
                ));
                continue;
            };
            if let Some(other) = by_zone.insert(&subnet.availability_zone, subnet) {
                refusals.push(Refusal::new(
                    id.as_str(),
                    format!("`{id}` and `{}` are both in {}", other.id, subnet.availability_zone),
                    "a load balancer takes one subnet of an availability zone",
                ));
            }
            if public_needed && !subnet.public {
                refusals.push(Refusal::new(
                    id.as_str(),
                    "the subnet has no route to an internet gateway, so visitors could not reach the load balancer",
                    "name public subnets, or set `load_balancer.scheme = \"internal\"`",
                ));
            }
            if needs_ipv6 && !subnet.has_ipv6 {
                refusals.push(Refusal::new(
                    id.as_str(),
                    "the subnet has no IPv6 range with a route to an internet gateway, which a dual-stack load balancer needs",
                    "give it one, name others, or set `load_balancer.ip_address_type = \"ipv4\"`",
                ));
            }
            // What the load balancer has taken is no longer free.
            if !present.contains(id) {
                refuse_small(subnet, refusals);
            }
        }
        for zone in &needed {
            if !by_zone.contains_key(zone) {
                refusals.push(Refusal::new(
                    "load_balancer.subnets",
                    format!("none of the subnets is in {zone}, where the instance is: it would get no requests"),
                    format!("add a subnet in {zone}"),
                ));
            }
        }
        return (refusals.len() == before).then(|| wanted.clone());
    }
    let usable = |subnet: &&Subnet| {
        (subnet.public || !public_needed)
            && (present.contains(&subnet.id) || !is_small(subnet))
            && (!needs_ipv6 || subnet.has_ipv6)
            && (is_ordinary(&subnet.availability_zone, &observed.identity.region)
                || needed.contains(subnet.availability_zone.as_str()))
    };
    // One subnet of each zone: the load balancer's if it will do, else the instance's own, else the first by id, so that
    // every run chooses alike.
    let mut by_zone: BTreeMap<&str, &SubnetId> = BTreeMap::new();
    let own: BTreeSet<&SubnetId> = instances.values().map(|instance| &instance.subnet).collect();
    for subnet in in_vpc().filter(usable) {
        by_zone
            .entry(&subnet.availability_zone)
            .and_modify(|chosen| {
                let rank = |id| (!present.contains(id), !own.contains(id), id);
                if rank(&subnet.id) < rank(*chosen) {
                    *chosen = &subnet.id;
                }
            })
            .or_insert(&subnet.id);
    }
    let missing: Vec<&str> = needed
        .iter()
        .copied()
        .filter(|zone| !by_zone.contains_key(zone))
        .collect();
    if !missing.is_empty() || by_zone.len() < MIN_ZONES {
        let zones: Vec<&str> = by_zone.keys().copied().collect();
        let sort = match (public_needed, needs_ipv6) {
            (true, true) => "public subnets with an IPv6 range",
            (true, false) => "public subnets",
            (false, true) => "subnets with an IPv6 range",
            (false, false) => "subnets",
        };
        let reason = if missing.is_empty() {
            format!(
                "a load balancer needs {sort} in two availability zones, the VPC `{vpc}` has usable ones in: {}",
                if zones.is_empty() {
                    "none".to_owned()
                } else {
                    zones.join(", ")
                }
            )
        } else {
            format!(
                "the VPC `{vpc}` has no usable {sort} in {}, where the instance is",
                missing.join(", ")
            )
        };
        refusals.push(Refusal::new(
            vpc.as_str(),
            reason,
            format!(
                "add a subnet of /{MAX_PREFIX_LENGTH} or larger with {MIN_FREE_ADDRESSES} free addresses and a route to an \
                 internet gateway, or name subnets in `load_balancer.subnets`"
            ),
        ));
        return None;
    }
    let mut others: Vec<&str> = by_zone.keys().copied().filter(|zone| !needed.contains(zone)).collect();
    others.sort_by_key(|zone| !by_zone.get(zone).is_some_and(|id| present.contains(*id)));
    let zones: BTreeSet<&str> = needed
        .iter()
        .copied()
        .chain(others.into_iter().take(MIN_ZONES.saturating_sub(needed.len())))
        .collect();
    Some(
        by_zone
            .into_iter()
            .filter(|(zone, _)| zones.contains(zone))
            .map(|(_, id)| id.clone())
            .collect(),
    )
}

fn refuse_small(subnet: &Subnet, refusals: &mut Vec<Refusal>) {
    if is_small(subnet) {
        refusals.push(Refusal::new(
            subnet.id.as_str(),
            format!(
                "the subnet is a /{} with {} free addresses",
                subnet.prefix_length, subnet.free_addresses
            ),
            format!("a load balancer needs a /{MAX_PREFIX_LENGTH} or larger with {MIN_FREE_ADDRESSES} free addresses"),
        ));
    }
}

fn is_small(subnet: &Subnet) -> bool {
    subnet.free_addresses < MIN_FREE_ADDRESSES || subnet.prefix_length > MAX_PREFIX_LENGTH
}

/// The subnets of the load balancer as it stands.
fn present(config: &Config, observed: &Observed, state: &State) -> BTreeSet<SubnetId> {
    match matching::standing(config, observed, state, &load_balancer_address()).map(|actual| &actual.spec) {
        Some(Spec::LoadBalancer(load_balancer)) => load_balancer.subnets.clone(),
        _ => BTreeSet::new(),
    }
}

/// Whether a zone is one of the region's own. Local Zones (`us-west-2-lax-1a`) and Wavelength Zones do not go together
/// with these in one load balancer.
fn is_ordinary(zone: &str, region: &Region) -> bool {
    zone.strip_prefix(region.as_str())
        .is_none_or(|rest| !rest.starts_with('-'))
}
