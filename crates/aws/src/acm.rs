//! AWS Certificate Manager: which certificates there are and how they are described.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_acm::types::{
    CertificateDetail, CertificateStatus, CertificateSummary, CertificateType, DomainStatus, DomainValidation, Filters,
    KeyAlgorithm as SdkKeyAlgorithm, RenewalSummary,
};
use aws_smithy_types::DateTime;
use futures_util::future;
use jiff::Timestamp;
use reconcile_core::{
    config::{KeyAlgorithm, StackName},
    naming::STACK_TAG,
    observed::{Actual, CertificateLife, Query, Renewal, Status, normal_serial},
    resource::{Certificate, Kind, Output, Outputs, Spec, Tags},
    value::{CertificateArn, DomainName},
};
use reconcile_engine::CloudError;

use crate::{
    clients::Clients,
    error::{OrMissing, call},
    paging::Pages,
};

/// The longest page that `ListCertificates` gives.
const PAGE: i32 = 1000;

/// Certificates that may be the stack's: given outright, adopted, known to the state, or for one of the sites' names.
///
/// ACM has no list by tag, so that those with the stack's tags and none of its names take a call for each certificate of
/// the account. They are looked for only while a request is open whose names may have left the configuration.
pub(crate) async fn observe(clients: &Clients, query: &Query) -> Result<Vec<Actual>, CloudError> {
    let recorded = query
        .recorded
        .iter()
        .filter(|(address, _)| address.kind() == Kind::Certificate)
        .flat_map(|(_, ids)| ids)
        .chain(&query.adopted)
        .filter_map(|id| id.parse().ok());
    // ACM knows nothing of other regions, and what it answers to their ARNs hides why the plan is refused.
    let named: BTreeSet<CertificateArn> = query
        .certificates
        .iter()
        .cloned()
        .chain(recorded)
        .filter(|arn| arn.region() == clients.region.as_str())
        .collect();
    let listed = async {
        let (mut arns, mut others) = (BTreeSet::<CertificateArn>::new(), BTreeSet::new());
        for summary in list(clients).await? {
            let Some(arn) = summary.certificate_arn().and_then(|arn| arn.parse().ok()) else {
                continue;
            };
            if named.contains(&arn) {
                continue;
            }
            if may_serve(&summary, &query.names) {
                arns.insert(arn);
            } else if query.details.begun_certificates && may_be_begun(&summary) {
                others.insert(arn);
            }
        }
        arns.extend(tagged(clients, &others, &query.stack).await?);
        described(clients, &arns, Choice::Requestable).await
    };
    let (mut found, listed) = future::try_join(described(clients, &named, Choice::Any), listed).await?;
    found.extend(listed);
    Ok(found)
}

/// Which certificates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All, because somebody named them.
    Any,
    /// Those that this tool could have requested.
    Requestable,
}

async fn described(
    clients: &Clients,
    arns: &BTreeSet<CertificateArn>,
    choice: Choice,
) -> Result<Vec<Actual>, CloudError> {
    let found = arns.iter().map(|arn| describe(clients, arn, choice));
    Ok(future::try_join_all(found).await?.into_iter().flatten().collect())
}

/// Every certificate of the account and region with a key that can be requested: without a filter the list hides those
/// with elliptic curves (`aws-facts.md` 1.2), and a type that a partition does not know yet would be refused.
pub(crate) async fn list(clients: &Clients) -> Result<Vec<CertificateSummary>, CloudError> {
    let key_types = [
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::EcPrime256v1,
        KeyAlgorithm::EcSecp384r1,
    ];
    let key_types = key_types.into_iter().map(sdk_algorithm).collect();
    let includes = Filters::builder().set_key_types(Some(key_types)).build();
    let mut found = Vec::new();
    let mut pages = Pages::new("acm ListCertificates");
    loop {
        let request = clients.acm.list_certificates();
        let request = request.includes(includes.clone()).max_items(PAGE);
        let answer = call(pages.operation(), request.set_next_token(pages.token()).send()).await?;
        found.extend(answer.certificate_summary_list().iter().cloned());
        if !pages.advance(answer.next_token())? {
            return Ok(found);
        }
    }
}

