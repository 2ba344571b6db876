//! The data plane: DNS, load balancers and web servers on loopback that behave as the emulated world says.
//!
//! It follows the world through the control interface. It runs on a runtime of its own, so visitors are served even
//! while a test blocks its thread with a child process, and tasks do not end with a test's runtime.

mod admission;
mod certificates;
mod dns;
mod dns_server;
mod headers;
mod load_balancer;
mod network;
mod routing;
mod sockets;
mod tls;
mod web_server;

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use self::certificates::{Authority, IssuedByAcm};
use self::dns::{Addresses, Answer, Directory};
pub(crate) use self::headers::THROUGH;
use self::network::{LoopbackNetwork, PortMap};
use self::sockets::Sockets;
pub(crate) use self::tls::provider;
use self::web_server::InstanceServer;
pub use self::web_server::{CertificateIssuer, ForceHttps, ForeignHosts, Route, WebServer};
pub(crate) use self::web_server::{REACHED, SERVED_BY, SITE};
use crate::model::World;
use crate::{Control, Error};

/// The last number of the DNS server's address.
const DNS_HOST: u8 = 53;
/// AWS's own (aws-facts 3, 5.4), in seconds.
pub(crate) const LOAD_BALANCER_TTL: u32 = 60;
/// The port on which name servers are asked.
const DNS_PORT: u16 = 53;
/// How long one question for the next version of the world may stay open.
const POLL: Duration = Duration::from_secs(20);
/// How long to wait before asking again an emulator that does not answer.
const RETRY: Duration = Duration::from_millis(200);
const SETTLE_DEADLINE: Duration = Duration::from_secs(30);

/// How to start the data plane.
#[derive(Debug, Clone)]
pub struct DataPlaneOptions {
    /// Ports below 1024 that load balancers and instances may listen on. Each has a stand-in for the whole life.
    pub privileged_ports: Vec<u16>,
    /// For how many seconds resolvers may remember a load balancer's addresses, under its own name and through an alias.
    pub load_balancer_ttl: u32,
}

impl Default for DataPlaneOptions {
    fn default() -> Self {
        Self {
            privileged_ports: vec![443, 80],
            load_balancer_ttl: LOAD_BALANCER_TTL,
        }
    }
}

/// A running data plane. Everything of it ends when this is dropped.
pub struct DataPlane {
    shared: Arc<Shared>,
    control: Control,
    taken_in: watch::Receiver<Option<TakenIn>>,
    dns: SocketAddrV4,
    files: tempfile::TempDir,
    runtime: Option<Runtime>,
}

/// The last version of the world that sockets follow, and what went wrong with it.
#[derive(Debug, Clone)]
struct TakenIn {
    version: u64,
    problem: Option<String>,
}

/// What all parts of the data plane look at.
pub(crate) struct Shared {
    network: LoopbackNetwork,
    ports: PortMap,
    load_balancer_ttl: u32,
    acm: IssuedByAcm,
    lets_encrypt: Authority,
    backend_tls: Arc<rustls::ClientConfig>,
    /// Counts forwarded requests, so that targets take turns.
    turn: AtomicUsize,
    world: Mutex<Arc<World>>,
    servers: Mutex<HashMap<String, Arc<InstanceServer>>>,
    balancer_addresses: Mutex<HashMap<String, Vec<Ipv4Addr>>>,
    sockets: tokio::sync::Mutex<Sockets>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DataPlane")
            .field("dns", &self.dns)
            .finish_non_exhaustive()
    }
}

impl DataPlane {
    /// Starts a data plane on a loopback network of its own and lets it follow an emulator.
    ///
    /// Returns once the world of that moment is taken in.
    pub async fn start(control: &Control, options: DataPlaneOptions) -> Result<Self, Error> {
        let network = LoopbackNetwork::claim()?;
        let ports = PortMap::choose(&network, &options.privileged_ports)?;
        let dns_address = network.address(DNS_HOST);
        let shared = Arc::new(Shared {
            network,
            ports,
            load_balancer_ttl: options.load_balancer_ttl,
            acm: IssuedByAcm::new(Authority::amazon()?),
            lets_encrypt: Authority::lets_encrypt()?,
            backend_tls: Arc::new(tls::unverified_client()?),
            turn: AtomicUsize::new(0),
            world: Mutex::default(),
            servers: Mutex::default(),
            balancer_addresses: Mutex::default(),
            sockets: tokio::sync::Mutex::default(),
        });

        let files = tempfile::tempdir().map_err(Error::file("creating", "temporary folder"))?;
        write(&files.path().join("amazon-ca.pem"), shared.acm.authority().root_pem())?;
        write(
            &files.path().join("lets-encrypt-ca.pem"),
            shared.lets_encrypt.root_pem(),
        )?;

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("emulated-network")
            .enable_all()
            .build()
            .map_err(|source| Error::NothingFree {
                what: "thread",
                source: Some(source),
            })?;
        let (announce, taken_in) = watch::channel(None);
        let plane = Self {
            dns: start_dns(&runtime, &shared, dns_address)?,
            control: control.clone(),
            shared: shared.clone(),
            taken_in,
            files,
            runtime: Some(runtime),
        };
        plane.handle().spawn(follow(shared, control.clone(), announce));
        plane.settled().await?;
        Ok(plane)
    }

