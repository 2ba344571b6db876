//! Configurations, drawn by proptest's strategies.

use std::{collections::BTreeMap, fmt::Write};

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config as ProptestConfig, RngAlgorithm, TestRng, TestRunner},
};
use reconcile_core::config::Config;

use crate::dice::Dice;

/// The certificate that somebody else made, for every name.
pub(crate) const EXISTING: &str = "arn:aws:acm:ap-northeast-1:123456789012:certificate/0";
/// Names that move between sites.
pub(crate) const SPARE_NAMES: [&str; 4] = ["n0", "n1", "n2", "n3"];

/// What may be asked for.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Sites by name.
    pub(crate) sites: BTreeMap<&'static str, SiteWish>,
    pub(crate) internal: bool,
    pub(crate) redirect: bool,
    pub(crate) dual: bool,
    pub(crate) stays_open: bool,
    pub(crate) unproven: bool,
    pub(crate) hsts: bool,
    pub(crate) tagged: bool,
    /// How long a run stays for a drain, in seconds.
    pub(crate) wait: u32,
}

/// What may be asked for of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteWish {
    pub(crate) instances: &'static [&'static str],
    pub(crate) plain: bool,
    pub(crate) port: u16,
    pub(crate) health_port: Option<u16>,
    pub(crate) aliases: Vec<&'static str>,
    pub(crate) elliptic: bool,
    pub(crate) existing: bool,
    pub(crate) delay: Option<u32>,
}

impl Wish {
    /// A wish drawn by these dice.
    pub(crate) fn draw(dice: &Dice) -> Self {
        let seed: Vec<u8> = (0..4).flat_map(|_| dice.roll().to_le_bytes()).collect();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        wish().new_tree(&mut runner).unwrap().current()
    }

    /// This wish, or another one: all anew, or in one regard.
    pub(crate) fn next(&self, dice: &Dice) -> Self {
        let other = Self::draw(dice);
        let mut next = self.clone();
        match dice.below(8) {
            0 => next.redirect = !next.redirect,
            1 => next.hsts = !next.hsts,
            2 => next.tagged = !next.tagged,
            3 => next.dual = !next.dual,
            4 | 5 => {
                // One site as in the other wish, with the names that it has.
                for (name, site) in &mut next.sites {
                    if let Some(other) = other.sites.get(name)
                        && dice.chance(60)
                        && site.instances != ["i-0c"]
                        && other.instances != ["i-0c"]
                    {
                        let aliases = std::mem::take(&mut site.aliases);
                        *site = other.clone();
                        site.aliases = aliases;
                    }
                }
            }
            _ => next = other,
        }
        next
    }

    pub(crate) fn text(&self) -> String {
        let mut text = "name = \"web\"\nregion = \"ap-northeast-1\"\n".to_owned();
        if self.tagged {
            text.push_str("tags = { team = \"web\" }\n");
        }
        text.push_str("[load_balancer]\n");
        if self.internal {
            text.push_str("scheme = \"internal\"\n");
        }
        if self.redirect {
            text.push_str("http = \"redirect\"\n");
        }
        if self.dual {
            text.push_str("ip_address_type = \"dualstack\"\n");
        }
        if self.hsts {
            text.push_str("hsts = \"max-age=86400\"\n");
        }
        if self.unproven {
            text.push_str("[prove]\nrequest = \"off\"\n");
        }
        let _ = writeln!(
            text,
            "[lockdown]\nenabled = {}\nwait = \"{}s\"",
            !self.stays_open, self.wait
        );
        for (name, site) in &self.sites {
            // `web` is `www` by another name.
            let domain = if *name == "web" { "www" } else { name };
            let aliases: Vec<String> = site.aliases.iter().map(|name| format!("{name}.example.com")).collect();
            let _ = writeln!(text, "[site.{name}]\ndomain = \"{domain}.example.com\"");
            let _ = writeln!(text, "instances = {:?}\naliases = {aliases:?}", site.instances);
            let _ = writeln!(text, "health.path = \"/\"\nports.backend = {}", site.port);
            if let Some(port) = site.health_port {
                let _ = writeln!(text, "health.port = {port}");
            }
            if let Some(delay) = site.delay {
                let _ = writeln!(text, "deregistration_delay = \"{delay}s\"");
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
        text
    }

    pub(crate) fn config(&self) -> Config {
        let text = self.text();
        Config::read("reconcile.toml", &text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
    }
}

fn site() -> impl Strategy<Value = SiteWish> {
    (
        prop_oneof![Just(&["i-0a"][..]), Just(&["i-0b"][..]), Just(&["i-0a", "i-0b"][..])],
        prop::bool::weighted(0.3),
        prop_oneof![2 => Just(443_u16), 1 => Just(8443)],
        prop_oneof![3 => Just(None), 1 => Just(Some(9000_u16))],
        prop::sample::subsequence(SPARE_NAMES.to_vec(), 0..=3),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
        prop_oneof![3 => Just(None), 1 => Just(Some(30_u32))],
    )
        .prop_map(
            |(instances, plain, port, health_port, aliases, elliptic, existing, delay)| SiteWish {
                instances,
                plain,
                port,
                health_port,
                aliases,
                elliptic,
                existing,
                delay,
            },
        )
}

fn wish() -> impl Strategy<Value = Wish> {
    let sites = prop_oneof![
        3 => Just(vec!["www"]),
        2 => prop::sample::subsequence(vec!["www", "shop", "blog"], 2),
        1 => Just(vec!["www", "shop", "blog"]),
    ];
    let rare = || prop::bool::weighted(0.15);
    (
        (sites, prop::collection::vec(site(), 3), rare(), rare(), 0..3_usize),
        (rare(), any::<bool>(), prop::bool::weighted(0.3), rare(), rare()),
        (rare(), any::<bool>(), prop_oneof![Just(120_u32), Just(120), Just(3600)]),
    )
        .prop_map(
            |((names, wishes, renamed, elsewhere, holder), (internal, redirect, dual, open, unproven), more)| {
                let (hsts, tagged, wait) = more;
                let sites = names
                    .into_iter()
                    .zip(wishes)
                    .enumerate()
                    .map(|(index, (name, mut site))| {
                        // A name belongs to one site: the spare ones to the one that holds them.
                        if index != holder {
                            site.aliases.clear();
                        }
                        if name == "shop" && site.plain {
                            site.aliases.push("*.shop");
                        }
                        if index == (holder + 1) % 2 {
                            site.aliases.push("moved");
                        }
                        if elsewhere {
                            site.instances = &["i-0c"];
                        }
                        (if renamed && name == "www" { "web" } else { name }, site)
                    });
                Wish {
                    sites: sites.collect(),
                    internal,
                    redirect,
                    dual,
                    stays_open: open,
                    unproven,
                    hsts,
                    tagged,
                    wait,
                }
            },
        )
}
