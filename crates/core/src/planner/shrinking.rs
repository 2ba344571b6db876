//! What carries visitors while something moves: what is needed by the old path stays until that is gone.

use super::{
    addresses::{load_balancer_address, security_group_address},
    decide::{Decided, Decision, Item},
    matching,
};
use crate::{
    config::{Config, IpAddressType},
    diff, naming,
    observed::Observed,
    resource::{Address, InstanceIngress, Kind, LoadBalancer, Peer, Ref, Rule, SecurityGroup, Spec, Target},
    state::State,
    value::SecurityGroupId,
};

/// Why a rule goes that was made for the old path.
pub(super) const LEFT: &str = "what needed it is gone";

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
    let (Some(actual), Some(Spec::SecurityGroup(wanted))) = (&item.actual, &item.desired) else {
        return None;
    };
    let Spec::SecurityGroup(standing) = &actual.spec else {
        return None;
    };
    let mut wider = wanted.clone();
    wider.ingress.extend(standing.ingress.iter().cloned());
    wider.egress.extend(standing.egress.iter().cloned());
    wider.egress.extend(still_used(decided, &actual.id));
    (item.decision == Decision::Update && wider != *wanted && something_leaves(state, decided)).then_some(wider)
}

/// The way out to what the load balancer's group is let in to until the end.
fn still_used(decided: &Decided, balancers: &str) -> impl Iterator<Item = Rule> {
    let leaving = |item: &Item| match item.decision {
        Decision::Delete => item.actual.as_ref().map(|actual| actual.spec.clone()),
        _ => item.desired.clone().filter(|_| item.temporary),
    };
    decided
        .iter()
        .filter_map(move |(_, item)| leaving(item))
        .filter_map(move |spec| match spec {
            Spec::InstanceIngress(rule) if rule.source.known().is_ok_and(|source| source == balancers) => {
                Some(Rule::tcp(rule.port, Peer::Group(rule.group)))
            }
            _ => None,
        })
}

/// What the first of two steps brings a resource to.
pub(super) fn first_step(state: &State, decided: &Decided, item: &Item) -> Option<Spec> {
    wider(state, decided, item)
        .map(Spec::SecurityGroup)
        .or_else(|| narrower(item).map(Spec::LoadBalancer))
}

/// Opens again what somebody else has closed while targets on their way out still need it: visitors come to them until
/// they are gone, and the rule that admits the whole world to the same port may be closed before.
pub(super) fn open_again(config: &Config, observed: &Observed, state: &State, decided: &mut Decided) {
    let keeps_group = decided
        .get(&security_group_address())
        .is_some_and(|item| item.actual.is_some() && item.decision != Decision::Replace);
    if !keeps_group {
        // The old path comes from a group that is gone, or is about to be.
        return;
    }
    let closed: Vec<Address> = decided
        .forgotten
        .keys()
        .filter(|address| address.kind() == Kind::InstanceIngress)
        .cloned()
        .collect();
    for address in closed {
        let Some((group, port)) = InstanceIngress::group_and_port(&address) else {
            continue;
        };
        if !leaving_targets(observed, state, decided).any(|target| needs(observed, target, &group, port)) {
            continue;
        }
        let mut spec = Spec::InstanceIngress(InstanceIngress {
            group,
            port,
            source: Ref::id_of(&security_group_address()),
            tags: naming::ownership(&config.name, &address),
        });
        decided.resolve_all(&mut spec);
        if matching::find(config, observed, state, &address, &spec).is_some() {
            continue;
        }
        decided.forgotten.remove(&address);
        let item = Item {
            actual: None,
            successor: None,
            changes: diff::creation(&spec),
            desired: Some(spec),
            decision: Decision::Create,
            reason: "it is gone from AWS, and what is on its way out still needs it".to_owned(),
            temporary: true,
            given_up: None,
            takes_over: false,
        };
        decided.insert(address, item);
    }
    let group = decided
        .get(&security_group_address())
        .and_then(|item| item.actual.as_ref());
    let lacks_way_out = group.is_some_and(|actual| {
        matches!(&actual.spec, Spec::SecurityGroup(standing)
            if still_used(decided, &actual.id).any(|rule| !standing.egress.contains(&rule)))
    });
    if lacks_way_out {
        decided.update(&security_group_address());
    }
}

/// The targets that stand and are on their way out.
fn leaving_targets<'a>(
    observed: &'a Observed,
    state: &'a State,
    decided: &'a Decided,
) -> impl Iterator<Item = &'a Target> {
    let leaving = decided
        .iter()
        .filter(|(_, item)| matches!(item.decision, Decision::Replace | Decision::Delete))
        .filter_map(|(_, item)| item.actual.as_ref());
    let retired = state
        .retired
        .iter()
        .filter(|retired| retired.address.kind() == Kind::Target)
        .filter_map(|retired| observed.object(Kind::Target, &retired.id));
    leaving.chain(retired).filter_map(|actual| match &actual.spec {
        Spec::Target(target) => Some(target),
        _ => None,
    })
}

/// Whether requests to a target, or its health checks, come in by a port of a group.
fn needs(observed: &Observed, target: &Target, group: &SecurityGroupId, port: u16) -> bool {
    // An instance that has left the configuration is not looked at; the rule was made for one on this port.
    let is_behind = match observed.instances.get(&target.instance) {
        Some(instance) => instance.security_groups.contains(group),
        None => observed.security_groups.contains_key(group),
    };
    let checks = target.target_group.known().ok().and_then(|id| observed.by_id(id));
    let is_checked_there = matches!(checks.map(|actual| &actual.spec),
        Some(Spec::TargetGroup(checks)) if checks.health.port == port.to_string());
    is_behind && (target.port == port || is_checked_there)
}
