//! What happens to each resource: nothing, or it is made, changed, replaced, deleted, recorded or forgotten.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Refusal, Refused,
    addresses::load_balancer_address,
    adopt::adoptions,
    closures,
    desired::Desired,
    keep::Standing,
    left_open, live, matching, names, shrinking,
    successor::{dead, is_retired, name_is_taken, predecessor, protected, standing_successor},
};
use crate::{
    config::{CertificateSource, Config},
    diff::{self, Change},
    observed::{Actual, Observed},
    resource::{Address, Kind, Output, Ref, Spec},
    state::State,
    value::Seconds,
};

/// How long an object that was just made may be unknown to AWS's reads (`aws-facts.md` 7.1).
pub(super) const FRESH: Seconds = Seconds::new(120);

/// What happens to one resource.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The object, if there is one.
    pub(super) actual: Option<Actual>,
    /// The object that takes over from `actual`, where it stands already.
    pub(super) successor: Option<Actual>,
    /// What is wanted, resolved as far as can be; `None` for what is no longer wanted.
    pub(super) desired: Option<Spec>,
    /// What happens.
    pub(super) decision: Decision,
    /// What differs.
    pub(super) changes: Vec<Change>,
    /// Why.
    pub(super) reason: String,
    /// Whether it is deleted by the plan that makes it.
    pub(super) temporary: bool,
    /// The object that has the resource's place in the state and is given up for this one.
    pub(super) given_up: Option<Actual>,
    /// Whether visitors who come to another target group now come to this one's by it.
    pub(super) takes_over: bool,
}

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Create,
    Replace,
    Update,
    Record,
    Unchanged,
    Delete,
}

/// What happens to every resource.
#[derive(Debug)]
pub(super) struct Decided {
    items: BTreeMap<Address, Item>,
    /// Ids in the state of objects that AWS no longer has, of resources that are not wanted.
    pub(super) forgotten: BTreeMap<Address, String>,
}

impl Item {
    /// Whether the resource has this object when the plan is carried out.
    pub(super) fn keeps(&self, id: &str) -> bool {
        let stays = match self.decision {
            Decision::Replace => &self.successor,
            Decision::Delete | Decision::Create => &None,
            Decision::Update | Decision::Record | Decision::Unchanged => &self.actual,
        };
        !self.temporary && stays.as_ref().is_some_and(|actual| actual.id == id)
    }
}

impl Decided {
    pub(super) fn get(&self, address: &Address) -> Option<&Item> {
        self.items.get(address)
    }

    pub(super) fn insert(&mut self, address: Address, item: Item) {
        self.items.insert(address, item);
    }

    pub(super) fn take_over(&mut self, address: &Address) {
        if let Some(item) = self.items.get_mut(address) {
            item.takes_over = true;
        }
    }

    /// Has a resource changed that is as it is wanted in the end, because it has to be otherwise until then.
    pub(super) fn update(&mut self, address: &Address) {
        if let Some(item) = self.items.get_mut(address)
            && matches!(item.decision, Decision::Unchanged | Decision::Record)
        {
            item.decision = Decision::Update;
            item.reason.clear();
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Address, &Item)> {
        self.items.iter()
    }

    /// Every object that is the stack's, those that a killed run made to take over included.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Actual> {
        self.items
            .values()
            .flat_map(|item| item.actual.iter().chain(&item.successor))
    }

    pub(super) fn unchanged(&self) -> impl Iterator<Item = &Address> {
        self.items
            .iter()
            .filter(|(_, item)| item.decision == Decision::Unchanged)
            .map(|(address, _)| address)
    }

    /// Whether the resource is made new, so that others have to wait for it.
    pub(super) fn is_new(&self, address: &Address) -> bool {
        self.get(address)
            .is_some_and(|item| matches!(item.decision, Decision::Create | Decision::Replace))
    }

    /// Whether AWS is changed at all at this address.
    pub(super) fn is_changed(&self, address: &Address) -> bool {
        self.get(address).is_some_and(|item| {
            matches!(
                item.decision,
                Decision::Create | Decision::Replace | Decision::Update | Decision::Delete
            )
        })
    }

    /// Whether a listener is there already and is not replaced.
    pub(super) fn has_standing_listener(&self, id: &str) -> bool {
        self.items.iter().any(|(address, item)| {
            address.kind() == Kind::Listener
                && item.decision != Decision::Replace
                && item.actual.as_ref().is_some_and(|actual| actual.id == id)
        })
    }

    /// Whether an object stays, at whatever address: two sites may share what is known by its content.
    pub(super) fn keeps(&self, kind: Kind, id: &str) -> bool {
        self.items
            .iter()
            .any(|(address, item)| address.kind() == kind && item.keeps(id))
    }

