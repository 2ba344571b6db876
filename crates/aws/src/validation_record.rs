//! The kind `validation_record`: the CNAME that proves control over a name to ACM.
//!
//! It belongs to the account and the name, not to one certificate (`aws-facts.md` 1.3): an equal one is as good as our own.

use reconcile_core::{
    observed::{Actual, RecordSet, Status},
    resource::{Address, Outputs, Ref, Spec, Tags, ValidationRecord},
    value::{DomainName, ZoneId},
};
use reconcile_engine::{CloudError, Made};

use crate::{
    clients::Clients,
    error::{CloudErrorExt, unexpected, unresolved},
    route53::{
        self,
        batch::{self, Change, OPERATION},
    },
};

/// Time to live in seconds, as ACM's console sets it.
const TTL: u32 = 300;
/// The record's type.
const CNAME: &str = "CNAME";

/// A record with its references resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    zone: ZoneId,
    name: DomainName,
    value: DomainName,
}

impl Wanted {
    fn new(record: &ValidationRecord) -> Result<Self, CloudError> {
        Ok(Self {
            zone: record.zone.clone(),
            name: domain(&record.name)?,
            value: domain(&record.value)?,
        })
    }

    fn made(&self, dns_change: Option<String>) -> Made {
        Made {
            id: id(&self.zone, &self.name),
            outputs: Outputs::new(),
            dns_change,
        }
    }

    fn is(&self, set: &RecordSet) -> bool {
        value(set).as_ref() == Some(&self.value)
    }

    fn set(&self) -> RecordSet {
        RecordSet {
            zone: self.zone.clone(),
            name: self.name.clone(),
            record_type: CNAME.to_owned(),
            ttl: Some(TTL),
            values: vec![self.value.absolute()],
            alias: None,
            set_identifier: None,
            traffic_policy_instance: None,
        }
    }
}

fn domain(reference: &Ref) -> Result<DomainName, CloudError> {
    let text = reference.known().map_err(|error| unresolved(OPERATION, &error))?;
    text.parse()
        .map_err(|error: reconcile_core::value::DomainNameError| unexpected(OPERATION, error.to_string()))
}

fn id(zone: &ZoneId, name: &DomainName) -> String {
    format!("{zone}/{name}/{CNAME}")
}

fn value(set: &RecordSet) -> Option<DomainName> {
    set.values.first()?.parse().ok()
}

/// The CNAME that stands at a name.
async fn standing(clients: &Clients, zone: &ZoneId, name: &DomainName) -> Result<Option<RecordSet>, CloudError> {
    let sets = route53::at(clients, zone, name).await?;
    Ok(sets.into_iter().find(|set| set.record_type == CNAME))
}

/// Reads what stands at the record's name.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    like: &ValidationRecord,
) -> Result<Option<Actual>, CloudError> {
    let name = domain(&like.name)?;
    Ok(standing(clients, &like.zone, &name).await?.as_ref().and_then(actual))
}

fn actual(set: &RecordSet) -> Option<Actual> {
    Some(Actual {
        id: id(&set.zone, &set.name),
        spec: Spec::ValidationRecord(ValidationRecord {
            zone: set.zone.clone(),
            name: Ref::Known(set.name.to_string()),
            value: Ref::Known(value(set)?.to_string()),
        }),
        outputs: Outputs::new(),
        status: Status::Exists,
        tags: Tags::new(),
    })
}

/// Whatever stands at the name: who made it does not matter, what it says does.
pub(crate) async fn find(
    clients: &Clients,
    address: &Address,
    desired: &ValidationRecord,
) -> Result<Option<Actual>, CloudError> {
    read(clients, address, "", desired).await
}

/// Makes the record, unless an equal one is there already. It never overwrites another one.
pub(crate) async fn create(
    clients: &Clients,
    _address: &Address,
    desired: &ValidationRecord,
    _token: &str,
) -> Result<Made, CloudError> {
    put(clients, &Wanted::new(desired)?, None).await
}

/// Puts the wanted value in place of the observed one. A record that was looked for under another name stays: another
/// certificate may need it.
pub(crate) async fn update(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    observed: &ValidationRecord,
    desired: &ValidationRecord,
) -> Result<Made, CloudError> {
    put(clients, &Wanted::new(desired)?, Wanted::new(observed).ok().as_ref()).await
}

