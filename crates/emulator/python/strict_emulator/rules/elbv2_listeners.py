"""Listeners: certificates, policies, actions, duplicates."""

from __future__ import annotations

import copy
import re
from typing import Any

from moto.elbv2.exceptions import LoadBalancerNotFoundError
from moto.elbv2.models import FakeAction
from moto.elbv2.responses import ELBV2Response
from moto.elbv2.ssl_policies import SSL_POLICIES

from .. import backends, certificates
from ..registry import REGISTRY, Refusal
from .common import is_fresh, page, stamp
from .elbv2_load_balancers import bad_marker
from .elbv2_shapes import action_shape, listener_shape

# What a fixed response may be (botocore, FixedResponseActionConfig).
CONTENT_TYPES = (
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
)
# What the API takes when the caller names no policy (aws-facts 4.2).
DEFAULT_POLICY = "ELBSecurityPolicy-2016-08"


def check_certificate(response: Any, arn: str) -> None:
    """A certificate is of this region, known and issued (aws-facts 4.1)."""
    parts = arn.split(":")
    if len(parts) < 6 or parts[2] not in ("acm", "iam"):
        raise Refusal("ValidationError", f"Certificate ARN '{arn}' is not valid")
    if parts[2] == "acm" and parts[3] != response.region:
        raise Refusal("CertificateNotFound", f"Certificate '{arn}' not found")
    if parts[2] == "iam":
        return
    certificate = next((one for one in backends.certificates() if one.arn == arn), None)
    if certificate is None:
        raise Refusal("CertificateNotFound", f"Certificate '{arn}' not found")
    certificates.advance(certificate)
    if certificate.status != "ISSUED":
        # The text misleads; AWS says this of a pending certificate too.
        raise Refusal(
            "UnsupportedCertificate",
            f"The certificate '{arn}' must have a fully-qualified domain name, a supported "
            "signature, and a supported key size.",
        )
    if certificates.is_freshly_issued(certificate):
        raise Refusal("CertificateNotFound", f"Certificate '{arn}' not found")


def certificate_arns(response: Any) -> list[str]:
    """The certificates of a request."""
    return [item["CertificateArn"] for item in response._get_param("Certificates", [])]


def check_default_certificate(response: Any) -> None:
    """HTTPS takes exactly one certificate, without IsDefault (aws-facts 4.1)."""
    given = response._get_param("Certificates", [])
    if len(given) > 1:
        raise Refusal(
            "TooManyCertificates",
            f"Up to '1' certificate ARNs can be specified, but '{len(given)}' were specified",
        )
    if any(item.get("IsDefault") is not None for item in given):
        raise Refusal("ValidationError", "You cannot set the isDefault parameter for a certificate")
    for arn in certificate_arns(response):
        check_certificate(response, arn)


def check_policy(response: Any) -> None:
    """A policy must exist (aws-facts 4.2)."""
    policy = response._get_param("SslPolicy")
    if policy is not None and policy not in SSL_POLICIES:
        raise Refusal("SSLPolicyNotFound", f"SSL policy '{policy}' not found")


def check_security(response: Any, protocol: str, has_certificate: bool) -> None:
    """Certificate and policy go with HTTPS and only with it (aws-facts 4.1)."""
    if protocol == "HTTPS":
        if not has_certificate:
            raise Refusal("ValidationError", "A certificate must be specified for HTTPS listeners")
        return
    if certificate_arns(response):
        raise Refusal(
            "ValidationError", f"A certificate cannot be specified for {protocol} listeners"
        )
    if response._get_param("SslPolicy") is not None:
        raise Refusal(
            "ValidationError", f"An SSL policy cannot be specified for {protocol} listeners"
        )


