//! The hosted zone: records are compared and swapped in one batch.

use std::collections::BTreeMap;

use reconcile_core::{
    observed::{Actual, DUALSTACK, RecordSet, StoredAlias},
    resource::{AliasRecord, AliasTarget, RecordData, RecordType, Ref, Spec, ValidationRecord},
    value::{DomainName, ZoneId},
};
use reconcile_engine::{CloudError, ErrorKind};

use crate::{
    shown::plain,
    strict::error,
    world::{World, known, record},
};

const TYPES: [RecordType; 3] = [RecordType::A, RecordType::Aaaa, RecordType::Cname];

fn data(set: &RecordSet) -> RecordData {
    RecordData {
        ttl: set.ttl,
        values: set.values.clone(),
        alias: set.alias.as_ref().map(StoredAlias::target),
    }
}

/// The same whatever the spelling of an alias.
fn normal(data: &RecordData) -> RecordData {
    RecordData {
        alias: data.alias.clone().map(|alias| AliasTarget {
            stored_name: None,
            ..alias
        }),
        ..data.clone()
    }
}

impl World {
    pub(crate) fn alias_record(&self, zone: &ZoneId, name: &DomainName) -> Option<Actual> {
        let records: BTreeMap<RecordType, RecordData> = self
            .addresses_at(zone, name)
            .into_iter()
            .filter_map(|set| {
                let record_type = TYPES.into_iter().find(|kind| kind.as_str() == set.record_type)?;
                Some((record_type, data(set)))
            })
            .collect();
        (!records.is_empty()).then(|| {
            let spec = AliasRecord {
                zone: zone.clone(),
                name: name.clone(),
                records,
            };
            plain(format!("{zone}/{name}"), Spec::AliasRecord(spec))
        })
    }

    pub(crate) fn validation_record(&self, zone: &ZoneId, name: &str) -> Option<Actual> {
        let set = self
            .records
            .iter()
            .find(|set| set.record_type == "CNAME" && set.name.as_str() == name)?;
        let spec = ValidationRecord {
            zone: zone.clone(),
            name: Ref::Known(name.to_owned()),
            value: Ref::Known(set.values[0].parse::<DomainName>().unwrap().to_string()),
        };
        Some(plain(format!("{zone}/{name}/CNAME"), Spec::ValidationRecord(spec)))
    }

    /// What stands at the name once `observed` has become `desired`; `None` if nothing is left to be changed.
    ///
    /// # Errors
    /// If what stands there is neither.
    pub(crate) fn swapped(
        &self,
        observed: &AliasRecord,
        desired: &AliasRecord,
    ) -> Result<Option<Vec<RecordSet>>, CloudError> {
        let standing = self.addresses_at(&desired.zone, &desired.name);
        let prefix = if desired.records.contains_key(&RecordType::Aaaa) {
            DUALSTACK
        } else {
            ""
        };
        let mut sets = Vec::new();
        let mut changed = false;
        for record_type in TYPES {
            let found = standing.iter().find(|set| set.record_type == record_type.as_str());
            let wanted = desired.records.get(&record_type);
            let content = found.map(|set| normal(&data(set)));
            if content == wanted.map(normal) {
                sets.extend(found.map(|set| (*set).clone()));
                continue;
            }
            if content.is_some() && content != observed.records.get(&record_type).map(normal) {
                return Err(error(
                    ErrorKind::Conflict,
                    "InvalidChangeBatch",
                    format!(
                        "the {} record at {} is not as it was observed",
                        record_type.as_str(),
                        desired.name
                    ),
                ));
            }
            changed = true;
            sets.extend(wanted.map(|data| RecordSet {
                zone: desired.zone.clone(),
                name: desired.name.clone(),
                record_type: record_type.as_str().to_owned(),
                ttl: data.ttl,
                values: data.values.clone(),
                alias: data.alias.as_ref().map(|alias| StoredAlias {
                    name: format!("{prefix}{}.", StoredAlias::normal_name(known(&alias.name))),
                    zone: known(&alias.zone).to_owned(),
                    evaluate_target_health: alias.evaluate_target_health,
                }),
                set_identifier: None,
                traffic_policy_instance: None,
            }));
        }
        Ok(changed.then_some(sets))
    }

    /// Writes a validation record, unless it is there; gives whether something changed.
    ///
    /// # Errors
    /// If another one stands there that was not observed.
    pub(crate) fn put_validation(
        &mut self,
        wanted: &ValidationRecord,
        observed: Option<&ValidationRecord>,
    ) -> Result<bool, CloudError> {
        let (name, value) = (known(&wanted.name), format!("{}.", known(&wanted.value)));
        let at = self
            .records
            .iter()
            .position(|set| set.record_type == "CNAME" && set.name.as_str() == name);
        if let Some(at) = at {
            let standing = self.records[at].values[0].clone();
            if standing == value {
                return Ok(false);
            }
            let is_observed = observed.is_some_and(|observed| {
                known(&observed.name) == name && standing == format!("{}.", known(&observed.value))
            });
            if !is_observed {
                return Err(error(
                    ErrorKind::Conflict,
                    "InvalidChangeBatch",
                    format!("{name} is not as it was observed"),
                ));
            }
            self.records.remove(at);
        }
        self.records.push(record(name, "CNAME", &[&value]));
        Ok(true)
    }
}
