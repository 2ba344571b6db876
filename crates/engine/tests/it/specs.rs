//! A small stack: what is wanted, what stood there before, and plans of single steps.

use std::collections::BTreeMap;

use reconcile_core::{
    config::{IpAddressType, KeyAlgorithm, Protocol, Scheme, StackName},
    naming,
    plan::{Action, Condition, Consequence, FORMAT_VERSION, Plan, Stage, Step, StepId},
    resource::{
        Address, AliasRecord, AliasTarget, Certificate, DefaultAction, HealthCheck, InstanceIngress, Listener,
        LoadBalancer, Output, PortClosure, RecordData, RecordType, Ref, Rule, SecurityGroup, Spec, Tags, Target,
        TargetGroup, ValidationRecord,
    },
    state::{Entry, Origin, State},
    value::{DomainName, Seconds, SecurityGroupId},
};

use crate::simulation::Sim;

pub(crate) const CERTIFICATE: &str = "certificate.www";
pub(crate) const VALIDATION: &str = "validation_record.www.example.com";
pub(crate) const GROUP: &str = "security_group.load_balancer";
pub(crate) const INGRESS: &str = "instance_ingress.sg-0a1b2c3d:443";
pub(crate) const TARGET_GROUP: &str = "target_group.www";
pub(crate) const LOAD_BALANCER: &str = "load_balancer.main";
pub(crate) const LISTENER: &str = "listener.443";
pub(crate) const TARGET: &str = "target.www";
pub(crate) const RECORD: &str = "alias_record.www.example.com";
pub(crate) const CLOSURE: &str = "port_closure.sg-0a1b2c3d";

pub(crate) fn stack() -> StackName {
    serde_json::from_str("\"web\"").unwrap()
}

pub(crate) fn state() -> State {
    State::empty(stack(), "lineage".to_owned())
}

pub(crate) fn at(address: &str) -> Address {
    address.parse().unwrap()
}

pub(crate) fn name() -> DomainName {
    "www.example.com".parse().unwrap()
}

pub(crate) fn instance_group() -> SecurityGroupId {
    "sg-0a1b2c3d".parse().unwrap()
}

fn tags(address: &str) -> Tags {
    naming::ownership(&stack(), &at(address))
}

fn of(address: &str, output: Output) -> Ref {
    Ref::Of(at(address), output)
}

/// Everything that is wanted, with references to what is not there yet.
pub(crate) fn desired() -> BTreeMap<Address, Spec> {
    [
        CERTIFICATE,
        VALIDATION,
        GROUP,
        INGRESS,
        TARGET_GROUP,
        LOAD_BALANCER,
        LISTENER,
        TARGET,
        RECORD,
    ]
    .into_iter()
    .map(|address| (at(address), spec(address)))
    .collect()
}

/// What is wanted at one address.
pub(crate) fn spec(address: &str) -> Spec {
    let tags = tags(address);
    match address {
        CERTIFICATE => Spec::Certificate(Certificate {
            domain: Some(name()),
            names: [name()].into(),
            key_algorithm: KeyAlgorithm::Rsa2048,
            tags,
        }),
        VALIDATION => Spec::ValidationRecord(ValidationRecord {
            zone: "Z1".parse().unwrap(),
            name: of(CERTIFICATE, Output::ValidationName(name())),
            value: of(CERTIFICATE, Output::ValidationValue(name())),
        }),
        GROUP => Spec::SecurityGroup(SecurityGroup {
            name: "web-load-balancer".to_owned(),
            description: "load balancer".to_owned(),
            vpc: "vpc-0a1b2c3d".parse().unwrap(),
            ingress: ["tcp 443 0.0.0.0/0".parse().unwrap()].into(),
            egress: [].into(),
            tags,
        }),
        INGRESS => Spec::InstanceIngress(InstanceIngress {
            group: instance_group(),
            port: 443,
            source: of(GROUP, Output::Id),
            tags,
        }),
        TARGET_GROUP => target_group(443, "/"),
        LOAD_BALANCER => Spec::LoadBalancer(LoadBalancer {
            name: "web-1234".to_owned(),
            scheme: Scheme::InternetFacing,
            vpc: "vpc-0a1b2c3d".parse().unwrap(),
            ip_address_type: IpAddressType::Ipv4,
            subnets: ["subnet-0a1b2c3d".parse().unwrap(), "subnet-0a1b2c3e".parse().unwrap()].into(),
            security_group: of(GROUP, Output::Id),
            attributes: [("idle_timeout.timeout_seconds".to_owned(), "60".to_owned())].into(),
            tags,
        }),
        LISTENER => Spec::Listener(Listener {
            load_balancer: of(LOAD_BALANCER, Output::Id),
            port: 443,
            protocol: Protocol::Https,
            tls_policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()),
            certificate: Some(of(CERTIFICATE, Output::Id)),
            default_action: DefaultAction::Forward,
            target_group: Some(of(TARGET_GROUP, Output::Id)),
            redirect_to: None,
            fixed_response: None,
            attributes: [].into(),
            tags,
        }),
        TARGET => Spec::Target(Target {
            target_group: of(TARGET_GROUP, Output::Id),
            instance: "i-0123456789abcdef0".parse().unwrap(),
            port: 443,
        }),
        RECORD => record(RecordData {
            ttl: None,
            values: Vec::new(),
            alias: Some(AliasTarget {
                name: of(LOAD_BALANCER, Output::DnsName),
                zone: of(LOAD_BALANCER, Output::ZoneId),
                evaluate_target_health: false,
                stored_name: None,
            }),
        }),
        other => panic!("nothing is wanted at {other}"),
    }
}