def check_actions(
    response: Any, actions: list[dict[str, Any]], balancer: Any, protocol: str
) -> None:
    """Actions end in exactly one routing action that can be carried out (aws-facts 4.3)."""
    final = [one for one in actions if one["Type"] in ("forward", "redirect", "fixed-response")]
    if len(final) != 1:
        raise Refusal(
            "InvalidLoadBalancerAction",
            "You must specify exactly one forward, redirect, or fixed-response action",
        )
    check_redirect(final[0], protocol)
    check_fixed_response(final[0])
    weights = backends.groups_of_action(final[0])
    if final[0]["Type"] == "forward" and not weights:
        raise Refusal("ValidationError", "You must specify at least one target group")
    for arn, weight in weights.items():
        check_group(response, arn, balancer)
        if not 0 <= weight <= 999:
            raise Refusal(
                "ValidationError", f"Target group weight '{weight}' must be between '0-999'"
            )


def check_redirect(action: dict[str, Any], protocol: str) -> None:
    """A redirect changes something and never leads from HTTPS to HTTP (aws-facts 4.3)."""
    if action["Type"] != "redirect":
        return
    config = action.get("RedirectConfig") or {}
    if config.get("StatusCode") not in ("HTTP_301", "HTTP_302"):
        raise Refusal(
            "ValidationError",
            f"1 validation error detected: Value '{config.get('StatusCode')}' at 'statusCode' "
            "failed to satisfy constraint: Member must satisfy enum value set: "
            "[HTTP_301, HTTP_302]",
        )
    shape = action_shape({**action, "RedirectConfig": config})["RedirectConfig"]
    if protocol == "HTTPS" and shape["Protocol"] == "HTTP":
        raise Refusal("InvalidLoadBalancerAction", "You cannot redirect from HTTPS to HTTP")
    same_protocol = shape["Protocol"] in ("#{protocol}", protocol)
    rest = (shape["Host"], shape["Port"], shape["Path"])
    if same_protocol and rest == ("#{host}", "#{port}", "/#{path}"):
        raise Refusal(
            "InvalidLoadBalancerAction",
            "The redirect configuration is not valid because it creates a loop.",
        )


def check_fixed_response(action: dict[str, Any]) -> None:
    """A fixed response has a 2xx, 4xx or 5xx code and a short body of a known type (botocore)."""
    if action["Type"] != "fixed-response":
        return
    config = action.get("FixedResponseConfig") or {}
    status = str(config.get("StatusCode"))
    if not re.fullmatch(r"[245]\d\d", status):
        raise Refusal(
            "ValidationError",
            f"1 validation error detected: Value '{status}' at 'statusCode' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$",
        )
    if (config.get("ContentType") or "text/plain") not in CONTENT_TYPES:
        raise Refusal(
            "InvalidLoadBalancerAction",
            f"The ContentType must be one of: {', '.join(CONTENT_TYPES)}",
        )
    if len(config.get("MessageBody") or "") > 1024:
        raise Refusal("ValidationError", "The message body cannot be longer than '1024' characters")


def check_group(response: Any, arn: str, balancer: Any) -> None:
    """A target group exists, fits, and serves one load balancer only (aws-facts 2.1)."""
    group = response.elbv2_backend.target_groups.get(arn)
    if group is None or is_fresh(group):
        raise Refusal("TargetGroupNotFound", f"Target groups '{arn}' not found")
    if balancer.type == "application" and group.protocol not in ("HTTP", "HTTPS", None):
        raise Refusal(
            "InvalidConfigurationRequest",
            f"The target group '{arn}' has protocol '{group.protocol}', which the load balancer "
            "does not support",
        )
    if group.vpc_id and group.vpc_id != balancer.vpc_id:
        raise Refusal(
            "InvalidConfigurationRequest",
            f"The target group '{arn}' and the load balancer must be in the same VPC",
        )
    if any(other.arn != balancer.arn for other in backends.balancers_of_group(arn)):
        raise Refusal(
            "TargetGroupAssociationLimit",
            "The following target groups cannot be associated with more than one load balancer: "
            f"{arn}",
        )


