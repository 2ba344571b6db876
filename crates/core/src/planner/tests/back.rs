//! The way back: rollback and destroy.

use super::{
    lines, mutating, planned, settled,
    world::{self, CONFIG, apply, now},
};
use crate::{
    config::Config,
    observed::Observed,
    plan::{Plan, Stage},
    planner::{DestroyOptions, destroy, rollback},
    resource::{Kind, Spec},
    state::State,
};

fn back(config: &Config, observed: &Observed, state: &State) -> Plan {
    rollback(config, observed, state, None).unwrap_or_else(|refused| panic!("{refused}"))
}

fn away(config: &Config, observed: &Observed, state: &State) -> Plan {
    destroy(config, observed, state, DestroyOptions::default(), now()).unwrap_or_else(|refused| panic!("{refused}"))
}

fn rules(observed: &Observed) -> Vec<String> {
    let group = observed.security_groups.values().next().unwrap();
    let mut rules: Vec<String> = group
        .ingress
        .values()
        .filter(|rule| rule.rule.is_world_open())
        .map(|rule| rule.rule.to_string())
        .collect();
    rules.sort();
    rules
}

#[test]
fn the_rules_come_back_before_the_record_and_the_way_forward_stays() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let plan = back(&config, &observed, &state);
    assert_eq!(
        lines(&plan),
        [
            "1 prepare update port_closure.sg-a after []",
            "2 prove wait answers alias_record.www.example.com after []",
            "3 prove wait answers alias_record.www.example.com after [2]",
            "4 cutover update alias_record.www.example.com after []",
            "5 cutover wait in sync alias_record.www.example.com after [4]",
        ]
    );
    apply(&plan, &mut observed, &mut state);
    assert_eq!(rules(&observed), rules(&world::seed()));
    let record = observed.record_sets.iter().find(|set| set.record_type == "A").unwrap();
    assert_eq!(
        (record.ttl, record.values.as_slice()),
        (Some(300), ["203.0.113.10".to_owned()].as_slice())
    );
    assert!(
        observed
            .found
            .iter()
            .any(|actual| actual.spec.kind() == Kind::LoadBalancer)
    );
    assert_eq!(
        lines(&back(&config, &observed, &state)),
        Vec::<String>::new(),
        "a second rollback does nothing"
    );
    let forward = planned(&config, &observed, &state);
    assert_eq!(
        mutating(&forward),
        [
            "cutover update alias_record.www.example.com",
            "lockdown update port_closure.sg-a"
        ]
    );
    apply(&forward, &mut observed, &mut state);
    assert_eq!(lines(&planned(&config, &observed, &state)), Vec::<String>::new());
}

#[test]
fn a_rollback_before_the_lock_down_needs_no_rules() {
    let config = world::config(CONFIG);
    let (mut observed, mut state) = (world::seed(), world::state(&config));
    let first = planned(&config, &observed, &state).until(Stage::Cutover);
    apply(&first, &mut observed, &mut state);
    assert_eq!(
        mutating(&back(&config, &observed, &state)),
        ["cutover update alias_record.www.example.com"]
    );
}

#[test]
fn what_is_not_remembered_cannot_be_brought_back() {
    let (config, observed, mut state) = settled(CONFIG);
    state.saved.clear();
    state
        .resources
        .get_mut(&"alias_record.www.example.com".parse().unwrap())
        .unwrap()
        .origin = crate::state::Origin::FoundByTags;
    let refused = rollback(&config, &observed, &state, None).unwrap_err().to_string();
    assert!(
        refused.contains("does not remember what stood there before"),
        "{refused}"
    );
    let refused = destroy(&config, &observed, &state, DestroyOptions::default(), now())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("does not remember"), "{refused}");
    let options = DestroyOptions {
        delete_records: true,
        ..DestroyOptions::default()
    };
    let plan = destroy(&config, &observed, &state, options, now()).unwrap();
    assert!(mutating(&plan).contains(&"cutover delete alias_record.www.example.com".to_owned()));
}

#[test]
fn visitors_are_not_led_to_an_instance_that_admits_nobody() {
    let (config, mut observed, mut state) = settled(CONFIG);
    state.saved.remove(&"port_closure.sg-a".parse().unwrap());
    let away = |observed: &Observed| destroy(&config, observed, &state, DestroyOptions::default(), now());
    for refused in [
        rollback(&config, &observed, &state, None).unwrap_err().to_string(),
        away(&observed).unwrap_err().to_string(),
    ] {
        for part in ["alias_record.www.example.com", "i-0a", "admit nobody to port 443"] {
            assert!(refused.contains(part), "{refused}");
        }
    }
    // Who is in the office may be all of the visitors there are.
    let group = observed.security_groups.values_mut().next().unwrap();
    let office = world::rule("tcp 443 198.51.100.0/24");
    group.ingress.insert("sgr-office".to_owned(), office);
    assert!(mutating(&away(&observed).unwrap()).contains(&"cutover update alias_record.www.example.com".to_owned()));
    assert!(!back(&config, &observed, &state).is_empty());
}

