//! The way back to what stood before the cutover: the rules of the instances first, then the records.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    Refusal,
    addresses::{closure_address, record_address},
    clean_up::Removal,
    left_open, names,
    sequence::{Sequence, Wait},
    waits::site_request,
};
use crate::{
    config::{Config, Protocol, RequestProof, Site, SiteName, defaults},
    diff,
    observed::{Instance, Observed, StoredAlias},
    plan::{Action, Condition, Consequence, Finding, Severity, SiteRequest, Stage, Step, StepId, Through},
    resource::{Address, AliasRecord, Kind, Peer, PortClosure, RecordType, Ref, Rule, Spec},
    state::{Entry, Intent, Operation, Origin, Saved, State},
    value::{DomainName, Seconds, SecurityGroupId, ZoneId},
};

/// What is put back.
#[derive(Debug, Default)]
pub(super) struct WayBack {
    /// Groups in which rules stand open again: what stands now, and what stood.
    closures: Vec<(PortClosure, PortClosure)>,
    /// Records: what stands now, and what stood.
    records: Vec<(AliasRecord, AliasRecord)>,
    /// Records that the stack made where nothing stood before.
    pub(super) made: Vec<AliasRecord>,
    /// Records that lead to the load balancer, and nothing is known of what stood there before.
    pub(super) unknown: Vec<AliasRecord>,
    pub(super) findings: Vec<Finding>,
}

/// Looks for what can be put back at `names` and in `groups`.
pub(super) fn find(
    config: &Config,
    observed: &Observed,
    state: &State,
    names: &BTreeSet<DomainName>,
    groups: &BTreeSet<SecurityGroupId>,
) -> WayBack {
    let mut back = WayBack::default();
    for name in names {
        back.record(config, observed, state, name);
    }
    for group in groups {
        back.closure(observed, state, group);
    }
    back
}

/// The names and instance groups of the sites, or of one of them.
pub(super) fn of_sites(
    config: &Config,
    observed: &Observed,
    only: Option<&SiteName>,
) -> (BTreeSet<DomainName>, BTreeSet<SecurityGroupId>) {
    let sites: Vec<&Site> = config
        .sites
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .map(|(_, site)| site)
        .collect();
    let names = sites.iter().flat_map(|site| site.names().cloned()).collect();
    let groups = sites
        .iter()
        .flat_map(|site| &site.instances)
        .filter_map(|id| observed.instances.get(id))
        .flat_map(|instance| instance.security_groups.iter().cloned())
        .collect();
    (names, groups)
}

