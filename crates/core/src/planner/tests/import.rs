//! One object is taken over: what it becomes, what is done at once, and what is left to the next plan.

use super::{
    planned, settled,
    world::{self, CONFIG, now},
};
use crate::{
    config::Config,
    import::{ImportError, Place, Takeover, adoption, takeover},
    naming,
    observed::{Actual, Observed},
    plan::Action,
    resource::{Address, Kind, Spec},
    state::{Origin, State},
};

const GROUP: &str = "arn:aws:elasticloadbalancing:ap-northeast-1:123456789012:targetgroup/by-hand/0123456789abcdef";

/// The settled world with a target group that somebody else made in place of the stack's own.
fn foreign() -> (Config, Observed, State) {
    let (config, mut observed, mut state) = settled(CONFIG);
    let Actual { id, spec, tags, .. } = observed
        .found
        .iter_mut()
        .find(|actual| actual.spec.kind() == Kind::TargetGroup)
        .unwrap();
    let old = std::mem::replace(id, by_hand(&observed.identity));
    tags.clear();
    if let Spec::TargetGroup(group) = spec {
        group.tags.clear();
        "by-hand".clone_into(&mut group.name);
        "/other".clone_into(&mut group.health.path);
    }
    state.resources.retain(|_, entry| entry.id != old);
    (config, observed, state)
}

fn by_hand(identity: &crate::observed::Identity) -> String {
    GROUP
        .replace("123456789012", identity.account.as_str())
        .replace("ap-northeast-1", identity.region.as_str())
}

fn import(config: &Config, observed: &Observed, state: &State, place: &str, id: &str) -> Result<Takeover, ImportError> {
    let adoption = adoption(config, &place.parse()?, id)?;
    let mut config = config.clone();
    config.adopt.insert(adoption.clone());
    let plan = planned(&config, observed, state);
    takeover(&config, observed, state, &adoption, &plan)
}

#[test]
fn only_its_tags_are_changed_at_once_and_the_rest_is_told() {
    let (mut config, observed, mut state) = foreign();
    config.tags.insert("team".to_owned(), "web".to_owned());
    let id = by_hand(&observed.identity);
    let taken = import(&config, &observed, &state, "target_group", &id).unwrap();
    assert_eq!(taken.address, Address::new(Kind::TargetGroup, "www"));
    let told: Vec<&str> = taken
        .step
        .as_ref()
        .unwrap()
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect();
    assert!(told.contains(&"health.path"), "{told:?}");
    let tagging = taken.tagging.as_ref().unwrap();
    let [step] = tagging.steps.as_slice() else { panic!() };
    assert!(
        step.changes.iter().all(|change| change.path.starts_with("tags.")),
        "{:?}",
        step.changes
    );
    assert_eq!(step.changes.len(), 3);
    let Action::Update {
        observed: before,
        desired,
        ..
    } = &step.action
    else {
        panic!()
    };
    assert!(naming::is_owned(desired.tags().unwrap(), &config.name, &taken.address));
    let mut untagged = desired.clone();
    untagged.tags_mut().unwrap().clear();
    assert_eq!(untagged, *before, "nothing but tags is sent");
    taken.record(&mut state, &observed.identity, now());
    assert_eq!(state.resources[&taken.address].origin, Origin::Adopted);
    assert!(matches!(
        import(&config, &observed, &state, "target_group.www", &id),
        Err(ImportError::AlreadyOurs { .. })
    ));
}

#[test]
fn an_object_that_is_as_configured_needs_nothing_more_than_its_tags() {
    let (config, mut observed, state) = foreign();
    for actual in &mut observed.found {
        if let Spec::TargetGroup(group) = &mut actual.spec {
            "/".clone_into(&mut group.health.path);
        }
    }
    let id = by_hand(&observed.identity);
    let taken = import(&config, &observed, &state, "target_group.www", &id).unwrap();
    let changes = taken.step.unwrap().changes;
    assert!(
        changes.iter().all(|change| change.path.starts_with("tags.")),
        "{changes:?}"
    );
}

#[test]
fn what_is_not_there_not_ours_or_has_no_place_is_refused() {
    let (config, observed, state) = foreign();
    let id = by_hand(&observed.identity);
    let refused = |observed: &Observed, state: &State, place: &str, id: &str| {
        // A plan for what cannot be adopted is refused by itself; here the object is judged.
        let adoption = adoption(&config, &place.parse()?, id)?;
        let (_, settled, known) = settled(CONFIG);
        let plan = planned(&config, &settled, &known);
        takeover(&config, observed, state, &adoption, &plan).map(drop)
    };
    let said = |result: Result<(), ImportError>| {
        let error = result.unwrap_err();
        assert!(!error.remedy().is_empty());
        error.to_string()
    };
    let mut tagged = observed.clone();
    for actual in tagged.found.iter_mut().filter(|actual| actual.id == id) {
        actual.tags.insert(naming::STACK_TAG.to_owned(), "other".to_owned());
    }
    assert!(said(refused(&tagged, &state, "target_group", &id)).contains("the stack `other`"));
    let gone = id.replace("by-hand", "gone");
    assert!(said(refused(&observed, &state, "target_group", &gone)).contains("there is no target group"));
    let elsewhere = id.replace(observed.identity.region.as_str(), "eu-west-1");
    assert!(
        said(refused(&observed, &state, "target_group", &elsewhere)).contains("in eu-west-1, the stack in account")
    );
    let (_, _, full) = settled(CONFIG);
    let taken = said(refused(&observed, &full, "target_group", &id));
    assert!(taken.starts_with("`target_group.www` has an object already"), "{taken}");
    assert!(said(refused(&observed, &state, "certificate", &id)).contains("a target group, not a certificate"));
    assert!(said(refused(&observed, &state, "target_group.api", &id)).contains("asks for no `target_group.api`"));
    assert!(said(refused(&observed, &state, "target", "i-1")).contains("cannot be taken over"));
    assert!(matches!("tg".parse::<Place>(), Err(ImportError::NoPlace { .. })));
}

#[test]
fn a_record_is_only_recorded() {
    let config = world::config(CONFIG);
    let mut observed = world::seed();
    observed.record_sets = vec![world::record("www.example.com", "A", 300, &["198.51.100.7"])];
    let mut state = world::state(&config);
    let taken = import(&config, &observed, &state, "alias_record", "WWW.example.com.").unwrap();
    assert!(taken.tagging.is_none() && taken.step.is_some());
    taken.record(&mut state, &observed.identity, now());
    assert!(state.cutovers.is_empty(), "it does not lead to the load balancer yet");
    let plan = planned(&config, &observed, &state);
    assert!(
        plan.steps
            .iter()
            .any(|step| step.address == taken.address && step.action.is_mutating())
    );
}
