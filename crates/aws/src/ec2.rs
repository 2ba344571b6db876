//! Instances, subnets, network interfaces and security groups: what stands around the load balancer.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{self, RouteTable};
use futures_util::future;
use reconcile_core::{
    naming::STACK_TAG,
    observed::{Actual, GroupFacts, Instance, Interface, Query, Subnet},
    resource::Kind,
    value::{InstanceId, SecurityGroupId, SubnetId, VpcId},
};
use reconcile_engine::CloudError;

use crate::{
    clients::Clients,
    error::call,
    group_rules::{self, filter},
    paging::Pages,
    security_group,
};

/// What was seen of EC2.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) security_groups: BTreeMap<SecurityGroupId, GroupFacts>,
    pub(crate) interfaces: Vec<Interface>,
    /// The security groups that may be the stack's own.
    pub(crate) found: Vec<Actual>,
}

/// Looks at all that the query names, in two rounds: the second is about the VPCs and groups that the first one names.
pub(crate) async fn observe(clients: &Clients, query: &Query) -> Result<Seen, CloudError> {
    let by_tag = filter(&format!("tag:{STACK_TAG}"), vec![query.stack.to_string()]);
    let by_name = filter("group-name", vec![format!("{}*", query.name_prefix)]);
    let recorded = Recorded::of(query);
    let (instances, tagged, named, mut others, rules) = future::try_join5(
        instances(clients, &query.instances),
        security_group::matching(clients, vec![by_tag]),
        security_group::matching(clients, vec![by_name]),
        security_group::by_id(clients, &recorded.own),
        group_rules::by_id(clients, &recorded.rules),
    )
    .await?;

    let vpcs: BTreeSet<VpcId> = instances.values().map(|instance| instance.vpc.clone()).collect();
    let carried: BTreeSet<SecurityGroupId> = instances
        .values()
        .flat_map(|instance| instance.security_groups.iter().cloned())
        .collect();
    let own: BTreeSet<SecurityGroupId> = ids(&tagged).chain(ids(&named)).chain(ids(&others)).collect();
    let touched = recorded
        .touched
        .into_iter()
        .chain(rules.into_iter().map(|rule| rule.group));
    let around: BTreeSet<SecurityGroupId> = carried.iter().cloned().chain(touched).collect();
    let all: BTreeSet<SecurityGroupId> = own.union(&around).cloned().collect();
    let unread = around.difference(&own).cloned().collect();

    let (subnets, interfaces, more, rules) = future::try_join4(
        subnets(clients, &vpcs),
        interfaces(clients, carried.iter().map(ToString::to_string).collect()),
        security_group::by_id(clients, &unread),
        group_rules::of_groups(clients, &all),
    )
    .await?;
    others.extend(tagged);
    others.extend(named);
    let own: BTreeMap<String, Actual> = others
        .iter()
        .filter_map(|group| security_group::actual(group, &rules))
        .map(|actual| (actual.id.clone(), actual))
        .collect();
    Ok(Seen {
        instances,
        subnets,
        security_groups: others
            .iter()
            .chain(&more)
            .filter_map(|group| security_group::facts(group, &rules))
            .collect(),
        interfaces,
        found: own.into_values().collect(),
    })
}

/// What is known of security groups by id: from the state, or because it is adopted.
#[derive(Debug, Default)]
struct Recorded {
    /// The load balancer's groups.
    own: BTreeSet<SecurityGroupId>,
    /// Groups of instances.
    touched: BTreeSet<SecurityGroupId>,
    /// Rules in groups of instances.
    rules: BTreeSet<String>,
}

impl Recorded {
    fn of(query: &Query) -> Self {
        let mut recorded = Self::default();
        for (address, ids) in &query.recorded {
            let groups = ids.iter().filter_map(|id| id.parse().ok());
            match address.kind() {
                Kind::SecurityGroup => recorded.own.extend(groups),
                Kind::PortClosure => recorded.touched.extend(groups),
                Kind::InstanceIngress => recorded.rules.extend(ids.iter().cloned()),
                _ => {}
            }
        }
        for id in &query.adopted {
            if id.starts_with("sgr-") {
                recorded.rules.insert(id.clone());
            } else {
                recorded.own.extend(id.parse::<SecurityGroupId>());
            }
        }
        recorded
    }
}

