//! Moves of visitors from one target group to another while they keep coming.
//!
//! A new target group is proven before the move: health checks begin once a rule names it (`aws-facts.md` 2.2), so a rule
//! that only the proof's own requests match leads there first. It goes away with what was replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Refusal,
    addresses::{listener_address, load_balancer_address, proof_rule_address, record_address, target_group_address},
    decide::{Decided, Decision, Item},
    desired::listeners::priorities_on,
    matching,
};
use crate::{
    config::{Config, Site, SiteName},
    diff, naming,
    observed::{Actual, Observed},
    resource::{Address, DefaultAction, Kind, Listener, ListenerRule, Output, Ref, Spec},
    state::State,
    value::DomainName,
};

/// The header that leads a request of the proof to the new target group.
pub(super) const PROOF_HEADER: &str = "x-reconcile-proof";
/// Digits of the header's value.
const TOKEN_DIGITS: usize = 16;

/// The target group that an object forwards to.
fn target_group(spec: &Spec) -> Option<&Ref> {
    match spec {
        Spec::Listener(listener) => listener.target_group.as_ref(),
        Spec::ListenerRule(rule) => rule.target_group.as_ref(),
        _ => None,
    }
}

/// Whether an item sends visitors to another target group than they come to now.
pub(super) fn is_move(item: &Item) -> bool {
    // A rule for a proof has no visitors. One that an earlier run left leads to the new target group before the proof, not
    // with what is proven by it.
    if item.temporary {
        return false;
    }
    if item.takes_over {
        return true;
    }
    let (Some(actual), Some(desired)) = (&item.actual, &item.desired) else {
        return false;
    };
    item.decision == Decision::Update
        && match (target_group(&actual.spec), target_group(desired)) {
            (Some(from), Some(to)) => from != to,
            // Rules with the names of the sites have taken over by then.
            (Some(_), None) => true,
            _ => false,
        }
}

/// The steps of a listener that both moves visitors and changes otherwise: certificates and the rest are there for the proof
/// already; where requests go changes after it, if it changes at all and they are not led there by rules.
pub(super) fn two_steps(item: &Item) -> Option<(Item, Option<Item>)> {
    let (Some(actual), Some(Spec::Listener(wanted))) = (&item.actual, &item.desired) else {
        return None;
    };
    let Spec::Listener(standing) = &actual.spec else {
        return None;
    };
    if item.decision != Decision::Update || !is_move(item) {
        return None;
    }
    let prepared = Spec::Listener(Listener {
        default_action: standing.default_action,
        target_group: standing.target_group.clone(),
        redirect_to: standing.redirect_to.clone(),
        fixed_response: standing.fixed_response.clone(),
        ..wanted.clone()
    });
    let wanted = Spec::Listener(wanted.clone());
    let first = diff::changes(&actual.spec, &prepared);
    let second = diff::changes(&prepared, &wanted);
    if first.is_empty() {
        return None;
    }
    let before = Item {
        desired: Some(prepared.clone()),
        changes: first,
        takes_over: false,
        ..item.clone()
    };
    let after = (!second.is_empty()).then(|| Item {
        actual: Some(Actual {
            spec: prepared,
            ..actual.clone()
        }),
        changes: second,
        ..item.clone()
    });
    Some((before, after))
}

/// The names that a rule is about.
fn hosts(spec: Option<&Spec>) -> BTreeSet<&str> {
    match spec {
        Some(Spec::ListenerRule(rule)) => rule
            .conditions
            .get(ListenerRule::HOST)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect(),
        _ => BTreeSet::new(),
    }
}

