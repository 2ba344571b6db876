//! Finds each resource of the stack among the observed objects.
//!
//! By the id that the state knows; else by the tags that mark it; for kinds whose identity is their content, by that.

use std::collections::BTreeSet;

use super::{
    addresses::{listener_address, load_balancer_address},
    desired, names,
};
use crate::{
    config::{CertificateSource, Config},
    diff, naming,
    observed::{Actual, GroupRule, Observed, Status},
    resource::{Address, InstanceIngress, Kind, Listener, Outputs, Peer, Ref, Spec, Tags, Target, ValidationRecord},
    state::State,
    value::SecurityGroupId,
};

/// The object behind `address`; references in `desired` are resolved as far as they can be.
pub(super) fn find(
    config: &Config,
    observed: &Observed,
    state: &State,
    address: &Address,
    desired: &Spec,
) -> Option<Actual> {
    match desired {
        Spec::Certificate(_) | Spec::SecurityGroup(_) | Spec::TargetGroup(_) | Spec::LoadBalancer(_) => {
            by_identity(config, observed, state, address).cloned()
        }
        Spec::ListenerRule(_) => by_identity(config, observed, state, address).cloned(),
        Spec::ListenerCertificate(_) | Spec::WebAclAssociation(_) => {
            by_content(observed, state, address, desired).cloned()
        }
        Spec::Listener(wanted) => by_identity(config, observed, state, address)
            .or_else(|| by_port(observed, wanted))
            .cloned(),
        Spec::Target(wanted) => target(observed, state, address, wanted).cloned(),
        Spec::ValidationRecord(wanted) => validation_record(observed, wanted),
        Spec::InstanceIngress(wanted) => ingress(config, observed, state, address, wanted),
        Spec::AliasRecord(wanted) => names::at(observed, &wanted.zone, &wanted.name).map(|standing| Actual {
            id: format!("{}/{}", wanted.zone, wanted.name),
            spec: Spec::AliasRecord(standing),
            outputs: Outputs::new(),
            status: Status::Exists,
            tags: Tags::new(),
        }),
        // Closures are made from what stands open, not looked up.
        Spec::PortClosure(_) => None,
    }
}

/// The object with the content that is wanted, or else the one that the state knows.
fn by_content<'a>(observed: &'a Observed, state: &State, address: &Address, desired: &Spec) -> Option<&'a Actual> {
    let of_kind = || {
        observed
            .found
            .iter()
            .filter(|actual| actual.spec.kind() == desired.kind())
    };
    of_kind()
        .find(|actual| diff::changes(&actual.spec, desired).is_empty())
        .or_else(|| of_kind().find(|actual| state.id(address) == Some(actual.id.as_str())))
}

/// The object that has the place of `actual` in the state, if that one comes back from being on its way out, or was made
/// by a run that could not record it.
pub(super) fn given_up(observed: &Observed, state: &State, address: &Address, actual: &Actual) -> Option<Actual> {
    let current = state.id(address).filter(|current| *current != actual.id)?;
    let kind = address.kind();
    kind.has_id().then(|| observed.object(kind, current).cloned()).flatten()
}

/// An object of the kind and name that is wanted, whosever it is.
pub(super) fn named_like<'a>(observed: &'a Observed, desired: &Spec) -> Option<&'a Actual> {
    let name = name_of(desired)?;
    observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == desired.kind() && name_of(&actual.spec) == Some(name))
}

pub(super) fn name_of(spec: &Spec) -> Option<&str> {
    match spec {
        Spec::SecurityGroup(group) => Some(&group.name),
        Spec::TargetGroup(group) => Some(&group.name),
        Spec::LoadBalancer(load_balancer) => Some(&load_balancer.name),
        _ => None,
    }
}

