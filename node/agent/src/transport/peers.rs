//! The table of connections and of messages that wait for each peer. Plain data: it sends nothing.
//!
//! Two nodes that dial each other at the same moment have two connections. Both prefer the one that
//! the smaller id dialled, and the other ends by its idle timeout. Neither is closed, because data
//! in transit would be lost.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::NodeId;
use quinn::Connection;

use super::tls::Close;

/// Connections kept at most. At 40 kB each they take 2.5 MB. Above, the least recently used one is
/// closed, and dialled again when it is needed.
const LINKS_MAX: usize = 64;

/// Messages that wait for one peer at most, and their bytes: two of the largest. Further ones are
/// refused and reported as undelivered; anti-entropy sends them again.
const WAITING_MAX: usize = 64;
const WAITING_BYTES_MAX: usize = 2 * super::MESSAGE_BYTES_MAX;

/// Who dialled a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialler {
    Me,
    Peer,
}

#[derive(Default)]
pub(super) struct Peers {
    peers: BTreeMap<NodeId, Peer>,
    /// Counts uses, to find the least recently used connection.
    uses: u64,
}

#[derive(Default)]
struct Peer {
    dialled: Option<Link>,
    accepted: Option<Link>,
    waiting: VecDeque<OutgoingMessage>,
    waiting_bytes: usize,
    /// A task is sending the waiting messages.
    sending: bool,
    /// Held by the task that dials.
    dialling: Arc<tokio::sync::Mutex<()>>,
}

struct Link {
    connection: Connection,
    used: u64,
}

/// A message to a peer.
pub(super) struct OutgoingMessage {
    pub(super) addr: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// The result of queueing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    /// A task is sending already and will send this message too.
    Behind,
    /// No task sends to this peer: start one.
    First,
    /// There is no room.
    Full,
}

impl Peers {
    /// Adds a connection, and closes one if there are too many. The connection that it replaces is
    /// used no more and ends by its idle timeout: data in transit may still arrive.
    pub(super) fn add(&mut self, node: NodeId, dialler: Dialler, connection: Connection) {
        self.uses += 1;
        let link = Link { connection, used: self.uses };
        let peer = self.peers.entry(node).or_default();
        let place = match dialler {
            Dialler::Me => &mut peer.dialled,
            Dialler::Peer => &mut peer.accepted,
        };
        *place = Some(link);
        let links = self.peers.values().flat_map(Peer::links);
        if links.clone().count() > LINKS_MAX
            && let Some(oldest) = links.min_by_key(|link| link.used)
        {
            oldest.connection.close(Close::Stale.code(), b"not used");
        }
    }

    /// Forgets a connection that ended.
    pub(super) fn remove(&mut self, node: NodeId, connection: &Connection) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let id = connection.stable_id();
        for place in [&mut peer.dialled, &mut peer.accepted] {
            if place.as_ref().is_some_and(|link| link.connection.stable_id() == id) {
                *place = None;
            }
        }
        self.forget_if_idle(node);
    }

    /// Closes all connections with a peer.
    pub(super) fn close(&mut self, node: NodeId, why: Close) {
        for link in self.peers.get(&node).into_iter().flat_map(Peer::links) {
            link.connection.close(why.code(), b"");
        }
    }

    /// The connection to use with a peer.
    pub(super) fn best(&mut self, me: NodeId, node: NodeId) -> Option<Connection> {
        self.uses += 1;
        let uses = self.uses;
        let peer = self.peers.get_mut(&node)?;
        let (first, second) = match me < node {
            true => (&mut peer.dialled, &mut peer.accepted),
            false => (&mut peer.accepted, &mut peer.dialled),
        };
        let link = [first, second].into_iter().flatten().find(|link| link.is_open())?;
        link.used = uses;
        Some(link.connection.clone())
    }

    /// The lock that is held while a peer is dialled: a second connection of the same direction
    /// would replace the first, and data in transit on that one could be lost.
    pub(super) fn dialling(&mut self, node: NodeId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.peers.entry(node).or_default().dialling)
    }

    /// The node that is connected from or to this address.
    pub(super) fn at(&self, addr: SocketAddr) -> Option<NodeId> {
        let is_there = |link: &Link| link.is_open() && link.connection.remote_address() == addr;
        self.peers.iter().find(|(_, peer)| peer.links().any(is_there)).map(|(node, _)| *node)
    }

    /// Queues a message.
    pub(super) fn queue(&mut self, to: NodeId, message: OutgoingMessage) -> Queued {
        let peer = self.peers.entry(to).or_default();
        let bytes = peer.waiting_bytes + message.bytes.len();
        if peer.waiting.len() >= WAITING_MAX || bytes > WAITING_BYTES_MAX {
            return Queued::Full;
        }
        peer.waiting_bytes = bytes;
        peer.waiting.push_back(message);
        match std::mem::replace(&mut peer.sending, true) {
            true => Queued::Behind,
            false => Queued::First,
        }
    }

    /// The next message to send; `None` ends the task that sends.
    pub(super) fn next(&mut self, to: NodeId) -> Option<OutgoingMessage> {
        let peer = self.peers.get_mut(&to)?;
        let message = peer.waiting.pop_front();
        match &message {
            Some(message) => peer.waiting_bytes -= message.bytes.len(),
            None => peer.sending = false,
        }
        if message.is_none() {
            self.forget_if_idle(to);
        }
        message
    }

    /// Drops all messages that wait for a peer; returns their number.
    pub(super) fn drop_waiting(&mut self, to: NodeId) -> usize {
        let Some(peer) = self.peers.get_mut(&to) else { return 0 };
        peer.waiting_bytes = 0;
        std::mem::take(&mut peer.waiting).len()
    }

    /// Drops the entry of a peer if it is empty.
    pub(super) fn forget_if_idle(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get(&node)
            && peer.links().next().is_none()
            && peer.waiting.is_empty()
            && !peer.sending
        {
            self.peers.remove(&node);
        }
    }
}

impl Peer {
    fn links(&self) -> impl Iterator<Item = &Link> + Clone {
        [&self.dialled, &self.accepted].into_iter().flatten()
    }
}

impl Link {
    fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }
}
