"""The control interface: log, faults, settings, world, start and end."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.parsers import ResponseParserError

from conftest import QUICK, Emulator, eventually, refused
from scene import Site, alias, build_site, change, issued_certificate, new_zone, simple, unique


@pytest.fixture(scope="module")
def plain() -> Iterator[Emulator]:
    emulator = Emulator("--plain", "--account", "210987654321")
    yield emulator
    emulator.stop()


def log(emulator: Emulator) -> list[dict[str, Any]]:
    return list(emulator.control("GET", "requests"))


class TestRequestLog:
    def test_each_protocol(self, emulator: Emulator) -> None:
        emulator.control("DELETE", "requests")
        emulator.client("sts").get_caller_identity()
        emulator.client("ec2").describe_security_groups(
            Filters=[{"Name": "group-name", "Values": ["default"]}]
        )
        emulator.client("elbv2").describe_load_balancers(PageSize=5)
        emulator.client("acm").list_certificates(MaxItems=3)
        zone = new_zone(emulator, f"{unique('z')}.example.com")
        emulator.client("route53").list_resource_record_sets(HostedZoneId=zone, MaxItems="7")
        entries = log(emulator)
        assert [(one["service"], one["action"], one["mutating"]) for one in entries] == [
            ("sts", "GetCallerIdentity", False),
            ("ec2", "DescribeSecurityGroups", False),
            ("elbv2", "DescribeLoadBalancers", False),
            ("acm", "ListCertificates", False),
            ("route53", "CreateHostedZone", True),
            ("route53", "ListResourceRecordSets", False),
        ]
        assert all(one["error"] is None and one["status"] in (200, 201) for one in entries)
        parameters = [one["parameters"] for one in entries]
        assert parameters[1]["Filters"] == [{"Name": "group-name", "Values": ["default"]}]
        assert parameters[2] == {"PageSize": 5}
        assert parameters[3] == {"MaxItems": 3}
        assert parameters[5] == {"HostedZoneId": zone, "MaxItems": "7"}
        sequences = [one["sequence"] for one in entries]
        assert sequences == list(range(sequences[0], sequences[0] + 6))

    def test_errors_of_each_protocol(self, emulator: Emulator) -> None:
        emulator.control("DELETE", "requests")
        refused(
            "InvalidInstanceID.Malformed",
            emulator.client("ec2").describe_instances,
            InstanceIds=["x"],
        )
        refused(
            "LoadBalancerNotFound", emulator.client("elbv2").describe_load_balancers, Names=["x"]
        )
        refused("NoSuchChange", emulator.client("route53").get_change, Id="C0")
        arn = "arn:aws:acm:ap-northeast-1:123456789012:certificate/0"
        refused(
            "ResourceNotFoundException",
            emulator.client("acm").describe_certificate,
            CertificateArn=arn,
        )
        assert [(one["error"], one["status"]) for one in log(emulator)] == [
            ("InvalidInstanceID.Malformed", 400),
            ("LoadBalancerNotFound", 400),
            ("NoSuchChange", 404),
            ("ResourceNotFoundException", 400),
        ]

    def test_dry_run_is_no_mutation(self, emulator: Emulator) -> None:
        emulator.control("DELETE", "requests")
        client = emulator.client("ec2")
        refused(
            "DryRunOperation",
            client.create_security_group,
            GroupName="x",
            Description="x",
            DryRun=True,
        )
        assert log(emulator)[0]["mutating"] is False


class TestFaults:
    @pytest.mark.parametrize(
        ("service", "method", "action", "code", "status"),
        [
            ("acm", "list_certificates", "ListCertificates", "ThrottlingException", 400),
            ("ec2", "describe_vpcs", "DescribeVpcs", "RequestLimitExceeded", 503),
            ("elbv2", "describe_load_balancers", "*", "Throttling", 400),
            ("route53", "list_hosted_zones", "ListHostedZones", "Throttling", 400),
        ],
    )
    def test_throttling_as_each_service_says_it(
        self, emulator: Emulator, service: str, method: str, action: str, code: str, status: int
    ) -> None:
        order = {"service": service, "action": action, "kind": "throttle", "times": 1}
        emulator.control("POST", "faults", order)
        call = getattr(emulator.client(service), method)
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        call()

    def test_a_retrying_client_gets_through(self, emulator: Emulator) -> None:
        emulator.control("POST", "faults", {"service": "route53", "kind": "throttle", "times": 2})
        emulator.client("route53", retries=4).list_hosted_zones()

    def test_status_deny_and_error(self, emulator: Emulator) -> None:
        client = emulator.client("elbv2")
        for kind, more, code in (
            ("status", {"status": 500, "code": "InternalFailure"}, "InternalFailure"),
            ("deny", {}, "AccessDenied"),
            ("error", {"code": "TooManyTargets", "message": "too many"}, "TooManyTargets"),
        ):
            order = {"service": "elbv2", "action": "*", "kind": kind, "times": 1, **more}
            emulator.control("POST", "faults", order)
            message = refused(code, client.describe_load_balancers)
            if kind == "deny":
                assert "elasticloadbalancing:DescribeLoadBalancers" in message

    def test_dropped_before_and_after(self, emulator: Emulator) -> None:
        client = emulator.client("ec2")
        vpc = client.describe_vpcs()["Vpcs"][0]["VpcId"]

        def create(name: str) -> None:
            with pytest.raises(ConnectionClosedError):
                client.create_security_group(GroupName=name, Description="d", VpcId=vpc)

        def exists(name: str) -> bool:
            found = client.describe_security_groups(
                Filters=[{"Name": "group-name", "Values": [name]}]
            )
            return bool(found["SecurityGroups"])

        for kind in ("drop_before", "drop_after"):
            order = {"service": "ec2", "action": "CreateSecurityGroup", "kind": kind, "times": 1}
            emulator.control("POST", "faults", order)
            create(f"{kind}-group")
        assert not exists("drop_before-group") and exists("drop_after-group")

    def test_latency(self, emulator: Emulator) -> None:
        order = {"service": "sts", "kind": "latency", "seconds": 0.2, "times": 1}
        emulator.control("POST", "faults", order)
        start = time.monotonic()
        emulator.client("sts").get_caller_identity()
        assert time.monotonic() - start >= 0.2

    @pytest.mark.parametrize(
        ("service", "method", "code"),
        [
            ("acm", "list_certificates", "ExpiredTokenException"),
            ("ec2", "describe_vpcs", "RequestExpired"),
            ("elbv2", "describe_load_balancers", "ExpiredToken"),
            ("route53", "list_hosted_zones", "ExpiredToken"),
        ],
    )
    def test_a_session_that_is_over(
        self, emulator: Emulator, service: str, method: str, code: str
    ) -> None:
        order = {"service": service, "kind": "expire", "after": 1, "times": 1}
        emulator.control("POST", "faults", order)
        call = getattr(emulator.client(service), method)
        call()
        refused(code, call)
        call()

    def test_answers_that_are_spoilt_on_their_way(self, emulator: Emulator) -> None:
        client = emulator.client("ec2")
        vpc = client.describe_vpcs()["Vpcs"][0]["VpcId"]
        for kind in ("truncate", "abort", "replace_after", "replace_before"):
            order = {
                "service": "ec2",
                "action": "CreateSecurityGroup",
                "kind": kind,
                "body": "<html>no</html",
                "times": 1,
            }
            emulator.control("POST", "faults", order)
            with pytest.raises((ConnectionClosedError, ResponseParserError)):
                client.create_security_group(GroupName=kind, Description="d", VpcId=vpc)
            found = client.describe_security_groups(
                Filters=[{"Name": "group-name", "Values": [kind]}]
            )
            assert bool(found["SecurityGroups"]) == (kind != "replace_before"), kind

    def test_an_answer_that_stalls_comes_whole(self, emulator: Emulator) -> None:
        order = {"service": "sts", "kind": "stall", "seconds": 0.2, "times": 1}
        emulator.control("POST", "faults", order)
        start = time.monotonic()
        assert emulator.client("sts").get_caller_identity()["Account"]
        assert time.monotonic() - start >= 0.2

    def test_orders_that_make_no_sense(self, emulator: Emulator) -> None:
        for order in ({"kind": "nonsense"}, {"kind": "error"}, {"kind": "deny", "colour": "red"}):
            with pytest.raises(urllib.error.HTTPError) as caught:
                emulator.control("POST", "faults", order)
            assert caught.value.code == 400


class TestSettings:
    def test_merge(self, emulator: Emulator) -> None:
        emulator.control("PUT", "settings", {"issue_after": 7})
        settings = emulator.control("GET", "settings")
        assert settings["issue_after"] == 7
        assert settings["draining_for"] == QUICK["draining_for"]
        with pytest.raises(urllib.error.HTTPError):
            emulator.control("PUT", "settings", {"no_such": 1})

    def test_unknown_path(self, emulator: Emulator) -> None:
        with pytest.raises(urllib.error.HTTPError) as caught:
            emulator.control("GET", "nonsense")
        assert caught.value.code == 404
        assert emulator.control("GET", "health")["ok"] is True


class TestWorld:
    def test_whole_story(self, emulator: Emulator) -> None:
        site = build_site(emulator)
        domain = f"{unique('w')}.example.com"
        certificate = issued_certificate(emulator, domain)
        zone = next(one for one in emulator.world()["zones"] if one["name"] == f"{domain}.")
        emulator.control("PUT", "public-addresses", {site.instance: "127.0.42.10"})
        balancer = site.balancer()
        group = site.group()
        site.register(group)
        site.admit()
        listener = site.listener(
            balancer["LoadBalancerArn"],
            group,
            Protocol="HTTPS",
            Port=443,
            Certificates=[{"CertificateArn": certificate}],
            SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        )
        change(
            emulator, zone["id"], ("CREATE", simple(f"old.{domain}", "A", "127.0.42.10", ttl=60))
        )
        target = balancer["DNSName"]
        change(
            emulator,
            zone["id"],
            ("CREATE", alias(domain, target, balancer["CanonicalHostedZoneId"])),
        )

        def healthy() -> Any:
            world = emulator.world()
            found = next(one for one in world["target_groups"] if one["arn"] == group)
            return found["targets"][0]["state"] == "healthy" and world

        world = eventually(healthy)

        def pick(kind: str, key: str, value: str) -> Any:
            return next(one for one in world[kind] if one[key] == value)

        records = {one["name"]: one for one in pick("zones", "id", zone["id"])["records"]}
        assert records[f"old.{domain}."] == {
            "name": f"old.{domain}.",
            "type": "A",
            "ttl": 60,
            "values": ["127.0.42.10"],
            "alias": None,
            "set_identifier": None,
        }
        apex = [one for one in pick("zones", "id", zone["id"])["records"] if one["alias"]]
        assert apex[0]["alias"] == {"name": f"{target.lower()}.", "zone_id": "Z14GRHDCWA56QT"}
        assert apex[0]["ttl"] is None and apex[0]["values"] == []
        seen = pick("load_balancers", "arn", balancer["LoadBalancerArn"])
        assert seen["state"] == "active" and seen["security_groups"] == [site.balancer_group]
        assert seen["listeners"][0]["arn"] == listener["ListenerArn"]
        assert seen["listeners"][0]["certificates"] == [certificate]
        assert seen["listeners"][0]["default_actions"] == [
            {"type": "forward", "target_groups": [{"arn": group, "weight": 1}]}
        ]
        assert seen["attributes"]["idle_timeout.timeout_seconds"] == "60"
        assert pick("target_groups", "arn", group)["targets"] == [
            {"id": site.instance, "port": 443, "state": "healthy", "reason": None}
        ]
        issued = pick("certificates", "arn", certificate)
        assert (issued["status"], issued["names"], issued["key_algorithm"]) == (
            "ISSUED",
            [domain],
            "RSA_2048",
        )
        instance = pick("instances", "id", site.instance)
        assert instance["public_address"] == "127.0.42.10" and instance["state"] == "running"
        assert instance["security_groups"] == [site.instance_group]
        rules = pick("security_groups", "id", site.instance_group)
        assert rules["ingress"] == [
            {
                "protocol": "tcp",
                "from": 443,
                "to": 443,
                "cidr": None,
                "source_group": site.balancer_group,
            }
        ]
        assert rules["egress"] == [
            {"protocol": "-1", "from": None, "to": None, "cidr": "0.0.0.0/0", "source_group": None}
        ]

    def test_public_address_is_described(self, emulator: Emulator) -> None:
        site = build_site(emulator)
        emulator.control("PUT", "public-addresses", {site.instance: "127.0.42.11"})
        answer = site.ec2.describe_instances(InstanceIds=[site.instance])
        instance = answer["Reservations"][0]["Instances"][0]
        assert instance["PublicIpAddress"] == "127.0.42.11"
        interface = site.ec2.describe_network_interfaces(
            Filters=[{"Name": "attachment.instance-id", "Values": [site.instance]}]
        )["NetworkInterfaces"][0]
        assert interface["Association"]["PublicIp"] == "127.0.42.11"
        with pytest.raises(urllib.error.HTTPError) as caught:
            emulator.control("PUT", "public-addresses", {"i-0123456789abcdef0": "127.0.0.9"})
        assert caught.value.code == 404

    def test_waits_for_a_change(self, emulator: Emulator) -> None:
        version = eventually(lambda: settled(emulator))
        start = time.monotonic()
        assert emulator.control("GET", f"world?since={version}&wait=0.2")["version"] == version
        assert time.monotonic() - start >= 0.2
        answers: list[Any] = []

        def wait() -> None:
            answers.append(emulator.control("GET", f"world?since={version}&wait=10"))

        waiting = threading.Thread(target=wait)
        waiting.start()
        new_zone(emulator, f"{unique('n')}.example.com")
        waiting.join(timeout=5)
        assert answers and answers[0]["version"] > version

    def test_notices_what_time_changes(self, emulator: Emulator) -> None:
        site: Site = build_site(emulator)
        arn = site.balancer()["LoadBalancerArn"]
        world = emulator.world()
        while True:
            state = next(one for one in world["load_balancers"] if one["arn"] == arn)["state"]
            if state == "active":
                break
            world = emulator.control("GET", f"world?since={world['version']}&wait=5")


def settled(emulator: Emulator) -> int | None:
    """The version, once nothing changes by itself any more."""
    version = int(emulator.world()["version"])
    later = emulator.control("GET", f"world?since={version}&wait=0.3")["version"]
    return version if later == version else None


class TestPlain:
    def test_moto_answers_as_it_is(self, plain: Emulator) -> None:
        assert plain.client("sts").get_caller_identity()["Account"] == "210987654321"
        acm = plain.client("acm")
        arn = acm.request_certificate(DomainName="A.example.com", ValidationMethod="DNS")[
            "CertificateArn"
        ]
        described = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        assert described["DomainName"] == "A.example.com"
        assert "ResourceRecord" in described["DomainValidationOptions"][0]

    def test_log_and_world_work_all_the_same(self, plain: Emulator) -> None:
        site = build_site(plain)
        zone = new_zone(plain, "plain.example.com")
        change(plain, zone, ("UPSERT", simple("www.plain.example.com", "A", "192.0.2.1")))
        group = site.group()
        site.register(group)
        balancer = site.balancer()
        site.listener(balancer["LoadBalancerArn"], group)
        world = plain.world()
        assert world["target_groups"][0]["targets"][0]["state"] == "healthy"
        assert world["load_balancers"][0]["listeners"][0]["port"] == 80
        record = next(one for one in world["zones"][0]["records"] if one["type"] == "A")
        assert record["values"] == ["192.0.2.1"]
        assert any(one["action"] == "CreateLoadBalancer" and one["mutating"] for one in log(plain))


def test_ends_with_standard_input() -> None:
    emulator = Emulator("--plain")
    emulator.client("sts").get_caller_identity()
    assert emulator.stop() == 0


def test_every_rule_names_what_it_enforces(tmp_path: Any) -> None:
    import os
    import subprocess
    import sys

    from conftest import PACKAGE_ROOT

    code = (
        "from strict_emulator import rules; from strict_emulator.registry import REGISTRY; "
        "found = REGISTRY.rules(); assert len(found) > 60, len(found); "
        "assert all(rule.__doc__ for rule in found)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
