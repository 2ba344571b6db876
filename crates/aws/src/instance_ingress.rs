//! The kind `instance_ingress`: one rule in a group that is not ours. Nothing here touches any other rule.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::ResourceType;
use reconcile_core::{
    observed::{Actual, Status},
    resource::{Address, InstanceIngress, Output, Outputs, Peer, Ref, Rule, Spec},
    value::SecurityGroupId,
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    error::{CloudErrorExt, call, failure, unexpected, unresolved},
    group_rules::{self, FoundRule, permission, set_tags, tag_specification},
    retry::while_fresh,
    security_group::group_is_gone,
};

/// What the rule says of itself in the console.
const DESCRIPTION: &str = "reconcile: load balancer";
const AUTHORIZE: &str = "ec2 AuthorizeSecurityGroupIngress";
/// EC2's code for a rule that exists already.
const DUPLICATE: &str = "InvalidPermission.Duplicate";

/// The rule as EC2 has it.
fn wanted_rule(ingress: &InstanceIngress) -> Result<Rule, CloudError> {
    let source = ingress.source.known().map_err(|error| unresolved(AUTHORIZE, &error))?;
    let source: SecurityGroupId = source
        .parse()
        .map_err(|error: reconcile_core::value::IdError| unexpected(AUTHORIZE, error.to_string()))?;
    Ok(Rule::tcp(ingress.port, Peer::Group(source)))
}

/// A rule as an object of this kind; `None` if it is not one group at one TCP port.
fn actual(found: &FoundRule) -> Option<Actual> {
    let Peer::Group(source) = &found.rule.peer else {
        return None;
    };
    Some(Actual {
        id: found.id.clone(),
        spec: Spec::InstanceIngress(InstanceIngress {
            group: found.group.clone(),
            port: found.rule.exact_tcp_port()?,
            source: Ref::Known(source.to_string()),
            tags: found.tags.clone(),
        }),
        outputs: Outputs::from([(Output::Id, found.id.clone())]),
        status: Status::Exists,
        tags: found.tags.clone(),
    })
}

/// Reads the rule by its id, or else by what it lets in: a group holds each rule once.
pub(crate) async fn read(
    clients: &Clients,
    address: &Address,
    id: &str,
    like: &InstanceIngress,
) -> Result<Option<Actual>, CloudError> {
    if !id.is_empty() {
        let found = group_rules::by_id(clients, &BTreeSet::from([id.to_owned()])).await?;
        if let Some(actual) = found.iter().find_map(actual) {
            return Ok(Some(actual));
        }
    }
    find(clients, address, like).await
}

/// Finds the rule by what it lets in.
pub(crate) async fn find(
    clients: &Clients,
    _address: &Address,
    desired: &InstanceIngress,
) -> Result<Option<Actual>, CloudError> {
    let rule = wanted_rule(desired)?;
    let rules = group_rules::of_groups(clients, &BTreeSet::from([desired.group.clone()])).await?;
    Ok(rules
        .iter()
        .find(|found| !found.is_egress && found.rule == rule)
        .and_then(actual))
}

/// Lets the load balancer's group in.
pub(crate) async fn create(
    clients: &Clients,
    address: &Address,
    desired: &InstanceIngress,
    _token: &str,
) -> Result<Made, CloudError> {
    let rule = wanted_rule(desired)?;
    let request = clients
        .ec2
        .authorize_security_group_ingress()
        .group_id(desired.group.as_str())
        .ip_permissions(permission(&rule, Some(DESCRIPTION)))
        .set_tag_specifications(tag_specification(ResourceType::SecurityGroupRule, &desired.tags));
    // The load balancer's group may be so new that it is not known everywhere.
    let fresh = ["InvalidGroup.NotFound", "InvalidGroupId.NotFound"];
    let id = match while_fresh(&fresh, || call(AUTHORIZE, request.clone().send())).await {
        Ok(answer) => answer
            .security_group_rules()
            .first()
            .and_then(|rule| rule.security_group_rule_id())
            .map(str::to_owned),
        Err(error) if error.is_code(&[DUPLICATE]) => None,
        Err(error) if error.kind == ErrorKind::NotFound && error.message.contains(desired.group.as_str()) => {
            return Err(group_is_gone(AUTHORIZE, &desired.group));
        }
        Err(error) => return Err(error),
    };
    let id = match id {
        Some(id) => id,
        None => while_fresh(&[DUPLICATE], || listed(clients, address, desired)).await?,
    };
    Ok(Made::with_id(id))
}

