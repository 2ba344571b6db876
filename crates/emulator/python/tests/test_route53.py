"""Route 53, as AWS documents it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from conftest import Emulator, eventually, refused
from scene import alias, change, new_zone, simple


class Zone:
    """A zone of its own for one test."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.client = emulator.client("route53")
        self.name = f"z{uuid.uuid4().hex[:8]}.example.com"
        self.id = new_zone(emulator, self.name)

    def change(self, *changes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        return change(self.emulator, self.id, *changes)

    def refused(
        self, *changes: tuple[str, dict[str, Any]], code: str = "InvalidChangeBatch"
    ) -> str:
        return refused(code, lambda: self.change(*changes))

    def at(self, label: str) -> str:
        return f"{label}.{self.name}."

    def records(self, name: str) -> list[dict[str, Any]]:
        pages = self.client.get_paginator("list_resource_record_sets").paginate(
            HostedZoneId=self.id
        )
        return [one for page in pages for one in page["ResourceRecordSets"] if one["Name"] == name]


@pytest.fixture
def zone(emulator: Emulator) -> Zone:
    return Zone(emulator)


def test_change_is_pending_then_in_sync(zone: Zone) -> None:
    first = zone.change(("CREATE", simple(zone.at("a"), "A", "192.0.2.1")))
    second = zone.change(("CREATE", simple(zone.at("b"), "A", "192.0.2.1")))
    assert first["Status"] == second["Status"] == "PENDING"
    assert first["Id"] != second["Id"] and first["Id"].startswith("/change/C")
    eventually(lambda: zone.client.get_change(Id=first["Id"])["ChangeInfo"]["Status"] == "INSYNC")
    refused("NoSuchChange", zone.client.get_change, Id="C0000000000000")


def test_reads_see_pending_writes(zone: Zone) -> None:
    zone.change(("CREATE", simple(zone.at("www"), "A", "192.0.2.1")))
    assert zone.records(zone.at("www"))[0]["ResourceRecords"] == [{"Value": "192.0.2.1"}]


def test_create_over_existing(zone: Zone) -> None:
    record = simple(zone.at("www"), "A", "192.0.2.1")
    zone.change(("CREATE", record))
    message = zone.refused(("CREATE", record))
    assert message == (
        f"[Tried to create resource record set [name='{zone.at('www')}', type='A'] "
        "but it already exists]"
    )
    zone.refused(("CREATE", simple(zone.at("WWW"), "A", "192.0.2.9")))


def test_delete_repeats_every_value(zone: Zone) -> None:
    zone.change(("CREATE", simple(zone.at("www"), "A", "192.0.2.1", "192.0.2.2")))
    for wrong in (
        simple(zone.at("www"), "A", "192.0.2.1"),
        simple(zone.at("www"), "A", "192.0.2.1", "192.0.2.2", ttl=60),
    ):
        message = zone.refused(("DELETE", wrong))
        assert "but the values provided do not match the current values" in message
    assert "but it was not found" in zone.refused(
        ("DELETE", simple(zone.at("other"), "A", "192.0.2.1"))
    )
    zone.change(("DELETE", simple(zone.at("WWW"), "A", "192.0.2.2", "192.0.2.1")))
    assert zone.records(zone.at("www")) == []


def test_compare_and_swap_is_one_batch(zone: Zone) -> None:
    old = simple(zone.at("www"), "A", "192.0.2.1")
    new = simple(zone.at("www"), "A", "192.0.2.2", ttl=60)
    zone.change(("CREATE", old))
    zone.change(("DELETE", old), ("CREATE", new))
    assert zone.records(zone.at("www"))[0]["TTL"] == 60
    zone.refused(("DELETE", old), ("CREATE", simple(zone.at("www"), "A", "192.0.2.3")))
    assert zone.records(zone.at("www"))[0]["ResourceRecords"] == [{"Value": "192.0.2.2"}]


def test_batches_are_atomic(zone: Zone) -> None:
    good = simple(zone.at("good"), "A", "192.0.2.1")
    zone.refused(("CREATE", good), ("DELETE", simple(zone.at("absent"), "A", "192.0.2.1")))
    assert zone.records(zone.at("good")) == []


def test_cname_stands_alone(zone: Zone) -> None:
    name = zone.at("www")
    zone.change(("CREATE", simple(name, "CNAME", "old.example.net.")))
    message = zone.refused(("UPSERT", simple(name, "A", "192.0.2.1")))
    assert "conflicting RRSet of type CNAME" in message
    # The order inside a batch counts.
    zone.refused(
        ("CREATE", simple(name, "A", "192.0.2.1")),
        ("DELETE", simple(name, "CNAME", "old.example.net.")),
    )
    zone.change(
        ("DELETE", simple(name, "CNAME", "old.example.net.")),
        ("CREATE", simple(name, "A", "192.0.2.1")),
    )
    zone.refused(("CREATE", simple(name, "CNAME", "old.example.net.")))
    zone.change(("CREATE", simple(name, "TXT", '"beside an A is fine"')))


def test_no_cname_at_the_apex(zone: Zone) -> None:
    message = zone.refused(("CREATE", simple(zone.name, "CNAME", "a.example.net.")))
    assert "not permitted at apex" in message


def test_simple_and_weighted_do_not_mix(zone: Zone) -> None:
    name = zone.at("www")
    weighted = simple(name, "A", "192.0.2.1", SetIdentifier="one", Weight=10)
    zone.change(("CREATE", weighted))
    zone.refused(("UPSERT", simple(name, "A", "192.0.2.2")))
    zone.change(("CREATE", simple(name, "A", "192.0.2.2", SetIdentifier="two", Weight=0)))
    assert len(zone.records(name)) == 2
    zone.change(("DELETE", weighted))
    assert [one["SetIdentifier"] for one in zone.records(name)] == ["two"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("A", "192.0.2"), ("A", "2001:db8::1"), ("AAAA", "192.0.2.1"), ("TXT", "unquoted")],
)
def test_values_fit_their_type(zone: Zone, kind: str, value: str) -> None:
    assert "Invalid Resource Record" in zone.refused(("CREATE", simple(zone.at("x"), kind, value)))


