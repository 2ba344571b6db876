//! The kind `certificate`: a public certificate with DNS validation.

use aws_sdk_acm::types::{Tag, ValidationMethod};
use reconcile_core::{
    naming,
    observed::{Actual, Status},
    resource::{Address, Certificate, Spec, Tags},
    value::{CertificateArn, DomainName, MAX_COMMON_NAME_OCTETS},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    acm::{self, Choice},
    clients::Clients,
    error::{call, failure, unexpected},
    ownership::is_same_resource,
    ownership::missing_tags,
    retry::while_fresh,
};

/// The longest token that ACM takes (`aws-facts.md` 1.2).
const TOKEN: usize = 32;

/// Reads the certificate with this ARN. ACM may not know a new one for some seconds.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _like: &Certificate,
) -> Result<Option<Actual>, CloudError> {
    match id.parse::<CertificateArn>() {
        Ok(arn) => acm::describe(clients, &arn, Choice::Any).await,
        Err(_) => Ok(None),
    }
}

/// Finds a certificate by its tags: one for just these names, with such a key, that is issued or can still be. One that
/// failed, or that is for other names, is what the wanted one shall replace.
pub(crate) async fn find(
    clients: &Clients,
    _address: &Address,
    desired: &Certificate,
) -> Result<Option<Actual>, CloudError> {
    let mut candidates = Vec::new();
    for summary in acm::list(clients).await? {
        if acm::may_serve(&summary, &desired.names)
            && let Some(arn) = summary.certificate_arn().and_then(|arn| arn.parse().ok())
            && let Some(actual) = acm::describe(clients, &arn, Choice::Requestable).await?
            && let Some(readiness) = readiness(&actual, desired)
        {
            candidates.push((readiness, actual));
        }
    }
    candidates.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.id.cmp(&y.id)));
    Ok(candidates.into_iter().next().map(|(_, actual)| actual))
}

/// How far a certificate is that could be the wanted one, the furthest first; `None` if it cannot.
fn readiness(actual: &Actual, desired: &Certificate) -> Option<u8> {
    let Spec::Certificate(found) = &actual.spec else {
        return None;
    };
    let is_alike = found.names == desired.names
        && found.key_algorithm == desired.key_algorithm
        && is_same_resource(&actual.tags, &desired.tags);
    match &actual.status {
        Status::Certificate { state, .. } if is_alike => match state.as_str() {
            "ISSUED" => Some(0),
            "PENDING_VALIDATION" => Some(1),
            _ => None,
        },
        _ => None,
    }
}

/// Requests the certificate. The same token within an hour gives the same certificate (`aws-facts.md` 1.2).
pub(crate) async fn create(
    clients: &Clients,
    _address: &Address,
    desired: &Certificate,
    token: &str,
) -> Result<Made, CloudError> {
    const OPERATION: &str = "acm RequestCertificate";
    let Some(common) = common_name(desired) else {
        return Err(failure(
            OPERATION,
            ErrorKind::Refused,
            format!("none of the names has {MAX_COMMON_NAME_OCTETS} octets or less"),
            "add a shorter name to the certificate: its first name has to be short",
        ));
    };
    let others = desired.names.iter().filter(|name| *name != common);
    let others: Vec<String> = others.map(ToString::to_string).collect();
    let request = clients
        .acm
        .request_certificate()
        .domain_name(common.as_str())
        .set_subject_alternative_names((!others.is_empty()).then_some(others))
        .validation_method(ValidationMethod::Dns)
        .key_algorithm(acm::sdk_algorithm(desired.key_algorithm))
        .idempotency_token(acceptable(token))
        .set_tags(sdk_tags(OPERATION, &desired.tags)?);
    let answer = call(OPERATION, request.send()).await?;
    let arn = answer
        .certificate_arn()
        .ok_or_else(|| unexpected(OPERATION, "the answer names no certificate"))?;
    Ok(Made::with_id(arn))
}

/// The name that comes first, which has a limit of its own (`aws-facts.md` 1.1).
fn common_name(desired: &Certificate) -> Option<&DomainName> {
    let fits = |name: &&DomainName| name.as_str().len() <= MAX_COMMON_NAME_OCTETS;
    let wanted = desired.domain.as_ref().filter(fits);
    let shortest = || desired.names.iter().filter(fits).min_by_key(|name| name.is_wildcard());
    wanted.or_else(shortest)
}

/// The token itself if ACM takes it, else its hash.
fn acceptable(token: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !token.is_empty() && token.len() <= TOKEN && token.bytes().all(is_word) {
        token.to_owned()
    } else {
        naming::short_hash(&[token], TOKEN)
    }
}

