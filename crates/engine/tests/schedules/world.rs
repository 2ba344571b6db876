//! What really is in the simulated cloud, and what hangs on what.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use reconcile_core::{
    config::KeyAlgorithm,
    observed::{
        Actual, GroupFacts, GroupRule, HostedZone, Identity, Instance, Interface, RecordSet, Status, StoredAlias,
        Subnet,
    },
    resource::{Certificate, Listener, ListenerRule, Output, Outputs, Ref, Rule, Spec, Tags},
    value::{DomainName, InstanceId, SecurityGroupId, ZoneId},
};

use crate::{visitors::Way, wish};

/// Everything in the cloud.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) identity: Identity,
    pub(crate) instances: BTreeMap<InstanceId, Instance>,
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) zones: Vec<HostedZone>,
    /// The instances' groups.
    pub(crate) groups: BTreeMap<SecurityGroupId, GroupFacts>,
    /// The same as lists still show them.
    pub(crate) groups_before: BTreeMap<SecurityGroupId, (Timestamp, GroupFacts)>,
    /// Everything with an id of AWS's, and what hangs on it.
    pub(crate) objects: BTreeMap<String, Object>,
    /// What is gone and lists still show.
    pub(crate) ghosts: Vec<(Timestamp, Object)>,
    pub(crate) records: Vec<RecordSet>,
    /// When DNS changes reach all servers.
    pub(crate) changes: BTreeMap<String, Timestamp>,
    /// Until when AWS counts as in use what nothing uses any more.
    pub(crate) lingering: BTreeMap<String, Timestamp>,
    /// What was requested by a token, and when.
    pub(crate) tokens: BTreeMap<String, (Timestamp, String)>,
    /// Ways that resolvers still remember.
    pub(crate) remembered: Vec<Remembered>,
    /// How many things were made.
    pub(crate) made: u32,
}

/// An answer of DNS that is no longer given.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    pub(crate) name: DomainName,
    pub(crate) way: Way,
    /// When all servers gave the new answer.
    pub(crate) in_sync: Timestamp,
    pub(crate) ttl: Duration,
    /// Whether somebody else changed it.
    pub(crate) by_hand: bool,
}

/// Something with an id.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// As it is, its status apart.
    pub(crate) actual: Actual,
    /// Unknown to reads until then.
    pub(crate) known_at: Timestamp,
    /// Active, or through its health checks, from then on. A certificate: when ACM tells its validation records.
    pub(crate) ready_at: Timestamp,
    /// What reads show until then.
    pub(crate) before: Option<(Timestamp, Spec)>,
    /// When a certificate is issued, once its validation records stand.
    pub(crate) issued_at: Option<Timestamp>,
}

impl Object {
    pub(crate) fn is_issued(&self, now: Timestamp) -> bool {
        self.issued_at.is_some_and(|at| at <= now)
    }
}

pub(crate) fn known(reference: &Ref) -> &str {
    reference
        .known()
        .expect("everything in the cloud has its references resolved")
}

pub(crate) fn after(now: Timestamp, duration: Duration) -> Timestamp {
    now.checked_add(duration).unwrap()
}

pub(crate) fn record(name: &str, record_type: &str, values: &[&str]) -> RecordSet {
    RecordSet {
        zone: "Z1".parse().unwrap(),
        name: name.parse().unwrap(),
        record_type: record_type.to_owned(),
        ttl: Some(300),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        alias: None,
        set_identifier: None,
        traffic_policy_instance: None,
    }
}

fn rule(text: &str) -> GroupRule {
    GroupRule {
        rule: text.parse().unwrap(),
        description: None,
        tags: Tags::new(),
    }
}

fn subnet(id: &str, vpc: &str, zone: &str, public: bool) -> Subnet {
    Subnet {
        id: id.parse().unwrap(),
        vpc: vpc.parse().unwrap(),
        availability_zone: zone.to_owned(),
        public,
        free_addresses: 200,
        prefix_length: 24,
        has_ipv6: true,
        public_access_blocked: false,
    }
}

