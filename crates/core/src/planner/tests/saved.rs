//! A plan that was saved is carried out later if it is still the plan, and is refused with what moved if not.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{
    super::plan,
    planned, settled,
    world::{self, CONFIG, config, now, rule, seed, state},
};
use crate::{
    config::{Config, Fingerprint},
    observed::{Observed, Status},
    plan::{FILE_FORMAT_VERSION, Goal, Moved, PlanFile, PlanFileError, StateMark, seen},
    resource::{Kind, Spec},
    state::State,
    value::Seconds,
};

fn saved(config: &Config, observed: &Observed, state: &State) -> PlanFile {
    let file = PlanFile {
        format_version: FILE_FORMAT_VERSION,
        reconcile_version: "0.1.0".to_owned(),
        made_at: now(),
        stack: config.name.clone(),
        account: observed.identity.account.clone(),
        region: observed.identity.region.clone(),
        goal: Goal::Apply { until: None },
        configuration: Fingerprint::of(CONFIG),
        state: StateMark::of(state),
        observed: seen(config, observed, state),
        plan: planned(config, observed, state),
    };
    let text = file.write().unwrap();
    let read = PlanFile::read(&text).unwrap();
    assert_eq!(read.write().unwrap(), text);
    read
}

/// A stack that was set up, whose health path the configuration wants otherwise now, with the plan for that.
fn changing() -> (Config, Observed, State, PlanFile) {
    let (_, observed, state) = settled(CONFIG);
    let config = config(&CONFIG.replace("path = \"/\"", "path = \"/up\""));
    let file = saved(&config, &observed, &state);
    assert!(!file.plan.is_empty());
    (config, observed, state, file)
}

fn check(file: &PlanFile, config: &Config, observed: &Observed, state: &State) -> Result<(), Moved> {
    let hours_later = now().checked_add(SignedDuration::from_hours(5)).unwrap();
    let plan = plan(config, observed, state, hours_later).unwrap();
    file.check_world(&plan, &plan.findings, &seen(config, observed, state))
}

fn refusal(file: &PlanFile, config: &Config, observed: &Observed, state: &State) -> String {
    check(file, config, observed, state).unwrap_err().details().join("; ")
}

fn object(observed: &mut Observed, kind: Kind) -> &mut crate::observed::Actual {
    observed
        .found
        .iter_mut()
        .find(|actual| actual.spec.kind() == kind)
        .unwrap()
}

#[test]
fn what_changes_by_itself_refuses_nothing() {
    let (config, mut observed, state, file) = changing();
    check(&file, &config, &observed, &state).unwrap();
    for actual in &mut observed.found {
        match &mut actual.status {
            Status::Target { state, reason, .. } => {
                "unhealthy".clone_into(state);
                *reason = Some("Target.Timeout".to_owned());
            }
            Status::Certificate { life, .. } => life.not_after = Some(now()),
            Status::LoadBalancer { .. } | Status::Exists => {}
        }
    }
    for subnet in &mut observed.subnets {
        subnet.free_addresses -= 17;
    }
    observed
        .record_sets
        .push(world::record("other.example.com", "A", 60, &["192.0.2.9"]));
    observed.found.reverse();
    check(&file, &config, &observed, &state).unwrap();
}

#[test]
fn time_that_passes_refuses_nothing() {
    let (config, observed, mut state) = settled(CONFIG);
    // The drain is under way: the lock-down waits for it, and hours later nothing is left to wait for.
    let mut open = observed.clone();
    let group = open.security_groups.values_mut().next().unwrap();
    group.ingress.insert("sgr-9".to_owned(), rule("tcp 443 0.0.0.0/0"));
    for cutover in state.cutovers.values_mut() {
        cutover.in_sync_at = Some(now());
        cutover.old_ttl = Seconds::new(300);
    }
    let file = saved(&config, &open, &state);
    let later = now().checked_add(SignedDuration::from_hours(5)).unwrap();
    let then = plan(&config, &open, &state, later).unwrap();
    assert!(then.steps.len() < file.plan.steps.len(), "{:#?}", super::lines(&then));
    check(&file, &config, &open, &state).unwrap();
}

#[test]
fn what_somebody_changed_is_named_with_both_values() {
    let (config, observed, state, file) = changing();
    let mut moved = observed.clone();
    let Spec::Listener(listener) = &mut object(&mut moved, Kind::Listener).spec else {
        panic!()
    };
    listener.tls_policy = Some("ELBSecurityPolicy-2016-08".to_owned());
    let text = refusal(&file, &config, &moved, &state);
    assert!(
        text.contains("listener.443: tls_policy was \"ELBSecurityPolicy-")
            && text
                .contains("is \"ELBSecurityPolicy-2016-08\"; a plan that is made now would also update listener.443"),
        "{text}"
    );

    let mut moved = observed.clone();
    let Spec::TargetGroup(group) = &mut object(&mut moved, Kind::TargetGroup).spec else {
        panic!()
    };
    group.health.path = "/other".to_owned();
    let text = refusal(&file, &config, &moved, &state);
    assert!(
        text.contains("target_group.www: health.path was \"/\" and is \"/other\"; a plan that is made now would update target_group.www otherwise"),
        "{text}"
    );

    let mut moved = observed.clone();
    moved.found.retain(|actual| actual.spec.kind() != Kind::Target);
    let text = refusal(&file, &config, &moved, &state);
    assert!(text.contains("target.www.i-0a is gone"), "{text}");

    let mut moved = observed;
    let Spec::TargetGroup(group) = &mut object(&mut moved, Kind::TargetGroup).spec else {
        panic!()
    };
    group.health.path = "/up".to_owned();
    let text = refusal(&file, &config, &moved, &state);
    assert!(text.contains("would no longer update target_group.www"), "{text}");
}

