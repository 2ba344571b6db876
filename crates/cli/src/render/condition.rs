//! What is waited for, in words.

use reconcile_core::{
    config::{Protocol, RequestProof},
    plan::{Condition, SiteRequest, Through},
    resource::Kind,
    value::DomainName,
};

/// What holds when the wait is over, to be read after "until", below the address that it is about.
pub(super) fn until(condition: &Condition) -> String {
    match condition {
        Condition::ValidationKnown { names, .. } => {
            let names: Vec<&str> = names.iter().map(DomainName::as_str).collect();
            format!("ACM tells the validation record of {}", names.join(", "))
        }
        Condition::CertificateIssued { .. } => "ACM has issued it".to_owned(),
        Condition::LoadBalancerActive { .. } => "it is active".to_owned(),
        Condition::TargetHealthy { .. } => "it is healthy".to_owned(),
        Condition::SiteAnswers { request, proof } => site_answers(request, *proof),
        Condition::RecordInSync { .. } => "the change has reached all of Route 53's servers".to_owned(),
        Condition::Drained { record, margin, .. } if record.kind() != Kind::AliasRecord => {
            format!("{margin} have passed since visitors were sent to the new target group")
        }
        Condition::Drained { old_ttl, margin, .. } if margin.duration().is_zero() => {
            format!("the old TTL ({old_ttl}) has passed since the change")
        }
        Condition::Drained { old_ttl, margin, .. } => {
            format!("the old TTL ({old_ttl}) and {margin} more have passed since the change")
        }
    }
}

/// The same as a task, with its subject, as progress shows it.
pub(super) fn task(condition: &Condition) -> String {
    match condition {
        Condition::ValidationKnown { certificate, .. } => format!("wait for the validation records of {certificate}"),
        Condition::CertificateIssued { certificate } => format!("wait until {certificate} is issued"),
        Condition::LoadBalancerActive { load_balancer } => format!("wait until {load_balancer} is active"),
        Condition::TargetHealthy { target } => format!("wait until {target} is healthy"),
        Condition::SiteAnswers { request, .. } => format!("ask {}{}", url(request), way(request)),
        Condition::RecordInSync { record } => format!("wait until all of Route 53's servers know {record}"),
        Condition::Drained { record, .. } if record.kind() != Kind::AliasRecord => {
            format!("wait until requests that {record} sent to the old target group have ended")
        }
        Condition::Drained { record, .. } => format!("wait until the old answer of {record} is forgotten"),
    }
}

fn site_answers(request: &SiteRequest, proof: RequestProof) -> String {
    let alike = match &request.as_answered_by {
        Some(direct) => format!(" as {} does now", direct.instance),
        None => String::new(),
    };
    let weight = match proof {
        RequestProof::Warn => ", else there is a warning",
        RequestProof::Require | RequestProof::Off => "",
    };
    format!("{} answers{}{alike}{weight}", url(request), way(request))
}

fn url(request: &SiteRequest) -> String {
    let (scheme, usual) = match request.protocol {
        Protocol::Http => ("http", 80),
        Protocol::Https => ("https", 443),
    };
    let port = if request.port == usual {
        String::new()
    } else {
        format!(":{}", request.port)
    };
    format!("{scheme}://{}{port}{}", request.name, request.path)
}

fn way(request: &SiteRequest) -> String {
    match &request.through {
        Through::LoadBalancer(address) => format!(" through {address}"),
        Through::Name => String::new(),
        Through::Instance {
            address,
            trusted: false,
        } => format!(" at the instance ({address})"),
        Through::Instance { address, trusted: true } => {
            format!(" at the instance ({address}) with a certificate that browsers trust")
        }
        Through::NameNotAt(addresses) if addresses.is_empty() => String::new(),
        Through::NameNotAt(addresses) => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!(" at none of the instances' addresses ({})", addresses.join(", "))
        }
    }
}
