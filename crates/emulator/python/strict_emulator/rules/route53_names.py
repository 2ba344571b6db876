"""Names as Route 53 stores and orders them."""

from __future__ import annotations

import re

PLAIN = set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def canonical_name(name: str) -> str:
    """Lower-case, octal escapes for all but a-z 0-9 - _, a trailing dot (aws-facts 5.2).

    A caller may write the escapes too.
    """
    text = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), name).lower()
    escaped = "".join(
        character if character in PLAIN else f"\\{ord(character):03o}" for character in text
    )
    return escaped if escaped.endswith(".") else escaped + "."


def order_of(name: str) -> tuple[str, ...]:
    """The position of a name in lists: by labels, from the right (aws-facts 5.2)."""
    return tuple(reversed(name.rstrip(".").split(".")))


def lies_in(name: str, zone_name: str) -> bool:
    """Whether a canonical name is the zone's or below it."""
    return name == zone_name or name.endswith("." + zone_name)
