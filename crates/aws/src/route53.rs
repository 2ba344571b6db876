//! Route 53: hosted zones, record sets, and how far changes are.

pub(crate) mod batch;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_route53::types::{ChangeStatus, HostedZone as DescribedZone, ResourceRecordSet, RrType};
use futures_util::future;
use reconcile_core::{
    observed::{HostedZone, Query, RecordSet, StoredAlias},
    resource::Kind,
    value::{DomainName, ZoneId},
};
use reconcile_engine::CloudError;

use crate::{
    clients::Clients,
    error::{OrMissing, call, unexpected},
    paging::Pages,
};

/// Zones with more record sets than this are asked for single names only: ten pages of 300 take two seconds of Route 53's
/// five requests per second, and 10,000 record sets would take seven.
const LISTED_WHOLE: i64 = 3000;

/// The longest page that `ListResourceRecordSets` gives.
const PAGE: i32 = 300;

/// The zones that match the sites' names or are given outright, and the record sets of the public ones among them.
pub(crate) async fn observe(clients: &Clients, query: &Query) -> Result<(Vec<HostedZone>, Vec<RecordSet>), CloudError> {
    let zones = zones(clients, query).await?;
    let lists = zones
        .values()
        .filter(|listed| !listed.zone.private)
        .map(|listed| records(clients, listed, query));
    let record_sets = future::try_join_all(lists).await?.concat();
    Ok((zones.into_values().map(|listed| listed.zone).collect(), record_sets))
}

/// A zone and how much is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    zone: HostedZone,
    count: Option<i64>,
}

async fn zones(clients: &Clients, query: &Query) -> Result<BTreeMap<ZoneId, Listed>, CloudError> {
    let mut found = BTreeMap::new();
    let mut pages = Pages::new("route53 ListHostedZones");
    loop {
        let request = clients.route53.list_hosted_zones().set_marker(pages.token());
        let answer = call(pages.operation(), request.send()).await?;
        let listed = answer.hosted_zones().iter().filter_map(listed);
        found.extend(
            listed
                .filter(|listed| is_relevant(&listed.zone, query))
                .map(|listed| (listed.zone.id.clone(), listed)),
        );
        let next = answer.next_marker().filter(|_| answer.is_truncated());
        if !pages.advance(next)? {
            break;
        }
    }
    // One that another account shares is not in the list.
    let missing: Vec<&ZoneId> = query.zones.iter().filter(|id| !found.contains_key(*id)).collect();
    for zone in future::try_join_all(missing.into_iter().map(|id| zone(clients, id))).await? {
        found.extend(zone.map(|listed| (listed.zone.id.clone(), listed)));
    }
    Ok(found)
}

fn is_relevant(zone: &HostedZone, query: &Query) -> bool {
    query.zones.contains(&zone.id) || query.names.iter().any(|name| name.is_within(&zone.name))
}

async fn zone(clients: &Clients, id: &ZoneId) -> Result<Option<Listed>, CloudError> {
    let request = clients.route53.get_hosted_zone().id(id.as_str());
    let answer = call("route53 GetHostedZone", request.send()).await.or_missing()?;
    Ok(answer.and_then(|answer| listed(answer.hosted_zone()?)))
}

/// A zone in normal form; `None` for the names that no site can have, such as a single label.
fn listed(zone: &DescribedZone) -> Option<Listed> {
    let linked = zone.linked_service();
    Some(Listed {
        zone: HostedZone {
            id: zone.id().parse().ok()?,
            name: zone.name().parse().ok()?,
            private: zone
                .config()
                .is_some_and(aws_sdk_route53::types::HostedZoneConfig::private_zone),
            linked_service: linked.map(|linked| linked.service_principal().unwrap_or("another service").to_owned()),
        },
        count: zone.resource_record_set_count(),
    })
}

async fn records(clients: &Clients, listed: &Listed, query: &Query) -> Result<Vec<RecordSet>, CloudError> {
    let zone = &listed.zone;
    if listed.count.is_none_or(|count| count <= LISTED_WHOLE) {
        return list(clients, &zone.id, None).await;
    }
    let names = names_in(zone, query);
    let lists = names.iter().map(|name| at(clients, &zone.id, name));
    Ok(future::try_join_all(lists).await?.concat())
}

