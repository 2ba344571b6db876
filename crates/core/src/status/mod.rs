//! How a stack is: every resource with its health, and whether its certificates will be renewed.
//!
//! A pure function of what was observed, remembered and planned, and of what the outside answered to the [`Questions`] that
//! [`questions`] asks. Who has the answers gives them to [`judge`].

mod caa;
mod certificates;
mod resources;
#[cfg(test)]
mod tests;
mod under_way;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    check::{Check, Verdict, worst},
    config::{Config, RequestProof, SiteName, StackName},
    naming,
    observed::{Actual, HostedZone, Observed, RecordSet},
    plan::{Action, Plan, Step},
    planner::Refused,
    resource::{Address, Kind, Output, Spec, ValidationRecord},
    state::State,
    value::{AccountId, DomainName, Region},
};

/// The version of the report's serialised form.
pub const FORMAT_VERSION: u32 = 1;

/// What was asked of somebody else than AWS; the text says why it could not be asked.
pub type Answer<T> = Result<T, String>;

/// What has to be asked before a stack can be judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Questions {
    /// Names whose CNAME records public DNS should tell: ACM finds validation records there (`aws-facts.md` 1.3).
    pub cnames: BTreeSet<DomainName>,
    /// Names whose CAA records public DNS should tell: those that the observed hosted zones do not (`aws-facts.md` 1.4).
    pub authorities: BTreeSet<String>,
    /// Which certificate the load balancer shows for a site.
    pub handshakes: BTreeMap<SiteName, Handshake>,
    /// Validation records that were not among the observed record sets, to be read on their own: a large zone is not
    /// listed as a whole.
    pub unlisted: Vec<ValidationRecord>,
}

/// A TLS handshake with the load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The site's name, for SNI.
    pub name: DomainName,
    /// The load balancer's DNS name.
    pub load_balancer: String,
    /// The port.
    pub port: u16,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outside {
    /// The targets of CNAME records by name; empty where there is none.
    pub cnames: BTreeMap<DomainName, Answer<Vec<String>>>,
    /// The values of CAA records by name, as in `0 issue "amazon.com"`; empty where there is none.
    pub authorities: BTreeMap<String, Answer<Vec<String>>>,
    /// The certificate that the load balancer shows for a site.
    pub served: BTreeMap<SiteName, Answer<Served>>,
}

/// The certificate that visitors get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its serial number, in the form of [`normal_serial`](crate::observed::normal_serial).
    pub serial: String,
    /// Its issuer.
    pub issuer: String,
    /// The end of its time.
    pub not_after: Timestamp,
}

/// Everything that is known of a stack.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// What is wanted.
    pub config: &'a Config,
    /// What is there.
    pub observed: &'a Observed,
    /// What is remembered.
    pub state: &'a State,
    /// What the next run would do, or why it would do nothing.
    pub plan: Result<&'a Plan, &'a Refused>,
    /// What the outside answered.
    pub outside: &'a Outside,
    /// The time of the look.
    pub now: Timestamp,
}

/// How a stack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the form.
    pub format_version: u32,
    /// The stack.
    pub stack: StackName,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// When it was looked at.
    pub looked_at: Timestamp,
    /// The worst verdict of all checks.
    pub verdict: Verdict,
    /// What was looked at, in groups that belong together; no group is empty.
    pub groups: Vec<Group>,
}

/// Checks that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What they are about.
    pub title: String,
    /// The checks; at least one.
    pub checks: Vec<Check>,
}

impl Report {
    /// Every check of every group.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.groups.iter().flat_map(|group| &group.checks)
    }
}

/// What has to be asked before the stack can be judged.
pub fn questions(config: &Config, observed: &Observed, state: &State) -> Questions {
    let stack = Stack {
        config,
        observed,
        state,
    };
    let mut questions = Questions::default();
    for held in certificates::held(&stack) {
        let Some(actual) = held.actual else { continue };
        for (name, value) in certificates::validations(actual).into_values().flatten() {
            if stack.cname(&name).is_none()
                && let Some(zone) = stack.public_zone(name.as_str())
            {
                questions.unlisted.push(ValidationRecord {
                    zone: zone.id.clone(),
                    name: crate::resource::Ref::Known(name.to_string()),
                    value: crate::resource::Ref::Known(value.to_string()),
                });
            }
            questions.cnames.insert(name);
        }
        for name in certificates::names(actual) {
            questions.authorities.extend(caa::unknown_levels(&stack, name));
        }
    }
    if config.prove.request != RequestProof::Off
        && let Some(load_balancer) = stack.load_balancer_name()
    {
        questions.handshakes = config
            .sites
            .iter()
            .filter_map(|(site_name, site)| {
                let handshake = Handshake {
                    name: site.names().find(|name| !name.is_wildcard())?.clone(),
                    load_balancer: load_balancer.to_owned(),
                    port: site.listen_port,
                };
                Some((site_name.clone(), handshake))
            })
            .collect();
    }
    questions
}