fn ids(groups: &[types::SecurityGroup]) -> impl Iterator<Item = SecurityGroupId> {
    groups.iter().filter_map(|group| group.group_id()?.parse().ok())
}

/// The instances that exist among those asked for.
async fn instances(
    clients: &Clients,
    ids: &BTreeSet<InstanceId>,
) -> Result<BTreeMap<InstanceId, Instance>, CloudError> {
    let mut found = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    // A filter, because naming the ids outright fails as a whole when one of them does not exist.
    let filter = filter("instance-id", ids.iter().map(ToString::to_string).collect());
    let mut pages = Pages::new("ec2 DescribeInstances");
    loop {
        let request = clients.ec2.describe_instances().filters(filter.clone());
        let request = request.max_results(1000).set_next_token(pages.token());
        let answer = call(pages.operation(), request.send()).await?;
        for reservation in answer.reservations() {
            found.extend(reservation.instances().iter().filter_map(instance));
        }
        if !pages.advance(answer.next_token())? {
            return Ok(found);
        }
    }
}

/// Reads one instance; `None` if it is terminated, which leaves it without a network for the hour that it is still shown.
fn instance(instance: &types::Instance) -> Option<(InstanceId, Instance)> {
    let id = instance.instance_id()?.parse().ok()?;
    let primary = instance
        .network_interfaces()
        .iter()
        .find(|interface| {
            let attachment = interface.attachment();
            attachment.and_then(types::InstanceNetworkInterfaceAttachment::device_index) == Some(0)
                && attachment
                    .and_then(types::InstanceNetworkInterfaceAttachment::network_card_index)
                    .unwrap_or(0)
                    == 0
        })
        .or_else(|| instance.network_interfaces().first());
    let association = primary.and_then(|interface| interface.association());
    let groups = match primary {
        Some(interface) if !interface.groups().is_empty() => interface.groups(),
        _ => instance.security_groups(),
    };
    let public_address = association
        .and_then(|association| association.public_ip())
        .or_else(|| instance.public_ip_address());
    let seen = Instance {
        state: instance.state()?.name()?.as_str().to_owned(),
        vpc: instance.vpc_id()?.parse().ok()?,
        subnet: instance.subnet_id()?.parse().ok()?,
        availability_zone: instance.placement()?.availability_zone()?.to_owned(),
        public_address: public_address.and_then(|address| address.parse().ok()),
        // An address that comes and goes with the instance is owned by `amazon`, an Elastic IP by an account.
        elastic: association
            .and_then(|association| association.ip_owner_id())
            .is_some_and(|owner| owner != "amazon"),
        ipv6_addresses: primary
            .map(types::InstanceNetworkInterface::ipv6_addresses)
            .unwrap_or_default()
            .iter()
            .filter_map(|address| address.ipv6_address()?.parse().ok())
            .collect(),
        private_address: primary
            .and_then(|interface| interface.private_ip_address())
            .or_else(|| instance.private_ip_address())
            .and_then(|address| address.parse().ok()),
        primary_interface: primary
            .and_then(|interface| interface.network_interface_id())
            .unwrap_or_default()
            .to_owned(),
        security_groups: groups
            .iter()
            .filter_map(|group| group.group_id()?.parse().ok())
            .collect(),
    };
    Some((id, seen))
}

/// All subnets of these VPCs.
async fn subnets(clients: &Clients, vpcs: &BTreeSet<VpcId>) -> Result<Vec<Subnet>, CloudError> {
    if vpcs.is_empty() {
        return Ok(Vec::new());
    }
    let filter = filter("vpc-id", vpcs.iter().map(ToString::to_string).collect());
    let described = async {
        let mut found = Vec::new();
        let mut pages = Pages::new("ec2 DescribeSubnets");
        loop {
            let request = clients.ec2.describe_subnets().filters(filter.clone());
            let request = request.max_results(1000).set_next_token(pages.token());
            let answer = call(pages.operation(), request.send()).await?;
            found.extend(answer.subnets().iter().cloned());
            if !pages.advance(answer.next_token())? {
                return Ok(found);
            }
        }
    };
    let tables = async {
        let mut found = Vec::new();
        let mut pages = Pages::new("ec2 DescribeRouteTables");
        loop {
            let request = clients.ec2.describe_route_tables().filters(filter.clone());
            let request = request.max_results(100).set_next_token(pages.token());
            let answer = call(pages.operation(), request.send()).await?;
            found.extend(answer.route_tables().iter().cloned());
            if !pages.advance(answer.next_token())? {
                return Ok(found);
            }
        }
    };
    let (described, tables): (Vec<types::Subnet>, Vec<RouteTable>) = future::try_join(described, tables).await?;
    Ok(described.iter().filter_map(|found| subnet(found, &tables)).collect())
}

