//! The timers of membership, foca's and its own, in the order in which they are due.
//!
//! foca hands timers out and expects each back; the queue gives them back by time, and by age among
//! those of one moment. Bounded: foca has at most one of each periodic kind per change of its own
//! identity, and `suspicion / probe interval` (5) verdicts under way; membership has one per
//! suspicion.

use std::collections::BTreeMap;

use crdt_state::NodeId;

use crate::{GossipTimer, Identity, Now};

/// What is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Due {
    /// One of foca's own.
    Foca(foca::Timer<Identity>),
    /// Follow the suspicion against this member up.
    Suspicion(NodeId),
    /// Try to reach those that are unreachable.
    Announce,
    /// Say once more that this node goes.
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
    /// Adds one.
    pub(crate) fn push(&mut self, at: Now, due: Due) {
        self.queue.insert((at, self.next), due);
        self.next += 1;
    }

    /// Takes the first one that is due, with the moment for which it was meant.
    pub(crate) fn pop(&mut self, now: Now) -> Option<(Now, Due)> {
        let entry = self.queue.first_entry()?;
        let at = entry.key().0;
        (at <= now).then(|| (at, entry.remove()))
    }

    /// Drops all of them.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }

    /// What is due and when, earliest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (GossipTimer, Now)> {
        self.queue.iter().map(|((at, _), due)| (due.reason(), *at))
    }
}