    /// Waits until the data plane behaves as the world is at this moment.
    pub async fn settled(&self) -> Result<(), Error> {
        let version = self.control.world().await?.version;
        let mut taken_in = self.taken_in.clone();
        let reached = taken_in.wait_for(|now| now.as_ref().is_some_and(|it| it.version >= version));
        let state = tokio::time::timeout(SETTLE_DEADLINE, reached)
            .await
            .map_err(|_| Error::Deadline {
                what: "taking in the emulated world",
                seconds: SETTLE_DEADLINE.as_secs(),
            })?
            .map_err(|_| Error::Task {
                reason: "the data plane no longer follows the world".to_owned(),
            })?;
        match state.as_ref().and_then(|it| it.problem.clone()) {
            Some(reason) => Err(Error::Task { reason }),
            None => Ok(()),
        }
    }

    /// Configures the web server of an instance, now or before the instance is there. Its certificate stays the same
    /// as long as its names and issuer do.
    pub async fn serve(&self, instance: &str, behaviour: WebServer) -> Result<(), Error> {
        let before = self.shared.server(instance);
        let server = InstanceServer::new(instance, behaviour, &self.shared.lets_encrypt, before.as_deref())?;
        lock(&self.shared.servers).insert(instance.to_owned(), Arc::new(server));
        let shared = self.shared.clone();
        self.handle()
            .spawn(async move { shared.follow_servers().await })
            .await
            .map_err(|error| Error::Task {
                reason: error.to_string(),
            })?
    }

    /// The DNS server that knows the emulated zones and load balancers.
    pub fn dns_server(&self) -> SocketAddr {
        SocketAddr::V4(self.dns)
    }

    /// The roots of the emulated Amazon, as PEM. It is gone when the data plane is.
    pub fn ca_file(&self) -> PathBuf {
        self.files.path().join("amazon-ca.pem")
    }

    /// The root of the emulated Let's Encrypt, as PEM.
    pub fn lets_encrypt_ca_file(&self) -> PathBuf {
        self.files.path().join("lets-encrypt-ca.pem")
    }

    /// The certificate that the web server of an instance shows, as PEM; none before it has one.
    pub fn instance_certificate(&self, instance: &str) -> Option<String> {
        let server = self.shared.server(instance)?;
        Some(server.certificate_pem().to_owned())
    }

    /// The address of this data plane's network that ends in `host`, for an instance's public address.
    ///
    /// The numbers below 10, 53 and those from 100 on are in use.
    pub fn address(&self, host: u8) -> Ipv4Addr {
        self.shared.network.address(host)
    }

    /// Values for curl's and the tool's `--connect-to`: which port to go to instead of a privileged one.
    pub fn connect_to(&self) -> Vec<String> {
        let pairs = self.shared.ports.pairs().iter().copied();
        // The zones' name servers all are the one DNS server here, which has another port than they have.
        let dns = (DNS_PORT, self.dns.port());
        let pairs = pairs.chain([dns]);
        pairs.map(|(from, to)| format!(":{from}::{to}")).collect()
    }

    /// The port that listens in place of `port`.
    pub fn real_port(&self, port: u16) -> Option<u16> {
        self.shared.ports.real(port)
    }

    /// The options with which the tool reaches this data plane.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--dns-server".to_owned(),
            self.dns_server().to_string(),
            "--ca-file".to_owned(),
            self.ca_file().display().to_string(),
        ];
        for pair in self.connect_to() {
            arguments.extend(["--connect-to".to_owned(), pair]);
        }
        arguments
    }

    pub(crate) fn handle(&self) -> &Handle {
        // The runtime is taken only by `drop`.
        self.runtime
            .as_ref()
            .expect("a data plane has its runtime until it is dropped")
            .handle()
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        // Plain dropping would block, which is not allowed in an async context.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn world(&self) -> Arc<World> {
        lock(&self.world).clone()
    }

    fn server(&self, instance: &str) -> Option<Arc<InstanceServer>> {
        lock(&self.servers).get(instance).cloned()
    }

    fn resolve(&self, name: &str, kind: &str) -> Answer {
        let world = self.world();
        let by_arn = lock(&self.balancer_addresses).clone();
        let load_balancers = world
            .load_balancers
            .iter()
            .filter_map(|it| {
                let addresses = Addresses {
                    ipv4: by_arn.get(&it.arn)?.clone(),
                    dualstack: it.is_dualstack(),
                };
                Some((dns::normal(&it.dns_name), addresses))
            })
            .collect();
        let directory = Directory {
            world: &world,
            load_balancers: &load_balancers,
            load_balancer_ttl: self.load_balancer_ttl,
            name_server: self.network.address(DNS_HOST),
        };
        directory.answer(name, kind)
    }
}

fn start_dns(runtime: &Runtime, shared: &Arc<Shared>, address: Ipv4Addr) -> Result<SocketAddrV4, Error> {
    // Sockets register with the runtime that is entered.
    let _entered = runtime.enter();
    let (at, server) = dns_server::start(shared.clone(), address)?;
    runtime.spawn(async move {
        let _running = server;
        std::future::pending::<()>().await;
    });
    Ok(at)
}

async fn follow(shared: Arc<Shared>, control: Control, announce: watch::Sender<Option<TakenIn>>) {
    let mut next = control.world().await;
    loop {
        match next {
            Ok(world) => {
                let version = world.version;
                let problem = shared.take_in(world).await.err().map(|it| it.to_string());
                if let Some(problem) = &problem {
                    tracing::warn!(version, problem, "the data plane cannot follow the world");
                }
                announce.send_replace(Some(TakenIn { version, problem }));
                next = control.world_since(version, POLL).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the emulator does not tell its world");
                tokio::time::sleep(RETRY).await;
                next = control.world().await;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::file("writing", path))
}
