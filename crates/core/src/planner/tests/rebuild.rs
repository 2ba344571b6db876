//! A state that is lost is made anew of what a plan with an empty one finds.

use std::collections::BTreeMap;

use super::{
    lines, planned, settled,
    world::{self, CONFIG, now},
};
use crate::{
    config::Config,
    naming,
    observed::Observed,
    rebuild::{By, Rebuilt, rebuild},
    resource::{Kind, Spec},
    state::{Origin, State},
};

fn rebuilt(config: &Config, observed: &Observed) -> Rebuilt {
    let empty = State::empty(config.name.clone(), "new".to_owned());
    let plan = planned(config, observed, &empty);
    rebuild(config, observed, &plan, "new".to_owned(), now())
}

fn ids(state: &State) -> BTreeMap<String, String> {
    let entries = state
        .resources
        .iter()
        .filter(|(address, _)| address.kind() != Kind::PortClosure);
    entries
        .map(|(address, entry)| (address.to_string(), entry.id.clone()))
        .collect()
}

#[test]
fn a_rebuilt_state_knows_the_same_objects_and_nothing_is_left_to_do() {
    let (config, observed, state) = settled(CONFIG);
    let rebuilt = rebuilt(&config, &observed);
    assert_eq!(ids(&rebuilt.state), ids(&state));
    assert!(rebuilt.missing.is_empty() && rebuilt.strays.is_empty(), "{rebuilt:?}");
    assert_eq!(rebuilt.state.account.as_ref(), Some(&observed.identity.account));
    for found in &rebuilt.found {
        let tagged = found.address.kind().has_id() || found.address.kind() == Kind::InstanceIngress;
        let by = if tagged { By::Tags } else { By::Content };
        assert_eq!(found.by, by, "{}", found.address);
    }
    assert!(rebuilt.state.cutovers.values().all(|cutover| cutover.found));
    assert_eq!(rebuilt.state.cutovers.len(), 1);
    assert_eq!(
        lines(&planned(&config, &observed, &rebuilt.state)),
        Vec::<String>::new()
    );
}

#[test]
fn what_differs_is_found_and_stays_to_be_changed() {
    let (config, mut observed, _) = settled(CONFIG);
    for actual in &mut observed.found {
        if let Spec::TargetGroup(group) = &mut actual.spec {
            "/other".clone_into(&mut group.health.path);
        }
    }
    let rebuilt = rebuilt(&config, &observed);
    let plan = planned(&config, &observed, &rebuilt.state);
    assert_eq!(lines(&plan).len(), 1, "{:#?}", lines(&plan));
    assert_eq!(plan.steps[0].address.to_string(), "target_group.www");
}

#[test]
fn before_the_first_apply_nothing_is_the_stacks() {
    let config = world::config(CONFIG);
    let rebuilt = rebuilt(&config, &world::seed());
    assert!(rebuilt.found.is_empty(), "{:?}", rebuilt.found);
    let missing: Vec<String> = rebuilt.missing.iter().map(ToString::to_string).collect();
    assert!(
        missing.contains(&"alias_record.www.example.com".to_owned()),
        "{missing:?}"
    );
    assert!(
        !missing.iter().any(|address| address.starts_with("port_closure")),
        "{missing:?}"
    );
}

#[test]
fn an_object_without_a_place_is_told_and_not_taken_in() {
    let (config, mut observed, state) = settled(CONFIG);
    let mut stray = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::TargetGroup)
        .unwrap()
        .clone();
    "arn:stray".clone_into(&mut stray.id);
    "target_group.old".clone_into(stray.tags.get_mut(naming::RESOURCE_TAG).unwrap());
    observed.found.push(stray);
    let rebuilt = rebuilt(&config, &observed);
    assert_eq!(ids(&rebuilt.state), ids(&state));
    let [stray] = rebuilt.strays.as_slice() else {
        panic!("{:?}", rebuilt.strays)
    };
    assert_eq!(
        (stray.id.as_str(), stray.resource.as_deref()),
        ("arn:stray", Some("target_group.old"))
    );
}

#[test]
fn what_the_configuration_adopts_is_the_stacks() {
    let (mut config, mut observed, _) = settled(CONFIG);
    let actual = observed
        .found
        .iter_mut()
        .find(|actual| actual.spec.kind() == Kind::TargetGroup)
        .unwrap();
    actual.tags.clear();
    if let Spec::TargetGroup(group) = &mut actual.spec {
        group.tags.clear();
        "by-hand".clone_into(&mut group.name);
    }
    let id = actual.id.clone();
    config.adopt.insert(crate::config::Adoption {
        address: None,
        id: id.clone(),
    });
    let rebuilt = rebuilt(&config, &observed);
    let found = rebuilt.found.iter().find(|found| found.id == id).unwrap();
    assert_eq!(found.by, By::Adoption);
    assert_eq!(rebuilt.state.resources[&found.address].origin, Origin::Adopted);
}
