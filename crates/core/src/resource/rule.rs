//! Security group rules, one source or destination each (`aws-facts.md` 6.1).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::value::{CanonicalCidr, SecurityGroupId};

/// One rule: what may pass, and from or to whom. The direction is told by where the rule stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `all`.
    pub protocol: String,
    /// First and last port (ICMP: type and code); `None` where the protocol has none.
    pub ports: Option<(i32, i32)>,
    /// The other side.
    pub peer: Peer,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// An address range.
    Cidr(CanonicalCidr),
    /// Whatever carries this security group.
    Group(SecurityGroupId),
    /// A prefix list.
    PrefixList(String),
}

/// Why a text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a security group rule, expected for example `tcp 443 0.0.0.0/0`")]
pub struct RuleError {
    /// What was written.
    pub text: String,
}

impl Rule {
    /// A rule for one TCP port.
    pub fn tcp(port: u16, peer: Peer) -> Self {
        Self {
            protocol: "tcp".into(),
            ports: Some((port.into(), port.into())),
            peer,
        }
    }

    /// A rule from what the API answers: protocol names and numbers agree, `all` has no ports.
    pub fn normalised(protocol: &str, from: Option<i32>, to: Option<i32>, peer: Peer) -> Self {
        let protocol = match protocol {
            "-1" | "all" => "all",
            "6" => "tcp",
            "17" => "udp",
            "1" => "icmp",
            "58" => "icmpv6",
            other => other,
        };
        let has_ports = matches!(protocol, "tcp" | "udp" | "icmp" | "icmpv6");
        let ports = has_ports.then(|| (from.unwrap_or(-1), to.unwrap_or(-1)));
        Self {
            protocol: protocol.to_owned(),
            ports,
            peer,
        }
    }

    /// Whether TCP connections to `port` pass by this rule.
    pub fn admits_tcp(&self, port: u16) -> bool {
        let port = i32::from(port);
        match (self.protocol.as_str(), self.ports) {
            ("all", _) => true,
            ("tcp", Some((from, to))) => from <= port && port <= to,
            _ => false,
        }
    }

    /// The port of a rule for exactly one TCP port.
    pub fn exact_tcp_port(&self) -> Option<u16> {
        match (self.protocol.as_str(), self.ports) {
            ("tcp", Some((from, to))) if from == to => u16::try_from(from).ok(),
            _ => None,
        }
    }

    /// Whether the other side is every address of a family.
    pub fn is_world_open(&self) -> bool {
        matches!(&self.peer, Peer::Cidr(cidr) if cidr.is_world())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cidr(cidr) => cidr.fmt(formatter),
            Self::Group(group) => group.fmt(formatter),
            Self::PrefixList(list) => formatter.write_str(list),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ports {
            None => write!(formatter, "{} {}", self.protocol, self.peer),
            Some((from, to)) if from == to => write!(formatter, "{} {from} {}", self.protocol, self.peer),
            Some((from, to)) => write!(formatter, "{} {from}..{to} {}", self.protocol, self.peer),
        }
    }
}

impl FromStr for Peer {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || RuleError { text: text.to_owned() };
        if text.starts_with("sg-") {
            text.parse().map(Self::Group).map_err(|_| error())
        } else if text.starts_with("pl-") {
            Ok(Self::PrefixList(text.to_owned()))
        } else {
            text.parse().map(Self::Cidr).map_err(|_| error())
        }
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || RuleError { text: text.to_owned() };
        let parts: Vec<&str> = text.split(' ').collect();
        match parts.as_slice() {
            [protocol, peer] => Ok(Self {
                protocol: (*protocol).to_owned(),
                ports: None,
                peer: peer.parse()?,
            }),
            [protocol, ports, peer] => {
                let (from, to) = ports.split_once("..").unwrap_or((ports, ports));
                let ports = (from.parse().map_err(|_| error())?, to.parse().map_err(|_| error())?);
                Ok(Self {
                    protocol: (*protocol).to_owned(),
                    ports: Some(ports),
                    peer: peer.parse()?,
                })
            }
            _ => Err(error()),
        }
    }
}

impl TryFrom<String> for Rule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_survive_being_written_and_read() {
        for text in [
            "tcp 443 0.0.0.0/0",
            "tcp 80..443 sg-0a1b",
            "all ::/0",
            "icmp -1 10.0.0.0/8",
            "udp 53 pl-12",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert!("tcp 443".parse::<Rule>().is_err());
    }

    #[test]
    fn numbers_and_names_of_protocols_agree() {
        let peer: Peer = "0.0.0.0/0".parse().unwrap();
        assert_eq!(
            Rule::normalised("6", Some(443), Some(443), peer.clone()),
            Rule::tcp(443, peer.clone())
        );
        let all = Rule::normalised("-1", Some(-1), Some(-1), peer);
        assert_eq!(all.to_string(), "all 0.0.0.0/0");
        assert!(all.admits_tcp(443) && all.exact_tcp_port().is_none() && all.is_world_open());
    }
}
