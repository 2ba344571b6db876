"""Security groups: names, rules in canonical form, deletion."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupRule
from moto.ec2.responses.security_groups import SecurityGroups, parse_sg_attributes_from_dict

from ..registry import REGISTRY, Refusal
from .common import is_fresh, page, stamp

GROUP_ID = re.compile(r"sg-([0-9a-f]{8}|[0-9a-f]{17})")
RULE_ID = re.compile(r"sgr-[0-9a-f]{17}")
# Names that stand for protocol numbers (aws-facts 6.1).
PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
NAME = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}")
DESCRIPTION = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}")
RULES_PER_GROUP = 60

Permission = dict[str, Any]
Key = tuple[str, int | None, int | None, str, str]


def not_found(group_id: str) -> Refusal:
    """A group that does not exist."""
    return Refusal("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")


def group_of(response: Any) -> SecurityGroup:
    """The group of a request; a fresh one may be unknown (aws-facts 7.1)."""
    identifier = response._get_param("GroupId") or response._get_param("GroupName")
    if not identifier:
        raise Refusal("MissingParameter", "The request must contain the parameter groupId")
    if response._get_param("GroupId") and not GROUP_ID.fullmatch(identifier):
        raise Refusal("InvalidGroupId.Malformed", f'Invalid id: "{identifier}"')
    group = response.ec2_backend.get_security_group_by_name_or_id(identifier)
    if group is None or is_fresh(group):
        raise not_found(identifier)
    return group


@REGISTRY.before(SecurityGroups, "create_security_group")
def check_vpc(response: Any) -> None:
    """The VPC must exist (emulator-gaps, EC2)."""
    vpc_id = response._get_param("VpcId")
    if vpc_id and vpc_id not in response.ec2_backend.vpcs:
        raise Refusal("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")


@REGISTRY.before(SecurityGroups, "create_security_group")
def check_group_name(response: Any) -> None:
    """Names are unique in a VPC without regard to case (aws-facts 6.1)."""
    name = (response._get_param("GroupName") or "").rstrip()
    description = response._get_param("Description") or ""
    if name.startswith("sg-"):
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid value '{name}' for groupName. Group names may not be in the format sg-*",
        )
    if not NAME.fullmatch(name):
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({name}) for parameter GroupName is invalid. Character sets beyond ASCII "
            "are not supported.",
        )
    if not DESCRIPTION.fullmatch(description):
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({description}) for parameter GroupDescription is invalid. Character sets "
            "beyond ASCII are not supported.",
        )
    backend = response.ec2_backend
    vpc_id = response._get_param("VpcId") or backend.default_vpc.id
    for group in backend.groups[vpc_id].values():
        if group.name.lower() == name.lower():
            raise Refusal(
                "InvalidGroup.Duplicate",
                f"The security group '{name}' already exists for VPC '{vpc_id}'",
            )


@REGISTRY.after(SecurityGroups, "create_security_group")
def stamp_group(response: Any, result: dict[str, Any]) -> dict[str, Any]:
    """Remembers when the group was made, for reads that come too early (aws-facts 7.1)."""
    stamp(response.ec2_backend.get_security_group_from_id(result["GroupId"]))
    return result


def canonical_block(block: str, version: int) -> str:
    """A CIDR block with its host bits cleared, in its usual spelling (aws-facts 6.1)."""
    try:
        network = ipaddress.ip_network(block, strict=False)
    except ValueError:
        network = None
    if network is None or network.version != version or "/" not in block:
        raise Refusal("InvalidParameterValue", f"CIDR block {block} is malformed")
    return str(network)


def canonical_permission(given: Permission, account: str) -> Permission:
    """A permission as AWS keeps it: protocol, ports and blocks canonical (aws-facts 6.1)."""
    protocol, from_port, to_port, ranges, groups, prefixes = parse_sg_attributes_from_dict(given)
    protocol = PROTOCOLS.get(str(protocol).lower(), str(protocol).lower())
    if protocol in ("tcp", "udp", "icmp", "icmpv6"):
        from_port, to_port = checked_ports(protocol, from_port, to_port)
    else:
        # Ports are ignored for all other protocols.
        from_port = to_port = None
    blocks = []
    for item in ranges:
        check_description(item.get("Description"))
        for field, version in (("CidrIp", 4), ("CidrIpv6", 6)):
            if item.get(field):
                blocks.append({**item, field: canonical_block(item[field], version)})
    pairs = []
    for pair in groups:
        check_description(pair.get("Description"))
        pairs.append({"UserId": account, **{key: value for key, value in pair.items() if value}})
    return {
        "protocol": protocol,
        "from": from_port,
        "to": to_port,
        "blocks": blocks,
        "pairs": pairs,
        "prefixes": [dict(item) for item in prefixes],
    }


def check_description(text: str | None) -> None:
    """Descriptions are short and ASCII (aws-facts 6.1)."""
    if text is not None and not DESCRIPTION.fullmatch(text):
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid rule description '{text}'. Valid descriptions are strings less than 256 "
            "characters from the following set:  a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        )


def checked_ports(protocol: str, from_port: Any, to_port: Any) -> tuple[int, int]:
    """TCP and UDP need a range of ports; ICMP uses -1 for all."""
    if from_port is None or to_port is None:
        if protocol.startswith("icmp"):
            return -1, -1
        raise Refusal(
            "InvalidParameterValue",
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
        )
    low, high = int(from_port), int(to_port)
    if not protocol.startswith("icmp") and not 0 <= low <= high <= 65535:
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid TCP/UDP port range ({low}:{high})",
        )
    return low, high


def rules_of(permission: Permission, group: SecurityGroup, egress: bool) -> list[SecurityGroupRule]:
    """One rule for each source of a permission."""
    sources: list[tuple[Any, Any, Any]] = [
        *((block, None, None) for block in permission["blocks"]),
        *((None, pair, None) for pair in permission["pairs"]),
        *((None, None, prefix) for prefix in permission["prefixes"]),
    ]
    rules = []
    for block, pair, prefix in sources:
        rule = SecurityGroupRule(
            group.ec2_backend,
            permission["protocol"],
            group.id,
            # moto turns ports into numbers for every protocol but -1.
            str(permission["from"] if permission["from"] is not None else -1),
            str(permission["to"] if permission["to"] is not None else -1),
            block,
            pair,
            prefix,
            is_egress=egress,
        )
        rule.ip_protocol = permission["protocol"]
        rule.from_port, rule.to_port = permission["from"], permission["to"]
        rules.append(rule)
    return rules


def key_of(rule: SecurityGroupRule) -> Key:
    """What makes a rule the same as another; descriptions and tags do not (aws-facts 6.1)."""
    if rule.source_group:
        kind, value = "group", rule.source_group.get("GroupId") or ""
    elif rule.prefix_list_id:
        kind, value = "prefix", rule.prefix_list_id
    elif rule.ip_range.get("CidrIpv6"):
        kind, value = "ipv6", str(ipaddress.ip_network(rule.ip_range["CidrIpv6"], strict=False))
    else:
        kind, value = "ipv4", str(ipaddress.ip_network(rule.ip_range["CidrIp"], strict=False))
    return (rule.ip_protocol or "-1", rule.from_port, rule.to_port, kind, value)


def requested_rules(response: Any, group: SecurityGroup, egress: bool) -> list[SecurityGroupRule]:
    """The rules that a request spells out, in either of the two forms."""
    given = list(response._get_param("IpPermissions", []))
    if not given and response._get_param("IpProtocol") is not None:
        given = [response._get_params()]
    permissions = [canonical_permission(one, response.current_account) for one in given]
    for permission in permissions:
        for pair in permission["pairs"]:
            resolve_pair(response, pair)
    return [rule for one in permissions for rule in rules_of(one, group, egress)]


def resolve_pair(response: Any, pair: dict[str, Any]) -> None:
    """A referenced group must exist; it is kept by id."""
    wanted = pair.get("GroupId") or pair.pop("GroupName", None)
    source = response.ec2_backend.get_security_group_by_name_or_id(wanted)
    if source is None or is_fresh(source):
        raise not_found(str(wanted))
    pair["GroupId"] = source.id


def spelled(rule: SecurityGroupRule) -> str:
    """A rule as AWS's messages write it."""
    protocol, from_port, to_port, _, value = key_of(rule)
    ports = f", from port: {from_port}, to port: {to_port}" if from_port is not None else ""
    return f"peer: {value}, {'ALL' if protocol == '-1' else protocol.upper()}{ports}, ALLOW"


