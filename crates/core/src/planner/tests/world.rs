//! A world to plan in, and what AWS would make of a plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    config::Config,
    diff, naming,
    observed::{
        Actual, GroupFacts, GroupRule, HostedZone, Identity, Instance, Interface, Observed, RecordSet, Status,
        StoredAlias, Subnet,
    },
    plan::{Action, Condition, Plan},
    resource::{Address, Kind, Output, Outputs, Peer, Ref, Rule, Spec, Tags},
    state::{Cutover, Entry, Origin, Retired, Saved, State},
    value::Seconds,
};

pub(super) const CONFIG: &str = r#"
region = "ap-northeast-1"

[site.www]
domain   = "www.example.com"
instance = "i-0a"
health   = { path = "/" }
"#;

pub(super) fn config(text: &str) -> Config {
    Config::read("reconcile.toml", text).unwrap()
}

pub(super) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub(super) fn state(config: &Config) -> State {
    State::empty(config.name.clone(), "lineage".to_owned())
}

pub(super) fn record(name: &str, record_type: &str, ttl: u32, values: &[&str]) -> RecordSet {
    RecordSet {
        zone: "Z1".parse().unwrap(),
        name: name.parse().unwrap(),
        record_type: record_type.to_owned(),
        ttl: Some(ttl),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        alias: None,
        set_identifier: None,
        traffic_policy_instance: None,
    }
}

pub(super) fn rule(text: &str) -> GroupRule {
    GroupRule {
        rule: text.parse().unwrap(),
        description: None,
        tags: Tags::new(),
    }
}

pub(super) fn subnet(id: &str, zone: &str, public: bool) -> Subnet {
    Subnet {
        id: id.parse().unwrap(),
        vpc: "vpc-1".parse().unwrap(),
        availability_zone: zone.to_owned(),
        public,
        free_addresses: 200,
        prefix_length: 24,
        has_ipv6: false,
        public_access_blocked: false,
    }
}

/// The seed's world: one instance with a public address and its own group, in a VPC with two public subnets and a
/// private one, and a hosted zone whose record points at the instance.
pub(super) fn seed() -> Observed {
    let group = GroupFacts {
        name: "web".to_owned(),
        vpc: "vpc-1".parse().unwrap(),
        owner: "123456789012".parse().unwrap(),
        ingress: BTreeMap::from([
            ("sgr-22".to_owned(), rule("tcp 22 0.0.0.0/0")),
            ("sgr-80".to_owned(), rule("tcp 80 0.0.0.0/0")),
            ("sgr-443".to_owned(), rule("tcp 443 0.0.0.0/0")),
        ]),
        tags: Tags::new(),
    };
    let instance = Instance {
        state: "running".to_owned(),
        vpc: "vpc-1".parse().unwrap(),
        subnet: "subnet-a".parse().unwrap(),
        availability_zone: "ap-northeast-1a".to_owned(),
        public_address: Some("203.0.113.10".parse().unwrap()),
        elastic: true,
        ipv6_addresses: BTreeSet::new(),
        private_address: Some("10.0.0.5".parse().unwrap()),
        primary_interface: "eni-a".to_owned(),
        security_groups: BTreeSet::from(["sg-a".parse().unwrap()]),
    };
    Observed {
        identity: Identity {
            account: "123456789012".parse().unwrap(),
            region: "ap-northeast-1".parse().unwrap(),
            partition: "aws".to_owned(),
        },
        instances: BTreeMap::from([("i-0a".parse().unwrap(), instance)]),
        subnets: vec![
            subnet("subnet-a", "ap-northeast-1a", true),
            subnet("subnet-c", "ap-northeast-1c", true),
            subnet("subnet-d", "ap-northeast-1d", false),
        ],
        security_groups: BTreeMap::from([("sg-a".parse().unwrap(), group)]),
        interfaces: vec![Interface {
            id: "eni-a".to_owned(),
            security_groups: BTreeSet::from(["sg-a".parse().unwrap()]),
            instance: Some("i-0a".parse().unwrap()),
            description: String::new(),
        }],
        zones: vec![HostedZone {
            id: "Z1".parse().unwrap(),
            name: "example.com".parse().unwrap(),
            private: false,
            linked_service: None,
        }],
        record_sets: vec![record("www.example.com", "A", 300, &["203.0.113.10"])],
        tls_policies: BTreeSet::from([crate::config::defaults::TLS_POLICY.to_owned()]),
        found: Vec::new(),
    }
}

