//! Whether visitors get what was set up: what has to be looked at from outside, and how the answers are judged.
//!
//! The questions are data. Who asks them knows DNS, TLS and HTTP and nothing of AWS; what an answer means is decided here.

mod addresses;
mod certificate;
mod door;
mod http;
mod page;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr};

use jiff::Timestamp;

pub use addresses::{AddressAnswer, Addresses, Family, NoAddress, Place};
pub use certificate::{Expected, ServedCertificate, Session};
pub use door::{Closed, Door};
pub use http::{HttpAnswer, PlainHttp};
pub use page::{Answered, Followed, Node, Page, Unanswered, Visit};

use crate::{
    check::{Check, Verdict},
    config::{CertificateSource, Config, HttpMode, IpAddressType, Scheme, Site, SiteName, defaults},
    naming,
    observed::{Actual, HostedZone, Observed, Status},
    planner::{
        DelegationProbe, certificate_address, choose_zones, drain_margin, load_balancer_address, name_server,
        record_address, site_addresses,
    },
    resource::{Kind, Output, Peer, Rule},
    state::State,
    value::{CanonicalCidr, DomainName, InstanceId},
};

/// One thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What is known without asking.
    Settled(Check),
    /// Who serves a zone?
    Delegation(DelegationProbe),
    /// Where does a name lead?
    Addresses(Addresses),
    /// What does a site answer by HTTPS, and with which certificate?
    Visit(Visit),
    /// What happens to visitors without TLS?
    PlainHttp(PlainHttp),
    /// Is an instance reachable without the load balancer?
    Door(Door),
}

/// How far a name's move to the load balancer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was not moved yet.
    Before,
    /// The change has not reached all of Route 53's servers.
    OnTheWay,
    /// Resolvers may remember the old address, until then if that is known.
    Draining(Option<Timestamp>),
    /// It is over.
    Done,
}

/// Who can reach the load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everybody.
    Everybody,
    /// Only some, for this reason: that it cannot be reached from here says nothing.
    Some(&'static str),
}

/// What has to be looked at, of one site or of all.
///
/// `now` decides whether drains are over.
pub fn questions(
    config: &Config,
    only: Option<&SiteName>,
    observed: &Observed,
    state: &State,
    now: Timestamp,
) -> Vec<Question> {
    let Some(load_balancer) = load_balancer(config, observed, state) else {
        return vec![Question::Settled(
            Check::ok(
                load_balancer_address().to_string(),
                "load balancer",
                "the stack has no load balancer: nothing was set up yet",
            )
            .but(Verdict::Failure, "run `reconcile`"),
        )];
    };
    let stack = Stack {
        config,
        observed,
        state,
        now,
        dns_name: load_balancer.outputs.get(&Output::DnsName).map(String::as_str),
        reach: reach(config),
    };
    let sites: Vec<(&SiteName, &Site)> = config
        .sites
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .collect();
    let mut questions = stack.zones(&sites);
    for (site_name, site) in &sites {
        for name in site.names() {
            questions.extend(stack.of_name(site_name, site, name));
        }
    }
    questions.extend(stack.doors(&sites));
    questions
}

/// The load balancer that the state knows, or else the one that carries the stack's tags.
fn load_balancer<'a>(config: &Config, observed: &'a Observed, state: &State) -> Option<&'a Actual> {
    let address = load_balancer_address();
    let recorded = state.id(&address).and_then(|id| observed.by_id(id));
    recorded.or_else(|| {
        observed.found.iter().find(|actual| {
            actual.spec.kind() == Kind::LoadBalancer && naming::is_owned(&actual.tags, &config.name, &address)
        })
    })
}

fn reach(config: &Config) -> Reach {
    let wanted = &config.load_balancer;
    if wanted.scheme == Scheme::Internal {
        Reach::Some("the load balancer is internal")
    } else if wanted.allow_from.iter().any(CanonicalCidr::is_world) {
        Reach::Everybody
    } else {
        Reach::Some("the load balancer admits only `allow_from`")
    }
}

/// What the questions are made from.
struct Stack<'a> {
    config: &'a Config,
    observed: &'a Observed,
    state: &'a State,
    now: Timestamp,
    dns_name: Option<&'a str>,
    reach: Reach,
}