def authorize(response: Any, egress: bool) -> dict[str, Any]:
    """Adds all rules of a request or none (aws-facts 6.1)."""
    group = group_of(response)
    response.error_on_dryrun()
    present = group.egress_rules if egress else group.ingress_rules
    wanted = requested_rules(response, group, egress)
    if not wanted:
        raise Refusal("MissingParameter", "The request must contain the parameter ipPermissions")
    keys = [key_of(rule) for rule in wanted]
    if len(set(keys)) < len(keys):
        raise Refusal("InvalidParameterValue", "The same permission must not appear multiple times")
    taken = {key_of(rule) for rule in present}
    for rule in wanted:
        if key_of(rule) in taken:
            raise Refusal(
                "InvalidPermission.Duplicate",
                f'the specified rule "{spelled(rule)}" already exists',
            )
    check_rule_quota([*present, *wanted])
    tags = response._parse_tag_specification().get("security-group-rule", {})
    for rule in wanted:
        stamp(rule)
        rule.add_tags(tags)
    present.extend(wanted)
    return {"Return": True, "SecurityGroupRules": [rule_shape(rule) for rule in wanted]}


def check_rule_quota(rules: list[SecurityGroupRule]) -> None:
    """60 rules each way, IPv4 and IPv6 counted apart (aws-facts 6.2)."""
    kinds = [key_of(rule)[3] for rule in rules]
    for other in ("ipv4", "ipv6"):
        if sum(kind != other for kind in kinds) > RULES_PER_GROUP:
            raise Refusal(
                "RulesPerSecurityGroupLimitExceeded",
                "The maximum number of rules per security group has been reached.",
            )


