//! The machine: membership, rumours and anti-entropy behind one set of inputs and one queue of
//! outputs.
//!
//! The `handle_*` functions take inputs, [`Gossip::poll`] drains the outputs, and
//! [`Gossip::deadline`] says when to call again; a late call is as good as one on time. Bytes from
//! outside cannot cause an error: junk becomes a counted output. The messages by which two nodes
//! compare member lists and records are in [`dispatch`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crdt_state::{NodeId, RecordKey, Replica};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

mod dispatch;
mod evicted;

use crate::join::Seeds;
use crate::membership::{Effect, Membership};
use crate::message::{self, Message};
use crate::output::{DATAGRAM_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::rumour::{self, DATAGRAM_RECORDS_MAX, RumourMill};
use crate::{
    Counters, GossipConfig, GossipTimer, Identity, JunkReason, Member, MemberState, Now, Output,
    Profile,
};
use evicted::Evicted;

/// One node's side of the fleet's gossip.
pub struct Gossip {
    profile: Profile,
    membership: Membership,
    rumours: RumourMill,
    seeds: Seeds,
    /// When this node next compares with a random peer, and the length of the pause after that.
    compare_at: Now,
    compare_interval_ms: u64,
    /// A member that is new, or was gone and is back, and with which this node has not compared
    /// yet.
    appeared: Option<NodeId>,
    /// When this node last compared with such a member.
    greeted_at: Option<Now>,
    /// When each peer was last sent the member list; kept as long as the peer must wait for the
    /// next list.
    listed_at: BTreeMap<NodeId, Now>,
    evicted: Evicted,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Gossip {
    /// A machine that knows no other node yet. `me` must be newer than every identity that this
    /// node ever used, see [`Identity::at_boot`].
    pub fn new(config: GossipConfig, me: Identity, seed: u64, now: Now) -> Gossip {
        let profile = config.profile;
        let mut rng = StdRng::seed_from_u64(seed);
        // Nodes that boot together should not all compare at the same time.
        let phase_ms = rng.random_range(0..profile.compare_interval_ms);
        Gossip {
            profile,
            membership: Membership::new(profile, me, rng.random(), now),
            rumours: RumourMill::new(config.rumours),
            seeds: Seeds::new(3 * profile.compare_interval_ms),
            compare_at: now.plus(phase_ms),
            compare_interval_ms: profile.compare_interval_ms,
            appeared: None,
            greeted_at: None,
            listed_at: BTreeMap::new(),
            evicted: Evicted::default(),
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// A datagram arrived, already opened: from this node, which proved that, at this address.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        (sender, addr): (NodeId, SocketAddr),
        bytes: &[u8],
        replica: &mut Replica,
    ) {
        if self.membership.is_leaving() {
            return;
        }
        if self.tell_evicted(now, sender, addr) {
            self.drop_junk(JunkReason::Evicted);
            return;
        }
        match Message::decode_datagram(bytes) {
            Err(reason) => self.drop_junk(reason),
            Ok(message) => {
                self.counters.on_received(message.traffic(), bytes.len());
                self.on_message(now, (sender, Some(addr)), message, replica);
            }
        }
        self.collect();
    }

    /// A reliable message arrived from an authenticated peer.
    pub fn handle_message(&mut self, now: Now, from: NodeId, bytes: &[u8], replica: &mut Replica) {
        if self.membership.is_leaving() {
            return;
        }
        match Message::decode_message(bytes) {
            Err(reason) => self.drop_junk(reason),
            Ok(_) if self.evicted.has(from) => self.drop_junk(JunkReason::Evicted),
            Ok(message) => {
                self.counters.on_received(message.traffic(), bytes.len());
                self.on_message(now, (from, None), message, replica);
            }
        }
        self.collect();
    }

    /// A handshake succeeded, started by this node or by the other. A node that is not an active
    /// member here is sent the member list and asked for its own.
    pub fn handle_connected(&mut self, now: Now, node: NodeId, addr: SocketAddr) {
        if self.membership.is_leaving() {
            return;
        }
        if node == self.membership.me().node {
            self.seeds.drop_own(addr);
            return;
        }
        if self.tell_evicted(now, node, addr) {
            return;
        }
        self.seeds.on_answered(addr, node);
        self.membership.on_heard(now, node, Some(addr));
        if self.membership.member(node).is_none_or(|member| !member.state.is_active()) {
            self.send_members(now, node, message::Answer::Wanted);
        }
        self.collect();
    }

    /// A reliable message could not be delivered. The records in it still differ, and the next
    /// comparison finds them.
    pub fn handle_unreachable(&mut self, _now: Now, to: NodeId) {
        self.counters.undelivered += 1;
        self.listed_at.remove(&to);
    }

    /// Does all work that is due now or was due earlier.
    pub fn handle_timeout(&mut self, now: Now, replica: &mut Replica) {
        self.membership.handle_timeout(now);
        if !self.membership.is_leaving() {
            self.on_compare_due(now, replica);
            self.flush_rumours(now, replica);
            self.call_seeds(now);
        }
        self.collect();
        self.greet_appeared(now, replica);
    }

    /// Join the fleet of the node that listens at `addr`: asks for a handshake until one succeeds
    /// and that node is a member.
    pub fn join(&mut self, now: Now, addr: SocketAddr) {
        self.seeds.add(now, addr);
        self.call_seeds(now);
    }

    /// These records changed, by edits here or by a merge that [`Output::Merged`] reported: spread
    /// them. Naming a record twice while it waits changes nothing.
    pub fn on_changed(&mut self, now: Now, keys: &BTreeSet<RecordKey>) {
        let given_up = self.rumours.on_changed(now, keys);
        if given_up > 0 {
            self.counters.rumours_dropped += given_up as u64;
            self.on_progress(now);
        }
    }

    /// Pushes records that must be known now, though the host's disk may not have them: they report
    /// that the host has no disk. They are sent once, to as many peers as any change made here.
    pub fn tell_now(&mut self, replica: &Replica, keys: &BTreeSet<RecordKey>) {
        let me = self.membership.me().node;
        let peers = self.membership.active();
        let fan_out = rumour::fan_out(peers.len());
        let keys: Vec<RecordKey> = keys.iter().copied().collect();
        for to in self.membership.choose(peers, fan_out) {
            let Some(addr) = self.membership.view().addr(to) else { continue };
            for message in rumour::pack(me, replica, &keys) {
                let bytes = message.encode();
                if bytes.len() <= DATAGRAM_RECORDS_MAX {
                    self.counters.on_sent(message.traffic(), bytes.len());
                    self.outputs.push_back(Output::Swim { to, addr, bytes });
                }
            }
        }
    }

    /// Sends a good-bye to all active members. Afterwards the machine repeats it twice and ignores
    /// all input.
    pub fn leave(&mut self, now: Now) {
        self.membership.leave(now);
        self.collect();
    }

    /// Removes a member from the view until it comes back with a new generation. It is removed at
    /// once if it is unreachable or has left, otherwise as soon as it is no longer active.
    pub fn forget(&mut self, now: Now, node: NodeId) {
        self.membership.forget(now, node);
        self.listed_at.remove(&node);
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Gossip::handle_timeout`] must be called next.
    pub fn deadline(&self) -> Now {
        self.timers().map(|(_, at)| at).fold(Now::NEVER, Now::min)
    }

    /// The reasons for the next calls, each with its time. A timer that does not run is due never.
    pub fn timers(&self) -> impl Iterator<Item = (GossipTimer, Now)> {
        let own = [
            (GossipTimer::CompareDue, self.compare_at),
            (GossipTimer::RumourDue, self.rumours.deadline()),
            (GossipTimer::SeedDue, self.seeds.deadline()),
        ];
        // A node that is leaving repeats its good-bye, and does nothing else.
        let own = own.into_iter().filter(|_| !self.membership.is_leaving());
        self.membership.timers().chain(own)
    }

    /// This node's own identity.
    pub fn me(&self) -> Identity {
        self.membership.me()
    }

    /// The other members, by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.membership.view().members()
    }

    /// One member.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.membership.member(node)
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn drop_junk(&mut self, reason: JunkReason) {
        self.counters.on_junk(reason);
        self.outputs.push_back(Output::Junk(reason));
    }

    fn call_seeds(&mut self, now: Now) {
        let view = self.membership.view();
        // A seed whose member has left is called on too. It may have come back where no node of
        // this side could hear it, and then it is the only node that knows both sides.
        let calls = self.seeds.due(now, |node, addr| {
            let mut there = view.members().filter(|member| match node {
                Some(node) => member.id == node,
                None => member.addr == addr,
            });
            there.any(|member| member.state != MemberState::Left)
        });
        self.outputs.extend(calls.into_iter().map(|addr| Output::Connect { addr }));
    }

    fn flush_rumours(&mut self, now: Now, replica: &Replica) {
        if now < self.rumours.deadline() {
            return;
        }
        let me = self.membership.me().node;
        let active = self.membership.active();
        let vantage = self.membership.vantage(now);
        for batch in self.rumours.flush(active.len(), vantage) {
            let messages = rumour::pack(me, replica, &batch.keys);
            // A node that sends to all members also sends to those that it never hears directly: it
            // may be wrong about them.
            let peers = match batch.fan_out < active.len() {
                true => self.membership.heard_directly(now),
                false => active.clone(),
            };
            for (place, to) in self.membership.choose(peers, batch.fan_out).into_iter().enumerate()
            {
                let is_for =
                    |message: &&Message| place < batch.bulk_fan_out || !rumour::is_bulk(message);
                for message in messages.iter().filter(is_for) {
                    self.send(to, message);
                }
            }
        }
    }

    /// Turns the effects of membership into outputs.
    fn collect(&mut self) {
        while let Some(effect) = self.membership.poll() {
            match effect {
                Effect::Swim { to, packet, addrs } => self.send(to, &message::swim(packet, addrs)),
                Effect::Leaving { to, who } => {
                    let from = self.membership.me().node;
                    self.send(to, &Message::Leaving { from, who });
                }
                Effect::Event(event) => self.outputs.push_back(Output::Member(event)),
                Effect::Appeared(node) => self.appeared = Some(node),
            }
        }
        let noted = self.membership.noted();
        self.counters.verdicts_postponed = noted.verdicts_postponed;
        self.counters.verdicts_refuted = noted.verdicts_refuted;
        self.counters.timers_stale = noted.timers_stale;
    }

    /// Sends through the channel that fits: packets of the failure detector at once, small state as
    /// a datagram, the rest as a reliable message.
    fn send(&mut self, to: NodeId, message: &Message) {
        let Some(addr) = self.membership.view().addr(to) else {
            self.counters.unaddressed += 1;
            return;
        };
        let bytes = message.encode();
        let fits = match message {
            Message::Swim { .. } | Message::Leaving { .. } | Message::Compare { .. } => {
                debug_assert!(bytes.len() <= DATAGRAM_BYTES_MAX, "these are small by design");
                true
            }
            Message::Tree { .. } | Message::Rumour { .. } => bytes.len() <= DATAGRAM_RECORDS_MAX,
            // Messages that repair differences must arrive.
            Message::Leaves { .. }
            | Message::LeafPart { .. }
            | Message::Records { .. }
            | Message::Members { .. } => false,
        };
        if bytes.len() > MESSAGE_BYTES_MAX {
            // An oversize message must not end this node: others may have made it hold such
            // records, and the size arithmetic may have missed a case.
            debug_assert!(false, "every message is cut to size");
            self.counters.oversize += 1;
            return;
        }
        self.counters.on_sent(message.traffic(), bytes.len());
        self.outputs.push_back(match message {
            Message::Swim { .. } | Message::Leaving { .. } => Output::Swim { to, addr, bytes },
            _ if fits => Output::Datagram { to, addr, bytes },
            _ => Output::Message { to, addr, bytes },
        });
    }
}