/// The target group that requests for a name come to now on a listener, as far as rules are about names alone.
fn stands_at<'a>(observed: &'a Observed, listener: &str, host: &DomainName) -> Option<&'a str> {
    let covers = |rule: &ListenerRule| {
        let only_hosts = rule.conditions.keys().all(|field| field == ListenerRule::HOST);
        let mut patterns = rule.conditions.get(ListenerRule::HOST).into_iter().flatten();
        only_hosts && patterns.any(|pattern| pattern.parse::<DomainName>().is_ok_and(|pattern| pattern.covers(host)))
    };
    let rule = observed
        .found
        .iter()
        .filter_map(|actual| match &actual.spec {
            Spec::ListenerRule(rule) if rule.listener.known().ok() == Some(listener) && covers(rule) => Some(rule),
            _ => None,
        })
        .min_by_key(|rule| rule.priority);
    let group = match (
        rule,
        observed.object(Kind::Listener, listener).map(|actual| &actual.spec),
    ) {
        (Some(rule), _) => rule.target_group.as_ref(),
        (None, Some(Spec::Listener(listener))) => listener.target_group.as_ref(),
        (None, _) => None,
    };
    group.and_then(|group| group.known().ok())
}

/// Whether visitors of a name come to the load balancer already.
fn comes_to_balancer(decided: &Decided, name: &DomainName) -> bool {
    let actual = |address: &Address| decided.get(address).and_then(|item| item.actual.as_ref());
    let dns_name = actual(&load_balancer_address()).and_then(|balancer| balancer.outputs.get(&Output::DnsName));
    match actual(&record_address(name)).map(|record| &record.spec) {
        Some(Spec::AliasRecord(record)) => record
            .records
            .values()
            .filter_map(|data| data.alias.as_ref()?.name.known().ok())
            .any(|target| dns_name.is_some_and(|name| name == target)),
        _ => false,
    }
}

/// Marks what leads visitors of a name elsewhere than they come now, although it sends its own requests where it did: a
/// name that goes from one site to another, or a site that gets another name.
pub(super) fn mark_takeovers(config: &Config, observed: &Observed, decided: &mut Decided) {
    // What takes over is changed with the move, and may hold a name of another until then.
    loop {
        let taking: Vec<Address> = decided
            .iter()
            .filter(|(address, item)| !item.takes_over && takes_over(config, observed, decided, address, item))
            .map(|(address, _)| address.clone())
            .collect();
        if taking.is_empty() {
            return;
        }
        for address in taking {
            decided.take_over(&address);
        }
    }
}

fn takes_over(config: &Config, observed: &Observed, decided: &Decided, address: &Address, item: &Item) -> bool {
    let names: Vec<DomainName> = match &item.desired {
        Some(Spec::ListenerRule(_)) => {
            let hosts = hosts(item.desired.as_ref());
            hosts.iter().filter_map(|host| host.parse().ok()).collect()
        }
        Some(Spec::Listener(listener)) if listener.target_group.is_some() => {
            let sites = config.sites.values().filter(|site| site.listen_port == listener.port);
            sites.flat_map(Site::names).cloned().collect()
        }
        _ => return false,
    };
    let (Some(listener), Some(to)) = (listener_of(item), item.desired.as_ref().and_then(target_group)) else {
        return false;
    };
    // A new listener has no visitors. A rule that comes to one that stands has, whatever it replaces elsewhere.
    let is_for_new = item.decision == Decision::Replace
        && !(address.kind() == Kind::ListenerRule && decided.has_standing_listener(listener));
    let is_elsewhere =
        |name: &DomainName| stands_at(observed, listener, name).is_some_and(|group| to.known().ok() != Some(group));
    let is_taken = |name: &DomainName| {
        if comes_to_balancer(decided, name) {
            is_elsewhere(name)
        } else {
            decided.is_changed(&record_address(name)) && is_held(decided, listener, item, name)
        }
    };
    !is_for_new && names.iter().any(is_taken)
}

