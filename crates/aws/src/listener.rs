//! The kind `listener`: one port of the load balancer, its default action and its attributes (`aws-facts.md` 4). Its
//! rules and further certificates are kinds of their own.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types::{self, Certificate, ListenerAttribute};
use futures_util::future;
use reconcile_core::{
    config::Protocol,
    observed::{Actual, Status},
    resource::{Address, Listener, Output, Outputs, Ref, Spec, Tags},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    actions::{self, Outcome, known},
    attributes,
    clients::Clients,
    elb,
    error::{CloudErrorExt, OrMissing, call, unexpected, unresolved},
    paging::Pages,
    patience::Patience,
    retry::while_fresh,
    target_group::{protocol, sdk_protocol},
};

const CREATE: &str = "elbv2 CreateListener";
const MODIFY: &str = "elbv2 ModifyListener";
/// The codes for parts of a listener that do not exist, or not everywhere yet.
const FRESH_PARTS: [&str; 3] = ["ListenerNotFound", "LoadBalancerNotFound", "TargetGroupNotFound"];

/// The listeners of a load balancer. An error of the kind "not found" means that the load balancer is.
pub(crate) async fn of(clients: &Clients, balancer: &str) -> Result<Vec<types::Listener>, CloudError> {
    let mut found = Vec::new();
    let mut pages = Pages::new("elbv2 DescribeListeners");
    loop {
        let request = clients.elb.describe_listeners().load_balancer_arn(balancer);
        let request = request.page_size(400).set_marker(pages.token());
        let answer = call(pages.operation(), request.send()).await?;
        found.extend(answer.listeners().iter().cloned());
        if !pages.advance(answer.next_marker())? {
            return Ok(found);
        }
    }
}

/// The listener as an object of this kind; `None` if it is not one of an Application Load Balancer.
pub(crate) fn actual(listener: &types::Listener, attributes: BTreeMap<String, String>, tags: Tags) -> Option<Actual> {
    let id = listener.listener_arn()?.to_owned();
    let protocol = protocol(listener.protocol()?)?;
    let is_https = protocol == Protocol::Https;
    let outcome = actions::read(listener.default_actions());
    let certificate = listener.certificates().first();
    let certificate = certificate.and_then(|certificate| certificate.certificate_arn());
    Some(Actual {
        spec: Spec::Listener(Listener {
            load_balancer: Ref::Known(listener.load_balancer_arn()?.to_owned()),
            port: u16::try_from(listener.port()?).ok()?,
            protocol,
            tls_policy: listener.ssl_policy().filter(|_| is_https).map(str::to_owned),
            certificate: certificate.filter(|_| is_https).map(|arn| Ref::Known(arn.to_owned())),
            default_action: outcome.action,
            target_group: outcome.target_group.map(Ref::Known),
            redirect_to: outcome.redirect_to,
            fixed_response: outcome.fixed_response,
            attributes,
            tags: tags.clone(),
        }),
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        status: Status::Exists,
        tags,
    })
}

/// What the listener shall do with requests that no rule takes.
fn outcome(operation: &str, listener: &Listener) -> Result<Outcome, CloudError> {
    Ok(Outcome {
        action: listener.default_action,
        target_group: known(operation, listener.target_group.as_ref())?.map(str::to_owned),
        redirect_to: listener.redirect_to.clone(),
        fixed_response: listener.fixed_response.clone(),
    })
}

/// All attributes of a listener; `None` if it is gone.
pub(crate) async fn attributes_of(
    clients: &Clients,
    arn: &str,
) -> Result<Option<BTreeMap<String, String>>, CloudError> {
    let request = clients.elb.describe_listener_attributes().listener_arn(arn);
    let answer = call("elbv2 DescribeListenerAttributes", request.send()).await;
    Ok(answer.or_missing()?.map(|answer| {
        let attributes = answer.attributes().iter();
        attributes::map(attributes.map(|attribute| (attribute.key(), attribute.value())))
    }))
}

