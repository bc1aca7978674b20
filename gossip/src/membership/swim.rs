//! foca and all that is needed to drive it: each call returns what foca asked for during the call.
//!
//! [`Swim`] decodes every packet that foca sends, to learn foca's incarnation and open probe. It
//! holds foca's periodic push of changes back while there are no changes. It must never decide
//! whether a verdict is carried out, and knows no addresses. foca 2.0.0 keeps members in vectors
//! and binary heaps, no hash maps: the same seed gives the same trace.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use crdt_state::NodeId;
use foca::{
    Config, Header, Message, NoCustomBroadcast, Notification, PeriodicParams, State, Timer,
};
use rand::rngs::StdRng;

use super::codec::Codec;
use super::packet::{PACKET_BYTES_MAX, Packet};
use crate::{Identity, Now, Profile};

/// foca with our types.
type Foca = foca::Foca<Identity, Codec, StdRng, NoCustomBroadcast>;

/// Packets in which a change is repeated. With foca's own 4 to 9, a few members learn of a death up
/// to a minute late. 12 cost 3 % more bytes while something changes, and none when idle.
const TRANSMISSIONS_MAX: u8 = 12;

/// Members asked for an indirect probe, and members to which a change is pushed at a time.
const FAN_OUT: usize = 3;

/// The first push after a time without changes waits this long for more changes.
const PUSH_GATHER_MS: u64 = 10;

/// The probe that foca waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenProbe {
    pub(super) target: Identity,
    number: u8,
    pub(super) started: Now,
    pub(super) answered: bool,
}

impl OpenProbe {
    fn is_answered_by(&self, header: &Header<Identity>) -> bool {
        match header.message {
            Message::Ack(number) => header.src == self.target && number == self.number,
            Message::ForwardedAck { origin, probe_number } => {
                origin == self.target && probe_number == self.number
            }
            _ => false,
        }
    }
}

/// A packet that foca sends.
#[derive(Debug)]
pub(super) struct SwimSend {
    pub(super) to: Identity,
    pub(super) bytes: Vec<u8>,
    pub(super) packet: Packet,
}

/// What foca asked for during one call. The caller carries it out from the first field to the last.
#[derive(Debug, Default)]
#[must_use = "foca counts on what it asks for"]
pub(super) struct SwimOutput {
    /// This node has a new identity: others believed that the last one was gone.
    pub(super) renewed: Option<Identity>,
    /// Timers to give back to foca, each after this many milliseconds.
    pub(super) timers: Vec<(Timer<Identity>, u64)>,
    pub(super) sends: Vec<SwimSend>,
    /// The states, as foca has them now, of all members that the call may have changed.
    pub(super) states: Vec<foca::Member<Identity>>,
    /// This member did not answer its probe.
    pub(super) missed: Option<Identity>,
    touched: Vec<NodeId>,
}

impl foca::Runtime<Identity> for &mut SwimOutput {
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
            Notification::Rejoin(id) => self.renewed = Some(*id),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Identity, bytes: &[u8]) {
        let packet = Packet::decode(bytes).expect("foca writes packets that decode");
        self.sends.push(SwimSend { to, bytes: bytes.to_vec(), packet });
    }

    fn submit_after(&mut self, timer: Timer<Identity>, after: Duration) {
        self.timers.push((timer, after.as_millis() as u64));
    }
}

