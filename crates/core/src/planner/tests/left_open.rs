//! What runs that were cut off left open.

use super::{
    lines, planned, settled,
    world::{self, CONFIG, apply, now},
};
use crate::{
    config::IpAddressType,
    naming,
    observed::Observed,
    plan::Action,
    planner::{DestroyOptions, destroy, plan, query},
    resource::{Address, Kind, Spec},
    state::{Intent, Operation, State},
    value::DomainName,
};

fn open(state: &mut State, address: &Address, operation: Operation) {
    let intent = Intent {
        operation,
        token: None,
        id: None,
        begun_at: now().checked_sub(jiff::SignedDuration::from_hours(1)).unwrap(),
    };
    state.intents.insert(address.clone(), intent);
}

/// A target group that a run made for `address` and could not record.
fn make_unrecorded(observed: &mut Observed, state: &mut State, address: &Address) {
    let mut made = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::TargetGroup)
        .cloned()
        .unwrap();
    "arn:target-group:unrecorded".clone_into(&mut made.id);
    made.tags = naming::ownership(&state.stack, address);
    if let Spec::TargetGroup(group) = &mut made.spec {
        "web-other".clone_into(&mut group.name);
        group.tags = made.tags.clone();
    }
    observed.found.push(made);
    open(state, address, Operation::Create);
}

#[test]
fn a_call_that_had_its_effect_is_closed_although_nothing_else_is_to_be_done() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let address = Address::new(Kind::TargetGroup, "www");
    open(&mut state, &address, Operation::Update);
    let plan = planned(&config, &observed, &state);
    assert_eq!(lines(&plan), ["1 prepare record target_group.www after []"]);
    apply(&plan, &mut observed, &mut state);
    state.intents.clear();
    assert_eq!(lines(&planned(&config, &observed, &state)), Vec::<String>::new());
}

#[test]
fn rules_that_were_revoked_are_recorded_although_the_answer_was_lost() {
    let (config, observed, mut state) = settled(CONFIG);
    let address = Address::new(Kind::PortClosure, "sg-a");
    state.resources.remove(&address);
    open(&mut state, &address, Operation::Update);
    let plan = planned(&config, &observed, &state);
    assert_eq!(lines(&plan), ["1 prepare record port_closure.sg-a after []"]);
}

#[test]
fn what_was_begun_for_a_site_that_has_left_is_deleted() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let address = Address::new(Kind::TargetGroup, "shop");
    make_unrecorded(&mut observed, &mut state, &address);
    assert_eq!(
        lines(&planned(&config, &observed, &state)),
        [
            "1 prepare record target_group.shop after []",
            "2 cleanup delete target_group.shop after []",
        ]
    );
    // Nothing came of it; a moment after the call that cannot be told yet.
    observed.found.pop();
    state.intents.get_mut(&address).unwrap().begun_at = now();
    assert_eq!(lines(&planned(&config, &observed, &state)), Vec::<String>::new());
    open(&mut state, &address, Operation::Create);
    assert_eq!(
        lines(&planned(&config, &observed, &state)),
        ["1 prepare forget target_group.shop after []"]
    );
}

#[test]
fn a_successor_that_is_no_longer_wanted_is_deleted_and_the_old_one_stays() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let address = Address::new(Kind::TargetGroup, "www");
    make_unrecorded(&mut observed, &mut state, &address);
    let plan = planned(&config, &observed, &state);
    assert_eq!(
        lines(&plan),
        [
            "1 prepare reinstate target_group.www after []",
            "2 cleanup delete target_group.www after []",
        ]
    );
    let before = state.id(&address).map(str::to_owned);
    apply(&plan, &mut observed, &mut state);
    assert_eq!(state.id(&address).map(str::to_owned), before);
    assert!(observed.by_id("arn:target-group:unrecorded").is_none());
}

#[test]
fn a_certificate_that_was_begun_for_names_that_have_left_is_looked_for_and_deleted() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let address = Address::new(Kind::Certificate, "shop");
    let looks_for_it = |state: &State| query(&config, state).details.begun_certificates;
    open(&mut state, &address, Operation::Delete);
    open(&mut state, &Address::new(Kind::TargetGroup, "shop"), Operation::Create);
    assert!(!looks_for_it(&state));
    state.intents.clear();
    open(&mut state, &address, Operation::Create);
    assert!(looks_for_it(&state));

    let mut made = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::Certificate)
        .cloned()
        .unwrap();
    "arn:aws:acm:ap-northeast-1:123456789012:certificate/unrecorded".clone_into(&mut made.id);
    made.tags = naming::ownership(&state.stack, &address);
    if let Spec::Certificate(certificate) = &mut made.spec {
        certificate.domain = Some("shop.example.org".parse().unwrap());
        certificate.names = certificate.domain.iter().cloned().collect();
        certificate.tags = made.tags.clone();
    }
    let id = made.id.clone();
    observed.found.push(made);
    let plan = planned(&config, &observed, &state);
    assert_eq!(
        lines(&plan),
        [
            "1 prepare record certificate.shop after []",
            "2 cleanup delete certificate.shop after []",
        ]
    );
    apply(&plan, &mut observed, &mut state);
    assert!(observed.by_id(&id).is_none());
}

