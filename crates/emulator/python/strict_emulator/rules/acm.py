"""Certificate Manager: requests, validation, issue, lists, deletion."""

from __future__ import annotations

import datetime
import functools
import re
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from moto.acm.models import CertBundle
from moto.acm.responses import AWSCertificateManagerResponse
from moto.core.utils import utcnow

from .. import certificates
from ..certificates import Progress
from ..registry import REGISTRY, Refusal
from ..state import STATE, now
from .common import is_fresh, page, stamp, tags_are_late

REGISTRY.observer(certificates.observe)

# A token is remembered for one hour (aws-facts 1.2).
TOKEN_LIFETIME = 3600.0
LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
DOMAIN = re.compile(rf"^(\*\.)?({LABEL}\.)+{LABEL}$")
ARN = re.compile(r"^arn:[\w-]+:acm:[\w-]*:[0-9]+:[\w+=,.@-]+(/[\w+=,.@-]+)*$")
KEYS = {
    "RSA_2048": functools.partial(rsa.generate_private_key, 65537, 2048),
    "EC_prime256v1": functools.partial(ec.generate_private_key, ec.SECP256R1()),
    "EC_secp384r1": functools.partial(ec.generate_private_key, ec.SECP384R1()),
}
# Without a filter, lists show only these (aws-facts 1.2).
LISTED_KEY_TYPES = ("RSA_1024", "RSA_2048")
SUMMARY_FIELDS = (
    "CertificateArn",
    "DomainName",
    "Status",
    "Type",
    "KeyAlgorithm",
    "KeyUsages",
    "ExtendedKeyUsages",
    "InUse",
    "RenewalEligibility",
    "NotBefore",
    "NotAfter",
    "CreatedAt",
    "IssuedAt",
    "ImportedAt",
    "RevokedAt",
)


def invalid(message: str) -> Refusal:
    """A value that the API model rules out."""
    return Refusal("ValidationException", message)


@REGISTRY.before(
    AWSCertificateManagerResponse,
    "describe_certificate",
    "get_certificate",
    "delete_certificate",
    "list_tags_for_certificate",
    "add_tags_to_certificate",
    "remove_tags_from_certificate",
)
def check_arn(response: Any) -> None:
    """Something that is no ARN is refused as such (emulator-gaps, ACM)."""
    arn = response._get_param("CertificateArn")
    if arn is not None and not ARN.match(arn):
        raise invalid(
            f"1 validation error detected: Value '{arn}' at 'certificateArn' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: "
            "arn:[\\w+=/,.@-]+:acm:[\\w+=/,.@-]*:[0-9]+:[\\w+=,.@-]+(/[\\w+=,.@-]+)*"
        )


def requested_names(response: Any) -> list[str]:
    """The names of a request, lower-case, the common name first, each once."""
    names = [response._get_param("DomainName"), *response._get_param("SubjectAlternativeNames", [])]
    return list(dict.fromkeys(name.lower() for name in names if name))


@REGISTRY.before(AWSCertificateManagerResponse, "request_certificate")
def check_names(response: Any) -> None:
    """Names are DNS names, the first of at most 64 octets (aws-facts 1.1)."""
    names = requested_names(response)
    if not names:
        raise invalid(
            "1 validation error detected: Value null at 'domainName' failed to satisfy "
            "constraint: Member must not be null"
        )
    for name in names:
        if len(name) > 253 or not DOMAIN.match(name):
            raise invalid(
                f"1 validation error detected: Value '{name}' at 'domainName' failed to satisfy "
                "constraint: Member must satisfy regular expression pattern: "
                "^(\\*\\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\\.)+"
                "((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])$"
            )
    if len(names[0]) > 64:
        raise Refusal(
            "InvalidParameterException",
            "The first domain name can be no longer than 64 characters, including dots.",
        )


