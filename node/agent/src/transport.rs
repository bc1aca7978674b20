//! All traffic between agents, over one UDP socket: sealed datagrams, and QUIC for messages that
//! are larger or must arrive. The first byte distinguishes the two: every QUIC packet has bit 0x40
//! set.
//!
//! A peer is identified by its key (TLS with bare ed25519 keys, no certificates, no dates), and is
//! a member of the fleet if it proves knowledge of the fleet's key. Every wait has a deadline,
//! every queue a bound; dropped data is counted. Bytes from outside must never be able to panic or
//! block it.

mod accept;
mod admission;
mod answer;
mod ask;
mod attempts;
mod copy;
mod counters;
mod deliver;
mod dial;
mod evicted;
mod keep_alive;
mod listen_error;
mod members;
mod opening;
mod peers;
mod rejected_peers;
mod relay;
mod request;
mod sealed;
mod session;
mod socket;
mod socket_errors;
mod tell_copies;
mod tls;
mod token_exchange;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use crdt_state::task::Run;
use crdt_state::token::TokenId;
use crdt_state::{NodeId, PublicKey};
use tokio::sync::{Semaphore, mpsc};

pub use answer::PeerService;
pub use ask::PeerReply;
pub use copy::{FoundCopy, Later};
pub use counters::{Dropped, TransportCounters};
pub use dial::DialFailure;
pub use keep_alive::KeepAlive;
pub use listen_error::ListenError;
pub use opening::PeerStream;
pub use relay::Route;
pub use request::{BlobOrigin, BlobRequest, FRAME_BYTES_MAX, LogRequest, PeerRequest};
pub use token_exchange::{JoinGrant, TokenService};

use crate::config::FleetKey;
use crate::identity::NodeKey;
use admission::Admission;
use attempts::Attempts;
use evicted::Evicted;
use members::Members;
use peers::Peers;
use rejected_peers::RejectedPeers;
use sealed::Seals;
use socket::SharedSocket;

/// The largest reliable message.
pub const MESSAGE_BYTES_MAX: usize = gossip::output::MESSAGE_BYTES_MAX;

/// Arrivals that wait for the node at most. 1,024 datagrams of 1.2 kB are 1.2 MB, which only a
/// flood fills. Then datagrams are dropped and counted, and messages wait, which slows their
/// sender.
pub const ARRIVALS_MAX: usize = 1_024;

/// Unknown peers that may be in the middle of a handshake. Each costs some 40 kB; further ones get
/// no answer.
const HANDSHAKES_MAX: usize = 32;

/// What other agents sent, and results of connections, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// A datagram from a node that this one knows; opened.
    Datagram {
        /// The node that sealed it, which it proved by that.
        sender: NodeId,
        /// Its source, which anybody can forge.
        from: SocketAddr,
        /// The content that was sealed.
        bytes: Vec<u8>,
    },
    /// A complete message to this node.
    Message {
        /// The sender, which proved its identity.
        from: NodeId,
        /// At most [`MESSAGE_BYTES_MAX`].
        bytes: Vec<u8>,
    },
    /// A handshake that either side asked for succeeded.
    Connected {
        /// The peer.
        node: NodeId,
        /// Its address.
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
        /// The node that they were for.
        to: NodeId,
    },
}

/// The settings of a transport.
pub struct TransportConfig {
    /// UDP address to listen on; port 0 is any.
    pub listen: SocketAddr,
    /// The identity of this node.
    pub key: NodeKey,
    /// The key of the fleet.
    pub fleet_key: FleetKey,
    /// Longest duration of a handshake, from the first packet to the proof of membership. More than
    /// five round trips of the link.
    pub dial_deadline: Duration,
}

/// A handle to the transport; clones are the same transport.
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
}

/// A handle that does not keep the transport alive, for services that answer its peers' requests.
#[derive(Clone)]
pub struct WeakTransport {
    shared: Weak<Shared>,
}

impl WeakTransport {
    /// The transport, if it still exists.
    pub fn upgrade(&self) -> Option<Transport> {
        self.shared.upgrade().map(|shared| Transport { shared })
    }
}

