//! Attributes of target groups, load balancers and listeners, the HSTS header and the web ACL.

use super::{refused::refused, *};

/// The smallest file with more lines in the load balancer.
fn with_load_balancer(lines: &str) -> String {
    with_site(&format!("[load_balancer]\n{lines}"))
}

/// Checks that `line` in the load balancer is refused.
fn refused_line(line: &str, key: &str, marked: &str, message: &str) {
    refused(
        &with_load_balancer(line),
        &[(&format!("load_balancer.{key}"), marked, message)],
    );
}

#[test]
fn attributes_of_target_groups_have_aws_limits() {
    let site = site(&with_site(
        "deregistration_delay = \"0s\"\nstickiness = \"168h\"\nslow_start = \"15m\"",
    ));
    assert_eq!(site.deregistration_delay, Some(Seconds::new(0)));
    assert_eq!(site.stickiness, Some(Seconds::new(604_800)));
    assert_eq!(site.slow_start, Some(Seconds::new(900)));
    for (line, key, marked, message) in [
        (
            "deregistration_delay = \"2h\"",
            "deregistration_delay",
            "\"2h\"",
            "from 0s to 1h",
        ),
        (
            "deregistration_delay = 30",
            "deregistration_delay",
            "30",
            "has to be a duration",
        ),
        ("stickiness = \"169h\"", "stickiness", "\"169h\"", "from 0s to 168h"),
        (
            "slow_start = \"29s\"",
            "slow_start",
            "\"29s\"",
            "`0s`, or from 30s to 900s",
        ),
        ("slow_start = \"901s\"", "slow_start", "\"901s\"", "from 0s to 900s"),
    ] {
        refused(&with_site(line), &[(&format!("site.www.{key}"), marked, message)]);
    }
    assert_eq!(
        self::site(&with_site("slow_start = \"0s\"")).slow_start,
        Some(Seconds::new(0))
    );
}

#[test]
fn attributes_are_taken_by_the_keys_that_aws_has() {
    let quoted = read(&with_load_balancer(
        "attributes.\"routing.http2.enabled\" = \"false\"\nlistener_attributes.\"a.b_c\" = \"\"",
    ));
    let bare = read(&with_load_balancer(
        "attributes.routing.http2.enabled = \"false\"\nlistener_attributes.a.b_c = \"\"",
    ));
    assert_eq!(quoted, bare);
    let attributes = &quoted.load_balancer.attributes.others;
    assert_eq!(
        attributes.get("routing.http2.enabled").map(String::as_str),
        Some("false")
    );
    assert_eq!(
        quoted
            .load_balancer
            .listener_attributes
            .get("a.b_c")
            .map(String::as_str),
        Some("")
    );
}

#[test]
fn attributes_that_have_a_setting_of_their_own_or_cannot_be() {
    let long = format!("\"{}\"", "a".repeat(257));
    let long_value = format!("\"{}\"", "v".repeat(1025));
    for (line, key, marked, message) in [
        (
            "attributes.\"idle_timeout.timeout_seconds\" = \"60\"",
            "attributes.idle_timeout.timeout_seconds",
            "\"idle_timeout.timeout_seconds\"",
            "has a setting of its own: `idle_timeout`",
        ),
        (
            "listener_attributes.\"routing.http.response.strict_transport_security.header_value\" = \"max-age=1\"",
            "listener_attributes.routing.http.response.strict_transport_security.header_value",
            "\"routing.http.response.strict_transport_security.header_value\"",
            "has a setting of its own: `hsts`",
        ),
        (
            "attributes.\"a b\" = \"\"",
            "attributes.a b",
            "\"a b\"",
            "is not the key of an attribute",
        ),
        (
            &format!("attributes.{long} = \"\""),
            &format!("attributes.{}", "a".repeat(257)),
            &long,
            "1 to 256",
        ),
        ("attributes.a = true", "attributes.a", "true", "has to be text"),
        ("attributes.a = \"é\"", "attributes.a", "\"é\"", "cannot hold `é`"),
        (
            &format!("attributes.a = {long_value}"),
            "attributes.a",
            &long_value,
            "at most 1024 characters",
        ),
        ("attributes = \"a\"", "attributes", "\"a\"", "has to be a table"),
    ] {
        refused_line(line, key, marked, message);
    }
    refused_line(
        "attributes.a.b = \"1\"\nattributes.\"a.b\" = \"2\"",
        "attributes.a.b",
        "\"2\"",
        "`a.b` is set twice",
    );
}

