//! The kind `target_group`: HTTP or HTTPS to instances, with every field of the health check sent (`aws-facts.md` 2.3).

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types::{self, Matcher, ProtocolEnum, TargetGroupAttribute, TargetTypeEnum};
use futures_util::future;
use reconcile_core::{
    config::Protocol,
    observed::{Actual, Status},
    resource::{Address, HealthCheck, Output, Outputs, Spec, Tags, TargetGroup},
    value::Seconds,
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    actions, attributes,
    clients::Clients,
    elb,
    error::{CloudErrorExt, OrMissing, call, unexpected},
    listener, listener_rule,
    ownership::is_same_resource,
    retry::while_fresh,
};

/// ELB's word for a protocol.
pub(crate) fn sdk_protocol(protocol: Protocol) -> ProtocolEnum {
    match protocol {
        Protocol::Http => ProtocolEnum::Http,
        Protocol::Https => ProtocolEnum::Https,
    }
}

/// The protocol of a word of ELB's; `None` for those of other sorts of load balancers.
pub(crate) fn protocol(word: &ProtocolEnum) -> Option<Protocol> {
    match word {
        ProtocolEnum::Http => Some(Protocol::Http),
        ProtocolEnum::Https => Some(Protocol::Https),
        _ => None,
    }
}

/// The group as an object of this kind; `None` if it speaks something that this tool cannot say.
pub(crate) fn actual(group: &types::TargetGroup, attributes: BTreeMap<String, String>, tags: Tags) -> Option<Actual> {
    let id = group.target_group_arn()?.to_owned();
    let seconds = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).map(Seconds::new);
    let count = |value: Option<i32>| value.and_then(|value| u8::try_from(value).ok());
    Some(Actual {
        spec: Spec::TargetGroup(TargetGroup {
            name: group.target_group_name()?.to_owned(),
            protocol: protocol(group.protocol()?)?,
            port: u16::try_from(group.port()?).ok()?,
            vpc: group.vpc_id()?.parse().ok()?,
            health: HealthCheck {
                protocol: protocol(group.health_check_protocol()?)?,
                port: group.health_check_port().unwrap_or("traffic-port").to_owned(),
                path: group.health_check_path().unwrap_or_default().to_owned(),
                codes: group
                    .matcher()
                    .and_then(Matcher::http_code)
                    .unwrap_or_default()
                    .to_owned(),
                interval: seconds(group.health_check_interval_seconds()).unwrap_or_default(),
                timeout: seconds(group.health_check_timeout_seconds()).unwrap_or_default(),
                healthy: count(group.healthy_threshold_count()).unwrap_or_default(),
                unhealthy: count(group.unhealthy_threshold_count()).unwrap_or_default(),
            },
            attributes,
            tags: tags.clone(),
        }),
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        status: Status::Exists,
        tags,
    })
}

/// All attributes of a group; `None` if it is gone.
pub(crate) async fn attributes_of(
    clients: &Clients,
    arn: &str,
) -> Result<Option<BTreeMap<String, String>>, CloudError> {
    let request = clients.elb.describe_target_group_attributes().target_group_arn(arn);
    let answer = call("elbv2 DescribeTargetGroupAttributes", request.send()).await;
    Ok(answer.or_missing()?.map(|answer| {
        let attributes = answer.attributes().iter();
        attributes::map(attributes.map(|attribute| (attribute.key(), attribute.value())))
    }))
}

/// Reads the group with this ARN, its attributes only if `like` has some: they take a call of their own.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    like: &TargetGroup,
) -> Result<Option<Actual>, CloudError> {
    let request = clients.elb.describe_target_groups().target_group_arns(id);
    described(clients, call("elbv2 DescribeTargetGroups", request.send()).await, like).await
}

async fn described(
    clients: &Clients,
    answer: Result<
        aws_sdk_elasticloadbalancingv2::operation::describe_target_groups::DescribeTargetGroupsOutput,
        CloudError,
    >,
    like: &TargetGroup,
) -> Result<Option<Actual>, CloudError> {
    let Some(answer) = answer.or_missing()? else {
        return Ok(None);
    };
    let Some(group) = answer.target_groups().first() else {
        return Ok(None);
    };
    let arn = group.target_group_arn().unwrap_or_default();
    let attributes = async {
        if like.attributes.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        attributes_of(clients, arn).await
    };
    let (tags, attributes) = future::try_join(elb::tags_of(clients, arn), attributes).await?;
    Ok(attributes.and_then(|attributes| actual(group, attributes, tags)))
}

