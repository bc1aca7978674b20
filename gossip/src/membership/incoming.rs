//! Input from other members: packets of the failure detector, good-byes, member lists.
//!
//! Everything is screened before foca sees it. Input may be late, repeated or made up. It must
//! never make this node a member in its own list, or bring back a superseded identity.

use std::net::SocketAddr;

use crdt_state::NodeId;
use foca::{Header, Message, State};
use rand::RngExt;

use super::packet::Packet;
use super::timers::Due;
use super::{Effect, Membership};
use crate::identity::{BOOTS_AHEAD_MAX, RENEWAL_BITS};
use crate::message::Entry;
use crate::{Evidence, Identity, JunkReason, MemberState, Now};

/// Members to which each receiver passes a good-bye on when it hears it for the first time.
const GOODBYE_FAN_OUT: usize = 4;

impl Membership {
    /// A packet of the failure detector arrived.
    pub(crate) fn handle_swim(
        &mut self,
        now: Now,
        (sender, from): (NodeId, SocketAddr),
        bytes: &[u8],
        addrs: &[Option<SocketAddr>],
    ) -> Result<(), JunkReason> {
        let mut packet = Packet::decode(bytes).ok_or(JunkReason::Undecodable)?;
        let told = packet.updates.len();
        let src = packet.header.src;
        if src.node != sender {
            return Err(JunkReason::WrongSender);
        }
        if self.view.is_forgotten(&src) {
            return Err(JunkReason::Forgotten);
        }
        self.on_addressed(packet.header.dst);
        self.take_back(now, src);
        if self.view.is_superseded(&src) {
            self.answer_superseded(now, src.node, from);
            self.leap(now);
            return Ok(());
        }
        self.health.on_heard(now);
        if let Some(event) = self.view.set_addr(src.node, from) {
            self.effects.push_back(Effect::Event(event));
        }
        self.swim.on_answer(&packet.header);
        if let Message::IndirectAck { .. } = packet.header.message {
            self.between_until = now.plus(self.round_ms());
        }
        if let Some(addr) = addrs.get(packet.updates.len()) {
            self.on_relayed(&packet.header, *addr);
        }
        for (update, addr) in packet.updates.iter().zip(addrs) {
            self.on_hint(update.id().node, *addr);
        }
        packet.updates.retain(|update| self.admit(now, update));
        let sender = (!self.is_unchanged(&packet.header)).then_some(src.node);
        let touched = packet.updates.iter().map(|update| update.id().node).chain(sender).collect();
        let screened = (packet.updates.len() < told).then(|| packet.encode());
        let bytes = screened.as_deref().unwrap_or(bytes);
        let (output, result) = self.swim.handle_data(now, bytes, touched);
        self.carry_out(now, Evidence::Others, output);
        self.after_packet(now, &packet);
        result.map_err(|_| JunkReason::Swim)
    }

    /// Does a packet's header match the known state of its sender? Most headers do.
    fn is_unchanged(&self, header: &Header<Identity>) -> bool {
        self.view.get(header.src.node).is_some_and(|known| {
            known.identity() == header.src
                && known.incarnation == header.src_incarnation
                && known.member.state == MemberState::Alive
        })
    }

    fn after_packet(&mut self, now: Now, packet: &Packet) {
        let (src, dst) = (packet.header.src, packet.header.dst);
        if let Some(known) = self.view.get_mut(src.node)
            && known.member.generation <= src.generation
        {
            known.member.heard = now;
            if known.member.state == MemberState::Suspect {
                self.tell_suspect(now, src.node);
            }
        }
        if dst.node == self.swim.me().node && dst.generation < self.swim.me().generation {
            // The packet is addressed to this node's identity before its renewal, and foca drops it
            // silently. The answer carries the new identity.
            self.send_bare(src, Message::Gossip, None);
        }
        self.leap(now);
    }

    /// Whether an update from outside may reach foca.
    pub(super) fn admit(&mut self, now: Now, update: &foca::Member<Identity>) -> bool {
        let identity = *update.id();
        if !self.is_plausible(&identity) {
            return false;
        }
        if identity.node == self.swim.me().node {
            // A claim about an earlier identity of this node no longer matters; foca would list
            // that identity as a member.
            self.swim.note_reported(identity.generation);
            return identity == self.swim.me();
        }
        let Some(known) = self.view.get(identity.node) else {
            return !self.view.is_forgotten(&identity);
        };
        if known.member.generation > identity.generation {
            return false;
        }
        if update.state() != State::Down || !known.member.state.is_active() {
            return true;
        }
        if known.identity() != identity {
            // A later generation that this node has not heard of, and gone already: the member that it
            // does hear is asked, and answers with the generation that it has.
            self.suspect_remotely(now, known.identity());
            return false;
        }
        // A verdict about a member that is active in this node's view. After a partition heals,
        // each side brings such verdicts about all members of the other side.
        let suspect = known.member.state == MemberState::Suspect;
        if suspect && known.member.heard <= known.member.since {
            return true;
        }
        self.suspect_remotely(now, identity);
        false
    }

    /// Somebody addressed this node by a generation that it does not have.
    fn on_addressed(&mut self, dst: Identity) {
        if dst.node == self.swim.me().node && self.is_plausible(&dst) {
            self.swim.note_reported(dst.generation);
        }
    }

