"""Load balancers: what CreateLoadBalancer refuses, how they live and end."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from moto.ec2.exceptions import InvalidSubnetIdError
from moto.elbv2.exceptions import LoadBalancerNotFoundError
from moto.elbv2.models import AvailabilityZone, FakeLoadBalancer
from moto.elbv2.responses import ELBV2Response

from ..registry import REGISTRY, Refusal
from ..state import STATE, now
from .common import is_fresh, page, stamp
from .elbv2_attributes import BALANCER_DEFAULTS
from .elbv2_interfaces import place_interfaces, remove_interface
from .elbv2_names import dns_name, zone_id

MINIMUM_FREE_ADDRESSES = 8


def is_application(response: Any) -> bool:
    """Whether the request is about an Application Load Balancer."""
    return (response._get_param("Type") or "application") == "application"


def requested_subnets(response: Any) -> list[str]:
    """The subnet ids of a request, in either of the two forms."""
    mappings = response._get_param("SubnetMappings", [])
    return [
        *response._get_param("Subnets", []),
        *(mapping["SubnetId"] for mapping in mappings),
    ]


@REGISTRY.before(ELBV2Response, "create_load_balancer")
def check_name(response: Any) -> None:
    """Names: 32 characters, letters, digits and hyphens, not `internal-...` (aws-facts 3)."""
    name = response._get_param("Name") or ""
    if len(name) > 32:
        raise Refusal(
            "ValidationError", f"Load balancer name '{name}' cannot be longer than '32' characters"
        )
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise Refusal(
            "ValidationError",
            f"Load balancer name '{name}' can only contain characters that are alphanumeric "
            "characters and hyphens(-)",
        )
    if name.startswith("-") or name.endswith("-"):
        raise Refusal(
            "ValidationError", f"Load balancer name '{name}' cannot begin or end with '-'"
        )
    if name.startswith("internal-"):
        raise Refusal(
            "ValidationError", f"Load balancer name '{name}' cannot begin with 'internal-'"
        )


@REGISTRY.before(ELBV2Response, "create_load_balancer")
def check_enumerations(response: Any) -> None:
    """Scheme and address type take their documented values (aws-facts 3)."""
    enumerations = {
        "Scheme": ("internet-facing", "internal"),
        "IpAddressType": ("ipv4", "dualstack", "dualstack-without-public-ipv4"),
        "Type": ("application", "network", "gateway"),
    }
    for name, values in enumerations.items():
        value = response._get_param(name)
        if value is not None and value not in values:
            field = name[0].lower() + name[1:]
            raise Refusal(
                "ValidationError",
                f"1 validation error detected: Value '{value}' at '{field}' failed to satisfy "
                f"constraint: Member must satisfy enum value set: [{', '.join(values)}]",
            )


def find_subnets(response: Any) -> list[Any]:
    """The subnets of a request; an unknown one is SubnetNotFound (emulator-gaps)."""
    found = []
    for identifier in requested_subnets(response):
        try:
            found.append(response.elbv2_backend.ec2_backend.get_subnet(identifier))
        except InvalidSubnetIdError:
            raise Refusal("SubnetNotFound", f"The subnet ID '{identifier}' is not valid") from None
    return found


def check_subnets(subnets: list[Any]) -> None:
    """At least two zones, one subnet in each, all in one VPC, with room (aws-facts 3)."""
    zones = [subnet.availability_zone for subnet in subnets]
    if len(set(zones)) < len(zones):
        raise Refusal(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )
    if len(zones) < 2:
        raise Refusal(
            "ValidationError",
            "At least two subnets in two different Availability Zones must be specified",
        )
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        raise Refusal("InvalidConfigurationRequest", "All subnets must be in the same VPC")
    for subnet in subnets:
        small = ipaddress.ip_network(subnet.cidr_block).prefixlen > 27
        if small or subnet.available_ip_address_count < MINIMUM_FREE_ADDRESSES:
            raise Refusal(
                "InvalidSubnet",
                f"Not enough IP space available in {subnet.id}. ELB requires at least 8 free IP "
                "addresses in each subnet.",
            )


def check_gateway(response: Any, vpc_id: str) -> None:
    """An internet-facing load balancer needs an internet gateway (emulator-gaps)."""
    ec2 = response.elbv2_backend.ec2_backend
    if ec2.get_vpc(vpc_id).is_default:
        return  # a default VPC comes with its gateway; moto's lacks the object
    gateways = ec2.internet_gateways.values()
    if not any(gateway.vpc and gateway.vpc.id == vpc_id for gateway in gateways):
        raise Refusal("InvalidSubnet", f"VPC {vpc_id} has no internet gateway")


def check_groups(response: Any, groups: list[str], vpc_id: str) -> None:
    """Security groups exist and are of the VPC (emulator-gaps)."""
    for identifier in groups:
        group = response.elbv2_backend.ec2_backend.get_security_group_from_id(identifier)
        if group is None or group.vpc_id != vpc_id or is_fresh(group):
            raise Refusal("InvalidSecurityGroup", "One or more security groups are invalid")


def check_address_type(address_type: str, subnets: list[Any]) -> None:
    """dualstack needs IPv6 blocks on all subnets (aws-facts 3)."""
    if address_type.startswith("dualstack"):
        for subnet in subnets:
            if not subnet.ipv6_cidr_block_associations:
                raise Refusal(
                    "InvalidSubnet",
                    "You must specify subnets with an associated IPv6 CIDR block.",
                )


@REGISTRY.before(ELBV2Response, "create_load_balancer")
def check_placement(response: Any) -> None:
    """Everything that must be right about where a load balancer stands (aws-facts 3)."""
    if not is_application(response):
        return
    subnets = find_subnets(response)
    check_subnets(subnets)
    vpc_id = subnets[0].vpc_id
    if (response._get_param("Scheme") or "internet-facing") == "internet-facing":
        check_gateway(response, vpc_id)
    check_groups(response, response._get_param("SecurityGroups", []), vpc_id)
    check_address_type(response._get_param("IpAddressType") or "ipv4", subnets)


def settings_of(balancer: Any) -> tuple[Any, ...]:
    """What a load balancer is set to, as far as creation could ask for it."""
    return (
        balancer.type,
        balancer.scheme,
        balancer.ip_address_type,
        tuple(sorted(subnet.id for subnet in balancer.subnets)),
        tuple(sorted(balancer.security_groups)),
    )


def requested_settings(response: Any) -> tuple[Any, ...]:
    """The same of a request."""
    return (
        response._get_param("Type") or "application",
        response._get_param("Scheme") or "internet-facing",
        response._get_param("IpAddressType") or "ipv4",
        tuple(sorted(requested_subnets(response))),
        tuple(sorted(requested_groups(response))),
    )


def requested_groups(response: Any) -> list[str]:
    """The security groups of a request; none means the VPC's default (aws-facts 3)."""
    groups = list(response._get_param("SecurityGroups", []))
    if groups or not is_application(response):
        return groups
    ec2 = response.elbv2_backend.ec2_backend
    vpc_id = find_subnets(response)[0].vpc_id
    default = ec2.get_default_security_group(vpc_id)
    return [default.id] if default else []


