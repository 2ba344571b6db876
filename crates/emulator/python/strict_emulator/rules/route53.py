"""Route 53: zones, lists and the status of changes; record rules are in `route53_changes`."""

from __future__ import annotations

import random
import string
from typing import Any

from moto.core.utils import utcnow
from moto.route53 import models
from moto.route53.responses import Route53

from ..registry import REGISTRY, Refusal
from ..state import STATE, now
from .route53_names import canonical_name, order_of

IDENTIFIER_CHARACTERS = string.ascii_uppercase + string.digits


class Changes:
    """The changes of this process, by id."""

    def __init__(self) -> None:
        self._submitted: dict[str, tuple[float, Any, str | None]] = {}

    def submit(self, comment: str | None = None) -> dict[str, Any]:
        """Registers a change; its id is its own (aws-facts 13)."""
        identifier = "C" + "".join(random.choices(IDENTIFIER_CHARACTERS, k=20))
        self._submitted[identifier] = (now(), utcnow(), comment)
        return self.describe(identifier)

    def describe(self, identifier: str) -> dict[str, Any]:
        """PENDING at first, INSYNC later (aws-facts 5.4)."""
        key = identifier.removeprefix("/change/")
        if key not in self._submitted:
            raise Refusal("NoSuchChange", f"Could not find resource with ID: {key}")
        moment, submitted_at, comment = self._submitted[key]
        in_sync = now() - moment >= STATE.settings.change_in_sync_after
        described = {
            "Id": f"/change/{key}",
            "Status": "INSYNC" if in_sync else "PENDING",
            "SubmittedAt": submitted_at,
        }
        if comment:
            described["Comment"] = comment
        return described


CHANGES = Changes()


@REGISTRY.instead(Route53, "get_change")
def get_change(response: Any) -> dict[str, Any]:
    """A change is pending for a while; an unknown one is refused (aws-facts 5.4)."""
    return {"ChangeInfo": CHANGES.describe(response._get_param("Id"))}


@REGISTRY.after(
    Route53,
    "create_hosted_zone",
    "delete_hosted_zone",
    "associate_vpc_with_hosted_zone",
    "disassociate_vpc_from_hosted_zone",
)
def zone_changes_propagate(_: Any, result: dict[str, Any]) -> dict[str, Any]:
    """Changes of zones have a change id and status of their own (aws-facts 5.4)."""
    result["ChangeInfo"] = CHANGES.submit(result["ChangeInfo"].get("Comment"))
    return result


@REGISTRY.before(Route53, "create_hosted_zone")
def reference_is_used_once(response: Any) -> None:
    """A caller reference makes one zone only (emulator-gaps, Route 53)."""
    reference = response._get_param("CallerReference")
    for zone in response.backend.zones.values():
        if zone.caller_reference == reference:
            raise Refusal(
                "HostedZoneAlreadyExists",
                "A hosted zone has already been created with the specified caller reference.",
            )


@REGISTRY.patch(models, "create_route53_zone_id")
def zone_id(_: Any, *__: Any, **___: Any) -> str:
    """Zone ids begin with Z and have 14 to 21 characters (aws-facts 13)."""
    return "Z" + "".join(random.choices(IDENTIFIER_CHARACTERS, k=20))


@REGISTRY.after(Route53, "create_hosted_zone")
def zone_as_delegated(_: Any, result: dict[str, Any]) -> dict[str, Any]:
    """Each zone has four name servers of its own; its names are canonical (aws-facts 5.2)."""
    zone = result["HostedZone"]
    zone.name = canonical_name(zone.name)
    if not zone.private_zone and not zone.delegation_set.id:
        zone.delegation_set.name_servers = [
            f"ns-{random.randrange(512) + 512 * index}.awsdns-{random.randrange(64):02}.{suffix}"
            for index, suffix in enumerate(("com", "net", "org", "co.uk"))
        ]
    servers = list(zone.delegation_set.name_servers)
    for record in zone.rrsets:
        record.name = zone.name
        if record.type == "NS":
            record.ttl = 172800
            record.records = [f"{server}." for server in servers]
        elif record.type == "SOA":
            contact = "awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
            record.records = [f"{servers[0]}. {contact}"]
    return result


@REGISTRY.instead(Route53, "list_hosted_zones_by_name")
def list_hosted_zones_by_name(response: Any) -> dict[str, Any]:
    """Zones from a name on, in the order of reversed labels, in pages (emulator-gaps)."""
    name = response._get_param("DNSName")
    zone = response._get_param("HostedZoneId")
    size = int(response._get_param("MaxItems") or 100)
    found = sorted(
        response.backend.zones.values(), key=lambda one: (order_of(one.name), one.resource_id)
    )
    if name:
        start = (order_of(canonical_name(name)), zone or "")
        found = [one for one in found if (order_of(one.name), one.resource_id) >= start]
    result: dict[str, Any] = {
        "HostedZones": found[:size],
        "IsTruncated": len(found) > size,
        "MaxItems": str(size),
    }
    if name:
        result["DNSName"] = name
    if zone:
        result["HostedZoneId"] = zone
    if len(found) > size:
        result["NextDNSName"] = found[size].name
        result["NextHostedZoneId"] = found[size].resource_id
    return result


@REGISTRY.instead(Route53, "list_resource_record_sets")
def list_resource_record_sets(response: Any) -> dict[str, Any]:
    """Records from (name, type, identifier) on, 300 to a page (aws-facts 5.2)."""
    zone = response.backend.get_hosted_zone(response._get_param("HostedZoneId"))
    name = response._get_param("StartRecordName")
    kind = response._get_param("StartRecordType")
    identifier = response._get_param("StartRecordIdentifier")
    if (kind and not name) or (identifier and not kind):
        raise Refusal("InvalidInput", "The input is not valid")
    size = min(int(response._get_param("MaxItems") or 300), 300)

    def position(record: Any) -> tuple[Any, str, str]:
        return order_of(record.name), record.type, record.set_identifier or ""

    records = sorted(zone.rrsets, key=position)
    if name:
        start = (order_of(canonical_name(name)), kind or "", identifier or "")
        records = [record for record in records if position(record) >= start]
    result: dict[str, Any] = {
        "ResourceRecordSets": records[:size],
        "IsTruncated": len(records) > size,
        "MaxItems": str(size),
    }
    if len(records) > size:
        following = records[size]
        result["NextRecordName"] = following.name
        result["NextRecordType"] = following.type
        result["NextRecordIdentifier"] = following.set_identifier
    return result