/// The target group; the port cannot be changed in place, and is part of the name.
pub(crate) fn target_group(port: u16, path: &str) -> Spec {
    Spec::TargetGroup(TargetGroup {
        name: format!("web-www-{port}"),
        protocol: Protocol::Https,
        port,
        vpc: "vpc-0a1b2c3d".parse().unwrap(),
        health: HealthCheck {
            protocol: Protocol::Https,
            port: "traffic-port".to_owned(),
            path: path.to_owned(),
            codes: "200".to_owned(),
            interval: Seconds::new(30),
            timeout: Seconds::new(5),
            healthy: 2,
            unhealthy: 2,
        },
        attributes: [].into(),
        tags: tags(TARGET_GROUP),
    })
}

fn record(data: RecordData) -> Spec {
    Spec::AliasRecord(AliasRecord {
        zone: "Z1".parse().unwrap(),
        name: name(),
        records: [(RecordType::A, data)].into(),
    })
}

/// The record that leads to the instance.
pub(crate) fn old_record(ttl: u32) -> Spec {
    record(RecordData {
        ttl: Some(ttl),
        values: vec!["203.0.113.10".to_owned()],
        alias: None,
    })
}

/// The record that leads to a load balancer.
pub(crate) fn alias(target: &str) -> Spec {
    record(RecordData {
        ttl: None,
        values: Vec::new(),
        alias: Some(AliasTarget {
            name: Ref::Known(target.to_owned()),
            zone: Ref::Known("Z0ELB".to_owned()),
            evaluate_target_health: false,
            stored_name: None,
        }),
    })
}

/// Rules that stand open in the instance's group.
pub(crate) fn closure(open: &[(&str, &str)]) -> Spec {
    Spec::PortClosure(PortClosure {
        group: instance_group(),
        open: rules(open),
        descriptions: [].into(),
    })
}

pub(crate) fn rules(open: &[(&str, &str)]) -> BTreeMap<String, Rule> {
    open.iter()
        .map(|(id, rule)| ((*id).to_owned(), rule.parse().unwrap()))
        .collect()
}

/// A step; it is numbered by the plan.
pub(crate) fn step(address: &str, stage: Stage, action: Action) -> Step {
    Step {
        id: StepId(0),
        address: at(address),
        action,
        changes: Vec::new(),
        stage,
        consequence: Consequence::None,
        reason: String::new(),
        after: Vec::new(),
    }
}

pub(crate) fn create(address: &str) -> Step {
    step(address, Stage::Prepare, Action::Create { desired: spec(address) })
}

pub(crate) fn update(address: &str, id: &str, observed: &Spec, desired: &Spec) -> Step {
    let action = Action::Update {
        id: id.to_owned(),
        observed: observed.clone(),
        desired: desired.clone(),
    };
    step(address, stage_of(address), action)
}

pub(crate) fn wait(address: &str, stage: Stage, condition: Condition, deadline: u32) -> Step {
    let deadline = Seconds::new(deadline);
    step(address, stage, Action::Wait { condition, deadline })
}

pub(crate) fn plan(steps: impl IntoIterator<Item = Step>) -> Plan {
    let mut steps: Vec<Step> = steps.into_iter().collect();
    for (step, number) in steps.iter_mut().zip(1..) {
        step.id = StepId(number);
    }
    Plan {
        format_version: FORMAT_VERSION,
        purpose: reconcile_core::plan::Purpose::Apply,
        stack: stack(),
        steps,
        unchanged: Vec::new(),
        findings: Vec::new(),
    }
}

/// A world in which an earlier run made an object and recorded it.
pub(crate) fn with(objects: &[(&str, &Spec)]) -> Sim {
    let sim = Sim::new(state());
    for (address, spec) in objects {
        let id = sim.put(Some(&at(address)), spec);
        let entry = Entry {
            id,
            outputs: [].into(),
            origin: Origin::Created,
            recorded_at: sim.clock.now(),
        };
        sim.stored.borrow_mut().resources.insert(at(address), entry);
    }
    sim
}

fn stage_of(address: &str) -> Stage {
    match address {
        RECORD => Stage::Cutover,
        CLOSURE => Stage::Lockdown,
        _ => Stage::Prepare,
    }
}
