"""Listeners, rules and certificates in use, as AWS documents them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from conftest import Emulator, eventually, refused
from scene import Site, build_site, issued_certificate, unique

POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
REDIRECT = {
    "Type": "redirect",
    "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
}


@pytest.fixture(scope="module")
def built(shared_emulator: Emulator) -> Site:
    return build_site(shared_emulator)


@pytest.fixture
def site(emulator: Emulator, built: Site) -> Site:
    return built


@pytest.fixture
def balancer(site: Site) -> str:
    return str(site.balancer()["LoadBalancerArn"])


@pytest.fixture
def group(site: Site) -> str:
    return site.group()


@pytest.fixture
def certificate(emulator: Emulator) -> str:
    return issued_certificate(emulator, f"{unique('c')}.example.com")


def https(site: Site, balancer: str, group: str, certificate: str, **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "Protocol": "HTTPS",
        "Port": 443,
        "Certificates": [{"CertificateArn": certificate}],
        "SslPolicy": POLICY,
        **more,
    }
    return site.listener(balancer, group, **values)


def test_forward_is_enriched(site: Site, balancer: str, group: str, certificate: str) -> None:
    created = https(site, balancer, group, certificate)
    described = site.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
    assert described == [created]
    assert created["SslPolicy"] == POLICY and "AlpnPolicy" not in created
    assert created["Certificates"] == [{"CertificateArn": certificate}]
    action = created["DefaultActions"][0]
    assert action["TargetGroupArn"] == group
    assert action["ForwardConfig"] == {
        "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
        "TargetGroupStickinessConfig": {"Enabled": False},
    }


def test_several_groups_have_no_single_arn(site: Site, balancer: str, group: str) -> None:
    other = site.group()
    tuples = [
        {"TargetGroupArn": group, "Weight": 1},
        {"TargetGroupArn": other, "Weight": 0},
    ]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}
    created = site.listener(balancer, group, DefaultActions=[action])
    assert "TargetGroupArn" not in created["DefaultActions"][0]
    assert created["DefaultActions"][0]["ForwardConfig"]["TargetGroups"] == tuples


def test_redirect_defaults_and_no_policy_on_http(site: Site, balancer: str, group: str) -> None:
    created = site.listener(balancer, group, DefaultActions=[REDIRECT])
    assert created["DefaultActions"][0]["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    }
    assert "SslPolicy" not in created and "Certificates" not in created


def test_redirects_that_cannot_be(site: Site, balancer: str, group: str, certificate: str) -> None:
    loop = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}
    refused(
        "InvalidLoadBalancerAction", lambda: site.listener(balancer, group, DefaultActions=[loop])
    )
    down = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTP", "StatusCode": "HTTP_301"}}
    refused(
        "InvalidLoadBalancerAction",
        lambda: https(site, balancer, group, certificate, DefaultActions=[down]),
    )


def test_pending_certificate(emulator: Emulator, site: Site, balancer: str, group: str) -> None:
    pending = emulator.client("acm").request_certificate(
        DomainName=f"{unique('p')}.example.com", ValidationMethod="DNS"
    )["CertificateArn"]
    message = refused("UnsupportedCertificate", lambda: https(site, balancer, group, pending))
    assert "must have a fully-qualified domain name" in message


def test_freshly_issued_certificate(emulator: Emulator, site: Site) -> None:
    balancer, group = str(site.balancer()["LoadBalancerArn"]), site.group()
    created = time.monotonic()
    certificate = issued_certificate(emulator, f"{unique('f')}.example.com")
    # The certificate is fresh then, the load balancer is not.
    emulator.control("PUT", "settings", {"fresh_unknown_for": (time.monotonic() - created) * 0.7})
    refused("CertificateNotFound", lambda: https(site, balancer, group, certificate))

    def known() -> bool:
        try:
            return bool(https(site, balancer, group, certificate))
        except site.elb.exceptions.CertificateNotFoundException:
            return False

    eventually(known)


def test_certificates_that_cannot_be(
    emulator: Emulator, site: Site, balancer: str, group: str, certificate: str
) -> None:
    def create(**more: Any) -> Any:
        return https(site, balancer, group, certificate, **more)

    refused("ValidationError", lambda: create(Certificates=[]))
    elsewhere = certificate.replace("ap-northeast-1", "us-east-1")
    unknown = certificate[:-6] + "000000"
    for arn in (elsewhere, unknown):
        refused(
            "CertificateNotFound", lambda arn=arn: create(Certificates=[{"CertificateArn": arn}])
        )
    refused("ValidationError", lambda: create(Certificates=[{"CertificateArn": "junk"}]))
    two = [{"CertificateArn": certificate}] * 2
    refused("TooManyCertificates", lambda: create(Certificates=two))
    marked = [{"CertificateArn": certificate, "IsDefault": True}]
    refused("ValidationError", lambda: create(Certificates=marked))
    refused(
        "ValidationError",
        lambda: site.listener(balancer, group, Certificates=[{"CertificateArn": certificate}]),
    )


def test_policies(site: Site, balancer: str, group: str, certificate: str) -> None:
    refused("SSLPolicyNotFound", lambda: https(site, balancer, group, certificate, SslPolicy="no"))
    names = {one["Name"] for one in site.elb.describe_ssl_policies()["SslPolicies"]}
    assert {
        POLICY,
        "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        "ELBSecurityPolicy-TLS13-1-3-2021-06",
        "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
        "ELBSecurityPolicy-2016-08",
    } <= names
    refused("SSLPolicyNotFound", site.elb.describe_ssl_policies, Names=["no"])
    values = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": certificate}]}
    assert site.listener(balancer, group, **values)["SslPolicy"] == "ELBSecurityPolicy-2016-08"


def test_one_listener_per_port(site: Site, balancer: str, group: str) -> None:
    first = site.listener(balancer, group)
    assert site.listener(balancer, group)["ListenerArn"] == first["ListenerArn"]
    refused("DuplicateListener", lambda: site.listener(balancer, group, DefaultActions=[REDIRECT]))


def test_group_limits(site: Site, balancer: str, group: str) -> None:
    site.listener(balancer, group)
    other = site.balancer()["LoadBalancerArn"]
    refused("TargetGroupAssociationLimit", lambda: site.listener(other, group))
    refused("TargetGroupNotFound", lambda: site.listener(other, group + "0"))
    refused("LoadBalancerNotFound", lambda: site.listener(balancer + "0", group))
    refused("ValidationError", lambda: site.listener(other, site.group(), Protocol="TCP"))


def test_modify_is_a_patch(site: Site, balancer: str, group: str, certificate: str) -> None:
    arn = https(site, balancer, group, certificate)["ListenerArn"]

    def modify(**changes: Any) -> dict[str, Any]:
        return dict(site.elb.modify_listener(ListenerArn=arn, **changes)["Listeners"][0])

    changed = modify(SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")
    assert changed["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert changed["Certificates"] == [{"CertificateArn": certificate}]
    refused("SSLPolicyNotFound", lambda: modify(SslPolicy="no"))
    other = site.group()
    changed = modify(DefaultActions=[{"Type": "forward", "TargetGroupArn": other}])
    assert changed["DefaultActions"][0]["TargetGroupArn"] == other
    changed = modify(Port=8443)
    assert changed["Port"] == 8443 and changed["ListenerArn"] == arn
    plain = modify(Protocol="HTTP", Port=80)
    assert "Certificates" not in plain and "SslPolicy" not in plain
    refused("ValidationError", lambda: modify(Protocol="HTTPS"))
    secure = modify(Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])
    assert secure["Certificates"] == [{"CertificateArn": certificate}]


def test_modify_keeps_ports_apart(site: Site, balancer: str, group: str) -> None:
    site.listener(balancer, group)
    second = site.listener(balancer, group, Port=81)["ListenerArn"]
    refused("DuplicateListener", site.elb.modify_listener, ListenerArn=second, Port=80)


def test_extra_certificates(
    emulator: Emulator, site: Site, balancer: str, group: str, certificate: str
) -> None:
    arn = https(site, balancer, group, certificate)["ListenerArn"]
    extra = issued_certificate(emulator, f"{unique('x')}.example.com")
    for _ in range(2):
        site.elb.add_listener_certificates(
            ListenerArn=arn, Certificates=[{"CertificateArn": extra}]
        )
    listed = site.elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
    assert [(one["CertificateArn"], one["IsDefault"]) for one in listed] == [
        (certificate, True),
        (extra, False),
    ]
    described = site.elb.describe_listeners(ListenerArns=[arn])["Listeners"][0]
    assert described["Certificates"] == [{"CertificateArn": certificate}]
    refused(
        "OperationNotPermitted",
        site.elb.remove_listener_certificates,
        ListenerArn=arn,
        Certificates=[{"CertificateArn": certificate}],
    )


def test_certificate_in_use(
    emulator: Emulator, site: Site, balancer: str, group: str, certificate: str
) -> None:
    acm = emulator.client("acm")
    https(site, balancer, group, certificate)
    described = acm.describe_certificate(CertificateArn=certificate)["Certificate"]
    assert described["InUseBy"] == [balancer]
    assert described["RenewalEligibility"] == "ELIGIBLE"
    refused("ResourceInUseException", acm.delete_certificate, CertificateArn=certificate)
    site.elb.delete_load_balancer(LoadBalancerArn=balancer)
    # The association outlives the load balancer for a moment.
    refused("ResourceInUseException", acm.delete_certificate, CertificateArn=certificate)

    def unused() -> bool:
        return not acm.describe_certificate(CertificateArn=certificate)["Certificate"]["InUseBy"]

    eventually(unused)
    acm.delete_certificate(CertificateArn=certificate)


def test_pages_of_listeners(site: Site, balancer: str, group: str) -> None:
    for port in (80, 81, 82):
        site.listener(balancer, group, Port=port)
    first = site.elb.describe_listeners(LoadBalancerArn=balancer, PageSize=2)
    rest = site.elb.describe_listeners(
        LoadBalancerArn=balancer, PageSize=2, Marker=first["NextMarker"]
    )
    ports = [one["Port"] for one in first["Listeners"] + rest["Listeners"]]
    assert ports == [80, 81, 82] and "NextMarker" not in rest


def test_the_certificate_list(
    emulator: Emulator, site: Site, balancer: str, group: str, certificate: str
) -> None:
    arn = https(site, balancer, group, certificate)["ListenerArn"]
    extra = issued_certificate(emulator, f"{unique('x')}.example.com")

    def add(certificate: str, listener: str = arn) -> None:
        site.elb.add_listener_certificates(
            ListenerArn=listener, Certificates=[{"CertificateArn": certificate}]
        )

    def remove(certificate: str) -> None:
        site.elb.remove_listener_certificates(
            ListenerArn=arn, Certificates=[{"CertificateArn": certificate}]
        )

    def listed() -> list[tuple[str, bool]]:
        answer = site.elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]
        return [(one["CertificateArn"], one["IsDefault"]) for one in answer]

    # One that is default and in the list appears twice, and only the second can go.
    add(certificate)
    add(extra)
    assert listed() == [(certificate, True), (certificate, False), (extra, False)]
    remove(certificate)
    remove(certificate[:-6] + "000000")
    assert listed() == [(certificate, True), (extra, False)]

    # The list stays when the default changes.
    site.elb.modify_listener(ListenerArn=arn, Certificates=[{"CertificateArn": extra}])
    assert listed() == [(extra, True), (extra, False)]

    pending = emulator.client("acm").request_certificate(
        DomainName=f"{unique('p')}.example.com", ValidationMethod="DNS"
    )["CertificateArn"]
    refused("UnsupportedCertificate", add, certificate=pending)
    refused("CertificateNotFound", add, certificate=certificate[:-6] + "000000")
    plain = site.listener(balancer, group)["ListenerArn"]
    refused("ValidationError", add, certificate=extra, listener=plain)


def test_a_listed_certificate_is_in_use(
    emulator: Emulator, site: Site, balancer: str, group: str, certificate: str
) -> None:
    acm = emulator.client("acm")
    arn = https(site, balancer, group, certificate)["ListenerArn"]
    extra = issued_certificate(emulator, f"{unique('x')}.example.com")
    listed = [{"CertificateArn": extra}]

    def described() -> Any:
        return acm.describe_certificate(CertificateArn=extra)["Certificate"]

    assert described()["RenewalEligibility"] == "INELIGIBLE"
    site.elb.add_listener_certificates(ListenerArn=arn, Certificates=listed)
    assert described()["InUseBy"] == [balancer]
    assert described()["RenewalEligibility"] == "ELIGIBLE"
    refused("ResourceInUseException", acm.delete_certificate, CertificateArn=extra)
    site.elb.remove_listener_certificates(ListenerArn=arn, Certificates=listed)
    # The association lingers here too.
    refused("ResourceInUseException", acm.delete_certificate, CertificateArn=extra)
    eventually(lambda: not described()["InUseBy"])
    acm.delete_certificate(CertificateArn=extra)


def test_attributes_of_listeners(
    site: Site, balancer: str, group: str, certificate: str
) -> None:
    secure = https(site, balancer, group, certificate)["ListenerArn"]
    plain = site.listener(balancer, group)["ListenerArn"]
    hsts = "routing.http.response.strict_transport_security.header_value"
    server = "routing.http.response.server.enabled"

    def attributes(arn: str) -> dict[str, str]:
        answer = site.elb.describe_listener_attributes(ListenerArn=arn)
        return {one["Key"]: one.get("Value", "") for one in answer["Attributes"]}

    def modify(key: str, value: str, arn: str = secure) -> dict[str, str]:
        answer = site.elb.modify_listener_attributes(
            ListenerArn=arn, Attributes=[{"Key": key, "Value": value}]
        )
        return {one["Key"]: one.get("Value", "") for one in answer["Attributes"]}

    assert attributes(secure)[server] == "true" and attributes(secure)[hsts] == ""
    renamed = "routing.http.request.x_amzn_tls_version.header_name"
    assert attributes(secure)[renamed] == "X-Amzn-Tls-Version"
    assert renamed not in attributes(plain)
    assert len(attributes(plain)) == 11

    value = "max-age=31536000; includeSubDomains; preload"
    assert modify(hsts, value)[hsts] == value
    assert modify(server, "false")[hsts] == value
    assert attributes(secure) == modify(server, "false")
    assert modify(hsts, "")[hsts] == ""
    refused("ValidationError", modify, key="no.such.key", value="1")
    refused("ValidationError", modify, key=renamed, value="X-Version", arn=plain)
    for key, wrong in ((hsts, "forever"), (server, "no")):
        refused("InvalidConfigurationRequest", modify, key=key, value=wrong)


def test_missing_listener(site: Site, balancer: str, group: str) -> None:
    arn = site.listener(balancer, group)["ListenerArn"]
    site.elb.delete_listener(ListenerArn=arn)
    refused("ListenerNotFound", site.elb.delete_listener, ListenerArn=arn)
    refused("ListenerNotFound", site.elb.modify_listener, ListenerArn=arn, Port=81)
