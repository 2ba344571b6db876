//! Visitors: who answers on a way that DNS gives or resolvers remember.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use reconcile_core::{
    config::IpAddressType,
    observed::RecordSet,
    resource::{DefaultAction, Listener, ListenerRule, Output, Peer, SecurityGroup, Spec},
    value::{DomainName, InstanceId},
};

use crate::world::{World, alias_name, known};

/// Where a visitor connects to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// An address.
    Address(String),
    /// A load balancer by its DNS name, over IPv6 or not.
    Balancer(String, bool),
}

/// How far health checks are: a target that cannot be reached any more gets requests until its checks have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// Nothing has failed yet.
    AsBefore,
    /// What cannot be reached has failed.
    Done,
}

/// The port that visitors of all sites come to.
const PORT: u16 = 443;

/// The instances that may answer a visitor, or why none does.
pub(crate) type Answer = Result<BTreeSet<InstanceId>, String>;

impl Way {
    /// The ways that a record set gives.
    pub(crate) fn of(set: &RecordSet) -> Vec<Self> {
        if !matches!(set.record_type.as_str(), "A" | "AAAA") {
            return Vec::new();
        }
        match alias_name(set) {
            Some(name) => vec![Self::Balancer(name, set.record_type == "AAAA")],
            None => set.values.iter().cloned().map(Self::Address).collect(),
        }
    }
}

impl World {
    /// Where DNS leads at a name.
    pub(crate) fn resolve(&self, name: &DomainName) -> BTreeSet<Way> {
        self.records
            .iter()
            .filter(|set| set.name == *name)
            .flat_map(Way::of)
            .collect()
    }

    /// Where visitors of a name come to now: what DNS answers, and what it answered before and is remembered.
    pub(crate) fn ways(&self, name: &DomainName, now: Timestamp) -> BTreeSet<Way> {
        let remembered = self
            .remembered
            .iter()
            .filter(|old| !old.by_hand && old.name == *name && now < old.in_sync.checked_add(old.ttl).unwrap())
            .map(|old| old.way.clone());
        self.resolve(name).into_iter().chain(remembered).collect()
    }

    /// Asks at a name as every visitor does who comes now; `Err` is the first who gets no answer.
    pub(crate) fn ask(&self, name: &DomainName, now: Timestamp, checks: Checks) -> Answer {
        let ways = self.ways(name, now);
        if self.resolve(name).is_empty() {
            return Err(format!("{name} leads nowhere"));
        }
        let mut by = BTreeSet::new();
        for way in ways {
            by.extend(
                self.ask_by(&way, name, now, checks)
                    .map_err(|why| format!("{name} by {way:?}: {why}"))?,
            );
        }
        Ok(by)
    }

    fn ask_by(&self, way: &Way, name: &DomainName, now: Timestamp, checks: Checks) -> Answer {
        match way {
            Way::Address(address) => self.ask_instance(address),
            Way::Balancer(dns_name, ipv6) => {
                let (id, spec) = self
                    .objects
                    .values()
                    .find_map(|object| match &object.actual.spec {
                        Spec::LoadBalancer(spec) if object.actual.outputs.get(&Output::DnsName) == Some(dns_name) => {
                            Some((object.actual.id.as_str(), spec))
                        }
                        _ => None,
                    })
                    .ok_or("the load balancer is gone")?;
                if *ipv6 && spec.ip_address_type != IpAddressType::Dualstack {
                    return Err("the load balancer has no IPv6".to_owned());
                }
                self.is_admitted(id, if *ipv6 { "::/0" } else { "0.0.0.0/0" })?;
                self.ask_balancer(id, name, PORT, &BTreeMap::new(), (now, checks))
            }
        }
    }

    /// Whether a load balancer's group lets the whole of a family in.
    pub(crate) fn is_admitted(&self, balancer: &str, world: &str) -> Result<(), String> {
        let admits = |group: &SecurityGroup| {
            let mut rules = group.ingress.iter();
            rules.any(|rule| rule.admits_tcp(PORT) && rule.peer.to_string() == world)
        };
        match self.group_of(balancer) {
            Some((_, group)) if admits(group) => Ok(()),
            _ => Err(format!("the load balancer's group does not admit {world}")),
        }
    }

