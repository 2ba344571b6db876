"""Read access to moto's backends of the emulated account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.acm.models import acm_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

from .state import STATE


def regional(backends: Any) -> Iterator[Any]:
    """The backends of all regions that were used; looking creates none."""
    for account, by_region in list(backends.items()):
        if account == STATE.account:
            yield from list(by_region.values())


def load_balancers() -> Iterator[tuple[Any, Any]]:
    """All load balancers with their backend."""
    for backend in regional(elbv2_backends):
        for balancer in list(backend.load_balancers.values()):
            yield backend, balancer


def target_groups() -> Iterator[tuple[Any, Any]]:
    """All target groups with their backend."""
    for backend in regional(elbv2_backends):
        for group in list(backend.target_groups.values()):
            yield backend, group


def certificates() -> Iterator[Any]:
    """All certificates."""
    for backend in regional(acm_backends):
        yield from list(backend._certificates.values())


def zones() -> list[Any]:
    """The hosted zones of all accounts: the public DNS knows no accounts."""
    return [
        zone
        for by_region in list(route53_backends.values())
        for backend in list(by_region.values())
        for zone in list(backend.zones.values())
    ]


def security_groups() -> Iterator[Any]:
    """All security groups."""
    for backend in regional(ec2_backends):
        for groups in list(backend.groups.values()):
            yield from list(groups.values())


def instances() -> Iterator[Any]:
    """All instances, terminated ones too."""
    for backend in regional(ec2_backends):
        for reservation in list(backend.reservations.values()):
            yield from list(reservation.instances)


def instance(instance_id: str) -> Any | None:
    """The instance of an id."""
    return next((found for found in instances() if found.id == instance_id), None)


def balancers_with_certificate(certificate_arn: str) -> list[str]:
    """ARNs of the load balancers whose listeners serve a certificate."""
    return [
        balancer.arn
        for _, balancer in load_balancers()
        if any(certificate_arn in listener.certificates for listener in balancer.listeners.values())
    ]


def groups_of_action(data: dict[str, Any]) -> dict[str, int]:
    """Target groups of an action, with their weights."""
    if data.get("Type") != "forward":
        return {}
    tuples = (data.get("ForwardConfig") or {}).get("TargetGroups") or []
    weights = {item["TargetGroupArn"]: int(item.get("Weight", 1)) for item in tuples}
    if not weights and data.get("TargetGroupArn"):
        weights = {data["TargetGroupArn"]: 1}
    return weights


def balancers_of_group(group_arn: str) -> list[Any]:
    """Load balancers with a listener or rule that names a target group."""
    return [
        balancer
        for _, balancer in load_balancers()
        if any(
            group_arn in groups_of_action(action.data)
            for listener in balancer.listeners.values()
            for rule in listener.rules.values()
            for action in rule.actions
        )
    ]
