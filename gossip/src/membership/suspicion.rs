//! Suspicions against members: what is said of them, and whether it is true.
//!
//! ```text
//!  own probe missed ──▶ local ───────▶ told to the suspect itself each probe interval
//!                            │             it answers with a higher incarnation ──▶ closed
//!                            ▼ foca's verdict is due
//!       heard meanwhile, or this node doubts itself ──▶ one suspicion more
//!                            └─▶ unreachable, spread
//!
//!  others say "unreachable" of one that is not suspect here ──▶ remote ───▶ asked directly
//!                            heard, or a new generation ──▶ closed; else believed
//! ```
//! The member itself is always asked. A refutation that has to find its way by rumour loses too
//! often on links that lose one datagram in ten.

use crdt_state::NodeId;
use foca::{Message, State, Timer};
use rand::RngExt;

use super::Membership;
use super::health::Trust;
use super::timers::Due;
use crate::{Identity, MemberState, Now};

/// Where a suspicion comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// This node's own probe was missed.
    Local,
    /// Others say that it is unreachable.
    Remote,
}

/// At most one per member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspicion {
    identity: Identity,
    source: Source,
    since: Now,
    /// When the member is asked next.
    ask_at: Now,
    postponed: bool,
}

impl Suspicion {
    fn new(identity: Identity, source: Source, now: Now, ask_at: Now) -> Suspicion {
        Suspicion { identity, source, since: now, ask_at, postponed: false }
    }

    pub(super) fn is_remote(&self) -> bool {
        self.source == Source::Remote
    }
}

impl Membership {
    /// Whether an update from outside may reach foca.
    pub(super) fn admit(&mut self, now: Now, update: &foca::Member<Identity>) -> bool {
        let identity = *update.id();
        if identity.node == self.me.node {
            if identity.generation > self.me.generation {
                self.outranked_by = self.outranked_by.max(Some(identity.generation));
            }
            // What is said of an earlier self is over; foca would list it as a member.
            return identity == self.me;
        }
        let Some(known) = self.view.get(identity.node) else {
            return !self.view.is_forgotten(&identity);
        };
        if known.member.generation > identity.generation {
            return false;
        }
        if update.state() != State::Down
            || known.identity() != identity
            || !known.member.state.is_active()
        {
            return true;
        }
        // A verdict about a member that is there as far as this node knows. After a partition
        // heals, each side brings such verdicts about all of the other.
        let suspect = known.member.state == MemberState::Suspect;
        if suspect && known.member.heard <= known.member.since {
            return true;
        }
        self.suspect_remotely(now, identity);
        false
    }

    fn suspect_remotely(&mut self, now: Now, identity: Identity) {
        let open = self.suspicions.get(&identity.node);
        if open.is_some_and(|suspicion| suspicion.is_remote() && suspicion.identity == identity) {
            return;
        }
        // Spread out: a healed partition brings hundreds of them in one list.
        let delay_ms = self.rng.random_range(0..=self.profile.probe_interval_ms / 4);
        let suspicion = Suspicion::new(identity, Source::Remote, now, now);
        self.suspicions.insert(identity.node, suspicion);
        self.ask_again(now, identity.node, delay_ms);
    }

    /// This node's probe of a member was missed.
    pub(super) fn suspect_locally(&mut self, now: Now, identity: Identity) {
        let Some(known) = self.view.get(identity.node) else { return };
        if known.member.state != MemberState::Suspect
            || known.identity() != identity
            || self.suspicions.contains_key(&identity.node)
        {
            return;
        }
        let suspicion = Suspicion::new(identity, Source::Local, now, now);
        self.suspicions.insert(identity.node, suspicion);
        self.on_suspicion(now, identity.node);
    }

