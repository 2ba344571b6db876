"""Listener rules: conditions, priorities, the default rule."""

from __future__ import annotations

import copy
import re
from typing import Any

from moto.elbv2.models import FakeAction
from moto.elbv2.responses import ELBV2Response

from ..registry import REGISTRY, Refusal
from .common import is_fresh, page, stamp
from .elbv2_listeners import check_actions, known_listener, plain_copy
from .elbv2_load_balancers import bad_marker
from .elbv2_shapes import rule_shape, rules_in_order

# Default quotas of an Application Load Balancer (aws-facts 3; the values per rule are counted
# over all its conditions).
RULES_PER_BALANCER = 100
VALUES_PER_RULE = 5
WILDCARDS_PER_RULE = 6
LONGEST_VALUE = 128
LONGEST_HEADER_NAME = 40
CONFIGS = {
    "host-header": "HostHeaderConfig",
    "path-pattern": "PathPatternConfig",
    "http-header": "HttpHeaderConfig",
    "http-request-method": "HttpRequestMethodConfig",
    "query-string": "QueryStringConfig",
    "source-ip": "SourceIpConfig",
}
# A rule has one condition of these kinds at most (botocore, RuleCondition).
ONCE_PER_RULE = ("host-header", "path-pattern", "http-request-method", "source-ip")
# A dot is needed, and after the last one come letters only, or an internationalised label.
HOST = re.compile(r"[A-Za-z0-9.*?_-]*\.([A-Za-z*?]+|xn--[A-Za-z0-9-]+)")
PATH = re.compile(r"[A-Za-z0-9_.$/~\"'@:+&*?,;=!()%#\[\]-]+")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def invalid(message: str) -> Refusal:
    """A condition that cannot be."""
    return Refusal("ValidationError", message)


def values_of(condition: dict[str, Any]) -> list[str]:
    """The values of a condition, wherever they stand; a query string's as `key=value`."""
    field = condition.get("Field", "")
    config = condition.get(CONFIGS.get(field, "")) or {}
    values = config.get("Values") or condition.get("Values") or []
    if field == "query-string":
        return [f"{one.get('Key', '')}={one.get('Value', '')}" for one in values]
    return list(values)


def check_conditions(conditions: list[dict[str, Any]]) -> None:
    """A rule has at least one condition, each well-formed, and few values in all.

    The limits are botocore's texts on RuleCondition; `A rule can only have '5' condition values`
    is AWS's own message, a ValidationError (aws-cdk issue 10065).
    """
    if not conditions:
        raise invalid("You must specify at least one condition")
    fields = [str(condition.get("Field")) for condition in conditions]
    for field in fields:
        if field not in CONFIGS:
            raise invalid(
                f"Condition field '{field}' must be one of '[{', '.join(sorted(CONFIGS))}]'"
            )
        if field in ONCE_PER_RULE and fields.count(field) > 1:
            raise invalid(f"A rule can only have one '{field}' condition")
    for condition in conditions:
        check_condition(condition)
    values = [value for condition in conditions for value in values_of(condition)]
    if len(values) > VALUES_PER_RULE:
        raise invalid(
            f"A rule can only have '{VALUES_PER_RULE}' condition values and regex values"
        )
    if sum(value.count("*") + value.count("?") for value in values) > WILDCARDS_PER_RULE:
        raise invalid(f"A rule can only have '{WILDCARDS_PER_RULE}' condition wildcards")


def check_condition(condition: dict[str, Any]) -> None:
    """One condition: its values in one place, not empty and not too long."""
    field = condition["Field"]
    config = condition.get(CONFIGS[field])
    if condition.get("Values"):
        if field not in ("host-header", "path-pattern"):
            raise invalid(f"The 'Values' field is not compatible with '{field}'")
        if config:
            raise invalid(
                f"You cannot provide both Values and '{CONFIGS[field]}' for a condition of type "
                f"'{field}'"
            )
        if len(condition["Values"]) > 1:
            raise invalid(f"The '{field}' field contains too many values; the limit is '1'")
    values = values_of(condition)
    if not values or not all(values):
        raise invalid("A condition value must be specified")
    for value in values:
        if len(value) > LONGEST_VALUE:
            raise invalid(f"The '{field}' value is too long; the limit is '{LONGEST_VALUE}'")
        if field == "host-header" and not HOST.fullmatch(value):
            raise invalid(f"Condition value '{value}' contains a character that is not valid")
        if field == "path-pattern" and not PATH.fullmatch(value):
            raise invalid(f"Condition value '{value}' contains a character that is not valid")
    if field == "http-header":
        check_header_name(str((config or {}).get("HttpHeaderName") or ""))


def check_header_name(name: str) -> None:
    """A token of at most 40 characters, and not the host (botocore, HttpHeaderConditionConfig)."""
    if len(name) > LONGEST_HEADER_NAME:
        raise invalid(
            f"The 'HttpHeaderName' value is too long; the limit is '{LONGEST_HEADER_NAME}'"
        )
    if not HEADER_NAME.fullmatch(name):
        raise invalid(f"The 'HttpHeaderName' value '{name}' is not valid")
    if name.lower() == "host":
        raise invalid("The 'host' header cannot be used in an 'http-header' condition")


def check_priority(priority: int) -> None:
    """Priorities are 1 to 50,000 (aws-facts 4.4)."""
    if not 1 <= priority <= 50000:
        raise invalid(f"Rule priority '{priority}' must be between '1-50000' inclusive")


