//! A control interface that tells whatever world a test wants, and a client that looks closely.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reconcile_emulator::Control;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

/// Tells a world through `/_control/world`, as the Python side does.
pub(crate) struct FakeControl {
    world: watch::Sender<Value>,
    pub(crate) control: Control,
}

impl FakeControl {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let control = Control::new(listener.local_addr().unwrap());
        let (world, seen) = watch::channel(serde_json::json!({ "version": 1 }));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                let service = service_fn(move |request| answer(seen.clone(), request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { world, control }
    }

    /// Makes this the world, with the next version.
    pub(crate) fn tell(&self, mut world: Value) {
        self.world.send_modify(|now| {
            let next = now["version"].as_u64().unwrap() + 1;
            world["version"] = next.into();
            *now = world;
        });
    }
}

async fn answer(
    mut world: watch::Receiver<Value>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let query = request.uri().query().unwrap_or_default();
    let number = |name: &str| -> Option<f64> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name);
        values.next()?.1.parse().ok()
    };
    if let Some(since) = number("since") {
        let wait = Duration::from_secs_f64(number("wait").unwrap_or(0.0));
        let changed = world.wait_for(|now| now["version"].as_f64() != Some(since));
        let _ = tokio::time::timeout(wait, changed).await;
    }
    let text = world.borrow().to_string();
    Ok(Response::new(Full::from(text)))
}

/// One kept connection, and the certificates that the server showed on it.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    headers: http::HeaderMap,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |it| it.to_str().unwrap())
    }
}

impl Connection {
    pub(crate) async fn plain(to: (Ipv4Addr, u16)) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        Self::over(stream, Vec::new()).await
    }

    /// Connects by TLS, trusting what stands in a PEM text, and asks for a name by SNI.
    pub(crate) async fn tls(to: (Ipv4Addr, u16), name: &str, trusted: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(trusted.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(to).await.map_err(|it| it.to_string())?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(name.to_owned()).unwrap(), stream)
            .await
            .map_err(|it| it.to_string())?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(|it| it.clone().into_owned()).collect();
        Ok(Self::over(stream, chain).await)
    }

    async fn over<S>(stream: S, chain: Vec<CertificateDer<'static>>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self { sender, chain }
    }

    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Answer {
        let request = Request::get(path).header("host", host);
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.sender.ready().await.unwrap();
        let (head, body) = self.sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            headers: head.headers,
        }
    }
}

pub(crate) async fn is_refused(to: (Ipv4Addr, u16)) -> bool {
    let outcome = TcpStream::connect(SocketAddr::from(to)).await;
    outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}
