//! What the state remembers of a change so that it can be undone: what stood there before, and when visitors moved.
//!
//! The functions here change the state in the same write as the intent or the result of the call that they belong to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reconcile_core::{
    config::defaults,
    resource::{Address, AliasRecord, Kind, Listener, ListenerRule, PortClosure, Spec},
    state::{Cutover, Saved, State},
    value::Seconds,
};

/// Remembers what stands at `address` before a creation there is begun.
pub(crate) fn before_create(state: &mut State, address: &Address, desired: &Spec, now: Timestamp) {
    // A rule for names may take visitors over who came to another target group until then.
    let takes_names = matches!(desired, Spec::ListenerRule(rule) if rule.conditions.contains_key(ListenerRule::HOST));
    if address.kind() == Kind::AliasRecord || takes_names {
        // Nothing stood there that resolvers could remember.
        begin_cutover(state, address, Seconds::default(), now);
    }
}

/// Takes what is in use at `address` off the list of what is on its way out: what was replaced a moment ago may be wanted
/// again, and for kinds without ids of their own it is the same object then.
pub(crate) fn keep_what_is_used(state: &mut State, address: &Address) {
    if let Some(id) = state.id(address).map(str::to_owned) {
        state
            .retired
            .retain(|retired| retired.address != *address || retired.id != id);
    }
}

/// Remembers what stands at `address` before its change is begun.
pub(crate) fn before_update(state: &mut State, address: &Address, observed: &Spec, desired: &Spec, now: Timestamp) {
    match (observed, desired) {
        (Spec::AliasRecord(standing), Spec::AliasRecord(_)) => {
            let foreign = standing.records.values().any(|data| data.alias.is_none());
            // An alias that is ours, from a run whose answer was lost, must not take the place of what stood before it.
            let unknown = !state.resources.contains_key(address) && !state.saved.contains_key(address);
            if foreign || unknown {
                save(state, address, observed.clone(), now);
            }
            begin_cutover(state, address, standing_ttl(standing), now);
        }
        (Spec::Listener(Listener { target_group: from, .. }), Spec::Listener(Listener { target_group: to, .. }))
        | (
            Spec::ListenerRule(ListenerRule { target_group: from, .. }),
            Spec::ListenerRule(ListenerRule { target_group: to, .. }),
        ) if from != to => begin_cutover(state, address, Seconds::default(), now),
        (Spec::PortClosure(standing), Spec::PortClosure(wanted)) => {
            let mut closure = match state.saved.get(address) {
                Some(Saved {
                    spec: Spec::PortClosure(earlier),
                    ..
                }) => earlier.clone(),
                _ => PortClosure {
                    group: standing.group.clone(),
                    open: BTreeMap::new(),
                    descriptions: BTreeMap::new(),
                },
            };
            let revoked: Vec<_> = standing
                .open
                .iter()
                .filter(|(id, _)| !wanted.open.contains_key(*id))
                .collect();
            if revoked.is_empty() {
                return;
            }
            for (id, rule) in revoked {
                // A rule that was restored and is revoked again has another id; it is the same rule.
                closure.open.retain(|_, earlier| earlier != rule);
                closure.open.insert(id.clone(), rule.clone());
                closure
                    .descriptions
                    .extend(standing.descriptions.get(id).map(|text| (id.clone(), text.clone())));
            }
            let PortClosure { open, descriptions, .. } = &mut closure;
            descriptions.retain(|id, _| open.contains_key(id));
            save(state, address, Spec::PortClosure(closure), now);
        }
        _ => {}
    }
}

/// Remembers the DNS change that carries a cutover which was begun.
pub(crate) fn carried_by(state: &mut State, address: &Address, dns_change: Option<String>) {
    if let Some(cutover) = state.cutovers.get_mut(address)
        && dns_change.is_some()
    {
        cutover.dns_change = dns_change;
    }
}

/// Remembers that a change took effect at once that visitors follow: that of a listener or rule, unlike one of DNS.
pub(crate) fn took_effect(state: &mut State, address: &Address, now: Timestamp) {
    if address.kind() != Kind::AliasRecord {
        in_sync(state, address, now);
    }
}

/// Remembers that a record was found in place: when visitors moved is not known, so they have.
pub(crate) fn found(state: &mut State, address: &Address, now: Timestamp) {
    if address.kind() == Kind::AliasRecord {
        let found = Cutover::found(now);
        state.cutovers.entry(address.clone()).or_insert(found);
    }
}

/// Remembers that the record's last change has reached all servers.
pub(crate) fn in_sync(state: &mut State, address: &Address, now: Timestamp) {
    if let Some(cutover) = state.cutovers.get_mut(address) {
        cutover.dns_change = None;
        cutover.in_sync_at.get_or_insert(now);
    }
}

fn save(state: &mut State, address: &Address, spec: Spec, now: Timestamp) {
    let saved = Saved { spec, saved_at: now };
    state.saved.insert(address.clone(), saved);
}

/// A change of a record within an earlier cutover does not make resolvers forget earlier what stood there before.
fn begin_cutover(state: &mut State, address: &Address, old_ttl: Seconds, now: Timestamp) {
    let remaining = state.cutovers.get(address).map_or(Seconds::default(), |earlier| {
        match earlier.drained_at(Seconds::default()) {
            Some(at) => {
                let left = at.duration_since(now);
                let whole = left.as_secs().saturating_add(i64::from(left.subsec_nanos() > 0));
                // Over already: nothing is left.
                Seconds::new(u32::try_from(whole).unwrap_or_default())
            }
            None => earlier.old_ttl,
        }
    });
    let cutover = Cutover {
        dns_change: None,
        old_ttl: old_ttl.max(remaining),
        in_sync_at: None,
        found: false,
    };
    state.cutovers.insert(address.clone(), cutover);
}

fn standing_ttl(standing: &AliasRecord) -> Seconds {
    let ttls = standing.records.values().map(|data| match data.alias {
        Some(_) => defaults::ALIAS_TTL,
        None => Seconds::new(data.ttl.unwrap_or_default()),
    });
    ttls.max().unwrap_or_default()
}
