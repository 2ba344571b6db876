"""The control interface under `/_control/`: JSON in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from . import certificates, world
from .faults import Fault, InvalidFault
from .gate import InvalidGate
from .settings import InvalidSetting
from .state import STATE

Headers = list[tuple[str, str]]


class BadRequest(ValueError):
    """An order that cannot be understood."""


class NotFound(ValueError):
    """An order about something that does not exist."""


def respond(environ: dict[str, Any], body: bytes) -> tuple[int, Headers, bytes]:
    """Carries out one order."""
    path = environ["PATH_INFO"].removeprefix("/_control/")
    handler = HANDLERS.get((environ["REQUEST_METHOD"], path))
    status: int
    answer: object
    if handler is None:
        status, answer = 404, {"error": f"no {environ['REQUEST_METHOD']} /_control/{path}"}
    else:
        try:
            query = {name: values[-1] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
            status, answer = 200, handler(json.loads(body) if body else None, query)
        except NotFound as error:
            status, answer = 404, {"error": str(error)}
        except (
            BadRequest,
            InvalidFault,
            InvalidGate,
            InvalidSetting,
            certificates.InvalidRenewal,
            json.JSONDecodeError,
        ) as error:
            status, answer = 400, {"error": str(error)}
    return status, [("Content-Type", "application/json")], json.dumps(answer).encode()


def health(_: object, __: dict[str, str]) -> object:
    """Says that the emulator answers."""
    return {"ok": True, "strict": STATE.strict, "account": STATE.account}


def read_requests(_: object, __: dict[str, str]) -> object:
    """The request log."""
    return STATE.journal.entries()


def clear_requests(_: object, __: dict[str, str]) -> object:
    """Empties the request log."""
    STATE.journal.clear()
    return {"ok": True}


def read_settings(_: object, __: dict[str, str]) -> object:
    """All delays."""
    return STATE.settings.as_dict()


def merge_settings(body: object, _: dict[str, str]) -> object:
    """Changes some delays."""
    with STATE.lock:
        STATE.settings.merge(body)
        STATE.touch()
        return STATE.settings.as_dict()


def put_health_scripts(body: object, _: dict[str, str]) -> object:
    """Replaces the health scripts of the instances named."""
    if not isinstance(body, dict) or not all(isinstance(steps, list) for steps in body.values()):
        raise BadRequest("expected an object of instance id -> list of steps")
    for steps in body.values():
        for step in steps:
            if not isinstance(step, dict) or "state" not in step:
                raise BadRequest("each step of a script needs a `state`")
    with STATE.lock:
        STATE.health_scripts.update(body)
        STATE.touch()
    return {"ok": True}


def clear_health_scripts(_: object, __: dict[str, str]) -> object:
    """Lets health be computed again."""
    with STATE.lock:
        STATE.health_scripts.clear()
        STATE.touch()
    return {"ok": True}


def add_fault(body: object, _: dict[str, str]) -> object:
    """Orders a fault."""
    STATE.faults.add(Fault.parse(body))
    return {"ok": True}


def clear_faults(_: object, __: dict[str, str]) -> object:
    """Takes back all faults."""
    STATE.faults.clear()
    return {"ok": True}


def close_gate(body: object, _: dict[str, str]) -> object:
    """Closes the gate at a request that changes something."""
    STATE.gate.close(body)
    return {"ok": True}


def wait_at_gate(_: object, query: dict[str, str]) -> object:
    """How things stand at the gate, once the request is there or time is over."""
    try:
        return STATE.gate.wait(float(query.get("wait", "0")))
    except ValueError as error:
        raise BadRequest(str(error)) from error


def open_gate(_: object, __: dict[str, str]) -> object:
    """Drops what is held at the gate."""
    return STATE.gate.open()


def remove_gate(_: object, __: dict[str, str]) -> object:
    """Lets everything through again."""
    return STATE.gate.remove()


def fail_certificate(body: object, _: dict[str, str]) -> object:
    """Makes a certificate, or the next one for a domain, fail."""
    if not isinstance(body, dict) or not (body.get("arn") or body.get("domain")):
        raise BadRequest("expected `arn` or `domain`, and `reason`")
    reason = str(body.get("reason") or "OTHER")
    with STATE.lock:
        if not certificates.order_failure(body.get("arn"), body.get("domain"), reason):
            raise NotFound(f"no certificate {body.get('arn')}")
        STATE.touch()
    return {"ok": True}


def order_renewal(body: object, _: dict[str, str]) -> object:
    """Says how the renewal of a certificate stands, and how many days it has left."""
    if not isinstance(body, dict) or not (body.get("arn") or body.get("domain")):
        raise BadRequest("expected `arn` or `domain`, and `status` or `days_left`")
    unknown = set(body) - {"arn", "domain", "status", "reason", "domains", "days_left"}
    if unknown:
        raise BadRequest(f"unknown field `{sorted(unknown)[0]}`")
    with STATE.lock:
        if not certificates.order_renewal(body):
            raise NotFound(f"no issued certificate {body.get('arn') or body.get('domain')}")
        STATE.touch()
    return {"ok": True}


def put_public_addresses(body: object, _: dict[str, str]) -> object:
    """Gives instances the public addresses that the test wants."""
    if not isinstance(body, dict):
        raise BadRequest("expected an object of instance id -> address")
    with STATE.lock:
        for instance_id, address in body.items():
            if not world.set_public_address(instance_id, address):
                raise NotFound(f"no instance {instance_id}")
        STATE.touch()
    return {"ok": True}


def read_world(_: object, query: dict[str, str]) -> object:
    """The world, at once or when it is no longer the one of `since`."""
    try:
        since = int(query["since"]) if "since" in query else None
        wait = float(query.get("wait", "0"))
    except ValueError as error:
        raise BadRequest(str(error)) from error
    return world.wait_for_change(since, wait)


HANDLERS: dict[tuple[str, str], Callable[[object, dict[str, str]], object]] = {
    ("GET", "health"): health,
    ("GET", "requests"): read_requests,
    ("DELETE", "requests"): clear_requests,
    ("GET", "settings"): read_settings,
    ("PUT", "settings"): merge_settings,
    ("PUT", "health-scripts"): put_health_scripts,
    ("DELETE", "health-scripts"): clear_health_scripts,
    ("POST", "faults"): add_fault,
    ("DELETE", "faults"): clear_faults,
    ("PUT", "gate"): close_gate,
    ("GET", "gate"): wait_at_gate,
    ("POST", "gate/open"): open_gate,
    ("DELETE", "gate"): remove_gate,
    ("POST", "certificates/fail"): fail_certificate,
    ("PUT", "certificates/renewal"): order_renewal,
    ("PUT", "public-addresses"): put_public_addresses,
    ("GET", "world"): read_world,
}
