//! Why a node wants to be called again: every reason, and when each is due.
//!
//! This is the only list of these reasons. A part that waits for something declares its deadline
//! here and nowhere else, so that [`Node::deadline`] cannot miss it. [`Node::step`] handles a
//! deadline that has passed.

use gossip::{GossipTimer, Now};

use super::Node;

/// A reason for a node to act when nothing but time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeTimer {
    /// A timer of gossip: of membership, comparisons or rumours.
    Gossip(GossipTimer),
    /// A settling left work over, or records are released a few at a time: it continues at once.
    SettlingUnfinished,
    /// The presence of a member changes without news: its failover delay ends, or the time after
    /// boot ends in which a node that was never heard counts as present.
    PresenceDue,
    /// A waiting task may start: its restart delay ends, or the wait after boot.
    StartDue,
    /// A stop was ordered and the end of the run was not reported: the stop is ordered again.
    StopUnanswered,
    /// A task that is to stop takes no new connection any more.
    WithdrawalDue,
    /// A service is due without any change: the next slot of a rollout, or the end of the time for
    /// which tasks of a service without a record are kept.
    ServiceDue,
    /// A run of a job's schedule is due, or this node's turn to declare one; or the clock is looked at,
    /// which may have been set.
    ScheduleDue,
    /// The load of a service is to be published, or asks for another count for long enough.
    AutoscaleDue,
    /// The leases of a slot are to be asked for again.
    LeaseDue,
    /// A condition was present, or absent, for long enough to change what this node reports.
    ConditionDue,
    /// A device is missing for too long.
    DeviceGone,
    /// The time of a join token is over.
    TokenDue,
    /// A node that leaves no longer waits for other nodes to take its tasks over.
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
            NodeTimer::WithdrawalDue => "stop a task that is withdrawn",
            NodeTimer::ServiceDue => "go on with a service",
            NodeTimer::ScheduleDue => "look at schedules",
            NodeTimer::AutoscaleDue => "look at the load of services",
            NodeTimer::LeaseDue => "ask for leases",
            NodeTimer::ConditionDue => "tell a condition of this node",
            NodeTimer::DeviceGone => "offer a device no longer",
            NodeTimer::TokenDue => "end a join token",
            NodeTimer::DepartureDue => "leave without waiting any longer",
        }
    }
}

impl Node {
    /// When `TimerFired` is due. A late `TimerFired` has the same effect as one on time.
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

    /// All timers but those of gossip. A timer that does not run is never due.
    pub(super) fn own_timers(&self) -> [(NodeTimer, Now); 13] {
        [
            (NodeTimer::SettlingUnfinished, self.settle_again_at),
            (NodeTimer::PresenceDue, self.planner.presence_deadline()),
            (NodeTimer::StartDue, self.reconciler.start_at()),
            (NodeTimer::StopUnanswered, self.reconciler.stop_again_at()),
            (NodeTimer::WithdrawalDue, self.withdrawals.deadline()),
            (NodeTimer::ServiceDue, self.reconciler.service_due_at()),
            (NodeTimer::ScheduleDue, self.schedules.deadline()),
            (NodeTimer::AutoscaleDue, self.autoscaler.deadline()),
            (NodeTimer::LeaseDue, self.reconciler.leases_due_at()),
            (NodeTimer::ConditionDue, self.own_records.conditions_deadline()),
            (NodeTimer::DeviceGone, self.devices.deadline()),
            (NodeTimer::TokenDue, self.token_expiry.deadline()),
            (NodeTimer::DepartureDue, self.departure.deadline()),
        ]
    }
}
