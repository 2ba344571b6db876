//! What reads and lists show: not yet what is new, still what is gone, and settings as they were a moment ago.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reconcile_core::{
    naming,
    observed::{Actual, GroupFacts, GroupRule, Observed, Query, Status},
    resource::{Certificate, InstanceIngress, Output, Outputs, Peer, PortClosure, Ref, Rule, Spec, Tags},
    value::SecurityGroupId,
};

use crate::world::{Object, World, known};

/// An object of a kind that has no life of its own.
pub(crate) fn plain(id: impl Into<String>, spec: Spec) -> Actual {
    let id = id.into();
    Actual {
        outputs: Outputs::from([(Output::Id, id.clone())]),
        tags: spec.tags().cloned().unwrap_or_default(),
        status: Status::Exists,
        spec,
        id,
    }
}

impl World {
    /// An object as reads show it now; `None` while it is unknown.
    fn shown(&self, object: &Object, now: Timestamp) -> Option<Actual> {
        if now < object.known_at {
            return None;
        }
        let mut actual = object.actual.clone();
        if let Some((until, before)) = &object.before
            && now < *until
        {
            actual.spec = before.clone();
            actual.tags = before.tags().cloned().unwrap_or_default();
        }
        actual.status = self.status(object, now);
        if matches!(actual.spec, Spec::Certificate(_)) && now < object.ready_at {
            actual.outputs.retain(|output, _| *output == Output::Id);
        }
        Some(actual)
    }

    fn status(&self, object: &Object, now: Timestamp) -> Status {
        match &object.actual.spec {
            Spec::Certificate(certificate) => {
                let issued = object.is_issued(now);
                Status::Certificate {
                    state: if issued { "ISSUED" } else { "PENDING_VALIDATION" }.to_owned(),
                    failure_reason: None,
                    certificate_type: "AMAZON_ISSUED".to_owned(),
                    in_use_by: self.in_use_by(&object.actual.id),
                    pending_names: if issued {
                        Vec::new()
                    } else {
                        certificate.names.iter().cloned().collect()
                    },
                    life: Box::default(),
                }
            }
            Spec::LoadBalancer(_) => Status::LoadBalancer {
                state: if now < object.ready_at {
                    "provisioning"
                } else {
                    "active"
                }
                .to_owned(),
                reason: None,
            },
            Spec::Target(target) => {
                let group = known(&target.target_group);
                let users = self.users_of(group);
                let check = match self.spec(group) {
                    Some(Spec::TargetGroup(group)) => group.health.port.parse().unwrap_or(target.port),
                    _ => target.port,
                };
                let is_reached = |user: &String| {
                    [target.port, check]
                        .iter()
                        .all(|port| self.reaches(user, &target.instance, *port).is_ok())
                };
                let (state, reason) = if users.is_empty() {
                    ("unused", Some("Target.NotInUse"))
                } else if now < object.ready_at {
                    ("initial", Some("Elb.InitialHealthChecking"))
                } else if users.iter().all(is_reached) {
                    ("healthy", None)
                } else {
                    ("unhealthy", Some("Target.Timeout"))
                };
                Status::Target {
                    state: state.to_owned(),
                    reason: reason.map(str::to_owned),
                    description: None,
                }
            }
            _ => Status::Exists,
        }
    }

    /// The load balancers that use a certificate.
    fn in_use_by(&self, arn: &str) -> Vec<String> {
        let uses = |spec: &Spec| match spec {
            Spec::Listener(listener) if listener.certificate.as_ref().map(known) == Some(arn) => {
                Some(known(&listener.load_balancer).to_owned())
            }
            Spec::ListenerCertificate(listed) if known(&listed.certificate) == arn => {
                self.balancer_of(known(&listed.listener)).map(str::to_owned)
            }
            _ => None,
        };
        let mut users: Vec<String> = self.specs().filter_map(|(_, spec)| uses(spec)).collect();
        users.sort();
        users.dedup();
        users
    }

    /// Everything as lists show it now, what is gone included.
    fn listed(&self, now: Timestamp) -> Vec<Actual> {
        let ghosts = self
            .ghosts
            .iter()
            .filter(|(until, object)| now < *until && !self.objects.contains_key(&object.actual.id))
            .map(|(_, object)| object);
        self.objects
            .values()
            .chain(ghosts)
            .filter_map(|object| self.shown(object, now))
            .collect()
    }

    /// The object with this id as reads show it now.
    pub(crate) fn read(&self, id: &str, now: Timestamp) -> Option<Actual> {
        self.objects.get(id).and_then(|object| self.shown(object, now))
    }

    /// The rules of an instance's group as lists show them now.
    pub(crate) fn group_shown(&self, group: &SecurityGroupId, now: Timestamp) -> Option<&GroupFacts> {
        match self.groups_before.get(group) {
            Some((until, before)) if now < *until => Some(before),
            _ => self.groups.get(group),
        }
    }