impl Stack<'_> {
    /// Every zone that holds one of the names, once.
    fn zones(&self, sites: &[(&SiteName, &Site)]) -> Vec<Question> {
        let names = sites.iter().flat_map(|(_, site)| site.names());
        let used: BTreeSet<&str> = names
            .filter_map(|name| self.zone(name))
            .map(|zone| zone.id.as_str())
            .collect();
        let zones = self
            .observed
            .zones
            .iter()
            .filter(|zone| used.contains(zone.id.as_str()));
        zones
            .map(|zone| {
                let name_servers = self.name_servers(zone);
                if name_servers.is_empty() {
                    let check = Check::ok(zone.name.as_str(), "delegation", "the hosted zone has no NS record set");
                    return Question::Settled(check.but(
                        Verdict::Failure,
                        "restore the NS record set that Route 53 made for the zone",
                    ));
                }
                Question::Delegation(DelegationProbe {
                    zone: zone.name.clone(),
                    name_servers,
                })
            })
            .collect()
    }

    fn zone(&self, name: &DomainName) -> Option<&HostedZone> {
        // Why a name has no zone is told by the plan.
        let id = choose_zones(self.config, self.observed, &mut Vec::new()).remove(name)?;
        self.observed.zones.iter().find(|zone| zone.id == id)
    }

    fn name_servers(&self, zone: &HostedZone) -> BTreeSet<String> {
        let mut sets = self.observed.record_sets.iter();
        let own = sets.find(|set| set.zone == zone.id && set.name == zone.name && set.record_type == "NS");
        own.into_iter()
            .flat_map(|set| &set.values)
            .map(|value| name_server(value))
            .collect()
    }

    fn of_name(&self, site_name: &SiteName, site: &Site, name: &DomainName) -> Vec<Question> {
        let phase = self.phase(name);
        let families: &[Family] = match self.config.load_balancer.ip_address_type {
            IpAddressType::Ipv4 => &[Family::A],
            IpAddressType::Dualstack => &[Family::A, Family::Aaaa],
        };
        let servers = self
            .zone(name)
            .map(|zone| self.name_servers(zone))
            .filter(|servers| !servers.is_empty());
        let mut questions = Vec::new();
        if self.zone(name).is_none() {
            let check = Check::ok(
                name.as_str(),
                "hosted zone",
                "no public hosted zone of this account is known to hold the name, so its name servers are not asked",
            );
            questions.push(Question::Settled(
                check.but(Verdict::Unknown, "`reconcile plan` says why"),
            ));
        }
        for family in families {
            for place in servers
                .clone()
                .map(Place::NameServers)
                .into_iter()
                .chain([Place::Resolver])
            {
                questions.push(Question::Addresses(Addresses {
                    name: name.clone(),
                    family: *family,
                    place,
                    port: site.listen_port,
                    load_balancer: self.dns_name.map(str::to_owned),
                    instances: site_addresses(site, self.observed),
                    phase,
                }));
            }
        }
        if name.is_wildcard() {
            // No visitor comes by this name itself.
            return questions;
        }
        questions.push(Question::Visit(Visit {
            name: name.clone(),
            port: site.listen_port,
            pages: pages(site),
            certificate: self.expected(site_name, site),
            now: self.now,
            reach: self.reach.clone(),
        }));
        questions.push(Question::PlainHttp(PlainHttp {
            name: name.clone(),
            mode: self.config.load_balancer.http,
            https_ports: self.config.sites.values().map(|site| site.listen_port).collect(),
            reach: self.reach.clone(),
        }));
        questions
    }

    fn expected(&self, site_name: &SiteName, site: &Site) -> Expected {
        let id = match &site.certificate {
            CertificateSource::Existing(arn) => Some(arn.as_str()),
            CertificateSource::Requested { .. } => self.state.id(&certificate_address(site_name)),
        };
        let status = id.and_then(|id| self.observed.by_id(id)).map(|actual| &actual.status);
        match status {
            Some(Status::Certificate {
                certificate_type, life, ..
            }) => Expected {
                is_imported: certificate_type == "IMPORTED",
                serial: life.serial.clone(),
            },
            _ => Expected {
                is_imported: false,
                serial: None,
            },
        }
    }

    fn phase(&self, name: &DomainName) -> Phase {
        let Some(cutover) = self.state.cutovers.get(&record_address(name)) else {
            let is_moved = self.dns_name.is_some_and(|dns_name| {
                self.observed.record_sets.iter().any(|set| {
                    let alias = set.alias.as_ref().map(|alias| alias.target().name);
                    set.name == *name
                        && alias
                            .and_then(|name| name.known().map(str::to_owned).ok())
                            .is_some_and(|target| target.eq_ignore_ascii_case(dns_name))
                })
            });
            return if is_moved { Phase::Draining(None) } else { Phase::Before };
        };
        if cutover.in_sync_at.is_none() {
            return Phase::OnTheWay;
        }
        match cutover.drained_at(drain_margin(self.config, cutover.old_ttl)) {
            Some(at) if at <= self.now => Phase::Done,
            at => Phase::Draining(at),
        }
    }

    fn doors(&self, sites: &[(&SiteName, &Site)]) -> Vec<Question> {
        let instances: BTreeSet<&InstanceId> = sites.iter().flat_map(|(_, site)| &site.instances).collect();
        let mut questions = Vec::new();
        for id in instances {
            let Some(instance) = self.observed.instances.get(id) else {
                let check = Check::ok(id.as_str(), "back door", "AWS does not know this instance");
                questions.push(Question::Settled(
                    check.but(Verdict::Failure, "correct `instance`, then run `reconcile plan`"),
                ));
                continue;
            };
            // An instance is closed for all of its sites at once: the one that drains longest decides.
            let served = || self.config.sites.values().filter(|site| site.instances.contains(id));
            let phase = served()
                .flat_map(Site::names)
                .map(|name| self.phase(name))
                .max_by_key(|phase| phase.distance())
                .unwrap_or(Phase::Before);
            let web = [defaults::HTTP_PORT, defaults::LISTEN_PORT];
            let ports: BTreeSet<u16> = served().map(|site| site.backend_port).chain(web).collect();
            let addresses: Vec<IpAddr> = instance.public_addresses().collect();
            if addresses.is_empty() {
                let check = Check::ok(id.as_str(), "back door", "the instance has no public address");
                questions.push(Question::Settled(check));
            }
            for address in addresses {
                for port in &ports {
                    questions.push(Question::Door(Door {
                        instance: id.clone(),
                        address,
                        port: *port,
                        open_rules: self.open_rules(id, address, *port),
                        is_wanted_closed: self.config.lockdown.enabled,
                        phase,
                    }));
                }
            }
        }
        questions
    }

    /// The rules that let everybody of the address's family in.
    fn open_rules(&self, id: &InstanceId, address: IpAddr, port: u16) -> Vec<String> {
        let of_family = |rule: &Rule| matches!(&rule.peer, Peer::Cidr(cidr) if cidr.is_ipv4() == address.is_ipv4());
        let groups = self
            .observed
            .instances
            .get(id)
            .map(|instance| &instance.security_groups);
        groups
            .into_iter()
            .flatten()
            .filter_map(|group| Some((group, self.observed.security_groups.get(group)?)))
            .flat_map(|(group, facts)| facts.ingress.iter().map(move |(rule_id, rule)| (group, rule_id, rule)))
            .filter(|(_, _, rule)| rule.rule.is_world_open() && rule.rule.admits_tcp(port) && of_family(&rule.rule))
            .map(|(group, rule_id, rule)| format!("{rule_id} in {group} ({})", rule.rule))
            .collect()
    }
}

