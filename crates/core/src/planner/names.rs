//! What stands in DNS at the sites' names, and what may be done about it (`aws-facts.md` 1.4, 5.3).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{Refusal, addresses::load_balancer_address, matching};
use crate::{
    config::{Config, Site, SiteName},
    naming,
    observed::{Instance, Observed, RecordSet, StoredAlias},
    resource::{Address, AliasRecord, AliasTarget, Kind, Output, RecordData, RecordType},
    state::State,
    value::{DomainName, ZoneId},
};

/// How many CNAME records are followed inside the observed zones.
const MAX_CNAMES: usize = 5;
/// Certificate authority names that stand for Amazon in CAA records (`aws-facts.md` 1.4).
const AMAZON_AUTHORITIES: [&str; 4] = ["amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"];

fn record_sets<'a>(
    observed: &'a Observed,
    zone: &'a ZoneId,
    name: &'a DomainName,
) -> impl Iterator<Item = &'a RecordSet> {
    observed
        .record_sets
        .iter()
        .filter(move |set| set.zone == *zone && set.name == *name)
}

fn address_type(record_type: &str) -> Option<RecordType> {
    [RecordType::A, RecordType::Aaaa, RecordType::Cname]
        .into_iter()
        .find(|candidate| candidate.as_str() == record_type)
}

/// The address records at a name; `None` if there are none.
pub(super) fn at(observed: &Observed, zone: &ZoneId, name: &DomainName) -> Option<AliasRecord> {
    let records: BTreeMap<RecordType, RecordData> = record_sets(observed, zone, name)
        .filter_map(|set| {
            let data = RecordData {
                ttl: set.ttl,
                values: set.values.clone(),
                alias: set.alias.as_ref().map(StoredAlias::target),
            };
            Some((address_type(&set.record_type)?, data))
        })
        .collect();
    (!records.is_empty()).then(|| AliasRecord {
        zone: zone.clone(),
        name: name.clone(),
        records,
    })
}

/// The value of the CNAME record at a name.
pub(super) fn cname(observed: &Observed, zone: &ZoneId, name: &DomainName) -> Option<DomainName> {
    record_sets(observed, zone, name)
        .find(|set| set.record_type == "CNAME")
        .and_then(|set| set.values.first())
        .and_then(|value| value.parse().ok())
}

/// The public addresses of a site's instances.
pub(crate) fn site_addresses(site: &Site, observed: &Observed) -> BTreeSet<IpAddr> {
    site.instances
        .iter()
        .filter_map(|id| observed.instances.get(id))
        .flat_map(Instance::public_addresses)
        .collect()
}

/// Whether a record leads to nothing but `addresses`.
pub(super) fn leads_to(
    data: &RecordData,
    record_type: RecordType,
    observed: &Observed,
    addresses: &BTreeSet<IpAddr>,
) -> bool {
    if data.alias.is_some() || data.values.is_empty() {
        return false;
    }
    match record_type {
        RecordType::A | RecordType::Aaaa => data.values.iter().all(|value| {
            value
                .parse::<IpAddr>()
                .is_ok_and(|address| addresses.contains(&address))
        }),
        RecordType::Cname => data
            .values
            .iter()
            .all(|value| name_leads_to(value, observed, addresses, MAX_CNAMES)),
    }
}

fn name_leads_to(value: &str, observed: &Observed, addresses: &BTreeSet<IpAddr>, depth: usize) -> bool {
    let Ok(name) = value.parse::<DomainName>() else {
        return false;
    };
    // The public DNS name of an instance holds its address, as in ec2-203-0-113-10.compute-1.amazonaws.com.
    if name.as_str().ends_with(".amazonaws.com") || name.as_str().ends_with(".amazonaws.com.cn") {
        let first = name.as_str().split('.').next().unwrap_or_default();
        let dashed = first.strip_prefix("ec2-").unwrap_or_default().replace('-', ".");
        return dashed
            .parse::<IpAddr>()
            .is_ok_and(|address| addresses.contains(&address));
    }
    let mut sets = observed.record_sets.iter().filter(|set| set.name == name).peekable();
    depth > 0
        && sets.peek().is_some()
        && sets
            .filter_map(|set| Some((set, address_type(&set.record_type)?)))
            .all(|(set, record_type)| {
                set.alias.is_none()
                    && set.set_identifier.is_none()
                    && set.values.iter().all(|value| match record_type {
                        RecordType::Cname => name_leads_to(value, observed, addresses, depth - 1),
                        RecordType::A | RecordType::Aaaa => value
                            .parse::<IpAddr>()
                            .is_ok_and(|address| addresses.contains(&address)),
                    })
            })
}

