//! What a file may hold, what is made of it, and what is said where it may not.

mod adopted;
mod attributes;
mod example;
mod refused;
mod refused_top;
mod rendered;
mod robust;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::*;
use crate::value::{CanonicalCidr, Seconds};

const SMALLEST: &str = r#"
region = "ap-northeast-1"

[site.www]
domain   = "www.example.com"
instance = "i-0123456789abcdef0"
health   = { path = "/" }
"#;

fn read(text: &str) -> Config {
    Config::read("reconcile.toml", text).unwrap_or_else(|errors| panic!("{}", render(&errors)))
}

fn errors(text: &str) -> ConfigErrors {
    match Config::read("reconcile.toml", text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => errors,
    }
}

/// The errors as a terminal shows them, without colour.
fn render(errors: &ConfigErrors) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(110);
    let mut text = String::new();
    for error in errors {
        handler.render_report(&mut text, error).unwrap();
    }
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The smallest file with more lines in its site.
fn with_site(lines: &str) -> String {
    format!("{SMALLEST}{lines}\n")
}

/// The one site of a file.
fn site(text: &str) -> Site {
    read(text).sites.into_values().next().unwrap()
}

#[test]
fn route_53_can_be_reached_by_a_way_of_its_own() {
    assert_eq!(read(SMALLEST).dns, Dns::default());
    let dns = |lines: &str| read(&format!("{SMALLEST}\n[dns]\n{lines}\n")).dns;
    let role = "role = \"arn:aws:iam::123456789012:role/dns\"";
    assert_eq!(dns("profile = \"dns\"").profile.as_deref(), Some("dns"));
    assert_eq!(dns(role).role.unwrap().external_id, None);
    let both = dns(&format!("external_id = \"a-1\"\nprofile = \"dns\"\n{role}"));
    let taken_on = both.role.unwrap();
    assert_eq!(both.profile.as_deref(), Some("dns"));
    assert_eq!(taken_on.arn.as_str(), "arn:aws:iam::123456789012:role/dns");
    assert_eq!(taken_on.external_id.as_deref(), Some("a-1"));
}

#[test]
fn the_smallest_file_gets_every_default() {
    let config = read(SMALLEST);
    assert_eq!(config.name.as_str(), "www-example-com");
    assert_eq!(config.region.unwrap().as_str(), "ap-northeast-1");
    assert!(config.tags.is_empty());
    let site = config.sites.values().next().unwrap();
    assert_eq!((site.listen_port, site.backend_port), (443, 443));
    assert_eq!(site.backend_protocol, Protocol::Https);
    let health = Health {
        protocol: Protocol::Https,
        port: None,
        path: "/".to_owned(),
        codes: "200".to_owned(),
        interval: Seconds::new(30),
        timeout: Seconds::new(5),
        healthy: 5,
        unhealthy: 2,
    };
    assert_eq!(site.health, health);
    let requested = CertificateSource::Requested {
        key_algorithm: KeyAlgorithm::Rsa2048,
    };
    assert_eq!(site.certificate, requested);
    assert_eq!(config.load_balancer.http, HttpMode::Closed);
    assert_eq!(config.load_balancer.attributes, LoadBalancerAttributes::default());
    assert!(config.load_balancer.allow_from.iter().eq(&[CanonicalCidr::WORLD_IPV4]));
    assert_eq!(config.prove.request, RequestProof::Require);
    assert!(config.lockdown.enabled);
}

#[test]
fn tables_may_be_written_in_every_way_that_toml_has() {
    let inline = with_site("ports = { listen = 8443, backend = 8080 }");
    let dotted = with_site("ports.listen = 8443\nports.backend = 8080");
    let header = with_site("[site.www.ports]\nlisten = 8443\nbackend = 8080");
    assert_eq!(read(&inline), read(&dotted));
    assert_eq!(read(&inline), read(&header));
    assert_eq!(site(&inline).backend_port, 8080);
}

#[test]
fn the_name_comes_from_the_domain_that_stands_first() {
    let two =
        "[site.z]\ndomain = 'z.example.com'\ninstance = 'i-1'\n[site.a]\ndomain = 'a.example.com'\ninstance = 'i-1'";
    assert_eq!(read(two).name.as_str(), "z-example-com");
    let of = |domain: &str| read(&SMALLEST.replace("www.example.com", domain)).name.to_string();
    assert_eq!(of("*.Example.com."), "example-com");
    assert_eq!(of("internal.example.com"), "site-internal-example-com");
    let long = of("a-rather-long-name.of-a-department.example.com");
    assert_eq!(long, "a-rather-long-name-of-a-b61ebf2d");
    assert!(long.len() <= defaults::MAX_STACK_NAME);
}

#[test]
fn the_health_check_speaks_what_the_backend_speaks_unless_told() {
    let http = with_site("backend = { protocol = \"HTTP\" }");
    assert_eq!(site(&http).health.protocol, Protocol::Http);
    let both = http.replace("path = \"/\"", "path = \"/\", protocol = \"HTTPS\", port = 8443");
    assert_eq!(site(&both).health.protocol, Protocol::Https);
    assert_eq!(site(&both).health.port, Some(8443));
    assert_eq!(site(&both.replace("8443", "\"traffic-port\"")).health.port, None);
}

#[test]
fn one_spelling_is_kept_of_what_can_be_spelt_in_many_ways() {
    let config = read(&with_site(
        "aliases = [\"Example.COM.\"]\n[load_balancer]\nallow_from = [\"203.0.113.9/24\", \"2001:DB8::1/32\"]",
    ));
    let one = config.sites.values().next().unwrap();
    let names: Vec<&str> = one.names().map(crate::value::DomainName::as_str).collect();
    assert_eq!(names, ["www.example.com", "example.com"]);
    let ranges: Vec<String> = config
        .load_balancer
        .allow_from
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ranges, ["203.0.113.0/24", "2001:db8::/32"]);
    let codes = SMALLEST.replace("path = \"/\"", "codes = \"200, 300 - 399\"");
    assert_eq!(site(&codes).health.codes, "200,300-399");
}

#[test]
fn the_world_has_both_families_where_the_load_balancer_has() {
    let config = read(&with_site("[load_balancer]\nip_address_type = \"dualstack\""));
    let world = [CanonicalCidr::WORLD_IPV4, CanonicalCidr::WORLD_IPV6];
    assert!(config.load_balancer.allow_from.iter().eq(&world));
}

#[test]
fn an_existing_certificate_is_used_as_it_is() {
    // Limits of what can be requested do not bind a certificate that exists.
    let long = format!("{}.example.com", "a".repeat(60));
    let text = with_site("certificate = \"arn:aws:acm:ap-northeast-1:123456789012:certificate/x\"");
    let site = site(&text.replace("www.example.com", &long));
    assert!(matches!(site.certificate, CertificateSource::Existing(arn) if arn.region() == "ap-northeast-1"));
}

#[test]
fn more_than_one_site_can_be_read() {
    let text =
        with_site("[site.api]\ndomain = \"api.example.com\"\ninstances = [\"i-1\", \"i-2\"]\nports.listen = 8443");
    assert_eq!(read(&text).sites.len(), 2);
}