/// Says how everything is.
pub fn judge(world: &World<'_>) -> Report {
    let stack = world.stack();
    let resources = resources::checks(world);
    let mut groups = vec![Group {
        title: "Resources".to_owned(),
        checks: resources.clone(),
    }];
    for held in certificates::held(&stack) {
        groups.push(Group {
            title: held.title(),
            checks: certificates::checks(world, &held),
        });
    }
    groups.push(Group {
        title: "Under way".to_owned(),
        checks: under_way::checks(world),
    });
    groups.push(Group {
        title: "Findings".to_owned(),
        checks: under_way::findings(world, &resources),
    });
    groups.retain(|group| !group.checks.is_empty());
    let verdicts = groups.iter().map(|group| worst(&group.checks));
    Report {
        format_version: FORMAT_VERSION,
        stack: world.config.name.clone(),
        account: world.observed.identity.account.clone(),
        region: world.observed.identity.region.clone(),
        looked_at: world.now,
        verdict: verdicts.max().unwrap_or(Verdict::Ok),
        groups,
    }
}

/// What is known of the stack without a plan and without the outside.
#[derive(Debug, Clone, Copy)]
struct Stack<'a> {
    config: &'a Config,
    observed: &'a Observed,
    state: &'a State,
}

impl<'a> Stack<'a> {
    /// The object behind an address: the one that the state knows, else one with the stack's tags for it.
    fn actual(&self, address: &Address) -> Option<&'a Actual> {
        let (observed, state) = (self.observed, self.state);
        let recorded = state.id(address).and_then(|id| observed.by_id(id));
        recorded.or_else(|| {
            observed.found.iter().find(|actual| {
                naming::is_owned(&actual.tags, &self.config.name, address)
                    && state.retired.iter().all(|retired| retired.id != actual.id)
            })
        })
    }

    /// The stack's load balancers that serve, by id; those on their way out are not among them.
    fn load_balancers(&self) -> impl Iterator<Item = &'a Actual> {
        let (config, state) = (self.config, self.state);
        self.observed.found.iter().filter(move |actual| {
            let recorded = state
                .resources
                .iter()
                .any(|(address, entry)| address.kind() == Kind::LoadBalancer && entry.id == actual.id);
            let tagged = || actual.tags.get(naming::STACK_TAG).map(String::as_str) == Some(config.name.as_str());
            let leaves = || state.retired.iter().any(|retired| retired.id == actual.id);
            matches!(actual.spec, Spec::LoadBalancer(_)) && (recorded || (tagged() && !leaves()))
        })
    }

    /// The DNS name of the load balancer.
    fn load_balancer_name(&self) -> Option<&'a str> {
        self.load_balancers()
            .find_map(|actual| actual.outputs.get(&Output::DnsName))
            .map(String::as_str)
    }

    /// The observed public zone that answers for a name.
    fn public_zone(&self, name: &str) -> Option<&'a HostedZone> {
        let lies_in = |zone: &HostedZone| {
            let rest = name.strip_suffix(zone.name.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let zones = self.observed.zones.iter().filter(|zone| !zone.private);
        let chosen = |zone: &HostedZone| {
            self.config
                .sites
                .values()
                .any(|site| site.zone.as_ref() == Some(&zone.id))
        };
        zones
            .filter(|zone| lies_in(zone))
            // Of two zones of one name the one that the configuration names is in use.
            .max_by_key(|zone| (zone.name.labels(), chosen(zone)))
    }

    /// The record sets of a type at a name in the public zone that answers for it.
    fn record_set(&self, name: &str, record_type: &str) -> Option<&'a RecordSet> {
        let zone = self.public_zone(name)?;
        self.observed
            .record_sets
            .iter()
            .find(|set| set.zone == zone.id && set.name.as_str() == name && set.record_type == record_type)
    }

    /// The target of the CNAME record at a name.
    fn cname(&self, name: &DomainName) -> Option<DomainName> {
        self.record_set(name.as_str(), "CNAME")?.values.first()?.parse().ok()
    }
}

impl<'a> World<'a> {
    fn stack(&self) -> Stack<'a> {
        Stack {
            config: self.config,
            observed: self.observed,
            state: self.state,
        }
    }

    /// The step that the next run takes for a resource; deletions of what it replaced earlier are not among them.
    fn step(&self, address: &Address) -> Option<&'a Step> {
        let state = self.state;
        self.plan.ok()?.steps.iter().find(|step| {
            step.address == *address
                && match &step.action {
                    Action::Wait { .. } => false,
                    Action::Delete { id, .. } => state
                        .retired
                        .iter()
                        .all(|retired| Ok(retired.id.as_str()) != id.known()),
                    _ => true,
                }
        })
    }
}
