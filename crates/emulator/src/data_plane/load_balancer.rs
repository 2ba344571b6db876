//! A load balancer's side of a connection: TLS, rules, forwarding.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HOST, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Shared;
use super::admission::admits_load_balancer;
use super::headers;
use super::routing::{self, Asked};
use super::tls::{HANDSHAKE_TIMEOUT, provider};
use super::web_server::Way;
use crate::http1;
use crate::model::{Action, LoadBalancer, TargetGroup, World};

/// What a load balancer waits for an answer unless its attributes say otherwise.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const PIPE: usize = 64 * 1024;
/// A web ACL with this in its name refuses every request, so that it shows whether WAF is in the path.
const BLOCKING: &str = "block-all";

/// One listener of one load balancer. It holds no configuration: every handshake and every request looks at the world
/// of its moment, so open connections live through all changes.
#[derive(Debug, Clone)]
pub(super) struct ListenerHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) load_balancer: String,
    pub(super) port: u16,
}

/// Why a target gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// It refused, broke off or did not speak the protocol.
    Broken,
    /// Nothing came back: packets are dropped, or it takes too long.
    Silent,
}

impl ListenerHandle {
    /// Serves one connection of a visitor.
    pub(super) async fn serve(self, stream: TcpStream, visitor: SocketAddr) {
        let world = self.shared.world();
        let Some(listener) = world
            .load_balancer(&self.load_balancer)
            .and_then(|it| it.listener(self.port))
        else {
            return;
        };
        if listener.protocol != "HTTPS" {
            return self.serve_http(stream, visitor, "http").await;
        }
        let config = match self.tls_config(listener.ssl_policy.as_deref().unwrap_or_default()) {
            Ok(config) => config,
            Err(error) => return tracing::warn!(%error, "no TLS for a listener"),
        };
        let accept = TlsAcceptor::from(Arc::new(config)).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, accept).await {
            Ok(Ok(stream)) => self.serve_http(stream, visitor, "https").await,
            Ok(Err(error)) => tracing::debug!(self.load_balancer, %error, "handshake"),
            Err(_) => {}
        }
    }

    fn tls_config(&self, policy: &str) -> Result<ServerConfig, rustls::Error> {
        // Of the policies only what rustls can tell apart: those that allow TLS 1.3 alone.
        let versions: &[_] = if policy.starts_with("ELBSecurityPolicy-TLS13-1-3") {
            &[&rustls::version::TLS13]
        } else {
            rustls::ALL_VERSIONS
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    async fn serve_http<S>(self, stream: S, visitor: SocketAddr, scheme: &'static str)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request| {
            let listener = self.clone();
            async move { Ok::<_, Infallible>(listener.answer(request, visitor, scheme).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a visitor's connection");
        }
    }

    async fn answer(&self, request: Request<Incoming>, visitor: SocketAddr, scheme: &str) -> Response<Full<Bytes>> {
        let world = self.shared.world();
        let mut response = self.answer_by_rules(&world, request, visitor, scheme).await;
        if let Some(balancer) = world.load_balancer(&self.load_balancer) {
            headers::name_load_balancer(&balancer.name, response.headers_mut());
            if let Some(listener) = balancer.listener(self.port) {
                headers::apply_attributes(listener, response.headers_mut());
            }
        }
        response
    }

    async fn answer_by_rules(
        &self,
        world: &World,
        request: Request<Incoming>,
        visitor: SocketAddr,
        scheme: &str,
    ) -> Response<Full<Bytes>> {
        let (mut head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return own_answer(StatusCode::BAD_REQUEST);
        };
        let Some((balancer, listener)) = world
            .load_balancer(&self.load_balancer)
            .and_then(|balancer| Some((balancer, balancer.listener(self.port)?)))
        else {
            // The connection outlived its load balancer.
            return closing(own_answer(StatusCode::SERVICE_UNAVAILABLE));
        };

        // WAF comes before all rules.
        if balancer.web_acl.as_ref().is_some_and(|name| name.contains(BLOCKING)) {
            return own_answer(StatusCode::FORBIDDEN);
        }

        let host = head.headers.get(HOST).and_then(|it| it.to_str().ok());
        let host = host.unwrap_or_default().to_owned();
        let asked = Asked {
            host: host.rsplit_once(':').map_or(&host, |(name, _)| name),
            scheme,
            port: self.port,
            method: head.method.as_str(),
            uri: &head.uri,
            headers: &head.headers,
        };
        let action = routing::actions(listener, asked)
            .iter()
            .find(|action| !matches!(action, Action::Unknown));
        match action {
            Some(Action::Forward { target_groups }) => {
                let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
                let group = routing::weighted(target_groups, turn).and_then(|chosen| world.target_group(&chosen.arn));
                let Some(group) = group else {
                    return own_answer(StatusCode::SERVICE_UNAVAILABLE);
                };
                headers::add_forwarding(&mut head, visitor, scheme, self.port);
                self.forward(world, balancer, group, turn, head, body.to_bytes()).await
            }
            Some(action @ Action::Redirect { status, .. }) => {
                let permanent = status != "HTTP_302";
                let mut response = own_answer(if permanent {
                    StatusCode::MOVED_PERMANENTLY
                } else {
                    StatusCode::FOUND
                });
                let location =
                    routing::location(action, asked).and_then(|location| HeaderValue::from_str(&location).ok());
                if let Some(location) = location {
                    response.headers_mut().insert(header::LOCATION, location);
                }
                response
            }
            Some(Action::FixedResponse {
                status,
                content_type,
                body,
            }) => {
                let status = status.parse().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let mut response = own_answer(status);
                *response.body_mut() = Full::from(body.clone().unwrap_or_default());
                let content_type = content_type.as_deref().unwrap_or("text/plain");
                if let Ok(value) = HeaderValue::from_str(content_type) {
                    response.headers_mut().insert(header::CONTENT_TYPE, value);
                }
                response
            }
            Some(Action::Unknown) | None => own_answer(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    async fn forward(
        &self,
        world: &World,
        balancer: &LoadBalancer,
        group: &TargetGroup,
        turn: usize,
        head: Parts,
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        let Some(target) = routing::target(group, turn) else {
            return own_answer(StatusCode::SERVICE_UNAVAILABLE);
        };
        let timeout = balancer
            .attributes
            .get("idle_timeout.timeout_seconds")
            .and_then(|seconds| seconds.parse().ok())
            .map_or(IDLE_TIMEOUT, Duration::from_secs);
        let port = if target.port == 0 { group.port } else { target.port };
        let exchange = async {
            let stream = self.connect(world, balancer, &target.id, port)?;
            let request = Request::from_parts(head, Full::new(body));
            let answer = if group.protocol == "HTTPS" {
                let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
                let stream = TlsConnector::from(self.shared.backend_tls.clone())
                    .connect(name, stream)
                    .await
                    .map_err(|_| Failure::Broken)?;
                http1::exchange(stream, request).await
            } else {
                http1::exchange(stream, request).await
            };
            answer.map_err(|_| Failure::Broken)
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(response)) => {
                let (mut head, body) = response.into_parts();
                headers::remove_hops(&mut head.headers);
                Response::from_parts(head, Full::new(body))
            }
            Ok(Err(Failure::Broken)) => own_answer(StatusCode::BAD_GATEWAY),
            Ok(Err(Failure::Silent)) | Err(_) => own_answer(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    /// Opens a connection to a target's web server inside the VPC.
    fn connect(
        &self,
        world: &World,
        balancer: &LoadBalancer,
        instance: &str,
        port: u16,
    ) -> Result<DuplexStream, Failure> {
        let instance = world
            .instance(instance)
            .filter(|instance| instance.state == "running")
            .ok_or(Failure::Silent)?;
        // AWS gives up connecting after ten seconds; the outcome is the same without the wait.
        if !admits_load_balancer(world, balancer, instance, port) {
            return Err(Failure::Silent);
        }
        let server = self
            .shared
            .server(&instance.id)
            .filter(|server| server.ports().any(|open| open == port))
            .ok_or(Failure::Broken)?;
        let (ours, theirs) = tokio::io::duplex(PIPE);
        tokio::spawn(server.serve(theirs, port, Way::ThroughLoadBalancer));
        Ok(ours)
    }
}

impl ResolvesServerCert for ListenerHandle {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let world = self.shared.world();
        let listener = world.load_balancer(&self.load_balancer)?.listener(self.port)?;
        self.shared
            .acm
            .for_visitor(&world, &listener.certificates, hello.server_name())
    }
}

/// An answer that comes from the load balancer itself, and says so as AWS's do.
fn own_answer(status: StatusCode) -> Response<Full<Bytes>> {
    let text = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
         </body>\r\n</html>\r\n"
    );
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("awselb/2.0"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

fn closing(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
