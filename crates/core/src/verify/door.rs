//! Whether an instance can be reached without the load balancer.

use std::net::{IpAddr, SocketAddr};

use super::{Phase, list};
use crate::{
    check::{Check, Verdict},
    value::InstanceId,
};

/// One port of one public address of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// The instance.
    pub instance: InstanceId,
    /// Its public address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Rules of its security groups that let everybody in, in words.
    pub open_rules: Vec<String>,
    /// Whether it should be closed at all.
    pub is_wanted_closed: bool,
    /// How far the move of its visitors is.
    pub phase: Phase,
}

/// Why no connection came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Nothing came back: what a security group does.
    Silent,
    /// The connection was refused: nothing listens, or a firewall on the instance says so.
    Refused,
    /// It could not be tried, for example because this machine has no IPv6.
    NotTried(String),
}

impl Door {
    /// Where to connect to.
    pub fn at(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Judges whether a connection came about.
    pub fn judge(&self, tried: &Result<(), Closed>) -> Check {
        let family = if self.address.is_ipv6() { " over IPv6" } else { "" };
        let about = format!("back door {}{family}", self.port);
        let at = self.at();
        let check = |message: String| Check::ok(self.instance.as_str(), about.clone(), message);
        let rules = list(&self.open_rules);
        let should_be_closed = self.is_wanted_closed && self.phase == Phase::Done;
        match tried {
            Ok(()) if !self.is_wanted_closed => {
                check(format!("{at} answers, as `lockdown.enabled = false` has it"))
            }
            Ok(()) if self.open_rules.is_empty() => check(format!("{at} answers this machine; no rule lets everybody in"))
                .but(
                    Verdict::Warning,
                    "a rule for this network lets visitors past the load balancer: remove it if that is not meant",
                ),
            Ok(()) if should_be_closed => check(format!("{at} answers without the load balancer, by {rules}")).but(
                Verdict::Failure,
                "run `reconcile`: it removes such rules for single web ports; `reconcile plan` tells what it leaves to you \
                 and why",
            ),
            Ok(()) => check(format!("{at} still answers without the load balancer")).but(Verdict::Warning, self.later()),
            Err(closed) if should_be_closed && !self.open_rules.is_empty() => check(format!(
                "{at} does not answer here ({closed}), but everybody is let in by {rules}"
            ))
            .but(
                Verdict::Warning,
                "run `reconcile`: it removes such rules for single web ports; `reconcile plan` tells what it leaves to you \
                 and why",
            ),
            Err(Closed::NotTried(said)) => check(format!("{at} cannot be tried from here: {said}")).but(
                Verdict::Unknown,
                "verify from a machine that reaches such addresses",
            ),
            Err(closed) => check(format!("{at} is closed ({closed})")),
        }
    }

    fn later(&self) -> String {
        match self.phase {
            Phase::Before => "it is closed once visitors have moved: run `reconcile`".to_owned(),
            Phase::Draining(Some(until)) => {
                format!("resolvers may remember the instance until {until}: run `reconcile` then, it closes the port")
            }
            Phase::OnTheWay | Phase::Draining(None) | Phase::Done => {
                "it is closed once resolvers have forgotten the instance: run `reconcile` again".to_owned()
            }
        }
    }
}

impl std::fmt::Display for Closed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Silent => "no answer",
            Self::Refused => "refused",
            Self::NotTried(said) => said,
        })
    }
}
