//! The listeners with what tells several sites apart: certificates by server name, rules by host name.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        addresses::{
            certificate_address, listener_address, listener_certificate_address, listener_rule_address,
            load_balancer_address, record_address, target_group_address,
        },
        foundation::Foundation,
        matching,
    },
    Builder,
};
use crate::{
    config::{CertificateSource, Config, HttpMode, Protocol, Site, SiteName, defaults},
    naming,
    observed::Observed,
    resource::{Address, DefaultAction, Kind, Listener, ListenerCertificate, ListenerRule, Ref, Spec},
    state::State,
    value::DomainName,
};

/// What visitors get who ask for a name that none of several sites has.
const NO_SUCH_SITE: &str = "404 text/plain: no site here has this name";
/// The most values in the conditions of one rule (`aws-facts.md` 3, quotas).
const MAX_RULE_VALUES: usize = 5;
/// The most rules of a load balancer (`aws-facts.md` 3, quotas).
const MAX_RULES: usize = 100;
/// The key of the attribute that makes browsers come by HTTPS only (`aws-facts.md` 4.4).
const HSTS: &str = "routing.http.response.strict_transport_security.header_value";

/// Where the priorities of a rule may lie. Exact names come before wildcards, and wildcards with more labels before those
/// with fewer: the first rule that matches takes the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Band {
    first: u16,
    last: u16,
}

impl Band {
    const EXACT: Self = Self {
        first: 1_000,
        last: 29_999,
    };
    const WILDCARD_SIZE: u16 = 500;
    const MOST_LABELS: u16 = 40;

    fn of(host: &DomainName) -> Self {
        if !host.is_wildcard() {
            return Self::EXACT;
        }
        let labels = u16::try_from(host.labels()).unwrap_or(u16::MAX).min(Self::MOST_LABELS);
        let first = Self::EXACT.last + 1 + (Self::MOST_LABELS - labels) * Self::WILDCARD_SIZE;
        Self {
            first,
            last: first + Self::WILDCARD_SIZE - 1,
        }
    }

    fn holds(self, priority: u16) -> bool {
        (self.first..=self.last).contains(&priority)
    }
}

/// Whether visitors of every name came to the load balancer before this run.
fn visitors_have_moved(config: &Config, observed: &Observed, state: &State) -> bool {
    let leads_there = |name: &DomainName| {
        observed
            .record_sets
            .iter()
            .any(|set| set.name == *name && set.alias.is_some())
    };
    config.sites.values().flat_map(Site::names).all(|name| {
        leads_there(name)
            && state
                .cutovers
                .get(&record_address(name))
                .is_some_and(|cutover| cutover.in_sync_at.is_some())
    })
}

/// Whether the header that cannot be taken back waits for a later run (`aws-facts.md` 4.4).
pub(in super::super) fn hsts_waits(config: &Config, observed: &Observed, state: &State) -> bool {
    config.load_balancer.hsts.is_some() && !visitors_have_moved(config, observed, state)
}

/// The sites by the port that they listen on.
fn by_port(config: &Config) -> BTreeMap<u16, Vec<(&SiteName, &Site)>> {
    let mut ports: BTreeMap<u16, Vec<_>> = BTreeMap::new();
    for (name, site) in &config.sites {
        ports.entry(site.listen_port).or_default().push((name, site));
    }
    ports
}

/// The certificate of a site.
fn certificate(name: &SiteName, site: &Site) -> Ref {
    match &site.certificate {
        CertificateSource::Existing(arn) => Ref::Known(arn.to_string()),
        CertificateSource::Requested { .. } => Ref::id_of(&certificate_address(name)),
    }
}