fn warning(subject: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Warning,
        subject: subject.into(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

impl WayBack {
    pub(super) fn is_empty(&self) -> bool {
        self.closures.is_empty() && self.records.is_empty()
    }

    fn record(&mut self, config: &Config, observed: &Observed, state: &State, name: &DomainName) {
        let address = record_address(name);
        let saved = match state.saved.get(&address).map(|saved| &saved.spec) {
            Some(Spec::AliasRecord(saved)) => Some(saved),
            _ => None,
        };
        let zone = saved
            .map(|saved| saved.zone.clone())
            .or_else(|| zone_of(state, &address))
            .or_else(|| zone_begun_in(config, observed, state, name));
        let Some(standing) = zone.and_then(|zone| names::at(observed, &zone, name)) else {
            return;
        };
        let leads_to_us = names::lead_to_stack(config, observed, state, &standing);
        let differs = saved.is_some_and(|saved| {
            !diff::changes(&Spec::AliasRecord(standing.clone()), &Spec::AliasRecord(saved.clone())).is_empty()
        });
        match saved {
            _ if !leads_to_us => {
                if differs {
                    self.findings.push(warning(
                        address.to_string(),
                        "the record leads neither to the load balancer nor to where it led before",
                        "it is left alone: somebody else has changed it",
                    ));
                }
            }
            Some(saved) => {
                self.tell_of_other_addresses(config, observed, saved);
                self.records.push((standing, saved.clone()));
            }
            None => {
                let created = |entry: &Entry| entry.origin == Origin::Created;
                let begun = |intent: &Intent| intent.operation == Operation::Create;
                if state.resources.get(&address).is_some_and(created) || state.intents.get(&address).is_some_and(begun)
                {
                    self.made.push(standing);
                } else {
                    self.unknown.push(standing);
                }
            }
        }
    }

    fn tell_of_other_addresses(&mut self, config: &Config, observed: &Observed, saved: &AliasRecord) {
        let Some((_, site)) = names::site_of(config, &saved.name) else {
            return;
        };
        let addresses = names::site_addresses(site, observed);
        let elsewhere =
            |(record_type, data): (&RecordType, _)| !names::leads_to(data, *record_type, observed, &addresses);
        if saved.records.iter().any(elsewhere) {
            self.findings.push(warning(
                record_address(&saved.name).to_string(),
                "where the record led before is not an address of the site's instances now",
                "check that the site still answers there, or change the record by hand",
            ));
        }
    }

    fn closure(&mut self, observed: &Observed, state: &State, group: &SecurityGroupId) {
        let address = closure_address(group);
        let Some(Saved {
            spec: Spec::PortClosure(saved),
            ..
        }) = state.saved.get(&address)
        else {
            return;
        };
        let Some(facts) = observed.security_groups.get(group) else {
            self.findings.push(warning(
                address.to_string(),
                "the group is gone, with the rules that stood open in it",
                "open the instance's group by hand",
            ));
            return;
        };
        let stands = |rule: &&Rule| facts.ingress.values().any(|found| found.rule == **rule);
        let present: BTreeMap<_, _> = saved
            .open
            .iter()
            .filter(|(_, rule)| stands(rule))
            .map(|(id, rule)| (id.clone(), rule.clone()))
            .collect();
        if present.len() < saved.open.len() {
            let standing = PortClosure {
                group: group.clone(),
                open: present,
                descriptions: BTreeMap::new(),
            };
            self.closures.push((standing, saved.clone()));
        }
    }

    /// Adds the steps that put the rules back, prove that the instances answer, and put the records back.
    pub(super) fn steps(&self, config: &Config, observed: &Observed, state: &State, sequence: &mut Sequence) {
        for (standing, before) in &self.closures {
            let (observed, desired) = (Spec::PortClosure(standing.clone()), Spec::PortClosure(before.clone()));
            push(
                sequence,
                closure_address(&standing.group),
                standing.group.to_string(),
                (observed, desired),
                Stage::Prepare,
                "visitors come to the instance again",
            );
        }
        for (_, before) in &self.records {
            prove(config, observed, before, sequence);
        }
        for (standing, before) in &self.records {
            let (observed, desired) = (Spec::AliasRecord(standing.clone()), Spec::AliasRecord(before.clone()));
            push(
                sequence,
                record_address(&standing.name),
                format!("{}/{}", standing.zone, standing.name),
                (observed, desired),
                Stage::Cutover,
                "back to what stood there before",
            );
        }
        let restored = self.records.iter().map(|(standing, _)| record_address(&standing.name));
        let under_way = state
            .cutovers
            .iter()
            .filter(|(_, cutover)| cutover.in_sync_at.is_none() && cutover.dns_change.is_some())
            .map(|(address, _)| address.clone());
        for record in restored.chain(under_way).collect::<BTreeSet<_>>() {
            sequence.wait(Wait {
                address: &record,
                stage: Stage::Cutover,
                condition: Condition::RecordInSync { record: record.clone() },
                deadline: config.prove.deadlines.dns,
                reason: "the change reaches all of Route 53's servers",
                also_after: &[],
            });
        }
    }

    /// The records that are put back.
    pub(super) fn restored(&self) -> impl Iterator<Item = Address> {
        self.records.iter().map(|(standing, _)| record_address(&standing.name))
    }

    /// Why names cannot go back.
    pub(super) fn unknown_refusals(&self, remedy: &str) -> impl Iterator<Item = Refusal> {
        self.unknown.iter().map(move |standing| {
            Refusal::new(
                record_address(&standing.name).to_string(),
                "it leads to the load balancer, and the state does not remember what stood there before",
                remedy,
            )
        })
    }

    /// Why visitors cannot come back: nobody may connect to the instance then, as what stood open in its groups is not
    /// remembered.
    pub(super) fn closed_refusals<'a>(
        &'a self,
        observed: &'a Observed,
        state: &'a State,
    ) -> impl Iterator<Item = Refusal> + 'a {
        let addresses = self.records.iter().flat_map(|(_, before)| {
            let values = before.records.values().flat_map(|data| &data.values);
            values.map(move |value| (before, value))
        });
        addresses.filter_map(|(before, value)| {
            let address: IpAddr = value.parse().ok()?;
            let is_there = |instance: &Instance| instance.public_addresses().any(|public| public == address);
            let (id, instance) = observed.instances.iter().find(|(_, instance)| is_there(instance))?;
            self.is_closed(instance, observed, state).then(|| {
                Refusal::new(
                    record_address(&before.name).to_string(),
                    format!(
                        "it would lead to {id} again, whose security groups admit nobody to port {}, and the state does \
                         not remember what stood open there",
                        defaults::LISTEN_PORT
                    ),
                    "open the port in the instance's group by hand, or point the record elsewhere",
                )
            })
        })
    }

    /// Whether nobody but load balancers of the stack may connect to the instance once the rules are put back.
    fn is_closed(&self, instance: &Instance, observed: &Observed, state: &State) -> bool {
        let admits_others = |rule: &Rule| {
            let is_balancers = matches!(&rule.peer, Peer::Group(group) if is_recorded_group(state, group));
            rule.admits_tcp(defaults::LISTEN_PORT) && !is_balancers
        };
        instance.security_groups.iter().all(|group| {
            let Some(facts) = observed.security_groups.get(group) else {
                return false;
            };
            let restored = self.closures.iter().filter(|(_, before)| before.group == *group);
            let restored = restored.flat_map(|(_, before)| before.open.values());
            let standing = facts.ingress.values().map(|found| &found.rule);
            !standing.chain(restored).any(admits_others)
        })
    }

    /// Deletes the records that the stack made where nothing stood. One that a run made and could not record is recorded
    /// first: only what the state knows is deleted.
    pub(super) fn deletions(&self, state: &State, also_unknown: bool) -> Vec<Removal> {
        let unknown = self.unknown.iter().filter(move |_| also_unknown);
        self.made
            .iter()
            .chain(unknown)
            .flat_map(|standing| {
                let address = record_address(&standing.name);
                let id = format!("{}/{}", standing.zone, standing.name);
                let record = (state.id(&address) != Some(id.as_str()))
                    .then(|| Removal::record(&address, &id, left_open::UNRECORDED));
                let spec = Spec::AliasRecord(standing.clone());
                let delete = Removal::delete(&address, Ref::Known(id), &spec, "nothing stood there before");
                record.into_iter().chain([delete])
            })
            .collect()
    }
}

