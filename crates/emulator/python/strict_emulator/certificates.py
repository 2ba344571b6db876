"""The life of an ACM certificate between its request and its issue.

Progress is computed whenever somebody looks and after each mutating request,
so that the delays are measured from the change itself and not from the look.
"""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass, field
from typing import Any

from moto.core.utils import utcnow

from . import backends, caa
from .state import STATE, now

# Top-level domains that no public certificate is issued for (aws-facts 1.4).
PRIVATE_TOP_LEVEL_DOMAINS = {"corp", "home", "internal", "invalid", "lan", "local", "localhost"}


@dataclass
class Progress:
    """What the emulator knows of a requested certificate beside moto's object."""

    names: list[str]
    key_algorithm: str
    requested_at: float = field(default_factory=now)
    # Since when a validation CNAME stands in its zone, by domain name.
    proven_since: dict[str, float] = field(default_factory=dict)
    fails_with: str | None = None
    failure_reason: str | None = None
    issued_at: Any = None
    issued_moment: float | None = None
    # Load balancers that let go of it, and until when ACM still counts them.
    released: dict[str, float] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)


def progress_of(certificate: Any) -> Progress | None:
    """The progress of a certificate that was requested under strict rules."""
    return getattr(certificate, "progress", None)


def serial(certificate: Any) -> str:
    """The serial number as ACM writes it: hexadecimal, a colon between two bytes."""
    digits = f"{certificate._cert.serial_number:040x}"
    return ":".join(digits[index : index + 2] for index in range(0, 40, 2))


def base_name(domain: str) -> str:
    """The name that is validated: a wildcard is validated at its parent."""
    return domain.removeprefix("*.")


def validation_record(domain: str) -> tuple[str, str]:
    """Name and value of the validation CNAME.

    It is a function of account and domain, the same for every certificate
    (aws-facts 1.3); apex and wildcard share it.
    """
    name = base_name(domain)
    left = hashlib.md5(f"{STATE.account}/{name}/name".encode()).hexdigest()
    right = hashlib.md5(f"{STATE.account}/{name}/value".encode()).hexdigest()
    digest = hashlib.sha256(f"{STATE.account}/{name}".encode()).digest()
    letters = "".join(string.ascii_lowercase[byte % 26] for byte in digest[:10])
    return f"_{left}.{name}.", f"_{right}.{letters}.acm-validations.aws."


def records_visible(progress: Progress) -> bool:
    """Whether the validation records can be described yet."""
    return now() - progress.requested_at >= STATE.settings.validation_records_after


def record_stands(domain: str) -> bool:
    """Whether the CNAME of a domain stands in the public zone that answers for it."""
    name, value = validation_record(domain)
    public = [zone for zone in backends.zones() if not zone.private_zone]
    fitting = [zone for zone in public if name.endswith("." + zone.name.lower())]
    longest = max((len(zone.name) for zone in fitting), default=0)
    return any(
        record.type == "CNAME"
        and record.name.lower() == name
        and [text.lower().rstrip(".") for text in record.records or []] == [value.rstrip(".")]
        for zone in fitting
        if len(zone.name) == longest
        for record in zone.rrsets
    )


def advance(certificate: Any) -> None:
    """Brings the status of a certificate up to date."""
    progress = progress_of(certificate)
    if progress is None or certificate.status != "PENDING_VALIDATION":
        return
    moment = now()
    for domain in progress.names:
        if record_stands(domain):
            progress.proven_since.setdefault(domain, moment)
        else:
            progress.proven_since.pop(domain, None)
    if not records_visible(progress):
        return
    refused = any(
        domain.rsplit(".", 1)[-1] in PRIVATE_TOP_LEVEL_DOMAINS for domain in progress.names
    )
    if progress.fails_with or refused:
        fail(certificate, progress.fails_with or "INVALID_PUBLIC_DOMAIN")
        return
    if len(progress.proven_since) < len(progress.names):
        return
    if moment - max(progress.proven_since.values()) >= STATE.settings.issue_after:
        if any(caa.forbids_amazon(domain) for domain in progress.names):
            fail(certificate, "CAA_ERROR")
            return
        certificate.status = "ISSUED"
        progress.issued_at = utcnow()
        progress.issued_moment = moment


def is_freshly_issued(certificate: Any) -> bool:
    """Whether other services do not know yet that it was issued (aws-facts 7.1)."""
    progress = progress_of(certificate)
    moment = progress.issued_moment if progress else None
    return moment is not None and now() - moment < STATE.settings.fresh_unknown_for


def domain_status(certificate: Any, domain: str) -> str:
    """The validation status of one domain.

    It turns SUCCESS before the certificate is ISSUED, and stays SUCCESS when
    a CAA record makes the certificate fail (aws-facts 1.3 and 1.4).
    """
    progress = certificate.progress
    if certificate.status == "ISSUED":
        return "SUCCESS"
    since = progress.proven_since.get(domain)
    if certificate.status in ("FAILED", "VALIDATION_TIMED_OUT"):
        proven = since is not None and progress.failure_reason == "CAA_ERROR"
        return "SUCCESS" if proven else "FAILED"
    if since is not None and now() - since >= STATE.settings.issue_after / 2:
        return "SUCCESS"
    return "PENDING_VALIDATION"


def fail(certificate: Any, reason: str) -> None:
    """Ends a certificate: FAILED with a reason, or timed out."""
    progress = progress_of(certificate)
    if reason == "VALIDATION_TIMED_OUT":
        certificate.status = "VALIDATION_TIMED_OUT"
    else:
        certificate.status = "FAILED"
        if progress is not None:
            progress.failure_reason = reason


def order_failure(arn: str | None, domain: str | None, reason: str) -> bool:
    """Fails the certificate of an ARN, or all of a domain and the next one."""
    if arn:
        found = [certificate for certificate in backends.certificates() if certificate.arn == arn]
    else:
        found = [
            certificate
            for certificate in backends.certificates()
            if certificate.common_name == domain and certificate.status == "PENDING_VALIDATION"
        ]
        if not found and domain:
            STATE.failing_domains[domain.lower()] = reason
    for certificate in found:
        fail(certificate, reason)
    return bool(found) or arn is None


def in_use_by(certificate: Any) -> list[str]:
    """ARNs of the load balancers that ACM counts as users.

    The association outlives the listener for a while (aws-facts 1.6).
    """
    progress = progress_of(certificate)
    users = backends.balancers_with_certificate(certificate.arn)
    if progress is None:
        return users
    lingering = [arn for arn, until in progress.released.items() if until > now()]
    return sorted({*users, *lingering})


def notice_users(certificate: Any) -> None:
    """Remembers who let go of a certificate, and when."""
    progress = progress_of(certificate)
    if progress is None:
        return
    users = set(backends.balancers_with_certificate(certificate.arn))
    for arn in progress.users - users:
        progress.released[arn] = now() + STATE.settings.interfaces_linger_for
    progress.users = users


def observe() -> None:
    """Brings all certificates up to date."""
    for certificate in backends.certificates():
        advance(certificate)
        notice_users(certificate)
