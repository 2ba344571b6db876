"""Which security groups let one thing reach another."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any


def allows(rule: Any, port: int, peer_groups: set[str], peer_address: str | None) -> bool:
    """Whether one rule lets TCP through to a port from or to a peer."""
    if rule.ip_protocol not in ("-1", "tcp"):
        return False
    if rule.ip_protocol == "tcp" and not int(rule.from_port) <= port <= int(rule.to_port):
        return False
    if rule.source_group.get("GroupId") in peer_groups:
        return True
    block = rule.ip_range.get("CidrIp")
    if not block or not peer_address:
        return False
    network = ipaddress.ip_network(block, strict=False)
    return ipaddress.ip_address(peer_address) in network


def reaches(
    source_groups: Iterable[Any],
    source_address: str | None,
    destination_groups: Iterable[Any],
    destination_address: str | None,
    port: int,
) -> bool:
    """Whether the source's egress and the destination's ingress both allow TCP."""
    sources, destinations = list(source_groups), list(destination_groups)
    source_ids = {group.id for group in sources}
    destination_ids = {group.id for group in destinations}
    leaves = any(
        allows(rule, port, destination_ids, destination_address)
        for group in sources
        for rule in group.egress_rules
    )
    enters = any(
        allows(rule, port, source_ids, source_address)
        for group in destinations
        for rule in group.ingress_rules
    )
    return leaves and enters