/// Whether requests for a name that comes to the load balancer with this plan go by a rule of another site until visitors
/// are moved, or everything is cleaned up.
fn is_held(decided: &Decided, listener: &str, item: &Item, name: &DomainName) -> bool {
    let priority = |spec: &Option<Spec>| match spec {
        Some(Spec::ListenerRule(rule)) => Some(rule.priority),
        _ => None,
    };
    decided.iter().any(|(_, other)| {
        let Some(Actual {
            spec: Spec::ListenerRule(standing),
            ..
        }) = &other.actual
        else {
            return false;
        };
        let comes_first = priority(&item.desired).is_none_or(|own| standing.priority < own);
        let stays = other.decision != Decision::Delete && !is_move(other);
        let holds = |spec: Option<&Spec>| hosts(spec).contains(name.as_str());
        standing.listener.known().ok() == Some(listener)
            && comes_first
            && !stays
            && holds(other.actual.as_ref().map(|actual| &actual.spec))
            && !holds(other.desired.as_ref())
    })
}

/// The names of visitors that an item takes over.
fn taken<'a>(config: &'a Config, item: &'a Item) -> BTreeSet<&'a str> {
    match &item.desired {
        Some(Spec::Listener(listener)) if item.takes_over => config
            .sites
            .values()
            .filter(|site| site.listen_port == listener.port)
            .flat_map(Site::names)
            .map(DomainName::as_str)
            .collect(),
        desired if item.takes_over => hosts(desired.as_ref()),
        _ => BTreeSet::new(),
    }
}

/// Whether a rule gives up names whose visitors are taken over elsewhere: it does so when that stands.
pub(super) fn gives_way(config: &Config, decided: &Decided, address: &Address, item: &Item) -> bool {
    if item.temporary || !matches!(item.decision, Decision::Update | Decision::Delete) {
        return false;
    }
    let kept = hosts(item.desired.as_ref());
    let standing = item.actual.as_ref().map(|actual| &actual.spec);
    let given: BTreeSet<&str> = hosts(standing)
        .into_iter()
        .filter(|host| !kept.contains(host))
        .collect();
    // What stands on another listener is in nobody's way.
    let listener = match standing {
        Some(Spec::ListenerRule(rule)) => rule.listener.known().ok(),
        _ => None,
    };
    decided
        .iter()
        .filter(|(other, item)| *other != address && listener_of(item) == listener)
        .any(|(_, other)| !taken(config, other).is_disjoint(&given))
}

/// The listener that requests come to which an item is about, as far as it stands.
fn listener_of(item: &Item) -> Option<&str> {
    match &item.desired {
        Some(Spec::ListenerRule(rule)) => rule.listener.known().ok(),
        _ => item.actual.as_ref().map(|actual| actual.id.as_str()),
    }
}

/// Whether visitors of the site are sent to another target group, or its rules change in the stage in which visitors move:
/// it is proven by a rule of its own then.
pub(super) fn moves_site(config: &Config, decided: &Decided, site: &SiteName) -> bool {
    let group = target_group_address(site);
    let id = decided
        .get(&group)
        .and_then(|item| item.successor.as_ref().or(item.actual.as_ref()))
        .map(|actual| actual.id.as_str());
    decided.iter().any(|(address, item)| {
        (is_move(item) || gives_way(config, decided, address, item))
            && item.desired.as_ref().and_then(target_group).is_some_and(|to| match to {
                Ref::Of(address, _) => *address == group,
                Ref::Known(known) => Some(known.as_str()) == id,
            })
    })
}

/// What makes a request one of the proof of a site's new target group.
pub(super) fn proof_header(decided: &Decided, site: &SiteName) -> Option<(String, String)> {
    let name = match decided.get(&target_group_address(site))?.desired.as_ref()? {
        Spec::TargetGroup(group) => group.name.as_str(),
        _ => return None,
    };
    Some((PROOF_HEADER.to_owned(), naming::short_hash(&[name], TOKEN_DIGITS)))
}

/// Refuses to have a rule get names from another and give up some to another in one step: no order of the changes keeps
/// all of them answered.
pub(super) fn refuse_at_once(config: &Config, decided: &Decided, refusals: &mut Vec<Refusal>) {
    for (address, item) in decided.iter().filter(|(_, item)| item.takes_over) {
        let standing = hosts(item.actual.as_ref().map(|actual| &actual.spec));
        let gets = !hosts(item.desired.as_ref()).is_subset(&standing);
        if gets && gives_way(config, decided, address, item) {
            refusals.push(Refusal::new(
                address.to_string(),
                "the site gets names that visitors use from another site and gives up others at once",
                "make the two changes one after the other",
            ));
        }
    }
}