/// The id of the rule that is said to exist: the list may lag behind (`aws-facts.md` 7.1).
async fn listed(clients: &Clients, address: &Address, desired: &InstanceIngress) -> Result<String, CloudError> {
    let found = find(clients, address, desired).await?;
    found.map(|actual| actual.id).ok_or_else(|| CloudError {
        code: Some(DUPLICATE.to_owned()),
        ..unexpected(AUTHORIZE, "the rule is said to exist and is not listed")
    })
}

/// Another port, source or group is a new rule and then the end of the old one, so that the load balancer is never shut
/// out in between.
pub(crate) async fn update(
    clients: &Clients,
    address: &Address,
    id: &str,
    observed: &InstanceIngress,
    desired: &InstanceIngress,
) -> Result<Made, CloudError> {
    let lets_in = |ingress: &InstanceIngress| (ingress.group.clone(), ingress.port, ingress.source.clone());
    if lets_in(observed) == lets_in(desired) {
        set_tags(clients, id, &observed.tags, &desired.tags).await?;
        return Ok(Made::with_id(id.to_owned()));
    }
    let made = create(clients, address, desired, "").await?;
    if made.id != id {
        delete(clients, address, id, observed).await?;
    }
    Ok(made)
}

/// Revokes the rule by its id.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    observed: &InstanceIngress,
) -> Result<(), CloudError> {
    revoke(clients, &observed.group, vec![id.to_owned()]).await
}

/// Revokes rules by id; those that are gone already are success.
pub(crate) async fn revoke(clients: &Clients, group: &SecurityGroupId, ids: Vec<String>) -> Result<(), CloudError> {
    // The next look is without the rule that somebody else revoked, or that a server of EC2 has forgotten already.
    let passing = ["InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound"];
    let ids = ids.into_iter().collect();
    match while_fresh(&passing, || revoke_present(clients, group, &ids)).await {
        // The group is gone with all of its rules.
        Err(error) if error.is_code(&["InvalidGroup.NotFound", "InvalidGroupId.NotFound"]) => Ok(()),
        answer => answer,
    }
}

async fn revoke_present(clients: &Clients, group: &SecurityGroupId, ids: &BTreeSet<String>) -> Result<(), CloudError> {
    const OPERATION: &str = "ec2 RevokeSecurityGroupIngress";
    // Naming a rule that is gone would revoke none of them (`aws-facts.md` 6.1), so look first.
    let present = group_rules::by_id(clients, ids).await?;
    let present: Vec<String> = present
        .into_iter()
        .filter(|found| &found.group == group)
        .map(|found| found.id)
        .collect();
    if present.is_empty() {
        return Ok(());
    }
    let request = clients.ec2.revoke_security_group_ingress().group_id(group.as_str());
    let request = request.set_security_group_rule_ids(Some(present));
    let answer = call(OPERATION, request.send()).await?;
    if answer.unknown_ip_permissions().is_empty() {
        Ok(())
    } else {
        Err(failure(
            OPERATION,
            ErrorKind::Conflict,
            format!("some of the rules in `{group}` that were to be revoked are not known to EC2"),
            "plan again: the group's rules have changed",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: &str) -> FoundRule {
        FoundRule {
            id: "sgr-1".into(),
            group: "sg-0a".parse().unwrap(),
            is_egress: false,
            rule: rule.parse().unwrap(),
            description: Some(DESCRIPTION.into()),
            tags: [("k".to_owned(), "v".to_owned())].into(),
        }
    }

    #[test]
    fn a_rule_for_one_group_at_one_port_is_read() {
        let actual = actual(&found("tcp 443 sg-0b")).unwrap();
        assert_eq!(actual.id, "sgr-1");
        assert_eq!(
            actual.spec,
            Spec::InstanceIngress(InstanceIngress {
                group: "sg-0a".parse().unwrap(),
                port: 443,
                source: Ref::Known("sg-0b".into()),
                tags: [("k".to_owned(), "v".to_owned())].into(),
            })
        );
    }

    #[test]
    fn other_rules_are_not_of_this_kind() {
        for rule in ["tcp 443 0.0.0.0/0", "tcp 80..443 sg-0b", "all sg-0b"] {
            assert_eq!(actual(&found(rule)), None, "{rule}");
        }
    }
}
