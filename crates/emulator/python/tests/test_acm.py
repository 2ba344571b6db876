"""Certificate Manager, as AWS documents it."""

from __future__ import annotations

import datetime
import urllib.error
import uuid
from typing import Any

import pytest

from conftest import Emulator, eventually, refused
from scene import change, issued_certificate, new_zone, simple


@pytest.fixture
def acm(emulator: Emulator) -> Any:
    return emulator.client("acm")


def new_domain() -> str:
    return f"{uuid.uuid4().hex[:8]}.example.com"


def request(acm: Any, domain: str, **parameters: Any) -> str:
    parameters.setdefault("ValidationMethod", "DNS")
    return str(acm.request_certificate(DomainName=domain, **parameters)["CertificateArn"])


def describe(acm: Any, arn: str) -> dict[str, Any]:
    return dict(acm.describe_certificate(CertificateArn=arn)["Certificate"])


def records(acm: Any, arn: str) -> list[dict[str, Any]]:
    def complete() -> Any:
        options = describe(acm, arn).get("DomainValidationOptions", [])
        return options and all("ResourceRecord" in option for option in options) and options

    return [option["ResourceRecord"] for option in eventually(complete)]


def write_record(emulator: Emulator, zone: str, record: dict[str, Any], value: str = "") -> None:
    wanted = simple(record["Name"], "CNAME", value or record["Value"])
    change(emulator, zone, ("UPSERT", wanted))


def test_records_appear_late_and_whole_later(emulator: Emulator, acm: Any) -> None:
    emulator.control("PUT", "settings", {"validation_records_after": 0.4})
    arn = request(acm, new_domain())
    assert not describe(acm, arn).get("DomainValidationOptions")
    option = eventually(lambda: describe(acm, arn).get("DomainValidationOptions"))[0]
    assert "ResourceRecord" not in option
    record = records(acm, arn)[0]
    assert record["Type"] == "CNAME"
    assert record["Name"].endswith(".") and record["Value"].endswith(".acm-validations.aws.")


def test_issued_only_for_the_right_record(emulator: Emulator, acm: Any) -> None:
    domain = new_domain()
    zone = new_zone(emulator, domain)
    arn = request(acm, f"www.{domain}", SubjectAlternativeNames=[domain])
    wanted = records(acm, arn)
    write_record(emulator, zone, wanted[0])
    write_record(emulator, zone, wanted[1], "_wrong.acm-validations.aws.")
    eventually(
        lambda: describe(acm, arn)["DomainValidationOptions"][0]["ValidationStatus"] == "SUCCESS"
    )
    assert describe(acm, arn)["Status"] == "PENDING_VALIDATION"
    assert "NotAfter" not in describe(acm, arn)
    write_record(emulator, zone, wanted[1])
    eventually(lambda: describe(acm, arn)["Status"] == "ISSUED")
    issued = describe(acm, arn)
    assert issued["NotAfter"] > issued["NotBefore"]
    assert issued["RenewalEligibility"] == "INELIGIBLE"
    assert {option["ValidationStatus"] for option in issued["DomainValidationOptions"]} == {
        "SUCCESS"
    }


def test_private_zone_proves_nothing(emulator: Emulator, acm: Any) -> None:
    domain = new_domain()
    vpc = emulator.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    zone = emulator.client("route53").create_hosted_zone(
        Name=domain,
        CallerReference=str(uuid.uuid4()),
        VPC={"VPCRegion": "ap-northeast-1", "VPCId": vpc},
        HostedZoneConfig={"PrivateZone": True},
    )["HostedZone"]["Id"]
    arn = request(acm, domain)
    write_record(emulator, zone, records(acm, arn)[0])
    option = describe(acm, arn)["DomainValidationOptions"][0]
    assert option["ValidationStatus"] == "PENDING_VALIDATION"


def test_record_is_a_function_of_account_and_domain(acm: Any) -> None:
    domain = new_domain()
    first = request(acm, domain, SubjectAlternativeNames=[f"*.{domain}"])
    apex, wildcard = records(acm, first)
    assert apex == wildcard
    assert records(acm, request(acm, domain))[0] == apex


def test_names_are_lower_cased_and_kept_in_order(acm: Any) -> None:
    domain = new_domain()
    arn = request(acm, f"WWW.{domain}", SubjectAlternativeNames=[f"b.{domain}", f"A.{domain}"])
    described = describe(acm, arn)
    assert described["DomainName"] == f"www.{domain}"
    assert described["SubjectAlternativeNames"] == [f"www.{domain}", f"b.{domain}", f"a.{domain}"]


