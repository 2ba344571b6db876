//! What came back.

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::tls::TlsSession;
use crate::url::Url;

/// The answer to one [`Request`](crate::Request).
#[derive(Debug, Clone)]
pub struct Answer {
    pub(crate) url: Url,
    /// The HTTP status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The beginning of the body, at most as long as the request's `body_limit`.
    pub body_start: Vec<u8>,
    /// How reading the body ended.
    pub body_end: BodyEnd,
    /// The address that answered.
    pub address: SocketAddr,
    /// The TLS session, when the request was https.
    pub tls: Option<TlsSession>,
    /// From the start of the request (DNS included) to the end of reading.
    pub elapsed: Duration,
}

/// How reading a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it was read.
    Complete,
    /// There was more than the limit.
    Cut,
    /// The deadline passed while it was still coming.
    Deadline,
    /// The connection broke.
    Broken(String),
}

impl Answer {
    /// The URL that was asked, as a visitor would see it.
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// The `Location` header as it was sent.
    pub fn location(&self) -> Option<&str> {
        self.text_header(&header::LOCATION)
    }

    /// Where a redirect leads, as an absolute and normalised URL; the header itself where it is no
    /// http URL.
    pub fn redirect_target(&self) -> Option<String> {
        let location = self.raw_location()?;
        Some(self.url.join(&location).map_or(location, |url| url.to_string()))
    }

    /// The `Server` header.
    pub fn server(&self) -> Option<&str> {
        self.text_header(&header::SERVER)
    }

    /// The media type of `Content-Type`, lower case, without parameters.
    pub fn media_type(&self) -> Option<String> {
        let value = self.text_header(&header::CONTENT_TYPE)?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }

    /// The beginning of the body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body_start).into_owned()
    }

    /// Whether the load balancer wrote this answer itself and no target was asked or answered: an
    /// ALB signs its own error pages and redirects with `Server: awselb/2.0`.
    pub fn is_from_load_balancer(&self) -> bool {
        self.server().is_some_and(|server| server.starts_with("awselb/"))
    }

    /// Whether this is a redirect that a browser follows.
    pub fn is_redirect(&self) -> bool {
        matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308) && self.headers.contains_key(header::LOCATION)
    }

    /// Whether the status says that there is no page: 4xx or 5xx.
    pub fn is_error(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }

    pub(crate) fn raw_location(&self) -> Option<String> {
        let value = self.headers.get(header::LOCATION)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn text_header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
