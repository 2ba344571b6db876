//! Changes of record sets: atomic, and only of what stands there (`aws-facts.md` 5.4).

use aws_sdk_route53::{
    error::BuildError,
    types::{AliasTarget, Change as SdkChange, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType},
};
use reconcile_core::{observed::RecordSet, value::ZoneId};
use reconcile_engine::{CloudError, ErrorKind};

use crate::{
    clients::Clients,
    error::{call, failure, unexpected},
};

/// The call, as errors name it.
pub(crate) const OPERATION: &str = "route53 ChangeResourceRecordSets";

/// What to do when a batch is refused: it was made from what stood there a moment ago.
const LOOK_AGAIN: &str = "plan again, and look at what stands there now";

/// One change of a batch. There is no overwriting: what shall go is deleted exactly as it was read, so that the batch
/// fails if somebody changed it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Deletes a set, which has to be stored exactly so.
    Delete(RecordSet),
    /// Makes a set where there is none of the type.
    Create(RecordSet),
}

/// Carries out all of the changes or none, in their order, and tells the id of the whole.
pub(crate) async fn send(clients: &Clients, zone: &ZoneId, changes: &[Change]) -> Result<String, CloudError> {
    let batch = batch(changes).map_err(|error| unexpected(OPERATION, error.to_string()))?;
    let request = clients.route53.change_resource_record_sets();
    let request = request.hosted_zone_id(zone.as_str()).change_batch(batch);
    let answer = call(OPERATION, request.send()).await.map_err(|error| CloudError {
        remedy: error.remedy.or_else(|| Some(LOOK_AGAIN.to_owned())),
        ..error
    })?;
    let change = answer
        .change_info()
        .ok_or_else(|| unexpected(OPERATION, "the answer names no change"))?;
    Ok(change.id().trim_start_matches("/change/").to_owned())
}

fn batch(changes: &[Change]) -> Result<ChangeBatch, BuildError> {
    let mut batch = ChangeBatch::builder();
    for change in changes {
        let (action, set) = match change {
            Change::Delete(set) => (ChangeAction::Delete, set),
            Change::Create(set) => (ChangeAction::Create, set),
        };
        let change = SdkChange::builder().action(action);
        batch = batch.changes(change.resource_record_set(sdk_set(set)?).build()?);
    }
    batch.build()
}

/// A set with simple routing in the SDK's terms; an alias has neither a TTL nor values.
fn sdk_set(set: &RecordSet) -> Result<ResourceRecordSet, BuildError> {
    let values: Result<Vec<ResourceRecord>, BuildError> = set
        .values
        .iter()
        .map(|value| ResourceRecord::builder().value(value).build())
        .collect();
    let values = values?;
    let alias = set.alias.as_ref().map(|alias| {
        AliasTarget::builder()
            .dns_name(&alias.name)
            .hosted_zone_id(&alias.zone)
            .evaluate_target_health(alias.evaluate_target_health)
            .build()
    });
    ResourceRecordSet::builder()
        .name(set.name.absolute())
        .r#type(RrType::from(set.record_type.as_str()))
        .set_ttl(set.ttl.map(i64::from))
        .set_resource_records((!values.is_empty()).then_some(values))
        .set_alias_target(alias.transpose()?)
        .build()
}

/// Whether a set cannot be told by name, type and content alone, and so is nothing that this tool changes
/// (`aws-facts.md` 5.3).
pub(crate) fn is_irregular(set: &RecordSet) -> bool {
    set.set_identifier.is_some() || set.traffic_policy_instance.is_some()
}

/// The refusal to touch an irregular set.
pub(crate) fn irregular(set: &RecordSet) -> CloudError {
    let by = match (&set.traffic_policy_instance, &set.set_identifier) {
        (Some(policy), _) => format!("belongs to the traffic policy instance `{policy}`"),
        (None, identifier) => format!(
            "has a routing policy (set identifier `{}`)",
            identifier.as_deref().unwrap_or_default()
        ),
    };
    failure(
        OPERATION,
        ErrorKind::Conflict,
        format!("the {} record at `{}` {by}", set.record_type, set.name),
        "replace it by a simple record first, or leave the name out of the configuration",
    )
}

/// The refusal to touch a set that is not as it was seen.
pub(crate) fn moved(record_type: &str, name: &str) -> CloudError {
    failure(
        OPERATION,
        ErrorKind::Conflict,
        format!("the {record_type} record at `{name}` has changed since the plan was made"),
        LOOK_AGAIN,
    )
}

#[cfg(test)]
mod tests {
    use reconcile_core::observed::StoredAlias;

    use super::*;

    fn address(value: &str) -> RecordSet {
        RecordSet {
            zone: "Z1".parse().unwrap(),
            name: "www.example.com".parse().unwrap(),
            record_type: "A".into(),
            ttl: Some(300),
            values: vec![value.into()],
            alias: None,
            set_identifier: None,
            traffic_policy_instance: None,
        }
    }

    #[test]
    fn a_batch_repeats_what_was_read_and_keeps_its_order() {
        let alias = RecordSet {
            ttl: None,
            values: Vec::new(),
            alias: Some(StoredAlias {
                name: "lb.example.net.".into(),
                zone: "Z9".into(),
                evaluate_target_health: false,
            }),
            ..address("")
        };
        let batch = batch(&[Change::Delete(address("192.0.2.1")), Change::Create(alias)]).unwrap();
        let [first, second] = batch.changes() else {
            panic!("two changes")
        };
        let (old, new) = (
            first.resource_record_set().unwrap(),
            second.resource_record_set().unwrap(),
        );
        assert_eq!(
            (first.action(), second.action()),
            (&ChangeAction::Delete, &ChangeAction::Create)
        );
        assert_eq!((old.name(), old.ttl()), ("www.example.com.", Some(300)));
        assert_eq!(old.resource_records()[0].value(), "192.0.2.1");
        assert_eq!((new.ttl(), new.resource_records.as_ref()), (None, None));
        assert_eq!(new.alias_target().unwrap().hosted_zone_id(), "Z9");
    }

    #[test]
    fn refusals_say_what_is_in_the_way() {
        let mut set = address("192.0.2.1");
        assert!(!is_irregular(&set));
        set.set_identifier = Some("blue".into());
        assert!(is_irregular(&set) && irregular(&set).message.contains("`blue`"));
        set.traffic_policy_instance = Some("policy-1".into());
        assert!(irregular(&set).message.contains("`policy-1`"));
        assert_eq!(moved("A", "www.example.com").kind, ErrorKind::Conflict);
    }
}
