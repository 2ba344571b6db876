//! What is asked, and of whom.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::url::{Url, authority, normalize_host};

/// How a request is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The port that URLs leave out.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Which certificates are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustPolicy {
    /// As a browser does: a chain to a trusted root, valid now, for the name asked for.
    #[default]
    Verified,
    /// Every certificate, as an ALB does towards its targets; whether a browser would accept it is
    /// recorded in [`TlsSession::verified`](crate::TlsSession::verified).
    AnyCertificate,
}

/// One question to a web site.
///
/// The name of the site (SNI, Host, certificate) and the place that is connected to are separate,
/// so that a site can be asked at an address that DNS does not name yet. Headers sent unless
/// overridden: `Host`, `User-Agent`, `Accept` and `Connection: close`. The method is GET.
#[derive(Debug, Clone)]
pub struct Request {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// The site's name, for SNI, the certificate and Host; an IP address sends no SNI, as ALB
    /// health checks do.
    pub host: String,
    /// The port a visitor sees in the URL, for Host; without it `port`.
    pub site_port: Option<u16>,
    /// What is resolved and connected to: a name or an IP address.
    pub connect_host: String,
    /// The port that is connected to.
    pub port: u16,
    /// Path and query, beginning with a slash.
    pub path: String,
    /// Which certificates are accepted.
    pub trust: TrustPolicy,
    /// The deadline for everything together: DNS, connecting, TLS, the answer.
    pub timeout: Duration,
    /// How long connecting to one address may take, before the next one is tried.
    pub connect_timeout: Duration,
    /// Headers, in addition to those that are always sent or in their place.
    pub headers: HeaderMap,
    /// How much of the body is read and kept, in bytes.
    pub body_limit: usize,
    /// More names of the same site: a redirect to one of them is asked at the same place.
    pub also_here: Vec<String>,
}

impl Request {
    /// Asks for `/` at the site's own name and the scheme's port, with a verified certificate,
    /// within 15 seconds (5 for connecting to one address), keeping 64 KiB of the body.
    pub fn new(scheme: Scheme, host: impl AsRef<str>) -> Self {
        let host = normalize_host(host.as_ref());
        Self {
            scheme,
            connect_host: host.clone(),
            host,
            site_port: None,
            port: scheme.default_port(),
            path: "/".to_owned(),
            trust: TrustPolicy::Verified,
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            headers: HeaderMap::new(),
            body_limit: 64 * 1024,
            also_here: Vec::new(),
        }
    }

    /// Connects to `connect_host` (a name or an address) instead of the site's own name.
    #[must_use]
    pub fn via(mut self, connect_host: impl AsRef<str>) -> Self {
        self.connect_host = normalize_host(connect_host.as_ref());
        self
    }

    /// Connects to this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Names this port in Host, whatever port is connected to: a backend on 8443 behind a listener
    /// on 443 is sent the visitor's Host.
    #[must_use]
    pub fn site_port(mut self, port: u16) -> Self {
        self.site_port = Some(port);
        self
    }

    /// Asks for this path and query.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Accepts these certificates.
    #[must_use]
    pub fn trusting(mut self, trust: TrustPolicy) -> Self {
        self.trust = trust;
        self
    }

    /// Takes at most this long in all.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Tries the next address after this long.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sends this header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Keeps at most this many bytes of the body.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Takes these names for the same site: redirects to them are asked at the same place.
    #[must_use]
    pub fn also_here<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.also_here = names.into_iter().map(|name| normalize_host(name.as_ref())).collect();
        self
    }

    /// The URL a visitor would see.
    pub fn url(&self) -> String {
        self.to_url().to_string()
    }

    pub(crate) fn to_url(&self) -> Url {
        Url {
            scheme: self.scheme,
            host: self.host.clone(),
            port: self.site_port.unwrap_or(self.port),
            path: self.path.clone(),
        }
    }

    pub(crate) fn authority(&self) -> String {
        authority(self.scheme, &self.host, self.site_port.unwrap_or(self.port))
    }

    /// The request that follows a redirect to `url`. Another site is asked where its own name
    /// leads, without the extra headers (they may hold a password) and with its certificate
    /// verified.
    pub(crate) fn redirected(&self, url: &Url) -> Self {
        let mut next = self.clone();
        next.scheme = url.scheme;
        next.path.clone_from(&url.path);
        if url.host == self.host || self.also_here.contains(&url.host) {
            if url.host != self.host {
                next.also_here.push(self.host.clone());
                next.host.clone_from(&url.host);
            }
            let here = self.to_url();
            if url.port != here.port || url.scheme != here.scheme {
                next.port = url.port;
                next.site_port = None;
            }
            return next;
        }
        next.host.clone_from(&url.host);
        next.connect_host.clone_from(&url.host);
        next.port = url.port;
        next.site_port = None;
        next.trust = TrustPolicy::Verified;
        next.headers = HeaderMap::new();
        next.also_here = Vec::new();
        next
    }
}
