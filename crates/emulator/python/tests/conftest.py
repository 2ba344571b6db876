"""Fixtures: a running emulator and boto3 clients for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
REGION = "ap-northeast-1"
QUICK = {
    "validation_records_after": 0.1,
    "issue_after": 0.1,
    "load_balancer_active_after": 0.1,
    "registration_after": 0.1,
    "draining_for": 0.15,
    "target_groups_linger_for": 0.15,
    "web_acl_unavailable_for": 0.1,
    "interfaces_linger_for": 0.15,
    "change_in_sync_after": 0.1,
    "fresh_unknown_for": 0,
    "tags_late_by": 0,
}


class Emulator:
    """A started emulator."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "strict_emulator", "--port", "0", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), line
        self.url = line.split()[1]
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = REGION, retries: int = 0) -> Any:
        """A boto3 client that does not retry unless it is told to."""
        key = (service, region)
        if retries or key not in self._clients:
            client = boto3.client(
                service,
                endpoint_url=self.url,
                region_name=region,
                aws_access_key_id="AKIDEXAMPLE",
                aws_secret_access_key="secret",
                # Bad values must reach the emulator: it is what the tests ask.
                config=Config(
                    parameter_validation=False,
                    read_timeout=10,
                    retries={"total_max_attempts": retries + 1},
                ),
            )
            if retries:
                return client
            self._clients[key] = client
        return self._clients[key]

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One order to the control interface."""
        request = urllib.request.Request(
            f"{self.url}/_control/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def world(self) -> Any:
        """The world as it is now."""
        return self.control("GET", "world")

    def stop(self) -> int:
        """Ends it as a parent does: by closing standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=10)


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[Emulator]:
    """One strict emulator for the whole run; tests use names of their own."""
    emulator = Emulator()
    yield emulator
    emulator.stop()


@pytest.fixture
def emulator(shared_emulator: Emulator) -> Iterator[Emulator]:
    """The strict emulator with quick settings and no faults."""
    shared_emulator.control("PUT", "settings", QUICK)
    yield shared_emulator
    shared_emulator.control("DELETE", "faults")
    shared_emulator.control("DELETE", "health-scripts")


def eventually(probe: Callable[[], Any], timeout: float = 5.0) -> Any:
    """The first true value of a probe."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"did not come true, last value {value!r}"
        time.sleep(0.02)


def refused(code: str, call: Callable[..., Any], **parameters: Any) -> str:
    """Asserts that a call is refused with a code; gives the message."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    return str(error["Message"])
