//! Only what the state knows is deleted, and only once nothing uses it.

use std::time::Duration;

use reconcile_core::{
    plan::{Action, Stage, Step},
    resource::{Output, Ref},
    state::{Entry, Intent, Operation, Origin, Retired},
};
use reconcile_engine::{OutcomeKind, StepError};

use crate::{
    creating::cause,
    simulation::Sim,
    specs::{CERTIFICATE, LOAD_BALANCER, RECORD, TARGET_GROUP, alias, at, plan, spec, state, step, target_group, with},
};

const OLD: &str = "target_group.www#old";

fn delete() -> Step {
    let action = Action::Delete {
        id: Ref::Known(OLD.to_owned()),
        observed: target_group(80, "/"),
    };
    step(TARGET_GROUP, Stage::Cleanup, action)
}

fn with_retired() -> Sim {
    let sim = Sim::new(state());
    sim.put(Some(&at(TARGET_GROUP)), &target_group(80, "/"));
    sim.stored.borrow_mut().retired.push(Retired {
        address: at(TARGET_GROUP),
        id: OLD.to_owned(),
        spec: target_group(80, "/"),
        retired_at: sim.clock.now(),
    });
    sim
}

fn used_for(sim: &Sim, seconds: u64) {
    let until = sim.clock.now().checked_add(Duration::from_secs(seconds)).unwrap();
    sim.in_use_until.borrow_mut().insert(OLD.to_owned(), until);
}

#[test]
fn what_is_retired_is_deleted_as_soon_as_aws_lets_go_of_it() {
    let sim = with_retired();
    used_for(&sim, 60);
    let outcome = sim.apply(&plan([delete()])).unwrap();
    assert_eq!((outcome.kind, outcome.warnings.len()), (OutcomeKind::Complete, 0));
    assert!(sim.count("delete") > 2);
    let stored = sim.stored.borrow();
    assert!(stored.retired.is_empty() && stored.intents.is_empty() && sim.objects.borrow().is_empty());
}

#[test]
fn what_is_wanted_again_is_not_on_its_way_out_any_more() {
    let sim = with_retired();
    let record = Action::Record { id: OLD.to_owned() };
    sim.apply(&plan([step(TARGET_GROUP, Stage::Prepare, record)])).unwrap();
    let stored = sim.stored.borrow();
    assert_eq!(stored.id(&at(TARGET_GROUP)), Some(OLD));
    assert!(stored.retired.is_empty(), "{:?}", stored.retired);
}

#[test]
fn what_stays_in_use_is_left_for_the_next_run() {
    let sim = with_retired();
    used_for(&sim, 300);
    let outcome = sim.apply(&plan([delete()])).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::StillInUse);
    assert_eq!(outcome.left.len(), 1);
    assert_eq!(
        outcome.warnings[0].text,
        "`target_group.www#old` is not deleted yet, the next run tries again: delete: a listener uses it"
    );
    assert_eq!(sim.stored.borrow().retired.len(), 1);
    assert!(sim.stored.borrow().intents.is_empty());
    used_for(&sim, 0);
    assert_eq!(sim.apply(&plan([delete()])).unwrap().kind, OutcomeKind::Complete);
}

#[test]
fn what_the_state_does_not_know_is_not_deleted() {
    let sim = Sim::new(state());
    sim.put(Some(&at(TARGET_GROUP)), &target_group(80, "/"));
    let error = cause(sim.apply(&plan([delete()])));
    assert!(matches!(error, StepError::NotOurs { .. }), "{error}");
    assert_eq!(sim.count("delete"), 0);
}

#[test]
fn what_is_no_longer_wanted_is_deleted_and_forgotten() {
    let sim = with(&[(TARGET_GROUP, &target_group(80, "/"))]);
    sim.apply(&plan([delete()])).unwrap();
    assert!(sim.stored.borrow().resources.is_empty() && sim.objects.borrow().is_empty());
}

