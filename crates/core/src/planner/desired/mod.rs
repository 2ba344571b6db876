//! What is wanted, as resources.

mod attributes;
pub(super) mod listeners;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    addresses::{
        certificate_address, load_balancer_address, record_address, security_group_address, target_address,
        target_group_address, web_acl_address,
    },
    foundation::Foundation,
    matching,
};
use crate::{
    config::{CertificateSource, Config, HttpMode, IpAddressType, Protocol, Scheme, Site, SiteName, defaults},
    naming,
    observed::{Observed, StoredAlias},
    resource::{
        Address, AliasRecord, AliasTarget, Certificate, HealthCheck, InstanceIngress, Kind, LoadBalancer, Output, Peer,
        PortClosure, RecordData, RecordType, Ref, Rule, SecurityGroup, Spec, Tags, Target, TargetGroup,
        ValidationRecord, WebAclAssociation,
    },
    state::State,
    value::{DomainName, SecurityGroupId, VpcId},
};

/// What is wanted by address. Closures are not among them: which groups they are about depends on what is observed.
pub(super) type Desired = BTreeMap<Address, Spec>;

/// The names that need a validation record of their own: a wildcard shares its parent's (`aws-facts.md` 1.3).
pub(super) fn validated_names(site: &Site) -> BTreeSet<DomainName> {
    site.names().map(DomainName::without_wildcard).collect()
}

/// The ports of an instance that the load balancer connects to.
pub(super) fn backend_ports(site: &Site) -> BTreeSet<u16> {
    std::iter::once(site.backend_port).chain(site.health.port).collect()
}

/// Collects what is wanted, with the tags of each.
pub(super) struct Builder<'a> {
    config: &'a Config,
    desired: Desired,
}

impl Builder<'_> {
    fn add(&mut self, address: Address, make: impl FnOnce(Tags) -> Spec) {
        let mut tags = self.config.tags.clone();
        tags.extend(naming::ownership(&self.config.name, &address));
        self.desired.insert(address, make(tags));
    }
}

/// The name of the load balancer's security group.
pub(super) fn security_group_name(config: &Config, vpc: &VpcId) -> String {
    naming::name(&config.name, "alb", &[vpc.as_str()])
}

/// The name of the load balancer.
pub(super) fn load_balancer_name(config: &Config, vpc: &VpcId) -> String {
    load_balancer_name_for(config, config.load_balancer.scheme, vpc)
}

fn load_balancer_name_for(config: &Config, scheme: Scheme, vpc: &VpcId) -> String {
    naming::name(&config.name, "alb", &[&format!("{scheme:?}"), vpc.as_str()])
}

/// The name of the target group of a site.
pub(super) fn target_group_name(config: &Config, name: &SiteName, site: &Site, vpc: &VpcId) -> String {
    let balancer = load_balancer_name(config, vpc);
    target_group_name_behind(config, name, &balancer, site.backend_protocol, site.backend_port, vpc)
}

fn target_group_name_behind(
    config: &Config,
    name: &SiteName,
    balancer: &str,
    protocol: Protocol,
    port: u16,
    vpc: &VpcId,
) -> String {
    // A target group belongs to one load balancer only (`aws-facts.md` 2.1): a new one needs a new group.
    let immutable = [vpc.as_str(), &format!("{protocol:?}"), &port.to_string(), balancer];
    naming::name(&config.name, name.as_str(), &immutable)
}

/// Whether a target group has the name that the stack gives to one behind a load balancer of the other scheme.
pub(super) fn is_named_for_other_scheme(config: &Config, group: &TargetGroup) -> bool {
    let other = match config.load_balancer.scheme {
        Scheme::InternetFacing => Scheme::Internal,
        Scheme::Internal => Scheme::InternetFacing,
    };
    let balancer = load_balancer_name_for(config, other, &group.vpc);
    config.sites.keys().any(|name| {
        group.name == target_group_name_behind(config, name, &balancer, group.protocol, group.port, &group.vpc)
    })
}

