"""Subnets: how their IPv6 blocks are told."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.subnets import Subnet

from ..registry import REGISTRY


@REGISTRY.patch(Subnet, "ipv6_cidr_block_association_set")
def tell_ipv6_blocks(_original: Any, subnet: Any) -> list[dict[str, Any]]:
    """The state of a block is a word (bc:ec2:SubnetCidrBlockState), not a dictionary written out."""
    return [
        {
            "associationId": association["associationId"],
            "ipv6CidrBlock": association["ipv6CidrBlock"],
            "ipv6CidrBlockState": {"state": association["ipv6CidrBlockState"]["State"]},
        }
        for association in subnet.ipv6_cidr_block_associations.values()
        if association["ipv6CidrBlockState"]["State"] == "associated"
    ]
