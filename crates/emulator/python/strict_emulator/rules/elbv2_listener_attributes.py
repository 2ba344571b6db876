"""Attributes of listeners: which there are, by protocol, and their values."""

from __future__ import annotations

import re
from typing import Any

from moto.elbv2.responses import ELBV2Response

from ..registry import REGISTRY, Refusal
from .elbv2_attributes import given_attributes
from .elbv2_listeners import known_listener

RESPONSE = "routing.http.response."
REQUEST = "routing.http.request."
# Headers that the load balancer puts into responses; empty means: none (aws-facts 4.4).
RESPONSE_HEADERS = {
    f"{RESPONSE}access_control_allow_credentials.header_value": "",
    f"{RESPONSE}access_control_allow_headers.header_value": "",
    f"{RESPONSE}access_control_allow_methods.header_value": "",
    f"{RESPONSE}access_control_allow_origin.header_value": "",
    f"{RESPONSE}access_control_expose_headers.header_value": "",
    f"{RESPONSE}access_control_max_age.header_value": "",
    f"{RESPONSE}content_security_policy.header_value": "",
    f"{RESPONSE}server.enabled": "true",
    f"{RESPONSE}strict_transport_security.header_value": "",
    f"{RESPONSE}x_content_type_options.header_value": "",
    f"{RESPONSE}x_frame_options.header_value": "",
}
# Names of headers in requests to targets, which only TLS gives rise to (aws-facts 4.4).
REQUEST_HEADERS = {
    f"{REQUEST}x_amzn_mtls_clientcert.header_name": "X-Amzn-Mtls-Clientcert",
    f"{REQUEST}x_amzn_mtls_clientcert_issuer.header_name": "X-Amzn-Mtls-Clientcert-Issuer",
    f"{REQUEST}x_amzn_mtls_clientcert_leaf.header_name": "X-Amzn-Mtls-Clientcert-Leaf",
    f"{REQUEST}x_amzn_mtls_clientcert_serial_number.header_name": (
        "X-Amzn-Mtls-Clientcert-Serial-Number"
    ),
    f"{REQUEST}x_amzn_mtls_clientcert_subject.header_name": "X-Amzn-Mtls-Clientcert-Subject",
    f"{REQUEST}x_amzn_mtls_clientcert_validity.header_name": "X-Amzn-Mtls-Clientcert-Validity",
    f"{REQUEST}x_amzn_tls_cipher_suite.header_name": "X-Amzn-Tls-Cipher-Suite",
    f"{REQUEST}x_amzn_tls_version.header_name": "X-Amzn-Tls-Version",
}
# What a value must look like, where the browser's standards leave no choice.
PATTERNS = {
    f"{RESPONSE}access_control_allow_credentials.header_value": r"true",
    f"{RESPONSE}access_control_max_age.header_value": r"[0-9]{1,5}",
    f"{RESPONSE}server.enabled": r"true|false",
    f"{RESPONSE}strict_transport_security.header_value": (
        r"max-age=[0-9]+(; *includeSubDomains)?(; *preload)?"
    ),
    f"{RESPONSE}x_content_type_options.header_value": r"nosniff",
    f"{RESPONSE}x_frame_options.header_value": r"DENY|SAMEORIGIN|ALLOW-FROM \S+",
}


def defaults_of(listener: Any) -> dict[str, str]:
    """The attributes of a listener of its protocol, none for other than HTTP and HTTPS."""
    if listener.protocol == "HTTPS":
        return {**REQUEST_HEADERS, **RESPONSE_HEADERS}
    return dict(RESPONSE_HEADERS) if listener.protocol == "HTTP" else {}


def attributes_of(listener: Any) -> dict[str, str]:
    """All attributes with their values; what another protocol left behind is not shown."""
    defaults = defaults_of(listener)
    return {key: str(listener.attributes.get(key, value)) for key, value in defaults.items()}


@REGISTRY.instead(ELBV2Response, "describe_listener_attributes")
def describe_listener_attributes(response: Any) -> dict[str, Any]:
    """All keys with their values, set or not (aws-facts 4.4)."""
    listener = known_listener(response)
    if not defaults_of(listener):
        return {"Attributes": listener.attributes}
    return {"Attributes": attributes_of(listener)}


@REGISTRY.before(ELBV2Response, "modify_listener_attributes")
def check_listener_attributes(response: Any) -> None:
    """Keys and values must fit a listener of HTTP or HTTPS (aws-facts 4.4)."""
    listener = known_listener(response)
    known = defaults_of(listener)
    if not known:
        return
    for key, value in given_attributes(response).items():
        if key not in known:
            raise Refusal("ValidationError", f"Listener attribute key '{key}' is not recognized")
        fits = re.fullmatch(PATTERNS.get(key, r"[ -~]*"), value)
        if value == "" and key.endswith("header_value"):
            fits = re.match("", value)
        if not fits or len(value) > 1024:
            raise Refusal(
                "InvalidConfigurationRequest",
                f"The value '{value}' for the listener attribute '{key}' is not valid",
            )


@REGISTRY.after(ELBV2Response, "modify_listener_attributes")
def all_listener_attributes(response: Any, _: dict[str, Any]) -> dict[str, Any]:
    """The answer tells all attributes, as Describe does (aws-facts 4.4)."""
    listener = known_listener(response)
    return {"Attributes": attributes_of(listener) or listener.attributes}
