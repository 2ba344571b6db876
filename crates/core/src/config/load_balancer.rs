//! Reads the load balancer.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    AccessLogs, HttpMode, IpAddressType, LoadBalancerAttributes, LoadBalancerConfig, Scheme, attributes, checks,
    defaults,
    entry::Entry,
    reader::{Checked, Reader},
    site::{Surroundings, distinct, not_empty},
};
use crate::value::{CanonicalCidr, SubnetId};

/// Reads `[load_balancer]`.
pub(super) fn load_balancer(root: &mut Reader<'_>, surroundings: &Surroundings<'_>) -> Checked<LoadBalancerConfig> {
    let mut reader = root.table("load_balancer", "[load_balancer]")?;
    let scheme = reader.or("scheme", Scheme::InternetFacing, |entry| {
        entry.choice(&[
            ("internet-facing", Scheme::InternetFacing),
            ("internal", Scheme::Internal),
        ])
    });
    let ip_address_type = reader.or("ip_address_type", IpAddressType::Ipv4, |entry| {
        entry.choice(&[("ipv4", IpAddressType::Ipv4), ("dualstack", IpAddressType::Dualstack)])
    });
    let subnets = reader.optional("subnets", subnets);
    let tls_policy = reader.or("tls_policy", defaults::TLS_POLICY.to_owned(), checks::tls_policy);
    let http = http(&mut reader, surroundings);
    let allow_from = reader.optional("allow_from", |entry| {
        let list = entry.list("\"203.0.113.0/24\"")?;
        not_empty(
            entry,
            &list,
            "nobody could reach the site: name address ranges, or leave `allow_from` out to admit the world",
        )?;
        distinct(&list, checks::cidr)
    });
    // `aws-facts.md` 3
    let idle_timeout = reader.optional("idle_timeout", |entry| entry.seconds(1..=4000));
    let deletion_protection = reader.optional("deletion_protection", Entry::boolean);
    let drop_invalid_headers = reader.optional("drop_invalid_headers", Entry::boolean);
    let access_logs = access_logs(&mut reader);
    let others = reader.or("attributes", BTreeMap::new(), |entry| {
        attributes::attributes(
            entry,
            attributes::OF_LOAD_BALANCERS,
            "attributes = { \"routing.http2.enabled\" = \"false\" }",
        )
    });
    let hsts = reader.optional("hsts", attributes::hsts);
    let listener_attributes = reader.or("listener_attributes", BTreeMap::new(), |entry| {
        attributes::attributes(
            entry,
            attributes::OF_LISTENERS,
            "listener_attributes = { \"routing.http.response.server.enabled\" = \"false\" }",
        )
    });
    let web_acl = reader.optional("web_acl", |entry| attributes::web_acl(entry, surroundings));
    reader.finish();
    let ip_address_type = ip_address_type?;
    Ok(LoadBalancerConfig {
        scheme: scheme?,
        ip_address_type,
        subnets: subnets?,
        tls_policy: tls_policy?,
        http: http?,
        allow_from: allow_from?.unwrap_or_else(|| world(ip_address_type)),
        attributes: LoadBalancerAttributes {
            idle_timeout: idle_timeout?,
            deletion_protection: deletion_protection?,
            drop_invalid_headers: drop_invalid_headers?,
            access_logs: access_logs?,
            others: others?,
        },
        hsts: hsts?,
        listener_attributes: listener_attributes?,
        web_acl: web_acl?,
    })
}

/// Everybody who can reach a load balancer with these address families.
fn world(ip_address_type: IpAddressType) -> BTreeSet<CanonicalCidr> {
    match ip_address_type {
        IpAddressType::Ipv4 => BTreeSet::from([CanonicalCidr::WORLD_IPV4]),
        IpAddressType::Dualstack => BTreeSet::from([CanonicalCidr::WORLD_IPV4, CanonicalCidr::WORLD_IPV6]),
    }
}

fn subnets(entry: &Entry<'_>) -> Checked<BTreeSet<SubnetId>> {
    const EXAMPLE: &str = "\"subnet-0123456789abcdef0\", \"subnet-0fedcba9876543210\"";
    const HINT: &str =
        "name subnets of two availability zones or more, or leave `subnets` out to have public ones chosen";
    let list = entry.list(EXAMPLE)?;
    not_empty(entry, &list, HINT)?;
    let subnets = distinct(&list, |entry| {
        entry.parsed::<SubnetId>(EXAMPLE, "the id stands in the VPC's list of subnets")
    });
    if list.len() == 1 {
        return Err(entry.invalid(
            "a load balancer needs subnets of two availability zones, this is one",
            HINT,
        ));
    }
    subnets
}

fn http(reader: &mut Reader<'_>, surroundings: &Surroundings<'_>) -> Checked<HttpMode> {
    let Some(entry) = reader.take("http") else {
        return Ok(HttpMode::Closed);
    };
    let mode = entry.choice(&[("closed", HttpMode::Closed), ("redirect", HttpMode::Redirect)])?;
    let mut result = Ok(mode);
    if mode == HttpMode::Redirect {
        let redirect: Range<usize> = entry.span();
        let ports = surroundings.listen_ports.borrow();
        // The port that the redirect leads to: the default one, or the first in the file.
        let to = if surroundings.default_port.get() {
            Some(defaults::LISTEN_PORT)
        } else {
            let first = ports.iter().min_by_key(|(_, listen)| listen.span().start);
            first.map(|(port, _)| *port)
        };
        for (port, listen) in ports.iter() {
            if *port == defaults::HTTP_PORT {
                result = Err(listen.conflict(
                    format!(
                        "port {} of the load balancer is taken by the redirect to HTTPS",
                        defaults::HTTP_PORT
                    ),
                    "choose another port, or set `http = \"closed\"` in `[load_balancer]`",
                    (redirect.clone(), "the redirect"),
                ));
            } else if let Some(to) = to.filter(|to| to != port) {
                result = Err(listen.conflict(
                    format!(
                        "visitors are redirected to one port, but another site listens on {to} and this one on {port}"
                    ),
                    "let all sites listen on the same port, or set `http = \"closed\"` in `[load_balancer]`",
                    (redirect.clone(), "the redirect"),
                ));
            }
        }
    }
    result
}

fn access_logs(reader: &mut Reader<'_>) -> Checked<Option<AccessLogs>> {
    let mut logs = reader.table("access_logs", "access_logs = { bucket = \"my-logs\" }")?;
    let bucket = if logs.is_present() {
        logs.required("bucket", "\"my-logs\"", checks::bucket).map(Some)
    } else {
        logs.optional("bucket", checks::bucket)
    };
    let prefix = logs.optional("prefix", |entry| entry.filled("\"www\"").map(str::to_owned));
    logs.finish();
    let prefix = prefix?;
    Ok(bucket?.map(|bucket| AccessLogs { bucket, prefix }))
}
