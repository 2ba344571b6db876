//! What a plan waits for, and how it is judged.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{Protocol, RequestProof},
    explain,
    observed::{Actual, Status},
    resource::{Address, Output},
    value::{DomainName, InstanceId, Seconds},
};

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "snake_case")]
pub enum Condition {
    /// ACM tells the validation record of every one of these names; it does so some seconds after the request
    /// (`aws-facts.md` 1.3).
    ValidationKnown {
        /// The certificate.
        certificate: Address,
        /// Names without leading wildcard.
        names: Vec<DomainName>,
    },
    /// The certificate is issued.
    CertificateIssued {
        /// The certificate.
        certificate: Address,
    },
    /// The load balancer serves.
    LoadBalancerActive {
        /// The load balancer.
        load_balancer: Address,
    },
    /// The target is healthy.
    TargetHealthy {
        /// The target.
        target: Address,
    },
    /// The site answers.
    SiteAnswers {
        /// The request.
        request: SiteRequest,
        /// What a failure means.
        proof: RequestProof,
    },
    /// The last change of a record has reached all of Route 53's servers.
    RecordInSync {
        /// The record.
        record: Address,
    },
    /// Resolvers have forgotten what the record said before the cutover.
    Drained {
        /// The record.
        record: Address,
        /// How long resolvers may remember: the old time to live.
        old_ttl: Seconds,
        /// Time to wait beyond that.
        margin: Seconds,
    },
}

/// A request that a site should answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRequest {
    /// The name for SNI and Host.
    pub name: DomainName,
    /// How the site is reached.
    pub through: Through,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The path.
    pub path: String,
    /// Headers beside the usual ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The instance whose direct answer the answer is compared with, where it has a public address:
    /// address, port and protocol.
    pub as_answered_by: Option<DirectPath>,
}

/// The way to an instance without the load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectPath {
    /// The instance.
    pub instance: InstanceId,
    /// Its public address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// How a site is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// By the load balancer's own DNS name, before the site's name leads there.
    LoadBalancer(Address),
    /// By the site's own name.
    Name,
    /// At this address of an instance, as before the load balancer was there; whether its certificate has to be valid.
    Instance {
        /// The address.
        address: IpAddr,
        /// Whether the certificate has to be one that browsers trust.
        trusted: bool,
    },
    /// By the site's own name, which has to lead elsewhere than to these addresses: those of instances that are about to
    /// be closed.
    NameNotAt(BTreeSet<IpAddr>),
}

/// How far a condition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It holds.
    Met,
    /// Not yet; what AWS last said.
    NotYet(String),
    /// It will never hold without somebody's help.
    Never {
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
    },
}

impl Condition {
    /// The resource whose state decides, for conditions that a look at one resource decides.
    pub fn resource(&self) -> Option<&Address> {
        match self {
            Self::ValidationKnown { certificate, .. } | Self::CertificateIssued { certificate } => Some(certificate),
            Self::LoadBalancerActive { load_balancer } => Some(load_balancer),
            Self::TargetHealthy { target } => Some(target),
            Self::SiteAnswers { .. } | Self::RecordInSync { .. } | Self::Drained { .. } => None,
        }
    }

    /// Judges a condition on one resource by what was read of it; `None` is a resource that AWS does not know (yet).
    ///
    /// Conditions on something else than one resource are never met here.
    pub fn judge(&self, actual: Option<&Actual>) -> Progress {
        let Some(actual) = actual else {
            return Progress::NotYet("not known to AWS yet".into());
        };
        match (self, &actual.status) {
            (Self::ValidationKnown { names, .. }, _) => {
                let missing: Vec<&str> = names
                    .iter()
                    .filter(|name| !actual.outputs.contains_key(&Output::ValidationValue((*name).clone())))
                    .map(DomainName::as_str)
                    .collect();
                if missing.is_empty() {
                    Progress::Met
                } else {
                    Progress::NotYet(format!("no validation record yet for {}", missing.join(", ")))
                }
            }
            (
                Self::CertificateIssued { .. },
                Status::Certificate {
                    state,
                    failure_reason,
                    pending_names,
                    ..
                },
            ) => match state.as_str() {
                "ISSUED" => Progress::Met,
                "PENDING_VALIDATION" => Progress::NotYet(if pending_names.is_empty() {
                    state.clone()
                } else {
                    let names: Vec<&str> = pending_names.iter().map(DomainName::as_str).collect();
                    format!("{state}: {}", names.join(", "))
                }),
                _ => {
                    let reason = failure_reason.as_deref();
                    Progress::Never {
                        reason: format!(
                            "{state}{}",
                            reason.map(|reason| format!(": {reason}")).unwrap_or_default()
                        ),
                        remedy: explain::certificate_failure(state, reason).to_owned(),
                    }
                }
            },
            (Self::LoadBalancerActive { .. }, Status::LoadBalancer { state, reason }) => match state.as_str() {
                "active" | "active_impaired" => Progress::Met,
                "failed" => Progress::Never {
                    reason: reason.clone().unwrap_or_else(|| state.clone()),
                    remedy: "delete the load balancer in the console and run again".into(),
                },
                _ => Progress::NotYet(match reason {
                    Some(reason) => format!("{state}: {reason}"),
                    None => state.clone(),
                }),
            },
            (
                Self::TargetHealthy { .. },
                Status::Target {
                    state,
                    reason,
                    description,
                },
            ) => {
                if state == "healthy" {
                    return Progress::Met;
                }
                let words = explain::target_words(state, reason.as_deref(), description.as_deref());
                Progress::NotYet(match explain::target_health(reason.as_deref().unwrap_or_default()) {
                    "" => words,
                    meaning => format!("{words}; {meaning}"),
                })
            }
            _ => Progress::NotYet("cannot be told from this resource".into()),
        }
    }
}
