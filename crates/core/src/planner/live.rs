//! Moves of visitors from one target group to another while they keep coming.
//!
//! A new target group is proven before the move: health checks begin once a rule names it (`aws-facts.md` 2.2), so a rule
//! that only the proof's own requests match leads there first. It goes away with what was replaced.

use std::collections::BTreeMap;

use super::{
    Refusal,
    addresses::{listener_address, proof_rule_address, target_group_address},
    decide::{Decided, Decision, Item},
    desired::listeners::priorities_on,
    matching,
};
use crate::{
    config::{Config, Site, SiteName},
    diff, naming,
    observed::Observed,
    resource::{Address, DefaultAction, Kind, ListenerRule, Ref, Spec},
    state::State,
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

/// Whether visitors of the site are sent to another target group.
pub(super) fn moves_site(decided: &Decided, site: &SiteName) -> bool {
    let group = target_group_address(site);
    let id = decided
        .get(&group)
        .and_then(|item| item.actual.as_ref())
        .map(|actual| actual.id.as_str());
    decided.iter().any(|(_, item)| {
        is_move(item)
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

/// What would send visitors to a target group that nobody has proven: the default answer of a listener gives way to rules
/// at once, so the rule of the first site cannot lead to a new target group at the same time.
pub(super) fn refuse_at_once(decided: &Decided, refusals: &mut Vec<Refusal>) {
    for (address, item) in decided.iter().filter(|(_, item)| is_move(item)) {
        let from = item.actual.as_ref().and_then(|actual| target_group(&actual.spec));
        let to = item.desired.as_ref().and_then(target_group);
        let is_new = |from: &Ref| {
            decided.iter().any(|(group, item)| {
                group.kind() == Kind::TargetGroup
                    && item.decision == Decision::Replace
                    && item.actual.as_ref().map(|actual| actual.id.as_str()) == from.known().ok()
            })
        };
        if to.is_none() && from.is_some_and(is_new) {
            refusals.push(Refusal::new(
                address.to_string(),
                "a site is added while the target group of the first one is replaced",
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
        .filter(|(name, _)| moves_site(decided, name))
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
            },
            Some(actual) => {
                let changes = diff::changes(&actual.spec, &spec);
                let decision = if changes.is_empty() {
                    Decision::Unchanged
                } else {
                    Decision::Update
                };
                Item {
                    changes,
                    actual: Some(actual),
                    desired: Some(spec),
                    decision,
                    reason: reason.to_owned(),
                    temporary: true,
                    given_up: None,
                }
            }
        };
        decided.insert(address, item);
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