fn subnet(found: &types::Subnet, tables: &[RouteTable]) -> Option<Subnet> {
    let id: SubnetId = found.subnet_id()?.parse().ok()?;
    let vpc: VpcId = found.vpc_id()?.parse().ok()?;
    let range: Option<ipnet::Ipv4Net> = found.cidr_block().and_then(|block| block.parse().ok());
    let block_mode = found
        .block_public_access_states()
        .and_then(|states| states.internet_gateway_block_mode());
    let public = is_public(&id, &vpc, tables, "0.0.0.0/0");
    let has_ipv6 = found
        .ipv6_cidr_block_association_set()
        .iter()
        .filter_map(|association| association.ipv6_cidr_block_state()?.state())
        .any(|state| state.as_str() == "associated");
    Some(Subnet {
        public,
        availability_zone: found.availability_zone()?.to_owned(),
        free_addresses: found
            .available_ip_address_count()
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        // Without an IPv4 range it holds no address that a load balancer could take.
        prefix_length: range.map_or(32, |range| range.prefix_len()),
        // An AAAA record for a load balancer whose subnet has no way for IPv6 would lead visitors nowhere.
        has_ipv6: has_ipv6 && (!public || is_public(&id, &vpc, tables, "::/0")),
        public_access_blocked: block_mode.is_some_and(|mode| mode.as_str() != "off"),
        id,
        vpc,
    })
}

/// Whether the subnet's route table, or the VPC's main one if it has none of its own, leads from `world`, which is all
/// addresses of one family, to an internet gateway (`aws-facts.md` 3).
fn is_public(subnet: &SubnetId, vpc: &VpcId, tables: &[RouteTable], world: &str) -> bool {
    let table_with = |matches: &dyn Fn(&types::RouteTableAssociation) -> bool| {
        tables
            .iter()
            .filter(|table| table.vpc_id() == Some(vpc.as_str()))
            .find(|table| table.associations().iter().any(matches))
    };
    let own = table_with(&|association| association.subnet_id() == Some(subnet.as_str()));
    let table = own.or_else(|| table_with(&|association| association.main().unwrap_or_default()));
    table.is_some_and(|table| {
        table.routes().iter().any(|route| {
            let destination = route
                .destination_cidr_block()
                .or_else(|| route.destination_ipv6_cidr_block());
            destination == Some(world)
                && route.gateway_id().is_some_and(|gateway| gateway.starts_with("igw-"))
                && route.state().is_none_or(|state| state.as_str() != "blackhole")
        })
    })
}

