//! What AWS and the state file are after a phase, and how that differs from what they should be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Settings of the inventory that tell two objects of a list apart as two, and not as one that changed.
const NAMES: [&str; 4] = ["LoadBalancerName", "TargetGroupName", "GroupName", "DomainName"];

/// What was seen after a phase.
#[derive(Debug, Clone)]
pub(crate) struct Sight {
    /// Everything in AWS, under natural names.
    pub(crate) inventory: Value,
    /// The ids of everything in AWS that can be a stack's, by kind.
    standing: BTreeMap<String, BTreeSet<String>>,
    state: Value,
}

/// How what was seen differs from what should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Miss {
    /// The request at which the process was killed.
    pub(crate) request: String,
    /// In words.
    pub(crate) differences: Vec<String>,
    /// What exists in AWS beyond what should, and of which nothing of the same name should.
    pub(crate) orphans: usize,
    /// What exists in AWS once more than it should.
    pub(crate) duplicates: usize,
}

impl Miss {
    pub(crate) fn of(difference: String) -> Self {
        Self {
            differences: vec![difference],
            ..Self::default()
        }
    }
}

impl Sight {
    pub(crate) fn new(inventory: Value, standing: Value, state: Value) -> Self {
        Self {
            inventory,
            standing: serde_json::from_value(standing).unwrap(),
            state,
        }
    }

    /// Whether the state lists exactly what exists, and nothing is under way or on its way out.
    pub(crate) fn state_is_whole(&self) -> bool {
        self.state["intents"] == json!({}) && self.state["retired"] == json!([]) && self.recorded() == self.standing
    }

    /// The ids in the state, by kind. The closure of ports is no object of AWS.
    fn recorded(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut recorded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (address, entry) in self.state["resources"].as_object().unwrap() {
            let (kind, _) = address.split_once('.').unwrap();
            if kind != "port_closure" {
                let id = entry["id"].as_str().unwrap().to_owned();
                recorded.entry(kind.to_owned()).or_default().insert(id);
            }
        }
        recorded
    }

    /// What the state remembers, without moments and without ids that AWS makes anew each time.
    fn remembered(&self) -> Value {
        let resources = self.state["resources"].as_object().unwrap();
        let origins: BTreeMap<_, _> = resources
            .iter()
            .map(|(address, entry)| (address, &entry["origin"]))
            .collect();
        let saved = self.state["saved"].as_object().unwrap();
        let saved: BTreeMap<_, _> = saved
            .iter()
            .map(|(address, saved)| (address, natural(&saved["spec"])))
            .collect();
        let cutovers = self.state["cutovers"].as_object().unwrap().iter();
        let cutovers: BTreeMap<_, _> = cutovers
            .map(|(address, cutover)| (address, &cutover["found"]))
            .collect();
        json!({ "origins": origins, "saved": saved, "cutovers": cutovers })
    }

    /// How `seen` differs from this.
    pub(crate) fn compare(&self, seen: &Self) -> Miss {
        let mut miss = Miss::default();
        for (list, expected) in self.inventory.as_object().unwrap() {
            compare_lists(list, expected, &seen.inventory[list], &mut miss);
        }
        let recorded = seen.recorded();
        for kind in recorded.keys().chain(seen.standing.keys()).collect::<BTreeSet<_>>() {
            let (in_state, in_aws) = (recorded.get(kind), seen.standing.get(kind));
            if in_state != in_aws {
                let text = format!("{kind}: the state has {in_state:?}, AWS has {in_aws:?}");
                miss.differences.push(text);
            }
        }
        for (what, empty) in [("intents", json!({})), ("retired", json!([]))] {
            if seen.state[what] != empty {
                miss.differences
                    .push(format!("{what} in the state: {}", seen.state[what]));
            }
        }
        let (expected, remembered) = (self.remembered(), seen.remembered());
        for (what, expected) in expected.as_object().unwrap() {
            let (expected, found) = (expected.as_object().unwrap(), remembered[what].as_object().unwrap());
            for address in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
                let (expected, found) = (expected.get(address), found.get(address));
                if expected != found {
                    miss.differences.push(format!(
                        "{what} of {address} in the state: expected {}, found {}",
                        json!(expected),
                        json!(found)
                    ));
                }
            }
        }
        miss
    }
}

