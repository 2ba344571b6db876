"""The health of targets, as a load balancer would find it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import backends
from .reachability import reaches
from .state import STATE, now

HEALTHY = ("healthy", None, None)
NOT_REGISTERED = (
    "unused",
    "Target.NotRegistered",
    "Target is not registered to the target group",
)

Health = tuple[str, str | None, str | None]


@dataclass
class Target:
    """One registered instance and port."""

    id: str
    port: int
    registered_at: float = field(default_factory=now)
    # Since when an active load balancer sends traffic to the group.
    used_since: float | None = None
    draining_until: float | None = None


def targets_of(group: Any) -> dict[tuple[str, int], Target]:
    """The targets of a group; AWS tells them apart by id and port."""
    if not hasattr(group, "strict_targets"):
        group.strict_targets = {}
    targets: dict[tuple[str, int], Target] = group.strict_targets
    for key, target in list(targets.items()):
        if target.draining_until is not None and target.draining_until <= now():
            del targets[key]
    return targets


def health_port(group: Any, target: Target) -> int:
    """The port that health checks go to."""
    port = group.health_check_port
    return target.port if port in (None, "traffic-port") else int(port)


def observe() -> None:
    """Notices which target groups came into use."""
    for _, group in backends.target_groups():
        active = [
            balancer
            for balancer in backends.balancers_of_group(group.arn)
            if balancer.load_balancer_state["Code"] == "active"
        ]
        for target in targets_of(group).values():
            if active and target.used_since is None:
                # An ALB turns active by itself, between two looks.
                since = max(getattr(balancer, "active_at", 0.0) for balancer in active)
                target.used_since = max(since, target.registered_at, changed_at(group))
            elif not active:
                target.used_since = None
        group.used_by = {balancer.arn for balancer in active}


def changed_at(group: Any) -> float:
    """When a listener or rule last began to name the group."""
    named = {balancer.arn for balancer in backends.balancers_of_group(group.arn)}
    if named != getattr(group, "named_by", set()):
        group.named_by = named
        group.named_at = now()
    return getattr(group, "named_at", 0.0)


def health_of(group: Any, target: Target) -> Health:
    """State, reason and description of a target (aws-facts 2.4)."""
    if target.draining_until is not None:
        reason = "Target.DeregistrationInProgress"
        return ("draining", reason, "Target deregistration is in progress")
    script = STATE.health_scripts.get(target.id)
    if script:
        return scripted(script, now() - target.registered_at)
    return computed(group, target)


def scripted(script: list[dict[str, Any]], elapsed: float) -> Health:
    """The step of a script that a target has come to; the last one stays."""
    for step in script:
        duration = step.get("for")
        if duration is None or elapsed < float(duration) or step is script[-1]:
            return (step["state"], step.get("reason"), step.get("description"))
        elapsed -= float(duration)
    return HEALTHY


def computed(group: Any, target: Target) -> Health:
    """Health by what stands between the load balancer and the instance."""
    instance = backends.instance(target.id)
    if instance is None or instance.state == "terminated":
        return NOT_REGISTERED
    if instance.state != "running":
        description = f"Target is in the {instance.state} state"
        return ("unused", "Target.InvalidState", description)
    balancers = backends.balancers_of_group(group.arn)
    if not balancers:
        description = "Target group is not configured to receive traffic from the load balancer"
        return ("unused", "Target.NotInUse", description)
    zones = {zone.zone_name for balancer in balancers for zone in balancer.availability_zones}
    if instance.availability_zone not in zones:
        description = "Target is in an Availability Zone that is not enabled for the load balancer"
        return ("unused", "Target.NotInUse", description)
    observe()
    delay = STATE.settings.registration_after
    if target.used_since is None or now() - target.used_since < delay / 2:
        return ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
    if now() - target.used_since < delay:
        return ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
    if all(balancer_reaches(balancer, group, target, instance) for balancer in balancers):
        return HEALTHY
    return ("unhealthy", "Target.Timeout", "Request timed out")


def balancer_reaches(balancer: Any, group: Any, target: Target, instance: Any) -> bool:
    """Whether the security groups let health checks through."""
    ec2 = group.ec2_backend
    groups = [ec2.get_security_group_from_id(group_id) for group_id in balancer.security_groups]
    interface = instance.nics[0]
    nodes = [node.private_ip_address for node in getattr(balancer, "interfaces", [])] or [None]
    return all(
        reaches(
            [found for found in groups if found is not None],
            address,
            interface.group_set,
            interface.private_ip_address,
            health_port(group, target),
        )
        for address in nodes
    )
