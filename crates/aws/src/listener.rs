//! The kind `listener`: one port of the load balancer and its default action (`aws-facts.md` 4). Rules that people add to
//! a listener are neither read nor touched.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use aws_sdk_acm::types::CertificateStatus;
use aws_sdk_elasticloadbalancingv2::types::{
    self, Action, ActionTypeEnum, Certificate, RedirectActionConfig, RedirectActionStatusCodeEnum,
};
use reconcile_core::{
    config::Protocol,
    observed::{Actual, Status},
    resource::{Address, DefaultAction, Listener, Output, Outputs, Ref, Spec, Tags, Unresolved},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    elb,
    error::{CloudErrorExt, OrMissing, call, failure, unexpected, unresolved},
    paging::Pages,
    retry::while_fresh,
    target_group::{protocol, sdk_protocol},
};

const CREATE: &str = "elbv2 CreateListener";
const MODIFY: &str = "elbv2 ModifyListener";
/// The codes for parts of a listener that do not exist, or not everywhere yet.
const FRESH_PARTS: [&str; 3] = ["ListenerNotFound", "LoadBalancerNotFound", "TargetGroupNotFound"];
/// How long ELB may not know a certificate that ACM has just issued (`aws-facts.md` 7.1).
const CERTIFICATE_PATIENCE: Duration = Duration::from_mins(5);
/// A certificate that was issued longer ago than this is known to ELB, or will never be.
const FRESH: Duration = Duration::from_mins(15);
/// The first and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

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
pub(crate) fn actual(listener: &types::Listener, tags: Tags) -> Option<Actual> {
    let id = listener.listener_arn()?.to_owned();
    let protocol = protocol(listener.protocol()?)?;
    let is_https = protocol == Protocol::Https;
    let (default_action, target_group, redirect_to) = read_actions(listener.default_actions());
    let certificate = listener.certificates().first();
    let certificate = certificate.and_then(|certificate| certificate.certificate_arn());
    Some(Actual {
        spec: Spec::Listener(Listener {
            load_balancer: Ref::Known(listener.load_balancer_arn()?.to_owned()),
            port: u16::try_from(listener.port()?).ok()?,
            protocol,
            tls_policy: listener.ssl_policy().filter(|_| is_https).map(str::to_owned),
            certificate: certificate.filter(|_| is_https).map(|arn| Ref::Known(arn.to_owned())),
            default_action,
            target_group: target_group.map(Ref::Known),
            redirect_to,
            fixed_response: None,
            attributes: BTreeMap::new(),
            tags: tags.clone(),
        }),
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        status: Status::Exists,
        tags,
    })
}

/// What default actions come to: the sort, the target group of a forward, the target of a redirect.
///
/// AWS fills in what was not sent (`aws-facts.md` 4.3): one group is told twice, its weight says nothing, the order may
/// come back as 1, and the parts of a redirect have placeholders.
fn read_actions(actions: &[Action]) -> (DefaultAction, Option<String>, Option<String>) {
    let [action] = actions else {
        return (DefaultAction::Other, None, None);
    };
    match action.r#type() {
        Some(ActionTypeEnum::Forward) => {
            let groups = action
                .forward_config()
                .map(types::ForwardActionConfig::target_groups)
                .unwrap_or_default();
            match groups {
                [] => (
                    DefaultAction::Forward,
                    action.target_group_arn().map(str::to_owned),
                    None,
                ),
                [group] => (
                    DefaultAction::Forward,
                    group.target_group_arn().map(str::to_owned),
                    None,
                ),
                _ => (DefaultAction::WeightedForward, None, None),
            }
        }
        Some(ActionTypeEnum::Redirect) => (
            DefaultAction::Redirect,
            None,
            action.redirect_config().map(|config| {
                format!(
                    "{} {}://{}:{}{}?{}",
                    config.status_code().map_or("", RedirectActionStatusCodeEnum::as_str),
                    config.protocol().unwrap_or("#{protocol}"),
                    config.host().unwrap_or("#{host}"),
                    config.port().unwrap_or("#{port}"),
                    config.path().unwrap_or("/#{path}"),
                    config.query().unwrap_or("#{query}"),
                )
            }),
        ),
        Some(ActionTypeEnum::FixedResponse) => (DefaultAction::FixedResponse, None, None),
        _ => (DefaultAction::Other, None, None),
    }
}