/// Whether a certificate in the list may be for one of the names, as far as the list tells.
pub(crate) fn may_serve(summary: &CertificateSummary, names: &BTreeSet<DomainName>) -> bool {
    let listed = summary.subject_alternative_name_summaries();
    // The list carries the first hundred names only, and emulators none.
    if listed.is_empty() || summary.has_additional_subject_alternative_names() == Some(true) {
        return true;
    }
    listed
        .iter()
        .map(String::as_str)
        .chain(summary.domain_name())
        .filter_map(|name| name.parse::<DomainName>().ok())
        .any(|held| names.iter().any(|name| held.covers(name)))
}

/// Whether a certificate in the list may be one that a run requested and could not record: nothing can use that yet.
fn may_be_begun(summary: &CertificateSummary) -> bool {
    summary.in_use() != Some(true)
        && summary.managed_by().is_none()
        && summary
            .r#type()
            .is_none_or(|found| *found == CertificateType::AmazonIssued)
}

/// Those that carry the stack's tag.
async fn tagged(
    clients: &Clients,
    arns: &BTreeSet<CertificateArn>,
    stack: &StackName,
) -> Result<Vec<CertificateArn>, CloudError> {
    let tags = arns.iter().map(|arn| tags_of(clients, arn));
    let tags = future::try_join_all(tags).await?;
    let is_ours = |tags: &Tags| tags.get(STACK_TAG).map(String::as_str) == Some(stack.as_str());
    let found = arns.iter().zip(tags).filter(|(_, tags)| is_ours(tags));
    Ok(found.map(|(arn, _)| arn.clone()).collect())
}

/// The tags of a certificate; none if ACM does not know it (yet).
async fn tags_of(clients: &Clients, arn: &CertificateArn) -> Result<Tags, CloudError> {
    let request = clients.acm.list_tags_for_certificate().certificate_arn(arn.as_str());
    let answer = call("acm ListTagsForCertificate", request.send()).await.or_missing()?;
    Ok(answer.map_or_else(Tags::new, |answer| {
        let tags = answer.tags().iter();
        tags.map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned()))
            .collect()
    }))
}

/// One certificate with its tags; `None` if ACM does not know it (yet), or it is not among the choice.
pub(crate) async fn describe(
    clients: &Clients,
    arn: &CertificateArn,
    choice: Choice,
) -> Result<Option<Actual>, CloudError> {
    let description = clients.acm.describe_certificate().certificate_arn(arn.as_str());
    let (description, tags) = future::join(
        call("acm DescribeCertificate", description.send()),
        // A fresh certificate may be known to one of the calls before the other (`aws-facts.md` 1.2).
        tags_of(clients, arn),
    )
    .await;
    let Some(detail) = description.or_missing()?.and_then(|answer| answer.certificate) else {
        return Ok(None);
    };
    Ok(actual(arn, &detail, tags?, choice))
}

/// A described certificate in normal form.
fn actual(arn: &CertificateArn, detail: &CertificateDetail, tags: Tags, choice: Choice) -> Option<Actual> {
    let algorithm = detail
        .key_algorithm()
        .map_or_else(String::new, |algorithm| normal_algorithm(algorithm.as_str()));
    let key_algorithm = match (requestable(&algorithm), choice) {
        (Some(key_algorithm), _) => key_algorithm,
        (None, Choice::Any) => nearest(&algorithm),
        (None, Choice::Requestable) => return None,
    };
    let is_imported = detail.r#type() == Some(&CertificateType::Imported);
    // Certificates that another service manages are not for anybody else (`aws-facts.md` 1.2).
    if choice == Choice::Requestable && (is_imported || detail.managed_by().is_some()) {
        return None;
    }
    let domain: Option<DomainName> = detail.domain_name().and_then(|name| name.parse().ok());
    let names: BTreeSet<DomainName> = detail
        .subject_alternative_names()
        .iter()
        .filter_map(|name| name.parse().ok())
        .chain(domain.clone())
        .collect();
    let mut outputs = validation_outputs(detail.domain_validation_options());
    outputs.insert(Output::Id, arn.to_string());
    Some(Actual {
        id: arn.to_string(),
        status: Status::Certificate {
            state: detail
                .status()
                .map(CertificateStatus::as_str)
                .unwrap_or_default()
                .to_owned(),
            failure_reason: detail.failure_reason().map(|reason| reason.as_str().to_owned()),
            certificate_type: detail
                .r#type()
                .map(CertificateType::as_str)
                .unwrap_or_default()
                .to_owned(),
            in_use_by: detail.in_use_by().to_vec(),
            pending_names: pending_names(detail, &names),
            life: Box::new(life(detail)),
        },
        spec: Spec::Certificate(Certificate {
            domain,
            names,
            key_algorithm,
            tags: tags.clone(),
        }),
        outputs,
        tags,
    })
}

