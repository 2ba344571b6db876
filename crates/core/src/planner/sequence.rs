//! Puts what happens in order, with the waits between.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    decide::{Decided, Decision, Item},
    desired::{
        certificate_address, listener_address, load_balancer_address, record_address, target_address, validated_names,
    },
};
use crate::{
    config::{Config, Protocol, RequestProof, Site, SiteName, defaults},
    diff,
    observed::{Observed, Status},
    plan::{Action, Condition, Consequence, DirectPath, Progress, SiteRequest, Stage, Step, StepId, Through},
    resource::{Address, Kind, Ref, Spec},
    state::State,
    value::{DomainName, Seconds},
};

/// The steps of a plan.
pub(super) fn sequence(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    now: Timestamp,
) -> Vec<Step> {
    let mut sequence = Sequence {
        steps: Vec::new(),
        last: BTreeMap::new(),
    };
    for (address, item) in decided.iter() {
        // The certificate is waited for before the first thing that uses it.
        if address.kind() == Kind::Listener {
            certificate_waits(config, decided, &mut sequence);
        }
        resource_step(decided, address, item, &mut sequence);
        if address.kind() == Kind::Certificate {
            validation_wait(config, address, item, &mut sequence);
        }
    }
    certificate_waits(config, decided, &mut sequence);
    for (name, site) in &config.sites {
        prove(config, observed, decided, name, site, &mut sequence);
    }
    in_sync_waits(config, state, decided, &mut sequence);
    drain_waits(config, state, decided, now, &mut sequence);
    verify(config, decided, &mut sequence);
    clean_up(state, decided, &mut sequence);
    sequence.finish()
}

/// Steps while they are collected. Ids are given at the end, when the stages are known to be in order.
struct Sequence {
    steps: Vec<(Step, BTreeSet<usize>)>,
    /// The last step about each address: what depends on it waits for that one.
    last: BTreeMap<Address, usize>,
}

impl Sequence {
    fn push(&mut self, step: Step, after: BTreeSet<usize>) -> usize {
        let index = self.steps.len();
        self.last.insert(step.address.clone(), index);
        self.steps.push((step, after));
        index
    }

    fn wait(&mut self, address: &Address, stage: Stage, condition: Condition, deadline: Seconds, reason: &str) {
        let after = self.last.get(address).copied().into_iter().collect();
        let step = Step {
            id: StepId(0),
            address: address.clone(),
            action: Action::Wait { condition, deadline },
            changes: Vec::new(),
            stage,
            consequence: Consequence::None,
            reason: reason.to_owned(),
            after: Vec::new(),
        };
        self.push(step, after);
    }

    fn finish(self) -> Vec<Step> {
        let mut order: Vec<usize> = (0..self.steps.len()).collect();
        order.sort_by_key(|index| self.steps.get(*index).map(|(step, _)| step.stage));
        let ids: BTreeMap<usize, StepId> = order
            .iter()
            .zip(1..)
            .map(|(index, number)| (*index, StepId(number)))
            .collect();
        let mut steps: Vec<Step> = self
            .steps
            .into_iter()
            .enumerate()
            .filter_map(|(index, (step, after))| {
                let after = after.iter().filter_map(|index| ids.get(index).copied()).collect();
                Some(Step {
                    id: *ids.get(&index)?,
                    after,
                    ..step
                })
            })
            .collect();
        steps.sort_by_key(|step| step.id);
        steps
    }
}

fn stage_of(kind: Kind) -> Stage {
    match kind {
        Kind::Certificate
        | Kind::ValidationRecord
        | Kind::SecurityGroup
        | Kind::InstanceIngress
        | Kind::TargetGroup
        | Kind::LoadBalancer
        | Kind::Listener
        | Kind::Target => Stage::Prepare,
        Kind::AliasRecord => Stage::Cutover,
        Kind::PortClosure => Stage::Lockdown,
    }
}

fn consequence_of(kind: Kind, decision: Decision) -> Consequence {
    match (kind, decision) {
        (_, Decision::Record | Decision::Forget | Decision::Unchanged) => Consequence::None,
        (Kind::AliasRecord | Kind::PortClosure, _)
        | (Kind::Listener | Kind::Target | Kind::InstanceIngress, Decision::Delete) => Consequence::VisitorsNotice,
        (Kind::SecurityGroup | Kind::LoadBalancer | Kind::Listener, Decision::Update) => Consequence::Brief,
        (_, Decision::Create | Decision::Replace | Decision::Update | Decision::Delete) => Consequence::None,
    }
}

