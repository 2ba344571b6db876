//! Addresses that are given instead of asked for.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::options::{parse_host, parse_port, split_fields};

/// Addresses for a name in the syntax and with the meaning of curl's `--resolve HOST:PORT:ADDR[,ADDR]...`: who would ask
/// DNS for HOST to connect to PORT takes these addresses.
///
/// IPv6 addresses may stand in brackets. `*` as HOST stands for every name that no other entry is for, and, other than in
/// curl, not for addresses. It counts after detours ([`ConnectTo`](crate::ConnectTo)). A leading `+`, which lets curl
/// forget the entry after a while, means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolve {
    /// `None` is `*`.
    host: Option<String>,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// A text that is no [`Resolve`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not of the form HOST:PORT:ADDR[,ADDR]...: {reason}")]
pub struct ParseResolveError {
    text: String,
    reason: String,
}

impl Resolve {
    /// The addresses; at least one.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether it names just this host and port.
    pub(crate) fn is_for(&self, host: &str, port: u16) -> bool {
        let named = self.host.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(host));
        named && self.port == port
    }

    /// Whether it is for every name, and `host` is one.
    pub(crate) fn is_for_any(&self, host: &str, port: u16) -> bool {
        self.host.is_none() && self.port == port && host.parse::<IpAddr>().is_err()
    }
}

impl FromStr for Resolve {
    type Err = ParseResolveError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| ParseResolveError {
            text: text.to_owned(),
            reason,
        };
        let entry = text.strip_prefix('+').unwrap_or(text);
        let fields = split_fields(entry).map_err(&error)?;
        // Addresses of IPv6 have colons of their own, which need no brackets here.
        let [host, port, ..] = fields.as_slice() else {
            return Err(error(
                "expected a name, a port and addresses, separated by colons".to_owned(),
            ));
        };
        let addresses = entry.get(host.len() + port.len() + 2..).unwrap_or_default();
        let host = match *host {
            "*" => None,
            host => match parse_host(host).map_err(&error)? {
                Some(host) => Some(crate::url::normalize_host(&host)),
                None => return Err(error("HOST is empty".to_owned())),
            },
        };
        let Some(port) = parse_port("PORT", port).map_err(&error)? else {
            return Err(error("PORT is empty".to_owned()));
        };
        let addresses: Result<Vec<IpAddr>, String> = addresses.split(',').map(address).collect();
        Ok(Self {
            host,
            port,
            addresses: addresses.map_err(&error)?,
        })
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let parsed = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse().ok(),
    };
    parsed.ok_or_else(|| format!("`{text}` is not an IP address"))
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().map_or("*".to_owned(), crate::url::bracketed);
        let addresses = self.addresses.iter().map(|it| crate::url::bracketed(&it.to_string()));
        let addresses: Vec<String> = addresses.collect();
        write!(f, "{host}:{}:{}", self.port, addresses.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolve_means_what_curl_means() {
        for (text, host, port, matches) in [
            ("www.example.com:443:192.0.2.1", "WWW.example.com", 443, true),
            ("www.example.com:443:192.0.2.1", "www.example.com", 80, false),
            ("www.example.com:443:192.0.2.1", "example.com", 443, false),
            ("+www.example.com.:443:192.0.2.1", "www.example.com", 443, true),
        ] {
            let given: Resolve = text.parse().unwrap();
            assert_eq!(given.is_for(host, port), matches, "{text} for {host}:{port}");
            assert!(!given.is_for_any(host, port));
        }
        let any: Resolve = "*:443:192.0.2.1".parse().unwrap();
        assert!(any.is_for_any("www.example.com", 443) && !any.is_for_any("www.example.com", 80));
        assert!(!any.is_for_any("192.0.2.9", 443), "an address is meant itself");
    }

    #[test]
    fn addresses_come_as_a_list_with_or_without_brackets() {
        for (text, printed) in [
            ("a:1:192.0.2.1,192.0.2.2", "a:1:192.0.2.1,192.0.2.2"),
            ("a:1:[2001:db8::1],192.0.2.1", "a:1:[2001:db8::1],192.0.2.1"),
            ("a:1:2001:db8::1", "a:1:[2001:db8::1]"),
            ("*:443:::1", "*:443:[::1]"),
        ] {
            assert_eq!(text.parse::<Resolve>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn bad_resolve_says_why() {
        for (text, reason) in [
            ("www.example.com", "expected a name, a port"),
            ("a:443", "`` is not an IP address"),
            ("a:443:", "`` is not an IP address"),
            ("a:https:192.0.2.1", "PORT is `https`"),
            ("a::192.0.2.1", "PORT is empty"),
            (":443:192.0.2.1", "HOST is empty"),
            ("a:443:lb.example.net", "`lb.example.net` is not an IP address"),
            ("a:443:192.0.2.1,,192.0.2.2", "`` is not an IP address"),
            ("a:443:[192.0.2.1]", "`[192.0.2.1]` is not an IP address"),
        ] {
            let message = text.parse::<Resolve>().unwrap_err().to_string();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