/// Adds the rules for the proofs that this plan needs.
pub(super) fn add_proof_rules(config: &Config, observed: &Observed, state: &State, decided: &mut Decided) {
    let needed: Vec<(&SiteName, &Site)> = config
        .sites
        .iter()
        .filter(|(name, _)| moves_site(config, decided, name))
        .collect();
    for (name, site) in needed {
        let address = proof_rule_address(site.listen_port, name);
        let listener = listener_address(site.listen_port);
        let Some((header, token)) = proof_header(decided, name) else {
            continue;
        };
        let actual = matching::by_identity(config, observed, state, &address).cloned();
        let mut spec = Spec::ListenerRule(ListenerRule {
            listener: Ref::id_of(&listener),
            priority: priority(observed, decided, &listener, actual.as_ref().map(|actual| &actual.spec)),
            conditions: BTreeMap::from([(ListenerRule::header(&header), [token].into())]),
            action: DefaultAction::Forward,
            target_group: Some(Ref::id_of(&target_group_address(name))),
            tags: naming::ownership(&config.name, &address),
        });
        decided.resolve_all(&mut spec);
        let reason = "the new target group is proven before visitors come there";
        let item = match actual {
            None => Item {
                changes: diff::creation(&spec),
                actual: None,
                desired: Some(spec),
                decision: Decision::Create,
                reason: reason.to_owned(),
                temporary: true,
                given_up: None,
                takes_over: false,
                successor: None,
            },
            Some(actual) => {
                let changes = diff::changes(&actual.spec, &spec);
                let decision = if !changes.is_empty() {
                    Decision::Update
                } else if state.id(&address) == Some(actual.id.as_str()) {
                    Decision::Unchanged
                } else {
                    // Only what the state knows is deleted when the proof is over.
                    Decision::Record
                };
                Item {
                    changes,
                    actual: Some(actual),
                    desired: Some(spec),
                    decision,
                    reason: reason.to_owned(),
                    temporary: true,
                    given_up: None,
                    takes_over: false,
                    successor: None,
                }
            }
        };
        decided.insert(address, item);
    }
    add_left_over_proof_rules(config, observed, state, decided);
}

/// Takes up rules of proofs that are over and that a lost state does not know, to be deleted with the rest.
fn add_left_over_proof_rules(config: &Config, observed: &Observed, state: &State, decided: &mut Decided) {
    for (name, site) in &config.sites {
        let address = proof_rule_address(site.listen_port, name);
        if decided.get(&address).is_some() || state.resources.contains_key(&address) {
            continue;
        }
        if let Some(actual) = matching::by_identity(config, observed, state, &address).cloned() {
            let item = Item {
                changes: Vec::new(),
                desired: Some(actual.spec.clone()),
                actual: Some(actual),
                decision: Decision::Record,
                reason: "an earlier run left it over".to_owned(),
                temporary: true,
                given_up: None,
                takes_over: false,
                successor: None,
            };
            decided.insert(address, item);
        }
    }
}

/// The lowest priority that no rule of the listener has, or the one that an earlier run chose.
fn priority(observed: &Observed, decided: &Decided, listener: &Address, standing: Option<&Spec>) -> u16 {
    if let Some(Spec::ListenerRule(rule)) = standing {
        return rule.priority;
    }
    let id = decided
        .get(listener)
        .and_then(|item| item.actual.as_ref())
        .map(|actual| actual.id.as_str());
    let mut used: Vec<u16> = priorities_on(observed, id).map(|(_, priority)| priority).collect();
    used.extend(decided.iter().filter_map(|(address, item)| match &item.desired {
        Some(Spec::ListenerRule(rule)) if address.kind() == Kind::ListenerRule => Some(rule.priority),
        _ => None,
    }));
    (1..=u16::MAX).find(|priority| !used.contains(priority)).unwrap_or(1)
}
