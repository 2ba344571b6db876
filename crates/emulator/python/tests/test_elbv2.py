"""Load balancers and target groups, as AWS documents them."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import REGION, Emulator, eventually, refused
from scene import Site, alias, build_site, change, new_zone, unique


@pytest.fixture(scope="module")
def built(shared_emulator: Emulator) -> Site:
    return build_site(shared_emulator)


@pytest.fixture
def site(emulator: Emulator, built: Site) -> Site:
    return built


def new_group(site: Site) -> str:
    answer = site.ec2.create_security_group(GroupName=unique(), Description="d", VpcId=site.vpc)
    return str(answer["GroupId"])


def describe(site: Site, arn: str) -> dict[str, Any]:
    return dict(site.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0])


def interfaces(site: Site, group: str) -> list[dict[str, Any]]:
    answer = site.ec2.describe_network_interfaces(Filters=[{"Name": "group-id", "Values": [group]}])
    return list(answer["NetworkInterfaces"])


class TestLoadBalancers:
    def test_provisioning_then_active(self, site: Site) -> None:
        name = unique("Lb")
        created = site.balancer(name)
        assert created["State"]["Code"] == "provisioning"
        assert created["DNSName"].startswith(f"{name}-")
        assert created["DNSName"].endswith(f".{REGION}.elb.amazonaws.com")
        assert created["CanonicalHostedZoneId"] == "Z14GRHDCWA56QT"
        assert created["Scheme"] == "internet-facing" and created["VpcId"] == site.vpc
        assert {zone["SubnetId"] for zone in created["AvailabilityZones"]} == set(site.subnets)
        arn = created["LoadBalancerArn"]
        eventually(lambda: describe(site, arn)["State"]["Code"] == "active")

    def test_same_settings_same_balancer(self, site: Site) -> None:
        name = unique("lb")
        first = site.balancer(name)
        again = site.balancer(name, Subnets=list(reversed(site.subnets)))
        assert again["LoadBalancerArn"] == first["LoadBalancerArn"]
        message = refused(
            "DuplicateLoadBalancerName", lambda: site.balancer(name, Scheme="internal")
        )
        assert "different settings" in message

    @pytest.mark.parametrize("name", ["x" * 33, "internal-x", "-x", "x-", "a_b", "ä"])
    def test_names(self, site: Site, name: str) -> None:
        refused("ValidationError", lambda: site.balancer(name))

    def test_subnets(self, site: Site) -> None:
        extra = site.ec2.create_subnet(
            VpcId=site.vpc, CidrBlock="10.0.7.0/24", AvailabilityZone=f"{REGION}a"
        )["Subnet"]["SubnetId"]
        small = site.ec2.create_subnet(
            VpcId=site.vpc, CidrBlock="10.0.8.0/28", AvailabilityZone=f"{REGION}d"
        )["Subnet"]["SubnetId"]
        one = site.subnets[0]
        refused("ValidationError", lambda: site.balancer(Subnets=[one]))
        refused("InvalidConfigurationRequest", lambda: site.balancer(Subnets=[one, extra]))
        refused("SubnetNotFound", lambda: site.balancer(Subnets=[one, "subnet-0123456789abcdef0"]))
        refused("InvalidSubnet", lambda: site.balancer(Subnets=[one, small]))
        refused("InvalidSubnet", lambda: site.balancer(IpAddressType="dualstack"))
        arn = site.balancer()["LoadBalancerArn"]
        for wanted, code in (("dualstack", "InvalidSubnet"), ("ipv6", "ValidationError")):
            refused(
                code, site.elb.set_ip_address_type, LoadBalancerArn=arn, IpAddressType=wanted
            )

    def test_groups(self, site: Site) -> None:
        refused(
            "InvalidSecurityGroup",
            lambda: site.balancer(SecurityGroups=["sg-0123456789abcdef0"]),
        )

    def test_internet_gateway(self, site: Site) -> None:
        vpc = site.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            site.ec2.create_subnet(
                VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
            )["Subnet"]["SubnetId"]
            for number, zone in enumerate("ac")
        ]
        message = refused(
            "InvalidSubnet", lambda: site.balancer(Subnets=subnets, SecurityGroups=[])
        )
        assert "no internet gateway" in message
        site.balancer(Subnets=subnets, SecurityGroups=[], Scheme="internal")

    def test_attributes(self, site: Site) -> None:
        arn = site.balancer()["LoadBalancerArn"]

        def attributes() -> dict[str, str]:
            answer = site.elb.describe_load_balancer_attributes(LoadBalancerArn=arn)
            return {one["Key"]: one["Value"] for one in answer["Attributes"]}

        def modify(key: str, value: str) -> None:
            site.elb.modify_load_balancer_attributes(
                LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}]
            )

        defaults = attributes()
        assert len(defaults) > 20
        assert defaults["idle_timeout.timeout_seconds"] == "60"
        assert defaults["load_balancing.cross_zone.enabled"] == "true"
        assert defaults["routing.http.drop_invalid_header_fields.enabled"] == "false"
        modify("idle_timeout.timeout_seconds", "120")
        assert attributes()["idle_timeout.timeout_seconds"] == "120"
        refused("ValidationError", lambda: modify("no.such.key", "1"))
        refused("ValidationError", lambda: modify("idle_timeout.timeout_seconds", "4001"))
        refused("ValidationError", lambda: modify("routing.http2.enabled", "yes"))
        refused(
            "InvalidConfigurationRequest",
            lambda: modify("load_balancing.cross_zone.enabled", "false"),
        )
        refused("ValidationError", lambda: modify("access_logs.s3.enabled", "true"))

    def test_access_logs_need_a_bucket_that_admits_them(self, site: Site) -> None:
        s3 = site.emulator.client("s3")
        bucket = unique("missing-logs")
        arn = site.balancer()["LoadBalancerArn"]

        def enable() -> None:
            site.elb.modify_load_balancer_attributes(
                LoadBalancerArn=arn,
                Attributes=[
                    {"Key": "access_logs.s3.enabled", "Value": "true"},
                    {"Key": "access_logs.s3.bucket", "Value": bucket},
                ],
            )

        refused("InvalidConfigurationRequest", enable)
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        assert "Access Denied" in refused("InvalidConfigurationRequest", enable)
        s3.put_bucket_policy(Bucket=bucket, Policy='{"Version":"2012-10-17","Statement":[]}')
        enable()
        # A bucket that the emulated S3 does not know may be another account's.
        bucket = unique("logs")
        enable()

    def test_deletion_protection(self, site: Site) -> None:
        arn = site.balancer()["LoadBalancerArn"]
        for value in ("true", "false"):
            site.elb.modify_load_balancer_attributes(
                LoadBalancerArn=arn,
                Attributes=[{"Key": "deletion_protection.enabled", "Value": value}],
            )
            if value == "true":
                refused("OperationNotPermitted", site.elb.delete_load_balancer, LoadBalancerArn=arn)
        site.elb.delete_load_balancer(LoadBalancerArn=arn)
        site.elb.delete_load_balancer(LoadBalancerArn=arn)
        refused("LoadBalancerNotFound", site.elb.describe_load_balancers, LoadBalancerArns=[arn])

    def test_interfaces_live_and_linger(self, site: Site) -> None:
        group = new_group(site)
        balancer = site.balancer(SecurityGroups=[group])
        found = interfaces(site, group)
        path = balancer["LoadBalancerArn"].split(":loadbalancer/")[1]
        assert {one["SubnetId"] for one in found} == set(site.subnets)
        for one in found:
            assert one["Description"] == f"ELB {path}" and path.startswith("app/")
            assert one["RequesterId"] == "amazon-elb" and one["RequesterManaged"]
            assert one["Status"] == "in-use"
            assert one["Attachment"]["InstanceOwnerId"] == "amazon-elb"
        refused("DependencyViolation", site.ec2.delete_security_group, GroupId=group)
        refused(
            "AuthFailure",
            site.ec2.delete_network_interface,
            NetworkInterfaceId=found[0]["NetworkInterfaceId"],
        )
        site.elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
        assert {one["Status"] for one in interfaces(site, group)} == {"available"}
        refused("DependencyViolation", site.ec2.delete_security_group, GroupId=group)
        eventually(lambda: not interfaces(site, group))
        site.ec2.delete_security_group(GroupId=group)

    def test_groups_and_subnets_are_replaced_whole(self, site: Site) -> None:
        group = new_group(site)
        arn = site.balancer()["LoadBalancerArn"]
        site.elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[group])
        assert describe(site, arn)["SecurityGroups"] == [group]
        assert len(interfaces(site, group)) == 2
        refused(
            "InvalidSecurityGroup",
            site.elb.set_security_groups,
            LoadBalancerArn=arn,
            SecurityGroups=["sg-0123456789abcdef0"],
        )
        third = site.ec2.create_subnet(
            VpcId=site.vpc, CidrBlock="10.0.9.0/24", AvailabilityZone=f"{REGION}d"
        )["Subnet"]["SubnetId"]
        site.elb.set_subnets(LoadBalancerArn=arn, Subnets=[*site.subnets, third])
        assert len(describe(site, arn)["AvailabilityZones"]) == 3
        eventually(lambda: len(interfaces(site, group)) == 3)
        refused("ValidationError", site.elb.set_subnets, LoadBalancerArn=arn, Subnets=[third])
        refused(
            "InvalidSubnet",
            site.elb.set_ip_address_type,
            LoadBalancerArn=arn,
            IpAddressType="dualstack",
        )

    def test_pages(self, site: Site) -> None:
        arns = {site.balancer()["LoadBalancerArn"] for _ in range(3)}
        pages = list(
            site.elb.get_paginator("describe_load_balancers").paginate(
                PaginationConfig={"PageSize": 2}
            )
        )
        assert all(len(page["LoadBalancers"]) <= 2 for page in pages)
        found = [one["LoadBalancerArn"] for page in pages for one in page["LoadBalancers"]]
        assert arns <= set(found) and len(found) == len(set(found))

    def test_fresh_balancer_is_unknown_for_a_moment(self, emulator: Emulator, site: Site) -> None:
        emulator.control("PUT", "settings", {"fresh_unknown_for": 5})
        # The VPC's default group is not fresh.
        arn = site.balancer(SecurityGroups=[])["LoadBalancerArn"]
        refused("LoadBalancerNotFound", describe, site=site, arn=arn)
        emulator.control("PUT", "settings", {"fresh_unknown_for": 0})
        assert describe(site, arn)["LoadBalancerArn"] == arn

    def test_alias_goes_to_the_zone_of_the_balancer(self, emulator: Emulator, site: Site) -> None:
        balancer = site.balancer(unique("Mixed"))
        domain = f"{unique('a')}.example.com"
        zone = new_zone(emulator, domain)
        target = f"dualstack.{balancer['DNSName']}"
        message = refused(
            "InvalidChangeBatch",
            lambda: change(emulator, zone, ("CREATE", alias(domain, target, "Z35SXDOTRQ7X7K"))),
        )
        assert "does not lie within the target zone" in message
        change(
            emulator,
            zone,
            ("CREATE", alias(domain, target, balancer["CanonicalHostedZoneId"])),
        )
        records = emulator.client("route53").list_resource_record_sets(HostedZoneId=zone)
        stored = records["ResourceRecordSets"][0]["AliasTarget"]
        assert stored["DNSName"] == f"{target.lower()}."


class TestTargetGroups:
    def test_health_checks_speak_http_by_default(self, site: Site) -> None:
        found = site.elb.describe_target_groups(TargetGroupArns=[site.group()])["TargetGroups"][0]
        assert found["Protocol"] == "HTTPS" and found["HealthCheckProtocol"] == "HTTP"
        assert found["HealthCheckPort"] == "traffic-port" and found["HealthCheckPath"] == "/"
        assert (found["HealthCheckIntervalSeconds"], found["HealthCheckTimeoutSeconds"]) == (30, 5)
        assert (found["HealthyThresholdCount"], found["UnhealthyThresholdCount"]) == (5, 2)
        assert found["Matcher"] == {"HttpCode": "200"} and found["TargetType"] == "instance"
        assert found["LoadBalancerArns"] == []

    def test_same_settings_same_group(self, site: Site) -> None:
        name = unique("tg")
        first = site.group(name, HealthCheckPath="/health", Matcher={"HttpCode": "200-299"})
        again = site.group(name, HealthCheckPath="/health", Matcher={"HttpCode": "200-299"})
        assert again == first
        message = refused("DuplicateTargetGroupName", lambda: site.group(name))
        assert "different settings" in message

    @pytest.mark.parametrize(
        "setting",
        [
            {"HealthCheckIntervalSeconds": 4},
            {"HealthCheckTimeoutSeconds": 121},
            {"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 10},
            {"HealthyThresholdCount": 1},
            {"UnhealthyThresholdCount": 11},
            {"HealthCheckPath": "health"},
            {"HealthCheckPort": "0"},
            {"Matcher": {"HttpCode": "500"}},
            {"Matcher": {"HttpCode": "199-299"}},
        ],
    )
    def test_limits(self, site: Site, setting: dict[str, Any]) -> None:
        refused("ValidationError", lambda: site.group(**setting))
        arn = site.group()
        refused(
            "ValidationError", lambda: site.elb.modify_target_group(TargetGroupArn=arn, **setting)
        )

    def test_modification(self, site: Site) -> None:
        arn = site.group()
        site.elb.modify_target_group(
            TargetGroupArn=arn,
            HealthCheckProtocol="HTTPS",
            HealthCheckPort="8443",
            HealthCheckPath="/up",
            HealthCheckIntervalSeconds=10,
            HealthCheckTimeoutSeconds=4,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=3,
            Matcher={"HttpCode": "200,301-302"},
        )
        found = site.elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
        assert found["HealthCheckProtocol"] == "HTTPS" and found["HealthCheckPort"] == "8443"
        assert found["HealthCheckPath"] == "/up" and found["Matcher"]["HttpCode"] == "200,301-302"
        assert (found["HealthCheckIntervalSeconds"], found["HealthCheckTimeoutSeconds"]) == (10, 4)
        assert (found["HealthyThresholdCount"], found["UnhealthyThresholdCount"]) == (2, 3)

    def test_attributes(self, site: Site) -> None:
        arn = site.group()

        def modify(key: str, value: str) -> Any:
            return site.elb.modify_target_group_attributes(
                TargetGroupArn=arn, Attributes=[{"Key": key, "Value": value}]
            )["Attributes"]

        changed = modify("deregistration_delay.timeout_seconds", "10")
        assert len(changed) == 14
        answer = site.elb.describe_target_group_attributes(TargetGroupArn=arn)
        values = {one["Key"]: one["Value"] for one in answer["Attributes"]}
        assert values["deregistration_delay.timeout_seconds"] == "10"
        assert values["load_balancing.cross_zone.enabled"] == "use_load_balancer_configuration"
        refused("ValidationError", lambda: modify("no.such.key", "1"))
        refused("ValidationError", lambda: modify("deregistration_delay.timeout_seconds", "3601"))
        modify("slow_start.duration_seconds", "30")
        refused(
            "InvalidConfigurationRequest",
            lambda: modify("load_balancing.algorithm.type", "least_outstanding_requests"),
        )
        modify("stickiness.enabled", "true")
        for kind in ("app_cookie", "source_ip"):
            refused("InvalidConfigurationRequest", lambda kind=kind: modify("stickiness.type", kind))
        modify("stickiness.lb_cookie.duration_seconds", "604800")
        for key, wrong in (
            ("stickiness.enabled", "yes"),
            ("stickiness.lb_cookie.duration_seconds", "0"),
            ("stickiness.lb_cookie.duration_seconds", "604801"),
            ("slow_start.duration_seconds", "29"),
            ("slow_start.duration_seconds", "901"),
            ("deregistration_delay.timeout_seconds", "-1"),
        ):
            refused("ValidationError", lambda key=key, wrong=wrong: modify(key, wrong))

    def test_deletion(self, site: Site) -> None:
        arn = site.group()
        balancer = site.balancer()["LoadBalancerArn"]
        listener = site.listener(balancer, arn)["ListenerArn"]
        refused("ResourceInUse", site.elb.delete_target_group, TargetGroupArn=arn)
        found = site.elb.describe_target_groups(LoadBalancerArn=balancer)["TargetGroups"]
        assert [one["LoadBalancerArns"] for one in found] == [[balancer]]
        site.elb.delete_load_balancer(LoadBalancerArn=balancer)
        refused("ListenerNotFound", site.elb.describe_listeners, ListenerArns=[listener])
        found = site.elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
        assert found[0]["LoadBalancerArns"] == []
        # The reference outlives the listener for a moment.
        refused("ResourceInUse", site.elb.delete_target_group, TargetGroupArn=arn)

        def deleted() -> bool:
            try:
                site.elb.delete_target_group(TargetGroupArn=arn)
            except site.elb.exceptions.ResourceInUseException:
                return False
            return True

        eventually(deleted)
        site.elb.delete_target_group(TargetGroupArn=arn)
        refused("TargetGroupNotFound", site.elb.describe_target_groups, TargetGroupArns=[arn])

    def test_missing_vpc_and_name(self, site: Site) -> None:
        refused("ValidationError", lambda: site.group(VpcId="vpc-0123456789abcdef0"))
        refused("ValidationError", lambda: site.group("x" * 33))
        refused("ValidationError", lambda: site.group("-x"))


class TestTags:
    def test_limits_and_unknown_resources(self, site: Site) -> None:
        arn = site.group(Tags=[{"Key": "stack", "Value": "www"}])
        described = site.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
        assert described == [{"ResourceArn": arn, "Tags": [{"Key": "stack", "Value": "www"}]}]
        refused("ValidationError", site.elb.describe_tags, ResourceArns=[arn] * 21)
        gone = site.balancer()["LoadBalancerArn"]
        site.elb.delete_load_balancer(LoadBalancerArn=gone)
        refused("LoadBalancerNotFound", site.elb.describe_tags, ResourceArns=[gone])
        refused("TargetGroupNotFound", site.elb.describe_tags, ResourceArns=[arn + "0"])

    def test_tags_come_late(self, emulator: Emulator, site: Site) -> None:
        emulator.control("PUT", "settings", {"tags_late_by": 0.2})
        arn = site.group(Tags=[{"Key": "stack", "Value": "www"}])

        def tags() -> Any:
            return site.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]

        assert tags() == []
        assert eventually(tags) == [{"Key": "stack", "Value": "www"}]


def test_fifty_tags(site: Site) -> None:
    arn = site.group()
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    refused("TooManyTags", site.elb.add_tags, ResourceArns=[arn], Tags=tags)
    site.elb.add_tags(ResourceArns=[arn], Tags=tags[:50])
    refused("TooManyTags", site.elb.add_tags, ResourceArns=[arn], Tags=tags[50:])
    found = site.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"]
    assert len(found) == 50
