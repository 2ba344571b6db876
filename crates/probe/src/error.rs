//! What can go wrong between a visitor and a site, told apart because the remedies differ.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

/// The network options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file of trusted certificates cannot be read.
    #[error("cannot read the certificates in `{}`", path.display())]
    UnreadableCaFile {
        /// The file as it was given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of trusted certificates is damaged.
    #[error("`{}` is not a valid PEM file: {reason}", path.display())]
    InvalidCaFile {
        /// The file as it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file holds no certificate.
    #[error(
        "`{}` holds no certificate: expected a PEM file with `-----BEGIN CERTIFICATE-----`",
        path.display()
    )]
    NoCertificate {
        /// The file as it was given.
        path: PathBuf,
    },
    /// The TLS library refuses its own settings.
    #[error("cannot set up TLS: {reason}")]
    Tls {
        /// What it said.
        reason: String,
    },
}

/// A request was not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProbeError {
    /// A name could not be resolved.
    #[error("cannot resolve `{name}` ({server}): {reason}")]
    Dns {
        /// The name that was asked for.
        name: String,
        /// Who was asked.
        server: String,
        /// What came of it.
        reason: DnsFailure,
    },
    /// No address accepted a connection.
    #[error("cannot connect to {target}: {}", list(failures))]
    Connect {
        /// Host and port, after detours.
        target: String,
        /// What happened at each address, in the order they were tried.
        failures: Vec<AddressFailure>,
    },
    /// The connection stands, but no TLS session came about.
    #[error("no TLS session for `{host}` with {address}: {reason}")]
    Tls {
        /// The name that was sent as SNI and checked.
        host: String,
        /// The address connected to.
        address: SocketAddr,
        /// Why.
        reason: TlsFailure,
    },
    /// What came back is not an HTTP response.
    #[error("no valid HTTP response for {url} from {address}: {reason}")]
    Http {
        /// The URL as a visitor sees it.
        url: String,
        /// The address connected to.
        address: SocketAddr,
        /// What is wrong with it.
        reason: String,
    },
    /// The time for the whole request was over.
    #[error("no answer for {url} within {after:?}: {stage}")]
    Deadline {
        /// The URL as a visitor sees it.
        url: String,
        /// The time that was given.
        after: Duration,
        /// What it was spent on last.
        stage: Stage,
    },
    /// The request cannot be sent as it is.
    #[error("cannot ask for {url}: {reason}")]
    InvalidRequest {
        /// The URL as a visitor sees it.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A redirect leads to a page that was asked already.
    #[error("redirect loop: {}", chain.join(" -> "))]
    RedirectLoop {
        /// The URLs in order; the last one stands in the list twice.
        chain: Vec<String>,
    },
    /// More redirects than are followed.
    #[error("more than {max} redirects: {}", chain.join(" -> "))]
    TooManyRedirects {
        /// How many were allowed.
        max: usize,
        /// The URLs in order.
        chain: Vec<String>,
    },
    /// A redirect that cannot be followed.
    #[error("{url} redirects to `{location}`, which cannot be followed: {reason}")]
    InvalidRedirect {
        /// The page that redirects.
        url: String,
        /// Its `Location` header.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A page that a redirect leads to does not answer.
    #[error("after the redirect {}", chain.join(" -> "))]
    Redirected {
        /// The URLs in order; the last one failed.
        chain: Vec<String>,
        /// How it failed.
        source: Box<ProbeError>,
    },
}

/// Why a name could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsFailure {
    /// NXDOMAIN.
    #[error("no such name (NXDOMAIN)")]
    NoSuchName,
    /// The name exists, but has neither A nor AAAA records.
    #[error("the name has no address (no A and no AAAA record)")]
    NoAddress,
    /// No server answered.
    #[error("no answer from the DNS server in time")]
    TimedOut,
    /// The server answered with an error such as SERVFAIL or REFUSED.
    #[error("the DNS server answered `{code}`")]
    ServerError {
        /// The response code.
        code: String,
    },
    /// The server cannot be reached or does not speak DNS.
    #[error("{message}")]
    Unreachable {
        /// What was tried and what the system said.
        message: String,
    },
    /// This is no domain name.
    #[error("not a valid domain name: {message}")]
    InvalidName {
        /// What is wrong with it.
        message: String,
    },
    /// The system names no DNS server.
    #[error("cannot read the system's resolver configuration: {message}")]
    NoConfiguration {
        /// What the system said.
        message: String,
    },
}

/// An address that could not be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressFailure {
    /// The address and port.
    pub address: SocketAddr,
    /// What happened.
    pub reason: AddressFailureReason,
}

impl fmt::Display for AddressFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.reason)
    }
}

/// Why an address could not be connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressFailureReason {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// Nothing came back, as behind a security group that does not admit us.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// How long it was tried.
        after: Duration,
    },
    /// The time for the whole request was over before its turn came.
    #[error("not tried, the time was over")]
    NotTried,
    /// No route, or another error of the system.
    #[error("{message}")]
    Other {
        /// What the system said.
        message: String,
    },
}

