//! However a run ends, the next ones bring about what is wanted: nothing twice, nothing forgotten.

use std::{collections::BTreeMap, time::Duration};

use reconcile_core::{
    naming,
    resource::{Address, PortClosure, Spec},
    state::{Operation, Origin},
};
use reconcile_engine::{ErrorKind, OutcomeKind};

use crate::{
    planner,
    simulation::{Fault, Sim, options},
    specs::{
        CLOSURE, RECORD, TARGET_GROUP, at, desired, instance_group, old_record, rules, stack, state, target_group,
    },
};

const OPEN: [(&str, &str); 2] = [("sgr-1", "tcp 443 0.0.0.0/0"), ("sgr-2", "tcp 80 0.0.0.0/0")];

/// The site before this tool came.
fn before() -> Sim {
    let sim = Sim::new(state());
    sim.put(None, &old_record(300));
    sim.rules.borrow_mut().insert(instance_group(), rules(&OPEN));
    sim
}

/// The site after a first run, and what is wanted now: another target group.
fn to_replace() -> (Sim, BTreeMap<Address, Spec>) {
    let sim = before();
    converge(&sim, &desired());
    let mut wanted = desired();
    wanted.insert(at(TARGET_GROUP), target_group(8443, "/"));
    (sim, wanted)
}

/// Runs until nothing is left to do, and holds the whole world to what is wanted.
fn converge(sim: &Sim, wanted: &BTreeMap<Address, Spec>) {
    sim.kill_at(None);
    let mut runs = 0;
    loop {
        let plan = planner::plan(sim, wanted);
        if plan.is_empty() {
            break;
        }
        runs += 1;
        assert!(runs < 4, "still to do: {:#?}", plan.steps);
        let outcome = sim.apply(&plan).unwrap();
        assert_eq!(outcome.kind, OutcomeKind::Complete);
    }
    check(sim, wanted);
}

fn check(sim: &Sim, wanted: &BTreeMap<Address, Spec>) {
    let stored = sim.stored.borrow();
    for address in wanted.keys() {
        let found = sim.all_of(address);
        assert_eq!(found.len(), 1, "{address} exists {} times: {found:#?}", found.len());
        assert_eq!(stored.id(address), Some(found[0].actual.id.as_str()));
        if found[0].actual.spec.tags().is_some() {
            assert!(naming::is_owned(&found[0].actual.tags, &stack(), address));
            let origin = stored.resources[address].origin;
            assert_eq!(origin, Origin::Created, "{address}: every attempt is the stack's own");
        }
    }
    assert_eq!(sim.objects.borrow().len(), wanted.len(), "nothing else is left over");
    assert!(stored.retired.is_empty());
    assert_eq!(
        stored.saved[&at(RECORD)].spec,
        old_record(300),
        "what stood there before is still known"
    );
    let Spec::PortClosure(PortClosure { open, .. }) = &stored.saved[&at(CLOSURE)].spec else {
        panic!("rules are saved as rules");
    };
    assert_eq!(*open, rules(&OPEN));
    assert!(sim.rules.borrow()[&instance_group()].is_empty());
}

#[test]
fn a_run_that_nothing_disturbs_leaves_nothing_open() {
    let sim = before();
    converge(&sim, &desired());
    assert!(sim.stored.borrow().intents.is_empty());
    assert_eq!(sim.count("create"), 8, "every object but the record is made");
}

/// Kills a run at every point in turn; `true` as long as it was not through before.
fn kills(sim: &Sim, wanted: &BTreeMap<Address, Spec>, point: usize) -> bool {
    sim.kill_at(Some(point));
    let plan = planner::plan(sim, wanted);
    !plan.is_empty() && sim.try_apply(&plan, &options()).is_none()
}

#[test]
fn a_run_that_is_killed_anywhere_is_carried_on() {
    let mut point = 0;
    loop {
        let sim = before();
        let killed = kills(&sim, &desired(), point);
        converge(&sim, &desired());
        if !killed {
            break;
        }
        point += 1;
    }
    assert!(point > 60, "only {point} points");
}

#[test]
fn a_replacement_that_is_killed_anywhere_is_carried_on() {
    let mut point = 0;
    loop {
        let (sim, wanted) = to_replace();
        let killed = kills(&sim, &wanted, point);
        converge(&sim, &wanted);
        if !killed {
            break;
        }
        point += 1;
    }
    assert!(point > 10, "only {point} points");
}

#[test]
fn runs_that_are_killed_again_and_again_come_to_an_end() {
    // Fewer points than it takes to store the intents of what is begun at once leave no room for progress.
    for distance in 8..20 {
        let sim = before();
        let mut runs = 0;
        while kills(&sim, &desired(), distance) {
            runs += 1;
            assert!(runs < 200, "no progress when killed every {distance} points");
        }
        converge(&sim, &desired());
    }
}

#[test]
fn calls_that_fail_before_or_after_their_effect_are_made_good() {
    let calls: Vec<(&'static str, Address)> = {
        let sim = before();
        converge(&sim, &desired());
        let log = sim.log.borrow();
        log.iter()
            .filter_map(|line| {
                let (operation, address) = line.split_once(' ')?;
                let operation = ["create", "update", "delete"]
                    .into_iter()
                    .find(|known| *known == operation)?;
                Some((operation, address.parse().unwrap()))
            })
            .collect()
    };
    assert!(calls.len() > 9);
    for (operation, address) in calls {
        for takes_effect in [false, true] {
            let sim = before();
            sim.faults.borrow_mut().push(Fault {
                operation,
                address: address.clone(),
                takes_effect,
                kind: ErrorKind::Unavailable,
            });
            sim.apply(&planner::plan(&sim, &desired())).unwrap_err();
            converge(&sim, &desired());
        }
    }
}

#[test]
fn a_creation_whose_answer_was_lost_is_asked_for_again_by_the_same_token() {
    let sim = before();
    sim.faults.borrow_mut().push(Fault {
        operation: "create",
        address: at("certificate.www"),
        takes_effect: true,
        kind: ErrorKind::Unavailable,
    });
    sim.apply(&planner::plan(&sim, &desired())).unwrap_err();
    let token = {
        let stored = sim.stored.borrow();
        let intent = &stored.intents[&at("certificate.www")];
        assert_eq!(intent.operation, Operation::Create);
        intent.token.clone().unwrap()
    };
    assert!(token.starts_with("rcl") && token.len() <= 32, "{token}");
    converge(&sim, &desired());
    // And one that is found by its tags is not asked for at all.
    let sim = before();
    sim.faults.borrow_mut().push(Fault {
        operation: "create",
        address: at("certificate.www"),
        takes_effect: true,
        kind: ErrorKind::Unavailable,
    });
    sim.apply(&planner::plan(&sim, &desired())).unwrap_err();
    sim.run(sim.clock.sleep(Duration::from_mins(1)));
    converge(&sim, &desired());
    assert_eq!(sim.count("create certificate.www"), 1);
}
