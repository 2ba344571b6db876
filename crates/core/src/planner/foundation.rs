//! What the configuration leaves open and the observed world decides: VPC, subnets, zones, groups, security policy.

mod subnets;

use std::collections::{BTreeMap, BTreeSet};

use super::{Refusal, Refused, names};
use crate::{
    config::{CertificateSource, Config, Site, SiteName, defaults},
    observed::{Instance, Interface, Observed, Status},
    resource::{Address, Kind, Peer, Spec},
    state::State,
    value::{CertificateArn, DomainName, InstanceId, SecurityGroupId, SubnetId, VpcId, ZoneId},
};

/// Security policies to fall back to where a region does not have the recommended one, best first (`aws-facts.md` 4.2).
const FALLBACK_POLICIES: [&str; 3] = [
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS-1-2-2017-01",
];

/// The most sites: a listener has a default certificate and 25 more (`aws-facts.md` 3, quotas).
const MAX_SITES: usize = 26;

/// The choices.
#[derive(Debug)]
pub(super) struct Foundation {
    /// The VPC of the instances and so of everything else.
    pub(super) vpc: VpcId,
    /// The subnets of the load balancer.
    pub(super) subnets: BTreeSet<SubnetId>,
    /// The zone of each name.
    pub(super) zones: BTreeMap<DomainName, ZoneId>,
    /// The group of each instance that admits the load balancer.
    pub(super) ingress_groups: BTreeMap<InstanceId, SecurityGroupId>,
    /// The security policy of HTTPS listeners.
    pub(super) tls_policy: String,
}

/// Chooses, or refuses with every reason at once.
pub(super) fn choose(config: &Config, observed: &Observed, state: &State) -> Result<Foundation, Refused> {
    let mut refusals = Vec::new();
    refuse_too_many(config, &mut refusals);
    let instances = running_instances(config, observed, &mut refusals);
    let vpc = one_vpc(&instances, &mut refusals);
    let subnets = vpc
        .as_ref()
        .and_then(|vpc| subnets::choose(config, observed, state, vpc, &instances, &mut refusals));
    let zones = choose_zones(config, observed, &mut refusals);
    let tls_policy = choose_policy(config, observed, &mut refusals);
    for (site_name, site) in &config.sites {
        check_certificate(site_name, site, observed, state, &zones, &mut refusals);
    }
    let ingress_groups = instances
        .iter()
        .filter_map(|(id, instance)| Some(((*id).clone(), ingress_group(config, observed, state, id, instance)?)))
        .collect();
    match (vpc, subnets, tls_policy) {
        (Some(vpc), Some(subnets), Some(tls_policy)) if refusals.is_empty() => Ok(Foundation {
            vpc,
            subnets,
            zones,
            ingress_groups,
            tls_policy,
        }),
        _ => {
            refusals.sort();
            refusals.dedup();
            Err(Refused { refusals })
        }
    }
}

/// What one load balancer cannot carry (`aws-facts.md` 3, quotas).
fn refuse_too_many(config: &Config, refusals: &mut Vec<Refusal>) {
    let sites = config.sites.len();
    if sites > MAX_SITES {
        refusals.push(Refusal::new(
            config.name.as_str(),
            format!("the configuration has {sites} sites; a load balancer takes {MAX_SITES} certificates"),
            "make a second stack for some of them, with a `name` of its own",
        ));
    }
}

fn running_instances<'a>(
    config: &'a Config,
    observed: &'a Observed,
    refusals: &mut Vec<Refusal>,
) -> BTreeMap<&'a InstanceId, &'a Instance> {
    let mut running = BTreeMap::new();
    for (site_name, id) in config
        .sites
        .iter()
        .flat_map(|(name, site)| site.instances.iter().map(move |id| (name, id)))
    {
        let subject = format!("site {site_name}");
        let Some(instance) = observed.instances.get(id) else {
            refusals.push(Refusal::new(
                subject,
                format!(
                    "there is no instance `{id}` in account {} in {}",
                    observed.identity.account, observed.identity.region
                ),
                "check `instance`, `region` and whose credentials are used",
            ));
            continue;
        };
        if instance.state == "running" {
            running.insert(id, instance);
        } else {
            refusals.push(Refusal::new(
                subject,
                format!("the instance `{id}` is {}, not running", instance.state),
                "start it: a load balancer takes running instances only",
            ));
        }
        if instance.security_groups.is_empty() {
            refusals.push(Refusal::new(
                id.as_str(),
                "the primary network interface has no security group",
                "attach one that admits the site's visitors",
            ));
        }
    }
    running
}

