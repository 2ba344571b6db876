//! Objects that others made.

use super::{
    assert_converges, lines, mutating, planned, settled,
    world::{self, CONFIG, now},
};
use crate::{
    config::{Adoption, Config},
    observed::Observed,
    planner::plan,
    resource::{Kind, Spec},
    state::State,
};

/// The settled world with one object that somebody else made: no tags, unknown to the state, another name.
fn foreign(kind: Kind, name: &str) -> (Config, Observed, State, String) {
    let (config, mut observed, mut state) = settled(CONFIG);
    let actual = observed
        .found
        .iter_mut()
        .find(|actual| actual.spec.kind() == kind)
        .unwrap();
    actual.tags.clear();
    match &mut actual.spec {
        Spec::TargetGroup(group) => {
            name.clone_into(&mut group.name);
            group.tags.clear();
            "/other".clone_into(&mut group.health.path);
        }
        Spec::LoadBalancer(balancer) => {
            name.clone_into(&mut balancer.name);
            balancer.tags.clear();
        }
        other => panic!("{other:?}"),
    }
    let id = actual.id.clone();
    state.resources.retain(|_, entry| entry.id != id);
    (config, observed, state, id)
}

#[test]
fn an_adopted_object_keeps_its_name_and_gets_the_rest() {
    for kind in [Kind::TargetGroup, Kind::LoadBalancer] {
        let (mut config, mut observed, mut state, id) = foreign(kind, "made-by-hand");
        config.adopt.insert(Adoption {
            address: None,
            id: id.clone(),
        });
        let plan = planned(&config, &observed, &state);
        let step = plan.steps.iter().find(|step| step.address.kind() == kind).unwrap();
        assert!(step.reason.contains("adopted"), "{}", step.reason);
        assert!(
            step.changes.iter().all(|change| change.path != "name"),
            "{:?}",
            step.changes
        );
        assert!(step.changes.iter().any(|change| change.path.starts_with("tags")));
        assert_eq!(mutating(&plan).len(), 1, "{:#?}", lines(&plan));
        assert_converges(&config, &mut observed, &mut state);
        assert_eq!(state.resources.values().filter(|entry| entry.id == id).count(), 1);
    }
}

#[test]
fn a_load_balancer_is_adopted_whole() {
    let (mut config, mut observed, mut state) = settled(CONFIG);
    let kinds = [
        Kind::Certificate,
        Kind::SecurityGroup,
        Kind::TargetGroup,
        Kind::LoadBalancer,
    ];
    for actual in &mut observed.found {
        actual.tags.clear();
        if let Some(tags) = actual.spec.tags_mut() {
            tags.clear();
        }
        match &mut actual.spec {
            Spec::SecurityGroup(group) => "by-hand".clone_into(&mut group.name),
            Spec::TargetGroup(group) => "by-hand".clone_into(&mut group.name),
            Spec::LoadBalancer(balancer) => "by-hand".clone_into(&mut balancer.name),
            _ => {}
        }
        if kinds.contains(&actual.spec.kind()) {
            config.adopt.insert(Adoption {
                address: None,
                id: actual.id.clone(),
            });
        }
    }
    // Subnets that would be chosen first if there were no load balancer.
    observed
        .subnets
        .insert(0, world::subnet("subnet-0", "ap-northeast-1c", true));
    observed
        .subnets
        .insert(0, world::subnet("subnet-1", "ap-northeast-1b", true));
    state.resources.clear();
    let plan = planned(&config, &observed, &state);
    let changed = mutating(&plan);
    assert!(
        changed.iter().all(|step| step.starts_with("prepare update")),
        "{changed:#?}"
    );
    let changes: Vec<&String> = plan
        .steps
        .iter()
        .flat_map(|step| &step.changes)
        .map(|change| &change.path)
        .collect();
    assert!(changes.iter().all(|path| path.starts_with("tags")), "{changes:?}");
    assert_converges(&config, &mut observed, &mut state);
}

