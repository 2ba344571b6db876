//! From any settled configuration to any other, cut off anywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use proptest::prelude::*;

use super::{
    super::world::{self, record},
    End, Strict, first, last,
};
use crate::{
    config::{Config, Site, SiteName},
    planner::names,
    value::{DomainName, InstanceId},
};

/// What may be asked for.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Sites by name.
    pub(super) sites: BTreeMap<&'static str, SiteWish>,
    pub(super) internal: bool,
    pub(super) redirect: bool,
    pub(super) dual: bool,
    pub(super) stays_open: bool,
    pub(super) unproven: bool,
}

/// What may be asked for of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SiteWish {
    /// `a`, `b`, or both; `c` is in another VPC.
    pub(super) instances: &'static [&'static str],
    pub(super) plain: bool,
    pub(super) port: u16,
    pub(super) health_port: Option<u16>,
    pub(super) aliases: Vec<String>,
    pub(super) elliptic: bool,
    pub(super) existing: bool,
}

impl Default for SiteWish {
    fn default() -> Self {
        Self {
            instances: &["i-0a"],
            plain: false,
            port: 443,
            health_port: None,
            aliases: Vec::new(),
            elliptic: false,
            existing: false,
        }
    }
}

/// The certificate that somebody else made, for every name.
pub(super) const EXISTING: &str = "arn:aws:acm:ap-northeast-1:123456789012:certificate/0";

