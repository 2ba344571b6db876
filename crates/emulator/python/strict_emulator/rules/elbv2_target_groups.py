"""Target groups: defaults, limits, duplicates, deletion."""

from __future__ import annotations

import re
from typing import Any

from moto.elbv2.responses import ELBV2Response

from .. import backends
from ..registry import REGISTRY, Refusal
from ..state import STATE, now
from .common import is_fresh, page, stamp, tags_are_late
from .elbv2_attributes import GROUP_DEFAULTS
from .elbv2_load_balancers import bad_marker

# Ranges of health-check settings (aws-facts 2.3).
RANGES = {
    "HealthCheckIntervalSeconds": (5, 300, "Health check interval"),
    "HealthCheckTimeoutSeconds": (2, 120, "Health check timeout"),
    "HealthyThresholdCount": (2, 10, "Healthy threshold count"),
    "UnhealthyThresholdCount": (2, 10, "Unhealthy threshold count"),
}
# The quota of tags (botocore, TooManyTagsException).
TAGS_PER_RESOURCE = 50
# What makes two target groups the same: parameter, attribute of moto's object.
SETTINGS = {
    "Protocol": "protocol",
    "Port": "port",
    "VpcId": "vpc_id",
    "TargetType": "target_type",
    "ProtocolVersion": "protocol_version",
    "IpAddressType": "ip_address_type",
    "HealthCheckProtocol": "health_check_protocol",
    "HealthCheckPort": "health_check_port",
    "HealthCheckPath": "health_check_path",
    "HealthCheckIntervalSeconds": "health_check_interval_seconds",
    "HealthCheckTimeoutSeconds": "health_check_timeout_seconds",
    "HealthyThresholdCount": "healthy_threshold_count",
    "UnhealthyThresholdCount": "unhealthy_threshold_count",
}
DEFAULTS = {
    "TargetType": "instance",
    "ProtocolVersion": "HTTP1",
    "IpAddressType": "ipv4",
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPort": "traffic-port",
    "HealthCheckPath": "/",
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
}


def is_web(response: Any) -> bool:
    """Whether a request is about a group that an ALB can use."""
    return response._get_param("Protocol") in ("HTTP", "HTTPS")


def check_health_settings(response: Any, present: Any = None) -> None:
    """Health-check settings stay in their documented ranges (aws-facts 2.3)."""
    for name, (low, high, words) in RANGES.items():
        value = response._get_param(name)
        if value is not None and not low <= int(value) <= high:
            raise Refusal(
                "ValidationError", f"{words} '{value}' must be between '{low}-{high}' inclusive"
            )
    interval = response._get_param("HealthCheckIntervalSeconds") or getattr(
        present, "health_check_interval_seconds", 30
    )
    timeout = response._get_param("HealthCheckTimeoutSeconds") or getattr(
        present, "health_check_timeout_seconds", 5
    )
    if int(timeout) >= int(interval):
        raise Refusal(
            "ValidationError",
            f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'",
        )
    check_health_target(response)


def check_health_target(response: Any) -> None:
    """Protocol, port and path of the health check (aws-facts 2.3)."""
    protocol = response._get_param("HealthCheckProtocol")
    if protocol is not None and protocol not in ("HTTP", "HTTPS"):
        raise Refusal(
            "ValidationError", f"Health check protocol '{protocol}' must be one of 'HTTP, HTTPS'"
        )
    port = response._get_param("HealthCheckPort")
    if port not in (None, "traffic-port") and not (str(port).isdigit() and 1 <= int(port) <= 65535):
        raise Refusal(
            "ValidationError",
            f"Health check port '{port}' must be 'traffic-port' or in the range 1-65535",
        )
    path = response._get_param("HealthCheckPath")
    if path is not None and not (path.startswith("/") and len(path) <= 1024):
        raise Refusal(
            "ValidationError",
            f"Health check path '{path}' must begin with a '/' character, and can only contain "
            "printable ASCII characters, without spaces",
        )
    check_codes((response._get_param("Matcher") or {}).get("HttpCode"))


def check_codes(codes: str | None) -> None:
    """Codes are 200 to 499, as a list or ranges (aws-facts 2.3)."""
    if codes is None:
        return
    parts = [re.fullmatch(r"(\d{3})(?:-(\d{3}))?", part.strip()) for part in codes.split(",")]
    fits = all(part and 200 <= int(part[1]) <= int(part[2] or part[1]) <= 499 for part in parts)
    if not fits:
        raise Refusal(
            "ValidationError",
            f"Health check matcher HTTP code '{codes}' must be within '200-499' inclusive",
        )


