//! Everything between agents, over one UDP socket: sealed datagrams, and QUIC for what is larger or
//! must arrive. The two are told apart by the first byte: every QUIC packet has bit 0x40 set.
//!
//! A peer is who its key says (TLS with bare ed25519 keys, no certificates, no dates) and a member
//! of the fleet if it proves knowledge of the fleet's key. Every wait has a deadline, every queue a
//! bound; what is dropped is counted. Bytes from outside must never be able to panic or block it.

mod accept;
mod admission;
mod answer;
mod ask;
mod counters;
mod deliver;
mod dial;
mod keep_alive;
mod opening;
mod peers;
mod rejected_peers;
mod relay;
mod request;
mod sealed;
mod session;
mod socket;
mod socket_errors;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use crdt_state::NodeId;
use crdt_state::task::Run;
use tokio::sync::{Semaphore, mpsc};

pub use answer::PeerService;
pub use ask::PeerReply;
pub use counters::{Dropped, TransportCounters};
pub use dial::DialFailure;
pub use keep_alive::KeepAlive;
pub use opening::PeerStream;
pub use relay::Route;
pub use request::{BlobOrigin, BlobRequest, FRAME_BYTES_MAX, LogRequest, PeerRequest};

use crate::config::FleetKey;
use crate::identity::NodeKey;
use admission::Admission;
use peers::Peers;
use rejected_peers::RejectedPeers;
use sealed::Seals;
use socket::SharedSocket;

/// The largest reliable message.
pub const MESSAGE_BYTES_MAX: usize = gossip::output::MESSAGE_BYTES_MAX;

/// Arrivals that wait for the node at most. 1,024 datagrams of 1.2 kB are 1.2 MB, which only a
/// flood fills; then datagrams are dropped and counted, and messages wait, which slows their sender.
pub const ARRIVALS_MAX: usize = 1_024;

/// Unknown peers that may be in the middle of a handshake. Each costs some 40 kB; more are not
/// answered.
const HANDSHAKES_MAX: usize = 32;

/// What came from other agents. Facts of the past, in the order they happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// A datagram of somebody who has the fleet's key; opened.
    Datagram {
        /// Its source, which anybody can forge.
        from: SocketAddr,
        /// What was sealed.
        bytes: Vec<u8>,
    },
    /// A whole message of this node.
    Message {
        /// Who proved to have sent it.
        from: NodeId,
        /// At most [`MESSAGE_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// This node or that one asked for a handshake, and it succeeded.
    Connected {
        /// Who it is.
        node: NodeId,
        /// Where it is.
        addr: SocketAddr,
    },
    /// A handshake that was asked for failed.
    NotConnected {
        /// Where.
        addr: SocketAddr,
        /// Why.
        why: DialFailure,
    },
    /// One or more messages to this node were lost.
    Undelivered {
        /// For whom they were.
        to: NodeId,
    },
}

/// What a transport needs to begin.
pub struct TransportConfig {
    /// UDP address to listen on; port 0 is any.
    pub listen: SocketAddr,
    /// Who this is.
    pub key: NodeKey,
    /// What admits to the fleet.
    pub fleet_key: FleetKey,
    /// A handshake, from the first packet to the proof of membership, takes at most so long. Above
    /// five round trips of the link.
    pub dial_deadline: Duration,
}

/// Why the agent cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error(
        "UDP {addr} is taken\n  another agent may run here (edgectl status), or give this one \
         another port with --listen {}:PORT", addr.ip()
    )]
    Taken {
        /// Where.
        addr: SocketAddr,
    },
    /// The address is none of this machine's.
    #[error(
        "{} is not an address of this machine\n  see `ip address`, or listen on all with --listen \
         0.0.0.0:{}", addr.ip(), addr.port()
    )]
    NotMine {
        /// Where.
        addr: SocketAddr,
    },
    /// The system refuses for another reason.
    #[error("cannot listen on UDP {addr}: {error}\n  name another address with --listen IP:PORT")]
    Refused {
        /// Where.
        addr: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A handle to everything between agents; clones are the same transport.
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
}

/// A handle that does not keep the transport, for whoever answers its peers' requests.
#[derive(Clone)]
pub struct WeakTransport {
    shared: Weak<Shared>,
}

impl WeakTransport {
    /// The transport, if it is still there.
    pub fn upgrade(&self) -> Option<Transport> {
        self.shared.upgrade().map(|shared| Transport { shared })
    }
}

/// What the tasks of one transport share.
struct Shared {
    me: NodeId,
    endpoint: quinn::Endpoint,
    client: quinn::ClientConfig,
    socket: Arc<SharedSocket>,
    seals: Arc<Seals>,
    admission: Admission,
    peers: Mutex<Peers>,
    inbox: mpsc::Sender<Arrival>,
    service: OnceLock<Arc<dyn PeerService>>,
    counters: Arc<TransportCounters>,
    rejected_peers: RejectedPeers,
    handshakes: Arc<Semaphore>,
    relayed: Arc<Semaphore>,
    dial_deadline: Duration,
    runtime: tokio::runtime::Handle,
}