def test_one_set_once_per_batch(zone: Zone) -> None:
    record = simple(zone.at("x"), "CNAME", "a.example.net.")
    assert "invalid set of changes" in zone.refused(("UPSERT", record), ("UPSERT", record))


def test_names_outside_the_zone(zone: Zone) -> None:
    message = zone.refused(("CREATE", simple("www.example.org.", "A", "192.0.2.1")))
    assert "is not permitted in zone" in message
    zone.refused(("CREATE", simple(f"not{zone.name}.", "A", "192.0.2.1")))


def test_neither_values_nor_alias(zone: Zone) -> None:
    zone.refused(("CREATE", {"Name": zone.at("x"), "Type": "A", "TTL": 60}), code="InvalidInput")


def test_apex_sets_stay(zone: Zone) -> None:
    servers = zone.records(f"{zone.name}.")
    ns = next(one for one in servers if one["Type"] == "NS")
    zone.refused(("DELETE", ns))


def test_names_are_lower_case_and_escaped(zone: Zone) -> None:
    zone.change(("CREATE", simple(f"*.W.{zone.name}", "A", "192.0.2.1")))
    stored = zone.records(f"\\052.w.{zone.name}.")
    assert len(stored) == 1
    zone.change(("DELETE", simple(f"*.w.{zone.name}", "A", "192.0.2.1")))


def test_alias_of_unknown_target(zone: Zone) -> None:
    name = "ghost-1.ap-northeast-1.elb.amazonaws.com"
    message = zone.refused(("CREATE", alias(zone.at("a"), name, "Z14GRHDCWA56QT")))
    assert "but that target was not found" in message
    message = zone.refused(("CREATE", alias(zone.at("a"), name, "Z35SXDOTRQ7X7K")))
    assert "does not lie within the target zone" in message