    /// A node speaks by a generation from which the reported one is out of its reach: that was a lie, of
    /// the node itself or about it. Nobody is heard by it any more, and it is taken back.
    fn take_back(&mut self, now: Now, src: Identity) {
        let Some(known) = self.view.get(src.node) else { return };
        let (reported, is_heard) = (known.identity(), known.member.state.is_active());
        if !is_heard && reported.boots() > src.boots().saturating_add(BOOTS_AHEAD_MAX) {
            self.view.take_back(src.node);
            self.suspicions.close(src.node);
            let output = self.swim.remove(now, reported);
            self.carry_out(now, Evidence::Others, output);
        }
    }

    /// A node speaks by an earlier generation than the one that others have reported of it. Foca is not
    /// asked: it would answer every packet, and the node would answer with its next generation, for ever if
    /// the reported one is out of its reach. The node is addressed by the generation that it has to exceed,
    /// at most once per probe interval. If nobody is heard by that one, where it speaks from counts: what
    /// others said of its address may be as wrong.
    fn answer_superseded(&mut self, now: Now, node: NodeId, from: SocketAddr) {
        let Some(known) = self.view.get(node) else { return };
        if !known.member.state.is_active() {
            self.view.set_addr(node, from);
        }
        self.call(now, node);
    }

    fn suspect_remotely(&mut self, now: Now, identity: Identity) {
        if self.suspicions.has_remote(identity) {
            return;
        }
        // The requests are spread over time: a healed partition brings hundreds of verdicts in one
        // list.
        let delay_ms = self.rng.random_range(0..=self.profile.probe_interval_ms / 4);
        let ask_at = now.plus(delay_ms);
        self.suspicions.open_remote(now, identity, ask_at);
        self.timers.push(ask_at, Due::Suspicion(identity.node));
    }

    /// Takes a higher generation than the one that others reported of this node.
    fn leap(&mut self, now: Now) {
        let output = self.swim.leap(now);
        self.carry_out(now, Evidence::Others, output);
    }

    /// A member answered an indirect probe and not this node's own. It may have moved while this
    /// node moved too, and no other message would bring its address, because both stay alive
    /// through other members. The member that probed for this node reports the address at which it
    /// heard the answer.
    fn on_relayed(&mut self, header: &Header<Identity>, addr: Option<SocketAddr>) {
        let Some(probe) = self.swim.relayed_answer(header) else { return };
        let (node, started) = (probe.target.node, probe.started);
        if self.view.get(node).is_some_and(|known| known.member.heard > started) {
            return;
        }
        if let Some(event) = addr.and_then(|addr| self.view.set_addr(node, addr)) {
            self.effects.push_back(Effect::Event(event));
        }
    }

    fn on_hint(&mut self, node: NodeId, addr: Option<SocketAddr>) {
        if node == self.swim.me().node {
            return;
        }
        if let Some(event) = addr.and_then(|addr| self.view.hint_addr(node, addr)) {
            self.effects.push_back(Effect::Event(event));
        }
    }

    /// A good-bye arrived: from the member itself, or passed on by another one and confirmed by what
    /// the member wrote of itself.
    pub(crate) fn handle_leaving(&mut self, now: Now, who: Identity) {
        if !self.may_have_left(&who) || !self.view.set_left(&who) {
            return;
        }
        self.apply(now, vec![foca::Member::down(who)]);
        let peers = self.active();
        for to in self.choose(peers, GOODBYE_FAN_OUT) {
            self.effects.push_back(Effect::Leaving { to, who });
        }
    }

    /// Somebody says that a member left, and nothing confirms it: the member is asked.
    pub(crate) fn doubt(&mut self, now: Now, who: Identity) {
        let update = foca::Member::down(who);
        if self.view.get(who.node).is_some() && self.admit(now, &update) {
            self.apply(now, vec![update]);
        }
    }

    fn may_have_left(&self, who: &Identity) -> bool {
        who.node != self.swim.me().node
            && self.is_plausible(who)
            && !self.view.is_forgotten(who)
            && !self.view.is_superseded(who)
    }

    /// Could this be the node's next generation? A member could name one that the node can never
    /// exceed, and then nobody would hear that node again.
    fn is_plausible(&self, identity: &Identity) -> bool {
        let known = match self.view.get(identity.node) {
            _ if identity.node == self.swim.me().node => self.swim.me().generation,
            Some(known) => known.member.generation,
            None => 0,
        };
        identity.boots() <= (known >> RENEWAL_BITS).saturating_add(BOOTS_AHEAD_MAX)
    }

    /// Merges a member list; `has_left` says who wrote of itself that it left. True if the digest of
    /// this node's view changed.
    pub(crate) fn merge_entries(
        &mut self,
        now: Now,
        entries: &[Entry],
        has_left: &dyn Fn(NodeId) -> bool,
    ) -> bool {
        let before = self.digest();
        let mut updates = Vec::new();
        for entry in entries {
            self.on_hint(entry.identity.node, entry.addr);
            let state = match entry.state {
                MemberState::Alive | MemberState::Suspect => State::Alive,
                MemberState::Unreachable | MemberState::Left => State::Down,
            };
            let update = foca::Member::new(entry.identity, entry.incarnation, state);
            let said = entry.state == MemberState::Left && self.may_have_left(&entry.identity);
            if said && has_left(entry.identity.node) {
                if self.view.set_left(&entry.identity) {
                    updates.push(update);
                }
            } else if self.admit(now, &update) {
                updates.push(update);
            }
        }
        self.apply(now, updates);
        self.leap(now);
        before != self.digest()
    }
}
