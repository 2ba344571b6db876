"""What the emulator knows beside moto's own backends.

One process serves one emulated account, so there is one `STATE`. Everything
in it is read and written under `STATE.lock`, which also serialises all
requests: moto's backends are plain dictionaries without locks of their own.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from .faults import Faults
from .gate import Gate
from .journal import Journal
from .settings import Settings


def now() -> float:
    """Monotonic seconds; every delay is measured with it."""
    return time.monotonic()


@dataclass
class State:
    """The emulator's own state."""

    account: str = "123456789012"
    strict: bool = True
    settings: Settings = field(default_factory=Settings)
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    gate: Gate = field(default_factory=Gate)
    # Instance id -> list of health steps, see `rules/elbv2_health.py`.
    health_scripts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    # Domain name -> failure reason for the next request of that name.
    failing_domains: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        # Notified after each request that may have changed the world.
        self.changed = threading.Condition(self.lock)
        self.changed_at = now()

    def touch(self) -> None:
        """Says that something may have changed; call it under the lock."""
        self.changed_at = now()
        self.changed.notify_all()


STATE = State()
