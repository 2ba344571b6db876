"""Target registration and health, as AWS documents them."""

from __future__ import annotations

import pytest

from conftest import Emulator, eventually, refused
from scene import Site, build_site, unique

NOT_IN_USE = [("unused", "Target.NotInUse")]
HEALTHY = [("healthy", None)]


@pytest.fixture
def site(emulator: Emulator) -> Site:
    return build_site(emulator)


def serve(site: Site, group: str) -> str:
    balancer = str(site.balancer()["LoadBalancerArn"])
    site.listener(balancer, group)
    return balancer


def test_from_unused_over_initial_to_healthy(emulator: Emulator, site: Site) -> None:
    emulator.control("PUT", "settings", {"registration_after": 0.4})
    group = site.group()
    site.register(group)
    site.admit()
    assert site.health(group) == NOT_IN_USE
    serve(site, group)
    assert site.health(group) == [("initial", "Elb.RegistrationInProgress")]
    eventually(lambda: site.health(group) == [("initial", "Elb.InitialHealthChecking")])
    eventually(lambda: site.health(group) == HEALTHY)
    described = site.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"][0]
    assert described["Target"] == {"Id": site.instance, "Port": 443}
    assert described["HealthCheckPort"] == "443"


def test_security_groups_decide(site: Site) -> None:
    group = site.group()
    site.register(group)
    serve(site, group)
    eventually(lambda: site.health(group) == [("unhealthy", "Target.Timeout")])
    site.admit()
    assert site.health(group) == HEALTHY
    # Without egress the load balancer cannot reach anything either.
    rules = site.ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [site.balancer_group]}]
    )["SecurityGroupRules"]
    site.ec2.revoke_security_group_egress(
        GroupId=site.balancer_group,
        SecurityGroupRuleIds=[rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"]],
    )
    assert site.health(group) == [("unhealthy", "Target.Timeout")]
    site.ec2.authorize_security_group_egress(
        GroupId=site.balancer_group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
                "UserIdGroupPairs": [{"GroupId": site.instance_group}],
            }
        ],
    )
    assert site.health(group) == HEALTHY


def test_the_health_port_counts(site: Site) -> None:
    group = site.group(HealthCheckPort="8443")
    site.register(group)
    site.admit(443)
    serve(site, group)
    eventually(lambda: site.health(group) == [("unhealthy", "Target.Timeout")])
    site.admit(8443)
    assert site.health(group) == HEALTHY


def test_zone_must_be_enabled(site: Site) -> None:
    third, fourth = (
        site.ec2.create_subnet(
            VpcId=site.vpc,
            CidrBlock=f"10.0.{number}.0/24",
            AvailabilityZone=f"ap-northeast-1{zone}",
        )["Subnet"]["SubnetId"]
        for number, zone in ((20, "c"), (21, "d"))
    )
    group = site.group()
    site.register(group)
    site.admit()
    balancer = site.balancer(Subnets=[third, fourth])["LoadBalancerArn"]
    site.listener(balancer, group)
    assert site.health(group) == NOT_IN_USE
    site.elb.set_subnets(LoadBalancerArn=balancer, Subnets=[site.subnets[0], third])
    eventually(lambda: site.health(group) == HEALTHY)


def test_stopped_and_terminated_instances(site: Site) -> None:
    group = site.group()
    site.register(group)
    site.admit()
    serve(site, group)
    eventually(lambda: site.health(group) == HEALTHY)
    site.ec2.stop_instances(InstanceIds=[site.instance])
    assert site.health(group) == [("unused", "Target.InvalidState")]
    refused("InvalidTarget", lambda: site.register(site.group()))
    site.ec2.start_instances(InstanceIds=[site.instance])
    eventually(lambda: site.health(group) == HEALTHY)
    site.ec2.terminate_instances(InstanceIds=[site.instance])
    eventually(lambda: site.health(group) == [])


def test_targets_that_cannot_be(emulator: Emulator, site: Site) -> None:
    group = site.group()
    refused(
        "InvalidTarget",
        site.elb.register_targets,
        TargetGroupArn=group,
        Targets=[{"Id": "i-0123456789abcdef0"}],
    )
    elsewhere = build_site(emulator)
    refused(
        "InvalidTarget",
        site.elb.register_targets,
        TargetGroupArn=group,
        Targets=[{"Id": elsewhere.instance}],
    )


def test_draining(site: Site) -> None:
    group = site.group()
    site.register(group)
    site.register(group, 8443)
    site.admit()
    serve(site, group)
    eventually(lambda: site.health(group)[0] == ("healthy", None))
    assert len(site.health(group)) == 2
    site.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": site.instance, "Port": 8443}])
    assert site.health(group)[1] == ("draining", "Target.DeregistrationInProgress")
    eventually(lambda: site.health(group) == HEALTHY)
    # An unknown target is no error.
    site.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": site.instance, "Port": 8443}])
    asked = site.elb.describe_target_health(
        TargetGroupArn=group, Targets=[{"Id": site.instance, "Port": 8443}]
    )["TargetHealthDescriptions"][0]
    assert asked["TargetHealth"]["Reason"] == "Target.NotRegistered"


def active_groups(emulator: Emulator) -> list[str]:
    return [
        weighted["arn"]
        for balancer in emulator.world()["load_balancers"]
        if balancer["state"] == "active"
        for listener in balancer["listeners"]
        for action in listener["default_actions"]
        for weighted in action.get("target_groups", [])
    ]


def test_draining_lasts_for_the_delay_at_most(emulator: Emulator, site: Site) -> None:
    emulator.control("PUT", "settings", {"draining_for": 60})
    group = site.group()
    site.register(group)
    site.register(group, 8443)
    serve(site, group)
    site.emulator.control("PUT", "health-scripts", {site.instance: [{"state": "healthy"}]})
    eventually(lambda: group in active_groups(emulator))
    for port, delay in ((443, "0"), (8443, "1")):
        site.elb.modify_target_group_attributes(
            TargetGroupArn=group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": delay}],
        )
        site.elb.deregister_targets(
            TargetGroupArn=group, Targets=[{"Id": site.instance, "Port": port}]
        )
        states = [state for state, _ in site.health(group)]
        assert ("draining" in states) == (delay == "1")
    eventually(lambda: site.health(group) == [])


def test_scripts_override(emulator: Emulator, site: Site) -> None:
    group = site.group()
    mismatch = {
        "state": "unhealthy",
        "reason": "Target.ResponseCodeMismatch",
        "description": "Health checks failed with these codes: [301]",
        "for": 0.4,
    }
    emulator.control("PUT", "health-scripts", {site.instance: [mismatch, {"state": "healthy"}]})
    site.register(group)
    described = site.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"][0]
    assert described["TargetHealth"] == {
        "State": "unhealthy",
        "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [301]",
    }
    eventually(lambda: site.health(group) == HEALTHY)
    emulator.control("DELETE", "health-scripts")
    assert site.health(group) == NOT_IN_USE


def test_unknown_group(site: Site) -> None:
    arn = site.group(unique("tg"))
    refused("TargetGroupNotFound", site.elb.describe_target_health, TargetGroupArn=arn + "0")
