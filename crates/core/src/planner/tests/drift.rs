//! What somebody changed by hand is found, and exactly that is changed back.

use super::{
    super::plan,
    lines, planned, settled,
    world::{self, CONFIG, apply, now, rule, subnet},
};
use crate::{
    observed::Observed,
    plan::Action,
    resource::{DefaultAction, Kind, Ref, Spec},
};

fn object(observed: &mut Observed, kind: Kind) -> &mut Spec {
    &mut observed
        .found
        .iter_mut()
        .find(|actual| actual.spec.kind() == kind)
        .unwrap()
        .spec
}

fn assert_drift(expected: &[&str], change: impl FnOnce(&mut Observed)) {
    let (config, mut observed, mut state) = settled(&format!(
        "tags = {{ team = \"web\" }}\n{CONFIG}\n[load_balancer]\nidle_timeout = \"30s\"\n"
    ));
    change(&mut observed);
    let repair = planned(&config, &observed, &state);
    let found: Vec<String> = repair
        .steps
        .iter()
        .filter(|step| step.action.is_mutating())
        .flat_map(|step| {
            step.changes
                .iter()
                .map(move |change| format!("{} {}", step.address, change.path))
        })
        .collect();
    assert_eq!(found, expected, "{:#?}", lines(&repair));
    apply(&repair, &mut observed, &mut state);
    assert_eq!(lines(&planned(&config, &observed, &state)), Vec::<String>::new());
}

#[test]
fn the_load_balancer_stays_in_its_subnets() {
    let (config, mut observed, state) = settled(CONFIG);
    // Somebody makes subnets that would be chosen first today, and addresses have become few.
    observed.subnets.insert(0, subnet("subnet-0", "ap-northeast-1c", true));
    observed.subnets.insert(0, subnet("subnet-1", "ap-northeast-1b", true));
    for subnet in &mut observed.subnets {
        if subnet.availability_zone == "ap-northeast-1c" {
            subnet.free_addresses = 5;
        }
    }
    assert_eq!(lines(&planned(&config, &observed, &state)), Vec::<String>::new());
}

#[test]
fn a_certificate_that_the_configuration_names_is_not_deleted() {
    let (_, observed, mut state) = settled(CONFIG);
    let made = crate::resource::Address::new(Kind::Certificate, "www");
    let arn = "arn:aws:acm:ap-northeast-1:123456789012:certificate/1";
    let text = serde_json::to_string(&observed).unwrap();
    let old = state.id(&made).unwrap().to_owned();
    let observed: Observed = serde_json::from_str(&text.replace(&old, arn)).unwrap();
    arn.clone_into(&mut state.resources.get_mut(&made).unwrap().id);
    let config = world::config(&CONFIG.replace("health ", &format!("certificate = \"{arn}\"\nhealth ")));
    let forgotten = [
        "1 cleanup forget validation_record.www.example.com after []",
        "2 cleanup forget certificate.www after [1]",
    ];
    let plan = planned(&config, &observed, &state);
    assert_eq!(lines(&plan), forgotten);
    assert!(
        plan.findings.iter().all(|finding| finding.subject != arn),
        "{:?}",
        plan.findings
    );
    // Nor if it was replaced meanwhile.
    let entry = state.resources.remove(&made).unwrap();
    state.retired.push(crate::state::Retired {
        address: made,
        spec: observed.by_id(&entry.id).unwrap().spec.clone(),
        id: entry.id,
        retired_at: now(),
    });
    assert_eq!(lines(&planned(&config, &observed, &state)), forgotten);
}

#[test]
fn a_replaced_certificate_stays_as_long_as_somebody_else_uses_it() {
    let (_, mut observed, state) = settled(CONFIG);
    let config = world::config(&CONFIG.replace("health ", "aliases = [\"example.com\"]\nhealth "));
    let deletes = |observed: &Observed| {
        let plan = planned(&config, observed, &state);
        let deletes = lines(&plan).iter().any(|line| line.contains("delete certificate.www"));
        let told = plan
            .findings
            .iter()
            .any(|finding| finding.message.contains("arn:theirs uses it"));
        (deletes, told)
    };
    let id = state
        .id(&crate::resource::Address::new(Kind::Certificate, "www"))
        .unwrap();
    let balancer = state
        .id(&crate::resource::Address::new(Kind::LoadBalancer, "main"))
        .unwrap();
    let mut used_by = |users: &[&str]| {
        let actual = observed.found.iter_mut().find(|actual| actual.id == id).unwrap();
        let crate::observed::Status::Certificate { in_use_by, .. } = &mut actual.status else {
            unreachable!()
        };
        *in_use_by = users.iter().map(|user| (*user).to_owned()).collect();
        deletes(&observed)
    };
    assert_eq!(used_by(&[balancer]), (true, false));
    assert_eq!(used_by(&[balancer, "arn:theirs"]), (false, true));
}

