"""Buckets that hold states. Conditional writes and deletions are moto's own, and are as AWS's."""

from __future__ import annotations

from typing import Any

from moto.s3.responses import S3Response

from ..registry import REGISTRY

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
