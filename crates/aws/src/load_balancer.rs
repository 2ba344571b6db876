//! The kind `load_balancer`: an Application Load Balancer with its attributes (`aws-facts.md` 3).

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::{
    self, LoadBalancerAttribute, LoadBalancerSchemeEnum, LoadBalancerTypeEnum,
};
use futures_util::future;
use reconcile_core::{
    config::{IpAddressType, Scheme},
    observed::{Actual, Status},
    resource::{Address, LoadBalancer, Output, Outputs, Ref, Spec, Tags},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    attributes,
    clients::Clients,
    elb,
    error::{CloudErrorExt, OrMissing, call, unexpected, unresolved},
    ownership::is_same_resource,
    retry::while_fresh,
};

const CREATE: &str = "elbv2 CreateLoadBalancer";
/// The code for a security group that ELB does not know, or not yet.
const FRESH_GROUP: &str = "InvalidSecurityGroup";
/// Attributes that are only valid together.
const ACCESS_LOGS: &str = "access_logs.s3.";

/// All attributes of a load balancer; `None` if it is gone.
pub(crate) async fn attributes(clients: &Clients, arn: &str) -> Result<Option<BTreeMap<String, String>>, CloudError> {
    let request = clients.elb.describe_load_balancer_attributes().load_balancer_arn(arn);
    let answer = call("elbv2 DescribeLoadBalancerAttributes", request.send())
        .await
        .or_missing()?;
    Ok(answer.map(|answer| {
        let attributes = answer.attributes().iter();
        attributes::map(attributes.map(|attribute| (attribute.key(), attribute.value())))
    }))
}

/// The load balancer as an object of this kind; `None` if it is one that this tool cannot describe.
pub(crate) fn actual(
    balancer: &types::LoadBalancer,
    attributes: BTreeMap<String, String>,
    tags: Tags,
) -> Option<Actual> {
    let id = balancer.load_balancer_arn()?.to_owned();
    let state = balancer.state();
    // One group is wanted. More than one, or none, reads as something that differs from it.
    let groups: BTreeSet<&str> = balancer.security_groups().iter().map(String::as_str).collect();
    let groups: Vec<&str> = groups.into_iter().collect();
    Some(Actual {
        spec: Spec::LoadBalancer(LoadBalancer {
            name: balancer.load_balancer_name()?.to_owned(),
            scheme: match balancer.scheme()? {
                LoadBalancerSchemeEnum::Internal => Scheme::Internal,
                _ => Scheme::InternetFacing,
            },
            vpc: balancer.vpc_id()?.parse().ok()?,
            ip_address_type: match balancer.ip_address_type() {
                None | Some(types::IpAddressType::Ipv4) => IpAddressType::Ipv4,
                Some(_) => IpAddressType::Dualstack,
            },
            subnets: balancer
                .availability_zones()
                .iter()
                .filter_map(|zone| zone.subnet_id()?.parse().ok())
                .collect(),
            security_group: Ref::Known(groups.join(", ")),
            attributes,
            tags: tags.clone(),
        }),
        outputs: outputs(balancer),
        id,
        status: Status::LoadBalancer {
            state: state
                .and_then(|state| state.code())
                .map(|code| code.as_str().to_owned())
                .unwrap_or_default(),
            reason: state
                .and_then(|state| state.reason())
                .filter(|reason| !reason.is_empty())
                .map(str::to_owned),
        },
        tags,
    })
}

/// What a load balancer supplies to others. The zone id comes from here and from no table (`aws-facts.md` 3).
fn outputs(balancer: &types::LoadBalancer) -> Outputs {
    [
        (Output::Id, balancer.load_balancer_arn().map(str::to_owned)),
        (Output::DnsName, balancer.dns_name().map(str::to_ascii_lowercase)),
        (Output::ZoneId, balancer.canonical_hosted_zone_id().map(str::to_owned)),
    ]
    .into_iter()
    .filter_map(|(output, value)| Some((output, value?)))
    .collect()
}

/// Reads the load balancer with this ARN.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _like: &LoadBalancer,
) -> Result<Option<Actual>, CloudError> {
    let request = clients.elb.describe_load_balancers().load_balancer_arns(id);
    let described = async { call("elbv2 DescribeLoadBalancers", request.send()).await.or_missing() };
    let (described, attributes, tags) =
        future::try_join3(described, attributes(clients, id), elb::tags_of(clients, id)).await?;
    let (Some(described), Some(attributes)) = (described, attributes) else {
        return Ok(None);
    };
    let balancer = described.load_balancers().first();
    Ok(balancer.and_then(|balancer| actual(balancer, attributes, tags)))
}

/// Finds the load balancer by its name, which is unique in account and region, whosever it is.
pub(crate) async fn find(
    clients: &Clients,
    address: &Address,
    desired: &LoadBalancer,
) -> Result<Option<Actual>, CloudError> {
    let request = clients.elb.describe_load_balancers().names(&desired.name);
    let Some(answer) = call("elbv2 DescribeLoadBalancers", request.send()).await.or_missing()? else {
        return Ok(None);
    };
    let Some(arn) = answer
        .load_balancers()
        .first()
        .and_then(|balancer| balancer.load_balancer_arn())
    else {
        return Ok(None);
    };
    read(clients, address, arn, desired).await
}

