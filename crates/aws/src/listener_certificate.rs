//! The kind `listener_certificate`: a certificate that an HTTPS listener chooses by the visitor's server name, beside its
//! default one (`aws-facts.md` 4.1). It has no id, no tags and nothing that could change.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::types::Certificate;
use reconcile_core::{
    observed::{Actual, Status},
    resource::{Address, ListenerCertificate, Output, Outputs, Ref, Spec, Tags},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    error::{OrMissing, call, unexpected, unresolved},
    paging::Pages,
    patience::Patience,
    retry::while_fresh,
};

const ADD: &str = "elbv2 AddListenerCertificates";
const REMOVE: &str = "elbv2 RemoveListenerCertificates";

/// The ARNs of the listener and of the certificate.
pub(crate) fn split_id(id: &str) -> Option<(&str, &str)> {
    id.split_once('#')
}

/// The certificates of a listener beside the default one. An error of the kind "not found" means that the listener is.
pub(crate) async fn of(clients: &Clients, listener: &str) -> Result<Vec<Actual>, CloudError> {
    let mut found = BTreeSet::new();
    let mut pages = Pages::new("elbv2 DescribeListenerCertificates");
    loop {
        let request = clients.elb.describe_listener_certificates().listener_arn(listener);
        let request = request.page_size(400).set_marker(pages.token());
        let answer = call(pages.operation(), request.send()).await?;
        found.extend(chosen_by_name(answer.certificates()));
        if !pages.advance(answer.next_marker())? {
            return Ok(found.iter().map(|certificate| actual(listener, certificate)).collect());
        }
    }
}

/// Those that are in the listener's list. One that is the default too is listed twice, and only its other entry counts.
fn chosen_by_name(certificates: &[Certificate]) -> impl Iterator<Item = String> {
    certificates
        .iter()
        .filter(|certificate| certificate.is_default() != Some(true))
        .filter_map(|certificate| certificate.certificate_arn().map(str::to_owned))
}

fn actual(listener: &str, certificate: &str) -> Actual {
    let id = ListenerCertificate::id_of(listener, certificate);
    Actual {
        spec: Spec::ListenerCertificate(ListenerCertificate {
            listener: Ref::Known(listener.to_owned()),
            certificate: Ref::Known(certificate.to_owned()),
        }),
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        status: Status::Exists,
        tags: Tags::new(),
    }
}

fn parts<'a>(operation: &str, settings: &'a ListenerCertificate) -> Result<(&'a str, &'a str), CloudError> {
    let known = |reference: &'a Ref| reference.known().map_err(|error| unresolved(operation, &error));
    Ok((known(&settings.listener)?, known(&settings.certificate)?))
}

/// Reads the one with this id.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    like: &ListenerCertificate,
) -> Result<Option<Actual>, CloudError> {
    let (listener, certificate) = match split_id(id) {
        Some(parts) => parts,
        None => parts("elbv2 DescribeListenerCertificates", like)?,
    };
    let wanted = ListenerCertificate::id_of(listener, certificate);
    let listed = of(clients, listener).await.or_missing()?.unwrap_or_default();
    Ok(listed.into_iter().find(|actual| actual.id == wanted))
}

/// Finds it by its content, which is all that it has.
pub(crate) async fn find(
    clients: &Clients,
    address: &Address,
    desired: &ListenerCertificate,
) -> Result<Option<Actual>, CloudError> {
    read(clients, address, "", desired).await
}

/// Adds the certificate to the listener's list; one that is there already is success.
pub(crate) async fn create(
    clients: &Clients,
    _address: &Address,
    desired: &ListenerCertificate,
    _token: &str,
) -> Result<Made, CloudError> {
    let (listener, certificate) = parts(ADD, desired)?;
    // One per call, and IsDefault must not be sent (`aws-facts.md` 4.1).
    let request = clients
        .elb
        .add_listener_certificates()
        .listener_arn(listener)
        .certificates(Certificate::builder().certificate_arn(certificate).build());
    let mut patience = Patience::new(Some(certificate));
    while let Err(error) = while_fresh(&["ListenerNotFound"], || call(ADD, request.clone().send())).await {
        patience.wait(clients, error).await?;
    }
    Ok(Made::with_id(ListenerCertificate::id_of(listener, certificate)))
}

/// There is nothing to be changed; what is missing is added.
pub(crate) async fn update(
    clients: &Clients,
    address: &Address,
    _id: &str,
    _observed: &ListenerCertificate,
    desired: &ListenerCertificate,
) -> Result<Made, CloudError> {
    create(clients, address, desired, "").await
}

/// Takes the certificate off the listener's list.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _observed: &ListenerCertificate,
) -> Result<(), CloudError> {
    let (listener, certificate) =
        split_id(id).ok_or_else(|| unexpected(REMOVE, format!("`{id}` names no listener and certificate")))?;
    let request = clients
        .elb
        .remove_listener_certificates()
        .listener_arn(listener)
        .certificates(Certificate::builder().certificate_arn(certificate).build());
    match call(REMOVE, request.send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_certificate_is_not_of_this_kind() {
        let entry = |arn: &str, is_default: bool| {
            Certificate::builder()
                .certificate_arn(arn)
                .is_default(is_default)
                .build()
        };
        let listed = [entry("arn:a", true), entry("arn:a", false), entry("arn:b", false)];
        assert_eq!(chosen_by_name(&listed).collect::<Vec<_>>(), ["arn:a", "arn:b"]);
        assert_eq!(chosen_by_name(&listed[..1]).count(), 0);
    }

    #[test]
    fn an_id_names_listener_and_certificate() {
        let actual = actual("arn:listener", "arn:certificate");
        assert_eq!(split_id(&actual.id), Some(("arn:listener", "arn:certificate")));
        assert_eq!(actual.outputs[&Output::Id], actual.id);
        assert_eq!(split_id("arn:listener"), None);
    }
}
