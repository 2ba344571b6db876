"""The whole emulated world as one document, for the data plane.

The version counts the distinct documents that were handed out. Much changes
by itself, with time (a load balancer turns active, a certificate is issued),
so a waiting reader looks again every few hundredths of a second.
"""

from __future__ import annotations

import json
from typing import Any

from . import backends, certificates, health
from .registry import REGISTRY
from .state import STATE, now

LONGEST_WAIT = 60.0
# How often to look while delays are running, and when all of them are over.
LOOK_EVERY = 0.03
LOOK_AT_REST_EVERY = 0.5

_last_text = ""
_version = 0


def wait_for_change(since: int | None, wait: float) -> dict[str, Any]:
    """The world, when its version differs from `since` or the wait is over."""
    deadline = now() + min(wait, LONGEST_WAIT)
    with STATE.changed:
        while True:
            world = current()
            left = deadline - now()
            if world["version"] != since or left <= 0:
                return world
            STATE.changed.wait(min(left, LOOK_AT_REST_EVERY if at_rest() else LOOK_EVERY))


def at_rest() -> bool:
    """Whether all delays since the last change are over, so that time changes nothing."""
    steps = [step for script in STATE.health_scripts.values() for step in script]
    longest = 2 * sum(STATE.settings.as_dict().values())
    longest += sum(float(step.get("for") or 0) for step in steps)
    return STATE.strict and now() - STATE.changed_at > longest + 1.0


def current() -> dict[str, Any]:
    """The world with its version."""
    global _last_text, _version
    REGISTRY.observe()
    world = view()
    text = json.dumps(world, sort_keys=True)
    if text != _last_text:
        _last_text = text
        _version += 1
    return {"version": _version, **world}


def view() -> dict[str, Any]:
    """Everything that the data plane needs to know."""
    return {
        "zones": [zone_view(zone) for zone in backends.zones()],
        "load_balancers": [balancer_view(balancer) for _, balancer in backends.load_balancers()],
        "target_groups": [group_view(group) for _, group in backends.target_groups()],
        "certificates": [certificate_view(found) for found in backends.certificates()],
        "instances": [instance_view(instance) for instance in backends.instances()],
        "security_groups": [rules_view(group) for group in backends.security_groups()],
    }


def zone_view(zone: Any) -> dict[str, Any]:
    """A hosted zone with its records."""
    delegation = zone.delegation_set
    return {
        "id": zone.resource_id,
        "name": zone.name,
        "private": bool(zone.private_zone),
        "name_servers": list(delegation.name_servers) if delegation else [],
        "records": [record_view(record) for record in zone.rrsets],
    }


def record_view(record: Any) -> dict[str, Any]:
    """A record set; an alias has neither TTL nor values."""
    alias = record.alias_target
    values = record.records or []
    return {
        "name": record.name,
        "type": record.type,
        "ttl": None if alias else int(record.ttl or 0),
        "values": [
            value["Value"] if isinstance(value, dict) else value
            for value in ([] if alias else values)
        ],
        "alias": {"name": alias["DNSName"], "zone_id": alias["HostedZoneId"]} if alias else None,
        "set_identifier": record.set_identifier,
    }


def balancer_view(balancer: Any) -> dict[str, Any]:
    """A load balancer with its listeners."""
    return {
        "arn": balancer.arn,
        "name": balancer.name,
        "dns_name": balancer.dns_name,
        "state": balancer.load_balancer_state["Code"],
        "scheme": balancer.scheme or "internet-facing",
        "security_groups": list(balancer.security_groups or []),
        "listeners": [listener_view(listener) for listener in balancer.listeners.values()],
        "attributes": {key: str(value) for key, value in balancer.attrs.items()},
    }


def listener_view(listener: Any) -> dict[str, Any]:
    """A listener, the default certificate first."""
    secure = listener.protocol == "HTTPS"
    rules = [rule for rule in listener.rules.values() if str(rule.priority) != "default"]
    return {
        "arn": listener.arn,
        "port": int(listener.port),
        "protocol": listener.protocol,
        "ssl_policy": listener.ssl_policy if secure else None,
        "certificates": list(dict.fromkeys(listener.certificates)) if secure else [],
        "default_actions": [action_view(action.data) for action in listener.default_actions],
        "rules": [
            {
                "priority": int(rule.priority),
                "conditions": [condition_view(condition) for condition in rule.conditions],
                "actions": [action_view(action.data) for action in rule.actions],
            }
            for rule in sorted(rules, key=lambda rule: int(rule.priority))
        ],
        "attributes": {key: str(value) for key, value in listener.attributes.items()},
    }


