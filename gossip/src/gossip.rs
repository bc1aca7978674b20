//! The machine: membership, rumours and anti-entropy behind one set of inputs and one queue of
//! outputs.
//!
//! Inputs change, outputs drain. Bytes from outside cannot fail: junk becomes a counted output.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crdt_state::{NodeId, RecordKey, Replica};

use crate::{Counters, GossipConfig, Identity, Member, Now, Output};

/// One node's side of the fleet's gossip.
pub struct Gossip {
    members: BTreeMap<NodeId, Member>,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Gossip {
    /// A machine that knows nobody yet.
    pub fn new(_config: GossipConfig, _me: Identity, _seed: u64, _now: Now) -> Gossip {
        Gossip { members: BTreeMap::new(), counters: Counters::default(), outputs: VecDeque::new() }
    }

    /// A datagram came, already opened.
    pub fn handle_datagram(
        &mut self,
        _now: Now,
        _from: SocketAddr,
        _bytes: &[u8],
        _replica: &mut Replica,
    ) {
    }

    /// A reliable message came from an authenticated peer.
    pub fn handle_message(
        &mut self,
        _now: Now,
        _from: NodeId,
        _bytes: &[u8],
        _replica: &mut Replica,
    ) {
    }

    /// A handshake succeeded, ours or theirs.
    pub fn handle_connected(&mut self, _now: Now, _node: NodeId, _addr: SocketAddr) {}

    /// A reliable message could not be delivered.
    pub fn handle_unreachable(&mut self, _now: Now, _to: NodeId) {}

    /// The deadline has come.
    pub fn handle_timeout(&mut self, _now: Now, _replica: &mut Replica) {}

    /// Join the fleet that whoever listens at `addr` belongs to.
    pub fn join(&mut self, _now: Now, _addr: SocketAddr) {}

    /// These records changed, here or by what was merged: spread them.
    pub fn on_changed(&mut self, _now: Now, _keys: &BTreeSet<RecordKey>) {}

    /// Say good-bye. Afterwards the machine only repeats it.
    pub fn leave(&mut self, _now: Now) {}

    /// A member is removed from the view until it comes back with a new generation.
    pub fn forget(&mut self, _now: Now, _node: NodeId) {}

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` wants to be called.
    pub fn deadline(&self) -> Now {
        Now::NEVER
    }

    /// The other members, by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One member.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node)
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