def revoke(response: Any, egress: bool) -> dict[str, Any]:
    """Takes away all rules of a request or none (aws-facts 6.1)."""
    group = group_of(response)
    response.error_on_dryrun()
    present = group.egress_rules if egress else group.ingress_rules
    identifiers = response._get_param("SecurityGroupRuleIds", [])
    if identifiers:
        gone = [rule_by_id(present, identifier) for identifier in identifiers]
    else:
        wanted = [key_of(rule) for rule in requested_rules(response, group, egress)]
        if not wanted:
            raise Refusal(
                "MissingParameter", "The request must contain the parameter ipPermissions"
            )
        gone = [rule for rule in present if key_of(rule) in wanted]
        if len(gone) < len(set(wanted)):
            return unknown_permissions(response, group)
    kept = [rule for rule in present if rule not in gone or not any(rule is one for one in gone)]
    if egress:
        group.egress_rules = kept
    else:
        group.ingress_rules = kept
    return {"Return": True, "RevokedSecurityGroupRules": [revoked_shape(rule) for rule in gone]}


def rule_by_id(rules: list[SecurityGroupRule], identifier: str) -> SecurityGroupRule:
    """The rule of an id, or the refusal (emulator-gaps, EC2)."""
    if not RULE_ID.fullmatch(identifier):
        raise Refusal(
            "InvalidSecurityGroupRuleId.Malformed",
            f"The security group rule ID '{identifier}' is malformed",
        )
    for rule in rules:
        if rule.id == identifier:
            return rule
    raise Refusal(
        "InvalidSecurityGroupRuleId.NotFound",
        f"The security group rule ID '{identifier}' does not exist",
    )


