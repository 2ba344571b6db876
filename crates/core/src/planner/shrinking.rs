//! What carries visitors while something moves: what is needed by the old path stays until that is gone.

use super::{
    addresses::load_balancer_address,
    decide::{Decided, Decision, Item},
};
use crate::{
    config::IpAddressType,
    resource::{Kind, LoadBalancer, SecurityGroup, Spec},
    state::State,
};

/// Whether something is on its way out that may still need the group's rules.
fn something_leaves(state: &State, decided: &Decided) -> bool {
    let needs_rules = |kind: Kind| {
        matches!(
            kind,
            Kind::InstanceIngress | Kind::Target | Kind::TargetGroup | Kind::Listener | Kind::LoadBalancer
        )
    };
    decided.iter().any(|(address, item)| {
        needs_rules(address.kind())
            && (item.given_up.is_some() || matches!(item.decision, Decision::Replace | Decision::Delete))
    }) || state.retired.iter().any(|retired| needs_rules(retired.address.kind()))
        || loses_ipv6(decided)
}

/// Whether the load balancer stops to serve IPv6: visitors still come by it until its AAAA records are forgotten.
pub(super) fn loses_ipv6(decided: &Decided) -> bool {
    decided
        .get(&load_balancer_address())
        .is_some_and(|item| narrower(item).is_some())
}

/// The load balancer with IPv6 as long as visitors may come by it.
fn narrower(item: &Item) -> Option<LoadBalancer> {
    let (Some(Spec::LoadBalancer(standing)), Some(Spec::LoadBalancer(wanted))) =
        (item.actual.as_ref().map(|actual| &actual.spec), &item.desired)
    else {
        return None;
    };
    let loses = standing.ip_address_type == IpAddressType::Dualstack && wanted.ip_address_type == IpAddressType::Ipv4;
    (item.decision == Decision::Update && loses).then(|| LoadBalancer {
        ip_address_type: standing.ip_address_type,
        ..wanted.clone()
    })
}

/// The group with the rules that it has and those that are wanted, if the rest has to wait for a later step.
fn wider(state: &State, decided: &Decided, item: &Item) -> Option<SecurityGroup> {
    let (Some(Spec::SecurityGroup(standing)), Some(Spec::SecurityGroup(wanted))) =
        (item.actual.as_ref().map(|actual| &actual.spec), &item.desired)
    else {
        return None;
    };
    let surplus = !standing.ingress.is_subset(&wanted.ingress) || !standing.egress.is_subset(&wanted.egress);
    (item.decision == Decision::Update && surplus && something_leaves(state, decided)).then(|| {
        let mut wider = wanted.clone();
        wider.ingress.extend(standing.ingress.iter().cloned());
        wider.egress.extend(standing.egress.iter().cloned());
        wider
    })
}

/// What the first of two steps brings a resource to.
pub(super) fn first_step(state: &State, decided: &Decided, item: &Item) -> Option<Spec> {
    wider(state, decided, item)
        .map(Spec::SecurityGroup)
        .or_else(|| narrower(item).map(Spec::LoadBalancer))
}
