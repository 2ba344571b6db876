//! A visitor who keeps asking for the site as browsers do: by name, with a cache that honours TTLs, and with TLS checked.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use http::{Request, header};
use http_body_util::Full;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_rustls::TlsConnector;

use crate::data_plane::{REACHED, SERVED_BY, SITE, THROUGH, provider};
use crate::{DataPlane, Error, http1};

/// How many failures a report describes; it counts all.
const KEPT_FAILURES: usize = 50;
const DNS_TIMEOUT: Duration = Duration::from_secs(2);
/// No reason to keep more requests in flight than a patient browser would.
const MAXIMUM_IN_FLIGHT: usize = 64;

/// Who visits, what, how often.
#[derive(Debug, Clone)]
pub struct VisitorOptions {
    /// The site's name.
    pub domain: String,
    /// The path asked for.
    pub path: String,
    /// Requests per second, each on a connection of its own.
    pub per_second: f64,
    /// PEM certificates trusted beside the emulated Amazon and Let's Encrypt: those of instances.
    pub trusted: Vec<String>,
    /// How long a request may take.
    pub timeout: Duration,
}

impl VisitorOptions {
    /// A visitor of `https://domain/`, twenty times a second.
    pub fn of(domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            path: "/".to_owned(),
            per_second: 20.0,
            trusted: Vec::new(),
            timeout: Duration::from_secs(5),
        }
    }

    /// Trusts further certificates.
    #[must_use]
    pub fn trusting(mut self, certificates: impl IntoIterator<Item = String>) -> Self {
        self.trusted.extend(certificates);
        self
    }
}

/// What a visitor has seen so far. Answers below status 400 count as good, if they are of the site: an instance that
/// serves other names than the one asked for is a failure, whatever it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Good answers.
    pub answered: u64,
    /// Requests without a good answer.
    pub failed: u64,
    /// Good answers that an instance gave without a load balancer.
    pub directly: u64,
    /// Good answers that came through a load balancer.
    pub through_load_balancer: u64,
    /// How often each address answered well.
    pub addresses: BTreeMap<Ipv4Addr, u64>,
    /// How often each instance answered well, by its id.
    pub instances: BTreeMap<String, u64>,
    /// How often good answers came through each load balancer, by its name.
    pub load_balancers: BTreeMap<String, u64>,
    /// The first failures.
    pub failures: Vec<Failure>,
}

/// A request without a good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Since the visitor started.
    pub after: Duration,
    /// What happened.
    pub reason: String,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            answered,
            failed,
            directly,
            through_load_balancer,
            addresses: _,
            instances: _,
            load_balancers: _,
            failures,
        } = self;
        write!(
            formatter,
            "{answered} answered ({directly} directly, {through_load_balancer} through the load balancer), \
             {failed} failed"
        )?;
        for failure in failures {
            let seconds = failure.after.as_secs_f64();
            write!(formatter, "\n  after {seconds:.2} s: {}", failure.reason)?;
        }
        Ok(())
    }
}

/// A visitor at work. Ends when dropped.
#[derive(Debug)]
pub struct Visitor {
    report: watch::Receiver<Report>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Visitor {
    /// Begins to visit. The visitor lives on the data plane's runtime, so it keeps asking whatever the caller does.
    pub fn start(plane: &DataPlane, options: VisitorOptions) -> Result<Self, Error> {
        let browser = Arc::new(Browser::new(plane, options)?);
        let (sender, report) = watch::channel(Report::default());
        let (stop, stopped) = watch::channel(false);
        let task = plane.handle().spawn(visit(browser, sender, stopped));
        Ok(Self { report, stop, task })
    }

    /// What has been seen so far.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Waits until a report satisfies a condition, for example that the load balancer has answered.
    pub async fn wait_until(
        &self,
        deadline: Duration,
        condition: impl FnMut(&Report) -> bool,
    ) -> Result<Report, Error> {
        let mut report = self.report.clone();
        let reached = tokio::time::timeout(deadline, report.wait_for(condition)).await;
        reached
            .map_err(|_| Error::Deadline {
                what: "what the visitor waits for",
                seconds: deadline.as_secs(),
            })?
            .map(|report| report.clone())
            .map_err(|_| Error::Task {
                reason: "the visitor has left".to_owned(),
            })
    }

    /// Lets requests under way finish, and tells what was seen.
    pub async fn stop(mut self) -> Report {
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
        self.report()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn visit(browser: Arc<Browser>, report: watch::Sender<Report>, mut stopped: watch::Receiver<bool>) {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(
        1.0 / browser.options.per_second.clamp(0.1, 1000.0),
    ));
    // A machine that was busy makes up for it, so that the rate holds on average.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break,
            _ = ticks.tick() => {}
        }
        if under_way.len() < MAXIMUM_IN_FLIGHT {
            let browser = browser.clone();
            under_way.spawn(async move { browser.ask().await });
        }
        while let Some(done) = under_way.try_join_next() {
            note(&report, started, done);
        }
    }
    while let Some(done) = under_way.join_next().await {
        note(&report, started, done);
    }
}