/// Adds every listener with its certificates and rules.
pub(super) fn add(
    config: &Config,
    foundation: &Foundation,
    observed: &Observed,
    state: &State,
    builder: &mut Builder<'_>,
) {
    if config.load_balancer.http == HttpMode::Redirect {
        redirect(config, builder);
    }
    let mut attributes = config.load_balancer.listener_attributes.clone();
    if let Some(hsts) = &config.load_balancer.hsts
        && !hsts_waits(config, observed, state)
    {
        attributes.insert(HSTS.to_owned(), hsts.clone());
    }
    for (port, sites) in by_port(config) {
        let several = sites.len() > 1;
        let Some((default_name, default_site)) = default_site(config, observed, state, port, &sites) else {
            continue;
        };
        let listener = listener_address(port);
        builder.add(listener.clone(), |tags| {
            Spec::Listener(Listener {
                load_balancer: Ref::id_of(&load_balancer_address()),
                port,
                protocol: Protocol::Https,
                tls_policy: Some(foundation.tls_policy.clone()),
                certificate: Some(certificate(default_name, default_site)),
                default_action: if several {
                    DefaultAction::FixedResponse
                } else {
                    DefaultAction::Forward
                },
                target_group: (!several).then(|| Ref::id_of(&target_group_address(default_name))),
                redirect_to: None,
                fixed_response: several.then(|| NO_SUCH_SITE.to_owned()),
                attributes: attributes.clone(),
                tags,
            })
        });
        if !several {
            continue;
        }
        for (name, site) in sites.iter().filter(|(name, _)| *name != default_name) {
            builder.add(listener_certificate_address(port, name), |_| {
                Spec::ListenerCertificate(ListenerCertificate {
                    listener: Ref::id_of(&listener),
                    certificate: certificate(name, site),
                })
            });
        }
        rules(config, observed, state, port, &sites, builder);
    }
}

/// Port 80, which sends visitors to HTTPS. The configuration lets all sites listen on the same port then.
fn redirect(config: &Config, builder: &mut Builder<'_>) {
    let to = config
        .sites
        .values()
        .next()
        .map_or(defaults::LISTEN_PORT, |site| site.listen_port);
    builder.add(listener_address(defaults::HTTP_PORT), |tags| {
        Spec::Listener(Listener {
            load_balancer: Ref::id_of(&load_balancer_address()),
            port: defaults::HTTP_PORT,
            protocol: Protocol::Http,
            tls_policy: None,
            certificate: None,
            default_action: DefaultAction::Redirect,
            target_group: None,
            redirect_to: Some(Listener::redirect_to_https(to)),
            fixed_response: None,
            attributes: BTreeMap::new(),
            tags,
        })
    });
}

/// The site whose certificate is the listener's default one: it stays as long as the site is there, so that a site that
/// comes or goes changes nothing for the others.
fn default_site<'a>(
    config: &Config,
    observed: &Observed,
    state: &State,
    port: u16,
    sites: &[(&'a SiteName, &'a Site)],
) -> Option<(&'a SiteName, &'a Site)> {
    let standing = match matching::standing(config, observed, state, &listener_address(port)).map(|it| &it.spec) {
        Some(Spec::Listener(listener)) => listener.certificate.as_ref().and_then(|arn| arn.known().ok()),
        _ => None,
    };
    let has = |(name, site): &&(&SiteName, &Site)| match &site.certificate {
        CertificateSource::Existing(arn) => standing == Some(arn.as_str()),
        CertificateSource::Requested { .. } => {
            let address = certificate_address(name);
            let current = matching::standing(config, observed, state, &address).map(|actual| actual.id.as_str());
            let retired = |arn: &str| {
                state
                    .retired
                    .iter()
                    .any(|retired| retired.id == arn && retired.address == address)
            };
            standing.is_some_and(|arn| current == Some(arn) || retired(arn))
        }
    };
    sites.iter().find(has).or_else(|| sites.first()).copied()
}

/// The names of a site in the groups that share a rule, by the number of the rule. A name stays in the rule that it stands
/// in, so that no rule gives up one that another is only about to get; others fill what is free.
fn host_groups(site: &Site, standing: &BTreeMap<usize, BTreeSet<String>>) -> BTreeMap<usize, (Band, BTreeSet<String>)> {
    let mut left: BTreeMap<Band, BTreeSet<String>> = BTreeMap::new();
    for host in site.names() {
        left.entry(Band::of(host)).or_default().insert(host.to_string());
    }
    let mut groups: BTreeMap<usize, (Band, BTreeSet<String>)> = BTreeMap::new();
    for (index, hosts) in standing {
        for (band, names) in &mut left {
            let stay: BTreeSet<String> = names.intersection(hosts).take(MAX_RULE_VALUES).cloned().collect();
            if !stay.is_empty() && !groups.contains_key(index) {
                names.retain(|name| !stay.contains(name));
                groups.insert(*index, (*band, stay));
            }
        }
    }
    for (band, names) in left {
        for name in names {
            let room = groups
                .values_mut()
                .find(|(of, hosts)| *of == band && hosts.len() < MAX_RULE_VALUES);
            if let Some((_, hosts)) = room {
                hosts.insert(name);
            } else if let Some(index) =
                (0..MAX_RULES).find(|index| !groups.contains_key(index) && !standing.contains_key(index))
            {
                groups.insert(index, (band, [name].into()));
            }
        }
    }
    groups
}

