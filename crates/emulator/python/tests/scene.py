"""Small worlds that tests build through the API."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from conftest import REGION, Emulator, eventually


def unique(prefix: str = "t") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def new_zone(emulator: Emulator, name: str) -> str:
    """A public hosted zone; gives its id."""
    zone = emulator.client("route53").create_hosted_zone(
        Name=name, CallerReference=str(uuid.uuid4())
    )
    return str(zone["HostedZone"]["Id"]).rsplit("/", 1)[1]


def change(emulator: Emulator, zone: str, *changes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """One change batch."""
    answer = emulator.client("route53").change_resource_record_sets(
        HostedZoneId=zone,
        ChangeBatch={
            "Changes": [
                {"Action": action, "ResourceRecordSet": record} for action, record in changes
            ]
        },
    )
    return dict(answer["ChangeInfo"])


def simple(name: str, kind: str, *values: str, ttl: int = 300, **more: Any) -> dict[str, Any]:
    """A record set with values."""
    return {
        "Name": name,
        "Type": kind,
        "TTL": ttl,
        "ResourceRecords": [{"Value": value} for value in values],
        **more,
    }


def alias(name: str, target: str, zone_id: str, kind: str = "A") -> dict[str, Any]:
    """An alias record set."""
    return {
        "Name": name,
        "Type": kind,
        "AliasTarget": {
            "HostedZoneId": zone_id,
            "DNSName": target,
            "EvaluateTargetHealth": False,
        },
    }


def issued_certificate(emulator: Emulator, domain: str, **parameters: Any) -> str:
    """A certificate that went through validation."""
    acm = emulator.client("acm")
    zone = new_zone(emulator, domain)
    arn = acm.request_certificate(DomainName=domain, ValidationMethod="DNS", **parameters)[
        "CertificateArn"
    ]

    def described() -> Any:
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]

    def record() -> Any:
        options = described().get("DomainValidationOptions")
        return options and options[0].get("ResourceRecord")

    found = eventually(record)
    change(emulator, zone, ("UPSERT", simple(found["Name"], "CNAME", found["Value"])))
    eventually(lambda: described()["Status"] == "ISSUED")
    return str(arn)


@dataclass
class Site:
    """A VPC with two public subnets and a running instance with its own group."""

    emulator: Emulator
    vpc: str
    subnets: list[str]
    instance: str
    instance_group: str
    balancer_group: str
    elb: Any = field(init=False)
    ec2: Any = field(init=False)

    def __post_init__(self) -> None:
        self.elb = self.emulator.client("elbv2")
        self.ec2 = self.emulator.client("ec2")

    def balancer(self, name: str = "", **parameters: Any) -> dict[str, Any]:
        """A load balancer in both subnets."""
        parameters.setdefault("Subnets", self.subnets)
        parameters.setdefault("SecurityGroups", [self.balancer_group])
        answer = self.elb.create_load_balancer(Name=name or unique("lb"), **parameters)
        return dict(answer["LoadBalancers"][0])

    def group(self, name: str = "", **parameters: Any) -> str:
        """An HTTPS target group."""
        values = {"Protocol": "HTTPS", "Port": 443, "VpcId": self.vpc, **parameters}
        answer = self.elb.create_target_group(Name=name or unique("tg"), **values)
        return str(answer["TargetGroups"][0]["TargetGroupArn"])

    def listener(self, balancer: str, group: str, **parameters: Any) -> dict[str, Any]:
        """An HTTP listener that forwards to a group."""
        values: dict[str, Any] = {
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}],
            **parameters,
        }
        return dict(self.elb.create_listener(LoadBalancerArn=balancer, **values)["Listeners"][0])

    def register(self, group: str, port: int = 443) -> None:
        """The instance as a target."""
        self.elb.register_targets(
            TargetGroupArn=group, Targets=[{"Id": self.instance, "Port": port}]
        )

    def admit(self, port: int = 443) -> None:
        """Lets the load balancer's group reach the instance."""
        self.ec2.authorize_security_group_ingress(
            GroupId=self.instance_group,
            IpPermissions=[
                {
                    "IpProtocol": "tcp",
                    "FromPort": port,
                    "ToPort": port,
                    "UserIdGroupPairs": [{"GroupId": self.balancer_group}],
                }
            ],
        )

    def health(self, group: str) -> list[tuple[str, str | None]]:
        """States and reasons of all targets of a group."""
        answer = self.elb.describe_target_health(TargetGroupArn=group)
        return [
            (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason"))
            for one in answer["TargetHealthDescriptions"]
        ]


def build_site(emulator: Emulator) -> Site:
    """Builds a site of its own."""
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ac")
    ]
    groups = [
        ec2.create_security_group(GroupName=unique(name), Description=name, VpcId=vpc)["GroupId"]
        for name in ("instance", "balancer")
    ]
    instance = ec2.run_instances(
        # moto takes any image; describing its own 1,300 costs over a second.
        ImageId="ami-0123456789abcdef0",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnets[0],
        SecurityGroupIds=[groups[0]],
    )["Instances"][0]["InstanceId"]
    return Site(emulator, vpc, subnets, instance, groups[0], groups[1])
