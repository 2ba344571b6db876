//! The kind `target`: an instance in a target group, always with its port (`aws-facts.md` 2.4).

use aws_sdk_elasticloadbalancingv2::types::{TargetDescription, TargetHealthDescription};
use reconcile_core::{
    observed::{Actual, Status},
    resource::{Address, Output, Outputs, Ref, Spec, Tags, Target},
    value::InstanceId,
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    error::{CloudErrorExt, OrMissing, call, unresolved},
    retry::while_fresh,
};

const REGISTER: &str = "elbv2 RegisterTargets";
const HEALTH: &str = "elbv2 DescribeTargetHealth";

/// The target group and the rest of a target's id.
pub(crate) fn split_id(id: &str) -> Option<(&str, &str)> {
    id.rsplit_once('/')
}

/// The targets of a group, or one of them. An error of the kind "not found" means that the group is.
pub(crate) async fn of(
    clients: &Clients,
    group: &str,
    only: Option<TargetDescription>,
) -> Result<Vec<Actual>, CloudError> {
    let request = clients.elb.describe_target_health().target_group_arn(group);
    let answer = call(HEALTH, request.set_targets(only.map(|only| vec![only])).send()).await?;
    let targets = answer.target_health_descriptions().iter();
    Ok(targets.filter_map(|target| actual(group, target)).collect())
}

/// The target as an object of this kind; `None` if it is not, or no longer, registered: one that is draining is on its
/// way out, and registering it again ends that.
fn actual(group: &str, described: &TargetHealthDescription) -> Option<Actual> {
    let target = described.target()?;
    let instance: InstanceId = target.id()?.parse().ok()?;
    let port = u16::try_from(target.port()?).ok()?;
    let health = described.target_health();
    let state = health
        .and_then(|health| health.state())
        .map(aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum::as_str);
    let reason = health
        .and_then(|health| health.reason())
        .map(aws_sdk_elasticloadbalancingv2::types::TargetHealthReasonEnum::as_str);
    if state == Some("draining") || matches!(reason, Some("Target.NotRegistered" | "Target.DeregistrationInProgress")) {
        return None;
    }
    let id = Target::id_of(group, &instance, port);
    Some(Actual {
        spec: Spec::Target(Target {
            target_group: Ref::Known(group.to_owned()),
            instance,
            port,
        }),
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        status: Status::Target {
            state: state.unwrap_or_default().to_owned(),
            reason: reason.map(str::to_owned),
            description: health.and_then(|health| health.description()).map(str::to_owned),
        },
        tags: Tags::new(),
    })
}

fn description(target: &Target) -> TargetDescription {
    TargetDescription::builder()
        .id(target.instance.as_str())
        .port(target.port.into())
        .build()
}

fn group_of<'a>(operation: &str, target: &'a Target) -> Result<&'a str, CloudError> {
    target
        .target_group
        .known()
        .map_err(|error| unresolved(operation, &error))
}

/// Reads the target that `like` describes.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    like: &Target,
) -> Result<Option<Actual>, CloudError> {
    let group = group_of(HEALTH, like)?;
    match of(clients, group, Some(description(like))).await {
        Err(error) if is_no_target(&error) => Ok(None),
        answer => Ok(answer.or_missing()?.and_then(|found| found.into_iter().next())),
    }
}

/// Looks whether the target is registered.
pub(crate) async fn find(clients: &Clients, address: &Address, desired: &Target) -> Result<Option<Actual>, CloudError> {
    read(clients, address, "", desired).await
}

/// Registers the instance.
pub(crate) async fn create(
    clients: &Clients,
    _address: &Address,
    desired: &Target,
    _token: &str,
) -> Result<Made, CloudError> {
    let group = group_of(REGISTER, desired)?;
    let request = clients.elb.register_targets().target_group_arn(group);
    let request = request.targets(description(desired));
    while_fresh(&["TargetGroupNotFound"], || call(REGISTER, request.clone().send())).await?;
    let id = Target::id_of(group, &desired.instance, desired.port);
    Ok(Made {
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        dns_change: None,
    })
}

/// Another instance is registered before the old one leaves.
pub(crate) async fn update(
    clients: &Clients,
    address: &Address,
    id: &str,
    observed: &Target,
    desired: &Target,
) -> Result<Made, CloudError> {
    let made = create(clients, address, desired, "").await?;
    if observed != desired {
        delete(clients, address, id, observed).await?;
    }
    Ok(made)
}

/// Deregisters the instance, with the port that it was registered with.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    observed: &Target,
) -> Result<(), CloudError> {
    const OPERATION: &str = "elbv2 DeregisterTargets";
    let group = group_of(OPERATION, observed)?;
    let request = clients.elb.deregister_targets().target_group_arn(group);
    match call(OPERATION, request.targets(description(observed)).send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound || is_no_target(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the target is none because its instance is terminated or in another VPC: nothing is registered then.
fn is_no_target(error: &CloudError) -> bool {
    error.is_code(&["InvalidTarget"])
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{TargetHealth, TargetHealthReasonEnum, TargetHealthStateEnum};

    use super::*;

    fn described(state: TargetHealthStateEnum, reason: &str) -> TargetHealthDescription {
        TargetHealthDescription::builder()
            .target(TargetDescription::builder().id("i-0a").port(443).build())
            .target_health(
                TargetHealth::builder()
                    .state(state)
                    .reason(TargetHealthReasonEnum::from(reason))
                    .description("Health checks failed with these codes: [301]")
                    .build(),
            )
            .build()
    }

    #[test]
    fn a_target_tells_its_health() {
        let unhealthy = described(TargetHealthStateEnum::Unhealthy, "Target.ResponseCodeMismatch");
        let actual = actual("arn:tg/x", &unhealthy).unwrap();
        assert_eq!(actual.id, "arn:tg/x/i-0a:443");
        assert_eq!(split_id(&actual.id), Some(("arn:tg/x", "i-0a:443")));
        assert_eq!(
            actual.status,
            Status::Target {
                state: "unhealthy".into(),
                reason: Some("Target.ResponseCodeMismatch".into()),
                description: Some("Health checks failed with these codes: [301]".into()),
            }
        );
    }

    #[test]
    fn what_is_leaving_or_was_never_there_is_not_registered() {
        let draining = described(TargetHealthStateEnum::Draining, "Target.DeregistrationInProgress");
        assert!(actual("arn:tg/x", &draining).is_none());
        let unknown = described(TargetHealthStateEnum::Unused, "Target.NotRegistered");
        assert!(actual("arn:tg/x", &unknown).is_none());
        let idle = described(TargetHealthStateEnum::Unused, "Target.NotInUse");
        assert!(actual("arn:tg/x", &idle).is_some());
    }
}