    /// The resource whose object has the value as its id or among its outputs.
    pub(super) fn supplier(&self, value: &str) -> Option<&Address> {
        let supplies = |actual: &Actual| actual.id == value || actual.outputs.values().any(|output| output == value);
        self.items
            .iter()
            .find(|(_, item)| item.actual.iter().chain(&item.successor).any(supplies))
            .map(|(address, _)| address)
    }

    /// Replaces every reference whose value is known and stays.
    pub(super) fn resolve_all(&self, spec: &mut Spec) {
        for reference in spec.references_mut() {
            self.resolve(reference);
        }
    }

    fn resolve(&self, reference: &mut Ref) {
        let Ref::Of(address, output) = &*reference else { return };
        let Some(Item {
            actual: Some(actual),
            decision,
            successor,
            ..
        }) = self.get(address)
        else {
            return;
        };
        let stays = matches!(decision, Decision::Update | Decision::Record | Decision::Unchanged);
        let source = successor.as_ref().unwrap_or(actual);
        let value = match output {
            Output::Id | Output::DnsName | Output::ZoneId if !stays && successor.is_none() => None,
            Output::Id => Some(&source.id),
            // The validation record of a name is the same for every certificate of the account, so that of the one that
            // is replaced holds for its successor (`aws-facts.md` 1.3).
            output => source.outputs.get(output).or_else(|| actual.outputs.get(output)),
        };
        if let Some(value) = value {
            *reference = Ref::Known(value.clone());
        }
    }
}

/// Decides, or refuses with every reason at once.
pub(super) fn decide(
    config: &Config,
    observed: &Observed,
    state: &State,
    desired: Desired,
    now: Timestamp,
) -> Result<Decided, Refused> {
    let mut decided = Decided {
        items: BTreeMap::new(),
        forgotten: BTreeMap::new(),
    };
    let mut refusals = Vec::new();
    let adoptions = adoptions(config, observed, state, &desired.iter(), &mut refusals);
    let standing = Standing::of(config, observed, state, desired.get(&load_balancer_address()));
    // In the order of addresses: a resource refers only to kinds above its own, whose fate is known by then.
    for (address, mut spec) in desired {
        decided.resolve_all(&mut spec);
        let found = matching::find(config, observed, state, &address, &spec);
        let adopted = found.is_none();
        // What is on its way out may be wanted again, or stay behind what takes over from it.
        let found = found.map(|found| standing.choose(state, &address, found, &spec));
        let given_up = found
            .as_ref()
            .and_then(|found| matching::given_up(observed, state, &address, found));
        let (found, successor) = match found {
            Some(found) => match predecessor(observed, state, &address, &found) {
                Some(old) => (Some(old), Some(found)),
                None => (Some(found), None),
            },
            None => (None, None),
        };
        let begun = || left_open::begun(observed, state, &address);
        let actual = found.or_else(|| adoptions.object(observed, &address).or_else(begun).cloned());
        if let Some(actual) = &actual {
            standing.keep(actual, &mut spec);
        }
        if let Some(refusal) = name_is_taken(config, observed, state, &address, actual.as_ref(), &spec) {
            refusals.push(refusal);
            continue;
        }
        refuse_unknown_yet(state, &address, actual.as_ref(), now, &mut refusals);
        if let Spec::AliasRecord(wanted) = &spec
            && let Some((site_name, site)) = names::site_of(config, &wanted.name)
        {
            refusals.extend(names::irregular(observed, site_name, &wanted.zone, &wanted.name));
            if state.id(&address).is_none()
                && !adoptions.has(&address)
                && let Some(Actual {
                    spec: Spec::AliasRecord(standing),
                    ..
                }) = &actual
                && !diff::changes(&Spec::AliasRecord(standing.clone()), &spec).is_empty()
                && !names::lead_to_stack(config, observed, state, standing)
            {
                refusals.extend(names::foreign(site_name, site, observed, standing));
            }
        }
        let mut item = compare(state, &address, actual, spec);
        if given_up.is_some() && item.decision == Decision::Unchanged {
            item.decision = Decision::Record;
        }
        item.given_up = given_up;
        refusals.extend(protected(&address, &item));
        item.successor = successor.or_else(|| standing_successor(config, observed, state, &address, &item));
        refusals.extend(left_open::unseen(state, &address, &item, now));
        if adopted && item.actual.is_some() && item.reason.is_empty() {
            "adopted as the configuration asks".clone_into(&mut item.reason);
        }
        decided.items.insert(address, item);
    }
    surplus(config, observed, state, &mut decided, &mut refusals);
    shrinking::open_again(config, observed, state, &mut decided);
    live::mark_takeovers(config, observed, &mut decided);
    live::refuse_at_once(config, &decided, &mut refusals);
    live::add_proof_rules(config, observed, state, &mut decided);
    closures::close_ports(config, observed, state, &mut decided);
    if refusals.is_empty() {
        Ok(decided)
    } else {
        refusals.sort();
        refusals.dedup();
        Err(Refused { refusals })
    }
}