def unknown_permissions(response: Any, group: SecurityGroup) -> dict[str, Any]:
    """Nothing fits: an error, but in a default VPC a success that says so (aws-facts 6.1)."""
    vpc = response.ec2_backend.vpcs.get(group.vpc_id)
    if vpc is None or not vpc.is_default:
        raise Refusal(
            "InvalidPermission.NotFound",
            "The specified rule does not exist in this security group.",
        )
    given = list(response._get_param("IpPermissions", [])) or [response._get_params()]
    return {"Return": True, "UnknownIpPermissions": [dict(one) for one in given]}


@REGISTRY.instead(SecurityGroups, "authorize_security_group_ingress")
def authorize_ingress(response: Any) -> dict[str, Any]:
    """Inbound rules (aws-facts 6.1)."""
    return authorize(response, egress=False)


@REGISTRY.instead(SecurityGroups, "authorize_security_group_egress")
def authorize_egress(response: Any) -> dict[str, Any]:
    """Outbound rules (aws-facts 6.1)."""
    return authorize(response, egress=True)


@REGISTRY.instead(SecurityGroups, "revoke_security_group_ingress")
def revoke_ingress(response: Any) -> dict[str, Any]:
    """Inbound rules (aws-facts 6.1)."""
    return revoke(response, egress=False)


@REGISTRY.instead(SecurityGroups, "revoke_security_group_egress")
def revoke_egress(response: Any) -> dict[str, Any]:
    """Outbound rules (aws-facts 6.1)."""
    return revoke(response, egress=True)


def rule_shape(rule: SecurityGroupRule) -> dict[str, Any]:
    """A rule as DescribeSecurityGroupRules shows it; -1 stands for no port (aws-facts 6.1)."""
    source = rule.source_group or {}
    shape: dict[str, Any] = {
        "SecurityGroupRuleId": rule.id,
        "SecurityGroupRuleArn": (
            f"arn:aws:ec2:{rule.ec2_backend.region_name}:{rule.owner_id}:"
            f"security-group-rule/{rule.id}"
        ),
        "GroupId": rule.group_id,
        "GroupOwnerId": rule.owner_id,
        "IsEgress": rule.is_egress,
        "IpProtocol": rule.ip_protocol,
        "FromPort": -1 if rule.from_port is None else rule.from_port,
        "ToPort": -1 if rule.to_port is None else rule.to_port,
        "Tags": rule.get_tags(),
    }
    description = rule.ip_range.get("Description") or source.get("Description")
    optional = {
        "CidrIpv4": rule.ip_range.get("CidrIp"),
        "CidrIpv6": rule.ip_range.get("CidrIpv6"),
        "PrefixListId": rule.prefix_list_id,
        "Description": description,
    }
    shape.update({name: value for name, value in optional.items() if value})
    if source:
        shape["ReferencedGroupInfo"] = {
            "GroupId": source.get("GroupId"),
            "UserId": source.get("UserId"),
        }
    return shape


def revoked_shape(rule: SecurityGroupRule) -> dict[str, Any]:
    """A rule as the answer to a revocation shows it."""
    shape = rule_shape(rule)
    info = shape.pop("ReferencedGroupInfo", None)
    if info:
        shape["ReferencedGroupId"] = info["GroupId"]
    return shape


def page_size(response: Any) -> int | None:
    """MaxResults, 5 to 1,000."""
    size = response._get_int_param("MaxResults")
    if size is not None and not 5 <= size <= 1000:
        raise Refusal(
            "InvalidParameterValue",
            f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between "
            "5 and 1000.",
        )
    return size


