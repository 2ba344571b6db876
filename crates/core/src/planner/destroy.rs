//! Everything that the stack made is taken away, after visitors have been led back to where they were.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Refusal, Refused,
    addresses::record_address,
    clean_up::{self, DESTROYED, Removal},
    findings::users_beside,
    foreign, left_open, matching, names,
    sequence::{Sequence, Wait},
    successor::PROTECTION,
    waits::drain_margin,
    way_back::{self, WayBack},
};
use crate::{
    config::{Config, defaults},
    naming,
    observed::{Observed, Status},
    plan::{Action, Condition, FORMAT_VERSION, Finding, Plan, Purpose, Severity, Stage},
    resource::{Address, Kind, Output, Ref, Spec, ValidationRecord},
    state::{Entry, Origin, State},
    value::{DomainName, SecurityGroupId},
};

/// What is asked for beside the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestroyOptions {
    /// Validation records go too where no other certificate of the account needs them.
    pub purge_validation: bool,
    /// Records go of which the state does not know what stood there before.
    pub delete_records: bool,
}

/// The plan that takes the stack away.
///
/// # Errors
/// Refuses while the load balancer is protected from deletion, and where it is not known what is the stack's or where its
/// names led before.
pub fn destroy(
    config: &Config,
    observed: &Observed,
    state: &State,
    options: DestroyOptions,
    now: Timestamp,
) -> Result<Plan, Refused> {
    let (names, groups) = everything(config, observed, state);
    let back = way_back::find(config, observed, state, &names, &groups);
    refuse(config, observed, state, &back, options)?;
    let mut sequence = Sequence::new();
    back.steps(config, observed, state, &mut sequence);
    drain(config, state, &back, now, &mut sequence);
    let deletions = back.deletions(state, options.delete_records);
    let deleted: BTreeSet<Address> = deletions.iter().map(|removal| removal.address.clone()).collect();
    clean_up::push_in(Stage::Cutover, deletions, &mut sequence);
    let mut findings = back.findings.clone();
    let mut removals = Vec::new();
    for (address, entry) in state
        .resources
        .iter()
        .filter(|(address, _)| !deleted.contains(*address))
    {
        removals.push(removal(config, observed, state, address, entry, options));
    }
    for retired in &state.retired {
        let id = Ref::Known(retired.id.clone());
        removals.push(Removal::delete(&retired.address, id, &retired.spec, DESTROYED));
    }
    removals.extend(forgotten(state, &back, &deleted));
    keep_what_others_use(observed, state, &mut removals, &mut findings);
    findings.extend(goes_along(observed, state, &removals));
    for (address, id, spec) in left_open::made(config, observed, state) {
        // What the state knows at the address goes first.
        let is_free = state.id(&address).is_none() || removals.iter().any(|removal| removal.address == address);
        if is_free {
            removals.push(Removal::record(&address, &id, left_open::UNRECORDED));
            removals.push(Removal::delete(&address, Ref::Known(id), &spec, DESTROYED));
        }
    }
    findings.extend(unknown(config, observed, state));
    clean_up::push(removals, &mut sequence);
    findings.sort();
    findings.dedup();
    Ok(Plan {
        format_version: FORMAT_VERSION,
        purpose: Purpose::Destroy,
        stack: config.name.clone(),
        steps: sequence.finish(),
        unchanged: Vec::new(),
        findings,
    })
}

/// What is remembered of what runs that were killed have begun to change: when it is put back there is nothing to remember.
fn forgotten<'a>(
    state: &'a State,
    back: &'a WayBack,
    deleted: &'a BTreeSet<Address>,
) -> impl Iterator<Item = Removal> + 'a {
    let remembered = state.saved.iter().map(|(address, saved)| (address, &saved.spec));
    remembered
        .filter(|(address, _)| !state.resources.contains_key(*address) && !deleted.contains(*address))
        .filter(|(address, _)| {
            !back
                .unknown
                .iter()
                .any(|unknown| record_address(&unknown.name) == **address)
        })
        .map(|(address, spec)| {
            let id = match spec {
                Spec::AliasRecord(record) => format!("{}/{}", record.zone, record.name),
                _ => address.key().to_owned(),
            };
            Removal::forget(address, &id, "it is as it was")
        })
}