fn sdk_tags(operation: &str, tags: &Tags) -> Result<Option<Vec<Tag>>, CloudError> {
    let built: Result<Vec<Tag>, _> = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    let built = built.map_err(|error| unexpected(operation, error.to_string()))?;
    Ok((!built.is_empty()).then_some(built))
}

/// Sets the tags; nothing else of a certificate can be changed.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &Certificate,
    desired: &Certificate,
) -> Result<Made, CloudError> {
    const OPERATION: &str = "acm AddTagsToCertificate";
    if let Some(tags) = sdk_tags(OPERATION, &missing_tags(&observed.tags, &desired.tags))? {
        let request = clients.acm.add_tags_to_certificate().certificate_arn(id);
        let request = request.set_tags(Some(tags));
        // A new certificate is unknown for some seconds (`aws-facts.md` 1.2).
        while_fresh(&["ResourceNotFoundException"], || {
            call(OPERATION, request.clone().send())
        })
        .await?;
    }
    Ok(Made::with_id(id))
}

/// Deletes the certificate. While something uses it, the error names what; a listener that has just been changed still
/// counts for a while (`aws-facts.md` 1.6).
pub(crate) async fn delete(
    clients: &Clients,
    address: &Address,
    id: &str,
    observed: &Certificate,
) -> Result<(), CloudError> {
    let request = clients.acm.delete_certificate().certificate_arn(id);
    match call("acm DeleteCertificate", request.send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind == ErrorKind::InUse => Err(match read(clients, address, id, observed).await {
            Ok(Some(actual)) => with_users(error, &actual.status),
            _ => error,
        }),
        Err(error) => Err(error),
    }
}

fn with_users(error: CloudError, status: &Status) -> CloudError {
    match status {
        Status::Certificate { in_use_by, .. } if !in_use_by.is_empty() => CloudError {
            message: format!("the certificate is still used by {}", in_use_by.join(", ")),
            ..error
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use reconcile_core::{
        config::KeyAlgorithm,
        resource::{Kind, Outputs},
    };

    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn wanted() -> Certificate {
        let address = Address::new(Kind::Certificate, "www");
        Certificate {
            domain: Some(name("www.example.com")),
            names: BTreeSet::from([name("www.example.com"), name("*.example.org")]),
            key_algorithm: KeyAlgorithm::EcPrime256v1,
            tags: naming::ownership(&serde_json::from_str("\"www\"").unwrap(), &address),
        }
    }

    fn found(settings: Certificate, state: &str) -> Actual {
        Actual {
            id: "arn".into(),
            tags: settings.tags.clone(),
            spec: Spec::Certificate(settings),
            outputs: Outputs::new(),
            status: Status::Certificate {
                state: state.into(),
                failure_reason: None,
                certificate_type: "AMAZON_ISSUED".into(),
                in_use_by: vec!["arn:lb".into()],
                pending_names: Vec::new(),
                serial: None,
            },
        }
    }

    #[test]
    fn only_an_equal_certificate_that_can_serve_is_found_again() {
        assert_eq!(readiness(&found(wanted(), "ISSUED"), &wanted()), Some(0));
        assert_eq!(readiness(&found(wanted(), "PENDING_VALIDATION"), &wanted()), Some(1));
        for state in ["FAILED", "VALIDATION_TIMED_OUT", "EXPIRED"] {
            assert_eq!(readiness(&found(wanted(), state), &wanted()), None, "{state}");
        }
        let mut others = [wanted(), wanted(), wanted()];
        others[0].names.pop_first();
        others[1].key_algorithm = KeyAlgorithm::Rsa2048;
        others[2].tags.clear();
        for other in others {
            assert_eq!(readiness(&found(other, "ISSUED"), &wanted()), None);
        }
    }

    #[test]
    fn a_short_name_comes_first() {
        let mut certificate = wanted();
        assert_eq!(common_name(&certificate), Some(&name("www.example.com")));
        let long = name(&format!("{}.example.com", "a".repeat(60)));
        certificate.domain = Some(long.clone());
        certificate.names.insert(long.clone());
        assert_eq!(common_name(&certificate), Some(&name("www.example.com")));
        certificate.names = BTreeSet::from([long]);
        assert_eq!(common_name(&certificate), None);
    }

    #[test]
    fn every_token_is_made_acceptable() {
        assert_eq!(acceptable("rcl0123abc"), "rcl0123abc");
        for token in ["with-hyphen", "", &"x".repeat(33)] {
            let token = acceptable(token);
            assert!(token.len() == TOKEN && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn a_refused_deletion_names_the_users() {
        let error = unexpected("acm DeleteCertificate", "in use");
        let error = with_users(error, &found(wanted(), "ISSUED").status);
        assert!(error.message.contains("arn:lb"), "{error}");
    }
}
