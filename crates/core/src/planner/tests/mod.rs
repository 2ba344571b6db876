//! The planner's decisions, on worlds made for each.

mod adopt;
mod back;
mod drift;
mod foreign;
mod import;
mod left_open;
mod rebuild;
mod refusals;
mod replace;
mod saved;
mod sites;
mod strict;
mod world;

use world::{CONFIG, apply, config, now, seed, state};

use super::plan;
use crate::{
    config::Config,
    observed::Observed,
    plan::{Action, Condition, Plan, Stage},
    resource::Address,
    state::{Intent, Operation, State},
};

fn planned(config: &Config, observed: &Observed, state: &State) -> Plan {
    plan(config, observed, state, now()).unwrap_or_else(|refused| panic!("{refused}"))
}

/// The world after the first apply has come to its end.
fn settled(text: &str) -> (Config, Observed, State) {
    let config = config(text);
    let (mut observed, mut state) = (seed(), state(&config));
    let first = planned(&config, &observed, &state);
    apply(&first, &mut observed, &mut state);
    for cutover in first.steps.iter().filter(|step| step.stage == Stage::Cutover) {
        let long_ago = now().checked_sub(jiff::SignedDuration::from_hours(24)).unwrap();
        state.cutovers.insert(
            cutover.address.clone(),
            crate::state::Cutover {
                dns_change: None,
                old_ttl: crate::value::Seconds::new(300),
                in_sync_at: Some(long_ago),
                found: false,
            },
        );
    }
    (config, observed, state)
}

/// The lines of a plan that change something in AWS, without their numbers.
fn mutating(plan: &Plan) -> Vec<String> {
    lines(plan)
        .into_iter()
        .zip(&plan.steps)
        .filter(|(_, step)| step.action.is_mutating())
        .map(|(line, _)| {
            let line = line.split(" after ").next().unwrap_or_default().to_owned();
            line.split_once(' ')
                .map(|(_, rest)| rest.to_owned())
                .unwrap_or_default()
        })
        .collect()
}

/// That no step stands before one that it needs, and that the plan leads to a world in which nothing is left to do.
fn assert_converges(config: &Config, observed: &mut Observed, state: &mut State) -> Plan {
    let plan = planned(config, observed, state);
    apply(&plan, observed, state);
    for cutover in state.cutovers.values_mut() {
        cutover.in_sync_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
    }
    assert_eq!(
        lines(&planned(config, observed, state)),
        Vec::<String>::new(),
        "after {:#?}",
        lines(&plan)
    );
    plan
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|step| {
            let action = match &step.action {
                Action::Create { .. } => "create".to_owned(),
                Action::Replace { .. } => "replace".to_owned(),
                Action::Update { .. } => "update".to_owned(),
                Action::Delete { .. } => "delete".to_owned(),
                Action::Record { .. } => "record".to_owned(),
                Action::Reinstate { .. } => "reinstate".to_owned(),
                Action::Forget { .. } => "forget".to_owned(),
                Action::Wait { condition, .. } => match condition {
                    Condition::ValidationKnown { .. } => "wait validation known",
                    Condition::CertificateIssued { .. } => "wait issued",
                    Condition::LoadBalancerActive { .. } => "wait active",
                    Condition::TargetHealthy { .. } => "wait healthy",
                    Condition::SiteAnswers { .. } => "wait answers",
                    Condition::RecordInSync { .. } => "wait in sync",
                    Condition::Drained { .. } => "wait drained",
                }
                .to_owned(),
            };
            let after: Vec<String> = step.after.iter().map(|id| id.0.to_string()).collect();
            format!(
                "{} {} {action} {} after [{}]",
                step.id.0,
                step.stage,
                step.address,
                after.join(" ")
            )
        })
        .collect()
}