#[test]
fn a_name_that_is_taken_tells_what_adopting_would_change() {
    let (_, _, _, _) = foreign(Kind::TargetGroup, "x");
    let (config, mut observed, mut state) = settled(CONFIG);
    let actual = observed
        .found
        .iter_mut()
        .find(|actual| actual.spec.kind() == Kind::TargetGroup)
        .unwrap();
    actual.tags.clear();
    if let Spec::TargetGroup(group) = &mut actual.spec {
        group.tags.clear();
        "/other".clone_into(&mut group.health.path);
    }
    let id = actual.id.clone();
    state.resources.retain(|_, entry| entry.id != id);
    let refused = plan(&config, &observed, &state, now()).unwrap_err();
    let refusal = &refused.refusals[0];
    assert!(
        refusal
            .remedy
            .contains(&format!("reconcile import target_group.www {id}")),
        "{}",
        refusal.remedy
    );
    assert!(refusal.remedy.contains("health.path"), "{}", refusal.remedy);
}

#[test]
fn what_cannot_be_adopted_is_refused_with_the_reason() {
    let refused = |id: &str, address: Option<&str>, change: &dyn Fn(&mut Observed)| {
        let (mut config, mut observed, state, found) = foreign(Kind::TargetGroup, "made-by-hand");
        change(&mut observed);
        let id = if id.is_empty() { found } else { id.to_owned() };
        let address = address.map(|address| address.parse().unwrap());
        config.adopt.insert(Adoption { address, id });
        plan(&config, &observed, &state, now()).unwrap_err().to_string()
    };
    let no_change = |_: &mut Observed| {};
    assert!(refused("arn:nowhere", None, &no_change).contains("no such object"));
    assert!(refused("other.example.org", None, &no_change).contains("no site has the name"));
    assert!(refused("", Some("target_group.shop"), &no_change).contains("could become"));
    let other_stack = |observed: &mut Observed| {
        for actual in &mut observed.found {
            if actual.spec.kind() == Kind::TargetGroup {
                actual
                    .tags
                    .insert(crate::naming::STACK_TAG.to_owned(), "other".to_owned());
            }
        }
    };
    assert!(refused("", None, &other_stack).contains("the stack `other`"));
}

#[test]
fn a_record_that_leads_elsewhere_is_moved_when_it_is_adopted() {
    let mut config = world::config(CONFIG);
    let mut observed = world::seed();
    observed.record_sets = vec![world::record("www.example.com", "A", 300, &["198.51.100.7"])];
    let state = world::state(&config);
    let refused = plan(&config, &observed, &state, now()).unwrap_err().refusals.remove(0);
    assert!(
        refused.remedy.contains("point the record at the instance"),
        "{refused:?}"
    );
    config.adopt.insert(Adoption {
        address: None,
        id: "www.example.com".to_owned(),
    });
    let made = planned(&config, &observed, &state);
    assert!(mutating(&made).contains(&"cutover update alias_record.www.example.com".to_owned()));
}

#[test]
fn a_record_that_leads_to_another_load_balancer_tells_how_to_keep_that() {
    let config = world::config(CONFIG);
    let mut observed = world::seed();
    let mut record = world::record("www.example.com", "A", 300, &[]);
    record.ttl = None;
    record.alias = Some(crate::observed::StoredAlias {
        name: "dualstack.old-1.ap-northeast-1.elb.amazonaws.com.".to_owned(),
        zone: "Z14GRHDCWA56QT".to_owned(),
        evaluate_target_health: false,
    });
    observed.record_sets = vec![record];
    let state = world::state(&config);
    let refused = plan(&config, &observed, &state, now()).unwrap_err().refusals.remove(0);
    assert!(refused.reason.contains("alias to old-1."), "{refused:?}");
    assert!(
        refused.remedy.contains("take it over: set `adopt` to its ARN"),
        "{refused:?}"
    );
}

#[test]
fn an_adopted_object_is_replaced_like_any_other_and_its_entry_may_stay() {
    let (mut config, mut observed, mut state, id) = foreign(Kind::TargetGroup, "made-by-hand");
    let adoption = Adoption {
        address: None,
        id: id.clone(),
    };
    config.adopt.insert(adoption.clone());
    assert_converges(&config, &mut observed, &mut state);
    let mut plain = world::config(&CONFIG.replace("health ", "backend = { protocol = \"HTTP\" }\nhealth "));
    plain.adopt.insert(adoption);
    let whole = planned(&plain, &observed, &state);
    for steps in 0..=whole.steps.len() {
        let (mut observed, mut state) = (observed.clone(), state.clone());
        let mut cut = whole.clone();
        cut.steps.truncate(steps);
        world::apply(&cut, &mut observed, &mut state);
        assert_converges(&plain, &mut observed, &mut state);
        assert!(observed.by_id(&id).is_none(), "cut off after {steps} steps");
        assert!(state.retired.is_empty());
    }
}