fn one_vpc(instances: &BTreeMap<&InstanceId, &Instance>, refusals: &mut Vec<Refusal>) -> Option<VpcId> {
    let vpcs: BTreeSet<&VpcId> = instances.values().map(|instance| &instance.vpc).collect();
    let mut vpcs = vpcs.into_iter();
    let first = vpcs.next()?;
    if vpcs.next().is_some() {
        refusals.push(Refusal::new(
            "instances",
            "the instances are in several VPCs",
            "a target group takes the instances of one VPC: use a stack for each VPC",
        ));
        return None;
    }
    Some(first.clone())
}

/// The public zone with the longest matching name (`aws-facts.md` 5.1).
pub(crate) fn choose_zones(
    config: &Config,
    observed: &Observed,
    refusals: &mut Vec<Refusal>,
) -> BTreeMap<DomainName, ZoneId> {
    let mut zones = BTreeMap::new();
    for (site_name, site) in &config.sites {
        for name in site.names() {
            let candidates: Vec<_> = observed
                .zones
                .iter()
                .filter(|zone| !zone.private && name.is_within(&zone.name))
                .filter(|zone| site.zone.as_ref().is_none_or(|wanted| *wanted == zone.id))
                .collect();
            let longest = candidates
                .iter()
                .map(|zone| zone.name.labels())
                .max()
                .unwrap_or_default();
            let best: Vec<_> = candidates
                .into_iter()
                .filter(|zone| zone.name.labels() == longest)
                .collect();
            match best.as_slice() {
                [zone] => {
                    if let Some(service) = &zone.linked_service {
                        refusals.push(Refusal::new(
                            zone.id.as_str(),
                            format!(
                                "the hosted zone `{}` is managed by {service}, which forbids changes",
                                zone.name
                            ),
                            "use a hosted zone of your own",
                        ));
                    }
                    zones.insert(name.clone(), zone.id.clone());
                }
                [] => refusals.push(Refusal::new(
                    format!("site {site_name}"),
                    match &site.zone {
                        Some(zone) => format!("the hosted zone `{zone}` is not a public one that can hold `{name}`"),
                        None => format!("no public hosted zone of this account can hold `{name}`"),
                    },
                    "create the hosted zone and delegate the name to it, or correct `domain`, `aliases` or `zone`; if another \
                     account has it, set `dns.role` or `dns.profile`; without it the certificate could never be issued",
                )),
                several => {
                    let ids: Vec<&str> = several.iter().map(|zone| zone.id.as_str()).collect();
                    refusals.push(Refusal::new(
                        format!("site {site_name}"),
                        format!(
                            "several public hosted zones are named `{}`: {}",
                            several[0].name,
                            ids.join(", ")
                        ),
                        "set `zone` to the one that the registrar delegates to",
                    ));
                }
            }
        }
    }
    zones
}

fn choose_policy(config: &Config, observed: &Observed, refusals: &mut Vec<Refusal>) -> Option<String> {
    let wanted = &config.load_balancer.tls_policy;
    if observed.tls_policies.contains(wanted) {
        return Some(wanted.clone());
    }
    if wanted == defaults::TLS_POLICY
        && let Some(fallback) = FALLBACK_POLICIES
            .into_iter()
            .find(|policy| observed.tls_policies.contains(*policy))
    {
        return Some(fallback.to_owned());
    }
    let modern: Vec<&str> = observed
        .tls_policies
        .iter()
        .map(String::as_str)
        .filter(|policy| policy.contains("TLS13-1-2"))
        .collect();
    refusals.push(Refusal::new(
        "load_balancer.tls_policy",
        format!("{} has no security policy `{wanted}`", observed.identity.region),
        if modern.is_empty() {
            "set `load_balancer.tls_policy` to one that DescribeSSLPolicies lists".to_owned()
        } else {
            format!("set it to one of {}", modern.join(", "))
        },
    ));
    None
}

