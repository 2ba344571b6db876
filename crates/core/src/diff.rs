//! What differs between the settings that are wanted and those that were found.
//!
//! The comparison is structural: over the serialised form, only over what the wanted side sets, except where a kind says
//! that a setting is compared as a whole.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::Spec;

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The setting's path, for example `health.path`.
    pub path: String,
    /// The value that was found; `None` if there is none.
    pub before: Option<Value>,
    /// The value that is wanted; `None` if there should be none.
    pub after: Option<Value>,
    /// Whether AWS cannot change it in place.
    pub forces_replacement: bool,
}

/// What differs between `observed` and `desired`, in the order of the settings.
pub fn changes(observed: &Spec, desired: &Spec) -> Vec<Change> {
    let kind = desired.kind();
    let mut found = Vec::new();
    compare(
        "",
        Some(&observed.settings()),
        &desired.settings(),
        kind.whole(),
        &mut found,
    );
    for change in &mut found {
        let top = change.path.split('.').next().unwrap_or_default();
        change.forces_replacement = kind.immutable().contains(&top);
    }
    found
}

/// Every setting of something that is made new.
pub fn creation(desired: &Spec) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", None, &desired.settings(), &[], &mut found);
    found
}

/// Every setting of something that is deleted.
pub fn deletion(observed: &Spec) -> Vec<Change> {
    let mut found = creation(observed);
    for change in &mut found {
        change.before = change.after.take();
    }
    found
}

fn compare(path: &str, before: Option<&Value>, after: &Value, whole: &[&str], found: &mut Vec<Change>) {
    if let Value::Object(wanted) = after
        && before.is_none_or(Value::is_object)
        && !whole.contains(&path)
    {
        for (key, value) in wanted {
            let path = join(path, key);
            compare(&path, before.and_then(|before| before.get(key)), value, whole, found);
        }
    } else if before != Some(after) && !(before.is_none() && is_nothing(after)) {
        found.push(Change {
            path: path.to_owned(),
            before: before.filter(|value| !is_nothing(value)).cloned(),
            after: Some(after).filter(|value| !is_nothing(value)).cloned(),
            forces_replacement: false,
        });
    }
}

fn join(path: &str, key: &str) -> String {
    let key = if key.contains('.') || key.contains(':') {
        format!("\"{key}\"")
    } else {
        key.to_owned()
    };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
