//! Every resource of the stack in one line: what AWS says of it, and whether it is as configured.

use std::collections::BTreeSet;

use super::World;
use crate::{
    check::{Check, Verdict},
    explain,
    observed::{Actual, RecordSet, Status, StoredAlias},
    plan::Action,
    resource::{Address, Kind, Spec},
    value::DomainName,
};

/// What AWS says of a resource.
pub(super) const HEALTH: &str = "health";
/// Whether a resource is as configured.
const CONFIGURATION: &str = "configuration";
/// What brings a resource back into the state that is configured.
const REPAIR: &str = "run `reconcile plan` to see the difference, `reconcile` to repair it";

/// How a resource is, in words; what to do is empty where nothing has to be done.
struct Health {
    /// Whether there is something that can be as configured.
    exists: bool,
    verdict: Verdict,
    message: String,
    remedy: String,
}

impl Health {
    fn ok(message: impl Into<String>) -> Self {
        Self::not(Verdict::Ok, message, "")
    }

    /// AWS does not have it.
    fn absent(verdict: Verdict, message: &str, remedy: &str) -> Self {
        Self {
            exists: false,
            ..Self::not(verdict, message, remedy)
        }
    }

    fn not(verdict: Verdict, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            exists: true,
            verdict,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

/// One line for each resource, and one more where the next run would change it.
pub(super) fn checks(world: &World<'_>) -> Vec<Check> {
    let mut addresses: BTreeSet<&Address> = world.state.resources.keys().collect();
    if let Ok(plan) = world.plan {
        addresses.extend(&plan.unchanged);
        let steps = plan
            .steps
            .iter()
            .filter(|step| !matches!(step.action, Action::Wait { .. }));
        addresses.extend(steps.map(|step| &step.address));
    }
    let mut checks = Vec::new();
    for address in addresses {
        let health = health(world, address);
        let drift = drift(world, address, &health);
        let as_configured = world.plan.is_ok_and(|plan| plan.unchanged.contains(address));
        let message = if as_configured && health.exists && health.verdict < Verdict::Failure {
            format!("{}; as configured", health.message)
        } else {
            health.message
        };
        checks.push(Check::ok(address.to_string(), HEALTH, message).but(health.verdict, health.remedy));
        checks.extend(drift);
    }
    checks
}

/// What the next run would do to a resource that is there.
fn drift(world: &World<'_>, address: &Address, health: &Health) -> Option<Check> {
    let step = world.step(address)?;
    let paths: Vec<&str> = step.changes.iter().map(|change| change.path.as_str()).collect();
    let message = match &step.action {
        // That it is not there, or open, is what its own line says.
        Action::Create { .. } | Action::Wait { .. } => return None,
        Action::Update { .. } if address.kind() == Kind::PortClosure => return None,
        Action::Update { .. } if health.verdict == Verdict::Failure && paths.is_empty() => return None,
        Action::Update { .. } => format!("would be changed: {}", paths.join(", ")),
        Action::Replace { .. } => format!("would be replaced: {}", step.reason),
        Action::Delete { .. } => format!("would be deleted: {}", step.reason),
        Action::Record { .. } => "would be written into the state, which does not have it".to_owned(),
        Action::Reinstate { .. } => "would be put back in its place".to_owned(),
        Action::Forget { .. } => "would be taken out of the state".to_owned(),
    };
    Some(Check::ok(address.to_string(), CONFIGURATION, message).but(Verdict::Warning, REPAIR))
}

fn health(world: &World<'_>, address: &Address) -> Health {
    match address.kind() {
        Kind::ValidationRecord => validation_record(world, address),
        Kind::InstanceIngress => instance_ingress(world, address),
        Kind::AliasRecord => alias_record(world, address),
        Kind::PortClosure => port_closure(world, address),
        _ => match world.stack().actual(address) {
            Some(actual) => object(world, actual),
            None => absent(world, address),
        },
    }
}

/// A resource that AWS does not have.
fn absent(world: &World<'_>, address: &Address) -> Health {
    if world.state.id(address).is_none() {
        return Health::absent(Verdict::Warning, "not made yet", "run `reconcile`");
    }
    // What a missing validation record means is said with its certificate.
    let verdict = match address.kind() {
        Kind::ValidationRecord => Verdict::Warning,
        _ => Verdict::Failure,
    };
    Health::absent(verdict, "gone from AWS", "run `reconcile`: it makes it again")
}

fn object(world: &World<'_>, actual: &Actual) -> Health {
    match &actual.status {
        Status::Exists => Health::ok("there"),
        Status::Certificate {
            state,
            failure_reason,
            pending_names,
            ..
        } => certificate(state, failure_reason.as_deref(), pending_names),
        Status::LoadBalancer { state, reason } => {
            let words = reason
                .as_ref()
                .map_or_else(|| state.clone(), |reason| format!("{state}: {reason}"));
            match state.as_str() {
                "active" => Health::ok(words),
                "active_impaired" => Health::not(
                    Verdict::Warning,
                    words,
                    "it serves and cannot grow: look for free addresses in its subnets",
                ),
                "provisioning" => Health::not(Verdict::Warning, words, "wait some minutes"),
                _ => Health::not(
                    Verdict::Failure,
                    words,
                    "delete the load balancer in the console and run `reconcile`",
                ),
            }
        }
        Status::Target {
            state,
            reason,
            description,
        } => {
            let words = explain::target_words(state, reason.as_deref(), description.as_deref());
            let verdict = match state.as_str() {
                "healthy" => return Health::ok(words),
                "initial" | "draining" => Verdict::Warning,
                _ if has_healthy_sibling(world, actual) => Verdict::Warning,
                _ => Verdict::Failure,
            };
            Health::not(
                verdict,
                words,
                explain::target_health(reason.as_deref().unwrap_or_default()),
            )
        }
    }
}

/// Whether another target of the same group serves in the place of an unhealthy one.
fn has_healthy_sibling(world: &World<'_>, actual: &Actual) -> bool {
    let Spec::Target(target) = &actual.spec else {
        return false;
    };
    world.observed.found.iter().any(|other| {
        matches!((&other.spec, &other.status), (Spec::Target(sibling), Status::Target { state, .. })
            if sibling.target_group == target.target_group && state == "healthy")
    })
}

fn certificate(state: &str, failure_reason: Option<&str>, pending: &[DomainName]) -> Health {
    match state {
        "ISSUED" => Health::ok(state),
        "PENDING_VALIDATION" => {
            let names: Vec<&str> = pending.iter().map(DomainName::as_str).collect();
            let words = if names.is_empty() {
                state.to_owned()
            } else {
                format!("{state}: {}", names.join(", "))
            };
            Health::not(
                Verdict::Warning,
                words,
                "ACM looks for the validation record for 72 hours; `reconcile` waits for it",
            )
        }
        _ => Health::not(
            Verdict::Failure,
            failure_reason.map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}")),
            explain::certificate_failure(state, failure_reason),
        ),
    }
}

fn validation_record(world: &World<'_>, address: &Address) -> Health {
    let id = world.state.id(address).unwrap_or_default();
    let mut parts = id.split('/');
    let (zone, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let there = world
        .observed
        .record_sets
        .iter()
        .any(|set| set.zone.as_str() == zone && set.name.as_str() == name && set.record_type == "CNAME");
    // One that the state does not know yet is in its place if the plan has nothing to make.
    let planned = || {
        matches!(
            world.step(address).map(|step| &step.action),
            Some(Action::Record { .. })
        )
    };
    if there || planned() {
        Health::ok("in place")
    } else {
        absent(world, address)
    }
}

fn instance_ingress(world: &World<'_>, address: &Address) -> Health {
    let known = world.state.id(address);
    let rules = || {
        world
            .observed
            .security_groups
            .values()
            .flat_map(|facts| facts.ingress.iter())
    };
    let planned = || {
        matches!(
            world.step(address).map(|step| &step.action),
            Some(Action::Record { .. })
        )
    };
    match rules().find(|(id, _)| known == Some(id.as_str())) {
        Some((_, rule)) => Health::ok(format!("there ({})", rule.rule)),
        None if planned() => Health::ok("there"),
        None => absent(world, address),
    }
}

/// Whether the name leads to the load balancer.
fn alias_record(world: &World<'_>, address: &Address) -> Health {
    let stack = world.stack();
    let zone = stack.public_zone(address.key());
    let recorded = world.state.id(address).and_then(|id| id.split('/').next());
    let sets: Vec<&RecordSet> = world
        .observed
        .record_sets
        .iter()
        .filter(|set| set.name.as_str() == address.key())
        .filter(|set| matches!(set.record_type.as_str(), "A" | "AAAA" | "CNAME"))
        .filter(|set| match recorded {
            Some(recorded) => set.zone.as_str() == recorded,
            None => zone.is_some_and(|zone| zone.id == set.zone),
        })
        .collect();
    if sets.is_empty() {
        return absent(world, address);
    }
    let load_balancer = stack.load_balancer_name().map(StoredAlias::normal_name);
    let leads = |set: &RecordSet| {
        let alias = set.alias.as_ref().map(|alias| StoredAlias::normal_name(&alias.name));
        alias.is_some() && alias == load_balancer
    };
    let Some(other) = sets.iter().find(|set| !leads(set)) else {
        let types: Vec<&str> = sets.iter().map(|set| set.record_type.as_str()).collect();
        return Health::ok(format!("{} leads to the load balancer", types.join(", ")));
    };
    let value = other
        .alias
        .as_ref()
        .map_or_else(|| other.values.join(", "), |alias| format!("alias to {}", alias.name));
    if world.state.cutovers.contains_key(address) || world.state.id(address).is_some() {
        Health::not(
            Verdict::Failure,
            format!(
                "the {} record leads elsewhere than to the load balancer: {value}",
                other.record_type
            ),
            REPAIR,
        )
    } else {
        Health::not(
            Verdict::Warning,
            format!("not moved yet, the {} record leads to {value}", other.record_type),
            "run `reconcile`",
        )
    }
}

fn port_closure(world: &World<'_>, address: &Address) -> Health {
    let Ok(_) = world.plan else {
        return Health::not(
            Verdict::Unknown,
            "not looked at, as no plan can be made",
            "see the findings below",
        );
    };
    let Some(Action::Update {
        observed: Spec::PortClosure(closure),
        ..
    }) = world.step(address).map(|step| &step.action)
    else {
        return Health::ok("closed to all but the load balancer");
    };
    let open: Vec<String> = closure.open.iter().map(|(id, rule)| format!("{id} ({rule})")).collect();
    let open = open.join(", ");
    if world.state.id(address).is_some() {
        Health::not(Verdict::Failure, format!("open to the world again: {open}"), REPAIR)
    } else {
        Health::not(
            Verdict::Warning,
            format!("not closed yet: {open}"),
            "run `reconcile` once visitors have moved",
        )
    }
}
