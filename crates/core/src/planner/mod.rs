//! From what is wanted, what was observed and what is remembered to the plan: a pure function.
//!
//! It runs as a table of contents: choose what the configuration leaves open (`foundation`), write down what is wanted
//! (`desired`), find each resource among the observed objects (`matching`), decide what happens to it (`decide`), put
//! that in order with the waits between (`sequence`), and tell what the user should know (`findings`).

mod addresses;
mod adopt;
mod clean_up;
mod closures;
mod decide;
mod delegation;
mod desired;
mod destroy;
mod findings;
mod foreign;
mod foundation;
mod health;
mod keep;
mod left_open;
mod live;
mod matching;
mod names;
mod rollback;
mod sequence;
mod shrinking;
mod successor;
#[cfg(test)]
mod tests;
mod waits;
mod way_back;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use delegation::{DelegationProbe, delegation_probes};
pub use destroy::{DestroyOptions, destroy};
pub use health::{HealthProbe, health_probes};
use jiff::Timestamp;
pub(crate) use names::allows_amazon;
pub use rollback::rollback;
use thiserror::Error;
pub(crate) use {
    addresses::{certificate_address, load_balancer_address, record_address},
    delegation::normal as name_server,
    foundation::choose_zones,
    health::accepts,
    names::site_addresses,
    waits::drain_margin,
};

use crate::{
    config::{CertificateSource, Config},
    naming,
    observed::{Details, Observed, Query},
    plan::{FORMAT_VERSION, Plan, Purpose},
    resource::{Address, InstanceIngress, Kind},
    state::State,
    value::DomainName,
};

/// Why no plan is made: everything that a careful engineer would refuse, at once.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refused {
    /// Each reason with its way out; at least one.
    pub refusals: Vec<Refusal>,
}

/// One reason why no plan is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// What it is about: a site, a resource's address or an AWS id.
    pub subject: String,
    /// What stands in the way.
    pub reason: String,
    /// The way out.
    pub remedy: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the plan is refused for {} reason(s)", self.refusals.len())?;
        for refusal in &self.refusals {
            write!(formatter, "; {}: {}", refusal.subject, refusal.reason)?;
        }
        Ok(())
    }
}

impl Refusal {
    fn new(subject: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

/// Everything that has to be looked at for a plan.
pub fn query(config: &Config, state: &State) -> Query {
    let sites = || config.sites.values();
    Query {
        stack: config.name.clone(),
        name_prefix: naming::prefix(&config.name),
        instances: sites().flat_map(|site| site.instances.iter().cloned()).collect(),
        names: sites()
            .flat_map(|site| site.names().cloned())
            .chain(state.resources.keys().filter_map(record_name))
            .chain(state.saved.keys().filter_map(record_name))
            .chain(state.intents.keys().filter_map(record_name))
            .collect(),
        zones: sites().filter_map(|site| site.zone.clone()).collect(),
        certificates: sites()
            .filter_map(|site| match &site.certificate {
                CertificateSource::Existing(arn) => Some(arn.clone()),
                CertificateSource::Requested { .. } => None,
            })
            .collect::<BTreeSet<_>>(),
        recorded: recorded(state),
        adopted: config.adopt.iter().map(|adoption| adoption.id.clone()).collect(),
        details: Details {
            target_group_attributes: sites().any(|site| {
                site.deregistration_delay.is_some() || site.stickiness.is_some() || site.slow_start.is_some()
            }),
            listener_attributes: config.load_balancer.hsts.is_some()
                || !config.load_balancer.listener_attributes.is_empty(),
            web_acls: config.load_balancer.web_acl.is_some()
                || state
                    .resources
                    .keys()
                    .any(|address| address.kind() == Kind::WebAclAssociation),
            begun_certificates: left_open::is_begun(state, Kind::Certificate),
        },
    }
}

/// What the state knows, and the groups in which a rule was made, or may have been: it may be needed again when it is gone.
fn recorded(state: &State) -> BTreeMap<Address, BTreeSet<String>> {
    let mut recorded = state.recorded();
    let rules = state.resources.keys().chain(state.intents.keys());
    for (group, _) in rules.filter_map(InstanceIngress::group_and_port) {
        let ids = recorded.entry(addresses::closure_address(&group)).or_default();
        ids.insert(group.to_string());
    }
    recorded
}

/// The name that a record stands at; names that leave the configuration are looked at too.
fn record_name(address: &Address) -> Option<DomainName> {
    (address.kind() == Kind::AliasRecord)
        .then(|| address.key().parse().ok())
        .flatten()
}

/// The plan that turns what was observed into what is wanted.
///
/// # Errors
/// Refuses, with every reason at once, what could take a site down or touch what is not the stack's.
pub fn plan(config: &Config, observed: &Observed, state: &State, now: Timestamp) -> Result<Plan, Refused> {
    let foundation = foundation::choose(config, observed, state)?;
    let desired = desired::desired(config, &foundation, observed, state);
    let decided = decide::decide(config, observed, state, desired, now)?;
    let findings = findings::findings(config, observed, state, &foundation, &decided);
    let steps = sequence::sequence(config, observed, state, &decided, now);
    Ok(Plan {
        format_version: FORMAT_VERSION,
        purpose: Purpose::Apply,
        stack: config.name.clone(),
        steps,
        unchanged: decided.unchanged().cloned().collect(),
        findings,
    })
}
