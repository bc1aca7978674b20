//! What time brings: probes, suspicions and verdicts that are due, calls, good-byes.
//!
//! foca's own timers pass through here, so that no verdict falls that this node is in no position
//! to give: one about a member that was heard meanwhile, or while it hears nobody. Late is as good
//! as on time, except that a node that slept doubts itself.

use crdt_state::NodeId;
use foca::Timer;

use super::Membership;
use super::health::{Around, Outcome, Trust};
use super::suspicions::{FollowUp, Ruling};
use super::timers::Due;
use crate::{Evidence, Identity, MemberState, Now};

/// Unreachable members that are called at a time.
const ANNOUNCE_FAN_OUT: usize = 2;

impl Membership {
    /// The deadline has come, or is past.
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

    /// Calls some of the unreachable members: they may be back and not know it. foca would do so
    /// only as long as somebody else is there.
    fn on_announce(&mut self, now: Now) {
        self.timers.push(now.plus(self.profile.announce_interval_ms), Due::Announce);
        // After a renewal foca probes nobody before it has heard somebody: a node that is cut off in
        // that moment would never learn that it is alone.
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

    /// The probe's time is over: takes note of how it went, and takes it back where this node is in
    /// no position to accuse.
    fn on_probe_over(&mut self, now: Now, at: Now) {
        let Some(probe) = self.swim.take_probe() else { return };
        let Some(known) = self.view.get(probe.target.node) else { return };
        let is_current = known.identity() == probe.target;
        let was_suspect = known.member.state == MemberState::Suspect;
        let heard = known.member.heard > probe.started;
        let outcome = if probe.answered || heard { Outcome::Answered } else { Outcome::Missed };
        // A member whose address nobody has told yet was not even asked.
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

    /// Follows one suspicion up.
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

    /// A node that hears nobody is an island. Everybody is unreachable *from here*, which is nobody
    /// else's business: the verdicts are not spread.
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
