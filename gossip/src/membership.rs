//! The membership: foca's SWIM, driven as a pure machine, with the additions that simulations
//! showed to be necessary.
//!
//! - foca's timers and randomness come from here: a queue ordered by time, and a seed.
//! - A verdict is carried out only if the member was not heard since the suspicion began and this
//!   node trusts itself ([`health`]). If others report a member unreachable that is not suspect
//!   here, this node asks the member first ([`suspicions`]).
//! - Whole member lists are exchanged when their digests differ ([`view`]); foca's own
//!   dissemination only makes the spread of changes faster.
//!
//! It must never touch a record: an unreachable member's data stays as it is.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crdt_state::NodeId;
use foca::{Message, State, Timer};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

mod address_book;
mod codec;
mod health;
mod incoming;
mod packet;
mod suspicions;
mod swim;
mod timeouts;
mod timers;
mod view;

#[cfg(test)]
pub(crate) use packet::PACKET_BYTES_MAX;
pub(crate) use packet::Packet;

pub use address_book::STRANGERS_MAX;

use crate::message::Entry;
use crate::rumour::Vantage;
use crate::{Evidence, GossipTimer, Identity, Member, MemberEvent, MemberState, Now, Profile};
use health::LocalHealth;
use packet::is_active;
use suspicions::{Noted, Suspicions};
use swim::{Swim, SwimOutput, SwimSend};
use timers::{Due, Timers};
use view::{Change, View};

/// When a leaving node repeats its good-bye: the node may stop soon, and datagrams get lost.
const GOODBYES_MS: [u64; 2] = [100, 300];

/// What membership asks its caller to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A packet for a member, with the addresses of the members in its updates.
    Swim { to: NodeId, packet: Vec<u8>, addrs: Vec<Option<SocketAddr>> },
    /// The message that a member leaves the fleet.
    Leaving { to: NodeId, who: Identity },
    /// An event to report to the host.
    Event(MemberEvent),
    /// A member is new, or was gone and is back: compare records with it now.
    Appeared(NodeId),
}

/// Is this node a member, or is it leaving?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Member,
    Leaving,
}

/// One node's membership.
pub(crate) struct Membership {
    profile: Profile,
    swim: Swim,
    view: View,
    suspicions: Suspicions,
    health: LocalHealth,
    timers: Timers,
    rng: StdRng,
    /// Until then this node counts as a bridge between peers that cannot reach each other.
    between_until: Now,
    phase: Phase,
    effects: VecDeque<Effect>,
}

impl Membership {
    pub(crate) fn new(profile: Profile, me: Identity, seed: u64, now: Now) -> Membership {
        let mut rng = StdRng::seed_from_u64(seed);
        let swim = Swim::new(&profile, me, StdRng::seed_from_u64(rng.random()));
        let mut timers = Timers::default();
        timers.push(now.plus(profile.announce_interval_ms), Due::Announce);
        Membership {
            profile,
            swim,
            view: View::default(),
            suspicions: Suspicions::new(&profile),
            health: LocalHealth::new(profile, now),
            timers,
            rng,
            between_until: Now::START,
            phase: Phase::Member,
            effects: VecDeque::new(),
        }
    }