#[test]
fn a_certificate_is_not_requested_while_an_earlier_one_for_other_names_may_not_be_shown_yet() {
    let config = world::config(CONFIG);
    let (observed, state) = (world::seed(), world::state(&config));
    let address = Address::new(Kind::Certificate, "www");
    let mut intent = Intent {
        operation: Operation::Create,
        token: Some("rcl0123456789abcdef012345".to_owned()),
        id: None,
        begun_at: now(),
    };
    let refused = |intent: &Intent| {
        let mut state = state.clone();
        state.intents.insert(address.clone(), intent.clone());
        plan(&config, &observed, &state, now()).map_err(|refused| refused.to_string())
    };
    let reason = refused(&intent).unwrap_err();
    assert!(
        reason.contains("certificate.www") && reason.contains("does not show it yet"),
        "{reason}"
    );
    // The same request again is recognised by its token, and after a while everything is shown.
    let wanted = planned(&config, &observed, &state);
    let Action::Create { desired } = &wanted.steps[0].action else {
        panic!("{:#?}", lines(&wanted));
    };
    let head = naming::token_head(&state.lineage, &address, desired);
    intent.token = Some(format!("{head}0123456789ab"));
    refused(&intent).unwrap();
    intent.token = Some("rcl0123456789abcdef012345".to_owned());
    intent.begun_at = now().checked_sub(jiff::SignedDuration::from_mins(3)).unwrap();
    refused(&intent).unwrap();
}

#[test]
fn a_name_that_was_led_to_the_load_balancer_is_not_left_there_although_that_was_not_recorded() {
    let (config, mut observed, mut state) = settled(CONFIG);
    // Beside the names of the configuration, one that has left it.
    let left: DomainName = "shop.example.com".parse().unwrap();
    let mut led = observed
        .record_sets
        .iter()
        .find(|set| set.alias.is_some())
        .unwrap()
        .clone();
    led.name = left.clone();
    observed.record_sets.push(led);
    let address = Address::new(Kind::AliasRecord, left.as_str());
    open(&mut state, &address, Operation::Create);
    assert!(query(&config, &state).names.contains(&left));
    let refused = plan(&config, &observed, &state, now()).unwrap_err().to_string();
    assert!(refused.contains("alias_record.shop.example.com"), "{refused}");

    let present = Address::new(Kind::AliasRecord, "www.example.com");
    state.resources.remove(&present);
    state.saved.remove(&present);
    open(&mut state, &present, Operation::Create);
    let away = destroy(&config, &observed, &state, DestroyOptions::default(), now()).unwrap();
    let shown = lines(&away);
    for address in [&address, &present] {
        let deletion = format!("delete {address} ");
        assert!(shown.iter().any(|line| line.contains(&deletion)), "{shown:?}");
    }
    apply(&away, &mut observed, &mut state);
    assert!(
        observed.record_sets.iter().all(|set| set.alias.is_none()),
        "{:?}",
        observed.record_sets
    );
}

#[test]
fn a_certificate_that_goes_is_not_asked_for_records_of_names_that_it_never_had() {
    let (_, mut observed, state) = settled(CONFIG);
    let given = "arn:aws:acm:ap-northeast-1:123456789012:certificate/0";
    let mut certificate = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::Certificate)
        .cloned()
        .unwrap();
    given.clone_into(&mut certificate.id);
    certificate.tags.clear();
    if let Spec::Certificate(settings) = &mut certificate.spec {
        settings.tags.clear();
        settings.names.insert("shop.example.com".parse().unwrap());
    }
    observed.found.push(certificate);
    observed
        .record_sets
        .push(world::record("shop.example.com", "A", 300, &["203.0.113.10"]));
    let text = format!("{CONFIG}aliases = [\"shop.example.com\"]\ncertificate = \"{given}\"\n");
    let plan = planned(&world::config(&text), &observed, &state);
    let waits: Vec<String> = lines(&plan)
        .into_iter()
        .filter(|line| line.contains("wait validation known") || line.contains("wait issued"))
        .collect();
    assert_eq!(waits, Vec::<String>::new());
}

#[test]
fn what_changes_only_at_the_end_is_recorded_before_the_steps_that_look_for_it() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let balancer = Address::new(Kind::LoadBalancer, "main");
    state.resources.remove(&balancer);
    open(&mut state, &balancer, Operation::Create);
    // It was begun with IPv6, by which visitors may come until the end.
    for actual in &mut observed.found {
        if let Spec::LoadBalancer(spec) = &mut actual.spec {
            spec.ip_address_type = IpAddressType::Dualstack;
        }
    }
    let plan = planned(&config, &observed, &state);
    let shown = lines(&plan);
    assert!(shown[0].contains("prepare record load_balancer.main"), "{shown:#?}");
    assert!(
        shown
            .iter()
            .any(|line| line.contains("cleanup update load_balancer.main")),
        "{shown:#?}"
    );
    apply(&plan, &mut observed, &mut state);
    assert!(state.resources.contains_key(&balancer));
}
