//! What is said of a stack, in worlds that differ from a healthy one in one thing.

mod certificates;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    check::Verdict,
    observed::{CertificateLife, Identity, Renewal, Status, StoredAlias},
    plan::{Consequence, Finding, Severity, Stage, StepId},
    planner::Refusal,
    resource::{Certificate, LoadBalancer, Outputs, PortClosure, Ref, Rule, Target},
    state::{Cutover, Entry, Intent, Operation, Origin, Retired},
    value::Seconds,
};

const CONFIG: &str = r#"
[site.www]
domain   = "www.example.com"
aliases  = ["*.www.example.com"]
instance = "i-0a"
health   = { path = "/" }
"#;
const CERTIFICATE: &str = "arn:aws:acm:ap-northeast-1:123456789012:certificate/1";
const BALANCER: &str = "arn:lb";

/// A world that can be changed and judged.
#[derive(Clone)]
struct Scene {
    config: Config,
    observed: Observed,
    state: State,
    plan: Result<Plan, Refused>,
    outside: Outside,
}

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn days(days: i64) -> Timestamp {
    now().checked_add(SignedDuration::from_hours(24 * days)).unwrap()
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn record(name: &str, record_type: &str, values: &[&str]) -> RecordSet {
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

fn found(id: &str, spec: Spec, outputs: Outputs, status: Status) -> Actual {
    Actual {
        id: id.to_owned(),
        spec,
        outputs,
        status,
        tags: BTreeMap::new(),
    }
}

fn certificate() -> Actual {
    let name: DomainName = "www.example.com".parse().unwrap();
    let spec = Spec::Certificate(Certificate {
        domain: Some(name.clone()),
        names: BTreeSet::from([name.clone(), "*.www.example.com".parse().unwrap()]),
        key_algorithm: crate::config::KeyAlgorithm::Rsa2048,
        tags: BTreeMap::new(),
    });
    let outputs = Outputs::from([
        (Output::ValidationName(name.clone()), "_x.www.example.com".to_owned()),
        (
            Output::ValidationValue(name.clone()),
            "_y.acm-validations.aws".to_owned(),
        ),
    ]);
    let status = Status::Certificate {
        state: "ISSUED".to_owned(),
        failure_reason: None,
        certificate_type: "AMAZON_ISSUED".to_owned(),
        in_use_by: vec![BALANCER.to_owned()],
        pending_names: Vec::new(),
        life: Box::new(CertificateLife {
            not_before: Some(days(-8)),
            not_after: Some(days(190)),
            serial: Some("ab1".to_owned()),
            renewal_eligibility: Some("ELIGIBLE".to_owned()),
            renewal: None,
            validation_methods: BTreeMap::from([(name, "DNS".to_owned())]),
        }),
    };
    found(CERTIFICATE, spec, outputs, status)
}

fn load_balancer() -> Actual {
    let spec = Spec::LoadBalancer(LoadBalancer {
        name: "www-alb".to_owned(),
        scheme: crate::config::Scheme::InternetFacing,
        vpc: "vpc-1".parse().unwrap(),
        ip_address_type: crate::config::IpAddressType::Ipv4,
        subnets: BTreeSet::new(),
        security_group: Ref::Known("sg-1".to_owned()),
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    });
    let outputs = Outputs::from([(Output::DnsName, "Alb-1.elb.amazonaws.com".to_owned())]);
    let status = Status::LoadBalancer {
        state: "active".to_owned(),
        reason: None,
    };
    found(BALANCER, spec, outputs, status)
}

fn target(id: &str, instance: &str, state: &str) -> Actual {
    let spec = Spec::Target(Target {
        target_group: Ref::Known("arn:tg".to_owned()),
        instance: instance.parse().unwrap(),
        port: 443,
    });
    let status = Status::Target {
        state: state.to_owned(),
        reason: (state != "healthy").then(|| "Target.Timeout".to_owned()),
        description: None,
    };
    found(id, spec, Outputs::new(), status)
}

fn scene_of(config: &str) -> Scene {
    let config = Config::read("reconcile.toml", config).unwrap();
    let alias = RecordSet {
        ttl: None,
        alias: Some(StoredAlias {
            name: "dualstack.alb-1.elb.amazonaws.com.".to_owned(),
            zone: "ZELB".to_owned(),
            evaluate_target_health: false,
        }),
        ..record("www.example.com", "A", &[])
    };
    let observed = Observed {
        identity: Identity {
            account: "123456789012".parse().unwrap(),
            region: "ap-northeast-1".parse().unwrap(),
            partition: "aws".to_owned(),
        },
        instances: BTreeMap::new(),
        subnets: Vec::new(),
        security_groups: BTreeMap::new(),
        interfaces: Vec::new(),
        zones: vec![HostedZone {
            id: "Z1".parse().unwrap(),
            name: "example.com".parse().unwrap(),
            private: false,
            linked_service: None,
        }],
        record_sets: vec![
            alias,
            record("_x.www.example.com", "CNAME", &["_Y.acm-validations.aws."]),
        ],
        tls_policies: BTreeSet::new(),
        found: vec![certificate(), load_balancer(), target("t1", "i-0a", "healthy")],
    };
    let mut state = State::empty(config.name.clone(), "lineage".to_owned());
    for (text, id) in [
        ("certificate.www", CERTIFICATE),
        ("validation_record.www.example.com", "Z1/_x.www.example.com/CNAME"),
        ("load_balancer.main", BALANCER),
        ("listener.443", "arn:listener"),
        ("target.www.i-0a", "t1"),
        ("alias_record.www.example.com", "Z1/www.example.com"),
        ("port_closure.sg-a", "sg-a"),
    ] {
        let entry = Entry {
            id: id.to_owned(),
            outputs: Outputs::new(),
            origin: Origin::Created,
            recorded_at: days(-8),
        };
        state.resources.insert(address(text), entry);
    }
    let mut listener = load_balancer();
    listener.id = "arn:listener".to_owned();
    listener.status = Status::Exists;
    listener.spec = target("", "i-0a", "healthy").spec;
    let mut observed = observed;
    observed.found.push(listener);
    let plan = Plan {
        format_version: crate::plan::FORMAT_VERSION,
        purpose: crate::plan::Purpose::Apply,
        stack: config.name.clone(),
        steps: Vec::new(),
        unchanged: state.resources.keys().cloned().collect(),
        findings: Vec::new(),
    };
    let served = Served {
        serial: "ab1".to_owned(),
        issuer: "O=Amazon".to_owned(),
        not_after: days(190),
    };
    let site: SiteName = config.sites.keys().next().unwrap().clone();
    let outside = Outside {
        cnames: BTreeMap::from([(
            "_x.www.example.com".parse().unwrap(),
            Ok(vec!["_y.acm-validations.aws".to_owned()]),
        )]),
        authorities: BTreeMap::from([("com".to_owned(), Ok(Vec::new()))]),
        served: BTreeMap::from([(site, Ok(served))]),
    };
    Scene {
        config,
        observed,
        state,
        plan: Ok(plan),
        outside,
    }
}

fn scene() -> Scene {
    scene_of(CONFIG)
}

impl Scene {
    fn report(&self) -> Report {
        judge(&World {
            config: &self.config,
            observed: &self.observed,
            state: &self.state,
            plan: self.plan.as_ref(),
            outside: &self.outside,
            now: now(),
        })
    }

    /// Every line that is not ok, as `verdict subject name: message`.
    fn trouble(&self) -> Vec<String> {
        let report = self.report();
        let checks = report.checks().filter(|check| check.verdict != Verdict::Ok);
        checks
            .map(|check| {
                format!(
                    "{} {} {}: {}",
                    check.verdict.name(),
                    check.subject,
                    check.name,
                    check.message
                )
            })
            .collect()
    }

    /// The only line that is not ok.
    #[track_caller]
    fn only(&self) -> String {
        let mut trouble = self.trouble();
        assert_eq!(trouble.len(), 1, "{trouble:#?}");
        trouble.remove(0)
    }

    fn life(&mut self) -> &mut CertificateLife {
        match &mut self.observed.found[0].status {
            Status::Certificate { life, .. } => life,
            other => panic!("{other:?}"),
        }
    }

    fn without_record(mut self, name: &str) -> Self {
        self.observed.record_sets.retain(|set| set.name.as_str() != name);
        self
    }

    fn step(mut self, text: &str, action: Action, reason: &str) -> Self {
        let plan = self.plan.as_mut().unwrap();
        plan.unchanged.retain(|unchanged| *unchanged != address(text));
        plan.steps.push(Step {
            id: StepId(1),
            address: address(text),
            action,
            changes: Vec::new(),
            stage: Stage::Prepare,
            consequence: Consequence::None,
            reason: reason.to_owned(),
            after: Vec::new(),
        });
        self
    }
}

#[test]
fn a_healthy_stack_has_nothing_to_say() {
    let scene = scene();
    assert_eq!(scene.trouble(), Vec::<String>::new());
    let report = scene.report();
    assert_eq!(report.verdict, Verdict::Ok);
    let lines: Vec<String> = report
        .groups
        .iter()
        .flat_map(|group| {
            let checks = group.checks.iter();
            checks.map(|check| format!("{} | {} | {}", check.subject, check.name, check.message))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    certificate.www | health | ISSUED; as configured
    validation_record.www.example.com | health | in place; as configured
    load_balancer.main | health | active; as configured
    listener.443 | health | there; as configured
    target.www.i-0a | health | healthy; as configured
    alias_record.www.example.com | health | A leads to the load balancer; as configured
    port_closure.sg-a | health | closed to all but the load balancer; as configured
    certificate.www | type | issued by Amazon
    certificate.www | days left | 190, until 2027-06-01T12:00:00Z
    certificate.www | in use | by the load balancer
    certificate.www | eligible for renewal | yes
    certificate.www | served for www | the one that ACM holds
    certificate.www | validation record www.example.com | as ACM wants it
    certificate.www | CAA *.www.example.com | no records, so that Amazon may issue
    certificate.www | CAA www.example.com | no records, so that Amazon may issue
    ");
}

#[test]
fn everything_that_is_not_known_is_asked() {
    let scene = scene();
    let questions = questions(&scene.config, &scene.observed, &scene.state);
    assert_eq!(questions.cnames.len(), 1);
    assert_eq!(questions.authorities, BTreeSet::from(["com".to_owned()]));
    assert_eq!(questions.unlisted, Vec::new());
    let handshake = questions.handshakes.values().next().unwrap();
    assert_eq!((handshake.name.as_str(), handshake.port), ("www.example.com", 443));
    // A large zone is not listed as a whole.
    let scene = scene.without_record("_x.www.example.com");
    let questions = super::questions(&scene.config, &scene.observed, &scene.state);
    assert_eq!(questions.unlisted[0].name.to_string(), "_x.www.example.com");
    // The runner cannot reach the load balancer.
    let scene = scene_of(&format!("{CONFIG}\n[prove]\nrequest = \"off\"\n"));
    assert!(
        super::questions(&scene.config, &scene.observed, &scene.state)
            .handshakes
            .is_empty()
    );
}
