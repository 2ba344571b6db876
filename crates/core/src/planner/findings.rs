//! What the user should know and the plan does not change.

use std::collections::BTreeSet;

use super::{
    addresses::{certificate_address, listener_address, load_balancer_address, record_address, target_address},
    closures::groups,
    decide::{Decided, Decision},
    desired::{keeps_ipv6, listeners::hsts_waits},
    foreign,
    foundation::{Foundation, is_shared},
    live, names,
    waits::{moves_visitors, standing_ttl},
};
use crate::{
    config::{Config, HttpMode, IpAddressType, Scheme, Site, defaults},
    explain, naming,
    observed::{Observed, Status},
    plan::{Finding, Severity},
    resource::Spec,
    state::State,
    value::DomainName,
};

/// A time to live above this makes the move of visitors long (`aws-facts.md` 5.4).
const LONG_TTL: u32 = 300;
/// Prefixes of tags of other tools that may undo what is changed (`aws-facts.md` 6.3).
const FOREIGN_TOOLS: [(&str, &str); 3] = [
    ("aws:cloudformation:", "CloudFormation"),
    ("kubernetes.io/", "Kubernetes"),
    ("terraform", "Terraform"),
];

/// Everything worth saying, the most important first.
pub(super) fn findings(
    config: &Config,
    observed: &Observed,
    state: &State,
    foundation: &Foundation,
    decided: &Decided,
) -> Vec<Finding> {
    let mut findings = Findings { list: BTreeSet::new() };
    lockdown(config, observed, &mut findings);
    plain_http(config, observed, decided, &mut findings);
    dns(config, observed, foundation, decided, &mut findings);
    health(config, decided, &mut findings);
    foreign::targets(observed, decided, &mut findings);
    foreign::listener_rules(config, observed, decided, &mut findings);
    foreign::parts(observed, state, decided, &mut findings);
    choices(config, observed, state, decided, &mut findings);
    released(observed, state, decided, &mut findings);
    foreign::orphans(config, observed, state, decided, &mut findings);
    if decided
        .get(&load_balancer_address())
        .is_some_and(|item| item.decision == Decision::Create)
    {
        findings.note(
            "load_balancer.main",
            "a load balancer in two availability zones costs about 24 USD a month when idle (in us-east-1: 0.0225 USD an \
             hour, 0.005 USD an hour for each public IPv4 address), and more with traffic",
            "see the price of your region on the Elastic Load Balancing price page",
        );
    }
    if foundation.tls_policy != config.load_balancer.tls_policy {
        findings.note(
            "load_balancer.tls_policy",
            &format!(
                "{} does not have `{}`; `{}` is used instead",
                observed.identity.region, config.load_balancer.tls_policy, foundation.tls_policy
            ),
            "set `load_balancer.tls_policy` to the one you want",
        );
    }
    if config.load_balancer.ip_address_type == IpAddressType::Ipv4 {
        for cidr in config.load_balancer.allow_from.iter().filter(|cidr| !cidr.is_ipv4()) {
            findings.note(
                "load_balancer.allow_from",
                &format!("`{cidr}` has no effect: the load balancer has IPv4 addresses only"),
                "set `load_balancer.ip_address_type = \"dualstack\"`, or take the range out",
            );
        }
    }
    for subnet in observed
        .subnets
        .iter()
        .filter(|subnet| foundation.subnets.contains(&subnet.id))
    {
        if subnet.public_access_blocked && config.load_balancer.scheme == Scheme::InternetFacing {
            findings.warn(
                subnet.id.as_str(),
                "VPC Block Public Access keeps visitors out of this subnet",
                "exclude the subnet from it, or choose others in `load_balancer.subnets`",
            );
        }
    }
    findings.list.into_iter().collect()
}

pub(super) struct Findings {
    list: BTreeSet<Finding>,
}