/// Reads the listener with this ARN, its attributes only if `like` has some: they take a call of their own.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    like: &Listener,
) -> Result<Option<Actual>, CloudError> {
    let request = clients.elb.describe_listeners().listener_arns(id);
    let Some(answer) = call("elbv2 DescribeListeners", request.send()).await.or_missing()? else {
        return Ok(None);
    };
    let Some(listener) = answer.listeners().first() else {
        return Ok(None);
    };
    let attributes = async {
        if like.attributes.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        attributes_of(clients, id).await
    };
    let (tags, attributes) = future::try_join(elb::tags_of(clients, id), attributes).await?;
    Ok(attributes.and_then(|attributes| actual(listener, attributes, tags)))
}

/// Finds the listener by its port, of which the load balancer has one (`aws-facts.md` 4.1), whosever it is.
pub(crate) async fn find(
    clients: &Clients,
    address: &Address,
    desired: &Listener,
) -> Result<Option<Actual>, CloudError> {
    let balancer = desired
        .load_balancer
        .known()
        .map_err(|error| unresolved("elbv2 DescribeListeners", &error))?;
    let listeners = of(clients, balancer).await.or_missing()?.unwrap_or_default();
    let port = Some(i32::from(desired.port));
    match listeners.iter().find(|listener| listener.port() == port) {
        Some(listener) => read(clients, address, listener.listener_arn().unwrap_or_default(), desired).await,
        None => Ok(None),
    }
}

/// Makes the listener.
pub(crate) async fn create(
    clients: &Clients,
    address: &Address,
    desired: &Listener,
    _token: &str,
) -> Result<Made, CloudError> {
    let balancer = desired
        .load_balancer
        .known()
        .map_err(|error| unresolved(CREATE, &error))?;
    let certificate = known(CREATE, desired.certificate.as_ref())?;
    let request = clients
        .elb
        .create_listener()
        .load_balancer_arn(balancer)
        .port(desired.port.into())
        .protocol(sdk_protocol(desired.protocol))
        .set_ssl_policy(desired.tls_policy.clone())
        .set_certificates(certificates(certificate))
        .default_actions(actions::action(CREATE, &outcome(CREATE, desired)?)?)
        .set_tags(elb::sdk_tags(&desired.tags));
    let mut patience = Patience::new(certificate);
    loop {
        match while_fresh(&FRESH_PARTS, || call(CREATE, request.clone().send())).await {
            Ok(answer) => {
                let id = answer.listeners().first().and_then(|listener| listener.listener_arn());
                let id = id.ok_or_else(|| unexpected(CREATE, "the answer names no listener"))?;
                return Ok(Made::with_id(id.to_owned()));
            }
            Err(error) if error.is_code(&["DuplicateListener"]) => {
                let found = find(clients, address, desired).await?;
                let ours = found.filter(|actual| crate::ownership::is_same_resource(&actual.tags, &desired.tags));
                return ours.map(|actual| Made::with_id(actual.id)).ok_or(error);
            }
            Err(error) => patience.wait(clients, error).await?,
        }
    }
}

fn certificates(arn: Option<&str>) -> Option<Vec<Certificate>> {
    // IsDefault must not be sent (`aws-facts.md` 4.1).
    arn.map(|arn| vec![Certificate::builder().certificate_arn(arn).build()])
}

