//! Whether an answer is the one that visitors should get, and what to look at if it is not.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use reconcile_core::{explain, plan::Progress, value::InstanceId};
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
        && let Some(explanation) = explain::load_balancer_status(status)
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
            let explanation = explain::load_balancer_status(status).unwrap_or("the web server fails: look at its log");
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

/// What an error says, with its causes.
pub(super) fn said(error: &ProbeError) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}

/// What a request without an answer means: nearly everything can heal by waiting, so that the deadline decides.
pub(super) fn failure(error: &ProbeError) -> Progress {
    let said = said(error);
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

/// What an error means where visitors get a page now.
pub(super) fn taken_away(answer: &Answer, before: &Answer) -> Progress {
    Progress::NotYet(format!(
        "{} answers {}, and visitors who come by the name get {} now: check that the instance serves this name",
        answer.url(),
        answer.status,
        before.status
    ))
}

/// What a name means that leads to the instance although its record has been changed.
pub(super) fn not_moved(address: IpAddr) -> Progress {
    Progress::NotYet(format!(
        "the name still leads to the instance ({address}): check that the registrar delegates to the hosted zone that was \
         changed, and that no resolver or hosts file on the way from here remembers the old address"
    ))
}
