"""Security groups and instances, as AWS documents them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Emulator, eventually, refused
from scene import Site, build_site, unique


@pytest.fixture(scope="module")
def site(shared_emulator: Emulator) -> Site:
    return build_site(shared_emulator)


@pytest.fixture
def group(emulator: Emulator, site: Site) -> str:
    answer = site.ec2.create_security_group(GroupName=unique(), Description="d", VpcId=site.vpc)
    return str(answer["GroupId"])


def tcp(port: int, **sources: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **sources}


def blocks(*values: str, **more: str) -> list[dict[str, str]]:
    return [{"CidrIp": value, **more} for value in values]


def rules(site: Site, group: str, egress: bool = False) -> list[dict[str, Any]]:
    pages = site.ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": [group]}]
    )
    found = [rule for page in pages for rule in page["SecurityGroupRules"]]
    return [rule for rule in found if rule["IsEgress"] is egress]


def authorize(site: Site, group: str, *permissions: dict[str, Any], **more: Any) -> Any:
    return site.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=list(permissions), **more
    )


def test_blocks_are_canonical_and_duplicates_too(site: Site, group: str) -> None:
    answer = authorize(
        site, group, tcp(80, IpRanges=blocks("10.0.0.5/8")), tcp(443, IpRanges=blocks("0.0.0.0/0"))
    )
    assert len(answer["SecurityGroupRules"]) == 2
    assert {rule["CidrIpv4"] for rule in rules(site, group)} == {"10.0.0.0/8", "0.0.0.0/0"}
    refused(
        "InvalidPermission.Duplicate",
        lambda: authorize(site, group, tcp(80, IpRanges=blocks("10.9.9.9/8"))),
    )
    v6 = tcp(80, Ipv6Ranges=[{"CidrIpv6": "0:0::/0"}])
    assert authorize(site, group, v6)["SecurityGroupRules"][0]["CidrIpv6"] == "::/0"


def test_authorize_is_all_or_nothing(site: Site, group: str) -> None:
    authorize(site, group, tcp(80, IpRanges=blocks("192.0.2.0/24")))
    refused(
        "InvalidPermission.Duplicate",
        lambda: authorize(
            site,
            group,
            tcp(81, IpRanges=blocks("192.0.2.0/24")),
            tcp(80, IpRanges=blocks("192.0.2.0/24")),
        ),
    )
    refused(
        "InvalidParameterValue",
        lambda: authorize(site, group, tcp(82, IpRanges=blocks("192.0.2.1/24", "192.0.2.2/24"))),
    )
    assert [rule["FromPort"] for rule in rules(site, group)] == [80]


def test_rules_have_ids_tags_and_references(site: Site, group: str) -> None:
    answer = authorize(
        site,
        group,
        tcp(
            443, UserIdGroupPairs=[{"GroupId": site.balancer_group, "Description": "from the ALB"}]
        ),
        TagSpecifications=[
            {"ResourceType": "security-group-rule", "Tags": [{"Key": "stack", "Value": "www"}]}
        ],
    )
    rule = rules(site, group)[0]
    assert rule["SecurityGroupRuleId"] == answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    assert rule["SecurityGroupRuleId"].startswith("sgr-")
    assert rule["ReferencedGroupInfo"]["GroupId"] == site.balancer_group
    assert rule["Description"] == "from the ALB"
    assert rule["Tags"] == [{"Key": "stack", "Value": "www"}]
    assert rule["GroupOwnerId"] == "123456789012" and "CidrIpv4" not in rule
    described = site.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    pair = described["IpPermissions"][0]["UserIdGroupPairs"][0]
    assert (pair["GroupId"], pair["UserId"]) == (site.balancer_group, "123456789012")
    tagged = site.ec2.describe_security_group_rules(
        Filters=[{"Name": "tag:stack", "Values": ["www"]}]
    )["SecurityGroupRules"]
    assert rule["SecurityGroupRuleId"] in [one["SecurityGroupRuleId"] for one in tagged]


def test_protocol_numbers_and_all(site: Site, group: str) -> None:
    authorize(
        site,
        group,
        {"IpProtocol": "6", "FromPort": 22, "ToPort": 22, "IpRanges": blocks("192.0.2.1/32")},
        {"IpProtocol": "-1", "FromPort": 1, "ToPort": 2, "IpRanges": blocks("192.0.2.1/32")},
    )
    found = {rule["IpProtocol"]: (rule["FromPort"], rule["ToPort"]) for rule in rules(site, group)}
    assert found == {"tcp": (22, 22), "-1": (-1, -1)}
    described = site.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    everything = next(one for one in described["IpPermissions"] if one["IpProtocol"] == "-1")
    assert "FromPort" not in everything


def test_bad_rules(site: Site, group: str) -> None:
    for bad in (
        {"IpProtocol": "tcp", "IpRanges": blocks("192.0.2.0/24")},
        tcp(80, IpRanges=blocks("192.0.2.0/33")),
        tcp(80, IpRanges=blocks("nonsense")),
        tcp(80, IpRanges=blocks("192.0.2.0/24", Description="é")),
    ):
        refused("InvalidParameterValue", lambda bad=bad: authorize(site, group, bad))
    unknown = [{"GroupId": "sg-0123456789abcdef0"}]
    refused(
        "InvalidGroup.NotFound", lambda: authorize(site, group, tcp(80, UserIdGroupPairs=unknown))
    )


def test_revoke_by_id_and_by_properties(site: Site, group: str) -> None:
    authorize(site, group, tcp(80, IpRanges=blocks("0.0.0.0/0", "192.0.2.0/24")))
    revoke = site.ec2.revoke_security_group_ingress
    first, second = (rule["SecurityGroupRuleId"] for rule in rules(site, group))
    refused(
        "InvalidSecurityGroupRuleId.NotFound",
        revoke,
        GroupId=group,
        SecurityGroupRuleIds=[first, "sgr-0123456789abcdef0"],
    )
    refused(
        "InvalidPermission.NotFound",
        revoke,
        GroupId=group,
        IpPermissions=[tcp(80, IpRanges=blocks("0.0.0.0/0", "198.51.100.0/24"))],
    )
    assert len(rules(site, group)) == 2
    revoke(GroupId=group, SecurityGroupRuleIds=[first])
    assert [rule["SecurityGroupRuleId"] for rule in rules(site, group)] == [second]
    revoke(GroupId=group, IpPermissions=[tcp(80, IpRanges=blocks("192.0.2.77/24"))])
    assert rules(site, group) == []


def test_revoking_nothing_in_a_default_vpc(emulator: Emulator, site: Site) -> None:
    group = site.ec2.create_security_group(GroupName=unique(), Description="d")["GroupId"]
    answer = site.ec2.revoke_security_group_ingress(
        GroupId=group, IpPermissions=[tcp(80, IpRanges=blocks("192.0.2.0/24"))]
    )
    assert answer["UnknownIpPermissions"][0]["FromPort"] == 80


def test_a_fresh_group_lets_everything_out(site: Site, group: str) -> None:
    egress = rules(site, group, egress=True)
    assert [(rule["IpProtocol"], rule["CidrIpv4"]) for rule in egress] == [("-1", "0.0.0.0/0")]
    site.ec2.revoke_security_group_egress(
        GroupId=group, SecurityGroupRuleIds=[egress[0]["SecurityGroupRuleId"]]
    )
    site.ec2.authorize_security_group_egress(
        GroupId=group,
        IpPermissions=[tcp(443, UserIdGroupPairs=[{"GroupId": site.instance_group}])],
    )
    assert [rule["FromPort"] for rule in rules(site, group, egress=True)] == [443]


def test_names(site: Site, group: str) -> None:
    create = site.ec2.create_security_group
    name = unique()
    create(GroupName=name, Description="d", VpcId=site.vpc)
    refused(
        "InvalidGroup.Duplicate", create, GroupName=name.upper(), Description="d", VpcId=site.vpc
    )
    refused("InvalidParameterValue", create, GroupName="sg-mine", Description="d", VpcId=site.vpc)
    refused("InvalidParameterValue", create, GroupName=unique(), Description="é", VpcId=site.vpc)
    refused(
        "InvalidVpcID.NotFound",
        create,
        GroupName=unique(),
        Description="d",
        VpcId="vpc-0123456789abcdef0",
    )


def test_groups_in_use_stay(site: Site, group: str) -> None:
    delete = site.ec2.delete_security_group
    refused("DependencyViolation", delete, GroupId=site.instance_group)
    authorize(site, group, tcp(80, UserIdGroupPairs=[{"GroupId": group}]))
    other = site.ec2.create_security_group(GroupName=unique(), Description="d", VpcId=site.vpc)
    authorize(site, other["GroupId"], tcp(80, UserIdGroupPairs=[{"GroupId": group}]))
    refused("DependencyViolation", delete, GroupId=group)
    delete(GroupId=other["GroupId"])
    # A rule of its own that names itself does not hold a group.
    delete(GroupId=group)
    refused("InvalidGroup.NotFound", delete, GroupId=group)


def test_pages_of_groups_and_rules(site: Site, group: str) -> None:
    for _ in range(6):
        site.ec2.create_security_group(GroupName=unique(), Description="d", VpcId=site.vpc)
    first = site.ec2.describe_security_groups(MaxResults=5)
    assert len(first["SecurityGroups"]) == 5 and first["NextToken"]
    authorize(site, group, *[tcp(port, IpRanges=blocks("192.0.2.0/24")) for port in range(1, 9)])
    page = site.ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [group]}], MaxResults=5
    )
    assert len(page["SecurityGroupRules"]) == 5 and page["NextToken"]
    assert len(rules(site, group)) == 8
    refused("InvalidParameterValue", site.ec2.describe_security_groups, MaxResults=4)


def test_fresh_group_is_unknown_for_a_moment(emulator: Emulator, site: Site) -> None:
    emulator.control("PUT", "settings", {"fresh_unknown_for": 5})
    group = site.ec2.create_security_group(GroupName=unique(), Description="d", VpcId=site.vpc)[
        "GroupId"
    ]
    refused("InvalidGroup.NotFound", site.ec2.describe_security_groups, GroupIds=[group])
    refused(
        "InvalidGroup.NotFound",
        lambda: authorize(site, group, tcp(80, IpRanges=blocks("192.0.2.0/24"))),
    )
    emulator.control("PUT", "settings", {"fresh_unknown_for": 0})
    authorize(site, group, tcp(80, IpRanges=blocks("192.0.2.0/24")))


def test_fresh_rules_are_missing_for_a_moment(emulator: Emulator, site: Site, group: str) -> None:
    permission = tcp(80, IpRanges=blocks("192.0.2.0/24"))
    emulator.control("PUT", "settings", {"fresh_unknown_for": 0.3})

    def described() -> Any:
        return site.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]

    eventually(lambda: not_refused(described))
    authorize(site, group, permission)
    assert rules(site, group) == [] and described()["IpPermissions"] == []
    refused("InvalidPermission.Duplicate", lambda: authorize(site, group, permission))
    eventually(lambda: rules(site, group) and described()["IpPermissions"])


def not_refused(call: Any) -> bool:
    """Whether a call is answered."""
    try:
        return bool(call())
    except ClientError:
        return False


def test_instance_ids(site: Site) -> None:
    describe = site.ec2.describe_instances
    refused("InvalidInstanceID.Malformed", describe, InstanceIds=["xyz"])
    refused("InvalidInstanceID.NotFound", describe, InstanceIds=["i-0123456789abcdef0"])


def test_dry_run_changes_nothing(site: Site, group: str) -> None:
    refused(
        "DryRunOperation",
        lambda: authorize(site, group, tcp(80, IpRanges=blocks("192.0.2.0/24")), DryRun=True),
    )
    assert rules(site, group) == []


def test_the_state_of_an_ipv6_block_is_a_word(site: Site) -> None:
    answer = site.ec2.create_vpc(CidrBlock="10.30.0.0/16", AmazonProvidedIpv6CidrBlock=True)
    vpc = answer["Vpc"]["VpcId"]
    [told] = site.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    block = told["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].replace("/56", "/64")
    answer = site.ec2.create_subnet(VpcId=vpc, CidrBlock="10.30.0.0/24", Ipv6CidrBlock=block)
    made = answer["Subnet"]
    [seen] = site.ec2.describe_subnets(SubnetIds=[made["SubnetId"]])["Subnets"]
    for subnet in (made, seen):
        [association] = subnet["Ipv6CidrBlockAssociationSet"]
        assert association["Ipv6CidrBlock"] == block
        assert association["Ipv6CidrBlockState"]["State"] == "associated"