def test_key_algorithm_has_a_hyphen_in_describe_only(acm: Any) -> None:
    rsa = request(acm, new_domain())
    curve = request(acm, new_domain(), KeyAlgorithm="EC_prime256v1")
    assert describe(acm, rsa)["KeyAlgorithm"] == "RSA-2048"
    assert describe(acm, curve)["KeyAlgorithm"] == "EC-prime256v1"

    def listed(**parameters: Any) -> dict[str, str]:
        pages = acm.get_paginator("list_certificates").paginate(**parameters)
        return {
            found["CertificateArn"]: found["KeyAlgorithm"]
            for page in pages
            for found in page["CertificateSummaryList"]
        }

    assert listed()[rsa] == "RSA_2048" and curve not in listed()
    curves = listed(Includes={"keyTypes": ["EC_prime256v1"]})
    assert curves[curve] == "EC_prime256v1" and rsa not in curves


def test_list_pages_filters_and_summarises(acm: Any) -> None:
    domain = new_domain()
    arns = {request(acm, f"{label}.{domain}") for label in "abc"}
    pages = list(acm.get_paginator("list_certificates").paginate(PaginationConfig={"PageSize": 2}))
    assert all(len(page["CertificateSummaryList"]) <= 2 for page in pages)
    found = {
        item["CertificateArn"]: item for page in pages for item in page["CertificateSummaryList"]
    }
    assert arns <= set(found)
    one = found[next(iter(arns))]
    assert one["SubjectAlternativeNameSummaries"] == [one["DomainName"]]
    assert one["InUse"] is False and one["Type"] == "AMAZON_ISSUED"
    failed = acm.list_certificates(CertificateStatuses=["REVOKED"])["CertificateSummaryList"]
    assert failed == []


def test_token_gives_one_certificate(acm: Any) -> None:
    domain = new_domain()
    first = request(acm, domain, IdempotencyToken="same")
    assert request(acm, domain, IdempotencyToken="same") == first
    assert request(acm, domain, IdempotencyToken="other") != first
    acm.delete_certificate(CertificateArn=first)
    assert request(acm, domain, IdempotencyToken="same") != first


@pytest.mark.parametrize(
    "domain", ["-a.example.com", "a_b.example.com", "a.*.example.com", "nodot"]
)
def test_bad_names_are_refused(acm: Any, domain: str) -> None:
    refused("ValidationException", acm.request_certificate, DomainName=domain)


def test_common_name_of_65_octets_is_refused(acm: Any) -> None:
    long = "a" * 52 + ".example.com"
    request(acm, long)
    refused("InvalidParameterException", acm.request_certificate, DomainName="a" + long)


def test_eleven_names_exceed_the_quota(acm: Any) -> None:
    names = [f"n{number}.example.com" for number in range(10)]
    refused(
        "LimitExceededException",
        acm.request_certificate,
        DomainName="example.com",
        SubjectAlternativeNames=names,
    )


def test_arns_that_lead_nowhere(acm: Any) -> None:
    refused(
        "ValidationException", acm.describe_certificate, CertificateArn="junk-that-is-long-enough"
    )
    arn = request(acm, new_domain())
    acm.delete_certificate(CertificateArn=arn)
    refused("ResourceNotFoundException", acm.describe_certificate, CertificateArn=arn)
    refused("ResourceNotFoundException", acm.delete_certificate, CertificateArn=arn)


def test_failures_on_order(emulator: Emulator, acm: Any) -> None:
    domain = new_domain()
    zone = new_zone(emulator, domain)
    arn = request(acm, domain)
    write_record(emulator, zone, records(acm, arn)[0])
    emulator.control("POST", "certificates/fail", {"arn": arn, "reason": "CAA_ERROR"})
    failed = describe(acm, arn)
    assert (failed["Status"], failed["FailureReason"]) == ("FAILED", "CAA_ERROR")
    # The domain was proven all the same.
    assert failed["DomainValidationOptions"][0]["ValidationStatus"] == "SUCCESS"

    coming = new_domain()
    order = {"domain": coming, "reason": "ADDITIONAL_VERIFICATION_REQUIRED"}
    emulator.control("POST", "certificates/fail", order)
    next_arn = request(acm, coming)
    eventually(lambda: describe(acm, next_arn)["Status"] == "FAILED")
    assert describe(acm, next_arn)["FailureReason"] == "ADDITIONAL_VERIFICATION_REQUIRED"