def priority_in_use(priority: int) -> Refusal:
    """Two rules of a listener cannot have one priority (aws-facts 4.4)."""
    return Refusal("PriorityInUse", f"Priority '{priority}' is currently in use")


def own_rules(listener: Any) -> list[Any]:
    """The rules of a listener without the default one."""
    return [rule for rule in listener.rules.values() if str(rule.priority) != "default"]


def known_rule(response: Any, arn: str | None) -> tuple[Any, Any, Any]:
    """Load balancer, listener and rule of an ARN."""
    for balancer in response.elbv2_backend.load_balancers.values():
        for listener in balancer.listeners.values():
            for rule in listener.rules.values():
                if rule.arn == arn and not is_fresh(rule):
                    return balancer, listener, rule
    raise Refusal("RuleNotFound", f"One or more rules not found: '{arn}'")


def not_the_default(rule: Any, verb: str) -> None:
    """The default rule has no conditions and no priority, and stays (botocore, DeleteRule)."""
    if str(rule.priority) == "default":
        raise Refusal("OperationNotPermitted", f"Default rule '{rule.arn}' cannot be {verb}")


@REGISTRY.before(ELBV2Response, "create_rule")
def check_rule(response: Any) -> None:
    """Conditions, priority and actions of a new rule must be possible (aws-facts 4.4)."""
    listener = known_listener(response)
    check_conditions(response._get_param("Conditions", []))
    priority = int(response._get_param("Priority") or 0)
    check_priority(priority)
    if any(str(rule.priority) == str(priority) for rule in listener.rules.values()):
        raise priority_in_use(priority)
    balancer = response.elbv2_backend.load_balancers[listener.load_balancer_arn]
    if sum(len(own_rules(one)) for one in balancer.listeners.values()) >= RULES_PER_BALANCER:
        raise Refusal(
            "TooManyRules", "The maximum number of rules has been reached on the load balancer"
        )
    check_actions(response, response._get_param("Actions", []), balancer, listener.protocol)


@REGISTRY.after(ELBV2Response, "create_rule")
def created_rule(response: Any, result: dict[str, Any]) -> dict[str, Any]:
    """A new rule is enriched like Describe's, and fresh for a while (aws-facts 4.3, 7.1)."""
    rule = result["Rules"][0]
    # What moto keeps belongs to the request; an action's own data is changed later.
    rule.conditions = copy.deepcopy([dict(one) for one in rule.conditions])
    rule.actions = [FakeAction(one) for one in plain_copy([each.data for each in rule.actions])]
    stamp(rule)
    return {"Rules": [rule_shape(rule)]}


@REGISTRY.instead(ELBV2Response, "modify_rule")
def modify_rule(response: Any) -> dict[str, Any]:
    """A patch in which lists are replaced whole, but not of the default rule (botocore)."""
    balancer, listener, rule = known_rule(response, response._get_param("RuleArn"))
    not_the_default(rule, "modified")
    conditions = response._get_param("Conditions")
    actions = response._get_param("Actions")
    if not conditions and not actions:
        raise invalid("Either conditions or actions must be specified")
    if conditions:
        check_conditions(conditions)
    if actions:
        check_actions(response, actions, balancer, listener.protocol)
        rule.actions = [FakeAction(action) for action in plain_copy(actions)]
    if conditions:
        rule.conditions = copy.deepcopy([dict(one) for one in conditions])
    return {"Rules": [rule_shape(rule)]}


@REGISTRY.before(ELBV2Response, "delete_rule")
def check_rule_deletion(response: Any) -> None:
    """A rule must exist to be deleted, and the default rule stays (botocore, DeleteRule)."""
    _, _, rule = known_rule(response, response._get_param("RuleArn"))
    not_the_default(rule, "deleted")


@REGISTRY.instead(ELBV2Response, "set_rule_priorities")
def set_rule_priorities(response: Any) -> dict[str, Any]:
    """Rules may change places, if the new order has no conflict (botocore, SetRulePriorities)."""
    wanted: dict[str, int] = {}
    for pair in response._get_param("RulePriorities", []):
        priority = int(pair["Priority"])
        check_priority(priority)
        if pair["RuleArn"] in wanted or priority in wanted.values():
            raise invalid(f"A priority cannot be specified more than once: '{priority}'")
        wanted[pair["RuleArn"]] = priority
    found = []
    for arn, priority in wanted.items():
        _, listener, rule = known_rule(response, arn)
        not_the_default(rule, "re-prioritized")
        for other in own_rules(listener):
            if other.arn not in wanted and int(other.priority) == priority:
                raise priority_in_use(priority)
        found.append(rule)
    for rule in found:
        rule.priority = wanted[rule.arn]
    return {"Rules": [rule_shape(rule) for rule in found]}


@REGISTRY.instead(ELBV2Response, "describe_rules")
def describe_rules(response: Any) -> dict[str, Any]:
    """Rules by priority, the default last, enriched and paged (aws-facts 4.3)."""
    arns = response._get_param("RuleArns", [])
    if bool(arns) == bool(response._get_param("ListenerArn")):
        raise invalid("You must specify either listener rule ARNs or a listener ARN")
    if arns:
        found = [known_rule(response, arn)[2] for arn in arns]
    else:
        everything = rules_in_order(known_listener(response).rules.values())
        found = [rule for rule in everything if not is_fresh(rule)]
    shown, marker = page(
        found, response._get_int_param("PageSize"), response._get_param("Marker"), bad_marker
    )
    return {"Rules": [rule_shape(rule) for rule in shown], "NextMarker": marker}
