"""AWS's wire formats: which call a request is, and how an error looks in it."""

from __future__ import annotations

import io
import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

# Signing name -> name of the botocore model.
SERVICES = {"elasticloadbalancing": "elbv2"}

ROUTE53_NAMESPACE = "https://route53.amazonaws.com/doc/2013-04-01/"

# What a throttled call gets from each service (aws-facts 5.4 and 7.2): code, text, status.
THROTTLING = {
    "acm": ("ThrottlingException", "Rate exceeded", 400),
    "ec2": ("RequestLimitExceeded", "Request limit exceeded.", 503),
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
    "wafv2": ("ThrottlingException", "Rate exceeded", 400),
}
DEFAULT_THROTTLING = ("Throttling", "Rate exceeded", 400)

# What a caller without the permission gets: code and status.
DENIED = {
    "acm": ("AccessDeniedException", 400),
    "ec2": ("UnauthorizedOperation", 403),
    "wafv2": ("AccessDeniedException", 400),
}
DEFAULT_DENIED = ("AccessDenied", 403)

# What a caller gets whose session is over: code, text, status. EC2 has a code of its own, which it
# also gives for a clock that goes wrong.
EXPIRED_TEXT = "The security token included in the request is expired"
EXPIRED = {
    "acm": ("ExpiredTokenException", EXPIRED_TEXT, 400),
    "ec2": ("RequestExpired", "Request has expired.", 400),
    "s3": ("ExpiredToken", "The provided token has expired.", 400),
    "wafv2": ("ExpiredTokenException", EXPIRED_TEXT, 400),
}
DEFAULT_EXPIRED = ("ExpiredToken", EXPIRED_TEXT, 403)

# The prefix of a service's actions in IAM, where it is not the service's name.
ACTION_PREFIXES = {"elbv2": "elasticloadbalancing"}


@dataclass
class Call:
    """What a request asks for."""

    service: str
    action: str
    parameters: dict[str, Any] = field(default_factory=dict)


def parse_call(environ: dict[str, Any], body: bytes) -> Call:
    """Reads service, action and parameters out of a request.

    The service is the one the request is signed for, as in AWS; an unsigned
    request or one that no model knows is logged with what could be read.
    """
    service = signed_service(environ.get("HTTP_AUTHORIZATION", ""))
    if service is None:
        return Call("unknown", f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}")
    copied = dict(environ)
    copied["wsgi.input"] = io.BytesIO(body)
    request = Request(copied)
    action = ""
    try:
        url_parameters: dict[str, Any] = {}
        target = request.headers.get("X-Amz-Target")
        if target:
            action = target.rsplit(".", 1)[-1]
        elif request.values.get("Action"):
            action = request.values["Action"]
        else:
            operation, url_parameters = get_service_router(service).match(request)
            action = operation.name
        return Call(service, action, parse_parameters(service, action, request, url_parameters))
    except Exception:  # an unreadable request is moto's to refuse, not the log's
        return Call(service, action or f"{request.method} {request.path}")


def signed_service(authorization: str) -> str | None:
    """The service in the credential scope of a version 4 signature."""
    match = re.search(r"Credential=[^/]+/\d+/[^/]*/([^/]+)/aws4_request", authorization)
    if match is None:
        return None
    return SERVICES.get(match[1], match[1])


def parse_parameters(
    service: str, action: str, request: Request, url_parameters: dict[str, Any]
) -> dict[str, Any]:
    """The parameters by the names and types of the API model."""
    model = get_service_model(service)
    parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)]
    parsed = parser(model.operation_model(action)).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.get_data(),
            "url_path": request.path,
            "url_params": url_parameters,
        }
    )
    return json.loads(json.dumps(parsed, default=printable))


def printable(value: object) -> object:
    """A value that JSON has no type for."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        return dict(value)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return str(value)


def error_code(body: bytes) -> str | None:
    """The error code in an answer of any protocol."""
    text = body.decode("utf-8", "replace")
    match = re.search(r"<Code>([^<]+)</Code>", text)
    if match:
        return match[1]
    try:
        kind = json.loads(text).get("__type")
    except (ValueError, AttributeError):
        return None
    return str(kind).rsplit("#", 1)[-1] if kind else None


def error_response(service: str, code: str, message: str) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an error in the format of the service's protocol."""
    request_id = str(uuid.uuid4())
    if service in ("acm", "wafv2"):
        body = json.dumps({"__type": code, "message": message})
        headers = [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("x-amzn-ErrorType", code),
            ("x-amzn-RequestId", request_id),
        ]
        return headers, body.encode()
    head = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        body = (
            f"<Response><Errors><Error>{head}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
    elif service == "s3":
        body = f"<Error>{head}<RequestId>{request_id}</RequestId></Error>"
    else:
        namespace = {
            "route53": ROUTE53_NAMESPACE,
            "elbv2": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
            "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
        }.get(service)
        attribute = f' xmlns="{namespace}"' if namespace else ""
        body = (
            f"<ErrorResponse{attribute}><Error><Type>Sender</Type>{head}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
    return headers, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()
