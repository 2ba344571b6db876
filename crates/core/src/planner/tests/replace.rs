//! What AWS cannot change in place is replaced while visitors keep coming.

use super::{
    assert_converges, lines, mutating, planned, settled,
    world::{self, CONFIG, apply, now},
};
use crate::{
    observed::{Actual, Observed},
    plan::{Action, Condition, Plan, Stage},
    resource::{Kind, Spec},
};

/// The stage and position of the first line that holds the text.
fn at(plan: &Plan, text: &str) -> usize {
    let shown = lines(plan);
    shown
        .iter()
        .position(|line| line.contains(text))
        .unwrap_or_else(|| panic!("no `{text}` in {shown:#?}"))
}

#[test]
fn a_target_group_is_proven_before_visitors_come_there_and_the_old_one_goes_last() {
    let (_, mut observed, mut state) = settled(CONFIG);
    let plain = super::config(&CONFIG.replace("health ", "backend = { protocol = \"HTTP\" }\nhealth "));
    let plan = assert_converges(&plain, &mut observed, &mut state);
    assert_eq!(
        mutating(&plan),
        [
            "prepare replace target_group.www",
            "prepare create listener_rule.443.www.proof",
            "prepare replace target.www.i-0a",
            "cutover update listener.443",
            "cleanup delete listener_rule.443.www.proof",
            "cleanup delete target.www.i-0a",
            "cleanup delete target_group.www",
        ]
    );
    assert!(at(&plan, "create listener_rule.443.www.proof") < at(&plan, "wait healthy"));
    assert!(at(&plan, "wait healthy") < at(&plan, "wait answers listener.443"));
    assert!(at(&plan, "wait answers listener.443") < at(&plan, "update listener.443"));
    assert!(at(&plan, "update listener.443") < at(&plan, "wait drained listener.443"));
    // The request of the proof matches the rule for it, and nobody else's does.
    let header = plan.steps.iter().find_map(|step| match &step.action {
        Action::Wait {
            condition: Condition::SiteAnswers { request, .. },
            ..
        } if step.stage == Stage::Prove => request.headers.get("x-reconcile-proof").cloned(),
        _ => None,
    });
    let rule = plan.steps.iter().find_map(|step| match &step.action {
        Action::Create {
            desired: Spec::ListenerRule(rule),
        } => Some(rule.conditions.clone()),
        _ => None,
    });
    let values = rule.unwrap()["http-header x-reconcile-proof"].clone();
    assert_eq!(values.into_iter().collect::<Vec<_>>(), [header.unwrap()]);
}

#[test]
fn a_rule_that_an_earlier_proof_left_leads_to_the_new_target_group_before_the_next_proof() {
    let (config, observed, state) = settled(CONFIG);
    let plain = super::config(&CONFIG.replace("health ", "backend = { protocol = \"HTTP\" }\nhealth "));
    let mut cut = planned(&plain, &observed, &state);
    cut.steps.truncate(at(&cut, "update listener.443") + 1);
    let (mut observed, mut state) = (observed, state);
    apply(&cut, &mut observed, &mut state);
    // Health checks begin when a rule names the target group: to wait for them before that is to wait in vain.
    let plan = assert_converges(&config, &mut observed, &mut state);
    assert_eq!(
        mutating(&plan),
        [
            "prepare update listener_rule.443.www.proof",
            "prepare replace target.www.i-0a",
            "cutover update listener.443",
            "cleanup delete listener_rule.443.www.proof",
            "cleanup delete target.www.i-0a",
            "cleanup delete target_group.www",
        ]
    );
    assert!(at(&plan, "update listener_rule.443.www.proof") < at(&plan, "wait healthy"));
    assert!(at(&plan, "wait answers listener.443") < at(&plan, "update listener.443"));
    assert!(
        !lines(&plan)
            .iter()
            .any(|line| line.contains("drained listener_rule.443.www.proof"))
    );
}

