//! The way to the outside, and one request on it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Method};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::answer::{Answer, BodyEnd};
use crate::dns::{Dns, RecordKind};
use crate::error::{AddressFailure, AddressFailureReason, DnsFailure, NetworkError, ProbeError, Stage};
use crate::options::{ConnectTo, DnsServer, NetworkOptions};
use crate::request::{Request, Scheme};
use crate::resolve::Resolve;
use crate::tls::{TlsSession, Trust};
use crate::url::bracketed;

/// Status line and headers may take this much; an ALB refuses more than 32 KiB from a target
/// (aws-facts 8.4).
const HEADER_LIMIT: usize = 64 * 1024;
const HEADER_COUNT_LIMIT: usize = 200;

/// The way to the outside: whose DNS, which trusted roots, which detours. Cheap to clone, keeps
/// nothing between calls.
#[derive(Debug, Clone)]
pub struct Network {
    dns: Dns,
    connect_to: Vec<ConnectTo>,
    resolve: Vec<Resolve>,
    trust: Arc<Trust>,
}

/// When the request must be answered, and how to say that it was not.
struct Deadline {
    url: String,
    after: Duration,
    at: Instant,
}

impl Deadline {
    fn of(request: &Request) -> Self {
        // Adding a boundless time to the clock would overflow.
        let after = request.timeout.min(Duration::from_hours(24));
        Self {
            url: request.url(),
            after,
            at: Instant::now() + after,
        }
    }

    async fn limit<T>(&self, stage: Stage, work: impl Future<Output = T>) -> Result<T, ProbeError> {
        timeout_at(self.at, work).await.map_err(|_| ProbeError::Deadline {
            url: self.url.clone(),
            after: self.after,
            stage,
        })
    }

    fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// Ends the task that drives a connection when nobody waits for it any more.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Network {
    /// Reads the trusted roots; no request is made.
    pub fn new(options: &NetworkOptions) -> Result<Self, NetworkError> {
        Ok(Self {
            dns: Dns {
                server: options.dns_server,
                timeout: options.dns_timeout,
            },
            connect_to: options.connect_to.clone(),
            resolve: options.resolve.clone(),
            trust: Arc::new(Trust::load(options.ca_file.as_deref())?),
        })
    }

    /// The addresses of a name (IPv4 first), asked for afresh; an IP address is its own answer.
    /// Never empty: a name without addresses is
    /// [`DnsFailure::NoAddress`](crate::DnsFailure::NoAddress).
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ProbeError> {
        self.dns.addresses(name).await
    }

    /// The name that `name` is an alias of, if it has a CNAME record.
    pub async fn resolve_cname(&self, name: &str) -> Result<Option<String>, ProbeError> {
        Ok(self.records(name, RecordKind::Cname).await?.into_iter().next())
    }

    /// The records of one kind in their usual notation (names in lower case without the final dot,
    /// texts unquoted); empty when the name exists without any. A name that does not exist is an
    /// error.
    pub async fn records(&self, name: &str, kind: RecordKind) -> Result<Vec<String>, ProbeError> {
        self.dns.records(name, kind).await
    }

    /// The records of one kind as one name server tells them, in the notation of [`records`](Self::records). The server's
    /// name is resolved as usual, and its addresses are asked in turn until one answers. A detour counts if its PORT1 is
    /// 53.
    ///
    /// # Errors
    /// If the server's name has no address, or if none of its addresses answers; a name that the server does not know is
    /// an error too.
    pub async fn records_at(&self, name_server: &str, name: &str, kind: RecordKind) -> Result<Vec<String>, ProbeError> {
        const PORT: u16 = 53;
        let mut failure = None;
        for ip in self.dns.addresses(name_server).await? {
            let server = self.dns_server(SocketAddr::new(ip, PORT)).await?;
            match self.dns.at(server).records(name, kind).await {
                Err(
                    error @ ProbeError::Dns {
                        reason: DnsFailure::TimedOut | DnsFailure::Unreachable { .. },
                        ..
                    },
                ) => failure = failure.or(Some(error)),
                answered => return answered,
            }
        }
        Err(failure.unwrap_or(ProbeError::Dns {
            name: name_server.to_owned(),
            server: "no address".to_owned(),
            reason: DnsFailure::NoAddress,
        }))
    }

    async fn dns_server(&self, at: SocketAddr) -> Result<DnsServer, ProbeError> {
        let Some((host, port)) = self.connect_to.iter().find_map(|detour| detour.apply_to_dns(at)) else {
            return Ok(DnsServer(at));
        };
        let found = self.dns.addresses(&host).await?;
        Ok(DnsServer(SocketAddr::new(
            found.first().copied().unwrap_or(at.ip()),
            port,
        )))
    }

