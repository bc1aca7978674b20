//! The timers of membership that are due: probes, suspicions, verdicts, announcements and
//! good-byes.
//!
//! foca's own timers pass through here, so that this node carries out no verdict without sound
//! evidence: none about a member that was heard meanwhile, and none while it hears nobody. A late
//! call is as good as one on time, except that a node that slept doubts itself.

use crdt_state::NodeId;
use foca::Timer;

use super::Membership;
use super::health::{Around, Outcome, Trust};
use super::suspicions::{FollowUp, Ruling};
use super::timers::Due;
use crate::{Evidence, Identity, MemberState, Now};

/// Unreachable members that are called per announce interval.
const ANNOUNCE_FAN_OUT: usize = 2;

impl Membership {
    /// Handles all timers that are due now or were due earlier.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some((at, due)) = self.timers.pop(now) {
            if now.since(at) > self.profile.late_ms() {
                self.health.on_late_timer(now);
            }
            match due {
                Due::Foca(timer) => self.on_foca_timer(now, at, timer),
                Due::Suspicion(node) => self.on_suspicion(now, node),
                Due::Announce => self.on_announce(now),
                Due::Goodbye => self.say_goodbye(),
            }
        }
    }

    /// Calls some of the unreachable members: they may be back without knowing that they were
    /// unreachable. foca would do so only as long as there is an active member.
    fn on_announce(&mut self, now: Now) {
        self.timers.push(now.plus(self.profile.announce_interval_ms), Due::Announce);
        // After a renewal foca probes nobody before it has heard somebody. A node that is cut off
        // in that moment would never notice that it is alone.
        self.on_island(now);
        let gone = self.view.in_state(MemberState::Unreachable).map(|member| member.id).collect();
        for node in self.choose(gone, ANNOUNCE_FAN_OUT) {
            self.call(now, node);
        }
    }

    /// One of foca's timers is due.
    fn on_foca_timer(&mut self, now: Now, at: Now, timer: Timer<Identity>) {
        match &timer {
            Timer::ChangeSuspectToDown { member_id, incarnation, .. } => {
                let about = (*member_id, *incarnation);
                return self.on_verdict(now, about, timer);
            }
            Timer::ProbeRandomMember(_) => {
                self.on_probe_over(now, at);
                self.on_island(now);
            }
            _ => {}
        }
        let output = self.swim.handle_timer(now, timer);
        self.carry_out(now, Evidence::Others, output);
    }

    /// foca's verdict about a suspect of this incarnation is due.
    fn on_verdict(&mut self, now: Now, about: (Identity, u16), verdict: Timer<Identity>) {
        let trust = self.trust(now);
        let known = self.view.get(about.0.node);
        match self.suspicions.judge(now, about, known, trust) {
            Ruling::Stands => {
                let output = self.swim.pass_verdict(now, verdict);
                self.carry_out(now, Evidence::Probe, output);
            }
            Ruling::Dropped => {}
            Ruling::PutOff(until) => self.timers.push(until, Due::Foca(verdict)),
        }
    }

    /// The probe's time is over: notes the outcome, and cancels the probe where this node has no
    /// sound evidence for a suspicion.
    fn on_probe_over(&mut self, now: Now, at: Now) {
        let Some(probe) = self.swim.take_probe() else { return };
        let Some(known) = self.view.get(probe.target.node) else { return };
        let is_current = known.identity() == probe.target;
        let was_suspect = known.member.state == MemberState::Suspect;
        let heard = known.member.heard > probe.started;
        let outcome = if probe.answered || heard { Outcome::Answered } else { Outcome::Missed };
        // A member whose address nobody has reported yet was not even probed.
        let unasked = self.view.addr(probe.target.node).is_none();
        if !was_suspect && !unasked {
            self.health.on_probe(outcome);
        }
        let late = now.since(at) > self.profile.late_ms();
        if !is_current || probe.answered {
            return;
        }
        if heard || late || unasked || self.trust(now) == Trust::Blind {
            let output = self.swim.call_off(now, &probe);
            self.carry_out(now, Evidence::Others, output);
        }
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

    /// Follows up one suspicion.
    fn on_suspicion(&mut self, now: Now, node: NodeId) {
        match self.suspicions.follow_up(now, node, self.view.get(node)) {
            FollowUp::Nothing => {}
            FollowUp::Tell { claim, again_at } => {
                self.tell(now, node, claim);
                self.timers.push(again_at, Due::Suspicion(node));
            }
            FollowUp::Believe(gone) => self.apply(now, vec![foca::Member::down(gone)]),
        }
    }

    /// A node that hears nobody is an island. All members are unreachable *from here*, which says
    /// nothing about other nodes' view: the verdicts are not spread.
    fn on_island(&mut self, now: Now) {
        if self.health.is_island(now) {
            let active = self.view.active();
            let gone = active.map(|m| Identity { node: m.id, generation: m.generation }).collect();
            let output = self.swim.give_up(now, gone);
            self.carry_out(now, Evidence::Island, output);
        }
    }

    /// How far this node trusts itself now.
    fn trust(&self, now: Now) -> Trust {
        let (mut peers, mut suspects) = (0, 0);
        for member in self.view.active() {
            peers += 1;
            suspects += usize::from(member.state == MemberState::Suspect);
        }
        self.health.trust(now, Around { peers, suspects })
    }
}