/// Everything that the configuration asks for. What stands there is looked at only for choices that should stay as they
/// are: the default certificate and the priorities of rules.
pub(super) fn desired(config: &Config, foundation: &Foundation, observed: &Observed, state: &State) -> Desired {
    let mut builder = Builder {
        config,
        desired: Desired::new(),
    };
    let load_balancer = load_balancer_address();
    let security_group = security_group_address();
    let (ip_address_type, kept_rules) = if keeps_ipv6(config, observed, state) {
        (IpAddressType::Dualstack, ipv6_rules(config, observed, state))
    } else {
        (config.load_balancer.ip_address_type, BTreeSet::new())
    };
    builder.add(security_group.clone(), |tags| {
        let mut group = group(config, foundation, tags);
        group.ingress.extend(kept_rules.iter().cloned());
        Spec::SecurityGroup(group)
    });
    let scheme = config.load_balancer.scheme;
    let load_balancer_name = load_balancer_name(config, &foundation.vpc);
    builder.add(load_balancer.clone(), |tags| {
        Spec::LoadBalancer(LoadBalancer {
            name: load_balancer_name.clone(),
            scheme,
            vpc: foundation.vpc.clone(),
            ip_address_type,
            subnets: foundation.subnets.clone(),
            security_group: Ref::id_of(&security_group),
            attributes: attributes::of_load_balancer(&config.load_balancer.attributes),
            tags,
        })
    });
    if let Some(web_acl) = &config.load_balancer.web_acl {
        builder.add(web_acl_address(), |_| {
            Spec::WebAclAssociation(WebAclAssociation {
                load_balancer: Ref::id_of(&load_balancer),
                web_acl: web_acl.clone(),
            })
        });
    }
    for (name, site) in &config.sites {
        certificate(name, site, foundation, &mut builder);
        targets(name, site, foundation, &mut builder);
        for host in site.names() {
            let Some(zone) = foundation.zones.get(host) else {
                continue;
            };
            builder.add(record_address(host), |_| {
                Spec::AliasRecord(AliasRecord {
                    zone: zone.clone(),
                    name: host.clone(),
                    records: alias_records(config.load_balancer.ip_address_type, &load_balancer),
                })
            });
        }
    }
    listeners::add(config, foundation, observed, state, &mut builder);
    builder.desired
}

/// A requested certificate with the records that validate it.
fn certificate(name: &SiteName, site: &Site, foundation: &Foundation, builder: &mut Builder<'_>) {
    let CertificateSource::Requested { key_algorithm } = &site.certificate else {
        return;
    };
    let address = certificate_address(name);
    builder.add(address.clone(), |tags| {
        Spec::Certificate(Certificate {
            domain: Some(site.domain.clone()),
            names: site.names().cloned().collect(),
            key_algorithm: *key_algorithm,
            tags,
        })
    });
    for validated in validated_names(site) {
        let Some(zone) = site
            .names()
            .find(|name| name.without_wildcard() == validated)
            .and_then(|name| foundation.zones.get(name))
        else {
            continue;
        };
        let output = |output| Ref::Of(address.clone(), output);
        builder.add(Address::new(Kind::ValidationRecord, validated.as_str()), |_| {
            Spec::ValidationRecord(ValidationRecord {
                zone: zone.clone(),
                name: output(Output::ValidationName(validated.clone())),
                value: output(Output::ValidationValue(validated.clone())),
            })
        });
    }
}

/// The target group of a site with the instances in it, and the rules that admit the load balancer to them.
fn targets(name: &SiteName, site: &Site, foundation: &Foundation, builder: &mut Builder<'_>) {
    let target_group = target_group_address(name);
    let group_name = target_group_name(builder.config, name, site, &foundation.vpc);
    builder.add(target_group.clone(), |tags| {
        Spec::TargetGroup(TargetGroup {
            name: group_name,
            protocol: site.backend_protocol,
            port: site.backend_port,
            vpc: foundation.vpc.clone(),
            health: HealthCheck {
                protocol: site.health.protocol,
                port: site
                    .health
                    .port
                    .map_or_else(|| "traffic-port".to_owned(), |port| port.to_string()),
                path: site.health.path.clone(),
                codes: site.health.codes.clone(),
                interval: site.health.interval,
                timeout: site.health.timeout,
                healthy: site.health.healthy,
                unhealthy: site.health.unhealthy,
            },
            attributes: attributes::of_target_group(site),
            tags,
        })
    });
    for instance in &site.instances {
        builder.add(target_address(name, instance), |_| {
            Spec::Target(Target {
                target_group: Ref::id_of(&target_group),
                instance: instance.clone(),
                port: site.backend_port,
            })
        });
        let Some(group) = foundation.ingress_groups.get(instance) else {
            continue;
        };
        for port in backend_ports(site) {
            builder.add(Address::new(Kind::InstanceIngress, format!("{group}.{port}")), |tags| {
                Spec::InstanceIngress(InstanceIngress {
                    group: group.clone(),
                    port,
                    source: Ref::id_of(&security_group_address()),
                    tags,
                })
            });
        }
    }
}

