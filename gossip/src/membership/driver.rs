//! foca, and what it asks of its host.
//!
//! Every call goes through [`Membership::with_foca`]: what foca sends is opened once more to learn
//! its incarnation, its open probe and whom it speaks of; its timers go to the queue; its states
//! are mirrored into the view. foca 2.0.0 keeps members in vectors and binary heaps, no hash maps:
//! the same seed gives the same trace.

use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use crdt_state::NodeId;
use foca::{
    Config, Header, Message, NoCustomBroadcast, Notification, PeriodicParams, State, Timer,
};
use rand::rngs::StdRng;

use super::codec::Codec;
use super::health::{Around, Outcome, Trust};
use super::packet::{PACKET_BYTES_MAX, Packet, is_active};
use super::suspicions::{FollowUp, Ruling};
use super::timers::Due;
use super::{Effect, Membership};
use crate::{Evidence, Identity, MemberEvent, MemberState, Now, Profile};

/// foca with our types.
pub(crate) type Foca = foca::Foca<Identity, Codec, StdRng, NoCustomBroadcast>;

/// Packets in which a change is repeated. foca's own 4 to 9 leave stragglers that learn of a death
/// up to a minute late; 12 cost 3 % more bytes while something changes, and none when idle.
const TRANSMISSIONS_MAX: u8 = 12;

/// Members asked to probe in this node's stead, and members told of a change at a time.
const FAN_OUT: usize = 3;

/// The first push after a time without changes waits so long for more of them.
const PUSH_GATHER_MS: u64 = 10;

/// The probe that foca waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenProbe {
    pub(crate) target: Identity,
    pub(super) number: u8,
    pub(super) started: Now,
    answered: bool,
}

/// What foca asked for during one call.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    sends: Vec<(Identity, Vec<u8>)>,
    timers: Vec<(Timer<Identity>, u64)>,
    touched: Vec<NodeId>,
    missed: Option<Identity>,
    rejoined: Option<Identity>,
}

impl foca::Runtime<Identity> for &mut Asked {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        match notification {
            Notification::MemberUp(id)
            | Notification::MemberDown(id)
            | Notification::Rename(_, id) => {
                self.touched.push(id.node);
            }
            Notification::ProbeFailed(_, id) => {
                self.touched.push(id.node);
                self.missed = Some(*id);
            }
            Notification::Rejoin(id) => self.rejoined = Some(*id),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Identity, bytes: &[u8]) {
        self.sends.push((to, bytes.to_vec()));
    }

    fn submit_after(&mut self, timer: Timer<Identity>, after: Duration) {
        self.timers.push((timer, after.as_millis() as u64));
    }
}

/// foca for a profile. What it would do by time alone is switched off where the driver does it.
pub(crate) fn new_foca(profile: &Profile, me: Identity, rng: StdRng) -> Foca {
    let fan_out = NonZeroUsize::new(FAN_OUT).expect("not zero");
    let config = Config {
        probe_period: Duration::from_millis(profile.probe_interval_ms),
        probe_rtt: Duration::from_millis(profile.probe_rtt_ms),
        num_indirect_probes: fan_out,
        max_transmissions: NonZeroU8::new(TRANSMISSIONS_MAX).expect("not zero"),
        suspect_to_down_after: Duration::from_millis(profile.suspicion_ms),
        // Kept until an operator removes it: members that forget at different times would bring
        // each other's dead back for ever. Bounded by the nodes that ever were.
        remove_down_after: None,
        max_packet_size: NonZeroUsize::new(PACKET_BYTES_MAX).expect("not zero"),
        notify_down_members: true,
        periodic_announce: None,
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams {
            frequency: Duration::from_millis(profile.push_interval_ms),
            num_members: fan_out,
        }),
    };
    Foca::new(me, config, rng, Codec)
}

impl Membership {
    /// Calls foca and carries out what it asked for. `touched`: members whose state may change.
    pub(super) fn with_foca(
        &mut self,
        now: Now,
        touched: Vec<NodeId>,
        call: impl FnOnce(&mut Foca, &mut Asked) -> Result<(), foca::Error>,
    ) -> Result<(), foca::Error> {
        self.with_foca_by(now, Evidence::Others, touched, call)
    }

