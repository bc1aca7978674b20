//! foca and all that is needed to drive it: each call returns what foca asked for meanwhile.
//!
//! [`Swim`] opens what foca sends once more, to learn its incarnation and its open probe, and puts
//! the push of changes aside while there are none. It must never decide whether a verdict falls,
//! and knows no addresses. foca 2.0.0 keeps members in vectors and binary heaps, no hash maps: the
//! same seed gives the same trace.

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

/// Packets in which a change is repeated. foca's own 4 to 9 leave stragglers that learn of a death
/// up to a minute late; 12 cost 3 % more bytes while something changes, and none when idle.
const TRANSMISSIONS_MAX: u8 = 12;

/// Members asked to probe in this node's stead, and members told of a change at a time.
const FAN_OUT: usize = 3;

/// The first push after a time without changes waits so long for more of them.
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

/// What foca asked for during one call; to be carried out from the first field to the last.
#[derive(Debug, Default)]
#[must_use = "foca counts on what it asks for"]
pub(super) struct SwimOutput {
    /// This node has a new identity: others held the last one for gone.
    pub(super) renewed: Option<Identity>,
    /// Timers to give back after so many milliseconds.
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

/// foca for a profile. What it would do by time alone is switched off where the host does it.
fn new_foca(profile: &Profile, me: Identity, rng: StdRng) -> Foca {
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

/// foca and this node's side of it.
pub(super) struct Swim {
    foca: Foca,
    me: Identity,
    /// This node's own incarnation, as foca last wrote it.
    incarnation: u16,
    probe: Option<OpenProbe>,
    /// foca's next push of changes, put aside while there are none.
    parked_push: Option<Timer<Identity>>,
    /// A higher generation of this node itself that others speak of.
    outranked_by: Option<u64>,
}

impl Swim {
    pub(super) fn new(profile: &Profile, me: Identity, rng: StdRng) -> Swim {
        Swim {
            foca: new_foca(profile, me, rng),
            me,
            incarnation: 0,
            probe: None,
            parked_push: None,
            outranked_by: None,
        }
    }

    /// Who this node is now.
    pub(super) fn me(&self) -> Identity {
        self.me
    }

    pub(super) fn incarnation(&self) -> u16 {
        self.incarnation
    }

    /// A packet that foca has no call for.
    pub(super) fn write(
        &self,
        dst: Identity,
        message: Message<Identity>,
        update: Option<foca::Member<Identity>>,
    ) -> Vec<u8> {
        let header = Header { src: self.me, src_incarnation: self.incarnation, dst, message };
        Packet::new(header, update).encode()
    }

    /// A packet came, already screened. `touched`: members whose state it may change without a word
    /// of foca. What foca asks for counts even if it finds the packet at fault.
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
            // Five wake-ups a second for nothing, in a fleet where nothing changes for days.
            self.parked_push = Some(timer);
            return SwimOutput::default();
        }
        // The only error that a timer can bring is a probe cycle cut short by this node's own
        // lateness; foca recovers from it by itself.
        self.call(now, Vec::new(), |foca, out| foca.handle_timer(timer, out)).0
    }

    /// A verdict falls: foca carries it out and tells others, who should not have to wait for the
    /// next push.
    pub(super) fn pass_verdict(&mut self, now: Now, verdict: Timer<Identity>) -> SwimOutput {
        let call = |foca: &mut Foca, out: &mut SwimOutput| {
            foca.handle_timer(verdict, &mut *out)?;
            foca.gossip(out)
        };
        self.call(now, Vec::new(), call).0
    }

    /// Takes over states that others told, and spreads what is new.
    pub(super) fn apply(&mut self, now: Now, states: Vec<foca::Member<Identity>>) -> SwimOutput {
        let touched = states.iter().map(|state| state.id().node).collect();
        let (output, result) =
            self.call(now, touched, |foca, out| foca.apply_many(states.into_iter(), true, out));
        debug_assert!(result.is_ok(), "updates fit into a packet");
        output
    }

    /// Takes these members for gone, and tells nobody.
    pub(super) fn give_up(&mut self, now: Now, gone: Vec<Identity>) -> SwimOutput {
        let touched = gone.iter().map(|identity| identity.node).collect();
        let states = gone.into_iter().map(|id| foca::Member::new(id, 0, State::Down));
        let (output, result) =
            self.call(now, touched, |foca, out| foca.apply_many(states, false, out));
        debug_assert!(result.is_ok(), "nothing is sent");
        output
    }

    /// Drops a member that is gone.
    pub(super) fn remove(&mut self, now: Now, gone: Identity) -> SwimOutput {
        let removal = Timer::RemoveDown(gone);
        let (output, result) =
            self.call(now, Vec::new(), |foca, out| foca.handle_timer(removal, out));
        debug_assert!(result.is_ok(), "removing a member cannot fail");
        output
    }

    /// Notes whether a packet answers the open probe, directly or by way of another member.
    pub(super) fn on_answer(&mut self, header: &Header<Identity>) {
        if let Some(probe) = &mut self.probe {
            probe.answered |= probe.is_answered_by(header);
        }
    }

    /// The open probe, if this packet passes the member's answer to it on.
    pub(super) fn relayed_answer(&self, header: &Header<Identity>) -> Option<&OpenProbe> {
        let relayed = matches!(header.message, Message::ForwardedAck { .. });
        self.probe.as_ref().filter(|probe| relayed && probe.is_answered_by(header))
    }

    /// The open probe, whose time is over.
    pub(super) fn take_probe(&mut self) -> Option<OpenProbe> {
        self.probe.take()
    }

    /// Answers a probe in the member's stead: foca has no other way to call one off.
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

    /// Others speak of this node. Is it as who it is now? A higher generation is noted.
    pub(super) fn is_current(&mut self, identity: Identity) -> bool {
        if identity.generation > self.me.generation {
            self.outranked_by = self.outranked_by.max(Some(identity.generation));
        }
        identity == self.me
    }

    /// If others spoke of a higher generation of this node than its own, its counter was lost or it
    /// was copied. It takes one above, at most once per packet or list.
    pub(super) fn leap(&mut self, now: Now) -> SwimOutput {
        let Some(generation) = self.outranked_by.take() else { return SwimOutput::default() };
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