/// Finds the group by its name, which is unique in account and region, whosever it is.
pub(crate) async fn find(
    clients: &Clients,
    _address: &Address,
    desired: &TargetGroup,
) -> Result<Option<Actual>, CloudError> {
    let request = clients.elb.describe_target_groups().names(&desired.name);
    described(
        clients,
        call("elbv2 DescribeTargetGroups", request.send()).await,
        desired,
    )
    .await
}

/// Makes the group; attributes are not part of the call and follow by `update`.
pub(crate) async fn create(
    clients: &Clients,
    address: &Address,
    desired: &TargetGroup,
    _token: &str,
) -> Result<Made, CloudError> {
    const OPERATION: &str = "elbv2 CreateTargetGroup";
    let health = &desired.health;
    let request = clients
        .elb
        .create_target_group()
        .name(&desired.name)
        .target_type(TargetTypeEnum::Instance)
        .protocol(sdk_protocol(desired.protocol))
        .port(desired.port.into())
        .vpc_id(desired.vpc.as_str())
        .health_check_enabled(true)
        .health_check_protocol(sdk_protocol(health.protocol))
        .health_check_port(&health.port)
        .health_check_path(&health.path)
        .health_check_interval_seconds(sdk_seconds(health.interval))
        .health_check_timeout_seconds(sdk_seconds(health.timeout))
        .healthy_threshold_count(health.healthy.into())
        .unhealthy_threshold_count(health.unhealthy.into())
        .matcher(Matcher::builder().http_code(&health.codes).build())
        .set_tags(elb::sdk_tags(&desired.tags));
    let id = match call(OPERATION, request.send()).await {
        Ok(answer) => answer
            .target_groups()
            .first()
            .and_then(|group| group.target_group_arn())
            .ok_or_else(|| unexpected(OPERATION, "the answer names no target group"))?
            .to_owned(),
        // An attempt whose answer was lost may have made the group.
        Err(error) if error.is_code(&["DuplicateTargetGroupName"]) => match find(clients, address, desired).await? {
            Some(actual) if is_same_resource(&actual.tags, &desired.tags) => actual.id,
            _ => return Err(error),
        },
        Err(error) => return Err(error),
    };
    Ok(Made::with_id(id))
}

fn sdk_seconds(seconds: Seconds) -> i32 {
    i32::try_from(seconds.get()).unwrap_or(i32::MAX)
}

/// Changes the health check, the attributes and the tags; everything else of a group is fixed (`aws-facts.md` 2.1).
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &TargetGroup,
    desired: &TargetGroup,
) -> Result<Made, CloudError> {
    if observed.health != desired.health {
        let health = &desired.health;
        let request = clients
            .elb
            .modify_target_group()
            .target_group_arn(id)
            .health_check_enabled(true)
            .health_check_protocol(sdk_protocol(health.protocol))
            .health_check_port(&health.port)
            .health_check_path(&health.path)
            .health_check_interval_seconds(sdk_seconds(health.interval))
            .health_check_timeout_seconds(sdk_seconds(health.timeout))
            .healthy_threshold_count(health.healthy.into())
            .unhealthy_threshold_count(health.unhealthy.into())
            .matcher(Matcher::builder().http_code(&health.codes).build());
        call("elbv2 ModifyTargetGroup", request.send()).await?;
    }
    let changed = attributes::changed(&observed.attributes, &desired.attributes);
    if !changed.is_empty() {
        let changed = changed
            .into_iter()
            .map(|(key, value)| TargetGroupAttribute::builder().key(key).value(value).build());
        let request = clients.elb.modify_target_group_attributes().target_group_arn(id);
        let request = request.set_attributes(Some(changed.collect()));
        let modify = || call("elbv2 ModifyTargetGroupAttributes", request.clone().send());
        while_fresh(&["TargetGroupNotFound"], modify).await?;
    }
    elb::set_tags(clients, id, &observed.tags, &desired.tags).await?;
    Ok(Made::with_id(id.to_owned()))
}