    /// Follows one suspicion up: closes it if it is settled, asks the member otherwise.
    pub(super) fn on_suspicion(&mut self, now: Now, node: NodeId) {
        let Some(suspicion) = self.suspicions.get(&node).copied() else { return };
        if now < suspicion.ask_at {
            // The timer of a suspicion that was closed meanwhile.
            return;
        }
        let known = self.view.get(node).filter(|known| known.identity() == suspicion.identity);
        let Some(known) = known else {
            self.suspicions.remove(&node);
            return;
        };
        let (state, heard) = (known.member.state, known.member.heard);
        match suspicion.source {
            Source::Local if state == MemberState::Suspect => {
                self.tell(now, node, State::Suspect);
                self.ask_again(now, node, self.profile.probe_interval_ms);
            }
            Source::Remote if state.is_active() => self.on_remote(now, suspicion, heard),
            _ => {
                self.suspicions.remove(&node);
            }
        }
    }

    fn on_remote(&mut self, now: Now, suspicion: Suspicion, heard: Now) {
        let node = suspicion.identity.node;
        if heard > suspicion.since {
            // It lives. It has been told, and will come with a new generation.
            self.noted.verdicts_refuted += 1;
            self.suspicions.remove(&node);
        } else if now.since(suspicion.since) >= 2 * self.profile.probe_interval_ms {
            self.suspicions.remove(&node);
            self.apply(now, vec![foca::Member::down(suspicion.identity)]);
        } else {
            self.tell(now, node, State::Down);
            self.ask_again(now, node, self.profile.probe_interval_ms / 2);
        }
    }

    fn ask_again(&mut self, now: Now, node: NodeId, after_ms: u64) {
        if let Some(suspicion) = self.suspicions.get_mut(&node) {
            suspicion.ask_at = now.plus(after_ms);
            self.timers.push(suspicion.ask_at, Due::Suspicion(node));
        }
    }

    /// Tells a suspect that was just heard, and so does not know, at most once per probe interval.
    pub(super) fn tell_suspect(&mut self, now: Now, node: NodeId) {
        let told = self.view.get(node).map_or(Now::START, |known| known.told);
        if told == Now::START || now.since(told) >= self.profile.probe_interval_ms {
            self.tell(now, node, State::Suspect);
        }
    }

    /// Tells a member what is said of it. It answers with a higher incarnation, or if it is held
    /// for gone with a new generation.
    fn tell(&mut self, now: Now, node: NodeId, claim: State) {
        let Some(known) = self.view.get_mut(node) else { return };
        known.told = now;
        let identity = known.identity();
        let update = foca::Member::new(identity, known.incarnation, claim);
        self.send_bare(identity, Message::Ping(0), Some(update));
    }

    /// Whether foca may carry out a verdict that is due. If not, it is dropped or comes again.
    pub(super) fn verdict_stands(
        &mut self,
        now: Now,
        identity: Identity,
        incarnation: u16,
        timer: &Timer<Identity>,
    ) -> bool {
        let known = self.view.get(identity.node).filter(|known| {
            known.member.state == MemberState::Suspect
                && known.identity() == identity
                && known.incarnation == incarnation
        });
        let Some(heard) = known.map(|known| known.member.heard) else {
            // It has refuted. foca 2.0.0 would still tell it that it is gone, and it would rejoin.
            self.noted.timers_stale += 1;
            return false;
        };
        let trust = self.trust(now);
        let suspicion_ms = self.profile.suspicion_ms;
        let Some(suspicion) = self.suspicions.get_mut(&identity.node) else {
            // Settled and suspect again because others say so: a probe of our own has to miss it
            // first.
            self.noted.timers_stale += 1;
            return false;
        };
        if now.since(suspicion.since) < suspicion_ms {
            // A second probe missed it; the verdict of the first was put off and is under way.
            return false;
        }
        let put_off = match trust {
            _ if heard > suspicion.since => true,
            Trust::Blind => true,
            Trust::Doubtful => !std::mem::replace(&mut suspicion.postponed, true),
            Trust::Full => false,
        };
        if put_off {
            suspicion.since = now;
            self.noted.verdicts_postponed += 1;
            self.timers.push(now.plus(suspicion_ms), Due::Foca(timer.clone()));
        }
        !put_off
    }
}