    /// The same; `evidence`: by what a member is unreachable that now is.
    fn with_foca_by(
        &mut self,
        now: Now,
        evidence: Evidence,
        mut touched: Vec<NodeId>,
        call: impl FnOnce(&mut Foca, &mut Asked) -> Result<(), foca::Error>,
    ) -> Result<(), foca::Error> {
        let mut asked = Asked::default();
        let result = call(&mut self.foca, &mut asked);
        if let Some(identity) = asked.rejoined {
            self.on_renewed(identity);
        }
        for (timer, after_ms) in asked.timers {
            let after_ms = match timer {
                Timer::ProbeRandomMember(_) | Timer::SendIndirectProbe { .. } => {
                    self.health.stretched(after_ms)
                }
                _ => after_ms,
            };
            self.timers.push(now.plus(after_ms), Due::Foca(timer));
        }
        for (to, bytes) in asked.sends {
            self.on_send(now, to, bytes);
        }
        touched.append(&mut asked.touched);
        touched.sort_unstable();
        self.mirror(now, evidence, &touched);
        if let Some(missed) = asked.missed {
            self.suspect_locally(now, missed);
        }
        if self.foca.updates_backlog() > 0
            && let Some(push) = self.parked_push.take()
        {
            self.timers.push(now.plus(PUSH_GATHER_MS), Due::Foca(push));
        }
        result
    }

    fn mirror(&mut self, now: Now, evidence: Evidence, touched: &[NodeId]) {
        if touched.is_empty() {
            return;
        }
        let updates: Vec<foca::Member<Identity>> = self
            .foca
            .iter_membership_state()
            .filter(|m| m.id().node != self.me.node && touched.binary_search(&m.id().node).is_ok())
            .cloned()
            .collect();
        for update in updates {
            let change = self.view.on_state(now, &update, evidence);
            self.on_change(now, update.id().node, change);
        }
    }

    fn on_renewed(&mut self, identity: Identity) {
        self.me = identity;
        self.incarnation = 0;
        self.probe = None;
        self.suspicions.close_local();
        self.effects.push_back(Effect::Event(MemberEvent::Renewed(identity)));
    }