def test_alias_inside_the_zone(zone: Zone) -> None:
    zone.change(("CREATE", simple(zone.at("real"), "A", "192.0.2.1")))
    zone.change(("CREATE", alias(zone.at("other"), zone.at("real").upper(), zone.id)))
    stored = zone.records(zone.at("other"))[0]["AliasTarget"]
    assert stored == {
        "HostedZoneId": zone.id,
        "DNSName": zone.at("real"),
        "EvaluateTargetHealth": False,
    }
    zone.refused(("CREATE", alias(zone.at("third"), zone.at("absent"), zone.id)))


def test_lists_page_by_name_type_and_identifier(zone: Zone) -> None:
    zone.change(
        *[("CREATE", simple(zone.at(f"n{number}"), "A", "192.0.2.1")) for number in range(5)]
    )
    for identifier in "ab":
        zone.change(
            ("CREATE", simple(zone.at("w"), "A", "192.0.2.1", SetIdentifier=identifier, Weight=1))
        )
    pages = zone.client.get_paginator("list_resource_record_sets").paginate(
        HostedZoneId=zone.id, PaginationConfig={"PageSize": 1}
    )
    seen = [
        (one["Name"], one["Type"], one.get("SetIdentifier"))
        for page in pages
        for one in page["ResourceRecordSets"]
    ]
    assert len(seen) == len(set(seen)) == 9
    assert [name for name, *_ in seen[:2]] == [f"{zone.name}.", f"{zone.name}."]
    start = zone.client.list_resource_record_sets(
        HostedZoneId=zone.id, StartRecordName=zone.at("n3a"), StartRecordType="A", MaxItems="1"
    )
    assert start["ResourceRecordSets"][0]["Name"] == zone.at("n4")
    assert start["IsTruncated"] and start["NextRecordName"] == zone.at("w")


def test_zones_by_name_are_truncated(emulator: Emulator, zone: Zone) -> None:
    below = new_zone(emulator, f"a.{zone.name}")
    twin = new_zone(emulator, zone.name)
    first = zone.client.list_hosted_zones_by_name(DNSName=zone.name, MaxItems="1")
    assert first["IsTruncated"] and first["NextDNSName"] == f"{zone.name}."
    rest = zone.client.list_hosted_zones_by_name(
        DNSName=first["NextDNSName"], HostedZoneId=first["NextHostedZoneId"], MaxItems="2"
    )
    found = [one["Id"].rsplit("/", 1)[1] for one in first["HostedZones"] + rest["HostedZones"]]
    assert set(found[:2]) == {zone.id, twin} and found[2] == below


def test_zones_are_delegated_each_on_its_own(emulator: Emulator, zone: Zone) -> None:
    described = zone.client.get_hosted_zone(Id=zone.id)
    servers = described["DelegationSet"]["NameServers"]
    assert len(servers) == 4 and described["HostedZone"]["Id"].startswith("/hostedzone/Z")
    ns = next(one for one in zone.records(f"{zone.name}.") if one["Type"] == "NS")
    assert [one["Value"] for one in ns["ResourceRecords"]] == [f"{server}." for server in servers]
    other = zone.client.get_hosted_zone(Id=new_zone(emulator, f"o{zone.name}"))
    assert other["DelegationSet"]["NameServers"] != servers


def test_caller_reference_is_used_once(emulator: Emulator) -> None:
    client = emulator.client("route53")
    client.create_hosted_zone(Name="once.example.com", CallerReference="reference")
    refused(
        "HostedZoneAlreadyExists",
        client.create_hosted_zone,
        Name="once.example.com",
        CallerReference="reference",
    )


def test_unknown_zone(emulator: Emulator) -> None:
    client = emulator.client("route53")
    refused("NoSuchHostedZone", client.list_resource_record_sets, HostedZoneId="Z0000000000000")
