"""Web ACLs and the load balancers that they protect."""

from __future__ import annotations

import re
from typing import Any

from moto.wafv2.models import WAFV2Backend
from moto.wafv2.responses import WAFV2Response

from .. import backends, web_acls
from ..registry import REGISTRY, Refusal
from ..state import STATE, now
from .common import is_fresh, stamp

BALANCER_ARN = re.compile(
    r"arn:[\w-]+:elasticloadbalancing:[\w-]+:\d{12}:loadbalancer/app/[^/]+/\w+"
)
ACL_ARN = re.compile(r"arn:[\w-]+:wafv2:[\w-]+:\d{12}:(regional|global)/webacl/[^/]+/[\w-]+")

REGISTRY.observer(web_acls.forget_deleted)


def nonexistent() -> Refusal:
    """Something that is not there (botocore, WAFNonexistentItemException)."""
    return Refusal(
        "WAFNonexistentItemException",
        "AWS WAF couldn\u2019t perform the operation because your resource doesn\u2019t exist.",
    )


def unavailable() -> Refusal:
    """Something that WAF has not heard of yet (botocore, WAFUnavailableEntityException)."""
    return Refusal(
        "WAFUnavailableEntityException",
        "AWS WAF couldn\u2019t retrieve the resource that you requested. Retry your request.",
    )


def invalid(field: str, value: str) -> Refusal:
    """An ARN of the wrong kind (botocore, WAFInvalidParameterException)."""
    return Refusal(
        "WAFInvalidParameterException",
        "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other "
        f"information separated by colons or slashes., field: {field}, parameter: {value}",
    )


def resource_of(response: Any) -> str:
    """The load balancer of a request."""
    arn = str(response._get_param("ResourceArn") or "")
    if not BALANCER_ARN.fullmatch(arn):
        raise invalid("RESOURCE_ARN", arn)
    return arn


def check_balancer(arn: str) -> None:
    """A load balancer that is gone does not exist, a fresh one is not available yet."""
    balancer = next((one for _, one in backends.load_balancers() if one.arn == arn), None)
    if balancer is None:
        raise nonexistent()
    if is_fresh(balancer):
        raise unavailable()


def acl_of(response: Any) -> Any:
    """The regional web ACL of a request; one for CloudFront does not fit (botocore)."""
    arn = str(response._get_param("WebACLArn") or "")
    found = ACL_ARN.fullmatch(arn)
    if not found or found[1] != "regional":
        raise invalid("WEB_ACL_ARN", arn)
    acl = response.wafv2_backend.wacls.get(arn)
    if acl is None:
        raise nonexistent()
    return acl


@REGISTRY.patch(WAFV2Backend, "create_web_acl")
def created_web_acl(original: Any, backend: Any, *arguments: Any, **named: Any) -> Any:
    """Remembers when a web ACL was made (aws-facts 7.1)."""
    acl = original(backend, *arguments, **named)
    stamp(acl)
    return acl


@REGISTRY.instead(WAFV2Response, "associate_web_acl")
def associate_web_acl(response: Any) -> dict[str, Any]:
    """A new association takes the place of the old; a new web ACL must wait (aws-facts 7.1)."""
    acl = acl_of(response)
    arn = resource_of(response)
    if now() - acl.created_moment < STATE.settings.web_acl_unavailable_for:
        raise unavailable()
    check_balancer(arn)
    web_acls.disassociate(arn)
    acl.associated_resources.append(arn)
    return {}


@REGISTRY.instead(WAFV2Response, "disassociate_web_acl")
def disassociate_web_acl(response: Any) -> dict[str, Any]:
    """Ends an association, if there is one (botocore, DisassociateWebACL)."""
    arn = resource_of(response)
    check_balancer(arn)
    web_acls.disassociate(arn)
    return {}


@REGISTRY.instead(WAFV2Response, "get_web_acl_for_resource")
def get_web_acl_for_resource(response: Any) -> dict[str, Any]:
    """The web ACL of a load balancer; without one the answer is empty (botocore)."""
    arn = resource_of(response)
    check_balancer(arn)
    acl = web_acls.of_resource(arn)
    return {"WebACL": acl.to_dict()} if acl else {}


@REGISTRY.instead(WAFV2Response, "list_resources_for_web_acl")
def list_resources_for_web_acl(response: Any) -> dict[str, Any]:
    """The load balancers of a web ACL (botocore, ListResourcesForWebACL)."""
    acl = acl_of(response)
    kind = response._get_param("ResourceType") or "APPLICATION_LOAD_BALANCER"
    listed = acl.associated_resources if kind == "APPLICATION_LOAD_BALANCER" else []
    return {"ResourceArns": sorted(listed)}


@REGISTRY.before(WAFV2Response, "delete_web_acl")
def check_deletion(response: Any) -> None:
    """A web ACL that protects something stays (botocore, DeleteWebACL)."""
    identifier = response._get_param("Id")
    for acl in response.wafv2_backend.wacls.values():
        if acl.id == identifier and acl.associated_resources:
            raise Refusal(
                "WAFAssociatedItemException",
                "AWS WAF couldn\u2019t perform the operation because your resource is being used "
                "by another resource or it\u2019s associated with another resource.",
            )