/// What carries the stack's tags and stays, because nothing says how it came about.
fn unknown(config: &Config, observed: &Observed, state: &State) -> Vec<Finding> {
    let begun = left_open::made(config, observed, state);
    observed
        .found
        .iter()
        .filter(|actual| {
            actual.tags.get(naming::STACK_TAG).map(String::as_str) == Some(config.name.as_str())
                && state.resources.values().all(|entry| entry.id != actual.id)
                && state.retired.iter().all(|retired| retired.id != actual.id)
                && begun.iter().all(|(_, id, _)| *id != actual.id)
        })
        .map(|actual| Finding {
            severity: Severity::Warning,
            subject: actual.id.clone(),
            message: format!(
                "this {} carries the stack's tags, and the state does not know it: it stays",
                actual.spec.kind()
            ),
            remedy: "find it again with `reconcile state rebuild`, or delete it by hand: it may cost money".to_owned(),
        })
        .collect()
}

/// Every name and group that the state or the configuration knows.
fn everything(
    config: &Config,
    observed: &Observed,
    state: &State,
) -> (BTreeSet<DomainName>, BTreeSet<SecurityGroupId>) {
    let (mut names, mut groups) = way_back::of_sites(config, observed, None);
    let known = state.resources.keys().chain(state.saved.keys());
    for address in known.chain(state.intents.keys()) {
        match address.kind() {
            Kind::AliasRecord => names.extend(address.key().parse::<DomainName>().ok()),
            Kind::PortClosure => groups.extend(address.key().parse::<SecurityGroupId>().ok()),
            _ => {}
        }
    }
    (names, groups)
}

fn refuse(
    config: &Config,
    observed: &Observed,
    state: &State,
    back: &WayBack,
    options: DestroyOptions,
) -> Result<(), Refused> {
    let mut refusals: Vec<Refusal> = Vec::new();
    let begun = left_open::made(config, observed, state);
    for actual in &observed.found {
        let ours = state.resources.values().any(|entry| entry.id == actual.id)
            || state.retired.iter().any(|retired| retired.id == actual.id);
        if let Spec::LoadBalancer(balancer) = &actual.spec
            && ours
            && balancer.attributes.get(PROTECTION).is_some_and(|value| value == "true")
        {
            refusals.push(Refusal::new(
                actual.id.as_str(),
                "the load balancer is protected from deletion",
                "set `load_balancer.deletion_protection = false` and run `reconcile`, then destroy",
            ));
        }
        let tagged = actual.tags.get(naming::STACK_TAG).map(String::as_str) == Some(config.name.as_str());
        let is_begun = begun.iter().any(|(_, id, _)| *id == actual.id);
        if tagged && !is_begun && state.resources.is_empty() && state.retired.is_empty() {
            refusals.push(Refusal::new(
                actual.id.as_str(),
                "it carries the stack's tags, and the state does not know it",
                "find everything again with `reconcile state rebuild`, then destroy",
            ));
        }
    }
    if !options.delete_records {
        refusals.extend(
            back.unknown_refusals("point the record elsewhere by hand, or say `--delete-records` to have it deleted"),
        );
    }
    refusals.extend(back.closed_refusals(observed, state));
    if refusals.is_empty() {
        Ok(())
    } else {
        refusals.sort();
        Err(Refused { refusals })
    }
}

/// Visitors whose resolvers remember the load balancer are served until these have forgotten it.
fn drain(config: &Config, state: &State, back: &WayBack, now: Timestamp, sequence: &mut Sequence) {
    let margin = drain_margin(config, defaults::ALIAS_TTL);
    let restored: BTreeSet<Address> = back.restored().collect();
    let earlier = state.cutovers.iter().filter(|(address, cutover)| {
        let over = cutover.drained_at(margin).is_some_and(|drained_at| drained_at <= now);
        address.kind() == Kind::AliasRecord && state.resources.contains_key(*address) && !over
    });
    let all: BTreeSet<Address> = restored
        .iter()
        .cloned()
        .chain(earlier.map(|(address, _)| address.clone()))
        .filter(|address| {
            !back
                .deletions(state, true)
                .iter()
                .any(|removal| removal.address == *address)
        })
        .collect();
    for record in all {
        sequence.wait(Wait {
            address: &record,
            stage: Stage::Drain,
            condition: Condition::Drained {
                record: record.clone(),
                old_ttl: defaults::ALIAS_TTL,
                margin,
            },
            deadline: config.lockdown.wait,
            reason: "resolvers may remember the load balancer",
            also_after: &[],
        });
    }
}

