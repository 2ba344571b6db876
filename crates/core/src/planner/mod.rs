//! From what is wanted, what was observed and what is remembered to the plan: a pure function.
//!
//! It runs as a table of contents: choose what the configuration leaves open (`foundation`), write down what is wanted
//! (`desired`), find each resource among the observed objects (`matching`), decide what happens to it (`decide`), put
//! that in order with the waits between (`sequence`), and tell what the user should know (`findings`).

mod decide;
mod delegation;
mod desired;
mod findings;
mod foundation;
mod health;
mod matching;
mod names;
mod sequence;
#[cfg(test)]
mod tests;
mod waits;

use std::{collections::BTreeSet, fmt};

pub use delegation::{DelegationProbe, delegation_probes};
pub use health::{HealthProbe, health_probes};
use jiff::Timestamp;
use thiserror::Error;
pub(crate) use {
    delegation::normal as name_server,
    desired::{certificate_address, load_balancer_address, record_address},
    foundation::choose_zones,
    health::accepts,
    names::site_addresses,
    waits::drain_margin,
};

use crate::{
    config::{CertificateSource, Config},
    naming,
    observed::{Observed, Query},
    plan::{FORMAT_VERSION, Plan},
    state::State,
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
        names: sites().flat_map(|site| site.names().cloned()).collect(),
        zones: sites().filter_map(|site| site.zone.clone()).collect(),
        certificates: sites()
            .filter_map(|site| match &site.certificate {
                CertificateSource::Existing(arn) => Some(arn.clone()),
                CertificateSource::Requested { .. } => None,
            })
            .collect::<BTreeSet<_>>(),
        recorded: state.recorded(),
    }
}

/// The plan that turns what was observed into what is wanted.
///
/// # Errors
/// Refuses, with every reason at once, what could take a site down or touch what is not the stack's.
pub fn plan(config: &Config, observed: &Observed, state: &State, now: Timestamp) -> Result<Plan, Refused> {
    let foundation = foundation::choose(config, observed, state)?;
    let desired = desired::desired(config, &foundation);
    let decided = decide::decide(config, observed, state, desired, now)?;
    let findings = findings::findings(config, observed, state, &foundation, &decided);
    let steps = sequence::sequence(config, observed, state, &decided, now);
    Ok(Plan {
        format_version: FORMAT_VERSION,
        stack: config.name.clone(),
        steps,
        unchanged: decided.unchanged().cloned().collect(),
        findings,
    })
}
