//! Whether an answer is the one that visitors should get, and what to look at if it is not.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use reconcile_core::{plan::Progress, value::InstanceId};
use reconcile_probe::{Answer, Difference, ProbeError, Request, Scheme, Severity, differences};

/// What the instance answers without the load balancer.
#[derive(Debug)]
pub(super) struct Today {
    /// The instance.
    pub(super) instance: InstanceId,
    /// Its answer.
    pub(super) answer: Answer,
    /// Whether it redirects for ever by itself, as sites do that insist on a cookie.
    pub(super) loops: bool,
    /// Whether it was asked by the protocol that visitors use.
    pub(super) same_protocol: bool,
}

/// Adds what a load balancer adds where it changes the protocol, so that a site that knows of proxies answers alike.
pub(super) fn forwarded(request: Request, visitors: Scheme, port: u16) -> Request {
    let mut request = request.header(HeaderName::from_static("x-forwarded-port"), HeaderValue::from(port));
    if let Ok(scheme) = HeaderValue::from_str(&visitors.to_string()) {
        request = request.header(HeaderName::from_static("x-forwarded-proto"), scheme);
    }
    request
}

/// Judges an answer, compared with today's where that is known.
///
/// # Errors
/// What is wrong with it, and what to look at.
pub(super) fn answer(answer: &Answer, today: Option<&Today>) -> Result<(), String> {
    let status = answer.status.as_u16();
    if answer.is_from_load_balancer()
        && let Some(explanation) = explain(status)
    {
        return Err(format!(
            "the load balancer answers {} itself: {explanation}",
            answer.status
        ));
    }
    let Some(today) = today else {
        return if status < 500 {
            Ok(())
        } else {
            let explanation = explain(status).unwrap_or("the web server fails: look at its log");
            Err(format!("{} answers {}: {explanation}", answer.url(), answer.status))
        };
    };
    let breaking: Vec<String> = differences(&today.answer, answer)
        .into_iter()
        .filter(|difference| difference.severity() == Severity::Breaking)
        // Where the instance is asked by another protocol, its own URLs differ by that alone.
        .filter(|difference| today.same_protocol || matches!(difference, Difference::Status { .. }))
        .map(|difference| difference.to_string())
        .collect();
    if breaking.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} answers otherwise than {} does directly: {} (\"was\" and \"before\" are the direct answer)",
        answer.url(),
        today.instance,
        breaking.join("; ")
    ))
}

/// What a request without an answer means: nearly everything can heal by waiting, so that the deadline decides.
pub(super) fn failure(error: &ProbeError) -> Progress {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    if let ProbeError::InvalidRequest { .. } = error {
        return Progress::Never {
            reason: said,
            remedy: "correct the site's name and path in the configuration".to_owned(),
        };
    }
    match error.hint() {
        Some(hint) => Progress::NotYet(format!("{said} ({hint})")),
        None => Progress::NotYet(said),
    }
}

/// What an instance means that browsers do not get an answer from: waiting does not mend its certificate.
pub(super) fn not_trusted(said: String) -> Progress {
    Progress::Never {
        reason: said,
        remedy: "renew the certificate on the instance: it is not renewed by this tool".to_owned(),
    }
}

/// What a name means that leads to the instance although its record has been changed.
pub(super) fn not_moved(address: IpAddr) -> Progress {
    Progress::NotYet(format!(
        "the name still leads to the instance ({address}): check that the registrar delegates to the hosted zone that was \
         changed, and that no resolver or hosts file on the way from here remembers the old address"
    ))
}

/// Statuses that an ALB answers by itself (`aws-facts.md` 3).
fn explain(status: u16) -> Option<&'static str> {
    match status {
        403 => Some("a web ACL of AWS WAF refuses the request"),
        460 => Some("the connection was closed before the instance answered"),
        463 => Some("more than 30 addresses stand in X-Forwarded-For"),
        464 => Some("the protocol versions of request and target group do not fit"),
        502 => Some(
            "the instance resets the connection, fails the TLS handshake, or closes idle connections sooner than the load \
             balancer: check `backend.protocol` and the web server's keep-alive time (more than 60 s)",
        ),
        503 => Some("no instance is registered and in use: check the target group"),
        504 => Some(
            "the instance does not accept the connection within 10 s, or does not answer within the idle timeout: check its \
             security group and network ACL, and the egress of the load balancer's group",
        ),
        _ => None,
    }
}
