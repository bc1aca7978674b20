//! The timers of membership, foca's and its own, in the order in which they are due.
//!
//! foca submits timers and expects each back. The queue returns them by time, and those of the same
//! moment in the order in which they were added. Bounded: foca has at most one of each periodic
//! kind per change of its own identity, and `suspicion / probe interval` (5) pending verdicts;
//! membership has one timer per suspicion.

use std::collections::BTreeMap;

use crdt_state::NodeId;

use crate::{GossipTimer, Identity, Now};

/// The kinds of timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// One of foca's own timers.
    Foca(foca::Timer<Identity>),
    /// Follow up the suspicion of this member.
    Suspicion(NodeId),
    /// Call members that are unreachable.
    Announce,
    /// Repeat this node's good-bye.
    Goodbye,
}

impl Due {
    fn reason(&self) -> GossipTimer {
        match self {
            Due::Foca(foca::Timer::ChangeSuspectToDown { .. }) => GossipTimer::VerdictDue,
            Due::Foca(foca::Timer::PeriodicGossip(_)) => GossipTimer::PushDue,
            Due::Foca(_) => GossipTimer::ProbeDue,
            Due::Suspicion(_) => GossipTimer::CaseDue,
            Due::Announce => GossipTimer::AnnounceDue,
            Due::Goodbye => GossipTimer::GoodbyeDue,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<(Now, u64), Due>,
    next: u64,
}

impl Timers {
    /// Adds a timer.
    pub(crate) fn push(&mut self, at: Now, due: Due) {
        self.queue.insert((at, self.next), due);
        self.next += 1;
    }

    /// Takes the first timer that is due, with the moment at which it was due.
    pub(crate) fn pop(&mut self, now: Now) -> Option<(Now, Due)> {
        let entry = self.queue.first_entry()?;
        let at = entry.key().0;
        (at <= now).then(|| (at, entry.remove()))
    }

    /// Drops all timers.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }

    /// The reason and the time of each timer, earliest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GossipTimer, Now)> {
        self.queue.iter().map(|((at, _), due)| (due.reason(), *at))
    }
}