    pub(crate) fn me(&self) -> Identity {
        self.swim.me()
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn noted(&self) -> Noted {
        self.suspicions.noted()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.phase == Phase::Leaving
    }

    pub(crate) fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn timers(&self) -> impl Iterator<Item = (GossipTimer, Now)> {
        self.timers.iter()
    }

    /// A hash by which two nodes find out whether they see the same members.
    pub(crate) fn digest(&self) -> u64 {
        self.view.digest(self.me())
    }

    /// Up to `count` different members out of `from`, at random.
    pub(crate) fn choose(&mut self, mut from: Vec<NodeId>, count: usize) -> Vec<NodeId> {
        let count = count.min(from.len());
        for place in 0..count {
            let other = self.rng.random_range(place..from.len());
            from.swap(place, other);
        }
        from.truncate(count);
        from
    }

    /// The active members.
    pub(crate) fn active(&self) -> Vec<NodeId> {
        self.view.active().map(|member| member.id).collect()
    }

    /// The time in which every reachable member is heard. Each node probes every other node once in
    /// a round of as many probes as there are members. The time allows for two rounds, because a
    /// probe may be lost.
    fn round_ms(&self) -> u64 {
        let members = self.view.active().count() as u64 + 1;
        2 * members * self.profile.probe_interval_ms + self.profile.suspicion_ms
    }

    /// The active members that this node hears directly, and those that are new. If there are none,
    /// all active members. The others are known to be alive only through other members.
    pub(crate) fn heard_directly(&self, now: Now) -> Vec<NodeId> {
        let round_ms = self.round_ms();
        let lately = |at: Now| now.since(at) <= round_ms;
        let heard = self.view.active().filter(|member| {
            (member.heard != Now::START && lately(member.heard)) || lately(member.since)
        });
        let heard: Vec<NodeId> = heard.map(|member| member.id).collect();
        if heard.is_empty() { self.active() } else { heard }
    }

    /// Is this node a bridge between others? It is if it lately relayed the answer to an indirect
    /// probe: the member that asked for the probe had got no direct answer.
    pub(crate) fn vantage(&self, now: Now) -> Vantage {
        if now < self.between_until { Vantage::Between } else { Vantage::Among }
    }

    /// A node was heard, by a datagram or over a connection.
    pub(crate) fn on_heard(&mut self, now: Now, node: NodeId, addr: Option<SocketAddr>) {
        self.health.on_heard(now);
        if let Some(event) = addr.and_then(|addr| self.view.set_addr(node, addr)) {
            self.effects.push_back(Effect::Event(event));
        }
        let Some(known) = self.view.get_mut(node) else { return };
        known.member.heard = now;
        match known.member.state {
            MemberState::Suspect => self.tell_suspect(now, node),
            MemberState::Unreachable => self.call(now, node),
            MemberState::Alive | MemberState::Left => {}
        }
    }

    /// The members as they are sent to others, this node first.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let me = Entry {
            identity: self.me(),
            incarnation: self.swim.incarnation(),
            state: MemberState::Alive,
            addr: None,
        };
        std::iter::once(me).chain(self.view.entries()).collect()
    }

    /// Sends a good-bye to all active members, and repeats it a little later.
    pub(crate) fn leave(&mut self, now: Now) {
        if self.is_leaving() {
            return;
        }
        self.phase = Phase::Leaving;
        self.timers.clear();
        self.say_goodbye();
        for ms in GOODBYES_MS {
            self.timers.push(now.plus(ms), Due::Goodbye);
        }
    }

    fn say_goodbye(&mut self) {
        let who = self.me();
        for to in self.active() {
            self.effects.push_back(Effect::Leaving { to, who });
        }
    }

    /// Drops a member that is unreachable or left, until it comes back with a new generation. An
    /// active member is dropped as soon as it is no longer active.
    pub(crate) fn forget(&mut self, now: Now, node: NodeId) {
        if let Some(identity) = self.view.forget(node) {
            self.suspicions.close(node);
            let output = self.swim.remove(now, identity);
            self.carry_out(now, Evidence::Others, output);
        }
    }

    /// Drops a member at once, in whatever state it is, and for ever.
    pub(crate) fn expel(&mut self, now: Now, node: NodeId) {
        let known = self.view.get(node).filter(|known| known.member.state.is_active());
        if let Some(identity) = known.map(|known| known.identity()) {
            let output = self.swim.give_up(now, vec![identity]);
            self.carry_out(now, Evidence::Others, output);
        }
        self.forget(now, node);
        self.view.bar(node);
    }

    /// A node that was expelled may come back.
    pub(crate) fn readmit(&mut self, node: NodeId) {
        self.view.readmit(node);
    }

    /// Sends an announcement to one member, at most once per probe interval.
    pub(crate) fn call(&mut self, now: Now, node: NodeId) {
        let Some(known) = self.view.get_mut(node) else { return };
        if known.told != Now::START && now.since(known.told) < self.profile.probe_interval_ms {
            return;
        }
        known.told = now;
        let identity = known.identity();
        self.send_bare(identity, Message::Announce, None);
    }

    /// Tells a suspect that it is suspected, at most once per probe interval. It was just heard, so
    /// it probably does not know.
    fn tell_suspect(&mut self, now: Now, node: NodeId) {
        let told = self.view.get(node).map_or(Now::START, |known| known.told);
        if told == Now::START || now.since(told) >= self.profile.probe_interval_ms {
            self.tell(now, node, State::Suspect);
        }
    }

    /// Tells a member what others claim about its state. A suspect answers with a higher
    /// incarnation; a member that was declared down answers with a new generation.
    fn tell(&mut self, now: Now, node: NodeId, claim: State) {
        let Some(known) = self.view.get_mut(node) else { return };
        known.told = now;
        let identity = known.identity();
        let update = foca::Member::new(identity, known.incarnation, claim);
        self.send_bare(identity, Message::Ping(0), Some(update));
    }

    /// Sends a packet for which foca offers no call.
    fn send_bare(
        &mut self,
        dst: Identity,
        message: Message<Identity>,
        update: Option<foca::Member<Identity>>,
    ) {
        let packet = self.swim.write(dst, message, update);
        self.effects.push_back(Effect::Swim { to: dst.node, packet, addrs: Vec::new() });
    }

    /// Sends what foca wrote, with the addresses of the members in its updates, as far as they fit.
    /// If the packet relays a member's answer, that member's address comes last.
    fn send(&mut self, SwimSend { to, bytes, packet }: SwimSend) {
        let mut addrs: Vec<Option<SocketAddr>> = packet
            .updates
            .iter()
            .map(|update| {
                is_active(update.state()).then(|| self.view.addr(update.id().node)).flatten()
            })
            .collect();
        if let Message::ForwardedAck { origin, .. } = packet.header.message {
            addrs.push(self.view.addr(origin.node));
        }
        self.effects.push_back(Effect::Swim { to: to.node, packet: bytes, addrs });
    }

    /// Gives foca updates and lets it spread what is new.
    fn apply(&mut self, now: Now, updates: Vec<foca::Member<Identity>>) {
        if updates.is_empty() {
            return;
        }
        let output = self.swim.apply(now, updates);
        self.carry_out(now, Evidence::Others, output);
    }

    /// Carries out what foca asked for. `evidence`: the reason why a member that becomes
    /// unreachable counts as such.
    fn carry_out(&mut self, now: Now, evidence: Evidence, output: SwimOutput) {
        if let Some(identity) = output.renewed {
            self.suspicions.close_local();
            self.effects.push_back(Effect::Event(MemberEvent::Renewed(identity)));
        }
        for (timer, after_ms) in output.timers {
            let after_ms = match timer {
                Timer::ProbeRandomMember(_) | Timer::SendIndirectProbe { .. } => {
                    self.health.stretched(after_ms)
                }
                _ => after_ms,
            };
            self.timers.push(now.plus(after_ms), Due::Foca(timer));
        }
        for send in output.sends {
            self.send(send);
        }
        for state in output.states {
            let change = self.view.on_state(now, &state, evidence);
            self.on_change(now, state.id().node, change);
        }
        if let Some(missed) = output.missed {
            self.suspect_locally(now, missed);
        }
    }

    fn on_change(&mut self, now: Now, node: NodeId, change: Change) {
        match change {
            Change::Same => {}
            Change::Told(event) => {
                self.effects.push_back(Effect::Event(event));
                if self.view.is_due_to_be_forgotten(node) {
                    self.forget(now, node);
                }
            }
            Change::Appeared => {
                if self.view.active().count() == 1 {
                    self.health.on_heard(now);
                }
                self.effects.push_back(Effect::Event(MemberEvent::Up(node)));
                self.effects.push_back(Effect::Appeared(node));
            }
        }
    }

    /// One member.
    pub(crate) fn member(&self, node: NodeId) -> Option<&Member> {
        self.view.get(node).map(|known| &known.member)
    }
}

#[cfg(test)]
mod tests;