#[test]
fn a_first_plan_is_refused_once_the_record_or_a_rule_moved() {
    let config = config(CONFIG);
    let (observed, state) = (seed(), state(&config));
    let file = saved(&config, &observed, &state);
    assert_eq!(file.state, None);
    check(
        &file,
        &config,
        &observed,
        &State::empty(config.name.clone(), "another lineage".to_owned()),
    )
    .unwrap();
    let mut moved = observed.clone();
    moved.record_sets[0].ttl = Some(600);
    let text = refusal(&file, &config, &moved, &state);
    assert!(
        text.contains("record www.example.com A: ttl was 300 and is 600")
            && text.contains("would update alias_record."),
        "{text}"
    );
    let mut moved = observed;
    let group = moved.security_groups.values_mut().next().unwrap();
    group.ingress.insert("sgr-9".to_owned(), rule("tcp 443 ::/0"));
    let text = refusal(&file, &config, &moved, &state);
    assert!(text.contains("sg-a: ingress was ["), "{text}");
}

#[test]
fn the_state_the_configuration_and_the_account_are_the_same_or_it_is_refused() {
    let (config, observed, mut state, _) = changing();
    state.serial = 4;
    let file = saved(&config, &observed, &state);
    file.check_state(&state).unwrap();
    state.serial = 5;
    assert_eq!(
        file.check_state(&state).unwrap_err().to_string(),
        "the state moved on since the plan was made: it was written 4 times and is now written 5 times; \
         this plan or another run was carried out"
    );
    "another".clone_into(&mut state.lineage);
    assert!(
        file.check_state(&state)
            .unwrap_err()
            .to_string()
            .contains("another state")
    );
    let none = State::empty(config.name.clone(), "x".to_owned());
    assert!(
        file.check_state(&none)
            .unwrap_err()
            .to_string()
            .contains("there is none now")
    );

    file.check_configuration(&config.name, &Fingerprint::of(CONFIG))
        .unwrap();
    let other = Fingerprint::of(&CONFIG.replace("path = \"/\"", "path = \"/down\""));
    assert_eq!(
        file.check_configuration(&config.name, &other).unwrap_err().details(),
        ["`site.www.health.path` changed"]
    );
    let mut identity = observed.identity;
    file.check_identity(&identity).unwrap();
    identity.account = "210987654321".parse().unwrap();
    assert!(
        file.check_identity(&identity)
            .unwrap_err()
            .to_string()
            .contains("210987654321")
    );
}

#[test]
fn a_file_that_was_tampered_with_is_refused() {
    let (config, observed, state, file) = changing();
    let mut tampered = file.clone();
    tampered
        .plan
        .steps
        .retain(|step| step.address.kind() != Kind::TargetGroup);
    assert!(refusal(&tampered, &config, &observed, &state).contains("would also update target_group.www"));

    let text = file.write().unwrap();
    for (from, to, said) in [
        ("\"format_version\": 1", "\"format_version\": 2", "format version 2"),
        ("\"purpose\": \"apply\"", "\"purpose\": \"conquer\"", "conquer"),
        ("\"made_at\"", "\"made_in\"", "made_in"),
        (
            "\"stage\": \"prepare\"",
            "\"stage\": \"prepare\", \"sudo\": true",
            "sudo",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let error = PlanFile::read(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(said), "{from}: {error}");
    }
    let mut other = file;
    other.stack = serde_json::from_str("\"other\"").unwrap();
    let error = PlanFile::read(&other.write().unwrap()).unwrap_err();
    assert!(matches!(error, PlanFileError::Contradiction { .. }));
}

#[test]
fn what_is_seen_is_told_by_its_address() {
    let (config, observed, state) = settled(CONFIG);
    let seen = seen(&config, &observed, &state);
    let subjects: Vec<&str> = seen.keys().map(String::as_str).collect();
    for subject in [
        "listener.443",
        "certificate.www",
        "i-0a",
        "sg-a",
        "subnet-a",
        "hosted zone Z1",
        "record www.example.com A",
    ] {
        assert!(subjects.contains(&subject), "{subject}: {subjects:#?}");
    }
    let none: BTreeMap<_, _> = seen.iter().filter(|(_, settings)| settings.is_empty()).collect();
    assert!(none.is_empty(), "{none:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_file_that_was_cut_or_garbled_is_damaged_and_never_panics(at in any::<prop::sample::Index>(), put in "[\\PC\\n]{0,3}") {
        let config = config(CONFIG);
        let text = saved(&config, &seed(), &state(&config)).write().unwrap();
        let at = at.index(text.len());
        if let (Some(head), Some(tail)) = (text.get(..at), text.get(at..)) {
            prop_assert!(PlanFile::read(head).is_err());
            // What still reads is compared with the plan that is made then; reading it must only not panic.
            let _ = PlanFile::read(&format!("{head}{put}{}", tail.get(1..).unwrap_or_default()));
        }
    }
}
