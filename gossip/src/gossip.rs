//! The machine: membership, rumours and anti-entropy behind one set of inputs and one queue of
//! outputs.
//!
//! Inputs change, outputs drain, [`Gossip::deadline`] says when to call again; late is as good as
//! on time. Bytes from outside cannot fail: junk becomes a counted output. What is said between
//! two nodes about their differences is in [`dispatch`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use crdt_state::{NodeId, RecordKey, Replica};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

mod dispatch;

use crate::join::Seeds;
use crate::membership::{Effect, Membership};
use crate::message::{self, Message};
use crate::output::{DATAGRAM_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::rumour::{self, DATAGRAM_RECORDS_MAX, RumourMill};
use crate::{
    Counters, GossipConfig, GossipTimer, Identity, JunkReason, Member, MemberState, Now, Output,
    Profile,
};

/// One node's side of the fleet's gossip.
pub struct Gossip {
    profile: Profile,
    membership: Membership,
    rumours: RumourMill,
    seeds: Seeds,
    /// When the next random peer is compared with, and how long the pause after it is.
    compare_at: Now,
    compare_interval_ms: u64,
    /// A member that is new, or was gone and is back, and was not yet compared with.
    appeared: Option<NodeId>,
    /// The last comparison with such a member.
    greeted_at: Option<Now>,
    /// When each peer was last sent the member list, as long as that makes it wait.
    listed_at: BTreeMap<NodeId, Now>,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Gossip {
    /// A machine that knows nobody yet. `me` must be newer than every identity that this node ever
    /// used, see [`Identity::at_boot`].
    pub fn new(config: GossipConfig, me: Identity, seed: u64, now: Now) -> Gossip {
        let profile = config.profile;
        let mut rng = StdRng::seed_from_u64(seed);
        // Nodes that boot together should not compare in step.
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
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// A datagram came, already opened: whoever sent it has the fleet's key.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        from: SocketAddr,
        bytes: &[u8],
        replica: &mut Replica,
    ) {
        if self.membership.is_leaving() {
            return;
        }
        match Message::decode_datagram(bytes) {
            Err(reason) => self.drop_junk(reason),
            Ok(message) => {
                self.counters.on_received(message.traffic(), bytes.len());
                self.on_message(now, Some(from), message, replica);
            }
        }
        self.collect();
    }

    /// A reliable message came from an authenticated peer.
    pub fn handle_message(&mut self, now: Now, from: NodeId, bytes: &[u8], replica: &mut Replica) {
        if self.membership.is_leaving() {
            return;
        }
        match Message::decode_message(bytes) {
            Err(reason) => self.drop_junk(reason),
            Ok(message) if message.from() != Some(from) => {
                self.drop_junk(JunkReason::WrongSender);
            }
            Ok(message) => {
                self.counters.on_received(message.traffic(), bytes.len());
                self.on_message(now, None, message, replica);
            }
        }
        self.collect();
    }

    /// A handshake succeeded, ours or theirs. A node that is no member here is sent the member
    /// list and asked for its own.
    pub fn handle_connected(&mut self, now: Now, node: NodeId, addr: SocketAddr) {
        if self.membership.is_leaving() {
            return;
        }
        if node == self.membership.me().node {
            self.seeds.drop_own(addr);
            return;
        }
        self.seeds.on_answered(addr, node);
        self.membership.on_heard(now, node, Some(addr));
        if self.membership.member(node).is_none_or(|member| !member.state.is_active()) {
            self.send_members(now, node, message::Answer::Wanted);
        }
        self.collect();
    }

    /// A reliable message could not be delivered. What it carried still differs and is found by
    /// the next comparison.
    pub fn handle_unreachable(&mut self, _now: Now, to: NodeId) {
        self.counters.undelivered += 1;
        self.listed_at.remove(&to);
    }

    /// The deadline has come, or is past.
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

    /// Join the fleet that whoever listens at `addr` belongs to: asks for a handshake until one
    /// succeeds and the other is a member.
    pub fn join(&mut self, now: Now, addr: SocketAddr) {
        self.seeds.add(now, addr);
        self.call_seeds(now);
    }

    /// These records changed, by edits here or by what [`Output::Merged`] told: spread them. Naming
    /// a record twice while it waits changes nothing.
    pub fn on_changed(&mut self, now: Now, keys: &BTreeSet<RecordKey>) {
        let given_up = self.rumours.on_changed(now, keys);
        if given_up > 0 {
            self.counters.rumours_dropped += given_up as u64;
            self.on_progress(now);
        }
    }

    /// These records are to be known now, though the host's disk may not have them: they are the
    /// word that it has no disk. Told once, to as many as any news.
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

    /// Say good-bye to everybody. Afterwards the machine repeats it twice and hears nothing.
    pub fn leave(&mut self, now: Now) {
        self.membership.leave(now);
        self.collect();
    }

    /// Removes a member from the view until it comes back with a new generation: at once if it is
    /// unreachable or has left, otherwise as soon as it goes.
    pub fn forget(&mut self, now: Now, node: NodeId) {
        self.membership.forget(now, node);
        self.listed_at.remove(&node);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Gossip::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Now {
        self.timers().map(|(_, at)| at).fold(Now::NEVER, Now::min)
    }

    /// Why it wants to be called, and when for each reason. One that does not run is due never.
    pub fn timers(&self) -> impl Iterator<Item = (GossipTimer, Now)> {
        let own = [
            (GossipTimer::CompareDue, self.compare_at),
            (GossipTimer::RumourDue, self.rumours.deadline()),
            (GossipTimer::SeedDue, self.seeds.deadline()),
        ];
        // Who has said good-bye repeats it, and nothing else.
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

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn drop_junk(&mut self, reason: JunkReason) {
        self.counters.on_junk(reason);
        self.outputs.push_back(Output::Junk(reason));
    }

    fn call_seeds(&mut self, now: Now) {
        let view = self.membership.view();
        // One that has left is called on too: it may have come back where nobody of ours could hear,
        // and then it is the only one who knows both sides.
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
            // Whoever tells everybody also tells those that it never hears: it may be wrong.
            let peers = match batch.fan_out < active.len() {
                true => self.membership.heard_directly(now),
                false => active.clone(),
            };
            for to in self.membership.choose(peers, batch.fan_out) {
                for message in &messages {
                    self.send(to, message);
                }
            }
        }
    }

    /// Turns what membership wants into outputs.
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

    /// Sends by the channel that fits: the detector's words at once, small state as a datagram,
    /// the rest by reliable message.
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
            // What repairs differences must arrive.
            Message::Leaves { .. }
            | Message::LeafPart { .. }
            | Message::Records { .. }
            | Message::Members { .. } => false,
        };
        if bytes.len() > MESSAGE_BYTES_MAX {
            // What others made us hold must not end this node, whatever the arithmetic missed.
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
