//! Whether a certificate works now and will be renewed (`aws-facts.md` 1.5).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Stack, World, caa};
use crate::{
    check::{Check, Verdict},
    config::{CertificateSource, RequestProof, SiteName},
    explain,
    observed::{Actual, CertificateLife, Renewal, Status},
    resource::{Address, Kind, Output, Spec},
    value::DomainName,
};

/// A certificate with less than this part of its life left should have been renewed: ACM begins earlier and tells of
/// failures from here on (60 and 45 days of 395, `aws-facts.md` 1.5). A share, because lifetimes shrink.
const OVERDUE: i64 = 9;
/// With less than this part left nobody should wait any longer.
const URGENT: i64 = 20;
/// How long AWS may take to show, and load balancers to use, what has just changed.
const SETTLING: SignedDuration = SignedDuration::from_hours(24);

/// A certificate that sites of the stack use.
#[derive(Debug)]
pub(super) struct Held<'a> {
    /// Its address, or its ARN where the configuration names it.
    subject: String,
    /// The sites.
    sites: BTreeSet<&'a SiteName>,
    /// The certificate, if it was found.
    pub(super) actual: Option<&'a Actual>,
    /// Whether the configuration names it.
    named: bool,
}

impl Held<'_> {
    /// The heading.
    pub(super) fn title(&self) -> String {
        let sites: Vec<&str> = self.sites.iter().map(|site| site.as_str()).collect();
        format!("Certificate {} of {}", self.subject, sites.join(", "))
    }
}

/// The certificates that the sites use, each once.
pub(super) fn held<'a>(stack: &Stack<'a>) -> Vec<Held<'a>> {
    let mut all: BTreeMap<String, Held<'a>> = BTreeMap::new();
    for (name, site) in &stack.config.sites {
        let (subject, actual, named) = match &site.certificate {
            CertificateSource::Existing(arn) => (arn.to_string(), stack.observed.by_id(arn.as_str()), true),
            CertificateSource::Requested { .. } => {
                let address = Address::new(Kind::Certificate, name.as_str());
                (address.to_string(), stack.actual(&address), false)
            }
        };
        // One that is still to be requested has its line among the resources.
        if actual.is_none() && !named {
            continue;
        }
        let held = all.entry(subject.clone()).or_insert_with(|| Held {
            subject,
            sites: BTreeSet::new(),
            actual,
            named,
        });
        held.sites.insert(name);
    }
    all.into_values().collect()
}

/// The names of a certificate.
pub(super) fn names(actual: &Actual) -> impl Iterator<Item = &DomainName> {
    let names = match &actual.spec {
        Spec::Certificate(certificate) => Some(&certificate.names),
        _ => None,
    };
    names.into_iter().flatten()
}

/// The validation record of each name that is validated on its own, name and value; `None` where ACM tells none. A wildcard
/// shares its parent's (`aws-facts.md` 1.3).
pub(super) fn validations(actual: &Actual) -> BTreeMap<DomainName, Option<(DomainName, DomainName)>> {
    let output = |output: Output| actual.outputs.get(&output)?.parse().ok();
    names(actual)
        .map(DomainName::without_wildcard)
        .map(|name| {
            let record = output(Output::ValidationName(name.clone()))
                .and_then(|record| Some((record, output(Output::ValidationValue(name.clone()))?)));
            (name, record)
        })
        .collect()
}

/// Everything that decides whether the certificate works and is renewed.
pub(super) fn checks(world: &World<'_>, held: &Held<'_>) -> Vec<Check> {
    let Some(actual) = held.actual else {
        let gone = Check::ok(&held.subject, "status", "ACM does not have this certificate").but(
            Verdict::Failure,
            "correct `certificate` in the configuration, or leave it out to have one requested",
        );
        return vec![gone];
    };
    let Status::Certificate {
        state,
        failure_reason,
        certificate_type,
        in_use_by,
        life,
        ..
    } = &actual.status
    else {
        return Vec::new();
    };
    let subject = held.subject.as_str();
    let mut checks = Vec::new();
    if held.named {
        checks.push(status(subject, state, failure_reason.as_deref()));
    }
    checks.push(kind(subject, certificate_type, life));
    if state == "ISSUED" {
        checks.extend(days_left(world.now, subject, life));
        let used = in_use(world, subject, in_use_by);
        let is_used = used.verdict == Verdict::Ok;
        checks.push(used);
        // ACM looks after certificates that it issued itself; what is said of others would only confuse.
        if certificate_type != "IMPORTED" {
            checks.push(eligibility(world.now, subject, life, is_used));
            checks.extend(life.renewal.as_ref().map(|last| renewal(subject, last)));
        }
        checks.extend(held.sites.iter().filter_map(|site| served(world, subject, site, life)));
    }
    if certificate_type == "AMAZON_ISSUED" && matches!(state.as_str(), "ISSUED" | "PENDING_VALIDATION") {
        for (name, record) in validations(actual) {
            checks.push(validation(world, subject, &name, record.as_ref(), life));
        }
        checks.extend(names(actual).map(|name| caa::check(world, subject, name)));
    }
    checks
}