#[test]
fn a_replacement_that_was_cut_off_at_any_step_is_carried_on() {
    let scheme = format!("{CONFIG}\n[load_balancer]\nscheme = \"internal\"\n");
    let plain = CONFIG.replace("health ", "backend = { protocol = \"HTTP\" }\nhealth ");
    let names = CONFIG.replace("health ", "aliases = [\"example.com\"]\nhealth ");
    for text in [scheme, plain, names] {
        let config = super::config(&text);
        let (_, observed, state) = settled(CONFIG);
        let whole = planned(&config, &observed, &state);
        for steps in 0..whole.steps.len() {
            let (mut observed, mut state) = (observed.clone(), state.clone());
            let mut cut = whole.clone();
            cut.steps.truncate(steps);
            apply(&cut, &mut observed, &mut state);
            assert_converges(&config, &mut observed, &mut state);
            let balancers = observed
                .found
                .iter()
                .filter(|actual| actual.spec.kind() == Kind::LoadBalancer);
            assert_eq!(balancers.count(), 1, "cut off after {steps} steps of {text}");
            assert!(state.retired.is_empty(), "cut off after {steps} steps of {text}");
        }
    }
}

#[test]
fn another_scheme_replaces_the_load_balancer_with_all_that_hangs_on_it() {
    let (_, mut observed, mut state) = settled(CONFIG);
    let internal = super::config(&format!("{CONFIG}\n[load_balancer]\nscheme = \"internal\"\n"));
    let plan = assert_converges(&internal, &mut observed, &mut state);
    assert_eq!(
        mutating(&plan),
        [
            "prepare replace target_group.www",
            "prepare replace load_balancer.main",
            "prepare replace listener.443",
            "prepare replace target.www.i-0a",
            "cutover update alias_record.www.example.com",
            "cleanup delete target.www.i-0a",
            "cleanup delete listener.443",
            "cleanup delete load_balancer.main",
            "cleanup delete target_group.www",
        ]
    );
    assert!(at(&plan, "wait drained alias_record") < at(&plan, "delete target."));
    assert!(
        plan.findings.iter().any(|finding| finding.message.contains("web ACL")),
        "{:?}",
        plan.findings
    );
}

#[test]
fn nothing_old_is_deleted_in_a_later_run_before_the_drain_is_over() {
    let (_, mut observed, mut state) = settled(CONFIG);
    let internal = super::config(&format!("{CONFIG}\n[load_balancer]\nscheme = \"internal\"\n"));
    let first = planned(&internal, &observed, &state).until(Stage::Cutover);
    apply(&first, &mut observed, &mut state);
    let record = super::super::addresses::record_address(&"www.example.com".parse().unwrap());
    state.cutovers.get_mut(&record).unwrap().in_sync_at = Some(now());
    let second = planned(&internal, &observed, &state);
    assert!(
        at(&second, "wait drained alias_record") < at(&second, "delete load_balancer.main"),
        "{:#?}",
        lines(&second)
    );
    assert_converges(&internal, &mut observed, &mut state);
}

#[test]
fn a_replacement_that_was_begun_by_mistake_is_given_up_without_harm() {
    let scheme = format!("{CONFIG}\n[load_balancer]\nscheme = \"internal\"\n");
    let plain = CONFIG.replace("health ", "backend = { protocol = \"HTTP\" }\nhealth ");
    let names = CONFIG.replace("health ", "aliases = [\"example.com\"]\nhealth ");
    for text in [scheme, plain, names] {
        let (config, observed, state) = settled(CONFIG);
        let before: Vec<String> = ids(&observed);
        let begun = planned(&super::config(&text), &observed, &state);
        // Every point before the first old object is deleted.
        let last = begun
            .steps
            .iter()
            .position(|step| step.stage == Stage::Cleanup)
            .unwrap_or(begun.steps.len());
        for steps in 0..=last {
            let (mut observed, mut state) = (observed.clone(), state.clone());
            let mut cut = begun.clone();
            cut.steps.truncate(steps);
            apply(&cut, &mut observed, &mut state);
            // A name that came with the change leaves again only when its record does.
            observed.record_sets.retain(|set| set.name.as_str() != "example.com");
            let back = assert_converges(&config, &mut observed, &mut state);
            assert_eq!(
                ids(&observed),
                before,
                "after {steps} steps of {text}: {:#?}",
                lines(&back)
            );
            assert!(state.retired.is_empty(), "after {steps} steps of {text}");
        }
    }
}