def condition_view(condition: dict[str, Any]) -> dict[str, Any]:
    """A rule's condition, with the values wherever the caller put them."""
    values = list(condition.get("Values") or [])
    for key, config in condition.items():
        if not values and key.endswith("Config") and isinstance(config, dict):
            values = list(config.get("Values") or [])
    return {"field": condition.get("Field"), "values": values}


def action_view(data: dict[str, Any]) -> dict[str, Any]:
    """An action in the words of the data plane."""
    kind = data.get("Type")
    if kind == "forward":
        weights = backends.groups_of_action(data)
        groups = [{"arn": arn, "weight": weight} for arn, weight in weights.items()]
        return {"type": "forward", "target_groups": groups}
    if kind == "redirect":
        redirect = data.get("RedirectConfig") or {}
        return {
            "type": "redirect",
            "protocol": redirect.get("Protocol") or "#{protocol}",
            "port": str(redirect.get("Port") or "#{port}"),
            "host": redirect.get("Host") or "#{host}",
            "path": redirect.get("Path") or "/#{path}",
            "query": redirect.get("Query", "#{query}"),
            "status": redirect.get("StatusCode"),
        }
    if kind == "fixed-response":
        fixed = data.get("FixedResponseConfig") or {}
        return {
            "type": "fixed-response",
            "status": str(fixed.get("StatusCode")),
            "content_type": fixed.get("ContentType") or "text/plain",
            "body": fixed.get("MessageBody") or "",
        }
    return {"type": kind}


def group_view(group: Any) -> dict[str, Any]:
    """A target group with the health of its targets."""
    return {
        "arn": group.arn,
        "protocol": group.protocol,
        "port": int(group.port) if group.port else None,
        "targets": targets_view(group),
    }


def targets_view(group: Any) -> list[dict[str, Any]]:
    """The targets and their health, by the strict rules or moto's own."""
    if STATE.strict:
        found = [
            (target.id, target.port, *health.health_of(group, target)[:2])
            for target in health.targets_of(group).values()
        ]
    else:
        found = []
        for target in group.targets.values():
            status = group.health_for(target, group.ec2_backend)
            found.append((target["Id"], int(target["Port"]), status.status, status.reason))
    return [
        {"id": id_, "port": port, "state": state, "reason": reason}
        for id_, port, state, reason in found
    ]


def certificate_view(certificate: Any) -> dict[str, Any]:
    """A certificate by its names and status."""
    progress = certificates.progress_of(certificate)
    if progress is None:
        # moto's own timer runs only when somebody looks.
        certificate.check()
        described = certificate.describe()["Certificate"]
        names, algorithm = certificate.sans, described["KeyAlgorithm"]
    else:
        names, algorithm = progress.names, progress.key_algorithm
    return {
        "arn": certificate.arn,
        "status": certificate.status,
        "domain": certificate.common_name,
        "names": sorted(names, key=lambda name: (name != certificate.common_name, name)),
        "key_algorithm": algorithm,
        "serial": certificates.serial(certificate),
    }


def instance_view(instance: Any) -> dict[str, Any]:
    """An instance by its primary interface."""
    interface = instance.nics[0] if instance.nics else None
    groups = interface.group_set if interface else instance.security_groups
    return {
        "id": instance.id,
        "state": instance.state,
        "public_address": interface.public_ip if interface else None,
        "private_address": interface.private_ip_address if interface else None,
        "security_groups": sorted(group.id for group in groups),
    }


def rules_view(group: Any) -> dict[str, Any]:
    """A security group with one entry per rule."""
    return {
        "id": group.id,
        "ingress": [rule_view(rule) for rule in group.ingress_rules],
        "egress": [rule_view(rule) for rule in group.egress_rules],
    }


def rule_view(rule: Any) -> dict[str, Any]:
    """A rule; protocol -1 has no ports."""
    return {
        "protocol": rule.ip_protocol,
        "from": rule.from_port,
        "to": rule.to_port,
        "cidr": rule.ip_range.get("CidrIp") or rule.ip_range.get("CidrIpv6"),
        "source_group": rule.source_group.get("GroupId"),
    }


def set_public_address(instance_id: str, address: str) -> bool:
    """Gives an instance a public IPv4 address; says whether it exists."""
    instance = backends.instance(instance_id)
    if instance is None or not instance.nics:
        return False
    interface = instance.nics[0]
    # Without this, a stop would take the address away and a start invent one.
    interface.public_ip_auto_assign = False
    interface.public_ip = address
    return True
