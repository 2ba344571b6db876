"""Attributes of load balancers and target groups: keys, defaults, values."""

from __future__ import annotations

from typing import Any

from moto.elbv2.responses import ELBV2Response

from ..registry import REGISTRY, Refusal

# Keys and defaults as the API model describes them (aws-facts 3).
BALANCER_DEFAULTS = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "health_check_logs.s3.enabled": "false",
    "health_check_logs.s3.bucket": "",
    "health_check_logs.s3.prefix": "",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}
# Keys and defaults of an instance target group for HTTP or HTTPS (aws-facts 2.5).
GROUP_DEFAULTS = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
RANGES = {
    "client_keep_alive.seconds": (60, 604800),
    "deregistration_delay.timeout_seconds": (0, 3600),
    "idle_timeout.timeout_seconds": (1, 4000),
    "stickiness.app_cookie.duration_seconds": (1, 604800),
    "stickiness.lb_cookie.duration_seconds": (1, 604800),
    "target_group_health.dns_failover.minimum_healthy_targets.count": (1, 1000),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": (1, 1000),
}
CHOICES = {
    "load_balancing.algorithm.anomaly_mitigation": ("on", "off"),
    "load_balancing.algorithm.type": (
        "round_robin",
        "least_outstanding_requests",
        "weighted_random",
    ),
    "load_balancing.cross_zone.enabled": ("true", "false", "use_load_balancer_configuration"),
    "routing.http.desync_mitigation_mode": ("monitor", "defensive", "strictest"),
    "routing.http.xff_header_processing.mode": ("append", "preserve", "remove"),
}


def check_attributes(label: str, known: dict[str, str], given: dict[str, str]) -> None:
    """Unknown keys and impossible values are refused (aws-facts 3)."""
    for key, value in given.items():
        if key not in known:
            raise Refusal("ValidationError", f"{label} attribute key '{key}' is not recognized")
        check_value(key, known[key], value)


def check_value(key: str, default: str, value: str) -> None:
    """One value: a truth value, a choice or a number in its range."""
    if key in RANGES:
        low, high = RANGES[key]
        if not value.isdigit() or not low <= int(value) <= high:
            raise Refusal(
                "ValidationError",
                f"'{key}' value '{value}' must be between '{low}-{high}' inclusive",
            )
    elif key == "slow_start.duration_seconds":
        if not value.isdigit() or not (value == "0" or 30 <= int(value) <= 900):
            raise Refusal(
                "ValidationError",
                f"'{key}' value '{value}' must be '0' or between '30-900' inclusive",
            )
    else:
        choices = CHOICES.get(key) or (("true", "false") if default in ("true", "false") else None)
        if choices and value not in choices:
            raise Refusal("ValidationError", f"'{value}' must be one of [{', '.join(choices)}]")


def given_attributes(response: Any) -> dict[str, str]:
    """The attributes of a request by key."""
    return {
        item["Key"]: str(item.get("Value") or "") for item in response._get_param("Attributes", [])
    }


@REGISTRY.before(ELBV2Response, "modify_load_balancer_attributes")
def check_balancer_attributes(response: Any) -> None:
    """A load balancer has more than 20 attributes, and no others (aws-facts 3)."""
    balancer = response.elbv2_backend.load_balancers.get(response._get_param("LoadBalancerArn"))
    if balancer is None or balancer.type != "application":
        return
    given = given_attributes(response)
    check_attributes("Load balancer", BALANCER_DEFAULTS, given)
    if given.get("load_balancing.cross_zone.enabled") == "false":
        raise Refusal(
            "InvalidConfigurationRequest",
            "Cross-zone load balancing cannot be turned off for an Application Load Balancer",
        )
    check_log_bucket(response, {**balancer.attrs, **given})


@REGISTRY.after(ELBV2Response, "modify_target_group_attributes")
def all_group_attributes(response: Any, result: dict[str, Any]) -> dict[str, Any]:
    """The answer tells all attributes, as Describe does (botocore, ModifyTargetGroupAttributes)."""
    group = response.elbv2_backend.target_groups.get(response._get_param("TargetGroupArn"))
    return {"Attributes": dict(group.attributes)} if group else result


def check_log_bucket(response: Any, attributes: dict[str, str]) -> None:
    """Log buckets are in the region and let the delivery write (aws-facts 3).

    A bucket that the emulated S3 knows is looked at. One that it does not know may belong to
    another account and counts as good, unless `missing` stands in its name.
    """
    from moto.s3.models import s3_backends

    for kind in ("access_logs", "connection_logs", "health_check_logs"):
        if attributes.get(f"{kind}.s3.enabled") != "true":
            continue
        name = attributes.get(f"{kind}.s3.bucket")
        if not name:
            raise Refusal("ValidationError", f"The value of '{kind}.s3.bucket' must be specified")
        backend = s3_backends[response.current_account][response.partition]
        bucket = backend.buckets.get(name)
        if bucket is None and "missing" not in name:
            continue
        if bucket is None:
            raise Refusal(
                "InvalidConfigurationRequest",
                f"S3Bucket: {name} is not located in the same region as the ELB or does not exist",
            )
        if bucket.region_name != response.region:
            raise Refusal(
                "InvalidConfigurationRequest",
                f"S3Bucket: {name} is not located in the same region as the ELB: {response.region}",
            )
        if not bucket.policy:
            raise Refusal(
                "InvalidConfigurationRequest",
                f"Access Denied for bucket: {name}. Please check S3bucket permission",
            )


@REGISTRY.before(ELBV2Response, "modify_target_group_attributes")
def check_group_attributes(response: Any) -> None:
    """Unknown attributes of a target group are refused (emulator-gaps, target groups)."""
    group = response.elbv2_backend.target_groups.get(response._get_param("TargetGroupArn"))
    if group is None or group.protocol not in ("HTTP", "HTTPS"):
        return
    given = given_attributes(response)
    check_attributes("Target group", GROUP_DEFAULTS, given)
    together = {**group.attributes, **given}
    if (
        str(together["slow_start.duration_seconds"]) != "0"
        and together["load_balancing.algorithm.type"] != "round_robin"
    ):
        # aws-facts 2.5
        raise Refusal(
            "InvalidConfigurationRequest",
            "Slow start mode is only supported with the round robin routing algorithm",
        )