fn resource_step(decided: &Decided, address: &Address, item: &Item, sequence: &mut Sequence) {
    let (Some(desired), actual) = (&item.desired, &item.actual) else {
        return;
    };
    let action = match (item.decision, actual) {
        (Decision::Create, _) => Action::Create {
            desired: desired.clone(),
        },
        (Decision::Replace, Some(actual)) => Action::Replace {
            retire: actual.id.clone(),
            observed: actual.spec.clone(),
            desired: desired.clone(),
        },
        (Decision::Update, Some(actual)) => Action::Update {
            id: actual.id.clone(),
            observed: actual.spec.clone(),
            desired: desired.clone(),
        },
        (Decision::Record, Some(actual)) => Action::Record { id: actual.id.clone() },
        _ => return,
    };
    // What a value comes from may still be waited for when the value itself is known already.
    let supplier = |reference: &Ref| match reference {
        Ref::Of(address, _) => Some(address.clone()),
        Ref::Known(value) => decided.supplier(value).cloned(),
    };
    let mut after: BTreeSet<usize> = desired
        .references()
        .iter()
        .filter_map(supplier)
        .filter_map(|address| sequence.last.get(&address).copied())
        .collect();
    if address.kind() == Kind::Target {
        // The load balancer is admitted to the instances before anything depends on it.
        after.extend(
            sequence
                .last
                .iter()
                .filter(|(other, _)| other.kind() == Kind::InstanceIngress)
                .map(|(_, index)| *index),
        );
    }
    let stage = stage_of(address.kind());
    // What is only written down changes nothing for anybody and needs no proof before it.
    let stage = if item.decision == Decision::Record {
        Stage::Prepare
    } else {
        stage
    };
    let step = Step {
        id: StepId(0),
        address: address.clone(),
        action,
        changes: item.changes.clone(),
        stage,
        consequence: consequence_of(address.kind(), item.decision),
        reason: item.reason.clone(),
        after: Vec::new(),
    };
    sequence.push(step, after);
}

/// ACM tells the validation records some seconds after the request; those that need to be written wait for that.
fn validation_wait(config: &Config, address: &Address, item: &Item, sequence: &mut Sequence) {
    let Some((_, site)) = config
        .sites
        .iter()
        .find(|(name, _)| certificate_address(name) == *address)
    else {
        return;
    };
    let condition = Condition::ValidationKnown {
        certificate: address.clone(),
        names: validated_names(site).into_iter().collect(),
    };
    let kept = !matches!(item.decision, Decision::Create | Decision::Replace);
    if kept && condition.judge(item.actual.as_ref()) == Progress::Met {
        return;
    }
    let deadline = config.prove.deadlines.certificate;
    sequence.wait(
        address,
        Stage::Prepare,
        condition,
        deadline,
        "ACM tells the validation records some seconds after the request",
    );
}

fn certificate_waits(config: &Config, decided: &Decided, sequence: &mut Sequence) {
    for (name, site) in &config.sites {
        let address = certificate_address(name);
        let Some(item) = decided.get(&address) else { continue };
        let condition = Condition::CertificateIssued {
            certificate: address.clone(),
        };
        let waited = sequence.steps.iter().any(|(step, _)| {
            matches!(&step.action, Action::Wait { condition: Condition::CertificateIssued { certificate }, .. }
                if *certificate == address)
        });
        let kept = !matches!(item.decision, Decision::Create | Decision::Replace);
        if waited || (kept && condition.judge(item.actual.as_ref()) == Progress::Met) {
            continue;
        }
        let records = validated_names(site).into_iter().filter_map(|name| {
            sequence
                .last
                .get(&Address::new(Kind::ValidationRecord, name.as_str()))
                .copied()
        });
        let after = records.chain(sequence.last.get(&address).copied()).collect();
        let step = Step {
            id: StepId(0),
            address,
            action: Action::Wait {
                condition,
                deadline: config.prove.deadlines.certificate,
            },
            changes: Vec::new(),
            stage: Stage::Prepare,
            consequence: Consequence::None,
            reason: "a listener takes an issued certificate only".to_owned(),
            after: Vec::new(),
        };
        sequence.push(step, after);
    }
}

