"""A gate before everything that changes something: a test stops requests there and kills their client.

Requests that change something are counted from the moment the gate is closed at one of them.
Whatever comes after that one is held without being carried out. When the gate is opened, what is
held belongs to a client that is dead, and is dropped.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

KINDS = ("before", "after", "answered", "late")


class InvalidGate(ValueError):
    """An order that cannot be carried out as written."""


class ClientGone(ConnectionError):
    """Ends a request whose client is dead; werkzeug closes the socket quietly."""


@dataclass
class Closed:
    """One closing of the gate.

    `before`: the request is held without being carried out. `after`: it is carried out and its
    answer is held. `answered`: it is carried out and answered. `late`: it is held as `before`, and
    carried out when its client is dead and the next one asks for a change.
    """

    kind: str
    at: int
    arrived: int = 0
    # What is being carried out.
    running: int = 0
    # What waits for the gate to open, the answer of the request itself included.
    held: int = 0
    # What the request asks for, once it has arrived.
    request: str | None = None
    # Whether the request is as far as it may come.
    is_there: bool = False
    opened: bool = False
    # A late request goes from `None` to "held", "called" and "done".
    late: str | None = None

    @property
    def reached(self) -> bool:
        """Whether the request is as far as it may come, and nothing before it is under way."""
        return self.is_there and self.running == 0

    def as_dict(self) -> dict[str, Any]:
        """What a test is told."""
        return {
            "arrived": self.arrived,
            "held": self.held,
            "request": self.request,
            "reached": self.reached,
            "late": self.late,
        }


class Gate:
    """Open, unless a test closes it."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._closed: Closed | None = None

    def close(self, order: object) -> None:
        """Closes the gate at a request, counted from now."""
        if not isinstance(order, dict) or set(order) != {"kind", "at"}:
            raise InvalidGate("expected `kind` and `at`")
        if order["kind"] not in KINDS:
            raise InvalidGate(f"`kind` must be one of {', '.join(KINDS)}")
        if not isinstance(order["at"], int) or order["at"] < 1:
            raise InvalidGate("`at` must be a number from 1 on")
        with self._condition:
            if self._closed is not None:
                raise InvalidGate("the gate is closed already")
            self._closed = Closed(order["kind"], order["at"])

    def wait(self, seconds: float) -> dict[str, Any]:
        """How things stand at the gate, as soon as the request is there or time is over."""
        with self._condition:
            closed = self._known()
            self._condition.wait_for(lambda: closed.reached, seconds)
            return closed.as_dict()

    def open(self) -> dict[str, Any]:
        """Drops what is held, but for a late request, and waits until nothing is under way."""
        with self._condition:
            closed = self._known()
            closed.opened = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._is_quiet(closed))
            return closed.as_dict()

    def remove(self) -> dict[str, Any]:
        """Ends the closing; a late request that nobody called is carried out now."""
        with self._condition:
            closed = self._known()
            told = closed.as_dict()
            closed.opened = True
            self._condition.notify_all()
            if closed.late == "held":
                self._call_late(closed)
            self._condition.wait_for(lambda: closed.held == 0 and closed.running == 0)
            self._closed = None
            return told

    @contextmanager
    def passage(self, name: str, environ: dict[str, Any]) -> Iterator[None]:
        """Lets a request through that changes something: now, later, or never."""
        closed, is_it = self._enter(name, environ)
        try:
            yield
        finally:
            with self._condition:
                if closed is not None:
                    self._leave(closed, is_it)

    def _enter(self, name: str, environ: dict[str, Any]) -> tuple[Closed | None, bool]:
        with self._condition:
            closed = self._closed
            if closed is None:
                return None, False
            if client_is_gone(environ):
                raise ClientGone("the client ended before its request was looked at")
            if closed.opened:
                if closed.late == "held":
                    self._call_late(closed)
                closed.running += 1
                return closed, False
            closed.arrived += 1
            is_it = closed.arrived == closed.at
            if is_it:
                closed.request = name
            if closed.arrived > closed.at or (is_it and closed.kind in ("before", "late")):
                self._hold(closed, is_it)
            closed.running += 1
            return closed, is_it

    def _hold(self, closed: Closed, is_it: bool) -> None:
        closed.held += 1
        late = is_it and closed.kind == "late"
        if is_it:
            closed.is_there = True
        if late:
            closed.late = "held"
        self._condition.notify_all()
        self._condition.wait_for(
            lambda: closed.late == "called" if late else closed.opened
        )
        closed.held -= 1
        self._condition.notify_all()
        if not late:
            raise ClientGone("held until its client ended")

    def _leave(self, closed: Closed, is_it: bool) -> None:
        closed.running -= 1
        if is_it and closed.kind == "late":
            closed.late = "done"
        if is_it and closed.kind in ("after", "answered"):
            closed.is_there = True
        self._condition.notify_all()
        if is_it and closed.kind == "after" and not closed.opened:
            closed.held += 1
            self._condition.wait_for(lambda: closed.opened)
            closed.held -= 1
            self._condition.notify_all()

    def _call_late(self, closed: Closed) -> None:
        """Lets the late request be carried out before anything else that changes something."""
        closed.late = "called"
        self._condition.notify_all()
        self._condition.wait_for(lambda: closed.late == "done")

    def _known(self) -> Closed:
        if self._closed is None:
            raise InvalidGate("the gate is not closed")
        return self._closed

    @staticmethod
    def _is_quiet(closed: Closed) -> bool:
        return closed.running == 0 and closed.held == (1 if closed.late == "held" else 0)


def client_is_gone(environ: dict[str, Any]) -> bool:
    """Whether the other end of a request's connection is closed, as that of a dead process is."""
    connection = environ.get("werkzeug.socket")
    if connection is None:
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
