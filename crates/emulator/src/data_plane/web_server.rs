//! The web server of an instance: what it is configured to answer, and the answering.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, LOCATION, SERVER};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::certificates::{Authority, Leaf, Validity, self_signed};
use super::tls::{HANDSHAKE_TIMEOUT, provider};
use crate::Error;

/// The header in which every instance says how a request came.
pub(crate) const REACHED: &str = "x-reached";
/// The header in which every instance says who it is.
pub(crate) const SERVED_BY: &str = "x-served-by";
/// The header in which every instance says which names it serves, with commas.
pub(crate) const SITE: &str = "x-site";

/// How the web server of an instance behaves.
#[derive(Debug, Clone)]
pub struct WebServer {
    https_ports: Vec<u16>,
    http_ports: Vec<u16>,
    names: Vec<String>,
    issuer: CertificateIssuer,
    expired: bool,
    force_https: ForceHttps,
    foreign_hosts: ForeignHosts,
    routes: Vec<Route>,
}

/// Who signed the certificate of an instance's web server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateIssuer {
    /// The certificate itself.
    Itself,
    /// The emulated Let's Encrypt, whose root visitors trust.
    LetsEncrypt,
}

/// Whether a web server sends visitors of plain HTTP over to HTTPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForceHttps {
    /// It answers on both.
    Never,
    /// It does, going by the connection alone: behind a load balancer that speaks HTTP to it, that is a loop
    /// (aws-facts 8.4).
    ByConnection,
    /// It does, unless `X-Forwarded-Proto` says that the visitor came by HTTPS.
    UnlessForwarded,
}

/// What a web server makes of requests for names that are not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignHosts {
    /// It answers them like its own.
    Serve,
    /// It answers 421, so that wrong routing shows. A request by IP address, as health checks are, is answered.
    Refuse,
}

/// What a path answers.
#[derive(Debug, Clone)]
pub struct Route {
    path: String,
    status: u16,
    body: String,
    headers: Vec<(String, String)>,
    delay: Duration,
}

impl Route {
    /// Answers 200 with a short text on exactly this path.
    pub fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            status: 200,
            body: "ok\n".to_owned(),
            headers: Vec::new(),
            delay: Duration::ZERO,
        }
    }

    /// Answers with this status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Answers with this body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answers after a while.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl WebServer {
    /// A server for a site: HTTPS on 443 with a self-signed certificate of that name, HTTP on 80, and 200 on every path.
    pub fn for_site(domain: &str) -> Self {
        Self {
            https_ports: vec![443],
            http_ports: vec![80],
            names: vec![domain.to_owned()],
            issuer: CertificateIssuer::Itself,
            expired: false,
            force_https: ForceHttps::Never,
            foreign_hosts: ForeignHosts::Serve,
            routes: Vec::new(),
        }
    }

    /// Adds a name to the certificate.
    #[must_use]
    pub fn alias(mut self, domain: &str) -> Self {
        self.names.push(domain.to_owned());
        self
    }

    /// Listens with TLS on these ports instead.
    #[must_use]
    pub fn https_ports(mut self, ports: &[u16]) -> Self {
        self.https_ports = ports.to_vec();
        self
    }

    /// Listens without TLS on these ports instead.
    #[must_use]
    pub fn http_ports(mut self, ports: &[u16]) -> Self {
        self.http_ports = ports.to_vec();
        self
    }

    /// Has its certificate from somebody else.
    #[must_use]
    pub fn certificate_from(mut self, issuer: CertificateIssuer) -> Self {
        self.issuer = issuer;
        self
    }

    /// Shows a certificate that is no longer valid.
    #[must_use]
    pub fn with_expired_certificate(mut self) -> Self {
        self.expired = true;
        self
    }

    /// Sends visitors of plain HTTP over to HTTPS.
    #[must_use]
    pub fn force_https(mut self, how: ForceHttps) -> Self {
        self.force_https = how;
        self
    }

    /// Deals with requests for other names.
    #[must_use]
    pub fn foreign_hosts(mut self, how: ForeignHosts) -> Self {
        self.foreign_hosts = how;
        self
    }

    /// Tells whether requests for a host are for this server's names, or by address.
    fn is_own_host(&self, host: &str) -> bool {
        host.is_empty()
            || host.parse::<IpAddr>().is_ok()
            || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Answers one path in its own way. The first route of a path counts.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }
}

/// How a connection reached an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Directly,
    ThroughLoadBalancer,
}

