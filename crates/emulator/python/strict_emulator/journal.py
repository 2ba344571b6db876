"""The log of API requests, as tests read it."""

from __future__ import annotations

import threading
import time
from typing import Any

# An action that begins with one of these words changes nothing.
READING_WORDS = (
    "BatchGet",
    "Check",
    "Describe",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Search",
    "Select",
    "Simulate",
    "Test",
)


def is_mutating(service: str, action: str, parameters: dict[str, Any]) -> bool:
    """Whether a call of this name changes something in AWS."""
    if service == "sts" or parameters.get("DryRun") is True:
        return False
    return not action.startswith(READING_WORDS)


class Journal:
    """Requests in the order of their arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []
        self._sequence = 0

    def begin(self, service: str, action: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Records a request whose answer is not known yet."""
        with self._lock:
            self._sequence += 1
            entry: dict[str, Any] = {
                "sequence": self._sequence,
                "time": round(time.time(), 3),
                "service": service,
                "action": action,
                "mutating": is_mutating(service, action, parameters),
                "status": None,
                "error": None,
                "parameters": parameters,
            }
            self._entries.append(entry)
            return entry

    def entries(self) -> list[dict[str, Any]]:
        """A copy of the log."""
        with self._lock:
            return [dict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forgets all entries; the numbering goes on."""
        with self._lock:
            self._entries.clear()