/// The action that brings about what is wanted.
fn action(operation: &str, listener: &Listener) -> Result<Action, CloudError> {
    match listener.default_action {
        DefaultAction::Forward => {
            let group = known(operation, listener.target_group.as_ref())?;
            let group = group.ok_or_else(|| unexpected(operation, "the listener forwards to no target group"))?;
            Ok(Action::builder()
                .r#type(ActionTypeEnum::Forward)
                .target_group_arn(group)
                .build())
        }
        DefaultAction::Redirect => {
            let text = listener.redirect_to.as_deref().unwrap_or_default();
            let config = redirect(text)
                .ok_or_else(|| unexpected(operation, format!("`{text}` is not the target of a redirect")))?;
            Ok(Action::builder()
                .r#type(ActionTypeEnum::Redirect)
                .redirect_config(config)
                .build())
        }
        DefaultAction::WeightedForward | DefaultAction::FixedResponse | DefaultAction::Other => Err(failure(
            operation,
            ErrorKind::Refused,
            "this default action cannot be set up by this tool",
            "set it up in the console",
        )),
    }
}

/// Takes `STATUS PROTOCOL://HOST:PORT/PATH?QUERY` apart.
fn redirect(text: &str) -> Option<RedirectActionConfig> {
    let (status, target) = text.split_once(' ')?;
    let (protocol, target) = target.split_once("://")?;
    let (target, query) = target.split_once('?')?;
    let (authority, path) = target.split_once('/')?;
    let (host, port) = authority.rsplit_once(':')?;
    Some(
        RedirectActionConfig::builder()
            .status_code(RedirectActionStatusCodeEnum::from(status))
            .protocol(protocol)
            .host(host)
            .port(port)
            .path(format!("/{path}"))
            .query(query)
            .build(),
    )
}

fn known<'a>(operation: &str, reference: Option<&'a Ref>) -> Result<Option<&'a str>, CloudError> {
    reference
        .map(Ref::known)
        .transpose()
        .map_err(|error: Unresolved| unresolved(operation, &error))
}

/// Reads the listener with this ARN.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _like: &Listener,
) -> Result<Option<Actual>, CloudError> {
    let request = clients.elb.describe_listeners().listener_arns(id);
    let Some(answer) = call("elbv2 DescribeListeners", request.send()).await.or_missing()? else {
        return Ok(None);
    };
    let Some(listener) = answer.listeners().first() else {
        return Ok(None);
    };
    let tags = elb::tags_of(clients, id).await?;
    Ok(actual(listener, tags))
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
        .default_actions(action(CREATE, desired)?)
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

/// Changes the listener in place, so that its ARN and the rules that people added stay.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &Listener,
    desired: &Listener,
) -> Result<Made, CloudError> {
    let mut as_observed = desired.clone();
    as_observed.tags.clone_from(&observed.tags);
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
            .default_actions(action(MODIFY, desired)?);
        let mut patience = Patience::new(certificate);
        while let Err(error) = while_fresh(&FRESH_PARTS, || call(MODIFY, request.clone().send())).await {
            patience.wait(clients, error).await?;
        }
    }
    elb::set_tags(clients, id, &observed.tags, &desired.tags).await?;
    Ok(Made::with_id(id.to_owned()))
}

