//! What is changed is remembered, and looked at afterwards.

use std::time::Duration;

use reconcile_core::{
    plan::{Condition, Stage, StepId},
    resource::{InstanceIngress, PortClosure, Ref, Spec, Tags},
    state::{Intent, Operation, Origin},
    value::Seconds,
};
use reconcile_engine::{ErrorKind, OutcomeKind, StepError};

use crate::{
    creating::cause,
    simulation::{Habits, Sim, options},
    specs::{
        CLOSURE, GROUP, RECORD, TARGET_GROUP, alias, at, closure, create, instance_group, old_record, plan, rules,
        spec, state, target_group, update, wait, with,
    },
};

fn in_sync() -> reconcile_core::plan::Step {
    let mut step = wait(
        RECORD,
        Stage::Cutover,
        Condition::RecordInSync { record: at(RECORD) },
        300,
    );
    step.after = vec![StepId(1)];
    step
}

#[test]
fn a_cutover_is_remembered_before_it_is_made() {
    let sim = Sim::new(state());
    let id = sim.put(None, &old_record(300));
    let change = update(RECORD, &id, &old_record(300), &alias("web.elb.example"));
    sim.apply(&plan([change, in_sync()])).unwrap();
    let stored = sim.stored.borrow();
    assert_eq!(stored.saved[&at(RECORD)].spec, old_record(300));
    let cutover = &stored.cutovers[&at(RECORD)];
    assert_eq!(
        (cutover.old_ttl, cutover.found, &cutover.dns_change),
        (Seconds::new(300), false, &None)
    );
    // One second after the change it begins to spread, and it is asked every few seconds.
    let synced = cutover
        .in_sync_at
        .unwrap()
        .duration_since("2026-01-01T00:00:00Z".parse().unwrap());
    assert!((41..=60).contains(&synced.as_secs()), "{synced:?}");
    assert_eq!(stored.resources[&at(RECORD)].origin, Origin::Adopted);
    assert_eq!(sim.object(&id).unwrap().actual.spec, alias("web.elb.example"));
}

#[test]
fn what_a_dead_run_began_to_make_is_the_stacks_own_even_if_the_next_one_dies_too() {
    let intent = Intent {
        operation: Operation::Create,
        token: None,
        id: None,
        begun_at: "2026-01-01T00:00:00Z".parse().unwrap(),
    };
    for kill_at in 0..6 {
        let sim = Sim::new(state());
        let id = sim.put(Some(&at(TARGET_GROUP)), &target_group(443, "/"));
        sim.stored.borrow_mut().intents.insert(at(TARGET_GROUP), intent.clone());
        let carried_on = plan([update(
            TARGET_GROUP,
            &id,
            &target_group(443, "/"),
            &target_group(443, "/up"),
        )]);
        sim.kill_at(Some(kill_at));
        let ended = sim.try_apply(&carried_on, &options());
        assert!(kill_at > 0 || ended.is_none(), "the first point is before the end");
        sim.kill_at(None);
        sim.apply(&carried_on).unwrap();
        let origin = sim.stored.borrow().resources[&at(TARGET_GROUP)].origin;
        assert_eq!(origin, Origin::Created, "killed at point {kill_at}");
    }
}

#[test]
fn a_record_that_is_no_longer_as_it_was_seen_is_not_changed() {
    let sim = Sim::new(state());
    let id = sim.put(None, &old_record(60));
    let error = cause(sim.apply(&plan([update(
        RECORD,
        &id,
        &old_record(300),
        &alias("web.elb.example"),
    )])));
    assert!(
        matches!(error, StepError::Cloud(ref error) if error.kind == ErrorKind::Conflict),
        "{error}"
    );
    assert_eq!(sim.object(&id).unwrap().actual.spec, old_record(60));
}

#[test]
fn a_change_of_our_own_alias_neither_forgets_what_was_before_nor_shortens_the_drain() {
    let sim = Sim::new(state());
    let id = sim.put(None, &old_record(3600));
    let first = update(RECORD, &id, &old_record(3600), &alias("one.elb.example"));
    sim.apply(&plan([first, in_sync()])).unwrap();
    let synced = sim.stored.borrow().cutovers[&at(RECORD)].in_sync_at.unwrap();
    let second = update(RECORD, &id, &alias("one.elb.example"), &alias("two.elb.example"));
    sim.apply(&plan([second, in_sync()])).unwrap();
    let stored = sim.stored.borrow();
    assert_eq!(stored.saved[&at(RECORD)].spec, old_record(3600));
    let drained = stored.cutovers[&at(RECORD)].drained_at(Seconds::default()).unwrap();
    assert!(drained >= synced.checked_add(Duration::from_hours(1)).unwrap());
}