/// How long the certificate lives and whether it is renewed (`aws-facts.md` 1.5).
fn life(detail: &CertificateDetail) -> CertificateLife {
    let methods = detail.domain_validation_options().iter().filter_map(|option| {
        let method = option.validation_method()?;
        Some((option.domain_name().parse().ok()?, method.as_str().to_owned()))
    });
    CertificateLife {
        not_before: detail.not_before().and_then(moment),
        not_after: detail.not_after().and_then(moment),
        serial: detail.serial().map(normal_serial).filter(|serial| !serial.is_empty()),
        renewal_eligibility: detail
            .renewal_eligibility()
            .map(|eligibility| eligibility.as_str().to_owned()),
        renewal: detail.renewal_summary().map(renewal),
        validation_methods: methods.collect(),
    }
}

fn renewal(summary: &RenewalSummary) -> Renewal {
    let open = summary.domain_validation_options().iter().filter_map(|option| {
        let status = option.validation_status()?;
        let open = *status != DomainStatus::Success;
        open.then(|| Some((option.domain_name().parse().ok()?, status.as_str().to_owned())))?
    });
    Renewal {
        status: summary.renewal_status().as_str().to_owned(),
        reason: summary.renewal_status_reason().map(|reason| reason.as_str().to_owned()),
        updated_at: moment(summary.updated_at()),
        open_names: open.collect(),
    }
}

fn moment(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(at.secs()).ok()
}

/// The algorithm as requests and lists write it: descriptions have a hyphen in its place (`aws-facts.md` 1.1).
fn normal_algorithm(text: &str) -> String {
    text.replacen('-', "_", 1)
}

fn requestable(algorithm: &str) -> Option<KeyAlgorithm> {
    match algorithm {
        "RSA_2048" => Some(KeyAlgorithm::Rsa2048),
        "EC_prime256v1" => Some(KeyAlgorithm::EcPrime256v1),
        "EC_secp384r1" => Some(KeyAlgorithm::EcSecp384r1),
        _ => None,
    }
}

/// The algorithm that stands for one that can only be imported.
fn nearest(algorithm: &str) -> KeyAlgorithm {
    if algorithm.starts_with("EC") {
        KeyAlgorithm::EcSecp384r1
    } else {
        KeyAlgorithm::Rsa2048
    }
}

/// The algorithm as the SDK names it.
pub(crate) fn sdk_algorithm(algorithm: KeyAlgorithm) -> SdkKeyAlgorithm {
    match algorithm {
        KeyAlgorithm::Rsa2048 => SdkKeyAlgorithm::Rsa2048,
        KeyAlgorithm::EcPrime256v1 => SdkKeyAlgorithm::EcPrime256v1,
        KeyAlgorithm::EcSecp384r1 => SdkKeyAlgorithm::EcSecp384r1,
    }
}

/// The validation records, as far as ACM tells them by now; a wildcard shares its parent's (`aws-facts.md` 1.3).
fn validation_outputs(options: &[DomainValidation]) -> Outputs {
    let mut outputs = BTreeMap::new();
    for option in options {
        let Some(record) = option.resource_record() else {
            continue;
        };
        let domain = option.domain_name().parse::<DomainName>();
        let (name, value) = (
            record.name().parse::<DomainName>(),
            record.value().parse::<DomainName>(),
        );
        if let (Ok(domain), Ok(name), Ok(value)) = (domain, name, value) {
            let domain = domain.without_wildcard();
            outputs.insert(Output::ValidationName(domain.clone()), name.to_string());
            outputs.insert(Output::ValidationValue(domain), value.to_string());
        }
    }
    outputs
}

