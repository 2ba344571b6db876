"""Route 53: what a change batch may do."""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

from moto.route53.models import RecordSet
from moto.route53.responses import Route53

from .. import backends
from ..registry import REGISTRY, Refusal
from .elbv2_names import known_zone_ids
from .route53 import CHANGES
from .route53_names import canonical_name, lies_in

# What makes record sets of one name and type differ in routing policy.
POLICIES = ("Weight", "Region", "Failover", "GeoLocation", "MultiValueAnswer")
ALIAS_SERVICES = {"Z2FDTNDATAQYW2": "cloudfront.net."}

Key = tuple[str, str, str | None]


def bad_batch(message: str) -> Refusal:
    """A batch is refused as a whole, with a list of messages (aws-facts 5.4)."""
    return Refusal("InvalidChangeBatch", f"[{message}]")


@REGISTRY.instead(Route53, "change_resource_record_sets")
def change_resource_record_sets(response: Any) -> dict[str, Any]:
    """All changes of a batch in their order, or none (aws-facts 5.4)."""
    zone = response.backend.get_hosted_zone(response._get_param("HostedZoneId"))
    batch = response._get_param("ChangeBatch")
    changes = batch.get("Changes") or []
    check_size(changes)
    records = {key_of(record): record for record in zone.rrsets}
    touched: set[tuple[str, Key]] = set()
    for change in changes:
        wanted = normalized(change, zone)
        check_once(change["Action"], wanted, touched)
        apply_change(change["Action"], wanted, records, zone)
    check_apex(records, zone)
    check_alias_targets(records, changes, zone)
    zone.rrsets = list(records.values())
    return {"ChangeInfo": CHANGES.submit(batch.get("Comment"))}


def key_of(record: Any) -> Key:
    """What tells record sets apart."""
    return record.name, record.type, record.set_identifier


def check_size(changes: list[dict[str, Any]]) -> None:
    """1,000 records and 32,000 characters per call, UPSERT twice (aws-facts 5.4)."""
    records = characters = 0
    for change in changes:
        factor = 2 if change["Action"] == "UPSERT" else 1
        values = change["ResourceRecordSet"].get("ResourceRecords") or []
        records += factor * len(values)
        characters += factor * sum(len(value["Value"]) for value in values)
    if not changes:
        raise Refusal("InvalidInput", "Invalid XML ; a batch must contain at least one change")
    if records > 1000:
        raise bad_batch("Number of records limit of 1000 exceeded.")
    if characters > 32000:
        raise bad_batch("RDATA character length exceeds limit of 32000.")


def normalized(change: dict[str, Any], zone: Any) -> RecordSet:
    """A change's record set as Route 53 would store it (aws-facts 5.2)."""
    action = change["Action"]
    if action not in ("CREATE", "DELETE", "UPSERT"):
        raise Refusal(
            "InvalidInput",
            f"Invalid XML ; cvc-enumeration-valid: Value '{action}' is not facet-valid with "
            "respect to enumeration '[CREATE, DELETE, UPSERT]'.",
        )
    given = copy.deepcopy(dict(change["ResourceRecordSet"]))
    name = canonical_name(given["Name"])
    kind = given["Type"]
    values = [value["Value"] for value in given.get("ResourceRecords") or []]
    alias = given.get("AliasTarget")
    check_content(action, given, name, values)
    if not lies_in(name, zone.name):
        raise bad_batch(f"RRSet with DNS name {name} is not permitted in zone {zone.name}")
    for value in values:
        check_value(kind, value)
    given["Name"] = name
    given["ResourceRecords"] = values
    if alias:
        given["AliasTarget"] = {
            "HostedZoneId": alias["HostedZoneId"],
            "DNSName": canonical_name(alias["DNSName"]),
            "EvaluateTargetHealth": bool(alias["EvaluateTargetHealth"]),
        }
    if given.get("TTL") is not None:
        given["TTL"] = int(given["TTL"])
    return RecordSet(given)


