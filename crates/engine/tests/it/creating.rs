//! What is made, is made once.

use std::time::Duration;

use reconcile_core::{
    config::KeyAlgorithm,
    naming,
    plan::{Action, Condition, Stage, StepId},
    resource::{Certificate, DefaultAction, ListenerRule, Output, Ref, Spec},
    state::Origin,
};
use reconcile_engine::{ApplyError, OutcomeKind, StepError};

use crate::{
    simulation::{Habits, Sim},
    specs::{
        CERTIFICATE, LISTENER, LOAD_BALANCER, RECORD, TARGET_GROUP, VALIDATION, alias, at, create, name, old_record,
        plan, spec, stack, state, step, target_group, wait, with,
    },
};

/// What the failed step of a run met.
pub(crate) fn cause(result: Result<reconcile_engine::Outcome, ApplyError>) -> StepError {
    match result {
        Err(ApplyError::Steps(run)) => run.first.error,
        other => panic!("expected a failed step, found {other:?}"),
    }
}

#[test]
fn an_intent_is_stored_before_the_call_and_the_result_after_it() {
    let sim = Sim::new(state());
    let outcome = sim.apply(&plan([create(TARGET_GROUP)])).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Complete);
    assert_eq!(outcome.done, [StepId(1)]);
    assert_eq!(
        *sim.log.borrow(),
        [
            "save 1",
            "started 1 target_group.www",
            "save 2",
            "create target_group.www",
            "save 3",
            "waiting 1 target_group.www: AWS does not know it yet",
            "finished 1 target_group.www",
        ]
    );
    let stored = sim.stored.borrow();
    assert!(stored.intents.is_empty());
    assert_eq!(
        stored.account.as_ref().map(ToString::to_string).as_deref(),
        Some("123456789012")
    );
    let entry = &stored.resources[&at(TARGET_GROUP)];
    assert_eq!(
        (entry.id.as_str(), entry.origin),
        ("target_group.www#1", Origin::Created)
    );
}

#[test]
fn what_does_not_depend_on_each_other_is_made_at_the_same_time() {
    let sim = Sim::new(state());
    sim.apply(&plan([create(CERTIFICATE), create(TARGET_GROUP)])).unwrap();
    let both_begun = sim.at("create certificate").max(sim.at("create target_group"));
    assert!(
        both_begun < sim.at("finished 1").min(sim.at("finished 2")),
        "{:#?}",
        sim.log
    );
}

#[test]
fn what_a_creation_cannot_carry_is_set_by_a_change_after_it() {
    let sim = Sim::new(state());
    let mut load_balancer = spec(LOAD_BALANCER);
    for reference in load_balancer.references_mut() {
        *reference = Ref::Known("sg-0a1b2c3e".to_owned());
    }
    let action = Action::Create {
        desired: load_balancer.clone(),
    };
    sim.apply(&plan([step(LOAD_BALANCER, Stage::Prepare, action)])).unwrap();
    assert!(sim.at("create load_balancer") < sim.at("update load_balancer"));
    let made = &sim.all_of(&at(LOAD_BALANCER))[0];
    assert_eq!(made.actual.spec, load_balancer);
    let stored = sim.stored.borrow();
    assert_eq!(stored.resources[&at(LOAD_BALANCER)].outputs[&Output::ZoneId], "Z0ELB");
}

#[test]
fn validation_records_are_written_with_what_acm_tells_later() {
    let sim = Sim::new(state());
    let condition = Condition::ValidationKnown {
        certificate: at(CERTIFICATE),
        names: vec![name()],
    };
    let mut wait = wait(CERTIFICATE, Stage::Prepare, condition, 300);
    wait.after = vec![StepId(1)];
    let mut record = create(VALIDATION);
    record.after = vec![StepId(2)];
    sim.apply(&plan([create(CERTIFICATE), wait, record])).unwrap();
    let made = &sim.all_of(&at(VALIDATION))[0];
    assert_eq!(made.actual.id, "Z1/_v.www.example.com/CNAME");
}

#[test]
fn what_aws_never_shows_is_an_error_and_is_not_made_again() {
    let sim = Sim::new(state());
    sim.habits.set(Habits {
        unknown: Duration::from_secs(500),
        ..sim.habits.get()
    });
    let error = cause(sim.apply(&plan([create(TARGET_GROUP)])));
    assert_eq!(
        error.to_string(),
        "AWS accepted `target_group.www#1` and still does not know it after 2m"
    );
    assert!(error.remedy().unwrap().contains("not made twice"));
    assert_eq!(sim.stored.borrow().id(&at(TARGET_GROUP)), Some("target_group.www#1"));
}

