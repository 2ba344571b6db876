"""Buckets that hold states. Conditional writes and deletions are moto's own, and are as AWS's."""

from __future__ import annotations

from typing import Any

from moto.s3.exceptions import S3AccessDeniedError, S3ClientError
from moto.s3.responses import S3Response

from ..registry import REGISTRY
from ..state import STATE

# The element that moto writes, and the one that AWS documents (GetBucketVersioning).
MOTOS = "GetBucketVersioningResponse"
ROOT = "VersioningConfiguration"


@REGISTRY.patch(S3Response, "get_bucket_versioning")
def versioning_root(original: Any, response: Any) -> Any:
    """The answer has the root element that SDKs which look at it expect (S3 API, GetBucketVersioning)."""
    status, headers, body = original(response)
    if isinstance(body, bytes):
        return status, headers, body.replace(MOTOS.encode(), ROOT.encode())
    return status, headers, body.replace(MOTOS, ROOT)


@REGISTRY.patch(S3Response, "_bucket_response")
def bucket_of_its_owner(original: Any, response: Any, request: Any, full_url: str) -> Any:
    """Refuses what is asked of another account, or in another region."""
    check(response, request, full_url)
    return original(response, request, full_url)


@REGISTRY.patch(S3Response, "_key_response")
def object_of_its_owner(original: Any, response: Any, request: Any, full_url: str) -> Any:
    """Refuses what is asked of another account, or in another region."""
    check(response, request, full_url)
    return original(response, request, full_url)


def check(response: Any, request: Any, full_url: str) -> None:
    """The bucket is the expected account's and in the region that the request is signed for.

    (Amazon S3 User Guide, "Verifying bucket ownership with bucket owner condition"; S3 API, "Error responses".)
    """
    owner = request.headers.get("x-amz-expected-bucket-owner")
    if owner is not None and owner != STATE.account:
        raise S3AccessDeniedError
    name = response.parse_bucket_name_from_url(request, full_url)
    bucket = response.backend.buckets.get(name)
    # `Credential=KEY/DATE/REGION/s3/aws4_request`
    scope = request.headers.get("authorization", "").partition("Credential=")[2].split("/")
    if bucket is not None and len(scope) > 2 and scope[2] != bucket.region_name:
        raise S3ClientError(
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; the region '{scope[2]}' is wrong; "
            f"expecting '{bucket.region_name}'",
        )
