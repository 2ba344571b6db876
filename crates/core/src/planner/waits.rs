//! What is waited for between the steps, and how visitors' path is proven.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    addresses::{
        certificate_address, listener_address, load_balancer_address, proof_rule_address, record_address,
        target_address,
    },
    decide::{Decided, Decision, Item},
    desired::validated_names,
    live, names,
    sequence::{Sequence, Wait},
    shrinking,
};
use crate::{
    config::{Config, Protocol, RequestProof, Site, SiteName, defaults},
    observed::{Observed, Status},
    plan::{Action, Condition, DirectPath, Progress, SiteRequest, Stage, Through},
    resource::{Address, Kind, Spec},
    state::State,
    value::{DomainName, Seconds},
};

/// ACM tells the validation records some seconds after the request; those that need to be written wait for that.
pub(super) fn validation_wait(config: &Config, address: &Address, item: &Item, sequence: &mut Sequence) {
    if item.desired.is_none() {
        // It goes, and never was for the names that the site may have got meanwhile.
        return;
    }
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
    sequence.wait(Wait {
        address,
        stage: Stage::Prepare,
        condition,
        deadline,
        reason: "ACM tells the validation records some seconds after the request",
        also_after: &[],
    });
}

pub(super) fn certificate_waits(config: &Config, decided: &Decided, sequence: &mut Sequence) {
    for (name, site) in &config.sites {
        let address = certificate_address(name);
        let Some(item) = decided.get(&address).filter(|item| item.desired.is_some()) else {
            continue;
        };
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
        let records: Vec<Address> = validated_names(site)
            .into_iter()
            .map(|name| Address::new(Kind::ValidationRecord, name.as_str()))
            .collect();
        sequence.wait(Wait {
            address: &address,
            stage: Stage::Prepare,
            condition,
            deadline: config.prove.deadlines.certificate,
            reason: "a listener takes an issued certificate only",
            also_after: &records,
        });
    }
}

/// Whether visitors are moved to the load balancer by this plan at any of the site's names.
pub(super) fn moves_visitors(site: &Site, decided: &Decided) -> bool {
    site.names().any(|name| decided.is_changed(&record_address(name)))
}

/// The groups in which web ports are closed by this plan.
fn closed_groups(decided: &Decided) -> impl Iterator<Item = &str> {
    decided
        .iter()
        .filter(|(address, item)| address.kind() == Kind::PortClosure && item.decision == Decision::Update)
        .map(|(address, _)| address.key())
}

/// Whether web ports of the site's instances are closed by this plan.
fn closes_ports(site: &Site, observed: &Observed, decided: &Decided) -> bool {
    closed_groups(decided).any(|closed| {
        site.instances
            .iter()
            .filter_map(|id| observed.instances.get(id))
            .flat_map(|instance| &instance.security_groups)
            .any(|group| group.as_str() == closed)
    })
}

/// Whether targets leave whose requests the site's own have to take: its own ones, or those of a site that is no more. A
/// run that was cut off may have added the new ones without seeing them healthy.
fn target_leaves(config: &Config, state: &State, decided: &Decided, name: &SiteName) -> bool {
    let concerns = |address: &Address| {
        let of = address.key().split('.').next().unwrap_or_default();
        matches!(address.kind(), Kind::Target | Kind::TargetGroup)
            && (of == name.as_str() || config.sites.keys().all(|site| site.as_str() != of))
    };
    let leaving = decided
        .iter()
        .filter(|(_, item)| matches!(item.decision, Decision::Replace | Decision::Delete))
        .map(|(address, _)| address);
    leaving
        .chain(state.retired.iter().map(|retired| &retired.address))
        .any(concerns)
}