async fn put(clients: &Clients, wanted: &Wanted, observed: Option<&Wanted>) -> Result<Made, CloudError> {
    let found = standing(clients, &wanted.zone, &wanted.name).await?;
    let changes = changes(found.as_ref(), wanted, observed)?;
    if changes.is_empty() {
        return Ok(wanted.made(None));
    }
    match batch::send(clients, &wanted.zone, &changes).await {
        Ok(change) => Ok(wanted.made(Some(change))),
        // Another run, or an attempt whose answer was lost, may have done it.
        Err(error) if error.is_code(&["InvalidChangeBatch"]) => {
            match standing(clients, &wanted.zone, &wanted.name).await? {
                Some(set) if wanted.is(&set) => Ok(wanted.made(None)),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// What it takes to have the wanted record; nothing if it is there.
fn changes(found: Option<&RecordSet>, wanted: &Wanted, observed: Option<&Wanted>) -> Result<Vec<Change>, CloudError> {
    match found {
        None => Ok(vec![Change::Create(wanted.set())]),
        Some(set) if wanted.is(set) => Ok(Vec::new()),
        Some(set) if batch::is_irregular(set) => Err(batch::irregular(set)),
        Some(set) if observed.is_some_and(|observed| observed.name == set.name && observed.is(set)) => {
            Ok(vec![Change::Delete(set.clone()), Change::Create(wanted.set())])
        }
        Some(_) => Err(batch::moved(CNAME, wanted.name.as_str())),
    }
}

/// Deletes the record if it still says what was observed.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    _id: &str,
    observed: &ValidationRecord,
) -> Result<(), CloudError> {
    let observed = Wanted::new(observed)?;
    let ours = |found: Option<RecordSet>| found.filter(|set| observed.is(set) && !batch::is_irregular(set));
    let Some(set) = ours(standing(clients, &observed.zone, &observed.name).await?) else {
        return Ok(());
    };
    match batch::send(clients, &observed.zone, &[Change::Delete(set)]).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_code(&["InvalidChangeBatch"]) => {
            match ours(standing(clients, &observed.zone, &observed.name).await?) {
                None => Ok(()),
                Some(_) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use reconcile_engine::ErrorKind;

    use super::*;

    fn wanted(value: &str) -> Wanted {
        Wanted {
            zone: "Z1".parse().unwrap(),
            name: "_k.example.com".parse().unwrap(),
            value: value.parse().unwrap(),
        }
    }

    fn stored(value: &str) -> RecordSet {
        RecordSet {
            ttl: Some(60),
            values: vec![value.into()],
            ..wanted("v.example.net").set()
        }
    }

    #[test]
    fn an_equal_record_is_taken_as_it_is() {
        let wanted = wanted("_v.acm-validations.aws");
        let same = stored("_V.acm-validations.aws.");
        assert_eq!(changes(Some(&same), &wanted, None), Ok(Vec::new()));
        assert_eq!(changes(None, &wanted, None), Ok(vec![Change::Create(wanted.set())]));
    }

    #[test]
    fn another_record_goes_only_if_it_was_seen() {
        let (new, old) = (wanted("_v.acm-validations.aws"), wanted("old.example.net"));
        let found = stored("old.example.net");
        let swap = vec![Change::Delete(found.clone()), Change::Create(new.set())];
        assert_eq!(changes(Some(&found), &new, Some(&old)), Ok(swap));
        for observed in [None, Some(&wanted("older.example.net"))] {
            let error = changes(Some(&found), &new, observed).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Conflict);
        }
        let weighted = RecordSet {
            set_identifier: Some("blue".into()),
            ..found
        };
        assert!(changes(Some(&weighted), &new, Some(&old)).is_err());
    }

    #[test]
    fn what_is_read_is_in_normal_form() {
        let actual = actual(&stored("_V.acm-validations.aws.")).unwrap();
        assert_eq!(actual.id, "Z1/_k.example.com/CNAME");
        let Spec::ValidationRecord(record) = actual.spec else {
            panic!("another kind")
        };
        assert_eq!(record.name, Ref::Known("_k.example.com".into()));
        assert_eq!(record.value, Ref::Known("_v.acm-validations.aws".into()));
    }
}
