//! The little of URLs that redirects need: taking a `Location` apart and resolving it against the
//! page it came from.

use std::fmt;
use std::net::Ipv6Addr;

use crate::request::Scheme;

/// An absolute `http` or `https` URL, normalised so that equal places are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    /// Lower case, without brackets and without a final dot.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query; never empty, never with a fragment.
    pub(crate) path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, authority(self.scheme, &self.host, self.port))?;
        f.write_str(&self.path)
    }
}

/// A host as it stands in a URL or a Host header: IPv6 addresses in brackets.
pub(crate) fn bracketed(host: &str) -> String {
    if host.parse::<Ipv6Addr>().is_ok() {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// Host and port as they stand in a URL or a Host header: the scheme's own port is left out.
pub(crate) fn authority(scheme: Scheme, host: &str, port: u16) -> String {
    if port == scheme.default_port() {
        bracketed(host)
    } else {
        format!("{}:{port}", bracketed(host))
    }
}

/// Host names are equal without regard to case and to the dot at the end.
pub(crate) fn normalize_host(host: &str) -> String {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    inner.strip_suffix('.').unwrap_or(inner).to_ascii_lowercase()
}

impl Url {
    /// The URL that `reference` (a `Location` header) means on this page, by RFC 3986 section 5.2;
    /// an error says what is wrong with it.
    pub(crate) fn join(&self, reference: &str) -> Result<Self, String> {
        let reference = reference.trim().split('#').next().unwrap_or_default();
        if let Some((scheme, rest)) = split_scheme(reference) {
            let scheme = match scheme.to_ascii_lowercase().as_str() {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                other => return Err(format!("`{other}` is neither http nor https")),
            };
            let rest = rest.strip_prefix("//").ok_or("it names no host")?;
            return Self::with_authority(scheme, rest);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::with_authority(self.scheme, rest);
        }
        let here = self.path.split('?').next().unwrap_or("/");
        let path = if reference.is_empty() {
            self.path.clone()
        } else if reference.starts_with('/') {
            normalize_path(reference)
        } else if reference.starts_with('?') {
            format!("{here}{reference}")
        } else {
            let folder = here.rfind('/').map_or("/", |slash| &here[..=slash]);
            normalize_path(&format!("{folder}{reference}"))
        };
        Ok(Self {
            path: encoded(&path),
            ..self.clone()
        })
    }

    fn with_authority(scheme: Scheme, rest: &str) -> Result<Self, String> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = match authority.rfind(':') {
            Some(colon) if !authority.ends_with(']') => (&authority[..colon], &authority[colon + 1..]),
            _ => (authority, ""),
        };
        let port = if port.is_empty() {
            scheme.default_port()
        } else {
            port.parse().map_err(|_| format!("`{port}` is not a port"))?
        };
        let host = normalize_host(host);
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            scheme,
            host,
            port,
            path: encoded(&normalize_path(&path)),
        })
    }
}

/// The scheme before the first colon, if what stands there is one.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let first = scheme.bytes().next()?;
    let valid = first.is_ascii_alphabetic()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

/// Removes `.` and `..` segments from a path that begins with a slash; a query stays as it is.
fn normalize_path(path: &str) -> String {
    let (path, query) = match path.find('?') {
        Some(mark) => path.split_at(mark),
        None => (path, ""),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

/// What may not stand in a request line, percent-encoded, as browsers do with raw `Location`
/// headers.
fn encoded(path: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Url {
        Url {
            scheme: Scheme::Https,
            host: "www.example.com".to_owned(),
            port: 443,
            path: "/a/b?x=1".to_owned(),
        }
    }

    #[test]
    fn location_is_resolved_against_the_page() {
        let cases = [
            ("https://www.example.com/", "https://www.example.com/"),
            ("HTTPS://WWW.Example.COM:443", "https://www.example.com/"),
            ("https://www.example.com.?q", "https://www.example.com/?q"),
            ("http://user:pass@example.com:8080/x#top", "http://example.com:8080/x"),
            ("https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443/"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
            ("//other.example.com/c", "https://other.example.com/c"),
            ("/login?next=/a:b", "https://www.example.com/login?next=/a:b"),
            ("c", "https://www.example.com/a/c"),
            ("../c/./d/..", "https://www.example.com/c/"),
            ("?y=2", "https://www.example.com/a/b?y=2"),
            ("", "https://www.example.com/a/b?x=1"),
            ("/caf\u{e9} au lait", "https://www.example.com/caf%C3%A9%20au%20lait"),
        ];
        for (location, expected) in cases {
            assert_eq!(page().join(location).unwrap().to_string(), expected, "{location}");
        }
    }

    #[test]
    fn location_that_leads_nowhere_says_why() {
        for (location, reason) in [
            ("ftp://example.com/", "`ftp` is neither"),
            ("https:///x", "no host"),
            ("https://example.com:nine/", "`nine` is not a port"),
        ] {
            let message = page().join(location).unwrap_err();
            assert!(message.contains(reason), "{location}: {message}");
        }
    }
}
