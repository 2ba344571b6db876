//! Two objects of one resource: one that takes over and one that goes, and what forbids it.

use super::{
    Refusal,
    decide::{Decision, Item},
    matching,
};
use crate::{
    config::Config,
    diff, naming,
    observed::{Actual, Observed, Status},
    resource::{Address, Kind, Spec},
    state::State,
};

/// The attribute that makes AWS refuse to delete a load balancer (`aws-facts.md` 3).
pub(super) const PROTECTION: &str = "deletion_protection.enabled";

/// Why a resource cannot have its name: somebody else's object has it, or one of the stack's own that is on its way out.
pub(super) fn name_is_taken(
    config: &Config,
    observed: &Observed,
    state: &State,
    address: &Address,
    actual: Option<&Actual>,
    desired: &Spec,
) -> Option<Refusal> {
    let bearer = matching::named_like(observed, desired)?;
    if actual.is_some_and(|actual| actual.id == bearer.id) {
        return None;
    }
    let retired = state.retired.iter().any(|retired| retired.id == bearer.id);
    if !retired && actual.is_some() && naming::is_owned(&bearer.tags, &config.name, address) {
        // An earlier run made it to take over and could not record it: it is taken in place of a new one.
        return None;
    }
    if retired {
        return Some(Refusal::new(
            address.to_string(),
            format!(
                "`{}` has the name that this resource would get, and an earlier replacement is not done with it yet",
                bearer.id
            ),
            "let that come to its end with the configuration that it was begun with, then make this change",
        ));
    }
    let changes: Vec<String> = diff::changes(&bearer.spec, desired)
        .into_iter()
        .map(|change| change.path)
        .collect();
    Some(Refusal::new(
        address.to_string(),
        format!(
            "`{}` has the name that this resource would get, and does not carry the stack's tags",
            bearer.id
        ),
        format!(
            "to take it over run `reconcile import {address} {id}`, or set `adopt = [\"{id}\"]`; that would change {}. \
             Else choose another `name`",
            if changes.is_empty() {
                "nothing".to_owned()
            } else {
                changes.join(", ")
            },
            id = bearer.id
        ),
    ))
}

/// The object that an earlier run made to take over and could not record, or whose state is lost.
pub(super) fn standing_successor(
    config: &Config,
    observed: &Observed,
    state: &State,
    address: &Address,
    item: &Item,
) -> Option<Actual> {
    let (Some(actual), Some(desired)) = (&item.actual, &item.desired) else {
        return None;
    };
    if item.decision != Decision::Replace || !address.kind().has_id() {
        return None;
    }
    let fits = |candidate: &&Actual| {
        candidate.spec.kind() == address.kind()
            && candidate.id != actual.id
            && naming::is_owned(&candidate.tags, &config.name, address)
            && !is_retired(state, address, &candidate.id)
            && dead(candidate).is_none()
            && diff::changes(&candidate.spec, desired)
                .iter()
                .all(|change| !change.forces_replacement)
    };
    observed.found.iter().find(fits).cloned()
}

/// Why a certificate will never be of use.
pub(super) fn dead(actual: &Actual) -> Option<String> {
    match &actual.status {
        Status::Certificate {
            state, failure_reason, ..
        } if !matches!(state.as_str(), "ISSUED" | "PENDING_VALIDATION") => Some(match failure_reason {
            Some(reason) => format!("the certificate is {state}: {reason}"),
            None => format!("the certificate is {state}"),
        }),
        _ => None,
    }
}

/// Why a load balancer is not replaced: its old one could not be deleted, and would cost money for good.
pub(super) fn protected(address: &Address, item: &Item) -> Option<Refusal> {
    match item.actual.as_ref().map(|actual| &actual.spec) {
        Some(Spec::LoadBalancer(standing))
            if item.decision == Decision::Replace
                && standing.attributes.get(PROTECTION).is_some_and(|value| value == "true") =>
        {
            Some(Refusal::new(
                address.to_string(),
                format!("{}, and the load balancer is protected from deletion", item.reason),
                "set `load_balancer.deletion_protection = false` and run `reconcile` before this change; set it again after",
            ))
        }
        _ => None,
    }
}

/// Whether an object of a resource is on its way out.
pub(super) fn is_retired(state: &State, address: &Address, id: &str) -> bool {
    state
        .retired
        .iter()
        .any(|retired| retired.id == id && retired.address == *address)
}

/// The object that the state knows, where another one with the content that is wanted was found: an earlier run made the
/// successor and could not record it, or the predecessor is wanted again. The one takes over from the other then.
pub(super) fn predecessor(observed: &Observed, state: &State, address: &Address, found: &Actual) -> Option<Actual> {
    let id = state.id(address).filter(|id| *id != found.id)?;
    match address.kind() {
        Kind::Target | Kind::ListenerCertificate | Kind::WebAclAssociation => {
            observed.object(address.kind(), id).cloned()
        }
        Kind::InstanceIngress => matching::rule_by_id(observed, id),
        _ => None,
    }
}