fn status(subject: &str, state: &str, reason: Option<&str>) -> Check {
    let words = reason.map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"));
    let check = Check::ok(subject, "status", words);
    match state {
        "ISSUED" => check,
        "PENDING_VALIDATION" => check.but(Verdict::Failure, "have it validated, or name another certificate"),
        _ => check.but(Verdict::Failure, "name another certificate in the configuration"),
    }
}

fn kind(subject: &str, certificate_type: &str, life: &CertificateLife) -> Check {
    let by_mail: Vec<&str> = life
        .validation_methods
        .iter()
        .filter(|(_, method)| *method == "EMAIL")
        .map(|(name, _)| name.as_str())
        .collect();
    let check = |message: &str| Check::ok(subject, "type", message);
    match certificate_type {
        "AMAZON_ISSUED" if !by_mail.is_empty() => Check::ok(
            subject,
            "type",
            format!("issued by Amazon and validated by mail: {}", by_mail.join(", ")),
        )
        .but(
            Verdict::Warning,
            "somebody has to answer a mail for every renewal: let a certificate be requested with DNS validation",
        ),
        "AMAZON_ISSUED" => check("issued by Amazon"),
        "IMPORTED" => check("imported: ACM never renews it").but(
            Verdict::Failure,
            "leave `certificate` out to have one requested that ACM renews, or import its successor yourself in time",
        ),
        "PRIVATE" => check("of a private authority: browsers do not trust it by themselves").but(
            Verdict::Warning,
            "leave `certificate` out to have a public one requested, unless only your own machines visit the site",
        ),
        other => {
            Check::ok(subject, "type", format!("`{other}`, of which nothing is known here")).but(Verdict::Unknown, "")
        }
    }
}

fn days_left(now: Timestamp, subject: &str, life: &CertificateLife) -> Option<Check> {
    let not_after = life.not_after?;
    let left = not_after.duration_since(now).as_secs();
    let whole = life
        .not_before
        .map_or(0, |not_before| not_after.duration_since(not_before).as_secs());
    let days = left.div_euclid(24 * 60 * 60);
    let check = Check::ok(
        subject,
        "days left",
        if left > 0 {
            format!("{days}, until {not_after:.0}")
        } else {
            format!("none, it ended at {not_after:.0}")
        },
    );
    let remedy = "see below why it was not renewed";
    Some(if left <= 0 || left.saturating_mul(URGENT) < whole {
        check.but(Verdict::Failure, remedy)
    } else if left.saturating_mul(OVERDUE) < whole {
        check.but(Verdict::Warning, remedy)
    } else {
        check
    })
}

/// Only what is attached is renewed.
fn in_use(world: &World<'_>, subject: &str, in_use_by: &[String]) -> Check {
    let stack = world.stack();
    if stack.load_balancers().any(|actual| in_use_by.contains(&actual.id)) {
        return Check::ok(subject, "in use", "by the load balancer");
    }
    let has_listener = world
        .state
        .resources
        .keys()
        .any(|address| address.kind() == Kind::Listener);
    let message = if in_use_by.is_empty() {
        "by nothing: ACM renews only what is in use".to_owned()
    } else {
        format!("not by the stack's load balancer, only by {}", in_use_by.join(", "))
    };
    let verdict = if has_listener {
        Verdict::Failure
    } else {
        Verdict::Warning
    };
    Check::ok(subject, "in use", message).but(verdict, "run `reconcile`: it puts the certificate on the listener")
}

fn eligibility(now: Timestamp, subject: &str, life: &CertificateLife, is_used: bool) -> Check {
    let check = |message: &str| Check::ok(subject, "eligible for renewal", message);
    match life.renewal_eligibility.as_deref() {
        Some("ELIGIBLE") => check("yes"),
        None => check("ACM does not tell").but(Verdict::Unknown, ""),
        Some(_) if !is_used => check("no, as it is not in use").but(Verdict::Warning, "put it in use, see above"),
        Some(_) if is_recent(now, life) => {
            check("not yet").but(Verdict::Warning, "look again tomorrow: the certificate is new")
        }
        Some(word) => check(&format!("no ({word}), though it is in use")).but(
            Verdict::Failure,
            "look at the certificate in the ACM console; deleting it and running `reconcile` requests a new one",
        ),
    }
}

fn is_recent(now: Timestamp, life: &CertificateLife) -> bool {
    life.not_before
        .is_some_and(|not_before| now.duration_since(not_before) < SETTLING)
}