impl Wish {
    pub(super) fn of(sites: &[(&'static str, SiteWish)]) -> Self {
        Self {
            sites: sites.iter().cloned().collect(),
            internal: false,
            redirect: false,
            dual: false,
            stays_open: false,
            unproven: false,
        }
    }

    pub(super) fn config(&self) -> Config {
        let mut text = "name = \"web\"\nregion = \"ap-northeast-1\"\n[load_balancer]\n".to_owned();
        if self.internal {
            text.push_str("scheme = \"internal\"\n");
        }
        if self.redirect {
            text.push_str("http = \"redirect\"\n");
        }
        if self.dual {
            text.push_str("ip_address_type = \"dualstack\"\n");
        }
        if self.stays_open {
            text.push_str("[lockdown]\nenabled = false\n");
        }
        if self.unproven {
            text.push_str("[prove]\nrequest = \"off\"\n");
        }
        for (name, site) in &self.sites {
            // `web` is `www` by another name.
            let domain = if *name == "web" { "www" } else { name };
            let _ = writeln!(text, "[site.{name}]\ndomain = \"{domain}.example.com\"");
            let _ = writeln!(text, "instances = {:?}\naliases = {:?}", site.instances, site.aliases);
            let _ = writeln!(text, "health.path = \"/\"\nports.backend = {}", site.port);
            if let Some(port) = site.health_port {
                let _ = writeln!(text, "health.port = {port}");
            }
            if site.plain {
                text.push_str("backend.protocol = \"HTTP\"\n");
            }
            if site.existing {
                let _ = writeln!(text, "certificate = \"{EXISTING}\"");
            } else if site.elliptic {
                text.push_str("key_algorithm = \"EC_prime256v1\"\n");
            }
        }
        world::config(&text)
    }
}

/// The names of a configuration with the sites that have them.
fn owners(config: &Config) -> BTreeMap<DomainName, String> {
    let names = |(name, site): (&SiteName, &Site)| -> Vec<(DomainName, String)> {
        site.names().map(|host| (host.clone(), name.to_string())).collect()
    };
    config.sites.iter().flat_map(names).collect()
}

/// The names that both configurations have, with the instances that may answer: those of the site that has the name or had
/// it, before and after.
fn served(before: &Config, after: &Config) -> BTreeMap<DomainName, BTreeSet<String>> {
    let (old, new) = (owners(before), owners(after));
    let instances = |owners: [&String; 2]| -> BTreeSet<String> {
        [before, after]
            .iter()
            .flat_map(|config| &config.sites)
            .filter(|(name, _)| owners.iter().any(|owner| *owner == name.as_str()))
            .flat_map(|(_, site)| site.instances.iter().map(ToString::to_string))
            .collect()
    };
    old.iter()
        .filter_map(|(name, owner)| Some((name.clone(), instances([owner, new.get(name)?]))))
        .collect()
}

/// Makes the world in which every wish can be had.
pub(super) fn world(config: &Config) -> Strict {
    let mut strict = Strict::new(config);
    let observed = &mut strict.observed;
    for subnet in &mut observed.subnets {
        subnet.has_ipv6 = true;
    }
    for (id, zone) in [("subnet-2a", "ap-northeast-1a"), ("subnet-2c", "ap-northeast-1c")] {
        let mut subnet = world::subnet(id, zone, true);
        subnet.vpc = "vpc-2".parse().unwrap();
        subnet.has_ipv6 = true;
        observed.subnets.push(subnet);
    }
    let (instance, interface) = (
        observed.instances.values().next().unwrap().clone(),
        observed.interfaces[0].clone(),
    );
    let group = observed.security_groups.values().next().unwrap().clone();
    for (letter, last, vpc, subnet) in [("b", 11, "vpc-1", "subnet-a"), ("c", 12, "vpc-2", "subnet-2a")] {
        let id: InstanceId = format!("i-0{letter}").parse().unwrap();
        let mut other = instance.clone();
        other.public_address = Some([203, 0, 113, last].into());
        other.primary_interface = format!("eni-{letter}");
        other.security_groups = [format!("sg-{letter}").parse().unwrap()].into();
        other.vpc = vpc.parse().unwrap();
        other.subnet = subnet.parse().unwrap();
        let mut carrier = interface.clone();
        carrier.id.clone_from(&other.primary_interface);
        carrier.security_groups.clone_from(&other.security_groups);
        carrier.instance = Some(id.clone());
        observed.interfaces.push(carrier);
        let mut facts = group.clone();
        facts.vpc = vpc.parse().unwrap();
        let rules = std::mem::take(&mut facts.ingress);
        facts.ingress = rules
            .into_iter()
            .map(|(rule, facts)| (format!("{rule}-{letter}"), facts))
            .collect();
        observed
            .security_groups
            .insert(format!("sg-{letter}").parse().unwrap(), facts);
        observed.instances.insert(id, other);
    }
    let names = ["www", "shop", "blog", "*.shop", "moved"];
    let existing = crate::observed::Actual {
        id: EXISTING.to_owned(),
        spec: crate::resource::Spec::Certificate(crate::resource::Certificate {
            domain: None,
            names: names
                .iter()
                .map(|name| format!("{name}.example.com").parse().unwrap())
                .chain((0..9).map(|number| format!("n{number}.example.com").parse().unwrap()))
                .collect(),
            key_algorithm: crate::config::KeyAlgorithm::Rsa2048,
            tags: BTreeMap::new(),
        }),
        outputs: BTreeMap::new(),
        status: crate::observed::Status::Certificate {
            state: "ISSUED".to_owned(),
            failure_reason: None,
            certificate_type: "AMAZON_ISSUED".to_owned(),
            in_use_by: Vec::new(),
            pending_names: Vec::new(),
            life: Box::default(),
        },
        tags: BTreeMap::new(),
    };
    observed.found.push(existing);
    strict
}

/// Leads by hand the names that `to` brings to their instances, and those that it does not have away from the load balancer.
pub(super) fn lead_by_hand(strict: &mut Strict, to: &Config) {
    let aliased = |strict: &Strict, name: &DomainName| {
        strict
            .observed
            .record_sets
            .iter()
            .any(|set| set.name == *name && set.alias.is_some())
    };
    let place = |strict: &mut Strict, name: &DomainName, address: &str| {
        strict
            .observed
            .record_sets
            .retain(|set| set.name != *name || !matches!(set.record_type.as_str(), "A" | "AAAA"));
        strict
            .observed
            .record_sets
            .push(record(name.as_str(), "A", 300, &[address]));
    };
    for site in to.sites.values() {
        let address = names::site_addresses(site, &strict.observed)
            .into_iter()
            .next()
            .unwrap();
        for name in site.names() {
            if !aliased(strict, name) {
                place(strict, name, &address.to_string());
            }
        }
    }
    let leaving: Vec<DomainName> = strict
        .observed
        .record_sets
        .iter()
        .filter(|set| set.alias.is_some() && names::site_of(to, &set.name).is_none())
        .map(|set| set.name.clone())
        .collect();
    for name in leaving {
        place(strict, &name, "198.51.100.9");
    }
}

/// A world in which `wish` has come to its end.
pub(super) fn settled(wish: &Wish) -> Strict {
    let config = wish.config();
    let mut strict = world(&config);
    lead_by_hand(&mut strict, &config);
    strict.served = served(&config, &config);
    strict.converge(&config, &mut first);
    strict
}

/// Goes from one settled configuration to another, cut off where `end` says; `None` if that is refused from the start,
/// else how many steps it takes.
pub(super) fn go(from: &Strict, old: &Wish, new: &Wish, end: End, choose: super::Choose<'_>) -> Option<usize> {
    let mut strict = from.clone();
    let config = new.config();
    lead_by_hand(&mut strict, &config);
    strict.served = served(&old.config(), &config);
    strict.story.clear();
    let plan = match strict.plan(&config) {
        Ok(plan) => plan,
        Err(refused) => {
            assert!(refused.contains("gives up others at once"), "{refused}");
            return None;
        }
    };
    strict.carry_out(&plan, end, choose);
    strict.story.push("and again".to_owned());
    strict.converge(&config, choose);
    Some(plan.steps.len())
}

/// From one to the other and back, cut off at every step.
pub(super) fn everywhere(old: &Wish, new: &Wish) {
    for (old, new) in [(old, new), (new, old)] {
        let from = settled(old);
        let Some(steps) = go(&from, old, new, End::Done, &mut last) else {
            continue;
        };
        for cut in 0..steps {
            go(&from, old, new, End::After(cut), &mut first);
            go(&from, old, new, End::Unrecorded(cut), &mut last);
        }
    }
}

fn site() -> impl Strategy<Value = SiteWish> {
    let aliases = prop::sample::subsequence(vec!["n0", "n1", "n2", "n3", "n4", "n5"], 0..=6);
    (
        prop_oneof![Just(&["i-0a"][..]), Just(&["i-0b"][..]), Just(&["i-0a", "i-0b"][..])],
        any::<bool>(),
        prop_oneof![Just(443_u16), Just(8443)],
        prop_oneof![3 => Just(None), 1 => Just(Some(9000_u16))],
        aliases,
        any::<bool>(),
        prop::bool::weighted(0.3),
    )
        .prop_map(
            |(instances, plain, port, health_port, aliases, elliptic, existing)| SiteWish {
                instances,
                plain,
                port,
                health_port,
                aliases: aliases.into_iter().map(|name| format!("{name}.example.com")).collect(),
                elliptic,
                existing,
            },
        )
}

fn wish() -> impl Strategy<Value = Wish> {
    let names = prop::sample::subsequence(vec!["www", "shop", "blog"], 1..=3);
    (
        names,
        prop::collection::vec(site(), 3),
        any::<bool>(),
        prop::bool::weighted(0.3),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
        0..3_usize,
        (prop::bool::weighted(0.2), prop::bool::weighted(0.2)),
    )
        .prop_map(
            |(names, wishes, renamed, internal, redirect, dual, elsewhere, holder, (stays_open, unproven))| {
                let mut sites = BTreeMap::new();
                for (index, (name, mut site)) in names.into_iter().zip(wishes).enumerate() {
                    // A name belongs to one site: the n-names to the one that holds them.
                    if index != holder {
                        site.aliases.clear();
                    }
                    if name == "shop" && site.plain {
                        site.aliases.push("*.shop.example.com".to_owned());
                    }
                    if index == (holder + 1) % 2 {
                        site.aliases.push("moved.example.com".to_owned());
                    }
                    if elsewhere {
                        site.instances = &["i-0c"];
                    }
                    sites.insert(if renamed && name == "www" { "web" } else { name }, site);
                }
                Wish {
                    sites,
                    internal,
                    redirect,
                    dual,
                    stays_open,
                    unproven,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_settled_world_becomes_any_other_without_a_failed_request(
        old in wish(),
        new in wish(),
        cut in 0..80_usize,
        unrecorded in any::<bool>(),
        mut seed in any::<u32>(),
    ) {
        let mut choose = |of: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % of
        };
        let from = settled(&old);
        let end = if unrecorded { End::Unrecorded(cut) } else { End::After(cut) };
        go(&from, &old, &new, end, &mut choose);
    }
}

#[test]
fn one_change_at_a_time_is_carried_on_from_everywhere() {
    let www = || ("www", SiteWish::default());
    let alone = Wish::of(&[www()]);
    let site = |change: fn(&mut SiteWish)| {
        let mut site = SiteWish::default();
        change(&mut site);
        Wish::of(&[("www", site)])
    };
    everywhere(&alone, &site(|site| site.port = 8443));
    everywhere(&alone, &site(|site| site.plain = true));
    everywhere(&alone, &site(|site| site.elliptic = true));
    everywhere(&alone, &site(|site| site.existing = true));
    everywhere(&alone, &site(|site| site.health_port = Some(9000)));
    everywhere(&alone, &site(|site| site.instances = &["i-0b"]));
    everywhere(&alone, &site(|site| site.instances = &["i-0a", "i-0b"]));
    everywhere(&alone, &site(|site| site.instances = &["i-0c"]));
}

#[test]
fn sites_that_come_go_and_trade_names_are_carried_on_from_everywhere() {
    let site = |aliases: &[&str]| SiteWish {
        aliases: aliases.iter().map(|name| format!("{name}.example.com")).collect(),
        ..SiteWish::default()
    };
    let existing = || SiteWish {
        existing: true,
        ..SiteWish::default()
    };
    let both = Wish::of(&[("shop", site(&["*.shop", "moved"])), ("www", site(&[]))]);
    // Another name of a site is another site: it has everything anew.
    everywhere(
        &both,
        &Wish::of(&[("shop", site(&["*.shop", "moved"])), ("web", site(&[]))]),
    );
    everywhere(
        &both,
        &Wish::of(&[("shop", site(&["*.shop"])), ("www", site(&["moved"]))]),
    );
    everywhere(&both, &Wish::of(&[("www", site(&[]))]));
    // One object that three sites share.
    let three = Wish::of(&[("blog", existing()), ("shop", existing()), ("www", existing())]);
    everywhere(&three, &Wish::of(&[("blog", existing()), ("www", existing())]));
}