@REGISTRY.before(AWSCertificateManagerResponse, "request_certificate")
def check_options(response: Any) -> None:
    """Token, key algorithm and method take their documented values (aws-facts 1.1, 1.2)."""
    token = response._get_param("IdempotencyToken")
    if token is not None and not re.fullmatch(r"\w{1,32}", token):
        raise invalid(
            f"1 validation error detected: Value '{token}' at 'idempotencyToken' failed to "
            "satisfy constraint: Member must satisfy regular expression pattern: \\w+"
        )
    algorithm = response._get_param("KeyAlgorithm") or "RSA_2048"
    if algorithm not in KEYS:
        raise invalid(
            f"The requested key algorithm {algorithm} is not supported for a requested certificate."
        )
    method = response._get_param("ValidationMethod") or "EMAIL"
    if method not in ("DNS", "EMAIL", "HTTP"):
        raise invalid(
            f"1 validation error detected: Value '{method}' at 'validationMethod' failed to "
            "satisfy constraint: Member must satisfy enum value set: [DNS, EMAIL, HTTP]"
        )
    tags = [tag["Key"] for tag in response._get_param("Tags") or []]
    if len(tags) > 50:
        raise Refusal("TooManyTagsException", "The request contains too many tags.")


@REGISTRY.before(AWSCertificateManagerResponse, "request_certificate")
def check_quota(response: Any) -> None:
    """Ten names per certificate is the account's default (aws-facts 1.1)."""
    if len(requested_names(response)) > 10:
        raise Refusal(
            "LimitExceededException",
            "Error: You have exceeded the limit of 10 domain names on a certificate.",
        )


@functools.cache
def key_of(algorithm: str) -> Any:
    """A private key; one per algorithm is enough for certificates nobody serves."""
    return KEYS[algorithm]()


def make_certificate(names: list[str], algorithm: str, account: str, region: str) -> CertBundle:
    """A requested certificate, not issued yet."""
    key = key_of(algorithm)
    issuer = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Amazon"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Amazon"),
        ]
    )
    start = utcnow()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=198))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return CertBundle(
        account,
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        region=region,
        cert_type="AMAZON_ISSUED",
        cert_status="PENDING_VALIDATION",
    )


@REGISTRY.instead(AWSCertificateManagerResponse, "request_certificate")
def request_certificate(response: Any) -> dict[str, Any]:
    """One token gives one certificate within the hour; the key is as asked (aws-facts 1.1, 1.2)."""
    backend = response.acm_backend
    token = response._get_param("IdempotencyToken")
    tokens = backend.__dict__.setdefault("request_tokens", {})
    if token in tokens:
        moment, arn = tokens[token]
        if now() - moment < TOKEN_LIFETIME and arn in backend._certificates:
            return {"CertificateArn": arn}
    names = requested_names(response)
    algorithm = response._get_param("KeyAlgorithm") or "RSA_2048"
    certificate = make_certificate(names, algorithm, backend.account_id, backend.region_name)
    certificate.tags.add(response._get_param("Tags") or [])
    certificate.cert_options.update(response._get_param("Options") or {})
    certificate.validation_method = response._get_param("ValidationMethod") or "EMAIL"
    certificate.progress = Progress(names, algorithm)
    certificate.progress.fails_with = STATE.failing_domains.pop(names[0], None)
    stamp(certificate)
    backend._certificates[certificate.arn] = certificate
    if token is not None:
        tokens[token] = (now(), certificate.arn)
    return {"CertificateArn": certificate.arn}


@REGISTRY.patch(CertBundle, "check")
def no_timer(original: Any, certificate: Any) -> None:
    """Certificates are issued for their CNAMEs, not by time alone (aws-facts 1.3)."""
    if certificates.progress_of(certificate) is None:
        original(certificate)
    else:
        certificates.advance(certificate)