#[test]
fn the_seed_is_planned_in_the_order_that_takes_no_site_down() {
    let config = config(CONFIG);
    let plan = planned(&config, &seed(), &state(&config));
    assert_eq!(
        lines(&plan),
        [
            "1 prepare create certificate.www after []",
            "2 prepare wait validation known certificate.www after [1]",
            "3 prepare create validation_record.www.example.com after [2]",
            "4 prepare create security_group.load_balancer after []",
            "5 prepare create instance_ingress.sg-a.443 after [4]",
            "6 prepare create target_group.www after []",
            "7 prepare create load_balancer.main after [4]",
            "8 prepare wait issued certificate.www after [2 3]",
            "9 prepare create listener.443 after [6 7 8]",
            "10 prepare create target.www.i-0a after [5 6]",
            "11 prove wait active load_balancer.main after [7]",
            "12 prove wait healthy target.www.i-0a after [10]",
            "13 prove wait answers listener.443 after [9 11 12]",
            "14 cutover update alias_record.www.example.com after [7]",
            "15 cutover wait in sync alias_record.www.example.com after [14]",
            "16 drain wait drained alias_record.www.example.com after [15]",
            "17 drain wait answers alias_record.www.example.com after [16]",
            "18 lockdown update port_closure.sg-a after []",
            "19 verify wait answers alias_record.www.example.com after [17]",
        ]
    );
    let counts = plan.counts();
    assert_eq!((counts.add, counts.change, counts.destroy), (8, 2, 0));
}