/// foca for a profile. Periodic work that the host does is switched off in foca.
fn new_foca(profile: &Profile, me: Identity, rng: StdRng) -> Foca {
    let fan_out = NonZeroUsize::new(FAN_OUT).expect("not zero");
    let config = Config {
        probe_period: Duration::from_millis(profile.probe_interval_ms),
        probe_rtt: Duration::from_millis(profile.probe_rtt_ms),
        num_indirect_probes: fan_out,
        max_transmissions: NonZeroU8::new(TRANSMISSIONS_MAX).expect("not zero"),
        suspect_to_down_after: Duration::from_millis(profile.suspicion_ms),
        // A member that is down is kept until an operator removes it. Members that forget it at
        // different times would bring it back to each other for ever. Bounded by the number of
        // nodes that ever existed.
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

/// foca, and the state that this node keeps about it.
pub(super) struct Swim {
    foca: Foca,
    me: Identity,
    /// This node's own incarnation, as foca last wrote it.
    incarnation: u16,
    probe: Option<OpenProbe>,
    /// foca's timer for the next push of changes, held back while there are none.
    parked_push: Option<Timer<Identity>>,
    /// A higher generation of this node itself that others reported.
    superseded_by: Option<u64>,
}

impl Swim {
    pub(super) fn new(profile: &Profile, me: Identity, rng: StdRng) -> Swim {
        Swim {
            foca: new_foca(profile, me, rng),
            me,
            incarnation: 0,
            probe: None,
            parked_push: None,
            superseded_by: None,
        }
    }

    /// This node's current identity.
    pub(super) fn me(&self) -> Identity {
        self.me
    }

    pub(super) fn incarnation(&self) -> u16 {
        self.incarnation
    }

    /// Writes a packet for which foca offers no call.
    pub(super) fn write(
        &self,
        dst: Identity,
        message: Message<Identity>,
        update: Option<foca::Member<Identity>>,
    ) -> Vec<u8> {
        let header = Header { src: self.me, src_incarnation: self.incarnation, dst, message };
        Packet::new(header, update).encode()
    }

    /// A packet arrived, already screened. `touched`: members whose state the packet may change
    /// without a notification from foca. What foca asks for must be carried out even if foca
    /// rejects the packet.
    pub(super) fn handle_data(
        &mut self,
        now: Now,
        bytes: &[u8],
        touched: Vec<NodeId>,
    ) -> (SwimOutput, Result<(), foca::Error>) {
        self.call(now, touched, |foca, out| foca.handle_data(bytes, out))
    }

    /// One of foca's timers is due.
    pub(super) fn handle_timer(&mut self, now: Now, timer: Timer<Identity>) -> SwimOutput {
        if matches!(timer, Timer::PeriodicGossip(_)) && self.foca.updates_backlog() == 0 {
            // Otherwise the timer would wake the node five times a second for nothing, in a fleet
            // where nothing changes for days.
            self.parked_push = Some(timer);
            return SwimOutput::default();
        }
        // The only possible error of a timer is a probe cycle cut short because this node itself
        // was late. foca recovers from it by itself.
        self.call(now, Vec::new(), |foca, out| foca.handle_timer(timer, out)).0
    }

    /// Carries out a verdict: foca marks the member as down and pushes the change at once, so that
    /// others need not wait for the next push.
    pub(super) fn pass_verdict(&mut self, now: Now, verdict: Timer<Identity>) -> SwimOutput {
        let call = |foca: &mut Foca, out: &mut SwimOutput| {
            foca.handle_timer(verdict, &mut *out)?;
            foca.gossip(out)
        };
        self.call(now, Vec::new(), call).0
    }

    /// Takes over states that others reported, and spreads what is new.
    pub(super) fn apply(&mut self, now: Now, states: Vec<foca::Member<Identity>>) -> SwimOutput {
        let touched = states.iter().map(|state| state.id().node).collect();
        let (output, result) =
            self.call(now, touched, |foca, out| foca.apply_many(states.into_iter(), true, out));
        debug_assert!(result.is_ok(), "updates fit into a packet");
        output
    }

    /// Marks these members as down, and tells nobody.
    pub(super) fn give_up(&mut self, now: Now, gone: Vec<Identity>) -> SwimOutput {
        let touched = gone.iter().map(|identity| identity.node).collect();
        let states = gone.into_iter().map(|id| foca::Member::new(id, 0, State::Down));
        let (output, result) =
            self.call(now, touched, |foca, out| foca.apply_many(states, false, out));
        debug_assert!(result.is_ok(), "nothing is sent");
        output
    }

    /// Removes a member that is down.
    pub(super) fn remove(&mut self, now: Now, gone: Identity) -> SwimOutput {
        let removal = Timer::RemoveDown(gone);
        let (output, result) =
            self.call(now, Vec::new(), |foca, out| foca.handle_timer(removal, out));
        debug_assert!(result.is_ok(), "removing a member cannot fail");
        output
    }

    /// Notes whether a packet answers the open probe, directly or relayed by another member.
    pub(super) fn on_answer(&mut self, header: &Header<Identity>) {
        if let Some(probe) = &mut self.probe {
            probe.answered |= probe.is_answered_by(header);
        }
    }

    /// The open probe, if this packet relays the probed member's answer to it.
    pub(super) fn relayed_answer(&self, header: &Header<Identity>) -> Option<&OpenProbe> {
        let relayed = matches!(header.message, Message::ForwardedAck { .. });
        self.probe.as_ref().filter(|probe| relayed && probe.is_answered_by(header))
    }

    /// The open probe, whose time is over.
    pub(super) fn take_probe(&mut self) -> Option<OpenProbe> {
        self.probe.take()
    }

    /// Cancels a probe by a made-up answer of the member: foca offers no other way.
    pub(super) fn call_off(&mut self, now: Now, probe: &OpenProbe) -> SwimOutput {
        let header = Header {
            src: probe.target,
            src_incarnation: 0,
            dst: self.me,
            message: Message::Ack(probe.number),
        };
        let bytes = Packet::new(header, None).encode();
        self.call(now, Vec::new(), |foca, out| foca.handle_data(&bytes, out)).0
    }

    /// Others reported this generation of this node.
    pub(super) fn note_reported(&mut self, generation: u64) {
        if generation > self.me.generation {
            self.superseded_by = self.superseded_by.max(Some(generation));
        }
    }

    /// If others reported a higher generation of this node than its own, its counter was lost or
    /// the node was copied. The node takes the generation above the reported one, at most once per
    /// packet or list.
    pub(super) fn leap(&mut self, now: Now) -> SwimOutput {
        let Some(generation) = self.superseded_by.take() else { return SwimOutput::default() };
        let identity = Identity { node: self.me.node, generation: generation.saturating_add(1) };
        if identity.generation <= self.me.generation {
            return SwimOutput::default();
        }
        let (output, result) = self.call(now, Vec::new(), |foca, out| {
            foca.change_identity(identity, &mut *out)?;
            out.renewed = Some(identity);
            Ok(())
        });
        debug_assert!(result.is_ok(), "a higher generation is another identity");
        output
    }

    fn call(
        &mut self,
        now: Now,
        touched: Vec<NodeId>,
        call: impl FnOnce(&mut Foca, &mut SwimOutput) -> Result<(), foca::Error>,
    ) -> (SwimOutput, Result<(), foca::Error>) {
        let mut output = SwimOutput { touched, ..SwimOutput::default() };
        let result = call(&mut self.foca, &mut output);
        if let Some(identity) = output.renewed {
            self.me = identity;
            self.incarnation = 0;
            self.probe = None;
        }
        for send in &output.sends {
            self.on_send(now, send);
        }
        if self.foca.updates_backlog() > 0
            && let Some(push) = self.parked_push.take()
        {
            output.timers.push((push, PUSH_GATHER_MS));
        }
        output.touched.sort_unstable();
        output.states = self.states(&output.touched);
        (output, result)
    }

    fn on_send(&mut self, now: Now, send: &SwimSend) {
        let header = &send.packet.header;
        self.incarnation = header.src_incarnation;
        if let Message::Ping(number) = header.message {
            let target = send.to;
            self.probe = Some(OpenProbe { target, number, started: now, answered: false });
        }
    }

    /// foca's states of the members in `sorted`.
    fn states(&self, sorted: &[NodeId]) -> Vec<foca::Member<Identity>> {
        if sorted.is_empty() {
            return Vec::new();
        }
        let is_asked_for = |node: NodeId| sorted.binary_search(&node).is_ok();
        self.foca
            .iter_membership_state()
            .filter(|m| m.id().node != self.me.node && is_asked_for(m.id().node))
            .cloned()
            .collect()
    }
}
