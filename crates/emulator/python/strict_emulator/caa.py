"""Whether CAA records let Amazon issue a certificate (aws-facts 1.4)."""

from __future__ import annotations

from . import backends

AMAZON = {"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"}


def forbids_amazon(domain: str) -> bool:
    """Whether the nearest CAA set at the name or above it leaves Amazon out."""
    name = domain.removeprefix("*.")
    labels = name.split(".")
    for index in range(len(labels)):
        values = caa_values(".".join(labels[index:]) + ".")
        if values:
            return not admits(values, wildcard=domain.startswith("*."))
    return False


def caa_values(name: str) -> list[str]:
    """The CAA values at one name, in any public zone."""
    return [
        value
        for zone in backends.zones()
        if not zone.private_zone
        for record in zone.rrsets
        if record.type == "CAA" and record.name == name
        for value in record.records or []
    ]


def admits(values: list[str], *, wildcard: bool) -> bool:
    """Whether one CAA set names Amazon; `issuewild` goes first for wildcards."""
    allowed: dict[str, list[str]] = {}
    for value in values:
        _, _, rest = value.partition(" ")
        tag, _, text = rest.partition(" ")
        authority = text.strip().strip('"').partition(";")[0].strip()
        allowed.setdefault(tag.lower(), []).append(authority.lower())
    authorities = allowed.get("issue")
    if wildcard and "issuewild" in allowed:
        authorities = allowed["issuewild"]
    return authorities is None or any(authority in AMAZON for authority in authorities)