    /// The addresses that an option gives in DNS's place for who connects to this name and port, if one does.
    pub fn given_addresses(&self, name: &str, port: u16) -> Option<&[IpAddr]> {
        let (host, port) = self.detoured(name, port);
        self.given(&host, port)
    }

    fn given(&self, name: &str, port: u16) -> Option<&[IpAddr]> {
        let exact = self.resolve.iter().find(|given| given.is_for(name, port));
        let given = exact.or_else(|| self.resolve.iter().find(|given| given.is_for_any(name, port)));
        given.map(Resolve::addresses)
    }

    /// Whether a connection to this address comes about, which is closed again at once. Detours that send everybody
    /// elsewhere do not count: it is this address that is meant.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connects(&self, address: SocketAddr, within: Duration) -> Result<(), AddressFailureReason> {
        let detour = self
            .connect_to
            .iter()
            .find_map(|detour| detour.apply_to_address(address));
        let to = match detour {
            None => address,
            Some((host, port)) => {
                let found = self.dns.addresses(&host).await;
                let found = found.map_err(|error| AddressFailureReason::Other {
                    message: error.to_string(),
                })?;
                SocketAddr::new(found.first().copied().unwrap_or(address.ip()), port)
            }
        };
        connect_to(to, within).await.map(drop)
    }

    /// Asks, at the first address that accepts a connection. Redirects are not followed.
    pub async fn ask(&self, request: &Request) -> Result<Answer, ProbeError> {
        let deadline = Deadline::of(request);
        let (host, addresses) = self.locate(request, &deadline).await?;
        self.ask_at(request, &host, &addresses, &deadline).await
    }

    /// Asks each address on its own, all at the same time: a load balancer has one node per zone,
    /// and each must answer.
    pub async fn ask_each(
        &self,
        request: &Request,
    ) -> Result<Vec<(SocketAddr, Result<Answer, ProbeError>)>, ProbeError> {
        let deadline = Deadline::of(request);
        let (host, addresses) = self.locate(request, &deadline).await?;
        let (host, deadline) = (&host, &deadline);
        Ok(join_all(
            addresses
                .into_iter()
                .map(async |address| (address, self.ask_at(request, host, &[address], deadline).await)),
        )
        .await)
    }

    /// Makes the connection for a request over TLS without asking anything: which certificate is shown does not depend on
    /// whether the site answers.
    pub async fn session(&self, request: &Request) -> Result<TlsSession, ProbeError> {
        let deadline = Deadline::of(request);
        let (host, addresses) = self.locate(request, &deadline).await?;
        let (stream, address) = connect(request, &host, &addresses, &deadline).await?;
        let (_, session) = self.handshake(request, stream, address, &deadline).await?;
        Ok(session)
    }

    fn detoured(&self, host: &str, port: u16) -> (String, u16) {
        let mut detours = self.connect_to.iter();
        detours
            .find_map(|detour| detour.apply(host, port))
            .unwrap_or_else(|| (host.to_owned(), port))
    }

    /// Where to connect to, after detours.
    async fn locate(&self, request: &Request, deadline: &Deadline) -> Result<(String, Vec<SocketAddr>), ProbeError> {
        let (host, port) = self.detoured(&request.connect_host, request.port);
        let found = match self.given(&host, port) {
            Some(given) => given.to_vec(),
            None => deadline.limit(Stage::Resolving, self.resolve(&host)).await??,
        };
        let target = format!("{}:{port}", bracketed(&host));
        Ok((target, found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()))
    }

    async fn ask_at(
        &self,
        request: &Request,
        target: &str,
        addresses: &[SocketAddr],
        deadline: &Deadline,
    ) -> Result<Answer, ProbeError> {
        let message = message(request)?;
        let (stream, address) = connect(request, target, addresses, deadline).await?;
        let exchange = Exchange {
            request,
            message,
            address,
            deadline,
        };
        match request.scheme {
            Scheme::Http => exchange.over(stream, None).await,
            Scheme::Https => {
                let (stream, session) = self.handshake(request, stream, address, deadline).await?;
                exchange.over(stream, Some(session)).await
            }
        }
    }

    async fn handshake(
        &self,
        request: &Request,
        stream: TcpStream,
        address: SocketAddr,
        deadline: &Deadline,
    ) -> Result<(tokio_rustls::client::TlsStream<TcpStream>, TlsSession), ProbeError> {
        let invalid = |reason: String| ProbeError::InvalidRequest {
            url: request.url(),
            reason,
        };
        let name = ServerName::try_from(request.host.clone())
            .map_err(|_| invalid(format!("`{}` is not a valid name for TLS", request.host)))?;
        let (config, witness) = self
            .trust
            .client(request.trust)
            .map_err(|error| invalid(error.to_string()))?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = deadline
            .limit(Stage::TlsHandshake, connecting)
            .await?
            .map_err(|error| ProbeError::Tls {
                host: request.host.clone(),
                address,
                reason: witness.failure(&error),
            })?;
        let session = witness.session(stream.get_ref().1.protocol_version());
        Ok((stream, session))
    }
}