impl Transport {
    /// Listens, and sends what arrives to `inbox`. To be called in the runtime that shall do the
    /// work; the handle may then be used from any.
    pub fn listen(
        config: TransportConfig,
        inbox: mpsc::Sender<Arrival>,
    ) -> Result<Transport, ListenError> {
        let counters = Arc::new(TransportCounters::default());
        let seals = Arc::new(Seals::new(&config.fleet_key));
        let refused = |error| ListenError::Refused { addr: config.listen, error };
        let socket = SharedSocket::bind(
            config.listen,
            Arc::clone(&seals),
            inbox.clone(),
            Arc::clone(&counters),
        )
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => ListenError::Taken { addr: config.listen },
            std::io::ErrorKind::AddrNotAvailable => ListenError::NotMine { addr: config.listen },
            _ => refused(error),
        })?;
        let socket = Arc::new(socket);
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            tls::endpoint_config(&config.key),
            Some(tls::server_config(&config.key)),
            Arc::clone(&socket) as Arc<dyn quinn::AsyncUdpSocket>,
            Arc::new(quinn::TokioRuntime),
        )
        .map_err(refused)?;
        let shared = Arc::new(Shared {
            me: config.key.node(),
            endpoint,
            client: tls::client_config(&config.key),
            socket,
            seals,
            admission: Admission::new(&config.fleet_key),
            peers: Mutex::new(Peers::default()),
            inbox,
            service: OnceLock::new(),
            counters,
            rejected_peers: RejectedPeers::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            relayed: Arc::new(Semaphore::new(relay::RELAYED_MAX)),
            dial_deadline: config.dial_deadline,
            runtime: tokio::runtime::Handle::current(),
        });
        shared.runtime.spawn(accept::accept(Arc::clone(&shared)));
        Ok(Transport { shared })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.endpoint.local_addr().expect("a bound socket has an address")
    }

    /// Seals and sends at once. A full socket drops it, like the network would.
    pub fn send_datagram(&self, addr: SocketAddr, bytes: &[u8]) {
        let sealed = self.shared.seals.seal(bytes);
        self.shared.socket.send(addr, &sealed);
    }

    /// Sends a message over the connection with `to`, dialling `addr` if there is none. Messages to
    /// one node arrive in order, or [`Arrival::Undelivered`] says that some did not.
    pub fn send_message(&self, to: NodeId, addr: SocketAddr, bytes: Vec<u8>) {
        deliver::send(&self.shared, to, addr, bytes);
    }

    /// Asks for a handshake with whoever listens at `addr`; answered by [`Arrival::Connected`] or
    /// [`Arrival::NotConnected`].
    pub fn connect(&self, addr: SocketAddr) {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.spawn(dial::connect(shared, addr));
    }

    /// Who listens at `addr`, if that node is of the fleet with this key. Nothing is kept of it.
    pub async fn probe(&self, addr: SocketAddr, key: FleetKey) -> Result<NodeId, DialFailure> {
        let shared = Arc::clone(&self.shared);
        let probing = self.shared.runtime.spawn(dial::probe(shared, addr, key));
        probing.await.unwrap_or_else(|error| Err(DialFailure::Impossible(error.to_string())))
    }

    /// Belongs to the fleet with this key from now on. Connections with members of the one before
    /// stay until nobody uses them; a node changes its fleet only while it is alone.
    pub fn set_fleet_key(&self, key: &FleetKey) {
        self.shared.seals.set_key(key);
        self.shared.admission.set_key(key);
    }

    /// Who tried to connect lately and has another fleet key.
    pub fn rejected_peers(&self) -> Vec<IpAddr> {
        self.shared.rejected_peers.recent(Instant::now())
    }

    /// Sets who answers the requests of peers; the first call counts.
    pub fn serve(&self, service: Arc<dyn PeerService>) {
        let _ = self.shared.service.set(service);
    }

    /// Asks a peer for something; what it answers arrives piece by piece.
    pub fn request(&self, route: Route, request: PeerRequest) -> PeerReply {
        ask::request(&self.shared, route, request)
    }

    /// Passes a stream of a peer on to another one, until one side ends it.
    pub async fn pass_on(&self, to: NodeId, addr: SocketAddr, stream: PeerStream) {
        relay::pass_on(&self.shared, to, addr, stream).await;
    }

    /// A handle that does not keep it.
    pub fn downgrade(&self) -> WeakTransport {
        WeakTransport { shared: Arc::downgrade(&self.shared) }
    }

    /// Opens a session in a run of a peer: bytes in both directions, until one side ends it.
    pub async fn session(
        &self,
        route: &Route,
        run: Run,
    ) -> Result<(PeerStream, KeepAlive), DialFailure> {
        session::open(&self.shared, route, run).await
    }

    /// Bytes of UDP payload since the start: sent, received.
    pub fn traffic(&self) -> (u64, u64) {
        self.shared.socket.traffic()
    }

    /// What was dropped and refused since the start.
    pub fn counters(&self) -> &TransportCounters {
        &self.shared.counters
    }

    /// Tells peers that this end goes, and waits shortly for the word to leave.
    pub async fn close(&self) {
        self.shared.endpoint.close(tls::Close::Going.code(), b"going");
        let idle = self.shared.endpoint.wait_idle();
        let _ = tokio::time::timeout(Duration::from_millis(200), idle).await;
    }
}

impl Shared {
    fn peers(&self) -> std::sync::MutexGuard<'_, Peers> {
        self.peers.lock().expect("nothing panics while it holds the table of peers")
    }
}

#[cfg(test)]
mod tests;
