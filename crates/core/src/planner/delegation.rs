//! Whether the world finds a hosted zone: ACM looks for the validation record through public DNS (`aws-facts.md` 1.3), so a
//! zone that the registrar does not delegate to leaves the certificate pending for days.

use std::collections::BTreeSet;

use crate::{
    config::{Config, RequestProof},
    observed::Observed,
    plan::{Action, Finding, Plan, Severity},
    resource::{Kind, Spec},
    value::DomainName,
};

/// A question to public DNS: who serves this zone?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationProbe {
    /// The zone.
    pub zone: DomainName,
    /// The name servers of the hosted zone, in lower case without trailing dot.
    pub(crate) name_servers: BTreeSet<String>,
}

/// The zones that certificates of `plan` are validated in.
pub fn delegation_probes(config: &Config, observed: &Observed, plan: &Plan) -> Vec<DelegationProbe> {
    let requests = plan.steps.iter().any(|step| {
        step.address.kind() == Kind::Certificate
            && matches!(step.action, Action::Create { .. } | Action::Replace { .. })
    });
    if !requests || config.prove.request == RequestProof::Off {
        return Vec::new();
    }
    let used: BTreeSet<_> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Create {
                desired: Spec::ValidationRecord(record),
            }
            | Action::Update {
                desired: Spec::ValidationRecord(record),
                ..
            } => Some(&record.zone),
            _ => None,
        })
        .collect();
    observed
        .zones
        .iter()
        .filter(|zone| used.contains(&zone.id))
        .filter_map(|zone| {
            let set = observed
                .record_sets
                .iter()
                .find(|set| set.zone == zone.id && set.name == zone.name && set.record_type == "NS")?;
            let name_servers = set.values.iter().map(|value| normal(value)).collect();
            Some(DelegationProbe {
                zone: zone.name.clone(),
                name_servers,
            })
        })
        .collect()
}

impl DelegationProbe {
    /// What to tell the user about the name servers that public DNS answered; none if it knows none.
    pub fn finding(&self, answered: &[String]) -> Option<Finding> {
        let answered: BTreeSet<String> = answered.iter().map(|value| normal(value)).collect();
        if !answered.is_disjoint(&self.name_servers) {
            return None;
        }
        let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Some(Finding {
            severity: Severity::Warning,
            subject: format!("zone {}", self.zone),
            message: format!(
                "{}, while the hosted zone has {}: the certificate would not be issued, and visitors not find the load \
                 balancer",
                if answered.is_empty() {
                    "public DNS knows no name servers of the zone".to_owned()
                } else {
                    format!("public DNS delegates the zone to {}", list(&answered))
                },
                list(&self.name_servers)
            ),
            remedy: "enter the hosted zone's name servers at the registrar, or set `zone` to the one in use".to_owned(),
        })
    }
}

/// A name server's name in lower case, without trailing dot.
pub(crate) fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