/// The ids of everything that has one.
fn ids(observed: &Observed) -> Vec<String> {
    let mut ids: Vec<String> = observed.found.iter().map(|actual| actual.id.clone()).collect();
    ids.sort();
    ids
}

/// A second instance beside the first one, with a group of its own.
fn with_second_instance(observed: &mut Observed) {
    let mut second = observed.instances.values().next().unwrap().clone();
    second.public_address = Some("203.0.113.11".parse().unwrap());
    "eni-b".clone_into(&mut second.primary_interface);
    second.security_groups = ["sg-b".parse().unwrap()].into();
    let mut interface = observed.interfaces[0].clone();
    "eni-b".clone_into(&mut interface.id);
    interface.security_groups.clone_from(&second.security_groups);
    interface.instance = Some("i-0b".parse().unwrap());
    observed.interfaces.push(interface);
    observed.instances.insert("i-0b".parse().unwrap(), second);
    let group = world::seed().security_groups.values().next().unwrap().clone();
    observed.security_groups.insert("sg-b".parse().unwrap(), group);
}

#[test]
fn another_instance_is_healthy_before_the_old_one_leaves() {
    let (_, mut observed, mut state) = settled(CONFIG);
    with_second_instance(&mut observed);
    let other = super::config(&CONFIG.replace("i-0a", "i-0b"));
    let plan = assert_converges(&other, &mut observed, &mut state);
    assert!(at(&plan, "create target.www.i-0b") < at(&plan, "wait healthy target.www.i-0b"));
    assert!(at(&plan, "wait healthy target.www.i-0b") < at(&plan, "delete target.www.i-0a"));
    assert!(at(&plan, "delete target.www.i-0a") < at(&plan, "delete instance_ingress.sg-a.443"));
    // The way to the old instance stays open until it has left.
    let group: Vec<String> = mutating(&plan)
        .into_iter()
        .filter(|line| line.contains("security_group"))
        .collect();
    assert_eq!(
        group,
        [
            "prepare update security_group.load_balancer",
            "cleanup update security_group.load_balancer"
        ]
    );
}

#[test]
fn another_backend_port_takes_the_same_target_group() {
    let (_, mut observed, mut state) = settled(CONFIG);
    let other = super::config(&CONFIG.replace("health ", "ports.backend = 8443\nhealth "));
    let plan = assert_converges(&other, &mut observed, &mut state);
    let shown = mutating(&plan);
    assert!(!shown.iter().any(|line| line.contains("target_group")), "{shown:#?}");
    assert!(at(&plan, "replace target.www.i-0a") < at(&plan, "wait healthy"));
    assert!(at(&plan, "wait healthy") < at(&plan, "delete target.www.i-0a"));
}

#[test]
fn a_port_that_a_leaving_target_needs_is_opened_again_before_the_world_is_shut_out() {
    let (_, observed, state) = settled(CONFIG);
    let other = super::config(&CONFIG.replace("health ", "ports.backend = 8443\nhealth "));
    let whole = planned(&other, &observed, &state);
    let group = "sg-a".parse().unwrap();
    // Cut off with both targets in the target group, and as late as when the old one has left.
    for (last, is_needed) in [
        ("create instance_ingress.sg-a.8443", true),
        ("replace target.www.i-0a", true),
        ("delete target.www.i-0a", false),
    ] {
        let (mut observed, mut state) = (observed.clone(), state.clone());
        let mut cut = whole.clone();
        cut.steps.truncate(at(&whole, last) + 1);
        apply(&cut, &mut observed, &mut state);
        let ingress = &mut observed.security_groups.get_mut(&group).unwrap().ingress;
        ingress.remove("sgr-sg-a.443").unwrap();
        ingress.insert("sgr-world".to_owned(), world::rule("tcp 443 0.0.0.0/0"));
        let plan = assert_converges(&other, &mut observed, &mut state);
        let shown = mutating(&plan);
        let about: Vec<&str> = shown
            .iter()
            .map(String::as_str)
            .filter(|line| line.ends_with("instance_ingress.sg-a.443") || line.contains("port_closure"))
            .collect();
        let expected: &[&str] = if is_needed {
            &[
                "prepare create instance_ingress.sg-a.443",
                "lockdown update port_closure.sg-a",
                "cleanup delete instance_ingress.sg-a.443",
            ]
        } else {
            &["lockdown update port_closure.sg-a"]
        };
        assert_eq!(about, expected, "cut off after {last}");
        if is_needed {
            assert!(at(&plan, "delete target.www.i-0a") < at(&plan, "delete instance_ingress.sg-a.443"));
        }
        let left: Vec<&String> = observed.security_groups[&group].ingress.keys().collect();
        assert_eq!(left.iter().filter(|id| id.ends_with(".443")).count(), 0, "{left:?}");
        assert!(left.iter().any(|id| *id == "sgr-sg-a.8443"), "{left:?}");
    }
}

