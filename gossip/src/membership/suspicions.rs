//! The open suspicions: what is claimed about members, and whether it is true.
//!
//! ```text
//!  own probe missed ──▶ local ───────▶ told to the suspect itself each probe interval
//!                            │             it answers with a higher incarnation ──▶ closed
//!                            ▼ foca's verdict is due
//!       heard meanwhile, or this node doubts itself ──▶ postponed by one suspicion
//!                            └─▶ unreachable, spread
//!
//!  others report a member unreachable, not suspect here ──▶ remote ───▶ asked directly
//!                            heard, or a new generation ──▶ closed; else believed
//! ```
//! The member itself is always asked. A refutation that reaches this node only by rumour arrives
//! too late too often on links that lose one datagram in ten. Nothing here sends or changes a
//! member: each rule returns what is to be done.

use std::collections::BTreeMap;

use crdt_state::NodeId;
use foca::State;

use super::health::Trust;
use super::view::Known;
use crate::{Identity, MemberState, Now, Profile};

/// The counters of the suspicions alone.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Noted {
    pub(crate) verdicts_postponed: u64,
    pub(crate) verdicts_refuted: u64,
    pub(crate) timers_stale: u64,
}

/// Where a suspicion comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// This node's own probe was missed.
    Local,
    /// Others report that the member is unreachable.
    Remote,
}

/// One suspicion; at most one is open per member.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    identity: Identity,
    source: Source,
    since: Now,
    /// When the member is asked next.
    ask_at: Now,
    postponed: bool,
}

/// What is to be done about a suspicion that is due for a follow-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FollowUp {
    /// Nothing: the suspicion is settled, or it was settled and a new one is not due yet.
    Nothing,
    /// Tell the member this claim about it, and follow up again at that time.
    Tell { claim: State, again_at: Now },
    /// Believe what others report: the member is gone.
    Believe(Identity),
}

/// The ruling on a verdict that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It is carried out.
    Stands,
    /// It is dropped. If the member is still suspect, another verdict is pending.
    Dropped,
    /// It is postponed to that time.
    PutOff(Now),
}

/// The open suspicions, by member.
pub(super) struct Suspicions {
    open: BTreeMap<NodeId, Suspicion>,
    probe_interval_ms: u64,
    suspicion_ms: u64,
    noted: Noted,
}

impl Suspicions {
    pub(super) fn new(profile: &Profile) -> Suspicions {
        Suspicions {
            open: BTreeMap::new(),
            probe_interval_ms: profile.probe_interval_ms,
            suspicion_ms: profile.suspicion_ms,
            noted: Noted::default(),
        }
    }

    pub(super) fn noted(&self) -> Noted {
        self.noted
    }

    /// This node's probe of a suspect was missed. Returns false if a suspicion of it is open
    /// already. A new suspicion is followed up at once.
    pub(super) fn open_local(&mut self, now: Now, identity: Identity) -> bool {
        let is_new = !self.open.contains_key(&identity.node);
        if is_new {
            self.open(now, identity, Source::Local, now);
        }
        is_new
    }

    /// Is the report of others that this identity is unreachable followed up already?
    pub(super) fn has_remote(&self, identity: Identity) -> bool {
        let open = self.open.get(&identity.node);
        open.is_some_and(|open| open.source == Source::Remote && open.identity == identity)
    }

    /// Others report a member unreachable that is active in this node's view. The suspicion is
    /// followed up at `ask_at`.
    pub(super) fn open_remote(&mut self, now: Now, identity: Identity, ask_at: Now) {
        self.open(now, identity, Source::Remote, ask_at);
    }

    fn open(&mut self, now: Now, identity: Identity, source: Source, ask_at: Now) {
        let suspicion = Suspicion { identity, source, since: now, ask_at, postponed: false };
        self.open.insert(identity.node, suspicion);
    }

    /// Closes the suspicion of a member that was dropped from the view.
    pub(super) fn close(&mut self, node: NodeId) {
        self.open.remove(&node);
    }

    /// foca dropped its pending verdicts: closes the local suspicions. The next missed probe opens
    /// one again.
    pub(super) fn close_local(&mut self) {
        self.open.retain(|_, suspicion| suspicion.source == Source::Remote);
    }

    /// Follows up a suspicion that is due, and closes it if it is settled.
    pub(super) fn follow_up(&mut self, now: Now, node: NodeId, known: Option<&Known>) -> FollowUp {
        let Some(suspicion) = self.open.get_mut(&node) else { return FollowUp::Nothing };
        if now < suspicion.ask_at {
            // This timer belongs to an earlier suspicion that was closed meanwhile.
            return FollowUp::Nothing;
        }
        let known = known.filter(|known| known.identity() == suspicion.identity);
        let member = known.map(|known| (known.member.state, known.member.heard));
        let (claim, after_ms) = match (suspicion.source, member) {
            (Source::Local, Some((MemberState::Suspect, _))) => {
                (State::Suspect, self.probe_interval_ms)
            }
            (Source::Remote, Some((state, heard))) if state.is_active() => {
                if heard > suspicion.since {
                    // The member is alive. It has been told the claim, and will come back with a
                    // new generation.
                    self.noted.verdicts_refuted += 1;
                    self.open.remove(&node);
                    return FollowUp::Nothing;
                }
                if now.since(suspicion.since) >= 2 * self.probe_interval_ms {
                    let identity = suspicion.identity;
                    self.open.remove(&node);
                    return FollowUp::Believe(identity);
                }
                (State::Down, self.probe_interval_ms / 2)
            }
            _ => {
                self.open.remove(&node);
                return FollowUp::Nothing;
            }
        };
        suspicion.ask_at = now.plus(after_ms);
        FollowUp::Tell { claim, again_at: suspicion.ask_at }
    }

