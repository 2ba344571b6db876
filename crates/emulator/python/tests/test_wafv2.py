"""Web ACLs before load balancers, as AWS documents them."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Emulator, eventually, refused
from scene import Site, build_site, unique

VISIBILITY = {
    "SampledRequestsEnabled": False,
    "CloudWatchMetricsEnabled": False,
    "MetricName": "web",
}


@pytest.fixture(scope="module")
def built(shared_emulator: Emulator) -> Site:
    return build_site(shared_emulator)


@pytest.fixture
def site(emulator: Emulator, built: Site) -> Site:
    emulator.control("PUT", "settings", {"web_acl_unavailable_for": 0})
    return built


@pytest.fixture
def waf(site: Site) -> Any:
    return site.emulator.client("wafv2")


@pytest.fixture
def balancer(site: Site) -> str:
    return str(site.balancer()["LoadBalancerArn"])


def new_acl(waf: Any, name: str = "", scope: str = "REGIONAL") -> dict[str, Any]:
    answer = waf.create_web_acl(
        Name=name or unique("acl"),
        Scope=scope,
        DefaultAction={"Allow": {}},
        VisibilityConfig=VISIBILITY,
    )
    return dict(answer["Summary"])


def acl_of(waf: Any, balancer: str) -> str | None:
    found = waf.get_web_acl_for_resource(ResourceArn=balancer).get("WebACL")
    return found and found["ARN"]


def test_association_and_its_end(site: Site, waf: Any, balancer: str) -> None:
    first, second = new_acl(waf), new_acl(waf)
    assert acl_of(waf, balancer) is None
    waf.associate_web_acl(WebACLArn=first["ARN"], ResourceArn=balancer)
    assert acl_of(waf, balancer) == first["ARN"]
    assert waf.list_resources_for_web_acl(WebACLArn=first["ARN"])["ResourceArns"] == [balancer]

    # A new association takes the place of the old one.
    waf.associate_web_acl(WebACLArn=second["ARN"], ResourceArn=balancer)
    assert acl_of(waf, balancer) == second["ARN"]
    assert waf.list_resources_for_web_acl(WebACLArn=first["ARN"])["ResourceArns"] == []
    world = site.emulator.world()["load_balancers"]
    found = next(one for one in world if one["arn"] == balancer)
    assert found["web_acl"] == second["Name"]

    waf.disassociate_web_acl(ResourceArn=balancer)
    waf.disassociate_web_acl(ResourceArn=balancer)
    assert acl_of(waf, balancer) is None


def test_a_new_web_acl_must_wait(site: Site, waf: Any, balancer: str) -> None:
    site.emulator.control("PUT", "settings", {"web_acl_unavailable_for": 0.3})
    arn = new_acl(waf)["ARN"]
    refused(
        "WAFUnavailableEntityException",
        waf.associate_web_acl,
        WebACLArn=arn,
        ResourceArn=balancer,
    )

    def associated() -> bool:
        try:
            waf.associate_web_acl(WebACLArn=arn, ResourceArn=balancer)
        except waf.exceptions.WAFUnavailableEntityException:
            return False
        return True

    eventually(associated)


def test_what_is_not_there(waf: Any, balancer: str) -> None:
    arn = new_acl(waf)["ARN"]
    for call, parameters in [
        (waf.associate_web_acl, {"WebACLArn": arn, "ResourceArn": balancer + "0"}),
        (waf.associate_web_acl, {"WebACLArn": arn + "0", "ResourceArn": balancer}),
        (waf.get_web_acl_for_resource, {"ResourceArn": balancer + "0"}),
        (waf.disassociate_web_acl, {"ResourceArn": balancer + "0"}),
        (waf.list_resources_for_web_acl, {"WebACLArn": arn + "0"}),
    ]:
        refused("WAFNonexistentItemException", call, **parameters)
    refused(
        "WAFInvalidParameterException",
        waf.associate_web_acl,
        WebACLArn=arn,
        ResourceArn="junk",
    )


def test_cloudfront_is_another_world(emulator: Emulator, waf: Any, balancer: str) -> None:
    waf_of_cloudfront = emulator.client("wafv2", region="us-east-1")
    arn = new_acl(waf_of_cloudfront, scope="CLOUDFRONT")["ARN"]
    refused(
        "WAFInvalidParameterException",
        waf.associate_web_acl,
        WebACLArn=arn,
        ResourceArn=balancer,
    )


def test_a_web_acl_in_use_stays(site: Site, waf: Any, balancer: str) -> None:
    acl = new_acl(waf)
    waf.associate_web_acl(WebACLArn=acl["ARN"], ResourceArn=balancer)
    values = {"Name": acl["Name"], "Scope": "REGIONAL", "Id": acl["Id"]}
    refused(
        "WAFAssociatedItemException", waf.delete_web_acl, LockToken=acl["LockToken"], **values
    )
    # The association ends with the load balancer.
    site.elb.delete_load_balancer(LoadBalancerArn=balancer)
    assert waf.list_resources_for_web_acl(WebACLArn=acl["ARN"])["ResourceArns"] == []
    stale = "00000000-0000-0000-0000-000000000000"
    refused("WAFOptimisticLockException", waf.delete_web_acl, LockToken=stale, **values)
    waf.delete_web_acl(LockToken=acl["LockToken"], **values)
