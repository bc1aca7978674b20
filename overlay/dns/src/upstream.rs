//! The servers that are asked for names that are not the fleet's, and how they are reached.
//!
//! The list is a shared value: the agent replaces it when the node's resolv.conf changes, and all
//! servers that share it use the new one from the next query on.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpSocket;

/// Opens the sockets by which an upstream server is asked. The namespace of a socket is the one in
/// which it was opened, so the implementer decides from where the server is asked. It must not wait.
pub trait Dialer: Send + Sync + 'static {
    /// A UDP socket for queries to this server, bound to a port of its own that nobody can guess
    /// (the kernel's choice), not connected.
    fn udp(&self, server: SocketAddr) -> io::Result<UdpSocket>;

    /// A TCP socket for queries to this server, not connected.
    fn tcp(&self, server: SocketAddr) -> io::Result<TcpSocket>;
}

/// Opens sockets in the namespace of the calling thread, which is the node's.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDialer;

impl Dialer for HostDialer {
    fn udp(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        UdpSocket::bind((any, 0))
    }

    fn tcp(&self, server: SocketAddr) -> io::Result<TcpSocket> {
        match server {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }
    }
}

/// One server.
#[derive(Clone)]
pub struct Upstream {
    /// Its address and port.
    pub address: SocketAddr,
    /// From where it is asked.
    pub dialer: Arc<dyn Dialer>,
}

impl Upstream {
    /// A server that is asked from the node's own namespace.
    pub fn from_host(address: SocketAddr) -> Upstream {
        Upstream { address, dialer: Arc::new(HostDialer) }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.address).finish()
    }
}

/// The servers to ask, in order; more than three are of no use, as in a resolv.conf. Clones share
/// one list.
///
/// An empty list, as for a container on internal networks only, lets names that are not the fleet's
/// be answered with NXDOMAIN at once. Nothing else ends the wait of every client: musl repeats the
/// query for five seconds after SERVFAIL or REFUSED, and all of them after silence. A client keeps
/// that answer for [`TTL_SECONDS`](crate::TTL_SECONDS).
#[derive(Debug, Clone, Default)]
pub struct Upstreams(Arc<RwLock<Arc<[Upstream]>>>);

impl Upstreams {
    /// A list.
    pub fn new(servers: Vec<Upstream>) -> Upstreams {
        Upstreams(Arc::new(RwLock::new(servers.into())))
    }

    /// Replaces the list, for all clones. Queries that are waiting keep the old one.
    pub fn replace(&self, servers: Vec<Upstream>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = servers.into();
    }

    /// The list now.
    pub fn current(&self) -> Arc<[Upstream]> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
