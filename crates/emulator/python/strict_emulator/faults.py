"""Faults that a test orders: errors, lost connections, damaged answers, latency."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

# Answers that keep moto out of the matter, and connections that end before it.
INSTEAD = ("throttle", "status", "deny", "expire", "error", "drop_before", "replace_before")
# What happens to the answer after the call has been carried out.
AFTERWARDS = ("drop_after", "replace_after", "truncate", "abort", "stall")
KINDS = ("latency", *INSTEAD, *AFTERWARDS)


class InvalidFault(ValueError):
    """A fault that cannot be carried out as written."""


@dataclass
class Fault:
    """One ordered fault; `times` counts down, `None` means always. The first `after` calls pass."""

    service: str
    action: str
    kind: str
    status: int | None = None
    code: str | None = None
    message: str | None = None
    body: str = ""
    content_type: str = "text/html"
    seconds: float = 0.0
    after: int = 0
    times: int | None = None
    probability: float = 1.0

    @classmethod
    def parse(cls, order: object) -> Fault:
        """Reads an order; everything but `kind` has a default."""
        if not isinstance(order, dict):
            raise InvalidFault("expected an object")
        unknown = set(order) - set(cls.__dataclass_fields__)
        if unknown:
            raise InvalidFault(f"unknown field `{sorted(unknown)[0]}`")
        if order.get("kind") not in KINDS:
            raise InvalidFault(f"`kind` must be one of {', '.join(KINDS)}")
        if order["kind"] == "error" and not order.get("code"):
            raise InvalidFault("a fault of kind `error` needs a `code`")
        values: dict[str, Any] = {"service": "*", "action": "*"}
        values.update(order)
        for name in ("seconds", "probability"):
            if name in values:
                values[name] = float(values[name] or 0)
        return cls(**values)

    def matches(self, service: str, action: str) -> bool:
        """Whether the fault is meant for this call."""
        return self.service in ("*", service) and self.action in ("*", action)


class Faults:
    """The ordered faults, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Orders one more fault."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Takes back all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, service: str, action: str) -> list[Fault]:
        """The faults that strike this call: all latencies and one other."""
        struck: list[Fault] = []
        with self._lock:
            for fault in self._faults:
                if not fault.matches(service, action) or fault.times == 0:
                    continue
                decisive = any(other.kind != "latency" for other in struck)
                if fault.kind != "latency" and decisive:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if random.random() >= fault.probability:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                struck.append(fault)
        return struck