    /// foca's verdict about a suspect is due. Decides whether it may be carried out.
    pub(super) fn judge(
        &mut self,
        now: Now,
        (identity, incarnation): (Identity, u16),
        known: Option<&Known>,
        trust: Trust,
    ) -> Ruling {
        let known = known.filter(|known| {
            known.member.state == MemberState::Suspect
                && known.identity() == identity
                && known.incarnation == incarnation
        });
        let Some(heard) = known.map(|known| known.member.heard) else {
            // The suspect has refuted. foca 2.0.0 would still tell it that it is down, and it would
            // rejoin.
            self.noted.timers_stale += 1;
            return Ruling::Dropped;
        };
        let Some(suspicion) = self.open.get_mut(&identity.node) else {
            // The suspicion was settled, and the member is suspect again because others say so: a
            // probe of this node's own has to miss first.
            self.noted.timers_stale += 1;
            return Ruling::Dropped;
        };
        if now.since(suspicion.since) < self.suspicion_ms {
            // A second probe was missed as well. The verdict of the first was postponed and is
            // pending.
            return Ruling::Dropped;
        }
        let put_off = match trust {
            _ if heard > suspicion.since => true,
            Trust::Blind => true,
            Trust::Doubtful => !std::mem::replace(&mut suspicion.postponed, true),
            Trust::Full => false,
        };
        if !put_off {
            return Ruling::Stands;
        }
        suspicion.since = now;
        self.noted.verdicts_postponed += 1;
        Ruling::PutOff(now.plus(self.suspicion_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::NOWHERE;
    use super::*;
    use crate::Member;

    const SUSPECT: NodeId = NodeId([4; 16]);

    fn identity() -> Identity {
        Identity::at_boot(SUSPECT, 1)
    }

    /// The member as the view holds it, last heard at `heard`.
    fn known(state: MemberState, heard: Now) -> Known {
        let member = Member {
            id: SUSPECT,
            addr: NOWHERE,
            state,
            evidence: None,
            since: Now::START,
            heard,
            generation: identity().generation,
        };
        Known { member, incarnation: 0, told: Now::START }
    }

    /// A suspicion from a missed probe of this node's own, open since moment 100.
    fn local() -> Suspicions {
        let mut suspicions = Suspicions::new(&Profile::LAN);
        assert!(suspicions.open_local(Now(100), identity()));
        suspicions
    }

    fn judged(suspicions: &mut Suspicions, at: u64, heard: u64, trust: Trust) -> Ruling {
        let known = known(MemberState::Suspect, Now(heard));
        suspicions.judge(Now(at), (identity(), 0), Some(&known), trust)
    }

    #[test]
    fn a_verdict_falls_once_the_suspect_was_silent_for_a_whole_suspicion() {
        assert_eq!(judged(&mut local(), 2_599, 50, Trust::Full), Ruling::Dropped);
        assert_eq!(judged(&mut local(), 2_600, 50, Trust::Full), Ruling::Stands);
        let heard_meanwhile = judged(&mut local(), 2_600, 101, Trust::Full);
        assert_eq!(heard_meanwhile, Ruling::PutOff(Now(5_100)));
    }

    #[test]
    fn doubt_puts_a_verdict_off_once_and_blindness_for_as_long_as_it_lasts() {
        let mut doubtful = local();
        assert_eq!(judged(&mut doubtful, 2_600, 50, Trust::Doubtful), Ruling::PutOff(Now(5_100)));
        assert_eq!(judged(&mut doubtful, 5_100, 50, Trust::Doubtful), Ruling::Stands);
        let mut blind = local();
        for at in [2_600, 5_100, 7_600] {
            assert_eq!(judged(&mut blind, at, 50, Trust::Blind), Ruling::PutOff(Now(at + 2_500)));
        }
        assert_eq!(blind.noted().verdicts_postponed, 3);
    }

    #[test]
    fn what_others_say_is_believed_after_two_probe_intervals_of_silence() {
        let follow_up = |heard: u64| {
            let mut suspicions = Suspicions::new(&Profile::LAN);
            suspicions.open_remote(Now(100), identity(), Now(150));
            let known = known(MemberState::Alive, Now(heard));
            [100, 150, 400, 1_100].map(|at| suspicions.follow_up(Now(at), SUSPECT, Some(&known)))
        };
        let ask = |at| FollowUp::Tell { claim: State::Down, again_at: Now(at) };
        let silent = [FollowUp::Nothing, ask(400), ask(650), FollowUp::Believe(identity())];
        assert_eq!(follow_up(100), silent);
        assert_eq!(follow_up(101), [FollowUp::Nothing; 4], "it lives");
    }

    #[test]
    fn a_suspicion_of_an_earlier_identity_is_closed() {
        let mut suspicions = local();
        let mut renewed = known(MemberState::Suspect, Now::START);
        renewed.member.generation += 1;
        let followed_up = suspicions.follow_up(Now(100), SUSPECT, Some(&renewed));
        assert_eq!(followed_up, FollowUp::Nothing);
        assert!(suspicions.open_local(Now(200), identity()), "none is open any more");
    }
}