#[test]
fn local_zones_are_not_chosen() {
    let config = world::config(CONFIG);
    let mut observed = world::seed();
    observed.subnets.push(subnet("subnet-1", "ap-northeast-1-tpe-1a", true));
    let plan = planned(&config, &observed, &world::state(&config));
    let subnets = plan.steps.iter().find_map(|step| match &step.action {
        Action::Create {
            desired: Spec::LoadBalancer(balancer),
        } => Some(balancer.subnets.clone()),
        _ => None,
    });
    let subnets: Vec<String> = subnets.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(subnets, ["subnet-a", "subnet-c"]);
}

#[test]
fn every_field_that_can_be_changed_by_hand_is_found_and_repaired() {
    assert_drift(&["target_group.www health.path"], |observed| {
        let Spec::TargetGroup(group) = object(observed, Kind::TargetGroup) else {
            unreachable!()
        };
        "/other".clone_into(&mut group.health.path);
    });
    assert_drift(
        &["load_balancer.main attributes.\"idle_timeout.timeout_seconds\""],
        |observed| {
            let Spec::LoadBalancer(balancer) = object(observed, Kind::LoadBalancer) else {
                unreachable!()
            };
            balancer
                .attributes
                .insert("idle_timeout.timeout_seconds".to_owned(), "60".to_owned());
            balancer.attributes.insert("not.ours".to_owned(), "whatever".to_owned());
        },
    );
    assert_drift(&["load_balancer.main tags.team"], |observed| {
        let Spec::LoadBalancer(balancer) = object(observed, Kind::LoadBalancer) else {
            unreachable!()
        };
        balancer.tags.insert("team".to_owned(), "mail".to_owned());
        balancer.tags.insert("theirs".to_owned(), "stays".to_owned());
    });
    assert_drift(&["listener.443 tls_policy"], |observed| {
        let Spec::Listener(listener) = object(observed, Kind::Listener) else {
            unreachable!()
        };
        listener.tls_policy = Some("ELBSecurityPolicy-2016-08".to_owned());
    });
    assert_drift(
        &["listener.443 default_action", "listener.443 target_group"],
        |observed| {
            let Spec::Listener(listener) = object(observed, Kind::Listener) else {
                unreachable!()
            };
            listener.default_action = DefaultAction::FixedResponse;
            listener.target_group = None;
        },
    );
    assert_drift(&["security_group.load_balancer ingress"], |observed| {
        let Spec::SecurityGroup(group) = object(observed, Kind::SecurityGroup) else {
            unreachable!()
        };
        group.ingress.insert("tcp 8080 0.0.0.0/0".parse().unwrap());
    });
    assert_drift(&["alias_record.www.example.com records"], |observed| {
        let set = observed.record_sets.iter_mut().find(|set| set.alias.is_some()).unwrap();
        set.alias = None;
        set.ttl = Some(60);
        set.values = vec!["198.51.100.7".to_owned()];
    });
    assert_drift(&["port_closure.sg-a open"], |observed| {
        let facts = observed.security_groups.get_mut(&"sg-a".parse().unwrap()).unwrap();
        facts.ingress.insert("sgr-new".to_owned(), rule("tcp 443 0.0.0.0/0"));
    });
}

#[test]
fn what_was_deleted_by_hand_is_made_again() {
    for kind in [Kind::Listener, Kind::Target] {
        let (config, mut observed, mut state) = settled(CONFIG);
        observed.found.retain(|actual| actual.spec.kind() != kind);
        state.resources.values_mut().for_each(|entry| {
            entry.recorded_at = now().checked_sub(jiff::SignedDuration::from_hours(1)).unwrap();
        });
        let repair = planned(&config, &observed, &state);
        assert!(
            lines(&repair)
                .iter()
                .any(|line| line.contains(&format!("create {kind}"))),
            "{:#?}",
            lines(&repair)
        );
        apply(&repair, &mut observed, &mut state);
        assert_eq!(lines(&planned(&config, &observed, &state)), Vec::<String>::new());
    }
}

