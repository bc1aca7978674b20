//! What nodes report of rollouts, and what follows from it for one service.

use std::collections::BTreeSet;

use crate::id::{NodeId, ServiceId, TaskId};
use crate::key::{Kind, RecordKey};
use crate::replica::Replica;
use crate::rollout::{Failures, RolloutReport, RolloutReports, Verdict};
use crate::stamp::Stamp;
use crate::task::Slot;

/// What a node reports of rollouts.
pub fn rollouts_of(replica: &Replica, id: NodeId) -> RolloutReports {
    let said = replica.owned::<RolloutReports>(&RecordKey::rollouts(id));
    said.filter(|(owner, _)| *owner == id).map(|(_, reports)| reports).unwrap_or_default()
}

/// What all nodes report of a rollout in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllFailures {
    /// The slots that failed.
    pub slots: BTreeSet<Slot>,
    /// A task that failed, and why; of several the one that the node with the lowest id reports.
    pub first: Option<(TaskId, String)>,
    /// The policy does not tolerate it; of several verdicts the first.
    pub verdict: Option<Verdict>,
}

impl AllFailures {
    fn add(&mut self, said: Failures) {
        self.slots.extend(said.slots);
        if self.first.is_none() {
            self.first = said.task.map(|task| (task, said.message));
        }
        let verdicts = self.verdict.into_iter().chain(said.verdict);
        self.verdict = verdicts.min_by_key(|verdict| (verdict.lamport, verdict.failed));
    }
}

/// What all nodes report of the rollout that a write of a service's template began: forward, and
/// back.
pub fn failures_of(replica: &Replica, service: ServiceId, of: Stamp) -> (AllFailures, AllFailures) {
    let (mut forward, mut back) = (AllFailures::default(), AllFailures::default());
    for key in replica.keys(Kind::ROLLOUTS) {
        let report = rollouts_of(replica, NodeId(key.id)).remove(&service);
        let Some(RolloutReport { forward: new, back: old, .. }) =
            report.filter(|report| report.of == of)
        else {
            continue;
        };
        forward.add(new);
        back.add(old);
    }
    (forward, back)
}