/// The object that the state knows, or else the one with the tags.
pub(super) fn by_identity<'a>(
    config: &Config,
    observed: &'a Observed,
    state: &State,
    address: &Address,
) -> Option<&'a Actual> {
    let of_kind = || {
        observed
            .found
            .iter()
            .filter(|actual| actual.spec.kind() == address.kind())
    };
    if let Some(id) = state.id(address)
        && let Some(actual) = of_kind().find(|actual| actual.id == id)
    {
        return Some(actual);
    }
    let retired: BTreeSet<&str> = state.retired.iter().map(|retired| retired.id.as_str()).collect();
    of_kind()
        .filter(|actual| !retired.contains(actual.id.as_str()) && naming::is_owned(&actual.tags, &config.name, address))
        // Of several, the one that a successor takes over from: it is found by its name or tags when that is made, and this
        // one goes when it has taken over. By id among equals, so that every run chooses alike.
        .min_by_key(|actual| {
            (
                readiness(&actual.status),
                succession(config, observed, state, actual),
                actual.id.clone(),
            )
        })
}

/// Orders objects with the same tags: a run that lost its state in the middle of a replacement leaves the old one and the
/// new one. The new one has the name and settings that are wanted, or hangs on something that has; the old one comes first.
fn succession(config: &Config, observed: &Observed, state: &State, actual: &Actual) -> u8 {
    let instances = config.sites.values().flat_map(|site| &site.instances);
    let vpc = instances
        .filter_map(|id| observed.instances.get(id))
        .map(|instance| &instance.vpc)
        .next();
    let Some(vpc) = vpc else { return 0 };
    let hangs_on = |id: Option<&str>, address: &Address| {
        id == by_identity(config, observed, state, address).map(|actual| actual.id.as_str())
    };
    let address = actual
        .tags
        .get(naming::RESOURCE_TAG)
        .and_then(|address| address.parse::<Address>().ok());
    let key = address.as_ref().map(Address::key).unwrap_or_default();
    let site = config.sites.iter().find(|(name, _)| name.as_str() == key);
    let is_new = match &actual.spec {
        Spec::Certificate(certificate) => site.is_some_and(|(_, site)| {
            let same_key = matches!(&site.certificate, CertificateSource::Requested { key_algorithm }
                if *key_algorithm == certificate.key_algorithm);
            same_key && site.names().cloned().collect::<BTreeSet<_>>() == certificate.names
        }),
        Spec::SecurityGroup(group) => group.name == desired::security_group_name(config, vpc),
        Spec::LoadBalancer(balancer) => balancer.name == desired::load_balancer_name(config, vpc),
        Spec::TargetGroup(group) => {
            site.is_some_and(|(name, site)| group.name == desired::target_group_name(config, name, site, vpc))
        }
        Spec::Listener(listener) => !hangs_on(listener.load_balancer.known().ok(), &load_balancer_address()),
        Spec::ListenerRule(rule) => {
            let port = key
                .split('.')
                .next()
                .and_then(|port| port.parse().ok())
                .unwrap_or_default();
            !hangs_on(rule.listener.known().ok(), &listener_address(port))
        }
        _ => false,
    };
    u8::from(is_new)
}

/// Like [`by_identity`], or else the object that is to become the resource: one that the configuration takes over, or a
/// listener on its port of the load balancer.
pub(super) fn standing<'a>(
    config: &Config,
    observed: &'a Observed,
    state: &State,
    address: &Address,
) -> Option<&'a Actual> {
    by_identity(config, observed, state, address)
        .or_else(|| adopted(config, observed, address))
        .or_else(|| {
            let load_balancer = load_balancer_address();
            if address.kind() != Kind::Listener {
                return None;
            }
            let balancer = standing(config, observed, state, &load_balancer)?;
            observed.found.iter().find(|actual| {
                matches!(&actual.spec, Spec::Listener(listener)
                    if listener.load_balancer.known().ok() == Some(balancer.id.as_str())
                        && listener.port.to_string() == address.key())
            })
        })
}

/// The object that the configuration takes over at an address, if its kind or the entry tells that it goes there.
fn adopted<'a>(config: &Config, observed: &'a Observed, address: &Address) -> Option<&'a Actual> {
    let is_only = || {
        config
            .addresses(address.kind())
            .is_some_and(|all| all == [address.clone()])
    };
    config
        .adopt
        .iter()
        .filter(|adoption| match &adoption.address {
            Some(wanted) => wanted == address,
            None => is_only(),
        })
        .find_map(|adoption| observed.object(address.kind(), &adoption.id))
}

fn readiness(status: &Status) -> u8 {
    match status {
        Status::Certificate { state, .. } => match state.as_str() {
            "ISSUED" => 0,
            "PENDING_VALIDATION" => 1,
            _ => 2,
        },
        Status::Exists | Status::LoadBalancer { .. } | Status::Target { .. } => 0,
    }
}