    /// Asks an instance at its public address.
    pub(crate) fn ask_instance(&self, address: &str) -> Answer {
        let is_at = |public: std::net::Ipv4Addr| public.to_string() == address;
        let (id, instance) = self
            .instances
            .iter()
            .find(|(_, instance)| instance.public_address.is_some_and(is_at))
            .ok_or("nobody is there")?;
        let mut rules = instance
            .security_groups
            .iter()
            .filter_map(|group| self.groups.get(group))
            .flat_map(|group| group.ingress.values());
        if rules.any(|rule| rule.rule.is_world_open() && rule.rule.admits_tcp(PORT)) {
            Ok([id.clone()].into())
        } else {
            Err(format!("{id} is closed"))
        }
    }

    fn group_of(&self, balancer: &str) -> Option<(&str, &SecurityGroup)> {
        let Some(Spec::LoadBalancer(spec)) = self.spec(balancer) else {
            return None;
        };
        let id = known(&spec.security_group);
        match self.spec(id) {
            Some(Spec::SecurityGroup(group)) => Some((id, group)),
            _ => None,
        }
    }

    /// Asks behind a load balancer.
    pub(crate) fn ask_balancer(
        &self,
        balancer: &str,
        name: &DomainName,
        port: u16,
        headers: &BTreeMap<String, String>,
        (now, checks): (Timestamp, Checks),
    ) -> Answer {
        let host: DomainName = name.as_str().replace('*', "any").parse().unwrap();
        if self.objects.get(balancer).is_none_or(|object| now < object.ready_at) {
            return Err("the load balancer is not active".to_owned());
        }
        let (id, listener) = self
            .specs()
            .find_map(|(id, spec)| match spec {
                Spec::Listener(listener) if listener.port == port && known(&listener.load_balancer) == balancer => {
                    Some((id, listener))
                }
                _ => None,
            })
            .ok_or("nothing listens")?;
        let listed = self.specs().filter_map(|(_, spec)| match spec {
            Spec::ListenerCertificate(listed) if known(&listed.listener) == id => Some(known(&listed.certificate)),
            _ => None,
        });
        if !listed
            .chain(listener.certificate.as_ref().map(known))
            .any(|arn| self.covers(arn, &host, now))
        {
            return Err("no certificate is for the name".to_owned());
        }
        let group = self
            .group_for(id, listener, &host, headers)
            .ok_or("no site here has this name")?;
        self.answering(balancer, group, now, checks)
    }

    fn covers(&self, arn: &str, host: &DomainName, now: Timestamp) -> bool {
        self.objects.get(arn).is_some_and(|object| {
            matches!(&object.actual.spec, Spec::Certificate(certificate)
                if object.is_issued(now) && certificate.names.iter().any(|name| name.covers(host)))
        })
    }

    /// The target group that a request goes to.
    fn group_for<'a>(
        &'a self,
        id: &str,
        listener: &'a Listener,
        host: &DomainName,
        headers: &BTreeMap<String, String>,
    ) -> Option<&'a str> {
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
        match rule {
            Some((_, rule)) => rule.target_group.as_ref(),
            None if listener.default_action == DefaultAction::Forward => listener.target_group.as_ref(),
            None => None,
        }
        .map(known)
    }

    /// The instances behind a target group that get requests.
    fn answering(&self, balancer: &str, group: &str, now: Timestamp, checks: Checks) -> Answer {
        let mut by = BTreeSet::new();
        for object in self.objects.values() {
            if let Spec::Target(target) = &object.actual.spec
                && known(&target.target_group) == group
                && object.ready_at <= now
            {
                match (self.reaches(balancer, &target.instance, target.port), checks) {
                    (Ok(()), _) => drop(by.insert(target.instance.clone())),
                    (Err(why), Checks::AsBefore) => return Err(why),
                    (Err(_), Checks::Done) => {}
                }
            }
        }
        if by.is_empty() {
            Err(format!("no healthy target is in {group}"))
        } else {
            Ok(by)
        }
    }

    /// Whether a load balancer can connect to a port of an instance.
    pub(crate) fn reaches(&self, balancer: &str, id: &InstanceId, port: u16) -> Result<(), String> {
        let Some((from, own)) = self.group_of(balancer) else {
            return Err("the load balancer's group is gone".to_owned());
        };
        let groups = &self.instances[id].security_groups;
        let out = own
            .egress
            .iter()
            .any(|rule| rule.admits_tcp(port) && matches!(&rule.peer, Peer::Group(to) if groups.contains(to)));
        let mut rules = groups
            .iter()
            .filter_map(|group| self.groups.get(group))
            .flat_map(|group| group.ingress.values());
        let into = rules.any(|rule| {
            rule.rule.admits_tcp(port)
                && (rule.rule.is_world_open() || matches!(&rule.rule.peer, Peer::Group(peer) if peer.as_str() == from))
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
