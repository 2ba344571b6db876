"""Targets: registration, deregistration, health."""

from __future__ import annotations

from typing import Any

from moto.elbv2.models import FakeTargetGroup
from moto.elbv2.responses import ELBV2Response

from .. import backends, health
from ..health import Target
from ..registry import REGISTRY, Refusal
from ..state import STATE, now
from .common import is_fresh

REGISTRY.observer(health.observe)


def group_of(response: Any) -> Any:
    """The target group of a request."""
    arn = response._get_param("TargetGroupArn")
    group = response.elbv2_backend.target_groups.get(arn)
    if group is None or is_fresh(group):
        raise Refusal("TargetGroupNotFound", f"Target groups '{arn}' not found")
    return group


def requested_targets(response: Any, group: Any) -> list[tuple[str, int]]:
    """Ids and ports; without a port the group's own is meant (aws-facts 2.4)."""
    return [
        (target["Id"], int(target.get("Port") or group.port))
        for target in response._get_param("Targets", [])
    ]


def check_targets(group: Any, identifiers: list[str]) -> None:
    """Instances exist, run and are in the group's VPC (aws-facts 2.4)."""
    if group.target_type != "instance":
        return
    found: dict[str, Any] = {one: backends.instance(one) for one in identifiers}
    unknown = [one for one, instance in found.items() if instance is None]
    if unknown:
        raise Refusal(
            "InvalidTarget", f"The following targets are not valid instances: {quoted(unknown)}"
        )
    foreign = [one for one, instance in found.items() if instance.vpc_id != group.vpc_id]
    if foreign:
        raise Refusal(
            "InvalidTarget",
            f"The following targets are not in the target group VPC '{group.vpc_id}': "
            f"{quoted(foreign)}",
        )
    idle = [one for one, instance in found.items() if instance.state != "running"]
    if idle:
        raise Refusal(
            "InvalidTarget",
            "The following targets are not in a running state and cannot be registered: "
            f"{quoted(idle)}",
        )


def quoted(identifiers: list[str]) -> str:
    """Ids as error texts list them."""
    return ", ".join(f"'{identifier}'" for identifier in identifiers)


@REGISTRY.instead(ELBV2Response, "register_targets")
def register_targets(response: Any) -> dict[str, Any]:
    """One instance may be registered with several ports (aws-facts 2.1)."""
    group = group_of(response)
    wanted = requested_targets(response, group)
    check_targets(group, [identifier for identifier, _ in wanted])
    targets = health.targets_of(group)
    for identifier, port in wanted:
        present = targets.get((identifier, port))
        if present is None or present.draining_until is not None:
            targets[identifier, port] = Target(identifier, port)
    return {}


@REGISTRY.instead(ELBV2Response, "deregister_targets")
def deregister_targets(response: Any) -> dict[str, Any]:
    """An unknown target is no error; a known one drains for a while (aws-facts 2.4)."""
    group = group_of(response)
    targets = health.targets_of(group)
    for key in requested_targets(response, group):
        target = targets.get(key)
        if target is not None:
            drain(group, target)
    return {}


def drain(group: Any, target: Target) -> None:
    """Begins draining, for the deregistration delay at most (aws-facts 2.4, 2.5).

    Without a load balancer the target goes at once.
    """
    longest = float(group.attributes.get("deregistration_delay.timeout_seconds") or 300)
    delay = min(STATE.settings.draining_for, longest)
    if target.used_since is None:
        delay = 0.0
    target.draining_until = now() + delay


@REGISTRY.patch(FakeTargetGroup, "deregister_terminated_instances")
def terminated_instances_leave(original: Any, group: Any, identifiers: list[str]) -> None:
    """A terminated instance is deregistered by AWS (aws-facts 2.4)."""
    original(group, identifiers)
    for target in health.targets_of(group).values():
        if target.id in identifiers:
            drain(group, target)


@REGISTRY.instead(ELBV2Response, "describe_target_health")
def describe_target_health(response: Any) -> dict[str, Any]:
    """Health with its reason code and text (aws-facts 2.4)."""
    group = group_of(response)
    targets = health.targets_of(group)
    keys = requested_targets(response, group) or list(targets)
    described = []
    for identifier, port in keys:
        target = targets.get((identifier, port))
        found = health.health_of(group, target) if target else health.NOT_REGISTERED
        state = dict(zip(("State", "Reason", "Description"), found, strict=True))
        asked = Target(identifier, port)
        described.append(
            {
                "Target": {"Id": identifier, "Port": port},
                "HealthCheckPort": str(health.health_port(group, asked)),
                "TargetHealth": {name: value for name, value in state.items() if value},
            }
        )
    return {"TargetHealthDescriptions": described}