@REGISTRY.before(ELBV2Response, "create_target_group")
def check_creation(response: Any) -> None:
    """Health checks are within their limits from the start (aws-facts 2.3)."""
    if is_web(response):
        check_health_settings(response)


@REGISTRY.before(ELBV2Response, "modify_target_group")
def check_modification(response: Any) -> None:
    """Changes obey the limits too; health checks of instances stay on (aws-facts 2.3)."""
    group = response.elbv2_backend.target_groups.get(response._get_param("TargetGroupArn"))
    if group is None or group.protocol not in ("HTTP", "HTTPS"):
        return
    check_health_settings(response, group)
    if str(response._get_param("HealthCheckEnabled")).lower() == "false":
        raise Refusal(
            "InvalidConfigurationRequest",
            "Health check enabled must be true for target groups with target type 'instance'",
        )


def value_of(response: Any, name: str) -> str:
    """A setting of a request or its default, as text."""
    value = response._get_param(name)
    return str(DEFAULTS.get(name) if value is None else value)


def same_settings(response: Any, group: Any) -> bool:
    """Whether a creation asks for what the group is already."""
    same = all(
        value_of(response, name) == str(getattr(group, attribute))
        for name, attribute in SETTINGS.items()
    )
    codes = (response._get_param("Matcher") or {}).get("HttpCode") or "200"
    return same and codes == group.matcher.get("HttpCode")


@REGISTRY.instead(ELBV2Response, "create_target_group")
def create_target_group(response: Any) -> dict[str, Any]:
    """The same settings give the same group; health checks speak HTTP by default.

    aws-facts 2.2 and 2.3: the default does not follow the group's protocol.
    """
    backend = response.elbv2_backend
    name = response._get_param("Name")
    for group in backend.target_groups.values():
        if group.name == name:
            if not same_settings(response, group):
                raise Refusal(
                    "DuplicateTargetGroupName",
                    f"A target group with the same name '{name}' exists, but with different "
                    "settings",
                )
            return {"TargetGroups": [group]}
    protocol = response._get_param("HealthCheckProtocol")
    enabled = response._get_param("HealthCheckEnabled")
    group = backend.create_target_group(
        name,
        vpc_id=response._get_param("VpcId"),
        protocol=response._get_param("Protocol"),
        protocol_version=response._get_param("ProtocolVersion"),
        port=response._get_param("Port"),
        healthcheck_protocol=protocol or ("HTTP" if is_web(response) else None),
        healthcheck_port=response._get_param("HealthCheckPort"),
        healthcheck_path=response._get_param("HealthCheckPath"),
        healthcheck_interval_seconds=response._get_int_param("HealthCheckIntervalSeconds"),
        healthcheck_timeout_seconds=response._get_int_param("HealthCheckTimeoutSeconds"),
        healthcheck_enabled=None if enabled is None else str(enabled).lower(),
        healthy_threshold_count=response._get_param("HealthyThresholdCount"),
        unhealthy_threshold_count=response._get_param("UnhealthyThresholdCount"),
        matcher=dict(response._get_param("Matcher") or {}) or None,
        ip_address_type=response._get_param("IpAddressType"),
        target_type=response._get_param("TargetType") or "instance",
        tags=response._get_param("Tags"),
    )
    stamp(group)
    if group.protocol in ("HTTP", "HTTPS"):
        group.attributes = dict(GROUP_DEFAULTS)
    return {"TargetGroups": [group]}


@REGISTRY.observer
def follow_listeners() -> None:
    """LoadBalancerArns follows listeners and rules (emulator-gaps, listeners)."""
    for _, group in backends.target_groups():
        users = [one.arn for one in backends.balancers_of_group(group.arn)]
        if group.load_balancer_arns and not users:
            group.released_at = now()
        group.load_balancer_arns = users