/// Whether visitors are moved to the load balancer by this plan at any of the site's names.
fn moves_visitors(site: &Site, decided: &Decided) -> bool {
    site.names().any(|name| decided.is_changed(&record_address(name)))
}

/// Whether web ports of an instance are closed by this plan.
fn closes_ports(decided: &Decided) -> bool {
    decided
        .iter()
        .any(|(address, item)| address.kind() == Kind::PortClosure && item.decision == Decision::Update)
}

fn prove(
    config: &Config,
    observed: &Observed,
    decided: &Decided,
    name: &SiteName,
    site: &Site,
    sequence: &mut Sequence,
) {
    // Closing the instance is as final for visitors as moving them, and may come in a later run.
    let moves = moves_visitors(site, decided) || closes_ports(decided);
    let deadlines = &config.prove.deadlines;
    let load_balancer = load_balancer_address();
    let is_active = decided
        .get(&load_balancer)
        .and_then(|item| item.actual.as_ref())
        .is_some_and(
            |actual| matches!(&actual.status, Status::LoadBalancer { state, .. } if state.starts_with("active")),
        );
    if decided.is_new(&load_balancer) || (moves && !is_active) {
        let condition = Condition::LoadBalancerActive {
            load_balancer: load_balancer.clone(),
        };
        sequence.wait(
            &load_balancer,
            Stage::Prove,
            condition,
            deadlines.load_balancer,
            "a new load balancer takes some minutes",
        );
    }
    for instance in &site.instances {
        let target = target_address(name, instance);
        if moves || decided.is_new(&target) {
            let condition = Condition::TargetHealthy { target: target.clone() };
            sequence.wait(
                &target,
                Stage::Prove,
                condition,
                deadlines.target,
                "requests go to healthy targets",
            );
        }
    }
    if !moves || config.prove.request == RequestProof::Off {
        return;
    }
    let direct = site.instances.iter().find_map(|id| {
        let address = observed.instances.get(id)?.public_address?;
        Some(DirectPath {
            instance: id.clone(),
            address: address.into(),
            port: site.backend_port,
            protocol: site.backend_protocol,
        })
    });
    for host in site.names().filter(|name| !name.is_wildcard()) {
        let request = site_request(site, host, Through::LoadBalancer(load_balancer.clone()), direct.clone());
        let condition = Condition::SiteAnswers {
            request,
            proof: config.prove.request,
        };
        let listener = listener_address(site.listen_port);
        sequence.wait(
            &listener,
            Stage::Prove,
            condition,
            deadlines.request,
            "visitors are sent where the site answers",
        );
    }
}

fn site_request(site: &Site, host: &DomainName, through: Through, direct: Option<DirectPath>) -> SiteRequest {
    SiteRequest {
        name: host.clone(),
        through,
        protocol: Protocol::Https,
        port: site.listen_port,
        path: "/".to_owned(),
        as_answered_by: direct,
    }
}

/// A DNS change is waited for when it is made by this plan, or was made by a run that did not see it arrive.
fn in_sync_waits(config: &Config, state: &State, decided: &Decided, sequence: &mut Sequence) {
    for host in config.sites.values().flat_map(Site::names) {
        let record = record_address(host);
        let under_way = state
            .cutovers
            .get(&record)
            .is_some_and(|cutover| cutover.in_sync_at.is_none());
        if decided.is_changed(&record) || under_way {
            let condition = Condition::RecordInSync { record: record.clone() };
            sequence.wait(
                &record,
                Stage::Cutover,
                condition,
                config.prove.deadlines.dns,
                "the change reaches all of Route 53's servers",
            );
        }
    }
}