#[test]
fn what_a_target_that_leaves_needs_is_made_again_although_its_instance_is_not_looked_at_any_more() {
    let (_, mut observed, mut state) = settled(CONFIG);
    with_second_instance(&mut observed);
    let other = super::config(&CONFIG.replace("i-0a", "i-0b"));
    let closure = "port_closure.sg-a".parse().unwrap();
    assert!(crate::planner::query(&other, &state).recorded.contains_key(&closure));
    observed.instances.remove(&"i-0a".parse().unwrap());
    let group = observed.security_groups.get_mut(&"sg-a".parse().unwrap()).unwrap();
    group.ingress.retain(|id, _| !id.ends_with(".443"));
    let plan = assert_converges(&other, &mut observed, &mut state);
    assert!(at(&plan, "create instance_ingress.sg-a.443") < at(&plan, "delete target.www.i-0a"));
    assert!(at(&plan, "delete target.www.i-0a") < at(&plan, "delete instance_ingress.sg-a.443"));
}

#[test]
fn the_way_out_to_a_target_that_leaves_is_opened_again() {
    let (_, mut observed, mut state) = settled(CONFIG);
    with_second_instance(&mut observed);
    let other = super::config(&CONFIG.replace("i-0a", "i-0b"));
    // Somebody set the group to what will be wanted in the end.
    let (old, new) = ("tcp 443 sg-a".parse().unwrap(), "tcp 443 sg-b".parse().unwrap());
    for actual in &mut observed.found {
        if let Spec::SecurityGroup(group) = &mut actual.spec {
            assert!(group.egress.remove(&old) && group.egress.insert(new));
            break;
        }
    }
    let plan = assert_converges(&other, &mut observed, &mut state);
    let widened = plan.steps.iter().find_map(|step| match &step.action {
        Action::Update {
            desired: Spec::SecurityGroup(group),
            ..
        } => Some(group.egress.contains(&old)),
        _ => None,
    });
    assert_eq!(widened, Some(true));
    assert!(at(&plan, "prepare update security_group") < at(&plan, "delete target.www.i-0a"));
    assert!(at(&plan, "delete target.www.i-0a") < at(&plan, "cleanup update security_group"));
}

/// The second instance in a network of its own.
fn with_second_vpc(observed: &mut Observed) {
    with_second_instance(observed);
    let instance = observed.instances.get_mut(&"i-0b".parse().unwrap()).unwrap();
    instance.vpc = "vpc-2".parse().unwrap();
    instance.subnet = "subnet-2a".parse().unwrap();
    for (id, zone) in [("subnet-2a", "ap-northeast-1a"), ("subnet-2c", "ap-northeast-1c")] {
        let mut subnet = world::subnet(id, zone, true);
        subnet.vpc = "vpc-2".parse().unwrap();
        observed.subnets.push(subnet);
    }
}