/// Adds the proofs of the way that the visitors of a site will take.
pub(super) fn prove(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    name: &SiteName,
    site: &Site,
    sequence: &mut Sequence,
) {
    let moves_target = live::moves_site(config, decided, name);
    // Closing the instance is as final for visitors as moving them, and may come in a later run.
    let moves = moves_visitors(site, decided) || moves_target || closes_ports(site, observed, decided);
    let deadlines = &config.prove.deadlines;
    let load_balancer = load_balancer_address();
    let is_active = decided
        .get(&load_balancer)
        .and_then(|item| item.actual.as_ref())
        .is_some_and(
            |actual| matches!(&actual.status, Status::LoadBalancer { state, .. } if state.starts_with("active")),
        );
    let is_waited = sequence.waits_for(&load_balancer);
    if !is_waited && (decided.is_new(&load_balancer) || (moves && !is_active)) {
        let condition = Condition::LoadBalancerActive {
            load_balancer: load_balancer.clone(),
        };
        sequence.wait(Wait {
            address: &load_balancer,
            stage: Stage::Prove,
            condition,
            deadline: deadlines.load_balancer,
            reason: "a new load balancer takes some minutes",
            also_after: &[],
        });
    }
    let proof_rule = proof_rule_address(site.listen_port, name);
    let others_leave = target_leaves(config, state, decided, name);
    for instance in &site.instances {
        let target = target_address(name, instance);
        let is_healthy = decided
            .get(&target)
            .and_then(|item| item.actual.as_ref())
            .is_some_and(|actual| matches!(&actual.status, Status::Target { state, .. } if state == "healthy"));
        if moves || decided.is_new(&target) || (others_leave && !is_healthy) {
            let condition = Condition::TargetHealthy { target: target.clone() };
            sequence.wait(Wait {
                address: &target,
                stage: Stage::Prove,
                condition,
                deadline: deadlines.target,
                reason: "requests go to healthy targets",
                also_after: std::slice::from_ref(&proof_rule),
            });
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
    let headers: BTreeMap<String, String> = moves_target
        .then(|| live::proof_header(decided, name))
        .flatten()
        .into_iter()
        .collect();
    // Its own deadline is about the site; that of the load balancer has passed by then.
    let targets = site.instances.iter().map(|instance| target_address(name, instance));
    let proven_first: Vec<Address> = targets.chain([load_balancer.clone(), proof_rule]).collect();
    for host in site.names().filter(|name| !name.is_wildcard()) {
        let request = SiteRequest {
            headers: headers.clone(),
            ..site_request(site, host, Through::LoadBalancer(load_balancer.clone()), direct.clone())
        };
        let condition = Condition::SiteAnswers {
            request,
            proof: config.prove.request,
        };
        let listener = listener_address(site.listen_port);
        sequence.wait(Wait {
            address: &listener,
            stage: Stage::Prove,
            condition,
            deadline: deadlines.request,
            reason: "visitors are sent where the site answers",
            also_after: &proven_first,
        });
    }
}

pub(super) fn site_request(
    site: &Site,
    host: &DomainName,
    through: Through,
    direct: Option<DirectPath>,
) -> SiteRequest {
    SiteRequest {
        name: host.clone(),
        through,
        protocol: Protocol::Https,
        port: site.listen_port,
        path: "/".to_owned(),
        headers: BTreeMap::new(),
        as_answered_by: direct,
    }
}

/// A DNS change is waited for when it is made by this plan, or was made by a run that did not see it arrive.
pub(super) fn in_sync_waits(config: &Config, state: &State, decided: &Decided, sequence: &mut Sequence) {
    for host in config.sites.values().flat_map(Site::names) {
        let record = record_address(host);
        let under_way = state
            .cutovers
            .get(&record)
            .is_some_and(|cutover| cutover.in_sync_at.is_none());
        if decided.is_changed(&record) || under_way {
            let condition = Condition::RecordInSync { record: record.clone() };
            sequence.wait(Wait {
                address: &record,
                stage: Stage::Cutover,
                condition,
                deadline: config.prove.deadlines.dns,
                reason: "the change reaches all of Route 53's servers",
                also_after: &[],
            });
        }
    }
}

/// Adds the waits until nobody comes the old way any more, before that is closed or taken away.
pub(super) fn drain(
    config: &Config,
    observed: &Observed,
    state: &State,
    decided: &Decided,
    now: Timestamp,
    sequence: &mut Sequence,
) {
    let drain = Drain { state, decided, now };
    let balancer_leaves =
        leaves(state, decided, &[Kind::LoadBalancer, Kind::Listener]) || shrinking::loses_ipv6(decided);
    for site in config.sites.values() {
        if !balancer_leaves && !closes_ports(site, observed, decided) {
            continue;
        }
        for host in site.names() {
            let record = record_address(host);
            let old_ttl = match (decided.get(&record), state.cutovers.get(&record)) {
                (Some(item), _) if matches!(item.decision, Decision::Create | Decision::Update) => standing_ttl(item),
                (_, Some(cutover)) => cutover.old_ttl,
                _ => Seconds::default(),
            };
            let wait = Drain::record(config, &record, old_ttl);
            drain.add(config, wait, sequence);
        }
    }
    if leaves(state, decided, &[Kind::TargetGroup, Kind::ListenerRule]) {
        // Names that have left the configuration were sent elsewhere before.
        for (record, cutover) in &state.cutovers {
            if record.kind() == Kind::AliasRecord && decided.get(record).is_none() {
                let wait = Drain::record(config, record, cutover.old_ttl);
                drain.add(config, wait, sequence);
            }
        }
    }
    if leaves(state, decided, &[Kind::TargetGroup, Kind::Target]) {
        let moved = decided
            .iter()
            .filter(|(_, item)| live::is_move(item))
            .map(|(address, _)| address);
        let earlier = state
            .cutovers
            .keys()
            .filter(|address| matches!(address.kind(), Kind::Listener | Kind::ListenerRule));
        for way in moved.chain(earlier).collect::<BTreeSet<_>>() {
            let wait = Condition::Drained {
                record: way.clone(),
                old_ttl: Seconds::default(),
                margin: listener_margin(config),
            };
            drain.add(config, wait, sequence);
        }
    }
}

/// Whether something of one of the kinds is on its way out because another has taken its place, or nobody asks for it.
fn leaves(state: &State, decided: &Decided, kinds: &[Kind]) -> bool {
    let item_leaves = |(address, item): (&Address, &Item)| {
        kinds.contains(&address.kind())
            && !item.temporary
            && (item.given_up.is_some() || matches!(item.decision, Decision::Replace | Decision::Delete))
    };
    decided.iter().any(item_leaves)
        || state
            .retired
            .iter()
            .any(|retired| kinds.contains(&retired.address.kind()))
}

/// How long requests that are under way may take when visitors are sent to another target group.
fn listener_margin(config: &Config) -> Seconds {
    let delay = |site: &Site| site.deregistration_delay.unwrap_or(defaults::LISTENER_DRAIN);
    config
        .sites
        .values()
        .map(delay)
        .max()
        .unwrap_or(defaults::LISTENER_DRAIN)
}

struct Drain<'a> {
    state: &'a State,
    decided: &'a Decided,
    now: Timestamp,
}

impl Drain<'_> {
    fn record(config: &Config, record: &Address, old_ttl: Seconds) -> Condition {
        Condition::Drained {
            record: record.clone(),
            old_ttl,
            margin: drain_margin(config, old_ttl),
        }
    }

    fn add(&self, config: &Config, condition: Condition, sequence: &mut Sequence) {
        let Condition::Drained { record, margin, .. } = &condition else {
            return;
        };
        let (record, margin) = (record.clone(), *margin);
        let moves = match self.decided.get(&record) {
            Some(item) if record.kind() == Kind::AliasRecord => {
                matches!(item.decision, Decision::Create | Decision::Update)
            }
            Some(item) => live::is_move(item),
            None => false,
        };
        let cutover = self.state.cutovers.get(&record);
        let over = cutover
            .and_then(|cutover| cutover.drained_at(margin))
            .is_some_and(|drained_at| drained_at <= self.now);
        // A record that was never moved has nobody who comes by it.
        let unknown = cutover.is_none() && record.kind() != Kind::AliasRecord;
        if !moves && (over || unknown) {
            return;
        }
        sequence.wait(Wait {
            address: &record,
            stage: Stage::Drain,
            condition,
            deadline: config.lockdown.wait,
            reason: if record.kind() == Kind::AliasRecord {
                "resolvers may remember the old address"
            } else {
                "requests may be under way to the old target group"
            },
            also_after: &[],
        });
    }
}

