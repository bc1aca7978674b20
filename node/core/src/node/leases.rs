//! Leases on their way: what this node asks, answers and is told, and until when its runs may live.

use crdt_state::NodeId;
use gossip::{MemberState, Now};

use super::Node;
use crate::input::Action;
use crate::leases::LeaseMessage;

impl Node {
    /// A reliable message arrived: about leases, or else of gossip.
    pub(super) fn on_message(&mut self, now: Now, from: NodeId, bytes: &[u8]) {
        let Some(message) = LeaseMessage::decode(bytes) else {
            self.gossip.handle_message(now, from, bytes, &mut self.replica);
            return;
        };
        let catalog = self.planner.catalog();
        let granted = self.reconciler.handle_lease(now, from, message, catalog);
        self.planner.on_due(granted);
    }

    /// Asks for the leases that are due.
    pub(super) fn ask_for_leases(&mut self, now: Now) {
        if self.reconciler.leases_due_at() <= now {
            let granted = self.reconciler.ask_for_leases(now);
            self.planner.on_due(granted);
        }
    }

    /// Sends what is asked and answered once what it says is on disk, and tells the runs of slots
    /// that were granted again. Who is unreachable is asked when it is heard again.
    pub(super) fn send_leases(&mut self) {
        while let Some((to, message)) = self.reconciler.poll_lease_message() {
            let member = self.gossip.member(to);
            let is_heard = |state| matches!(state, MemberState::Alive | MemberState::Suspect);
            if let Some(member) = member.filter(|member| is_heard(member.state)) {
                let (addr, bytes) = (member.addr, message.encode());
                self.outbox.push_held(Action::SendMessage { to, addr, bytes });
            }
        }
        for (run, at) in self.reconciler.take_extended_runs() {
            self.outbox.push_held(Action::ExpireRun { run, at });
        }
    }
}