def check_content(action: str, given: dict[str, Any], name: str, values: list[str]) -> None:
    """A record set holds either an alias or a TTL with values (aws-facts 5.4)."""
    has_alias = bool(given.get("AliasTarget"))
    has_values = given.get("TTL") is not None and bool(values)
    has_either = given.get("TTL") is not None or bool(values)
    if has_alias != has_values and not (has_alias and has_either):
        return
    found = "more than one" if has_alias else "none"
    raise Refusal(
        "InvalidInput",
        "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and "
        f"ResourceRecords], or TrafficPolicyInstanceId], but found {found} in Change with "
        f"[Action={action}, Name={name}, Type={given['Type']}, "
        f"SetIdentifier={given.get('SetIdentifier') or 'null'}]",
    )


def check_value(kind: str, value: str) -> None:
    """Values fit the type of the record (emulator-gaps, Route 53)."""
    problem = None
    if kind in ("A", "AAAA"):
        version = 4 if kind == "A" else 6
        try:
            fits = ipaddress.ip_address(value).version == version
        except ValueError:
            fits = False
        if not fits:
            problem = (
                f"ARRDATAIllegalIPv{version}Address (Value is not a valid IPv{version} address)"
            )
    elif kind == "TXT" and not (value.startswith('"') and value.endswith('"') and len(value) > 1):
        problem = "InvalidCharacterString (Value should be enclosed in quotation marks)"
    elif kind in ("CNAME", "NS") and (" " in value or not value.strip(".")):
        problem = "DomainLabelEmpty (Domain label is empty)"
    if problem:
        raise bad_batch(
            f"Invalid Resource Record: 'FATAL problem: {problem} encountered with '{value}''"
        )


def check_once(action: str, wanted: RecordSet, touched: set[tuple[str, Key]]) -> None:
    """A batch deletes a set at most once and writes it at most once (emulator-gaps)."""
    effect = "delete" if action == "DELETE" else "write"
    if (effect, key_of(wanted)) in touched:
        raise bad_batch(
            "The request contains an invalid set of changes for a resource record set "
            f"'{wanted.type} {wanted.name}'"
        )
    touched.add((effect, key_of(wanted)))


def apply_change(action: str, wanted: RecordSet, records: dict[Key, Any], zone: Any) -> None:
    """Carries out one change on the copy, after checking what stands there now."""
    existing = records.get(key_of(wanted))
    label = f"resource record set [name='{wanted.name}', type='{wanted.type}'{identifier(wanted)}]"
    if action == "DELETE":
        if existing is None:
            raise bad_batch(f"Tried to delete {label} but it was not found")
        if not same(existing, wanted):
            raise bad_batch(
                f"Tried to delete {label} but the values provided do not match the current values"
            )
        del records[key_of(wanted)]
        return
    if action == "CREATE" and existing is not None:
        raise bad_batch(f"Tried to create {label} but it already exists")
    others = [
        record
        for record in records.values()
        if record.name == wanted.name and key_of(record) != key_of(wanted)
    ]
    check_neighbours(wanted, others, zone)
    check_policies(wanted, others)
    records[key_of(wanted)] = wanted


def identifier(wanted: RecordSet) -> str:
    """The identifier as error texts show it."""
    return f", set-identifier='{wanted.set_identifier}'" if wanted.set_identifier else ""


def same(existing: Any, wanted: RecordSet) -> bool:
    """Whether a DELETE repeats every stored value (aws-facts 5.4)."""
    if existing.alias_target or wanted.alias_target:
        if existing.alias_target != wanted.alias_target:
            return False
    elif int(existing.ttl) != int(wanted.ttl):
        return False
    stored, given = sorted(existing.records or []), sorted(wanted.records or [])
    fields = ("weight", "region", "failover", "geo_location", "health_check_id")
    return stored == given and all(
        getattr(existing, field) == getattr(wanted, field) for field in fields
    )