def known_certificate(response: Any) -> Any:
    """The certificate of a request; a fresh one is not known yet (aws-facts 1.2)."""
    arn = response._get_param("CertificateArn")
    certificate = response.acm_backend._certificates.get(arn)
    if certificate is None or is_fresh(certificate):
        raise Refusal(
            "ResourceNotFoundException",
            f"Could not find certificate {arn} in account {response.current_account}.",
        )
    certificates.advance(certificate)
    return certificate


@REGISTRY.before(AWSCertificateManagerResponse, "list_tags_for_certificate", "get_certificate")
def fresh_is_unknown(response: Any) -> None:
    """For some seconds reads do not know a new certificate (aws-facts 1.2)."""
    known_certificate(response)


@REGISTRY.before(AWSCertificateManagerResponse, "get_certificate")
def pending_has_no_body(response: Any) -> None:
    """Only an issued certificate can be fetched (`RequestInProgressException`)."""
    certificate = known_certificate(response)
    if certificate.status == "PENDING_VALIDATION":
        raise Refusal(
            "RequestInProgressException",
            f"Certificate {certificate.arn} is in status PENDING_VALIDATION and cannot be "
            "retrieved.",
        )


@REGISTRY.after(AWSCertificateManagerResponse, "list_tags_for_certificate")
def late_tags(response: Any, result: Any) -> Any:
    """Tags of the request may be missing at first (aws-facts 7.1)."""
    if tags_are_late(known_certificate(response)):
        return {"Tags": []}
    return result


def validation_options(certificate: Any) -> list[dict[str, Any]]:
    """The domains and their records, which come late (aws-facts 1.3).

    At first there is nothing at all, then entries without a record.
    """
    progress = certificate.progress
    age = now() - progress.requested_at
    if age < STATE.settings.validation_records_after / 2:
        return []
    options = []
    for domain in progress.names:
        option: dict[str, Any] = {
            "DomainName": domain,
            "ValidationDomain": domain,
            "ValidationStatus": certificates.domain_status(certificate, domain),
            "ValidationMethod": certificate.validation_method,
        }
        if certificates.records_visible(progress) and certificate.validation_method == "DNS":
            name, value = certificates.validation_record(domain)
            option["ResourceRecord"] = {"Name": name, "Type": "CNAME", "Value": value}
        options.append(option)
    return options


def issued_fields(certificate: Any) -> dict[str, Any]:
    """What only an issued certificate has (aws-facts 1.5)."""
    body = certificate._cert
    return {
        "IssuedAt": epoch(certificate.progress.issued_at),
        "NotBefore": epoch(body.not_valid_before_utc),
        "NotAfter": epoch(body.not_valid_after_utc),
        "Serial": certificates.serial(certificate),
        "KeyUsages": [{"Name": "DIGITAL_SIGNATURE"}, {"Name": "KEY_ENCIPHERMENT"}],
        "ExtendedKeyUsages": [
            {"Name": "TLS_WEB_SERVER_AUTHENTICATION", "OID": "1.3.6.1.5.5.7.3.1"}
        ],
    }