/// Waits while ELB does not know a certificate that ACM has just issued.
struct Patience<'a> {
    certificate: Option<&'a str>,
    since: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    fn new(certificate: Option<&'a str>) -> Self {
        Self {
            certificate,
            since: Instant::now(),
            pause: PAUSES.0,
        }
    }

    /// Pauses before the next try, or gives the error back if trying again is no use.
    async fn wait(&mut self, clients: &Clients, error: CloudError) -> Result<(), CloudError> {
        let Some(certificate) = self.certificate else {
            return Err(error);
        };
        let is_about_it = error.is_code(&["CertificateNotFound", "UnsupportedCertificate"]);
        if !is_about_it || self.since.elapsed() > CERTIFICATE_PATIENCE || !is_fresh(clients, certificate).await {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
}

/// Whether ACM says that the certificate was issued a short while ago. Where ACM does not tell, the error of ELB stands.
async fn is_fresh(clients: &Clients, arn: &str) -> bool {
    let request = clients.acm.describe_certificate().certificate_arn(arn);
    let Ok(answer) = call("acm DescribeCertificate", request.send()).await else {
        return false;
    };
    answer.certificate().is_some_and(|certificate| {
        let issued = certificate
            .issued_at()
            .and_then(|time| SystemTime::try_from(*time).ok());
        certificate.status() == Some(&CertificateStatus::Issued)
            && issued.is_some_and(|issued| issued.elapsed().unwrap_or_default() < FRESH)
    })
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
    use aws_sdk_elasticloadbalancingv2::types::{
        ForwardActionConfig, ProtocolEnum, TargetGroupStickinessConfig, TargetGroupTuple,
    };

    use super::*;

    fn forward(groups: &[&str]) -> types::builders::ActionBuilder {
        let mut config = ForwardActionConfig::builder()
            .target_group_stickiness_config(TargetGroupStickinessConfig::builder().enabled(false).build());
        for group in groups {
            config = config.target_groups(TargetGroupTuple::builder().target_group_arn(*group).weight(1).build());
        }
        Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .order(1)
            .forward_config(config.build())
    }

    #[test]
    fn both_spellings_of_one_forward_agree() {
        let enriched = forward(&["arn:tg"]).target_group_arn("arn:tg").build();
        let sent = Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .target_group_arn("arn:tg")
            .build();
        let expected = (DefaultAction::Forward, Some("arn:tg".to_owned()), None);
        assert_eq!(read_actions(&[enriched]), expected);
        assert_eq!(read_actions(&[sent]), expected);
    }

    #[test]
    fn what_this_tool_does_not_set_up_is_told_apart() {
        let sort = |actions: &[Action]| read_actions(actions).0;
        let weighted = forward(&["arn:tg/a", "arn:tg/b"]).build();
        assert_eq!(sort(std::slice::from_ref(&weighted)), DefaultAction::WeightedForward);
        let fixed = Action::builder().r#type(ActionTypeEnum::FixedResponse).build();
        assert_eq!(sort(&[fixed]), DefaultAction::FixedResponse);
        let sign_in = Action::builder().r#type(ActionTypeEnum::AuthenticateOidc).build();
        assert_eq!(sort(&[sign_in, weighted]), DefaultAction::Other);
        assert_eq!(sort(&[]), DefaultAction::Other);
    }

    #[test]
    fn a_redirect_survives_being_sent_and_read_with_and_without_placeholders() {
        let text = Listener::redirect_to_https(443);
        let config = redirect(&text).unwrap();
        assert_eq!(config.path(), Some("/#{path}"));
        assert_eq!(config.host(), Some("#{host}"));
        let read = |config: RedirectActionConfig| {
            let action = Action::builder()
                .r#type(ActionTypeEnum::Redirect)
                .redirect_config(config);
            read_actions(&[action.build()])
        };
        let expected = (DefaultAction::Redirect, None, Some(text));
        assert_eq!(read(config), expected);
        let sparse = RedirectActionConfig::builder()
            .protocol("HTTPS")
            .port("443")
            .status_code(RedirectActionStatusCodeEnum::Http301)
            .build();
        assert_eq!(read(sparse), expected);
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
                .default_actions(forward(&["arn:tg"]).build())
                .build();
            match actual(&listener, Tags::new()).unwrap().spec {
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
}