fn renewal(subject: &str, last: &Renewal) -> Check {
    let when = last.updated_at.map(|at| format!(" since {at:.0}")).unwrap_or_default();
    let open: Vec<String> = last
        .open_names
        .iter()
        .map(|(name, status)| format!("{name} is {status}"))
        .collect();
    let reason = last
        .reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let names = if open.is_empty() {
        String::new()
    } else {
        format!("; {}", open.join(", "))
    };
    let check = Check::ok(subject, "renewal", format!("{}{reason}{when}{names}", last.status));
    match last.status.as_str() {
        "SUCCESS" | "PENDING_AUTO_RENEWAL" => check,
        "PENDING_VALIDATION" => check.but(
            Verdict::Failure,
            "ACM could not validate these names by itself: repair the validation and CAA records below",
        ),
        "FAILED" => check.but(
            Verdict::Failure,
            explain::certificate_failure("FAILED", last.reason.as_deref()),
        ),
        _ => check.but(Verdict::Warning, "look at the certificate in the ACM console"),
    }
}

/// Whether the record that proves control over a name stands where ACM looks for it.
fn validation(
    world: &World<'_>,
    subject: &str,
    name: &DomainName,
    record: Option<&(DomainName, DomainName)>,
    life: &CertificateLife,
) -> Check {
    let check = |message: String| Check::ok(subject, format!("validation record {name}"), message);
    let until = life
        .not_after
        .map(|not_after| format!("; without it the certificate ends at {not_after:.0}"))
        .unwrap_or_default();
    let repair = "run `reconcile`: it puts the record back; do not delete it, every renewal needs it";
    let Some((record, wanted)) = record else {
        return check("ACM tells none for this name".to_owned()).but(Verdict::Unknown, "look again in some minutes");
    };
    let stack = world.stack();
    let public = world.outside.cnames.get(record).map(|answer| {
        let names = |targets: &Vec<String>| targets.iter().filter_map(|target| target.parse().ok()).collect();
        answer.as_ref().map(names)
    });
    let in_public: Option<Result<BTreeSet<DomainName>, &String>> = public;
    if stack.public_zone(record.as_str()).is_some() {
        return match (stack.cname(record), in_public) {
            (None, _) => check(format!("there is no CNAME at `{record}`{until}")).but(Verdict::Failure, repair),
            (Some(found), _) if found != *wanted => check(format!(
                "the CNAME at `{record}` leads to `{found}` and not to `{wanted}`{until}"
            ))
            .but(Verdict::Failure, repair),
            (Some(_), Some(Ok(targets))) if !targets.contains(wanted) => check(format!(
                "it stands in the hosted zone, but public DNS does not have it at `{record}`"
            ))
            .but(
                Verdict::Warning,
                "ACM looks in public DNS: enter the hosted zone's name servers at the registrar. Right after a change, and \
                 inside of a VPC with a private zone of the name, this says nothing",
            ),
            (Some(_), _) => check("as ACM wants it".to_owned()),
        };
    }
    match in_public {
        Some(Ok(targets)) if targets.contains(wanted) => check("as ACM wants it, in public DNS".to_owned()),
        Some(Ok(_)) => check(format!(
            "public DNS has no CNAME at `{record}` that leads to `{wanted}`{until}"
        ))
        .but(
            Verdict::Failure,
            "make this record where the zone is; do not delete it, every renewal needs it",
        ),
        Some(Err(reason)) => check(format!("public DNS cannot be asked for `{record}`: {reason}")).but(
            Verdict::Unknown,
            "the zone is not in Route 53 of this account: look from a machine that can ask public DNS",
        ),
        None => check(format!("`{record}` was not looked at")).but(Verdict::Unknown, ""),
    }
}

/// Whether visitors get the certificate that ACM holds; `None` for sites of which nobody can be asked for a name.
fn served(world: &World<'_>, subject: &str, site: &SiteName, life: &CertificateLife) -> Option<Check> {
    let check = |message: String| Check::ok(subject, format!("served for {site}"), message);
    let Some(served) = world.outside.served.get(site) else {
        if world.config.prove.request == RequestProof::Off {
            let off = check("not asked, as `prove.request` is \"off\"".to_owned());
            return Some(off.but(Verdict::Unknown, ""));
        }
        return None;
    };
    Some(match (served, &life.serial) {
        (Err(reason), _) => check(format!("the load balancer shows no certificate: {reason}"))
            .but(Verdict::Unknown, "look from a machine that the load balancer admits"),
        (Ok(_), None) => check("ACM does not tell the serial number".to_owned()).but(Verdict::Unknown, ""),
        (Ok(served), Some(serial)) if served.serial == *serial => check("the one that ACM holds".to_owned()),
        (Ok(served), Some(_)) => {
            let other = check(format!(
                "another than the one that ACM holds: of {}, until {:.0}",
                served.issuer, served.not_after
            ));
            if is_recent(world.now, life) {
                other.but(
                    Verdict::Warning,
                    "look again tomorrow: a new certificate takes a while to reach the load balancer",
                )
            } else {
                other.but(
                    Verdict::Failure,
                    "run `reconcile plan`: the listener may hold another certificate",
                )
            }
        }
    })
}