/// One rule, or as many as it takes, for the names of each site. A rule that stands keeps its priority; a new one gets the
/// first that is free, also of rules that others made.
fn rules(
    config: &Config,
    observed: &Observed,
    state: &State,
    port: u16,
    sites: &[(&SiteName, &Site)],
    builder: &mut Builder<'_>,
) {
    let rule = |address: &Address| match matching::by_identity(config, observed, state, address) {
        Some(actual) => match &actual.spec {
            Spec::ListenerRule(rule) => Some((actual.id.as_str(), rule)),
            _ => None,
        },
        None => None,
    };
    let standing = |address: &Address| rule(address).map(|(id, rule)| (id, rule.priority));
    let tagged: BTreeSet<&String> = observed
        .found
        .iter()
        .filter_map(|actual| actual.tags.get(naming::RESOURCE_TAG))
        .collect();
    let hosts_of = |name: &SiteName| -> BTreeMap<usize, BTreeSet<String>> {
        (0..MAX_RULES)
            .map(|index| (index, listener_rule_address(port, name, index)))
            .filter(|(_, address)| state.resources.contains_key(address) || tagged.contains(&address.to_string()))
            .filter_map(|(index, address)| {
                let (_, rule) = rule(&address)?;
                Some((
                    index,
                    rule.conditions.get(ListenerRule::HOST).cloned().unwrap_or_default(),
                ))
            })
            .collect()
    };
    let wanted: Vec<(Address, &SiteName, Band, BTreeSet<String>)> = sites
        .iter()
        .flat_map(|(name, site)| {
            host_groups(site, &hosts_of(name))
                .into_iter()
                .map(|(index, (band, hosts))| (listener_rule_address(port, name, index), *name, band, hosts))
        })
        .collect();
    let mut kept: BTreeMap<Address, u16> = BTreeMap::new();
    let mut kept_ids: BTreeSet<&str> = BTreeSet::new();
    for (address, _, band, _) in &wanted {
        if let Some((id, priority)) = standing(address)
            && band.holds(priority)
            && !kept.values().any(|other| *other == priority)
        {
            kept.insert(address.clone(), priority);
            kept_ids.insert(id);
        }
    }
    let listener = matching::standing(config, observed, state, &listener_address(port)).map(|it| it.id.as_str());
    let mut used: BTreeSet<u16> = kept.values().copied().collect();
    used.extend(
        priorities_on(observed, listener).filter_map(|(id, priority)| (!kept_ids.contains(id)).then_some(priority)),
    );
    for (address, site, band, hosts) in wanted {
        let priority = kept.get(&address).copied().unwrap_or_else(|| {
            let free = (band.first..=band.last).find(|priority| !used.contains(priority));
            let priority = free.unwrap_or(band.last);
            used.insert(priority);
            priority
        });
        builder.add(address, |tags| {
            Spec::ListenerRule(ListenerRule {
                listener: Ref::id_of(&listener_address(port)),
                priority,
                conditions: BTreeMap::from([(ListenerRule::HOST.to_owned(), hosts.clone())]),
                action: DefaultAction::Forward,
                target_group: Some(Ref::id_of(&target_group_address(site))),
                tags,
            })
        });
    }
}

/// The rules that stand on a listener, whosever they are: id and priority.
pub(in super::super) fn priorities_on<'a>(
    observed: &'a Observed,
    listener: Option<&'a str>,
) -> impl Iterator<Item = (&'a str, u16)> {
    observed
        .found
        .iter()
        .filter(|actual| actual.spec.kind() == Kind::ListenerRule)
        .filter_map(move |actual| match &actual.spec {
            Spec::ListenerRule(rule) if rule.listener.known().ok() == listener => {
                Some((actual.id.as_str(), rule.priority))
            }
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_names_come_before_wildcards_and_longer_wildcards_before_shorter() {
        let band = |name: &str| Band::of(&name.parse().unwrap());
        assert!(band("www.example.com").last < band("*.shop.example.com").first);
        assert!(band("*.shop.example.com").last < band("*.example.com").first);
        assert!(band("*.example.com").last <= 50_000);
    }
}