fn by_port<'a>(observed: &'a Observed, wanted: &Listener) -> Option<&'a Actual> {
    wanted.load_balancer.known().ok()?;
    observed.found.iter().find(|actual| {
        matches!(&actual.spec, Spec::Listener(listener)
            if listener.load_balancer == wanted.load_balancer && listener.port == wanted.port)
    })
}

fn target<'a>(observed: &'a Observed, state: &State, address: &Address, wanted: &Target) -> Option<&'a Actual> {
    let of_instance = || {
        observed
            .found
            .iter()
            .filter_map(|actual| match (&actual.spec, &actual.status) {
                // A target that is draining is on its way out.
                (Spec::Target(_), Status::Target { state, .. }) if state == "draining" => None,
                (Spec::Target(target), _) if target.instance == wanted.instance => Some((actual, target)),
                _ => None,
            })
    };
    of_instance()
        .filter(|(_, target)| target.target_group == wanted.target_group)
        .min_by_key(|(_, target)| target.port != wanted.port)
        .or_else(|| of_instance().find(|(actual, _)| state.id(address) == Some(actual.id.as_str())))
        .map(|(actual, _)| actual)
}

fn validation_record(observed: &Observed, wanted: &ValidationRecord) -> Option<Actual> {
    let name = wanted.name.known().ok()?.parse().ok()?;
    let value = names::cname(observed, &wanted.zone, &name)?;
    Some(Actual {
        id: format!("{}/{name}/CNAME", wanted.zone),
        spec: Spec::ValidationRecord(ValidationRecord {
            zone: wanted.zone.clone(),
            name: wanted.name.clone(),
            value: Ref::Known(value.to_string()),
        }),
        outputs: Outputs::new(),
        status: Status::Exists,
        tags: Tags::new(),
    })
}

fn ingress(
    config: &Config,
    observed: &Observed,
    state: &State,
    address: &Address,
    wanted: &InstanceIngress,
) -> Option<Actual> {
    let candidates = || {
        observed.security_groups.iter().flat_map(|(group, facts)| {
            facts
                .ingress
                .iter()
                .filter_map(move |(id, rule)| Some((id, rule, as_ingress(group, rule)?)))
        })
    };
    let recorded = state.id(address);
    let same = |found: &InstanceIngress| {
        found.group == wanted.group && found.port == wanted.port && found.source == wanted.source
    };
    candidates()
        .find(|(_, _, found)| same(found))
        .or_else(|| candidates().find(|(id, ..)| recorded == Some(id.as_str())))
        .or_else(|| {
            candidates().find(|(id, rule, _)| {
                let retired = state.retired.iter().any(|retired| retired.id == **id);
                !retired && naming::is_owned(&rule.tags, &config.name, address)
            })
        })
        .map(|(id, rule, found)| Actual {
            id: id.clone(),
            spec: Spec::InstanceIngress(found),
            outputs: Outputs::new(),
            status: Status::Exists,
            tags: rule.tags.clone(),
        })
}

/// The rule of an instance's group with this id.
pub(super) fn rule_by_id(observed: &Observed, id: &str) -> Option<Actual> {
    observed
        .security_groups
        .iter()
        .find_map(|(group, facts)| Some((group, facts.ingress.get(id)?)))
        .map(|(group, rule)| Actual {
            id: id.to_owned(),
            spec: Spec::InstanceIngress(InstanceIngress {
                group: group.clone(),
                port: rule.rule.exact_tcp_port().unwrap_or_default(),
                source: Ref::Known(rule.rule.peer.to_string()),
                tags: rule.tags.clone(),
            }),
            outputs: Outputs::new(),
            status: Status::Exists,
            tags: rule.tags.clone(),
        })
}

fn as_ingress(group: &SecurityGroupId, rule: &GroupRule) -> Option<InstanceIngress> {
    let source = match &rule.rule.peer {
        Peer::Group(source) => source.to_string(),
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::PrefixList(list) => list.clone(),
    };
    Some(InstanceIngress {
        group: group.clone(),
        port: rule.rule.exact_tcp_port()?,
        source: Ref::Known(source),
        tags: rule.tags.clone(),
    })
}