/// Why the records at a name may not be changed at all, whoever made them.
pub(super) fn irregular(
    observed: &Observed,
    site_name: &SiteName,
    zone: &ZoneId,
    name: &DomainName,
) -> Option<Refusal> {
    let set = record_sets(observed, zone, name)
        .filter(|set| address_type(&set.record_type).is_some())
        .find(|set| set.set_identifier.is_some() || set.traffic_policy_instance.is_some())?;
    let subject = format!("site {site_name}");
    Some(if set.traffic_policy_instance.is_some() {
        Refusal::new(
            subject,
            format!(
                "the {} record at `{name}` was made by a traffic policy",
                set.record_type
            ),
            "delete the traffic policy record in the Route 53 console and put a simple record in its place",
        )
    } else {
        Refusal::new(
            subject,
            format!(
                "the {} record at `{name}` is one of several with a routing policy (set identifier `{}`)",
                set.record_type,
                set.set_identifier.as_deref().unwrap_or_default()
            ),
            "Route 53 does not mix them with a simple record: replace them by one simple record first",
        )
    })
}

/// Why records that are not known to be the stack's may not be taken over: they lead somewhere else than to the site's
/// instances.
pub(super) fn foreign(
    site_name: &SiteName,
    site: &Site,
    observed: &Observed,
    standing: &AliasRecord,
) -> Option<Refusal> {
    let addresses = site_addresses(site, observed);
    let (record_type, data) = standing
        .records
        .iter()
        .find(|(record_type, data)| !leads_to(data, **record_type, observed, &addresses))?;
    let value = match &data.alias {
        Some(alias) => format!("alias to {}", alias.name),
        None => data.values.join(", "),
    };
    let instances: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    Some(Refusal::new(
        format!("site {site_name}"),
        format!(
            "the {} record at `{}` leads elsewhere than to the site's instances: {value}; theirs: {}",
            record_type.as_str(),
            standing.name,
            if instances.is_empty() {
                "no public address".to_owned()
            } else {
                instances.join(", ")
            }
        ),
        if data.alias.as_ref().is_some_and(is_load_balancer) {
            format!(
                "to keep that load balancer, have the stack take it over: set `adopt` to its ARN, and to those of its target \
                 group and certificate and the id of its security group. To move visitors away from it, set \
                 `adopt = [\"{name}\"]` or run `reconcile import alias_record {name}`",
                name = standing.name
            )
        } else {
            format!(
                "check that `domain` and `instance` belong together; then point the record at the instance, or delete it, \
                 and run again. To have it moved as it is, set `adopt = [\"{name}\"]` or run \
                 `reconcile import alias_record {name}`",
                name = standing.name
            )
        },
    ))
}

/// Whether an alias leads to a load balancer, whose names are `NAME-NUMBER.REGION.elb.amazonaws.com` (`aws-facts.md` 3).
fn is_load_balancer(alias: &AliasTarget) -> bool {
    let name = alias.name.known().unwrap_or_default();
    name.contains(".elb.amazonaws.com")
}

/// Why a name may not leave the configuration yet: its record leads visitors to the load balancer still, which would not
/// know what to do with them.
pub(super) fn still_used(config: &Config, observed: &Observed, state: &State, address: &Address) -> Option<Refusal> {
    let name: DomainName = address.key().parse().ok()?;
    let alias = observed
        .record_sets
        .iter()
        .filter(|set| set.name == name && address_type(&set.record_type).is_some())
        .find_map(|set| set.alias.as_ref())?;
    is_stacks_load_balancer(config, observed, state, &StoredAlias::normal_name(&alias.name)).then(|| {
        Refusal::new(
            address.to_string(),
            "the name left the configuration, and its record still leads visitors to the load balancer, which would not \
             know the name any more",
            "take the name back and run `reconcile rollback`, or point the record elsewhere or delete it; then remove \
             the name",
        )
    })
}

