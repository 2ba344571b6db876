//! The rules of security groups: one rule, one peer, one id (`aws-facts.md` 6.1).

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId, ResourceType, SecurityGroupRule, Tag, TagSpecification,
    UserIdGroupPair,
};
use reconcile_core::{
    resource::{Peer, Rule, Tags},
    value::SecurityGroupId,
};
use reconcile_engine::CloudError;

use crate::{clients::Clients, error::call, ownership::missing_tags, paging::Pages, retry::while_fresh};

/// A rule as EC2 holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundRule {
    /// Its id, `sgr-...`.
    pub(crate) id: String,
    /// The group that it is a rule of.
    pub(crate) group: SecurityGroupId,
    /// Whether it is about what leaves.
    pub(crate) is_egress: bool,
    /// What may pass.
    pub(crate) rule: Rule,
    /// Its description.
    pub(crate) description: Option<String>,
    /// Its tags.
    pub(crate) tags: Tags,
}

/// The rules of these groups, in both directions.
pub(crate) async fn of_groups(
    clients: &Clients,
    groups: &BTreeSet<SecurityGroupId>,
) -> Result<Vec<FoundRule>, CloudError> {
    matching(clients, "group-id", groups.iter().map(ToString::to_string).collect()).await
}

/// The rules with these ids that still exist.
pub(crate) async fn by_id(clients: &Clients, ids: &BTreeSet<String>) -> Result<Vec<FoundRule>, CloudError> {
    // A filter, because naming the ids outright fails as a whole when one of them is gone.
    matching(clients, "security-group-rule-id", ids.iter().cloned().collect()).await
}

async fn matching(clients: &Clients, key: &str, values: Vec<String>) -> Result<Vec<FoundRule>, CloudError> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let filter = filter(key, values);
    let mut found = Vec::new();
    let mut pages = Pages::new("ec2 DescribeSecurityGroupRules");
    loop {
        let request = clients.ec2.describe_security_group_rules().filters(filter.clone());
        let request = request.max_results(1000).set_next_token(pages.token());
        let answer = call(pages.operation(), request.send()).await?;
        found.extend(answer.security_group_rules().iter().filter_map(found_rule));
        if !pages.advance(answer.next_token())? {
            return Ok(found);
        }
    }
}

/// A filter of EC2.
pub(crate) fn filter(key: &str, values: Vec<String>) -> Filter {
    Filter::builder().name(key).set_values(Some(values)).build()
}

/// Reads one rule; `None` if it has no peer that can be told, which EC2 does not answer.
fn found_rule(rule: &SecurityGroupRule) -> Option<FoundRule> {
    let peer: Peer = [
        rule.cidr_ipv4(),
        rule.cidr_ipv6(),
        rule.prefix_list_id(),
        rule.referenced_group_info().and_then(|info| info.group_id()),
    ]
    .into_iter()
    .flatten()
    .find_map(|text| text.parse().ok())?;
    Some(FoundRule {
        id: rule.security_group_rule_id()?.to_owned(),
        group: rule.group_id()?.parse().ok()?,
        is_egress: rule.is_egress().unwrap_or_default(),
        rule: Rule::normalised(
            rule.ip_protocol().unwrap_or("-1"),
            rule.from_port(),
            rule.to_port(),
            peer,
        ),
        description: rule
            .description()
            .filter(|description| !description.is_empty())
            .map(str::to_owned),
        tags: tags_of(rule.tags()),
    })
}

/// A rule in the form in which it is authorised.
pub(crate) fn permission(rule: &Rule, description: Option<&str>) -> IpPermission {
    let protocol = if rule.protocol == "all" { "-1" } else { &rule.protocol };
    let description = description.map(str::to_owned);
    let mut permission = IpPermission::builder().ip_protocol(protocol);
    if let Some((from, to)) = rule.ports {
        permission = permission.from_port(from).to_port(to);
    }
    match &rule.peer {
        Peer::Cidr(cidr) if cidr.is_ipv4() => permission.ip_ranges(
            IpRange::builder()
                .cidr_ip(cidr.to_string())
                .set_description(description)
                .build(),
        ),
        Peer::Cidr(cidr) => permission.ipv6_ranges(
            Ipv6Range::builder()
                .cidr_ipv6(cidr.to_string())
                .set_description(description)
                .build(),
        ),
        Peer::Group(group) => permission.user_id_group_pairs(
            UserIdGroupPair::builder()
                .group_id(group.as_str())
                .set_description(description)
                .build(),
        ),
        Peer::PrefixList(list) => permission.prefix_list_ids(
            PrefixListId::builder()
                .prefix_list_id(list)
                .set_description(description)
                .build(),
        ),
    }
    .build()
}

