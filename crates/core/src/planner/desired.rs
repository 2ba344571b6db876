//! What is wanted, as resources.

use std::collections::{BTreeMap, BTreeSet};

use super::foundation::Foundation;
use crate::{
    config::{
        CertificateSource, Config, HttpMode, IpAddressType, LoadBalancerAttributes, Protocol, Site, SiteName, defaults,
    },
    naming,
    resource::{
        Address, AliasRecord, AliasTarget, Certificate, DefaultAction, HealthCheck, InstanceIngress, Kind, Listener,
        LoadBalancer, Output, Peer, PortClosure, RecordData, RecordType, Ref, Rule, SecurityGroup, Spec, Tags, Target,
        TargetGroup, ValidationRecord,
    },
    value::{DomainName, InstanceId, SecurityGroupId},
};

/// What is wanted by address. Closures are not among them: which groups they are about depends on what is observed.
pub(super) type Desired = BTreeMap<Address, Spec>;

/// The address of the load balancer.
pub(crate) fn load_balancer_address() -> Address {
    Address::new(Kind::LoadBalancer, "main")
}

/// The address of the load balancer's security group.
pub(super) fn security_group_address() -> Address {
    Address::new(Kind::SecurityGroup, "load_balancer")
}

/// The address of the certificate of a site.
pub(crate) fn certificate_address(site: &SiteName) -> Address {
    Address::new(Kind::Certificate, site.as_str())
}

/// The address of the target group of a site.
pub(super) fn target_group_address(site: &SiteName) -> Address {
    Address::new(Kind::TargetGroup, site.as_str())
}

/// The address of an instance in the target group of a site.
pub(super) fn target_address(site: &SiteName, instance: &InstanceId) -> Address {
    Address::new(Kind::Target, format!("{site}.{instance}"))
}

/// The address of the records at a name.
pub(crate) fn record_address(name: &DomainName) -> Address {
    Address::new(Kind::AliasRecord, name.as_str())
}

/// The address of the listener on a port.
pub(super) fn listener_address(port: u16) -> Address {
    Address::new(Kind::Listener, port.to_string())
}

/// The address of the closure of a group.
pub(super) fn closure_address(group: &SecurityGroupId) -> Address {
    Address::new(Kind::PortClosure, group.as_str())
}

/// The names that need a validation record of their own: a wildcard shares its parent's (`aws-facts.md` 1.3).
pub(super) fn validated_names(site: &Site) -> BTreeSet<DomainName> {
    site.names().map(DomainName::without_wildcard).collect()
}

/// The ports of an instance that the load balancer connects to.
pub(super) fn backend_ports(site: &Site) -> BTreeSet<u16> {
    std::iter::once(site.backend_port).chain(site.health.port).collect()
}

