//! The kind `alias_record`: the address records (A, AAAA, CNAME) at one name, changed together or not at all.

use std::collections::BTreeMap;

use reconcile_core::{
    observed::{Actual, DUALSTACK, RecordSet, Status, StoredAlias},
    resource::{Address, AliasRecord, AliasTarget, Outputs, RecordData, RecordType, Ref, Spec, Tags},
};
use reconcile_engine::{CloudError, Made};

use crate::{
    clients::Clients,
    error::{CloudErrorExt, unresolved},
    route53::{
        self,
        batch::{self, Change, OPERATION},
    },
};

/// The types in the order in which they are changed.
const TYPES: [RecordType; 3] = [RecordType::A, RecordType::Aaaa, RecordType::Cname];

/// The address record sets at the name.
async fn standing(clients: &Clients, record: &AliasRecord) -> Result<Vec<RecordSet>, CloudError> {
    let mut sets = route53::at(clients, &record.zone, &record.name).await?;
    sets.retain(|set| TYPES.iter().any(|record_type| record_type.as_str() == set.record_type));
    Ok(sets)
}

fn of_type(sets: &[RecordSet], record_type: RecordType) -> Option<&RecordSet> {
    sets.iter().find(|set| set.record_type == record_type.as_str())
}

/// Reads what stands at the name, as far as this kind can express it.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    like: &AliasRecord,
) -> Result<Option<Actual>, CloudError> {
    Ok(actual(like, &standing(clients, like).await?))
}

fn actual(like: &AliasRecord, sets: &[RecordSet]) -> Option<Actual> {
    let simple = sets.iter().filter(|set| !batch::is_irregular(set));
    let records: BTreeMap<RecordType, RecordData> = simple
        .filter_map(|set| {
            let record_type = TYPES.into_iter().find(|kind| kind.as_str() == set.record_type)?;
            Some((record_type, data(set)))
        })
        .collect();
    (!records.is_empty()).then(|| Actual {
        id: id(like),
        spec: Spec::AliasRecord(AliasRecord {
            zone: like.zone.clone(),
            name: like.name.clone(),
            records,
        }),
        outputs: Outputs::new(),
        status: Status::Exists,
        tags: Tags::new(),
    })
}

fn id(record: &AliasRecord) -> String {
    format!("{}/{}", record.zone, record.name)
}

fn data(set: &RecordSet) -> RecordData {
    RecordData {
        ttl: set.ttl,
        values: set.values.clone(),
        alias: set.alias.as_ref().map(StoredAlias::target),
    }
}

/// Whatever simple records stand at the name: identity is the content.
pub(crate) async fn find(
    clients: &Clients,
    address: &Address,
    desired: &AliasRecord,
) -> Result<Option<Actual>, CloudError> {
    read(clients, address, "", desired).await
}

/// Makes the records at a name that has none.
pub(crate) async fn create(
    clients: &Clients,
    _address: &Address,
    desired: &AliasRecord,
    _token: &str,
) -> Result<Made, CloudError> {
    change(clients, &absent(desired), desired).await
}

/// Puts the wanted records in place of the observed ones, in one batch that fails if they have changed.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    observed: &AliasRecord,
    desired: &AliasRecord,
) -> Result<Made, CloudError> {
    change(clients, observed, desired).await
}

/// Deletes the observed records; those that have become others stay, and the deletion fails.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    observed: &AliasRecord,
) -> Result<(), CloudError> {
    change(clients, observed, &absent(observed)).await.map(|_| ())
}

/// The same name without records.
fn absent(record: &AliasRecord) -> AliasRecord {
    AliasRecord {
        records: BTreeMap::new(),
        ..record.clone()
    }
}

