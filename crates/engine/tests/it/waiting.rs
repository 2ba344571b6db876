//! Waits end: well, with a reason, or with a time to come back.

use std::time::Duration;

use reconcile_core::{
    config::RequestProof,
    observed::Status,
    plan::{Condition, Plan, Progress, Stage, StepId, Through},
    resource::Address,
    state::Cutover,
    value::Seconds,
};
use reconcile_engine::{ErrorKind, OutcomeKind, StepError};

use crate::{
    creating::cause,
    planner::answers,
    simulation::{Fault, Habits, Sim},
    specs::{CERTIFICATE, CLOSURE, LISTENER, LOAD_BALANCER, RECORD, TARGET, at, create, plan, spec, state, wait, with},
};

fn never() -> Progress {
    Progress::Never {
        reason: "the site answers 500".to_owned(),
        remedy: "mend the site".to_owned(),
    }
}

fn proof(proof: RequestProof) -> Plan {
    let condition = answers(Through::LoadBalancer(at(LOAD_BALANCER)), proof);
    plan([wait(LISTENER, Stage::Prove, condition, 60)])
}

fn issued(deadline: u32) -> reconcile_core::plan::Step {
    let mut step = wait(
        CERTIFICATE,
        Stage::Prepare,
        Condition::CertificateIssued {
            certificate: at(CERTIFICATE),
        },
        deadline,
    );
    step.after = vec![StepId(1)];
    step
}

#[test]
fn a_wait_shows_what_aws_said_and_ends_when_it_holds() {
    let sim = Sim::new(state());
    sim.apply(&plan([create(CERTIFICATE), issued(600)])).unwrap();
    assert!(sim.count("waiting 2 certificate.www: PENDING_VALIDATION: www.example.com") > 2);
}

#[test]
fn a_deadline_says_what_was_last_seen_and_that_the_next_run_carries_on() {
    let sim = Sim::new(state());
    let plan = plan([create(CERTIFICATE), issued(20)]);
    let error = cause(sim.apply(&plan));
    assert_eq!(
        error.to_string(),
        "not there after 20s, last seen: PENDING_VALIDATION: www.example.com; the next run carries on from here"
    );
    let mut next = issued(600);
    next.after.clear();
    let next = crate::specs::plan([next]);
    assert_eq!(sim.apply(&next).unwrap().kind, OutcomeKind::Complete);
    assert_eq!(sim.count("create"), 1);
}

#[test]
fn targets_are_read_by_what_their_id_says() {
    let mut target = spec(TARGET);
    for reference in target.references_mut() {
        *reference = reconcile_core::resource::Ref::Known("arn:target_group/www/1".to_owned());
    }
    let sim = with(&[(TARGET, &target)]);
    let condition = Condition::TargetHealthy { target: at(TARGET) };
    sim.apply(&plan([wait(TARGET, Stage::Prove, condition, 60)])).unwrap();
}

#[test]
fn a_failure_for_good_ends_the_wait_at_once() {
    let sim = with(&[(LOAD_BALANCER, &spec(LOAD_BALANCER))]);
    sim.answers.replace(vec![Progress::NotYet("503".to_owned()), never()]);
    let error = cause(sim.apply(&proof(RequestProof::Require)));
    assert_eq!(error.to_string(), "the site answers 500");
    assert_eq!(error.remedy().as_deref(), Some("mend the site"));
    assert_eq!(sim.count("ask"), 2);
}

#[test]
fn the_site_is_asked_through_the_load_balancers_own_name() {
    let sim = with(&[(LOAD_BALANCER, &spec(LOAD_BALANCER))]);
    sim.apply(&proof(RequestProof::Require)).unwrap();
    assert_eq!(sim.count("ask www.example.com through web-1234.elb.example"), 1);
    let by_name = answers(Through::Name, RequestProof::Require);
    sim.apply(&plan([wait(RECORD, Stage::Verify, by_name, 60)])).unwrap();
    assert_eq!(sim.count("ask www.example.com through its name"), 1);
}

#[test]
fn a_proof_can_be_a_warning_or_nothing() {
    for answer in [never(), Progress::NotYet("502".to_owned())] {
        let sim = with(&[(LOAD_BALANCER, &spec(LOAD_BALANCER))]);
        sim.answers.replace(vec![answer]);
        let outcome = sim.apply(&proof(RequestProof::Warn)).unwrap();
        assert_eq!((outcome.kind, outcome.warnings.len()), (OutcomeKind::Complete, 1));
        assert_eq!(sim.count("warning 1"), 1);
        assert_eq!(sim.apply(&proof(RequestProof::Off)).unwrap().warnings, []);
    }
}