/// Tries the addresses in their order.
async fn connect(
    request: &Request,
    target: &str,
    addresses: &[SocketAddr],
    deadline: &Deadline,
) -> Result<(TcpStream, SocketAddr), ProbeError> {
    let mut failures = Vec::new();
    for &address in addresses {
        let after = request.connect_timeout.min(deadline.left());
        let reason = if after.is_zero() {
            AddressFailureReason::NotTried
        } else {
            match connect_to(address, after).await {
                Ok(stream) => return Ok((stream, address)),
                Err(reason) => reason,
            }
        };
        tracing::debug!(%address, %reason, "cannot connect");
        failures.push(AddressFailure { address, reason });
    }
    Err(ProbeError::Connect {
        target: target.to_owned(),
        failures,
    })
}

async fn connect_to(address: SocketAddr, after: Duration) -> Result<TcpStream, AddressFailureReason> {
    match timeout(after, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(AddressFailureReason::Refused),
        Ok(Err(error)) => Err(AddressFailureReason::Other {
            message: error.to_string(),
        }),
        Err(_) => Err(AddressFailureReason::TimedOut { after }),
    }
}

fn message(request: &Request) -> Result<http::Request<Empty<Bytes>>, ProbeError> {
    let invalid = |reason: String| ProbeError::InvalidRequest {
        url: request.url(),
        reason,
    };
    if !request.path.starts_with('/') {
        return Err(invalid(format!(
            "the path `{}` does not begin with a slash",
            request.path
        )));
    }
    let mut message = http::Request::builder()
        .method(Method::GET)
        .uri(&request.path)
        .body(Empty::new())
        .map_err(|error| invalid(error.to_string()))?;
    let headers = message.headers_mut();
    let host = HeaderValue::from_str(&request.authority())
        .map_err(|_| invalid(format!("`{}` cannot be sent as Host", request.host)))?;
    headers.insert(HOST, host);
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("reconcile/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &request.headers {
        headers.insert(name, value.clone());
    }
    Ok(message)
}

/// One request and its answer on a connection that stands.
struct Exchange<'a> {
    request: &'a Request,
    message: http::Request<Empty<Bytes>>,
    address: SocketAddr,
    deadline: &'a Deadline,
}

impl Exchange<'_> {
    async fn over<S>(self, stream: S, tls: Option<TlsSession>) -> Result<Answer, ProbeError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let started = self.deadline.at - self.deadline.after;
        let failed = |error: hyper::Error| ProbeError::Http {
            url: self.request.url(),
            address: self.address,
            reason: describe(&error),
        };
        let opening = http1::Builder::new()
            .max_headers(HEADER_COUNT_LIMIT)
            .max_buf_size(HEADER_LIMIT)
            .handshake(TokioIo::new(stream));
        let (mut sender, connection) = self.deadline.limit(Stage::Response, opening).await?.map_err(failed)?;
        let _driver = Driver(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection ended");
            }
        }));
        let response = self
            .deadline
            .limit(Stage::Response, sender.send_request(self.message))
            .await?
            .map_err(failed)?;
        let (head, body) = response.into_parts();
        let (body_start, body_end) = read(body, self.request.body_limit, self.deadline.at).await;
        Ok(Answer {
            url: self.request.to_url(),
            status: head.status,
            headers: head.headers,
            body_start,
            body_end,
            address: self.address,
            tls,
            elapsed: started.elapsed(),
        })
    }
}

/// Reads a body up to the limit. The status came already, so that whatever happens here is part of
/// the answer.
async fn read(mut body: Incoming, limit: usize, until: Instant) -> (Vec<u8>, BodyEnd) {
    let mut bytes = Vec::new();
    let end = loop {
        match timeout_at(until, body.frame()).await {
            Err(_) => break BodyEnd::Deadline,
            Ok(None) => break BodyEnd::Complete,
            Ok(Some(Err(error))) => break BodyEnd::Broken(describe(&error)),
            Ok(Some(Ok(frame))) => {
                let Some(data) = frame.data_ref() else { continue };
                let room = limit - bytes.len();
                if data.len() > room {
                    bytes.extend_from_slice(&data[..room]);
                    break BodyEnd::Cut;
                }
                bytes.extend_from_slice(data);
            }
        }
    };
    (bytes, end)
}

/// hyper's message with its causes, which say more than it does.
fn describe(error: &hyper::Error) -> String {
    let mut text = if error.is_incomplete_message() {
        "the connection was closed before the response was complete".to_owned()
    } else if error.is_parse_too_large() {
        format!("the headers are larger than {} KiB", HEADER_LIMIT / 1024)
    } else {
        error.to_string()
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