def bad_token() -> Refusal:
    """A token that no page gave."""
    return Refusal("InvalidPaginationToken", "The provided pagination token is invalid")


@REGISTRY.before(SecurityGroups, "describe_security_groups")
def check_group_ids(response: Any) -> None:
    """Ids have a form and must exist (emulator-gaps, EC2)."""
    for identifier in response._get_param("GroupIds", []):
        if not GROUP_ID.fullmatch(identifier):
            raise Refusal("InvalidGroupId.Malformed", f'Invalid id: "{identifier}"')
        group = response.ec2_backend.get_security_group_from_id(identifier)
        if group is None or is_fresh(group):
            raise not_found(identifier)


@REGISTRY.after(SecurityGroups, "describe_security_groups")
def groups_in_pages(response: Any, result: dict[str, Any]) -> dict[str, Any]:
    """Lists are paged and do not show fresh groups yet (emulator-gaps, aws-facts 7.1)."""
    known = [group for group in result["SecurityGroups"] if not is_fresh(group)]
    shown, token = page(known, page_size(response), response._get_param("NextToken"), bad_token)
    return {"SecurityGroups": shown, "NextToken": token}


@REGISTRY.patch(SecurityGroup, "ip_permissions")
def known_ingress(_: Any, group: SecurityGroup) -> Any:
    """New rules may be missing from reads at first (aws-facts 7.1)."""
    return group._flattened_rules([rule for rule in group.ingress_rules if not is_fresh(rule)])


@REGISTRY.patch(SecurityGroup, "ip_permissions_egress")
def known_egress(_: Any, group: SecurityGroup) -> Any:
    """The same for outbound rules (aws-facts 7.1)."""
    return group._flattened_rules([rule for rule in group.egress_rules if not is_fresh(rule)])


@REGISTRY.instead(SecurityGroups, "describe_security_group_rules")
def describe_security_group_rules(response: Any) -> dict[str, Any]:
    """Flat rules with ids, tags and references, in pages (aws-facts 6.1)."""
    identifiers = response._get_param("SecurityGroupRuleIds", [])
    filters = response._filters_from_querystring()
    for identifier in identifiers:
        if not RULE_ID.fullmatch(identifier):
            raise Refusal(
                "InvalidSecurityGroupRuleId.Malformed",
                f"The security group rule ID '{identifier}' is malformed",
            )
    for identifier in filters.get("group-id", []):
        if not GROUP_ID.fullmatch(identifier):
            raise Refusal("InvalidGroupId.Malformed", f'Invalid id: "{identifier}"')
    rules = response.ec2_backend.describe_security_group_rules(identifiers, filters)
    for rule in rules:
        # moto's copies carry -1 for "no port"; the shape does that itself.
        rule.from_port = (
            None if rule.from_port == -1 and rule.ip_protocol == "-1" else rule.from_port
        )
    rules = [rule for rule in rules if not is_fresh(rule)]
    shown, token = page(rules, page_size(response), response._get_param("NextToken"), bad_token)
    return {"SecurityGroupRules": [rule_shape(rule) for rule in shown], "NextToken": token}


@REGISTRY.before(SecurityGroups, "delete_security_group")
def check_deletion(response: Any) -> None:
    """A group that interfaces use or rules name stays (aws-facts 6.5)."""
    group = group_of(response)
    if group.is_default or group.name == "default":
        raise Refusal(
            "CannotDelete",
            f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user',
        )
    backend = response.ec2_backend
    used = any(
        member.id == group.id
        for interface in backend.get_all_network_interfaces()
        for member in interface.group_set
    )
    referenced = any(
        rule.source_group.get("GroupId") == group.id
        for other in backend.describe_security_groups()
        if other.id != group.id
        for rule in [*other.ingress_rules, *other.egress_rules]
    )
    if used or referenced:
        raise Refusal("DependencyViolation", f"resource {group.id} has a dependent object")
