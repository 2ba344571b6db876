//! The calls that a change of settings takes, one after the other.

use std::collections::BTreeMap;

use reconcile_core::resource::{ListenerRule, LoadBalancer, SecurityGroup, Spec, TargetGroup};

/// What one call makes of the settings that stand.
pub(crate) type Part = Box<dyn Fn(&Spec) -> Spec>;

/// The attributes of kinds that have some.
pub(crate) fn attributes_mut(spec: &mut Spec) -> Option<&mut BTreeMap<String, String>> {
    match spec {
        Spec::TargetGroup(group) => Some(&mut group.attributes),
        Spec::LoadBalancer(balancer) => Some(&mut balancer.attributes),
        Spec::Listener(listener) => Some(&mut listener.attributes),
        _ => None,
    }
}

/// The attributes that a load balancer begins with.
pub(crate) fn load_balancer_attributes() -> BTreeMap<String, String> {
    [
        ("deletion_protection.enabled", "false"),
        ("idle_timeout.timeout_seconds", "60"),
        ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// The calls that lead from what was observed to what is wanted, in the real cloud's order.
pub(crate) fn parts(observed: &Spec, desired: &Spec) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    match (observed.clone(), desired.clone()) {
        (Spec::SecurityGroup(_), Spec::SecurityGroup(wanted)) => {
            let wider = wanted.clone();
            parts.push(on_group(move |group| {
                group.ingress.extend(wider.ingress.iter().cloned());
            }));
            let wider = wanted.clone();
            parts.push(on_group(move |group| {
                group.egress.extend(wider.egress.iter().cloned());
            }));
            parts.push(on_group(move |group| {
                group.ingress.clone_from(&wanted.ingress);
                group.egress.clone_from(&wanted.egress);
            }));
        }
        (Spec::TargetGroup(_), Spec::TargetGroup(wanted)) => {
            parts.push(Box::new(move |standing| match standing {
                Spec::TargetGroup(standing) => Spec::TargetGroup(TargetGroup {
                    health: wanted.health.clone(),
                    ..standing.clone()
                }),
                other => other.clone(),
            }));
        }
        (Spec::LoadBalancer(_), Spec::LoadBalancer(wanted)) => {
            let group = wanted.security_group.clone();
            parts.push(on_balancer(move |balancer| balancer.security_group.clone_from(&group)));
            parts.push(on_balancer(move |balancer| {
                balancer.subnets.clone_from(&wanted.subnets);
                balancer.ip_address_type = wanted.ip_address_type;
            }));
        }
        (Spec::Listener(_), Spec::Listener(wanted)) => {
            parts.push(Box::new(move |standing| match standing {
                Spec::Listener(standing) => {
                    let mut next = wanted.clone();
                    next.attributes.clone_from(&standing.attributes);
                    next.tags.clone_from(&standing.tags);
                    Spec::Listener(next)
                }
                other => other.clone(),
            }));
        }
        (Spec::ListenerRule(observed), Spec::ListenerRule(wanted)) => {
            let to = wanted.priority;
            let number = move || on_rule(move |rule| rule.priority = to);
            if to > observed.priority {
                parts.push(number());
            }
            parts.push(on_rule(move |rule| {
                rule.conditions.clone_from(&wanted.conditions);
                rule.action = wanted.action;
                rule.target_group.clone_from(&wanted.target_group);
            }));
            if to < observed.priority {
                parts.push(number());
            }
        }
        _ => {}
    }
    let wanted = desired.clone();
    if attributes_mut(&mut wanted.clone()).is_some_and(|attributes| !attributes.is_empty()) {
        parts.push(Box::new(move |standing| {
            let (mut next, mut wanted) = (standing.clone(), wanted.clone());
            if let (Some(next), Some(wanted)) = (attributes_mut(&mut next), attributes_mut(&mut wanted)) {
                next.extend(wanted.clone());
            }
            next
        }));
    }
    let wanted = desired.clone();
    parts.push(Box::new(move |standing| {
        let mut next = standing.clone();
        if let (Some(tags), Some(wanted)) = (next.tags_mut(), wanted.tags()) {
            tags.extend(wanted.clone());
        }
        next
    }));
    parts
}

fn on_group(change: impl Fn(&mut SecurityGroup) + 'static) -> Part {
    Box::new(move |standing| {
        let mut next = standing.clone();
        if let Spec::SecurityGroup(group) = &mut next {
            change(group);
        }
        next
    })
}

fn on_balancer(change: impl Fn(&mut LoadBalancer) + 'static) -> Part {
    Box::new(move |standing| {
        let mut next = standing.clone();
        if let Spec::LoadBalancer(balancer) = &mut next {
            change(balancer);
        }
        next
    })
}

fn on_rule(change: impl Fn(&mut ListenerRule) + 'static) -> Part {
    Box::new(move |standing| {
        let mut next = standing.clone();
        if let Spec::ListenerRule(rule) = &mut next {
            change(rule);
        }
        next
    })
}
