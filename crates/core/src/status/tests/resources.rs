//! What is said of resources, of what is under way, and of the plan.

use super::*;
use crate::{
    resource::{AliasRecord, RecordData, RecordType},
    state::Saved,
};

#[test]
fn an_unhealthy_target_is_a_failure_unless_another_serves() {
    let mut scene = scene();
    scene.observed.found[2] = target("t1", "i-0a", "unhealthy");
    assert_eq!(
        scene.only(),
        "failure target.www.i-0a health: unhealthy (Target.Timeout)"
    );
    scene.observed.found.push(target("t2", "i-0b", "healthy"));
    assert!(scene.only().starts_with("warning target.www.i-0a"));
}

#[test]
fn a_load_balancer_that_does_not_serve_is_a_failure() {
    for (state, verdict) in [
        ("provisioning", "warning"),
        ("active_impaired", "warning"),
        ("failed", "failure"),
    ] {
        let mut scene = scene();
        scene.observed.found[1].status = Status::LoadBalancer {
            state: state.to_owned(),
            reason: None,
        };
        assert!(
            scene
                .only()
                .starts_with(&format!("{verdict} load_balancer.main health: {state}"))
        );
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_a_failure_once_it_had_moved() {
    let mut scene = scene();
    scene.observed.record_sets[0] = record("www.example.com", "A", &["203.0.113.10"]);
    assert_eq!(
        scene.only(),
        "failure alias_record.www.example.com health: the A record leads elsewhere than to the load balancer: 203.0.113.10"
    );
    scene.state.resources.remove(&address("alias_record.www.example.com"));
    assert!(
        scene
            .only()
            .starts_with("warning alias_record.www.example.com health: not moved yet")
    );
}

#[test]
fn a_name_that_was_led_back_is_told_apart_from_one_that_somebody_changed() {
    let mut scene = scene();
    scene.observed.record_sets[0] = record("www.example.com", "A", &["203.0.113.11", "203.0.113.10"]);
    let data = RecordData {
        ttl: Some(300),
        values: vec!["203.0.113.10".to_owned(), "203.0.113.11".to_owned()],
        alias: None,
    };
    let before = Spec::AliasRecord(AliasRecord {
        zone: "Z1".parse().unwrap(),
        name: "www.example.com".parse().unwrap(),
        records: BTreeMap::from([(RecordType::A, data)]),
    });
    let saved = Saved {
        spec: before,
        saved_at: Timestamp::UNIX_EPOCH,
    };
    scene.state.saved.insert(address("alias_record.www.example.com"), saved);
    assert_eq!(
        scene.only(),
        "failure alias_record.www.example.com health: the A record leads where it did before the cutover: \
         203.0.113.11, 203.0.113.10"
    );
}

#[test]
fn what_is_gone_is_a_failure_and_what_was_never_made_a_warning() {
    let mut scene = scene();
    scene.observed.found.retain(|actual| actual.id != "arn:listener");
    assert!(scene.only().starts_with("failure listener.443 health: gone from AWS"));
    scene.state.resources.remove(&address("listener.443"));
    assert_eq!(scene.only(), "warning listener.443 health: not made yet");
}

#[test]
fn drift_is_told_without_the_plan() {
    let observed = target("t1", "i-0a", "healthy").spec;
    let changed = Action::Update {
        id: "t1".to_owned(),
        observed: observed.clone(),
        desired: observed.clone(),
    };
    let mut scene = scene().step("target.www.i-0a", changed, "");
    let change = crate::diff::Change {
        path: "port".to_owned(),
        before: None,
        after: None,
        forces_replacement: false,
    };
    scene.plan.as_mut().unwrap().steps[0].changes.push(change);
    assert_eq!(
        scene.only(),
        "warning target.www.i-0a configuration: would be changed: port"
    );
    let deleted = Action::Delete {
        id: Ref::Known("t1".to_owned()),
        observed,
    };
    let scene = scene_of(CONFIG).step("target.www.i-0a", deleted, "the configuration no longer asks for it");
    assert!(
        scene
            .only()
            .contains("would be deleted: the configuration no longer asks for it")
    );
}

#[test]
fn a_port_that_is_open_again_is_a_failure() {
    let closure = |open: &[&str]| {
        let open = open
            .iter()
            .map(|rule| ("sgr-1".to_owned(), rule.parse::<Rule>().unwrap()));
        Spec::PortClosure(PortClosure {
            group: "sg-a".parse().unwrap(),
            open: open.collect(),
            descriptions: [].into(),
        })
    };
    let action = Action::Update {
        id: "sg-a".to_owned(),
        observed: closure(&["tcp 443 0.0.0.0/0"]),
        desired: closure(&[]),
    };
    let mut scene = scene().step("port_closure.sg-a", action, "");
    assert_eq!(
        scene.only(),
        "failure port_closure.sg-a health: open to the world again: sgr-1 (tcp 443 0.0.0.0/0)"
    );
    scene.state.resources.remove(&address("port_closure.sg-a"));
    assert!(
        scene
            .only()
            .starts_with("warning port_closure.sg-a health: not closed yet")
    );
}

#[test]
fn what_is_under_way_is_told() {
    let wait = Action::Wait {
        condition: crate::plan::Condition::Drained {
            record: address("alias_record.www.example.com"),
            old_ttl: Seconds::new(300),
            margin: Seconds::new(600),
        },
        deadline: Seconds::new(120),
    };
    let mut scene = scene();
    scene.state.cutovers.insert(
        address("alias_record.www.example.com"),
        Cutover {
            dns_change: None,
            old_ttl: Seconds::new(300),
            in_sync_at: Some(now()),
            found: false,
        },
    );
    scene.plan.as_mut().unwrap().steps.push(Step {
        id: StepId(1),
        address: address("alias_record.www.example.com"),
        action: wait,
        changes: Vec::new(),
        stage: Stage::Drain,
        consequence: Consequence::None,
        reason: String::new(),
        after: Vec::new(),
    });
    assert_eq!(scene.trouble(), Vec::<String>::new());
    let report = scene.report();
    let drain = report.checks().find(|check| check.name == "drain").unwrap();
    assert!(
        drain.message.contains("until 2026-11-23T12:15:00Z, in 15m;"),
        "{}",
        drain.message
    );
    scene.state.retired.push(Retired {
        address: address("certificate.www"),
        id: "arn:old".to_owned(),
        spec: certificate().spec,
        retired_at: now(),
    });
    assert!(scene.only().contains("`arn:old` was replaced at 2026-11-23T12:00:00Z"));
    scene.state.retired.clear();
    scene.state.intents.insert(
        address("listener.443"),
        Intent {
            operation: Operation::Create,
            token: None,
            id: None,
            begun_at: now(),
        },
    );
    assert!(scene.only().starts_with("warning listener.443 unfinished"));
}

#[test]
fn findings_and_refusals_are_told_once() {
    let mut scene = scene();
    let finding = |severity, subject: &str| Finding {
        severity,
        subject: subject.to_owned(),
        message: "look".to_owned(),
        remedy: "do".to_owned(),
    };
    let findings = &mut scene.plan.as_mut().unwrap().findings;
    findings.push(finding(Severity::Warning, "sg-a"));
    findings.push(finding(Severity::Note, "sg-b"));
    findings.push(finding(Severity::Warning, "target.www.i-0a"));
    assert_eq!(scene.trouble().len(), 2);
    scene.observed.found[2] = target("t1", "i-0a", "unhealthy");
    assert_eq!(
        scene.trouble(),
        [
            "failure target.www.i-0a health: unhealthy (Target.Timeout)",
            "warning sg-a finding: look"
        ]
    );
    let mut refused = scene_of(CONFIG);
    refused.plan = Err(Refused {
        refusals: vec![Refusal {
            subject: "site www".to_owned(),
            reason: "the instance is stopped".to_owned(),
            remedy: "start it".to_owned(),
        }],
    });
    assert_eq!(
        refused.trouble(),
        [
            "unknown port_closure.sg-a health: not looked at, as no plan can be made",
            "failure site www plan: no plan can be made: the instance is stopped",
        ]
    );
}