impl Findings {
    fn add(&mut self, severity: Severity, subject: &str, message: &str, remedy: &str) {
        self.list.insert(Finding {
            severity,
            subject: subject.to_owned(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    pub(super) fn warn(&mut self, subject: &str, message: &str, remedy: &str) {
        self.add(Severity::Warning, subject, message, remedy);
    }

    pub(super) fn note(&mut self, subject: &str, message: &str, remedy: &str) {
        self.add(Severity::Note, subject, message, remedy);
    }
}

/// What the user may want to choose otherwise.
fn choices(config: &Config, observed: &Observed, state: &State, decided: &Decided, findings: &mut Findings) {
    let load_balancer = load_balancer_address();
    if config.load_balancer.web_acl.is_none()
        && decided
            .get(&load_balancer)
            .is_some_and(|item| item.decision == Decision::Replace)
    {
        findings.warn(
            &load_balancer.to_string(),
            "the load balancer is replaced: a web ACL or Shield protection that others gave the old one does not come along",
            "set `load_balancer.web_acl` to have the web ACL in place before visitors move, and protect the new one",
        );
    }
    if keeps_ipv6(config, observed, state) {
        findings.note(
            "load_balancer.ip_address_type",
            "the load balancer keeps its IPv6 addresses until no record leads to them any more",
            "run again after the cutover: the next plan takes them away",
        );
    }
    if hsts_waits(config, observed, state) {
        findings.note(
            "load_balancer.hsts",
            "browsers that have seen the header cannot be sent back to plain HTTP, so it waits until visitors have moved",
            "run again after the cutover: the next plan sets it",
        );
    }
    for (address, item) in decided.iter() {
        let answers_itself =
            matches!(&item.desired, Some(Spec::Listener(listener)) if listener.fixed_response.is_some());
        if answers_itself && live::is_move(item) {
            findings.note(
                &address.to_string(),
                "with a second site the load balancer tells sites apart by their names: requests for any other name, which \
                 the first site has answered so far, get 404",
                "add names that visitors use to the site's `aliases`",
            );
        }
    }
    for (name, site) in &config.sites {
        let address = certificate_address(name);
        if decided
            .get(&address)
            .is_some_and(|item| item.decision == Decision::Create)
            && let Some(covering) = covering(site, observed)
        {
            findings.note(
                &address.to_string(),
                &format!("`{covering}` is issued, renews by itself and covers the site's names"),
                &format!("set `certificate = \"{covering}\"` in the site to use it in place of a new one"),
            );
        }
    }
}

/// An issued certificate that is good for all names of a site (`aws-facts.md` 1.2).
fn covering<'a>(site: &Site, observed: &'a Observed) -> Option<&'a str> {
    observed
        .found
        .iter()
        .find(|actual| {
            let (
                Spec::Certificate(certificate),
                Status::Certificate {
                    state,
                    certificate_type,
                    ..
                },
            ) = (&actual.spec, &actual.status)
            else {
                return false;
            };
            state == "ISSUED"
                && certificate_type == "AMAZON_ISSUED"
                && !actual.tags.contains_key(naming::STACK_TAG)
                && site
                    .names()
                    .all(|name| certificate.names.iter().any(|held| held.covers(name)))
        })
        .map(|actual| actual.id.as_str())
}

/// Visitors who come by plain HTTP today and would find nothing after the move.
fn plain_http(config: &Config, observed: &Observed, decided: &Decided, findings: &mut Findings) {
    let moves = config.sites.values().any(|site| moves_visitors(site, decided));
    let admits = groups(config, observed)
        .iter()
        .filter_map(|(group, ..)| observed.security_groups.get(group))
        .flat_map(|facts| facts.ingress.values())
        .any(|rule| rule.rule.is_world_open() && rule.rule.admits_tcp(defaults::HTTP_PORT));
    if moves && admits && config.load_balancer.http == HttpMode::Closed {
        findings.warn(
            "load_balancer.http",
            "the instance admits port 80 from the world, the load balancer will not: who comes by http:// finds nothing \
             after the move",
            "set `load_balancer.http = \"redirect\"` to send them to HTTPS",
        );
    }
}

/// What keeps the instances from being closed to all but the load balancer (`aws-facts.md` 6.3).
fn lockdown(config: &Config, observed: &Observed, findings: &mut Findings) {
    for (group, ports, instances) in groups(config, observed) {
        let Some(facts) = observed.security_groups.get(&group) else {
            continue;
        };
        for (prefix, tool) in FOREIGN_TOOLS {
            if facts
                .tags
                .keys()
                .any(|key| key.to_ascii_lowercase().starts_with(prefix))
            {
                findings.warn(
                    group.as_str(),
                    &format!("the group carries tags of {tool}, which may undo changes of its rules"),
                    "make the same change there",
                );
            }
        }
        if !config.lockdown.enabled {
            continue;
        }
        let web_rules: Vec<_> = facts
            .ingress
            .iter()
            .filter(|(_, rule)| rule.rule.is_world_open() && ports.iter().any(|port| rule.rule.admits_tcp(*port)))
            .collect();
        let wide = web_rules
            .iter()
            .filter(|(_, rule)| rule.rule.exact_tcp_port().is_none());
        for (id, rule) in wide {
            findings.warn(
                group.as_str(),
                &format!("the rule `{id}` ({}) lets the world in beside the load balancer; it is not changed, as it opens other ports too", rule.rule),
                "replace it by rules for just the ports that are needed",
            );
        }
        let exact = web_rules.iter().any(|(_, rule)| rule.rule.exact_tcp_port().is_some());
        if exact && facts.owner != observed.identity.account {
            findings.warn(
                group.as_str(),
                &format!(
                    "the group belongs to account {}; its web ports stay open to the world",
                    facts.owner
                ),
                "ask that account's owner to remove the rules",
            );
        } else if exact && is_shared(observed, &group, &instances.iter().collect()) {
            let others: Vec<String> = observed
                .interfaces
                .iter()
                .filter(|interface| interface.security_groups.contains(&group))
                .filter(|interface| !interface.instance.as_ref().is_some_and(|id| instances.contains(id)))
                .map(|interface| match &interface.instance {
                    Some(instance) => format!("{} of {instance}", interface.id),
                    None => format!("{} ({})", interface.id, interface.description),
                })
                .collect();
            findings.warn(
                group.as_str(),
                &format!(
                    "other network interfaces carry the group too, so its web ports stay open to the world: {}",
                    if others.is_empty() {
                        "AWS does not list the instance's own, so there may be any".to_owned()
                    } else {
                        others.join(", ")
                    }
                ),
                "give the instance a group of its own and run again",
            );
        }
    }
}

fn dns(config: &Config, observed: &Observed, foundation: &Foundation, decided: &Decided, findings: &mut Findings) {
    let ours: BTreeSet<&DomainName> = foundation.zones.keys().collect();
    for site in config.sites.values() {
        let addresses = names::site_addresses(site, observed);
        for host in site.names() {
            let address = record_address(host);
            let Some(item) = decided.get(&address) else { continue };
            let subject = address.to_string();
            let moves = decided.is_changed(&address);
            let ttl = standing_ttl(item).get();
            if moves && ttl > LONG_TTL {
                findings.note(
                    &subject,
                    &format!("the record's time to live is {ttl} s: visitors move over within that time"),
                    "for a quicker move lower it to 60 s, wait that long, and run again",
                );
            }
            if let (true, Some(Spec::AliasRecord(standing))) = (moves, item.actual.as_ref().map(|actual| &actual.spec))
                && standing.records.contains_key(&crate::resource::RecordType::Aaaa)
                && config.load_balancer.ip_address_type == IpAddressType::Ipv4
            {
                findings.warn(
                    &subject,
                    "the AAAA record goes away with the move: IPv6 visitors come by IPv4 then",
                    "set `load_balancer.ip_address_type = \"dualstack\"` to keep IPv6",
                );
            }
        }
        for set in &observed.record_sets {
            let subject = format!("{} {}", set.name, set.record_type);
            let is_ours = ours.contains(&set.name);
            let points_to_us = || {
                set.values
                    .iter()
                    .any(|value| last_name(value).is_some_and(|name| ours.contains(&name)))
            };
            match set.record_type.as_str() {
                "HTTPS" | "SVCB" if is_ours && set.values.iter().any(|value| value.contains("hint=")) => findings.warn(
                    &subject,
                    "the record carries address hints, which lead browsers past the load balancer",
                    "delete the record or its hints",
                ),
                "MX" | "SRV" if points_to_us() => findings.warn(
                    &subject,
                    "the record leads to the site's name, which will be the load balancer: it takes web requests only",
                    "point it at a name of its own for the instance",
                ),
                "CNAME" if !is_ours && points_to_us() => findings.warn(
                    &subject,
                    "the name leads to the site's name and so to the load balancer, whose certificate does not have it",
                    "add it to `aliases` if it is a web site",
                ),
                "A" | "AAAA"
                    if !is_ours
                        && config.lockdown.enabled
                        && !addresses.is_empty()
                        && set
                            .values
                            .iter()
                            .any(|value| value.parse().is_ok_and(|ip| addresses.contains(&ip))) =>
                {
                    findings.warn(
                        &subject,
                        "the name leads to the instance: its web pages are no longer reachable after the lock-down",
                        "add it to `aliases` if it is a web site, or set `lockdown.enabled = false`",
                    );
                }
                _ => {}
            }
        }
    }
}

/// The last word of a record's value as a name: the target of CNAME, MX and SRV records.
fn last_name(value: &str) -> Option<DomainName> {
    value.split_whitespace().last()?.parse().ok()
}

fn health(config: &Config, decided: &Decided, findings: &mut Findings) {
    for (name, site) in &config.sites {
        for instance in &site.instances {
            let address = target_address(name, instance);
            let Some(item) = decided.get(&address) else { continue };
            // A target that is new, or that no listener names yet, is waited for by the plan.
            if decided.is_changed(&address) || decided.is_changed(&listener_address(site.listen_port)) {
                continue;
            }
            if let Some(Status::Target {
                state,
                reason,
                description,
            }) = item.actual.as_ref().map(|actual| &actual.status)
                && !matches!(state.as_str(), "healthy" | "initial")
            {
                findings.warn(
                    &address.to_string(),
                    &format!(
                        "the target is {}",
                        explain::target_words(state, reason.as_deref(), description.as_deref())
                    ),
                    explain::target_health(reason.as_deref().unwrap_or_default()),
                );
            }
        }
    }
}

/// What uses a certificate beside the stack's load balancers, as far as ACM tells: AWS does not delete it before that ends,
/// and only somebody else can end it (`aws-facts.md` 1.6).
pub(super) fn other_users<'a>(
    observed: &'a Observed,
    state: &'a State,
    decided: &'a Decided,
    id: &str,
) -> Vec<&'a str> {
    let retired = state.retired.iter().map(|retired| retired.id.as_str());
    let ours: BTreeSet<&str> = decided
        .objects()
        .map(|actual| actual.id.as_str())
        .chain(retired)
        .collect();
    users_beside(observed, &ours, id)
}

/// What uses a certificate beside `ours`.
pub(super) fn users_beside<'a>(observed: &'a Observed, ours: &BTreeSet<&str>, id: &str) -> Vec<&'a str> {
    let Some(Status::Certificate { in_use_by, .. }) = observed.by_id(id).map(|actual| &actual.status) else {
        return Vec::new();
    };
    in_use_by
        .iter()
        .map(String::as_str)
        .filter(|user| !ours.contains(user))
        .collect()
}

/// Certificates that the stack is done with and somebody else is not.
fn released(observed: &Observed, state: &State, decided: &Decided, findings: &mut Findings) {
    let replaced = decided
        .iter()
        .filter(|(_, item)| matches!(item.decision, Decision::Replace | Decision::Delete))
        .filter_map(|(_, item)| Some(item.actual.as_ref()?.id.as_str()));
    for id in replaced.chain(state.retired.iter().map(|retired| retired.id.as_str())) {
        let users = other_users(observed, state, decided, id);
        if !users.is_empty() {
            findings.warn(
                id,
                &format!(
                    "the stack is done with this certificate, which stays because {} uses it",
                    users.join(", ")
                ),
                "give what uses it another certificate: the next run deletes this one then",
            );
        }
    }
}
