//! The kind `security_group`: the load balancer's own group, owned with all of its rules.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Filter, ResourceType, SecurityGroup as Described};
use futures_util::future;
use reconcile_core::{
    observed::{Actual, GroupFacts, GroupRule, Status},
    resource::{Address, Output, Outputs, Rule, SecurityGroup, Spec},
    value::SecurityGroupId,
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    error::{CloudErrorExt, call, failure, unexpected},
    group_rules::{self, FoundRule, filter, permission, set_tags, tag_specification, tags_of},
    ownership::is_same_resource,
    paging::Pages,
    retry::while_fresh,
};

/// The groups that match a filter.
pub(crate) async fn matching(clients: &Clients, filters: Vec<Filter>) -> Result<Vec<Described>, CloudError> {
    let mut found = Vec::new();
    let mut pages = Pages::new("ec2 DescribeSecurityGroups");
    loop {
        let request = clients.ec2.describe_security_groups();
        let request = request.set_filters(Some(filters.clone())).max_results(1000);
        let answer = call(pages.operation(), request.set_next_token(pages.token()).send()).await?;
        found.extend(answer.security_groups().iter().cloned());
        if !pages.advance(answer.next_token())? {
            return Ok(found);
        }
    }
}

/// The groups with these ids that exist.
pub(crate) async fn by_id(clients: &Clients, ids: &BTreeSet<SecurityGroupId>) -> Result<Vec<Described>, CloudError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // A filter, because naming the ids outright fails as a whole when one of them is gone.
    matching(
        clients,
        vec![filter("group-id", ids.iter().map(ToString::to_string).collect())],
    )
    .await
}

/// The group with its rules as an object of this kind; `None` if a part of it cannot be told, which EC2 does not answer.
pub(crate) fn actual(group: &Described, rules: &[FoundRule]) -> Option<Actual> {
    let id: SecurityGroupId = group.group_id()?.parse().ok()?;
    let side = |is_egress: bool| {
        rules
            .iter()
            .filter(|found| found.group == id && found.is_egress == is_egress)
            .map(|found| found.rule.clone())
            .collect()
    };
    let tags = tags_of(group.tags());
    Some(Actual {
        id: id.to_string(),
        spec: Spec::SecurityGroup(SecurityGroup {
            name: group.group_name().unwrap_or_default().to_owned(),
            description: group.description().unwrap_or_default().to_owned(),
            vpc: group.vpc_id()?.parse().ok()?,
            ingress: side(false),
            egress: side(true),
            tags: tags.clone(),
        }),
        outputs: Outputs::from([(Output::Id, id.to_string())]),
        status: Status::Exists,
        tags,
    })
}

/// What is known of any group, ours or not.
pub(crate) fn facts(group: &Described, rules: &[FoundRule]) -> Option<(SecurityGroupId, GroupFacts)> {
    let id: SecurityGroupId = group.group_id()?.parse().ok()?;
    let ingress: BTreeMap<String, GroupRule> = rules
        .iter()
        .filter(|found| found.group == id && !found.is_egress)
        .map(|found| {
            let rule = GroupRule {
                rule: found.rule.clone(),
                description: found.description.clone(),
                tags: found.tags.clone(),
            };
            (found.id.clone(), rule)
        })
        .collect();
    let facts = GroupFacts {
        name: group.group_name().unwrap_or_default().to_owned(),
        vpc: group.vpc_id()?.parse().ok()?,
        owner: group.owner_id()?.parse().ok()?,
        ingress,
        tags: tags_of(group.tags()),
    };
    Some((id, facts))
}

/// Reads the group with this id.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _like: &SecurityGroup,
) -> Result<Option<Actual>, CloudError> {
    let Ok(id) = id.parse::<SecurityGroupId>() else {
        return Ok(None);
    };
    let ids = BTreeSet::from([id]);
    let (groups, rules) = future::try_join(by_id(clients, &ids), group_rules::of_groups(clients, &ids)).await?;
    Ok(groups.first().and_then(|group| actual(group, &rules)))
}

/// Finds the group by its name, which is unique in the VPC, whosever it is.
pub(crate) async fn find(
    clients: &Clients,
    address: &Address,
    desired: &SecurityGroup,
) -> Result<Option<Actual>, CloudError> {
    let filters = vec![
        filter("vpc-id", vec![desired.vpc.to_string()]),
        filter("group-name", vec![desired.name.clone()]),
    ];
    match matching(clients, filters).await?.first().and_then(Described::group_id) {
        Some(id) => read(clients, address, id, desired).await,
        None => Ok(None),
    }
}