fn compare_lists(list: &str, expected: &Value, seen: &Value, miss: &mut Miss) {
    let mut missing: Vec<&Value> = expected.as_array().unwrap().iter().collect();
    let mut further = Vec::new();
    for item in seen.as_array().unwrap() {
        match missing.iter().position(|one| *one == item) {
            Some(index) => drop(missing.remove(index)),
            None => further.push(item),
        }
    }
    if list == "zones" && !further.is_empty() {
        // Records are what is made and left behind, zones are not.
        for (expected, seen) in missing.iter().zip(&further) {
            compare_lists("records", &expected["Records"], &seen["Records"], miss);
        }
        return;
    }
    for item in &further {
        let name = |item: &Value| NAMES.iter().find_map(|name| item.get(name).cloned());
        let is_changed = missing.iter().any(|one| name(one) == name(item));
        let twin = expected.as_array().unwrap().iter().any(|one| name(one) == name(item));
        if !is_changed && twin && name(item).is_some() {
            miss.duplicates += 1;
        } else if !is_changed || seen.as_array().unwrap().len() > expected.as_array().unwrap().len() {
            miss.orphans += 1;
        }
        miss.differences.push(format!("{list}: too much or changed: {item}"));
    }
    for item in missing {
        miss.differences.push(format!("{list}: missing or changed: {item}"));
    }
}

/// A value in which the ids of rules of security groups say only that they are such.
fn natural(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_of_rules = fields.keys().any(|key| key.starts_with("sgr-"));
            if is_of_rules {
                let mut items: Vec<Value> = fields.values().map(natural).collect();
                items.sort_by_key(Value::to_string);
                return items.into();
            }
            fields
                .iter()
                .map(|(key, value)| (key.clone(), natural(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().map(natural).collect(),
        other => other.clone(),
    }
}

#[test]
fn what_is_left_over_is_told_from_what_is_there_twice() {
    let sight = |certificates: &[&str], records: &[&str]| {
        let named = |name: &&str| json!({ "DomainName": name });
        let certificates: Vec<Value> = certificates.iter().map(named).collect();
        let zone = json!({ "Name": "example.com.", "Records": records });
        Sight::new(
            json!({ "certificates": certificates, "zones": [zone] }),
            json!({}),
            json!({ "resources": {}, "intents": {}, "retired": [], "saved": {}, "cutovers": {} }),
        )
    };
    let reference = sight(&["www"], &["a"]);
    let counts = |certificates: &[&str], records: &[&str]| {
        let miss = reference.compare(&sight(certificates, records));
        (miss.duplicates, miss.orphans, miss.differences.len())
    };
    assert_eq!(counts(&["www"], &["a"]), (0, 0, 0));
    assert_eq!(counts(&["www", "www"], &["a"]), (1, 0, 1));
    assert_eq!(counts(&["www", "shop"], &["a", "b"]), (0, 2, 2));
    assert_eq!(counts(&[], &["a"]), (0, 0, 1));
}

#[test]
fn a_state_that_lists_something_else_than_what_exists_is_a_miss() {
    let state = |id: &str, intents: Value| {
        let resources = json!({ "certificate.www": { "id": id, "origin": "created" } });
        json!({ "resources": resources, "intents": intents, "retired": [], "saved": {}, "cutovers": {} })
    };
    let sight = |state| Sight::new(json!({}), json!({ "certificate": ["arn:1"] }), state);
    let reference = sight(state("arn:1", json!({})));
    assert!(reference.state_is_whole());
    for damaged in [
        state("arn:2", json!({})),
        state("arn:1", json!({ "certificate.www": {} })),
    ] {
        let damaged = sight(damaged);
        assert!(!damaged.state_is_whole());
        assert_eq!(reference.compare(&damaged).differences.len(), 1);
    }
}