impl Way {
    fn label(self) -> &'static str {
        match self {
            Self::Directly => "directly",
            Self::ThroughLoadBalancer => "load-balancer",
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Directly => "directly",
            Self::ThroughLoadBalancer => "via the load balancer",
        }
    }
}

/// A configured web server with its certificate.
#[derive(Debug)]
pub(crate) struct InstanceServer {
    instance: String,
    behaviour: WebServer,
    leaf: Leaf,
    tls: Arc<ServerConfig>,
}

impl InstanceServer {
    /// Makes the server, with the certificate of `before` if its description has not changed.
    pub(crate) fn new(
        instance: &str,
        behaviour: WebServer,
        lets_encrypt: &Authority,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let same = |it: &&Self| {
            let it = &it.behaviour;
            it.names == behaviour.names && it.issuer == behaviour.issuer && it.expired == behaviour.expired
        };
        let leaf = if let Some(before) = before.filter(same) {
            before.leaf.clone()
        } else {
            let validity = if behaviour.expired {
                Validity::Expired
            } else {
                Validity::Now
            };
            match behaviour.issuer {
                CertificateIssuer::Itself => self_signed(&behaviour.names, validity)?,
                CertificateIssuer::LetsEncrypt => lets_encrypt.issue(&behaviour.names, validity)?,
            }
        };
        let mut tls = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
                leaf.key.as_ref().clone(),
            )));
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            instance: instance.to_owned(),
            behaviour,
            leaf,
            tls: Arc::new(tls),
        })
    }

    /// Its certificate, without those above it.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.leaf.pem
    }

    /// All ports it listens on.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        let Self { behaviour, .. } = self;
        behaviour.https_ports.iter().chain(&behaviour.http_ports).copied()
    }

    /// Serves one connection on one of its ports until the peer has enough.
    pub(crate) async fn serve<S>(self: Arc<Self>, stream: S, port: u16, way: Way)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.behaviour.https_ports.contains(&port) {
            let accept = TlsAcceptor::from(self.tls.clone()).accept(stream);
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, accept).await {
                Ok(Ok(stream)) => self.serve_http(stream, "https", way).await,
                Ok(Err(error)) => tracing::debug!(self.instance, port, %error, "handshake"),
                Err(_) => {}
            }
        } else {
            self.serve_http(stream, "http", way).await;
        }
    }

    async fn serve_http<S>(self: Arc<Self>, stream: S, scheme: &'static str, way: Way)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let instance = self.instance.clone();
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request, scheme, way).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(instance, %error, "connection");
        }
    }

    async fn answer(&self, request: Request<Incoming>, scheme: &str, way: Way) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        // An unread body would have to be skipped before the connection's next request.
        let _ = body.collect().await;
        let header = |name: HeaderName| head.headers.get(name).and_then(|it| it.to_str().ok());
        let host = header(HOST).unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(name, _)| name);

        let forwarded = header(HeaderName::from_static("x-forwarded-proto"));
        let redirect = scheme == "http"
            && match self.behaviour.force_https {
                ForceHttps::Never => false,
                ForceHttps::ByConnection => true,
                ForceHttps::UnlessForwarded => forwarded != Some("https"),
            };
        let route = self.behaviour.routes.iter().find(|route| route.path == head.uri.path());

        let mut response = Response::new(Full::default());
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("emulated-web-server"));
        headers.insert(REACHED, HeaderValue::from_static(way.label()));
        for (name, value) in [
            (SERVED_BY, self.instance.as_str()),
            (SITE, &self.behaviour.names.join(",")),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self.behaviour.foreign_hosts == ForeignHosts::Refuse && !self.behaviour.is_own_host(host) {
            *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
        } else if redirect {
            let location = format!("https://{host}{}", head.uri);
            if let Ok(location) = HeaderValue::from_str(&location) {
                headers.insert(LOCATION, location);
            }
            *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        } else if let Some(route) = route {
            tokio::time::sleep(route.delay).await;
            for (name, value) in &route.headers {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                    headers.insert(name, value);
                }
            }
            *response.status_mut() = StatusCode::from_u16(route.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            *response.body_mut() = Full::from(route.body.clone());
        } else {
            let came_by = forwarded.unwrap_or(scheme);
            *response.body_mut() = Full::from(format!(
                "Hello from {}, you came by {came_by}, host {host}, {}\n",
                self.instance,
                way.phrase()
            ));
        }
        response
    }
}