#[test]
fn hsts_is_checked_and_kept_in_one_spelling() {
    let of = |value: &str| {
        read(&with_load_balancer(&format!("hsts = \"{value}\"")))
            .load_balancer
            .hsts
    };
    assert_eq!(of("max-age=31536000").as_deref(), Some("max-age=31536000"));
    assert_eq!(
        of("Max-Age = 063072000 ;PRELOAD;includesubdomains").as_deref(),
        Some("max-age=63072000; includeSubDomains; preload")
    );
    for (value, message) in [
        ("includeSubDomains", "does not begin with `max-age=NUMBER`"),
        ("includeSubDomains; max-age=1", "does not begin with `max-age=NUMBER`"),
        ("max-age=a year", "`a year` is not a number of seconds"),
        ("max-age=", "is not a number of seconds"),
        ("max-age=99999999999", "is not a number of seconds"),
        ("max-age=1;", "nothing behind a `;`"),
        ("max-age=1; always", "`always` is no directive"),
        ("max-age=1; includeSubDomains; includesubdomains", "stands twice"),
        ("max-age=86400; preload", "only with `includeSubDomains`"),
        ("", "is empty"),
    ] {
        refused_line(&format!("hsts = \"{value}\""), "hsts", &format!("\"{value}\""), message);
    }
    let errors = errors(&with_load_balancer("hsts = \"31536000\""));
    assert!(errors.iter().next().unwrap().hint().contains("nothing takes it back"));
}

#[test]
fn a_web_acl_is_regional_and_of_the_same_region() {
    let arn = "arn:aws:wafv2:ap-northeast-1:123456789012:regional/webacl/web/0123";
    let config = read(&with_load_balancer(&format!("web_acl = \"{arn}\"")));
    assert_eq!(config.load_balancer.web_acl.as_deref(), Some(arn));
    for (arn, message) in [
        ("web", "`web` is not an ARN"),
        (
            "arn:aws:wafv2:us-east-1:123456789012:global/webacl/web/0123",
            "for CloudFront",
        ),
        (
            "arn:aws:waf-regional:ap-northeast-1:123456789012:webacl/0123",
            "Classic",
        ),
        (
            "arn:aws:wafv2:ap-northeast-1:123456789012:regional/ipset/a/1",
            "not the ARN of a web ACL",
        ),
        (
            "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/web/0123",
            "lies in `us-east-1`, the load balancer in `ap-northeast-1`",
        ),
    ] {
        refused_line(
            &format!("web_acl = \"{arn}\""),
            "web_acl",
            &format!("\"{arn}\""),
            message,
        );
    }
}

#[test]
fn a_redirect_leads_to_one_port() {
    let two = |first: &str, second: &str| {
        with_site(&format!(
            "{first}\n[site.api]\ndomain = \"api.example.com\"\ninstance = \"i-1\"\n{second}\n\
             [load_balancer]\nhttp = \"redirect\""
        ))
    };
    read(&two("ports.listen = 8443", "ports.listen = 8443"));
    read(&two("", "ports.listen = 443"));
    for (first, second, key, marked) in [
        ("ports.listen = 8443", "", "site.www.ports.listen", "8443"),
        ("", "ports.listen = 8443", "site.api.ports.listen", "8443"),
        (
            "ports.listen = 8443",
            "ports.listen = 9443",
            "site.api.ports.listen",
            "9443",
        ),
    ] {
        let text = two(first, second);
        refused(&text, &[(key, marked, "visitors are redirected to one port")]);
        assert!(render(&errors(&text)).contains("the redirect"));
        read(&text.replace("redirect", "closed"));
    }
}