/// Makes the load balancer; attributes are not part of the call and follow by `update`.
pub(crate) async fn create(
    clients: &Clients,
    address: &Address,
    desired: &LoadBalancer,
    _token: &str,
) -> Result<Made, CloudError> {
    let group = desired
        .security_group
        .known()
        .map_err(|error| unresolved(CREATE, &error))?;
    let request = clients
        .elb
        .create_load_balancer()
        .name(&desired.name)
        .r#type(LoadBalancerTypeEnum::Application)
        .scheme(match desired.scheme {
            Scheme::InternetFacing => LoadBalancerSchemeEnum::InternetFacing,
            Scheme::Internal => LoadBalancerSchemeEnum::Internal,
        })
        .ip_address_type(sdk_ip_address_type(desired.ip_address_type))
        .set_subnets(Some(subnets(desired)))
        .security_groups(group)
        .set_tags(elb::sdk_tags(&desired.tags));
    match while_fresh(&[FRESH_GROUP], || call(CREATE, request.clone().send())).await {
        Ok(answer) => {
            let balancer = answer.load_balancers().first();
            let outputs = balancer.map(outputs).unwrap_or_default();
            made(outputs).ok_or_else(|| unexpected(CREATE, "the answer names no load balancer"))
        }
        Err(error) if error.is_code(&["DuplicateLoadBalancerName"]) => {
            // An attempt whose answer was lost may have made it.
            let found = find(clients, address, desired).await?;
            let ours = found.filter(|actual| is_same_resource(&actual.tags, &desired.tags));
            ours.and_then(|actual| made(actual.outputs)).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

fn made(outputs: Outputs) -> Option<Made> {
    Some(Made {
        id: outputs.get(&Output::Id)?.clone(),
        outputs,
        dns_change: None,
    })
}

fn sdk_ip_address_type(ip_address_type: IpAddressType) -> types::IpAddressType {
    match ip_address_type {
        IpAddressType::Ipv4 => types::IpAddressType::Ipv4,
        IpAddressType::Dualstack => types::IpAddressType::Dualstack,
    }
}

fn subnets(desired: &LoadBalancer) -> Vec<String> {
    desired.subnets.iter().map(ToString::to_string).collect()
}

/// A part of the load balancer's place in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NetworkChange {
    Subnets,
    AddressType,
}

/// What of it changes, in an order in which every step is allowed: dual stack needs subnets with IPv6 as long as it lasts
/// (`aws-facts.md` 3), so it begins after the subnets have changed and ends before.
fn network_changes(observed: &LoadBalancer, desired: &LoadBalancer) -> Vec<NetworkChange> {
    let subnets = (observed.subnets != desired.subnets).then_some(NetworkChange::Subnets);
    let address_type = (observed.ip_address_type != desired.ip_address_type).then_some(NetworkChange::AddressType);
    let changes = match desired.ip_address_type {
        IpAddressType::Dualstack => [subnets, address_type],
        IpAddressType::Ipv4 => [address_type, subnets],
    };
    changes.into_iter().flatten().collect()
}

/// Changes what differs, one call per part.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &LoadBalancer,
    desired: &LoadBalancer,
) -> Result<Made, CloudError> {
    if observed.security_group != desired.security_group {
        const OPERATION: &str = "elbv2 SetSecurityGroups";
        let group = desired
            .security_group
            .known()
            .map_err(|error| unresolved(OPERATION, &error))?;
        let request = clients
            .elb
            .set_security_groups()
            .load_balancer_arn(id)
            .security_groups(group);
        while_fresh(&[FRESH_GROUP], || call(OPERATION, request.clone().send())).await?;
    }
    for part in network_changes(observed, desired) {
        match part {
            NetworkChange::Subnets => {
                let request = clients.elb.set_subnets().load_balancer_arn(id);
                let request = request.set_subnets(Some(subnets(desired)));
                call("elbv2 SetSubnets", request.send()).await?;
            }
            NetworkChange::AddressType => {
                let request = clients.elb.set_ip_address_type().load_balancer_arn(id);
                let request = request.ip_address_type(sdk_ip_address_type(desired.ip_address_type));
                call("elbv2 SetIpAddressType", request.send()).await?;
            }
        }
    }
    let changed = changed_attributes(&observed.attributes, &desired.attributes);
    if !changed.is_empty() {
        let request = clients.elb.modify_load_balancer_attributes().load_balancer_arn(id);
        let request = request.set_attributes(Some(
            changed
                .into_iter()
                .map(|(key, value)| LoadBalancerAttribute::builder().key(key).value(value).build())
                .collect(),
        ));
        let modify = || call("elbv2 ModifyLoadBalancerAttributes", request.clone().send());
        while_fresh(&["LoadBalancerNotFound"], modify).await?;
    }
    elb::set_tags(clients, id, &observed.tags, &desired.tags).await?;
    Ok(Made {
        id: id.to_owned(),
        outputs: Outputs::from([(Output::Id, id.to_owned())]),
        dns_change: None,
    })
}

/// The wanted attributes that have another value. Those of access logs go together: a bucket is checked when logs are
/// switched on.
fn changed_attributes<'a>(
    observed: &BTreeMap<String, String>,
    desired: &'a BTreeMap<String, String>,
) -> BTreeMap<&'a str, &'a str> {
    let differs = |key: &String, value: &String| observed.get(key) != Some(value);
    let logs = desired
        .iter()
        .any(|(key, value)| key.starts_with(ACCESS_LOGS) && differs(key, value));
    desired
        .iter()
        .filter(|(key, value)| differs(key, value) || (logs && key.starts_with(ACCESS_LOGS)))
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

/// Deletes the load balancer and with it its listeners.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _observed: &LoadBalancer,
) -> Result<(), CloudError> {
    let request = clients.elb.delete_load_balancer().load_balancer_arn(id);
    match call("elbv2 DeleteLoadBalancer", request.send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{AvailabilityZone, LoadBalancerState, LoadBalancerStateEnum};

    use super::*;

    fn described() -> types::builders::LoadBalancerBuilder {
        let zone = |subnet: &str| AvailabilityZone::builder().subnet_id(subnet).build();
        types::LoadBalancer::builder()
            .load_balancer_arn("arn:lb")
            .vpc_id("vpc-0a")
            .load_balancer_name("www-lb")
            .dns_name("Www-LB-1.ap-northeast-1.elb.amazonaws.com")
            .canonical_hosted_zone_id("Z14GRHDCWA56QT")
            .scheme(LoadBalancerSchemeEnum::InternetFacing)
            .ip_address_type(types::IpAddressType::Ipv4)
            .availability_zones(zone("subnet-0b"))
            .availability_zones(zone("subnet-0a"))
            .security_groups("sg-0a")
            .state(
                LoadBalancerState::builder()
                    .code(LoadBalancerStateEnum::Provisioning)
                    .build(),
            )
    }

    #[test]
    fn a_load_balancer_is_read_in_normal_form() {
        let actual = actual(&described().build(), BTreeMap::new(), Tags::new()).unwrap();
        assert_eq!(
            actual.outputs[&Output::DnsName],
            "www-lb-1.ap-northeast-1.elb.amazonaws.com"
        );
        assert_eq!(actual.outputs[&Output::ZoneId], "Z14GRHDCWA56QT");
        let Spec::LoadBalancer(balancer) = actual.spec else {
            panic!("another kind")
        };
        assert_eq!(balancer.security_group, Ref::Known("sg-0a".into()));
        assert_eq!(balancer.subnets.len(), 2);
        assert_eq!(
            actual.status,
            Status::LoadBalancer {
                state: "provisioning".into(),
                reason: None
            }
        );
    }

    #[test]
    fn a_second_group_shows_as_a_difference() {
        let described = described().security_groups("sg-00").build();
        let actual = actual(&described, BTreeMap::new(), Tags::new()).unwrap();
        let Spec::LoadBalancer(balancer) = actual.spec else {
            panic!("another kind")
        };
        assert_eq!(balancer.security_group, Ref::Known("sg-00, sg-0a".into()));
    }

    #[test]
    fn only_attributes_that_differ_are_sent_and_access_logs_together() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let observed = map(&[
            ("idle_timeout.timeout_seconds", "60"),
            ("access_logs.s3.enabled", "false"),
            ("access_logs.s3.bucket", "logs"),
        ]);
        let desired = map(&[
            ("idle_timeout.timeout_seconds", "60"),
            ("access_logs.s3.enabled", "true"),
            ("access_logs.s3.bucket", "logs"),
        ]);
        assert_eq!(
            changed_attributes(&observed, &desired).into_keys().collect::<Vec<_>>(),
            ["access_logs.s3.bucket", "access_logs.s3.enabled"]
        );
        assert!(changed_attributes(&observed, &observed).is_empty());
    }

    #[test]
    fn dual_stack_begins_after_and_ends_before_the_subnets_change() {
        let read = |described: types::builders::LoadBalancerBuilder| match actual(
            &described.build(),
            BTreeMap::new(),
            Tags::new(),
        )
        .unwrap()
        .spec
        {
            Spec::LoadBalancer(balancer) => balancer,
            other => panic!("{other:?}"),
        };
        let plain = read(described());
        let zone = AvailabilityZone::builder().subnet_id("subnet-0c").build();
        let dual = read(
            described()
                .availability_zones(zone)
                .ip_address_type(types::IpAddressType::Dualstack),
        );
        let (subnets, address_type) = (NetworkChange::Subnets, NetworkChange::AddressType);
        assert_eq!(network_changes(&plain, &dual), [subnets, address_type]);
        assert_eq!(network_changes(&dual, &plain), [address_type, subnets]);
        assert!(network_changes(&dual, &dual).is_empty());
    }
}
