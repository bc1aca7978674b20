//! Why a node wants to be called again: every reason, and when each is due.
//!
//! The one list of them. A part that waits for something shows its time here and nowhere else, so
//! that [`Node::deadline`] cannot miss it. A time that has come is acted on in [`Node::step`].

use gossip::{GossipTimer, Now};

use super::Node;

/// A reason for which time alone makes a node act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeTimer {
    /// Of membership, comparisons and rumours.
    Gossip(GossipTimer),
    /// A settling left something over, or records are let in a few at a time: it goes on at once.
    SettlingUnfinished,
    /// The presence of a member changes by itself: its failover delay ends, or the time after boot
    /// in which a node that was never heard counts as there.
    PresenceDue,
    /// A task that waits may start: its restart delay ends, or the looking around after boot.
    StartDue,
    /// A stop was ordered and nothing is heard of it: it is ordered again.
    StopUnanswered,
    /// A service is due by itself: the next slot of a rollout, or the end of tasks that no record
    /// speaks of.
    ServiceDue,
    /// A condition lasted, or was absent, long enough to be told.
    ConditionDue,
    /// A node that leaves waits no longer for others to take its tasks over.
    DepartureDue,
}

impl NodeTimer {
    /// The reason in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeTimer::Gossip(timer) => timer.as_str(),
            NodeTimer::SettlingUnfinished => "go on settling",
            NodeTimer::PresenceDue => "look who is there",
            NodeTimer::StartDue => "start a task that waits",
            NodeTimer::StopUnanswered => "order a stop again",
            NodeTimer::ServiceDue => "go on with a service",
            NodeTimer::ConditionDue => "tell a condition of this node",
            NodeTimer::DepartureDue => "leave without waiting any longer",
        }
    }
}

impl Node {
    /// When `TimerFired` is due; late is as good as on time.
    pub fn deadline(&self) -> Now {
        self.timers().map(|(_, at)| at).fold(Now::NEVER, Now::min)
    }

    /// What the node waits for, and until when, earliest first.
    pub fn waits_for(&self) -> Vec<(Now, NodeTimer)> {
        let running = self.timers().filter(|(_, at)| *at != Now::NEVER);
        let mut running: Vec<_> = running.map(|(timer, at)| (at, timer)).collect();
        running.sort_unstable();
        running
    }

    fn timers(&self) -> impl Iterator<Item = (NodeTimer, Now)> {
        let gossip = self.gossip.timers().map(|(timer, at)| (NodeTimer::Gossip(timer), at));
        gossip.chain(self.own_timers())
    }

    /// All but those of gossip. One that does not run is due never.
    pub(super) fn own_timers(&self) -> [(NodeTimer, Now); 7] {
        [
            (NodeTimer::SettlingUnfinished, self.settle_again_at),
            (NodeTimer::PresenceDue, self.planner.presence_deadline()),
            (NodeTimer::StartDue, self.reconciler.start_at()),
            (NodeTimer::StopUnanswered, self.reconciler.stop_again_at()),
            (NodeTimer::ServiceDue, self.reconciler.service_due_at()),
            (NodeTimer::ConditionDue, self.own_records.conditions_deadline()),
            (NodeTimer::DepartureDue, self.departure.deadline()),
        ]
    }
}