/// Everything that the configuration asks for.
pub(super) fn desired(config: &Config, foundation: &Foundation) -> Desired {
    let mut desired = Desired::new();
    let mut add = |address: Address, make: &dyn Fn(Tags) -> Spec| {
        let mut tags = config.tags.clone();
        tags.extend(naming::ownership(&config.name, &address));
        let spec = make(tags);
        desired.insert(address, spec);
    };
    let load_balancer = load_balancer_address();
    let security_group = security_group_address();
    add(security_group.clone(), &|tags| {
        Spec::SecurityGroup(group(config, foundation, tags))
    });
    let scheme = config.load_balancer.scheme;
    let load_balancer_name = naming::name(&config.name, "alb", &[&format!("{scheme:?}")]);
    add(load_balancer.clone(), &|tags| {
        Spec::LoadBalancer(LoadBalancer {
            name: load_balancer_name.clone(),
            scheme,
            ip_address_type: config.load_balancer.ip_address_type,
            subnets: foundation.subnets.clone(),
            security_group: Ref::id_of(&security_group),
            attributes: attributes(&config.load_balancer.attributes),
            tags,
        })
    });
    if config.load_balancer.http == HttpMode::Redirect {
        let to = config
            .sites
            .values()
            .next()
            .map_or(defaults::LISTEN_PORT, |site| site.listen_port);
        add(listener_address(defaults::HTTP_PORT), &|tags| {
            Spec::Listener(Listener {
                load_balancer: Ref::id_of(&load_balancer),
                port: defaults::HTTP_PORT,
                protocol: Protocol::Http,
                tls_policy: None,
                certificate: None,
                default_action: DefaultAction::Redirect,
                target_group: None,
                redirect_to: Some(Listener::redirect_to_https(to)),
                tags,
            })
        });
    }
    for (name, site) in &config.sites {
        let certificate = match &site.certificate {
            CertificateSource::Existing(arn) => Ref::Known(arn.to_string()),
            CertificateSource::Requested { key_algorithm } => {
                let address = certificate_address(name);
                add(address.clone(), &|tags| {
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
                    add(Address::new(Kind::ValidationRecord, validated.as_str()), &|_| {
                        Spec::ValidationRecord(ValidationRecord {
                            zone: zone.clone(),
                            name: output(Output::ValidationName(validated.clone())),
                            value: output(Output::ValidationValue(validated.clone())),
                        })
                    });
                }
                Ref::id_of(&address)
            }
        };
        let target_group = target_group_address(name);
        add(target_group.clone(), &|tags| {
            let protocol = format!("{:?}", site.backend_protocol);
            let port = site.backend_port.to_string();
            // A target group belongs to one load balancer only (`aws-facts.md` 2.1): a new one needs a new group.
            let immutable = [foundation.vpc.as_str(), &protocol, &port, &load_balancer_name];
            Spec::TargetGroup(TargetGroup {
                name: naming::name(&config.name, name.as_str(), &immutable),
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
                tags,
            })
        });
        add(listener_address(site.listen_port), &|tags| {
            Spec::Listener(Listener {
                load_balancer: Ref::id_of(&load_balancer),
                port: site.listen_port,
                protocol: Protocol::Https,
                tls_policy: Some(foundation.tls_policy.clone()),
                certificate: Some(certificate.clone()),
                default_action: DefaultAction::Forward,
                target_group: Some(Ref::id_of(&target_group)),
                redirect_to: None,
                tags,
            })
        });
        for instance in &site.instances {
            add(target_address(name, instance), &|_| {
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
                add(
                    Address::new(Kind::InstanceIngress, format!("{group}.{port}")),
                    &|tags| {
                        Spec::InstanceIngress(InstanceIngress {
                            group: group.clone(),
                            port,
                            source: Ref::id_of(&security_group),
                            tags,
                        })
                    },
                );
            }
        }
        for host in site.names() {
            let Some(zone) = foundation.zones.get(host) else {
                continue;
            };
            add(record_address(host), &|_| {
                Spec::AliasRecord(AliasRecord {
                    zone: zone.clone(),
                    name: host.clone(),
                    records: alias_records(config.load_balancer.ip_address_type, &load_balancer),
                })
            });
        }
    }
    desired
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
        name: naming::name(&config.name, "alb", &[foundation.vpc.as_str()]),
        description: format!("reconcile: load balancer of {}", config.name),
        vpc: foundation.vpc.clone(),
        ingress,
        egress,
        tags,
    }
}

/// The attributes that were set, by AWS's keys (`aws-facts.md` 3).
fn attributes(wanted: &LoadBalancerAttributes) -> BTreeMap<String, String> {
    let LoadBalancerAttributes {
        idle_timeout,
        deletion_protection,
        drop_invalid_headers,
        access_logs,
    } = wanted;
    let mut attributes = BTreeMap::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(key.to_owned(), value);
        }
    };
    set(
        "idle_timeout.timeout_seconds",
        idle_timeout.map(|timeout| timeout.get().to_string()),
    );
    set(
        "deletion_protection.enabled",
        deletion_protection.map(|enabled| enabled.to_string()),
    );
    set(
        "routing.http.drop_invalid_header_fields.enabled",
        drop_invalid_headers.map(|enabled| enabled.to_string()),
    );
    if let Some(logs) = access_logs {
        set("access_logs.s3.enabled", Some("true".to_owned()));
        set("access_logs.s3.bucket", Some(logs.bucket.clone()));
        set("access_logs.s3.prefix", logs.prefix.clone());
    }
    attributes
}

/// The closure of a group in which nothing is open any more.
pub(super) fn closed(group: &SecurityGroupId) -> Spec {
    Spec::PortClosure(PortClosure {
        group: group.clone(),
        open: BTreeMap::new(),
    })
}