/// Why there is no TLS session, or why a browser would refuse it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The certificate's time is over.
    #[error("the certificate expired on {not_after}")]
    Expired {
        /// The end of its time.
        not_after: Timestamp,
    },
    /// The certificate's time has not begun.
    #[error("the certificate is not valid before {not_before}")]
    NotYetValid {
        /// The beginning of its time.
        not_before: Timestamp,
    },
    /// The certificate is for other names.
    #[error("the certificate is not for `{expected}`, but for {}", names(presented))]
    WrongName {
        /// The name that was asked for.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The chain does not end at a trusted root.
    #[error("the certificate's issuer `{issuer}` is not trusted")]
    UnknownIssuer {
        /// The issuer of the last certificate in the chain.
        issuer: String,
    },
    /// The certificate was issued by nobody but itself.
    #[error("the certificate is self-signed")]
    SelfSigned,
    /// There is no root to trust.
    #[error("this system has no trusted root certificates")]
    NoTrustedRoots,
    /// The certificate is refused for another reason.
    #[error("the certificate is refused: {message}")]
    Certificate {
        /// What the verification said.
        message: String,
    },
    /// Something answers, but it does not speak TLS.
    #[error("the server does not speak TLS on this port")]
    NotTls,
    /// The server ended the handshake with an alert.
    #[error("the server ended the handshake with the alert `{alert}`")]
    Alert {
        /// The alert's name.
        alert: String,
    },
    /// The connection ended during the handshake.
    #[error("the connection was closed during the handshake")]
    Closed,
    /// The handshake failed for another reason.
    #[error("the handshake failed: {message}")]
    Handshake {
        /// What the TLS library said.
        message: String,
    },
}

/// The part of a request that time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stage {
    /// Resolving the name.
    #[error("still resolving the name")]
    Resolving,
    /// Setting up TLS.
    #[error("connected, but the TLS handshake is not complete")]
    TlsHandshake,
    /// Waiting for status and headers.
    #[error("connected, but the server sends no response")]
    Response,
}

impl ProbeError {
    /// What to look at, in one sentence, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Dns { reason, .. } => reason.hint(),
            Self::Connect { failures, .. } => connect_hint(failures),
            Self::Tls { reason, .. } => reason.hint(),
            Self::Http { .. } => Some(
                "something else than a web server may listen on this port, or it expects TLS where \
                 plain HTTP was sent",
            ),
            Self::Deadline {
                stage: Stage::Resolving,
                ..
            } => DnsFailure::TimedOut.hint(),
            Self::Deadline { .. } => Some(
                "the server accepts connections but is slow or stuck: ask it from the machine \
                 itself, and look at its log",
            ),
            Self::RedirectLoop { .. } | Self::TooManyRedirects { .. } => Some(
                "an application that forces https by its own scheme redirects for ever behind plain \
                 HTTP: let it trust X-Forwarded-Proto, or use HTTPS towards it",
            ),
            Self::InvalidRequest { .. } => None,
            Self::InvalidRedirect { .. } => Some("look at the site's redirect rules"),
            Self::Redirected { source, .. } => source.hint(),
        }
    }

    /// Whether no connection came about at all, as when a port is closed or a firewall stands
    /// before it.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Connect { .. } => true,
            Self::Redirected { source, .. } => source.is_unreachable(),
            _ => false,
        }
    }
}

impl DnsFailure {
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoSuchName | Self::NoAddress => Some(
                "the record may be missing or not visible yet to this resolver; `--dns-server` asks \
                 another one",
            ),
            Self::TimedOut | Self::Unreachable { .. } | Self::ServerError { .. } => {
                Some("check the DNS server and the way to it; `--dns-server` asks another one")
            }
            Self::NoConfiguration { .. } => Some("name a DNS server with `--dns-server`"),
            Self::InvalidName { .. } => None,
        }
    }
}

impl TlsFailure {
    /// What to look at, in one sentence, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Expired { .. } | Self::NotYetValid { .. } => {
                Some("renew the certificate on the server, and check this machine's clock")
            }
            Self::WrongName { .. } => {
                Some("the server chooses its certificate by the name asked for: it has none for this one")
            }
            Self::UnknownIssuer { .. } | Self::SelfSigned => Some(
                "a private authority is trusted with `--ca-file`; a public one may need its \
                 intermediate certificate sent by the server",
            ),
            Self::NoTrustedRoots => Some("install the system's CA certificates, or give some with `--ca-file`"),
            Self::NotTls => Some("the server may speak plain HTTP on this port"),
            Self::Alert { .. } | Self::Closed | Self::Handshake { .. } => Some(
                "the server may require another name (SNI), a client certificate, or a TLS version \
                 older than 1.2",
            ),
            Self::Certificate { .. } => None,
        }
    }
}

fn connect_hint(failures: &[AddressFailure]) -> Option<&'static str> {
    let all = |wanted: fn(&AddressFailureReason) -> bool| {
        !failures.is_empty() && failures.iter().all(|failure| wanted(&failure.reason))
    };
    if all(|reason| matches!(reason, AddressFailureReason::Refused)) {
        Some("the machine is up, but nothing listens on this port")
    } else if all(|reason| {
        matches!(
            reason,
            AddressFailureReason::TimedOut { .. } | AddressFailureReason::NotTried
        )
    }) {
        Some(
            "packets are dropped on the way: check the security group, the network ACL and the \
             route to it from here",
        )
    } else {
        None
    }
}

fn list(failures: &[AddressFailure]) -> String {
    let each: Vec<String> = failures.iter().map(ToString::to_string).collect();
    each.join("; ")
}

fn names(names: &[String]) -> String {
    const SHOWN: usize = 5;
    if names.is_empty() {
        return "no name at all".to_owned();
    }
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}