/// Whether it is, or was, the group of the stack's load balancer.
fn is_recorded_group(state: &State, group: &SecurityGroupId) -> bool {
    let current = state.resources.iter().map(|(address, entry)| (address, &entry.id));
    let retired = state.retired.iter().map(|retired| (&retired.address, &retired.id));
    current
        .chain(retired)
        .any(|(address, id)| address.kind() == Kind::SecurityGroup && id == group.as_str())
}

/// The zone in which a run that was cut off led a name to the load balancer.
fn zone_begun_in(config: &Config, observed: &Observed, state: &State, name: &DomainName) -> Option<ZoneId> {
    state.intents.get(&record_address(name))?;
    let mut sets = observed.record_sets.iter().filter(|set| set.name == *name);
    sets.find(|set| {
        set.alias.as_ref().is_some_and(|alias| {
            names::is_stacks_load_balancer(config, observed, state, &StoredAlias::normal_name(&alias.name))
        })
    })
    .map(|set| set.zone.clone())
}

/// The zone that a recorded record's id begins with.
fn zone_of(state: &State, address: &Address) -> Option<ZoneId> {
    state.id(address)?.split('/').next()?.parse().ok()
}

fn push(
    sequence: &mut Sequence,
    address: Address,
    id: String,
    (observed, desired): (Spec, Spec),
    stage: Stage,
    reason: &str,
) {
    let step = Step {
        id: StepId(0),
        address,
        changes: diff::changes(&observed, &desired),
        action: Action::Update { id, observed, desired },
        stage,
        consequence: if stage == Stage::Cutover {
            Consequence::VisitorsNotice
        } else {
            Consequence::None
        },
        reason: reason.to_owned(),
        after: Vec::new(),
    };
    sequence.push(step, BTreeSet::new());
}

/// The address that visitors of a record come to.
fn address_of(config: &Config, observed: &Observed, before: &AliasRecord) -> Option<IpAddr> {
    let named = before
        .records
        .get(&RecordType::A)
        .and_then(|data| data.values.first())
        .and_then(|value| value.parse().ok());
    named.or_else(|| {
        let (_, site) = names::site_of(config, &before.name)?;
        names::site_addresses(site, observed).into_iter().next()
    })
}

/// Asks the instance before visitors come there: it has to answer; that its certificate has expired cannot be helped from
/// here, and is told.
fn prove(config: &Config, observed: &Observed, before: &AliasRecord, sequence: &mut Sequence) {
    let Some((_, site)) = names::site_of(config, &before.name) else {
        return;
    };
    let Some(address) = address_of(config, observed, before) else {
        return;
    };
    if config.prove.request == RequestProof::Off || before.name.is_wildcard() {
        return;
    }
    let record = record_address(&before.name);
    for (trusted, proof, deadline) in [
        (false, config.prove.request, config.prove.deadlines.request),
        (true, RequestProof::Warn, Seconds::new(1)),
    ] {
        let request = SiteRequest {
            protocol: Protocol::Https,
            port: defaults::LISTEN_PORT,
            ..site_request(site, &before.name, Through::Instance { address, trusted }, None)
        };
        sequence.wait(Wait {
            address: &record,
            stage: Stage::Prove,
            condition: Condition::SiteAnswers { request, proof },
            deadline,
            reason: if trusted {
                "browsers have to trust the instance's certificate"
            } else {
                "visitors are sent where the site answers"
            },
            also_after: &[],
        });
    }
}