/// Makes the group, still with EC2's own egress rule and without any of ours: `update` brings them.
pub(crate) async fn create(
    clients: &Clients,
    address: &Address,
    desired: &SecurityGroup,
    _token: &str,
) -> Result<Made, CloudError> {
    const OPERATION: &str = "ec2 CreateSecurityGroup";
    let request = clients
        .ec2
        .create_security_group()
        .group_name(&desired.name)
        .description(&desired.description)
        .vpc_id(desired.vpc.as_str())
        .set_tag_specifications(tag_specification(ResourceType::SecurityGroup, &desired.tags));
    let id = match call(OPERATION, request.send()).await {
        Ok(answer) => answer
            .group_id()
            .ok_or_else(|| unexpected(OPERATION, "the answer names no group"))?
            .to_owned(),
        // The call is not idempotent: an attempt whose answer was lost may have made the group.
        Err(error) if error.is_code(&["InvalidGroup.Duplicate"]) => match find(clients, address, desired).await? {
            Some(actual) if is_same_resource(&actual.tags, &desired.tags) => actual.id,
            _ => return Err(error),
        },
        Err(error) => return Err(error),
    };
    Ok(Made::with_id(id))
}

/// Brings rules and tags about: what is missing is let in before what is too much is shut out.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &SecurityGroup,
    desired: &SecurityGroup,
) -> Result<Made, CloudError> {
    let group: SecurityGroupId = id.parse().map_err(|error: reconcile_core::value::IdError| {
        unexpected("ec2 AuthorizeSecurityGroupIngress", error.to_string())
    })?;
    set_tags(clients, id, &observed.tags, &desired.tags).await?;
    // A fresh group may be unknown for a moment, and an answer of rules may be old or overtaken: both show by these
    // codes, and the next look at the rules is newer.
    let passing = [
        "InvalidGroup.NotFound",
        "InvalidGroupId.NotFound",
        "InvalidPermission.Duplicate",
        "InvalidPermission.NotFound",
        "InvalidSecurityGroupRuleId.NotFound",
    ];
    while_fresh(&passing, || set_rules(clients, &group, desired)).await?;
    Ok(Made::with_id(id.to_owned()))
}

async fn set_rules(clients: &Clients, group: &SecurityGroupId, desired: &SecurityGroup) -> Result<(), CloudError> {
    let rules = group_rules::of_groups(clients, &BTreeSet::from([group.clone()])).await?;
    let (ingress, egress): (Vec<FoundRule>, Vec<FoundRule>) = rules.into_iter().partition(|found| !found.is_egress);
    let ingress = Changes::between(&ingress, &desired.ingress);
    let egress = Changes::between(&egress, &desired.egress);
    let id = group.as_str();
    if !ingress.missing.is_empty() {
        let request = clients.ec2.authorize_security_group_ingress().group_id(id);
        let request = request.set_ip_permissions(Some(ingress.permissions()));
        call("ec2 AuthorizeSecurityGroupIngress", request.send()).await?;
    }
    if !egress.missing.is_empty() {
        let request = clients.ec2.authorize_security_group_egress().group_id(id);
        let request = request.set_ip_permissions(Some(egress.permissions()));
        call("ec2 AuthorizeSecurityGroupEgress", request.send()).await?;
    }
    if !ingress.surplus.is_empty() {
        let request = clients.ec2.revoke_security_group_ingress().group_id(id);
        let request = request.set_security_group_rule_ids(Some(ingress.surplus));
        call("ec2 RevokeSecurityGroupIngress", request.send()).await?;
    }
    if !egress.surplus.is_empty() {
        let request = clients.ec2.revoke_security_group_egress().group_id(id);
        let request = request.set_security_group_rule_ids(Some(egress.surplus));
        call("ec2 RevokeSecurityGroupEgress", request.send()).await?;
    }
    Ok(())
}

/// What one direction of a group needs.
#[derive(Debug, PartialEq, Eq)]
struct Changes {
    /// Rules to authorise.
    missing: Vec<Rule>,
    /// Ids of rules to revoke.
    surplus: Vec<String>,
}

