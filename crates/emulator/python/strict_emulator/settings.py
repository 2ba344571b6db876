"""Delays of the emulated services, changeable while the emulator runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


class InvalidSetting(ValueError):
    """A setting that does not exist or is not a duration."""


@dataclass
class Settings:
    """How long each slow thing takes, in seconds."""

    # ACM: from the request until the validation records can be described.
    validation_records_after: float = 0.2
    # ACM: from the moment the CNAMEs stand in the zones until ISSUED.
    issue_after: float = 0.3
    # ELB: from CreateLoadBalancer until the state is `active`.
    load_balancer_active_after: float = 0.5
    # ELB: from registration in a used target group until health is known.
    registration_after: float = 0.3
    # ELB: how long a deregistered target is reported as `draining`.
    draining_for: float = 0.3
    # ELB: how long interfaces and certificate associations outlive their user.
    interfaces_linger_for: float = 0.3
    # ELB: how long a target group counts as used after the last listener or rule let go of it.
    target_groups_linger_for: float = 0.2
    # WAF: how long a new web ACL cannot be associated yet.
    web_acl_unavailable_for: float = 0.2
    # Route 53: from a change until GetChange says INSYNC.
    change_in_sync_after: float = 0.2
    # All services: how long reads do not know a new resource.
    fresh_unknown_for: float = 0.0
    # ELB and ACM: how long tags given at creation are missing from reads.
    tags_late_by: float = 0.0

    def merge(self, values: object) -> None:
        """Takes over the given settings; refuses all of them if one is wrong."""
        if not isinstance(values, dict):
            raise InvalidSetting("expected an object of settings")
        known = {field.name for field in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise InvalidSetting(f"unknown setting `{name}`")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise InvalidSetting(f"`{name}` must be a number of seconds")
        for name, value in values.items():
            setattr(self, name, float(value))

    def as_dict(self) -> dict[str, float]:
        """All settings by name."""
        return asdict(self)