fn note(report: &watch::Sender<Report>, started: Instant, done: Result<Result<Good, String>, tokio::task::JoinError>) {
    let outcome = done.unwrap_or_else(|error| Err(error.to_string()));
    report.send_modify(|report| match outcome {
        Ok(Good {
            address,
            reached,
            instance,
            load_balancer,
        }) => {
            report.answered += 1;
            *report.addresses.entry(address).or_default() += 1;
            if let Some(instance) = instance {
                *report.instances.entry(instance).or_default() += 1;
            }
            if let Some(name) = load_balancer {
                *report.load_balancers.entry(name).or_default() += 1;
            }
            match reached.as_deref() {
                Some("directly") => report.directly += 1,
                Some(_) => report.through_load_balancer += 1,
                None => {}
            }
        }
        Err(reason) => {
            report.failed += 1;
            if report.failures.len() < KEPT_FAILURES {
                let after = started.elapsed();
                report.failures.push(Failure { after, reason });
            }
        }
    });
}

struct Good {
    address: Ipv4Addr,
    reached: Option<String>,
    instance: Option<String>,
    load_balancer: Option<String>,
}

struct Browser {
    options: VisitorOptions,
    dns: SocketAddr,
    port: u16,
    tls: Arc<ClientConfig>,
    cache: Mutex<Option<Cached>>,
}

struct Cached {
    addresses: Vec<Ipv4Addr>,
    until: Instant,
}

impl Browser {
    fn new(plane: &DataPlane, options: VisitorOptions) -> Result<Self, Error> {
        let mut pems = options.trusted.clone();
        for path in [plane.ca_file(), plane.lets_encrypt_ca_file()] {
            pems.push(std::fs::read_to_string(&path).map_err(Error::file("reading", &path))?);
        }
        let mut roots = RootCertStore::empty();
        for pem in &pems {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| Error::Certificate {
                    reason: error.to_string(),
                })?;
                roots.add(certificate)?;
            }
        }
        let mut tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            dns: plane.dns_server(),
            port: plane.real_port(443).unwrap_or(443),
            tls: Arc::new(tls),
            cache: Mutex::default(),
            options,
        })
    }

    async fn ask(&self) -> Result<Good, String> {
        tokio::time::timeout(self.options.timeout, self.ask_patiently())
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    async fn ask_patiently(&self) -> Result<Good, String> {
        let domain = &self.options.domain;
        let (address, stream) = self.connect().await?;
        let name = ServerName::try_from(domain.clone()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, stream)
            .await
            .map_err(|error| format!("TLS with {address}: {error}"))?;
        let request = Request::get(&self.options.path)
            .header(header::HOST, domain)
            .header(header::CONNECTION, "close")
            .body(Full::<Bytes>::default())
            .map_err(|error| error.to_string())?;
        let response = http1::exchange(stream, request)
            .await
            .map_err(|error| format!("HTTP with {address}: {error}"))?;
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(format!("{address} answered {status}"));
        }
        let told = |name: &str| -> Option<String> {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let instance = told(SERVED_BY);
        if let Some(names) = told(SITE)
            && !names.split(',').any(|name| name.eq_ignore_ascii_case(domain))
        {
            let who = instance.as_deref().unwrap_or("somebody");
            return Err(format!("{who} behind {address} answered for {names}"));
        }
        Ok(Good {
            address,
            reached: told(REACHED),
            instance,
            load_balancer: told(THROUGH),
        })
    }

    /// Connects to the first address that accepts, as browsers do.
    async fn connect(&self) -> Result<(Ipv4Addr, TcpStream), String> {
        let mut last = "no address".to_owned();
        for address in self.resolve().await? {
            match TcpStream::connect((address, self.port)).await {
                Ok(stream) => return Ok((address, stream)),
                Err(error) => last = format!("connecting to {address}: {error}"),
            }
        }
        Err(last)
    }

    async fn resolve(&self) -> Result<Vec<Ipv4Addr>, String> {
        let mut cache = self.cache.lock().await;
        if let Some(cached) = cache.as_ref().filter(|it| Instant::now() < it.until) {
            return Ok(cached.addresses.clone());
        }
        let (addresses, ttl) = self.look_up().await?;
        *cache = Some(Cached {
            addresses: addresses.clone(),
            until: Instant::now() + ttl,
        });
        Ok(addresses)
    }

    async fn look_up(&self) -> Result<(Vec<Ipv4Addr>, Duration), String> {
        let domain = &self.options.domain;
        let failed = |what: &dyn fmt::Display| format!("DNS for {domain}: {what}");
        let name = Name::from_ascii(format!("{domain}.")).map_err(|it| failed(&it))?;
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name, RecordType::A));
        let bytes = question.to_vec().map_err(|it| failed(&it))?;

        let exchange = async {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            socket.connect(self.dns).await?;
            socket.send(&bytes).await?;
            let mut buffer = vec![0; 4096];
            let length = socket.recv(&mut buffer).await?;
            buffer.truncate(length);
            Ok::<_, std::io::Error>(buffer)
        };
        let answer = tokio::time::timeout(DNS_TIMEOUT, exchange)
            .await
            .map_err(|_| failed(&"no answer"))?
            .map_err(|it| failed(&it))?;
        let message = Message::from_vec(&answer).map_err(|it| failed(&it))?;
        if message.metadata.response_code != ResponseCode::NoError {
            return Err(failed(&message.metadata.response_code));
        }
        let ttl = message.answers.iter().map(|it| it.ttl).min();
        let addresses: Vec<Ipv4Addr> = message
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(address.0),
                _ => None,
            })
            .collect();
        if addresses.is_empty() {
            return Err(failed(&"no address"));
        }
        Ok((addresses, Duration::from_secs(ttl.unwrap_or(0).into())))
    }
}