#[test]
fn forgetting_changes_nothing_in_the_cloud() {
    let sim = with(&[(TARGET_GROUP, &target_group(80, "/"))]);
    sim.apply(&plan([step(
        TARGET_GROUP,
        Stage::Cleanup,
        Action::Forget { id: OLD.to_owned() },
    )]))
    .unwrap();
    assert!(sim.stored.borrow().resources.is_empty());
    assert_eq!(sim.objects.borrow().len(), 1);
}

#[test]
fn what_is_found_in_place_is_recorded_with_what_it_supplies() {
    let sim = Sim::new(state());
    let record = |address: &str, id: String| step(address, Stage::Prepare, Action::Record { id });
    let steps = [CERTIFICATE, LOAD_BALANCER, TARGET_GROUP].map(|address| {
        let id = sim.put(Some(&at(address)), &spec(address));
        record(address, id)
    });
    let alias = record(RECORD, sim.put(None, &alias("web.elb.example")));
    sim.apply(&plan(steps.into_iter().chain([alias]))).unwrap();
    let stored = sim.stored.borrow();
    let load_balancer = &stored.resources[&at(LOAD_BALANCER)];
    assert_eq!(load_balancer.outputs[&Output::DnsName], "web-1234.elb.example");
    assert_eq!(load_balancer.origin, Origin::FoundByTags);
    let cutover = &stored.cutovers[&at(RECORD)];
    assert!(cutover.found && cutover.in_sync_at.is_some());
    assert_eq!(stored.resources[&at(RECORD)].origin, Origin::Adopted);
}

#[test]
fn what_was_on_its_way_out_comes_back_and_its_successor_goes() {
    let sim = with_retired();
    let new = sim.put(None, &target_group(443, "/"));
    {
        let mut stored = sim.stored.borrow_mut();
        let entry = Entry {
            id: new.clone(),
            outputs: [].into(),
            origin: Origin::Created,
            recorded_at: sim.clock.now(),
        };
        stored.resources.insert(at(TARGET_GROUP), entry);
    }
    let back = Action::Reinstate {
        id: OLD.to_owned(),
        retire: new.clone(),
        observed: target_group(443, "/"),
    };
    let gone = Action::Delete {
        id: Ref::Known(new.clone()),
        observed: target_group(443, "/"),
    };
    let (back, gone) = (
        step(TARGET_GROUP, Stage::Prepare, back),
        step(TARGET_GROUP, Stage::Cleanup, gone),
    );
    let only_back = plan([back.clone()]);
    sim.apply(&only_back).unwrap();
    {
        // Killed here, nothing is lost: the state knows both.
        let stored = sim.stored.borrow();
        assert_eq!(stored.id(&at(TARGET_GROUP)), Some(OLD));
        let retired: Vec<&str> = stored.retired.iter().map(|retired| retired.id.as_str()).collect();
        assert_eq!(retired, [new.as_str()]);
    }
    sim.apply(&plan([back, gone])).unwrap();
    let stored = sim.stored.borrow();
    assert!(stored.retired.is_empty());
    assert_eq!(stored.id(&at(TARGET_GROUP)), Some(OLD));
    assert_eq!(sim.objects.borrow().len(), 1);
}

#[test]
fn what_a_lost_answer_left_open_is_closed_when_the_plan_finds_it_done() {
    let sim = with(&[(TARGET_GROUP, &target_group(443, "/"))]);
    let intent = Intent {
        operation: Operation::Update,
        token: None,
        id: None,
        begun_at: sim.clock.now(),
    };
    sim.stored.borrow_mut().intents.insert(at(TARGET_GROUP), intent);
    let mut plan = plan([step(
        CERTIFICATE,
        Stage::Cleanup,
        Action::Forget { id: "gone".to_owned() },
    )]);
    plan.unchanged = vec![at(TARGET_GROUP)];
    sim.apply(&plan).unwrap();
    assert!(sim.stored.borrow().intents.is_empty());
}
