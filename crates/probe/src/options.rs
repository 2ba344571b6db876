//! How the network is reached: the options a user can give, and their syntax.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::resolve::Resolve;

/// How a [`Network`](crate::Network) reaches the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkOptions {
    /// The DNS server that is asked; without it the system's resolver configuration (and its hosts
    /// file) is used.
    pub dns_server: Option<DnsServer>,
    /// A PEM file whose certificates are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Detours, the first that matches wins: see [`ConnectTo`].
    pub connect_to: Vec<ConnectTo>,
    /// Names whose addresses are given instead of asked for: see [`Resolve`].
    pub resolve: Vec<Resolve>,
    /// How long one attempt to ask a DNS server may take; an unanswered query is sent once more.
    pub dns_timeout: Duration,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            dns_server: None,
            ca_file: None,
            connect_to: Vec::new(),
            resolve: Vec::new(),
            dns_timeout: Duration::from_secs(3),
        }
    }
}

/// The address of a DNS server, written `ADDR`, `ADDR:PORT` or `[V6ADDR]:PORT`; the port is 53
/// unless given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DnsServer(pub SocketAddr);

/// A text that is no address of a DNS server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not the address of a DNS server: expected an IP address with an optional port, such as `192.0.2.53`, \
     `127.0.0.1:5353` or `[2001:db8::53]:53`"
)]
pub struct ParseDnsServerError {
    text: String,
}

impl FromStr for DnsServer {
    type Err = ParseDnsServerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const PORT: u16 = 53;
        let trimmed = text.trim();
        let bracketed = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = if let Ok(address) = trimmed.parse::<SocketAddr>() {
            Some(address)
        } else if let Ok(ip) = trimmed.parse::<IpAddr>() {
            Some(SocketAddr::new(ip, PORT))
        } else {
            bracketed
                .and_then(|inner| inner.parse::<Ipv6Addr>().ok())
                .map(|ip| SocketAddr::new(ip.into(), PORT))
        };
        address
            .filter(|address| address.port() != 0)
            .map(Self)
            .ok_or_else(|| ParseDnsServerError { text: text.to_owned() })
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A detour in the syntax and with the meaning of curl's `--connect-to HOST1:PORT1:HOST2:PORT2`:
/// who would connect to HOST1:PORT1 connects to HOST2:PORT2 instead.
///
/// It changes the connection only: SNI, the name the certificate is checked against and the Host
/// header stay. An empty HOST1 or PORT1 matches any, an empty HOST2 or PORT2 keeps the requested
/// one; IPv6 addresses stand in brackets. Hosts are compared as text, without regard to case, and
/// never resolved for the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectTo {
    from_host: Option<String>,
    from_port: Option<u16>,
    to_host: Option<String>,
    to_port: Option<u16>,
}

/// A text that is no [`ConnectTo`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not of the form HOST1:PORT1:HOST2:PORT2: {reason}")]
pub struct ParseConnectToError {
    text: String,
    reason: String,
}

impl ConnectTo {
    /// The host and port to connect to instead, when this detour is for `host` and `port` and
    /// changes one of them.
    pub fn apply(&self, host: &str, port: u16) -> Option<(String, u16)> {
        let host_matches = self
            .from_host
            .as_ref()
            .is_none_or(|from| from.eq_ignore_ascii_case(host));
        let port_matches = self.from_port.is_none_or(|from| from == port);
        if !host_matches || !port_matches {
            return None;
        }
        // curl passes over an entry that names no target and looks at the next one.
        if self.to_host.is_none() && self.to_port.is_none() {
            return None;
        }
        let to_host = self.to_host.clone().unwrap_or_else(|| host.to_owned());
        Some((to_host, self.to_port.unwrap_or(port)))
    }
}

impl FromStr for ConnectTo {
    type Err = ParseConnectToError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: String| ParseConnectToError {
            text: text.to_owned(),
            reason,
        };
        let fields = split_fields(text).map_err(&error)?;
        let [from_host, from_port, to_host, rest @ ..] = fields.as_slice() else {
            let count = fields.len();
            return Err(error(format!(
                "expected four parts separated by colons, found {count} (parts may be empty, as in `::127.0.0.1:8443`)"
            )));
        };
        // As in curl, a missing PORT2 is an empty one.
        let to_port = match rest {
            [] => "",
            [port] => port,
            _ => {
                return Err(error(
                    "more than four parts (an IPv6 address must stand in brackets, as in `[::1]`)".to_owned(),
                ));
            }
        };
        Ok(Self {
            from_host: parse_host(from_host).map_err(&error)?,
            from_port: parse_port("PORT1", from_port).map_err(&error)?,
            to_host: parse_host(to_host).map_err(&error)?,
            to_port: parse_port("PORT2", to_port).map_err(&error)?,
        })
    }
}

impl fmt::Display for ConnectTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |host: &Option<String>| match host {
            Some(host) => crate::url::bracketed(host),
            None => String::new(),
        };
        let port = |port: Option<u16>| port.map(|port| port.to_string()).unwrap_or_default();
        write!(
            f,
            "{}:{}:{}:{}",
            host(&self.from_host),
            port(self.from_port),
            host(&self.to_host),
            port(self.to_port)
        )
    }
}

