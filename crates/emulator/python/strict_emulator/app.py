"""The WSGI application: control interface, request log and faults before moto."""

from __future__ import annotations

import io
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from . import control, wire
from .faults import AFTERWARDS, Fault
from .state import STATE

Headers = list[tuple[str, str]]


class ConnectionDropped(ConnectionError):
    """Ends a request without an answer; werkzeug closes the socket quietly."""


class Application:
    """Serves `/_control/` itself and everything else from moto."""

    def __init__(self, after_mutation: Callable[[], None]) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        # Lets time-dependent resources notice a change at once, see `rules`.
        self._after_mutation = after_mutation

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        if environ.get("wsgi.input_terminated") and not length:
            body = environ["wsgi.input"].read()
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        if environ.get("PATH_INFO", "").startswith("/_control/"):
            fault = None
            status, headers, answer = control.respond(environ, body)
        else:
            fault, status, headers, answer = self._serve(environ, body)
        if fault is not None and fault.kind == "truncate":
            answer = answer[: len(answer) // 2]
        headers = [pair for pair in headers if pair[0].lower() != "content-length"]
        headers.append(("Content-Length", str(len(answer))))
        start_response(f"{status} {'OK' if status < 400 else 'Error'}", headers)
        return in_halves(fault, environ, answer) if is_sent_in_halves(fault) else [answer]

    def _serve(
        self, environ: dict[str, Any], body: bytes
    ) -> tuple[Fault | None, int, Headers, bytes]:
        call = wire.parse_call(environ, body)
        entry = STATE.journal.begin(call.service, call.action, call.parameters)
        if not entry["mutating"]:
            return self._carry_out(environ, call, entry)
        with STATE.gate.passage(f"{call.service} {call.action}", environ):
            return self._carry_out(environ, call, entry)

    def _carry_out(
        self, environ: dict[str, Any], call: wire.Call, entry: dict[str, Any]
    ) -> tuple[int, Headers, bytes]:
        struck = STATE.faults.take(call.service, call.action)
        time.sleep(sum(fault.seconds for fault in struck if fault.kind != "stall"))
        fault = next((fault for fault in struck if fault.kind != "latency"), None)
        if fault is not None and fault.kind == "drop_before":
            drop(environ)
        if fault is None or fault.kind in AFTERWARDS:
            status, headers, answer = self._answer(environ, call, entry["mutating"])
            if fault is not None and fault.kind == "replace_after":
                status, headers, answer = replaced(fault)
        else:
            status, headers, answer = faulty_answer(fault, call)
        entry["status"] = status
        entry["error"] = wire.error_code(answer) if status >= 400 else None
        if fault is not None and fault.kind == "drop_after":
            drop(environ)
        return fault, status, headers, answer

    def _answer(
        self, environ: dict[str, Any], call: wire.Call, mutating: bool
    ) -> tuple[int, Headers, bytes]:
        captured: dict[str, Any] = {}

        def start_response(status: str, headers: Headers, *_: Any) -> Any:
            captured["status"] = int(status.split(" ", 1)[0])
            captured["headers"] = headers
            return lambda _: None

        with STATE.lock:
            try:
                chunks = self._moto(environ, start_response)
                answer = b"".join(chunks)
                close = getattr(chunks, "close", None)
                if close:
                    close()
            except Exception:
                # A hole in moto or in a rule: show it on stderr, answer as AWS would.
                traceback.print_exc(file=sys.stderr)
                message = f"{call.action} failed inside the emulator"
                headers, answer = wire.error_response(call.service, "InternalFailure", message)
                captured = {"status": 500, "headers": headers}
            if mutating:
                self._after_mutation()
                STATE.touch()
        return captured["status"], captured["headers"], answer


def drop(environ: dict[str, Any]) -> None:
    """Cuts the connection without a word."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionDropped("connection dropped on order")


def is_sent_in_halves(fault: Fault | None) -> bool:
    """Whether something happens in the middle of the answer."""
    return fault is not None and fault.kind in ("abort", "stall")


def in_halves(fault: Fault, environ: dict[str, Any], answer: bytes) -> Iterable[bytes]:
    """An answer that stops in the middle, for a while or for good."""
    middle = len(answer) // 2
    yield answer[:middle]
    if fault.kind == "abort":
        drop(environ)
    time.sleep(fault.seconds)
    yield answer[middle:]


def replaced(fault: Fault) -> tuple[int, Headers, bytes]:
    """What something between the caller and AWS answers in AWS's place."""
    return fault.status or 200, [("Content-Type", fault.content_type)], fault.body.encode()


def faulty_answer(fault: Fault, call: wire.Call) -> tuple[int, Headers, bytes]:
    """The answer of a fault that keeps moto out of the matter."""
    if fault.kind == "replace_before":
        return replaced(fault)
    if fault.kind == "throttle":
        code, message, status = wire.THROTTLING.get(call.service, wire.DEFAULT_THROTTLING)
    elif fault.kind == "deny":
        code, status = wire.DENIED.get(call.service, wire.DEFAULT_DENIED)
        prefix = wire.ACTION_PREFIXES.get(call.service, call.service)
        message = (
            f"User: arn:aws:iam::{STATE.account}:user/tester is not authorized to perform: "
            f"{prefix}:{call.action} because no identity-based policy allows the "
            f"{prefix}:{call.action} action"
        )
    elif fault.kind == "expire":
        code, message, status = wire.EXPIRED.get(call.service, wire.DEFAULT_EXPIRED)
    elif fault.kind == "status":
        status = fault.status or 503
        code, message = ("ServiceUnavailable", "The service is unavailable, try again.")
    else:
        code, message, status = (fault.code or "InternalFailure", "", 400)
    code = fault.code or code
    headers, answer = wire.error_response(call.service, code, fault.message or message or code)
    return fault.status or status, headers, answer