def check_protocol(balancer: Any, protocol: str | None, port: Any) -> None:
    """An Application Load Balancer listens for HTTP and HTTPS on real ports."""
    if balancer.type == "application" and protocol not in ("HTTP", "HTTPS"):
        raise Refusal(
            "ValidationError", f"Listener protocol '{protocol}' must be one of 'HTTPS, HTTP'"
        )
    if port is None or not 1 <= int(port) <= 65535:
        raise Refusal(
            "ValidationError", f"Listener port '{port}' must be between '1-65535' inclusive"
        )


def known_balancer(response: Any) -> Any:
    """The load balancer of a request."""
    arn = response._get_param("LoadBalancerArn")
    balancer = response.elbv2_backend.load_balancers.get(arn)
    if balancer is None or is_fresh(balancer):
        raise Refusal("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    return balancer


@REGISTRY.before(ELBV2Response, "create_listener")
def check_listener(response: Any) -> None:
    """Everything that CreateListener refuses (aws-facts 4.1 to 4.3)."""
    balancer = known_balancer(response)
    protocol = response._get_param("Protocol")
    check_protocol(balancer, protocol, response._get_param("Port"))
    if balancer.type != "application":
        return
    check_policy(response)
    check_security(response, protocol, bool(certificate_arns(response)))
    check_default_certificate(response)
    check_actions(response, response._get_param("DefaultActions", []), balancer, protocol)


def same_settings(response: Any, listener: Any) -> bool:
    """Whether a creation asks for what the listener is already."""
    protocol = response._get_param("Protocol")
    wanted = [action_shape(dict(one)) for one in response._get_param("DefaultActions", [])]
    present = [action_shape(action.data) for action in listener.default_actions]
    same = protocol == listener.protocol and wanted == present
    if protocol != "HTTPS":
        return same
    policy = response._get_param("SslPolicy") or DEFAULT_POLICY
    return (
        same
        and policy == listener.ssl_policy
        and certificate_arns(response) == [listener.certificate]
    )


@REGISTRY.instead(ELBV2Response, "create_listener")
def create_listener(response: Any) -> dict[str, Any]:
    """One listener per port; the same settings give the same one (aws-facts 4.1)."""
    balancer = known_balancer(response)
    port = int(response._get_param("Port"))
    for listener in balancer.listeners.values():
        if int(listener.port) == port:
            if same_settings(response, listener):
                return {"Listeners": [listener_shape(listener)]}
            raise Refusal(
                "DuplicateListener",
                f"A listener already exists on this port for this load balancer '{balancer.arn}'",
            )
    protocol = response._get_param("Protocol")
    arns = certificate_arns(response)
    listener = response.elbv2_backend.create_listener(
        load_balancer_arn=balancer.arn,
        protocol=protocol,
        port=port,
        ssl_policy=response._get_param("SslPolicy") or DEFAULT_POLICY,
        certificate=arns[0] if arns else None,
        actions=plain_copy(response._get_param("DefaultActions", [])),
        alpn_policy=response._get_param("AlpnPolicy", []),
        tags=response._get_param("Tags"),
    )
    listener.attributes = {}
    stamp(listener)
    return {"Listeners": [listener_shape(listener)]}


def plain_copy(actions: Any) -> list[dict[str, Any]]:
    """Actions that belong to the listener and not to the request."""
    return [copy.deepcopy(dict(action)) for action in actions]


def known_listener(response: Any, arn: str | None = None) -> Any:
    """The listener of a request."""
    wanted = arn or response._get_param("ListenerArn")
    for balancer in response.elbv2_backend.load_balancers.values():
        listener = balancer.listeners.get(wanted)
        if listener is not None and not is_fresh(listener):
            return listener
    raise Refusal("ListenerNotFound", f"One or more listeners not found: '{wanted}'")


@REGISTRY.instead(ELBV2Response, "describe_listeners")
def describe_listeners(response: Any) -> dict[str, Any]:
    """Listeners are enriched and paged (aws-facts 4.3, emulator-gaps)."""
    arns = response._get_param("ListenerArns", [])
    balancer_arn = response._get_param("LoadBalancerArn")
    if bool(arns) == bool(balancer_arn):
        raise Refusal(
            "ValidationError", "You must specify either listener ARNs or a load balancer ARN"
        )
    if arns:
        found = [known_listener(response, arn) for arn in arns]
    else:
        balancer = response.elbv2_backend.load_balancers.get(balancer_arn)
        if balancer is None or is_fresh(balancer):
            raise LoadBalancerNotFoundError()
        found = [one for one in balancer.listeners.values() if not is_fresh(one)]
    shown, marker = page(
        found, response._get_int_param("PageSize"), response._get_param("Marker"), bad_marker
    )
    return {"Listeners": [listener_shape(one) for one in shown], "NextMarker": marker}


@REGISTRY.instead(ELBV2Response, "modify_listener")
def modify_listener(response: Any) -> dict[str, Any]:
    """A patch in which lists are replaced whole (aws-facts 4.1)."""
    listener = known_listener(response)
    balancer = response.elbv2_backend.load_balancers[listener.load_balancer_arn]
    protocol = response._get_param("Protocol") or listener.protocol
    port = int(response._get_param("Port") or listener.port)
    arns = certificate_arns(response)
    actions = response._get_param("DefaultActions", [])
    check_protocol(balancer, protocol, port)
    check_policy(response)
    kept = listener.certificate if listener.protocol == "HTTPS" else None
    check_security(response, protocol, bool(arns or kept))
    check_default_certificate(response)
    if actions:
        check_actions(response, actions, balancer, protocol)
    for other in balancer.listeners.values():
        if other is not listener and int(other.port) == port:
            raise Refusal(
                "DuplicateListener",
                f"A listener already exists on this port for this load balancer '{balancer.arn}'",
            )
    listener.port = port
    apply_security(response, listener, protocol, arns)
    if actions:
        listener.default_actions = [FakeAction(action) for action in plain_copy(actions)]
        listener._default_rule[0].actions = listener.default_actions
    return {"Listeners": [listener_shape(listener)]}


def apply_security(response: Any, listener: Any, protocol: str, arns: list[str]) -> None:
    """Takes over protocol, policy and certificate; HTTP drops the last two (aws-facts 4.1)."""
    was_secure = listener.protocol == "HTTPS"
    listener.protocol = protocol
    if protocol != "HTTPS":
        listener.certificate, listener.certificates = None, []
        listener.ssl_policy = DEFAULT_POLICY
        return
    policy = response._get_param("SslPolicy")
    listener.ssl_policy = policy or (listener.ssl_policy if was_secure else DEFAULT_POLICY)
    if arns:
        # The list stays as it is, even if it holds the new default too.
        listener.certificate = arns[0]
        listener.certificates = [arns[0], *listener.certificates[1:]]


@REGISTRY.before(ELBV2Response, "delete_listener")
def missing_listener(response: Any) -> None:
    """Deleting a listener that is not there is an error."""
    known_listener(response)


@REGISTRY.after(ELBV2Response, "describe_ssl_policies")
def unknown_policy(response: Any, result: dict[str, Any]) -> dict[str, Any]:
    """Asking for a policy that does not exist is an error (aws-facts 4.2)."""
    names = response._get_param("Names", [])
    missing = [name for name in names if name not in SSL_POLICIES]
    if missing:
        raise Refusal("SSLPolicyNotFound", f"SSL policies '{', '.join(missing)}' not found")
    shown, marker = page(
        result["SslPolicies"],
        response._get_int_param("PageSize"),
        response._get_param("Marker"),
        bad_marker,
    )
    return {"SslPolicies": shown, "NextMarker": marker}