impl Changes {
    fn between(found: &[FoundRule], desired: &BTreeSet<Rule>) -> Self {
        let present: BTreeSet<&Rule> = found.iter().map(|found| &found.rule).collect();
        Self {
            missing: desired.iter().filter(|rule| !present.contains(rule)).cloned().collect(),
            surplus: found
                .iter()
                .filter(|found| !desired.contains(&found.rule))
                .map(|found| found.id.clone())
                .collect(),
        }
    }

    fn permissions(&self) -> Vec<aws_sdk_ec2::types::IpPermission> {
        self.missing.iter().map(|rule| permission(rule, None)).collect()
    }
}

/// Deletes the group. While something uses it, the error names what (`aws-facts.md` 6.5).
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _observed: &SecurityGroup,
) -> Result<(), CloudError> {
    const OPERATION: &str = "ec2 DeleteSecurityGroup";
    match call(OPERATION, clients.ec2.delete_security_group().group_id(id).send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) if error.is_code(&["DependencyViolation"]) => Err(match users(clients, id).await {
            Ok(users) if !users.is_empty() => CloudError {
                message: format!("`{id}` is still used by {}", users.join(", ")),
                ..error
            },
            _ => error,
        }),
        Err(error) => Err(error),
    }
}

/// What uses a group: network interfaces that carry it, and groups whose rules name it.
async fn users(clients: &Clients, id: &str) -> Result<Vec<String>, CloudError> {
    let by = |key: &str| matching(clients, vec![filter(key, vec![id.to_owned()])]);
    let interfaces = crate::ec2::interfaces(clients, vec![id.to_owned()]);
    let (interfaces, ingress, egress) = future::try_join3(
        interfaces,
        by("ip-permission.group-id"),
        by("egress.ip-permission.group-id"),
    )
    .await?;
    let interfaces = interfaces
        .into_iter()
        .map(|interface| format!("network interface {} ({})", interface.id, interface.description));
    let groups: BTreeSet<String> = ingress
        .iter()
        .chain(&egress)
        .filter_map(Described::group_id)
        .filter(|group| *group != id)
        .map(|group| format!("a rule of security group {group}"))
        .collect();
    Ok(interfaces.chain(groups).collect())
}

/// An error for a group that is gone although something was to be done in it.
pub(crate) fn group_is_gone(operation: &str, group: &SecurityGroupId) -> CloudError {
    failure(
        operation,
        ErrorKind::NotFound,
        format!("security group `{group}` does not exist"),
        "plan again: the instance's groups have changed",
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::Tag;

    use super::*;

    fn found(id: &str, is_egress: bool, rule: &str) -> FoundRule {
        FoundRule {
            id: id.into(),
            group: "sg-0a".parse().unwrap(),
            is_egress,
            rule: rule.parse().unwrap(),
            description: None,
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn a_group_is_read_with_all_rules_no_matter_whose() {
        let group = Described::builder()
            .group_id("sg-0a")
            .group_name("www-lb")
            .description("d")
            .vpc_id("vpc-1")
            .owner_id("123456789012")
            .tags(Tag::builder().key("k").value("v").build())
            .build();
        let rules = [
            found("sgr-1", false, "tcp 443 0.0.0.0/0"),
            found("sgr-2", true, "all 0.0.0.0/0"),
        ];
        let actual = actual(&group, &rules).unwrap();
        let Spec::SecurityGroup(settings) = &actual.spec else {
            panic!("another kind")
        };
        assert_eq!(settings.ingress, BTreeSet::from(["tcp 443 0.0.0.0/0".parse().unwrap()]));
        assert_eq!(settings.egress, BTreeSet::from(["all 0.0.0.0/0".parse().unwrap()]));
        assert_eq!(actual.outputs[&Output::Id], "sg-0a");
        let (_, facts) = facts(&group, &rules).unwrap();
        assert_eq!(facts.ingress.keys().collect::<Vec<_>>(), ["sgr-1"]);
    }

    #[test]
    fn only_what_differs_is_changed() {
        let present = [
            found("sgr-1", false, "tcp 443 0.0.0.0/0"),
            found("sgr-2", false, "tcp 80 0.0.0.0/0"),
        ];
        let desired = BTreeSet::from(["tcp 443 0.0.0.0/0".parse().unwrap(), "tcp 443 ::/0".parse().unwrap()]);
        assert_eq!(
            Changes::between(&present, &desired),
            Changes {
                missing: vec!["tcp 443 ::/0".parse().unwrap()],
                surplus: vec!["sgr-2".into()],
            }
        );
    }
}
