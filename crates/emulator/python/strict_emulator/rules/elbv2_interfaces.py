"""The network interfaces that a load balancer keeps in its subnets.

They belong to Elastic Load Balancing, carry the load balancer's security
groups, and outlive it for a while (aws-facts 3 and 6.5).
"""

from __future__ import annotations

import datetime
import random
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces

from .. import backends
from ..registry import REGISTRY, Refusal
from ..state import STATE, now


class BalancerInterface(NetworkInterface):
    """An interface of a load balancer."""

    attached_at: datetime.datetime
    removed_at: float | None = None

    @property
    def attachment(self) -> Any:
        """Attached to something of Amazon's while the load balancer lives."""
        if self.status != "in-use":
            return None
        return {
            "AttachTime": self.attached_at,
            "AttachmentId": f"ela-attach-{self.id.removeprefix('eni-')}",
            "DeleteOnTermination": False,
            "DeviceIndex": 1,
            "InstanceOwnerId": "amazon-elb",
            "Status": "attached",
        }

    @property
    def association(self) -> dict[str, Any]:
        """The public address belongs to Amazon, not to the account."""
        if not self.public_ip:
            return {}
        return {"PublicIp": self.public_ip, "IpOwnerId": "amazon-elb"}


def add_interface(backend: Any, balancer: Any, subnet: Any) -> None:
    """Puts one interface of a load balancer into a subnet."""
    path = balancer.arn.split(":loadbalancer/", 1)[1]
    interface = BalancerInterface(
        backend.ec2_backend,
        subnet,
        [],
        group_ids=list(balancer.security_groups),
        description=f"ELB {path}",
    )
    interface.requester_managed = True
    interface.requester_id = "amazon-elb"
    interface.status = "in-use"
    interface.attached_at = utcnow()
    if balancer.scheme != "internal":
        # An address for documentation; the data plane answers elsewhere.
        interface.public_ip = f"203.0.113.{random.randrange(1, 255)}"
    backend.ec2_backend.enis[interface.id] = interface
    balancer.interfaces.append(interface)


def place_interfaces(backend: Any, balancer: Any) -> None:
    """Makes the interfaces fit the subnets and groups of the load balancer."""
    if not hasattr(balancer, "interfaces"):
        balancer.interfaces = []
    wanted = {subnet.id for subnet in balancer.subnets}
    for interface in [one for one in balancer.interfaces if one.subnet.id not in wanted]:
        remove_interface(balancer, interface)
    present = {interface.subnet.id for interface in balancer.interfaces}
    for subnet in balancer.subnets:
        if subnet.id not in present:
            add_interface(backend, balancer, subnet)
    groups = [
        backend.ec2_backend.get_security_group_from_id(group) for group in balancer.security_groups
    ]
    for interface in balancer.interfaces:
        interface._group_set = [group for group in groups if group is not None]


def remove_interface(balancer: Any, interface: BalancerInterface) -> None:
    """Lets go of an interface; it lingers, `available`, until it vanishes."""
    interface.status = "available"
    interface.removed_at = now()
    balancer.interfaces.remove(interface)


def sweep(backend: Any) -> None:
    """Removes the interfaces whose time is over."""
    for identifier, interface in list(backend.enis.items()):
        removed = getattr(interface, "removed_at", None)
        if removed is not None and now() - removed >= STATE.settings.interfaces_linger_for:
            del backend.enis[identifier]


@REGISTRY.observer
def sweep_all() -> None:
    """Removes them in all regions."""
    for backend in backends.regional(backends.ec2_backends):
        sweep(backend)


@REGISTRY.patch(NetworkInterfaceBackend, "get_all_network_interfaces")
def swept_interfaces(original: Any, backend: Any, *arguments: Any, **named: Any) -> Any:
    """Interfaces of deleted load balancers vanish in the end (aws-facts 3)."""
    sweep(backend)
    return original(backend, *arguments, **named)


@REGISTRY.patch(NetworkInterface, "get_filter_value")
def more_filters(original: Any, interface: Any, name: str, method: str | None = None) -> Any:
    """Filters that find a load balancer's or an instance's interfaces (aws-facts 6.3)."""
    if name == "group-id":
        return [group.id for group in interface.group_set]
    if name == "group-name":
        return [group.name for group in interface.group_set]
    if name == "status":
        return interface.status
    if name == "requester-id":
        return interface.requester_id
    if name == "requester-managed":
        return str(bool(interface.requester_managed)).lower()
    if name == "interface-type":
        return interface.interface_type
    return original(interface, name, method)


@REGISTRY.before(
    ElasticNetworkInterfaces,
    "delete_network_interface",
    "modify_network_interface_attribute",
    "detach_network_interface",
)
def managed_interfaces_are_not_ours(response: Any) -> None:
    """Callers cannot change an interface that Amazon manages (aws-facts 6.3)."""
    identifier = response._get_param("NetworkInterfaceId")
    interface = response.ec2_backend.enis.get(identifier)
    if isinstance(interface, BalancerInterface):
        raise Refusal("AuthFailure", "You do not have permission to access the specified resource.")
