"""The gate before everything that changes something."""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from conftest import REGION, Emulator
from scene import unique


class Groups:
    """Makes security groups, by a client that ends when it gets no answer."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.vpc = emulator.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]

    def create(self, name: str) -> None:
        self._patient().create_security_group(GroupName=name, Description="d", VpcId=self.vpc)

    def create_in_vain(self, name: str) -> None:
        client = boto3.client(
            "ec2",
            endpoint_url=self.emulator.url,
            region_name=REGION,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(read_timeout=1, retries={"total_max_attempts": 1}),
        )
        with pytest.raises((ReadTimeoutError, ConnectionClosedError)):
            client.create_security_group(GroupName=name, Description="d", VpcId=self.vpc)
        client.close()

    def exists(self, name: str) -> bool:
        found = self._patient().describe_security_groups(
            Filters=[{"Name": "group-name", "Values": [name]}]
        )
        return bool(found["SecurityGroups"])

    def _patient(self) -> Any:
        return self.emulator.client("ec2")


@pytest.fixture
def groups(emulator: Emulator) -> Groups:
    return Groups(emulator)


@contextmanager
def closed(emulator: Emulator, kind: str, at: int) -> Iterator[Callable[[], Any]]:
    """A closed gate, and what waits until the request is there."""
    emulator.control("PUT", "gate", {"kind": kind, "at": at})
    try:
        yield lambda: emulator.control("GET", "gate?wait=10")
    finally:
        emulator.control("DELETE", "gate")


def names(count: int) -> list[str]:
    return [unique("gate") for _ in range(count)]


def begin(call: Callable[..., Any], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=call, args=arguments)
    thread.start()
    return thread


def test_a_request_is_held_before_it_is_carried_out(emulator: Emulator, groups: Groups) -> None:
    first, second, third, fourth = names(4)
    with closed(emulator, "before", 2) as reached:
        groups.create(first)
        held = begin(groups.create_in_vain, second)
        told = reached()
        assert told["reached"] and told["request"] == "ec2 CreateSecurityGroup"
        later = begin(groups.create_in_vain, third)
        assert groups.exists(first), "what changes nothing passes"
        held.join()
        later.join()
        emulator.control("POST", "gate/open")
        groups.create(fourth)
    assert [groups.exists(name) for name in (first, second, third, fourth)] == [
        True,
        False,
        False,
        True,
    ]


def test_an_answer_is_held_and_what_comes_later_too(emulator: Emulator, groups: Groups) -> None:
    first, second = names(2)
    with closed(emulator, "after", 1) as reached:
        held = begin(groups.create_in_vain, first)
        assert reached()["reached"]
        assert groups.exists(first)
        later = begin(groups.create_in_vain, second)
        held.join()
        later.join()
        emulator.control("POST", "gate/open")
    assert groups.exists(first) and not groups.exists(second)


def test_the_next_one_is_held_after_an_answer(emulator: Emulator, groups: Groups) -> None:
    first, second = names(2)
    with closed(emulator, "answered", 1) as reached:
        groups.create(first)
        assert reached()["reached"]
        groups.create_in_vain(second)
        assert emulator.control("GET", "gate")["held"] == 1
        emulator.control("POST", "gate/open")
    assert not groups.exists(second)


def test_a_late_request_comes_right_before_the_next_one(emulator: Emulator, groups: Groups) -> None:
    late, following = names(2)
    with closed(emulator, "late", 1) as reached:
        held = begin(groups.create_in_vain, late)
        assert reached()["reached"]
        held.join()
        emulator.control("POST", "gate/open")
        assert not groups.exists(late)
        groups.create(following)
        assert groups.exists(late)
        assert emulator.control("GET", "gate")["late"] == "done"


def test_a_late_request_comes_at_the_end_at_the_latest(emulator: Emulator, groups: Groups) -> None:
    [late] = names(1)
    emulator.control("PUT", "gate", {"kind": "late", "at": 1})
    groups.create_in_vain(late)
    emulator.control("POST", "gate/open")
    assert emulator.control("DELETE", "gate")["late"] == "held"
    assert groups.exists(late)


def test_a_gate_that_is_not_reached_lets_everything_through(
    emulator: Emulator, groups: Groups
) -> None:
    [name] = names(1)
    with closed(emulator, "before", 2):
        groups.create(name)
        told = emulator.control("GET", "gate")
        assert (told["arrived"], told["reached"], told["request"]) == (1, False, None)
    assert groups.exists(name)


@pytest.mark.parametrize(
    "order", [{"kind": "nonsense", "at": 1}, {"kind": "before", "at": 0}, {"kind": "before"}, []]
)
def test_orders_that_make_no_sense(emulator: Emulator, order: object) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        emulator.control("PUT", "gate", order)
    assert caught.value.code == 400