def check_neighbours(wanted: RecordSet, others: list[Any], zone: Any) -> None:
    """A CNAME stands alone at its name and never at the apex (aws-facts 5.3)."""
    if wanted.type == "CNAME":
        if wanted.name == zone.name:
            raise bad_batch(
                f"RRSet of type CNAME with DNS name {wanted.name} is not permitted at apex in "
                f"zone {zone.name}"
            )
        if len(wanted.records or []) > 1:
            raise bad_batch(
                f"RRSet of type CNAME with DNS name {wanted.name} may have one value only"
            )
        if any(record.type != "CNAME" for record in others):
            raise bad_batch(
                f"RRSet of type CNAME with DNS name {wanted.name} is not permitted as it "
                f"conflicts with other records with the same DNS name in zone {zone.name}"
            )
    elif any(record.type == "CNAME" for record in others):
        raise bad_batch(
            f"RRSet of type {wanted.type} with DNS name {wanted.name} is not permitted because a "
            f"conflicting RRSet of type CNAME with the same DNS name already exists in zone "
            f"{zone.name}"
        )


def policy(record: Any) -> str:
    """The routing policy of a record set."""
    held = {
        "Weight": record.weight,
        "Region": record.region,
        "Failover": record.failover,
        "GeoLocation": record.geo_location,
        "MultiValueAnswer": record.multi_value_answer,
    }
    return next((name for name in POLICIES if held[name] not in (None, "", {})), "simple")


def check_policies(wanted: RecordSet, others: list[Any]) -> None:
    """Sets of one name and type have one policy; simple sets stand alone (aws-facts 5.3)."""
    kind = policy(wanted)
    if (kind == "simple") != (not wanted.set_identifier):
        raise Refusal(
            "InvalidInput",
            "Invalid request: SetIdentifier and a routing policy must be specified together in "
            f"Change with [Name={wanted.name}, Type={wanted.type}]",
        )
    for record in others:
        if record.type == wanted.type and policy(record) != kind:
            words = {"simple": "simple", "Weight": "weighted", "Region": "latency"}
            raise bad_batch(
                f"RRSet with DNS name {wanted.name}, type {wanted.type}, SetIdentifier "
                f"{wanted.set_identifier or 'null'} cannot be created because a "
                f"{words.get(policy(record), policy(record).lower())} RRSet exists with the same "
                "name and type."
            )


def check_apex(records: dict[Key, Any], zone: Any) -> None:
    """The zone's own NS and SOA sets stay."""
    for kind in ("NS", "SOA"):
        if (zone.name, kind, None) not in records:
            raise bad_batch(
                f"A HostedZone must contain at least one {kind} record for the zone itself."
            )


def check_alias_targets(records: dict[Key, Any], changes: list[dict[str, Any]], zone: Any) -> None:
    """An alias names its target's own zone id (aws-facts 5.4)."""
    for change in changes:
        if change["Action"] == "DELETE" or not change["ResourceRecordSet"].get("AliasTarget"):
            continue
        wanted = normalized(change, zone)
        target = wanted.alias_target["DNSName"]
        zone_id = wanted.alias_target["HostedZoneId"]
        problem = alias_problem(wanted, target, zone_id, records, zone)
        if problem:
            raise bad_batch(
                f"Tried to create an alias that targets {target}, type {wanted.type} in zone "
                f"{zone_id}, but {problem}"
            )


def alias_problem(
    wanted: RecordSet, target: str, zone_id: str, records: dict[Key, Any], zone: Any
) -> str | None:
    """What is wrong with an alias target, if anything."""
    outside = "the alias target name does not lie within the target zone"
    missing = "that target was not found"
    bare = target.removeprefix("dualstack.")
    for _, balancer in backends.load_balancers():
        if balancer.dns_name.lower() + "." == bare:
            return None if balancer.canonical_hosted_zone_id == zone_id else outside
    if zone_id == zone.resource_id:
        if not lies_in(target, zone.name):
            return outside
        named = any(key[0] == target and key[1] == wanted.type for key in records)
        return None if named else missing
    if zone_id in ALIAS_SERVICES:
        return None if target.endswith("." + ALIAS_SERVICES[zone_id]) else outside
    region = known_zone_ids().get(zone_id)
    if region is not None:
        return missing if target.endswith(f".{region}.elb.amazonaws.com.") else outside
    return outside
