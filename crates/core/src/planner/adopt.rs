//! Objects that others made and the configuration takes over.

use std::collections::BTreeMap;

use super::{Refusal, addresses::record_address};
use crate::{
    config::{Adoption, Config},
    naming,
    observed::{Actual, Observed},
    resource::{Address, Kind, Spec},
    state::State,
    value::DomainName,
};

/// Which object becomes which resource.
#[derive(Debug, Default)]
pub(super) struct Adoptions {
    by_address: BTreeMap<Address, String>,
}

impl Adoptions {
    /// The object that becomes the resource at `address`.
    pub(super) fn object<'a>(&self, observed: &'a Observed, address: &Address) -> Option<&'a Actual> {
        let id = self.by_address.get(address)?;
        observed
            .found
            .iter()
            .find(|actual| actual.id == *id && actual.spec.kind() == address.kind())
    }

    /// Whether what stands at `address` is taken over, whatever it is.
    pub(super) fn has(&self, address: &Address) -> bool {
        self.by_address.contains_key(address)
    }
}

/// Tells for each adoption which resource it is about, or why it cannot be.
pub(super) fn adoptions<'a>(
    config: &Config,
    observed: &Observed,
    state: &State,
    wanted: &(impl Iterator<Item = (&'a Address, &'a Spec)> + Clone),
    refusals: &mut Vec<Refusal>,
) -> Adoptions {
    let mut adoptions = Adoptions::default();
    for adoption in &config.adopt {
        match one(config, observed, state, wanted, adoption) {
            Ok(Some(address)) => {
                adoptions.by_address.insert(address, adoption.id.clone());
            }
            Ok(None) => {}
            Err(refusal) => refusals.push(refusal),
        }
    }
    adoptions
}

fn one<'a>(
    config: &Config,
    observed: &Observed,
    state: &State,
    wanted: &(impl Iterator<Item = (&'a Address, &'a Spec)> + Clone),
    adoption: &Adoption,
) -> Result<Option<Address>, Refusal> {
    let Adoption { address, id } = adoption;
    let refuse = |reason: String, remedy: &str| Refusal::new(format!("adopt {id}"), reason, remedy);
    let is_done = |address: &Address| state.resources.contains_key(address);
    if let Some(address) = address
        && is_done(address)
    {
        return Ok(None);
    }
    if let Ok(name) = id.parse::<DomainName>()
        && address
            .as_ref()
            .is_none_or(|address| address.kind() == Kind::AliasRecord)
    {
        let address = record_address(&name);
        return if wanted.clone().any(|(wanted, _)| *wanted == address) {
            Ok((!is_done(&address)).then_some(address))
        } else {
            Err(refuse(
                format!("no site has the name `{name}`"),
                "correct the name, or take the entry out of `adopt`",
            ))
        };
    }
    let Some(actual) = observed.found.iter().find(|actual| {
        actual.id == *id
            && address
                .as_ref()
                .is_none_or(|address| address.kind() == actual.spec.kind())
    }) else {
        // What was adopted and has been replaced since is gone: every place that it could take is taken.
        let all_taken = wanted
            .clone()
            .filter(|(candidate, _)| candidate.kind().has_id())
            .all(|(candidate, _)| is_done(candidate));
        return if address.is_none() && all_taken {
            Ok(None)
        } else {
            Err(refuse(
                format!(
                    "there is no such object in account {} in {}, or it is of a kind that cannot be adopted",
                    observed.identity.account, observed.identity.region
                ),
                "correct the id, or take the entry out of `adopt`",
            ))
        };
    };
    // It is the stack's, or was until its successor took over.
    let is_known =
        state.resources.values().any(|entry| entry.id == *id) || state.retired.iter().any(|retired| retired.id == *id);
    if is_known {
        return Ok(None);
    }
    if let Some(stack) = actual.tags.get(naming::STACK_TAG)
        && stack != config.name.as_str()
    {
        return Err(refuse(
            format!("it carries the tags of the stack `{stack}`"),
            "an object belongs to one stack: remove it there first, with `reconcile state rm` and its tags",
        ));
    }
    if actual.spec.kind() == Kind::SecurityGroup
        && observed
            .instances
            .values()
            .any(|instance| instance.security_groups.iter().any(|group| group.as_str() == id))
    {
        return Err(refuse(
            "it is the group of an instance".to_owned(),
            "adopt a group that only the load balancer carries: all of its rules are managed",
        ));
    }
    let candidates: Vec<&Address> = wanted
        .clone()
        .filter(|(candidate, spec)| {
            candidate.kind() == actual.spec.kind() && !is_done(candidate) && is_same_port(&actual.spec, spec)
        })
        .map(|(candidate, _)| candidate)
        .collect();
    match (address, candidates.as_slice()) {
        (Some(address), candidates) if candidates.contains(&address) => Ok(Some(address.clone())),
        (None, [only]) => Ok(Some((*only).clone())),
        (_, []) => Err(refuse(
            format!(
                "the configuration asks for no {} that it could become",
                actual.spec.kind()
            ),
            "take the entry out of `adopt`",
        )),
        (_, several) => {
            let addresses: Vec<String> = several.iter().map(|address| format!("`{address} = {id}`")).collect();
            Err(refuse(
                "it could become several resources".to_owned(),
                &format!("write which one: {}", addresses.join(" or ")),
            ))
        }
    }
}

/// A listener has its place by its port.
fn is_same_port(found: &Spec, wanted: &Spec) -> bool {
    match (found, wanted) {
        (Spec::Listener(found), Spec::Listener(wanted)) => found.port == wanted.port,
        _ => true,
    }
}
