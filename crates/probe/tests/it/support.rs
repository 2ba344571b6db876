//! Servers on loopback: a DNS server with a table, and web servers that say what they are told to.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use reconcile_probe::{DnsServer, Network, NetworkOptions, Request, Scheme};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) const SITE: &str = "www.example.com";

/// A certificate with its chain and key, as a server holds it.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// A private authority whose certificate stands in a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new(organization: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, organization);
        params.distinguished_name.push(DnType::CommonName, "Test Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.as_ref().pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_expired(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 2, 3);
        })
    }

    fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        identity(&certificate, &key)
    }
}

/// As `openssl req -x509` makes them when `authority` is set: an authority that is its own leaf.
pub(crate) fn self_signed(names: &[&str], authority: bool) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = params(names);
    if authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    identity(&params.self_signed(&key).unwrap(), &key)
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names[0].clone());
    params
}

fn identity(certificate: &rcgen::Certificate, key: &KeyPair) -> Identity {
    Identity {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

/// Ends a server with its test.
pub(crate) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A web server that answers every connection with what `answer` makes of the request's head.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    snis: Arc<Mutex<Vec<Option<String>>>>,
    _task: Task,
}

impl Site {
    pub(crate) async fn plain(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(None, answer).await
    }

    pub(crate) async fn tls(identity: Identity, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(identity.chain, identity.key)
            .unwrap();
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), answer).await
    }

    async fn start(tls: Option<TlsAcceptor>, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let snis = Arc::new(Mutex::new(Vec::new()));
        let (heads_in, snis_in) = (heads.clone(), snis.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(tls) = &tls else {
                    serve(stream, &heads_in, &answer).await;
                    continue;
                };
                if let Ok(stream) = tls.accept(stream).await {
                    let sni = stream.get_ref().1.server_name().map(ToOwned::to_owned);
                    snis_in.lock().unwrap().push(sni);
                    serve(stream, &heads_in, &answer).await;
                }
            }
        });
        Self {
            address,
            heads,
            snis,
            _task: Task(task),
        }
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The names asked for by SNI so far.
    pub(crate) fn snis(&self) -> Vec<Option<String>> {
        self.snis.lock().unwrap().clone()
    }

    /// A request for the site's name at this server.
    pub(crate) fn request(&self, scheme: Scheme) -> Request {
        Request::new(scheme, SITE)
            .via(self.address.ip().to_string())
            .port(self.address.port())
            .site_port(scheme.default_port())
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    heads: &Mutex<Vec<String>>,
    answer: &impl Fn(&str) -> Vec<u8>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let answer = answer(&head);
    heads.lock().unwrap().push(head);
    // The client may hang up before the end, which is what some tests are about.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

/// A whole response.
pub(crate) fn response(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    format!("{text}\r\n{body}").into_bytes()
}

pub(crate) fn hello() -> Vec<u8> {
    response(
        "200 OK",
        &[("Server", "test"), ("Content-Type", "text/html; charset=utf-8")],
        "hello",
    )
}

/// What the DNS server says to a name.
#[derive(Clone)]
pub(crate) enum Zone {
    Records(Vec<RData>),
    Code(ResponseCode),
    Silence,
}

/// A DNS server on loopback; names that are not in its table do not exist.
pub(crate) struct DnsTable {
    pub(crate) address: SocketAddr,
    names: Arc<Mutex<HashMap<String, Zone>>>,
    questions: Arc<AtomicUsize>,
    _task: Task,
}

impl DnsTable {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let names: Arc<Mutex<HashMap<String, Zone>>> = Arc::default();
        let questions = Arc::new(AtomicUsize::new(0));
        let (table, count) = (names.clone(), questions.clone());
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::SeqCst);
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let answer = reply(&question, &table.lock().unwrap());
                if let Some(answer) = answer {
                    socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
                }
            }
        });
        Self {
            address,
            names,
            questions,
            _task: Task(task),
        }
    }

    pub(crate) fn set(&self, name: &str, zone: Zone) {
        self.names.lock().unwrap().insert(name.to_owned(), zone);
    }

    pub(crate) fn set_addresses(&self, name: &str, addresses: &[&str]) {
        let data = |address: &&str| match address.parse::<IpAddr>().unwrap() {
            IpAddr::V4(ip) => RData::A(ip.into()),
            IpAddr::V6(ip) => RData::AAAA(ip.into()),
        };
        self.set(name, Zone::Records(addresses.iter().map(data).collect()));
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    pub(crate) fn network(&self) -> Network {
        Network::new(&self.options()).unwrap()
    }

    pub(crate) fn options(&self) -> NetworkOptions {
        NetworkOptions {
            dns_server: Some(DnsServer(self.address)),
            dns_timeout: Duration::from_millis(300),
            ..NetworkOptions::default()
        }
    }
}

fn reply(question: &Message, names: &HashMap<String, Zone>) -> Option<Message> {
    let query = &question.queries[0];
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let mut name: Name = query.name().clone();
    // One step of an alias is taken by the server, as recursive servers do.
    for _ in 0..2 {
        let key = name.to_lowercase().to_ascii();
        let records = match names.get(key.trim_end_matches('.')) {
            None => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                return Some(answer);
            }
            Some(Zone::Silence) => return None,
            Some(Zone::Code(code)) => {
                answer.metadata.response_code = *code;
                return Some(answer);
            }
            Some(Zone::Records(records)) => records,
        };
        let alias = records.iter().find(|data| data.record_type() == RecordType::CNAME);
        for data in records {
            if data.record_type() == query.query_type() || alias.is_some() {
                answer.add_answer(Record::from_rdata(name.clone(), 60, data.clone()));
            }
        }
        match alias {
            Some(RData::CNAME(target)) if query.query_type() != RecordType::CNAME => {
                name = target.0.clone();
            }
            _ => break,
        }
    }
    Some(answer)
}

/// A network without DNS: the tests name addresses.
pub(crate) fn network() -> Network {
    Network::new(&offline()).unwrap()
}

/// Trusts the authority besides the system's.
pub(crate) fn network_trusting(authority: &Authority) -> Network {
    Network::new(&NetworkOptions {
        ca_file: Some(authority.file()),
        ..offline()
    })
    .unwrap()
}

pub(crate) fn offline() -> NetworkOptions {
    NetworkOptions {
        dns_server: Some(DnsServer(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)))),
        dns_timeout: Duration::from_millis(300),
        ..NetworkOptions::default()
    }
}

/// A port of loopback where nothing listens.
pub(crate) async fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