/// The start page and the page of the health check, each once.
fn pages(site: &Site) -> Vec<Page> {
    let health = Page {
        path: site.health.path.clone(),
        codes: Some(site.health.codes.clone()),
    };
    if health.path == "/" {
        return vec![health];
    }
    let start = Page {
        path: "/".to_owned(),
        codes: None,
    };
    vec![start, health]
}

impl Phase {
    /// How far from its end a move is, for comparisons.
    fn distance(self) -> (u8, Option<Timestamp>) {
        match self {
            Self::Done => (0, None),
            Self::Draining(Some(until)) => (1, Some(until)),
            Self::Draining(None) => (2, None),
            Self::OnTheWay => (3, None),
            Self::Before => (4, None),
        }
    }
}

/// What a zone's delegation means.
///
/// `answered` are the name servers that public DNS tells: none if it knows none, an error if it cannot be asked.
pub fn judge_delegation(probe: &DelegationProbe, answered: Result<&[String], &str>) -> Check {
    let check = |message: String| Check::ok(probe.zone.as_str(), "delegation", message);
    match answered {
        Err(said) => check(format!("public DNS cannot be asked: {said}")).but(
            Verdict::Unknown,
            "ask from a machine with DNS, or name a resolver with `--dns-server`",
        ),
        Ok(servers) => match probe.finding(servers) {
            Some(finding) => check(finding.message).but(Verdict::Failure, finding.remedy),
            None => check("public DNS leads to the hosted zone's name servers".to_owned()),
        },
    }
}

/// Whether plain HTTP is to be redirected.
fn redirects(mode: HttpMode) -> bool {
    mode == HttpMode::Redirect
}

/// Several things in one line.
fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
