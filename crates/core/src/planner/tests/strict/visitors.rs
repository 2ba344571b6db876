//! Visitors on every way that DNS answers or resolvers remember.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::Strict;
use crate::{
    config::IpAddressType,
    observed::{Status, StoredAlias},
    resource::{Address, DefaultAction, Kind, Listener, ListenerRule, Output, Peer, Spec},
    value::{DomainName, InstanceId},
};

/// Where a visitor connects to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Way {
    /// An instance.
    Address(String),
    /// A load balancer by its DNS name, over IPv6 or not.
    Balancer(String, bool),
}

impl Way {
    pub(super) fn is(&self, address: &IpAddr) -> bool {
        matches!(self, Self::Address(text) if *text == address.to_string())
    }
}

/// The port that visitors of all sites come to.
const PORT: u16 = 443;

impl Strict {
    /// Where DNS leads at a name.
    pub(super) fn resolve(&self, name: &DomainName) -> BTreeSet<Way> {
        self.observed
            .record_sets
            .iter()
            .filter(|set| set.name == *name && matches!(set.record_type.as_str(), "A" | "AAAA"))
            .flat_map(|set| match &set.alias {
                Some(alias) => {
                    vec![Way::Balancer(
                        StoredAlias::normal_name(&alias.name),
                        set.record_type == "AAAA",
                    )]
                }
                None => set.values.iter().cloned().map(Way::Address).collect(),
            })
            .collect()
    }

    pub(super) fn ways(&self, address: &Address) -> BTreeSet<Way> {
        match address.key().parse() {
            Ok(name) if address.kind() == Kind::AliasRecord => self.resolve(&name),
            _ => BTreeSet::new(),
        }
    }

    /// Fails if a visitor of a site that stays is not answered, or by a wrong instance.
    pub(super) fn check_visitors(&self) {
        for (name, instances) in &self.served {
            let mut ways = self.resolve(name);
            if ways.is_empty() {
                self.fail(&format!("{name} leads nowhere"));
            }
            ways.extend(self.remembered.get(name).into_iter().flatten().cloned());
            for way in ways {
                let by = match self.ask_by(&way, name) {
                    Ok(by) => by,
                    Err(why) => self.fail(&format!("a visitor of {name} by {way:?} gets no answer: {why}")),
                };
                if !by.is_subset(instances) {
                    self.fail(&format!("a visitor of {name} by {way:?} is answered by {by:?}"));
                }
            }
        }
    }

    /// The instances that answer a visitor of a name.
    pub(super) fn ask(&self, name: &DomainName) -> Result<BTreeSet<String>, String> {
        let mut by = BTreeSet::new();
        for way in self.resolve(name) {
            by.extend(self.ask_by(&way, name)?);
        }
        Ok(by)
    }

    fn ask_by(&self, way: &Way, name: &DomainName) -> Result<BTreeSet<String>, String> {
        match way {
            Way::Address(address) => self.ask_instance(address),
            Way::Balancer(dns_name, ipv6) => {
                let balancer = self
                    .observed
                    .found
                    .iter()
                    .find(|actual| actual.outputs.get(&Output::DnsName) == Some(dns_name))
                    .ok_or("the load balancer is gone")?;
                if *ipv6
                    && !matches!(&balancer.spec, Spec::LoadBalancer(spec) if spec.ip_address_type == IpAddressType::Dualstack)
                {
                    return Err("the load balancer has no IPv6".to_owned());
                }
                self.admits(&balancer.id, if *ipv6 { "::/0" } else { "0.0.0.0/0" })?;
                self.ask_balancer(&balancer.id, name, PORT, &BTreeMap::new())
            }
        }
    }

    pub(super) fn ask_instance(&self, address: &str) -> Result<BTreeSet<String>, String> {
        let (id, instance) = self
            .observed
            .instances
            .iter()
            .find(|(_, instance)| {
                instance
                    .public_address
                    .is_some_and(|public| public.to_string() == address)
            })
            .ok_or("nobody is there")?;
        let open = instance
            .security_groups
            .iter()
            .filter_map(|group| self.observed.security_groups.get(group))
            .flat_map(|group| group.ingress.values())
            .any(|rule| rule.rule.is_world_open() && rule.rule.admits_tcp(PORT));
        if open {
            Ok([id.to_string()].into())
        } else {
            Err(format!("{id} is closed"))
        }
    }

    fn admits(&self, balancer: &str, from: &str) -> Result<(), String> {
        let group = self.group_of(balancer)?;
        match &self.observed.by_id(&group).ok_or("its group is gone")?.spec {
            Spec::SecurityGroup(group)
                if group
                    .ingress
                    .iter()
                    .any(|rule| rule.admits_tcp(PORT) && rule.peer.to_string() == from) =>
            {
                Ok(())
            }
            _ => Err(format!("the load balancer's group does not admit {from}")),
        }
    }