#[test]
fn a_group_that_comes_back_is_put_in_its_place_although_it_keeps_a_rule_until_the_end() {
    let (config, mut observed, mut state) = settled(CONFIG);
    with_second_vpc(&mut observed);
    let is_group = |actual: &&mut Actual| actual.spec.kind() == Kind::SecurityGroup;
    let standing = observed.found.iter_mut().find(is_group).unwrap();
    let before = standing.id.clone();
    // Nothing is to be added to the group, and what is too much goes when the other load balancer has.
    let Spec::SecurityGroup(group) = &mut standing.spec else {
        panic!()
    };
    group.ingress.insert("tcp 8080 0.0.0.0/0".parse().unwrap());
    let other = super::config(&CONFIG.replace("i-0a", "i-0b"));
    let mut begun = planned(&other, &observed, &state);
    begun.steps.truncate(at(&begun, "replace load_balancer.main") + 1);
    apply(&begun, &mut observed, &mut state);
    let back = assert_converges(&config, &mut observed, &mut state);
    let shown = lines(&back);
    let about: Vec<&str> = shown
        .iter()
        .filter(|line| line.contains("security_group.load_balancer"))
        .map(|line| line.split(" after").next().unwrap().split_once(' ').unwrap().1)
        .collect();
    assert_eq!(
        about,
        [
            "prepare reinstate security_group.load_balancer",
            "cleanup update security_group.load_balancer",
            "cleanup delete security_group.load_balancer",
        ]
    );
    let groups: Vec<&str> = observed
        .found
        .iter()
        .filter(|actual| actual.spec.kind() == Kind::SecurityGroup)
        .map(|actual| actual.id.as_str())
        .collect();
    assert_eq!(groups, [before]);
}

#[test]
fn an_instance_in_another_vpc_takes_everything_along() {
    let (_, mut observed, mut state) = settled(CONFIG);
    with_second_vpc(&mut observed);
    let other = super::config(&CONFIG.replace("i-0a", "i-0b"));
    let plan = assert_converges(&other, &mut observed, &mut state);
    for kind in [
        "security_group.load_balancer",
        "load_balancer.main",
        "target_group.www",
        "listener.443",
    ] {
        assert!(at(&plan, &format!("replace {kind}")) < at(&plan, "update alias_record"));
        assert!(at(&plan, "wait drained") < at(&plan, &format!("delete {kind}")));
    }
}

#[test]
fn a_target_group_without_a_load_balancer_does_not_go_behind_one_of_the_other_scheme() {
    let (config, mut observed, mut state) = settled(CONFIG);
    // Others delete the load balancer, its listeners with it.
    observed
        .found
        .retain(|actual| !matches!(actual.spec.kind(), Kind::LoadBalancer | Kind::Listener));
    for entry in state.resources.values_mut() {
        entry.recorded_at = "2026-01-01T00:00:00Z".parse().unwrap();
    }
    let internal = super::config(&format!("{CONFIG}\n[load_balancer]\nscheme = \"internal\"\n"));
    let there = assert_converges(&internal, &mut observed, &mut state);
    assert!(mutating(&there).contains(&"prepare replace target_group.www".to_owned()));
    // The way back needs its name for a target group behind the other load balancer.
    let back = assert_converges(&config, &mut observed, &mut state);
    assert!(mutating(&back).contains(&"prepare replace target_group.www".to_owned()));
}

#[test]
fn a_load_balancer_that_is_protected_from_deletion_is_not_replaced() {
    let protected = format!("{CONFIG}\n[load_balancer]\ndeletion_protection = true\n");
    let (_, observed, state) = settled(&protected);
    let internal = super::config(&format!("{protected}scheme = \"internal\"\n"));
    let refused = super::plan(&internal, &observed, &state, now()).unwrap_err();
    assert!(refused.to_string().contains("protected from deletion"), "{refused}");
    assert!(
        refused.refusals[0].remedy.contains("deletion_protection = false"),
        "{refused:?}"
    );
}

#[test]
fn going_back_to_a_target_that_is_on_its_way_out_keeps_it() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let other = super::config(&CONFIG.replace("health ", "ports.backend = 8443\nhealth "));
    let whole = planned(&other, &observed, &state);
    let first = whole.until(Stage::Verify);
    apply(&first, &mut observed, &mut state);
    let old = state
        .retired
        .iter()
        .find(|retired| retired.address.kind() == Kind::Target)
        .unwrap();
    let old = old.id.clone();
    let plan = assert_converges(&config, &mut observed, &mut state);
    assert!(observed.by_id(&old).is_some(), "{:#?}", lines(&plan));
    assert!(state.retired.is_empty());
}
