//! What is waited for, in words.

use reconcile_core::{
    config::{Protocol, RequestProof},
    plan::{Condition, SiteRequest, Through},
    value::DomainName,
};

/// What holds when the wait is over, to be read after "until".
pub(crate) fn until(condition: &Condition) -> String {
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
        Condition::Drained { old_ttl, margin, .. } => {
            format!("the old TTL ({old_ttl}) and {margin} more have passed since the change")
        }
    }
}

fn site_answers(request: &SiteRequest, proof: RequestProof) -> String {
    let (scheme, usual) = match request.protocol {
        Protocol::Http => ("http", 80),
        Protocol::Https => ("https", 443),
    };
    let port = if request.port == usual {
        String::new()
    } else {
        format!(":{}", request.port)
    };
    let url = format!("{scheme}://{}{port}{}", request.name, request.path);
    let through = match &request.through {
        Through::LoadBalancer(address) => format!(" through {address}"),
        Through::Name => String::new(),
    };
    let alike = match &request.as_answered_by {
        Some(direct) => format!(" as {} does now", direct.instance),
        None => String::new(),
    };
    let weight = match proof {
        RequestProof::Warn => ", else there is a warning",
        RequestProof::Require | RequestProof::Off => "",
    };
    format!("{url} answers{through}{alike}{weight}")
}
