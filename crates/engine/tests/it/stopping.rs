//! A run that fails or is stopped says what is done and what is left, and leaves nothing half recorded.

use std::time::Duration;

use futures_util::future::join;
use reconcile_core::{
    plan::{Condition, Plan, Stage, Step, StepId},
    state::StateError,
};
use reconcile_engine::{ApplyError, ErrorKind, Options, Outcome, OutcomeKind, StepError, apply, stop_signal};

use crate::{
    creating::cause,
    planner,
    simulation::{Fault, Habits, Sim, options},
    specs::{CERTIFICATE, GROUP, LOAD_BALANCER, TARGET_GROUP, at, create, desired, plan, spec, state, wait, with},
};

fn fault(operation: &'static str, address: &str, takes_effect: bool) -> Fault {
    Fault {
        operation,
        address: at(address),
        takes_effect,
        kind: ErrorKind::Denied,
    }
}

/// Carries out a plan and stops it after a while.
fn stop_after(sim: &Sim, plan: &Plan, seconds: u64) -> Result<Outcome, ApplyError> {
    let (stopper, stop) = stop_signal();
    let options = Options { stop, ..options() };
    let state = sim.stored.borrow().clone();
    let stopping = async {
        sim.clock.sleep(Duration::from_secs(seconds)).await;
        stopper.stop();
    };
    sim.run(join(apply(plan, state, sim, &options), stopping)).unwrap().0
}

fn provisioned(after: &[u32]) -> Step {
    let condition = Condition::LoadBalancerActive {
        load_balancer: at(LOAD_BALANCER),
    };
    let mut step = wait(LOAD_BALANCER, Stage::Prepare, condition, 600);
    step.after = after.iter().copied().map(StepId).collect();
    step
}

fn with_slow_load_balancer() -> Sim {
    let sim = with(&[(LOAD_BALANCER, &spec(LOAD_BALANCER))]);
    sim.objects.borrow_mut()[0].ready_at = sim.clock.now().checked_add(Duration::from_secs(500)).unwrap();
    sim
}

#[test]
fn a_failure_lets_changes_finish_ends_waits_and_begins_nothing() {
    let sim = with_slow_load_balancer();
    sim.faults.borrow_mut().push(fault("create", CERTIFICATE, false));
    let mut never_begun = create(GROUP);
    never_begun.after = vec![StepId(2)];
    let plan = plan([create(CERTIFICATE), create(TARGET_GROUP), provisioned(&[]), never_begun]);
    let Err(ApplyError::Steps(run)) = sim.apply(&plan) else {
        panic!("a step failed");
    };
    assert_eq!(
        run.to_string(),
        "cannot create `certificate.www` (step 1); 1 of 4 steps are done, left: create `certificate.www`, \
         wait for `load_balancer.main`, create `security_group.load_balancer`"
    );
    assert_eq!(
        (run.done, run.left),
        (vec![StepId(2)], vec![StepId(1), StepId(3), StepId(4)])
    );
    assert_eq!(run.first.error.remedy().as_deref(), Some("mend the test"));
    assert!(sim.at("failed 1") < sim.at("left 3") && sim.at("left 3") < sim.at("finished 2"));
    assert_eq!(sim.count("started 4"), 0);
    assert!(
        sim.clock.now() < "2026-01-01T00:01:00Z".parse().unwrap(),
        "the wait is not waited for"
    );
}

#[test]
fn a_signal_ends_waits_at_once() {
    let sim = with_slow_load_balancer();
    let outcome = stop_after(&sim, &plan([provisioned(&[]), create(GROUP)]), 30).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Interrupted);
    assert_eq!((outcome.done, outcome.left), (vec![StepId(2)], vec![StepId(1)]));
    assert_eq!(sim.clock.now(), "2026-01-01T00:00:30Z".parse().unwrap());
}

#[test]
fn a_signal_lets_the_call_in_flight_finish_and_be_recorded() {
    let sim = Sim::new(state());
    sim.habits.set(Habits {
        latency: Duration::from_secs(4),
        ..sim.habits.get()
    });
    // The look takes the first four seconds, the creation the next four.
    let outcome = stop_after(&sim, &plan([create(TARGET_GROUP)]), 6).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Interrupted);
    assert_eq!(sim.clock.now(), "2026-01-01T00:00:08Z".parse().unwrap());
    let stored = sim.stored.borrow();
    assert_eq!(stored.id(&at(TARGET_GROUP)), Some("target_group.www#1"));
    assert!(stored.intents.is_empty());
}

#[test]
fn a_signal_before_the_first_change_changes_nothing() {
    let sim = Sim::new(state());
    let outcome = stop_after(&sim, &plan([create(TARGET_GROUP)]), 0).unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Interrupted);
    assert_eq!(sim.count("create"), 0);
    assert!(sim.objects.borrow().is_empty());
}

#[test]
fn a_signal_after_the_last_step_changes_nothing_about_it() {
    let sim = Sim::new(state());
    assert_eq!(
        stop_after(&sim, &plan([create(TARGET_GROUP)]), 600).unwrap().kind,
        OutcomeKind::Complete
    );
}

#[test]
fn a_state_that_cannot_be_written_stops_the_run_before_the_call() {
    let sim = Sim::new(state());
    sim.full.set(u32::MAX);
    let error = sim.apply(&plan([create(TARGET_GROUP)])).unwrap_err();
    assert_eq!(error.to_string(), "the state cannot be written; nothing was changed");
    assert!(error.remedy().is_some());
    assert_eq!(sim.count("create"), 0);
}

#[test]
fn a_result_that_could_not_be_written_is_written_later() {
    let sim = Sim::new(state());
    let first = create(TARGET_GROUP);
    sim.apply(&plan([])).unwrap();
    let options = options();
    let begun = sim.stored.borrow().clone();
    let plan = plan([first]);
    // The disk is full for the one write after the call.
    let filling = async {
        sim.clock.sleep(Duration::from_millis(1500)).await;
        sim.full.set(1);
    };
    let (result, ()) = sim.run(join(apply(&plan, begun, &sim, &options), filling)).unwrap();
    assert!(matches!(cause(result), StepError::Store(_)));
    assert_eq!(sim.stored.borrow().id(&at(TARGET_GROUP)), Some("target_group.www#1"));
}

#[test]
fn a_plan_for_another_stack_or_account_is_refused() {
    let sim = Sim::new(state());
    sim.stored.borrow_mut().account = Some("999999999999".parse().unwrap());
    sim.stored.borrow_mut().region = Some("eu-central-1".parse().unwrap());
    let error = sim.apply(&plan([create(TARGET_GROUP)])).unwrap_err();
    assert!(
        matches!(error, ApplyError::State(StateError::OtherAccount { .. })),
        "{error}"
    );
    assert!(sim.log.borrow().is_empty());
}

#[test]
fn steps_that_wait_for_each_other_are_told() {
    let sim = Sim::new(state());
    let mut one = create(TARGET_GROUP);
    one.after = vec![StepId(2)];
    let mut two = create(CERTIFICATE);
    two.after = vec![StepId(1)];
    let error = sim.apply(&plan([one, two])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plan has no order: steps 1, 2 wait for each other"
    );
}

#[test]
fn a_plan_that_is_cut_off_runs_as_far_as_it_goes() {
    let sim = Sim::new(state());
    let plan = planner::plan(&sim, &desired()).until(Stage::Prepare);
    let outcome = sim.apply(&plan).unwrap();
    assert_eq!((outcome.kind, outcome.left.len()), (OutcomeKind::Complete, 0));
    assert_eq!(sim.count("ask"), 0);
}