/// Carries out a plan on an observed world, as AWS would if nothing went wrong.
pub(super) fn apply(plan: &Plan, observed: &mut Observed, state: &mut State) {
    for step in &plan.steps {
        match &step.action {
            Action::Create { desired } => {
                let made = made(observed, state, &step.address, desired);
                if step.address.kind() == Kind::AliasRecord {
                    cut_over(state, &step.address);
                }
                let id = put(observed, state, &step.address, made.as_ref(), desired);
                set(state, &step.address, id);
            }
            Action::Replace {
                retire,
                observed: old,
                desired,
            } => {
                let made = made(observed, state, &step.address, desired);
                let id = put(observed, state, &step.address, made.as_ref(), desired);
                set(state, &step.address, id);
                state.retired.push(Retired {
                    address: step.address.clone(),
                    id: retire.clone(),
                    spec: old.clone(),
                    retired_at: now(),
                });
            }
            Action::Update {
                id,
                desired,
                observed: before,
            } => {
                remember(state, &step.address, before, desired);
                let id = put(observed, state, &step.address, Some(id), desired);
                set(state, &step.address, id);
            }
            Action::Delete { id, .. } => {
                let id = match id {
                    Ref::Known(id) => id.clone(),
                    Ref::Of(address, _) => state.id(address).unwrap_or_default().to_owned(),
                };
                let id = &id;
                observed
                    .found
                    .retain(|actual| actual.id != *id || actual.spec.kind() != step.address.kind());
                cascade(observed);
                if let (Kind::AliasRecord | Kind::ValidationRecord, Some((_, name))) =
                    (step.address.kind(), id.split_once('/'))
                {
                    let name = name.trim_end_matches("/CNAME");
                    observed.record_sets.retain(|set| set.name.as_str() != name);
                }
                for facts in observed.security_groups.values_mut() {
                    facts.ingress.remove(id);
                }
                if state.id(&step.address).is_none_or(|current| current == id) {
                    state.resources.remove(&step.address);
                    state.saved.remove(&step.address);
                    state.cutovers.remove(&step.address);
                }
                state
                    .retired
                    .retain(|retired| retired.id != *id || retired.address != step.address);
            }
            Action::Reinstate { id, retire, observed } => {
                state.retired.retain(|retired| retired.id != *id);
                state.retired.push(Retired {
                    address: step.address.clone(),
                    id: retire.clone(),
                    spec: observed.clone(),
                    retired_at: now(),
                });
                set(state, &step.address, id.clone());
            }
            Action::Record { id } => {
                set(state, &step.address, id.clone());
                cut_over(state, &step.address);
            }
            Action::Forget { id } => {
                state
                    .retired
                    .retain(|retired| retired.id != *id || retired.address != step.address);
                if state.id(&step.address).is_none_or(|current| current == id) {
                    state.resources.remove(&step.address);
                    state.saved.remove(&step.address);
                    state.cutovers.remove(&step.address);
                }
            }
            Action::Wait { condition, .. } => wait(observed, state, condition),
        }
    }
}

/// What hangs on something that is gone is gone too.
fn cascade(observed: &mut Observed) {
    loop {
        let ids: BTreeSet<String> = observed.found.iter().map(|actual| actual.id.clone()).collect();
        let before = observed.found.len();
        observed.found.retain(|actual| {
            let on = match &actual.spec {
                Spec::Listener(listener) => &listener.load_balancer,
                Spec::ListenerRule(rule) => &rule.listener,
                Spec::ListenerCertificate(listed) => &listed.listener,
                Spec::WebAclAssociation(association) => &association.load_balancer,
                Spec::Target(target) => &target.target_group,
                _ => return true,
            };
            ids.contains(on.known().unwrap())
        });
        if observed.found.len() == before {
            break;
        }
    }
}