/// Changes the listener in place, so that its ARN and the rules that people added stay. Attributes come last: those of
/// TLS are refused while the listener is a plain one.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &Listener,
    desired: &Listener,
) -> Result<Made, CloudError> {
    let mut as_observed = desired.clone();
    as_observed.tags.clone_from(&observed.tags);
    as_observed.attributes.clone_from(&observed.attributes);
    if as_observed != *observed {
        let certificate = known(MODIFY, desired.certificate.as_ref())?;
        let request = clients
            .elb
            .modify_listener()
            .listener_arn(id)
            .port(desired.port.into())
            .protocol(sdk_protocol(desired.protocol))
            .set_ssl_policy(desired.tls_policy.clone())
            .set_certificates(certificates(certificate))
            .default_actions(actions::action(MODIFY, &outcome(MODIFY, desired)?)?);
        let mut patience = Patience::new(certificate);
        while let Err(error) = while_fresh(&FRESH_PARTS, || call(MODIFY, request.clone().send())).await {
            patience.wait(clients, error).await?;
        }
    }
    set_attributes(clients, id, observed, desired).await?;
    elb::set_tags(clients, id, &observed.tags, &desired.tags).await?;
    Ok(Made::with_id(id.to_owned()))
}

async fn set_attributes(
    clients: &Clients,
    id: &str,
    observed: &Listener,
    desired: &Listener,
) -> Result<(), CloudError> {
    let changed = attributes::changed(&observed.attributes, &desired.attributes);
    if changed.is_empty() {
        return Ok(());
    }
    let changed = changed
        .into_iter()
        .map(|(key, value)| ListenerAttribute::builder().key(key).value(value).build());
    let request = clients.elb.modify_listener_attributes().listener_arn(id);
    let request = request.set_attributes(Some(changed.collect()));
    let modify = || call("elbv2 ModifyListenerAttributes", request.clone().send());
    while_fresh(&["ListenerNotFound"], modify).await?;
    Ok(())
}

/// Deletes the listener.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _observed: &Listener,
) -> Result<(), CloudError> {
    match call(
        "elbv2 DeleteListener",
        clients.elb.delete_listener().listener_arn(id).send(),
    )
    .await
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{Action, ActionTypeEnum, FixedResponseActionConfig, ProtocolEnum};
    use reconcile_core::resource::DefaultAction;

    use super::*;

    fn forward() -> Action {
        Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .target_group_arn("arn:tg")
            .build()
    }

    #[test]
    fn a_plain_listener_has_no_policy_and_no_certificate() {
        let listener = |protocol: ProtocolEnum| {
            let listener = types::Listener::builder()
                .listener_arn("arn:listener")
                .load_balancer_arn("arn:lb")
                .port(443)
                .protocol(protocol)
                .ssl_policy("ELBSecurityPolicy-2016-08")
                .certificates(Certificate::builder().certificate_arn("arn:cert").build())
                .default_actions(forward())
                .build();
            match actual(&listener, BTreeMap::new(), Tags::new()).unwrap().spec {
                Spec::Listener(listener) => listener,
                _ => panic!("another kind"),
            }
        };
        let plain = listener(ProtocolEnum::Http);
        assert_eq!((plain.tls_policy, plain.certificate), (None, None));
        let secure = listener(ProtocolEnum::Https);
        assert_eq!(secure.tls_policy.as_deref(), Some("ELBSecurityPolicy-2016-08"));
        assert_eq!(secure.certificate, Some(Ref::Known("arn:cert".into())));
    }

    #[test]
    fn a_fixed_response_and_attributes_are_read() {
        let response = FixedResponseActionConfig::builder()
            .status_code("404")
            .content_type("text/plain")
            .message_body("no such site")
            .build();
        let action = Action::builder()
            .r#type(ActionTypeEnum::FixedResponse)
            .fixed_response_config(response);
        let listener = types::Listener::builder()
            .listener_arn("arn:listener")
            .load_balancer_arn("arn:lb")
            .port(80)
            .protocol(ProtocolEnum::Http)
            .default_actions(action.build())
            .build();
        let attributes = BTreeMap::from([("routing.http.response.server.enabled".to_owned(), "false".to_owned())]);
        let Spec::Listener(read) = actual(&listener, attributes.clone(), Tags::new()).unwrap().spec else {
            panic!("another kind")
        };
        assert_eq!(read.default_action, DefaultAction::FixedResponse);
        assert_eq!(read.fixed_response.as_deref(), Some("404 text/plain: no such site"));
        assert_eq!(read.attributes, attributes);
    }
}