#[test]
fn a_passing_fault_does_not_end_a_wait() {
    let fault = |kind| Fault {
        operation: "read",
        address: at(LOAD_BALANCER),
        takes_effect: false,
        kind,
    };
    let condition = Condition::LoadBalancerActive {
        load_balancer: at(LOAD_BALANCER),
    };
    let plan = plan([wait(LOAD_BALANCER, Stage::Prove, condition, 60)]);
    let sim = with(&[(LOAD_BALANCER, &spec(LOAD_BALANCER))]);
    sim.faults.borrow_mut().push(fault(ErrorKind::Unavailable));
    sim.apply(&plan).unwrap();
    assert_eq!(sim.count("waiting 1 load_balancer.main: read: as the test wants"), 1);
    sim.faults.borrow_mut().push(fault(ErrorKind::Denied));
    assert!(matches!(cause(sim.apply(&plan)), StepError::Cloud(error) if error.kind == ErrorKind::Denied));
}

#[test]
fn a_load_balancer_that_is_provisioning_is_waited_for() {
    let sim = with(&[(LOAD_BALANCER, &spec(LOAD_BALANCER))]);
    sim.habits.set(Habits {
        latency: Duration::from_millis(100),
        ..sim.habits.get()
    });
    sim.objects.borrow_mut()[0].ready_at = sim.clock.now().checked_add(Duration::from_secs(30)).unwrap();
    let condition = Condition::LoadBalancerActive {
        load_balancer: at(LOAD_BALANCER),
    };
    sim.apply(&plan([wait(LOAD_BALANCER, Stage::Prove, condition, 60)]))
        .unwrap();
    assert!(sim.count("waiting 1 load_balancer.main: provisioning") > 2);
    assert!(matches!(
        sim.object("load_balancer.main#old").unwrap().actual.status,
        Status::Exists
    ));
}

#[test]
fn waiting_for_what_the_state_does_not_know_is_an_error() {
    let sim = Sim::new(state());
    let condition = Condition::LoadBalancerActive {
        load_balancer: at(LOAD_BALANCER),
    };
    let error = cause(sim.apply(&plan([wait(LOAD_BALANCER, Stage::Prove, condition, 60)])));
    assert!(matches!(error, StepError::NotRecorded { .. }), "{error}");
}

fn drain(margin: u32) -> Plan {
    let condition = Condition::Drained {
        record: at(RECORD),
        old_ttl: Seconds::new(300),
        margin: Seconds::new(margin),
    };
    let mut after = wait(
        RECORD,
        Stage::Lockdown,
        answers(Through::Name, RequestProof::Require),
        60,
    );
    after.address = at(CLOSURE);
    plan([wait(RECORD, Stage::Drain, condition, 600), after])
}

fn with_cutover(in_sync: bool, change: Option<&str>) -> Sim {
    let sim = Sim::new(state());
    let cutover = Cutover {
        dns_change: change.map(str::to_owned),
        old_ttl: Seconds::new(300),
        in_sync_at: in_sync.then(|| sim.clock.now()),
        found: false,
    };
    let record: Address = at(RECORD);
    sim.stored.borrow_mut().cutovers.insert(record, cutover);
    sim
}

#[test]
fn a_short_drain_is_waited_for() {
    let sim = with_cutover(true, None);
    assert_eq!(sim.apply(&drain(60)).unwrap().kind, OutcomeKind::Complete);
    assert!(sim.clock.now() >= "2026-01-01T00:06:00Z".parse().unwrap());
    assert!(sim.count("waiting 1 alias_record.www.example.com: resolvers may remember the old answer until") > 10);
}

#[test]
fn a_long_drain_ends_the_run_well_with_a_time_to_come_back() {
    let sim = with_cutover(true, None);
    let outcome = sim.apply(&drain(3600)).unwrap();
    let not_before = "2026-01-01T01:05:00Z".parse().unwrap();
    assert_eq!(outcome.kind, OutcomeKind::Later { not_before });
    assert_eq!((outcome.done.len(), outcome.left.len()), (0, 2));
    assert_eq!(sim.count("ask"), 0, "later stages are not begun");
    sim.run(sim.clock.sleep(Duration::from_mins(65)));
    assert_eq!(sim.apply(&drain(3600)).unwrap().kind, OutcomeKind::Complete);
}

#[test]
fn a_drain_begins_when_the_change_has_arrived() {
    let sim = with_cutover(false, Some("C-forgotten"));
    assert_eq!(sim.apply(&drain(0)).unwrap().kind, OutcomeKind::Complete);
    let cutover = sim.stored.borrow().cutovers[&at(RECORD)].clone();
    assert_eq!(cutover.in_sync_at.unwrap().to_string(), "2026-01-01T00:00:01Z");
    assert!(sim.clock.now() >= "2026-01-01T00:05:01Z".parse().unwrap());
}

#[test]
fn without_a_cutover_there_is_nothing_to_drain() {
    let sim = Sim::new(state());
    assert_eq!(sim.apply(&drain(3600)).unwrap().kind, OutcomeKind::Complete);
}