/// Resolvers may remember the old address; nothing is closed before they have forgotten it.
fn drain_waits(config: &Config, state: &State, decided: &Decided, now: Timestamp, sequence: &mut Sequence) {
    if !closes_ports(decided) {
        return;
    }
    for host in config.sites.values().flat_map(Site::names) {
        let record = record_address(host);
        let old_ttl = match (decided.get(&record), state.cutovers.get(&record)) {
            (Some(item), _) if matches!(item.decision, Decision::Create | Decision::Update) => standing_ttl(item),
            (_, Some(cutover)) => cutover.old_ttl,
            _ => Seconds::default(),
        };
        let margin = drain_margin(config, old_ttl);
        let moved = decided.is_changed(&record);
        let over = state
            .cutovers
            .get(&record)
            .and_then(|cutover| cutover.drained_at(margin))
            .is_some_and(|drained_at| drained_at <= now);
        if moved || !over {
            let condition = Condition::Drained {
                record: record.clone(),
                old_ttl,
                margin,
            };
            let deadline = config.lockdown.wait;
            sequence.wait(
                &record,
                Stage::Drain,
                condition,
                deadline,
                "resolvers may remember the old address",
            );
        }
    }
}

/// The longest time to live among the records that stand at a name.
pub(super) fn standing_ttl(item: &Item) -> Seconds {
    let ttl = match item.actual.as_ref().map(|actual| &actual.spec) {
        Some(Spec::AliasRecord(standing)) => standing.records.values().filter_map(|data| data.ttl).max(),
        _ => None,
    };
    Seconds::new(ttl.unwrap_or_default())
}

/// How long to wait after the old time to live: what was set, or the same time again and at least ten minutes, as many
/// resolvers overstay it (`aws-facts.md` 8.1).
fn drain_margin(config: &Config, old_ttl: Seconds) -> Seconds {
    config
        .lockdown
        .drain_margin
        .unwrap_or(old_ttl.max(defaults::DRAIN_MARGIN))
}

/// The names are asked as visitors do once nothing is left to be moved or closed.
fn verify(config: &Config, decided: &Decided, sequence: &mut Sequence) {
    if config.prove.request == RequestProof::Off {
        return;
    }
    for site in config.sites.values() {
        if !closes_ports(decided) && !moves_visitors(site, decided) {
            continue;
        }
        for host in site.names().filter(|name| !name.is_wildcard()) {
            let request = site_request(site, host, Through::Name, None);
            let condition = Condition::SiteAnswers {
                request,
                proof: config.prove.request,
            };
            sequence.wait(
                &record_address(host),
                Stage::Verify,
                condition,
                config.prove.deadlines.request,
                "the site answers its visitors",
            );
        }
    }
}

/// What was replaced, or is no longer wanted, is deleted last, and users before what they use.
fn clean_up(state: &State, decided: &Decided, sequence: &mut Sequence) {
    let mut old: Vec<(Address, Action, Vec<diff::Change>, String)> = Vec::new();
    for (address, item) in decided.iter() {
        let Some(actual) = &item.actual else { continue };
        let reason = match item.decision {
            Decision::Replace => "its successor has taken over",
            Decision::Delete => item.reason.as_str(),
            _ => continue,
        };
        let action = Action::Delete {
            id: actual.id.clone(),
            observed: actual.spec.clone(),
        };
        old.push((address.clone(), action, diff::deletion(&actual.spec), reason.to_owned()));
    }
    for retired in &state.retired {
        let action = Action::Delete {
            id: retired.id.clone(),
            observed: retired.spec.clone(),
        };
        old.push((
            retired.address.clone(),
            action,
            diff::deletion(&retired.spec),
            "its successor has taken over".to_owned(),
        ));
    }
    for (address, id) in &decided.forgotten {
        let reason = match address.kind() {
            Kind::ValidationRecord | Kind::AliasRecord => "the configuration no longer asks for it; it stays in DNS",
            _ => "it is gone from AWS and no longer wanted",
        };
        old.push((
            address.clone(),
            Action::Forget { id: id.clone() },
            Vec::new(),
            reason.to_owned(),
        ));
    }
    old.sort_by(|left, right| right.0.cmp(&left.0));
    let mut previous: BTreeSet<usize> = BTreeSet::new();
    for (address, action, changes, reason) in old {
        let decision = if matches!(action, Action::Forget { .. }) {
            Decision::Forget
        } else {
            Decision::Delete
        };
        let step = Step {
            id: StepId(0),
            consequence: if reason.starts_with("its successor") {
                Consequence::None
            } else {
                consequence_of(address.kind(), decision)
            },
            address,
            action,
            changes,
            stage: Stage::Cleanup,
            reason,
            after: Vec::new(),
        };
        let index = sequence.push(step, previous.clone());
        previous = BTreeSet::from([index]);
    }
}