#[test]
fn what_was_just_made_and_is_not_shown_yet_is_not_made_again() {
    let (config, mut observed, state) = settled(CONFIG);
    observed.found.retain(|actual| actual.spec.kind() != Kind::LoadBalancer);
    let refused = plan(&config, &observed, &state, now()).unwrap_err();
    assert!(refused.to_string().contains("AWS does not show it yet"), "{refused}");
}

#[test]
fn a_certificate_for_other_names_takes_over_before_the_old_one_goes() {
    let (_, mut observed, mut state) = settled(CONFIG);
    let wider = super::config(&CONFIG.replace("health ", "aliases = [\"shop.example.com\"]\nhealth "));
    let plan = planned(&wider, &observed, &state);
    let shown = lines(&plan);
    let at = |text: &str| {
        shown
            .iter()
            .position(|line| line.contains(text))
            .unwrap_or_else(|| panic!("{shown:#?}"))
    };
    assert!(at("replace certificate.www") < at("wait issued"));
    assert!(at("wait issued") < at("update listener.443"));
    assert!(at("update listener.443") < at("delete certificate.www"));
    apply(&plan, &mut observed, &mut state);
    assert_eq!(lines(&planned(&wider, &observed, &state)), Vec::<String>::new());
}

#[test]
fn the_validation_record_of_a_replaced_certificate_stays_as_it_is() {
    let (_, observed, state) = settled(CONFIG);
    let wider = super::config(&CONFIG.replace("health ", "aliases = [\"shop.example.com\"]\nhealth "));
    let shown = lines(&planned(&wider, &observed, &state));
    let records: Vec<&String> = shown.iter().filter(|line| line.contains("validation_record")).collect();
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(
        records[0].contains("create validation_record.shop.example.com"),
        "{records:?}"
    );
}

#[test]
fn a_target_that_somebody_else_registered_is_reported_and_left() {
    let (config, mut observed, state) = settled(CONFIG);
    let Some(mut other) = observed
        .found
        .iter()
        .find(|actual| actual.spec.kind() == Kind::Target)
        .cloned()
    else {
        unreachable!()
    };
    other.id = "other".to_owned();
    let Spec::Target(target) = &mut other.spec else {
        unreachable!()
    };
    target.port = 8443;
    observed.found.push(other);
    let plan = planned(&config, &observed, &state);
    assert_eq!(lines(&plan), Vec::<String>::new());
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.message.contains("port 8443")),
        "{:?}",
        plan.findings
    );
}

#[test]
fn a_certificate_that_failed_is_replaced_and_the_reason_is_told() {
    let (config, mut observed, state) = settled(CONFIG);
    for actual in &mut observed.found {
        if let crate::observed::Status::Certificate {
            state, failure_reason, ..
        } = &mut actual.status
        {
            "FAILED".clone_into(state);
            *failure_reason = Some("CAA_ERROR".to_owned());
        }
    }
    let plan = planned(&config, &observed, &state);
    assert_eq!(plan.steps[0].reason, "the certificate is FAILED: CAA_ERROR");
}

#[test]
fn a_redirect_that_is_no_longer_wanted_is_deleted() {
    let (_, mut observed, mut state) = settled(&format!("{CONFIG}\n[load_balancer]\nhttp = \"redirect\"\n"));
    let closed = super::config(CONFIG);
    let plan = planned(&closed, &observed, &state);
    let listener = plan.steps.iter().find(|step| step.address.key() == "80").unwrap();
    assert!(
        matches!(&listener.action, Action::Delete { observed: Spec::Listener(listener), .. }
        if matches!(listener.load_balancer, Ref::Known(_)))
    );
    apply(&plan, &mut observed, &mut state);
    assert_eq!(lines(&planned(&closed, &observed, &state)), Vec::<String>::new());
}

#[test]
fn zero_switches_stickiness_off() {
    let with = |duration: &str| CONFIG.replace("health ", &format!("stickiness = \"{duration}\"\nhealth "));
    let (_, observed, state) = settled(&with("1h"));
    let off = planned(&world::config(&with("0s")), &observed, &state);
    let changes: Vec<_> = off.steps.iter().flat_map(|step| &step.changes).collect();
    let [change] = changes[..] else {
        panic!("{:#?}", lines(&off))
    };
    assert_eq!(
        (change.path.as_str(), change.after.as_ref()),
        ("attributes.\"stickiness.enabled\"", Some(&"false".into()))
    );
}