fn compare(state: &State, address: &Address, actual: Option<Actual>, desired: Spec) -> Item {
    let Some(actual) = actual else {
        let reason = if state.id(address).is_some() {
            "it is gone from AWS"
        } else {
            ""
        };
        return Item {
            actual: None,
            changes: diff::creation(&desired),
            desired: Some(desired),
            decision: Decision::Create,
            reason: reason.to_owned(),
            temporary: false,
            given_up: None,
            takes_over: false,
            successor: None,
        };
    };
    let changes = diff::changes(&actual.spec, &desired);
    let forcing: Vec<&str> = changes
        .iter()
        .filter(|change| change.forces_replacement)
        .map(|change| change.path.as_str())
        .collect();
    let (decision, reason) = if let Some(dead) = dead(&actual) {
        (Decision::Replace, dead)
    } else if !forcing.is_empty() {
        (
            Decision::Replace,
            format!("AWS cannot change {} in place", forcing.join(", ")),
        )
    } else if !changes.is_empty() {
        (Decision::Update, String::new())
    } else if let Some(why) = unrecorded(state, address, &actual.id) {
        (Decision::Record, why.to_owned())
    } else {
        (Decision::Unchanged, String::new())
    };
    Item {
        actual: Some(actual),
        desired: Some(desired),
        decision,
        changes,
        reason,
        temporary: false,
        given_up: None,
        takes_over: false,
        successor: None,
    }
}

/// Why an object that stays has to be written down.
pub(super) fn unrecorded(state: &State, address: &Address, id: &str) -> Option<&'static str> {
    if state.id(address) != Some(id) {
        Some("the state does not have it yet")
    } else if is_retired(state, address, id) {
        Some("it was on its way out and is wanted again")
    } else {
        None
    }
}

/// An object that the state recorded a moment ago and AWS does not show yet must not be made again.
fn refuse_unknown_yet(
    state: &State,
    address: &Address,
    actual: Option<&Actual>,
    now: Timestamp,
    refusals: &mut Vec<Refusal>,
) {
    if actual.is_none()
        && address.kind().has_id()
        && let Some(entry) = state.resources.get(address)
        && entry
            .recorded_at
            .checked_add(FRESH.duration())
            .is_ok_and(|until| now < until)
    {
        refusals.push(Refusal::new(
            address.to_string(),
            format!(
                "`{}` was recorded at {:.0} and AWS does not show it yet",
                entry.id, entry.recorded_at
            ),
            "run again in two minutes: if it is really gone, it is made again then",
        ));
    }
}

/// Whether the configuration names the certificate outright, so that it is not the stack's to delete.
pub(super) fn names_certificate(config: &Config, id: &str) -> bool {
    config
        .sites
        .values()
        .any(|site| matches!(&site.certificate, CertificateSource::Existing(arn) if arn.as_str() == id))
}

/// What the state knows and the configuration no longer asks for.
fn surplus(config: &Config, observed: &Observed, state: &State, decided: &mut Decided, refusals: &mut Vec<Refusal>) {
    for (address, entry) in &state.resources {
        if decided.items.contains_key(address) || address.kind() == Kind::PortClosure {
            continue;
        }
        let actual = match address.kind() {
            // Shared with every certificate of the account for the name (`aws-facts.md` 1.3).
            Kind::ValidationRecord => None,
            // A name that visitors use is not taken away because a line left a file.
            Kind::AliasRecord => {
                refusals.extend(names::still_used(config, observed, state, address));
                None
            }
            // Made by the stack and then named outright: it is the user's from now on.
            Kind::Certificate if names_certificate(config, &entry.id) => None,
            Kind::InstanceIngress => matching::rule_by_id(observed, &entry.id),
            kind => observed.object(kind, &entry.id).cloned(),
        };
        match actual {
            Some(actual) => {
                let item = Item {
                    changes: diff::deletion(&actual.spec),
                    actual: Some(actual),
                    desired: None,
                    decision: Decision::Delete,
                    reason: "the configuration no longer asks for it".to_owned(),
                    temporary: false,
                    given_up: None,
                    takes_over: false,
                    successor: None,
                };
                decided.items.insert(address.clone(), item);
            }
            None => {
                decided.forgotten.insert(address.clone(), entry.id.clone());
            }
        }
    }
    // A name may lead to the load balancer although the run that led it there was cut off.
    for address in state.intents.keys() {
        let is_known = decided.items.contains_key(address) || state.resources.contains_key(address);
        if address.kind() == Kind::AliasRecord && !is_known {
            refusals.extend(names::still_used(config, observed, state, address));
        }
    }
}