@REGISTRY.instead(ELBV2Response, "create_load_balancer")
def create_load_balancer(response: Any) -> dict[str, Any]:
    """Creation is idempotent for the same settings, else a duplicate (aws-facts 3)."""
    backend = response.elbv2_backend
    name = response._get_param("Name")
    for balancer in backend.load_balancers.values():
        if balancer.name == name:
            if settings_of(balancer) != requested_settings(response):
                raise Refusal(
                    "DuplicateLoadBalancerName",
                    f"A load balancer with the same name '{name}' exists, but with different "
                    "settings",
                )
            return {"LoadBalancers": [balancer]}
    balancer = backend.create_load_balancer(
        name=name,
        security_groups=requested_groups(response),
        subnet_ids=response._get_param("Subnets", []),
        subnet_mappings=response._get_param("SubnetMappings", []),
        scheme=response._get_param("Scheme") or "internet-facing",
        loadbalancer_type=response._get_param("Type"),
        ip_address_type=response._get_param("IpAddressType") or "ipv4",
        tags=response._get_param("Tags"),
    )
    stamp(balancer)
    balancer.active_at = now() + STATE.settings.load_balancer_active_after
    balancer.dns_name = dns_name(name, balancer.arn, balancer.scheme, backend.region_name)
    balancer.canonical_hosted_zone_id = zone_id(backend.region_name)
    if balancer.type == "application":
        balancer.attrs = dict(BALANCER_DEFAULTS)
        place_interfaces(backend, balancer)
    return {"LoadBalancers": [balancer]}


@REGISTRY.patch(FakeLoadBalancer, "load_balancer_state")
def provisioning_takes_time(original: Any, balancer: Any) -> dict[str, str]:
    """`provisioning` first, `active` later (aws-facts 3)."""
    active_at = getattr(balancer, "active_at", None)
    if active_at is not None:
        balancer.state = "active" if now() >= active_at else "provisioning"
    state: dict[str, str] = original(balancer)
    return state