/// What becomes of one object.
fn removal(
    config: &Config,
    observed: &Observed,
    state: &State,
    address: &Address,
    entry: &Entry,
    options: DestroyOptions,
) -> Removal {
    let id = entry.id.as_str();
    let forget = |reason: &str| Removal::forget(address, id, reason);
    match address.kind() {
        Kind::AliasRecord => forget("the name is not the stack's any more"),
        Kind::PortClosure => forget("the rules are as they were"),
        Kind::ValidationRecord => match validation_record(observed, id) {
            Some(spec) if options.purge_validation && !others_validate(observed, state, address, &spec) => {
                Removal::delete(address, Ref::Known(id.to_owned()), &spec, DESTROYED)
            }
            Some(_) => forget("it stays in DNS: any certificate of the account for the name needs it"),
            None => forget("it is gone from DNS"),
        },
        Kind::InstanceIngress => match matching::rule_by_id(observed, id) {
            Some(actual)
                if entry.origin == Origin::Adopted && !naming::is_owned(&actual.tags, &config.name, address) =>
            {
                forget("it was there before")
            }
            Some(actual) => Removal::delete(address, Ref::Known(id.to_owned()), &actual.spec, DESTROYED),
            None => forget("it is gone from AWS"),
        },
        kind => match observed.object(kind, id) {
            Some(actual) => Removal::delete(address, Ref::Known(id.to_owned()), &actual.spec, DESTROYED),
            None => forget("it is gone from AWS"),
        },
    }
}

/// The validation record as it stands.
fn validation_record(observed: &Observed, id: &str) -> Option<Spec> {
    // `<zone>/<name>/CNAME`
    let mut parts = id.split('/');
    let (zone, name) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let value = names::cname(observed, &zone, &name)?;
    Some(Spec::ValidationRecord(ValidationRecord {
        zone,
        name: Ref::Known(name.to_string()),
        value: Ref::Known(value.to_string()),
    }))
}

/// Whether a certificate that is not the stack's is validated by the same record (`aws-facts.md` 1.3).
fn others_validate(observed: &Observed, state: &State, address: &Address, spec: &Spec) -> bool {
    let Spec::ValidationRecord(record) = spec else {
        return true;
    };
    let ours = |id: &str| {
        state.resources.values().any(|entry| entry.id == id) || state.retired.iter().any(|retired| retired.id == id)
    };
    let Ok(validated) = address.key().parse::<DomainName>() else {
        return true;
    };
    observed.found.iter().any(|actual| {
        matches!(&actual.status, Status::Certificate { state, .. } if !matches!(state.as_str(), "FAILED" | "VALIDATION_TIMED_OUT"))
            && !ours(&actual.id)
            && actual.outputs.get(&Output::ValidationName(validated.clone())).map(String::as_str) == record.name.known().ok()
    })
}

/// To ask for the deletion of what others use is to wait in vain.
fn keep_what_others_use(observed: &Observed, state: &State, removals: &mut Vec<Removal>, findings: &mut Vec<Finding>) {
    let ours: BTreeSet<&str> = state
        .resources
        .values()
        .map(|entry| entry.id.as_str())
        .chain(state.retired.iter().map(|retired| retired.id.as_str()))
        .collect();
    removals.retain(|removal| {
        let Action::Delete { id: Ref::Known(id), .. } = &removal.action else {
            return true;
        };
        let users = users_beside(observed, &ours, id);
        if users.is_empty() {
            return true;
        }
        findings.push(Finding {
            severity: Severity::Warning,
            subject: id.clone(),
            message: format!("the certificate stays because {} uses it", users.join(", ")),
            remedy: "give what uses it another certificate, then destroy again".to_owned(),
        });
        false
    });
}

/// What others hung on objects that are deleted, and AWS deletes with these.
fn goes_along<'a>(
    observed: &'a Observed,
    state: &State,
    removals: &[Removal],
) -> impl Iterator<Item = Finding> + use<'a> {
    let ours: BTreeSet<&str> = state
        .resources
        .values()
        .map(|entry| entry.id.as_str())
        .chain(state.retired.iter().map(|retired| retired.id.as_str()))
        .collect();
    let deleted: BTreeSet<&str> = removals
        .iter()
        .filter_map(|removal| match &removal.action {
            Action::Delete { id, .. } => id.known().ok(),
            _ => None,
        })
        .collect();
    foreign::hung_on(observed, &ours, &deleted)
        .into_iter()
        .map(|(actual, parent)| Finding {
            severity: Severity::Warning,
            subject: actual.id.clone(),
            message: format!("{} goes away with `{parent}`", foreign::in_words(&actual.spec)),
            remedy: "move it to something that stays first, if it is still wanted".to_owned(),
        })
}