/// Whether a DNS name is that of a load balancer of the stack, one that is on its way out included.
pub(super) fn is_stacks_load_balancer(config: &Config, observed: &Observed, state: &State, dns_name: &str) -> bool {
    let current = matching::standing(config, observed, state, &load_balancer_address());
    let retired = state
        .retired
        .iter()
        .filter_map(|retired| observed.object(Kind::LoadBalancer, &retired.id));
    // A state that was lost in the middle of a replacement knows only one of the two.
    let tagged = observed.found.iter().filter(|actual| {
        actual.spec.kind() == Kind::LoadBalancer
            && naming::is_owned(&actual.tags, &config.name, &load_balancer_address())
    });
    current
        .into_iter()
        .chain(retired)
        .chain(tagged)
        .any(|actual| actual.outputs.get(&Output::DnsName).map(String::as_str) == Some(dns_name))
}

/// Whether records lead to a load balancer of the stack.
pub(super) fn lead_to_stack(config: &Config, observed: &Observed, state: &State, standing: &AliasRecord) -> bool {
    standing
        .records
        .values()
        .filter_map(|data| data.alias.as_ref()?.name.known().ok())
        .any(|target| is_stacks_load_balancer(config, observed, state, &StoredAlias::normal_name(target)))
}

/// The site that a name belongs to.
pub(super) fn site_of<'a>(config: &'a Config, name: &DomainName) -> Option<(&'a SiteName, &'a Site)> {
    config
        .sites
        .iter()
        .find(|(_, site)| site.names().any(|candidate| candidate == name))
}

/// The names for which a CAA record in the zone forbids Amazon to issue a certificate.
///
/// The lookup climbs from the name and stops at the first set of CAA records (`aws-facts.md` 1.4).
pub(super) fn certificate_authority_refusals(
    site: &Site,
    observed: &Observed,
    zones: &BTreeMap<DomainName, ZoneId>,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for name in site.names() {
        let Some(zone) = zones.get(name) else { continue };
        let base = name.without_wildcard();
        let mut candidate = Some(base.as_str());
        while let Some(text) = candidate {
            let set = observed
                .record_sets
                .iter()
                .find(|set| set.zone == *zone && set.record_type == "CAA" && set.name.as_str() == text);
            if let Some(set) = set {
                if !allows_amazon(&set.values, name.is_wildcard()) {
                    refusals.push(Refusal::new(
                        name.as_str(),
                        format!(
                            "the CAA record at `{}` forbids Amazon to issue a certificate: {}",
                            set.name,
                            set.values.join(", ")
                        ),
                        "add `0 issue \"amazon.com\"` to it (`issuewild` for a wildcard)",
                    ));
                }
                break;
            }
            candidate = text.split_once('.').map(|(_, parent)| parent);
        }
    }
    refusals
}

/// Whether a set of CAA records lets Amazon issue; a wildcard looks at `issuewild` first.
pub(crate) fn allows_amazon(values: &[String], wildcard: bool) -> bool {
    let authorities = |tag: &str| -> Vec<String> {
        values
            .iter()
            .filter_map(|value| {
                let mut parts = value.splitn(3, ' ');
                let (_, found, authority) = (parts.next()?, parts.next()?, parts.next()?);
                let authority = authority.trim_matches('"').split(';').next().unwrap_or_default().trim();
                found.eq_ignore_ascii_case(tag).then(|| authority.to_ascii_lowercase())
            })
            .collect()
    };
    let wild = authorities("issuewild");
    let relevant = if wildcard && !wild.is_empty() {
        wild
    } else {
        authorities("issue")
    };
    relevant.is_empty()
        || relevant
            .iter()
            .any(|authority| AMAZON_AUTHORITIES.contains(&authority.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caa_records_allow_amazon_or_nobody_in_particular() {
        let allows = |values: &[&str], wildcard| {
            allows_amazon(
                &values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>(),
                wildcard,
            )
        };
        assert!(allows(
            &["0 issue \"amazon.com\"", "0 issue \"letsencrypt.org\""],
            false
        ));
        assert!(!allows(&["0 issue \"letsencrypt.org\""], false));
        assert!(allows(&["0 iodef \"mailto:a@example.com\""], false));
        assert!(!allows(&["0 issue \";\""], false));
        assert!(!allows(&["0 issue \"amazon.com\"", "0 issuewild \";\""], true));
        assert!(allows(&["0 issue \"amazonaws.com; policy=ev\""], true));
    }
}