/// Deletes the group. While something forwards to it, the error names what.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _observed: &TargetGroup,
) -> Result<(), CloudError> {
    let request = clients.elb.delete_target_group().target_group_arn(id);
    match call("elbv2 DeleteTargetGroup", request.send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind == ErrorKind::InUse => {
            // What cannot be found out does not hide why the group stays.
            let users = users(clients, id).await.unwrap_or_default();
            Err(with_users(error, &users))
        }
        Err(error) => Err(error),
    }
}

/// The listeners and rules that forward to the group, or their load balancer if none of them shows any more.
async fn users(clients: &Clients, group: &str) -> Result<Vec<String>, CloudError> {
    let request = clients.elb.describe_target_groups().target_group_arns(group);
    let Some(answer) = call("elbv2 DescribeTargetGroups", request.send()).await.or_missing()? else {
        return Ok(Vec::new());
    };
    let balancers = answer.target_groups().iter();
    let balancers = balancers.flat_map(|group| group.load_balancer_arns().iter().cloned());
    let mut found = Vec::new();
    for balancer in balancers {
        let listeners = listener::of(clients, &balancer).await.or_missing()?.unwrap_or_default();
        let rules = listeners
            .iter()
            .filter_map(|listener| listener.listener_arn())
            .map(|listener| async { listener_rule::of(clients, listener).await.or_missing() });
        let rules = future::try_join_all(rules).await?.into_iter().flatten().flatten();
        let before = found.len();
        found.extend(
            listeners
                .iter()
                .filter(|listener| actions::forward_to(listener.default_actions(), group))
                .filter_map(|listener| listener.listener_arn().map(str::to_owned)),
        );
        found.extend(
            rules
                .filter(|rule| rule.is_default() != Some(true) && actions::forward_to(rule.actions(), group))
                .filter_map(|rule| rule.rule_arn),
        );
        if found.len() == before {
            found.push(balancer);
        }
    }
    Ok(found)
}

fn with_users(error: CloudError, users: &[String]) -> CloudError {
    if users.is_empty() {
        return error;
    }
    CloudError {
        message: format!("the target group is still used by {}", users.join(", ")),
        remedy: Some("let these listeners and rules forward elsewhere, or delete them; then run again".to_owned()),
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described() -> types::builders::TargetGroupBuilder {
        types::TargetGroup::builder()
            .target_group_arn("arn:tg")
            .target_group_name("www-www-0123abcd")
            .protocol(ProtocolEnum::Https)
            .port(443)
            .vpc_id("vpc-1")
            .target_type(TargetTypeEnum::Instance)
            .health_check_protocol(ProtocolEnum::Http)
            .health_check_port("traffic-port")
            .health_check_path("/health")
            .health_check_interval_seconds(30)
            .health_check_timeout_seconds(5)
            .healthy_threshold_count(5)
            .unhealthy_threshold_count(2)
            .matcher(Matcher::builder().http_code("200-299").build())
    }

    #[test]
    fn every_field_of_the_health_check_is_read() {
        let actual = actual(&described().build(), BTreeMap::new(), Tags::new()).unwrap();
        let Spec::TargetGroup(group) = actual.spec else {
            panic!("another kind")
        };
        assert_eq!(
            group.health,
            HealthCheck {
                protocol: Protocol::Http,
                port: "traffic-port".into(),
                path: "/health".into(),
                codes: "200-299".into(),
                interval: Seconds::new(30),
                timeout: Seconds::new(5),
                healthy: 5,
                unhealthy: 2,
            }
        );
        assert_eq!((group.protocol, group.port), (Protocol::Https, 443));
    }

    #[test]
    fn groups_of_other_load_balancers_are_not_of_this_kind() {
        let described = described().protocol(ProtocolEnum::Tcp).build();
        assert!(actual(&described, BTreeMap::new(), Tags::new()).is_none());
    }

    #[test]
    fn a_refused_deletion_names_the_users() {
        let error = unexpected("elbv2 DeleteTargetGroup", "in use");
        let named = with_users(error.clone(), &["arn:listener".to_owned(), "arn:rule".to_owned()]);
        assert!(named.message.contains("arn:listener, arn:rule"), "{named}");
        assert_eq!(with_users(error.clone(), &[]), error);
    }
}
