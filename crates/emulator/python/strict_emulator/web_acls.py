"""Which web ACL protects which load balancer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.wafv2.models import wafv2_backends

from . import backends


def all_web_acls() -> Iterator[Any]:
    """The web ACLs of all regions."""
    for backend in backends.regional(wafv2_backends):
        yield from list(backend.wacls.values())


def of_resource(arn: str) -> Any | None:
    """The web ACL that protects a load balancer."""
    return next((acl for acl in all_web_acls() if arn in acl.associated_resources), None)


def disassociate(arn: str) -> None:
    """Takes the protection away from a load balancer."""
    for acl in all_web_acls():
        if arn in acl.associated_resources:
            acl.associated_resources.remove(arn)


def forget_deleted() -> None:
    """An association ends with its load balancer."""
    living = {balancer.arn for _, balancer in backends.load_balancers()}
    for acl in all_web_acls():
        acl.associated_resources[:] = [arn for arn in acl.associated_resources if arn in living]