    fn group_of(&self, balancer: &str) -> Result<String, String> {
        match &self.observed.by_id(balancer).ok_or("the load balancer is gone")?.spec {
            Spec::LoadBalancer(balancer) => Ok(balancer.security_group.known().unwrap().to_owned()),
            _ => unreachable!(),
        }
    }

    /// The instances that answer behind a load balancer.
    pub(super) fn ask_balancer(
        &self,
        balancer: &str,
        name: &DomainName,
        port: u16,
        headers: &BTreeMap<String, String>,
    ) -> Result<BTreeSet<String>, String> {
        let host: DomainName = name.as_str().replace('*', "any").parse().unwrap();
        match self.observed.by_id(balancer).map(|actual| &actual.status) {
            Some(Status::LoadBalancer { state, .. }) if state == "active" => {}
            other => return Err(format!("the load balancer is not active: {other:?}")),
        }
        let (id, listener) = self
            .observed
            .found
            .iter()
            .find_map(|actual| match &actual.spec {
                Spec::Listener(listener)
                    if listener.port == port && listener.load_balancer.known().unwrap() == balancer =>
                {
                    Some((actual.id.as_str(), listener))
                }
                _ => None,
            })
            .ok_or("nothing listens")?;
        let listed = self.observed.found.iter().filter_map(|actual| match &actual.spec {
            Spec::ListenerCertificate(listed) if listed.listener.known().unwrap() == id => {
                Some(listed.certificate.known().unwrap())
            }
            _ => None,
        });
        let default = listener.certificate.as_ref().map(|arn| arn.known().unwrap());
        if !listed.chain(default).any(|arn| self.covers(arn, &host)) {
            return Err("no certificate is for the name".to_owned());
        }
        let group = self.group_for(id, listener, &host, headers)?;
        self.answering(balancer, &group)
    }

    fn group_for(
        &self,
        id: &str,
        listener: &Listener,
        host: &DomainName,
        headers: &BTreeMap<String, String>,
    ) -> Result<String, String> {
        let meets = |rule: &ListenerRule| {
            rule.conditions
                .iter()
                .all(|(field, values)| match field.strip_prefix("http-header ") {
                    Some(header) => headers.get(header).is_some_and(|value| values.contains(value)),
                    None => values
                        .iter()
                        .any(|value| value.parse::<DomainName>().unwrap().covers(host)),
                })
        };
        let rule = self.rules_on(id).into_iter().find(|(_, rule)| meets(rule));
        let group = match &rule {
            Some((_, rule)) => rule.target_group.as_ref(),
            None if listener.default_action == DefaultAction::Forward => listener.target_group.as_ref(),
            None => None,
        };
        let group = group.ok_or("no site here has this name")?;
        Ok(group.known().unwrap().to_owned())
    }

    fn answering(&self, balancer: &str, group: &str) -> Result<BTreeSet<String>, String> {
        let mut by = BTreeSet::new();
        for actual in &self.observed.found {
            if let (Spec::Target(target), Status::Target { state, .. }) = (&actual.spec, &actual.status)
                && target.target_group.known().unwrap() == group
                && state == "healthy"
            {
                self.reaches(balancer, &target.instance, target.port)?;
                by.insert(target.instance.to_string());
            }
        }
        if by.is_empty() {
            Err(format!("no healthy target is in {group}"))
        } else {
            Ok(by)
        }
    }

    /// The port that health checks go to.
    pub(super) fn health_port(&self, group: &str, port: u16) -> u16 {
        match &self.observed.by_id(group).unwrap().spec {
            Spec::TargetGroup(group) => group.health.port.parse().unwrap_or(port),
            _ => unreachable!(),
        }
    }

    /// Whether a load balancer can connect to a port of an instance.
    pub(super) fn reaches(&self, balancer: &str, id: &InstanceId, port: u16) -> Result<(), String> {
        let from = self.group_of(balancer)?;
        let Some(Spec::SecurityGroup(own)) = self.observed.by_id(&from).map(|actual| &actual.spec) else {
            return Err(format!("the load balancer's group {from} is gone"));
        };
        let instance = &self.observed.instances[id];
        let out = own.egress.iter().any(|rule| {
            rule.admits_tcp(port) && matches!(&rule.peer, Peer::Group(to) if instance.security_groups.contains(to))
        });
        let into = instance
            .security_groups
            .iter()
            .filter_map(|group| self.observed.security_groups.get(group))
            .flat_map(|group| group.ingress.values())
            .any(|rule| {
                rule.rule.admits_tcp(port) && matches!(&rule.rule.peer, Peer::Group(peer) if peer.as_str() == from)
            });
        if out && into {
            Ok(())
        } else {
            Err(format!(
                "port {port} of {id} is closed to the load balancer (out {out}, in {into})"
            ))
        }
    }
}
