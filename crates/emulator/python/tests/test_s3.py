"""Conditional writes and deletions, as AWS documents them (Amazon S3 User Guide)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import REGION, Emulator
from scene import unique


@pytest.fixture(params=["Enabled", "Suspended"])
def bucket(shared_emulator: Emulator, request: pytest.FixtureRequest) -> tuple[Any, str]:
    """A bucket with and without versions."""
    s3 = shared_emulator.client("s3")
    name = unique("states").lower()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": request.param})
    return s3, name


def code(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_a_first_write_is_made_once(bucket: tuple[Any, str]) -> None:
    s3, name = bucket
    first = {"Bucket": name, "Key": "a", "IfNoneMatch": "*"}
    s3.put_object(**first, Body=b"1")
    assert code(s3.put_object, **first, Body=b"2") == "PreconditionFailed"
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"1"
    s3.delete_object(Bucket=name, Key="a")
    s3.put_object(**first, Body=b"3")
    assert s3.get_object(Bucket=name, Key="a")["Body"].read() == b"3"


def test_a_later_write_needs_what_was_read(bucket: tuple[Any, str]) -> None:
    s3, name = bucket
    tag = s3.put_object(Bucket=name, Key="a", Body=b"1")["ETag"]
    newer = s3.put_object(Bucket=name, Key="a", Body=b"2", IfMatch=tag)["ETag"]
    stale = {"Bucket": name, "Key": "a", "IfMatch": tag}
    assert code(s3.put_object, **stale, Body=b"3") == "PreconditionFailed"
    assert code(s3.delete_object, **stale) == "PreconditionFailed"
    s3.delete_object(Bucket=name, Key="a", IfMatch=newer)
    assert code(s3.get_object, Bucket=name, Key="a") == "NoSuchKey"
    assert code(s3.put_object, Bucket=name, Key="a", Body=b"4", IfMatch=newer) == "NoSuchKey"


def test_of_writers_at_the_same_time_one_succeeds(bucket: tuple[Any, str]) -> None:
    s3, name = bucket

    def write(condition: dict[str, str], body: int) -> str:
        try:
            s3.put_object(Bucket=name, Key="a", Body=str(body).encode(), **condition)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "written"

    def race(condition: dict[str, str]) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return sorted(pool.map(lambda body: write(condition, body), range(8)))

    one = ["PreconditionFailed"] * 7 + ["written"]
    assert race({"IfNoneMatch": "*"}) == one
    tag = s3.put_object(Bucket=name, Key="a", Body=b"x")["ETag"]
    assert race({"IfMatch": tag}) == one


def test_versioning_is_told_under_the_documented_root(bucket: tuple[Any, str]) -> None:
    s3, name = bucket
    seen: list[bytes] = []
    s3.meta.events.register(
        "after-call.s3.GetBucketVersioning",
        lambda http_response, **_: seen.append(http_response.content),
    )
    status = s3.get_bucket_versioning(Bucket=name)["Status"]
    assert status in ("Enabled", "Suspended")
    assert b"<VersioningConfiguration" in seen[-1] and b"GetBucketVersioningResponse" not in seen[-1]


def test_a_bucket_is_of_one_account_and_in_one_region(
    bucket: tuple[Any, str], shared_emulator: Emulator
) -> None:
    s3, name = bucket
    ours = {"Bucket": name, "ExpectedBucketOwner": "123456789012"}
    others = {"Bucket": name, "ExpectedBucketOwner": "210987654321"}
    s3.put_object(**ours, Key="a", Body=b"1")
    assert code(s3.put_object, **others, Key="a", Body=b"2") == "AccessDenied"
    assert code(s3.get_object, **others, Key="a") == "AccessDenied"
    assert code(s3.get_bucket_versioning, **others) == "AccessDenied"
    assert s3.get_object(**ours, Key="a")["Body"].read() == b"1"
    elsewhere = shared_emulator.client("s3", region="eu-west-1")
    assert code(elsewhere.get_object, Bucket=name, Key="a") == "AuthorizationHeaderMalformed"