/// The names to look at in a zone that is too large to be listed: the sites' names and the names above them, where CAA
/// records may stand (`aws-facts.md` 1.4), and the names of the records that the state knows.
fn names_in(zone: &HostedZone, query: &Query) -> BTreeSet<DomainName> {
    let mut names = BTreeSet::new();
    for name in &query.names {
        let mut next = Some(name.clone());
        while let Some(name) = next.filter(|name| name.is_within(&zone.name)) {
            next = name
                .as_str()
                .split_once('.')
                .and_then(|(_, parent)| parent.parse().ok());
            names.insert(name);
        }
    }
    let recorded = query
        .recorded
        .iter()
        .filter(|(address, _)| matches!(address.kind(), Kind::ValidationRecord | Kind::AliasRecord))
        .flat_map(|(_, ids)| ids)
        .filter_map(|id| place(id))
        .filter(|(id, _)| *id == zone.id)
        .map(|(_, name)| name);
    names.extend(recorded);
    names
}

/// Zone and name in the id of a record: `<zone>/<name>`, and perhaps `/<type>`.
fn place(id: &str) -> Option<(ZoneId, DomainName)> {
    let mut parts = id.split('/');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The record sets at one name, of all types and with all identifiers.
pub(crate) async fn at(clients: &Clients, zone: &ZoneId, name: &DomainName) -> Result<Vec<RecordSet>, CloudError> {
    list(clients, zone, Some(name)).await
}

/// The record sets of a zone, or those at one of its names. The list is as of the last change, in sync or not
/// (`aws-facts.md` 5.2).
async fn list(clients: &Clients, zone: &ZoneId, only: Option<&DomainName>) -> Result<Vec<RecordSet>, CloudError> {
    let mut found = Vec::new();
    let mut pages = Pages::new("route53 ListResourceRecordSets");
    let mut start: (Option<String>, Option<RrType>, Option<String>) = (only.map(DomainName::absolute), None, None);
    loop {
        let request = clients
            .route53
            .list_resource_record_sets()
            .hosted_zone_id(zone.as_str());
        let request = request.max_items(PAGE);
        let request = request.set_start_record_name(start.0).set_start_record_type(start.1);
        let answer = call(pages.operation(), request.set_start_record_identifier(start.2).send()).await?;
        for described in answer.resource_record_sets() {
            let set = record_set(zone, described);
            // The list begins at the first name that is not before the wanted one, and goes on behind it.
            if only.is_some_and(|only| set.as_ref().is_none_or(|set| set.name != *only)) {
                return Ok(found);
            }
            found.extend(set);
        }
        if !answer.is_truncated() {
            return Ok(found);
        }
        start = (
            answer.next_record_name().map(str::to_owned),
            answer.next_record_type().cloned(),
            answer.next_record_identifier().map(str::to_owned),
        );
        let place = format!(
            "{} {} {}",
            answer.next_record_name().unwrap_or_default(),
            answer.next_record_type().map(RrType::as_str).unwrap_or_default(),
            answer.next_record_identifier().unwrap_or_default()
        );
        if !pages.advance(Some(place.trim()))? {
            return Err(unexpected(pages.operation(), "the list goes on, but not where"));
        }
    }
}

/// A record set as it is stored; `None` for names that no site and no validation record can have.
fn record_set(zone: &ZoneId, set: &ResourceRecordSet) -> Option<RecordSet> {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let alias = set.alias_target().map(|alias| StoredAlias {
        name: alias.dns_name().to_owned(),
        zone: alias.hosted_zone_id().to_owned(),
        evaluate_target_health: alias.evaluate_target_health(),
    });
    let mut values: Vec<String> = set
        .resource_records()
        .iter()
        .map(|record| record.value().to_owned())
        .collect();
    values.sort();
    Some(RecordSet {
        zone: zone.clone(),
        name: set.name().parse().ok()?,
        record_type: set.r#type().as_str().to_owned(),
        ttl: set
            .ttl()
            .filter(|_| alias.is_none())
            .and_then(|ttl| ttl.try_into().ok()),
        values,
        alias,
        set_identifier: text(set.set_identifier()),
        traffic_policy_instance: text(set.traffic_policy_instance_id()),
    })
}

/// Whether a change has reached all of Route 53's servers. Old changes are forgotten (`aws-facts.md` 5.4).
pub(crate) async fn is_in_sync(clients: &Clients, change: &str) -> Result<bool, CloudError> {
    let request = clients.route53.get_change().id(change);
    let answer = call("route53 GetChange", request.send()).await.or_missing()?;
    Ok(answer.is_none_or(|answer| {
        answer
            .change_info()
            .is_some_and(|change| *change.status() == ChangeStatus::Insync)
    }))
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::types::{AliasTarget, HostedZoneConfig, ResourceRecord, builders::ResourceRecordSetBuilder};
    use reconcile_core::resource::Address;

    use super::*;

    fn query(names: &[&str], zones: &[&str]) -> Query {
        Query {
            stack: serde_json::from_str("\"www\"").unwrap(),
            name_prefix: "www-".into(),
            instances: BTreeSet::new(),
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            zones: zones.iter().map(|zone| zone.parse().unwrap()).collect(),
            certificates: BTreeSet::new(),
            recorded: BTreeMap::new(),
            adopted: BTreeSet::new(),
            details: reconcile_core::observed::Details::default(),
        }
    }

    fn described_zone(name: &str) -> Option<Listed> {
        let zone = DescribedZone::builder().id("/hostedzone/Z1").name(name);
        let config = HostedZoneConfig::builder().private_zone(true).build();
        listed(&zone.caller_reference("r").config(config).build().unwrap())
    }

    #[test]
    fn zones_are_chosen_by_whole_labels_or_outright() {
        let zone = described_zone("Example.com.").unwrap().zone;
        assert_eq!((zone.id.as_str(), zone.name.as_str()), ("Z1", "example.com"));
        assert!(zone.private);
        assert!(is_relevant(&zone, &query(&["www.example.com"], &[])));
        assert!(!is_relevant(&zone, &query(&["www.badexample.com"], &[])));
        assert!(is_relevant(&zone, &query(&[], &["Z1"])));
        assert_eq!(described_zone("internal."), None);
    }

    #[test]
    fn in_a_large_zone_the_names_that_matter_are_looked_at() {
        let zone = described_zone("example.com.").unwrap().zone;
        let mut query = query(&["a.www.example.com", "www.example.org"], &[]);
        query.recorded = BTreeMap::from([
            (
                Address::new(Kind::ValidationRecord, "www.example.com"),
                BTreeSet::from(["Z1/_k.www.example.com/CNAME".to_owned()]),
            ),
            (
                Address::new(Kind::AliasRecord, "b.example.com"),
                BTreeSet::from(["Z1/b.example.com".to_owned(), "Z2/b.example.com".to_owned()]),
            ),
        ]);
        let names: Vec<String> = names_in(&zone, &query).iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "_k.www.example.com",
                "a.www.example.com",
                "b.example.com",
                "example.com",
                "www.example.com",
            ]
        );
    }

    fn set(name: &str, record_type: &str) -> ResourceRecordSetBuilder {
        ResourceRecordSet::builder()
            .name(name)
            .r#type(RrType::from(record_type))
    }

    fn value(text: &str) -> ResourceRecord {
        ResourceRecord::builder().value(text).build().unwrap()
    }

    #[test]
    fn record_sets_are_read_as_they_are_stored() {
        let zone: ZoneId = "Z1".parse().unwrap();
        let simple = set("\\052.example.com.", "A").ttl(300);
        let simple = simple
            .resource_records(value("192.0.2.2"))
            .resource_records(value("192.0.2.1"));
        let read = record_set(&zone, &simple.set_identifier("").build().unwrap()).unwrap();
        assert_eq!(read.name.as_str(), "*.example.com");
        assert_eq!((read.ttl, read.set_identifier), (Some(300), None));
        assert_eq!(read.values, ["192.0.2.1", "192.0.2.2"]);
        let target = AliasTarget::builder().dns_name("dualstack.lb.example.net.");
        let target = target
            .hosted_zone_id("Z9")
            .evaluate_target_health(true)
            .build()
            .unwrap();
        let alias = set("www.example.com.", "A").alias_target(target).set_identifier("blue");
        let read = record_set(&zone, &alias.build().unwrap()).unwrap();
        assert_eq!(read.alias.unwrap().name, "dualstack.lb.example.net.");
        assert_eq!(
            (read.ttl, read.values, read.set_identifier),
            (None, Vec::new(), Some("blue".into()))
        );
        let strange = set("a\\040b.example.com.", "TXT").build().unwrap();
        assert_eq!(record_set(&zone, &strange), None);
    }
}
