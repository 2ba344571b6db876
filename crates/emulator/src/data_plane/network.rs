//! A loopback network of one's own, so that many emulators run side by side on one machine.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use crate::Error;

/// Whoever holds this port on the first address of a network has claimed the network.
const CLAIM_PORT: u16 = 20_999;
/// Below the range from which systems take ports for outgoing connections.
const PORTS: std::ops::Range<u16> = 21_000..30_000;
const ATTEMPTS: usize = 200;

/// A claimed network `127.A.B.0/24`. Only Linux answers on the whole of `127.0.0.0/8` as it comes.
#[derive(Debug)]
pub(crate) struct LoopbackNetwork {
    base: [u8; 2],
    _claim: UdpSocket,
}

impl LoopbackNetwork {
    /// Claims a network that no other emulator holds.
    pub(crate) fn claim() -> Result<Self, Error> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let [a, b, ..] = random().to_be_bytes();
            if matches!(a, 0 | 255) {
                continue;
            }
            match UdpSocket::bind((Ipv4Addr::new(127, a, b, 1), CLAIM_PORT)) {
                Ok(claim) => {
                    return Ok(Self {
                        base: [a, b],
                        _claim: claim,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(Error::NothingFree {
            what: "network",
            source: last,
        })
    }

    /// The address of this network that ends in `host`.
    pub(crate) fn address(&self, host: u8) -> Ipv4Addr {
        let [a, b] = self.base;
        Ipv4Addr::new(127, a, b, host)
    }

    /// Tells whether an address is of this network.
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        let [first, a, b, _] = address.octets();
        first == 127 && [a, b] == self.base
    }

    /// A port that nobody listens on, be it on this network or on all addresses.
    pub(crate) fn free_port(&self, taken: &[u16]) -> Result<u16, Error> {
        let probe = |port| TcpListener::bind((self.address(2), port)).map(drop);
        try_ports(taken, probe).map(|(port, ())| port)
    }

    /// Sockets for a DNS server: UDP and TCP on one port of `address`.
    pub(crate) fn dns_sockets(address: Ipv4Addr) -> Result<(SocketAddrV4, UdpSocket, TcpListener), Error> {
        let (port, (udp, tcp)) = try_ports(&[], |port| {
            let udp = UdpSocket::bind((address, port))?;
            let tcp = TcpListener::bind((address, port))?;
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            Ok((udp, tcp))
        })?;
        Ok((SocketAddrV4::new(address, port), udp, tcp))
    }
}

/// Which real port stands for a port below 1024, which only a privileged user can bind. Others stay themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct PortMap(Vec<(u16, u16)>);

impl PortMap {
    /// Finds a free port for each of the given privileged ones.
    pub(crate) fn choose(network: &LoopbackNetwork, privileged: &[u16]) -> Result<Self, Error> {
        let mut pairs: Vec<(u16, u16)> = Vec::new();
        for port in privileged {
            let taken: Vec<u16> = pairs.iter().map(|(_, real)| *real).collect();
            pairs.push((*port, network.free_port(&taken)?));
        }
        Ok(Self(pairs))
    }

    /// The port to bind or to connect to; none for a privileged port without a stand-in.
    pub(crate) fn real(&self, port: u16) -> Option<u16> {
        let mapped = self.0.iter().find(|(from, _)| *from == port);
        mapped.map(|(_, real)| *real).or_else(|| (port >= 1024).then_some(port))
    }

    /// The pairs of port and stand-in.
    pub(crate) fn pairs(&self) -> &[(u16, u16)] {
        &self.0
    }
}

fn try_ports<T>(taken: &[u16], mut attempt: impl FnMut(u16) -> std::io::Result<T>) -> Result<(u16, T), Error> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let width = u64::from(PORTS.end - PORTS.start);
        let offset = u16::try_from(random() % width).unwrap_or_default();
        let port = PORTS.start + offset;
        if taken.contains(&port) {
            continue;
        }
        match attempt(port) {
            Ok(value) => return Ok((port, value)),
            Err(error) => last = Some(error),
        }
    }
    Err(Error::NothingFree {
        what: "port",
        source: last,
    })
}

fn random() -> u64 {
    // Each RandomState has keys of its own, which the standard library draws from the system's randomness.
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_networks_differ_and_are_free_again_afterwards() {
        let first = LoopbackNetwork::claim().unwrap();
        let second = LoopbackNetwork::claim().unwrap();
        assert_ne!(first.base, second.base);
        assert!(first.contains(first.address(10)));
        assert!(!first.contains(second.address(10)));

        let address = (first.address(1), CLAIM_PORT);
        assert!(UdpSocket::bind(address).is_err());
        drop(first);
        assert!(UdpSocket::bind(address).is_ok());
    }

    #[test]
    fn privileged_ports_get_a_stand_in() {
        let network = LoopbackNetwork::claim().unwrap();
        let ports = PortMap::choose(&network, &[443, 80]).unwrap();
        let https = ports.real(443).unwrap();
        let http = ports.real(80).unwrap();
        assert_ne!(https, http);
        assert!(PORTS.contains(&https) && PORTS.contains(&http));
        assert_eq!(ports.real(8443), Some(8443));
        assert_eq!(ports.real(22), None);
    }
}