/// The names are asked from outside before anything is closed: a hosted zone that nobody delegates to can be changed, and
/// its changes can be in sync, while visitors still come to the instance (`aws-facts.md` 5.1).
pub(super) fn moved_for_visitors(config: &Config, observed: &Observed, decided: &Decided, sequence: &mut Sequence) {
    if config.prove.request == RequestProof::Off {
        return;
    }
    for site in config
        .sites
        .values()
        .filter(|site| closes_ports(site, observed, decided))
    {
        let through = Through::NameNotAt(names::site_addresses(site, observed));
        for host in site.names().filter(|name| !name.is_wildcard()) {
            let condition = Condition::SiteAnswers {
                request: site_request(site, host, through.clone(), None),
                proof: config.prove.request,
            };
            sequence.wait(Wait {
                address: &record_address(host),
                stage: Stage::Drain,
                condition,
                deadline: config.prove.deadlines.request,
                reason: "nothing is closed before visitors come through the load balancer",
                also_after: &[],
            });
        }
    }
}

/// The longest time to live among the records that stand at a name.
pub(super) fn standing_ttl(item: &Item) -> Seconds {
    let Some(Spec::AliasRecord(standing)) = item.actual.as_ref().map(|actual| &actual.spec) else {
        return Seconds::default();
    };
    let ttls = standing.records.values().map(|data| match data.alias {
        Some(_) => defaults::ALIAS_TTL,
        None => Seconds::new(data.ttl.unwrap_or_default()),
    });
    ttls.max().unwrap_or_default()
}

/// How long to wait after the old time to live: what was set, or the same time again and at least ten minutes, as many
/// resolvers overstay it (`aws-facts.md` 8.1).
pub(crate) fn drain_margin(config: &Config, old_ttl: Seconds) -> Seconds {
    config
        .lockdown
        .drain_margin
        .unwrap_or(old_ttl.max(defaults::DRAIN_MARGIN))
}

/// The names are asked as visitors do once nothing is left to be moved or closed.
pub(super) fn verify(config: &Config, observed: &Observed, decided: &Decided, sequence: &mut Sequence) {
    if config.prove.request == RequestProof::Off {
        return;
    }
    for (name, site) in &config.sites {
        let moves = moves_visitors(site, decided) || live::moves_site(config, decided, name);
        if !moves && !closes_ports(site, observed, decided) {
            continue;
        }
        for host in site.names().filter(|name| !name.is_wildcard()) {
            let request = site_request(site, host, Through::Name, None);
            let condition = Condition::SiteAnswers {
                request,
                proof: config.prove.request,
            };
            sequence.wait(Wait {
                address: &record_address(host),
                stage: Stage::Verify,
                condition,
                deadline: config.prove.deadlines.request,
                reason: "the site answers its visitors",
                also_after: &[],
            });
        }
    }
}
