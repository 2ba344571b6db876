"""Listener rules, as AWS documents them."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Emulator, eventually, refused
from scene import Site, build_site, unique


@pytest.fixture(scope="module")
def built(shared_emulator: Emulator) -> Site:
    return build_site(shared_emulator)


@pytest.fixture
def site(emulator: Emulator, built: Site) -> Site:
    return built


@pytest.fixture
def balancer(site: Site) -> str:
    return str(site.balancer()["LoadBalancerArn"])


@pytest.fixture
def listener(site: Site, balancer: str) -> str:
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
    return str(site.listener(balancer, "", DefaultActions=[fixed])["ListenerArn"])


def host(*names: str) -> dict[str, Any]:
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(names)}}


def path(*patterns: str) -> dict[str, Any]:
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": list(patterns)}}


def header(name: str, *values: str) -> dict[str, Any]:
    config = {"HttpHeaderName": name, "Values": list(values)}
    return {"Field": "http-header", "HttpHeaderConfig": config}


def fixed(status: str = "404", **more: Any) -> dict[str, Any]:
    return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status, **more}}


def rule(site: Site, listener: str, priority: int = 10, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "Conditions": [host("a.example.com")],
        "Actions": [fixed()],
        **more,
    }
    answer = site.elb.create_rule(ListenerArn=listener, Priority=priority, **values)
    return dict(answer["Rules"][0])


def rules(site: Site, listener: str) -> list[dict[str, Any]]:
    return list(site.elb.describe_rules(ListenerArn=listener)["Rules"])


def test_the_default_rule_is_listed_last(site: Site, listener: str) -> None:
    rule(site, listener, 20)
    rule(site, listener, 10)
    found = rules(site, listener)
    assert [(one["Priority"], one["IsDefault"]) for one in found] == [
        ("10", False),
        ("20", False),
        ("default", True),
    ]
    assert found[2].get("Conditions", []) == []
    assert found[2]["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    one = site.elb.describe_rules(RuleArns=[found[1]["RuleArn"]])["Rules"]
    assert one == [found[1]]


def test_conditions_come_back_in_both_forms(site: Site, listener: str) -> None:
    by_values = {"Field": "host-header", "Values": ["b.example.com"]}
    created = rule(site, listener, 1, Conditions=[by_values])
    assert created["Conditions"] == [
        {**by_values, "HostHeaderConfig": {"Values": ["b.example.com"]}}
    ]
    created = rule(site, listener, 2, Conditions=[host("b.example.com", "*.c.example.com")])
    assert created["Conditions"][0]["Values"] == ["b.example.com", "*.c.example.com"]
    created = rule(site, listener, 3, Conditions=[header("X-Probe", "s3cret", "on*")])
    assert created["Conditions"] == [header("X-Probe", "s3cret", "on*")]
    assert rules(site, listener)[2] == created


def test_conditions_that_cannot_be(site: Site, listener: str) -> None:
    impossible: list[list[dict[str, Any]]] = [
        [],
        [{"Field": "colour", "Values": ["red"]}],
        [host()],
        [host("")],
        [host("localhost")],
        [host("a.example.c0m")],
        [host("a_b.example.com/x")],
        [host("a." * 63 + "com")],
        [host("a.example.com"), host("b.example.com")],
        [{**host("a.example.com"), "Values": ["a.example.com"]}],
        [{"Field": "host-header", "Values": ["a.example.com", "b.example.com"]}],
        [header("Host", "a.example.com")],
        [header("X Probe", "1")],
        [header("X" * 41, "1")],
        [{"Field": "http-header", "Values": ["1"]}],
        [path("/a b")],
        [host("*.a.example.com"), path("/*/*/*/*/*/*")],
    ]
    for conditions in impossible:
        refused(
            "ValidationError", lambda given=conditions: rule(site, listener, Conditions=given)
        )
    assert len(rules(site, listener)) == 1


def test_five_values_per_rule(site: Site, listener: str) -> None:
    names = [f"{letter}.example.com" for letter in "abc"]
    rule(site, listener, 1, Conditions=[host(*names), path("/x", "/y")])
    message = refused(
        "ValidationError",
        lambda: rule(site, listener, 2, Conditions=[host(*names), path("/x", "/y", "/z")]),
    )
    assert "A rule can only have '5' condition values" in message


def test_priorities(site: Site, listener: str) -> None:
    first, second = (rule(site, listener, priority)["RuleArn"] for priority in (1, 2))
    refused("PriorityInUse", lambda: rule(site, listener, 2))
    for priority in (0, 50001):
        refused("ValidationError", lambda given=priority: rule(site, listener, given))

    def order(**priorities: int) -> Any:
        arns = {"first": first, "second": second}
        pairs = [{"RuleArn": arns[name], "Priority": at} for name, at in priorities.items()]
        return site.elb.set_rule_priorities(RulePriorities=pairs)["Rules"]

    # Two rules may change places in one call, and in no other way.
    refused("PriorityInUse", order, first=2)
    assert [one["Priority"] for one in order(first=2, second=1)] == ["2", "1"]
    assert [one["RuleArn"] for one in rules(site, listener)[:2]] == [second, first]
    refused("ValidationError", order, first=7, second=7)
    refused("ValidationError", order, first=50001)


def test_the_default_rule_stays(site: Site, listener: str) -> None:
    arn = rules(site, listener)[0]["RuleArn"]
    refused("OperationNotPermitted", site.elb.delete_rule, RuleArn=arn)
    refused("OperationNotPermitted", site.elb.modify_rule, RuleArn=arn, Actions=[fixed("503")])
    pair = {"RuleArn": arn, "Priority": 3}
    refused("OperationNotPermitted", site.elb.set_rule_priorities, RulePriorities=[pair])


def test_rules_that_are_not_there(site: Site, listener: str) -> None:
    arn = rule(site, listener)["RuleArn"]
    site.elb.delete_rule(RuleArn=arn)
    refused("RuleNotFound", site.elb.delete_rule, RuleArn=arn)
    refused("RuleNotFound", site.elb.modify_rule, RuleArn=arn, Actions=[fixed()])
    refused("RuleNotFound", site.elb.describe_rules, RuleArns=[arn])
    refused("RuleNotFound", site.elb.describe_tags, ResourceArns=[arn])
    pair = {"RuleArn": arn, "Priority": 3}
    refused("RuleNotFound", site.elb.set_rule_priorities, RulePriorities=[pair])
    refused("ListenerNotFound", lambda: rule(site, listener[:-6] + "000000"))


def test_modify_is_a_patch(site: Site, listener: str) -> None:
    arn = rule(site, listener)["RuleArn"]
    conditions = [header("X-Probe", "1")]
    changed = site.elb.modify_rule(RuleArn=arn, Conditions=conditions)["Rules"][0]
    assert changed["Conditions"] == conditions and changed["Actions"][0]["Type"] == "fixed-response"
    changed = site.elb.modify_rule(RuleArn=arn, Actions=[fixed("503")])["Rules"][0]
    assert changed["Conditions"] == conditions
    assert changed["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "503"
    refused("ValidationError", site.elb.modify_rule, RuleArn=arn)
    refused("ValidationError", site.elb.modify_rule, RuleArn=arn, Conditions=[host("x")])


def test_tags_of_rules(site: Site, listener: str) -> None:
    tags = [{"Key": "reconcile:stack", "Value": "www"}]
    arn = rule(site, listener, Tags=tags)["RuleArn"]
    described = site.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    assert described == [{"ResourceArn": arn, "Tags": tags}]


def test_fixed_responses(site: Site, listener: str) -> None:
    config = {"ContentType": "text/plain", "MessageBody": "no such site"}
    created = rule(site, listener, Actions=[fixed("404", **config)])
    assert created["Actions"][0]["FixedResponseConfig"] == {"StatusCode": "404", **config}
    refused("ValidationError", lambda: rule(site, listener, 2, Actions=[fixed("302")]))
    refused(
        "InvalidLoadBalancerAction",
        lambda: rule(site, listener, 2, Actions=[fixed(ContentType="text/xml")]),
    )
    refused(
        "ValidationError", lambda: rule(site, listener, 2, Actions=[fixed(MessageBody="x" * 1025)])
    )
    refused("InvalidLoadBalancerAction", lambda: rule(site, listener, 2, Actions=[]))


def forward(group: str) -> dict[str, Any]:
    return {"Type": "forward", "TargetGroupArn": group}


def test_a_group_of_another_load_balancer(site: Site, listener: str) -> None:
    group = site.group()
    other = site.balancer()["LoadBalancerArn"]
    site.listener(other, group)
    refused(
        "TargetGroupAssociationLimit",
        lambda: rule(site, listener, Actions=[forward(group)]),
    )
    refused(
        "TargetGroupNotFound", lambda: rule(site, listener, Actions=[forward(group + "0")])
    )


def test_a_group_that_a_rule_names_is_in_use(site: Site, balancer: str, listener: str) -> None:
    group, other = site.group(), site.group()
    arn = rule(site, listener, Actions=[forward(group)])["RuleArn"]

    def balancers() -> list[str]:
        answer = site.elb.describe_target_groups(TargetGroupArns=[group])
        return list(answer["TargetGroups"][0]["LoadBalancerArns"])

    assert balancers() == [balancer]
    refused("ResourceInUse", site.elb.delete_target_group, TargetGroupArn=group)
    site.elb.modify_rule(RuleArn=arn, Actions=[forward(other)])
    # Nobody names it now, and yet it is in use for a moment.
    assert balancers() == []
    refused("ResourceInUse", site.elb.delete_target_group, TargetGroupArn=group)

    def deleted() -> bool:
        try:
            site.elb.delete_target_group(TargetGroupArn=group)
        except site.elb.exceptions.ResourceInUseException:
            return False
        return True

    eventually(deleted)
    site.elb.delete_rule(RuleArn=arn)
    refused("ResourceInUse", site.elb.delete_target_group, TargetGroupArn=other)


def test_targets_wait_for_a_rule(site: Site, listener: str) -> None:
    group = site.group(unique("w"))
    site.register(group)
    site.admit()
    assert site.health(group) == [("unused", "Target.NotInUse")]
    site.emulator.control("PUT", "settings", {"registration_after": 0.4})
    rule(site, listener, Actions=[forward(group)])
    eventually(lambda: site.health(group)[0][0] == "initial")
    eventually(lambda: site.health(group) == [("healthy", None)])
    arn = rules(site, listener)[0]["RuleArn"]
    site.elb.delete_rule(RuleArn=arn)
    assert site.health(group) == [("unused", "Target.NotInUse")]


def test_a_hundred_rules(site: Site, listener: str) -> None:
    for priority in range(1, 101):
        rule(site, listener, priority)
    refused("TooManyRules", lambda: rule(site, listener, 101))
    first = site.elb.describe_rules(ListenerArn=listener, PageSize=60)
    rest = site.elb.describe_rules(
        ListenerArn=listener, PageSize=60, Marker=first["NextMarker"]
    )
    assert len(first["Rules"]) + len(rest["Rules"]) == 101 and "NextMarker" not in rest


def test_the_world_tells_the_headers(site: Site, balancer: str, listener: str) -> None:
    rule(site, listener, Conditions=[header("X-Probe", "a", "b*")])
    found = next(one for one in site.emulator.world()["load_balancers"] if one["arn"] == balancer)
    assert found["listeners"][0]["rules"][0]["conditions"] == [
        {"field": "http-header", "header": "X-Probe", "values": ["a", "b*"]}
    ]