impl World {
    /// Three instances that serve visitors by themselves, two in one VPC and one in another, and things of others.
    pub(crate) fn first(now: Timestamp) -> Self {
        let mut world = Self {
            identity: Identity {
                account: "123456789012".parse().unwrap(),
                region: "ap-northeast-1".parse().unwrap(),
                partition: "aws".to_owned(),
            },
            instances: BTreeMap::new(),
            subnets: vec![
                subnet("subnet-a", "vpc-1", "ap-northeast-1a", true),
                subnet("subnet-c", "vpc-1", "ap-northeast-1c", true),
                subnet("subnet-d", "vpc-1", "ap-northeast-1d", false),
                subnet("subnet-2a", "vpc-2", "ap-northeast-1a", true),
                subnet("subnet-2c", "vpc-2", "ap-northeast-1c", true),
            ],
            interfaces: Vec::new(),
            zones: vec![HostedZone {
                id: "Z1".parse().unwrap(),
                name: "example.com".parse().unwrap(),
                private: false,
                linked_service: None,
            }],
            groups: BTreeMap::new(),
            groups_before: BTreeMap::new(),
            objects: BTreeMap::new(),
            ghosts: Vec::new(),
            records: vec![
                record("example.com", "MX", &["10 mail.example.com."]),
                record("other.example.com", "A", &["198.51.100.7"]),
            ],
            changes: BTreeMap::new(),
            lingering: BTreeMap::new(),
            tokens: BTreeMap::new(),
            remembered: Vec::new(),
            made: 0,
        };
        for (letter, last, vpc, subnet) in [
            ("a", 10, "vpc-1", "subnet-a"),
            ("b", 11, "vpc-1", "subnet-a"),
            ("c", 12, "vpc-2", "subnet-2a"),
        ] {
            world.add_instance(letter, last, vpc, subnet);
        }
        world.add_certificate_of_others(now);
        world
    }

    fn add_instance(&mut self, letter: &str, last: u8, vpc: &str, subnet: &str) {
        let id: InstanceId = format!("i-0{letter}").parse().unwrap();
        let group: SecurityGroupId = format!("sg-{letter}").parse().unwrap();
        let interface = format!("eni-{letter}");
        self.instances.insert(
            id.clone(),
            Instance {
                state: "running".to_owned(),
                vpc: vpc.parse().unwrap(),
                subnet: subnet.parse().unwrap(),
                availability_zone: "ap-northeast-1a".to_owned(),
                public_address: Some([203, 0, 113, last].into()),
                elastic: true,
                ipv6_addresses: BTreeSet::new(),
                private_address: Some([10, 0, 0, last].into()),
                primary_interface: interface.clone(),
                security_groups: [group.clone()].into(),
            },
        );
        self.interfaces.push(Interface {
            id: interface,
            security_groups: [group.clone()].into(),
            instance: Some(id),
            description: String::new(),
        });
        let ingress = [
            ("22", "tcp 22 0.0.0.0/0"),
            ("80", "tcp 80 0.0.0.0/0"),
            ("443", "tcp 443 0.0.0.0/0"),
            ("n", "tcp 9100 10.0.0.0/8"),
        ];
        self.groups.insert(
            group,
            GroupFacts {
                name: format!("web-{letter}-server"),
                vpc: vpc.parse().unwrap(),
                owner: self.identity.account.clone(),
                ingress: ingress
                    .into_iter()
                    .map(|(port, text)| (format!("sgr-{letter}{port}"), rule(text)))
                    .collect(),
                tags: Tags::new(),
            },
        );
    }

    /// A certificate for every name that somebody else made.
    fn add_certificate_of_others(&mut self, now: Timestamp) {
        let names = ["www", "shop", "blog", "*.shop", "moved"]
            .into_iter()
            .chain(wish::SPARE_NAMES);
        let actual = Actual {
            id: wish::EXISTING.to_owned(),
            spec: Spec::Certificate(Certificate {
                domain: None,
                names: names
                    .map(|name| format!("{name}.example.com").parse().unwrap())
                    .collect(),
                key_algorithm: KeyAlgorithm::Rsa2048,
                tags: Tags::new(),
            }),
            outputs: Outputs::new(),
            status: Status::Exists,
            tags: Tags::new(),
        };
        let object = Object {
            actual,
            known_at: now,
            ready_at: now,
            before: None,
            issued_at: Some(now),
        };
        self.objects.insert(wish::EXISTING.to_owned(), object);
    }

    pub(crate) fn spec(&self, id: &str) -> Option<&Spec> {
        self.objects.get(id).map(|object| &object.actual.spec)
    }