@pytest.mark.parametrize(
    ("values", "names", "status"),
    [
        (['0 issue "letsencrypt.org"'], ["www"], "FAILED"),
        (['0 issue "letsencrypt.org"', '0 issue "amazon.com"'], ["www"], "ISSUED"),
        (['0 issue "amazon.com"', '0 issuewild ";"'], ["www", "*"], "FAILED"),
        (['0 iodef "mailto:a@example.com"'], ["www"], "ISSUED"),
    ],
)
def test_caa_records_decide(
    emulator: Emulator, acm: Any, values: list[str], names: list[str], status: str
) -> None:
    domain = new_domain()
    zone = new_zone(emulator, domain)
    change(emulator, zone, ("CREATE", simple(domain, "CAA", *values)))
    full = [f"{name}.{domain}" for name in names]
    arn = request(acm, full[0], SubjectAlternativeNames=full[1:])
    for record in records(acm, arn):
        write_record(emulator, zone, record)
    eventually(lambda: describe(acm, arn)["Status"] == status)
    if status == "FAILED":
        assert describe(acm, arn)["FailureReason"] == "CAA_ERROR"


def test_private_top_level_domain_fails(acm: Any) -> None:
    arn = request(acm, "www.corp.local")
    eventually(lambda: describe(acm, arn)["Status"] == "FAILED")
    assert describe(acm, arn)["FailureReason"] == "INVALID_PUBLIC_DOMAIN"


def test_fresh_certificate_is_unknown_for_a_moment(emulator: Emulator, acm: Any) -> None:
    emulator.control("PUT", "settings", {"fresh_unknown_for": 0.3})
    arn = request(acm, new_domain())
    refused("ResourceNotFoundException", acm.describe_certificate, CertificateArn=arn)
    emulator.control("PUT", "settings", {"fresh_unknown_for": 0})
    assert describe(acm, arn)["CertificateArn"] == arn


def test_pending_certificate_cannot_be_fetched(acm: Any) -> None:
    arn = request(acm, new_domain())
    refused("RequestInProgressException", acm.get_certificate, CertificateArn=arn)


def test_tags_of_the_request(emulator: Emulator, acm: Any) -> None:
    tags = [{"Key": "stack", "Value": "www"}]
    emulator.control("PUT", "settings", {"tags_late_by": 0.3})
    arn = request(acm, new_domain(), Tags=tags)
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == []
    eventually(lambda: acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == tags)


def test_renewal_by_order(emulator: Emulator) -> None:
    acm = emulator.client("acm")
    domain = new_domain()
    arn = issued_certificate(emulator, domain)

    def described() -> Any:
        return acm.describe_certificate(CertificateArn=arn)["Certificate"]

    fresh = described()
    assert "RenewalSummary" not in fresh and fresh["RenewalEligibility"] == "INELIGIBLE"
    assert (fresh["NotAfter"] - fresh["NotBefore"]).days == 198

    order = {
        "arn": arn,
        "status": "PENDING_VALIDATION",
        "domains": {domain: "FAILED"},
        "days_left": 20,
    }
    ordered = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    emulator.control("PUT", "certificates/renewal", order)
    carried_out = datetime.datetime.now(datetime.timezone.utc)
    summary = described()["RenewalSummary"]
    assert summary["RenewalStatus"] == "PENDING_VALIDATION"
    option = summary["DomainValidationOptions"][0]
    assert (option["DomainName"], option["ValidationStatus"]) == (domain, "FAILED")
    assert option["ResourceRecord"]["Name"].endswith(f".{domain}.")
    left = datetime.timedelta(days=20)
    assert ordered + left <= described()["NotAfter"] <= carried_out + left
    told = next(one for one in emulator.world()["certificates"] if one["arn"] == arn)
    assert told["not_after"] == described()["NotAfter"].timestamp()

    failed = {"domain": domain, "status": "FAILED", "reason": "CAA_ERROR"}
    emulator.control("PUT", "certificates/renewal", failed)
    assert described()["RenewalSummary"]["RenewalStatusReason"] == "CAA_ERROR"
    emulator.control("PUT", "certificates/renewal", {"arn": arn, "days_left": -1})
    assert described()["Status"] == "EXPIRED" and "RenewalSummary" not in described()
    for wrong in ({"status": "SOON"}, {"days_left": "x"}, {"colour": 1}):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            emulator.control("PUT", "certificates/renewal", {"arn": arn, **wrong})
    with pytest.raises(urllib.error.HTTPError, match="404"):
        emulator.control("PUT", "certificates/renewal", {"arn": arn + "0", "status": "SUCCESS"})