    /// Looks at what a query names, as the real reader does.
    pub(crate) fn observe(&self, query: &Query, now: Timestamp) -> Observed {
        let listed = self.listed(now);
        let recorded: std::collections::BTreeSet<&str> =
            query.recorded.values().flatten().map(String::as_str).collect();
        let is_named =
            |actual: &Actual, name: &str| name.starts_with(&query.name_prefix) || recorded.contains(actual.id.as_str());
        let is_tagged = |tags: &Tags| tags.get(naming::STACK_TAG).map(String::as_str) == Some(query.stack.as_str());
        let may_serve = |certificate: &Certificate| {
            certificate
                .names
                .iter()
                .any(|held| query.names.iter().any(|name| held.covers(name)))
        };
        let mut found: Vec<Actual> = Vec::new();
        for actual in &listed {
            let is_candidate = match &actual.spec {
                Spec::LoadBalancer(balancer) => is_named(actual, &balancer.name),
                Spec::TargetGroup(group) => is_named(actual, &group.name),
                Spec::SecurityGroup(group) => is_named(actual, &group.name) || is_tagged(&actual.tags),
                Spec::Certificate(certificate) => {
                    recorded.contains(actual.id.as_str())
                        || query.certificates.iter().any(|arn| arn.as_str() == actual.id)
                        || may_serve(certificate)
                        || (query.details.begun_certificates
                            && is_tagged(&actual.tags)
                            && self.in_use_by(&actual.id).is_empty())
                }
                _ => false,
            };
            if is_candidate {
                found.push(actual.clone());
            }
        }
        // What hangs on a load balancer or a target group is asked for by its ARN, and what hangs on a listener by its.
        for _ in 0..2 {
            let more: Vec<Actual> = listed
                .iter()
                .filter(|actual| found.iter().all(|other| other.id != actual.id))
                .filter(|actual| {
                    let on = match &actual.spec {
                        Spec::Listener(listener) => &listener.load_balancer,
                        Spec::ListenerRule(rule) => &rule.listener,
                        Spec::ListenerCertificate(listed) => &listed.listener,
                        Spec::Target(target) => &target.target_group,
                        _ => return false,
                    };
                    found.iter().any(|other| other.id == known(on))
                })
                .cloned()
                .collect();
            found.extend(more);
        }
        for actual in &mut found {
            match &mut actual.spec {
                Spec::TargetGroup(group) if !query.details.target_group_attributes => group.attributes.clear(),
                Spec::Listener(listener) if !query.details.listener_attributes => listener.attributes.clear(),
                _ => {}
            }
        }
        let own = found.iter().filter_map(|actual| match &actual.spec {
            Spec::SecurityGroup(group) => Some((
                actual.id.parse().unwrap(),
                self.facts_of_own(actual, &group.vpc, &group.name, &group.ingress),
            )),
            _ => None,
        });
        let instances: BTreeMap<_, _> = self
            .instances
            .iter()
            .filter(|(id, _)| query.instances.contains(*id))
            .map(|(id, instance)| (id.clone(), instance.clone()))
            .collect();
        let vpcs: Vec<_> = instances.values().map(|instance| instance.vpc.clone()).collect();
        let carried: Vec<SecurityGroupId> = instances
            .values()
            .flat_map(|instance| instance.security_groups.iter().cloned())
            .collect();
        let is_touched = |id: &SecurityGroupId, facts: &GroupFacts| {
            carried.contains(id)
                || recorded.contains(id.as_str())
                || facts.ingress.keys().any(|rule| recorded.contains(rule.as_str()))
        };
        let groups = self
            .groups
            .keys()
            .filter_map(|id| Some((id, self.group_shown(id, now)?)))
            .filter(|(id, facts)| is_touched(id, facts))
            .map(|(id, facts)| (id.clone(), facts.clone()));
        Observed {
            identity: self.identity.clone(),
            subnets: self
                .subnets
                .iter()
                .filter(|subnet| vpcs.contains(&subnet.vpc))
                .cloned()
                .collect(),
            interfaces: self
                .interfaces
                .iter()
                .filter(|interface| interface.security_groups.iter().any(|group| carried.contains(group)))
                .cloned()
                .collect(),
            security_groups: groups.chain(own).collect(),
            zones: self.zones.clone(),
            record_sets: self.records.clone(),
            tls_policies: [reconcile_core::config::defaults::TLS_POLICY.to_owned()].into(),
            found,
            instances,
        }
    }

