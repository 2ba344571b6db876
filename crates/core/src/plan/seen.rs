//! What a plan was made from, as plain settings by subject: kept beside a saved plan so that a later look can say what
//! moved. Nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{Config, Site},
    naming::RESOURCE_TAG,
    observed::{Actual, Observed, RecordSet, Status},
    state::State,
    value::DomainName,
};

/// Settings by subject (an address, else an AWS id or a record) and path.
pub type Seen = BTreeMap<String, BTreeMap<String, Value>>;

/// What was observed of all that a plan may be about, without what changes by itself: health of targets, free addresses,
/// dates and renewals of certificates.
pub fn seen(config: &Config, observed: &Observed, state: &State) -> Seen {
    let mut seen = Seen::new();
    let mut put = |subject: String, value: Value| {
        let settings = seen.entry(subject).or_default();
        flatten(String::new(), value, settings);
    };
    for actual in &observed.found {
        put(subject(actual, state), object(actual));
    }
    for (id, instance) in &observed.instances {
        put(id.to_string(), json(instance));
    }
    for (id, group) in &observed.security_groups {
        let rules: BTreeSet<String> = group.ingress.values().map(|rule| rule.rule.to_string()).collect();
        put(
            id.to_string(),
            serde_json::json!({ "name": group.name, "ingress": rules }),
        );
    }
    for subnet in &observed.subnets {
        let mut value = json(subnet);
        if let Some(settings) = value.as_object_mut() {
            settings.remove("free_addresses");
        }
        put(subnet.id.to_string(), value);
    }
    for zone in &observed.zones {
        put(format!("hosted zone {}", zone.id), json(zone));
    }
    // A zone may hold ten thousand records of others.
    let names: BTreeSet<&DomainName> = config.sites.values().flat_map(Site::names).collect();
    for record in observed
        .record_sets
        .iter()
        .filter(|record| names.contains(&record.name))
    {
        put(record_subject(record), json(record));
    }
    seen
}

/// The address that an object has in the stack, else its id.
fn subject(actual: &Actual, state: &State) -> String {
    let kind = actual.spec.kind();
    let mut recorded = state.resources.iter();
    let recorded = recorded.find(|(address, entry)| address.kind() == kind && entry.id == actual.id);
    let tagged = || {
        let address = actual.tags.get(RESOURCE_TAG)?;
        // Of two objects with one address the state knows one; the other is told by its id.
        let known = state.resources.keys().any(|known| known.to_string() == *address);
        (!known).then(|| address.clone())
    };
    match recorded {
        Some((address, _)) => address.to_string(),
        None => tagged().unwrap_or_else(|| format!("{kind} {}", actual.id)),
    }
}

fn object(actual: &Actual) -> Value {
    let mut value = actual.spec.settings();
    if let Some(settings) = value.as_object_mut() {
        settings.insert("id".to_owned(), Value::from(actual.id.clone()));
        // What these say decides whether a plan waits or is refused; a target's health comes and goes.
        if let Status::Certificate { state, .. } | Status::LoadBalancer { state, .. } = &actual.status {
            settings.insert("status".to_owned(), Value::from(state.clone()));
        }
    }
    value
}

fn record_subject(record: &RecordSet) -> String {
    let identifier = record.set_identifier.as_ref();
    let identifier = identifier
        .map(|identifier| format!(" ({identifier})"))
        .unwrap_or_default();
    format!("record {} {}{identifier}", record.name, record.record_type)
}

fn json(value: &impl Serialize) -> Value {
    // Structs of strings, numbers, lists and maps with string keys always serialise.
    serde_json::to_value(value).unwrap_or_default()
}

fn flatten(path: String, value: Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                flatten(path, value, into);
            }
        }
        Value::Null => {}
        value => {
            into.insert(path, value);
        }
    }
}