/// The names whose validation has not succeeded. Options come late: until then no name has (`aws-facts.md` 1.3).
fn pending_names(detail: &CertificateDetail, names: &BTreeSet<DomainName>) -> Vec<DomainName> {
    if detail.status() != Some(&CertificateStatus::PendingValidation) {
        return Vec::new();
    }
    let valid: BTreeSet<DomainName> = detail
        .domain_validation_options()
        .iter()
        .filter(|option| option.validation_status() == Some(&DomainStatus::Success))
        .filter_map(|option| option.domain_name().parse().ok())
        .collect();
    names.difference(&valid).cloned().collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_acm::types::{
        CertificateManagedBy, FailureReason, RecordType, RenewalEligibility, RenewalStatus, ResourceRecord,
        ValidationMethod, builders::CertificateDetailBuilder,
    };

    use super::*;

    fn arn() -> CertificateArn {
        "arn:aws:acm:us-east-1:123456789012:certificate/1".parse().unwrap()
    }

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn option(domain: &str, record: Option<&str>, status: DomainStatus) -> DomainValidation {
        let record = record.map(|name| {
            ResourceRecord::builder()
                .name(name)
                .r#type(RecordType::Cname)
                .value("_V.acm-validations.aws.")
                .build()
                .unwrap()
        });
        DomainValidation::builder()
            .domain_name(domain)
            .validation_status(status)
            .set_resource_record(record)
            .build()
            .unwrap()
    }

    fn detail() -> CertificateDetailBuilder {
        CertificateDetail::builder()
            .domain_name("Example.com")
            .subject_alternative_names("Example.com")
            .subject_alternative_names("*.example.com")
            .key_algorithm(SdkKeyAlgorithm::from("RSA-2048"))
            .status(CertificateStatus::PendingValidation)
            .r#type(CertificateType::AmazonIssued)
    }

    fn certificate(actual: &Actual) -> &Certificate {
        match &actual.spec {
            Spec::Certificate(certificate) => certificate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_certificate_is_read_in_normal_form() {
        let options = [
            option("example.com", Some("_K.Example.com."), DomainStatus::PendingValidation),
            option("*.example.com", Some("_k.example.com."), DomainStatus::Success),
        ];
        let detail = detail().set_domain_validation_options(Some(options.to_vec())).build();
        let actual = actual(&arn(), &detail, Tags::new(), Choice::Requestable).unwrap();
        let settings = certificate(&actual);
        assert_eq!(settings.domain, Some(name("example.com")));
        assert_eq!(
            settings.names,
            BTreeSet::from([name("example.com"), name("*.example.com")])
        );
        assert_eq!(settings.key_algorithm, KeyAlgorithm::Rsa2048);
        // One record for the name and its wildcard, without trailing dots.
        assert_eq!(
            actual.outputs,
            Outputs::from([
                (Output::Id, arn().to_string()),
                (Output::ValidationName(name("example.com")), "_k.example.com".into()),
                (
                    Output::ValidationValue(name("example.com")),
                    "_v.acm-validations.aws".into()
                ),
            ])
        );
        assert_eq!(
            actual.status,
            Status::Certificate {
                state: "PENDING_VALIDATION".into(),
                failure_reason: None,
                certificate_type: "AMAZON_ISSUED".into(),
                in_use_by: Vec::new(),
                pending_names: vec![name("example.com")],
                life: Box::default(),
            }
        );
    }

    #[test]
    fn the_life_of_a_certificate_is_read() {
        let renewed = RenewalSummary::builder()
            .renewal_status(RenewalStatus::PendingValidation)
            .renewal_status_reason(FailureReason::CaaError)
            .updated_at(DateTime::from_secs(30))
            .domain_validation_options(option("example.com", None, DomainStatus::Success))
            .domain_validation_options(option("*.example.com", None, DomainStatus::Failed))
            .build()
            .unwrap();
        let by_dns = DomainValidation::builder()
            .domain_name("example.com")
            .validation_method(ValidationMethod::Dns)
            .build()
            .unwrap();
        let detail = detail()
            .not_before(DateTime::from_secs(10))
            .not_after(DateTime::from_secs(20))
            .serial("00:0A:b1")
            .renewal_eligibility(RenewalEligibility::Eligible)
            .renewal_summary(renewed)
            .domain_validation_options(by_dns)
            .build();
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        assert_eq!(
            life(&detail),
            CertificateLife {
                not_before: at(10),
                not_after: at(20),
                serial: Some("ab1".into()),
                renewal_eligibility: Some("ELIGIBLE".into()),
                renewal: Some(Renewal {
                    status: "PENDING_VALIDATION".into(),
                    reason: Some("CAA_ERROR".into()),
                    updated_at: at(30),
                    open_names: BTreeMap::from([(name("*.example.com"), "FAILED".into())]),
                }),
                validation_methods: BTreeMap::from([(name("example.com"), "DNS".into())]),
            }
        );
    }

    #[test]
    fn records_may_be_missing_at_first() {
        for options in [
            None,
            Some(vec![option("example.com", None, DomainStatus::PendingValidation)]),
        ] {
            let detail = detail().set_domain_validation_options(options).build();
            let actual = actual(&arn(), &detail, Tags::new(), Choice::Any).unwrap();
            assert_eq!(actual.outputs, Outputs::from([(Output::Id, arn().to_string())]));
            let Status::Certificate { pending_names, .. } = actual.status else {
                panic!("another kind")
            };
            assert_eq!(pending_names.len(), 2);
        }
    }

    #[test]
    fn algorithms_are_read_in_both_spellings() {
        for (text, expected) in [
            ("RSA_2048", Some(KeyAlgorithm::Rsa2048)),
            ("RSA-2048", Some(KeyAlgorithm::Rsa2048)),
            ("EC-prime256v1", Some(KeyAlgorithm::EcPrime256v1)),
            ("EC_secp384r1", Some(KeyAlgorithm::EcSecp384r1)),
            ("RSA-4096", None),
        ] {
            assert_eq!(requestable(&normal_algorithm(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_requested_counts_only_when_named() {
        let imported = detail().r#type(CertificateType::Imported).build();
        let large = detail().key_algorithm(SdkKeyAlgorithm::from("RSA-4096")).build();
        let managed = detail().managed_by(CertificateManagedBy::Cloudfront).build();
        for detail in [imported, large, managed] {
            assert_eq!(actual(&arn(), &detail, Tags::new(), Choice::Requestable), None);
            let named = actual(&arn(), &detail, Tags::new(), Choice::Any).unwrap();
            assert_eq!(certificate(&named).key_algorithm, KeyAlgorithm::Rsa2048);
        }
    }

    #[test]
    fn the_list_tells_which_certificates_to_describe() {
        let summary = |names: &[&str]| {
            CertificateSummary::builder()
                .domain_name("first.example.org")
                .set_subject_alternative_name_summaries(Some(names.iter().map(ToString::to_string).collect()))
        };
        let wanted = BTreeSet::from([name("www.example.com")]);
        assert!(may_serve(&summary(&["www.example.com"]).build(), &wanted));
        assert!(may_serve(&summary(&["*.Example.com"]).build(), &wanted));
        assert!(!may_serve(&summary(&["example.com", "a.example.com"]).build(), &wanted));
        assert!(may_serve(&summary(&[]).build(), &wanted));
        let many = summary(&["example.com"]).has_additional_subject_alternative_names(true);
        assert!(may_serve(&many.build(), &wanted));
    }

    #[test]
    fn what_somebody_uses_or_imported_was_not_requested_by_a_run_that_was_cut_off() {
        let summary = || CertificateSummary::builder().r#type(CertificateType::AmazonIssued);
        assert!(may_be_begun(&summary().in_use(false).build()));
        assert!(may_be_begun(&CertificateSummary::builder().build()));
        assert!(!may_be_begun(&summary().in_use(true).build()));
        assert!(!may_be_begun(&summary().r#type(CertificateType::Imported).build()));
        let managed = summary().managed_by(CertificateManagedBy::Cloudfront);
        assert!(!may_be_begun(&managed.build()));
    }
}