    fn facts_of_own(
        &self,
        actual: &Actual,
        vpc: &reconcile_core::value::VpcId,
        name: &str,
        ingress: &std::collections::BTreeSet<Rule>,
    ) -> GroupFacts {
        GroupFacts {
            name: name.to_owned(),
            vpc: vpc.clone(),
            owner: self.identity.account.clone(),
            ingress: ingress
                .iter()
                .enumerate()
                .map(|(number, rule)| {
                    let rule = GroupRule {
                        rule: rule.clone(),
                        description: None,
                        tags: Tags::new(),
                    };
                    (format!("sgr-{}-{number}", actual.id), rule)
                })
                .collect(),
            tags: actual.tags.clone(),
        }
    }

    /// Looks for what an earlier, interrupted creation may have made, as the real cloud does it for each kind.
    pub(crate) fn find(&self, desired: &Spec, now: Timestamp) -> Option<Actual> {
        match desired {
            Spec::Certificate(wanted) => {
                let mut candidates: Vec<Actual> = self
                    .listed(now)
                    .into_iter()
                    .filter(|actual| {
                        matches!(&actual.spec, Spec::Certificate(found)
                            if found.names == wanted.names && found.key_algorithm == wanted.key_algorithm)
                            && is_same_resource(&actual.tags, &wanted.tags)
                    })
                    .collect();
                candidates.sort_by_key(|actual| {
                    let issued = matches!(&actual.status, Status::Certificate { state, .. } if state == "ISSUED");
                    (!issued, actual.id.clone())
                });
                candidates.into_iter().next()
            }
            Spec::SecurityGroup(_) | Spec::TargetGroup(_) | Spec::LoadBalancer(_) | Spec::Listener(_) => {
                let id = self.namesake(desired)?.id.clone();
                self.read(&id, now)
            }
            Spec::ListenerRule(wanted) => {
                let rules = self.listed(now).into_iter().filter_map(|actual| match &actual.spec {
                    Spec::ListenerRule(rule) if rule.listener == wanted.listener => {
                        let ours = is_same_resource(&actual.tags, &wanted.tags);
                        let equal = rule.conditions == wanted.conditions;
                        (ours || equal).then_some(((ours, equal, std::cmp::Reverse(rule.priority)), actual))
                    }
                    _ => None,
                });
                rules.max_by_key(|(score, _)| *score).map(|(_, actual)| actual)
            }
            desired => self.by_content("", desired, now),
        }
    }

    /// Reads an object of a kind whose identity is its content.
    pub(crate) fn by_content(&self, id: &str, like: &Spec, now: Timestamp) -> Option<Actual> {
        match like {
            Spec::Target(target) => self.read(
                &format!("{}/{}:{}", target.target_group, target.instance, target.port),
                now,
            ),
            Spec::ListenerCertificate(listed) => self.read(&format!("{}#{}", listed.listener, listed.certificate), now),
            Spec::InstanceIngress(like) => {
                let facts = self.group_shown(&like.group, now)?;
                let rule = wanted_rule(like);
                let by_id = facts.ingress.get_key_value(id);
                let (id, found) = by_id.or_else(|| facts.ingress.iter().find(|(_, found)| found.rule == rule))?;
                Some(plain(
                    id,
                    Spec::InstanceIngress(InstanceIngress {
                        group: like.group.clone(),
                        port: found.rule.exact_tcp_port()?,
                        source: Ref::Known(found.rule.peer.to_string()),
                        tags: found.tags.clone(),
                    }),
                ))
            }
            Spec::PortClosure(like) => {
                let facts = self.group_shown(&like.group, now)?;
                let stands = |id: &String, rule: &Rule| {
                    facts
                        .ingress
                        .iter()
                        .any(|(other, found)| other == id || found.rule == *rule)
                };
                let open = like
                    .open
                    .iter()
                    .filter(|(id, rule)| stands(id, rule))
                    .map(|(id, rule)| (id.clone(), rule.clone()));
                Some(plain(
                    like.group.as_str(),
                    Spec::PortClosure(PortClosure {
                        group: like.group.clone(),
                        open: open.collect(),
                        descriptions: BTreeMap::new(),
                    }),
                ))
            }
            Spec::AliasRecord(like) => self.alias_record(&like.zone, &like.name),
            Spec::ValidationRecord(like) => self.validation_record(&like.zone, known(&like.name)),
            other => unreachable!("{} has ids", other.kind()),
        }
    }
}

pub(crate) fn wanted_rule(ingress: &InstanceIngress) -> Rule {
    Rule::tcp(ingress.port, Peer::Group(known(&ingress.source).parse().unwrap()))
}

/// Whether tags mark the same resource of the same stack.
pub(crate) fn is_same_resource(found: &Tags, wanted: &Tags) -> bool {
    [naming::STACK_TAG, naming::RESOURCE_TAG]
        .iter()
        .all(|key| wanted.contains_key(*key) && found.get(*key) == wanted.get(*key))
}
