//! States that must be reached sometimes: counters that prove that a run reached them.
//!
//! A simulator that never produces a conflict has not tested conflicts, even if no check fails.

use std::collections::BTreeMap;

/// An interesting state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// An edit was acknowledged.
    EditDone,
    /// An edit was refused.
    EditRefused,
    /// An edit was not answered because the agent died first.
    EditUnanswered,
    /// The losing value of a conflict was kept.
    ConflictRecorded,
    /// A duplicate was stopped.
    SurplusDrained,
    /// A healthy task was moved to another node's share.
    Rebalanced,
    /// A task was started because its previous node is unreachable.
    Failover,
    /// A run was adopted after a restart of the agent.
    Adopted,
    /// A program could not be started.
    StartRefused,
    /// A program ended by itself.
    ProgramEnded,
    /// An agent was killed.
    AgentKilled,
    /// A machine lost power.
    PowerLost,
    /// A disk was lost.
    StoreLost,
    /// An acknowledged write was only on a disk that was lost.
    WriteLostWithDisk,
    /// A node took a new identity because others had marked it unreachable.
    Renewed,
    /// A member was marked unreachable.
    Unreachable,
    /// A reliable message was not delivered.
    Undelivered,
    /// The fleet was in three or more parts.
    ThreeParts,
    /// A part of the fleet was judged during the harm.
    PartJudged,
    /// The whole fleet was settled.
    Settled,
    /// A service was removed, and all members knew.
    RemovalStable,
    /// Two services had one name.
    NameConflict,
    /// An edit was listed that a removal had not seen.
    UnseenByRemoval,
    /// A removed service was brought back.
    BroughtBack,
    /// One label was set to two values.
    LabelConflict,
    /// A name that several services shared was given to one of them.
    NameSettled,
    /// A wanted task had no node to run on.
    NotPlaced,
    /// A poison record was held and not read.
    PoisonHeld,
    /// A store was replaced by an older copy of it.
    StoreRestored,
    /// A service got another name.
    Renamed,
    /// The name of a removed service was used again.
    NameReused,
    /// As many runs were starting on a node as may start at once.
    StartsAtBound,
    /// More strangers called a node than it keeps addresses of.
    StrangersBeyondBound,
    /// A lie about a member that is up was told to one that is up.
    LieTold,
    /// A task with an address ran in a settled fleet.
    OnNetwork,
    /// A slot of a job was completed.
    JobCompleted,
    /// A slot that runs at most once began on another machine than before.
    LeaseMoved,
    /// A machine named what the last attempt of a task that waits ended by.
    CauseTold,
}

/// How often each state was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sometimes {
    counts: BTreeMap<Event, u64>,
}

impl Sometimes {
    /// It happened.
    pub fn saw(&mut self, event: Event) {
        self.saw_times(event, 1);
    }

    /// It happened this many times.
    pub fn saw_times(&mut self, event: Event, times: u64) {
        if times > 0 {
            *self.counts.entry(event).or_default() += times;
        }
    }

    /// How often it happened.
    pub fn count(&self, event: Event) -> u64 {
        self.counts.get(&event).copied().unwrap_or(0)
    }

    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Sometimes) {
        for (event, times) in &other.counts {
            self.saw_times(*event, *times);
        }
    }

    /// Every interesting state with its count, including those never reached.
    pub fn iter(&self) -> impl Iterator<Item = (Event, u64)> {
        Event::ALL.into_iter().map(|event| (event, self.count(event)))
    }

    /// The interesting states that were never reached.
    pub fn missed(&self) -> impl Iterator<Item = Event> {
        self.iter().filter(|(_, count)| *count == 0).map(|(event, _)| event)
    }
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 38] = [
        Event::EditDone,
        Event::EditRefused,
        Event::EditUnanswered,
        Event::ConflictRecorded,
        Event::SurplusDrained,
        Event::Rebalanced,
        Event::Failover,
        Event::Adopted,
        Event::StartRefused,
        Event::ProgramEnded,
        Event::AgentKilled,
        Event::PowerLost,
        Event::StoreLost,
        Event::WriteLostWithDisk,
        Event::Renewed,
        Event::Unreachable,
        Event::Undelivered,
        Event::ThreeParts,
        Event::PartJudged,
        Event::Settled,
        Event::RemovalStable,
        Event::NameConflict,
        Event::UnseenByRemoval,
        Event::BroughtBack,
        Event::LabelConflict,
        Event::NameSettled,
        Event::NotPlaced,
        Event::PoisonHeld,
        Event::StoreRestored,
        Event::Renamed,
        Event::NameReused,
        Event::StartsAtBound,
        Event::StrangersBeyondBound,
        Event::LieTold,
        Event::OnNetwork,
        Event::JobCompleted,
        Event::LeaseMoved,
        Event::CauseTold,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happened_is_listed_with_0() {
        let mut sometimes = Sometimes::default();
        sometimes.saw(Event::Failover);
        assert_eq!(sometimes.count(Event::Failover), 1);
        assert_eq!(sometimes.iter().count(), Event::ALL.len());
        assert_eq!(sometimes.missed().count(), Event::ALL.len() - 1);
        assert!(sometimes.iter().any(|(event, count)| event == Event::Settled && count == 0));
    }
}