fn check_certificate(
    site_name: &SiteName,
    site: &Site,
    observed: &Observed,
    state: &State,
    zones: &BTreeMap<DomainName, ZoneId>,
    refusals: &mut Vec<Refusal>,
) {
    match &site.certificate {
        CertificateSource::Existing(arn) => check_existing(site_name, site, arn, observed, refusals),
        CertificateSource::Requested { .. } => {
            // Only a request that is still to be made can be saved from failing.
            if state.id(&Address::new(Kind::Certificate, site_name.as_str())).is_none() {
                refusals.extend(names::certificate_authority_refusals(site, observed, zones));
            }
        }
    }
}

fn check_existing(
    site_name: &SiteName,
    site: &Site,
    arn: &CertificateArn,
    observed: &Observed,
    refusals: &mut Vec<Refusal>,
) {
    let subject = format!("site {site_name}");
    if arn.region() != observed.identity.region.as_str() {
        refusals.push(Refusal::new(
            subject,
            format!(
                "the certificate is in {}, the load balancer in {}",
                arn.region(),
                observed.identity.region
            ),
            "a load balancer can use certificates of its own region only: name one of it, or leave `certificate` out",
        ));
        return;
    }
    match observed.by_id(arn.as_str()) {
        Some(actual) => {
            if let (Spec::Certificate(certificate), Status::Certificate { state, .. }) = (&actual.spec, &actual.status)
            {
                if state != "ISSUED" {
                    refusals.push(Refusal::new(
                        subject.clone(),
                        format!("the certificate `{arn}` is {state}, not ISSUED"),
                        "name a certificate that is issued, or leave `certificate` out to have one requested",
                    ));
                }
                let uncovered: Vec<&str> = site
                    .names()
                    .filter(|name| !certificate.names.iter().any(|covering| covering.covers(name)))
                    .map(DomainName::as_str)
                    .collect();
                if !uncovered.is_empty() {
                    refusals.push(Refusal::new(
                        subject,
                        format!("the certificate `{arn}` does not cover {}", uncovered.join(", ")),
                        "name a certificate for all of the site's names, or leave `certificate` out",
                    ));
                }
            }
        }
        None => refusals.push(Refusal::new(
            subject,
            format!("there is no certificate `{arn}`"),
            "correct `certificate`, or leave it out to have one requested",
        )),
    }
}

/// The group that gets the rule for the load balancer: one that has it already, else one that is the instance's alone,
/// else one that serves the web today; by id among equals, so that every run chooses alike.
fn ingress_group(
    config: &Config,
    observed: &Observed,
    state: &State,
    id: &InstanceId,
    instance: &Instance,
) -> Option<SecurityGroupId> {
    let ports: BTreeSet<u16> = config
        .sites
        .values()
        .filter(|site| site.instances.contains(id))
        .flat_map(super::desired::backend_ports)
        .collect();
    let load_balancer_group = state.id(&super::addresses::security_group_address());
    instance
        .security_groups
        .iter()
        .min_by_key(|group| {
            let rules = || {
                observed
                    .security_groups
                    .get(*group)
                    .into_iter()
                    .flat_map(|facts| facts.ingress.values())
            };
            let has_ours = rules().any(|rule| {
                matches!(&rule.rule.peer, Peer::Group(peer) if Some(peer.as_str()) == load_balancer_group)
                    || rule
                        .tags
                        .get(crate::naming::STACK_TAG)
                        .is_some_and(|stack| stack == config.name.as_str())
            });
            let is_shared = is_shared(observed, group, &BTreeSet::from([id]));
            let serves =
                rules().any(|rule| rule.rule.is_world_open() && ports.iter().any(|port| rule.rule.admits_tcp(*port)));
            (!has_ours, is_shared, !serves, (*group).clone())
        })
        .cloned()
}

/// Whether a network interface of something else than `instances` carries the group (`aws-facts.md` 6.3), as far as can be
/// told: a list without the instances' own interfaces is not the whole one.
pub(super) fn is_shared(observed: &Observed, group: &SecurityGroupId, instances: &BTreeSet<&InstanceId>) -> bool {
    let is_theirs = |interface: &Interface| {
        interface
            .instance
            .as_ref()
            .is_some_and(|instance| instances.contains(instance))
    };
    let carriers = || {
        observed
            .interfaces
            .iter()
            .filter(|interface| interface.security_groups.contains(group))
    };
    !carriers().any(is_theirs) || !carriers().all(is_theirs)
}