#[test]
fn after_the_apply_the_second_plan_is_empty() {
    for text in [
        CONFIG.to_owned(),
        format!("{CONFIG}\n[load_balancer]\nhttp = \"redirect\"\nidle_timeout = \"30s\"\n"),
        CONFIG.replace("health ", "aliases = [\"*.example.com\", \"example.com\"]\nhealth "),
    ] {
        let (config, observed, state) = settled(&text);
        let second = planned(&config, &observed, &state);
        assert_eq!(lines(&second), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_lost_state_is_found_again_by_tags_without_a_change_in_aws() {
    let (config, mut observed, lost) = settled(CONFIG);
    let mut state = state(&config);
    let plan = planned(&config, &observed, &state);
    assert!(
        plan.steps.iter().all(|step| !step.action.is_mutating()),
        "{:#?}",
        lines(&plan)
    );
    apply(&plan, &mut observed, &mut state);
    assert_eq!(lines(&planned(&config, &observed, &state)), Vec::<String>::new());
    for (address, entry) in &lost.resources {
        if address.kind() != crate::resource::Kind::PortClosure {
            assert_eq!(state.id(address), Some(entry.id.as_str()));
        }
    }
}

#[test]
fn nothing_is_closed_before_the_old_address_is_forgotten() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let open = seed().security_groups;
    for (group, facts) in &open {
        let ingress = &mut observed.security_groups.get_mut(group).unwrap().ingress;
        ingress.extend(facts.ingress.clone());
    }
    let record = super::addresses::record_address(&"www.example.com".parse().unwrap());
    state.cutovers.get_mut(&record).unwrap().in_sync_at = Some(now());
    let plan = planned(&config, &observed, &state);
    assert_eq!(
        lines(&plan),
        [
            "1 prove wait healthy target.www.i-0a after []",
            "2 prove wait answers listener.443 after [1]",
            "3 drain wait drained alias_record.www.example.com after []",
            "4 drain wait answers alias_record.www.example.com after [3]",
            "5 lockdown update port_closure.sg-a after []",
            "6 verify wait answers alias_record.www.example.com after [4]",
        ]
    );
}

#[test]
fn ports_that_a_dead_run_closed_are_recorded_as_closed() {
    let (config, mut observed, mut state) = settled(CONFIG);
    let closure: Address = "port_closure.sg-a".parse().unwrap();
    state.resources.remove(&closure).unwrap();
    let intent = Intent {
        operation: Operation::Update,
        token: None,
        id: None,
        begun_at: now(),
    };
    state.intents.insert(closure.clone(), intent);
    let plan = planned(&config, &observed, &state);
    assert_eq!(lines(&plan), ["1 prepare record port_closure.sg-a after []"]);
    apply(&plan, &mut observed, &mut state);
    assert_eq!(state.id(&closure), Some("sg-a"));
}

#[test]
fn a_run_that_was_cut_off_while_the_certificate_was_pending_still_waits_for_it() {
    let config = config(CONFIG);
    let (mut observed, mut state) = (seed(), state(&config));
    let mut first = planned(&config, &observed, &state);
    first.steps.truncate(1);
    apply(&first, &mut observed, &mut state);
    let shown = lines(&planned(&config, &observed, &state));
    let wait = shown
        .iter()
        .find(|line| line.contains("wait issued"))
        .unwrap_or_else(|| panic!("{shown:#?}"));
    let listener = shown.iter().find(|line| line.contains("create listener.443")).unwrap();
    let id = wait.split(' ').next().unwrap();
    let after = listener.split_once("after [").unwrap().1.trim_end_matches(']');
    assert!(after.split(' ').any(|step| step == id), "{shown:#?}");
}

#[test]
fn the_health_check_is_tried_before_a_target_is_added_and_not_later() {
    let (config, observed, state) = settled(CONFIG);
    let none = planned(&config, &observed, &state);
    assert_eq!(super::health_probes(&config, &observed, &none), []);
    let first = planned(&config, &seed(), &world::state(&config));
    let probes = super::health_probes(&config, &seed(), &first);
    assert_eq!(
        (probes.len(), probes[0].address.to_string()),
        (1, "203.0.113.10".to_owned())
    );
    assert_eq!(probes[0].finding(200), None);
    let finding = probes[0].finding(301).unwrap();
    assert!(finding.message.contains("answers 301 on /"), "{}", finding.message);
    assert!(finding.remedy.contains("redirects"), "{}", finding.remedy);
}

#[test]
fn a_zone_that_the_world_does_not_find_is_told_before_a_certificate_waits_for_days() {
    let config = config(CONFIG);
    let mut observed = seed();
    observed.record_sets.push(world::record(
        "example.com",
        "NS",
        172_800,
        &["ns-1.awsdns-01.org.", "NS-2.awsdns-02.com."],
    ));
    let first = planned(&config, &observed, &state(&config));
    let probes = super::delegation_probes(&config, &observed, &first);
    assert_eq!(probes.len(), 1);
    let answered = |names: &[&str]| probes[0].finding(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(answered(&["ns-2.awsdns-02.com"]), None);
    let elsewhere = answered(&["ns1.registrar.example."]).unwrap().message;
    assert!(
        elsewhere.contains("delegates the zone to ns1.registrar.example"),
        "{elsewhere}"
    );
    assert!(answered(&[]).unwrap().message.contains("knows no name servers"));
    let (config, observed, state) = settled(CONFIG);
    let second = planned(&config, &observed, &state);
    assert_eq!(super::delegation_probes(&config, &observed, &second), []);
}

#[test]
fn a_run_that_ends_before_the_lock_down_proves_nothing_for_it() {
    let (config, mut observed, state) = settled(CONFIG);
    observed.security_groups = seed().security_groups;
    let whole = planned(&config, &observed, &state);
    assert!(
        lines(&whole).iter().any(|line| line.contains("update port_closure")),
        "{:#?}",
        lines(&whole)
    );
    let repair = |line: &&String| !line.contains("instance_ingress");
    let mut cut = whole.clone().until(Stage::Cutover);
    cut.steps
        .retain(|step| step.address.kind() != crate::resource::Kind::InstanceIngress);
    assert_eq!(lines(&cut.until(Stage::Cutover)).iter().filter(repair).count(), 0);
    let proven = whole.until(Stage::Prove);
    assert!(lines(&proven).iter().any(|line| line.contains("wait answers")));
}
