//! Plans that are wrong on purpose: the simulation has to notice.

use reconcile_core::{
    plan::{Action, Condition, Plan, Stage},
    resource::{Address, Kind, Ref},
    state::State,
};
use reconcile_engine::Cloud;

use crate::{
    dice::Dice,
    schedule::{Setting, Tamper, go},
    sim::{Habits, Sim},
    sorts::Sorts,
    time::{self, SimClock},
    wish::{EXISTING, Wish},
    world::World,
};

/// What the first schedule among these that notices says, in a world without other troubles.
fn noticed(tamper: Tamper) -> String {
    let calm = Sorts::NAMES.into_iter().fold(Sorts::ALL, Sorts::without);
    let setting = Setting {
        sorts: calm,
        keeps_log: false,
        tamper: Some(tamper),
    };
    let broken = (0..30).find_map(|seed| go(seed, setting).err());
    broken.expect("a wrong plan is noticed").what
}

fn do_not_wait(plan: &mut Plan, skipped: impl Fn(&Condition) -> bool) {
    plan.steps
        .retain(|step| !matches!(&step.action, Action::Wait { condition, .. } if skipped(condition)));
}

#[test]
fn a_lockdown_before_the_drain_is_noticed() {
    fn tamper(plan: &mut Plan, _: &World) {
        do_not_wait(plan, |condition| matches!(condition, Condition::Drained { .. }));
    }
    let what = noticed(tamper);
    assert!(what.contains("is closed"), "{what}");
}

#[test]
fn a_cutover_before_the_targets_are_healthy_is_noticed() {
    fn tamper(plan: &mut Plan, _: &World) {
        do_not_wait(plan, |condition| {
            matches!(
                condition,
                Condition::TargetHealthy { .. } | Condition::LoadBalancerActive { .. } | Condition::SiteAnswers { .. }
            )
        });
    }
    let what = noticed(tamper);
    assert!(what.contains("a visitor gets no answer"), "{what}");
}

#[test]
fn a_deletion_of_what_is_not_the_stacks_is_not_carried_out() {
    fn tamper(plan: &mut Plan, world: &World) {
        if let Some(first) = plan.steps.first().cloned()
            && let Some(spec) = world.spec(EXISTING)
        {
            let mut wrong = first;
            wrong.id.0 = 1000;
            wrong.address = Address::new(Kind::Certificate, "others");
            wrong.stage = Stage::Prepare;
            wrong.after.clear();
            wrong.action = Action::Delete {
                id: Ref::Known(EXISTING.to_owned()),
                observed: spec.clone(),
            };
            plan.steps.insert(0, wrong);
        }
    }
    // The engine refuses it, so the run never comes to its end.
    let what = noticed(tamper);
    assert!(what.contains("the state does not know it as this stack's"), "{what}");
}

#[test]
fn calls_that_the_stored_state_does_not_announce_are_noticed() {
    let dice = Dice::new(1);
    let habits = Habits::draw(&dice, false);
    let clock = SimClock::default();
    let world = World::first(clock.now());
    let spec = world.spec(EXISTING).cloned().unwrap();
    let state = State::empty(Wish::draw(&dice).config().name, "lineage".to_owned());
    let sim = Sim::new(dice, habits, world, state, clock, true);
    let address = Address::new(Kind::Certificate, "others");
    let ended = time::run(&sim.clock, || sim.is_over(), sim.delete(&address, EXISTING, &spec));
    assert!(ended.is_none(), "the schedule ends there");
    sim.is_known_to_state(&address, EXISTING);
    let log = sim.log.unwrap().into_inner().join("\n");
    assert!(log.contains("the intent in the stored state is None"), "{log}");
    assert!(
        log.contains("is deleted, and the stored state does not know it"),
        "{log}"
    );
}