    /// The specs of everything that is there, with their ids.
    pub(crate) fn specs(&self) -> impl Iterator<Item = (&str, &Spec)> {
        self.objects
            .iter()
            .map(|(id, object)| (id.as_str(), &object.actual.spec))
    }

    /// The load balancer of a listener.
    pub(crate) fn balancer_of(&self, listener: &str) -> Option<&str> {
        match self.spec(listener) {
            Some(Spec::Listener(listener)) => Some(known(&listener.load_balancer)),
            _ => None,
        }
    }

    /// The load balancers whose listeners or rules forward to a target group.
    pub(crate) fn users_of(&self, group: &str) -> BTreeSet<String> {
        self.specs()
            .filter_map(|(_, spec)| match spec {
                Spec::Listener(Listener {
                    target_group: Some(to),
                    load_balancer,
                    ..
                }) if known(to) == group => Some(known(load_balancer).to_owned()),
                Spec::ListenerRule(ListenerRule {
                    target_group: Some(to),
                    listener,
                    ..
                }) if known(to) == group => self.balancer_of(known(listener)).map(str::to_owned),
                _ => None,
            })
            .collect()
    }

    /// The rules of a listener in the order in which they are tried.
    pub(crate) fn rules_on(&self, listener: &str) -> Vec<(&str, &ListenerRule)> {
        let mut rules: Vec<_> = self
            .specs()
            .filter_map(|(id, spec)| match spec {
                Spec::ListenerRule(rule) if known(&rule.listener) == listener => Some((id, rule)),
                _ => None,
            })
            .collect();
        rules.sort_by_key(|(_, rule)| rule.priority);
        rules
    }

    /// What an object uses that can then not be deleted.
    pub(crate) fn uses(spec: &Spec) -> Vec<String> {
        match spec {
            Spec::Listener(listener) => listener
                .certificate
                .iter()
                .chain(&listener.target_group)
                .map(|it| known(it).to_owned())
                .collect(),
            Spec::ListenerCertificate(listed) => vec![known(&listed.certificate).to_owned()],
            Spec::ListenerRule(rule) => rule.target_group.iter().map(|it| known(it).to_owned()).collect(),
            Spec::LoadBalancer(balancer) => vec![known(&balancer.security_group).to_owned()],
            _ => Vec::new(),
        }
    }

    /// What an object goes away with.
    fn hangs_on(spec: &Spec) -> Option<&str> {
        Some(known(match spec {
            Spec::Listener(listener) => &listener.load_balancer,
            Spec::ListenerRule(rule) => &rule.listener,
            Spec::ListenerCertificate(listed) => &listed.listener,
            Spec::Target(target) => &target.target_group,
            _ => return None,
        }))
    }

    /// Takes an object away with what hangs on it; each is shown for a while, and what it used counts as used for a while.
    pub(crate) fn remove(&mut self, id: &str, now: Timestamp, shown: Duration, lingers: Duration) {
        let Some(object) = self.objects.remove(id) else { return };
        for used in Self::uses(&object.actual.spec) {
            self.lingering.insert(used, after(now, lingers));
        }
        self.ghosts.push((after(now, shown), object));
        let hanging: Vec<String> = self
            .specs()
            .filter(|(_, spec)| Self::hangs_on(spec) == Some(id))
            .map(|(id, _)| id.to_owned())
            .collect();
        for id in hanging {
            self.remove(&id, now, shown, lingers);
        }
    }

    /// Changes an object; reads show the old settings for a while.
    pub(crate) fn change(&mut self, id: &str, spec: Spec, now: Timestamp, shown: Duration, lingers: Duration) {
        let Some(object) = self.objects.get_mut(id) else { return };
        let tags = spec.tags().cloned().unwrap_or_default();
        let kept = Self::uses(&spec);
        let before = std::mem::replace(&mut object.actual.spec, spec);
        object.actual.tags = tags;
        let dropped = Self::uses(&before);
        object.before = Some((after(now, shown), before));
        for used in dropped.into_iter().filter(|used| !kept.contains(used)) {
            self.lingering.insert(used, after(now, lingers));
        }
    }

