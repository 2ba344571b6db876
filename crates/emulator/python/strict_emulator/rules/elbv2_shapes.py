"""Load balancers, listeners and rules as Describe shows them (aws-facts 4.3)."""

from __future__ import annotations

from typing import Any

from .. import backends

REDIRECT_DEFAULTS = {
    "Protocol": "#{protocol}",
    "Port": "#{port}",
    "Host": "#{host}",
    "Path": "/#{path}",
    "Query": "#{query}",
}
CONDITION_CONFIGS = {"host-header": "HostHeaderConfig", "path-pattern": "PathPatternConfig"}


def action_shape(data: dict[str, Any]) -> dict[str, Any]:
    """An action with what AWS adds: ForwardConfig, redirect defaults (aws-facts 4.3)."""
    shape = {key: value for key, value in data.items() if value is not None}
    if shape["Type"] == "forward":
        weights = backends.groups_of_action(data)
        given = shape.get("ForwardConfig") or {}
        stickiness = given.get("TargetGroupStickinessConfig") or {"Enabled": False}
        shape["ForwardConfig"] = {
            "TargetGroups": [
                {"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()
            ],
            "TargetGroupStickinessConfig": stickiness,
        }
        shape.pop("TargetGroupArn", None)
        if len(weights) == 1:
            shape["TargetGroupArn"] = next(iter(weights))
    elif shape["Type"] == "redirect":
        given = {key: value for key, value in shape["RedirectConfig"].items() if value is not None}
        shape["RedirectConfig"] = {**REDIRECT_DEFAULTS, **given}
    return shape


def listener_shape(listener: Any) -> dict[str, Any]:
    """A listener: only the default certificate, no policy on HTTP (aws-facts 4.1, 4.3)."""
    shape: dict[str, Any] = {
        "ListenerArn": listener.arn,
        "LoadBalancerArn": listener.load_balancer_arn,
        "Port": int(listener.port),
        "Protocol": listener.protocol,
        "DefaultActions": [action_shape(action.data) for action in listener.default_actions],
        # moto's serializer turns ARNs into structures, and an empty list into nothing.
        "Certificates": [],
    }
    if listener.protocol == "HTTPS":
        shape["SslPolicy"] = listener.ssl_policy
        shape["Certificates"] = [listener.certificate]
        shape["MutualAuthentication"] = {"Mode": "off"}
    return shape


def rule_shape(rule: Any) -> dict[str, Any]:
    """A rule, with its conditions' values in both places."""
    default = str(rule.priority) == "default"
    return {
        "RuleArn": rule.arn,
        "Priority": str(rule.priority),
        "Conditions": [condition_shape(condition) for condition in rule.conditions],
        "Actions": [action_shape(action.data) for action in rule.actions],
        "IsDefault": default,
    }


def condition_shape(condition: dict[str, Any]) -> dict[str, Any]:
    """A condition; AWS answers with `Values` and with the field's own structure."""
    shape = dict(condition)
    config = CONDITION_CONFIGS.get(shape.get("Field", ""))
    if config is not None:
        values = shape.get("Values") or (shape.get(config) or {}).get("Values") or []
        shape["Values"] = list(values)
        shape[config] = {"Values": list(values)}
    return shape


def rules_in_order(rules: Any) -> list[Any]:
    """Rules by priority, the default rule last."""
    return sorted(
        rules,
        key=lambda rule: (
            str(rule.priority) == "default",
            0 if str(rule.priority) == "default" else int(rule.priority),
        ),
    )