@REGISTRY.instead(ELBV2Response, "describe_target_groups")
def describe_target_groups(response: Any) -> dict[str, Any]:
    """Lists are paged; a fresh group may be unknown (aws-facts 7.1)."""
    backend = response.elbv2_backend
    arns = response._get_param("TargetGroupArns", [])
    names = response._get_param("Names", [])
    balancer_arn = response._get_param("LoadBalancerArn")
    if sum(map(bool, (arns, names, balancer_arn))) > 1:
        raise Refusal(
            "ValidationError",
            "Target group names, target group ARNs, and a load balancer ARN cannot be specified "
            "at the same time",
        )
    found = [one for one in backend.target_groups.values() if not is_fresh(one)]
    if balancer_arn:
        if balancer_arn not in backend.load_balancers:
            raise Refusal("LoadBalancerNotFound", f"Load balancer '{balancer_arn}' not found")
        found = [one for one in found if balancer_arn in one.load_balancer_arns]
    elif arns or names:
        found = [one for one in found if one.arn in arns or one.name in names]
        if len(found) < len(set(arns) | set(names)):
            raise Refusal("TargetGroupNotFound", "One or more target groups not found")
    shown, marker = page(
        sorted(found, key=lambda one: one.name),
        response._get_int_param("PageSize"),
        response._get_param("Marker"),
        bad_marker,
    )
    return {"TargetGroups": shown, "NextMarker": marker}


@REGISTRY.instead(ELBV2Response, "delete_target_group")
def delete_target_group(response: Any) -> None:
    """A group in use is kept; a missing one is no error (aws-facts 2.1, emulator-gaps).

    A group stays in use for a while after the last listener or rule let go of it (aws-facts 7.1).
    """
    arn = response._get_param("TargetGroupArn")
    group = response.elbv2_backend.target_groups.get(arn)
    released = getattr(group, "released_at", None)
    lingers = released is not None and now() - released < STATE.settings.target_groups_linger_for
    if backends.balancers_of_group(arn) or lingers:
        raise Refusal(
            "ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule"
        )
    response.elbv2_backend.target_groups.pop(arn, None)


NOT_FOUND = {
    "loadbalancer": ("LoadBalancerNotFound", "One or more load balancers not found"),
    "targetgroup": ("TargetGroupNotFound", "One or more target groups not found"),
    "listener": ("ListenerNotFound", "One or more listeners not found"),
    "listener-rule": ("RuleNotFound", "One or more rules not found"),
}


def kind_of(arn: str) -> str:
    """The kind of resource in an ARN, or nothing."""
    parts = arn.split(":", 5)
    return parts[5].split("/", 1)[0] if len(parts) == 6 else ""


def resource_of(response: Any, arn: str) -> Any:
    """The resource of an ARN, or the refusal that fits its kind."""
    backend = response.elbv2_backend
    kind = kind_of(arn)
    if kind not in NOT_FOUND:
        raise Refusal("ValidationError", f"'{arn}' is not a valid load balancer ARN")
    listeners = [
        listener
        for balancer in backend.load_balancers.values()
        for listener in balancer.listeners.values()
    ]
    candidates = {
        "loadbalancer": backend.load_balancers.values(),
        "targetgroup": backend.target_groups.values(),
        "listener": listeners,
        "listener-rule": [rule for one in listeners for rule in one.rules.values()],
    }[kind]
    found = next((one for one in candidates if one.arn == arn), None)
    if found is None:
        raise Refusal(*NOT_FOUND[kind])
    return found


@REGISTRY.before(ELBV2Response, "describe_tags", "add_tags", "remove_tags")
def check_tagged(response: Any) -> None:
    """At most 20 resources, all of them known (emulator-gaps, ELB tags)."""
    arns = response._get_param("ResourceArns", [])
    if len(arns) > 20:
        raise Refusal(
            "ValidationError", "You cannot specify more than 20 resources in a single request"
        )
    for arn in arns:
        if is_fresh(resource_of(response, arn)):
            raise Refusal(*NOT_FOUND[kind_of(arn)])


@REGISTRY.instead(ELBV2Response, "add_tags")
def add_tags(response: Any) -> dict[str, Any]:
    """A resource has 50 tags at most; moto's limit is an old one (botocore, TooManyTags)."""
    service = response.elbv2_backend.tagging_service
    tags = response._get_param("Tags", [])
    arns = response._get_param("ResourceArns", [])
    for arn in arns:
        keys = {*service.get_tag_dict_for_resource(arn), *(tag["Key"] for tag in tags)}
        if len(keys) > TAGS_PER_RESOURCE:
            raise Refusal("TooManyTags", "The quota for the number of tags has been reached")
    for arn in arns:
        service.tag_resource(arn, tags)
    return {}


@REGISTRY.after(ELBV2Response, "describe_tags")
def late_tags(response: Any, result: dict[str, Any]) -> dict[str, Any]:
    """Tags given at creation may be missing at first (aws-facts 7.1)."""
    for described in result["TagDescriptions"]:
        if tags_are_late(resource_of(response, described["ResourceArn"])):
            described["Tags"] = {}
    return result
