"""The certificate list of a listener, from which clients are served by their SNI.

moto keeps one list of ARNs: the first is the default certificate, the rest are the list.
"""

from __future__ import annotations

from typing import Any

from moto.elbv2.responses import ELBV2Response

from ..registry import REGISTRY, Refusal
from .common import page
from .elbv2_listeners import certificate_arns, check_default_certificate, known_listener
from .elbv2_load_balancers import bad_marker

# Certificates beside the default one (aws-facts 3, quotas).
EXTRA_CERTIFICATES = 25


def secure_listener(response: Any) -> Any:
    """The listener of a request, which must speak TLS to have certificates (botocore)."""
    listener = known_listener(response)
    if listener.protocol not in ("HTTPS", "TLS"):
        raise Refusal(
            "ValidationError", f"Certificates are not supported for {listener.protocol} listeners"
        )
    return listener


@REGISTRY.instead(ELBV2Response, "add_listener_certificates")
def add_listener_certificates(response: Any) -> dict[str, Any]:
    """Extra certificates: one per call, idempotent, issued ones only (aws-facts 4.1)."""
    listener = secure_listener(response)
    arns = certificate_arns(response)
    if not arns:
        raise Refusal("ValidationError", "A certificate must be specified")
    check_default_certificate(response)
    for arn in arns:
        if arn not in listener.certificates[1:]:
            if len(listener.certificates) > EXTRA_CERTIFICATES:
                raise Refusal(
                    "TooManyCertificates", "The maximum number of certificates has been reached"
                )
            listener.certificates.append(arn)
    return {"Certificates": [{"CertificateArn": arn, "IsDefault": False} for arn in arns]}


@REGISTRY.instead(ELBV2Response, "remove_listener_certificates")
def remove_listener_certificates(response: Any) -> dict[str, Any]:
    """The default certificate stays; one that is not in the list is no error.

    botocore (RemoveListenerCertificates) knows OperationNotPermitted and no code for a missing one.
    """
    listener = secure_listener(response)
    for arn in certificate_arns(response):
        extra = listener.certificates[1:]
        if arn == listener.certificate and arn not in extra:
            raise Refusal("OperationNotPermitted", "Default certificate cannot be removed")
        listener.certificates[1:] = [one for one in extra if one != arn]
    return {}


@REGISTRY.instead(ELBV2Response, "describe_listener_certificates")
def describe_listener_certificates(response: Any) -> dict[str, Any]:
    """The default first, then the list; one in both appears twice (aws-facts 4.1)."""
    listener = known_listener(response)
    described = [
        {"CertificateArn": arn, "IsDefault": index == 0}
        for index, arn in enumerate(listener.certificates)
    ]
    shown, marker = page(
        described, response._get_int_param("PageSize"), response._get_param("Marker"), bad_marker
    )
    return {"Certificates": shown, "NextMarker": marker}
