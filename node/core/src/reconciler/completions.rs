//! What this node completed of jobs, and why a task of a job ends here.
//!
//! The record of a job only grows. A node that lost its disk receives what it had said before, and
//! adds to it: what it says must never be less than what anybody has heard of it.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::job::JobReport;
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::task::{Slot, TaskRecord, TaskState};
use crdt_state::{Kind, NodeId, RecordKey, ServiceId};

use crate::plan::Placed;
use crate::planner::Planner;
use crate::reason::Unplaced;

/// What this node has completed since its agent started.
pub(super) struct Completions {
    me: NodeId,
    said: BTreeMap<ServiceId, JobReport>,
    /// The jobs of which the record may lack something.
    unwritten: BTreeSet<ServiceId>,
}

impl Completions {
    pub(super) fn new(me: NodeId) -> Completions {
        Completions { me, said: BTreeMap::new(), unwritten: BTreeSet::new() }
    }

    /// A slot of this node changed.
    pub(super) fn note(&mut self, service: Option<&Service>, record: Option<&TaskRecord>) {
        let job = service.filter(|service| service.scale.is_job());
        let (Some(job), Some(record)) = (job, record) else { return };
        let is_complete = |state| state == TaskState::Complete;
        for status in record.tasks.iter().filter(|s| is_complete(s.current.state)) {
            let none = || JobReport::none(self.me, job.id);
            let said = self.said.entry(job.id).or_insert_with(none);
            said.complete(status.template, record.slot);
            self.unwritten.insert(job.id);
        }
    }

    /// A record in this node's name arrived, or was written.
    pub(super) fn refute(&mut self, replica: &Replica, key: RecordKey) {
        if key.kind != Kind::COMPLETIONS {
            return;
        }
        let Some((owner, report)) = replica.owned::<JobReport>(&key) else { return };
        if owner == self.me && self.said.contains_key(&report.service) {
            self.unwritten.insert(report.service);
        }
    }

    /// Writes what the records lack. Returns whether anything changed.
    pub(super) fn write(&mut self, replica: &mut Replica, wall_ms: u64) -> bool {
        let mut is_changed = false;
        for job in std::mem::take(&mut self.unwritten) {
            let key = RecordKey::completions(self.me, job);
            let held = replica.owned::<JobReport>(&key).map(|(_, report)| report);
            let Some(said) = self.said.get_mut(&job) else { continue };
            said.add(held.as_ref().unwrap_or(&JobReport::none(self.me, job)));
            if held.as_ref() != Some(said) {
                replica.put_owned(key, said, wall_ms);
                is_changed = true;
            }
        }
        is_changed
    }
}

/// Why a task of a job ends on this node, if the plan says so.
pub(super) fn ends(
    planner: &Planner,
    job: ServiceId,
    slot: Slot,
    me: NodeId,
) -> Option<&'static str> {
    match planner.plan().services.get(&job)?.slots.get(&slot)? {
        Placed::Nowhere(Unplaced::Complete) => Some("completed on another node"),
        Placed::Nowhere(Unplaced::Leaving(node)) if *node == me => Some("its node is drained"),
        _ => None,
    }
}