/// What an earlier run made and could not record.
fn made(observed: &Observed, state: &State, address: &Address, desired: &Spec) -> Option<String> {
    let is_known = |id: &str| state.id(address) == Some(id) || state.retired.iter().any(|retired| retired.id == id);
    let mut wanted = desired.clone();
    resolve(observed, state, address, &mut wanted);
    let fits = |actual: &&Actual| {
        actual.spec.kind() == address.kind()
            && diff::changes(&actual.spec, &wanted)
                .iter()
                .all(|change| !change.forces_replacement)
            && (!address.kind().has_id()
                || (!is_known(&actual.id) && naming::is_owned(&actual.tags, &state.stack, address)))
    };
    observed.found.iter().find(fits).map(|actual| actual.id.clone())
}

/// What the engine remembers before a change.
fn remember(state: &mut State, address: &Address, before: &Spec, after: &Spec) {
    let saved = |spec: Spec| Saved { spec, saved_at: now() };
    match (before, after) {
        (Spec::AliasRecord(record), _) => {
            if record.records.values().any(|data| data.alias.is_none()) {
                state.saved.insert(address.clone(), saved(before.clone()));
            }
            cut_over(state, address);
        }
        (Spec::PortClosure(standing), Spec::PortClosure(wanted))
            if !standing.open.is_empty() && wanted.open.is_empty() =>
        {
            state.saved.insert(address.clone(), saved(before.clone()));
        }
        _ => {}
    }
}

fn set(state: &mut State, address: &Address, id: String) {
    state
        .retired
        .retain(|retired| retired.id != id || retired.address != *address);
    let entry = Entry {
        id,
        outputs: Outputs::new(),
        origin: Origin::Created,
        recorded_at: now(),
    };
    state.resources.insert(address.clone(), entry);
}

fn cut_over(state: &mut State, address: &Address) {
    if address.kind() == Kind::AliasRecord {
        let long_ago = now().checked_sub(jiff::SignedDuration::from_hours(24)).unwrap();
        let cutover = Cutover {
            dns_change: None,
            old_ttl: Seconds::new(300),
            in_sync_at: Some(long_ago),
            found: false,
        };
        state.cutovers.insert(address.clone(), cutover);
    }
}

fn wait(observed: &mut Observed, state: &State, condition: &Condition) {
    let Some(address) = condition.resource() else { return };
    let id = state.id(address).unwrap_or_default().to_owned();
    for actual in observed.found.iter_mut().filter(|actual| actual.id == id) {
        match &mut actual.status {
            Status::Certificate { state, .. } => "ISSUED".clone_into(state),
            Status::LoadBalancer { state, .. } => "active".clone_into(state),
            Status::Target { state, .. } => "healthy".clone_into(state),
            Status::Exists => {}
        }
    }
}

fn resolve(observed: &Observed, state: &State, address: &Address, spec: &mut Spec) {
    for reference in spec.references_mut() {
        if let Ref::Of(of, output) = &*reference {
            let id = state.id(of).unwrap_or_else(|| panic!("{address} needs {of} first"));
            let outputs = &observed.by_id(id).unwrap().outputs;
            *reference = Ref::Known(if *output == Output::Id {
                id.to_owned()
            } else {
                outputs[output].clone()
            });
        }
    }
}