/// The state that the tasks of one transport share.
struct Shared {
    me: NodeId,
    process: copy::Process,
    endpoint: quinn::Endpoint,
    client: quinn::ClientConfig,
    socket: Arc<SharedSocket>,
    seals: Arc<Seals>,
    admission: Admission,
    peers: Mutex<Peers>,
    inbox: mpsc::Sender<Arrival>,
    service: OnceLock<Arc<dyn PeerService>>,
    tokens: OnceLock<Arc<dyn TokenService>>,
    counters: Arc<TransportCounters>,
    attempts: Attempts,
    evicted: Evicted,
    members: Members,
    rejected_peers: RejectedPeers,
    handshakes: Arc<Semaphore>,
    relayed: Arc<Semaphore>,
    meetings: Arc<Semaphore>,
    dial_deadline: Duration,
    runtime: tokio::runtime::Handle,
}

impl Transport {
    /// Listens, and sends arrivals to `inbox`. To be called in the runtime that is to do the work;
    /// the handle may then be used from any.
    pub fn listen(
        config: TransportConfig,
        inbox: mpsc::Sender<Arrival>,
    ) -> Result<Transport, ListenError> {
        let counters = Arc::new(TransportCounters::default());
        let seals = Arc::new(Seals::new(&config.key));
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
            process: copy::Process::begin(),
            endpoint,
            client: tls::client_config(&config.key),
            socket,
            seals,
            admission: Admission::new(&config.fleet_key),
            peers: Mutex::new(Peers::default()),
            inbox,
            service: OnceLock::new(),
            tokens: OnceLock::new(),
            counters,
            attempts: Attempts::default(),
            evicted: Evicted::default(),
            members: Members::default(),
            rejected_peers: RejectedPeers::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            relayed: Arc::new(Semaphore::new(relay::RELAYED_MAX)),
            meetings: Arc::new(Semaphore::new(deliver::MEETINGS_MAX)),
            dial_deadline: config.dial_deadline,
            runtime: tokio::runtime::Handle::current(),
        });
        shared.runtime.spawn(accept::accept(Arc::clone(&shared)));
        Ok(Transport { shared })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.endpoint.local_addr().expect("a bound socket has an address")
    }

    /// Seals and sends at once. If the socket's buffer is full, the datagram is dropped, as a
    /// network would. A node that is not known is met first, which tells its key.
    pub fn send_datagram(&self, to: NodeId, addr: SocketAddr, bytes: &[u8]) {
        match self.shared.seals.seal(to, bytes) {
            Some(sealed) => self.shared.socket.send(addr, &sealed),
            None => deliver::meet_first(&self.shared, to, addr, bytes.to_vec()),
        }
    }

    /// Datagrams are exchanged with the node that has this key from now on.
    pub fn acquaint(&self, key: PublicKey) {
        self.shared.seals.acquaint(key);
    }

    /// Sends a message over the connection with `to`, dialling `addr` if there is none. Messages to
    /// one node arrive in order, or [`Arrival::Undelivered`] reports that some did not.
    pub fn send_message(&self, to: NodeId, addr: SocketAddr, bytes: Vec<u8>) {
        deliver::send(&self.shared, to, addr, bytes);
    }

    /// Starts a handshake with the node at `addr`; answered by [`Arrival::Connected`] or
    /// [`Arrival::NotConnected`].
    pub fn connect(&self, addr: SocketAddr) {
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.spawn(dial::connect(shared, addr));
    }

    /// Returns which node listens at `addr`, if it is of the fleet with this key. Keeps no
    /// connection.
    pub async fn probe(&self, addr: SocketAddr, key: FleetKey) -> Result<NodeId, DialFailure> {
        let shared = Arc::clone(&self.shared);
        let probing = self.shared.runtime.spawn(dial::probe(shared, addr, key));
        probing.await.unwrap_or_else(|error| Err(DialFailure::Impossible(error.to_string())))
    }

    /// Gets the key of the fleet of the node at `addr` by a token of that fleet, given as its number
    /// and its verifier.
    pub async fn join_by_token(
        &self,
        addr: SocketAddr,
        token: (TokenId, [u8; 32]),
    ) -> Result<(NodeId, JoinGrant), DialFailure> {
        let shared = Arc::clone(&self.shared);
        let joining = self.shared.runtime.spawn(dial::join_by_token(shared, addr, token));
        joining.await.unwrap_or_else(|error| Err(DialFailure::Impossible(error.to_string())))
    }

    /// Tells the machines at both addresses, which both have the key of `node`, of each other.
    pub fn tell_copies(&self, node: NodeId, addrs: [SocketAddr; 2]) {
        self.shared.runtime.spawn(tell_copies::tell(Arc::clone(&self.shared), node, addrs));
    }

    /// Meets whoever is at an address, to learn whether it has the key of this node.
    pub async fn look_for_copy(&self, addr: SocketAddr) {
        let shared = Arc::clone(&self.shared);
        let met = async move { dial::meet(&shared, addr).await.map(|_| ()) };
        // The service is told.
        let _ = self.shared.runtime.spawn(met).await;
    }

    /// Sets who lets machines in that show a token; only the first call has an effect.
    pub fn admit_joiners(&self, service: Arc<dyn TokenService>) {
        let _ = self.shared.tokens.set(service);
    }

    /// The nodes that were removed from the fleet: their connections end, and they get no others.
    pub fn set_evicted(&self, nodes: BTreeSet<NodeId>) {
        for node in self.shared.evicted.set(nodes) {
            self.shared.peers().close(node, tls::Close::Evicted);
        }
    }

    /// The nodes that are members: they are let in by their own keys.
    pub fn set_members(&self, nodes: BTreeSet<NodeId>) {
        self.shared.members.set(nodes);
    }

    /// From now on strangers are let in, and this node is, by this key of the fleet. Connections stay
    /// until they are unused.
    pub fn set_fleet_key(&self, key: &FleetKey) {
        self.shared.admission.set_key(Some(key));
    }

    /// The fleet has another key, which this node does not know yet: no stranger is let in.
    pub fn refuse_fleet_key(&self) {
        self.shared.admission.set_key(None);
    }

    /// Addresses that recently tried to connect with another fleet key.
    pub fn rejected_peers(&self) -> Vec<IpAddr> {
        self.shared.rejected_peers.recent(Instant::now())
    }

    /// Sets the service that answers requests of peers; only the first call has an effect.
    pub fn serve(&self, service: Arc<dyn PeerService>) {
        let _ = self.shared.service.set(service);
    }

    /// Sends a request to a peer; the answer arrives piece by piece.
    pub fn request(&self, route: Route, request: PeerRequest) -> PeerReply {
        ask::request(&self.shared, route, request)
    }

    /// Passes a stream of a peer on to another one, until one side ends it.
    pub async fn pass_on(&self, to: NodeId, addr: SocketAddr, stream: PeerStream) {
        relay::pass_on(&self.shared, to, addr, stream).await;
    }

    /// A handle that does not keep the transport alive.
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

    /// Counters of what was dropped and refused since the start.
    pub fn counters(&self) -> &TransportCounters {
        &self.shared.counters
    }

    /// Tells peers that this end closes, and waits shortly until the message is sent.
    pub async fn close(&self) {
        self.shared.endpoint.close(tls::Close::Going.code(), b"going");
        let idle = self.shared.endpoint.wait_idle();
        let _ = tokio::time::timeout(Duration::from_millis(200), idle).await;
    }
}

impl Shared {
    /// Takes in a peer that was admitted.
    fn welcome(&self, node: NodeId, dialler: peers::Dialler, connection: &quinn::Connection) {
        tls::welcome(connection);
        if let Some(key) = tls::peer_key(connection) {
            self.seals.acquaint(key);
        }
        self.peers().add(node, dialler, connection.clone());
    }

    fn peers(&self) -> std::sync::MutexGuard<'_, Peers> {
        self.peers.lock().expect("nothing panics while it holds the table of peers")
    }
}

#[cfg(test)]
mod tests;