def epoch(moment: Any) -> float:
    """Seconds since 1970 of a naive UTC or an aware time."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return float(int(moment.timestamp()))


def detail(certificate: Any) -> dict[str, Any]:
    """A certificate as Describe shows it."""
    progress = certificates.progress_of(certificate)
    users = certificates.in_use_by(certificate)
    if progress is None:
        described = certificate.describe()["Certificate"]
        described["InUseBy"] = users
        return described
    signature = "SHA256WITHRSA" if progress.key_algorithm.startswith("RSA") else "SHA256WITHECDSA"
    described = {
        "CertificateArn": certificate.arn,
        "DomainName": progress.names[0],
        "SubjectAlternativeNames": progress.names,
        "DomainValidationOptions": validation_options(certificate),
        "Subject": f"CN={progress.names[0]}",
        "Issuer": "Amazon",
        "CreatedAt": epoch(certificate.created_at),
        "Status": certificate.status,
        "KeyAlgorithm": progress.key_algorithm,
        "SignatureAlgorithm": signature,
        "InUseBy": users,
        "Type": "AMAZON_ISSUED",
        "KeyUsages": [],
        "ExtendedKeyUsages": [],
        "RenewalEligibility": "INELIGIBLE",
        "Options": certificate.cert_options,
    }
    if progress.failure_reason:
        described["FailureReason"] = progress.failure_reason
    if certificate.status == "ISSUED":
        described.update(issued_fields(certificate))
        # Eligible means: issued by Amazon and attached (aws-facts 1.5).
        described["RenewalEligibility"] = "ELIGIBLE" if users else "INELIGIBLE"
    return described


@REGISTRY.instead(AWSCertificateManagerResponse, "describe_certificate")
def describe_certificate(response: Any) -> dict[str, Any]:
    """Describe writes the key algorithm with a hyphen (aws-facts 1.1)."""
    described = detail(known_certificate(response))
    return {
        "Certificate": {
            **described,
            "KeyAlgorithm": described["KeyAlgorithm"].replace("_", "-", 1),
        }
    }


def summary(certificate: Any) -> dict[str, Any]:
    """A certificate as lists show it (aws-facts 1.2)."""
    described = detail(certificate)
    described["InUse"] = bool(described["InUseBy"])
    for field in ("KeyUsages", "ExtendedKeyUsages"):
        described[field] = [usage["Name"] for usage in described.get(field, [])]
    names = described.get("SubjectAlternativeNames", [])
    return {
        **{field: described[field] for field in SUMMARY_FIELDS if field in described},
        "SubjectAlternativeNameSummaries": names[:100],
        "HasAdditionalSubjectAlternativeNames": len(names) > 100,
        "Exported": False,
    }


def is_listed(certificate: dict[str, Any], statuses: Any, includes: dict[str, Any]) -> bool:
    """Whether a summary passes the filters; EC keys hide by default (aws-facts 1.2)."""
    key_types = includes.get("keyTypes") or LISTED_KEY_TYPES
    usages = [usage for usage in includes.get("keyUsage") or [] if usage != "ANY"]
    extended = [usage for usage in includes.get("extendedKeyUsage") or [] if usage != "ANY"]
    return (
        (not statuses or certificate["Status"] in statuses)
        and certificate["KeyAlgorithm"] in key_types
        and all(usage in certificate["KeyUsages"] for usage in usages)
        and all(usage in certificate["ExtendedKeyUsages"] for usage in extended)
        and not includes.get("managedBy")
    )


@REGISTRY.instead(AWSCertificateManagerResponse, "list_certificates")
def list_certificates(response: Any) -> dict[str, Any]:
    """Lists are filtered and paged, with full summaries (aws-facts 1.2, emulator-gaps)."""
    statuses = response._get_param("CertificateStatuses")
    includes = response._get_param("Includes") or {}
    found = []
    for certificate in list(response.acm_backend._certificates.values()):
        certificate.check()
        if not is_fresh(certificate):
            found.append(summary(certificate))
    listed, token = page(
        [certificate for certificate in found if is_listed(certificate, statuses, includes)],
        response._get_int_param("MaxItems", 1000),
        response._get_param("NextToken"),
        lambda: invalid("The NextToken is not valid."),
    )
    result: dict[str, Any] = {"CertificateSummaryList": listed}
    if token:
        result["NextToken"] = token
    return result


@REGISTRY.before(AWSCertificateManagerResponse, "delete_certificate")
def in_use_is_kept(response: Any) -> None:
    """A certificate in use cannot be deleted (aws-facts 1.6)."""
    arn = response._get_param("CertificateArn")
    certificate = response.acm_backend._certificates.get(arn)
    if certificate is not None and certificates.in_use_by(certificate):
        raise Refusal(
            "ResourceInUseException",
            f"Certificate {arn} in account {response.current_account} is in use.",
        )