    /// Changes a rule of an instance's group; lists show the old rules for a while.
    pub(crate) fn change_group(
        &mut self,
        group: &SecurityGroupId,
        now: Timestamp,
        shown: Duration,
        change: impl FnOnce(&mut GroupFacts),
    ) {
        if let Some(facts) = self.groups.get_mut(group) {
            let before = facts.clone();
            change(facts);
            self.groups_before.insert(group.clone(), (after(now, shown), before));
        }
    }

    /// Starts the health checks of the targets of a group that has just begun to be used.
    pub(crate) fn begin_checks(&mut self, group: &str, ready_at: Timestamp) {
        for object in self.objects.values_mut() {
            if matches!(&object.actual.spec, Spec::Target(target) if known(&target.target_group) == group) {
                object.ready_at = object.ready_at.max(ready_at);
            }
        }
    }

    /// What comes by itself: certificates are issued some time after their records stand.
    pub(crate) fn tick(&mut self, now: Timestamp, takes: Duration) {
        let standing: BTreeSet<&str> = self
            .records
            .iter()
            .filter(|set| set.record_type == "CNAME")
            .map(|set| set.name.as_str())
            .collect();
        for object in self.objects.values_mut() {
            if object.issued_at.is_some()
                || !matches!(object.actual.spec, Spec::Certificate(_))
                || object.ready_at > now
            {
                continue;
            }
            let wanted = object
                .actual
                .outputs
                .iter()
                .filter(|(output, _)| matches!(output, Output::ValidationName(_)));
            if wanted
                .map(|(_, name)| name.as_str())
                .all(|name| standing.contains(name))
            {
                object.issued_at = Some(after(now, takes));
            }
        }
        self.ghosts.retain(|(until, _)| *until > now);
        self.groups_before.retain(|_, (until, _)| *until > now);
    }

    /// The address records at a name.
    pub(crate) fn addresses_at(&self, zone: &ZoneId, name: &DomainName) -> Vec<&RecordSet> {
        self.records
            .iter()
            .filter(|set| {
                set.zone == *zone && set.name == *name && matches!(set.record_type.as_str(), "A" | "AAAA" | "CNAME")
            })
            .collect()
    }

    /// Puts records in the place of those at a name; resolvers remember the old ones.
    pub(crate) fn replace_addresses(
        &mut self,
        name: &DomainName,
        sets: Vec<RecordSet>,
        in_sync: Timestamp,
        by_hand: bool,
    ) {
        let old: Vec<RecordSet> = self
            .records
            .iter()
            .filter(|set| set.name == *name && matches!(set.record_type.as_str(), "A" | "AAAA" | "CNAME"))
            .cloned()
            .collect();
        for set in old.iter().filter(|set| !sets.contains(set)) {
            let ttl = Duration::from_secs(set.ttl.map_or(60, u64::from));
            for way in Way::of(set) {
                self.remembered.push(Remembered {
                    name: name.clone(),
                    way,
                    in_sync,
                    ttl,
                    by_hand,
                });
            }
        }
        self.records
            .retain(|set| set.name != *name || !matches!(set.record_type.as_str(), "A" | "AAAA" | "CNAME"));
        self.records.extend(sets);
    }

    /// Points a name by hand at an address.
    pub(crate) fn point_by_hand(&mut self, name: &DomainName, address: &str, now: Timestamp) {
        self.replace_addresses(name, vec![record(name.as_str(), "A", &[address])], now, true);
    }

    /// Whether a name is led to a load balancer.
    pub(crate) fn is_aliased(&self, name: &DomainName) -> bool {
        self.records.iter().any(|set| set.name == *name && set.alias.is_some())
    }

    pub(crate) fn next_number(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    /// Adds a rule to an instance's group as somebody else would.
    pub(crate) fn open_by_hand(&mut self, group: &SecurityGroupId, rule: Rule, now: Timestamp) {
        let id = format!("sgr-hand{}", self.next_number());
        let rule = GroupRule {
            rule,
            description: Some("by hand".to_owned()),
            tags: Tags::new(),
        };
        self.change_group(group, now, Duration::ZERO, |facts| {
            if facts.ingress.values().all(|other| other.rule != rule.rule) {
                facts.ingress.insert(id, rule);
            }
        });
    }
}

/// The name behind an alias, in normal form.
pub(crate) fn alias_name(set: &RecordSet) -> Option<String> {
    set.alias.as_ref().map(|alias| StoredAlias::normal_name(&alias.name))
}