@REGISTRY.patch(FakeLoadBalancer, "activate")
def looking_does_not_activate(original: Any, balancer: Any) -> None:
    """moto activates a load balancer when it is looked at; AWS takes its time."""
    if not hasattr(balancer, "active_at"):
        original(balancer)


def bad_marker() -> Refusal:
    """A marker that no page gave."""
    return Refusal("ValidationError", "The specified marker is not valid")


@REGISTRY.instead(ELBV2Response, "describe_load_balancers")
def describe_load_balancers(response: Any) -> dict[str, Any]:
    """Lists are paged; a fresh load balancer may be unknown (aws-facts 7.1)."""
    backend = response.elbv2_backend
    arns = response._get_param("LoadBalancerArns", [])
    names = response._get_param("Names", [])
    if arns and names:
        raise Refusal(
            "ValidationError",
            "Load balancer names and load balancer ARNs cannot be specified at the same time",
        )
    known = [one for one in backend.load_balancers.values() if not is_fresh(one)]
    found = known
    if arns or names:
        found = [one for one in known if one.arn in arns or one.name in names]
        if len(found) < len(set(arns) | set(names)):
            wanted = ", ".join([*arns, *names])
            raise Refusal("LoadBalancerNotFound", f"Load balancers '[{wanted}]' not found")
    shown, marker = page(
        found, response._get_int_param("PageSize"), response._get_param("Marker"), bad_marker
    )
    return {"LoadBalancers": shown, "NextMarker": marker}


def balancer_of(response: Any) -> Any:
    """The load balancer of a request."""
    balancer = response.elbv2_backend.load_balancers.get(response._get_param("LoadBalancerArn"))
    if balancer is None:
        raise LoadBalancerNotFoundError()
    return balancer


@REGISTRY.instead(ELBV2Response, "delete_load_balancer")
def delete_load_balancer(response: Any) -> None:
    """Protection is obeyed, a missing one is no error, interfaces linger (aws-facts 3)."""
    backend = response.elbv2_backend
    arn = response._get_param("LoadBalancerArn")
    balancer = backend.load_balancers.get(arn)
    if balancer is None:
        return
    if balancer.attrs.get("deletion_protection.enabled") == "true":
        raise Refusal(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    for interface in list(getattr(balancer, "interfaces", [])):
        remove_interface(balancer, interface)
    backend.delete_load_balancer(arn)


@REGISTRY.instead(ELBV2Response, "set_security_groups")
def set_security_groups(response: Any) -> dict[str, Any]:
    """The whole set is replaced; at least one group stays (aws-facts 3)."""
    balancer = balancer_of(response)
    groups = response._get_param("SecurityGroups", [])
    if not groups:
        raise Refusal("ValidationError", "At least one security group must be specified")
    check_groups(response, groups, balancer.vpc_id)
    balancer.security_groups = list(groups)
    place_interfaces(response.elbv2_backend, balancer)
    return {"SecurityGroupIds": list(groups)}


@REGISTRY.instead(ELBV2Response, "set_subnets")
def set_subnets(response: Any) -> dict[str, Any]:
    """The whole set is replaced and must still be a good one (aws-facts 3)."""
    balancer = balancer_of(response)
    subnets = find_subnets(response)
    check_subnets(subnets)
    if subnets[0].vpc_id != balancer.vpc_id:
        raise Refusal("InvalidSubnet", "The subnets must be in the VPC of the load balancer")
    balancer.subnets = subnets
    place_interfaces(response.elbv2_backend, balancer)
    return {
        "AvailabilityZones": [AvailabilityZone(subnet) for subnet in subnets],
        "IpAddressType": balancer.ip_address_type,
    }


@REGISTRY.instead(ELBV2Response, "set_ip_address_type")
def set_ip_address_type(response: Any) -> dict[str, Any]:
    """dualstack needs IPv6 subnets here too, and is for public ones alone (aws-facts 3)."""
    balancer = balancer_of(response)
    wanted = response._get_param("IpAddressType") or ""
    check_enumerations(response)
    check_address_type(wanted, balancer.subnets)
    if wanted == "dualstack-without-public-ipv4" and balancer.scheme == "internal":
        raise Refusal(
            "InvalidConfigurationRequest",
            f"The IP address type '{wanted}' is not supported for internal load balancers",
        )
    balancer.ip_address_type = wanted
    return {"IpAddressType": wanted}
