//! Which sockets are open: exactly those through which security groups let visitors.
//!
//! A port that nobody may reach has no socket, so connecting to it is refused at once where AWS would stay silent.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::admission::admits_visitor;
use super::load_balancer::ListenerHandle;
use super::web_server::{InstanceServer, Way, WebServer};
use super::{Shared, lock};
use crate::Error;
use crate::model::World;

/// Load balancers have addresses from here on, two each, as they have on AWS with two zones.
const FIRST_BALANCER_HOST: u8 = 100;
const ADDRESSES_PER_BALANCER: usize = 2;
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(20);

/// What stands behind a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Behind {
    LoadBalancer { arn: String, port: u16 },
    Instance { id: String, port: u16 },
}

/// The open sockets.
#[derive(Debug, Default)]
pub(super) struct Sockets(HashMap<(Ipv4Addr, u16), Open>);

#[derive(Debug)]
struct Open {
    behind: Behind,
    accepting: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // Only accepting ends: connections already made are tasks of their own.
        self.accepting.abort();
    }
}

impl Sockets {
    async fn close(&mut self, at: (Ipv4Addr, u16)) {
        if let Some(mut open) = self.0.remove(&at) {
            open.accepting.abort();
            // Once the task is gone so is its socket, and the next connection is refused.
            let _ = (&mut open.accepting).await;
        }
    }
}

impl Shared {
    /// Makes a new world the one that everything looks at.
    pub(super) async fn take_in(self: &Arc<Self>, world: World) -> Result<(), Error> {
        self.give_addresses(&world)?;
        self.give_servers(&world)?;
        let mut sockets = self.sockets.lock().await;
        self.change_over(&mut sockets, Arc::new(world)).await
    }

    /// Opens and closes sockets after a web server has changed.
    pub(super) async fn follow_servers(self: &Arc<Self>) -> Result<(), Error> {
        let mut sockets = self.sockets.lock().await;
        let world = self.world();
        self.change_over(&mut sockets, world).await
    }

    /// New sockets are open before names lead to them, and old ones close after names have led elsewhere.
    async fn change_over(self: &Arc<Self>, sockets: &mut Sockets, world: Arc<World>) -> Result<(), Error> {
        let wanted = self.wanted_sockets(&world);
        let mut outcome = Ok(());
        for (at, behind) in &wanted {
            if sockets.0.get(at).is_some_and(|open| open.behind == *behind) {
                continue;
            }
            sockets.close(*at).await;
            match TcpListener::bind(at).await {
                Ok(listener) => {
                    let behind = behind.clone();
                    let accepting = tokio::spawn(accept(self.clone(), listener, behind.clone()));
                    sockets.0.insert(*at, Open { behind, accepting });
                }
                Err(source) => {
                    outcome = Err(Error::NothingFree {
                        what: "port",
                        source: Some(source),
                    });
                }
            }
        }
        *lock(&self.world) = world;
        let surplus = sockets.0.keys().filter(|at| !wanted.contains_key(at));
        let surplus: Vec<_> = surplus.copied().collect();
        for at in surplus {
            sockets.close(at).await;
        }
        outcome
    }

    fn wanted_sockets(&self, world: &World) -> HashMap<(Ipv4Addr, u16), Behind> {
        let mut wanted = HashMap::new();
        let addresses = lock(&self.balancer_addresses);
        for balancer in &world.load_balancers {
            if balancer.state != "active" || balancer.scheme == "internal" {
                continue;
            }
            for listener in &balancer.listeners {
                let Some(real) = self.ports.real(listener.port) else {
                    continue;
                };
                if !admits_visitor(world, &balancer.security_groups, listener.port) {
                    continue;
                }
                for address in addresses.get(&balancer.arn).into_iter().flatten() {
                    let behind = Behind::LoadBalancer {
                        arn: balancer.arn.clone(),
                        port: listener.port,
                    };
                    wanted.insert((*address, real), behind);
                }
            }
        }
        drop(addresses);
        for instance in &world.instances {
            let Some(address) = instance
                .public_address
                .filter(|address| self.network.contains(*address) && instance.state == "running")
            else {
                continue;
            };
            let Some(server) = self.server(&instance.id) else {
                continue;
            };
            for port in server.ports() {
                let Some(real) = self.ports.real(port) else {
                    continue;
                };
                if admits_visitor(world, &instance.security_groups, port) {
                    let behind = Behind::Instance {
                        id: instance.id.clone(),
                        port,
                    };
                    wanted.insert((address, real), behind);
                }
            }
        }
        wanted
    }

    /// Gives each new load balancer its addresses, and takes back those of the gone ones.
    fn give_addresses(&self, world: &World) -> Result<(), Error> {
        let mut addresses = lock(&self.balancer_addresses);
        addresses.retain(|arn, _| world.load_balancer(arn).is_some());
        let mut taken: HashSet<Ipv4Addr> = addresses.values().flatten().copied().collect();
        for balancer in &world.load_balancers {
            if addresses.contains_key(&balancer.arn) {
                continue;
            }
            let free: Vec<Ipv4Addr> = (FIRST_BALANCER_HOST..=254)
                .map(|host| self.network.address(host))
                .filter(|address| !taken.contains(address))
                .take(ADDRESSES_PER_BALANCER)
                .collect();
            if free.len() < ADDRESSES_PER_BALANCER {
                return Err(Error::NothingFree {
                    what: "address",
                    source: None,
                });
            }
            taken.extend(&free);
            addresses.insert(balancer.arn.clone(), free);
        }
        Ok(())
    }

    /// Gives every instance without a configured web server a plain one.
    fn give_servers(&self, world: &World) -> Result<(), Error> {
        let mut servers = lock(&self.servers);
        for instance in &world.instances {
            if !servers.contains_key(&instance.id) {
                let plain = WebServer::for_site(&instance.id);
                let server = InstanceServer::new(&instance.id, plain, &self.lets_encrypt, None)?;
                servers.insert(instance.id.clone(), Arc::new(server));
            }
        }
        Ok(())
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, behind: Behind) {
    loop {
        let Ok((stream, visitor)) = listener.accept().await else {
            // For example too many open files: give others time to close some.
            tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        match &behind {
            Behind::LoadBalancer { arn, port } => {
                let listener = ListenerHandle {
                    shared: shared.clone(),
                    load_balancer: arn.clone(),
                    port: *port,
                };
                tokio::spawn(listener.serve(stream, visitor));
            }
            Behind::Instance { id, port } => {
                if let Some(server) = shared.server(id) {
                    tokio::spawn(serve_directly(server, stream, *port, visitor));
                }
            }
        }
    }
}

async fn serve_directly(server: Arc<InstanceServer>, stream: tokio::net::TcpStream, port: u16, visitor: SocketAddr) {
    tracing::trace!(%visitor, port, "a direct visitor");
    server.serve(stream, port, Way::Directly).await;
}