/// Every network interface that carries one of these groups.
pub(crate) async fn interfaces(clients: &Clients, groups: Vec<String>) -> Result<Vec<Interface>, CloudError> {
    let mut found = Vec::new();
    if groups.is_empty() {
        return Ok(found);
    }
    let filter = filter("group-id", groups);
    let mut pages = Pages::new("ec2 DescribeNetworkInterfaces");
    loop {
        let request = clients.ec2.describe_network_interfaces().filters(filter.clone());
        let request = request.max_results(1000).set_next_token(pages.token());
        let answer = call(pages.operation(), request.send()).await?;
        found.extend(answer.network_interfaces().iter().map(|interface| {
            Interface {
                id: interface.network_interface_id().unwrap_or_default().to_owned(),
                security_groups: interface
                    .groups()
                    .iter()
                    .filter_map(|group| group.group_id()?.parse().ok())
                    .collect(),
                instance: interface
                    .attachment()
                    .and_then(|attachment| attachment.instance_id()?.parse().ok()),
                description: interface.description().unwrap_or_default().to_owned(),
            }
        }));
        if !pages.advance(answer.next_token())? {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{
        GroupIdentifier, InstanceNetworkInterface, InstanceNetworkInterfaceAssociation,
        InstanceNetworkInterfaceAttachment, InstanceState, InstanceStateName, Placement, Route, RouteTableAssociation,
    };

    use super::*;

    fn table(vpc: &str, associated: Option<&str>, gateway: &str) -> RouteTable {
        let association = RouteTableAssociation::builder()
            .main(associated.is_none())
            .set_subnet_id(associated.map(str::to_owned));
        let route = Route::builder().destination_cidr_block("0.0.0.0/0").gateway_id(gateway);
        RouteTable::builder()
            .vpc_id(vpc)
            .associations(association.build())
            .routes(route.build())
            .build()
    }

    #[test]
    fn a_subnet_is_public_by_its_own_table_or_else_by_the_main_one() {
        let public = |subnet: &str, tables: &[RouteTable]| {
            is_public(&subnet.parse().unwrap(), &"vpc-1".parse().unwrap(), tables, "0.0.0.0/0")
        };
        let main = table("vpc-1", None, "igw-1");
        let own = table("vpc-1", Some("subnet-a"), "vgw-1");
        assert!(public("subnet-b", &[own.clone(), main.clone()]));
        assert!(!public("subnet-a", &[main.clone(), own]));
        assert!(!public("subnet-b", &[table("vpc-2", None, "igw-1")]));
        let nat = RouteTable::builder()
            .vpc_id("vpc-1")
            .associations(RouteTableAssociation::builder().main(true).build())
            .routes(
                Route::builder()
                    .destination_cidr_block("0.0.0.0/0")
                    .nat_gateway_id("nat-1")
                    .build(),
            )
            .build();
        assert!(!public("subnet-b", &[nat]));
    }

    #[test]
    fn ipv6_counts_only_where_the_internet_can_come_by_it() {
        use aws_sdk_ec2::types::{SubnetCidrBlockState, SubnetCidrBlockStateCode, SubnetIpv6CidrBlockAssociation};
        let state = SubnetCidrBlockState::builder().state(SubnetCidrBlockStateCode::Associated);
        let range = SubnetIpv6CidrBlockAssociation::builder().ipv6_cidr_block_state(state.build());
        let described = types::Subnet::builder()
            .subnet_id("subnet-a")
            .vpc_id("vpc-1")
            .availability_zone("ap-northeast-1a")
            .cidr_block("10.0.0.0/24")
            .ipv6_cidr_block_association_set(range.build())
            .build();
        let narrow = table("vpc-1", None, "igw-1");
        let seen = subnet(&described, std::slice::from_ref(&narrow)).unwrap();
        assert!(seen.public && !seen.has_ipv6);
        let way = Route::builder().destination_ipv6_cidr_block("::/0").gateway_id("igw-1");
        let wide = RouteTable::builder()
            .vpc_id("vpc-1")
            .set_associations(narrow.associations)
            .set_routes(narrow.routes)
            .routes(way.build());
        assert!(subnet(&described, &[wide.build()]).unwrap().has_ipv6);
    }

    fn interface(index: i32, group: &str, owner: &str) -> InstanceNetworkInterface {
        InstanceNetworkInterface::builder()
            .network_interface_id(format!("eni-{index}"))
            .attachment(
                InstanceNetworkInterfaceAttachment::builder()
                    .device_index(index)
                    .build(),
            )
            .association(
                InstanceNetworkInterfaceAssociation::builder()
                    .public_ip("203.0.113.10")
                    .ip_owner_id(owner)
                    .build(),
            )
            .groups(GroupIdentifier::builder().group_id(group).build())
            .private_ip_address("10.0.0.5")
            .build()
    }

    fn described() -> types::builders::InstanceBuilder {
        types::Instance::builder()
            .instance_id("i-0a")
            .state(InstanceState::builder().name(InstanceStateName::Running).build())
    }

    #[test]
    fn an_instance_is_read_by_its_primary_interface() {
        let found = described()
            .vpc_id("vpc-1")
            .subnet_id("subnet-a")
            .placement(Placement::builder().availability_zone("ap-northeast-1a").build())
            .network_interfaces(interface(1, "sg-02", "amazon"))
            .network_interfaces(interface(0, "sg-01", "123456789012"))
            .build();
        let (_, instance) = instance(&found).unwrap();
        assert_eq!(instance.primary_interface, "eni-0");
        assert_eq!(instance.security_groups, BTreeSet::from(["sg-01".parse().unwrap()]));
        assert!(instance.elastic);
        assert_eq!(instance.state, "running");
    }

    #[test]
    fn a_terminated_instance_does_not_exist() {
        assert!(instance(&described().build()).is_none());
    }
}