fn put(observed: &mut Observed, state: &State, address: &Address, id: Option<&String>, desired: &Spec) -> String {
    let mut spec = desired.clone();
    resolve(observed, state, address, &mut spec);
    match &spec {
        Spec::AliasRecord(record) => {
            observed
                .record_sets
                .retain(|set| set.name != record.name || !matches!(set.record_type.as_str(), "A" | "AAAA" | "CNAME"));
            for (record_type, data) in &record.records {
                observed.record_sets.push(RecordSet {
                    zone: record.zone.clone(),
                    name: record.name.clone(),
                    record_type: record_type.as_str().to_owned(),
                    ttl: data.ttl,
                    values: data.values.clone(),
                    alias: data.alias.as_ref().map(|alias| StoredAlias {
                        name: format!("dualstack.{}.", alias.name),
                        zone: alias.zone.to_string(),
                        evaluate_target_health: alias.evaluate_target_health,
                    }),
                    set_identifier: None,
                    traffic_policy_instance: None,
                });
            }
            return format!("{}/{}", record.zone, record.name);
        }
        Spec::ValidationRecord(wanted) => {
            let name = wanted.name.known().unwrap();
            let set = record(name, "CNAME", 300, &[wanted.value.known().unwrap()]);
            observed.record_sets.push(set);
            return format!("{}/{name}/CNAME", wanted.zone);
        }
        Spec::InstanceIngress(ingress) => {
            let id = id.cloned().unwrap_or_else(|| format!("sgr-{}", address.key()));
            let source = Peer::Group(ingress.source.known().unwrap().parse().unwrap());
            let rule = GroupRule {
                rule: Rule::tcp(ingress.port, source),
                description: None,
                tags: ingress.tags.clone(),
            };
            observed
                .security_groups
                .get_mut(&ingress.group)
                .unwrap()
                .ingress
                .insert(id.clone(), rule);
            return id;
        }
        Spec::PortClosure(closure) => {
            let facts = observed.security_groups.get_mut(&closure.group).unwrap();
            facts
                .ingress
                .retain(|_, rule| !rule.rule.is_world_open() || rule.rule.admits_tcp(22));
            for (id, open) in &closure.open {
                let again = GroupRule {
                    rule: open.clone(),
                    description: closure.descriptions.get(id).cloned(),
                    tags: Tags::new(),
                };
                facts.ingress.insert(format!("{id}-again"), again);
            }
            return closure.group.to_string();
        }
        _ => {}
    }
    let settings = spec.settings().to_string();
    let is_free = |fresh: &String| !observed.found.iter().any(|actual| actual.id.contains(fresh.as_str()));
    let fresh = (0..1_000_usize)
        .map(|number| naming::short_hash(&[&settings, &number.to_string()], 8))
        .find(is_free)
        .unwrap();
    let id = id.cloned().unwrap_or_else(|| match &spec {
        Spec::SecurityGroup(_) => format!("sg-{fresh}"),
        Spec::Target(target) => format!("{}/{}:{}", target.target_group, target.instance, target.port),
        Spec::ListenerCertificate(listed) => format!("{}/{}", listed.listener, listed.certificate),
        spec => format!("arn:{}:{fresh}", spec.kind()),
    });
    let mut outputs = Outputs::from([(Output::Id, id.clone())]);
    let status = match &spec {
        Spec::Certificate(certificate) => {
            for name in &certificate.names {
                let name = name.without_wildcard();
                outputs.insert(Output::ValidationName(name.clone()), format!("_x.{name}"));
                outputs.insert(Output::ValidationValue(name), "_y.acm-validations.aws".to_owned());
            }
            Status::Certificate {
                state: "PENDING_VALIDATION".to_owned(),
                failure_reason: None,
                certificate_type: "AMAZON_ISSUED".to_owned(),
                in_use_by: Vec::new(),
                pending_names: Vec::new(),
                life: Box::default(),
            }
        }
        Spec::LoadBalancer(_) => {
            outputs.insert(Output::DnsName, format!("alb-{fresh}.ap-northeast-1.elb.amazonaws.com"));
            outputs.insert(Output::ZoneId, "ZELB".to_owned());
            Status::LoadBalancer {
                state: "provisioning".to_owned(),
                reason: None,
            }
        }
        Spec::Target(_) => Status::Target {
            state: "initial".to_owned(),
            reason: None,
            description: None,
        },
        _ => Status::Exists,
    };
    let tags = spec.tags().cloned().unwrap_or_default();
    let kept = observed.by_id(&id).map(|old| (old.outputs.clone(), old.status.clone()));
    observed.found.retain(|actual| actual.id != id);
    let (outputs, status) = kept.unwrap_or((outputs, status));
    observed.found.push(Actual {
        id: id.clone(),
        spec,
        outputs,
        status,
        tags,
    });
    id
}