async fn change(clients: &Clients, observed: &AliasRecord, desired: &AliasRecord) -> Result<Made, CloudError> {
    let made = |dns_change| Made {
        id: id(desired),
        outputs: Outputs::new(),
        dns_change,
    };
    // What is deleted is what was read just now, spelling included; that it is what was observed is checked before.
    let changes = changes(&standing(clients, desired).await?, observed, desired)?;
    if changes.is_empty() {
        return Ok(made(None));
    }
    match batch::send(clients, &desired.zone, &changes).await {
        Ok(change) => Ok(made(Some(change))),
        // An attempt whose answer was lost may have done it; then nothing is left to be changed.
        Err(error) if error.is_code(&["InvalidChangeBatch"]) => {
            match self::changes(&standing(clients, desired).await?, observed, desired) {
                Ok(left) if left.is_empty() => Ok(made(None)),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// The batch that leads from what stands there to what is wanted. Deletions come first: a CNAME stands alone at its name,
/// and the order within a batch counts (`aws-facts.md` 5.3).
fn changes(standing: &[RecordSet], observed: &AliasRecord, desired: &AliasRecord) -> Result<Vec<Change>, CloudError> {
    let wanted = wanted_sets(desired)?;
    if let Some(set) = standing.iter().find(|set| batch::is_irregular(set)) {
        return Err(batch::irregular(set));
    }
    let mut deleted = Vec::new();
    let mut created = Vec::new();
    for record_type in TYPES {
        let found = of_type(standing, record_type);
        let new = of_type(&wanted, record_type);
        let content = found.map(data);
        if is_same(content.as_ref(), new.map(data).as_ref()) {
            continue;
        }
        if found.is_some() && !is_same(content.as_ref(), observed.records.get(&record_type)) {
            return Err(batch::moved(record_type.as_str(), desired.name.as_str()));
        }
        deleted.extend(found.cloned().map(Change::Delete));
        created.extend(new.cloned().map(Change::Create));
    }
    deleted.append(&mut created);
    Ok(deleted)
}

/// Whether two contents mean the same, however the alias is spelled.
fn is_same(one: Option<&RecordData>, other: Option<&RecordData>) -> bool {
    let plain = |data: &RecordData| RecordData {
        alias: data.alias.clone().map(|alias| AliasTarget {
            stored_name: None,
            ..alias
        }),
        ..data.clone()
    };
    one.map(plain) == other.map(plain)
}

/// The wanted records as Route 53 will store them.
fn wanted_sets(desired: &AliasRecord) -> Result<Vec<RecordSet>, CloudError> {
    // With both address families the name is the one that has both (`aws-facts.md` 5.4).
    let prefix = if desired.records.contains_key(&RecordType::Aaaa) {
        DUALSTACK
    } else {
        ""
    };
    let known = |reference: &Ref| -> Result<String, CloudError> {
        let text = reference.known().map_err(|error| unresolved(OPERATION, &error))?;
        Ok(text.to_owned())
    };
    let sets = desired.records.iter().map(|(record_type, data)| {
        let alias = match &data.alias {
            None => None,
            Some(alias) => Some(StoredAlias {
                name: format!("{prefix}{}.", StoredAlias::normal_name(&known(&alias.name)?)),
                zone: known(&alias.zone)?,
                evaluate_target_health: alias.evaluate_target_health,
            }),
        };
        Ok(RecordSet {
            zone: desired.zone.clone(),
            name: desired.name.clone(),
            record_type: record_type.as_str().to_owned(),
            ttl: data.ttl,
            values: data.values.clone(),
            alias,
            set_identifier: None,
            traffic_policy_instance: None,
        })
    });
    sets.collect()
}

#[cfg(test)]
mod tests {
    use reconcile_engine::ErrorKind;

    use super::*;

    fn at_name(records: &[(RecordType, RecordData)]) -> AliasRecord {
        AliasRecord {
            zone: "Z1".parse().unwrap(),
            name: "www.example.com".parse().unwrap(),
            records: records.iter().cloned().collect(),
        }
    }

    fn values(ttl: u32, value: &str) -> RecordData {
        RecordData {
            ttl: Some(ttl),
            values: vec![value.into()],
            alias: None,
        }
    }

    fn to(name: &str) -> RecordData {
        RecordData {
            ttl: None,
            values: Vec::new(),
            alias: Some(AliasTarget {
                name: Ref::Known(name.into()),
                zone: Ref::Known("Z9".into()),
                evaluate_target_health: false,
                stored_name: None,
            }),
        }
    }

    fn sets(record: &AliasRecord) -> Vec<RecordSet> {
        wanted_sets(record).unwrap()
    }

    fn observed(sets: &[RecordSet]) -> AliasRecord {
        match actual(&at_name(&[]), sets).map(|actual| actual.spec) {
            Some(Spec::AliasRecord(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    fn shown(changes: &[Change]) -> Vec<String> {
        let show = |sign: &str, set: &RecordSet| {
            let alias = set.alias.as_ref().map(|alias| alias.name.clone());
            format!(
                "{sign} {} {}",
                set.record_type,
                alias.unwrap_or_else(|| set.values.join(" "))
            )
        };
        changes
            .iter()
            .map(|change| match change {
                Change::Delete(set) => show("-", set),
                Change::Create(set) => show("+", set),
            })
            .collect()
    }

    #[test]
    fn the_cutover_is_one_batch_with_deletions_first() {
        let old = sets(&at_name(&[
            (RecordType::A, values(300, "192.0.2.1")),
            (RecordType::Aaaa, values(60, "2001:db8::1")),
        ]));
        let desired = at_name(&[(RecordType::A, to("lb.example.net"))]);
        let batch = changes(&old, &observed(&old), &desired).unwrap();
        assert_eq!(
            shown(&batch),
            ["- A 192.0.2.1", "- AAAA 2001:db8::1", "+ A lb.example.net."]
        );
        assert_eq!(batch[0], Change::Delete(old[0].clone()));
        let cname = sets(&at_name(&[(RecordType::Cname, values(300, "host.example.net."))]));
        let both = at_name(&[
            (RecordType::A, to("LB.example.net")),
            (RecordType::Aaaa, to("LB.example.net")),
        ]);
        let batch = changes(&cname, &observed(&cname), &both).unwrap();
        assert_eq!(
            shown(&batch),
            [
                "- CNAME host.example.net.",
                "+ A dualstack.lb.example.net.",
                "+ AAAA dualstack.lb.example.net.",
            ]
        );
    }

    #[test]
    fn a_record_that_changed_meanwhile_stays() {
        let old = sets(&at_name(&[(RecordType::A, values(300, "192.0.2.1"))]));
        let desired = at_name(&[(RecordType::A, to("lb.example.net"))]);
        let newer = sets(&at_name(&[(RecordType::A, values(60, "192.0.2.1"))]));
        let error = changes(&newer, &observed(&old), &desired).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        // Nothing was observed at all, as for a creation.
        assert!(changes(&old, &at_name(&[]), &desired).is_err());
    }

    #[test]
    fn what_is_as_wanted_needs_no_change_in_any_spelling() {
        let desired = at_name(&[(RecordType::A, to("lb.example.net"))]);
        for spelling in ["lb.example.net.", "dualstack.LB.example.net.", "Lb.example.net"] {
            let mut stored = sets(&desired);
            stored[0].alias.as_mut().unwrap().name = spelling.into();
            assert_eq!(changes(&stored, &at_name(&[]), &desired), Ok(Vec::new()), "{spelling}");
            // But a deletion repeats the spelling.
            let batch = changes(&stored, &observed(&stored), &at_name(&[])).unwrap();
            assert_eq!(shown(&batch), [format!("- A {spelling}")]);
        }
    }

    #[test]
    fn a_switch_to_both_families_leaves_the_old_record() {
        let old = sets(&at_name(&[(RecordType::A, to("lb.example.net"))]));
        let both = at_name(&[
            (RecordType::A, to("lb.example.net")),
            (RecordType::Aaaa, to("lb.example.net")),
        ]);
        let batch = changes(&old, &observed(&old), &both).unwrap();
        assert_eq!(shown(&batch), ["+ AAAA dualstack.lb.example.net."]);
    }

    #[test]
    fn routing_policies_are_not_touched() {
        let mut old = sets(&at_name(&[(RecordType::A, values(300, "192.0.2.1"))]));
        let before = observed(&old);
        old[0].set_identifier = Some("blue".into());
        let desired = at_name(&[(RecordType::A, to("lb.example.net"))]);
        assert_eq!(changes(&old, &before, &desired).unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(actual(&desired, &old), None);
    }
}