/// EC2's tags as a map.
pub(crate) fn tags_of(tags: &[Tag]) -> Tags {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

/// A map as EC2's tags.
pub(crate) fn sdk_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

/// Tags for what a call creates.
pub(crate) fn tag_specification(resource: ResourceType, tags: &Tags) -> Option<Vec<TagSpecification>> {
    let specification = TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(sdk_tags(tags)));
    (!tags.is_empty()).then(|| vec![specification.build()])
}

/// Sets those of the wanted tags that are not as wanted; tags of others stay.
pub(crate) async fn set_tags(clients: &Clients, id: &str, observed: &Tags, desired: &Tags) -> Result<(), CloudError> {
    let missing = missing_tags(observed, desired);
    if missing.is_empty() {
        return Ok(());
    }
    let request = clients.ec2.create_tags().resources(id);
    let request = request.set_tags(Some(sdk_tags(&missing)));
    // What has just been made may be unknown to this call for a moment (`aws-facts.md` 7.1).
    let fresh = [
        "InvalidGroup.NotFound",
        "InvalidGroupId.NotFound",
        "InvalidID",
        "InvalidSecurityGroupRuleId.NotFound",
    ];
    while_fresh(&fresh, || call("ec2 CreateTags", request.clone().send())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::ReferencedSecurityGroup;

    use super::*;

    fn described() -> aws_sdk_ec2::types::builders::SecurityGroupRuleBuilder {
        SecurityGroupRule::builder()
            .security_group_rule_id("sgr-1")
            .group_id("sg-0a1b")
            .is_egress(false)
    }

    #[test]
    fn a_described_rule_becomes_one_rule() {
        let rule = described().ip_protocol("tcp").from_port(443).to_port(443);
        let rule = rule.cidr_ipv6("0:0::/0").description("");
        let rule = rule.tags(Tag::builder().key("a").value("b").build()).build();
        let found = found_rule(&rule).unwrap();
        assert_eq!(found.rule.to_string(), "tcp 443 ::/0");
        assert_eq!(found.description, None);
        assert_eq!(found.tags, Tags::from([("a".into(), "b".into())]));
    }

    #[test]
    fn all_protocols_have_no_ports_and_groups_are_peers() {
        let peer = ReferencedSecurityGroup::builder()
            .group_id("sg-0c")
            .user_id("1")
            .build();
        let rule = described().ip_protocol("-1").from_port(-1).to_port(-1);
        let found = found_rule(&rule.referenced_group_info(peer).build()).unwrap();
        assert_eq!(found.rule.to_string(), "all sg-0c");
    }

    #[test]
    fn permissions_say_the_same_as_rules() {
        let sent = |text: &str| permission(&text.parse().unwrap(), Some("why"));
        let world = sent("tcp 80..443 0.0.0.0/0");
        assert_eq!((world.from_port(), world.to_port()), (Some(80), Some(443)));
        assert_eq!(world.ip_ranges()[0].cidr_ip(), Some("0.0.0.0/0"));
        assert_eq!(world.ip_ranges()[0].description(), Some("why"));
        let all = sent("all ::/0");
        assert_eq!(all.ip_protocol(), Some("-1"));
        assert_eq!((all.from_port(), all.ipv6_ranges().len()), (None, 1));
        assert_eq!(sent("tcp 443 sg-0c").user_id_group_pairs()[0].group_id(), Some("sg-0c"));
        assert_eq!(
            sent("tcp 443 pl-12").prefix_list_ids()[0].prefix_list_id(),
            Some("pl-12")
        );
    }
}