    /// Sends what foca wrote, with the addresses of the members it speaks of, as far as they fit; last
    /// that of the member whose answer is passed on.
    fn on_send(&mut self, now: Now, to: Identity, bytes: Vec<u8>) {
        let packet = Packet::decode(&bytes).expect("foca writes packets that decode");
        self.incarnation = packet.header.src_incarnation;
        if let Message::Ping(number) = packet.header.message {
            self.probe = Some(OpenProbe { target: to, number, started: now, answered: false });
        }
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

    /// Sends a packet that foca has no call for.
    pub(super) fn send_bare(
        &mut self,
        dst: Identity,
        message: Message<Identity>,
        update: Option<foca::Member<Identity>>,
    ) {
        let header = Header { src: self.me, src_incarnation: self.incarnation, dst, message };
        let packet = Packet::new(header, update).encode();
        self.effects.push_back(Effect::Swim { to: dst.node, packet, addrs: Vec::new() });
    }

    /// Gives foca updates and lets it spread what is new.
    pub(super) fn apply(&mut self, now: Now, updates: Vec<foca::Member<Identity>>) {
        if updates.is_empty() {
            return;
        }
        let touched = updates.iter().map(|update| update.id().node).collect();
        let result = self
            .with_foca(now, touched, |foca, out| foca.apply_many(updates.into_iter(), true, out));
        debug_assert!(result.is_ok(), "updates fit into a packet");
    }

    /// Notes that the open probe was answered, directly or by way of another member.
    pub(super) fn on_answer(&mut self, header: &Header<Identity>) {
        let Some(probe) = &mut self.probe else { return };
        probe.answered |= match header.message {
            Message::Ack(number) => header.src == probe.target && number == probe.number,
            Message::ForwardedAck { origin, probe_number } => {
                origin == probe.target && probe_number == probe.number
            }
            _ => false,
        };
    }

    /// One of foca's timers is due.
    pub(super) fn on_foca_timer(&mut self, now: Now, at: Now, timer: Timer<Identity>) {
        match &timer {
            Timer::ChangeSuspectToDown { member_id, incarnation, .. } => {
                let about = (*member_id, *incarnation);
                return self.on_verdict(now, about, timer);
            }
            Timer::ProbeRandomMember(_) => {
                self.on_probe_over(now, at);
                self.on_island(now);
            }
            Timer::PeriodicGossip(_) if self.foca.updates_backlog() == 0 => {
                // Five wake-ups a second for nothing, in a fleet where nothing changes for days.
                self.parked_push = Some(timer);
                return;
            }
            _ => {}
        }
        // The only error that a timer can bring is a probe cycle cut short by this node's own
        // lateness; foca recovers from it by itself.
        let _ = self.with_foca(now, Vec::new(), |foca, out| foca.handle_timer(timer, out));
    }

    /// foca's verdict about a suspect of this incarnation is due.
    fn on_verdict(&mut self, now: Now, about: (Identity, u16), verdict: Timer<Identity>) {
        let trust = self.trust(now);
        let known = self.view.get(about.0.node);
        match self.suspicions.judge(now, about, known, trust) {
            Ruling::Stands => {
                self.pass_verdict(now, verdict);
            }
            Ruling::Dropped => {}
            Ruling::PutOff(until) => self.timers.push(until, Due::Foca(verdict)),
        }
    }

    fn pass_verdict(&mut self, now: Now, timer: Timer<Identity>) {
        let _ = self.with_foca_by(now, Evidence::Probe, Vec::new(), |foca, out| {
            foca.handle_timer(timer, &mut *out)?;
            // Others should not have to wait for the next push.
            foca.gossip(out)
        });
    }

    /// The probe's time is over: takes note of how it went, and takes it back where this node is in
    /// no position to accuse.
    fn on_probe_over(&mut self, now: Now, at: Now) {
        let Some(probe) = self.probe.take() else { return };
        let Some(known) = self.view.get(probe.target.node) else { return };
        let was_suspect = known.member.state == MemberState::Suspect;
        let heard = known.member.heard > probe.started;
        let outcome = if probe.answered || heard { Outcome::Answered } else { Outcome::Missed };
        // A member whose address nobody has told yet was not even asked.
        let unasked = self.view.addr(probe.target.node).is_none();
        if !was_suspect && !unasked {
            self.health.on_probe(outcome);
        }
        let late = now.since(at) > self.profile.late_ms();
        if !probe.answered && (heard || late || unasked || self.trust(now) == Trust::Blind) {
            self.take_back(now, &probe);
        }
    }

    /// Answers the probe in the member's stead: foca has no other way to call one off.
    fn take_back(&mut self, now: Now, probe: &OpenProbe) {
        if self.view.get(probe.target.node).is_none_or(|k| k.identity() != probe.target) {
            return;
        }
        let header = Header {
            src: probe.target,
            src_incarnation: 0,
            dst: self.me,
            message: Message::Ack(probe.number),
        };
        let bytes = Packet::new(header, None).encode();
        let _ = self.with_foca(now, Vec::new(), |foca, out| foca.handle_data(&bytes, out));
    }

    /// This node's probe of a member was missed.
    pub(super) fn suspect_locally(&mut self, now: Now, identity: Identity) {
        let Some(known) = self.view.get(identity.node) else { return };
        if known.member.state == MemberState::Suspect
            && known.identity() == identity
            && self.suspicions.open_local(now, identity)
        {
            self.on_suspicion(now, identity.node);
        }
    }

    /// Follows one suspicion up.
    pub(super) fn on_suspicion(&mut self, now: Now, node: NodeId) {
        match self.suspicions.follow_up(now, node, self.view.get(node)) {
            FollowUp::Nothing => {}
            FollowUp::Tell { claim, again_at } => {
                self.tell(now, node, claim);
                self.timers.push(again_at, Due::Suspicion(node));
            }
            FollowUp::Believe(gone) => self.apply(now, vec![foca::Member::down(gone)]),
        }
    }

    /// A node that hears nobody is an island. Everybody is unreachable *from here*, which is nobody
    /// else's business: the verdicts are not spread.
    pub(super) fn on_island(&mut self, now: Now) {
        if !self.health.is_island(now) {
            return;
        }
        let gone: Vec<foca::Member<Identity>> = self
            .view
            .active()
            .map(|m| Identity { node: m.id, generation: m.generation })
            .map(|id| foca::Member::new(id, 0, State::Down))
            .collect();
        let touched = gone.iter().map(|update| update.id().node).collect();
        let result = self.with_foca_by(now, Evidence::Island, touched, |foca, out| {
            foca.apply_many(gone.into_iter(), false, out)
        });
        debug_assert!(result.is_ok(), "nothing is sent");
    }

    /// How far this node trusts itself now.
    pub(super) fn trust(&self, now: Now) -> Trust {
        let (mut peers, mut suspects) = (0, 0);
        for member in self.view.active() {
            peers += 1;
            suspects += usize::from(member.state == MemberState::Suspect);
        }
        self.health.trust(now, Around { peers, suspects })
    }

    /// Others speak of a higher generation of this node than its own: its counter was lost, or it
    /// was copied. It takes one above, at most once per packet or list.
    pub(super) fn leap(&mut self, now: Now) {
        let Some(generation) = self.outranked_by.take() else { return };
        let identity = Identity { node: self.me.node, generation: generation.saturating_add(1) };
        if identity.generation <= self.me.generation {
            return;
        }
        let result = self.with_foca(now, Vec::new(), |foca, out| {
            foca.change_identity(identity, &mut *out)?;
            out.rejoined = Some(identity);
            Ok(())
        });
        debug_assert!(result.is_ok(), "a higher generation is another identity");
    }
}