/// Whether the load balancer keeps its IPv6 addresses although the configuration asks for none: records lead visitors to
/// them, and these have to be gone first, and forgotten.
pub(super) fn keeps_ipv6(config: &Config, observed: &Observed, state: &State) -> bool {
    let standing = matching::standing(config, observed, state, &load_balancer_address());
    let Some(standing) = standing else { return false };
    let is_dualstack =
        matches!(&standing.spec, Spec::LoadBalancer(it) if it.ip_address_type == IpAddressType::Dualstack);
    let dns_name = standing.outputs.get(&Output::DnsName);
    config.load_balancer.ip_address_type == IpAddressType::Ipv4
        && is_dualstack
        && observed.record_sets.iter().any(|set| {
            let alias = set.alias.as_ref().map(|alias| StoredAlias::normal_name(&alias.name));
            set.record_type == RecordType::Aaaa.as_str() && alias.is_some() && alias.as_ref() == dns_name
        })
}

/// The rules of the load balancer's group that admit visitors by IPv6.
fn ipv6_rules(config: &Config, observed: &Observed, state: &State) -> BTreeSet<Rule> {
    match matching::standing(config, observed, state, &security_group_address()).map(|actual| &actual.spec) {
        Some(Spec::SecurityGroup(group)) => group
            .ingress
            .iter()
            .filter(|rule| matches!(&rule.peer, Peer::Cidr(cidr) if !cidr.is_ipv4()))
            .cloned()
            .collect(),
        _ => BTreeSet::new(),
    }
}

fn alias_records(ip_address_type: IpAddressType, load_balancer: &Address) -> BTreeMap<RecordType, RecordData> {
    let types: &[RecordType] = match ip_address_type {
        IpAddressType::Ipv4 => &[RecordType::A],
        IpAddressType::Dualstack => &[RecordType::A, RecordType::Aaaa],
    };
    let alias = AliasTarget {
        name: Ref::Of(load_balancer.clone(), Output::DnsName),
        zone: Ref::Of(load_balancer.clone(), Output::ZoneId),
        // With one simple record there is no other answer to give (`aws-facts.md` 5.4).
        evaluate_target_health: false,
        stored_name: None,
    };
    types
        .iter()
        .map(|record_type| {
            (
                *record_type,
                RecordData {
                    ttl: None,
                    values: Vec::new(),
                    alias: Some(alias.clone()),
                },
            )
        })
        .collect()
}

fn group(config: &Config, foundation: &Foundation, tags: Tags) -> SecurityGroup {
    let http = (config.load_balancer.http == HttpMode::Redirect).then_some(defaults::HTTP_PORT);
    let listen: BTreeSet<u16> = config.sites.values().map(|site| site.listen_port).chain(http).collect();
    let dual = config.load_balancer.ip_address_type == IpAddressType::Dualstack;
    let sources = config
        .load_balancer
        .allow_from
        .iter()
        .filter(|cidr| dual || cidr.is_ipv4());
    let ingress = sources
        .flat_map(|cidr| listen.iter().map(|port| Rule::tcp(*port, Peer::Cidr(*cidr))))
        .collect();
    let egress = config
        .sites
        .values()
        .flat_map(|site| {
            let ports = backend_ports(site);
            site.instances
                .iter()
                .filter_map(|instance| foundation.ingress_groups.get(instance))
                .flat_map(move |group| {
                    ports
                        .clone()
                        .into_iter()
                        .map(|port| Rule::tcp(port, Peer::Group(group.clone())))
                })
        })
        .collect();
    SecurityGroup {
        name: security_group_name(config, &foundation.vpc),
        description: format!("reconcile: load balancer of {}", config.name),
        vpc: foundation.vpc.clone(),
        ingress,
        egress,
        tags,
    }
}

/// The closure of a group in which nothing is open any more.
pub(super) fn closed(group: &SecurityGroupId) -> Spec {
    Spec::PortClosure(PortClosure {
        group: group.clone(),
        open: BTreeMap::new(),
        descriptions: BTreeMap::new(),
    })
}