impl ConnectTo {
    /// The way to one address that is meant itself: detours that send everybody elsewhere do not count, those that name
    /// the address or change only the port do.
    pub(crate) fn apply_to_address(&self, address: SocketAddr) -> Option<(String, u16)> {
        let meant = self.to_host.is_none() || self.from_host.is_some();
        meant
            .then(|| self.apply(&address.ip().to_string(), address.port()))
            .flatten()
    }

    /// The way to a DNS server: only detours that name its port count, as others are about web servers.
    pub(crate) fn apply_to_dns(&self, server: SocketAddr) -> Option<(String, u16)> {
        (self.from_port == Some(server.port()))
            .then(|| self.apply_to_address(server))
            .flatten()
    }
}

/// Splits at colons that do not stand in brackets.
pub(crate) fn split_fields(text: &str) -> Result<Vec<&str>, String> {
    let mut fields = Vec::new();
    let mut start = 0;
    let mut in_brackets = false;
    for (position, character) in text.char_indices() {
        match character {
            '[' if position == start => in_brackets = true,
            ']' if in_brackets => in_brackets = false,
            ':' if !in_brackets => {
                fields.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    if in_brackets {
        return Err("a bracket is opened and not closed".to_owned());
    }
    fields.push(&text[start..]);
    Ok(fields)
}

pub(crate) fn parse_host(field: &str) -> Result<Option<String>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    if let Some(rest) = field.strip_prefix('[') {
        let inner = rest.strip_suffix(']').unwrap_or(rest);
        return match inner.parse::<Ipv6Addr>() {
            Ok(_) if rest.ends_with(']') => Ok(Some(inner.to_owned())),
            _ => Err(format!("`{field}` is not an IPv6 address in brackets")),
        };
    }
    let foreign = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '[' | ']' | '@');
    if field.contains(foreign) {
        return Err(format!("`{field}` is not a host name"));
    }
    Ok(Some(field.to_owned()))
}

pub(crate) fn parse_port(which: &str, field: &str) -> Result<Option<u16>, String> {
    if field.is_empty() {
        return Ok(None);
    }
    // `parse` alone would admit a leading plus sign.
    let digits = field.bytes().all(|byte| byte.is_ascii_digit());
    match field.parse::<u16>() {
        Ok(port) if digits && port != 0 => Ok(Some(port)),
        _ => Err(format!("{which} is `{field}`, expected a number from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, host: &str, port: u16) -> Option<(String, u16)> {
        text.parse::<ConnectTo>().unwrap().apply(host, port)
    }

    #[test]
    fn connect_to_means_what_curl_means() {
        let to = |host: &str, port| Some((host.to_owned(), port));
        let cases = [
            (
                "www.example.com:443:lb.example.net:8443",
                "www.example.com",
                443,
                to("lb.example.net", 8443),
            ),
            ("WWW.example.com:443:lb:1", "www.EXAMPLE.com", 443, to("lb", 1)),
            ("www.example.com:443:lb:1", "www.example.com", 80, None),
            ("www.example.com:443:lb:1", "example.com", 443, None),
            ("::127.0.0.1:8443", "any", 443, to("127.0.0.1", 8443)),
            (":443::8443", "any", 443, to("any", 8443)),
            (":443::8443", "any", 80, None),
            ("www.example.com::lb:", "www.example.com", 8080, to("lb", 8080)),
            ("www.example.com::lb", "www.example.com", 8080, to("lb", 8080)),
            ("[::1]:443:[2001:db8::1]:8443", "::1", 443, to("2001:db8::1", 8443)),
            (":::", "any", 443, None),
        ];
        for (text, host, port, expected) in cases {
            assert_eq!(apply(text, host, port), expected, "{text} for {host}:{port}");
        }
    }

    #[test]
    fn connect_to_is_printed_as_it_was_written() {
        for text in [
            "a:443:b:8443",
            "::127.0.0.1:8443",
            ":443::8443",
            "[::1]:443:[2001:db8::1]:1",
        ] {
            assert_eq!(text.parse::<ConnectTo>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_connect_to_says_why() {
        let cases = [
            ("", "found 1"),
            ("www.example.com:443", "found 2"),
            ("a:1:b:2:c", "more than four parts"),
            ("::1:443:b:2", "more than four parts"),
            ("a:https:b:2", "PORT1 is `https`"),
            ("a:1:b:65536", "PORT2 is `65536`"),
            ("a:+1:b:2", "PORT1 is `+1`"),
            ("a:0:b:2", "PORT1 is `0`"),
            ("[::1:443:b:2", "not closed"),
            ("[nonsense]:443:b:2", "not an IPv6 address"),
            ("https://a:1:b", "PORT1 is `//a`"),
            ("a b:1:c:2", "not a host name"),
        ];
        for (text, reason) in cases {
            let message = text.parse::<ConnectTo>().unwrap_err().to_string();
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn dns_server_has_port_53_unless_given() {
        let cases = [
            ("192.0.2.53", "192.0.2.53:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("2001:db8::53", "[2001:db8::53]:53"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<DnsServer>().unwrap().to_string(), expected);
        }
        for text in [
            "",
            "dns.example.com",
            "192.0.2.53:",
            "192.0.2.53:0",
            "192.0.2.53:x",
            "[192.0.2.53]",
        ] {
            assert!(text.parse::<DnsServer>().is_err(), "{text}");
        }
    }
}
