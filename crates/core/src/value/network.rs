//! Address ranges in the canonical form that EC2 stores.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An address range with its host bits cleared, as EC2 stores it (`aws-facts.md` 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CanonicalCidr(IpNet);

/// Why a text is not an address range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not an address range such as `203.0.113.0/24` or `2001:db8::/32`")]
pub struct CidrError {
    /// What was written.
    pub text: String,
}

impl CanonicalCidr {
    /// Every IPv4 address.
    pub const WORLD_IPV4: Self = Self(IpNet::V4(ipnet::Ipv4Net::new_assert(
        std::net::Ipv4Addr::UNSPECIFIED,
        0,
    )));
    /// Every IPv6 address.
    pub const WORLD_IPV6: Self = Self(IpNet::V6(ipnet::Ipv6Net::new_assert(
        std::net::Ipv6Addr::UNSPECIFIED,
        0,
    )));

    /// Whether the range is every address of its family.
    pub fn is_world(&self) -> bool {
        self.0.prefix_len() == 0
    }

    /// Whether the range is one of IPv4 addresses.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// Whether `address` lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for CanonicalCidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<IpNet>()
            .map(|net| Self(net.trunc()))
            .map_err(|_| CidrError { text: text.to_owned() })
    }
}

impl TryFrom<String> for CanonicalCidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CanonicalCidr> for String {
    fn from(cidr: CanonicalCidr) -> Self {
        cidr.0.to_string()
    }
}

impl fmt::Display for CanonicalCidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_cleared_and_spellings_agree() {
        let cidr = |text: &str| text.parse::<CanonicalCidr>().unwrap();
        assert_eq!(cidr("100.68.0.18/18").to_string(), "100.68.0.0/18");
        assert_eq!(cidr("0:0::/0"), CanonicalCidr::WORLD_IPV6);
        assert!(cidr("0.0.0.0/0").is_world());
        assert!("10.0.0.1".parse::<CanonicalCidr>().is_err());
    }
}
