//! Where a name leads: to the load balancer, and not to the instances any more.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Phase, list};
use crate::{
    check::{Check, Verdict},
    value::DomainName,
};

/// The addresses of a name, asked in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The name.
    pub name: DomainName,
    /// Of which family.
    pub family: Family,
    /// Who is asked.
    pub place: Place,
    /// The port that visitors connect to.
    pub port: u16,
    /// The load balancer's own DNS name. Its addresses change at will (`aws-facts.md` 3), so they are asked for too.
    pub load_balancer: Option<String>,
    /// Addresses of the site's instances, which the name must not lead to.
    pub instances: BTreeSet<IpAddr>,
    /// How far the name's move is.
    pub phase: Phase,
}

/// A family of addresses, by its record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
}

impl Family {
    /// The record type as DNS writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::A => "IPv4",
            Self::Aaaa => "IPv6",
        }
    }
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Each of the hosted zone's own name servers: what the world will see.
    NameServers(BTreeSet<String>),
    /// The resolver: what visitors from here see.
    Resolver,
}

/// What one server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressAnswer {
    /// The server.
    pub server: String,
    /// The addresses; none if the name has none of the family.
    pub addresses: Result<BTreeSet<IpAddr>, NoAddress>,
}

/// Why a server answered no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAddress {
    /// The name does not exist.
    NoSuchName,
    /// It refused the question, or failed.
    Refused(String),
    /// It could not be asked from here.
    NotAsked(String),
    /// An option gives the address, so nobody was asked.
    Given,
}

/// What is wrong with an answer, from the least to the worst.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Elsewhere(String),
    None(String),
    Instance(String),
    Refused(String),
}

impl Addresses {
    /// Judges what the servers answered. `load_balancer` are the addresses of the load balancer's own name of the same
    /// family, or why they are not known.
    pub fn judge(&self, answers: &[AddressAnswer], load_balancer: &Result<BTreeSet<IpAddr>, String>) -> Check {
        let mut wrong = Vec::new();
        let mut silent = Vec::new();
        let mut seen: BTreeSet<IpAddr> = BTreeSet::new();
        for answer in answers {
            match &answer.addresses {
                Ok(addresses) => {
                    wrong.extend(self.wrong(&answer.server, addresses, load_balancer));
                    seen.extend(addresses);
                }
                Err(NoAddress::NoSuchName) => {
                    wrong.push(Wrong::None(format!("{} knows no such name (NXDOMAIN)", answer.server)));
                }
                Err(NoAddress::Refused(said)) => wrong.push(Wrong::Refused(format!("{} {said}", answer.server))),
                Err(NoAddress::NotAsked(said)) => silent.push(format!("{}: {said}", answer.server)),
                Err(NoAddress::Given) => {
                    return self
                        .check(format!(
                            "`--resolve` gives the address for port {}, DNS was not asked",
                            self.port
                        ))
                        .but(Verdict::Unknown, "");
                }
            }
        }
        if let Some(worst) = wrong.into_iter().max() {
            return self.failed(&worst);
        }
        if silent.len() == answers.len() {
            return self
                .check(format!("could not be asked from here: {}", list(silent)))
                .but(
                    Verdict::Unknown,
                    match self.place {
                        Place::NameServers(_) => {
                            "let DNS (port 53, UDP and TCP) out of this network, or verify elsewhere"
                        }
                        Place::Resolver => "check this machine's resolver, or name one with `--dns-server`",
                    },
                );
        }
        let leads = format!("leads to the load balancer ({})", list(&seen));
        match load_balancer {
            Ok(expected) if expected.is_empty() && seen.is_empty() => self
                .check(format!(
                    "the load balancer's own name has no {} address",
                    self.family.words()
                ))
                .but(
                    Verdict::Warning,
                    "wait a minute after a change of `ip_address_type`, then verify again",
                ),
            Ok(_) if silent.is_empty() => self.check(leads),
            Ok(_) => self.check(format!("{leads}; not asked: {}", list(silent))),
            Err(said) => self
                .check(format!(
                    "leads to {} and not to an instance; the load balancer's own name cannot be compared: {said}",
                    list(&seen)
                ))
                .but(Verdict::Unknown, "verify again, or name a resolver with `--dns-server`"),
        }
    }

    fn wrong(
        &self,
        server: &str,
        addresses: &BTreeSet<IpAddr>,
        load_balancer: &Result<BTreeSet<IpAddr>, String>,
    ) -> Option<Wrong> {
        let at_instance: Vec<&IpAddr> = addresses.intersection(&self.instances).collect();
        if !at_instance.is_empty() {
            let address = list(at_instance);
            return Some(Wrong::Instance(format!("{server} leads to the instance ({address})")));
        }
        let Ok(expected) = load_balancer else { return None };
        if addresses.is_empty() {
            return (!expected.is_empty())
                .then(|| Wrong::None(format!("{server} knows no {} address of the name", self.family.words())));
        }
        addresses.is_disjoint(expected).then(|| {
            Wrong::Elsewhere(format!(
                "{server} leads elsewhere ({}) than to the load balancer ({})",
                list(addresses),
                if expected.is_empty() {
                    "which has no such address".to_owned()
                } else {
                    list(expected)
                }
            ))
        })
    }

    fn failed(&self, wrong: &Wrong) -> Check {
        let (Wrong::Elsewhere(message) | Wrong::None(message) | Wrong::Instance(message) | Wrong::Refused(message)) =
            wrong;
        let check = self.check(message.clone());
        match (self.phase, &self.place, wrong) {
            (Phase::Before, ..) => check.but(Verdict::Failure, "run `reconcile`: the name was not moved yet"),
            (Phase::OnTheWay, ..) => check.but(
                Verdict::Warning,
                "the change is on its way to Route 53's servers: verify again in a minute",
            ),
            (Phase::Draining(until), Place::Resolver, _) => check.but(
                Verdict::Warning,
                match until {
                    Some(until) => {
                        format!("resolvers may remember what stood there before until {until}: verify again then")
                    }
                    None => "resolvers may remember what stood there before: verify again later".to_owned(),
                },
            ),
            (_, Place::NameServers(_), Wrong::Refused(_)) => check.but(
                Verdict::Failure,
                "compare the name servers of the hosted zone with its NS record set",
            ),
            (_, Place::NameServers(_), _) => check.but(
                Verdict::Failure,
                "somebody changed the record: `reconcile plan` shows what stands there and how it is put right",
            ),
            (_, Place::Resolver, _) => check.but(
                Verdict::Failure,
                "check the delegation of the zone, and that no resolver, private zone or hosts file on the way answers \
                 something of its own",
            ),
        }
    }

    fn check(&self, message: String) -> Check {
        let place = match self.place {
            Place::NameServers(_) => "name servers",
            Place::Resolver => "resolver",
        };
        Check::ok(
            self.name.as_str(),
            format!("{} at the {place}", self.family.name()),
            message,
        )
    }
}