#[test]
fn a_record_that_somebody_else_changed_is_left_alone() {
    let (config, mut observed, state) = settled(CONFIG);
    observed.record_sets.retain(|set| set.record_type != "A");
    observed
        .record_sets
        .push(world::record("www.example.com", "A", 60, &["198.51.100.1"]));
    let plan = back(&config, &observed, &state);
    assert!(
        !mutating(&plan).iter().any(|line| line.contains("alias_record")),
        "{:#?}",
        lines(&plan)
    );
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.message.contains("somebody else") || finding.remedy.contains("somebody else"))
    );
}

#[test]
fn everything_goes_and_what_was_before_is_there_again() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let plan = away(&config, &observed, &state);
    assert_eq!(
        mutating(&plan),
        [
            "prepare update port_closure.sg-a",
            "cutover update alias_record.www.example.com",
            "cleanup delete target.www.i-0a",
            "cleanup delete listener.443",
            "cleanup delete load_balancer.main",
            "cleanup delete target_group.www",
            "cleanup delete instance_ingress.sg-a.443",
            "cleanup delete security_group.load_balancer",
            "cleanup delete certificate.www",
        ]
    );
    let shown = lines(&plan);
    let at = |text: &str| shown.iter().position(|line| line.contains(text)).unwrap();
    assert!(at("wait drained alias_record") < at("delete target"));
    apply(&plan, &mut observed, &mut state);
    assert_eq!(rules(&observed), rules(&world::seed()));
    assert!(observed.found.is_empty(), "{:?}", observed.found);
    assert!(state.resources.is_empty() && state.saved.is_empty(), "{state:?}");
    // The validation record stays: it is shared with every certificate for the name.
    assert!(observed.record_sets.iter().any(|set| set.record_type == "CNAME"));
    assert_eq!(lines(&away(&config, &observed, &state)), Vec::<String>::new());
}

#[test]
fn a_destruction_that_was_cut_off_at_any_step_is_carried_on() {
    let (config, observed, state) = settled(CONFIG);
    let whole = away(&config, &observed, &state);
    for steps in 0..whole.steps.len() {
        let (mut observed, mut state) = (observed.clone(), state.clone());
        let mut cut = whole.clone();
        cut.steps.truncate(steps);
        apply(&cut, &mut observed, &mut state);
        let rest = away(&config, &observed, &state);
        apply(&rest, &mut observed, &mut state);
        assert!(observed.found.is_empty(), "cut off after {steps} steps");
        assert_eq!(rules(&observed), rules(&world::seed()), "cut off after {steps} steps");
        assert!(state.resources.is_empty(), "cut off after {steps} steps");
    }
}

#[test]
fn the_validation_record_goes_only_when_asked_and_nobody_else_needs_it() {
    let options = DestroyOptions {
        purge_validation: true,
        ..DestroyOptions::default()
    };
    let (config, mut observed, state) = settled(CONFIG);
    let deletes = |observed: &Observed| {
        let plan = destroy(&config, observed, &state, options, now()).unwrap();
        mutating(&plan).iter().any(|line| line.contains("validation_record"))
    };
    assert!(deletes(&observed));
    let mut other = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::Certificate)
        .cloned()
        .unwrap();
    "arn:other".clone_into(&mut other.id);
    other.tags.clear();
    observed.found.push(other);
    assert!(!deletes(&observed));
}

#[test]
fn protection_and_other_users_are_respected() {
    let (config, mut observed, state) = settled(&format!("{CONFIG}\n[load_balancer]\ndeletion_protection = true\n"));
    let refused = destroy(&config, &observed, &state, DestroyOptions::default(), now())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("protected from deletion"), "{refused}");
    for actual in &mut observed.found {
        match (&mut actual.spec, &mut actual.status) {
            (Spec::LoadBalancer(balancer), _) => balancer.attributes.clear(),
            (_, crate::observed::Status::Certificate { in_use_by, .. }) => in_use_by.push("arn:theirs".to_owned()),
            _ => {}
        }
    }
    let plan = away(&config, &observed, &state);
    assert!(
        !mutating(&plan).iter().any(|line| line.contains("certificate")),
        "{:#?}",
        lines(&plan)
    );
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.message.contains("arn:theirs uses it"))
    );
}

#[test]
fn a_lost_state_is_found_again_before_anything_is_destroyed() {
    let (config, observed, _) = settled(CONFIG);
    let refused = destroy(
        &config,
        &observed,
        &world::state(&config),
        DestroyOptions::default(),
        now(),
    )
    .unwrap_err()
    .to_string();
    assert!(refused.contains("carries the stack's tags"), "{refused}");
}
