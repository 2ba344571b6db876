"""Instances: ids that are none, groups that must exist."""

from __future__ import annotations

import re
from typing import Any

from moto.ec2.responses.instances import InstanceResponse

from ..registry import REGISTRY, Refusal

INSTANCE_ID = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")


@REGISTRY.before(
    InstanceResponse,
    "describe_instances",
    "describe_instance_status",
    "start_instances",
    "stop_instances",
    "terminate_instances",
    "reboot_instances",
)
def check_ids(response: Any) -> None:
    """An id that is no id is told apart from one that is unknown (emulator-gaps, EC2)."""
    for identifier in response._get_param("InstanceIds", []):
        if not INSTANCE_ID.fullmatch(identifier):
            raise Refusal("InvalidInstanceID.Malformed", f'Invalid id: "{identifier}"')


@REGISTRY.before(InstanceResponse, "run_instances")
def check_groups(response: Any) -> None:
    """Groups must exist; moto would make up missing ones."""
    for identifier in response._get_param("SecurityGroupIds", []):
        if response.ec2_backend.get_security_group_from_id(identifier) is None:
            raise Refusal(
                "InvalidGroup.NotFound", f"The security group '{identifier}' does not exist"
            )
