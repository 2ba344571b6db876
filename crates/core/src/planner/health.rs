//! The health check as the instance would answer it today, asked before anything is made.
//!
//! A load balancer asks with the instance's IP address as `Host` (`aws-facts.md` 2.3), which the site's default page may
//! not expect: better to know before the first wait for a healthy target.

use std::net::IpAddr;

use crate::{
    config::{Config, Protocol, RequestProof},
    observed::Observed,
    plan::{Action, Finding, Plan, Severity},
    resource::Address,
};

use super::addresses::target_address;

/// A request like the load balancer's health check, to an instance that is not behind it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthProbe {
    /// The target that the check will decide about.
    pub target: Address,
    /// The instance's public address, which also is the `Host` to ask with.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// The path.
    pub path: String,
    /// The codes that mean healthy.
    pub codes: String,
}

/// The requests to make for the targets that `plan` adds.
pub fn health_probes(config: &Config, observed: &Observed, plan: &Plan) -> Vec<HealthProbe> {
    if config.prove.request == RequestProof::Off {
        return Vec::new();
    }
    let added = |address: &Address| {
        plan.steps
            .iter()
            .any(|step| step.address == *address && matches!(step.action, Action::Create { .. }))
    };
    let mut probes = Vec::new();
    for (name, site) in &config.sites {
        for id in &site.instances {
            let target = target_address(name, id);
            let Some(address) = observed.instances.get(id).and_then(|instance| instance.public_address) else {
                continue;
            };
            if added(&target) {
                probes.push(HealthProbe {
                    target,
                    address: address.into(),
                    port: site.health.port.unwrap_or(site.backend_port),
                    protocol: site.health.protocol,
                    path: site.health.path.clone(),
                    codes: site.health.codes.clone(),
                });
            }
        }
    }
    probes
}

impl HealthProbe {
    /// What to tell the user about the status that the instance answered.
    pub fn finding(&self, status: u16) -> Option<Finding> {
        if accepts(&self.codes, status) {
            return None;
        }
        let why = match status {
            300..=399 => "the path redirects: choose one that answers itself, in `health.path`",
            401 => "the path asks for a password: choose one that does not, in `health.path`",
            403 | 404 | 421 => {
                "load balancers ask with the IP address as `Host`, so the default site answers: make the path answer there, \
                 or choose another in `health.path`"
            }
            _ => "look at the web server's log, or choose another path in `health.path`",
        };
        Some(Finding {
            severity: Severity::Warning,
            subject: self.target.to_string(),
            message: format!(
                "asked as a load balancer asks, {} answers {status} on {}, which is not among the healthy codes ({}): the \
                 target would stay unhealthy, and visitors where they are",
                self.address, self.path, self.codes
            ),
            remedy: why.to_owned(),
        })
    }
}

/// Whether a list of codes and ranges such as `200,301-302` holds `status`.
pub(crate) fn accepts(codes: &str, status: u16) -> bool {
    codes.split(',').any(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        matches!((from.trim().parse::<u16>(), to.trim().parse::<u16>()), (Ok(from), Ok(to)) if (from..=to).contains(&status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_lists_and_ranges() {
        for (codes, status, accepted) in [
            ("200", 200, true),
            ("200", 301, false),
            ("200,301-302", 302, true),
            ("200-299", 204, true),
        ] {
            assert_eq!(accepts(codes, status), accepted, "{codes} {status}");
        }
    }
}