#[test]
fn what_carries_the_tags_is_taken() {
    let sim = Sim::new(state());
    let id = sim.put(Some(&at(TARGET_GROUP)), &target_group(443, "/old"));
    sim.apply(&plan([create(TARGET_GROUP)])).unwrap();
    assert_eq!(sim.count("create"), 0);
    assert_eq!(
        sim.all_of(&at(TARGET_GROUP))[0].actual.spec,
        spec(TARGET_GROUP),
        "and brought up to date"
    );
    let stored = sim.stored.borrow();
    let entry = &stored.resources[&at(TARGET_GROUP)];
    assert_eq!((entry.id.as_str(), entry.origin), (id.as_str(), Origin::FoundByTags));
}

#[test]
fn what_does_not_carry_the_tags_is_left_alone() {
    let sim = Sim::new(state());
    let mut foreign = spec(TARGET_GROUP);
    if let Spec::TargetGroup(group) = &mut foreign {
        group.tags.clear();
    }
    sim.put(None, &foreign);
    let error = cause(sim.apply(&plan([create(TARGET_GROUP)])));
    assert!(
        matches!(error, StepError::Foreign { ref id } if id == "target_group#foreign"),
        "{error}"
    );
    assert_eq!(sim.count("create"), 0);
}

#[test]
fn a_record_that_came_up_since_the_plan_is_not_overwritten() {
    let sim = Sim::new(state());
    sim.put(None, &old_record(300));
    let action = Action::Create {
        desired: alias("web.elb.example"),
    };
    let error = cause(sim.apply(&plan([step(RECORD, Stage::Cutover, action)])));
    assert!(matches!(error, StepError::Moved { .. }), "{error}");
    assert!(error.to_string().contains("203.0.113.10"), "{error}");
    assert_eq!(sim.count("create") + sim.count("update"), 0);
}

#[test]
fn what_is_gone_is_made_anew_and_not_by_the_old_token() {
    let sim = Sim::new(state());
    let plan = plan([create(CERTIFICATE)]);
    sim.apply(&plan).unwrap();
    sim.objects.borrow_mut().clear();
    sim.apply(&plan).unwrap();
    assert_eq!(sim.stored.borrow().id(&at(CERTIFICATE)), Some("certificate.www#2"));
}

#[test]
fn a_successor_is_not_mistaken_for_its_predecessor() {
    let mut other = spec(CERTIFICATE);
    if let Spec::Certificate(Certificate { key_algorithm, .. }) = &mut other {
        *key_algorithm = KeyAlgorithm::EcPrime256v1;
    }
    let sim = with(&[(CERTIFICATE, &other)]);
    let action = Action::Replace {
        retire: "certificate.www#old".to_owned(),
        observed: other,
        desired: spec(CERTIFICATE),
    };
    sim.apply(&plan([step(CERTIFICATE, Stage::Prepare, action)])).unwrap();
    let stored = sim.stored.borrow();
    assert_eq!(stored.id(&at(CERTIFICATE)), Some("certificate.www#1"));
    assert_eq!(stored.retired[0].id, "certificate.www#old");
    assert!(
        sim.object("certificate.www#old").is_some(),
        "it is deleted by a later step only"
    );
}

#[test]
fn a_rule_for_the_same_names_at_another_address_is_not_mistaken_for_it() {
    let rule = |key: &str, priority: u16| {
        let address = at(&format!("listener_rule.{key}"));
        let rule = Spec::ListenerRule(ListenerRule {
            listener: Ref::Known("listener.443#old".to_owned()),
            priority,
            conditions: [(ListenerRule::HOST.to_owned(), ["www.example.com".to_owned()].into())].into(),
            action: DefaultAction::Forward,
            target_group: Some(Ref::Known("target_group.www#old".to_owned())),
            tags: naming::ownership(&stack(), &address),
        });
        (address, rule)
    };
    let (old, old_rule) = rule("443.www", 1000);
    let (new, desired) = rule("443.web", 1001);
    let sim = with(&[
        (TARGET_GROUP, &target_group(443, "/")),
        (LISTENER, &spec(LISTENER)),
        (&old.to_string(), &old_rule),
    ]);
    let create = Action::Create { desired };
    sim.apply(&plan([step(&new.to_string(), Stage::Cutover, create)]))
        .unwrap();
    let stored = sim.stored.borrow();
    assert_ne!(stored.id(&new), stored.id(&old));
    assert_eq!(sim.count("create listener_rule.443.web"), 1);
    // Visitors come to another target group by it, so what they leave is drained.
    assert!(stored.cutovers[&new].in_sync_at.is_some());
}