#[test]
fn a_record_where_nothing_stood_has_nothing_to_drain() {
    let sim = Sim::new(state());
    let action = reconcile_core::plan::Action::Create {
        desired: alias("web.elb.example"),
    };
    let create = crate::specs::step(RECORD, Stage::Cutover, action);
    sim.apply(&plan([create, in_sync()])).unwrap();
    let stored = sim.stored.borrow();
    assert_eq!(stored.cutovers[&at(RECORD)].old_ttl, Seconds::default());
    assert!(stored.saved.is_empty());
}

#[test]
fn every_rule_that_was_ever_closed_is_remembered() {
    let sim = Sim::new(state());
    let close = |open: &[(&str, &str)]| {
        sim.rules.borrow_mut().insert(instance_group(), rules(open));
        sim.apply(&plan([update(CLOSURE, "sg-0a1b2c3d", &closure(open), &closure(&[]))]))
            .unwrap();
        assert!(sim.rules.borrow()[&instance_group()].is_empty());
    };
    close(&[("sgr-1", "tcp 443 0.0.0.0/0")]);
    close(&[("sgr-2", "tcp 80 0.0.0.0/0")]);
    let stored = sim.stored.borrow();
    let Spec::PortClosure(PortClosure { open, .. }) = &stored.saved[&at(CLOSURE)].spec else {
        panic!("rules are saved as rules");
    };
    assert_eq!(
        *open,
        rules(&[("sgr-1", "tcp 443 0.0.0.0/0"), ("sgr-2", "tcp 80 0.0.0.0/0")])
    );
}

#[test]
fn nothing_is_closed_when_the_load_balancer_is_no_longer_let_in() {
    let ingress = "instance_ingress.sg-0a1b2c3d.443";
    let admission = Spec::InstanceIngress(InstanceIngress {
        group: instance_group(),
        port: 443,
        source: Ref::Known(format!("{GROUP}#old")),
        tags: Tags::new(),
    });
    let sim = with(&[(GROUP, &spec(GROUP)), (ingress, &admission)]);
    let open = [("sgr-1", "tcp 443 0.0.0.0/0")];
    sim.rules.borrow_mut().insert(instance_group(), rules(&open));
    let mut close = plan([update(CLOSURE, "sg-0a1b2c3d", &closure(&open), &closure(&[]))]);
    close.unchanged.push(at(ingress));
    sim.objects
        .borrow_mut()
        .retain(|object| object.actual.spec != admission);
    let error = cause(sim.apply(&close));
    assert!(matches!(error, StepError::NotAdmitted { .. }), "{error}");
    assert_eq!(sim.rules.borrow()[&instance_group()], rules(&open));
    assert!(!sim.stored.borrow().intents.contains_key(&at(CLOSURE)));
    sim.put(Some(&at(ingress)), &admission);
    sim.apply(&close).unwrap();
    assert!(sim.rules.borrow()[&instance_group()].is_empty());
}

#[test]
fn a_change_is_done_when_aws_shows_it() {
    let old = target_group(443, "/old");
    let sim = with(&[(TARGET_GROUP, &old)]);
    let outcome = sim.apply(&plan([update(
        TARGET_GROUP,
        "target_group.www#old",
        &old,
        &target_group(443, "/"),
    )]));
    assert_eq!(outcome.unwrap().kind, OutcomeKind::Complete);
    assert!(sim.at("waiting 1") < sim.at("finished 1"));
}

#[test]
fn a_change_that_aws_does_not_show_is_an_error_that_names_it() {
    let old = target_group(443, "/old");
    let sim = with(&[(TARGET_GROUP, &old)]);
    sim.habits.set(Habits {
        stale: Duration::from_secs(500),
        ..sim.habits.get()
    });
    let step = update(TARGET_GROUP, "target_group.www#old", &old, &target_group(443, "/"));
    let error = sim.apply(&plan([step, create("certificate.www")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot update `target_group.www` (step 1); 1 of 2 steps are done, left: update `target_group.www`"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        cause,
        "AWS accepted the settings of `target_group.www#old` and still shows others after 2m: \
         health.path is \"/old\", expected \"/\""
    );
}
